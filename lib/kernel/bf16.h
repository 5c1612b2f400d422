/*
 * Convolutions that multiply bfloat16, the upper half of a float, with 8 bits of significand: a third table, for CPUs
 * that have an instruction for it. It goes with float kernels whose vl is 16. Others do the same in floats that were
 * rounded (round_bf16 of kernel.h).
 *
 * Layout. Activations: C x H x W is kept as [ceil(C / 16)][H][W][16]; two neighbouring channels are a pair. Channels
 * beyond C are there and finite; packed weights are 0 for them.
 *
 * Numbers. Floats are rounded to nearest, ties to even; those too small to be normal become 0, of their sign. A product
 * of two is exact in a float. Sums are floats, but the order and the roundings within a pair are the CPU's, and so is
 * what becomes of sums too small to be normal: two tables' results differ by at most
 *   AD_BF16_BOUND pairs (|bias| + |res| + sum of |products|)
 * but for such sums. Every table rounds inputs and weights to the same bits.
 */
#ifndef AD_BF16_H
#define AD_BF16_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"

#define AD_BF16_BLOCK 16
#define AD_BF16_BOUND 0x1p-22

static inline uint16_t ad_bf16_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	if ((u & UINT32_C(0x7fffffff)) > UINT32_C(0x7f800000))
		u |= UINT32_C(0x400000); /* not a number, and stays so */
	else if (!(u & UINT32_C(0x7f800000)))
		u &= UINT32_C(0x80000000);
	else
		u += UINT32_C(0x7fff) + (u >> 16 & 1);
	return (uint16_t)(u >> 16);
}

static inline float ad_bf16_float(uint16_t x)
{
	uint32_t u = (uint32_t)x << 16;
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

/*
 * As ad_conv_args, in and w being bfloat16: pixel and step count them, run and last (>= 1) count pairs.
 * w: [n0][n1][n2][run][blocks 16][2]. out, bias and res are floats in blocks of 16.
 */
typedef struct ad_bf16_conv_args {
	const uint16_t *in;
	size_t pixel;
	size_t n[3], step[3];
	size_t run, last;
	const uint16_t *w;
	size_t blocks; /* 1 .. the table's conv_blocks */
	float *out;
	size_t out_block;
	size_t pixels;
	const float *bias; /* or NULL */
	const float *res;  /* or NULL; may be out */
	size_t res_block;
	ad_fn fn;             /* NONE, RELU or CLIP */
	const uint16_t *next; /* what will be read after this call; or NULL */
	size_t next_count;
} ad_bf16_conv_args;

/* As ad_round_args with a vl of 16, to bfloat16. */
typedef struct ad_bf16_pack_args {
	const float *in;
	size_t pixel; /* floats */
	uint16_t *out;
	size_t pixels;
	const float *scale, *shift;
	ad_fn fn;
} ad_bf16_pack_args;

/* out[2 v] = even[v], out[2 v + 1] = odd[v], rounded, for v < 16; without odd: 0. */
typedef struct ad_bf16_pair_args {
	const float *even, *odd; /* odd: or NULL */
	uint16_t *out;
} ad_bf16_pair_args;

typedef struct ad_bf16_kernels {
	const char *isa;                   /* "avx512bf16", "scalar" */
	unsigned conv_blocks, conv_pixels; /* as in ad_kernels */
#define K(name, args) void (*name)(const args *a);
#include "bf16.def"
#undef K
} ad_bf16_kernels;

/* The table that goes with the instruction set `isa` of an ad_kernels; NULL: floats are rounded. */
const ad_bf16_kernels *ad_bf16_kernels_for(const char *isa);
/* By its own name; NULL when not built in or not able to run here. "scalar" is there for tests alone. */
const ad_bf16_kernels *ad_bf16_kernels_isa(const char *isa);
/* Names in the order of bf16.def; NULL beyond the last. */
const char *ad_bf16_kernel_name(size_t index);

extern const ad_bf16_kernels ad_bf16_scalar, ad_bf16_avx512bf16;

#endif
