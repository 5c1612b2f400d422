/* A black picture with one white box: draw_mask WIDTHxHEIGHT OUT.png X,Y,W,H */
#include <stdio.h>

#include <adtool/adtool.h>

int main(int argc, char **argv)
{
	unsigned width, height, b[4], x, y;
	adtool_image *image;
	adtool_error err;

	if (argc != 4 || sscanf(argv[1], "%ux%u", &width, &height) != 2 ||
	    sscanf(argv[3], "%u,%u,%u,%u", &b[0], &b[1], &b[2], &b[3]) != 4) {
		fputs("usage: draw_mask WIDTHxHEIGHT OUT.png X,Y,W,H\n", stderr);
		return 2;
	}
	if (adtool_image_create(width, height, &image, &err)) {
		fprintf(stderr, "draw_mask: %s\n", err.message);
		return 1;
	}
	for (y = b[1]; y < b[1] + b[3] && y < height; y++)
		for (x = b[0]; x < b[0] + b[2] && x < width; x++)
			memset(adtool_image_pixels(image) + ((size_t)y * width + x) * 3, 255, 3);
	if (adtool_image_write_png(image, argv[2], &err)) {
		fprintf(stderr, "draw_mask: %s: %s\n", argv[2], err.message);
		return 1;
	}
	adtool_image_free(image);
	return 0;
}
