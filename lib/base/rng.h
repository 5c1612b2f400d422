/* A small seeded generator (SplitMix64: Steele, Lea & Flood 2014): same sequence everywhere. */
#ifndef AD_RNG_H
#define AD_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct ad_rng { uint64_t state; } ad_rng;

void ad_rng_seed(ad_rng *r, uint64_t seed);
uint64_t ad_rng_next(ad_rng *r);
uint64_t ad_rng_below(ad_rng *r, uint64_t n); /* uniform in 0 .. n-1, without bias; n >= 1 */
double ad_rng_double(ad_rng *r);              /* uniform in [0, 1), 53 bits */
double ad_rng_normal(ad_rng *r);              /* standard normal (Box-Muller, one per call) */
/* Fisher-Yates on an index array. */
void ad_rng_shuffle(ad_rng *r, size_t *index, size_t n);
/* 0 .. n-1, shuffled; NULL when there is no memory. The caller frees. */
size_t *ad_rng_order(ad_rng *r, size_t n);

#endif
