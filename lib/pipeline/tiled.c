/* Pictures that are cut into tiles: each tile through the network, and what becomes of them. */
#include "pipeline.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

/* Tiles of a fit: so many in all, but at least one of each picture. Refits take the third power of it. */
enum { TILES = 2048 };

size_t ad_tiles_of_each(size_t pictures)
{
	return pictures < TILES ? TILES / pictures : 1;
}

static int compare_places(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

size_t ad_tiles_choose(uint64_t seed, size_t picture, size_t seen, size_t most, size_t *chosen)
{
	ad_rng rng;
	size_t i;

	for (i = 0; i < seen; i++)
		chosen[i] = i;
	if (seen <= most)
		return seen;
	ad_rng_seed(&rng, seed + 0x9e3779b97f4a7c15u * (picture + 1));
	ad_rng_shuffle(&rng, chosen, seen);
	qsort(chosen, most, sizeof(*chosen), compare_places);
	return most;
}

int ad_tiles_of(const struct ad_look *look, unsigned grid, unsigned width, unsigned height, ad_tiling *out,
		adtool_error *err)
{
	ad_area region;
	int code = ad_look_region(look, width, height, &region, err);

	/* Of whole maps (grid 0) no one map is made. */
	return code ? code : ad_tiling_init(out, &look->geometry, &region, grid ? grid : 1, err);
}

static int sees(const ad_mask *mask, const ad_tiling *t, size_t tile, unsigned width, unsigned height, ad_area *area)
{
	ad_tiling_area(t, tile, area);
	return !mask || ad_mask_sees(mask, width, height, area);
}

size_t ad_tiles_seen(const ad_tiling *t, const ad_mask *mask, unsigned width, unsigned height)
{
	size_t n = ad_tiling_count(t), seen = 0, i;
	ad_area area;

	if (!mask)
		return n;
	for (i = 0; i < n; i++)
		seen += (size_t)sees(mask, t, i, width, height, &area);
	return seen;
}

int ad_tiles_draw(const ad_tiling *t, const ad_mask *mask, unsigned width, unsigned height, uint64_t seed,
		  size_t picture, size_t most, struct ad_drawn *out, adtool_error *err)
{
	size_t seen = ad_tiles_seen(t, mask, width, height), at = 0, done = 0, n, i, *chosen;
	ad_area area;

	if (!seen)
		return ad_fail(err, ADTOOL_EINVAL, "the mask has no white where this picture is looked at");
	chosen = ad_malloc_array(seen, sizeof(*chosen));
	if (!chosen)
		return ad_fail_nomem(err);
	n = ad_tiles_choose(seed, picture, seen, most, chosen);
	/* From places among those seen to numbers of the tiling. */
	for (i = 0; mask && done < n; i++)
		if (sees(mask, t, i, width, height, &area) && chosen[done] == at++)
			chosen[done++] = i;
	*out = (struct ad_drawn){chosen, n};
	return 0;
}

/* -- room for it ----------------------------------------------------------------------------------------- */

size_t ad_extractor_row(const struct ad_extractor *e)
{
	return e->basis ? e->basis->to * ad_extractor_cells(e) : ad_extractor_pooled(e);
}

void ad_tile_room_release(struct ad_tile_room *r)
{
	unsigned i;

	for (i = 0; i < r->workers; i++) {
		if (r->scratch)
			ad_scratch_release(&r->scratch[i]);
		if (r->rows)
			ad_free_aligned(r->rows[i]);
		if (r->maps)
			ad_free_aligned(r->maps[i]);
		if (r->work)
			ad_free_aligned(r->work[i]);
	}
	ad_free(r->scratch);
	ad_free(r->rows);
	ad_free(r->maps);
	ad_free(r->work);
	memset(r, 0, sizeof(*r));
}

/* Unless it is there. */
static int create_room(struct ad_tile_room *r, const struct ad_extractor *e, const ad_detector *d, unsigned workers,
		       adtool_error *err)
{
	size_t scratch = d ? ad_detector_scratch(d, 1) : 0, cells = (size_t)e->grid * e->grid;
	unsigned i;

	if (r->workers)
		return 0;
	r->scratch = ad_calloc(workers, sizeof(*r->scratch));
	r->rows = ad_calloc(workers, sizeof(*r->rows));
	r->maps = ad_calloc(workers, sizeof(*r->maps));
	r->work = ad_calloc(workers, sizeof(*r->work));
	r->workers = workers;
	if (!r->scratch || !r->rows || !r->maps || !r->work)
		goto fail;
	for (i = 0; i < workers; i++) {
		r->rows[i] = ad_malloc_aligned(ad_extractor_row(e), sizeof(float));
		r->maps[i] = ad_malloc_aligned(2 * cells, sizeof(float));
		r->work[i] = ad_malloc_aligned(scratch, 1);
		if (!r->rows[i] || !r->maps[i] || !r->work[i])
			goto fail;
	}
	return 0;
fail:
	ad_tile_room_release(r);
	return ad_fail_nomem(err);
}

/* -- visiting -------------------------------------------------------------------------------------------- */

struct visit {
	const struct ad_visitor *v;
	ad_tiling tiling;
	unsigned width, height; /* of the picture */
	const ad_cutter *cutter;
};

static int visit_begin(void *context, unsigned width, unsigned height, ad_tiling *out, adtool_error *err)
{
	struct visit *job = context;
	const struct ad_extractor *e = job->v->extractor;
	int code = ad_tiles_of(e->look, e->grid, width, height, &job->tiling, err);

	if (code)
		return code;
	job->width = width;
	job->height = height;
	*out = job->tiling;
	return job->v->begin(job->v->context, &job->tiling, width, height, err);
}

/* From a tile's number to what is told of it; 0: it is not wanted. */
static int is_wanted(const struct ad_drawn *drawn, size_t *tile)
{
	const size_t *found;

	if (!drawn)
		return 1;
	found = bsearch(tile, drawn->tiles, drawn->count, sizeof(*tile), compare_places);
	if (found)
		*tile = (size_t)(found - drawn->tiles);
	return found != NULL;
}

static int visit_one(void *context, size_t i, unsigned worker, adtool_error *err)
{
	const struct visit *job = context;
	const struct ad_visitor *v = job->v;
	const struct ad_extractor *e = v->extractor;
	struct ad_scratch *scratch = &v->room->scratch[worker];
	size_t tile = ad_cutter_index(job->cutter, i);
	const ad_mask *mask = e->look->mask;
	adtool_image *image = NULL;
	ad_fitting fitting;
	uint8_t colour[3];
	ad_area area;
	int code;

	if (!sees(mask, &job->tiling, tile, job->width, job->height, &area) || !is_wanted(v->drawn, &tile))
		return 0;
	code = ad_scratch_create(scratch, e, err);
	if (!code)
		code = ad_cutter_tile(job->cutter, i, &image, err);
	if (code)
		return code;
	if (mask) {
		ad_padding_colour(&e->preprocessing, colour);
		ad_mask_paint(mask, job->width, job->height, area.x, area.y, image, colour);
	}
	ad_fit_tile(&e->look->geometry, &area, e->width, e->height, &fitting);
	code = ad_fitting_to_tensor(image, &fitting, &e->preprocessing, e->width, e->height, scratch->tensor, err);
	adtool_image_free(image);
	if (code)
		return code;
	ad_extract_row(e, scratch, NULL, v->room->rows[worker]);
	return v->tile(v->context, tile, &fitting, v->room->rows[worker], worker, err);
}

static int visit_band(void *context, const ad_cutter *cutter, size_t count, adtool_error *err)
{
	struct visit *job = context;

	job->cutter = cutter;
	return ad_pool_try(job->v->pool, visit_one, job, count, NULL, err);
}

/* All on the caller's thread, worker 0. */
static int visit_kept(struct visit *job, const struct ad_tiles *kept, adtool_error *err)
{
	const struct ad_visitor *v = job->v;
	const struct ad_extractor *e = v->extractor;
	const float *row = kept->rows;
	float *projected = v->room->rows[0];
	ad_fitting fitting;
	ad_tiling tiling;
	ad_area area;
	size_t i, n, tile, size = ad_extractor_pooled(e);
	int code = visit_begin(job, kept->width, kept->height, &tiling, err);

	n = code ? 0 : ad_tiling_count(&tiling);
	for (i = 0; !code && i < n; i++) {
		if (!sees(e->look->mask, &tiling, i, kept->width, kept->height, &area))
			continue;
		tile = i;
		if (is_wanted(v->drawn, &tile)) {
			if (e->basis)
				ad_channels_apply(e->basis, row, ad_extractor_cells(e), projected);
			ad_fit_tile(&e->look->geometry, &area, e->width, e->height, &fitting);
			code = v->tile(v->context, tile, &fitting, e->basis ? projected : row, 0, err);
		}
		row += size;
	}
	return code;
}

int ad_visit_tiles(const struct ad_visitor *v, const struct ad_source *source, adtool_error *err)
{
	struct visit job = {.v = v};
	ad_cutter_client client = {visit_begin, visit_band, &job};
	adtool_image_options options;
	ad_cutter *cutter = NULL;
	int code = create_room(v->room, v->extractor, v->detector, ad_pool_size(v->pool), err);

	if (code)
		return code;
	if (source->kept)
		return visit_kept(&job, source->kept, err);
	code = ad_cutter_create(&client, v->extractor->max_pixels, &cutter, err);
	if (code)
		return code;
	options = ad_extractor_decoding(v->extractor);
	options.page = source->page;
	code = source->image ? ad_image_rows(source->image, ad_cutter_rows(cutter), err)
			     : ad_image_decode_rows(source->data, source->size, &options, ad_cutter_rows(cutter), err);
	if (!code)
		code = ad_cutter_end(cutter, err);
	ad_cutter_free(cutter);
	return code;
}

/* -- scoring --------------------------------------------------------------------------------------------- */

struct scoring {
	const struct ad_extractor *extractor;
	const ad_detector *detector;
	const struct ad_tile_room *room; /* made before any tile comes */
	struct ad_tiled_score *out;
	ad_tiling tiling;
	int with_map, any;
	pthread_mutex_t lock; /* of *out and any */
};

static int score_begin(void *context, const ad_tiling *t, unsigned width, unsigned height, adtool_error *err)
{
	struct scoring *s = context;
	struct ad_tiled_score *out = s->out;

	s->tiling = *t;
	out->width = width;
	out->height = height;
	out->region = t->region;
	out->rows = t->rows;
	out->cols = t->cols;
	if (!s->with_map)
		return 0;
	ad_free(out->map);
	out->map = ad_calloc((size_t)t->rows * t->cols, sizeof(*out->map));
	return out->map ? 0 : ad_fail_nomem(err);
}

/* Leaves the residuals of cells that the mask hides out of the score, and out of the map. */
static int score_masked(const struct scoring *s, const ad_fitting *fitting, float *map, float *kept, double *score,
			adtool_error *err)
{
	const struct ad_extractor *e = s->extractor;
	const ad_detector *d = s->detector;
	struct ad_cells cells;
	size_t i;
	int code = ad_mask_cells(e->look->mask, s->out->width, s->out->height, fitting, e->width, e->height, e->grid,
				 &cells.index, &cells.count, err);

	if (code)
		return code;
	for (i = 0; i < cells.count; i++)
		kept[i] = map[cells.index[i]];
	*score = cells.count ? ad_aggregate(kept, cells.count, d->aggregate, d->top) : 0;
	ad_cells_spread(&cells, kept, e->grid, map);
	ad_cells_release(&cells);
	return 0;
}

static int score_tile(void *context, size_t tile, const ad_fitting *fitting, const float *row, unsigned worker,
		      adtool_error *err)
{
	struct scoring *s = context;
	const ad_detector *d = s->detector;
	float *map = s->room->maps[worker];
	double score, peak = 0;
	size_t i;
	int fre = d->method == ADTOOL_FRE, code = 0;

	ad_detector_score(d, 1, &row, &score, fre ? map : NULL, s->room->work[worker]);
	if (isfinite(score) && fre && s->extractor->look->mask)
		code = score_masked(s, fitting, map, map + d->cells, &score, err);
	if (code)
		return code;
	if (!isfinite(score))
		return ad_fail(err, ADTOOL_ENUMERIC, "the score of its tile %zu is not finite", tile);
	for (i = 0; fre && i < d->cells; i++)
		peak = fmax(peak, (double)map[i]);
	pthread_mutex_lock(&s->lock);
	s->out->score = s->any ? fmax(s->out->score, score) : score;
	s->out->peak = s->any ? fmax(s->out->peak, peak) : peak;
	s->any = 1;
	if (fre && s->out->map)
		ad_tiling_merge(&s->tiling, tile, map, s->out->map);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int ad_score_tiles(const struct ad_extractor *e, const ad_detector *d, struct ad_tile_room *room, ad_pool *pool,
		   const struct ad_source *source, int with_map, struct ad_tiled_score *out, adtool_error *err)
{
	struct scoring s = {.extractor = e, .detector = d, .room = room, .out = out,
			    .with_map = with_map && d->method == ADTOOL_FRE};
	const struct ad_visitor v = {.extractor = e, .detector = d, .pool = pool, .room = room, .begin = score_begin,
				     .tile = score_tile, .context = &s};
	int code;

	pthread_mutex_init(&s.lock, NULL);
	code = ad_visit_tiles(&v, source, err);
	pthread_mutex_destroy(&s.lock);
	if (!code && !s.any)
		code = ad_fail(err, ADTOOL_EINVAL, "the model's mask has no white where this picture is looked at");
	return code;
}
