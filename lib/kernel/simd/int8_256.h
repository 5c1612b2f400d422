/* What 256-bit rooms share; they define q_dot and include this. */
#define LANES 8
#define OFFSET 0
typedef __m256 vf;
typedef __m128i vb;

#define i_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define i_set1(x) _mm256_set1_epi32(x)
#define i_add(a, b) _mm256_add_epi32(a, b)
#define i_sub(a, b) _mm256_sub_epi32(a, b)
#define i_mul(a, b) _mm256_madd_epi16(a, b)
#define i_wide(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
/* For i_mul: the lower 16 bits alone. */
#define i_wide16(p) _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define i_own(x) __asm__("" : "+x"(x))
#define i_of_f(x) _mm256_cvtps_epi32(x)
#define f_of_i(x) _mm256_cvtepi32_ps(x)
#define f_load(p) _mm256_loadu_ps(p)
#define f_store(p, x) _mm256_storeu_ps(p, x)
#define f_set1(x) _mm256_set1_ps(x)
#define f_mul(a, b) _mm256_mul_ps(a, b)
#define f_add(a, b) _mm256_add_ps(a, b)
#define f_max(a, b) _mm256_max_ps(a, b)
#define f_min(a, b) _mm256_min_ps(a, b)
#define q_weights(p) i_load(p)
#define b_load(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define b_store(p, x) _mm_storeu_si128((__m128i *)(void *)(p), x)
#define b_max(a, b) _mm_max_epu8(a, b)
#define b_zero() _mm_setzero_si128()

static inline __attribute__((always_inline)) void i_narrow(uint8_t *p, vi x)
{
	__m128i words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));

	_mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(words, words));
}

/* Left to the compiler, four bytes come by way of a general register, and sums are kept in memory for want of some. */
static inline __attribute__((always_inline)) vi q_quad(const uint8_t *p)
{
	vi x;

	__asm__("vpbroadcastd %1, %0" : "=x"(x) : "m"(*(const uint8_t(*)[4])(const void *)p));
	return x;
}

#define TILE1 6
#define TILE2 0
#include "int8.h"
