/*
 * The fit and its calibration against explicit ones: for every picture calibrated, the rows that its refit may
 * see are put together, centred and sent through LAPACK's SVD (dgesdd), a path that shares nothing with the library's.
 */
#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lapacke.h>

#include "../../lib/base/buf.h"
#include "../../lib/base/file.h"
#include "../../lib/base/npy.h"
#include "../../lib/base/rng.h"
#include "../../lib/detect/detect.h"
#include "skip.h"

static __typeof__(&LAPACKE_dgesdd) dgesdd;

static int open_lapack(void **unused)
{
	void *library = dlopen(AD_SONAME_LAPACKE, RTLD_NOW);
	void (*set_threads)(int) = NULL;

	(void)unused;
	if (library) {
		*(void **)&dgesdd = dlsym(library, "LAPACKE_dgesdd");
		*(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
	}
	/* A thread sanitizer cannot see how OpenBLAS's own threads hand work over. */
	if (set_threads)
		set_threads(1);
	return dgesdd ? 0 : -1;
}

static void assert_near(double a, double b, double relative)
{
	if (!(fabs(a - b) <= relative * fabs(b)))
		fail_msg("%.17g is not %.17g within %g relative", a, b, relative);
}

/* Scores n rows that lie one behind another. */
static void score_rows(const ad_detector *d, size_t n, const float *rows, double *scores, float *maps, void *scratch)
{
	const float **pointers = test_malloc(n * sizeof(*pointers));

	for (size_t i = 0; i < n; i++)
		pointers[i] = rows + i * d->dimensions;
	ad_detector_score(d, n, pointers, scores, maps, scratch);
	test_free(pointers);
}

/* -- material ---------------------------------------------------------------------------------------- */

/* n rows of d floats around a mean far from 0: `rank` directions of falling weight, and noise. */
static float *make_rows(size_t n, size_t d, size_t rank, uint64_t seed)
{
	float *rows = test_malloc(n * d * sizeof(float));
	double *directions = test_malloc(rank * d * sizeof(double)), *mean = test_malloc(d * sizeof(double));
	ad_rng rng;
	size_t i, j, r;

	ad_rng_seed(&rng, seed);
	for (i = 0; i < rank * d; i++)
		directions[i] = ad_rng_normal(&rng);
	for (j = 0; j < d; j++)
		mean[j] = 3 + ad_rng_normal(&rng);
	for (i = 0; i < n; i++) {
		double *sum = test_malloc(d * sizeof(double));

		for (j = 0; j < d; j++)
			sum[j] = mean[j] + 0.3 * ad_rng_normal(&rng);
		for (r = 0; r < rank; r++) {
			double weight = ad_rng_normal(&rng) * 2 / (double)(1 + r);

			for (j = 0; j < d; j++)
				sum[j] += weight * directions[r * d + j];
		}
		for (j = 0; j < d; j++)
			rows[i * d + j] = (float)sum[j];
		test_free(sum);
	}
	test_free(directions);
	test_free(mean);
	return rows;
}

static ad_fit_options options_of(enum adtool_method method, size_t n, size_t d, size_t cells)
{
	ad_fit_options o = {
	    .method = method,
	    .pictures = n,
	    .dimensions = d,
	    .cells = cells,
	    .energy = 0.9,
	    .components = SIZE_MAX,
	    .aggregate = ADTOOL_TOP,
	    .top = 0.3,
	    .alpha = 0.01,
	    .seed = 11,
	};

	return o;
}

struct fitted {
	ad_detector detector;
	ad_calibration calibration;
	double kept;
};

static void release(struct fitted *f)
{
	ad_detector_release(&f->detector);
	ad_calibration_release(&f->calibration);
}

/* skip: every skip-th picture is refused (0: none). backwards: the calls come in reverse. */
static int fit(const ad_fit_options *o, const float *rows, size_t skip, int backwards, unsigned threads,
	       struct fitted *out, adtool_error *err)
{
	ad_fitter *f = NULL;
	ad_pool *pool = NULL;
	size_t i, taken = 0;
	int code = ad_fitter_create(o, &f, err);

	if (!code)
		code = ad_pool_create(threads, &pool, err);
	for (i = 0; !code && i < o->pictures; i++) {
		size_t index = backwards ? o->pictures - 1 - i : i;

		/* rows holds the usable ones only */
		if (skip && index % skip == skip - 1)
			continue;
		code = ad_fitter_add(f, index, rows + (skip ? index - index / skip : index) * o->dimensions, err);
		taken++;
	}
	if (!code)
		code = ad_fitter_finish(f, pool, NULL, NULL, &out->detector, &out->kept, &out->calibration, err);
	ad_fitter_free(f);
	ad_pool_free(pool);
	return code;
}

/* -- the explicit fit -------------------------------------------------------------------------------- */

struct explicit_fit {
	size_t n, d, k;
	double *mean, *s, *vt;
	double noise, kept;
};

static void explicit_release(struct explicit_fit *e)
{
	test_free(e->mean);
	test_free(e->s);
	test_free(e->vt);
}

static struct explicit_fit explicit_fit(const ad_fit_options *o, const float *rows, const size_t *subset, size_t n)
{
	size_t d = o->dimensions, m = n < d ? n : d, i, j;
	struct explicit_fit e = {.n = n, .d = d};
	double *a = test_malloc(n * d * sizeof(double)), *u = test_malloc(n * m * sizeof(double)), total = 0, sum = 0;

	e.mean = test_calloc(d, sizeof(double));
	e.s = test_malloc(m * sizeof(double));
	e.vt = test_malloc(m * d * sizeof(double));
	for (i = 0; i < n; i++)
		for (j = 0; j < d; j++)
			e.mean[j] += (double)rows[subset[i] * d + j] / (double)n;
	for (i = 0; i < n; i++)
		for (j = 0; j < d; j++)
			a[i * d + j] = (double)rows[subset[i] * d + j] - e.mean[j];
	assert_int_equal(dgesdd(LAPACK_ROW_MAJOR, 'S', (int)n, (int)d, a, (int)d, e.s, u, (int)m, e.vt, (int)d), 0);
	for (i = 0; i < m; i++)
		total += e.s[i] * e.s[i];
	if (o->method == ADTOOL_FRE) {
		size_t limit = n - 2 < d - 1 ? n - 2 : d - 1;

		if (o->components == SIZE_MAX)
			while (e.k < limit && sum < o->energy * total)
				sum += e.s[e.k] * e.s[e.k], e.k++;
		else
			e.k = o->components < limit ? o->components : limit;
	} else {
		e.k = o->components != SIZE_MAX ? o->components : m > 10 ? m - 10 : 0;
		for (i = e.k; i < m; i++)
			e.noise += e.s[i] * e.s[i] / (double)(n - 1) / (double)(m - e.k);
	}
	for (sum = 0, i = 0; i < e.k; i++)
		sum += e.s[i] * e.s[i];
	e.kept = sum / total;
	test_free(a);
	test_free(u);
	return e;
}

static int descending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

/* map: cells; peak, q and map may be NULL. */
static double explicit_score(const ad_fit_options *o, const struct explicit_fit *e, const float *row, double *peak,
			     double *q, double *map)
{
	size_t d = e->d, i, j, take;
	double *a = test_malloc(d * sizeof(double)), *r = test_malloc(d * sizeof(double));
	double *cells = test_calloc(o->cells, sizeof(double)), mahalanobis = 0, logs = 0, score = 0;

	for (j = 0; j < d; j++)
		r[j] = a[j] = (double)row[j] - e->mean[j];
	for (i = 0; i < e->k; i++) {
		double z = 0, lambda = e->s[i] * e->s[i] / (double)(e->n - 1);

		for (j = 0; j < d; j++)
			z += e->vt[i * d + j] * a[j];
		for (j = 0; j < d; j++)
			r[j] -= z * e->vt[i * d + j];
		mahalanobis += z * z / lambda;
		logs += log(lambda);
	}
	for (j = 0; j < d; j++)
		cells[j % o->cells] += r[j] * r[j];
	if (map)
		memcpy(map, cells, o->cells * sizeof(double));
	if (o->method == ADTOOL_PPCA) {
		mahalanobis += cells[0] / e->noise;
		score = 0.5 * (mahalanobis + logs + (double)(d - e->k) * log(e->noise) + (double)d * log(2 * acos(-1)));
		if (q)
			*q = mahalanobis;
	} else {
		qsort(cells, o->cells, sizeof(double), descending);
		take = o->aggregate == ADTOOL_SUM   ? o->cells
		       : o->aggregate == ADTOOL_MAX ? 1
						    : (size_t)ceil(o->top * (double)o->cells - 1e-9);
		for (i = 0; i < take; i++)
			score += cells[i];
		if (o->aggregate != ADTOOL_SUM)
			score /= (double)take;
		if (peak)
			*peak = cells[0];
	}
	test_free(a);
	test_free(r);
	test_free(cells);
	return score;
}

/* Which refit leaves picture i out: the seeded shuffle, i mod K; for a held-out fifth: 0, others SIZE_MAX. */
static void groups_of(const ad_fit_options *o, size_t n, enum adtool_calibration kind, size_t held, size_t *group)
{
	size_t *order = test_malloc(n * sizeof(size_t)), i;
	ad_rng rng;

	for (i = 0; i < n; i++)
		order[i] = i;
	ad_rng_seed(&rng, o->seed);
	ad_rng_shuffle(&rng, order, n);
	for (i = 0; i < n; i++)
		group[order[i]] = kind == ADTOOL_CV_FOLDS           ? i % 10
				  : kind == ADTOOL_CV_LEAVE_ONE_OUT ? i
				  : i < held                        ? 0
								    : SIZE_MAX;
	test_free(order);
}

static void check_against_explicit(const ad_fit_options *o, const float *rows, enum adtool_calibration kind,
				   size_t held)
{
	size_t n = o->pictures, d = o->dimensions, i, j, refits, g, count, seen = 0;
	size_t *group = test_malloc(n * sizeof(size_t)), *subset = test_malloc(n * sizeof(size_t));
	double *map = test_malloc(o->cells * sizeof(double));
	struct fitted f;
	struct explicit_fit e;
	adtool_error err;

	if (fit(o, rows, 0, 0, 2, &f, &err))
		fail_msg("%s", err.message);
	refits = kind == ADTOOL_CV_FOLDS ? 10 : kind == ADTOOL_CV_LEAVE_ONE_OUT ? n : 1;
	assert_int_equal(f.calibration.kind, kind);
	assert_int_equal(f.calibration.folds, refits);
	assert_int_equal(f.calibration.n, held ? held : n);
	groups_of(o, n, kind, held, group);

	/* The fit itself. */
	for (count = 0, i = 0; i < n; i++)
		if (!held || group[i] == SIZE_MAX)
			subset[count++] = i;
	e = explicit_fit(o, rows, subset, count);
	assert_int_equal(f.detector.components, e.k);
	assert_int_equal(f.detector.dimensions, d);
	assert_int_equal(f.detector.cells, o->cells);
	assert_near(f.kept, e.kept, 1e-11);
	for (i = 0; i < e.k; i++)
		assert_near(f.detector.variances[i], e.s[i] * e.s[i] / (double)(count - 1), 1e-10);
	if (o->method == ADTOOL_PPCA) {
		assert_near(f.detector.noise_variance, e.noise, 1e-10);
		for (j = 0; j < d; j++)
			assert_near(f.detector.mean[j], e.mean[j], 1e-13);
	} else {
		assert_true(f.detector.noise_variance == 0);
		for (j = 0; j < d; j++)
			assert_true(f.detector.mean32[j] == (float)e.mean[j] ||
				    nextafterf(f.detector.mean32[j], (float)e.mean[j]) == (float)e.mean[j]);
	}
	/* Rows are orthonormal, span the same, and their largest component is positive. */
	for (i = 0; i < e.k; i++) {
		double largest = 0, at = 0;

		for (g = 0; g <= i; g++) {
			double dot = 0;

			for (j = 0; j < d; j++)
				dot +=
				    o->method == ADTOOL_PPCA
					? f.detector.rows[i * d + j] * f.detector.rows[g * d + j]
					: (double)f.detector.rows32[i * d + j] * (double)f.detector.rows32[g * d + j];
			assert_true(fabs(dot - (g == i)) < (o->method == ADTOOL_PPCA ? 1e-9 : 1e-6));
		}
		for (j = 0; j < d; j++) {
			double v = o->method == ADTOOL_PPCA ? f.detector.rows[i * d + j]
							    : (double)f.detector.rows32[i * d + j];

			if (fabs(v) > largest) {
				largest = fabs(v);
				at = v;
			}
		}
		assert_true(at > 0);
	}
	explicit_release(&e);

	/* Every calibration score, from the refit that did not see it. */
	for (g = 0; g < refits; g++) {
		for (count = 0, i = 0; i < n; i++)
			if (group[i] != g)
				subset[count++] = i;
		e = explicit_fit(o, rows, subset, count);
		for (i = 0; i < f.calibration.n; i++) {
			size_t picture = f.calibration.index[i];
			double peak, q;

			assert_true(picture < n && group[picture] != SIZE_MAX);
			if (group[picture] != g)
				continue;
			assert_near(f.calibration.scores[i], explicit_score(o, &e, rows + picture * d, &peak, &q, map),
				    1e-9);
			if (o->method == ADTOOL_FRE)
				assert_near(f.calibration.peaks[i], peak, 1e-9);
			else
				assert_near(f.calibration.q[i], q, 1e-9);
			seen++;
		}
		explicit_release(&e);
	}
	assert_int_equal(seen, f.calibration.n);
	if (o->method == ADTOOL_FRE)
		assert_null(f.calibration.q);
	else
		assert_null(f.calibration.peaks);
	release(&f);
	test_free(map);
	test_free(group);
	test_free(subset);
}

static void test_fre_folds(void **unused)
{
	enum { N = 57, D = 300, CELLS = 12 };
	float *rows = make_rows(N, D, 30, 1);
	ad_fit_options o = options_of(ADTOOL_FRE, N, D, CELLS);

	(void)unused;
	check_against_explicit(&o, rows, ADTOOL_CV_FOLDS, 0);
	o.aggregate = ADTOOL_MAX;
	o.components = 7;
	check_against_explicit(&o, rows, ADTOOL_CV_FOLDS, 0);
	o.aggregate = ADTOOL_SUM;
	o.components = SIZE_MAX;
	o.energy = 0.999;
	o.seed = 12;
	check_against_explicit(&o, rows, ADTOOL_CV_FOLDS, 0);
	o.components = 1000;
	check_against_explicit(&o, rows, ADTOOL_CV_FOLDS, 0);
	test_free(rows);
}

static void test_fre_leave_one_out(void **unused)
{
	static const size_t sizes[] = {3, 4, 5, 39};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		float *rows = make_rows(sizes[i], 98, 10, 2);
		ad_fit_options o = options_of(ADTOOL_FRE, sizes[i], 98, 49);

		check_against_explicit(&o, rows, ADTOOL_CV_LEAVE_ONE_OUT, 0);
		o.components = 0;
		check_against_explicit(&o, rows, ADTOOL_CV_LEAVE_ONE_OUT, 0);
		test_free(rows);
	}
}

static void test_fre_held_out(void **unused)
{
	static const struct {
		size_t n, d, cells, held;
	} sizes[] = {{333, 60, 4, 66}, {60, 60, 4, 12}, {13, 9, 9, 2}, {700, 6, 1, 140}, {129 * 5, 130, 10, 129}};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		float *rows = make_rows(sizes[i].n, sizes[i].d, sizes[i].d / 2, 3);
		ad_fit_options o = options_of(ADTOOL_FRE, sizes[i].n, sizes[i].d, sizes[i].cells);

		check_against_explicit(&o, rows, ADTOOL_CV_HELD_OUT, sizes[i].held);
		o.components = 3;
		check_against_explicit(&o, rows, ADTOOL_CV_HELD_OUT, sizes[i].held);
		test_free(rows);
	}
}

static void test_ppca_leave_one_out(void **unused)
{
	static const struct {
		size_t n, d, k;
	} sizes[] = {{45, 130, SIZE_MAX}, {45, 130, 5}, {45, 130, 0}, {12, 20, SIZE_MAX}, {4, 300, SIZE_MAX}};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		float *rows = make_rows(sizes[i].n, sizes[i].d, 20, 4);
		ad_fit_options o = options_of(ADTOOL_PPCA, sizes[i].n, sizes[i].d, 1);

		o.components = sizes[i].k;
		check_against_explicit(&o, rows, ADTOOL_CV_LEAVE_ONE_OUT, 0);
		test_free(rows);
	}
}

static void test_ppca_held_out(void **unused)
{
	static const struct {
		size_t n, d, held;
	} sizes[] = {{200, 40, 40}, {90, 90, 18}, {510, 560, 102}};
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		float *rows = make_rows(sizes[i].n, sizes[i].d, 30, 5);
		ad_fit_options o = options_of(ADTOOL_PPCA, sizes[i].n, sizes[i].d, 1);

		check_against_explicit(&o, rows, ADTOOL_CV_HELD_OUT, sizes[i].held);
		test_free(rows);
	}
}

/* -- scikit-learn ------------------------------------------------------------------------------------ */

static void read_golden(const char *file, ad_buf *bytes, ad_npy *npy)
{
	char path[4096];
	adtool_error err;

	need_shared(file, path, sizeof(path));
	if (ad_file_read(path, 1 << 24, bytes, &err) || ad_npy_parse(bytes->data, bytes->size, npy, &err))
		fail_msg("%s: %s", path, err.message);
}

static double golden_at(const ad_npy *npy, size_t i)
{
	double wide;
	float narrow;

	if (npy->item_size == 8) {
		memcpy(&wide, (const char *)npy->data + i * 8, 8);
		return wide;
	}
	memcpy(&narrow, (const char *)npy->data + i * 4, 4);
	return (double)narrow;
}

static void test_scikit_learn(void **unused)
{
	static const size_t ks[] = {10, 80};
	ad_buf train_bytes = {0}, test_bytes = {0};
	ad_npy train, test;
	float *rows, *tests;
	size_t i, s;

	(void)unused;
	read_golden("golden/pca-train.npy", &train_bytes, &train);
	read_golden("golden/pca-test.npy", &test_bytes, &test);
	rows = test_malloc(train.count * sizeof(float));
	tests = test_malloc(test.count * sizeof(float));
	for (i = 0; i < train.count; i++)
		rows[i] = (float)golden_at(&train, i);
	for (i = 0; i < test.count; i++)
		tests[i] = (float)golden_at(&test, i);
	for (s = 0; s < 2; s++) {
		ad_fit_options o = options_of(ADTOOL_PPCA, train.shape[0], train.shape[1], 1);
		ad_buf bytes = {0};
		ad_npy expected;
		struct fitted f;
		double *scores = test_malloc(test.shape[0] * sizeof(double));
		void *scratch;
		char name[64];

		/* 80 is also what the default gives: min(90, 512) - 10. */
		o.components = ks[s] == 80 ? SIZE_MAX : ks[s];
		assert_int_equal(fit(&o, rows, 0, 0, 2, &f, NULL), 0);
		assert_int_equal(f.detector.components, ks[s]);
		snprintf(name, sizeof(name), "golden/pca-noise-k%zu.npy", ks[s]);
		read_golden(name, &bytes, &expected);
		assert_near(f.detector.noise_variance, golden_at(&expected, 0), 1e-6);
		ad_buf_clear(&bytes);
		snprintf(name, sizeof(name), "golden/pca-scores-k%zu.npy", ks[s]);
		read_golden(name, &bytes, &expected);
		assert_int_equal(expected.count, test.shape[0]);
		scratch = test_malloc(ad_detector_scratch(&f.detector, test.shape[0]));
		score_rows(&f.detector, test.shape[0], tests, scores, NULL, scratch);
		for (i = 0; i < test.shape[0]; i++)
			assert_near(scores[i], -golden_at(&expected, i), 1e-6);
		test_free(scratch);
		release(&f);

		/* The squared residual: fre's sum, with the same components. */
		o.method = ADTOOL_FRE;
		o.aggregate = ADTOOL_SUM;
		o.components = ks[s];
		assert_int_equal(fit(&o, rows, 0, 0, 2, &f, NULL), 0);
		ad_buf_clear(&bytes);
		snprintf(name, sizeof(name), "golden/pca-residual2-k%zu.npy", ks[s]);
		read_golden(name, &bytes, &expected);
		scratch = test_malloc(ad_detector_scratch(&f.detector, test.shape[0]));
		score_rows(&f.detector, test.shape[0], tests, scores, NULL, scratch);
		for (i = 0; i < test.shape[0]; i++)
			assert_near(scores[i], golden_at(&expected, i), 1e-6);
		test_free(scratch);
		release(&f);
		test_free(scores);
		ad_buf_release(&bytes);
	}
	test_free(rows);
	test_free(tests);
	ad_buf_release(&train_bytes);
	ad_buf_release(&test_bytes);
}

/* -- scoring ----------------------------------------------------------------------------------------- */

/* Scores of new rows: within 1e-5 of double, and the same bits however many rows go together. */
static void test_scoring(void **unused)
{
	static const struct {
		enum adtool_method method;
		size_t n, d, cells;
	} sizes[] = {
	    {ADTOOL_FRE, 60, 128 * 49, 49}, {ADTOOL_FRE, 30, 37 * 9, 9}, {ADTOOL_FRE, 200, 35, 5},
	    {ADTOOL_FRE, 5, 7, 1},          {ADTOOL_PPCA, 60, 515, 1},   {ADTOOL_PPCA, 200, 33, 1},
	};
	enum { TESTS = 19 };
	size_t s, i, j, step;

	(void)unused;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t n = sizes[s].n, d = sizes[s].d, cells = sizes[s].cells, count = 0;
		float *rows = make_rows(n + TESTS, d, d < 20 ? d : 20, 6), *tests = rows + n * d;
		float *maps = test_malloc(TESTS * cells * sizeof(float)),
		      *again = test_malloc(TESTS * cells * sizeof(float));
		double scores[TESTS], other[TESTS], *map = test_malloc(cells * sizeof(double));
		size_t *subset = test_malloc(n * sizeof(size_t)), *group = test_malloc(n * sizeof(size_t));
		ad_fit_options o = options_of(sizes[s].method, n, d, cells);
		int fre = o.method == ADTOOL_FRE, is_held = n >= d;
		struct explicit_fit e;
		struct fitted f;
		void *scratch;

		assert_int_equal(fit(&o, rows, 0, 0, 1, &f, NULL), 0);
		groups_of(&o, n, ADTOOL_CV_HELD_OUT, is_held ? f.calibration.n : 0, group);
		for (i = 0; i < n; i++)
			if (group[i] == SIZE_MAX)
				subset[count++] = i;
		e = explicit_fit(&o, rows, subset, count);
		scratch = test_malloc(ad_detector_scratch(&f.detector, TESTS));
		score_rows(&f.detector, TESTS, tests, scores, fre ? maps : NULL, scratch);
		test_free(scratch);
		for (i = 0; i < TESTS; i++) {
			assert_near(scores[i], explicit_score(&o, &e, tests + i * d, NULL, NULL, map),
				    fre ? 1e-5 : 1e-9);
			for (j = 0; fre && j < cells; j++)
				assert_near((double)maps[i * cells + j], map[j], 1e-5);
		}
		for (step = 1; step < TESTS; step++) {
			/* The scratch is just as large as asked for: a sanitizer sees more. */
			scratch = test_malloc(ad_detector_scratch(&f.detector, step));
			for (i = 0; i < TESTS; i += step)
				score_rows(&f.detector, step < TESTS - i ? step : TESTS - i, tests + i * d,
						  other + i, fre && step % 2 ? again + i * cells : NULL, scratch);
			test_free(scratch);
			assert_memory_equal(scores, other, sizeof(scores));
			if (fre && step % 2)
				assert_memory_equal(maps, again, TESTS * cells * sizeof(float));
		}
		/* A row that is not finite spoils itself alone. */
		tests[d] = NAN;
		scratch = test_malloc(ad_detector_scratch(&f.detector, 3));
		score_rows(&f.detector, 3, tests, other, NULL, scratch);
		assert_true(other[0] == scores[0] && !isfinite(other[1]) && other[2] == scores[2]);
		test_free(scratch);
		explicit_release(&e);
		release(&f);
		test_free(rows);
		test_free(maps);
		test_free(again);
		test_free(map);
		test_free(subset);
		test_free(group);
	}
}

/* What the kept components cannot say of the training rows is what their energy leaves. */
static void test_energy(void **unused)
{
	enum { N = 50, D = 40 * 9 };
	float *rows = make_rows(N, D, 20, 7);
	double energies[] = {0.5, 0.9, 0.97, 0.999, 1}, scores[N], total = 0;
	size_t e, i, j, before = 0;

	(void)unused;
	for (j = 0; j < D; j++) {
		double mean = 0;

		for (i = 0; i < N; i++)
			mean += (double)rows[i * D + j] / N;
		for (i = 0; i < N; i++)
			total += pow((double)rows[i * D + j] - mean, 2);
	}
	for (e = 0; e < 5; e++) {
		ad_fit_options o = options_of(ADTOOL_FRE, N, D, 9);
		struct fitted f;
		double left = 0;
		void *scratch;

		o.aggregate = ADTOOL_SUM;
		o.energy = energies[e];
		assert_int_equal(fit(&o, rows, 0, 0, 1, &f, NULL), 0);
		scratch = test_malloc(ad_detector_scratch(&f.detector, N));
		score_rows(&f.detector, N, rows, scores, NULL, scratch);
		for (i = 0; i < N; i++)
			left += scores[i];
		assert_near(1 - left / total, f.kept, 1e-6);
		assert_true(f.kept >= energies[e] || f.detector.components == N - 2);
		/* One component less would keep too little. */
		assert_true(f.kept - f.detector.variances[f.detector.components - 1] * (N - 1) / total < energies[e]);
		assert_true(f.detector.components > before && f.detector.components <= N - 2);
		before = f.detector.components;
		test_free(scratch);
		release(&f);
	}
	assert_int_equal(before, N - 2);
	test_free(rows);
}

/* -- the same bits ----------------------------------------------------------------------------------- */

static void assert_same(const struct fitted *a, const struct fitted *b)
{
	const ad_detector *x = &a->detector, *y = &b->detector;
	size_t k = x->components, d = x->dimensions;

	assert_int_equal(k, y->components);
	assert_memory_equal(x->variances, y->variances, k * sizeof(double));
	assert_memory_equal(&x->noise_variance, &y->noise_variance, sizeof(double));
	assert_memory_equal(&a->kept, &b->kept, sizeof(double));
	if (x->method == ADTOOL_FRE) {
		assert_memory_equal(x->mean32, y->mean32, d * sizeof(float));
		assert_memory_equal(x->rows32, y->rows32, k * d * sizeof(float));
		assert_memory_equal(a->calibration.peaks, b->calibration.peaks, a->calibration.n * sizeof(double));
	} else {
		assert_memory_equal(x->mean, y->mean, d * sizeof(double));
		assert_memory_equal(x->rows, y->rows, k * d * sizeof(double));
		assert_memory_equal(a->calibration.q, b->calibration.q, a->calibration.n * sizeof(double));
	}
	assert_int_equal(a->calibration.n, b->calibration.n);
	assert_memory_equal(a->calibration.scores, b->calibration.scores, a->calibration.n * sizeof(double));
}

static const struct {
	enum adtool_method method;
	size_t n, d, cells;
} shapes[] = {
    {ADTOOL_FRE, 150, 30 * 49, 49}, {ADTOOL_FRE, 30, 600, 4},   {ADTOOL_FRE, 600, 96, 4},
    {ADTOOL_PPCA, 60, 300, 1},      {ADTOOL_PPCA, 505, 600, 1}, {ADTOOL_PPCA, 300, 64, 1},
};

static void test_pool_size(void **unused)
{
	size_t s;

	(void)unused;
	for (s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		float *rows = make_rows(shapes[s].n, shapes[s].d, 25, 8);
		ad_fit_options o = options_of(shapes[s].method, shapes[s].n, shapes[s].d, shapes[s].cells);
		struct fitted one, again, four;

		assert_int_equal(fit(&o, rows, 0, 0, 1, &one, NULL), 0);
		assert_int_equal(fit(&o, rows, 0, 0, 1, &again, NULL), 0);
		assert_int_equal(fit(&o, rows, 0, 0, 4, &four, NULL), 0);
		assert_same(&one, &again);
		assert_same(&one, &four);
		release(&one);
		release(&again);
		release(&four);
		test_free(rows);
	}
}

/* While rows are kept, a refused picture leaves no trace but its index, and the order of the calls is free. */
static void test_gaps_and_order(void **unused)
{
	static const size_t which[] = {0, 1, 3, 4};
	size_t s, i;

	(void)unused;
	for (s = 0; s < 4; s++) {
		size_t n = shapes[which[s]].n, d = shapes[which[s]].d, all = n + (n - 1) / 6;
		float *rows = make_rows(n, d, 25, 9);
		ad_fit_options o = options_of(shapes[which[s]].method, n, d, shapes[which[s]].cells);
		struct fitted whole, gaps, backwards;

		assert_int_equal(fit(&o, rows, 0, 0, 2, &whole, NULL), 0);
		assert_int_equal(fit(&o, rows, 0, 1, 2, &backwards, NULL), 0);
		o.pictures = all;
		assert_int_equal(fit(&o, rows, 7, 0, 2, &gaps, NULL), 0);
		assert_same(&whole, &backwards);
		assert_same(&whole, &gaps);
		for (i = 0; i < whole.calibration.n; i++) {
			size_t index = whole.calibration.index[i];

			assert_true(i == 0 || whole.calibration.index[i - 1] < index);
			assert_int_equal(gaps.calibration.index[i], index + index / 6);
		}
		release(&whole);
		release(&gaps);
		release(&backwards);
		test_free(rows);
	}
}

/* With a covariance, which pictures are held out follows from their indices; the rest is as if fitted alone. */
static void test_gaps_covariance(void **unused)
{
	enum { N = 240, D = 36 };
	float *rows = make_rows(N, D, 20, 10);
	ad_fit_options o = options_of(ADTOOL_FRE, N, D, 4);
	size_t group[N], kept = 0, i, usable[N];
	struct fitted f;
	struct explicit_fit e;

	(void)unused;
	assert_int_equal(fit(&o, rows, 5, 0, 2, &f, NULL), 0);
	groups_of(&o, N, ADTOOL_CV_HELD_OUT, N / 5, group);
	for (i = 0; i < N; i++)
		if (i % 5 != 4 && group[i] == SIZE_MAX)
			usable[kept++] = i - i / 5;
	e = explicit_fit(&o, rows, usable, kept);
	assert_int_equal(f.detector.components, e.k);
	assert_true(f.calibration.n > N / 10 && f.calibration.n < N / 5);
	for (i = 0; i < f.calibration.n; i++) {
		size_t index = f.calibration.index[i];

		assert_true(group[index] == 0 && index % 5 != 4);
		assert_near(f.calibration.scores[i],
			    explicit_score(&o, &e, rows + (index - index / 5) * D, NULL, NULL, NULL), 1e-9);
	}
	explicit_release(&e);
	release(&f);
	test_free(rows);
}

/* -- refusals ---------------------------------------------------------------------------------------- */

static void expect(const ad_fit_options *o, const float *rows, int code, const char *part)
{
	struct fitted f;
	adtool_error err = {0};

	memset(&f, 0x55, sizeof(f));
	assert_int_equal(fit(o, rows, 0, 0, 2, &f, &err), code);
	if (!strstr(err.message, part))
		fail_msg("\"%s\" does not say \"%s\"", err.message, part);
	/* Nothing is given out on failure. */
	assert_int_equal(((unsigned char *)&f)[0], 0x55);
	assert_int_equal(((unsigned char *)&f.calibration)[0], 0x55);
}

static void test_refused(void **unused)
{
	float *rows = make_rows(60, 100, 20, 11), *same = test_malloc(60 * 100 * sizeof(float));
	ad_fit_options o = options_of(ADTOOL_FRE, 60, 100, 4);
	ad_fitter *f;
	adtool_error err;
	ad_detector d;
	ad_calibration c;
	size_t i;

	(void)unused;
	for (i = 0; i < 60 * 100; i++)
		same[i] = rows[i % 100];
	expect(&o, same, ADTOOL_ENUMERIC, "all 60 pictures have the same features");
	o.pictures = 2;
	expect(&o, rows, ADTOOL_EINVAL, "at least 3");
	o.pictures = 60;
	o.cells = 3;
	expect(&o, rows, ADTOOL_EINVAL, "cells");
	o.cells = 4;
	o.energy = 0;
	expect(&o, rows, ADTOOL_EINVAL, "energy");
	o.energy = 1.01;
	expect(&o, rows, ADTOOL_EINVAL, "energy");
	o.energy = 0.97;
	o.top = NAN;
	expect(&o, rows, ADTOOL_EINVAL, "top");
	o.top = 0.1;
	/* The covariance path too. */
	o.dimensions = 20;
	for (i = 0; i < 60 * 20; i++)
		same[i] = rows[i % 20];
	expect(&o, same, ADTOOL_ENUMERIC, "have the same features");

	/* ppca with as many components as there are leaves no noise. */
	o = options_of(ADTOOL_PPCA, 60, 100, 1);
	o.components = 59;
	expect(&o, rows, ADTOOL_ENUMERIC, "no variance beyond 59 components");
	o.components = SIZE_MAX - 1;
	expect(&o, rows, ADTOOL_ENUMERIC, "no variance beyond 59 components");
	o.components = 58;
	expect(&o, rows, ADTOOL_ENUMERIC, "refit");
	o.cells = 4;
	expect(&o, rows, ADTOOL_EINVAL, "cells");

	o = options_of(ADTOOL_FRE, 60, 100, 4);
	assert_int_equal(ad_fitter_create(&o, &f, NULL), 0);
	rows[99] = INFINITY;
	assert_int_equal(ad_fitter_add(f, 0, rows, &err), ADTOOL_ENUMERIC);
	assert_non_null(strstr(err.message, "feature 100 of 100 is inf"));
	rows[99] = 0;
	/* A refused row left nothing behind. */
	assert_int_equal(ad_fitter_add(f, 0, rows, &err), 0);
	assert_int_equal(ad_fitter_add(f, 0, rows, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_fitter_add(f, 60, rows, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_fitter_add(f, 59, rows + 100, &err), 0);
	assert_int_equal(ad_fitter_finish(f, NULL, NULL, NULL, &d, NULL, &c, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "2 usable pictures"));
	ad_fitter_free(f);
	ad_fitter_free(NULL);
	test_free(rows);
	test_free(same);
}

/* Pictures that are the same in part: no crash, and the scores are what they must be. */
static void test_degenerate(void **unused)
{
	float rows[6 * 8] = {0};
	ad_fit_options o = options_of(ADTOOL_FRE, 6, 8, 1);
	struct fitted f;
	size_t i;

	(void)unused;
	/* Five equal pictures and one at a distance of 3: from its refit it is 9 away, the others lie on a line. */
	for (i = 0; i < 6 * 8; i++)
		rows[i] = 1e4f + (float)(i % 8);
	rows[2 * 8 + 5] += 3;
	assert_int_equal(fit(&o, rows, 0, 0, 2, &f, NULL), 0);
	assert_int_equal(f.detector.components, 1);
	for (i = 0; i < 6; i++)
		if (i == 2)
			assert_near(f.calibration.scores[i], 9, 1e-9);
		else
			assert_true(f.calibration.scores[i] < 1e-12);
	release(&f);
	/* ppca has no noise there, and says so. */
	o = options_of(ADTOOL_PPCA, 6, 8, 1);
	o.components = 1;
	expect(&o, rows, ADTOOL_ENUMERIC, "no variance beyond 1 components");
}

/* Features that span fewer directions than there are pictures (a layer made wide by a 1x1 convolution). */
static void test_rank(void **unused)
{
	enum { N = 60, D = 80, RANK = 20 };
	float *rows = make_rows(N, D, 5, 77);
	ad_fit_options o = options_of(ADTOOL_PPCA, N, D, 1);
	struct fitted f;
	size_t i, j;

	(void)unused;
	for (i = 0; i < N; i++)
		for (j = RANK; j < D; j++)
			rows[i * D + j] = 3;
	assert_int_equal(fit(&o, rows, 0, 0, 2, &f, NULL), 0);
	assert_int_equal(f.detector.components, RANK - 9);
	assert_true(f.detector.noise_variance > 0);
	release(&f);
	/* Nothing is missing: as the original has it. */
	o = options_of(ADTOOL_PPCA, 30, D, 1);
	test_free(rows);
	rows = make_rows(30, D, 5, 78);
	assert_int_equal(fit(&o, rows, 0, 0, 2, &f, NULL), 0);
	assert_int_equal(f.detector.components, 20);
	release(&f);
	test_free(rows);
}

/* -- memory and threads ------------------------------------------------------------------------------ */

static void test_memory_formula(void **unused)
{
	ad_fit_options o = options_of(ADTOOL_FRE, 240, 6272, 49);
	uint64_t one = ad_fit_memory(&o, 1);

	(void)unused;
	/* Rows and components alone are 12 MB; with the libraries and all there is to it, not much more. */
	assert_true(one > 2 * 4 * (uint64_t)240 * 6272 && one < 32000000);
	assert_true(ad_fit_memory(&o, 4) > one);
	o.pictures = 7000;
	one = ad_fit_memory(&o, 2);
	assert_true(one > 28 * (uint64_t)6272 * 6272 && one < 36 * (uint64_t)6272 * 6272);
	/* From N >= D on it stops growing, once the fifth held out has reached its limit. */
	o.pictures = 10000;
	one = ad_fit_memory(&o, 2);
	o.pictures = 1000000;
	assert_true(ad_fit_memory(&o, 2) == one);
	o.pictures = SIZE_MAX / 2;
	o.dimensions = SIZE_MAX;
	assert_true(ad_fit_memory(&o, 1) == UINT64_MAX);
}

struct watch {
	int (*threads)(void);
	size_t calls, last, total;
	int wrong;
};

static void watch(void *context, size_t done, size_t total)
{
	struct watch *w = context;

	w->wrong |= done <= w->last || done > total || (w->threads && w->threads() != 1);
	w->last = done;
	w->total = total;
	w->calls++;
}

/* Progress grows to its total; OpenBLAS runs on one thread meanwhile, and afterwards on as many as before. */
static void test_threads_and_progress(void **unused)
{
	void *library = dlopen(AD_SONAME_LAPACKE, RTLD_NOW);
	int (*get)(void) = NULL;
	void (*set)(int) = NULL;
	size_t s, i;

	(void)unused;
	assert_non_null(library);
	*(void **)&get = dlsym(library, "openblas_get_num_threads");
	*(void **)&set = dlsym(library, "openblas_set_num_threads");
	for (s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		struct watch w = {.threads = get};
		float *rows = make_rows(shapes[s].n, shapes[s].d, 25, 12);
		ad_fit_options o = options_of(shapes[s].method, shapes[s].n, shapes[s].d, shapes[s].cells);
		struct fitted f;
		ad_fitter *fitter;
		ad_pool *pool;

		if (get)
			set(2);
		assert_int_equal(ad_pool_create(3, &pool, NULL), 0);
		assert_int_equal(ad_fitter_create(&o, &fitter, NULL), 0);
		for (i = 0; i < o.pictures; i++)
			assert_int_equal(ad_fitter_add(fitter, i, rows + i * o.dimensions, NULL), 0);
		if (get)
			assert_int_equal(get(), 2);
		assert_int_equal(ad_fitter_finish(fitter, pool, watch, &w, &f.detector, NULL, &f.calibration, NULL), 0);
		assert_true(w.calls >= 3 && !w.wrong && w.last == w.total);
		if (get) {
			assert_int_equal(get(), 2);
			set(1);
		}
		ad_fitter_free(fitter);
		ad_pool_free(pool);
		release(&f);
		test_free(rows);
	}
	if (!get)
		print_message("# the BLAS here is not OpenBLAS: its thread count was not looked at\n");
	dlclose(library);
}

/* -- channels ---------------------------------------------------------------------------------------- */

static void test_channels(void **unused)
{
	static const struct {
		size_t n, channels, cells, keep;
	} sizes[] = {{20, 70, 49, 16}, {3, 130, 9, 8},     {50, 33, 1, 33},
		     {7, 9, 4, 1},     {40, 200, 64, 128}, {3, 40, 1600, 5}};
	size_t s, i, j, m, cell;

	(void)unused;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t n = sizes[s].n, c = sizes[s].channels, cells = sizes[s].cells, keep = sizes[s].keep,
		       samples = n * cells;
		float *rows = make_rows(samples, c, 12, 13), *data = test_malloc(samples * c * sizeof(float));
		const float **maps = test_malloc(n * sizeof(*maps));
		float *out = test_malloc(keep * cells * sizeof(float));
		size_t *subset = test_malloc(samples * sizeof(size_t));
		ad_fit_options o = options_of(ADTOOL_FRE, samples, c, 1);
		struct explicit_fit e;
		ad_channels one, four;
		ad_pool *pool;

		/* Sample m * cells + cell is a column of map m. */
		for (m = 0; m < n; m++) {
			maps[m] = data + m * c * cells;
			for (cell = 0; cell < cells; cell++)
				for (i = 0; i < c; i++)
					data[(m * c + i) * cells + cell] = rows[(m * cells + cell) * c + i];
		}
		for (i = 0; i < samples; i++)
			subset[i] = i;
		e = explicit_fit(&o, rows, subset, samples);
		assert_int_equal(ad_channels_fit(maps, n, c, cells, keep, NULL, &one, NULL), 0);
		assert_int_equal(ad_pool_create(4, &pool, NULL), 0);
		assert_int_equal(ad_channels_fit(maps, n, c, cells, keep, pool, &four, NULL), 0);
		assert_int_equal(one.from, c);
		assert_int_equal(one.to, keep);
		assert_memory_equal(one.basis, four.basis, keep * c * sizeof(float));
		assert_memory_equal(one.mean, four.mean, c * sizeof(float));
		for (j = 0; j < keep; j++) {
			double largest = 0, at = 0, along = 0;

			for (m = 0; m <= j; m++) {
				double dot = 0;

				for (i = 0; i < c; i++)
					dot += (double)one.basis[j * c + i] * (double)one.basis[m * c + i];
				assert_true(fabs(dot - (m == j)) < 1e-6);
			}
			for (i = 0; i < c; i++) {
				double v = (double)one.basis[j * c + i];

				along += v * e.vt[j * c + i];
				if (fabs(v) > largest) {
					largest = fabs(v);
					at = v;
				}
			}
			assert_true(at > 0);
			/* The same direction as the explicit SVD's, where that is well apart from its neighbours. */
			if (j < (samples < c ? samples : c) - 1 && e.s[j] > 1.01 * e.s[j + 1] &&
			    (!j || e.s[j - 1] > 1.01 * e.s[j]))
				assert_near(fabs(along), 1, 1e-6);
		}
		for (m = 0; m < n; m++) {
			ad_channels_apply(&one, maps[m], cells, out);
			for (j = 0; j < keep; j++)
				for (cell = 0; cell < cells; cell++) {
					double sum = 0, size = 0;

					for (i = 0; i < c; i++) {
						double x = (double)maps[m][i * cells + cell] - (double)one.mean[i];

						sum += (double)one.basis[j * c + i] * x;
						size += x * x;
					}
					assert_true(fabs((double)out[j * cells + cell] - sum) <= 1e-6 * sqrt(size));
				}
		}
		explicit_release(&e);
		ad_channels_release(&one);
		ad_channels_release(&four);
		ad_pool_free(pool);
		test_free(rows);
		test_free(data);
		test_free(maps);
		test_free(out);
		test_free(subset);
	}
}

static void test_channels_refused(void **unused)
{
	float map[6] = {1, 2, 3, 4, 5, 6};
	const float *maps[2] = {map, map};
	ad_channels c = {.from = 99};
	adtool_error err;

	(void)unused;
	assert_int_equal(ad_channels_fit(maps, 2, 3, 2, 4, NULL, &c, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_channels_fit(maps, 2, 3, 2, 0, NULL, &c, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_channels_fit(maps, 0, 3, 2, 2, NULL, &c, &err), ADTOOL_EINVAL);
	map[4] = NAN;
	assert_int_equal(ad_channels_fit(maps, 2, 3, 2, 2, NULL, &c, &err), ADTOOL_ENUMERIC);
	assert_int_equal(c.from, 99);
	ad_channels_release(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fre_folds),
	    cmocka_unit_test(test_fre_leave_one_out),
	    cmocka_unit_test(test_fre_held_out),
	    cmocka_unit_test(test_ppca_leave_one_out),
	    cmocka_unit_test(test_ppca_held_out),
	    cmocka_unit_test(test_scikit_learn),
	    cmocka_unit_test(test_scoring),
	    cmocka_unit_test(test_energy),
	    cmocka_unit_test(test_pool_size),
	    cmocka_unit_test(test_gaps_and_order),
	    cmocka_unit_test(test_gaps_covariance),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_degenerate),
	    cmocka_unit_test(test_rank),
	    cmocka_unit_test(test_memory_formula),
	    cmocka_unit_test(test_threads_and_progress),
	    cmocka_unit_test(test_channels),
	    cmocka_unit_test(test_channels_refused),
	};

	return cmocka_run_group_tests_name("fit", tests, open_lapack, NULL);
}
