#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adtool/metrics.h>

#include "../../lib/base/rng.h"

static void assert_near(double a, double b, double relative)
{
	if (!(fabs(a - b) <= relative * fabs(b)))
		fail_msg("%.17g is not %.17g within %g relative", a, b, relative);
}

/*
 * Scores and labels from a linear congruential generator, and what they must give. The values were computed
 * by counting: AUROC over all pairs (ties a half), average precision, F1 and FPR over all distinct thresholds.
 */
static const struct {
	size_t n;
	unsigned mod;
	size_t anomalies;
	double auroc, ap, f1, f1_threshold, fpr_100, fpr_95;
} counted[] = {
    {40, 11, 13, 0.61396011396011396, 0.5679875378244944, 0.54166666666666663, 3, 0.81481481481481477,
     0.81481481481481477},
    {200, 23, 67, 0.76652452025586348, 0.68248707013940335, 0.59296482412060303, 10, 0.69172932330827064,
     0.69172932330827064},
    {301, 5, 87, 0.69341497475561287, 0.49319083774765254, 0.52500000000000002, 3, 0.83177570093457942,
     0.83177570093457942},
};

static unsigned next(uint32_t *state)
{
	*state = (*state * 1103515245u + 12345u) & 0x7fffffffu;
	return *state >> 16;
}

static void test_against_counting(void **unused)
{
	uint32_t state = 12345;
	size_t set, i;

	(void)unused;
	for (set = 0; set < sizeof(counted) / sizeof(counted[0]); set++) {
		double scores[301];
		uint8_t labels[301];
		adtool_metrics m;

		for (i = 0; i < counted[set].n; i++) {
			labels[i] = next(&state) % 3 == 0;
			scores[i] = next(&state) % counted[set].mod + (labels[i] ? counted[set].mod / 3 : 0);
		}
		assert_int_equal(adtool_metrics_compute(scores, labels, counted[set].n, &m, NULL), 0);
		assert_int_equal(m.anomalies, counted[set].anomalies);
		assert_int_equal(m.normals, counted[set].n - counted[set].anomalies);
		assert_near(m.auroc, counted[set].auroc, 1e-12);
		assert_near(m.average_precision, counted[set].ap, 1e-12);
		assert_near(m.best_f1, counted[set].f1, 1e-12);
		assert_true(m.best_f1_threshold == counted[set].f1_threshold);
		assert_near(m.fpr_at_tpr_100, counted[set].fpr_100, 1e-12);
		assert_near(m.fpr_at_tpr_95, counted[set].fpr_95, 1e-12);
	}
}

static void test_known(void **unused)
{
	static const double scores[] = {0.1, 0.4, 0.35, 0.8};
	static const uint8_t labels[] = {0, 0, 1, 1};
	adtool_metrics m;
	adtool_confusion c;
	double fpr, threshold;

	(void)unused;
	/* The example of scikit-learn's manual: AUROC 0.75, average precision 0.8333... */
	assert_int_equal(adtool_metrics_compute(scores, labels, 4, &m, NULL), 0);
	assert_true(m.auroc == 0.75);
	assert_near(m.average_precision, 5.0 / 6, 1e-15);
	assert_near(m.best_f1, 0.8, 1e-15);
	assert_true(m.best_f1_threshold == 0.35);
	assert_true(m.fpr_at_tpr_100 == 0.5);
	assert_int_equal(adtool_fpr_at_tpr(scores, labels, 4, 0.5, &fpr, &threshold, NULL), 0);
	assert_true(fpr == 0 && threshold == 0.8);
	assert_int_equal(adtool_fpr_at_tpr(scores, labels, 4, 0.51, &fpr, &threshold, NULL), 0);
	assert_true(fpr == 0.5 && threshold == 0.35);
	adtool_confusion_at(scores, labels, 4, 0.35, &c);
	assert_int_equal(c.true_positives, 1);
	assert_int_equal(c.false_positives, 1);
	assert_int_equal(c.true_negatives, 1);
	assert_int_equal(c.false_negatives, 1);
}

/* The score of the ceil(tpr * n)-th largest anomaly, for every tpr that is a fraction of n in decimals. */
static void test_tpr_rule(void **unused)
{
	double scores[120];
	uint8_t labels[120];
	size_t n, i, percent;

	(void)unused;
	for (n = 1; n <= 100; n++) {
		for (i = 0; i < n + 20; i++) {
			labels[i] = i < n;
			scores[i] = i < n ? 1000 - (double)i : 950.5 - (double)i;
		}
		for (percent = 1; percent <= 100; percent++) {
			size_t rank = (percent * n + 99) / 100;
			double fpr, threshold;

			assert_int_equal(
			    adtool_fpr_at_tpr(scores, labels, n + 20, (double)percent / 100, &fpr, &threshold, NULL),
			    0);
			assert_true(threshold == 1001 - (double)rank);
		}
	}
}

static void test_extremes(void **unused)
{
	double scores[] = {1, 2, 3, 4, INFINITY, -INFINITY};
	uint8_t perfect[] = {0, 0, 1, 1, 1, 0}, wrong[] = {1, 1, 0, 0, 0, 1}, all[] = {1, 1, 1, 1, 1, 1}, none[6] = {0};
	double same[] = {7, 7, 7, 7, 7, 7};
	adtool_metrics m;
	adtool_error err;
	double fpr;

	(void)unused;
	assert_int_equal(adtool_metrics_compute(scores, perfect, 6, &m, NULL), 0);
	assert_true(m.auroc == 1 && m.average_precision == 1 && m.best_f1 == 1 && m.best_f1_threshold == 3);
	assert_true(m.fpr_at_tpr_100 == 0);
	assert_int_equal(adtool_metrics_compute(scores, wrong, 6, &m, NULL), 0);
	assert_true(m.auroc == 0 && m.fpr_at_tpr_100 == 1);
	assert_int_equal(adtool_metrics_compute(same, perfect, 6, &m, NULL), 0);
	assert_true(m.auroc == 0.5 && m.average_precision == 0.5 && m.fpr_at_tpr_100 == 1 && m.fpr_at_tpr_95 == 1);
	assert_int_equal(adtool_metrics_compute(scores, all, 6, &m, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "0 normal and 6 anomalous"));
	assert_int_equal(adtool_metrics_compute(scores, none, 6, &m, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_metrics_compute(scores, none, 0, &m, &err), ADTOOL_EINVAL);
	scores[2] = NAN;
	assert_int_equal(adtool_metrics_compute(scores, perfect, 6, &m, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "score 3 of 6"));
	assert_int_equal(adtool_fpr_at_tpr(same, perfect, 6, 0, &fpr, NULL, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_fpr_at_tpr(same, perfect, 6, 1.1, &fpr, NULL, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_fpr_at_tpr(same, perfect, 6, NAN, &fpr, NULL, &err), ADTOOL_EINVAL);
}

/* Streamed in odd portions: within its own bound of the exact area, and the bound is small. */
static void test_pixels(void **unused)
{
	enum { N = 50000 };
	float *scores = test_malloc(N * sizeof(float));
	double *wide = test_malloc(N * sizeof(double));
	uint8_t *labels = test_malloc(N);
	int spread;

	(void)unused;
	for (spread = 0; spread < 4; spread++) {
		adtool_pixel_roc *roc;
		adtool_metrics m;
		ad_rng rng;
		double auroc, bound;
		size_t i, done, step;

		ad_rng_seed(&rng, (uint64_t)spread);
		for (i = 0; i < N; i++) {
			double x = ad_rng_normal(&rng);

			labels[i] = ad_rng_below(&rng, 10) == 0;
			x += labels[i] ? 0.7 : 0;
			/* residuals; both signs; many ties; values that hardly differ */
			scores[i] = (float)(spread == 0   ? exp(x)
					    : spread == 1 ? x
					    : spread == 2 ? floor(x)
							  : 1 + x * 1e-6);
			wide[i] = (double)scores[i];
		}
		assert_int_equal(adtool_metrics_compute(wide, labels, N, &m, NULL), 0);
		assert_int_equal(adtool_pixel_roc_create(&roc, NULL), 0);
		for (done = 0, step = 1; done < N; done += step, step = step * 3 % 1009 + 1) {
			step = step < N - done ? step : N - done;
			adtool_pixel_roc_add(roc, scores + done, labels + done, step);
		}
		assert_int_equal(adtool_pixel_roc_auroc(roc, &auroc, &bound, NULL), 0);
		/* The bound holds true ties too, which cost nothing. */
		assert_true(fabs(auroc - m.auroc) <= bound + 1e-12);
		if (spread < 2)
			assert_true(bound < 1e-3);
		if (spread == 2)
			assert_near(auroc, m.auroc, 1e-12);
		adtool_pixel_roc_free(roc);
	}
	test_free(scores);
	test_free(wide);
	test_free(labels);
}

static void test_pixels_refused(void **unused)
{
	static const float scores[] = {0, -0.0f, 1, INFINITY, -INFINITY, NAN};
	static const uint8_t labels[] = {0, 1, 1, 1, 0, 1};
	adtool_pixel_roc *roc;
	adtool_error err;
	double auroc = -1, bound;

	(void)unused;
	assert_int_equal(adtool_pixel_roc_create(&roc, NULL), 0);
	assert_int_equal(adtool_pixel_roc_auroc(roc, &auroc, &bound, &err), ADTOOL_EINVAL);
	adtool_pixel_roc_add(roc, scores, labels, 1);
	assert_int_equal(adtool_pixel_roc_auroc(roc, &auroc, &bound, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "1 normal and 0 anomalous"));
	assert_true(auroc == -1);
	adtool_pixel_roc_add(roc, scores + 1, labels + 1, 4);
	/* 0 and -0 are the same: 5.5 of 6 pairs. */
	assert_int_equal(adtool_pixel_roc_auroc(roc, &auroc, NULL, &err), 0);
	assert_near(auroc, 5.5 / 6, 1e-15);
	adtool_pixel_roc_add(roc, scores + 5, labels + 5, 1);
	assert_int_equal(adtool_pixel_roc_auroc(roc, &auroc, &bound, &err), ADTOOL_EINVAL);
	adtool_pixel_roc_free(roc);
	adtool_pixel_roc_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_against_counting), cmocka_unit_test(test_known),
	    cmocka_unit_test(test_tpr_rule),         cmocka_unit_test(test_extremes),
	    cmocka_unit_test(test_pixels),           cmocka_unit_test(test_pixels_refused),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
