#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"
#include "dataset.h"

enum kind { FILE_ENTRY, FOLDER_ENTRY, REFUSED_ENTRY };

struct entry {
	union {
		size_t offset;    /* into names, while the folder is read */
		/* Afterwards; a folder's ends in '/', which is what makes the order that of the whole paths. */
		const char *name;
	};
	enum kind kind;
	int linked; /* a symbolic link */
	int error;  /* errno of stat, for REFUSED_ENTRY, or 0 and: */
	mode_t mode;
};

struct ad_walk_folder {
	dev_t device;
	ino_t inode;
	size_t path_size; /* of walk->path down to here, with the slash */
	ad_buf names;
	struct entry *entries;
	size_t count, capacity, next;
};

struct ad_walk_visit {
	dev_t device;
	ino_t inode;
	int used;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void folder_release(struct ad_walk_folder *f)
{
	ad_buf_release(&f->names);
	ad_free(f->entries);
	memset(f, 0, sizeof(*f));
}

/* What d_type does not tell, or a link hides, stat does. */
static void look(int fd, const struct dirent *d, struct entry *e)
{
	struct stat st;
	unsigned char type = d->d_type;

	if (type == DT_LNK || type == DT_UNKNOWN) {
		e->linked = type == DT_LNK;
		if (fstatat(fd, d->d_name, &st, 0)) {
			e->error = errno;
			if (type == DT_UNKNOWN)
				e->linked = !fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISLNK(st.st_mode);
			e->kind = REFUSED_ENTRY;
			return;
		}
		e->mode = st.st_mode;
	} else {
		e->mode = (mode_t)DTTOIF(type);
	}
	e->kind = S_ISDIR(e->mode) ? FOLDER_ENTRY : S_ISREG(e->mode) ? FILE_ENTRY : REFUSED_ENTRY;
}

static int add_entry(struct ad_walk_folder *f, int fd, const struct dirent *d, adtool_error *err)
{
	struct entry e = {.offset = f->names.size};

	if (f->count == f->capacity) {
		size_t capacity = f->capacity ? f->capacity * 2 : 32;
		struct entry *entries = ad_realloc_array(f->entries, capacity, sizeof(*entries));

		if (!entries)
			return ad_fail_nomem(err);
		f->entries = entries;
		f->capacity = capacity;
	}
	look(fd, d, &e);
	ad_buf_puts(&f->names, d->d_name);
	if (e.kind == FOLDER_ENTRY)
		ad_buf_putc(&f->names, '/');
	if (ad_buf_putc(&f->names, '\0'))
		return ad_fail_nomem(err);
	f->entries[f->count++] = e;
	return 0;
}

static int read_folder(struct ad_walk_folder *f, int fd, adtool_error *err)
{
	DIR *dir = fdopendir(fd);
	int code = 0;
	size_t i;

	if (!dir) {
		code = ad_fail_errno(err, errno, "cannot read the folder");
		close(fd);
		return code;
	}
	while (!code) {
		const struct dirent *d;

		errno = 0;
		d = readdir(dir);
		if (!d) {
			if (errno)
				code = ad_fail_errno(err, errno, "cannot read the folder");
			break;
		}
		if (d->d_name[0] != '.')
			code = add_entry(f, dirfd(dir), d, err);
	}
	closedir(dir);
	if (code)
		return code;
	for (i = 0; i < f->count; i++)
		f->entries[i].name = (const char *)f->names.data + f->entries[i].offset;
	if (f->count)
		qsort(f->entries, f->count, sizeof(*f->entries), compare);
	return 0;
}

/* -- what was read already ---------------------------------------------------------------------------- */

/* Where a folder stands in the table, or would. */
static struct ad_walk_visit *find_visit(struct ad_walk_visit *table, size_t room, dev_t device, ino_t inode)
{
	uint64_t h = ((uint64_t)inode ^ (uint64_t)device << 40) * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 20) & (room - 1);

	while (table[i].used && (table[i].device != device || table[i].inode != inode))
		i = (i + 1) & (room - 1);
	return &table[i];
}

/* 1: it is new, and remembered; 0: it was read already; negative: out of memory. */
static int visit(ad_walk *walk, dev_t device, ino_t inode, adtool_error *err)
{
	struct ad_walk_visit *at;

	if (walk->visited_count * 2 >= walk->visited_room) {
		size_t room = walk->visited_room ? walk->visited_room * 2 : 64, i;
		struct ad_walk_visit *table = ad_calloc(room, sizeof(*table));

		if (!table)
			return ad_fail_nomem(err);
		for (i = 0; i < walk->visited_room; i++)
			if (walk->visited[i].used)
				*find_visit(table, room, walk->visited[i].device, walk->visited[i].inode) =
				    walk->visited[i];
		ad_free(walk->visited);
		walk->visited = table;
		walk->visited_room = room;
	}
	at = find_visit(walk->visited, walk->visited_room, device, inode);
	if (at->used)
		return 0;
	*at = (struct ad_walk_visit){.device = device, .inode = inode, .used = 1};
	walk->visited_count++;
	return 1;
}

/* Whether a link leads to a folder below the top, which is met there under its own name, before or after. */
static int is_met_elsewhere(const ad_walk *walk)
{
	char *target = walk->top ? realpath((const char *)walk->path.data, NULL) : NULL;
	size_t n = walk->top ? strlen(walk->top) : 0;
	int below = target && !strncmp(target, walk->top, n) && (target[n] == '/' || (n && walk->top[n - 1] == '/'));

	ad_free(target);
	return below;
}

/* -- folders ----------------------------------------------------------------------------------------- */

/* Enters the folder that walk->path names: 0; 1 when it is not to be read once more. */
static int enter(ad_walk *walk, int linked, adtool_error *err)
{
	struct ad_walk_folder f = {0};
	struct stat st;
	size_t i;
	int fd, code;

	if (walk->depth > walk->max_depth)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "a folder more than the limit of %u levels below the input (--max-depth)",
			       walk->max_depth);
	if (walk->depth == walk->capacity) {
		size_t capacity = walk->capacity ? walk->capacity * 2 : 8;
		struct ad_walk_folder *folders = ad_realloc_array(walk->folders, capacity, sizeof(*folders));

		if (!folders)
			return ad_fail_nomem(err);
		walk->folders = folders;
		walk->capacity = capacity;
	}
	do
		fd = open((const char *)walk->path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return ad_fail_errno(err, errno, "cannot open the folder");
	if (fstat(fd, &st)) {
		code = ad_fail_errno(err, errno, "cannot stat");
		close(fd);
		return code;
	}
	for (i = 0; i < walk->depth; i++)
		if (walk->folders[i].device == st.st_dev && walk->folders[i].inode == st.st_ino) {
			close(fd);
			return ad_fail(err, ADTOOL_EIO, "a link to a folder that it lies in");
		}
	if (linked && is_met_elsewhere(walk)) {
		close(fd);
		return 1;
	}
	code = visit(walk, st.st_dev, st.st_ino, err);
	if (code <= 0) {
		close(fd);
		return code ? code : 1;
	}
	f.device = st.st_dev;
	f.inode = st.st_ino;
	code = read_folder(&f, fd, err);
	if (!code && walk->path.data[walk->path.size - 1] != '/' && ad_buf_putc(&walk->path, '/'))
		code = ad_fail_nomem(err);
	if (code) {
		folder_release(&f);
		return code;
	}
	f.path_size = walk->path.size;
	walk->folders[walk->depth++] = f;
	return 0;
}

/* Keeps some of the memory for the next walk. */
static void stop(ad_walk *walk)
{
	while (walk->depth)
		folder_release(&walk->folders[--walk->depth]);
	ad_free(walk->top);
	walk->top = NULL;
	ad_free(walk->visited);
	walk->visited = NULL;
	walk->visited_count = walk->visited_room = 0;
}

int ad_walk_start(ad_walk *walk, const char *top, unsigned max_depth, adtool_error *err)
{
	stop(walk);
	walk->max_depth = max_depth;
	ad_buf_clear(&walk->path);
	if (ad_buf_puts(&walk->path, top))
		return ad_fail_nomem(err);
	/* Without it links into the tree are only seen when they lead to what was read already. */
	walk->top = realpath(top, NULL);
	return enter(walk, 0, err);
}

static int refuse(const struct entry *e, adtool_error *why)
{
	if (!e->error)
		return ad_file_refuse(e->mode, why);
	if (e->linked && e->error == ENOENT)
		return ad_fail(why, ADTOOL_EIO, "a symbolic link to nothing");
	return ad_fail_errno(why, e->error, "cannot stat");
}

/* 1: a picture, or why->code says why it cannot be told; 0: something else. */
int ad_walk_picture(const char *path, adtool_error *why)
{
	uint8_t head[AD_SNIFF_BYTES];
	uint64_t size;
	size_t got;
	int fd, code;

	if (ad_kind_suffix(path)) {
		ad_kind_access(path, why);
		return 1;
	}
	fd = ad_file_open(path, &size, why);
	if (fd < 0)
		return 1;
	code = ad_kind_head(fd, head, sizeof(head), &got, why);
	close(fd);
	return code ? 1 : ad_kind_picture(head, got);
}

int ad_walk_next(ad_walk *walk, adtool_item *item, adtool_error *why, uint64_t *passed_over, adtool_error *err)
{
	why->code = 0;
	while (walk->depth) {
		struct ad_walk_folder *f = &walk->folders[walk->depth - 1];
		const struct entry *e;
		size_t n;

		if (f->next == f->count) {
			folder_release(f);
			walk->depth--;
			continue;
		}
		e = &f->entries[f->next++];
		walk->path.size = f->path_size;
		n = strlen(e->name) - (e->kind == FOLDER_ENTRY ? 1 : 0);
		if (ad_buf_add(&walk->path, e->name, n))
			return ad_fail_nomem(err);
		if (e->kind == FOLDER_ENTRY) {
			if (enter(walk, e->linked, why) >= 0)
				continue;
			if (why->code == ADTOOL_ENOMEM)
				return ad_fail_nomem(err);
		} else if (e->kind == REFUSED_ENTRY) {
			refuse(e, why);
		} else if (!ad_walk_picture((const char *)walk->path.data, why)) {
			(*passed_over)++;
			continue;
		}
		if (ad_kind_label((const char *)walk->path.data + walk->folders[0].path_size, &walk->label))
			return ad_fail_nomem(err);
		item->name = (const char *)walk->path.data;
		item->label = (const char *)walk->label.data;
		return 1;
	}
	return 0;
}

void ad_walk_release(ad_walk *walk)
{
	stop(walk);
	ad_free(walk->folders);
	ad_buf_release(&walk->path);
	ad_buf_release(&walk->label);
	memset(walk, 0, sizeof(*walk));
}
