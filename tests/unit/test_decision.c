/*
 * Beta intervals against closed forms and binomial sums; the tail against distributions that are known; rates, F1 and
 * costs against a naive search; Benjamini & Hochberg against the example of their paper; groups and dropped pictures
 * against what must follow.
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
	assert_int_equal(ad_cost_limit((const double[]){1, 2, 3}, (const uint8_t[]){0, 1, 0}, 3, 100, 1, &limit, &err),
			 0);
	near(limit, 3, 0);
}

/* -- groups ------------------------------------------------------------------------------------------ */

static void random_rows(float *rows, size_t n, size_t d, uint64_t seed)
{
	ad_rng rng;
	size_t i;

	ad_rng_seed(&rng, seed);
	for (i = 0; i < n * d; i++)
		rows[i] = (float)ad_rng_normal(&rng);
}

static void fit(const ad_fit_options *o, const float *rows, ad_fitter **fitter, ad_calibration *c)
{
	ad_detector detector;
	adtool_error err;
	size_t i;

	if (!*fitter) {
		assert_int_equal(ad_fitter_create(o, fitter, &err), 0);
		for (i = 0; i < o->pictures; i++)
			assert_int_equal(ad_fitter_add(*fitter, i, rows + i * o->dimensions, &err), 0);
	}
	if (ad_fitter_finish(*fitter, NULL, NULL, NULL, &detector, NULL, c, &err))
		fail_msg("%s", err.message);
	ad_detector_release(&detector);
}

enum { PARTS = 12, SHOTS = 5, PICTURES = PARTS * SHOTS, DIMENSIONS = 96 };

static ad_fit_options group_options(enum adtool_method method, const size_t *groups, size_t pictures, size_t d)
{
	ad_fit_options o = {.method = method, .pictures = pictures, .dimensions = d, .cells = 1, .energy = 0.9,
			    .components = 4, .aggregate = ADTOOL_SUM, .top = 1, .alpha = 0.1, .groups = groups,
			    .group_count = PARTS, .largest_group = pictures / PARTS};

	return o;
}

/*
 * Each part is shot five times, with little difference: a shot that is scored by a fit that saw the other four scores
 * next to nothing. Grouped, none does, and every shot is still calibrated on once.
 */
static void test_groups(void **state)
{
	static float rows[PICTURES * DIMENSIONS], noise[PICTURES * DIMENSIONS];
	size_t groups[PICTURES], i, j, method;

	(void)state;
	random_rows(noise, PICTURES, DIMENSIONS, 3);
	random_rows(rows, PARTS, DIMENSIONS, 4);
	for (i = PICTURES; i-- > 0;)
		for (j = 0; j < DIMENSIONS; j++)
			rows[i * DIMENSIONS + j] =
			    rows[i % PARTS * DIMENSIONS + j] + 0.01f * noise[i * DIMENSIONS + j];
	for (i = 0; i < PICTURES; i++)
		groups[i] = i % PARTS;
	for (method = 0; method < 2; method++) {
		ad_fit_options o = group_options(method ? ADTOOL_PPCA : ADTOOL_FRE, NULL, PICTURES, DIMENSIONS);
		ad_fitter *fitter = NULL;
		ad_calibration alone, together;
		double before = 0, after = 0;

		o.components = 11;
		fit(&o, rows, &fitter, &alone);
		ad_fitter_free(fitter);
		fitter = NULL;
		o.groups = groups;
		fit(&o, rows, &fitter, &together);
		ad_fitter_free(fitter);
		assert_int_equal(together.n, PICTURES);
		assert_int_equal(together.folds, method ? PARTS : 10);
		for (i = 0; i < PICTURES; i++) {
			assert_int_equal(together.index[i], i);
			before += method ? alone.q[i] : alone.scores[i];
			after += method ? together.q[i] : together.scores[i];
		}
		assert_true(after > 10 * before);
		ad_calibration_release(&alone);
		ad_calibration_release(&together);
	}
}

/* The same with more pictures than features, where whole groups are held out. */
static void test_groups_held_out(void **state)
{
	enum { FEW = 20 };
	static float rows[PICTURES * FEW];
	size_t groups[PICTURES], i, j, held[PARTS] = {0};
	ad_fit_options o = group_options(ADTOOL_FRE, groups, PICTURES, FEW);
	ad_fitter *fitter = NULL;
	ad_calibration c;
	adtool_error err;

	(void)state;
	random_rows(rows, PICTURES, FEW, 5);
	for (i = 0; i < PICTURES; i++)
		groups[i] = i % PARTS;
	fit(&o, rows, &fitter, &c);
	assert_int_equal(c.kind, ADTOOL_CV_HELD_OUT);
	for (i = 0; i < c.n; i++)
		held[groups[c.index[i]]]++;
	for (j = 0; j < PARTS; j++)
		assert_true(held[j] == 0 || held[j] == SHOTS);
	assert_int_equal(c.n, 15); /* a fifth is 12: three parts */
	assert_int_equal(ad_fitter_drop(fitter, (const size_t[]){0}, 1, &err), ADTOOL_EINVAL);
	ad_calibration_release(&c);
	ad_fitter_free(fitter);
	/* One group that is nearly all. */
	for (i = 0; i < PICTURES; i++)
		groups[i] = i == 7;
	o.group_count = 2;
	o.largest_group = PICTURES - 1;
	for (o.seed = 0, j = 0; o.seed < 8; o.seed++) {
		int code = ad_fitter_create(&o, &fitter, &err);

		assert_true(!code || code == ADTOOL_EINVAL);
		j += code != 0;
		if (!code)
			ad_fitter_free(fitter);
	}
	assert_true(j > 0);
}

/* Fitted again without some equals never having had them. */
static void test_drop(void **state)
{
	static float rows[PICTURES * DIMENSIONS];
	const size_t drop[] = {58, 0, 31};
	ad_fit_options o = group_options(ADTOOL_FRE, NULL, PICTURES, DIMENSIONS);
	ad_fitter *fitter = NULL, *never = NULL;
	ad_calibration first, again, without;
	ad_detector detector;
	adtool_error err;
	size_t i;

	(void)state;
	random_rows(rows, PICTURES, DIMENSIONS, 6);
	fit(&o, rows, &fitter, &first);
	assert_int_equal(ad_fitter_drop(fitter, drop, 3, &err), 0);
	fit(&o, rows, &fitter, &again);
	assert_int_equal(ad_fitter_create(&o, &never, &err), 0);
	for (i = 0; i < PICTURES; i++)
		if (i != 58 && i != 0 && i != 31)
			assert_int_equal(ad_fitter_add(never, i, rows + i * DIMENSIONS, &err), 0);
	assert_int_equal(ad_fitter_finish(never, NULL, NULL, NULL, &detector, NULL, &without, &err), 0);
	assert_int_equal(again.n, PICTURES - 3);
	assert_int_equal(without.n, PICTURES - 3);
	assert_memory_equal(again.index, without.index, again.n * sizeof(*again.index));
	assert_memory_equal(again.scores, without.scores, again.n * sizeof(*again.scores));
	assert_int_equal(ad_fitter_drop(fitter, drop, 1, &err), ADTOOL_EINVAL);
	ad_detector_release(&detector);
	ad_calibration_release(&first);
	ad_calibration_release(&again);
	ad_calibration_release(&without);
	ad_fitter_free(fitter);
	ad_fitter_free(never);
}

/* Distances against a naive loop. */
static void test_nearest(void **state)
{
	static float rows[PICTURES * DIMENSIONS];
	ad_fit_options o = group_options(ADTOOL_FRE, NULL, PICTURES, DIMENSIONS);
	ad_fitter *fitter = NULL;
	ad_calibration c;
	size_t i, j, k;
	double spread = 0;

	(void)state;
	random_rows(rows, PICTURES, DIMENSIONS, 8);
	memcpy(rows + 20 * DIMENSIONS, rows + 3 * DIMENSIONS, DIMENSIONS * sizeof(float));
	fit(&o, rows, &fitter, &c);
	ad_fitter_free(fitter);
	assert_int_equal(c.pictures, PICTURES);
	for (i = 0; i < PICTURES; i++) {
		double least = INFINITY;
		size_t nearest = i;

		for (j = 0; j < PICTURES; j++) {
			double sum = 0;

			for (k = 0; k < DIMENSIONS; k++) {
				double r = (double)rows[i * DIMENSIONS + k] - (double)rows[j * DIMENSIONS + k];

				sum += r * r;
			}
			spread += sum / (PICTURES * (PICTURES - 1));
			if (j != i && sum < least) {
				least = sum;
				nearest = j;
			}
		}
		assert_int_equal(c.picture[i], i);
		assert_int_equal(c.near[i], nearest);
		near(c.distance2[i], least, 1e-9);
	}
	near(c.spread2, spread, 1e-9);
	assert_int_equal(c.near[20], 3);
	ad_calibration_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_beta),           cmocka_unit_test(test_beta_quantile),
	    cmocka_unit_test(test_tail),           cmocka_unit_test(test_tail_samples),
	    cmocka_unit_test(test_tail_refused),   cmocka_unit_test(test_tail_p),
	    cmocka_unit_test(test_false_discovery), cmocka_unit_test(test_labelled),
	    cmocka_unit_test(test_labelled_refused), cmocka_unit_test(test_groups),
	    cmocka_unit_test(test_groups_held_out), cmocka_unit_test(test_drop),
	    cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests_name("decision", tests, NULL, NULL);
}
