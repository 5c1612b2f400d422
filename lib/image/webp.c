/* WebP through libwebp; of an animation the first frame, through libwebpdemux. */
#include "internal.h"

#ifdef AD_SONAME_WEBP

#include "../base/fail.h"
#include "../base/lazy.h"
#include "../base/mem.h"

#include <webp/decode.h>
#include <webp/demux.h>

#define SYMBOLS(X) \
	X(WebPGetFeaturesInternal) \
	X(WebPDecodeRGBInto) \
	X(WebPDecodeRGBAInto)

#define ANIMATION_SYMBOLS(X) \
	X(WebPAnimDecoderOptionsInitInternal) \
	X(WebPAnimDecoderNewInternal) \
	X(WebPAnimDecoderGetNext) \
	X(WebPAnimDecoderDelete)

typedef struct api {
	SYMBOLS(AD_LAZY_MEMBER)
} api;

typedef struct animation_api {
	ANIMATION_SYMBOLS(AD_LAZY_MEMBER)
} animation_api;

struct job {
	api api;
	const uint8_t *data;
	size_t size;
	WebPBitstreamFeatures features;
	ad_profile profile;
	int orientation;
	adtool_error *err;
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The container's chunks: the profile, and the orientation. */
static int walk(struct job *job)
{
	const uint8_t *d = job->data;
	size_t end = get32(d + 4), at = 12;

	if (end > job->size - 8)
		return ad_fail(job->err, ADTOOL_EFORMAT, "truncated WebP: %zu bytes of %zu", job->size, end + 8);
	end += 8;
	while (at < end && end - at >= 8) {
		size_t n = get32(d + at + 4);
		const uint8_t *bytes = d + at + 8;

		if (n > end - at - 8)
			break;
		if (memcmp(d + at, "ICCP", 4) == 0 && !job->profile.icc) {
			job->profile.icc = bytes;
			job->profile.size = n;
		} else if (memcmp(d + at, "EXIF", 4) == 0) {
			int prefix = n >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0 ? 6 : 0;

			job->orientation = ad_exif_orientation(bytes + prefix, n - (size_t)prefix);
		}
		at += 8 + n + (n & 1);
	}
	return 0;
}

static int damaged(const struct job *job)
{
	return ad_fail(job->err, ADTOOL_EFORMAT, "damaged or truncated WebP");
}

/* rgba: the first frame of an animation on its canvas. */
static int decode_frame(const struct job *job, uint8_t *rgba, size_t bytes)
{
	static const char *const names[] = {ANIMATION_SYMBOLS(AD_LAZY_NAME)};
	const WebPData data = {job->data, job->size};
	WebPAnimDecoderOptions options;
	WebPAnimDecoder *decoder;
	animation_api x;
	uint8_t *frame;
	int time, rc;

	_Static_assert(sizeof(names) == sizeof(x), "the table holds function pointers only");
	rc = ad_lazy_resident(AD_SONAME_WEBPDEMUX, names, sizeof(names) / sizeof(names[0]), &x, job->err);
	if (rc)
		return rc;
	if (!x.WebPAnimDecoderOptionsInitInternal(&options, WEBP_DEMUX_ABI_VERSION))
		return ad_fail(job->err, ADTOOL_EUNSUPPORTED, "WebP: libwebpdemux is not the one adtool was built for");
	options.color_mode = MODE_RGBA;
	decoder = x.WebPAnimDecoderNewInternal(&data, &options, WEBP_DEMUX_ABI_VERSION);
	if (!decoder)
		return damaged(job);
	if (x.WebPAnimDecoderGetNext(decoder, &frame, &time))
		memcpy(rgba, frame, bytes);
	else
		rc = damaged(job);
	x.WebPAnimDecoderDelete(decoder);
	return rc;
}

static int decode(const struct job *job, const adtool_image_options *options, adtool_image **out)
{
	unsigned width = (unsigned)job->features.width, height = (unsigned)job->features.height, y;
	int animated = job->features.has_animation, alpha = animated || job->features.has_alpha;
	const ad_layout layout = {
	    .colours = 3, .depth = 8, .alpha = alpha ? AD_STRAIGHT : AD_OPAQUE, .pixels = (uint64_t)width * height};
	size_t pitch = (size_t)width * (alpha ? 4 : 3), bytes = pitch * height;
	ad_upright upright = {0};
	ad_convert convert = {0};
	uint8_t *pixels = NULL, *rgb = NULL, *to;
	int direct, rc;

	rc = ad_convert_init(&convert, &layout, &job->profile, options, job->err);
	if (!rc)
		rc = ad_upright_init(&upright, width, height, job->orientation, job->err);
	if (rc)
		goto out;
	direct = !ad_convert_works(&convert) && job->orientation == 1;
	if (!direct) {
		pixels = ad_malloc(bytes);
		rgb = ad_malloc_array((size_t)width * AD_UPRIGHT_ROWS, 3);
		if (!pixels || !rgb) {
			rc = ad_fail_nomem(job->err);
			goto out;
		}
	}
	to = direct ? upright.image->pixels : pixels;
	if (animated)
		rc = decode_frame(job, to, bytes);
	else if (!(alpha ? job->api.WebPDecodeRGBAInto : job->api.WebPDecodeRGBInto)(job->data, job->size, to, bytes,
										    (int)pitch))
		rc = damaged(job);
	for (y = 0; y < height && !rc && !direct; y += AD_UPRIGHT_ROWS) {
		unsigned n = height - y < AD_UPRIGHT_ROWS ? height - y : AD_UPRIGHT_ROWS;

		ad_convert_rows(&convert, pixels + y * pitch, rgb, (size_t)n * width);
		ad_upright_put(&upright, rgb, y, n);
	}
out:
	ad_convert_release(&convert);
	ad_free(pixels);
	ad_free(rgb);
	if (rc)
		adtool_image_free(upright.image);
	else
		*out = upright.image;
	return rc;
}

int ad_webp_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		   adtool_error *err)
{
	static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};
	struct job job = {.data = data, .size = size, .orientation = 1, .err = err};
	int rc;

	_Static_assert(sizeof(names) == sizeof(api), "the table holds function pointers only");
	rc = walk(&job);
	if (!rc)
		rc = ad_lazy_resident(AD_SONAME_WEBP, names, sizeof(names) / sizeof(names[0]), &job.api, err);
	if (rc)
		return rc;
	if (job.api.WebPGetFeaturesInternal(data, size, &job.features, WEBP_DECODER_ABI_VERSION) != VP8_STATUS_OK)
		return damaged(&job);
	rc = ad_image_check_size((uint64_t)job.features.width, (uint64_t)job.features.height, options, err);
	return rc ? rc : decode(&job, options, out);
}

#endif
