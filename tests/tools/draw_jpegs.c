/* draw_jpegs DIR COUNT WIDTH HEIGHT: that many JPEG files of blurred noise, DIR/0000.jpg and so on, quality 90. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <jpeglib.h>

#include "noise.h"

/* Noise on a grid of `cell` pixels, between the grid's points by straight lines. */
static int smooth(uint32_t seed, unsigned x, unsigned y, unsigned cell)
{
	unsigned i = x / cell, j = y / cell, u = x % cell, v = y % cell, at[4];

	for (unsigned k = 0; k < 4; k++)
		at[k] = noise(seed + (i + k % 2) * 7919u + (j + k / 2) * 104729u) & 255;
	return (int)(((at[0] * (cell - u) + at[1] * u) * (cell - v) + (at[2] * (cell - u) + at[3] * u) * v) /
		     (cell * cell));
}

static int draw(const char *path, uint32_t seed, unsigned width, unsigned height)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	FILE *f = fopen(path, "wb");
	JSAMPLE *row = malloc((size_t)3 * width);

	if (!f || !row) {
		perror(path);
		return 1;
	}
	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_stdio_dest(&jpeg, f);
	jpeg.image_width = width;
	jpeg.image_height = height;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, 90, TRUE);
	jpeg_start_compress(&jpeg, TRUE);
	while (jpeg.next_scanline < height) {
		for (unsigned x = 0; x < width; x++)
			for (unsigned c = 0; c < 3; c++)
				row[3 * x + c] = (JSAMPLE)((6 * smooth(seed + c, x, jpeg.next_scanline, 48) +
							    smooth(seed + 9, x, jpeg.next_scanline, 5) +
							    smooth(seed + c + 17, x, jpeg.next_scanline, 2)) /
							   8);
		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	free(row);
	return fclose(f) != 0;
}

int main(int argc, char **argv)
{
	char path[4096];

	if (argc != 5) {
		fprintf(stderr, "usage: draw_jpegs DIR COUNT WIDTH HEIGHT\n");
		return 129;
	}
	mkdir(argv[1], 0777);
	for (unsigned long i = 0; i < strtoul(argv[2], NULL, 10); i++) {
		snprintf(path, sizeof(path), "%s/%04lu.jpg", argv[1], i);
		if (draw(path, (uint32_t)i * 1000003u, (unsigned)strtoul(argv[3], NULL, 10),
			 (unsigned)strtoul(argv[4], NULL, 10)))
			return 1;
	}
	return 0;
}
