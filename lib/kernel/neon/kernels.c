/* The NEON room (AArch64): blocks of 4 channels. */
#include "../kernel.h"

#include <arm_neon.h>

#define VL 4
typedef float32x4_t vf;
typedef uint32x4_t vm;

#define v_load(p) vld1q_f32(p)
#define v_widen(p) vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))
#define v_store(p, x) vst1q_f32(p, x)
#define v_set1(x) vdupq_n_f32(x)
#define v_zero() vdupq_n_f32(0)
#define v_add(a, b) vaddq_f32(a, b)
#define v_sub(a, b) vsubq_f32(a, b)
#define v_mul(a, b) vmulq_f32(a, b)
#define v_div(a, b) vdivq_f32(a, b)
#define v_mask(on) vdupq_n_u32((on) ? UINT32_MAX : 0)
#define v_if(mask, x) vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(x)))
#define v_keep(x) __asm__("" : "+w"(x))
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#define v_round(x) vrndnq_f32(x)

static inline __attribute__((always_inline)) vf v_max(vf a, vf b)
{
	return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline __attribute__((always_inline)) vf v_min(vf a, vf b)
{
	return vbslq_f32(vcltq_f32(a, b), a, b);
}

static inline __attribute__((always_inline)) vf v_max_nan(vf a, vf b)
{
	return vbslq_f32(vorrq_u32(vcltq_f32(a, b), vmvnq_u32(vceqq_f32(b, b))), b, a);
}

static inline __attribute__((always_inline)) vf v_if_negative(vf x, vf a, vf b)
{
	return vbslq_f32(vcltzq_f32(x), a, b);
}

static inline __attribute__((always_inline)) vf v_ldexp(vf x, vf n)
{
	int32x4_t bits = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);

	return vmulq_f32(x, vreinterpretq_f32_s32(bits));
}

static inline __attribute__((always_inline)) vf v_bf16(vf x)
{
	uint32x4_t u = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
	uint32x4_t r = vaddq_u32(vaddq_u32(u, odd), vdupq_n_u32(0x7fff));

	r = vbslq_u32(vceqq_f32(x, x), r, vorrq_u32(u, vdupq_n_u32(0x400000)));
	r = vbslq_u32(vtstq_u32(u, vdupq_n_u32(0x7f800000)), r, vandq_u32(u, vdupq_n_u32(UINT32_C(0x80000000))));
	return vreinterpretq_f32_u32(vandq_u32(r, vdupq_n_u32(UINT32_C(0xffff0000))));
}

static inline __attribute__((always_inline)) void v_transpose(vf r[VL])
{
	float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(r[0], r[1])),
		    b = vreinterpretq_f64_f32(vtrn2q_f32(r[0], r[1]));
	float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(r[2], r[3])),
		    d = vreinterpretq_f64_f32(vtrn2q_f32(r[2], r[3]));

	r[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
	r[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
	r[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
	r[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

/* FPCR bit 24: flush to zero. */
static unsigned long fp_enter(void)
{
	unsigned long mode;

	__asm__ volatile("mrs %0, fpcr" : "=r"(mode));
	__asm__ volatile("msr fpcr, %0" : : "r"(mode | 1ul << 24));
	return mode;
}

static void fp_leave(unsigned long mode)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(mode));
}

#include "../simd/narrow.h"

static void narrow(const ad_narrow_args *a)
{
	narrow_rows(a);
}

#define TILE1 14
#define TILE2 14
#define TILE3 9
#define DEPTHWISE_TILE 6
#define CONV_HALF 0
#define DOTS_ROWS 4
#define SUBTRACT_STEP 4
#define AD_TABLE ad_kernels_neon
#define AD_ISA "neon"
#include "../simd/body.h"
