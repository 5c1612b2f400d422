/* The kernel `narrow` in plain C, for the rooms that have nothing better. */
#ifndef AD_SIMD_NARROW_H
#define AD_SIMD_NARROW_H

#include "../kernel.h"

static void narrow_rows(const ad_narrow_args *a)
{
	for (size_t r = 0; r < a->rows; r++) {
		uint8_t *to = a->out[r];

		for (size_t x = 0; x < a->width; x++, to += 3) {
			const uint8_t *from = a->in + r * a->pitch + (size_t)3 * a->first[x];
			const ad_pair *w = a->pairs + a->stride * x;
			int32_t sum[3] = {0};

			for (size_t n = (a->count[x] + 1) / 2; n; n--, from += 6, w++) {
				int32_t w0 = w->high[0] * (1 << AD_PAIR_LOW) + w->low[0];
				int32_t w1 = w->high[1] * (1 << AD_PAIR_LOW) + w->low[1];

				for (size_t c = 0; c < 3; c++)
					sum[c] += from[c] * w0 + from[3 + c] * w1;
			}
			for (size_t c = 0; c < 3; c++) {
				/* Rounding errors of very many weights can carry a sum just over 255. */
				int32_t value = (sum[c] + (1 << (AD_PAIR_BITS - 1))) >> AD_PAIR_BITS;

				to[c] = (uint8_t)(value > 255 ? 255 : value);
			}
		}
	}
}

#endif
