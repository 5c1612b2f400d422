/*
 * Compiles what is done in 8 bits (engine_int8.c): which values have bytes and which nodes take them, the ways between
 * bytes and floats, the nodes' steps.
 */
#include "engine_compile.h"

#include "../base/mem.h"

/* -- what takes bytes ------------------------------------------------------------------------------- */

/* A picture as it came, of few channels. */
static int is_picture(const struct compiler *c, int v)
{
	return v == c->g->input && c->values[v].shape.c <= 4;
}

static int clamps(ad_activation a)
{
	return a.kind == AD_ACT_NONE || a.kind == AD_ACT_RELU || a.kind == AD_ACT_CLIP;
}

int engine_takes_bytes(const struct compiler *c, size_t i)
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
static int windows_have_cells(const struct compiler *c, const ad_node *n)
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

int engine_find_bytes(struct compiler *c)
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
			if (!engine_takes_bytes(c, i) && !windows_have_cells(c, n))
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

int engine_pools_bytes(const struct compiler *c, size_t i)
{
	const ad_node *n = &c->g->nodes[i];

	return c->values[n->inputs[0]].bytes.buffer != BUFFER_NONE && windows_have_cells(c, n) &&
	       stays_bytes(c, n->output);
}

/* -- forms ------------------------------------------------------------------------------------------- */

int engine_from_bytes(struct compiler *c, int v, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.node = node, .in = value->bytes, .res = nowhere};
	int rc = engine_place_blocked(c, v);

	if (rc)
		return rc;
	s.out = value->blocked;
	rc = engine_int8_dequantize(c->e, &s, value->shape, value->quanta);
	return rc ? rc : engine_form(c->e, &s);
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
	rc = engine_need_blocked(c, from, node);
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
		rc = engine_buffer(c->e, div_up(engine_int8_bytes(value->shape, AD_INT8_BLOCK), sizeof(float)),
				   &value->bytes);
	if (rc)
		return rc;
	s.in = c->values[from].blocked;
	s.out = value->bytes;
	rc = engine_int8_quantize(c->e, &s, value->shape, value->quanta, scale, shift, fn);
	return rc ? rc : engine_form(c->e, &s);
}

/* A picture, packed. */
static int need_quads(struct compiler *c, int v, size_t node)
{
	struct value *value = &c->values[v];
	step s = {.node = node, .res = nowhere, .in = value->plain};
	int rc;

	if (value->quads.buffer != BUFFER_NONE)
		return 0;
	rc = engine_buffer(c->e, value->shape.h * value->shape.w, &value->quads);
	if (rc)
		return rc;
	s.out = value->quads;
	engine_int8_pack(&s, value->shape, value->quanta);
	return engine_form(c->e, &s);
}

/* -- nodes ------------------------------------------------------------------------------------------- */

int engine_visit_int8(struct compiler *c, size_t i)
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
		rc = engine_place_blocked(c, node->output);
		s.out = out->blocked;
	} else {
		to = out->quanta;
		if (res >= 0 && res != x && c->values[res].remaining == 1)
			out->bytes = s.res;
		else
			rc = engine_buffer(e, div_up(engine_int8_bytes(out->shape, AD_INT8_BLOCK), sizeof(float)),
					   &out->bytes);
		s.out = out->bytes;
	}
	if (!rc)
		rc = engine_int8_conv(e, &s, e->n_steps, node, in->shape, out->shape, planar ? 4 : AD_INT8_BLOCK,
				      in->quanta, to, of_res);
	if (rc)
		return rc;
	rc = engine_step(e, &s);
	if (rc)
		engine_int8_release(&s);
	return rc;
}

int engine_visit_int8_pool(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	struct value *in = &c->values[node->inputs[0]], *out = &c->values[node->output];
	step s = {.node = i, .res = nowhere, .in = in->bytes};
	int rc = engine_buffer(c->e, div_up(engine_int8_bytes(out->shape, AD_INT8_BLOCK), sizeof(float)), &out->bytes);

	if (rc)
		return rc;
	s.out = out->bytes;
	engine_int8_pool(&s, &node->u.pool.window, in->shape, out->shape);
	return engine_step(c->e, &s);
}
