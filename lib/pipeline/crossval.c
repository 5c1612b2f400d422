/* Cross-validation: every picture's features once, every fold's model on them. */
#include "pipeline.h"

#include <adtool/study.h>
#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/rng.h"

void adtool_crossval_options_init(adtool_crossval_options *o)
{
	*o = (adtool_crossval_options){.folds = 5};
}

struct crossval {
	const adtool_crossval_options *options;
	struct ad_gather normals, anomalies;
	unsigned *fold_of_normal, *fold_of_anomaly;
	size_t *group; /* of the normals, with group_by; NULL: each is its own */
	size_t groups;
	size_t channels, cells; /* of the layer; of the grid, those that count */
	size_t kept;            /* channels after the projection; equal to `channels` without one */
	unsigned grid;
	unsigned width, height; /* of the input */
	struct ad_look look;
	struct ad_cells kept_cells;
	ad_pool *pool;
	struct ad_extractor extractor; /* of the grid's maps, without basis */
	int tiles;
};

/* One fold's model, and room for one picture. */
struct fold_model {
	unsigned fold;
	ad_channels basis;
	struct ad_fit fit;
	float *row, *map;
	float *whole; /* the map, of all cells */
	void *work;
	struct ad_tile_room room;
};

/* By all its tiles; *map (ad_free) is out->map. */
static int score_tiles(const struct crossval *c, struct fold_model *m, const struct ad_gathered *p, adtool_row *out,
		       struct adtool_view *view, float **map, adtool_error *err)
{
	const struct ad_tiles tiles = ad_gathered_tiles(p, 0);
	const struct ad_source source = {.kept = &tiles};
	struct ad_extractor e = c->extractor;
	struct ad_tiled_score got = {0};
	int code;

	e.basis = m->basis.from ? &m->basis : NULL;
	code = ad_score_tiles(&e, &m->fit.detector, &m->room, NULL, &source, 1, &got, err);
	if (code) {
		ad_free(got.map);
		return ad_fail_within(err, code, "%s", p->name);
	}
	out->score = got.score;
	if (got.map) {
		out->map = *map = got.map;
		out->map_rows = got.rows;
		out->map_cols = got.cols;
		ad_row_place_region(&c->look, &got.region, out, view);
	}
	return 0;
}

static int score_whole(const struct crossval *c, struct fold_model *m, const struct ad_gathered *p, adtool_row *out,
		       struct adtool_view *view, adtool_error *err)
{
	const ad_detector *d = &m->fit.detector;
	const float *row = p->rows[0];

	if (m->basis.from) {
		ad_channels_apply(&m->basis, row, c->cells, m->row);
		row = m->row;
	}
	ad_detector_score(d, 1, &row, &out->score, d->method == ADTOOL_FRE ? m->map : NULL, m->work);
	if (!isfinite(out->score))
		return ad_fail(err, ADTOOL_ENUMERIC, "%s: its score is not finite", p->name);
	if (d->method != ADTOOL_FRE)
		return 0;
	if (c->kept_cells.index)
		ad_cells_spread(&c->kept_cells, m->map, c->grid, m->whole);
	out->map = c->kept_cells.index ? m->whole : m->map;
	out->map_rows = out->map_cols = c->grid;
	return ad_row_place(&c->look, c->width, c->height, out, view, err);
}

static int score_picture(const struct crossval *c, struct fold_model *m, const struct ad_gathered *p, int anomalous,
			 int own, adtool_error *err)
{
	struct adtool_view view;
	adtool_row out = {.name = p->name, .label = p->label, .width = p->width, .height = p->height};
	float *map = NULL;
	int code = c->tiles ? score_tiles(c, m, p, &out, &view, &map, err) : score_whole(c, m, p, &out, &view, err);

	if (code)
		return code;
	out.p = ad_p_value(m->fit.calibration, m->fit.n, &m->fit.limit, out.score);
	out.threshold = m->fit.limit.threshold;
	out.verdict = out.score > out.threshold ? ADTOOL_ANOMALOUS : ADTOOL_NORMAL;
	if (c->options->row && c->options->row(c->options->context, &out, m->fold, anomalous, own))
		code = ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	ad_free(map);
	return code;
}

/* The groups of all normal pictures but the fold's, numbered without gaps. *group: the caller frees. */
static int groups_without(const struct crossval *c, unsigned fold, ad_fit_options *fit, size_t **group,
			  adtool_error *err)
{
	size_t *rest = ad_malloc_array(c->normals.count, sizeof(*rest));
	size_t *sizes = ad_calloc(c->groups, sizeof(*sizes)), *number = ad_malloc_array(c->groups, sizeof(*number));
	size_t n = 0, i;
	int code = rest && sizes && number ? 0 : ad_fail_nomem(err);

	for (i = 0; !code && i < c->normals.count; i++)
		if (c->fold_of_normal[i] != fold)
			sizes[c->group[i]]++;
	for (i = 0; !code && i < c->groups; i++) {
		number[i] = fit->group_count;
		fit->group_count += sizes[i] > 0;
		if (sizes[i] > fit->largest_group)
			fit->largest_group = sizes[i];
	}
	for (i = 0; !code && i < c->normals.count; i++)
		if (c->fold_of_normal[i] != fold)
			rest[n++] = number[c->group[i]];
	ad_free(sizes);
	ad_free(number);
	if (code) {
		ad_free(rest);
		return code;
	}
	fit->groups = *group = rest;
	return 0;
}

/* The same of pictures cut into tiles. */
static int train_fold_tiled(const struct crossval *c, struct fold_model *m, adtool_error *err)
{
	struct ad_tiles *tiles = ad_malloc_array(c->normals.count, sizeof(*tiles));
	const char **names = ad_malloc_array(c->normals.count, sizeof(*names));
	ad_fit_options groups = {0};
	size_t n = 0, i, *group = NULL;
	int code = tiles && names ? 0 : ad_fail_nomem(err);

	if (!code && c->group)
		code = groups_without(c, m->fold, &groups, &group, err);
	for (i = 0; !code && i < c->normals.count; i++) {
		if (c->fold_of_normal[i] == m->fold)
			continue;
		tiles[n] = ad_gathered_tiles(&c->normals.pictures[i], 0);
		names[n++] = c->normals.pictures[i].name;
	}
	if (!code)
		code = ad_fit_tiled(c->options->train, &c->extractor, tiles, names, n, group, groups.group_count,
				    c->pool, &m->basis, &m->fit, err);
	ad_free(tiles);
	ad_free(names);
	ad_free(group);
	return code;
}

/* Trains on all normal pictures but the fold's. */
static int train_fold(const struct crossval *c, struct fold_model *m, adtool_error *err)
{
	const adtool_train_options *o = c->options->train;
	ad_fit_options fit = ad_train_fit_options(o, c->kept, c->cells);
	size_t n = 0, i, *group = NULL;
	const float **rows = ad_malloc_array(c->normals.count, sizeof(*rows));
	float *projected = NULL;
	int code = rows ? 0 : ad_fail_nomem(err);

	if (!code && c->group)
		code = groups_without(c, m->fold, &fit, &group, err);
	for (i = 0; !code && i < c->normals.count; i++)
		if (c->fold_of_normal[i] != m->fold)
			rows[n++] = c->normals.pictures[i].rows[0];
	if (!code && c->kept < c->channels) {
		code = ad_fit_basis(rows, n, c->channels, c->cells, c->kept, o->seed, c->pool, &m->basis, err);
		if (!code && !(projected = ad_malloc_aligned(n * fit.dimensions, sizeof(float))))
			code = ad_fail_nomem(err);
		for (i = 0; !code && i < n; i++) {
			ad_channels_apply(&m->basis, rows[i], c->cells, projected + i * fit.dimensions);
			rows[i] = projected + i * fit.dimensions;
		}
	}
	if (!code)
		code = ad_fit_rows(rows, n, &fit, c->pool, &m->fit, err);
	if (!code) {
		m->row = ad_malloc_aligned(fit.dimensions, sizeof(float));
		m->map = ad_malloc_aligned(c->cells, sizeof(float));
		m->work = ad_malloc_aligned(ad_detector_scratch(&m->fit.detector, 1), 1);
		m->whole = ad_malloc_aligned((size_t)c->grid * c->grid, sizeof(float));
		if (!m->row || !m->map || !m->whole || !m->work)
			code = ad_fail_nomem(err);
	}
	ad_free_aligned(projected);
	ad_free(rows);
	ad_free(group);
	return code;
}

static void fold_release(struct fold_model *m)
{
	ad_channels_release(&m->basis);
	ad_fit_release(&m->fit);
	ad_free_aligned(m->row);
	ad_free_aligned(m->map);
	ad_free_aligned(m->whole);
	ad_free_aligned(m->work);
	ad_tile_room_release(&m->room);
}

static int run_fold(const struct crossval *c, unsigned fold, adtool_error *err)
{
	struct fold_model m = {.fold = fold};
	size_t i;
	int code = c->tiles ? train_fold_tiled(c, &m, err) : train_fold(c, &m, err);

	if (code)
		code = ad_fail_within(err, code, "fold %u", fold + 1);
	for (i = 0; !code && i < c->normals.count; i++)
		if (c->fold_of_normal[i] == fold)
			code = score_picture(c, &m, &c->normals.pictures[i], 0, 1, err);
	for (i = 0; !code && i < c->anomalies.count; i++)
		code = score_picture(c, &m, &c->anomalies.pictures[i], 1, c->fold_of_anomaly[i] == fold, err);
	fold_release(&m);
	return code;
}

static int group_normals(struct crossval *c, adtool_error *err)
{
	size_t n = c->normals.count, largest, i;
	const char **names = ad_malloc_array(n, sizeof(*names)), **archives = ad_malloc_array(n, sizeof(*archives));
	int code;

	c->group = ad_malloc_array(n, sizeof(*c->group));
	code = names && archives && c->group ? 0 : ad_fail_nomem(err);
	for (i = 0; !code && i < n; i++) {
		names[i] = c->normals.pictures[i].name;
		archives[i] = c->normals.pictures[i].archive;
	}
	if (!code)
		code =
		    ad_groups_by(c->options->train->group_by, names, archives, n, c->group, &c->groups, &largest, err);
	if (!code && c->groups < c->options->folds)
		code =
		    ad_fail(err, ADTOOL_EINVAL, "%u folds of %zu groups; each needs one", c->options->folds, c->groups);
	ad_free(names);
	ad_free(archives);
	return code;
}

static int deal_all(struct crossval *c, adtool_error *err)
{
	const unsigned folds = c->options->folds;
	size_t n = c->normals.count;
	ad_rng rng;
	int code = 0;

	if (folds > n || n - (n + folds - 1) / folds < AD_MINIMUM_PICTURES)
		return ad_fail(err, ADTOOL_EINVAL,
			       "%u folds of %zu normal picture%s; each needs one, and %d are needed to train on", folds,
			       n, n == 1 ? "" : "s", AD_MINIMUM_PICTURES);
	c->fold_of_normal = ad_malloc_array(n, sizeof(unsigned));
	c->fold_of_anomaly = ad_malloc_array(c->anomalies.count, sizeof(unsigned));
	if (!c->fold_of_normal || !c->fold_of_anomaly)
		return ad_fail_nomem(err);
	ad_rng_seed(&rng, c->options->train->seed);
	if (c->options->train->group_by)
		code = group_normals(c, err);
	if (!code)
		code = c->group ? ad_deal_groups(c->group, n, c->groups, folds, &rng, c->fold_of_normal, err)
				: ad_deal(n, folds, &rng, c->fold_of_normal, err);
	if (!code)
		code = ad_deal_kinds(c->anomalies.pictures, c->anomalies.count, folds, &rng, c->fold_of_anomaly, err);
	return code;
}

int adtool_cross_validate(const adtool_backbone *backbone, const char *const *normals, size_t normal_count,
			  const char *const *anomalies, size_t anomaly_count,
			  const adtool_dataset_options *dataset_options, const adtool_crossval_options *options,
			  adtool_crossval_report *report, adtool_error *err)
{
	const adtool_train_options *o = options->train;
	struct crossval c = {.options = options, .grid = o->method == ADTOOL_PPCA ? 1 : o->grid};
	struct ad_extractor e;
	struct ad_pooled pooled;
	ad_plan *plan = NULL;
	unsigned fold;
	int code = ad_train_check_options(o, err);

	if (!code && o->precision != ADTOOL_FLOAT32)
		code = ad_fail(err, ADTOOL_EINVAL, "cross-validation computes in float32 only");
	if (!code && options->folds < 2)
		code = ad_fail(err, ADTOOL_EINVAL, "%u fold%s; at least 2 are needed", options->folds,
			       options->folds == 1 ? "" : "s");
	if (!code)
		code = ad_look_create(&o->geometry, o->mask, &c.look, err);
	if (!code)
		code = ad_pool_create(ad_stream_threads(o->threads), &c.pool, err);
	if (!code)
		code = ad_plan_create(backbone, o->layer, o->width, o->height, c.pool, &plan, err);
	if (code)
		goto out;
	ad_extractor_init(&e, plan, ad_backbone_preprocessing(backbone), o->width, o->height, c.grid, o->max_pixels);
	e.isolate = o->isolate;
	code = ad_extractor_check(&e, err);
	if (!code && o->method == ADTOOL_FRE)
		code = ad_look_cells(&c.look, o->width, o->height, c.grid, &c.kept_cells, err);
	if (code)
		goto out;
	c.tiles = o->geometry.tile_width > 0;
	e.look = ad_look_is_plain(&c.look) ? NULL : &c.look;
	e.background = o->geometry.background;
	c.extractor = e;
	e.grid = 0;
	c.width = o->width;
	c.height = o->height;
	pooled = (struct ad_pooled){.shape = {e.shape[0], e.shape[1], e.shape[2]},
				    .grid = c.grid,
				    .cells = c.kept_cells.index ? &c.kept_cells : NULL};
	c.channels = e.shape[0];
	c.kept = ad_train_channels(o, c.channels);
	c.cells = ad_pooled_cells(&pooled);
	c.normals = (struct ad_gather){
		.extractor = &e,
		.pooled = &pooled,
		.pooled_count = 1,
		.threads = o->threads,
		.limit = ad_memory_limit(o->memory),
		.progress = o->progress,
		.refused = o->refused,
		.context = o->context,
	};
	c.anomalies = c.normals;
	code = ad_gather_run(&c.normals, normals, normal_count, dataset_options, err);
	if (!code) {
		ad_gather_sort(&c.normals);
		c.anomalies.others = c.normals.held;
		code = ad_gather_run(&c.anomalies, anomalies, anomaly_count, dataset_options, err);
	}
	if (!code)
		code = deal_all(&c, err);
	for (fold = 0; !code && fold < options->folds; fold++) {
		if (o->progress && o->progress(o->context, "folds", fold, options->folds))
			code = ad_fail(err, ADTOOL_ECANCELLED, "stopped");
		else
			code = run_fold(&c, fold, err);
	}
out:
	if (!code && report)
		*report = (adtool_crossval_report){.normals = c.normals.count,
						   .anomalies = c.anomalies.count,
						   .refused = c.normals.refusals + c.anomalies.refusals,
						   .channels = c.kept,
						   .dimensions = c.kept * c.cells};
	ad_gather_release(&c.normals);
	ad_gather_release(&c.anomalies);
	ad_free(c.fold_of_normal);
	ad_free(c.fold_of_anomaly);
	ad_free(c.group);
	ad_look_release(&c.look);
	ad_cells_release(&c.kept_cells);
	ad_plan_free(plan);
	ad_pool_free(c.pool);
	return code;
}
