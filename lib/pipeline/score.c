/* Score: rows, verdicts, heat maps. */
#include "pipeline.h"

#include <limits.h>
#include <math.h>

#include "../base/clock.h"
#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"
#include "../base/npy.h"
#include "../base/ordered.h"

void adtool_score_options_init(adtool_score_options *o)
{
	memset(o, 0, sizeof(*o));
}

struct scored {
	double score;
	adtool_row place; /* size of the picture; its map, and where that lies */
	struct adtool_view view;
	struct ad_tiled_score tiled;
	ad_buf heatmap, overlay, map; /* files written */
	ad_buf thumbnail, thumbnail_heat;
	adtool_region *regions;
	size_t region_count;
	adtool_error failed; /* why something of these could not be made */
};

static void scored_release(struct scored *r)
{
	ad_buf_release(&r->heatmap);
	ad_buf_release(&r->overlay);
	ad_buf_release(&r->map);
	ad_buf_release(&r->thumbnail);
	ad_buf_release(&r->thumbnail_heat);
	ad_free(r->regions);
	ad_free(r->tiled.map);
}

/* What a worker keeps from picture to picture. */
struct score_room {
	void *scratch; /* ad_detector_score's */
	float *maps;   /* fre: residuals of the pictures scored at once, `cells` each */
};

struct scorer {
	const adtool_model *model;
	const adtool_score_options *options;
	ad_limit limit;
	double threshold;
	struct scored *results; /* per slot */
	float *maps;            /* per slot: cells of the grid */
	struct score_room *rooms; /* per worker; created by it */
	struct ad_extractor extractor;
	struct ad_stream *stream;
	adtool_score_report report;
};

/* A part of a path, shortened to what a file system takes: its beginning and a digest of the whole. */
static void add_part(ad_buf *out, const char *part, size_t n, size_t most)
{
	char digest[17];

	if (n <= most) {
		ad_buf_add(out, part, n);
		return;
	}
	ad_xxh3_hex(part, n, digest);
	ad_buf_add(out, part, most - sizeof(digest));
	ad_buf_printf(out, "-%s", digest);
}

/*
 * DIR/<name><suffix>: a leading '/' and '.' parts are dropped, '..' parts become '_', so that whatever a list
 * or an archive calls its pictures, the file lies below DIR. Folders that end in .png or .npy get a '_', so that
 * the picture x and one in the folder x.png do not meet.
 */
static int map_path(const char *dir, const char *name, const char *suffix, ad_buf *out)
{
	size_t end = strlen(suffix);

	ad_buf_clear(out);
	ad_buf_puts(out, dir);
	while (*name) {
		size_t n = strcspn(name, "/");

		if (n == 2 && name[0] == '.' && name[1] == '.') {
			ad_buf_puts(out, "/_");
		} else if (n && !(n == 1 && name[0] == '.')) {
			ad_buf_putc(out, '/');
			add_part(out, name, n, NAME_MAX - end);
			if (name[n] && n >= 4 && (!memcmp(name + n - 4, ".png", 4) || !memcmp(name + n - 4, ".npy", 4)))
				ad_buf_putc(out, '_');
		}
		name += n + (name[n] == '/');
	}
	return ad_buf_puts(out, suffix);
}

/* The path of a picture's file below dir, and the folders on the way. */
static int make_path(const char *dir, const char *name, const char *suffix, ad_buf *path, adtool_error *err)
{
	char *slash;
	int code;

	if (map_path(dir, name, suffix, path))
		return ad_fail_nomem(err);
	if (path->size >= PATH_MAX)
		return ad_fail(err, ADTOOL_ELIMIT, "its %s would be at a path of %zu bytes, and %d are possible",
			       suffix + 1, path->size, PATH_MAX - 1);
	slash = strrchr((char *)path->data, '/');
	*slash = '\0';
	code = ad_mkdirs((char *)path->data, err);
	*slash = '/';
	return code ? ad_fail_within(err, code, "%s", ad_buf_text(path)) : 0;
}

static int write_picture(const char *dir, const char *name, const adtool_image *image,
			 int (*encode)(const adtool_image *image, ad_buf *out, adtool_error *err), ad_buf *path,
			 adtool_error *err)
{
	ad_buf png = {0};
	int code = make_path(dir, name, ".png", path, err);

	if (code)
		return code;
	code = encode(image, &png, err);
	if (!code)
		code = ad_file_write_quick((char *)path->data, png.data, png.size, err);
	ad_buf_release(&png);
	return code ? ad_fail_within(err, code, "%s", ad_buf_text(path)) : 0;
}

static int write_map(const char *dir, const char *name, const adtool_row *row, ad_buf *path, adtool_error *err)
{
	size_t shape[2] = {row->map_rows, row->map_cols};
	ad_buf npy = {0};
	int code = make_path(dir, name, ".npy", path, err);

	if (code)
		return code;
	if (ad_npy_append(&npy, sizeof(float), 2, shape, row->map))
		code = ad_fail_nomem(err);
	else
		code = ad_file_write_quick((char *)path->data, npy.data, npy.size, err);
	ad_buf_release(&npy);
	return code ? ad_fail_within(err, code, "%s", ad_buf_text(path)) : 0;
}

/* What else is wanted of a picture that was scored; a file that cannot be written ends the job, not the picture. */
static int draw_maps(const struct scorer *c, struct scored *result, const struct ad_picture *p,
		     const adtool_image *image, adtool_error *err)
{
	const adtool_model_info *info = &c->model->info;
	const adtool_row *at = &result->place;
	ad_heat heat = {.map = at->map, .rows = at->map_rows, .cols = at->map_cols, .level = info->heat_level,
			.view = at->view ? &at->view->view : NULL};
	adtool_image *drawn = NULL;
	int code = 0;

	if (c->options->heatmap_dir) {
		code = ad_heat_map(&heat, p->width, p->height, &drawn, err);
		if (!code)
			code =
			    write_picture(c->options->heatmap_dir, ad_buf_text(&p->name), drawn, ad_png_encode_runs,
					  &result->heatmap, err);
		adtool_image_free(drawn);
		drawn = NULL;
	}
	if (!code && c->options->overlay_dir) {
		code = ad_heat_overlay(&heat, image, &drawn, err);
		if (!code)
			code =
			    write_picture(c->options->overlay_dir, ad_buf_text(&p->name), drawn, ad_png_encode,
					  &result->overlay, err);
		adtool_image_free(drawn);
	}
	if (!code && c->options->map_dir)
		code = write_map(c->options->map_dir, ad_buf_text(&p->name), at, &result->map, err);
	if (!code && c->options->regions && info->method == ADTOOL_FRE) {
		ad_free(result->regions);
		result->regions = NULL;
		code = ad_regions_find(&heat, p->width, p->height, &result->regions, &result->region_count, err);
	}
	if (!code && c->options->thumbnail) {
		ad_buf_clear(&result->thumbnail);
		ad_buf_clear(&result->thumbnail_heat);
		code = ad_image_thumbnail(image, NULL, c->options->thumbnail, &result->thumbnail, err);
		if (!code && info->method == ADTOOL_FRE)
			code = ad_image_thumbnail(image, &heat, c->options->thumbnail, &result->thumbnail_heat, err);
	}
	return code;
}

/* What is too long for a path is the picture's own fault. */
static int finish_drawing(struct scored *result, int code, adtool_error *err)
{
	if (code != ADTOOL_ELIMIT)
		return 0;
	if (err)
		*err = result->failed;
	result->failed.code = 0;
	return code;
}

static void leave_room(struct score_room *r)
{
	ad_free_aligned(r->scratch);
	ad_free_aligned(r->maps);
	*r = (struct score_room){0};
}

static int enter_room(struct score_room *r, const ad_detector *d, size_t most, adtool_error *err)
{
	if (r->scratch)
		return 0;
	r->scratch = ad_malloc_aligned(ad_detector_scratch(d, most), 1);
	r->maps = ad_malloc_aligned(most * d->cells, sizeof(float));
	if (r->scratch && r->maps)
		return 0;
	leave_room(r);
	return ad_fail_nomem(err);
}

/* What follows from a picture's score and map. image: may be NULL when nothing is to be drawn on it. */
static int finish_score(const struct scorer *c, struct ad_picture *p, size_t slot, const adtool_image *image,
			const float *kept, adtool_error *err)
{
	struct scored *result = &c->results[slot];
	const adtool_model_info *info = &c->model->info;
	float *map = c->maps + slot * info->grid * info->grid;
	int code;

	result->failed.code = 0;
	result->place = (adtool_row){.width = p->width, .height = p->height};
	if (!isfinite(result->score))
		return ad_fail(err, ADTOOL_ENUMERIC, "its score is not finite");
	if (info->method == ADTOOL_FRE) {
		ad_model_spread(c->model, kept, map);
		result->place.map = map;
		result->place.map_rows = result->place.map_cols = info->grid;
		code = ad_row_place(&c->model->look, info->width, info->height, &result->place, &result->view, err);
		if (code)
			return code;
	}
	return finish_drawing(result, draw_maps(c, result, p, image, &result->failed), err);
}

static int score_work(struct ad_stream *s, struct ad_picture *p, size_t slot, struct ad_scratch *scratch,
		      const adtool_image *image, float *row, adtool_error *err)
{
	struct scorer *c = s->context;
	const ad_detector *d = &c->model->detector;
	struct score_room *room = &c->rooms[scratch - s->scratch];
	const float *rows[] = {row};
	int code = enter_room(room, d, 1, err);

	if (code)
		return code;
	ad_detector_score(d, 1, rows, &c->results[slot].score, room->maps, room->scratch);
	return finish_score(c, p, slot, image, room->maps, err);
}

static void score_together(struct ad_stream *s, const size_t *slots, size_t count, struct ad_scratch *scratch)
{
	struct scorer *c = s->context;
	const ad_detector *d = &c->model->detector;
	struct score_room *room = &c->rooms[scratch - s->scratch];
	const float *rows[AD_ORDERED_COMPANY];
	double scores[AD_ORDERED_COMPANY];
	adtool_error why;
	size_t i;
	int failed = enter_room(room, d, AD_ORDERED_COMPANY, &why);

	for (i = 0; i < count; i++)
		rows[i] = s->rows + slots[i] * s->row_size;
	if (!failed)
		ad_detector_score(d, count, rows, scores, room->maps, room->scratch);
	for (i = 0; i < count; i++) {
		struct ad_picture *p = &s->pictures[slots[i]];
		int code = failed;

		if (!failed) {
			c->results[slots[i]].score = scores[i];
			code = finish_score(c, p, slots[i], NULL, room->maps + i * d->cells, &why);
		}
		if (code)
			ad_picture_fail(p, code, why.message);
	}
}

static int score_tiled(struct ad_stream *s, struct ad_picture *p, size_t slot, const struct ad_source *source,
		       ad_pool *pool, struct ad_tile_room *room, adtool_error *err)
{
	struct scorer *c = s->context;
	struct scored *result = &c->results[slot];
	struct ad_tiled_score *t = &result->tiled;
	adtool_row *place = &result->place;
	int code = ad_score_tiles(&c->extractor, &c->model->detector, room, pool, source, 1, t, err);

	if (code)
		return code;
	p->width = t->width;
	p->height = t->height;
	result->failed.code = 0;
	result->score = t->score;
	*place = (adtool_row){.width = t->width, .height = t->height};
	if (t->map) {
		place->map = t->map;
		place->map_rows = t->rows;
		place->map_cols = t->cols;
		ad_row_place_region(&c->model->look, &t->region, place, &result->view);
	}
	return finish_drawing(result, draw_maps(c, result, p, source->image, &result->failed), err);
}

static int score_emit(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct scorer *c = s->context;
	const adtool_model *m = c->model;
	const struct scored *result = &c->results[slot];
	adtool_row out = {
	    .name = ad_buf_text(&p->name),
	    .label = ad_buf_text(&p->label),
	    .verdict = ADTOOL_ERROR,
	    .score = NAN,
	    .p = NAN,
	    .threshold = c->threshold,
	};

	if (row) {
		out.score = result->score;
		out.p = ad_p_value(ad_model_calibration(m), m->info.calibration_count, &c->limit, out.score);
		if (out.score > c->threshold)
			out.verdict = ADTOOL_ANOMALOUS;
		else if (m->info.warn_alpha > 0 && out.score > m->info.warn_threshold)
			out.verdict = ADTOOL_SUSPECT;
		else
			out.verdict = ADTOOL_NORMAL;
		out.digest = c->options->digest ? p->digest : NULL;
		out.width = p->width;
		out.height = p->height;
		out.map = result->place.map;
		out.map_rows = result->place.map_rows;
		out.map_cols = result->place.map_cols;
		memcpy(out.map_box, result->place.map_box, sizeof(out.map_box));
		out.view = result->place.view;
		out.has_map_box = out.map && out.view;
		out.heatmap = c->options->heatmap_dir ? ad_buf_text(&result->heatmap) : NULL;
		out.overlay = c->options->overlay_dir ? ad_buf_text(&result->overlay) : NULL;
		if (!result->failed.code) {
			out.map_file = c->options->map_dir ? ad_buf_text(&result->map) : NULL;
			out.has_regions = c->options->regions && out.map;
			out.regions = result->regions;
			out.region_count = out.has_regions ? result->region_count : 0;
			out.thumbnail = result->thumbnail.size ? result->thumbnail.data : NULL;
			out.thumbnail_size = result->thumbnail.size;
			out.thumbnail_heat = result->thumbnail_heat.size ? result->thumbnail_heat.data : NULL;
			out.thumbnail_heat_size = result->thumbnail_heat.size;
		}
	} else {
		out.code = p->code;
		out.why = ad_buf_text(&p->why);
	}
	if (out.verdict == ADTOOL_ERROR)
		c->report.errors++;
	else if (out.verdict == ADTOOL_ANOMALOUS)
		c->report.anomalous++;
	else if (out.verdict == ADTOOL_SUSPECT)
		c->report.suspect++;
	else
		c->report.normal++;
	if (c->options->row && c->options->row(c->options->context, &out))
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	if (row && result->failed.code) {
		if (err)
			*err = result->failed;
		return result->failed.code;
	}
	return 0;
}

static int score_prepare(struct ad_stream *s, ad_pool *pool, adtool_error *err)
{
	struct scorer *c = s->context;

	return ad_model_plan(c->model, pool, &c->extractor, err);
}

int adtool_score(const adtool_model *model, adtool_dataset *dataset, const adtool_score_options *o,
		 adtool_score_report *report, adtool_error *err)
{
	struct scorer c = {.model = model, .options = o, .limit = model->limit, .threshold = model->info.threshold};
	struct ad_stream s = {
	    .dataset = dataset,
	    .want_digest = o->digest,
	    .prepare = score_prepare,
	    .work = score_work,
	    .together = score_together,
	    .emit = score_emit,
	    .context = &c,
	};
	double start = ad_now();
	size_t slots, i;
	int code = ad_stream_check_threads(o->threads, err);

	if (code)
		return code;
	if (o->fdr < 0 || o->fdr > 0 || isnan(o->fdr))
		return ad_score_batch(model, dataset, o, report, err);
	if (model->info.method == ADTOOL_PPCA && (o->heatmap_dir || o->overlay_dir || o->map_dir))
		return ad_fail(err, ADTOOL_EINVAL, "the method ppca has no heat maps; train with fre for those");
	if (o->has_threshold && !isfinite(o->threshold))
		return ad_fail(err, ADTOOL_EINVAL, "the threshold must be a finite number");
	s.threads = ad_stream_threads(o->threads);
	slots = ad_stream_slots(s.threads, 1);
	if (o->alpha > 0) {
		code = ad_limit_at(ad_model_calibration(model), model->info.calibration_count, &model->limit.box,
				   o->alpha, &c.limit, err);
		c.threshold = c.limit.threshold;
	}
	if (o->has_threshold)
		c.threshold = o->threshold;
	if (code)
		return code;
	ad_model_extractor(model, o->max_pixels, &c.extractor);
	c.extractor.isolate = o->isolate;
	c.extractor.whole_pixels = o->whole_pixels;
	s.extractor = &c.extractor;
	if (model->info.geometry.tile_width)
		s.tiled = score_tiled;
	/* A heat map is as large as its picture: where memory is counted, one must fit to have the other. */
	s.whole_pictures = (o->heatmap_dir && (s.tiled || o->whole_pixels)) || o->overlay_dir || o->thumbnail;
	c.results = ad_calloc(slots, sizeof(*c.results));
	c.maps = ad_calloc(slots * model->info.grid * model->info.grid, sizeof(float));
	c.rooms = ad_calloc(s.threads, sizeof(*c.rooms));
	if (!c.results || !c.maps || !c.rooms)
		code = ad_fail_nomem(err);
	if (!code)
		code = ad_stream_run(&s, err);
	c.report.passed_over = adtool_dataset_passed_over(dataset);
	if (c.extractor.plan) {
		c.report.arena_bytes = ad_plan_arena_bytes(c.extractor.plan);
		c.report.weight_bytes = ad_plan_weight_bytes(c.extractor.plan);
	}
	c.report.threads = s.threads;
	c.report.seconds = ad_now() - start;
	if (report)
		*report = c.report;
	for (i = 0; c.results && i < slots; i++)
		scored_release(&c.results[i]);
	for (i = 0; c.rooms && i < s.threads; i++)
		leave_room(&c.rooms[i]);
	ad_free(c.rooms);
	ad_free(c.results);
	ad_free(c.maps);
	return code;
}

/* A picture file of a model with tiles. */
static int score_image_tiles(const adtool_model *model, const void *data, size_t size, double *score, adtool_error *err)
{
	struct ad_tiled_score t = {0};
	struct ad_tile_room room = {0};
	const struct ad_source source = {.data = data, .size = size};
	struct ad_extractor e;
	int code;

	ad_model_extractor(model, 0, &e);
	code = ad_model_plan(model, NULL, &e, err);
	if (!code)
		code = ad_score_tiles(&e, &model->detector, &room, NULL, &source, 0, &t, err);
	ad_tile_room_release(&room);
	*score = t.score;
	return code;
}

int adtool_score_image(const adtool_model *model, const void *data, size_t size, double *score, double *p, float *map,
		       adtool_error *err)
{
	adtool_image_options options;
	adtool_image *image = NULL;
	struct ad_extractor e;
	double got;
	int code;

	if (model->info.geometry.tile_width) {
		if (map)
			return ad_fail(err, ADTOOL_EINVAL,
				       "the map of a model with tiles has the size of the picture: adtool_score");
		code = score_image_tiles(model, data, size, &got, err);
	} else {
		ad_model_extractor(model, 0, &e);
		options = ad_extractor_decoding(&e);
		code = adtool_image_decode_with(data, size, &options, &image, err);
		if (!code)
			code = ad_model_score(model, image, 0, &got, map, err);
	}
	if (!code && !isfinite(got))
		code = ad_fail(err, ADTOOL_ENUMERIC, "its score is not finite");
	if (!code) {
		*score = got;
		if (p)
			*p = adtool_model_p_value(model, got);
	}
	adtool_image_free(image);
	return code;
}

int adtool_map_upsample(const float *map, unsigned rows, unsigned cols, unsigned width, unsigned height, float *out,
			adtool_error *err)
{
	ad_heat heat = {.map = map, .rows = rows, .cols = cols, .level = 1};

	return ad_heat_upsample(&heat, width, height, out, err);
}
