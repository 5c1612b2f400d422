/* Features held in memory, and fits on them: what cross-validation and tuning share. */
#include "pipeline.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"
#include "../base/rng.h"

static void rows_release(struct ad_gathered *p, size_t rows)
{
	size_t i;

	for (i = 0; p->rows && i < rows; i++)
		ad_free_aligned(p->rows[i]);
	ad_free(p->rows);
	p->rows = NULL;
}

static void gathered_release(struct ad_gathered *p, size_t rows)
{
	rows_release(p, rows);
	ad_free(p->name);
	ad_free(p->label);
	ad_free(p->archive);
}

void ad_gather_release(struct ad_gather *g)
{
	size_t i;

	for (i = 0; i < g->count; i++)
		gathered_release(&g->pictures[i], g->pooled_count);
	ad_free(g->pictures);
	g->pictures = NULL;
	g->count = g->capacity = 0;
	g->held = 0;
}

static int reserve(struct ad_gather *g, adtool_error *err)
{
	size_t capacity = g->capacity ? 2 * g->capacity : 256;
	struct ad_gathered *more;

	if (g->count < g->capacity)
		return 0;
	more = ad_realloc_array(g->pictures, capacity, sizeof(*more));
	if (!more)
		return ad_fail_nomem(err);
	g->pictures = more;
	g->capacity = capacity;
	return 0;
}

size_t ad_pooled_cells(const struct ad_pooled *p)
{
	return p->cells ? p->cells->count : (size_t)p->grid * p->grid;
}

size_t ad_pooled_floats(const struct ad_pooled *p)
{
	return (p->basis ? p->basis->to : p->shape[0]) * ad_pooled_cells(p);
}

struct ad_tiles ad_gathered_tiles(const struct ad_gathered *p, size_t pooled)
{
	return (struct ad_tiles){p->width, p->height, p->tiles, p->rows[pooled], NULL};
}

/* Bytes of one picture's, or one tile's, rows. */
static uint64_t row_bytes(const struct ad_gather *g)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < g->pooled_count; i++)
		bytes += ad_pooled_floats(&g->pooled[i]) * sizeof(float);
	return bytes;
}

static int fail_limit(const struct ad_gather *g, adtool_error *err)
{
	return ad_fail(err, ADTOOL_ELIMIT,
		       "the features of the pictures take more than the limit of %s; fewer grids, layers "
		       "or pictures need less",
		       ad_memory_text((char[AD_MEMORY_TEXT]){0}, g->limit));
}

/* maps: of all layers, whole. */
static int pool_one(const struct ad_pooled *to, const float *maps, float *out, adtool_error *err)
{
	const ad_channels *basis = to->basis;
	const size_t *shape = to->shape, cells = ad_pooled_cells(to);
	float *pooled = NULL;

	if (basis || to->cells) {
		pooled = ad_malloc_aligned(shape[0] * to->grid * to->grid, sizeof(float));
		if (!pooled)
			return ad_fail_nomem(err);
	}
	ad_pool_grid(maps + to->offset, shape[0], shape[1], shape[2], to->grid, pooled ? pooled : out);
	if (to->cells)
		ad_cells_keep(to->cells, pooled, shape[0], to->grid, basis ? pooled : out);
	if (basis)
		ad_channels_apply(basis, pooled, cells, out);
	ad_free_aligned(pooled);
	return 0;
}

/* Room for so many maps in each row. */
static int make_rows(const struct ad_gather *g, struct ad_gathered *p, size_t maps, adtool_error *err)
{
	size_t i;

	p->rows = ad_calloc(g->pooled_count, sizeof(*p->rows));
	if (!p->rows)
		return ad_fail_nomem(err);
	for (i = 0; i < g->pooled_count; i++) {
		p->rows[i] = ad_malloc_aligned(maps * ad_pooled_floats(&g->pooled[i]), sizeof(float));
		if (!p->rows[i])
			return ad_fail_nomem(err);
	}
	return 0;
}

static int pool_rows(struct ad_gather *g, const float *maps, struct ad_gathered *p, adtool_error *err)
{
	size_t i;
	int code;

	g->held += row_bytes(g);
	if (g->held + g->others > g->limit)
		return fail_limit(g, err);
	code = make_rows(g, p, 1, err);
	for (i = 0; !code && i < g->pooled_count; i++)
		code = pool_one(&g->pooled[i], maps, p->rows[i], err);
	return code;
}

/* -- tiles, on the workers' threads ------------------------------------------------------------------------ */

struct tiling {
	struct ad_gather *g;
	struct ad_gathered *to;
	size_t picture;
	struct ad_drawn drawn;
	uint64_t held;
};

static int tiling_begin(void *context, const ad_tiling *t, unsigned width, unsigned height, adtool_error *err)
{
	struct tiling *of = context;
	struct ad_gather *g = of->g;
	size_t most = g->names ? ad_tiles_of_each(g->name_count) : SIZE_MAX;
	int code = ad_tiles_draw(t, g->extractor->look->mask, width, height, g->seed, of->picture, most, &of->drawn,
				 err);

	if (code)
		return code;
	of->to->width = width;
	of->to->height = height;
	of->to->tiles = of->drawn.count;
	of->held = of->drawn.count * row_bytes(g);
	if (atomic_fetch_add(&g->held, of->held) + of->held + g->others > g->limit) {
		atomic_store(&g->too_many, 1);
		return ad_fail(err, ADTOOL_ELIMIT, "its tiles do not fit into memory");
	}
	return make_rows(g, of->to, of->drawn.count, err);
}

static int tiling_tile(void *context, size_t tile, const ad_fitting *fitting, const float *row, unsigned worker,
		       adtool_error *err)
{
	const struct tiling *of = context;
	const struct ad_gather *g = of->g;
	size_t i, j;
	int code = 0;

	(void)fitting, (void)worker;
	for (i = 0; !code && i < g->pooled_count; i++) {
		size_t floats = ad_pooled_floats(&g->pooled[i]);
		float *to = of->to->rows[i] + tile * floats;

		code = pool_one(&g->pooled[i], row, to, err);
		for (j = 0; !code && j < floats; j++)
			if (!isfinite(to[j]))
				code = ad_fail(err, ADTOOL_ENUMERIC, "feature %zu of %zu is not a finite number", j + 1,
					       floats);
	}
	return code;
}

static int gather_tiled(struct ad_stream *s, struct ad_picture *p, size_t slot, const struct ad_source *source,
			ad_pool *pool, struct ad_tile_room *room, adtool_error *err)
{
	struct ad_gather *g = s->context;
	struct tiling of = {.g = g, .to = &g->pending[slot], .picture = p->index};
	const struct ad_visitor v = {.extractor = g->extractor, .pool = pool, .room = room, .drawn = &of.drawn,
				     .begin = tiling_begin, .tile = tiling_tile, .context = &of};
	int code = ad_visit_tiles(&v, source, err);

	ad_free(of.drawn.tiles);
	p->width = of.to->width;
	p->height = of.to->height;
	if (code) {
		rows_release(of.to, g->pooled_count);
		atomic_fetch_sub(&g->held, of.held);
	}
	return code;
}

static int compare_key(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

static int gather_select(struct ad_stream *s, const adtool_item *item, size_t *index)
{
	const struct ad_gather *g = s->context;
	const char *const *found = bsearch(item->name, g->names, g->name_count, sizeof(*found), compare_key);

	/* What cannot be read has no name there, but is told of. */
	*index = found ? (size_t)(found - g->names) : 0;
	return found || item->code;
}

/* -- pictures ---------------------------------------------------------------------------------------------- */

static int gather_emit(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct ad_gather *g = s->context;
	struct ad_gathered *to;
	adtool_error why;
	int code;

	if (g->too_many)
		return fail_limit(g, err);
	if (!row) {
		ad_fail(&why, p->code, "%s", ad_buf_text(&p->why));
		g->refusals++;
		if (g->refused)
			g->refused(g->context, ad_buf_text(&p->name), &why);
		return 0;
	}
	code = reserve(g, err);
	if (code)
		return code;
	to = &g->pictures[g->count++];
	*to = (struct ad_gathered){.name = ad_strdup(ad_buf_text(&p->name)),
				   .label = ad_strdup(ad_buf_text(&p->label)),
				   .archive = ad_strdup(ad_buf_text(&p->archive)),
				   .width = p->width,
				   .height = p->height};
	if (g->pending) {
		to->rows = g->pending[slot].rows;
		to->tiles = g->pending[slot].tiles;
		g->pending[slot].rows = NULL;
	}
	if (!to->name || !to->label || !to->archive)
		return ad_fail_nomem(err);
	code = g->pending ? 0 : pool_rows(g, row, to, err);
	if (!code && g->progress && g->progress(g->context, "features", g->count, 0))
		code = ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	return code;
}

int ad_gather_run(struct ad_gather *g, const char *const *inputs, size_t count,
		  const adtool_dataset_options *dataset_options, adtool_error *err)
{
	struct ad_stream s = {
		.extractor = g->extractor,
		.threads = ad_stream_threads(g->threads),
		.emit = gather_emit,
		.context = g,
	};
	size_t slots = ad_stream_slots(s.threads, 0), i;
	int code = 0;

	if (g->extractor->look && g->extractor->look->geometry.tile_width) {
		s.tiled = gather_tiled;
		s.select = g->names ? gather_select : NULL;
		g->pending = ad_calloc(slots, sizeof(*g->pending));
		code = g->pending ? 0 : ad_fail_nomem(err);
	}
	if (!code)
		code = adtool_dataset_open(inputs, count, dataset_options, &s.dataset, err);
	if (!code)
		code = ad_stream_run(&s, err);
	adtool_dataset_free(s.dataset);
	for (i = 0; g->pending && i < slots; i++)
		rows_release(&g->pending[i], g->pooled_count);
	ad_free(g->pending);
	g->pending = NULL;
	return code;
}

/* Rows are in memory at places that ascend with the order found, but the names decide; equal ones are one picture. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct ad_gathered *)a)->name, ((const struct ad_gathered *)b)->name);
}

void ad_gather_sort(struct ad_gather *g)
{
	size_t i, kept = 0;

	if (!g->count)
		return;
	qsort(g->pictures, g->count, sizeof(*g->pictures), compare_names);
	for (i = 0; i < g->count; i++) {
		struct ad_gathered *p = &g->pictures[i];

		if (kept && !strcmp(g->pictures[kept - 1].name, p->name)) {
			g->held -= (p->tiles ? p->tiles : 1) * row_bytes(g);
			gathered_release(p, g->pooled_count);
		} else {
			g->pictures[kept++] = *p;
		}
	}
	g->count = kept;
}

/* -- fits -------------------------------------------------------------------------------------------- */

int ad_basis_draw(uint64_t seed, size_t count, unsigned char *taken, adtool_error *err)
{
	size_t i, *order;
	ad_rng rng;

	ad_rng_seed(&rng, seed);
	order = ad_rng_order(&rng, count);
	if (!order)
		return ad_fail_nomem(err);
	for (i = 0; i < count && i < AD_BASIS_PICTURES; i++)
		taken[order[i]] = 1;
	ad_free(order);
	return 0;
}

int ad_fit_basis(const float *const *maps, size_t count, size_t channels, size_t cells, size_t keep, uint64_t seed,
		 ad_pool *pool, ad_channels *out, adtool_error *err)
{
	const float **chosen = ad_malloc_array(count, sizeof(*chosen));
	unsigned char *taken = ad_calloc(count, 1);
	size_t i, n = 0;
	int code = chosen && taken ? ad_basis_draw(seed, count, taken, err) : ad_fail_nomem(err);

	for (i = 0; !code && i < count; i++)
		if (taken[i])
			chosen[n++] = maps[i];
	if (!code)
		code = ad_channels_fit(chosen, n, channels, cells, keep, pool, out, err);
	ad_free(chosen);
	ad_free(taken);
	return code;
}

int ad_fit_decide(struct ad_fit *f, const ad_calibration *c, double alpha, adtool_error *err)
{
	ad_box box;
	int code = ad_box_fit(c->q ? c->q : c->scores, c->n, f->detector.method == ADTOOL_PPCA ? 0.5 : 1,
			      ad_detector_shift(&f->detector), &box, err);

	if (code)
		return code;
	f->calibration = ad_malloc_array(c->n, sizeof(*f->calibration));
	if (!f->calibration)
		return ad_fail_nomem(err);
	memcpy(f->calibration, c->scores, c->n * sizeof(*f->calibration));
	f->n = c->n;
	qsort(f->calibration, f->n, sizeof(*f->calibration), ad_compare_doubles);
	return ad_limit_at(f->calibration, f->n, &box, alpha, &f->limit, err);
}

int ad_fit_rows(const float *const *rows, size_t count, const ad_fit_options *options, ad_pool *pool,
		struct ad_fit *out, adtool_error *err)
{
	ad_fit_options o = *options;
	ad_calibration calibration = {0};
	ad_fitter *fitter = NULL;
	struct ad_fit f = {0};
	size_t i;
	int code;

	o.pictures = count;
	code = ad_fitter_create(&o, &fitter, err);
	for (i = 0; !code && i < count; i++)
		code = ad_fitter_add(fitter, i, rows[i], err);
	if (!code)
		code = ad_fitter_finish(fitter, pool, NULL, NULL, &f.detector, &f.energy_kept, &calibration, err);
	if (!code)
		code = ad_fit_decide(&f, &calibration, o.alpha, err);
	ad_calibration_release(&calibration);
	ad_fitter_free(fitter);
	if (code)
		ad_fit_release(&f);
	else
		*out = f;
	return code;
}

int ad_fit_only(const float *const *rows, size_t count, const ad_fit_options *options, ad_pool *pool, ad_detector *out,
		double *energy_kept, adtool_error *err)
{
	ad_fit_options o = *options;
	ad_calibration none = {0};
	ad_fitter *fitter = NULL;
	size_t i;
	int code;

	o.only_fit = 1;
	o.groups = NULL;
	o.group_count = o.largest_group = 0;
	o.pictures = count;
	code = ad_fitter_create(&o, &fitter, err);
	for (i = 0; !code && i < count; i++)
		code = ad_fitter_add(fitter, i, rows[i], err);
	if (!code)
		code = ad_fitter_finish(fitter, pool, NULL, NULL, out, energy_kept, &none, err);
	ad_fitter_free(fitter);
	return code;
}

void ad_fit_release(struct ad_fit *f)
{
	ad_detector_release(&f->detector);
	ad_free(f->calibration);
	memset(f, 0, sizeof(*f));
}
