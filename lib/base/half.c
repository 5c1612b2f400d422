#include "half.h"

uint16_t ad_float_to_half(float value)
{
	uint32_t bits, sign, magnitude, half, rest;
	unsigned shift;

	memcpy(&bits, &value, sizeof(bits));
	sign = bits >> 16 & 0x8000;
	magnitude = bits & 0x7fffffff;
	if (magnitude > 0x7f800000)
		return (uint16_t)(sign | 0x7e00);
	if (magnitude >= 0x47800000) /* 2^16 and more */
		return (uint16_t)(sign | 0x7c00);
	if (magnitude < 0x33000000) /* below half of the smallest */
		return (uint16_t)sign;
	if (magnitude < 0x38800000) { /* subnormal: in units of 2^-24 */
		shift = 126 - (magnitude >> 23);
		magnitude = (magnitude & 0x7fffff) | 0x800000;
	} else {
		shift = 13;
		magnitude -= 112u << 23;
	}
	half = magnitude >> shift;
	rest = magnitude & ((1u << shift) - 1);
	if (rest > 1u << (shift - 1) || (rest == 1u << (shift - 1) && half & 1))
		half++;
	return (uint16_t)(sign | half);
}

/*
 * ad_half_to_float four at a time. The exponent is widened by a product with 2^112, which is exact for subnormal
 * numbers, too; that of infinity and NaN is then set, and the bit of quiet ones.
 */
void ad_halves_to_floats(const ad_loose_half *in, size_t count, float *out)
{
	typedef uint16_t halves __attribute__((vector_size(8)));
	typedef uint32_t bits __attribute__((vector_size(16)));
	typedef float numbers __attribute__((vector_size(16)));
	const bits infinity = (bits){0} + 0x7f800000, quiet = (bits){0} + 0x400000;
	size_t i = 0;

	for (; i + 4 <= count; i += 4) {
		halves four;
		bits all, magnitude, value;
		numbers wide;

		memcpy(&four, in + i, sizeof(four));
		all = __builtin_convertvector(four, bits);
		magnitude = all & 0x7fff;
		wide = (numbers)(magnitude << 13) * 0x1p112f;
		value = (bits)wide | ((bits)(magnitude >= 0x7c00) & infinity) | ((bits)(magnitude > 0x7c00) & quiet) |
			(all & 0x8000) << 16;
		memcpy(out + i, &value, sizeof(value));
	}
	for (; i < count; i++)
		out[i] = ad_half_to_float(in[i]);
}
