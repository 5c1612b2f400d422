/*
 * The dense convolution, and its clamp, written once for floats (body.h) and for bfloat16. What includes this has,
 * beside the v_ operations that body.h names,
 *
 *   CONV_ARGS              the kernel's arguments
 *   c_number PER           what inputs and weights are kept as; so many of them are a step, multiplied at once
 *   c_wide                 a register of PER VL of them
 *   c_load(p)              unaligned
 *   c_set1(p)              the PER at p, in every lane
 *   c_fma(one, wide, sum)  adds the products of a step to VL sums
 *   WHOLE1 WHOLE2 WHOLE3   may be there: pixels of a register tile for lines of nothing but whole tiles (conv_whole)
 */
#include <math.h>

#include "common.h"

enum { LINE = 64 / sizeof(c_number) };

/*
 * NONE, RELU and CLIP are a clamp, which kernels do in registers; the others are applied to what was stored, while it
 * is in the cache.
 */
typedef struct clamp {
	int on;
	vf low, high;
} clamp;

INLINE clamp clamp_of(const ad_fn *fn)
{
	clamp c;

	c.on = fn->kind == AD_FN_RELU || fn->kind == AD_FN_CLIP;
	c.low = v_set1(fn->kind == AD_FN_RELU ? 0.0f : fn->a);
	c.high = v_set1(fn->kind == AD_FN_RELU ? INFINITY : fn->b);
	return c;
}

INLINE vf v_clamp(const clamp *c, vf x)
{
	return c->on ? v_min(c->high, v_max(c->low, x)) : x;
}

/* What to fetch meanwhile: this many cache lines every four steps. */
typedef struct ahead {
	const c_number *at;
	size_t lines;
} ahead;

/*
 * A tile of P pixels x R blocks in registers. PIXEL: the distance between pixels when it is known while compiling,
 * else 0. Pixels are addressed from one base in three, so that the distance can stay in a register.
 */
INLINE void conv_tile(const CONV_ARGS *a, size_t first, ahead *next, const size_t P, const size_t R,
		      const size_t PIXEL)
{
	const size_t pixel = PIXEL ? PIXEL : a->pixel;
	const c_number *w = a->w, *block = a->in + first * pixel, *fetch = next->at;
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
			sum[p * R + r] = a->bias ? v_load(a->bias + r * VL) : v_zero();
	}
	for (size_t i = 0; i < a->n[0]; i++, block += a->step[0]) {
		const c_number *row = block;
		size_t run = i + 1 < a->n[0] ? a->run : a->last;

		for (size_t j = 0; j < a->n[1]; j++, row += a->step[1]) {
			const c_number *at = row;

			for (size_t l = 0; l < a->n[2]; l++, at += a->step[2]) {
				const c_number *x[5];
				size_t k = run;

				EACH (q, (P + 2) / 3)
					x[q] = at + q * 3 * pixel;
				for (; k >= 4; k -= 4) {
					for (size_t line = next->lines; line > 0; line--, fetch += LINE)
						__builtin_prefetch(fetch, 0, 2);
					EACH (u, 4) {
						c_wide wide[3];

						EACH (r, R)
							wide[r] = c_load(w + (u * R + r) * PER * VL);
						EACH (p, P) {
							c_wide one = c_set1(x[p / 3] + p % 3 * pixel + u * PER);

							EACH (r, R)
								sum[p * R + r] = c_fma(one, wide[r], sum[p * R + r]);
						}
					}
					EACH (q, (P + 2) / 3)
						x[q] += 4 * PER;
					w += 4 * R * PER * VL;
				}
				for (; k > 0; k--) {
					c_wide wide[3];

					EACH (r, R)
						wide[r] = c_load(w + r * PER * VL);
					EACH (p, P) {
						c_wide one = c_set1(x[p / 3] + p % 3 * pixel);

						EACH (r, R)
							sum[p * R + r] = c_fma(one, wide[r], sum[p * R + r]);
					}
					EACH (q, (P + 2) / 3)
						x[q] += PER;
					w += R * PER * VL;
				}
			}
		}
	}
	next->at = fetch;
	if (a->res) {
		const float *res = a->res + first * VL;

		EACH (r, R) {
			EACH (p, P)
				sum[p * R + r] = v_add(sum[p * R + r], v_load(res + r * a->res_block + p * VL));
		}
	}
	if (a->fn.kind == AD_FN_RELU || a->fn.kind == AD_FN_CLIP) {
		clamp c = clamp_of(&a->fn);

		EACH (i, P * R)
			sum[i] = v_max(c.low, sum[i]);
		if (a->fn.kind == AD_FN_CLIP) {
			EACH (i, P * R)
				sum[i] = v_min(c.high, sum[i]);
		}
	}
	EACH (r, R) {
		EACH (p, P)
			v_store(out + r * a->out_block + p * VL, sum[p * R + r]);
	}
}

typedef void conv_tile_fn(const CONV_ARGS *a, size_t first, ahead *next);

#define TILE_FN(P, R)                                                                                                  \
	static __attribute__((noinline)) void tile_##P##_##R(const CONV_ARGS *a, size_t first, ahead *next)         \
	{                                                                                                              \
		conv_tile(a, first, next, P, R, VL);                                                                   \
	}                                                                                                              \
	static __attribute__((noinline)) void any_##P##_##R(const CONV_ARGS *a, size_t first, ahead *next)          \
	{                                                                                                              \
		conv_tile(a, first, next, P, R, 0);                                                                    \
	}
#define TILE_NAME(P, R) {tile_##P##_##R, any_##P##_##R},

TILES(TILE1, TILE_FN, 1)
TILES(TILE2, TILE_FN, 2)
TILES(TILE3, TILE_FN, 3)

#ifdef WHOLE1
enum { TAIL = 2 };

/* The bounds of a clamp; where there is none, some that change nothing. */
INLINE clamp bounds_of(const ad_fn *fn)
{
	clamp c = clamp_of(fn);

	c.low = c.on ? c.low : v_set1(-INFINITY);
	c.high = c.on ? c.high : v_set1(INFINITY);
	return c;
}

/*
 * Pointwise, neighbouring pixels, `count` whole tiles of P pixels x R blocks. The last TAIL steps are taken pixel by
 * pixel, each written as soon as it is done: were all of them done at the same time, then in the core's queues their
 * writing would wait for the multiplying, and the next tile's multiplying for the writing. The order of an element's
 * sum is that of conv_tile. RES: whether there is something to add.
 */
INLINE void conv_whole(const CONV_ARGS *a, ahead *next, size_t count, const size_t P, const size_t R, const int RES)
{
	const size_t blocks = a->n[0], step = a->step[0], out_block = a->out_block, res_block = a->res_block;
	const c_number *in = a->in, *fetch = next->at;
	const float *res = a->res;
	float *out = a->out;
	clamp c = bounds_of(&a->fn);

	for (size_t tile = 0; tile < count; tile++, in += P * VL, out += P * VL) {
		const c_number *w = a->w, *again, *x = in;
		c_wide wide[TAIL][3];
		vf sum[32];

		if (RES && a->res != a->out) {
			EACH (r, R)
				EACH (p, P)
					__builtin_prefetch(res + r * res_block + p * VL);
		}
		EACH (r, R) {
			vf bias = a->bias ? v_load(a->bias + r * VL) : v_zero();

			EACH (p, P)
				sum[p * R + r] = bias;
		}
		for (size_t i = 0; i < blocks; i++) {
			size_t n = i + 1 < blocks ? a->run : a->last - TAIL;

			x = in + i * step;
			for (size_t line = next->lines * (n / 4); line > 0; line--, fetch += LINE)
				__builtin_prefetch(fetch, 0, 2);
			for (size_t k = 0; k < n; k++, x += PER, w += R * PER * VL) {
				EACH (r, R)
					wide[0][r] = c_load(w + r * PER * VL);
				EACH (p, P) {
					c_wide one = c_set1(x + p * VL);

					v_keep(one);
					EACH (r, R)
						sum[p * R + r] = c_fma(one, wide[0][r], sum[p * R + r]);
				}
			}
		}
		/* The first pixel's weights come from memory: as long as all sums are held, registers are short. */
		again = w;
		v_keep_pointer(again);
		EACH (p, P) {
			EACH (t, TAIL) {
				c_wide one = c_set1(x + p * VL + t * PER);

				EACH (r, R) {
					c_wide weights = p ? wide[t][r] : c_load(again + (t * R + r) * PER * VL);

					sum[p * R + r] = c_fma(one, weights, sum[p * R + r]);
				}
			}
			EACH (r, R) {
				vf y = sum[p * R + r];

				if (RES)
					y = v_add(y, v_load(res + r * res_block + p * VL));
				v_store(out + r * out_block + p * VL, v_min(c.high, v_max(c.low, y)));
			}
			if (p == 0) {
				EACH (t, TAIL)
					EACH (r, R)
						wide[t][r] = c_load(w + (t * R + r) * PER * VL);
			}
		}
		if (RES)
			res += P * VL;
	}
}

#define WHOLE_FN(R, RES)                                                                                               \
	static __attribute__((noinline)) void whole_##R##_##RES(const CONV_ARGS *a, ahead *next, size_t count)         \
	{                                                                                                              \
		conv_whole(a, next, count, WHOLE##R, R, RES);                                                          \
	}
WHOLE_FN(1, 0)
WHOLE_FN(1, 1)
WHOLE_FN(2, 0)
WHOLE_FN(2, 1)
WHOLE_FN(3, 0)
WHOLE_FN(3, 1)

/* Returns 0 when it is not for conv_whole. */
static int conv_whole_tiles(const CONV_ARGS *a)
{
	static void (*const fns[][2])(const CONV_ARGS *a, ahead *next, size_t count) = {
	    {whole_1_0, whole_1_1}, {whole_2_0, whole_2_1}, {whole_3_0, whole_3_1}};
	size_t pixels = a->blocks == 1 ? WHOLE1 : a->blocks == 2 ? WHOLE2 : WHOLE3;
	size_t count = a->pixels / pixels, quads;
	ahead next = {a->next, 0};

	if (a->pixels % pixels || a->pixel != VL || a->n[1] != 1 || a->n[2] != 1 || a->last < TAIL)
		return 0;
	quads = ((a->n[0] - 1) * (a->run / 4) + (a->last - TAIL) / 4) * count;
	if (a->next && quads)
		next.lines = (a->next_count / LINE + quads - 1) / quads;
	fns[a->blocks - 1][a->res != NULL](a, &next, count);
	return 1;
}
#endif

static void conv_tiles(const CONV_ARGS *a)
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

#ifdef WHOLE1
	if (conv_whole_tiles(a))
		return;
#endif
	/* As even as they come: a last tile of a pixel or two would be slow. */
	for (size_t t = 0; t < count; t++) {
		size_t size = (a->pixels - first) / (count - t);

		tiles[size - 1][any](a, first, &next);
		first += size;
	}
}
