/* Noise that is the same everywhere: a number's bits, mixed. */
#ifndef TESTS_TOOLS_NOISE_H
#define TESTS_TOOLS_NOISE_H

#include <stdint.h>

static inline uint32_t noise(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7feb352du;
	x ^= x >> 15;
	x *= 0x846ca68bu;
	return x ^ x >> 16;
}

#endif
