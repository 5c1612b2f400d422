/* Files: whole reads with a limit, read-only maps, and writes that appear whole or not at all. */
#ifndef AD_FILE_H
#define AD_FILE_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* Opens a regular file for reading without ever waiting (a FIFO cannot hang it); the descriptor, or a negative code. */
int ad_file_open(const char *path, uint64_t *size, adtool_error *err);
/* ADTOOL_EIO: what a file of this st_mode is, since it is no regular one. */
int ad_file_refuse(unsigned mode, adtool_error *err);

/*
 * Appends the whole regular file to *out. Refuses what is not a regular file (ADTOOL_EIO)
 * and more than `limit` bytes (ADTOOL_ELIMIT).
 * Messages do not repeat the path; callers add it with ad_fail_within.
 */
int ad_file_read(const char *path, uint64_t limit, ad_buf *out, adtool_error *err);

typedef struct ad_map {
	const uint8_t *data; /* NULL when size is 0 */
	size_t size;
} ad_map;

/* Maps a regular file read-only. Release with ad_map_release (harmless on a zeroed one). */
int ad_map_open(ad_map *map, const char *path, uint64_t limit, adtool_error *err);
void ad_map_release(ad_map *map);

/*
 * Atomic replacement: a temporary file in the target's folder, fsync, rename, fsync of the folder.
 * A reader sees the old file or the new one, never a part. Where the file system can, the temporary file has no
 * name until it is whole, so that a killed process leaves none. ad_atomic_abort after commit is harmless.
 */
typedef struct ad_atomic {
	int fd;            /* the temporary file, open read-write; -1 when none */
	char *path, *temporary;
	int named;         /* the temporary file can be seen in its folder */
} ad_atomic;

int ad_atomic_open(ad_atomic *a, const char *path, adtool_error *err);
int ad_atomic_write(ad_atomic *a, const void *data, size_t size, adtool_error *err);
int ad_atomic_commit(ad_atomic *a, adtool_error *err);
void ad_atomic_abort(ad_atomic *a);

/* ad_atomic_open + write + commit. */
int ad_file_write(const char *path, const void *data, size_t size, adtool_error *err);

/*
 * The same without waiting for the disk: readers see the old file or the new one, but a power cut may lose it. For what
 * is made in numbers and can be made again.
 */
int ad_file_write_quick(const char *path, const void *data, size_t size, adtool_error *err);

/* write(2) until all is written; EINTR is retried. 0 or ADTOOL_EIO with errno kept. */
int ad_write_all(int fd, const void *data, size_t size);

/* mkdir -p. */
int ad_mkdirs(const char *path, adtool_error *err);

#endif
