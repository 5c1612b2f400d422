/* Geometry: regions, fits, masks, tiles, and where maps lie, against definitions worked out pixel by pixel. */
#include "../../lib/image/internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static adtool_error err;

/* -- tiles --------------------------------------------------------------------------------------------------- */

/* The definition: at 0, s, 2 s ... while they lie inside, then one that ends at the end. */
static unsigned naive_tiles(unsigned side, unsigned tile, unsigned overlap, unsigned *at)
{
	unsigned n = 0, x = 0;

	if (side <= tile) {
		at[0] = 0;
		return 1;
	}
	for (x = 0; x + tile <= side; x += tile - overlap)
		at[n++] = x;
	if (at[n - 1] + tile < side)
		at[n++] = side - tile;
	return n;
}

static void tiles_stand_where_they_are_said_to(void **state)
{
	static const unsigned tiles[] = {1, 2, 7, 32, 224};
	unsigned at[2048], t, overlap, side, i;

	(void)state;
	for (t = 0; t < sizeof(tiles) / sizeof(*tiles); t++) {
		unsigned tile = tiles[t], steps[] = {0, 1, tile / 3, tile / 2, tile - 1};

		for (overlap = 0; overlap < 5; overlap++) {
			unsigned o = steps[overlap], most = tile - o < 4 ? 3 * tile + 40 : 6 * tile + 40;

			if (o >= tile)
				continue;
			for (side = 1; side < most; side++) {
				unsigned n = naive_tiles(side, tile, o, at);

				assert_int_equal(ad_tiles_along(side, tile, o), n);
				for (i = 0; i < n; i++)
					assert_int_equal(ad_tile_at(side, tile, o, i), at[i]);
			}
		}
	}
	assert_int_equal(ad_tiles_along(223, 224, 0), 1);
	assert_int_equal(ad_tiles_along(224, 224, 0), 1);
	assert_int_equal(ad_tiles_along(225, 224, 0), 2);
	assert_int_equal(ad_tile_at(225, 224, 0, 1), 1);
}

static void check_tiling(unsigned width, unsigned height, unsigned tile_width, unsigned tile_height, unsigned overlap,
			 unsigned grid)
{
	adtool_geometry g = {.tile_width = tile_width, .tile_height = tile_height, .tile_overlap = overlap};
	ad_area region = {5, 3, width, height}, a;
	ad_tiling t;
	size_t i, n, cells = (size_t)grid * grid, k;
	unsigned char *covered = calloc(width, height);
	float *whole, *map = calloc(cells, sizeof(*map)), *expected;
	unsigned x, y, row, col;

	assert_int_equal(ad_tiling_init(&t, &g, &region, grid, &err), 0);
	n = ad_tiling_count(&t);
	whole = calloc((size_t)t.rows * t.cols, sizeof(*whole));
	expected = calloc((size_t)t.rows * t.cols, sizeof(*expected));
	for (i = 0; i < n; i++) {
		float top = 0, got = 0;

		ad_tiling_area(&t, i, &a);
		assert_true(a.x >= region.x && a.x + a.width <= region.x + width);
		assert_true(a.y >= region.y && a.y + a.height <= region.y + height);
		assert_int_equal(a.width, width < tile_width ? width : tile_width);
		assert_int_equal(a.height, height < tile_height ? height : tile_height);
		for (y = a.y; y < a.y + a.height; y++)
			for (x = a.x; x < a.x + a.width; x++)
				covered[(size_t)(y - region.y) * width + x - region.x] = 1;
		for (k = 0; k < cells; k++)
			map[k] = (float)(1 + (i * 7919 + k * 104729) % 1000);
		/* By the definition, in real numbers that are exact here. */
		for (row = 0; row < t.rows; row++)
			for (col = 0; col < t.cols; col++) {
				double u = (2 * col + 1) * (double)width / (2 * t.cols) - (a.x - region.x);
				double v = (2 * row + 1) * (double)height / (2 * t.rows) - (a.y - region.y);
				long c = (long)floor(u * grid / tile_width + 1e-9),
				     r = (long)floor(v * grid / tile_height + 1e-9);

				if (u < 0 || v < 0 || u >= a.width || v >= a.height)
					continue;
				c = c < (long)grid ? c : (long)grid - 1;
				r = r < (long)grid ? r : (long)grid - 1;
				k = (size_t)r * grid + (size_t)c;
				if (map[k] > expected[(size_t)row * t.cols + col])
					expected[(size_t)row * t.cols + col] = map[k];
				if (map[k] > got)
					got = map[k];
			}
		ad_tiling_merge(&t, i, map, whole);
		/* A tile that is whole loses none of its cells. */
		for (k = 0; k < cells; k++)
			top = map[k] > top ? map[k] : top;
		if (width >= tile_width && height >= tile_height)
			assert_true(!(got < top) && !(got > top));
	}
	for (k = 0; k < (size_t)width * height; k++)
		assert_true(covered[k]);
	for (k = 0; k < (size_t)t.rows * t.cols; k++) {
		assert_true(whole[k] > 0);
		assert_true(!(whole[k] < expected[k]) && !(whole[k] > expected[k]));
	}
	free(covered);
	free(map);
	free(whole);
	free(expected);
}

static void tiles_cover_and_their_maps_meet(void **state)
{
	static const unsigned sides[] = {1, 2, 15, 31, 32, 33, 47, 63, 64, 65, 100, 131};
	unsigned i, j;

	(void)state;
	for (i = 0; i < sizeof(sides) / sizeof(*sides); i++)
		for (j = 0; j < sizeof(sides) / sizeof(*sides); j++) {
			check_tiling(sides[i], sides[j], 32, 32, 0, 4);
			check_tiling(sides[i], sides[j], 32, 24, 8, 7);
			check_tiling(sides[i], sides[j], 32, 32, 31, 3);
		}
	check_tiling(1, 5000, 32, 32, 0, 7);
	check_tiling(5000, 1, 32, 16, 3, 7);
	check_tiling(1000, 700, 224, 224, 0, 7);
}

static void tiles_are_limited(void **state)
{
	adtool_geometry one = {.tile_width = 1, .tile_height = 1}, fine = {.tile_width = 256, .tile_height = 256};
	ad_area small = {0, 0, 256, 256}, large = {0, 0, 257, 256}, huge = {0, 0, 65535, 65535};
	ad_tiling t;

	(void)state;
	assert_int_equal(ad_tiling_init(&t, &one, &small, 1, &err), 0);
	assert_int_equal(ad_tiling_count(&t), ADTOOL_MAX_TILES);
	assert_int_equal(ad_tiling_init(&t, &one, &large, 1, &err), ADTOOL_ELIMIT);
	assert_non_null(strstr(err.message, "65792 tiles"));
	assert_int_equal(ad_tiling_init(&t, &fine, &huge, 7, &err), 0);
	assert_int_equal(ad_tiling_init(&t, &fine, &huge, 256, &err), ADTOOL_ELIMIT);
	assert_non_null(strstr(err.message, "cells"));
}

/* -- what cannot be ------------------------------------------------------------------------------------------ */

static void impossible_geometries_are_refused(void **state)
{
	static const adtool_geometry wrong[] = {
	    {.fit = (enum adtool_fit)3},
	    {.fit = (enum adtool_fit)-1},
	    {.tile_width = 8},
	    {.tile_height = 8},
	    {.tile_width = 4097, .tile_height = 8},
	    {.tile_width = 8, .tile_height = 8, .tile_overlap = 8},
	    {.tile_width = 8, .tile_height = 4, .tile_overlap = 4},
	    {.tile_overlap = 1},
	    {.tile_width = 8, .tile_height = 8, .fit = ADTOOL_CROP},
	    {.tile_width = 8, .tile_height = 8, .fit = ADTOOL_LETTERBOX},
	    {.roi_x = 1},
	    {.roi_width = 5},
	    {.roi_width = 5, .roi_height = -5},
	    {.roi_x = -1, .roi_width = 5, .roi_height = 5},
	    {.roi_x = 0.5, .roi_width = 5, .roi_height = 5},
	    {.roi_width = 5.5, .roi_height = 5},
	    {.roi_x = 65535, .roi_width = 1, .roi_height = 5},
	    {.roi_x = 20, .roi_width = 81, .roi_height = 5, .roi_percent = 1},
	    {.roi_width = NAN, .roi_height = 5},
	    {.roi_width = INFINITY, .roi_height = 5, .roi_percent = 1},
	    {.roi_percent = 1},
	};
	adtool_geometry right = {.roi_x = 10.1, .roi_width = 89.9, .roi_y = 0, .roi_height = 100, .roi_percent = 1};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(adtool_geometry_check(&wrong[i], &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_geometry_check(&right, &err), 0);
	assert_int_equal(
	    adtool_geometry_check(&(adtool_geometry){.tile_width = 8, .tile_height = 9, .tile_overlap = 7}, &err), 0);
}

/* -- regions ------------------------------------------------------------------------------------------------- */

static void same_area(const ad_area *a, unsigned x, unsigned y, unsigned width, unsigned height)
{
	assert_int_equal(a->x, x);
	assert_int_equal(a->y, y);
	assert_int_equal(a->width, width);
	assert_int_equal(a->height, height);
}

static void regions_are_pixels_or_percent(void **state)
{
	adtool_geometry none = {.fit = 0};
	adtool_geometry pixels = {.roi_x = 10, .roi_y = 20, .roi_width = 30, .roi_height = 40};
	adtool_geometry percent = {.roi_x = 10, .roi_y = 25, .roi_width = 80, .roi_height = 50, .roi_percent = 1};
	adtool_geometry sliver = {.roi_x = 99.9, .roi_y = 0, .roi_width = 0.1, .roi_height = 0.001, .roi_percent = 1};
	ad_area a;

	(void)state;
	assert_int_equal(ad_region_of(&none, 7, 9, &a, &err), 0);
	same_area(&a, 0, 0, 7, 9);
	assert_int_equal(ad_region_of(&pixels, 40, 60, &a, &err), 0);
	same_area(&a, 10, 20, 30, 40);
	assert_int_equal(ad_region_of(&pixels, 39, 60, &a, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_region_of(&pixels, 40, 59, &a, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "10,20,30,40"));
	assert_non_null(strstr(err.message, "40 x 59"));
	assert_int_equal(ad_region_of(&percent, 200, 100, &a, &err), 0);
	same_area(&a, 20, 25, 160, 50);
	assert_int_equal(ad_region_of(&percent, 1, 1, &a, &err), 0);
	same_area(&a, 0, 0, 1, 1);
	assert_int_equal(ad_region_of(&sliver, 10, 10, &a, &err), 0);
	same_area(&a, 9, 0, 1, 1);
}

/* -- fits ---------------------------------------------------------------------------------------------------- */

static void same_box(const double *box, double x, double y, double width, double height)
{
	assert_true(fabs(box[0] - x) < 1e-9 && fabs(box[1] - y) < 1e-9);
	assert_true(fabs(box[2] - width) < 1e-9 && fabs(box[3] - height) < 1e-9);
}

static void fits_are_as_defined(void **state)
{
	ad_area wide = {100, 50, 400, 200}, tall = {0, 0, 30, 90}, thin = {0, 0, 5000, 1};
	ad_fitting f;

	(void)state;
	ad_fit_area(ADTOOL_STRETCH, &wide, 224, 112, &f);
	same_area(&f.from, 100, 50, 400, 200);
	same_box(f.box, 100, 50, 400, 200);
	ad_fit_area(ADTOOL_LETTERBOX, &wide, 200, 200, &f);
	same_area(&f.from, 100, 50, 400, 200);
	assert_int_equal(f.width, 200);
	assert_int_equal(f.height, 100);
	assert_int_equal(f.left, 0);
	assert_int_equal(f.top, 50);
	same_box(f.box, 100, -50, 400, 400);
	ad_fit_area(ADTOOL_LETTERBOX, &tall, 90, 90, &f);
	assert_int_equal(f.width, 30);
	assert_int_equal(f.left, 30);
	same_box(f.box, -30, 0, 90, 90);
	ad_fit_area(ADTOOL_LETTERBOX, &thin, 224, 224, &f);
	assert_int_equal(f.height, 1);
	assert_int_equal(f.top, 111);
	ad_fit_area(ADTOOL_CROP, &wide, 200, 200, &f);
	same_area(&f.from, 200, 50, 200, 200);
	assert_int_equal(f.width, 200);
	same_box(f.box, 200, 50, 200, 200);
	ad_fit_area(ADTOOL_CROP, &tall, 90, 90, &f);
	same_area(&f.from, 0, 30, 30, 30);
	ad_fit_area(ADTOOL_CROP, &thin, 224, 224, &f);
	same_area(&f.from, 2499, 0, 1, 1);
	/* The same shape is the same however it is fitted. */
	ad_fit_area(ADTOOL_LETTERBOX, &wide, 224, 112, &f);
	assert_true(f.width == 224 && f.height == 112 && !f.left && !f.top);
	ad_fit_area(ADTOOL_CROP, &wide, 224, 112, &f);
	same_area(&f.from, 100, 50, 400, 200);
}

static adtool_image *plain(unsigned width, unsigned height, uint8_t r, uint8_t g, uint8_t b)
{
	adtool_image *image;
	size_t i;

	assert_int_equal(adtool_image_create(width, height, &image, &err), 0);
	for (i = 0; i < (size_t)width * height; i++) {
		image->pixels[3 * i] = r;
		image->pixels[3 * i + 1] = g;
		image->pixels[3 * i + 2] = b;
	}
	return image;
}

static void padding_is_the_backbones_mean(void **state)
{
	adtool_preprocessing p = {.range = 255, .mean = {100, 120, 140}, .std = {10, 10, 10}};
	adtool_preprocessing unit = {.range = 1, .mean = {0.5f, 0.25f, 1}, .std = {1, 1, 1}, .bgr = 1};
	adtool_image *image = plain(40, 20, 200, 201, 202);
	ad_area all = {0, 0, 40, 20};
	ad_fitting f;
	float tensor[3 * 8 * 8];
	uint8_t colour[3];
	unsigned x, y;

	(void)state;
	ad_padding_colour(&unit, colour);
	assert_int_equal(colour[0], 255);
	assert_int_equal(colour[1], 64);
	assert_int_equal(colour[2], 128);
	ad_fit_area(ADTOOL_LETTERBOX, &all, 8, 8, &f);
	assert_int_equal(ad_fitting_to_tensor(image, &f, &p, 8, 8, tensor, &err), 0);
	for (y = 0; y < 8; y++)
		for (x = 0; x < 8; x++) {
			int inside = y >= 2 && y < 6;

			assert_true(fabsf(tensor[y * 8 + x] - (inside ? 10.0f : 0.0f)) < 1e-5f);
			assert_true(fabsf(tensor[64 + y * 8 + x] - (inside ? 8.1f : 0.0f)) < 1e-5f);
		}
	adtool_image_free(image);
}

/* -- masks --------------------------------------------------------------------------------------------------- */

static void masks_paint_what_they_hide(void **state)
{
	static const uint8_t colour[3] = {1, 2, 3};
	adtool_image *drawn = plain(4, 2, 0, 0, 0), *part = plain(6, 4, 9, 9, 9), *again;
	ad_area left = {0, 0, 4, 8}, right = {4, 0, 8, 8}, corner = {12, 6, 4, 2};
	ad_mask *mask = NULL;
	unsigned x, y;

	(void)state;
	assert_int_equal(ad_mask_create(drawn, &mask, &err), ADTOOL_EINVAL);
	assert_null(mask);
	/* The two columns in the middle; 127 is black, 128 white. */
	for (y = 0; y < 2; y++)
		for (x = 0; x < 4; x++)
			memset(drawn->pixels + (y * 4 + x) * 3, x == 1 || x == 2 ? 128 : 127, 3);
	assert_int_equal(ad_mask_create(drawn, &mask, &err), 0);
	/* Over 16 x 8 pixels: columns 4 .. 11. */
	assert_int_equal(ad_mask_check(mask, 16, 8, &err), 0);
	assert_int_equal(ad_mask_check(mask, 17, 8, &err), 0);
	assert_int_equal(ad_mask_check(mask, 16, 16, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "16 x 16"));
	assert_false(ad_mask_sees(mask, 16, 8, &left));
	assert_true(ad_mask_sees(mask, 16, 8, &right));
	assert_false(ad_mask_sees(mask, 16, 8, &corner));
	ad_mask_paint(mask, 16, 8, 8, 2, part, colour);
	for (y = 0; y < 4; y++)
		for (x = 0; x < 6; x++)
			assert_int_equal(part->pixels[(y * 6 + x) * 3], x < 4 ? 9 : 1);
	assert_int_equal(ad_mask_image(mask, &again, &err), 0);
	for (x = 0; x < 8; x++)
		assert_int_equal(again->pixels[3 * x + 1], x % 4 == 1 || x % 4 == 2 ? 255 : 0);
	adtool_image_free(again);
	adtool_image_free(drawn);
	adtool_image_free(part);
	ad_mask_free(mask);
	assert_int_equal(adtool_image_create(4097, 1, &drawn, &err), 0);
	assert_int_equal(ad_mask_create(drawn, &mask, &err), ADTOOL_ELIMIT);
	adtool_image_free(drawn);
}

/* Cells kept must be those in which a white point lies, sought here on a fine lattice of points. */
static void masks_keep_cells_with_white(void **state)
{
	static const unsigned sizes[][2] = {{4, 2}, {64, 32}, {301, 150}};
	static const enum adtool_fit fits[] = {ADTOOL_STRETCH, ADTOOL_LETTERBOX, ADTOOL_CROP};
	enum { GRID = 7, SIDE = 56, FINE = 1400 };
	size_t s, k, i, n;

	(void)state;
	for (s = 0; s < 3; s++)
		for (k = 0; k < 3; k++) {
			unsigned w = sizes[s][0], h = sizes[s][1], x, y;
			adtool_image *drawn = plain(w, h, 0, 0, 0);
			unsigned white[GRID * GRID] = {0};
			ad_area all = {0, 0, w, h};
			ad_fitting f;
			ad_mask *mask;
			uint32_t *cells;

			/* A disc left of the centre. */
			for (y = 0; y < h; y++)
				for (x = 0; x < w; x++) {
					double u = (x + 0.5) / w - 0.45, v = (y + 0.5) / h - 0.5;

					if (u * u + v * v / 4 < 0.08)
						memset(drawn->pixels + ((size_t)y * w + x) * 3, 255, 3);
				}
			assert_int_equal(ad_mask_create(drawn, &mask, &err), 0);
			ad_fit_area(fits[k], &all, SIDE, SIDE, &f);
			for (y = 0; y < FINE; y++)
				for (x = 0; x < FINE; x++) {
					double u = f.box[0] + (x + 0.5) * f.box[2] / FINE,
					       v = f.box[1] + (y + 0.5) * f.box[3] / FINE;

					if (u < f.from.x || v < f.from.y || u >= f.from.x + f.from.width ||
					    v >= f.from.y + f.from.height)
						continue;
					if (mask->white[(size_t)v * w + (size_t)u])
						white[y * GRID / FINE * GRID + x * GRID / FINE]++;
				}
			assert_int_equal(ad_mask_cells(mask, w, h, &f, SIDE, SIDE, GRID, &cells, &n, &err), 0);
			for (i = 0; i < n; i++) {
				assert_true(!i || cells[i] > cells[i - 1]);
				assert_true(white[cells[i]] > 0);
				white[cells[i]] = 0;
			}
			/*
			 * One that is left out has no more white than fits between pixels of the input: a row of them.
			 */
			for (i = 0; i < GRID * GRID; i++)
				assert_true(white[i] <= (FINE / GRID) * (FINE / SIDE));
			free(cells);
			ad_mask_free(mask);
			adtool_image_free(drawn);
		}
}

/* -- views --------------------------------------------------------------------------------------------------- */

static void whole_views_change_no_value(void **state)
{
	float map[12], plainly[40 * 30], viewed[40 * 30];
	ad_view v = {.width = 40, .height = 30, .box = {0, 0, 40, 30}, .seen = {0, 0, 40, 30}};
	ad_heat heat = {map, 3, 4, 1, NULL};
	size_t i;

	(void)state;
	for (i = 0; i < 12; i++)
		map[i] = (float)(i * i % 7);
	assert_int_equal(ad_heat_upsample(&heat, 40, 30, plainly, &err), 0);
	heat.view = &v;
	assert_int_equal(ad_heat_upsample(&heat, 40, 30, viewed, &err), 0);
	assert_memory_equal(plainly, viewed, sizeof(viewed));
}

/* A map over a part of the picture is that part's own upsampling, and 0 around it. */
static void views_place_maps(void **state)
{
	enum { W = 60, H = 50, X = 12, Y = 7, PW = 36, PH = 30 };
	float map[9] = {1, 2, 3, 4, 9, 2, 1, 1, 5}, part[PW * PH], whole[W * H];
	ad_view v = {.width = W, .height = H, .box = {X, Y, PW, PH}, .seen = {X, Y, PW, PH}};
	ad_heat heat = {map, 3, 3, 1, NULL};
	adtool_region *regions, *inside;
	size_t count, inside_count;
	unsigned x, y;

	(void)state;
	assert_int_equal(ad_heat_upsample(&heat, PW, PH, part, &err), 0);
	assert_int_equal(adtool_regions_find(map, 3, 3, PW, PH, 4.5, &inside, &inside_count, &err), 0);
	heat.view = &v;
	assert_int_equal(ad_heat_upsample(&heat, W, H, whole, &err), 0);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++) {
			int in = x >= X && x < X + PW && y >= Y && y < Y + PH;
			float want = in ? part[(y - Y) * PW + x - X] : 0;

			assert_true(fabsf(whole[y * W + x] - want) <= 1e-5f);
		}
	heat.level = 4.5;
	assert_int_equal(ad_regions_find(&heat, W, H, &regions, &count, &err), 0);
	assert_int_equal(count, inside_count);
	assert_int_equal(regions[0].peak_x, inside[0].peak_x + X);
	assert_int_equal(regions[0].peak_y, inside[0].peak_y + Y);
	assert_int_equal(regions[0].area, inside[0].area);
	adtool_free(regions);
	adtool_free(inside);
}

/* An overlay, too, is that of the part: no line runs along what is looked at, but where a hot area ends there. */
static void views_draw_lines_around_what_is_hot_only(void **state)
{
	enum { W = 120, H = 100, X = 24, Y = 14, PW = 72, PH = 60 };
	float map[9] = {1, 2, 3, 4, 9, 2, 8, 1, 5}, value[PW * PH];
	ad_view v = {.width = W, .height = H, .box = {X, Y, PW, PH}, .seen = {X, Y, PW, PH}};
	ad_heat heat = {map, 3, 3, 4.5, NULL};
	adtool_image *picture = plain(W, H, 90, 90, 90), *small = plain(PW, PH, 90, 90, 90), *whole, *part;
	unsigned x, y, c, closed = 0;

	(void)state;
	assert_int_equal(ad_heat_cover(&heat, small, &part, &err), 0);
	assert_int_equal(ad_heat_upsample(&heat, PW, PH, value, &err), 0);
	heat.view = &v;
	assert_int_equal(ad_heat_cover(&heat, picture, &whole, &err), 0);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++) {
			int in = x >= X && x < X + PW && y >= Y && y < Y + PH;
			int edge = in && (x == X || x == X + PW - 1 || y == Y || y == Y + PH - 1);
			const uint8_t *got = whole->pixels + 3 * ((size_t)y * W + x), *want = whole->pixels;

			if (in)
				want = part->pixels + 3 * ((size_t)(y - Y) * PW + x - X);
			if (edge && value[(y - Y) * PW + x - X] > 4.5f) {
				closed++;
				assert_true(got[0] == 255 && got[1] == 255 && got[2] == 255);
				continue;
			}
			for (c = 0; c < 3; c++)
				assert_true(abs(got[c] - want[c]) <= 1);
		}
	assert_true(closed > 20);
	adtool_image_free(picture);
	adtool_image_free(small);
	adtool_image_free(whole);
	adtool_image_free(part);
}

static void views_beyond_the_picture_show_its_part(void **state)
{
	/* Letterboxed: the map is 100 x 100, the picture its middle 100 x 40. */
	float map[25], whole[100 * 40], square[100 * 100];
	ad_view v = {.width = 100, .height = 40, .box = {0, -30, 100, 100}, .seen = {0, 0, 100, 40}};
	ad_heat heat = {map, 5, 5, 1, NULL};
	size_t i;

	(void)state;
	for (i = 0; i < 25; i++)
		map[i] = (float)(i * 5 % 11);
	assert_int_equal(ad_heat_upsample(&heat, 100, 100, square, &err), 0);
	heat.view = &v;
	assert_int_equal(ad_heat_upsample(&heat, 100, 40, whole, &err), 0);
	for (i = 0; i < 4000; i++)
		assert_true(fabsf(whole[i] - square[3000 + i]) <= 1e-5f);
}

static void views_hide_what_the_mask_hides(void **state)
{
	static const unsigned drawn_at[][2] = {{80, 40}, {40, 20}, {160, 80}};
	adtool_image *drawn = plain(8, 4, 255, 255, 255);
	float map[4] = {2, 2, 2, 2}, *out = malloc(sizeof(*out) * 160 * 80);
	ad_mask *mask;
	ad_view v = {.width = 80, .height = 40, .box = {0, 0, 80, 40}, .seen = {0, 0, 80, 40}};
	ad_heat heat = {map, 2, 2, 1, &v};
	unsigned x, y;
	size_t k;

	(void)state;
	memset(drawn->pixels + 3 * 8, 0, 3 * 3); /* the first three of the second row */
	assert_int_equal(ad_mask_create(drawn, &mask, &err), 0);
	v.mask = mask;
	for (k = 0; k < 3; k++) {
		unsigned w = drawn_at[k][0], h = drawn_at[k][1];

		assert_int_equal(ad_heat_upsample(&heat, w, h, out, &err), 0);
		for (y = 0; y < h; y++)
			for (x = 0; x < w; x++) {
				int hidden = x * 8 / w < 3 && y * 4 / h == 1;

				assert_true(fabsf(out[y * w + x] - (hidden ? 0.0f : 2.0f)) < 1e-6f);
			}
	}
	free(out);
	ad_mask_free(mask);
	adtool_image_free(drawn);
}

/* -- the cutter ---------------------------------------------------------------------------------------------- */

struct cut {
	const adtool_image *upright;
	adtool_geometry geometry;
	ad_area region;
	ad_tiling tiling;
	unsigned char *seen;
	size_t tiles;
	int fail_at; /* the band that fails; -1: none */
	int bands;
};

static int cut_begin(void *context, unsigned width, unsigned height, ad_tiling *out, adtool_error *e)
{
	struct cut *c = context;

	assert_int_equal(width, c->upright->width);
	assert_int_equal(height, c->upright->height);
	assert_int_equal(ad_tiling_init(&c->tiling, &c->geometry, &c->region, 3, e), 0);
	c->seen = calloc(ad_tiling_count(&c->tiling), 1);
	*out = c->tiling;
	return 0;
}

static int cut_band(void *context, const ad_cutter *cutter, size_t count, adtool_error *e)
{
	struct cut *c = context;
	size_t i;

	if (c->bands++ == c->fail_at) {
		e->code = ADTOOL_ENUMERIC;
		return ADTOOL_ENUMERIC;
	}
	for (i = 0; i < count; i++) {
		size_t index = ad_cutter_index(cutter, i);
		adtool_image *tile, *wanted;
		ad_area a;

		assert_true(index < ad_tiling_count(&c->tiling));
		assert_int_equal(c->seen[index]++, 0);
		c->tiles++;
		ad_tiling_area(&c->tiling, index, &a);
		assert_int_equal(ad_cutter_tile(cutter, i, &tile, e), 0);
		assert_int_equal(ad_image_cut(c->upright, &a, &wanted, e), 0);
		assert_int_equal(tile->width, a.width);
		assert_int_equal(tile->height, a.height);
		assert_memory_equal(tile->pixels, wanted->pixels, (size_t)3 * a.width * a.height);
		adtool_image_free(tile);
		adtool_image_free(wanted);
	}
	return 0;
}

/* The picture turned upright as decoders do it, whole. */
static adtool_image *turned(const adtool_image *stored, int orientation)
{
	ad_upright u = {0};

	assert_int_equal(ad_upright_init(&u, stored->width, stored->height, orientation, &err), 0);
	ad_upright_put(&u, stored->pixels, 0, stored->height);
	return u.image;
}

static void check_cut(unsigned width, unsigned height, int orientation, adtool_geometry g, ad_area region,
		      unsigned rows)
{
	adtool_image *stored = plain(width, height, 0, 0, 0), *upright;
	struct cut c = {.geometry = g, .region = region, .fail_at = -1};
	ad_cutter_client client = {cut_begin, cut_band, &c};
	const ad_rows *to;
	ad_cutter *cutter;
	unsigned y, n;
	size_t i;

	for (i = 0; i < (size_t)3 * width * height; i++)
		stored->pixels[i] = (uint8_t)(i * 2654435761u >> 13);
	c.upright = upright = turned(stored, orientation);
	if (!region.width)
		c.region = (ad_area){0, 0, upright->width, upright->height};
	assert_int_equal(ad_cutter_create(&client, 0, &cutter, &err), 0);
	to = ad_cutter_rows(cutter);
	assert_int_equal(to->begin(to->context, width, height, orientation, &err), 0);
	for (y = 0; y < height; y += n) {
		n = height - y < rows ? height - y : rows;
		to->put(to->context, stored->pixels + (size_t)3 * width * y, y, n);
	}
	assert_int_equal(ad_cutter_end(cutter, &err), 0);
	assert_int_equal(c.tiles, ad_tiling_count(&c.tiling));
	ad_cutter_free(cutter);
	free(c.seen);
	adtool_image_free(upright);
	adtool_image_free(stored);
}

static void pictures_are_cut_as_they_come(void **state)
{
	static const unsigned sides[] = {1, 7, 15, 16, 17, 31, 33, 50};
	adtool_geometry g[] = {{.tile_width = 16, .tile_height = 16},
			       {.tile_width = 16, .tile_height = 8, .tile_overlap = 5},
			       {.tile_width = 7, .tile_height = 16, .tile_overlap = 6}};
	size_t i, j, k;
	int orientation;

	(void)state;
	for (orientation = 1; orientation <= 8; orientation++)
		for (i = 0; i < sizeof(sides) / sizeof(*sides); i++)
			for (j = 0; j < sizeof(sides) / sizeof(*sides); j++)
				for (k = 0; k < 3; k++)
					check_cut(sides[i], sides[j], orientation, g[k], (ad_area){0},
						  1 + (unsigned)(i + j) * 3);
	/* A region: what is around it is passed over. The upright picture has 60 x 40 pixels. */
	for (orientation = 1; orientation <= 8; orientation++)
		for (k = 0; k < 3; k++)
			check_cut(orientation < 5 ? 60 : 40, orientation < 5 ? 40 : 60, orientation, g[k],
				  (ad_area){13, 5, 40, 30}, 16);
}

static void cutting_ends_where_it_fails(void **state)
{
	adtool_image *image = plain(20, 40, 1, 2, 3);
	struct cut c = {.upright = image, .geometry = {.tile_width = 8, .tile_height = 8}, .region = {0, 0, 20, 40},
			.fail_at = 2};
	ad_cutter_client client = {cut_begin, cut_band, &c};
	ad_cutter *cutter;

	(void)state;
	assert_int_equal(ad_cutter_create(&client, 0, &cutter, &err), 0);
	assert_int_equal(ad_cutter_end(cutter, &err), ADTOOL_EFORMAT);
	assert_int_equal(ad_image_rows(image, ad_cutter_rows(cutter), &err), 0);
	assert_int_equal(ad_cutter_end(cutter, &err), ADTOOL_ENUMERIC);
	assert_int_equal(c.bands, 3);
	ad_cutter_free(cutter);
	free(c.seen);
	adtool_image_free(image);
}

struct taken {
	adtool_image *image; /* upright */
	ad_upright upright;
	unsigned rows;
};

static int take_begin(void *context, unsigned width, unsigned height, int orientation, adtool_error *e)
{
	struct taken *t = context;

	return ad_upright_init(&t->upright, width, height, orientation, e);
}

static void take_rows(void *context, const uint8_t *rows, unsigned y, unsigned n)
{
	struct taken *t = context;

	assert_int_equal(t->rows, y);
	t->rows += n;
	ad_upright_put(&t->upright, rows, y, n);
}

/* Rows put together are the picture; and only what need not be in memory whole has the larger limit. */
static void rows_are_those_of_the_picture(void **state)
{
	adtool_image *drawn = plain(50, 41, 0, 0, 0), *whole;
	adtool_image_options options;
	ad_buf files[2] = {{0}, {0}};
	size_t i;

	(void)state;
	for (i = 0; i < (size_t)3 * 50 * 41; i++)
		drawn->pixels[i] = (uint8_t)(i * 2654435761u >> 11);
	assert_int_equal(ad_png_encode(drawn, &files[0], &err), 0);
	assert_int_equal(ad_jpeg_encode(drawn, 90, &files[1], &err), 0);
	adtool_image_options_init(&options);
	for (i = 0; i < 2; i++) {
		struct taken t = {0};
		ad_rows rows = {.begin = take_begin, .put = take_rows, .context = &t};

		assert_int_equal(adtool_image_decode(files[i].data, files[i].size, 0, &whole, &err), 0);
		assert_int_equal(ad_image_decode_rows(files[i].data, files[i].size, &options, &rows, &err), 0);
		assert_int_equal(t.rows, 41);
		assert_memory_equal(t.upright.image->pixels, whole->pixels, (size_t)3 * 50 * 41);
		adtool_image_free(t.upright.image);
		adtool_image_free(whole);
		/* Of the two limits it is the one for rows that counts. */
		options.max_pixels = 10;
		t = (struct taken){0};
		assert_int_equal(ad_image_decode_rows(files[i].data, files[i].size, &options, &rows, &err), 0);
		adtool_image_free(t.upright.image);
		options.max_pixels = 0;
		rows.max_pixels = 50 * 41 - 1;
		assert_int_equal(ad_image_decode_rows(files[i].data, files[i].size, &options, &rows, &err),
				 ADTOOL_ELIMIT);
		/* Cut short, it is refused, whatever was handed over. */
		rows.max_pixels = 0;
		t = (struct taken){0};
		assert_int_equal(ad_image_decode_rows(files[i].data, files[i].size - 20, &options, &rows, &err),
				 ADTOOL_EFORMAT);
		adtool_image_free(t.upright.image);
		ad_buf_release(&files[i]);
	}
	adtool_image_free(drawn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tiles_stand_where_they_are_said_to),
	    cmocka_unit_test(tiles_cover_and_their_maps_meet),
	    cmocka_unit_test(tiles_are_limited),
	    cmocka_unit_test(impossible_geometries_are_refused),
	    cmocka_unit_test(regions_are_pixels_or_percent),
	    cmocka_unit_test(fits_are_as_defined),
	    cmocka_unit_test(padding_is_the_backbones_mean),
	    cmocka_unit_test(masks_paint_what_they_hide),
	    cmocka_unit_test(masks_keep_cells_with_white),
	    cmocka_unit_test(whole_views_change_no_value),
	    cmocka_unit_test(views_place_maps),
	    cmocka_unit_test(views_draw_lines_around_what_is_hot_only),
	    cmocka_unit_test(views_beyond_the_picture_show_its_part),
	    cmocka_unit_test(views_hide_what_the_mask_hides),
	    cmocka_unit_test(pictures_are_cut_as_they_come),
	    cmocka_unit_test(cutting_ends_where_it_fails),
	    cmocka_unit_test(rows_are_those_of_the_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
