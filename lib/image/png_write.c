#include "internal.h"

#include "../base/fail.h"

#include <png.h>
#include <zlib.h>

struct job {
	png_structp png;
	png_infop info;
	ad_buf *out;
	adtool_error *err;
	int code;
};

static _Noreturn void on_error(png_structp png, png_const_charp text)
{
	struct job *job = png_get_error_ptr(png);

	if (!job->code) {
		job->code = ADTOOL_ENOMEM;
		ad_fail(job->err, job->code, "cannot encode a PNG: %s", text);
	}
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

static void on_write(png_structp png, png_bytep data, size_t size)
{
	struct job *job = png_get_io_ptr(png);

	if (ad_buf_add(job->out, data, size)) {
		job->code = ad_fail_nomem(job->err);
		png_error(png, "");
	}
}

static void on_flush(png_structp png)
{
	(void)png;
}

static int run(struct job *job, const adtool_image *image)
{
	png_structp png = job->png;
	unsigned y;

	if (setjmp(png_jmpbuf(png)))
		return job->code;
	png_set_write_fn(png, job, on_write, on_flush);
	png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
	/*
	 * Heat maps must not cost more than the scores they belong to: runs only is five times as fast as the defaults.
	 */
	png_set_compression_level(png, 1);
	png_set_compression_strategy(png, Z_RLE);
	png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_UP);
	png_set_IHDR(png, job->info, image->width, image->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
	             PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
	png_write_info(png, job->info);
	for (y = 0; y < image->height; y++)
		png_write_row(png, image->pixels + (size_t)3 * image->width * y);
	png_write_end(png, NULL);
	return 0;
}

int ad_png_encode(const adtool_image *image, ad_buf *out, adtool_error *err)
{
	struct job job = {.out = out, .err = err};
	size_t before = out->size;
	int rc;

	job.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
	job.info = job.png ? png_create_info_struct(job.png) : NULL;
	rc = job.info ? run(&job, image) : ad_fail_nomem(err);
	png_destroy_write_struct(&job.png, &job.info);
	if (rc && !out->failed)
		out->size = before;
	return rc;
}
