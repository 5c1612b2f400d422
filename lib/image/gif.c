/* GIF through giflib: the first frame on its canvas. What the frame leaves open shows the background. */
#include "internal.h"

#ifdef AD_SONAME_GIF

#include "../base/fail.h"
#include "../base/lazy.h"
#include "../base/mem.h"

#include <gif_lib.h>

#define SYMBOLS(X) \
	X(DGifOpen) \
	X(DGifCloseFile) \
	X(DGifGetRecordType) \
	X(DGifGetImageDesc) \
	X(DGifGetLine) \
	X(DGifGetExtension) \
	X(DGifGetExtensionNext) \
	X(GifErrorString)

typedef struct api {
	SYMBOLS(AD_LAZY_MEMBER)
} api;

struct job {
	api api;
	GifFileType *gif;
	const uint8_t *data;
	size_t size, at;
	const adtool_image_options *options;
	int transparent; /* a colour's number; -1: none */
	adtool_image *image;
	uint8_t *line;
	adtool_error *err;
};

static int on_read(GifFileType *gif, GifByteType *to, int n)
{
	struct job *job = gif->UserData;
	size_t left = job->size - job->at;

	if (n <= 0)
		return 0;
	if ((size_t)n < left)
		left = (size_t)n;
	memcpy(to, job->data + job->at, left);
	job->at += left;
	return (int)left;
}

static int damaged(const struct job *job, int code)
{
	const char *text = job->api.GifErrorString(code);

	if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
		return ad_fail_nomem(job->err);
	if (job->at == job->size)
		return ad_fail(job->err, ADTOOL_EFORMAT, "truncated GIF: its %zu bytes end before the picture does",
			       job->size);
	return ad_fail(job->err, ADTOOL_EFORMAT, "damaged GIF: %s", text ? text : "no more is known");
}

/* A graphic control extension says which colour is transparent. */
static int read_extension(struct job *job)
{
	GifByteType *block;
	int code;

	if (job->api.DGifGetExtension(job->gif, &code, &block) == GIF_ERROR)
		return damaged(job, job->gif->Error);
	if (block && code == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4)
		job->transparent = block[1] & 1 ? block[4] : -1;
	while (block)
		if (job->api.DGifGetExtensionNext(job->gif, &block) == GIF_ERROR)
			return damaged(job, job->gif->Error);
	return 0;
}

static int find_frame(struct job *job)
{
	GifRecordType type;
	int rc = 0;

	while (!rc) {
		if (job->api.DGifGetRecordType(job->gif, &type) == GIF_ERROR)
			return damaged(job, job->gif->Error);
		if (type == IMAGE_DESC_RECORD_TYPE)
			return job->api.DGifGetImageDesc(job->gif) == GIF_ERROR ? damaged(job, job->gif->Error) : 0;
		if (type == TERMINATE_RECORD_TYPE)
			return ad_fail(job->err, ADTOOL_EFORMAT, "damaged GIF: it holds no picture");
		if (type == EXTENSION_RECORD_TYPE)
			rc = read_extension(job);
	}
	return rc;
}

static int put_line(struct job *job, const ColorMapObject *map, unsigned y)
{
	const GifImageDesc *frame = &job->gif->Image;
	const adtool_image *image = job->image;
	unsigned left = (unsigned)frame->Left, x;
	uint8_t *to;

	y += (unsigned)frame->Top;
	for (x = 0; x < (unsigned)frame->Width; x++) {
		unsigned colour = job->line[x];

		if ((int)colour == job->transparent)
			continue;
		if (colour >= (unsigned)map->ColorCount)
			return ad_fail(job->err, ADTOOL_EFORMAT, "damaged GIF: colour %u of a palette of %d", colour,
				       map->ColorCount);
		if (x + left >= image->width || y >= image->height)
			continue;
		to = image->pixels + 3 * ((size_t)image->width * y + x + left);
		to[0] = map->Colors[colour].Red;
		to[1] = map->Colors[colour].Green;
		to[2] = map->Colors[colour].Blue;
	}
	return 0;
}

static int read_lines(struct job *job)
{
	static const struct {
		unsigned first, step;
	} passes[] = {{0, 1}, {0, 8}, {4, 8}, {2, 4}, {1, 2}};
	const GifImageDesc *frame = &job->gif->Image;
	const ColorMapObject *map = frame->ColorMap ? frame->ColorMap : job->gif->SColorMap;
	unsigned pass = frame->Interlace ? 1 : 0, last = frame->Interlace ? 4 : 0, y;
	int rc = 0;

	if (!map)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged GIF: it has no palette");
	for (; pass <= last && !rc; pass++) {
		for (y = passes[pass].first; y < (unsigned)frame->Height && !rc; y += passes[pass].step) {
			if (job->api.DGifGetLine(job->gif, job->line, frame->Width) == GIF_ERROR)
				return damaged(job, job->gif->Error);
			rc = put_line(job, map, y);
		}
	}
	return rc;
}

static int run(struct job *job)
{
	const GifFileType *gif = job->gif;
	uint64_t width = (uint64_t)gif->SWidth, height = (uint64_t)gif->SHeight;
	size_t n, i;
	int rc;

	/* Many have a canvas without a size: it is the frame's then. */
	rc = width && height ? ad_image_check_size(width, height, job->options, job->err) : 0;
	if (!rc)
		rc = find_frame(job);
	if (rc)
		return rc;
	if (!width || !height) {
		width = (uint64_t)gif->Image.Left + (uint64_t)gif->Image.Width;
		height = (uint64_t)gif->Image.Top + (uint64_t)gif->Image.Height;
	}
	rc = ad_image_check_size((uint64_t)gif->Image.Width, (uint64_t)gif->Image.Height, job->options, job->err);
	if (!rc)
		rc = ad_image_check_size(width, height, job->options, job->err);
	if (!rc)
		rc = ad_image_alloc((unsigned)width, (unsigned)height, &job->image, job->err);
	if (rc)
		return rc;
	job->line = ad_malloc((size_t)gif->Image.Width);
	if (!job->line)
		return ad_fail_nomem(job->err);
	for (n = (size_t)width * (size_t)height, i = 0; i < n; i++)
		memcpy(job->image->pixels + 3 * i, job->options->background, 3);
	return read_lines(job);
}

int ad_gif_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		  adtool_error *err)
{
	static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};
	struct job job = {.data = data, .size = size, .options = options, .transparent = -1, .err = err};
	int code = 0, rc;

	_Static_assert(sizeof(names) == sizeof(api), "the table holds function pointers only");
	rc = ad_lazy_resident(AD_SONAME_GIF, names, sizeof(names) / sizeof(names[0]), &job.api, err);
	if (rc)
		return rc;
	job.gif = job.api.DGifOpen(&job, on_read, &code);
	rc = job.gif ? run(&job) : damaged(&job, code);
	if (job.gif)
		job.api.DGifCloseFile(job.gif, &code);
	ad_free(job.line);
	if (rc)
		adtool_image_free(job.image);
	else
		*out = job.image;
	return rc;
}

#endif
