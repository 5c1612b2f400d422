/*
 * The arithmetic: one table of kernels per instruction set, chosen at run time.
 *
 * Layout. Activations are blocked: C x H x W is kept as [ceil(C / vl)][H][W][vl], vl ("vector length") being the
 * table's own: the floats of one register. "A plane" is one such [H][W][vl]; "a pixel" its vl neighbouring floats.
 * Channels beyond C are there and finite; packed weights are 0 for them.
 *
 * A kernel works on its arguments alone: no state, no allocation, no failure. The sum behind an output element is taken
 * in an order that depends on the arguments' sizes only, never on where a caller cuts rows or pixels.
 * Inputs and outputs do not overlap unless said otherwise. NaN and infinities reach only outputs that IEEE
 * arithmetic lets them reach; with Winograd's transforms, the outputs of the same tile.
 */
#ifndef AD_KERNEL_H
#define AD_KERNEL_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/half.h"
#include "../base/mem.h"

#define AD_VL_MAX 16
#define AD_CONV_R_MAX 4

enum ad_fn_kind {
	AD_FN_NONE,
	AD_FN_RELU,        /* max(x, 0) */
	AD_FN_CLIP,        /* min(max(x, a), b) */
	AD_FN_LEAKY,       /* x < 0 ? a x : x */
	AD_FN_SIGMOID,     /* 1 / (1 + exp(-x)) */
	AD_FN_HARDSIGMOID, /* max(0, min(1, a x + b)) */
	AD_FN_HARDSWISH,   /* x max(0, min(1, a x + b)) */
	AD_FN_SWISH        /* x / (1 + exp(-x)) */
};

/* An activation. NaN stays NaN. */
typedef struct ad_fn {
	enum ad_fn_kind kind;
	float a, b;
} ad_fn;

/*
 * Convolution and matrix product: for r < blocks, p < pixels, v < vl
 *   out[r out_block + p vl + v] = fn(bias[r vl + v] + res[r res_block + p vl + v] +
 *       sum over i < n[0], j < n[1], l < n[2], k < run of
 *           in[p pixel + i step[0] + j step[1] + l step[2] + k] w[...][r vl + v])
 * w is read front to back: [n0][n1][n2][run][blocks vl]. For i = n[0] - 1 the run is `last`.
 * half: of the last block only the first vl / 2 channels are multiplied; blocks is 2, n[1] and n[2] are 1, run and last
 * even, and w is [n0][run / 2][3 vl / 2][2]: two steps of each channel side by side.
 * res may be out.
 */
typedef struct ad_conv_args {
	const float *in;
	size_t pixel; /* floats from one output pixel's input to the next one's */
	size_t n[3], step[3];
	size_t run, last; /* >= 1 */
	const float *w;
	size_t blocks; /* 1 .. the table's conv_blocks */
	int half;      /* only where the table has conv_half */
	float *out;
	size_t out_block; /* floats between output blocks */
	size_t pixels;
	const float *bias; /* blocks vl floats, or NULL */
	const float *res;  /* or NULL */
	size_t res_block;
	ad_fn fn;
	const float *next; /* what will be read after this call, to be fetched meanwhile; NULL: not known */
	size_t next_count;
} ad_conv_args;

/*
 * A window sliding over one plane: output rows y0 .. y1-1, all ow pixels of each.
 * depthwise: fn(bias + sum of weights[tap] x); cells outside the plane count as 0.
 * max_pool: cells outside never win, NaN always does; a window without any cell gives -inf.
 * average_pool: over the cells inside, or, with count_padding, over the cells inside the plane widened by its pads.
 */
typedef struct ad_window_args {
	const float *in; /* row `row0` of the plane, pixel 0 */
	size_t row0;
	size_t h, w; /* of the whole plane */
	size_t kernel[2], stride[2], dilation[2];
	size_t pads[4]; /* top, left, bottom, right */
	float *out;     /* row y0, pixel 0 */
	size_t ow, y0, y1;
	const float *weights; /* depthwise: kernel[0] kernel[1] vl floats */
	const float *bias;    /* depthwise: vl floats, or NULL */
	const float *res;     /* depthwise: as out, or NULL; may be out */
	int count_padding;
	ad_fn fn; /* depthwise */
} ad_window_args;

/*
 * Winograd's minimal filtering F(m x m, 3 x 3), m = 2 or 4 (Lavin & Gray 2016), stride 1. Tile t covers output rows
 * m (t / tiles_x) .., columns m (t % tiles_x) ..; its input patch of (m + 2)^2 pixels begins pad_top rows above and
 * pad_left columns left of that, cells outside the plane being 0. Element (i, j) of tile t's transform is the pixel
 * v[(i (m + 2) + j) xi_step + (t - t0) vl].
 */
typedef struct ad_wino_in_args {
	int m;
	const float *in; /* a plane of h x w */
	size_t h, w, pad_top, pad_left;
	size_t tiles_x, t0, t1;
	float *v;
	size_t xi_step;
} ad_wino_in_args;

/* The way back: fn(bias + res + transform), cut to the plane. */
typedef struct ad_wino_out_args {
	int m;
	const float *v;
	size_t xi_step;
	size_t tiles_x, t0, t1;
	float *out; /* a plane of h x w */
	size_t h, w;
	const float *bias; /* vl floats, or NULL */
	const float *res;  /* a plane, or NULL; may be out */
	ad_fn fn;
} ad_wino_out_args;

/*
 * The weights' way: pixel i * 3 + j of `in` holds g[i][j] of vl filters; element (i, j) of G g G^T goes to
 * u[(i (m + 2) + j) xi_step ..].
 */
typedef struct ad_wino_weights_args {
	int m;
	const float *in;
	float *u;
	size_t xi_step;
} ad_wino_weights_args;

/* out = fn(in scale + shift) over `pixels` pixels of one plane. in may be out. */
typedef struct ad_affine_args {
	const float *in;
	float *out;
	size_t pixels;
	const float *scale; /* vl floats; NULL: 1 */
	const float *shift; /* vl floats; NULL: 0 */
	ad_fn fn;
} ad_affine_args;

/*
 * out[p vl + v] = fn(in[p pixel + v] scale[v] + shift[v]), rounded to bfloat16 (bf16.h). in may be out when pixel is
 * vl.
 */
typedef struct ad_round_args {
	const float *in;
	size_t pixel; /* floats */
	float *out;
	size_t pixels;
	const float *scale, *shift; /* vl floats each; NULL, both: 1 and 0, and fn is not looked at */
	ad_fn fn;                   /* NONE, RELU or CLIP */
} ad_round_args;

enum ad_binary_kind { AD_BINARY_ADD, AD_BINARY_SUB, AD_BINARY_MUL, AD_BINARY_DIV };

/* out = fn(x op y) over `pixels` pixels; an operand with step 0 is one pixel used for all. x or y may be out. */
typedef struct ad_binary_args {
	enum ad_binary_kind kind;
	const float *x, *y;
	size_t x_step, y_step; /* vl or 0 */
	float *out;
	size_t pixels;
	ad_fn fn;
} ad_binary_args;

/* One pixel: the mean of `pixels` pixels (>= 1). */
typedef struct ad_mean_args {
	const float *in;
	size_t pixels;
	float *out;
} ad_mean_args;

/*
 * out[p pixel + v] = v < channels ? in[v step + p] : 0, for v < vl <= pixel. in may lie at any address, as may halves,
 * which stand in for it when it is NULL.
 */
typedef struct ad_pack_args {
	const ad_loose *in;
	size_t step, channels, pixels;
	float *out;
	size_t pixel;
	const ad_loose_half *halves;
} ad_pack_args;

/* out[v step + p] = in[p vl + v] for v < channels. */
typedef struct ad_unpack_args {
	const float *in;
	size_t step, channels, pixels;
	float *out;
} ad_unpack_args;

/*
 * out[row count + j] += sum over i < n of v[j v_step + i] a[row a_step + i], row < rows, j < count: summed in floats
 * over AD_DOTS_CHUNK elements, then in doubles. Cut at multiples of AD_DOTS_CHUNK, n gives the same sums call by call.
 */
#define AD_DOTS_CHUNK 1024
typedef struct ad_dots_args {
	const float *v;
	size_t v_step, count;
	const float *a;
	size_t a_step, rows;
	size_t n;
	double *out;
} ad_dots_args;

/*
 * r[row r_step + i] -= sum over j < count of z[row z_step + j] v[j v_step + i], row < rows, i < n: AD_SUBTRACT_GROUP of
 * the j at a time, so that a cut at a multiple of that changes nothing.
 */
#define AD_SUBTRACT_GROUP 4
typedef struct ad_subtract_args {
	const float *v;
	size_t v_step, count;
	const float *z;
	size_t z_step;
	float *r;
	size_t r_step, rows;
	size_t n;
} ad_subtract_args;

/* Two neighbouring samples' weights, 0 .. 1 << AD_PAIR_BITS, each as high * (1 << AD_PAIR_LOW) + low. */
#define AD_PAIR_BITS 22
#define AD_PAIR_LOW 11
typedef struct ad_pair {
	int16_t high[2], low[2];
} ad_pair;

/*
 * Resamples rows of 8-bit pixels of three samples: sample c of pixel x of row r is
 *   (sum over i < 2 ceil(count[x] / 2) of weight i of x * in[r pitch + 3 (first[x] + i) + c] + half) >> AD_PAIR_BITS
 * cut to 255; weight i is that of pairs[stride x + i / 2] (which sum up to no more than 1, but for rounding).
 * May read 16 bytes from the last pixel on, and write one byte behind a row of out.
 */
#define AD_NARROW_ROWS 4
typedef struct ad_narrow_args {
	const uint8_t *in;
	size_t pitch, rows; /* 1 .. AD_NARROW_ROWS */
	const unsigned *first, *count;
	const ad_pair *pairs;
	size_t stride, width;
	uint8_t *out[AD_NARROW_ROWS];
} ad_narrow_args;

typedef struct ad_kernels {
	const char *isa; /* "scalar", "avx2", "avx512", "neon" */
	unsigned vl;
	unsigned conv_blocks; /* most blocks a conv call takes */
	unsigned conv_pixels; /* pixels that conv's register tile holds with that many blocks */
	int conv_half;        /* knows ad_conv_args.half */
	/*
	 * Makes denormals zero on this thread, so that they cost nothing; returns what fp_leave takes to put the old
	 * mode back. scalar: does nothing, its arithmetic being strict.
	 */
	unsigned long (*fp_enter)(void);
	void (*fp_leave)(unsigned long mode);
#define K(name, args) void (*name)(const args *a);
#include "kernels.def"
#undef K
} ad_kernels;

/*
 * The table for this machine: the best of what the library was built with and the CPU (and the system) can do, or
 * the one that the environment's ADTOOL_ISA names. ADTOOL_EUNSUPPORTED when that is unknown or cannot run here.
 */
int ad_kernels_get(const ad_kernels **out, adtool_error *err);

/* The table of one instruction set by name; NULL when not built in or not able to run here. */
const ad_kernels *ad_kernels_isa(const char *isa);

/* The names of all instruction sets adtool knows, best first, ending in "scalar"; NULL beyond the last. */
const char *ad_kernels_known(size_t index);

/* The scalar kernels for blocks of 4, 8 or 16 channels: the oracle for the table of that vector length. */
const ad_kernels *ad_kernels_scalar(unsigned vl);

/* Kernel names in the order of kernels.def; NULL beyond the last. */
const char *ad_kernel_name(size_t index);

/* The rooms' tables. */
extern const ad_kernels ad_kernels_avx2, ad_kernels_avx512, ad_kernels_neon;

#endif
