/*
 * HEIC and AVIF through libheif: the primary picture, turned and cropped as its container says. The container's size is
 * held against the limit; libheif holds the coded one against it.
 */
#include "internal.h"

#ifdef AD_SONAME_HEIF

#include "../base/fail.h"
#include "../base/lazy.h"
#include "../base/mem.h"

#include <libheif/heif.h>
#include <pthread.h>
#include <stdlib.h>

#define SYMBOLS(X) \
	X(heif_init) \
	X(heif_context_alloc) \
	X(heif_context_free) \
	X(heif_context_read_from_memory_without_copy) \
	X(heif_context_set_max_decoding_threads) \
	X(heif_context_get_primary_image_handle) \
	X(heif_image_handle_release) \
	X(heif_image_handle_get_width) \
	X(heif_image_handle_get_height) \
	X(heif_image_handle_has_alpha_channel) \
	X(heif_image_handle_is_premultiplied_alpha) \
	X(heif_image_handle_get_raw_color_profile_size) \
	X(heif_image_handle_get_raw_color_profile) \
	X(heif_image_handle_get_nclx_color_profile) \
	X(heif_nclx_color_profile_free) \
	X(heif_decoding_options_alloc) \
	X(heif_decoding_options_free) \
	X(heif_decode_image) \
	X(heif_image_get_width) \
	X(heif_image_get_height) \
	X(heif_image_get_plane_readonly) \
	X(heif_image_release)

typedef struct api {
	SYMBOLS(AD_LAZY_MEMBER)
} api;

struct job {
	api api;
	struct heif_context *context;
	struct heif_image_handle *handle;
	struct heif_image *decoded;
	uint8_t *icc, *row;
	int width, height; /* as the container says */
	ad_profile profile;
	ad_convert convert;
	adtool_image *image;
	const adtool_image_options *options;
	adtool_error *err;
};

static int failed(const struct job *job, struct heif_error e)
{
	if (e.code == heif_error_Memory_allocation_error && e.subcode != heif_suberror_Security_limit_exceeded)
		return ad_fail_nomem(job->err);
	if (e.subcode == heif_suberror_Security_limit_exceeded)
		return ad_fail(job->err, ADTOOL_ELIMIT, "HEIF: %s", e.message);
	if (e.code == heif_error_Unsupported_feature || e.code == heif_error_Unsupported_filetype)
		return ad_fail(job->err, ADTOOL_EUNSUPPORTED, "HEIF: %s", e.message);
	return ad_fail(job->err, ADTOOL_EFORMAT, "damaged HEIF: %s",
		       e.message && *e.message ? e.message : "no picture");
}

/*
 * Code points of ITU-T H.273. The transfer functions of video are taken as that of sRGB, as browsers do; those of high
 * dynamic range are not followed.
 */
static void take_nclx(struct job *job, const struct heif_color_profile_nclx *n)
{
	static const double display_p3[8] = {0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060};
	static const double bt2020[8] = {0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046};
	static const double bt709[8] = {0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06};
	const double *xy = n->color_primaries == 12 ? display_p3 : n->color_primaries == 9 ? bt2020 : bt709;

	switch ((int)n->transfer_characteristics) {
	case 4:
		job->profile.gamma = 1 / 2.2;
		break;
	case 5:
		job->profile.gamma = 1 / 2.8;
		break;
	case 8:
		job->profile.gamma = 1;
		break;
	case 16:
	case 18:
		return;
	default:
		job->profile.gamma = AD_GAMMA_SRGB;
	}
	memcpy(job->profile.xy, xy, sizeof(job->profile.xy));
}

static int read_profile(struct job *job)
{
	const api *x = &job->api;
	struct heif_color_profile_nclx *nclx = NULL;
	size_t n = x->heif_image_handle_get_raw_color_profile_size(job->handle);

	if (n) {
		job->icc = ad_malloc(n);
		if (!job->icc)
			return ad_fail_nomem(job->err);
		if (x->heif_image_handle_get_raw_color_profile(job->handle, job->icc).code == heif_error_Ok) {
			job->profile.icc = job->icc;
			job->profile.size = n;
		}
		return 0;
	}
	if (x->heif_image_handle_get_nclx_color_profile(job->handle, &nclx).code == heif_error_Ok && nclx)
		take_nclx(job, nclx);
	if (nclx)
		x->heif_nclx_color_profile_free(nclx);
	return 0;
}

static int decode_pixels(struct job *job, int alpha)
{
	const api *x = &job->api;
	struct heif_decoding_options *options = x->heif_decoding_options_alloc();
	struct heif_error e;

	if (!options)
		return ad_fail_nomem(job->err);
	options->strict_decoding = 1;
	options->convert_hdr_to_8bit = 1;
	/*
	 * What libheif 1.15 makes of dav1d loses memory on some damaged pictures. Another serves
	 * when there is no aom.
	 */
	if (options->version >= 4)
		options->decoder_id = "aom";
	e = x->heif_decode_image(job->handle, &job->decoded, heif_colorspace_RGB,
				 alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, options);
	x->heif_decoding_options_free(options);
	return e.code == heif_error_Ok ? 0 : failed(job, e);
}

static int put_rows(struct job *job, unsigned samples)
{
	const api *x = &job->api;
	int width = x->heif_image_get_width(job->decoded, heif_channel_interleaved);
	int height = x->heif_image_get_height(job->decoded, heif_channel_interleaved), pitch, y, rc;
	const uint8_t *plane = x->heif_image_get_plane_readonly(job->decoded, heif_channel_interleaved, &pitch);

	if (width <= 0 || height <= 0 || !plane)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged HEIF: no picture");
	/* A grid whose tiles do not reach as far as it claims has pixels that were never set. A cut may be rounded. */
	if (abs(width - job->width) > 1 || abs(height - job->height) > 1)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged HEIF: %d x %d pixels where %d x %d were announced",
			       width, height, job->width, job->height);
	rc = ad_image_check_size((uint64_t)width, (uint64_t)height, job->options, job->err);
	if (!rc)
		rc = ad_image_alloc((unsigned)width, (unsigned)height, &job->image, job->err);
	if (rc)
		return rc;
	job->row = ad_malloc_array((size_t)width, samples);
	if (!job->row)
		return ad_fail_nomem(job->err);
	for (y = 0; y < height; y++) {
		/* The conversion may work in its samples. */
		memcpy(job->row, plane + (size_t)y * (size_t)pitch, (size_t)width * samples);
		ad_convert_rows(&job->convert, job->row, job->image->pixels + (size_t)y * (size_t)width * 3,
				(size_t)width);
	}
	return 0;
}

static int run(struct job *job, const uint8_t *data, size_t size)
{
	const api *x = &job->api;
	ad_layout layout = {.colours = 3, .depth = 8};
	struct heif_error e;
	int rc;

	rc = ad_heif_check_references(data, size, job->err);
	if (rc)
		return rc;
	job->context = x->heif_context_alloc();
	if (!job->context)
		return ad_fail_nomem(job->err);
	ad_hevc_register(job->context);
	/* The caller's threads each have a picture. */
	x->heif_context_set_max_decoding_threads(job->context, 0);
	e = x->heif_context_read_from_memory_without_copy(job->context, data, size, NULL);
	if (e.code == heif_error_Ok)
		e = x->heif_context_get_primary_image_handle(job->context, &job->handle);
	if (e.code != heif_error_Ok)
		return failed(job, e);
	job->width = x->heif_image_handle_get_width(job->handle);
	job->height = x->heif_image_handle_get_height(job->handle);
	rc = ad_image_check_size(job->width > 0 ? (uint64_t)job->width : 0, job->height > 0 ? (uint64_t)job->height : 0,
				 job->options, job->err);
	if (!rc)
		rc = read_profile(job);
	if (!rc && x->heif_image_handle_has_alpha_channel(job->handle))
		layout.alpha =
		    x->heif_image_handle_is_premultiplied_alpha(job->handle) ? AD_PREMULTIPLIED : AD_STRAIGHT;
	layout.pixels = (uint64_t)job->width * (uint64_t)job->height;
	if (!rc)
		rc = ad_convert_init(&job->convert, &layout, &job->profile, job->options, job->err);
	if (!rc)
		rc = decode_pixels(job, layout.alpha != AD_OPAQUE);
	return rc ? rc : put_rows(job, layout.alpha != AD_OPAQUE ? 4 : 3);
}

static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};
_Static_assert(sizeof(names) == sizeof(api), "the table holds function pointers only");

static int open_library(api *x, adtool_error *err)
{
	return ad_lazy_resident(AD_SONAME_HEIF, names, sizeof(names) / sizeof(names[0]), x, err);
}

static void prepare_once(void)
{
	api x;

	/* libheif may have decoders in libraries of their own. */
	if (!open_library(&x, NULL))
		x.heif_init(NULL);
	ad_hevc_prepare();
	ad_icc_prepare();
}

int ad_heif_prepare(adtool_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	api x;
	int rc = open_library(&x, err);

	if (!rc)
		pthread_once(&once, prepare_once);
	return rc;
}

int ad_heif_decode(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		   adtool_error *err)
{
	struct job job = {.options = options, .err = err};
	int rc = open_library(&job.api, err);

	if (rc)
		return rc;
	rc = run(&job, data, size);
	if (job.decoded)
		job.api.heif_image_release(job.decoded);
	if (job.handle)
		job.api.heif_image_handle_release(job.handle);
	if (job.context)
		job.api.heif_context_free(job.context);
	ad_convert_release(&job.convert);
	ad_free(job.icc);
	ad_free(job.row);
	if (rc)
		adtool_image_free(job.image);
	else
		*out = job.image;
	return rc;
}

#endif
