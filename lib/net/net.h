/* The net room, as lib/pipeline uses it: ONNX file -> graph -> plan -> run. */
#ifndef AD_NET_H
#define AD_NET_H

#include <adtool/backbone.h>
#include <adtool/model.h>

#include "../base/buf.h"
#include "../base/pool.h"

/* ONNX bytes of the graph cut at `layer` (NULL: default), metadata kept, "layers" cut to this one. */
int ad_backbone_cut(const adtool_backbone *backbone, const char *layer, ad_buf *out, adtool_error *err);

/* As adtool_backbone_open_memory, but the bytes are not copied: they must outlive the backbone. */
int ad_backbone_open_view(const void *onnx, size_t size, adtool_backbone **out, adtool_error *err);

/* What adtool_backbone_get_info says of it, without the digest of the file that costs time. */
const adtool_preprocessing *ad_backbone_preprocessing(const adtool_backbone *backbone);

/* The layer a NULL or empty name means. */
const char *ad_backbone_default_layer(const adtool_backbone *backbone);

/*
 * A plan: everything decided for one (graph, layers, input size): folded, fused, placed, weights packed.
 * Immutable, shared by all threads. It keeps no reference to the backbone. The algorithm depends on
 * shapes and ISA only.
 */
typedef struct ad_plan ad_plan;

int ad_plan_create(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height, ad_pool *pool,
		   ad_plan **out, adtool_error *err);

/*
 * As ad_plan_create for `count` (at least 1) layers in one pass; a layer may be there twice. Each has the bits of its
 * own plan, unless one of them is a tensor that the others' plans need not make (a convolution before its batch norm,
 * say): then what lies beyond it may differ by rounding, no more than 1e-5 of the largest value in the deepest nets
 * tried.
 */
int ad_plan_create_layers(const adtool_backbone *backbone, const char *const *layers, size_t count, unsigned width,
			  unsigned height, ad_pool *pool, ad_plan **out, adtool_error *err);
void ad_plan_free(ad_plan *plan);

/*
 * Tuning: the convolutions that can be computed in several ways are timed in each, on one thread, on this machine.
 * on: what machine that was, instruction set and CPU, as ad_tuning_here says it. ways: a letter for each of these
 * convolutions, in the order of the graph: d, 2 or 4 (direct, Winograd's F(2x2) or F(4x4)). Those beyond
 * ADTOOL_TUNED_MOST are left to the cost model.
 */
typedef struct ad_tuning {
	char on[ADTOOL_TUNED_ON_SIZE];
	char ways[ADTOOL_TUNED_MOST + 1];
} ad_tuning;
int ad_tuning_here(char on[ADTOOL_TUNED_ON_SIZE], adtool_error *err);

/*
 * How a plan computes, beside what its shapes and the ISA say.
 * bf16: the operands of convolutions where it pays are rounded to bfloat16 (kernel/bf16.h): faster where the CPU
 * multiplies such numbers, about as fast elsewhere. Each instruction set rounds the same tensors, to the same bits but
 * where sums, which differ in their last digits, lie on both sides of a tie.
 * ranges: in 8 bits where it can be (ranges.h); ADTOOL_EFORMAT: what is no such line, a name twice, or other numbers of
 * channels than there are. NULL: in floats.
 * tuning: these ways; ADTOOL_EFORMAT when they are not those of this graph; `on` is not looked at. NULL: by the cost
 * model.
 */
struct ad_ranges;
typedef struct ad_how {
	int bf16;
	const struct ad_ranges *ranges;
	const ad_tuning *tuning;
} ad_how;
int ad_plan_create_as(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height,
		      const ad_how *how, ad_pool *pool, ad_plan **out, adtool_error *err);

/*
 * how: NULL, in floats; its tuning is not looked at. With it, ADTOOL_EUNSUPPORTED when there is nothing to choose: what
 * is computed in bytes has one way.
 */
int ad_tune(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height, const ad_how *how,
	    ad_tuning *out, adtool_error *err);

/* Layer `index` of one picture: C, H, W (H = W = 1 for a vector). */
void ad_plan_output_shape(const ad_plan *plan, size_t index, size_t shape[3]);
size_t ad_plan_output_floats(const ad_plan *plan); /* of all layers */
size_t ad_plan_arena_bytes(const ad_plan *plan);
size_t ad_plan_weight_bytes(const ad_plan *plan); /* packed weights, shared by all threads */

/*
 * Runs one picture. input: 3 x H x W floats; output: ad_plan_output_floats floats, the C x H x W of each
 * layer, one after another in the order asked for. arena: ad_plan_arena_bytes bytes, 64-byte aligned, one per
 * concurrent run. pool: splits the picture over threads (NULL: the caller alone); the bits of the result do not depend
 * on it. Allocates nothing and cannot fail.
 */
void ad_plan_run(const ad_plan *plan, void *arena, ad_pool *pool, const float *input, float *output);

/* The same, adding each node's seconds to seconds[0 .. ad_plan_nodes - 1]; a node done by another one has none. */
void ad_plan_time(const ad_plan *plan, void *arena, ad_pool *pool, const float *input, float *output, double *seconds);

/* One row per node that runs, for `backbone show --plan`. */
typedef struct ad_plan_node {
	const char *name;      /* of the ONNX node that gave it its kind */
	const char *kind;      /* "Conv", "MaxPool", ... */
	const char *algorithm; /* "winograd-4x4", ... */
	size_t shape[3];       /* of the output */
	double multiply_adds;  /* with those of nodes done by it */
} ad_plan_node;
size_t ad_plan_nodes(const ad_plan *plan);
void ad_plan_node_at(const ad_plan *plan, size_t index, ad_plan_node *out);

#endif
