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

/* The least seconds of each node when all convolutions are computed this way, and what that way is called. */
static int time_way(ad_graph *g, const ad_range *const *ranges, enum ad_way way, const float *input, double *least,
		    const char **algorithms, adtool_error *err)
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
	code = one ? ad_plan_of_graph(g, ranges, NULL, &plan, err) : ad_fail_nomem(err);
	if (code)
		goto out;
	for (size_t i = 0; i < g->n_nodes; i++) {
		ad_plan_node node;

		ad_plan_node_at(plan, i, &node);
		algorithms[i] = node.algorithm;
	}
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

/* What is timed in each way. */
struct timing {
	double *least[AD_WAYS];
	const char **algorithms[AD_WAYS]; /* constants */
};

/* Whether it makes a difference which way is asked for. */
static int is_choice(const struct timing *t, size_t node)
{
	return strcmp(t->algorithms[AD_WAY_DIRECT][node], t->algorithms[AD_WAY_WINOGRAD_4][node]) != 0;
}

/* The cost model's own choice. */
static char by_cost(const char *algorithm)
{
	return !strcmp(algorithm, "winograd-4x4") ? '4' : !strcmp(algorithm, "winograd-2x2") ? '2' : 'd';
}

static char fastest(const struct timing *t, size_t node)
{
	char best = by_cost(t->algorithms[AD_WAY_BY_COST][node]);
	double limit = t->least[AD_WAY_BY_COST][node] * CLEARLY;

	for (int way = AD_WAY_DIRECT; way < AD_WAYS && is_choice(t, node); way++)
		if (t->least[way][node] < limit) {
			limit = t->least[way][node];
			best = letters[way];
		}
	return best;
}

int ad_tune(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height, const ad_how *how,
	    ad_tuning *out, adtool_error *err)
{
	const ad_how narrow = {.bf16 = how && how->bf16, .ranges = how ? how->ranges : NULL};
	const size_t shape[3] = {3, height, width};
	struct timing t = {{NULL}, {NULL}};
	size_t floats = shape[0] * shape[1] * shape[2], n = 0, choices = 0, i;
	ad_tuning tuning = {{0}, {0}};
	const ad_range **ranges = NULL;
	ad_graph *graph = NULL;
	float *input = ad_malloc_aligned(floats, sizeof(*input));
	int way, code = input ? ad_tuning_here(tuning.on, err) : ad_fail_nomem(err);

	if (!code)
		code = ad_backbone_graph(backbone, layer, shape, &graph, err);
	if (!code)
		code = ad_how_apply(graph, &narrow, err);
	if (!code && narrow.ranges)
		code = ad_ranges_match(graph, narrow.ranges, &ranges, err);
	if (code)
		goto out;
	for (i = 0; i < floats; i++)
		input[i] = (float)(i * 2654435761u % 4096) / 1024 - 2;
	for (way = 0; !code && way < AD_WAYS; way++) {
		t.least[way] = ad_malloc_array(graph->n_nodes, sizeof(**t.least));
		t.algorithms[way] = ad_malloc_array(graph->n_nodes, sizeof(**t.algorithms));
		code = t.least[way] && t.algorithms[way]
			   ? time_way(graph, ranges, (enum ad_way)way, input, t.least[way], t.algorithms[way], err)
			   : ad_fail_nomem(err);
	}
	for (i = 0; !code && i < graph->n_nodes && n < ADTOOL_TUNED_MOST; i++) {
		if (!has_ways(&graph->nodes[i]))
			continue;
		tuning.ways[n++] = fastest(&t, i);
		choices += (size_t)is_choice(&t, i);
	}
	if (!code && how && !choices)
		code = ad_fail(err, ADTOOL_EUNSUPPORTED,
			       "there is nothing to tune: in %s each convolution of this layer is computed in one way",
			       narrow.ranges ? "int8" : "bf16");
	if (!code)
		*out = tuning;
out:
	for (way = 0; way < AD_WAYS; way++) {
		ad_free(t.least[way]);
		ad_free(t.algorithms[way]);
	}
	ad_free(ranges);
	ad_free_aligned(input);
	ad_graph_free(graph);
	return code;
}

int ad_tuning_apply(ad_graph *graph, const ad_tuning *tuning, adtool_error *err)
{
	size_t given = strlen(tuning->ways), n = 0, i;

	if (given != count_ways(graph))
		return ad_fail(err, ADTOOL_EFORMAT, "%zu convolutions are tuned where the graph has %zu of that kind",
			       given, count_ways(graph));
	for (i = 0; i < graph->n_nodes && n < given; i++) {
		const char *letter;

		if (!has_ways(&graph->nodes[i]))
			continue;
		letter = strchr(letters + 1, tuning->ways[n]);
		if (!letter)
			return ad_fail(err, ADTOOL_EFORMAT,
				       "convolution %zu of those tuned is to be computed by '%c'; d, 2 and 4 are known",
				       n + 1, tuning->ways[n]);
		graph->nodes[i].u.conv.way = (enum ad_way)(letter - letters);
		n++;
	}
	return 0;
}
