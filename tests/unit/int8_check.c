#include "int8_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

enum { BLOCK = AD_INT8_BLOCK };

struct check {
	const ad_int8_kernels *k;
	uint64_t random;
	long compared;
	char *why;
	size_t size;
	int failed;
	guard memory;
};

static uint32_t random_bits(struct check *c)
{
	uint64_t z = c->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static float random_float(struct check *c, float scale)
{
	return ((float)random_bits(c) / 2147483648.0f - 1) * scale;
}

/* Random bytes; live until guard_drop_all. */
static void *make(struct check *c, size_t bytes)
{
	char *at = guard_take(&c->memory, bytes);

	for (size_t i = 0; i < bytes; i++)
		at[i] = (char)random_bits(c);
	return at;
}

static float *make_floats(struct check *c, size_t count, float scale)
{
	float *f = make(c, count * sizeof(*f));

	for (size_t i = 0; i < count; i++)
		f[i] = random_float(c, scale);
	return f;
}

static void *copy_of(struct check *c, const void *from, size_t bytes)
{
	return memcpy(make(c, bytes), from, bytes);
}

static void same(struct check *c, const void *got, const void *want, size_t bytes, const char *what)
{
	const uint8_t *x = got, *y = want;

	for (size_t i = 0; i < bytes && !c->failed; i++) {
		if (x[i] == y[i])
			continue;
		c->failed = 1;
		snprintf(c->why, c->size, "%s: byte %zu of %zu is %d, scalar says %d", what, i, bytes, x[i], y[i]);
	}
	c->compared += (long)bytes;
}

/* -- convolution ------------------------------------------------------------------------------------- */

/* what & 1: with a residual, & 2: floats out, & 4: the residual is overwritten. */
static void one_conv(struct check *c, const ad_int8_conv_args *shape, unsigned what, size_t vl, const char *text)
{
	ad_int8_conv_args a = *shape;
	size_t width = a.blocks * BLOCK, quads = ((a.n[0] - 1) * a.run + a.last) * a.n[1] * a.n[2], bytes;
	size_t far = (a.pixels - 1) * a.pixel + (a.n[0] - 1) * a.step[0] + (a.n[1] - 1) * a.step[1] +
		     (a.n[2] - 1) * a.step[2];
	int32_t *start = make(c, width * sizeof(*start));
	int8_t *w;
	void *out[2];

	a.in = make(c, far + 4 * (a.n[0] > 1 && a.step[0] == 0 ? a.run : a.last));
	a.w = w = make(c, quads * width * 4);
	for (size_t i = 0; i < quads * width * 4; i++)
		w[i] = (int8_t)(w[i] == -128 ? 127 : w[i]);
	for (size_t i = 0; i < width; i++)
		start[i] = (int32_t)(random_bits(c) % 200000) - 100000;
	a.start = start;
	a.scale = make_floats(c, width, 256.0f / 10000 / sqrtf((float)quads));
	a.shift = make_floats(c, width, 200);
	a.low = what & 2 ? -50.5f : random_bits(c) % 2 ? 0 : 17;
	a.high = what & 2 ? INFINITY : random_bits(c) % 2 ? 255 : 200;
	a.out_block = a.pixels * BLOCK + 16 * (a.pixels % 3);
	bytes = (a.blocks - 1) * a.out_block + a.pixels * BLOCK;
	if (what & 1) {
		a.res = make(c, bytes);
		a.res_block = a.out_block;
		a.res_scale = make_floats(c, width, 1);
		a.res_zero = (int)(random_bits(c) % 256);
	}
	if (what & 2) {
		a.vl = vl;
		a.wide_block = a.pixels * vl + 3;
		a.wide_blocks = width / vl - (a.pixels % 2 && vl < BLOCK);
		bytes = ((a.wide_blocks - 1) * a.wide_block + a.pixels * vl) * sizeof(float);
	}
	out[0] = make(c, bytes);
	if (what == 5)
		memcpy(out[0], a.res, bytes);
	out[1] = copy_of(c, out[0], bytes);
	for (int i = 0; i < 2; i++) {
		if (what & 2)
			a.wide = out[i];
		else
			a.out = out[i];
		if (what == 5)
			a.res = out[i];
		if (i) {
			/* start holds what the offset adds: the oracle has none. */
			int32_t *plain = copy_of(c, start, width * sizeof(*start));

			for (size_t q = 0; q < quads; q++)
				for (size_t v = 0; v < 4 * width; v++)
					plain[v / 4] -= c->k->offset * w[q * 4 * width + v];
			a.start = plain;
		}
		(i ? &ad_int8_scalar : c->k)->conv(&a);
	}
	same(c, out[0], out[1], bytes, text);
	guard_drop_all(&c->memory);
}

static void check_conv(struct check *c)
{
	static const unsigned whats[] = {0, 1, 2, 3, 5};
	static const size_t vls[] = {4, 8, 16};
	char text[128];

	for (size_t blocks = 1; blocks <= c->k->conv_blocks; blocks++)
		for (size_t pixels = 1; pixels <= 31 && !c->failed; pixels++) {
			size_t row = (pixels + 2) * BLOCK;
			/* 1x1; 3x3; strided, with few quads at the end; the stem's; one quad. */
			const ad_int8_conv_args shapes[] = {
			    {.pixel = 16, .n = {3, 1, 1}, .step = {row, 0, 0}, .run = 4, .last = 4},
			    {.pixel = 16, .n = {2, 3, 3}, .step = {3 * row, row, 16}, .run = 4, .last = 3},
			    {.pixel = 32, .n = {2, 3, 3}, .step = {6 * row, 2 * row, 16}, .run = 4, .last = 1},
			    {.pixel = 8, .n = {1, 7, 1}, .step = {0, 8 * pixels + 28, 0}, .run = 7, .last = 7},
			    {.pixel = 16, .n = {1, 1, 1}, .run = 1, .last = 1},
			};

			for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]) && !c->failed; s++) {
				ad_int8_conv_args a = shapes[s];
				unsigned what = whats[(pixels + s) % 5];

				a.blocks = blocks;
				a.pixels = pixels;
				snprintf(text, sizeof(text), "conv shape %zu blocks %zu pixels %zu what %u", s, blocks,
					 pixels, what);
				one_conv(c, &a, what,
					 vls[pixels / 5 % 3] > c->k->lanes ? vls[pixels / 5 % 3] : c->k->lanes, text);
			}
		}
}

/* The largest sum there can be: every byte 255, every weight +-127. */
static void check_extremes(struct check *c)
{
	for (int sign = -1; sign <= 1; sign += 2) {
		ad_int8_conv_args a = {.pixel = 4 * AD_INT8_QUADS, .n = {1, 1, 1}, .run = AD_INT8_QUADS,
				       .last = AD_INT8_QUADS, .blocks = 1, .low = 0, .high = 255, .pixels = 1};
		size_t bytes = (size_t)4 * AD_INT8_QUADS;
		uint8_t *in = make(c, bytes), *out = make(c, BLOCK);
		int8_t *w = make(c, bytes * BLOCK);
		int32_t *start = make(c, BLOCK * sizeof(*start));
		float *scale = make_floats(c, BLOCK, 1), *shift = make_floats(c, BLOCK, 1);

		memset(in, 255, bytes);
		memset(w, sign * 127, bytes * BLOCK);
		for (size_t v = 0; v < BLOCK; v++) {
			start[v] = c->k->offset * sign * 127 * (int32_t)bytes;
			scale[v] = 100 / (255.0f * 127 * (float)bytes);
			shift[v] = 100;
		}
		a.in = in;
		a.w = w;
		a.start = start;
		a.scale = scale;
		a.shift = shift;
		a.out = out;
		c->k->conv(&a);
		for (size_t v = 0; v < BLOCK && !c->failed; v++) {
			c->compared++;
			if (out[v] == 100 + sign * 100)
				continue;
			c->failed = 1;
			snprintf(c->why, c->size, "the largest sum: %d where it is %d", out[v], 100 + sign * 100);
		}
		guard_drop_all(&c->memory);
	}
}

/* -- windows ----------------------------------------------------------------------------------------- */

static void check_window(struct check *c, int pool)
{
	static const size_t kernels[][2] = {{1, 1}, {3, 3}, {5, 5}, {2, 2}, {3, 1}, {1, 4}};
	static const size_t sizes[][2] = {{1, 1}, {2, 3}, {7, 7}, {5, 8}, {6, 30}};
	char text[128];

	for (size_t turn = 0; turn < 6 * 5 * 3 * 3 && !c->failed; turn++) {
		ad_int8_window_args a = {.zero = (int)(random_bits(c) % 256), .low = 0, .high = 255};
		size_t pad = turn / 90, stride = turn / 30 % 3 + 1, oh, bytes, taps;
		uint8_t *out[2];
		int16_t *w;

		a.h = sizes[turn / 6 % 5][0];
		a.w = sizes[turn / 6 % 5][1];
		for (int i = 0; i < 2; i++) {
			a.kernel[i] = kernels[turn % 6][i];
			a.stride[i] = stride;
			a.dilation[i] = 1;
			/* None; all that leaves each window a cell; at the end only. */
			a.pads[i] = pad == 1 ? a.kernel[i] - 1 : 0;
			a.pads[i + 2] = pad ? a.kernel[i] - 1 : 0;
		}
		if (a.h + a.pads[0] + a.pads[2] < a.kernel[0] || a.w + a.pads[1] + a.pads[3] < a.kernel[1])
			continue;
		oh = (a.h + a.pads[0] + a.pads[2] - a.kernel[0]) / stride + 1;
		a.ow = (a.w + a.pads[1] + a.pads[3] - a.kernel[1]) / stride + 1;
		a.y0 = oh > 2 ? 1 : 0;
		a.y1 = oh;
		taps = a.kernel[0] * a.kernel[1];
		bytes = (a.y1 - a.y0) * a.ow * BLOCK;
		a.in = make(c, a.h * a.w * BLOCK);
		out[0] = make(c, bytes);
		out[1] = copy_of(c, out[0], bytes);
		a.weights = w = make(c, taps * BLOCK * sizeof(*w));
		for (size_t i = 0; i < taps * BLOCK; i++)
			w[i] = (int16_t)((int)(random_bits(c) % 255) - 127);
		a.scale = make_floats(c, BLOCK, 1 / (64.0f * sqrtf((float)taps)));
		a.shift = make_floats(c, BLOCK, 200);
		for (int i = 0; i < 2; i++) {
			const ad_int8_kernels *k = i ? &ad_int8_scalar : c->k;

			a.out = out[i];
			(pool ? k->max_pool : k->depthwise)(&a);
		}
		snprintf(text, sizeof(text), "%s of %zu x %zu on %zu x %zu, stride %zu, pads %zu",
			 pool ? "max_pool" : "depthwise", a.kernel[0], a.kernel[1], a.h, a.w, stride, pad);
		same(c, out[0], out[1], bytes, text);
		guard_drop_all(&c->memory);
	}
}

/* -- between floats and bytes ------------------------------------------------------------------------ */

static void check_forms(struct check *c, const char *name)
{
	static const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 0.5f, 1.5f, 2.5f, -0.0f, 1e-40f};

	for (size_t vl = c->k->lanes > 4 ? c->k->lanes : 4; vl <= 16; vl *= 2)
		for (size_t pixels = 1; pixels <= 37 && !c->failed; pixels++) {
			size_t blocks = pixels % (BLOCK / vl) + 1, plane = pixels * vl + 5,
			       floats = (blocks - 1) * plane + pixels * vl;
			float *in = make_floats(c, floats, 300), zero = (float)(random_bits(c) % 256);
			float *factor = make_floats(c, BLOCK, 1), *scale = make_floats(c, BLOCK, 2),
			      *shift = make_floats(c, BLOCK, 50);
			uint8_t *bytes = make(c, pixels * BLOCK), *out[2];
			float *wide[2];

			for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]) && i < floats; i++)
				in[random_bits(c) % floats] = odd[i];
			out[0] = make(c, pixels * BLOCK);
			out[1] = copy_of(c, out[0], pixels * BLOCK);
			wide[0] = make_floats(c, floats, 1);
			wide[1] = copy_of(c, wide[0], floats * sizeof(float));
			for (int i = 0; i < 2; i++) {
				const ad_int8_kernels *k = i ? &ad_int8_scalar : c->k;

				if (!strcmp(name, "quantize"))
					k->quantize(&(ad_int8_quantize_args){
					    in, plane, blocks, vl, pixels % 2 ? scale : NULL, shift,
					    pixels % 3 ? 0 : -INFINITY, pixels % 4 ? INFINITY : 60, factor, zero,
					    out[i], pixels});
				else if (!strcmp(name, "dequantize"))
					k->dequantize(&(ad_int8_dequantize_args){bytes, wide[i], plane, blocks, vl,
										 (int)zero, factor, pixels});
				else /* each channel of a picture: some of the floats */
					k->pack(&(ad_int8_pack_args){in, 1, vl == 16 ? 3 : vl / 4, 0.7f, zero, out[i],
								     pixels > 4 ? pixels - 3 : 1});
			}
			same(c, out[0], out[1], pixels * BLOCK, name);
			same(c, wide[0], wide[1], floats * sizeof(float), name);
			guard_drop_all(&c->memory);
		}
}

long check_int8_kernel(const ad_int8_kernels *k, size_t index, char *why, size_t size)
{
	struct check c = {.k = k, .random = 7, .why = why, .size = size};
	const char *name = ad_int8_kernel_name(index);

	for (c.memory.side = 0; c.memory.side < 2 && !c.failed; c.memory.side++) {
		if (!strcmp(name, "conv")) {
			check_conv(&c);
			check_extremes(&c);
		} else if (!strcmp(name, "depthwise") || !strcmp(name, "max_pool")) {
			check_window(&c, !strcmp(name, "max_pool"));
		} else if (!strcmp(name, "quantize") || !strcmp(name, "dequantize") || !strcmp(name, "pack")) {
			check_forms(&c, name);
		} else {
			snprintf(why, size, "%s: no check is written for this kernel", name);
			return -1;
		}
	}
	return c.failed ? -1 : c.compared;
}
