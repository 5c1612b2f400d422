/* These loops are what the vectoriser is for; gcc leaves most of them alone at -O2. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

#include "ops.h"

#include <math.h>

enum {
	BLOCK = 16384,     /* elements of a task that goes element by element */
	COLUMNS = 1 << 18, /* floats of unfolded input at a time */
	LEAST_TASKS = 4,
	LANES = 16
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t pieces(size_t n, size_t size)
{
	return (n + size - 1) / size;
}

/* -- activations --------------------------------------------------------------------------------------- */

/* y = activation(x), n elements; y may be x. */
static void activate(ad_activation f, const float *x, float *y, size_t n)
{
	const float a = f.a, b = f.b;
	size_t i;

	switch (f.kind) {
	case AD_ACT_RELU:
		for (i = 0; i < n; i++)
			y[i] = x[i] < 0 ? 0 : x[i];
		break;
	case AD_ACT_LEAKY:
		for (i = 0; i < n; i++)
			y[i] = x[i] < 0 ? a * x[i] : x[i];
		break;
	case AD_ACT_CLIP:
		for (i = 0; i < n; i++) {
			float v = x[i] < a ? a : x[i];

			y[i] = v > b ? b : v;
		}
		break;
	case AD_ACT_SIGMOID:
		for (i = 0; i < n; i++)
			y[i] = 1 / (1 + expf(-x[i]));
		break;
	case AD_ACT_HARDSIGMOID:
		for (i = 0; i < n; i++) {
			float v = a * x[i] + b;

			v = v < 0 ? 0 : v;
			y[i] = v > 1 ? 1 : v;
		}
		break;
	case AD_ACT_HARDSWISH:
		for (i = 0; i < n; i++) {
			float v = a * x[i] + b;

			v = v < 0 ? 0 : v;
			y[i] = x[i] * (v > 1 ? 1 : v);
		}
		break;
	case AD_ACT_SWISH:
		for (i = 0; i < n; i++)
			y[i] = x[i] / (1 + expf(-x[i]));
		break;
	default:
		if (y != x && n)
			memcpy(y, x, n * sizeof(*y));
		break;
	}
}

/* -- windows ------------------------------------------------------------------------------------------- */

/* The taps of a window at output position o that lie within 0 .. size-1: from *first, *stop excluded. */
static void inside(const ad_window *w, int axis, size_t o, size_t size, size_t *first, size_t *stop)
{
	const size_t at = o * w->stride[axis], d = w->dilation[axis], pad = w->pads[axis];

	*first = at >= pad ? 0 : pieces(pad - at, d);
	*stop = size + pad > at ? least(w->kernel[axis], pieces(size + pad - at, d)) : 0;
}

/* The outputs of a row that see the input's row through tap kx: from *x0, *x1 excluded; the first sees column *from. */
static void seen_through(const ad_window *w, size_t kx, size_t width, size_t ow, size_t *x0, size_t *x1, size_t *from)
{
	const size_t reach = kx * w->dilation[1], left = w->pads[1], stride = w->stride[1];

	*x0 = reach >= left ? 0 : pieces(left - reach, stride);
	*x1 = width + left > reach ? least(ow, pieces(width + left - reach, stride)) : 0;
	*from = *x0 * stride + reach - left;
}

/* -- convolution --------------------------------------------------------------------------------------- */

/* One output channel. */
static void conv(const ad_step *step, const ad_step_data *d, size_t m)
{
	const ad_conv *c = &step->node.u.conv;
	const ad_window *w = &c->window;
	const size_t h = step->in_dims[0][2], width = step->in_dims[0][3], oh = step->out_dims[2],
		     ow = step->out_dims[3];
	const size_t channels = step->in_dims[0][1] / c->groups, first = m / (step->channels / c->groups) * channels;
	const float *residual = c->residual ? d->in[1] + m * oh * ow : NULL, *weights = c->weights;
	size_t oy, channel, ky, kx, i;

	weights += m * channels * w->kernel[0] * w->kernel[1];
	for (oy = 0; oy < oh; oy++) {
		float *out = d->out + (m * oh + oy) * ow;
		size_t y0, y1;

		for (i = 0; i < ow; i++)
			out[i] = (c->bias ? c->bias[m] : 0) + (residual ? residual[oy * ow + i] : 0);
		inside(w, 0, oy, h, &y0, &y1);
		for (channel = 0; channel < channels; channel++) {
			for (ky = y0; ky < y1; ky++) {
				const size_t y = oy * w->stride[0] + ky * w->dilation[0] - w->pads[0];
				const float *row = d->in[0] + ((first + channel) * h + y) * width;

				for (kx = 0; kx < w->kernel[1]; kx++) {
					const float k = weights[(channel * w->kernel[0] + ky) * w->kernel[1] + kx];
					size_t x0, x1, from;

					seen_through(w, kx, width, ow, &x0, &x1, &from);
					for (i = x0; i < x1; i++, from += w->stride[1])
						out[i] += k * row[from];
				}
			}
		}
		activate(step->node.activation, out, out, ow);
	}
}

/* -- pooling ------------------------------------------------------------------------------------------- */

static void max_pool(const ad_step *step, const ad_step_data *d, size_t c)
{
	const ad_window *w = &step->node.u.pool.window;
	const size_t h = step->in_dims[0][2], width = step->in_dims[0][3], oh = step->out_dims[2],
		     ow = step->out_dims[3];
	size_t oy, y0, y1, ky, kx, i;

	for (oy = 0; oy < oh; oy++) {
		float *out = d->out + (c * oh + oy) * ow;

		for (i = 0; i < ow; i++)
			out[i] = -INFINITY;
		inside(w, 0, oy, h, &y0, &y1);
		for (ky = y0; ky < y1; ky++) {
			const float *row =
			    d->in[0] + (c * h + oy * w->stride[0] + ky * w->dilation[0] - w->pads[0]) * width;

			for (kx = 0; kx < w->kernel[1]; kx++) {
				size_t x0, x1, from;

				seen_through(w, kx, width, ow, &x0, &x1, &from);
				/* NaN stays. */
				for (i = x0; i < x1; i++, from += w->stride[1])
					out[i] = row[from] <= out[i] || out[i] != out[i] ? out[i] : row[from];
			}
		}
	}
}

static void average_pool(const ad_step *step, const ad_step_data *d, size_t c)
{
	const ad_pool_node *pool = &step->node.u.pool;
	const ad_window *w = &pool->window;
	const size_t h = step->in_dims[0][2], width = step->in_dims[0][3], oh = step->out_dims[2],
		     ow = step->out_dims[3];
	const size_t padded_h = h + w->pads[0] + w->pads[2], padded_w = width + w->pads[1] + w->pads[3];
	const size_t reach = (w->kernel[1] - 1) * w->dilation[1];
	size_t oy, y0, y1, ky, kx, i;

	for (oy = 0; oy < oh; oy++) {
		float *out = d->out + (c * oh + oy) * ow;
		size_t rows, columns, first, stop;

		memset(out, 0, ow * sizeof(*out));
		inside(w, 0, oy, h, &y0, &y1);
		for (ky = y0; ky < y1; ky++) {
			const float *row =
			    d->in[0] + (c * h + oy * w->stride[0] + ky * w->dilation[0] - w->pads[0]) * width;

			for (kx = 0; kx < w->kernel[1]; kx++) {
				size_t x0, x1, from;

				seen_through(w, kx, width, ow, &x0, &x1, &from);
				for (i = x0; i < x1; i++, from += w->stride[1])
					out[i] += row[from];
			}
		}
		rows = pool->count_padding ? least(w->kernel[0], pieces(padded_h - oy * w->stride[0], w->dilation[0]))
		       : y1 > y0           ? y1 - y0
					   : 0;
		for (i = 0; i < ow; i++) {
			const size_t at = i * w->stride[1];

			if (at >= w->pads[1] && at + reach < width + w->pads[1]) {
				columns = w->kernel[1];
			} else if (pool->count_padding) {
				columns = least(w->kernel[1], pieces(padded_w - at, w->dilation[1]));
			} else {
				inside(w, 1, i, width, &first, &stop);
				columns = stop > first ? stop - first : 0;
			}
			out[i] = rows && columns ? out[i] / (float)(rows * columns) : 0;
		}
	}
}

static void global_average(const ad_step *step, const ad_step_data *d, size_t c)
{
	const size_t n = step->in_dims[0][2] * step->in_dims[0][3];
	const float *in = d->in[0] + c * n;
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += (double)in[i];
	d->out[c] = (float)(sum / (double)n);
}

/* -- element by element -------------------------------------------------------------------------------- */

static void unary(const ad_step *step, const ad_step_data *d, size_t task)
{
	const size_t at = task * BLOCK, n = least(BLOCK, step->out_count - at);

	activate(step->node.activation, d->in[0] + at, d->out + at, n);
}

/* rows: channels of a task. */
static void scale(const ad_step *step, const ad_step_data *d, size_t task)
{
	const size_t n = step->inner, c0 = task * step->rows, c1 = least(c0 + step->rows, step->channels);
	const float *factors = step->node.u.scale.scale, *shifts = step->node.u.scale.shift;
	const size_t whole = step->channels * n;
	size_t b, c, i;

	for (b = 0; b < step->out_count; b += whole) {
		for (c = c0; c < c1; c++) {
			const float *in = d->in[0] + b + c * n, k = factors[c], s = shifts[c];
			float *out = d->out + b + c * n;

			for (i = 0; i < n; i++)
				out[i] = in[i] * k + s;
			activate(step->node.activation, out, out, n);
		}
	}
}

/* n elements; a step of 0 repeats the first. */
static void binary_run(enum ad_binary op, const float *x, size_t dx, const float *y, size_t dy, float *out, size_t n)
{
	size_t i;

#define RUN(EXPRESSION)                                                                                                \
	do {                                                                                                           \
		for (i = 0; i < n; i++)                                                                                \
			out[i] = EXPRESSION;                                                                           \
	} while (0)
#define CASES(SIGN)                                                                                                    \
	do {                                                                                                           \
		if (dx && dy)                                                                                          \
			RUN(x[i] SIGN y[i]);                                                                           \
		else if (dx)                                                                                           \
			RUN(x[i] SIGN y[0]);                                                                           \
		else if (dy)                                                                                           \
			RUN(x[0] SIGN y[i]);                                                                           \
		else                                                                                                   \
			RUN(x[0] SIGN y[0]);                                                                           \
	} while (0)
	switch (op) {
	case AD_ADD:
		CASES(+);
		break;
	case AD_SUB:
		CASES(-);
		break;
	case AD_MUL:
		CASES(*);
		break;
	case AD_DIV:
		CASES(/);
		break;
	}
#undef CASES
#undef RUN
}

/* rows: innermost rows of a task. */
static void binary(const ad_step *step, const ad_step_data *d, size_t task)
{
	const ad_binary_node *node = &step->node.u.binary;
	const float *a = d->in[0], *b = node->constant ? node->constant : d->in[1];
	const size_t *a_dims = step->in_dims[0], *b_dims = node->constant ? node->constant_dims : step->in_dims[1];
	const size_t *dims = step->out_dims, all = dims[0] * dims[1] * dims[2];
	const size_t r0 = task * step->rows, r1 = least(r0 + step->rows, all);
	size_t a_step[AD_RANK], b_step[AD_RANK], r;
	size_t a_size = 1, b_size = 1;
	int i;

	for (i = AD_RANK - 1; i >= 0; i--) {
		a_step[i] = a_dims[i] == 1 ? 0 : a_size;
		b_step[i] = b_dims[i] == 1 ? 0 : b_size;
		a_size *= a_dims[i];
		b_size *= b_dims[i];
	}
	for (r = r0; r < r1; r++) {
		size_t i2 = r % dims[2], i1 = r / dims[2] % dims[1], i0 = r / dims[2] / dims[1];
		const float *x = a + i0 * a_step[0] + i1 * a_step[1] + i2 * a_step[2];
		const float *y = b + i0 * b_step[0] + i1 * b_step[1] + i2 * b_step[2];
		float *out = d->out + r * dims[3];

		if (node->constant_first)
			binary_run(node->op, y, b_step[3], x, a_step[3], out, dims[3]);
		else
			binary_run(node->op, x, a_step[3], y, b_step[3], out, dims[3]);
		activate(step->node.activation, out, out, dims[3]);
	}
}

/* Operands of the output's shape. */
static void binary_flat(const ad_step *step, const ad_step_data *d, size_t task)
{
	const ad_binary_node *node = &step->node.u.binary;
	const size_t at = task * BLOCK, n = least(BLOCK, step->out_count - at);
	const float *x = d->in[0] + at, *y = (node->constant ? node->constant : d->in[1]) + at;

	if (node->constant_first)
		binary_run(node->op, y, 1, x, 1, d->out + at, n);
	else
		binary_run(node->op, x, 1, y, 1, d->out + at, n);
	activate(step->node.activation, d->out + at, d->out + at, n);
}

/* -- moving things ------------------------------------------------------------------------------------- */

/* One input. block: floats of the output between two joins; rows: how many joins. */
static void concat(const ad_step *step, const ad_step_data *d, size_t task)
{
	const size_t rows = step->rows;
	size_t before = 0, own, i, r;

	for (i = 0; i <= task; i++) {
		const size_t *dims = step->in_dims[i];

		own = dims[0] * dims[1] * dims[2] * dims[3] / rows;
		before += i < task ? own : 0;
	}
	own = step->in_dims[task][0] * step->in_dims[task][1] * step->in_dims[task][2] * step->in_dims[task][3] / rows;
	for (r = 0; r < rows; r++)
		memcpy(d->out + r * step->block + before, d->in[task] + r * own, own * sizeof(float));
}

/* rows: innermost rows of a task. */
static void pad(const ad_step *step, const ad_step_data *d, size_t task)
{
	const size_t *dims = step->out_dims, *from = step->in_dims[0];
	const int64_t *before = step->node.u.pad.before;
	const float value = step->node.u.pad.value;
	const size_t all = dims[0] * dims[1] * dims[2], r0 = task * step->rows, r1 = least(r0 + step->rows, all);
	size_t r;

	for (r = r0; r < r1; r++) {
		const size_t at[3] = {r / dims[2] / dims[1], r / dims[2] % dims[1], r % dims[2]};
		float *out = d->out + r * dims[3];
		size_t row = 0, x = 0;
		int i, in = 1;

		for (i = 0; i < 3; i++) {
			int64_t source = (int64_t)at[i] - before[i];

			in &= source >= 0 && source < (int64_t)from[i];
			row = row * from[i] + (in ? (size_t)source : 0);
		}
		for (; in && x < dims[3] && (int64_t)x < before[3]; x++)
			out[x] = value;
		if (in && x < dims[3]) {
			const size_t start = (size_t)((int64_t)x - before[3]);
			const size_t n = start < from[3] ? least(from[3] - start, dims[3] - x) : 0;

			memcpy(out + x, d->in[0] + row * from[3] + start, n * sizeof(*out));
			x += n;
		}
		for (; x < dims[3]; x++)
			out[x] = value;
	}
}

static void copy(const ad_step *step, const ad_step_data *d, size_t task)
{
	const size_t at = task * BLOCK, n = least(BLOCK, step->out_count - at);

	memcpy(d->out + at, d->in[0] + at, n * sizeof(float));
}

/* -- matrices ------------------------------------------------------------------------------------------ */

/* rows: output elements of a task. */
static void gemm(const ad_step *step, const ad_step_data *d, size_t task)
{
	const ad_gemm_node *g = &step->node.u.gemm;
	const size_t at = task * step->rows, end = least(at + step->rows, step->out_count);
	size_t o, i, j;

	for (o = at; o < end; o++) {
		const size_t m = o / g->n, n = o % g->n;
		const float *w = g->weights + n * g->k, *x = g->transposed ? d->in[0] + m : d->in[0] + m * g->k;
		float sums[LANES] = {0}, sum = 0;

		if (g->transposed) {
			for (i = 0; i < g->k; i++)
				sums[i % LANES] += w[i] * x[i * g->m];
		} else {
			for (i = 0; i + LANES <= g->k; i += LANES)
				for (j = 0; j < LANES; j++)
					sums[j] += w[i + j] * x[i + j];
			for (j = 0; i < g->k; i++, j++)
				sums[j] += w[i] * x[i];
		}
		for (j = 0; j < LANES; j++)
			sum += sums[j];
		d->out[o] = sum + (g->bias ? g->bias[n] : 0);
	}
	activate(step->node.activation, d->out + at, d->out + at, end - at);
}

/* ------------------------------------------------------------------------------------------------------ */

void ad_step_choose(ad_step *step)
{
	const size_t rows = step->out_dims[0] * step->out_dims[1] * step->out_dims[2];
	int i, axis;

	step->algorithm = "loops";
	step->tasks = 1;
	step->block = step->scratch = 0;
	step->rows = 1;
	switch (step->node.op) {
	case AD_OP_CONV:
		step->fn = conv;
		step->tasks = step->channels;
		break;
	case AD_OP_MAX_POOL:
		step->fn = max_pool;
		step->tasks = step->channels;
		break;
	case AD_OP_AVERAGE_POOL:
		step->fn = average_pool;
		step->tasks = step->channels;
		break;
	case AD_OP_GLOBAL_AVERAGE:
		step->fn = global_average;
		step->tasks = step->channels;
		break;
	case AD_OP_UNARY:
		step->fn = unary;
		step->tasks = pieces(step->out_count, BLOCK);
		break;
	case AD_OP_SCALE:
		step->fn = scale;
		step->rows = most(1, BLOCK / step->inner);
		step->tasks = pieces(step->channels, step->rows);
		break;
	case AD_OP_BINARY:
		step->fn = binary_flat;
		step->tasks = pieces(step->out_count, BLOCK);
		for (i = 0; i < AD_RANK; i++) {
			const size_t other =
			    step->node.u.binary.constant ? step->node.u.binary.constant_dims[i] : step->in_dims[1][i];

			if (step->in_dims[0][i] == step->out_dims[i] && other == step->out_dims[i])
				continue;
			step->fn = binary;
			step->rows = most(1, BLOCK / step->out_dims[3]);
			step->tasks = pieces(rows, step->rows);
		}
		break;
	case AD_OP_CONCAT:
		step->fn = concat;
		step->algorithm = "copy";
		step->tasks = step->node.n_inputs;
		/* The axis counts from the left; the dims here are aligned at the right. */
		axis = step->node.u.concat.axis + AD_RANK - step->rank;
		for (i = 0; i < axis; i++)
			step->rows *= step->out_dims[i];
		step->block = step->out_count / step->rows;
		break;
	case AD_OP_PAD:
		step->fn = pad;
		step->algorithm = "copy";
		step->rows = most(1, BLOCK / step->out_dims[3]);
		step->tasks = pieces(rows, step->rows);
		break;
	case AD_OP_GEMM:
		step->fn = gemm;
		step->rows = most(1, BLOCK / step->node.u.gemm.k);
		step->tasks = pieces(step->out_count, step->rows);
		break;
	case AD_OP_RESHAPE:
		step->fn = copy;
		step->algorithm = "copy";
		step->tasks = pieces(step->out_count, BLOCK);
		break;
	}
}
