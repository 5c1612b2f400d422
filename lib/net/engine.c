/*
 * The engine: made of a compiled graph (engine_compile.c) by placing its buffers in the arena by lifetime and packing
 * its weights.
 */
#include "engine_compile.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "plan.h"

enum { LINE_FLOATS = LINE_BYTES / sizeof(float), MOST_SLOTS = 16 };

/* -- growing lists ----------------------------------------------------------------------------------- */

static void *grow(void *list, size_t n, size_t *room, size_t size)
{
	void *bigger;

	if (n < *room)
		return list;
	bigger = ad_realloc_array(list, *room * 2 + 16, size);
	if (bigger)
		*room = *room * 2 + 16;
	return bigger;
}

size_t engine_weights(ad_engine *e, size_t floats)
{
	size_t offset = e->n_weights;

	e->n_weights += div_up(floats, LINE_FLOATS) * LINE_FLOATS;
	return offset;
}

fill *engine_fill(ad_engine *e)
{
	fill *list = grow(e->fills, e->n_fills, &e->room_fills, sizeof(*list));

	if (!list)
		return NULL;
	e->fills = list;
	list[e->n_fills] = (fill){0};
	return &list[e->n_fills++];
}

size_t engine_vector(ad_engine *e, const ad_loose *values, size_t count, size_t total, float rest)
{
	fill *f = engine_fill(e);

	if (!f)
		return SIZE_MAX;
	*f = (fill){.kind = FILL_VECTOR,
		    .offset = engine_weights(e, total),
		    .from = values,
		    .count = count,
		    .total = total,
		    .rest = rest};
	return f->offset;
}

int engine_buffer(ad_engine *e, size_t floats, place *out)
{
	buffer *list = grow(e->buffers, e->n_buffers, &e->room_buffers, sizeof(*list));

	if (!list)
		return ADTOOL_ENOMEM;
	e->buffers = list;
	list[e->n_buffers] = (buffer){.floats = div_up(floats, LINE_FLOATS) * LINE_FLOATS, .first = SIZE_MAX};
	*out = (place){(int)e->n_buffers++, 0};
	return 0;
}

void engine_touch(ad_engine *e, place p, size_t index)
{
	buffer *b;

	if (p.buffer < 0)
		return;
	b = &e->buffers[p.buffer];
	b->first = min_size(b->first, index);
	b->last = max_size(b->last, index);
}

int engine_step(ad_engine *e, const step *s)
{
	step *list = grow(e->steps, e->n_steps, &e->room_steps, sizeof(*list));

	if (!list)
		return ADTOOL_ENOMEM;
	e->steps = list;
	list[e->n_steps] = *s;
	engine_touch(e, s->in, e->n_steps);
	engine_touch(e, s->out, e->n_steps);
	engine_touch(e, s->res, e->n_steps);
	e->algorithms[s->node] = s->algorithm;
	e->n_steps++;
	return 0;
}

int engine_form(ad_engine *e, const step *s)
{
	const char *algorithm = e->algorithms[s->node];
	int rc = engine_step(e, s);

	e->algorithms[s->node] = algorithm;
	return rc;
}

/* -- placing ----------------------------------------------------------------------------------------- */

/* Largest first, each at the lowest offset where no buffer alive at the same time lies. */
static int place_buffers(ad_engine *e, size_t input, size_t *bytes, adtool_error *err)
{
	size_t *order = ad_malloc_array(e->n_buffers, sizeof(*order)), total = 0;
	size_t *near = ad_malloc_array(e->n_buffers, sizeof(*near));
	size_t most = min_size(AD_FREE_ARENA + AD_ARENA_PER_INPUT * input, AD_MAX_ARENA);

	if (!order || !near) {
		ad_free(order);
		ad_free(near);
		return ad_fail_nomem(err);
	}
	for (size_t i = 0; i < e->n_buffers; i++) {
		size_t j = i;

		for (; j > 0 && e->buffers[order[j - 1]].floats < e->buffers[i].floats; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	for (size_t i = 0; i < e->n_buffers; i++) {
		buffer *b = &e->buffers[order[i]];
		size_t n = 0, offset = 0, size = b->floats * sizeof(float);

		/* Those already placed that live at the same time, by offset. */
		for (size_t j = 0; j < i; j++) {
			const buffer *o = &e->buffers[order[j]];
			size_t k = n;

			if (o->first > b->last || b->first > o->last)
				continue;
			for (; k > 0 && e->buffers[near[k - 1]].offset > o->offset; k--)
				near[k] = near[k - 1];
			near[k] = order[j];
			n++;
		}
		for (size_t j = 0; j < n; j++) {
			const buffer *o = &e->buffers[near[j]];

			if (offset + size <= o->offset)
				break;
			offset = max_size(offset, o->offset + o->floats * sizeof(float));
		}
		b->offset = offset;
		total = max_size(total, offset + size);
	}
	ad_free(order);
	ad_free(near);
	*bytes = total;
	if (total / sizeof(float) > most)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "activations take more than %zu MiB, too much for an input of this size", most >> 18);
	return 0;
}

/* -- weights ----------------------------------------------------------------------------------------- */

static void fill_one(void *context, size_t task, unsigned worker)
{
	const ad_engine *e = context;
	const fill *f = &e->fills[task];
	float *to = e->weights + f->offset;
	size_t vl = e->k->vl;

	(void)worker;
	switch (f->kind) {
	case FILL_VECTOR:
		if (f->count && f->halves)
			ad_halves_to_floats(f->halves, f->count, to);
		else if (f->count)
			memcpy(to, f->from, f->count * sizeof(*to));
		for (size_t i = f->count; i < f->total; i++)
			to[i] = f->rest;
		break;
	case FILL_CONV:
		engine_conv_fill(e, f);
		break;
	case FILL_INT8:
		engine_int8_fill(e, f);
		break;
	case FILL_DEPTHWISE:
		for (size_t c = 0; c < f->count; c += vl)
			e->k->pack(&(ad_pack_args){.in = f->halves ? NULL : f->from + c * f->total,
						   .halves = f->halves ? f->halves + c * f->total : NULL,
						   .step = f->total,
						   .channels = min_size(vl, f->count - c),
						   .pixels = f->total,
						   .out = to + c * f->total,
						   .pixel = vl});
		break;
	}
}

/* most: floats. */
static int fill_weights(ad_engine *e, size_t most, ad_pool *pool, adtool_error *err)
{
	if (e->n_weights > most)
		return ad_fail(err, ADTOOL_ELIMIT, "weights take more than %zu MiB, too much for a file of this size",
			       most >> 18);
	e->weights = ad_malloc_aligned(e->n_weights, sizeof(float));
	if (!e->weights)
		return ad_fail_nomem(err);
	ad_pool_run(pool, fill_one, e, e->n_fills);
	return 0;
}

/* -- the engine --------------------------------------------------------------------------------------- */

int ad_engine_create(const ad_graph *graph, const ad_kernels *kernels, const ad_range *const *ranges, ad_pool *pool,
		     ad_engine **out, adtool_error *err)
{
	ad_engine *e = ad_calloc(1, sizeof(*e));
	struct compiler c = {.e = e, .g = graph, .ranges = ranges};
	size_t scratch = 0, bytes = 0, i;
	unsigned cpus = ad_cpu_count();
	int rc;

	if (!e)
		return ad_fail_nomem(err);
	e->k = kernels;
	e->k8 = ad_int8_kernels_for(kernels->isa);
	e->kb = ad_bf16_kernels_for(kernels->isa);
	e->n_nodes = graph->n_nodes;
	e->algorithms = ad_calloc(graph->n_nodes + 1, sizeof(*e->algorithms));
	e->doers = ad_malloc_array(graph->n_nodes, sizeof(*e->doers));
	c.values = ad_malloc_array(graph->n_values, sizeof(*c.values));
	c.pre = ad_malloc_array(graph->n_nodes, sizeof(*c.pre));
	c.moved = ad_malloc_array(graph->n_nodes, sizeof(*c.moved));
	c.chains = ad_malloc_array(graph->n_nodes, sizeof(*c.chains));
	c.skip = ad_calloc(graph->n_nodes, 1);
	if (!e->algorithms || !e->doers || !c.chains || !c.values || !c.pre || !c.moved || !c.skip)
		rc = ADTOOL_ENOMEM;
	else
		rc = engine_compile(&c);
	if (!rc)
		rc = engine_keep_constants(&c);
	if (rc == ADTOOL_ENOMEM)
		ad_fail_nomem(err);
	if (!rc)
		rc = place_buffers(e, graph->values[graph->input].count, &bytes, err);
	if (!rc)
		rc = fill_weights(e, graph->most_bytes / sizeof(float), pool, err);
	if (rc)
		goto out;
	engine_turn_to_kept(e);
	scratch = 0;
	for (i = 0; i < e->n_steps; i++) {
		struct plain_step *p = e->steps[i].run == engine_run_plain ? e->steps[i].u.plain : NULL;

		scratch = max_size(scratch, e->steps[i].scratch);
		if (p) {
			p->pointers = bytes;
			bytes += div_up(p->step.node.n_inputs * sizeof(float *), LINE_BYTES) * LINE_BYTES;
		}
	}
	e->slots = cpus < MOST_SLOTS ? cpus : MOST_SLOTS;
	if (scratch > AD_MAX_ARENA / e->slots) {
		rc = ad_fail(err, ADTOOL_ELIMIT, "a convolution needs more than %zu MiB beside its activations",
			     AD_MAX_ARENA >> 18);
		goto out;
	}
	e->counters_at = div_up(bytes, LINE_BYTES) * LINE_BYTES;
	e->scratch_at = e->counters_at + e->n_steps * (e->slots + 1) * LINE_BYTES;
	/* A page between, and sizes that are no power of two, so that slots do not meet in the same cache sets. */
	e->scratch_bytes = div_up(scratch * sizeof(float), 4096) * 4096 + LINE_BYTES * 5;
	e->arena_bytes = e->scratch_at + e->slots * e->scratch_bytes;
	*out = e;
	e = NULL;
out:
	ad_free(c.values);
	ad_free(c.pre);
	ad_free(c.moved);
	ad_free(c.chains);
	ad_free(c.skip);
	ad_free(c.scales);
	ad_engine_free(e);
	return rc;
}

void ad_engine_free(ad_engine *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n_steps; i++) {
		engine_plain_release(&e->steps[i]);
		engine_int8_release(&e->steps[i]);
		engine_conv_release(&e->steps[i]);
		engine_chain_release(&e->steps[i]);
	}
	ad_free(e->steps);
	ad_free(e->buffers);
	ad_free(e->fills);
	ad_free(e->algorithms);
	ad_free(e->doers);
	ad_free_aligned(e->weights);
	ad_free(e);
}

/* -- what it is -------------------------------------------------------------------------------------- */

size_t ad_engine_arena_bytes(const ad_engine *e)
{
	return e->arena_bytes;
}

size_t ad_engine_weight_bytes(const ad_engine *e)
{
	return e->n_weights * sizeof(float);
}

const char *ad_engine_algorithm(const ad_engine *e, size_t node)
{
	return e->algorithms[node] ? e->algorithms[node] : "";
}

size_t ad_engine_doer(const ad_engine *e, size_t node)
{
	return e->doers[node];
}
