#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/base/rng.h"
#include "../../lib/detect/detect.h"

static void assert_near(double a, double b, double relative)
{
	if (!(fabs(a - b) <= relative * fabs(b)))
		fail_msg("%.17g is not %.17g within %g relative", a, b, relative);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* -- chi-square -------------------------------------------------------------------------------------- */

static void test_chi2_closed_forms(void **unused)
{
	double x;
	int m, j;

	(void)unused;
	for (x = 1e-6; x < 600; x *= 1.37) {
		double root = sqrt(x / 2), density = sqrt(2 * x / acos(-1)) * exp(-x / 2);

		assert_near(ad_chi2_sf(x, 1), erfc(root), 1e-12);
		assert_near(ad_chi2_sf(x, 3), erfc(root) + density, 1e-12);
		assert_near(ad_chi2_sf(x, 5), erfc(root) + density * (1 + x / 3), 1e-12);
		/* An even number of degrees is a Poisson sum. */
		for (m = 1; m < 200; m = m * 2 + 1) {
			double sum = 0;

			for (j = 0; j < m; j++)
				sum += exp(j * log(x / 2) - x / 2 - lgamma(j + 1.0));
			if (sum > 1e-300)
				assert_near(ad_chi2_sf(x, 2.0 * m), sum, 1e-11);
		}
	}
}

/* Computed with 60 decimal digits: the series of the lower incomplete gamma function, Stirling's of ln Gamma. */
static const struct {
	double h, x, p;
} digits[] = {
    {0.25, 0.01, 0.4527346325541004},       {0.25, 3, 0.0146015328071969},
    {0.7, 5.5, 0.010950639210252352},       {1.5, 0.3, 0.75382847732647917},
    {3.7, 12.25, 0.012263079179921359},     {7.3, 2.5, 0.93958365721432946},
    {12.5, 40, 0.00010023312963460469},     {31.4, 31.4, 0.46642851175536859},
    {150.5, 222, 0.00013502891958394679},   {1000.25, 900, 0.98944279311071959},
    {20000.5, 20300, 0.067666214405413316}, {3e6, 3005000, 0.020656213408928942},
    {3e8, 300040000, 0.051239987201180656}, {3e8, 299980000, 0.79288931770170934},
};

static void test_chi2_digits(void **unused)
{
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(digits) / sizeof(digits[0]); i++)
		assert_near(ad_chi2_sf(digits[i].x, digits[i].h), digits[i].p, 2e-11);
	/* Tables: chi2 at 1 % with 10 degrees, 5 % with 1, 0.1 % with 100. */
	assert_near(ad_chi2_isf(0.01, 10), 23.209251158954356, 1e-13);
	assert_near(ad_chi2_isf(0.05, 1), 3.841458820694124, 1e-13);
	assert_near(ad_chi2_isf(0.001, 100), 149.44925277903886, 1e-13);
}

/* Q(a + 1, z) = Q(a, z) + z^a e^-z / Gamma(a + 1) for any a. */
static void test_chi2_recurrence(void **unused)
{
	ad_rng rng;
	int i;

	(void)unused;
	ad_rng_seed(&rng, 5);
	for (i = 0; i < 2000; i++) {
		double a = exp(10 * ad_rng_double(&rng) - 5), z = a * exp(ad_rng_normal(&rng) / (1 + sqrt(a)));
		double step = exp(a * log(z) - z - lgamma(a + 1)), q = ad_chi2_sf(2 * z, 2 * a);

		assert_true(fabs(ad_chi2_sf(2 * z, 2 * a + 2) - q - step) <= 1e-12 * (q + step));
	}
}

static void test_chi2_inverse(void **unused)
{
	ad_rng rng;
	int i;

	(void)unused;
	ad_rng_seed(&rng, 6);
	for (i = 0; i < 1000; i++) {
		double h = exp(16 * ad_rng_double(&rng) - 4), p = exp(-30 * ad_rng_double(&rng)), x = ad_chi2_isf(p, h);

		assert_true(x > 0 && isfinite(x));
		assert_near(ad_chi2_sf(x, h), p, 1e-7);
		/* p lies between its neighbours' values. */
		assert_true(ad_chi2_sf(x * (1 + 1e-9), h) <= p && ad_chi2_sf(x * (1 - 1e-9), h) >= p);
	}
	/* Any degrees that Box's rule can give. */
	for (i = -8; i <= 24; i++) {
		double h = pow(10, i), x = ad_chi2_isf(0.01, h);

		assert_true(x >= 0 && isfinite(x));
		if (h >= 1e6)
			assert_near(x, h + 2.3263478740408408 * sqrt(2 * h), 1e-5);
	}
	assert_true(isinf(ad_chi2_isf(0, 3)) && ad_chi2_isf(1, 3) == 0);
	assert_true(isnan(ad_chi2_isf(-1, 3)) && isnan(ad_chi2_isf(0.5, 0)) && isnan(ad_chi2_sf(NAN, 1)));
	assert_true(ad_chi2_sf(-1, 3) == 1 && ad_chi2_sf(INFINITY, 3) == 0);
}

/* -- the limit --------------------------------------------------------------------------------------- */

/* The verdict and p agree for every score, near and far, with and without ties, whatever alpha. */
static void test_verdict_and_p_agree(void **unused)
{
	ad_rng rng;
	int round, conformal = 0, extrapolated = 0;

	(void)unused;
	ad_rng_seed(&rng, 7);
	for (round = 0; round < 4000; round++) {
		double sorted[64], alpha, scale = ad_rng_below(&rng, 2) ? 1 : 0.5, shift = scale == 1 ? 0 : -300;
		double q[64];
		size_t n = 2 + (size_t)ad_rng_below(&rng, 62), i;
		int ties = (int)ad_rng_below(&rng, 2);
		ad_box box;
		ad_limit limit;

		for (i = 0; i < n; i++)
			q[i] = ties ? 1 + (double)ad_rng_below(&rng, 5) : exp(ad_rng_normal(&rng));
		q[0] = 0.5;
		qsort(q, n, sizeof(double), ascending);
		for (i = 0; i < n; i++)
			sorted[i] = q[i] * scale + shift;
		switch (ad_rng_below(&rng, 3)) {
		case 0: /* a whole number of pictures */
			alpha = (double)(1 + ad_rng_below(&rng, n)) / (double)(n + 1);
			break;
		case 1: /* the same but for rounding */
			alpha = (double)(1 + ad_rng_below(&rng, n)) * (1 / (double)(n + 1)) * (1 - 1e-12);
			break;
		default:
			alpha = ad_rng_double(&rng) * 0.3 + 1e-4;
		}
		assert_int_equal(ad_box_fit(q, n, scale, shift, &box, NULL), 0);
		assert_int_equal(ad_limit_at(sorted, n, &box, alpha, &limit, NULL), 0);
		conformal += limit.rule == ADTOOL_RULE_CONFORMAL;
		extrapolated += limit.rule == ADTOOL_RULE_EXTRAPOLATED;
		assert_int_equal(limit.rule == ADTOOL_RULE_CONFORMAL, floor(alpha * (double)(n + 1) + 1e-9) >= 1);
		assert_int_equal(limit.rule == ADTOOL_RULE_CONFORMAL, n >= limit.needed);
		for (i = 0; i < 4 * n + 5; i++) {
			double s = i == 4 * n       ? limit.threshold
				   : i == 4 * n + 1 ? nextafter(limit.threshold, INFINITY)
				   : i == 4 * n + 2 ? nextafter(limit.threshold, -INFINITY)
				   : i == 4 * n + 3 ? 1e9
				   : i == 4 * n + 4 ? -1e9
				   : i % 4 == 0     ? sorted[i / 4]
				   : i % 4 == 1     ? nextafter(sorted[i / 4], INFINITY)
				   : i % 4 == 2     ? nextafter(sorted[i / 4], -INFINITY)
						    : ad_rng_double(&rng) * 8 + shift;
			double p = ad_p_value(sorted, n, &limit, s);

			assert_true(p >= 0 && p <= 1);
			assert_int_equal(p <= alpha, s > limit.threshold);
			if (limit.rule == ADTOOL_RULE_CONFORMAL) {
				size_t above = 0, j;

				for (j = 0; j < n; j++)
					above += sorted[j] >= s;
				assert_near(p, (double)(1 + above) / (double)(n + 1), 1e-11);
			}
		}
		assert_true(isnan(ad_p_value(sorted, n, &limit, NAN)));
	}
	assert_true(conformal > 1000 && extrapolated > 200);
}

/* Asking for fewer false alarms never lowers the threshold, and a larger score never has the larger p. */
static void test_monotone(void **unused)
{
	ad_rng rng;
	int round, raised = 0;

	(void)unused;
	ad_rng_seed(&rng, 11);
	for (round = 0; round < 2000; round++) {
		double sorted[64], before = -INFINITY, alpha;
		size_t n = 2 + (size_t)ad_rng_below(&rng, 62), i;
		double tail = ad_rng_double(&rng) * 3;
		ad_box box;
		ad_limit limit;

		for (i = 0; i < n; i++)
			sorted[i] = exp(tail * ad_rng_normal(&rng));
		qsort(sorted, n, sizeof(double), ascending);
		assert_int_equal(ad_box_fit(sorted, n, 1, 0, &box, NULL), 0);
		for (alpha = 0.5; alpha > 1e-5; alpha *= 0.9) {
			double p = 1;

			assert_int_equal(ad_limit_at(sorted, n, &box, alpha, &limit, NULL), 0);
			assert_true(limit.threshold >= before);
			before = limit.threshold;
			for (i = 0; i < 2 * n + 2; i++) {
				double s = i < 2 * n ? (i % 2 ? nextafter(sorted[i / 2], INFINITY) : sorted[i / 2])
						     : sorted[n - 1] * (i == 2 * n ? 1.1 : 5);
				double next = ad_p_value(sorted, n, &limit, s);

				/* But for the rounding of the chi-square's tail. */
				assert_true(next <= p * (1 + 1e-12));
				p = next;
			}
			raised += limit.rule == ADTOOL_RULE_EXTRAPOLATED && limit.threshold == sorted[n - 1];
		}
	}
	/* The largest calibration score lies above Box's limit often enough to be seen here. */
	assert_true(raised > 1000);
}

static void test_conformal(void **unused)
{
	double sorted[199];
	ad_box box = {1, 1, 1, 0};
	ad_limit limit;
	size_t i;

	(void)unused;
	for (i = 0; i < 199; i++)
		sorted[i] = (double)i;
	/* n = 199: at 1 %, l = 2, the 198th smallest. */
	assert_int_equal(ad_limit_at(sorted, 199, &box, 0.01, &limit, NULL), 0);
	assert_int_equal(limit.rule, ADTOOL_RULE_CONFORMAL);
	assert_true(limit.threshold == 197);
	assert_int_equal(limit.needed, 99);
	assert_near(ad_p_value(sorted, 199, &limit, 197.5), 0.01, 1e-15);
	assert_near(ad_p_value(sorted, 199, &limit, 1e6), 0.005, 1e-15);
	assert_near(ad_p_value(sorted, 199, &limit, -1), 1, 1e-15);
	/* A threshold by hand: p is as without one. */
	limit.rule = ADTOOL_RULE_VALUE;
	limit.threshold = 1000;
	assert_near(ad_p_value(sorted, 199, &limit, 197.5), 0.01, 1e-15);
	/* 99 are just enough for 1 %, 98 are not. */
	assert_int_equal(ad_limit_at(sorted, 99, &box, 0.01, &limit, NULL), 0);
	assert_int_equal(limit.rule, ADTOOL_RULE_CONFORMAL);
	assert_true(limit.threshold == 98);
	assert_int_equal(ad_limit_at(sorted, 98, &box, 0.01, &limit, NULL), 0);
	assert_int_equal(limit.rule, ADTOOL_RULE_EXTRAPOLATED);
}

/* q drawn from g chi2_h: Box's rule finds g and h again, and the limit leaves about alpha above. */
static void test_box(void **unused)
{
	enum { N = 20000 };
	double *q = test_malloc(N * sizeof(double));
	ad_rng rng;
	ad_box box;
	ad_limit limit;
	size_t i, above = 0;
	int j;

	(void)unused;
	ad_rng_seed(&rng, 8);
	for (i = 0; i < N; i++)
		for (q[i] = 0, j = 0; j < 12; j++)
			q[i] += 0.25 * pow(ad_rng_normal(&rng), 2);
	assert_int_equal(ad_box_fit(q, N, 0.5, -40, &box, NULL), 0);
	assert_near(box.g, 0.25, 0.05);
	assert_near(box.h, 12, 0.05);
	assert_true(box.scale == 0.5 && box.shift == -40);
	qsort(q, N, sizeof(double), ascending);
	for (i = 0; i < N; i++)
		q[i] = q[i] * 0.5 - 40;
	assert_int_equal(ad_limit_at(q, 40, &box, 0.01, &limit, NULL), 0);
	assert_int_equal(limit.rule, ADTOOL_RULE_EXTRAPOLATED);
	assert_near(limit.threshold, 0.5 * box.g * ad_chi2_isf(0.01, box.h) - 40, 1e-14);
	for (i = 0; i < N; i++)
		above += q[i] > limit.threshold;
	assert_true(above > N / 100 * 8 / 10 && above < N / 100 * 12 / 10);
	/* The median of the whole has a p of about a half, and p is the closed form. */
	assert_near(ad_p_value(q, 40, &limit, q[N / 2]), 0.5, 0.05);
	assert_near(ad_p_value(q, 40, &limit, -39), ad_chi2_sf(2 / box.g, box.h), 1e-12);
	test_free(q);
	{
		/* By hand: mean 2, variance 1: g = 1/4, h = 8. */
		static const double three[] = {3, 1, 2};

		assert_int_equal(ad_box_fit(three, 3, 1, 0, &box, NULL), 0);
		assert_near(box.g, 0.25, 1e-15);
		assert_near(box.h, 8, 1e-15);
	}
}

static void test_needed(void **unused)
{
	static const double scores[] = {1, 2, 3};
	ad_box box = {1, 1, 1, 0};
	ad_limit limit;
	double alpha;
	int i;

	(void)unused;
	for (i = 1; i < 3000; i++) {
		alpha = 1 / (double)(i + 1);
		assert_int_equal(ad_limit_at(scores, 3, &box, alpha, &limit, NULL), 0);
		assert_int_equal(limit.needed, i);
		assert_int_equal(ad_limit_at(scores, 3, &box, alpha * 0.9999, &limit, NULL), 0);
		assert_int_equal(limit.needed, i + 1 + (i + 1) / 10000);
	}
	for (alpha = 0.9; alpha > 1e-300; alpha /= 10)
		assert_int_equal(ad_limit_at(scores, 3, &box, alpha, &limit, NULL), 0);
	assert_true(limit.needed == (uint64_t)1 << 53);
}

static void test_refused(void **unused)
{
	static const double same[] = {4, 4, 4}, nothing[] = {0, 0, 0}, negative[] = {-3, -2, -1}, one[] = {1};
	static const double broken[] = {1, NAN, 2}, good[] = {1, 2, 3};
	ad_box box = {1, 1, 1, 0};
	ad_limit limit = {.threshold = 77};
	adtool_error err;

	(void)unused;
	assert_int_equal(ad_box_fit(same, 3, 1, 0, &box, &err), ADTOOL_ENUMERIC);
	assert_non_null(strstr(err.message, "same score"));
	assert_int_equal(ad_box_fit(nothing, 3, 1, 0, &box, &err), ADTOOL_ENUMERIC);
	assert_int_equal(ad_box_fit(negative, 3, 1, 0, &box, &err), ADTOOL_ENUMERIC);
	assert_int_equal(ad_box_fit(one, 1, 1, 0, &box, &err), ADTOOL_ENUMERIC);
	assert_int_equal(ad_box_fit(one, 0, 1, 0, &box, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_box_fit(broken, 3, 1, 0, &box, &err), ADTOOL_ENUMERIC);
	assert_int_equal(ad_box_fit(good, 3, 0, 0, &box, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_limit_at(same, 3, &box, 0.5, &limit, &err), ADTOOL_ENUMERIC);
	assert_int_equal(ad_limit_at(good, 3, &box, 0, &limit, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_limit_at(good, 3, &box, 1, &limit, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_limit_at(good, 3, &box, NAN, &limit, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_limit_at(good, 0, &box, 0.1, &limit, &err), ADTOOL_EINVAL);
	assert_true(box.g == 1 && limit.threshold == 77);
}

static void test_quantile(void **unused)
{
	static const double values[] = {5, 1, 4, 2, 3, 9, 7, 8, 6, 10};
	double x = 0;
	int i;

	(void)unused;
	for (i = 1; i <= 100; i++) {
		assert_int_equal(ad_quantile(values, 10, i / 100.0, &x, NULL), 0);
		assert_true(x == (i + 9) / 10);
	}
	assert_int_equal(ad_quantile(values, 10, 0, &x, NULL), 0);
	assert_true(x == 1);
	assert_int_equal(ad_quantile(values, 10, 1.5, &x, NULL), ADTOOL_EINVAL);
	assert_int_equal(ad_quantile(values, 0, 0.5, &x, NULL), ADTOOL_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chi2_closed_forms),
	    cmocka_unit_test(test_chi2_digits),
	    cmocka_unit_test(test_chi2_recurrence),
	    cmocka_unit_test(test_chi2_inverse),
	    cmocka_unit_test(test_verdict_and_p_agree),
	    cmocka_unit_test(test_monotone),
	    cmocka_unit_test(test_conformal),
	    cmocka_unit_test(test_box),
	    cmocka_unit_test(test_needed),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_quantile),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
