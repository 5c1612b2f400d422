/* icc: a colour profile, for samples of every kind; the first byte says of which. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/image/internal.h"

enum { PIXELS = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned colours[] = {1, 3, 4};
	uint16_t samples[PIXELS * 5];
	uint8_t rgb[PIXELS * 3];
	adtool_image_options options;
	ad_convert convert = {0};
	adtool_error err = {0};
	ad_profile profile = {0};
	ad_layout layout = {0};
	size_t i;
	int code;

	if (!size)
		return 0;
	adtool_image_options_init(&options);
	layout.colours = colours[data[0] % 3];
	layout.depth = data[0] & 4 ? 16 : 8;
	layout.alpha = data[0] & 8 ? AD_STRAIGHT : AD_OPAQUE;
	layout.flipped = data[0] & 16 && layout.colours != 3;
	profile.icc = data + 1;
	profile.size = size - 1;
	code = ad_convert_init(&convert, &layout, &profile, &options, &err);
	fuzz_check(code, &err);
	if (code)
		return 0;
	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		samples[i] = (uint16_t)(i * 2621);
	ad_convert_rows(&convert, samples, rgb, PIXELS);
	ad_convert_release(&convert);
	return 0;
}
