/*
 * TIFF and BigTIFF through libtiff: one page. Gray, RGB and CMYK of 8 and 16 bits are taken as they are stored, in
 * strips or tiles, together or in planes; what else libtiff can show (palettes, 1 to 4 bits, YCbCr, CIE L*a*b*) it
 * converts itself. Whatever libtiff calls an error is one, also where it would go on.
 */
#include "internal.h"

#ifdef AD_SONAME_TIFF

#include "../base/fail.h"
#include "../base/lazy.h"
#include "../base/mem.h"
#include "../base/tiff.h"

#include <inttypes.h>

#include <tiffio.h>

#define SYMBOLS(X) \
	X(TIFFOpenOptionsAlloc) \
	X(TIFFOpenOptionsFree) \
	X(TIFFOpenOptionsSetMaxSingleMemAlloc) \
	X(TIFFOpenOptionsSetErrorHandlerExtR) \
	X(TIFFOpenOptionsSetWarningHandlerExtR) \
	X(TIFFClientOpenExt) \
	X(TIFFClose) \
	X(TIFFSetSubDirectory) \
	X(TIFFGetField) \
	X(TIFFGetFieldDefaulted) \
	X(TIFFIsTiled) \
	X(TIFFStripSize64) \
	X(TIFFTileSize64) \
	X(TIFFComputeStrip) \
	X(TIFFComputeTile) \
	X(TIFFReadEncodedStrip) \
	X(TIFFReadEncodedTile) \
	X(TIFFRGBAImageOK) \
	X(TIFFRGBAImageBegin) \
	X(TIFFRGBAImageGet) \
	X(TIFFRGBAImageEnd)

typedef struct api {
	SYMBOLS(AD_LAZY_MEMBER)
} api;

enum { MOST_SAMPLES = 16 };
/* A block may be much larger than the picture in it, but not for nothing. */
#define BLOCK_BYTES ((uint64_t)64 << 20)

struct job {
	api api;
	TIFF *tiff;
	const uint8_t *data;
	size_t size;
	uint64_t at;
	unsigned page;
	const adtool_image_options *options;

	uint32_t width, height;
	uint16_t bits, samples, photometric, planar, format;
	uint32_t block_width, block_height; /* of a tile, or of a strip */
	uint64_t block_bytes;               /* of one plane */
	int tiled;
	ad_layout layout;
	ad_profile profile;
	ad_convert convert;
	ad_upright upright;
	uint8_t *band;  /* a row of blocks: samples interleaved, as wide as the picture */
	uint8_t *block; /* one block of one plane */
	uint8_t *rgb;
	int failed; /* libtiff said so */
	adtool_error *err;
};

/* -- libtiff's world ----------------------------------------------------------------------------------- */

static int on_error(TIFF *tiff, void *context, const char *module, const char *format, va_list args)
{
	struct job *job = context;
	char text[256];

	(void)tiff;
	(void)module;
	if (job->failed)
		return 1;
	job->failed = 1;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	ad_fail(job->err, ADTOOL_EFORMAT, "damaged or truncated TIFF, page %u: %s", job->page, text);
	return 1;
}

/*
 * libjpeg's warnings mean picture data that is missing or damaged; the others are about tags, and matter when the bytes
 * of one are not there.
 */
static int on_warning(TIFF *tiff, void *context, const char *module, const char *format, va_list args)
{
	if ((module && !strcmp(module, "JPEGLib")) || strstr(format, "IO error"))
		return on_error(tiff, context, module, format, args);
	return 1;
}

static tmsize_t on_read(thandle_t context, void *to, tmsize_t n)
{
	struct job *job = context;
	uint64_t left = job->at < job->size ? job->size - job->at : 0;

	if (n <= 0)
		return 0;
	if ((uint64_t)n < left)
		left = (uint64_t)n;
	memcpy(to, job->data + job->at, (size_t)left);
	job->at += left;
	return (tmsize_t)left;
}

static tmsize_t on_write(thandle_t context, void *from, tmsize_t n)
{
	(void)context;
	(void)from;
	(void)n;
	return -1;
}

static toff_t on_seek(thandle_t context, toff_t to, int whence)
{
	struct job *job = context;

	job->at = whence == SEEK_SET ? to : whence == SEEK_CUR ? job->at + to : job->size + to;
	return job->at;
}

static int on_close(thandle_t context)
{
	(void)context;
	return 0;
}

static toff_t on_size(thandle_t context)
{
	return ((struct job *)context)->size;
}

static int on_page_read(void *context, uint64_t at, void *to, size_t n)
{
	const struct job *job = context;

	if (at > job->size || n > job->size - at)
		return -1;
	memcpy(to, job->data + at, n);
	return 0;
}

/* Of a call that failed: its own words are there, or these. */
static int damaged(struct job *job, const char *what)
{
	if (!job->failed)
		ad_fail(job->err, ADTOOL_EFORMAT, "damaged or truncated TIFF, page %u: %s", job->page, what);
	return job->err && job->failed ? job->err->code : ADTOOL_EFORMAT;
}

/* -- what a page is ------------------------------------------------------------------------------------ */

static uint16_t field16(const struct job *job, uint32_t tag)
{
	uint16_t value = 0;

	job->api.TIFFGetFieldDefaulted(job->tiff, tag, &value);
	return value;
}

static int unsupported(const struct job *job, const char *what, unsigned value)
{
	return ad_fail(job->err, ADTOOL_EUNSUPPORTED, "TIFF, page %u: %s %u", job->page, what, value);
}

static int read_size(struct job *job)
{
	const api *x = &job->api;
	int rc;

	if (!x->TIFFGetField(job->tiff, TIFFTAG_IMAGEWIDTH, &job->width) ||
	    !x->TIFFGetField(job->tiff, TIFFTAG_IMAGELENGTH, &job->height))
		return damaged(job, "it has no size");
	rc = ad_image_check_size(job->width, job->height, job->options, job->err);
	if (rc)
		return rc;
	job->tiled = x->TIFFIsTiled(job->tiff);
	if (job->tiled) {
		if (!x->TIFFGetField(job->tiff, TIFFTAG_TILEWIDTH, &job->block_width) ||
		    !x->TIFFGetField(job->tiff, TIFFTAG_TILELENGTH, &job->block_height))
			return damaged(job, "its tiles have no size");
		job->block_bytes = x->TIFFTileSize64(job->tiff);
	} else {
		job->block_width = job->width;
		x->TIFFGetFieldDefaulted(job->tiff, TIFFTAG_ROWSPERSTRIP, &job->block_height);
		if (job->block_height > job->height)
			job->block_height = job->height;
		job->block_bytes = x->TIFFStripSize64(job->tiff);
	}
	if (!job->block_width || !job->block_height || !job->block_bytes)
		return damaged(job, "it has no strips or tiles");
	if (job->block_bytes > BLOCK_BYTES && job->block_bytes / 16 > (uint64_t)job->width * job->height)
		return ad_fail(job->err, ADTOOL_ELIMIT,
			       "TIFF, page %u: a block of %" PRIu64 " bytes for %" PRIu32 " x %" PRIu32 " pixels",
			       job->page, job->block_bytes, job->width, job->height);
	return 0;
}

/* Whether the samples can be taken as they are stored, and how they stand. */
static int is_plain(struct job *job)
{
	ad_layout *l = &job->layout;
	uint16_t extras = 0, *kinds = NULL;

	if ((job->bits != 8 && job->bits != 16) || job->format != SAMPLEFORMAT_UINT)
		return 0;
	memset(l, 0, sizeof(*l));
	l->depth = job->bits;
	switch (job->photometric) {
	case PHOTOMETRIC_MINISWHITE:
		l->flipped = 1;
		l->colours = 1;
		break;
	case PHOTOMETRIC_MINISBLACK:
		l->colours = 1;
		break;
	case PHOTOMETRIC_RGB:
		l->colours = 3;
		break;
	case PHOTOMETRIC_SEPARATED:
		if (field16(job, TIFFTAG_INKSET) != INKSET_CMYK)
			return 0;
		l->colours = 4;
		break;
	default:
		return 0;
	}
	if (job->samples < l->colours)
		return 0;
	l->extra = job->samples - l->colours;
	job->api.TIFFGetFieldDefaulted(job->tiff, TIFFTAG_EXTRASAMPLES, &extras, &kinds);
	if (l->extra && extras && kinds && (kinds[0] == EXTRASAMPLE_ASSOCALPHA || kinds[0] == EXTRASAMPLE_UNASSALPHA)) {
		l->alpha = kinds[0] == EXTRASAMPLE_ASSOCALPHA ? AD_PREMULTIPLIED : AD_STRAIGHT;
		l->extra--;
	}
	return 1;
}

static int read_page(struct job *job)
{
	const api *x = &job->api;
	uint32_t n = 0;
	void *icc = NULL;

	job->bits = field16(job, TIFFTAG_BITSPERSAMPLE);
	job->samples = field16(job, TIFFTAG_SAMPLESPERPIXEL);
	job->planar = field16(job, TIFFTAG_PLANARCONFIG);
	job->format = field16(job, TIFFTAG_SAMPLEFORMAT);
	if (!x->TIFFGetField(job->tiff, TIFFTAG_PHOTOMETRIC, &job->photometric))
		return damaged(job, "it does not say what its samples are");
	if (!job->samples || job->samples > MOST_SAMPLES)
		return unsupported(job, "the samples of a pixel are", job->samples);
	if (x->TIFFGetField(job->tiff, TIFFTAG_ICCPROFILE, &n, &icc) && n) {
		job->profile.icc = icc;
		job->profile.size = n;
	}
	return read_size(job);
}

/* -- samples as they are stored ------------------------------------------------------------------------ */

static int read_block(struct job *job, uint32_t x, uint32_t y, uint16_t plane, uint8_t *to)
{
	const api *a = &job->api;
	uint32_t rows = job->height - y < job->block_height ? job->height - y : job->block_height;
	uint64_t wanted = job->tiled ? job->block_bytes : job->block_bytes / job->block_height * rows;
	tmsize_t got;

	if (job->tiled)
		got = a->TIFFReadEncodedTile(job->tiff, a->TIFFComputeTile(job->tiff, x, y, 0, plane), to,
					     (tmsize_t)job->block_bytes);
	else
		got =
		    a->TIFFReadEncodedStrip(job->tiff, a->TIFFComputeStrip(job->tiff, y, plane), to, (tmsize_t)wanted);
	if (got < 0 || job->failed || (uint64_t)got < wanted)
		return damaged(job, "picture data is missing");
	return 0;
}

/* A block of one plane, or of all samples, to its place in the band. */
static void place(struct job *job, uint32_t x, uint32_t rows, unsigned first, unsigned count)
{
	size_t bytes = job->bits / 8, pixel = bytes * job->samples, i;
	uint32_t columns = job->width - x < job->block_width ? job->width - x : job->block_width, row;

	for (row = 0; row < rows; row++) {
		const uint8_t *from = job->block + (size_t)row * job->block_width * count * bytes;
		uint8_t *to = job->band + ((size_t)row * job->width + x) * pixel + first * bytes;

		if (count == job->samples) {
			memcpy(to, from, columns * pixel);
			continue;
		}
		for (i = 0; i < columns; i++)
			memcpy(to + i * pixel, from + i * bytes, bytes);
	}
}

static void put_band(struct job *job, uint32_t y, uint32_t rows, size_t pixel)
{
	uint32_t i, n;

	for (i = 0; i < rows; i += n) {
		n = rows - i < AD_UPRIGHT_ROWS ? rows - i : AD_UPRIGHT_ROWS;
		ad_convert_rows(&job->convert, job->band + (size_t)i * job->width * pixel, job->rgb,
				(size_t)n * job->width);
		ad_upright_put(&job->upright, job->rgb, y + i, n);
	}
}

static int read_plain(struct job *job)
{
	size_t pixel = (size_t)job->bits / 8 * job->samples;
	int together = job->planar == PLANARCONFIG_CONTIG;
	unsigned planes = together ? 1 : job->samples, count = together ? job->samples : 1, plane;
	uint64_t least = (uint64_t)job->block_width * job->block_height * count * (job->bits / 8);
	uint32_t rows = job->block_height < job->height ? job->block_height : job->height, x, y;
	int rc = 0;

	if (job->block_bytes < least)
		return damaged(job, "its strips or tiles are too small");
	job->band = ad_malloc_array((size_t)rows * job->width, pixel);
	job->block = ad_malloc((size_t)job->block_bytes);
	if (!job->band || !job->block)
		return ad_fail_nomem(job->err);
	for (y = 0; y < job->height && !rc; y += rows) {
		uint32_t n = job->height - y < rows ? job->height - y : rows;

		for (x = 0; x < job->width && !rc; x += job->block_width) {
			for (plane = 0; plane < planes && !rc; plane++) {
				rc = read_block(job, x, y, (uint16_t)plane, job->block);
				if (!rc)
					place(job, x, n, plane, count);
			}
			if (job->width - x <= job->block_width)
				break;
		}
		if (!rc)
			put_band(job, y, n, pixel);
	}
	return rc;
}

/* -- what libtiff converts ----------------------------------------------------------------------------- */

static int read_shown(struct job *job, TIFFRGBAImage *shown)
{
	/* A row of blocks at a time, as that is what libtiff reads anyway. */
	uint32_t rows = job->block_height < job->height ? job->block_height : job->height, y, i;
	size_t pixels = (size_t)rows * job->width;
	uint32_t *raster = ad_malloc_array(pixels, sizeof(*raster));
	int rc = 0;

	if (!raster)
		return ad_fail_nomem(job->err);
	job->band = (uint8_t *)raster;
	/* As stored: it is turned here. */
	shown->req_orientation = shown->orientation;
	for (y = 0; y < job->height && !rc; y += rows) {
		uint32_t n = job->height - y < rows ? job->height - y : rows;

		shown->row_offset = (int)y;
		if (!job->api.TIFFRGBAImageGet(shown, raster, job->width, n) || job->failed)
			return damaged(job, "picture data is missing");
		for (i = 0; i < n * job->width; i++) {
			uint32_t v = raster[i];
			const uint8_t rgba[4] = {(uint8_t)TIFFGetR(v), (uint8_t)TIFFGetG(v), (uint8_t)TIFFGetB(v),
						 (uint8_t)TIFFGetA(v)};

			memcpy(&raster[i], rgba, sizeof(rgba));
		}
		put_band(job, y, n, 4);
	}
	return rc;
}

/* -- all of it ------------------------------------------------------------------------------------------ */

/* Where pixels go, and how. */
static int prepare(struct job *job)
{
	unsigned orientation = field16(job, TIFFTAG_ORIENTATION);
	int rc;

	job->layout.pixels = (uint64_t)job->width * job->height;
	rc = ad_convert_init(&job->convert, &job->layout, &job->profile, job->options, job->err);
	if (rc)
		return rc;
	job->rgb = ad_malloc_array((size_t)job->width * AD_UPRIGHT_ROWS, 3);
	if (!job->rgb)
		return ad_fail_nomem(job->err);
	return ad_upright_init(&job->upright, job->width, job->height,
			       orientation >= 1 && orientation <= 8 ? (int)orientation : 1, job->err);
}

static int decode_shown(struct job *job)
{
	const api *x = &job->api;
	TIFFRGBAImage shown;
	char text[1024] = "";
	int rc;

	if (!x->TIFFRGBAImageOK(job->tiff, text) || !x->TIFFRGBAImageBegin(&shown, job->tiff, 1, text)) {
		if (job->failed)
			return damaged(job, "");
		return ad_fail(job->err, ADTOOL_EUNSUPPORTED, "TIFF, page %u: %s", job->page,
			       *text ? text : "its samples are of a kind that is not read");
	}
	job->layout = (ad_layout){.colours = 3, .depth = 8};
	if (shown.alpha)
		job->layout.alpha = AD_PREMULTIPLIED;
	else
		job->layout.extra = 1;
	rc = prepare(job);
	if (!rc)
		rc = read_shown(job, &shown);
	x->TIFFRGBAImageEnd(&shown);
	return rc;
}

static uint64_t most_pixels(const struct job *job)
{
	uint64_t n = job->options->max_pixels ? job->options->max_pixels : ADTOOL_MAX_PIXELS_DEFAULT;

	if (job->options->whole_pixels && job->options->whole_pixels < n)
		n = job->options->whole_pixels;
	/* More there cannot be. */
	return n < (uint64_t)AD_MAX_SIDE * AD_MAX_SIDE ? n : (uint64_t)AD_MAX_SIDE * AD_MAX_SIDE;
}

static int run(struct job *job)
{
	const api *x = &job->api;
	TIFFOpenOptions *options;
	uint64_t directory;
	int rc = ad_tiff_find(on_page_read, job, job->page, &directory, job->err);

	if (rc)
		return rc;
	options = x->TIFFOpenOptionsAlloc();
	if (!options)
		return ad_fail_nomem(job->err);
	x->TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, job);
	x->TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, job);
	x->TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)(BLOCK_BYTES + 16 * most_pixels(job)));
	/* h: the directory is chosen below; m: no mapping. */
	job->tiff = x->TIFFClientOpenExt("TIFF", "rhm", job, on_read, on_write, on_seek, on_close, on_size, NULL, NULL,
					 options);
	x->TIFFOpenOptionsFree(options);
	if (!job->tiff || !x->TIFFSetSubDirectory(job->tiff, directory) || job->failed)
		return damaged(job, "its directory cannot be read");
	rc = read_page(job);
	if (rc)
		return rc;
	if (!is_plain(job))
		return decode_shown(job);
	rc = prepare(job);
	return rc ? rc : read_plain(job);
}

int ad_tiff_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		   adtool_error *err)
{
	static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};
	adtool_error own;
	struct job job = {.data = data,
			  .size = size,
			  .page = options->page ? options->page : 1,
			  .options = options,
			  .err = err ? err : &own};
	int rc;

	_Static_assert(sizeof(names) == sizeof(api), "the table holds function pointers only");
	rc = ad_lazy_resident(AD_SONAME_TIFF, names, sizeof(names) / sizeof(names[0]), &job.api, job.err);
	if (rc)
		return rc;
	rc = run(&job);
	if (job.tiff)
		job.api.TIFFClose(job.tiff);
	ad_convert_release(&job.convert);
	ad_free(job.band);
	ad_free(job.block);
	ad_free(job.rgb);
	if (rc)
		adtool_image_free(job.upright.image);
	else
		*out = job.upright.image;
	return rc;
}

#endif
