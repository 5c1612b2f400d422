/* The image room, geometry: parts of pictures, how they become inputs, and where maps lie on pictures. */
#ifndef AD_FIT_H
#define AD_FIT_H

#include <adtool/backbone.h>
#include <adtool/geometry.h>
#include <adtool/image.h>
#include <stddef.h>
#include <stdint.h>

/* A part of a picture, in whole pixels; never empty. */
typedef struct ad_area {
	unsigned x, y, width, height;
} ad_area;

/* -- mask.c: what of a picture is looked at -------------------------------------------------------------- */

/* The longest side of a mask. */
#define AD_MASK_SIDE 4096u

typedef struct ad_mask {
	unsigned width, height;
	uint8_t *white; /* width x height: 1 where pictures are looked at, 0 where they are not */
} ad_mask;

/* White: what is brighter than 127. Sides above AD_MASK_SIDE and masks without any white are refused. */
int ad_mask_create(const adtool_image *image, ad_mask **out, adtool_error *err);
void ad_mask_free(ad_mask *mask);
/* Black and white again. */
int ad_mask_image(const ad_mask *mask, adtool_image **out, adtool_error *err);
/* Row y of a picture of width x height pixels: sets the values of what is not looked at. */
void ad_mask_hide(const ad_mask *mask, unsigned width, unsigned height, unsigned y, float hidden, float *values);
/* Whether a picture of width x height pixels is looked at in pixel x, y: where its centre lies on the mask. */
int ad_mask_at(const ad_mask *mask, unsigned width, unsigned height, unsigned x, unsigned y);
/* Whether any pixel of an area of a picture of width x height pixels is looked at. */
int ad_mask_sees(const ad_mask *mask, unsigned width, unsigned height, const ad_area *area);
/* Whether a picture has the mask's shape: its sides, scaled and rounded to whole pixels. */
int ad_mask_check(const ad_mask *mask, unsigned width, unsigned height, adtool_error *err);
/* Paints what is not looked at. part: the pixels at x, y of a picture of width x height pixels. */
void ad_mask_paint(const ad_mask *mask, unsigned width, unsigned height, unsigned x, unsigned y, adtool_image *part,
		   const uint8_t colour[3]);

/* -- fit.c ------------------------------------------------------------------------------------------------ */

/* The region of interest of a picture; ADTOOL_EINVAL, with all figures, when it reaches beyond it. */
int ad_region_of(const adtool_geometry *g, unsigned width, unsigned height, ad_area *out, adtool_error *err);

/* The backbone's mean in 8 bits, R G B: what stands where there is no picture. */
void ad_padding_colour(const adtool_preprocessing *p, uint8_t colour[3]);

/* How an area becomes the input: a part of it is resized and placed. */
typedef struct ad_fitting {
	ad_area from;             /* in the picture's pixels */
	unsigned width, height;   /* what it is resized to, */
	unsigned left, top;       /* and where in the input that stands */
	double box[4];            /* x, y, width, height of the whole input, in the picture's pixels */
} ad_fitting;

/* width, height: of the input. */
void ad_fit_area(enum adtool_fit fit, const ad_area *area, unsigned width, unsigned height, ad_fitting *out);
/* A tile, or what there is of one: filled up to the tile's size at the right and below. */
void ad_fit_tile(const adtool_geometry *g, const ad_area *area, unsigned width, unsigned height, ad_fitting *out);

/* A copy of a part of a picture. */
int ad_image_cut(const adtool_image *image, const ad_area *area, adtool_image **out, adtool_error *err);

/* As ad_image_to_tensor. part: the pixels of f->from. */
int ad_fitting_to_tensor(const adtool_image *part, const ad_fitting *f, const adtool_preprocessing *p, unsigned width,
			 unsigned height, float *tensor, adtool_error *err);

/*
 * Where a map lies on a picture. What is not looked at has no residual: maps drawn and upsampled are 0 there.
 */
typedef struct ad_view {
	unsigned width, height; /* of the picture */
	double box[4];          /* x, y, width, height of what the map covers, in its pixels; it may reach beyond it */
	ad_area seen;           /* what was looked at, but for the mask */
	const ad_mask *mask;    /* over the whole picture; may be NULL */
} ad_view;

/*
 * The cells of a grid x grid map over the input (width x height) in which something white is seen, ascending: *cells
 * (ad_free) has *count of them, which may be none. f: how a part of a picture of picture_width x picture_height is
 * fitted.
 */
int ad_mask_cells(const ad_mask *mask, unsigned picture_width, unsigned picture_height, const ad_fitting *f,
		  unsigned width, unsigned height, unsigned grid, uint32_t **cells, size_t *count, adtool_error *err);

/* -- rows.c: pictures row by row ------------------------------------------------------------------------- */

/* Who takes the rows of a picture as they are stored, from the top. */
typedef struct ad_rows {
	/* Of pictures that need not be in memory whole; 0, or that of others: ADTOOL_MAX_PIXELS_TILED_DEFAULT. */
	uint64_t max_pixels;
	int usual_limit;     /* they have that of others instead */
	/* Before the first row: the size stored, and the EXIF orientation that turns it upright. */
	int (*begin)(void *context, unsigned width, unsigned height, int orientation, adtool_error *err);
	/* n rows of 3 * width bytes, from row y on; a few bytes behind them (AD_BEHIND) can be read. */
	void (*put)(void *context, const uint8_t *rows, unsigned y, unsigned n);
	void *context;
} ad_rows;

/*
 * As adtool_image_decode_with, but hands the rows over. Baseline JPEG and PNG without interlacing are never in memory
 * whole; of all others the options' max_pixels and whole_pixels are the limits, and they come upright.
 */
int ad_image_decode_rows(const void *data, size_t size, const adtool_image_options *options, const ad_rows *rows,
			 adtool_error *err);
/* The rows of a picture that is there. */
int ad_image_rows(const adtool_image *image, const ad_rows *rows, adtool_error *err);

/* -- tiles.c ---------------------------------------------------------------------------------------------- */

/* Tiles along one side: how many, and where the i-th begins. */
unsigned ad_tiles_along(unsigned side, unsigned tile, unsigned overlap);
unsigned ad_tile_at(unsigned side, unsigned tile, unsigned overlap, unsigned i);

/* How a picture's region is cut; tile i is the one in row i / across, column i % across. */
typedef struct ad_tiling {
	ad_area region;
	unsigned tile_width, tile_height, overlap;
	unsigned across, down;
	unsigned grid;       /* a tile's map is grid x grid */
	unsigned rows, cols; /* of the one map: its cells are at most as large as those of the tiles */
} ad_tiling;

/* ADTOOL_ELIMIT for more than ADTOOL_MAX_TILES, or a map of more than 2^26 cells. */
int ad_tiling_init(ad_tiling *t, const adtool_geometry *g, const ad_area *region, unsigned grid, adtool_error *err);
size_t ad_tiling_count(const ad_tiling *t);
void ad_tiling_area(const ad_tiling *t, size_t tile, ad_area *out);
/*
 * Puts a tile's map (grid x grid) where it belongs in the one map (rows x cols, of zeros at first): each cell of that
 * is the largest of the tiles' cells in which its centre lies. Every cell of every tile is met by at least one centre.
 */
void ad_tiling_merge(const ad_tiling *t, size_t tile, const float *map, float *whole);

/* -- cutter.c --------------------------------------------------------------------------------------------- */

/*
 * Cuts a picture whose rows come from the top, whatever its orientation, while it holds no more of them than a row of
 * tiles needs. `rows` takes them.
 */
typedef struct ad_cutter ad_cutter;
typedef struct ad_cutter_client {
	/* Once the upright size is known: the tiling to be cut. */
	int (*begin)(void *context, unsigned width, unsigned height, ad_tiling *out, adtool_error *err);
	/*
	 * A row of tiles, or, where the picture is stored lying, a column: ad_cutter_tile gives tiles 0 .. count - 1.
	 */
	int (*band)(void *context, const ad_cutter *cutter, size_t count, adtool_error *err);
	void *context;
} ad_cutter_client;

int ad_cutter_create(const ad_cutter_client *client, uint64_t max_pixels, ad_cutter **out, adtool_error *err);
const ad_rows *ad_cutter_rows(const ad_cutter *c);
/* After the last row: what `band` failed with, or that rows are missing; else 0. */
int ad_cutter_end(const ad_cutter *c, adtool_error *err);
/* Which tile of the tiling the i-th of the band is. */
size_t ad_cutter_index(const ad_cutter *c, size_t i);
/* Its pixels, upright; from any thread. The caller frees *out. */
int ad_cutter_tile(const ad_cutter *c, size_t i, adtool_image **out, adtool_error *err);
void ad_cutter_free(ad_cutter *c);

#endif
