/*
 * Where pictures come from: files, directories (recursive, in byte order), lists of paths on a
 * descriptor, and zip or tar archives. A dataset is a stream: one item after another, nothing unpacked to disk.
 */
#ifndef ADTOOL_DATASET_H
#define ADTOOL_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/error.h>
#include <adtool/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct adtool_dataset adtool_dataset;

typedef struct adtool_dataset_options {
	int list_fd;              /* where the input "-" reads paths from; default 0 (standard input) */
	int null_separated;       /* paths on list_fd end in NUL instead of newline */
	uint64_t max_file_bytes;  /* a larger file or member is an error item; default 1 GiB */
	uint64_t max_members;     /* per archive; default 1,000,000 */
	uint64_t max_total_bytes; /* unpacked, per archive; default 1 TiB */
	unsigned max_ratio;       /* unpacked to packed bytes of an archive, once past 64 MiB; default 1000 */
	unsigned max_depth;       /* directories below an input; default 64; 0: none is entered */
	/* A file named is no archive, "-" no list and f.tif#2 no page, but a file's name; default 0. */
	int plain_files;
	/* At most so many items a second, _next waits; default 0: as fast as they are asked for. */
	double rate;
	/* Once this can be read (nothing is), there are no more items, and no wait goes on; default -1. */
	int stop_fd;
} adtool_dataset_options; /* in the other limits 0 means the default */

/* Fills in the defaults. */
ADTOOL_API void adtool_dataset_options_init(adtool_dataset_options *options);
/* Takes over those of the limits that are about files, folders and archives. */
ADTOOL_API void adtool_dataset_options_limit(adtool_dataset_options *options, const adtool_limits *limits);

/* One picture-to-be. The strings belong to the dataset and live until the next call of _next. */
typedef struct adtool_item {
	const char *name;  /* as printed: the path, or "archive.zip:member.jpg" */
	const char *label; /* its folder below the input ("" when directly in it): defect type */
	const char *archive; /* the archive it is a member of, NULL for a file of its own */
	/* Which page of a TIFF of several, from 1: the name ends in "#1"; 0: the file has no others. */
	unsigned page;
	int code;          /* 0, or why this item cannot be read (permission, not a file, ...) */
	const char *why;   /* the message of code; NULL when code is 0 */
} adtool_item;

/*
 * Copies the inputs; opens nothing yet, so a missing input shows as an item with an error. An input is a file, a
 * directory, an archive (a zip, a tar, or a tar in gzip, xz or zstd, known by its bytes), or "-": paths of such, one a
 * line, empty lines passed over, each used as soon as it is read; "-" twice is refused (ADTOOL_EINVAL). A TIFF file of
 * several pages is as many items, f.tif#1, f.tif#2, wherever it is met; an input f.tif#2 is that page, when no file has
 * this name. options may be NULL. The caller frees *out.
 */
ADTOOL_API int adtool_dataset_open(const char *const *inputs, size_t count, const adtool_dataset_options *options,
                                   adtool_dataset **out, adtool_error *err);

/*
 * One picture (or a TIFF's pages) from a descriptor, read to its end by the first _next; name is what it is called. The
 * descriptor stays the caller's.
 */
ADTOOL_API int adtool_dataset_open_fd(int fd, const char *name, const adtool_dataset_options *options,
                                      adtool_dataset **out, adtool_error *err);

/*
 * Moves to the next item. 1: *item is filled; 0: no more; negative: the stream itself failed (memory, the list).
 * Inputs come in the order given, files of a directory in the byte order of their paths, members in the order of
 * their archive. A file named as an input or on a list is always an item. In directories and archives only pictures
 * are: files whose name has a picture's suffix or whose first bytes are those of a known picture format; archives
 * within are not opened. A folder is read once for each input, however many links lead to it: a link to a folder of the
 * same input, or to one that was read already, is passed over. Hidden files and folders (".*") are ignored. What cannot
 * be looked into (a folder or file without permission, a FIFO, socket or device, a broken link, a link to a folder
 * above it, an encrypted member, a link within an archive) is an item with a code, as is an archive that is damaged or
 * exceeds a limit: its remaining members are lost, the next input follows.
 */
ADTOOL_API int adtool_dataset_next(adtool_dataset *dataset, adtool_item *item, adtool_error *err);

/*
 * The current item's bytes, owned by the dataset until the next call of _next. May be called at most
 * once per item; not calling it skips the item cheaply. An error (the item's own, if it has a code) ends nothing but
 * this item.
 */
ADTOOL_API int adtool_dataset_read(adtool_dataset *dataset, const void **data, size_t *size, adtool_error *err);

/*
 * Whether a file that lies in a folder is one of the folder's items: 1, or 0 for what is no picture; links are
 * followed.
 * What cannot be looked into is an item too, with a code: 1.
 */
ADTOOL_API int adtool_dataset_would_list(const char *path);

/* How many files in directories and archives were passed over because they are no pictures. */
ADTOOL_API uint64_t adtool_dataset_passed_over(const adtool_dataset *dataset);

/* Harmless on NULL. */
ADTOOL_API void adtool_dataset_free(adtool_dataset *dataset);

#ifdef __cplusplus
}
#endif
#endif
