#include "decision.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"

int ad_false_discovery(const double *p, size_t n, double q, double *cutoff, adtool_error *err)
{
	double *sorted = ad_malloc_array(n, sizeof(*sorted));
	size_t i;

	if (!sorted)
		return ad_fail_nomem(err);
	if (n)
		memcpy(sorted, p, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), ad_compare_doubles);
	for (i = n; i && !(sorted[i - 1] <= q * (double)i / (double)n); i--)
		;
	*cutoff = i ? sorted[i - 1] : -1;
	ad_free(sorted);
	return 0;
}

/* -- labelled scores --------------------------------------------------------------------------------- */

struct labelled {
	double score;
	int anomalous;
};

static int descending(const void *a, const void *b)
{
	double x = ((const struct labelled *)a)->score, y = ((const struct labelled *)b)->score;

	return (x < y) - (x > y);
}

static int sorted_labelled(const double *scores, const uint8_t *anomalous, size_t n, struct labelled **out,
			   size_t *anomalies, adtool_error *err)
{
	struct labelled *s;
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		if (!isfinite(scores[i]))
			return ad_fail(err, ADTOOL_EINVAL, "score %zu of %zu is not finite", i + 1, n);
		count += anomalous[i] != 0;
	}
	if (!count)
		return ad_fail(err, ADTOOL_EINVAL, "none of %zu scores is of an anomalous picture", n);
	s = ad_malloc_array(n, sizeof(*s));
	if (!s)
		return ad_fail_nomem(err);
	for (i = 0; i < n; i++)
		s[i] = (struct labelled){scores[i], anomalous[i] != 0};
	qsort(s, n, sizeof(*s), descending);
	*out = s;
	*anomalies = count;
	return 0;
}

/*
 * Where so many of the largest scores lie above: half-way to the next, which may round to it but not to the one above.
 */
static double limit_below(const struct labelled *s, size_t n, size_t above)
{
	double low, high;

	if (!above)
		return s[0].score;
	high = s[above - 1].score;
	if (above == n)
		return nextafter(high, -INFINITY);
	low = s[above].score;
	low += (high - low) / 2;
	return low < high ? low : nextafter(high, -INFINITY);
}

/* What calling `found` of `anomalies` and `alarms` normal pictures anomalous is worth; the most is sought. */
struct worth {
	int f1;
	double alarm, miss;
};

static double worth_of(const struct worth *w, size_t found, size_t alarms, size_t anomalies)
{
	if (w->f1)
		return 2 * (double)found / (double)(found + alarms + anomalies);
	return -(w->alarm * (double)alarms + w->miss * (double)(anomalies - found));
}

static int best_limit(const double *scores, const uint8_t *anomalous, size_t n, const struct worth *w, double *limit,
		      adtool_error *err)
{
	struct labelled *s = NULL;
	size_t i, anomalies, found = 0, above = 0;
	double best;
	int code = sorted_labelled(scores, anomalous, n, &s, &anomalies, err);

	if (code)
		return code;
	best = worth_of(w, 0, 0, anomalies);
	for (i = 0; i < n; i++) {
		double worth;

		found += (size_t)s[i].anomalous;
		if (i + 1 < n && !(s[i + 1].score < s[i].score))
			continue;
		worth = worth_of(w, found, i + 1 - found, anomalies);
		if (worth > best) {
			best = worth;
			above = i + 1;
		}
	}
	*limit = limit_below(s, n, above);
	ad_free(s);
	return 0;
}

int ad_cost_limit(const double *scores, const uint8_t *anomalous, size_t n, double alarm, double miss, double *limit,
		  adtool_error *err)
{
	struct worth w = {.alarm = alarm, .miss = miss};

	if (!(alarm > 0) || !(miss > 0) || !isfinite(alarm) || !isfinite(miss))
		return ad_fail(err, ADTOOL_EINVAL, "costs %g and %g: both must be above 0", alarm, miss);
	return best_limit(scores, anomalous, n, &w, limit, err);
}

int ad_f1_limit(const double *scores, const uint8_t *anomalous, size_t n, double *limit, adtool_error *err)
{
	struct worth w = {.f1 = 1};

	return best_limit(scores, anomalous, n, &w, limit, err);
}

int ad_tpr_limit(const double *scores, const uint8_t *anomalous, size_t n, double tpr, double *limit,
		 adtool_error *err)
{
	struct labelled *s = NULL;
	size_t i, anomalies, found = 0;
	double wanted;
	int code;

	if (!(tpr > 0 && tpr <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "true-positive rate %g: it must be above 0 and at most 1", tpr);
	code = sorted_labelled(scores, anomalous, n, &s, &anomalies, err);
	if (code)
		return code;
	wanted = fmax(1, ceil(tpr * (double)anomalies - 1e-9));
	for (i = 0; i < n; i++) {
		found += (size_t)s[i].anomalous;
		if ((double)found >= wanted)
			break;
	}
	*limit = nextafter(s[i].score, -INFINITY);
	ad_free(s);
	return 0;
}
