/*
 * The bodies of the vector kernels of 8 bits, written once. A room defines what follows and then includes this file,
 * which ends in the table AD_TABLE:
 *
 *   vi, vf LANES               registers of LANES (4, 8, 16) 32-bit whole numbers and floats
 *   OFFSET                     what is taken from the bytes of a convolution's input
 *   i_load i_set1 i_add i_sub  whole numbers
 *   i_mul(a, b)                of numbers that fit 16 bits
 *   i_wide(p)                  LANES bytes, widened       i_narrow(p, x)  and back: all of them 0 .. 255
 *   i_own(x)                   nothing; x is in a register of its own
 *   i_of_f(x)                  to nearest, ties to even   f_of_i(x)
 *   f_load f_store f_set1 f_mul f_add
 *   f_max(a, b)                a > b ? a : b              f_min(a, b)     a < b ? a : b
 *   q_quad(p)                  the four bytes at p, in every lane
 *   q_weights(p)               4 LANES bytes
 *   q_dot(sum, x, w)           sum + products of x - OFFSET and w, four to a lane
 *   vb b_load b_store b_max b_zero    16 bytes without sign
 *   TILE1 TILE2                pixels of the convolution's register tile with 1, 2 blocks (TILE2 0: it takes one only)
 *   AD_TABLE AD_ISA            the table's name; its isa
 */
#include <string.h>

#include "common.h"

#define BLOCK AD_INT8_BLOCK
#define SUBS (BLOCK / LANES)

/* -- convolution ------------------------------------------------------------------------------------- */

/*
 * Adds the products of P pixels and S registers of channels to their sums, U quads at a time; runs are multiples of U.
 * A single loop, entered and left with every sum in a register of its own: else compilers keep many of them in memory,
 * and storing them is what takes the time.
 */
INLINE void conv_sums(const ad_int8_conv_args *a, const uint8_t *in, size_t pixel, vi *sum, const size_t P,
		      const size_t S, const size_t U)
{
	const uint8_t *block = in, *row = in, *at = in;
	const int8_t *w = a->w;
	size_t i = a->n[0], j = a->n[1], l = a->n[2], run = i > 1 ? a->run : a->last, k = run;

	for (;;) {
		EACH (u, U) {
			vi wide[8];

			EACH (s, S)
				wide[s] = q_weights(w + (u * S + s) * 4 * LANES);
			EACH (p, P) {
				vi one = q_quad(at + p * pixel + 4 * u);

				EACH (s, S)
					sum[p * S + s] = q_dot(sum[p * S + s], one, wide[s]);
			}
		}
		w += 4 * U * S * LANES;
		at += 4 * U;
		k -= U;
		if (k)
			continue;
		/* The next run. */
		if (--l) {
			at += a->step[2] - 4 * run;
		} else {
			l = a->n[2];
			if (--j) {
				row += a->step[1];
			} else {
				j = a->n[1];
				if (!--i)
					break;
				block += a->step[0];
				row = block;
				run = i > 1 ? a->run : a->last;
			}
			at = row;
		}
		k = run;
	}
}

INLINE void conv_tile(const ad_int8_conv_args *a, size_t first, const size_t P, const size_t R, const size_t PIXEL)
{
	const size_t pixel = PIXEL ? PIXEL : a->pixel, S = R * SUBS;
	const uint8_t *in = a->in + first * pixel;
	vf low = f_set1(a->low), high = f_set1(a->high);
	vi sum[32];

	EACH (p, P) {
		EACH (s, S)
			sum[p * S + s] = i_load(a->start + s * LANES);
	}
	EACH (i, P * S)
		i_own(sum[i]);
	if ((a->run | a->last) % 4 == 0)
		conv_sums(a, in, pixel, sum, P, S, 4);
	else
		conv_sums(a, in, pixel, sum, P, S, 1);
	EACH (i, P * S)
		i_own(sum[i]);
	EACH (s, S) {
		vf scale = f_load(a->scale + s * LANES), shift = f_load(a->shift + s * LANES);
		size_t at = first * BLOCK + s % SUBS * LANES, v = s * LANES;
		const uint8_t *res = a->res ? a->res + s / SUBS * a->res_block + at : NULL;
		vf y[16];

		EACH (p, P)
			y[p] = f_add(f_mul(f_of_i(sum[p * S + s]), scale), shift);
		if (res) {
			vi zero = i_set1(a->res_zero);
			vf factor = f_load(a->res_scale + v);

			EACH (p, P)
				y[p] = f_add(y[p], f_mul(f_of_i(i_sub(i_wide(res + p * BLOCK), zero)), factor));
		}
		EACH (p, P)
			y[p] = f_min(f_max(y[p], low), high);
		if (a->out) {
			uint8_t *out = a->out + s / SUBS * a->out_block + at;

			EACH (p, P)
				i_narrow(out + p * BLOCK, i_of_f(y[p]));
		} else if (v / a->vl < a->wide_blocks) {
			float *wide = a->wide + v / a->vl * a->wide_block + first * a->vl + v % a->vl;

			EACH (p, P)
				f_store(wide + p * a->vl, y[p]);
		}
	}
}

typedef void conv_tile_fn(const ad_int8_conv_args *a, size_t first);

#define TILE_FN(P, R)                                                                                                  \
	static __attribute__((noinline)) void tile_##P##_##R(const ad_int8_conv_args *a, size_t first)                 \
	{                                                                                                              \
		conv_tile(a, first, P, R, BLOCK);                                                                      \
	}                                                                                                              \
	static __attribute__((noinline)) void any_##P##_##R(const ad_int8_conv_args *a, size_t first)                  \
	{                                                                                                              \
		conv_tile(a, first, P, R, 0);                                                                          \
	}
#define TILE_NAME(P, R) {tile_##P##_##R, any_##P##_##R},

TILES(TILE1, TILE_FN, 1)
TILES(TILE2, TILE_FN, 2)

static void conv(const ad_int8_conv_args *a)
{
	static conv_tile_fn *const tiles1[][2] = {TILES(TILE1, TILE_NAME, 1)};
#if TILE2
	static conv_tile_fn *const tiles2[][2] = {TILES(TILE2, TILE_NAME, 2)};
	conv_tile_fn *const(*tiles)[2] = a->blocks == 1 ? tiles1 : tiles2;
	size_t most = a->blocks == 1 ? TILE1 : TILE2;
#else
	conv_tile_fn *const(*tiles)[2] = tiles1;
	size_t most = TILE1;
#endif
	size_t count = (a->pixels + most - 1) / most, first = 0;
	int any = a->pixel != BLOCK;

	for (size_t t = 0; t < count; t++) {
		size_t size = (a->pixels - first) / (count - t);

		tiles[size - 1][any](a, first);
		first += size;
	}
}

/* -- windows ----------------------------------------------------------------------------------------- */

/* N output pixels whose windows have the same taps. in: the first tap of the first pixel. */
INLINE void depthwise_pixels(const ad_int8_window_args *a, taps rows, taps cols, const uint8_t *in, uint8_t *out,
			     const size_t N)
{
	size_t step = a->stride[1] * BLOCK, dilation = a->dilation[1] * BLOCK;
	vi zero = i_set1(a->zero);
	vf low = f_set1(a->low), high = f_set1(a->high);

	EACH (s, SUBS) {
		vf scale = f_load(a->scale + s * LANES), shift = f_load(a->shift + s * LANES);
		vi sum[8];

		EACH (p, N)
			sum[p] = i_set1(0);
		for (size_t ky = rows.k0; ky < rows.k1; ky++) {
			const uint8_t *row = in + (ky - rows.k0) * a->dilation[0] * a->w * BLOCK + s * LANES;
			const int16_t *w = a->weights + (ky * a->kernel[1] + cols.k0) * BLOCK + s * LANES;

			for (size_t kx = cols.k0; kx < cols.k1; kx++, row += dilation, w += BLOCK) {
				vi tap = i_wide16(w);

				EACH (p, N)
					sum[p] = i_add(sum[p], i_mul(i_sub(i_wide(row + p * step), zero), tap));
			}
		}
		EACH (p, N) {
			vf y = f_add(f_mul(f_of_i(sum[p]), scale), shift);

			i_narrow(out + p * BLOCK + s * LANES, i_of_f(f_min(f_max(y, low), high)));
		}
	}
}

INLINE void pool_pixels(const ad_int8_window_args *a, taps rows, taps cols, const uint8_t *in, uint8_t *out,
			const size_t N)
{
	size_t step = a->stride[1] * BLOCK, dilation = a->dilation[1] * BLOCK;
	vb most[8];

	EACH (p, N)
		most[p] = b_zero();
	for (size_t ky = rows.k0; ky < rows.k1; ky++) {
		const uint8_t *row = in + (ky - rows.k0) * a->dilation[0] * a->w * BLOCK;

		for (size_t kx = cols.k0; kx < cols.k1; kx++, row += dilation)
			EACH (p, N)
				most[p] = b_max(most[p], b_load(row + p * step));
	}
	EACH (p, N)
		b_store(out + p * BLOCK, most[p]);
}

INLINE void window(const ad_int8_window_args *a, const int pool)
{
	size_t span = (a->kernel[1] - 1) * a->dilation[1] + 1;
	/* Output columns x0 .. x1-1 have all taps inside. */
	size_t x0 = (a->pads[1] + a->stride[1] - 1) / a->stride[1], x1;

	x1 = a->w + a->pads[1] >= span ? (a->w + a->pads[1] - span) / a->stride[1] + 1 : 0;
	x1 = x1 < a->ow ? x1 : a->ow;
	for (size_t y = a->y0; y < a->y1; y++) {
		taps rows = taps_of(y, a->kernel[0], a->stride[0], a->dilation[0], a->pads[0], a->h);
		uint8_t *out = a->out + (y - a->y0) * a->ow * BLOCK;

		for (size_t x = 0; x < a->ow;) {
			taps cols = taps_of(x, a->kernel[1], a->stride[1], a->dilation[1], a->pads[1], a->w);
			/* A window without a cell reads nothing. */
			const uint8_t *in = rows.k1 > rows.k0 && cols.k1 > cols.k0
						? a->in + (rows.at * a->w + cols.at) * BLOCK
						: a->in;

			if (x >= x0 && x + 8 <= x1) {
				if (pool)
					pool_pixels(a, rows, cols, in, out + x * BLOCK, 8);
				else
					depthwise_pixels(a, rows, cols, in, out + x * BLOCK, 8);
				x += 8;
			} else {
				if (pool)
					pool_pixels(a, rows, cols, in, out + x * BLOCK, 1);
				else
					depthwise_pixels(a, rows, cols, in, out + x * BLOCK, 1);
				x++;
			}
		}
	}
}

static void depthwise(const ad_int8_window_args *a)
{
	window(a, 0);
}

static void max_pool(const ad_int8_window_args *a)
{
	window(a, 1);
}

/* -- between floats and bytes ------------------------------------------------------------------------ */

INLINE vi quantum(vf x, vf factor, vf zero)
{
	x = f_add(f_mul(x, factor), zero);
	return i_of_f(f_min(f_max(x, f_set1(0)), f_set1(255)));
}

static void quantize(const ad_int8_quantize_args *a)
{
	vf zero = f_set1(a->zero), low = f_set1(a->low), high = f_set1(a->high);

	for (size_t s = 0; s < SUBS; s++) {
		size_t v = s * LANES;
		uint8_t *out = a->out + v;
		const float *in = a->in + v / a->vl * a->in_block + v % a->vl;
		vf factor = f_load(a->factor + v);

		if (v / a->vl >= a->blocks) {
			for (size_t p = 0; p < a->pixels; p++)
				i_narrow(out + p * BLOCK, i_set1(0));
		} else if (a->scale) {
			vf scale = f_load(a->scale + v), shift = f_load(a->shift + v);

			for (size_t p = 0; p < a->pixels; p++) {
				vf x = f_add(f_mul(f_load(in + p * a->vl), scale), shift);

				i_narrow(out + p * BLOCK, quantum(f_min(f_max(x, low), high), factor, zero));
			}
		} else {
			for (size_t p = 0; p < a->pixels; p++)
				i_narrow(out + p * BLOCK, quantum(f_load(in + p * a->vl), factor, zero));
		}
	}
}

static void dequantize(const ad_int8_dequantize_args *a)
{
	vi zero = i_set1(a->zero);

	for (size_t v = 0; v < a->blocks * a->vl; v += LANES) {
		vf factor = f_load(a->factor + v);
		float *out = a->out + v / a->vl * a->out_block + v % a->vl;

		for (size_t p = 0; p < a->pixels; p++)
			f_store(out + p * a->vl, f_mul(f_of_i(i_sub(i_wide(a->in + p * BLOCK + v), zero)), factor));
	}
}

static void pack(const ad_int8_pack_args *a)
{
	vf factor = f_set1(a->factor), zero = f_set1(a->zero);
	size_t p = 0;

	for (; p < a->pixels; p += LANES) {
		size_t n = a->pixels - p < LANES ? a->pixels - p : LANES;
		uint8_t bytes[4][LANES] = {{0}};

		for (size_t c = 0; c < a->channels; c++) {
			float x[LANES] = {0};

			if (n == LANES) {
				i_narrow(bytes[c], quantum(f_load(a->in + c * a->step + p), factor, zero));
				continue;
			}
			memcpy(x, a->in + c * a->step + p, n * sizeof(*x));
			i_narrow(bytes[c], quantum(f_load(x), factor, zero));
		}
		for (size_t i = 0; i < n; i++) {
			uint32_t quad = (uint32_t)bytes[0][i] | (uint32_t)bytes[1][i] << 8 |
					(uint32_t)bytes[2][i] << 16 | (uint32_t)bytes[3][i] << 24;

			memcpy(a->out + 4 * (p + i), &quad, sizeof(quad));
		}
	}
}

const ad_int8_kernels AD_TABLE = {
    AD_ISA, OFFSET, LANES, TILE2 ? 2 : 1, TILE2 ? TILE2 : TILE1,
#define K(name, args) name,
#include "../int8.def"
#undef K
};
