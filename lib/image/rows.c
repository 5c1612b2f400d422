/* Pictures handed over row by row. */
#include "internal.h"

#include "../base/fail.h"

static uint64_t row_limit(const adtool_image_options *options)
{
	if (options->rows->usual_limit)
		return options->max_pixels;
	if (!options->rows->max_pixels || options->rows->max_pixels == ADTOOL_MAX_PIXELS_DEFAULT)
		return ADTOOL_MAX_PIXELS_TILED_DEFAULT;
	return options->rows->max_pixels;
}

int ad_image_check_stream(uint64_t width, uint64_t height, const adtool_image_options *options, adtool_error *err)
{
	return options->rows ? ad_image_check_pixels(width, height, row_limit(options), err)
			     : ad_image_check_size(width, height, options, err);
}

int ad_upright_stream(ad_upright *u, const adtool_image_options *options, unsigned width, unsigned height,
		      int orientation, adtool_error *err)
{
	const ad_rows *rows = options->rows;

	if (!rows)
		return ad_upright_init(u, width, height, orientation, err);
	*u = (ad_upright){.rows = rows, .width = width};
	return rows->begin(rows->context, width, height, orientation, err);
}

int ad_image_rows(const adtool_image *image, const ad_rows *rows, adtool_error *err)
{
	int code = rows->begin(rows->context, image->width, image->height, 1, err);

	if (!code)
		rows->put(rows->context, image->pixels, 0, image->height);
	return code;
}

int ad_image_decode_rows(const void *data, size_t size, const adtool_image_options *options, const ad_rows *rows,
			 adtool_error *err)
{
	adtool_image_options o = *options;
	adtool_image *image = NULL;
	int code;

	o.rows = rows;
	code = adtool_image_decode_with(data, size, &o, &image, err);
	if (!code && image)
		code = ad_image_rows(image, rows, err);
	adtool_image_free(image);
	return code;
}
