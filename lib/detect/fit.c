/*
 * Fitting and calibration. With A the rows less their mean, A = U S V^T:
 *
 * while N < D, rows are kept. G = A A^T = U S^2 U^T gives U and S; V = S^-1 U^T A. A refit on a subset of the pictures
 * takes its part of G, centred anew: <a_i - m, a_j - m> = G_ij - mean_i - mean_j + mean, means over the subset. The
 * residual of a picture left out, a - A^T w with w = U S^-2 U^T A a, is a combination of all rows; the combinations of
 * all refits make one matrix, which is multiplied with the rows once.
 *
 * From N = D on, only A^T A = V S^2 V^T is kept, and the rows of the pictures held out.
 */
#include "room.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/rng.h"
#include "linalg.h"

enum {
	FOLDS = 10,
	LEAVE_ONE_OUT_BELOW = 40,  /* fre */
	LEAVE_ONE_OUT_UP_TO = 500, /* ppca; also the most pictures held out of its fit */
	HELD_OUT_AT_MOST = 2000,
	PANEL = 128,   /* rows of a product that one task computes */
	COLUMNS = 256, /* of the rows at a time */
	BATCH = 128    /* rows that go into the covariance at a time */
};

/* What the refits of one fit may take beside each other; more threads than this allows wait. */
#define REFIT_BYTES ((uint64_t)1 << 30)

/* OpenBLAS, LAPACK and what they pack matrices into: in all, and per thread. */
#define LIBRARY_BYTES ((double)(8 << 20))
#define LIBRARY_THREAD_BYTES ((double)(2 << 20))

struct ad_fitter {
	ad_fit_options o;
	ad_linalg *l;
	size_t added;
	unsigned char *came; /* N */
	size_t *index;       /* after a finish: which picture each row is */
	int covariance;      /* N >= D */
	float *rows;         /* N x D by index; covariance: those held out, as they come */
	/* covariance only */
	unsigned char *held; /* N: whether this index is held out */
	size_t *held_index;  /* which picture each held row is */
	size_t held_capacity, held_count;
	float *first;          /* D: the first row of the fit; all others go in less this one, which keeps sums small */
	double *sum, *scatter; /* D, D x D lower */
	double *batch;         /* BATCH x D */
	size_t in_batch, fitted;
	int differ; /* whether any row of the fit differs from the first */
};

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* A fifth, but enough to see scores vary, and two to fit on. */
static size_t held_out_of(size_t n, size_t at_most)
{
	size_t h = smaller(larger(n / 5, 2), at_most);

	return smaller(h, n - 2);
}

static int shuffled(size_t n, uint64_t seed, size_t **out, adtool_error *err)
{
	ad_rng rng;

	ad_rng_seed(&rng, seed);
	*out = ad_rng_order(&rng, n);
	return *out ? 0 : ad_fail_nomem(err);
}

/* -- memory ------------------------------------------------------------------------------------------ */

/* units: groups, or pictures where each is its own. */
static size_t refits_among(const ad_fit_options *o, size_t n, size_t units)
{
	if (o->method == ADTOOL_PPCA)
		return n > LEAVE_ONE_OUT_UP_TO ? 0 : units;
	return n < LEAVE_ONE_OUT_BELOW ? units : smaller(units, FOLDS);
}

static size_t refits_of(const ad_fit_options *o, size_t n)
{
	return refits_among(o, n, o->groups ? smaller(o->group_count, n) : n);
}

/* How many pictures one refit leaves out, at most. */
static size_t group_of(const ad_fit_options *o, size_t n)
{
	size_t refits = refits_of(o, n);
	size_t group = refits ? (n + refits - 1) / refits : held_out_of(n, LEAVE_ONE_OUT_UP_TO);

	return o->groups ? smaller(n, group + o->largest_group) : group;
}

static double refit_bytes(const ad_fit_options *o, double n)
{
	double group = (double)group_of(o, (size_t)n);

	/* The eigenvalue problem, its matrix, and the products with the pictures left out. */
	return (double)ad_eigen_bytes((size_t)n) + 8 * (n * n + n + 3 * n * group) + 8 * n;
}

/* How many refits run beside each other. */
static size_t lanes_of(const ad_fit_options *o, size_t n, unsigned threads)
{
	size_t fit = (size_t)((double)REFIT_BYTES / refit_bytes(o, (double)n));

	return larger(1, smaller(smaller(threads, refits_of(o, n)), fit));
}

uint64_t ad_fit_memory(const ad_fit_options *o, unsigned threads)
{
	double n = (double)o->pictures, d = (double)o->dimensions, t = (double)(threads ? threads : 1), sum;
	double item = o->method == ADTOOL_PPCA ? 8 : 4, held;

	if (o->pictures < 3 || !o->dimensions)
		return 0;
	if (o->pictures < o->dimensions) {
		size_t refits = refits_of(o, o->pictures);

		held = refits ? n : (double)group_of(o, o->pictures);
		sum = 4 * n * d + 8 * d + 8 * n * n + 8 * held * (n + (double)o->cells) +
		      (double)lanes_of(o, o->pictures, threads ? threads : 1) * refit_bytes(o, n) +
		      t * 8 * COLUMNS * (n + (n > PANEL ? n : PANEL)) + item * n * d;
	} else {
		held = (double)held_out_of(o->pictures, HELD_OUT_AT_MOST) + (o->groups ? (double)o->largest_group : 0);
		sum = 4 * held * d + 8 * (d * d + BATCH * d + d) + (double)ad_eigen_bytes(o->dimensions) +
		      8 * held * (double)o->cells + t * 8 * PANEL * 3 * d + item * d * d;
	}
	sum += LIBRARY_BYTES + t * LIBRARY_THREAD_BYTES + (o->keep_maps ? 4 * held * (double)o->cells : 0);
	return sum < 0x1p63 ? (uint64_t)sum : UINT64_MAX;
}

/* -- gathering --------------------------------------------------------------------------------------- */

static int check_options(const ad_fit_options *o, adtool_error *err)
{
	size_t order = smaller(o->pictures, o->dimensions);

	if (o->pictures < 3)
		return ad_fail(err, ADTOOL_EINVAL, "%zu pictures; at least 3 are needed", o->pictures);
	if (!o->dimensions || !o->cells || o->dimensions % o->cells || (o->method == ADTOOL_PPCA && o->cells != 1))
		return ad_fail(err, ADTOOL_EINVAL, "rows of %zu values in %zu cells cannot be", o->dimensions,
			       o->cells);
	if (o->method == ADTOOL_FRE && o->components == SIZE_MAX && !(o->energy > 0 && o->energy <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "energy %g: it must be above 0 and at most 1", o->energy);
	if (o->method == ADTOOL_FRE && !(o->top > 0 && o->top <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "top fraction %g: it must be above 0 and at most 1", o->top);
	if (order > AD_LINALG_MAX)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "%zu pictures of %zu dimensions: the smaller of the two may be at most %d", o->pictures,
			       o->dimensions, AD_LINALG_MAX);
	return 0;
}

static int fail_groups(size_t n, adtool_error *err)
{
	return ad_fail(
	    err, ADTOOL_EINVAL,
	    "the groups of %zu pictures are too large: without one of them fewer than 2 are left to learn from", n);
}

/* Marks whole groups as held out, in a shuffled order, until they are `target` pictures; returns how many they are. */
static int hold_groups(const ad_fit_options *o, size_t target, unsigned char *held, size_t *count, adtool_error *err)
{
	size_t i, group, *order, *sizes = ad_calloc(o->group_count, sizeof(*sizes)), sum = 0;
	int code = sizes ? shuffled(o->group_count, o->seed, &order, err) : ad_fail_nomem(err);

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
		return fail_groups(o->pictures, err);
	*count = sum;
	return 0;
}

static int gather_covariance(ad_fitter *f, adtool_error *err)
{
	size_t n = f->o.pictures, d = f->o.dimensions, i, *order;
	int code;

	f->covariance = 1;
	f->held_capacity = f->o.only_fit ? 0 : held_out_of(n, HELD_OUT_AT_MOST);
	f->held = ad_calloc(n, 1);
	if (!f->held)
		return ad_fail_nomem(err);
	if (f->o.groups && !f->o.only_fit) {
		code = hold_groups(&f->o, f->held_capacity, f->held, &f->held_capacity, err);
	} else {
		code = shuffled(n, f->o.seed, &order, err);
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

int ad_fitter_create(const ad_fit_options *options, ad_fitter **out, adtool_error *err)
{
	ad_fitter *f;
	int code = check_options(options, err);

	if (code)
		return code;
	f = ad_calloc(1, sizeof(*f));
	if (!f)
		return ad_fail_nomem(err);
	f->o = *options;
	code = ad_linalg_open(&f->l, err);
	if (code)
		goto fail;
	f->came = ad_calloc(options->pictures, 1);
	if (!f->came)
		code = ad_fail_nomem(err);
	else if (options->pictures >= options->dimensions)
		code = gather_covariance(f, err);
	else if (!(f->rows = ad_malloc_aligned(options->pictures, options->dimensions * sizeof(float))))
		code = ad_fail_nomem(err);
	if (code)
		goto fail;
	*out = f;
	return 0;
fail:
	ad_fitter_free(f);
	return code;
}

static void flush_batch(ad_fitter *f)
{
	int threads = ad_linalg_begin(f->l);

	ad_linalg_add_scatter(f->l, f->o.dimensions, f->in_batch, f->batch, f->scatter);
	ad_linalg_end(f->l, threads);
	f->in_batch = 0;
}

int ad_fitter_add(ad_fitter *f, size_t index, const float *row, adtool_error *err)
{
	size_t d = f->o.dimensions, i;
	double *to;

	if (index >= f->o.pictures)
		return ad_fail(err, ADTOOL_EINVAL, "picture %zu of %zu cannot be added", index + 1, f->o.pictures);
	if (f->came[index])
		return ad_fail(err, ADTOOL_EINVAL, "picture %zu of %zu cannot be added twice", index + 1,
			       f->o.pictures);
	for (i = 0; i < d; i++)
		if (!isfinite(row[i]))
			return ad_fail(err, ADTOOL_ENUMERIC, "feature %zu of %zu is %g, not a finite number", i + 1, d,
				       (double)row[i]);
	f->came[index] = 1;
	f->added++;
	if (!f->covariance) {
		memcpy(f->rows + index * d, row, d * sizeof(float));
		return 0;
	}
	if (f->held[index]) {
		memcpy(f->rows + f->held_count * d, row, d * sizeof(float));
		f->held_index[f->held_count++] = index;
		return 0;
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
	return 0;
}

void ad_fitter_free(ad_fitter *f)
{
	if (!f)
		return;
	ad_linalg_close(f->l);
	ad_free(f->came);
	ad_free(f->index);
	ad_free(f->held);
	ad_free(f->held_index);
	ad_free_aligned(f->rows);
	ad_free_aligned(f->first);
	ad_free_aligned(f->sum);
	ad_free_aligned(f->scatter);
	ad_free_aligned(f->batch);
	ad_free(f);
}

/* -- what is kept ------------------------------------------------------------------------------------ */

struct choice {
	size_t k, n;  /* components; pictures fitted */
	double noise; /* ppca: sigma^2; 0 when nothing is left for it */
	double kept;  /* share of the energy */
};

/*
 * values: `count` squared singular values, descending, of n pictures. They carry an error of about eps times the
 * largest element of the matrix they come from, so what is below max(n, D) eps max(values[0], largest) counts as 0.
 */
static struct choice choose(const ad_fit_options *o, const double *values, size_t count, size_t n, double largest)
{
	struct choice c = {.n = n, .kept = 1};
	size_t d = o->dimensions, order = smaller(smaller(n, d), count), rank = 0, i;
	double tolerance = (double)larger(n, d) * DBL_EPSILON * fmax(values[0], largest), total = 0, sum = 0;

	while (rank < order && values[rank] > tolerance)
		total += values[rank++];
	if (o->method == ADTOOL_FRE) {
		size_t limit = smaller(rank, smaller(n - 2, d - 1));

		if (o->components == SIZE_MAX)
			for (; c.k < limit && sum < o->energy * total; c.k++)
				sum += values[c.k];
		else
			c.k = smaller(o->components, limit);
	} else {
		size_t all = smaller(n, d);

		if (o->components != SIZE_MAX) {
			c.k = smaller(rank, o->components);
		} else {
			/* Ten directions are the noise's; as many as N pictures leave of ten where there are fewer. */
			c.k = all > 10 ? all - 10 : 0;
			if (c.k + 9 > rank)
				c.k = rank > 9 ? rank - 9 : 0;
		}
		for (sum = 0, i = c.k; i < rank; i++)
			sum += values[i];
		if (c.k < rank)
			c.noise = sum / (double)(all - c.k) / (double)(n - 1);
	}
	for (sum = 0, i = 0; i < c.k; i++)
		sum += values[i];
	if (total > 0)
		c.kept = sum / total;
	return c;
}

static int fail_noise(const struct choice *c, int refit, adtool_error *err)
{
	return ad_fail(err, ADTOOL_ENUMERIC,
		       "%zu pictures%s have no variance beyond %zu components, so ppca has none left "
		       "for the noise; give it fewer components, or pictures that differ more",
		       c->n, refit ? " (those of a calibration refit)" : "", c->k);
}

static int fail_lapack(int info, adtool_error *err)
{
	return ad_fail(err, ADTOOL_ENUMERIC, "LAPACK finds no eigenvalues (info %d)", info);
}

static int fail_same(size_t n, adtool_error *err)
{
	return ad_fail(err, ADTOOL_ENUMERIC, "all %zu pictures have the same features: there is nothing to learn from",
		       n);
}

/* Room for k components; the caller fills all but the options. */
static int detector_create(const ad_fit_options *o, const struct choice *c, ad_detector *out, adtool_error *err)
{
	ad_detector d = {
	    .method = o->method,
	    .dimensions = o->dimensions,
	    .cells = o->cells,
	    .components = c->k,
	    .aggregate = o->aggregate,
	    .top = o->top,
	    .noise_variance = c->noise,
	    .variances = ad_malloc_aligned(c->k, sizeof(double)),
	};

	if (o->method == ADTOOL_FRE) {
		d.mean32 = ad_malloc_aligned(o->dimensions, sizeof(float));
		d.rows32 = ad_malloc_aligned(o->dimensions, c->k * sizeof(float));
	} else {
		d.mean = ad_malloc_aligned(o->dimensions, sizeof(double));
		d.rows = ad_malloc_aligned(o->dimensions, c->k * sizeof(double));
	}
	if (!d.variances || (!d.mean32 && !d.mean) || (!d.rows32 && !d.rows)) {
		ad_detector_release(&d);
		return ad_fail_nomem(err);
	}
	*out = d;
	return 0;
}

static void set_mean(ad_detector *d, const double *mean)
{
	size_t i;

	for (i = 0; i < d->dimensions; i++) {
		if (d->mean32)
			d->mean32[i] = (float)mean[i];
		else
			d->mean[i] = mean[i];
	}
}

static int calibration_create(const ad_fit_options *o, size_t n, ad_calibration *out, adtool_error *err)
{
	ad_calibration c = {.n = n, .cells = o->cells};

	c.scores = ad_malloc_array(n, sizeof(double));
	c.index = ad_malloc_array(n, sizeof(size_t));
	if (o->method == ADTOOL_FRE)
		c.peaks = ad_malloc_array(n, sizeof(double));
	else
		c.q = ad_malloc_array(n, sizeof(double));
	if (o->keep_maps && o->method == ADTOOL_FRE)
		c.maps = ad_malloc_aligned(n, o->cells * sizeof(float));
	if (!c.scores || !c.index || (!c.peaks && !c.q) || (o->keep_maps && c.peaks && !c.maps)) {
		ad_calibration_release(&c);
		return ad_fail_nomem(err);
	}
	*out = c;
	return 0;
}

void ad_calibration_release(ad_calibration *c)
{
	if (!c)
		return;
	ad_free(c->scores);
	ad_free(c->index);
	ad_free(c->peaks);
	ad_free_aligned(c->maps);
	ad_free(c->q);
	ad_free(c->picture);
	ad_free(c->near);
	ad_free(c->distance2);
	*c = (ad_calibration){0};
}

/* residual: of one picture, `cells` sums of squares; q: sum z^2 / lambda (ppca). */
static void set_score(const ad_fit_options *o, ad_calibration *c, size_t i, const double *residual, double q,
		      double noise, double shift)
{
	size_t cell;

	if (o->method == ADTOOL_PPCA) {
		c->q[i] = q + residual[0] / noise;
		c->scores[i] = c->q[i] / 2 + shift;
		return;
	}
	c->scores[i] = ad_aggregate_double(residual, o->cells, o->aggregate, o->top);
	c->peaks[i] = residual[0];
	for (cell = 1; cell < o->cells; cell++)
		c->peaks[i] = fmax(c->peaks[i], residual[cell]);
	for (cell = 0; c->maps && cell < o->cells; cell++)
		c->maps[i * o->cells + cell] = (float)residual[cell];
}

struct progress {
	void (*fn)(void *context, size_t done, size_t total);
	void *context;
	size_t total;
	atomic_size_t done;
};

/* Worker 0 is the caller's thread, the only one that may call back. */
static void advance(struct progress *p, unsigned worker)
{
	size_t done = atomic_fetch_add(&p->done, 1) + 1;

	if (p->fn && !worker)
		p->fn(p->context, done, p->total);
}

/* -- N < D: the Gram matrix -------------------------------------------------------------------------- */

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
	struct choice *choices;    /* groups */
	struct lane *lanes;
	size_t lane_count;
	struct bench *benches;
	size_t bench_count;
	const ad_detector *detector; /* being filled */
	struct progress *progress;
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
		code = shuffled(units, m->o->seed, &order, err);
	if (code)
		goto out;
	for (i = 0; i < m->n; i++)
		sizes[unit[i]]++;
	refits = refits_among(m->o, m->n, units);
	m->groups = refits ? refits : 1;
	target = refits ? m->n : held_out_of(m->n, LEAVE_ONE_OUT_UP_TO);
	gram_deal(order, units, sizes, m->groups, target, filled, fold);
	for (i = 0; i < m->groups; i++) {
		m->calibrated += filled[i];
		m->largest = larger(m->largest, filled[i]);
	}
	m->main_count = refits ? m->n : m->n - m->calibrated;
	if (m->n - m->largest < 2) {
		code = fail_groups(m->n, err);
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

	m->lane_count = smaller(lanes_of(m->o, m->n, threads), m->groups);
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
	return differ ? 0 : fail_same(count, err);
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
static int gram_decompose(const struct gram *m, struct lane *w, size_t n, struct choice *out)
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
		*out = choose(m->o, w->eigen.values, n, n, largest);
		info = ad_eigen_vectors(m->l, &w->eigen, out->k);
	}
	return info;
}

/* What the fit in w says of the pictures its group leaves out. */
static void gram_leave_out(struct gram *m, struct lane *w, size_t n, const struct choice *c, size_t group)
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
		advance(m->progress, worker);
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

static int finish_gram(ad_fitter *f, ad_pool *pool, struct progress *progress, ad_detector *detector, double *kept,
		       ad_calibration *calibration, adtool_error *err)
{
	struct gram m = {.o = &f->o, .l = f->l, .rows = f->rows, .d = f->o.dimensions, .progress = progress};
	struct choice c;
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
	advance(progress, 0);

	info = gram_decompose(&m, &m.lanes[0], m.main_count, &c);
	if (info) {
		code = fail_lapack(info, err);
		goto out;
	}
	if (f->o.method == ADTOOL_PPCA && !(c.noise > 0)) {
		code = fail_noise(&c, 0, err);
		goto out;
	}
	code = detector_create(&f->o, &c, detector, err);
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
	set_mean(detector, m.centre);
	advance(progress, 0);
	*kept = c.kept;
	if (f->o.only_fit)
		goto out;

	if (refits)
		ad_pool_run(pool, gram_refits, &m, m.lane_count);
	else
		gram_leave_out(&m, &m.lanes[0], m.main_count, &c, 0);
	for (i = 0; !code && refits && i < m.groups; i++) {
		if (m.failed[i])
			code = fail_lapack(m.failed[i], err);
		else if (f->o.method == ADTOOL_PPCA && !(m.choices[i].noise > 0))
			code = fail_noise(&m.choices[i], 1, err);
	}
	if (!code)
		code = calibration_create(&f->o, m.calibrated, calibration, err);
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
		set_score(&f->o, calibration, slot, m.residual + slot * f->o.cells, m.q[slot], m.noise[slot],
			  m.shift[slot]);
	}
	code = gram_nearest(&m, index, calibration, err);
	advance(progress, 0);
out:
	gram_release(&m);
	return code;
}

/* -- N >= D: the covariance -------------------------------------------------------------------------- */

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
		for (j = 0; j < d; j++)
			sums[j % cells] += r[i * d + j] * r[i * d + j];
		for (j = 0; j < h->k; j++)
			q += z[i * h->k + j] * z[i * h->k + j] / h->values[j] * (double)(h->fitted - 1);
		h->q[row + i] = q;
	}
}

static int calibrate_held(const ad_fitter *f, ad_pool *pool, const double *mean, const ad_eigen *eigen,
			  const struct choice *c, double shift, ad_calibration *calibration, adtool_error *err)
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
		code = calibration_create(&f->o, h.count, calibration, err);
	if (!code) {
		ad_pool_run(pool, held_panel, &h, (h.count + PANEL - 1) / PANEL);
		calibration->kind = ADTOOL_CV_HELD_OUT;
		calibration->folds = 1;
		for (i = 0; i < h.count; i++) {
			calibration->index[i] = f->held_index[i];
			set_score(&f->o, calibration, i, h.residual + i * f->o.cells, h.q[i], c->noise, shift);
		}
	}
	for (i = 0; h.work && i < workers; i++)
		ad_free_aligned(h.work[i]);
	ad_free(h.work);
	ad_free_aligned(h.residual);
	ad_free(h.q);
	return code;
}

static int finish_covariance(ad_fitter *f, ad_pool *pool, struct progress *progress, ad_detector *detector,
			     double *kept, ad_calibration *calibration, adtool_error *err)
{
	size_t d = f->o.dimensions, i, j;
	double largest = 0, *mean = f->sum;
	struct choice c;
	ad_eigen eigen = {0};
	int code, info;

	if (f->fitted < 2 || (!f->held_count && !f->o.only_fit))
		return ad_fail(err, ADTOOL_EINVAL,
			       "of %zu usable pictures %zu are held out for calibration: too few to learn "
			       "from",
			       f->added, f->held_count);
	if (!f->differ)
		return fail_same(f->fitted, err);
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
	advance(progress, 0);
	info = ad_eigen_values(f->l, &eigen, f->scatter, d);
	if (!info) {
		c = choose(&f->o, eigen.values, d, f->fitted, largest);
		info = ad_eigen_vectors(f->l, &eigen, c.k);
	}
	if (info) {
		code = fail_lapack(info, err);
		goto out;
	}
	if (f->o.method == ADTOOL_PPCA && !(c.noise > 0)) {
		code = fail_noise(&c, 0, err);
		goto out;
	}
	code = detector_create(&f->o, &c, detector, err);
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
	set_mean(detector, mean);
	advance(progress, 0);
	if (!f->o.only_fit)
		code = calibrate_held(f, pool, mean, &eigen, &c, ad_detector_shift(detector), calibration, err);
	*kept = c.kept;
	advance(progress, 0);
out:
	ad_eigen_release(&eigen);
	return code;
}

int ad_fitter_drop(ad_fitter *f, const size_t *drop, size_t count, adtool_error *err)
{
	size_t d = f->o.dimensions, i, j, n = 0;

	if (f->covariance || !f->index)
		return ad_fail(err, ADTOOL_EINVAL, "no rows are kept that could be dropped");
	for (i = 0; i < f->added; i++) {
		for (j = 0; j < count && drop[j] != f->index[i]; j++)
			;
		if (j < count)
			continue;
		if (i > n)
			memcpy(f->rows + n * d, f->rows + i * d, d * sizeof(float));
		f->index[n++] = f->index[i];
	}
	i = f->added - n;
	f->added = n;
	return i == count ? 0 : ad_fail(err, ADTOOL_EINVAL, "of %zu pictures to drop %zu were found", count, i);
}

int ad_fitter_finish(ad_fitter *f, ad_pool *pool, void (*progress)(void *context, size_t done, size_t total),
		     void *context, ad_detector *detector, double *energy_kept, ad_calibration *calibration,
		     adtool_error *err)
{
	struct progress state = {.fn = progress, .context = context};
	ad_detector d = {0};
	ad_calibration c = {0};
	double kept = 0;
	int code, threads;

	if (f->added < 3)
		return ad_fail(err, ADTOOL_EINVAL, "%zu usable pictures; at least 3 are needed", f->added);
	atomic_init(&state.done, 0);
	threads = ad_linalg_begin(f->l);
	code = (f->covariance ? finish_covariance : finish_gram)(f, pool, &state, &d, &kept, &c, err);
	ad_linalg_end(f->l, threads);
	if (code) {
		ad_detector_release(&d);
		ad_calibration_release(&c);
		return code;
	}
	*detector = d;
	*calibration = c;
	if (energy_kept)
		*energy_kept = kept;
	return 0;
}
