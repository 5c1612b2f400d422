/* The AVX-512 room (F, BW, DQ, VL): blocks of 16 channels. */
#include "../kernel.h"

#include <immintrin.h>

#define VL 16
typedef __m512 vf;

#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, x) _mm512_storeu_ps(p, x)
#define v_set1(x) _mm512_set1_ps(x)
#define v_zero() _mm512_setzero_ps()
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_div(a, b) _mm512_div_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_max_nan(a, b)                                                                                                \
	_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ) | _mm512_cmp_ps_mask(b, b, _CMP_UNORD_Q), a, b)
#define v_if_negative(x, a, b) _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a)
#define v_round(x) _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT)
#define v_ldexp(x, n) _mm512_scalef_ps(x, n)

static inline __attribute__((always_inline)) void v_transpose(vf r[VL])
{
	__m512 t[VL];

	/* 4 x 4 within each 128-bit lane, */
#pragma GCC unroll 4
	for (int i = 0; i < VL; i += 4) {
		__m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r[i], r[i + 1]));
		__m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(r[i], r[i + 1]));
		__m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(r[i + 2], r[i + 3]));
		__m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(r[i + 2], r[i + 3]));

		t[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
		t[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
		t[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
		t[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
	}
	/* then 4 x 4 of the lanes. */
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		__m512 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
		__m512 c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88),
		       d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);

		r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
		r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
		r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
		r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
	}
}

/* MXCSR: flush to zero (bit 15), denormals are zero (bit 6). */
static unsigned long fp_enter(void)
{
	unsigned mode = _mm_getcsr();

	_mm_setcsr(mode | 0x8040);
	return mode;
}

static void fp_leave(unsigned long mode)
{
	_mm_setcsr((unsigned)mode);
}

#define TILE1 14
#define TILE2 14
#define TILE3 9
#define AD_TABLE ad_kernels_avx512
#define AD_ISA "avx512"
#include "../simd/body.h"
