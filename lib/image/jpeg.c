/*
 * JPEG through libjpeg-turbo's libjpeg API.
 *
 * Refused, besides what the library refuses: every warning that means missing or damaged picture data, an end of
 * the bytes before the EOI marker, components that no scan brought, more than MAX_SCANS scans. Tolerated: stray
 * bytes between segments and after the entropy-coded data, odd JFIF versions and Adobe transform codes, damaged
 * ICC profiles, the SOS parameters that sequential JPEG does not use, and anything after EOI.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <setjmp.h>

#include <jpeglib.h>

/* The library's message codes alone, by its own way of being included twice; its macros use banned calls. */
enum message {
#define JERROR_H
#define JMESSAGE(code, text) code,
#include <jerror.h>
};

/* Encoders make some ten; a few bytes each would otherwise cost a pass over the whole picture. */
#define MAX_SCANS 100

/* Lives outside of the function that calls setjmp, so that it is intact after longjmp. */
struct job {
	struct jpeg_decompress_struct cinfo;
	struct jpeg_error_mgr errors;
	struct jpeg_source_mgr source;
	struct jpeg_progress_mgr progress;
	jmp_buf escape;
	size_t size;
	const adtool_image_options *options;
	ad_upright upright;
	ad_convert convert;
	uint8_t *icc;         /* the profile, put together */
	uint8_t *strip, *rgb; /* stored rows; the same as RGB when they are to be converted */
	adtool_error *err;
	int code;
};

static _Noreturn void escape(struct job *job, int code)
{
	job->code = code;
	longjmp(job->escape, 1);
}

static int code_of(int message)
{
	switch (message) {
	case JERR_OUT_OF_MEMORY:
		return ADTOOL_ENOMEM;
	case JERR_IMAGE_TOO_BIG:
	case JERR_WIDTH_OVERFLOW:
	case JERR_NO_BACKING_STORE:
		return ADTOOL_ELIMIT;
	case JERR_SOF_UNSUPPORTED:
	case JERR_BAD_PRECISION:
	case JERR_ARITH_NOTIMPL:
	case JERR_CONVERSION_NOTIMPL:
	case JERR_NOTIMPL:
		return ADTOOL_EUNSUPPORTED;
	default:
		return ADTOOL_EFORMAT;
	}
}

static void on_error(j_common_ptr cinfo)
{
	struct job *job = cinfo->client_data;
	char text[JMSG_LENGTH_MAX];
	int code = code_of(cinfo->err->msg_code);

	cinfo->err->format_message(cinfo, text);
	ad_fail(job->err, code, "%s: %s", code == ADTOOL_EFORMAT ? "damaged JPEG" : "JPEG", text);
	escape(job, code);
}

static void on_message(j_common_ptr cinfo, int level)
{
	if (level >= 0) /* a trace */
		return;
	switch (cinfo->err->msg_code) {
	case JWRN_EXTRANEOUS_DATA:
	case JWRN_ADOBE_XFORM:
	case JWRN_JFIF_MAJOR:
	case JWRN_NOT_SEQUENTIAL:
	case JWRN_BOGUS_ICC:
		return;
	default:
		on_error(cinfo);
	}
}

static void on_progress(j_common_ptr cinfo)
{
	struct job *job = cinfo->client_data;

	if (job->cinfo.input_scan_number > MAX_SCANS) {
		ad_fail(job->err, ADTOOL_ELIMIT, "JPEG: more than the limit of %d scans", MAX_SCANS);
		escape(job, ADTOOL_ELIMIT);
	}
}

static void source_none(j_decompress_ptr cinfo)
{
	(void)cinfo;
}

static boolean source_end(j_decompress_ptr cinfo)
{
	struct job *job = cinfo->client_data;

	ad_fail(job->err, ADTOOL_EFORMAT, "truncated JPEG: its %zu bytes end before the picture does", job->size);
	escape(job, ADTOOL_EFORMAT);
}

static void source_skip(j_decompress_ptr cinfo, long count)
{
	if (count <= 0)
		return;
	if ((unsigned long)count > cinfo->src->bytes_in_buffer)
		source_end(cinfo);
	cinfo->src->next_input_byte += count;
	cinfo->src->bytes_in_buffer -= (size_t)count;
}

static int orientation_of(const struct job *job)
{
	jpeg_saved_marker_ptr m;

	for (m = job->cinfo.marker_list; m; m = m->next)
		if (m->data_length >= 6 && memcmp(m->data, "Exif\0", 5) == 0)
			return ad_exif_orientation(m->data + 6, m->data_length - 6);
	return 1;
}

/*
 * The profile comes in numbered pieces: "ICC_PROFILE\0", number from 1, count, bytes. A set that is not complete is
 * passed over.
 */
static int join_profile(struct job *job, ad_profile *profile)
{
	enum { HEAD = 14 };
	jpeg_saved_marker_ptr m, pieces[256] = {0};
	unsigned count = 0, i;
	size_t size = 0;

	for (m = job->cinfo.marker_list; m; m = m->next) {
		if (m->marker != JPEG_APP0 + 2 || m->data_length < HEAD || memcmp(m->data, "ICC_PROFILE", 12) != 0)
			continue;
		if (!m->data[12] || m->data[12] > m->data[13] || (count && count != m->data[13]) || pieces[m->data[12]])
			return 0;
		count = m->data[13];
		pieces[m->data[12]] = m;
		size += m->data_length - HEAD;
	}
	for (i = 1; i <= count; i++)
		if (!pieces[i])
			return 0;
	if (!size)
		return 0;
	job->icc = ad_malloc(size);
	if (!job->icc)
		return ad_fail_nomem(job->err);
	for (size = 0, i = 1; i <= count; i++) {
		memcpy(job->icc + size, pieces[i]->data + HEAD, pieces[i]->data_length - HEAD);
		size += pieces[i]->data_length - HEAD;
	}
	profile->icc = job->icc;
	profile->size = size;
	return 0;
}

/* Photoshop began to store inks inverted; an Adobe marker tells. */
static int prepare_conversion(struct job *job)
{
	J_COLOR_SPACE space = job->cinfo.out_color_space;
	ad_layout layout = {
	    .colours = 3, .depth = 8, .pixels = (uint64_t)job->cinfo.image_width * job->cinfo.image_height};
	ad_profile profile = {0};
	int rc = join_profile(job, &profile);

	if (rc)
		return rc;
	if (space == JCS_CMYK) {
		layout.colours = 4;
		layout.flipped = job->cinfo.saw_Adobe_marker;
	} else if (job->cinfo.jpeg_color_space == JCS_GRAYSCALE) {
		layout.colours = 1;
	}
	rc = ad_convert_init(&job->convert, &layout, &profile, job->options, job->err);
	if (!rc && layout.colours == 1 && ad_convert_works(&job->convert))
		job->cinfo.out_color_space = JCS_GRAYSCALE;
	return rc;
}

static void choose_colours(struct job *job)
{
	struct jpeg_decompress_struct *c = &job->cinfo;

	switch (c->jpeg_color_space) {
	case JCS_GRAYSCALE:
	case JCS_RGB:
	case JCS_YCbCr:
		c->out_color_space = JCS_RGB;
		break;
	case JCS_CMYK:
	case JCS_YCCK:
		c->out_color_space = JCS_CMYK;
		break;
	default:
		ad_fail(job->err, ADTOOL_EUNSUPPORTED, "JPEG: %d components of an unknown colour space",
			c->num_components);
		escape(job, ADTOOL_EUNSUPPORTED);
	}
}

static void check_components(struct job *job)
{
	int i;

	/* The library latches a component's table when its first scan begins. */
	for (i = 0; i < job->cinfo.num_components; i++)
		if (!job->cinfo.comp_info[i].quant_table) {
			ad_fail(job->err, ADTOOL_EFORMAT, "damaged JPEG: no scan brings component %d", i + 1);
			escape(job, ADTOOL_EFORMAT);
		}
}

static void read_rows(struct job *job)
{
	struct jpeg_decompress_struct *c = &job->cinfo;
	const ad_upright *u = &job->upright;
	int convert = job->rgb != NULL;
	size_t pitch = (size_t)c->output_width * (unsigned)c->output_components;
	JSAMPROW rows[AD_UPRIGHT_ROWS];

	while (c->output_scanline < c->output_height) {
		unsigned y = c->output_scanline, n = c->output_height - y, i;
		int direct = !convert && ad_upright_row(u, y);

		if (n > AD_UPRIGHT_ROWS)
			n = AD_UPRIGHT_ROWS;
		for (i = 0; i < n; i++)
			rows[i] = direct ? ad_upright_row(u, y + i) : job->strip + i * pitch;
		while (c->output_scanline < y + n)
			jpeg_read_scanlines(c, rows + (c->output_scanline - y), y + n - c->output_scanline);
		if (convert)
			ad_convert_rows(&job->convert, job->strip, job->rgb, (size_t)n * c->output_width);
		if (!direct)
			ad_upright_put(u, convert ? job->rgb : job->strip, y, n);
	}
}

static int run(struct job *job, const uint8_t *data)
{
	struct jpeg_decompress_struct *c = &job->cinfo;
	int convert, strip, stream;

	if (setjmp(job->escape))
		return job->code;
	jpeg_create_decompress(c);
	c->src = &job->source;
	c->src->next_input_byte = data;
	c->src->bytes_in_buffer = job->size;
	c->src->init_source = source_none;
	c->src->fill_input_buffer = source_end;
	c->src->skip_input_data = source_skip;
	c->src->resync_to_restart = jpeg_resync_to_restart;
	c->src->term_source = source_none;
	c->progress = &job->progress;
	c->progress->progress_monitor = on_progress;
	jpeg_save_markers(c, JPEG_APP0 + 1, 0xffff);
	jpeg_save_markers(c, JPEG_APP0 + 2, 0xffff);
	jpeg_read_header(c, TRUE);

	/* Of several scans the library holds all coefficients anyway. */
	stream = !jpeg_has_multiple_scans(c);
	job->code = stream ? ad_image_check_stream(c->image_width, c->image_height, job->options, job->err)
			   : ad_image_check_size(c->image_width, c->image_height, job->options, job->err);
	if (job->code)
		return job->code;
	choose_colours(job);
	job->code =
	    stream ? ad_upright_stream(&job->upright, job->options, c->image_width, c->image_height,
				       orientation_of(job), job->err)
		   : ad_upright_init(&job->upright, c->image_width, c->image_height, orientation_of(job), job->err);
	if (job->code)
		return job->code;
	job->code = prepare_conversion(job);
	if (job->code)
		return job->code;
	convert = ad_convert_works(&job->convert);
	strip = convert || !ad_upright_row(&job->upright, 0);
	job->strip =
	    strip ? ad_upright_buffer(AD_UPRIGHT_ROWS, c->image_width, c->out_color_space == JCS_CMYK ? 4 : 3) : NULL;
	job->rgb = convert ? ad_upright_buffer(AD_UPRIGHT_ROWS, c->image_width, 3) : NULL;
	if ((strip && !job->strip) || (convert && !job->rgb))
		return ad_fail_nomem(job->err);

	jpeg_start_decompress(c);
	check_components(job);
	read_rows(job);
	jpeg_finish_decompress(c);
	return 0;
}

int ad_jpeg_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		   adtool_error *err)
{
	struct job *job = ad_calloc(1, sizeof(*job));
	int rc;

	if (!job)
		return ad_fail_nomem(err);
	job->cinfo.client_data = job;
	job->cinfo.err = jpeg_std_error(&job->errors);
	job->errors.error_exit = on_error;
	job->errors.emit_message = on_message;
	job->size = size;
	job->options = options;
	job->err = err;
	rc = run(job, data);
	jpeg_destroy_decompress(&job->cinfo);
	if (rc)
		adtool_image_free(job->upright.image);
	else
		*out = job->upright.image;
	ad_convert_release(&job->convert);
	ad_free(job->icc);
	ad_free(job->strip);
	ad_free(job->rgb);
	ad_free(job);
	return rc;
}
