#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "graph_internal.h"

/* Small constants are cut from blocks of so many bytes, which get large pages; those above a half have their own. */
enum { BLOCK_BYTES = 2 << 20, ALIGNMENT = 64 };

struct ad_graph_memory {
	void **blocks;
	size_t n, capacity;
	size_t bytes;   /* asked for */
	char *open;     /* the block that is being cut, and its bytes left */
	size_t left;
	size_t value_capacity, node_capacity;
};

static int grow(void **array, size_t *capacity, size_t n, size_t size)
{
	size_t wanted = *capacity ? *capacity * 2 : 32;
	void *bigger;

	if (n < *capacity)
		return 0;
	bigger = ad_realloc_array(*array, wanted, size);
	if (!bigger)
		return -1;
	*array = bigger;
	*capacity = wanted;
	return 0;
}

static struct ad_graph_memory *memory_of(ad_graph *g)
{
	if (!g->memory)
		g->memory = ad_calloc(1, sizeof(*g->memory));
	return g->memory;
}

void *ad_graph_alloc(ad_graph *g, size_t count, size_t size, adtool_error *err)
{
	struct ad_graph_memory *m = memory_of(g);
	size_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	void *array, *block;

	if (!m)
		goto nomem;
	if (size && count > (g->most_bytes - m->bytes) / size) {
		ad_fail(err, ADTOOL_ELIMIT, "constants take more than %zu MiB, too much for a file of this size",
			g->most_bytes >> 20);
		return NULL;
	}
	if (bytes && bytes <= m->left) {
		m->bytes += count * size;
		m->open += bytes;
		m->left -= bytes;
		return m->open - bytes;
	}
	array = m->blocks;
	if (grow(&array, &m->capacity, m->n, sizeof(*m->blocks)))
		goto nomem;
	m->blocks = array;
	/* A graph of few constants does not get a block. */
	if (bytes && bytes <= BLOCK_BYTES / 2 && m->bytes > BLOCK_BYTES / 8) {
		block = ad_malloc_aligned(BLOCK_BYTES, 1);
		if (block) {
			m->open = (char *)block + bytes;
			m->left = BLOCK_BYTES - bytes;
		}
	} else {
		block = ad_malloc_aligned(count, size);
	}
	if (!block)
		goto nomem;
	m->bytes += count * size;
	m->blocks[m->n++] = block;
	return block;
nomem:
	ad_fail_nomem(err);
	return NULL;
}

int ad_graph_add_value(ad_graph *g, const char *name, int rank, const size_t *dims, int *value, adtool_error *err)
{
	struct ad_graph_memory *m = memory_of(g);
	ad_value v = {.name = name, .rank = rank, .dims = {1, 1, 1, 1}, .count = 1, .producer = -1};
	void *array = g->values;
	int i;

	if (rank < 1 || rank > AD_RANK)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "its result has %d dimensions; 1 to %d are supported", rank,
			       AD_RANK);
	for (i = 0; i < rank; i++) {
		if (!dims[i])
			return ad_fail(err, ADTOOL_EUNSUPPORTED, "its result is empty");
		if (dims[i] > AD_MAX_TENSOR / v.count)
			return ad_fail(err, ADTOOL_ELIMIT, "its result has more than %zu elements", AD_MAX_TENSOR);
		v.dims[i] = dims[i];
		v.count *= dims[i];
	}
	if (!m || grow(&array, &m->value_capacity, g->n_values, sizeof(*g->values)))
		return ad_fail_nomem(err);
	g->values = array;
	*value = (int)g->n_values;
	g->values[g->n_values++] = v;
	return 0;
}

ad_node *ad_graph_add_node(ad_graph *g, enum ad_op op, const char *name, const char *kind, const int *inputs,
			   size_t n_inputs, int output, adtool_error *err)
{
	struct ad_graph_memory *m = memory_of(g);
	void *array = g->nodes;
	ad_node *node;
	int *copy;

	if (!m || grow(&array, &m->node_capacity, g->n_nodes, sizeof(*g->nodes))) {
		ad_fail_nomem(err);
		return NULL;
	}
	g->nodes = array;
	copy = ad_graph_alloc(g, n_inputs, sizeof(*copy), err);
	if (!copy)
		return NULL;
	memcpy(copy, inputs, n_inputs * sizeof(*copy));
	node = &g->nodes[g->n_nodes++];
	*node = (ad_node){.op = op, .name = name, .kind = kind, .inputs = copy, .n_inputs = n_inputs, .output = output};
	return node;
}

void ad_graph_link(ad_graph *g)
{
	size_t i, j;

	for (i = 0; i < g->n_values; i++) {
		g->values[i].producer = -1;
		g->values[i].readers = 0;
	}
	for (i = 0; i < g->n_outputs; i++)
		g->values[g->outputs[i]].readers++;
	for (i = 0; i < g->n_nodes; i++) {
		g->values[g->nodes[i].output].producer = (int)i;
		for (j = 0; j < g->nodes[i].n_inputs; j++)
			g->values[g->nodes[i].inputs[j]].readers++;
	}
}

void ad_graph_free(ad_graph *g)
{
	size_t i;

	if (!g)
		return;
	if (g->memory) {
		for (i = 0; i < g->memory->n; i++)
			ad_free_aligned(g->memory->blocks[i]);
		ad_free(g->memory->blocks);
		ad_free(g->memory);
	}
	ad_free(g->values);
	ad_free(g->nodes);
	ad_free(g);
}

double ad_node_multiply_adds(const ad_graph *g, const ad_node *node)
{
	const ad_value *x = &g->values[node->inputs[0]], *y = &g->values[node->output];

	switch (node->op) {
	case AD_OP_CONV:
		return (double)y->count * (double)(x->dims[1] / node->u.conv.groups) *
		       (double)node->u.conv.window.kernel[0] * (double)node->u.conv.window.kernel[1];
	case AD_OP_GEMM:
		return (double)y->count * (double)node->u.gemm.k;
	default:
		return 0;
	}
}

double ad_node_work(const ad_graph *g, const ad_node *node)
{
	const ad_value *x = &g->values[node->inputs[0]], *y = &g->values[node->output];

	switch (node->op) {
	case AD_OP_CONV:
	case AD_OP_GEMM:
		return ad_node_multiply_adds(g, node);
	case AD_OP_MAX_POOL:
	case AD_OP_AVERAGE_POOL:
		return (double)y->count * (double)node->u.pool.window.kernel[0] * (double)node->u.pool.window.kernel[1];
	default:
		return (double)x->count + (double)y->count;
	}
}

float ad_activate(ad_activation f, float x)
{
	switch (f.kind) {
	case AD_ACT_RELU:
		return x < 0 ? 0 : x;
	case AD_ACT_LEAKY:
		return x < 0 ? f.a * x : x;
	case AD_ACT_CLIP:
		x = x < f.a ? f.a : x;
		return x > f.b ? f.b : x;
	case AD_ACT_SIGMOID:
		return 1 / (1 + expf(-x));
	case AD_ACT_HARDSIGMOID:
	case AD_ACT_HARDSWISH: {
		float y = f.a * x + f.b;

		y = y > 1 ? 1 : y < 0 ? 0 : y;
		return f.kind == AD_ACT_HARDSWISH ? x * y : y;
	}
	case AD_ACT_SWISH:
		return x / (1 + expf(-x));
	default:
		return x;
	}
}
