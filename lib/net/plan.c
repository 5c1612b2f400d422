#include "plan.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "ops.h"

enum { LINE = 64 / sizeof(float), MOST_STRANDS = 16 };

/* Where the floats of a value are while a plan runs. */
struct place {
	enum { IN_ARENA, IN_INPUT, IN_OUTPUT } where;
	size_t offset; /* floats */
};

struct ad_plan {
	ad_step *steps;
	size_t n_steps;
	struct place *places; /* of every step: its inputs, then its output */
	size_t *first;        /* step i's begin here */
	size_t most_inputs;
	float *weights; /* all of them */
	size_t weight_floats;
	char *names;           /* all of them */
	size_t arena, scratch; /* floats: activations; scratch of one strand */
	int sgemm_steps;
	unsigned strands; /* tasks that can run at a time */
	int rank;
	size_t dims[AD_RANK];
	double multiply_adds;
	int64_t parameters;
	ad_sgemm *sgemm;
};

static size_t round_up(size_t n)
{
	return (n + LINE - 1) / LINE * LINE;
}

/* -- places -------------------------------------------------------------------------------------------- */

struct life {
	size_t last; /* step */
	size_t offset, size;
};

/* The first gap of `size` among the live ones, which are sorted by offset; takes it. */
static size_t place_first_fit(struct life *live, size_t *n, size_t size, size_t last)
{
	size_t at = 0, i, j;

	for (i = 0; i < *n && live[i].offset - at < size; i++)
		at = live[i].offset + live[i].size;
	for (j = *n; j > i; j--)
		live[j] = live[j - 1];
	live[i] = (struct life){last, at, size};
	++*n;
	return at;
}

/*
 * RESHAPE makes no copy: its output is its input's floats. root: the value whose floats each value has.
 * Places every root: the graph's output in the caller's, the others by first fit over their lifetimes.
 */
static int place_values(const ad_graph *g, struct place *places, int *root, size_t *arena, adtool_error *err)
{
	size_t *last = ad_calloc(g->n_values, sizeof(*last));
	struct life *live = ad_malloc_array(g->n_values, sizeof(*live));
	size_t most = AD_FREE_ARENA + AD_ARENA_PER_INPUT * g->values[g->input].count, n = 0, kept, i, j;
	int code = 0;

	most = most < AD_MAX_ARENA ? most : AD_MAX_ARENA;
	if (!last || !live) {
		code = ad_fail_nomem(err);
		goto out;
	}
	for (i = 0; i < g->n_values; i++)
		root[i] = (int)i;
	for (i = 0; i < g->n_nodes; i++) {
		const ad_node *node = &g->nodes[i];

		if (node->op == AD_OP_RESHAPE)
			root[node->output] = root[node->inputs[0]];
		for (j = 0; j < node->n_inputs; j++)
			last[root[node->inputs[j]]] = i;
	}
	places[g->input].where = IN_INPUT;
	if (root[g->output] != g->input)
		places[root[g->output]].where = IN_OUTPUT;
	for (i = 0; i < g->n_nodes; i++) {
		int out = g->nodes[i].output;

		if (root[out] != out || places[out].where != IN_ARENA)
			continue;
		for (j = kept = 0; j < n; j++)
			if (live[j].last >= i)
				live[kept++] = live[j];
		n = kept;
		places[out].offset = place_first_fit(live, &n, round_up(g->values[out].count), last[out]);
		if (places[out].offset + round_up(g->values[out].count) > *arena)
			*arena = places[out].offset + round_up(g->values[out].count);
	}
	if (*arena > most)
		code = ad_fail(err, ADTOOL_ELIMIT,
			       "activations take more than %zu MiB, too much for an input of this size", most >> 18);
out:
	ad_free(last);
	ad_free(live);
	return code;
}

/* -- steps --------------------------------------------------------------------------------------------- */

struct weights {
	const float **from[2];
	size_t count[2];
};

/* The constants of a node: where it points to them, and how many floats they are. */
static struct weights weights_of(const ad_graph *g, ad_node *node)
{
	const ad_value *x = &g->values[node->inputs[0]], *y = &g->values[node->output];
	struct weights w = {{NULL, NULL}, {0, 0}};

	switch (node->op) {
	case AD_OP_CONV:
		w.from[0] = &node->u.conv.weights;
		w.count[0] = y->dims[1] * (x->dims[1] / node->u.conv.groups) * node->u.conv.window.kernel[0] *
			     node->u.conv.window.kernel[1];
		w.from[1] = &node->u.conv.bias;
		w.count[1] = y->dims[1];
		break;
	case AD_OP_GEMM:
		w.from[0] = &node->u.gemm.weights;
		w.count[0] = node->u.gemm.n * node->u.gemm.k;
		w.from[1] = &node->u.gemm.bias;
		w.count[1] = node->u.gemm.n;
		break;
	case AD_OP_SCALE:
		w.from[0] = &node->u.scale.scale;
		w.from[1] = &node->u.scale.shift;
		w.count[0] = w.count[1] = x->dims[1];
		break;
	case AD_OP_BINARY:
		w.from[0] = &node->u.binary.constant;
		w.count[0] = node->u.binary.constant_dims[0] * node->u.binary.constant_dims[1] *
			     node->u.binary.constant_dims[2] * node->u.binary.constant_dims[3];
		break;
	default:
		break;
	}
	return w;
}

static void align_right(const ad_value *v, size_t dims[AD_RANK])
{
	int i;

	for (i = 0; i < AD_RANK; i++)
		dims[i] = i < AD_RANK - v->rank ? 1 : v->dims[i - (AD_RANK - v->rank)];
}

/* Fills plan->steps[at] from node, but for weights and names. */
static int make_step(ad_plan *plan, size_t at, const ad_graph *g, const ad_node *node, adtool_error *err)
{
	const ad_value *y = &g->values[node->output];
	ad_step *step = &plan->steps[at];
	size_t i;

	step->node = *node;
	step->node.inputs = NULL;
	step->in_dims = ad_malloc_array(node->n_inputs, sizeof(*step->in_dims));
	if (!step->in_dims)
		return ad_fail_nomem(err);
	for (i = 0; i < node->n_inputs; i++)
		align_right(&g->values[node->inputs[i]], step->in_dims[i]);
	align_right(y, step->out_dims);
	step->rank = y->rank;
	step->in_count = g->values[node->inputs[0]].count;
	step->out_count = y->count;
	step->channels = y->rank > 1 ? y->dims[1] : 1;
	step->inner = y->dims[2] * y->dims[3];
	ad_step_choose(step);
	plan->sgemm_steps |= step->sgemm;
	if (step->scratch > plan->scratch)
		plan->scratch = round_up(step->scratch);
	return 0;
}

static int copy_weights(ad_plan *plan, const ad_graph *g, const int *kept, adtool_error *err)
{
	size_t total = 0, names = 1, at = 0, i;
	char *name;
	int part;

	for (i = 0; i < plan->n_steps; i++) {
		ad_node *node = &g->nodes[kept[i]];
		struct weights w = weights_of(g, node);

		for (part = 0; part < 2; part++)
			if (w.from[part] && *w.from[part])
				total += round_up(w.count[part]);
		names += strlen(node->name) + strlen(node->kind) + 2;
		if (total > g->most_bytes / sizeof(float))
			return ad_fail(err, ADTOOL_ELIMIT,
				       "weights take more than %zu MiB, too much for a file of this size",
				       g->most_bytes >> 20);
	}
	plan->weight_floats = total;
	plan->weights = ad_malloc_aligned(total, sizeof(float));
	plan->names = name = ad_malloc(names);
	if (!plan->weights || !plan->names)
		return ad_fail_nomem(err);
	for (i = 0; i < plan->n_steps; i++) {
		ad_node *from = &g->nodes[kept[i]], *to = &plan->steps[i].node;
		struct weights source = weights_of(g, from), target;
		const char **const texts[2] = {&to->name, &to->kind};

		to->inputs = from->inputs;
		target = weights_of(g, to);
		to->inputs = NULL;
		for (part = 0; part < 2; part++) {
			if (!source.from[part] || !*source.from[part])
				continue;
			memcpy(plan->weights + at, *source.from[part], source.count[part] * sizeof(float));
			*target.from[part] = plan->weights + at;
			at += round_up(source.count[part]);
		}
		for (part = 0; part < 2; part++) {
			size_t length = strlen(*texts[part]) + 1;

			memcpy(name, *texts[part], length);
			*texts[part] = name;
			name += length;
		}
	}
	return 0;
}

/* The plan of a graph whose output is its input, or the input under another shape. */
static int add_copy(ad_plan *plan, const ad_graph *g, adtool_error *err)
{
	int input = g->input;
	ad_node node = {.op = AD_OP_RESHAPE,
			.name = g->values[g->output].name,
			.kind = "Identity",
			.inputs = &input,
			.n_inputs = 1,
			.output = g->output};
	int code;

	plan->names = ad_strdup(node.name);
	if (!plan->names)
		return ad_fail_nomem(err);
	node.name = plan->names;
	plan->n_steps = 1;
	plan->places[0].where = IN_INPUT;
	plan->places[1].where = IN_OUTPUT;
	code = make_step(plan, 0, g, &node, err);
	return code;
}

static int plan_graph(ad_plan *plan, const ad_graph *g, adtool_error *err)
{
	struct place *places = ad_calloc(g->n_values, sizeof(*places));
	int *root = ad_malloc_array(g->n_values, sizeof(*root)), *kept = ad_malloc_array(g->n_nodes, sizeof(*kept));
	size_t all = 2, i, j, at = 0;
	int code;

	for (i = 0; i < g->n_nodes; i++)
		all += g->nodes[i].n_inputs + 1;
	plan->steps = ad_calloc(g->n_nodes + 1, sizeof(*plan->steps));
	plan->places = ad_calloc(all, sizeof(*plan->places));
	plan->first = ad_calloc(g->n_nodes + 1, sizeof(*plan->first));
	if (!places || !root || !kept || !plan->steps || !plan->places || !plan->first) {
		code = ad_fail_nomem(err);
		goto out;
	}
	plan->most_inputs = 1;
	plan->rank = g->values[g->output].rank;
	memcpy(plan->dims, g->values[g->output].dims, sizeof(plan->dims));
	plan->parameters = g->parameters;
	code = place_values(g, places, root, &plan->arena, err);
	if (code)
		goto out;
	if (root[g->output] == g->input) {
		code = add_copy(plan, g, err);
		goto out;
	}
	for (i = 0; i < g->n_nodes; i++) {
		const ad_node *node = &g->nodes[i];

		if (node->op == AD_OP_RESHAPE)
			continue;
		plan->first[plan->n_steps] = at;
		for (j = 0; j < node->n_inputs; j++)
			plan->places[at++] = places[root[node->inputs[j]]];
		plan->places[at++] = places[node->output];
		if (node->n_inputs > plan->most_inputs)
			plan->most_inputs = node->n_inputs;
		plan->multiply_adds += ad_node_multiply_adds(g, node);
		kept[plan->n_steps++] = (int)i;
		code = make_step(plan, plan->n_steps - 1, g, node, err);
		if (code)
			goto out;
	}
	code = copy_weights(plan, g, kept, err);
out:
	ad_free(places);
	ad_free(root);
	ad_free(kept);
	return code;
}

int ad_plan_build(const struct ad_onnx *onnx, const char *layer, const size_t shape[3], ad_pool *pool, ad_plan **out,
		  adtool_error *err)
{
	ad_graph *graph = NULL;
	ad_plan *plan;
	unsigned cpus = ad_cpu_count();
	int code = ad_graph_build(onnx, layer, shape, &graph, err);

	(void)pool;
	if (code)
		return code;
	plan = ad_calloc(1, sizeof(*plan));
	if (!plan) {
		ad_graph_free(graph);
		return ad_fail_nomem(err);
	}
	plan->strands = cpus < MOST_STRANDS ? cpus : MOST_STRANDS;
	code = plan_graph(plan, graph, err);
	ad_graph_free(graph);
	if (!code && plan->scratch > AD_MAX_ARENA / plan->strands)
		code = ad_fail(err, ADTOOL_ELIMIT, "a convolution needs more than %zu MiB beside its activations",
			       AD_MAX_ARENA >> 18);
	if (!code && plan->sgemm_steps)
		code = ad_sgemm_open(&plan->sgemm, err);
	if (code) {
		ad_plan_free(plan);
		return code;
	}
	*out = plan;
	return 0;
}

void ad_plan_free(ad_plan *plan)
{
	size_t i;

	if (!plan)
		return;
	for (i = 0; plan->steps && i < plan->n_steps; i++)
		ad_free(plan->steps[i].in_dims);
	ad_sgemm_close(plan->sgemm);
	ad_free(plan->steps);
	ad_free(plan->places);
	ad_free(plan->first);
	ad_free_aligned(plan->weights);
	ad_free(plan->names);
	ad_free(plan);
}

/* -- running ------------------------------------------------------------------------------------------- */

struct run {
	const ad_step *step;
	ad_step_data data;
	float *scratch;
	size_t scratch_step;
	size_t strands;
};

/* A strand has scratch of its own, so there may be fewer strands than threads. */
static void run_strand(void *context, size_t strand, unsigned worker)
{
	const struct run *run = context;
	ad_step_data data = run->data;
	size_t task;

	(void)worker;
	data.scratch = run->scratch + strand * run->scratch_step;
	for (task = strand; task < run->step->tasks; task += run->strands)
		run->step->fn(run->step, &data, task);
}

static float *find(const struct place *place, float *arena, const float *input, float *output)
{
	switch (place->where) {
	case IN_INPUT:
		/* Only ever read. */
		return (float *)(uintptr_t)input;
	case IN_OUTPUT:
		return output;
	default:
		return arena + place->offset;
	}
}

size_t ad_plan_arena_bytes(const ad_plan *plan)
{
	return (plan->arena + plan->strands * plan->scratch + round_up(plan->most_inputs * 2)) * sizeof(float);
}

void ad_plan_run(const ad_plan *plan, void *arena, ad_pool *pool, const float *input, float *output)
{
	float *floats = arena;
	const float **in = (const float **)(void *)(floats + plan->arena + plan->strands * plan->scratch);
	size_t i, j;

	for (i = 0; i < plan->n_steps; i++) {
		const ad_step *step = &plan->steps[i];
		const struct place *place = plan->places + plan->first[i];
		const unsigned threads = ad_pool_size(pool) < plan->strands ? ad_pool_size(pool) : plan->strands;
		struct run run = {.step = step, .scratch = floats + plan->arena, .scratch_step = plan->scratch};

		for (j = 0; j < step->node.n_inputs; j++)
			in[j] = find(&place[j], floats, input, output);
		run.data.in = in;
		run.data.out = find(&place[j], floats, input, output);
		run.data.sgemm = plan->sgemm;
		run.strands = step->tasks < threads ? step->tasks : threads;
		ad_pool_run(run.strands > 1 ? pool : NULL, run_strand, &run, run.strands);
	}
}

/* -- what it is ---------------------------------------------------------------------------------------- */

int ad_plan_output_dims(const ad_plan *plan, size_t dims[AD_RANK])
{
	memcpy(dims, plan->dims, sizeof(plan->dims));
	return plan->rank;
}

void ad_plan_output_shape(const ad_plan *plan, size_t shape[3])
{
	/* 1 x C x H x W, or 1 x C; a first dimension that is no batch counts as channels. */
	if (plan->rank == 4 || (plan->rank > 1 && plan->dims[0] == 1)) {
		shape[0] = plan->dims[0] * plan->dims[1];
		shape[1] = plan->dims[2];
		shape[2] = plan->dims[3];
	} else {
		shape[0] = plan->dims[0];
		shape[1] = plan->dims[1];
		shape[2] = plan->dims[2];
	}
}

size_t ad_plan_weight_bytes(const ad_plan *plan)
{
	return plan->weight_floats * sizeof(float);
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
	return plan->n_steps;
}

void ad_plan_node_at(const ad_plan *plan, size_t index, ad_plan_node *out)
{
	const ad_step *step = &plan->steps[index];
	int i;

	*out = (ad_plan_node){.name = step->node.name, .kind = step->node.kind, .algorithm = step->algorithm};
	for (i = 0; i < 3; i++)
		out->shape[i] = step->out_dims[1 + i];
	if (step->node.op == AD_OP_CONV)
		out->multiply_adds =
		    (double)step->out_count * (double)(step->in_dims[0][1] / step->node.u.conv.groups) *
		    (double)step->node.u.conv.window.kernel[0] * (double)step->node.u.conv.window.kernel[1];
	if (step->node.op == AD_OP_GEMM)
		out->multiply_adds = (double)step->out_count * (double)step->node.u.gemm.k;
}
