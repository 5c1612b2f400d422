/*
 * Heat maps. One scale for all pictures: a residual's colour depends only on its ratio to the level. Up to the level
 * the scale is linear in the ratio and calm; above, logarithmic, and increasingly hot up to TOP times the level.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <math.h>

#include "font.h"

#define TOP 8.0      /* ratio at the end of the scale; more looks the same */
#define LEVEL_AT 0.4 /* where the level stands on the scale, 0 .. 1 */
#define STEPS_PER_LEVEL 256
#define STEPS ((unsigned)(TOP * STEPS_PER_LEVEL) + 1)
#define UNSEEN -1.0f /* in rows to be drawn: cold, and no value to the contour */

/* A picture narrower than this is drawn enlarged by a whole factor, if that leaves it at most TALLEST high. */
#define NARROWEST 160u
#define TALLEST 1024u
/* The legend grows with the picture up to this scale. */
#define LARGEST 12u

typedef struct rgb {
	uint8_t c[3];
} rgb;

static const rgb paper = {{0x16, 0x19, 0x1f}}, ink = {{0xd6, 0xda, 0xe0}}, faint = {{0x7d, 0x84, 0x90}};

/* Lightness rises all along the scale, so that it reads the same without colour vision; see the test of it. */
static const struct stop {
	double at;
	rgb colour;
} stops[] = {
    {0.00, {{0x15, 0x1b, 0x29}}}, {0.20, {{0x21, 0x30, 0x49}}}, {LEVEL_AT, {{0x34, 0x47, 0x68}}},
    {0.46, {{0x84, 0x48, 0x7f}}}, {0.58, {{0xc9, 0x4c, 0x5e}}}, {0.72, {{0xee, 0x73, 0x3a}}},
    {0.86, {{0xfb, 0xaf, 0x38}}}, {1.00, {{0xfd, 0xf3, 0xa9}}},
};

static double place_of(double ratio)
{
	if (ratio <= 1)
		return LEVEL_AT * ratio;
	return ratio >= TOP ? 1 : LEVEL_AT + (1 - LEVEL_AT) * log(ratio) / log(TOP);
}

static rgb colour_at(double place)
{
	size_t i = 1;
	double t;
	rgb out;
	int c;

	while (i + 1 < sizeof(stops) / sizeof(stops[0]) && stops[i].at < place)
		i++;
	t = (place - stops[i - 1].at) / (stops[i].at - stops[i - 1].at);
	t = t < 0 ? 0 : t > 1 ? 1 : t;
	for (c = 0; c < 3; c++)
		out.c[c] = (uint8_t)(stops[i - 1].colour.c[c] * (1 - t) + stops[i].colour.c[c] * t + 0.5);
	return out;
}

/* How much the heat covers the picture in an overlay. */
static double cover_at(double ratio)
{
	double t = (ratio - 0.6) / 0.6; /* from calm to hot around the level, without an edge of its own */

	t = t < 0 ? 0 : t > 1 ? 1 : t;
	t = t * t * (3 - 2 * t);
	return 0.16 + t * 0.34 + (ratio > 1 ? 0.25 * (place_of(ratio) - LEVEL_AT) / (1 - LEVEL_AT) : 0);
}

/* -- the map between its cells ------------------------------------------------------------------------- */

/*
 * Monotone cubic interpolation between the cells' centres (Fritsch & Carlson 1980: the mean of the neighbouring
 * differences, at most three times the smaller, 0 at extrema), first along rows, then along columns; constant beyond
 * the outer centres. It passes through the cells' values, has continuous slopes, and never leaves the range of
 * its neighbours.
 */
typedef struct smooth {
	unsigned rows, width, height;
	const ad_view *view;     /* NULL: the map covers the drawing */
	unsigned left, right;    /* columns seen: left .. right - 1 */
	unsigned top, bottom;
	float *value, *slope; /* rows x width: at the rows' centres, and along the columns */
} smooth;

static float slope_between(float before, float here, float after)
{
	float a = here - before, b = after - here, mean = 0.5f * (a + b);
	float most = 3 * (fabsf(a) < fabsf(b) ? fabsf(a) : fabsf(b));

	if ((a > 0) != (b > 0))
		return 0;
	return fabsf(mean) < most ? mean : mean > 0 ? most : -most;
}

/*
 * Which cells a position of `size` lies between: i and i + 1, at t in 0 .. 1. The cells cover box[0] .. box[0] + box[2]
 * of `whole`; box NULL: all.
 */
static unsigned locate(unsigned position, unsigned size, unsigned cells, const double *box, unsigned whole, float *t)
{
	double u = (position + 0.5) * cells / size - 0.5;
	unsigned i;

	if (box)
		u = ((position + 0.5) * whole / size - box[0]) * cells / box[2] - 0.5;

	if (u <= 0 || cells == 1) {
		*t = 0;
		return 0;
	}
	if (u >= cells - 1) {
		*t = 1;
		return cells - 2;
	}
	i = (unsigned)u;
	*t = (float)(u - i);
	return i;
}

static void smooth_release(smooth *s)
{
	ad_free(s->value);
	ad_free(s->slope);
	s->value = s->slope = NULL;
}

static void hermite(float t, float w[4])
{
	w[0] = (1 + 2 * t) * (1 - t) * (1 - t);
	w[1] = t * t * (3 - 2 * t);
	w[2] = t * (1 - t) * (1 - t);
	w[3] = t * t * (t - 1);
}

/* The first position of `size` whose centre lies at or beyond x of `whole`. */
static unsigned first_beyond(unsigned x, unsigned whole, unsigned size)
{
	uint64_t at = (2 * (uint64_t)size * x + whole - 1) / whole;

	return (unsigned)(at / 2);
}

static void smooth_view(smooth *s, const ad_view *v)
{
	const ad_area *a = &v->seen;

	s->view = v;
	s->left = first_beyond(a->x, v->width, s->width);
	s->right = first_beyond(a->x + a->width, v->width, s->width);
	s->top = first_beyond(a->y, v->height, s->height);
	s->bottom = first_beyond(a->y + a->height, v->height, s->height);
}

static void hide_unseen(const smooth *s, unsigned y, float hidden, float *out)
{
	unsigned x;

	for (x = 0; x < s->width; x++)
		if (x < s->left || x >= s->right || y < s->top || y >= s->bottom)
			out[x] = hidden;
	if (s->view->mask)
		ad_mask_hide(s->view->mask, s->width, s->height, y, hidden, out);
}

static int smooth_init(smooth *s, const ad_heat *heat, unsigned width, unsigned height, adtool_error *err)
{
	size_t cells = (size_t)heat->rows * heat->cols, i;
	unsigned r, x;

	const ad_view *view = heat->view;

	*s = (smooth){.rows = heat->rows, .width = width, .height = height};
	if (!heat->rows || !heat->cols || !width || !height)
		return ad_fail(err, ADTOOL_EINVAL, "a heat map of %u x %u cells at %u x %u pixels", heat->cols,
			       heat->rows, width, height);
	if (view)
		smooth_view(s, view);
	for (i = 0; i < cells; i++)
		if (!isfinite(heat->map[i]) || heat->map[i] < 0)
			return ad_fail(err, ADTOOL_ENUMERIC, "the residual %g of cell %zu cannot be drawn",
				       heat->map[i], i);
	if (width <= SIZE_MAX / heat->rows) {
		s->value = ad_malloc_array((size_t)width * heat->rows, sizeof(float));
		s->slope = ad_malloc_array((size_t)width * heat->rows, sizeof(float));
	}
	if (!s->value || !s->slope) {
		smooth_release(s);
		return ad_fail_nomem(err);
	}
	for (x = 0; x < width; x++) {
		unsigned c = heat->cols, last = c - 1;
		float t, w[4];
		unsigned i0 = locate(x, width, c, view ? view->box : NULL, view ? view->width : 0, &t),
			 i1 = i0 < last ? i0 + 1 : i0;

		hermite(t, w);
		for (r = 0; r < heat->rows; r++) {
			const float *m = heat->map + (size_t)r * c;
			float d0 = slope_between(m[i0 ? i0 - 1 : 0], m[i0], m[i1]);
			float d1 = slope_between(m[i0], m[i1], m[i1 < last ? i1 + 1 : last]);

			s->value[(size_t)r * width + x] = w[0] * m[i0] + w[1] * m[i1] + w[2] * d0 + w[3] * d1;
		}
	}
	for (r = 0; r < s->rows; r++) {
		const float *here = s->value + (size_t)r * width;
		const float *before = r ? here - width : here, *after = r + 1 < s->rows ? here + width : here;
		float *slope = s->slope + (size_t)r * width;

		for (x = 0; x < width; x++)
			slope[x] = slope_between(before[x], here[x], after[x]);
	}
	return 0;
}

/* hidden: what stands where the view has not seen. */
static void smooth_row(const smooth *s, unsigned y, float hidden, float *restrict out)
{
	float t, w[4];
	const ad_view *view = s->view;
	unsigned x, i0 = locate(y, s->height, s->rows, view ? view->box + 1 : NULL, view ? view->height : 0, &t),
		    i1 = i0 + 1 < s->rows ? i0 + 1 : i0;
	const float *v0 = s->value + (size_t)i0 * s->width, *v1 = s->value + (size_t)i1 * s->width;
	const float *d0 = s->slope + (size_t)i0 * s->width, *d1 = s->slope + (size_t)i1 * s->width;

	hermite(t, w);
	for (x = 0; x < s->width; x++) {
		float v = w[0] * v0[x] + w[1] * v1[x] + w[2] * d0[x] + w[3] * d1[x];

		out[x] = v > 0 ? v : 0;
	}
	if (view)
		hide_unseen(s, y, hidden, out);
}

int ad_heat_rows(const ad_heat *heat, unsigned width, unsigned height,
		 int (*row)(void *context, unsigned y, const float *values), void *context, adtool_error *err)
{
	float *values;
	smooth s;
	unsigned y;
	int rc = smooth_init(&s, heat, width, height, err);

	if (rc)
		return rc;
	values = ad_malloc_array(width, sizeof(*values));
	if (!values)
		rc = ad_fail_nomem(err);
	for (y = 0; !rc && y < height; y++) {
		smooth_row(&s, y, 0, values);
		rc = row(context, y, values);
	}
	ad_free(values);
	smooth_release(&s);
	return rc;
}

int ad_heat_upsample(const ad_heat *heat, unsigned width, unsigned height, float *out, adtool_error *err)
{
	smooth s;
	unsigned y;
	int rc = smooth_init(&s, heat, width, height, err);

	if (rc)
		return rc;
	for (y = 0; y < height; y++)
		smooth_row(&s, y, 0, out + (size_t)y * width);
	smooth_release(&s);
	return 0;
}

/* -- the legend ---------------------------------------------------------------------------------------- */

/* In units of the legend's scale. */
enum { PAD = 7, BAR = 9, TICK = 3, GAP = 2, STRIP = PAD + BAR + TICK + GAP + AD_FONT_HEIGHT + PAD - 2, SIDE = 10 };

typedef struct canvas {
	adtool_image *image;
	unsigned factor;        /* whole enlargement of the picture */
	unsigned left;          /* of the drawing; the margins are paper */
	unsigned width, height; /* of the drawing */
	unsigned scale;         /* of the legend */
} canvas;

static void fill(adtool_image *image, size_t x, size_t y, size_t w, size_t h, rgb colour)
{
	size_t i, j;

	for (j = y; j < y + h && j < image->height; j++)
		for (i = x; i < x + w && i < image->width; i++)
			memcpy(image->pixels + (j * image->width + i) * 3, colour.c, 3);
}

static void draw_text(adtool_image *image, size_t x, size_t y, unsigned scale, const char *text, rgb colour)
{
	for (; *text; text++, x += (size_t)scale * (AD_FONT_WIDTH + 1)) {
		const uint8_t *glyph = ad_font_glyph(*text);
		size_t row, dot;

		for (row = 0; glyph && row < AD_FONT_HEIGHT; row++)
			for (dot = 0; dot < AD_FONT_WIDTH; dot++)
				if (glyph[row] >> (AD_FONT_WIDTH - 1 - dot) & 1)
					fill(image, x + dot * scale, y + row * scale, scale, scale, colour);
	}
}

static void draw_legend(const canvas *v)
{
	static const struct tick {
		double ratio;
		const char *text;
	} ticks[] = {{0, "0"}, {1, "level"}, {2, "2x"}, {4, "4x"}, {TOP, "8x+"}};
	adtool_image *image = v->image;
	size_t s = v->scale, top = v->height, length = image->width - 2 * s * SIDE, x, i;

	fill(image, 0, top, image->width, image->height - top, paper);
	for (x = 0; x < length; x++)
		fill(image, s * SIDE + x, top + s * PAD, 1, s * BAR, colour_at(((double)x + 0.5) / (double)length));
	for (i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
		const struct tick *t = &ticks[i];
		size_t wide = s * ((AD_FONT_WIDTH + 1) * strlen(t->text) - 1), at, from;
		int level = t->ratio == 1;

		at = s * SIDE + (size_t)(place_of(t->ratio) * (double)(length - s));
		from = at + s / 2 < wide / 2 ? 0 : at + s / 2 - wide / 2;
		if (from + wide + 4 * s > image->width)
			from = image->width - wide - 4 * s;
		fill(image, at, top + s * (level ? PAD - 2 : PAD + BAR), s, s * (level ? BAR + TICK + 1 : TICK - 1),
		     level ? ink : faint);
		draw_text(image, from, top + s * (PAD + BAR + TICK + GAP), (unsigned)s, t->text, level ? ink : faint);
	}
}

static int canvas_init(canvas *v, const ad_heat *heat, unsigned width, unsigned height, int bare, adtool_error *err)
{
	uint64_t full_width, full_height;
	unsigned fits;
	int rc;

	if (!width || !height || width > AD_MAX_SIDE || height > AD_MAX_SIDE)
		return ad_fail(err, ADTOOL_EINVAL, "a heat map cannot be %u x %u pixels (1 .. %u a side)", width,
			       height, AD_MAX_SIDE);
	if (!(heat->level >= 1e-35 && heat->level <= 1e35)) /* its inverse, too, is an ordinary float */
		return ad_fail(err, ADTOOL_EINVAL, "a heat map cannot be anchored at a level of %g", heat->level);
	if (bare) {
		v->factor = 1;
		v->width = width;
		v->height = height;
		return ad_image_alloc(width, height, &v->image, err);
	}
	v->factor = (NARROWEST + width - 1) / width;
	fits = TALLEST / height ? TALLEST / height : 1;
	if (v->factor > fits)
		v->factor = fits;
	v->width = width * v->factor;
	v->height = height * v->factor;
	full_width = v->width < NARROWEST ? NARROWEST : v->width;
	v->left = (unsigned)(full_width - v->width) / 2;
	v->scale = (unsigned)(full_width + 240) / 480;
	v->scale = v->scale < 1 ? 1 : v->scale > LARGEST ? LARGEST : v->scale;
	full_height = v->height + (uint64_t)v->scale * STRIP;
	rc = ad_image_alloc((unsigned)full_width, (unsigned)full_height, &v->image, err);
	if (rc)
		return rc;
	if (v->left || full_width > v->width)
		fill(v->image, 0, 0, full_width, v->height, paper);
	draw_legend(v);
	return 0;
}

/* -- the drawing --------------------------------------------------------------------------------------- */

/* One step of the scale: the colour times its cover, and what is left for the picture, of 256. */
typedef struct shade {
	uint16_t add[3], keep;
} shade;

static void shades_init(shade *shades, int overlay)
{
	unsigned i;
	int c;

	for (i = 0; i < STEPS; i++) {
		double ratio = (i + 0.5) / STEPS_PER_LEVEL, cover = overlay ? cover_at(ratio) : 1;
		rgb colour = colour_at(place_of(ratio));

		shades[i].keep = (uint16_t)(256 * (1 - cover) + 0.5);
		for (c = 0; c < 3; c++)
			shades[i].add[c] = (uint16_t)((256 - shades[i].keep) * colour.c[c]);
	}
}

static inline const shade *shade_of(const shade *shades, float value, float steps_per_unit)
{
	float at = value * steps_per_unit;

	return &shades[at < (float)(STEPS - 1) ? (at > 0 ? (unsigned)at : 0) : STEPS - 1];
}

static void heat_row(const float *value, unsigned width, const shade *shades, float steps, uint8_t *restrict to)
{
	unsigned x;

	for (x = 0; x < width; x++, to += 3) {
		const shade *h = shade_of(shades, value[x], steps);

		to[0] = (uint8_t)(h->add[0] >> 8);
		to[1] = (uint8_t)(h->add[1] >> 8);
		to[2] = (uint8_t)(h->add[2] >> 8);
	}
}

/* The heat over a row of the picture, which is drawn mostly gray and a little darker, each pixel `factor` times. */
static void cover_row(const float *value, const uint8_t *from, unsigned width, unsigned factor, const shade *shades,
		      float steps, uint8_t *restrict to)
{
	unsigned x, k;

	for (x = 0; x < width; x++, from += 3) {
		unsigned gray = 150 * ((77u * from[0] + 150u * from[1] + 29u * from[2] + 128) >> 8) + 128;
		unsigned r = (gray + from[0] * 62u) >> 8, g = (gray + from[1] * 62u) >> 8;
		unsigned b = (gray + from[2] * 62u) >> 8;

		for (k = 0; k < factor; k++, to += 3) {
			const shade *h = shade_of(shades, *value++, steps);

			to[0] = (uint8_t)((r * h->keep + h->add[0] + 128) >> 8);
			to[1] = (uint8_t)((g * h->keep + h->add[1] + 128) >> 8);
			to[2] = (uint8_t)((b * h->keep + h->add[2] + 128) >> 8);
		}
	}
}

/*
 * The contour: |value - level| over the gradient's length is the distance to the line in pixels, to first order. A
 * light line with a dark edge, so that it shows on any ground. What is not seen has no part in the gradient; a hot area
 * that reaches it ends with a line there.
 */
static inline float seen_or(float value, float here)
{
	return value >= 0 ? value : here;
}

static void draw_contour(const float *above, const float *here, const float *below, unsigned width, float level,
			 float steepest, float half, uint8_t *restrict to)
{
	float reach = half + 1.5f, far = reach * steepest;
	unsigned x;
	int c;

	for (x = 0; x < width; x++) {
		float off = here[x] - level, left, right, dx, dy, slope2, distance, light, dark;

		if (here[x] < 0)
			continue;
		left = here[x ? x - 1 : 0];
		right = here[x + 1 < width ? x + 1 : x];
		if (off > 0 && (left < 0 || right < 0 || above[x] < 0 || below[x] < 0)) {
			light = 1;
			dark = 0;
		} else {
			if (fabsf(off) > far)
				continue;
			dx = seen_or(right, here[x]) - seen_or(left, here[x]);
			dy = seen_or(below[x], here[x]) - seen_or(above[x], here[x]);
			slope2 = (dx * dx + dy * dy) * 0.25f;
			if (off * off >= reach * reach * slope2)
				continue;
			distance = fabsf(off) / sqrtf(slope2);
			light = half + 0.5f - distance;
			light = light > 1 ? 1 : light < 0 ? 0 : light;
			dark = 0.55f * (reach - distance > 1 ? 1 : reach - distance);
		}
		for (c = 0; c < 3; c++) {
			uint8_t *p = to + 3 * x + c;

			*p = (uint8_t)((float)*p * (1 - dark) * (1 - light) + 255 * light + 0.5f);
		}
	}
}

static int draw(const ad_heat *heat, const adtool_image *picture, unsigned width, unsigned height, int bare,
		adtool_image **out, adtool_error *err)
{
	float *lines = NULL, *above, *here, *below, peak = 0, level = (float)heat->level, half, steps, steepest, wide,
	      high;
	shade *shades = NULL;
	canvas v = {0};
	smooth s = {0};
	size_t i;
	unsigned y;
	int rc = canvas_init(&v, heat, width, height, bare, err);

	if (!rc)
		rc = smooth_init(&s, heat, v.width, v.height, err);
	if (rc)
		goto done;
	lines = ad_malloc_array(v.width, 3 * sizeof(float));
	shades = ad_malloc_array(STEPS, sizeof(*shades));
	if (!lines || !shades) {
		rc = ad_fail_nomem(err);
		goto done;
	}
	shades_init(shades, picture != NULL);
	for (i = 0; i < (size_t)heat->rows * heat->cols; i++)
		peak = heat->map[i] > peak ? heat->map[i] : peak;
	half = (float)(v.width < v.height ? v.width : v.height) / 700;
	half = half < 0.75f ? 0.75f : half;
	steps = (float)(STEPS_PER_LEVEL / heat->level);
	/* The interpolation climbs at most 3 times the peak from cell to cell. */
	wide = heat->view ? (float)(heat->view->box[2] / heat->view->width) : 1;
	high = heat->view ? (float)(heat->view->box[3] / heat->view->height) : 1;
	steepest = 3 * peak *
		   hypotf((float)heat->cols / (wide * (float)v.width), (float)heat->rows / (high * (float)v.height));

	here = lines;
	below = here + v.width;
	above = below + v.width;
	smooth_row(&s, 0, UNSEEN, here);
	memcpy(above, here, v.width * sizeof(float));
	for (y = 0; y < v.height; y++) {
		uint8_t *row = v.image->pixels + ((size_t)y * v.image->width + v.left) * 3;
		float *spare = above;

		smooth_row(&s, y + 1 < v.height ? y + 1 : y, UNSEEN, below);
		if (picture)
			cover_row(here, picture->pixels + (size_t)3 * width * (y / v.factor), width, v.factor, shades,
				  steps, row);
		else
			heat_row(here, v.width, shades, steps, row);
		if (picture && peak > level)
			draw_contour(above, here, below, v.width, level, steepest, half, row);
		above = here;
		here = below;
		below = spare;
	}
done:
	smooth_release(&s);
	ad_free(lines);
	ad_free(shades);
	if (rc)
		adtool_image_free(v.image);
	else
		*out = v.image;
	return rc;
}

int ad_heat_map(const ad_heat *heat, unsigned width, unsigned height, adtool_image **out, adtool_error *err)
{
	return draw(heat, NULL, width, height, 0, out, err);
}

int ad_heat_overlay(const ad_heat *heat, const adtool_image *picture, adtool_image **out, adtool_error *err)
{
	return draw(heat, picture, picture->width, picture->height, 0, out, err);
}

int ad_heat_cover(const ad_heat *heat, const adtool_image *picture, adtool_image **out, adtool_error *err)
{
	return draw(heat, picture, picture->width, picture->height, 1, out, err);
}
