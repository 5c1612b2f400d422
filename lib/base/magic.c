#include "magic.h"

#include <string.h>

struct row {
	ad_magic magic;
	unsigned length;
	const char *bytes;
	int (*test)(const uint8_t *data, size_t size); /* more that must hold; or NULL */
};

static int is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A header of the sizes that the one after the 14 bytes of the file header has had since 1985. */
static int test_bmp(const uint8_t *data, size_t size)
{
	static const uint8_t sizes[] = {12, 16, 40, 52, 56, 64, 108, 124};

	return size >= 16 && data[15] == 0 && memchr(sizes, data[14], sizeof(sizes));
}

/* The digit after P is matched by '?' as well. */
static int test_pnm(const uint8_t *data, size_t size)
{
	if (size < 4 || data[1] < '1' || data[1] > '6')
		return 0;
	return data[2] == '#' || (is_space(data[2]) &&
				  (is_space(data[3]) || data[3] == '#' || (data[3] >= '0' && data[3] <= '9')));
}

/* Another format, of thumbnails, began with P7 before: PAM's header goes on with a word. */
static int test_pam(const uint8_t *data, size_t size)
{
	return size >= 4 && strchr("WHDMTE#\n", data[3]) && data[3];
}

/* Tried in order; '?' matches any byte. */
static const struct row rows[] = {
    {{"JPEG", 1}, 3, "\xff\xd8\xff", NULL},
    {{"PNG", 1}, 8, "\x89PNG\r\n\x1a\n", NULL},
    {{"GIF", 1}, 6, "GIF87a", NULL},
    {{"GIF", 1}, 6, "GIF89a", NULL},
    {{"BMP", 1}, 2, "BM", test_bmp},
    {{"PNM", 1}, 3, "P??", test_pnm},
    {{"PNM", 1}, 3, "P7\n", test_pam},
    {{"TIFF", 1}, 4, "II*\0", NULL},
    {{"TIFF", 1}, 4, "MM\0*", NULL},
    {{"TIFF", 1}, 4, "II+\0", NULL},
    {{"TIFF", 1}, 4, "MM\0+", NULL},
    {{"WebP", 1}, 12, "RIFF????WEBP", NULL},
    {{"AVIF", 1}, 12, "????ftypavif", NULL},
    {{"AVIF", 1}, 12, "????ftypavis", NULL},
    {{"HEIC", 1}, 12, "????ftypheic", NULL},
    {{"HEIC", 1}, 12, "????ftypheix", NULL},
    {{"HEIC", 1}, 12, "????ftypheim", NULL},
    {{"HEIC", 1}, 12, "????ftypheis", NULL},
    {{"HEIC", 1}, 12, "????ftyphevc", NULL},
    {{"HEIC", 1}, 12, "????ftyphevx", NULL},
    {{"HEIC", 1}, 12, "????ftypmif1", NULL},
    {{"HEIC", 1}, 12, "????ftypmsf1", NULL},
    {{"JPEG XL", 1}, 12, "\0\0\0\x0cJXL \r\n\x87\n", NULL},
    {{"JPEG XL", 1}, 2, "\xff\x0a", NULL},
    {{"JPEG 2000", 0}, 8, "\0\0\0\x0cjP  ", NULL},
    {{"JPEG 2000", 0}, 4, "\xff\x4f\xff\x51", NULL},
    {{"JPEG-LS or a damaged JPEG", 0}, 2, "\xff\xd8", NULL},
    {{"Photoshop", 0}, 4, "8BPS", NULL},
    {{"OpenEXR", 0}, 4, "\x76\x2f\x31\x01", NULL},
    {{"QOI", 0}, 4, "qoif", NULL},
    {{"an icon", 0}, 4, "\0\0\1\0", NULL},
    {{"DICOM or zeros", 0}, 4, "\0\0\0\0", NULL},
    {{"an MP4 video", 0}, 8, "????ftyp", NULL},
    {{"PDF", 0}, 5, "%PDF-", NULL},
    {{"PostScript", 0}, 4, "%!PS", NULL},
    {{"a zip archive", 0}, 4, "PK\3\4", NULL},
    {{"gzip", 0}, 2, "\x1f\x8b", NULL},
    {{"xz", 0}, 6, "\xfd\x37zXZ\0", NULL},
    {{"Zstandard", 0}, 4, "\x28\xb5\x2f\xfd", NULL},
    {{"bzip2", 0}, 3, "BZh", NULL},
    {{"a 7z archive", 0}, 6, "7z\xbc\xaf\x27\x1c", NULL},
    {{"a RAR archive", 0}, 6, "Rar!\x1a\x07", NULL},
    {{"a NumPy array", 0}, 6, "\x93NUMPY", NULL},
    {{"a program", 0}, 4, "\x7f\x45LF", NULL},
    {{"a Git LFS pointer", 0}, 23, "version https://git-lfs", NULL},
    {{"SVG", 0}, 4, "<svg", NULL},
    {{"XML or SVG", 0}, 5, "<?xml", NULL},
    {{"HTML", 0}, 5, "<html", NULL},
    {{"HTML", 0}, 9, "<!DOCTYPE", NULL},
    {{"HTML", 0}, 9, "<!doctype", NULL},
};

static int matches(const struct row *r, const uint8_t *data, size_t size)
{
	unsigned i;

	if (size < r->length)
		return 0;
	for (i = 0; i < r->length; i++)
		if (r->bytes[i] != '?' && (uint8_t)r->bytes[i] != data[i])
			return 0;
	return !r->test || r->test(data, size);
}

const ad_magic *ad_magic_of(const void *data, size_t size)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (matches(&rows[i], data, size))
			return &rows[i].magic;
	return NULL;
}
