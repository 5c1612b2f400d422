/* NEON without the dot product. */
#include "../int8.h"

#include <arm_neon.h>

typedef int32x4_t vi;

static inline __attribute__((always_inline)) vi q_dot(vi sum, vi x, vi w)
{
	int8x16_t a = vreinterpretq_s8_s32(x), b = vreinterpretq_s8_s32(w);
	int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
	int32x4_t high = vpaddlq_s16(vmull_s8(vget_high_s8(a), vget_high_s8(b)));

	return vaddq_s32(sum, vpaddq_s32(low, high));
}

#define AD_TABLE ad_int8_neon
#define AD_ISA "neon"
#include "../simd/int8_neon.h"
