/* The scalar room, bfloat16: as plainly as bf16.h reads, the oracle of the others. */
#include "../bf16.h"

enum { VL = AD_BF16_BLOCK, BLOCKS = 3 };

static float apply(ad_fn fn, float x)
{
	if (fn.kind == AD_FN_RELU)
		return x < 0 ? 0 : x;
	if (fn.kind == AD_FN_CLIP) {
		x = x < fn.a ? fn.a : x;
		return x > fn.b ? fn.b : x;
	}
	return x;
}

static void conv(const ad_bf16_conv_args *a)
{
	size_t width = a->blocks * VL;

	for (size_t p = 0; p < a->pixels; p++) {
		const uint16_t *w = a->w;
		float sum[BLOCKS * VL];

		for (size_t v = 0; v < width; v++)
			sum[v] = a->bias ? a->bias[v] : 0;
		for (size_t i = 0; i < a->n[0]; i++) {
			size_t run = i + 1 < a->n[0] ? a->run : a->last;

			for (size_t j = 0; j < a->n[1]; j++) {
				for (size_t l = 0; l < a->n[2]; l++) {
					const uint16_t *in =
					    a->in + p * a->pixel + i * a->step[0] + j * a->step[1] + l * a->step[2];

					for (size_t k = 0; k < run; k++, in += 2) {
						for (size_t v = 0; v < width; v++, w += 2) {
							sum[v] += ad_bf16_float(in[0]) * ad_bf16_float(w[0]);
							sum[v] += ad_bf16_float(in[1]) * ad_bf16_float(w[1]);
						}
					}
				}
			}
		}
		for (size_t v = 0; v < width; v++) {
			size_t r = v / VL, at = p * VL + v % VL;
			float x = sum[v];

			if (a->res)
				x += a->res[r * a->res_block + at];
			a->out[r * a->out_block + at] = apply(a->fn, x);
		}
	}
}

static void pack(const ad_bf16_pack_args *a)
{
	for (size_t p = 0; p < a->pixels; p++) {
		for (size_t v = 0; v < VL; v++) {
			float x = a->in[p * a->pixel + v];

			a->out[p * VL + v] = ad_bf16_of(a->scale ? apply(a->fn, x * a->scale[v] + a->shift[v]) : x);
		}
	}
}

static void pair(const ad_bf16_pair_args *a)
{
	for (size_t v = 0; v < VL; v++) {
		a->out[2 * v] = ad_bf16_of(a->even[v]);
		a->out[2 * v + 1] = a->odd ? ad_bf16_of(a->odd[v]) : 0;
	}
}

const ad_bf16_kernels ad_bf16_scalar = {
    "scalar", BLOCKS, 1,
#define K(name, args) name,
#include "../bf16.def"
#undef K
};
