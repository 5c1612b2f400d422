/*
 * The fit of N >= D pictures: only A^T A = V S^2 V^T is kept, which rows go into as they come, and the rows of the
 * pictures held out.
 */
#include "fit.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

/* Marks whole groups as held out, in a shuffled order, until they are `target` pictures; returns how many they are. */
static int hold_groups(const ad_fit_options *o, size_t target, unsigned char *held, size_t *count, adtool_error *err)
{
	size_t i, group, *order, *sizes = ad_calloc(o->group_count, sizeof(*sizes)), sum = 0;
	int code = sizes ? ad_fit_order(o->group_count, o->seed, &order, err) : ad_fail_nomem(err);

	if (code) {
		ad_free(sizes);
		return code;
	}
	for (i = 0; i < o->pictures; i++)
		sizes[o->groups[i]]++;
	for (group = 0; group < o->group_count && sum < target; group++) {
		sum += sizes[order[group]];
		sizes[order[group]] = SIZE_MAX;
	}
	for (i = 0; i < o->pictures; i++)
		held[i] = sizes[o->groups[i]] == SIZE_MAX;
	ad_free(order);
	ad_free(sizes);
	if (sum + 2 > o->pictures)
		return ad_fit_fail_groups(o->pictures, err);
	*count = sum;
	return 0;
}

int ad_fit_covariance_create(ad_fitter *f, adtool_error *err)
{
	size_t n = f->o.pictures, d = f->o.dimensions, i, *order;
	int code;

	f->covariance = 1;
	f->held_capacity = f->o.only_fit ? 0 : ad_fit_held_out(n, HELD_OUT_AT_MOST);
	f->held = ad_calloc(n, 1);
	if (!f->held)
		return ad_fail_nomem(err);
	if (f->o.groups && !f->o.only_fit) {
		code = hold_groups(&f->o, f->held_capacity, f->held, &f->held_capacity, err);
	} else {
		code = ad_fit_order(n, f->o.seed, &order, err);
		for (i = 0; !code && i < f->held_capacity; i++)
			f->held[order[i]] = 1;
		if (!code)
			ad_free(order);
	}
	if (code)
		return code;
	f->held_index = ad_malloc_array(f->held_capacity, sizeof(*f->held_index));
	f->rows = ad_malloc_aligned(f->held_capacity, d * sizeof(float));
	f->first = ad_malloc_aligned(d, sizeof(float));
	f->sum = ad_malloc_aligned(d, sizeof(double));
	f->scatter = ad_malloc_aligned(d, d * sizeof(double));
	f->batch = ad_malloc_aligned(d, BATCH * sizeof(double));
	if (!f->held_index || !f->rows || !f->first || !f->sum || !f->scatter || !f->batch)
		return ad_fail_nomem(err);
	memset(f->sum, 0, d * sizeof(double));
	memset(f->scatter, 0, d * d * sizeof(double));
	return 0;
}

static void flush_batch(ad_fitter *f)
{
	int threads = ad_linalg_begin(f->l);

	ad_linalg_add_scatter(f->l, f->o.dimensions, f->in_batch, f->batch, f->scatter);
	ad_linalg_end(f->l, threads);
	f->in_batch = 0;
}

void ad_fit_covariance_add(ad_fitter *f, size_t index, const float *row)
{
	size_t d = f->o.dimensions, i;
	double *to;

	if (f->held[index]) {
		memcpy(f->rows + f->held_count * d, row, d * sizeof(float));
		f->held_index[f->held_count++] = index;
		return;
	}
	if (!f->fitted++)
		memcpy(f->first, row, d * sizeof(float));
	to = f->batch + f->in_batch * d;
	for (i = 0; i < d; i++) {
		to[i] = (double)row[i] - (double)f->first[i];
		f->sum[i] += to[i];
		f->differ |= to[i] != 0;
	}
	if (++f->in_batch == BATCH)
		flush_batch(f);
}

struct held {
	const ad_fit_options *o;
	const ad_linalg *l;
	const float *rows;                     /* count x D */
	const double *mean, *vectors, *values; /* D; k x D; k squared singular values */
	size_t count, k, fitted;
	double *residual, *q; /* count x cells; count */
	double **work;        /* per worker: PANEL x (2 D + k) */
};

static void held_panel(void *context, size_t panel, unsigned worker)
{
	struct held *h = context;
	size_t d = h->o->dimensions, cells = h->o->cells, row = panel * PANEL, count = smaller(PANEL, h->count - row),
	       i, j;
	double *a = h->work[worker], *r = a + PANEL * d, *z = r + PANEL * d;
	const double *channel;

	ad_linalg_enter(h->l);
	for (i = 0; i < count; i++)
		for (j = 0; j < d; j++)
			r[i * d + j] = a[i * d + j] = (double)h->rows[(row + i) * d + j] - h->mean[j];
	if (h->k) {
		ad_linalg_gemm(h->l, count, h->k, d, 1, (ad_matrix){a, d, 0}, (ad_matrix){h->vectors, d, 1}, 0, z,
			       h->k);
		ad_linalg_gemm(h->l, count, d, h->k, -1, (ad_matrix){z, h->k, 0}, (ad_matrix){h->vectors, d, 0}, 1, r,
			       d);
	}
	for (i = 0; i < count; i++) {
		double *sums = h->residual + (row + i) * cells, q = 0;

		for (j = 0; j < cells; j++)
			sums[j] = 0;
		for (channel = r + i * d; channel < r + (i + 1) * d; channel += cells)
			for (j = 0; j < cells; j++)
				sums[j] += channel[j] * channel[j];
		for (j = 0; j < h->k; j++)
			q += z[i * h->k + j] * z[i * h->k + j] / h->values[j] * (double)(h->fitted - 1);
		h->q[row + i] = q;
	}
}

static int calibrate_held(const ad_fitter *f, ad_pool *pool, const double *mean, const ad_eigen *eigen,
			  const struct ad_choice *c, double shift, ad_calibration *calibration, adtool_error *err)
{
	struct held h = {
	    .o = &f->o,
	    .l = f->l,
	    .rows = f->rows,
	    .mean = mean,
	    .vectors = eigen->vectors,
	    .values = eigen->values,
	    .count = f->held_count,
	    .k = c->k,
	    .fitted = f->fitted,
	};
	size_t i, d = f->o.dimensions, workers = ad_pool_size(pool);
	int code = 0;

	h.work = ad_calloc(workers, sizeof(*h.work));
	h.residual = ad_malloc_aligned(h.count, f->o.cells * sizeof(double));
	h.q = ad_malloc_array(h.count, sizeof(double));
	if (!h.work || !h.residual || !h.q)
		code = ad_fail_nomem(err);
	for (i = 0; !code && i < workers; i++) {
		h.work[i] = ad_malloc_aligned(2 * d + c->k, PANEL * sizeof(double));
		if (!h.work[i])
			code = ad_fail_nomem(err);
	}
	if (!code)
		code = ad_fit_calibration(&f->o, h.count, calibration, err);
	if (!code) {
		ad_pool_run(pool, held_panel, &h, (h.count + PANEL - 1) / PANEL);
		calibration->kind = ADTOOL_CV_HELD_OUT;
		calibration->folds = 1;
		for (i = 0; i < h.count; i++) {
			calibration->index[i] = f->held_index[i];
			ad_fit_set_score(&f->o, calibration, i, h.residual + i * f->o.cells, h.q[i], c->noise, shift);
		}
	}
	for (i = 0; h.work && i < workers; i++)
		ad_free_aligned(h.work[i]);
	ad_free(h.work);
	ad_free_aligned(h.residual);
	ad_free(h.q);
	return code;
}

int ad_fit_covariance(ad_fitter *f, ad_pool *pool, struct ad_progress *progress, ad_detector *detector, double *kept,
		      ad_calibration *calibration, adtool_error *err)
{
	size_t d = f->o.dimensions, i, j;
	double largest = 0, *mean = f->sum;
	struct ad_choice c;
	ad_eigen eigen = {0};
	int code, info;

	if (f->fitted < 2 || (!f->held_count && !f->o.only_fit))
		return ad_fail(err, ADTOOL_EINVAL,
			       "of %zu usable pictures %zu are held out for calibration: too few to learn "
			       "from",
			       f->added, f->held_count);
	if (!f->differ)
		return ad_fit_fail_same(f->fitted, err);
	progress->total = 3;
	flush_batch(f);
	/* Sums were of rows less the first one: a a^T summed less n m m^T, m their mean. */
	for (i = 0; i < d; i++)
		for (j = 0; j <= i; j++)
			f->scatter[i * d + j] -= f->sum[i] * f->sum[j] / (double)f->fitted;
	for (i = 0; i < d; i++) {
		largest = fmax(largest, f->scatter[i * d + i]);
		mean[i] = (double)f->first[i] + f->sum[i] / (double)f->fitted;
	}
	ad_linalg_mirror(f->scatter, d);
	code = ad_eigen_create(d, &eigen, err);
	if (code)
		return code;
	ad_fit_advance(progress, 0);
	info = ad_eigen_values(f->l, &eigen, f->scatter, d);
	if (!info) {
		c = ad_fit_choose(&f->o, eigen.values, d, f->fitted, largest);
		info = ad_eigen_vectors(f->l, &eigen, c.k);
	}
	if (info) {
		code = ad_fit_fail_lapack(info, err);
		goto out;
	}
	code = ad_fit_detector(&f->o, &c, detector, err);
	if (code)
		goto out;
	for (i = 0; i < c.k; i++) {
		double *v = eigen.vectors + i * d;

		ad_fix_sign(v, d);
		detector->variances[i] = eigen.values[i] / (double)(f->fitted - 1);
		for (j = 0; j < d; j++) {
			if (detector->rows32)
				detector->rows32[i * d + j] = (float)v[j];
			else
				detector->rows[i * d + j] = v[j];
		}
	}
	ad_fit_set_mean(detector, mean);
	ad_fit_advance(progress, 0);
	if (!f->o.only_fit)
		code = calibrate_held(f, pool, mean, &eigen, &c, ad_detector_shift(detector), calibration, err);
	*kept = c.kept;
	ad_fit_advance(progress, 0);
out:
	ad_eigen_release(&eigen);
	return code;
}
