#include "mem.h"

#include <stdint.h>
#include <sys/mman.h>

#include <adtool/error.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20, HUGE_FROM = 1 << 20 };

static int overflows(size_t count, size_t size)
{
	return size && count > PTRDIFF_MAX / size;
}

void *ad_malloc(size_t size)
{
	return size > PTRDIFF_MAX ? NULL : malloc(size ? size : 1);
}

void *ad_calloc(size_t count, size_t size)
{
	if (overflows(count, size))
		return NULL;
	return count && size ? calloc(count, size) : calloc(1, 1);
}

void *ad_malloc_array(size_t count, size_t size)
{
	return overflows(count, size) ? NULL : ad_malloc(count * size);
}

void *ad_realloc_array(void *block, size_t count, size_t size)
{
	if (overflows(count, size))
		return NULL;
	return realloc(block, count && size ? count * size : 1);
}

char *ad_strndup(const char *text, size_t n)
{
	size_t length = strnlen(text, n);
	char *copy = ad_malloc(length + 1);

	if (copy) {
		memcpy(copy, text, length);
		copy[length] = '\0';
	}
	return copy;
}

char *ad_strdup(const char *text)
{
	return ad_strndup(text, strlen(text));
}

void ad_free(void *block)
{
	free(block);
}

void adtool_free(void *block)
{
	ad_free(block);
}

void *ad_malloc_aligned(size_t count, size_t size)
{
	size_t bytes, alignment;
	void *block;

	if (overflows(count, size) || count * size > PTRDIFF_MAX - HUGE_PAGE)
		return NULL;
	alignment = count * size >= HUGE_FROM ? HUGE_PAGE : ALIGNMENT;
	bytes = (count * size + alignment - 1) / alignment * alignment;
	block = aligned_alloc(alignment, bytes ? bytes : alignment);
	/* A wish, no more. */
	if (block && alignment == HUGE_PAGE)
		(void)madvise(block, bytes, MADV_HUGEPAGE);
	return block;
}

void ad_free_aligned(void *block)
{
	free(block);
}
