/*
 * Convolutions in 8 bits against sums in double, within the bound that rounding allows; graphs of them: the same bits
 * on every instruction set and for any number of threads.
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
#include "../../lib/net/ranges.h"

enum { VALUES = 8, MOST_CHANNELS = 80 };

struct made {
	ad_graph g;
	ad_value values[VALUES];
	ad_node nodes[VALUES];
	int inputs[VALUES][2], output;
	float *weights[VALUES], *bias[VALUES];
	ad_range ranges[VALUES][MOST_CHANNELS];
	const ad_range *of[VALUES];
	ad_rng rng;
};

static float random_float(struct made *m, float low, float high)
{
	return low + (high - low) * (float)ad_rng_double(&m->rng);
}

static int add_value(struct made *m, size_t c, size_t h, size_t w, float low, float high)
{
	int i = (int)m->g.n_values++;

	m->values[i] = (ad_value){.name = "value", .rank = 4, .dims = {1, c, h, w}, .count = c * h * w, .producer = -1};
	/* Channels differ in what they span, the first one spans most. */
	for (size_t k = 0; k < c; k++) {
		float share = k ? random_float(m, 0.05f, 1) : 1;

		m->ranges[i][k] = (ad_range){low * share, high * share};
	}
	m->of[i] = m->ranges[i];
	return i;
}

static void begin(struct made *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	ad_rng_seed(&m->rng, seed);
	m->g.values = m->values;
	m->g.nodes = m->nodes;
	m->g.most_bytes = (size_t)1 << 30;
}

static ad_node *add_node(struct made *m, enum ad_op op, int in, int residual, int out)
{
	size_t i = m->g.n_nodes++;
	ad_node *n = &m->nodes[i];

	*n = (ad_node){.op = op, .name = "node", .kind = "Kind", .inputs = m->inputs[i],
		       .n_inputs = residual >= 0 ? 2 : 1, .output = out};
	n->inputs[0] = in;
	n->inputs[1] = residual;
	m->values[out].producer = (int)i;
	return n;
}

static size_t outputs(size_t size, const ad_window *w, int axis)
{
	return (size + w->pads[axis] + w->pads[axis + 2] - w->kernel[axis]) / w->stride[axis] + 1;
}

static int add_conv(struct made *m, int in, size_t out, ad_window w, size_t groups, int residual, int relu, float high)
{
	const ad_value *x = &m->values[in];
	size_t k = x->dims[1] / groups * w.kernel[0] * w.kernel[1], i = m->g.n_nodes;
	int y = add_value(m, out, outputs(x->dims[2], &w, 0), outputs(x->dims[3], &w, 1), relu ? 0 : -high, high);
	ad_node *n = add_node(m, AD_OP_CONV, in, residual, y);

	m->weights[i] = malloc(out * k * sizeof(float));
	m->bias[i] = malloc(out * sizeof(float));
	for (size_t j = 0; j < out * k; j++)
		m->weights[i][j] = random_float(m, -1, 1) / sqrtf((float)k);
	for (size_t j = 0; j < out; j++)
		m->bias[i][j] = random_float(m, -0.3f, 0.3f);
	n->u.conv = (ad_conv){
	    .window = w, .groups = groups, .weights = m->weights[i], .bias = m->bias[i], .residual = residual >= 0};
	n->activation.kind = relu ? AD_ACT_RELU : AD_ACT_NONE;
	return y;
}

static int add_pool(struct made *m, int in, ad_window w)
{
	const ad_value *x = &m->values[in];
	int y = add_value(m, x->dims[1], outputs(x->dims[2], &w, 0), outputs(x->dims[3], &w, 1), 0, 1);
	ad_node *n = add_node(m, AD_OP_MAX_POOL, in, -1, y);

	m->of[y] = NULL; /* it has its input's */
	n->u.pool.window = w;
	return y;
}

static void finish(struct made *m, int output)
{
	m->output = output;
	m->g.outputs = &m->output;
	m->g.n_outputs = 1;
	for (size_t i = 0; i < m->g.n_nodes; i++)
		for (size_t j = 0; j < m->nodes[i].n_inputs; j++)
			m->values[m->nodes[i].inputs[j]].readers++;
	m->values[output].readers++;
}

static void drop(struct made *m)
{
	for (size_t i = 0; i < VALUES; i++) {
		free(m->weights[i]);
		free(m->bias[i]);
	}
}

/* On `isa`, in the middle of NaN; how the last node was computed in *algorithm. */
static float *run(struct made *m, const char *isa, unsigned threads, const float *input, char algorithm[64])
{
	size_t count = m->values[m->output].count;
	float *out = malloc(count * sizeof(*out));
	ad_pool *pool = NULL;
	ad_engine *e = NULL;
	adtool_error err;
	void *arena;

	assert_int_equal(ad_pool_create(threads, &pool, &err), 0);
	if (ad_engine_create(&m->g, ad_kernels_isa(isa), m->of, pool, &e, &err))
		fail_msg("%s: %s", isa, err.message);
	arena = ad_malloc_aligned(ad_engine_arena_bytes(e), 1);
	memset(arena, 0xff, ad_engine_arena_bytes(e));
	ad_engine_run(e, arena, pool, input, out, NULL);
	snprintf(algorithm, 64, "%s", ad_engine_algorithm(e, m->g.n_nodes - 1));
	ad_free_aligned(arena);
	ad_engine_free(e);
	ad_pool_free(pool);
	return out;
}

static float *make_input(struct made *m)
{
	const ad_value *x = &m->values[0];
	size_t inner = x->count / x->dims[1];
	float *input = malloc(x->count * sizeof(*input));

	for (size_t i = 0; i < x->count; i++)
		input[i] = random_float(m, m->ranges[0][i / inner].low, m->ranges[0][i / inner].high);
	return input;
}

/* Every instruction set and number of threads against the first; returns its result. */
static float *same_bits(struct made *m, const float *input, const char *algorithm)
{
	float *first = NULL;
	const char *isa;
	char got[64];

	for (size_t i = 0; (isa = ad_kernels_known(i)) != NULL; i++) {
		for (unsigned threads = 1; ad_kernels_isa(isa) && threads <= 3; threads += 2) {
			float *out = run(m, isa, threads, input, got);

			if (strcmp(got, algorithm))
				fail_msg("%s: computed by '%s' instead of '%s'", isa, got, algorithm);
			if (!first) {
				first = out;
				continue;
			}
			for (size_t j = 0; j < m->values[m->output].count; j++)
				if (memcmp(&out[j], &first[j], sizeof(float)))
					fail_msg("%s, %u threads: element %zu is %.9g where it was %.9g", isa, threads,
						 j, (double)out[j], (double)first[j]);
			free(out);
		}
	}
	return first;
}

/*
 * What rounding may do to output o, y, x of a single convolution: each input is off by half a step of its scale, which
 * is at most the tensor's; each weight by one step, a 127th of the largest, and at most 64^(1/4) times that for scales.
 */
static void check_output(const struct made *m, const float *input, size_t o, size_t y, size_t x, double got)
{
	const ad_node *n = &m->nodes[0];
	const ad_value *in = &m->values[0];
	const ad_window *w = &n->u.conv.window;
	size_t per = in->dims[1] / n->u.conv.groups, first = n->u.conv.groups > 1 ? o : 0,
	       taps = w->kernel[0] * w->kernel[1];
	double whole = ((double)m->ranges[0][0].high - (double)m->ranges[0][0].low) / 255, most = 0;
	double sum = (double)n->u.conv.bias[o], bound = 1e-4;

	for (size_t i = 0; i < per * taps; i++)
		most = fmax(most, fabs((double)n->u.conv.weights[o * per * taps + i]));
	for (size_t i = 0; i < per; i++)
		for (size_t t = 0; t < taps; t++) {
			size_t iy = y * w->stride[0] + t / w->kernel[1] - w->pads[0],
			       ix = x * w->stride[1] + t % w->kernel[1] - w->pads[1];
			double weight = (double)n->u.conv.weights[(o * per + i) * taps + t], v;

			if (iy >= in->dims[2] || ix >= in->dims[3])
				continue;
			v = (double)input[((first + i) * in->dims[2] + iy) * in->dims[3] + ix];
			sum += weight * v;
			bound += fabs(weight) * whole / 2 + (fabs(v) + whole / 2) * most / 127 * 2.83;
		}
	if (n->activation.kind == AD_ACT_RELU)
		sum = fmax(sum, 0);
	if (!(fabs(got - sum) <= bound))
		fail_msg("output %zu, %zu, %zu is %g where it is %g +- %g", o, y, x, got, sum, bound);
}

static void convolutions(void **state)
{
	static const ad_window windows[] = {
	    {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}}, {{1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}},
	    {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}}, {{3, 3}, {2, 2}, {1, 1}, {0, 0, 1, 1}},
	    {{5, 3}, {1, 2}, {1, 1}, {2, 1, 2, 1}}, {{7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}},
	};
	static const size_t channels[][2] = {{3, 16},  {1, 5},   {4, 33},  {5, 16}, {16, 16},
					     {17, 31}, {33, 48}, {64, 65}, {20, 0}, {48, 0}};
	static const size_t sizes[][2] = {{7, 7}, {9, 14}, {8, 29}};
	struct made m;

	(void)state;
	for (size_t turn = 0; turn < 6 * 10 * 3; turn++) {
		const ad_window *w = &windows[turn % 6];
		size_t in = channels[turn / 6 % 10][0], out = channels[turn / 6 % 10][1], k = turn / 60;
		int one = w->kernel[0] == 1, depthwise = out == 0;
		const char *algorithm = depthwise ? "int8 depthwise" : one && in > 4 ? "int8 pointwise" : "int8 direct";
		float *input, *got;
		const ad_value *y;

		begin(&m, turn);
		add_value(&m, in, sizes[k][0], sizes[k][1], turn % 2 ? 0 : -2, 3);
		if (in <= 4) /* pictures have one scale for all */
			for (size_t c = 0; c < in; c++)
				m.ranges[0][c] = m.ranges[0][0];
		add_conv(&m, 0, depthwise ? in : out, *w, depthwise ? in : 1, -1, turn % 3 == 0, 4);
		if (depthwise) /* in bytes at both ends: what follows takes it from there */
			add_conv(&m, 1, in, windows[0], 1, -1, 0, 4);
		finish(&m, depthwise ? 2 : 1);
		input = make_input(&m);
		got = same_bits(&m, input, depthwise ? "int8 pointwise" : algorithm);
		y = &m.values[1];
		for (size_t i = 0; !depthwise && i < y->count; i++)
			check_output(&m, input, i / y->dims[3] / y->dims[2], i / y->dims[3] % y->dims[2],
				     i % y->dims[3], (double)got[i]);
		free(input);
		free(got);
		drop(&m);
	}
}

/* The weights of all convolutions as float16, to which they are rounded first. */
static void make_halves(struct made *m, ad_loose_half *halves[VALUES])
{
	for (size_t i = 0; i < m->g.n_nodes; i++) {
		const ad_node *n = &m->nodes[i];
		size_t count;

		halves[i] = NULL;
		if (n->op != AD_OP_CONV)
			continue;
		count = m->values[n->output].dims[1] * m->values[n->inputs[0]].dims[1] / n->u.conv.groups *
			n->u.conv.window.kernel[0] * n->u.conv.window.kernel[1];
		halves[i] = malloc(count * sizeof(*halves[i]));
		for (size_t j = 0; j < count; j++) {
			halves[i][j] = ad_float_to_half(m->weights[i][j]);
			m->weights[i][j] = ad_half_to_float(halves[i][j]);
		}
	}
}

/* A block as nets have them, from the picture on, against the same in floats; and with weights of float16. */
static void a_net_keeps_its_values(void **state)
{
	const ad_window three = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}}, one = {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
			pool = {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}};
	struct made m;
	ad_loose_half *halves[VALUES] = {0};
	float *input, *got, *wide;
	double error = 0, norm = 0;
	char algorithm[64];
	int v, skip;

	(void)state;
	begin(&m, 3);
	v = add_value(&m, 3, 30, 26, -2, 2.5f);
	m.ranges[0][1] = m.ranges[0][2] = m.ranges[0][0];
	v = add_conv(&m, v, 24, three, 1, -1, 1, 1.5f);
	v = skip = add_pool(&m, v, pool);
	v = add_conv(&m, v, 40, one, 1, -1, 1, 1.5f);
	v = add_conv(&m, v, 40, three, 40, -1, 1, 1.5f);
	v = add_conv(&m, v, 24, one, 1, skip, 1, 2);
	v = add_conv(&m, v, 20, three, 1, -1, 0, 2);
	finish(&m, v);
	/* Ranges as a measurement would find them: those of the values, and not less. */
	for (size_t i = 1; i < m.g.n_values; i++)
		for (size_t c = 0; c < m.values[i].dims[1]; c++)
			m.ranges[i][c] = (ad_range){i == 6 ? -3 : 0, 3};
	make_halves(&m, halves);
	input = make_input(&m);
	got = same_bits(&m, input, "int8 direct");
	for (size_t i = 0; i < m.g.n_nodes; i++) {
		if (!halves[i])
			continue;
		m.nodes[i].u.conv.halves = halves[i];
		m.nodes[i].u.conv.weights = NULL;
	}
	wide = same_bits(&m, input, "int8 direct");
	assert_memory_equal(got, wide, m.values[m.output].count * sizeof(*got));
	free(wide);
	for (size_t i = 0; i < VALUES; i++)
		m.of[i] = NULL;
	wide = run(&m, "scalar", 1, input, algorithm);
	assert_null(strstr(algorithm, "int8"));
	for (size_t i = 0; i < m.values[m.output].count; i++) {
		error += ((double)got[i] - (double)wide[i]) * ((double)got[i] - (double)wide[i]);
		norm += (double)wide[i] * (double)wide[i];
	}
	if (!(sqrt(error / norm) < 0.04 && error > 0))
		fail_msg("the relative difference is %g", sqrt(error / norm));
	for (size_t i = 0; i < VALUES; i++)
		free(halves[i]);
	free(input);
	free(got);
	free(wide);
	drop(&m);
}

/* Whatever ranges and weights a file has, the result is one, and the same everywhere. */
static void hostile_numbers(void **state)
{
	static const float odd[] = {0, 1e-45f, 1e-38f, 1e-20f, 1e20f, 3e38f, INFINITY, NAN};
	const ad_window three = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
	struct made m;

	(void)state;
	for (size_t turn = 0; turn < 64; turn++) {
		float *input;
		char algorithm[64];

		begin(&m, turn);
		add_value(&m, 20, 6, 6, -1, 1);
		add_conv(&m, 0, 20, three, turn % 2 ? 20 : 1, -1, 1, 1);
		add_conv(&m, 1, 16, three, 1, -1, 0, 1);
		finish(&m, 2);
		input = make_input(&m);
		for (size_t c = 0; c < 20; c += 1 + turn % 3) {
			if (turn / 8 < 6) {
				m.ranges[0][c].high = odd[turn / 8];
				m.ranges[1][c].high = odd[(turn + c) % 6];
			}
			m.weights[turn % 2][c * 9] = odd[turn % 8];
			m.bias[1][c % 16] = odd[(turn + 3) % 8];
		}
		free(run(&m, "scalar", 1, input, algorithm));
		free(run(&m,
			 ad_kernels_isa("avx512") ? "avx512"
			 : ad_kernels_isa("avx2") ? "avx2"
						  : "scalar",
			 2, input, algorithm));
		free(input);
		drop(&m);
	}
}

/* The names beside ranges come from a file: any text gives a plan or one clear error. */
static void hostile_names(void **state)
{
	static const float ranges[8] = {0, 1, -1, 1, 0, 1, 0, 1};
	static const struct {
		const char *text;
		size_t count;
		const char *why; /* NULL: it is a plan */
	} texts[] = {
	    {"4 nobody\n", 4, NULL},
	    {"1 a\n1 b\n2 input\n", 4, NULL}, /* other channels than the input has */
	    {"3 input\n1 x\n", 4, NULL},
	    {"3 input\n", 4, "does not fit 4 ranges"},
	    {"4 a\n1 b\n", 4, "line 2"}, /* no ranges are left for it */
	    {"5 a\n", 4, "line 1"},
	    {"4 a", 4, "line 1"},
	    {"0 a\n4 b\n", 4, "line 1"},
	    {"2 a\n2 a\n", 4, "two lines of ranges for 'a'"},
	    {"4a\n", 4, "line 1"},
	    {"4 \n", 4, "line 1"},
	    {"-4 a\n", 4, "line 1"},
	    {"99999999999999999999999999 a\n", 4, "line 1"},
	    {"18446744073709551615 a\n5 b\n", 4, "line 1"},
	    {"", 4, "line 1"},
	};
	adtool_backbone *b = NULL;
	adtool_error err;

	(void)state;
	assert_int_equal(adtool_backbone_open("adnet", &b, &err), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const ad_ranges r = {texts[i].text, strlen(texts[i].text), ranges, texts[i].count};
		ad_plan *plan = NULL;
		int code = ad_plan_create_as(b, NULL, 32, 32, &(ad_how){.ranges = &r}, NULL, &plan, &err);

		if (texts[i].why ? code != ADTOOL_EFORMAT || !strstr(err.message, texts[i].why) : code != 0)
			fail_msg("text %zu: code %d: %s", i, code, code ? err.message : "");
		ad_plan_free(plan);
	}
	adtool_backbone_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(convolutions),
	    cmocka_unit_test(a_net_keeps_its_values),
	    cmocka_unit_test(hostile_numbers),
	    cmocka_unit_test(hostile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
