/*
 * The engine: compiles a graph to steps, places values in the arena by lifetime, runs the steps.
 *
 * A value lives plain (as ONNX has it) or in blocks, or both once something needed the other form. Where a concat's
 * inputs fill whole blocks they are written side by side in its output from the start. Fused beyond what the graph
 * already is: SCALE and UNARY into the pointwise convolution or the pooling after them; a pointwise
 * convolution before an average pooling is done after it, on fewer pixels (both are linear).
 */
#include "engine_internal.h"

#include <sched.h>
#include <stdatomic.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "ops.h"
#include "plan.h"

enum { LINE_BYTES = 64, LINE_FLOATS = 16, MOST_SLOTS = 16, SPINS = 4096, PIXELS_TO_FUSE = 128 };

/* A node left to plain loops. */
struct plain_step {
	ad_step step;
	place *in;
	size_t pointers; /* bytes from the arena's start, where a run keeps its inputs' addresses */
};

/* Each alone in its line. A step has one of tasks done, and one for each slot, of tasks of its range taken. */
typedef struct counter {
	_Alignas(LINE_BYTES) atomic_size_t n;
} counter;

/* What is known of a value while compiling. */
struct value {
	place plain, blocked; /* BUFFER_NONE: not there */
	place bytes, quads;   /* likewise, as in kernel/int8.h: in blocks of 16; of at most 4 channels, by pixels */
	quanta quanta;        /* without a scale: no range is known */
	int in_floats;        /* something must have it in floats */
	shape shape;          /* of its blocks; blocks 0: it has none */
	int parent;           /* the concat it lies in; -1 */
	size_t parent_block;
	size_t remaining; /* reads to come */
};

struct compiler {
	ad_engine *e;
	const ad_graph *g;
	struct value *values;
	int *pre;            /* of a CONV or AVERAGE_POOL: the SCALE or UNARY fused into it; -1 */
	int *moved;          /* of an AVERAGE_POOL: the CONV that is done after it; -1 */
	unsigned char *skip; /* nodes that another one does */
	const ad_range *const *ranges;
	float *scales; /* of all quanta */
	adtool_error *err;
};

static const place nowhere = {BUFFER_NONE, 0};

/* -- growing lists ----------------------------------------------------------------------------------- */

static void *grow(void *list, size_t n, size_t *room, size_t size)
{
	void *bigger;

	if (n < *room)
		return list;
	bigger = ad_realloc_array(list, *room * 2 + 16, size);
	if (bigger)
		*room = *room * 2 + 16;
	return bigger;
}

size_t engine_weights(ad_engine *e, size_t floats)
{
	size_t offset = e->n_weights;

	e->n_weights += div_up(floats, LINE_FLOATS) * LINE_FLOATS;
	return offset;
}

fill *engine_fill(ad_engine *e)
{
	fill *list = grow(e->fills, e->n_fills, &e->room_fills, sizeof(*list));

	if (!list)
		return NULL;
	e->fills = list;
	list[e->n_fills] = (fill){0};
	return &list[e->n_fills++];
}

size_t engine_vector(ad_engine *e, const ad_loose *values, size_t count, size_t total, float rest)
{
	fill *f = engine_fill(e);

	if (!f)
		return SIZE_MAX;
	*f = (fill){.kind = FILL_VECTOR,
		    .offset = engine_weights(e, total),
		    .from = values,
		    .count = count,
		    .total = total,
		    .rest = rest};
	return f->offset;
}

static int add_buffer(ad_engine *e, size_t floats, place *out)
{
	buffer *list = grow(e->buffers, e->n_buffers, &e->room_buffers, sizeof(*list));

	if (!list)
		return ADTOOL_ENOMEM;
	e->buffers = list;
	list[e->n_buffers] = (buffer){.floats = div_up(floats, LINE_FLOATS) * LINE_FLOATS, .first = SIZE_MAX};
	*out = (place){(int)e->n_buffers++, 0};
	return 0;
}

static void touch(ad_engine *e, place p, size_t index)
{
	buffer *b;

	if (p.buffer < 0)
		return;
	b = &e->buffers[p.buffer];
	b->first = min_size(b->first, index);
	b->last = max_size(b->last, index);
}

/* The step's places must be set. */
static int add_step(ad_engine *e, const step *s)
{
	step *list = grow(e->steps, e->n_steps, &e->room_steps, sizeof(*list));

	if (!list)
		return ADTOOL_ENOMEM;
	e->steps = list;
	list[e->n_steps] = *s;
	touch(e, s->in, e->n_steps);
	touch(e, s->out, e->n_steps);
	touch(e, s->res, e->n_steps);
	e->algorithms[s->node] = s->algorithm;
	e->n_steps++;
	return 0;
}

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

/* Gives value v room for its blocks: within its concat, if it has one. */
static int place_blocked(struct compiler *c, int v)
{
	struct value *value = &c->values[v];
	int rc;

	if (value->blocked.buffer != BUFFER_NONE)
		return 0;
	if (value->parent >= 0) {
		rc = place_blocked(c, value->parent);
		if (rc)
			return rc;
		value->blocked = c->values[value->parent].blocked;
		value->blocked.offset += value->parent_block * value->shape.plane;
		c->e->buffers[value->blocked.buffer].shared = 1;
		return 0;
	}
	return add_buffer(c->e, value->shape.blocks * value->shape.plane, &value->blocked);
}

static int place_plain(struct compiler *c, int v)
{
	struct value *value = &c->values[v];

	if (is_vector(&value->shape) && value->parent < 0) {
		int rc = place_blocked(c, v);

		value->plain = value->blocked;
		return rc;
	}
	return add_buffer(c->e, c->g->values[v].count, &value->plain);
}

/* A step that makes another form of a value, counted to the node that wants it. */
static int add_form(struct compiler *c, const step *s)
{
	const char *algorithm = c->e->algorithms[s->node];
	int rc = add_step(c->e, s);

	c->e->algorithms[s->node] = algorithm;
	return rc;
}

static int from_bytes(struct compiler *c, int v, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.node = node, .in = value->bytes, .res = nowhere};
	int rc = place_blocked(c, v);

	if (rc)
		return rc;
	s.out = value->blocked;
	rc = engine_int8_dequantize(c->e, &s, value->shape, value->quanta);
	return rc ? rc : add_form(c, &s);
}

static int need_blocked(struct compiler *c, int v, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.run = engine_pack, .node = node, .algorithm = "pack", .res = nowhere};
	const char *algorithm = c->e->algorithms[node];
	int rc;

	if (value->blocked.buffer != BUFFER_NONE)
		return 0;
	if (value->plain.buffer == BUFFER_NONE)
		return from_bytes(c, v, node);
	if (is_vector(&value->shape) && value->plain.buffer >= 0 && value->parent < 0) {
		value->blocked = value->plain;
		return 0;
	}
	rc = place_blocked(c, v);
	if (rc)
		return rc;
	s.in = value->plain;
	s.out = value->blocked;
	s.u.pixel = pixels(value->shape);
	engine_pixels_plan(c->e, &s, 0);
	rc = add_step(c->e, &s);
	c->e->algorithms[node] = algorithm;
	return rc;
}

static int need_plain(struct compiler *c, int v, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.run = engine_unpack, .node = node, .algorithm = "unpack", .res = nowhere};
	const char *algorithm = c->e->algorithms[node];
	int rc;

	if (value->plain.buffer != BUFFER_NONE)
		return 0;
	rc = need_blocked(c, v, node);
	if (rc)
		return rc;
	if (is_vector(&value->shape)) {
		value->plain = value->blocked;
		return 0;
	}
	rc = add_buffer(c->e, c->g->values[v].count, &value->plain);
	if (rc)
		return rc;
	s.in = value->blocked;
	s.out = value->plain;
	s.u.pixel = pixels(value->shape);
	engine_pixels_plan(c->e, &s, 0);
	rc = add_step(c->e, &s);
	c->e->algorithms[node] = algorithm;
	return rc;
}

static int has_blocked(const struct compiler *c, int v)
{
	return c->values[v].blocked.buffer != BUFFER_NONE || c->values[v].bytes.buffer != BUFFER_NONE;
}

/* In bytes, by way of the SCALE or UNARY node `pre` that makes v, when it is done with what reads it (else -1). */
static int need_bytes(struct compiler *c, int v, int pre, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.node = node, .res = nowhere};
	size_t scale = SIZE_MAX, shift = SIZE_MAX;
	ad_fn fn = {AD_FN_NONE, 0, 0};
	int from = pre >= 0 ? c->g->nodes[pre].inputs[0] : v, rc;

	if (value->bytes.buffer != BUFFER_NONE)
		return 0;
	rc = need_blocked(c, from, node);
	if (!rc && pre >= 0) {
		const ad_node *n = &c->g->nodes[pre];
		size_t total = div_up(value->shape.c, AD_INT8_BLOCK) * AD_INT8_BLOCK;
		int scaled = n->op == AD_OP_SCALE;

		fn = fn_of(n->activation);
		scale = engine_vector(c->e, scaled ? n->u.scale.scale : NULL, scaled ? value->shape.c : 0, total, 1);
		shift = engine_vector(c->e, scaled ? n->u.scale.shift : NULL, scaled ? value->shape.c : 0, total, 0);
		rc = scale == SIZE_MAX || shift == SIZE_MAX ? ADTOOL_ENOMEM : 0;
	}
	if (!rc)
		rc = add_buffer(c->e, div_up(engine_int8_bytes(value->shape, AD_INT8_BLOCK), sizeof(float)), &value->bytes);
	if (rc)
		return rc;
	s.in = c->values[from].blocked;
	s.out = value->bytes;
	rc = engine_int8_quantize(c->e, &s, value->shape, value->quanta, scale, shift, fn);
	return rc ? rc : add_form(c, &s);
}

/* A picture, packed. */
static int need_quads(struct compiler *c, int v, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.node = node, .res = nowhere, .in = value->plain};
	int rc;

	if (value->quads.buffer != BUFFER_NONE)
		return 0;
	rc = add_buffer(c->e, value->shape.h * value->shape.w, &value->quads);
	if (rc)
		return rc;
	s.out = value->quads;
	engine_int8_pack(&s, value->shape, value->quanta);
	return add_form(c, &s);
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
	return place_blocked(c, out);
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
		rc = need_blocked(c, res, i);
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
		rc = add_buffer(e, floats, &s.u.conv.transformed);
		if (rc)
			goto fail;
		before.u.conv.transformed = s.u.conv.transformed;
		before.out = s.u.conv.transformed;
		before.res = nowhere;
		before.algorithm = s.algorithm;
		rc = add_step(e, &before);
		if (rc)
			goto fail;
		/* The fills know the step by the number it was to have. */
		for (size_t f = 0; f < e->n_fills; f++)
			if (e->fills[f].kind == FILL_CONV && e->fills[f].step == e->n_steps - 1)
				e->fills[f].step = e->n_steps;
		touch(e, s.u.conv.transformed, e->n_steps);
		s.in = s.u.conv.transformed;
	}
	rc = add_step(e, &s);
	if (rc)
		goto fail;
	return 0;
fail:
	engine_conv_release(&s);
	return rc;
}

/* -- in 8 bits --------------------------------------------------------------------------------------- */

/* A picture as it came, of few channels. */
static int is_picture(const struct compiler *c, int v)
{
	return v == c->g->input && c->values[v].shape.c <= 4;
}

static int clamps(ad_activation a)
{
	return a.kind == AD_ACT_NONE || a.kind == AD_ACT_RELU || a.kind == AD_ACT_CLIP;
}

/* Whether a convolution is done in bytes. */
static int takes_bytes(const struct compiler *c, size_t i)
{
	const ad_node *n = &c->g->nodes[i];
	int x = n->inputs[0], pre = c->pre[i];

	return c->ranges && n->op == AD_OP_CONV && !c->skip[i] && c->values[x].quanta.scale &&
	       (!n->u.conv.residual || c->values[n->inputs[1]].quanta.scale) &&
	       (pre < 0 || clamps(c->g->nodes[pre].activation)) &&
	       engine_int8_suits(&n->u.conv, n->activation, c->values[x].shape.c, c->values[n->output].shape.c,
				 is_picture(c, x));
}

/* Whether the largest of each window can be taken in bytes: each has a cell. */
static int pools_bytes(const struct compiler *c, const ad_node *n)
{
	const ad_window *w = &n->u.pool.window;
	const struct value *in = &c->values[n->inputs[0]], *out = &c->values[n->output];

	if (n->op != AD_OP_MAX_POOL)
		return 0;
	for (int axis = 0; axis < 2; axis++) {
		size_t size = axis ? in->shape.w : in->shape.h, n_out = axis ? out->shape.w : out->shape.h;

		if (w->dilation[axis] != 1 || w->pads[axis] >= w->kernel[axis] ||
		    (n_out - 1) * w->stride[axis] >= size + w->pads[axis])
			return 0;
	}
	return 1;
}

/* What has a range, and what must be there in floats. */
static int find_bytes(struct compiler *c)
{
	const ad_graph *g = c->g;
	size_t floats = 0;
	float *scale;

	for (size_t i = 0; i < g->n_values; i++)
		floats += c->ranges[i] ? 2 * div_up(c->values[i].shape.c, AD_INT8_BLOCK) * AD_INT8_BLOCK : 0;
	c->scales = scale = ad_malloc_array(floats, sizeof(*scale));
	if (!scale)
		return ADTOOL_ENOMEM;
	for (size_t i = 0; i < g->n_values; i++) {
		const ad_value *v = &g->values[i];
		struct value *value = &c->values[i];

		if (!c->ranges[i] || v->rank != 4 || v->dims[0] != 1)
			continue;
		if (engine_int8_quanta(c->ranges[i], value->shape.c, is_picture(c, (int)i), scale, &value->quanta.zero))
			value->quanta.scale = scale;
		scale += 2 * div_up(value->shape.c, AD_INT8_BLOCK) * AD_INT8_BLOCK;
	}
	for (size_t i = 0; i < g->n_nodes; i++)
		if (g->nodes[i].op == AD_OP_MAX_POOL)
			c->values[g->nodes[i].output].quanta = c->values[g->nodes[i].inputs[0]].quanta;
	for (size_t i = 0; i < g->n_nodes; i++) {
		const ad_node *n = &g->nodes[i];

		for (size_t j = 0; j < n->n_inputs; j++)
			if (!takes_bytes(c, i) && !pools_bytes(c, n))
				c->values[n->inputs[j]].in_floats = 1;
	}
	for (size_t i = 0; i < g->n_outputs; i++)
		c->values[g->outputs[i]].in_floats = 1;
	return 0;
}

static int stays_bytes(const struct compiler *c, int v)
{
	return c->values[v].quanta.scale && !c->values[v].in_floats && c->values[v].parent < 0;
}

static int visit_int8(struct compiler *c, size_t i)
{
	ad_engine *e = c->e;
	const ad_node *node = &c->g->nodes[i];
	int x = node->inputs[0], res = node->u.conv.residual ? node->inputs[1] : -1, planar = is_picture(c, x), rc;
	struct value *in = &c->values[x], *out = &c->values[node->output];
	quanta to = {0}, of_res = {0};
	step s = {.node = i, .res = nowhere};

	rc = planar ? need_quads(c, x, i) : need_bytes(c, x, c->pre[i], i);
	if (!rc && res >= 0)
		rc = need_bytes(c, res, -1, i);
	if (rc)
		return rc;
	s.in = planar ? in->quads : in->bytes;
	if (res >= 0) {
		s.res = c->values[res].bytes;
		of_res = c->values[res].quanta;
	}
	if (!stays_bytes(c, node->output)) {
		rc = place_blocked(c, node->output);
		s.out = out->blocked;
	} else {
		to = out->quanta;
		if (res >= 0 && res != x && c->values[res].remaining == 1)
			out->bytes = s.res;
		else
			rc = add_buffer(e, div_up(engine_int8_bytes(out->shape, AD_INT8_BLOCK), sizeof(float)), &out->bytes);
		s.out = out->bytes;
	}
	if (!rc)
		rc = engine_int8_conv(e, &s, e->n_steps, node, in->shape, out->shape, planar ? 4 : AD_INT8_BLOCK,
				      in->quanta, to, of_res);
	if (rc)
		return rc;
	rc = add_step(e, &s);
	if (rc)
		engine_int8_release(&s);
	return rc;
}

static int visit_int8_pool(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	struct value *in = &c->values[node->inputs[0]], *out = &c->values[node->output];
	step s = {.node = i, .res = nowhere, .in = in->bytes};
	int rc = add_buffer(c->e, div_up(engine_int8_bytes(out->shape, AD_INT8_BLOCK), sizeof(float)), &out->bytes);

	if (rc)
		return rc;
	s.out = out->bytes;
	engine_int8_pool(&s, &node->u.pool.window, in->shape, out->shape);
	return add_step(c->e, &s);
}

static int visit_plain(struct compiler *c, size_t i);

static int visit_conv(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	int pre = c->pre[i], v = pre >= 0 ? c->g->nodes[pre].inputs[0] : node->inputs[0], rc;
	struct value *value = &c->values[v];

	if (takes_bytes(c, i))
		return visit_int8(c, i);
	if (!engine_conv_suits(c->e, &node->u.conv, value->shape.c, c->values[node->output].shape.c))
		return visit_plain(c, i);
	/* Few channels, as they came: a picture. */
	if (pre < 0 && !has_blocked(c, v) && node->u.conv.groups == 1 && value->shape.c < c->e->k->vl)
		return add_conv(c, i, v, value->plain, value->shape, node->output, -1, 1);
	rc = need_blocked(c, v, i);
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

	if (c->values[v].bytes.buffer != BUFFER_NONE && pools_bytes(c, node) && stays_bytes(c, node->output))
		return visit_int8_pool(c, i);
	rc = need_blocked(c, v, i);
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
		rc = place_blocked(c, node->output);
		s.out = c->values[node->output].blocked;
	} else {
		rc = add_buffer(e, w.out.blocks * w.out.plane, &s.out);
	}
	if (rc)
		return rc;
	s.u.window = w;
	engine_window_plan(e, &s);
	rc = add_step(e, &s);
	if (rc || moved < 0)
		return rc;
	return add_conv(c, (size_t)moved, -1, s.out, w.out, node->output, -1, 0);
}

static int visit_affine(struct compiler *c, size_t i)
{
	ad_engine *e = c->e;
	const ad_node *node = &c->g->nodes[i];
	int v = node->inputs[0], rc = need_blocked(c, v, i);
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
	return add_step(e, &s);
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
		rc = need_blocked(c, node->inputs[j], i);
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
	return add_step(e, &s);
}

static int visit_mean(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	step s = {.run = engine_mean, .node = i, .algorithm = "mean", .res = nowhere};
	int rc = need_blocked(c, node->inputs[0], i);

	if (!rc)
		rc = place_blocked(c, node->output);
	if (rc)
		return rc;
	s.in = c->values[node->inputs[0]].blocked;
	s.out = c->values[node->output].blocked;
	s.u.pixel = pixels(c->values[node->inputs[0]].shape);
	engine_pixels_plan(c->e, &s, 1);
	return add_step(c->e, &s);
}

/* Inputs that are not already in their place are copied there. */
static int visit_concat(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	struct value *out = &c->values[node->output];
	size_t block = 0, j;
	int rc = place_blocked(c, node->output);

	c->e->algorithms[i] = "in place";
	for (j = 0; j < node->n_inputs && !rc; j++) {
		struct value *v = &c->values[node->inputs[j]];
		step s = {.run = engine_copy, .node = i, .algorithm = "copy", .res = nowhere, .out = out->blocked};

		rc = need_blocked(c, node->inputs[j], i);
		s.in = v->blocked;
		s.out.offset += block * v->shape.plane;
		block += v->shape.blocks;
		if (rc || (s.in.buffer == s.out.buffer && s.in.offset == s.out.offset))
			continue;
		s.u.pixel = pixels(v->shape);
		engine_pixels_plan(c->e, &s, 1);
		rc = add_step(c->e, &s);
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
	int rc = need_blocked(c, node->inputs[0], i);

	if (!rc)
		rc = place_blocked(c, node->output);
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
	rc = add_step(e, &s);
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
	rc = need_plain(c, node->inputs[0], i);
	if (rc)
		return rc;
	out->plain = in->plain;
	if (out->plain.buffer >= 0)
		c->e->buffers[out->plain.buffer].shared = 1;
	return 0;
}

static void align_right(const ad_value *v, size_t dims[AD_RANK])
{
	for (int i = 0; i < AD_RANK; i++)
		dims[i] = i < AD_RANK - v->rank ? 1 : v->dims[i - (AD_RANK - v->rank)];
}

static void run_plain(const step *s, const run *r, size_t task, float *scratch);

static int visit_plain(struct compiler *c, size_t i)
{
	ad_engine *e = c->e;
	const ad_node *node = &c->g->nodes[i];
	const ad_value *y = &c->g->values[node->output];
	step s = {.run = run_plain, .node = i, .in = nowhere, .res = nowhere};
	struct plain_step *p = NULL;
	int rc = 0;

	for (size_t j = 0; j < node->n_inputs && !rc; j++)
		rc = need_plain(c, node->inputs[j], i);
	if (!rc)
		rc = place_plain(c, node->output);
	if (rc)
		return rc;
	p = ad_calloc(1, sizeof(*p));
	if (!p)
		return ADTOOL_ENOMEM;
	p->step.node = *node;
	p->step.node.inputs = NULL;
	p->step.in_dims = ad_malloc_array(node->n_inputs, sizeof(*p->step.in_dims));
	p->in = ad_malloc_array(node->n_inputs, sizeof(*p->in));
	if (!p->step.in_dims || !p->in)
		goto fail;
	for (size_t j = 0; j < node->n_inputs; j++) {
		align_right(&c->g->values[node->inputs[j]], p->step.in_dims[j]);
		p->in[j] = c->values[node->inputs[j]].plain;
		touch(e, p->in[j], e->n_steps);
	}
	align_right(y, p->step.out_dims);
	p->step.rank = y->rank;
	p->step.in_count = c->g->values[node->inputs[0]].count;
	p->step.out_count = y->count;
	p->step.channels = y->rank > 1 ? y->dims[1] : 1;
	p->step.inner = y->dims[2] * y->dims[3];
	ad_step_choose(&p->step);
	s.algorithm = p->step.algorithm;
	s.tasks = p->step.tasks;
	s.scratch = p->step.scratch;
	s.out = c->values[node->output].plain;
	s.u.plain = p;
	if (add_step(e, &s))
		goto fail;
	return 0;
fail:
	ad_free(p->step.in_dims);
	ad_free(p->in);
	ad_free(p);
	return ADTOOL_ENOMEM;
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
											     : visit_plain(c, i);
	case AD_OP_UNARY:
		return has_blocked(c, node->inputs[0]) ? visit_affine(c, i) : visit_plain(c, i);
	case AD_OP_SCALE:
		return has_blocked(c, node->inputs[0]) && x->dims[0] == 1 ? visit_affine(c, i) : visit_plain(c, i);
	case AD_OP_BINARY:
		return can_binary(c, node) ? visit_binary(c, i) : visit_plain(c, i);
	case AD_OP_CONCAT:
		return can_concat(c, node) ? visit_concat(c, i) : visit_plain(c, i);
	case AD_OP_GEMM:
		return node->u.gemm.m == 1 && is_vector(&c->values[node->inputs[0]].shape) &&
			       is_vector(&c->values[node->output].shape) && !node->u.gemm.transposed &&
			       c->values[node->inputs[0]].plain.buffer != BUFFER_INPUT
			   ? visit_gemm(c, i)
			   : visit_plain(c, i);
	case AD_OP_RESHAPE:
		return visit_reshape(c, i);
	case AD_OP_PAD:
		return visit_plain(c, i);
	}
	return visit_plain(c, i);
}

/* -- fusing ------------------------------------------------------------------------------------------ */

static int is_pointwise(const ad_node *n)
{
	const ad_window *w = &n->u.conv.window;

	return n->op == AD_OP_CONV && w->kernel[0] == 1 && w->kernel[1] == 1 && !w->pads[0] && !w->pads[1] &&
	       !w->pads[2] && !w->pads[3];
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
		if (is_whole_average(c, n) && is_pointwise(p) && p->u.conv.window.stride[0] == 1 &&
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
		    ((is_pointwise(n) && n->u.conv.groups == 1 && n->u.conv.window.stride[0] == 1 &&
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

/* -- placing ----------------------------------------------------------------------------------------- */

/* Largest first, each at the lowest offset where no buffer alive at the same time lies. */
static int place_buffers(ad_engine *e, size_t input, size_t *bytes, adtool_error *err)
{
	size_t *order = ad_malloc_array(e->n_buffers, sizeof(*order)), total = 0;
	size_t *near = ad_malloc_array(e->n_buffers, sizeof(*near));
	size_t most = min_size(AD_FREE_ARENA + AD_ARENA_PER_INPUT * input, AD_MAX_ARENA);

	if (!order || !near) {
		ad_free(order);
		ad_free(near);
		return ad_fail_nomem(err);
	}
	for (size_t i = 0; i < e->n_buffers; i++) {
		size_t j = i;

		for (; j > 0 && e->buffers[order[j - 1]].floats < e->buffers[i].floats; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	for (size_t i = 0; i < e->n_buffers; i++) {
		buffer *b = &e->buffers[order[i]];
		size_t n = 0, offset = 0, size = b->floats * sizeof(float);

		/* Those already placed that live at the same time, by offset. */
		for (size_t j = 0; j < i; j++) {
			const buffer *o = &e->buffers[order[j]];
			size_t k = n;

			if (o->first > b->last || b->first > o->last)
				continue;
			for (; k > 0 && e->buffers[near[k - 1]].offset > o->offset; k--)
				near[k] = near[k - 1];
			near[k] = order[j];
			n++;
		}
		for (size_t j = 0; j < n; j++) {
			const buffer *o = &e->buffers[near[j]];

			if (offset + size <= o->offset)
				break;
			offset = max_size(offset, o->offset + o->floats * sizeof(float));
		}
		b->offset = offset;
		total = max_size(total, offset + size);
	}
	ad_free(order);
	ad_free(near);
	*bytes = total;
	if (total / sizeof(float) > most)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "activations take more than %zu MiB, too much for an input of this size", most >> 18);
	return 0;
}

/* -- weights ----------------------------------------------------------------------------------------- */

static void fill_one(void *context, size_t task, unsigned worker)
{
	const ad_engine *e = context;
	const fill *f = &e->fills[task];
	float *to = e->weights + f->offset;
	size_t vl = e->k->vl;

	(void)worker;
	switch (f->kind) {
	case FILL_VECTOR:
		if (f->count)
			memcpy(to, f->from, f->count * sizeof(*to));
		for (size_t i = f->count; i < f->total; i++)
			to[i] = f->rest;
		break;
	case FILL_CONV:
		engine_conv_fill(e, f);
		break;
	case FILL_INT8:
		engine_int8_fill(e, f);
		break;
	case FILL_DEPTHWISE:
		for (size_t c = 0; c < f->count; c += vl)
			e->k->pack(&(ad_pack_args){f->from + c * f->total, f->total, min_size(vl, f->count - c),
						   f->total, to + c * f->total, vl});
		break;
	}
}

/* most: floats. */
static int fill_weights(ad_engine *e, size_t most, ad_pool *pool, adtool_error *err)
{
	if (e->n_weights > most)
		return ad_fail(err, ADTOOL_ELIMIT, "weights take more than %zu MiB, too much for a file of this size",
			       most >> 18);
	e->weights = ad_malloc_aligned(e->n_weights, sizeof(float));
	if (!e->weights)
		return ad_fail_nomem(err);
	ad_pool_run(pool, fill_one, e, e->n_fills);
	return 0;
}

/* Constants of nodes left to plain loops: the graph goes, so they are kept. */
static int keep_constants(struct compiler *c)
{
	ad_engine *e = c->e;

	for (size_t i = 0; i < e->n_steps; i++) {
		const ad_node *n;
		size_t size;

		if (e->steps[i].run != run_plain)
			continue;
		n = &e->steps[i].u.plain->step.node;
		if (n->op == AD_OP_CONV) {
			size = n->u.conv.window.kernel[0] * n->u.conv.window.kernel[1] *
			       c->g->values[c->g->nodes[e->steps[i].node].inputs[0]].dims[1] / n->u.conv.groups *
			       e->steps[i].u.plain->step.channels;
			if (engine_vector(e, n->u.conv.weights, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
			size = e->steps[i].u.plain->step.channels;
			if (n->u.conv.bias && engine_vector(e, n->u.conv.bias, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
		} else if (n->op == AD_OP_SCALE) {
			size = c->g->values[c->g->nodes[e->steps[i].node].inputs[0]].dims[1];
			if (engine_vector(e, n->u.scale.scale, size, size, 0) == SIZE_MAX ||
			    engine_vector(e, n->u.scale.shift, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
		} else if (n->op == AD_OP_BINARY && n->u.binary.constant) {
			const size_t *d = n->u.binary.constant_dims;

			size = d[0] * d[1] * d[2] * d[3];
			if (engine_vector(e, n->u.binary.constant, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
		} else if (n->op == AD_OP_GEMM) {
			size = n->u.gemm.n * n->u.gemm.k;
			if (engine_vector(e, n->u.gemm.weights, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
			if (n->u.gemm.bias && engine_vector(e, n->u.gemm.bias, n->u.gemm.n, n->u.gemm.n, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
		}
	}
	return 0;
}

/* The same pointers, now into the weights. */
static const float *kept(const ad_engine *e, const ad_loose *from)
{
	for (size_t f = 0; f < e->n_fills; f++)
		if (e->fills[f].kind == FILL_VECTOR && e->fills[f].from == from &&
		    e->fills[f].count == e->fills[f].total)
			return e->weights + e->fills[f].offset;
	return NULL;
}

static void turn_to_kept(ad_engine *e)
{
	for (size_t i = 0; i < e->n_steps; i++) {
		ad_node *n;

		if (e->steps[i].run != run_plain)
			continue;
		n = &e->steps[i].u.plain->step.node;
		n->name = n->kind = NULL;
		if (n->op == AD_OP_CONV) {
			n->u.conv.weights = kept(e, n->u.conv.weights);
			if (n->u.conv.bias)
				n->u.conv.bias = kept(e, n->u.conv.bias);
		} else if (n->op == AD_OP_SCALE) {
			n->u.scale.scale = kept(e, n->u.scale.scale);
			n->u.scale.shift = kept(e, n->u.scale.shift);
		} else if (n->op == AD_OP_BINARY && n->u.binary.constant) {
			n->u.binary.constant = kept(e, n->u.binary.constant);
		} else if (n->op == AD_OP_GEMM) {
			n->u.gemm.weights = kept(e, n->u.gemm.weights);
			if (n->u.gemm.bias)
				n->u.gemm.bias = kept(e, n->u.gemm.bias);
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
		rc = add_step(c->e, &s);
		value->remaining--;
	}
	return rc;
}

static int compile(struct compiler *c)
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
	rc = c->ranges ? find_bytes(c) : 0;
	if (rc)
		return rc;
	rc = write_outputs(c, g->input);
	if (rc)
		return rc;
	for (size_t i = 0; i < g->n_nodes; i++) {
		if (c->skip[i]) {
			e->algorithms[i] = "with the next";
			continue;
		}
		rc = visit(c, i);
		if (rc)
			return rc;
		for (size_t j = 0; j < g->nodes[i].n_inputs; j++)
			c->values[g->nodes[i].inputs[j]].remaining--;
		for (int f = c->moved[i]; f >= 0; f = -1)
			c->values[g->nodes[f].inputs[0]].remaining--;
		for (int f = c->pre[i]; f >= 0; f = -1)
			c->values[g->nodes[f].inputs[0]].remaining--;
		rc = write_outputs(c, g->nodes[i].output);
		if (rc)
			return rc;
	}
	return 0;
}

int ad_engine_create(const ad_graph *graph, const ad_kernels *kernels, const ad_range *const *ranges, ad_pool *pool,
		     ad_engine **out, adtool_error *err)
{
	ad_engine *e = ad_calloc(1, sizeof(*e));
	struct compiler c = {.e = e, .g = graph, .ranges = ranges, .err = err};
	size_t scratch = 0, bytes = 0, i;
	unsigned cpus = ad_cpu_count();
	int rc;

	if (!e)
		return ad_fail_nomem(err);
	e->k = kernels;
	e->k8 = ad_int8_kernels_for(kernels->isa);
	e->n_nodes = graph->n_nodes;
	e->algorithms = ad_calloc(graph->n_nodes + 1, sizeof(*e->algorithms));
	c.values = ad_malloc_array(graph->n_values, sizeof(*c.values));
	c.pre = ad_malloc_array(graph->n_nodes, sizeof(*c.pre));
	c.moved = ad_malloc_array(graph->n_nodes, sizeof(*c.moved));
	c.skip = ad_calloc(graph->n_nodes, 1);
	if (!e->algorithms || !c.values || !c.pre || !c.moved || !c.skip)
		rc = ADTOOL_ENOMEM;
	else
		rc = compile(&c);
	if (!rc)
		rc = keep_constants(&c);
	if (rc == ADTOOL_ENOMEM)
		ad_fail_nomem(err);
	if (!rc)
		rc = place_buffers(e, graph->values[graph->input].count, &bytes, err);
	if (!rc)
		rc = fill_weights(e, graph->most_bytes / sizeof(float), pool, err);
	if (rc)
		goto out;
	turn_to_kept(e);
	scratch = 0;
	for (i = 0; i < e->n_steps; i++) {
		struct plain_step *p = e->steps[i].run == run_plain ? e->steps[i].u.plain : NULL;

		scratch = max_size(scratch, e->steps[i].scratch);
		if (p) {
			p->pointers = bytes;
			bytes += div_up(p->step.node.n_inputs * sizeof(float *), LINE_BYTES) * LINE_BYTES;
		}
	}
	e->slots = cpus < MOST_SLOTS ? cpus : MOST_SLOTS;
	if (scratch > AD_MAX_ARENA / e->slots) {
		rc = ad_fail(err, ADTOOL_ELIMIT, "a convolution needs more than %zu MiB beside its activations",
			     AD_MAX_ARENA >> 18);
		goto out;
	}
	e->counters_at = div_up(bytes, LINE_BYTES) * LINE_BYTES;
	e->scratch_at = e->counters_at + e->n_steps * (e->slots + 1) * sizeof(counter);
	/* A page between, and sizes that are no power of two, so that slots do not meet in the same cache sets. */
	e->scratch_bytes = div_up(scratch * sizeof(float), 4096) * 4096 + LINE_BYTES * 5;
	e->arena_bytes = e->scratch_at + e->slots * e->scratch_bytes;
	*out = e;
	e = NULL;
out:
	ad_free(c.values);
	ad_free(c.pre);
	ad_free(c.moved);
	ad_free(c.skip);
	ad_free(c.scales);
	ad_engine_free(e);
	return rc;
}

void ad_engine_free(ad_engine *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n_steps; i++) {
		if (e->steps[i].run == run_plain) {
			ad_free(e->steps[i].u.plain->step.in_dims);
			ad_free(e->steps[i].u.plain->in);
			ad_free(e->steps[i].u.plain);
		} else {
			engine_int8_release(&e->steps[i]);
			engine_conv_release(&e->steps[i]);
		}
	}
	ad_free(e->steps);
	ad_free(e->buffers);
	ad_free(e->fills);
	ad_free(e->algorithms);
	ad_free_aligned(e->weights);
	ad_free(e);
}

/* -- running ----------------------------------------------------------------------------------------- */

static void run_plain(const step *s, const run *r, size_t task, float *scratch)
{
	const struct plain_step *p = s->u.plain;
	ad_step_data data = {.in = (const float *const *)(const void *)(r->arena + p->pointers),
			     .out = at(r, s->out),
			     .scratch = scratch};

	p->step.fn(&p->step, &data, task);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void pause_a_little(unsigned turn)
{
	if (turn % SPINS == SPINS - 1) {
		sched_yield();
		return;
	}
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * The next task of a step for a slot, or SIZE_MAX. The tasks are cut into a range for each slot, and their order
 * follows the rows of the picture: so a slot mostly reads what it has itself written, which is still in its core's
 * cache. When its own range is empty it helps with the others'.
 */
static size_t take(counter *taken, size_t tasks, size_t slot, size_t slots)
{
	for (size_t i = 0; i < slots; i++) {
		size_t range = (slot + i) % slots, first = cut(tasks, range, slots), end = cut(tasks, range + 1, slots);
		size_t n;

		if (atomic_load_explicit(&taken[range].n, memory_order_relaxed) >= end - first)
			continue;
		n = atomic_fetch_add_explicit(&taken[range].n, 1, memory_order_relaxed);
		if (n < end - first)
			return first + n;
	}
	return SIZE_MAX;
}

/*
 * What every thread does: goes through the steps, takes tasks of each while there are any, and waits until all of them
 * are done before it goes on. However many threads come, and whenever, each task runs once.
 */
static void run_slot(void *context, size_t slot, unsigned worker)
{
	const run *r = context;
	const ad_engine *e = r->e;
	counter *counters = (counter *)(void *)(r->arena + e->counters_at);
	float *scratch = (float *)(void *)(r->arena + e->scratch_at + slot * e->scratch_bytes);
	unsigned long mode = r->k->fp_enter();
	double start = 0;

	(void)worker;
	for (size_t i = 0; i < e->n_steps; i++) {
		const step *s = &e->steps[i];
		counter *done = &counters[i * (r->slots + 1)];
		size_t mine = 0, task;

		if (r->seconds && slot == 0)
			start = now();
		for (; (task = take(done + 1, s->tasks, slot, r->slots)) != SIZE_MAX; mine++)
			s->run(s, r, task, scratch);
		if (mine)
			atomic_fetch_add_explicit(&done->n, mine, memory_order_release);
		for (unsigned turn = 0; atomic_load_explicit(&done->n, memory_order_acquire) < s->tasks; turn++)
			pause_a_little(turn);
		if (r->seconds && slot == 0 && s->node < e->n_nodes)
			r->seconds[s->node] += now() - start;
	}
	r->k->fp_leave(mode);
}

void ad_engine_run(const ad_engine *e, void *arena, ad_pool *pool, const float *input, float *output, double *seconds)
{
	run r = {.e = e, .k = e->k, .arena = arena, .input = input, .output = output, .seconds = seconds};
	counter *counters = (counter *)(void *)(r.arena + e->counters_at);
	unsigned threads = ad_pool_size(pool);

	r.slots = threads < e->slots ? threads : e->slots;
	for (size_t i = 0; i < e->n_steps * (r.slots + 1); i++)
		atomic_init(&counters[i].n, 0);
	for (size_t i = 0; i < e->n_steps; i++) {
		const struct plain_step *p = e->steps[i].u.plain;

		if (e->steps[i].run != run_plain)
			continue;
		for (size_t j = 0; j < p->step.node.n_inputs; j++)
			((const float **)(void *)(r.arena + p->pointers))[j] = from(&r, p->in[j]);
	}
	ad_pool_run(r.slots > 1 ? pool : NULL, run_slot, &r, r.slots);
}

/* -- what it is -------------------------------------------------------------------------------------- */

size_t ad_engine_arena_bytes(const ad_engine *e)
{
	return e->arena_bytes;
}

size_t ad_engine_weight_bytes(const ad_engine *e)
{
	return e->n_weights * sizeof(float);
}

const char *ad_engine_algorithm(const ad_engine *e, size_t node)
{
	return e->algorithms[node] ? e->algorithms[node] : "";
}
