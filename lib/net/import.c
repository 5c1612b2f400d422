/* ONNX nodes -> graph: what is known of each tensor, and which operator a node is. */
#include "import.h"

#include "../base/fail.h"
#include "../base/mem.h"

/* -- attributes ---------------------------------------------------------------------------------------- */

int import_attribute(struct build *b, const char *name, int type, const char *type_name, const Ad__AttributeProto **out)
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

int import_get_float(struct build *b, const char *name, float missing, float *out)
{
	const Ad__AttributeProto *a;
	int code = import_attribute(b, name, TYPE_FLOAT, "a float", &a);

	if (code)
		return code;
	*out = a ? a->f : missing;
	return 0;
}

int import_get_int(struct build *b, const char *name, int64_t missing, int64_t *out)
{
	const Ad__AttributeProto *a;
	int code = import_attribute(b, name, TYPE_INT, "a whole number", &a);

	if (code)
		return code;
	*out = a ? a->i : missing;
	return 0;
}

int import_get_sizes(struct build *b, const char *name, size_t n, size_t least, size_t missing, size_t *out, int *given)
{
	const Ad__AttributeProto *a;
	int code = import_attribute(b, name, TYPE_INTS, "a list of whole numbers", &a);
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

int import_string_is(const Ad__AttributeProto *a, const char *text)
{
	return a->s.len == strlen(text) && !memcmp(a->s.data, text, a->s.len);
}

/* -- operands ------------------------------------------------------------------------------------------ */

int import_load_constant(struct build *b, const Ad__TensorProto *tensor, const char *name, ad_constant *out)
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

int import_widen(struct build *b, ad_constant *c)
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

int import_stored_operand(struct build *b, size_t i, struct known **out)
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
		code = import_load_constant(b, b->onnx->graph->initializer[tensor->index], tensor->name, &k->constant);
		if (code)
			return code;
		k->kind = CONSTANT;
	}
	*out = k;
	return 0;
}

int import_operand(struct build *b, size_t i, const struct known **out)
{
	struct known *k;
	int code = import_stored_operand(b, i, &k);

	*out = NULL;
	if (!code && k && k->kind == CONSTANT)
		code = import_widen(b, &k->constant);
	if (!code)
		*out = k;
	return code;
}

int import_need_operand(struct build *b, size_t i, const struct known **out)
{
	int code = import_operand(b, i, out);

	return code || *out ? code : DAMAGED(b, "input %zu is missing", i + 1);
}

int import_need_value(struct build *b, size_t i, int *value)
{
	const struct known *k;
	int code = import_need_operand(b, i, &k);

	if (code)
		return code;
	if (k->kind != VALUE)
		return REFUSE(b, "input %zu is a constant", i + 1);
	*value = k->value;
	return 0;
}

int import_get_constant(struct build *b, size_t i, int integer, const ad_constant **out)
{
	const struct known *k;
	int code = import_operand(b, i, &k);

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

int import_need_constant(struct build *b, size_t i, int integer, const ad_constant **out)
{
	int code = import_get_constant(b, i, integer, out);

	return code || *out ? code : DAMAGED(b, "input %zu is missing", i + 1);
}

int import_need_weights(struct build *b, size_t i, const ad_constant **out)
{
	struct known *k;
	int code = import_stored_operand(b, i, &k);

	if (code)
		return code;
	if (k && k->kind == CONSTANT && k->constant.halves)
		*out = &k->constant;
	else
		code = import_need_constant(b, i, 0, out);
	return code;
}

int import_get_scalar(struct build *b, size_t i, float missing, float *out)
{
	const ad_constant *c;
	int code = import_get_constant(b, i, 0, &c);

	if (code)
		return code;
	if (c && c->count != 1)
		return DAMAGED(b, "input %zu has %zu elements instead of one", i + 1, c->count);
	*out = c ? c->floats[0] : missing;
	return 0;
}

int import_need_image(struct build *b, int *value)
{
	int code = import_need_value(b, 0, value);
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

void import_becomes_value(struct build *b, int value)
{
	b->known[b->result] = (struct known){.kind = VALUE, .value = value};
}

void import_becomes_constant(struct build *b, const ad_constant *constant)
{
	b->known[b->result] = (struct known){.kind = CONSTANT, .constant = *constant};
	b->known[b->result].constant.name = b->onnx->tensors[b->result].name;
}

int import_emit(struct build *b, enum ad_op op, const int *inputs, size_t n, int rank, const size_t *dims,
		ad_node **out)
{
	int value;
	int code = ad_graph_add_value(b->g, b->onnx->tensors[b->result].name, rank, dims, &value, b->err);

	if (code)
		return code;
	*out = ad_graph_add_node(b->g, op, ad_onnx_node_name(b->node), b->node->op_type, inputs, n, value, b->err);
	if (!*out)
		return ad_fail_code(b->err);
	import_becomes_value(b, value);
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
