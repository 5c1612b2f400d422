/* Operators of ONNX that slide a window over a picture, or take it whole. */
#include "import.h"

#include "../base/fail.h"

/* Reads stride, dilation, padding for a window whose kernel is set, and finds the output's size. */
static int import_window(struct build *b, const ad_value *x, ad_window *w, size_t out[2])
{
	const Ad__AttributeProto *automatic;
	int64_t ceiling;
	int code, axis;

	code = import_get_sizes(b, "strides", 2, 1, 1, w->stride, NULL);
	if (!code)
		code = import_get_sizes(b, "dilations", 2, 1, 1, w->dilation, NULL);
	if (!code)
		code = import_get_sizes(b, "pads", 4, 0, 0, w->pads, NULL);
	if (!code)
		code = import_attribute(b, "auto_pad", TYPE_STRING, "a string", &automatic);
	if (!code)
		code = import_get_int(b, "ceil_mode", 0, &ceiling);
	if (code)
		return code;
	for (axis = 0; axis < 2; axis++) {
		size_t in = x->dims[2 + axis], reach = (w->kernel[axis] - 1) * w->dilation[axis] + 1;
		size_t *before = &w->pads[axis], *after = &w->pads[2 + axis], stride = w->stride[axis], padded;

		if (automatic &&
		    (import_string_is(automatic, "SAME_UPPER") || import_string_is(automatic, "SAME_LOWER"))) {
			size_t covered, total;

			out[axis] = (in + stride - 1) / stride;
			covered = (out[axis] - 1) * stride + reach;
			total = covered > in ? covered - in : 0;
			*before = import_string_is(automatic, "SAME_UPPER") ? total / 2 : total - total / 2;
			*after = total - *before;
			continue;
		}
		if (automatic && import_string_is(automatic, "VALID"))
			*before = *after = 0;
		else if (automatic && !import_string_is(automatic, "NOTSET"))
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

int import_conv(struct build *b)
{
	const ad_constant *weights, *bias;
	const ad_value *x;
	ad_window window;
	int64_t groups;
	size_t dims[4] = {1, 0, 0, 0};
	ad_node *node;
	int value, given;
	int code = import_need_image(b, &value);

	if (!code)
		code = import_need_weights(b, 1, &weights);
	if (!code)
		code = import_get_constant(b, 2, 0, &bias);
	if (!code)
		code = import_get_int(b, "group", 1, &groups);
	if (code)
		return code;
	x = &b->g->values[value];
	if (weights->rank != 4 || !weights->count)
		return REFUSE(
		    b,
		    "its weights have %d dimensions and %zu elements; only two-dimensional convolutions are supported",
		    weights->rank, weights->count);
	code = import_get_sizes(b, "kernel_shape", 2, 1, 1, window.kernel, &given);
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
	code = import_emit(b, AD_OP_CONV, &value, 1, 4, dims, &node);
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
	int code = import_need_image(b, &value);

	if (!code)
		code = import_get_sizes(b, "kernel_shape", 2, 1, 1, window.kernel, &given);
	if (!code)
		code = import_get_int(b, "count_include_pad", 0, &count_padding);
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
	code = import_emit(b, op, &value, 1, 4, dims, &node);
	if (code)
		return code;
	node->u.pool = (ad_pool_node){window, count_padding != 0};
	return 0;
}

int import_max_pool(struct build *b)
{
	return import_pool(b, AD_OP_MAX_POOL);
}

int import_average_pool(struct build *b)
{
	return import_pool(b, AD_OP_AVERAGE_POOL);
}

static int emit_global(struct build *b, int value, int keep)
{
	size_t dims[4] = {1, b->g->values[value].dims[1], 1, 1};
	ad_node *node;

	return import_emit(b, AD_OP_GLOBAL_AVERAGE, &value, 1, keep ? 4 : 2, dims, &node);
}

int import_global_average(struct build *b)
{
	int value;
	int code = import_need_image(b, &value);

	return code ? code : emit_global(b, value, 1);
}

int import_reduce_mean(struct build *b)
{
	const Ad__AttributeProto *attr;
	const ad_constant *input = NULL;
	const int64_t *axes = NULL;
	int64_t keep;
	size_t n = 0, i;
	unsigned seen = 0;
	int value;
	int code = import_need_image(b, &value);

	if (!code)
		code = import_attribute(b, "axes", TYPE_INTS, "a list of whole numbers", &attr);
	if (!code && b->onnx->opset >= 18)
		code = import_get_constant(b, 1, 1, &input);
	if (!code)
		code = import_get_int(b, "keepdims", 1, &keep);
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
