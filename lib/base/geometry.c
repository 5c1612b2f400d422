/* What of a geometry can be told without a picture. */
#include <adtool/geometry.h>

#include <math.h>

#include "fail.h"

const char *adtool_fit_name(enum adtool_fit fit)
{
	static const char *const names[] = {
	    [ADTOOL_STRETCH] = "stretch", [ADTOOL_LETTERBOX] = "letterbox", [ADTOOL_CROP] = "crop"};

	return names[fit];
}

static int has_region(const adtool_geometry *g)
{
	return g->roi_x != 0 || g->roi_y != 0 || g->roi_width != 0 || g->roi_height != 0;
}

/* One direction of it, where a picture may have up to `most` of its unit. */
static int span_fits(double at, double length, double most, int whole)
{
	return at >= 0 && length > 0 && at + length <= most * (1 + 1e-12) &&
	       (!whole || (at == floor(at) && length == floor(length)));
}

int adtool_geometry_check(const adtool_geometry *g, adtool_error *err)
{
	double most = g->roi_percent ? 100 : 65535;

	if (g->fit != ADTOOL_STRETCH && g->fit != ADTOOL_LETTERBOX && g->fit != ADTOOL_CROP)
		return ad_fail(err, ADTOOL_EINVAL, "fit %d is not known", (int)g->fit);
	if (!g->tile_width != !g->tile_height || g->tile_width > 4096 || g->tile_height > 4096)
		return ad_fail(err, ADTOOL_EINVAL, "tiles of %u x %u pixels; each side is 1 to 4096", g->tile_width,
			       g->tile_height);
	if (g->tile_overlap &&
	    (g->tile_overlap >= g->tile_width || g->tile_overlap >= g->tile_height))
		return ad_fail(err, ADTOOL_EINVAL, "tiles of %u x %u pixels cannot overlap by %u", g->tile_width,
			       g->tile_height, g->tile_overlap);
	if (g->tile_width && g->fit != ADTOOL_STRETCH)
		return ad_fail(err, ADTOOL_EINVAL, "tiles are stretched to the input: fit %s does not go with them",
			       adtool_fit_name(g->fit));
	if (has_region(g) ? !span_fits(g->roi_x, g->roi_width, most, !g->roi_percent) ||
				    !span_fits(g->roi_y, g->roi_height, most, !g->roi_percent)
			  : g->roi_percent != 0)
		return ad_fail(err, ADTOOL_EINVAL, "the region %g,%g,%g,%g lies in no picture%s", g->roi_x, g->roi_y,
			       g->roi_width, g->roi_height, g->roi_percent ? " (percent)" : "");
	if (g->background > 0xffffff)
		return ad_fail(err, ADTOOL_EINVAL, "background %u is no colour", g->background);
	return 0;
}
