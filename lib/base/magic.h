/* What a file is, by its first bytes. */
#ifndef AD_MAGIC_H
#define AD_MAGIC_H

#include <stddef.h>
#include <stdint.h>

enum { AD_MAGIC_BYTES = 16 }; /* enough for every picture format */

typedef struct ad_magic {
	const char *name; /* "JPEG", "a zip archive" */
	int picture;      /* a format of pictures that some build of adtool reads */
} ad_magic;

/* NULL: unknown. data: AD_MAGIC_BYTES bytes or more, or the whole file. */
const ad_magic *ad_magic_of(const void *data, size_t size);

#endif
