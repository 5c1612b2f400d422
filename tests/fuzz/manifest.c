/* manifest: manifest.json read, checked, written, and read again. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/bundle/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static adtool_model_info info, again;
	ad_listed listed[AD_MEMBERS] = {0}, listed_again[AD_MEMBERS] = {0};
	adtool_error err = {0};
	ad_buf first = {0}, second = {0};
	int code;

	ad_manifest_is_one((const char *)data, size);
	code = ad_manifest_read((const char *)data, size, &info, listed, &err);
	fuzz_check(code, &err);
	if (code)
		return 0;
	code = ad_info_check(&info, ADTOOL_EFORMAT, &err);
	fuzz_check(code, &err);
	if (code)
		return 0;
	FUZZ_ASSERT(!ad_manifest_write(&info, listed, &first, &err));
	code = ad_manifest_read((const char *)first.data, first.size, &again, listed_again, &err);
	if (code)
		fprintf(stderr, "%s\n", err.message);
	FUZZ_ASSERT(!code);
	FUZZ_ASSERT(!ad_manifest_write(&again, listed_again, &second, &err));
	FUZZ_ASSERT(first.size == second.size && !memcmp(first.data, second.data, first.size));
	ad_buf_release(&first);
	ad_buf_release(&second);
	return 0;
}
