/*
 * Metrics of pixels from histograms. The mean over the regions of the share that is found at a threshold is a sum over
 * all their pixels of 1 / (regions * pixels of the region), so that it needs no more than a histogram of those weights.
 */
#include <adtool/metrics.h>

#include <math.h>
#include <string.h>

#include "../base/fail.h"
#include "../base/mem.h"

/* Sign, 8 bits of exponent and 9 of mantissa. */
enum { BINS = 1 << 18, SHIFT = 32 - 18 };

struct adtool_pixel_roc {
	uint64_t normals[BINS], anomalies[BINS];
	double weights[BINS]; /* of the pixels of regions: 1 / the pixels of the region */
	uint64_t regions;
	uint64_t not_numbers;
};

int adtool_pixel_roc_create(adtool_pixel_roc **out, adtool_error *err)
{
	adtool_pixel_roc *roc = ad_calloc(1, sizeof(*roc));

	if (!roc)
		return ad_fail_nomem(err);
	*out = roc;
	return 0;
}

/* Ascending with the score; BINS for what is not a number. */
static uint32_t bin_of(float score)
{
	float value = score + 0.0f; /* -0 becomes 0 */
	uint32_t bits;

	if (isnan(value))
		return BINS;
	memcpy(&bits, &value, sizeof(bits));
	bits = bits >> 31 ? ~bits : bits | (uint32_t)1 << 31;
	return bits >> SHIFT;
}

/* The least score of a bin. */
static double edge_of(uint32_t bin)
{
	uint32_t bits = bin << SHIFT;
	float value;

	bits = bits >> 31 ? bits & 0x7fffffffu : ~bits;
	memcpy(&value, &bits, sizeof(value));
	return (double)value;
}

void adtool_pixel_roc_add(adtool_pixel_roc *roc, const float *scores, const uint8_t *anomalous, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		uint32_t bin = bin_of(scores[i]);

		if (bin == BINS)
			roc->not_numbers++;
		else
			(anomalous && anomalous[i] ? roc->anomalies : roc->normals)[bin]++;
	}
}

/* -- regions ----------------------------------------------------------------------------------------- */

/* Anomalous pixels side by side in a row of the picture: [begin, end) of all its pixels. */
struct run {
	size_t begin, end;
	size_t parent; /* a run of the same region, at or before this one; itself: the first one of its region */
};

struct runs {
	struct run *items;
	size_t count, capacity;
};

static int add_run(struct runs *r, size_t begin, size_t end, adtool_error *err)
{
	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? 2 * r->capacity : 64;
		struct run *more = ad_realloc_array(r->items, capacity, sizeof(*more));

		if (!more)
			return ad_fail_nomem(err);
		r->items = more;
		r->capacity = capacity;
	}
	r->items[r->count] = (struct run){begin, end, r->count};
	r->count++;
	return 0;
}

static size_t root_of(struct run *items, size_t i)
{
	while (items[i].parent != i) {
		items[i].parent = items[items[i].parent].parent;
		i = items[i].parent;
	}
	return i;
}

static void join(struct run *items, size_t a, size_t b)
{
	a = root_of(items, a);
	b = root_of(items, b);
	if (a < b)
		items[b].parent = a;
	else
		items[a].parent = b;
}

/* Runs of a row [first, last) and of the row above it [above, first) that touch, corners included, belong together. */
static void join_rows(struct run *items, size_t above, size_t first, size_t last, size_t width)
{
	size_t i = above, j = first;

	while (i < first && j < last) {
		size_t begin = items[i].begin + width, end = items[i].end + width;

		if (begin <= items[j].end && items[j].begin <= end)
			join(items, i, j);
		if (end < items[j].end)
			i++;
		else
			j++;
	}
}

static int find_runs(const uint8_t *anomalous, size_t width, size_t height, struct runs *r, adtool_error *err)
{
	size_t above = 0, x, y;

	for (y = 0; y < height; y++) {
		const uint8_t *row = anomalous + y * width;
		size_t first = r->count;

		for (x = 0; x < width; x++) {
			size_t begin = x;
			int code;

			if (!row[x])
				continue;
			while (x < width && row[x])
				x++;
			code = add_run(r, y * width + begin, y * width + x, err);
			if (code)
				return code;
		}
		join_rows(r->items, above, first, r->count, width);
		above = first;
	}
	return 0;
}

int adtool_pixel_roc_add_picture(adtool_pixel_roc *roc, const float *scores, const uint8_t *anomalous, unsigned width,
				 unsigned height, adtool_error *err)
{
	struct runs r = {0};
	size_t *pixels = NULL, i, j;
	int code = 0;

	if (anomalous)
		code = find_runs(anomalous, width, height, &r, err);
	if (!code && r.count && !(pixels = ad_calloc(r.count, sizeof(*pixels))))
		code = ad_fail_nomem(err);
	if (code)
		goto out;
	adtool_pixel_roc_add(roc, scores, anomalous, (size_t)width * height);
	for (i = 0; i < r.count; i++)
		pixels[root_of(r.items, i)] += r.items[i].end - r.items[i].begin;
	for (i = 0; i < r.count; i++) {
		double weight = 1 / (double)pixels[root_of(r.items, i)];

		roc->regions += r.items[i].parent == i;
		for (j = r.items[i].begin; j < r.items[i].end; j++) {
			uint32_t bin = bin_of(scores[j]);

			if (bin < BINS)
				roc->weights[bin] += weight;
		}
	}
out:
	ad_free(pixels);
	ad_free(r.items);
	return code;
}

/* -- figures ----------------------------------------------------------------------------------------- */

static int totals(const adtool_pixel_roc *roc, uint64_t *normals, uint64_t *anomalies, adtool_error *err)
{
	size_t i;

	*normals = *anomalies = 0;
	if (roc->not_numbers)
		return ad_fail(err, ADTOOL_EINVAL, "%llu pixel scores are not numbers",
			       (unsigned long long)roc->not_numbers);
	for (i = 0; i < BINS; i++) {
		*normals += roc->normals[i];
		*anomalies += roc->anomalies[i];
	}
	if (!*normals || !*anomalies)
		return ad_fail(err, ADTOOL_EINVAL,
			       "%llu normal and %llu anomalous pixels: at least one of each is needed",
			       (unsigned long long)*normals, (unsigned long long)*anomalies);
	return 0;
}

int adtool_pixel_roc_auroc(const adtool_pixel_roc *roc, double *auroc, double *error_bound, adtool_error *err)
{
	uint64_t normals, anomalies;
	double below = 0, won = 0, tied = 0;
	size_t i;
	int code = totals(roc, &normals, &anomalies, err);

	if (code)
		return code;
	/* Pairs in which the anomalous pixel has the larger score, bin by bin from below. */
	for (i = 0; i < BINS; i++) {
		double a = (double)roc->anomalies[i], b = (double)roc->normals[i];

		won += a * below;
		tied += a * b;
		below += b;
	}
	*auroc = (won + tied / 2) / (double)normals / (double)anomalies;
	if (error_bound)
		*error_bound = tied / 2 / (double)normals / (double)anomalies;
	return 0;
}

/*
 * Between two edges the curve rises from (x0, y0) to (x1, y1) in a way that is not known: at most half the rectangle
 * between them from the straight line. Of a rectangle that the limit cuts, at most what lies before the limit.
 */
static void overlap_area(const adtool_pixel_roc *roc, double normals, double limit, adtool_pixel_metrics *m)
{
	double x0 = 0, y0 = 0, area = 0, error = 0;
	uint64_t false_positives = 0;
	size_t i;

	for (i = BINS; i-- > 0 && x0 < limit;) {
		double x1, y1 = y0 + roc->weights[i] / (double)roc->regions;

		false_positives += roc->normals[i];
		x1 = (double)false_positives / normals;
		if (x1 > limit) {
			double share = (limit - x0) / (x1 - x0);

			area += (limit - x0) * (y0 + share * (y1 - y0) / 2);
			error += (limit - x0) * (y1 - y0);
		} else {
			area += (x1 - x0) * (y0 + y1) / 2;
			error += (x1 - x0) * (y1 - y0) / 2;
		}
		x0 = x1;
		y0 = y1;
	}
	m->aupro = area / limit;
	m->aupro_error = error / limit;
}

/* Within a bin, all of its anomalous pixels and none of its normal ones is the best that can be. */
static void best_f1(const adtool_pixel_roc *roc, double anomalies, adtool_pixel_metrics *m)
{
	double tp = 0, fp = 0, most = 0;
	size_t i;

	for (i = BINS; i-- > 0;) {
		double hope, f1;

		if (!roc->anomalies[i] && !roc->normals[i])
			continue;
		tp += (double)roc->anomalies[i];
		hope = 2 * tp / (tp + fp + anomalies);
		fp += (double)roc->normals[i];
		f1 = 2 * tp / (tp + fp + anomalies);
		if (hope > most)
			most = hope;
		if (f1 > m->best_f1) {
			m->best_f1 = f1;
			m->best_f1_threshold = edge_of((uint32_t)i);
		}
	}
	m->best_f1_error = most - m->best_f1;
}

int adtool_pixel_roc_compute(const adtool_pixel_roc *roc, double fpr_limit, adtool_pixel_metrics *out,
			     adtool_error *err)
{
	adtool_pixel_metrics m = {0};
	int code;

	if (!(fpr_limit > 0 && fpr_limit <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "false-positive rate %g: it must be above 0 and at most 1",
			       fpr_limit);
	code = totals(roc, &m.normals, &m.anomalies, err);
	if (!code)
		code = adtool_pixel_roc_auroc(roc, &m.auroc, &m.auroc_error, err);
	if (code)
		return code;
	m.regions = roc->regions;
	m.aupro = m.aupro_error = NAN;
	if (roc->regions)
		overlap_area(roc, (double)m.normals, fpr_limit, &m);
	best_f1(roc, (double)m.anomalies, &m);
	*out = m;
	return 0;
}

void adtool_pixel_roc_free(adtool_pixel_roc *roc)
{
	ad_free(roc);
}
