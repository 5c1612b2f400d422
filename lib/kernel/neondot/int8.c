/* NEON with the dot product (AArch64 8.2). */
#include "../int8.h"

#include <arm_neon.h>

typedef int32x4_t vi;
#define q_dot(sum, x, w) vdotq_s32(sum, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(w))
#define AD_TABLE ad_int8_neondot
#define AD_ISA "neondot"
#include "../simd/int8_neon.h"
