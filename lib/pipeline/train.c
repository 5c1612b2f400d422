/* Train: names, features, fit, calibration, selftest. */
#include "trainer.h"

#include <math.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"
#include "../base/rng.h"
#include "../bundle/members.h"

void adtool_train_options_init(adtool_train_options *o)
{
	memset(o, 0, sizeof(*o));
	o->width = o->height = 224;
	o->geometry = (adtool_geometry){.fit = ADTOOL_STRETCH};
	o->grid = 7;
	o->method = ADTOOL_FRE;
	o->channels = 128;
	o->energy = 0.97;
	o->components = SIZE_MAX;
	o->aggregate = ADTOOL_TOP;
	o->top = 0.1;
	o->alpha = 0.01;
}

static void list_release(struct list *l)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		ad_free(l->entries[i].name);
		ad_free(l->entries[i].archive);
	}
	ad_free(l->entries);
	memset(l, 0, sizeof(*l));
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->place < y->place ? -1 : 1;
}

static int list_add(struct list *l, const adtool_item *item, adtool_error *err)
{
	struct entry *e;

	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 256;
		struct entry *more = ad_realloc_array(l->entries, capacity, sizeof(*more));

		if (!more)
			return ad_fail_nomem(err);
		l->entries = more;
		l->capacity = capacity;
	}
	e = &l->entries[l->count];
	e->place = l->count;
	e->kept = 0;
	e->name = ad_strdup(item->name);
	e->archive = item->archive ? ad_strdup(item->archive) : NULL;
	l->count++;
	return e->name && (e->archive || !item->archive) ? 0 : ad_fail_nomem(err);
}

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

/* Names first: how many pictures there are decides how to fit, and their order must not depend on the inputs'. */
static int list_pictures(const char *const *inputs, size_t count, const adtool_dataset_options *dataset_options,
			 const adtool_train_options *o, struct list *l, adtool_error *err)
{
	adtool_dataset *dataset = NULL;
	adtool_item item;
	size_t i, kept = 0;
	int code = adtool_dataset_open(inputs, count, dataset_options, &dataset, err), got = 0;

	while (!code && (got = adtool_dataset_next(dataset, &item, err)) > 0) {
		if (item.code) {
			ad_train_refused(o, item.name, item.code, item.why);
			l->refused++;
			continue;
		}
		code = list_add(l, &item, err);
		if (!code && l->count % 256 == 0)
			code = ad_train_progress(o, "listing", l->count, 0, err);
	}
	if (!code && got < 0)
		code = got;
	if (!code)
		l->passed_over = adtool_dataset_passed_over(dataset);
	adtool_dataset_free(dataset);
	if (code || !l->count)
		return code;
	qsort(l->entries, l->count, sizeof(*l->entries), compare_entries);
	/* The same picture given twice would calibrate on itself. */
	for (i = 0; i < l->count; i++) {
		if (kept && !strcmp(l->entries[kept - 1].name, l->entries[i].name)) {
			ad_free(l->entries[i].name);
			ad_free(l->entries[i].archive);
		} else {
			l->entries[kept++] = l->entries[i];
		}
	}
	l->count = kept;
	return 0;
}

static int compare_name(const void *key, const void *element)
{
	return strcmp(key, ((const struct entry *)element)->name);
}

static int train_select(struct ad_stream *s, const adtool_item *item, size_t *index)
{
	struct trainer *t = s->context;
	struct entry *e = bsearch(item->name, t->list.entries, t->list.count, sizeof(*e), compare_name);

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

/* Every picture's map is held until the basis is known, so not more than AD_BASIS_PICTURES, chosen by the seed. */
static int choose_sample(struct trainer *t, adtool_error *err)
{
	size_t n = t->list.count, i, *order;
	ad_rng rng;

	ad_rng_seed(&rng, t->options->seed);
	order = ad_rng_order(&rng, n);
	if (!order)
		return ad_fail_nomem(err);
	for (i = 0; i < n && i < AD_BASIS_PICTURES; i++)
		t->sampled[order[i]] = 1;
	ad_free(order);
	return 0;
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
	if (n < AD_MINIMUM_PICTURES)
		code = ad_fail(err, ADTOOL_EINVAL, "%zu usable pictures; at least %d are needed", n, AD_MINIMUM_PICTURES);
	else
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

/* -- stats: the maps of all pictures, kept from the first training to the last update ------------------- */

/* Puts the old model's pictures among the new ones, a new one in the place of an old one of its name. */
static int merge_kept(struct trainer *t, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	const adtool_model_info *old = &o->from->info;
	struct list *l = &t->list;
	size_t fresh = l->count, before = old->pictures_refused, i;
	int code;

	if (!adtool_model_keeps_stats(o->from))
		return ad_fail(err, ADTOOL_EINVAL,
			       "the model keeps no stats, so it cannot be updated: train it again on all pictures, keeping stats");
	if (strcmp(o->layer ? o->layer : "", old->layer) || o->width != old->width || o->height != old->height ||
	    o->method != old->method || o->precision != old->precision || t->extractor.grid != old->grid ||
	    o->mask != o->from->mask_image ||
	    !ad_look_same(&o->geometry, &old->geometry))
		return ad_fail(err, ADTOOL_EINVAL, "an update keeps layer, input size, geometry, mask, precision, grid and method");
	if (!fresh)
		return ad_fail(err, ADTOOL_EINVAL, "no new picture");
	code = ad_stats_open(o->from, &t->stats, err);
	for (i = 0; !code && i < t->stats.count; i++) {
		adtool_item item = {.name = t->stats.kept[i].name};

		if (!t->stats.kept[i].map && before)
			before--;
		if (bsearch(item.name, l->entries, fresh, sizeof(*l->entries), compare_name))
			continue;
		code = list_add(l, &item, err);
		if (code)
			break;
		l->entries[l->count - 1].kept = i + 1;
		t->refused += !t->stats.kept[i].map;
	}
	if (code)
		return code;
	/* Those that were refused by their folder or archive have no name. */
	l->refused += before;
	qsort(l->entries, l->count, sizeof(*l->entries), compare_entries);
	return 0;
}

static int compare_digests(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Takes in the old maps, and leaves out new pictures whose bytes are known under another name. */
static int take_kept(struct trainer *t, adtool_error *err)
{
	size_t size = ad_extractor_pooled(&t->extractor), n = t->list.count, known = 0, i, kept = 0;
	const char **digests = ad_malloc_array(n, sizeof(*digests));

	if (!digests)
		return ad_fail_nomem(err);
	for (i = 0; i < n; i++) {
		size_t index = t->list.entries[i].kept;
		const struct ad_kept *k = index ? &t->stats.kept[index - 1] : NULL;

		if (!k || !k->map)
			continue;
		memcpy(t->pooled + i * size, k->map, size * sizeof(float));
		memcpy(t->digests[i], k->digest, sizeof(k->digest));
		t->used[i] = 1;
		digests[known++] = k->digest;
	}
	qsort(digests, known, sizeof(*digests), compare_digests);
	for (i = 0; i < n; i++) {
		const char *digest = t->digests[i];

		if (!t->list.entries[i].kept && t->used[i] &&
		    bsearch(&digest, digests, known, sizeof(*digests), compare_digests)) {
			ad_free(t->list.entries[i].name);
			ad_free(t->list.entries[i].archive);
			if (t->thumbnails)
				ad_buf_release(&t->thumbnails[i].jpeg);
			t->known++;
			continue;
		}
		if (kept < i) {
			t->list.entries[kept] = t->list.entries[i];
			t->used[kept] = t->used[i];
			memcpy(t->digests[kept], t->digests[i], sizeof(t->digests[i]));
			if (t->thumbnails) {
				t->thumbnails[kept] = t->thumbnails[i];
				memset(&t->thumbnails[i], 0, sizeof(*t->thumbnails));
			}
			memcpy(t->pooled + kept * size, t->pooled + i * size, size * sizeof(float));
		}
		kept++;
	}
	t->list.count = kept;
	ad_free(digests);
	return 0;
}

/* As the two passes of other trainings hand them over, so that the fit has the same bits. */
static int add_pooled(struct trainer *t, adtool_error *err)
{
	size_t cells = ad_extractor_cells(&t->extractor), size = ad_extractor_pooled(&t->extractor), i;
	float *row = ad_malloc_array(size, sizeof(float));
	int code = row ? 0 : ad_fail_nomem(err), sampled;

	for (sampled = 1; sampled >= 0; sampled--) {
		for (i = 0; !code && i < t->list.count; i++) {
			const float *map = t->pooled + i * size;

			if (!t->used[i] || t->sampled[i] != sampled)
				continue;
			if (t->basis.from)
				ad_channels_apply(&t->basis, map, cells, row);
			code = ad_fitter_add(t->fitter, i, t->basis.from ? row : map, err);
			if (code)
				code = ad_fail_within(err, code, "%s", t->list.entries[i].name);
		}
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
		return ad_fail(err, ADTOOL_ELIMIT, "the stats of %zu pictures would take %llu MiB, and a model has less than 4 GiB",
			       t->list.count, (unsigned long long)(bytes >> 20));
	t->pooled = ad_malloc_aligned(t->list.count, ad_extractor_pooled(&t->extractor) * sizeof(float));
	if (!t->pooled)
		return ad_fail_nomem(err);
	code = train_pass(t, 0, err);
	if (!code)
		code = take_kept(t, err);
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
	return code ? code : add_pooled(t, err);
}

static int model_fill_stats(adtool_model *m, struct trainer *t, adtool_error *err)
{
	size_t size = ad_extractor_pooled(&t->extractor), i, rows = 0;
	size_t g = t->extractor.grid, high = t->extractor.cells ? 1 : g, wide = t->extractor.cells ? t->extractor.cells->count : g;

	for (i = 0; i < t->list.count; i++) {
		ad_stats_line(&m->stats_names, t->used[i] ? t->digests[i] : NULL, t->list.entries[i].name);
		if (!t->used[i])
			continue;
		if (rows < i)
			memcpy(t->pooled + rows * size, t->pooled + i * size, size * sizeof(float));
		rows++;
	}
	if (m->stats_names.failed)
		return ad_fail_nomem(err);
	m->stats = t->pooled;
	t->pooled = NULL;
	m->parts.stats = (ad_npy){.item_size = 4, .ndim = 4, .shape = {rows, t->extractor.shape[0], high, wide},
				  .count = rows * size, .data = m->stats};
	m->parts.stats_names = ad_buf_text(&m->stats_names);
	m->parts.stats_names_size = m->stats_names.size;
	return 0;
}

uint64_t ad_machine_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : (uint64_t)4 << 30;
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
	int keep = t->options->keep_stats || t->options->update;
	uint64_t basis = with_basis ? (keep ? 0 : n < AD_BASIS_PICTURES ? n : AD_BASIS_PICTURES) * pooled +
					  ad_channels_memory(channels, ad_extractor_cells(e))
				    : 0;

	if (t->options->geometry.tile_width)
		basis += ad_train_tiles_memory(t, fit);
	return t->threads * thread + ad_plan_weight_bytes(e->plan) + ad_stream_slots(t->threads) * pooled + basis +
	       (keep ? 2 * n * pooled : 0) + n * t->options->thumbnail * t->options->thumbnail / 4 +
	       ad_fit_memory(fit, t->threads);
}

int ad_train_check_options(const adtool_train_options *o, adtool_error *err)
{
	if (o->width < 1 || o->height < 1 || o->width > 4096 || o->height > 4096)
		return ad_fail(err, ADTOOL_EINVAL, "input size %u x %u; each side is 1 to 4096", o->width, o->height);
	if (o->grid < 1 || o->grid > 256)
		return ad_fail(err, ADTOOL_EINVAL, "grid %u; it is 1 to 256", o->grid);
	if (!(o->energy > 0 && o->energy < 1))
		return ad_fail(err, ADTOOL_EINVAL, "energy %g; it lies between 0 and 1", o->energy);
	if (!(o->top > 0 && o->top <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "top fraction %g; it is more than 0 and at most 1", o->top);
	if (!(o->alpha > 0 && o->alpha < 1))
		return ad_fail(err, ADTOOL_EINVAL, "alpha %g; it lies between 0 and 1", o->alpha);
	if (adtool_geometry_check(&o->geometry, err))
		return ADTOOL_EINVAL;
	if (o->precision != ADTOOL_FLOAT32 && o->precision != ADTOOL_INT8)
		return ad_fail(err, ADTOOL_EINVAL, "precision %d is not known", (int)o->precision);
	/* ppca's log-likelihood is of fine differences: measured, it loses more accuracy than may be. */
	if (o->precision == ADTOOL_INT8 && (o->method == ADTOOL_PPCA || o->geometry.tile_width || o->tune))
		return ad_fail(err, ADTOOL_EINVAL, "int8 does not go with %s",
			       o->method == ADTOOL_PPCA ? "ppca" : o->tune ? "tuning" : "tiles");
	if (o->geometry.tile_width && (o->keep_stats || o->update))
		return ad_fail(err, ADTOOL_EINVAL, "a model with tiles keeps no stats");
	if (o->group_by && (!*o->group_by || strlen(o->group_by) > 127))
		return ad_fail(err, ADTOOL_EINVAL, "group by: 'dir', or an expression of 1 to 127 bytes");
	return ad_stream_check_threads(o->threads, err);
}

#define COPY_TEXT(to, from) snprintf(to, sizeof(to), "%s", (from) ? (from) : "")

static ad_npy npy_of(int item_size, const void *data, int ndim, size_t a, size_t b)
{
	ad_npy npy = {.item_size = item_size, .ndim = ndim, .shape = {a, b, 1, 1}, .count = a * b, .data = data};

	return npy;
}

/* Parts from what was fitted: exactly what a reader of the bundle will see. Takes over t->basis's memory. */
static int model_fill_parts(adtool_model *m, struct trainer *t, const ad_calibration *calibration, adtool_error *err)
{
	const ad_detector *d = &m->trained;
	ad_bundle_parts *parts = &m->parts;
	size_t i, k = d->components, dimensions = d->dimensions;

	parts->onnx = m->onnx.data;
	parts->onnx_size = m->onnx.size;
	if (m->mask_image) {
		int code = ad_png_encode(m->mask_image, &m->mask_file, err);

		if (code)
			return code;
		parts->mask = m->mask_file.data;
		parts->mask_size = m->mask_file.size;
	}
	if (t->basis.from) {
		m->channels = t->basis.basis;
		m->channels_mean = t->basis.mean;
		parts->channels = npy_of(4, m->channels, 2, t->basis.to, t->basis.from);
		parts->channels_mean = npy_of(4, m->channels_mean, 1, t->basis.from, 1);
		memset(&t->basis, 0, sizeof(t->basis));
	}
	if (d->method == ADTOOL_FRE) {
		m->variances32 = ad_malloc_array(k, sizeof(float));
		if (!m->variances32)
			return ad_fail_nomem(err);
		for (i = 0; i < k; i++)
			m->variances32[i] = (float)d->variances[i];
		parts->mean = npy_of(4, d->mean32, 1, dimensions, 1);
		parts->components = npy_of(4, d->rows32, 2, k, dimensions);
		parts->variances = npy_of(4, m->variances32, 1, k, 1);
	} else {
		parts->mean = npy_of(8, d->mean, 1, dimensions, 1);
		parts->components = npy_of(8, d->rows, 2, k, dimensions);
		parts->variances = npy_of(8, d->variances, 1, k, 1);
	}
	m->calibration = ad_malloc_array(calibration->n, sizeof(double));
	if (!m->calibration)
		return ad_fail_nomem(err);
	memcpy(m->calibration, calibration->scores, calibration->n * sizeof(double));
	qsort(m->calibration, calibration->n, sizeof(double), ad_compare_doubles);
	parts->calibration = npy_of(8, m->calibration, 1, calibration->n, 1);
	parts->selftest = npy_of(8, &m->selftest, 1, 1, 1);
	if (m->measured.count) {
		parts->ranges = npy_of(4, m->measured.ranges, 2, m->measured.count, 2);
		parts->ranges_names = (const char *)m->measured.names.data;
		parts->ranges_names_size = m->measured.names.size;
	}
	return 0;
}

static int model_fill_info(adtool_model *m, const adtool_backbone *backbone, const adtool_model *from, const struct trainer *t,
			   const ad_calibration *calibration, double energy_kept, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	const ad_detector *d = &m->trained;
	adtool_model_info *info = &m->info;
	adtool_backbone_info b;
	ad_buf digests = {0};
	size_t i;
	int code = adtool_backbone_get_info(backbone, &b, err);

	if (code)
		return code;
	info->format_version = AD_BUNDLE_FORMAT;
	info->components_by = o->components == SIZE_MAX ? ADTOOL_COMPONENTS_BY_RULE : ADTOOL_COMPONENTS_GIVEN;
	info->components_asked = o->components == SIZE_MAX ? 0 : o->components;
	COPY_TEXT(info->adtool_version, adtool_version());
	/* A model's own backbone was cut: whose part it is, the model knows. */
	if (from) {
		b.name = from->info.backbone_name;
		b.sha256 = from->info.backbone_sha256;
		b.licence = from->info.backbone_licence;
		b.source = from->info.backbone_source;
	}
	COPY_TEXT(info->backbone_name, b.name);
	COPY_TEXT(info->backbone_sha256, b.sha256);
	COPY_TEXT(info->backbone_licence, b.licence);
	COPY_TEXT(info->backbone_source, b.source);
	info->preprocessing = b.preprocessing;
	info->width = o->width;
	info->height = o->height;
	info->geometry = o->geometry;
	if (m->mask_image) {
		info->mask_width = adtool_image_width(m->mask_image);
		info->mask_height = adtool_image_height(m->mask_image);
		info->mask_cells = m->cells.count;
	}
	COPY_TEXT(info->layer, o->layer ? o->layer : ad_backbone_default_layer(backbone));
	info->layer_channels = t->extractor.shape[0];
	info->layer_height = t->extractor.shape[1];
	info->layer_width = t->extractor.shape[2];
	info->precision = o->precision;
	info->ranges = m->measured.count;
	info->method = o->method;
	info->grid = t->extractor.grid;
	info->channels = t->basis.from ? t->basis.to : info->layer_channels;
	info->dimensions = d->dimensions;
	info->components = d->components;
	info->energy = o->method == ADTOOL_FRE && o->components == SIZE_MAX ? o->energy : 0;
	info->energy_kept = energy_kept;
	info->noise_variance = d->noise_variance;
	info->aggregate = o->aggregate;
	info->top = o->top;
	info->seed = o->seed;
	info->calibration = calibration->kind;
	info->folds = calibration->folds;
	info->calibration_count = calibration->n;
	info->pictures_refused = t->refused + t->list.refused;
	info->pictures_dropped = t->dropped;
	COPY_TEXT(info->group_by, o->group_by);
	info->groups = t->groups;
	for (i = 0; i < t->list.count; i++) {
		if (!t->used[i])
			continue;
		info->pictures_used++;
		ad_buf_puts(&digests, t->digests[i]);
	}
	if (digests.failed)
		code = ad_fail_nomem(err);
	else
		ad_sha256_hex(digests.data, digests.size, info->pictures_digest);
	ad_buf_release(&digests);
	if (!code && calibration->peaks)
		code = ad_quantile(calibration->peaks, calibration->n, 1 - o->alpha, &info->heat_level, err);
	return code;
}

static int model_decide(adtool_model *m, const ad_calibration *calibration, double alpha, adtool_error *err)
{
	adtool_model_info *info = &m->info;
	const ad_detector *d = &m->trained;
	const double *q = calibration->q ? calibration->q : calibration->scores;
	ad_box box;
	ad_limit limit;
	int code = ad_box_fit(q, calibration->n, d->method == ADTOOL_PPCA ? 0.5 : 1, ad_detector_shift(d), &box, err);

	if (!code)
		code = ad_limit_at(m->calibration, calibration->n, &box, alpha, &limit, err);
	if (code)
		return code;
	info->rule = limit.rule;
	info->alpha = alpha;
	info->threshold = limit.threshold;
	info->normals_needed = limit.needed;
	info->box_g = box.g;
	info->box_h = box.h;
	info->box_scale = box.scale;
	info->box_shift = box.shift;
	return 0;
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

/* The bundle's graph must give what the whole backbone gives: the selftest through both. */
static int train_selftest(adtool_model *m, const struct trainer *t, adtool_error *err)
{
	const struct ad_extractor *e = &t->extractor;
	adtool_image *image = NULL;
	struct ad_scratch s = {0};
	float *row = ad_malloc_aligned(m->detector.dimensions, sizeof(float));
	void *work = ad_malloc_aligned(ad_detector_scratch(&m->detector, 1), 1);
	double whole;
	int code = row && work ? ad_selftest_picture(&image, err) : ad_fail_nomem(err);

	if (!code)
		code = ad_scratch_create(&s, e, err);
	if (!code) {
		struct ad_extractor projecting = *e;

		projecting.basis = m->basis.from ? &m->basis : NULL;
		projecting.look = NULL;
		projecting.cells = m->cells.index ? &m->cells : NULL;
		code = ad_extract_image(&projecting, &s, NULL, image, row, err);
	}
	if (!code) {
		ad_detector_score(&m->detector, 1, row, &whole, NULL, work);
		code = ad_selftest_score(m, &m->selftest, err);
	}
	if (!code && !isfinite(m->selftest))
		code = ad_fail(err, ADTOOL_ENUMERIC, "the selftest fails: the built-in picture has no finite score");
	if (!code)
		code = ad_selftest_compare(m->selftest, whole, err);
	ad_scratch_release(&s);
	adtool_image_free(image);
	ad_free_aligned(row);
	ad_free_aligned(work);
	return code;
}

static int trainer_allocate(struct trainer *t, adtool_error *err)
{
	size_t n = t->list.count;

	t->sampled = ad_calloc(n, 1);
	t->seen = ad_calloc(n, 1);
	t->used = ad_calloc(n, 1);
	t->maps = ad_calloc(n, sizeof(*t->maps));
	t->digests = ad_calloc(n, sizeof(*t->digests));
	t->names = ad_malloc_array(n, sizeof(*t->names));
	t->archives = ad_malloc_array(n, sizeof(*t->archives));
	if (t->options->thumbnail)
		t->thumbnails = ad_calloc(n, sizeof(*t->thumbnails));
	if (!t->sampled || !t->seen || !t->used || !t->maps || !t->digests || !t->names || !t->archives ||
	    (t->options->thumbnail && !t->thumbnails))
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
	ad_free(t->tile_picture);
	ad_free_aligned(t->tile_rows);
	ad_stats_release(&t->stats);
	ad_look_release(&t->look);
	ad_cells_release(&t->cells);
	list_release(&t->list);
}

/* The plan in int8, with its ranges in *m. */
static int train_int8(const struct trainer *t, const adtool_backbone *backbone, ad_pool *pool, uint64_t memory,
		      adtool_model *m, ad_plan **plan, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	const struct ad_precision p = {
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
	int code = 0;

	if (!o->update)
		return ad_precision_int8(&p, &m->measured, plan, err);
	/* The kept maps were made with these. */
	m->measured.count = o->from->info.ranges;
	m->measured.ranges = ad_malloc_array(m->measured.count, 2 * sizeof(float));
	ad_buf_add(&m->measured.names, o->from->parts.ranges_names, o->from->parts.ranges_names_size);
	if (!m->measured.ranges || m->measured.names.failed)
		return ad_fail_nomem(err);
	memcpy(m->measured.ranges, o->from->parts.ranges.data, m->measured.count * 2 * sizeof(float));
	ranges = ad_measured_ranges(&m->measured);
	code = ad_plan_create_int8(backbone, o->layer, o->width, o->height, &ranges, pool, plan, err);
	return code;
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
	int with_basis, keep = o->keep_stats || o->update, code = ad_train_check_options(o, err);

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
	limit = o->memory ? o->memory : ad_machine_memory() / 4 * 3;
	code = ad_pool_create(t.threads, &pool, err);
	if (!code)
		code = ad_model_create(&m, err);
	if (!code)
		code = adtool_backbone_get_info(backbone, &b, err);
	if (!code && o->tune)
		code = ad_tune(backbone, o->layer, o->width, o->height, &tuning, err);
	if (!code && o->tune)
		code = ad_plan_create_tuned(backbone, o->layer, o->width, o->height, &tuning, pool, &plan, err);
	else if (!code)
		code = ad_plan_create(backbone, o->layer, o->width, o->height, pool, &plan, err);
	if (code)
		goto out;
	memcpy(m->info.tuned_on, tuning.on, sizeof(tuning.on));
	memcpy(m->info.tuned_ways, tuning.ways, sizeof(tuning.ways));
	ad_extractor_init(&t.extractor, plan, &b.preprocessing, o->width, o->height,
			  o->method == ADTOOL_PPCA ? 1 : o->grid, o->max_pixels);
	t.extractor.background = o->geometry.background;
	code = ad_extractor_check(&t.extractor, err);
	if (!code)
		code = trainer_look(&t, err);
	if (!code)
		code = list_pictures(inputs, count, dataset_options, o, &t.list, err);
	if (!code && o->update)
		code = merge_kept(&t, err);
	if (!code && t.list.count < AD_MINIMUM_PICTURES)
		code = ad_fail(err, ADTOOL_EINVAL, "%zu usable picture%s; at least %d are needed", t.list.count,
			       t.list.count == 1 ? "" : "s", AD_MINIMUM_PICTURES);
	if (!code)
		code = trainer_allocate(&t, err);
	if (code)
		goto out;
	r.seconds_list = ad_now() - start;

	channels = t.extractor.shape[0];
	with_basis = o->method == ADTOOL_FRE && o->channels && o->channels < channels;
	if (with_basis)
		channels = o->channels;
	fit.method = o->method;
	fit.pictures = o->geometry.tile_width ? ad_train_tiles_most(t.list.count) : t.list.count;
	fit.cells = ad_extractor_cells(&t.extractor);
	fit.dimensions = channels * fit.cells;
	fit.energy = o->energy;
	fit.components = o->components;
	fit.aggregate = o->aggregate;
	fit.top = o->top;
	fit.alpha = o->alpha;
	fit.seed = o->seed;
	fit.keep_maps = o->held_out != NULL && !o->geometry.tile_width;
	code = group_pictures(&t, &fit, err);
	if (code)
		goto out;
	r.memory_estimate = train_memory(&t, &fit, with_basis);
	if (r.memory_estimate > limit) {
		code = ad_fail(err, ADTOOL_ELIMIT,
			       "%zu pictures need about %llu MiB, more than the limit of %llu MiB; fewer channels, "
			       "a smaller grid or fewer pictures need less",
			       t.list.count, (unsigned long long)(r.memory_estimate >> 20),
			       (unsigned long long)(limit >> 20));
		goto out;
	}

	start = ad_now();
	if (o->precision == ADTOOL_INT8) {
		code = train_int8(&t, backbone, pool, limit, m, &narrow, err);
		if (code)
			goto out;
		ad_extractor_plan(&t.extractor, narrow);
	}
	if (o->geometry.tile_width)
		code = ad_train_tiles_gather(&t, &fit, with_basis, pool, err);
	else if (keep)
		code = train_keeping(&t, &fit, o->channels, with_basis, pool, err);
	else
		code = ad_fitter_create(&fit, &t.fitter, err);
	if (!code && with_basis && !keep && !o->geometry.tile_width) {
		code = choose_sample(&t, err);
		if (!code)
			code = train_pass(&t, 1, err);
		if (!code)
			code = fit_basis(&t, o->channels, pool, err);
		if (!code)
			code = add_sampled(&t, err);
		t.extractor.basis = &t.basis;
	}
	if (!code && !keep && !o->geometry.tile_width)
		code = train_pass(&t, 0, err);
	if (code)
		goto out;
	r.seconds_features = ad_now() - start;
	if (t.list.count - t.refused < AD_MINIMUM_PICTURES) {
		code = ad_fail(err, ADTOOL_EINVAL, "%zu usable picture%s; at least %d are needed",
			       t.list.count - t.refused, t.list.count - t.refused == 1 ? "" : "s", AD_MINIMUM_PICTURES);
		goto out;
	}

	start = ad_now();
	code = fit_and_look(&t, pool, &progress, &m->trained, &energy_kept, &calibration, &r, err);
	if (!code && !own)
		code = ad_backbone_cut(backbone, o->layer, &m->onnx, err);
	else if (!code && ad_buf_add(&m->onnx, o->from->parts.onnx, o->from->parts.onnx_size))
		code = ad_fail_nomem(err);
	if (!code)
		code = ad_model_set_look(m, &t.look, &t.cells, err);
	if (!code && t.extractor.look)
		t.extractor.look = &m->look;
	if (!code && t.extractor.cells)
		t.extractor.cells = &m->cells;
	if (!code)
		code = model_fill_info(m, backbone, own ? o->from : NULL, &t, &calibration, energy_kept, err);
	if (!code)
		code = model_fill_parts(m, &t, &calibration, err);
	if (!code && keep)
		code = model_fill_stats(m, &t, err);
	if (!code)
		code = model_decide(m, &calibration, o->alpha, err);
	if (!code)
		code = ad_model_assemble(m, err);
	if (!code)
		code = ad_find_worst(&(struct ad_findings){o, &calibration, t.list.count, t.names, t.used, t.digests,
							   t.thumbnails}, m, err);
	if (code)
		goto out;
	r.seconds_fit = ad_now() - start;

	start = ad_now();
	code = train_selftest(m, &t, err);
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
