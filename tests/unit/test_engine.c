/*
 * The engine against a plain interpreter in double: random convolutions, and random graphs of every operator, on every
 * instruction set this machine has; the same bits for any number of threads.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/base/mem.h"
#include "../../lib/base/rng.h"
#include "../../lib/net/engine.h"
#include "../../lib/net/net.h"
#include "../../lib/net/ranges.h"
#include "skip.h"

enum { MOST_NODES = 24, MOST_INPUTS = 4, MOST_OUTPUTS = 3 };

/* -- graphs made by hand ----------------------------------------------------------------------------- */

struct made {
	ad_graph g;
	ad_value values[MOST_NODES + 1];
	ad_node nodes[MOST_NODES];
	int inputs[MOST_NODES][MOST_INPUTS], outputs[MOST_OUTPUTS];
	float *constants[4 * MOST_NODES];
	size_t n_constants;
	ad_rng rng;
};

static size_t below(struct made *m, size_t n)
{
	return (size_t)ad_rng_below(&m->rng, n);
}

static size_t between(struct made *m, size_t a, size_t b)
{
	return a + below(m, b - a + 1);
}

static const float *constant(struct made *m, size_t n, double scale, double shift)
{
	float *f = malloc((n ? n : 1) * sizeof(*f));

	assert_non_null(f);
	for (size_t i = 0; i < n; i++)
		f[i] = (float)(shift + scale * (2 * ad_rng_double(&m->rng) - 1));
	m->constants[m->n_constants++] = f;
	return f;
}

static int add_value(struct made *m, int rank, size_t d0, size_t d1, size_t d2, size_t d3)
{
	ad_value *v = &m->values[m->g.n_values];

	*v = (ad_value){
	    .name = "value", .rank = rank, .dims = {d0, d1, d2, d3}, .count = d0 * d1 * d2 * d3, .producer = -1};
	return (int)m->g.n_values++;
}

static ad_node *add_node(struct made *m, enum ad_op op, int out, int in0)
{
	ad_node *n = &m->nodes[m->g.n_nodes];

	*n = (ad_node){
	    .op = op, .name = "node", .kind = "Kind", .inputs = m->inputs[m->g.n_nodes], .n_inputs = 1, .output = out};
	n->inputs[0] = in0;
	m->values[out].producer = (int)m->g.n_nodes++;
	return n;
}

static void begin(struct made *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	ad_rng_seed(&m->rng, seed);
	m->g.values = m->values;
	m->g.nodes = m->nodes;
	m->g.most_bytes = (size_t)1 << 30;
}

static void finish(struct made *m, int output)
{
	m->outputs[0] = output;
	m->g.outputs = m->outputs;
	m->g.n_outputs = 1;
	for (size_t i = 0; i < m->g.n_nodes; i++)
		for (size_t j = 0; j < m->nodes[i].n_inputs; j++)
			m->values[m->nodes[i].inputs[j]].readers++;
	m->values[output].readers++;
}

/* After finish: value v is an output, too. */
static void add_output(struct made *m, int v)
{
	m->outputs[m->g.n_outputs++] = v;
	m->values[v].readers++;
}

static void drop(struct made *m)
{
	for (size_t i = 0; i < m->n_constants; i++)
		free(m->constants[i]);
}

static ad_activation random_activation(struct made *m)
{
	switch (below(m, 9)) {
	case 0:
	case 1:
		return (ad_activation){AD_ACT_RELU, 0, 0};
	case 2:
		return (ad_activation){AD_ACT_LEAKY, 0.1f, 0};
	case 3:
		return (ad_activation){AD_ACT_CLIP, -0.5f, 1.5f};
	case 4:
		return (ad_activation){AD_ACT_SIGMOID, 0, 0};
	case 5:
		return (ad_activation){AD_ACT_HARDSIGMOID, 0.2f, 0.5f};
	case 6:
		return (ad_activation){AD_ACT_HARDSWISH, 1.0f / 6, 0.5f};
	case 7:
		return (ad_activation){AD_ACT_SWISH, 0, 0};
	default:
		return (ad_activation){AD_ACT_NONE, 0, 0};
	}
}

/* -- the interpreter --------------------------------------------------------------------------------- */

static double act(ad_activation a, double x)
{
	double s = fmax(0, fmin(1, (double)a.a * x + (double)a.b));

	switch (a.kind) {
	case AD_ACT_RELU:
		return x < 0 ? 0 : x;
	case AD_ACT_LEAKY:
		return x < 0 ? (double)a.a * x : x;
	case AD_ACT_CLIP:
		return fmin(fmax(x, (double)a.a), (double)a.b);
	case AD_ACT_SIGMOID:
		return 1 / (1 + exp(-x));
	case AD_ACT_HARDSIGMOID:
		return s;
	case AD_ACT_HARDSWISH:
		return x * s;
	case AD_ACT_SWISH:
		return x / (1 + exp(-x));
	default:
		return x;
	}
}

static void right(const ad_value *v, size_t dims[AD_RANK])
{
	for (int i = 0; i < AD_RANK; i++)
		dims[i] = i < AD_RANK - v->rank ? 1 : v->dims[i - (AD_RANK - v->rank)];
}

/* The place of index `at` (of `dims`) in an operand of right-aligned dims `of`, broadcast. */
static size_t broadcast(const size_t at[AD_RANK], const size_t of[AD_RANK])
{
	size_t p = 0;

	for (int i = 0; i < AD_RANK; i++)
		p = p * of[i] + (of[i] == 1 ? 0 : at[i]);
	return p;
}

static void interpret_window(const ad_node *n, const ad_value *x, const ad_value *y, const double *in,
			     const double *res, double *out)
{
	const ad_window *w = n->op == AD_OP_CONV ? &n->u.conv.window : &n->u.pool.window;
	size_t groups = n->op == AD_OP_CONV ? n->u.conv.groups : y->dims[1], ig = x->dims[1] / groups,
	       og = y->dims[1] / groups;
	size_t h = x->dims[2], wd = x->dims[3];

	for (size_t o = 0; o < y->dims[1]; o++)
		for (size_t oy = 0; oy < y->dims[2]; oy++)
			for (size_t ox = 0; ox < y->dims[3]; ox++) {
				double sum = 0, most = -INFINITY, cells = 0;
				size_t at = (o * y->dims[2] + oy) * y->dims[3] + ox;

				for (size_t i = 0; i < ig; i++)
					for (size_t ky = 0; ky < w->kernel[0]; ky++)
						for (size_t kx = 0; kx < w->kernel[1]; kx++) {
							size_t py = oy * w->stride[0] + ky * w->dilation[0],
							       px = ox * w->stride[1] + kx * w->dilation[1];
							double v;

							if (n->op != AD_OP_CONV && n->u.pool.count_padding &&
							    py < h + w->pads[0] + w->pads[2] &&
							    px < wd + w->pads[1] + w->pads[3])
								cells++;
							if (py < w->pads[0] || px < w->pads[1] ||
							    py - w->pads[0] >= h || px - w->pads[1] >= wd)
								continue;
							v = in[((o / og * ig + i) * h + py - w->pads[0]) * wd + px -
							       w->pads[1]];
							if (n->op == AD_OP_CONV)
								v *= (double)n->u.conv
									 .weights[((o * ig + i) * w->kernel[0] + ky) *
										      w->kernel[1] +
										  kx];
							else if (!n->u.pool.count_padding)
								cells++;
							sum += v;
							most = fmax(most, v);
						}
				if (n->op == AD_OP_CONV)
					out[at] =
					    act(n->activation, sum + (n->u.conv.bias ? (double)n->u.conv.bias[o] : 0) +
								   (res ? res[at] : 0));
				else
					out[at] = n->op == AD_OP_MAX_POOL ? most : cells > 0 ? sum / cells : 0;
			}
}

static void interpret(const struct made *m, const ad_node *n, double **data)
{
	const ad_value *x = &m->values[n->inputs[0]], *y = &m->values[n->output];
	const double *in = data[n->inputs[0]];
	double *out = data[n->output];
	size_t xd[AD_RANK], yd[AD_RANK], inner = y->rank > 1 ? y->count / y->dims[0] / y->dims[1] : 1;

	right(x, xd);
	right(y, yd);
	switch (n->op) {
	case AD_OP_CONV:
	case AD_OP_MAX_POOL:
	case AD_OP_AVERAGE_POOL:
		interpret_window(n, x, y, in, n->n_inputs > 1 ? data[n->inputs[1]] : NULL, out);
		return;
	case AD_OP_GLOBAL_AVERAGE:
		for (size_t c = 0; c < y->count; c++) {
			out[c] = 0;
			for (size_t i = 0; i < xd[2] * xd[3]; i++)
				out[c] += in[c * xd[2] * xd[3] + i] / (double)(xd[2] * xd[3]);
		}
		return;
	case AD_OP_UNARY:
		for (size_t i = 0; i < y->count; i++)
			out[i] = act(n->activation, in[i]);
		return;
	case AD_OP_SCALE:
		for (size_t i = 0; i < y->count; i++) {
			size_t c = i / inner % y->dims[1];

			out[i] = act(n->activation, in[i] * (double)n->u.scale.scale[c] + (double)n->u.scale.shift[c]);
		}
		return;
	case AD_OP_BINARY:
		for (size_t i = 0; i < y->count; i++) {
			size_t at[AD_RANK], rest = i, other[AD_RANK];
			double a, b;

			for (int d = AD_RANK - 1; d >= 0; d--) {
				at[d] = rest % yd[d];
				rest /= yd[d];
			}
			a = in[broadcast(at, xd)];
			if (n->u.binary.constant) {
				b = (double)n->u.binary.constant[broadcast(at, n->u.binary.constant_dims)];
			} else {
				right(&m->values[n->inputs[1]], other);
				b = data[n->inputs[1]][broadcast(at, other)];
			}
			if (n->u.binary.constant_first) {
				double t = a;

				a = b;
				b = t;
			}
			out[i] = act(n->activation, n->u.binary.op == AD_ADD   ? a + b
						    : n->u.binary.op == AD_SUB ? a - b
						    : n->u.binary.op == AD_MUL ? a * b
									       : a / b);
		}
		return;
	case AD_OP_CONCAT:
		for (size_t j = 0, before = 0; j < n->n_inputs; j++) {
			size_t own = m->values[n->inputs[j]].dims[1] * inner;

			memcpy(out + before, data[n->inputs[j]], own * sizeof(*out));
			before += own;
		}
		return;
	case AD_OP_PAD:
		for (size_t i = 0; i < y->count; i++) {
			size_t rest = i, at[AD_RANK], p = 0;
			int inside = 1;

			for (int d = AD_RANK - 1; d >= 0; d--) {
				at[d] = rest % yd[d];
				rest /= yd[d];
			}
			for (int d = 0; d < AD_RANK; d++) {
				int64_t s = (int64_t)at[d] - n->u.pad.before[d];

				inside = inside && s >= 0 && s < (int64_t)xd[d];
				p = p * xd[d] + (inside ? (size_t)s : 0);
			}
			out[i] = inside ? in[p] : (double)n->u.pad.value;
		}
		return;
	case AD_OP_GEMM:
		for (size_t i = 0; i < n->u.gemm.m; i++) {
			for (size_t j = 0; j < n->u.gemm.n; j++) {
				double sum = n->u.gemm.bias ? (double)n->u.gemm.bias[j] : 0;

				for (size_t k = 0; k < n->u.gemm.k; k++)
					sum += (double)n->u.gemm.weights[j * n->u.gemm.k + k] *
					       in[n->u.gemm.transposed ? k * n->u.gemm.m + i : i * n->u.gemm.k + k];
				out[i * n->u.gemm.n + j] = act(n->activation, sum);
			}
		}
		return;
	case AD_OP_RESHAPE:
		memcpy(out, in, y->count * sizeof(*out));
		return;
	}
}

/* By norm; infinite when it is no number. */
static double difference(const float *got, const double *wanted, size_t count)
{
	double norm = 0, diff = 0;

	for (size_t i = 0; i < count; i++) {
		double d = (double)got[i] - wanted[i];

		diff += d * d;
		norm += wanted[i] * wanted[i];
	}
	diff = sqrt(diff) / (sqrt(norm) + 1e-6 * sqrt((double)count));
	return isnan(diff) ? INFINITY : diff;
}

/* Runs on every instruction set with 1, 2 and 3 threads; against the interpreter, by norm. */
static void check_graph(struct made *m, double tolerance, const char *what)
{
	const ad_value *in = &m->values[m->g.input];
	double *data[MOST_NODES + 1];
	size_t total = 0;
	float *input = malloc(in->count * sizeof(*input));
	const char *isa;

	for (size_t i = 0; i < m->g.n_values; i++) {
		data[i] = malloc(m->values[i].count * sizeof(double));
		assert_non_null(data[i]);
	}
	for (size_t i = 0; i < in->count; i++) {
		input[i] = (float)ad_rng_normal(&m->rng);
		data[m->g.input][i] = (double)input[i];
	}
	for (size_t i = 0; i < m->g.n_nodes; i++)
		interpret(m, &m->nodes[i], data);
	for (size_t o = 0; o < m->g.n_outputs; o++)
		total += m->values[m->outputs[o]].count;
	for (size_t k = 0; (isa = ad_kernels_known(k)) != NULL; k++) {
		const ad_kernels *kernels = ad_kernels_isa(isa);
		float *first = NULL;

		if (!kernels)
			continue;
		for (unsigned threads = 1; threads <= 3; threads++) {
			ad_engine *e = NULL;
			ad_pool *pool = NULL;
			adtool_error err = {0};
			float *output = malloc(total * sizeof(*output));
			double diff = 0;
			void *arena;

			assert_int_equal(ad_pool_create(threads, &pool, &err), 0);
			if (ad_engine_create(&m->g, kernels, NULL, pool, &e, &err))
				fail_msg("%s on %s: %s", what, isa, err.message);
			arena = ad_malloc_aligned(ad_engine_arena_bytes(e), 1);
			assert_non_null(arena);
			memset(arena, 0xff, ad_engine_arena_bytes(e)); /* NaN */
			ad_engine_run(e, arena, pool, input, output, NULL);
			for (size_t o = 0, offset = 0; o < m->g.n_outputs; o++) {
				size_t count = m->values[m->outputs[o]].count;

				diff = fmax(diff, difference(output + offset, data[m->outputs[o]], count));
				offset += count;
			}
			if (!(diff <= tolerance)) {
				for (size_t i = 0; i < m->g.n_nodes; i++)
					print_message("# node %zu op %d algorithm %s: %d -> %d\n", i,
						      (int)m->nodes[i].op, ad_engine_algorithm(e, i),
						      m->nodes[i].inputs[0], m->nodes[i].output);
				fail_msg("%s on %s with %u threads: relative difference %.3g", what, isa, threads,
					 diff);
			}
			if (first) {
				assert_memory_equal(output, first, total * sizeof(*output));
				free(output);
			} else {
				first = output;
			}
			ad_free_aligned(arena);
			ad_engine_free(e);
			ad_pool_free(pool);
		}
		free(first);
	}
	for (size_t i = 0; i < m->g.n_values; i++)
		free(data[i]);
	free(input);
}

/* -- random nodes ------------------------------------------------------------------------------------ */

/* Output size of a window, or 0. */
static size_t outputs(size_t size, const ad_window *w, int axis)
{
	size_t span = (w->kernel[axis] - 1) * w->dilation[axis] + 1, padded = size + w->pads[axis] + w->pads[axis + 2];

	return padded < span ? 0 : (padded - span) / w->stride[axis] + 1;
}

static ad_window random_window(struct made *m, size_t most, int odd)
{
	static const size_t kernels[] = {1, 3, 3, 2, 5, 7};
	ad_window w;
	size_t k = kernels[below(m, most)];

	for (int i = 0; i < 2; i++) {
		w.kernel[i] = odd && below(m, 5) == 0 ? kernels[below(m, most)] : k;
		w.stride[i] = below(m, 3) ? 1 : between(m, 1, 3);
		w.dilation[i] = odd && below(m, 5) == 0 ? 2 : 1;
		w.pads[i] = below(m, 3) ? w.kernel[i] / 2 : odd ? below(m, w.kernel[i]) : 0;
		w.pads[i + 2] = odd && below(m, 4) == 0 ? below(m, w.kernel[i]) : w.pads[i];
	}
	if (below(m, 2))
		w.stride[1] = w.stride[0];
	return w;
}

/* Adds a convolution of value v; -1 when the window does not fit. */
static int add_conv(struct made *m, int v, size_t groups, size_t channels, ad_window w)
{
	const ad_value *x = &m->values[v];
	size_t oh = outputs(x->dims[2], &w, 0), ow = outputs(x->dims[3], &w, 1), cg = x->dims[1] / groups;
	size_t n = channels * cg * w.kernel[0] * w.kernel[1];
	ad_node *node;
	int out;

	if (!oh || !ow)
		return -1;
	out = add_value(m, 4, 1, channels, oh, ow);
	node = add_node(m, AD_OP_CONV, out, v);
	node->u.conv.window = w;
	node->u.conv.groups = groups;
	node->u.conv.weights = constant(m, n, sqrt(3.0 / (double)(cg * w.kernel[0] * w.kernel[1])), 0);
	node->u.conv.bias = below(m, 4) ? constant(m, channels, 0.5, 0) : NULL;
	node->activation = random_activation(m);
	for (int r = 0; r < (int)m->g.n_values - 1 && below(m, 2); r++) {
		const ad_value *other = &m->values[r];

		if (r != out && other->rank == 4 && other->dims[1] == channels && other->dims[2] == oh &&
		    other->dims[3] == ow) {
			node->u.conv.residual = 1;
			node->inputs[node->n_inputs++] = r;
			break;
		}
	}
	return out;
}

static void convolutions(void **state)
{
	char what[256];

	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct made m;
		size_t channels, out, groups = 1;
		ad_window w;
		int v;

		begin(&m, seed);
		channels = (size_t[]){1, 3, 5, 16, 17, 24, 32, 48, 64, 40}[below(&m, 10)];
		out = (size_t[]){1, 7, 16, 24, 32, 33, 48, 64, 80, 12}[below(&m, 10)];
		if (below(&m, 3) == 0) {
			groups = (size_t[]){2, 4, channels, channels}[below(&m, 4)];
			channels = (channels + groups - 1) / groups * groups;
			out = groups == channels && below(&m, 4) ? groups : (out + groups - 1) / groups * groups;
		}
		m.g.input = add_value(&m, 4, 1, channels, between(&m, 1, 20), between(&m, 1, 33));
		w = random_window(&m, 6, 1);
		v = add_conv(&m, m.g.input, groups, out, w);
		if (v < 0) {
			drop(&m);
			continue;
		}
		finish(&m, v);
		snprintf(what, sizeof(what),
			 "seed %d: %zu x %zu x %zu to %zu, groups %zu, kernel %zux%zu stride %zux%zu pads %zu",
			 (int)seed, channels, m.values[m.g.input].dims[2], m.values[m.g.input].dims[3], out, groups,
			 w.kernel[0], w.kernel[1], w.stride[0], w.stride[1], w.pads[0]);
		check_graph(&m, 5e-6, what);
		drop(&m);
	}
}

static float *run_once(struct made *m, const ad_kernels *kernels, const float *input, size_t count)
{
	ad_engine *e = NULL;
	adtool_error err = {0};
	float *output = malloc(count * sizeof(*output));
	void *arena;

	assert_int_equal(ad_engine_create(&m->g, kernels, NULL, NULL, &e, &err), 0);
	arena = ad_malloc_aligned(ad_engine_arena_bytes(e), 1);
	ad_engine_run(e, arena, NULL, input, output, NULL);
	ad_free_aligned(arena);
	ad_engine_free(e);
	return output;
}

/* Weights of float16 give the bits that the same numbers as floats give, whatever way a convolution is computed. */
static void halves(void **state)
{
	static const size_t sizes[] = {1, 3, 8, 16, 17, 32, 40, 64};

	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct made m;
		size_t channels, out, groups = 1, cg, count;
		ad_loose_half *weights;
		float *widened, *input;
		ad_node *node;
		const char *isa;
		int v;

		begin(&m, seed);
		channels = sizes[below(&m, 8)];
		out = sizes[below(&m, 8)];
		if (below(&m, 3) == 0) {
			groups = (size_t[]){2, 3, channels, channels}[below(&m, 4)];
			channels = (channels + groups - 1) / groups * groups;
			out = groups == channels && below(&m, 4) ? groups : (out + groups - 1) / groups * groups;
		}
		m.g.input = add_value(&m, 4, 1, channels, between(&m, 1, 20), between(&m, 1, 33));
		v = add_conv(&m, m.g.input, groups, out, random_window(&m, 6, 1));
		if (v < 0) {
			drop(&m);
			continue;
		}
		finish(&m, v);
		node = &m.nodes[0];
		node->u.conv.bf16 = (int)(seed % 2);
		cg = channels / groups;
		count = out * cg * node->u.conv.window.kernel[0] * node->u.conv.window.kernel[1];
		weights = malloc(count * sizeof(*weights));
		widened = malloc(count * sizeof(*widened));
		for (size_t i = 0; i < count; i++) {
			weights[i] = ad_float_to_half(node->u.conv.weights[i]);
			widened[i] = ad_half_to_float(weights[i]);
		}
		input = malloc(m.values[m.g.input].count * sizeof(*input));
		for (size_t i = 0; i < m.values[m.g.input].count; i++)
			input[i] = (float)ad_rng_normal(&m.rng);
		for (size_t k = 0; (isa = ad_kernels_known(k)) != NULL; k++) {
			const ad_kernels *kernels = ad_kernels_isa(isa);
			float *floats, *got;

			if (!kernels)
				continue;
			node->u.conv.weights = widened;
			node->u.conv.halves = NULL;
			floats = run_once(&m, kernels, input, m.values[v].count);
			node->u.conv.weights = NULL;
			node->u.conv.halves = weights;
			got = run_once(&m, kernels, input, m.values[v].count);
			if (memcmp(got, floats, m.values[v].count * sizeof(*got)))
				fail_msg("seed %d on %s: %zu channels to %zu in %zu groups", (int)seed, isa, channels,
					 out, groups);
			free(floats);
			free(got);
		}
		free(weights);
		free(widened);
		free(input);
		drop(&m);
	}
}

/* A random node reading value v (and perhaps others); its output, or -1 when none was possible. */
static int add_random(struct made *m, int v)
{
	const ad_value *x = &m->values[v];
	size_t c = x->dims[1], h = x->dims[2], w = x->dims[3];
	ad_window win;
	ad_node *n;
	int out, r;

	if (x->rank == 2) {
		size_t k = c, nout = between(m, 1, 40);

		out = add_value(m, 2, 1, nout, 1, 1);
		n = add_node(m, AD_OP_GEMM, out, v);
		n->u.gemm = (ad_gemm_node){
		    0, 1, nout, k, constant(m, nout * k, sqrt(3.0 / (double)k), 0), constant(m, nout, 1, 0)};
		n->activation = random_activation(m);
		return out;
	}
	switch (below(m, 14)) {
	case 0:
	case 1:
	case 2:
		return add_conv(m, v, 1, (size_t[]){8, 16, 32, 64, 24, 32}[below(m, 6)], random_window(m, 3, 0));
	case 3:
		return add_conv(m, v, c, c, random_window(m, 5, 0));
	case 4: /* what is fused into a pointwise convolution or a pooling */
	case 5:
		out = add_value(m, 4, 1, c, h, w);
		n = add_node(m, AD_OP_SCALE, out, v);
		n->u.scale.scale = constant(m, c, 0.5, 1);
		n->u.scale.shift = constant(m, c, 0.5, 0);
		n->activation = random_activation(m);
		return below(m, 3) ? add_conv(m, out, 1, (size_t[]){16, 32, 33}[below(m, 3)],
					      (ad_window){{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}})
				   : out;
	case 6:
		win = random_window(m, 4, 0);
		if (below(m, 2))
			win = (ad_window){{2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}};
		if (!outputs(h, &win, 0) || !outputs(w, &win, 1))
			return -1;
		out = add_value(m, 4, 1, c, outputs(h, &win, 0), outputs(w, &win, 1));
		n = add_node(m, below(m, 2) ? AD_OP_MAX_POOL : AD_OP_AVERAGE_POOL, out, v);
		n->u.pool.window = win;
		n->u.pool.count_padding = n->op == AD_OP_AVERAGE_POOL && below(m, 2);
		return out;
	case 7: /* dense: join with another of the same size */
	case 8:
		r = (int)below(m, m->g.n_values);
		if (m->values[r].rank != 4 || m->values[r].dims[2] != h || m->values[r].dims[3] != w)
			return -1;
		out = add_value(m, 4, 1, c + m->values[r].dims[1], h, w);
		n = add_node(m, AD_OP_CONCAT, out, v);
		n->u.concat.axis = 1;
		n->inputs[n->n_inputs++] = r;
		return out;
	case 9:
		out = add_value(m, 4, 1, c, h, w);
		n = add_node(m, AD_OP_UNARY, out, v);
		n->activation = random_activation(m);
		return out;
	case 10: { /* constants, any side */
		size_t dims[3][AD_RANK] = {{1, 1, 1, 1}, {1, c, 1, 1}, {1, c, h, w}}, kind = below(m, 3);

		out = add_value(m, 4, 1, c, h, w);
		n = add_node(m, AD_OP_BINARY, out, v);
		n->u.binary.op = (enum ad_binary)below(m, 4);
		n->u.binary.constant_first = n->u.binary.op != AD_DIV && below(m, 2);
		n->u.binary.constant = constant(m, dims[kind][1] * dims[kind][2] * dims[kind][3], 0.5, 1.5);
		memcpy(n->u.binary.constant_dims, dims[kind], sizeof(dims[kind]));
		n->activation = random_activation(m);
		return out;
	}
	case 11: { /* two tensors: the same shape, or squeeze and excite */
		int s, p;

		for (r = 0; r < (int)m->g.n_values; r++)
			if (r != v && m->values[r].rank == 4 && m->values[r].dims[1] == c &&
			    m->values[r].dims[2] == h && m->values[r].dims[3] == w)
				break;
		if (r == (int)m->g.n_values || below(m, 2)) {
			p = add_value(m, 4, 1, c, 1, 1);
			add_node(m, AD_OP_GLOBAL_AVERAGE, p, v);
			s = add_conv(m, p, 1, c, (ad_window){{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}});
			r = s;
		}
		out = add_value(m, 4, 1, c, h, w);
		n = add_node(m, AD_OP_BINARY, out, below(m, 2) ? v : r);
		n->inputs[n->n_inputs++] = n->inputs[0] == v ? r : v;
		n->u.binary.op = (enum ad_binary)below(m, 3);
		n->activation = random_activation(m);
		return out;
	}
	case 12:
		if (below(m, 2)) {
			out = add_value(m, 4, 1, c, h + 1, w + 2);
			n = add_node(m, AD_OP_PAD, out, v);
			n->u.pad.before[2] = 1;
			n->u.pad.before[3] = n->u.pad.after[3] = 1;
			n->u.pad.value = 0.25f;
			return out;
		}
		out = add_value(m, 2, 1, c, 1, 1);
		add_node(m, AD_OP_GLOBAL_AVERAGE, out, v);
		return out;
	default:
		if (c * h * w > 5000 || below(m, 2))
			return -1;
		out = add_value(m, 2, 1, c * h * w, 1, 1);
		add_node(m, AD_OP_RESHAPE, out, v);
		return out;
	}
}

static void graphs(void **state)
{
	char what[64];

	(void)state;
	for (uint64_t seed = 1; seed <= 600; seed++) {
		struct made m;
		int v;

		begin(&m, seed * 77);
		v = m.g.input = add_value(&m, 4, 1, (size_t[]){3, 16, 32, 20}[below(&m, 4)], between(&m, 3, 17),
					  between(&m, 3, 17));
		for (int tries = 0; tries < 40 && m.g.n_nodes + 4 < MOST_NODES && m.n_constants + 8 < 4 * MOST_NODES;
		     tries++) {
			int from = below(&m, 3) ? v : (int)below(&m, m.g.n_values), next = add_random(&m, from);

			if (next >= 0)
				v = next;
			if (below(&m, 12) == 0)
				break;
		}
		finish(&m, v);
		snprintf(what, sizeof(what), "graph of seed %d", (int)seed);
		/* Every third graph has values from its middle as outputs, which nothing may swallow or overwrite. */
		for (int more = 0; seed % 3 == 0 && more + 1 < MOST_OUTPUTS; more++)
			add_output(&m, (int)below(&m, m.g.n_values));
		check_graph(&m, 2e-5, what);
		drop(&m);
	}
}

/* Runs the graph on every instruction set; the first `count` floats of its outputs, for each of them in turn. */
static void run_graph(const struct made *m, const float *input, unsigned threads, const char *algorithm, size_t node,
		      float *to, size_t count)
{
	const char *isa;

	for (size_t k = 0; (isa = ad_kernels_known(k)) != NULL; k++, to += count) {
		const ad_kernels *kernels = ad_kernels_isa(isa);
		ad_engine *e = NULL;
		ad_pool *pool = NULL;
		adtool_error err = {0};
		size_t total = 0;
		float *output;
		void *arena;

		if (!kernels)
			continue;
		for (size_t o = 0; o < m->g.n_outputs; o++)
			total += m->values[m->outputs[o]].count;
		output = malloc(total * sizeof(*output));
		assert_int_equal(ad_pool_create(threads, &pool, &err), 0);
		assert_int_equal(ad_engine_create(&m->g, kernels, NULL, pool, &e, &err), 0);
		assert_string_equal(ad_engine_algorithm(e, node), algorithm);
		arena = ad_malloc_aligned(ad_engine_arena_bytes(e), 1);
		assert_non_null(arena);
		for (int again = 0; again < 2; again++) {
			memset(arena, 0xff, ad_engine_arena_bytes(e)); /* NaN */
			ad_engine_run(e, arena, pool, input, output, NULL);
		}
		memcpy(to, output, count * sizeof(*to));
		free(output);
		ad_free_aligned(arena);
		ad_engine_free(e);
		ad_pool_free(pool);
	}
}

/*
 * Inverted residuals: what goes depth first has the bits of the same graph step by step, which is what it is when
 * values in the middle are outputs, too; and the interpreter's values.
 */
static void inverted_residuals(void **state)
{
	enum { ISAS = 4 };
	static const struct {
		size_t in, wide, out, h, w, kernel, stride, pad, dilation;
		int expand, project, residual;
	} cases[] = {
	    /* channels go together, all rows at a time or a few */
	    {24, 96, 24, 14, 14, 3, 1, 1, 1, 1, 0, 0},
	    {16, 33, 16, 13, 15, 3, 2, 1, 1, 1, 0, 0},
	    {17, 40, 16, 7, 1, 5, 1, 2, 1, 1, 0, 0},
	    {32, 48, 16, 1, 9, 3, 1, 1, 1, 1, 0, 0},
	    {16, 64, 16, 3, 3, 7, 1, 3, 1, 1, 0, 0},
	    {16, 48, 16, 100, 21, 3, 1, 1, 1, 1, 0, 0},
	    {16, 48, 16, 90, 37, 5, 2, 2, 1, 1, 0, 0},
	    {16, 32, 16, 41, 50, 3, 1, 2, 2, 1, 0, 0},
	    {16, 40, 16, 44, 29, 3, 3, 0, 1, 1, 0, 0},
	    /* rows go together through all three, or through the last two */
	    {24, 150, 24, 61, 63, 3, 1, 1, 1, 1, 1, 1},
	    {16, 96, 24, 75, 77, 3, 2, 1, 1, 1, 1, 0},
	    {16, 200, 33, 53, 52, 5, 1, 2, 1, 1, 1, 0},
	    {16, 160, 16, 59, 60, 3, 1, 0, 1, 1, 1, 0},
	    {20, 64, 20, 97, 95, 5, 3, 1, 2, 1, 1, 0},
	    {16, 100, 16, 14, 380, 3, 1, 1, 1, 1, 1, 1},
	    {64, 64, 17, 67, 65, 3, 1, 1, 1, 0, 1, 0},
	    {70, 70, 70, 63, 64, 3, 1, 1, 1, 0, 1, 1},
	    {40, 40, 16, 99, 98, 5, 2, 2, 1, 0, 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t k = cases[i].kernel, p = cases[i].pad, s = cases[i].stride, d = cases[i].dilation, count, last;
		const ad_window one = {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}};
		float *input, *got[3];
		struct made m;
		char what[64];
		int v, middle;

		begin(&m, 300 + i);
		v = m.g.input = add_value(&m, 4, 1, cases[i].in, cases[i].h, cases[i].w);
		if (cases[i].expand) {
			v = add_conv(&m, v, 1, cases[i].wide, one);
			m.nodes[0].n_inputs = 1;
			m.nodes[0].u.conv.residual = 0;
		}
		middle = v;
		v = add_conv(&m, v, cases[i].wide, cases[i].wide, (ad_window){{k, k}, {s, s}, {d, d}, {p, p, p, p}});
		last = m.g.n_nodes - 1;
		m.nodes[last].n_inputs = 1;
		m.nodes[last].u.conv.residual = 0;
		if (cases[i].project) {
			middle = v;
			v = add_conv(&m, v, 1, cases[i].out, one);
			last = m.g.n_nodes - 1;
			m.nodes[last].n_inputs = 1 + (size_t)cases[i].residual;
			m.nodes[last].u.conv.residual = cases[i].residual;
			m.nodes[last].inputs[1] = m.g.input;
		}
		finish(&m, v);
		input = malloc(m.values[m.g.input].count * sizeof(*input));
		for (size_t j = 0; j < m.values[m.g.input].count; j++)
			input[j] = (float)ad_rng_normal(&m.rng);
		count = m.values[v].count;
		for (int j = 0; j < 3; j++)
			got[j] = calloc(ISAS * count, sizeof(float));
		run_graph(&m, input, 1, "depth-first", last, got[0], count);
		run_graph(&m, input, 3, "depth-first", last, got[1], count);
		assert_memory_equal(got[0], got[1], ISAS * count * sizeof(float));
		snprintf(what, sizeof(what), "chain %zu", i);
		if (m.values[middle].count < 100000)
			check_graph(&m, 5e-6, what);
		add_output(&m, middle);
		run_graph(&m, input, 2, cases[i].project ? "pointwise" : "depthwise", last, got[2], count);
		assert_memory_equal(got[0], got[2], ISAS * count * sizeof(float));
		for (int j = 0; j < 3; j++)
			free(got[j]);
		free(input);
		drop(&m);
	}
}

/* DenseNet's shape: scale, 1x1, 3x3, join, again and again, then the transition. */
static void dense_block(void **state)
{
	struct made m;
	int v, x;

	(void)state;
	begin(&m, 5);
	m.g.input = add_value(&m, 4, 1, 3, 29, 31);
	v = add_conv(&m, m.g.input, 1, 32, (ad_window){{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}});
	for (int layer = 0; layer < 3; layer++) {
		const ad_value *in = &m.values[v];
		size_t c = in->dims[1];
		ad_node *n;

		x = add_value(&m, 4, 1, c, in->dims[2], in->dims[3]);
		n = add_node(&m, AD_OP_SCALE, x, v);
		n->u.scale.scale = constant(&m, c, 0.5, 1);
		n->u.scale.shift = constant(&m, c, 0.5, 0);
		n->activation = (ad_activation){AD_ACT_RELU, 0, 0};
		x = add_conv(&m, x, 1, 64, (ad_window){{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}});
		x = add_conv(&m, x, 1, 32, (ad_window){{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}});
		int out = add_value(&m, 4, 1, c + 32, m.values[x].dims[2], m.values[x].dims[3]);
		n = add_node(&m, AD_OP_CONCAT, out, v);
		n->u.concat.axis = 1;
		n->inputs[n->n_inputs++] = x;
		v = out;
	}
	x = add_conv(&m, v, 1, 48, (ad_window){{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}});
	m.nodes[m.g.n_nodes - 1].activation.kind = AD_ACT_NONE;
	m.nodes[m.g.n_nodes - 1].n_inputs = 1;
	m.nodes[m.g.n_nodes - 1].u.conv.residual = 0;
	v = add_value(&m, 4, 1, 48, m.values[x].dims[2] / 2, m.values[x].dims[3] / 2);
	add_node(&m, AD_OP_AVERAGE_POOL, v, x)->u.pool.window = (ad_window){{2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}};
	finish(&m, v);
	check_graph(&m, 2e-5, "dense block");
	drop(&m);
}

/* A NaN in one pixel stays near it; denormals are no numbers to fear. */
static void strange_numbers(void **state)
{
	struct made m;
	const ad_kernels *k = NULL;
	adtool_error err = {0};
	ad_engine *e = NULL;
	float input[20 * 20 * 16], output[20 * 20 * 16];
	void *arena;
	int v;

	(void)state;
	begin(&m, 9);
	m.g.input = add_value(&m, 4, 1, 16, 20, 20);
	v = add_conv(&m, m.g.input, 1, 16, (ad_window){{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}});
	m.nodes[0].activation.kind = AD_ACT_RELU;
	finish(&m, v);
	assert_int_equal(ad_kernels_get(&k, &err), 0);
	assert_int_equal(ad_engine_create(&m.g, k, NULL, NULL, &e, &err), 0);
	arena = ad_malloc_aligned(ad_engine_arena_bytes(e), 1);
	for (size_t i = 0; i < 20 * 20 * 16; i++)
		input[i] = 1e-40f;
	input[9 * 20 + 9] = NAN;
	ad_engine_run(e, arena, NULL, input, output, NULL);
	for (size_t c = 0; c < 16; c++) {
		for (size_t y = 0; y < 20; y++) {
			for (size_t x = 0; x < 20; x++) {
				float f = output[(c * 20 + y) * 20 + x];
				int near = y >= 8 && y <= 10 && x >= 8 && x <= 10,
				    tile =
					y / 4 * 4 + 3 >= 8 && y / 4 * 4 <= 10 && x / 4 * 4 + 3 >= 8 && x / 4 * 4 <= 10;

				if (near)
					assert_true(isnan(f));
				else if (!tile)
					assert_true(!isnan(f));
			}
		}
	}
	ad_free_aligned(arena);
	ad_engine_free(e);
	drop(&m);
}

/* Flushing denormals is an affair of the run: the caller's mode is as it was, and no denormal comes out. */
static void denormals(void **state)
{
	static const char *const names[] = {"avx512", "avx2", "neon"};

	(void)state;
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		const ad_kernels *k = ad_kernels_isa(names[n]);
		volatile float tiny = 1e-39f, result;
		unsigned long mode;

		if (!k)
			continue;
		result = tiny * 0.5f;
		assert_true(result > 0);
		mode = k->fp_enter();
		result = tiny * 0.5f;
		assert_true(result == 0);
		k->fp_leave(mode);
		result = tiny * 0.5f;
		assert_true(result > 0);
	}
}

/* A picture of NaN, infinities and denormals leaves nothing behind for the next one in the same memory. */
static void strange_pictures(void **state)
{
	enum { SIDE = 64, COUNT = 3 * SIDE * SIDE };
	static const float strange[] = {NAN, INFINITY, -INFINITY, 1e-42f, 3e38f, -3e38f};
	adtool_backbone *backbone;
	adtool_error err = {0};
	ad_pool *pool;
	ad_plan *plan;
	ad_rng rng;
	float *plain = ad_malloc_aligned(COUNT, sizeof(float)), *odd = ad_malloc_aligned(COUNT, sizeof(float));
	float *first, *again;
	void *arena;
	size_t floats;

	(void)state;
	ad_rng_seed(&rng, 77);
	for (size_t i = 0; i < COUNT; i++) {
		plain[i] = (float)ad_rng_below(&rng, 2000) / 500 - 2;
		odd[i] = i % 5 ? plain[i] : strange[ad_rng_below(&rng, 6)];
	}
	assert_int_equal(ad_pool_create(2, &pool, &err), 0);
	assert_int_equal(adtool_backbone_open(NULL, &backbone, &err), 0);
	assert_int_equal(ad_plan_create(backbone, NULL, SIDE, SIDE, pool, &plan, &err), 0);
	floats = ad_plan_output_floats(plan);
	first = ad_malloc_aligned(floats, sizeof(float));
	again = ad_malloc_aligned(floats, sizeof(float));
	arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
	memset(arena, 0, ad_plan_arena_bytes(plan));
	ad_plan_run(plan, arena, NULL, plain, first);
	/* Memory that holds nothing but NaN, then a strange picture in it. */
	memset(arena, 0xff, ad_plan_arena_bytes(plan));
	ad_plan_run(plan, arena, pool, plain, again);
	assert_memory_equal(first, again, floats * sizeof(float));
	ad_plan_run(plan, arena, pool, odd, again);
	ad_plan_run(plan, arena, pool, plain, again);
	assert_memory_equal(first, again, floats * sizeof(float));
	ad_free_aligned(plain);
	ad_free_aligned(odd);
	ad_free_aligned(first);
	ad_free_aligned(again);
	ad_free_aligned(arena);
	ad_plan_free(plan);
	adtool_backbone_free(backbone);
	ad_pool_free(pool);
}

/* Every way to compute the convolutions gives the same features; what is no way is refused. */
static void ways(void **state)
{
	enum { SIDE = 96, COUNT = 3 * SIDE * SIDE };
	static const char letters[] = "d24";
	adtool_backbone *backbone;
	adtool_error err = {0};
	ad_tuning tuned;
	const ad_how how = {.tuning = &tuned};
	ad_plan *plan;
	ad_rng rng;
	float *input = ad_malloc_aligned(COUNT, sizeof(float)), *first, *other;
	size_t floats;
	void *arena;

	(void)state;
	ad_rng_seed(&rng, 78);
	for (size_t i = 0; i < COUNT; i++)
		input[i] = (float)ad_rng_below(&rng, 2000) / 500 - 2;
	assert_int_equal(adtool_backbone_open(NULL, &backbone, &err), 0);
	assert_int_equal(ad_plan_create(backbone, NULL, SIDE, SIDE, NULL, &plan, &err), 0);
	floats = ad_plan_output_floats(plan);
	first = ad_malloc_aligned(floats, sizeof(float));
	other = ad_malloc_aligned(floats, sizeof(float));
	arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
	ad_plan_run(plan, arena, NULL, input, first);
	ad_free_aligned(arena);
	ad_plan_free(plan);
	assert_int_equal(ad_tune(backbone, NULL, SIDE, SIDE, NULL, &tuned, &err), 0);
	assert_true(strlen(tuned.ways) > 5);
	for (size_t l = 0; l < 4; l++) {
		double difference = 0, norm = 0;

		if (l < 3)
			memset(tuned.ways, letters[l], strlen(tuned.ways));
		else
			for (size_t i = 0; tuned.ways[i]; i++)
				tuned.ways[i] = letters[i % 3];
		assert_int_equal(ad_plan_create_as(backbone, NULL, SIDE, SIDE, &how, NULL, &plan, &err), 0);
		arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
		ad_plan_run(plan, arena, NULL, input, other);
		for (size_t i = 0; i < floats; i++) {
			difference += ((double)other[i] - (double)first[i]) * ((double)other[i] - (double)first[i]);
			norm += (double)first[i] * (double)first[i];
		}
		assert_true(sqrt(difference / norm) < 1e-5);
		ad_free_aligned(arena);
		ad_plan_free(plan);
	}
	tuned.ways[2] = 'e';
	assert_int_equal(ad_plan_create_as(backbone, NULL, SIDE, SIDE, &how, NULL, &plan, &err), ADTOOL_EFORMAT);
	tuned.ways[2] = '\0';
	assert_int_equal(ad_plan_create_as(backbone, NULL, SIDE, SIDE, &how, NULL, &plan, &err), ADTOOL_EFORMAT);
	adtool_backbone_free(backbone);
	ad_free_aligned(input);
	ad_free_aligned(first);
	ad_free_aligned(other);
}

enum { NARROW_SIDE = 64 };

/* Outputs of the embedded backbone at that size. */
static void run_as(const adtool_backbone *backbone, const ad_how *how, const float *input, float *output)
{
	adtool_error err;
	ad_plan *plan;
	void *arena;

	assert_int_equal(ad_plan_create_as(backbone, NULL, NARROW_SIDE, NARROW_SIDE, how, NULL, &plan, &err), 0);
	arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
	ad_plan_run(plan, arena, NULL, input, output);
	ad_free_aligned(arena);
	ad_plan_free(plan);
}

static double off_by(const float *a, const float *b, size_t n)
{
	double difference = 0, norm = 0;

	for (size_t i = 0; i < n; i++) {
		difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
		norm += (double)b[i] * (double)b[i];
	}
	return sqrt(difference / norm);
}

/* Ways and a narrow precision together; what is left to choose is what multiplies floats. */
static void narrow_plans_are_tuned(void **state)
{
	static const char letters[] = "d24";
	enum { COUNT = 3 * NARROW_SIDE * NARROW_SIDE };
	float *input = ad_malloc_aligned(COUNT, sizeof(float)), *first, *other, *outputs, *measured;
	adtool_backbone *backbone;
	ad_observer *observer;
	ad_buf names = {0};
	ad_ranges ranges = {0};
	ad_tuning tuned;
	adtool_error err;
	ad_rng rng;
	size_t floats, count, half = 0;
	ad_plan *plan;
	void *arena;

	(void)state;
	ad_rng_seed(&rng, 79);
	for (size_t i = 0; i < COUNT; i++)
		input[i] = (float)ad_rng_below(&rng, 2000) / 500 - 2;
	assert_int_equal(adtool_backbone_open(NULL, &backbone, &err), 0);
	assert_int_equal(ad_plan_create(backbone, NULL, NARROW_SIDE, NARROW_SIDE, NULL, &plan, &err), 0);
	floats = ad_plan_output_floats(plan);
	ad_plan_free(plan);
	first = ad_malloc_aligned(floats, sizeof(float));
	other = ad_malloc_aligned(floats, sizeof(float));
	run_as(backbone, &(ad_how){.bf16 = 1}, input, first);
	assert_int_equal(ad_tune(backbone, NULL, NARROW_SIDE, NARROW_SIDE, &(ad_how){.bf16 = 1}, &tuned, &err), 0);
	assert_true(strlen(tuned.ways) > 5);
	for (size_t l = 0; l < 3; l++) {
		memset(tuned.ways, letters[l], strlen(tuned.ways));
		run_as(backbone, &(ad_how){.bf16 = 1, .tuning = &tuned}, input, other);
		assert_true(off_by(other, first, floats) < 0.02);
	}
	/* In 8 bits: of all tensors, and of the first half of them. */
	assert_int_equal(ad_observer_create(backbone, NULL, NARROW_SIDE, NARROW_SIDE, NULL, &observer, &err), 0);
	arena = ad_malloc_aligned(ad_plan_arena_bytes(ad_observer_plan(observer)), 1);
	outputs = ad_malloc_aligned(ad_plan_output_floats(ad_observer_plan(observer)), sizeof(float));
	ad_plan_run(ad_observer_plan(observer), arena, NULL, input, outputs);
	assert_int_equal(ad_observer_add(observer, outputs, &err), 0);
	assert_int_equal(ad_observer_finish(observer, &names, &measured, &count, &err), 0);
	ranges = (ad_ranges){(const char *)names.data, names.size, measured, count};
	assert_int_equal(ad_tune(backbone, NULL, NARROW_SIDE, NARROW_SIDE, &(ad_how){.ranges = &ranges}, &tuned, &err),
			 ADTOOL_EUNSUPPORTED);
	ranges.count = 0;
	for (const char *at = ranges.names; (size_t)(at - ranges.names) < names.size / 2; at = strchr(at, '\n') + 1) {
		ranges.count += strtoul(at, NULL, 10);
		half = (size_t)(strchr(at, '\n') + 1 - ranges.names);
	}
	ranges.names_size = half;
	run_as(backbone, &(ad_how){.ranges = &ranges}, input, first);
	assert_int_equal(ad_tune(backbone, NULL, NARROW_SIDE, NARROW_SIDE, &(ad_how){.ranges = &ranges}, &tuned, &err),
			 0);
	for (size_t l = 0; l < 3; l++) {
		memset(tuned.ways, letters[l], strlen(tuned.ways));
		run_as(backbone, &(ad_how){.ranges = &ranges, .tuning = &tuned}, input, other);
		assert_true(off_by(other, first, floats) < 0.02);
	}
	tuned.ways[1] = '\0';
	assert_int_equal(ad_plan_create_as(backbone, NULL, NARROW_SIDE, NARROW_SIDE,
					   &(ad_how){.ranges = &ranges, .tuning = &tuned}, NULL, &plan, &err),
			 ADTOOL_EFORMAT);
	ad_observer_free(observer);
	adtool_backbone_free(backbone);
	ad_buf_release(&names);
	ad_free(measured);
	ad_free_aligned(arena);
	ad_free_aligned(outputs);
	ad_free_aligned(input);
	ad_free_aligned(first);
	ad_free_aligned(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(convolutions),
	    cmocka_unit_test(halves),
	    cmocka_unit_test(graphs),
	    cmocka_unit_test(dense_block),
	    cmocka_unit_test(inverted_residuals),
	    cmocka_unit_test(strange_numbers),
	    cmocka_unit_test(denormals),
	    cmocka_unit_test(strange_pictures),
	    cmocka_unit_test(ways),
	    cmocka_unit_test(narrow_plans_are_tuned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
