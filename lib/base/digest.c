#include "digest.h"

#include <stdint.h>
#include <sys/types.h>

#include <sha256.h>

#include "digest_avx2.h"

static void to_hex(const uint8_t *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

static uint64_t xxh3(const void *data, size_t size)
{
#ifdef AD_ROOM_avx2
	if (__builtin_cpu_supports("avx2"))
		return ad_xxh3_avx2(data, size);
#endif
	return XXH3_64bits(data, size);
}

void ad_xxh3_hex(const void *data, size_t size, char out[17])
{
	XXH64_canonical_t canonical;

	XXH64_canonicalFromHash(&canonical, xxh3(data, size));
	to_hex(canonical.digest, sizeof(canonical.digest), out);
}

void ad_sha256(const void *data, size_t size, unsigned char out[32])
{
	SHA2_CTX context;

	SHA256Init(&context);
	SHA256Update(&context, data, size);
	SHA256Final(out, &context);
}

void ad_sha256_hex(const void *data, size_t size, char out[65])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	ad_sha256(data, size, digest);
	to_hex(digest, sizeof(digest), out);
}
