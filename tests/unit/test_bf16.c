/*
 * Convolutions on bfloat16: the kernels against the scalar ones, graphs against sums in double of operands that this
 * file rounds its own way, whole backbones against the same in floats, and instruction sets against each other.
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

#include <adtool/backbone.h>

#include "../../lib/base/mem.h"
#include "../../lib/base/rng.h"
#include "../../lib/kernel/bf16.h"
#include "../../lib/net/engine.h"
#include "../../lib/net/net.h"
#include "guard.h"
#include "skip.h"

enum { BLOCK = AD_BF16_BLOCK };

/* To 8 bits of significand, ties to even, by the current rounding mode; what is too small to be normal is 0. */
static double rounded(double x)
{
	int e;

	if (x == 0 || !isfinite(x))
		return x;
	frexp(x, &e);
	if (e - 1 < -126)
		return copysign(0, x);
	x = ldexp(nearbyint(ldexp(x, 8 - e)), e - 8);
	return fabs(x) >= 0x1p128 ? copysign(INFINITY, x) : x;
}

static void numbers_are_rounded(void **state)
{
	static const float odd[] = {0, 1, 0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, 0x1.fffffep127f, 0x1.fep127f, 0x1p-126f,
				    0x1.fffffep-127f, 0x1p-149f, INFINITY, 0x1.fefffep127f, 0x1.ffp127f};
	ad_rng rng;

	(void)state;
	ad_rng_seed(&rng, 1);
	for (size_t i = 0; i < 300000; i++) {
		uint32_t bits = (uint32_t)(ad_rng_double(&rng) * 4294967296.0);
		float x;

		if (i < 2 * sizeof(odd) / sizeof(odd[0])) {
			x = i % 2 ? -odd[i / 2] : odd[i / 2];
		} else {
			/* Half of them ties. */
			bits = i % 2 ? bits : (bits & 0xffff0000u) | 0x8000u;
			memcpy(&x, &bits, sizeof(x));
		}
		if (isnan(x))
			assert_true(isnan(ad_bf16_float(ad_bf16_of(x))));
		else if ((double)ad_bf16_float(ad_bf16_of(x)) != rounded((double)x))
			fail_msg("%a becomes %a instead of %a", (double)x, (double)ad_bf16_float(ad_bf16_of(x)),
				 rounded((double)x));
	}
	assert_true(isnan(ad_bf16_float(ad_bf16_of(NAN))));
}

/* -- kernels ------------------------------------------------------------------------------------------- */

struct check {
	ad_rng rng;
	guard memory;
};

static void *make(struct check *c, size_t bytes)
{
	return memset(guard_take(&c->memory, bytes), 0xfe, bytes);
}

static float random_float(ad_rng *rng)
{
	return (float)(2 * ad_rng_double(rng) - 1);
}

static float *make_floats(struct check *c, size_t count)
{
	float *f = make(c, count * sizeof(*f));

	for (size_t i = 0; i < count; i++)
		f[i] = random_float(&c->rng);
	return f;
}

static uint16_t *make_numbers(struct check *c, size_t count)
{
	uint16_t *x = make(c, count * sizeof(*x));

	for (size_t i = 0; i < count; i++)
		x[i] = ad_bf16_of(random_float(&c->rng));
	return x;
}

static size_t pairs_of(const ad_bf16_conv_args *a)
{
	return ((a->n[0] - 1) * a->run + a->last) * a->n[1] * a->n[2];
}

/* Every product's magnitude, with the bias' and the residual's. */
static double magnitude(const ad_bf16_conv_args *a, size_t r, size_t p, size_t v)
{
	const uint16_t *w = a->w + 2 * (r * BLOCK + v);
	double sum = a->bias ? fabs((double)a->bias[r * BLOCK + v]) : 0;

	if (a->res)
		sum += 1; /* residuals are at most that; with in place they are gone */
	for (size_t i = 0; i < a->n[0]; i++)
		for (size_t j = 0; j < a->n[1]; j++)
			for (size_t l = 0; l < a->n[2]; l++)
				for (size_t k = 0; k < 2 * (i + 1 < a->n[0] ? a->run : a->last); k++) {
					double x = (double)ad_bf16_float(
					    a->in[p * a->pixel + i * a->step[0] + j * a->step[1] + l * a->step[2] + k]);

					sum += fabs(x * (double)ad_bf16_float(w[k % 2]));
					w += k % 2 * 2 * BLOCK * a->blocks;
				}
	return sum;
}

/* what & 1: with a residual, & 2: without a bias, & 4: the residual is overwritten. */
static void one_conv(struct check *c, const ad_bf16_kernels *k, const ad_bf16_conv_args *shape, unsigned what, ad_fn fn)
{
	ad_bf16_conv_args a = *shape;
	size_t far = (a.pixels - 1) * a.pixel + (a.n[0] - 1) * a.step[0] + (a.n[1] - 1) * a.step[1] +
		     (a.n[2] - 1) * a.step[2];
	size_t count, i;
	float *out[2];

	a.in = make_numbers(c, far + 2 * (a.n[0] > 1 && a.step[0] < 2 * a.run ? a.run : a.last));
	a.w = make_numbers(c, pairs_of(&a) * a.blocks * BLOCK * 2);
	a.bias = what & 2 ? NULL : make_floats(c, a.blocks * BLOCK);
	a.fn = fn;
	a.out_block = a.pixels * BLOCK + 16 * (a.pixels % 3);
	a.res_block = a.out_block;
	a.next = a.pixels % 2 ? a.w : NULL;
	a.next_count = a.pixels % 2 ? pairs_of(&a) * a.blocks * BLOCK * 2 : 0;
	count = (a.blocks - 1) * a.out_block + a.pixels * BLOCK;
	if (what & 1)
		a.res = make_floats(c, count);
	for (i = 0; i < 2; i++) {
		ad_bf16_conv_args one = a;

		one.out = out[i] = make(c, count * sizeof(float));
		if (what & 4)
			one.res = memcpy(out[i], a.res, count * sizeof(float));
		(i ? &ad_bf16_scalar : k)->conv(&one);
	}
	for (i = 0; i < count; i++) {
		size_t r = i / a.out_block, p = i % a.out_block / BLOCK;
		double bound;

		if (p >= a.pixels) {
			if (memcmp(&out[0][i], &out[1][i], sizeof(float)))
				fail_msg("float %zu between the blocks was written", i);
			continue;
		}
		bound = AD_BF16_BOUND * (double)pairs_of(&a) * magnitude(&a, r, p, i % BLOCK);
		if (!(fabs((double)out[0][i] - (double)out[1][i]) <= bound))
			fail_msg("%zu blocks, %zu pixels, %zu pairs, case %u: block %zu, pixel %zu, channel %zu is "
				 "%.9g, scalar says %.9g",
				 a.blocks, a.pixels, pairs_of(&a), what, r, p, i % BLOCK, (double)out[0][i],
				 (double)out[1][i]);
	}
	guard_drop_all(&c->memory);
}

static const ad_fn fns[] = {{AD_FN_NONE, 0, 0}, {AD_FN_RELU, 0, 0}, {AD_FN_CLIP, -0.25f, 0.5f}};

static const ad_bf16_kernels *table(void)
{
	const ad_bf16_kernels *k = ad_bf16_kernels_isa("avx512bf16");

	if (!k)
		SKIP("%s: not on this machine or not in this build", "avx512bf16");
	return k;
}

static void conv_matches_scalar(void **state)
{
	static const unsigned whats[] = {0, 1, 2, 3, 5};
	const ad_bf16_kernels *k = table();
	struct check c = {.memory = {.side = 0}};

	(void)state;
	ad_rng_seed(&c.rng, 2);
	for (size_t blocks = 1; blocks <= k->conv_blocks; blocks++)
		for (c.memory.side = 0; c.memory.side < 2; c.memory.side++)
			for (size_t pixels = 1; pixels <= 31; pixels += 1 + (size_t)(pixels > 15)) {
				size_t row = (pixels + 2) * BLOCK;
				/* 1x1; 3x3; strided, with few pairs at the end; one pair. */
				const ad_bf16_conv_args shapes[] = {
				    {.pixel = 16, .n = {3, 1, 1}, .step = {row, 0, 0}, .run = 8, .last = 8},
				    {.pixel = 16, .n = {2, 3, 3}, .step = {3 * row, row, 16}, .run = 8, .last = 3},
				    {.pixel = 32, .n = {2, 3, 3}, .step = {6 * row, 2 * row, 16}, .run = 8, .last = 1},
				    {.pixel = 16, .n = {1, 1, 1}, .run = 1, .last = 1},
				};

				for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
					ad_bf16_conv_args a = shapes[s];

					a.blocks = blocks;
					a.pixels = pixels;
					one_conv(&c, k, &a, whats[(pixels + s) % 5], fns[(pixels + blocks + s) % 3]);
				}
			}
}

static void pack_matches_scalar(void **state)
{
	static const float odd[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-45f, 3.4e38f, 0x1.01p0f, 0x1.03p0f};
	const ad_bf16_kernels *k = table();
	struct check c = {.memory = {.side = 0}};

	(void)state;
	ad_rng_seed(&c.rng, 3);
	for (c.memory.side = 0; c.memory.side < 2; c.memory.side++)
		for (size_t pixels = 1; pixels <= 19; pixels++)
			for (size_t turn = 0; turn < 12; turn++) {
				size_t step = BLOCK * (1 + turn % 2), bytes = pixels * BLOCK * sizeof(uint16_t);
				float *in = make_floats(&c, (pixels - 1) * step + BLOCK);
				ad_bf16_pack_args a = {.in = in, .pixel = step, .pixels = pixels, .fn = fns[turn / 4]};
				uint16_t *out[2];

				if (turn % 4 < 2) {
					a.scale = make_floats(&c, BLOCK);
					a.shift = make_floats(&c, BLOCK);
				} else {
					for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
						in[(pixels - 1) * step + i] = odd[i];
				}
				for (int i = 0; i < 2; i++) {
					a.out = out[i] = make(&c, bytes);
					(i ? &ad_bf16_scalar : k)->pack(&a);
				}
				for (size_t i = 0; i < pixels * BLOCK; i++) {
					double x = (double)ad_bf16_float(out[0][i]),
					       y = (double)ad_bf16_float(out[1][i]);

					/*
					 * A product that is not rounded before it is added may fall to the other side.
					 */
					if (a.scale    ? fabs(x - y) > 0x1p-7 * fabs(y) + 1e-7
					    : isnan(y) ? !isnan(x)
						       : out[0][i] != out[1][i])
						fail_msg("turn %zu, number %zu of %zu is %a, scalar says %a", turn, i,
							 pixels * BLOCK, x, y);
				}
				guard_drop_all(&c.memory);
			}
}

static void pair_matches_scalar(void **state)
{
	const ad_bf16_kernels *k = table();
	struct check c = {.memory = {.side = 0}};

	(void)state;
	ad_rng_seed(&c.rng, 4);
	for (int turn = 0; turn < 100; turn++) {
		ad_bf16_pair_args a = {.even = make_floats(&c, BLOCK)};
		uint16_t *out[2];

		c.memory.side = turn & 1;
		a.odd = turn & 2 ? make_floats(&c, BLOCK) : NULL;
		for (int i = 0; i < 2; i++) {
			a.out = out[i] = make(&c, 2 * BLOCK * sizeof(uint16_t));
			(i ? &ad_bf16_scalar : k)->pair(&a);
		}
		assert_memory_equal(out[0], out[1], 2 * BLOCK * sizeof(uint16_t));
		guard_drop_all(&c.memory);
	}
}

/* Whoever asks for less by ADTOOL_ISA is not given it. */
static void it_goes_with_avx512_alone(void **state)
{
	(void)state;
	assert_null(ad_bf16_kernels_for("avx2"));
	assert_null(ad_bf16_kernels_for("scalar"));
	assert_null(ad_bf16_kernels_for("neon"));
	assert_ptr_equal(ad_bf16_kernels_for("avx512"), ad_bf16_kernels_isa("avx512bf16"));
	assert_null(ad_bf16_kernels_isa("sse9"));
	assert_string_equal(ad_bf16_kernel_name(0), "conv");
	assert_null(ad_bf16_kernel_name(3));
}

/* -- one convolution ----------------------------------------------------------------------------------- */

struct made {
	ad_graph g;
	ad_value values[4];
	ad_node nodes[2];
	int inputs[2][2], output;
	float *weights, *bias, *input, *scale, *shift;
	ad_rng rng;
};

/* A quarter of it ties: few bits, so that scaling them is exact. */
static float few_bits(ad_rng *rng)
{
	return (float)((int)(ad_rng_double(rng) * 4096) - 2048) / 1024;
}

static size_t outputs(size_t size, const ad_window *w, int axis)
{
	return (size + w->pads[axis] + w->pads[axis + 2] - (w->kernel[axis] - 1) * w->dilation[axis] - 1) /
		   w->stride[axis] +
	       1;
}

static void add_value(struct made *m, size_t c, size_t h, size_t w, int producer)
{
	m->values[m->g.n_values++] = (ad_value){.name = "value", .rank = 4, .dims = {1, c, h, w}, .count = c * h * w,
						.producer = producer, .readers = 1};
}

static float *random_floats(struct made *m, size_t count)
{
	float *f = malloc(count * sizeof(*f));

	for (size_t i = 0; i < count; i++)
		f[i] = random_float(&m->rng);
	return f;
}

/* Value 0, a SCALE when asked for, a convolution; its residual is its own input. */
static void build(struct made *m, size_t in, size_t out, size_t h, size_t w, ad_window window, ad_activation act,
		  int pre, int residual, uint64_t seed)
{
	int x = 0;
	ad_node *n;

	memset(m, 0, sizeof(*m));
	ad_rng_seed(&m->rng, seed);
	m->g = (ad_graph){.values = m->values, .nodes = m->nodes, .outputs = &m->output, .n_outputs = 1,
			  .most_bytes = (size_t)1 << 30};
	m->scale = malloc(in * sizeof(float));
	m->shift = malloc(in * sizeof(float));
	for (size_t i = 0; i < in; i++) {
		m->scale[i] = ldexpf(1, (int)(i % 3) - 1);
		m->shift[i] = few_bits(&m->rng);
	}
	m->input = malloc(in * h * w * sizeof(float));
	for (size_t i = 0; i < in * h * w; i++)
		m->input[i] = few_bits(&m->rng);
	add_value(m, in, h, w, -1);
	if (pre) {
		n = &m->nodes[m->g.n_nodes++];
		*n = (ad_node){.op = AD_OP_SCALE, .name = "pre", .kind = "Mul", .inputs = m->inputs[1], .n_inputs = 1,
			       .output = 1, .activation = {AD_ACT_RELU, 0, 0}};
		n->inputs[0] = 0;
		n->u.scale.scale = m->scale;
		n->u.scale.shift = m->shift;
		add_value(m, in, h, w, 0);
		x = 1;
	}
	n = &m->nodes[m->g.n_nodes++];
	m->output = x + 1;
	*n = (ad_node){.op = AD_OP_CONV, .name = "conv", .kind = "Conv", .inputs = m->inputs[0],
		       .n_inputs = residual ? 2 : 1, .output = m->output, .activation = act};
	n->inputs[0] = n->inputs[1] = x;
	m->values[x].readers += (size_t)residual;
	add_value(m, out, outputs(h, &window, 0), outputs(w, &window, 1), x);
	m->weights = random_floats(m, out * in * window.kernel[0] * window.kernel[1]);
	m->bias = random_floats(m, out);
	n->u.conv = (ad_conv){
	    .window = window, .groups = 1, .weights = m->weights, .bias = m->bias, .residual = residual, .bf16 = 1};
}

static void drop(struct made *m)
{
	free(m->weights);
	free(m->bias);
	free(m->input);
	free(m->scale);
	free(m->shift);
}

static float *run(struct made *m, const char *isa, unsigned threads, char algorithm[64])
{
	size_t count = m->values[m->output].count;
	float *out = malloc(count * sizeof(*out));
	ad_pool *pool = NULL;
	ad_engine *e = NULL;
	adtool_error err;
	void *arena;

	assert_int_equal(ad_pool_create(threads, &pool, &err), 0);
	if (ad_engine_create(&m->g, ad_kernels_isa(isa), NULL, pool, &e, &err))
		fail_msg("%s: %s", isa, err.message);
	arena = ad_malloc_aligned(ad_engine_arena_bytes(e), 1);
	memset(arena, 0xff, ad_engine_arena_bytes(e));
	ad_engine_run(e, arena, pool, m->input, out, NULL);
	snprintf(algorithm, 64, "%s", ad_engine_algorithm(e, m->g.n_nodes - 1));
	ad_free_aligned(arena);
	ad_engine_free(e);
	ad_pool_free(pool);
	return out;
}

static double activated(ad_activation a, double x)
{
	switch (a.kind) {
	case AD_ACT_RELU:
		return fmax(x, 0);
	case AD_ACT_CLIP:
		return fmin(fmax(x, (double)a.a), (double)a.b);
	case AD_ACT_SWISH:
		return x / (1 + exp(-x));
	default:
		return x;
	}
}

/* What the convolution reads, not yet rounded. */
static double input_at(const struct made *m, size_t c, size_t y, size_t x)
{
	const ad_value *v = &m->values[0];
	double value = (double)m->input[(c * v->dims[2] + y) * v->dims[3] + x];

	return m->g.n_nodes > 1 ? fmax(0, value * (double)m->scale[c] + (double)m->shift[c]) : value;
}

static void check_output(const struct made *m, size_t o, size_t y, size_t x, double got, const char *isa)
{
	const ad_node *n = &m->nodes[m->g.n_nodes - 1];
	const ad_window *w = &n->u.conv.window;
	const ad_value *in = &m->values[0];
	size_t taps = w->kernel[0] * w->kernel[1];
	double sum = (double)m->bias[o], size = fabs(sum), want;

	for (size_t i = 0; i < in->dims[1]; i++)
		for (size_t t = 0; t < taps; t++) {
			size_t iy = y * w->stride[0] + t / w->kernel[1] * w->dilation[0] - w->pads[0];
			size_t ix = x * w->stride[1] + t % w->kernel[1] * w->dilation[1] - w->pads[1];
			double product;

			if (iy >= in->dims[2] || ix >= in->dims[3])
				continue;
			product = rounded((double)m->weights[(o * in->dims[1] + i) * taps + t]) *
				  rounded(input_at(m, i, iy, ix));
			sum += product;
			size += fabs(product);
		}
	if (n->u.conv.residual) {
		sum += input_at(m, o, y, x);
		size += fabs(input_at(m, o, y, x));
	}
	want = activated(n->activation, sum);
	if (!(fabs(got - want) <= AD_BF16_BOUND * (double)(in->dims[1] * taps) * size + 1e-6))
		fail_msg("%s: output %zu, %zu, %zu is %.9g where it is %.9g", isa, o, y, x, got, want);
}

static void convolutions(void **state)
{
	static const ad_window windows[] = {
	    {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}}, {{1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}},
	    {{3, 3}, {2, 2}, {1, 1}, {0, 0, 1, 1}}, {{5, 3}, {1, 2}, {1, 1}, {2, 1, 2, 1}},
	    {{3, 3}, {1, 1}, {2, 2}, {2, 2, 2, 2}}, {{1, 1}, {2, 1}, {1, 1}, {0, 0, 0, 0}},
	};
	static const ad_activation acts[] = {
	    {AD_ACT_NONE, 0, 0}, {AD_ACT_RELU, 0, 0}, {AD_ACT_CLIP, -1, 2}, {AD_ACT_SWISH, 0, 0}};
	static const size_t channels[][2] = {{16, 16}, {17, 31}, {33, 48}, {48, 80}, {64, 64}, {200, 40}};
	static const size_t sizes[][2] = {{2, 3}, {7, 7}, {9, 14}, {13, 29}};

	(void)state;
	for (size_t turn = 0; turn < 6 * 6 * 4; turn++) {
		const ad_window *w = &windows[turn % 6];
		size_t k = turn / 36, in = channels[turn / 6 % 6][0], out = channels[turn / 6 % 6][1];
		int one = w->kernel[0] == 1, same = w == windows && in == out, pre = w == windows && turn / 6 % 2;
		const char *isa;
		struct made m;

		build(&m, in, out, sizes[k][0], sizes[k][1], *w, acts[turn % 5 % 4], pre, same && turn % 4 < 3, turn);
		for (size_t i = 0; (isa = ad_kernels_known(i)) != NULL; i++) {
			const ad_value *v = &m.values[m.output];
			char algorithm[64];
			float *got[2];

			if (!ad_kernels_isa(isa))
				continue;
			for (int t = 0; t < 2; t++) {
				got[t] = run(&m, isa, 1 + 2 * (unsigned)t, algorithm);
				if (!strstr(algorithm, one ? "bf16 pointwise" : "bf16 direct"))
					fail_msg("%s: computed by '%s'", isa, algorithm);
			}
			assert_memory_equal(got[0], got[1], v->count * sizeof(float));
			for (size_t j = 0; j < v->count; j++)
				check_output(&m, j / v->dims[3] / v->dims[2], j / v->dims[3] % v->dims[2],
					     j % v->dims[3], (double)got[0][j], isa);
			free(got[0]);
			free(got[1]);
		}
		drop(&m);
	}
}

/* Where nothing is gained floats stay floats, on every instruction set. */
static void others_stay_in_floats(void **state)
{
	static const struct {
		size_t in, out, groups;
		ad_window w;
	} cases[] = {
	    {32, 32, 1, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}}},
	    {32, 32, 32, {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}}},
	    {32, 32, 2, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}}},
	    {15, 32, 1, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}}},
	    {32, 15, 1, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}}},
	};
	const char *isa;
	struct made m;
	char algorithm[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&m, cases[i].in, cases[i].out, 8, 8, cases[i].w, (ad_activation){AD_ACT_NONE, 0, 0}, 0, 0, i);
		m.nodes[0].u.conv.groups = cases[i].groups;
		for (size_t k = 0; (isa = ad_kernels_known(k)) != NULL; k++) {
			if (!ad_kernels_isa(isa))
				continue;
			free(run(&m, isa, 1, algorithm));
			if (strstr(algorithm, "bf16"))
				fail_msg("%s, case %zu: computed by '%s'", isa, i, algorithm);
		}
		drop(&m);
	}
}

/* One infinite input and one that is no number: they reach what reads them, and nothing else. */
static void odd_numbers_stay_where_they_are(void **state)
{
	const char *isa;

	(void)state;
	for (size_t i = 0; (isa = ad_kernels_known(i)) != NULL; i++) {
		struct made m;
		char algorithm[64];
		float *out;

		if (!ad_kernels_isa(isa))
			continue;
		build(&m, 33, 32, 5, 5, (ad_window){{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
		      (ad_activation){AD_ACT_NONE, 0, 0}, 0, 0, 9);
		m.input[32 * 25 + 7] = NAN;
		m.input[3 * 25 + 11] = INFINITY;
		m.input[5 * 25 + 13] = 1e-41f;
		out = run(&m, isa, 1, algorithm);
		for (size_t j = 0; j < 32 * 25; j++) {
			size_t p = j % 25;

			if (p == 7 ? !isnan(out[j]) : p == 11 ? isfinite(out[j]) : !isfinite(out[j]))
				fail_msg("%s: channel %zu of pixel %zu is %g", isa, j / 25, p, (double)out[j]);
		}
		free(out);
		drop(&m);
	}
}

/* -- whole backbones ------------------------------------------------------------------------------------ */

static float *features(const char *path, const char *layer, const char *isa, int bf16, size_t *count)
{
	enum { SIDE = 96 };
	static float input[3 * SIDE * SIDE];
	adtool_backbone *b = NULL;
	ad_plan *plan = NULL;
	adtool_error err;
	float *out;
	void *arena;

	setenv("ADTOOL_ISA", isa, 1);
	if (adtool_backbone_open(path, &b, &err) ||
	    ad_plan_create_as(b, layer, SIDE, SIDE, &(ad_how){.bf16 = bf16}, NULL, &plan, &err))
		fail_msg("%s: %s", path, err.message);
	for (size_t i = 0; i < 3 * SIDE * SIDE; i++)
		input[i] = (float)(sin((double)i * 12.9898) + sin((double)(i % SIDE) * 0.1));
	*count = ad_plan_output_floats(plan);
	out = malloc(*count * sizeof(*out));
	arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
	ad_plan_run(plan, arena, NULL, input, out);
	ad_free_aligned(arena);
	ad_plan_free(plan);
	adtool_backbone_free(b);
	unsetenv("ADTOOL_ISA");
	return out;
}

static double difference(const float *x, const float *y, size_t count)
{
	double error = 0, norm = 0;

	for (size_t i = 0; i < count; i++) {
		error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
		norm += (double)y[i] * (double)y[i];
	}
	return sqrt(error / norm);
}

/* wide: what rounding may do to the features; narrow: what another instruction set may. */
static void a_backbone(const char *path, const char *layer, double wide, double narrow)
{
	float *first = NULL, *in_floats = NULL;
	const char *isa;
	size_t count;

	for (size_t i = 0; (isa = ad_kernels_known(i)) != NULL; i++) {
		float *out;

		if (!ad_kernels_isa(isa))
			continue;
		out = features(path, layer, isa, 1, &count);
		if (!first) {
			first = out;
			in_floats = features(path, layer, isa, 0, &count);
			if (!(difference(out, in_floats, count) <= wide && difference(out, in_floats, count) > 1e-4))
				fail_msg("%s: %g off", isa, difference(out, in_floats, count));
			continue;
		}
		if (!(difference(out, first, count) <= narrow))
			fail_msg("%s: %g off", isa, difference(out, first, count));
		free(out);
	}
	free(first);
	free(in_floats);
}

static void adnet_keeps_its_features(void **state)
{
	(void)state;
	a_backbone("adnet", "layer16", 0.02, 0.005);
}

/* Depthwise convolutions between those that are rounded. */
static void mobilenet_keeps_its_features(void **state)
{
	char path[1024];

	(void)state;
	a_backbone(need_shared("backbones/mobilenet_v2.onnx", path, sizeof(path)), "s16", 0.02, 0.01);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_are_rounded),       cmocka_unit_test(conv_matches_scalar),
	    cmocka_unit_test(pack_matches_scalar),       cmocka_unit_test(pair_matches_scalar),
	    cmocka_unit_test(it_goes_with_avx512_alone), cmocka_unit_test(convolutions),
	    cmocka_unit_test(others_stay_in_floats),     cmocka_unit_test(odd_numbers_stay_where_they_are),
	    cmocka_unit_test(adnet_keeps_its_features),  cmocka_unit_test(mobilenet_keeps_its_features),
	};

	return cmocka_run_group_tests_name("bf16", tests, NULL, NULL);
}
