/* The AVX2 room (with FMA): blocks of 8 channels. */
#include "../kernel.h"

#include <immintrin.h>

#define VL 8
typedef __m256 vf;

#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, x) _mm256_storeu_ps(p, x)
#define v_set1(x) _mm256_set1_ps(x)
#define v_zero() _mm256_setzero_ps()
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_div(a, b) _mm256_div_ps(a, b)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_max_nan(a, b)                                                                                                \
	_mm256_blendv_ps(a, b, _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ), _mm256_cmp_ps(b, b, _CMP_UNORD_Q)))
#define v_if_negative(x, a, b) _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ))
#define v_round(x) _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

static inline __attribute__((always_inline)) vf v_ldexp(vf x, vf n)
{
	__m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);

	return _mm256_mul_ps(x, _mm256_castsi256_ps(bits));
}

static inline __attribute__((always_inline)) void v_transpose(vf r[VL])
{
	__m256 t[VL];

	/* 4 x 4 within each 128-bit lane, then 2 x 2 of the lanes. */
#pragma GCC unroll 2
	for (int i = 0; i < VL; i += 4) {
		__m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[i], r[i + 1]));
		__m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(r[i], r[i + 1]));
		__m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r[i + 2], r[i + 3]));
		__m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(r[i + 2], r[i + 3]));

		t[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
		t[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
		t[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
		t[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
		r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
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

#define TILE1 9
#define TILE2 6
#define TILE3 4
#define AD_TABLE ad_kernels_avx2
#define AD_ISA "avx2"
#include "../simd/body.h"
