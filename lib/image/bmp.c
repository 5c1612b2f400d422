/*
 * BMP, of Windows and OS/2: 1, 2, 4, 8, 16, 24 and 32 bits, palettes, bit fields, RLE4 and RLE8, either way up. Alpha
 * only where a header says which bits it is; an embedded ICC profile is followed. Refused: JPEG and PNG within, colours
 * beyond the palette, picture data that is not all there.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <inttypes.h>

enum { FILE_HEADER = 14 };
enum compression { RGB = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3, JPEG = 4, PNG = 5, ALPHABITFIELDS = 6 };

/* Bits of a pixel: where one sample stands. */
struct field {
	uint32_t mask;
	unsigned shift, top; /* top: its largest value */
};

struct job {
	const uint8_t *data;
	size_t size;
	unsigned header; /* bytes of the second header */
	unsigned width, height, bits;
	int downwards;   /* the first row is the upper one */
	uint32_t compression;
	size_t pixels_at;
	unsigned colours; /* of the palette */
	uint8_t palette[256][3];
	struct field field[4]; /* R G B A */
	ad_profile profile;
	adtool_error *err;
};

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[1] << 8 | p[0];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p + 2) << 16 | get16(p);
}

static int damaged(const struct job *job, const char *what)
{
	return ad_fail(job->err, ADTOOL_EFORMAT, "damaged BMP: %s", what);
}

static int truncated(const struct job *job, const char *what)
{
	return ad_fail(job->err, ADTOOL_EFORMAT, "truncated BMP: its %zu bytes end before %s does", job->size, what);
}

/* The sizes and the kind. */
static int read_header(struct job *job, const adtool_image_options *options)
{
	const uint8_t *h = job->data + FILE_HEADER;
	int64_t width, height;
	unsigned planes;

	if (job->size < FILE_HEADER + 4)
		return truncated(job, "the header");
	job->header = get32(h);
	if (job->header != 12 && job->header != 16 && (job->header < 40 || job->header > 124))
		return damaged(job, "a header of unknown size");
	if (job->size - FILE_HEADER < job->header)
		return truncated(job, "the header");
	job->pixels_at = get32(job->data + 10);
	if (job->header == 12) {
		width = get16(h + 4);
		height = get16(h + 6);
		planes = get16(h + 8);
		job->bits = get16(h + 10);
	} else {
		width = (int32_t)get32(h + 4);
		height = (int32_t)get32(h + 8);
		planes = get16(h + 12);
		job->bits = get16(h + 14);
		job->compression = job->header >= 40 ? get32(h + 16) : RGB;
	}
	if (width < 0)
		return damaged(job, "a negative width");
	if (height < 0) {
		job->downwards = 1;
		height = -height;
	}
	if (planes != 1)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged BMP: %u planes where 1 is the only number", planes);
	job->width = (unsigned)width;
	job->height = (unsigned)height;
	return ad_image_check_size((uint64_t)width, (uint64_t)height, options, job->err);
}

static int check_kind(const struct job *job)
{
	unsigned b = job->bits;

	/* In the headers of OS/2, 3 is a Huffman code. */
	switch (job->header == 64 && job->compression == BITFIELDS ? PNG + 1000u : job->compression) {
	case RGB:
		if (b == 1 || b == 2 || b == 4 || b == 8 || b == 16 || b == 24 || b == 32)
			return 0;
		break;
	case RLE8:
		if (b == 8)
			return 0;
		break;
	case RLE4:
		if (b == 4)
			return 0;
		break;
	case BITFIELDS:
	case ALPHABITFIELDS:
		if (b == 16 || b == 32)
			return 0;
		break;
	default:
		return ad_fail(job->err, ADTOOL_EUNSUPPORTED, "BMP: compression %" PRIu32 " is not read",
			       job->compression);
	}
	return ad_fail(job->err, ADTOOL_EFORMAT, "damaged BMP: %u bits a pixel with compression %" PRIu32, b,
		       job->compression);
}

static int set_field(const struct job *job, struct field *f, uint32_t mask)
{
	memset(f, 0, sizeof(*f));
	if (!mask)
		return 0;
	f->mask = mask;
	while (!(mask >> f->shift & 1))
		f->shift++;
	mask >>= f->shift;
	f->top = mask;
	if (mask & (mask + 1) || (job->bits == 16 && f->mask > 0xffff))
		return damaged(job, "a bit field with a gap");
	return 0;
}

static int read_fields(struct job *job)
{
	const uint8_t *h = job->data + FILE_HEADER;
	uint32_t masks[4] = {0xff0000, 0xff00, 0xff, 0};
	/* They stand in the header, or behind the one of 40 bytes. */
	unsigned n = job->header >= 56 || job->compression == ALPHABITFIELDS ? 4 : 3, i;
	int rc = 0;

	if (job->bits == 16) {
		masks[0] = 0x7c00;
		masks[1] = 0x3e0;
		masks[2] = 0x1f;
	}
	if (job->compression == BITFIELDS || job->compression == ALPHABITFIELDS) {
		if (job->size - FILE_HEADER - 40 < 4 * (size_t)n)
			return truncated(job, "the header");
		for (i = 0; i < n; i++)
			masks[i] = get32(h + 40 + 4 * i);
		if (!(masks[0] | masks[1] | masks[2]))
			return damaged(job, "bit fields without bits");
	}
	for (i = 0; i < 4 && !rc; i++)
		rc = set_field(job, &job->field[i], masks[i]);
	return rc;
}

static int read_palette(struct job *job)
{
	unsigned entry = job->header == 12 ? 3 : 4, most = 1u << job->bits, i;
	size_t at = FILE_HEADER + job->header, room;
	uint32_t used = job->header >= 40 ? get32(job->data + FILE_HEADER + 32) : 0;

	if (used > most)
		return ad_fail(job->err, ADTOOL_EFORMAT,
			       "damaged BMP: a palette of %" PRIu32 " colours where %u are the most", used, most);
	job->colours = used ? used : most;
	room = job->pixels_at > at ? (job->pixels_at - at) / entry : 0;
	/* Without a number, the palette may end where the pixels begin. */
	if (!used && room < job->colours)
		job->colours = (unsigned)room;
	if (job->colours > (job->size - at) / entry)
		return truncated(job, "the palette");
	for (i = 0; i < job->colours; i++) {
		const uint8_t *p = job->data + at + (size_t)entry * i;

		job->palette[i][0] = p[2];
		job->palette[i][1] = p[1];
		job->palette[i][2] = p[0];
	}
	return job->colours ? 0 : damaged(job, "no palette");
}

/* 'MBED' in a header of version 5: where the profile is, counted from that header. */
static int find_profile(struct job *job)
{
	const uint8_t *h = job->data + FILE_HEADER;
	size_t at, n;

	if (job->header != 124 || get32(h + 56) != 0x4d424544)
		return 0;
	at = get32(h + 112);
	n = get32(h + 116);
	if (at > job->size - FILE_HEADER || n > job->size - FILE_HEADER - at)
		return truncated(job, "the profile");
	job->profile.icc = h + at;
	job->profile.size = n;
	return 0;
}

static uint8_t take(const struct field *f, uint32_t pixel)
{
	if (!f->mask)
		return 0;
	return (uint8_t)(((uint64_t)((pixel & f->mask) >> f->shift) * 255 + f->top / 2) / f->top);
}

/* A stored row as R G B, or R G B A. */
static int read_row(const struct job *job, const uint8_t *row, uint8_t *out, int alpha)
{
	unsigned x, k, b = job->bits;

	for (x = 0; x < job->width; x++) {
		if (b <= 8) {
			unsigned per = 8 / b, shift = (per - 1 - x % per) * b;
			unsigned i = (unsigned)row[x / per] >> shift & ((1u << b) - 1);

			if (i >= job->colours)
				return ad_fail(job->err, ADTOOL_EFORMAT, "damaged BMP: colour %u of a palette of %u", i,
					       job->colours);
			memcpy(out, job->palette[i], 3);
			out += 3;
		} else if (b == 24) {
			out[0] = row[3 * (size_t)x + 2];
			out[1] = row[3 * (size_t)x + 1];
			out[2] = row[3 * (size_t)x];
			out += 3;
		} else {
			uint32_t pixel = b == 16 ? get16(row + 2 * (size_t)x) : get32(row + 4 * (size_t)x);

			for (k = 0; k < 3 + (unsigned)alpha; k++)
				*out++ = take(&job->field[k], pixel);
		}
	}
	return 0;
}

static int read_plain(const struct job *job, const ad_convert *convert, adtool_image *image)
{
	size_t pitch = ((size_t)job->width * job->bits + 31) / 32 * 4;
	/* The padding of the last row may be missing. */
	uint64_t needed = (uint64_t)pitch * (job->height - 1) + ((uint64_t)job->width * job->bits + 7) / 8;
	int alpha = convert->layout.alpha != AD_OPAQUE, rc = 0;
	uint8_t *row;
	unsigned y;

	if (job->pixels_at > job->size || needed > job->size - job->pixels_at)
		return truncated(job, "the picture");
	row = ad_malloc_array(job->width, 4);
	if (!row)
		return ad_fail_nomem(job->err);
	for (y = 0; y < job->height && !rc; y++) {
		unsigned at = job->downwards ? y : job->height - 1 - y;

		uint8_t *to = image->pixels + (size_t)3 * job->width * at;

		/* A palette has been converted beforehand. */
		rc = read_row(job, job->data + job->pixels_at + (size_t)y * pitch, job->bits <= 8 ? to : row, alpha);
		if (!rc && job->bits > 8)
			ad_convert_rows(convert, row, to, job->width);
	}
	ad_free(row);
	return rc;
}

/* Run-length coded rows, from the lowest up. What is skipped is not painted. */
struct rle {
	const struct job *job;
	adtool_image *image;
	size_t at;
	unsigned x, y;
};

static int paint(struct rle *r, unsigned colour)
{
	const struct job *job = r->job;

	if (r->x >= job->width || r->y >= job->height)
		return damaged(job, "a run beyond the picture");
	if (colour >= job->colours)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged BMP: colour %u of a palette of %u", colour,
			       job->colours);
	memcpy(r->image->pixels + 3 * ((size_t)job->width * (job->height - 1 - r->y) + r->x), job->palette[colour], 3);
	r->x++;
	return 0;
}

static unsigned nibble(const uint8_t *p, unsigned i)
{
	return i % 2 ? p[i / 2] & 15u : p[i / 2] >> 4;
}

/* n pixels as they are, padded to 16 bits. */
static int copy_pixels(struct rle *r, unsigned n)
{
	int half = r->job->compression == RLE4;
	size_t bytes = half ? ((size_t)n + 3) / 4 * 2 : ((size_t)n + 1) / 2 * 2, used = half ? (n + 1) / 2 : n;
	const uint8_t *p = r->job->data + r->at;
	unsigned i;
	int rc = 0;

	if (used > r->job->size - r->at)
		return truncated(r->job, "the picture");
	for (i = 0; i < n && !rc; i++)
		rc = paint(r, half ? nibble(p, i) : p[i]);
	r->at += bytes < r->job->size - r->at ? bytes : r->job->size - r->at;
	return rc;
}

static int read_rle(const struct job *job, adtool_image *image)
{
	struct rle r = {.job = job, .image = image, .at = job->pixels_at};
	int half = job->compression == RLE4, rc = 0;
	unsigned i;

	if (job->downwards)
		return damaged(job, "run lengths in a picture from the top down");
	while (!rc) {
		unsigned n, value;

		if (r.at > job->size || job->size - r.at < 2)
			/* The mark of the end is often forgotten. */
			return r.y >= job->height || (r.y == job->height - 1 && r.x == job->width)
				       ? 0
				       : truncated(job, "the picture");
		n = job->data[r.at];
		value = job->data[r.at + 1];
		r.at += 2;
		if (n) {
			for (i = 0; i < n && !rc; i++)
				rc = paint(&r, !half ? value : i % 2 ? value & 15u : value >> 4);
		} else if (value == 0) {
			r.x = 0;
			r.y++;
			if (r.y > job->height)
				rc = damaged(job, "more rows than it has");
		} else if (value == 1) {
			return 0;
		} else if (value == 2) {
			if (job->size - r.at < 2)
				return truncated(job, "the picture");
			r.x += job->data[r.at];
			r.y += job->data[r.at + 1];
			r.at += 2;
			if (r.x > job->width || r.y > job->height)
				rc = damaged(job, "a step beyond the picture");
		} else {
			rc = copy_pixels(&r, value);
		}
	}
	return rc;
}

static void fill(adtool_image *image, const uint8_t rgb[3])
{
	size_t n = (size_t)image->width * image->height, i;

	for (i = 0; i < n; i++)
		memcpy(image->pixels + 3 * i, rgb, 3);
}

int ad_bmp_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		  adtool_error *err)
{
	struct job job = {.data = data, .size = size, .err = err};
	ad_layout layout = {.colours = 3, .depth = 8};
	ad_convert convert = {0};
	adtool_image *image = NULL;
	int rc = read_header(&job, options);

	if (!rc)
		rc = check_kind(&job);
	if (!rc)
		rc = job.bits <= 8 ? read_palette(&job) : job.bits == 24 ? 0 : read_fields(&job);
	if (!rc)
		rc = find_profile(&job);
	if (rc)
		return rc;
	if (job.field[3].mask)
		layout.alpha = AD_STRAIGHT;
	layout.pixels = job.colours ? job.colours : (uint64_t)job.width * job.height;
	rc = ad_convert_init(&convert, &layout, &job.profile, options, err);
	if (!rc && job.colours && convert.icc)
		ad_convert_rows(&convert, job.palette, job.palette[0], job.colours);
	if (!rc)
		rc = ad_image_alloc(job.width, job.height, &image, err);
	if (!rc && (job.compression == RLE4 || job.compression == RLE8)) {
		fill(image, options->background);
		rc = read_rle(&job, image);
	} else if (!rc) {
		rc = read_plain(&job, &convert, image);
	}
	ad_convert_release(&convert);
	if (rc)
		adtool_image_free(image);
	else
		*out = image;
	return rc;
}
