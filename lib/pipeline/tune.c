/* Tuning: every candidate on features held in memory, the best of them, and what choosing it is worth. */
#include "trainer.h"

#include <adtool/metrics.h>
#include <adtool/study.h>
#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

enum { LEAST_PICTURES = 4 }; /* of a kind, for an estimate */

void adtool_tune_options_init(adtool_tune_options *o)
{
	*o = (adtool_tune_options){.folds = 5, .repeats = 20, .goal = ADTOOL_GOAL_AUROC};
	adtool_train_options_init(&o->train);
}

struct inputs {
	const char *const *items;
	size_t count;
};

struct tuner {
	const adtool_tune_options *o;
	const adtool_dataset_options *dataset_options;
	struct inputs train, normals, anomalies;
	adtool_tune_result *result;
	size_t capacity;
	double **scores; /* of each candidate: the normal pictures', then the anomalous ones' */
	uint8_t *truth;  /* of each validation picture */
	size_t pictures; /* of the validation sets */
	unsigned folds;  /* 0: no estimate */
	unsigned *fold_of; /* repeats x pictures */
	int seen;        /* whether the pictures were counted yet */
	struct ad_look look;
	int tiles;
	struct list list;   /* with tiles: the training pictures, whose tiles are drawn by their places in it */
	const char **names; /* the list's */
	uint64_t limit;
	ad_pool *pool;
	adtool_error why; /* of the last candidate left out */
};

/* -- one pass over the pictures ------------------------------------------------------------------------ */

/* What one row of a picture is made of: a layer at one grid. */
struct source {
	const char *layer;
	size_t index; /* of the plan's outputs */
	int64_t multiply_adds;
	size_t kept; /* channels */
	ad_channels basis;
};

/* A backbone at one size, with all layers that are tried. */
struct stage {
	size_t backbone;
	unsigned width, height;
	struct ad_extractor extractor;
	struct source *sources;   /* `count`; a layer's are neighbours */
	struct ad_pooled *pooled; /* of each source */
	struct ad_cells *cells;   /* the same, with a mask */
	size_t count;
	struct ad_gather train, normals, anomalies;
};

static void stage_release(struct stage *s)
{
	size_t i;

	ad_gather_release(&s->train);
	ad_gather_release(&s->normals);
	ad_gather_release(&s->anomalies);
	for (i = 0; i < s->count; i++)
		ad_channels_release(&s->sources[i].basis);
	for (i = 0; s->cells && i < s->count; i++)
		ad_cells_release(&s->cells[i]);
	ad_free(s->cells);
	ad_free(s->sources);
	ad_free(s->pooled);
}

static size_t cells_of(const struct stage *s, size_t source)
{
	return ad_pooled_cells(&s->pooled[source]);
}

/* Maps in a picture's row: of its tiles, or one. */
static size_t maps_of(const struct ad_gathered *p)
{
	return p->tiles ? p->tiles : 1;
}

static int train_rows(const struct stage *s, size_t source, const float ***out, size_t *count, adtool_error *err)
{
	size_t size = ad_pooled_floats(&s->pooled[source]), n = 0, i, j;
	const float **rows;

	for (i = 0; i < s->train.count; i++)
		n += maps_of(&s->train.pictures[i]);
	rows = ad_malloc_array(n, sizeof(*rows));
	if (!rows)
		return ad_fail_nomem(err);
	for (n = i = 0; i < s->train.count; i++)
		for (j = 0; j < maps_of(&s->train.pictures[i]); j++)
			rows[n++] = s->train.pictures[i].rows[source] + j * size;
	*out = rows;
	*count = n;
	return 0;
}

/* The channels of one source, and the training pictures projected onto them. */
static int project(struct tuner *t, struct stage *s, size_t source, adtool_error *err)
{
	struct source *from = &s->sources[source];
	size_t cells = cells_of(s, source), channels = s->pooled[source].shape[0], count, i, j;
	const float **rows;
	int code = train_rows(s, source, &rows, &count, err);

	if (code)
		return code;
	code = ad_fit_basis(rows, count, channels, cells, from->kept, t->o->train.seed, t->pool, &from->basis, err);
	ad_free(rows);
	for (i = 0; !code && i < s->train.count; i++) {
		float **row = &s->train.pictures[i].rows[source];
		size_t maps = maps_of(&s->train.pictures[i]);
		float *projected = ad_malloc_aligned(maps * from->kept * cells, sizeof(float));

		if (!projected)
			return ad_fail_nomem(err);
		for (j = 0; j < maps; j++)
			ad_channels_apply(&from->basis, *row + j * channels * cells, cells,
					  projected + j * from->kept * cells);
		ad_free_aligned(*row);
		*row = projected;
		s->train.held -= maps * (channels - from->kept) * cells * sizeof(float);
	}
	if (!code)
		s->pooled[source].basis = &from->basis;
	return code;
}

/* What is told of pictures that cannot be used is told once. */
static void once_seen(struct tuner *t, struct ad_gather *g)
{
	if (t->seen)
		g->refused = NULL;
}

static int deal_repeats(struct tuner *t, const struct stage *s, adtool_error *err)
{
	size_t normals = s->normals.count, anomalies = s->anomalies.count, least, i;
	unsigned repeat;
	ad_rng rng;
	int code = 0;

	t->pictures = normals + anomalies;
	t->truth = ad_malloc_array(t->pictures, 1);
	if (!t->truth)
		return ad_fail_nomem(err);
	for (i = 0; i < t->pictures; i++)
		t->truth[i] = i >= normals;
	least = normals < anomalies ? normals : anomalies;
	if (least < LEAST_PICTURES)
		return 0;
	t->folds = t->o->folds < least / 2 ? t->o->folds : (unsigned)(least / 2);
	if (t->pictures > SIZE_MAX / t->o->repeats ||
	    !(t->fold_of = ad_malloc_array(t->pictures * t->o->repeats, sizeof(*t->fold_of))))
		return ad_fail_nomem(err);
	ad_rng_seed(&rng, t->o->train.seed);
	for (repeat = 0; !code && repeat < t->o->repeats; repeat++) {
		unsigned *fold_of = t->fold_of + repeat * t->pictures;

		code = ad_deal(normals, t->folds, &rng, fold_of, err);
		if (!code)
			code = ad_deal_kinds(s->anomalies.pictures, anomalies, t->folds, &rng, fold_of + normals, err);
	}
	return code;
}

static int count_pictures(struct tuner *t, const struct stage *s, adtool_error *err)
{
	adtool_tune_result *r = t->result;

	if (t->seen) {
		if (r->train == s->train.count && r->normals == s->normals.count && r->anomalies == s->anomalies.count)
			return 0;
		return ad_fail(err, ADTOOL_EIO, "the pictures changed while they were read");
	}
	if (s->train.count < AD_MINIMUM_PICTURES)
		return ad_fail(err, ADTOOL_EINVAL, "%zu usable picture%s to train on; at least %d are needed",
			       s->train.count, s->train.count == 1 ? "" : "s", AD_MINIMUM_PICTURES);
	if (!s->normals.count || !s->anomalies.count)
		return ad_fail(err, ADTOOL_EINVAL,
			       "%zu normal and %zu anomalous pictures to choose by; both are needed", s->normals.count,
			       s->anomalies.count);
	r->train = s->train.count;
	r->normals = s->normals.count;
	r->anomalies = s->anomalies.count;
	r->refused = s->train.refusals + s->normals.refusals + s->anomalies.refusals;
	t->seen = 1;
	return deal_repeats(t, s, err);
}

static int gather_stage(struct tuner *t, struct stage *s, adtool_error *err)
{
	const adtool_train_options *o = &t->o->train;
	struct ad_gather g = {
		.extractor = &s->extractor,
		.pooled = s->pooled,
		.pooled_count = s->count,
		.threads = o->threads,
		.limit = t->limit,
		.progress = o->progress,
		.refused = o->refused,
		.context = o->context,
	};
	size_t i;
	int code;

	once_seen(t, &g);
	s->train = s->normals = s->anomalies = g;
	s->train.names = t->names;
	s->train.name_count = t->list.count;
	s->train.seed = o->seed;
	code = ad_gather_run(&s->train, t->train.items, t->train.count, t->dataset_options, err);
	if (code)
		return code;
	ad_gather_sort(&s->train);
	if (s->train.count < AD_MINIMUM_PICTURES)
		return count_pictures(t, s, err);
	for (i = 0; i < s->count; i++) {
		code = s->sources[i].kept < s->pooled[i].shape[0] ? project(t, s, i, err) : 0;
		if (code)
			return code;
	}
	s->normals.others = s->train.held;
	code = ad_gather_run(&s->normals, t->normals.items, t->normals.count, t->dataset_options, err);
	if (code)
		return code;
	s->anomalies.others = s->train.held + s->normals.held;
	code = ad_gather_run(&s->anomalies, t->anomalies.items, t->anomalies.count, t->dataset_options, err);
	return code ? code : count_pictures(t, s, err);
}

/* -- candidates -------------------------------------------------------------------------------------- */

struct mapping {
	const struct stage *s;
	const ad_detector *d;
	size_t source;
	float *maps; /* pictures x cells */
	void **work; /* per worker */
};

/* Normals, then anomalies. */
static const struct ad_gathered *picture_of(const struct stage *s, size_t i)
{
	size_t normals = s->normals.count;

	return i < normals ? &s->normals.pictures[i] : &s->anomalies.pictures[i - normals];
}

static void map_pictures(void *context, size_t task, unsigned worker)
{
	const struct mapping *m = context;
	const struct stage *s = m->s;
	size_t first = task * AD_SCORE_ROWS, n = 0, i;
	const float *rows[AD_SCORE_ROWS];
	double scores[AD_SCORE_ROWS];

	for (i = first; n < AD_SCORE_ROWS && i < s->normals.count + s->anomalies.count; i++)
		rows[n++] = picture_of(s, i)->rows[m->source];
	ad_detector_score(m->d, n, rows, scores, m->maps + first * m->d->cells, m->work[worker]);
}

static int map_all(struct tuner *t, struct mapping *m, adtool_error *err)
{
	unsigned workers = ad_pool_size(t->pool), i;
	int code = 0;

	m->maps = ad_malloc_array(t->pictures * m->d->cells, sizeof(float));
	m->work = ad_calloc(workers, sizeof(*m->work));
	if (!m->maps || !m->work)
		code = ad_fail_nomem(err);
	for (i = 0; !code && i < workers; i++) {
		m->work[i] = ad_malloc_aligned(ad_detector_scratch(m->d, AD_SCORE_ROWS), 1);
		if (!m->work[i])
			code = ad_fail_nomem(err);
	}
	if (!code)
		ad_pool_run(t->pool, map_pictures, m, (t->pictures + AD_SCORE_ROWS - 1) / AD_SCORE_ROWS);
	for (i = 0; m->work && i < workers; i++)
		ad_free_aligned(m->work[i]);
	ad_free(m->work);
	return code;
}

static int reserve(struct tuner *t, adtool_error *err)
{
	adtool_tune_result *r = t->result;
	size_t capacity = t->capacity ? 2 * t->capacity : 64;
	adtool_candidate *more;
	double **scores;

	if (r->count < t->capacity)
		return 0;
	more = ad_realloc_array(r->candidates, capacity, sizeof(*more));
	if (more)
		r->candidates = more;
	scores = ad_realloc_array(t->scores, capacity, sizeof(*scores));
	if (scores)
		t->scores = scores;
	if (!more || !scores)
		return ad_fail_nomem(err);
	t->capacity = capacity;
	return 0;
}

/* Pictures cut into tiles: each by its worst tile, as adtool_score does it. */
struct tiled_scoring {
	const struct mapping *m;
	struct ad_extractor extractor; /* whose layer is what is left of the channels */
	ad_detector detector;          /* the mapping's, with the aggregate that is tried */
	struct ad_tile_room *rooms;    /* per worker */
	double *scores;
};

static int score_tiled(void *context, size_t i, unsigned worker, adtool_error *err)
{
	struct tiled_scoring *of = context;
	const struct ad_tiles tiles = ad_gathered_tiles(picture_of(of->m->s, i), of->m->source);
	const struct ad_source source = {.kept = &tiles};
	struct ad_tiled_score got = {0};
	int code = ad_score_tiles(&of->extractor, &of->detector, &of->rooms[worker], NULL, &source, 0, &got, err);

	of->scores[i] = got.score;
	return code;
}

static int score_all_tiled(struct tuner *t, const struct mapping *m, enum adtool_aggregate aggregate, double *scores,
			   adtool_error *err)
{
	struct tiled_scoring of = {.m = m, .extractor = m->s->extractor, .detector = *m->d, .scores = scores};
	const struct ad_pooled *pooled = &m->s->pooled[m->source];
	unsigned workers = ad_pool_size(t->pool), i;
	int code;

	of.extractor.grid = pooled->grid;
	memcpy(of.extractor.shape, pooled->shape, sizeof(of.extractor.shape));
	of.extractor.shape[0] = m->s->sources[m->source].kept;
	of.detector.aggregate = aggregate;
	of.detector.top = t->o->train.top;
	of.rooms = ad_calloc(workers, sizeof(*of.rooms));
	if (!of.rooms)
		return ad_fail_nomem(err);
	code = ad_pool_try(t->pool, score_tiled, &of, t->pictures, NULL, err);
	for (i = 0; i < workers; i++)
		ad_tile_room_release(&of.rooms[i]);
	ad_free(of.rooms);
	return code;
}

static int score_all(struct tuner *t, const struct mapping *m, enum adtool_aggregate aggregate, double *scores,
		     adtool_error *err)
{
	size_t i;

	if (t->tiles)
		return score_all_tiled(t, m, aggregate, scores, err);
	for (i = 0; i < t->pictures; i++)
		scores[i] = ad_aggregate(m->maps + i * m->d->cells, m->d->cells, aggregate, t->o->train.top);
	return 0;
}

static int add_candidate(struct tuner *t, const struct mapping *m, double energy, enum adtool_aggregate aggregate,
			 adtool_error *err)
{
	const struct stage *s = m->s;
	adtool_tune_result *r = t->result;
	adtool_candidate *c;
	adtool_metrics metrics;
	double *scores;
	int code = reserve(t, err);

	if (code)
		return code;
	scores = ad_malloc_array(t->pictures, sizeof(*scores));
	if (!scores)
		return ad_fail_nomem(err);
	code = score_all(t, m, aggregate, scores, err);
	if (!code)
		code = adtool_metrics_compute(scores, t->truth, t->pictures, &metrics, err);
	if (code) {
		ad_free(scores);
		return code;
	}
	c = &r->candidates[r->count];
	*c = (adtool_candidate){
		.backbone = s->backbone,
		.width = s->width,
		.height = s->height,
		.grid = s->pooled[m->source].grid,
		.energy = energy,
		.aggregate = aggregate,
		.channels = s->sources[m->source].kept,
		.components = m->d->components,
		.multiply_adds = s->sources[m->source].multiply_adds,
		.auroc = metrics.auroc,
		.average_precision = metrics.average_precision,
		.fpr_at_tpr_95 = metrics.fpr_at_tpr_95,
	};
	snprintf(c->layer, sizeof(c->layer), "%s", s->sources[m->source].layer);
	t->scores[r->count++] = scores;
	return 0;
}

static int try_energy(struct tuner *t, struct stage *s, size_t source, double energy, adtool_error *err)
{
	const adtool_train_options *o = &t->o->train;
	size_t count = 0, i;
	ad_fit_options options = ad_train_fit_options(o, s->sources[source].kept, cells_of(s, source));
	uint64_t held = s->train.held + s->normals.held + s->anomalies.held;
	struct ad_fit fit = {0};
	struct mapping m = {.s = s, .d = &fit.detector, .source = source};
	const float **rows = NULL;
	int code = train_rows(s, source, &rows, &count, err);

	options.energy = energy;
	options.components = SIZE_MAX;
	options.aggregate = ADTOOL_TOP;
	options.pictures = count;
	options.only_fit = t->tiles;
	if (!code && ad_fit_memory(&options, ad_pool_size(t->pool)) > t->limit - (held < t->limit ? held : t->limit))
		code = ad_fail(err, ADTOOL_ELIMIT, "a grid of %u x %u needs more than the limit of %s",
			       s->pooled[source].grid, s->pooled[source].grid,
			       ad_memory_text((char[AD_MEMORY_TEXT]){0}, t->limit));
	if (!code && t->tiles)
		code = ad_fit_only(rows, count, &options, t->pool, &fit.detector, &fit.energy_kept, err);
	else if (!code)
		code = ad_fit_rows(rows, count, &options, t->pool, &fit, err);
	ad_free(rows);
	if (!code && !t->tiles)
		code = map_all(t, &m, err);
	for (i = 0; !code && i < t->o->aggregate_count; i++)
		code = add_candidate(t, &m, energy, t->o->aggregates[i], err);
	ad_free(m.maps);
	ad_fit_release(&fit);
	if (!code && o->progress && o->progress(o->context, "candidates", t->result->count, 0))
		code = ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	return code;
}

/* Whether the other candidates may still be tried. */
static int leave_out(struct tuner *t, int code)
{
	if (code == ADTOOL_ENOMEM || code == ADTOOL_ECANCELLED || code == ADTOOL_EIO)
		return code;
	t->result->left_out++;
	return 0;
}

/* Adds the sources that a layer gives; what does not fit is left out. names: the layers that gave any. */
static int add_layer(struct tuner *t, struct stage *s, const char *layer, const char **names, size_t *layers,
		     adtool_error *err)
{
	const adtool_tune_options *o = t->o;
	size_t first = s->count, i;
	adtool_layer_cost cost;
	int code = adtool_backbone_cost(o->backbones[s->backbone], layer, s->width, s->height, &cost, &t->why);

	if (code)
		return leave_out(t, code) ? ad_fail(err, code, "%s", t->why.message) : 0;
	for (i = 0; i < o->grid_count; i++) {
		const struct ad_extractor e = {.shape = {cost.channels, cost.height, cost.width}, .grid = o->grids[i]};

		if (ad_extractor_check(&e, &t->why)) {
			t->result->left_out++;
			continue;
		}
		s->pooled[s->count] = (struct ad_pooled){.grid = o->grids[i]};
		s->sources[s->count++] =
			(struct source){.layer = layer, .index = *layers, .multiply_adds = cost.multiply_adds};
	}
	if (s->count > first)
		names[(*layers)++] = layer;
	return 0;
}

/* Where each source's map lies among the plan's outputs. */
static void find_maps(const struct tuner *t, struct stage *s, const ad_plan *plan)
{
	size_t offset = 0, layer = 0, shape[3], i;

	ad_plan_output_shape(plan, 0, shape);
	for (i = 0; i < s->count; i++) {
		struct ad_pooled *p = &s->pooled[i];

		if (s->sources[i].index > layer) {
			offset += shape[0] * shape[1] * shape[2];
			ad_plan_output_shape(plan, ++layer, shape);
		}
		p->offset = offset;
		memcpy(p->shape, shape, sizeof(shape));
		s->sources[i].kept = ad_train_channels(&t->o->train, shape[0]);
	}
}

static int try_size(struct tuner *t, size_t backbone, const char *const *layers, size_t count, const unsigned size[2],
		    adtool_error *err)
{
	const adtool_tune_options *o = t->o;
	const adtool_backbone *b = o->backbones[backbone];
	struct stage s = {.backbone = backbone, .width = size[0], .height = size[1]};
	const char **names = ad_malloc_array(count, sizeof(*names));
	ad_plan *plan = NULL;
	size_t used = 0, i, j;
	int code = 0;

	if (count <= SIZE_MAX / o->grid_count) {
		s.sources = ad_calloc(count * o->grid_count, sizeof(*s.sources));
		s.pooled = ad_calloc(count * o->grid_count, sizeof(*s.pooled));
		s.cells = ad_calloc(count * o->grid_count, sizeof(*s.cells));
	}
	if (!names || !s.sources || !s.pooled || !s.cells)
		code = ad_fail_nomem(err);
	for (i = 0; !code && i < count; i++)
		code = add_layer(t, &s, layers[i], names, &used, err);
	if (code || !used)
		goto out;
	code = ad_plan_create_layers(b, names, used, size[0], size[1], t->pool, &plan, &t->why);
	if (code) {
		t->result->left_out += used - 1;
		code = leave_out(t, code) ? ad_fail(err, code, "%s", t->why.message) : 0;
		goto out;
	}
	find_maps(t, &s, plan);
	ad_extractor_init(&s.extractor, plan, ad_backbone_preprocessing(b), size[0], size[1], 0, o->train.max_pixels);
	s.extractor.look = ad_look_is_plain(&t->look) ? NULL : &t->look;
	s.extractor.background = o->train.geometry.background;
	s.extractor.isolate = o->train.isolate;
	for (i = 0; !code && i < s.count; i++) {
		code = ad_look_cells(&t->look, size[0], size[1], s.pooled[i].grid, &s.cells[i], err);
		s.pooled[i].cells = s.cells[i].index ? &s.cells[i] : NULL;
	}
	if (!code)
		code = gather_stage(t, &s, err);
	for (i = 0; !code && i < s.count; i++)
		for (j = 0; !code && j < o->energy_count; j++) {
			code = try_energy(t, &s, i, o->energies[j], &t->why);
			if (code && (code = leave_out(t, code)) != 0)
				ad_fail(err, code, "%s", t->why.message);
		}
out:
	stage_release(&s);
	ad_free(names);
	ad_plan_free(plan);
	return code;
}

static int try_backbone(struct tuner *t, size_t backbone, adtool_error *err)
{
	const adtool_tune_options *o = t->o;
	const adtool_backbone *b = o->backbones[backbone];
	adtool_backbone_info info;
	adtool_layer_info layer;
	const char **named = NULL, *const *layers = o->layers;
	size_t i, count = o->layers ? o->layer_count : 0;
	int code = adtool_backbone_get_info(b, &info, err);

	if (!code && !count) {
		layers = named = ad_malloc_array(info.layers + 1, sizeof(*named));
		if (!named)
			code = ad_fail_nomem(err);
		for (; !code && count < info.layers; count++) {
			code = adtool_backbone_layer(b, count, &layer, err);
			named[count] = layer.name;
		}
		if (!code && !count)
			named[count++] = info.default_layer;
	}
	for (i = 0; !code && i < o->size_count; i++)
		code = try_size(t, backbone, layers, count, o->sizes[i], err);
	ad_free(named);
	return code;
}

/* -- choosing ---------------------------------------------------------------------------------------- */

struct merit {
	double goal, other;
};

static int better(const struct tuner *t, size_t a, struct merit x, size_t b, struct merit y)
{
	const adtool_candidate *p = &t->result->candidates[a], *q = &t->result->candidates[b];

	if (x.goal != y.goal)
		return x.goal > y.goal;
	if (x.other != y.other)
		return x.other > y.other;
	if (p->multiply_adds != q->multiply_adds)
		return p->multiply_adds < q->multiply_adds;
	if (p->grid != q->grid)
		return p->grid < q->grid;
	return a < b;
}

static struct merit merit_of(const struct tuner *t, double auroc, double average_precision)
{
	if (t->o->goal == ADTOOL_GOAL_AP)
		return (struct merit){average_precision, auroc};
	return (struct merit){auroc, average_precision};
}

static void choose(struct tuner *t)
{
	adtool_tune_result *r = t->result;
	struct merit best = {0, 0};
	size_t i;

	for (i = 0; i < r->count; i++) {
		struct merit m = merit_of(t, r->candidates[i].auroc, r->candidates[i].average_precision);

		if (!i || better(t, i, m, r->best, best)) {
			r->best = i;
			best = m;
		}
	}
}

/* Room for the pictures inside or outside of a fold. */
struct part {
	double *scores;
	uint8_t *truth;
};

/* Of the pictures that are in the fold (inside) or not. */
static int measure(const struct tuner *t, const struct part *part, size_t candidate, const unsigned *fold_of,
		   unsigned fold, int inside, adtool_metrics *out, adtool_error *err)
{
	size_t i, n = 0;

	for (i = 0; i < t->pictures; i++)
		if ((fold_of[i] == fold) == inside) {
			part->scores[n] = t->scores[candidate][i];
			part->truth[n++] = t->truth[i];
		}
	return adtool_metrics_compute(part->scores, part->truth, n, out, err);
}

/* Chooses without the fold's pictures; out: how the choice does on them. */
static int nested_fold(struct tuner *t, const struct part *part, const unsigned *fold_of, unsigned fold,
		       adtool_metrics *out, adtool_error *err)
{
	adtool_tune_result *r = t->result;
	struct merit most = {0, 0};
	size_t i, best = 0;
	int code;

	for (i = 0; i < r->count; i++) {
		struct merit m;

		code = measure(t, part, i, fold_of, fold, 0, out, err);
		if (code)
			return code;
		m = merit_of(t, out->auroc, out->average_precision);
		if (!i || better(t, i, m, best, most)) {
			best = i;
			most = m;
		}
	}
	r->candidates[best].chosen++;
	return measure(t, part, best, fold_of, fold, 1, out, err);
}

static int estimate(struct tuner *t, adtool_error *err)
{
	adtool_tune_result *r = t->result;
	const adtool_train_options *o = &t->o->train;
	struct part part;
	unsigned repeat, fold;
	int code = 0;

	r->nested_auroc = r->nested_auroc_low = r->nested_auroc_high = r->nested_average_precision = NAN;
	if (!t->folds)
		return 0;
	part.scores = ad_malloc_array(t->pictures, sizeof(*part.scores));
	part.truth = ad_malloc_array(t->pictures, 1);
	if (!part.scores || !part.truth)
		code = ad_fail_nomem(err);
	r->folds = t->folds;
	r->repeats = t->o->repeats;
	for (repeat = 0; !code && repeat < t->o->repeats; repeat++) {
		double right = 0, pairs = 0, precision = 0;

		for (fold = 0; !code && fold < t->folds; fold++) {
			adtool_metrics m;

			code = nested_fold(t, &part, t->fold_of + repeat * t->pictures, fold, &m, err);
			if (code)
				break;
			right += m.auroc * (double)m.normals * (double)m.anomalies;
			pairs += (double)m.normals * (double)m.anomalies;
			precision += m.average_precision / t->folds;
		}
		if (code)
			break;
		right /= pairs;
		if (!repeat) {
			r->nested_auroc = r->nested_average_precision = 0;
			r->nested_auroc_low = r->nested_auroc_high = right;
		}
		r->nested_auroc += right / t->o->repeats;
		r->nested_average_precision += precision / t->o->repeats;
		r->nested_auroc_low = fmin(r->nested_auroc_low, right);
		r->nested_auroc_high = fmax(r->nested_auroc_high, right);
		if (o->progress && o->progress(o->context, "choosing", repeat + 1, t->o->repeats))
			code = ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	}
	ad_free(part.scores);
	ad_free(part.truth);
	return code;
}

/* -- the job ----------------------------------------------------------------------------------------- */

static int check_options(const adtool_tune_options *o, adtool_error *err)
{
	adtool_train_options each = o->train;
	size_t i;
	int code;

	if (!o->backbone_count || !o->size_count || !o->grid_count || !o->energy_count || !o->aggregate_count)
		return ad_fail(err, ADTOOL_EINVAL,
			       "nothing to try: a backbone, size, grid, energy and aggregate are needed");
	if (o->train.method != ADTOOL_FRE)
		return ad_fail(err, ADTOOL_EINVAL, "only the method fre is tuned");
	if (o->train.precision != ADTOOL_FLOAT32)
		return ad_fail(err, ADTOOL_EINVAL, "tuning computes in float32 only");
	if (o->folds < 2 || !o->repeats || o->repeats > 10000)
		return ad_fail(err, ADTOOL_EINVAL, "%u folds, %u repeats; at least 2, and 1 to 10000, make sense",
			       o->folds, o->repeats);
	for (i = 0; i < o->size_count; i++) {
		each.width = o->sizes[i][0];
		each.height = o->sizes[i][1];
		code = ad_train_check_options(&each, err);
		if (code)
			return code;
	}
	for (i = 0; i < o->grid_count; i++) {
		each.grid = o->grids[i];
		code = ad_train_check_options(&each, err);
		if (code)
			return code;
	}
	for (i = 0; i < o->energy_count; i++) {
		each.energy = o->energies[i];
		code = ad_train_check_options(&each, err);
		if (code)
			return code;
	}
	return 0;
}

/* Refusals are told of when pictures are read. */
static int list_train(struct tuner *t, adtool_error *err)
{
	adtool_train_options quiet = t->o->train;
	size_t i;
	int code;

	quiet.refused = NULL;
	code = ad_train_list_fill(t->train.items, t->train.count, t->dataset_options, &quiet, &t->list, err);
	if (code)
		return code;
	t->names = ad_malloc_array(t->list.count, sizeof(*t->names));
	if (!t->names)
		return ad_fail_nomem(err);
	for (i = 0; i < t->list.count; i++)
		t->names[i] = t->list.entries[i].name;
	return 0;
}

int adtool_tune(const adtool_tune_options *o, const char *const *train, size_t train_count, const char *const *normals,
		size_t normal_count, const char *const *anomalies, size_t anomaly_count,
		const adtool_dataset_options *dataset_options, adtool_tune_result **out, adtool_error *err)
{
	struct tuner t = {
		.o = o,
		.dataset_options = dataset_options,
		.train = {train, train_count},
		.normals = {normals, normal_count},
		.anomalies = {anomalies, anomaly_count},
		.limit = ad_memory_limit(o->train.memory),
		.tiles = o->train.geometry.tile_width > 0,
	};
	size_t i;
	int code = check_options(o, err);

	if (code)
		return code;
	code = ad_look_create(&o->train.geometry, o->train.mask, &t.look, err);
	if (!code && t.tiles)
		code = list_train(&t, err);
	if (!code)
		t.result = ad_calloc(1, sizeof(*t.result));
	if (!code)
		code =
		    t.result ? ad_pool_create(ad_stream_threads(o->train.threads), &t.pool, err) : ad_fail_nomem(err);
	for (i = 0; !code && i < o->backbone_count; i++)
		code = try_backbone(&t, i, err);
	if (!code && !t.result->count)
		code = ad_fail(err, t.why.code ? t.why.code : ADTOOL_EINVAL, "no candidate could be tried: %s",
			       t.why.message);
	if (!code) {
		choose(&t);
		code = estimate(&t, err);
	}
	for (i = 0; t.result && i < t.result->count; i++)
		ad_free(t.scores[i]);
	ad_free(t.scores);
	ad_free(t.truth);
	ad_free(t.fold_of);
	ad_look_release(&t.look);
	ad_train_list_release(&t.list);
	ad_free(t.names);
	ad_pool_free(t.pool);
	if (code)
		adtool_tune_result_free(t.result);
	else
		*out = t.result;
	return code;
}

void adtool_tune_result_free(adtool_tune_result *result)
{
	if (!result)
		return;
	ad_free(result->candidates);
	ad_free(result);
}
