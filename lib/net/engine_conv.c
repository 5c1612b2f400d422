/*
 * Convolutions on blocked activations. Four ways:
 *
 *   pointwise    1x1: pixels times weights, straight from the input, whatever the stride; a SCALE before it is applied
 *                while a piece of the input is copied to scratch
 *   direct       k x k: a band of input rows is copied to scratch with its padding, then every output row is one call
 *                per group of output channels; `planar` does the same on C x H x W inputs of few channels
 *   winograd-m   3x3, stride 1: transform the input, one matrix product for each of the (m + 2)^2 elements,
 *                transform back
 *   depthwise    one channel by itself (planned here, run by engine_steps.c)
 *
 * In bfloat16 the first two are done by engine_bf16.c.
 */
#include "engine_internal.h"

#include "../base/mem.h"

/* What decides how work is cut and which way is taken: sizes that suit caches of 32-48 KiB and 0.5-2 MiB. */
enum {
	TASK_FMAS = 1 << 17,      /* vector multiply-adds that make a task worth the handing out */
	SCRATCH_FLOATS = 1 << 16, /* of input a task works on at a time: a quarter of a MiB */
	WINO_FLOATS = 5 << 15,    /* transformed input of all tiles that may be kept whole */
};

void engine_conv_call(const step *s, const run *r, const out_group *g, ad_conv_args *a, float *out, const float *res,
		      size_t pixel0, size_t pixels, int last)
{
	const conv_step *c = &s->u.conv;
	size_t vl = r->k->vl, at0 = g->out_block * c->out.plane + pixel0 * vl;

	a->w = r->e->weights + g->weights;
	/* The next group's weights, or the next convolution's, follow. */
	a->next = a->w + g->floats;
	a->next_count = last ? g->floats : 0;
	a->blocks = g->blocks;
	a->half = g->half;
	a->out = out + at0;
	a->out_block = c->out.plane;
	a->pixels = pixels;
	a->bias = c->bias == SIZE_MAX ? NULL : r->e->weights + c->bias + g->out_block * vl;
	a->res = res ? res + at0 : NULL;
	a->res_block = c->out.plane;
	a->fn = c->fn;
	r->k->conv(a);
}

static void pointwise(const step *s, const run *r, size_t task, float *scratch)
{
	const conv_step *c = &s->u.conv;
	size_t vl = r->k->vl, piece = task / c->parts, part = task % c->parts;
	size_t g0 = cut(c->n_groups, part, c->parts), g1 = cut(c->n_groups, part + 1, c->parts);
	const float *in = from(r, s->in), *res = s->res.buffer == BUFFER_NONE ? NULL : from(r, s->res);
	float *out = at(r, s->out);
	int flat = c->window.stride[0] == 1 && c->window.stride[1] == 1;
	size_t l0 = flat ? 0 : cut(c->lines, piece, c->pieces), l1 = flat ? 1 : cut(c->lines, piece + 1, c->pieces);
	size_t p0 = flat ? cut(c->line, piece, c->pieces) : 0, p1 = flat ? cut(c->line, piece + 1, c->pieces) : c->line;
	size_t sh = c->window.stride[0], sw = c->window.stride[1];
	ad_conv_args a = {
	    .pixel = flat ? vl : sw * vl,
	    .n = {c->in_blocks, 1, 1},
	    .step = {c->in.plane, 0, 0},
	    .run = vl,
	    .last = c->last,
	};

	if (c->scale != SIZE_MAX) {
		for (size_t b = 0; b < c->in.blocks; b++)
			r->k->affine(&(ad_affine_args){in + b * c->in.plane + p0 * vl, scratch + b * (p1 - p0) * vl,
						       p1 - p0, r->e->weights + c->scale + b * vl,
						       r->e->weights + c->shift + b * vl, c->pre});
		a.step[0] = (p1 - p0) * vl;
	}
	for (size_t g = g0; g < g1; g++) {
		const out_group *group = &c->groups[g];

		for (size_t l = l0; l < l1; l++) {
			a.in = c->scale != SIZE_MAX ? scratch + group->in_block * a.step[0]
						    : in + group->in_block * c->in.plane +
							  (l * sh * c->in.w + p0 * (flat ? 1 : sw)) * vl;
			engine_conv_call(s, r, group, &a, out, res, l * c->line + p0, p1 - p0, l + 1 == l1);
		}
	}
}

static void direct(const step *s, const run *r, size_t task, float *scratch)
{
	const conv_step *c = &s->u.conv;
	const ad_window *w = &c->window;
	size_t vl = r->k->vl, piece = task / c->parts, part = task % c->parts;
	size_t g0 = cut(c->n_groups, part, c->parts), g1 = cut(c->n_groups, part + 1, c->parts);
	size_t y0 = cut(c->out.h, piece, c->pieces), y1 = cut(c->out.h, piece + 1, c->pieces);
	size_t width = span(w, 1, c->out.w), rows = span(w, 0, y1 - y0);
	const float *in = from(r, s->in), *res = s->res.buffer == BUFFER_NONE ? NULL : from(r, s->res);
	ad_conv_args a = {
	    .pixel = w->stride[1] * vl,
	    .n = {c->in_blocks, w->kernel[0], w->kernel[1]},
	    .step = {rows * width * vl, w->dilation[0] * width * vl, w->dilation[1] * vl},
	    .run = vl,
	    .last = c->last,
	};

	for (size_t b = 0; b < c->in.blocks; b++)
		engine_copy_band(in + b * c->in.plane, c->in.h, c->in.w, vl * sizeof(float), w, y0 * w->stride[0], rows,
				 width, 0, scratch + b * a.step[0]);
	for (size_t g = g0; g < g1; g++) {
		for (size_t y = y0; y < y1; y++) {
			a.in = scratch + c->groups[g].in_block * a.step[0] + (y - y0) * w->stride[0] * width * vl;
			engine_conv_call(s, r, &c->groups[g], &a, at(r, s->out), res, y * c->out.w, c->out.w,
					 y + 1 == y1);
		}
	}
}

static void planar(const step *s, const run *r, size_t task, float *scratch)
{
	const conv_step *c = &s->u.conv;
	const ad_window *w = &c->window;
	size_t y0 = cut(c->out.h, task, c->pieces), y1 = cut(c->out.h, task + 1, c->pieces);
	size_t width = span(w, 1, c->out.w), rows = span(w, 0, y1 - y0);
	const float *in = from(r, s->in), *res = s->res.buffer == BUFFER_NONE ? NULL : from(r, s->res);
	int dilated = w->dilation[1] != 1;
	ad_conv_args a = {
	    .pixel = w->stride[1],
	    .n = {c->in.c, w->kernel[0], dilated ? w->kernel[1] : 1},
	    .step = {rows * width, w->dilation[0] * width, w->dilation[1]},
	    .run = dilated ? 1 : w->kernel[1],
	    .last = dilated ? 1 : w->kernel[1],
	};

	for (size_t i = 0; i < c->in.c; i++)
		engine_copy_band(in + i * c->in.h * c->in.w, c->in.h, c->in.w, sizeof(float), w, y0 * w->stride[0],
				 rows, width, 0, scratch + i * a.step[0]);
	for (size_t g = 0; g < c->n_groups; g++) {
		for (size_t y = y0; y < y1; y++) {
			a.in = scratch + (y - y0) * w->stride[0] * width;
			engine_conv_call(s, r, &c->groups[g], &a, at(r, s->out), res, y * c->out.w, c->out.w,
					 y + 1 == y1);
		}
	}
}

/* -- Winograd ---------------------------------------------------------------------------------------- */

/*
 * Floats from one element of the transform to the next: `blocks` blocks of tiles, and an odd number of cache lines, as
 * the elements of a tile are written one after another and must not all fall on the same few lines of the cache.
 */
static size_t wino_step(const run *r, size_t blocks, size_t tiles)
{
	return (blocks * tiles | 1) * r->k->vl;
}

/* The matrix products of tiles t0 .. t0 + tiles - 1 for one group, and the way back. v: [element][block][tile]. */
static void wino_group(const step *s, const run *r, const out_group *g, const float *v, size_t t0, size_t tiles,
		       float *products)
{
	const conv_step *c = &s->u.conv;
	size_t vl = r->k->vl, elements = (size_t)((c->m + 2) * (c->m + 2));
	size_t of_element = c->in_channels * g->blocks * vl;
	const float *res = s->res.buffer == BUFFER_NONE ? NULL : from(r, s->res);
	float *out = at(r, s->out);
	ad_conv_args a = {
	    .pixel = vl,
	    .n = {c->in_blocks, 1, 1},
	    .step = {tiles * vl, 0, 0},
	    .run = vl,
	    .last = c->last,
	    .blocks = g->blocks,
	    .out_block = tiles * vl,
	    .pixels = tiles,
	};

	for (size_t i = 0; i < elements; i++) {
		a.in = v + i * wino_step(r, c->in.blocks, tiles) + g->in_block * tiles * vl;
		a.w = r->e->weights + g->weights + i * of_element;
		a.out = products + i * wino_step(r, g->blocks, tiles);
		a.next = a.w + of_element;
		a.next_count = of_element;
		r->k->conv(&a);
	}
	for (size_t b = 0; b < g->blocks; b++) {
		size_t plane = (g->out_block + b) * c->out.plane;

		r->k->wino_out(
		    &(ad_wino_out_args){c->m, products + b * tiles * vl, wino_step(r, g->blocks, tiles), c->tiles_x, t0,
					t0 + tiles, out + plane, c->out.h, c->out.w,
					c->bias == SIZE_MAX ? NULL : r->e->weights + c->bias + (g->out_block + b) * vl,
					res ? res + plane : NULL, c->fn});
	}
}

static void wino_transform(const step *s, const run *r, size_t block, size_t t0, size_t tiles, float *v)
{
	const conv_step *c = &s->u.conv;
	size_t vl = r->k->vl;

	r->k->wino_in(&(ad_wino_in_args){c->m, from(r, s->in) + block * c->in.plane, c->in.h, c->in.w,
					 c->window.pads[0], c->window.pads[1], c->tiles_x, t0, t0 + tiles,
					 v + block * tiles * vl, wino_step(r, c->in.blocks, tiles)});
}

/* A block of tiles from beginning to end. */
static void wino_tiles(const step *s, const run *r, size_t task, float *scratch)
{
	const conv_step *c = &s->u.conv;
	size_t t0 = cut(c->tiles, task, c->pieces), tiles = cut(c->tiles, task + 1, c->pieces) - t0;
	size_t elements = (size_t)((c->m + 2) * (c->m + 2));

	for (size_t b = 0; b < c->in.blocks; b++)
		wino_transform(s, r, b, t0, tiles, scratch);
	for (size_t g = 0; g < c->n_groups; g++)
		wino_group(s, r, &c->groups[g], scratch, t0, tiles,
			   scratch + elements * wino_step(r, c->in.blocks, tiles));
}

/* The two halves of the same, each over all tiles, for maps of few tiles: by input block, then by group. */
static void wino_split_in(const step *s, const run *r, size_t task, float *scratch)
{
	const conv_step *c = &s->u.conv;
	size_t b1 = cut(c->in.blocks, task + 1, s->tasks);

	(void)scratch;
	for (size_t b = cut(c->in.blocks, task, s->tasks); b < b1; b++)
		wino_transform(s, r, b, 0, c->tiles, at(r, c->transformed));
}

static void wino_split_out(const step *s, const run *r, size_t task, float *scratch)
{
	const conv_step *c = &s->u.conv;

	wino_group(s, r, &c->groups[task], from(r, c->transformed), 0, c->tiles, scratch);
}

/* -- planning ---------------------------------------------------------------------------------------- */

/* How well the register tile is used on lines of n pixels: the larger, the slower. */
static double line_cost(const ad_kernels *k, size_t n)
{
	size_t tile = k->conv_pixels, pixels = div_up(n, div_up(n, tile));
	double few = (double)pixels / (double)tile;

	/* A tile of few pixels waits for loads of weights and for its own sums. */
	return (double)n * (few >= 0.5 ? 1 : few >= 0.25 ? 1.2 : few >= 0.12 ? 2 : 3.5);
}

/* Costs in vector multiply-adds. */
static double direct_cost(const ad_kernels *k, const conv_step *c)
{
	double taps = (double)(c->window.kernel[0] * c->window.kernel[1]);
	double weights = (double)c->in_channels * (double)c->out.blocks * taps;

	return (double)c->out.h * line_cost(k, c->out.w) * weights * 1.03 + weights;
}

static double wino_cost(const ad_kernels *k, const conv_step *c, int m)
{
	double n2 = (double)((m + 2) * (m + 2));
	double tiles = (double)div_up(c->out.h, (size_t)m) * (double)div_up(c->out.w, (size_t)m);
	double weights = (double)c->in_channels * (double)c->out.blocks * n2;
	double products = line_cost(k, (size_t)tiles) * weights;

	/* Transforms: loads, stores and arithmetic per tile and block; packed weights come from afar. */
	return products + tiles * n2 * 5.5 * (double)(c->in.blocks + c->out.blocks) + weights * 2;
}

/*
 * The groups of the convolution as the kernels can take them: neighbouring groups are merged (with zeros between)
 * until their channels fill whole blocks.
 */
static size_t merged_groups(size_t groups, size_t in, size_t out, size_t vl)
{
	size_t m;

	for (m = 1; m < groups; m++)
		if (groups % m == 0 && m * in % vl == 0 && m * out % vl == 0)
			break;
	return m;
}

int engine_conv_suits(const ad_engine *e, const ad_conv *conv, size_t in, size_t out)
{
	return conv->groups == 1 || (conv->groups == in && conv->groups == out) ||
	       merged_groups(conv->groups, in / conv->groups, out / conv->groups, e->k->vl) <= AD_VL_MAX;
}

/* Channels of a group whose weights are kept. */
static size_t width_of(const out_group *g, size_t vl)
{
	return g->blocks * vl - (g->half ? vl / 2 : 0);
}

static int make_groups(ad_engine *e, step *s, size_t index, const ad_node *node, int is_planar)
{
	conv_step *c = &s->u.conv;
	size_t vl = e->k->vl, groups = node->u.conv.groups,
	       m = merged_groups(groups, c->in.c / groups, c->out.c / groups, vl);
	size_t sets = groups / m, out_blocks = div_up(c->out.c / sets, vl), n = 0, taps;
	/* The last two blocks, of which the last is no more than half full. */
	int half = e->k->conv_half && groups == 1 && !is_planar && !c->bf16 && out_blocks > 1 && c->out.c % vl &&
		   c->out.c % vl <= vl / 2 && c->in.c % 2 == 0 && is_pointwise(&c->window) && c->out.h * c->out.w > 1;

	c->in_channels = c->in.c / sets;
	c->in_blocks = is_planar ? c->in.c : div_up(c->in_channels, vl);
	c->last = is_planar ? 1 : c->in_channels - (c->in_blocks - 1) * vl;
	c->groups = ad_malloc_array(sets * out_blocks, sizeof(*c->groups));
	if (!c->groups)
		return ADTOOL_ENOMEM;
	for (size_t set = 0; set < sets; set++) {
		for (size_t b = 0; b < out_blocks;) {
			size_t left = out_blocks - b, size = left == 1 || (half && left == 3) ? 1 : left == 3 ? 3 : 2;

			c->groups[n++] = (out_group){.in_block = set * (c->in_channels / vl),
						     .out_block = set * (c->out.c / sets / vl) + b,
						     .blocks = size,
						     .half = half && left == 2};
			b += size;
		}
	}
	c->n_groups = n;
	taps = c->m ? (size_t)((c->m + 2) * (c->m + 2)) : c->window.kernel[0] * c->window.kernel[1];
	for (size_t g = 0; g < n; g++) {
		fill *f = engine_fill(e);

		if (!f)
			return ADTOOL_ENOMEM;
		c->groups[g].floats = c->bf16 ? engine_bf16_floats(e, c->in_channels, taps, c->groups[g].blocks)
					      : taps * c->in_channels * width_of(&c->groups[g], vl);
		c->groups[g].weights = engine_weights(e, c->groups[g].floats);
		*f = (fill){.kind = FILL_CONV, .step = index, .group = g, .node = node};
	}
	return 0;
}

/*
 * Cuts a pointwise convolution by groups, too, where pieces alone are few, or odd: one of two threads would wait for
 * the other's last. Not after a SCALE, which each part would repeat. most: pieces.
 */
static void cut_groups(conv_step *c, double fmas, size_t most)
{
	c->parts = 1;
	if (c->scale == SIZE_MAX && c->pieces < 4)
		c->parts = pieces_for(fmas / (double)c->pieces, TASK_FMAS / 4, 1, c->n_groups);
	else if (c->scale == SIZE_MAX && c->pieces % 2)
		c->parts = min_size(2, c->n_groups);
	if (c->pieces * c->parts % 2 && fmas > TASK_FMAS / 2 && c->pieces < most)
		c->pieces++;
}

static void plan_pointwise(const ad_engine *e, step *s)
{
	conv_step *c = &s->u.conv;
	size_t vl = e->k->vl, pixels = c->out.h * c->out.w, tile = e->k->conv_pixels;
	int flat = c->window.stride[0] == 1 && c->window.stride[1] == 1;
	double fmas = (double)pixels * (double)c->in_channels * (double)c->out.blocks;
	size_t least, most;

	s->run = pointwise;
	s->algorithm = c->scale == SIZE_MAX ? "pointwise" : "scale + pointwise";
	c->line = flat ? pixels : c->out.w;
	c->lines = flat ? 1 : c->out.h;
	least = div_up(pixels * c->in.blocks * vl, SCRATCH_FLOATS);
	most = flat ? max_size(1, pixels / (2 * tile)) : c->out.h;
	c->pieces = pieces_for(fmas, TASK_FMAS, min_size(least, most), most);
	cut_groups(c, fmas, flat ? pixels : c->out.h);
	s->tasks = c->pieces * c->parts;
	if (c->scale != SIZE_MAX)
		s->scratch = div_up(pixels, c->pieces) * c->in.blocks * vl;
}

static void plan_direct(const ad_engine *e, step *s, int is_planar)
{
	conv_step *c = &s->u.conv;
	size_t size = is_planar ? c->in.c : c->in.blocks * e->k->vl, width = span(&c->window, 1, c->out.w), rows,
	       wanted;
	double fmas = (double)c->out.h * (double)c->out.w * (double)c->in_channels * (double)c->out.blocks *
		      (double)(c->window.kernel[0] * c->window.kernel[1]);

	s->run = is_planar ? planar : direct;
	s->algorithm = is_planar ? "planar" : "direct";
	/* As many rows as fit the scratch, but no fewer than four windows' worth where there are that many. */
	for (rows = c->out.h; rows > 1 && span(&c->window, 0, rows) * width * size > SCRATCH_FLOATS; rows--)
		;
	wanted = div_up(c->out.h, max_size(rows, 2));
	c->pieces = pieces_for(fmas, TASK_FMAS, wanted, max_size(wanted, div_up(c->out.h, 2)));
	c->parts = 1;
	if (!is_planar && c->pieces < 4)
		c->parts = pieces_for(fmas / (double)c->pieces, TASK_FMAS, 1, c->n_groups);
	if (c->pieces * c->parts % 2 && c->pieces > 1 && c->pieces < c->out.h)
		c->pieces++;
	s->tasks = c->pieces * c->parts;
	s->scratch = span(&c->window, 0, div_up(c->out.h, c->pieces)) * width * size;
}

static void plan_wino(const ad_engine *e, step *s)
{
	conv_step *c = &s->u.conv;
	size_t vl = e->k->vl, m = (size_t)c->m, elements = (m + 2) * (m + 2), blocks = 0, most;

	s->run = wino_tiles;
	s->algorithm = m == 2 ? "winograd-2x2" : "winograd-4x4";
	c->tiles_x = div_up(c->out.w, m);
	c->tiles = c->tiles_x * div_up(c->out.h, m);
	for (size_t g = 0; g < c->n_groups; g++)
		blocks = max_size(blocks, c->groups[g].blocks);
	if (c->tiles * elements * c->in.blocks * vl <= WINO_FLOATS && c->n_groups > 1) {
		s->run = wino_split_out;
		s->tasks = c->n_groups;
		s->scratch = elements * (blocks * c->tiles + 1) * vl;
		return;
	}
	most = max_size(e->k->conv_pixels, WINO_FLOATS / (elements * (c->in.blocks + blocks) * vl));
	c->pieces = div_up(c->tiles, most);
	c->pieces = c->pieces > 1 ? c->pieces + c->pieces % 2 : 1;
	c->pieces = min_size(c->pieces, c->tiles);
	s->tasks = c->pieces;
	s->scratch = elements * ((c->in.blocks + blocks) * div_up(c->tiles, c->pieces) + 2) * vl;
}

static int plan_depthwise(ad_engine *e, step *s, const ad_node *node, shape in, shape out)
{
	const ad_conv *conv = &node->u.conv;
	size_t vl = e->k->vl, taps = conv->window.kernel[0] * conv->window.kernel[1];
	window_step w = {.window = conv->window, .in = in, .out = out, .scale = SIZE_MAX, .bias = SIZE_MAX};
	fill *f = engine_fill(e);

	if (!f)
		return ADTOOL_ENOMEM;
	w.weights = engine_weights(e, in.blocks * taps * vl);
	*f = (fill){.kind = FILL_DEPTHWISE, .offset = w.weights, .from = conv->weights, .halves = conv->halves,
		    .count = in.c, .total = taps};
	if (conv->bias) {
		w.bias = engine_vector(e, conv->bias, in.c, in.blocks * vl, 0);
		if (w.bias == SIZE_MAX)
			return ADTOOL_ENOMEM;
	}
	w.fn = fn_of(node->activation);
	w.kernel = e->k->depthwise;
	s->u.window = w;
	s->algorithm = "depthwise";
	engine_window_plan(e, s);
	return 0;
}

int engine_conv_plan(ad_engine *e, step *s, size_t index, const ad_node *node, shape in, shape out, int is_planar)
{
	const ad_conv *conv = &node->u.conv;
	const ad_window *w = &conv->window;
	conv_step *c = &s->u.conv;
	int rc;

	if (conv->groups == in.c && conv->groups == out.c && !is_planar && in.c > 1)
		return plan_depthwise(e, s, node, in, out);
	*c = (conv_step){.window = *w,
			 .in = in,
			 .out = out,
			 .bias = SIZE_MAX,
			 .scale = c->scale,
			 .shift = c->shift,
			 .pre = c->pre,
			 .fn = fn_of(node->activation)};
	if (conv->bias) {
		c->bias = engine_vector(e, conv->bias, out.c, out.blocks * e->k->vl, 0);
		if (c->bias == SIZE_MAX)
			return ADTOOL_ENOMEM;
	}
	if (!is_planar && ad_conv_has_ways(conv) && conv->way != AD_WAY_BY_COST) {
		c->m = conv->way == AD_WAY_WINOGRAD_2 ? 2 : conv->way == AD_WAY_WINOGRAD_4 ? 4 : 0;
		c->in_channels = in.c / (conv->groups / merged_groups(conv->groups, in.c / conv->groups,
								      out.c / conv->groups, e->k->vl));
	} else if (!is_planar && ad_conv_has_ways(conv)) {
		double best, cost;

		c->in_channels = in.c / (conv->groups / merged_groups(conv->groups, in.c / conv->groups,
								      out.c / conv->groups, e->k->vl));
		best = direct_cost(e->k, c);
		for (int m = 2; m <= 4; m += 2) {
			cost = wino_cost(e->k, c, m);
			if (cost < best) {
				best = cost;
				c->m = m;
			}
		}
	}
	c->bf16 = !is_planar && engine_bf16_suits(conv, in.c, out.c, c->pre);
	rc = make_groups(e, s, index, node, is_planar);
	if (rc)
		return rc;
	if (c->m)
		plan_wino(e, s);
	else if (is_pointwise(w) && !is_planar)
		plan_pointwise(e, s);
	else
		plan_direct(e, s, is_planar);
	if (c->bf16)
		engine_bf16_plan(e, s);
	return 0;
}

size_t engine_conv_split(const ad_engine *e, const step *s, step *before)
{
	const conv_step *c = &s->u.conv;

	if (s->run != wino_split_out)
		return 0;
	*before = *s;
	before->run = wino_split_in;
	before->tasks = c->in.blocks < 8 ? 1 : min_size(c->in.blocks / 4, 8);
	before->scratch = 0;
	return (size_t)((c->m + 2) * (c->m + 2)) * (c->in.blocks * c->tiles + 1) * e->k->vl;
}

void engine_conv_release(step *s)
{
	if (s->run == pointwise || s->run == direct || s->run == planar || s->run == wino_tiles ||
	    s->run == wino_split_out || engine_bf16_runs(s))
		ad_free(s->u.conv.groups);
}

/* -- packing ----------------------------------------------------------------------------------------- */

/* As e->k->pack, from weight `at` on. */
static void pack_weights(const ad_engine *e, const ad_conv *conv, size_t at, size_t stride, size_t channels,
			 size_t pixels, float *to, size_t pixel)
{
	ad_pack_args a = {.step = stride, .channels = channels, .pixels = pixels, .out = to, .pixel = pixel};

	if (conv->halves)
		a.halves = conv->halves + at;
	else
		a.in = conv->weights + at;
	e->k->pack(&a);
}

/*
 * Where the weights of output channel o and, within its set of merged groups, input channel i begin: SIZE_MAX when they
 * belong to different groups.
 */
static size_t filter(const ad_conv *conv, const conv_step *c, size_t taps, size_t o, size_t i)
{
	size_t in = c->in.c / conv->groups, out = c->out.c / conv->groups, group = o / out;
	size_t first = o / (out * (c->in_channels / in)) * c->in_channels; /* of the set */

	return (first + i) / in == group ? (o * in + (first + i) % in) * taps : SIZE_MAX;
}

enum { FETCHED = 192 }; /* taps of an output block: 12 KiB stay in the first cache until they are written out */

/*
 * Taps q0 .. q0 + n - 1 of the filters of one output block, counted as the file has them: tap q % taps of input channel
 * q / taps. Each is one pixel.
 */
static void fetch_taps(const ad_engine *e, const conv_step *c, const ad_conv *conv, size_t o, size_t q0, size_t n,
		       float *to)
{
	size_t vl = e->k->vl, channels = min_size(vl, c->out.c - o);
	size_t taps = c->window.kernel[0] * c->window.kernel[1], step_o = c->in_channels * taps;

	if (c->in_channels == c->in.c / conv->groups) {
		pack_weights(e, conv, o * step_o + q0, step_o, channels, n, to, vl);
		return;
	}
	for (size_t q = q0; q < q0 + n; q++) {
		for (size_t v = 0; v < vl; v++, to++) {
			size_t w = v < channels ? filter(conv, c, taps, o + v, q / taps) : SIZE_MAX;

			*to = w == SIZE_MAX  ? 0
			      : conv->halves ? ad_half_to_float(conv->halves[w + q % taps])
					     : conv->weights[w + q % taps];
		}
	}
}

static inline void copy_pixel(float *to, const float *pixel, size_t vl)
{
	if (vl == 16)
		memcpy(to, pixel, 16 * sizeof(*to));
	else if (vl == 8)
		memcpy(to, pixel, 8 * sizeof(*to));
	else
		memcpy(to, pixel, 4 * sizeof(*to));
}

/* Pairs of channels, two of them at once. */
static void fill_pairs(const ad_engine *e, const conv_step *c, const out_group *g, const ad_conv *conv)
{
	size_t vl = e->k->vl, taps = c->window.kernel[0] * c->window.kernel[1], all = c->in_channels * taps;
	size_t most = FETCHED / (2 * taps) * 2 * taps, n;
	float fetched[FETCHED * AD_VL_MAX];

	for (size_t b = 0; b < g->blocks; b++) {
		for (size_t q0 = 0; q0 < all; q0 += n) {
			n = min_size(most, all - q0);
			fetch_taps(e, c, conv, (g->out_block + b) * vl, q0, n, fetched);
			for (size_t q = 0; q < n; q += q % taps == taps - 1 ? taps + 1 : 1)
				engine_bf16_pair(e, c, g, b, (q0 + q) / taps, q % taps, fetched + q * vl,
						 q + taps < n ? fetched + (q + taps) * vl : NULL);
		}
	}
}

/* Inputs i .. i + n - 1 of `count` channels from `channel` on, of `width`, two inputs side by side. */
static void fill_half(float *to, size_t width, size_t channel, size_t count, const float *from, size_t vl, size_t i,
		      size_t n)
{
	for (size_t end = i + n; i < end; i++, from += vl)
		for (size_t v = 0; v < count; v++)
			to[(i / 2 * width + channel + v) * 2 + i % 2] = from[v];
}

void engine_conv_fill(const ad_engine *e, const fill *f)
{
	const step *s = &e->steps[f->step];
	const conv_step *c = f->part ? engine_chain_conv(s, f->part) : &s->u.conv;
	const out_group *g = &c->groups[f->group];
	ad_conv matrix = {.groups = 1, .weights = f->from};
	const ad_conv *conv = f->node ? &f->node->u.conv : &matrix;
	size_t vl = e->k->vl, taps = c->window.kernel[0] * c->window.kernel[1], width = g->blocks * vl;
	size_t all = c->in_channels * taps, most = taps < FETCHED ? FETCHED / taps * taps : FETCHED, n, q;
	int merged = c->in_channels != c->in.c / conv->groups;
	float fetched[FETCHED * AD_VL_MAX];

	if (c->bf16 && e->kb) {
		fill_pairs(e, c, g, conv);
		return;
	}
	for (size_t b = 0; b < g->blocks; b++) {
		size_t o = (g->out_block + b) * vl;
		float *to = e->weights + g->weights + b * vl;

		for (q = 0; g->half && q < all; q += n) {
			n = min_size(FETCHED, all - q);
			fetch_taps(e, c, conv, o, q, n, fetched);
			fill_half(e->weights + g->weights, width_of(g, vl), b * vl, b ? vl / 2 : vl, fetched, vl, q, n);
		}
		if (g->half)
			continue;
		if (!merged && !c->m && (taps == 1 || s->run == planar)) {
			/* The order is that of the file. */
			pack_weights(e, conv, o * all, all, min_size(vl, c->out.c - o), all, to, width);
			continue;
		}
		for (size_t q0 = 0; q0 < all; q0 += n) {
			n = min_size(most, all - q0);
			fetch_taps(e, c, conv, o, q0, n, fetched);
			/* Winograd: [element][channel]; `most` is whole channels. */
			for (q = q0; c->m && q < q0 + n; q += taps)
				e->k->wino_weights(&(ad_wino_weights_args){c->m, fetched + (q - q0) * vl,
									   to + q / taps * width,
									   c->in_channels * width});
			/* direct: [block][tap][channel] */
			for (; q < q0 + n; q++) {
				size_t i = q / taps, block = i / vl, deep = block + 1 < c->in_blocks ? vl : c->last;

				copy_pixel(to + (block * vl * taps + q % taps * deep + i % vl) * width,
					   fetched + (q - q0) * vl, vl);
			}
		}
	}
	if (c->bf16)
		e->k->round_bf16(&(ad_round_args){.in = e->weights + g->weights,
						  .pixel = vl,
						  .out = e->weights + g->weights,
						  .pixels = g->floats / vl});
}
