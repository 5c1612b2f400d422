/*
 * A library to preload that makes system calls fail. ADTOOL_FAULT says which, as CALLS:WHAT:N
 *
 *	CALLS   one of the words below, or several with '+'
 *	WHAT    short (half of what was asked for, at least one byte), eintr (fails once with EINTR, then works), or an
 *	        errno: enospc, eio, emfile, enomem; or kill: the process is killed right before the call (png, which is
 *	        the decoding of a picture, knows this one only)
 *	N       which of the calls, from 1; 0: every one (eintr: every second)
 *
 * With ADTOOL_FAULT_COUNT=FILE the number of calls that matched is written there at the end; and to FILE.caller, which
 * program or library was refused memory.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum call { READ, WRITE, OPEN, SYNC, RENAME, LINK, MKDIR, MALLOC, PNG, CALLS };
static const char *const words[CALLS] = {"read", "write", "open", "sync", "rename", "link", "mkdir", "malloc", "png"};

enum what { NOTHING, SHORT, FAIL, KILL, INTERRUPT };

static int ready, selected[CALLS], error;
static enum what what;
static unsigned long nth;
static atomic_ulong count;
/* Opened before a program shuts itself in. */
static int count_file = -1, caller_file = -1;

static int open_result(const char *suffix)
{
	const char *path = getenv("ADTOOL_FAULT_COUNT");
	char full[4096];

	if (!path || snprintf(full, sizeof(full), "%s%s", path, suffix) >= (int)sizeof(full))
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

/* Without anything that allocates: malloc itself comes here. */
static void set_up(void)
{
	static const struct {
		const char *word;
		enum what what;
		int error;
	} kinds[] = {{"short", SHORT, 0}, {"eintr", INTERRUPT, EINTR}, {"enospc", FAIL, ENOSPC},
		     {"eio", FAIL, EIO},  {"emfile", FAIL, EMFILE},    {"enomem", FAIL, ENOMEM},
		     {"kill", KILL, 0}};
	const char *at = getenv("ADTOOL_FAULT");
	size_t i;

	ready = 1;
	count_file = open_result("");
	caller_file = open_result(".caller");
	if (!at)
		return;
	while (*at && *at != ':') {
		size_t n = strcspn(at, "+:");

		for (i = 0; i < CALLS; i++)
			if (strlen(words[i]) == n && !strncmp(words[i], at, n))
				selected[i] = 1;
		at += n + (at[n] == '+');
	}
	if (*at++ != ':')
		return;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].word);

		if (!strncmp(at, kinds[i].word, n) && at[n] == ':') {
			what = kinds[i].what;
			error = kinds[i].error;
			nth = strtoul(at + n + 1, NULL, 10);
		}
	}
}

/* Whether this call is to fail, and how. */
static enum what fate(enum call call)
{
	unsigned long n;

	if (!ready)
		set_up();
	if (!selected[call])
		return NOTHING;
	n = atomic_fetch_add(&count, 1) + 1;
	if (nth ? n != nth : what == INTERRUPT && n % 2 == 0)
		return NOTHING;
	if (what == KILL)
		kill(getpid(), SIGKILL);
	if (what == FAIL || what == INTERRUPT)
		errno = error;
	return what;
}

#define FAILS(call) (fate(call) >= FAIL)

__attribute__((destructor)) static void write_count(void)
{
	char text[32];

	what = NOTHING;
	if (count_file >= 0)
		syscall(SYS_write, count_file, text,
			(size_t)snprintf(text, sizeof(text), "%lu\n", atomic_load(&count)));
}

static size_t less(size_t size, enum what w)
{
	return w == SHORT && size > 1 ? size - size / 2 : size;
}

ssize_t read(int fd, void *data, size_t size)
{
	enum what w = fate(READ);

	return w >= FAIL ? -1 : syscall(SYS_read, fd, data, less(size, w));
}

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
	enum what w = fate(READ);

	return w >= FAIL ? -1 : syscall(SYS_pread64, fd, data, less(size, w), at);
}

ssize_t pread64(int fd, void *data, size_t size, off_t at) __attribute__((alias("pread")));

ssize_t write(int fd, const void *data, size_t size)
{
	enum what w;

	/* Messages are not what is tested, and a failure to write them cannot be told. */
	if (fd == 2)
		return syscall(SYS_write, fd, data, size);
	w = fate(WRITE);
	return w >= FAIL ? -1 : syscall(SYS_write, fd, data, less(size, w));
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	return FAILS(OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int fsync(int fd) { return FAILS(SYNC) ? -1 : (int)syscall(SYS_fsync, fd); }

int rename(const char *from, const char *to)
{
	return FAILS(RENAME) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return FAILS(LINK) ? -1 : (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
	return FAILS(MKDIR) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

void png_read_info(void *png, void *info);
void png_read_info(void *png, void *info)
{
	void (*real)(void *, void *) = (void (*)(void *, void *))dlsym(RTLD_NEXT, "png_read_info");

	fate(PNG);
	real(png, info);
}

/* Who asked, for those who judge a crash by whose it is. */
static int starves(const void *caller)
{
	Dl_info info;

	if (fate(MALLOC) < FAIL)
		return 0;
	if (caller_file >= 0 && dladdr(caller, &info) && info.dli_fname)
		syscall(SYS_write, caller_file, info.dli_fname, strlen(info.dli_fname));
	errno = error;
	return 1;
}

#define STARVES starves(__builtin_return_address(0))

/* -- memory: everybody's ----------------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) { return STARVES ? NULL : __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return STARVES ? NULL : __libc_calloc(n, size); }
void *realloc(void *block, size_t size) { return STARVES ? NULL : __libc_realloc(block, size); }
void *aligned_alloc(size_t alignment, size_t size) { return STARVES ? NULL : __libc_memalign(alignment, size); }
void *memalign(size_t alignment, size_t size) { return STARVES ? NULL : __libc_memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *block = STARVES ? NULL : __libc_memalign(alignment, size);

	if (!block)
		return ENOMEM;
	*out = block;
	return 0;
}
