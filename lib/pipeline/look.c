/* What of a picture becomes the input of the network: region, mask, fit. */
#include "pipeline.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

int ad_look_create(const adtool_geometry *geometry, const adtool_image *mask, struct ad_look *out, adtool_error *err)
{
	struct ad_look l = {.geometry = *geometry};
	int code = adtool_geometry_check(geometry, err);

	if (!code && mask)
		code = ad_mask_create(mask, &l.mask, err);
	if (code)
		return mask ? ad_fail_within(err, code, "the mask") : code;
	*out = l;
	return 0;
}

void ad_look_release(struct ad_look *l)
{
	ad_mask_free(l->mask);
	memset(l, 0, sizeof(*l));
}

int ad_look_same(const adtool_geometry *a, const adtool_geometry *b)
{
	return a->fit == b->fit && a->tile_width == b->tile_width && a->tile_height == b->tile_height &&
	       a->tile_overlap == b->tile_overlap && !(a->roi_x != b->roi_x) && !(a->roi_y != b->roi_y) &&
	       !(a->roi_width != b->roi_width) && !(a->roi_height != b->roi_height) &&
	       a->roi_percent == b->roi_percent && a->background == b->background;
}

int ad_look_is_plain(const struct ad_look *l)
{
	const adtool_geometry *g = &l->geometry;

	return !l->mask && g->fit == ADTOOL_STRETCH && !g->tile_width && !(g->roi_width > 0);
}

/* -- regions --------------------------------------------------------------------------------------------- */

int ad_look_region(const struct ad_look *l, unsigned width, unsigned height, ad_area *out, adtool_error *err)
{
	const adtool_geometry *g = &l->geometry;
	int code = l->mask ? ad_mask_check(l->mask, width, height, err) : 0;

	/* Which cells the mask leaves must not depend on the picture's size. */
	if (!code && l->mask && g->roi_width > 0 && !g->roi_percent &&
	    (width != l->mask->width || height != l->mask->height))
		code =
		    ad_fail(err, ADTOOL_EINVAL,
			    "%u x %u pixels, where the model's mask has %u x %u: with a region of interest in pixels "
			    "both must have the same size",
			    width, height, l->mask->width, l->mask->height);
	return code ? code : ad_region_of(g, width, height, out, err);
}

/* Without tiles: how a picture is fitted, and where its map lies. view may be NULL. */
static int fit_picture(const struct ad_look *l, unsigned picture_width, unsigned picture_height, unsigned width,
		       unsigned height, ad_fitting *fitting, ad_view *view, adtool_error *err)
{
	ad_area region;
	int code = ad_look_region(l, picture_width, picture_height, &region, err);

	if (code)
		return code;
	ad_fit_area(l->geometry.fit, &region, width, height, fitting);
	if (view) {
		*view = (ad_view){
		    .width = picture_width, .height = picture_height, .seen = fitting->from, .mask = l->mask};
		memcpy(view->box, fitting->box, sizeof(view->box));
	}
	return 0;
}

/* -- cells ----------------------------------------------------------------------------------------------- */

int ad_look_cells(const struct ad_look *l, unsigned width, unsigned height, unsigned grid, struct ad_cells *out,
		  adtool_error *err)
{
	ad_fitting fitting;
	int code;

	memset(out, 0, sizeof(*out));
	if (!l->mask || l->geometry.tile_width)
		return 0;
	code = fit_picture(l, l->mask->width, l->mask->height, width, height, &fitting, NULL, err);
	if (code)
		return ad_fail_within(err, code, "the mask");
	code = ad_mask_cells(l->mask, l->mask->width, l->mask->height, &fitting, width, height, grid, &out->index,
			     &out->count, err);
	if (!code && !out->count) {
		ad_cells_release(out);
		code = ad_fail(err, ADTOOL_EINVAL, "the mask: it has no white where pictures are looked at");
	}
	return code;
}

void ad_cells_release(struct ad_cells *c)
{
	ad_free(c->index);
	memset(c, 0, sizeof(*c));
}

void ad_cells_keep(const struct ad_cells *c, const float *from, size_t channels, unsigned grid, float *to)
{
	size_t all = (size_t)grid * grid, channel, i;

	for (channel = 0; channel < channels; channel++, from += all)
		for (i = 0; i < c->count; i++)
			*to++ = from[c->index[i]];
}

void ad_cells_spread(const struct ad_cells *c, const float *from, unsigned grid, float *to)
{
	size_t i;

	memset(to, 0, (size_t)grid * grid * sizeof(*to));
	for (i = 0; i < c->count; i++)
		to[c->index[i]] = from[i];
}

/* -- pictures -------------------------------------------------------------------------------------------- */

int ad_look_tensor(const struct ad_look *l, const adtool_image *image, const adtool_preprocessing *p, unsigned width,
		   unsigned height, float *tensor, adtool_error *err)
{
	unsigned picture_width = adtool_image_width(image), picture_height = adtool_image_height(image);
	adtool_image *cut = NULL;
	ad_fitting f;
	uint8_t colour[3];
	int code;

	if (!l)
		return ad_image_to_tensor(image, p, width, height, tensor, err);
	code = fit_picture(l, picture_width, picture_height, width, height, &f, NULL, err);
	if (code)
		return code;
	if (l->mask || f.from.width != picture_width || f.from.height != picture_height) {
		code = ad_image_cut(image, &f.from, &cut, err);
		if (code)
			return code;
	}
	if (l->mask) {
		ad_padding_colour(p, colour);
		ad_mask_paint(l->mask, picture_width, picture_height, f.from.x, f.from.y, cut, colour);
	}
	code = ad_fitting_to_tensor(cut ? cut : image, &f, p, width, height, tensor, err);
	adtool_image_free(cut);
	return code;
}

/* -- rows ------------------------------------------------------------------------------------------------ */

int ad_row_place(const struct ad_look *l, unsigned width, unsigned height, adtool_row *row, struct adtool_view *at,
		 adtool_error *err)
{
	ad_fitting f;
	int code;

	row->map_box[2] = row->width;
	row->map_box[3] = row->height;
	if (ad_look_is_plain(l))
		return 0;
	code = fit_picture(l, row->width, row->height, width, height, &f, &at->view, err);
	if (code)
		return code;
	memcpy(row->map_box, f.box, sizeof(row->map_box));
	row->view = at;
	return 0;
}

void ad_row_place_region(const struct ad_look *l, const ad_area *region, adtool_row *row, struct adtool_view *at)
{
	const double box[4] = {region->x, region->y, region->width, region->height};

	memcpy(row->map_box, box, sizeof(row->map_box));
	if (!l->mask && region->width == row->width && region->height == row->height)
		return;
	at->view = (ad_view){.width = row->width, .height = row->height, .seen = *region, .mask = l->mask};
	memcpy(at->view.box, box, sizeof(box));
	row->view = at;
}

int adtool_row_upsample(const adtool_row *row, float *out, adtool_error *err)
{
	ad_heat heat = {.map = row->map, .rows = row->map_rows, .cols = row->map_cols, .level = 1};

	if (!row->map)
		return ad_fail(err, ADTOOL_EINVAL, "a row without a map");
	heat.view = row->view ? &row->view->view : NULL;
	return ad_heat_upsample(&heat, row->width, row->height, out, err);
}
