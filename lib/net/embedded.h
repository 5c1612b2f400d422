/* Backbones inside the library. */
#ifndef AD_EMBEDDED_H
#define AD_EMBEDDED_H

#include <stddef.h>
#include <stdint.h>

typedef struct ad_embedded {
	const char *name;
	const uint8_t *data; /* a whole ONNX file; 64-byte aligned */
	size_t size;
} ad_embedded;

/* 0 past the last one, else 1. The first is the default. */
int ad_embedded_at(size_t index, ad_embedded *out);

#endif
