#include "internal.h"

#include "../base/fail.h"
#include "../base/magic.h"

/*
 * A build leaves libraries out with make WITHOUT=. To add a format: write its ad_decode_fn in a file of its own,
 * declare it in internal.h, give it a row here and its first bytes one in ../base/magic.c; add a picture of it to
 * tests/tools/draw_formats.c. One whose library is large and less tried than most has an ad_prepare_fn too, and is
 * isolated.
 */
#ifdef AD_SONAME_TIFF
#define TIFF_ROW {"TIFF", ad_tiff_decode, "libtiff", NULL}
#else
#define TIFF_ROW {"TIFF", NULL, "libtiff", NULL}
#endif
#ifdef AD_SONAME_WEBP
#define WEBP_ROW {"WebP", ad_webp_decode, "libwebp", NULL}
#else
#define WEBP_ROW {"WebP", NULL, "libwebp", NULL}
#endif
#ifdef AD_SONAME_GIF
#define GIF_ROW {"GIF", ad_gif_decode, "giflib", NULL}
#else
#define GIF_ROW {"GIF", NULL, "giflib", NULL}
#endif
#ifdef AD_SONAME_HEIF
#define HEIC_ROW {"HEIC", ad_heif_decode, "libheif", ad_heif_prepare}
#define AVIF_ROW {"AVIF", ad_heif_decode, "libheif", ad_heif_prepare}
#else
#define HEIC_ROW {"HEIC", NULL, "libheif", NULL}
#define AVIF_ROW {"AVIF", NULL, "libheif", NULL}
#endif
#ifdef AD_SONAME_JXL
#define JXL_ROW {"JPEG XL", ad_jxl_decode, "libjxl", ad_jxl_prepare}
#else
#define JXL_ROW {"JPEG XL", NULL, "libjxl", NULL}
#endif

static const ad_image_format formats[] = {
    {"JPEG", ad_jpeg_decode, "libjpeg", NULL},
    {"PNG", ad_png_decode, "libpng", NULL},
    {"BMP", ad_bmp_decode, "", NULL},
    {"PNM", ad_pnm_decode, "", NULL},
    TIFF_ROW,
    WEBP_ROW,
    GIF_ROW,
    HEIC_ROW,
    AVIF_ROW,
    JXL_ROW,
};
enum { FORMATS = sizeof(formats) / sizeof(formats[0]) };

const ad_image_format *ad_image_format_at(size_t i)
{
	return i < FORMATS ? &formats[i] : NULL;
}

const ad_image_format *ad_image_format_of(const void *data, size_t size)
{
	const ad_magic *magic = ad_magic_of(data, size);
	size_t i;

	for (i = 0; magic && i < FORMATS; i++)
		if (!strcmp(formats[i].name, magic->name))
			return &formats[i];
	return NULL;
}

/* ASCII without control characters but white space; beyond ASCII, what may be UTF-8. */
static int looks_like_text(const uint8_t *data, size_t size)
{
	size_t n = size < 512 ? size : 512, i;

	for (i = 0; i < n; i++) {
		uint8_t c = data[i];
		int continues = c >= 0x80 && c < 0xc0;

		if ((c < 0x20 && !(c >= '\t' && c <= '\r')) || c == 0x7f || c > 0xf4)
			return 0;
		if (continues && (i == 0 || data[i - 1] < 0x80))
			return 0;
	}
	return 1;
}

const char *ad_image_sniff(const void *data, size_t size)
{
	const ad_magic *magic = ad_magic_of(data, size);

	return magic ? magic->name : NULL;
}

/* What libraries say may have several. */
static void in_one_line(char *text)
{
	size_t n = strlen(text), i;

	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	for (i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = ' ';
}

void adtool_image_options_init(adtool_image_options *options)
{
	memset(options, 0, sizeof(*options));
}

int adtool_image_decode_with(const void *data, size_t size, const adtool_image_options *options, adtool_image **out,
			     adtool_error *err)
{
	static const adtool_image_options defaults;
	const ad_image_format *f;
	const ad_magic *magic;

	if (!size)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "not a picture: it is empty");
	if (!options)
		options = &defaults;
	f = ad_image_format_of(data, size);
	magic = ad_magic_of(data, size);
	if (f && options->page > 1 && strcmp(f->name, "TIFF") != 0)
		return ad_fail(err, ADTOOL_EINVAL, "page %u of a %s: only TIFF has pages here", options->page, f->name);
	if (f && f->decode) {
		int rc = options->isolate && f->prepare ? ad_image_isolate(f, data, size, options, out, err)
							: f->decode(data, size, options, out, err);

		if (rc && err)
			in_one_line(err->message);
		return rc;
	}
	if (f)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "%s, which this adtool was built without (it needs %s)",
			       f->name, f->library);
	if (magic)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "not a picture adtool reads: it seems to be %s", magic->name);
	if (looks_like_text(data, size))
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "not a picture: it seems to be text");
	return ad_fail(err, ADTOOL_EUNSUPPORTED, "not a picture of a known kind (adtool(1) lists those that are read)");
}

int adtool_image_decode(const void *data, size_t size, uint64_t max_pixels, adtool_image **out, adtool_error *err)
{
	adtool_image_options options;

	adtool_image_options_init(&options);
	options.max_pixels = max_pixels;
	return adtool_image_decode_with(data, size, &options, out, err);
}

void adtool_image_formats(void (*fn)(void *context, const char *format, const char *library), void *context)
{
	size_t i;

	for (i = 0; i < FORMATS; i++)
		fn(context, formats[i].name, formats[i].decode ? formats[i].library : NULL);
#ifdef AD_SONAME_LCMS
	fn(context, "ICC profile", "lcms2");
#else
	fn(context, "ICC profile", NULL);
#endif
}
