#include "plan.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "engine.h"

struct output {
	int rank;
	size_t dims[AD_RANK];
};

struct ad_plan {
	ad_engine *engine;
	ad_plan_node *nodes;
	size_t n_nodes;
	char *names; /* all of them */
	struct output *outputs;
	size_t floats; /* of all outputs */
	double multiply_adds;
	int64_t parameters;
};

/* The rows of ad_plan_node_at, with names of their own. */
static int list_nodes(ad_plan *plan, const ad_graph *g, adtool_error *err)
{
	size_t names = 1, i;
	char *name;

	for (i = 0; i < g->n_nodes; i++)
		names += strlen(g->nodes[i].name) + strlen(g->nodes[i].kind) + 2;
	plan->nodes = ad_calloc(g->n_nodes, sizeof(*plan->nodes));
	plan->names = name = ad_malloc(names);
	if (!plan->nodes || !plan->names)
		return ad_fail_nomem(err);
	plan->n_nodes = g->n_nodes;
	for (i = 0; i < g->n_nodes; i++) {
		const ad_node *node = &g->nodes[i];
		const ad_value *out = &g->values[node->output];
		const char *const texts[2] = {node->name, node->kind};
		const char **const to[2] = {&plan->nodes[i].name, &plan->nodes[i].kind};
		int j, skip = out->rank > 1;

		for (j = 0; j < 2; j++) {
			size_t length = strlen(texts[j]) + 1;

			memcpy(name, texts[j], length);
			*to[j] = name;
			name += length;
		}
		/* C x H x W; of a shorter shape what there is. */
		for (j = 0; j < 3; j++)
			plan->nodes[i].shape[j] = j + skip < AD_RANK ? out->dims[j + skip] : 1;
		plan->nodes[i].algorithm = ad_engine_algorithm(plan->engine, i);
		/* Work stands where its time does. */
		plan->nodes[ad_engine_doer(plan->engine, i)].multiply_adds += ad_node_multiply_adds(g, node);
		plan->multiply_adds += ad_node_multiply_adds(g, node);
	}
	return 0;
}

static int list_outputs(ad_plan *plan, const ad_graph *g, adtool_error *err)
{
	size_t i;

	plan->outputs = ad_calloc(g->n_outputs, sizeof(*plan->outputs));
	if (!plan->outputs)
		return ad_fail_nomem(err);
	for (i = 0; i < g->n_outputs; i++) {
		const ad_value *v = &g->values[g->outputs[i]];

		plan->outputs[i].rank = v->rank;
		memcpy(plan->outputs[i].dims, v->dims, sizeof(v->dims));
		plan->floats += v->count;
	}
	return 0;
}

int ad_plan_build(const struct ad_onnx *onnx, const char *const *layers, size_t count, const size_t shape[3],
		  ad_pool *pool, ad_plan **out, adtool_error *err)
{
	ad_graph *graph = NULL;
	int code = ad_graph_build(onnx, layers, count, shape, &graph, err);

	if (!code)
		code = ad_plan_of_graph(graph, NULL, pool, out, err);
	ad_graph_free(graph);
	return code;
}

int ad_plan_of_graph(const ad_graph *graph, const ad_range *const *ranges, ad_pool *pool, ad_plan **out,
		     adtool_error *err)
{
	const ad_kernels *kernels = NULL;
	ad_plan *plan = NULL;
	int code = ad_kernels_get(&kernels, err);

	if (code)
		return code;
	plan = ad_calloc(1, sizeof(*plan));
	if (!plan) {
		code = ad_fail_nomem(err);
		goto out;
	}
	code = ad_engine_create(graph, kernels, ranges, pool, &plan->engine, err);
	if (!code)
		code = list_nodes(plan, graph, err);
	if (!code)
		code = list_outputs(plan, graph, err);
	if (code)
		goto out;
	plan->parameters = graph->parameters;
	*out = plan;
	plan = NULL;
out:
	ad_plan_free(plan);
	return code;
}

int ad_how_apply(ad_graph *graph, const ad_how *how, adtool_error *err)
{
	for (size_t i = 0; how->bf16 && i < graph->n_nodes; i++)
		if (graph->nodes[i].op == AD_OP_CONV)
			graph->nodes[i].u.conv.bf16 = 1;
	return how->tuning ? ad_tuning_apply(graph, how->tuning, err) : 0;
}

int ad_plan_create_as(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height,
		      const ad_how *how, ad_pool *pool, ad_plan **out, adtool_error *err)
{
	const size_t shape[3] = {3, height, width};
	const ad_range **ranges = NULL;
	ad_graph *graph = NULL;
	int code = ad_backbone_graph(backbone, layer, shape, &graph, err);

	if (!code)
		code = ad_how_apply(graph, how, err);
	if (!code && how->ranges)
		code = ad_ranges_match(graph, how->ranges, &ranges, err);
	if (!code)
		code = ad_plan_of_graph(graph, ranges, pool, out, err);
	ad_graph_free(graph);
	ad_free(ranges);
	return code;
}

void ad_plan_free(ad_plan *plan)
{
	if (!plan)
		return;
	ad_engine_free(plan->engine);
	ad_free(plan->nodes);
	ad_free(plan->names);
	ad_free(plan->outputs);
	ad_free(plan);
}

size_t ad_plan_arena_bytes(const ad_plan *plan)
{
	return ad_engine_arena_bytes(plan->engine);
}

void ad_plan_run(const ad_plan *plan, void *arena, ad_pool *pool, const float *input, float *output)
{
	ad_engine_run(plan->engine, arena, pool, input, output, NULL);
}

void ad_plan_time(const ad_plan *plan, void *arena, ad_pool *pool, const float *input, float *output, double *seconds)
{
	ad_engine_run(plan->engine, arena, pool, input, output, seconds);
}

/* -- what it is ---------------------------------------------------------------------------------------- */

int ad_plan_output_dims(const ad_plan *plan, size_t index, size_t dims[AD_RANK])
{
	memcpy(dims, plan->outputs[index].dims, sizeof(plan->outputs[index].dims));
	return plan->outputs[index].rank;
}

void ad_plan_output_shape(const ad_plan *plan, size_t index, size_t shape[3])
{
	size_t dims[AD_RANK];
	int rank = ad_plan_output_dims(plan, index, dims);

	/* 1 x C x H x W, or 1 x C; a first dimension that is no batch counts as channels. */
	if (rank == 4 || (rank > 1 && dims[0] == 1)) {
		shape[0] = dims[0] * dims[1];
		shape[1] = dims[2];
		shape[2] = dims[3];
	} else {
		shape[0] = dims[0];
		shape[1] = dims[1];
		shape[2] = dims[2];
	}
}

size_t ad_plan_output_floats(const ad_plan *plan)
{
	return plan->floats;
}

size_t ad_plan_weight_bytes(const ad_plan *plan)
{
	return ad_engine_weight_bytes(plan->engine);
}

double ad_plan_multiply_adds(const ad_plan *plan)
{
	return plan->multiply_adds;
}

int64_t ad_plan_parameters(const ad_plan *plan)
{
	return plan->parameters;
}

size_t ad_plan_nodes(const ad_plan *plan)
{
	return plan->n_nodes;
}

void ad_plan_node_at(const ad_plan *plan, size_t index, ad_plan_node *out)
{
	*out = plan->nodes[index];
}
