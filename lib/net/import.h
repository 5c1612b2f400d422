/*
 * What the importer's files share: import.c (what is known, the table of operators), and the operators of
 * import_windows.c, import_elements.c and import_shapes.c.
 */
#ifndef AD_IMPORT_H
#define AD_IMPORT_H

#include "graph_internal.h"

/* What is known of a tensor of the file: not yet made, a value of the graph, or a constant. */
struct known {
	enum { UNKNOWN, VALUE, CONSTANT } kind;
	int value;
	ad_constant constant;
};

struct build {
	const ad_onnx *onnx;
	ad_graph *g;
	struct known *known;       /* by tensor */
	const Ad__NodeProto *node; /* the one at hand */
	const int *reads;
	size_t n_reads;
	int result;        /* tensor: its first output */
	adtool_error *err; /* never NULL */
};

/* Turns the node at hand into nodes of the graph, or a constant, and sets what its result is. 0, or a code in err. */
typedef int import_fn(struct build *b);

#define REFUSE(b, ...) ad_fail((b)->err, ADTOOL_EUNSUPPORTED, __VA_ARGS__)
#define DAMAGED(b, ...) ad_fail((b)->err, ADTOOL_EFORMAT, __VA_ARGS__)

/* Types of attributes, as ONNX numbers them. */
enum { TYPE_FLOAT = 1, TYPE_INT, TYPE_STRING, TYPE_TENSOR, TYPE_FLOATS = 6, TYPE_INTS };

/* -- attributes of the node at hand --------------------------------------------------------------------- */

/* *out is NULL when the attribute is absent. type_name: "a float", for messages. */
int import_attribute(struct build *b, const char *name, int type, const char *type_name,
		     const Ad__AttributeProto **out);
int import_get_float(struct build *b, const char *name, float missing, float *out);
int import_get_int(struct build *b, const char *name, int64_t missing, int64_t *out);
/* Exactly n numbers from 0 (or `least`) to AD_MAX_WINDOW, or the `missing` one n times. given (or NULL): which. */
int import_get_sizes(struct build *b, const char *name, size_t n, size_t least, size_t missing, size_t *out,
		     int *given);
int import_string_is(const Ad__AttributeProto *a, const char *text);

/* -- its operands, by the number of the input ----------------------------------------------------------- */

int import_load_constant(struct build *b, const Ad__TensorProto *tensor, const char *name, ad_constant *out);
/* Halves become floats, in memory of the graph. */
int import_widen(struct build *b, ad_constant *c);
/* What input i is, a constant as it is stored; NULL when it is left out. */
int import_stored_operand(struct build *b, size_t i, struct known **out);
/* The same, a constant being floats or whole numbers. */
int import_operand(struct build *b, size_t i, const struct known **out);
int import_need_operand(struct build *b, size_t i, const struct known **out);
int import_need_value(struct build *b, size_t i, int *value);
/* *out is NULL when the input is left out. integer: whole numbers are wanted, else floats. */
int import_get_constant(struct build *b, size_t i, int integer, const ad_constant **out);
int import_need_constant(struct build *b, size_t i, int integer, const ad_constant **out);
/* Floats, which may be halves. */
int import_need_weights(struct build *b, size_t i, const ad_constant **out);
int import_get_scalar(struct build *b, size_t i, float missing, float *out);
/* Input 0, a picture: 1 x C x H x W. */
int import_need_image(struct build *b, int *value);

/* -- its result ----------------------------------------------------------------------------------------- */

void import_becomes_value(struct build *b, int value);
void import_becomes_constant(struct build *b, const ad_constant *constant);
/* Adds a node that makes the result, of this shape. */
int import_emit(struct build *b, enum ad_op op, const int *inputs, size_t n, int rank, const size_t *dims,
		ad_node **out);

/* -- operators ------------------------------------------------------------------------------------------ */

import_fn import_average_pool, import_conv, import_global_average, import_max_pool, import_reduce_mean;
import_fn import_add, import_batch_norm, import_clip, import_div, import_hard_sigmoid, import_hard_swish, import_leaky,
    import_mul, import_relu, import_sigmoid, import_sub;
import_fn import_cast, import_concat, import_constant, import_dropout, import_flatten, import_gemm, import_identity,
    import_pad, import_reshape;

#endif
