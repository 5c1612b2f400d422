/*
 * AVX-512 with BF16. VDPBF16PS adds the two products of a pair to a sum; it takes denormals for 0 and makes none,
 * whatever MXCSR says, and rounds to nearest.
 */
#include "../bf16.h"
#include "../simd/common.h"

#include <immintrin.h>

#define VL AD_BF16_BLOCK
#define TILE1 14
#define TILE2 14
#define TILE3 9

typedef __m512 vf;
typedef __m512i vb; /* 32 bfloat16 */

#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, x) _mm512_storeu_ps(p, x)
#define v_set1(x) _mm512_set1_ps(x)
#define v_zero() _mm512_setzero_ps()
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)

/* The pair at p, in every lane; left to the compiler, it comes by way of a general register. */
INLINE vb b_pair(const uint16_t *p)
{
	vb x;

	__asm__("vpbroadcastd %1, %0" : "=v"(x) : "m"(*(const uint16_t(*)[2])(const void *)p));
	return x;
}

INLINE __m256i b_of(vf x)
{
	return (__m256i)_mm512_cvtneps_pbh(x);
}

#define CONV_ARGS ad_bf16_conv_args
#define PER 2
#define c_load(p) _mm512_loadu_si512(p)
#define c_set1 b_pair
#define c_fma(one, wide, sum) _mm512_dpbf16_ps(sum, (__m512bh)(one), (__m512bh)(wide))
typedef uint16_t c_number;
typedef vb c_wide;
#include "../simd/conv.h"

static void conv(const ad_bf16_conv_args *a)
{
	conv_tiles(a);
}

/* -- rounding ------------------------------------------------------------------------------------------ */

static void pack(const ad_bf16_pack_args *a)
{
	const float *in = a->in;
	uint16_t *out = a->out;
	size_t p = a->pixels;

	if (a->scale) {
		vf scale = v_load(a->scale), shift = v_load(a->shift);
		clamp c = clamp_of(&a->fn);

		for (; p > 0; p--, in += a->pixel, out += VL) {
			vf x = _mm512_fmadd_ps(v_load(in), scale, shift);

			_mm256_storeu_si256((__m256i *)(void *)out, b_of(v_clamp(&c, x)));
		}
		return;
	}
	for (; p >= 2; p -= 2, in += 2 * a->pixel, out += 2 * VL)
		_mm512_storeu_si512(out, (vb)_mm512_cvtne2ps_pbh(v_load(in + a->pixel), v_load(in)));
	if (p)
		_mm256_storeu_si256((__m256i *)(void *)out, b_of(v_load(in)));
}

static void pair(const ad_bf16_pair_args *a)
{
	__m512i even = _mm512_cvtepu16_epi32(b_of(v_load(a->even)));
	__m512i odd = a->odd ? _mm512_cvtepu16_epi32(b_of(v_load(a->odd))) : _mm512_setzero_si512();

	_mm512_storeu_si512(a->out, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
}

const ad_bf16_kernels ad_bf16_avx512bf16 = {
    "avx512bf16", 3, TILE2,
#define K(name, args) name,
#include "../bf16.def"
#undef K
};
