/* How a part of a picture becomes the input of a network. */
#include "fit.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "internal.h"

#include <math.h>

/* -- the region of interest ---------------------------------------------------------------------------------- */

static int has_region(const adtool_geometry *g)
{
	return g->roi_width > 0;
}

/* Percent of a side to whole pixels, at least one. */
static void percent_span(double at, double length, unsigned side, unsigned *from, unsigned *size)
{
	unsigned begin = (unsigned)(at / 100 * side + 0.5), end = (unsigned)((at + length) / 100 * side + 0.5);

	end = end > side ? side : end;
	begin = begin >= side ? side - 1 : begin;
	*from = begin;
	*size = end > begin ? end - begin : 1;
}

int ad_region_of(const adtool_geometry *g, unsigned width, unsigned height, ad_area *out, adtool_error *err)
{
	if (!has_region(g)) {
		*out = (ad_area){0, 0, width, height};
		return 0;
	}
	if (g->roi_percent) {
		percent_span(g->roi_x, g->roi_width, width, &out->x, &out->width);
		percent_span(g->roi_y, g->roi_height, height, &out->y, &out->height);
		return 0;
	}
	if (g->roi_x + g->roi_width > width || g->roi_y + g->roi_height > height)
		return ad_fail(
		    err, ADTOOL_EINVAL,
		    "the model's region of interest, %g,%g,%g,%g, reaches beyond the picture of %u x %u pixels",
		    g->roi_x, g->roi_y, g->roi_width, g->roi_height, width, height);
	*out = (ad_area){(unsigned)g->roi_x, (unsigned)g->roi_y, (unsigned)g->roi_width, (unsigned)g->roi_height};
	return 0;
}

/* -- fitting ------------------------------------------------------------------------------------------------- */

void ad_padding_colour(const adtool_preprocessing *p, uint8_t colour[3])
{
	int c;

	for (c = 0; c < 3; c++) {
		double v = (double)p->mean[p->bgr ? 2 - c : c] * 255 / (double)p->range;

		colour[c] = (uint8_t)(v > 0 ? v < 255 ? v + 0.5 : 255 : 0);
	}
}

/* a * b / c, rounded to nearest, at least 1. */
static unsigned scaled(unsigned a, unsigned b, unsigned c)
{
	uint64_t n = (2 * (uint64_t)a * b + c) / (2 * (uint64_t)c);

	return n ? (unsigned)n : 1;
}

/* The box of the input follows from where the part went. */
static void set_box(ad_fitting *f, unsigned width, unsigned height)
{
	double x = (double)f->from.width / f->width, y = (double)f->from.height / f->height;

	f->box[0] = f->from.x - f->left * x;
	f->box[1] = f->from.y - f->top * y;
	f->box[2] = width * x;
	f->box[3] = height * y;
}

void ad_fit_area(enum adtool_fit fit, const ad_area *area, unsigned width, unsigned height, ad_fitting *out)
{
	/* Whether the area is wider than the input's shape. */
	int wider = (uint64_t)area->width * height > (uint64_t)area->height * width;

	*out = (ad_fitting){.from = *area, .width = width, .height = height};
	if (fit == ADTOOL_LETTERBOX) {
		if (wider)
			out->height = scaled(area->height, width, area->width);
		else
			out->width = scaled(area->width, height, area->height);
		out->left = (width - out->width) / 2;
		out->top = (height - out->height) / 2;
	} else if (fit == ADTOOL_CROP) {
		if (wider)
			out->from.width = scaled(area->height, width, height);
		else
			out->from.height = scaled(area->width, height, width);
		out->from.x += (area->width - out->from.width) / 2;
		out->from.y += (area->height - out->from.height) / 2;
	}
	set_box(out, width, height);
}

void ad_fit_tile(const adtool_geometry *g, const ad_area *area, unsigned width, unsigned height, ad_fitting *out)
{
	*out = (ad_fitting){
	    .from = *area,
	    .width = scaled(area->width, width, g->tile_width),
	    .height = scaled(area->height, height, g->tile_height),
	};
	set_box(out, width, height);
}

int ad_image_cut(const adtool_image *image, const ad_area *area, adtool_image **out, adtool_error *err)
{
	size_t pitch = (size_t)3 * area->width;
	adtool_image *cut;
	unsigned y;
	int code = ad_image_alloc(area->width, area->height, &cut, err);

	if (code)
		return code;
	for (y = 0; y < area->height; y++)
		memcpy(cut->pixels + y * pitch,
		       image->pixels + ((size_t)(area->y + y) * image->width + area->x) * 3, pitch);
	*out = cut;
	return 0;
}

int ad_fitting_to_tensor(const adtool_image *part, const ad_fitting *f, const adtool_preprocessing *p, unsigned width,
			 unsigned height, float *tensor, adtool_error *err)
{
	adtool_image *resized = NULL, *input = NULL;
	uint8_t colour[3];
	size_t i, n = (size_t)width * height;
	unsigned y;
	int code;

	if (f->width == width && f->height == height)
		return ad_image_to_tensor(part, p, width, height, tensor, err);
	code = adtool_image_resize(part, f->width, f->height, &resized, err);
	if (!code)
		code = ad_image_alloc(width, height, &input, err);
	if (!code) {
		ad_padding_colour(p, colour);
		for (i = 0; i < n; i++)
			memcpy(input->pixels + 3 * i, colour, 3);
		for (y = 0; y < f->height; y++)
			memcpy(input->pixels + ((size_t)(f->top + y) * width + f->left) * 3,
			       resized->pixels + (size_t)3 * f->width * y, (size_t)3 * f->width);
		code = ad_image_to_tensor(input, p, width, height, tensor, err);
	}
	adtool_image_free(resized);
	adtool_image_free(input);
	return code;
}

/* -- cells --------------------------------------------------------------------------------------------------- */

/* Keeps the cell in which the point x, y of the picture lies. */
static void keep_cell(uint8_t *kept, const ad_fitting *f, unsigned grid, double x, double y)
{
	double col = (x - f->box[0]) * grid / f->box[2], row = (y - f->box[1]) * grid / f->box[3];

	if (col >= 0 && row >= 0 && col < grid && row < grid)
		kept[(size_t)row * grid + (size_t)col] = 1;
}

int ad_mask_cells(const ad_mask *mask, unsigned picture_width, unsigned picture_height, const ad_fitting *f,
		  unsigned width, unsigned height, unsigned grid, uint32_t **cells, size_t *count, adtool_error *err)
{
	size_t all = (size_t)grid * grid, n = 0, i;
	uint8_t *kept = ad_calloc(all, 1);
	uint32_t *list = ad_malloc_array(all, sizeof(*list));
	const ad_area *from = &f->from;
	unsigned x, y;

	if (!kept || !list) {
		ad_free(kept);
		ad_free(list);
		return ad_fail_nomem(err);
	}
	/* Each pixel of the picture, and each of the input: whichever is finer meets all cells. */
	for (y = from->y; y < from->y + from->height; y++)
		for (x = from->x; x < from->x + from->width; x++)
			if (ad_mask_at(mask, picture_width, picture_height, x, y))
				keep_cell(kept, f, grid, x + 0.5, y + 0.5);
	for (y = 0; y < height; y++)
		for (x = 0; x < width; x++) {
			double u = f->box[0] + (x + 0.5) * f->box[2] / width,
			       v = f->box[1] + (y + 0.5) * f->box[3] / height;

			if (u >= from->x && v >= from->y && u < from->x + from->width && v < from->y + from->height &&
			    ad_mask_at(mask, picture_width, picture_height, (unsigned)u, (unsigned)v))
				keep_cell(kept, f, grid, u, v);
		}
	for (i = 0; i < all; i++)
		if (kept[i])
			list[n++] = (uint32_t)i;
	ad_free(kept);
	*cells = list;
	*count = n;
	return 0;
}
