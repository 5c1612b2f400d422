/*
 * Training on pictures that are cut into tiles. The fit is made of tiles, a seeded sample of each picture's; what is
 * calibrated is the score of a whole picture, the largest of all its tiles', by a fit that has seen none of them. So
 * pictures are read twice, and memory does not grow with the number of their tiles; where stats are kept, all tiles are
 * held instead.
 */
#include "trainer.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/rng.h"
#include "../bundle/members.h"

enum { FOLDS = 10 };

size_t ad_train_tiles_most(size_t pictures)
{
	return pictures * ad_tiles_of_each(pictures);
}

uint64_t ad_train_tiles_memory(const struct trainer *t, const ad_fit_options *fit)
{
	return (uint64_t)fit->pictures *
	       (ad_extractor_pooled(&t->extractor) + 2 * fit->dimensions + fit->cells) * sizeof(float);
}

/* -- reading --------------------------------------------------------------------------------------------- */

void ad_train_tiles_release(struct ad_tiles *tiles)
{
	ad_free_aligned(tiles->own);
	memset(tiles, 0, sizeof(*tiles));
}

/* The tiles of one picture that are taken. */
struct sampling {
	struct trainer *t;
	size_t picture; /* its entry */
	struct ad_drawn drawn;
	size_t size;
	float *rows; /* drawn.count x size */
	uint64_t held;
	unsigned width, height;
};

/* Where all tiles are held, their number is known last. */
static int hold(struct sampling *s, adtool_error *err)
{
	uint64_t bytes = (uint64_t)s->drawn.count * s->size * sizeof(float);

	s->held = bytes;
	if (atomic_fetch_add(&s->t->tiles_held, bytes) + bytes <= s->t->tiles_limit)
		return 0;
	atomic_store(&s->t->tiles_too_many, 1);
	return ad_fail(err, ADTOOL_ELIMIT, "its tiles do not fit into memory");
}

static int sample_begin(void *context, const ad_tiling *tiling, unsigned width, unsigned height, adtool_error *err)
{
	struct sampling *s = context;
	struct trainer *t = s->t;
	size_t most = t->holds_tiles ? SIZE_MAX : ad_tiles_of_each(t->list.count);
	int code = ad_tiles_draw(tiling, t->look.mask, width, height, t->options->seed, s->picture, most, &s->drawn,
				 err);

	if (code)
		return code;
	s->width = width;
	s->height = height;
	if (t->holds_tiles && hold(s, err))
		return ADTOOL_ELIMIT;
	s->rows = ad_malloc_aligned(s->drawn.count, s->size * sizeof(float));
	return s->rows ? 0 : ad_fail_nomem(err);
}

static int sample_tile(void *context, size_t tile, const ad_fitting *fitting, const float *row, unsigned worker,
		       adtool_error *err)
{
	struct sampling *s = context;
	size_t i;

	(void)fitting;
	(void)worker;
	for (i = 0; i < s->size; i++)
		if (!isfinite(row[i]))
			return ad_fail(err, ADTOOL_ENUMERIC, "feature %zu of %zu is not a finite number", i + 1,
				       s->size);
	memcpy(s->rows + tile * s->size, row, s->size * sizeof(float));
	return 0;
}

static int read_tiled(struct ad_stream *stream, struct ad_picture *p, size_t slot, const struct ad_source *source,
		      ad_pool *pool, struct ad_tile_room *room, adtool_error *err)
{
	struct trainer *t = stream->context;
	struct sampling s = {.t = t, .picture = p->index, .size = ad_extractor_pooled(&t->extractor)};
	const struct ad_visitor v = {.extractor = &t->extractor, .pool = pool, .room = room, .drawn = &s.drawn,
				     .begin = sample_begin, .tile = sample_tile, .context = &s};
	struct ad_thumbnail *thumbnail = t->thumbnails ? &t->thumbnails[p->index] : NULL;
	int code = ad_visit_tiles(&v, source, err);

	(void)slot;
	if (!code && thumbnail) {
		thumbnail->width = s.width;
		thumbnail->height = s.height;
		code = ad_image_thumbnail(source->image, NULL, t->options->thumbnail, &thumbnail->jpeg, err);
	}
	ad_free(s.drawn.tiles);
	if (code) {
		ad_free_aligned(s.rows);
		atomic_fetch_sub(&t->tiles_held, s.held);
		return code;
	}
	p->width = s.width;
	p->height = s.height;
	t->tiles[p->index] = (struct ad_tiles){s.width, s.height, s.drawn.count, s.rows, s.rows};
	return 0;
}

static int read_emit(struct ad_stream *stream, struct ad_picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct trainer *t = stream->context;

	if (atomic_load(&t->tiles_too_many))
		return ad_fail(err, ADTOOL_ELIMIT,
			       "the tiles of these pictures, which are kept, take more than the %llu MiB that "
			       "there are for them; a smaller grid, larger tiles or fewer pictures need less",
			       (unsigned long long)(t->tiles_limit >> 20));
	return ad_train_emit(stream, p, slot, row, err);
}

int ad_train_tiles_read(struct trainer *t, adtool_error *err)
{
	struct ad_stream s = {.want_digest = 1, .tiled = read_tiled, .emit = read_emit,
			      .whole_pictures = t->thumbnails != NULL};
	const uint64_t most = AD_BUNDLE_MAX_BYTES - ((uint64_t)64 << 20);

	if (t->tiles_limit > most)
		t->tiles_limit = most;
	/* Those of an old model are there, and are copied once. */
	atomic_store(&t->tiles_held, 2 * (uint64_t)t->stats.rows * ad_extractor_pooled(&t->extractor) * sizeof(float));
	return ad_train_pass(t, 0, &s, err);
}

/* Which of a picture's tiles the fit is made of. chosen: room for all. */
static size_t choose_tiles(const struct trainer *t, size_t picture, size_t *chosen)
{
	return ad_tiles_choose(t->options->seed, picture, t->tiles[picture].count, ad_tiles_of_each(t->list.count),
			       chosen);
}

/* One list of the sample's tiles, projected. */
int ad_train_tiles_join(struct trainer *t, const ad_fit_options *fit, int with_basis, ad_pool *pool, adtool_error *err)
{
	const struct ad_extractor *e = &t->extractor;
	size_t cells = ad_extractor_cells(e), size = ad_extractor_pooled(e), most = ad_train_tiles_most(t->list.count);
	size_t all = 0, n = 0, taken, i, j, *chosen;
	const float **maps = NULL;
	int code = 0;

	t->tile_fit = *fit;
	if (with_basis)
		t->extractor.basis = &t->basis;
	for (i = 0; i < t->list.count; i++)
		all = t->tiles[i].count > all ? t->tiles[i].count : all;
	maps = ad_malloc_array(most, sizeof(*maps));
	chosen = ad_malloc_array(all, sizeof(*chosen));
	t->tile_picture = ad_malloc_array(most, sizeof(*t->tile_picture));
	if (!maps || !chosen || !t->tile_picture)
		code = ad_fail_nomem(err);
	for (i = 0; !code && i < t->list.count; i++) {
		taken = choose_tiles(t, i, chosen);
		for (j = 0; j < taken; j++) {
			maps[n] = t->tiles[i].rows + chosen[j] * size;
			t->tile_picture[n++] = i;
		}
	}
	if (!code && n < AD_MINIMUM_PICTURES)
		code = ad_fail(err, ADTOOL_EINVAL, "%zu usable tiles; at least %d are needed", n, AD_MINIMUM_PICTURES);
	if (!code && !(t->tile_rows = ad_malloc_aligned(n, fit->dimensions * sizeof(float))))
		code = ad_fail_nomem(err);
	if (!code && with_basis)
		code = ad_fit_basis(maps, n, e->shape[0], cells, t->options->channels, t->options->seed, pool,
				    &t->basis, err);
	for (i = 0; !code && i < n; i++) {
		if (with_basis)
			ad_channels_apply(&t->basis, maps[i], cells, t->tile_rows + i * fit->dimensions);
		else
			memcpy(t->tile_rows + i * fit->dimensions, maps[i], size * sizeof(float));
	}
	t->tile_count = n;
	for (i = 0; !t->holds_tiles && i < t->list.count; i++)
		ad_train_tiles_release(&t->tiles[i]);
	ad_free(maps);
	ad_free(chosen);
	return code;
}

/* -- fits ------------------------------------------------------------------------------------------------ */

/* On the tiles of the pictures that are used, but for those of a fold; fold_of NULL: of all. */
static int fit_tiles(const struct trainer *t, const unsigned *fold_of, unsigned fold, ad_pool *pool, ad_detector *out,
		     double *kept, adtool_error *err)
{
	const float **rows = ad_malloc_array(t->tile_count, sizeof(*rows));
	size_t i, n = 0;
	int code = rows ? 0 : ad_fail_nomem(err);

	for (i = 0; !code && i < t->tile_count; i++) {
		size_t picture = t->tile_picture[i];

		if (t->used[picture] && !(fold_of && fold_of[picture] == fold))
			rows[n++] = t->tile_rows + i * t->tile_fit.dimensions;
	}
	if (!code)
		code = ad_fit_only(rows, n, &t->tile_fit, pool, out, kept, err);
	ad_free(rows);
	return code;
}

/* The folds of all entries: of whole groups where there are any. folds: how many. */
static int deal(const struct trainer *t, unsigned *fold_of, unsigned *folds, adtool_error *err)
{
	size_t n = 0, i, used = 0, *unit = ad_malloc_array(t->list.count, sizeof(*unit));
	size_t *group = ad_malloc_array(t->list.count, sizeof(*group));
	size_t *number = ad_malloc_array(t->groups, sizeof(*number));
	unsigned *dealt = ad_malloc_array(t->list.count, sizeof(*dealt));
	ad_rng rng;
	int code = unit && group && number && dealt ? 0 : ad_fail_nomem(err);

	for (i = 0; !code && i < t->groups; i++)
		number[i] = SIZE_MAX;
	for (i = 0; !code && i < t->list.count; i++) {
		size_t *of = t->group ? &number[t->group[i]] : NULL;

		if (!t->used[i])
			continue;
		if (of && *of == SIZE_MAX)
			*of = n++;
		unit[used] = i;
		group[used++] = of ? *of : n++;
	}
	if (!code && n < 2)
		code = ad_fail(err, ADTOOL_EINVAL, "all %zu usable pictures are of one group", used);
	if (!code) {
		*folds = n < FOLDS ? (unsigned)n : FOLDS;
		ad_rng_seed(&rng, t->options->seed);
		code = ad_deal_groups(group, used, n, *folds, &rng, dealt, err);
	}
	for (i = 0; !code && i < used; i++)
		fold_of[unit[i]] = dealt[i];
	ad_free(unit);
	ad_free(group);
	ad_free(number);
	ad_free(dealt);
	return code;
}

/* -- calibration ----------------------------------------------------------------------------------------- */

struct calibrating {
	const ad_detector *detector;      /* the fold's */
	double shift;                     /* its */
	struct { double score, peak, q; } *of; /* per entry */
	size_t done, all;
};

static int calibrate_one(const struct trainer *t, struct calibrating *c, size_t picture, const struct ad_source *source,
			 ad_pool *pool, struct ad_tile_room *room, adtool_error *err)
{
	struct ad_tiled_score got = {0};
	int code = ad_score_tiles(&t->extractor, c->detector, room, pool, source, 0, &got, err);

	c->of[picture].score = got.score;
	c->of[picture].peak = got.peak;
	c->of[picture].q = 2 * (got.score - c->shift);
	return code;
}

static int calibrate_tiled(struct ad_stream *stream, struct ad_picture *p, size_t slot, const struct ad_source *source,
			   ad_pool *pool, struct ad_tile_room *room, adtool_error *err)
{
	struct trainer *t = stream->context;
	struct calibrating *c = t->calibrating;

	(void)slot;
	return calibrate_one(t, c, p->index, source, pool, room, err);
}

static int calibrate_emit(struct ad_stream *stream, struct ad_picture *p, size_t slot, const float *row,
			  adtool_error *err)
{
	struct trainer *t = stream->context;
	struct calibrating *c = t->calibrating;

	(void)slot;
	if (!row)
		return ad_fail(err, p->code, "%s: it could be read before, and now: %s", ad_buf_text(&p->name),
			       ad_buf_text(&p->why));
	if (strcmp(p->digest, t->digests[p->index]))
		return ad_fail(err, ADTOOL_EIO, "%s: the picture changed while it was learned from",
			       ad_buf_text(&p->name));
	return ad_train_progress(t->options, "calibrating", ++c->done, c->all, err);
}

/* Of tiles that are held: the fold's pictures, beside each other. */
struct held_fold {
	const struct trainer *t;
	struct calibrating *c;
	size_t *pictures;
	struct ad_tile_room *rooms; /* per worker */
};

static int held_task(void *context, size_t task, unsigned worker, adtool_error *err)
{
	struct held_fold *f = context;
	const struct ad_source source = {.kept = &f->t->tiles[f->pictures[task]]};

	return calibrate_one(f->t, f->c, f->pictures[task], &source, NULL, &f->rooms[worker], err);
}

static int calibrate_held(struct trainer *t, struct calibrating *c, const unsigned *fold_of, unsigned fold,
			  ad_pool *pool, adtool_error *err)
{
	struct held_fold f = {.t = t, .c = c};
	unsigned workers = ad_pool_size(pool), i;
	size_t n = 0, first = 0, j;
	int code = 0;

	f.pictures = ad_malloc_array(t->list.count, sizeof(*f.pictures));
	f.rooms = ad_calloc(workers, sizeof(*f.rooms));
	if (!f.pictures || !f.rooms)
		code = ad_fail_nomem(err);
	for (j = 0; !code && j < t->list.count; j++)
		if (t->used[j] && fold_of[j] == fold)
			f.pictures[n++] = j;
	if (!code) {
		code = ad_pool_try(pool, held_task, &f, n, &first, err);
		if (code)
			ad_fail_within(err, code, "%s", t->names[f.pictures[first]]);
	}
	for (i = 0; f.rooms && i < workers; i++)
		ad_tile_room_release(&f.rooms[i]);
	ad_free(f.rooms);
	ad_free(f.pictures);
	c->done += n;
	return code ? code : ad_train_progress(t->options, "calibrating", c->done, c->all, err);
}

static int calibrate_read(struct trainer *t, struct calibrating *c, const unsigned *fold_of, unsigned fold,
			  adtool_error *err)
{
	struct ad_stream s = {.want_digest = 1, .tiled = calibrate_tiled, .emit = calibrate_emit};
	size_t i, wanted = c->done;
	int code;

	t->calibrating = c;
	for (i = 0; i < t->list.count; i++) {
		t->sampled[i] = t->used[i] && fold_of[i] == fold;
		t->seen[i] = 0;
		wanted += t->sampled[i];
	}
	code = ad_train_pass(t, 1, &s, err);
	t->calibrating = NULL;
	if (!code && c->done != wanted)
		code = ad_fail(err, ADTOOL_EIO, "a picture is gone that was learned from");
	return code;
}

static int calibrate_fold(struct trainer *t, struct calibrating *c, const unsigned *fold_of, unsigned fold,
			  ad_pool *pool, adtool_error *err)
{
	ad_detector d = {0};
	double kept;
	int code = fit_tiles(t, fold_of, fold, pool, &d, &kept, err);

	if (code)
		return ad_fail_within(err, code, "without fold %u of the pictures", fold + 1);
	c->detector = &d;
	c->shift = ad_detector_shift(&d);
	code = t->holds_tiles ? calibrate_held(t, c, fold_of, fold, pool, err)
				       : calibrate_read(t, c, fold_of, fold, err);
	c->detector = NULL;
	ad_detector_release(&d);
	return code;
}

static int calibrate(struct trainer *t, ad_pool *pool, ad_calibration *out, adtool_error *err)
{
	size_t n = t->list.count, i;
	unsigned *fold_of = ad_calloc(n, sizeof(*fold_of)), folds = 0, fold;
	struct calibrating c = {.of = ad_calloc(n, sizeof(*c.of))};
	int ppca = t->tile_fit.method == ADTOOL_PPCA;
	int code = fold_of && c.of ? deal(t, fold_of, &folds, err) : ad_fail_nomem(err);

	out->scores = ad_malloc_array(n, sizeof(double));
	out->index = ad_malloc_array(n, sizeof(size_t));
	if (ppca)
		out->q = ad_malloc_array(n, sizeof(double));
	else
		out->peaks = ad_malloc_array(n, sizeof(double));
	if (!code && (!out->scores || !out->index || (!out->q && !out->peaks)))
		code = ad_fail_nomem(err);
	for (i = 0; i < n; i++)
		c.all += t->used[i];
	for (fold = 0; !code && fold < folds; fold++)
		code = calibrate_fold(t, &c, fold_of, fold, pool, err);
	for (i = 0; !code && i < n; i++) {
		if (!t->used[i])
			continue;
		out->index[out->n] = i;
		out->scores[out->n] = c.of[i].score;
		if (ppca)
			out->q[out->n] = c.of[i].q;
		else
			out->peaks[out->n] = c.of[i].peak;
		out->n++;
	}
	out->folds = folds;
	out->kind = folds == out->n ? ADTOOL_CV_LEAVE_ONE_OUT : ADTOOL_CV_FOLDS;
	ad_free(fold_of);
	ad_free(c.of);
	return code;
}

int ad_train_tiles_fit(struct trainer *t, ad_pool *pool, ad_detector *detector, double *kept, ad_calibration *c,
		       adtool_error *err)
{
	ad_calibration calibration = {0};
	ad_detector d = {0};
	int code = fit_tiles(t, NULL, 0, pool, &d, kept, err);

	if (!code)
		code = calibrate(t, pool, &calibration, err);
	if (code) {
		ad_detector_release(&d);
		ad_calibration_release(&calibration);
		return code;
	}
	*detector = d;
	*c = calibration;
	return 0;
}

int ad_fit_tiled(const adtool_train_options *o, const struct ad_extractor *e, struct ad_tiles *tiles,
		 const char *const *names, size_t count, size_t *group, size_t groups, ad_pool *pool,
		 ad_channels *basis, struct ad_fit *out, adtool_error *err)
{
	struct trainer t = {.options = o, .list = {.count = count}, .extractor = *e, .holds_tiles = 1, .tiles = tiles,
			    .group = group, .groups = groups};
	size_t kept = ad_train_channels(o, e->shape[0]);
	const ad_fit_options fit = ad_train_fit_options(o, kept, ad_extractor_cells(e));
	ad_calibration calibration = {0};
	struct ad_fit f = {0};
	int code;

	t.names = ad_malloc_array(count, sizeof(*t.names));
	t.used = ad_malloc(count);
	code = t.names && t.used ? 0 : ad_fail_nomem(err);
	if (!code) {
		memcpy(t.names, names, count * sizeof(*names));
		memset(t.used, 1, count);
		code = ad_train_tiles_join(&t, &fit, kept < e->shape[0], pool, err);
	}
	if (!code)
		code = ad_train_tiles_fit(&t, pool, &f.detector, &f.energy_kept, &calibration, err);
	if (!code)
		code = ad_fit_decide(&f, &calibration, o->alpha, err);
	if (!code) {
		*out = f;
		*basis = t.basis;
	} else {
		ad_fit_release(&f);
		ad_channels_release(&t.basis);
	}
	ad_calibration_release(&calibration);
	ad_free(t.names);
	ad_free(t.used);
	ad_free(t.tile_picture);
	ad_free_aligned(t.tile_rows);
	return code;
}
