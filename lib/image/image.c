#include "internal.h"

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"

#include <inttypes.h>

/* No picture file needs more; it bounds what a mistaken path can load. */
#define FILE_LIMIT ((uint64_t)1 << 30)

int ad_image_alloc(unsigned width, unsigned height, adtool_image **out, adtool_error *err)
{
	adtool_image *image = ad_malloc(sizeof(*image));
	uint64_t pixels = (uint64_t)width * height;

	if (!image)
		return ad_fail_nomem(err);
	image->width = width;
	image->height = height;
	image->pixels = pixels > SIZE_MAX / 3 - AD_BEHIND ? NULL : ad_malloc((size_t)pixels * 3 + AD_BEHIND);
	if (!image->pixels) {
		ad_free(image);
		return ad_fail(err, ADTOOL_ENOMEM, "out of memory for a picture of %u x %u pixels", width, height);
	}
	memset(image->pixels + (size_t)pixels * 3, 0, AD_BEHIND);
	*out = image;
	return 0;
}

int ad_image_check_pixels(uint64_t width, uint64_t height, uint64_t max_pixels, adtool_error *err)
{
	if (!max_pixels)
		max_pixels = ADTOOL_MAX_PIXELS_DEFAULT;
	if (!width || !height)
		return ad_fail(err, ADTOOL_EFORMAT, "a picture of %" PRIu64 " x %" PRIu64 " pixels has none", width,
			       height);
	if (width > AD_MAX_SIDE || height > AD_MAX_SIDE)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "%" PRIu64 " x %" PRIu64 " pixels: a side is longer than the limit of %u", width, height,
			       AD_MAX_SIDE);
	if (width * height > max_pixels)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "%" PRIu64 " x %" PRIu64 " pixels are more than the limit of %" PRIu64
			       " pixels (--max-pixels)",
			       width, height, max_pixels);
	return 0;
}

int ad_image_check_size(uint64_t width, uint64_t height, const adtool_image_options *options, adtool_error *err)
{
	int code = ad_image_check_pixels(width, height, options->max_pixels, err);

	if (!code && options->whole_pixels && width * height > options->whole_pixels)
		code = ad_fail(err, ADTOOL_ELIMIT,
			       "%" PRIu64 " x %" PRIu64 " pixels need more memory than is allowed, which is enough for %" PRIu64
			       " pixels (--memory)",
			       width, height, options->whole_pixels);
	return code;
}

int adtool_image_create(unsigned width, unsigned height, adtool_image **out, adtool_error *err)
{
	adtool_image *image;
	int rc;

	if (!width || !height || width > AD_MAX_SIDE || height > AD_MAX_SIDE)
		return ad_fail(err, ADTOOL_EINVAL, "a picture cannot be %u x %u pixels (1 .. %u a side)", width, height,
			       AD_MAX_SIDE);
	rc = ad_image_alloc(width, height, &image, err);
	if (rc)
		return rc;
	memset(image->pixels, 0, (size_t)3 * width * height);
	*out = image;
	return 0;
}

int adtool_image_read(const char *path, const adtool_image_options *options, adtool_image **out, adtool_error *err)
{
	ad_buf file = {0};
	int rc = ad_file_read(path, FILE_LIMIT, &file, err);

	if (!rc)
		rc = adtool_image_decode_with(file.data, file.size, options, out, err);
	ad_buf_release(&file);
	return rc;
}

unsigned adtool_image_width(const adtool_image *image)
{
	return image->width;
}

unsigned adtool_image_height(const adtool_image *image)
{
	return image->height;
}

uint8_t *adtool_image_pixels(adtool_image *image)
{
	return image->pixels;
}

int adtool_image_write_png(const adtool_image *image, const char *path, adtool_error *err)
{
	ad_buf png = {0};
	int rc = ad_png_encode(image, &png, err);

	if (!rc)
		rc = ad_file_write(path, png.data, png.size, err);
	ad_buf_release(&png);
	return rc;
}

void adtool_image_free(adtool_image *image)
{
	if (!image)
		return;
	ad_free(image->pixels);
	ad_free(image);
}
