/*
 * PNG through libpng.
 *
 * The chunks are walked once before libpng sees them: that refuses truncated files at once, finds the
 * orientation wherever it stands, and tells where the compressed picture ends. libpng then reads
 * only IHDR, PLTE, tRNS, IDAT and IEND, and checks the CRC of every chunk; a wrong one is refused whatever it is of.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <inttypes.h>

#include <png.h>

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
	ad_upright upright;
	uint8_t *rows; /* a strip of rows, or of the whole picture when interlaced; NULL: decoded in place */
	uint8_t *rgb;  /* the strip without alpha */
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

/* Size, orientation, extent. */
static int walk(struct job *job, uint64_t max_pixels)
{
	const uint8_t *d = job->data;
	size_t at = 8;
	int rc, exif = 0;

	if (job->size < 33)
		return ad_fail(job->err, ADTOOL_EFORMAT, "truncated PNG: %zu bytes hold no header", job->size);
	if (memcmp(d + 8, "\0\0\0\rIHDR", 8) != 0)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged PNG: it does not begin with IHDR");
	rc = ad_image_check_size(get32(d + 16), get32(d + 20), max_pixels, job->err);
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
			return 0;
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

static void over_black(const uint8_t *rgba, uint8_t *rgb, size_t pixels)
{
	size_t i;

	for (i = 0; i < pixels; i++, rgba += 4, rgb += 3) {
		rgb[0] = ad_mul255(rgba[0], rgba[3]);
		rgb[1] = ad_mul255(rgba[1], rgba[3]);
		rgb[2] = ad_mul255(rgba[2], rgba[3]);
	}
}

static void put_rows(struct job *job, const uint8_t *rows, unsigned channels, unsigned y, unsigned n)
{
	if (channels == 4) {
		over_black(rows, job->rgb, (size_t)n * job->width);
		rows = job->rgb;
	}
	ad_upright_put(&job->upright, rows, y, n);
}

static void read_rows(struct job *job, unsigned channels, int passes)
{
	size_t pitch = (size_t)channels * job->width;
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
				put_rows(job, job->rows, channels, y, n);
		}
	}
	png_read_end(job->png, NULL);
	if (passes == 1 || !job->rows)
		return;
	for (y = 0; y < job->height; y += n) {
		n = job->height - y < AD_UPRIGHT_ROWS ? job->height - y : AD_UPRIGHT_ROWS;
		put_rows(job, job->rows + y * pitch, channels, y, n);
	}
}

static int run(struct job *job)
{
	png_structp png = job->png;
	unsigned channels;
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
	png_set_scale_16(png);
	png_set_expand(png);
	png_set_gray_to_rgb(png);
	passes = png_set_interlace_handling(png);
	png_read_update_info(png, job->info);
	channels = png_get_channels(png, job->info);
	if (png_get_bit_depth(png, job->info) != 8 || (channels != 3 && channels != 4))
		png_error(png, "a row of unexpected shape");

	job->code = ad_upright_init(&job->upright, job->width, job->height, job->orientation, job->err);
	if (job->code)
		return job->code;
	if (channels == 4 || !ad_upright_row(&job->upright, 0)) {
		size_t rows = passes > 1 ? job->height : AD_UPRIGHT_ROWS;

		job->rows = ad_malloc_array(rows * job->width, channels);
		job->rgb = channels == 4 ? ad_malloc_array((size_t)AD_UPRIGHT_ROWS * job->width, 3) : NULL;
		if (!job->rows || (channels == 4 && !job->rgb))
			return job->code = ad_fail_nomem(job->err);
	}
	read_rows(job, channels, passes);
	return 0;
}

int ad_png_decode(const uint8_t *data, size_t size, uint64_t max_pixels, adtool_image **out, adtool_error *err)
{
	struct job job = {.data = data, .size = size, .err = err};
	int rc = walk(&job, max_pixels);

	if (rc)
		return rc;
	job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
	job.info = job.png ? png_create_info_struct(job.png) : NULL;
	rc = job.info ? run(&job) : ad_fail_nomem(err);
	png_destroy_read_struct(&job.png, &job.info, NULL);
	ad_free(job.rows);
	ad_free(job.rgb);
	if (rc)
		adtool_image_free(job.upright.image);
	else
		*out = job.upright.image;
	return rc;
}
