/*
 * The scalar room: every kernel as plainly as its definition in kernel.h reads, for ever the oracle of the others.
 * Compiled without contraction. One body serves every vector length.
 */
#include "../bf16.h"
#include "../kernel.h"
#include "../simd/narrow.h"

#include <math.h>

static float apply(ad_fn fn, float x)
{
	float s;

	switch (fn.kind) {
	case AD_FN_NONE:
		return x;
	case AD_FN_RELU:
		return x < 0 ? 0 : x;
	case AD_FN_CLIP:
		x = x < fn.a ? fn.a : x;
		return x > fn.b ? fn.b : x;
	case AD_FN_LEAKY:
		return x < 0 ? fn.a * x : x;
	case AD_FN_SIGMOID:
		return 1 / (1 + expf(-x));
	case AD_FN_HARDSIGMOID:
	case AD_FN_HARDSWISH:
		s = fn.a * x + fn.b;
		s = s > 1 ? 1 : s;
		s = s < 0 ? 0 : s;
		return fn.kind == AD_FN_HARDSIGMOID ? s : x * s;
	case AD_FN_SWISH:
		return x / (1 + expf(-x));
	}
	return x;
}

static void conv(const ad_conv_args *a, size_t vl)
{
	size_t width = a->blocks * vl, of_half = width - vl / 2;

	for (size_t p = 0; p < a->pixels; p++) {
		float sum[AD_CONV_R_MAX * AD_VL_MAX];
		const float *w = a->w;

		for (size_t r = 0; r < a->blocks; r++)
			for (size_t v = 0; v < vl; v++)
				sum[r * vl + v] = a->bias ? a->bias[r * vl + v] : 0;
		for (size_t i = 0; i < a->n[0]; i++) {
			size_t run = i + 1 < a->n[0] ? a->run : a->last;

			for (size_t j = 0; j < a->n[1]; j++) {
				for (size_t l = 0; l < a->n[2]; l++) {
					const float *in =
					    a->in + p * a->pixel + i * a->step[0] + j * a->step[1] + l * a->step[2];

					for (size_t k = 0; k < run && a->half; k++, w += k % 2 ? 0 : 2 * of_half)
						for (size_t v = 0; v + vl / 2 < width; v++)
							sum[v] += in[k] * w[2 * v + k % 2];
					for (size_t k = 0; k < run && !a->half; k++, w += width)
						for (size_t v = 0; v < width; v++)
							sum[v] += in[k] * w[v];
				}
			}
		}
		for (size_t r = 0; r < a->blocks; r++) {
			for (size_t v = 0; v < vl; v++) {
				float x = sum[r * vl + v];

				if (a->res)
					x += a->res[r * a->res_block + p * vl + v];
				a->out[r * a->out_block + p * vl + v] = apply(a->fn, x);
			}
		}
	}
}

/* The input row or column of a tap, or SIZE_MAX when it lies outside. */
static size_t tap(size_t out, size_t k, size_t stride, size_t dilation, size_t pad, size_t size)
{
	size_t at = out * stride + k * dilation;

	return at >= pad && at - pad < size ? at - pad : SIZE_MAX;
}

enum window { DEPTHWISE, MAX_POOL, AVERAGE_POOL };

static void window(const ad_window_args *a, size_t vl, enum window what)
{
	for (size_t y = a->y0; y < a->y1; y++) {
		for (size_t x = 0; x < a->ow; x++) {
			size_t at = ((y - a->y0) * a->ow + x) * vl;
			float acc[AD_VL_MAX];
			size_t cells = 0;

			for (size_t v = 0; v < vl; v++)
				acc[v] = what == MAX_POOL ? -INFINITY : what == DEPTHWISE && a->bias ? a->bias[v] : 0;
			for (size_t ky = 0; ky < a->kernel[0]; ky++) {
				size_t iy = tap(y, ky, a->stride[0], a->dilation[0], a->pads[0], a->h);

				for (size_t kx = 0; kx < a->kernel[1]; kx++) {
					size_t ix = tap(x, kx, a->stride[1], a->dilation[1], a->pads[1], a->w);
					const float *in;

					if (a->count_padding &&
					    y * a->stride[0] + ky * a->dilation[0] < a->h + a->pads[0] + a->pads[2] &&
					    x * a->stride[1] + kx * a->dilation[1] < a->w + a->pads[1] + a->pads[3])
						cells++;
					if (iy == SIZE_MAX || ix == SIZE_MAX)
						continue;
					if (!a->count_padding)
						cells++;
					in = a->in + ((iy - a->row0) * a->w + ix) * vl;
					for (size_t v = 0; v < vl; v++) {
						if (what == DEPTHWISE)
							acc[v] += in[v] * a->weights[(ky * a->kernel[1] + kx) * vl + v];
						else if (what == MAX_POOL)
							acc[v] = acc[v] < in[v] || isnan(in[v]) ? in[v] : acc[v];
						else
							acc[v] += in[v];
					}
				}
			}
			for (size_t v = 0; v < vl; v++) {
				if (what == AVERAGE_POOL)
					acc[v] = cells ? acc[v] / (float)cells : 0;
				if (what == DEPTHWISE) {
					if (a->res)
						acc[v] += a->res[at + v];
					acc[v] = apply(a->fn, acc[v]);
				}
				a->out[at + v] = acc[v];
			}
		}
	}
}

static void depthwise(const ad_window_args *a, size_t vl)
{
	window(a, vl, DEPTHWISE);
}

static void max_pool(const ad_window_args *a, size_t vl)
{
	window(a, vl, MAX_POOL);
}

static void average_pool(const ad_window_args *a, size_t vl)
{
	window(a, vl, AVERAGE_POOL);
}

/* B^T and A^T of F(2, 3) and F(4, 3). */
static const float in2[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
static const float in4[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
				{0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const float out2[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
static const float out4[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

static const float g2[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
static const float g4[6][3] = {{1.0f / 4, 0, 0},
			       {-1.0f / 6, -1.0f / 6, -1.0f / 6},
			       {-1.0f / 6, 1.0f / 6, -1.0f / 6},
			       {1.0f / 24, 1.0f / 12, 1.0f / 6},
			       {1.0f / 24, -1.0f / 12, 1.0f / 6},
			       {0, 0, 1}};

/* to (rows x rows) = M from (size x size) M^T, M being rows x size. */
static void sandwich(const float *m, size_t rows, size_t size, const float *from, float *to)
{
	float half[6][6];

	for (size_t i = 0; i < rows; i++) {
		for (size_t j = 0; j < size; j++) {
			half[i][j] = 0;
			for (size_t k = 0; k < size; k++)
				half[i][j] += m[i * size + k] * from[k * size + j];
		}
	}
	for (size_t i = 0; i < rows; i++) {
		for (size_t j = 0; j < rows; j++) {
			to[i * rows + j] = 0;
			for (size_t k = 0; k < size; k++)
				to[i * rows + j] += half[i][k] * m[j * size + k];
		}
	}
}

static void wino_in(const ad_wino_in_args *a, size_t vl)
{
	size_t m = (size_t)a->m, n = m + 2;

	for (size_t t = a->t0; t < a->t1; t++) {
		for (size_t v = 0; v < vl; v++) {
			float patch[36], out[36];

			for (size_t i = 0; i < n; i++) {
				for (size_t j = 0; j < n; j++) {
					size_t y = t / a->tiles_x * m + i, x = t % a->tiles_x * m + j;
					int inside = y >= a->pad_top && y - a->pad_top < a->h && x >= a->pad_left &&
						     x - a->pad_left < a->w;

					patch[i * n + j] =
					    inside ? a->in[((y - a->pad_top) * a->w + x - a->pad_left) * vl + v] : 0;
				}
			}
			sandwich(m == 2 ? &in2[0][0] : &in4[0][0], n, n, patch, out);
			for (size_t i = 0; i < n; i++)
				for (size_t j = 0; j < n; j++)
					a->v[(i * n + j) * a->xi_step + (t - a->t0) * vl + v] = out[i * n + j];
		}
	}
}

static void wino_out(const ad_wino_out_args *a, size_t vl)
{
	size_t m = (size_t)a->m, n = m + 2;

	for (size_t t = a->t0; t < a->t1; t++) {
		for (size_t v = 0; v < vl; v++) {
			float from[36], out[36];

			for (size_t i = 0; i < n; i++)
				for (size_t j = 0; j < n; j++)
					from[i * n + j] = a->v[(i * n + j) * a->xi_step + (t - a->t0) * vl + v];
			sandwich(m == 2 ? &out2[0][0] : &out4[0][0], m, n, from, out);
			for (size_t i = 0; i < m; i++) {
				for (size_t j = 0; j < m; j++) {
					size_t y = t / a->tiles_x * m + i, x = t % a->tiles_x * m + j,
					       at = (y * a->w + x) * vl + v;
					float value = out[i * m + j] + (a->bias ? a->bias[v] : 0);

					if (y >= a->h || x >= a->w)
						continue;
					if (a->res)
						value += a->res[at];
					a->out[at] = apply(a->fn, value);
				}
			}
		}
	}
}

static void wino_weights(const ad_wino_weights_args *a, size_t vl)
{
	size_t n = (size_t)a->m + 2;

	for (size_t v = 0; v < vl; v++) {
		float from[9], to[36];

		for (size_t i = 0; i < 9; i++)
			from[i] = a->in[i * vl + v];
		sandwich(a->m == 2 ? &g2[0][0] : &g4[0][0], n, 3, from, to);
		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < n; j++)
				a->u[(i * n + j) * a->xi_step + v] = to[i * n + j];
	}
}

static void affine(const ad_affine_args *a, size_t vl)
{
	for (size_t i = 0; i < a->pixels * vl; i++)
		a->out[i] =
		    apply(a->fn, a->in[i] * (a->scale ? a->scale[i % vl] : 1) + (a->shift ? a->shift[i % vl] : 0));
}

static void binary(const ad_binary_args *a, size_t vl)
{
	for (size_t p = 0; p < a->pixels; p++) {
		for (size_t v = 0; v < vl; v++) {
			float x = a->x[p * a->x_step + v], y = a->y[p * a->y_step + v];

			x = a->kind == AD_BINARY_ADD   ? x + y
			    : a->kind == AD_BINARY_SUB ? x - y
			    : a->kind == AD_BINARY_MUL ? x * y
						       : x / y;
			a->out[p * vl + v] = apply(a->fn, x);
		}
	}
}

static void mean(const ad_mean_args *a, size_t vl)
{
	for (size_t v = 0; v < vl; v++) {
		double sum = 0;

		for (size_t p = 0; p < a->pixels; p++)
			sum += (double)a->in[p * vl + v];
		a->out[v] = (float)(sum / (double)a->pixels);
	}
}

static void pack(const ad_pack_args *a, size_t vl)
{
	for (size_t p = 0; p < a->pixels; p++)
		for (size_t v = 0; v < vl; v++)
			a->out[p * a->pixel + v] = v >= a->channels ? 0
						   : a->in          ? a->in[v * a->step + p]
								    : ad_half_to_float(a->halves[v * a->step + p]);
}

static void unpack(const ad_unpack_args *a, size_t vl)
{
	for (size_t v = 0; v < a->channels; v++)
		for (size_t p = 0; p < a->pixels; p++)
			a->out[v * a->step + p] = a->in[p * vl + v];
}

static void dots(const ad_dots_args *a, size_t vl)
{
	(void)vl;
	for (size_t row = 0; row < a->rows; row++)
		for (size_t j = 0; j < a->count; j++)
			for (size_t i = 0; i < a->n; i++)
				a->out[row * a->count + j] +=
				    (double)a->v[j * a->v_step + i] * (double)a->a[row * a->a_step + i];
}

static void subtract(const ad_subtract_args *a, size_t vl)
{
	(void)vl;
	for (size_t row = 0; row < a->rows; row++)
		for (size_t j0 = 0; j0 < a->count; j0 += AD_SUBTRACT_GROUP)
			for (size_t i = 0; i < a->n; i++) {
				float sum = 0;

				for (size_t j = j0; j < a->count && j < j0 + AD_SUBTRACT_GROUP; j++)
					sum += a->z[row * a->z_step + j] * a->v[j * a->v_step + i];
				a->r[row * a->r_step + i] -= sum;
			}
}

static void narrow(const ad_narrow_args *a, size_t vl)
{
	(void)vl;
	narrow_rows(a);
}

static void round_bf16(const ad_round_args *a, size_t vl)
{
	for (size_t p = 0; p < a->pixels; p++) {
		for (size_t v = 0; v < vl; v++) {
			float x = a->in[p * a->pixel + v];

			x = a->scale ? apply(a->fn, x * a->scale[v] + a->shift[v]) : x;
			a->out[p * vl + v] = ad_bf16_float(ad_bf16_of(x));
		}
	}
}

static unsigned long fp_enter(void)
{
	return 0;
}

static void fp_leave(unsigned long mode)
{
	(void)mode;
}

#define K(name, args)                                                                                                  \
	static void name##_4(const args *a)                                                                            \
	{                                                                                                              \
		name(a, 4);                                                                                            \
	}                                                                                                              \
	static void name##_8(const args *a)                                                                            \
	{                                                                                                              \
		name(a, 8);                                                                                            \
	}                                                                                                              \
	static void name##_16(const args *a)                                                                           \
	{                                                                                                              \
		name(a, 16);                                                                                           \
	}
#include "../kernels.def"
#undef K

const ad_kernels *ad_kernels_scalar(unsigned vl)
{
	static const ad_kernels tables[] = {
	    {
		"scalar",
		4,
		AD_CONV_R_MAX,
		1,
		0,
		fp_enter,
		fp_leave,
#define K(name, args) name##_4,
#include "../kernels.def"
#undef K
	    },
	    {
		"scalar",
		8,
		AD_CONV_R_MAX,
		1,
		0,
		fp_enter,
		fp_leave,
#define K(name, args) name##_8,
#include "../kernels.def"
#undef K
	    },
	    {
		"scalar",
		16,
		AD_CONV_R_MAX,
		1,
		0,
		fp_enter,
		fp_leave,
#define K(name, args) name##_16,
#include "../kernels.def"
#undef K
	    },
	};

	return vl == 4 ? &tables[0] : vl == 8 ? &tables[1] : vl == 16 ? &tables[2] : NULL;
}
