#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "watch.h"

/*
 * The file:
 *	adtool-watch 1
 *	done DEVICE INODE SIZE MTIME WHEN DIGEST KEY
 *	begin DEVICE INODE OFFSET KEY
 *	tidied COUNT
 * in which numbers are decimal, DIGEST is hexadecimal or "-", and in KEY backslash and newline are written \\ and \n.
 * The numbers of `begin` are those of the file that standard output is. COUNT lines were left when it was tidied.
 * Of a page of a file (KEY#2) DEVICE and INODE are 0.
 */
#define HEADER "adtool-watch 1\n"

enum { TIDY_FROM = 1000, KEPT_SECONDS = 7 * 24 * 3600 };

struct watch_state {
	char *path;
	int fd, lock;
	void *by_key, *by_inode; /* trees of watch_entry; by_key owns */
	size_t lines, kept; /* kept: when it was tidied; as many again and TIDY_FROM may follow */
	/* A row that was begun and perhaps printed, by a run that was killed. */
	char *begun;
	uint64_t begun_device, begun_inode;
	int64_t begun_offset;
};

static int compare_key(const void *a, const void *b)
{
	return strcmp(((const watch_entry *)a)->key, ((const watch_entry *)b)->key);
}

static int compare_inode(const void *a, const void *b)
{
	const watch_entry *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

static watch_entry *find(void *const *tree, const watch_entry *wanted, int (*compare)(const void *, const void *))
{
	watch_entry **at = tfind(wanted, tree, compare);

	return at ? *at : NULL;
}

static void insert(void **tree, watch_entry *e, int (*compare)(const void *, const void *))
{
	watch_entry **at = tsearch(e, tree, compare);

	if (!at) {
		cli_message(NULL, "out of memory");
		exit(CLI_FAILURE);
	}
	*at = e;
}

static void free_entry(void *entry)
{
	free(((watch_entry *)entry)->key);
	free(entry);
}

/* by_key owns it. */
static void keep_entry(void *entry)
{
	(void)entry;
}

static void drop_entry(watch_state *s, watch_entry *e)
{
	if (e->inode && find(&s->by_inode, e, compare_inode) == e)
		tdelete(e, &s->by_inode, compare_inode);
	tdelete(e, &s->by_key, compare_key);
	free_entry(e);
}

/* Takes a copy of `from`, whose key replaces the entry of that key. */
static void remember(watch_state *s, const watch_entry *from)
{
	watch_entry *old = find(&s->by_key, from, compare_key), *e = cli_alloc(1, sizeof(*e));

	*e = *from;
	e->key = cli_text("%s", from->key);
	if (old)
		drop_entry(s, old);
	insert(&s->by_key, e, compare_key);
	if (e->inode)
		insert(&s->by_inode, e, compare_inode);
}

static int64_t mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* -- the file ----------------------------------------------------------------------------------------- */

static char *escape(const char *key)
{
	char *out = cli_alloc(2 * strlen(key) + 1, 1), *at = out;

	for (; *key; key++) {
		if (*key == '\\' || *key == '\n')
			*at++ = '\\';
		*at++ = *key == '\n' ? 'n' : *key;
	}
	return out;
}

static void unescape(char *text)
{
	char *at = text;

	for (; *text; text++) {
		if (*text == '\\' && text[1])
			text++;
		else {
			*at++ = *text;
			continue;
		}
		*at++ = *text == 'n' ? '\n' : *text;
	}
	*at = '\0';
}

/* A decimal number and the blank behind it. */
static bool take_number(char **at, int64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)**at) && **at != '-')
		return false;
	errno = 0;
	*out = strtoll(*at, &end, 10);
	if (errno || *end != ' ')
		return false;
	*at = end + 1;
	return true;
}

static bool take_unsigned(char **at, uint64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	*out = strtoull(*at, &end, 10);
	if (errno || *end != ' ')
		return false;
	*at = end + 1;
	return true;
}

static bool take_done(watch_state *s, char *at)
{
	watch_entry e = {0};

	if (!take_unsigned(&at, &e.device) || !take_unsigned(&at, &e.inode) || !take_number(&at, &e.size) ||
	    !take_number(&at, &e.mtime) || !take_number(&at, &e.when))
		return false;
	size_t n = strcspn(at, " ");
	if (!n || n >= WATCH_DIGEST || at[n] != ' ' || !at[n + 1])
		return false;
	memcpy(e.digest, at, n);
	e.key = at + n + 1;
	unescape(e.key);
	remember(s, &e);
	if (s->begun && !strcmp(s->begun, e.key)) {
		free(s->begun);
		s->begun = NULL;
	}
	return true;
}

static bool take_begin(watch_state *s, char *at)
{
	if (!take_unsigned(&at, &s->begun_device) || !take_unsigned(&at, &s->begun_inode) ||
	    !take_number(&at, &s->begun_offset) || !*at)
		return false;
	unescape(at);
	free(s->begun);
	s->begun = cli_text("%s", at);
	return true;
}

static void take_lines(watch_state *s, char *text)
{
	size_t odd = 0;

	for (char *line = text; *line;) {
		char *end = strchr(line, '\n');
		*end = '\0';
		s->lines++;
		if (!strncmp(line, "tidied ", 7) && isdigit((unsigned char)line[7]))
			s->kept = (size_t)strtoull(line + 7, NULL, 10);
		else if (!(!strncmp(line, "done ", 5) && take_done(s, line + 5)) &&
		    !(!strncmp(line, "begin ", 6) && take_begin(s, line + 6)))
			odd++;
		line = end + 1;
	}
	if (odd && !cli_quiet)
		cli_warn(s->path, "%zu of its lines are damaged and passed over", odd);
}

/* The whole file, with a NUL behind it. */
static char *read_all(int fd, size_t *size)
{
	char *text = NULL;
	size_t room = 0;
	ssize_t n;

	*size = 0;
	do {
		if (room - *size < 65536) {
			room = room ? 2 * room : 1 << 17;
			text = cli_realloc(text, room, 1);
		}
		n = pread(fd, text + *size, room - *size - 1, (off_t)*size);
		if (n > 0)
			*size += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	text[*size] = '\0';
	if (n == 0)
		return text;
	free(text);
	return NULL;
}

static int fail_errno(const watch_state *s, const char *what)
{
	cli_message(s->path, "%s: %s", what, strerror(errno));
	return CLI_FAILURE;
}

static int append(watch_state *s, const char *text)
{
	size_t size = strlen(text);
	ssize_t n;

	do
		n = write(s->fd, text, size);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && (size_t)n < size)
		errno = ENOSPC;
	s->lines++;
	return n == (ssize_t)size ? 0 : fail_errno(s, "cannot write");
}

static int take_lock(watch_state *s)
{
	char *path = cli_text("%s.lock", s->path);
	int status = 0;

	/* Of a file of its own, as the state itself is replaced when it is tidied. */
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (s->lock < 0)
		status = fail_errno(s, "cannot create its lock");
	else if (flock(s->lock, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK) {
			cli_message(s->path, "is in use by another adtool watch");
			status = CLI_FAILURE;
		} else {
			status = fail_errno(s, "cannot lock");
		}
	}
	free(path);
	return status;
}

/* Whether the file begins as a state does, or would if its first line were not cut. errno is 0 when it does not. */
static bool begins_well(int fd)
{
	char head[sizeof(HEADER) - 1];
	ssize_t n;

	do
		n = pread(fd, head, sizeof(head), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	errno = 0;
	return !memcmp(head, HEADER, (size_t)n);
}

static int refuse_file(const watch_state *s)
{
	cli_message(s->path, "is no state of adtool watch; it is left as it is");
	return CLI_FAILURE;
}

/* Opens it for what follows; nothing or a cut line at the end is made good. */
static int load(watch_state *s)
{
	size_t size, whole;

	s->fd = open(s->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	if (s->fd < 0)
		return fail_errno(s, "cannot open");
	struct stat st;
	if (fstat(s->fd, &st) || !S_ISREG(st.st_mode)) {
		cli_message(s->path, "not a regular file");
		return CLI_FAILURE;
	}
	/* Something else may be larger than memory. */
	char *text = begins_well(s->fd) ? read_all(s->fd, &size) : NULL;
	if (!text && errno)
		return fail_errno(s, "cannot read");
	if (!text)
		return refuse_file(s);
	for (whole = size; whole && text[whole - 1] != '\n';)
		whole--;
	int status = 0;
	if (memchr(text, '\0', size)) {
		status = refuse_file(s);
	} else if (whole < size && ftruncate(s->fd, (off_t)whole)) {
		status = fail_errno(s, "cannot write");
	} else {
		text[whole] = '\0';
		if (whole)
			take_lines(s, text + strlen(HEADER));
		else
			status = append(s, HEADER);
	}
	free(text);
	return status;
}

int watch_state_open(const char *path, watch_state **out)
{
	watch_state *s = cli_alloc(1, sizeof(*s));

	s->path = cli_text("%s", path);
	s->fd = s->lock = -1;
	int status = take_lock(s);
	if (!status)
		status = load(s);
	if (status)
		watch_state_free(s);
	else
		*out = s;
	return status;
}

/* -- what is to be done with a file ------------------------------------------------------------------- */

/* Whether the entry's file is still where it was; if so, a file of the same inode elsewhere is a second link. */
static bool is_still_there(const watch_entry *e)
{
	struct stat st;

	return !stat(e->key, &st) && (uint64_t)st.st_dev == e->device && (uint64_t)st.st_ino == e->inode;
}

/* The line of an entry; the caller frees. */
static char *done_line(const watch_entry *e)
{
	char *key = escape(e->key);
	char *line = cli_text("done %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %" PRId64 " %s %s\n", e->device,
			      e->inode, e->size, e->mtime, e->when, e->digest, key);

	free(key);
	return line;
}

static int record(watch_state *s, const watch_entry *e)
{
	char *line = done_line(e);
	int status = append(s, line);

	if (!status)
		remember(s, e);
	free(line);
	return status;
}

enum watch_verdict watch_state_judge(watch_state *s, const char *key, const struct stat *st, bool written,
				     const char **digest)
{
	/* Times of some file systems are whole seconds, in which a file can be written twice. */
	bool coarse = st->st_mtim.tv_nsec == 0;
	watch_entry wanted = {.key = (char *)(uintptr_t)key, .device = st->st_dev, .inode = st->st_ino};
	watch_entry *e = find(&s->by_key, &wanted, compare_key);

	if (e) {
		/* A FIFO is one however often it is used. */
		if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode) && !strcmp(e->digest, "-"))
			return WATCH_KNOWN;
		if (e->size == st->st_size && e->mtime == mtime_of(st) && !(written && coarse))
			return WATCH_KNOWN;
		*digest = e->digest;
		return WATCH_COMPARE;
	}
	e = find(&s->by_inode, &wanted, compare_inode);
	if (!e || e->size != st->st_size || e->mtime != mtime_of(st) || is_still_there(e))
		return WATCH_NEW;
	*digest = e->digest;
	if (coarse)
		return WATCH_COMPARE;
	/* It was renamed. */
	wanted = *e;
	wanted.key = (char *)(uintptr_t)key;
	return record(s, &wanted) ? WATCH_COMPARE : WATCH_KNOWN;
}

bool watch_state_knows_page(const watch_state *s, const char *key, const struct stat *st, const char *digest)
{
	watch_entry wanted = {.key = (char *)(uintptr_t)key}, *e = find(&s->by_key, &wanted, compare_key);

	return e && ((e->size == st->st_size && e->mtime == mtime_of(st)) || (digest && !strcmp(e->digest, digest)));
}

/* -- rows --------------------------------------------------------------------------------------------- */

/* Where the next row goes in standard output; false when it is no file. */
static bool output_at(struct stat *st, int64_t *offset)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	if (flags < 0 || fstat(STDOUT_FILENO, st) || !S_ISREG(st->st_mode))
		return false;
	*offset = flags & O_APPEND ? (int64_t)st->st_size : (int64_t)lseek(STDOUT_FILENO, 0, SEEK_CUR);
	return *offset >= 0;
}

int watch_state_begin(watch_state *s, const char *key)
{
	struct stat st;
	int64_t offset;

	if (!output_at(&st, &offset))
		return 0;
	char *escaped = escape(key);
	char *line = cli_text("begin %" PRIu64 " %" PRIu64 " %" PRId64 " %s\n", (uint64_t)st.st_dev,
			      (uint64_t)st.st_ino, offset, escaped);
	int status = append(s, line);
	free(line);
	free(escaped);
	return status;
}

int watch_state_done(watch_state *s, const char *key, const struct stat *st, const char *digest, bool page)
{
	watch_entry e = {.key = (char *)(uintptr_t)key,
			 .device = page ? 0 : st->st_dev,
			 .inode = page ? 0 : st->st_ino,
			 .size = st->st_size,
			 .mtime = mtime_of(st),
			 .when = time(NULL)};

	snprintf(e.digest, sizeof(e.digest), "%s", digest ? digest : "-");
	return record(s, &e);
}

/* What of the row stands in text, which begins at a row's beginning. */
static size_t find_row(const char *text, size_t length, const char *row, size_t size, size_t prefix_size)
{
	char end = row[size - 1];

	for (const char *at = text, *stop = text + length; at < stop;) {
		const char *next = memchr(at, end, (size_t)(stop - at));
		size_t left = (size_t)(stop - at);
		if (left >= prefix_size && next && !memcmp(at, row, prefix_size))
			return size;
		/* The last one was cut. */
		if (!next)
			return left < size && !memcmp(at, row, left) ? left : 0;
		at = next + 1;
	}
	return 0;
}

size_t watch_state_printed(watch_state *s, const char *key, const char *row, size_t size, size_t prefix_size)
{
	struct stat st;
	int64_t offset;
	size_t printed = 0;

	if (!s->begun || strcmp(s->begun, key))
		return 0;
	if (output_at(&st, &offset) && (uint64_t)st.st_dev == s->begun_device &&
	    (uint64_t)st.st_ino == s->begun_inode && st.st_size > s->begun_offset && offset > s->begun_offset) {
		int fd = open("/proc/self/fd/1", O_RDONLY | O_CLOEXEC);
		size_t length = (size_t)(st.st_size - s->begun_offset);
		long page = sysconf(_SC_PAGESIZE);
		size_t lead = (size_t)(s->begun_offset % page);
		char *text = fd < 0 ? MAP_FAILED
				    : mmap(NULL, lead + length, PROT_READ, MAP_PRIVATE, fd,
					   (off_t)(s->begun_offset - (int64_t)lead));
		if (text != MAP_FAILED) {
			printed = find_row(text + lead, length, row, size, prefix_size);
			munmap(text, lead + length);
		}
		if (fd >= 0)
			close(fd);
	}
	free(s->begun);
	s->begun = NULL;
	return printed;
}

/* -- tidying ------------------------------------------------------------------------------------------ */

typedef struct tidying {
	watch_state *state;
	bool (*is_gone)(void *context, const char *key);
	void *context;
	watch_entry **gone;
	size_t gone_count;
	char *text;
	size_t size, room, count;
	time_t now;
} tidying;

static void find_gone(const void *node, VISIT which, void *context)
{
	watch_entry *e = *(watch_entry *const *)node;
	tidying *t = context;

	if ((which == postorder || which == leaf) && t->now - e->when > KEPT_SECONDS &&
	    t->is_gone(t->context, e->key)) {
		t->gone = cli_realloc(t->gone, t->gone_count + 1, sizeof(*t->gone));
		t->gone[t->gone_count++] = e;
	}
}

static void add_line(tidying *t, const char *line)
{
	size_t n = strlen(line);

	if (t->room - t->size < n + 1) {
		t->room = 2 * t->room + n + 4096;
		t->text = cli_realloc(t->text, t->room, 1);
	}
	memcpy(t->text + t->size, line, n + 1);
	t->size += n;
}

static void add_entry(const void *node, VISIT which, void *context)
{
	const watch_entry *e = *(watch_entry *const *)node;
	tidying *t = context;

	if (which != postorder && which != leaf)
		return;
	char *line = done_line(e);
	add_line(t, line);
	t->count++;
	free(line);
}

int watch_state_tidy(watch_state *s, bool (*is_gone)(void *context, const char *key), void *context)
{
	tidying t = {.state = s, .is_gone = is_gone, .context = context, .now = time(NULL)};
	adtool_error err;
	int status = 0;

	/* A row that was begun is looked for in the output first. */
	if (s->begun || s->lines < 2 * s->kept + TIDY_FROM)
		return 0;
	twalk_r(s->by_key, find_gone, &t);
	for (size_t i = 0; i < t.gone_count; i++)
		drop_entry(s, t.gone[i]);
	twalk_r(s->by_key, add_entry, &t);
	char *head = cli_text(HEADER "tidied %zu\n", t.count), *text = cli_text("%s%s", head, t.text ? t.text : "");
	free(head);
	if (adtool_file_write(s->path, text, strlen(text), &err)) {
		status = cli_fail(s->path, &err);
	} else {
		int fd = open(s->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY);
		if (fd < 0) {
			status = fail_errno(s, "cannot open");
		} else {
			close(s->fd);
			s->fd = fd;
			s->lines = s->kept = t.count;
		}
	}
	free(t.gone);
	free(t.text);
	free(text);
	return status;
}

void watch_state_free(watch_state *s)
{
	if (!s)
		return;
	if (s->fd >= 0) {
		fsync(s->fd);
		close(s->fd);
	}
	if (s->lock >= 0)
		close(s->lock);
	tdestroy(s->by_inode, keep_entry);
	tdestroy(s->by_key, free_entry);
	free(s->begun);
	free(s->path);
	free(s);
}
