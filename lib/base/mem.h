/* Memory: all of lib/ allocates here, so that one place can count, limit and fail. */
#ifndef AD_MEM_H
#define AD_MEM_H

#include <stddef.h>
#include <stdint.h>

/* NULL on failure or when count * size overflows. A size of 0 gives a valid pointer. */
void *ad_malloc(size_t size);
void *ad_calloc(size_t count, size_t size);
void *ad_malloc_array(size_t count, size_t size);
/* On failure the old block stays valid. */
void *ad_realloc_array(void *block, size_t count, size_t size);
char *ad_strdup(const char *text);
char *ad_strndup(const char *text, size_t n);
void ad_free(void *block);

/* A float that may lie at any address: what is read straight from a file. */
typedef float ad_loose __attribute__((aligned(1)));

/*
 * 64-byte aligned; released by ad_free_aligned only. Contents undefined. From 512 KiB on the system is asked for large
 * pages, of 2 MiB: touching them for the first time costs a tenth, and reading them spares the address translation.
 */
void *ad_malloc_aligned(size_t count, size_t size);
void ad_free_aligned(void *block);

/* "1.5 MiB", for messages; "100 bytes" where it is less than one. Returns out. */
enum { AD_MEMORY_TEXT = 32 };
const char *ad_memory_text(char out[AD_MEMORY_TEXT], uint64_t bytes);

/*
 * From now on new memory holds zeros, whoever in this process asks for it, so that what a library forgets to set is the
 * same each time; but for small blocks, and only with glibc. For a process that is about to end.
 */
void ad_malloc_zeros(void);

#endif
