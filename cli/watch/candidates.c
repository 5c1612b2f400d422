/* Files that are there but were not scored yet, and which of them are whole. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <search.h>
#include <time.h>
#include <unistd.h>

#include "watch.h"

double watch_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const watch_candidate *)a)->key, ((const watch_candidate *)b)->key);
}

static void free_candidate(void *p)
{
	watch_candidate *c = p;

	free(c->shown);
	free(c->key);
	free(c->label);
	free(c);
}

void watch_candidates_drop(watch_candidates *all, watch_candidate *c)
{
	tdelete(c, &all->tree, by_key);
	free_candidate(c);
}

void watch_candidates_found(void *context, const char *shown, const char *key, const char *label, enum watch_how how)
{
	watch_candidates *all = context;
	watch_candidate wanted = {.key = (char *)(uintptr_t)key};
	watch_candidate **at = tfind(&wanted, &all->tree, by_key), *c = at ? *at : NULL;
	struct stat st;

	if (stat(shown, &st) && lstat(shown, &st))
		return;
	if (!c) {
		const char *digest;
		if (S_ISDIR(st.st_mode) ||
		    watch_state_judge(all->state, key, &st, how == WATCH_CLOSED, &digest) == WATCH_KNOWN)
			return;
		c = cli_alloc(1, sizeof(*c));
		c->shown = cli_text("%s", shown);
		c->key = cli_text("%s", key);
		c->label = cli_text("%s", label);
		c->st = st;
		c->since = watch_now();
		if (!tsearch(c, &all->tree, by_key)) {
			cli_message(NULL, "out of memory");
			exit(CLI_FAILURE);
		}
	}
	if (how == WATCH_CLOSED)
		c->ready = c->written = true;
}

bool watch_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/*
 * Whether somebody has it open for writing, as far as that can be told: by a lease, for our own files on local disks.
 */
static bool is_being_written(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool written = false;

	if (fd < 0)
		return false;
	if (!fcntl(fd, F_SETLEASE, F_RDLCK))
		fcntl(fd, F_SETLEASE, F_UNLCK);
	else
		written = errno == EAGAIN;
	close(fd);
	return written;
}

typedef struct listing {
	watch_candidate **items;
	size_t count;
} listing;

static void list_one(const void *node, VISIT which, void *context)
{
	listing *l = context;

	if (which == postorder || which == leaf)
		l->items[l->count++] = *(watch_candidate *const *)node;
}

static void count_one(const void *node, VISIT which, void *context)
{
	(void)node;
	*(size_t *)context += which == postorder || which == leaf;
}

/* All of them, in byte order of their keys; the caller frees the items. */
static listing list_all(const watch_candidates *all)
{
	listing l = {0};

	l.items = cli_alloc(watch_candidates_count(all) + 1, sizeof(*l.items));
	twalk_r(all->tree, list_one, &l);
	return l;
}

/* Whether a candidate may be scored now; drops it when it is gone. *due: when to look again. */
static bool is_whole(watch_candidates *all, watch_candidate *c, double *due)
{
	struct stat st;
	double t = watch_now();

	if (stat(c->shown, &st) && lstat(c->shown, &st)) {
		watch_candidates_drop(all, c);
		return false;
	}
	bool regular = S_ISREG(st.st_mode);
	if (!watch_same_file(&st, &c->st)) {
		c->st = st;
		c->since = t;
	}
	/* Who wrote it has closed it, unless it was opened again; and what was looked at is what was closed. */
	if (!regular || ((c->ready || t >= c->since + all->settle) && !is_being_written(c->shown) &&
			 !stat(c->shown, &st) && watch_same_file(&st, &c->st)))
		return true;
	c->ready = false;
	if (t >= c->since + all->settle)
		c->since = t;
	if (*due > c->since + all->settle)
		*due = c->since + all->settle;
	return false;
}

double watch_candidates_take(watch_candidates *all, watch_candidate **batch, size_t most, size_t *count)
{
	listing l = list_all(all);
	double due = INFINITY;
	size_t n = 0;

	for (size_t i = 0; i < l.count && n < most; i++) {
		watch_candidate *c = l.items[i];
		const char *digest = "";
		/* Most of them wait: not looked at before their time. */
		if (!c->ready && watch_now() < c->since + all->settle) {
			if (due > c->since + all->settle)
				due = c->since + all->settle;
			continue;
		}
		if (!is_whole(all, c, &due))
			continue;
		enum watch_verdict verdict = watch_state_judge(all->state, c->key, &c->st, c->written, &digest);
		if (verdict == WATCH_KNOWN || !adtool_dataset_would_list(c->shown)) {
			watch_candidates_drop(all, c);
			continue;
		}
		c->paged = c->anomalous = false;
		snprintf(c->digest, sizeof(c->digest), "%s",
			 verdict == WATCH_COMPARE && strcmp(digest, "-") ? digest : "");
		batch[n++] = c;
	}
	free(l.items);
	*count = n;
	return due;
}

size_t watch_candidates_count(const watch_candidates *all)
{
	size_t count = 0;

	twalk_r(all->tree, count_one, &count);
	return count;
}

void watch_candidates_free(watch_candidates *all)
{
	tdestroy(all->tree, free_candidate);
	all->tree = NULL;
}
