/*
 * PNG through libpng.
 *
 * The chunks are walked once before libpng sees them: that refuses truncated files at once, finds the
 * orientation wherever it stands and the colours, and tells where the compressed picture ends. libpng then reads
 * only IHDR, PLTE, tRNS, IDAT and IEND, and checks the CRC of every chunk; a wrong one is refused whatever it is of.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <inttypes.h>

#include <png.h>
#include <zlib.h>

/* Only IDAT may hold more in one chunk (libpng bounds that by the picture's size). */
#define MAX_CHUNK ((png_alloc_size_t)64 << 20)

struct job {
	png_structp png;
	png_infop info;
	const uint8_t *data;
	size_t size, at;
	size_t idat_end; /* just behind the last IDAT */
	unsigned width, height;
	size_t stored; /* bytes of a row before any transformation */
	int orientation;
	const adtool_image_options *options;
	ad_profile profile;
	ad_convert convert;
	uint8_t *icc; /* the profile, inflated */
	ad_upright upright;
	uint8_t *rows; /* a strip of rows, or of the whole picture when interlaced; NULL: decoded in place */
	uint8_t *rgb;  /* the strip converted; NULL: nothing is to be */
	adtool_error *err;
	int code;
};

static _Noreturn void on_error(png_structp png, png_const_charp text)
{
	struct job *job = png_get_error_ptr(png);

	if (!job->code) {
		job->code = strstr(text, "emory") ? ADTOOL_ENOMEM : ADTOOL_EFORMAT;
		ad_fail(job->err, job->code, "%s: %s", job->code == ADTOOL_ENOMEM ? "PNG" : "damaged PNG", text);
	}
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

static void on_read(png_structp png, png_bytep to, size_t size)
{
	struct job *job = png_get_io_ptr(png);

	if (size > job->size - job->at) {
		job->code =
		    ad_fail(job->err, ADTOOL_EFORMAT, "truncated PNG: its %zu bytes end inside a chunk", job->size);
		png_error(png, "");
	}
	memcpy(to, job->data + job->at, size);
	job->at += size;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What the chunks before the picture say of its colours. */
struct colours {
	const uint8_t *icc, *gamma, *chromaticities;
	size_t icc_size;
	int srgb;
};

/*
 * The profile of an iCCP chunk: a name, NUL, 0, and a zlib stream. What cannot be inflated, or is longer than any
 * profile in use, is passed over.
 */
static int inflate_profile(struct job *job, const uint8_t *chunk, size_t size)
{
	enum { LONGEST = 16 << 20 };
	const uint8_t *end = memchr(chunk, 0, size < 80 ? size : 80);
	size_t skip = end ? (size_t)(end - chunk) + 2 : 0, room = 4096;
	z_stream z = {0};
	uint8_t *bytes = NULL;
	int rc = Z_OK;

	if (!end || skip >= size || end[1] != 0 || inflateInit(&z) != Z_OK)
		return 0;
	z.next_in = (uint8_t *)(uintptr_t)chunk + skip;
	z.avail_in = (uInt)(size - skip);
	while (rc == Z_OK && room < LONGEST) {
		uint8_t *more = ad_realloc_array(bytes, room *= 2, 1);

		if (!more) {
			ad_free(bytes);
			inflateEnd(&z);
			return ad_fail_nomem(job->err);
		}
		bytes = more;
		z.next_out = bytes + z.total_out;
		z.avail_out = (uInt)(room - z.total_out);
		rc = inflate(&z, Z_NO_FLUSH);
	}
	inflateEnd(&z);
	if (rc != Z_STREAM_END) {
		ad_free(bytes);
		return 0;
	}
	job->icc = bytes;
	job->profile.icc = bytes;
	job->profile.size = z.total_out;
	return 0;
}

/*
 * As browsers do: sRGB goes before iCCP, that before gAMA and cHRM, and those count only together. (Chunks that only
 * one of them has are written by programs that mean sRGB.)
 */
static int read_colours(struct job *job, const struct colours *c)
{
	ad_profile *p = &job->profile;
	int i;

	if (c->srgb)
		return 0;
	if (c->icc)
		return inflate_profile(job, c->icc, c->icc_size);
	if (!c->gamma || !c->chromaticities || get32(c->gamma) < 10000 || get32(c->gamma) > 150000)
		return 0;
	p->gamma = get32(c->gamma) / 100000.0;
	for (i = 0; i < 8; i++)
		p->xy[i] = get32(c->chromaticities + 4 * i) / 100000.0;
	return 0;
}

static void note_colours(struct colours *c, const uint8_t *type, size_t length)
{
	if (memcmp(type, "sRGB", 4) == 0 && length == 1) {
		c->srgb = 1;
	} else if (memcmp(type, "iCCP", 4) == 0 && !c->icc) {
		c->icc = type + 4;
		c->icc_size = length;
	} else if (memcmp(type, "gAMA", 4) == 0 && length == 4) {
		c->gamma = type + 4;
	} else if (memcmp(type, "cHRM", 4) == 0 && length == 32) {
		c->chromaticities = type + 4;
	}
}

/* Size, orientation, colours, extent. */
static int walk(struct job *job)
{
	struct colours colours = {0};
	const uint8_t *d = job->data;
	size_t at = 8;
	int rc, exif = 0;

	if (job->size < 33)
		return ad_fail(job->err, ADTOOL_EFORMAT, "truncated PNG: %zu bytes hold no header", job->size);
	if (memcmp(d + 8, "\0\0\0\rIHDR", 8) != 0)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged PNG: it does not begin with IHDR");
	rc = d[28] ? ad_image_check_size(get32(d + 16), get32(d + 20), job->options, job->err)
		   : ad_image_check_stream(get32(d + 16), get32(d + 20), job->options, job->err);
	if (rc)
		return rc;
	job->width = get32(d + 16);
	job->height = get32(d + 20);
	job->orientation = 1;
	while (job->size - at >= 12) {
		size_t length = get32(d + at);
		const uint8_t *type = d + at + 4;

		if (length > job->size - at - 12)
			break;
		at += 12 + length;
		if (memcmp(type, "IDAT", 4) == 0) {
			job->idat_end = at;
		} else if (memcmp(type, "eXIf", 4) == 0 && !exif) {
			job->orientation = ad_exif_orientation(type + 4, length);
			exif = 1;
		} else if (memcmp(type, "IEND", 4) == 0) {
			return read_colours(job, &colours);
		} else if (!job->idat_end) {
			note_colours(&colours, type, length);
		}
	}
	return ad_fail(job->err, ADTOOL_EFORMAT, "truncated PNG: its %zu bytes end before IEND", job->size);
}

/*
 * A row costs no more compressed than stored, and a little. What lies beyond would be inflated for nothing,
 * a thousand times its size, once the last row is read.
 */
static void check_excess(struct job *job, uint64_t rows_left)
{
	uint64_t allowed = 2 * rows_left * (job->stored + 64) + 65536;

	if (job->idat_end > job->at && job->idat_end - job->at > allowed) {
		job->code = ad_fail(job->err, ADTOOL_EFORMAT,
				    "damaged PNG: %zu bytes of image data where %" PRIu64 " would be too many",
				    job->idat_end - job->at, allowed);
		png_error(job->png, "");
	}
}

static void put_rows(struct job *job, uint8_t *rows, unsigned y, unsigned n)
{
	if (job->rgb) {
		ad_convert_rows(&job->convert, rows, job->rgb, (size_t)n * job->width);
		rows = job->rgb;
	}
	ad_upright_put(&job->upright, rows, y, n);
}

static void read_rows(struct job *job, size_t pitch, int passes)
{
	unsigned strip = passes > 1 ? job->height : AD_UPRIGHT_ROWS;
	unsigned y, n, i;
	int pass;

	for (pass = 0; pass < passes; pass++) {
		for (y = 0; y < job->height; y += n) {
			n = job->height - y < strip ? job->height - y : strip;
			for (i = 0; i < n; i++) {
				uint64_t left = (uint64_t)(passes - pass) * job->height - y - i;
				uint8_t *to = job->rows ? job->rows + i * pitch : ad_upright_row(&job->upright, y + i);

				check_excess(job, left);
				png_read_row(job->png, to, NULL);
			}
			if (passes == 1 && job->rows)
				put_rows(job, job->rows, y, n);
		}
	}
	png_read_end(job->png, NULL);
	if (passes == 1 || !job->rows)
		return;
	for (y = 0; y < job->height; y += n) {
		n = job->height - y < AD_UPRIGHT_ROWS ? job->height - y : AD_UPRIGHT_ROWS;
		put_rows(job, job->rows + y * pitch, y, n);
	}
}

/*
 * What libpng is to hand over: RGB or RGBA of 8 bits; with a profile, gray stays such, and 16 bits are kept, as both
 * matter to it.
 */
static int set_transformations(struct job *job)
{
	png_structp png = job->png;
	int deep = png_get_bit_depth(png, job->info) == 16;
	int gray = !(png_get_color_type(png, job->info) & PNG_COLOR_MASK_COLOR);
	ad_layout layout = {
	    .colours = gray ? 1 : 3, .depth = deep ? 16 : 8, .pixels = (uint64_t)job->width * job->height};
	unsigned channels;

	if (png_get_color_type(png, job->info) & PNG_COLOR_MASK_ALPHA || png_get_valid(png, job->info, PNG_INFO_tRNS))
		layout.alpha = AD_STRAIGHT;
	job->code = ad_convert_init(&job->convert, &layout, &job->profile, job->options, job->err);
	if (job->code)
		return job->code;
	png_set_expand(png);
	if (!job->convert.icc) {
		layout.colours = 3;
		layout.depth = 8;
		job->convert.layout = layout;
		png_set_scale_16(png);
		png_set_gray_to_rgb(png);
	} else if (deep && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
		png_set_swap(png);
	}
	png_read_update_info(png, job->info);
	channels = layout.colours + (layout.alpha != AD_OPAQUE);
	if (png_get_bit_depth(png, job->info) != layout.depth || png_get_channels(png, job->info) != channels)
		png_error(png, "a row of unexpected shape");
	return 0;
}

static int run(struct job *job)
{
	png_structp png = job->png;
	size_t pitch;
	int passes;

	if (setjmp(png_jmpbuf(png)))
		return job->code;
	png_set_read_fn(png, job, on_read);
	png_set_user_limits(png, AD_MAX_SIDE, AD_MAX_SIDE);
	png_set_chunk_malloc_max(png, MAX_CHUNK);
	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
	png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
	png_read_info(png, job->info);
	if (png_get_image_width(png, job->info) != job->width || png_get_image_height(png, job->info) != job->height)
		png_error(png, "two headers");
	job->stored = png_get_rowbytes(png, job->info);
	passes = png_set_interlace_handling(png);
	if (set_transformations(job))
		return job->code;

	job->code = passes > 1 ? ad_upright_init(&job->upright, job->width, job->height, job->orientation, job->err)
			       : ad_upright_stream(&job->upright, job->options, job->width, job->height,
						   job->orientation, job->err);
	if (job->code)
		return job->code;
	pitch = png_get_rowbytes(png, job->info);
	if (ad_convert_works(&job->convert) || !ad_upright_row(&job->upright, 0)) {
		int convert = ad_convert_works(&job->convert);

		job->rows = ad_upright_buffer(passes > 1 ? job->height : AD_UPRIGHT_ROWS, pitch, 1);
		job->rgb = convert ? ad_upright_buffer(AD_UPRIGHT_ROWS, job->width, 3) : NULL;
		if (!job->rows || (convert && !job->rgb))
			return job->code = ad_fail_nomem(job->err);
	}
	read_rows(job, pitch, passes);
	return 0;
}

int ad_png_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		  adtool_error *err)
{
	struct job job = {.data = data, .size = size, .options = options, .err = err};
	int rc = walk(&job);

	if (!rc) {
		job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
		job.info = job.png ? png_create_info_struct(job.png) : NULL;
		rc = job.info ? run(&job) : ad_fail_nomem(err);
		png_destroy_read_struct(&job.png, &job.info, NULL);
	}
	ad_convert_release(&job.convert);
	ad_free(job.icc);
	ad_free(job.rows);
	ad_free(job.rgb);
	if (rc)
		adtool_image_free(job.upright.image);
	else
		*out = job.upright.image;
	return rc;
}
