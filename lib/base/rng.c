#include "rng.h"

#include <math.h>

#include "mem.h"

void ad_rng_seed(ad_rng *r, uint64_t seed)
{
	r->state = seed;
}

uint64_t ad_rng_next(ad_rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t ad_rng_below(ad_rng *r, uint64_t n)
{
	/* Values past the last whole multiple of n would favour the small ones. */
	uint64_t limit = UINT64_MAX - UINT64_MAX % n, value;

	do
		value = ad_rng_next(r);
	while (value >= limit);
	return value % n;
}

double ad_rng_double(ad_rng *r)
{
	return (double)(ad_rng_next(r) >> 11) * 0x1p-53;
}

double ad_rng_normal(ad_rng *r)
{
	double u = 1.0 - ad_rng_double(r), v = ad_rng_double(r);

	return sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * v);
}

void ad_rng_shuffle(ad_rng *r, size_t *index, size_t n)
{
	size_t i;

	for (i = n; i > 1; i--) {
		size_t j = (size_t)ad_rng_below(r, i), swap = index[i - 1];

		index[i - 1] = index[j];
		index[j] = swap;
	}
}

size_t *ad_rng_order(ad_rng *r, size_t n)
{
	size_t i, *order = ad_malloc_array(n, sizeof(*order));

	if (!order)
		return NULL;
	for (i = 0; i < n; i++)
		order[i] = i;
	ad_rng_shuffle(r, order, n);
	return order;
}
