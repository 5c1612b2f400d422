#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <setjmp.h>

#include <jpeglib.h>

enum { ROOM = 16384, QUALITY = 85, ENLARGED_AT_MOST = 8 };

struct job {
	struct jpeg_compress_struct cinfo;
	struct jpeg_error_mgr errors;
	struct jpeg_destination_mgr destination;
	jmp_buf escape;
	uint8_t room[ROOM];
	ad_buf *out;
	adtool_error *err;
	int code;
};

static _Noreturn void on_error(j_common_ptr cinfo)
{
	struct job *job = cinfo->client_data;
	char text[JMSG_LENGTH_MAX];

	if (!job->code) {
		cinfo->err->format_message(cinfo, text);
		job->code = ad_fail(job->err, ADTOOL_ELIMIT, "cannot encode a JPEG: %s", text);
	}
	longjmp(job->escape, 1);
}

static void on_message(j_common_ptr cinfo, int level)
{
	(void)cinfo;
	(void)level;
}

static void destination_begin(j_compress_ptr cinfo)
{
	struct job *job = cinfo->client_data;

	job->destination.next_output_byte = job->room;
	job->destination.free_in_buffer = ROOM;
}

static void put(struct job *job, size_t size)
{
	if (ad_buf_add(job->out, job->room, size)) {
		job->code = ad_fail_nomem(job->err);
		on_error((j_common_ptr)&job->cinfo);
	}
}

static boolean destination_full(j_compress_ptr cinfo)
{
	put(cinfo->client_data, ROOM);
	destination_begin(cinfo);
	return TRUE;
}

static void destination_end(j_compress_ptr cinfo)
{
	put(cinfo->client_data, ROOM - cinfo->dest->free_in_buffer);
}

static int run(struct job *job, const adtool_image *image, int quality)
{
	struct jpeg_compress_struct *c = &job->cinfo;

	if (setjmp(job->escape))
		return job->code;
	jpeg_create_compress(c);
	job->destination.init_destination = destination_begin;
	job->destination.empty_output_buffer = destination_full;
	job->destination.term_destination = destination_end;
	c->dest = &job->destination;
	c->image_width = image->width;
	c->image_height = image->height;
	c->input_components = 3;
	c->in_color_space = JCS_RGB;
	jpeg_set_defaults(c);
	jpeg_set_quality(c, quality, TRUE);
	jpeg_start_compress(c, TRUE);
	while (c->next_scanline < c->image_height) {
		JSAMPROW row = image->pixels + (size_t)3 * image->width * c->next_scanline;

		jpeg_write_scanlines(c, &row, 1);
	}
	jpeg_finish_compress(c);
	return 0;
}

int ad_jpeg_encode(const adtool_image *image, int quality, ad_buf *out, adtool_error *err)
{
	struct job *job = ad_calloc(1, sizeof(*job));
	size_t before = out->size;
	int rc;

	if (!job)
		return ad_fail_nomem(err);
	job->cinfo.client_data = job;
	job->cinfo.err = jpeg_std_error(&job->errors);
	job->errors.error_exit = on_error;
	job->errors.emit_message = on_message;
	job->out = out;
	job->err = err;
	rc = run(job, image, quality);
	jpeg_destroy_compress(&job->cinfo);
	if (rc && !out->failed)
		out->size = before;
	ad_free(job);
	return rc;
}

static unsigned scaled(unsigned length, unsigned longest, unsigned side)
{
	uint64_t n = ((uint64_t)length * side + longest / 2) / longest;

	return n ? (unsigned)n : 1;
}

int ad_image_thumbnail(const adtool_image *image, const ad_heat *heat, unsigned side, ad_buf *out, adtool_error *err)
{
	unsigned longest = image->width > image->height ? image->width : image->height;
	adtool_image *small = NULL, *drawn = NULL;
	int rc;

	if (!side || side > AD_MAX_SIDE)
		return ad_fail(err, ADTOOL_EINVAL, "a thumbnail of %u pixels", side);
	if (longest < side / ENLARGED_AT_MOST)
		side = longest * ENLARGED_AT_MOST;
	rc = adtool_image_resize(image, scaled(image->width, longest, side), scaled(image->height, longest, side),
				 &small, err);
	if (!rc && heat)
		rc = ad_heat_cover(heat, small, &drawn, err);
	if (!rc)
		rc = ad_jpeg_encode(drawn ? drawn : small, QUALITY, out, err);
	adtool_image_free(small);
	adtool_image_free(drawn);
	return rc;
}
