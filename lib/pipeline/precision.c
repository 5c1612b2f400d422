/*
 * Training in 8 bits: the ranges of the backbone's tensors on the training pictures, and whether they will do. In
 * bfloat16: whether it will.
 */
#include "pipeline.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/rng.h"

/*
 * Pictures that are measured, and of those the ones whose features are compared; threads that measure at most. With
 * tiles it is tiles: of each of these pictures as many as make the number full.
 */
enum { MEASURED = 512, COMPARED = 32, MOST_THREADS = 8 };

struct measuring {
	const struct ad_precision *p;
	unsigned char *chosen; /* per picture: 0, 1 (ranges only) or 2 (compared, too) */
	unsigned char *seen;
	int least;
	ad_observer *observer;
	pthread_mutex_t lock;
	float *rows; /* of those compared, by slot; NULL: ranges are measured */
	size_t *slot;  /* per picture: its first; SIZE_MAX: none */
	size_t *slots; /* per picture: how many it has filled */
	size_t size, most; /* of a row; slots of a picture */
};

static int has_tiles(const struct ad_precision *p)
{
	return p->extractor->look && p->extractor->look->geometry.tile_width;
}

/* Tiles of each of so many pictures. */
static size_t share(size_t of, size_t pictures)
{
	return pictures < of ? (of + pictures - 1) / pictures : 1;
}

static int compare_names(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

static int measuring_select(struct ad_stream *s, const adtool_item *item, size_t *index)
{
	struct measuring *m = s->context;
	const char *const *found = bsearch(item->name, m->p->names, m->p->count, sizeof(*found), compare_names);

	if (!found)
		return 0;
	*index = (size_t)(found - m->p->names);
	if (m->chosen[*index] < m->least || m->seen[*index])
		return 0;
	m->seen[*index] = 1;
	return 1;
}

static int observe(struct measuring *m, const float *outputs, adtool_error *err)
{
	int code;

	pthread_mutex_lock(&m->lock);
	code = ad_observer_add(m->observer, outputs, err);
	pthread_mutex_unlock(&m->lock);
	return code;
}

/* All tensors of the picture lie in the scratch. */
static int measuring_observe(struct ad_stream *s, struct ad_picture *p, size_t slot, struct ad_scratch *scratch,
			     const adtool_image *image, float *row, adtool_error *err)
{
	(void)p, (void)slot, (void)image, (void)row;
	return observe(s->context, scratch->map, err);
}

/* A picture that is cut into tiles. */
struct visiting {
	struct measuring *m;
	const struct ad_tile_room *room;
	size_t picture;
	struct ad_drawn drawn;
};

static int visiting_begin(void *context, const ad_tiling *t, unsigned width, unsigned height, adtool_error *err)
{
	struct visiting *v = context;
	const struct ad_precision *p = v->m->p;

	return ad_tiles_draw(t, p->extractor->look->mask, width, height, p->seed, v->picture,
			     v->m->rows ? v->m->most : share(MEASURED, p->count), &v->drawn, err);
}

static int visiting_tile(void *context, size_t tile, const ad_fitting *fitting, const float *row, unsigned worker,
			 adtool_error *err)
{
	struct visiting *v = context;
	struct measuring *m = v->m;

	(void)fitting;
	if (!m->rows)
		return observe(m, v->room->scratch[worker].map, err);
	memcpy(m->rows + (m->slot[v->picture] + tile) * m->size, row, m->size * sizeof(*row));
	return 0;
}

static int measuring_tiled(struct ad_stream *s, struct ad_picture *p, size_t slot, const struct ad_source *source,
			   ad_pool *pool, struct ad_tile_room *room, adtool_error *err)
{
	struct measuring *m = s->context;
	struct visiting v = {.m = m, .room = room, .picture = p->index};
	const struct ad_visitor visitor = {.extractor = s->extractor, .pool = pool, .room = room, .drawn = &v.drawn,
					   .begin = visiting_begin, .tile = visiting_tile, .context = &v};
	int code = ad_visit_tiles(&visitor, source, err);

	(void)slot;
	ad_free(v.drawn.tiles);
	m->slots[p->index] = v.drawn.count;
	return code;
}

/* A picture that cannot be used is told of when it is used. */
static int measuring_emit(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct measuring *m = s->context;
	const struct ad_precision *of = m->p;

	(void)slot;
	if (m->rows) {
		if (row && !s->tiled) {
			memcpy(m->rows + m->slot[p->index] * m->size, row, m->size * sizeof(*row));
			m->slots[p->index] = 1;
		} else if (!row) {
			m->chosen[p->index] = 0;
		}
	} else if (!row && p->code == ADTOOL_ENUMERIC) {
		return ad_fail(err, p->code, "%s: %s", ad_buf_text(&p->name), ad_buf_text(&p->why));
	}
	if (of->progress && of->progress(of->context, "ranges", 0, 0))
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	return 0;
}

static int measuring_pass(struct measuring *m, const struct ad_extractor *e, int least, adtool_error *err)
{
	const struct ad_precision *p = m->p;
	struct ad_stream s = {.extractor = e,
			      .threads = p->threads < MOST_THREADS ? p->threads : MOST_THREADS,
			      .select = measuring_select,
			      .work = m->rows ? NULL : measuring_observe,
			      .tiled = has_tiles(p) ? measuring_tiled : NULL,
			      .emit = measuring_emit,
			      .context = m};
	const char **inputs = ad_malloc_array(p->count, sizeof(*inputs)), *archive = NULL;
	size_t n = 0;
	int code = inputs ? 0 : ad_fail_nomem(err);

	m->least = least;
	memset(m->seen, 0, p->count);
	for (size_t i = 0; !code && i < p->count; i++) {
		if (m->chosen[i] < least)
			continue;
		if (!p->archives[i])
			inputs[n++] = p->names[i];
		else if (!archive || strcmp(archive, p->archives[i]))
			inputs[n++] = archive = p->archives[i];
	}
	if (!code)
		code = adtool_dataset_open(inputs, n, p->dataset_options, &s.dataset, err);
	if (!code)
		code = ad_stream_run(&s, err);
	adtool_dataset_free(s.dataset);
	ad_free(inputs);
	return code;
}

static int choose(struct measuring *m, adtool_error *err)
{
	size_t n = m->p->count, compared = 0, *order;
	ad_rng rng;

	ad_rng_seed(&rng, m->p->seed);
	order = ad_rng_order(&rng, n);
	m->chosen = ad_calloc(n, 1);
	m->seen = ad_calloc(n, 1);
	m->slot = ad_malloc_array(n, sizeof(*m->slot));
	m->slots = ad_calloc(n, sizeof(*m->slots));
	m->most = has_tiles(m->p) ? share(COMPARED, n) : 1;
	if (!order || !m->chosen || !m->seen || !m->slot || !m->slots) {
		ad_free(order);
		return ad_fail_nomem(err);
	}
	for (size_t i = 0; i < n; i++)
		m->slot[i] = SIZE_MAX;
	for (size_t i = 0; i < n && i < MEASURED; i++) {
		m->chosen[order[i]] = i < COMPARED ? 2 : 1;
		if (i < COMPARED)
			m->slot[order[i]] = m->most * compared++;
	}
	ad_free(order);
	return 0;
}

static int measure_ranges(struct measuring *m, struct ad_measured *out, adtool_error *err)
{
	const struct ad_precision *p = m->p;
	struct ad_extractor e = *p->extractor;
	const ad_plan *plan;
	uint64_t bytes;
	int code = ad_observer_create(p->backbone, p->layer, e.width, e.height, p->pool, &m->observer, err);

	if (code)
		return code;
	plan = ad_observer_plan(m->observer);
	e.grid = 1;
	e.basis = NULL;
	e.cells = NULL;
	ad_extractor_plan(&e, plan);
	bytes = (p->threads < MOST_THREADS ? p->threads : MOST_THREADS) *
		(uint64_t)(ad_plan_arena_bytes(plan) + ad_plan_output_floats(plan) * sizeof(float));
	/* The tiles of a picture that is alone go through all threads. */
	bytes *= has_tiles(p) ? 2 : 1;
	if (bytes > p->memory)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "measuring ranges needs about %llu MiB, more than the limit of %s",
			       (unsigned long long)(bytes >> 20) + 1,
			       ad_memory_text((char[AD_MEMORY_TEXT]){0}, p->memory));
	code = measuring_pass(m, &e, 1, err);
	if (!code)
		code = ad_observer_finish(m->observer, &out->names, &out->ranges, &out->count, err);
	return code;
}

/*
 * How far features of the narrow plan are from those in floats: the root mean square of the difference over that of the
 * features' own spread among pictures, means taken out of both.
 */
static double compare_rows(const struct measuring *m, const float *wide, const float *narrow)
{
	double error = 0, spread = 0;
	size_t i, j, f, n;

	for (f = 0; f < m->size; f++) {
		double sum[2] = {0, 0}, squares[2] = {0, 0};

		for (i = n = 0; i < m->p->count; i++) {
			for (j = 0; m->chosen[i] == 2 && j < m->slots[i]; j++) {
				size_t at = (m->slot[i] + j) * m->size + f;
				double off = (double)narrow[at] - (double)wide[at];

				n++;
				sum[0] += (double)wide[at];
				squares[0] += (double)wide[at] * (double)wide[at];
				sum[1] += off;
				squares[1] += off * off;
			}
		}
		if (n > 1) {
			spread += fmax(0, squares[0] - sum[0] * sum[0] / (double)n);
			error += fmax(0, squares[1] - sum[1] * sum[1] / (double)n);
		}
	}
	return spread > 0 ? sqrt(error / spread) : 0;
}

static int compare_features(struct measuring *m, const ad_plan *narrow, double *difference, adtool_error *err)
{
	struct ad_extractor e = *m->p->extractor;
	float *rows[2] = {0};
	int code = 0;

	e.basis = NULL;
	m->size = ad_extractor_pooled(&e);
	for (int i = 0; i < 2 && !code; i++) {
		rows[i] = ad_malloc_array(m->most * (m->p->count < COMPARED ? m->p->count : COMPARED),
					  m->size * sizeof(float));
		m->rows = rows[i];
		if (i)
			ad_extractor_plan(&e, narrow);
		code = rows[i] ? measuring_pass(m, &e, 2, err) : ad_fail_nomem(err);
	}
	if (!code)
		*difference = compare_rows(m, rows[0], rows[1]);
	ad_free(rows[0]);
	ad_free(rows[1]);
	return code;
}

ad_ranges ad_measured_ranges(const struct ad_measured *m)
{
	return (ad_ranges){(const char *)m->names.data, m->names.size, m->ranges, m->count};
}

ad_how ad_precision_how(enum adtool_precision precision, const ad_ranges *ranges)
{
	return (ad_how){.bf16 = precision == ADTOOL_BF16, .ranges = precision == ADTOOL_INT8 ? ranges : NULL};
}

void ad_measured_release(struct ad_measured *m)
{
	ad_buf_release(&m->names);
	ad_free(m->ranges);
	memset(m, 0, sizeof(*m));
}

static int too_different(enum adtool_precision precision, double difference, adtool_error *err)
{
	int is_int8 = precision == ADTOOL_INT8;
	double most = is_int8 ? AD_INT8_MOST_DIFFERENCE : AD_BF16_MOST_DIFFERENCE;

	if (difference <= most)
		return 0;
	return ad_fail(
	    err, ADTOOL_EUNSUPPORTED,
	    "in %s the features of this layer are off by %.0f %% of their spread, more than the %.0f %% that leave "
	    "accuracy as it is: use float32",
	    is_int8 ? "int8" : "bf16", 100 * difference, 100 * most);
}

int ad_precision_measure(const struct ad_precision *p, struct ad_measured *out, ad_plan **plan, adtool_error *err)
{
	struct measuring m = {.p = p};
	struct ad_measured measured = {0};
	ad_plan *narrow = NULL;
	ad_ranges ranges;
	ad_how how;
	int code = choose(&m, err);

	pthread_mutex_init(&m.lock, NULL);
	if (!code && p->precision == ADTOOL_INT8)
		code = measure_ranges(&m, &measured, err);
	ranges = ad_measured_ranges(&measured);
	how = ad_precision_how(p->precision, &ranges);
	if (!code)
		code = ad_plan_create_as(p->backbone, p->layer, p->extractor->width, p->extractor->height, &how,
					 p->pool, &narrow, err);
	if (!code)
		code = compare_features(&m, narrow, &measured.difference, err);
	if (!code)
		code = too_different(p->precision, measured.difference, err);
	if (!code) {
		*out = measured;
		*plan = narrow;
	} else {
		ad_measured_release(&measured);
		ad_plan_free(narrow);
	}
	ad_observer_free(m.observer);
	pthread_mutex_destroy(&m.lock);
	ad_free(m.chosen);
	ad_free(m.seen);
	ad_free(m.slot);
	ad_free(m.slots);
	return code;
}
