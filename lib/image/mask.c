/* Masks: what of a picture is looked at. */
#include "fit.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "internal.h"

int ad_mask_create(const adtool_image *image, ad_mask **out, adtool_error *err)
{
	size_t n = (size_t)image->width * image->height, i, white = 0;
	ad_mask *mask;

	if (image->width > AD_MASK_SIDE || image->height > AD_MASK_SIDE)
		return ad_fail(err, ADTOOL_ELIMIT, "%u x %u pixels: a side is longer than the limit of %u",
			       image->width, image->height, AD_MASK_SIDE);
	mask = ad_calloc(1, sizeof(*mask));
	if (mask)
		mask->white = ad_malloc(n);
	if (!mask || !mask->white) {
		ad_mask_free(mask);
		return ad_fail_nomem(err);
	}
	mask->width = image->width;
	mask->height = image->height;
	for (i = 0; i < n; i++) {
		const uint8_t *p = image->pixels + 3 * i;

		mask->white[i] = (77u * p[0] + 150u * p[1] + 29u * p[2] + 128) >> 8 > 127;
		white += mask->white[i];
	}
	if (!white) {
		ad_mask_free(mask);
		return ad_fail(err, ADTOOL_EINVAL, "it has no white, so nothing would be looked at");
	}
	*out = mask;
	return 0;
}

void ad_mask_free(ad_mask *mask)
{
	if (!mask)
		return;
	ad_free(mask->white);
	ad_free(mask);
}

int ad_mask_image(const ad_mask *mask, adtool_image **out, adtool_error *err)
{
	size_t n = (size_t)mask->width * mask->height, i;
	adtool_image *image;
	int code = adtool_image_create(mask->width, mask->height, &image, err);

	if (code)
		return code;
	for (i = 0; i < n; i++)
		memset(image->pixels + 3 * i, mask->white[i] ? 255 : 0, 3);
	*out = image;
	return 0;
}

/* Where the centre of pixel i of n lies among m. */
static unsigned place(unsigned i, unsigned n, unsigned m)
{
	return (unsigned)((2 * (uint64_t)i + 1) * m / (2 * (uint64_t)n));
}

int ad_mask_at(const ad_mask *mask, unsigned width, unsigned height, unsigned x, unsigned y)
{
	return mask->white[(size_t)place(y, height, mask->height) * mask->width + place(x, width, mask->width)];
}

void ad_mask_hide(const ad_mask *mask, unsigned width, unsigned height, unsigned y, float hidden, float *values)
{
	const uint8_t *row = mask->white + (size_t)place(y, height, mask->height) * mask->width;
	unsigned x;

	for (x = 0; x < width; x++)
		if (!row[place(x, width, mask->width)])
			values[x] = hidden;
}

int ad_mask_sees(const ad_mask *mask, unsigned width, unsigned height, const ad_area *area)
{
	unsigned x, y;

	for (y = 0; y < area->height; y++) {
		const uint8_t *row = mask->white + (size_t)place(area->y + y, height, mask->height) * mask->width;

		for (x = 0; x < area->width; x++)
			if (row[place(area->x + x, width, mask->width)])
				return 1;
	}
	return 0;
}

int ad_mask_check(const ad_mask *mask, unsigned width, unsigned height, adtool_error *err)
{
	uint64_t a = (uint64_t)width * mask->height, b = (uint64_t)height * mask->width;
	uint64_t sides = (uint64_t)width + height, own = (uint64_t)mask->width + mask->height;

	if (2 * (a > b ? a - b : b - a) <= (sides > own ? sides : own))
		return 0;
	return ad_fail(err, ADTOOL_EINVAL, "%u x %u pixels do not have the shape of the model's mask of %u x %u", width,
		       height, mask->width, mask->height);
}

void ad_mask_paint(const ad_mask *mask, unsigned width, unsigned height, unsigned x, unsigned y, adtool_image *part,
		   const uint8_t colour[3])
{
	uint8_t *to = part->pixels;
	unsigned i, j;

	for (j = 0; j < part->height; j++) {
		const uint8_t *row = mask->white + (size_t)place(y + j, height, mask->height) * mask->width;

		for (i = 0; i < part->width; i++, to += 3)
			if (!row[place(x + i, width, mask->width)])
				memcpy(to, colour, 3);
	}
}
