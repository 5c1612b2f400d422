/* exif: the orientation in a block of EXIF. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../lib/image/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int orientation = ad_exif_orientation(data, size);

	FUZZ_ASSERT(orientation >= 1 && orientation <= 8);
	return 0;
}
