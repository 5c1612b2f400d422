/*
 * The arithmetic of 8 bits: a second table, chosen beside the one of kernel.h.
 *
 * Values. An activation q, 0 .. 255, stands for scale (q - zero), one zero (0 .. 255) for a whole tensor, one scale for
 * each channel. A weight, -127 .. 127, has one scale for each output channel, and the input channel's scale in it.
 *
 * Layout, the same for every instruction set: C x H x W is kept as [ceil(C / 16)][H][W][16] bytes; tensors of at most 4
 * channels that come from outside as [H][W][4]. Four neighbouring channels are a quad. Channels beyond C are there;
 * weights are 0 for them.
 *
 * Bits. Sums are exact in 32 bits, and what follows is done in single precision, one rounding for each operation that
 * is written, so every table gives the same bits. That holds while sums of n quads have 4 n 255 127 < 2^31
 * (AD_INT8_QUADS), and factors are normal numbers.
 */
#ifndef AD_INT8_H
#define AD_INT8_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

#define AD_INT8_BLOCK 16
#define AD_INT8_QUADS 8192
#define AD_INT8_BLOCKS_MAX 2

/*
 * Convolution: for r < blocks, p < pixels, v < 16
 *   sum = start[r 16 + v] + sum over i < n[0], j < n[1], l < n[2], k < 4 run of
 *             (in[p pixel + i step[0] + j step[1] + l step[2] + k] - offset) w[...][k / 4][r 16 + v][k % 4]
 *   y = clamp(sum scale[r 16 + v] + shift[r 16 + v] + (res[...] - res_zero) res_scale[r 16 + v], low, high)
 * offset is the table's. w is read front to back: [n0][n1][n2][run][16 blocks][4]. For i = n[0] - 1 the run is `last`.
 * y goes to out, to the nearest whole number (ties to even; low and high are then whole, 0 .. 255), or, where out is
 * NULL, to wide: blocks of vl floats, wide_blocks of which are written.
 */
typedef struct ad_int8_conv_args {
	const uint8_t *in;
	size_t pixel; /* bytes from one output pixel's input to the next one's */
	size_t n[3], step[3];
	size_t run, last; /* quads, >= 1 */
	const int8_t *w;
	size_t blocks; /* 1 .. the table's conv_blocks */
	const int32_t *start;
	const float *scale, *shift;
	const uint8_t *res; /* or NULL; may be out */
	size_t res_block;   /* bytes between blocks */
	int res_zero;
	const float *res_scale;
	float low, high;
	uint8_t *out;
	size_t out_block;
	float *wide;
	size_t wide_block, wide_blocks, vl;
	size_t pixels;
} ad_int8_conv_args;

/*
 * A window sliding over one plane of [h][w][16]: output rows y0 .. y1-1, all ow pixels of each.
 * depthwise: clamp(scale[v] sum of (in - zero) weights[tap][v] + shift[v], low, high), whole numbers 0 .. 255; cells
 * outside count as zero. max_pool: cells outside never win; every window has a cell.
 */
typedef struct ad_int8_window_args {
	const uint8_t *in; /* row 0 of the plane */
	size_t h, w;
	size_t kernel[2], stride[2], dilation[2];
	size_t pads[4]; /* top, left, bottom, right */
	uint8_t *out;   /* row y0 */
	size_t ow, y0, y1;
	const int16_t *weights; /* depthwise: kernel[0] kernel[1] 16 */
	int zero;
	const float *scale, *shift;
	float low, high;
} ad_int8_window_args;

/*
 * Floats to bytes: out[p 16 + v] = nearest(clamp(f(in) factor[v] + zero, 0, 255)), in being float v % vl of pixel p of
 * plane v / vl, f(x) = clamp(x scale[v] + shift[v], low, high), or x when scale is NULL; 0 for v >= blocks vl. What is
 * not a number becomes `low` or 0.
 */
typedef struct ad_int8_quantize_args {
	const float *in;
	size_t in_block; /* floats between planes */
	size_t blocks;   /* planes that are there, 1 .. 16 / vl */
	size_t vl;
	const float *scale, *shift; /* 16 each, or NULL */
	float low, high;
	const float *factor; /* 16 */
	float zero;
	uint8_t *out;
	size_t pixels;
} ad_int8_quantize_args;

/* The way back: (q - zero) factor[v], for the planes v / vl < blocks. */
typedef struct ad_int8_dequantize_args {
	const uint8_t *in;
	float *out;
	size_t out_block, blocks, vl;
	int zero;
	const float *factor; /* 16 */
	size_t pixels;
} ad_int8_dequantize_args;

/*
 * C x H x W floats, C <= 4, to quads: out[4 p + c] = nearest(clamp(in[c step + p] factor + zero, 0, 255)); 0 beyond C.
 */
typedef struct ad_int8_pack_args {
	const float *in;
	size_t step, channels;
	float factor, zero;
	uint8_t *out;
	size_t pixels;
} ad_int8_pack_args;

typedef struct ad_int8_kernels {
	const char *isa; /* "scalar", "avx2", "avxvnni", "avx512vnni", "neon", "neondot" */
	int offset;      /* see the convolution */
	unsigned lanes;  /* a multiple of it is the vl that this table works with */
	unsigned conv_blocks, conv_pixels; /* as in ad_kernels */
#define K(name, args) void (*name)(const args *a);
#include "int8.def"
#undef K
} ad_int8_kernels;

/* The best table of this machine that goes with the instruction set `isa` of an ad_kernels. Never NULL. */
const ad_int8_kernels *ad_int8_kernels_for(const char *isa);
/* By its own name; NULL when not built in or not able to run here. */
const ad_int8_kernels *ad_int8_kernels_isa(const char *isa);
/* All names, best first, ending in "scalar"; NULL beyond the last. */
const char *ad_int8_kernels_known(size_t index);
/* Names in the order of int8.def; NULL beyond the last. */
const char *ad_int8_kernel_name(size_t index);

extern const ad_int8_kernels ad_int8_scalar, ad_int8_avx2, ad_int8_avxvnni, ad_int8_avx512vnni, ad_int8_neon,
    ad_int8_neondot;

#endif
