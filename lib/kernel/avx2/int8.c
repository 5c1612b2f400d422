/* AVX2 without VNNI. */
#include "../int8.h"

#include <immintrin.h>

typedef __m256i vi;

/* vpmaddubsw adds two products and saturates; one product alone fits. */
static inline __attribute__((always_inline)) vi q_dot(vi sum, vi x, vi w)
{
	vi even = _mm256_maddubs_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0x00ff)), w);
	vi odd = _mm256_maddubs_epi16(_mm256_andnot_si256(_mm256_set1_epi16(0x00ff), x), w), one = _mm256_set1_epi16(1);

	return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(even, one), _mm256_madd_epi16(odd, one)));
}

#define AD_TABLE ad_int8_avx2
#define AD_ISA "avx2"
#include "../simd/int8_256.h"
