/* JPEG XL through libjxl: the first frame, turned as the file says. What it allocates is limited. */
#include "internal.h"

#ifdef AD_SONAME_JXL

#include "../base/fail.h"
#include "../base/lazy.h"
#include "../base/mem.h"

#include <jxl/decode.h>

#define SYMBOLS(X) \
	X(JxlDecoderCreate) \
	X(JxlDecoderDestroy) \
	X(JxlDecoderSubscribeEvents) \
	X(JxlDecoderSetUnpremultiplyAlpha) \
	X(JxlDecoderSetInput) \
	X(JxlDecoderCloseInput) \
	X(JxlDecoderProcessInput) \
	X(JxlDecoderGetBasicInfo) \
	X(JxlDecoderSetPreferredColorProfile) \
	X(JxlDecoderGetICCProfileSize) \
	X(JxlDecoderGetColorAsICCProfile) \
	X(JxlDecoderImageOutBufferSize) \
	X(JxlDecoderSetImageOutBuffer)

typedef struct api {
	SYMBOLS(AD_LAZY_MEMBER)
} api;

/* Blocks carry their size, so that the sum is known; the same alignment as malloc's. */
enum { BLOCK_HEAD = 16 };

/*
 * What decoding may take: some 10 bytes a pixel are usual, many layers take more; and what is there whatever the size.
 */
enum { BYTES_A_PIXEL = 160, BYTES_ANYHOW = 256 << 20 };

struct job {
	api api;
	JxlDecoder *decoder;
	JxlBasicInfo info;
	uint64_t used, limit; /* bytes that the decoder has taken, and may */
	int exceeded;
	uint8_t *icc;
	ad_profile profile;
	ad_layout layout;
	uint8_t *pixels;
	const adtool_image_options *options;
	size_t size;
	adtool_error *err;
};

static void *on_alloc(void *opaque, size_t n)
{
	struct job *job = opaque;
	uint8_t *block;

	if (n > SIZE_MAX - BLOCK_HEAD || n > job->limit - job->used) {
		job->exceeded = 1;
		return NULL;
	}
	block = ad_malloc(n + BLOCK_HEAD);
	if (!block)
		return NULL;
	job->used += n;
	memcpy(block, &n, sizeof(n));
	return block + BLOCK_HEAD;
}

static void on_free(void *opaque, void *address)
{
	struct job *job = opaque;
	uint8_t *block = address;
	size_t n;

	if (!block)
		return;
	block -= BLOCK_HEAD;
	memcpy(&n, block, sizeof(n));
	job->used -= n;
	ad_free(block);
}

static int damaged(const struct job *job)
{
	if (job->exceeded)
		return ad_fail(job->err, ADTOOL_ELIMIT, "JPEG XL: decoding it would take more than %llu bytes",
			       (unsigned long long)job->limit);
	return ad_fail(job->err, ADTOOL_EFORMAT, "damaged JPEG XL");
}

static int take_info(struct job *job)
{
	uint64_t pixels;
	int rc;

	if (job->api.JxlDecoderGetBasicInfo(job->decoder, &job->info) != JXL_DEC_SUCCESS)
		return damaged(job);
	rc = ad_image_check_size(job->info.xsize, job->info.ysize, job->options, job->err);
	if (rc)
		return rc;
	pixels = (uint64_t)job->info.xsize * job->info.ysize;
	job->limit = BYTES_ANYHOW + pixels * BYTES_A_PIXEL;
	job->layout.pixels = pixels;
	job->layout.colours = job->info.num_color_channels;
	job->layout.alpha = job->info.alpha_bits ? AD_STRAIGHT : AD_OPAQUE;
	job->layout.depth = job->info.bits_per_sample > 8 ? 16 : 8;
	if (job->layout.colours != 1 && job->layout.colours != 3)
		return damaged(job);
	return 0;
}

/* Where the decoder has a choice, sRGB; else the pixels come with what they are. */
static int take_colours(struct job *job)
{
	const api *x = &job->api;
	JxlColorEncoding srgb = {
	    .color_space = job->layout.colours == 1 ? JXL_COLOR_SPACE_GRAY : JXL_COLOR_SPACE_RGB,
	    .white_point = JXL_WHITE_POINT_D65,
	    .primaries = JXL_PRIMARIES_SRGB,
	    .transfer_function = JXL_TRANSFER_FUNCTION_SRGB,
	    .rendering_intent = JXL_RENDERING_INTENT_PERCEPTUAL,
	};
	size_t n;

	if (!job->info.uses_original_profile)
		(void)x->JxlDecoderSetPreferredColorProfile(job->decoder, &srgb);
	if (x->JxlDecoderGetICCProfileSize(job->decoder, NULL, JXL_COLOR_PROFILE_TARGET_DATA, &n) != JXL_DEC_SUCCESS ||
	    !n)
		return 0;
	ad_free(job->icc);
	job->icc = ad_malloc(n);
	if (!job->icc)
		return ad_fail_nomem(job->err);
	if (x->JxlDecoderGetColorAsICCProfile(job->decoder, NULL, JXL_COLOR_PROFILE_TARGET_DATA, job->icc, n) ==
	    JXL_DEC_SUCCESS) {
		job->profile.icc = job->icc;
		job->profile.size = n;
	}
	return 0;
}

static int give_buffer(struct job *job)
{
	JxlPixelFormat format = {
	    .num_channels = job->layout.colours + (job->layout.alpha != AD_OPAQUE),
	    .data_type = job->layout.depth == 16 ? JXL_TYPE_UINT16 : JXL_TYPE_UINT8,
	    .endianness = JXL_NATIVE_ENDIAN,
	};
	uint64_t wanted = (uint64_t)job->info.xsize * job->info.ysize * format.num_channels * job->layout.depth / 8;
	size_t n;

	if (job->api.JxlDecoderImageOutBufferSize(job->decoder, &format, &n) != JXL_DEC_SUCCESS || n != wanted)
		return damaged(job);
	ad_free(job->pixels);
	job->pixels = ad_malloc(n);
	if (!job->pixels)
		return ad_fail_nomem(job->err);
	if (job->api.JxlDecoderSetImageOutBuffer(job->decoder, &format, job->pixels, n) != JXL_DEC_SUCCESS)
		return damaged(job);
	return 0;
}

static int run(struct job *job, const uint8_t *data)
{
	const api *x = &job->api;
	int rc = 0;

	x->JxlDecoderSubscribeEvents(job->decoder, JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING | JXL_DEC_FULL_IMAGE);
	x->JxlDecoderSetUnpremultiplyAlpha(job->decoder, JXL_TRUE);
	if (x->JxlDecoderSetInput(job->decoder, data, job->size) != JXL_DEC_SUCCESS)
		return damaged(job);
	x->JxlDecoderCloseInput(job->decoder);
	while (!rc) {
		switch (x->JxlDecoderProcessInput(job->decoder)) {
		case JXL_DEC_BASIC_INFO:
			rc = take_info(job);
			break;
		case JXL_DEC_COLOR_ENCODING:
			rc = take_colours(job);
			break;
		case JXL_DEC_NEED_IMAGE_OUT_BUFFER:
			rc = job->layout.depth ? give_buffer(job) : damaged(job);
			break;
		case JXL_DEC_FULL_IMAGE:
			return job->pixels ? 0 : damaged(job);
		case JXL_DEC_NEED_MORE_INPUT:
			return ad_fail(job->err, ADTOOL_EFORMAT,
				       "truncated JPEG XL: its %zu bytes end before the picture does", job->size);
		case JXL_DEC_SUCCESS:
			return ad_fail(job->err, ADTOOL_EFORMAT, "damaged JPEG XL: it holds no picture");
		default:
			return damaged(job);
		}
	}
	return rc;
}

static int put_rows(struct job *job, adtool_image **out)
{
	unsigned width = job->info.xsize, height = job->info.ysize, y;
	size_t pitch = (size_t)width * (job->layout.colours + (job->layout.alpha != AD_OPAQUE)) * job->layout.depth / 8;
	adtool_image *image = NULL;
	ad_convert convert = {0};
	int rc = ad_convert_init(&convert, &job->layout, &job->profile, job->options, job->err);

	if (!rc)
		rc = ad_image_alloc(width, height, &image, job->err);
	for (y = 0; y < height && !rc; y++)
		ad_convert_rows(&convert, job->pixels + y * pitch, image->pixels + (size_t)3 * width * y, width);
	ad_convert_release(&convert);
	if (!rc)
		*out = image;
	return rc;
}

static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};
_Static_assert(sizeof(names) == sizeof(api), "the table holds function pointers only");

static int open_library(api *x, adtool_error *err)
{
	return ad_lazy_resident(AD_SONAME_JXL, names, sizeof(names) / sizeof(names[0]), x, err);
}

int ad_jxl_prepare(adtool_error *err)
{
	api x;

	ad_icc_prepare();
	return open_library(&x, err);
}

int ad_jxl_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		  adtool_error *err)
{
	struct job job = {.options = options, .size = size, .limit = BYTES_ANYHOW, .err = err};
	const JxlMemoryManager memory = {.opaque = &job, .alloc = on_alloc, .free = on_free};
	int rc = open_library(&job.api, err);

	if (rc)
		return rc;
	job.decoder = job.api.JxlDecoderCreate(&memory);
	if (!job.decoder)
		return ad_fail_nomem(err);
	rc = run(&job, data);
	job.api.JxlDecoderDestroy(job.decoder);
	if (!rc)
		rc = put_rows(&job, out);
	ad_free(job.icc);
	ad_free(job.pixels);
	return rc;
}

#endif
