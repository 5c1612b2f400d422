/* NumPy's .npy format, version 1.0: little-endian float32/float64, C order, up to 4 dimensions. */
#ifndef AD_NPY_H
#define AD_NPY_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

typedef struct ad_npy {
	int item_size;    /* 4: float32, 8: float64 */
	int ndim;         /* 0 .. 4 */
	size_t shape[4];  /* unused entries are 1 */
	size_t count;     /* product of the shape */
	const void *data; /* into the bytes parsed; aligned to 64 only if those bytes are */
} ad_npy;

/* Parses a whole .npy held in memory; the size must fit the header exactly. */
int ad_npy_parse(const void *bytes, size_t size, ad_npy *out, adtool_error *err);
/* The header (64-byte aligned length), to be followed by the data. */
int ad_npy_header(ad_buf *out, int item_size, int ndim, const size_t *shape);
/* Header and data. */
int ad_npy_append(ad_buf *out, int item_size, int ndim, const size_t *shape, const void *data);

#endif
