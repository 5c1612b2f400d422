/*
 * A batch under control of its false-discovery rate: whether a picture is anomalous depends on all others, so rows
 * are held until the last is known.
 */
#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../detect/decision.h"
#include "pipeline.h"

struct batch {
	const adtool_score_options *options;
	const adtool_model_info *info;
	adtool_row *rows;         /* own their strings and maps */
	size_t count, capacity;
	adtool_error err;
};

static void keep_text(const char **text, int *failed)
{
	if (!*text)
		return;
	*text = ad_strdup(*text);
	*failed |= !*text;
}

static void *keep_bytes(const void *bytes, size_t size, int *failed)
{
	void *copy;

	if (!bytes)
		return NULL;
	copy = ad_malloc(size);
	if (copy)
		memcpy(copy, bytes, size);
	*failed |= !copy;
	return copy;
}

static int keep_row(struct batch *b, const adtool_row *row)
{
	adtool_row *r;
	int failed = 0;

	if (b->count == b->capacity) {
		size_t capacity = b->capacity ? 2 * b->capacity : 256;
		adtool_row *more = ad_realloc_array(b->rows, capacity, sizeof(*more));

		if (!more)
			return ad_fail_nomem(&b->err);
		b->rows = more;
		b->capacity = capacity;
	}
	r = &b->rows[b->count++];
	*r = *row;
	keep_text(&r->name, &failed);
	keep_text(&r->label, &failed);
	keep_text(&r->why, &failed);
	keep_text(&r->digest, &failed);
	keep_text(&r->heatmap, &failed);
	keep_text(&r->overlay, &failed);
	keep_text(&r->map_file, &failed);
	r->thumbnail = keep_bytes(row->thumbnail, row->thumbnail_size, &failed);
	r->thumbnail_heat = keep_bytes(row->thumbnail_heat, row->thumbnail_heat_size, &failed);
	r->regions = keep_bytes(row->regions, row->region_count * sizeof(*row->regions), &failed);
	if (row->map) {
		size_t cells = (size_t)row->map_rows * row->map_cols;

		r->map = keep_bytes(row->map, cells * sizeof(*row->map), &failed);
		r->view = keep_bytes(row->view, sizeof(*row->view), &failed);
	}
	return failed ? ad_fail_nomem(&b->err) : 0;
}

static int collect(void *context, const adtool_row *row)
{
	return keep_row(context, row);
}

static void batch_release(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->count; i++) {
		adtool_row *r = &b->rows[i];

		ad_free((char *)(uintptr_t)r->name);
		ad_free((char *)(uintptr_t)r->label);
		ad_free((char *)(uintptr_t)r->why);
		ad_free((char *)(uintptr_t)r->digest);
		ad_free((char *)(uintptr_t)r->heatmap);
		ad_free((char *)(uintptr_t)r->overlay);
		ad_free((float *)(uintptr_t)r->map);
		ad_free((void *)(uintptr_t)r->view);
		ad_free((char *)(uintptr_t)r->map_file);
		ad_free((void *)(uintptr_t)r->thumbnail);
		ad_free((void *)(uintptr_t)r->thumbnail_heat);
		ad_free((void *)(uintptr_t)r->regions);
	}
	ad_free(b->rows);
}

/* Everything with p at or below the cutoff is anomalous; the threshold is the largest score that is not. */
static int decide(struct batch *b, adtool_score_report *report, adtool_error *err)
{
	double *p = ad_malloc_array(b->count, sizeof(*p)), cutoff, threshold = -INFINITY, least = INFINITY;
	size_t i, n = 0;
	int code;

	if (!p)
		return ad_fail_nomem(err);
	for (i = 0; i < b->count; i++)
		if (b->rows[i].verdict != ADTOOL_ERROR)
			p[n++] = b->rows[i].p;
	code = ad_false_discovery(p, n, b->options->fdr, &cutoff, err);
	ad_free(p);
	if (code)
		return code;
	report->normal = report->suspect = report->anomalous = 0;
	for (i = 0; i < b->count; i++) {
		adtool_row *r = &b->rows[i];

		if (r->verdict == ADTOOL_ERROR)
			continue;
		if (r->p <= cutoff) {
			r->verdict = ADTOOL_ANOMALOUS;
			report->anomalous++;
			least = fmin(least, r->score);
		} else {
			int suspect = b->info->warn_alpha > 0 && r->score > b->info->warn_threshold;

			r->verdict = suspect ? ADTOOL_SUSPECT : ADTOOL_NORMAL;
			*(suspect ? &report->suspect : &report->normal) += 1;
			threshold = fmax(threshold, r->score);
		}
	}
	if (!isfinite(threshold))
		threshold = nextafter(least, -INFINITY);
	for (i = 0; i < b->count; i++)
		if (b->rows[i].verdict != ADTOOL_ERROR)
			b->rows[i].threshold = threshold;
	return 0;
}

int ad_score_batch(const adtool_model *model, adtool_dataset *dataset, const adtool_score_options *options,
                   adtool_score_report *report, adtool_error *err)
{
	struct batch b = {.options = options, .info = adtool_model_get_info(model)};
	adtool_score_options o = *options;
	adtool_score_report r = {0};
	size_t i;
	int code;

	if (!(options->fdr > 0 && options->fdr < 1))
		return ad_fail(err, ADTOOL_EINVAL, "false-discovery rate %g: it must be between 0 and 1", options->fdr);
	if (options->has_threshold || options->alpha > 0)
		return ad_fail(err, ADTOOL_EINVAL, "a false-discovery rate leaves no room for a threshold or an alpha");
	o.fdr = 0;
	o.row = collect;
	o.context = &b;
	code = adtool_score(model, dataset, &o, &r, err);
	if (b.err.code) {
		code = b.err.code;
		if (err)
			*err = b.err;
	}
	if (!code)
		code = decide(&b, &r, err);
	for (i = 0; !code && options->row && i < b.count; i++)
		if (options->row(options->context, &b.rows[i]))
			code = ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	if (report)
		*report = r;
	batch_release(&b);
	return code;
}
