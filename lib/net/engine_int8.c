/*
 * Convolutions and pooling on bytes (kernel/int8.h), and the ways between bytes and floats.
 *
 * A convolution's sum over bytes q of its input and weights w is sum of (q - zero) w; the part that does not depend on
 * the input, -zero sum of w, is where the sum starts, and padding is `zero`. What follows is one multiplication and
 * addition for each channel, in units of the output's bytes.
 */
#include "engine_internal.h"

#include <math.h>

#include "../base/mem.h"

enum {
	BLOCK = AD_INT8_BLOCK,
	QUAD = 4,
	TASK_DOTS = 1 << 16,     /* vector products that make a task worth the handing out */
	SCRATCH_BYTES = 1 << 17, /* of input that a task works on at a time */
	TASK_BYTES = 1 << 16,
	FLOAT_BYTES = (int)sizeof(float),
	BINS = 64, /* of the remainders of weights */
	CHUNK = 16,
	LANES = 8, /* weights that are rounded at a time; largest ones looked for side by side */
};

/* A factor as it may be: what is tiny counts as 0, so that no product is denormal on one machine and 0 on another. */
static float sound(float x)
{
	const float smallest = 1e-18f, largest = 1e18f;

	if (x > largest)
		return largest;
	if (x < -largest)
		return -largest;
	return x >= smallest || x <= -smallest ? x : 0;
}

static size_t whole_blocks(size_t channels)
{
	return div_up(channels, BLOCK) * BLOCK;
}

/*
 * A channel of small range gets finer steps, but not so fine that a picture unlike those measured is cut off: the
 * tensor's scale times the fourth root of the channel's share of it. (Nor so fine that its weights, which take the
 * scale in, are left with few steps.)
 */
int engine_int8_quanta(const ad_range *ranges, size_t channels, int one, float *scale, int *zero)
{
	size_t all = whole_blocks(channels);
	double low = 0, high = 0, whole;

	for (size_t c = 0; c < channels; c++) {
		low = ranges[c].low < low ? (double)ranges[c].low : low;
		high = ranges[c].high > high ? (double)ranges[c].high : high;
	}
	whole = (high - low) / 255;
	if (sound((float)whole) == 0)
		return 0;
	*zero = (int)nearbyint(-low / whole);
	for (size_t c = 0; c < all; c++) {
		double above = c < channels && *zero < 255 ? (double)ranges[c].high / (255 - *zero) : 0;
		double below = c<channels && * zero> 0 ? -(double)ranges[c].low / *zero : 0;
		double own = above > below ? above : below;

		own = one || own > whole ? whole : own < whole / 64 ? whole / 64 : own;
		scale[c] = sound((float)(whole * sqrt(sqrt(own / whole))));
		scale[all + c] = sound(1 / scale[c]);
	}
	return 1;
}

size_t engine_int8_bytes(shape s, size_t pixel)
{
	return pixel == QUAD ? s.h * s.w * QUAD : div_up(s.c, BLOCK) * s.h * s.w * BLOCK;
}

static uint8_t *bytes_at(const run *r, place p)
{
	return (uint8_t *)at(r, p);
}

static const uint8_t *bytes_from(const run *r, place p)
{
	return (const uint8_t *)from(r, p);
}

/* -- convolution ------------------------------------------------------------------------------------- */

static void call_conv(const step *s, const run *r, const out_group *g, ad_int8_conv_args *a, size_t pixel0,
		      size_t pixels)
{
	const int8_step *c = &s->u.int8;
	const float *weights = r->e->weights;
	size_t plane = c->out.h * c->out.w * BLOCK, channel = g->out_block * BLOCK, vl = r->k->vl;

	a->w = (const int8_t *)(const void *)(weights + g->weights);
	a->blocks = g->blocks;
	a->start = (const int32_t *)(const void *)(weights + c->start) + channel;
	a->scale = weights + c->scale + channel;
	a->shift = weights + c->shift + channel;
	a->low = c->low;
	a->high = c->high;
	a->pixels = pixels;
	if (s->res.buffer != BUFFER_NONE) {
		a->res = bytes_from(r, s->res) + g->out_block * plane + pixel0 * BLOCK;
		a->res_block = plane;
		a->res_zero = c->res.zero;
		a->res_scale = weights + c->factor + channel;
	}
	if (c->to.scale) {
		a->out = bytes_at(r, s->out) + g->out_block * plane + pixel0 * BLOCK;
		a->out_block = plane;
	} else {
		size_t first = channel / vl;

		a->wide = at(r, s->out) + first * c->out.plane + pixel0 * vl;
		a->wide_block = c->out.plane;
		a->wide_blocks = min_size(c->out.blocks - first, g->blocks * BLOCK / vl);
		a->vl = vl;
	}
	r->e->k8->conv(a);
}

static size_t last_quads(size_t channels)
{
	return div_up(channels - (div_up(channels, BLOCK) - 1) * BLOCK, QUAD);
}

static void pointwise(const step *s, const run *r, size_t task, float *scratch)
{
	const int8_step *c = &s->u.int8;
	size_t piece = task / c->parts, part = task % c->parts;
	size_t g0 = cut(c->n_groups, part, c->parts), g1 = cut(c->n_groups, part + 1, c->parts);
	size_t sh = c->window.stride[0], sw = c->window.stride[1];
	int flat = sh == 1 && sw == 1;
	size_t lines = flat ? 1 : c->out.h, line = flat ? c->out.h * c->out.w : c->out.w;
	size_t l0 = flat ? 0 : cut(lines, piece, c->pieces), l1 = flat ? 1 : cut(lines, piece + 1, c->pieces);
	size_t p0 = flat ? cut(line, piece, c->pieces) : 0, p1 = flat ? cut(line, piece + 1, c->pieces) : line;
	const uint8_t *in = bytes_from(r, s->in);
	ad_int8_conv_args a = {
	    .pixel = sw * BLOCK,
	    .n = {div_up(c->in.c, BLOCK), 1, 1},
	    .step = {c->in.h * c->in.w * BLOCK, 0, 0},
	    .run = BLOCK / QUAD,
	    .last = last_quads(c->in.c),
	};

	(void)scratch;
	for (size_t g = g0; g < g1; g++) {
		for (size_t l = l0; l < l1; l++) {
			a.in = in + (l * sh * c->in.w + p0 * sw) * BLOCK;
			call_conv(s, r, &c->groups[g], &a, l * line + p0, p1 - p0);
		}
	}
}

static void direct(const step *s, const run *r, size_t task, float *scratch)
{
	const int8_step *c = &s->u.int8;
	const ad_window *w = &c->window;
	size_t piece = task / c->parts, part = task % c->parts;
	size_t g0 = cut(c->n_groups, part, c->parts), g1 = cut(c->n_groups, part + 1, c->parts);
	size_t y0 = cut(c->out.h, piece, c->pieces), y1 = cut(c->out.h, piece + 1, c->pieces);
	size_t width = span(w, 1, c->out.w), rows = span(w, 0, y1 - y0), px = c->pixel;
	size_t blocks = px == QUAD ? 1 : div_up(c->in.c, BLOCK);
	const uint8_t *in = bytes_from(r, s->in);
	uint8_t *band = (uint8_t *)scratch;
	ad_int8_conv_args a = {
	    .pixel = w->stride[1] * px,
	    .n = {blocks, w->kernel[0], px == QUAD ? 1 : w->kernel[1]},
	    .step = {rows * width * px, w->dilation[0] * width * px, w->dilation[1] * px},
	    .run = px == QUAD ? w->kernel[1] : BLOCK / QUAD,
	    .last = px == QUAD ? w->kernel[1] : last_quads(c->in.c),
	};

	for (size_t b = 0; b < blocks; b++)
		engine_copy_band(in + b * c->in.h * c->in.w * px, c->in.h, c->in.w, px, w, y0 * w->stride[0], rows,
				 width, c->from.zero, band + b * a.step[0]);
	for (size_t g = g0; g < g1; g++) {
		for (size_t y = y0; y < y1; y++) {
			a.in = band + (y - y0) * w->stride[0] * width * px;
			call_conv(s, r, &c->groups[g], &a, y * c->out.w, c->out.w);
		}
	}
}

/* -- windows ----------------------------------------------------------------------------------------- */

static void window(const step *s, const run *r, size_t task, float *scratch)
{
	const int8_step *c = &s->u.int8;
	size_t blocks = div_up(c->in.c, BLOCK), groups = div_up(blocks, c->parts), piece = task / groups;
	size_t b0 = task % groups * c->parts, b1 = min_size(b0 + c->parts, blocks);
	size_t taps = c->window.kernel[0] * c->window.kernel[1];
	ad_int8_window_args a = {
	    .h = c->in.h,
	    .w = c->in.w,
	    .ow = c->out.w,
	    .y0 = cut(c->out.h, piece, c->pieces),
	    .y1 = cut(c->out.h, piece + 1, c->pieces),
	    .zero = c->from.zero,
	    .low = c->low,
	    .high = c->high,
	};

	(void)scratch;
	memcpy(a.kernel, c->window.kernel, sizeof(a.kernel));
	memcpy(a.stride, c->window.stride, sizeof(a.stride));
	memcpy(a.dilation, c->window.dilation, sizeof(a.dilation));
	memcpy(a.pads, c->window.pads, sizeof(a.pads));
	for (size_t b = b0; b < b1; b++) {
		a.in = bytes_from(r, s->in) + b * c->in.h * c->in.w * BLOCK;
		a.out = bytes_at(r, s->out) + (b * c->out.h + a.y0) * c->out.w * BLOCK;
		if (c->start == SIZE_MAX) {
			r->e->k8->max_pool(&a);
			continue;
		}
		a.weights = (const int16_t *)(const void *)(r->e->weights + c->start) + b * taps * BLOCK;
		a.scale = r->e->weights + c->scale + b * BLOCK;
		a.shift = r->e->weights + c->shift + b * BLOCK;
		r->e->k8->depthwise(&a);
	}
}

static void plan_window(step *s)
{
	int8_step *c = &s->u.int8;
	size_t blocks = div_up(c->in.c, BLOCK), work = (c->in.h * c->in.w + c->out.h * c->out.w) * BLOCK;

	s->run = window;
	c->pieces = min_size(max_size(work / TASK_BYTES, 2), max_size(1, c->out.h / 4));
	c->parts = min_size(max_size(TASK_BYTES / max_size(work / c->pieces, 1), 1), blocks);
	s->tasks = c->pieces * div_up(blocks, c->parts);
	s->scratch = 0;
}

void engine_int8_pool(step *s, const ad_window *w, shape in, shape out)
{
	s->u.int8 = (int8_step){.window = *w, .in = in, .out = out, .start = SIZE_MAX};
	s->algorithm = "int8 window";
	plan_window(s);
}

/* -- forms ------------------------------------------------------------------------------------------- */

/* Task: some pixels of all planes that make up one block of bytes, or (packing) of the picture. */
static size_t form_pieces(const int8_step *c)
{
	size_t pixels = c->in.h * c->in.w;

	return pixels < 4 * BLOCK ? 1 : min_size(max_size(2, pixels * BLOCK / TASK_BYTES), div_up(pixels, BLOCK));
}

static void form_part(const int8_step *c, size_t piece, size_t *p0, size_t *pixels)
{
	size_t total = c->in.h * c->in.w, units = div_up(total, BLOCK);

	*p0 = cut(units, piece, c->pieces) * BLOCK;
	*pixels = min_size(cut(units, piece + 1, c->pieces) * BLOCK, total) - *p0;
}

static void quantize(const step *s, const run *r, size_t task, float *scratch)
{
	const int8_step *c = &s->u.int8;
	size_t blocks = div_up(c->in.c, BLOCK), vl = r->k->vl, b = task % blocks, first = b * (BLOCK / vl), p0, pixels;
	const float *weights = r->e->weights;

	(void)scratch;
	form_part(c, task / blocks, &p0, &pixels);
	r->e->k8->quantize(&(ad_int8_quantize_args){
	    .in = from(r, s->in) + first * c->in.plane + p0 * vl,
	    .in_block = c->in.plane,
	    .blocks = min_size(BLOCK / vl, c->in.blocks - first),
	    .vl = vl,
	    .scale = c->scale == SIZE_MAX ? NULL : weights + c->scale + b * BLOCK,
	    .shift = c->scale == SIZE_MAX ? NULL : weights + c->shift + b * BLOCK,
	    .low = c->low,
	    .high = c->high,
	    .factor = weights + c->factor + b * BLOCK,
	    .zero = (float)c->to.zero,
	    .out = bytes_at(r, s->out) + (b * c->in.h * c->in.w + p0) * BLOCK,
	    .pixels = pixels,
	});
}

int engine_int8_quantize(ad_engine *e, step *s, shape of, quanta to, size_t scale, size_t shift, ad_fn pre)
{
	int8_step *c = &s->u.int8;

	*c = (int8_step){.in = of, .to = to, .scale = scale, .shift = shift, .low = -INFINITY, .high = INFINITY};
	c->factor = engine_vector(e, to.scale + whole_blocks(of.c), whole_blocks(of.c), whole_blocks(of.c), 0);
	if (pre.kind == AD_FN_RELU)
		c->low = 0;
	if (pre.kind == AD_FN_CLIP) {
		c->low = pre.a;
		c->high = pre.b;
	}
	c->pieces = form_pieces(c);
	s->run = quantize;
	s->tasks = c->pieces * div_up(of.c, BLOCK);
	s->scratch = 0;
	return c->factor == SIZE_MAX ? ADTOOL_ENOMEM : 0;
}

static void dequantize(const step *s, const run *r, size_t task, float *scratch)
{
	const int8_step *c = &s->u.int8;
	size_t blocks = div_up(c->in.c, BLOCK), vl = r->k->vl, b = task % blocks, first = b * (BLOCK / vl), p0, pixels;

	(void)scratch;
	form_part(c, task / blocks, &p0, &pixels);
	r->e->k8->dequantize(&(ad_int8_dequantize_args){
	    .in = bytes_from(r, s->in) + (b * c->in.h * c->in.w + p0) * BLOCK,
	    .out = at(r, s->out) + first * c->in.plane + p0 * vl,
	    .out_block = c->in.plane,
	    .blocks = min_size(BLOCK / vl, c->in.blocks - first),
	    .vl = vl,
	    .zero = c->from.zero,
	    .factor = r->e->weights + c->factor + b * BLOCK,
	    .pixels = pixels,
	});
}

int engine_int8_dequantize(ad_engine *e, step *s, shape of, quanta from)
{
	s->u.int8 = (int8_step){.in = of, .from = from};
	s->u.int8.factor = engine_vector(e, from.scale, whole_blocks(of.c), whole_blocks(of.c), 0);
	s->u.int8.pieces = form_pieces(&s->u.int8);
	s->run = dequantize;
	s->tasks = s->u.int8.pieces * div_up(of.c, BLOCK);
	s->scratch = 0;
	return s->u.int8.factor == SIZE_MAX ? ADTOOL_ENOMEM : 0;
}

static void pack(const step *s, const run *r, size_t task, float *scratch)
{
	const int8_step *c = &s->u.int8;
	size_t p0, pixels;

	(void)scratch;
	form_part(c, task, &p0, &pixels);
	r->e->k8->pack(&(ad_int8_pack_args){from(r, s->in) + p0, c->in.h * c->in.w, c->in.c, c->one_factor,
					    (float)c->to.zero, bytes_at(r, s->out) + p0 * QUAD, pixels});
}

void engine_int8_pack(step *s, shape of, quanta to)
{
	s->u.int8 = (int8_step){.in = of, .to = to, .one_factor = to.scale[whole_blocks(of.c)]};
	s->u.int8.pieces = form_pieces(&s->u.int8);
	s->run = pack;
	s->tasks = s->u.int8.pieces;
	s->scratch = 0;
}

/* -- planning ---------------------------------------------------------------------------------------- */

int engine_int8_suits(const ad_conv *conv, ad_activation activation, size_t in, size_t out, int planar)
{
	const ad_window *w = &conv->window;
	size_t taps = w->kernel[0] * w->kernel[1];
	int depthwise = conv->groups == in && conv->groups == out && in > 1;

	if (activation.kind != AD_ACT_NONE && activation.kind != AD_ACT_RELU && activation.kind != AD_ACT_CLIP)
		return 0;
	/* Bytes end where the range did: within its bounds. */
	if (activation.kind == AD_ACT_CLIP && !(activation.a <= 0 && activation.b >= 0))
		return 0;
	if (depthwise)
		return !planar && !conv->residual && taps <= AD_INT8_QUADS;
	if (conv->groups != 1 || (planar && (in > QUAD || w->dilation[1] != 1)))
		return 0;
	return taps <= AD_INT8_QUADS && div_up(in, QUAD) <= AD_INT8_QUADS / taps;
}

static void plan_conv(const ad_engine *e, step *s)
{
	int8_step *c = &s->u.int8;
	const ad_window *w = &c->window;
	size_t out_blocks = div_up(c->out.c, BLOCK), pixels = c->out.h * c->out.w, least, most,
	       tile = e->k8->conv_pixels;
	double dots =
	    (double)pixels * (double)div_up(c->in.c, QUAD) * (double)out_blocks * (double)(w->kernel[0] * w->kernel[1]);

	c->parts = 1;
	if (is_pointwise(w) && c->pixel == BLOCK) {
		int flat = w->stride[0] == 1 && w->stride[1] == 1;

		s->run = pointwise;
		s->algorithm = "int8 pointwise";
		least = div_up(engine_int8_bytes(c->in, BLOCK), SCRATCH_BYTES);
		most = flat ? max_size(1, pixels / (2 * tile)) : c->out.h;
		c->pieces = pieces_for(dots, TASK_DOTS, min_size(least, most), most);
		s->scratch = 0;
	} else {
		size_t size = c->pixel == QUAD ? QUAD : div_up(c->in.c, BLOCK) * BLOCK, width = span(w, 1, c->out.w);
		size_t rows;

		s->run = direct;
		s->algorithm = "int8 direct";
		for (rows = c->out.h; rows > 1 && span(w, 0, rows) * width * size > SCRATCH_BYTES; rows--)
			;
		least = div_up(c->out.h, max_size(rows, 2));
		c->pieces = pieces_for(dots, TASK_DOTS, least, max_size(least, div_up(c->out.h, 2)));
		s->scratch = div_up(span(w, 0, div_up(c->out.h, c->pieces)) * width * size, FLOAT_BYTES);
	}
	if (c->pieces < 4)
		c->parts = pieces_for(dots / (double)c->pieces, TASK_DOTS, 1, c->n_groups);
	s->tasks = c->pieces * c->parts;
}

int engine_int8_conv(ad_engine *e, step *s, size_t index, const ad_node *node, shape in, shape out, size_t pixel,
		     quanta from, quanta to, quanta res)
{
	const ad_conv *conv = &node->u.conv;
	const ad_activation *act = &node->activation;
	int8_step *c = &s->u.int8;
	size_t taps = conv->window.kernel[0] * conv->window.kernel[1], blocks = div_up(out.c, BLOCK), n = 0;
	int depthwise = conv->groups > 1;
	fill *f;

	*c = (int8_step){
	    .window = conv->window, .in = in, .out = out, .pixel = pixel, .from = from, .to = to, .res = res};
	if (to.scale) {
		c->low = act->kind == AD_ACT_RELU || (act->kind == AD_ACT_CLIP && act->a >= 0) ? (float)to.zero : 0;
		c->high = act->kind == AD_ACT_CLIP && act->b <= 0 ? (float)to.zero : 255;
	} else {
		c->low = act->kind == AD_ACT_RELU ? 0 : act->kind == AD_ACT_CLIP ? act->a : -INFINITY;
		c->high = act->kind == AD_ACT_CLIP ? act->b : INFINITY;
	}
	c->factor = res.scale ? engine_weights(e, blocks * BLOCK) : 0;
	c->scale = engine_weights(e, blocks * BLOCK);
	c->shift = engine_weights(e, blocks * BLOCK);
	c->start = engine_weights(e, depthwise ? div_up(blocks * taps * BLOCK, 2) : blocks * BLOCK);
	if (depthwise) {
		f = engine_fill(e);
		if (!f)
			return ADTOOL_ENOMEM;
		*f = (fill){.kind = FILL_INT8, .step = index, .node = node};
		s->algorithm = "int8 depthwise";
		plan_window(s);
		return 0;
	}
	c->groups = ad_malloc_array(blocks, sizeof(*c->groups));
	if (!c->groups)
		return ADTOOL_ENOMEM;
	for (size_t b = 0; b < blocks; n++) {
		size_t size = min_size(e->k8->conv_blocks, blocks - b);

		f = engine_fill(e);
		if (!f) {
			ad_free(c->groups);
			return ADTOOL_ENOMEM;
		}
		*f = (fill){.kind = FILL_INT8, .step = index, .group = n, .node = node};
		/* A picture's quads hold all its channels. */
		c->groups[n] = (out_group){0, b, size, 0, div_up(in.c, QUAD) * taps * size * BLOCK, 0};
		c->groups[n].weights = engine_weights(e, c->groups[n].floats);
		b += size;
	}
	c->n_groups = n;
	plan_conv(e, s);
	return 0;
}

void engine_int8_release(step *s)
{
	if (s->run == pointwise || s->run == direct)
		ad_free(s->u.int8.groups);
}

/* -- packing ----------------------------------------------------------------------------------------- */

/* What output channel o of a convolution is made of: the weights of an input channel next to each other. */
typedef struct filter {
	const ad_loose *w; /* or halves */
	const ad_loose_half *halves;
	size_t channels, taps; /* channels 0: there is none */
	const float *scale; /* of the input channels */
	float most;         /* scale of the weights, the input's in it */
} filter;

/* Weights first .. first + n - 1 of a filter, the input's scale in them, and 0 for what follows. */
static void weights_of(const filter *f, size_t first, size_t n, float x[CHUNK])
{
	size_t channel = first / f->taps, tap = first % f->taps;

	if (f->halves)
		ad_halves_to_floats(f->halves + first, n, x);
	else
		memcpy(x, f->w + first, n * sizeof(*x));
	if (f->taps == 1) {
		for (size_t i = 0; i < n; i++)
			x[i] = x[i] * f->scale[first + i];
	} else {
		for (size_t i = 0; i < n; i++) {
			x[i] = x[i] * f->scale[channel];
			if (++tap == f->taps) {
				tap = 0;
				channel++;
			}
		}
	}
	for (size_t i = n; i < CHUNK; i++)
		x[i] = 0;
}

/* depthwise: input channel o alone. */
static filter make_filter(const int8_step *c, const ad_conv *conv, size_t o)
{
	int depthwise = conv->groups > 1;
	size_t taps = c->window.kernel[0] * c->window.kernel[1], all;
	filter f = {.taps = taps, .scale = c->from.scale + (depthwise ? o : 0)};
	float most[LANES] = {0}, x[CHUNK];

	if (o >= c->out.c)
		return f;
	f.channels = depthwise ? 1 : c->in.c;
	all = f.channels * taps;
	if (conv->halves)
		f.halves = conv->halves + o * all;
	else
		f.w = conv->weights + o * all;
	for (size_t first = 0; first < all; first += CHUNK) {
		weights_of(&f, first, min_size(CHUNK, all - first), x);
		for (size_t i = 0; i < CHUNK; i += LANES) {
			for (size_t k = 0; k < LANES; k++) {
				float size = fabsf(x[i + k]);

				most[k] = size > most[k] ? size : most[k];
			}
		}
	}
	for (size_t k = 0; k < LANES; k++)
		f.most = most[k] > f.most ? most[k] : f.most;
	f.most = f.most / 127;
	return f;
}

/*
 * Rounds n weights so that their sum is kept: where it moves by some units, as many of those that were nearly rounded
 * the other way are. Inputs are mostly of one sign, so that a sum's error is felt where single errors cancel out.
 * Halves the error of features in deep nets.
 */
typedef struct rounding {
	float inverse;
	int up;     /* 1: some go up, -1: down */
	int from;   /* those whose remainder falls into a bin from here on, */
	size_t few; /* but in this very bin only so many */
} rounding;

static inline int32_t bits_of(float x)
{
	int32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static inline float float_of(int32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/*
 * CHUNK weights to the nearest (ties to even, -127 .. 127), what remains of each, and its bin: from BINS on of those
 * rounded up, 2 BINS when it cannot move. Whole numbers are compared, not floats, so that compilers make vectors of it.
 */
static void round_chunk(float inverse, const float *restrict x, int32_t *restrict q, float *restrict d,
			int32_t *restrict bin)
{
	const float big = 12582912; /* 1.5 2^23: beyond it floats are whole, and their bits count */
	const int32_t most = bits_of(0.5f) - 1;

	for (size_t i = 0; i < CHUNK; i++) {
		float scaled = x[i] * inverse;
		int32_t near = (int32_t)((uint32_t)bits_of(scaled + big) - (uint32_t)bits_of(big)), bits, size, up,
			none;

		near = near < -127 ? -127 : near;
		near = near > 127 ? 127 : near;
		q[i] = near;
		d[i] = scaled - (float)near;
		bits = bits_of(d[i]);
		size = bits & INT32_MAX;
		up = bits < 0 ? -1 : 0; /* all its bits */
		near = (near ^ up) - up;
		none = -((size == 0) | (near == 127));
		size = size < most ? size : most;
		bin[i] = (((int32_t)(float_of(size) * (2 * BINS)) + (up & BINS)) & ~none) | (none & (2 * BINS));
	}
}

static rounding round_weights(const filter *f)
{
	rounding r = {.inverse = f->most > 0 ? 1 / f->most : 0, .from = BINS};
	size_t bins[2 * BINS + 1] = {0}, units, all = f->channels * f->taps;
	int32_t q[CHUNK], bin[CHUNK];
	float x[CHUNK], d[CHUNK];
	double sum = 0;

	for (size_t first = 0; first < all; first += CHUNK) {
		weights_of(f, first, min_size(CHUNK, all - first), x);
		round_chunk(r.inverse, x, q, d, bin);
		for (size_t i = 0; i < CHUNK; i++) {
			sum += (double)d[i];
			bins[bin[i]]++;
		}
	}
	if (!(fabs(sum) > 0.5 && fabs(sum) < (double)all))
		return r;
	r.up = sum > 0 ? 1 : -1;
	for (units = (size_t)(fabs(sum) + 0.5); units && r.from; units -= r.few) {
		r.from--;
		r.few = min_size(units, bins[r.from + (r.up < 0 ? BINS : 0)]);
	}
	return r;
}

/* Weights first .. first + n - 1; what goes before them has been rounded. */
static void rounded(const filter *f, rounding *r, size_t first, size_t n, int32_t q[CHUNK])
{
	int32_t bin[CHUNK], base = r->up < 0 ? BINS : 0;
	float x[CHUNK], d[CHUNK];

	weights_of(f, first, n, x);
	round_chunk(r->inverse, x, q, d, bin);
	if (!r->up)
		return;
	for (size_t i = 0; i < n; i++) {
		int32_t b = bin[i] - base, moves = (b > r->from) & (b < BINS);

		if (b == r->from && r->few) {
			r->few--;
			moves = 1;
		}
		q[i] += moves ? r->up : 0;
	}
}

static void fill_factors(const ad_engine *e, const int8_step *c, const ad_conv *conv, const filter *f, size_t o)
{
	float unit = c->to.scale ? c->to.scale[o] : 1, *weights = e->weights;
	float shift = f->channels && conv->bias ? conv->bias[o] / unit : 0;

	weights[c->scale + o] = sound(f->most / unit);
	weights[c->shift + o] = sound(shift) + (c->to.scale ? (float)c->to.zero : 0);
	if (c->res.scale)
		weights[c->factor + o] = sound(c->res.scale[o] / unit);
}

static void fill_depthwise(const ad_engine *e, const int8_step *c, const ad_conv *conv)
{
	size_t taps = c->window.kernel[0] * c->window.kernel[1], all = whole_blocks(c->out.c);
	int16_t *to = (int16_t *)(void *)(e->weights + c->start);
	int32_t q[CHUNK] = {0};

	for (size_t o = 0; o < all; o++) {
		filter f = make_filter(c, conv, o);
		rounding r = round_weights(&f);

		fill_factors(e, c, conv, &f, o);
		for (size_t t = 0; t < taps; t++) {
			if (f.channels && t % CHUNK == 0)
				rounded(&f, &r, t, min_size(CHUNK, taps - t), q);
			to[(o / BLOCK * taps + t) * BLOCK + o % BLOCK] = (int16_t)(f.channels ? q[t % CHUNK] : 0);
		}
	}
}

void engine_int8_fill(const ad_engine *e, const fill *of)
{
	const step *s = &e->steps[of->step];
	const int8_step *c = &s->u.int8;
	const ad_conv *conv = &of->node->u.conv;
	size_t taps = c->window.kernel[0] * c->window.kernel[1], in = c->in.c, quad;
	filter f[AD_INT8_BLOCKS_MAX * BLOCK];
	rounding r[AD_INT8_BLOCKS_MAX * BLOCK];
	int32_t sums[AD_INT8_BLOCKS_MAX * BLOCK] = {0};
	int32_t q[CHUNK];
	const out_group *g;
	int8_t *to;
	int32_t *start;

	if (conv->groups > 1) {
		fill_depthwise(e, c, conv);
		return;
	}
	g = &c->groups[of->group];
	to = (int8_t *)(void *)(e->weights + g->weights);
	start = (int32_t *)(void *)(e->weights + c->start) + g->out_block * BLOCK;
	quad = QUAD * BLOCK * g->blocks;
	memset(to, 0, g->floats * FLOAT_BYTES);
	for (size_t v = 0; v < g->blocks * BLOCK; v++) {
		f[v] = make_filter(c, conv, g->out_block * BLOCK + v);
		r[v] = round_weights(&f[v]);
		fill_factors(e, c, conv, &f[v], g->out_block * BLOCK + v);
	}
	/* Block by block of the input, so that what is written stays in the cache. */
	for (size_t from = 0; from < in; from += BLOCK) {
		/* [block][tap][quad of the block]; the last block may have fewer quads. */
		size_t quads = min_size(BLOCK / QUAD, div_up(in - from, QUAD)), count = min_size(BLOCK, in - from);

		for (size_t v = 0; v < g->blocks * BLOCK; v++) {
			int8_t *first = to + v * QUAD + from / QUAD * taps * quad;
			size_t i = 0, tap = 0;

			for (size_t n = 0; f[v].channels && n < count * taps; n++) {
				if (n % CHUNK == 0)
					rounded(&f[v], &r[v], from * taps + n, min_size(CHUNK, count * taps - n), q);
				first[(i / QUAD + tap * quads) * quad + i % QUAD] = (int8_t)q[n % CHUNK];
				if (++tap == taps) {
					tap = 0;
					i++;
				}
				sums[v] += q[n % CHUNK];
			}
		}
	}
	for (size_t v = 0; v < g->blocks * BLOCK; v++)
		start[v] = (e->k8->offset - c->from.zero) * sums[v];
}
