/* Protobuf's wire format, as far as it is needed to find things in a file without parsing it. */
#ifndef AD_WIRE_H
#define AD_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "../base/buf.h"

enum ad_wire_type { AD_WIRE_VARINT = 0, AD_WIRE_64 = 1, AD_WIRE_BYTES = 2, AD_WIRE_32 = 5 };

typedef struct ad_wire {
	const uint8_t *data;
	size_t size, at;
} ad_wire;

typedef struct ad_wire_field {
	uint32_t number;
	enum ad_wire_type type;
	size_t start;           /* of the tag */
	size_t payload, length; /* AD_WIRE_BYTES: the contents; else the value's bytes */
} ad_wire_field;

/* 1: a field was read; 0: the end; -1: malformed. Offsets are into w->data. */
int ad_wire_next(ad_wire *w, ad_wire_field *field);

/* Writing. Failures show in b->failed. */
void ad_wire_put_uint(ad_buf *b, uint32_t number, uint64_t value);
void ad_wire_put_bytes(ad_buf *b, uint32_t number, const void *data, size_t size);

/* A nested message of yet unknown length (under 4 GiB): end what begin returned. */
size_t ad_wire_begin(ad_buf *b, uint32_t number);
void ad_wire_end(ad_buf *b, size_t begun);

#endif
