/*
 * Pictures: 8-bit RGB, upright, rows from top to bottom, no padding between rows.
 */
#ifndef ADTOOL_IMAGE_H
#define ADTOOL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pictures of more pixels than this are refused unless the caller says otherwise. */
#define ADTOOL_MAX_PIXELS_DEFAULT 178956970u

typedef struct adtool_image adtool_image;

/* A black picture of width x height (both 1 .. 65535). The caller frees *out. */
ADTOOL_API int adtool_image_create(unsigned width, unsigned height, adtool_image **out, adtool_error *err);

/*
 * Decodes a whole picture file held in memory; the kind (JPEG, PNG) is found from the bytes, another is refused
 * with ADTOOL_EUNSUPPORTED and what it seems to be. The result is upright (EXIF orientation, of PNG too); gray is
 * repeated over R, G, B; CMYK and YCCK are converted without a profile, and taken as inverted
 * where an Adobe marker stands; 16-bit samples are scaled to 8 bits; alpha is composed over black.
 * A picture of more than max_pixels (0: the default) or with a side above 65535 is refused with ADTOOL_ELIMIT, from
 * its header. Truncated or damaged data is refused (ADTOOL_EFORMAT), never guessed; what stands behind
 * the end of the picture, stray bytes between JPEG segments and damaged EXIF blocks are passed over. Memory at the
 * peak: 3 bytes a pixel, up to 11 while decoding progressive JPEG, 7 for interlaced PNG.
 * The caller frees *out.
 */
ADTOOL_API int adtool_image_decode(const void *data, size_t size, uint64_t max_pixels, adtool_image **out,
                                   adtool_error *err);

/* Reads and decodes a regular file of at most 1 GiB. */
ADTOOL_API int adtool_image_read(const char *path, uint64_t max_pixels, adtool_image **out, adtool_error *err);

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
