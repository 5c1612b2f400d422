/*
 * Geometry: which part of a picture is looked at, and how it becomes the input of a network. A model keeps its own, so
 * that pictures are scored as they were learned.
 */
#ifndef ADTOOL_GEOMETRY_H
#define ADTOOL_GEOMETRY_H

#include <adtool/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a picture of another shape becomes the input. */
enum adtool_fit {
	/* Resized in both directions, whatever that does to its shape. */
	ADTOOL_STRETCH = 0,
	/* Resized in its shape until it just fits, centred; what stays free is the backbone's mean. */
	ADTOOL_LETTERBOX = 1,
	/* Its centre, the largest that has the input's shape, is resized; the rest is not looked at. */
	ADTOOL_CROP = 2
};

/* All zero: the whole picture, stretched. */
typedef struct adtool_geometry {
	enum adtool_fit fit;
	/*
	 * 0, 0: pictures are not cut. Else tiles of tile_width x tile_height pixels (1 .. 4096), at 0, s, 2 s, ... in
	 * both directions, s = side - tile_overlap, while they lie inside; what is left at the end gets one more tile
	 * that ends where the picture does. A picture shorter than a tile gets one, filled up with the backbone's mean
	 * at its right or lower end. Each tile is resized to the input; fit must be ADTOOL_STRETCH. tile_overlap: less
	 * than either side.
	 */
	unsigned tile_width, tile_height, tile_overlap;
	/*
	 * The region of interest: all else of a picture is cut away before anything is done with it. All 0: the whole
	 * picture. Upright pixels from the upper left corner, whole numbers; or, with roi_percent, percent of width and
	 * height, rounded to whole pixels. A picture that it reaches beyond is refused.
	 */
	double roi_x, roi_y, roi_width, roi_height;
	int roi_percent;
	unsigned background; /* 0xRRGGBB, sRGB: what shows where a picture is transparent; 0: black */
} adtool_geometry;

/* "stretch", as manifests and commands write it. */
ADTOOL_API const char *adtool_fit_name(enum adtool_fit fit);

/* ADTOOL_EINVAL for what no picture can have. */
ADTOOL_API int adtool_geometry_check(const adtool_geometry *geometry, adtool_error *err);

/* Most tiles that one picture is cut into; one that needs more is refused. */
#define ADTOOL_MAX_TILES 65536u

#ifdef __cplusplus
}
#endif
#endif
