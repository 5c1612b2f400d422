/*
 * What the bundle room needs of libzip, opened only when a model is written, or read after another tool has
 * packed it: `score` of a model as adtool wrote it never loads it.
 */
#ifndef AD_CONTAINER_H
#define AD_CONTAINER_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

/* Members begin at multiples of this, so that a mapped .npy can be computed with where it lies. */
#define AD_CONTAINER_ALIGN 64

typedef struct ad_packed {
	const char *name;
	const void *data;
	size_t size;
} ad_packed;

/*
 * Writes the n members, stored, to the empty file fd, as a zip file. time is that of every member, seconds since
 * 1970 UTC (what DOS times cannot say is clamped to 1980 .. 2107). The same members give the same bytes.
 */
int ad_container_write(int fd, const ad_packed *members, size_t n, int64_t time, adtool_error *err);

typedef struct ad_container ad_container;

/* A zip file in memory, which must outlive *out. */
int ad_container_open(const void *file, size_t size, ad_container **out, adtool_error *err);

/* Unpacks a member into data. It is refused when it does not have exactly `size` bytes or its CRC is wrong. */
int ad_container_read(ad_container *c, const char *name, void *data, size_t size, adtool_error *err);

void ad_container_free(ad_container *c); /* harmless on NULL */

#endif
