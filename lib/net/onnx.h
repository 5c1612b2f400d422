/*
 * An ONNX file, parsed and checked, but not yet understood: nodes, initialisers and who reads what.
 * Weights are not copied: they stay where they are in the file's bytes, which must outlive the ad_onnx.
 * Immutable once open.
 */
#ifndef AD_ONNX_H
#define AD_ONNX_H

#include <adtool/error.h>
#include <adtool/limits.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/buf.h"
#include "../base/half.h"
#include "../base/mem.h"
#include "onnx.pb-c.h"

/* Limits of what is taken for a backbone. */
#define AD_ONNX_MAX_BYTES ((uint64_t)2 << 30)    /* the file */
#define AD_ONNX_MAX_STRUCTURE ((size_t)64 << 20) /* of that, all but the weights */
#define AD_ONNX_MAX_MEMORY ((size_t)512 << 20)   /* of the structure, parsed */
#define AD_ONNX_MAX_NODES ADTOOL_MAX_NODES_DEFAULT
#define AD_ONNX_MAX_DIMS 8

#define AD_OPSET_MIN 1
#define AD_OPSET_MAX 21

enum ad_onnx_type { /* TensorProto.DataType, those of use here */
		    AD_ONNX_FLOAT = 1,
		    AD_ONNX_INT32 = 6,
		    AD_ONNX_INT64 = 7,
		    AD_ONNX_BOOL = 9,
		    AD_ONNX_FLOAT16 = 10,
		    AD_ONNX_DOUBLE = 11
};

enum ad_onnx_source { AD_FROM_INPUT, AD_FROM_INITIALIZER, AD_FROM_NODE };

typedef struct ad_onnx_tensor {
	const char *name;
	enum ad_onnx_source source;
	unsigned index; /* which input, initialiser or node */
	unsigned slot;  /* which output of the node */
} ad_onnx_tensor;

typedef struct ad_onnx {
	const uint8_t *bytes;
	size_t size;
	Ad__ModelProto *model;
	const Ad__GraphProto *graph;
	int opset;
	ad_onnx_tensor *tensors; /* sorted by name */
	size_t n_tensors;
	size_t *first; /* node i reads reads[first[i] .. first[i + 1] - 1] ... */
	int *reads;    /* ... tensor indices; -1 where an optional input is left out */
	int picture;   /* the tensor that pictures come in by */
	ProtobufCAllocator allocator;
	size_t budget; /* bytes left for the parser */
	int exhausted; /* it wanted more */
	int starved;   /* memory ran out */
} ad_onnx;

int ad_onnx_open(const void *bytes, size_t size, ad_onnx **out, adtool_error *err);
void ad_onnx_free(ad_onnx *onnx);

/* Tensor index, or -1. */
int ad_onnx_find(const ad_onnx *onnx, const char *name);

/* NULL when absent. */
const char *ad_onnx_metadata(const ad_onnx *onnx, const char *key);

/* The declared size of dimension `axis` of the pictures' tensor: 0 when open or not declared. */
int64_t ad_onnx_picture_dim(const ad_onnx *onnx, size_t axis);

/* How a node is called in messages: its name, else its first output's. */
const char *ad_onnx_node_name(const Ad__NodeProto *node);

/* Marks what `count` tensors need: needed[i] of each tensor (n_tensors flags), nodes[i] of each node. */
void ad_onnx_needs(const ad_onnx *onnx, const int *tensors, size_t count, uint8_t *needed, uint8_t *nodes);

/* Elements of an initialiser or attribute tensor; its dims are checked. */
int ad_onnx_count(const Ad__TensorProto *tensor, size_t *count, adtool_error *err);

/* Whether it is float32 as the machine has it. Then *data points at its elements; they may lie at any address. */
int ad_onnx_in_place(const ad_onnx *onnx, const Ad__TensorProto *tensor, const ad_loose **data);

/* Its elements where they stand in the file, if they are float16 in one piece; else NULL. */
const ad_loose_half *ad_onnx_halves(const ad_onnx *onnx, const Ad__TensorProto *tensor);

/* Copies the elements, widened: float types to float, whole numbers to int64. Exactly one of the two is not NULL. */
int ad_onnx_is_integer(const Ad__TensorProto *tensor);
int ad_onnx_read(const ad_onnx *onnx, const Ad__TensorProto *tensor, float *floats, int64_t *ints, adtool_error *err);

/*
 * Appends an ONNX file with only what `tensor` needs. Everything kept is copied as it stands, byte for byte;
 * metadata but layers and default_layer are kept, these two are set to `layers` (left out when NULL) and the tensor.
 */
int ad_onnx_cut(const ad_onnx *onnx, int tensor, const char *layers, ad_buf *out, adtool_error *err);

#endif
