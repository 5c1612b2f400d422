/* AVX-512 with VNNI. */
#include "../int8.h"

#include <immintrin.h>

#define LANES 16
#define OFFSET 0
typedef __m512i vi;
typedef __m512 vf;
typedef __m128i vb;

#define i_load(p) _mm512_loadu_si512(p)
#define i_set1(x) _mm512_set1_epi32(x)
#define i_add(a, b) _mm512_add_epi32(a, b)
#define i_sub(a, b) _mm512_sub_epi32(a, b)
#define i_mul(a, b) _mm512_madd_epi16(a, b)
#define i_wide(p) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
/* For i_mul: the lower 16 bits alone. */
#define i_wide16(p) _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define i_narrow(p, x) _mm_storeu_si128((__m128i *)(void *)(p), _mm512_cvtepi32_epi8(x))
#define i_own(x) __asm__("" : "+v"(x))
#define i_of_f(x) _mm512_cvtps_epi32(x)
#define f_of_i(x) _mm512_cvtepi32_ps(x)
#define f_load(p) _mm512_loadu_ps(p)
#define f_store(p, x) _mm512_storeu_ps(p, x)
#define f_set1(x) _mm512_set1_ps(x)
#define f_mul(a, b) _mm512_mul_ps(a, b)
#define f_add(a, b) _mm512_add_ps(a, b)
#define f_max(a, b) _mm512_max_ps(a, b)
#define f_min(a, b) _mm512_min_ps(a, b)
#define q_weights(p) _mm512_loadu_si512(p)
#define q_dot(sum, x, w) _mm512_dpbusd_epi32(sum, x, w)
#define b_load(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define b_store(p, x) _mm_storeu_si128((__m128i *)(void *)(p), x)
#define b_max(a, b) _mm_max_epu8(a, b)
#define b_zero() _mm_setzero_si128()

/* Left to the compiler, four bytes come by way of a general register, and sums are kept in memory for want of some. */
static inline __attribute__((always_inline)) vi q_quad(const uint8_t *p)
{
	vi x;

	__asm__("vpbroadcastd %1, %0" : "=v"(x) : "m"(*(const uint8_t(*)[4])(const void *)p));
	return x;
}

#define TILE1 14
#define TILE2 14
#define AD_TABLE ad_int8_avx512vnni
#define AD_ISA "avx512vnni"
#include "../simd/int8.h"
