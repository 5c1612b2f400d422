/* float16 (IEEE 754 binary16). */
#ifndef AD_HALF_H
#define AD_HALF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A float16 that may lie at any address, as its bits. */
typedef uint16_t ad_loose_half __attribute__((aligned(1)));

/* Exact. A signalling NaN becomes a quiet one, as with the processors' own instructions. */
static inline float ad_half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023, bits;
	float value;

	if (exponent == 31) {
		bits = sign | 0x7f800000 | mantissa << 13 | (mantissa ? 0x400000 : 0);
	} else if (exponent) {
		bits = sign | (exponent + 112) << 23 | mantissa << 13;
	} else {
		value = (float)mantissa * 0x1p-24f;
		return sign ? -value : value;
	}
	memcpy(&value, &bits, sizeof(value));
	return value;
}

uint16_t ad_float_to_half(float value); /* to nearest, ties to even */
/* As ad_half_to_float; not on threads where denormals are zero (kernel.h, fp_enter). */
void ad_halves_to_floats(const ad_loose_half *in, size_t count, float *out);

#endif
