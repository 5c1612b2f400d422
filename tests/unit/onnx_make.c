#include "onnx_make.h"

#include <assert.h>

#include "../../lib/net/onnx.h"

struct om {
	Ad__ModelProto model;
	Ad__GraphProto graph;
	void **blocks;
	size_t n_blocks;
};

void *om_alloc(om *m, size_t size)
{
	void *block = calloc(1, size ? size : 1);

	m->blocks = realloc(m->blocks, (m->n_blocks + 1) * sizeof(*m->blocks));
	assert(block && m->blocks);
	m->blocks[m->n_blocks++] = block;
	return block;
}

char *om_text(om *m, const char *text)
{
	return memcpy(om_alloc(m, strlen(text) + 1), text, strlen(text) + 1);
}

/* Appends to a repeated field. */
static void append(om *m, void *array, size_t *n, void *item)
{
	void ***list = array, **longer = om_alloc(m, (*n + 1) * sizeof(*longer));

	if (*n)
		memcpy(longer, *list, *n * sizeof(*longer));
	longer[(*n)++] = item;
	*list = longer;
}

om *om_new(int opset)
{
	om *m = calloc(1, sizeof(*m));
	Ad__OperatorSetIdProto *set;

	assert(m);
	ad__model_proto__init(&m->model);
	ad__graph_proto__init(&m->graph);
	m->model.graph = &m->graph;
	m->model.has_ir_version = 1;
	m->model.ir_version = 7;
	m->graph.name = om_text(m, "test");
	set = om_alloc(m, sizeof(*set));
	ad__operator_set_id_proto__init(set);
	set->domain = om_text(m, "");
	set->has_version = 1;
	set->version = opset;
	append(m, &m->model.opset_import, &m->model.n_opset_import, set);
	return m;
}

void om_free(om *m)
{
	size_t i;

	for (i = 0; i < m->n_blocks; i++)
		free(m->blocks[i]);
	free(m->blocks);
	free(m);
}

static Ad__ValueInfoProto *value_info(om *m, const char *name)
{
	Ad__ValueInfoProto *info = om_alloc(m, sizeof(*info));

	ad__value_info_proto__init(info);
	info->name = om_text(m, name);
	info->type = om_alloc(m, sizeof(*info->type));
	ad__type_proto__init(info->type);
	info->type->tensor_type = om_alloc(m, sizeof(*info->type->tensor_type));
	ad__tensor_type_proto__init(info->type->tensor_type);
	info->type->tensor_type->has_elem_type = 1;
	info->type->tensor_type->elem_type = AD_ONNX_FLOAT;
	return info;
}

void om_input(om *m, int64_t c)
{
	static const char *const open[4] = {"n", NULL, "h", "w"};
	Ad__ValueInfoProto *info = value_info(m, "x");
	Ad__ShapeProto *shape = om_alloc(m, sizeof(*shape));
	int i;

	ad__shape_proto__init(shape);
	for (i = 0; i < 4; i++) {
		Ad__DimensionProto *dim = om_alloc(m, sizeof(*dim));

		ad__dimension_proto__init(dim);
		if (open[i]) {
			dim->dim_param = om_text(m, open[i]);
		} else {
			dim->has_dim_value = 1;
			dim->dim_value = c;
		}
		append(m, &shape->dim, &shape->n_dim, dim);
	}
	info->type->tensor_type->shape = shape;
	append(m, &m->graph.input, &m->graph.n_input, info);
}

void om_output(om *m, const char *name)
{
	append(m, &m->graph.output, &m->graph.n_output, value_info(m, name));
}

static Ad__TensorProto *tensor(om *m, const char *name, int type, size_t size, const void *data, const int64_t *dims)
{
	Ad__TensorProto *t = om_alloc(m, sizeof(*t));
	size_t count = 1;

	ad__tensor_proto__init(t);
	t->name = om_text(m, name);
	t->has_data_type = 1;
	t->data_type = type;
	while (dims[t->n_dims] >= 0)
		count *= (size_t)dims[t->n_dims++];
	t->dims = memcpy(om_alloc(m, t->n_dims * sizeof(*dims)), dims, t->n_dims * sizeof(*dims));
	t->has_raw_data = 1;
	t->raw_data.len = count * size;
	t->raw_data.data = om_alloc(m, count * size);
	if (data)
		memcpy(t->raw_data.data, data, count * size);
	return t;
}

Ad__TensorProto *om_floats(om *m, const char *name, const float *data, const int64_t *dims)
{
	Ad__TensorProto *t = tensor(m, name, AD_ONNX_FLOAT, 4, data, dims);

	append(m, &m->graph.initializer, &m->graph.n_initializer, t);
	return t;
}

Ad__TensorProto *om_ints(om *m, const char *name, const int64_t *data, const int64_t *dims)
{
	Ad__TensorProto *t = tensor(m, name, AD_ONNX_INT64, 8, data, dims);

	append(m, &m->graph.initializer, &m->graph.n_initializer, t);
	return t;
}

Ad__TensorProto *om_halves(om *m, const char *name, const float *data, const int64_t *dims)
{
	Ad__TensorProto *t = tensor(m, name, AD_ONNX_FLOAT16, 2, NULL, dims);
	size_t i;

	for (i = 0; i < t->raw_data.len / 2; i++) {
		uint16_t half = ad_float_to_half(data[i]);

		memcpy(t->raw_data.data + 2 * i, &half, 2);
	}
	append(m, &m->graph.initializer, &m->graph.n_initializer, t);
	return t;
}

static void names(om *m, const char *text, char ***list, size_t *n)
{
	while (*text) {
		size_t length = strcspn(text, " ");
		char *name = om_alloc(m, length + 1);

		memcpy(name, text, length);
		append(m, list, n, strcmp(name, "-") ? name : om_text(m, ""));
		text += length + (text[length] == ' ');
	}
}

Ad__NodeProto *om_node(om *m, const char *type, const char *name, const char *inputs, const char *outputs)
{
	Ad__NodeProto *node = om_alloc(m, sizeof(*node));

	ad__node_proto__init(node);
	node->op_type = om_text(m, type);
	node->name = om_text(m, name);
	names(m, inputs, &node->input, &node->n_input);
	names(m, outputs, &node->output, &node->n_output);
	append(m, &m->graph.node, &m->graph.n_node, node);
	return node;
}

static Ad__AttributeProto *attribute(om *m, Ad__NodeProto *node, const char *name, int type)
{
	Ad__AttributeProto *a = om_alloc(m, sizeof(*a));

	ad__attribute_proto__init(a);
	a->name = om_text(m, name);
	a->has_type = 1;
	a->type = type;
	append(m, &node->attribute, &node->n_attribute, a);
	return a;
}

void om_int(om *m, Ad__NodeProto *node, const char *name, int64_t value)
{
	Ad__AttributeProto *a = attribute(m, node, name, 2);

	a->has_i = 1;
	a->i = value;
}

void om_float(om *m, Ad__NodeProto *node, const char *name, float value)
{
	Ad__AttributeProto *a = attribute(m, node, name, 1);

	a->has_f = 1;
	a->f = value;
}

void om_string(om *m, Ad__NodeProto *node, const char *name, const char *value)
{
	Ad__AttributeProto *a = attribute(m, node, name, 3);

	a->has_s = 1;
	a->s.len = strlen(value);
	a->s.data = (uint8_t *)om_text(m, value);
}

void om_int_list(om *m, Ad__NodeProto *node, const char *name, size_t n, const int64_t *values)
{
	Ad__AttributeProto *a = attribute(m, node, name, 7);

	a->n_ints = n;
	a->ints = memcpy(om_alloc(m, n * sizeof(*values)), values, n * sizeof(*values));
}

void om_float_list(om *m, Ad__NodeProto *node, const char *name, size_t n, const float *values)
{
	Ad__AttributeProto *a = attribute(m, node, name, 6);

	a->n_floats = n;
	a->floats = memcpy(om_alloc(m, n * sizeof(*values)), values, n * sizeof(*values));
}

Ad__TensorProto *om_tensor(om *m, Ad__NodeProto *node, const char *name, const float *data, const int64_t *dims)
{
	Ad__AttributeProto *a = attribute(m, node, name, 4);

	a->t = tensor(m, name, AD_ONNX_FLOAT, 4, data, dims);
	return a->t;
}

void om_metadata(om *m, const char *key, const char *value)
{
	Ad__StringStringEntryProto *entry = om_alloc(m, sizeof(*entry));

	ad__string_string_entry_proto__init(entry);
	entry->key = om_text(m, key);
	entry->value = om_text(m, value);
	append(m, &m->model.metadata_props, &m->model.n_metadata_props, entry);
}

void om_many(om *m, const float *w)
{
	static const float v[] = {1, 2};
	Ad__NodeProto *node;

	om_input(m, 2);
	om_floats(m, "w", w, DIMS(2, 2, 3, 3));
	om_halves(m, "d", w, DIMS(2, 1, 2, 2));
	om_floats(m, "v", v, DIMS(2));
	om_floats(m, "low", w + 2, (const int64_t[]){-1});
	om_ints(m, "pads", DIMS(0, 0, 1, 0, 0, 0, 0, 1), DIMS(8));
	om_ints(m, "shape", DIMS(1, -1), DIMS(2));
	node = om_node(m, "Conv", "conv", "x w v", "c");
	om_int_list(m, node, "pads", LIST(1, 1, 1, 1));
	om_int_list(m, node, "kernel_shape", LIST(3, 3));
	om_node(m, "Add", "add", "c x", "a");
	om_node(m, "Clip", "clip", "a low -", "r");
	node = om_node(m, "Cast", "cast", "d", "f");
	om_int(m, node, "to", 1);
	node = om_node(m, "Conv", "depthwise", "r f", "e");
	om_int(m, node, "group", 2);
	om_string(m, node, "auto_pad", "SAME_UPPER");
	om_node(m, "BatchNormalization", "bn", "e v v v v", "n");
	node = om_node(m, "MaxPool", "pool", "n", "p");
	om_int_list(m, node, "kernel_shape", LIST(2, 2));
	om_int_list(m, node, "strides", LIST(2, 2));
	om_int(m, node, "ceil_mode", 1);
	om_node(m, "Pad", "pad", "p pads", "q");
}

Ad__ModelProto *om_model(om *m)
{
	return &m->model;
}

const uint8_t *om_bytes(om *m, size_t *size)
{
	uint8_t *bytes;

	*size = ad__model_proto__get_packed_size(&m->model);
	bytes = om_alloc(m, *size);
	ad__model_proto__pack(&m->model, bytes);
	return bytes;
}
