#include "digest_avx2.h"

#ifdef __AVX2__
uint64_t ad_xxh3_avx2(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}
#endif
