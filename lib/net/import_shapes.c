/* Operators of ONNX that move, repeat or reshape, and the matrix product. */
#include "import.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

int import_identity(struct build *b)
{
	const struct known *x;
	int code = import_need_operand(b, 0, &x);

	if (code)
		return code;
	if (x->kind == VALUE)
		import_becomes_value(b, x->value);
	else
		import_becomes_constant(b, &x->constant);
	return 0;
}

int import_dropout(struct build *b)
{
	const ad_constant *training = NULL;
	int code = b->onnx->opset >= 12 ? import_get_constant(b, 2, 1, &training) : 0;

	if (code)
		return code;
	if (training && (training->count != 1 || training->ints[0]))
		return REFUSE(b, "training_mode is set");
	return import_identity(b);
}

int import_cast(struct build *b)
{
	struct known *x;
	int64_t to;
	ad_constant c;
	size_t i;
	int code = import_stored_operand(b, 0, &x);

	if (!code)
		code = import_get_int(b, "to", 0, &to);
	if (code)
		return code;
	if (!x)
		return DAMAGED(b, "input 1 is missing");
	if (to != AD_ONNX_FLOAT && (x->kind == VALUE || (to != AD_ONNX_FLOAT16 && to != AD_ONNX_INT64 &&
							 to != AD_ONNX_INT32 && to != AD_ONNX_DOUBLE)))
		return REFUSE(b, "a cast %s to type %lld is not supported; activations are float32 throughout",
			      x->kind == VALUE ? "of an activation" : "of a constant", (long long)to);
	if (x->kind == VALUE) {
		import_becomes_value(b, x->value);
		return 0;
	}
	c = x->constant;
	if (to == AD_ONNX_INT64 || to == AD_ONNX_INT32) {
		int64_t *ints;

		code = import_widen(b, &c);
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
	import_becomes_constant(b, &c);
	return 0;
}

int import_constant(struct build *b)
{
	const Ad__AttributeProto *value, *one, *many;
	ad_constant c = {.rank = 0, .count = 1};
	float *floats;
	int64_t *ints;
	int code = import_attribute(b, "value", TYPE_TENSOR, "a tensor", &value);

	if (code)
		return code;
	if (value) {
		code = import_load_constant(b, value->t, b->onnx->tensors[b->result].name, &c);
		if (!code)
			import_becomes_constant(b, &c);
		return code;
	}
	code = import_attribute(b, "value_float", TYPE_FLOAT, "a float", &one);
	if (!code)
		code = import_attribute(b, "value_floats", TYPE_FLOATS, "a list of floats", &many);
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
		import_becomes_constant(b, &c);
		return 0;
	}
	code = import_attribute(b, "value_int", TYPE_INT, "a whole number", &one);
	if (!code)
		code = import_attribute(b, "value_ints", TYPE_INTS, "a list of whole numbers", &many);
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
	import_becomes_constant(b, &c);
	return 0;
}

int import_concat(struct build *b)
{
	const ad_value *first;
	size_t dims[AD_RANK], i;
	int64_t axis;
	int *inputs, d;
	ad_node *node;
	int code = import_get_int(b, "axis", INT64_MAX, &axis);

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
		code = import_need_value(b, i, &inputs[i]);
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
	code = import_emit(b, AD_OP_CONCAT, inputs, b->n_reads, first->rank, dims, &node);
	if (!code)
		node->u.concat.axis = (int)axis;
out:
	ad_free(inputs);
	return code;
}

int import_pad(struct build *b)
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
	int code = import_need_value(b, 0, &source);

	if (!code)
		code = import_attribute(b, "mode", TYPE_STRING, "a string", &mode);
	if (code)
		return code;
	if (mode && !import_string_is(mode, "constant"))
		return REFUSE(b, "mode is '%.*s'; only constant is supported", mode->s.len > 32 ? 32 : (int)mode->s.len,
			      (const char *)mode->s.data);
	if (b->onnx->opset < 11) {
		code = import_attribute(b, "pads", TYPE_INTS, "a list of whole numbers", &attr);
		if (!code)
			code = import_get_float(b, "value", 0, &value);
		if (!code && !attr)
			code = DAMAGED(b, "attribute pads is missing");
	} else {
		code = import_need_constant(b, 1, 1, &input);
		if (!code)
			code = import_get_scalar(b, 2, 0, &value);
		if (!code && b->onnx->opset >= 18)
			code = import_get_constant(b, 3, 1, &axes);
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
	code = import_emit(b, AD_OP_PAD, &source, 1, rank, dims, &node);
	if (code)
		return code;
	memcpy(node->u.pad.before, before, sizeof(before));
	memcpy(node->u.pad.after, after, sizeof(after));
	node->u.pad.value = value;
	return 0;
}

static int shape_of(const struct build *b, const struct known *x, const size_t **dims, size_t *count)
{
	const ad_value *value = x->kind == VALUE ? &b->g->values[x->value] : NULL;

	*dims = value ? value->dims : x->constant.dims;
	*count = value ? value->count : x->constant.count;
	return value ? value->rank : x->constant.rank;
}

/* The same elements under another shape, for values and constants. */
static int reshape(struct build *b, const struct known *x, int rank, const size_t *dims)
{
	ad_node *node;
	int i;

	if (x->kind == VALUE)
		return import_emit(b, AD_OP_RESHAPE, &x->value, 1, rank, dims, &node);
	{
		ad_constant c = x->constant;

		c.rank = rank;
		for (i = 0; i < rank; i++)
			c.dims[i] = dims[i];
		import_becomes_constant(b, &c);
	}
	return 0;
}

int import_flatten(struct build *b)
{
	const struct known *x;
	const size_t *dims;
	int64_t axis, i;
	size_t flat[2] = {1, 1}, count;
	int rank;
	int code = import_need_operand(b, 0, &x);

	if (!code)
		code = import_get_int(b, "axis", 1, &axis);
	if (code)
		return code;
	rank = shape_of(b, x, &dims, &count);
	if (axis < -rank || axis > rank)
		return DAMAGED(b, "there is no axis %lld", (long long)axis);
	axis += axis < 0 ? rank : 0;
	for (i = 0; i < rank; i++)
		flat[i >= axis] *= dims[i];
	return reshape(b, x, 2, flat);
}

int import_reshape(struct build *b)
{
	const struct known *x;
	const ad_constant *shape;
	const size_t *from;
	size_t dims[AD_RANK], count, known = 1;
	int64_t allow_zero;
	int rank, n_dims, open = -1, i;
	int code = import_need_operand(b, 0, &x);

	if (!code)
		code = import_need_constant(b, 1, 1, &shape);
	if (!code)
		code = import_get_int(b, "allowzero", 0, &allow_zero);
	if (code)
		return code;
	rank = shape_of(b, x, &from, &count);
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

int import_gemm(struct build *b)
{
	const ad_constant *w, *c;
	const ad_value *x;
	float alpha, beta, *weights, *bias = NULL;
	int64_t trans_a, trans_b;
	size_t m, n, k, i, j, dims[2];
	ad_node *node;
	int value, per_column;
	int code = import_need_value(b, 0, &value);

	if (!code)
		code = import_need_constant(b, 1, 0, &w);
	if (!code)
		code = import_get_constant(b, 2, 0, &c);
	if (!code)
		code = import_get_float(b, "alpha", 1, &alpha);
	if (!code)
		code = import_get_float(b, "beta", 1, &beta);
	if (!code)
		code = import_get_int(b, "transA", 0, &trans_a);
	if (!code)
		code = import_get_int(b, "transB", 0, &trans_b);
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
	code = import_emit(b, AD_OP_GEMM, &value, 1, 2, dims, &node);
	if (code)
		return code;
	node->u.gemm = (ad_gemm_node){trans_a != 0, m, n, k, weights, bias};
	return 0;
}
