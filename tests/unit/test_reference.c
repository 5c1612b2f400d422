/*
 * The method on real pictures: image AUROC of every configuration in ../shared/REFERENCE.md, held
 * against that table within 0.005. Features are extracted once per backbone, side and data set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adtool/adtool.h>
#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "../../lib/base/mem.h"
#include "../../lib/base/pool.h"
#include "../../lib/pipeline/pipeline.h"

enum { GRID = 7, CELLS = GRID * GRID, COLUMNS = 7, MAX_ROWS = 64, KEEP = 128, MAX_LAYERS = 8 };

struct row {
	char data[32], backbone[64], layer[32];
	unsigned side;
	double wanted[COLUMNS]; /* NaN for "-" */
	int chosen;             /* whether it is tested */
};

static struct row table[MAX_ROWS];
static size_t table_rows;
static char test_names[MAX_ROWS][256];
static char shared[1024];

static void in_shared(char *out, size_t size, const char *tail)
{
	snprintf(out, size, "%s/%s", shared, tail);
}

static size_t read_table(void)
{
	char path[1400], line[512];
	size_t n = 0;
	FILE *f;

	in_shared(path, sizeof(path), "REFERENCE.md");
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (n < MAX_ROWS && fgets(line, sizeof(line), f)) {
		struct row *r = &table[n];
		char cell[COLUMNS][32];
		int i;

		if (sscanf(line, "| %31s | %u | %63s | %31s | %31s | %31s | %31s | %31s | %31s | %31s | %31s |",
			   r->data, &r->side, r->backbone, r->layer, cell[0], cell[1], cell[2], cell[3], cell[4],
			   cell[5], cell[6]) != 11)
			continue;
		for (i = 0; i < COLUMNS; i++)
			r->wanted[i] = *cell[i] == '-' ? NAN : strtod(cell[i], NULL);
		n++;
	}
	fclose(f);
	return n;
}

/* -- one data set's features -------------------------------------------------------------------------- */

struct features {
	size_t n, channels;
	float *grid; /* n x C x 49 */
	float *mean; /* n x C */
};

/* Of all layers of a backbone, at one side, on one data set: a row's test leaves them for its neighbours. */
static struct group {
	const struct row *of; /* NULL: nothing is held */
	const struct row *layers[MAX_LAYERS];
	struct features features[MAX_LAYERS];
	size_t count;
} held;

static int same_group(const struct row *a, const struct row *b)
{
	return !strcmp(a->data, b->data) && !strcmp(a->backbone, b->backbone) && a->side == b->side;
}

static void group_release(struct group *g)
{
	size_t i;

	for (i = 0; i < g->count; i++) {
		ad_free(g->features[i].grid);
		ad_free(g->features[i].mean);
	}
	memset(g, 0, sizeof(*g));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list_folder(const char *folder, char **paths, size_t capacity)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	size_t n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		size_t size = strlen(folder) + strlen(e->d_name) + 2;

		if (e->d_name[0] == '.')
			continue;
		assert_true(n < capacity);
		paths[n] = ad_malloc(size);
		assert_non_null(paths[n]);
		snprintf(paths[n++], size, "%s/%s", folder, e->d_name);
	}
	closedir(d);
	qsort(paths, n, sizeof(*paths), by_name);
	return n;
}

static void refused(void *context, const char *name, const adtool_error *why)
{
	(void)context;
	fail_msg("%s: %s", name, why->message);
}

/* The rows of pooled[layer x 2], the grid's and the mean's, side by side. */
static void copy_rows(const struct ad_gather *from, size_t layer, struct features *out)
{
	size_t grid, i;

	out->n = from->count;
	out->channels = from->pooled[2 * layer].shape[0];
	grid = out->channels * CELLS;
	out->grid = ad_malloc_array(out->n * grid, sizeof(float));
	out->mean = ad_malloc_array(out->n * out->channels, sizeof(float));
	assert_true(out->grid && out->mean);
	for (i = 0; i < out->n; i++) {
		memcpy(out->grid + i * grid, from->pictures[i].rows[2 * layer], grid * sizeof(float));
		memcpy(out->mean + i * out->channels, from->pictures[i].rows[2 * layer + 1],
		       out->channels * sizeof(float));
	}
}

/* Of the row's layer and its chosen neighbours', in one pass. */
static void extract(const adtool_backbone *backbone, const struct row *r, char **paths, size_t n, ad_pool *pool)
{
	const char *names[MAX_LAYERS];
	struct ad_pooled pooled[2 * MAX_LAYERS];
	struct ad_extractor e;
	struct ad_gather g = {.extractor = &e, .pooled = pooled, .limit = UINT64_MAX, .refused = refused};
	ad_plan *plan = NULL;
	adtool_error err = {0};
	size_t offset = 0, i;

	group_release(&held);
	for (i = 0; i < table_rows; i++)
		if (table[i].chosen && same_group(&table[i], r)) {
			assert_true(held.count < MAX_LAYERS);
			names[held.count] = table[i].layer;
			held.layers[held.count++] = &table[i];
		}
	if (ad_plan_create_layers(backbone, names, held.count, r->side, r->side, pool, &plan, &err))
		fail_msg("%s", err.message);
	ad_extractor_init(&e, plan, ad_backbone_preprocessing(backbone), r->side, r->side, 0, 0);
	for (i = 0; i < held.count; i++) {
		struct ad_pooled p = {.offset = offset, .grid = GRID};

		ad_plan_output_shape(plan, i, p.shape);
		offset += p.shape[0] * p.shape[1] * p.shape[2];
		pooled[2 * i] = pooled[2 * i + 1] = p;
		pooled[2 * i + 1].grid = 1;
	}
	g.pooled_count = 2 * held.count;
	if (ad_gather_run(&g, (const char *const *)paths, n, NULL, &err))
		fail_msg("%s", err.message);
	assert_int_equal(g.count, n);
	for (i = 0; i < held.count; i++)
		copy_rows(&g, i, &held.features[i]);
	held.of = r;
	ad_gather_release(&g);
	ad_plan_free(plan);
}

/* The row's features; extracted now unless a neighbour's test did. */
static const struct features *features_of(const adtool_backbone *backbone, const struct row *r, char **paths, size_t n,
                                          ad_pool *pool)
{
	size_t i;

	if (!held.of || !same_group(held.of, r))
		extract(backbone, r, paths, n, pool);
	for (i = 0; held.layers[i] != r; i++)
		assert_true(i + 1 < held.count);
	return &held.features[i];
}

/* -- one column ---------------------------------------------------------------------------------------- */

struct split {
	size_t train, normal, anomalous; /* in this order in the features */
};

static double auroc_of(const ad_detector *d, const float *rows, const struct split *split)
{
	size_t n = split->normal + split->anomalous, i;
	double *scores = ad_malloc_array(n, sizeof(*scores));
	uint8_t *anomalous = ad_calloc(n, 1);
	void *scratch = ad_malloc_aligned(ad_detector_scratch(d, 1), 1);
	adtool_metrics metrics;
	adtool_error err = {0};

	assert_true(scores && anomalous && scratch);
	for (i = 0; i < n; i++) {
		const float *row = rows + (split->train + i) * d->dimensions;

		ad_detector_score(d, 1, &row, &scores[i], NULL, scratch);
		anomalous[i] = i >= split->normal;
	}
	if (adtool_metrics_compute(scores, anomalous, n, &metrics, &err))
		fail_msg("%s", err.message);
	ad_free(scores);
	ad_free(anomalous);
	ad_free_aligned(scratch);
	return metrics.auroc;
}

static void fit(enum adtool_method method, const float *rows, size_t dimensions, size_t cells, size_t components,
                const struct split *split, ad_pool *pool, ad_detector *d)
{
	ad_fit_options o = {
		.method = method, .pictures = split->train, .dimensions = dimensions, .cells = cells, .energy = 0.97,
		.components = components, .aggregate = ADTOOL_TOP, .top = 0.1, .alpha = 0.01,
	};
	ad_calibration calibration = {0};
	ad_fitter *fitter = NULL;
	adtool_error err = {0};
	double energy;
	size_t i;
	int code = ad_fitter_create(&o, &fitter, &err);

	for (i = 0; !code && i < split->train; i++)
		code = ad_fitter_add(fitter, i, rows + i * dimensions, &err);
	if (!code)
		code = ad_fitter_finish(fitter, pool, NULL, NULL, d, &energy, &calibration, &err);
	if (code)
		fail_msg("%s", err.message);
	ad_calibration_release(&calibration);
	ad_fitter_free(fitter);
}

static void three_aggregates(const float *rows, size_t channels, const struct split *split, ad_pool *pool,
                             double got[3])
{
	static const enum adtool_aggregate order[] = {ADTOOL_MAX, ADTOOL_SUM, ADTOOL_TOP};
	ad_detector d = {0};
	int i;

	fit(ADTOOL_FRE, rows, channels * CELLS, CELLS, SIZE_MAX, split, pool, &d);
	for (i = 0; i < 3; i++) {
		d.aggregate = order[i];
		got[i] = auroc_of(&d, rows, split);
	}
	ad_detector_release(&d);
}

static float *project(const struct features *f, size_t train, ad_pool *pool)
{
	const float **maps = ad_malloc_array(train, sizeof(*maps));
	float *rows = ad_malloc_array(f->n * KEEP * CELLS, sizeof(float));
	ad_channels basis = {0};
	adtool_error err = {0};
	size_t i;

	assert_true(maps && rows);
	for (i = 0; i < train; i++)
		maps[i] = f->grid + i * f->channels * CELLS;
	if (ad_channels_fit(maps, train, f->channels, CELLS, KEEP, pool, &basis, &err))
		fail_msg("%s", err.message);
	for (i = 0; i < f->n; i++)
		ad_channels_apply(&basis, f->grid + i * f->channels * CELLS, CELLS, rows + i * KEEP * CELLS);
	ad_channels_release(&basis);
	ad_free(maps);
	return rows;
}

static void test_row(void **state)
{
	static const char *const columns[] = {"max",       "sum",       "top",        "max, 128",
	                                      "sum, 128", "top, 128", "ppca, k=N-10"};
	const struct row *r = *state;
	int tiles = !strcmp(r->data, "magnetic-tile"), i, bad = 0;
	double got[COLUMNS];
	char path[1400], tail[256], *paths[1024];
	adtool_backbone *backbone = NULL;
	adtool_error err = {0};
	const struct features *f;
	struct split split;
	ad_pool *pool = NULL;
	size_t n, k;

	snprintf(tail, sizeof(tail), "data/%s/normal", r->data);
	in_shared(path, sizeof(path), tail);
	n = list_folder(path, paths, 1024);
	split.train = tiles ? 240 : 35;
	split.normal = n - split.train;
	if (tiles) {
		in_shared(path, sizeof(path), "data/magnetic-tile/anomalous/blowhole");
		n += list_folder(path, paths + n, 1024 - n);
		in_shared(path, sizeof(path), "data/magnetic-tile/anomalous/crack");
		n += list_folder(path, paths + n, 1024 - n);
	} else {
		in_shared(path, sizeof(path), "data/aliens/anomaly");
		n += list_folder(path, paths + n, 1024 - n);
	}
	split.anomalous = n - split.train - split.normal;

	snprintf(tail, sizeof(tail), !strcmp(r->backbone, "adnet") ? "adnet/adnet.onnx" : "backbones/%s.onnx",
	         r->backbone);
	in_shared(path, sizeof(path), tail);
	if (adtool_backbone_open(path, &backbone, &err) || ad_pool_create(0, &pool, &err))
		fail_msg("%s", err.message);
	f = features_of(backbone, r, paths, n, pool);

	for (i = 0; i < COLUMNS; i++)
		got[i] = NAN;
	three_aggregates(f->grid, f->channels, &split, pool, got);
	if (f->channels > KEEP) {
		float *rows = project(f, split.train, pool);

		three_aggregates(rows, KEEP, &split, pool, got + 3);
		ad_free(rows);
	}
	if (f->channels >= split.train) {
		ad_detector d = {0};

		fit(ADTOOL_PPCA, f->mean, f->channels, 1, split.train - 10, &split, pool, &d);
		got[6] = auroc_of(&d, f->mean, &split);
		ad_detector_release(&d);
	}
	for (i = 0; i < COLUMNS; i++) {
		if (isnan(r->wanted[i]))
			continue;
		if (!(fabs(got[i] - r->wanted[i]) <= 0.005)) {
			print_message("# %s %u %s %s, %s: AUROC %.4f, reference %.4f\n", r->data, r->side, r->backbone,
			              r->layer, columns[i], got[i], r->wanted[i]);
			bad++;
		}
	}
	if (getenv("ADTOOL_TABLE"))
		print_message("# | %s | %u | %s | %s | %.4f | %.4f | %.4f | %.4f | %.4f | %.4f | %.4f |\n", r->data,
			      r->side, r->backbone, r->layer, got[0], got[1], got[2], got[3], got[4], got[5], got[6]);
	for (k = 0; k < n; k++)
		ad_free(paths[k]);
	ad_pool_free(pool);
	adtool_backbone_free(backbone);
	assert_int_equal(bad, 0);
}

static void test_absent(void **state)
{
	(void)state;
	skip();
}

int main(void)
{
	const char *only = getenv("ADTOOL_REFERENCE_ONLY"), *where = getenv("ADTOOL_SHARED");
	struct CMUnitTest tests[MAX_ROWS];
	size_t n, i, count = 0;
	int failed;

	snprintf(shared, sizeof(shared), "%s", where ? where : "../shared");
	n = table_rows = read_table();
	for (i = 0; i < n; i++) {
		snprintf(test_names[i], sizeof(test_names[i]), "%.31s %u %.63s %.31s", table[i].data, table[i].side,
		         table[i].backbone, table[i].layer);
		if (only && !strstr(test_names[i], only))
			continue;
		table[i].chosen = 1;
		tests[count++] = (struct CMUnitTest){test_names[i], test_row, NULL, NULL, &table[i]};
	}
	if (!n)
		tests[count++] =
		    (struct CMUnitTest){"../shared is absent: reference table", test_absent, NULL, NULL, NULL};
	failed = _cmocka_run_group_tests("reference", tests, count, NULL, NULL);
	group_release(&held);
	return failed;
}
