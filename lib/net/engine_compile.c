/*
 * Compiles a graph to the engine's steps.
 *
 * A value lives plain (as ONNX has it) or in blocks, or both once something needed the other form. Where a concat's
 * inputs fill whole blocks they are written side by side in its output from the start. Fused beyond what the graph
 * already is: SCALE and UNARY into the pointwise convolution or the pooling after them; a pointwise
 * convolution before an average pooling is done after it, on fewer pixels (both are linear); inverted residuals
 * (engine_chain.c).
 */
#include "engine_compile.h"

enum { PIXELS_TO_FUSE = 128 };

/* -- forms of a value -------------------------------------------------------------------------------- */

static shape make_shape(const ad_engine *e, size_t c, size_t h, size_t w)
{
	return (shape){c, h, w, div_up(c, e->k->vl), h * w * e->k->vl};
}

static shape shape_of(const ad_engine *e, const ad_value *v)
{
	if (v->rank == 4)
		return make_shape(e, v->dims[0] * v->dims[1], v->dims[2], v->dims[3]);
	if (v->rank >= 2 && v->dims[0] == 1)
		return make_shape(e, v->dims[1], 1, v->dims[2]);
	return (shape){0};
}

/* One pixel per channel: both forms are the same floats. */
static int is_vector(const shape *s)
{
	return s->blocks && s->h * s->w == 1;
}

static pixel_step pixels(shape s)
{
	return (pixel_step){.shape = s, .scale = SIZE_MAX, .shift = SIZE_MAX, .fn = {AD_FN_NONE, 0, 0}};
}

int engine_place_blocked(struct compiler *c, int v)
{
	struct value *value = &c->values[v];
	int rc;

	if (value->blocked.buffer != BUFFER_NONE)
		return 0;
	if (value->parent >= 0) {
		rc = engine_place_blocked(c, value->parent);
		if (rc)
			return rc;
		value->blocked = c->values[value->parent].blocked;
		value->blocked.offset += value->parent_block * value->shape.plane;
		c->e->buffers[value->blocked.buffer].shared = 1;
		return 0;
	}
	return engine_buffer(c->e, value->shape.blocks * value->shape.plane, &value->blocked);
}

int engine_place_plain(struct compiler *c, int v)
{
	struct value *value = &c->values[v];

	if (is_vector(&value->shape) && value->parent < 0) {
		int rc = engine_place_blocked(c, v);

		value->plain = value->blocked;
		return rc;
	}
	return engine_buffer(c->e, c->g->values[v].count, &value->plain);
}

int engine_need_blocked(struct compiler *c, int v, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.run = engine_pack, .node = node, .algorithm = "pack", .res = nowhere};
	int rc;

	if (value->blocked.buffer != BUFFER_NONE)
		return 0;
	if (value->plain.buffer == BUFFER_NONE)
		return engine_from_bytes(c, v, node);
	if (is_vector(&value->shape) && value->plain.buffer >= 0 && value->parent < 0) {
		value->blocked = value->plain;
		return 0;
	}
	rc = engine_place_blocked(c, v);
	if (rc)
		return rc;
	s.in = value->plain;
	s.out = value->blocked;
	s.u.pixel = pixels(value->shape);
	engine_pixels_plan(c->e, &s, 0);
	return engine_form(c->e, &s);
}

int engine_need_plain(struct compiler *c, int v, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.run = engine_unpack, .node = node, .algorithm = "unpack", .res = nowhere};
	int rc;

	if (value->plain.buffer != BUFFER_NONE)
		return 0;
	rc = engine_need_blocked(c, v, node);
	if (rc)
		return rc;
	if (is_vector(&value->shape)) {
		value->plain = value->blocked;
		return 0;
	}
	rc = engine_buffer(c->e, c->g->values[v].count, &value->plain);
	if (rc)
		return rc;
	s.in = value->blocked;
	s.out = value->plain;
	s.u.pixel = pixels(value->shape);
	engine_pixels_plan(c->e, &s, 0);
	return engine_form(c->e, &s);
}

static int has_blocked(const struct compiler *c, int v)
{
	return c->values[v].blocked.buffer != BUFFER_NONE || c->values[v].bytes.buffer != BUFFER_NONE;
}

/* Whether an output of the same shape may overwrite value v: this read is the last, and nothing else lies there. */
static int may_overwrite(const struct compiler *c, int v, int out)
{
	const struct value *value = &c->values[v];

	return value->remaining == 1 && value->blocked.buffer >= 0 && !c->e->buffers[value->blocked.buffer].shared &&
	       value->plain.buffer != value->blocked.buffer && c->values[out].parent < 0 &&
	       c->values[out].blocked.buffer == BUFFER_NONE;
}

/* Places the blocks of a node's output; over value v where that may be (v < 0: not asked for). */
static int place_over(struct compiler *c, int out, int v)
{
	if (v >= 0 && may_overwrite(c, v, out)) {
		c->values[out].blocked = c->values[v].blocked;
		return 0;
	}
	return engine_place_blocked(c, out);
}

/* -- nodes ------------------------------------------------------------------------------------------- */

/* scale and shift of the SCALE node `pre` (identity for a UNARY) as vectors over blocks. */
static int scale_vectors(ad_engine *e, const ad_node *pre, const shape *s, size_t *scale, size_t *shift)
{
	int scaled = pre->op == AD_OP_SCALE;

	*scale = engine_vector(e, scaled ? pre->u.scale.scale : NULL, scaled ? s->c : 0, s->blocks * e->k->vl, 1);
	*shift = engine_vector(e, scaled ? pre->u.scale.shift : NULL, scaled ? s->c : 0, s->blocks * e->k->vl, 0);
	return *scale == SIZE_MAX || *shift == SIZE_MAX ? ADTOOL_ENOMEM : 0;
}

/* Convolution node i reading `in` (which may not be its own input) with shape `from`, writing value `out`. */
static int add_conv(struct compiler *c, size_t i, int v, place in, shape input, int out, int pre, int is_planar)
{
	ad_engine *e = c->e;
	const ad_node *node = &c->g->nodes[i];
	step s = {.node = i, .in = in, .res = nowhere}, before;
	size_t floats;
	int rc, res = node->u.conv.residual ? node->inputs[1] : -1;

	s.u.conv.scale = s.u.conv.shift = SIZE_MAX;
	if (res >= 0) {
		rc = engine_need_blocked(c, res, i);
		if (rc)
			return rc;
		s.res = c->values[res].blocked;
	}
	if (pre >= 0) {
		rc = scale_vectors(e, &c->g->nodes[pre], &input, &s.u.conv.scale, &s.u.conv.shift);
		if (rc)
			return rc;
		s.u.conv.pre = fn_of(c->g->nodes[pre].activation);
	}
	rc = place_over(c, out, res != v ? res : -1);
	if (rc)
		return rc;
	s.out = c->values[out].blocked;
	rc = engine_conv_plan(e, &s, e->n_steps, node, input, c->values[out].shape, is_planar);
	if (rc)
		return rc;
	floats = engine_conv_split(e, &s, &before);
	if (floats) {
		rc = engine_buffer(e, floats, &s.u.conv.transformed);
		if (rc)
			goto fail;
		before.u.conv.transformed = s.u.conv.transformed;
		before.out = s.u.conv.transformed;
		before.res = nowhere;
		before.algorithm = s.algorithm;
		rc = engine_step(e, &before);
		if (rc)
			goto fail;
		/* The fills know the step by the number it was to have. */
		for (size_t f = 0; f < e->n_fills; f++)
			if (e->fills[f].kind == FILL_CONV && e->fills[f].step == e->n_steps - 1)
				e->fills[f].step = e->n_steps;
		engine_touch(e, s.u.conv.transformed, e->n_steps);
		s.in = s.u.conv.transformed;
	}
	rc = engine_step(e, &s);
	if (rc)
		goto fail;
	return 0;
fail:
	engine_conv_release(&s);
	return rc;
}

static int visit_conv(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	int pre = c->pre[i], v = pre >= 0 ? c->g->nodes[pre].inputs[0] : node->inputs[0], rc;
	struct value *value = &c->values[v];

	if (c->chains[i].depth >= 0)
		return engine_visit_chain(c, i);
	if (engine_takes_bytes(c, i))
		return engine_visit_int8(c, i);
	if (!engine_conv_suits(c->e, &node->u.conv, value->shape.c, c->values[node->output].shape.c))
		return engine_visit_plain(c, i);
	/* Few channels, as they came: a picture. */
	if (pre < 0 && !has_blocked(c, v) && node->u.conv.groups == 1 && value->shape.c < c->e->k->vl)
		return add_conv(c, i, v, value->plain, value->shape, node->output, -1, 1);
	rc = engine_need_blocked(c, v, i);
	return rc ? rc : add_conv(c, i, v, value->blocked, value->shape, node->output, pre, 0);
}

static int visit_window(struct compiler *c, size_t i)
{
	ad_engine *e = c->e;
	const ad_node *node = &c->g->nodes[i];
	int moved = c->moved[i], pre = c->pre[i], first = pre >= 0 ? pre : moved >= 0 ? moved : (int)i;
	int v = c->g->nodes[first].inputs[0], rc;
	const ad_value *out = &c->g->values[node->output];
	step s = {.node = i, .res = nowhere};
	window_step w = {.window = node->u.pool.window, .weights = SIZE_MAX, .bias = SIZE_MAX, .scale = SIZE_MAX};

	if (engine_pools_bytes(c, i))
		return engine_visit_int8_pool(c, i);
	rc = engine_need_blocked(c, v, i);
	if (rc)
		return rc;
	s.in = c->values[v].blocked;
	w.in = c->values[v].shape;
	w.out = make_shape(e, w.in.c, out->dims[2], out->dims[3]);
	w.count_padding = node->op == AD_OP_AVERAGE_POOL && node->u.pool.count_padding;
	w.kernel = node->op == AD_OP_MAX_POOL ? e->k->max_pool : e->k->average_pool;
	s.algorithm = "window";
	if (pre >= 0) {
		rc = scale_vectors(e, &c->g->nodes[pre], &w.in, &w.scale, &w.shift);
		if (rc)
			return rc;
		w.pre = fn_of(c->g->nodes[pre].activation);
		s.algorithm = "scale + window";
	}
	if (moved < 0) {
		rc = engine_place_blocked(c, node->output);
		s.out = c->values[node->output].blocked;
	} else {
		rc = engine_buffer(e, w.out.blocks * w.out.plane, &s.out);
	}
	if (rc)
		return rc;
	s.u.window = w;
	engine_window_plan(e, &s);
	rc = engine_step(e, &s);
	if (rc || moved < 0)
		return rc;
	return add_conv(c, (size_t)moved, -1, s.out, w.out, node->output, -1, 0);
}

static int visit_affine(struct compiler *c, size_t i)
{
	ad_engine *e = c->e;
	const ad_node *node = &c->g->nodes[i];
	int v = node->inputs[0], rc = engine_need_blocked(c, v, i);
	step s = {.run = engine_affine, .node = i, .algorithm = "affine", .in = c->values[v].blocked, .res = nowhere};

	if (!rc)
		rc = place_over(c, node->output, v);
	if (rc)
		return rc;
	s.out = c->values[node->output].blocked;
	s.u.pixel = pixels(c->values[v].shape);
	s.u.pixel.fn = fn_of(node->activation);
	if (node->op == AD_OP_SCALE) {
		rc = scale_vectors(e, node, &s.u.pixel.shape, &s.u.pixel.scale, &s.u.pixel.shift);
		if (rc)
			return rc;
	}
	engine_pixels_plan(c->e, &s, 0);
	return engine_step(e, &s);
}

/* How operand `dims` (right-aligned) meets values of shape s: 'f'ull, 'c'hannel vector, 's'calar, or 0. */
static int operand(const size_t dims[AD_RANK], const shape *s)
{
	if (dims[0] != 1)
		return 0;
	if (dims[1] == s->c && dims[2] == s->h && dims[3] == s->w)
		return 'f';
	if (dims[1] == s->c && dims[2] == 1 && dims[3] == 1)
		return 'c';
	return dims[1] == 1 && dims[2] == 1 && dims[3] == 1 ? 's' : 0;
}

static int can_binary(const struct compiler *c, const ad_node *node)
{
	const ad_binary_node *b = &node->u.binary;
	const ad_value *x = &c->g->values[node->inputs[0]], *y, *out = &c->g->values[node->output];
	const shape *s = &c->values[node->output].shape;
	int kx, ky;

	if (x->rank != 4 || out->rank != 4 || out->dims[0] != 1 || !has_blocked(c, node->inputs[0]))
		return 0;
	kx = operand(x->dims, s);
	if (b->constant) {
		ky = operand(b->constant_dims, s);
		return kx == 'f' && (ky == 'c' || ky == 's');
	}
	y = &c->g->values[node->inputs[1]];
	ky = y->rank == 4 && has_blocked(c, node->inputs[1]) ? operand(y->dims, s) : 0;
	return (kx == 'f' && (ky == 'f' || ky == 'c')) || (kx == 'c' && ky == 'f');
}

static int visit_binary(struct compiler *c, size_t i)
{
	ad_engine *e = c->e;
	const ad_node *node = &c->g->nodes[i];
	const ad_binary_node *b = &node->u.binary;
	const ad_value *x = &c->g->values[node->inputs[0]];
	size_t vl = e->k->vl;
	step s = {.run = engine_binary, .node = i, .algorithm = "binary", .res = nowhere};
	shape out = c->values[node->output].shape;
	int full = operand(x->dims, &out) == 'f', rc = 0;

	for (size_t j = 0; j < node->n_inputs && !rc; j++)
		rc = engine_need_blocked(c, node->inputs[j], i);
	if (!rc)
		rc = place_over(c, node->output, full ? node->inputs[0] : -1);
	if (rc)
		return rc;
	s.in = c->values[node->inputs[0]].blocked;
	s.out = c->values[node->output].blocked;
	s.u.pixel = pixels(out);
	s.u.pixel.fn = fn_of(node->activation);
	s.u.pixel.kind =
	    (enum ad_binary_kind[]){
		[AD_ADD] = AD_BINARY_ADD, [AD_SUB] = AD_BINARY_SUB, [AD_MUL] = AD_BINARY_MUL, [AD_DIV] = AD_BINARY_DIV}
		[b->op];
	s.u.pixel.x_step = full ? vl : 0;
	if (b->constant) {
		int scalar = operand(b->constant_dims, &out) == 's';

		s.u.pixel.swapped = b->constant_first;
		/* 1 beyond the channels, so that a division there stays finite. */
		s.u.pixel.scale =
		    engine_vector(e, b->constant, scalar ? 0 : out.c, out.blocks * vl, scalar ? b->constant[0] : 1);
		if (s.u.pixel.scale == SIZE_MAX)
			return ADTOOL_ENOMEM;
	} else {
		s.res = c->values[node->inputs[1]].blocked;
		s.u.pixel.y_step = operand(c->g->values[node->inputs[1]].dims, &out) == 'f' ? vl : 0;
	}
	engine_pixels_plan(c->e, &s, 0);
	return engine_step(e, &s);
}

static int visit_mean(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	step s = {.run = engine_mean, .node = i, .algorithm = "mean", .res = nowhere};
	int rc = engine_need_blocked(c, node->inputs[0], i);

	if (!rc)
		rc = engine_place_blocked(c, node->output);
	if (rc)
		return rc;
	s.in = c->values[node->inputs[0]].blocked;
	s.out = c->values[node->output].blocked;
	s.u.pixel = pixels(c->values[node->inputs[0]].shape);
	engine_pixels_plan(c->e, &s, 1);
	return engine_step(c->e, &s);
}

/* Inputs that are not already in their place are copied there. */
static int visit_concat(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	struct value *out = &c->values[node->output];
	size_t block = 0, j;
	int rc = engine_place_blocked(c, node->output);

	c->e->algorithms[i] = "in place";
	for (j = 0; j < node->n_inputs && !rc; j++) {
		struct value *v = &c->values[node->inputs[j]];
		step s = {.run = engine_copy, .node = i, .algorithm = "copy", .res = nowhere, .out = out->blocked};

		rc = engine_need_blocked(c, node->inputs[j], i);
		s.in = v->blocked;
		s.out.offset += block * v->shape.plane;
		block += v->shape.blocks;
		if (rc || (s.in.buffer == s.out.buffer && s.in.offset == s.out.offset))
			continue;
		s.u.pixel = pixels(v->shape);
		engine_pixels_plan(c->e, &s, 1);
		rc = engine_step(c->e, &s);
	}
	return rc;
}

/* A matrix product of one row is a pointwise convolution of one pixel. */
static int visit_gemm(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	const ad_gemm_node *g = &node->u.gemm;
	ad_engine *e = c->e;
	ad_node conv = {.op = AD_OP_CONV, .activation = node->activation};
	step s = {.node = i, .res = nowhere};
	size_t first = e->n_fills;
	int rc = engine_need_blocked(c, node->inputs[0], i);

	if (!rc)
		rc = engine_place_blocked(c, node->output);
	if (rc)
		return rc;
	conv.u.conv = (ad_conv){
	    .window = {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}}, .groups = 1, .weights = g->weights, .bias = g->bias};
	s.in = c->values[node->inputs[0]].blocked;
	s.out = c->values[node->output].blocked;
	s.u.conv.scale = s.u.conv.shift = SIZE_MAX;
	rc = engine_conv_plan(e, &s, e->n_steps, &conv, make_shape(e, g->k, 1, 1), make_shape(e, g->n, 1, 1), 0);
	if (rc)
		return rc;
	for (; first < e->n_fills; first++)
		if (e->fills[first].kind == FILL_CONV) {
			e->fills[first].node = NULL;
			e->fills[first].from = g->weights;
		}
	rc = engine_step(e, &s);
	if (rc)
		engine_conv_release(&s);
	return rc;
}

static int visit_reshape(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	struct value *in = &c->values[node->inputs[0]], *out = &c->values[node->output];
	int rc;

	c->e->algorithms[i] = "in place";
	if (is_vector(&in->shape) && is_vector(&out->shape) && in->blocked.buffer >= 0) {
		out->blocked = out->plain = in->blocked;
		c->e->buffers[in->blocked.buffer].shared = 1;
		return 0;
	}
	rc = engine_need_plain(c, node->inputs[0], i);
	if (rc)
		return rc;
	out->plain = in->plain;
	if (out->plain.buffer >= 0)
		c->e->buffers[out->plain.buffer].shared = 1;
	return 0;
}

/* Whether all inputs but the last fill whole blocks, and the node joins channels. */
static int can_concat(const struct compiler *c, const ad_node *node)
{
	size_t vl = c->e->k->vl;
	int any = 0;

	if (node->u.concat.axis != 1 || c->g->values[node->output].rank != 4 || c->g->values[node->output].dims[0] != 1)
		return 0;
	for (size_t j = 0; j < node->n_inputs; j++) {
		if (j + 1 < node->n_inputs && c->values[node->inputs[j]].shape.c % vl)
			return 0;
		any |= has_blocked(c, node->inputs[j]);
	}
	return any;
}

static int visit(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	const ad_value *x = &c->g->values[node->inputs[0]];

	switch (node->op) {
	case AD_OP_CONV:
		return visit_conv(c, i);
	case AD_OP_MAX_POOL:
	case AD_OP_AVERAGE_POOL:
		return visit_window(c, i);
	case AD_OP_GLOBAL_AVERAGE:
		return c->values[node->output].shape.c == c->values[node->inputs[0]].shape.c ? visit_mean(c, i)
											     : engine_visit_plain(c, i);
	case AD_OP_UNARY:
		return has_blocked(c, node->inputs[0]) ? visit_affine(c, i) : engine_visit_plain(c, i);
	case AD_OP_SCALE:
		return has_blocked(c, node->inputs[0]) && x->dims[0] == 1 ? visit_affine(c, i)
									  : engine_visit_plain(c, i);
	case AD_OP_BINARY:
		return can_binary(c, node) ? visit_binary(c, i) : engine_visit_plain(c, i);
	case AD_OP_CONCAT:
		return can_concat(c, node) ? visit_concat(c, i) : engine_visit_plain(c, i);
	case AD_OP_GEMM:
		return node->u.gemm.m == 1 && is_vector(&c->values[node->inputs[0]].shape) &&
			       is_vector(&c->values[node->output].shape) && !node->u.gemm.transposed &&
			       c->values[node->inputs[0]].plain.buffer != BUFFER_INPUT
			   ? visit_gemm(c, i)
			   : engine_visit_plain(c, i);
	case AD_OP_RESHAPE:
		return visit_reshape(c, i);
	case AD_OP_PAD:
		return engine_visit_plain(c, i);
	}
	return engine_visit_plain(c, i);
}

/* -- fusing ------------------------------------------------------------------------------------------ */

static int is_pointwise_node(const ad_node *n)
{
	return n->op == AD_OP_CONV && is_pointwise(&n->u.conv.window);
}

/* Every window lies inside, so that the mean of a constant is that constant. */
static int is_whole_average(const struct compiler *c, const ad_node *n)
{
	const ad_window *w = &n->u.pool.window;
	const size_t *in = c->g->values[n->inputs[0]].dims, *out = c->g->values[n->output].dims;

	if (n->op != AD_OP_AVERAGE_POOL || w->pads[0] || w->pads[1] || w->pads[2] || w->pads[3])
		return 0;
	for (int i = 0; i < 2; i++)
		if ((out[2 + i] - 1) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 > in[2 + i])
			return 0;
	return 1;
}

static void fuse(struct compiler *c)
{
	const ad_graph *g = c->g;

	for (size_t i = 0; i < g->n_nodes; i++)
		c->pre[i] = c->moved[i] = -1;
	/* Consumers come after producers, so the last writer of reader[v] is the only one where readers is 1. */
	for (size_t i = 0; i < g->n_nodes; i++) {
		const ad_node *n = &g->nodes[i], *p;
		int v = n->inputs[0], producer = g->values[v].producer;

		if (producer < 0 || g->values[v].readers != 1)
			continue;
		p = &g->nodes[producer];
		if (is_whole_average(c, n) && is_pointwise_node(p) && p->u.conv.window.stride[0] == 1 &&
		    p->u.conv.window.stride[1] == 1 && p->activation.kind == AD_ACT_NONE && !p->u.conv.residual &&
		    p->u.conv.groups == 1 && c->values[p->inputs[0]].shape.c >= c->e->k->vl) {
			c->moved[i] = producer;
			c->skip[producer] = 1;
			c->pre[i] = c->pre[producer];
			c->pre[producer] = -1;
			continue;
		}
		if ((p->op == AD_OP_SCALE || p->op == AD_OP_UNARY) && g->values[v].rank == 4 &&
		    g->values[v].dims[0] == 1 && c->values[v].shape.c >= c->e->k->vl &&
		    c->values[v].shape.h * c->values[v].shape.w >= PIXELS_TO_FUSE &&
		    ((is_pointwise_node(n) && n->u.conv.groups == 1 && n->u.conv.window.stride[0] == 1 &&
		      n->u.conv.window.stride[1] == 1 && n->n_inputs == 1) ||
		     (n->op == AD_OP_AVERAGE_POOL && is_whole_average(c, n)))) {
			c->pre[i] = producer;
			c->skip[producer] = 1;
		}
	}
}

/* Lets the inputs of joins of channels lie in their outputs, the last join first. */
static void nest(struct compiler *c)
{
	const ad_graph *g = c->g;
	size_t vl = c->e->k->vl;

	for (size_t i = g->n_nodes; i-- > 0;) {
		const ad_node *n = &g->nodes[i];
		size_t block = 0, j;

		if (n->op != AD_OP_CONCAT || n->u.concat.axis != 1 || g->values[n->output].rank != 4 ||
		    g->values[n->output].dims[0] != 1)
			continue;
		for (j = 0; j + 1 < n->n_inputs; j++)
			if (c->values[n->inputs[j]].shape.c % vl)
				break;
		if (j + 1 < n->n_inputs)
			continue;
		for (j = 0; j < n->n_inputs; j++) {
			struct value *v = &c->values[n->inputs[j]];
			int producer = g->values[n->inputs[j]].producer;

			if (v->parent < 0 && producer >= 0 && g->nodes[producer].op != AD_OP_RESHAPE &&
			    g->nodes[producer].op != AD_OP_PAD) {
				v->parent = n->output;
				v->parent_block = block;
			}
			block += v->shape.blocks;
		}
	}
}

/* -- compiling --------------------------------------------------------------------------------------- */

/* Value v, just made, as ONNX has it: into each output of the graph that it is. */
static int write_outputs(struct compiler *c, int v)
{
	const ad_graph *g = c->g;
	struct value *value = &c->values[v];
	size_t offset = 0;
	int rc = 0;

	for (size_t i = 0; i < g->n_outputs && !rc; offset += g->values[g->outputs[i++]].count) {
		step s = {.node = g->n_nodes, .res = nowhere, .out = {BUFFER_OUTPUT, offset}, .algorithm = "output"};

		if (g->outputs[i] != v)
			continue;
		if (value->plain.buffer == BUFFER_NONE && !is_vector(&value->shape)) {
			s.run = engine_unpack;
			s.in = value->blocked;
			s.u.pixel = pixels(value->shape);
		} else {
			s.run = engine_copy;
			s.in = value->plain.buffer == BUFFER_NONE ? value->blocked : value->plain;
			s.u.pixel = pixels((shape){.blocks = 1, .plane = g->values[v].count});
		}
		engine_pixels_plan(c->e, &s, s.run == engine_copy);
		rc = engine_step(c->e, &s);
		value->remaining--;
	}
	return rc;
}

int engine_compile(struct compiler *c)
{
	const ad_graph *g = c->g;
	ad_engine *e = c->e;
	int rc;

	for (size_t i = 0; i < g->n_values; i++) {
		struct value *v = &c->values[i];

		*v = (struct value){.plain = nowhere,
				    .blocked = nowhere,
				    .bytes = nowhere,
				    .quads = nowhere,
				    .shape = shape_of(e, &g->values[i]),
				    .parent = -1,
				    .remaining = g->values[i].readers};
	}
	c->values[g->input].plain = (place){BUFFER_INPUT, 0};
	fuse(c);
	nest(c);
	engine_chains(c);
	rc = c->ranges ? engine_find_bytes(c) : 0;
	if (rc)
		return rc;
	rc = write_outputs(c, g->input);
	if (rc)
		return rc;
	for (size_t i = 0; i < g->n_nodes; i++)
		e->doers[i] = i;
	for (size_t i = 0; i < g->n_nodes; i++) {
		const int with[] = {c->moved[i], c->pre[i], c->chains[i].depth, c->chains[i].expand};

		if (c->skip[i]) {
			e->algorithms[i] = "with the next";
			continue;
		}
		rc = visit(c, i);
		if (rc)
			return rc;
		for (size_t j = 0; j < g->nodes[i].n_inputs; j++)
			c->values[g->nodes[i].inputs[j]].remaining--;
		for (size_t j = 0; j < sizeof(with) / sizeof(with[0]); j++) {
			if (with[j] < 0 || with[j] == (int)i)
				continue;
			e->doers[with[j]] = i;
			c->values[g->nodes[with[j]].inputs[0]].remaining--;
		}
		rc = write_outputs(c, g->nodes[i].output);
		if (rc)
			return rc;
	}
	return 0;
}
