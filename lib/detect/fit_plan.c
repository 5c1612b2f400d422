/* How a fit is held against pictures that it has not seen, and the memory that this takes. */
#include "fit.h"

#include "../base/fail.h"
#include "../base/rng.h"

enum { FOLDS = 10, LEAVE_ONE_OUT_BELOW = 40 /* fre */ };

/* What the refits of one fit may take beside each other; more threads than this allows wait. */
#define REFIT_BYTES ((uint64_t)1 << 30)

/* OpenBLAS, LAPACK and what they pack matrices into: in all, and per thread. */
#define LIBRARY_BYTES ((double)(8 << 20))
#define LIBRARY_THREAD_BYTES ((double)(2 << 20))

size_t ad_fit_held_out(size_t n, size_t at_most)
{
	size_t h = smaller(larger(n / 5, 2), at_most);

	return smaller(h, n - 2);
}

int ad_fit_order(size_t n, uint64_t seed, size_t **out, adtool_error *err)
{
	ad_rng rng;

	ad_rng_seed(&rng, seed);
	*out = ad_rng_order(&rng, n);
	return *out ? 0 : ad_fail_nomem(err);
}

size_t ad_fit_refits(const ad_fit_options *o, size_t n, size_t units)
{
	if (o->method == ADTOOL_PPCA)
		return n > LEAVE_ONE_OUT_UP_TO ? 0 : units;
	return n < LEAVE_ONE_OUT_BELOW ? units : smaller(units, FOLDS);
}

static size_t refits_of(const ad_fit_options *o, size_t n)
{
	return ad_fit_refits(o, n, o->groups ? smaller(o->group_count, n) : n);
}

/* How many pictures one refit leaves out, at most. */
static size_t group_of(const ad_fit_options *o, size_t n)
{
	size_t refits = refits_of(o, n);
	size_t group = refits ? (n + refits - 1) / refits : ad_fit_held_out(n, LEAVE_ONE_OUT_UP_TO);

	return o->groups ? smaller(n, group + o->largest_group) : group;
}

static double refit_bytes(const ad_fit_options *o, double n)
{
	double group = (double)group_of(o, (size_t)n);

	/* The eigenvalue problem, its matrix, and the products with the pictures left out. */
	return (double)ad_eigen_bytes((size_t)n) + 8 * (n * n + n + 3 * n * group) + 8 * n;
}

size_t ad_fit_lanes(const ad_fit_options *o, size_t n, unsigned threads)
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
		      (double)ad_fit_lanes(o, o->pictures, threads ? threads : 1) * refit_bytes(o, n) +
		      t * 8 * COLUMNS * (n + (n > PANEL ? n : PANEL)) + item * n * d;
	} else {
		held =
		    (double)ad_fit_held_out(o->pictures, HELD_OUT_AT_MOST) + (o->groups ? (double)o->largest_group : 0);
		sum = 4 * held * d + 8 * (d * d + BATCH * d + d) + (double)ad_eigen_bytes(o->dimensions) +
		      8 * held * (double)o->cells + t * 8 * PANEL * 3 * d + item * d * d;
	}
	sum += LIBRARY_BYTES + t * LIBRARY_THREAD_BYTES + (o->keep_maps ? 4 * held * (double)o->cells : 0);
	return sum < 0x1p63 ? (uint64_t)sum : UINT64_MAX;
}

int ad_fit_fail_groups(size_t n, adtool_error *err)
{
	return ad_fail(
	    err, ADTOOL_EINVAL,
	    "the groups of %zu pictures are too large: without one of them fewer than 2 are left to learn from", n);
}
