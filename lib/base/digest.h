/* Digests: XXH3 for every load, SHA-256 for provenance. Both as lower-case hex text. */
#ifndef AD_DIGEST_H
#define AD_DIGEST_H

#include <stddef.h>

void ad_xxh3_hex(const void *data, size_t size, char out[17]); /* XXH3 64 bits */
void ad_sha256_hex(const void *data, size_t size, char out[65]);
void ad_sha256(const void *data, size_t size, unsigned char out[32]);

#endif
