/*
 * The graph as plans see it: the part of an ONNX file that some layers need, with every shape known, in a
 * few canonical operators. Made by ad_graph_build (import.c: ONNX -> nodes; passes.c: folding and fusing).
 *
 * What the passes guarantee:
 *  - only nodes that the outputs need are left, in an order in which they can run; one output per node;
 *  - constants are folded; Identity, Dropout, Cast and Constant are gone;
 *  - a BatchNormalization, or arithmetic with a per-channel constant, is an AD_OP_SCALE, folded into the
 *    convolution before it where nothing else reads that convolution;
 *  - zero padding before a convolution is part of it;
 *  - an addition of two tensors of one shape is the residual of the convolution that makes one of them;
 *  - an activation is part of the CONV, SCALE, BINARY or GEMM before it;
 *  - x * Sigmoid(x) and x * HardSigmoid(x) are AD_ACT_SWISH and AD_ACT_HARDSWISH.
 *
 * Activations are float32, at most 4 dimensions, batch 1. "x" below is the first input.
 */
#ifndef AD_GRAPH_H
#define AD_GRAPH_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/half.h"
#include "../base/mem.h"

#define AD_RANK 4

struct ad_onnx;

enum ad_act {
	AD_ACT_NONE,
	AD_ACT_RELU,        /* max(x, 0) */
	AD_ACT_LEAKY,       /* x < 0 ? a x : x */
	AD_ACT_CLIP,        /* min(max(x, a), b); a, b may be infinite; b wins when a > b */
	AD_ACT_SIGMOID,     /* 1 / (1 + exp(-x)) */
	AD_ACT_HARDSIGMOID, /* max(0, min(1, a x + b)) */
	AD_ACT_HARDSWISH,   /* x max(0, min(1, a x + b)) */
	AD_ACT_SWISH        /* x / (1 + exp(-x)) */
};

typedef struct ad_activation {
	enum ad_act kind;
	float a, b;
} ad_activation;

enum ad_op {
	AD_OP_CONV,     /* activation(conv(x) + bias [+ input 1]) */
	AD_OP_MAX_POOL, /* padding never wins */
	AD_OP_AVERAGE_POOL,
	AD_OP_GLOBAL_AVERAGE, /* mean over H and W of 1 x C x H x W -> 1 x C x 1 x 1 or 1 x C */
	AD_OP_UNARY,          /* activation(x) */
	AD_OP_BINARY,         /* activation(x op y), y being input 1 or a constant; broadcast as NumPy does */
	AD_OP_SCALE,          /* activation(x[c] scale[c] + shift[c]), c along dimension 1 */
	AD_OP_CONCAT,         /* of all inputs along one axis */
	AD_OP_PAD,            /* with a constant; negative pads crop */
	AD_OP_GEMM,           /* activation(x' W^T + bias), x' = x or x^T */
	AD_OP_RESHAPE         /* the same floats under another shape (Flatten, Reshape) */
};

enum ad_binary { AD_ADD, AD_SUB, AD_MUL, AD_DIV };

/* A window that slides over H (index 0) and W (index 1). */
typedef struct ad_window {
	size_t kernel[2], stride[2], dilation[2];
	size_t pads[4]; /* top, left, bottom, right; the window may reach beyond bottom/right with ceil_mode */
} ad_window;

/* The ways to compute a convolution among which there is a choice (ad_conv_has_ways). */
enum ad_way { AD_WAY_BY_COST, AD_WAY_DIRECT, AD_WAY_WINOGRAD_2, AD_WAY_WINOGRAD_4, AD_WAYS };

typedef struct ad_conv {
	ad_window window;
	size_t groups;
	const ad_loose *weights; /* M x C/groups x kh x kw; NULL: halves has them */
	const ad_loose_half *halves; /* as the file has them */
	const ad_loose *bias;    /* M, or NULL */
	int residual;         /* whether there is an input 1, of the output's shape */
	enum ad_way way;
	int bf16; /* operands may be rounded to bfloat16: where it pays, which depends on the shape alone */
} ad_conv;

/* 3x3, stride 1, not dilated. */
static inline int ad_conv_has_ways(const ad_conv *conv)
{
	const ad_window *w = &conv->window;

	return w->kernel[0] == 3 && w->kernel[1] == 3 && w->stride[0] == 1 && w->stride[1] == 1 &&
	       w->dilation[0] == 1 && w->dilation[1] == 1;
}

typedef struct ad_pool_node {
	ad_window window;
	int count_padding; /* average: divide by all cells of the window that lie in the padded input, not in the input
			    */
} ad_pool_node;

typedef struct ad_binary_node {
	enum ad_binary op;
	int constant_first;            /* constant op x, instead of x op constant */
	const ad_loose *constant;      /* NULL: y is input 1 */
	size_t constant_dims[AD_RANK]; /* right-aligned, 1 in front */
} ad_binary_node;

typedef struct ad_gemm_node {
	int transposed;       /* x is K x M instead of M x K */
	size_t m, n, k;       /* output M x N */
	const ad_loose *weights; /* N x K, alpha multiplied in */
	const ad_loose *bias; /* N, or NULL; beta multiplied in */
} ad_gemm_node;

typedef struct ad_node {
	enum ad_op op;
	const char *name; /* of the ONNX node that gave it its kind, or of its output when it has none */
	const char *kind; /* ONNX operator that gave it its kind */
	int *inputs;      /* value indices */
	size_t n_inputs;  /* 1, but: residual and two-tensor BINARY 2, CONCAT any number */
	int output;       /* value index */
	ad_activation activation;
	union {
		ad_conv conv;
		ad_pool_node pool;
		ad_binary_node binary;
		struct {
			const float *scale, *shift;
		} scale; /* dims[1] of each, never NULL */
		struct {
			int axis;
		} concat;
		struct {
			int64_t before[AD_RANK], after[AD_RANK];
			float value;
		} pad; /* right-aligned: [3] is W */
		ad_gemm_node gemm;
	} u;
} ad_node;

typedef struct ad_value {
	const char *name;     /* of the ONNX tensor */
	int rank;             /* 1 .. 4 */
	size_t dims[AD_RANK]; /* left-aligned: 1, C, H, W; unused entries are 1 */
	size_t count;
	int producer;   /* node index; -1 for the graph's input */
	size_t readers; /* times nodes read it, plus 1 for each output of the graph it is */
} ad_value;

/* Constants live as long as the graph and the ad_onnx it was built from. */
typedef struct ad_graph {
	ad_value *values;
	size_t n_values;
	ad_node *nodes;
	size_t n_nodes;
	int input;          /* value index */
	int *outputs;       /* likewise, in the order asked for; a layer may be the input under another name */
	size_t n_outputs;   /* at least 1 */
	int64_t parameters; /* elements of the initialisers that the outputs need */
	size_t most_bytes;  /* that constants may take; those of a plan, too */
	struct ad_graph_memory *memory;
} ad_graph;

/*
 * Builds the graph that computes `layers` (any tensors of the file) for an input of 1 x shape[0] x shape[1] x
 * shape[2] (C, H, W). ADTOOL_EUNSUPPORTED, ADTOOL_EFORMAT: operator, node name and reason. ADTOOL_ELIMIT: too big.
 */
int ad_graph_build(const struct ad_onnx *onnx, const char *const *layers, size_t count, const size_t shape[3],
		   ad_graph **out, adtool_error *err);
void ad_graph_free(ad_graph *graph);

/* Multiply-adds of a node (convolutions and GEMM; 0 for others). */
double ad_node_multiply_adds(const ad_graph *graph, const ad_node *node);

#endif
