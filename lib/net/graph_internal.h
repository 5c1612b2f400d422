/* How graphs are made: shared by graph.c, the importer and passes.c only. */
#ifndef AD_GRAPH_INTERNAL_H
#define AD_GRAPH_INTERNAL_H

#include "graph.h"
#include "onnx.h"

/* Limits of one graph; those of constants and work grow with what they are for. */
#define AD_MAX_TENSOR ((size_t)1 << 28)      /* floats of one activation */
#define AD_MAX_WINDOW 65535                  /* kernel, stride, dilation, pad */
#define AD_FREE_CONSTANTS ((size_t)64 << 20) /* bytes of constants, widened, folded, repeated: this and ... */
#define AD_CONSTANTS_PER_BYTE 8              /* ... this for each byte of the file */
#define AD_FREE_WORK 1e10                    /* multiply-adds and comparisons of one picture: this and ... */
#define AD_WORK_PER_INPUT 1e7                /* ... this for each element of the input */

typedef struct ad_constant {
	const char *name;
	int rank;
	size_t dims[AD_ONNX_MAX_DIMS];
	size_t count;
	const ad_loose *floats; /* exactly one of these three is not NULL */
	const ad_loose_half *halves;
	const int64_t *ints;
} ad_constant;

/* Memory of the graph, freed with it. NULL and err filled on failure. */
void *ad_graph_alloc(ad_graph *g, size_t count, size_t size, adtool_error *err);

/* A new value; 0, or ADTOOL_ELIMIT and the like. dims: rank of them. */
int ad_graph_add_value(ad_graph *g, const char *name, int rank, const size_t *dims, int *value, adtool_error *err);

/* A new node, zeroed but for these; its pointer is valid until the next is added. NULL on failure. */
ad_node *ad_graph_add_node(ad_graph *g, enum ad_op op, const char *name, const char *kind, const int *inputs,
			   size_t n_inputs, int output, adtool_error *err);

/* Recomputes producer and readers. */
void ad_graph_link(ad_graph *g);

/* Work of a node in elementary operations, for the limit. */
double ad_node_work(const ad_graph *g, const ad_node *node);

/* passes.c. err is not NULL. */
int ad_graph_optimise(ad_graph *g, adtool_error *err);

/* activation(x), as the scalar reference of all plans. */
float ad_activate(ad_activation activation, float x);

#endif
