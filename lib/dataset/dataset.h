/* The dataset room's own parts: what a file is, lists of paths, directory walks, archives. */
#ifndef AD_DATASET_H
#define AD_DATASET_H

#include <adtool/dataset.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/buf.h"
#include "../base/magic.h"

/*
 * As adtool_dataset_read, but hands the bytes over: *out gets the buffer that they are in, and the dataset the one that
 * *out was. Not for a page: others may be in the same bytes.
 */
int ad_dataset_take(adtool_dataset *d, ad_buf *out, adtool_error *err);
/* A number of the file that the current item is, or is a page of. */
uint64_t ad_dataset_file(const adtool_dataset *d);

/* -- kind: what a file is ---------------------------------------------------------------------------- */

enum { AD_SNIFF_BYTES = AD_MAGIC_BYTES };
enum { AD_HEAD_BYTES = 512 }; /* enough for every archive's: a tar header */

/* What an archive is wrapped in. */
enum ad_packing { AD_PACKING_NONE, AD_ZIP, AD_TAR, AD_TAR_GZIP, AD_TAR_XZ, AD_TAR_ZSTD };

/* Whether the name ends like a picture's. */
int ad_kind_suffix(const char *name);
/* Whether these first bytes (AD_SNIFF_BYTES of them, or the whole file) are a known picture format's. */
int ad_kind_picture(const uint8_t *head, size_t size);
/* What kind of archive begins with these bytes (AD_HEAD_BYTES of them, or the whole file). name: for an empty tar. */
enum ad_packing ad_kind_archive(const uint8_t *head, size_t size, const char *name);
/* Reads up to `size` bytes, fewer only at the end. Negative code when the system refuses. */
int ad_kind_head(int fd, uint8_t *head, size_t size, size_t *got, adtool_error *err);
/* 0 when the file may be read, else the reason. */
int ad_kind_access(const char *path, adtool_error *err);
/* Puts the folders of `path` (from `path` on; all but its last part, without "", "." and "..") into *label. */
int ad_kind_label(const char *path, ad_buf *label);

/* -- list: paths on a descriptor --------------------------------------------------------------------- */

enum { AD_LIST_LONGEST = 65536 };

typedef struct ad_list {
	int fd;
	char separator;
	int ended;
	uint64_t entry; /* the number of the current entry, from 1 */
	int stop_fd;    /* ends the list once it can be read; -1: none */
	ad_buf bytes;   /* read, from `at` on not yet given out */
	size_t at;
} ad_list;

void ad_list_start(ad_list *list, int fd, char separator, int stop_fd);
/*
 * 1: *path is the next one, alive until the next call, or NULL when the entry is unusable and *why says so;
 * 0: the list is over; negative: it cannot be read. Returns an entry as soon as it is whole.
 */
int ad_list_next(ad_list *list, const char **path, adtool_error *why, adtool_error *err);
void ad_list_release(ad_list *list);

/* -- walk: the pictures below a directory ------------------------------------------------------------ */

typedef struct ad_walk {
	struct ad_walk_folder *folders; /* from the top down to where the walk is */
	size_t depth, capacity;
	unsigned max_depth;
	char *top;                     /* its path without links; NULL when there is none to tell */
	struct ad_walk_visit *visited; /* a hash table of the folders entered */
	size_t visited_count, visited_room;
	ad_buf path, label;
} ad_walk;

/* Starts at a directory; what it finds is found by its first ad_walk_next. */
int ad_walk_start(ad_walk *walk, const char *top, unsigned max_depth, adtool_error *err);
/*
 * 1: item->name and ->label are set; *why holds the reason when the item cannot be read (why->code is 0 otherwise);
 * 0: the walk is over; negative: out of memory. In byte order of the whole paths. passed_over counts what is no
 * picture.
 */
int ad_walk_next(ad_walk *walk, adtool_item *item, adtool_error *why, uint64_t *passed_over, adtool_error *err);
void ad_walk_release(ad_walk *walk);
/* Whether a regular file is a picture: 1, also when *why says why it cannot be told; else 0. */
int ad_walk_picture(const char *path, adtool_error *why);

/* -- archive: the pictures of a zip or tar file ------------------------------------------------------ */

typedef struct ad_archive_library ad_archive_library;
typedef struct ad_archive ad_archive;

int ad_archive_load(ad_archive_library **out, adtool_error *err);
void ad_archive_unload(ad_archive_library *library); /* harmless on NULL */

/*
 * Takes over fd (closed in any case), a file of `size` bytes, positioned at 0. name is printed before the members' and
 * must outlive the archive.
 */
int ad_archive_open(const ad_archive_library *library, const char *name, int fd, uint64_t size,
                    enum ad_packing packing, const adtool_dataset_options *limits, ad_archive **out,
                    adtool_error *err);
/*
 * As ad_walk_next, in the order of the archive. Damage and limits that end the archive are an item of the archive's own
 * name, the last one.
 */
int ad_archive_next(ad_archive *archive, adtool_item *item, adtool_error *why, uint64_t *passed_over,
                    adtool_error *err);
/* The current member's first bytes, at most AD_SNIFF_BYTES; it can still be read. */
int ad_archive_head(ad_archive *archive, uint8_t head[AD_SNIFF_BYTES], size_t *size, adtool_error *err);
/* The current member's bytes, appended to *out. At most once per member. */
int ad_archive_read(ad_archive *archive, ad_buf *out, adtool_error *err);
void ad_archive_close(ad_archive *archive); /* harmless on NULL */

#endif
