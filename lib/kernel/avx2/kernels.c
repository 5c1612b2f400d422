/* The AVX2 room (with FMA): blocks of 8 channels. */
#include "../kernel.h"

#include <immintrin.h>

#define VL 8
typedef __m256 vf;
typedef __m256 vm;

#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, x) _mm256_storeu_ps(p, x)
#define v_set1(x) _mm256_set1_ps(x)
#define v_zero() _mm256_setzero_ps()
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_div(a, b) _mm256_div_ps(a, b)
#define v_mask(on) _mm256_castsi256_ps(_mm256_set1_epi32((on) ? -1 : 0))
#define v_if(mask, x) _mm256_and_ps(mask, x)
#define v_keep(x) __asm__("" : "+x"(x))
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

/* Without F16C, which is a feature of its own; and on threads where denormals are zero. */
static inline __attribute__((always_inline)) vf v_widen(const ad_loose_half *p)
{
	__m256i h = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
	__m256i size = _mm256_and_si256(h, _mm256_set1_epi32(0x7fff)), shifted = _mm256_slli_epi32(size, 13);
	__m256i sign = _mm256_slli_epi32(_mm256_and_si256(h, _mm256_set1_epi32(0x8000)), 16);
	__m256i small = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x400), size);
	__m256i wild = _mm256_cmpgt_epi32(size, _mm256_set1_epi32(0x7bff)),
		nan = _mm256_cmpgt_epi32(size, _mm256_set1_epi32(0x7c00));
	__m256i few = _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(size), _mm256_set1_ps(0x1p-24f)));
	__m256i r = _mm256_blendv_epi8(_mm256_add_epi32(shifted, _mm256_set1_epi32(112 << 23)), few, small);

	r = _mm256_or_si256(r, _mm256_and_si256(wild, _mm256_set1_epi32(0x7f800000)));
	r = _mm256_or_si256(r, _mm256_and_si256(nan, _mm256_set1_epi32(0x400000)));
	return _mm256_castsi256_ps(_mm256_or_si256(r, sign));
}

static inline __attribute__((always_inline)) vf v_bf16(vf x)
{
	__m256i u = _mm256_castps_si256(x), exponent = _mm256_set1_epi32(0x7f800000);
	__m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
	__m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
	__m256i small = _mm256_cmpeq_epi32(_mm256_and_si256(u, exponent), _mm256_setzero_si256());
	__m256i r = _mm256_add_epi32(_mm256_add_epi32(u, odd), _mm256_set1_epi32(0x7fff));

	r = _mm256_blendv_epi8(r, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), nan);
	r = _mm256_blendv_epi8(r, _mm256_and_si256(u, _mm256_set1_epi32((int)0x80000000)), small);
	return _mm256_castsi256_ps(_mm256_and_si256(r, _mm256_set1_epi32((int)0xffff0000)));
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

/* -- narrow: two rows, one in each 128-bit lane --------------------------------------------------------- */

static inline __attribute__((always_inline)) __m256i two_rows(const uint8_t *p, size_t pitch)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p)),
				       _mm_loadu_si128((const __m128i *)(const void *)(p + pitch)), 1);
}

static inline __attribute__((always_inline)) __m256i both(const int16_t w[2])
{
	int32_t two;

	memcpy(&two, w, sizeof(two));
	return _mm256_set1_epi32(two);
}

static void narrow(const ad_narrow_args *a)
{
	/* R R' G G' B B' . . of two neighbouring pixels, widened; and of the two after them. */
	const __m256i first = _mm256_broadcastsi128_si256(
	    _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
	const __m256i second = _mm256_broadcastsi128_si256(
	    _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
	const __m256i half = _mm256_set1_epi32(1 << (AD_PAIR_BITS - 1));

	for (size_t r = 0; r < a->rows; r += 2) {
		/* A row that is not there is computed as the one before it, and not stored. */
		size_t rows = a->rows - r < 2 ? 1 : 2, pitch = rows > 1 ? a->pitch : 0;

		for (size_t x = 0; x < a->width; x++) {
			const uint8_t *p = a->in + r * a->pitch + (size_t)3 * a->first[x];
			const ad_pair *w = a->pairs + a->stride * x;
			__m256i high = _mm256_setzero_si256(), low = high;
			size_t n = (a->count[x] + 1) / 2;
			uint8_t bytes[32];

			for (; n >= 2; n -= 2, p += 12, w += 2) {
				__m256i s = two_rows(p, pitch), t = _mm256_shuffle_epi8(s, second);

				s = _mm256_shuffle_epi8(s, first);
				high = _mm256_add_epi32(high, _mm256_madd_epi16(s, both(w[0].high)));
				low = _mm256_add_epi32(low, _mm256_madd_epi16(s, both(w[0].low)));
				high = _mm256_add_epi32(high, _mm256_madd_epi16(t, both(w[1].high)));
				low = _mm256_add_epi32(low, _mm256_madd_epi16(t, both(w[1].low)));
			}
			if (n) {
				__m256i s = _mm256_shuffle_epi8(two_rows(p, pitch), first);

				high = _mm256_add_epi32(high, _mm256_madd_epi16(s, both(w->high)));
				low = _mm256_add_epi32(low, _mm256_madd_epi16(s, both(w->low)));
			}
			high = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high, AD_PAIR_LOW), low), half);
			high = _mm256_srai_epi32(high, AD_PAIR_BITS);
			high = _mm256_packs_epi32(high, high);
			_mm256_storeu_si256((__m256i *)(void *)bytes, _mm256_packus_epi16(high, high));
			for (size_t i = 0; i < rows; i++)
				memcpy(a->out[r + i] + 3 * x, bytes + 16 * i, 4);
		}
	}
}

#define TILE1 9
#define TILE2 6
#define TILE3 4
#define DEPTHWISE_TILE 3
#define CONV_HALF 0
#define DOTS_ROWS 2
#define SUBTRACT_STEP 4
#define AD_TABLE ad_kernels_avx2
#define AD_ISA "avx2"
#include "../simd/body.h"
