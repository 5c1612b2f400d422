/*
 * Draws one picture of a textured surface, of any size, row by row, so that very large ones need no memory:
 *
 *	draw_scene WIDTHxHEIGHT SEED OUT.jpg|OUT.png [defect X,Y,W,H] [orientation N] [rim WIDTH] [interlaced]
 *
 * The seed moves the texture and chooses its noise. The defect is a blot at that place of the upright picture. With an
 * orientation (EXIF, 1 .. 8) the file holds the picture turned so that reading it upright gives the same. rim: so many
 * pixels along each edge of the upright picture are noise that differs from picture to picture.
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <png.h>

#include "noise.h"

static unsigned width, height, rim, orientation = 1;
static unsigned defect[4];
static uint32_t seed;

static uint32_t noise_at(uint32_t x, uint32_t y)
{
	return noise(x + noise(y + noise(seed)));
}

static unsigned wave(unsigned t, unsigned period)
{
	unsigned at = t % period;

	return 64 * (at < period / 2 ? at : period - at) / period;
}

/* Upright. */
static void pixel(unsigned x, unsigned y, uint8_t out[3])
{
	uint32_t n = noise_at(x, y), shift = seed % 7;
	unsigned v = 90 + wave(x + 2 * shift, 24) + wave(y + shift, 40) + n % 12;

	out[0] = (uint8_t)v;
	out[1] = (uint8_t)(v + 10 + (n >> 8) % 6);
	out[2] = (uint8_t)(v - 20 + (n >> 16) % 6);
	if (x < rim || y < rim || x >= width - rim || y >= height - rim) {
		uint32_t block = noise_at(x / 8, y / 8 + 100000);

		out[0] = (uint8_t)block;
		out[1] = (uint8_t)(block >> 8);
		out[2] = (uint8_t)(block >> 16);
	}
	if (x >= defect[0] && x < defect[0] + defect[2] && y >= defect[1] && y < defect[1] + defect[3]) {
		int inner = x >= defect[0] + defect[2] / 4 && x < defect[0] + defect[2] * 3 / 4;

		out[0] = inner ? 250 : 20;
		out[1] = inner ? 60 : 10;
		out[2] = inner ? 30 : 30;
	}
}

static unsigned stored_width(void)
{
	return orientation >= 5 ? height : width;
}

static unsigned stored_height(void)
{
	return orientation >= 5 ? width : height;
}

/* Row y of the file: where EXIF's orientation says that its row and column 0 lie, pixel by pixel. */
static void stored_row(unsigned y, uint8_t *to)
{
	unsigned x, w = stored_width();

	for (x = 0; x < w; x++, to += 3) {
		unsigned right = width - 1, bottom = height - 1, u = x, v = y;

		switch (orientation) {
		case 2: u = right - x; break;
		case 3: u = right - x; v = bottom - y; break;
		case 4: v = bottom - y; break;
		case 5: u = y; v = x; break;
		case 6: u = right - y; v = x; break;
		case 7: u = right - y; v = bottom - x; break;
		case 8: u = y; v = bottom - x; break;
		default: break;
		}
		pixel(u, v, to);
	}
}

static const uint8_t *exif(void)
{
	static uint8_t block[] = "Exif\0\0MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\1\0\0\0\0\0\0";

	block[6 + 19] = (uint8_t)orientation;
	return block;
}

enum { EXIF_SIZE = 32 };

static int write_jpeg(FILE *file)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr errors;
	uint8_t *row = malloc((size_t)3 * stored_width());

	if (!row)
		return 1;
	c.err = jpeg_std_error(&errors);
	jpeg_create_compress(&c);
	jpeg_stdio_dest(&c, file);
	c.image_width = stored_width();
	c.image_height = stored_height();
	c.input_components = 3;
	c.in_color_space = JCS_RGB;
	jpeg_set_defaults(&c);
	jpeg_set_quality(&c, 92, TRUE);
	jpeg_start_compress(&c, TRUE);
	jpeg_write_marker(&c, JPEG_APP0 + 1, exif(), EXIF_SIZE);
	while (c.next_scanline < c.image_height) {
		stored_row(c.next_scanline, row);
		jpeg_write_scanlines(&c, &row, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	free(row);
	return 0;
}

static int write_png(FILE *file, int interlaced)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	uint8_t *row = malloc((size_t)3 * stored_width());
	int passes, pass;
	unsigned y;

	if (!row || setjmp(png_jmpbuf(png)))
		return 1;
	png_init_io(png, file);
	png_set_compression_level(png, 1);
	png_set_IHDR(png, info, stored_width(), stored_height(), 8, PNG_COLOR_TYPE_RGB,
		     interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	png_set_eXIf_1(png, info, EXIF_SIZE - 6, (png_bytep)(uintptr_t)(exif() + 6));
	png_write_info(png, info);
	passes = png_set_interlace_handling(png);
	for (pass = 0; pass < passes; pass++)
		for (y = 0; y < stored_height(); y++) {
			stored_row(y, row);
			png_write_row(png, row);
		}
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	free(row);
	return 0;
}

static int usage(void)
{
	fputs("usage: draw_scene WIDTHxHEIGHT SEED OUT.jpg|OUT.png [defect X,Y,W,H] [orientation N] [rim W] "
	      "[interlaced]\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	int interlaced = 0, i, failed;
	size_t length;
	FILE *file;

	if (argc < 4 || sscanf(argv[1], "%ux%u", &width, &height) != 2 || !width || !height)
		return usage();
	seed = (uint32_t)strtoul(argv[2], NULL, 10);
	for (i = 4; i < argc; i++) {
		unsigned *d = defect;

		if (!strcmp(argv[i], "interlaced"))
			interlaced = 1;
		else if (i + 1 == argc)
			return usage();
		else if (!strcmp(argv[i], "defect") &&
			 sscanf(argv[++i], "%u,%u,%u,%u", &d[0], &d[1], &d[2], &d[3]) == 4)
			continue;
		else if (!strcmp(argv[i], "orientation"))
			orientation = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "rim"))
			rim = (unsigned)strtoul(argv[++i], NULL, 10);
		else
			return usage();
	}
	file = fopen(argv[3], "wb");
	if (!file) {
		perror(argv[3]);
		return 1;
	}
	length = strlen(argv[3]);
	failed = length > 4 && !strcmp(argv[3] + length - 4, ".png") ? write_png(file, interlaced) : write_jpeg(file);
	return fclose(file) || failed;
}
