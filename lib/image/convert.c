/* Samples of any layout to opaque 8-bit sRGB. */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

static unsigned top_of(const ad_layout *l)
{
	return l->depth == 16 ? 65535 : 255;
}

static unsigned stride_of(const ad_layout *l)
{
	return l->colours + (l->alpha != AD_OPAQUE) + l->extra;
}

/* What each gray becomes: one value, so that gray stays gray whatever a profile's rounding does. */
static int make_curve(ad_convert *c, adtool_error *err)
{
	size_t n = (size_t)top_of(&c->layout) + 1, i;
	uint16_t *gray = ad_malloc_array(n, sizeof(*gray));
	uint8_t *rgb = ad_malloc_array(n, 3);

	c->curve = ad_malloc(n);
	if (!gray || !rgb || !c->curve) {
		ad_free(gray);
		ad_free(rgb);
		return ad_fail_nomem(err);
	}
	for (i = 0; i < n; i++) {
		if (c->layout.depth == 16)
			gray[i] = (uint16_t)i;
		else
			((uint8_t *)gray)[i] = (uint8_t)i;
	}
	ad_icc_run(c->icc, gray, rgb, n);
	for (i = 0; i < n; i++)
		c->curve[i] = rgb[3 * i + 1];
	ad_free(gray);
	ad_free(rgb);
	return 0;
}

int ad_convert_init(ad_convert *c, const ad_layout *layout, const ad_profile *profile,
		    const adtool_image_options *options, adtool_error *err)
{
	ad_layout bare = *layout;
	int rc = 0;

	memset(c, 0, sizeof(*c));
	c->layout = *layout;
	memcpy(c->background, options->background, sizeof(c->background));
	if (layout->colours == 1) {
		/* The curve is asked of gray as such; the rest is done here. */
		bare.alpha = AD_OPAQUE;
		bare.extra = 0;
		bare.flipped = 0;
		bare.pixels = (uint64_t)top_of(layout) + 1;
	}
	rc = ad_icc_open(profile, &bare, &c->icc, err);
	if (!rc && c->icc && layout->colours == 1)
		rc = make_curve(c, err);
	if (rc)
		ad_convert_release(c);
	return rc;
}

void ad_convert_release(ad_convert *c)
{
	ad_icc_close(c->icc);
	ad_free(c->curve);
	c->icc = NULL;
	c->curve = NULL;
}

int ad_convert_works(const ad_convert *c)
{
	const ad_layout *l = &c->layout;

	return c->icc || l->colours == 4 || l->depth == 16 || l->alpha != AD_OPAQUE || l->extra || l->flipped;
}

static unsigned sample(const ad_layout *l, const void *samples, size_t i)
{
	return l->depth == 16 ? ((const uint16_t *)samples)[i] : ((const uint8_t *)samples)[i];
}

static uint8_t narrow(const ad_layout *l, unsigned v)
{
	return l->depth == 16 ? ad_scale16(v) : (uint8_t)v;
}

/* Of the colours alone: what stands behind them is passed over. */
static void colours_to_rgb(const ad_convert *c, const void *samples, uint8_t *rgb, size_t pixels)
{
	const ad_layout *l = &c->layout;
	unsigned stride = stride_of(l), flip = l->flipped ? top_of(l) : 0, k;
	size_t i, at;

	if (c->icc && l->colours != 1) {
		ad_icc_run(c->icc, samples, rgb, pixels);
		return;
	}
	if (l->colours == 3 && l->depth == 8 && stride == 3) {
		memcpy(rgb, samples, 3 * pixels);
		return;
	}
	for (i = 0, at = 0; i < pixels; i++, at += stride, rgb += 3) {
		if (l->colours == 1) {
			unsigned v = sample(l, samples, at) ^ flip;

			rgb[0] = rgb[1] = rgb[2] = c->curve ? c->curve[v] : narrow(l, v);
		} else if (l->colours == 3) {
			for (k = 0; k < 3; k++)
				rgb[k] = narrow(l, sample(l, samples, at + k));
		} else {
			/* As stored negative the samples are what is left of the light. */
			unsigned light = top_of(l) ^ flip;
			unsigned black = narrow(l, sample(l, samples, at + 3) ^ light);

			for (k = 0; k < 3; k++)
				rgb[k] = ad_mul255(narrow(l, sample(l, samples, at + k) ^ light), black);
		}
	}
}

/* Premultiplied ones are taken apart where a profile, or a negative, is to be seen between. */
static void compose(const ad_convert *c, const void *samples, uint8_t *rgb, size_t pixels, int premultiplied)
{
	const ad_layout *l = &c->layout;
	unsigned stride = stride_of(l), k;
	size_t i, at = l->colours;

	for (i = 0; i < pixels; i++, at += stride, rgb += 3) {
		unsigned alpha = narrow(l, sample(l, samples, at));

		for (k = 0; k < 3; k++) {
			if (premultiplied) {
				unsigned v = rgb[k] + ad_mul255(c->background[k], 255 - alpha);

				rgb[k] = v > 255 ? 255 : (uint8_t)v;
			} else {
				rgb[k] = ad_over255(rgb[k], c->background[k], alpha);
			}
		}
	}
}

/* Straight samples of premultiplied ones, where they are. */
static void divide(const ad_layout *l, void *samples, size_t pixels)
{
	unsigned stride = stride_of(l), top = top_of(l), k;
	size_t i, at;

	for (i = 0, at = 0; i < pixels; i++, at += stride) {
		unsigned alpha = sample(l, samples, at + l->colours);

		for (k = 0; k < l->colours && alpha; k++) {
			uint64_t v = ((uint64_t)sample(l, samples, at + k) * top + alpha / 2) / alpha;

			v = v > top ? top : v;
			if (l->depth == 16)
				((uint16_t *)samples)[at + k] = (uint16_t)v;
			else
				((uint8_t *)samples)[at + k] = (uint8_t)v;
		}
	}
}

void ad_convert_rows(const ad_convert *c, void *samples, uint8_t *rgb, size_t pixels)
{
	const ad_layout *l = &c->layout;
	int premultiplied = l->alpha == AD_PREMULTIPLIED;

	if (premultiplied && (c->icc || l->flipped || l->colours == 4)) {
		divide(l, samples, pixels);
		premultiplied = 0;
	}
	colours_to_rgb(c, samples, rgb, pixels);
	if (l->alpha != AD_OPAQUE)
		compose(c, samples, rgb, pixels, premultiplied);
}
