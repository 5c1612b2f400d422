/* Nodes left to plain loops (ops.h): compiled, and run. */
#include "engine_compile.h"

#include "../base/mem.h"

static void align_right(const ad_value *v, size_t dims[AD_RANK])
{
	for (int i = 0; i < AD_RANK; i++)
		dims[i] = i < AD_RANK - v->rank ? 1 : v->dims[i - (AD_RANK - v->rank)];
}

static void free_plain(struct plain_step *p)
{
	ad_free(p->step.in_dims);
	ad_free(p->in);
	ad_free(p);
}

int engine_visit_plain(struct compiler *c, size_t i)
{
	ad_engine *e = c->e;
	const ad_node *node = &c->g->nodes[i];
	const ad_value *y = &c->g->values[node->output];
	step s = {.run = engine_run_plain, .node = i, .in = nowhere, .res = nowhere};
	struct plain_step *p = NULL;
	int rc = 0;

	for (size_t j = 0; j < node->n_inputs && !rc; j++)
		rc = engine_need_plain(c, node->inputs[j], i);
	if (!rc)
		rc = engine_place_plain(c, node->output);
	if (rc)
		return rc;
	p = ad_calloc(1, sizeof(*p));
	if (!p)
		return ADTOOL_ENOMEM;
	p->step.node = *node;
	p->step.node.inputs = NULL;
	p->step.in_dims = ad_malloc_array(node->n_inputs, sizeof(*p->step.in_dims));
	p->in = ad_malloc_array(node->n_inputs, sizeof(*p->in));
	if (!p->step.in_dims || !p->in)
		goto fail;
	for (size_t j = 0; j < node->n_inputs; j++) {
		align_right(&c->g->values[node->inputs[j]], p->step.in_dims[j]);
		p->in[j] = c->values[node->inputs[j]].plain;
		engine_touch(e, p->in[j], e->n_steps);
	}
	align_right(y, p->step.out_dims);
	p->step.rank = y->rank;
	p->step.in_count = c->g->values[node->inputs[0]].count;
	p->step.out_count = y->count;
	p->step.channels = y->rank > 1 ? y->dims[1] : 1;
	p->step.inner = y->dims[2] * y->dims[3];
	ad_step_choose(&p->step);
	s.algorithm = p->step.algorithm;
	s.tasks = p->step.tasks;
	s.scratch = p->step.scratch;
	s.out = c->values[node->output].plain;
	s.u.plain = p;
	if (engine_step(e, &s))
		goto fail;
	return 0;
fail:
	free_plain(p);
	return ADTOOL_ENOMEM;
}

void engine_plain_release(step *s)
{
	if (s->run == engine_run_plain)
		free_plain(s->u.plain);
}

/* Constants of nodes left to plain loops: the graph goes, so they are kept. */
int engine_keep_constants(struct compiler *c)
{
	ad_engine *e = c->e;

	for (size_t i = 0; i < e->n_steps; i++) {
		const ad_node *n;
		size_t size;

		if (e->steps[i].run != engine_run_plain)
			continue;
		n = &e->steps[i].u.plain->step.node;
		if (n->op == AD_OP_CONV) {
			size = n->u.conv.window.kernel[0] * n->u.conv.window.kernel[1] *
			       c->g->values[c->g->nodes[e->steps[i].node].inputs[0]].dims[1] / n->u.conv.groups *
			       e->steps[i].u.plain->step.channels;
			if (engine_vector(e, n->u.conv.weights, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
			e->fills[e->n_fills - 1].halves = n->u.conv.halves;
			size = e->steps[i].u.plain->step.channels;
			if (n->u.conv.bias && engine_vector(e, n->u.conv.bias, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
		} else if (n->op == AD_OP_SCALE) {
			size = c->g->values[c->g->nodes[e->steps[i].node].inputs[0]].dims[1];
			if (engine_vector(e, n->u.scale.scale, size, size, 0) == SIZE_MAX ||
			    engine_vector(e, n->u.scale.shift, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
		} else if (n->op == AD_OP_BINARY && n->u.binary.constant) {
			const size_t *d = n->u.binary.constant_dims;

			size = d[0] * d[1] * d[2] * d[3];
			if (engine_vector(e, n->u.binary.constant, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
		} else if (n->op == AD_OP_GEMM) {
			size = n->u.gemm.n * n->u.gemm.k;
			if (engine_vector(e, n->u.gemm.weights, size, size, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
			if (n->u.gemm.bias && engine_vector(e, n->u.gemm.bias, n->u.gemm.n, n->u.gemm.n, 0) == SIZE_MAX)
				return ADTOOL_ENOMEM;
		}
	}
	return 0;
}

/* The same pointers, now into the weights. */
static const float *kept(const ad_engine *e, const ad_loose *from, const ad_loose_half *halves)
{
	for (size_t f = 0; f < e->n_fills; f++)
		if (e->fills[f].kind == FILL_VECTOR && e->fills[f].from == from && e->fills[f].halves == halves &&
		    e->fills[f].count == e->fills[f].total)
			return e->weights + e->fills[f].offset;
	return NULL;
}

void engine_turn_to_kept(ad_engine *e)
{
	for (size_t i = 0; i < e->n_steps; i++) {
		ad_node *n;

		if (e->steps[i].run != engine_run_plain)
			continue;
		n = &e->steps[i].u.plain->step.node;
		n->name = n->kind = NULL;
		if (n->op == AD_OP_CONV) {
			n->u.conv.weights = kept(e, n->u.conv.weights, n->u.conv.halves);
			n->u.conv.halves = NULL;
			if (n->u.conv.bias)
				n->u.conv.bias = kept(e, n->u.conv.bias, NULL);
		} else if (n->op == AD_OP_SCALE) {
			n->u.scale.scale = kept(e, n->u.scale.scale, NULL);
			n->u.scale.shift = kept(e, n->u.scale.shift, NULL);
		} else if (n->op == AD_OP_BINARY && n->u.binary.constant) {
			n->u.binary.constant = kept(e, n->u.binary.constant, NULL);
		} else if (n->op == AD_OP_GEMM) {
			n->u.gemm.weights = kept(e, n->u.gemm.weights, NULL);
			if (n->u.gemm.bias)
				n->u.gemm.bias = kept(e, n->u.gemm.bias, NULL);
		}
	}
}

void engine_run_plain(const step *s, const run *r, size_t task, float *scratch)
{
	const struct plain_step *p = s->u.plain;
	ad_step_data data = {.in = (const float *const *)(const void *)(r->arena + p->pointers),
			     .out = at(r, s->out),
			     .scratch = scratch};

	p->step.fn(&p->step, &data, task);
}
