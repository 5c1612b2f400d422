/* Train: from the names of pictures over their features and the fit to a model that passes its selftest. */
#include "trainer.h"

#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/mem.h"
#include "../bundle/members.h"

int ad_train_progress(const adtool_train_options *o, const char *stage, uint64_t done, uint64_t total,
		      adtool_error *err)
{
	if (o->progress && o->progress(o->context, stage, done, total))
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	return 0;
}

void ad_train_refused(const adtool_train_options *o, const char *name, int code, const char *text)
{
	adtool_error why;

	ad_fail(&why, code, "%s", text);
	if (o->refused)
		o->refused(o->context, name, &why);
}

static int train_select(struct ad_stream *s, const adtool_item *item, size_t *index)
{
	struct trainer *t = s->context;
	struct entry *e = ad_train_list_find(&t->list, t->list.count, item->name);

	if (!e)
		return 0;
	*index = (size_t)(e - t->list.entries);
	if (e->kept || t->sampled[*index] != t->want_sampled || t->seen[*index])
		return 0;
	t->seen[*index] = 1;
	return 1;
}

int ad_train_emit(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct trainer *t = s->context;

	(void)slot;
	t->done++;
	if (row) {
		t->used[p->index] = 1;
		memcpy(t->digests[p->index], p->digest, sizeof(p->digest));
	} else {
		ad_train_refused(t->options, ad_buf_text(&p->name), p->code, ad_buf_text(&p->why));
		t->refused++;
	}
	return ad_train_progress(t->options, "features", t->done, t->list.count, err);
}

static int train_emit(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct trainer *t = s->context;
	int code;

	if (row && t->pooled) {
		memcpy(t->pooled + p->index * s->row_size, row, s->row_size * sizeof(float));
	} else if (row && t->want_sampled) {
		float *copy = ad_malloc_array(s->row_size, sizeof(float));

		if (!copy)
			return ad_fail_nomem(err);
		memcpy(copy, row, s->row_size * sizeof(float));
		t->maps[p->index] = copy;
	} else if (row) {
		code = ad_fitter_add(t->fitter, p->index, row, err);
		if (code)
			return ad_fail_within(err, code, "%s", ad_buf_text(&p->name));
	}
	return ad_train_emit(s, p, slot, row, err);
}

static int train_work(struct ad_stream *s, struct ad_picture *p, size_t slot, struct ad_scratch *scratch,
		      const adtool_image *image, float *row, adtool_error *err)
{
	struct trainer *t = s->context;
	struct ad_thumbnail *thumbnail = &t->thumbnails[p->index];

	(void)slot;
	(void)scratch;
	(void)row;
	thumbnail->width = p->width;
	thumbnail->height = p->height;
	return ad_image_thumbnail(image, NULL, t->options->thumbnail, &thumbnail->jpeg, err);
}

/* One pass over the pictures whose `sampled` is `want`, in the order of names (members in their archive's). */
int ad_train_pass(struct trainer *t, int want, struct ad_stream *stream, adtool_error *err)
{
	struct ad_stream s = *stream;
	const char **inputs = ad_malloc_array(t->list.count, sizeof(*inputs));
	const char *archive = NULL;
	size_t i, n = 0;
	int code = inputs ? 0 : ad_fail_nomem(err);

	for (i = 0; !code && i < t->list.count; i++) {
		const struct entry *e = &t->list.entries[i];

		if (e->kept || t->sampled[i] != want)
			continue;
		if (!e->archive)
			inputs[n++] = e->name;
		else if (!archive || strcmp(archive, e->archive))
			inputs[n++] = archive = e->archive;
	}
	s.extractor = &t->extractor;
	s.threads = t->threads;
	s.select = train_select;
	s.context = t;
	t->want_sampled = want;
	if (!code && n)
		code = adtool_dataset_open(inputs, n, t->dataset_options, &s.dataset, err);
	if (!code && n)
		code = ad_stream_run(&s, err);
	adtool_dataset_free(s.dataset);
	ad_free(inputs);
	return code;
}

static int train_pass(struct trainer *t, int want, adtool_error *err)
{
	struct ad_stream s = {.want_digest = 1,
			      .work = t->thumbnails ? train_work : NULL,
			      .whole_pictures = t->thumbnails != NULL,
			      .emit = train_emit};

	return ad_train_pass(t, want, &s, err);
}

static int check_enough(size_t pictures, adtool_error *err)
{
	if (pictures >= AD_MINIMUM_PICTURES)
		return 0;
	return ad_fail(err, ADTOOL_EINVAL, "%zu usable picture%s; at least %d are needed", pictures,
		       pictures == 1 ? "" : "s", AD_MINIMUM_PICTURES);
}

/* Every picture's map is held until the basis is known, so not more than AD_BASIS_PICTURES. */
static int choose_sample(struct trainer *t, adtool_error *err)
{
	return ad_basis_draw(t->options->seed, t->list.count, t->sampled, err);
}

static int fit_basis(struct trainer *t, size_t keep, ad_pool *pool, adtool_error *err)
{
	const float **maps = ad_malloc_array(t->list.count, sizeof(*maps));
	size_t i, n = 0;
	int code;

	if (!maps)
		return ad_fail_nomem(err);
	for (i = 0; i < t->list.count; i++) {
		if (t->maps[i])
			maps[n++] = t->maps[i];
		else if (t->pooled && t->sampled[i] && t->used[i])
			maps[n++] = t->pooled + i * ad_extractor_pooled(&t->extractor);
	}
	code = check_enough(n, err);
	if (!code)
		code = ad_channels_fit(maps, n, t->extractor.shape[0], ad_extractor_cells(&t->extractor), keep, pool,
				       &t->basis, err);
	ad_free(maps);
	return code;
}

/* Projects the held maps and hands them to the fitter. */
static int add_sampled(struct trainer *t, adtool_error *err)
{
	size_t cells = ad_extractor_cells(&t->extractor), i;
	float *row = ad_malloc_array(t->basis.to * cells, sizeof(float));
	int code = row ? 0 : ad_fail_nomem(err);

	for (i = 0; !code && i < t->list.count; i++) {
		if (!t->maps[i])
			continue;
		ad_channels_apply(&t->basis, t->maps[i], cells, row);
		ad_free(t->maps[i]);
		t->maps[i] = NULL;
		code = ad_fitter_add(t->fitter, i, row, err);
		if (code)
			code = ad_fail_within(err, code, "%s", t->list.entries[i].name);
	}
	ad_free(row);
	return code;
}

static void name_pictures(struct trainer *t)
{
	size_t i;

	for (i = 0; i < t->list.count; i++) {
		t->names[i] = t->list.entries[i].name;
		t->archives[i] = t->list.entries[i].archive;
	}
}

static int group_pictures(struct trainer *t, ad_fit_options *fit, adtool_error *err)
{
	int code;

	if (!t->options->group_by)
		return 0;
	ad_free(t->group);
	t->group = ad_malloc_array(t->list.count, sizeof(*t->group));
	if (!t->group)
		return ad_fail_nomem(err);
	code = ad_groups_by(t->options->group_by, t->names, t->archives, t->list.count, t->group, &t->groups,
			    &fit->largest_group, err);
	fit->groups = t->group;
	fit->group_count = t->groups;
	return code;
}

/* Maps of all pictures first; the fit sees them as if it had asked one by one. */
static int train_keeping(struct trainer *t, ad_fit_options *fit, size_t channels, int with_basis, ad_pool *pool,
			 adtool_error *err)
{
	uint64_t bytes = (uint64_t)t->list.count * ad_extractor_pooled(&t->extractor) * sizeof(float);
	int code;

	if (bytes > AD_BUNDLE_MAX_BYTES - ((uint64_t)64 << 20))
		return ad_fail(err, ADTOOL_ELIMIT,
			       "the stats of %zu pictures would take %llu MiB, and a model has less than 4 GiB",
			       t->list.count, (unsigned long long)(bytes >> 20));
	t->pooled = ad_malloc_aligned(t->list.count, ad_extractor_pooled(&t->extractor) * sizeof(float));
	if (!t->pooled)
		return ad_fail_nomem(err);
	code = train_pass(t, 0, err);
	if (!code)
		code = ad_train_take_kept(t, err);
	fit->pictures = t->list.count;
	name_pictures(t);
	if (!code)
		code = group_pictures(t, fit, err);
	if (!code)
		code = ad_fitter_create(fit, &t->fitter, err);
	if (!code && with_basis)
		code = choose_sample(t, err);
	if (!code && with_basis)
		code = fit_basis(t, channels, pool, err);
	return code ? code : ad_train_add_pooled(t, err);
}

/*
 * In two passes where channels are reduced: that of the sample, whose maps are held until the basis is known, comes
 * first.
 */
static int train_streaming(struct trainer *t, const ad_fit_options *fit, size_t channels, int with_basis, ad_pool *pool,
			   adtool_error *err)
{
	int code = ad_fitter_create(fit, &t->fitter, err);

	if (!code && with_basis) {
		code = choose_sample(t, err);
		if (!code)
			code = train_pass(t, 1, err);
		if (!code)
			code = fit_basis(t, channels, pool, err);
		if (!code)
			code = add_sampled(t, err);
		t->extractor.basis = &t->basis;
	}
	return code ? code : train_pass(t, 0, err);
}

static int train_tiles(struct trainer *t, ad_fit_options *fit, int with_basis, ad_pool *pool, adtool_error *err)
{
	int code = ad_train_tiles_read(t, err);

	if (!code && ad_train_keeps(t->options)) {
		code = ad_train_take_kept(t, err);
		fit->pictures = ad_train_tiles_most(t->list.count);
		name_pictures(t);
		if (!code)
			code = group_pictures(t, fit, err);
	}
	/* Too few pictures are told of by the caller. */
	if (code || t->list.count - t->refused < AD_MINIMUM_PICTURES)
		return code;
	return ad_train_tiles_join(t, fit, with_basis, pool, err);
}

static int train_features(struct trainer *t, ad_fit_options *fit, size_t channels, int with_basis, ad_pool *pool,
			  adtool_error *err)
{
	if (t->options->geometry.tile_width)
		return train_tiles(t, fit, with_basis, pool, err);
	if (ad_train_keeps(t->options))
		return train_keeping(t, fit, channels, with_basis, pool, err);
	return train_streaming(t, fit, channels, with_basis, pool, err);
}

/*
 * The formula of adtool-train(1): per thread, the arena, the input and the map; the plan's weights; the rows of
 * pictures on their way; the maps held for the channel basis and its covariance; the fit.
 */
static uint64_t train_memory(const struct trainer *t, const ad_fit_options *fit, int with_basis)
{
	const struct ad_extractor *e = &t->extractor;
	uint64_t channels = e->shape[0], n = t->list.count, pooled = ad_extractor_pooled(e) * sizeof(float);
	uint64_t thread = ad_plan_arena_bytes(e->plan) + (uint64_t)12 * e->width * e->height +
			  channels * e->shape[1] * e->shape[2] * 4 + pooled;
	/* Of tiles nobody knows how many there are: see tiles_limit. */
	int keep = ad_train_keeps(t->options) && !t->options->geometry.tile_width;
	uint64_t basis = with_basis ? (keep ? 0 : n < AD_BASIS_PICTURES ? n : AD_BASIS_PICTURES) * pooled +
					  ad_channels_memory(channels, ad_extractor_cells(e))
				    : 0;

	if (t->options->geometry.tile_width)
		basis += ad_train_tiles_memory(t, fit);
	return t->threads * thread + ad_plan_weight_bytes(e->plan) + ad_stream_slots(t->threads, 0) * pooled + basis +
	       (keep ? 2 * n * pooled : 0) + n * t->options->thumbnail * t->options->thumbnail / 4 +
	       ad_fit_memory(fit, t->threads);
}

struct fit_progress {
	const adtool_train_options *options;
};

static void fit_progress(void *context, size_t done, size_t total)
{
	struct fit_progress *f = context;

	/* A fit is not stopped half-way; the next stage asks again. */
	if (f->options->progress)
		f->options->progress(f->options->context, "fitting", done, total);
}

static int trainer_allocate(struct trainer *t, adtool_error *err)
{
	size_t n = t->list.count;

	t->sampled = ad_calloc(n, 1);
	t->seen = ad_calloc(n, 1);
	if (t->options->geometry.tile_width)
		t->tiles = ad_calloc(n, sizeof(*t->tiles));
	t->used = ad_calloc(n, 1);
	t->maps = ad_calloc(n, sizeof(*t->maps));
	t->digests = ad_calloc(n, sizeof(*t->digests));
	t->names = ad_malloc_array(n, sizeof(*t->names));
	t->archives = ad_malloc_array(n, sizeof(*t->archives));
	if (t->options->thumbnail)
		t->thumbnails = ad_calloc(n, sizeof(*t->thumbnails));
	if (!t->sampled || !t->seen || !t->used || !t->maps || !t->digests || !t->names || !t->archives ||
	    (t->options->thumbnail && !t->thumbnails) || (t->options->geometry.tile_width && !t->tiles))
		return ad_fail_nomem(err);
	name_pictures(t);
	return 0;
}

/* What the extractor looks at. */
static int trainer_look(struct trainer *t, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	struct ad_extractor *e = &t->extractor;
	int code = ad_look_create(&o->geometry, o->mask, &t->look, err);

	if (!code && o->method == ADTOOL_FRE)
		code = ad_look_cells(&t->look, e->width, e->height, e->grid, &t->cells, err);
	if (!ad_look_is_plain(&t->look))
		e->look = &t->look;
	if (t->cells.index)
		e->cells = &t->cells;
	return code;
}

/* Fits, says what it finds, and fits again without the worst if so told. */
static int fit_and_look(struct trainer *t, ad_pool *pool, struct fit_progress *progress, ad_detector *detector,
			double *kept, ad_calibration *c, adtool_train_report *r, adtool_error *err)
{
	size_t drop = t->options->drop, i, *dropped = NULL;
	struct ad_findings f = {t->options, c, t->list.count, t->names, t->used, t->digests, t->thumbnails};
	int tiles = t->options->geometry.tile_width > 0;
	int code = tiles ? ad_train_tiles_fit(t, pool, detector, kept, c, err)
			 : ad_fitter_finish(t->fitter, pool, fit_progress, progress, detector, kept, c, err);

	if (!code)
		code = ad_find_copies(&f, &r->copies, &r->near_copies, err);
	if (code || !drop)
		return code;
	if (drop > t->list.count - t->refused - AD_MINIMUM_PICTURES)
		return ad_fail(err, ADTOOL_EINVAL, "without %zu of %zu pictures fewer than %d are left", drop,
			       t->list.count - t->refused, AD_MINIMUM_PICTURES);
	dropped = ad_malloc_array(drop, sizeof(*dropped));
	code = dropped ? ad_drop_worst(&f, drop, dropped, err) : ad_fail_nomem(err);
	for (i = 0; !code && i < drop; i++)
		t->used[dropped[i]] = 0;
	if (!code && c->kind == ADTOOL_CV_HELD_OUT) {
		ad_calibration_drop(c, dropped, drop);
	} else if (!code && tiles) {
		ad_calibration_release(c);
		ad_detector_release(detector);
		code = ad_train_tiles_fit(t, pool, detector, kept, c, err);
	} else if (!code) {
		code = ad_fitter_drop(t->fitter, dropped, drop, err);
		if (!code) {
			ad_calibration_release(c);
			ad_detector_release(detector);
			code = ad_fitter_finish(t->fitter, pool, fit_progress, progress, detector, kept, c, err);
		}
	}
	t->dropped = drop;
	ad_free(dropped);
	return code;
}

static void trainer_release(struct trainer *t)
{
	size_t i;

	for (i = 0; t->maps && i < t->list.count; i++)
		ad_free(t->maps[i]);
	for (i = 0; t->thumbnails && i < t->list.count; i++)
		ad_buf_release(&t->thumbnails[i].jpeg);
	ad_free(t->thumbnails);
	ad_free(t->maps);
	ad_free(t->sampled);
	ad_free(t->seen);
	ad_free(t->used);
	ad_free(t->digests);
	ad_free(t->names);
	ad_free(t->archives);
	ad_free(t->group);
	ad_channels_release(&t->basis);
	ad_fitter_free(t->fitter);
	ad_free_aligned(t->pooled);
	for (i = 0; t->tiles && i < t->list.count; i++)
		ad_train_tiles_release(&t->tiles[i]);
	ad_free(t->tiles);
	ad_free(t->tile_picture);
	ad_free_aligned(t->tile_rows);
	ad_stats_release(&t->stats);
	ad_look_release(&t->look);
	ad_cells_release(&t->cells);
	ad_train_list_release(&t->list);
}

/* The plan in int8, with its ranges in *m, or in bf16. */
static int train_narrow(const struct trainer *t, const adtool_backbone *backbone, ad_pool *pool, uint64_t memory,
			adtool_model *m, ad_plan **plan, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	const struct ad_precision p = {
	    .precision = o->precision,
	    .backbone = backbone,
	    .layer = o->layer,
	    .extractor = &t->extractor,
	    .dataset_options = t->dataset_options,
	    .names = t->names,
	    .archives = t->archives,
	    .count = t->list.count,
	    .seed = o->seed,
	    .memory = memory,
	    .threads = t->threads,
	    .pool = pool,
	    .progress = o->progress,
	    .context = o->context,
	};
	ad_ranges ranges;
	ad_how how;

	if (!o->update)
		return ad_precision_measure(&p, &m->measured, plan, err);
	if (o->precision == ADTOOL_INT8) {
		/* The kept maps were made with these. */
		m->measured.count = o->from->info.ranges;
		m->measured.ranges = ad_malloc_array(m->measured.count, 2 * sizeof(float));
		ad_buf_add(&m->measured.names, o->from->parts.ranges_names, o->from->parts.ranges_names_size);
		if (!m->measured.ranges || m->measured.names.failed)
			return ad_fail_nomem(err);
		memcpy(m->measured.ranges, o->from->parts.ranges.data, m->measured.count * 2 * sizeof(float));
	}
	ranges = ad_measured_ranges(&m->measured);
	how = ad_precision_how(o->precision, &ranges);
	return ad_plan_create_as(backbone, o->layer, o->width, o->height, &how, pool, plan, err);
}

/* The same plan with the ways that are fastest here. */
static int tune_narrow(const struct trainer *t, const adtool_backbone *backbone, ad_pool *pool, const adtool_model *m,
		       ad_tuning *tuning, ad_plan **plan, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	const ad_ranges ranges = ad_measured_ranges(&m->measured);
	ad_how how = ad_precision_how(o->precision, &ranges);
	ad_plan *tuned = NULL;
	int code = ad_tune(backbone, o->layer, o->width, o->height, &how, tuning, err);

	how.tuning = tuning;
	if (!code)
		code = ad_plan_create_as(backbone, o->layer, o->width, o->height, &how, pool, &tuned, err);
	if (code)
		return code;
	ad_plan_free(*plan);
	*plan = tuned;
	return 0;
}

int adtool_train(const adtool_backbone *backbone, const char *const *inputs, size_t count,
		 const adtool_dataset_options *dataset_options, const adtool_train_options *o, adtool_model **out,
		 adtool_train_report *report, adtool_error *err)
{
	struct trainer t = {.options = o, .dataset_options = dataset_options};
	struct fit_progress progress = {o};
	adtool_train_report r = {0};
	ad_calibration calibration = {0};
	ad_fit_options fit = {0};
	adtool_backbone_info b;
	adtool_backbone *own = NULL;
	adtool_model *m = NULL;
	ad_plan *plan = NULL, *narrow = NULL;
	ad_tuning tuning = {{0}, {0}};
	ad_pool *pool = NULL;
	size_t channels = 0, i;
	double start = ad_now(), energy_kept = 0;
	uint64_t limit;
	int with_basis, tunes, code = ad_train_check_options(o, err);

	if (!code && !o->from && (!backbone || o->update))
		code = ad_fail(err, ADTOOL_EINVAL, "no %s", o->update ? "model to update" : "backbone");
	if (!code && o->update && backbone)
		code = ad_fail(err, ADTOOL_EINVAL, "an update keeps the model's backbone");
	if (!code && !backbone) {
		code = ad_backbone_open_view(o->from->parts.onnx, o->from->parts.onnx_size, &own, err);
		if (!code)
			code = adtool_backbone_set_preprocessing(own, &o->from->info.preprocessing, err);
		backbone = own;
	}
	if (code) {
		adtool_backbone_free(own);
		return code;
	}
	t.threads = ad_stream_threads(o->threads);
	t.holds_tiles = o->geometry.tile_width && ad_train_keeps(o);
	limit = ad_memory_limit(o->memory);
	code = ad_pool_create(t.threads, &pool, err);
	if (!code)
		code = ad_model_create(&m, err);
	if (!code)
		code = adtool_backbone_get_info(backbone, &b, err);
	/* What is narrow is tuned when it is known. */
	tunes = o->tune && o->precision == ADTOOL_FLOAT32;
	if (!code && tunes)
		code = ad_tune(backbone, o->layer, o->width, o->height, NULL, &tuning, err);
	if (!code)
		code = ad_plan_create_as(backbone, o->layer, o->width, o->height,
					 &(ad_how){.tuning = tunes ? &tuning : NULL}, pool, &plan, err);
	if (code)
		goto out;
	ad_extractor_init(&t.extractor, plan, &b.preprocessing, o->width, o->height,
			  o->method == ADTOOL_PPCA ? 1 : o->grid, o->max_pixels);
	t.extractor.background = o->geometry.background;
	t.extractor.isolate = o->isolate;
	code = ad_extractor_check(&t.extractor, err);
	if (!code)
		code = trainer_look(&t, err);
	if (!code)
		code = ad_train_list_fill(inputs, count, dataset_options, o, &t.list, err);
	if (!code && o->update)
		code = ad_train_merge_kept(&t, err);
	if (!code)
		code = check_enough(t.list.count, err);
	if (!code)
		code = trainer_allocate(&t, err);
	if (code)
		goto out;
	r.seconds_list = ad_now() - start;

	channels = ad_train_channels(o, t.extractor.shape[0]);
	with_basis = channels < t.extractor.shape[0];
	fit = ad_train_fit_options(o, channels, ad_extractor_cells(&t.extractor));
	fit.pictures = o->geometry.tile_width ? ad_train_tiles_most(t.list.count) : t.list.count;
	fit.keep_maps = o->held_out != NULL && !o->geometry.tile_width;
	code = group_pictures(&t, &fit, err);
	if (code)
		goto out;
	r.memory_estimate = train_memory(&t, &fit, with_basis);
	if (r.memory_estimate > limit) {
		code = ad_fail(err, ADTOOL_ELIMIT,
			       "%zu pictures need about %llu MiB, more than the limit of %s; fewer channels, "
			       "a smaller grid or fewer pictures need less",
			       t.list.count, (unsigned long long)(r.memory_estimate >> 20) + 1,
			       ad_memory_text((char[AD_MEMORY_TEXT]){0}, limit));
		goto out;
	}
	t.tiles_limit = limit - r.memory_estimate;

	start = ad_now();
	if (o->precision != ADTOOL_FLOAT32) {
		code = train_narrow(&t, backbone, pool, limit, m, &narrow, err);
		if (!code && o->tune)
			code = tune_narrow(&t, backbone, pool, m, &tuning, &narrow, err);
		if (code)
			goto out;
		ad_extractor_plan(&t.extractor, narrow);
	}
	memcpy(m->info.tuned_on, tuning.on, sizeof(tuning.on));
	memcpy(m->info.tuned_ways, tuning.ways, sizeof(tuning.ways));
	code = train_features(&t, &fit, o->channels, with_basis, pool, err);
	if (code)
		goto out;
	r.memory_estimate += atomic_load(&t.tiles_held);
	r.seconds_features = ad_now() - start;
	code = check_enough(t.list.count - t.refused, err);
	if (code)
		goto out;

	start = ad_now();
	code = fit_and_look(&t, pool, &progress, &m->trained, &energy_kept, &calibration, &r, err);
	if (!code)
		code = ad_train_fill_model(m, &t, backbone, own ? o->from : NULL, &calibration, energy_kept, err);
	if (!code)
		code = ad_find_worst(&(struct ad_findings){o, &calibration, t.list.count, t.names, t.used, t.digests,
							   t.thumbnails}, m, err);
	if (code)
		goto out;
	r.seconds_fit = ad_now() - start;

	start = ad_now();
	code = ad_train_selftest(m, &t, err);
	r.seconds_selftest = ad_now() - start;
out:
	if (!code) {
		r.pictures_used = m->info.pictures_used;
		r.pictures_refused = m->info.pictures_refused;
		r.pictures_known = t.known;
		for (i = 0; i < t.list.count; i++)
			r.pictures_kept += t.list.entries[i].kept && t.used[i];
		r.pictures_dropped = t.dropped;
		r.passed_over = t.list.passed_over;
		r.arena_bytes = ad_plan_arena_bytes(t.extractor.plan);
		r.weight_bytes = ad_plan_weight_bytes(t.extractor.plan);
		r.difference = m->measured.difference;
		r.threads = t.threads;
		if (report)
			*report = r;
		*out = m;
		m = NULL;
	}
	ad_calibration_release(&calibration);
	trainer_release(&t);
	ad_plan_free(plan);
	ad_plan_free(narrow);
	adtool_backbone_free(own);
	ad_pool_free(pool);
	adtool_model_free(m);
	return code;
}
