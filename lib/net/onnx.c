#include "onnx.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "wire.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ONNX files are little-endian, and are read in place");

/* -- taking the weights out ---------------------------------------------------------------------------- */

enum message { MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR, MESSAGES };

enum action {
	KEEP,      /* copy the field as it stands */
	DESCEND,   /* a message with fields of its own to sort out */
	DESCEND_1, /* the same, at most once in its message */
	PLACE      /* leave the contents in the file, note where they are */
};

static const struct rule {
	uint32_t number;
	enum action action;
	enum message message;
	uint32_t offset_field, size_field;
} rules[MESSAGES][12] = {
    [MODEL] = {{1, KEEP, 0, 0, 0}, {7, DESCEND_1, GRAPH, 0, 0}, {8, KEEP, 0, 0, 0}, {14, KEEP, 0, 0, 0}},
    [GRAPH] = {{1, DESCEND, NODE, 0, 0},
	       {2, KEEP, 0, 0, 0},
	       {5, DESCEND, TENSOR, 0, 0},
	       {11, KEEP, 0, 0, 0},
	       {12, KEEP, 0, 0, 0}},
    [NODE] = {{1, KEEP, 0, 0, 0},
	      {2, KEEP, 0, 0, 0},
	      {3, KEEP, 0, 0, 0},
	      {4, KEEP, 0, 0, 0},
	      {5, DESCEND, ATTRIBUTE, 0, 0},
	      {7, KEEP, 0, 0, 0}},
    [ATTRIBUTE] = {{1, KEEP, 0, 0, 0},
		   {2, KEEP, 0, 0, 0},
		   {3, KEEP, 0, 0, 0},
		   {4, KEEP, 0, 0, 0},
		   {5, DESCEND_1, TENSOR, 0, 0},
		   {7, KEEP, 0, 0, 0},
		   {8, KEEP, 0, 0, 0},
		   {20, KEEP, 0, 0, 0}},
    [TENSOR] = {{1, KEEP, 0, 0, 0},
		{2, KEEP, 0, 0, 0},
		{4, PLACE, 0, 1003, 1004},
		{5, KEEP, 0, 0, 0},
		{7, KEEP, 0, 0, 0},
		{8, KEEP, 0, 0, 0},
		{9, PLACE, 0, 1001, 1002},
		{10, KEEP, 0, 0, 0},
		{14, KEEP, 0, 0, 0}},
};

static const struct rule *find_rule(enum message message, uint32_t number)
{
	size_t i;

	for (i = 0; i < sizeof(rules[0]) / sizeof(rules[0][0]) && rules[message][i].number; i++)
		if (rules[message][i].number == number)
			return &rules[message][i];
	return NULL;
}

struct strip {
	const uint8_t *bytes;
	size_t nodes;
	ad_buf out;
	adtool_error *err;
};

static int malformed(adtool_error *err)
{
	return ad_fail(err, ADTOOL_EFORMAT, "not an ONNX file, or a damaged one");
}

/* Copies the message at bytes[start .. start + size - 1] without its weights. Messages nest at most five deep. */
static int strip(struct strip *s, enum message message, size_t start, size_t size)
{
	ad_wire wire = {s->bytes + start, size, 0};
	ad_wire_field field;
	uint32_t once = 0;
	int got, code;

	while ((got = ad_wire_next(&wire, &field)) > 0) {
		const struct rule *rule = find_rule(message, field.number);
		size_t begun;

		if (!rule)
			continue;
		if (s->out.size > AD_ONNX_MAX_STRUCTURE ||
		    (field.length > AD_ONNX_MAX_STRUCTURE && rule->action == KEEP))
			return ad_fail(s->err, ADTOOL_ELIMIT, "more than %zu MiB of graph beside the weights",
				       AD_ONNX_MAX_STRUCTURE >> 20);
		if (message == GRAPH && field.number == 1 && ++s->nodes > AD_ONNX_MAX_NODES)
			return ad_fail(s->err, ADTOOL_ELIMIT, "more than %u nodes", AD_ONNX_MAX_NODES);
		if (rule->action == KEEP || (rule->action == PLACE && field.type != AD_WIRE_BYTES)) {
			ad_buf_add(&s->out, wire.data + field.start, wire.at - field.start);
			continue;
		}
		if (field.type != AD_WIRE_BYTES)
			return malformed(s->err);
		if (rule->action != DESCEND && once & 1u << field.number)
			return ad_fail(s->err, ADTOOL_EFORMAT, "damaged ONNX file: field %u of a message comes twice",
				       field.number);
		once |= rule->action != DESCEND ? 1u << field.number : 0;
		if (rule->action == PLACE) {
			ad_wire_put_uint(&s->out, rule->offset_field, start + field.payload);
			ad_wire_put_uint(&s->out, rule->size_field, field.length);
			continue;
		}
		begun = ad_wire_begin(&s->out, field.number);
		code = strip(s, rule->message, start + field.payload, field.length);
		if (code)
			return code;
		ad_wire_end(&s->out, begun);
	}
	if (got < 0)
		return malformed(s->err);
	return s->out.failed ? ad_fail_nomem(s->err) : 0;
}

static void *budget_alloc(void *data, size_t size)
{
	ad_onnx *onnx = data;
	void *block;

	if (size > onnx->budget) {
		onnx->exhausted = 1;
		return NULL;
	}
	onnx->budget -= size;
	block = ad_malloc(size);
	onnx->starved |= !block;
	return block;
}

static void budget_free(void *data, void *block)
{
	(void)data;
	ad_free(block);
}

static int parse(ad_onnx *onnx, adtool_error *err)
{
	struct strip s = {.bytes = onnx->bytes, .err = err};
	int code = strip(&s, MODEL, 0, onnx->size);

	if (code)
		goto out;
	onnx->budget = AD_ONNX_MAX_MEMORY;
	onnx->allocator = (ProtobufCAllocator){budget_alloc, budget_free, onnx};
	onnx->model = ad__model_proto__unpack(&onnx->allocator, s.out.size, s.out.data);
	if (!onnx->model) {
		code = onnx->starved     ? ad_fail_nomem(err)
		       : onnx->exhausted ? ad_fail(err, ADTOOL_ELIMIT, "its graph takes more than %zu MiB of memory",
						 AD_ONNX_MAX_MEMORY >> 20)
				       : malformed(err);
		goto out;
	}
	onnx->graph = onnx->model->graph;
	if (!onnx->graph)
		code = ad_fail(err, ADTOOL_EFORMAT, "not an ONNX file: it has no graph");
out:
	ad_buf_release(&s.out);
	return code;
}

/* -- who is who ---------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const ad_onnx_tensor *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order)
		return order;
	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return (x->slot > y->slot) - (x->slot < y->slot);
}

static void define(ad_onnx *onnx, const char *name, enum ad_onnx_source source, size_t index, size_t slot)
{
	if (name && *name)
		onnx->tensors[onnx->n_tensors++] = (ad_onnx_tensor){name, source, (unsigned)index, (unsigned)slot};
}

static int name_tensors(ad_onnx *onnx, adtool_error *err)
{
	const Ad__GraphProto *g = onnx->graph;
	size_t most = g->n_input + g->n_initializer, i, j, kept;

	for (i = 0; i < g->n_node; i++)
		most += g->node[i]->n_output;
	onnx->tensors = ad_malloc_array(most, sizeof(*onnx->tensors));
	if (!onnx->tensors)
		return ad_fail_nomem(err);
	for (i = 0; i < g->n_input; i++)
		define(onnx, g->input[i]->name, AD_FROM_INPUT, i, 0);
	for (i = 0; i < g->n_initializer; i++)
		define(onnx, g->initializer[i]->name, AD_FROM_INITIALIZER, i, 0);
	for (i = 0; i < g->n_node; i++)
		for (j = 0; j < g->node[i]->n_output; j++)
			define(onnx, g->node[i]->output[j], AD_FROM_NODE, i, j);
	if (onnx->n_tensors)
		qsort(onnx->tensors, onnx->n_tensors, sizeof(*onnx->tensors), by_name);

	for (i = kept = 0; i < onnx->n_tensors; i++) {
		ad_onnx_tensor *t = &onnx->tensors[i], *before = kept ? &onnx->tensors[kept - 1] : NULL;

		if (before && !strcmp(before->name, t->name)) {
			/* Old files list their initialisers among the inputs. */
			if (before->source != AD_FROM_INPUT || t->source != AD_FROM_INITIALIZER)
				return ad_fail(err, ADTOOL_EFORMAT, "two tensors are called '%s'", t->name);
			*before = *t;
			continue;
		}
		onnx->tensors[kept++] = *t;
	}
	onnx->n_tensors = kept;
	return 0;
}

int ad_onnx_find(const ad_onnx *onnx, const char *name)
{
	size_t low = 0, high = onnx->n_tensors;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, onnx->tensors[middle].name);

		if (!order)
			return (int)middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

const char *ad_onnx_node_name(const Ad__NodeProto *node)
{
	if (node->name && *node->name)
		return node->name;
	return node->n_output && *node->output[0] ? node->output[0] : "(unnamed)";
}

static int connect(ad_onnx *onnx, adtool_error *err)
{
	const Ad__GraphProto *g = onnx->graph;
	size_t reads = 0, i, j;

	for (i = 0; i < g->n_node; i++)
		reads += g->node[i]->n_input;
	onnx->first = ad_malloc_array(g->n_node + 1, sizeof(*onnx->first));
	onnx->reads = ad_malloc_array(reads, sizeof(*onnx->reads));
	if (!onnx->first || !onnx->reads)
		return ad_fail_nomem(err);
	for (i = reads = 0; i < g->n_node; i++) {
		const Ad__NodeProto *node = g->node[i];
		const char *type = node->op_type ? node->op_type : "";

		onnx->first[i] = reads;
		for (j = 0; j < node->n_input; j++) {
			int t = -1;

			if (*node->input[j]) {
				t = ad_onnx_find(onnx, node->input[j]);
				if (t < 0)
					return ad_fail(err, ADTOOL_EFORMAT, "%s '%s' reads '%s', which nothing makes",
						       type, ad_onnx_node_name(node), node->input[j]);
				if (onnx->tensors[t].source == AD_FROM_NODE && onnx->tensors[t].index >= i)
					return ad_fail(err, ADTOOL_EFORMAT,
						       "%s '%s' reads '%s' before it is made: the graph has a cycle or "
						       "is out of order",
						       type, ad_onnx_node_name(node), node->input[j]);
			}
			onnx->reads[reads++] = t;
		}
	}
	onnx->first[i] = reads;
	return 0;
}

static const Ad__TensorTypeProto *picture_type(const ad_onnx *onnx)
{
	const Ad__ValueInfoProto *input = onnx->graph->input[onnx->tensors[onnx->picture].index];

	return input->type ? input->type->tensor_type : NULL;
}

int64_t ad_onnx_picture_dim(const ad_onnx *onnx, size_t axis)
{
	const Ad__TensorTypeProto *type = picture_type(onnx);

	if (!type || !type->shape || axis >= type->shape->n_dim)
		return 0;
	return type->shape->dim[axis]->has_dim_value && type->shape->dim[axis]->dim_value > 0
		   ? type->shape->dim[axis]->dim_value
		   : 0;
}

static int check_picture(ad_onnx *onnx, adtool_error *err)
{
	const Ad__GraphProto *g = onnx->graph;
	const Ad__TensorTypeProto *type;
	const char *name;
	size_t i;

	onnx->picture = -1;
	for (i = 0; i < g->n_input && onnx->picture < 0; i++) {
		int t = g->input[i]->name ? ad_onnx_find(onnx, g->input[i]->name) : -1;

		if (t >= 0 && onnx->tensors[t].source == AD_FROM_INPUT)
			onnx->picture = t;
	}
	if (onnx->picture < 0)
		return ad_fail(err, ADTOOL_EFORMAT, "the graph has no input");
	name = onnx->tensors[onnx->picture].name;
	type = picture_type(onnx);
	if (type && type->elem_type && type->elem_type != AD_ONNX_FLOAT)
		return ad_fail(err, ADTOOL_EUNSUPPORTED,
			       "the input '%s' has elements of type %d; only float32 (%d) is "
			       "supported",
			       name, type->elem_type, AD_ONNX_FLOAT);
	if (type && type->shape && type->shape->n_dim && type->shape->n_dim != 4)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "the input '%s' has %zu dimensions; 4 (N, C, H, W) are needed",
			       name, type->shape->n_dim);
	if (ad_onnx_picture_dim(onnx, 0) > 1)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "the input '%s' is a batch of %lld; it must be 1 or open",
			       name, (long long)ad_onnx_picture_dim(onnx, 0));
	return 0;
}

static int check_opset(ad_onnx *onnx, adtool_error *err)
{
	size_t i;
	int64_t version = 0;

	for (i = 0; i < onnx->model->n_opset_import; i++) {
		const Ad__OperatorSetIdProto *set = onnx->model->opset_import[i];

		if (!set->domain || !*set->domain || !strcmp(set->domain, "ai.onnx"))
			version = set->version;
	}
	if (version < AD_OPSET_MIN || version > AD_OPSET_MAX)
		return ad_fail(err, version ? ADTOOL_EUNSUPPORTED : ADTOOL_EFORMAT,
			       "the operator set is %lld; %d to %d are supported", (long long)version, AD_OPSET_MIN,
			       AD_OPSET_MAX);
	onnx->opset = (int)version;
	return 0;
}

int ad_onnx_open(const void *bytes, size_t size, ad_onnx **out, adtool_error *err)
{
	ad_onnx *onnx;
	int code;

	if (size > AD_ONNX_MAX_BYTES)
		return ad_fail(err, ADTOOL_ELIMIT, "larger than the limit of %llu MiB",
			       (unsigned long long)(AD_ONNX_MAX_BYTES >> 20));
	if (!size)
		return ad_fail(err, ADTOOL_EFORMAT, "not an ONNX file: it is empty");
	onnx = ad_calloc(1, sizeof(*onnx));
	if (!onnx)
		return ad_fail_nomem(err);
	onnx->bytes = bytes;
	onnx->size = size;
	code = parse(onnx, err);
	if (!code)
		code = check_opset(onnx, err);
	if (!code)
		code = name_tensors(onnx, err);
	if (!code)
		code = connect(onnx, err);
	if (!code)
		code = check_picture(onnx, err);
	if (code) {
		ad_onnx_free(onnx);
		return code;
	}
	*out = onnx;
	return 0;
}

void ad_onnx_free(ad_onnx *onnx)
{
	if (!onnx)
		return;
	if (onnx->model)
		ad__model_proto__free_unpacked(onnx->model, &onnx->allocator);
	ad_free(onnx->tensors);
	ad_free(onnx->first);
	ad_free(onnx->reads);
	ad_free(onnx);
}

const char *ad_onnx_metadata(const ad_onnx *onnx, const char *key)
{
	size_t i;

	for (i = 0; i < onnx->model->n_metadata_props; i++) {
		const Ad__StringStringEntryProto *entry = onnx->model->metadata_props[i];

		if (entry->key && !strcmp(entry->key, key))
			return entry->value ? entry->value : "";
	}
	return NULL;
}

void ad_onnx_needs(const ad_onnx *onnx, const int *tensors, size_t count, uint8_t *needed, uint8_t *nodes)
{
	size_t i, j;

	memset(needed, 0, onnx->n_tensors);
	memset(nodes, 0, onnx->graph->n_node);
	for (i = 0; i < count; i++)
		needed[tensors[i]] = 1;
	/* Nodes come after what they read, so that one pass from the end sees every reader first. */
	for (i = onnx->graph->n_node; i-- > 0;) {
		const Ad__NodeProto *node = onnx->graph->node[i];

		for (j = 0; j < node->n_output && !nodes[i]; j++) {
			int t = *node->output[j] ? ad_onnx_find(onnx, node->output[j]) : -1;

			nodes[i] = t >= 0 && needed[t];
		}
		for (j = onnx->first[i]; nodes[i] && j < onnx->first[i + 1]; j++)
			if (onnx->reads[j] >= 0)
				needed[onnx->reads[j]] = 1;
	}
}

/* -- tensors ------------------------------------------------------------------------------------------- */

int ad_onnx_count(const Ad__TensorProto *tensor, size_t *count, adtool_error *err)
{
	const char *name = tensor->name ? tensor->name : "";
	size_t n = 1, i;

	if (tensor->n_dims > AD_ONNX_MAX_DIMS)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "tensor '%s' has %zu dimensions; at most %d are supported",
			       name, tensor->n_dims, AD_ONNX_MAX_DIMS);
	for (i = 0; i < tensor->n_dims; i++) {
		int64_t dim = tensor->dims[i];

		if (dim < 0)
			return ad_fail(err, ADTOOL_EFORMAT, "tensor '%s' has a dimension of %lld", name,
				       (long long)dim);
		if (dim && n > (size_t)(PTRDIFF_MAX / 8) / (uint64_t)dim)
			return ad_fail(err, ADTOOL_ELIMIT, "tensor '%s' is impossibly large", name);
		n *= (size_t)dim;
	}
	*count = n;
	return 0;
}

int ad_onnx_is_integer(const Ad__TensorProto *tensor)
{
	return tensor->data_type == AD_ONNX_INT32 || tensor->data_type == AD_ONNX_INT64 ||
	       tensor->data_type == AD_ONNX_BOOL;
}

const ad_loose_half *ad_onnx_halves(const ad_onnx *onnx, const Ad__TensorProto *tensor)
{
	size_t count;

	if (tensor->data_type != AD_ONNX_FLOAT16 || tensor->data_location || ad_onnx_count(tensor, &count, NULL) ||
	    !tensor->has_raw_size || tensor->raw_size != (uint64_t)count * sizeof(ad_loose_half))
		return NULL;
	return (const ad_loose_half *)(const void *)(onnx->bytes + tensor->raw_offset);
}

int ad_onnx_in_place(const ad_onnx *onnx, const Ad__TensorProto *tensor, const ad_loose **data)
{
	size_t count;
	uint64_t offset, size;

	if (tensor->data_type != AD_ONNX_FLOAT || tensor->data_location || ad_onnx_count(tensor, &count, NULL) ||
	    tensor->n_float_data)
		return 0;
	if (tensor->has_raw_size && !tensor->float_size) {
		offset = tensor->raw_offset;
		size = tensor->raw_size;
	} else if (tensor->has_float_size && !tensor->raw_size) {
		offset = tensor->float_offset;
		size = tensor->float_size;
	} else {
		return 0;
	}
	if (size != (uint64_t)count * 4)
		return 0;
	*data = (const ad_loose *)(const void *)(onnx->bytes + offset);
	return 1;
}

static size_t element_size(int type)
{
	switch (type) {
	case AD_ONNX_BOOL:
		return 1;
	case AD_ONNX_FLOAT16:
		return 2;
	case AD_ONNX_FLOAT:
	case AD_ONNX_INT32:
		return 4;
	case AD_ONNX_INT64:
	case AD_ONNX_DOUBLE:
		return 8;
	default:
		return 0;
	}
}

static void read_raw(int type, const uint8_t *raw, size_t count, float *floats, int64_t *ints)
{
	size_t i;

	for (i = 0; i < count && type != AD_ONNX_FLOAT && type != AD_ONNX_FLOAT16 && type != AD_ONNX_INT64; i++) {
		int32_t whole;
		double wide;

		switch (type) {
		case AD_ONNX_BOOL:
			ints[i] = raw[i];
			break;
		case AD_ONNX_INT32:
			memcpy(&whole, raw + 4 * i, 4);
			ints[i] = whole;
			break;
		case AD_ONNX_DOUBLE:
			memcpy(&wide, raw + 8 * i, 8);
			floats[i] = (float)wide;
			break;
		default:
			break;
		}
	}
	if (type == AD_ONNX_FLOAT16)
		ad_halves_to_floats((const ad_loose_half *)(const void *)raw, count, floats);
	if (type == AD_ONNX_FLOAT && count)
		memcpy(floats, raw, count * 4);
	if (type == AD_ONNX_INT64 && count)
		memcpy(ints, raw, count * 8);
}

int ad_onnx_read(const ad_onnx *onnx, const Ad__TensorProto *tensor, float *floats, int64_t *ints, adtool_error *err)
{
	const char *name = tensor->name ? tensor->name : "";
	int type = tensor->data_type;
	size_t count, i, given;
	int code = ad_onnx_count(tensor, &count, err);

	if (code)
		return code;
	if (!element_size(type))
		return ad_fail(
		    err, ADTOOL_EUNSUPPORTED,
		    "tensor '%s' has elements of type %d; float32, float16, double, int32, int64 and bool are "
		    "supported",
		    name, type);
	if (tensor->data_location)
		return ad_fail(err, ADTOOL_EUNSUPPORTED,
			       "tensor '%s' is kept in another file; everything must be in one", name);
	if (tensor->raw_size || (!count && tensor->has_raw_size)) {
		if (tensor->raw_size != (uint64_t)count * element_size(type))
			return ad_fail(err, ADTOOL_EFORMAT, "tensor '%s' has %llu bytes of data; its shape needs %zu",
				       name, (unsigned long long)tensor->raw_size, count * element_size(type));
		read_raw(type, onnx->bytes + tensor->raw_offset, count, floats, ints);
		return 0;
	}
	switch (type) {
	case AD_ONNX_FLOAT:
		if (tensor->float_size && !tensor->n_float_data && tensor->float_size == (uint64_t)count * 4) {
			memcpy(floats, onnx->bytes + tensor->float_offset, (size_t)tensor->float_size);
			return 0;
		}
		given = tensor->n_float_data + (size_t)tensor->float_size / 4;
		if (given == count && !tensor->float_size) {
			for (i = 0; i < count; i++)
				floats[i] = tensor->float_data[i];
			return 0;
		}
		break;
	case AD_ONNX_DOUBLE:
		given = tensor->n_double_data;
		for (i = 0; given == count && i < count; i++)
			floats[i] = (float)tensor->double_data[i];
		break;
	case AD_ONNX_INT64:
		given = tensor->n_int64_data;
		for (i = 0; given == count && i < count; i++)
			ints[i] = tensor->int64_data[i];
		break;
	case AD_ONNX_FLOAT16:
		given = tensor->n_int32_data;
		for (i = 0; given == count && i < count; i++)
			floats[i] = ad_half_to_float((uint16_t)tensor->int32_data[i]);
		break;
	default:
		given = tensor->n_int32_data;
		for (i = 0; given == count && i < count; i++)
			ints[i] = tensor->int32_data[i];
		break;
	}
	if (given != count || (type == AD_ONNX_FLOAT && count))
		return ad_fail(err, ADTOOL_EFORMAT, "tensor '%s' has %zu elements of data; its shape needs %zu", name,
			       given, count);
	return 0;
}

/* -- cutting ------------------------------------------------------------------------------------------- */

static void put_output(ad_buf *out, const char *name)
{
	size_t info, type, tensor;

	info = ad_wire_begin(out, 12);
	ad_wire_put_bytes(out, 1, name, strlen(name));
	type = ad_wire_begin(out, 2);
	tensor = ad_wire_begin(out, 1);
	ad_wire_put_uint(out, 1, AD_ONNX_FLOAT);
	ad_wire_end(out, tensor);
	ad_wire_end(out, type);
	ad_wire_end(out, info);
}

static void put_metadata(ad_buf *out, const char *key, const char *value)
{
	size_t entry = ad_wire_begin(out, 14);

	ad_wire_put_bytes(out, 1, key, strlen(key));
	ad_wire_put_bytes(out, 2, value, strlen(value));
	ad_wire_end(out, entry);
}

/* Whether entry `index` of a repeated field of the graph belongs to the cut. */
static int keeps(const ad_onnx *onnx, uint32_t number, size_t index, int tensor, const uint8_t *needed,
		 const uint8_t *nodes)
{
	const Ad__GraphProto *g = onnx->graph;
	const char *name;
	int t;

	if (number == 1)
		return nodes[index];
	if (number == 12)
		return g->output[index]->name && !strcmp(g->output[index]->name, onnx->tensors[tensor].name);
	name = number == 5 ? g->initializer[index]->name : g->input[index]->name;
	t = name ? ad_onnx_find(onnx, name) : -1;
	return t >= 0 && (needed[t] || t == onnx->picture);
}

static void cut_graph(const ad_onnx *onnx, const ad_wire_field *graph, int tensor, const uint8_t *needed,
		      const uint8_t *nodes, ad_buf *out)
{
	ad_wire wire = {onnx->bytes + graph->payload, graph->length, 0};
	size_t seen[16] = {0}, outputs = 0, begun = ad_wire_begin(out, 7);
	ad_wire_field field;

	while (ad_wire_next(&wire, &field) > 0) {
		switch (field.number) {
		case 1:
		case 5:
		case 11:
		case 12: /* node, initializer, input, output */
			if (!keeps(onnx, field.number, seen[field.number]++, tensor, needed, nodes))
				continue;
			outputs += field.number == 12;
			if (field.number == 12 && outputs > 1)
				continue;
			break;
		case 2:
		case 10: /* name, doc_string */
			break;
		default:
			continue;
		}
		ad_buf_add(out, wire.data + field.start, wire.at - field.start);
	}
	if (!outputs)
		put_output(out, onnx->tensors[tensor].name);
	ad_wire_end(out, begun);
}

static int is_layer_entry(const ad_onnx *onnx, size_t index)
{
	const char *key = onnx->model->metadata_props[index]->key;

	return key && (!strcmp(key, "layers") || !strcmp(key, "default_layer"));
}

int ad_onnx_cut(const ad_onnx *onnx, int tensor, const char *layers, ad_buf *out, adtool_error *err)
{
	ad_wire wire = {onnx->bytes, onnx->size, 0};
	uint8_t *needed = ad_malloc(onnx->n_tensors), *nodes = ad_malloc(onnx->graph->n_node);
	ad_wire_field field;
	size_t metadata = 0;
	int code = 0;

	if (!needed || !nodes) {
		code = ad_fail_nomem(err);
		goto out;
	}
	ad_onnx_needs(onnx, &tensor, 1, needed, nodes);
	while (ad_wire_next(&wire, &field) > 0) {
		switch (field.number) {
		case 7: /* graph */
			cut_graph(onnx, &field, tensor, needed, nodes, out);
			continue;
		case 14: /* metadata_props */
			if (is_layer_entry(onnx, metadata++))
				continue;
			break;
		case 20:
		case 25: /* training_info, functions */
			continue;
		default:
			break;
		}
		ad_buf_add(out, wire.data + field.start, wire.at - field.start);
	}
	if (layers)
		put_metadata(out, "layers", layers);
	put_metadata(out, "default_layer", onnx->tensors[tensor].name);
	if (out->failed)
		code = ad_fail_nomem(err);
out:
	ad_free(needed);
	ad_free(nodes);
	return code;
}
