/* The image room, as lib/pipeline uses it. */
#ifndef AD_IMAGE_H
#define AD_IMAGE_H

#include <adtool/backbone.h>
#include <adtool/image.h>
#include <adtool/region.h>

#include "../base/buf.h"
#include "fit.h"

/* The format whose magic the bytes begin with ("JPEG", "GIF", ...), whether adtool reads it or not; NULL: unknown. */
const char *ad_image_sniff(const void *data, size_t size);

/* Resizes as adtool_image_resize and normalises into tensor: 3 x height x width floats (CHW). */
int ad_image_to_tensor(const adtool_image *image, const adtool_preprocessing *p, unsigned width, unsigned height,
		       float *tensor, adtool_error *err);

/*
 * The same of a picture file, to the same bits; decoded as by adtool_image_decode_with. What lies upright and comes row
 * by row (see ad_image_decode_rows) is never in memory whole. The sizes are those of the upright picture.
 */
int ad_image_file_to_tensor(const void *data, size_t size, const adtool_image_options *options,
			    const adtool_preprocessing *p, unsigned width, unsigned height, float *tensor,
			    unsigned *picture_width, unsigned *picture_height, adtool_error *err);

/*
 * A residual map to draw. map: rows x cols of finite residuals >= 0, row-major, covering the whole picture, unless a
 * view says where it lies; what that has not seen counts as 0, and is drawn as such. level
 * (1e-35 .. 1e35): the residual at which heat begins to be remarkable. One colour scale for all pictures follows
 * from it: a colour stands for a ratio to the level; calm and linear up to it, hot and logarithmic from it to 8 times
 * it, the same beyond. Lightness rises all along, so that it reads the same without colour vision.
 *
 * Drawings have the picture's size plus a strip below with the legend. A picture narrower than 160 pixels is drawn
 * enlarged by the least whole factor that gives 160, while it stays at most 1024 high; what is narrower still stands
 * centred on 160 pixels.
 */
typedef struct ad_heat {
	const float *map;
	unsigned rows, cols;
	double level;
	const ad_view *view; /* may be NULL */
} ad_heat;

/* The heat map alone, with the legend. ADTOOL_EINVAL for a level out of range, ADTOOL_ENUMERIC for such residuals. */
int ad_heat_map(const ad_heat *heat, unsigned width, unsigned height, adtool_image **out, adtool_error *err);

/* The picture with the heat over it, a contour at the level, and the legend below. */
int ad_heat_overlay(const ad_heat *heat, const adtool_image *picture, adtool_image **out, adtool_error *err);

/* The same without the legend, and never enlarged: exactly the picture's size. */
int ad_heat_cover(const ad_heat *heat, const adtool_image *picture, adtool_image **out, adtool_error *err);

/*
 * The map upsampled as the two above draw it, taken at the pixels' centres: out has width * height values. Cubic
 * between the centres of the cells, constant beyond the outer ones; through the cells' values, and between
 * those of the neighbours everywhere.
 */
int ad_heat_upsample(const ad_heat *heat, unsigned width, unsigned height, float *out, adtool_error *err);

/*
 * The same row by row, from the top; the values live until the callback returns, and what it returns other than 0 ends
 * the work and is returned (the callback fills err then).
 */
int ad_heat_rows(const ad_heat *heat, unsigned width, unsigned height,
		 int (*row)(void *context, unsigned y, const float *values), void *context, adtool_error *err);

/*
 * A small JPEG of the picture for a report: resized so that its longer side is `side` pixels (at most 8 times
 * enlarged), with the heat over it when heat is not NULL. The same picture gives the same bytes.
 */
int ad_image_thumbnail(const adtool_image *image, const ad_heat *heat, unsigned side, ad_buf *out, adtool_error *err);

/* As adtool_regions_find, above heat->level. */
int ad_regions_find(const ad_heat *heat, unsigned width, unsigned height, adtool_region **out, size_t *count,
		    adtool_error *err);

/* Appends the picture as baseline JPEG of a quality of 1 .. 100; sides above 65500 are refused. */
int ad_jpeg_encode(const adtool_image *image, int quality, ad_buf *out, adtool_error *err);

/* Appends the picture as PNG (8-bit RGB); the same picture gives the same bytes. */
int ad_png_encode(const adtool_image *image, ad_buf *out, adtool_error *err);

/* The same for drawings of even colour: many times as fast; larger where neighbouring rows differ. */
int ad_png_encode_runs(const adtool_image *image, ad_buf *out, adtool_error *err);

#endif
