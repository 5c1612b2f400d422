/*
 * Resampling with a triangle filter in 8 bits, such that every sample equals what Pillow's resize(..., BILINEAR) gives:
 * weights in double precision, normalised, rounded to WEIGHT_BITS of fraction; sums in integers, rounded once per pass;
 * rows first, then columns.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <math.h>

#define WEIGHT_BITS 22

/* For each output position: which inputs, and their weights. */
struct taps {
	unsigned *first, *count; /* per output */
	int32_t *weight;         /* per output: most weights from most * output on */
	size_t most;
};

static void release(struct taps *t)
{
	ad_free(t->first);
	ad_free(t->count);
	ad_free(t->weight);
}

static int taps_init(struct taps *t, unsigned from, unsigned to)
{
	double scale = (double)from / to, support = scale < 1 ? 1 : scale; /* the triangle's half width */
	double *w;
	unsigned i, k;

	t->most = 2 * (size_t)ceil(support) + 1;
	t->first = ad_malloc_array(to, sizeof(*t->first));
	t->count = ad_malloc_array(to, sizeof(*t->count));
	t->weight = t->most > SIZE_MAX / to ? NULL : ad_malloc_array(t->most * to, sizeof(*t->weight));
	w = ad_malloc_array(t->most, sizeof(*w));
	if (!t->first || !t->count || !t->weight || !w) {
		ad_free(w);
		return ADTOOL_ENOMEM;
	}
	for (i = 0; i < to; i++) {
		double centre = (i + 0.5) * scale, sum = 0;
		int low = (int)(centre - support + 0.5), high = (int)(centre + support + 0.5);

		low = low < 0 ? 0 : low;
		high = high > (int)from ? (int)from : high;
		t->first[i] = (unsigned)low;
		t->count[i] = (unsigned)(high - low);
		for (k = 0; k < t->count[i]; k++) {
			double x = fabs((k + (double)low - centre + 0.5) * (1 / support));

			w[k] = x < 1 ? 1 - x : 0;
			sum += w[k];
		}
		for (k = 0; k < t->count[i]; k++)
			t->weight[t->most * i + k] =
				(int32_t)(0.5 + (sum != 0 ? w[k] / sum : w[k]) * (1 << WEIGHT_BITS));
	}
	ad_free(w);
	return 0;
}

/* Rounding errors of the weights can carry a sum of very many just over 255. */
static inline uint8_t narrow(int32_t sum)
{
	sum >>= WEIGHT_BITS;
	return (uint8_t)(sum > 255 ? 255 : sum);
}

static void across(const struct taps *t, const uint8_t *restrict from, uint8_t *restrict to, unsigned width)
{
	unsigned x, k;

	for (x = 0; x < width; x++, to += 3) {
		const uint8_t *p = from + (size_t)3 * t->first[x];
		const int32_t *w = t->weight + t->most * x;
		int32_t r = 1 << (WEIGHT_BITS - 1), g = r, b = r;

		for (k = 0; k < t->count[x]; k++, p += 3) {
			r += p[0] * w[k];
			g += p[1] * w[k];
			b += p[2] * w[k];
		}
		to[0] = narrow(r);
		to[1] = narrow(g);
		to[2] = narrow(b);
	}
}

/* sums += weight * row, over `samples` neighbours. */
static void accumulate(int32_t *restrict sums, const uint8_t *restrict row, int32_t weight, size_t samples)
{
	size_t i;

	for (i = 0; i < samples; i++)
		sums[i] += row[i] * weight;
}

static int resize(const adtool_image *image, adtool_image *out, adtool_error *err)
{
	size_t from_pitch = (size_t)3 * image->width, pitch = (size_t)3 * out->width;
	struct taps h = {0}, v = {0};
	int32_t *sums = NULL;
	uint8_t *ring = NULL; /* rows narrowed and not yet done with: row y at y % v.most */
	unsigned y, k, ready = 0;
	size_t i;
	int rc = 0, resize_x = out->width != image->width;

	if ((resize_x && taps_init(&h, image->width, out->width)) || taps_init(&v, image->height, out->height) ||
	    !(sums = ad_malloc_array(pitch, sizeof(*sums))) ||
	    (resize_x && !(ring = ad_malloc_array(v.most < image->height ? v.most : image->height, pitch)))) {
		rc = ad_fail_nomem(err);
		goto done;
	}
	for (y = 0; y < out->height; y++) {
		unsigned first = v.first[y], end = first + v.count[y];
		uint8_t *to = out->pixels + y * pitch;

		if (ready < first)
			ready = first;
		for (; resize_x && ready < end; ready++)
			across(&h, image->pixels + ready * from_pitch, ring + (ready % v.most) * pitch, out->width);
		for (i = 0; i < pitch; i++)
			sums[i] = 1 << (WEIGHT_BITS - 1);
		for (k = first; k < end; k++)
			accumulate(sums, resize_x ? ring + (k % v.most) * pitch : image->pixels + k * pitch,
			           v.weight[v.most * y + k - first], pitch);
		for (i = 0; i < pitch; i++)
			to[i] = narrow(sums[i]);
	}
done:
	release(&h);
	release(&v);
	ad_free(sums);
	ad_free(ring);
	return rc;
}

int adtool_image_resize(const adtool_image *image, unsigned width, unsigned height, adtool_image **out,
                        adtool_error *err)
{
	adtool_image *result;
	int rc;

	if (!width || !height || width > AD_MAX_SIDE || height > AD_MAX_SIDE)
		return ad_fail(err, ADTOOL_EINVAL, "a picture cannot be resized to %u x %u pixels (1 .. %u a side)", width,
		               height, AD_MAX_SIDE);
	rc = ad_image_alloc(width, height, &result, err);
	if (rc)
		return rc;
	if (width == image->width && height == image->height)
		memcpy(result->pixels, image->pixels, (size_t)3 * width * height);
	else
		rc = resize(image, result, err);
	if (rc)
		adtool_image_free(result);
	else
		*out = result;
	return rc;
}

int ad_image_to_tensor(const adtool_image *image, const adtool_preprocessing *p, unsigned width, unsigned height,
                       float *tensor, adtool_error *err)
{
	size_t pixels = (size_t)width * height, i;
	adtool_image *small;
	float value[3][256];
	int rc, c, s;

	for (c = 0; c < 3; c++) {
		double mean = p->mean[c], std = p->std[c];

		if (!isfinite(mean) || !isfinite(std) || !(std > 0) || !isfinite(p->range) || !(p->range > 0))
			return ad_fail(err, ADTOOL_EINVAL, "preprocessing: range %g, mean %g, std %g of channel %d", p->range,
			               mean, std, c);
		for (s = 0; s < 256; s++)
			value[c][s] = (float)((s * ((double)p->range / 255) - mean) / std);
	}
	rc = adtool_image_resize(image, width, height, &small, err);
	if (rc)
		return rc;
	for (c = 0; c < 3; c++) {
		const uint8_t *from = small->pixels + (p->bgr ? 2 - c : c);

		for (i = 0; i < pixels; i++)
			tensor[pixels * (size_t)c + i] = value[c][from[3 * i]];
	}
	adtool_image_free(small);
	return 0;
}
