/* Curves, bootstrap intervals and comparisons, and the metrics of pixels. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adtool/metrics.h>

#include "../../lib/base/rng.h"

static void assert_near(double a, double b, double tolerance)
{
	if (!(fabs(a - b) <= tolerance))
		fail_msg("%.17g is not %.17g within %g", a, b, tolerance);
}

static unsigned next(uint32_t *state)
{
	*state = (*state * 1103515245u + 12345u) & 0x7fffffffu;
	return *state >> 16;
}

/*
 * What scikit-learn 1.2.1 gives on random data with ties, drawn in Python as draw_sets() does here:
 *
 *	f, t, h = roc_curve(y, s, drop_intermediate=False); w = numpy.arange(1, len(f))
 *	roc_auc_score(y, s), average_precision_score(y, s), len(f), (f[1:] * w).sum() / w.sum(), and so for t and h
 *
 * The first point is left out of the sums: its threshold is the largest score plus one there, infinite since 1.3.
 */
static const struct {
	size_t n;
	unsigned mod;
	size_t anomalies;
	double auroc, ap;
	size_t points;
	double fpr, tpr, threshold;
} sklearn[] = {
    {24, 7, 9, 0.7481481481481482, 0.7395061728395061, 13, 0.588034188034188, 0.7991452991452991, 0.3003205128205128},
    {500, 41, 93, 0.7346437346437347, 0.5469300358078041, 80, 0.5468463284918981, 0.7774363685858174,
     2.108655063291139},
    {2000, 9, 526, 0.6409771914709206, 0.5031683951919442, 19, 0.6162528664492529, 0.7489604874035533,
     0.42646198830409354},
    {3000, 32749, 763, 0.6700481770017066, 0.5059030898546721, 2922, 0.6258885077727024, 0.7854135667060042,
     1558.0286382964964},
};

/* The whole curve of the first set: fpr, tpr, threshold. */
static const double first_curve[][3] = {
    {0.0, 0.2222222222222222, 0.925},
    {0.0, 0.4444444444444444, 0.8},
    {0.13333333333333333, 0.4444444444444444, 0.75},
    {0.26666666666666666, 0.4444444444444444, 0.625},
    {0.26666666666666666, 0.5555555555555556, 0.55},
    {0.4, 0.5555555555555556, 0.5},
    {0.4666666666666667, 0.5555555555555556, 0.375},
    {0.4666666666666667, 0.8888888888888888, 0.3},
    {0.6, 0.8888888888888888, 0.25},
    {0.6, 1.0, 0.175},
    {0.9333333333333333, 1.0, 0.125},
    {1.0, 1.0, 0.0},
};

enum { MOST = 3000, SETS = sizeof(sklearn) / sizeof(sklearn[0]) };
static double scores[SETS][MOST];
static uint8_t labels[SETS][MOST];

static int draw_sets(void **unused)
{
	uint32_t state = 987654321;
	size_t set, i;

	(void)unused;
	for (set = 0; set < SETS; set++)
		for (i = 0; i < sklearn[set].n; i++) {
			labels[set][i] = next(&state) % 4 == 0;
			scores[set][i] = (next(&state) % sklearn[set].mod +
					  (labels[set][i] ? sklearn[set].mod / 5.0 : 0)) / 8;
		}
	return 0;
}

static void test_scikit_learn(void **unused)
{
	size_t set, i;

	(void)unused;
	for (set = 0; set < SETS; set++) {
		double fpr = 0, tpr = 0, threshold = 0, weights = 0, normals, anomalies;
		adtool_curve_point *points;
		adtool_metrics m;
		size_t count;

		assert_int_equal(adtool_metrics_compute(scores[set], labels[set], sklearn[set].n, &m, NULL), 0);
		assert_int_equal(m.anomalies, sklearn[set].anomalies);
		assert_near(m.auroc, sklearn[set].auroc, 1e-12);
		assert_near(m.average_precision, sklearn[set].ap, 1e-12);
		assert_int_equal(adtool_curve(scores[set], labels[set], sklearn[set].n, &points, &count, NULL), 0);
		assert_int_equal(count, sklearn[set].points);
		assert_true(isinf(points[0].threshold) && !points[0].true_positives && !points[0].false_positives);
		normals = (double)m.normals;
		anomalies = (double)m.anomalies;
		for (i = 1; i < count; i++) {
			weights += (double)i;
			fpr += (double)i * (double)points[i].false_positives / normals;
			tpr += (double)i * (double)points[i].true_positives / anomalies;
			threshold += (double)i * points[i].threshold;
			if (set == 0) {
				assert_near((double)points[i].false_positives / normals, first_curve[i - 1][0], 1e-12);
				assert_near((double)points[i].true_positives / anomalies, first_curve[i - 1][1], 1e-12);
				assert_near(points[i].threshold, first_curve[i - 1][2], 1e-12);
			}
		}
		assert_near(fpr / weights, sklearn[set].fpr, 1e-12);
		assert_near(tpr / weights, sklearn[set].tpr, 1e-12);
		assert_near(threshold / weights, sklearn[set].threshold, 1e-9);
		adtool_free(points);
	}
}

/* By trying every score as the threshold. */
static void test_tpr_at_fpr(void **unused)
{
	static const double rates[] = {0, 0.01, 0.05, 0.1, 1 / 3.0, 0.5, 0.999};
	size_t set, r, i, j;

	(void)unused;
	for (set = 0; set < 3; set++) {
		size_t n = sklearn[set].n, anomalies = sklearn[set].anomalies;

		for (r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
			double best = 0, at = INFINITY, tpr, threshold;

			for (i = 0; i < n; i++) {
				double t = scores[set][i];
				size_t tp = 0, fp = 0;

				for (j = 0; j < n; j++) {
					tp += scores[set][j] >= t && labels[set][j];
					fp += scores[set][j] >= t && !labels[set][j];
				}
				if ((double)fp > rates[r] * (double)(n - anomalies) + 1e-9)
					continue;
				if ((double)tp / (double)anomalies > best ||
				    (tp && (double)tp / (double)anomalies == best && t > at)) {
					best = (double)tp / (double)anomalies;
					at = t;
				}
			}
			assert_int_equal(
			    adtool_tpr_at_fpr(scores[set], labels[set], n, rates[r], &tpr, &threshold, NULL), 0);
			assert_near(tpr, best, 1e-12);
			assert_true(threshold == at);
		}
	}
	{
		static const double wrong[] = {3, 2};
		static const uint8_t y[] = {0, 1};
		double tpr, threshold;

		assert_int_equal(adtool_tpr_at_fpr(wrong, y, 2, 0.5, &tpr, &threshold, NULL), 0);
		assert_true(tpr == 0 && isinf(threshold));
		assert_int_equal(adtool_tpr_at_fpr(wrong, y, 2, 1, &tpr, NULL, NULL), ADTOOL_EINVAL);
		assert_int_equal(adtool_tpr_at_fpr(wrong, y, 2, -0.1, &tpr, NULL, NULL), ADTOOL_EINVAL);
		assert_int_equal(adtool_tpr_at_fpr(wrong, y, 2, NAN, &tpr, NULL, NULL), ADTOOL_EINVAL);
	}
}

/* -- bootstrap --------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The same resamples written out as scores and measured by adtool_metrics_compute. */
static void test_bootstrap_written_out(void **unused)
{
	enum { R = 201, N = 24 };
	adtool_bootstrap_options o;
	adtool_interval auroc, ap;
	double a[R], p[R];
	size_t normal[N], anomalous[N], normals = 0, anomalies = 0, i, r;
	ad_rng rng;

	(void)unused;
	adtool_bootstrap_options_init(&o);
	assert_true(o.resamples == 2000 && o.level == 0.95 && o.seed == 0);
	o.resamples = R;
	o.level = 0.9;
	o.seed = 17;
	for (i = 0; i < N; i++) {
		if (labels[0][i])
			anomalous[anomalies++] = i;
		else
			normal[normals++] = i;
	}
	ad_rng_seed(&rng, 17);
	for (r = 0; r < R; r++) {
		double s[N];
		uint8_t y[N];
		adtool_metrics m;

		for (i = 0; i < normals; i++) {
			s[i] = scores[0][normal[ad_rng_below(&rng, normals)]];
			y[i] = 0;
		}
		for (; i < N; i++) {
			s[i] = scores[0][anomalous[ad_rng_below(&rng, anomalies)]];
			y[i] = 1;
		}
		assert_int_equal(adtool_metrics_compute(s, y, N, &m, NULL), 0);
		a[r] = m.auroc;
		p[r] = m.average_precision;
	}
	qsort(a, R, sizeof(*a), ascending);
	qsort(p, R, sizeof(*p), ascending);
	assert_int_equal(adtool_metrics_intervals(scores[0], labels[0], N, &o, &auroc, &ap, NULL), 0);
	/* 0.05 and 0.95 of 201 values are the 11th and the 191st. */
	assert_near(auroc.low, a[10], 1e-12);
	assert_near(auroc.high, a[190], 1e-12);
	assert_near(ap.low, p[10], 1e-12);
	assert_near(ap.high, p[190], 1e-12);
	o.seed = 18;
	assert_int_equal(adtool_metrics_intervals(scores[0], labels[0], N, &o, NULL, NULL, NULL), 0);
}

/*
 * Normal scores N(0, 1), anomalous ones N(1, 1): AUROC = Phi(1 / sqrt 2). The interval holds it about as often as it
 * says.
 */
static void test_bootstrap_covers(void **unused)
{
	enum { TRIALS = 300, N = 120 };
	adtool_bootstrap_options o;
	double truth = 0.5 * erfc(-0.5);
	size_t covered = 0, trial, i;
	ad_rng rng;

	(void)unused;
	adtool_bootstrap_options_init(&o);
	o.resamples = 400;
	ad_rng_seed(&rng, 5);
	for (trial = 0; trial < TRIALS; trial++) {
		double s[N];
		uint8_t y[N];
		adtool_interval auroc;

		for (i = 0; i < N; i++) {
			y[i] = i < N / 2;
			s[i] = ad_rng_normal(&rng) + y[i];
		}
		o.seed = trial;
		assert_int_equal(adtool_metrics_intervals(s, y, N, &o, &auroc, NULL, NULL), 0);
		assert_true(auroc.low < auroc.high);
		covered += auroc.low <= truth && truth <= auroc.high;
	}
	/* 285 expected; the standard deviation of the count is 3.8. */
	assert_in_range(covered, 270, 297);
}

static void test_bootstrap_extremes(void **unused)
{
	double apart[] = {1, 2, 3, 4, 5};
	uint8_t y[] = {0, 0, 0, 1, 1}, none[] = {0, 0, 0, 0, 0};
	adtool_bootstrap_options o;
	adtool_interval auroc = {-1, -1}, ap;
	adtool_error err;

	(void)unused;
	adtool_bootstrap_options_init(&o);
	assert_int_equal(adtool_metrics_intervals(apart, y, 5, &o, &auroc, &ap, NULL), 0);
	assert_true(auroc.low == 1 && auroc.high == 1 && ap.low == 1 && ap.high == 1);
	assert_int_equal(adtool_metrics_intervals(apart, none, 5, &o, &auroc, &ap, &err), ADTOOL_EINVAL);
	o.resamples = 1;
	assert_int_equal(adtool_metrics_intervals(apart, y, 5, &o, &auroc, &ap, &err), ADTOOL_EINVAL);
	o.resamples = 10;
	o.level = 1;
	assert_int_equal(adtool_metrics_intervals(apart, y, 5, &o, &auroc, &ap, &err), ADTOOL_EINVAL);
	apart[2] = NAN;
	o.level = 0.9;
	assert_int_equal(adtool_metrics_intervals(apart, y, 5, &o, &auroc, &ap, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "score 3 of 5"));
}

/*
 * A detector against itself, against a worse one, and against an equally good but independent one, whose p-value is
 * uniform.
 */
static void test_compare(void **unused)
{
	enum { N = 200, TRIALS = 200 };
	double a[N], b[N], worse[N];
	uint8_t y[N];
	adtool_bootstrap_options o;
	adtool_difference auroc, ap;
	size_t i, trial, called = 0;
	ad_rng rng;

	(void)unused;
	adtool_bootstrap_options_init(&o);
	o.resamples = 300;
	ad_rng_seed(&rng, 11);
	for (trial = 0; trial < TRIALS; trial++) {
		adtool_metrics m;

		for (i = 0; i < N; i++) {
			y[i] = i % 2 == 0;
			a[i] = ad_rng_normal(&rng) + y[i];
			b[i] = ad_rng_normal(&rng) + y[i];
			worse[i] = a[i] + 2 * ad_rng_normal(&rng);
		}
		assert_int_equal(adtool_metrics_compare(a, b, y, N, &o, &auroc, &ap, NULL), 0);
		called += auroc.p <= 0.1;
		assert_true(auroc.interval.low < auroc.b - auroc.a && auroc.b - auroc.a < auroc.interval.high);
		assert_int_equal(adtool_metrics_compute(a, y, N, &m, NULL), 0);
		assert_true(auroc.a == m.auroc && ap.a == m.average_precision);
	}
	/* 20 expected; the standard deviation is 4.2. */
	assert_in_range(called, 8, 34);
	assert_int_equal(adtool_metrics_compare(a, a, y, N, &o, &auroc, &ap, NULL), 0);
	assert_true(auroc.interval.low == 0 && auroc.interval.high == 0 && auroc.p == 1 && ap.p == 1);
	assert_int_equal(adtool_metrics_compare(worse, a, y, N, &o, &auroc, &ap, NULL), 0);
	assert_true(auroc.p < 0.02 && auroc.interval.low > 0);
	assert_int_equal(adtool_metrics_compare(a, worse, y, N, &o, &auroc, &ap, NULL), 0);
	assert_true(auroc.p > 0.98 && auroc.interval.high < 0);
}

/* -- pixels ------------------------------------------------------------------------------------------ */

enum { SIDE = 17, PIXELS = SIDE * SIDE, PICTURES = 5 };

/* Flood fill over the eight neighbours; region numbers from 1. Returns how many. */
static int label_regions(const uint8_t *mask, int *region)
{
	int count = 0, stack[PIXELS], depth, i, dx, dy;

	memset(region, 0, PIXELS * sizeof(*region));
	for (i = 0; i < PIXELS; i++) {
		if (!mask[i] || region[i])
			continue;
		region[i] = ++count;
		stack[0] = i;
		for (depth = 1; depth;) {
			int at = stack[--depth], x = at % SIDE, y = at / SIDE;

			for (dy = -1; dy <= 1; dy++)
				for (dx = -1; dx <= 1; dx++) {
					int u = x + dx, v = y + dy, to = v * SIDE + u;

					if (u < 0 || v < 0 || u >= SIDE || v >= SIDE || !mask[to] || region[to])
						continue;
					region[to] = count;
					stack[depth++] = to;
				}
		}
	}
	return count;
}

struct truth {
	double auroc, aupro, f1;
	size_t regions;
};

/* By the definitions: every distinct score is a threshold. */
static void by_definition(float map[PICTURES][PIXELS], uint8_t mask[PICTURES][PIXELS], double limit, struct truth *out)
{
	static int region[PICTURES][PIXELS];
	static float sorted[PICTURES * PIXELS];
	static double wide[PICTURES * PIXELS];
	static uint8_t flat[PICTURES * PIXELS];
	int regions[PICTURES];
	double normals = 0, x0 = 0, y0 = 0;
	adtool_metrics m;
	size_t n = 0, i;
	int k, j;

	*out = (struct truth){0};
	for (k = 0; k < PICTURES; k++) {
		regions[k] = label_regions(mask[k], region[k]);
		out->regions += (size_t)regions[k];
		for (j = 0; j < PIXELS; j++, n++) {
			sorted[n] = map[k][j];
			wide[n] = (double)map[k][j];
			flat[n] = mask[k][j];
			normals += !mask[k][j];
		}
	}
	assert_int_equal(adtool_metrics_compute(wide, flat, n, &m, NULL), 0);
	out->auroc = m.auroc;
	out->f1 = m.best_f1;
	for (i = 0; i < n; i++) /* descending, by insertion */
		for (j = (int)i; j > 0 && sorted[j] > sorted[j - 1]; j--) {
			float swap = sorted[j];

			sorted[j] = sorted[j - 1];
			sorted[j - 1] = swap;
		}
	for (i = 0; i < n && x0 < limit; i++) {
		double fp = 0, overlap = 0, x1, y1;

		if (i && sorted[i] == sorted[i - 1])
			continue;
		for (k = 0; k < PICTURES; k++) {
			double found[PIXELS + 1] = {0}, size[PIXELS + 1] = {0};

			for (j = 0; j < PIXELS; j++) {
				fp += map[k][j] >= sorted[i] && !mask[k][j];
				size[region[k][j]]++;
				found[region[k][j]] += map[k][j] >= sorted[i];
			}
			for (j = 1; j <= regions[k]; j++)
				overlap += found[j] / size[j];
		}
		x1 = fp / normals;
		y1 = overlap / (double)out->regions;
		if (x1 > limit) {
			y1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0);
			x1 = limit;
		}
		out->aupro += (x1 - x0) * (y0 + y1) / 2 / limit;
		x0 = x1;
		y0 = y1;
	}
}

static void test_pixel_metrics(void **unused)
{
	static const double limits[] = {0.3, 0.05, 1};
	static float map[PICTURES][PIXELS];
	static uint8_t mask[PICTURES][PIXELS];
	int kind, k, j;
	size_t l;
	ad_rng rng;

	(void)unused;
	ad_rng_seed(&rng, 23);
	/* Few whole numbers: bins hold one score each, so all is exact. Reals of both signs: within the bounds. */
	for (kind = 0; kind < 6; kind++) {
		adtool_pixel_roc *roc;

		assert_int_equal(adtool_pixel_roc_create(&roc, NULL), 0);
		for (k = 0; k < PICTURES; k++) {
			/* 0: a normal picture; the others sparse, dense and nearly full masks. */
			uint64_t density = k == 0 ? 0 : k == 1 ? 1 : k == 2 ? 3 : k == 3 ? 5 : 9;

			for (j = 0; j < PIXELS; j++) {
				double x = ad_rng_normal(&rng);

				mask[k][j] = ad_rng_below(&rng, 10) < density ? 200 : 0;
				x += mask[k][j] ? 1 : 0;
				map[k][j] = (float)(kind < 3 ? floor(4 * x) : x * exp(kind - 3));
			}
			assert_int_equal(
			    adtool_pixel_roc_add_picture(roc, map[k], k ? mask[k] : NULL, SIDE, SIDE, NULL), 0);
		}
		for (l = 0; l < 3; l++) {
			adtool_pixel_metrics m;
			struct truth t;
			double at, found = 0, wrong = 0, all = 0;

			by_definition(map, mask, limits[l], &t);
			assert_int_equal(adtool_pixel_roc_compute(roc, limits[l], &m, NULL), 0);
			assert_int_equal(m.regions, t.regions);
			assert_near(m.auroc, t.auroc, kind < 3 ? 1e-12 : m.auroc_error);
			assert_near(m.aupro, t.aupro, kind < 3 ? 1e-12 : m.aupro_error);
			assert_near(m.best_f1, t.f1, kind < 3 ? 1e-12 : m.best_f1_error + 1e-12);
			assert_true(m.auroc_error < 0.05 && m.best_f1_error >= 0);
			if (kind >= 3)
				assert_true(m.aupro_error < 0.02 && m.best_f1_error < 0.01);
			/* The threshold gives that F1. */
			at = m.best_f1_threshold;
			for (k = 0; k < PICTURES; k++)
				for (j = 0; j < PIXELS; j++) {
					all += mask[k][j] != 0;
					found += mask[k][j] && (double)map[k][j] >= at;
					wrong += !mask[k][j] && (double)map[k][j] >= at;
				}
			assert_near(2 * found / (found + wrong + all), m.best_f1, 1e-12);
		}
		adtool_pixel_roc_free(roc);
	}
}

/* Spirals, combs and diagonals: runs that join late. The number of regions, against the flood fill. */
static void test_regions(void **unused)
{
	static float map[PIXELS];
	static uint8_t mask[PIXELS];
	static int region[PIXELS];
	int kind, x, y;

	(void)unused;
	for (kind = 0; kind < 6; kind++) {
		adtool_pixel_roc *roc;
		adtool_pixel_metrics m;

		for (y = 0; y < SIDE; y++)
			for (x = 0; x < SIDE; x++) {
				int ring = x < y ? x : y, far = SIDE - 1 - (x > y ? x : y);

				ring = ring < far ? ring : far;
				mask[y * SIDE + x] = (uint8_t)(kind == 0   ? (x + y) % 2
							       : kind == 1 ? ring % 2 == 0
							       : kind == 2 ? (x % 2 == 0 || y == SIDE - 1)
							       : kind == 3 ? x % 4 == y % 4
							       : kind == 4 ? (x % 3 == 0 && y % 3 == 0)
									   : (ring % 2 == 0 && !(x == y + 1 && x < 8)));
			}
		memset(map, 0, sizeof(map));
		map[1] = 1;
		assert_int_equal(adtool_pixel_roc_create(&roc, NULL), 0);
		assert_int_equal(adtool_pixel_roc_add_picture(roc, map, mask, SIDE, SIDE, NULL), 0);
		assert_int_equal(adtool_pixel_roc_compute(roc, 0.3, &m, NULL), 0);
		assert_int_equal(m.regions, label_regions(mask, region));
		adtool_pixel_roc_free(roc);
	}
}

static void test_pixels_refused(void **unused)
{
	static const float map[] = {0, 1, 2, NAN};
	static const uint8_t mask[] = {0, 1, 1, 1};
	adtool_pixel_roc *roc;
	adtool_pixel_metrics m;
	adtool_error err;

	(void)unused;
	assert_int_equal(adtool_pixel_roc_create(&roc, NULL), 0);
	assert_int_equal(adtool_pixel_roc_compute(roc, 0.3, &m, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_pixel_roc_add_picture(roc, map, mask, 3, 1, &err), 0);
	assert_int_equal(adtool_pixel_roc_compute(roc, 0, &m, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_pixel_roc_compute(roc, 1.1, &m, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_pixel_roc_compute(roc, 0.3, &m, &err), 0);
	assert_int_equal(m.regions, 1);
	assert_true(m.aupro == 1 && m.auroc == 1 && m.best_f1 == 1 && m.best_f1_threshold == 1);
	assert_int_equal(adtool_pixel_roc_add_picture(roc, map, mask, 4, 1, &err), 0);
	assert_int_equal(adtool_pixel_roc_compute(roc, 0.3, &m, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "not numbers"));
	adtool_pixel_roc_free(roc);
	/* Flat pixels alone have no regions. */
	assert_int_equal(adtool_pixel_roc_create(&roc, NULL), 0);
	adtool_pixel_roc_add(roc, map, mask, 3);
	assert_int_equal(adtool_pixel_roc_compute(roc, 0.3, &m, &err), 0);
	assert_true(m.regions == 0 && isnan(m.aupro) && m.auroc == 1);
	adtool_pixel_roc_free(roc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scikit_learn),       cmocka_unit_test(test_tpr_at_fpr),
	    cmocka_unit_test(test_bootstrap_written_out), cmocka_unit_test(test_bootstrap_covers),
	    cmocka_unit_test(test_bootstrap_extremes), cmocka_unit_test(test_compare),
	    cmocka_unit_test(test_pixel_metrics),      cmocka_unit_test(test_regions),
	    cmocka_unit_test(test_pixels_refused),
	};

	return cmocka_run_group_tests_name("evaluation", tests, draw_sets, NULL);
}
