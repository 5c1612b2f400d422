/* Choosing the algorithm of each convolution by the clock. */
#include "../base/buf.h"
#include "../base/clock.h"
#include "../base/cpu.h"
#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/mem.h"
#include "../kernel/kernel.h"
#include "net.h"
#include "plan.h"

/* Runs of each way; a way is taken instead of the cost model's when it is clearly faster. */
enum { RUNS = 9 };
#define CLEARLY 0.97

static const char letters[AD_WAYS + 1] = " d24";

int ad_tuning_here(char on[ADTOOL_TUNED_ON_SIZE], adtool_error *err)
{
	const ad_kernels *kernels;
	ad_buf cpu = {0};
	char digest[17];
	int code = ad_kernels_get(&kernels, err);

	if (code)
		return code;
	ad_cpu_identity(&cpu);
	if (cpu.failed)
		code = ad_fail_nomem(err);
	else
		ad_xxh3_hex(cpu.data, cpu.size, digest);
	if (!code)
		snprintf(on, ADTOOL_TUNED_ON_SIZE, "%s-%s", kernels->isa, digest);
	ad_buf_release(&cpu);
	return code;
}

static int has_ways(const ad_node *n)
{
	return n->op == AD_OP_CONV && ad_conv_has_ways(&n->u.conv);
}

static size_t count_ways(const ad_graph *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n_nodes; i++)
		n += (size_t)has_ways(&g->nodes[i]);
	return n < ADTOOL_TUNED_MOST ? n : ADTOOL_TUNED_MOST;
}

/* The least seconds of each node when all convolutions are computed this way. */
static int time_way(ad_graph *g, enum ad_way way, const float *input, double *least, adtool_error *err)
{
	double *one = ad_malloc_array(g->n_nodes, sizeof(*one));
	ad_plan *plan = NULL;
	float *output = NULL;
	void *arena = NULL;
	int code = 0;

	for (size_t i = 0; i < g->n_nodes; i++) {
		if (has_ways(&g->nodes[i]))
			g->nodes[i].u.conv.way = way;
		least[i] = 1e9;
	}
	code = one ? ad_plan_of_graph(g, NULL, NULL, &plan, err) : ad_fail_nomem(err);
	if (code)
		goto out;
	arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
	output = ad_malloc_aligned(ad_plan_output_floats(plan), sizeof(*output));
	if (!arena || !output) {
		code = ad_fail_nomem(err);
		goto out;
	}
	ad_plan_run(plan, arena, NULL, input, output);
	for (int run = 0; run < RUNS; run++) {
		memset(one, 0, g->n_nodes * sizeof(*one));
		ad_plan_time(plan, arena, NULL, input, output, one);
		for (size_t i = 0; i < g->n_nodes; i++)
			least[i] = one[i] < least[i] ? one[i] : least[i];
	}
out:
	ad_free(one);
	ad_free_aligned(arena);
	ad_free_aligned(output);
	ad_plan_free(plan);
	return code;
}

static char fastest(double *const least[AD_WAYS], size_t node, char chosen)
{
	char best = chosen;
	double limit = least[AD_WAY_BY_COST][node] * CLEARLY;

	for (int way = AD_WAY_DIRECT; way < AD_WAYS; way++)
		if (least[way][node] < limit) {
			limit = least[way][node];
			best = letters[way];
		}
	return best;
}

/* The cost model's own choice. */
static char by_cost(const char *algorithm)
{
	return !strcmp(algorithm, "winograd-4x4") ? '4' : !strcmp(algorithm, "winograd-2x2") ? '2' : 'd';
}

int ad_tune(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height, ad_tuning *out,
	    adtool_error *err)
{
	const size_t shape[3] = {3, height, width};
	double *least[AD_WAYS] = {NULL};
	size_t floats = shape[0] * shape[1] * shape[2], n = 0, i;
	ad_tuning tuning = {{0}, {0}};
	ad_graph *graph = NULL;
	ad_plan *plan = NULL;
	float *input = ad_malloc_aligned(floats, sizeof(*input));
	int way, code = input ? ad_tuning_here(tuning.on, err) : ad_fail_nomem(err);

	if (!code)
		code = ad_backbone_graph(backbone, layer, shape, &graph, err);
	if (code)
		goto out;
	for (i = 0; i < floats; i++)
		input[i] = (float)(i * 2654435761u % 4096) / 1024 - 2;
	for (way = 0; !code && way < AD_WAYS; way++) {
		least[way] = ad_malloc_array(graph->n_nodes, sizeof(**least));
		code = least[way] ? time_way(graph, (enum ad_way)way, input, least[way], err) : ad_fail_nomem(err);
	}
	for (i = 0; !code && i < graph->n_nodes; i++)
		if (has_ways(&graph->nodes[i]))
			graph->nodes[i].u.conv.way = AD_WAY_BY_COST;
	if (!code)
		code = ad_plan_of_graph(graph, NULL, NULL, &plan, err);
	for (i = 0; !code && i < graph->n_nodes && n < ADTOOL_TUNED_MOST; i++) {
		ad_plan_node node;

		if (!has_ways(&graph->nodes[i]))
			continue;
		ad_plan_node_at(plan, i, &node);
		tuning.ways[n++] = fastest(least, i, by_cost(node.algorithm));
	}
	if (!code)
		*out = tuning;
out:
	for (way = 0; way < AD_WAYS; way++)
		ad_free(least[way]);
	ad_free_aligned(input);
	ad_plan_free(plan);
	ad_graph_free(graph);
	return code;
}

int ad_plan_create_tuned(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height,
			 const ad_tuning *tuning, ad_pool *pool, ad_plan **out, adtool_error *err)
{
	const size_t shape[3] = {3, height, width};
	size_t given = strlen(tuning->ways), n = 0, i;
	ad_graph *graph = NULL;
	int code = ad_backbone_graph(backbone, layer, shape, &graph, err);

	if (code)
		return code;
	if (given != count_ways(graph))
		code = ad_fail(err, ADTOOL_EFORMAT, "%zu convolutions are tuned where the graph has %zu of that kind", given,
			       count_ways(graph));
	for (i = 0; !code && i < graph->n_nodes && n < given; i++) {
		const char *letter;

		if (!has_ways(&graph->nodes[i]))
			continue;
		letter = strchr(letters + 1, tuning->ways[n]);
		if (!letter)
			code = ad_fail(err, ADTOOL_EFORMAT, "convolution %zu of those tuned is to be computed by '%c'; d, 2 "
				       "and 4 are known", n + 1, tuning->ways[n]);
		else
			graph->nodes[i].u.conv.way = (enum ad_way)(letter - letters);
		n++;
	}
	if (!code)
		code = ad_plan_of_graph(graph, NULL, pool, out, err);
	ad_graph_free(graph);
	return code;
}
