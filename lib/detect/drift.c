/* Kolmogorov-Smirnov, a conformal test martingale, and a change point: is a stream of scores still the calibration's?
 */
#include <adtool/drift.h>

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"
#include "../base/rng.h"

/* Up to this n m the paths are counted: 4e6 steps take some milliseconds. */
#define EXACT_LIMIT 4000000u
/* The jumping rate is 1 / max(this, rows so far): constant, it would use up the capital of a long quiet stream. */
#define FIRST_JUMPS 100.0

void adtool_drift_options_init(adtool_drift_options *o)
{
	memset(o, 0, sizeof(*o));
	o->alpha = 0.01;
	o->tolerance = 0.05;
	o->threshold = NAN;
}

/* The whole stream, with its order taken away and kept. */
struct stream {
	const double *calibration, *scores; /* n ascending; m in order */
	size_t n, m;
	double *sorted; /* m */
	double *values; /* the distinct ones of both, ascending */
	size_t distinct;
	size_t *places; /* m: of each score in values */
	size_t *counts; /* per value: in both */
};

static void stream_release(struct stream *s)
{
	ad_free(s->sorted);
	ad_free(s->values);
	ad_free(s->places);
	ad_free(s->counts);
}

static size_t place_of(const struct stream *s, double value)
{
	size_t low = 0, high = s->distinct;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int stream_create(struct stream *s, adtool_error *err)
{
	size_t i, all = s->n + s->m;

	s->sorted = ad_malloc_array(s->m, sizeof(double));
	s->values = ad_malloc_array(all, sizeof(double));
	s->places = ad_malloc_array(s->m, sizeof(size_t));
	s->counts = ad_calloc(all, sizeof(size_t));
	if (!s->sorted || !s->values || !s->places || !s->counts)
		return ad_fail_nomem(err);
	memcpy(s->sorted, s->scores, s->m * sizeof(double));
	qsort(s->sorted, s->m, sizeof(double), ad_compare_doubles);
	memcpy(s->values, s->calibration, s->n * sizeof(double));
	memcpy(s->values + s->n, s->sorted, s->m * sizeof(double));
	qsort(s->values, all, sizeof(double), ad_compare_doubles);
	for (i = 0; i < all; i++) {
		if (!s->distinct || s->values[i] > s->values[s->distinct - 1])
			s->values[s->distinct++] = s->values[i];
		s->counts[s->distinct - 1]++;
	}
	for (i = 0; i < s->m; i++)
		s->places[i] = place_of(s, s->scores[i]);
	return 0;
}

/* -- Kolmogorov-Smirnov ------------------------------------------------------------------------------ */

/*
 * P(max |i m - j n| >= distance) over the random lattice paths from (0, 0) to (n, m): of two samples of one continuous
 * distribution. reached[j] is the share of the paths to (i, j) that have been so far out.
 */
static int exact_p(size_t n, size_t m, uint64_t distance, double *p, adtool_error *err)
{
	double *reached = ad_malloc_array(m + 1, sizeof(double));
	size_t i, j;

	if (!reached)
		return ad_fail_nomem(err);
	for (i = 0; i <= n; i++) {
		for (j = 0; j <= m; j++) {
			uint64_t a = (uint64_t)i * m, b = (uint64_t)j * n;

			if ((a > b ? a - b : b - a) >= distance)
				reached[j] = 1;
			else if (i + j == 0)
				reached[j] = 0;
			else
				reached[j] = ((i ? reached[j] * (double)i : 0) + (j ? reached[j - 1] * (double)j : 0)) /
					     (double)(i + j);
		}
	}
	*p = reached[m];
	ad_free(reached);
	return 0;
}

/* Kolmogorov's distribution: P(K > x). */
static double asymptotic_p(double x)
{
	double sum = 0, sign = 1;
	int k;

	if (x < 0.2)
		return 1; /* within 1e-12; the series needs ever more terms there */
	for (k = 1; k <= 100; k++, sign = -sign) {
		double term = exp(-2.0 * k * k * x * x);

		sum += sign * term;
		if (term < 1e-18)
			break;
	}
	return fmin(1, fmax(0, 2 * sum));
}

static int kolmogorov_smirnov(const struct stream *s, const adtool_drift_options *o, adtool_drift *out,
			      adtool_error *err)
{
	size_t i = 0, j = 0;
	uint64_t higher = 0, lower = 0, largest = 0;
	double product = (double)s->n * (double)s->m, effective = product / (double)(s->n + s->m), excess, bound;
	int code = 0;

	/* After each distinct value: i of the calibration and j of the scores are at or below it. */
	while (i < s->n || j < s->m) {
		double value =
		    i < s->n && (j == s->m || s->calibration[i] <= s->sorted[j]) ? s->calibration[i] : s->sorted[j];
		uint64_t a, b;

		while (i < s->n && s->calibration[i] <= value)
			i++;
		while (j < s->m && s->sorted[j] <= value)
			j++;
		a = (uint64_t)i * s->m;
		b = (uint64_t)j * s->n;
		if (a > b && a - b > higher)
			higher = a - b;
		if (b > a && b - a > lower)
			lower = b - a;
		if ((higher > lower ? higher : lower) > largest) {
			largest = higher > lower ? higher : lower;
			out->ks_at = (double)i / (double)s->n;
		}
	}
	out->ks_higher = (double)higher / product;
	out->ks_lower = (double)lower / product;
	out->ks = (double)largest / product;
	out->ks_exact = product <= EXACT_LIMIT;
	if (out->ks_exact)
		code = exact_p(s->n, s->m, largest, &out->ks_p, err);
	else
		out->ks_p = asymptotic_p(sqrt(effective) * out->ks);
	excess = fmax(0, out->ks - o->tolerance);
	bound = fmin(1, 2 * exp(-2 * effective * excess * excess));
	out->ks_excess_p = o->tolerance > 0 ? bound : out->ks_p;
	out->ks_alarm = out->ks_excess_p <= o->alpha / 2;
	return code;
}

/* -- the martingale ---------------------------------------------------------------------------------- */

/* Fenwick's tree of counts. */
static void tree_add(size_t *tree, size_t size, size_t place, size_t count)
{
	for (place++; place <= size; place += place & -place)
		tree[place - 1] += count;
}

/* How many stand at places below this one. */
static size_t tree_below(const size_t *tree, size_t place)
{
	size_t sum = 0;

	for (; place; place -= place & -place)
		sum += tree[place - 1];
	return sum;
}

static int martingale(const struct stream *s, const adtool_drift_options *o, double *values, double *p_values,
		      adtool_drift *out, adtool_error *err)
{
	enum { BETS = 5 };
	/* A share r moved to the favourable end takes the mean of p from 1/2 to (1 - r)^2 / 2. */
	double room = o->tolerance - o->tolerance * o->tolerance / 2, capital[BETS], log_total = 0;
	size_t *tree = ad_calloc(s->distinct, sizeof(size_t)), i, pool = s->n;
	ad_rng rng;
	int e;

	if (!tree)
		return ad_fail_nomem(err);
	for (i = 0; i < s->n; i++)
		tree_add(tree, s->distinct, place_of(s, s->calibration[i]), 1);
	for (e = 0; e < BETS; e++)
		capital[e] = 1.0 / BETS;
	ad_rng_seed(&rng, o->seed);
	out->martingale_peak = 0;
	out->noticed = ADTOOL_DRIFT_NEVER;
	for (i = 0; i < s->m; i++) {
		size_t place = s->places[i], below = tree_below(tree, place), equal;
		double p, total = 0, jump = 1 / fmax(FIRST_JUMPS, (double)(i + 1));

		tree_add(tree, s->distinct, place, 1);
		pool++;
		equal = tree_below(tree, place + 1) - below;
		p = ((double)(pool - below - equal) + ad_rng_double(&rng) * (double)equal) / (double)pool;
		for (e = 0; e < BETS; e++) {
			double bet = e - 2;

			capital[e] = (1 - jump) * capital[e] + jump / BETS;
			capital[e] *= (1 + bet * (p - 0.5)) / (1 + fabs(bet) * room);
			total += capital[e];
		}
		/* The bet of nothing keeps the total above 0. */
		for (e = 0; e < BETS; e++)
			capital[e] /= total;
		log_total += log10(total);
		out->martingale_peak = fmax(out->martingale_peak, log_total);
		if (out->noticed == ADTOOL_DRIFT_NEVER && log_total >= log10(2 / o->alpha))
			out->noticed = i;
		if (values)
			values[i] = log_total;
		if (p_values)
			p_values[i] = p;
	}
	out->martingale = log_total;
	out->martingale_alarm = out->noticed != ADTOOL_DRIFT_NEVER;
	ad_free(tree);
	return 0;
}

/* -- the change point -------------------------------------------------------------------------------- */

/* The most extreme standardised rank sum of the rows from a row on up to `end`, and that row, at most `last`. */
static int change_point(const struct stream *s, size_t end, int direction, size_t last, size_t *since, double *extreme,
			adtool_error *err)
{
	double *ranks = ad_calloc(s->distinct, sizeof(double)), all = (double)(s->n + end), sum = 0, below = 0;
	size_t i;

	if (!ranks)
		return ad_fail_nomem(err);
	for (i = end; i < s->m; i++)
		ranks[s->places[i]]--; /* those after `end` do not count */
	for (i = 0; i < s->distinct; i++) {
		double count = (double)s->counts[i] + ranks[i];

		ranks[i] = below + (count + 1) / 2;
		below += count;
	}
	*extreme = -INFINITY;
	*since = 0;
	for (i = end; i-- > 0;) {
		double count = (double)(end - i), z;

		sum += ranks[s->places[i]];
		z = direction * (sum - count * (all + 1) / 2) / sqrt(count * (all - count) * (all + 1) / 12);
		if (i <= last && z > *extreme) {
			*extreme = z;
			*since = i;
		}
	}
	ad_free(ranks);
	return 0;
}

/*
 * Which way: where the change point is clearer, among the rows that raised the alarm. Where it is: in that direction,
 * among all rows, but not after the alarm.
 */
static int locate(const struct stream *s, adtool_drift *out, adtool_error *err)
{
	size_t last = out->martingale_alarm ? out->noticed : s->m - 1, since;
	double up, down, z;
	int code = change_point(s, last + 1, 1, last, &since, &up, err);

	if (!code)
		code = change_point(s, last + 1, -1, last, &since, &down, err);
	if (!code)
		code = change_point(s, s->m, up >= down ? 1 : -1, last, &since, &z, err);
	if (code)
		return code;
	out->direction = up >= down ? 1 : -1;
	out->since = since;
	return 0;
}

/* -- summary ----------------------------------------------------------------------------------------- */

static double median(const double *sorted, size_t n)
{
	return !n ? NAN : n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* work: as many values as there are rows. */
static void summarise(const struct stream *s, size_t begin, size_t end, double threshold, double *work,
		      adtool_drift_part *part)
{
	size_t i, at_least = 0;

	part->rows = end - begin;
	part->anomalous = 0;
	memcpy(work, s->scores + begin, part->rows * sizeof(double));
	qsort(work, part->rows, sizeof(double), ad_compare_doubles);
	for (i = 0; i < part->rows; i++)
		part->anomalous += work[i] > threshold;
	part->median_score = median(work, part->rows);
	for (i = 0; i < s->n; i++)
		at_least += s->calibration[i] >= part->median_score;
	part->median_p = part->rows ? (1 + (double)at_least) / (1 + (double)s->n) : NAN;
}

static double log_beta(double a, double b)
{
	int sign;

	return lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
}

/*
 * The share of normal pictures above a threshold that l of n calibration scores reach is Beta(l, n + 1 - l) (the law of
 * order statistics), so the number among m pictures is beta-binomial. A threshold above all scores counts as the
 * highest.
 */
static void tail(const struct stream *s, double threshold, size_t count, adtool_drift *out)
{
	double l = 0, rest, p = 0, m = (double)s->m;
	size_t i;
	int sign;

	for (i = 0; i < s->n; i++)
		l += s->calibration[i] >= threshold;
	l = fmin((double)s->n, fmax(1, l));
	rest = (double)s->n + 1 - l;
	for (i = count; i <= s->m; i++) {
		double k = (double)i,
		       choose = lgamma_r(m + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(m - k + 1, &sign);

		p += exp(choose + log_beta(k + l, m - k + rest) - log_beta(l, rest));
	}
	out->anomalous_expected = m * l / ((double)s->n + 1);
	out->anomalous_p = count ? fmin(1, p) : 1;
}

static int check(const struct stream *s, const adtool_drift_options *o, adtool_error *err)
{
	size_t i;

	if (!(o->alpha > 0 && o->alpha < 1))
		return ad_fail(err, ADTOOL_EINVAL, "alpha %g; it lies between 0 and 1", o->alpha);
	if (!(o->tolerance >= 0 && o->tolerance < 1))
		return ad_fail(err, ADTOOL_EINVAL, "tolerance %g; it is 0 or more and less than 1", o->tolerance);
	if (s->n < 2)
		return ad_fail(err, ADTOOL_EINVAL, "%zu calibration scores; at least 2 are needed", s->n);
	if (!s->m)
		return ad_fail(err, ADTOOL_EINVAL, "no scores to look at");
	if (s->n > UINT32_MAX || s->m > UINT32_MAX)
		return ad_fail(err, ADTOOL_ELIMIT, "%zu and %zu scores; at most %u are compared", s->n, s->m,
			       UINT32_MAX);
	for (i = 0; i < s->n; i++) {
		if (!isfinite(s->calibration[i]) || (i && s->calibration[i] < s->calibration[i - 1]))
			return ad_fail(err, ADTOOL_EINVAL,
				       "calibration score %zu is not finite, or not in ascending order", i);
	}
	for (i = 0; i < s->m; i++) {
		if (!isfinite(s->scores[i]))
			return ad_fail(err, ADTOOL_EINVAL, "score %zu is not finite", i);
	}
	return 0;
}

int adtool_drift_test(const double *calibration, size_t n, const double *scores, size_t m,
		      const adtool_drift_options *o, double *martingale_values, double *p_values, adtool_drift *out,
		      adtool_error *err)
{
	struct stream s = {.calibration = calibration, .scores = scores, .n = n, .m = m};
	adtool_drift d = {.since = ADTOOL_DRIFT_NEVER, .anomalous_expected = NAN, .anomalous_p = NAN};
	double *work = NULL;
	size_t split;
	int code = check(&s, o, err);

	if (!code)
		code = stream_create(&s, err);
	if (!code)
		code = kolmogorov_smirnov(&s, o, &d, err);
	if (!code)
		code = martingale(&s, o, martingale_values, p_values, &d, err);
	d.drift = d.ks_alarm || d.martingale_alarm;
	if (!code && d.drift)
		code = locate(&s, &d, err);
	if (!code) {
		work = ad_malloc_array(m, sizeof(double));
		if (!work)
			code = ad_fail_nomem(err);
	}
	if (!code) {
		split = d.drift ? d.since : m;
		summarise(&s, 0, split, o->threshold, work, &d.before);
		summarise(&s, split, m, o->threshold, work, &d.after);
		d.calibration_median = median(calibration, n);
		if (!isnan(o->threshold))
			tail(&s, o->threshold, d.before.anomalous + d.after.anomalous, &d);
		*out = d;
	}
	ad_free(work);
	stream_release(&s);
	return code;
}
