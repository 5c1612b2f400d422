/* What the rooms of AArch64 share; they define q_dot and include this. */
#define LANES 4
/* The products are of bytes with sign. */
#define OFFSET 128
typedef float32x4_t vf;
typedef uint8x16_t vb;

#define i_load(p) vld1q_s32(p)
#define i_set1(x) vdupq_n_s32(x)
#define i_add(a, b) vaddq_s32(a, b)
#define i_sub(a, b) vsubq_s32(a, b)
#define i_mul(a, b) vmulq_s32(a, b)
#define i_wide16(p) vmovl_s16(vld1_s16(p))
#define i_own(x) __asm__("" : "+w"(x))
#define i_of_f(x) vcvtnq_s32_f32(x)
#define f_of_i(x) vcvtq_f32_s32(x)
#define f_load(p) vld1q_f32(p)
#define f_store(p, x) vst1q_f32(p, x)
#define f_set1(x) vdupq_n_f32(x)
#define f_mul(a, b) vmulq_f32(a, b)
#define f_add(a, b) vaddq_f32(a, b)
#define q_weights(p) vreinterpretq_s32_s8(vld1q_s8(p))
#define b_load(p) vld1q_u8(p)
#define b_store(p, x) vst1q_u8(p, x)
#define b_max(a, b) vmaxq_u8(a, b)
#define b_zero() vdupq_n_u8(0)

static inline __attribute__((always_inline)) vf f_max(vf a, vf b)
{
	return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline __attribute__((always_inline)) vf f_min(vf a, vf b)
{
	return vbslq_f32(vcltq_f32(a, b), a, b);
}

static inline __attribute__((always_inline)) vi i_wide(const uint8_t *p)
{
	uint32_t four;

	__builtin_memcpy(&four, p, sizeof(four));
	return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
}

static inline __attribute__((always_inline)) void i_narrow(uint8_t *p, vi x)
{
	uint16x4_t words = vqmovun_s32(x);
	uint32_t four = vget_lane_u32(vreinterpret_u32_u8(vqmovn_u16(vcombine_u16(words, words))), 0);

	__builtin_memcpy(p, &four, sizeof(four));
}

static inline __attribute__((always_inline)) vi q_quad(const uint8_t *p)
{
	uint32_t quad;

	__builtin_memcpy(&quad, p, sizeof(quad));
	return vreinterpretq_s32_u32(vdupq_n_u32(quad ^ 0x80808080u));
}

#define TILE1 6
#define TILE2 0
#include "int8.h"
