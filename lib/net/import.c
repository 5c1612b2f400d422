/* ONNX nodes -> graph: every operator's rules, and the shape of what it makes. */
#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "graph_internal.h"

/* What is known of a tensor of the file: not yet made, a value of the graph, or a constant. */
struct known {
	enum { UNKNOWN, VALUE, CONSTANT } kind;
	int value;
	ad_constant constant;
};

struct build {
	const ad_onnx *onnx;
	ad_graph *g;
	struct known *known;       /* by tensor */
	const Ad__NodeProto *node; /* the one at hand */
	const int *reads;
	size_t n_reads;
	int result;        /* tensor: its first output */
	adtool_error *err; /* never NULL */
};

typedef int import_fn(struct build *b);

#define REFUSE(b, ...) ad_fail((b)->err, ADTOOL_EUNSUPPORTED, __VA_ARGS__)
#define DAMAGED(b, ...) ad_fail((b)->err, ADTOOL_EFORMAT, __VA_ARGS__)

/* -- attributes ---------------------------------------------------------------------------------------- */

enum { TYPE_FLOAT = 1, TYPE_INT, TYPE_STRING, TYPE_TENSOR, TYPE_FLOATS = 6, TYPE_INTS };

/* *out is NULL when the attribute is absent. */
static int attribute(struct build *b, const char *name, int type, const char *type_name, const Ad__AttributeProto **out)
{
	size_t i;

	*out = NULL;
	for (i = 0; i < b->node->n_attribute; i++) {
		const Ad__AttributeProto *a = b->node->attribute[i];

		if (!a->name || strcmp(a->name, name))
			continue;
		if (*out)
			return DAMAGED(b, "attribute %s is given twice", name);
		if ((a->has_type && a->type && a->type != type) || (type == TYPE_FLOAT && !a->has_f) ||
		    (type == TYPE_INT && !a->has_i) || (type == TYPE_STRING && !a->has_s) ||
		    (type == TYPE_TENSOR && !a->t))
			return DAMAGED(b, "attribute %s is not %s", name, type_name);
		*out = a;
	}
	return 0;
}

static int get_float(struct build *b, const char *name, float missing, float *out)
{
	const Ad__AttributeProto *a;
	int code = attribute(b, name, TYPE_FLOAT, "a float", &a);

	if (code)
		return code;
	*out = a ? a->f : missing;
	return 0;
}

static int get_int(struct build *b, const char *name, int64_t missing, int64_t *out)
{
	const Ad__AttributeProto *a;
	int code = attribute(b, name, TYPE_INT, "a whole number", &a);

	if (code)
		return code;
	*out = a ? a->i : missing;
	return 0;
}

/* Exactly n numbers from 0 (or `least`) to AD_MAX_WINDOW, or the `missing` one n times. */
static int get_sizes(struct build *b, const char *name, size_t n, size_t least, size_t missing, size_t *out, int *given)
{
	const Ad__AttributeProto *a;
	int code = attribute(b, name, TYPE_INTS, "a list of whole numbers", &a);
	size_t i;

	if (code)
		return code;
	if (a && a->n_ints != n)
		return REFUSE(b,
			      "attribute %s has %zu numbers; only two-dimensional windows (%zu numbers) are supported",
			      name, a->n_ints, n);
	for (i = 0; i < n; i++) {
		if (a && (a->ints[i] < (int64_t)least || a->ints[i] > AD_MAX_WINDOW))
			return REFUSE(b, "attribute %s is %lld; %zu to %d are supported", name, (long long)a->ints[i],
				      least, AD_MAX_WINDOW);
		out[i] = a ? (size_t)a->ints[i] : missing;
	}
	if (given)
		*given = a != NULL;
	return 0;
}

static int string_is(const Ad__AttributeProto *a, const char *text)
{
	return a->s.len == strlen(text) && !memcmp(a->s.data, text, a->s.len);
}

/* -- operands ------------------------------------------------------------------------------------------ */

static int load_constant(struct build *b, const Ad__TensorProto *tensor, const char *name, ad_constant *out)
{
	ad_constant c = {.name = name, .rank = (int)tensor->n_dims};
	int code = ad_onnx_count(tensor, &c.count, b->err);
	float *floats = NULL;
	int64_t *ints = NULL;
	size_t i;

	if (code)
		return code;
	for (i = 0; i < tensor->n_dims; i++)
		c.dims[i] = (size_t)tensor->dims[i];
	c.halves = ad_onnx_halves(b->onnx, tensor);
	if (!c.halves && !ad_onnx_in_place(b->onnx, tensor, &c.floats)) {
		/* The data must be there before memory is taken for it. */
		if (c.count > b->onnx->size)
			return DAMAGED(b, "tensor '%s' claims %zu elements; the file has %zu bytes", name, c.count,
				       b->onnx->size);
		if (ad_onnx_is_integer(tensor))
			c.ints = ints = ad_graph_alloc(b->g, c.count, sizeof(*ints), b->err);
		else
			c.floats = floats = ad_graph_alloc(b->g, c.count, sizeof(*floats), b->err);
		if (!floats && !ints)
			return ad_fail_code(b->err);
		code = ad_onnx_read(b->onnx, tensor, floats, ints, b->err);
		if (code)
			return code;
	}
	*out = c;
	return 0;
}

static int widen(struct build *b, ad_constant *c)
{
	float *floats;

	if (!c->halves)
		return 0;
	floats = ad_graph_alloc(b->g, c->count, sizeof(*floats), b->err);
	if (!floats)
		return ad_fail_code(b->err);
	ad_halves_to_floats(c->halves, c->count, floats);
	c->floats = floats;
	c->halves = NULL;
	return 0;
}

/* What input i is, a constant as it is stored; NULL when it is left out. */
static int stored_operand(struct build *b, size_t i, struct known **out)
{
	int t = i < b->n_reads ? b->reads[i] : -1;
	const ad_onnx_tensor *tensor;
	struct known *k;

	*out = NULL;
	if (t < 0)
		return 0;
	k = &b->known[t];
	if (k->kind == UNKNOWN) {
		int code;

		tensor = &b->onnx->tensors[t];
		if (tensor->source == AD_FROM_INPUT)
			return REFUSE(b, "it reads a second input of the graph, '%s'; pictures are all there is",
				      tensor->name);
		if (tensor->source == AD_FROM_NODE)
			return REFUSE(b, "it reads '%s', output %u of %s; only first outputs are supported",
				      tensor->name, tensor->slot + 1, b->onnx->graph->node[tensor->index]->op_type);
		code = load_constant(b, b->onnx->graph->initializer[tensor->index], tensor->name, &k->constant);
		if (code)
			return code;
		k->kind = CONSTANT;
	}
	*out = k;
	return 0;
}

/* The same; a constant is floats or whole numbers. */
static int operand(struct build *b, size_t i, const struct known **out)
{
	struct known *k;
	int code = stored_operand(b, i, &k);

	*out = NULL;
	if (!code && k && k->kind == CONSTANT)
		code = widen(b, &k->constant);
	if (!code)
		*out = k;
	return code;
}

static int need_value(struct build *b, size_t i, int *value)
{
	const struct known *k;
	int code = operand(b, i, &k);

	if (code)
		return code;
	if (!k)
		return DAMAGED(b, "input %zu is missing", i + 1);
	if (k->kind != VALUE)
		return REFUSE(b, "input %zu is a constant", i + 1);
	*value = k->value;
	return 0;
}

/* *out is NULL when the input is left out. */
static int get_constant(struct build *b, size_t i, int integer, const ad_constant **out)
{
	const struct known *k;
	int code = operand(b, i, &k);

	*out = NULL;
	if (code || !k)
		return code;
	if (k->kind != CONSTANT)
		return REFUSE(b, "input %zu is computed; it must be a constant", i + 1);
	if (!(integer ? (const void *)k->constant.ints : k->constant.floats))
		return DAMAGED(b, "input %zu ('%s') must hold %s", i + 1, k->constant.name,
			       integer ? "whole numbers" : "floats");
	*out = &k->constant;
	return 0;
}

static int need_constant(struct build *b, size_t i, int integer, const ad_constant **out)
{
	int code = get_constant(b, i, integer, out);

	return code || *out ? code : DAMAGED(b, "input %zu is missing", i + 1);
}

/* Floats, which may be halves. */
static int need_weights(struct build *b, size_t i, const ad_constant **out)
{
	struct known *k;
	int code = stored_operand(b, i, &k);

	if (code)
		return code;
	if (k && k->kind == CONSTANT && k->constant.halves)
		*out = &k->constant;
	else
		code = need_constant(b, i, 0, out);
	return code;
}

static int get_scalar(struct build *b, size_t i, float missing, float *out)
{
	const ad_constant *c;
	int code = get_constant(b, i, 0, &c);

	if (code)
		return code;
	if (c && c->count != 1)
		return DAMAGED(b, "input %zu has %zu elements instead of one", i + 1, c->count);
	*out = c ? c->floats[0] : missing;
	return 0;
}

static int need_image(struct build *b, int *value)
{
	int code = need_value(b, 0, value);
	const ad_value *x;

	if (code)
		return code;
	x = &b->g->values[*value];
	if (x->rank != 4)
		return REFUSE(b, "its input has %d dimensions; only 4 (N, C, H, W) are supported", x->rank);
	if (x->dims[0] != 1)
		return REFUSE(b, "its input is a batch of %zu; only 1 is supported", x->dims[0]);
	return 0;
}

/* -- results ------------------------------------------------------------------------------------------- */

static void becomes_value(struct build *b, int value)
{
	b->known[b->result] = (struct known){.kind = VALUE, .value = value};
}

static void becomes_constant(struct build *b, const ad_constant *constant)
{
	b->known[b->result] = (struct known){.kind = CONSTANT, .constant = *constant};
	b->known[b->result].constant.name = b->onnx->tensors[b->result].name;
}

/* Adds a node that makes the result, of this shape. */
static int emit(struct build *b, enum ad_op op, const int *inputs, size_t n, int rank, const size_t *dims,
		ad_node **out)
{
	int value;
	int code = ad_graph_add_value(b->g, b->onnx->tensors[b->result].name, rank, dims, &value, b->err);

	if (code)
		return code;
	*out = ad_graph_add_node(b->g, op, ad_onnx_node_name(b->node), b->node->op_type, inputs, n, value, b->err);
	if (!*out)
		return ad_fail_code(b->err);
	becomes_value(b, value);
	return 0;
}

/* -- windows ------------------------------------------------------------------------------------------- */

/* Reads stride, dilation, padding for a window whose kernel is set, and finds the output's size. */
static int import_window(struct build *b, const ad_value *x, ad_window *w, size_t out[2])
{
	const Ad__AttributeProto *automatic;
	int64_t ceiling;
	int code, axis;

	code = get_sizes(b, "strides", 2, 1, 1, w->stride, NULL);
	if (!code)
		code = get_sizes(b, "dilations", 2, 1, 1, w->dilation, NULL);
	if (!code)
		code = get_sizes(b, "pads", 4, 0, 0, w->pads, NULL);
	if (!code)
		code = attribute(b, "auto_pad", TYPE_STRING, "a string", &automatic);
	if (!code)
		code = get_int(b, "ceil_mode", 0, &ceiling);
	if (code)
		return code;
	for (axis = 0; axis < 2; axis++) {
		size_t in = x->dims[2 + axis], reach = (w->kernel[axis] - 1) * w->dilation[axis] + 1;
		size_t *before = &w->pads[axis], *after = &w->pads[2 + axis], stride = w->stride[axis], padded;

		if (automatic && (string_is(automatic, "SAME_UPPER") || string_is(automatic, "SAME_LOWER"))) {
			size_t covered, total;

			out[axis] = (in + stride - 1) / stride;
			covered = (out[axis] - 1) * stride + reach;
			total = covered > in ? covered - in : 0;
			*before = string_is(automatic, "SAME_UPPER") ? total / 2 : total - total / 2;
			*after = total - *before;
			continue;
		}
		if (automatic && string_is(automatic, "VALID"))
			*before = *after = 0;
		else if (automatic && !string_is(automatic, "NOTSET"))
			return REFUSE(b, "auto_pad is none of NOTSET, SAME_UPPER, SAME_LOWER, VALID");
		padded = in + *before + *after;
		if (padded < reach)
			return REFUSE(b, "its input of %zux%zu is smaller than its window (%zu along %s)", x->dims[3],
				      x->dims[2], reach, axis ? "the width" : "the height");
		out[axis] = (padded - reach) / stride + 1;
		/* A window may begin in the input or the padding before it, not in the padding after it. */
		if (ceiling && (padded - reach) % stride && out[axis] * stride < in + *before)
			out[axis]++;
	}
	return 0;
}

static int import_conv(struct build *b)
{
	const ad_constant *weights, *bias;
	const ad_value *x;
	ad_window window;
	int64_t groups;
	size_t dims[4] = {1, 0, 0, 0};
	ad_node *node;
	int value, given;
	int code = need_image(b, &value);

	if (!code)
		code = need_weights(b, 1, &weights);
	if (!code)
		code = get_constant(b, 2, 0, &bias);
	if (!code)
		code = get_int(b, "group", 1, &groups);
	if (code)
		return code;
	x = &b->g->values[value];
	if (weights->rank != 4 || !weights->count)
		return REFUSE(
		    b,
		    "its weights have %d dimensions and %zu elements; only two-dimensional convolutions are supported",
		    weights->rank, weights->count);
	code = get_sizes(b, "kernel_shape", 2, 1, 1, window.kernel, &given);
	if (code)
		return code;
	if (given && (window.kernel[0] != weights->dims[2] || window.kernel[1] != weights->dims[3]))
		return DAMAGED(b, "kernel_shape is %zux%zu, but the weights are %zux%zu", window.kernel[0],
			       window.kernel[1], weights->dims[2], weights->dims[3]);
	window.kernel[0] = weights->dims[2];
	window.kernel[1] = weights->dims[3];
	if (window.kernel[0] > AD_MAX_WINDOW || window.kernel[1] > AD_MAX_WINDOW)
		return REFUSE(b, "its kernel is larger than %d", AD_MAX_WINDOW);
	if (groups < 1 || (uint64_t)groups > weights->dims[0] || weights->dims[0] % (uint64_t)groups)
		return DAMAGED(b, "%zu output channels cannot be cut into %lld groups", weights->dims[0],
			       (long long)groups);
	if (x->dims[1] % (uint64_t)groups || x->dims[1] / (uint64_t)groups != weights->dims[1])
		return DAMAGED(b, "its input has %zu channels; its weights are for %zu in each of %lld groups",
			       x->dims[1], weights->dims[1], (long long)groups);
	if (bias && bias->count != weights->dims[0])
		return DAMAGED(b, "its bias has %zu elements for %zu output channels", bias->count, weights->dims[0]);
	code = import_window(b, x, &window, &dims[2]);
	if (code)
		return code;
	dims[1] = weights->dims[0];
	code = emit(b, AD_OP_CONV, &value, 1, 4, dims, &node);
	if (code)
		return code;
	node->u.conv = (ad_conv){.window = window,
				 .groups = (size_t)groups,
				 .weights = weights->floats,
				 .halves = weights->halves,
				 .bias = bias ? bias->floats : NULL,
				 .way = AD_WAY_BY_COST};
	return 0;
}

static int import_pool(struct build *b, enum ad_op op)
{
	const ad_value *x;
	ad_window window;
	int64_t count_padding;
	size_t dims[4] = {1, 0, 0, 0};
	ad_node *node;
	int value, given, axis;
	int code = need_image(b, &value);

	if (!code)
		code = get_sizes(b, "kernel_shape", 2, 1, 1, window.kernel, &given);
	if (!code)
		code = get_int(b, "count_include_pad", 0, &count_padding);
	if (code)
		return code;
	if (!given)
		return DAMAGED(b, "attribute kernel_shape is missing");
	x = &b->g->values[value];
	code = import_window(b, x, &window, &dims[2]);
	if (code)
		return code;
	for (axis = 0; axis < 4; axis++)
		if (window.pads[axis] > (window.kernel[axis % 2] - 1) * window.dilation[axis % 2])
			return REFUSE(b, "its padding is as wide as its window");
	dims[1] = x->dims[1];
	code = emit(b, op, &value, 1, 4, dims, &node);
	if (code)
		return code;
	node->u.pool = (ad_pool_node){window, count_padding != 0};
	return 0;
}

static int import_max_pool(struct build *b)
{
	return import_pool(b, AD_OP_MAX_POOL);
}

static int import_average_pool(struct build *b)
{
	return import_pool(b, AD_OP_AVERAGE_POOL);
}

static int emit_global(struct build *b, int value, int keep)
{
	size_t dims[4] = {1, b->g->values[value].dims[1], 1, 1};
	ad_node *node;

	return emit(b, AD_OP_GLOBAL_AVERAGE, &value, 1, keep ? 4 : 2, dims, &node);
}

static int import_global_average(struct build *b)
{
	int value;
	int code = need_image(b, &value);

	return code ? code : emit_global(b, value, 1);
}

static int import_reduce_mean(struct build *b)
{
	const Ad__AttributeProto *attr;
	const ad_constant *input = NULL;
	const int64_t *axes = NULL;
	int64_t keep;
	size_t n = 0, i;
	unsigned seen = 0;
	int value;
	int code = need_image(b, &value);

	if (!code)
		code = attribute(b, "axes", TYPE_INTS, "a list of whole numbers", &attr);
	if (!code && b->onnx->opset >= 18)
		code = get_constant(b, 1, 1, &input);
	if (!code)
		code = get_int(b, "keepdims", 1, &keep);
	if (code)
		return code;
	if (attr) {
		axes = attr->ints;
		n = attr->n_ints;
	} else if (input) {
		axes = input->ints;
		n = input->count;
	}
	for (i = 0; i < n; i++) {
		int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];

		if (axis < 0 || axis > 3)
			return DAMAGED(b, "there is no axis %lld", (long long)axes[i]);
		seen |= 1u << axis;
	}
	if (seen != (1u << 2 | 1u << 3))
		return REFUSE(b, "only the mean over height and width (axes 2 and 3) is supported");
	return emit_global(b, value, keep != 0);
}

/* -- element by element -------------------------------------------------------------------------------- */

static int emit_unary(struct build *b, ad_activation activation)
{
	const struct known *x;
	ad_node *node;
	int code = operand(b, 0, &x);

	if (code)
		return code;
	if (!x)
		return DAMAGED(b, "input 1 is missing");
	if (x->kind == CONSTANT) {
		ad_constant c = x->constant;
		float *folded;
		size_t i;

		if (!c.floats)
			return REFUSE(b, "its input holds whole numbers");
		folded = ad_graph_alloc(b->g, c.count, sizeof(*folded), b->err);
		if (!folded)
			return ad_fail_code(b->err);
		for (i = 0; i < c.count; i++)
			folded[i] = ad_activate(activation, c.floats[i]);
		c.floats = folded;
		becomes_constant(b, &c);
		return 0;
	}
	code = emit(b, AD_OP_UNARY, &x->value, 1, b->g->values[x->value].rank, b->g->values[x->value].dims, &node);
	if (!code)
		node->activation = activation;
	return code;
}

static int import_relu(struct build *b)
{
	return emit_unary(b, (ad_activation){AD_ACT_RELU, 0, 0});
}

static int import_sigmoid(struct build *b)
{
	return emit_unary(b, (ad_activation){AD_ACT_SIGMOID, 0, 0});
}

static int import_hard_swish(struct build *b)
{
	return emit_unary(b, (ad_activation){AD_ACT_HARDSWISH, 1.0f / 6, 0.5f});
}

static int import_leaky(struct build *b)
{
	ad_activation activation = {AD_ACT_LEAKY, 0, 0};
	int code = get_float(b, "alpha", 0.01f, &activation.a);

	return code ? code : emit_unary(b, activation);
}

static int import_hard_sigmoid(struct build *b)
{
	ad_activation activation = {AD_ACT_HARDSIGMOID, 0, 0};
	int code = get_float(b, "alpha", 0.2f, &activation.a);

	if (!code)
		code = get_float(b, "beta", 0.5f, &activation.b);
	return code ? code : emit_unary(b, activation);
}

static int import_clip(struct build *b)
{
	ad_activation activation = {AD_ACT_CLIP, 0, 0};
	int code;

	if (b->onnx->opset < 11) {
		code = get_float(b, "min", -INFINITY, &activation.a);
		if (!code)
			code = get_float(b, "max", INFINITY, &activation.b);
	} else {
		code = get_scalar(b, 1, -INFINITY, &activation.a);
		if (!code)
			code = get_scalar(b, 2, INFINITY, &activation.b);
	}
	if (code)
		return code;
	if (isnan(activation.a) || isnan(activation.b))
		return DAMAGED(b, "a limit is not a number");
	if (activation.a == 0 && activation.b == INFINITY)
		activation.kind = AD_ACT_RELU;
	return emit_unary(b, activation);
}

/* activation-free y = x[c] scale[c] + shift[c] along dimension 1 */
static int emit_scale(struct build *b, int value, const float *scale, const float *shift)
{
	ad_node *node;
	int code = emit(b, AD_OP_SCALE, &value, 1, b->g->values[value].rank, b->g->values[value].dims, &node);

	if (!code) {
		node->u.scale.scale = scale;
		node->u.scale.shift = shift;
	}
	return code;
}

static int import_batch_norm(struct build *b)
{
	static const char *const parts[4] = {"scale", "bias", "mean", "variance"};
	const ad_constant *c[4];
	const ad_value *x;
	float epsilon, *scale, *shift;
	int64_t training, spatial;
	size_t i;
	int value;
	int code = need_value(b, 0, &value);

	for (i = 0; i < 4 && !code; i++)
		code = need_constant(b, 1 + i, 0, &c[i]);
	if (!code)
		code = get_float(b, "epsilon", 1e-5f, &epsilon);
	if (!code)
		code = get_int(b, "training_mode", 0, &training);
	if (!code)
		code = get_int(b, "spatial", 1, &spatial);
	if (code)
		return code;
	if (training || !spatial)
		return REFUSE(b, training ? "training_mode is set" : "statistics per position are not supported");
	x = &b->g->values[value];
	if (x->rank < 2)
		return REFUSE(b, "its input has no channels");
	for (i = 0; i < 4; i++)
		if (c[i]->count != x->dims[1])
			return DAMAGED(b, "its %s has %zu elements for %zu channels", parts[i], c[i]->count,
				       x->dims[1]);
	scale = ad_graph_alloc(b->g, x->dims[1], sizeof(*scale), b->err);
	shift = scale ? ad_graph_alloc(b->g, x->dims[1], sizeof(*shift), b->err) : NULL;
	if (!shift)
		return ad_fail_code(b->err);
	for (i = 0; i < x->dims[1]; i++) {
		double variance = (double)c[3]->floats[i] + (double)epsilon, s;

		if (!(variance > 0))
			return DAMAGED(b, "the variance of channel %zu is %g", i, (double)c[3]->floats[i]);
		s = (double)c[0]->floats[i] / sqrt(variance);
		scale[i] = (float)s;
		shift[i] = (float)((double)c[1]->floats[i] - (double)c[2]->floats[i] * s);
	}
	return emit_scale(b, value, scale, shift);
}

static float apply(enum ad_binary op, float x, float y)
{
	switch (op) {
	case AD_ADD:
		return x + y;
	case AD_SUB:
		return x - y;
	case AD_MUL:
		return x * y;
	default:
		return x / y;
	}
}

/* NumPy's rule on shapes aligned at the right. */
static int broadcast(struct build *b, int rank_a, const size_t *a, int rank_b, const size_t *d, int *rank, size_t *dims)
{
	int i, n = rank_a > rank_b ? rank_a : rank_b;

	if (n > AD_RANK)
		return REFUSE(b, "an operand has %d dimensions; at most %d are supported", n, AD_RANK);
	for (i = 0; i < n; i++) {
		size_t x = i < n - rank_a ? 1 : a[i - (n - rank_a)], y = i < n - rank_b ? 1 : d[i - (n - rank_b)];

		if (x != y && x != 1 && y != 1)
			return DAMAGED(b, "its operands do not fit: %zu and %zu along dimension %d of %d", x, y, i, n);
		dims[i] = x == 1 ? y : x;
	}
	*rank = n;
	return 0;
}

static int fold_binary(struct build *b, enum ad_binary op, const ad_constant *x, const ad_constant *y)
{
	ad_constant z = {.count = 1};
	size_t dims[AD_RANK], i;
	float *folded;
	int axis;
	int code;

	if (!x->floats || !y->floats)
		return REFUSE(b, "its operands hold whole numbers");
	code = broadcast(b, x->rank, x->dims, y->rank, y->dims, &z.rank, dims);
	if (code)
		return code;
	for (axis = 0; axis < z.rank; axis++) {
		z.dims[axis] = dims[axis];
		if (dims[axis] && z.count > AD_MAX_TENSOR / dims[axis])
			return ad_fail(b->err, ADTOOL_ELIMIT, "its result has more than %zu elements", AD_MAX_TENSOR);
		z.count *= dims[axis];
	}
	z.floats = folded = ad_graph_alloc(b->g, z.count, sizeof(*folded), b->err);
	if (!folded)
		return ad_fail_code(b->err);
	for (i = 0; i < z.count; i++) {
		size_t rest = i, at_x = 0, at_y = 0, step_x = 1, step_y = 1;

		for (axis = z.rank; axis-- > 0;) {
			size_t at = rest % dims[axis];
			int ax = axis - (z.rank - x->rank), ay = axis - (z.rank - y->rank);

			rest /= dims[axis];
			if (ax >= 0) {
				at_x += x->dims[ax] == 1 ? 0 : at * step_x;
				step_x *= x->dims[ax];
			}
			if (ay >= 0) {
				at_y += y->dims[ay] == 1 ? 0 : at * step_y;
				step_y *= y->dims[ay];
			}
		}
		folded[i] = apply(op, x->floats[at_x], y->floats[at_y]);
	}
	becomes_constant(b, &z);
	return 0;
}

/* Whether the constant holds one number, or one for each channel, and does not make the value larger. */
static int is_per_channel(const ad_value *x, const ad_constant *c)
{
	int i;

	if (x->rank < 2 || c->rank > x->rank)
		return 0;
	if (c->count == 1)
		return 1;
	for (i = 0; i < c->rank; i++)
		if (c->dims[i] != (x->rank - c->rank + i == 1 ? x->dims[1] : 1))
			return 0;
	return c->count == x->dims[1];
}

static int binary_as_scale(struct build *b, enum ad_binary op, int value, const ad_constant *c, int constant_first)
{
	size_t channels = b->g->values[value].dims[1], i;
	float *scale = ad_graph_alloc(b->g, channels, sizeof(*scale), b->err);
	float *shift = scale ? ad_graph_alloc(b->g, channels, sizeof(*shift), b->err) : NULL;

	if (!shift)
		return ad_fail_code(b->err);
	for (i = 0; i < channels; i++) {
		float k = c->floats[c->count == 1 ? 0 : i];

		scale[i] = op == AD_MUL ? k : op == AD_DIV ? 1 / k : op == AD_SUB && constant_first ? -1 : 1;
		shift[i] = op == AD_ADD || (op == AD_SUB && constant_first) ? k : op == AD_SUB ? -k : 0;
	}
	return emit_scale(b, value, scale, shift);
}

static int binary_with_constant(struct build *b, enum ad_binary op, int value, const ad_constant *c, int constant_first)
{
	const ad_value *x = &b->g->values[value];
	size_t dims[AD_RANK];
	ad_node *node;
	int rank, i, code;

	if (!c->floats)
		return REFUSE(b, "'%s' holds whole numbers", c->name);
	if (is_per_channel(x, c) && !(op == AD_DIV && constant_first))
		return binary_as_scale(b, op, value, c, constant_first);
	code = broadcast(b, x->rank, x->dims, c->rank, c->dims, &rank, dims);
	if (!code)
		code = emit(b, AD_OP_BINARY, &value, 1, rank, dims, &node);
	if (code)
		return code;
	node->u.binary = (ad_binary_node){
	    .op = op, .constant_first = constant_first, .constant = c->floats, .constant_dims = {1, 1, 1, 1}};
	for (i = 0; i < c->rank; i++)
		node->u.binary.constant_dims[AD_RANK - c->rank + i] = c->dims[i];
	return 0;
}

static int import_binary(struct build *b, enum ad_binary op)
{
	const struct known *x, *y;
	size_t dims[AD_RANK];
	ad_node *node;
	int rank, inputs[2];
	int code = operand(b, 0, &x);

	if (!code)
		code = operand(b, 1, &y);
	if (code)
		return code;
	if (!x || !y)
		return DAMAGED(b, "input %d is missing", x ? 2 : 1);
	if (x->kind == CONSTANT && y->kind == CONSTANT)
		return fold_binary(b, op, &x->constant, &y->constant);
	if (x->kind == CONSTANT)
		return binary_with_constant(b, op, y->value, &x->constant, 1);
	if (y->kind == CONSTANT)
		return binary_with_constant(b, op, x->value, &y->constant, 0);
	inputs[0] = x->value;
	inputs[1] = y->value;
	code = broadcast(b, b->g->values[inputs[0]].rank, b->g->values[inputs[0]].dims, b->g->values[inputs[1]].rank,
			 b->g->values[inputs[1]].dims, &rank, dims);
	if (!code)
		code = emit(b, AD_OP_BINARY, inputs, 2, rank, dims, &node);
	if (!code)
		node->u.binary = (ad_binary_node){.op = op};
	return code;
}

static int import_add(struct build *b)
{
	return import_binary(b, AD_ADD);
}

static int import_sub(struct build *b)
{
	return import_binary(b, AD_SUB);
}

static int import_mul(struct build *b)
{
	return import_binary(b, AD_MUL);
}

static int import_div(struct build *b)
{
	return import_binary(b, AD_DIV);
}

/* -- moving things ------------------------------------------------------------------------------------- */

static int import_identity(struct build *b)
{
	const struct known *x;
	int code = operand(b, 0, &x);

	if (code)
		return code;
	if (!x)
		return DAMAGED(b, "input 1 is missing");
	if (x->kind == VALUE)
		becomes_value(b, x->value);
	else
		becomes_constant(b, &x->constant);
	return 0;
}

static int import_dropout(struct build *b)
{
	const ad_constant *training = NULL;
	int code = b->onnx->opset >= 12 ? get_constant(b, 2, 1, &training) : 0;

	if (code)
		return code;
	if (training && (training->count != 1 || training->ints[0]))
		return REFUSE(b, "training_mode is set");
	return import_identity(b);
}

static int import_cast(struct build *b)
{
	struct known *x;
	int64_t to;
	ad_constant c;
	size_t i;
	int code = stored_operand(b, 0, &x);

	if (!code)
		code = get_int(b, "to", 0, &to);
	if (code)
		return code;
	if (!x)
		return DAMAGED(b, "input 1 is missing");
	if (to != AD_ONNX_FLOAT && (x->kind == VALUE || (to != AD_ONNX_FLOAT16 && to != AD_ONNX_INT64 &&
							 to != AD_ONNX_INT32 && to != AD_ONNX_DOUBLE)))
		return REFUSE(b, "a cast %s to type %lld is not supported; activations are float32 throughout",
			      x->kind == VALUE ? "of an activation" : "of a constant", (long long)to);
	if (x->kind == VALUE) {
		becomes_value(b, x->value);
		return 0;
	}
	c = x->constant;
	if (to == AD_ONNX_INT64 || to == AD_ONNX_INT32) {
		int64_t *ints;

		code = widen(b, &c);
		if (code)
			return code;
		if (c.floats) {
			ints = ad_graph_alloc(b->g, c.count, sizeof(*ints), b->err);
			if (!ints)
				return ad_fail_code(b->err);
			for (i = 0; i < c.count; i++) {
				if (!(fabsf(c.floats[i]) < 0x1p31f))
					return DAMAGED(b, "%g is no whole number", (double)c.floats[i]);
				ints[i] = (int64_t)c.floats[i];
			}
			c.ints = ints;
			c.floats = NULL;
		}
	} else if (c.ints || (c.floats && to == AD_ONNX_FLOAT16)) {
		float *floats = ad_graph_alloc(b->g, c.count, sizeof(*floats), b->err);

		if (!floats)
			return ad_fail_code(b->err);
		for (i = 0; i < c.count; i++) {
			floats[i] = c.ints ? (float)c.ints[i] : c.floats[i];
			if (to == AD_ONNX_FLOAT16)
				floats[i] = ad_half_to_float(ad_float_to_half(floats[i]));
		}
		c.floats = floats;
		c.ints = NULL;
	}
	becomes_constant(b, &c);
	return 0;
}

static int import_constant(struct build *b)
{
	const Ad__AttributeProto *value, *one, *many;
	ad_constant c = {.rank = 0, .count = 1};
	float *floats;
	int64_t *ints;
	int code = attribute(b, "value", TYPE_TENSOR, "a tensor", &value);

	if (code)
		return code;
	if (value) {
		code = load_constant(b, value->t, b->onnx->tensors[b->result].name, &c);
		if (!code)
			becomes_constant(b, &c);
		return code;
	}
	code = attribute(b, "value_float", TYPE_FLOAT, "a float", &one);
	if (!code)
		code = attribute(b, "value_floats", TYPE_FLOATS, "a list of floats", &many);
	if (code)
		return code;
	if (one || many) {
		c.rank = !one;
		c.count = c.dims[0] = one ? 1 : many->n_floats;
		c.floats = floats = ad_graph_alloc(b->g, c.count, sizeof(*floats), b->err);
		if (!floats)
			return ad_fail_code(b->err);
		if (one)
			floats[0] = one->f;
		else if (c.count)
			memcpy(floats, many->floats, c.count * sizeof(*floats));
		becomes_constant(b, &c);
		return 0;
	}
	code = attribute(b, "value_int", TYPE_INT, "a whole number", &one);
	if (!code)
		code = attribute(b, "value_ints", TYPE_INTS, "a list of whole numbers", &many);
	if (code)
		return code;
	if (!one && !many)
		return REFUSE(b, "it holds neither a tensor nor numbers");
	c.rank = !one;
	c.count = c.dims[0] = one ? 1 : many->n_ints;
	c.ints = ints = ad_graph_alloc(b->g, c.count, sizeof(*ints), b->err);
	if (!ints)
		return ad_fail_code(b->err);
	if (one)
		ints[0] = one->i;
	else if (c.count)
		memcpy(ints, many->ints, c.count * sizeof(*ints));
	becomes_constant(b, &c);
	return 0;
}

static int import_concat(struct build *b)
{
	const ad_value *first;
	size_t dims[AD_RANK], i;
	int64_t axis;
	int *inputs, d;
	ad_node *node;
	int code = get_int(b, "axis", INT64_MAX, &axis);

	if (code)
		return code;
	if (axis == INT64_MAX)
		return DAMAGED(b, "attribute axis is missing");
	if (!b->n_reads)
		return DAMAGED(b, "it has no input");
	inputs = ad_malloc_array(b->n_reads, sizeof(*inputs));
	if (!inputs)
		return ad_fail_nomem(b->err);
	for (i = 0; i < b->n_reads && !code; i++)
		code = need_value(b, i, &inputs[i]);
	if (code)
		goto out;
	first = &b->g->values[inputs[0]];
	if (axis < -first->rank || axis >= first->rank) {
		code = DAMAGED(b, "there is no axis %lld", (long long)axis);
		goto out;
	}
	axis += axis < 0 ? first->rank : 0;
	memcpy(dims, first->dims, sizeof(dims));
	for (i = 1; i < b->n_reads; i++) {
		const ad_value *next = &b->g->values[inputs[i]];

		for (d = 0; d < first->rank; d++)
			if (next->rank != first->rank || (d != axis && next->dims[d] != first->dims[d])) {
				code = DAMAGED(b, "input %zu has another shape than the first", i + 1);
				goto out;
			}
		dims[axis] += next->dims[axis];
	}
	code = emit(b, AD_OP_CONCAT, inputs, b->n_reads, first->rank, dims, &node);
	if (!code)
		node->u.concat.axis = (int)axis;
out:
	ad_free(inputs);
	return code;
}

static int import_pad(struct build *b)
{
	const Ad__AttributeProto *mode, *attr = NULL;
	const ad_constant *input = NULL, *axes = NULL;
	const ad_value *x;
	const int64_t *pads;
	int64_t before[AD_RANK] = {0}, after[AD_RANK] = {0};
	size_t dims[AD_RANK], n, i;
	float value;
	ad_node *node;
	int source, rank, d;
	int code = need_value(b, 0, &source);

	if (!code)
		code = attribute(b, "mode", TYPE_STRING, "a string", &mode);
	if (code)
		return code;
	if (mode && !string_is(mode, "constant"))
		return REFUSE(b, "mode is '%.*s'; only constant is supported", mode->s.len > 32 ? 32 : (int)mode->s.len,
			      (const char *)mode->s.data);
	if (b->onnx->opset < 11) {
		code = attribute(b, "pads", TYPE_INTS, "a list of whole numbers", &attr);
		if (!code)
			code = get_float(b, "value", 0, &value);
		if (!code && !attr)
			code = DAMAGED(b, "attribute pads is missing");
	} else {
		code = need_constant(b, 1, 1, &input);
		if (!code)
			code = get_scalar(b, 2, 0, &value);
		if (!code && b->onnx->opset >= 18)
			code = get_constant(b, 3, 1, &axes);
	}
	if (code)
		return code;
	x = &b->g->values[source];
	rank = x->rank;
	pads = attr ? attr->ints : input->ints;
	n = attr ? attr->n_ints : input->count;
	if (n != 2 * (axes ? axes->count : (size_t)rank))
		return DAMAGED(b, "%zu pads for %zu dimensions", n, axes ? axes->count : (size_t)rank);
	n /= 2;
	for (i = 0; i < n; i++) {
		int64_t axis = axes ? axes->ints[i] + (axes->ints[i] < 0 ? rank : 0) : (int64_t)i;

		if (axis < 0 || axis >= rank)
			return DAMAGED(b, "there is no axis %lld", (long long)axis);
		if (pads[i] < -AD_MAX_WINDOW || pads[i] > AD_MAX_WINDOW || pads[n + i] < -AD_MAX_WINDOW ||
		    pads[n + i] > AD_MAX_WINDOW)
			return ad_fail(b->err, ADTOOL_ELIMIT, "a pad is larger than %d", AD_MAX_WINDOW);
		before[AD_RANK - rank + axis] += pads[i];
		after[AD_RANK - rank + axis] += pads[n + i];
	}
	for (d = 0; d < rank; d++) {
		int64_t size = (int64_t)x->dims[d] + before[AD_RANK - rank + d] + after[AD_RANK - rank + d];

		if (size < 1 || before[AD_RANK - rank + d] < -(int64_t)x->dims[d] ||
		    after[AD_RANK - rank + d] < -(int64_t)x->dims[d])
			return REFUSE(b, "it leaves nothing of dimension %d", d);
		dims[d] = (size_t)size;
	}
	for (d = 0; d < AD_RANK && !before[d] && !after[d]; d++)
		;
	if (d == AD_RANK)
		return import_identity(b);
	code = emit(b, AD_OP_PAD, &source, 1, rank, dims, &node);
	if (code)
		return code;
	memcpy(node->u.pad.before, before, sizeof(before));
	memcpy(node->u.pad.after, after, sizeof(after));
	node->u.pad.value = value;
	return 0;
}

/* The same elements under another shape, for values and constants. */
static int reshape(struct build *b, const struct known *x, int rank, const size_t *dims)
{
	ad_node *node;
	int i;

	if (x->kind == VALUE)
		return emit(b, AD_OP_RESHAPE, &x->value, 1, rank, dims, &node);
	{
		ad_constant c = x->constant;

		c.rank = rank;
		for (i = 0; i < rank; i++)
			c.dims[i] = dims[i];
		becomes_constant(b, &c);
	}
	return 0;
}

static int import_flatten(struct build *b)
{
	const struct known *x;
	const size_t *dims;
	int64_t axis, i;
	size_t flat[2] = {1, 1};
	int rank;
	int code = operand(b, 0, &x);

	if (!code)
		code = get_int(b, "axis", 1, &axis);
	if (code)
		return code;
	if (!x)
		return DAMAGED(b, "input 1 is missing");
	rank = x->kind == VALUE ? b->g->values[x->value].rank : x->constant.rank;
	dims = x->kind == VALUE ? b->g->values[x->value].dims : x->constant.dims;
	if (axis < -rank || axis > rank)
		return DAMAGED(b, "there is no axis %lld", (long long)axis);
	axis += axis < 0 ? rank : 0;
	for (i = 0; i < rank; i++)
		flat[i >= axis] *= dims[i];
	return reshape(b, x, 2, flat);
}

static int import_reshape(struct build *b)
{
	const struct known *x;
	const ad_constant *shape;
	const size_t *from;
	size_t dims[AD_RANK], count, known = 1;
	int64_t allow_zero;
	int rank, n_dims, open = -1, i;
	int code = operand(b, 0, &x);

	if (!code)
		code = need_constant(b, 1, 1, &shape);
	if (!code)
		code = get_int(b, "allowzero", 0, &allow_zero);
	if (code)
		return code;
	if (!x)
		return DAMAGED(b, "input 1 is missing");
	rank = x->kind == VALUE ? b->g->values[x->value].rank : x->constant.rank;
	from = x->kind == VALUE ? b->g->values[x->value].dims : x->constant.dims;
	count = x->kind == VALUE ? b->g->values[x->value].count : x->constant.count;
	if (shape->rank != 1 || shape->count > AD_RANK || (x->kind == VALUE && !shape->count))
		return REFUSE(b, "a shape of %zu dimensions; 1 to %d are supported", shape->count, AD_RANK);
	n_dims = (int)shape->count;
	for (i = 0; i < n_dims; i++) {
		int64_t n = shape->ints[i];

		if (n == 0 && !allow_zero) {
			if (i >= rank)
				return DAMAGED(b, "dimension %d is to be copied from an input of %d dimensions", i,
					       rank);
			n = (int64_t)from[i];
		}
		if (n == -1 && open < 0) {
			open = i;
			continue;
		}
		if (n < 1 || (uint64_t)n > AD_MAX_TENSOR / known)
			return DAMAGED(b, "dimension %d of the new shape is %lld", i, (long long)shape->ints[i]);
		dims[i] = (size_t)n;
		known *= (size_t)n;
	}
	if (open >= 0) {
		dims[open] = count / known;
		known *= dims[open];
	}
	if (known != count)
		return REFUSE(b, "%zu elements do not fit the new shape (for this size of input)", count);
	return reshape(b, x, n_dims, dims);
}

static int import_gemm(struct build *b)
{
	const ad_constant *w, *c;
	const ad_value *x;
	float alpha, beta, *weights, *bias = NULL;
	int64_t trans_a, trans_b;
	size_t m, n, k, i, j, dims[2];
	ad_node *node;
	int value, per_column;
	int code = need_value(b, 0, &value);

	if (!code)
		code = need_constant(b, 1, 0, &w);
	if (!code)
		code = get_constant(b, 2, 0, &c);
	if (!code)
		code = get_float(b, "alpha", 1, &alpha);
	if (!code)
		code = get_float(b, "beta", 1, &beta);
	if (!code)
		code = get_int(b, "transA", 0, &trans_a);
	if (!code)
		code = get_int(b, "transB", 0, &trans_b);
	if (code)
		return code;
	x = &b->g->values[value];
	if (x->rank != 2 || w->rank != 2)
		return REFUSE(b, "its operands have %d and %d dimensions; they must have 2", x->rank, w->rank);
	m = x->dims[trans_a ? 1 : 0];
	k = x->dims[trans_a ? 0 : 1];
	n = w->dims[trans_b ? 0 : 1];
	if (w->dims[trans_b ? 1 : 0] != k)
		return DAMAGED(b, "its operands do not fit: %zu columns and %zu rows", k, w->dims[trans_b ? 1 : 0]);
	if (c && beta == 0)
		c = NULL;
	per_column =
	    c && (c->count == 1 || (c->count == n && c->rank >= 1 && c->rank <= 2 && c->dims[c->rank - 1] == n));
	if (c && !per_column)
		return REFUSE(b, "its third operand must be one number or one for each of the %zu columns", n);
	weights = ad_graph_alloc(b->g, w->count, sizeof(*weights), b->err);
	if (weights && c)
		bias = ad_graph_alloc(b->g, n, sizeof(*bias), b->err);
	if (!weights || (c && !bias))
		return ad_fail_code(b->err);
	for (i = 0; i < n; i++) {
		for (j = 0; j < k; j++)
			weights[i * k + j] = alpha * w->floats[trans_b ? i * k + j : j * n + i];
		if (c)
			bias[i] = beta * c->floats[c->count == 1 ? 0 : i];
	}
	dims[0] = m;
	dims[1] = n;
	code = emit(b, AD_OP_GEMM, &value, 1, 2, dims, &node);
	if (code)
		return code;
	node->u.gemm = (ad_gemm_node){trans_a != 0, m, n, k, weights, bias};
	return 0;
}

/* -- all of them --------------------------------------------------------------------------------------- */

static const struct operator
{
	const char *type;
	int since; /* the first operator set in which it means what is done here */
	import_fn *import;
}
operators[] = {
    {"Add", 7, import_add},
    {"AveragePool", 7, import_average_pool},
    {"BatchNormalization", 7, import_batch_norm},
    {"Cast", 6, import_cast},
    {"Clip", 6, import_clip},
    {"Concat", 4, import_concat},
    {"Constant", 1, import_constant},
    {"Conv", 1, import_conv},
    {"Div", 7, import_div},
    {"Dropout", 7, import_dropout},
    {"Flatten", 1, import_flatten},
    {"Gemm", 7, import_gemm},
    {"GlobalAveragePool", 1, import_global_average},
    {"HardSigmoid", 6, import_hard_sigmoid},
    {"HardSwish", 14, import_hard_swish},
    {"Identity", 1, import_identity},
    {"LeakyRelu", 6, import_leaky},
    {"MaxPool", 1, import_max_pool},
    {"Mul", 7, import_mul},
    {"Pad", 2, import_pad},
    {"ReduceMean", 1, import_reduce_mean},
    {"Relu", 6, import_relu},
    {"Reshape", 5, import_reshape},
    {"Sigmoid", 6, import_sigmoid},
    {"Sub", 7, import_sub},
};

static int import_node(struct build *b, size_t index)
{
	const char *type, *domain;
	size_t i;

	b->node = b->onnx->graph->node[index];
	b->reads = b->onnx->reads + b->onnx->first[index];
	b->n_reads = b->onnx->first[index + 1] - b->onnx->first[index];
	b->result = b->node->n_output && *b->node->output[0] ? ad_onnx_find(b->onnx, b->node->output[0]) : -1;
	type = b->node->op_type ? b->node->op_type : "";
	domain = b->node->domain ? b->node->domain : "";
	if (*domain && strcmp(domain, "ai.onnx"))
		return REFUSE(b, "operators of the domain '%s' are not supported", domain);
	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		if (strcmp(operators[i].type, type))
			continue;
		if (b->onnx->opset < operators[i].since)
			return REFUSE(b, "it is supported from operator set %d on; this is %d", operators[i].since,
				      b->onnx->opset);
		if (b->result < 0)
			return DAMAGED(b, "it has no output");
		return operators[i].import(b);
	}
	return REFUSE(b, "this operator is not supported");
}

static int import_needed(struct build *b, const int *tensors, size_t count)
{
	const ad_onnx *onnx = b->onnx;
	uint8_t *needed = ad_malloc(onnx->n_tensors), *nodes = ad_malloc(onnx->graph->n_node);
	double work = 0, most = AD_FREE_WORK + AD_WORK_PER_INPUT * (double)b->g->values[b->g->input].count;
	size_t i;
	int code = 0;

	if (!needed || !nodes) {
		code = ad_fail_nomem(b->err);
		goto out;
	}
	ad_onnx_needs(onnx, tensors, count, needed, nodes);
	for (i = 0; i < onnx->n_tensors; i++) {
		size_t elements;

		if (!needed[i] || onnx->tensors[i].source != AD_FROM_INITIALIZER)
			continue;
		code = ad_onnx_count(onnx->graph->initializer[onnx->tensors[i].index], &elements, b->err);
		if (code)
			goto out;
		b->g->parameters += (int64_t)elements;
	}
	for (i = 0; i < onnx->graph->n_node; i++) {
		const Ad__NodeProto *node = onnx->graph->node[i];
		size_t before = b->g->n_nodes;

		if (!nodes[i])
			continue;
		code = import_node(b, i);
		if (!code && b->g->n_nodes > before)
			work += ad_node_work(b->g, &b->g->nodes[before]);
		if (!code && work > most)
			code = ad_fail(b->err, ADTOOL_ELIMIT,
				       "more than %g operations, too many for an input of this size", most);
		if (code) {
			ad_fail_within(b->err, code, "%s '%s'", node->op_type ? node->op_type : "node",
				       ad_onnx_node_name(node));
			goto out;
		}
	}
out:
	ad_free(needed);
	ad_free(nodes);
	return code;
}

/* The tensors that the layers' names mean; room for `count` of them. */
static int find_layers(const ad_onnx *onnx, const char *const *layers, size_t count, int *tensors, adtool_error *err)
{
	size_t i;

	for (i = 0; i < count; i++) {
		tensors[i] = ad_onnx_find(onnx, layers[i]);
		if (tensors[i] < 0)
			return ad_fail(err, ADTOOL_EINVAL, "there is no layer '%s'", layers[i]);
	}
	return 0;
}

int ad_graph_build(const ad_onnx *onnx, const char *const *layers, size_t count, const size_t shape[3], ad_graph **out,
		   adtool_error *err)
{
	adtool_error own;
	struct build b = {.onnx = onnx, .err = err ? err : &own};
	size_t dims[4] = {1, shape[0], shape[1], shape[2]}, i;
	int64_t channels = ad_onnx_picture_dim(onnx, 1);
	int *tensors = ad_malloc_array(count, sizeof(*tensors)), input;
	int code = tensors ? find_layers(onnx, layers, count, tensors, err) : ad_fail_nomem(err);

	if (!code && channels && (uint64_t)channels != shape[0])
		code = ad_fail(err, ADTOOL_EINVAL, "the input '%s' has %lld channels, not %zu",
			       onnx->tensors[onnx->picture].name, (long long)channels, shape[0]);
	if (code)
		goto out;
	b.g = ad_calloc(1, sizeof(*b.g));
	b.known = ad_calloc(onnx->n_tensors, sizeof(*b.known));
	if (!b.g || !b.known) {
		code = ad_fail_nomem(err);
		goto out;
	}
	b.g->most_bytes = AD_FREE_CONSTANTS + AD_CONSTANTS_PER_BYTE * onnx->size;
	code = ad_graph_add_value(b.g, onnx->tensors[onnx->picture].name, 4, dims, &input, b.err);
	if (code) {
		code = ad_fail(err, code, "an input of %zux%zu is not supported", shape[2], shape[1]);
		goto out;
	}
	b.known[onnx->picture] = (struct known){.kind = VALUE, .value = input};
	b.g->input = input;
	code = import_needed(&b, tensors, count);
	if (code)
		goto out;
	b.g->outputs = ad_graph_alloc(b.g, count, sizeof(*b.g->outputs), b.err);
	if (!b.g->outputs) {
		code = ad_fail_code(b.err);
		goto out;
	}
	for (i = 0; i < count; i++) {
		if (b.known[tensors[i]].kind != VALUE) {
			code = ad_fail(err, ADTOOL_EINVAL, "'%s' does not depend on the picture, so it is no layer",
				       layers[i]);
			goto out;
		}
		b.g->outputs[i] = b.known[tensors[i]].value;
	}
	b.g->n_outputs = count;
	code = ad_graph_optimise(b.g, b.err);
	if (code)
		goto out;
	*out = b.g;
	b.g = NULL;
out:
	ad_free(tensors);
	ad_free(b.known);
	ad_graph_free(b.g);
	return code;
}
