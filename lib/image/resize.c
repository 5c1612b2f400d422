/*
 * Resampling with a triangle filter in 8 bits, such that every sample equals what Pillow's resize(..., BILINEAR) gives:
 * weights in double precision, normalised, rounded to AD_PAIR_BITS of fraction; sums in integers, rounded once per pass;
 * rows first, then columns.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "../kernel/kernel.h"

#include <math.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* For each output position: the first input, how many pairs of inputs from there, and their weights. */
typedef struct taps {
	unsigned *first, *count; /* per output; count in inputs */
	ad_pair *pairs;          /* per output: from stride * output on */
	size_t stride;
} taps;

static void release(taps *t)
{
	ad_free(t->first);
	ad_free(t->count);
	ad_free(t->pairs);
}

static int taps_init(taps *t, unsigned from, unsigned to)
{
	double scale = (double)from / to, support = scale < 1 ? 1 : scale; /* the triangle's half width */
	size_t most = 2 * (size_t)ceil(support) + 1;
	double *w = ad_malloc_array(most, sizeof(*w));
	unsigned i, k;

	t->stride = (most + 1) / 2;
	t->first = ad_malloc_array(to, sizeof(*t->first));
	t->count = ad_malloc_array(to, sizeof(*t->count));
	t->pairs = t->stride > SIZE_MAX / to ? NULL : ad_calloc(t->stride * to, sizeof(*t->pairs));
	if (!t->first || !t->count || !t->pairs || !w) {
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
		for (k = 0; k < t->count[i]; k++) {
			ad_pair *p = &t->pairs[t->stride * i + k / 2];
			int weight = (int)(0.5 + (sum != 0 ? w[k] / sum : w[k]) * (1 << AD_PAIR_BITS));

			p->high[k % 2] = (int16_t)(weight >> AD_PAIR_LOW);
			p->low[k % 2] = (int16_t)(weight & ((1 << AD_PAIR_LOW) - 1));
		}
	}
	ad_free(w);
	return 0;
}

#ifdef __SSE2__

/* Rounds and narrows four sums to the low four bytes. */
static inline __m128i narrow(__m128i high, __m128i low)
{
	__m128i half = _mm_set1_epi32(1 << (AD_PAIR_BITS - 1));

	return _mm_srai_epi32(_mm_add_epi32(_mm_add_epi32(_mm_slli_epi32(high, AD_PAIR_LOW), low), half), AD_PAIR_BITS);
}

/* Eight neighbouring samples from 2n rows, from offset x on. */
static inline void down_eight(const uint8_t *const *rows, size_t x, const ad_pair *w, size_t n, uint8_t to[8])
{
	__m128i zero = _mm_setzero_si128(), high0 = zero, high1 = zero, low0 = zero, low1 = zero;

	for (; n; n--, rows += 2, w++) {
		__m128i a = _mm_loadl_epi64((const __m128i *)(rows[0] + x));
		__m128i b = _mm_loadl_epi64((const __m128i *)(rows[1] + x));
		__m128i s = _mm_unpacklo_epi8(a, b), s0 = _mm_unpacklo_epi8(s, zero), s1 = _mm_unpackhi_epi8(s, zero);
		__m128i k = _mm_loadl_epi64((const __m128i *)w);
		__m128i k_high = _mm_shuffle_epi32(k, 0x00), k_low = _mm_shuffle_epi32(k, 0x55);

		high0 = _mm_add_epi32(high0, _mm_madd_epi16(s0, k_high));
		high1 = _mm_add_epi32(high1, _mm_madd_epi16(s1, k_high));
		low0 = _mm_add_epi32(low0, _mm_madd_epi16(s0, k_low));
		low1 = _mm_add_epi32(low1, _mm_madd_epi16(s1, k_low));
	}
	high0 = _mm_packs_epi32(narrow(high0, low0), narrow(high1, low1));
	_mm_storel_epi64((__m128i *)to, _mm_packus_epi16(high0, high0));
}

#else

/* Rounding errors of very many weights can carry a sum just over 255. */
static inline uint8_t narrow(int32_t sum)
{
	sum = (sum + (1 << (AD_PAIR_BITS - 1))) >> AD_PAIR_BITS;
	return (uint8_t)(sum > 255 ? 255 : sum);
}

static inline int32_t weight_of(const ad_pair *w, int which)
{
	return w->high[which] * (1 << AD_PAIR_LOW) + w->low[which];
}

static inline void down_eight(const uint8_t *const *rows, size_t x, const ad_pair *w, size_t n, uint8_t to[8])
{
	int32_t sum[8] = {0};
	size_t i;

	for (; n; n--, rows += 2, w++) {
		int32_t w0 = weight_of(w, 0), w1 = weight_of(w, 1);

		for (i = 0; i < 8; i++)
			sum[i] += rows[0][x + i] * w0 + rows[1][x + i] * w1;
	}
	for (i = 0; i < 8; i++)
		to[i] = narrow(sum[i]);
}

#endif

static int resize(const adtool_image *image, adtool_image *out, adtool_error *err)
{
	size_t from_pitch = (size_t)3 * image->width, samples = (size_t)3 * out->width, x, pitch, depth;
	int rc = 0, narrower = out->width != image->width;
	const uint8_t **rows = NULL;
	taps h = {0}, v = {0};
	uint8_t *ring = NULL; /* rows of the output's width not yet done with: row y at y % depth */
	const ad_kernels *kernels;
	unsigned y, k, ready = 0;

	rc = ad_kernels_get(&kernels, err);
	if (rc)
		return rc;
	if ((narrower && taps_init(&h, image->width, out->width)) || taps_init(&v, image->height, out->height)) {
		rc = ad_fail_nomem(err);
		goto done;
	}
	/* Rows are narrowed a few at a time, so that some come before they are needed. */
	depth = 2 * v.stride + AD_NARROW_ROWS - 1;
	depth = depth < image->height ? depth : image->height;
	pitch = narrower ? samples + AD_BEHIND : from_pitch;
	rows = ad_malloc_array(2 * v.stride, sizeof(*rows));
	ring = narrower ? ad_calloc(depth, pitch) : NULL;
	if (!rows || (narrower && !ring)) {
		rc = ad_fail_nomem(err);
		goto done;
	}
	for (y = 0; y < out->height; y++) {
		unsigned first = v.first[y], end = first + v.count[y], n = (v.count[y] + 1) / 2;
		const ad_pair *weights = &v.pairs[v.stride * y];
		uint8_t *to = out->pixels + y * samples;

		if (ready < first)
			ready = first;
		while (narrower && ready < end) {
			ad_narrow_args a = {.in = image->pixels + ready * from_pitch,
					    .pitch = from_pitch,
					    .rows = image->height - ready,
					    .first = h.first,
					    .count = h.count,
					    .pairs = h.pairs,
					    .stride = h.stride,
					    .width = out->width};

			a.rows = a.rows < AD_NARROW_ROWS ? a.rows : AD_NARROW_ROWS;
			for (k = 0; k < a.rows; k++, ready++)
				a.out[k] = ring + ready % depth * pitch;
			kernels->narrow(&a);
		}
		for (k = first; k < first + 2 * n; k++) {
			size_t row = k < end ? k : end - 1; /* the last of an odd number, again, at weight 0 */

			rows[k - first] = narrower ? ring + row % depth * pitch : image->pixels + row * from_pitch;
		}
		for (x = 0; x + 8 <= samples; x += 8)
			down_eight(rows, x, weights, n, to + x);
		if (x < samples) {
			uint8_t last[8];

			down_eight(rows, x, weights, n, last);
			memcpy(to + x, last, samples - x);
		}
	}
done:
	release(&h);
	release(&v);
	ad_free(rows);
	ad_free(ring);
	return rc;
}

int adtool_image_resize(const adtool_image *image, unsigned width, unsigned height, adtool_image **out,
			adtool_error *err)
{
	adtool_image *result;
	int rc;

	if (!width || !height || width > AD_MAX_SIDE || height > AD_MAX_SIDE)
		return ad_fail(err, ADTOOL_EINVAL, "a picture cannot be resized to %u x %u pixels (1 .. %u a side)",
			       width, height, AD_MAX_SIDE);
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
			return ad_fail(err, ADTOOL_EINVAL, "preprocessing: range %g, mean %g, std %g of channel %d",
				       p->range, mean, std, c);
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
