/*
 * Regions: the connected areas of a picture where its residual map is above a level, in the picture's own pixels.
 */
#ifndef ADTOOL_REGION_H
#define ADTOOL_REGION_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct adtool_region {
	unsigned x, y, width, height; /* the smallest upright box around it; x to the right, y down, from 0 */
	uint64_t area;                /* its pixels */
	double share;                 /* of the picture's pixels, 0 .. 1 */
	double peak;                  /* the largest residual in it */
	unsigned peak_x, peak_y;      /* where that is: the first such pixel, row by row */
} adtool_region;

/*
 * The map (rows x cols of finite residuals >= 0, row-major) is upsampled to width x height as adtool_map_upsample does
 * it, and pixels above `level` that touch, be it at a corner, make a region. The highest peak comes first, of equal
 * ones the upper, then the left one. *out (released with adtool_free) is NULL when *count is 0. Memory does not grow
 * with the picture's area, but with the length of a row and the number of regions.
 */
ADTOOL_API int adtool_regions_find(const float *map, unsigned rows, unsigned cols, unsigned width, unsigned height,
				   double level, adtool_region **out, size_t *count, adtool_error *err);

#ifdef __cplusplus
}
#endif
#endif
