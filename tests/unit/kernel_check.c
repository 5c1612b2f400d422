#include "kernel_check.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

typedef struct block {
	float *data;
	size_t count;
} block;

struct check {
	const ad_kernels *k, *oracle;
	uint64_t random;
	long compared;
	char *why;
	size_t size;
	int failed;
	guard memory;
};

static float random_float(struct check *c)
{
	c->random += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = c->random;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return (float)((double)(z >> 40) / (double)(1 << 23) - 1.0);
}

static float poison(void)
{
	uint32_t bits = 0x7fc0dead;
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* Lives until guard_drop_all, as the others below. */
static block make(struct check *c, size_t count)
{
	block b = {guard_take(&c->memory, count * sizeof(float)), count};

	for (size_t i = 0; i < count; i++)
		b.data[i] = poison();
	return b;
}

static block make_random(struct check *c, size_t count)
{
	block b = make(c, count);

	for (size_t i = 0; i < count; i++)
		b.data[i] = random_float(c);
	return b;
}

static block make_copy(struct check *c, const block *from)
{
	block b = make(c, from->count);

	memcpy(b.data, from->data, from->count * sizeof(float));
	return b;
}

/* Whole buffers, poison included: what a kernel must not write has to be poison in both. */
static void same(struct check *c, const block *got, const block *want, double tolerance, const char *what)
{
	for (size_t i = 0; i < got->count && !c->failed; i++) {
		float x = got->data[i], y = want->data[i];
		int ok = isnan(y)   ? isnan(x)
			 : isinf(y) ? x == y
				    : fabs((double)x - (double)y) <= tolerance * (1 + fabs((double)y));

		c->compared++;
		if (!ok) {
			c->failed = 1;
			snprintf(c->why, c->size, "%s: element %zu of %zu is %.9g, scalar says %.9g", what, i,
				 got->count, (double)x, (double)y);
		}
	}
}

static const ad_fn fns[] = {
    {AD_FN_NONE, 0, 0},
    {AD_FN_RELU, 0, 0},
    {AD_FN_CLIP, -0.25f, 0.5f},
    {AD_FN_LEAKY, 0.1f, 0},
    {AD_FN_SIGMOID, 0, 0},
    {AD_FN_HARDSIGMOID, 0.2f, 0.5f},
    {AD_FN_HARDSWISH, 1.0f / 6, 0.5f},
    {AD_FN_SWISH, 0, 0},
};
#define FNS (sizeof(fns) / sizeof(fns[0]))

/* -- convolution ------------------------------------------------------------------------------------- */

static void one_conv(struct check *c, const ad_conv_args *shape, size_t gap, int with_bias, int with_res, int in_place,
		     const char *what)
{
	size_t vl = c->k->vl, width = shape->blocks * vl, taps = 0;
	size_t far = (shape->pixels - 1) * shape->pixel;
	ad_conv_args a = *shape;
	block in, w, bias = {0}, res = {0}, out[2];

	/* The input: poison but for the floats that count. */
	far += (a.n[0] - 1) * a.step[0] + (a.n[1] - 1) * a.step[1] + (a.n[2] - 1) * a.step[2];
	in = make(c, far + (a.n[0] > 1 && a.run > a.last && a.step[0] < a.run ? a.run : a.last));
	for (size_t p = 0; p < a.pixels; p++)
		for (size_t i = 0; i < a.n[0]; i++)
			for (size_t j = 0; j < a.n[1]; j++)
				for (size_t l = 0; l < a.n[2]; l++)
					for (size_t k = 0; k < (i + 1 < a.n[0] ? a.run : a.last); k++)
						in.data[p * a.pixel + i * a.step[0] + j * a.step[1] + l * a.step[2] +
							k] = random_float(c);
	taps = ((a.n[0] - 1) * a.run + a.last) * a.n[1] * a.n[2];
	w = make_random(c, taps * (a.half ? width - vl / 2 : width));
	a.out_block = a.pixels * vl + gap;
	out[0] = make(c, (a.blocks - 1) * a.out_block + a.pixels * vl);
	if (with_bias)
		bias = make_random(c, width);
	if (with_res) {
		res = make_random(c, out[0].count);
		a.res_block = a.out_block;
		if (in_place)
			memcpy(out[0].data, res.data, res.count * sizeof(float));
	}
	out[1] = make_copy(c, &out[0]);
	a.in = in.data;
	a.w = w.data;
	a.bias = bias.data;
	for (int i = 0; i < 2; i++) {
		a.out = out[i].data;
		a.res = with_res ? in_place ? a.out : res.data : NULL;
		(i ? c->oracle : c->k)->conv(&a);
	}
	same(c, &out[0], &out[1], 4e-7 * (double)(taps + 8), what);
	guard_drop_all(&c->memory);
}

static void check_conv(struct check *c)
{
	size_t vl = c->k->vl;
	char what[256];

	for (size_t blocks = 1; blocks <= c->k->conv_blocks; blocks++) {
		/* In the end 56: two or more whole tiles of every kind. */
		for (size_t pixels = 1; pixels <= 56; pixels += pixels < 2 * 14 + 3 ? 1 : 25) {
			/* 1x1; 3x3; strided; the planar stem; a run that is not a multiple of four; a short one. */
			const ad_conv_args shapes[] = {
			    {.pixel = vl, .n = {3, 1, 1}, .step = {(pixels + 2) * vl, 0, 0}, .run = vl, .last = vl},
			    {.pixel = vl, .n = {1, 1, 1}, .step = {0, 0, 0}, .run = vl, .last = 1},
			    {.pixel = vl,
			     .n = {2, 3, 3},
			     .step = {3 * (pixels + 2) * vl, (pixels + 2) * vl, vl},
			     .run = vl,
			     .last = vl / 2},
			    {.pixel = 2 * vl,
			     .n = {2, 3, 3},
			     .step = {6 * (pixels + 2) * vl, 2 * (pixels + 2) * vl, vl},
			     .run = vl,
			     .last = 3},
			    {.pixel = 3 * vl,
			     .n = {2, 1, 1},
			     .step = {3 * (pixels + 2) * vl, 0, 0},
			     .run = vl,
			     .last = vl},
			    {.pixel = 2,
			     .n = {3, 7, 1},
			     .step = {7 * (2 * pixels + 7), 2 * pixels + 7, 0},
			     .run = 7,
			     .last = 7},
			    {.pixel = 1,
			     .n = {3, 3, 3},
			     .step = {3 * (pixels + 9), pixels + 9, 2},
			     .run = 1,
			     .last = 1},
			    {.pixel = vl, .n = {2, 1, 1}, .step = {(pixels + 1) * vl, 0, 0}, .run = vl, .last = 2},
			    /* half a block; these two only where there is such a thing */
			    {.pixel = vl,
			     .n = {3, 1, 1},
			     .step = {(pixels + 2) * vl, 0, 0},
			     .run = vl,
			     .last = vl,
			     .half = 1},
			    {.pixel = vl,
			     .n = {2, 1, 1},
			     .step = {(pixels + 1) * vl, 0, 0},
			     .run = vl,
			     .last = 2,
			     .half = 1},
			};

			for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]) && !c->failed; s++) {
				ad_conv_args a = shapes[s];
				size_t f = (pixels + s) % FNS;

				if (a.half && (!c->k->conv_half || blocks != 2))
					continue;
				a.blocks = blocks;
				a.pixels = pixels;
				a.fn = fns[f];
				snprintf(what, sizeof(what), "conv shape %zu blocks %zu pixels %zu fn %zu", s, blocks,
					 pixels, f);
				one_conv(c, &a, pixels % 3 * vl, pixels % 2 == 0, pixels % 4 < 2, pixels % 4 == 0,
					 what);
			}
		}
	}
}

/* -- windows ----------------------------------------------------------------------------------------- */

static void check_window(struct check *c, size_t index)
{
	static const size_t kernels[][2] = {{1, 1}, {3, 3}, {5, 5}, {2, 2}, {3, 1}, {1, 4}, {7, 7}};
	static const size_t sizes[][2] = {{1, 1}, {2, 3}, {7, 7}, {5, 8}, {9, 17}, {6, 30}};
	static const size_t strides[][2] = {{1, 1}, {2, 2}, {1, 3}, {3, 2}};
	int depthwise = !strcmp(ad_kernel_name(index), "depthwise");
	int average = !strcmp(ad_kernel_name(index), "average_pool");
	size_t vl = c->k->vl, turn = 0;
	char what[256];

	for (size_t ki = 0; ki < 7; ki++)
		for (size_t si = 0; si < 6; si++)
			for (size_t st = 0; st < 4; st++)
				for (size_t pad = 0; pad < 4 && !c->failed; pad++) {
					ad_window_args a = {0};
					size_t oh, kh = kernels[ki][0], kw = kernels[ki][1];
					block in, w = {0}, bias = {0}, res = {0}, out[2];
					int in_place;

					turn++;
					a.h = sizes[si][0];
					a.w = sizes[si][1];
					for (int i = 0; i < 2; i++) {
						a.kernel[i] = kernels[ki][i];
						a.stride[i] = strides[st][i];
						a.dilation[i] = pad == 3 && ki != 6 ? 2 : 1;
					}
					/* none; symmetric; bottom and right only; wider than needed. */
					a.pads[0] = pad == 1 ? kh / 2 : pad == 3 ? kh - 1 : 0;
					a.pads[1] = pad == 1 ? kw / 2 : pad == 3 ? kw - 1 : 0;
					a.pads[2] = pad == 1 ? kh / 2 : pad == 2 ? 1 : pad == 3 ? kh - 1 : 0;
					a.pads[3] = pad == 1 ? kw / 2 : pad == 2 ? 1 : pad == 3 ? kw - 1 : 0;
					if (a.h + a.pads[0] + a.pads[2] < (kh - 1) * a.dilation[0] + 1 ||
					    a.w + a.pads[1] + a.pads[3] < (kw - 1) * a.dilation[1] + 1)
						continue;
					oh =
					    (a.h + a.pads[0] + a.pads[2] - (kh - 1) * a.dilation[0] - 1) / a.stride[0] +
					    1;
					a.ow =
					    (a.w + a.pads[1] + a.pads[3] - (kw - 1) * a.dilation[1] - 1) / a.stride[1] +
					    1;
					a.count_padding = average && turn % 2;
					if (a.count_padding && turn % 4 == 1) {
						/* As ceil_mode: the last window reaches beyond the padding. */
						oh += (a.h + a.pads[0] + a.pads[2] - (kh - 1) * a.dilation[0] - 1) %
							  a.stride[0] !=
						      0;
					}
					a.y0 = turn % 3 == 0 && oh > 1 ? 1 : 0;
					a.y1 = turn % 5 == 0 && oh > 2 ? oh - 1 : oh;
					if (a.y1 <= a.y0)
						a.y0 = 0;
					/* Rows above the first that is read may be missing. */
					if (a.y0 * a.stride[0] > a.pads[0] && a.y0 * a.stride[0] - a.pads[0] < a.h)
						a.row0 = a.y0 * a.stride[0] - a.pads[0];
					in = make_random(c, (a.h - a.row0) * a.w * vl);
					/* Here and there what IEEE has beyond numbers; but swish of -inf, 0 times
					 * infinity, is left open. */
					for (size_t i = turn; i < in.count && turn % 3 == 0 && turn % FNS != FNS - 1;
					     i += 37)
						in.data[i] = i % 2 ? NAN : i % 4 ? INFINITY : -INFINITY;
					out[0] = make(c, (a.y1 - a.y0) * a.ow * vl);
					in_place = depthwise && turn % 4 == 1;
					if (depthwise) {
						w = make_random(c, kh * kw * vl);
						if (turn % 2)
							bias = make_random(c, vl);
						if (turn % 4 < 2) {
							res = make_random(c, out[0].count);
							if (in_place)
								memcpy(out[0].data, res.data,
								       res.count * sizeof(float));
						}
						a.fn = fns[turn % FNS];
					}
					out[1] = make_copy(c, &out[0]);
					a.in = in.data;
					a.weights = w.data;
					a.bias = bias.data;
					for (int i = 0; i < 2; i++) {
						const ad_kernels *k = i ? c->oracle : c->k;

						a.out = out[i].data;
						a.res = in_place ? a.out : res.data;
						(depthwise ? k->depthwise
						 : average ? k->average_pool
							   : k->max_pool)(&a);
					}
					snprintf(
					    what, sizeof(what),
					    "%s %zux%zu on %zux%zu, stride %zux%zu, pad case %zu, rows %zu..%zu, fn %d",
					    ad_kernel_name(index), kh, kw, a.h, a.w, a.stride[0], a.stride[1], pad,
					    a.y0, a.y1, (int)a.fn.kind);
					same(c, &out[0], &out[1], 2e-5, what);
					guard_drop_all(&c->memory);
				}
}

/* -- Winograd ---------------------------------------------------------------------------------------- */

static void check_wino(struct check *c, int in)
{
	static const size_t sizes[][2] = {{1, 1}, {1, 5}, {4, 4}, {3, 9}, {6, 6}, {7, 7}, {14, 14}, {13, 5}, {8, 11}};
	size_t vl = c->k->vl, turn = 0;
	char what[256];

	for (int m = 2; m <= 4; m += 2)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (size_t pad = 0; pad < 4 && !c->failed; pad++) {
				size_t h = sizes[s][0], w = sizes[s][1], n = (size_t)(m + 2), top = pad & 1,
				       left = pad >> 1;
				/* The output of pads top + 1 below and left + 1 to the right, so that the sizes stay
				 * small. */
				size_t tiles_x = (w + (size_t)m - 1) / (size_t)m,
				       tiles = tiles_x * ((h + (size_t)m - 1) / (size_t)m);
				size_t t0 = turn % 3 == 0 && tiles > 1 ? 1 : 0, t1 = tiles;
				size_t xi = (t1 - t0) * vl + turn % 2 * vl;
				block plane = make_random(c, h * w * vl), v, out[2], bias = {0}, res = {0};

				turn++;
				if (in) {
					for (int i = 0; i < 2; i++) {
						ad_wino_in_args a = {m,       plane.data, h,  w,    top, left,
								     tiles_x, t0,         t1, NULL, xi};

						out[i] = make(c, (n * n - 1) * xi + (t1 - t0) * vl);
						a.v = out[i].data;
						(i ? c->oracle : c->k)->wino_in(&a);
					}
					v = (block){0};
				} else {
					v = make_random(c, (n * n - 1) * xi + (t1 - t0) * vl);
					if (turn % 2)
						bias = make_random(c, vl);
					if (turn % 4 < 2)
						res = make_random(c, plane.count);
					for (int i = 0; i < 2; i++) {
						ad_wino_out_args a = {m,  v.data,    xi,       tiles_x,
								      t0, t1,        NULL,     h,
								      w,  bias.data, res.data, fns[turn % FNS]};

						out[i] = make(c, plane.count);
						a.out = out[i].data;
						if (turn % 4 == 1) {
							memcpy(a.out, res.data, res.count * sizeof(float));
							a.res = a.out;
						}
						(i ? c->oracle : c->k)->wino_out(&a);
					}
				}
				snprintf(what, sizeof(what), "wino_%s F(%d) %zux%zu pads %zu %zu, tiles %zu..%zu",
					 in ? "in" : "out", m, h, w, top, left, t0, t1);
				same(c, &out[0], &out[1], 1e-4, what);
				guard_drop_all(&c->memory);
			}
}

static void check_wino_weights(struct check *c)
{
	size_t vl = c->k->vl;

	for (int m = 2; m <= 4; m += 2)
		for (size_t gap = 0; gap < 2 && !c->failed; gap++) {
			size_t n = (size_t)(m + 2), xi = vl + gap * 5;
			block in = make_random(c, 9 * vl), out[2];

			for (int i = 0; i < 2; i++) {
				out[i] = make(c, (n * n - 1) * xi + vl);
				(i ? c->oracle : c->k)
				    ->wino_weights(&(ad_wino_weights_args){m, in.data, out[i].data, xi});
			}
			same(c, &out[0], &out[1], 1e-6, "wino_weights");
			guard_drop_all(&c->memory);
		}
}

/* -- pixel by pixel ---------------------------------------------------------------------------------- */

static void check_affine(struct check *c)
{
	size_t vl = c->k->vl;
	char what[128];

	for (size_t pixels = 1; pixels < 40; pixels++)
		for (size_t f = 0; f < FNS; f++)
			for (int how = 0; how < 8 && !c->failed; how++) {
				block in = make_random(c, pixels * vl), scale = make_random(c, vl),
				      shift = make_random(c, vl), out[2];

				for (size_t i = 0; i < in.count; i++)
					in.data[i] *= how & 4 ? 40 : 2;
				for (int i = 0; i < 2; i++) {
					ad_affine_args a = {in.data,
							    NULL,
							    pixels,
							    how & 1 ? scale.data : NULL,
							    how & 2 ? shift.data : NULL,
							    fns[f]};

					out[i] = pixels % 2 ? make(c, in.count) : make_copy(c, &in);
					a.out = out[i].data;
					if (pixels % 2 == 0)
						a.in = a.out;
					(i ? c->oracle : c->k)->affine(&a);
				}
				snprintf(what, sizeof(what), "affine %zu pixels, fn %zu, case %d", pixels, f, how);
				same(c, &out[0], &out[1], 2e-6, what);
				guard_drop_all(&c->memory);
			}
}

/* What is not computed before is rounded to the same bits. */
static void check_round(struct check *c)
{
	static const float odd[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-45f, 3.4e38f, 0x1.01p0f, 0x1.03p0f};
	size_t vl = c->k->vl;
	char what[128];

	for (size_t pixels = 1; pixels < 40; pixels++)
		for (size_t f = 0; f < 3; f++)
			for (size_t how = 0; how < 6 && !c->failed; how++) {
				size_t step = vl * (1 + how % 3 % 2);
				block in = make_random(c, (pixels - 1) * step + vl), scale = make_random(c, vl),
				      shift = make_random(c, vl), out[2];

				for (size_t i = 0; how < 3 && i < vl; i++)
					in.data[(pixels - 1) * step + i] =
					    odd[(pixels + i) % (sizeof(odd) / sizeof(odd[0]))];
				for (int i = 0; i < 2; i++) {
					ad_round_args a = {in.data, step, NULL, pixels, NULL, NULL, fns[f]};

					if (how >= 3) {
						a.scale = scale.data;
						a.shift = shift.data;
					}
					out[i] = how % 3 == 2 ? make_copy(c, &in) : make(c, pixels * vl);
					a.out = out[i].data;
					if (how % 3 == 2)
						a.in = a.out;
					(i ? c->oracle : c->k)->round_bf16(&a);
				}
				snprintf(what, sizeof(what), "round_bf16 %zu pixels, fn %zu, case %zu", pixels, f, how);
				same(c, &out[0], &out[1], how < 3 ? 0 : 0x1p-7, what);
				guard_drop_all(&c->memory);
			}
}

static void check_binary(struct check *c)
{
	size_t vl = c->k->vl;
	char what[128];

	for (size_t pixels = 1; pixels < 20; pixels++)
		for (int kind = 0; kind < 4; kind++)
			for (int how = 0; how < 5 && !c->failed; how++) {
				block x = make_random(c, how == 1 ? vl : pixels * vl),
				      y = make_random(c, how == 2 ? vl : pixels * vl), out[2];

				for (int i = 0; i < 2; i++) {
					ad_binary_args a = {(enum ad_binary_kind)kind,
							    x.data,
							    y.data,
							    how == 1 ? 0 : vl,
							    how == 2 ? 0 : vl,
							    NULL,
							    pixels,
							    fns[(pixels + (size_t)kind) % FNS]};

					out[i] = how == 3   ? make_copy(c, &x)
						 : how == 4 ? make_copy(c, &y)
							    : make(c, pixels * vl);
					a.out = out[i].data;
					if (how == 3)
						a.x = a.out;
					if (how == 4)
						a.y = a.out;
					(i ? c->oracle : c->k)->binary(&a);
				}
				snprintf(what, sizeof(what), "binary %d, %zu pixels, case %d", kind, pixels, how);
				same(c, &out[0], &out[1], 2e-6, what);
				guard_drop_all(&c->memory);
			}
}

static void check_mean(struct check *c)
{
	size_t vl = c->k->vl;
	char what[128];

	for (size_t pixels = 1; pixels < 60 && !c->failed; pixels++) {
		block in = make_random(c, pixels * vl), out[2];

		for (int i = 0; i < 2; i++) {
			out[i] = make(c, vl);
			(i ? c->oracle : c->k)->mean(&(ad_mean_args){in.data, pixels, out[i].data});
		}
		snprintf(what, sizeof(what), "mean of %zu pixels", pixels);
		same(c, &out[0], &out[1], 1e-6, what);
		guard_drop_all(&c->memory);
	}
}

static void check_pack(struct check *c, int back)
{
	size_t vl = c->k->vl;
	char what[128];

	for (size_t pixels = 1; pixels < 2 * vl + 4; pixels++)
		for (size_t channels = 1; channels <= vl; channels++)
			for (size_t gap = 0; gap < 2 && !c->failed; gap++) {
				size_t step = pixels + gap * 3, plane = (channels - 1) * step + pixels;
				block in = make_random(c, back ? pixels * vl : plane), out[2];

				for (int i = 0; i < 2; i++) {
					const ad_kernels *k = i ? c->oracle : c->k;

					out[i] = make(c, back ? plane : (pixels - 1) * (gap + 1) * vl + vl);
					if (back)
						k->unpack(
						    &(ad_unpack_args){in.data, step, channels, pixels, out[i].data});
					else
						k->pack(&(ad_pack_args){.in = in.data,
									.step = step,
									.channels = channels,
									.pixels = pixels,
									.out = out[i].data,
									.pixel = (gap + 1) * vl});
				}
				snprintf(what, sizeof(what), "%s %zu pixels, %zu channels, gap %zu",
					 back ? "unpack" : "pack", pixels, channels, gap * 3);
				same(c, &out[0], &out[1], 0, what);
				guard_drop_all(&c->memory);
			}
}

/* All float16 there are, by their definition. */
static float half_value(unsigned bits)
{
	unsigned exponent = bits >> 10 & 31, mantissa = bits & 1023;
	double size = exponent == 31 ? (mantissa ? NAN : INFINITY)
		      : exponent     ? ldexp(1024 + mantissa, (int)exponent - 25)
				     : ldexp(mantissa, -24);

	return (float)(bits & 0x8000 ? -size : size);
}

static void check_halves(struct check *c)
{
	enum { ALL = 1 << 16 };
	size_t vl = c->k->vl, step = ALL / vl;
	block in = make(c, ALL / 2), got = make(c, ALL), want = make(c, ALL);
	ad_loose_half *halves = (ad_loose_half *)(void *)in.data;
	ad_pack_args a = {.halves = halves, .step = step, .channels = vl, .pixels = step, .out = got.data, .pixel = vl};
	unsigned long mode = c->k->fp_enter();

	for (unsigned i = 0; i < ALL; i++)
		halves[i] = (ad_loose_half)i;
	c->k->pack(&a);
	c->k->fp_leave(mode);
	for (unsigned i = 0; i < ALL; i++) {
		float x = want.data[i % step * vl + i / step] = half_value(i), y = got.data[i % step * vl + i / step];

		if (!c->failed && !isnan(x) && signbit(x) != signbit(y)) {
			c->failed = 1;
			snprintf(c->why, c->size, "pack: float16 %04x loses its sign", i);
		}
	}
	same(c, &got, &want, 0, "pack of all float16");
	guard_drop_all(&c->memory);
}

/* As check_pack, of float16. */
static void check_pack_halves(struct check *c)
{
	size_t vl = c->k->vl;
	char what[128];

	for (size_t pixels = 1; pixels < 2 * vl + 4; pixels++)
		for (size_t channels = 1; channels <= vl && !c->failed; channels++) {
			size_t step = pixels + 3, plane = (channels - 1) * step + pixels;
			ad_loose_half *halves = guard_take(&c->memory, plane * sizeof(*halves));
			block out[2];

			for (size_t i = 0; i < plane; i++)
				halves[i] = ad_float_to_half(random_float(c));
			for (int i = 0; i < 2; i++) {
				out[i] = make(c, pixels * vl);
				(i ? c->oracle : c->k)->pack(&(ad_pack_args){.halves = halves,
									     .step = step,
									     .channels = channels,
									     .pixels = pixels,
									     .out = out[i].data,
									     .pixel = vl});
			}
			snprintf(what, sizeof(what), "pack of float16: %zu pixels, %zu channels", pixels, channels);
			same(c, &out[0], &out[1], 0, what);
			guard_drop_all(&c->memory);
		}
}

/* -- detection and resampling ------------------------------------------------------------------------- */

/* `rows` rows of n floats each, and poison between them. */
static block make_rows(struct check *c, size_t rows, size_t step, size_t n)
{
	block b = make(c, (rows - 1) * step + n);

	for (size_t row = 0; row < rows; row++)
		for (size_t i = 0; i < n; i++)
			b.data[row * step + i] = random_float(c);
	return b;
}

/* As one call, or as one for each row, piece of n and group of components: a kernel gives the same bits either way. */
static void run_dots(const ad_kernels *k, const ad_dots_args *a, int in_pieces)
{
	if (!in_pieces) {
		k->dots(a);
		return;
	}
	for (size_t row = 0; row < a->rows; row++)
		for (size_t j = 0; j < a->count; j++)
			for (size_t i = 0; i < a->n; i += AD_DOTS_CHUNK) {
				ad_dots_args one = *a;

				one.v += j * a->v_step + i;
				one.a += row * a->a_step + i;
				one.n = a->n - i < AD_DOTS_CHUNK ? a->n - i : AD_DOTS_CHUNK;
				one.count = one.rows = 1;
				one.out += row * a->count + j;
				k->dots(&one);
			}
}

static void run_subtract(const ad_kernels *k, const ad_subtract_args *a, int in_pieces)
{
	if (!in_pieces) {
		k->subtract(a);
		return;
	}
	for (size_t row = 0; row < a->rows; row++)
		for (size_t j = 0; j < a->count; j += AD_SUBTRACT_GROUP) {
			ad_subtract_args one = *a;

			one.v += j * a->v_step;
			one.z += row * a->z_step + j;
			one.count = a->count - j < AD_SUBTRACT_GROUP ? a->count - j : AD_SUBTRACT_GROUP;
			one.r += row * a->r_step;
			one.rows = 1;
			k->subtract(&one);
		}
}

static void same_bits(struct check *c, const block *got, const block *want, const char *what)
{
	if (!c->failed && memcmp(got->data, want->data, got->count * sizeof(float))) {
		c->failed = 1;
		snprintf(c->why, c->size, "%s: cut in pieces it gives other bits", what);
	}
}

static void one_product(struct check *c, int subtract, size_t n, size_t rows, size_t count, size_t gap)
{
	size_t step = n + gap;
	block v = make_rows(c, count, step, n),
	      in = make_rows(c, rows, subtract ? count + gap : step, subtract ? count : n);
	block start = subtract ? make_rows(c, rows, step, n) : make_random(c, rows * count), out[3];
	char what[128];

	for (int i = 0; i < 3; i++) {
		const ad_kernels *k = i == 1 ? c->oracle : c->k;

		if (subtract) {
			ad_subtract_args a = {v.data, step, count, in.data, count + gap, NULL, step, rows, n};

			out[i] = make_copy(c, &start);
			a.r = out[i].data;
			run_subtract(k, &a, i == 2);
		} else {
			block sums = make(c, 2 * start.count);
			ad_dots_args a = {v.data, step, count, in.data, step, rows, n, (double *)(void *)sums.data};

			for (size_t j = 0; j < start.count; j++)
				a.out[j] = (double)start.data[j];
			run_dots(k, &a, i == 2);
			out[i] = make(c, start.count);
			for (size_t j = 0; j < start.count; j++)
				out[i].data[j] = (float)a.out[j];
		}
	}
	snprintf(what, sizeof(what), "%s %zu elements, %zu rows, %zu components", subtract ? "subtract" : "dots", n,
		 rows, count);
	/* Chunks of 1,024 products of at most 1 in floats. */
	same(c, &out[0], &out[1], subtract ? 1e-6 : 2e-5, what);
	same_bits(c, &out[2], &out[0], what);
	guard_drop_all(&c->memory);
}

static void check_products(struct check *c, int subtract)
{
	static const size_t sizes[] = {1, 3, 4, 7, 8, 15, 16, 17, 33, 64, 100, 1023, 1024, 1025, 2100};
	static const size_t rows[] = {1, 2, 3, 4, 5, 8, 9};
	static const size_t counts[] = {1, 3, 4, 5, 7, 8, 9, 12, 17};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
			for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]) && !c->failed; j++)
				one_product(c, subtract, sizes[s], rows[r], counts[j], j % 2 * 3);
}

/* Weights as resizing has them, and as bad as they may be: 1 in all, unevenly dealt. */
static void check_narrow(struct check *c)
{
	enum { WIDTH = 5, MOST = 23, PITCH = 3 * 64 };

	for (unsigned count = 1; count <= MOST; count++)
		for (size_t rows = 1; rows <= AD_NARROW_ROWS && !c->failed; rows++) {
			size_t stride = (count + 1) / 2 + 1, bytes = rows * PITCH + 16, left;
			block in = make(c, (bytes + 3) / 4), out[2];
			unsigned first[WIDTH], counts[WIDTH];
			ad_pair pairs[WIDTH * (MOST / 2 + 2)];
			uint8_t *from = (uint8_t *)in.data + (in.count * 4 - bytes);

			memset(pairs, 0, sizeof(pairs));
			for (size_t i = 0; i < bytes; i++)
				from[i] = (uint8_t)(count % 3 ? (random_float(c) + 1) * 127.99f : 255);
			for (unsigned x = 0; x < WIDTH; x++) {
				/* The last one ends where the last row does. */
				counts[x] = count > x && x + 1 < WIDTH ? count - x : count;
				first[x] = x + 1 < WIDTH ? 7 * x : 64 - count;
				left = 1 << AD_PAIR_BITS;
				for (unsigned i = 0; i < counts[x]; i++) {
					size_t w = i + 1 < counts[x] ? (size_t)((random_float(c) + 1) / 2 * (float)left)
								     : left;

					left -= w;
					pairs[stride * x + i / 2].high[i % 2] = (int16_t)(w >> AD_PAIR_LOW);
					pairs[stride * x + i / 2].low[i % 2] = (int16_t)(w & ((1 << AD_PAIR_LOW) - 1));
				}
			}
			for (int i = 0; i < 2; i++) {
				ad_narrow_args a = {from, PITCH, rows, first, counts, pairs, stride, WIDTH, {0}};

				out[i] = make(c, AD_NARROW_ROWS * 4);
				/* 15 bytes of each row, and the one that may be overwritten. */
				for (size_t r = 0; r < rows; r++)
					a.out[r] = (uint8_t *)(out[i].data + 4 * r);
				(i ? c->oracle : c->k)->narrow(&a);
				for (size_t r = 0; r < rows; r++)
					a.out[r][3 * WIDTH] = 0;
			}
			c->compared += (long)out[0].count;
			if (memcmp(out[0].data, out[1].data, out[0].count * sizeof(float))) {
				c->failed = 1;
				snprintf(c->why, c->size, "narrow: %u taps, %zu rows: not the scalar one's bytes",
					 count, rows);
			}
			guard_drop_all(&c->memory);
		}
}

long check_kernel(const ad_kernels *k, size_t index, char *why, size_t size)
{
	struct check c = {.k = k, .oracle = ad_kernels_scalar(k->vl), .random = 1, .why = why, .size = size};
	const char *name = ad_kernel_name(index);

	for (c.memory.side = 0; c.memory.side < 2 && !c.failed; c.memory.side++) {
		if (!strcmp(name, "conv"))
			check_conv(&c);
		else if (!strcmp(name, "depthwise") || !strcmp(name, "max_pool") || !strcmp(name, "average_pool"))
			check_window(&c, index);
		else if (!strcmp(name, "wino_in") || !strcmp(name, "wino_out"))
			check_wino(&c, !strcmp(name, "wino_in"));
		else if (!strcmp(name, "wino_weights"))
			check_wino_weights(&c);
		else if (!strcmp(name, "affine"))
			check_affine(&c);
		else if (!strcmp(name, "round_bf16"))
			check_round(&c);
		else if (!strcmp(name, "binary"))
			check_binary(&c);
		else if (!strcmp(name, "mean"))
			check_mean(&c);
		else if (!strcmp(name, "unpack"))
			check_pack(&c, 1);
		else if (!strcmp(name, "pack")) {
			check_pack(&c, 0);
			check_halves(&c);
			check_pack_halves(&c);
		} else if (!strcmp(name, "dots") || !strcmp(name, "subtract"))
			check_products(&c, !strcmp(name, "subtract"));
		else if (!strcmp(name, "narrow"))
			check_narrow(&c);
		else {
			snprintf(why, size, "%s: no check is written for this kernel", name);
			return -1;
		}
	}
	return c.failed ? -1 : c.compared;
}
