#include "decision.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"

static int sorted_copy(const double *values, size_t n, double **out, adtool_error *err)
{
	double *copy;
	size_t i;

	if (!n)
		return ad_fail(err, ADTOOL_EINVAL, "no calibration scores");
	for (i = 0; i < n; i++)
		if (!isfinite(values[i]))
			return ad_fail(err, ADTOOL_ENUMERIC, "calibration score %zu of %zu is not finite", i + 1, n);
	copy = ad_malloc_array(n, sizeof(*copy));
	if (!copy)
		return ad_fail_nomem(err);
	memcpy(copy, values, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), ad_compare_doubles);
	*out = copy;
	return 0;
}

/* How many of n calibration scores may lie at or above a score that alpha still calls anomalous, plus one. */
static double rank_at(double alpha, double n)
{
	return floor(alpha * (n + 1) + 1e-9);
}

static size_t pictures_needed(double alpha)
{
	const uint64_t most = (uint64_t)1 << 53;
	double n = ceil((1 - 1e-9) / alpha) - 1;

	/* Many JSON readers count no further. */
	if (!(n < (double)most))
		return most < SIZE_MAX ? (size_t)most : SIZE_MAX;
	/* Set the rounding right, where a double still counts pictures one by one. */
	if (n > 0x1p50)
		return (size_t)n;
	while (n > 1 && rank_at(alpha, n - 1) >= 1)
		n--;
	while (rank_at(alpha, n) < 1)
		n++;
	return n < 1 ? 1 : (size_t)n;
}

int ad_box_fit(const double *q, size_t n, double scale, double shift, ad_box *out, adtool_error *err)
{
	double mean = 0, variance = 0, *sorted = NULL;
	ad_box box = {.scale = scale, .shift = shift};
	size_t i;
	int code;

	if (!(scale > 0) || !isfinite(scale) || !isfinite(shift))
		return ad_fail(err, ADTOOL_EINVAL, "scores cannot have scale %g and shift %g", scale, shift);
	/* Summed in ascending order, so that the order given does not matter. */
	code = sorted_copy(q, n, &sorted, err);
	if (code)
		return code;
	for (i = 0; i < n; i++)
		mean += sorted[i] / (double)n;
	for (i = 0; i < n; i++)
		variance += (sorted[i] - mean) * (sorted[i] - mean);
	variance /= n > 1 ? (double)(n - 1) : 1;
	ad_free(sorted);
	if (n < 2)
		return ad_fail(err, ADTOOL_ENUMERIC, "%zu calibration picture cannot show how normal scores vary", n);
	if (!(variance > 1e-24 * mean * mean))
		return ad_fail(err, ADTOOL_ENUMERIC,
			       "all %zu calibration pictures give the same score, so no threshold can "
			       "be set",
			       n);
	if (!(mean > 0) || !isfinite(variance))
		return ad_fail(err, ADTOOL_ENUMERIC, "calibration scores of mean %g and variance %g allow no threshold",
			       mean, variance);
	box.g = variance / (2 * mean);
	box.h = 2 * (mean / variance) * mean;
	if (!(box.g > 0) || !(box.h > 0) || !isfinite(box.h))
		return ad_fail(err, ADTOOL_ENUMERIC, "calibration scores of mean %g and variance %g allow no threshold",
			       mean, variance);
	*out = box;
	return 0;
}

int ad_limit_at(const double *sorted, size_t n, const ad_box *box, double alpha, ad_limit *out, adtool_error *err)
{
	ad_limit limit = {.alpha = alpha, .box = *box};
	double l = rank_at(alpha, (double)n);

	if (!(alpha > 0 && alpha < 1))
		return ad_fail(err, ADTOOL_EINVAL, "alpha %g: it must be between 0 and 1", alpha);
	if (!n)
		return ad_fail(err, ADTOOL_EINVAL, "no calibration scores");
	if (!(sorted[0] < sorted[n - 1]))
		return ad_fail(err, ADTOOL_ENUMERIC,
			       "all %zu calibration pictures give the same score (%g), so no threshold "
			       "can be set",
			       n, sorted[0]);
	limit.needed = pictures_needed(alpha);
	if (l >= 1) {
		limit.rule = ADTOOL_RULE_CONFORMAL;
		limit.threshold = sorted[n - (l < (double)n ? (size_t)l : n)];
	} else {
		limit.rule = ADTOOL_RULE_EXTRAPOLATED;
		limit.threshold = fmax(box->g * ad_chi2_isf(alpha, box->h) * box->scale + box->shift, sorted[n - 1]);
	}
	if (!isfinite(limit.threshold))
		return ad_fail(err, ADTOOL_ENUMERIC, "the calibration scores allow no threshold for alpha %g", alpha);
	*out = limit;
	return 0;
}

/* The first of n ascending values that is at least x. */
static size_t lower_bound(const double *sorted, size_t n, double x)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sorted[middle] < x)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether the threshold of a rule is the one of a false-alarm rate. */
static int rule_has_alpha(enum adtool_rule rule)
{
	return rule == ADTOOL_RULE_CONFORMAL || rule == ADTOOL_RULE_EXTRAPOLATED || rule == ADTOOL_RULE_TAIL;
}

double ad_p_value(const double *sorted, size_t n, const ad_limit *limit, double score)
{
	double p;

	if (isnan(score))
		return NAN;
	if (limit->rule == ADTOOL_RULE_EXTRAPOLATED) {
		p = ad_chi2_sf((score - limit->box.shift) / limit->box.scale / limit->box.g, limit->box.h);
		if (n && score <= sorted[n - 1])
			p = fmax(p, 2 / (double)(n + 1));
	} else if (limit->rule == ADTOOL_RULE_TAIL && score > limit->tail.start)
		p = ad_tail_sf(&limit->tail, score);
	else
		p = (double)(1 + n - lower_bound(sorted, n, score)) / (double)(n + 1);
	/* Rounding must not set p and verdict at odds on either side of the threshold. */
	if (rule_has_alpha(limit->rule)) {
		if (score > limit->threshold && p > limit->alpha)
			p = limit->alpha;
		else if (!(score > limit->threshold) && p <= limit->alpha)
			p = nextafter(limit->alpha, 1);
	}
	return p;
}

int ad_quantile(const double *values, size_t n, double q, double *out, adtool_error *err)
{
	double *sorted = NULL, rank;
	int code;

	if (!(q >= 0 && q <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "quantile %g: it must be from 0 to 1", q);
	code = sorted_copy(values, n, &sorted, err);
	if (code)
		return code;
	rank = ceil(q * (double)n - 1e-9);
	*out = sorted[rank < 1 ? 0 : rank > (double)n ? n - 1 : (size_t)rank - 1];
	ad_free(sorted);
	return 0;
}
