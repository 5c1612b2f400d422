/* npy: .npy files, in memory and from a file. */
#include "fuzz.h"

#include <adtool/report.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	adtool_error err = {0};
	ad_npy npy;
	float *values = NULL;
	size_t shape[4], i, count = 1;
	int ndim, code = ad_npy_parse(data, size, &npy, &err);

	fuzz_check(code, &err);
	if (!code) {
		const uint8_t *bytes = npy.data;

		for (i = 0; i < 4; i++)
			FUZZ_ASSERT(!__builtin_mul_overflow(count, npy.shape[i], &count));
		FUZZ_ASSERT(npy.count == count && bytes >= data &&
			    bytes + npy.count * (size_t)npy.item_size == data + size);
	}
	code = adtool_npy_load(fuzz_file(data, size), 1 << 20, &values, shape, &ndim, &err);
	fuzz_check(code, &err);
	if (!code)
		adtool_free(values);
	return 0;
}
