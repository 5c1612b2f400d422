/*
 * A strict reader of a zip file's central directory, for the few members a model has. Only what models need is
 * read: one disk, no zip64, no encryption, members stored or deflated, nothing before the first member that matters.
 */
#ifndef AD_ZIPDIR_H
#define AD_ZIPDIR_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

#define AD_ZIP_MAX_NAMES 16

enum { AD_ZIP_STORED = 0, AD_ZIP_DEFLATED = 8 };

typedef struct ad_zip_member {
	int method;          /* AD_ZIP_STORED or AD_ZIP_DEFLATED */
	uint32_t crc;        /* CRC-32 of the unpacked bytes, as claimed */
	size_t size;         /* unpacked, as claimed; equal to packed when stored */
	size_t packed;
	const uint8_t *data; /* the packed bytes, inside the file; NULL when there is no such member */
} ad_zip_member;

/*
 * Finds the members `names` (n <= AD_ZIP_MAX_NAMES of them) in the zip file of `size` bytes. Checked: every record
 * lies within the file, members do not overlap, the local header repeats what the directory says, no member appears
 * twice.
 * The first member with another name is put into unknown[] in printable form ("" when there is none).
 */
int ad_zip_index(const uint8_t *file, size_t size, const char *const *names, size_t n, ad_zip_member *members,
                 char unknown[80], adtool_error *err);

/* Bytes fit for a message: what is not printable ASCII is escaped, what is long is cut. */
void ad_printable(const void *text, size_t size, char out[80]);

uint32_t ad_crc32(const void *data, size_t size);

#endif
