#include <unistd.h>

#include "cli.h"

static const char *output;
static bool force;
static unsigned grid = 1;
static adtool_geometry geometry;

static const cli_option options[] = {
    {CLI_STRING, 'o', "output", "F.npy", "write the features here, and the names beside, to F.names.txt", &output, 0, 0,
     NULL, CLI_REQUIRED, 0},
    CLI_OPTIONS_BACKBONE,
    CLI_OPTION_FIT,
    CLI_OPTION_ROI,
    CLI_OPTION_BACKGROUND,
    {CLI_UNSIGNED, 0, "grid", "G", "average to G x G cells; 0 keeps the whole map (default 1)", &grid, 0, 256, NULL, 0,
     0},
    CLI_OPTIONS_FEEDING,
    CLI_OPTION_FORCE("F.npy"),
    CLI_OPTION_NULL,
    CLI_OPTION_JOBS,
    CLI_OPTION_END,
};

typedef struct sink {
	adtool_npy_writer *npy;
	char *names; /* one a line */
	size_t names_size, names_capacity;
	size_t shape[4]; /* pictures, channels, rows, cols */
	adtool_error err;
} sink;

static void put_name_byte(sink *s, char c)
{
	if (s->names_size == s->names_capacity) {
		s->names_capacity = s->names_capacity ? 2 * s->names_capacity : 4096;
		s->names = cli_realloc(s->names, s->names_capacity, 1);
	}
	s->names[s->names_size++] = c;
}

/* As rows of `score` write paths, so that each stays on its line. */
static void put_name(sink *s, const char *name)
{
	static const char special[] = "\\\t\n\r", letters[] = "\\tnr";

	for (; *name; name++) {
		const char *found = strchr(special, *name);
		if (found)
			put_name_byte(s, '\\');
		put_name_byte(s, found ? letters[found - special] : *name);
	}
	put_name_byte(s, '\n');
}

static int add(void *context, const char *name, const float *values, size_t channels, size_t rows, size_t cols)
{
	sink *s = context;

	if (adtool_npy_add(s->npy, values, channels * rows * cols, &s->err))
		return 1;
	s->shape[0]++;
	s->shape[1] = channels;
	s->shape[2] = rows;
	s->shape[3] = cols;
	put_name(s, name);
	return 0;
}

/* F.npy -> F.names.txt. */
static char *names_path(const char *path)
{
	size_t length = strlen(path);

	if (length > 4 && !strcmp(path + length - 4, ".npy"))
		length -= 4;
	return cli_text("%.*s.names.txt", (int)length, path);
}

static int extract(adtool_backbone *backbone, adtool_dataset *dataset, sink *s)
{
	adtool_features_options o;
	adtool_error err;

	adtool_features_options_init(&o);
	o.layer = cli_train.layer;
	o.width = cli_train.size.width;
	o.height = cli_train.size.height;
	o.geometry = geometry;
	o.grid = grid;
	o.threads = cli_jobs;
	o.max_pixels = cli_limits.pixels;
	o.isolate = 1;
	o.refused = cli_refused;
	o.progress = cli_progress;
	o.features = add;
	o.context = s;
	int code = adtool_features(backbone, dataset, &o, &err);
	cli_progress_erase();
	if (code)
		return cli_fail(s->err.code ? output : "features", s->err.code ? &s->err : &err);
	if (!s->shape[0]) {
		unsigned long long over = (unsigned long long)adtool_dataset_passed_over(dataset);
		cli_warn("features", "no pictures found (%llu file%s passed over)", over, over == 1 ? "" : "s");
		return CLI_FAILURE;
	}
	return CLI_OK;
}

static int finish(sink *s)
{
	char *names = names_path(output);
	adtool_error err;
	int status = CLI_OK;

	if (adtool_file_write(names, s->names, s->names_size, &err)) {
		status = cli_fail(names, &err);
	} else {
		adtool_npy_writer *npy = s->npy;
		s->npy = NULL;
		if (adtool_npy_finish(npy, s->shape, grid == 1 ? 2 : 4, &err))
			status = cli_fail(output, &err);
		/* Names of other features would mislead more than none. */
		if (status)
			unlink(names);
	}
	if (!status && cli_verbose && grid == 1)
		cli_remark(output, "%zu pictures x %zu channels", s->shape[0], s->shape[1]);
	else if (!status && cli_verbose)
		cli_remark(output, "%zu pictures x %zu channels x %zu x %zu", s->shape[0], s->shape[1], s->shape[2],
			    s->shape[3]);
	free(names);
	return status;
}

static int run(size_t count, const char **inputs)
{
	adtool_backbone *backbone = NULL;
	adtool_dataset *dataset = NULL;
	adtool_dataset_options dataset_options;
	sink s = {0};
	adtool_error err;

	if (cli_geometry(&geometry))
		return CLI_USAGE;
	if (cli_may_write(output, CLI_MAGIC_NPY, ".npy file", force))
		return CLI_FAILURE;
	int status = cli_open_backbone(&backbone);
	if (status)
		return status;
	cli_dataset_options(&dataset_options);
	if (adtool_dataset_open(inputs, count, &dataset_options, &dataset, &err))
		status = cli_fail("features", &err);
	else if (adtool_npy_create(output, &s.npy, &err))
		status = cli_fail(output, &err);
	else
		status = extract(backbone, dataset, &s);
	if (!status)
		status = finish(&s);
	if (!status && cli_refused_count)
		status = CLI_UNREADABLE;
	adtool_npy_abort(s.npy);
	free(s.names);
	adtool_dataset_free(dataset);
	adtool_backbone_free(backbone);
	return status;
}

const cli_command cli_program = {
    .name = "features",
    .page = "adtool-features",
    .operands = "INPUT...",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};
