/*
 * The parts of `adtool watch`: what there is to see (tree.c), what was told already (state.c), what waits to be scored
 * (candidates.c), how a batch is scored (score.c), what happens to a picture afterwards (after.c).
 *
 * A file has two names: as shown (the folder as it was given, and the path below it), and its key (the same from
 * the folder's absolute path), which stays what it is when adtool is started from elsewhere.
 */
#ifndef WATCH_H
#define WATCH_H

#include <sys/stat.h>

#include "../cli.h"

/* -- tree.c: folders and what happens in them --------------------------------------------------------- */

enum watch_how {
	WATCH_SEEN,  /* it is there; whether it is whole has to be found out */
	WATCH_CLOSED /* it was closed by who wrote it, or moved here */
};

/* label: the folder below the one that is watched, "" directly in it. */
typedef void watch_found_fn(void *context, const char *shown, const char *key, const char *label, enum watch_how how);

typedef struct watch_tree watch_tree;

/*
 * Folders that must be there. events: with inotify; else they are only seen by watch_tree_scan. Files that a walk of
 * `adtool score` would pass over are not found, nor what lies in a folder of `outputs` (NULL at the end), nor names of
 * files under way (.part and the like). Returns 0, or a status with a message.
 */
int watch_tree_open(const char *const *dirs, size_t count, const char *const *outputs, bool events,
		    watch_found_fn *found, void *context, watch_tree **out);
/* To be polled; -1 without events. */
int watch_tree_fd(const watch_tree *tree);
/* Takes all events that are there. Returns whether a scan is needed: some were lost. */
bool watch_tree_read(watch_tree *tree);
/* Looks at everything, and finds folders again that were gone. */
void watch_tree_scan(watch_tree *tree);
/* Whether a folder is gone that may come back, so that watch_tree_find_again should be called now and then. */
bool watch_tree_lacks(const watch_tree *tree);
void watch_tree_find_again(watch_tree *tree);
void watch_tree_free(watch_tree *tree);

/* -- state.c: what was told ---------------------------------------------------------------------------- */

enum { WATCH_DIGEST = 65 };

/* One picture that was told of. */
typedef struct watch_entry {
	char *key;
	uint64_t device, inode;
	int64_t size, mtime; /* bytes; nanoseconds since 1970 */
	int64_t when;        /* it was scored, seconds since 1970 */
	char digest[WATCH_DIGEST]; /* SHA-256 of its bytes in hex, "-": none, it could not be read */
} watch_entry;

typedef struct watch_state watch_state;

/*
 * Reads the file, if any, and locks it. The file is text: a line that says what it is, then one line for each thing
 * that happened, appended; a last line that was cut is dropped. Returns 0, or a status with a message.
 */
int watch_state_open(const char *path, watch_state **out);

/* What is to be done with a file. */
enum watch_verdict {
	WATCH_KNOWN,  /* it was told of */
	WATCH_NEW,
	WATCH_COMPARE /* to be scored, and passed over in silence when its digest is *digest */
};
/*
 * written: it was written to since it was told of. A file that has moved is recognised, and recorded under its new key.
 */
enum watch_verdict watch_state_judge(watch_state *state, const char *key, const struct stat *st, bool written,
				     const char **digest);

/*
 * A row is told in this order: _begin (where standard output is a file: how far that was written), the row is printed,
 * what follows is done, _done. After a kill between the first two and the last, _printed tells from the output
 * itself whether the row got there. 0, or a status with a message.
 */
int watch_state_begin(watch_state *state, const char *key);
int watch_state_done(watch_state *state, const char *key, const struct stat *st, const char *digest, bool page);
/* Whether a page of the file was told of since the file changed, or has the same bytes as then. */
bool watch_state_knows_page(const watch_state *state, const char *key, const struct stat *st, const char *digest);
/*
 * How many bytes of the row are in the output already because of an earlier run; the same picture with another score
 * counts as whole. prefix_size: what every row of this picture begins with.
 */
size_t watch_state_printed(watch_state *state, const char *key, const char *row, size_t size, size_t prefix_size);
/* Forgets what is long gone, when the file has become long. 0, or a status with a message. */
int watch_state_tidy(watch_state *state, bool (*is_gone)(void *context, const char *key), void *context);
void watch_state_free(watch_state *state);

/* -- candidates.c: what was not scored yet ---------------------------------------------------------------- */

/* A file that is there but was not scored yet. */
typedef struct watch_candidate {
	char *shown, *key, *label;
	struct stat st;       /* as last looked at */
	double since;         /* it has been so since then */
	bool ready, written;  /* closed by who wrote it; since it was told of, or may be */
	/* In a batch: */
	char digest[WATCH_DIGEST]; /* when the row has this one nothing is said; "" */
	char told[WATCH_DIGEST];   /* of the last page */
	bool paged, anomalous;     /* it has pages, a row each; one of the rows was anomalous */
} watch_candidate;

typedef struct watch_candidates {
	void *tree; /* by key; owns */
	watch_state *state;
	double settle; /* seconds that a file must stay as it is, when nobody tells that it was closed */
} watch_candidates;

/* Of the candidates, which are the context. */
watch_found_fn watch_candidates_found;
/* Frees it. */
void watch_candidates_drop(watch_candidates *all, watch_candidate *c);
/*
 * The first `most`, in byte order of their keys, that are whole; drops those that are gone, known, or no pictures.
 * Returns when to look at the others, or INFINITY. A file that somebody has open for writing is told by a lease on it:
 * breaking that raises SIGIO.
 */
double watch_candidates_take(watch_candidates *all, watch_candidate **batch, size_t most, size_t *count);
size_t watch_candidates_count(const watch_candidates *all);
void watch_candidates_free(watch_candidates *all); /* not its state */

/* By device, inode, size and time. */
bool watch_same_file(const struct stat *a, const struct stat *b);
/* Seconds of a clock that runs evenly. */
double watch_now(void);

/* -- score.c: a batch ----------------------------------------------------------------------------------- */

typedef struct watch_job {
	const adtool_model *model;
	const char *const *inputs;
	size_t count;
	adtool_dataset_options reading; /* with a stop_fd */
	adtool_score_options scoring;   /* with `row`; the map of a row has no cells when it is scored apart */
	const char *const *folders;     /* where pictures of heat are written; NULL at the end */
} watch_job;

/* Scores it in this process, as adtool_score. */
int watch_score(const watch_job *job, adtool_error *err);
/*
 * The same in a process of its own, inside the sandbox of `score`; rows come here. *lost: 0, or the signal that ended
 * that process before it was through, and then 0 is returned. With -v says once what is in force.
 */
int watch_score_apart(const watch_job *job, int *lost, adtool_error *err);

/* -- after.c: what follows a row ----------------------------------------------------------------------- */

typedef struct watch_hook {
	char **words; /* NULL at the end */
	size_t count;
} watch_hook;

/* Words are what blanks separate. Returns 0, or a status with a message. */
int watch_hook_parse(watch_hook *hook, const char *command);
void watch_hook_release(watch_hook *hook);
/* Runs the command and waits for it. Says what went wrong; non-zero then. */
int watch_hook_run(const watch_hook *hook, const adtool_row *row);

/* All that `from` still gives; 0 or errno. */
int watch_copy_bytes(int from, int to);
/* Makes the folder and those above it. Returns 0, or a status with a message. */
int watch_make_folder(const char *path);
/*
 * Moves a file into a folder under its own name, or name.1, name.2 when that is taken by something else; to another
 * file system it is copied and synced before the old one goes. Says what went wrong; non-zero then.
 */
int watch_move(const char *path, const char *folder);

#endif
