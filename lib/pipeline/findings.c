/* What training finds about its pictures: copies, near copies, and those that look least normal. */
#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "pipeline.h"

enum { WORST = 5 };

/*
 * Below this share of the mean squared distance of two pictures, a picture is a near copy: the same one saved again, or
 * shot again.
 */
#define NEAR2 (0.1 * 0.1)

struct copy {
	const char *digest;
	size_t picture, original; /* SIZE_MAX: it is none */
};

static int compare_digests(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;
	int order = strcmp(x->digest, y->digest);

	return order ? order : x->picture < y->picture ? -1 : x->picture > y->picture;
}

static int compare_pictures(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;

	return x->picture < y->picture ? -1 : x->picture > y->picture;
}

static void tell(const struct ad_findings *f, const adtool_finding *finding)
{
	if (f->options->finding)
		f->options->finding(f->options->context, finding);
}

/* In the order of names: each but the first of those that have the same bytes. */
static int find_copies(const struct ad_findings *f, size_t *count, adtool_error *err)
{
	struct copy *copies = ad_malloc_array(f->count, sizeof(*copies));
	size_t i, n = 0, first = 0, found = 0;

	if (!copies)
		return ad_fail_nomem(err);
	for (i = 0; i < f->count; i++)
		if (f->used[i])
			copies[n++] = (struct copy){f->digests[i], i, SIZE_MAX};
	qsort(copies, n, sizeof(*copies), compare_digests);
	for (i = 1; i < n; i++) {
		if (strcmp(copies[first].digest, copies[i].digest))
			first = i;
		else
			copies[i].original = copies[first].picture;
	}
	qsort(copies, n, sizeof(*copies), compare_pictures);
	for (i = 0; i < n; i++) {
		adtool_finding finding = {.kind = ADTOOL_FINDING_COPY, .name = f->names[copies[i].picture]};

		if (copies[i].original == SIZE_MAX)
			continue;
		finding.other = f->names[copies[i].original];
		tell(f, &finding);
		found++;
	}
	ad_free(copies);
	*count = found;
	return 0;
}

/* Each pair once, but for those of the same bytes. */
static int find_near_copies(const struct ad_findings *f, size_t *count, adtool_error *err)
{
	const ad_calibration *c = f->calibration;
	size_t i, found = 0, *near = ad_malloc_array(f->count, sizeof(*near));

	if (!near)
		return ad_fail_nomem(err);
	for (i = 0; i < c->pictures; i++)
		near[c->picture[i]] = c->near[i];
	for (i = 0; i < c->pictures; i++) {
		size_t a = c->picture[i], b = c->near[i];
		adtool_finding finding = {.kind = ADTOOL_FINDING_NEAR_COPY, .name = f->names[a], .other = f->names[b]};

		if (!(c->distance2[i] < NEAR2 * c->spread2) || !strcmp(f->digests[a], f->digests[b]) ||
		    (near[b] == a && b < a))
			continue;
		finding.distance = sqrt(c->distance2[i] / c->spread2);
		tell(f, &finding);
		found++;
	}
	ad_free(near);
	*count = found;
	return 0;
}

int ad_find_copies(const struct ad_findings *f, size_t *copies, size_t *near_copies, adtool_error *err)
{
	int code = find_copies(f, copies, err);

	return code ? code : find_near_copies(f, near_copies, err);
}

/* -- the worst --------------------------------------------------------------------------------------- */

struct held {
	double score;
	size_t slot;
};

static int compare_held(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return x->score < y->score ? 1 : x->score > y->score ? -1 : x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int sorted_held(const ad_calibration *c, struct held **out, adtool_error *err)
{
	struct held *held = ad_malloc_array(c->n, sizeof(*held));
	size_t i;

	if (!held)
		return ad_fail_nomem(err);
	for (i = 0; i < c->n; i++)
		held[i] = (struct held){c->scores[i], i};
	qsort(held, c->n, sizeof(*held), compare_held);
	*out = held;
	return 0;
}

/* What options->held_out is told of the picture in this slot of the calibration. */
static int tell_row(const struct ad_findings *f, const adtool_model *m, const adtool_finding *finding, size_t slot,
		    adtool_error *err)
{
	const ad_calibration *c = f->calibration;
	const adtool_train_options *o = f->options;
	const struct ad_thumbnail *t = f->thumbnails ? &f->thumbnails[c->index[slot]] : NULL;
	adtool_row row = {.name = finding->name, .label = "", .score = finding->score, .p = finding->p,
			  .threshold = m->info.threshold};
	struct adtool_view view;
	adtool_image *image = NULL;
	float *map = NULL;
	ad_buf heat = {0};
	int code = 0;

	row.verdict = row.score > row.threshold ? ADTOOL_ANOMALOUS : ADTOOL_NORMAL;
	if (c->maps) {
		map = ad_malloc_array((size_t)m->info.grid * m->info.grid, sizeof(*map));
		if (!map)
			return ad_fail_nomem(err);
		ad_model_spread(m, c->maps + slot * c->cells, map);
		row.map = map;
		row.map_rows = row.map_cols = m->info.grid;
	}
	if (t && t->jpeg.size) {
		row.width = t->width;
		row.height = t->height;
		row.thumbnail = t->jpeg.data;
		row.thumbnail_size = t->jpeg.size;
	}
	if (row.thumbnail && row.map) {
		ad_heat drawn = {
		    .map = row.map, .rows = row.map_rows, .cols = row.map_cols, .level = m->info.heat_level};

		code = ad_row_place(&m->look, m->info.width, m->info.height, &row, &view, err);
		if (!code)
			code = adtool_image_decode(t->jpeg.data, t->jpeg.size, 0, &image, err);
		drawn.view = row.view ? &row.view->view : NULL;
		if (!code)
			code = ad_image_thumbnail(image, &drawn, o->thumbnail, &heat, err);
		row.thumbnail_heat = heat.data;
		row.thumbnail_heat_size = heat.size;
	}
	if (!code && o->held_out(o->context, &row))
		code = ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	adtool_image_free(image);
	ad_free(map);
	ad_buf_release(&heat);
	return code;
}

int ad_find_worst(const struct ad_findings *f, const adtool_model *m, adtool_error *err)
{
	const ad_calibration *c = f->calibration;
	const ad_box *box = &m->limit.box;
	size_t i, rows = f->options->held_out ? f->options->held_out_most : 0;
	struct held *held = NULL;
	int code = sorted_held(c, &held, err);

	for (i = 0; !code && i < c->n && (i < WORST || i < rows); i++) {
		adtool_finding finding = {.kind = ADTOOL_FINDING_WORST, .name = f->names[c->index[held[i].slot]]};

		finding.score = held[i].score;
		finding.p = ad_chi2_sf((held[i].score - box->shift) / box->scale / box->g, box->h);
		if (i < WORST)
			tell(f, &finding);
		if (i < rows)
			code = tell_row(f, m, &finding, held[i].slot, err);
	}
	ad_free(held);
	return code;
}

int ad_drop_worst(const struct ad_findings *f, size_t count, size_t *dropped, adtool_error *err)
{
	const ad_calibration *c = f->calibration;
	struct held *held = NULL;
	size_t i;
	int code;

	if (count >= c->n)
		return ad_fail(err, ADTOOL_EINVAL, "%zu of %zu pictures held out cannot be dropped", count, c->n);
	code = sorted_held(c, &held, err);
	for (i = 0; !code && i < count; i++) {
		adtool_finding finding = {.kind = ADTOOL_FINDING_DROPPED, .name = f->names[c->index[held[i].slot]]};

		finding.score = held[i].score;
		dropped[i] = c->index[held[i].slot];
		tell(f, &finding);
	}
	ad_free(held);
	return code;
}

/* Takes scores out of a calibration on pictures that no fit had seen: the fit stays what it is. */
void ad_calibration_drop(ad_calibration *c, const size_t *dropped, size_t count)
{
	size_t i, j, n = 0;

	for (i = 0; i < c->n; i++) {
		for (j = 0; j < count && dropped[j] != c->index[i]; j++)
			;
		if (j < count)
			continue;
		c->scores[n] = c->scores[i];
		c->index[n] = c->index[i];
		if (c->peaks)
			c->peaks[n] = c->peaks[i];
		if (c->maps)
			memmove(c->maps + n * c->cells, c->maps + i * c->cells, c->cells * sizeof(float));
		if (c->q)
			c->q[n] = c->q[i];
		n++;
	}
	c->n = n;
}
