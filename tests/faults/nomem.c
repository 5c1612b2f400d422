/*
 * nomem [--stride S] BACKBONE FOLDER ARCHIVE OUT: trains a model, saves it, opens it, sets a threshold and scores,
 * again and again in processes of their own; in the n-th the library's n-th allocation fails, n = 1, 1 + S, ... until
 * one comes to the end without needing n. Each must end in ADTOOL_ENOMEM with a message, or in the very results
 * that the undisturbed run has. The linker leads the calls of lib/base/mem.h here (--wrap).
 */
#include <adtool/adtool.h>
#include <dlfcn.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- the allocations --------------------------------------------------------------------------------- */

static atomic_ulong calls;
static unsigned long failing; /* 0: none */

static int fails(void)
{
	return atomic_fetch_add(&calls, 1) + 1 == failing;
}

#define WRAP(type, name, parameters, arguments)                                                                        \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		return fails() ? NULL : __real_##name arguments;                                                       \
	}
WRAP(void *, ad_malloc, (size_t size), (size))
WRAP(void *, ad_calloc, (size_t count, size_t size), (count, size))
WRAP(void *, ad_malloc_array, (size_t count, size_t size), (count, size))
WRAP(void *, ad_realloc_array, (void *block, size_t count, size_t size), (block, count, size))
WRAP(char *, ad_strdup, (const char *text), (text))
WRAP(char *, ad_strndup, (const char *text, size_t n), (text, n))
WRAP(void *, ad_malloc_aligned, (size_t count, size_t size), (count, size))

/* -- the job ----------------------------------------------------------------------------------------- */

enum { MOST_ROWS = 64 };

struct result {
	size_t count;
	double scores[MOST_ROWS];
	int verdicts[MOST_ROWS];
	size_t text; /* bytes of rows as text */
	double threshold;
};

/* What went wrong, as the parent is to see it. */
struct outcome {
	int code;
	adtool_error error;
	struct result result;
	unsigned long calls;
	const char *stage;
};

static const char *backbone_path, *folder, *archive, *out_folder;

static int on_row(void *context, const adtool_row *row)
{
	struct result *r = context;
	adtool_error err;
	char *text;
	size_t size;

	/* Formatting has errors of its own; here they only stop the job. */
	if (adtool_row_format(row, ADTOOL_JSONL, NULL, &text, &size, &err))
		return 1;
	adtool_free(text);
	if (r->count == MOST_ROWS)
		abort();
	r->scores[r->count] = row->verdict == ADTOOL_ERROR ? -1 : row->score;
	r->verdicts[r->count++] = (int)row->verdict;
	r->text += size;
	return 0;
}

static int train(const char *model_path, const char **stage, adtool_error *err)
{
	adtool_backbone *backbone = NULL;
	adtool_model *model = NULL;
	adtool_train_options o;
	adtool_train_report report;
	int code;

	*stage = "backbone";
	code = adtool_backbone_open(backbone_path, &backbone, err);
	adtool_train_options_init(&o);
	o.width = o.height = 16;
	o.grid = 2;
	o.channels = 4;
	o.threads = 1;
	o.keep_stats = 1;
	if (!code)
		*stage = "train";
	if (!code)
		code = adtool_train(backbone, &folder, 1, NULL, &o, &model, &report, err);
	if (!code)
		*stage = "save";
	if (!code)
		code = adtool_model_save(model, model_path, 1, err);
	adtool_model_free(model);
	adtool_backbone_free(backbone);
	return code;
}

static int score(const char *model_path, struct result *r, const char **stage, adtool_error *err)
{
	const char *inputs[2] = {folder, archive};
	adtool_threshold_options t;
	adtool_score_options o;
	adtool_dataset *dataset = NULL;
	adtool_model *model = NULL;
	char maps[4096];
	int code;

	snprintf(maps, sizeof(maps), "%s/maps", out_folder);
	*stage = "open";
	code = adtool_model_open(model_path, &model, err);
	adtool_threshold_options_init(&t);
	t.rule = ADTOOL_RULE_CONFORMAL;
	t.alpha = 0.2;
	if (!code)
		*stage = "threshold";
	if (!code)
		code = adtool_threshold_set(model, &t, err);
	if (!code)
		r->threshold = adtool_model_get_info(model)->threshold;
	if (!code)
		*stage = "dataset";
	if (!code)
		code = adtool_dataset_open(inputs, 2, NULL, &dataset, err);
	adtool_score_options_init(&o);
	o.threads = 1;
	o.digest = 1;
	o.heatmap_dir = o.overlay_dir = o.map_dir = maps;
	o.regions = 1;
	o.thumbnail = 16;
	o.row = on_row;
	o.context = r;
	if (!code)
		*stage = "score";
	if (!code)
		code = adtool_score(model, dataset, &o, NULL, err);
	adtool_dataset_free(dataset);
	adtool_model_free(model);
	return code;
}

static void job(struct outcome *o)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/model.zip", out_folder);
	unlink(path);
	o->code = train(path, &o->stage, &o->error);
	if (!o->code)
		o->code = score(path, &o->result, &o->stage, &o->error);
	else if (!access(path, F_OK) && strcmp(o->stage, "save"))
		o->code = 1; /* nothing was saved yet */
	o->calls = atomic_load(&calls);
}

/* -- the processes ----------------------------------------------------------------------------------- */

static int run(unsigned long n, struct outcome *shared)
{
	int status;
	pid_t child;

	memset(shared, 0, sizeof(*shared));
	fflush(NULL);
	child = fork();
	if (child < 0) {
		perror("fork");
		exit(1);
	}
	if (!child) {
		alarm(60); /* what hangs is killed, and seen */
		failing = n;
		atomic_store(&calls, 0);
		job(shared);
		exit(0); /* not _exit: leaks are looked for */
	}
	if (waitpid(child, &status, 0) != child)
		abort();
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("# allocation %lu, %s: ended with %s %d\n", n, shared->stage ? shared->stage : "?",
		       WIFEXITED(status) ? "status" : "signal",
		       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		return 1;
	}
	return 0;
}

static int judge(unsigned long n, const struct outcome *o, const struct outcome *reference)
{
	if (!o->code && !memcmp(&o->result, &reference->result, sizeof(o->result)))
		return 0;
	if (!o->code)
		printf("# allocation %lu: no error, and other results\n", n);
	else if (o->code == ADTOOL_ECANCELLED && !strcmp(o->stage, "score"))
		return 0; /* a row could not be formatted, so on_row stopped it */
	else if (o->code != ADTOOL_ENOMEM || o->error.code != o->code || !o->error.message[0])
		printf("# allocation %lu, %s: code %d: %s\n", n, o->stage, o->code, o->error.message);
	else
		return 0;
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long stride = 1, n, tried = 0, tolerated = 0;
	struct outcome *shared, reference;
	int failed = 0;

	if (argc > 2 && !strcmp(argv[1], "--stride")) {
		stride = strtoul(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	if (argc != 5 || !stride) {
		fprintf(stderr, "usage: nomem [--stride S] BACKBONE FOLDER ARCHIVE OUT\n");
		return 129;
	}
	backbone_path = argv[1];
	folder = argv[2];
	archive = argv[3];
	out_folder = argv[4];
	setenv("XDG_CACHE_HOME", out_folder, 1);
	setenv("OPENBLAS_NUM_THREADS", "1", 1);
	/* Opened once here, not in each process. */
	dlopen(AD_SONAME_ARCHIVE, RTLD_NOW | RTLD_LOCAL);
	dlopen(AD_SONAME_LAPACKE, RTLD_NOW | RTLD_LOCAL);
	dlopen(AD_SONAME_ZIP, RTLD_NOW | RTLD_LOCAL);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	if (run(0, shared) || shared->code) {
		printf("# undisturbed: %s: %s\n", shared->stage, shared->error.message);
		return 1;
	}
	reference = *shared;
	for (n = 1; n <= reference.calls; n += stride) {
		if (run(n, shared) || judge(n, shared, &reference))
			failed++;
		tolerated += !shared->code;
		tried++;
	}
	printf("%lu of %lu allocations failed, one at a time: %lu did without, %d went wrong; %zu rows\n", tried,
	       reference.calls, tolerated, failed, reference.result.count);
	return failed ? 1 : 0;
}
