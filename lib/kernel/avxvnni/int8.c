/* AVX2 with VNNI in its 256-bit form. */
#include "../int8.h"

#include <immintrin.h>

typedef __m256i vi;
#define q_dot(sum, x, w) _mm256_dpbusd_avx_epi32(sum, x, w)
#define AD_TABLE ad_int8_avxvnni
#define AD_ISA "avxvnni"
#include "../simd/int8_256.h"
