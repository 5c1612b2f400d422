/* The image room, as lib/pipeline.c uses it. */
#ifndef AD_IMAGE_H
#define AD_IMAGE_H

#include <adtool/backbone.h>
#include <adtool/image.h>

#include "../base/buf.h"

/* Resizes as adtool_image_resize and normalises into tensor: 3 x height x width floats (CHW). */
int ad_image_to_tensor(const adtool_image *image, const adtool_preprocessing *p, unsigned width, unsigned height,
                       float *tensor, adtool_error *err);

/*
 * Draws a residual map over a picture. map: rows x cols of residuals >= 0, row-major, covering the whole
 * picture; upsampled smoothly to its size. level: the residual at which heat begins to be
 * remarkable; one colour scale for all pictures follows from it, so a normal picture looks calm.
 */
typedef struct ad_heat {
	const float *map;
	unsigned rows, cols;
	double level;
} ad_heat;

/* The heat map alone, at width x height, with a legend below. */
int ad_heat_map(const ad_heat *heat, unsigned width, unsigned height, adtool_image **out, adtool_error *err);

/* The picture with the heat over it, a contour at the level, and the legend below. */
int ad_heat_overlay(const ad_heat *heat, const adtool_image *picture, adtool_image **out, adtool_error *err);

/* The map upsampled as the two above draw it: out has width * height values. */
int ad_heat_upsample(const ad_heat *heat, unsigned width, unsigned height, float *out, adtool_error *err);

/* PNG bytes. */
int ad_png_encode(const adtool_image *image, ad_buf *out, adtool_error *err);

#endif
