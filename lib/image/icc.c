/*
 * Colour profiles. Most embedded ones are sRGB: those are found out here, and nothing is done. The others go through
 * lcms2, which is opened only then. ICC.1:2010 is the source of what is read here of a profile.
 */
#include "internal.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/fork.h"
#include "../base/lazy.h"
#include "../base/mem.h"

/* -- what sRGB is ------------------------------------------------------------------------------------- */

enum { HEADER = 128, TAG_ENTRY = 12, MOST_TAGS = 256 };

#define SIGNATURE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static uint32_t get32(const uint8_t *p)
{
	return SIGNATURE(p[0], p[1], p[2], p[3]);
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static double get_fixed(const uint8_t *p)
{
	return (int32_t)get32(p) / 65536.0;
}

/* The tag's bytes; NULL when it is not there, or not whole. */
static const uint8_t *find_tag(const ad_profile *p, uint32_t name, size_t *size)
{
	uint32_t count = get32(p->icc + HEADER), i;

	for (i = 0; i < count && i < MOST_TAGS && p->size - HEADER - 4 >= (i + 1) * (size_t)TAG_ENTRY; i++) {
		const uint8_t *entry = p->icc + HEADER + 4 + i * (size_t)TAG_ENTRY;
		size_t at = get32(entry + 4), n = get32(entry + 8);

		if (get32(entry) != name)
			continue;
		if (at > p->size || n > p->size - at || n < 12)
			return NULL;
		*size = n;
		return p->icc + at;
	}
	return NULL;
}

/* IEC 61966-2-1: light to sample. */
static double encode(double light)
{
	return light <= 0.0031308 ? 12.92 * light : 1.055 * pow(light, 1 / 2.4) - 0.055;
}

/* A tone curve at x in 0 .. 1: sample to light; NaN for what cannot be read. */
static double curve_at(const uint8_t *tag, size_t size, double x)
{
	static const unsigned parameters[] = {1, 3, 4, 5, 7};
	double v[7] = {0};
	unsigned type, i;

	if (get32(tag) == SIGNATURE('c', 'u', 'r', 'v')) {
		uint32_t n = get32(tag + 8);
		double at = x * (n - 1.0);

		if (n == 0)
			return x;
		if (n > (size - 12) / 2)
			return NAN;
		if (n == 1)
			return pow(x, get16(tag + 12) / 256.0);
		i = (unsigned)at;
		if (i >= n - 1)
			i = n - 2;
		v[0] = get16(tag + 12 + 2 * (size_t)i);
		v[1] = get16(tag + 14 + 2 * (size_t)i);
		return (v[0] + (v[1] - v[0]) * (at - i)) / 65535;
	}
	type = get16(tag + 8);
	if (get32(tag) != SIGNATURE('p', 'a', 'r', 'a') || type > 4 || size < 12 + 4 * (size_t)parameters[type])
		return NAN;
	for (i = 0; i < parameters[type]; i++)
		v[i] = get_fixed(tag + 12 + 4 * (size_t)i);
	/* g, a, b, c, d, e, f */
	switch (type) {
	case 0:
		return pow(x, v[0]);
	case 1:
		return v[1] * x + v[2] >= 0 ? pow(v[1] * x + v[2], v[0]) : 0;
	case 2:
		return v[1] * x + v[2] >= 0 ? pow(v[1] * x + v[2], v[0]) + v[3] : v[3];
	case 3:
		return x >= v[4] ? pow(v[1] * x + v[2], v[0]) : v[3] * x;
	default:
		return x >= v[4] ? pow(v[1] * x + v[2], v[0]) + v[5] : v[3] * x + v[6];
	}
}

/* Whether no 8-bit sample would move by half a level. */
static int is_srgb_curve(const ad_profile *p, uint32_t name)
{
	size_t size;
	const uint8_t *tag = find_tag(p, name, &size);
	int i;

	if (!tag)
		return 0;
	for (i = 0; i <= 255; i++) {
		double light = curve_at(tag, size, i / 255.0);

		if (!(fabs(encode(light) - i / 255.0) < 0.5 / 255))
			return 0;
	}
	return 1;
}

static int is_primary(const ad_profile *p, uint32_t name, double x, double y, double z)
{
	size_t size;
	const uint8_t *tag = find_tag(p, name, &size);

	return tag && size >= 20 && get32(tag) == SIGNATURE('X', 'Y', 'Z', ' ') &&
	       fabs(get_fixed(tag + 8) - x) < 0.002 && fabs(get_fixed(tag + 12) - y) < 0.002 &&
	       fabs(get_fixed(tag + 16) - z) < 0.002;
}

static int is_sane(const ad_profile *p)
{
	return p->size >= HEADER + 4 && get32(p->icc + 36) == SIGNATURE('a', 'c', 's', 'p');
}

static int is_srgb_icc(const ad_profile *p)
{
	uint32_t space = get32(p->icc + 16);
	size_t size;

	if (get32(p->icc + 20) != SIGNATURE('X', 'Y', 'Z', ' '))
		return 0;
	if (space == SIGNATURE('G', 'R', 'A', 'Y'))
		return is_srgb_curve(p, SIGNATURE('k', 'T', 'R', 'C'));
	/* A table goes before the matrix. */
	if (space != SIGNATURE('R', 'G', 'B', ' ') || find_tag(p, SIGNATURE('A', '2', 'B', '0'), &size))
		return 0;
	/* The primaries of sRGB, adapted from D65 to D50 by the Bradford transform. */
	return is_primary(p, SIGNATURE('r', 'X', 'Y', 'Z'), 0.4360, 0.2225, 0.0139) &&
	       is_primary(p, SIGNATURE('g', 'X', 'Y', 'Z'), 0.3851, 0.7169, 0.0971) &&
	       is_primary(p, SIGNATURE('b', 'X', 'Y', 'Z'), 0.1431, 0.0606, 0.7141) &&
	       is_srgb_curve(p, SIGNATURE('r', 'T', 'R', 'C')) && is_srgb_curve(p, SIGNATURE('g', 'T', 'R', 'C')) &&
	       is_srgb_curve(p, SIGNATURE('b', 'T', 'R', 'C'));
}

/* An exponent within 5 % of 1/2.2 and the primaries of ITU-R BT.709 are how encoders of PNG say sRGB. */
static int is_srgb_gamma(const ad_profile *p)
{
	static const double srgb[8] = {0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06};
	int i;

	if (p->gamma < AD_GAMMA_SRGB && fabs(p->gamma * 2.2 - 1) > 0.05)
		return 0;
	for (i = 0; i < 8; i++)
		if (fabs(p->xy[i] - srgb[i]) > 0.002)
			return 0;
	return 1;
}

/* -- lcms2 -------------------------------------------------------------------------------------------- */

#ifdef AD_SONAME_LCMS

#include <lcms2.h>

#define SYMBOLS(X) \
	X(cmsCreateContext) \
	X(cmsDeleteContext) \
	X(cmsOpenProfileFromMemTHR) \
	X(cmsCreate_sRGBProfileTHR) \
	X(cmsCreateRGBProfileTHR) \
	X(cmsBuildGamma) \
	X(cmsBuildParametricToneCurve) \
	X(cmsFreeToneCurve) \
	X(cmsCloseProfile) \
	X(cmsGetColorSpace) \
	X(cmsGetDeviceClass) \
	X(cmsCreateTransformTHR) \
	X(cmsDeleteTransform) \
	X(cmsDoTransform)

typedef struct api {
	SYMBOLS(AD_LAZY_MEMBER)
} api;

struct ad_icc {
	api api;
	cmsContext context; /* of its own: nothing is shared between threads, and its errors go nowhere */
	cmsHTRANSFORM transform;
	unsigned gray_bytes; /* of a gray sample that an RGB profile gets thrice; 0: none */
};

static cmsHPROFILE open_gamma(const struct ad_icc *icc, const ad_profile *p)
{
	const cmsCIExyY white = {p->xy[0], p->xy[1], 1};
	const cmsCIExyYTRIPLE primaries = {{p->xy[2], p->xy[3], 1}, {p->xy[4], p->xy[5], 1}, {p->xy[6], p->xy[7], 1}};
	static const cmsFloat64Number srgb[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
	cmsToneCurve *curve = p->gamma < AD_GAMMA_SRGB
				  ? icc->api.cmsBuildGamma(icc->context, 1 / p->gamma)
				  : icc->api.cmsBuildParametricToneCurve(icc->context, 4, srgb);
	cmsToneCurve *curves[3] = {curve, curve, curve};
	cmsHPROFILE profile = curve ? icc->api.cmsCreateRGBProfileTHR(icc->context, &white, &primaries, curves) : NULL;

	if (curve)
		icc->api.cmsFreeToneCurve(curve);
	return profile;
}

/* The format of samples that a profile of this colour space can take; 0: none. */
static cmsUInt32Number format_of(const ad_layout *l, cmsColorSpaceSignature space)
{
	unsigned bytes = l->depth / 8, behind = l->extra + (l->alpha != AD_OPAQUE);

	if (space == cmsSigGrayData && l->colours == 1)
		return COLORSPACE_SH(PT_GRAY) | CHANNELS_SH(1) | BYTES_SH(bytes);
	if (space == cmsSigRgbData && l->colours == 1)
		return COLORSPACE_SH(PT_RGB) | CHANNELS_SH(3) | BYTES_SH(bytes);
	if (space == cmsSigRgbData && l->colours == 3)
		return COLORSPACE_SH(PT_RGB) | CHANNELS_SH(3) | BYTES_SH(bytes) | EXTRA_SH(behind);
	if (space == cmsSigCmykData && l->colours == 4)
		return COLORSPACE_SH(PT_CMYK) | CHANNELS_SH(4) | BYTES_SH(bytes) | EXTRA_SH(behind) |
		       FLAVOR_SH(l->flipped ? 1u : 0u);
	return 0;
}

static int is_usable(cmsProfileClassSignature class)
{
	return class == cmsSigInputClass || class == cmsSigDisplayClass || class == cmsSigOutputClass ||
	       class == cmsSigColorSpaceClass;
}

static cmsHTRANSFORM make_transform(struct ad_icc *icc, const ad_profile *p, const ad_layout *l)
{
	const api *x = &icc->api;
	cmsHPROFILE from = p->icc ? x->cmsOpenProfileFromMemTHR(icc->context, p->icc, (cmsUInt32Number)p->size)
				  : open_gamma(icc, p);
	cmsHPROFILE to = x->cmsCreate_sRGBProfileTHR(icc->context);
	cmsHTRANSFORM transform = NULL;

	if (from && to && is_usable(x->cmsGetDeviceClass(from))) {
		cmsColorSpaceSignature space = x->cmsGetColorSpace(from);
		cmsUInt32Number format = format_of(l, space);
		/* A table made beforehand is too coarse for 16-bit samples, and takes as long as so many pixels. */
		int plain = l->depth == 16 || l->pixels < 16384;
		cmsUInt32Number flags = cmsFLAGS_NOCACHE | (plain ? cmsFLAGS_NOOPTIMIZE : 0u);

		icc->gray_bytes = l->colours == 1 && space == cmsSigRgbData ? l->depth / 8 : 0;
		if (format)
			transform = x->cmsCreateTransformTHR(icc->context, from, format, to, TYPE_RGB_8,
							     INTENT_PERCEPTUAL, flags);
	}
	if (from)
		x->cmsCloseProfile(from);
	if (to)
		x->cmsCloseProfile(to);
	return transform;
}

static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};
_Static_assert(sizeof(names) == sizeof(api), "the table holds function pointers only");

static int open_library(api *x, adtool_error *err)
{
	return ad_lazy_resident(AD_SONAME_LCMS, names, sizeof(names) / sizeof(names[0]), x, err);
}

void ad_icc_prepare(void)
{
	api x;

	open_library(&x, NULL);
}

static int open_icc(const ad_profile *profile, const ad_layout *layout, struct ad_icc **out, adtool_error *err)
{
	struct ad_icc *icc = ad_calloc(1, sizeof(*icc));
	int rc;

	if (!icc)
		return ad_fail_nomem(err);
	rc = open_library(&icc->api, err);
	if (rc) {
		ad_free(icc);
		return rc;
	}
	ad_fork_hold();
	icc->context = icc->api.cmsCreateContext(NULL, NULL);
	if (!icc->context) {
		ad_fork_free();
		ad_free(icc);
		return ad_fail_nomem(err);
	}
	icc->transform = make_transform(icc, profile, layout);
	ad_fork_free();
	if (icc->transform)
		*out = icc;
	else
		ad_icc_close(icc);
	return 0;
}

void ad_icc_run(const struct ad_icc *icc, const void *samples, uint8_t *rgb, size_t pixels)
{
	enum { STEP = 4096 };
	const uint8_t *from = samples;
	uint8_t thrice[6 * STEP];
	size_t n, i, k;

	if (!icc->gray_bytes) {
		/* lcms counts pixels in 32 bits; rows are shorter than that. */
		icc->api.cmsDoTransform(icc->transform, samples, rgb, (cmsUInt32Number)pixels);
		return;
	}
	for (; pixels; pixels -= n, from += n * icc->gray_bytes, rgb += 3 * n) {
		n = pixels < STEP ? pixels : STEP;
		for (i = 0; i < n; i++)
			for (k = 0; k < 3; k++)
				memcpy(thrice + (3 * i + k) * icc->gray_bytes, from + i * icc->gray_bytes,
				       icc->gray_bytes);
		icc->api.cmsDoTransform(icc->transform, thrice, rgb, (cmsUInt32Number)n);
	}
}

void ad_icc_close(struct ad_icc *icc)
{
	if (!icc)
		return;
	ad_fork_hold();
	if (icc->transform)
		icc->api.cmsDeleteTransform(icc->transform);
	icc->api.cmsDeleteContext(icc->context);
	ad_fork_free();
	ad_free(icc);
}

#else

void ad_icc_prepare(void)
{
}

static int open_icc(const ad_profile *profile, const ad_layout *layout, struct ad_icc **out, adtool_error *err)
{
	(void)profile;
	(void)layout;
	(void)out;
	(void)err;
	return 0;
}

void ad_icc_run(const struct ad_icc *icc, const void *samples, uint8_t *rgb, size_t pixels)
{
	(void)icc;
	(void)samples;
	(void)rgb;
	(void)pixels;
}

void ad_icc_close(struct ad_icc *icc)
{
	(void)icc;
}

#endif

int ad_icc_open(const ad_profile *profile, const ad_layout *layout, struct ad_icc **out, adtool_error *err)
{
	if (profile->icc ? !is_sane(profile) || is_srgb_icc(profile) : !(profile->gamma > 0) || is_srgb_gamma(profile))
		return 0;
	return open_icc(profile, layout, out, err);
}
