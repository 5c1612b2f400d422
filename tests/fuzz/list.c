/* list: paths on a descriptor, newline- or NUL-separated. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/dataset/dataset.h"

static void run(const char *path, char separator)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code;
	adtool_error why, err = {0};
	const char *entry;
	ad_list list = {0};

	FUZZ_ASSERT(fd >= 0);
	ad_list_start(&list, fd, separator, -1);
	while ((code = ad_list_next(&list, &entry, &why, &err)) > 0)
		FUZZ_ASSERT(entry ? entry[0] && strlen(entry) <= AD_LIST_LONGEST &&
					!(separator && strchr(entry, separator))
				  : why.message[0]);
	FUZZ_ASSERT(!code);
	ad_list_release(&list);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);

	run(path, '\n');
	run(path, '\0');
	return 0;
}
