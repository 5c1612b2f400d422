#include "mem.h"

#include <stdint.h>
#include <stdio.h>
#ifdef __linux__
#include <malloc.h>
#endif
#include <sys/mman.h>

#include <adtool/error.h>

/*
 * WORTH_A_PAGE: small pages of so many bytes take longer to come one by one than a large page, which is cleared at
 * once.
 */
enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20, WORTH_A_PAGE = 512 << 10 };

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
	size_t bytes = count * size, alignment = ALIGNMENT, whole;
	void *block;

	if (overflows(count, size) || bytes > PTRDIFF_MAX - HUGE_PAGE)
		return NULL;
	bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	whole = bytes / HUGE_PAGE * HUGE_PAGE;
	if (bytes - whole >= WORTH_A_PAGE)
		whole += HUGE_PAGE;
	if (whole) {
		alignment = HUGE_PAGE;
		bytes = whole > bytes ? whole : bytes;
	}
	if (posix_memalign(&block, alignment, bytes ? bytes : alignment))
		return NULL;
	/* A wish, no more. */
	if (whole)
		(void)madvise(block, whole, MADV_HUGEPAGE);
	return block;
}

void ad_free_aligned(void *block)
{
	free(block);
}

const char *ad_memory_text(char out[AD_MEMORY_TEXT], uint64_t bytes)
{
	/* Not by %g, which follows the locale. */
	unsigned long long whole = bytes >> 20, tenth = ((bytes & ((1 << 20) - 1)) * 10) >> 20;

	if (whole && tenth)
		snprintf(out, AD_MEMORY_TEXT, "%llu.%llu MiB", whole, tenth);
	else if (whole)
		snprintf(out, AD_MEMORY_TEXT, "%llu MiB", whole);
	else
		snprintf(out, AD_MEMORY_TEXT, "%u byte%s", (unsigned)bytes, bytes == 1 ? "" : "s");
	return out;
}

void ad_malloc_zeros(void)
{
#ifdef M_PERTURB
	mallopt(M_PERTURB, 0xff);
#endif
}
