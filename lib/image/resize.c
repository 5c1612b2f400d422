/*
 * Resampling with a triangle filter in 8 bits, such that every sample equals what Pillow's resize(..., BILINEAR) gives:
 * weights in double precision, normalised, rounded to AD_PAIR_BITS of fraction; sums in integers, rounded once per
 * pass; rows first, then columns.
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

/* A picture being resized while its rows come, from the top. */
struct resizer {
	const ad_kernels *kernels;
	unsigned from_width, from_height, width, height;
	taps across, down;    /* across: of no use where the width stays */
	uint8_t *ring;        /* rows of the new width that are still needed: row y at y % depth */
	size_t depth, pitch;
	const uint8_t **rows; /* of the ring, for down_eight */
	unsigned done;        /* rows of the result */
	uint8_t *out;         /* where those go; of a tensor, the one at hand */
	float *tensor;        /* or NULL */
	const float (*value)[256]; /* with it: what each sample becomes, by plane */
	int bgr;
};

static void resizer_release(struct resizer *r)
{
	release(&r->across);
	release(&r->down);
	ad_free(r->rows);
	ad_free(r->ring);
	if (r->tensor)
		ad_free(r->out);
}

/* out or tensor are set by the caller before. Whatever happens, r is to be released. */
static int resizer_init(struct resizer *r, unsigned from_width, unsigned from_height, unsigned width, unsigned height,
			adtool_error *err)
{
	int rc = ad_kernels_get(&r->kernels, err);

	if (rc)
		return rc;
	r->from_width = from_width;
	r->from_height = from_height;
	r->width = width;
	r->height = height;
	if ((width != from_width && taps_init(&r->across, from_width, width)) ||
	    taps_init(&r->down, from_height, height))
		return ad_fail_nomem(err);
	/* Rows are narrowed a few at a time, so that some come before they are needed. */
	r->depth = 2 * r->down.stride + AD_NARROW_ROWS - 1;
	r->depth = r->depth < from_height ? r->depth : from_height;
	r->pitch = (size_t)3 * width + AD_BEHIND;
	r->rows = ad_malloc_array(2 * r->down.stride, sizeof(*r->rows));
	r->ring = ad_calloc(r->depth, r->pitch);
	if (r->tensor)
		r->out = ad_malloc(r->pitch);
	return r->rows && r->ring && r->out ? 0 : ad_fail_nomem(err);
}

/* n rows, at most AD_NARROW_ROWS, into the ring. */
static void resizer_take(struct resizer *r, const uint8_t *in, unsigned y, unsigned n)
{
	ad_narrow_args a = {.in = in,
			    .pitch = (size_t)3 * r->from_width,
			    .rows = n,
			    .first = r->across.first,
			    .count = r->across.count,
			    .pairs = r->across.pairs,
			    .stride = r->across.stride,
			    .width = r->width};
	unsigned i;

	for (i = 0; i < n; i++)
		a.out[i] = r->ring + (y + i) % r->depth * r->pitch;
	if (r->across.pairs) {
		r->kernels->narrow(&a);
		return;
	}
	for (i = 0; i < n; i++)
		memcpy(a.out[i], in + i * a.pitch, a.pitch);
}

static void resizer_finish_row(struct resizer *r)
{
	unsigned y = r->done++, first = r->down.first[y], end = first + r->down.count[y],
		 n = (r->down.count[y] + 1) / 2, k;
	const ad_pair *weights = &r->down.pairs[r->down.stride * y];
	size_t samples = (size_t)3 * r->width, pixels = (size_t)r->width * r->height, x;
	uint8_t *to = r->tensor ? r->out : r->out + y * samples;
	int c;

	for (k = first; k < first + 2 * n; k++) {
		size_t row = k < end ? k : end - 1; /* the last of an odd number, again, at weight 0 */

		r->rows[k - first] = r->ring + row % r->depth * r->pitch;
	}
	for (x = 0; x + 8 <= samples; x += 8)
		down_eight(r->rows, x, weights, n, to + x);
	if (x < samples) {
		uint8_t last[8];

		down_eight(r->rows, x, weights, n, last);
		memcpy(to + x, last, samples - x);
	}
	for (c = 0; r->tensor && c < 3; c++) {
		const uint8_t *from = to + (r->bgr ? 2 - c : c);
		float *plane = r->tensor + pixels * (size_t)c + (size_t)y * r->width;

		for (x = 0; x < r->width; x++)
			plane[x] = r->value[c][from[3 * x]];
	}
}

/* n rows from row y on, AD_BEHIND bytes behind them: all must come, in order. */
static void resizer_put(struct resizer *r, const uint8_t *in, unsigned y, unsigned n)
{
	size_t pitch = (size_t)3 * r->from_width;
	unsigned end = y + n, k;

	for (; y < end && r->done < r->height; y += k, in += k * pitch) {
		unsigned first = r->down.first[r->done];

		k = end - y;
		if (y < first) {
			k = k < first - y ? k : first - y;
			continue;
		}
		k = k < AD_NARROW_ROWS ? k : AD_NARROW_ROWS;
		resizer_take(r, in, y, k);
		while (r->done < r->height && r->down.first[r->done] + r->down.count[r->done] <= y + k)
			resizer_finish_row(r);
	}
}

int adtool_image_resize(const adtool_image *image, unsigned width, unsigned height, adtool_image **out,
			adtool_error *err)
{
	adtool_image *result;
	struct resizer r = {0};
	int rc;

	if (!width || !height || width > AD_MAX_SIDE || height > AD_MAX_SIDE)
		return ad_fail(err, ADTOOL_EINVAL, "a picture cannot be resized to %u x %u pixels (1 .. %u a side)",
			       width, height, AD_MAX_SIDE);
	rc = ad_image_alloc(width, height, &result, err);
	if (rc)
		return rc;
	if (width == image->width && height == image->height) {
		memcpy(result->pixels, image->pixels, (size_t)3 * width * height);
	} else {
		r.out = result->pixels;
		rc = resizer_init(&r, image->width, image->height, width, height, err);
		if (!rc)
			resizer_put(&r, image->pixels, 0, image->height);
		resizer_release(&r);
	}
	if (rc)
		adtool_image_free(result);
	else
		*out = result;
	return rc;
}

/* -- tensors ----------------------------------------------------------------------------------------- */

static int make_values(const adtool_preprocessing *p, float value[3][256], adtool_error *err)
{
	int c, s;

	for (c = 0; c < 3; c++) {
		double mean = p->mean[c], std = p->std[c];

		if (!isfinite(mean) || !isfinite(std) || !(std > 0) || !isfinite(p->range) || !(p->range > 0))
			return ad_fail(err, ADTOOL_EINVAL, "preprocessing: range %g, mean %g, std %g of channel %d",
				       p->range, mean, std, c);
		for (s = 0; s < 256; s++)
			value[c][s] = (float)((s * ((double)p->range / 255) - mean) / std);
	}
	return 0;
}

static int check_tensor(unsigned width, unsigned height, adtool_error *err)
{
	if (width && height && width <= AD_MAX_SIDE && height <= AD_MAX_SIDE)
		return 0;
	return ad_fail(err, ADTOOL_EINVAL, "a picture cannot be resized to %u x %u pixels (1 .. %u a side)", width,
		       height, AD_MAX_SIDE);
}

int ad_image_to_tensor(const adtool_image *image, const adtool_preprocessing *p, unsigned width, unsigned height,
		       float *tensor, adtool_error *err)
{
	float value[3][256];
	struct resizer r = {.tensor = tensor, .value = (const float (*)[256])value, .bgr = p->bgr};
	int rc = make_values(p, value, err);

	if (!rc)
		rc = check_tensor(width, height, err);
	if (!rc)
		rc = resizer_init(&r, image->width, image->height, width, height, err);
	if (!rc)
		resizer_put(&r, image->pixels, 0, image->height);
	resizer_release(&r);
	return rc;
}

/* A file that becomes a tensor. */
struct tensor_job {
	struct resizer resizer;
	unsigned width, height;                 /* of the tensor */
	unsigned picture_width, picture_height; /* upright */
	ad_upright turned; /* with an image: of pictures that do not lie upright, whose rows must all be there first */
};

static int tensor_begin(void *context, unsigned width, unsigned height, int orientation, adtool_error *err)
{
	struct tensor_job *job = context;

	job->picture_width = orientation >= 5 ? height : width;
	job->picture_height = orientation >= 5 ? width : height;
	if (orientation != 1)
		return ad_upright_init(&job->turned, width, height, orientation, err);
	return resizer_init(&job->resizer, width, height, job->width, job->height, err);
}

static void tensor_put(void *context, const uint8_t *rows, unsigned y, unsigned n)
{
	struct tensor_job *job = context;

	if (job->turned.image)
		ad_upright_put(&job->turned, rows, y, n);
	else
		resizer_put(&job->resizer, rows, y, n);
}

int ad_image_file_to_tensor(const void *data, size_t size, const adtool_image_options *options,
			    const adtool_preprocessing *p, unsigned width, unsigned height, float *tensor,
			    unsigned *picture_width, unsigned *picture_height, adtool_error *err)
{
	float value[3][256];
	struct tensor_job job = {.resizer = {.tensor = tensor, .value = (const float(*)[256])value, .bgr = p->bgr},
				 .width = width,
				 .height = height};
	const ad_rows rows = {.usual_limit = 1, .begin = tensor_begin, .put = tensor_put, .context = &job};
	int rc = make_values(p, value, err);

	if (!rc)
		rc = check_tensor(width, height, err);
	if (!rc)
		rc = ad_image_decode_rows(data, size, options, &rows, err);
	if (!rc && job.turned.image)
		rc = ad_image_to_tensor(job.turned.image, p, width, height, tensor, err);
	resizer_release(&job.resizer);
	adtool_image_free(job.turned.image);
	if (!rc) {
		*picture_width = job.picture_width;
		*picture_height = job.picture_height;
	}
	return rc;
}
