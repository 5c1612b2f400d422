#include "internal.h"

#include "../base/fail.h"

/*
 * The kinds of files known by their first bytes ('?' matches any). To add a format: write its ad_decode_fn in a
 * file of its own, declare it in internal.h, and give its row the decoder; add rows of
 * test pictures to tests/unit/test_image.c. Rows are tried in order.
 */
static const struct format {
	const char *name;
	ad_decode_fn *decode; /* NULL: recognised only to say what it is */
	unsigned length;
	const char *magic;
} formats[] = {
    {"JPEG", ad_jpeg_decode, 3, "\xff\xd8\xff"},
    {"PNG", ad_png_decode, 8, "\x89PNG\r\n\x1a\n"},
    {"GIF", NULL, 6, "GIF8?a"},
    {"BMP", NULL, 6, "BM????"},
    {"TIFF", NULL, 4, "II*\0"},
    {"TIFF", NULL, 4, "MM\0*"},
    {"BigTIFF", NULL, 4, "II+\0"},
    {"BigTIFF", NULL, 4, "MM\0+"},
    {"WebP", NULL, 12, "RIFF????WEBP"},
    {"AVIF", NULL, 11, "????ftypavi"},
    {"HEIC", NULL, 11, "????ftyphei"},
    {"HEIC", NULL, 11, "????ftyphev"},
    {"HEIF", NULL, 12, "????ftypmif1"},
    {"HEIF", NULL, 12, "????ftypmsf1"},
    {"JPEG XL", NULL, 12, "\0\0\0\x0cJXL \r\n\x87\n"},
    {"JPEG XL", NULL, 2, "\xff\x0a"},
    {"JPEG 2000", NULL, 8, "\0\0\0\x0cjP  "},
    {"JPEG 2000", NULL, 4, "\xff\x4f\xff\x51"},
    {"JPEG-LS or a damaged JPEG", NULL, 2, "\xff\xd8"},
    {"PNM", NULL, 3, "P1\n"},
    {"PNM", NULL, 3, "P2\n"},
    {"PNM", NULL, 3, "P3\n"},
    {"PNM", NULL, 3, "P4\n"},
    {"PNM", NULL, 3, "P5\n"},
    {"PNM", NULL, 3, "P6\n"},
    {"PNM", NULL, 3, "P7\n"},
    {"Photoshop", NULL, 4, "8BPS"},
    {"OpenEXR", NULL, 4, "\x76\x2f\x31\x01"},
    {"QOI", NULL, 4, "qoif"},
    {"icon", NULL, 4, "\0\0\1\0"},
    {"DICOM or zeros", NULL, 4, "\0\0\0\0"},
    {"MP4 video", NULL, 8, "????ftyp"},
    {"PDF", NULL, 5, "%PDF-"},
    {"PostScript", NULL, 4, "%!PS"},
    {"zip archive", NULL, 4, "PK\3\4"},
    {"gzip", NULL, 2, "\x1f\x8b"},
    {"xz", NULL, 6, "\xfd\x37zXZ\0"},
    {"Zstandard", NULL, 4, "\x28\xb5\x2f\xfd"},
    {"NumPy array", NULL, 6, "\x93NUMPY"},
    {"program", NULL, 4, "\x7f\x45LF"},
    {"Git LFS pointer", NULL, 23, "version https://git-lfs"},
    {"SVG", NULL, 4, "<svg"},
    {"XML or SVG", NULL, 5, "<?xml"},
    {"HTML", NULL, 5, "<html"},
    {"HTML", NULL, 9, "<!DOCTYPE"},
    {"HTML", NULL, 9, "<!doctype"},
};

static int matches(const struct format *f, const uint8_t *data, size_t size)
{
	unsigned i;

	if (size < f->length)
		return 0;
	for (i = 0; i < f->length; i++)
		if (f->magic[i] != '?' && (uint8_t)f->magic[i] != data[i])
			return 0;
	return 1;
}

static const struct format *find_format(const uint8_t *data, size_t size)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (matches(&formats[i], data, size))
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
	const struct format *f = find_format(data, size);

	return f ? f->name : NULL;
}

int adtool_image_decode(const void *data, size_t size, uint64_t max_pixels, adtool_image **out, adtool_error *err)
{
	const struct format *f;

	if (!size)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "not a picture: it is empty");
	f = find_format(data, size);
	if (f && f->decode)
		return f->decode(data, size, max_pixels, out, err);
	if (f)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "not a picture adtool reads: it seems to be %s", f->name);
	if (looks_like_text(data, size))
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "not a picture: it seems to be text");
	return ad_fail(err, ADTOOL_EUNSUPPORTED, "not a picture of a known kind (JPEG and PNG are read)");
}
