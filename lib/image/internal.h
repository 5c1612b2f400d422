/* Inside the image room: what the decoders share. */
#ifndef AD_IMAGE_INTERNAL_H
#define AD_IMAGE_INTERNAL_H

#include "image.h"

#include <stddef.h>
#include <stdint.h>

/* The longest side of a picture. */
#define AD_MAX_SIDE 65535u

/* Bytes behind the last pixel that may be read (and mean nothing), so that loops may load more than they use. */
#define AD_BEHIND 16u

struct adtool_image {
	unsigned width, height;
	uint8_t *pixels; /* 3 * width * height, and AD_BEHIND */
};

/* Without the limit on the sides (a legend may exceed it). The pixels are undefined. */
int ad_image_alloc(unsigned width, unsigned height, adtool_image **out, adtool_error *err);

/* What every decoder asks as soon as it knows the size: ADTOOL_EFORMAT for zero, ADTOOL_ELIMIT for too large. */
int ad_image_check_size(uint64_t width, uint64_t height, uint64_t max_pixels, adtool_error *err);

/*
 * Decoders. A decoder is handed bytes that begin as its format does, and must refuse with one clear message
 * whatever it cannot decode whole.
 */
typedef int ad_decode_fn(const uint8_t *data, size_t size, uint64_t max_pixels, adtool_image **out, adtool_error *err);
ad_decode_fn ad_jpeg_decode, ad_png_decode;

/*
 * The orientation 1 .. 8 that a block of EXIF (beginning with its TIFF header) asks for. A block that is damaged
 * or says nothing gives 1: a picture is not refused for its notes.
 */
int ad_exif_orientation(const uint8_t *exif, size_t size);

/*
 * Turns a picture upright while it is being decoded. The stored picture has width x height pixels; row y of
 * it is put to where `orientation` says.
 */
typedef struct ad_upright {
	adtool_image *image;   /* sides swapped for orientations 5 .. 8 */
	unsigned width;        /* of the stored picture */
	size_t first;          /* byte offset of the stored picture's first pixel */
	ptrdiff_t right, down; /* byte steps of its x and y */
} ad_upright;

/* Rows that ad_upright_put likes to get at once. */
#define AD_UPRIGHT_ROWS 16u

int ad_upright_init(ad_upright *u, unsigned width, unsigned height, int orientation, adtool_error *err);

/* Where stored row y belongs when it may be written there directly, else NULL. */
uint8_t *ad_upright_row(const ad_upright *u, unsigned y);

/* rows: n stored rows of 3 * width bytes, from row y on. */
void ad_upright_put(const ad_upright *u, const uint8_t *rows, unsigned y, unsigned n);

/* a * b / 255, rounded to nearest; a and b are 0 .. 255. */
static inline uint8_t ad_mul255(unsigned a, unsigned b)
{
	unsigned t = a * b + 128;

	return (uint8_t)((t + (t >> 8)) >> 8);
}

#endif
