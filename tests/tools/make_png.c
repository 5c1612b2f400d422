/*
 * make_png WIDTH HEIGHT FILE: a gray PNG of one bit a pixel, white with a black lower half; whatever its size, a small
 * file, written row by row.
 */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int write_png(FILE *f, unsigned width, unsigned height)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	unsigned char *row = malloc(width / 8 + 1);
	volatile int code = -1;

	if (info && row && !setjmp(png_jmpbuf(png))) {
		png_init_io(png, f);
		png_set_user_limits(png, width, height);
		png_set_compression_level(png, 1);
		png_set_IHDR(png, info, width, height, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
			     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
		png_write_info(png, info);
		for (unsigned y = 0; y < height; y++) {
			memset(row, y < (height + 1) / 2 ? 0xff : 0, width / 8 + 1);
			png_write_row(png, row);
		}
		png_write_end(png, info);
		code = 0;
	}
	free(row);
	png_destroy_write_struct(&png, &info);
	return code;
}

int main(int argc, char **argv)
{
	unsigned long width = argc == 4 ? strtoul(argv[1], NULL, 10) : 0,
		      height = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;

	if (!width || !height || width > 1000000 || height > 1000000) {
		fputs("usage: make_png WIDTH HEIGHT FILE\n", stderr);
		return 129;
	}
	FILE *f = fopen(argv[3], "wb");
	if (!f) {
		perror(argv[3]);
		return 1;
	}
	int code = write_png(f, (unsigned)width, (unsigned)height);
	if (fclose(f) || code) {
		fprintf(stderr, "make_png: %s: cannot be written\n", argv[3]);
		return 1;
	}
	return 0;
}
