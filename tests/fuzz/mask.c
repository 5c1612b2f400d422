/* mask: a picture as a mask, drawn over maps. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../lib/image/fit.h"

enum { SIDE = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	float values[SIDE] = {0};
	adtool_image *image = NULL, *again = NULL;
	ad_mask *mask = NULL;
	adtool_error err = {0};
	unsigned y;
	int code;

	if (adtool_image_decode(data, size, 65536, &image, NULL))
		return 0;
	code = ad_mask_create(image, &mask, &err);
	adtool_image_free(image);
	fuzz_check(code, &err);
	if (code)
		return 0;
	for (y = 0; y < SIDE; y++)
		ad_mask_hide(mask, SIDE, SIDE, y, 0, values);
	FUZZ_ASSERT(!ad_mask_image(mask, &again, &err));
	adtool_image_free(again);
	ad_mask_free(mask);
	return 0;
}
