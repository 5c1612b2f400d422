/*
 * A decoder of HEVC for libheif, on libde265. That of libheif itself passes over what libde265 says of damage, and what
 * was never decoded is then whatever was in memory before. This one refuses what libde265 complains of. Of a slice that
 * ends too early it says nothing: only in a process of its own (isolate.c) is that the same each time. libheif up to
 * 1.15 keeps the decoder for the context that it is given to alone; later ones for all of the process.
 */
#include "internal.h"

#if defined(AD_SONAME_HEIF) && defined(AD_SONAME_DE265)

#include "../base/lazy.h"

#include <libde265/de265.h>
#include <libheif/heif.h>
#include <libheif/heif_plugin.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define DE265_SYMBOLS(X) \
	X(de265_new_decoder) \
	X(de265_free_decoder) \
	X(de265_set_parameter_bool) \
	X(de265_push_NAL) \
	X(de265_flush_data) \
	X(de265_decode) \
	X(de265_get_next_picture) \
	X(de265_get_warning) \
	X(de265_get_chroma_format) \
	X(de265_get_bits_per_pixel) \
	X(de265_get_image_width) \
	X(de265_get_image_height) \
	X(de265_get_image_plane) \
	X(de265_get_image_full_range_flag) \
	X(de265_get_image_colour_primaries) \
	X(de265_get_image_transfer_characteristics) \
	X(de265_get_image_matrix_coefficients)
#define HEIF_SYMBOLS(X) \
	X(heif_register_decoder) \
	X(heif_image_create) \
	X(heif_image_add_plane) \
	X(heif_image_get_plane) \
	X(heif_image_release) \
	X(heif_nclx_color_profile_alloc) \
	X(heif_nclx_color_profile_free) \
	X(heif_nclx_color_profile_set_color_primaries) \
	X(heif_nclx_color_profile_set_transfer_characteristics) \
	X(heif_nclx_color_profile_set_matrix_coefficients) \
	X(heif_image_set_nclx_color_profile)

/* libheif hands its decoders nothing of their own, so what they need stands here. Set once, before it is used. */
static struct de265_api {
	DE265_SYMBOLS(AD_LAZY_MEMBER)
} de;
static struct heif_api {
	HEIF_SYMBOLS(AD_LAZY_MEMBER)
} he;

static const struct heif_error fine = {heif_error_Ok, heif_suberror_Unspecified, "Success"};
static const struct heif_error no_memory = {heif_error_Memory_allocation_error, heif_suberror_Unspecified,
					    "out of memory"};

static struct heif_error damaged(const char *what)
{
	return (struct heif_error){heif_error_Decoder_plugin_error, heif_suberror_Unspecified, what};
}

static const char *plugin_name(void)
{
	return "libde265, strictly";
}

static int does_support(enum heif_compression_format format)
{
	/* Before every other; they have 100. */
	return format == heif_compression_HEVC ? 200 : 0;
}

static struct heif_error new_decoder(void **decoder)
{
	de265_decoder_context *context = de.de265_new_decoder();

	if (!context)
		return no_memory;
	de.de265_set_parameter_bool(context, DE265_DECODER_PARAM_SUPPRESS_FAULTY_PICTURES, 1);
	de.de265_set_parameter_bool(context, DE265_DECODER_PARAM_BOOL_SEI_CHECK_HASH, 1);
	*decoder = context;
	return fine;
}

static void free_decoder(void *decoder)
{
	de.de265_free_decoder(decoder);
}

static void set_strict(void *decoder, int flag)
{
	(void)decoder;
	(void)flag;
}

/* Units, each behind its size in four bytes. */
static struct heif_error push_data(void *decoder, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size) {
		uint32_t n;

		if (size < 4)
			return damaged("a unit of HEVC is cut off");
		n = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
		at += 4;
		size -= 4;
		if (n > size || n > INT32_MAX)
			return damaged("a unit of HEVC is cut off");
		if (de.de265_push_NAL(decoder, at, (int)n, 0, NULL) != DE265_OK)
			return no_memory;
		at += n;
		size -= n;
	}
	return fine;
}

static struct heif_error take_planes(const struct de265_image *from, struct heif_image *to)
{
	static const enum heif_channel channels[3] = {heif_channel_Y, heif_channel_Cb, heif_channel_Cr};
	int c, y, bits = de.de265_get_bits_per_pixel(from, 0);

	for (c = 0; c < (de.de265_get_chroma_format(from) == de265_chroma_mono ? 1 : 3); c++) {
		int width = de.de265_get_image_width(from, c), height = de.de265_get_image_height(from, c), stride,
		    pitch;
		const uint8_t *plane = de.de265_get_image_plane(from, c, &stride);
		struct heif_error e;
		uint8_t *out;

		if (de.de265_get_bits_per_pixel(from, c) != bits)
			return (struct heif_error){heif_error_Unsupported_feature,
						   heif_suberror_Unsupported_color_conversion,
						   "channels of different depths"};
		if (width <= 0 || height <= 0 || !plane)
			return damaged("a plane without pixels");
		e = he.heif_image_add_plane(to, channels[c], width, height, bits);
		if (e.code != heif_error_Ok)
			return e;
		out = he.heif_image_get_plane(to, channels[c], &pitch);
		if (!out)
			return no_memory;
		for (y = 0; y < height; y++)
			memcpy(out + (size_t)y * (size_t)pitch, plane + (size_t)y * (size_t)stride,
			       (size_t)width * (size_t)((bits + 7) / 8));
	}
	return fine;
}

static struct heif_error take_profile(const struct de265_image *from, struct heif_image *to)
{
	struct heif_color_profile_nclx *nclx = he.heif_nclx_color_profile_alloc();
	struct heif_error e;

	if (!nclx)
		return no_memory;
	e = he.heif_nclx_color_profile_set_color_primaries(nclx, (uint16_t)de.de265_get_image_colour_primaries(from));
	if (e.code == heif_error_Ok)
		e = he.heif_nclx_color_profile_set_transfer_characteristics(
		    nclx, (uint16_t)de.de265_get_image_transfer_characteristics(from));
	if (e.code == heif_error_Ok)
		e = he.heif_nclx_color_profile_set_matrix_coefficients(
		    nclx, (uint16_t)de.de265_get_image_matrix_coefficients(from));
	nclx->full_range_flag = de.de265_get_image_full_range_flag(from) != 0;
	if (e.code == heif_error_Ok)
		e = he.heif_image_set_nclx_color_profile(to, nclx);
	he.heif_nclx_color_profile_free(nclx);
	return e;
}

static struct heif_error take_picture(const struct de265_image *from, struct heif_image **out)
{
	enum de265_chroma chroma = de.de265_get_chroma_format(from);
	struct heif_image *image = NULL;
	struct heif_error e = he.heif_image_create(
	    de.de265_get_image_width(from, 0), de.de265_get_image_height(from, 0),
	    chroma == de265_chroma_mono ? heif_colorspace_monochrome : heif_colorspace_YCbCr, (enum heif_chroma)chroma,
	    &image);

	if (e.code == heif_error_Ok)
		e = take_planes(from, image);
	if (e.code == heif_error_Ok)
		e = take_profile(from, image);
	if (e.code != heif_error_Ok) {
		if (image)
			he.heif_image_release(image);
		return e;
	}
	/* The last one counts. */
	if (*out)
		he.heif_image_release(*out);
	*out = image;
	return fine;
}

/* Whether libde265 has found anything but what does not touch the picture. */
static int has_complaints(de265_decoder_context *context)
{
	int found = 0;
	de265_error warning;

	while ((warning = de.de265_get_warning(context)) != DE265_OK)
		found |= warning != DE265_WARNING_NO_WPP_CANNOT_USE_MULTITHREADING &&
			 warning != DE265_WARNING_NUMBER_OF_THREADS_LIMITED_TO_MAXIMUM &&
			 warning != DE265_WARNING_SPS_MISSING_CANNOT_DECODE_SEI &&
			 warning != DE265_WARNING_INCORRECT_ENTRY_POINT_OFFSET;
	return found;
}

static struct heif_error decode(void *decoder, struct heif_image **out)
{
	const struct de265_image *picture;
	struct heif_image *image = NULL;
	struct heif_error e = fine;
	int more;

	if (de.de265_flush_data(decoder) != DE265_OK)
		return no_memory;
	do {
		more = 0;
		if (de.de265_decode(decoder, &more) != DE265_OK)
			e = damaged("HEVC that cannot be decoded");
		while (e.code == heif_error_Ok && (picture = de.de265_get_next_picture(decoder)))
			e = take_picture(picture, &image);
	} while (e.code == heif_error_Ok && more);
	if (e.code == heif_error_Ok && (!image || has_complaints(decoder)))
		e = damaged("HEVC that cannot be decoded whole");
	if (e.code != heif_error_Ok && image)
		he.heif_image_release(image);
	else
		*out = image;
	return e;
}

static const struct heif_decoder_plugin plugin = {
    .plugin_api_version = 3,
    .get_plugin_name = plugin_name,
    .does_support_format = does_support,
    .new_decoder = new_decoder,
    .free_decoder = free_decoder,
    .push_data = push_data,
    .decode_image = decode,
    .set_strict_decoding = set_strict,
    .id_name = "adtool-de265",
};

static int is_open;

static void open_once(void)
{
	static const char *const de_names[] = {DE265_SYMBOLS(AD_LAZY_NAME)},
				 *const he_names[] = {HEIF_SYMBOLS(AD_LAZY_NAME)};

	is_open = !ad_lazy_resident(AD_SONAME_DE265, de_names, sizeof(de_names) / sizeof(de_names[0]), &de, NULL) &&
		  !ad_lazy_resident(AD_SONAME_HEIF, he_names, sizeof(he_names) / sizeof(he_names[0]), &he, NULL);
}

void ad_hevc_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, open_once);
}

void ad_hevc_register(struct heif_context *context)
{
	ad_hevc_prepare();
	if (is_open)
		he.heif_register_decoder(context, &plugin);
}

#else

void ad_hevc_prepare(void)
{
}

void ad_hevc_register(struct heif_context *context)
{
	(void)context;
}

#endif
