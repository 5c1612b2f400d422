#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "watch.h"

/* A folder with an inotify watch. */
typedef struct place {
	int wd;
	size_t root;
	char *below; /* path below the root, "" for itself, else "sub/" */
} place;

typedef struct root {
	char *given, *real; /* both without a slash at the end, so "" is "/" */
	bool lacking;
} root;

/* A folder entered during a scan. */
typedef struct visit {
	dev_t device;
	ino_t inode;
} visit;

struct watch_tree {
	int fd;
	root *roots;
	size_t root_count;
	const char *const *outputs;
	watch_found_fn *found;
	void *context;
	void *places;  /* tree of place, by wd */
	void *visits;  /* tree of visit, during a scan */
	bool scanned;  /* once at least: what cannot be read was said */
	bool full;     /* no more watches can be had */
	bool lost;     /* events were lost */
};

static int by_wd(const void *a, const void *b)
{
	int x = ((const place *)a)->wd, y = ((const place *)b)->wd;

	return (x > y) - (x < y);
}

static int by_inode(const void *a, const void *b)
{
	const visit *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

static void free_place(void *p)
{
	free(((place *)p)->below);
	free(p);
}

/* -- watches ------------------------------------------------------------------------------------------ */

static char *path_of(const char *top, const char *below)
{
	char *path = cli_text("%s/%s", top, below);
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	return path;
}

static place *find_place(const watch_tree *t, int wd)
{
	place key = {.wd = wd};
	place **at = tfind(&key, &t->places, by_wd);

	return at ? *at : NULL;
}

/* Whether a watch's folder is still found where it was. */
static bool is_in_place(const watch_tree *t, const place *p, const struct stat *st)
{
	char *path = path_of(t->roots[p->root].given, p->below);
	struct stat there;
	bool same = !stat(path, &there) && there.st_dev == st->st_dev && there.st_ino == st->st_ino;

	free(path);
	return same;
}

/* Returns false when the folder is watched already, under another name. */
static bool add_watch(watch_tree *t, const char *path, size_t r, const char *below, const struct stat *st)
{
	if (t->fd < 0)
		return true;
	int wd = inotify_add_watch(t->fd, path,
				   IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE_SELF |
				       IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK);
	if (wd < 0) {
		if (!t->full && (errno == ENOSPC || errno == ENOMEM) && !cli_quiet)
			cli_warn(path, "no more inotify watches (fs.inotify.max_user_watches): it is looked at now and "
					  "then only");
		t->full |= errno == ENOSPC || errno == ENOMEM;
		return true;
	}
	/* A folder that was moved keeps its watch. */
	place *p = find_place(t, wd);
	if (p && (p->root != r || strcmp(p->below, below)) && is_in_place(t, p, st))
		return false;
	if (!p) {
		p = cli_alloc(1, sizeof(*p));
		p->wd = wd;
		if (!tsearch(p, &t->places, by_wd)) {
			cli_message(NULL, "out of memory");
			exit(CLI_FAILURE);
		}
	}
	free(p->below);
	p->below = cli_text("%s", below);
	p->root = r;
	return true;
}

static void drop_place(watch_tree *t, place *p)
{
	tdelete(p, &t->places, by_wd);
	free_place(p);
}

typedef struct below_list {
	size_t root;
	const char *below;
	place **items;
	size_t count;
} below_list;

static void collect_below(const void *node, VISIT which, void *context)
{
	place *p = *(place *const *)node;
	below_list *l = context;

	if ((which == postorder || which == leaf) && p->root == l->root &&
	    !strncmp(p->below, l->below, strlen(l->below))) {
		l->items = cli_realloc(l->items, l->count + 1, sizeof(*l->items));
		l->items[l->count++] = p;
	}
}

/* Ends the watches of a folder and of all below it. */
static void unwatch(watch_tree *t, size_t r, const char *below)
{
	below_list l = {.root = r, .below = below};

	twalk_r(t->places, collect_below, &l);
	for (size_t i = 0; i < l.count; i++) {
		inotify_rm_watch(t->fd, l.items[i]->wd);
		drop_place(t, l.items[i]);
	}
	free(l.items);
}

/* -- scanning ----------------------------------------------------------------------------------------- */

static bool is_output(const watch_tree *t, const struct stat *st)
{
	struct stat out;

	for (size_t i = 0; t->outputs[i]; i++)
		if (!stat(t->outputs[i], &out) && out.st_dev == st->st_dev && out.st_ino == st->st_ino)
			return true;
	return false;
}

/* Names that programs give to a file until it is whole. */
static bool is_under_way(const char *name)
{
	static const char *const endings[] = {".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", "~"};
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		size_t m = strlen(endings[i]);
		if (n > m && !strcmp(name + n - m, endings[i]))
			return true;
	}
	return false;
}

static void find_file(const watch_tree *t, size_t r, const char *below, const char *name, enum watch_how how)
{
	if (name[0] == '.' || is_under_way(name))
		return;
	char *shown = cli_text("%s/%s%s", t->roots[r].given, below, name);
	char *key = cli_text("%s/%s%s", t->roots[r].real, below, name);
	char *label = cli_text("%.*s", below[0] ? (int)strlen(below) - 1 : 0, below);
	t->found(t->context, shown, key, label, how);
	free(label);
	free(shown);
	free(key);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether it is entered for the first time in this scan. */
static bool first_visit(watch_tree *t, const struct stat *st)
{
	visit key = {st->st_dev, st->st_ino};

	if (tfind(&key, &t->visits, by_inode))
		return false;
	visit *v = cli_alloc(1, sizeof(*v));
	*v = key;
	if (!tsearch(v, &t->visits, by_inode)) {
		cli_message(NULL, "out of memory");
		exit(CLI_FAILURE);
	}
	return true;
}

/* Whether a link leads into a watched folder, where its target has a name of its own. */
static bool is_link_inside(const watch_tree *t, int dir_fd, const char *dir, const char *name)
{
	struct stat st;
	bool inside = false;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISLNK(st.st_mode))
		return false;
	char *path = cli_text("%s/%s", dir, name), *real = realpath(path, NULL);
	for (size_t r = 0; real && r < t->root_count && !inside; r++) {
		size_t n = strlen(t->roots[r].real);
		inside = !strncmp(real, t->roots[r].real, n) && (real[n] == '/' || !real[n]);
	}
	free(real);
	free(path);
	return inside;
}

/* Opens it to be read; NULL when there is nothing to be read. */
static DIR *enter_folder(watch_tree *t, const char *path, size_t r, const char *below)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	DIR *dir = NULL;

	if (fd < 0) {
		if (errno != ENOENT && errno != ENOTDIR && !t->scanned)
			cli_message(path, "cannot open the folder: %s", strerror(errno));
		return NULL;
	}
	/* Watched before it is read, so that nothing comes in unseen in between. */
	if (!fstat(fd, &st) && !is_output(t, &st) && first_visit(t, &st) && add_watch(t, path, r, below, &st))
		dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

/* below: "" or "sub/". */
static void scan_folder(watch_tree *t, size_t r, const char *below, unsigned depth)
{
	char *path = path_of(t->roots[r].given, below), **names = NULL;
	size_t count = 0;
	DIR *dir = enter_folder(t, path, r, below);

	for (const struct dirent *d; dir && (d = readdir(dir));) {
		if (d->d_name[0] == '.')
			continue;
		names = cli_realloc(names, count + 1, sizeof(*names));
		names[count++] = cli_text("%s", d->d_name);
	}
	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		struct stat st;
		if (!fstatat(dirfd(dir), names[i], &st, 0) && S_ISDIR(st.st_mode)) {
			char *sub = cli_text("%s%s/", below, names[i]);
			if (depth < cli_limits.depth && !is_link_inside(t, dirfd(dir), path, names[i]))
				scan_folder(t, r, sub, depth + 1);
			free(sub);
		} else {
			find_file(t, r, below, names[i], WATCH_SEEN);
		}
		free(names[i]);
	}
	free(names);
	if (dir)
		closedir(dir);
	free(path);
}

static void end_visits(watch_tree *t)
{
	tdestroy(t->visits, free);
	t->visits = NULL;
}

static void scan_root(watch_tree *t, size_t r)
{
	char *path = path_of(t->roots[r].given, "");
	struct stat st;
	bool there = !stat(path, &st) && S_ISDIR(st.st_mode);

	if (there != !t->roots[r].lacking && !cli_quiet)
		cli_warn(path, there ? "is there again" : "is gone; waiting for it to come back");
	if (!there && !t->roots[r].lacking)
		unwatch(t, r, "");
	t->roots[r].lacking = !there;
	if (there)
		scan_folder(t, r, "", 0);
	free(path);
}

void watch_tree_scan(watch_tree *t)
{
	for (size_t r = 0; r < t->root_count; r++)
		scan_root(t, r);
	end_visits(t);
	t->scanned = true;
}

bool watch_tree_lacks(const watch_tree *t)
{
	for (size_t r = 0; r < t->root_count; r++)
		if (t->roots[r].lacking)
			return true;
	return false;
}

void watch_tree_find_again(watch_tree *t)
{
	struct stat st;

	for (size_t r = 0; r < t->root_count; r++) {
		char *path = path_of(t->roots[r].given, "");
		if (t->roots[r].lacking && !stat(path, &st) && S_ISDIR(st.st_mode))
			scan_root(t, r);
		free(path);
	}
	end_visits(t);
}

/* -- events ------------------------------------------------------------------------------------------- */

static void take_event(watch_tree *t, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		if (!cli_quiet)
			cli_warn("watch", "more happened than inotify can hold; looking at everything");
		t->lost = true;
		return;
	}
	place *p = find_place(t, e->wd);
	if (!p)
		return;
	if (e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
		/* Of a folder below a root its parent tells. */
		size_t r = p->root;
		bool top = !p->below[0];
		if (e->mask & IN_IGNORED)
			drop_place(t, p);
		if (top) {
			unwatch(t, r, "");
			scan_root(t, r);
			end_visits(t);
		}
		return;
	}
	if (!e->len)
		return;
	size_t r = p->root;
	if (e->mask & IN_ISDIR) {
		if (e->name[0] == '.')
			return;
		char *sub = cli_text("%s%s/", p->below, e->name);
		unsigned depth = 0;
		for (const char *c = sub; *c; c++)
			depth += *c == '/';
		if (e->mask & IN_MOVED_FROM)
			unwatch(t, r, sub);
		else if (e->mask & (IN_CREATE | IN_MOVED_TO) && depth <= cli_limits.depth)
			scan_folder(t, r, sub, depth);
		end_visits(t);
		free(sub);
	} else if (e->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) {
		find_file(t, r, p->below, e->name, WATCH_CLOSED);
	} else if (e->mask & IN_CREATE) {
		find_file(t, r, p->below, e->name, WATCH_SEEN);
	}
}

bool watch_tree_read(watch_tree *t)
{
	/* As inotify(7) has it: aligned, and with room for one event at least. */
	_Alignas(struct inotify_event) char events[16384 + NAME_MAX + 1];
	ssize_t n;

	t->lost = false;
	while (t->fd >= 0 && (n = read(t->fd, events, sizeof(events))) > 0) {
		for (const char *at = events; at < events + n;) {
			const struct inotify_event *e = (const struct inotify_event *)(const void *)at;
			take_event(t, e);
			at += sizeof(*e) + e->len;
		}
	}
	return t->lost;
}

/* -- opening ------------------------------------------------------------------------------------------ */

/* 0, or why it cannot be looked into. */
static int check_folder(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno;
	if (!S_ISDIR(st.st_mode))
		return ENOTDIR;
	return access(path, R_OK | X_OK) ? errno : 0;
}

int watch_tree_open(const char *const *dirs, size_t count, const char *const *outputs, bool events,
		    watch_found_fn *found, void *context, watch_tree **out)
{
	watch_tree *t = cli_alloc(1, sizeof(*t));
	int status = 0;

	t->fd = -1;
	t->outputs = outputs;
	t->found = found;
	t->context = context;
	t->roots = cli_alloc(count, sizeof(*t->roots));
	for (size_t i = 0; i < count && !status; i++) {
		root *r = &t->roots[t->root_count++];
		int code = check_folder(dirs[i]);
		r->given = cli_text("%s", dirs[i]);
		r->real = code ? NULL : realpath(dirs[i], NULL);
		if (!r->real) {
			cli_message(dirs[i], "%s", strerror(code ? code : errno));
			status = CLI_FAILURE;
			break;
		}
		for (size_t n = strlen(r->given); n && r->given[n - 1] == '/';)
			r->given[--n] = '\0';
		if (!strcmp(r->real, "/"))
			r->real[0] = '\0';
	}
	if (!status && events) {
		t->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (t->fd < 0 && !cli_quiet)
			cli_message("watch", "no inotify (%s): folders are looked at now and then only",
				    strerror(errno));
	}
	if (status)
		watch_tree_free(t);
	else
		*out = t;
	return status;
}

int watch_tree_fd(const watch_tree *t)
{
	return t->fd;
}

void watch_tree_free(watch_tree *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	tdestroy(t->places, free_place);
	end_visits(t);
	for (size_t i = 0; i < t->root_count; i++) {
		free(t->roots[i].given);
		free(t->roots[i].real);
	}
	free(t->roots);
	free(t);
}
