/*
 * Beta intervals against closed forms and binomial sums; the tail against distributions that are known; rates, F1 and
 * costs against a naive search; Benjamini & Hochberg against the example of their paper.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adtool/adtool.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/rng.h"
#include "../../lib/detect/decision.h"

static void near(double got, double wanted, double tolerance)
{
	if (!(fabs(got - wanted) <= tolerance))
		fail_msg("got %.17g, wanted %.17g", got, wanted);
}

/* -- beta -------------------------------------------------------------------------------------------- */

/* I_x(a, b) for whole a and b: the chance of at least a successes in a + b - 1 trials. */
static double binomial_tail(double x, unsigned a, unsigned b)
{
	unsigned n = a + b - 1, k;
	double sum = 0;

	for (k = a; k <= n; k++)
		sum += exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(x) + (n - k) * log1p(-x));
	return sum;
}

static void test_beta(void **state)
{
	static const double xs[] = {1e-6, 0.01, 0.2, 0.5, 0.77, 0.99};
	size_t i;
	unsigned a, b;

	(void)state;
	for (i = 0; i < sizeof(xs) / sizeof(*xs); i++) {
		double x = xs[i];

		near(ad_beta_cdf(x, 1, 7.5), -expm1(7.5 * log1p(-x)), 1e-13);
		near(ad_beta_cdf(x, 3.25, 1), pow(x, 3.25), 1e-13);
		near(ad_beta_cdf(x, 0.5, 0.5), 2 / 3.14159265358979323846 * asin(sqrt(x)), 1e-13);
		for (a = 1; a < 60; a += 7)
			for (b = 1; b < 300; b += 43) {
				near(ad_beta_cdf(x, a, b), binomial_tail(x, a, b), 1e-11);
				near(ad_beta_cdf(x, a, b) + ad_beta_cdf(1 - x, b, a), 1, 1e-11);
			}
	}
	assert_true(isnan(ad_beta_cdf(0.5, 0, 1)));
	near(ad_beta_cdf(-1, 2, 3), 0, 0);
	near(ad_beta_cdf(2, 2, 3), 1, 0);
}

static void test_beta_quantile(void **state)
{
	static const double ps[] = {1e-9, 0.05, 0.5, 0.95, 1 - 1e-9};
	size_t i, l, n;

	(void)state;
	for (i = 0; i < sizeof(ps) / sizeof(*ps); i++) {
		/* Close to 1, p itself has lost the digits that would tell. */
		near(ad_beta_quantile(ps[i], 1, 20), -expm1(log1p(-ps[i]) / 20), ps[i] < 0.99 ? 1e-14 : 1e-8);
		for (n = 9; n < 3000; n = n * 3 + 1)
			for (l = 1; l <= n; l = l * 4)
				near(ad_beta_cdf(ad_beta_quantile(ps[i], (double)l, (double)(n + 1 - l)), (double)l,
						 (double)(n + 1 - l)),
				     ps[i], 1e-9);
	}
	near(ad_beta_quantile(0, 2, 3), 0, 1e-300);
	near(ad_beta_quantile(1, 2, 3), 1, 0);
	assert_true(isnan(ad_beta_quantile(1.5, 2, 3)));
}

/* -- tail -------------------------------------------------------------------------------------------- */

/* The quantile of a generalised Pareto distribution. */
static double pareto(double p, double shape, double scale)
{
	return fabs(shape) < 1e-12 ? -scale * log1p(-p) : scale / shape * expm1(-shape * log1p(-p));
}

enum { BODY = 9000, EXCESSES = 1000, ALL = BODY + EXCESSES };

/* 9,000 scores up to 5, then evenly spaced quantiles of a Pareto distribution above it. */
static void known_tail(double *scores, double shape, double scale)
{
	size_t i;

	for (i = 0; i < BODY; i++)
		scores[i] = 5 * (double)(i + 1) / BODY;
	for (i = 0; i < EXCESSES; i++)
		scores[BODY + i] = 5 + pareto(((double)i + 0.5) / EXCESSES, shape, scale);
}

static void test_tail(void **state)
{
	static const double shapes[] = {-0.3, -0.1, 0, 0.2, 0.5};
	static const double alphas[] = {0.05, 0.01, 0.001, 0.0001};
	static double scores[ALL];
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		ad_tail tail;
		adtool_error err;

		known_tail(scores, shapes[i], 2);
		assert_int_equal(ad_tail_fit(scores, ALL, &tail, &err), 0);
		assert_int_equal(tail.excesses, EXCESSES);
		near(tail.start, 5, 0);
		near(tail.shape, shapes[i], 0.03);
		near(tail.scale, 2, 0.06);
		for (j = 0; j < sizeof(alphas) / sizeof(*alphas); j++) {
			double truth = 5 + pareto(1 - alphas[j] / 0.1, shapes[i], 2), limit;

			assert_int_equal(ad_tail_limit(&tail, alphas[j], &limit, &err), 0);
			near(limit, truth, 0.12 * (truth - 5));
			near(ad_tail_sf(&tail, limit), alphas[j], 1e-12);
		}
		assert_true(ad_tail_sf(&tail, scores[ALL - 1]) > 0);
		near(ad_tail_sf(&tail, tail.start), 0.1, 1e-15);
		assert_true(isnan(ad_tail_sf(&tail, 4)));
	}
}

/* Small samples of wild distributions: always a fit, and never one that excludes what was seen. */
static void test_tail_samples(void **state)
{
	double scores[300];
	size_t round, i, j;
	ad_rng rng;

	(void)state;
	ad_rng_seed(&rng, 7);
	for (round = 0; round < 300; round++) {
		double shape = -0.9 + 0.01 * (double)round;
		ad_tail tail;
		adtool_error err;
		double limit;

		for (i = 0; i < 300; i++)
			scores[i] = pareto(ad_rng_double(&rng), shape, 1) - 40;
		for (i = 1; i < 300; i++)
			for (j = i; j && scores[j] < scores[j - 1]; j--) {
				double swap = scores[j];

				scores[j] = scores[j - 1];
				scores[j - 1] = swap;
			}
		assert_int_equal(ad_tail_fit(scores, 300, &tail, &err), 0);
		assert_int_equal(tail.excesses, 30);
		assert_true(ad_tail_sf(&tail, scores[299]) > 0);
		assert_int_equal(ad_tail_limit(&tail, 0.001, &limit, &err), 0);
		assert_true(limit > tail.start);
	}
}

static void test_tail_refused(void **state)
{
	double scores[299];
	ad_tail tail = {.start = 1, .shape = 0, .scale = 1, .excesses = 30, .n = 300};
	adtool_error err;
	double limit = -7;
	size_t i;

	(void)state;
	for (i = 0; i < 299; i++)
		scores[i] = (double)i;
	assert_int_equal(ad_tail_fit(scores, 299, &tail, &err), ADTOOL_ENUMERIC);
	assert_non_null(strstr(err.message, "29 of 299"));
	/* Ties at the quantile are no excesses. */
	for (i = 100; i < 299; i++)
		scores[i] = 100;
	assert_int_equal(ad_tail_fit(scores, 299, &tail, &err), ADTOOL_ENUMERIC);
	assert_int_equal(ad_tail_limit(&tail, 0.2, &limit, &err), ADTOOL_EINVAL);
	near(limit, -7, 0);
	near(tail.start, 1, 0);
	near(ad_tail_sf(&tail, 3), 0.1 * exp(-2), 1e-15);
	assert_int_equal(ad_tail_limit(&tail, 0.01, &limit, &err), 0);
	near(limit, 1 + log(10), 1e-12);
}

/* With the rule in force, p is the tail's above its start, the rank below; and agrees with the verdict everywhere. */
static void test_tail_p(void **state)
{
	static double scores[ALL];
	ad_limit limit = {.rule = ADTOOL_RULE_TAIL, .alpha = 0.003};
	adtool_error err;
	double s, before = 2;

	(void)state;
	known_tail(scores, 0.1, 2);
	assert_int_equal(ad_tail_fit(scores, ALL, &limit.tail, &err), 0);
	assert_int_equal(ad_tail_limit(&limit.tail, limit.alpha, &limit.threshold, &err), 0);
	for (s = 0; s < 40; s += 0.01) {
		double p = ad_p_value(scores, ALL, &limit, s);

		assert_true(p <= before);
		before = p;
		assert_int_equal(p <= limit.alpha, s > limit.threshold);
	}
	near(ad_p_value(scores, ALL, &limit, 6), ad_tail_sf(&limit.tail, 6), 0);
}

/* -- batches ----------------------------------------------------------------------------------------- */

static void test_false_discovery(void **state)
{
	/* Benjamini & Hochberg (1995), section 3.2: at q = 0.05 four of these 15 are rejected. */
	static const double paper[] = {0.0344, 0.0459, 0.3240, 0.0001, 0.4262, 0.0095, 0.5719, 0.0201,
				       0.6528, 0.0004, 0.0278, 0.7590, 0.0298, 1.0000, 0.0019};
	static const double same[] = {0.02, 0.02, 0.02};
	double cutoff;
	adtool_error err;

	(void)state;
	assert_int_equal(ad_false_discovery(paper, 15, 0.05, &cutoff, &err), 0);
	near(cutoff, 0.0095, 0);
	assert_int_equal(ad_false_discovery(paper, 15, 1e-6, &cutoff, &err), 0);
	assert_true(cutoff < 0);
	assert_int_equal(ad_false_discovery(paper, 15, 1, &cutoff, &err), 0);
	near(cutoff, 1, 0);
	assert_int_equal(ad_false_discovery(same, 3, 0.02, &cutoff, &err), 0);
	near(cutoff, 0.02, 0);
	assert_int_equal(ad_false_discovery(NULL, 0, 0.1, &cutoff, &err), 0);
	assert_true(cutoff < 0);
}

/* -- labelled ---------------------------------------------------------------------------------------- */

enum { LABELLED = 40 };

struct counts {
	double found, alarms, anomalies;
};

static struct counts count_at(const double *scores, const uint8_t *anomalous, size_t n, double limit)
{
	struct counts c = {0};
	size_t i;

	for (i = 0; i < n; i++) {
		c.anomalies += anomalous[i];
		c.found += scores[i] > limit && anomalous[i];
		c.alarms += scores[i] > limit && !anomalous[i];
	}
	return c;
}

static double f1_of(struct counts c)
{
	return 2 * c.found / (c.found + c.alarms + c.anomalies);
}

static double cost_of(struct counts c)
{
	return c.alarms + 3 * (c.anomalies - c.found);
}

/* Every limit there is: below all, and at each score. */
static void test_labelled(void **state)
{
	double scores[LABELLED], f1, cost, tpr;
	uint8_t anomalous[LABELLED];
	size_t round, i, n;
	adtool_error err;
	ad_rng rng;

	(void)state;
	ad_rng_seed(&rng, 11);
	for (round = 0; round < 500; round++) {
		double best_f1 = 0, least = INFINITY, rate = 0.05 + 0.95 * ad_rng_double(&rng), anomalies = 0;

		n = 2 + ad_rng_below(&rng, LABELLED - 1);
		for (i = 0; i < n; i++) {
			anomalous[i] = i < 2 ? (uint8_t)i : (uint8_t)ad_rng_below(&rng, 2);
			/* Few values, so that many are tied; negative ones too. */
			scores[i] = (double)ad_rng_below(&rng, 12) + 2 * anomalous[i] - 6;
			anomalies += anomalous[i];
		}
		for (i = 0; i <= n; i++) {
			struct counts c = count_at(scores, anomalous, n, i < n ? scores[i] : -100);

			best_f1 = fmax(best_f1, f1_of(c));
			least = fmin(least, cost_of(c));
		}
		assert_int_equal(ad_f1_limit(scores, anomalous, n, &f1, &err), 0);
		near(f1_of(count_at(scores, anomalous, n, f1)), best_f1, 1e-15);
		assert_int_equal(ad_cost_limit(scores, anomalous, n, 1, 3, &cost, &err), 0);
		near(cost_of(count_at(scores, anomalous, n, cost)), least, 1e-12);
		assert_int_equal(ad_tpr_limit(scores, anomalous, n, rate, &tpr, &err), 0);
		assert_true(count_at(scores, anomalous, n, tpr).found >= rate * anomalies - 1e-9);
		/* It is one of the anomalous scores; above that score, fewer are found than asked for. */
		assert_true(count_at(scores, anomalous, n, nextafter(tpr, INFINITY)).found < rate * anomalies);
	}
}

static void test_labelled_refused(void **state)
{
	const double scores[] = {1, 2, NAN}, two[] = {1, 2};
	const uint8_t anomalous[] = {0, 1, 1}, none[] = {0, 0, 0};
	double limit = -7;
	adtool_error err;

	(void)state;
	assert_int_equal(ad_f1_limit(scores, anomalous, 3, &limit, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_f1_limit(two, none, 2, &limit, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_cost_limit(two, anomalous, 2, 0, 1, &limit, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_cost_limit(two, anomalous, 2, 1, INFINITY, &limit, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_tpr_limit(two, anomalous, 2, 0, &limit, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_tpr_limit(two, anomalous, 2, 1.1, &limit, &err), ADTOOL_EINVAL);
	near(limit, -7, 0);
	/* Dear false alarms: better to call nothing. */
	assert_int_equal(ad_cost_limit((const double[]){1, 2, 3}, (const uint8_t[]){0, 1, 0}, 3, 100, 1, &limit, &err), 0);
	near(limit, 3, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_beta),           cmocka_unit_test(test_beta_quantile),
	    cmocka_unit_test(test_tail),           cmocka_unit_test(test_tail_samples),
	    cmocka_unit_test(test_tail_refused),   cmocka_unit_test(test_tail_p),
	    cmocka_unit_test(test_false_discovery), cmocka_unit_test(test_labelled),
	    cmocka_unit_test(test_labelled_refused),
	};

	return cmocka_run_group_tests_name("decision", tests, NULL, NULL);
}
