/* Where the time of a forward pass goes, node by node. */
#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"
#include "../kernel/kernel.h"
#include "backbone.h"
#include "net.h"

/* Enough runs for a median, but no long wait. */
enum { LEAST_RUNS = 5, MOST_RUNS = 101 };
#define ENOUGH_SECONDS 1.0

struct profile {
	ad_pool *pool;
	ad_plan *plan;
	void *arena;
	float *input, *output;
	double *node_seconds; /* nodes x MOST_RUNS */
	double *one;          /* of one run: nodes */
	double run_seconds[MOST_RUNS];
	size_t nodes;
	unsigned runs;
};

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), ad_compare_doubles);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void run_some(struct profile *p)
{
	double start;

	/* What is only done once: memory is touched, threads wake. */
	ad_plan_run(p->plan, p->arena, p->pool, p->input, p->output);
	start = ad_now();
	while (p->runs < MOST_RUNS && (p->runs < LEAST_RUNS || ad_now() - start < ENOUGH_SECONDS)) {
		double begin = ad_now();

		memset(p->one, 0, p->nodes * sizeof(*p->one));
		ad_plan_time(p->plan, p->arena, p->pool, p->input, p->output, p->one);
		p->run_seconds[p->runs] = ad_now() - begin;
		for (size_t i = 0; i < p->nodes; i++)
			p->node_seconds[i * MOST_RUNS + p->runs] = p->one[i];
		p->runs++;
	}
}

static void tell(struct profile *p, void (*fn)(void *context, const adtool_plan_node *node), void *context,
		 adtool_plan_totals *totals)
{
	for (size_t i = 0; i < p->nodes; i++) {
		adtool_plan_node out;
		ad_plan_node node;

		ad_plan_node_at(p->plan, i, &node);
		out = (adtool_plan_node){.name = node.name,
					 .kind = node.kind,
					 .algorithm = node.algorithm,
					 .channels = node.shape[0],
					 .height = node.shape[1],
					 .width = node.shape[2],
					 .multiply_adds = node.multiply_adds,
					 .seconds = median(p->node_seconds + i * MOST_RUNS, p->runs)};
		totals->multiply_adds += out.multiply_adds;
		totals->sum += out.seconds;
		if (fn)
			fn(context, &out);
	}
}

int adtool_backbone_profile(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height,
			    unsigned threads, void (*fn)(void *context, const adtool_plan_node *node), void *context,
			    adtool_plan_totals *totals, adtool_error *err)
{
	adtool_plan_totals t = {0};
	struct profile p = {0};
	const ad_kernels *kernels;
	size_t shape[3], floats, i;
	double start;
	int code = ad_kernels_get(&kernels, err);

	if (code)
		return code;
	ad_backbone_input_shape(backbone, width, height, shape);
	floats = shape[0] * shape[1] * shape[2];
	code = ad_pool_create(threads, &p.pool, err);
	start = ad_now();
	if (!code)
		code = ad_backbone_plan(backbone, &layer, 1, shape, p.pool, &p.plan, err);
	if (code)
		goto out;
	t.planning = ad_now() - start;
	p.nodes = ad_plan_nodes(p.plan);
	p.arena = ad_malloc_aligned(ad_plan_arena_bytes(p.plan), 1);
	p.input = ad_malloc_aligned(floats, sizeof(*p.input));
	p.output = ad_malloc_aligned(ad_plan_output_floats(p.plan), sizeof(*p.output));
	p.node_seconds = ad_malloc_array(p.nodes * MOST_RUNS, sizeof(*p.node_seconds));
	p.one = ad_malloc_array(p.nodes, sizeof(*p.one));
	if (!p.arena || !p.input || !p.output || !p.node_seconds || !p.one) {
		code = ad_fail_nomem(err);
		goto out;
	}
	for (i = 0; i < floats; i++)
		p.input[i] = (float)(i * 2654435761u % 4096) / 1024 - 2;
	run_some(&p);
	t.isa = kernels->isa;
	t.threads = ad_pool_size(p.pool);
	t.runs = p.runs;
	t.arena_bytes = ad_plan_arena_bytes(p.plan);
	t.weight_bytes = ad_plan_weight_bytes(p.plan);
	tell(&p, fn, context, &t);
	t.seconds = median(p.run_seconds, p.runs);
	if (totals)
		*totals = t;
out:
	ad_free_aligned(p.arena);
	ad_free_aligned(p.input);
	ad_free_aligned(p.output);
	ad_free(p.node_seconds);
	ad_free(p.one);
	ad_plan_free(p.plan);
	ad_pool_free(p.pool);
	return code;
}
