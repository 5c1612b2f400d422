/* The scalar room, 8 bits: as plainly as int8.h reads, the oracle of the others. */
#include "../int8.h"

#include <math.h>

/* low where x is not a number. */
static float clamp(float x, float low, float high)
{
	x = x > low ? x : low;
	return x < high ? x : high;
}

static uint8_t nearest(float x)
{
	return (uint8_t)nearbyintf(x);
}

static void conv(const ad_int8_conv_args *a)
{
	for (size_t p = 0; p < a->pixels; p++) {
		int32_t sum[AD_INT8_BLOCK * AD_INT8_BLOCKS_MAX];
		size_t width = a->blocks * AD_INT8_BLOCK;
		const int8_t *w = a->w;

		for (size_t v = 0; v < width; v++)
			sum[v] = a->start[v];
		for (size_t i = 0; i < a->n[0]; i++) {
			size_t run = i + 1 < a->n[0] ? a->run : a->last;

			for (size_t j = 0; j < a->n[1]; j++) {
				for (size_t l = 0; l < a->n[2]; l++) {
					const uint8_t *in =
					    a->in + p * a->pixel + i * a->step[0] + j * a->step[1] + l * a->step[2];

					for (size_t k = 0; k < run; k++, in += 4)
						for (size_t v = 0; v < width; v++, w += 4)
							sum[v] += in[0] * w[0] + in[1] * w[1] + in[2] * w[2] +
								  in[3] * w[3];
				}
			}
		}
		for (size_t v = 0; v < width; v++) {
			size_t r = v / AD_INT8_BLOCK, at = p * AD_INT8_BLOCK + v % AD_INT8_BLOCK;
			float y = (float)sum[v] * a->scale[v];

			y = y + a->shift[v];
			if (a->res) {
				float x = (float)(a->res[r * a->res_block + at] - a->res_zero) * a->res_scale[v];

				y = y + x;
			}
			y = clamp(y, a->low, a->high);
			if (a->out)
				a->out[r * a->out_block + at] = nearest(y);
			else if (v / a->vl < a->wide_blocks)
				a->wide[v / a->vl * a->wide_block + p * a->vl + v % a->vl] = y;
		}
	}
}

/* The input row or column of a tap, or SIZE_MAX when it lies outside. */
static size_t tap(size_t out, size_t k, size_t stride, size_t dilation, size_t pad, size_t size)
{
	size_t at = out * stride + k * dilation;

	return at >= pad && at - pad < size ? at - pad : SIZE_MAX;
}

static void window(const ad_int8_window_args *a, int pool)
{
	for (size_t y = a->y0; y < a->y1; y++) {
		for (size_t x = 0; x < a->ow; x++) {
			uint8_t *out = a->out + ((y - a->y0) * a->ow + x) * AD_INT8_BLOCK;
			int32_t acc[AD_INT8_BLOCK] = {0};

			for (size_t ky = 0; ky < a->kernel[0]; ky++) {
				size_t iy = tap(y, ky, a->stride[0], a->dilation[0], a->pads[0], a->h);

				for (size_t kx = 0; kx < a->kernel[1]; kx++) {
					size_t ix = tap(x, kx, a->stride[1], a->dilation[1], a->pads[1], a->w);

					if (iy == SIZE_MAX || ix == SIZE_MAX)
						continue;
					for (size_t v = 0; v < AD_INT8_BLOCK; v++) {
						int q = a->in[(iy * a->w + ix) * AD_INT8_BLOCK + v];

						if (pool)
							acc[v] = q > acc[v] ? q : acc[v];
						else
							acc[v] += (q - a->zero) *
								  a->weights[(ky * a->kernel[1] + kx) * AD_INT8_BLOCK +
									     v];
					}
				}
			}
			for (size_t v = 0; v < AD_INT8_BLOCK; v++) {
				if (pool) {
					out[v] = (uint8_t)acc[v];
				} else {
					float r = (float)acc[v] * a->scale[v];

					r = r + a->shift[v];
					out[v] = nearest(clamp(r, a->low, a->high));
				}
			}
		}
	}
}

static void depthwise(const ad_int8_window_args *a)
{
	window(a, 0);
}

static void max_pool(const ad_int8_window_args *a)
{
	window(a, 1);
}

static uint8_t quantum(float x, float factor, float zero)
{
	x = x * factor;
	x = x + zero;
	return nearest(clamp(x, 0, 255));
}

static void quantize(const ad_int8_quantize_args *a)
{
	for (size_t p = 0; p < a->pixels; p++) {
		for (size_t v = 0; v < AD_INT8_BLOCK; v++) {
			uint8_t *out = a->out + p * AD_INT8_BLOCK + v;
			float x;

			*out = 0;
			if (v / a->vl >= a->blocks)
				continue;
			x = a->in[v / a->vl * a->in_block + p * a->vl + v % a->vl];
			if (a->scale) {
				x = x * a->scale[v];
				x = x + a->shift[v];
				x = clamp(x, a->low, a->high);
			}
			*out = quantum(x, a->factor[v], a->zero);
		}
	}
}

static void dequantize(const ad_int8_dequantize_args *a)
{
	for (size_t p = 0; p < a->pixels; p++)
		for (size_t v = 0; v < a->blocks * a->vl; v++)
			a->out[v / a->vl * a->out_block + p * a->vl + v % a->vl] =
			    (float)(a->in[p * AD_INT8_BLOCK + v] - a->zero) * a->factor[v];
}

static void pack(const ad_int8_pack_args *a)
{
	for (size_t p = 0; p < a->pixels; p++)
		for (size_t c = 0; c < 4; c++)
			a->out[4 * p + c] =
			    c < a->channels ? quantum(a->in[c * a->step + p], a->factor, a->zero) : 0;
}

const ad_int8_kernels ad_int8_scalar = {
    "scalar", 0, 1, AD_INT8_BLOCKS_MAX, 1,
#define K(name, args) name,
#include "../int8.def"
#undef K
};
