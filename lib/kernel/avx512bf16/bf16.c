/*
 * AVX-512 with BF16. VDPBF16PS adds the two products of a pair to a sum; it takes denormals for 0 and makes none, whatever
 * MXCSR says, and rounds to nearest.
 */
#include "../bf16.h"
#include "../simd/common.h"

#include <immintrin.h>
#include <math.h>

#define VL AD_BF16_BLOCK
#define TILE1 14
#define TILE2 14
#define TILE3 9

enum { LINE = 64 / sizeof(uint16_t) };

typedef __m512 vf;
typedef __m512i vb; /* 32 bfloat16 */

#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, x) _mm512_storeu_ps(p, x)
#define v_set1(x) _mm512_set1_ps(x)
#define b_load(p) _mm512_loadu_si512(p)
#define b_dot(sum, x, w) _mm512_dpbf16_ps(sum, (__m512bh)(x), (__m512bh)(w))

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

/* -- convolution: as in simd/body.h, by pairs ------------------------------------------------------------ */

typedef struct ahead {
	const uint16_t *at;
	size_t lines;
} ahead;

INLINE void conv_tile(const ad_bf16_conv_args *a, size_t first, ahead *next, const size_t P, const size_t R,
		      const size_t PIXEL)
{
	const size_t pixel = PIXEL ? PIXEL : a->pixel;
	const uint16_t *w = a->w, *block = a->in + first * pixel, *fetch = next->at;
	float *out = a->out + first * VL;
	vf sum[32];

	EACH (r, R) {
		EACH (p, P)
			__builtin_prefetch(out + r * a->out_block + p * VL, 1);
		if (a->res && a->res != a->out) {
			EACH (p, P)
				__builtin_prefetch(a->res + r * a->res_block + (first + p) * VL);
		}
	}
	EACH (p, P) {
		EACH (r, R)
			sum[p * R + r] = a->bias ? v_load(a->bias + r * VL) : v_set1(0);
	}
	for (size_t i = 0; i < a->n[0]; i++, block += a->step[0]) {
		const uint16_t *row = block;
		size_t run = i + 1 < a->n[0] ? a->run : a->last;

		for (size_t j = 0; j < a->n[1]; j++, row += a->step[1]) {
			const uint16_t *at = row;

			for (size_t l = 0; l < a->n[2]; l++, at += a->step[2]) {
				const uint16_t *x[5];
				size_t k = run;

				EACH (q, (P + 2) / 3)
					x[q] = at + q * 3 * pixel;
				for (; k >= 4; k -= 4) {
					for (size_t line = next->lines; line > 0; line--, fetch += LINE)
						__builtin_prefetch(fetch, 0, 2);
					EACH (u, 4) {
						vb wide[3];

						EACH (r, R)
							wide[r] = b_load(w + (u * R + r) * 2 * VL);
						EACH (p, P) {
							vb one = b_pair(x[p / 3] + p % 3 * pixel + 2 * u);

							EACH (r, R)
								sum[p * R + r] = b_dot(sum[p * R + r], one, wide[r]);
						}
					}
					EACH (q, (P + 2) / 3)
						x[q] += 8;
					w += 8 * R * VL;
				}
				for (; k > 0; k--) {
					vb wide[3];

					EACH (r, R)
						wide[r] = b_load(w + r * 2 * VL);
					EACH (p, P) {
						vb one = b_pair(x[p / 3] + p % 3 * pixel);

						EACH (r, R)
							sum[p * R + r] = b_dot(sum[p * R + r], one, wide[r]);
					}
					EACH (q, (P + 2) / 3)
						x[q] += 2;
					w += 2 * R * VL;
				}
			}
		}
	}
	next->at = fetch;
	if (a->res) {
		const float *res = a->res + first * VL;

		EACH (r, R) {
			EACH (p, P)
				sum[p * R + r] = _mm512_add_ps(sum[p * R + r], v_load(res + r * a->res_block + p * VL));
		}
	}
	/* The second operand is what comes out when one is not a number. */
	if (a->fn.kind == AD_FN_RELU || a->fn.kind == AD_FN_CLIP) {
		vf low = v_set1(a->fn.kind == AD_FN_RELU ? 0 : a->fn.a);

		EACH (i, P * R)
			sum[i] = _mm512_max_ps(low, sum[i]);
		if (a->fn.kind == AD_FN_CLIP) {
			vf high = v_set1(a->fn.b);

			EACH (i, P * R)
				sum[i] = _mm512_min_ps(high, sum[i]);
		}
	}
	EACH (r, R) {
		EACH (p, P)
			v_store(out + r * a->out_block + p * VL, sum[p * R + r]);
	}
}

typedef void conv_tile_fn(const ad_bf16_conv_args *a, size_t first, ahead *next);

#define TILE_FN(P, R)                                                                                                  \
	static __attribute__((noinline)) void tile_##P##_##R(const ad_bf16_conv_args *a, size_t first, ahead *next)    \
	{                                                                                                              \
		conv_tile(a, first, next, P, R, VL);                                                                   \
	}                                                                                                              \
	static __attribute__((noinline)) void any_##P##_##R(const ad_bf16_conv_args *a, size_t first, ahead *next)     \
	{                                                                                                              \
		conv_tile(a, first, next, P, R, 0);                                                                    \
	}
#define TILE_NAME(P, R) {tile_##P##_##R, any_##P##_##R},

TILES(TILE1, TILE_FN, 1)
TILES(TILE2, TILE_FN, 2)
TILES(TILE3, TILE_FN, 3)

static void conv(const ad_bf16_conv_args *a)
{
	static conv_tile_fn *const tiles1[][2] = {TILES(TILE1, TILE_NAME, 1)};
	static conv_tile_fn *const tiles2[][2] = {TILES(TILE2, TILE_NAME, 2)};
	static conv_tile_fn *const tiles3[][2] = {TILES(TILE3, TILE_NAME, 3)};
	conv_tile_fn *const(*tiles)[2] = a->blocks == 1 ? tiles1 : a->blocks == 2 ? tiles2 : tiles3;
	size_t most = a->blocks == 1 ? TILE1 : a->blocks == 2 ? TILE2 : TILE3;
	size_t count = (a->pixels + most - 1) / most, first = 0;
	size_t quads = (((a->n[0] - 1) * (a->run / 4) + a->last / 4) * a->n[1] * a->n[2]) * count;
	ahead next = {a->next, a->next && quads ? (a->next_count / LINE + quads - 1) / quads : 0};
	int any = a->pixel != VL;

	for (size_t t = 0; t < count; t++) {
		size_t size = (a->pixels - first) / (count - t);

		tiles[size - 1][any](a, first, &next);
		first += size;
	}
}

/* -- rounding ------------------------------------------------------------------------------------------ */

static void pack(const ad_bf16_pack_args *a)
{
	const float *in = a->in;
	uint16_t *out = a->out;
	size_t p = a->pixels;

	if (a->scale) {
		vf scale = v_load(a->scale), shift = v_load(a->shift);
		vf low = v_set1(a->fn.kind == AD_FN_RELU ? 0 : a->fn.kind == AD_FN_CLIP ? a->fn.a : -INFINITY);
		vf high = v_set1(a->fn.kind == AD_FN_CLIP ? a->fn.b : INFINITY);

		for (; p > 0; p--, in += a->pixel, out += VL) {
			vf x = _mm512_fmadd_ps(v_load(in), scale, shift);

			_mm256_storeu_si256((__m256i *)(void *)out, b_of(_mm512_min_ps(high, _mm512_max_ps(low, x))));
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
