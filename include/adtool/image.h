/*
 * Pictures: 8-bit RGB, upright, rows from top to bottom, no padding between rows.
 */
#ifndef ADTOOL_IMAGE_H
#define ADTOOL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/error.h>
#include <adtool/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct adtool_image adtool_image;

/* A black picture of width x height (both 1 .. 65535). The caller frees *out. */
ADTOOL_API int adtool_image_create(unsigned width, unsigned height, adtool_image **out, adtool_error *err);

/* How a file becomes a picture. */
typedef struct adtool_image_options {
	uint64_t max_pixels;   /* 0: ADTOOL_MAX_PIXELS_DEFAULT */
	uint64_t whole_pixels; /* of a picture that must be in memory whole, where that is less; 0: no matter */
	uint8_t background[3]; /* what shows where the picture is transparent: R G B, sRGB; default black */
	unsigned page;         /* of a TIFF of several, from 1; 0: the first */
	/*
	 * Decode HEIC, AVIF and JPEG XL each in a process forked for it, so that one whose decoder crashes, or does not
	 * end, is ADTOOL_EFORMAT and no more. Where no process can be had it is decoded in this one. default: no
	 */
	int isolate;
	const struct ad_rows *rows; /* the library's own: NULL */
} adtool_image_options;

ADTOOL_API void adtool_image_options_init(adtool_image_options *options);

/*
 * Decodes a whole picture file held in memory; the format is found from the bytes, never from a name: JPEG, PNG, BMP,
 * PBM, PGM, PPM and PAM, and where this build has them (adtool_image_formats) TIFF, WebP, GIF, HEIC, AVIF and JPEG XL.
 * Another is refused with ADTOOL_EUNSUPPORTED and what it seems to be. Of an animation it is the first frame.
 *
 * The result is upright (EXIF or TIFF orientation) and sRGB: an embedded ICC profile that is not sRGB is followed; one
 * that is damaged is passed over, as are gAMA and cHRM of PNG unless both are there and say something else than sRGB.
 * Gray is repeated over R, G, B; CMYK and YCCK without a profile are converted by R = (1 - C)(1 - K), JPEG's taken as
 * inverted where an Adobe marker stands; 16-bit samples are scaled to 8 bits; alpha is composed over the background.
 *
 * A picture of more than max_pixels or whole_pixels or with a side above 65535 is refused with ADTOOL_ELIMIT, from its
 * header.
 * Truncated or damaged data is refused (ADTOOL_EFORMAT), never guessed; what stands behind the end of the picture,
 * stray bytes between JPEG segments and damaged EXIF blocks are passed over. Memory at the peak, in bytes a pixel: 3;
 * up to 11 while decoding progressive JPEG, 7 for interlaced PNG, 20 for AVIF, 12 for the
 * others, though JPEG XL of many layers may take 160; of an isolated one the other process takes them, and this one 3.
 * Nothing is printed, but by libjxl where it was built to remark on damage, as Debian's 0.7 is: to stderr, unless it is
 * isolated.
 * options may be NULL. The caller frees *out.
 */
ADTOOL_API int adtool_image_decode_with(const void *data, size_t size, const adtool_image_options *options,
                                        adtool_image **out, adtool_error *err);

/* The same, with a limit (0: the default) and no other options. */
ADTOOL_API int adtool_image_decode(const void *data, size_t size, uint64_t max_pixels, adtool_image **out,
                                   adtool_error *err);

/*
 * The formats, and "ICC profile": calls fn for each, with the library that it needs ("" for none but this one), or with
 * NULL when this build does without it.
 */
ADTOOL_API void adtool_image_formats(void (*fn)(void *context, const char *format, const char *library), void *context);

/*
 * A colour: "#rrggbb", "#rgb", or black, white, gray, red, green, blue, cyan, magenta, yellow, as CSS has them.
 * ADTOOL_EINVAL for another text.
 */
ADTOOL_API int adtool_color_parse(const char *text, uint8_t rgb[3], adtool_error *err);

/* Reads and decodes a regular file of at most 1 GiB. options may be NULL. */
ADTOOL_API int adtool_image_read(const char *path, const adtool_image_options *options, adtool_image **out,
                                 adtool_error *err);

ADTOOL_API unsigned adtool_image_width(const adtool_image *image);
ADTOOL_API unsigned adtool_image_height(const adtool_image *image);

/* 3 * width * height bytes, R G B, owned by the picture; may be written to. */
ADTOOL_API uint8_t *adtool_image_pixels(adtool_image *image);

/*
 * Resizes to width x height, in 8 bits, as Pillow's BILINEAR does: a triangle filter, widened by
 * the scale when shrinking, horizontal pass first, 8-bit intermediate. The caller frees *out.
 */
ADTOOL_API int adtool_image_resize(const adtool_image *image, unsigned width, unsigned height,
                                   adtool_image **out, adtool_error *err);

/* Writes an 8-bit RGB PNG; the file appears whole or not at all. */
ADTOOL_API int adtool_image_write_png(const adtool_image *image, const char *path, adtool_error *err);

/* Harmless on NULL. */
ADTOOL_API void adtool_image_free(adtool_image *image);

#ifdef __cplusplus
}
#endif
#endif
