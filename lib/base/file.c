#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "mem.h"

int ad_file_open(const char *path, uint64_t *size, adtool_error *err)
{
	struct stat st;
	int fd, code;

	do
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return ad_fail_errno(err, errno, "cannot open");
	if (fstat(fd, &st))
		code = ad_fail_errno(err, errno, "cannot stat");
	else if (!S_ISREG(st.st_mode))
		code = ad_file_refuse(st.st_mode, err);
	else {
		*size = (uint64_t)st.st_size;
		return fd;
	}
	close(fd);
	return code;
}

int ad_file_refuse(unsigned mode, adtool_error *err)
{
	return ad_fail(err, ADTOOL_EIO, "%s, not a regular file",
	               S_ISFIFO(mode)   ? "a FIFO"
	               : S_ISSOCK(mode) ? "a socket"
	               : S_ISCHR(mode)  ? "a character device"
	               : S_ISBLK(mode)  ? "a block device"
	               : S_ISDIR(mode)  ? "a directory"
	                                : "a special file");
}

/* Opens a regular file of at most `limit` bytes; the descriptor, or a negative code. */
static int open_limited(const char *path, uint64_t limit, size_t *size, adtool_error *err)
{
	uint64_t bytes;
	int fd = ad_file_open(path, &bytes, err);

	if (fd < 0)
		return fd;
	if (bytes > limit || bytes > PTRDIFF_MAX) {
		close(fd);
		return ad_fail(err, ADTOOL_ELIMIT, "file of %llu bytes, more than the limit of %llu",
		               (unsigned long long)bytes, (unsigned long long)limit);
	}
	*size = (size_t)bytes;
	return fd;
}

int ad_file_read(const char *path, uint64_t limit, ad_buf *out, adtool_error *err)
{
	size_t expected, start = out->size;
	int fd = open_limited(path, limit, &expected, err), code = 0;

	if (fd < 0)
		return fd;
	/* One byte more than expected, so that a file that grows meanwhile is seen to. */
	for (;;) {
		size_t room;
		ssize_t got;

		if (ad_buf_reserve(out, expected + 1)) {
			code = ad_fail_nomem(err);
			break;
		}
		room = out->capacity - out->size - 1;
		got = read(fd, out->data + out->size, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			code = ad_fail_errno(err, errno, "cannot read");
			break;
		}
		if (got == 0)
			break;
		out->size += (size_t)got;
		if (out->size - start > limit) {
			code = ad_fail(err, ADTOOL_ELIMIT, "file of more than the limit of %llu bytes",
			               (unsigned long long)limit);
			break;
		}
		expected = expected > (size_t)got ? expected - (size_t)got : 0;
	}
	close(fd);
	if (code)
		out->size = start;
	if (out->data)
		out->data[out->size] = '\0';
	return code;
}

int ad_map_open(ad_map *map, const char *path, uint64_t limit, adtool_error *err)
{
	size_t size;
	void *data = NULL;
	int fd = open_limited(path, limit, &size, err), code = 0;

	if (fd < 0)
		return fd;
	if (size) {
		data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data == MAP_FAILED)
			code = ad_fail_errno(err, errno, "cannot map");
		else /* A wish, no more: what comes from the disk comes in large pieces, and is mapped so. */
			(void)madvise(data, size, MADV_HUGEPAGE);
	}
	close(fd);
	if (!code) {
		map->data = data;
		map->size = size;
	}
	return code;
}

void ad_map_release(ad_map *map)
{
	if (map->data)
		munmap((void *)(uintptr_t)map->data, map->size);
	map->data = NULL;
	map->size = 0;
}

int ad_write_all(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size) {
		ssize_t put = write(fd, at, size);

		if (put < 0) {
			if (errno == EINTR)
				continue;
			return ADTOOL_EIO;
		}
		at += put;
		size -= (size_t)put;
	}
	return 0;
}

/* The folder of path: "." or everything up to the last slash. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return ad_strdup(".");
	return slash == path ? ad_strdup("/") : ad_strndup(path, (size_t)(slash - path));
}

/* Names for a's temporary file, beside its path: the next one each time. */
static void next_temporary(ad_atomic *a)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	char *at = a->temporary + strlen(a->temporary) - 6;
	uint64_t word;
	int i;

	if (getrandom(&word, sizeof(word), 0) != (ssize_t)sizeof(word))
		word = (uint64_t)getpid();
	for (i = 0; i < 6; i++, word >>= 5)
		at[i] = digits[word & 31];
}

/* What a link is made from, while a file has no name. */
static void descriptor_path(int fd, char out[32])
{
	snprintf(out, 32, "/proc/self/fd/%d", fd);
}

/* A file without a name, which vanishes with the process; -1 where there is no such thing. */
static int open_nameless(const char *folder)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	struct stat own, seen;
	char path[32];

	if (fd < 0)
		return -1;
	descriptor_path(fd, path);
	if (!fstat(fd, &own) && !stat(path, &seen) && own.st_dev == seen.st_dev && own.st_ino == seen.st_ino)
		return fd;
	close(fd);
	return -1;
}

/* "PATH.tmp-XXXXXX", the last part of PATH cut when that would be too long a name. */
static char *temporary_of(const char *path)
{
	enum { ROOM = 240 };
	const char *slash = strrchr(path, '/');
	size_t folder = slash ? (size_t)(slash + 1 - path) : 0, length = strlen(path);
	ad_buf name = {0};

	ad_buf_add(&name, path, length - folder > ROOM ? folder + ROOM : length);
	ad_buf_puts(&name, ".tmp-XXXXXX");
	if (name.failed)
		ad_buf_release(&name);
	return (char *)name.data;
}

int ad_atomic_open(ad_atomic *a, const char *path, adtool_error *err)
{
	char *folder = NULL;
	struct stat st;
	int code = 0;

	memset(a, 0, sizeof(*a));
	a->fd = -1;
	/* A device or pipe (/dev/stdout) cannot be replaced, only a regular file or nothing can. */
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return ad_file_refuse(st.st_mode, err);
	/* Follow a symbolic link, so that the link stays and its target is replaced. */
	a->path = realpath(path, NULL);
	if (!a->path)
		a->path = ad_strdup(path);
	if (a->path) {
		a->temporary = temporary_of(a->path);
		folder = folder_of(a->path);
	}
	if (!a->temporary || !folder) {
		code = ad_fail_nomem(err);
		goto out;
	}
	/* Without a name until it is whole, so that whoever is killed meanwhile leaves nothing behind. */
	a->fd = open_nameless(folder);
	a->named = a->fd < 0;
	/* Not mkstemp, which makes it private: the umask decides, as for any new file. */
	while (a->fd < 0) {
		next_temporary(a);
		a->fd = open(a->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (a->fd < 0 && errno != EEXIST && errno != EINTR) {
			code = ad_fail_errno(err, errno, "cannot create a temporary file beside it");
			a->named = 0;
			goto out;
		}
	}
	if (!stat(a->path, &st) && fchmod(a->fd, st.st_mode & 07777))
		code = ad_fail_errno(err, errno, "cannot keep its mode");
out:
	ad_free(folder);
	if (code)
		ad_atomic_abort(a);
	return code;
}

int ad_atomic_write(ad_atomic *a, const void *data, size_t size, adtool_error *err)
{
	if (ad_write_all(a->fd, data, size))
		return ad_fail_errno(err, errno, "cannot write");
	return 0;
}

/* Gives the file a name of its own, from which it can be renamed: a link does not replace. */
static int give_name(ad_atomic *a, adtool_error *err)
{
	char path[32];

	descriptor_path(a->fd, path);
	do {
		next_temporary(a);
		a->named = !linkat(AT_FDCWD, path, AT_FDCWD, a->temporary, AT_SYMLINK_FOLLOW);
	} while (!a->named && (errno == EEXIST || errno == EINTR));
	return a->named ? 0 : ad_fail_errno(err, errno, "cannot create a temporary file beside it");
}

static int commit(ad_atomic *a, int sync, adtool_error *err)
{
	char *folder = NULL;
	int code = 0, fd;

	if (sync && fsync(a->fd)) {
		code = ad_fail_errno(err, errno, "cannot write");
		goto out;
	}
	if (!a->named) {
		code = give_name(a, err);
		if (code)
			goto out;
	}
	fd = a->fd;
	a->fd = -1;
	if (close(fd)) {
		code = ad_fail_errno(err, errno, "cannot write");
		goto out;
	}
	folder = folder_of(a->path);
	if (!folder) {
		code = ad_fail_nomem(err);
		goto out;
	}
	if (rename(a->temporary, a->path)) {
		code = ad_fail_errno(err, errno, "cannot rename the temporary file");
		goto out;
	}
	a->named = 0;
	/* The new name is in place; a folder that cannot be synced (some network shares) does not undo it. */
	fd = !sync ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
out:
	ad_free(folder);
	ad_atomic_abort(a);
	return code;
}

int ad_atomic_commit(ad_atomic *a, adtool_error *err)
{
	return commit(a, 1, err);
}

void ad_atomic_abort(ad_atomic *a)
{
	if (a->fd >= 0)
		close(a->fd);
	if (a->named)
		unlink(a->temporary);
	ad_free(a->temporary);
	ad_free(a->path);
	memset(a, 0, sizeof(*a));
	a->fd = -1;
}

static int write_file(const char *path, const void *data, size_t size, int sync, adtool_error *err)
{
	ad_atomic a;
	int code = ad_atomic_open(&a, path, err);

	if (code)
		return code;
	code = ad_atomic_write(&a, data, size, err);
	if (code)
		ad_atomic_abort(&a);
	else
		code = commit(&a, sync, err);
	return code;
}

int ad_file_write(const char *path, const void *data, size_t size, adtool_error *err)
{
	return write_file(path, data, size, 1, err);
}

int ad_file_write_quick(const char *path, const void *data, size_t size, adtool_error *err)
{
	return write_file(path, data, size, 0, err);
}

int ad_mkdirs(const char *path, adtool_error *err)
{
	struct stat st;
	char *copy = ad_strdup(path), *at;
	int code = 0;

	if (!copy)
		return ad_fail_nomem(err);
	for (at = copy + 1; *copy && !code; at++) {
		char c = *at;

		if (c != '/' && c != '\0')
			continue;
		*at = '\0';
		if (mkdir(copy, 0777) && (errno != EEXIST || stat(copy, &st) || !S_ISDIR(st.st_mode)))
			code = ad_fail_errno(err, errno == EEXIST ? ENOTDIR : errno, "cannot create folder '%s'", copy);
		*at = c;
		if (!c)
			break;
	}
	ad_free(copy);
	return code;
}
