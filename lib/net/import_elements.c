/* Operators of ONNX that work element by element. */
#include "import.h"

#include <math.h>

#include "../base/fail.h"

static int emit_unary(struct build *b, ad_activation activation)
{
	const struct known *x;
	ad_node *node;
	int code = import_need_operand(b, 0, &x);

	if (code)
		return code;
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
		import_becomes_constant(b, &c);
		return 0;
	}
	code =
	    import_emit(b, AD_OP_UNARY, &x->value, 1, b->g->values[x->value].rank, b->g->values[x->value].dims, &node);
	if (!code)
		node->activation = activation;
	return code;
}

int import_relu(struct build *b)
{
	return emit_unary(b, (ad_activation){AD_ACT_RELU, 0, 0});
}

int import_sigmoid(struct build *b)
{
	return emit_unary(b, (ad_activation){AD_ACT_SIGMOID, 0, 0});
}

int import_hard_swish(struct build *b)
{
	return emit_unary(b, (ad_activation){AD_ACT_HARDSWISH, 1.0f / 6, 0.5f});
}

int import_leaky(struct build *b)
{
	ad_activation activation = {AD_ACT_LEAKY, 0, 0};
	int code = import_get_float(b, "alpha", 0.01f, &activation.a);

	return code ? code : emit_unary(b, activation);
}

int import_hard_sigmoid(struct build *b)
{
	ad_activation activation = {AD_ACT_HARDSIGMOID, 0, 0};
	int code = import_get_float(b, "alpha", 0.2f, &activation.a);

	if (!code)
		code = import_get_float(b, "beta", 0.5f, &activation.b);
	return code ? code : emit_unary(b, activation);
}

int import_clip(struct build *b)
{
	ad_activation activation = {AD_ACT_CLIP, 0, 0};
	int code;

	if (b->onnx->opset < 11) {
		code = import_get_float(b, "min", -INFINITY, &activation.a);
		if (!code)
			code = import_get_float(b, "max", INFINITY, &activation.b);
	} else {
		code = import_get_scalar(b, 1, -INFINITY, &activation.a);
		if (!code)
			code = import_get_scalar(b, 2, INFINITY, &activation.b);
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
	int code = import_emit(b, AD_OP_SCALE, &value, 1, b->g->values[value].rank, b->g->values[value].dims, &node);

	if (!code) {
		node->u.scale.scale = scale;
		node->u.scale.shift = shift;
	}
	return code;
}

int import_batch_norm(struct build *b)
{
	static const char *const parts[4] = {"scale", "bias", "mean", "variance"};
	const ad_constant *c[4];
	const ad_value *x;
	float epsilon, *scale, *shift;
	int64_t training, spatial;
	size_t i;
	int value;
	int code = import_need_value(b, 0, &value);

	for (i = 0; i < 4 && !code; i++)
		code = import_need_constant(b, 1 + i, 0, &c[i]);
	if (!code)
		code = import_get_float(b, "epsilon", 1e-5f, &epsilon);
	if (!code)
		code = import_get_int(b, "training_mode", 0, &training);
	if (!code)
		code = import_get_int(b, "spatial", 1, &spatial);
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
	import_becomes_constant(b, &z);
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
		code = import_emit(b, AD_OP_BINARY, &value, 1, rank, dims, &node);
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
	int code = import_need_operand(b, 0, &x);

	if (!code)
		code = import_need_operand(b, 1, &y);
	if (code)
		return code;
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
		code = import_emit(b, AD_OP_BINARY, inputs, 2, rank, dims, &node);
	if (!code)
		node->u.binary = (ad_binary_node){.op = op};
	return code;
}

int import_add(struct build *b)
{
	return import_binary(b, AD_ADD);
}

int import_sub(struct build *b)
{
	return import_binary(b, AD_SUB);
}

int import_mul(struct build *b)
{
	return import_binary(b, AD_MUL);
}

int import_div(struct build *b)
{
	return import_binary(b, AD_DIV);
}
