#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *fuzz_file(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];

	if (fd < 0) {
		fd = memfd_create("input", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	FUZZ_ASSERT(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	return path;
}

void fuzz_check(int code, const adtool_error *err)
{
	FUZZ_ASSERT(code <= 0);
	if (!code)
		return;
	FUZZ_ASSERT(err->code == code);
	FUZZ_ASSERT(err->message[0] && memchr(err->message, '\0', sizeof(err->message)));
}
