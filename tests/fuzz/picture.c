/* picture-FORMAT: pictures of one format (the program's name says which), through the library's own decode call. */
#include "fuzz.h"

#include <adtool/image.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/image/image.h"

/* Enough for every path; the rest is only time. */
#define MOST_PIXELS 65536u

/* What ad_image_sniff calls the formats, where that is not the program's word. */
static const struct {
	const char *word, *name;
} names[] = {
    {"tiff", "BigTIFF"}, {"heif", "HEIC"}, {"heif", "AVIF"}, {"jxl", "JPEG XL"},
};

static int is_wanted(const char *name)
{
	const char *word = strrchr(program_invocation_short_name, '-');
	size_t i;

	if (!word)
		return 1;
	word++;
	if (!strcasecmp(word, name))
		return 1;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i].word, word) && !strcmp(names[i].name, name))
			return 1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const adtool_preprocessing p = {0, 1, {0, 0, 0}, {1, 1, 1}};
	const char *name = ad_image_sniff(data, size);
	static float tensor[3 * 8 * 8], direct[3 * 8 * 8];
	adtool_image *image = NULL;
	adtool_image_options options;
	adtool_error err = {0};
	unsigned width, height, direct_width, direct_height;
	int code, direct_code;

	if (!name || !is_wanted(name))
		return 0;
	code = adtool_image_decode(data, size, MOST_PIXELS, &image, &err);
	fuzz_check(code, &err);
	FUZZ_ASSERT(!code == (image != NULL));
	/* What comes row by row is read by other code, to the same end. */
	adtool_image_options_init(&options);
	options.max_pixels = MOST_PIXELS;
	direct_code =
	    ad_image_file_to_tensor(data, size, &options, &p, 8, 8, direct, &direct_width, &direct_height, &err);
	fuzz_check(direct_code, &err);
	FUZZ_ASSERT(!direct_code == !code);
	if (code)
		return 0;
	width = adtool_image_width(image);
	height = adtool_image_height(image);
	FUZZ_ASSERT(width && height && (uint64_t)width * height <= MOST_PIXELS);
	/* Reads every pixel. */
	FUZZ_ASSERT(!ad_image_to_tensor(image, &p, 8, 8, tensor, &err));
	FUZZ_ASSERT(width == direct_width && height == direct_height);
	/*
	 * A slice of HEVC that ends too early leaves pixels as libde265 found its memory, and libde265 does not say so.
	 * What it does say is an error: regressions/picture-heif/pixels-not-decoded.
	 */
	FUZZ_ASSERT(!strcmp(name, "HEIC") || !memcmp(tensor, direct, sizeof(tensor)));
	adtool_image_free(image);
	return 0;
}
