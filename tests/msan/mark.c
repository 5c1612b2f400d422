/*
 * Under MemorySanitizer: what the library takes by lib/base/mem.h counts as unset until it is written. The linker leads
 * the calls here (--wrap). Blocks of anybody else count as set (MSAN_OPTIONS=poison_in_malloc=0), as libraries that are
 * not built for it write them unseen.
 */
#include <sanitizer/msan_interface.h>
#include <stdint.h>
#include <sys/types.h>

#include <sha256.h>

#define WRAP(name, parameters, arguments, size)                                                                        \
	void *__real_##name parameters;                                                                                \
	void *__wrap_##name parameters;                                                                                \
	void *__wrap_##name parameters                                                                                 \
	{                                                                                                              \
		void *block = __real_##name arguments;                                                                 \
		if (block)                                                                                             \
			__msan_allocated_memory(block, size);                                                          \
		return block;                                                                                          \
	}
WRAP(ad_malloc, (size_t size), (size), size)
WRAP(ad_malloc_array, (size_t count, size_t size), (count, size), count * size)
WRAP(ad_malloc_aligned, (size_t count, size_t size), (count, size), (count * size + 63) / 64 * 64)

/* What libmd writes is set. */
void __real_SHA256Final(uint8_t *digest, SHA2_CTX *context);
void __wrap_SHA256Final(uint8_t *digest, SHA2_CTX *context);
void __wrap_SHA256Final(uint8_t *digest, SHA2_CTX *context)
{
	__real_SHA256Final(digest, context);
	__msan_unpoison(digest, SHA256_DIGEST_LENGTH);
}
