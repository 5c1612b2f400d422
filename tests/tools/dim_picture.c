/*
 * What becomes of a picture when the lamp or the lens changes: every sample times FACTOR, then a box blur over
 * 2 RADIUS + 1 pixels each way.
 *
 *	dim_picture FACTOR RADIUS IN OUT.png
 */
#include <stdio.h>
#include <stdlib.h>

#include <adtool/adtool.h>

static void die(const char *name, const adtool_error *err)
{
	fprintf(stderr, "dim_picture: %s: %s\n", name, err->message);
	exit(1);
}

int main(int argc, char **argv)
{
	adtool_image *in, *out;
	adtool_error err;

	if (argc != 5) {
		fprintf(stderr, "usage: dim_picture FACTOR RADIUS IN OUT.png\n");
		return 2;
	}
	double factor = strtod(argv[1], NULL);
	long radius = strtol(argv[2], NULL, 10);
	if (adtool_image_read(argv[3], NULL, &in, &err))
		die(argv[3], &err);
	long w = (long)adtool_image_width(in), h = (long)adtool_image_height(in);
	if (adtool_image_create((unsigned)w, (unsigned)h, &out, &err))
		die(argv[3], &err);
	const uint8_t *from = adtool_image_pixels(in);
	uint8_t *to = adtool_image_pixels(out);
	for (long y = 0; y < h; y++)
		for (long x = 0; x < w; x++)
			for (long c = 0; c < 3; c++) {
				double sum = 0, count = 0;
				for (long v = y - radius; v <= y + radius; v++)
					for (long u = x - radius; u <= x + radius; u++)
						if (u >= 0 && v >= 0 && u < w && v < h) {
							sum += from[3 * (v * w + u) + c];
							count++;
						}
				double value = factor * sum / count + 0.5;
				to[3 * (y * w + x) + c] = (uint8_t)(value > 255 ? 255 : value);
			}
	if (adtool_image_write_png(out, argv[4], &err))
		die(argv[4], &err);
	adtool_image_free(in);
	adtool_image_free(out);
	return 0;
}
