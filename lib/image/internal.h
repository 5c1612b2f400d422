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

/*
 * What every decoder asks as soon as it knows the size: ADTOOL_EFORMAT for zero, ADTOOL_ELIMIT for too large. _stream: for
 * one that will call ad_upright_stream; _pixels: with a limit (0: the default) and nothing else.
 */
int ad_image_check_size(uint64_t width, uint64_t height, const adtool_image_options *options, adtool_error *err);
int ad_image_check_stream(uint64_t width, uint64_t height, const adtool_image_options *options, adtool_error *err);
int ad_image_check_pixels(uint64_t width, uint64_t height, uint64_t max_pixels, adtool_error *err);

/*
 * Decoders. A decoder is handed bytes that begin as its format does, and must refuse with one clear message whatever it
 * cannot decode whole. It checks the size by ad_image_check_size before it takes memory for pixels. Those of libraries
 * that few pictures need open theirs at run time (../base/lazy.h).
 */
typedef int ad_decode_fn(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
			 adtool_error *err);
ad_decode_fn ad_jpeg_decode, ad_png_decode, ad_bmp_decode, ad_pnm_decode, ad_tiff_decode, ad_webp_decode, ad_gif_decode,
    ad_heif_decode, ad_jxl_decode;

/*
 * Opens what the decoder would open while it works, to stay: in a process that can open nothing it must be there. 0, or
 * what decoding would say.
 */
typedef int ad_prepare_fn(adtool_error *err);
ad_prepare_fn ad_heif_prepare, ad_jxl_prepare;
void ad_hevc_prepare(void);
void ad_icc_prepare(void);

/* Has libheif decode HEVC by what stands in hevc.c, as far as that is in this build. */
struct heif_context;
void ad_hevc_register(struct heif_context *context);
/*
 * Refuses a HEIF file with a picture that is made of itself, or of too many: to be asked before
 * libheif reads the file.
 */
int ad_heif_check_references(const uint8_t *data, size_t size, adtool_error *err);

/*
 * The formats that are read, one after another from i = 0; NULL behind the last. What tests and fuzzers go by.
 * `begins`: whether the bytes begin as the format does.
 */
typedef struct ad_image_format {
	const char *name;
	ad_decode_fn *decode; /* NULL: left out of this build */
	const char *library;  /* what it needs, "" when nothing but this */
	ad_prepare_fn *prepare; /* not NULL: decoded in a process of its own when the options ask for that */
} ad_image_format;
const ad_image_format *ad_image_format_at(size_t i);
/* Which of them the bytes begin as; NULL: none. */
const ad_image_format *ad_image_format_of(const void *data, size_t size);

/*
 * f->decode in a process of its own, which can open nothing, ends with the caller's, and has AD_ISOLATED_SECONDS of a
 * CPU, or twice as many on the clock. What comes from there is not trusted. Where no process can be had it is decoded
 * here. ADTOOL_EFORMAT with the signal when the process was ended by one.
 */
#define AD_ISOLATED_SECONDS 300u
int ad_image_isolate(const ad_image_format *f, const uint8_t *data, size_t size, const adtool_image_options *options,
		     adtool_image **out, adtool_error *err);

/* What a file says of its colours. Zeroed: nothing, which is taken as sRGB. */
typedef struct ad_profile {
	const uint8_t *icc; /* an ICC profile */
	size_t size;
	/* Without one, when not 0: the exponent that encoded the samples, and x, y of white, red, green, blue. */
	double gamma, xy[8];
} ad_profile;

/* As gamma: the curve of sRGB. */
#define AD_GAMMA_SRGB 2.0

enum ad_alpha { AD_OPAQUE, AD_STRAIGHT, AD_PREMULTIPLIED };

/* Samples as decoders find them: interleaved, 16-bit ones in the machine's byte order. */
typedef struct ad_layout {
	unsigned colours; /* 1: gray; 3: R G B; 4: C M Y K */
	unsigned depth;   /* bits: 8 or 16 */
	enum ad_alpha alpha; /* one more sample, behind the colours */
	unsigned extra;   /* samples behind those, which mean nothing */
	uint64_t pixels;  /* how many there will be: for few, tables are not worth making */
	int flipped;      /* of gray: 0 is white; of CMYK: 0 is full ink */
} ad_layout;

/*
 * Samples to what a picture holds: sRGB, 8 bits, opaque. With a profile that is not sRGB through lcms2; one that is
 * damaged, or not for such samples, is passed over. Gray stays gray. Without a profile of its own CMYK becomes
 * R = (255 - C) (255 - K) / 255, rounded. 16-bit samples are scaled by 255 / 65535 and rounded, behind any profile.
 * Alpha is composed over the options' background, as sRGB.
 */
typedef struct ad_convert {
	ad_layout layout;
	uint8_t background[3];
	uint8_t *curve;      /* gray: 256 or 65536 values; or NULL */
	struct ad_icc *icc;  /* or NULL */
} ad_convert;

int ad_convert_init(ad_convert *c, const ad_layout *layout, const ad_profile *profile,
		    const adtool_image_options *options, adtool_error *err);
/* Whether it is more than copying, or repeating gray. */
int ad_convert_works(const ad_convert *c);
/* The samples may be changed. */
void ad_convert_rows(const ad_convert *c, void *samples, uint8_t *rgb, size_t pixels);
void ad_convert_release(ad_convert *c); /* harmless on a zeroed one */

/* icc.c: a transform to 8-bit sRGB. *out is NULL when none is wanted (sRGB), or none can be had (damaged). */
int ad_icc_open(const ad_profile *profile, const ad_layout *layout, struct ad_icc **out, adtool_error *err);
/* Bytes of a pixel are those of the layout; gray is handed in as such. rgb: 3 bytes a pixel. */
void ad_icc_run(const struct ad_icc *icc, const void *samples, uint8_t *rgb, size_t pixels);
void ad_icc_close(struct ad_icc *icc); /* harmless on NULL */

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
	const ad_rows *rows;   /* where rows go instead of an image; else NULL */
	adtool_image *image;   /* sides swapped for orientations 5 .. 8 */
	unsigned width;        /* of the stored picture */
	size_t first;          /* byte offset of the stored picture's first pixel */
	ptrdiff_t right, down; /* byte steps of its x and y */
} ad_upright;

/* Rows that ad_upright_put likes to get at once. */
#define AD_UPRIGHT_ROWS 16u

int ad_upright_init(ad_upright *u, unsigned width, unsigned height, int orientation, adtool_error *err);

/* The same for a decoder that hands over rows from the top once: no image is made when the options want rows. */
int ad_upright_stream(ad_upright *u, const adtool_image_options *options, unsigned width, unsigned height,
		      int orientation, adtool_error *err);

/* Where stored row y belongs when it may be written there directly, else NULL. */
uint8_t *ad_upright_row(const ad_upright *u, unsigned y);

/* Bytes for n rows of `pixels` pixels that ad_upright_put is to get: AD_BEHIND more, of zeros. NULL: no memory. */
uint8_t *ad_upright_buffer(size_t n, size_t pixels, size_t pixel);

/* rows: n stored rows of 3 * width bytes, from row y on; AD_BEHIND bytes behind them can be read. */
void ad_upright_put(const ad_upright *u, const uint8_t *rows, unsigned y, unsigned n);

/* a * b / 255, rounded to nearest; a and b are 0 .. 255. */
static inline uint8_t ad_mul255(unsigned a, unsigned b)
{
	unsigned t = a * b + 128;

	return (uint8_t)((t + (t >> 8)) >> 8);
}

/* a over b: (a * alpha + b * (255 - alpha)) / 255, rounded to nearest. */
static inline uint8_t ad_over255(unsigned a, unsigned b, unsigned alpha)
{
	unsigned t = a * alpha + b * (255 - alpha) + 128;

	return (uint8_t)((t + (t >> 8)) >> 8);
}

/* A 16-bit sample as 8 bits, rounded to nearest: v * 255 / 65535. */
static inline uint8_t ad_scale16(unsigned v)
{
	return (uint8_t)((v * 255 + 32895) >> 16);
}

#endif
