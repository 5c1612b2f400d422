#include "../base/fail.h"
#include "../base/mem.h"
#include "graph_internal.h"

/*
 * One walk over the nodes in order. What a node reads is already in its final form when the walk comes to it, so each
 * node is offered to what makes its input, and either dies there or stays. producer and readers are kept true
 * on the way.
 */
struct walk {
	ad_graph *g;
	uint8_t *dead;
	adtool_error *err;
};

static ad_node *producer_of(struct walk *w, int value)
{
	int p = w->g->values[value].producer;

	return p < 0 ? NULL : &w->g->nodes[p];
}

/* What makes the value, when only one node reads it. */
static ad_node *private_producer(struct walk *w, int value)
{
	return w->g->values[value].readers == 1 ? producer_of(w, value) : NULL;
}

/* `into` takes over the output of `node`, its only reader. */
static void absorb(struct walk *w, ad_node *into, const ad_node *node)
{
	w->g->values[into->output].producer = -1;
	w->g->values[into->output].readers = 0;
	into->output = node->output;
	w->g->values[into->output].producer = (int)(into - w->g->nodes);
	w->dead[node - w->g->nodes] = 1;
}

/* x * f(x), f a sigmoid, becomes one activation of x. */
static void make_swish(struct walk *w, ad_node *node)
{
	int side;

	if (node->op != AD_OP_BINARY || node->u.binary.op != AD_MUL || node->u.binary.constant)
		return;
	for (side = 0; side < 2; side++) {
		int x = node->inputs[side];
		const ad_node *f = private_producer(w, node->inputs[!side]);

		if (!f || f->op != AD_OP_UNARY || f->inputs[0] != x ||
		    (f->activation.kind != AD_ACT_SIGMOID && f->activation.kind != AD_ACT_HARDSIGMOID))
			continue;
		w->dead[f - w->g->nodes] = 1;
		w->g->values[f->output].producer = -1;
		w->g->values[f->output].readers = 0;
		w->g->values[x].readers--;
		node->op = AD_OP_UNARY;
		node->kind = f->activation.kind == AD_ACT_SIGMOID ? "Swish" : "HardSwish";
		node->activation = f->activation;
		node->activation.kind = f->activation.kind == AD_ACT_SIGMOID ? AD_ACT_SWISH : AD_ACT_HARDSWISH;
		node->inputs[0] = x;
		node->n_inputs = 1;
		return;
	}
}

static void fold_pad(struct walk *w, ad_node *node)
{
	ad_node *pad = private_producer(w, node->inputs[0]);
	int64_t pads[4];
	int i;

	if (node->op != AD_OP_CONV || !pad || pad->op != AD_OP_PAD || pad->u.pad.value != 0)
		return;
	for (i = 0; i < 2; i++) {
		if (pad->u.pad.before[i] || pad->u.pad.after[i])
			return;
		pads[i] = pad->u.pad.before[2 + i];
		pads[2 + i] = pad->u.pad.after[2 + i];
	}
	for (i = 0; i < 4; i++)
		if (pads[i] < 0)
			return;
	for (i = 0; i < 4; i++)
		node->u.conv.window.pads[i] += (size_t)pads[i];
	w->g->values[pad->output].producer = -1;
	w->g->values[pad->output].readers = 0;
	node->inputs[0] = pad->inputs[0];
	w->dead[pad - w->g->nodes] = 1;
}

/* Weights that are to be changed: as floats. */
static int widen(struct walk *w, ad_conv *conv, size_t count)
{
	float *floats;

	if (!conv->halves)
		return 0;
	floats = ad_graph_alloc(w->g, count, sizeof(*floats), w->err);
	if (!floats)
		return ad_fail_code(w->err);
	ad_halves_to_floats(conv->halves, count, floats);
	conv->weights = floats;
	conv->halves = NULL;
	return 0;
}

/* rows x size weights, times scale[row]; bias likewise, plus shift. */
static int scale_rows(struct walk *w, size_t rows, size_t size, const ad_loose **weights, const ad_loose **bias,
		      const float *scale, const float *shift)
{
	float *new_weights = ad_graph_alloc(w->g, rows, size * sizeof(float), w->err);
	float *new_bias = new_weights ? ad_graph_alloc(w->g, rows, sizeof(float), w->err) : NULL;
	size_t i, j;

	if (!new_bias)
		return ad_fail_code(w->err);
	for (i = 0; i < rows; i++) {
		for (j = 0; j < size; j++)
			new_weights[i * size + j] = (*weights)[i * size + j] * scale[i];
		new_bias[i] = (*bias ? (*bias)[i] * scale[i] : 0) + shift[i];
	}
	*weights = new_weights;
	*bias = new_bias;
	return 0;
}

static int fold_scale(struct walk *w, ad_node *node)
{
	ad_node *before = private_producer(w, node->inputs[0]);
	const ad_value *x = &w->g->values[node->inputs[0]];
	size_t channels = x->dims[1], size, c;
	float *scale, *shift;
	int code;

	if (node->op != AD_OP_SCALE || !before || before->activation.kind != AD_ACT_NONE)
		return 0;
	switch (before->op) {
	case AD_OP_CONV:
		if (before->u.conv.residual)
			return 0;
		size = w->g->values[before->inputs[0]].dims[1] / before->u.conv.groups *
		       before->u.conv.window.kernel[0] * before->u.conv.window.kernel[1];
		code = widen(w, &before->u.conv, channels * size);
		if (!code)
			code = scale_rows(w, channels, size, &before->u.conv.weights, &before->u.conv.bias,
					  node->u.scale.scale, node->u.scale.shift);
		break;
	case AD_OP_GEMM:
		code = scale_rows(w, channels, before->u.gemm.k, &before->u.gemm.weights, &before->u.gemm.bias,
				  node->u.scale.scale, node->u.scale.shift);
		break;
	case AD_OP_SCALE:
		scale = ad_graph_alloc(w->g, channels, sizeof(float), w->err);
		shift = scale ? ad_graph_alloc(w->g, channels, sizeof(float), w->err) : NULL;
		if (!shift)
			return ad_fail_code(w->err);
		for (c = 0; c < channels; c++) {
			scale[c] = before->u.scale.scale[c] * node->u.scale.scale[c];
			shift[c] = before->u.scale.shift[c] * node->u.scale.scale[c] + node->u.scale.shift[c];
		}
		before->u.scale.scale = scale;
		before->u.scale.shift = shift;
		code = 0;
		break;
	default:
		return 0;
	}
	if (!code)
		absorb(w, before, node);
	return code;
}

/* The addition becomes the convolution: it is where all that the convolution reads is there. */
static void fuse_residual(struct walk *w, ad_node *node)
{
	const ad_value *values = w->g->values;
	int side, best = -1;

	if (node->op != AD_OP_BINARY || node->u.binary.op != AD_ADD || node->u.binary.constant)
		return;
	for (side = 0; side < 2; side++) {
		const ad_node *conv = private_producer(w, node->inputs[side]);
		const ad_value *a = &values[node->inputs[side]], *b = &values[node->inputs[!side]];

		if (!conv || conv->op != AD_OP_CONV || conv->u.conv.residual || conv->activation.kind != AD_ACT_NONE ||
		    a->rank != b->rank || memcmp(a->dims, b->dims, sizeof(a->dims)))
			continue;
		if (best < 0 || a->producer > values[node->inputs[best]].producer)
			best = side;
	}
	if (best >= 0) {
		ad_node *conv = producer_of(w, node->inputs[best]);
		int other = node->inputs[!best];

		w->g->values[conv->output].producer = -1;
		w->g->values[conv->output].readers = 0;
		w->dead[conv - w->g->nodes] = 1;
		node->inputs[0] = conv->inputs[0];
		node->inputs[1] = other;
		node->op = AD_OP_CONV;
		node->name = conv->name;
		node->kind = conv->kind;
		node->u.conv = conv->u.conv;
		node->u.conv.residual = 1;
	}
}

static void fuse_activation(struct walk *w, ad_node *node)
{
	ad_node *before = private_producer(w, node->inputs[0]);

	if (node->op != AD_OP_UNARY || !before || before->activation.kind != AD_ACT_NONE ||
	    (before->op != AD_OP_CONV && before->op != AD_OP_SCALE && before->op != AD_OP_BINARY &&
	     before->op != AD_OP_GEMM))
		return;
	before->activation = node->activation;
	absorb(w, before, node);
}

int ad_graph_optimise(ad_graph *g, adtool_error *err)
{
	struct walk w = {g, ad_calloc(g->n_nodes, 1), err};
	size_t i, kept;
	int code = 0;

	if (!w.dead)
		return ad_fail_nomem(err);
	ad_graph_link(g);
	for (i = 0; i < g->n_nodes && !code; i++) {
		ad_node *node = &g->nodes[i];

		make_swish(&w, node);
		fold_pad(&w, node);
		code = fold_scale(&w, node);
		if (!w.dead[i])
			fuse_residual(&w, node);
		if (!w.dead[i])
			fuse_activation(&w, node);
	}
	for (i = kept = 0; i < g->n_nodes; i++)
		if (!w.dead[i])
			g->nodes[kept++] = g->nodes[i];
	g->n_nodes = kept;
	ad_graph_link(g);
	ad_free(w.dead);
	return code;
}
