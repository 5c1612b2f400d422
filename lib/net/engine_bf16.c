/*
 * Convolutions whose operands are rounded to bfloat16 (kernel/bf16.h): all dense ones of enough channels but 3x3 of
 * stride 1, which Winograd's transforms save more of. Each task rounds its part of the input to scratch, then does what
 * the ways `pointwise` and `direct` of engine_conv.c do. Values stay floats.
 *
 * With a table of its own the numbers in scratch and the weights are bfloat16; without one they are floats that were
 * rounded, so that every instruction set multiplies the same numbers. Offsets into scratch count numbers.
 */
#include "engine_internal.h"

/* Fewer channels are not worth the rounding; and it must not depend on the size of blocks. */
enum { LEAST_CHANNELS = 16, MOST_TAPS = 81, BLOCK = AD_BF16_BLOCK };

int engine_bf16_suits(const ad_conv *conv, size_t in, size_t out, ad_fn pre)
{
	return conv->bf16 && conv->groups == 1 && !ad_conv_has_ways(conv) && in >= LEAST_CHANNELS &&
	       out >= LEAST_CHANNELS && conv->window.kernel[0] <= MOST_TAPS &&
	       conv->window.kernel[1] <= MOST_TAPS / conv->window.kernel[0] && pre.kind <= AD_FN_CLIP;
}

size_t engine_bf16_floats(const ad_engine *e, size_t channels, size_t taps, size_t blocks)
{
	return e->kb ? div_up(channels, 2) * taps * blocks * BLOCK : channels * taps * blocks * e->k->vl;
}

static void round_pixels(const step *s, const run *r, size_t block, const float *in, size_t pixel, size_t pixels,
			 float *scratch, size_t to)
{
	const conv_step *c = &s->u.conv;
	size_t at0 = block * r->k->vl;
	const float *scale = c->scale == SIZE_MAX ? NULL : r->e->weights + c->scale + at0;
	const float *shift = c->scale == SIZE_MAX ? NULL : r->e->weights + c->shift + at0;

	if (r->e->kb)
		r->e->kb->pack(&(ad_bf16_pack_args){in, pixel, (uint16_t *)(void *)scratch + to, pixels, scale, shift,
						    c->pre});
	else
		r->k->round_bf16(&(ad_round_args){in, pixel, scratch + to, pixels, scale, shift, c->pre});
}

/* Where a call finds its input in scratch. */
typedef struct source {
	const float *scratch;
	size_t offset, pixel, step[3];
} source;

/* What arguments of either kind have. */
#define WALK(c, in)                                                              \
	.pixel = (in)->pixel,                                                    \
	.n = {(c)->in_blocks, (c)->window.kernel[0], (c)->window.kernel[1]},     \
	.step = {(in)->step[0], (in)->step[1], (in)->step[2]}

static void call_conv(const step *s, const run *r, const out_group *g, const source *in, size_t pixel0, size_t pixels,
		      int last)
{
	const conv_step *c = &s->u.conv;
	size_t vl = r->k->vl, at0 = g->out_block * c->out.plane + pixel0 * vl;
	float *out = at(r, s->out);
	const float *res = s->res.buffer == BUFFER_NONE ? NULL : from(r, s->res);
	int late = c->fn.kind > AD_FN_CLIP;
	ad_bf16_conv_args a;

	if (!r->e->kb) {
		ad_conv_args wide = {.in = in->scratch + in->offset, WALK(c, in), .run = vl, .last = c->last};

		engine_conv_call(s, r, g, &wide, out, res, pixel0, pixels, last);
		return;
	}
	a = (ad_bf16_conv_args){
	    .in = (const uint16_t *)(const void *)in->scratch + in->offset,
	    WALK(c, in),
	    .run = BLOCK / 2,
	    .last = div_up(c->last, 2),
	    .w = (const uint16_t *)(const void *)(r->e->weights + g->weights),
	    .blocks = g->blocks,
	    .out = out + at0,
	    .out_block = c->out.plane,
	    .pixels = pixels,
	    .bias = c->bias == SIZE_MAX ? NULL : r->e->weights + c->bias + g->out_block * vl,
	    .res = res ? res + at0 : NULL,
	    .res_block = c->out.plane,
	    .fn = late ? (ad_fn){AD_FN_NONE, 0, 0} : c->fn,
	};
	/* The next group's weights, or the next convolution's, follow. */
	a.next = a.w + 2 * g->floats;
	a.next_count = last ? 2 * g->floats : 0;
	r->e->kb->conv(&a);
	for (size_t b = 0; late && b < g->blocks; b++)
		r->k->affine(
		    &(ad_affine_args){a.out + b * a.out_block, a.out + b * a.out_block, pixels, NULL, NULL, c->fn});
}

/* Pieces are of lines when there is a stride; only what is read is rounded, so pixels lie side by side in scratch. */
static void pointwise(const step *s, const run *r, size_t task, float *scratch)
{
	const conv_step *c = &s->u.conv;
	size_t vl = r->k->vl, piece = task / c->parts, part = task % c->parts;
	size_t g0 = cut(c->n_groups, part, c->parts), g1 = cut(c->n_groups, part + 1, c->parts);
	const float *in = from(r, s->in);
	size_t sh = c->window.stride[0], sw = c->window.stride[1], unit = c->lines == 1 ? 1 : c->line;
	size_t cuts = c->lines == 1 ? c->line : c->lines, i0 = cut(cuts, piece, c->pieces);
	size_t pixels = (cut(cuts, piece + 1, c->pieces) - i0) * unit;
	source of = {scratch, 0, vl, {pixels * vl, 0, 0}};

	for (size_t b = 0; b < c->in.blocks; b++) {
		const float *plane = in + b * c->in.plane;

		if (c->lines == 1) {
			round_pixels(s, r, b, plane + i0 * sw * vl, sw * vl, pixels, scratch, b * pixels * vl);
			continue;
		}
		for (size_t l = 0; l < pixels / unit; l++)
			round_pixels(s, r, b, plane + (i0 + l) * sh * c->in.w * vl, sw * vl, c->line, scratch,
				     (b * pixels + l * c->line) * vl);
	}
	for (size_t g = g0; g < g1; g++)
		call_conv(s, r, &c->groups[g], &of, i0 * unit, pixels, 1);
}

static void direct(const step *s, const run *r, size_t task, float *scratch)
{
	const conv_step *c = &s->u.conv;
	const ad_window *w = &c->window;
	size_t vl = r->k->vl, piece = task / c->parts, part = task % c->parts;
	size_t g0 = cut(c->n_groups, part, c->parts), g1 = cut(c->n_groups, part + 1, c->parts);
	size_t y0 = cut(c->out.h, piece, c->pieces), y1 = cut(c->out.h, piece + 1, c->pieces);
	size_t width = span(w, 1, c->out.w), rows = span(w, 0, y1 - y0),
	       size = r->e->kb ? sizeof(uint16_t) : sizeof(float);
	size_t left = min_size(w->pads[1], width), middle = min_size(c->in.w, width - left);
	source of = {
	    scratch, 0, w->stride[1] * vl, {rows * width * vl, w->dilation[0] * width * vl, w->dilation[1] * vl}};
	const float *in = from(r, s->in);
	char *bytes = (char *)scratch;

	for (size_t i = 0; i < c->in.blocks * rows; i++) {
		size_t iy = y0 * w->stride[0] + i % rows - w->pads[0]; /* wraps to more than h above the plane */
		size_t row = i * width * vl;

		if (iy >= c->in.h) {
			memset(bytes + row * size, 0, width * vl * size);
			continue;
		}
		memset(bytes + row * size, 0, left * vl * size);
		round_pixels(s, r, i / rows, in + i / rows * c->in.plane + iy * c->in.w * vl, vl, middle, scratch,
			     row + left * vl);
		memset(bytes + (row + (left + middle) * vl) * size, 0, (width - left - middle) * vl * size);
	}
	for (size_t g = g0; g < g1; g++) {
		for (size_t y = y0; y < y1; y++) {
			of.offset = (y - y0) * w->stride[0] * width * vl;
			call_conv(s, r, &c->groups[g], &of, y * c->out.w, c->out.w, y + 1 == y1);
		}
	}
}

void engine_bf16_plan(const ad_engine *e, step *s)
{
	conv_step *c = &s->u.conv;
	size_t pixels = c->line * c->lines;

	if (!is_pointwise(&c->window)) {
		s->run = direct;
		s->algorithm = "bf16 direct";
	} else {
		s->run = pointwise;
		s->algorithm = c->scale == SIZE_MAX ? "bf16 pointwise" : "scale + bf16 pointwise";
		pixels = c->lines == 1 ? div_up(pixels, c->pieces) : div_up(c->lines, c->pieces) * c->line;
		s->scratch = pixels * c->in.blocks * e->k->vl;
	}
	if (e->kb)
		s->scratch = div_up(s->scratch, 2);
}

int engine_bf16_runs(const step *s)
{
	return s->run == pointwise || s->run == direct;
}

void engine_bf16_pair(const ad_engine *e, const conv_step *c, const out_group *g, size_t block, size_t channel,
		      size_t tap, const float *even, const float *odd)
{
	size_t taps = c->window.kernel[0] * c->window.kernel[1], b = channel / BLOCK;
	size_t pairs = b + 1 < c->in_blocks ? BLOCK / 2 : div_up(c->last, 2);
	size_t at0 = b * BLOCK / 2 * taps + tap * pairs + channel % BLOCK / 2;
	uint16_t *to = (uint16_t *)(void *)(e->weights + g->weights);

	e->kb->pair(&(ad_bf16_pair_args){even, odd, to + (at0 * g->blocks + block) * 2 * BLOCK});
}
