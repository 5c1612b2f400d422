/* Scores pictures as they come into folders. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "watch/watch.h"

enum { BATCH = 64, ONCE_PATIENCE = 10 };

static const char *move_dir, *command, *state_path;
static double rescan = 60, settle = 2;
static bool once, exit_code;

static const cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTIONS_ROWS,
    CLI_OPTIONS_DECISION,
    {CLI_STRING, 0, "move-anomalous", "D", "move pictures that are anomalous to this folder", &move_dir, 0, 0, NULL, 0,
     0},
    {CLI_STRING, 0, "exec", "CMD", "run this for each picture, {} standing for its path", &command, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "once", NULL, "score what is there and new, and end", &once, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "exit-code", NULL, "with --once: end with status 1 when something is anomalous", &exit_code, 0, 0,
     NULL, 0, 0},
    {CLI_DOUBLE, 0, "rescan", "SECONDS", "look at everything so often; 0: never (default 60)", &rescan, 0, 1e6, NULL, 0,
     0},
    {CLI_DOUBLE, 0, "settle", "SECONDS", "a file is whole when unchanged so long (default 2)", &settle, 0, 1e6, NULL, 0,
     0},
    {CLI_STRING, 0, "state", "FILE", "remember here what was scored", &state_path, 0, 0, NULL, 0, 0},
    {CLI_FLAG, '0', "null", NULL, "rows of tsv end in NUL, not newline", &cli_null, 0, 0, NULL, 0, 0},
    CLI_OPTIONS_PACE,
    CLI_OPTION_SANDBOX,
    CLI_OPTION_JOBS,
    CLI_OPTION_END,
};

typedef struct watcher {
	watch_tree *tree;
	watch_hook hook;
	watch_candidates candidates;
	adtool_model *model;
	const char *model_path;
	struct stat model_st;  /* of the file that was opened, or refused */
	adtool_model_info info;
	/* The batch under way. */
	watch_candidate *batch[BATCH];
	size_t batch_count, batch_at;
	/* So many pictures to come are scored one by one: the process that scored them was lost. */
	size_t alone;
	int status;            /* a failure that ends the job */
	uint64_t normal, suspect, anomalous, errors, hook_failures, move_failures;
} watcher;

/* Takes the candidates that may be scored now into the batch. Returns when to look at the others, or INFINITY. */
static double take_batch(watcher *w)
{
	double due = watch_candidates_take(&w->candidates, w->batch, w->alone ? 1 : BATCH, &w->batch_count);

	w->batch_at = 0;
	if (w->alone && w->batch_count)
		w->alone--;
	return due;
}

/* -- rows --------------------------------------------------------------------------------------------- */

static void count_row(watcher *w, const adtool_row *row)
{
	if (row->verdict == ADTOOL_ERROR)
		w->errors++;
	else if (row->verdict == ADTOOL_ANOMALOUS)
		w->anomalous++;
	else if (row->verdict == ADTOOL_SUSPECT)
		w->suspect++;
	else
		w->normal++;
}

/* What every row of this picture begins with: what its row has in common with that of an error. */
static size_t common_prefix(const adtool_row *row, const char *text, size_t size)
{
	adtool_row other = {.name = row->name, .label = row->label, .verdict = ADTOOL_ERROR, .score = NAN, .p = NAN};
	char *other_text;
	size_t other_size, n = 0;

	if (row->verdict == ADTOOL_ERROR) {
		other.verdict = ADTOOL_NORMAL;
		other.score = other.p = other.threshold = 0;
	}
	if (cli_row_text(&other, NULL, &other_text, &other_size))
		return size;
	while (n < size && n < other_size && text[n] == other_text[n])
		n++;
	adtool_free(other_text);
	return n;
}

/* begin, print, the command, done but for a move: see watch.h. key: of the file, or of the page. */
static int tell(watcher *w, watch_candidate *c, const char *key, const adtool_row *given)
{
	adtool_row labelled = *given, *row = &labelled;
	char *text;
	size_t size;

	row->label = c->label;
	int status = cli_row_text(row, &w->info, &text, &size);
	if (status)
		return status;
	size_t printed = watch_state_printed(w->candidates.state, key, text, size, common_prefix(row, text, size));
	if (!printed)
		status = watch_state_begin(w->candidates.state, key);
	if (!status && row->verdict == ADTOOL_ERROR)
		cli_message(row->name, "%s", row->why);
	if (!status && printed < size &&
	    (printed ? cli_write_whole(text + printed, size - printed) : cli_print_row(row, &w->info)))
		status = CLI_FAILURE;
	adtool_free(text);
	if (status)
		return status;
	count_row(w, row);
	if (command && watch_hook_run(&w->hook, row))
		w->hook_failures++;
	c->anomalous |= row->verdict == ADTOOL_ANOMALOUS;
	return 0;
}

/* After the last row of a file. */
static int finish(watcher *w, watch_candidate *c, const char *digest)
{
	if (move_dir && c->anomalous && watch_move(c->shown, move_dir))
		w->move_failures++;
	int status = watch_state_done(w->candidates.state, c->key, &c->st, digest, false);
	watch_candidates_drop(&w->candidates, c);
	return status;
}

/* Whether the row is of the file, or of one of its pages: f.tif#2. */
static bool is_row_of(const watch_candidate *c, const char *name)
{
	size_t n = strlen(c->shown);

	return !strncmp(name, c->shown, n) &&
	       (!name[n] || (name[n] == '#' && strspn(name + n + 1, "0123456789") == strlen(name + n + 1)));
}

static int take_page(watcher *w, watch_candidate *c, const adtool_row *row)
{
	char *key = cli_text("%s%s", c->key, row->name + strlen(c->shown));
	int status = 0;

	c->paged = true;
	snprintf(c->told, sizeof(c->told), "%s", row->digest ? row->digest : "-");
	/* It may have been told of by a run that was ended between two pages. */
	if (!watch_state_knows_page(w->candidates.state, key, &c->st, row->digest))
		status = tell(w, c, key, row);
	if (!status)
		status = watch_state_done(w->candidates.state, key, &c->st, row->digest, true);
	free(key);
	return status;
}

static int take_row(void *context, const adtool_row *row)
{
	watcher *w = context;
	struct stat st;

	while (w->batch_at < w->batch_count && !is_row_of(w->batch[w->batch_at], row->name)) {
		/* The one before had pages, and these are over. */
		if (w->batch[w->batch_at]->paged)
			w->status = finish(w, w->batch[w->batch_at], w->batch[w->batch_at]->told);
		w->batch_at++;
	}
	if (w->batch_at == w->batch_count) {
		cli_message(row->name, "a row for nothing that was asked for");
		return w->status = CLI_FAILURE;
	}
	watch_candidate *c = w->batch[w->batch_at];
	bool silent = c->digest[0] && row->digest && !strcmp(c->digest, row->digest);
	bool page = row->name[strlen(c->shown)] == '#';
	if (!page)
		w->batch_at++;
	if (w->status) {
		/* The state cannot be kept. */
	} else if (cli_stopped() && !c->paged) {
		/* It was read ahead, and is not the one in hand: the next run tells of it. */
	} else if (row->verdict == ADTOOL_ERROR && lstat(c->shown, &st) && errno == ENOENT) {
		/* It was deleted, or renamed and will be found under its new name. */
		if (!page)
			watch_candidates_drop(&w->candidates, c);
	} else if (page) {
		w->status = take_page(w, c, row);
	} else {
		w->status = silent ? 0 : tell(w, c, c->key, row);
		if (!w->status)
			w->status = finish(w, c, row->digest);
	}
	if (w->status)
		cli_request_stop();
	return w->status;
}

/* -- the model ---------------------------------------------------------------------------------------- */

/*
 * A copy in memory, so that a model that is written over in place, and not replaced, leaves the one in use as it is.
 * -1 where that is not possible.
 */
static int copy_model(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), to = memfd_create("model", MFD_CLOEXEC);
	bool whole = from >= 0 && to >= 0 && !watch_copy_bytes(from, to);

	if (from >= 0)
		close(from);
	if (to >= 0 && !whole) {
		close(to);
		to = -1;
	}
	return to;
}

static int open_model(const char *path, adtool_model **model, adtool_error *err)
{
	int copy = copy_model(path);
	char *name = copy < 0 ? cli_text("%s", path) : cli_text("/proc/self/fd/%d", copy);
	int code = adtool_model_open(name, model, err);

	free(name);
	if (copy >= 0)
		close(copy);
	return code;
}

/* Lets it prepare its network here, so that not every process that scores has to. */
static void warm_up(const adtool_model *model)
{
	static const char pixel[] = "P5 1 1 255\n";
	double score;
	adtool_error err;

	adtool_score_image(model, pixel, sizeof(pixel), &score, NULL, NULL, &err);
}

/* Opens it, when it was replaced; one that cannot be used leaves the old one in force. */
static int renew_model(watcher *w)
{
	struct stat st;
	adtool_model *model;
	adtool_error err;

	if (w->model && (stat(w->model_path, &st) || watch_same_file(&st, &w->model_st)))
		return 0;
	/* From before it is opened, so that what is written meanwhile is seen the next time. */
	if (!w->model && stat(w->model_path, &st))
		memset(&st, 0, sizeof(st));
	w->model_st = st;
	int status = cli_check_model_size(w->model_path);
	if (!status && open_model(w->model_path, &model, &err))
		status = cli_fail(w->model_path, &err);
	if (status) {
		if (!w->model)
			return CLI_FAILURE;
		cli_warn(w->model_path, "has changed, and cannot be used: going on with the model as it was");
		return 0;
	}
	if (w->model && !cli_quiet)
		cli_remark(w->model_path, "has changed, and was read again");
	adtool_model_free(w->model);
	w->model = model;
	if (!cli_no_sandbox)
		warm_up(model);
	return 0;
}

/* -- the work ----------------------------------------------------------------------------------------- */

/* The process that scored the batch was killed by this signal, perhaps by a picture. */
static int lose_batch(watcher *w, int number)
{
	if (w->batch_count > 1) {
		cli_warn(
		    "watch",
		    "the process that scores was killed by signal %d (%s): pictures are scored one by one for a while",
		    number, strsignal(number));
		w->alone = w->batch_count;
		return 0;
	}
	char *why = cli_text("the process that scored it was killed by signal %d (%s)", number, strsignal(number));
	const adtool_row row = {.name = w->batch[0]->shown,
				.verdict = ADTOOL_ERROR,
				.score = NAN,
				.p = NAN,
				.threshold = NAN,
				.code = ADTOOL_EFORMAT,
				.why = why};
	int status = w->batch_at ? 0 : take_row(w, &row);
	free(why);
	return status;
}

static int score_batch(watcher *w)
{
	const char *inputs[BATCH], *folders[4];
	watch_job job = {.inputs = inputs, .count = w->batch_count, .folders = folders};
	adtool_error err;
	size_t n = 0;
	int code, lost = 0;

	int status = renew_model(w);
	if (!status)
		status = cli_score_options(w->model, &job.scoring, &w->info);
	if (status)
		return status;
	job.model = w->model;
	job.scoring.digest = 1;
	job.scoring.row = take_row;
	job.scoring.context = w;
	cli_dataset_options(&job.reading);
	job.reading.plain_files = 1;
	job.reading.stop_fd = cli_stop_fd();
	job.reading.rate = cli_score.rate;
	for (size_t i = 0; i < w->batch_count; i++)
		inputs[i] = w->batch[i]->shown;
	const char *const given[] = {cli_score.heatmap_dir, cli_score.overlay_dir, cli_score.map_dir};
	for (size_t i = 0; i < 3; i++)
		if (given[i])
			folders[n++] = given[i];
	folders[n] = NULL;
	code = cli_no_sandbox ? watch_score(&job, &err) : watch_score_apart(&job, &lost, &err);
	if (!w->status && lost)
		w->status = lose_batch(w, lost);
	/* Of a file with pages the last row is not known as such before. */
	if (!w->status && !code && !lost && !cli_stopped() && w->batch_at < w->batch_count &&
	    w->batch[w->batch_at]->paged)
		w->status = finish(w, w->batch[w->batch_at], w->batch[w->batch_at]->told);
	if (w->status)
		return w->status;
	return code ? cli_fail("watch", &err) : 0;
}

/* Whether a file is gone, and its folder was not merely unmounted: then that would be missing, or empty. */
static bool is_gone(void *context, const char *key)
{
	struct stat st;
	char *folder = cli_text("%.*s", (int)(strrchr(key, '/') - key), key);
	(void)context;
	bool gone = lstat(key, &st) && errno == ENOENT;
	if (gone) {
		DIR *dir = opendir(folder);
		size_t entries = 0;
		while (dir && entries < 3 && readdir(dir))
			entries++;
		gone = entries > 2;
		if (dir)
			closedir(dir);
	}
	free(folder);
	return gone;
}

/* Waits for an event, a signal, or the time. */
static void wait_until(const watcher *w, double when)
{
	struct pollfd p[2] = {{.fd = cli_stop_fd(), .events = POLLIN},
			      {.fd = watch_tree_fd(w->tree), .events = POLLIN}};
	double left = when - watch_now();
	/* The model and folders that are gone are looked for every second. */
	int ms = left <= 0 ? 0 : left >= 1 ? 1000 : (int)ceil(left * 1e3);

	if (ms)
		poll(p, 2, ms);
}

/* With --once: what goes on being written is left for the next time. */
static bool is_through(watcher *w, double started)
{
	size_t left = watch_candidates_count(&w->candidates);

	if (left && watch_now() < started + w->candidates.settle * ONCE_PATIENCE + 1)
		return false;
	if (left && !cli_quiet)
		cli_warn("watch", "%zu files are still being written; left for the next time", left);
	return true;
}

static int work(watcher *w)
{
	double started = watch_now(), next_scan = started, due;
	int status = 0;

	while (!status && !cli_stopped()) {
		if (watch_tree_read(w->tree))
			next_scan = 0;
		if (watch_tree_lacks(w->tree))
			watch_tree_find_again(w->tree);
		if (watch_now() >= next_scan) {
			watch_tree_scan(w->tree);
			next_scan = once || rescan <= 0 ? INFINITY : watch_now() + rescan;
			status = watch_state_tidy(w->candidates.state, is_gone, NULL);
			if (status)
				break;
		}
		due = take_batch(w);
		if (w->batch_count) {
			status = score_batch(w);
			/* What was not come to is a candidate still. */
			started = watch_now();
			continue;
		}
		if (once && is_through(w, started))
			break;
		status = renew_model(w);
		wait_until(w, due < next_scan ? due : next_scan);
	}
	return status;
}

/* -- running ------------------------------------------------------------------------------------------ */

/* $XDG_STATE_HOME/adtool/watch-HASH, of the folders. */
static char *default_state(size_t count, const char **dirs)
{
	const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < count; i++) {
		char *real = realpath(dirs[i], NULL);
		for (const char *c = real ? real : dirs[i]; *c; c++)
			hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
		hash *= 0x100000001b3u;
		free(real);
	}
	if (!(base && base[0] == '/') && !(home && home[0] == '/')) {
		cli_message(
		    "watch",
		    "neither XDG_STATE_HOME nor HOME says where to remember what was scored: name a --state FILE");
		return NULL;
	}
	char *folder = base && base[0] == '/' ? cli_text("%s/adtool", base) : cli_text("%s/.local/state/adtool", home);
	char *path = watch_make_folder(folder) ? NULL : cli_text("%s/watch-%016llx", folder, (unsigned long long)hash);
	free(folder);
	return path;
}

static bool output_is_empty(void)
{
	struct stat st;

	return fstat(STDOUT_FILENO, &st) || !S_ISREG(st.st_mode) || !st.st_size;
}

static int prepare(watcher *w, size_t count, const char **dirs)
{
	static const char *outputs[5];
	size_t n = 0;
	int status = cli_set_nice();

	if (!status)
		status = cli_catch_stop();
	if (!status && command)
		status = watch_hook_parse(&w->hook, command);
	if (!status && move_dir)
		status = watch_make_folder(move_dir);
	w->model_path = status ? NULL : cli_model_path(cli_score.model);
	if (!w->model_path)
		return status ? status : CLI_FAILURE;
	const char *const given[] = {move_dir, cli_score.heatmap_dir, cli_score.overlay_dir, cli_score.map_dir};
	for (size_t i = 0; i < 4; i++)
		if (given[i])
			outputs[n++] = given[i];
	status = renew_model(w);
	if (!status)
		status = watch_tree_open(dirs, count, outputs, !once, watch_candidates_found, &w->candidates,
					 &w->tree);
	if (status)
		return status;
	char *path = state_path ? cli_text("%s", state_path) : default_state(count, dirs);
	status = path ? watch_state_open(path, &w->candidates.state) : CLI_FAILURE;
	if (path && cli_verbose)
		cli_remark("watch", "what was scored is remembered in %s", path);
	free(path);
	if (!status) {
		adtool_score_options o;
		status = cli_score_options(w->model, &o, &w->info);
	}
	/* A header goes before the first row of a file only. */
	if (!status && output_is_empty() && cli_print_row(NULL, &w->info))
		status = CLI_FAILURE;
	return status;
}

static int run(size_t count, const char **dirs)
{
	watcher w = {.candidates = {.settle = settle}};

	/* When a lease is broken: see watch_candidates_take. */
	cli_ignore_signal(SIGIO);
	if (exit_code && !once)
		return cli_usage_error("option '--exit-code' goes with '--once'");
	int status = prepare(&w, count, dirs);
	if (!status)
		status = work(&w);
	if (cli_verbose)
		cli_remark("watch", "%llu normal, %llu suspect, %llu anomalous, %llu errors, %llu commands failed",
			   (unsigned long long)w.normal, (unsigned long long)w.suspect, (unsigned long long)w.anomalous,
			   (unsigned long long)w.errors, (unsigned long long)w.hook_failures);
	if (!status && once && cli_stopped())
		status = CLI_SIGNAL + cli_stopped();
	else if (!status && once && (w.errors || w.move_failures))
		status = CLI_UNREADABLE;
	else if (!status && exit_code && w.anomalous)
		status = CLI_ANOMALOUS;
	watch_tree_free(w.tree);
	watch_state_free(w.candidates.state);
	watch_hook_release(&w.hook);
	watch_candidates_free(&w.candidates);
	adtool_model_free(w.model);
	return status;
}

const cli_command cli_program = {
    .name = "watch",
    .page = "adtool-watch",
    .operands = "DIR...",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};
