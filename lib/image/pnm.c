/*
 * The Netpbm formats: PBM, PGM and PPM, as text (P1 .. P3) and as bytes (P4 .. P6), and PAM (P7), with any largest
 * value up to 65535. The first picture of a file that holds several. Samples are taken as sRGB.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <inttypes.h>

struct job {
	const uint8_t *data;
	size_t size, at;
	int kind;          /* the digit: 1 .. 7 */
	unsigned width, height, top;
	unsigned channels; /* samples of a pixel */
	ad_layout layout;
	adtool_error *err;
};

static int damaged(const struct job *job, const char *what)
{
	return ad_fail(job->err, ADTOOL_EFORMAT, "damaged PNM: %s", what);
}

static int truncated(const struct job *job)
{
	return ad_fail(job->err, ADTOOL_EFORMAT, "truncated PNM: its %zu bytes end before the picture does", job->size);
}

static int is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space and comments. */
static void skip_space(struct job *job)
{
	while (job->at < job->size && (is_space(job->data[job->at]) || job->data[job->at] == '#')) {
		if (job->data[job->at] == '#')
			while (job->at < job->size && job->data[job->at] != '\n' && job->data[job->at] != '\r')
				job->at++;
		else
			job->at++;
	}
}

static int read_number(struct job *job, unsigned *out)
{
	uint64_t n = 0;
	size_t start;

	skip_space(job);
	start = job->at;
	for (; job->at < job->size && job->data[job->at] >= '0' && job->data[job->at] <= '9'; job->at++) {
		n = n * 10 + (job->data[job->at] - '0');
		if (n > UINT32_MAX)
			return damaged(job, "a number that is too large");
	}
	if (job->at == start)
		return job->at == job->size ? truncated(job) : damaged(job, "no number where one belongs");
	*out = (unsigned)n;
	return 0;
}

static int check_top(const struct job *job)
{
	if (!job->top || job->top > 65535)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged PNM: a largest value of %u (1 .. 65535)", job->top);
	return 0;
}

static int read_classic_header(struct job *job)
{
	int rc;

	job->at = 2;
	job->channels = job->kind == 3 || job->kind == 6 ? 3 : 1;
	job->layout.colours = job->channels;
	job->top = 1;
	rc = read_number(job, &job->width);
	if (!rc)
		rc = read_number(job, &job->height);
	if (!rc && job->kind != 1 && job->kind != 4)
		rc = read_number(job, &job->top);
	if (!rc)
		rc = check_top(job);
	if (rc || job->kind < 4)
		return rc;
	/* One byte of white space, and the picture. */
	if (job->at == job->size)
		return truncated(job);
	return is_space(job->data[job->at++]) ? 0 : damaged(job, "no white space behind the header");
}

/* A line of PAM's header: "WORD VALUE". */
static int read_word(struct job *job, char *word, size_t room)
{
	size_t n = 0;

	skip_space(job);
	while (job->at < job->size && !is_space(job->data[job->at])) {
		if (n + 1 < room)
			word[n++] = (char)job->data[job->at];
		job->at++;
	}
	word[n] = '\0';
	return job->at < job->size ? 0 : truncated(job);
}

static int read_pam_header(struct job *job)
{
	static const char *const names[] = {"WIDTH", "HEIGHT", "DEPTH", "MAXVAL"};
	unsigned *const values[] = {&job->width, &job->height, &job->channels, &job->top};
	char word[32], type[32] = "";
	unsigned i;
	int rc;

	job->at = 2;
	for (;;) {
		rc = read_word(job, word, sizeof(word));
		if (rc)
			return rc;
		if (!strcmp(word, "ENDHDR"))
			break;
		for (i = 0; i < 4 && strcmp(word, names[i]); i++)
			;
		if (i < 4)
			rc = read_number(job, values[i]);
		else if (!strcmp(word, "TUPLTYPE"))
			rc = read_word(job, type, sizeof(type));
		else
			rc = damaged(job, "an unknown word in the header");
		if (rc)
			return rc;
	}
	if (job->data[job->at++] != '\n')
		return damaged(job, "no end of line behind the header");
	rc = check_top(job);
	if (rc)
		return rc;
	if (job->channels < 1 || job->channels > 4)
		return ad_fail(job->err, ADTOOL_EUNSUPPORTED, "PAM: pixels of %u samples", job->channels);
	job->layout.colours = job->channels >= 3 ? 3 : 1;
	job->layout.alpha = job->channels % 2 ? AD_OPAQUE : AD_STRAIGHT;
	return 0;
}

/* The next sample of P1 .. P3. */
static int read_text_sample(struct job *job, unsigned *out)
{
	if (job->kind != 1)
		return read_number(job, out);
	/* Bits need no space between them. */
	skip_space(job);
	if (job->at == job->size)
		return truncated(job);
	if (job->data[job->at] != '0' && job->data[job->at] != '1')
		return damaged(job, "a bit that is neither 0 nor 1");
	*out = job->data[job->at++] - '0';
	return 0;
}

/* v of 0 .. top as 8 bits, rounded to nearest. */
static uint8_t scale(const struct job *job, unsigned v)
{
	return (uint8_t)((v * 255 + job->top / 2) / job->top);
}

static int read_row(struct job *job, uint8_t *row)
{
	size_t n = (size_t)job->width * job->channels, i;
	const uint8_t *p = job->data + job->at;
	unsigned v = 0;
	int rc = 0;

	if (job->kind == 4) {
		for (i = 0; i < n; i++)
			row[i] = scale(job, p[i / 8] >> (7 - i % 8) & 1);
		job->at += (n + 7) / 8;
		return 0;
	}
	for (i = 0; i < n; i++) {
		if (job->kind < 4)
			rc = read_text_sample(job, &v);
		else if (job->top > 255)
			v = (unsigned)p[2 * i] << 8 | p[2 * i + 1];
		else
			v = p[i];
		if (rc)
			return rc;
		if (v > job->top)
			return ad_fail(job->err, ADTOOL_EFORMAT, "damaged PNM: a sample of %u where %u is the largest",
				       v, job->top);
		row[i] = scale(job, v);
	}
	if (job->kind > 4)
		job->at += n * (job->top > 255 ? 2 : 1);
	return 0;
}

/* The bytes that the picture takes at least. */
static uint64_t bytes_needed(const struct job *job)
{
	uint64_t n = (uint64_t)job->width * job->channels;

	if (job->kind == 4)
		return (n + 7) / 8 * job->height;
	if (job->kind < 4)
		return n * job->height * (job->kind == 1 ? 1 : 2) - (job->kind == 1 ? 0 : 1);
	return n * job->height * (job->top > 255 ? 2 : 1);
}

int ad_pnm_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		  adtool_error *err)
{
	struct job job = {.data = data, .size = size, .kind = data[1] - '0', .err = err};
	const ad_profile profile = {0};
	ad_convert convert = {0};
	adtool_image *image = NULL;
	uint8_t *row = NULL;
	unsigned y;
	int rc = job.kind == 7 ? read_pam_header(&job) : read_classic_header(&job);

	if (!rc)
		rc = ad_image_check_size(job.width, job.height, options, err);
	if (!rc && bytes_needed(&job) > size - job.at)
		rc = truncated(&job);
	if (rc)
		return rc;
	/* Of a bitmap, 1 is black; of PAM's, 0 is. */
	job.layout.flipped = job.kind == 1 || job.kind == 4;
	job.layout.depth = 8;
	rc = ad_convert_init(&convert, &job.layout, &profile, options, err);
	if (!rc)
		rc = ad_image_alloc(job.width, job.height, &image, err);
	if (!rc) {
		row = ad_malloc_array(job.width, job.channels);
		if (!row)
			rc = ad_fail_nomem(err);
	}
	for (y = 0; y < job.height && !rc; y++) {
		rc = read_row(&job, row);
		if (!rc)
			ad_convert_rows(&convert, row, image->pixels + (size_t)3 * job.width * y, job.width);
	}
	ad_free(row);
	ad_convert_release(&convert);
	if (rc)
		adtool_image_free(image);
	else
		*out = image;
	return rc;
}
