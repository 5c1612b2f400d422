/*
 * Every operator that backbones may use, against references written from the ONNX specification in double and with no
 * care for speed. Each case is a file of its own, built here and sent through the library's own open and run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adtool/backbone.h>
#include <float.h>
#include <math.h>

#include "../../lib/base/rng.h"
#include "../../lib/net/net.h"
#include "onnx_make.h"

/* The nearest value of 11 significant bits, or of 2^-24 below the normal ones; ties go to even. */
static float to_half(float x)
{
	int exponent;
	float unit;

	frexpf(x, &exponent);
	unit = ldexpf(1, (exponent < -13 ? -13 : exponent) - 11);
	return rintf(x / unit) * unit;
}

/* A tensor of the references. */
struct array {
	size_t dims[4], n;
	double *v;
};

static struct array make(size_t a, size_t b, size_t c, size_t d)
{
	struct array x = {{a, b, c, d}, a * b * c * d, calloc(a * b * c * d, sizeof(double))};

	assert_non_null(x.v);
	return x;
}

static double *at(const struct array *x, size_t a, size_t b, size_t c, size_t d)
{
	return &x->v[((a * x->dims[1] + b) * x->dims[2] + c) * x->dims[3] + d];
}

/* Floats as the library sees them, so that references start from the same numbers. */
static float *noise(ad_rng *r, size_t n)
{
	float *v = malloc((n ? n : 1) * sizeof(*v));
	size_t i;

	assert_non_null(v);
	for (i = 0; i < n; i++)
		v[i] = (float)ad_rng_normal(r);
	return v;
}

static struct array widen(const float *v, size_t a, size_t b, size_t c, size_t d)
{
	struct array x = make(a, b, c, d);
	size_t i;

	for (i = 0; i < x.n; i++)
		x.v[i] = (double)v[i];
	return x;
}

/* Runs the file of m on an input of 1 x c x h x w to layer "y", and checks shape and values. Frees m and want. */
static void check_run(om *m, const float *input, size_t c, size_t h, size_t w, struct array want, int rank,
		      const char *what)
{
	const size_t shape[4] = {1, c, h, w};
	adtool_backbone *b = NULL;
	adtool_error err = {0};
	size_t size, got_shape[4], i;
	const uint8_t *bytes;
	double difference = 0, norm = 0;
	float *got = NULL;
	int ndim;

	om_output(m, "y");
	bytes = om_bytes(m, &size);
	if (adtool_backbone_open_memory(bytes, size, &b, &err))
		fail_msg("%s: open: %s", what, err.message);
	if (adtool_backbone_run(b, "y", input, shape, 1, &got, got_shape, &ndim, &err))
		fail_msg("%s: run: %s", what, err.message);
	if (ndim != rank)
		fail_msg("%s: %d dimensions instead of %d", what, ndim, rank);
	for (i = 0; i < (size_t)rank; i++)
		if (got_shape[i] != want.dims[i])
			fail_msg("%s: dimension %zu is %zu instead of %zu", what, i, got_shape[i], want.dims[i]);
	for (i = 0; i < want.n; i++) {
		if (!isfinite(want.v[i])) {
			if (isnan(want.v[i]) ? !isnan(got[i]) : (double)got[i] != want.v[i])
				fail_msg("%s: element %zu is %g instead of %g", what, i, (double)got[i], want.v[i]);
			continue;
		}
		difference += pow((double)got[i] - want.v[i], 2);
		norm += pow(want.v[i], 2);
	}
	if (!(sqrt(difference) <= 1e-5 * sqrt(norm) + 1e-30))
		fail_msg("%s: relative difference %g", what, sqrt(difference / norm));
	adtool_free(got);
	adtool_backbone_free(b);
	free(want.v);
	om_free(m);
}

/* -- convolution --------------------------------------------------------------------------------------- */

struct conv_case {
	size_t c, out, groups, kh, kw, sh, sw, dh, dw, h, w;
	int64_t pads[4];
	const char *automatic;
};

static size_t out_size(size_t in, size_t k, size_t stride, size_t dilation, int64_t before, int64_t after)
{
	return ((size_t)((int64_t)in + before + after) - ((k - 1) * dilation + 1)) / stride + 1;
}

/* The specification: output size ceil(in / stride); the padding that makes it, the odd one at the end or the start. */
static void same_pads(size_t in, size_t k, size_t stride, size_t dilation, int upper, int64_t *before, int64_t *after)
{
	int64_t out = ((int64_t)in + (int64_t)stride - 1) / (int64_t)stride;
	int64_t total = (out - 1) * (int64_t)stride + (int64_t)((k - 1) * dilation + 1) - (int64_t)in;

	total = total < 0 ? 0 : total;
	*before = upper ? total / 2 : (total + 1) / 2;
	*after = total - *before;
}

static void resolve_pads(struct conv_case *k)
{
	if (!strcmp(k->automatic, "VALID"))
		memset(k->pads, 0, sizeof(k->pads));
	if (!strncmp(k->automatic, "SAME", 4)) {
		int upper = !strcmp(k->automatic, "SAME_UPPER");

		same_pads(k->h, k->kh, k->sh, k->dh, upper, &k->pads[0], &k->pads[2]);
		same_pads(k->w, k->kw, k->sw, k->dw, upper, &k->pads[1], &k->pads[3]);
	}
}

static struct array ref_conv(const struct conv_case *k, const struct array *x, const struct array *w,
			     const double *bias)
{
	size_t oh = out_size(k->h, k->kh, k->sh, k->dh, k->pads[0], k->pads[2]);
	size_t ow = out_size(k->w, k->kw, k->sw, k->dw, k->pads[1], k->pads[3]);
	struct array y = make(1, k->out, oh, ow);
	size_t m, i, j, c, a, b, per_out = k->out / k->groups, per_in = k->c / k->groups;

	for (m = 0; m < k->out; m++)
		for (i = 0; i < oh; i++)
			for (j = 0; j < ow; j++) {
				double sum = bias ? bias[m] : 0;

				for (c = 0; c < per_in; c++)
					for (a = 0; a < k->kh; a++)
						for (b = 0; b < k->kw; b++) {
							int64_t iy = (int64_t)(i * k->sh + a * k->dh) - k->pads[0];
							int64_t ix = (int64_t)(j * k->sw + b * k->dw) - k->pads[1];

							if (iy < 0 || ix < 0 || iy >= (int64_t)k->h ||
							    ix >= (int64_t)k->w)
								continue;
							sum += *at(w, m, c, a, b) * *at(x, 0, m / per_out * per_in + c,
											(size_t)iy, (size_t)ix);
						}
				*at(&y, 0, m, i, j) = sum;
			}
	return y;
}

static void set_window(om *m, Ad__NodeProto *node, const struct conv_case *k, int kernel)
{
	if (kernel)
		om_int_list(m, node, "kernel_shape", LIST((int64_t)k->kh, (int64_t)k->kw));
	if (k->sh != 1 || k->sw != 1)
		om_int_list(m, node, "strides", LIST((int64_t)k->sh, (int64_t)k->sw));
	if (k->dh != 1 || k->dw != 1)
		om_int_list(m, node, "dilations", LIST((int64_t)k->dh, (int64_t)k->dw));
	if (*k->automatic)
		om_string(m, node, "auto_pad", k->automatic);
	else
		om_int_list(m, node, "pads", 4, k->pads);
}

static double act(const char *type, double x)
{
	if (!strcmp(type, "Relu"))
		return x > 0 ? x : 0;
	if (!strcmp(type, "LeakyRelu"))
		return x < 0 ? (double)0.2f * x : x;
	if (!strcmp(type, "Clip"))
		return fmin(fmax(x, (double)-0.7f), (double)1.3f);
	if (!strcmp(type, "Sigmoid"))
		return 1 / (1 + exp(-x));
	if (!strcmp(type, "HardSigmoid"))
		return fmax(0, fmin(1, (double)0.3f * x + (double)0.4f));
	if (!strcmp(type, "HardSwish"))
		return x * fmax(0, fmin(1, x / 6 + 0.5));
	return x;
}

/* Adds an activation "y" of `from`, with its constants. */
static void add_act(om *m, const char *type, const char *from)
{
	char inputs[64];
	Ad__NodeProto *node;

	snprintf(inputs, sizeof(inputs), strcmp(type, "Clip") ? "%s" : "%s low high", from);
	node = om_node(m, type, "act", inputs, "y");
	if (!strcmp(type, "LeakyRelu"))
		om_float(m, node, "alpha", 0.2f);
	if (!strcmp(type, "HardSigmoid")) {
		om_float(m, node, "alpha", 0.3f);
		om_float(m, node, "beta", 0.4f);
	}
	if (!strcmp(type, "Clip")) {
		om_floats(m, "low", (const float[]){-0.7f}, (const int64_t[]){-1});
		om_floats(m, "high", (const float[]){1.3f}, (const int64_t[]){-1});
	}
}

/* One convolution; activation NULL, or an operator after it; residual: its own result's shape added before that. */
static void try_conv(ad_rng *r, struct conv_case k, int with_bias, const char *activation, int residual, int halves)
{
	om *m = om_new(14);
	size_t n_weights = k.out * (k.c / k.groups) * k.kh * k.kw, i;
	float *x = noise(r, k.c * k.h * k.w), *w = noise(r, n_weights), *b = noise(r, k.out), *other = NULL;
	const int64_t dims[] = {(int64_t)k.out, (int64_t)(k.c / k.groups), (int64_t)k.kh, (int64_t)k.kw, -1};
	struct array ax = widen(x, 1, k.c, k.h, k.w), aw, y;
	double *db = NULL;
	Ad__NodeProto *node;
	char what[160];

	om_input(m, (int64_t)k.c);
	if (halves) {
		om_halves(m, "w16", w, dims);
		node = om_node(m, "Cast", "", "w16", "w");
		om_int(m, node, "to", 1);
		for (i = 0; i < n_weights; i++)
			w[i] = to_half(w[i]);
	} else {
		om_floats(m, "w", w, dims);
	}
	aw = widen(w, k.out, k.c / k.groups, k.kh, k.kw);
	if (with_bias) {
		om_floats(m, "b", b, DIMS((int64_t)k.out));
		db = widen(b, 1, 1, 1, k.out).v;
	}
	node = om_node(m, "Conv", "conv", with_bias ? "x w b" : "x w", activation || residual ? "c" : "y");
	if (k.groups != 1)
		om_int(m, node, "group", (int64_t)k.groups);
	set_window(m, node, &k, 1);
	resolve_pads(&k);
	y = ref_conv(&k, &ax, &aw, db);
	if (residual) {
		/* A second convolution of the input, so that the residual is no constant: 1x1 on the first channel. */
		struct conv_case one = {k.c, k.out, 1, 1, 1, 1, 1, 1, 1, k.h, k.w, {0}, ""};
		struct array wo, yo;

		other = noise(r, k.out * k.c);
		om_floats(m, "wo", other, DIMS((int64_t)k.out, (int64_t)k.c, 1, 1));
		om_node(m, "Conv", "other", "x wo", "o");
		wo = widen(other, k.out, k.c, 1, 1);
		yo = ref_conv(&one, &ax, &wo, NULL);
		assert_int_equal(yo.n, y.n);
		for (i = 0; i < y.n; i++)
			y.v[i] += yo.v[i];
		om_node(m, "Add", "sum", residual == 1 ? "c o" : "o c", activation ? "s" : "y");
		free(yo.v);
		free(wo.v);
	}
	if (activation) {
		add_act(m, activation, residual ? "s" : "c");
		for (i = 0; i < y.n; i++)
			y.v[i] = act(activation, y.v[i]);
	}
	snprintf(what, sizeof(what),
		 "conv %zu->%zu g%zu %zux%zu s%zux%zu d%zux%zu in %zux%zu pads %d,%d,%d,%d %s bias %d "
		 "act %s residual %d",
		 k.c, k.out, k.groups, k.kh, k.kw, k.sh, k.sw, k.dh, k.dw, k.h, k.w, (int)k.pads[0], (int)k.pads[1],
		 (int)k.pads[2], (int)k.pads[3], k.automatic, with_bias, activation ? activation : "none", residual);
	check_run(m, x, k.c, k.h, k.w, y, 4, what);
	free(ax.v);
	free(aw.v);
	free(db);
	free(x);
	free(w);
	free(b);
	free(other);
}

static void test_conv(void **state)
{
	static const char *const automatic[] = {"", "", "", "", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"};
	ad_rng r;
	int i, j;

	(void)state;
	ad_rng_seed(&r, 1);
	for (i = 0; i < 400; i++) {
		struct conv_case k = {.groups = 1};
		size_t kind = ad_rng_below(&r, 4);

		k.c = 1 + ad_rng_below(&r, 9);
		k.out = 1 + ad_rng_below(&r, 20);
		if (kind == 0) { /* depthwise, with a multiplier now and then */
			k.groups = k.c;
			k.out = k.c * (1 + ad_rng_below(&r, 2));
		} else if (kind == 1) {
			k.groups = 1 + ad_rng_below(&r, 3);
			k.c *= k.groups;
			k.out = k.groups * (1 + ad_rng_below(&r, 6));
		}
		k.kh = 1 + ad_rng_below(&r, 5);
		k.kw = ad_rng_below(&r, 3) ? k.kh : 1 + ad_rng_below(&r, 7);
		k.sh = 1 + ad_rng_below(&r, 3);
		k.sw = ad_rng_below(&r, 3) ? k.sh : 1 + ad_rng_below(&r, 3);
		k.dh = ad_rng_below(&r, 3) ? 1 : 1 + ad_rng_below(&r, 3);
		k.dw = ad_rng_below(&r, 3) ? k.dh : 1 + ad_rng_below(&r, 3);
		k.h = 1 + ad_rng_below(&r, 23);
		k.w = 1 + ad_rng_below(&r, 23);
		k.automatic = automatic[ad_rng_below(&r, 8)];
		if (!strcmp(k.automatic, "NOTSET"))
			k.automatic = "";
		for (j = 0; j < 4; j++)
			k.pads[j] = (int64_t)ad_rng_below(&r, 4);
		/* The window must fit. */
		if (strncmp(k.automatic, "SAME", 4)) {
			int padded = !*k.automatic;

			if ((k.kh - 1) * k.dh + 1 > k.h + (padded ? (size_t)(k.pads[0] + k.pads[2]) : 0) ||
			    (k.kw - 1) * k.dw + 1 > k.w + (padded ? (size_t)(k.pads[1] + k.pads[3]) : 0))
				continue;
		}
		try_conv(&r, k, (int)ad_rng_below(&r, 2), NULL, 0, (int)ad_rng_below(&r, 4) == 0);
	}
}

/* Sizes at which the work is cut into several blocks. */
static void test_conv_large(void **state)
{
	static const struct conv_case cases[] = {
	    {3, 16, 1, 7, 7, 2, 2, 1, 1, 65, 71, {3, 3, 3, 3}, ""},
	    {40, 70, 1, 3, 3, 1, 1, 1, 1, 40, 41, {1, 1, 1, 1}, ""},
	    {130, 33, 1, 1, 1, 1, 1, 1, 1, 33, 37, {0, 0, 0, 0}, ""},
	    {300, 150, 1, 3, 3, 1, 1, 1, 1, 7, 7, {1, 1, 1, 1}, ""},
	    {64, 64, 4, 3, 3, 2, 2, 1, 1, 29, 31, {0, 1, 1, 0}, ""},
	    {33, 33, 33, 5, 5, 2, 2, 1, 1, 57, 55, {2, 2, 2, 2}, ""},
	    {8, 8, 1, 3, 3, 1, 1, 4, 4, 3, 3, {4, 4, 4, 4}, ""}, /* the padding is wider than the input */
	    {4, 4, 4, 3, 3, 1, 1, 6, 6, 2, 2, {6, 6, 6, 6}, ""},
	};
	ad_rng r;
	size_t i;

	(void)state;
	ad_rng_seed(&r, 2);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		try_conv(&r, cases[i], 1, "Relu", 0, 0);
}

static void test_conv_fused(void **state)
{
	static const char *const kinds[] = {NULL, "Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish"};
	ad_rng r;
	size_t i;
	int residual;

	(void)state;
	ad_rng_seed(&r, 3);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (residual = 0; residual < 3; residual++) {
			struct conv_case k = {6, 12, 1, 3, 3, 1, 1, 1, 1, 13, 9, {1, 1, 1, 1}, ""};

			try_conv(&r, k, 1, kinds[i], residual, 0);
			k.groups = 6;
			try_conv(&r, k, 0, kinds[i], residual, 0);
		}
}

/* -- pooling ------------------------------------------------------------------------------------------- */

/* Output size with ceil_mode: rounded up, but the last window begins in the input or the padding before it. */
static size_t pooled(size_t in, size_t k, size_t stride, size_t dilation, int64_t before, int64_t after, int ceiling)
{
	int64_t reach = (int64_t)((k - 1) * dilation + 1), span = (int64_t)in + before + after - reach,
		s = (int64_t)stride;
	int64_t out = (ceiling ? (span + s - 1) / s : span / s) + 1;

	if (ceiling && (out - 1) * s >= (int64_t)in + before)
		out--;
	return (size_t)out;
}

static void test_pool(void **state)
{
	static const char *const automatic[] = {"", "", "", "SAME_UPPER", "SAME_LOWER", "VALID"};
	ad_rng r;
	int n, j, ran = 0;

	(void)state;
	ad_rng_seed(&r, 4);
	for (n = 0; n < 300; n++) {
		struct conv_case k = {.c = 1 + ad_rng_below(&r, 4), .groups = 1};
		int max = (int)ad_rng_below(&r, 2), ceiling = (int)ad_rng_below(&r, 2),
		    include = (int)ad_rng_below(&r, 2);
		om *m;
		float *x;
		struct array ax, y;
		Ad__NodeProto *node;
		size_t c, i, q, a, b, oh, ow;
		char what[160];

		k.kh = 1 + ad_rng_below(&r, 4);
		k.kw = ad_rng_below(&r, 2) ? k.kh : 1 + ad_rng_below(&r, 4);
		k.sh = 1 + ad_rng_below(&r, 3);
		k.sw = ad_rng_below(&r, 2) ? k.sh : 1 + ad_rng_below(&r, 3);
		k.dh = max ? 1 + ad_rng_below(&r, 2) : 1;
		k.dw = max ? 1 + ad_rng_below(&r, 2) : 1;
		k.h = 1 + ad_rng_below(&r, 17);
		k.w = 1 + ad_rng_below(&r, 17);
		k.automatic = automatic[ad_rng_below(&r, 6)];
		for (j = 0; j < 4; j++)
			k.pads[j] = (int64_t)ad_rng_below(&r, j % 2 ? k.kw : k.kh);
		if (strncmp(k.automatic, "SAME", 4)) {
			int padded = !*k.automatic;

			if ((k.kh - 1) * k.dh + 1 > k.h + (padded ? (size_t)(k.pads[0] + k.pads[2]) : 0) ||
			    (k.kw - 1) * k.dw + 1 > k.w + (padded ? (size_t)(k.pads[1] + k.pads[3]) : 0))
				continue;
		} else {
			ceiling = 0;
		}
		ran++;
		m = om_new(12);
		om_input(m, (int64_t)k.c);
		node = om_node(m, max ? "MaxPool" : "AveragePool", "pool", "x", "y");
		set_window(m, node, &k, 1);
		om_int(m, node, "ceil_mode", ceiling);
		if (!max)
			om_int(m, node, "count_include_pad", include);
		resolve_pads(&k);
		if (!strncmp(k.automatic, "SAME", 4)) {
			oh = (k.h + k.sh - 1) / k.sh;
			ow = (k.w + k.sw - 1) / k.sw;
		} else {
			oh = pooled(k.h, k.kh, k.sh, k.dh, k.pads[0], k.pads[2], ceiling);
			ow = pooled(k.w, k.kw, k.sw, k.dw, k.pads[1], k.pads[3], ceiling);
		}
		x = noise(&r, k.c * k.h * k.w);
		ax = widen(x, 1, k.c, k.h, k.w);
		y = make(1, k.c, oh, ow);
		for (c = 0; c < k.c; c++)
			for (i = 0; i < oh; i++)
				for (q = 0; q < ow; q++) {
					double best = -INFINITY, sum = 0;
					int cells = 0, padded = 0;

					for (a = 0; a < k.kh; a++)
						for (b = 0; b < k.kw; b++) {
							int64_t iy = (int64_t)(i * k.sh + a * k.dh) - k.pads[0];
							int64_t ix = (int64_t)(q * k.sw + b * k.dw) - k.pads[1];

							padded += iy < (int64_t)k.h + k.pads[2] &&
								  ix < (int64_t)k.w + k.pads[3];
							if (iy < 0 || ix < 0 || iy >= (int64_t)k.h ||
							    ix >= (int64_t)k.w)
								continue;
							cells++;
							best = fmax(best, *at(&ax, 0, c, (size_t)iy, (size_t)ix));
							sum += *at(&ax, 0, c, (size_t)iy, (size_t)ix);
						}
					if (max)
						*at(&y, 0, c, i, q) = best;
					else
						*at(&y, 0, c, i, q) = cells ? sum / (include ? padded : cells) : 0;
				}
		snprintf(what, sizeof(what),
			 "%s %zux%zu s%zux%zu d%zux%zu in %zux%zu pads %d,%d,%d,%d %s ceil %d include %d",
			 max ? "max" : "average", k.kh, k.kw, k.sh, k.sw, k.dh, k.dw, k.h, k.w, (int)k.pads[0],
			 (int)k.pads[1], (int)k.pads[2], (int)k.pads[3], k.automatic, ceiling, include);
		check_run(m, x, k.c, k.h, k.w, y, 4, what);
		free(ax.v);
		free(x);
	}
	assert_true(ran > 200);
}

static void test_global(void **state)
{
	ad_rng r;
	int kind;

	(void)state;
	ad_rng_seed(&r, 5);
	/* GlobalAveragePool; ReduceMean with keepdims 1, 0; axes as an input (set 18). */
	for (kind = 0; kind < 4; kind++) {
		om *m = om_new(kind == 3 ? 18 : 13);
		float *x = noise(&r, 5 * 6 * 7);
		struct array ax = widen(x, 1, 5, 6, 7), y = make(1, 5, 1, 1);
		Ad__NodeProto *node;
		size_t c, i, j;

		om_input(m, 5);
		if (kind == 0) {
			om_node(m, "GlobalAveragePool", "", "x", "y");
		} else if (kind == 3) {
			om_ints(m, "axes", DIMS(3, 2), DIMS(2));
			om_node(m, "ReduceMean", "", "x axes", "y");
		} else {
			node = om_node(m, "ReduceMean", "", "x", "y");
			om_int_list(m, node, "axes", LIST(-2, 3));
			om_int(m, node, "keepdims", kind == 1);
		}
		for (c = 0; c < 5; c++)
			for (i = 0; i < 6; i++)
				for (j = 0; j < 7; j++)
					y.v[c] += *at(&ax, 0, c, i, j) / 42;
		check_run(m, x, 5, 6, 7, y, kind == 2 ? 2 : 4, "global mean");
		free(ax.v);
		free(x);
	}
}

/* -- element by element -------------------------------------------------------------------------------- */

static void test_activations(void **state)
{
	static const char *const kinds[] = {"Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish"};
	static const size_t widths[] = {1, 3, 16, 17, 5001};
	ad_rng r;
	size_t i, j, k;

	(void)state;
	ad_rng_seed(&r, 6);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (j = 0; j < sizeof(widths) / sizeof(widths[0]); j++) {
			om *m = om_new(14);
			float *x = noise(&r, 4 * widths[j]);
			struct array y;

			x[0] = 100;
			x[1] = -100;
			y = widen(x, 1, 2, 2, widths[j]);
			om_input(m, 2);
			add_act(m, kinds[i], "x");
			for (k = 0; k < y.n; k++)
				y.v[k] = act(kinds[i], y.v[k]);
			check_run(m, x, 2, 2, widths[j], y, 4, kinds[i]);
			free(x);
		}
}

/* Limits left out, limits as attributes (before set 11), limits the wrong way round. */
static void test_clip_forms(void **state)
{
	const float x[5] = {-FLT_MAX, -2, 0.5f, 3, FLT_MAX};
	int form, i;

	(void)state;
	for (form = 0; form < 5; form++) {
		om *m = om_new(form == 3 ? 10 : 13);
		struct array y = widen(x, 1, 1, 1, 5);
		Ad__NodeProto *node;

		om_input(m, 1);
		om_floats(m, "one", (const float[]){1}, (const int64_t[]){-1});
		om_floats(m, "two", (const float[]){2}, DIMS(1));
		if (form == 0)
			om_node(m, "Clip", "", "x - two", "y");
		else if (form == 1)
			om_node(m, "Clip", "", "x one", "y");
		else if (form == 2)
			om_node(m, "Clip", "", "x", "y");
		else if (form == 4)
			om_node(m, "Clip", "", "x two one", "y");
		if (form == 3) {
			node = om_node(m, "Clip", "", "x", "y");
			om_float(m, node, "min", 1);
			om_float(m, node, "max", 2);
		}
		for (i = 0; i < 5; i++) {
			if (form == 1 || form == 3)
				y.v[i] = fmax(y.v[i], 1);
			if (form == 0 || form == 3)
				y.v[i] = fmin(y.v[i], 2);
			if (form == 4)
				y.v[i] = 1;
		}
		check_run(m, x, 1, 1, 5, y, 4, "clip form");
	}
}

static double binary(char op, double a, double b)
{
	return op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
}

/* With a constant of every kind of shape, on either side; with another activation. */
static void test_binary(void **state)
{
	static const struct {
		char op;
		const char *type;
	} ops[] = {{'+', "Add"}, {'-', "Sub"}, {'*', "Mul"}, {'/', "Div"}};
	static const int64_t shapes[][5] = {
	    {-1},       {1, -1},    {3, 1, 1, -1}, {1, 3, 1, 1, -1}, {1, 1, 1, 1, -1}, {5, -1},
	    {4, 5, -1}, {4, 1, -1}, {3, 4, 5, -1}, {1, 3, 4, 5, -1}, {1, 3, 1, 5, -1}, {1, 1, 4, 1, -1}};
	ad_rng r;
	size_t o, s, i, j, k, n;
	int first;

	(void)state;
	ad_rng_seed(&r, 7);
	for (o = 0; o < 4; o++)
		for (s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
			for (first = 0; first < 2; first++) {
				om *m = om_new(13);
				size_t dims[4] = {1, 1, 1, 1}, rank = 0;
				float *x = noise(&r, 60), *v;
				struct array ax = widen(x, 1, 3, 4, 5), av, y = make(1, 3, 4, 5);
				char what[64];

				while (shapes[s][rank] >= 0)
					rank++;
				for (i = 0; i < rank; i++)
					dims[4 - rank + i] = (size_t)shapes[s][i];
				n = dims[0] * dims[1] * dims[2] * dims[3];
				v = noise(&r, n);
				av = widen(v, dims[0], dims[1], dims[2], dims[3]);
				om_input(m, 3);
				om_floats(m, "v", v, shapes[s]);
				om_node(m, ops[o].type, "", first ? "v x" : "x v", "y");
				for (i = 0; i < 3; i++)
					for (j = 0; j < 4; j++)
						for (k = 0; k < 5; k++) {
							double p = *at(&ax, 0, i, j, k);
							double q = *at(&av, 0, dims[1] == 1 ? 0 : i,
								       dims[2] == 1 ? 0 : j, dims[3] == 1 ? 0 : k);

							*at(&y, 0, i, j, k) =
							    first ? binary(ops[o].op, q, p) : binary(ops[o].op, p, q);
						}
				snprintf(what, sizeof(what), "%s, shape %zu, constant %s", ops[o].type, s,
					 first ? "first" : "second");
				check_run(m, x, 3, 4, 5, y, 4, what);
				free(ax.v);
				free(av.v);
				free(x);
				free(v);
			}
}

/* Between activations: the same shape, 1 x C x 1 x 1 as in squeeze and excitation, 1 x 1 x H x W; chains of them. */
static void test_binary_pairs(void **state)
{
	static const char *const types[] = {"Add", "Sub", "Mul", "Div"};
	ad_rng r;
	int form, swap;
	size_t t, c, i;

	(void)state;
	ad_rng_seed(&r, 8);
	for (t = 0; t < 4; t++)
		for (form = 0; form < 3; form++)
			for (swap = 0; swap < 2; swap++) {
				om *m = om_new(13);
				float *x = noise(&r, 3 * 20);
				struct array ax = widen(x, 1, 3, 4, 5), y = make(1, 3, 4, 5);
				const float one[3] = {1, 0, 0};
				double mean[3] = {0};

				om_input(m, 3);
				om_floats(m, "w", one, DIMS(1, 3, 1, 1));
				if (form == 0)
					om_node(m, "Sigmoid", "", "x", "z");
				else if (form == 1)
					om_node(m, "GlobalAveragePool", "", "x", "z");
				else
					om_node(m, "Conv", "", "x w", "z"); /* the first channel */
				om_node(m, types[t], "", swap ? "z x" : "x z", "y");
				for (c = 0; c < 3; c++)
					for (i = 0; i < 20; i++)
						mean[c] += ax.v[c * 20 + i] / 20;
				for (c = 0; c < 3; c++)
					for (i = 0; i < 20; i++) {
						double p = ax.v[c * 20 + i];
						double z = form == 0   ? 1 / (1 + exp(-p))
							   : form == 1 ? mean[c]
								       : ax.v[i];

						y.v[c * 20 + i] =
						    swap ? binary("+-*/"[t], z, p) : binary("+-*/"[t], p, z);
					}
				check_run(m, x, 3, 4, 5, y, 4, types[t]);
				free(ax.v);
				free(x);
			}
}

/* x * f(x), which is fused, in both orders, alone and after a convolution. */
static void test_swish(void **state)
{
	ad_rng r;
	int kind, swap, conv;
	size_t i;

	(void)state;
	ad_rng_seed(&r, 9);
	for (kind = 0; kind < 2; kind++)
		for (swap = 0; swap < 2; swap++)
			for (conv = 0; conv < 2; conv++) {
				om *m = om_new(13);
				float *x = noise(&r, 2 * 33);
				const float w[4] = {2, 0.5f, -1, 3};
				struct array y = widen(x, 1, 2, 3, 11);
				Ad__NodeProto *node;

				om_input(m, 2);
				if (conv) {
					om_floats(m, "w", w, DIMS(2, 2, 1, 1));
					om_node(m, "Conv", "", "x w", "c");
					for (i = 0; i < 33; i++) {
						double a = y.v[i], b = y.v[33 + i];

						y.v[i] = 2 * a + 0.5 * b;
						y.v[33 + i] = -a + 3 * b;
					}
				}
				node = om_node(m, kind ? "HardSigmoid" : "Sigmoid", "", conv ? "c" : "x", "s");
				if (kind) {
					om_float(m, node, "alpha", 1.0f / 6);
					om_float(m, node, "beta", 0.5f);
				}
				if (conv)
					om_node(m, "Mul", "", swap ? "s c" : "c s", "y");
				else
					om_node(m, "Mul", "", swap ? "s x" : "x s", "y");
				for (i = 0; i < y.n; i++)
					y.v[i] *= kind ? fmax(0, fmin(1, y.v[i] / 6 + 0.5)) : 1 / (1 + exp(-y.v[i]));
				check_run(m, x, 2, 3, 11, y, 4, "swish");
				free(x);
			}
}

/* Alone before a convolution, after one (folded), twice, after a grouped one, and on a vector. */
static void test_batch_norm(void **state)
{
	ad_rng r;
	int form;
	size_t i, c;

	(void)state;
	ad_rng_seed(&r, 10);
	for (form = 0; form < 6; form++) {
		om *m = om_new(13);
		float *x = noise(&r, 4 * 6 * 5), *w = noise(&r, 4 * 2 * 9), *bias = noise(&r, 4), *p[4];
		struct conv_case k = {4, 4, 2, 3, 3, 1, 1, 1, 1, 6, 5, {1, 1, 1, 1}, ""};
		struct array y = widen(x, 1, 4, 6, 5), aw = widen(w, 4, 2, 3, 3), ab = widen(bias, 1, 1, 1, 4);
		const int norm_first = form == 0 || form == 3, norm_last = form != 0 && form != 5;
		const int twice = form == 2;
		static const char *const names[4] = {"s", "b", "mean", "var"};
		Ad__NodeProto *node;
		const char *from = "x";
		int n;

		om_input(m, 4);
		om_floats(m, "w", w, DIMS(4, 2, 3, 3));
		om_floats(m, "bias", bias, DIMS(4));
		for (i = 0; i < 4; i++) {
			p[i] = noise(&r, 4);
			for (c = 0; c < 4 && i == 3; c++)
				p[i][c] = fabsf(p[i][c]) + 0.1f;
			om_floats(m, names[i], p[i], DIMS(4));
		}
#define NORM()                                                                                                         \
	for (c = 0; c < 4; c++)                                                                                        \
		for (i = 0; i < y.n / 4; i++)                                                                          \
			y.v[c * (y.n / 4) + i] = (y.v[c * (y.n / 4) + i] - (double)p[2][c]) /                          \
						     sqrt((double)p[3][c] + (double)1e-3f) * (double)p[0][c] +         \
						 (double)p[1][c];
		if (norm_first) {
			node = om_node(m, "BatchNormalization", "", "x s b mean var", "n1");
			om_float(m, node, "epsilon", 1e-3f);
			NORM();
			om_node(m, "Relu", "", "n1", "r1");
			for (i = 0; i < y.n; i++)
				y.v[i] = fmax(y.v[i], 0);
			from = "r1";
		}
		if (form == 4) { /* on a vector */
			om_node(m, "GlobalAveragePool", "", "x", "g");
			om_node(m, "Flatten", "", "g", "f");
			for (c = 0; c < 4; c++) {
				double sum = 0;

				for (i = 0; i < 30; i++)
					sum += y.v[c * 30 + i];
				y.v[c] = sum / 30;
			}
			y = (struct array){{1, 4, 1, 1}, 4, y.v};
			from = "f";
		} else {
			struct array z = ref_conv(&k, &y, &aw, ab.v);

			node =
			    om_node(m, "Conv", "", strcmp(from, "x") ? "r1 w bias" : "x w bias", norm_last ? "c" : "y");
			om_int(m, node, "group", 2);
			om_int_list(m, node, "pads", 4, k.pads);
			free(y.v);
			y = z;
			from = "c";
		}
		for (n = 0; norm_last && n < (twice ? 2 : 1); n++) {
			char inputs[64];

			snprintf(inputs, sizeof(inputs), "%s s b mean var", n ? "n2" : from);
			node = om_node(m, "BatchNormalization", "", inputs, twice && !n ? "n2" : "y");
			om_float(m, node, "epsilon", 1e-3f);
			NORM();
		}
		check_run(m, x, 4, 6, 5, y, form == 4 ? 2 : 4, "batch norm");
		for (i = 0; i < 4; i++)
			free(p[i]);
		free(aw.v);
		free(ab.v);
		free(x);
		free(w);
		free(bias);
	}
}

/* -- moving things ------------------------------------------------------------------------------------- */

static void test_concat(void **state)
{
	ad_rng r;
	int axis;
	size_t c, i, j;

	(void)state;
	ad_rng_seed(&r, 11);
	for (axis = -3; axis < 4; axis++) {
		om *m = om_new(13);
		float *x = noise(&r, 2 * 3 * 4);
		struct array ax = widen(x, 1, 2, 3, 4), y;
		int d = axis < 0 ? axis + 4 : axis;
		Ad__NodeProto *node;

		if (axis == 0) { /* a batch of three is no input for anything, but a result */
			om_free(m);
			free(ax.v);
			free(x);
			continue;
		}
		om_input(m, 2);
		om_node(m, "Relu", "", "x", "a");
		om_node(m, "Sigmoid", "", "x", "s");
		node = om_node(m, "Concat", "", "a s x", "y");
		om_int(m, node, "axis", axis);
		y = make(1, d == 1 ? 6 : 2, d == 2 ? 9 : 3, d == 3 ? 12 : 4);
		for (c = 0; c < y.dims[1]; c++)
			for (i = 0; i < y.dims[2]; i++)
				for (j = 0; j < y.dims[3]; j++) {
					size_t part = d == 1 ? c / 2 : d == 2 ? i / 3 : j / 4;
					double v = *at(&ax, 0, c % 2, i % 3, j % 4);

					*at(&y, 0, c, i, j) = part == 0   ? fmax(v, 0)
							      : part == 1 ? 1 / (1 + exp(-v))
									  : v;
				}
		check_run(m, x, 2, 3, 4, y, 4, "concat");
		free(ax.v);
		free(x);
	}
}

static void test_pad(void **state)
{
	ad_rng r;
	int n;
	size_t i, c, a, b;

	(void)state;
	ad_rng_seed(&r, 12);
	/* Growing and cropping; as inputs, as attributes, with axes, before a convolution (folded when the value is 0).
	 */
	for (n = 0; n < 120; n++) {
		int form = n % 4, zero = n % 3 == 0;
		int opset = form == 1 ? 10 : form == 2 ? 18 : 13;
		om *m = om_new(opset);
		float *x = noise(&r, 3 * 5 * 6), *w = noise(&r, 2 * 5 * 4);
		struct array ax = widen(x, 1, 3, 5, 6), y;
		int64_t pads[8] = {0}, given[4];
		float value = zero ? 0 : 0.75f;
		Ad__NodeProto *node;
		const char *result = form == 3 ? "p" : "y";

		for (i = 0; i < 8; i++)
			if (i % 4 >= (form == 2 ? 2 : 1))
				pads[i] = (int64_t)ad_rng_below(&r, 5) - (i % 4 == 1 || form == 3 ? 0 : 2);
		om_input(m, 3);
		om_floats(m, "v", &value, (const int64_t[]){-1});
		if (form == 1) {
			node = om_node(m, "Pad", "", "x", result);
			om_int_list(m, node, "pads", 8, pads);
			om_float(m, node, "value", value);
		} else if (form == 2) {
			given[0] = pads[2];
			given[1] = pads[3];
			given[2] = pads[6];
			given[3] = pads[7];
			om_ints(m, "pads", given, DIMS(4));
			om_ints(m, "axes", DIMS(2, -1), DIMS(2));
			om_node(m, "Pad", "", "x pads v axes", result);
		} else {
			if (form == 3)
				pads[1] = pads[5] = 0;
			om_ints(m, "pads", pads, DIMS(8));
			node = om_node(m, "Pad", "", zero ? "x pads" : "x pads v", result);
			om_string(m, node, "mode", "constant");
		}
		y = make(1, (size_t)(3 + pads[1] + pads[5]), (size_t)(5 + pads[2] + pads[6]),
			 (size_t)(6 + pads[3] + pads[7]));
		for (c = 0; c < y.dims[1]; c++)
			for (a = 0; a < y.dims[2]; a++)
				for (b = 0; b < y.dims[3]; b++) {
					int64_t p = (int64_t)c - pads[1], q = (int64_t)a - pads[2],
						s = (int64_t)b - pads[3];

					*at(&y, 0, c, a, b) = p < 0 || q < 0 || s < 0 || p >= 3 || q >= 5 || s >= 6
								  ? (double)value
								  : *at(&ax, 0, (size_t)p, (size_t)q, (size_t)s);
				}
		if (form == 3) {
			struct conv_case k = {3, 1, 1, 3, 2, 1, 2, 1, 1, y.dims[2], y.dims[3], {1, 0, 0, 1}, ""};
			struct array aw = widen(w, 1, 3, 3, 2), z = ref_conv(&k, &y, &aw, NULL);

			om_floats(m, "w", w, DIMS(1, 3, 3, 2));
			node = om_node(m, "Conv", "", "p w", "y");
			set_window(m, node, &k, 0);
			free(y.v);
			free(aw.v);
			y = z;
		}
		check_run(m, x, 3, 5, 6, y, 4, "pad");
		free(ax.v);
		free(x);
		free(w);
	}
}

static void test_shapes(void **state)
{
	static const struct {
		const char *type;
		int64_t axis, shape[4];
		size_t n, rank, dims[4];
	} cases[] = {
	    {"Flatten", 1, {0}, 0, 2, {1, 120, 1, 1}},         {"Flatten", 2, {0}, 0, 2, {4, 30, 1, 1}},
	    {"Flatten", -1, {0}, 0, 2, {20, 6, 1, 1}},         {"Flatten", 0, {0}, 0, 2, {1, 120, 1, 1}},
	    {"Flatten", 4, {0}, 0, 2, {120, 1, 1, 1}},         {"Reshape", 0, {1, -1}, 2, 2, {1, 120, 1, 1}},
	    {"Reshape", 0, {0, 0, -1}, 3, 3, {1, 4, 30, 1}},   {"Reshape", 0, {120}, 1, 1, {120, 1, 1, 1}},
	    {"Reshape", 0, {-1, 8, 3, 5}, 4, 4, {1, 8, 3, 5}},
	};
	ad_rng r;
	size_t i, j;
	int after;

	(void)state;
	ad_rng_seed(&r, 13);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (after = 0; after < 3; after++) { /* of the input; of a result; and read by another node */
			om *m = om_new(13);
			float *x = noise(&r, 120);
			struct array y =
			    widen(x, cases[i].dims[0], cases[i].dims[1], cases[i].dims[2], cases[i].dims[3]);
			Ad__NodeProto *node;
			char inputs[32];

			om_input(m, 4);
			if (after)
				om_node(m, "Relu", "", "x", "a");
			for (j = 0; j < y.n && after; j++)
				y.v[j] = fmax(y.v[j], 0);
			snprintf(inputs, sizeof(inputs), "%s%s", after ? "a" : "x", cases[i].n ? " shape" : "");
			if (cases[i].n)
				om_ints(m, "shape", cases[i].shape, DIMS((int64_t)cases[i].n));
			node = om_node(m, cases[i].type, "", inputs, after == 2 ? "r" : "y");
			if (!cases[i].n)
				om_int(m, node, "axis", cases[i].axis);
			if (after == 2) {
				om_node(m, "Sigmoid", "", "r", "y");
				for (j = 0; j < y.n; j++)
					y.v[j] = 1 / (1 + exp(-y.v[j]));
			}
			check_run(m, x, 4, 5, 6, y, (int)cases[i].rank, cases[i].type);
			free(x);
		}
}

static void test_gemm(void **state)
{
	ad_rng r;
	int form;
	size_t i, j, l;

	(void)state;
	ad_rng_seed(&r, 14);
	for (form = 0; form < 48; form++) {
		int trans_a = form & 1, trans_b = form >> 1 & 1, scaled = form >> 2 & 1, bias = (form >> 3) % 3;
		size_t rows = 3, k = form < 24 ? 35 : 4, n = 1 + ad_rng_below(&r, 40);
		om *m = om_new(13);
		float *x = noise(&r, rows * k), *c = noise(&r, n);
		struct array y = make(trans_a ? k : rows, n, 1, 1);
		size_t inner = trans_a ? rows : k;
		float *v = noise(&r, inner * n);
		Ad__NodeProto *node;

		om_input(m, 1);
		om_node(m, "Flatten", "", "x", "f"); /* 1 x rows k ... */
		om_ints(m, "shape", DIMS((int64_t)rows, (int64_t)k), DIMS(2));
		om_node(m, "Reshape", "", "f shape", "a");
		om_floats(m, "w", v, trans_b ? DIMS((int64_t)n, (int64_t)inner) : DIMS((int64_t)inner, (int64_t)n));
		om_floats(m, "c", c, bias == 2 ? DIMS(1) : DIMS((int64_t)n));
		node = om_node(m, "Gemm", "", bias ? "a w c" : "a w", "y");
		om_int(m, node, "transA", trans_a);
		om_int(m, node, "transB", trans_b);
		if (scaled) {
			om_float(m, node, "alpha", 0.5f);
			om_float(m, node, "beta", -2);
		}
		for (i = 0; i < y.dims[0]; i++)
			for (j = 0; j < n; j++) {
				double sum = 0;

				for (l = 0; l < inner; l++)
					sum += (double)(trans_a ? x[l * k + i] : x[i * k + l]) *
					       (double)(trans_b ? v[j * inner + l] : v[l * n + j]);
				sum *= scaled ? 0.5 : 1;
				if (bias)
					sum += (scaled ? -2 : 1) * (double)c[bias == 2 ? 0 : j];
				y.v[i * n + j] = sum;
			}
		check_run(m, x, 1, rows, k, y, 2, "gemm");
		free(x);
		free(c);
		free(v);
	}
}

/* Identity, Dropout, Cast, Constant in all its forms, and arithmetic on constants. */
static void test_constants(void **state)
{
	om *m = om_new(13);
	ad_rng r;
	float *x;
	struct array y;
	Ad__NodeProto *node;
	size_t i;

	(void)state;
	ad_rng_seed(&r, 15);
	x = noise(&r, 24);
	y = widen(x, 1, 2, 3, 4);
	om_input(m, 2);
	node = om_node(m, "Constant", "", "", "c1");
	om_tensor(m, node, "value", (const float[]){2, 3}, DIMS(2, 1, 1));
	node = om_node(m, "Constant", "", "", "c2");
	om_float(m, node, "value_float", 0.5f);
	node = om_node(m, "Constant", "", "", "c3");
	om_float_list(m, node, "value_floats", 4, (const float[]){1, 2, 3, 4});
	node = om_node(m, "Constant", "", "", "c4");
	om_int_list(m, node, "value_ints", LIST(7));
	node = om_node(m, "Cast", "", "c4", "c5");
	om_int(m, node, "to", 1);
	om_node(m, "Mul", "", "c1 c2", "c6"); /* 2 x 1 x 1 */
	om_node(m, "Add", "", "c6 c3", "c7"); /* 2 x 1 x 4 */
	om_node(m, "Sub", "", "c7 c5", "c8");
	om_node(m, "Sigmoid", "", "c8", "c9");
	om_node(m, "Identity", "", "x", "i");
	om_node(m, "Dropout", "", "i", "d mask");
	node = om_node(m, "Cast", "", "d", "f");
	om_int(m, node, "to", 1);
	om_node(m, "Mul", "", "f c9", "y");
	for (i = 0; i < 24; i++) {
		double c = (i < 12 ? 1 : 1.5) + (double)(i % 4 + 1) - 7;

		y.v[i] *= 1 / (1 + exp(-c));
	}
	check_run(m, x, 2, 3, 4, y, 4, "constants");
	free(x);
}

/* What a NaN or an infinity reaches is what arithmetic says, no more. */
static void test_not_finite(void **state)
{
	om *m = om_new(13);
	float x[16] = {0};
	struct array y = make(1, 1, 4, 4);

	(void)state;
	x[0] = NAN;
	x[15] = INFINITY;
	y.v[0] = NAN;
	y.v[15] = INFINITY;
	om_input(m, 1);
	om_node(m, "Relu", "", "x", "y");
	check_run(m, x, 1, 4, 4, y, 4, "relu of NaN");

	m = om_new(13);
	om_input(m, 1);
	om_int_list(m, om_node(m, "MaxPool", "", "x", "y"), "kernel_shape", LIST(2, 2));
	y = make(1, 1, 3, 3);
	y.v[0] = NAN;
	y.v[8] = INFINITY;
	check_run(m, x, 1, 4, 4, y, 4, "max of NaN");
}

/* What plans open at run time stays open over all tests. */
static void *held;

static int hold(void **state)
{
	adtool_backbone *b;
	ad_plan *plan;

	(void)state;
	if (adtool_backbone_open(NULL, &b, NULL) || ad_plan_create(b, NULL, 32, 32, NULL, &plan, NULL))
		return -1;
	adtool_backbone_free(b);
	held = plan;
	return 0;
}

static int release(void **state)
{
	(void)state;
	ad_plan_free(held);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_conv),       cmocka_unit_test(test_conv_large), cmocka_unit_test(test_conv_fused),
	    cmocka_unit_test(test_pool),       cmocka_unit_test(test_global),     cmocka_unit_test(test_activations),
	    cmocka_unit_test(test_clip_forms), cmocka_unit_test(test_binary),     cmocka_unit_test(test_binary_pairs),
	    cmocka_unit_test(test_swish),      cmocka_unit_test(test_batch_norm), cmocka_unit_test(test_concat),
	    cmocka_unit_test(test_pad),        cmocka_unit_test(test_shapes),     cmocka_unit_test(test_gemm),
	    cmocka_unit_test(test_constants),  cmocka_unit_test(test_not_finite),
	};

	return cmocka_run_group_tests(tests, hold, release);
}
