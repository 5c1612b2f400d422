#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adtool/drift.h>

#include "../../lib/base/rng.h"

enum { MOST = 4096 };

static void assert_near(double a, double b, double relative)
{
	if (!(fabs(a - b) <= relative * fabs(b)))
		fail_msg("%.17g is not %.17g within %g relative", a, b, relative);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void normals(ad_rng *rng, double *out, size_t n, double shift)
{
	for (size_t i = 0; i < n; i++)
		out[i] = ad_rng_normal(rng) + shift;
}

static adtool_drift test_of(const double *calibration, size_t n, const double *scores, size_t m, double tolerance)
{
	adtool_drift_options o;
	adtool_drift d;
	adtool_error err;

	adtool_drift_options_init(&o);
	o.tolerance = tolerance;
	if (adtool_drift_test(calibration, n, scores, m, &o, NULL, NULL, &d, &err))
		fail_msg("%s", err.message);
	return d;
}

/* n = m: P(D >= k / n) = 2 sum_j (-1)^(j+1) C(2n, n - jk) / C(2n, n) (Gnedenko and Korolyuk, 1951). */
static double equal_sizes(int n, int k)
{
	double sum = 0;

	for (int j = 1; j * k <= n; j++)
		sum += (j % 2 ? 1 : -1) * exp(2 * lgamma(n + 1) - lgamma(n - j * k + 1) - lgamma(n + j * k + 1));
	return 2 * sum;
}

static void test_exact_equal_sizes(void **unused)
{
	double a[40], b[40];

	(void)unused;
	for (int n = 2; n <= 40; n += 19)
		for (int k = 1; k <= n; k++) {
			/* b is a moved up by k places: the distance is k / n. */
			for (int i = 0; i < n; i++) {
				a[i] = i;
				b[i] = i + k - 0.5;
			}
			adtool_drift d = test_of(a, (size_t)n, b, (size_t)n, 0);

			assert_near(d.ks, (double)k / n, 1e-12);
			assert_true(d.ks_exact);
			assert_near(d.ks_p, equal_sizes(n, k), 1e-9);
		}
}

/* All C(n + m, n) arrangements of two small samples, each equally likely: p is the share at least as far out. */
static void test_exact_by_enumeration(void **unused)
{
	enum { N = 5, M = 7 };
	double distances[1 << (N + M)], ps[1 << (N + M)];
	size_t count = 0;

	(void)unused;
	for (unsigned set = 0; set < 1u << (N + M); set++) {
		double a[N + M], b[N + M];
		size_t n = 0, m = 0;

		for (unsigned i = 0; i < N + M; i++) {
			if (set >> i & 1)
				a[n++] = i;
			else
				b[m++] = i;
		}
		if (n != N)
			continue;
		adtool_drift d = test_of(a, n, b, m, 0);
		distances[count] = d.ks;
		ps[count++] = d.ks_p;
	}
	assert_int_equal(count, 792);
	for (size_t i = 0; i < count; i++) {
		size_t as_far = 0;

		for (size_t j = 0; j < count; j++)
			as_far += distances[j] >= distances[i] - 1e-12;
		assert_near(ps[i], (double)as_far / (double)count, 1e-12);
	}
}

/* Large samples: Kolmogorov's distribution, by its other series. */
static void test_asymptotic(void **unused)
{
	static const struct {
		double shift, d;
	} cases[] = {{60, 0.02}, {120, 0.04}, {180, 0.06}};
	static double a[3000], b[2000];

	(void)unused;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		double x, sum = 0;

		for (int i = 0; i < 3000; i++)
			a[i] = i;
		for (int i = 0; i < 2000; i++)
			b[i] = 1.5 * i + cases[c].shift;
		adtool_drift d = test_of(a, 3000, b, 2000, 0);
		assert_false(d.ks_exact);
		assert_true(fabs(d.ks - cases[c].d) < 1e-3);
		x = d.ks * sqrt(3000.0 * 2000 / 5000);
		/* P(K <= x), by the series of theta functions. */
		for (int k = 1; k < 50; k++)
			sum += exp(-(2 * k - 1) * (2 * k - 1) * M_PI * M_PI / (8 * x * x));
		assert_true(fabs(d.ks_p - (1 - sqrt(2 * M_PI) / x * sum)) < 1e-12);
	}
}

/* Distance against the definition, with ties. */
static void test_distance_with_ties(void **unused)
{
	ad_rng rng;
	double a[60], b[45];

	(void)unused;
	ad_rng_seed(&rng, 3);
	for (int round = 0; round < 50; round++) {
		double higher = 0, lower = 0;

		for (int i = 0; i < 60; i++)
			a[i] = (double)ad_rng_below(&rng, 9);
		for (int i = 0; i < 45; i++)
			b[i] = (double)ad_rng_below(&rng, 9 + (uint64_t)round % 4);
		qsort(a, 60, sizeof(*a), compare);
		for (double x = -1; x < 14; x++) {
			double fa = 0, fb = 0;

			for (int i = 0; i < 60; i++)
				fa += (a[i] <= x) / 60.0;
			for (int i = 0; i < 45; i++)
				fb += (b[i] <= x) / 45.0;
			higher = fmax(higher, fa - fb);
			lower = fmax(lower, fb - fa);
		}
		adtool_drift d = test_of(a, 60, b, 45, 0);
		assert_true(fabs(d.ks_higher - higher) < 1e-12);
		assert_true(fabs(d.ks_lower - lower) < 1e-12);
		assert_true(d.ks == fmax(d.ks_higher, d.ks_lower));
	}
}

/* The martingale as its definition says, with naive ranks and no normalising. */
static void test_martingale(void **unused)
{
	enum { N = 30, M = 150 };
	double a[N], b[M], got[M], ps[M], capital[5], all[N + M];
	adtool_drift_options o;
	adtool_drift d;
	ad_rng rng, draws;

	(void)unused;
	ad_rng_seed(&rng, 11);
	normals(&rng, a, N, 0);
	normals(&rng, b, M, 0.3);
	for (int i = 0; i < M; i++)
		b[i] = round(4 * b[i]) / 4;
	for (int i = 0; i < N; i++)
		a[i] = round(4 * a[i]) / 4;
	qsort(a, N, sizeof(*a), compare);
	adtool_drift_options_init(&o);
	o.tolerance = 0.05;
	o.seed = 7;
	assert_int_equal(adtool_drift_test(a, N, b, M, &o, got, ps, &d, NULL), 0);
	ad_rng_seed(&draws, 7);
	memcpy(all, a, sizeof(a));
	for (int e = 0; e < 5; e++)
		capital[e] = 0.2;
	for (int i = 0; i < M; i++) {
		double above = 0, equal = 0, p, total = 0, sum = 0, jump = i < 100 ? 0.01 : 1.0 / (i + 1);

		all[N + i] = b[i];
		for (int j = 0; j <= N + i; j++) {
			above += all[j] > b[i];
			equal += all[j] == b[i];
		}
		p = (above + ad_rng_double(&draws) * equal) / (N + i + 1);
		assert_near(ps[i], p, 1e-12);
		for (int e = 0; e < 5; e++)
			sum += capital[e];
		for (int e = 0; e < 5; e++) {
			double bet = e - 2;

			capital[e] = (1 - jump) * capital[e] + jump * sum / 5;
			capital[e] *= 1 + bet * (p - 0.5);
			capital[e] /= 1 + fabs(bet) * (0.05 - 0.05 * 0.05 / 2);
			total += capital[e];
		}
		assert_true(fabs(got[i] - log10(total)) < 1e-9);
	}
	assert_true(d.martingale == got[M - 1]);
}

/*
 * Without drift: over many streams, some longer than the calibration by far, no more than alpha raise an alarm, by
 * either test, and p-values are uniform. alpha = 0.1, so that a failure would show: 600 streams, 3 sigma.
 */
static void false_alarms(size_t n, size_t m, double tolerance, double defects, double most)
{
	enum { STREAMS = 600 };
	static double a[MOST], b[MOST];
	size_t alarms = 0, low = 0;
	adtool_drift_options o;
	adtool_drift d;
	ad_rng rng;

	adtool_drift_options_init(&o);
	o.alpha = 0.1;
	o.tolerance = tolerance;
	ad_rng_seed(&rng, n * 1000 + m);
	for (int i = 0; i < STREAMS; i++) {
		normals(&rng, a, n, 0);
		normals(&rng, b, m, 0);
		for (size_t j = 0; j < m; j++)
			if (ad_rng_double(&rng) < defects)
				b[j] += 8;
		qsort(a, n, sizeof(*a), compare);
		assert_int_equal(adtool_drift_test(a, n, b, m, &o, NULL, NULL, &d, NULL), 0);
		assert_int_equal(d.drift, d.ks_alarm || d.martingale_alarm);
		alarms += (size_t)d.drift;
		low += d.ks_p <= 0.1;
	}
	print_message("# n %zu, m %zu, tolerance %g, defects %g: %.2f %% false alarms at alpha 10 %%\n", n, m,
		      tolerance, defects, 100.0 * (double)alarms / STREAMS);
	if ((double)alarms > most * STREAMS)
		fail_msg("%zu of %d alarms", alarms, STREAMS);
	if (!(defects > 0) && (double)low > (0.1 + 3 * sqrt(0.1 * 0.9 / STREAMS)) * STREAMS)
		fail_msg("%zu of %d p-values at 0.1 or below", low, STREAMS);
}

static void test_false_alarms(void **unused)
{
	const double limit = 0.1 + 3 * sqrt(0.1 * 0.9 / 600);

	(void)unused;
	false_alarms(40, 100, 0, 0, limit);
	false_alarms(40, 1000, 0, 0, limit);
	false_alarms(250, 60, 0, 0, limit);
	false_alarms(250, 1000, 0, 0, limit);
	false_alarms(40, 300, 0.1, 0, limit);
	/* Real defects, up to the tolerance, are no drift. */
	false_alarms(40, 500, 0.1, 0.1, limit);
	false_alarms(250, 500, 0.1, 0.1, limit);
}

/* A change of one standard deviation is found in nearly every stream, soon, its beginning about right, its way right.
 */
static void detects(size_t n, size_t quiet, size_t m, double shift, double least)
{
	enum { STREAMS = 100 };
	static double a[MOST], b[MOST];
	size_t found = 0, near = 0;
	ad_rng rng;

	ad_rng_seed(&rng, 5);
	for (int i = 0; i < STREAMS; i++) {
		adtool_drift d;

		normals(&rng, a, n, 0);
		normals(&rng, b, quiet, 0);
		normals(&rng, b + quiet, m - quiet, shift);
		qsort(a, n, sizeof(*a), compare);
		d = test_of(a, n, b, m, 0.1);
		if (!d.drift) {
			assert_true(d.since == ADTOOL_DRIFT_NEVER && d.direction == 0 && d.before.rows == m);
			continue;
		}
		found++;
		assert_int_equal(d.direction, shift > 0 ? 1 : -1);
		assert_int_equal(d.before.rows, d.since);
		assert_int_equal(d.after.rows, m - d.since);
		near += d.since + 15 >= quiet && d.since <= quiet + 15;
	}
	print_message("# n %zu, change of %g at %zu of %zu: %zu of %d found, %zu within 15 rows\n", n, shift, quiet, m,
		      found, STREAMS, near);
	assert_true((double)found >= least * STREAMS);
	assert_true((double)near >= 0.7 * (double)found);
}

static void test_detects(void **unused)
{
	(void)unused;
	detects(100, 0, 100, 1.5, 0.95);
	detects(100, 100, 200, 1.5, 0.95);
	detects(100, 100, 200, -1.5, 0.95);
	detects(40, 1000, 1200, 1.5, 0.95);
	detects(40, 2000, 2060, 2, 0.95);
	detects(250, 50, 200, 1, 0.9);
}

/* What raised the alarm began before it, also when a clearer change, back again, comes later. */
static void test_begins_before_the_alarm(void **unused)
{
	static double a[100], b[85];
	ad_rng rng;

	(void)unused;
	ad_rng_seed(&rng, 7);
	for (int i = 0; i < 50; i++) {
		adtool_drift d;

		normals(&rng, a, 100, 0);
		normals(&rng, b, 25, 4);
		normals(&rng, b + 25, 60, -0.5);
		qsort(a, 100, sizeof(*a), compare);
		d = test_of(a, 100, b, 85, 0.1);
		assert_true(d.martingale_alarm);
		assert_true(d.noticed < 25);
		assert_true(d.since <= d.noticed);
		assert_int_equal(d.direction, 1);
	}
}

static void test_tail(void **unused)
{
	double a[99], b[10];
	adtool_drift_options o;
	adtool_drift d;

	(void)unused;
	for (int i = 0; i < 99; i++)
		a[i] = i;
	for (int i = 0; i < 10; i++)
		b[i] = 9 * i;
	b[9] = 200;
	adtool_drift_options_init(&o);
	/* Five scores reach it, so the share is Beta(5, 95). No picture above: prod (95 + i) / (100 + i). */
	o.threshold = 94;
	assert_int_equal(adtool_drift_test(a, 99, b, 10, &o, NULL, NULL, &d, NULL), 0);
	double none = 1;

	for (int i = 0; i < 10; i++)
		none *= (95.0 + i) / (100.0 + i);
	assert_near(d.anomalous_expected, 0.5, 1e-12);
	assert_near(d.anomalous_p, 1 - none, 1e-10);
	assert_int_equal(d.before.anomalous, 1);
	b[9] = 81;
	assert_int_equal(adtool_drift_test(a, 99, b, 10, &o, NULL, NULL, &d, NULL), 0);
	assert_near(d.anomalous_p, 1, 1e-12);
	/* Above all: as if it were the highest; all ten above it: prod (1 + i) / (100 + i). */
	for (int i = 0; i < 10; i++)
		b[i] = 300;
	o.threshold = 250;
	assert_int_equal(adtool_drift_test(a, 99, b, 10, &o, NULL, NULL, &d, NULL), 0);
	double every = 1;

	for (int i = 0; i < 10; i++)
		every *= (1.0 + i) / (100.0 + i);
	assert_near(d.anomalous_p, every, 1e-10);
}

static void test_small_and_damaged(void **unused)
{
	double a[2] = {1, 2}, b[1] = {3}, same[50];
	adtool_drift_options o;
	adtool_drift d = {.drift = 77};

	(void)unused;
	adtool_drift_options_init(&o);
	assert_int_equal(adtool_drift_test(a, 1, b, 1, &o, NULL, NULL, &d, NULL), ADTOOL_EINVAL);
	assert_int_equal(adtool_drift_test(a, 2, b, 0, &o, NULL, NULL, &d, NULL), ADTOOL_EINVAL);
	b[0] = NAN;
	assert_int_equal(adtool_drift_test(a, 2, b, 1, &o, NULL, NULL, &d, NULL), ADTOOL_EINVAL);
	b[0] = 3;
	a[0] = 5;
	assert_int_equal(adtool_drift_test(a, 2, b, 1, &o, NULL, NULL, &d, NULL), ADTOOL_EINVAL);
	a[0] = 1;
	o.alpha = 1;
	assert_int_equal(adtool_drift_test(a, 2, b, 1, &o, NULL, NULL, &d, NULL), ADTOOL_EINVAL);
	o.alpha = 0.01;
	o.tolerance = 1;
	assert_int_equal(adtool_drift_test(a, 2, b, 1, &o, NULL, NULL, &d, NULL), ADTOOL_EINVAL);
	assert_int_equal(d.drift, 77); /* untouched */
	d = test_of(a, 2, b, 1, 0.1);
	assert_false(d.drift);
	assert_near(d.ks_p, 2.0 / 3, 1e-12); /* 3 places, the two outer ones as far out */
	/* All scores the same everywhere: no distance, and nothing to bet on but luck. */
	for (int i = 0; i < 50; i++)
		same[i] = 4;
	d = test_of(same, 50, same, 50, 0);
	assert_true(d.ks == 0 && d.ks_p == 1 && !d.ks_alarm);
}

static void test_repeats(void **unused)
{
	double a[50], b[80], first[80], second[80];
	adtool_drift_options o;
	adtool_drift d;
	ad_rng rng;

	(void)unused;
	ad_rng_seed(&rng, 1);
	normals(&rng, a, 50, 0);
	normals(&rng, b, 80, 0);
	qsort(a, 50, sizeof(*a), compare);
	adtool_drift_options_init(&o);
	assert_int_equal(adtool_drift_test(a, 50, b, 80, &o, first, NULL, &d, NULL), 0);
	assert_int_equal(adtool_drift_test(a, 50, b, 80, &o, second, NULL, &d, NULL), 0);
	assert_memory_equal(first, second, sizeof(first));
	/* What is yet to come does not change what was. */
	assert_int_equal(adtool_drift_test(a, 50, b, 30, &o, second, NULL, &d, NULL), 0);
	assert_memory_equal(first, second, 30 * sizeof(double));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exact_equal_sizes), cmocka_unit_test(test_exact_by_enumeration),
	    cmocka_unit_test(test_asymptotic),        cmocka_unit_test(test_distance_with_ties),
	    cmocka_unit_test(test_martingale),        cmocka_unit_test(test_false_alarms),
	    cmocka_unit_test(test_detects),
	    cmocka_unit_test(test_begins_before_the_alarm),           cmocka_unit_test(test_tail),
	    cmocka_unit_test(test_small_and_damaged), cmocka_unit_test(test_repeats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
