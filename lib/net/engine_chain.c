/*
 * Chains: [1x1 ->] depthwise [-> 1x1], as in inverted residuals, computed depth first. What lies between, the largest
 * values of such a network, is made a few rows at a time in the scratch of a task and never leaves its core's caches.
 *
 *   with the last 1x1   all channels of a few rows go through the whole chain: for planes of many pixels, of which rows
 *                       that two tasks need are computed by both
 *   without             a group of channels goes through the first two: for small planes, cut by channels
 *
 * Each element is computed as it would be by steps of their own, in the same bits.
 */
#include "engine_compile.h"

#include "../base/mem.h"

enum {
	WIDE_FLOATS = 1 << 19,  /* of depth's input: more do not go through memory, even if some rows are made twice; */
	LONG_FLOATS = 1 << 18,  /* or where none are, without expand */
	TALL_FLOATS = 1 << 15,  /* of a plane that is cut by rows, too */
	ALL_FLOATS = 1 << 17,   /* of rows with all channels that are kept in scratch: half a MiB */
	GROUP_FLOATS = 1 << 15, /* of rows of a group: 128 KiB */
	MOST_FLOATS = 1 << 18,  /* no chain where two rows of output take more */
	MOST_KERNEL = 7,
	MOST_BLOCKS = 3, /* of a group */
};

/* Convolutions of a chain whose weights are packed. */
enum { EXPAND = 1, PROJECT };

struct chain_step {
	conv_step expand, project; /* groups NULL: not there */
	window_step depth;
	size_t rows; /* of output, at a time */
	size_t kept; /* floats of a plane of depth's input in scratch */
	size_t made; /* of a plane of its output, before project */
	/* Cutting: task = part + parts * piece. */
	size_t pieces, parts;
};

/* -- running ----------------------------------------------------------------------------------------- */

/* A 1x1 convolution of neighbouring pixels. last: other weights, which follow, are used next. */
static void product(const conv_step *c, const run *r, const out_group *g, const float *in, size_t in_block,
		    size_t pixels, float *out, size_t out_block, const float *res, int last)
{
	size_t vl = r->k->vl;
	const float *w = r->e->weights + g->weights;

	r->k->conv(&(ad_conv_args){
	    .in = in,
	    .pixel = vl,
	    .n = {c->in_blocks, 1, 1},
	    .step = {in_block, 0, 0},
	    .run = vl,
	    .last = c->last,
	    .w = w,
	    .blocks = g->blocks,
	    .half = g->half,
	    .out = out,
	    .out_block = out_block,
	    .pixels = pixels,
	    .bias = c->bias == SIZE_MAX ? NULL : r->e->weights + c->bias + g->out_block * vl,
	    .res = res,
	    .res_block = c->out.plane,
	    .fn = c->fn,
	    .next = w + g->floats,
	    .next_count = last ? g->floats : 0,
	});
}

/* Rows that are made at a time. */
struct chunk {
	size_t y, n;      /* of depth's output: the first, and how many */
	size_t i0, i1;    /* of its input: i0 .. i1 - 1 */
	size_t had0, had; /* those of the chunk before, which still are in scratch */
	int last;         /* of the task */
};

/* Depth's input for a group: rows that are in scratch move up, the others are made from `in`, the chain's. */
static void expand_rows(const struct chain_step *c, const run *r, const out_group *g, const struct chunk *k,
			const float *in, float *kept)
{
	const shape *s = &c->depth.in;
	size_t line = s->w * r->k->vl, old = k->had > k->i0 ? k->had - k->i0 : 0, from_row = k->i0 + old;

	for (size_t b = 0; old && k->i0 > k->had0 && b < g->blocks; b++)
		memmove(kept + b * c->kept, kept + b * c->kept + (k->i0 - k->had0) * line, old * line * sizeof(*kept));
	if (k->i1 > from_row)
		product(&c->expand, r, g, in + from_row * line, c->expand.in.plane, (k->i1 - from_row) * s->w,
			kept + old * line, c->kept, NULL, k->last);
}

/* in: row `row0` of block b0. */
static void depth_rows(const window_step *w, const run *r, size_t b0, size_t blocks, const struct chunk *k,
		       const float *in, size_t in_block, size_t row0, float *out, size_t out_block)
{
	size_t vl = r->k->vl, taps = w->window.kernel[0] * w->window.kernel[1];
	ad_window_args a = {
	    .row0 = row0, .h = w->in.h, .w = w->in.w, .ow = w->out.w, .y0 = k->y, .y1 = k->y + k->n, .fn = w->fn};

	memcpy(a.kernel, w->window.kernel, sizeof(a.kernel));
	memcpy(a.stride, w->window.stride, sizeof(a.stride));
	memcpy(a.dilation, w->window.dilation, sizeof(a.dilation));
	memcpy(a.pads, w->window.pads, sizeof(a.pads));
	for (size_t b = 0; b < blocks; b++) {
		a.in = in + b * in_block;
		a.out = out + b * out_block;
		a.weights = r->e->weights + w->weights + (b0 + b) * taps * vl;
		a.bias = w->bias == SIZE_MAX ? NULL : r->e->weights + w->bias + (b0 + b) * vl;
		w->kernel(&a);
	}
}

static void run_chain(const step *s, const run *r, size_t task, float *scratch)
{
	const struct chain_step *c = s->u.chain;
	const window_step *d = &c->depth;
	const conv_step *p = &c->project;
	size_t vl = r->k->vl, piece = task / c->parts, part = task % c->parts,
	       groups = c->expand.groups ? c->expand.n_groups : 1;
	size_t y0 = cut(d->out.h, piece, c->pieces), y1 = cut(d->out.h, piece + 1, c->pieces);
	size_t g1 = cut(groups, part + 1, c->parts), end;
	const float *in = from(r, s->in), *res = s->res.buffer == BUFFER_NONE ? NULL : from(r, s->res);
	float *out = at(r, s->out), *made = scratch + (c->expand.groups ? d->in.blocks * c->kept : 0);

	for (size_t g0 = cut(groups, part, c->parts); g0 < g1; g0 = end) {
		struct chunk k = {.y = y0};

		end = p->groups ? g1 : g0 + 1;
		for (; k.y < y1; k.y += k.n) {
			size_t to = k.y * d->out.w * vl;

			k.n = min_size(c->rows, y1 - k.y);
			k.last = k.y + k.n == y1;
			engine_window_rows(d, k.y, k.y + k.n, &k.i0, &k.i1);
			for (size_t g = g0; g < end; g++) {
				const out_group whole = {.blocks = d->in.blocks},
						*group = c->expand.groups ? &c->expand.groups[g] : &whole;
				float *kept = scratch + (p->groups ? group->out_block * c->kept : 0);
				size_t b = group->out_block;

				if (c->expand.groups)
					expand_rows(c, r, group, &k, in, kept);
				depth_rows(d, r, b, group->blocks, &k, c->expand.groups ? kept : in,
					   c->expand.groups ? c->kept : d->in.plane, c->expand.groups ? k.i0 : 0,
					   p->groups ? made + b * c->made : out + b * d->out.plane + to,
					   p->groups ? c->made : d->out.plane);
			}
			k.had0 = k.i0;
			k.had = k.i1;
			for (size_t g = 0; p->groups && g < p->n_groups; g++) {
				size_t at0 = p->groups[g].out_block * p->out.plane + to;

				product(p, r, &p->groups[g], made, c->made, k.n * d->out.w, out + at0, p->out.plane,
					res ? res + at0 : NULL, 0);
			}
		}
	}
}

/* -- planning ---------------------------------------------------------------------------------------- */

/* A 1x1 convolution of stride 1 in floats, with nothing fused into it. */
static int is_product(const struct compiler *c, int node)
{
	const ad_node *n = &c->g->nodes[node];
	const ad_window *w = &n->u.conv.window;

	return n->op == AD_OP_CONV && is_pointwise(w) && w->stride[0] == 1 && w->stride[1] == 1 &&
	       n->u.conv.groups == 1 &&
	       !engine_bf16_suits(&n->u.conv, c->values[n->inputs[0]].shape.c, c->values[n->output].shape.c,
				  (ad_fn){AD_FN_NONE, 0, 0}) &&
	       !c->skip[node] && c->pre[node] < 0 && c->chains[node].depth < 0;
}

static int is_depthwise(const struct compiler *c, int node)
{
	const ad_node *n = &c->g->nodes[node];
	const ad_window *w = &n->u.conv.window;
	size_t in = c->values[n->inputs[0]].shape.c;

	return n->op == AD_OP_CONV && !c->skip[node] && in > 1 && n->u.conv.groups == in &&
	       c->values[n->output].shape.c == in && !n->u.conv.residual && w->kernel[0] <= MOST_KERNEL &&
	       w->kernel[1] <= MOST_KERNEL;
}

/* The node whose output only node `node` reads, as its first input; -1. */
static int before(const struct compiler *c, int node)
{
	int v = c->g->nodes[node].inputs[0];

	return c->g->values[v].readers == 1 ? c->g->values[v].producer : -1;
}

/* Floats of one plane of depth's input that so many rows of its output read. */
static size_t kept_floats(const ad_engine *e, const window_step *d, size_t rows)
{
	return (min_size(span(&d->window, 0, rows), d->in.h) * d->in.w | 1) * e->k->vl;
}

/* And of one plane of those rows. An odd number of pixels: planes must not all fall on the same lines of the cache. */
static size_t made_floats(const ad_engine *e, const window_step *d, size_t rows)
{
	return (rows * d->out.w | 1) * e->k->vl;
}

/*
 * Cuts rows and channels; returns the scratch, 0 if it would be too much. expand, project: whether they are there;
 * planes, groups: of depth's input that are expanded at a time, and how many such there are.
 */
static size_t cut_chain(const ad_engine *e, struct chain_step *c, int expand, int project, size_t planes, size_t groups)
{
	const window_step *d = &c->depth;
	size_t overlap = d->window.kernel[0] > d->window.stride[0] ? d->window.kernel[0] - d->window.stride[0] : 0;
	size_t most = project ? ALL_FLOATS : GROUP_FLOATS, rows = 2, piece, kept = 0, made = 0;

	c->parts = project ? 1 : groups;
	c->pieces = 1;
	/* Few of expand's rows twice. */
	if (project)
		c->pieces = max_size(2, min_size(8, d->out.h / (14 * (expand && overlap ? overlap : 1))));
	else if (groups < 4 || d->in.plane > TALL_FLOATS)
		c->pieces = 2;
	c->pieces = min_size(c->pieces, max_size(1, d->out.h / 2));
	piece = div_up(d->out.h, c->pieces);
	planes = project ? d->in.blocks : planes;
	for (;; rows += 2) {
		size_t next_kept = expand ? kept_floats(e, d, rows) : 0,
		       next_made = project ? made_floats(e, d, rows) : 0;

		if (rows > 2 && (rows >= piece + 2 || max_size(next_kept, next_made) > most / planes))
			break;
		kept = next_kept;
		made = next_made;
	}
	if (kept + made > MOST_FLOATS / planes)
		return 0;
	/* As even as they come. */
	c->rows = div_up(div_up(piece, div_up(piece, rows - 2)), 2) * 2;
	c->kept = kept;
	c->made = made;
	return planes * (kept + made);
}

/* Whether it pays, and there is room for it. */
static int suits(const struct compiler *c, int expand, int depth, int project)
{
	const ad_node *d = &c->g->nodes[depth];
	const shape *in = &c->values[d->inputs[0]].shape;
	struct chain_step chain = {.depth = {.window = d->u.conv.window, .in = *in, .out = c->values[d->output].shape}};

	if (project >= 0 ? in->blocks * in->plane <= (size_t)(expand >= 0 ? WIDE_FLOATS : LONG_FLOATS) : expand < 0)
		return 0;
	return cut_chain(c->e, &chain, expand >= 0, project >= 0, MOST_BLOCKS, div_up(in->blocks, MOST_BLOCKS)) > 0;
}

/* Marks the chain that ends in `depth` or `project`, if there is one. */
static void mark(struct compiler *c, int depth, int project)
{
	int expand = before(c, depth);

	if (expand >= 0 && (!is_product(c, expand) || c->g->nodes[expand].u.conv.residual ||
			    c->values[c->g->nodes[expand].inputs[0]].shape.c < c->e->k->vl))
		expand = -1;
	if (!suits(c, expand, depth, project))
		return;
	c->chains[project >= 0 ? project : depth] = (struct chain){expand, depth};
	if (expand >= 0)
		c->skip[expand] = 1;
	if (project >= 0)
		c->skip[depth] = 1;
}

void engine_chains(struct compiler *c)
{
	const ad_graph *g = c->g;

	for (size_t i = 0; i < g->n_nodes; i++)
		c->chains[i] = (struct chain){-1, -1};
	if (c->ranges) /* in 8 bits, mostly */
		return;
	for (size_t i = 0; i < g->n_nodes; i++) {
		int depth = is_product(c, (int)i) ? before(c, (int)i) : -1;

		if (depth >= 0 && is_depthwise(c, depth))
			mark(c, depth, (int)i);
	}
	for (size_t i = 0; i < g->n_nodes; i++)
		if (is_depthwise(c, (int)i))
			mark(c, (int)i, -1);
}

/* Plans a convolution of the chain; its weights find it by `part`. */
static int plan_part(struct compiler *c, int node, int part, step *s)
{
	const ad_node *n = &c->g->nodes[node];
	ad_engine *e = c->e;
	size_t first = e->n_fills;
	int rc;

	s->u.conv = (conv_step){.scale = SIZE_MAX, .shift = SIZE_MAX};
	rc = engine_conv_plan(e, s, e->n_steps, n, c->values[n->inputs[0]].shape, c->values[n->output].shape, 0);
	for (; first < e->n_fills; first++)
		e->fills[first].part = part;
	return rc;
}

int engine_visit_chain(struct compiler *c, size_t i)
{
	const ad_node *node = &c->g->nodes[i];
	int expand = c->chains[i].expand, depth = c->chains[i].depth, project = depth == (int)i ? -1 : (int)i;
	int v = c->g->nodes[expand >= 0 ? expand : depth].inputs[0], rc = engine_need_blocked(c, v, i);
	step s = {.run = run_chain, .node = i, .algorithm = "depth-first", .res = nowhere}, part;
	struct chain_step *chain;
	size_t planes = 0, g;

	if (!rc && node->u.conv.residual)
		rc = engine_need_blocked(c, node->inputs[1], i);
	if (!rc)
		rc = engine_place_blocked(c, node->output);
	if (rc)
		return rc;
	s.in = c->values[v].blocked;
	s.out = c->values[node->output].blocked;
	if (node->u.conv.residual)
		s.res = c->values[node->inputs[1]].blocked;
	s.u.chain = chain = ad_calloc(1, sizeof(*chain));
	if (!chain)
		return ADTOOL_ENOMEM;
	if (expand >= 0) {
		rc = plan_part(c, expand, EXPAND, &part);
		chain->expand = part.u.conv;
	}
	if (!rc) {
		rc = plan_part(c, depth, 0, &part);
		chain->depth = part.u.window;
	}
	if (!rc && project >= 0) {
		rc = plan_part(c, project, PROJECT, &part);
		chain->project = part.u.conv;
	}
	if (rc)
		goto fail;
	for (g = 0; g < chain->expand.n_groups; g++)
		planes = max_size(planes, chain->expand.groups[g].blocks);
	s.scratch = cut_chain(c->e, chain, expand >= 0, project >= 0, planes, chain->expand.n_groups);
	s.tasks = chain->pieces * chain->parts;
	rc = engine_step(c->e, &s);
	if (!rc)
		return 0;
fail:
	engine_chain_release(&s);
	return rc;
}

const conv_step *engine_chain_conv(const step *s, int part)
{
	return s->run != run_chain ? NULL : part == EXPAND ? &s->u.chain->expand : &s->u.chain->project;
}

void engine_chain_release(step *s)
{
	if (s->run != run_chain)
		return;
	ad_free(s->u.chain->expand.groups);
	ad_free(s->u.chain->project.groups);
	ad_free(s->u.chain);
}
