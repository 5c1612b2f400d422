/* The AVX-512 room (F, BW, DQ, VL): blocks of 16 channels. */
#include "../kernel.h"

#include <immintrin.h>

#define VL 16
typedef __m512 vf;
typedef __mmask16 vm;

#define v_load(p) _mm512_loadu_ps(p)
#define v_widen(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define v_store(p, x) _mm512_storeu_ps(p, x)
#define v_set1(x) _mm512_set1_ps(x)
#define v_zero() _mm512_setzero_ps()
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_div(a, b) _mm512_div_ps(a, b)
#define v_mask(on) (__mmask16)((on) ? 0xffff : 0)
#define v_if(mask, x) _mm512_maskz_mov_ps(mask, x)
#define v_keep_pointer(p) __asm__("" : "+r"(p))
#define v_keep(x) __asm__("" : "+v"(x))
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_max_nan(a, b)                                                                                                \
	_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ) | _mm512_cmp_ps_mask(b, b, _CMP_UNORD_Q), a, b)
#define v_if_negative(x, a, b) _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a)
#define v_round(x) _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT)
#define v_ldexp(x, n) _mm512_scalef_ps(x, n)

static inline __attribute__((always_inline)) vf v_bf16(vf x)
{
	__m512i u = _mm512_castps_si512(x);
	__m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
	__m512i r = _mm512_add_epi32(_mm512_add_epi32(u, odd), _mm512_set1_epi32(0x7fff));

	r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
	r = _mm512_mask_and_epi32(r, _mm512_testn_epi32_mask(u, _mm512_set1_epi32(0x7f800000)), u,
				  _mm512_set1_epi32((int)0x80000000));
	return _mm512_castsi512_ps(_mm512_and_si512(r, _mm512_set1_epi32((int)0xffff0000)));
}

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

/* -- narrow: four rows, one in each 128-bit lane -------------------------------------------------------- */

static inline __attribute__((always_inline)) __m512i four_rows(const uint8_t *p, size_t pitch, size_t rows)
{
	__m512i s = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)p));

	/* Rows that are not there are computed as the first, and not stored. */
	s = _mm512_inserti32x4(s, _mm_loadu_si128((const __m128i *)(const void *)(p + (rows > 1 ? pitch : 0))), 1);
	s = _mm512_inserti32x4(s, _mm_loadu_si128((const __m128i *)(const void *)(p + (rows > 2 ? 2 * pitch : 0))), 2);
	return _mm512_inserti32x4(s, _mm_loadu_si128((const __m128i *)(const void *)(p + (rows > 3 ? 3 * pitch : 0))),
				  3);
}

static inline __attribute__((always_inline)) __m512i both(const int16_t w[2])
{
	int32_t two;

	memcpy(&two, w, sizeof(two));
	return _mm512_set1_epi32(two);
}

static void narrow(const ad_narrow_args *a)
{
	/* R R' G G' B B' . . of two neighbouring pixels, widened; and of the two after them. */
	const __m512i first = _mm512_broadcast_i32x4(
	    _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
	const __m512i second = _mm512_broadcast_i32x4(
	    _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
	const __m512i half = _mm512_set1_epi32(1 << (AD_PAIR_BITS - 1));

	for (size_t x = 0; x < a->width; x++) {
		const uint8_t *p = a->in + (size_t)3 * a->first[x];
		const ad_pair *w = a->pairs + a->stride * x;
		__m512i high = _mm512_setzero_si512(), low = high;
		size_t n = (a->count[x] + 1) / 2;
		uint8_t bytes[64];

		for (; n >= 2; n -= 2, p += 12, w += 2) {
			__m512i s = four_rows(p, a->pitch, a->rows), t = _mm512_shuffle_epi8(s, second);

			s = _mm512_shuffle_epi8(s, first);
			high = _mm512_add_epi32(high, _mm512_madd_epi16(s, both(w[0].high)));
			low = _mm512_add_epi32(low, _mm512_madd_epi16(s, both(w[0].low)));
			high = _mm512_add_epi32(high, _mm512_madd_epi16(t, both(w[1].high)));
			low = _mm512_add_epi32(low, _mm512_madd_epi16(t, both(w[1].low)));
		}
		if (n) {
			__m512i s = _mm512_shuffle_epi8(four_rows(p, a->pitch, a->rows), first);

			high = _mm512_add_epi32(high, _mm512_madd_epi16(s, both(w->high)));
			low = _mm512_add_epi32(low, _mm512_madd_epi16(s, both(w->low)));
		}
		high = _mm512_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, AD_PAIR_LOW), low), half);
		high = _mm512_srai_epi32(high, AD_PAIR_BITS);
		high = _mm512_packs_epi32(high, high);
		_mm512_storeu_si512(bytes, _mm512_packus_epi16(high, high));
		for (size_t r = 0; r < a->rows; r++)
			memcpy(a->out[r] + 3 * x, bytes + 16 * r, 4);
	}
}

#define TILE1 14
#define TILE2 14
#define TILE3 9
#define WHOLE1 28
#define WHOLE2 14
#define WHOLE3 9
#define DEPTHWISE_TILE 7
#define CONV_HALF 1
#define v_pair(p) _mm512_castpd_ps(_mm512_set1_pd(*(const pair_of_floats *)(const void *)(p)))

/* Two floats, moved as one. */
typedef double pair_of_floats __attribute__((aligned(4), may_alias));

static inline __attribute__((always_inline)) vf v_fold(vf a, vf b)
{
	const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);

	return _mm512_add_ps(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b));
}

#define DOTS_ROWS 4
#define SUBTRACT_STEP 4
#define AD_TABLE ad_kernels_avx512
#define AD_ISA "avx512"
#include "../simd/body.h"
