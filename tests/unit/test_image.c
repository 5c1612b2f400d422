/* Pictures: decoding against samples known beforehand, resizing, tensors, PNG writing. Fixtures are made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include <jpeglib.h>
#include <png.h>

#include "../../lib/base/buf.h"
#include "../../lib/base/rng.h"
#include "../../lib/image/internal.h"
#include "skip.h"

/* Fixtures are small; a damaged header that claims more than this is a refusal, not a long test. */
#define FEW_PIXELS 65536

static unsigned char *decode_ok(const ad_buf *file, unsigned width, unsigned height, adtool_image **image)
{
	adtool_error err = {0};

	if (adtool_image_decode(file->data, file->size, 0, image, &err) != 0)
		fail_msg("refused: %s", err.message);
	assert_int_equal(adtool_image_width(*image), width);
	assert_int_equal(adtool_image_height(*image), height);
	return adtool_image_pixels(*image);
}

static void refused(const void *data, size_t size, int code, const char *words)
{
	adtool_image *image = NULL;
	adtool_error err = {0};
	int rc = adtool_image_decode(data, size, 0, &image, &err);

	assert_int_equal(rc, code);
	assert_int_equal(err.code, code);
	assert_null(image);
	if (!strstr(err.message, words))
		fail_msg("'%s' is not in '%s'", words, err.message);
}

/* -- orientation ------------------------------------------------------------------------------------------ */

/* Turns `stored` (width x height) upright, from the words of EXIF 2.3: what the 0th row and 0th column show. */
static void turn(const uint8_t *stored, unsigned width, unsigned height, int orientation, uint8_t *out)
{
	static const struct {
		char row, column; /* side of the upright picture where the 0th row and the 0th column are */
	} sides[9] = {{0, 0},     {'t', 'l'}, {'t', 'r'}, {'b', 'r'}, {'b', 'l'},
		      {'l', 't'}, {'r', 't'}, {'r', 'b'}, {'l', 'b'}};
	char row = sides[orientation].row, column = sides[orientation].column;
	int swap = row == 'l' || row == 'r';
	unsigned W = swap ? height : width, H = swap ? width : height, x, y;

	for (y = 0; y < height; y++) {
		for (x = 0; x < width; x++) {
			unsigned X, Y;

			if (!swap) {
				Y = row == 't' ? y : H - 1 - y;
				X = column == 'l' ? x : W - 1 - x;
			} else {
				X = row == 'l' ? y : W - 1 - y;
				Y = column == 't' ? x : H - 1 - x;
			}
			memcpy(out + 3 * (Y * W + X), stored + 3 * (y * width + x), 3);
		}
	}
}

/* A TIFF header and one IFD with the orientation among others. */
static size_t make_exif(uint8_t *p, int big, int orientation)
{
	static const uint8_t little_endian[] = {'I',  'I', 42, 0, 8, 0, 0, 0, 3,   0,           /* 3 entries */
						0x0f, 1,   2,  0, 4, 0, 0, 0, 'c', 'a', 'm', 0, /* make */
						0x12, 1,   3,  0, 1, 0, 0, 0, 0,   0,   0,   0, /* orientation */
						0x31, 1,   2,  0, 2, 0, 0, 0, 'v', 0,   0,   0, /* software */
						0,    0,   0,  0};
	static const uint8_t big_endian[] = {'M', 'M',  0,   42,  0, 0, 0,    8, 0,   3, 1, 0x0f, 0, 2, 0, 0, 0,
					     4,   'c',  'a', 'm', 0, 1, 0x12, 0, 3,   0, 0, 0,    1, 0, 0, 0, 0,
					     1,   0x31, 0,   2,   0, 0, 0,    2, 'v', 0, 0, 0,    0, 0, 0, 0};

	memcpy(p, big ? big_endian : little_endian, sizeof(big_endian));
	p[big ? 31 : 30] = (uint8_t)orientation;
	return sizeof(big_endian);
}

static void exif_is_read_and_its_damage_ignored(void **state)
{
	uint8_t exif[64], copy[64];
	ad_rng rng;
	size_t size, i;
	int big, o, round;

	(void)state;
	ad_rng_seed(&rng, 1);
	for (big = 0; big < 2; big++) {
		for (o = 0; o < 12; o++) {
			size = make_exif(exif, big, o);
			assert_int_equal(ad_exif_orientation(exif, size), o >= 1 && o <= 8 ? o : 1);
		}
		size = make_exif(exif, big, 6);
		for (i = 0; i < size; i++) {
			uint8_t *exact = malloc(i ? i : 1); /* so that a sanitizer sees a read beyond the end */

			assert_non_null(exact);
			memcpy(exact, exif, i);
			assert_int_equal(ad_exif_orientation(exact, i), i >= 34 ? 6 : 1);
			free(exact);
		}
		for (round = 0; round < 20000; round++) {
			memcpy(copy, exif, size);
			for (i = 0; i < 4; i++)
				copy[ad_rng_below(&rng, size)] = (uint8_t)ad_rng_next(&rng);
			o = ad_exif_orientation(copy, size);
			assert_in_range(o, 1, 8);
		}
		make_exif(exif, big, 6);
		exif[big ? 4 : 7] = 0xff; /* an offset far outside */
		assert_int_equal(ad_exif_orientation(exif, size), 1);
	}
}

/* -- PNG -------------------------------------------------------------------------------------------------- */

struct png_case {
	unsigned width, height;
	int type, depth, interlaced;
	int transparent; /* tRNS, for types without alpha */
	int orientation; /* 0: no eXIf */
	int exif_last;   /* eXIf behind the picture */
};

static void png_to_buf(png_structp png, png_bytep data, size_t size)
{
	assert_int_equal(ad_buf_add(png_get_io_ptr(png), data, size), 0);
}

static void png_flush_nothing(png_structp png)
{
	(void)png;
}

static unsigned channels_of(int type)
{
	return type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_PALETTE ? 1
	       : type == PNG_COLOR_TYPE_GRAY_ALPHA                           ? 2
	       : type == PNG_COLOR_TYPE_RGB                                  ? 3
									     : 4;
}

static unsigned scaled(unsigned value, int depth)
{
	return (unsigned)floor(value * 255.0 / ((1u << depth) - 1) + 0.5);
}

static unsigned over_black(unsigned value, unsigned alpha)
{
	return (unsigned)floor(value * (double)alpha / 255.0 + 0.5);
}

/* Random samples; the file in *file, what it must decode to in expected (stored order). */
static void make_png(const struct png_case *c, ad_rng *rng, ad_buf *file, uint8_t *expected)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	unsigned channels = channels_of(c->type), max = (1u << c->depth) - 1, x, y, k, i;
	size_t samples = (size_t)c->width * c->height * channels;
	unsigned *sample = calloc(samples, sizeof(*sample));
	size_t pitch = ((size_t)c->width * channels * (unsigned)c->depth + 7) / 8;
	uint8_t *packed = calloc(c->height, pitch), **rows = calloc(c->height, sizeof(*rows));
	png_color palette[256];
	uint8_t palette_alpha[256], exif[64];
	png_color_16 key = {0};

	assert_non_null(png);
	assert_non_null(info);
	assert_non_null(sample);
	assert_non_null(packed);
	assert_non_null(rows);
	for (i = 0; i < samples; i++) {
		unsigned at = (i % (c->width * channels)) * (unsigned)c->depth;

		sample[i] = (unsigned)ad_rng_below(rng, (uint64_t)max + 1);
		y = i / (c->width * channels);
		if (c->depth == 16) {
			packed[y * pitch + at / 8] = (uint8_t)(sample[i] >> 8);
			packed[y * pitch + at / 8 + 1] = (uint8_t)sample[i];
		} else {
			packed[y * pitch + at / 8] |= (uint8_t)(sample[i] << (8 - (unsigned)c->depth - at % 8));
		}
	}
	for (i = 0; i < 256; i++) {
		palette[i].red = (uint8_t)ad_rng_next(rng);
		palette[i].green = (uint8_t)ad_rng_next(rng);
		palette[i].blue = (uint8_t)ad_rng_next(rng);
		palette_alpha[i] = (uint8_t)ad_rng_next(rng);
	}
	png_set_write_fn(png, file, png_to_buf, png_flush_nothing);
	png_set_IHDR(png, info, c->width, c->height, c->depth, c->type,
		     c->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_BASE,
		     PNG_FILTER_TYPE_BASE);
	if (c->type == PNG_COLOR_TYPE_PALETTE)
		png_set_PLTE(png, info, palette, (int)max + 1);
	if (c->transparent) {
		key.gray = key.red = (png_uint_16)sample[0];
		if (channels == 3) {
			key.green = (png_uint_16)sample[1];
			key.blue = (png_uint_16)sample[2];
		}
		png_set_tRNS(png, info, palette_alpha, (int)max + 1, &key);
	}
	png_write_info(png, info);
	if (c->orientation && !c->exif_last)
		png_write_chunk(png, (png_const_bytep) "eXIf", exif, make_exif(exif, 1, c->orientation));
	for (y = 0; y < c->height; y++)
		rows[y] = packed + y * pitch;
	png_set_interlace_handling(png);
	png_write_image(png, rows);
	if (c->orientation && c->exif_last)
		png_write_chunk(png, (png_const_bytep) "eXIf", exif, make_exif(exif, 0, c->orientation));
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);

	for (y = 0; y < c->height; y++) {
		for (x = 0; x < c->width; x++) {
			const unsigned *s = sample + ((size_t)y * c->width + x) * channels;
			unsigned rgb[3], alpha = 255;

			for (k = 0; k < 3; k++)
				rgb[k] = scaled(s[channels >= 3 ? k : 0], c->depth);
			if (c->type == PNG_COLOR_TYPE_PALETTE) {
				rgb[0] = palette[s[0]].red;
				rgb[1] = palette[s[0]].green;
				rgb[2] = palette[s[0]].blue;
				alpha = c->transparent ? palette_alpha[s[0]] : 255;
			} else if (channels == 2 || channels == 4) {
				alpha = scaled(s[channels - 1], c->depth);
			} else if (c->transparent) {
				alpha = s[0] == key.red && (channels == 1 || (s[1] == key.green && s[2] == key.blue))
					    ? 0
					    : 255;
			}
			for (k = 0; k < 3; k++)
				expected[((size_t)y * c->width + x) * 3 + k] = (uint8_t)over_black(rgb[k], alpha);
		}
	}
	free(rows);
	free(packed);
	free(sample);
}

static void check_png(const struct png_case *c, ad_rng *rng)
{
	size_t bytes = (size_t)3 * c->width * c->height;
	uint8_t *expected = malloc(bytes), *upright = malloc(bytes);
	int swap = c->orientation >= 5;
	adtool_image *image;
	ad_buf file = {0};

	assert_non_null(expected);
	assert_non_null(upright);
	make_png(c, rng, &file, expected);
	turn(expected, c->width, c->height, c->orientation ? c->orientation : 1, upright);
	decode_ok(&file, swap ? c->height : c->width, swap ? c->width : c->height, &image);
	if (memcmp(adtool_image_pixels(image), upright, bytes) != 0)
		fail_msg("pixels differ: type %d, depth %d, %ux%u, interlaced %d, tRNS %d, orientation %d", c->type,
			 c->depth, c->width, c->height, c->interlaced, c->transparent, c->orientation);
	adtool_image_free(image);
	ad_buf_release(&file);
	free(expected);
	free(upright);
}

static void png_of_every_kind(void **state)
{
	static const struct {
		int type, depth;
	} kinds[] = {
	    {PNG_COLOR_TYPE_GRAY, 1},        {PNG_COLOR_TYPE_GRAY, 2},      {PNG_COLOR_TYPE_GRAY, 4},
	    {PNG_COLOR_TYPE_GRAY, 8},        {PNG_COLOR_TYPE_GRAY, 16},     {PNG_COLOR_TYPE_PALETTE, 1},
	    {PNG_COLOR_TYPE_PALETTE, 2},     {PNG_COLOR_TYPE_PALETTE, 4},   {PNG_COLOR_TYPE_PALETTE, 8},
	    {PNG_COLOR_TYPE_RGB, 8},         {PNG_COLOR_TYPE_RGB, 16},      {PNG_COLOR_TYPE_GRAY_ALPHA, 8},
	    {PNG_COLOR_TYPE_GRAY_ALPHA, 16}, {PNG_COLOR_TYPE_RGB_ALPHA, 8}, {PNG_COLOR_TYPE_RGB_ALPHA, 16},
	};
	static const unsigned sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {7, 5}, {16, 16}, {17, 33}, {40, 15}};
	struct png_case c = {0};
	ad_rng rng;
	size_t k, s;

	(void)state;
	ad_rng_seed(&rng, 2);
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		c.type = kinds[k].type;
		c.depth = kinds[k].depth;
		for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			c.width = sizes[s][0];
			c.height = sizes[s][1];
			for (c.interlaced = 0; c.interlaced < 2; c.interlaced++)
				for (c.transparent = 0; c.transparent <= !(c.type & PNG_COLOR_MASK_ALPHA);
				     c.transparent++)
					check_png(&c, &rng);
		}
		c.transparent = 0;
	}
}

static void png_orientations(void **state)
{
	static const int types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
	struct png_case c = {.width = 21, .height = 35, .depth = 8};
	ad_rng rng;
	size_t t;

	(void)state;
	ad_rng_seed(&rng, 3);
	for (t = 0; t < 3; t++)
		for (c.orientation = 1; c.orientation <= 8; c.orientation++)
			for (c.interlaced = 0; c.interlaced < 2; c.interlaced++)
				for (c.exif_last = 0; c.exif_last < 2; c.exif_last++) {
					c.type = types[t];
					check_png(&c, &rng);
				}
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t crc32_of(const uint8_t *data, size_t size)
{
	uint32_t crc = 0xffffffffu;
	int bit;

	for (; size; size--) {
		crc ^= *data++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void add_chunk(ad_buf *file, const char *type, const void *data, size_t size)
{
	uint8_t word[4];
	size_t start;

	put32(word, (uint32_t)size);
	ad_buf_add(file, word, 4);
	start = file->size;
	ad_buf_add(file, type, 4);
	ad_buf_add(file, data, size);
	put32(word, crc32_of(file->data + start, size + 4));
	assert_int_equal(ad_buf_add(file, word, 4), 0);
}

static void add_png_header(ad_buf *file, uint32_t width, uint32_t height, int depth, int type)
{
	uint8_t ihdr[13] = {0};

	put32(ihdr, width);
	put32(ihdr + 4, height);
	ihdr[8] = (uint8_t)depth;
	ihdr[9] = (uint8_t)type;
	ad_buf_add(file, "\x89PNG\r\n\x1a\n", 8);
	add_chunk(file, "IHDR", ihdr, 13);
}

static void sizes_are_limited_from_the_header(void **state)
{
	static const struct {
		uint32_t width, height;
		int code;
		const char *words;
	} cases[] = {
	    {20000, 20000, ADTOOL_ELIMIT, "20000 x 20000 pixels are more than the limit of 178956970"},
	    {65536, 1, ADTOOL_ELIMIT, "65535"},
	    {1, 65536, ADTOOL_ELIMIT, "65535"},
	    {0, 5, ADTOOL_EFORMAT, "none"},
	    {5, 0, ADTOOL_EFORMAT, "none"},
	    {0xffffffffu, 0xffffffffu, ADTOOL_ELIMIT, "limit"},
	    {100, 100, ADTOOL_EFORMAT, "truncated"},
	};
	uint8_t jpeg[] = {0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0x4e, 0x20, 0x4e, 0x20, 1,    1,   0x11,
			  0,    0xff, 0xda, 0,    8, 1,  1, 0,    0,    63,   0,    0xff, 0xd9};
	adtool_image *image = NULL;
	adtool_error err;
	ad_buf file = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		file.size = 0;
		add_png_header(&file, cases[i].width, cases[i].height, 8, PNG_COLOR_TYPE_RGB);
		refused(file.data, file.size, cases[i].code, cases[i].words);
	}
	refused(jpeg, sizeof(jpeg), ADTOOL_ELIMIT, "20000 x 20000 pixels are more than the limit of 178956970");
	jpeg[7] = jpeg[8] = 0;
	refused(jpeg, sizeof(jpeg), ADTOOL_EFORMAT, "JPEG");
	jpeg[7] = jpeg[8] = 0xff;
	refused(jpeg, sizeof(jpeg), ADTOOL_ELIMIT, "65500");

	file.size = 0;
	add_png_header(&file, 10, 11, 8, PNG_COLOR_TYPE_RGB);
	assert_int_equal(adtool_image_decode(file.data, file.size, 109, &image, &err), ADTOOL_ELIMIT);
	assert_int_equal(adtool_image_decode(file.data, file.size, 110, &image, &err), ADTOOL_EFORMAT);
	assert_null(image);
	ad_buf_release(&file);
}

static void png_damage_is_named(void **state)
{
	/* A stored deflate block with one gray pixel: filter byte 0, sample 77. */
	static const uint8_t pixel[] = {0x78, 1, 1, 2, 0, 0xfd, 0xff, 0, 77, 0, 0x4f, 0, 0x4e};
	static const uint8_t junk[100000] = {0};
	adtool_image *image;
	ad_buf file = {0};
	size_t end;

	(void)state;
	add_png_header(&file, 1, 1, 8, PNG_COLOR_TYPE_GRAY);
	add_chunk(&file, "IDAT", pixel, sizeof(pixel));
	end = file.size;
	add_chunk(&file, "IEND", "", 0);
	assert_int_equal(decode_ok(&file, 1, 1, &image)[1], 77);
	adtool_image_free(image);

	ad_buf_puts(&file, "anything may follow the end");
	decode_ok(&file, 1, 1, &image);
	adtool_image_free(image);

	file.size = end;
	add_chunk(&file, "IDAT", junk, sizeof(junk));
	add_chunk(&file, "IEND", "", 0);
	refused(file.data, file.size, ADTOOL_EFORMAT, "image data");

	file.size = end;
	add_chunk(&file, "tEXt", "note\0damaged", 12);
	file.data[file.size - 6] ^= 1;
	add_chunk(&file, "IEND", "", 0);
	refused(file.data, file.size, ADTOOL_EFORMAT, "CRC");

	file.size = 0;
	add_png_header(&file, 1, 2, 8, PNG_COLOR_TYPE_GRAY);
	add_chunk(&file, "IDAT", pixel, sizeof(pixel));
	add_chunk(&file, "IEND", "", 0);
	refused(file.data, file.size, ADTOOL_EFORMAT, "damaged PNG");

	file.size = 0;
	add_png_header(&file, 1, 1, 8, PNG_COLOR_TYPE_GRAY);
	add_chunk(&file, "IEND", "", 0);
	refused(file.data, file.size, ADTOOL_EFORMAT, "damaged PNG");
	ad_buf_release(&file);
}

/* -- JPEG ------------------------------------------------------------------------------------------------- */

struct jpeg_case {
	const char *name;
	unsigned width, height;
	J_COLOR_SPACE from, stored;
	int progressive, subsampled, restart, no_adobe, arithmetic, scans, separate;
	int orientation, big_endian;
};

/* A smooth sample, so that quality 100 keeps it to a few levels. */
static uint8_t smooth_sample(unsigned x, unsigned y, unsigned channel)
{
	return (uint8_t)(128 + 100 * sin(0.11 * x + 0.07 * y * (channel + 1) + channel));
}

static unsigned components_of(J_COLOR_SPACE space)
{
	return space == JCS_GRAYSCALE ? 1 : space == JCS_CMYK ? 4 : 3;
}

static void make_jpeg(const struct jpeg_case *c, ad_buf *file)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	unsigned channels = components_of(c->from), x, k;
	uint8_t *row = malloc((size_t)c->width * channels), exif[80] = "Exif\0";
	jpeg_scan_info script[127] = {{0}};
	unsigned char *bytes = NULL;
	unsigned long size = 0;
	int i;

	assert_non_null(row);
	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &bytes, &size);
	jpeg.image_width = c->width;
	jpeg.image_height = c->height;
	jpeg.input_components = (int)channels;
	jpeg.in_color_space = c->from;
	jpeg_set_defaults(&jpeg);
	jpeg_set_colorspace(&jpeg, c->stored);
	jpeg_set_quality(&jpeg, 100, TRUE);
	if (!c->subsampled)
		jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
	if (c->stored == JCS_YCCK && !c->subsampled)
		jpeg.comp_info[3].h_samp_factor = jpeg.comp_info[3].v_samp_factor = 1;
	if (c->no_adobe)
		jpeg.write_Adobe_marker = FALSE;
	jpeg.restart_interval = (unsigned)c->restart;
	jpeg.arith_code = c->arithmetic ? TRUE : FALSE;
	if (c->progressive)
		jpeg_simple_progression(&jpeg);
	if (c->scans) { /* DC, then each AC coefficient in two scans */
		for (i = 0; i < 127; i++) {
			script[i].comps_in_scan = 1;
			script[i].Ss = script[i].Se = (i + 1) / 2;
			script[i].Ah = i ? i % 2 == 0 : 0;
			script[i].Al = i ? i % 2 : 0;
		}
		jpeg.scan_info = script;
		jpeg.num_scans = c->scans;
	}
	if (c->separate) { /* sequential, a scan for each component */
		for (i = 0; i < 3; i++) {
			script[i].comps_in_scan = 1;
			script[i].component_index[0] = i;
			script[i].Se = 63;
		}
		jpeg.scan_info = script;
		jpeg.num_scans = 3;
	}
	jpeg_start_compress(&jpeg, TRUE);
	if (c->orientation)
		jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif,
				  (unsigned)(6 + make_exif(exif + 6, c->big_endian, c->orientation)));
	while (jpeg.next_scanline < c->height) {
		for (x = 0; x < c->width; x++)
			for (k = 0; k < channels; k++)
				row[x * channels + k] = smooth_sample(x, jpeg.next_scanline, k);
		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	assert_int_equal(ad_buf_add(file, bytes, size), 0);
	free(bytes);
	free(row);
}

static const struct jpeg_case jpeg_cases[] = {
    {.name = "gray", .width = 45, .height = 31, .from = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE},
    {.name = "gray progressive",
     .width = 45,
     .height = 31,
     .from = JCS_GRAYSCALE,
     .stored = JCS_GRAYSCALE,
     .progressive = 1},
    {.name = "YCbCr", .width = 33, .height = 50, .from = JCS_RGB, .stored = JCS_YCbCr},
    {.name = "YCbCr 4:2:0", .width = 33, .height = 50, .from = JCS_RGB, .stored = JCS_YCbCr, .subsampled = 1},
    {.name = "YCbCr progressive", .width = 40, .height = 24, .from = JCS_RGB, .stored = JCS_YCbCr, .progressive = 1},
    {.name = "YCbCr progressive 4:2:0",
     .width = 41,
     .height = 25,
     .from = JCS_RGB,
     .stored = JCS_YCbCr,
     .progressive = 1,
     .subsampled = 1},
    {.name = "YCbCr restarts", .width = 64, .height = 40, .from = JCS_RGB, .stored = JCS_YCbCr, .restart = 3},
    {.name = "RGB", .width = 20, .height = 20, .from = JCS_RGB, .stored = JCS_RGB},
    {.name = "CMYK", .width = 30, .height = 19, .from = JCS_CMYK, .stored = JCS_CMYK},
    {.name = "CMYK progressive", .width = 30, .height = 19, .from = JCS_CMYK, .stored = JCS_CMYK, .progressive = 1},
    {.name = "CMYK without Adobe marker",
     .width = 30,
     .height = 19,
     .from = JCS_CMYK,
     .stored = JCS_CMYK,
     .no_adobe = 1},
    {.name = "YCCK", .width = 30, .height = 19, .from = JCS_CMYK, .stored = JCS_YCCK},
    {.name = "YCCK progressive", .width = 30, .height = 19, .from = JCS_CMYK, .stored = JCS_YCCK, .progressive = 1},
    {.name = "one pixel", .width = 1, .height = 1, .from = JCS_RGB, .stored = JCS_YCbCr, .subsampled = 1},
    {.name = "one pixel CMYK", .width = 1, .height = 1, .from = JCS_CMYK, .stored = JCS_CMYK},
#ifdef C_ARITH_CODING_SUPPORTED
    {.name = "arithmetic", .width = 33, .height = 17, .from = JCS_RGB, .stored = JCS_YCbCr, .arithmetic = 1},
#endif
};
#define JPEG_CASES (sizeof(jpeg_cases) / sizeof(jpeg_cases[0]))

static void jpeg_of_every_kind(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < JPEG_CASES; i++) {
		const struct jpeg_case *c = &jpeg_cases[i];
		/* Halved chroma of these waves, and products of two samples, lose more. */
		int tolerance = c->subsampled ? 18 : c->from == JCS_CMYK ? 5 : 4, worst = 0;
		adtool_image *image;
		ad_buf file = {0};
		const uint8_t *p;
		unsigned x, y, k;

		make_jpeg(c, &file);
		p = decode_ok(&file, c->width, c->height, &image);
		for (y = 0; y < c->height; y++) {
			for (x = 0; x < c->width; x++) {
				for (k = 0; k < 3; k++, p++) {
					double s = smooth_sample(x, y, c->from == JCS_GRAYSCALE ? 0 : k), key;
					int difference;

					if (c->from == JCS_CMYK) {
						key = smooth_sample(x, y, 3);
						/* With the marker 0 is full ink, without it 255 is. */
						s = c->no_adobe ? (255 - s) * (255 - key) / 255 : s * key / 255;
					}
					difference = abs((int)floor(s + 0.5) - *p);
					worst = difference > worst ? difference : worst;
				}
			}
		}
		if (worst > tolerance)
			fail_msg("%s: off by %d", c->name, worst);
		adtool_image_free(image);
		ad_buf_release(&file);
	}
}

static void jpeg_orientations(void **state)
{
	static const size_t kinds[] = {0, 3, 5, 11};
	size_t k;

	(void)state;
	for (k = 0; k < 4; k++) {
		struct jpeg_case c = jpeg_cases[kinds[k]];
		size_t bytes = (size_t)3 * c.width * c.height;
		uint8_t *expected = malloc(bytes);
		adtool_image *stored, *image;
		ad_buf file = {0};

		assert_non_null(expected);
		make_jpeg(&c, &file);
		decode_ok(&file, c.width, c.height, &stored);
		for (c.orientation = 1; c.orientation <= 8; c.orientation++) {
			for (c.big_endian = 0; c.big_endian < 2; c.big_endian++) {
				int swap = c.orientation >= 5;

				file.size = 0;
				make_jpeg(&c, &file);
				turn(adtool_image_pixels(stored), c.width, c.height, c.orientation, expected);
				decode_ok(&file, swap ? c.height : c.width, swap ? c.width : c.height, &image);
				assert_memory_equal(adtool_image_pixels(image), expected, bytes);
				adtool_image_free(image);
			}
		}
		adtool_image_free(stored);
		ad_buf_release(&file);
		free(expected);
	}
}

static void jpeg_scans_are_limited(void **state)
{
	struct jpeg_case c = {.width = 16, .height = 16, .from = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE, .scans = 99};
	adtool_image *image;
	ad_buf file = {0};

	(void)state;
	make_jpeg(&c, &file);
	decode_ok(&file, 16, 16, &image);
	adtool_image_free(image);
	file.size = 0;
	c.scans = 127;
	make_jpeg(&c, &file);
	refused(file.data, file.size, ADTOOL_ELIMIT, "100 scans");
	ad_buf_release(&file);
}

static void jpeg_tolerance(void **state)
{
	struct jpeg_case c = jpeg_cases[2];
	adtool_image *image;
	ad_buf file = {0}, changed = {0};

	(void)state;
	make_jpeg(&c, &file);

	/* Stray bytes before the last marker, and anything behind it. */
	ad_buf_add(&changed, file.data, file.size - 2);
	ad_buf_add(&changed, "\1\2\3\4\xff\xd9 and more", 15);
	decode_ok(&changed, c.width, c.height, &image);
	adtool_image_free(image);

	/* Half of the scan, then the last marker: nothing is missing but the picture. */
	changed.size = 0;
	ad_buf_add(&changed, file.data, file.size * 3 / 4);
	ad_buf_add(&changed, "\xff\xd9", 2);
	refused(changed.data, changed.size, ADTOOL_EFORMAT, "JPEG");
	ad_buf_release(&changed);
	ad_buf_release(&file);
}

/* Offset of the n-th start-of-scan marker; the file's size when there are fewer. */
static size_t scan_at(const ad_buf *file, int n)
{
	size_t i;

	for (i = 0; i + 1 < file->size; i++)
		if (file->data[i] == 0xff && file->data[i + 1] == 0xda && n-- == 1)
			return i;
	return file->size;
}

static void jpeg_without_a_component(void **state)
{
	struct jpeg_case c = jpeg_cases[2];
	adtool_image *image;
	ad_buf file = {0};
	int scan;

	(void)state;
	c.separate = 1;
	make_jpeg(&c, &file);
	decode_ok(&file, c.width, c.height, &image);
	adtool_image_free(image);
	for (scan = 3; scan >= 1; scan--) {
		file.size = scan_at(&file, scan);
		assert_int_equal(ad_buf_add(&file, "\xff\xd9", 2), 0);
		refused(file.data, file.size, ADTOOL_EFORMAT,
			scan == 3   ? "component 3"
			: scan == 2 ? "component 2"
				    : "JPEG");
	}
	ad_buf_release(&file);
}

/* -- damage ----------------------------------------------------------------------------------------------- */

/* The decoder sees a block of exactly this size, so that a sanitizer sees every read beyond it. */
static int decode_exact(const uint8_t *data, size_t size, int *rc)
{
	uint8_t *exact = malloc(size ? size : 1);
	adtool_image *image = NULL;
	adtool_error err = {0};

	assert_non_null(exact);
	memcpy(exact, data, size);
	*rc = adtool_image_decode(exact, size, FEW_PIXELS, &image, &err);
	free(exact);
	if (*rc) {
		assert_null(image);
		assert_int_equal(err.code, *rc);
		assert_true(err.message[0]);
		return 0;
	}
	assert_non_null(image);
	adtool_image_free(image);
	return 1;
}

static void hurt(const ad_buf *file, const char *name, ad_rng *rng)
{
	uint8_t *copy = malloc(file->size);
	size_t i, step = file->size > 3000 ? file->size / 1500 : 1;
	int rc, round, k;

	assert_non_null(copy);
	for (i = 0; i < file->size; i += step)
		if (decode_exact(file->data, i, &rc) || (rc != ADTOOL_EFORMAT && rc != ADTOOL_EUNSUPPORTED))
			fail_msg("%s cut to %zu of %zu bytes gives %d", name, i, file->size, rc);
	if (decode_exact(file->data, file->size - 1, &rc))
		fail_msg("%s without its last byte is taken", name);
	for (i = 0; i < file->size; i += step) {
		memcpy(copy, file->data, file->size);
		copy[i] ^= (uint8_t)(1 + ad_rng_below(rng, 255));
		decode_exact(copy, file->size, &rc);
		copy[i] = 0xff;
		decode_exact(copy, file->size, &rc);
	}
	for (round = 0; round < 200; round++) {
		memcpy(copy, file->data, file->size);
		for (k = 0; k < 5; k++)
			copy[ad_rng_below(rng, file->size)] = (uint8_t)ad_rng_next(rng);
		decode_exact(copy, file->size, &rc);
	}
	free(copy);
}

static void damaged_jpeg(void **state)
{
	ad_rng rng;
	size_t i;

	(void)state;
	ad_rng_seed(&rng, 4);
	for (i = 0; i < JPEG_CASES; i++) {
		struct jpeg_case c = jpeg_cases[i];
		ad_buf file = {0};

		c.orientation = (int)(i % 8) + 1;
		make_jpeg(&c, &file);
		hurt(&file, c.name, &rng);
		ad_buf_release(&file);
	}
}

static void damaged_png(void **state)
{
	static const struct png_case cases[] = {
	    {.width = 13, .height = 9, .type = PNG_COLOR_TYPE_GRAY, .depth = 1, .orientation = 6},
	    {.width = 13, .height = 9, .type = PNG_COLOR_TYPE_PALETTE, .depth = 4, .interlaced = 1, .transparent = 1},
	    {.width = 13, .height = 9, .type = PNG_COLOR_TYPE_PALETTE, .depth = 8},
	    {.width = 13, .height = 9, .type = PNG_COLOR_TYPE_RGB, .depth = 8, .orientation = 3, .exif_last = 1},
	    {.width = 7, .height = 9, .type = PNG_COLOR_TYPE_RGB, .depth = 16, .interlaced = 1, .transparent = 1},
	    {.width = 7, .height = 9, .type = PNG_COLOR_TYPE_RGB_ALPHA, .depth = 16},
	    {.width = 13,
	     .height = 9,
	     .type = PNG_COLOR_TYPE_GRAY_ALPHA,
	     .depth = 8,
	     .interlaced = 1,
	     .orientation = 8},
	};
	uint8_t expected[3 * 13 * 9];
	ad_rng rng;
	size_t i, at;

	(void)state;
	ad_rng_seed(&rng, 5);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ad_buf file = {0};
		int round;

		make_png(&cases[i], &rng, &file, expected);
		hurt(&file, "PNG", &rng);
		/* Damage with the checksums made right again, to get past them. */
		for (round = 0; round < 500; round++) {
			ad_buf copy = {0};
			int rc;

			ad_buf_add(&copy, file.data, file.size);
			for (at = 8; at + 12 <= copy.size;) {
				size_t length = (size_t)copy.data[at] << 24 | (size_t)copy.data[at + 1] << 16 |
						(size_t)copy.data[at + 2] << 8 | copy.data[at + 3];

				if (length && ad_rng_below(&rng, 2))
					copy.data[at + 8 + ad_rng_below(&rng, length)] = (uint8_t)ad_rng_next(&rng);
				put32(copy.data + at + 8 + length, crc32_of(copy.data + at + 4, length + 4));
				at += length + 12;
			}
			decode_exact(copy.data, copy.size, &rc);
			ad_buf_release(&copy);
		}
		ad_buf_release(&file);
	}
}

static void other_kinds_are_named(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *name;
	} cases[] = {
	    {"", 0, "empty"},
	    {"BM\x3a\0\0\0\0\0\0\0", 10, "known kind"},
	    {"\0\0\0\x18"
	     "ftypisom\0\0\0\0",
	     16, "MP4"},
	    {"\0\0\0\x0cjP  \r\n\x87\n", 12, "JPEG 2000"},
	    {"%PDF-1.7\n", 9, "PDF"},
	    {"PK\3\4\x14\0", 6, "it seems to be a zip archive"},
    {"BZh91AY&SY", 10, "it seems to be bzip2"},
    {"7z\xbc\xaf\x27\x1c\0\4", 8, "it seems to be a 7z archive"},
    {"Rar!\x1a\x07\1\0", 8, "it seems to be a RAR archive"},
	    {"<svg xmlns=''/>", 15, "SVG"},
	    {"just a few words\n", 17, "text"},
	    {"\x01\x80\x02\x03", 4, "known kind"},
	    {"\xff", 1, "known kind"},
	    {"\x89PN", 3, "known kind"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(cases[i].bytes, cases[i].size, ADTOOL_EUNSUPPORTED, cases[i].name);
	assert_string_equal(ad_image_sniff("\xff\xd8\xff\xe0", 4), "JPEG");
	assert_null(ad_image_sniff("", 0));
}

/* -- resize ----------------------------------------------------------------------------------------------- */

static adtool_image *noise(unsigned width, unsigned height, uint64_t seed)
{
	adtool_image *image;
	size_t i;
	ad_rng rng;

	ad_rng_seed(&rng, seed);
	assert_int_equal(adtool_image_create(width, height, &image, NULL), 0);
	for (i = 0; i < (size_t)3 * width * height; i++)
		adtool_image_pixels(image)[i] = (uint8_t)ad_rng_next(&rng);
	return image;
}

/* The triangle's share of input i in output o, by its definition. */
static double share(unsigned from, unsigned to, unsigned o, unsigned i)
{
	double scale = (double)from / to, width = scale > 1 ? scale : 1;
	double d = fabs((i + 0.5 - (o + 0.5) * scale) / width);

	return d < 1 ? 1 - d : 0;
}

static void resize_is_the_triangle_filter(void **state)
{
	static const unsigned sizes[] = {1, 2, 3, 7, 16, 31, 64};
	size_t a, b;

	(void)state;
	for (a = 0; a < 7; a++) {
		for (b = 0; b < 7; b++) {
			unsigned w = sizes[a], h = sizes[b], W = sizes[b], H = sizes[(a + b) % 7], x, y, i, j, c;
			adtool_image *image = noise(w, h, a * 7 + b), *small = NULL;

			assert_int_equal(adtool_image_resize(image, W, H, &small, NULL), 0);
			assert_int_equal(adtool_image_width(small), W);
			assert_int_equal(adtool_image_height(small), H);
			for (y = 0; y < H; y++) {
				for (x = 0; x < W; x++) {
					for (c = 0; c < 3; c++) {
						double sum = 0, weight = 0;

						for (j = 0; j < h; j++)
							for (i = 0; i < w; i++) {
								double s = share(h, H, y, j) * share(w, W, x, i);

								sum += s * image->pixels[(j * w + i) * 3 + c];
								weight += s;
							}
						if (fabs(sum / weight - small->pixels[(y * W + x) * 3 + c]) > 1.01)
							fail_msg("%ux%u -> %ux%u: (%u, %u) is %d, not %g", w, h, W, H,
								 x, y, small->pixels[(y * W + x) * 3 + c],
								 sum / weight);
					}
				}
			}
			adtool_image_free(small);
			adtool_image_free(image);
		}
	}
}

static void resize_keeps_what_it_must(void **state)
{
	static const unsigned sizes[][4] = {{1, 1, 224, 224}, {65535, 1, 1, 1}, {1, 65535, 1, 3},
					    {50, 40, 50, 13}, {50, 40, 17, 40}, {3000, 2, 7, 500}};
	adtool_image *image, *other;
	adtool_error err;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(adtool_image_create(sizes[i][0], sizes[i][1], &image, &err), 0);
		memset(image->pixels, 255, (size_t)3 * sizes[i][0] * sizes[i][1]);
		assert_int_equal(adtool_image_resize(image, sizes[i][2], sizes[i][3], &other, &err), 0);
		for (k = 0; k < (size_t)3 * sizes[i][2] * sizes[i][3]; k++)
			assert_int_equal(other->pixels[k], 255);
		adtool_image_free(other);
		adtool_image_free(image);
	}
	image = noise(33, 22, 9);
	assert_int_equal(adtool_image_resize(image, 33, 22, &other, &err), 0);
	assert_memory_equal(image->pixels, other->pixels, 3 * 33 * 22);
	adtool_image_free(other);
	other = NULL;
	assert_int_equal(adtool_image_resize(image, 0, 5, &other, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_image_resize(image, 5, 65536, &other, &err), ADTOOL_EINVAL);
	assert_null(other);
	adtool_image_free(image);
	assert_int_equal(adtool_image_create(0, 1, &image, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_image_create(1, 65536, &image, &err), ADTOOL_EINVAL);
	adtool_image_free(NULL);
}

static void resize_equals_pillow(void **state)
{
	adtool_image *image, *golden, *small;
	char path[600];
	adtool_error err;

	(void)state;
	need_shared("golden/picture.png", path, sizeof(path));
	assert_int_equal(adtool_image_read(path, NULL, &image, &err), 0);
	need_shared("golden/picture-224x224-pillow-bilinear.png", path, sizeof(path));
	assert_int_equal(adtool_image_read(path, NULL, &golden, &err), 0);
	assert_int_equal(adtool_image_resize(image, 224, 224, &small, &err), 0);
	assert_memory_equal(small->pixels, golden->pixels, 3 * 224 * 224);
	adtool_image_free(small);
	adtool_image_free(golden);
	adtool_image_free(image);
}

static void tensors(void **state)
{
	adtool_preprocessing rgb = {0, 255, {10, 20, 30}, {2, 4, 8}}, bgr = {1, 1, {0.5f, 0.25f, 0}, {0.5f, 1, 2}};
	adtool_image *image = noise(30, 20, 11), *small;
	float tensor[3 * 8 * 5];
	adtool_error err;
	unsigned c, i;

	(void)state;
	assert_int_equal(adtool_image_resize(image, 8, 5, &small, &err), 0);
	assert_int_equal(ad_image_to_tensor(image, &rgb, 8, 5, tensor, &err), 0);
	for (c = 0; c < 3; c++)
		for (i = 0; i < 40; i++)
			assert_float_equal(tensor[c * 40 + i], (small->pixels[3 * i + c] - rgb.mean[c]) / rgb.std[c],
					   1e-5);
	assert_int_equal(ad_image_to_tensor(image, &bgr, 8, 5, tensor, &err), 0);
	for (c = 0; c < 3; c++)
		for (i = 0; i < 40; i++)
			assert_float_equal(tensor[c * 40 + i],
					   (small->pixels[3 * i + 2 - c] / 255.0 - bgr.mean[c]) / bgr.std[c], 1e-6);
	rgb.std[1] = 0;
	assert_int_equal(ad_image_to_tensor(image, &rgb, 8, 5, tensor, &err), ADTOOL_EINVAL);
	rgb.std[1] = 1;
	rgb.mean[0] = NAN;
	assert_int_equal(ad_image_to_tensor(image, &rgb, 8, 5, tensor, &err), ADTOOL_EINVAL);
	adtool_image_free(small);
	adtool_image_free(image);
}

/* Row by row, or by way of the whole picture: the same bits. */
static void check_file_tensor(const ad_buf *file)
{
	static const unsigned sizes[][2] = {{1, 1}, {8, 5}, {33, 20}, {64, 70}, {20, 20}};
	const adtool_preprocessing p = {1, 255, {10, 20, 30}, {2, 4, 8}};
	adtool_image_options options;
	adtool_image *image, *small;
	adtool_error err;
	size_t i, n, c;

	adtool_image_options_init(&options);
	assert_int_equal(adtool_image_decode_with(file->data, file->size, &options, &image, &err), 0);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned w = sizes[i][0], h = sizes[i][1], width = 0, height = 0;
		float *tensor = calloc((size_t)3 * w * h, sizeof(float));

		assert_non_null(tensor);
		assert_int_equal(
		    ad_image_file_to_tensor(file->data, file->size, &options, &p, w, h, tensor, &width, &height, &err),
		    0);
		assert_int_equal(width, image->width);
		assert_int_equal(height, image->height);
		assert_int_equal(adtool_image_resize(image, w, h, &small, &err), 0);
		for (n = 0; n < (size_t)w * h; n++)
			for (c = 0; c < 3; c++)
				assert_true(tensor[c * w * h + n] ==
					    (float)((small->pixels[3 * n + 2 - c] - (double)p.mean[c]) / p.std[c]));
		adtool_image_free(small);
		free(tensor);
	}
	adtool_image_free(image);
}

static void files_to_tensors(void **state)
{
	static const unsigned sizes[][2] = {{1, 1}, {20, 9}, {9, 20}, {90, 75}, {33, 161}};
	struct png_case png = {.depth = 8};
	const adtool_preprocessing p = {0, 255, {0, 0, 0}, {1, 1, 1}};
	uint8_t *expected = malloc((size_t)3 * 40000);
	adtool_image_options options;
	unsigned width, height;
	float tensor[3];
	adtool_error err;
	ad_buf file = {0};
	ad_rng rng;
	size_t i, s;

	(void)state;
	assert_non_null(expected);
	ad_rng_seed(&rng, 5);
	for (i = 0; i < JPEG_CASES; i++) {
		struct jpeg_case jpeg = jpeg_cases[i];

		for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (jpeg.orientation = 0; jpeg.orientation <= 8; jpeg.orientation++) {
				jpeg.width = sizes[s][0];
				jpeg.height = sizes[s][1];
				ad_buf_clear(&file);
				make_jpeg(&jpeg, &file);
				check_file_tensor(&file);
			}
	}
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (png.interlaced = 0; png.interlaced < 2; png.interlaced++)
			for (png.transparent = 0; png.transparent < 2; png.transparent++)
				for (png.orientation = 0; png.orientation <= 8; png.orientation++) {
					png.type = png.orientation % 2 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
					png.width = sizes[s][0];
					png.height = sizes[s][1];
					ad_buf_clear(&file);
					make_png(&png, &rng, &file, expected);
					check_file_tensor(&file);
				}
	/* Refused as otherwise: what is cut short, and by the same limit. */
	adtool_image_options_init(&options);
	for (i = 0; i < 2; i++) {
		ad_buf_clear(&file);
		if (i)
			make_jpeg(&jpeg_cases[3], &file);
		else
			make_png(&(struct png_case){.width = 33, .height = 50, .type = PNG_COLOR_TYPE_RGB, .depth = 8},
				 &rng, &file, expected);
		for (s = 1; s <= 40; s += 3)
			assert_int_equal(ad_image_file_to_tensor(file.data, file.size - s, &options, &p, 1, 1, tensor,
								 &width, &height, &err),
					 ADTOOL_EFORMAT);
		options.max_pixels = 33 * 50 - 1;
		assert_int_equal(
		    ad_image_file_to_tensor(file.data, file.size, &options, &p, 1, 1, tensor, &width, &height, &err),
		    ADTOOL_ELIMIT);
		options.max_pixels++;
		assert_int_equal(
		    ad_image_file_to_tensor(file.data, file.size, &options, &p, 1, 1, tensor, &width, &height, &err),
		    0);
	}
	ad_buf_release(&file);
	free(expected);
}

/* -- files ------------------------------------------------------------------------------------------------ */

static void png_written_is_read_back(void **state)
{
	static const unsigned sizes[][2] = {{1, 1}, {1, 300}, {300, 1}, {97, 61}, {640, 480}};
	char folder[] = "/tmp/adtool-image-XXXXXX", path[64];
	adtool_image *image, *back = NULL;
	ad_buf one = {0}, two = {0};
	adtool_error err;
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.png", folder);
	for (i = 0; i < 5; i++) {
		unsigned w = sizes[i][0], h = sizes[i][1];

		image = noise(w, h, i);
		if (i == 4) /* large runs */
			memset(image->pixels, 9, (size_t)2 * w * h);
		one.size = two.size = 0;
		assert_int_equal(ad_png_encode(image, &one, &err), 0);
		assert_int_equal(ad_png_encode(image, &two, &err), 0);
		assert_int_equal(one.size, two.size);
		assert_memory_equal(one.data, two.data, one.size);
		assert_memory_equal(decode_ok(&one, w, h, &back), image->pixels, (size_t)3 * w * h);
		adtool_image_free(back);
		one.size = two.size = 0;
		assert_int_equal(ad_png_encode_runs(image, &one, &err), 0);
		assert_int_equal(ad_png_encode_runs(image, &two, &err), 0);
		assert_int_equal(one.size, two.size);
		assert_memory_equal(one.data, two.data, one.size);
		assert_memory_equal(decode_ok(&one, w, h, &back), image->pixels, (size_t)3 * w * h);
		adtool_image_free(back);
		assert_int_equal(adtool_image_write_png(image, path, &err), 0);
		assert_int_equal(adtool_image_read(path, NULL, &back, &err), 0);
		assert_memory_equal(back->pixels, image->pixels, (size_t)3 * w * h);
		adtool_image_free(back);
		adtool_image_free(image);
	}
	back = NULL;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(adtool_image_read(path, NULL, &back, &err), ADTOOL_EIO);
	assert_int_equal(adtool_image_read(folder, NULL, &back, &err), ADTOOL_EIO);
	assert_null(back);
	assert_int_equal(rmdir(folder), 0);
	image = noise(3, 3, 0);
	assert_int_equal(adtool_image_write_png(image, path, &err), ADTOOL_EIO);
	adtool_image_free(image);
	ad_buf_release(&one);
	ad_buf_release(&two);
}

static void check_round_trip(const adtool_image *image)
{
	adtool_image *back;
	adtool_error err;
	ad_buf png = {0};

	assert_int_equal(ad_buf_puts(&png, "kept"), 0);
	assert_int_equal(ad_png_encode(image, &png, &err), 0);
	assert_memory_equal(png.data, "kept", 4);
	if (adtool_image_decode(png.data + 4, png.size - 4, 0, &back, &err) != 0)
		fail_msg("%ux%u: %s", image->width, image->height, err.message);
	assert_int_equal(back->width, image->width);
	assert_int_equal(back->height, image->height);
	assert_memory_equal(back->pixels, image->pixels, (size_t)3 * image->width * image->height);
	adtool_image_free(back);
	png.size = 4;
	assert_int_equal(ad_png_encode_runs(image, &png, &err), 0);
	assert_memory_equal(png.data, "kept", 4);
	if (adtool_image_decode(png.data + 4, png.size - 4, 0, &back, &err) != 0)
		fail_msg("%ux%u, runs: %s", image->width, image->height, err.message);
	assert_memory_equal(back->pixels, image->pixels, (size_t)3 * image->width * image->height);
	adtool_image_free(back);
	ad_buf_release(&png);
}

static void png_written_whatever_the_statistics(void **state)
{
	static const unsigned sizes[][2] = {{65535, 1}, {65535, 9}, {21845, 2}, {21846, 2}, {1, 65535}, {700, 2000}};
	adtool_image *image;
	size_t bytes, i, k, n;
	ad_rng rng;

	(void)state;
	ad_rng_seed(&rng, 12);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(adtool_image_create(sizes[i][0], sizes[i][1], &image, NULL), 0);
		bytes = (size_t)3 * sizes[i][0] * sizes[i][1];
		check_round_trip(image); /* one value */

		for (k = 0; k < bytes; k += n) { /* runs of every length, and across rows and blocks */
			n = 1 + (size_t)ad_rng_below(&rng, ad_rng_below(&rng, 4) ? 12 : 1500);
			n = n < bytes - k ? n : bytes - k;
			memset(image->pixels + k, (int)ad_rng_below(&rng, 256), n);
		}
		check_round_trip(image);

		for (k = 0; k < bytes; k++)
			image->pixels[k] = (uint8_t)ad_rng_next(&rng);
		check_round_trip(image);

		/* Weights like Fibonacci's make the deepest tree: codes would be 24 bits long, of 15 allowed. */
		size_t a = 1, b = 1, value = 0, left = 1;

		for (k = 0; k < bytes; k++) {
			image->pixels[k] = (uint8_t)(value * 37);
			if (--left == 0) {
				left = b;
				b += a;
				a = left;
				value++;
			}
		}
		for (k = 0; k + 1 < bytes; k++) { /* shuffled, else there are only runs */
			size_t other = k + (size_t)ad_rng_below(&rng, bytes - k);
			uint8_t t = image->pixels[k];

			image->pixels[k] = image->pixels[other];
			image->pixels[other] = t;
		}
		check_round_trip(image);
		adtool_image_free(image);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(exif_is_read_and_its_damage_ignored),
	    cmocka_unit_test(png_of_every_kind),
	    cmocka_unit_test(png_orientations),
	    cmocka_unit_test(sizes_are_limited_from_the_header),
	    cmocka_unit_test(png_damage_is_named),
	    cmocka_unit_test(jpeg_of_every_kind),
	    cmocka_unit_test(jpeg_orientations),
	    cmocka_unit_test(jpeg_scans_are_limited),
	    cmocka_unit_test(jpeg_tolerance),
	    cmocka_unit_test(jpeg_without_a_component),
	    cmocka_unit_test(damaged_jpeg),
	    cmocka_unit_test(damaged_png),
	    cmocka_unit_test(other_kinds_are_named),
	    cmocka_unit_test(resize_is_the_triangle_filter),
	    cmocka_unit_test(resize_keeps_what_it_must),
	    cmocka_unit_test(resize_equals_pillow),
	    cmocka_unit_test(tensors),
	    cmocka_unit_test(files_to_tensors),
	    cmocka_unit_test(png_written_is_read_back),
	    cmocka_unit_test(png_written_whatever_the_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
