#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

static unsigned get16(const uint8_t *p, int big)
{
	return big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static uint32_t get32(const uint8_t *p, int big)
{
	return big ? (uint32_t)get16(p, 1) << 16 | get16(p + 2, 1) : (uint32_t)get16(p + 2, 0) << 16 | get16(p, 0);
}

int ad_exif_orientation(const uint8_t *exif, size_t size)
{
	enum { TAG = 0x0112, SHORT = 3, LONG = 4 };
	unsigned entries, i;
	size_t at;
	int big;

	if (size < 8 || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0))
		return 1;
	big = exif[0] == 'M';
	at = get32(exif + 4, big);
	if (at < 8 || at > size - 2)
		return 1;
	entries = get16(exif + at, big);
	at += 2;
	for (i = 0; i < entries && size - at >= 12; i++, at += 12) {
		const uint8_t *entry = exif + at;
		unsigned type = get16(entry + 2, big);
		uint32_t value;

		if (get16(entry, big) != TAG)
			continue;
		if (get32(entry + 4, big) != 1 || (type != SHORT && type != LONG))
			return 1;
		value = type == SHORT ? get16(entry + 8, big) : get32(entry + 8, big);
		return value >= 1 && value <= 8 ? (int)value : 1;
	}
	return 1;
}

int ad_upright_init(ad_upright *u, unsigned width, unsigned height, int orientation, adtool_error *err)
{
	/*
	 * Where the stored x and y axes go (EXIF 2.3, tag 0x0112): 5 .. 8 swap the axes; x runs backwards in the
	 * stored direction for 2, 3, 7, 8 and y for 3, 4, 6, 7.
	 */
	int swap = orientation >= 5;
	int x_back = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
	int y_back = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
	ptrdiff_t pitch = 3 * (ptrdiff_t)(swap ? height : width);
	int rc = ad_image_alloc(swap ? height : width, swap ? width : height, &u->image, err);

	if (rc)
		return rc;
	u->rows = NULL;
	u->width = width;
	u->right = swap ? pitch : 3;
	u->down = swap ? 3 : pitch;
	u->first = 0;
	if (x_back) {
		u->first += (size_t)u->right * (width - 1);
		u->right = -u->right;
	}
	if (y_back) {
		u->first += (size_t)u->down * (height - 1);
		u->down = -u->down;
	}
	return 0;
}

uint8_t *ad_upright_row(const ad_upright *u, unsigned y)
{
	return u->right == 3 ? u->image->pixels + u->first + (ptrdiff_t)y * u->down : NULL;
}

uint8_t *ad_upright_buffer(size_t n, size_t pixels, size_t pixel)
{
	size_t bytes;
	uint8_t *buffer;

	if (__builtin_mul_overflow(n, pixels, &bytes) || __builtin_mul_overflow(bytes, pixel, &bytes) ||
	    bytes > SIZE_MAX - AD_BEHIND)
		return NULL;
	buffer = ad_malloc(bytes + AD_BEHIND);
	if (buffer)
		memset(buffer + bytes, 0, AD_BEHIND);
	return buffer;
}

void ad_upright_put(const ad_upright *u, const uint8_t *rows, unsigned y, unsigned n)
{
	size_t pitch = (size_t)3 * u->width;
	unsigned x, i;
	uint8_t *to;

	if (u->rows) {
		u->rows->put(u->rows->context, rows, y, n);
		return;
	}
	to = u->image->pixels + u->first + (ptrdiff_t)y * u->down;
	if (u->right == 3) {
		for (i = 0; i < n; i++)
			memcpy(to + (ptrdiff_t)i * u->down, rows + i * pitch, pitch);
		return;
	}
	/* Columns outside: when the axes are swapped, the n pixels of a column are neighbours in the picture. */
	for (x = 0; x < u->width; x++) {
		const uint8_t *from = rows + (size_t)3 * x;
		uint8_t *p = to + (ptrdiff_t)x * u->right;

		for (i = 0; i < n; i++, from += pitch, p += u->down) {
			p[0] = from[0];
			p[1] = from[1];
			p[2] = from[2];
		}
	}
}
