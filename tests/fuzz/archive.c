/* archive: zip and tar files, plain and compressed, as inputs; all members are read. */
#include "fuzz.h"

#include <adtool/dataset.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* It stays open, so that it is not opened anew for each input. */
	dlopen(AD_SONAME_ARCHIVE, RTLD_NOW | RTLD_LOCAL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);
	adtool_dataset_options options;
	adtool_dataset *dataset = NULL;
	adtool_error err = {0};
	adtool_item item;
	const void *bytes;
	size_t count, items = 0;
	int code;

	adtool_dataset_options_init(&options);
	options.max_file_bytes = 1 << 20;
	options.max_members = 256;
	options.max_total_bytes = 4 << 20;
	FUZZ_ASSERT(!adtool_dataset_open(&path, 1, &options, &dataset, &err));
	while ((code = adtool_dataset_next(dataset, &item, &err)) > 0) {
		FUZZ_ASSERT(item.name && item.label);
		FUZZ_ASSERT(++items <= 257);
		if (item.code) {
			FUZZ_ASSERT(item.why && item.why[0]);
			continue;
		}
		/* Every other one is passed over, which is another way through. */
		if (items % 4 == 0)
			continue;
		code = adtool_dataset_read(dataset, &bytes, &count, &err);
		fuzz_check(code, &err);
		FUZZ_ASSERT(code || count <= options.max_file_bytes);
	}
	fuzz_check(code, &err);
	adtool_dataset_free(dataset);
	return 0;
}
