/*
 * The pages of a TIFF file: the directories of its main chain, but for those that call themselves reduced pictures or
 * masks of another page. Both whoever lists pictures and whoever decodes one must agree on them. Classic TIFF and
 * BigTIFF.
 */
#ifndef AD_TIFF_H
#define AD_TIFF_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

enum { AD_TIFF_MOST_PAGES = 65535 };

/* Reads n bytes at `at`; 0, or non-zero when they are not there. */
typedef int ad_tiff_read_fn(void *context, uint64_t at, void *to, size_t n);

/*
 * How many, at most AD_TIFF_MOST_PAGES. Where the chain leads beyond the file, the break counts as a page, which cannot
 * be read; so does the beginning of a file that has none. A chain that runs in a circle ends where it would begin
 * again.
 */
unsigned ad_tiff_count(ad_tiff_read_fn *read, void *context);

/* Where the directory of a page (from 1) is. ADTOOL_EFORMAT: there is no such page, or it cannot be read. */
int ad_tiff_find(ad_tiff_read_fn *read, void *context, unsigned page, uint64_t *offset, adtool_error *err);

#endif
