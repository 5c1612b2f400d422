/*
 * The fit of N < D pictures: rows are kept. G = A A^T = U S^2 U^T gives U and S; V = S^-1 U^T A. A refit on a subset of
 * the pictures takes its part of G, centred anew: <a_i - m, a_j - m> = G_ij - mean_i - mean_j + mean, means over the
 * subset. The residual of a picture left out, a - A^T w with w = U S^-2 U^T A a, is a combination of all rows; the
 * combinations of all refits make one matrix, which is multiplied with the rows once.
 */
#include "fit.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

/* What one refit works in. */
struct lane {
	ad_eigen eigen;
	double *matrix; /* n x n */
	double *means;  /* n: of the subset's rows of G */
	double grand;
	size_t *subset;   /* n */
	double *products; /* group x n: with the pictures left out */
	double *weights;  /* group x n */
	double *factors;  /* group x k */
};

/* What one worker multiplies in. */
struct bench {
	double *rows;    /* n x COLUMNS */
	double *product; /* max(n, PANEL) x COLUMNS */
};

struct gram {
	const ad_fit_options *o;
	const ad_linalg *l;
	const float *rows; /* n x D */
	size_t n, d;
	double *centre;         /* D */
	double *g;              /* n x n */
	size_t main_count;      /* pictures of the main fit */
	size_t *order;          /* the pictures left out, group by group */
	size_t *start;          /* groups + 1: where each begins in order */
	size_t groups, largest; /* pictures in the largest */
	size_t *slot;           /* n: a picture's place among those calibrated */
	size_t calibrated;
	double *combination;       /* calibrated x n: residual = combination * (rows less centre) */
	double *residual;          /* calibrated x cells */
	double *q, *noise, *shift; /* calibrated; ppca */
	int *failed;               /* groups: LAPACK's info */
	struct ad_choice *choices;    /* groups */
	struct lane *lanes;
	size_t lane_count;
	struct bench *benches;
	size_t bench_count;
	const ad_detector *detector; /* being filled */
	struct ad_progress *progress;
};

static void lane_release(struct lane *w)
{
	ad_eigen_release(&w->eigen);
	ad_free_aligned(w->matrix);
	ad_free_aligned(w->means);
	ad_free(w->subset);
	ad_free_aligned(w->products);
	ad_free_aligned(w->weights);
	ad_free_aligned(w->factors);
}

static int lane_create(struct lane *w, size_t n, size_t group, adtool_error *err)
{
	int code = ad_eigen_create(n, &w->eigen, err);

	if (code)
		return code;
	w->matrix = ad_malloc_aligned(n, n * sizeof(double));
	w->means = ad_malloc_aligned(n, sizeof(double));
	w->subset = ad_malloc_array(n, sizeof(size_t));
	w->products = ad_malloc_aligned(n, group * sizeof(double));
	w->weights = ad_malloc_aligned(n, group * sizeof(double));
	w->factors = ad_malloc_aligned(n, group * sizeof(double));
	return w->matrix && w->means && w->subset && w->products && w->weights && w->factors ? 0 : ad_fail_nomem(err);
}

static void gram_release(struct gram *m)
{
	size_t i;

	for (i = 0; m->lanes && i < m->lane_count; i++)
		lane_release(&m->lanes[i]);
	for (i = 0; m->benches && i < m->bench_count; i++) {
		ad_free_aligned(m->benches[i].rows);
		ad_free_aligned(m->benches[i].product);
	}
	ad_free(m->lanes);
	ad_free(m->benches);
	ad_free_aligned(m->centre);
	ad_free_aligned(m->g);
	ad_free(m->order);
	ad_free(m->start);
	ad_free(m->slot);
	ad_free_aligned(m->combination);
	ad_free_aligned(m->residual);
	ad_free(m->q);
	ad_free(m->noise);
	ad_free(m->shift);
	ad_free(m->failed);
	ad_free(m->choices);
}

/* unit[i]: the number of row i's group among those that came, in the order they came. Returns how many there are. */
static int gram_units(const struct gram *m, const size_t *index, size_t *unit, size_t *units, adtool_error *err)
{
	size_t *number, i, count = 0;

	if (!m->o->groups) {
		for (i = 0; i < m->n; i++)
			unit[i] = i;
		*units = m->n;
		return 0;
	}
	number = ad_malloc_array(m->o->group_count, sizeof(*number));
	if (!number)
		return ad_fail_nomem(err);
	for (i = 0; i < m->o->group_count; i++)
		number[i] = SIZE_MAX;
	for (i = 0; i < m->n; i++) {
		size_t *n = &number[m->o->groups[index[i]]];

		if (*n == SIZE_MAX)
			*n = count++;
		unit[i] = *n;
	}
	ad_free(number);
	*units = count;
	return 0;
}

/*
 * Deals shuffled units to the fold that has the fewest pictures so far, the first of such: with units of one picture
 * that is one fold after the other. fold: units; SIZE_MAX for those that are never left out.
 */
static void gram_deal(const size_t *order, size_t units, const size_t *sizes, size_t folds, size_t target,
		      size_t *filled, size_t *fold)
{
	size_t i, j, sum = 0;

	for (i = 0; i < units; i++) {
		size_t best = 0;

		fold[order[i]] = SIZE_MAX;
		if (sum >= target)
			continue;
		for (j = 1; j < folds; j++)
			if (filled[j] < filled[best])
				best = j;
		fold[order[i]] = best;
		filled[best] += sizes[order[i]];
		sum += sizes[order[i]];
	}
}

/* Groups of pictures to leave out; each picture's place among the calibrated, in order of their indices. */
static int gram_groups(struct gram *m, const size_t *index, adtool_error *err)
{
	size_t units = 0, refits, target, i, j, position = 0, *order = NULL;
	size_t *unit = ad_malloc_array(m->n, sizeof(size_t)), *sizes = ad_calloc(m->n, sizeof(size_t));
	size_t *fold = ad_malloc_array(m->n, sizeof(size_t)), *filled = ad_calloc(m->n, sizeof(size_t));
	int code = unit && sizes && fold && filled ? gram_units(m, index, unit, &units, err) : ad_fail_nomem(err);

	if (!code && units < 2)
		code = ad_fail(err, ADTOOL_EINVAL, "all %zu usable pictures are of one group", m->n);
	if (!code)
		code = ad_fit_order(units, m->o->seed, &order, err);
	if (code)
		goto out;
	for (i = 0; i < m->n; i++)
		sizes[unit[i]]++;
	refits = ad_fit_refits(m->o, m->n, units);
	m->groups = refits ? refits : 1;
	target = refits ? m->n : ad_fit_held_out(m->n, LEAVE_ONE_OUT_UP_TO);
	gram_deal(order, units, sizes, m->groups, target, filled, fold);
	for (i = 0; i < m->groups; i++) {
		m->calibrated += filled[i];
		m->largest = larger(m->largest, filled[i]);
	}
	m->main_count = refits ? m->n : m->n - m->calibrated;
	if (m->n - m->largest < 2) {
		code = ad_fit_fail_groups(m->n, err);
		goto out;
	}
	m->order = ad_malloc_array(m->calibrated, sizeof(size_t));
	m->start = ad_malloc_array(m->groups + 1, sizeof(size_t));
	m->slot = ad_malloc_array(m->n, sizeof(size_t));
	if (!m->order || !m->start || !m->slot) {
		code = ad_fail_nomem(err);
		goto out;
	}
	/* Fold by fold; in it, in the order dealt. */
	for (i = 0; i < m->groups; i++) {
		m->start[i] = position;
		position += filled[i];
		filled[i] = m->start[i];
	}
	m->start[i] = position;
	for (i = 0; i < units; i++) {
		/* From here on: where in the order the unit's next picture goes. */
		if (fold[order[i]] == SIZE_MAX) {
			sizes[order[i]] = SIZE_MAX;
			continue;
		}
		j = filled[fold[order[i]]];
		filled[fold[order[i]]] += sizes[order[i]];
		sizes[order[i]] = j;
	}
	for (i = 0; i < m->n; i++) {
		m->slot[i] = SIZE_MAX;
		if (sizes[unit[i]] != SIZE_MAX) {
			m->order[sizes[unit[i]]++] = i;
			m->slot[i] = 0;
		}
	}
	for (i = 0, position = 0; i < m->n; i++)
		if (m->slot[i] != SIZE_MAX)
			m->slot[i] = position++;
out:
	ad_free(order);
	ad_free(unit);
	ad_free(sizes);
	ad_free(fold);
	ad_free(filled);
	return code;
}

/* The nearest other picture of each, from the products of the rows. */
static int gram_nearest(const struct gram *m, const size_t *index, ad_calibration *c, adtool_error *err)
{
	size_t n = m->n, i, j;
	double trace = 0, sum = 0;

	c->picture = ad_malloc_array(n, sizeof(size_t));
	c->near = ad_malloc_array(n, sizeof(size_t));
	c->distance2 = ad_malloc_array(n, sizeof(double));
	if (!c->picture || !c->near || !c->distance2)
		return ad_fail_nomem(err);
	c->pictures = n;
	for (i = 0; i < n; i++) {
		const double *row = m->g + i * n;

		c->picture[i] = index[i];
		c->distance2[i] = INFINITY;
		trace += row[i];
		for (j = 0; j < n; j++) {
			double square = row[i] + m->g[j * n + j] - 2 * row[j];

			sum += row[j];
			if (j != i && square < c->distance2[i]) {
				c->distance2[i] = fmax(square, 0);
				c->near[i] = index[j];
			}
		}
	}
	c->spread2 = 2 * ((double)n * trace - sum) / ((double)n * (double)(n - 1));
	return 0;
}

static int gram_allocate(struct gram *m, unsigned threads, adtool_error *err)
{
	size_t i, c = m->calibrated, group = m->largest;
	int code = 0;

	m->lane_count = smaller(ad_fit_lanes(m->o, m->n, threads), m->groups);
	m->bench_count = threads;
	m->lanes = ad_calloc(m->lane_count, sizeof(*m->lanes));
	m->benches = ad_calloc(m->bench_count, sizeof(*m->benches));
	m->centre = ad_malloc_aligned(m->d, sizeof(double));
	m->g = ad_malloc_aligned(m->n, m->n * sizeof(double));
	m->combination = ad_malloc_aligned(c, m->n * sizeof(double));
	m->residual = ad_malloc_aligned(c, m->o->cells * sizeof(double));
	m->q = ad_calloc(c, sizeof(double));
	m->noise = ad_calloc(c, sizeof(double));
	m->shift = ad_calloc(c, sizeof(double));
	m->failed = ad_calloc(m->groups, sizeof(int));
	m->choices = ad_calloc(m->groups, sizeof(*m->choices));
	if (!m->lanes || !m->benches || !m->centre || !m->g || !m->combination || !m->residual || !m->q || !m->noise ||
	    !m->shift || !m->failed || !m->choices)
		return ad_fail_nomem(err);
	for (i = 0; !code && i < m->lane_count; i++)
		code = lane_create(&m->lanes[i], m->n, group, err);
	for (i = 0; !code && i < m->bench_count; i++) {
		m->benches[i].rows = ad_malloc_aligned(m->n, COLUMNS * sizeof(double));
		m->benches[i].product = ad_malloc_aligned(larger(m->n, PANEL), COLUMNS * sizeof(double));
		if (!m->benches[i].rows || !m->benches[i].product)
			code = ad_fail_nomem(err);
	}
	return code;
}

/* The pictures that `group` leaves in, ascending. */
static size_t gram_subset(const struct gram *m, size_t group, size_t *subset)
{
	size_t i, n = 0, begin = m->start[group], end = m->start[group + 1];

	for (i = 0; i < m->n; i++)
		subset[i] = 1;
	for (i = begin; i < end; i++)
		subset[m->order[i]] = 0;
	for (i = 0; i < m->n; i++)
		if (subset[i])
			subset[n++] = i;
	return n;
}

static int gram_centre(struct gram *m, const size_t *subset, size_t count, adtool_error *err)
{
	size_t i, j;
	int differ = 0;

	for (j = 0; j < m->d; j++)
		m->centre[j] = 0;
	for (i = 0; i < count; i++) {
		const float *row = m->rows + subset[i] * m->d, *first = m->rows + subset[0] * m->d;

		for (j = 0; j < m->d; j++) {
			m->centre[j] += (double)row[j];
			differ |= row[j] < first[j] || row[j] > first[j];
		}
	}
	for (j = 0; j < m->d; j++)
		m->centre[j] /= (double)count;
	return differ ? 0 : ad_fit_fail_same(count, err);
}

/* Columns begin .. begin + width - 1 of `count` rows (subset NULL: the first ones), less the centre. */
static void gram_columns(const struct gram *m, const size_t *subset, size_t count, size_t begin, size_t width,
			 double *out)
{
	size_t i, j;

	for (i = 0; i < count; i++) {
		const float *row = m->rows + (subset ? subset[i] : i) * m->d + begin;

		for (j = 0; j < width; j++)
			out[i * COLUMNS + j] = (double)row[j] - m->centre[begin + j];
	}
}

static void gram_panel(void *context, size_t panel, unsigned worker)
{
	struct gram *m = context;
	struct bench *b = &m->benches[worker];
	size_t row = panel * PANEL, end = smaller(row + PANEL, m->n), begin;

	ad_linalg_enter(m->l);
	for (begin = 0; begin < m->d; begin += COLUMNS) {
		size_t width = smaller(COLUMNS, m->d - begin);

		gram_columns(m, NULL, end, begin, width, b->rows);
		ad_linalg_gemm(m->l, end - row, end, width, 1, (ad_matrix){b->rows + row * COLUMNS, COLUMNS, 0},
			       (ad_matrix){b->rows, COLUMNS, 1}, begin ? 1 : 0, m->g + row * m->n, m->n);
	}
}

/* Decomposes the subset in w; its eigenvectors stay there. Returns LAPACK's info. */
static int gram_decompose(const struct gram *m, struct lane *w, size_t n, struct ad_choice *out)
{
	double largest = 0;
	size_t i, j;
	int info;

	w->grand = 0;
	for (i = 0; i < n; i++) {
		const double *row = m->g + w->subset[i] * m->n;

		w->means[i] = 0;
		for (j = 0; j < n; j++)
			w->means[i] += row[w->subset[j]];
		w->means[i] /= (double)n;
		w->grand += w->means[i] / (double)n;
		largest = fmax(largest, row[w->subset[i]]);
	}
	for (i = 0; i < n; i++) {
		const double *row = m->g + w->subset[i] * m->n;

		for (j = 0; j < n; j++)
			w->matrix[i * n + j] = row[w->subset[j]] - w->means[i] - w->means[j] + w->grand;
	}
	info = ad_eigen_values(m->l, &w->eigen, w->matrix, n);
	if (!info) {
		*out = ad_fit_choose(m->o, w->eigen.values, n, n, largest);
		info = ad_eigen_vectors(m->l, &w->eigen, out->k);
	}
	return info;
}

/* What the fit in w says of the pictures its group leaves out. */
static void gram_leave_out(struct gram *m, struct lane *w, size_t n, const struct ad_choice *c, size_t group)
{
	const size_t *left = m->order + m->start[group];
	size_t count = m->start[group + 1] - m->start[group], i, j, h;
	const double *values = w->eigen.values;

	for (h = 0; h < count; h++) {
		const double *row = m->g + left[h] * m->n;
		double mean = 0;

		for (i = 0; i < n; i++)
			mean += row[w->subset[i]];
		mean /= (double)n;
		for (i = 0; i < n; i++)
			w->products[h * n + i] = row[w->subset[i]] - w->means[i] - mean + w->grand;
	}
	if (c->k) {
		ad_matrix u = {w->eigen.vectors, n, 0}, ut = {w->eigen.vectors, n, 1};

		ad_linalg_gemm(m->l, count, c->k, n, 1, (ad_matrix){w->products, n, 0}, ut, 0, w->factors, c->k);
		for (h = 0; h < count; h++) {
			double *t = w->factors + h * c->k, q = 0;

			/* z = t / s and lambda = s^2 / (n - 1). */
			for (j = 0; j < c->k; j++) {
				q += t[j] / values[j] * (t[j] / values[j]) * (double)(n - 1);
				t[j] /= values[j];
			}
			m->q[m->slot[left[h]]] = q;
		}
		ad_linalg_gemm(m->l, count, n, c->k, 1, (ad_matrix){w->factors, c->k, 0}, u, 0, w->weights, n);
	} else {
		memset(w->weights, 0, count * n * sizeof(double));
	}
	for (h = 0; h < count; h++) {
		size_t slot = m->slot[left[h]];
		double *combination = m->combination + slot * m->n, *weights = w->weights + h * n, rest = 1;

		for (i = 0; i < n; i++)
			rest -= weights[i];
		memset(combination, 0, m->n * sizeof(double));
		combination[left[h]] = 1;
		for (i = 0; i < n; i++)
			combination[w->subset[i]] = -(weights[i] + rest / (double)n);
		m->noise[slot] = c->noise;
		if (m->o->method == ADTOOL_PPCA) {
			double *variances = w->factors;

			for (j = 0; j < c->k; j++)
				variances[j] = values[j] / (double)(n - 1);
			m->shift[slot] = ad_ppca_shift(variances, c->k, c->noise, m->d);
		}
	}
}

static void gram_refits(void *context, size_t lane, unsigned worker)
{
	struct gram *m = context;
	struct lane *w = &m->lanes[lane];
	size_t group;

	ad_linalg_enter(m->l);
	for (group = lane; group < m->groups; group += m->lane_count) {
		size_t n = gram_subset(m, group, w->subset);

		m->failed[group] = gram_decompose(m, w, n, &m->choices[group]);
		if (!m->failed[group])
			gram_leave_out(m, w, n, &m->choices[group], group);
		ad_fit_advance(m->progress, worker);
	}
}

static void gram_residuals(void *context, size_t panel, unsigned worker)
{
	struct gram *m = context;
	struct bench *b = &m->benches[worker];
	size_t row = panel * PANEL, count = smaller(PANEL, m->calibrated - row), cells = m->o->cells, begin, i, j;

	ad_linalg_enter(m->l);
	memset(m->residual + row * cells, 0, count * cells * sizeof(double));
	for (begin = 0; begin < m->d; begin += COLUMNS) {
		size_t width = smaller(COLUMNS, m->d - begin);

		gram_columns(m, NULL, m->n, begin, width, b->rows);
		ad_linalg_gemm(m->l, count, width, m->n, 1, (ad_matrix){m->combination + row * m->n, m->n, 0},
			       (ad_matrix){b->rows, COLUMNS, 0}, 0, b->product, COLUMNS);
		for (i = 0; i < count; i++) {
			double *sums = m->residual + (row + i) * cells;
			size_t cell = begin % cells;

			for (j = 0; j < width; j++) {
				double r = b->product[i * COLUMNS + j];

				sums[cell] += r * r;
				cell = cell + 1 == cells ? 0 : cell + 1;
			}
		}
	}
}

/* Columns of V = S^-1 U^T A, from the decomposition in the first lane. */
static void gram_components(void *context, size_t task, unsigned worker)
{
	struct gram *m = context;
	struct bench *b = &m->benches[worker];
	const struct lane *w = &m->lanes[0];
	const ad_detector *d = m->detector;
	size_t begin = task * COLUMNS, width = smaller(COLUMNS, m->d - begin), n = m->main_count, i, j;

	ad_linalg_enter(m->l);
	gram_columns(m, w->subset, n, begin, width, b->rows);
	ad_linalg_gemm(m->l, d->components, width, n, 1, (ad_matrix){w->eigen.vectors, n, 0},
		       (ad_matrix){b->rows, COLUMNS, 0}, 0, b->product, COLUMNS);
	for (i = 0; i < d->components; i++) {
		double s = sqrt(w->eigen.values[i]);

		for (j = 0; j < width; j++) {
			double v = b->product[i * COLUMNS + j] / s;

			if (d->rows32)
				d->rows32[i * m->d + begin + j] = (float)v;
			else
				d->rows[i * m->d + begin + j] = v;
		}
	}
}

static void fix_sign32(float *row, size_t n)
{
	size_t i, largest = 0;

	for (i = 1; i < n; i++)
		if (fabsf(row[i]) > fabsf(row[largest]))
			largest = i;
	if (n && row[largest] < 0)
		for (i = 0; i < n; i++)
			row[i] = -row[i];
}

static void normalise(double *row, size_t n)
{
	double squares = 0;
	size_t i;

	for (i = 0; i < n; i++)
		squares += row[i] * row[i];
	for (i = 0; i < n; i++)
		row[i] /= sqrt(squares);
}

int ad_fit_gram(ad_fitter *f, ad_pool *pool, struct ad_progress *progress, ad_detector *detector, double *kept,
		ad_calibration *calibration, adtool_error *err)
{
	struct gram m = {.o = &f->o, .l = f->l, .rows = f->rows, .d = f->o.dimensions, .progress = progress};
	struct ad_choice c;
	size_t i, n = 0, *index = f->index;
	int code, info, refits;

	if (!index) {
		f->index = index = ad_malloc_array(f->added, sizeof(*index));
		if (!index)
			return ad_fail_nomem(err);
		/* Close the gaps that refused pictures left. */
		for (i = 0; i < f->o.pictures; i++) {
			if (!f->came[i])
				continue;
			if (i > n)
				memcpy(f->rows + n * m.d, f->rows + i * m.d, m.d * sizeof(float));
			index[n++] = i;
		}
	}
	m.n = n = f->added;
	if (f->o.only_fit) {
		m.main_count = n;
		m.groups = m.largest = 1;
		code = 0;
	} else {
		code = gram_groups(&m, index, err);
	}
	if (!code)
		code = gram_allocate(&m, ad_pool_size(pool), err);
	if (code)
		goto out;
	refits = m.main_count == n;
	progress->total = (refits ? m.groups : 0) + 3;
	if (refits)
		for (i = 0; i < n; i++)
			m.lanes[0].subset[i] = i;
	else
		gram_subset(&m, 0, m.lanes[0].subset);
	code = gram_centre(&m, m.lanes[0].subset, m.main_count, err);
	if (code)
		goto out;
	ad_pool_run(pool, gram_panel, &m, (n + PANEL - 1) / PANEL);
	ad_linalg_mirror(m.g, n);
	ad_fit_advance(progress, 0);

	info = gram_decompose(&m, &m.lanes[0], m.main_count, &c);
	if (info) {
		code = ad_fit_fail_lapack(info, err);
		goto out;
	}
	code = ad_fit_detector(&f->o, &c, detector, err);
	if (code)
		goto out;
	m.detector = detector;
	ad_pool_run(pool, gram_components, &m, (m.d + COLUMNS - 1) / COLUMNS);
	for (i = 0; i < c.k; i++) {
		detector->variances[i] = m.lanes[0].eigen.values[i] / (double)(m.main_count - 1);
		if (detector->rows32) {
			fix_sign32(detector->rows32 + i * m.d, m.d);
		} else {
			normalise(detector->rows + i * m.d, m.d);
			ad_fix_sign(detector->rows + i * m.d, m.d);
		}
	}
	ad_fit_set_mean(detector, m.centre);
	ad_fit_advance(progress, 0);
	*kept = c.kept;
	if (f->o.only_fit)
		goto out;

	if (refits)
		ad_pool_run(pool, gram_refits, &m, m.lane_count);
	else
		gram_leave_out(&m, &m.lanes[0], m.main_count, &c, 0);
	for (i = 0; !code && refits && i < m.groups; i++) {
		if (m.failed[i])
			code = ad_fit_fail_lapack(m.failed[i], err);
		else if (f->o.method == ADTOOL_PPCA && !(m.choices[i].noise > 0))
			code = ad_fit_fail_noise(&m.choices[i], 1, err);
	}
	if (!code)
		code = ad_fit_calibration(&f->o, m.calibrated, calibration, err);
	if (code)
		goto out;
	ad_pool_run(pool, gram_residuals, &m, (m.calibrated + PANEL - 1) / PANEL);
	calibration->kind = !refits ? ADTOOL_CV_HELD_OUT : m.groups == n ? ADTOOL_CV_LEAVE_ONE_OUT : ADTOOL_CV_FOLDS;
	calibration->folds = refits ? (unsigned)m.groups : 1;
	for (i = 0; i < n; i++) {
		size_t slot = m.slot[i];

		if (slot == SIZE_MAX)
			continue;
		calibration->index[slot] = index[i];
		ad_fit_set_score(&f->o, calibration, slot, m.residual + slot * f->o.cells, m.q[slot], m.noise[slot],
			  m.shift[slot]);
	}
	code = gram_nearest(&m, index, calibration, err);
	ad_fit_advance(progress, 0);
out:
	gram_release(&m);
	return code;
}
