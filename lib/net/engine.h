/*
 * The execution engine: an ad_graph compiled to a list of steps over blocked activations (see kernel.h), each cut into
 * tasks. Weights are packed, memory is placed, algorithms are chosen once, from shapes and the kernel table alone;
 * the bits of the result do not depend on threads.
 */
#ifndef AD_ENGINE_H
#define AD_ENGINE_H

#include <adtool/error.h>
#include <stddef.h>

#include "../base/pool.h"
#include "../kernel/kernel.h"
#include "graph.h"

typedef struct ad_engine ad_engine;

/* What a channel of a value lies in, mostly: low <= 0 <= high. */
typedef struct ad_range {
	float low, high;
} ad_range;

/*
 * Keeps no reference to the graph. pool (may be NULL) packs the weights. ranges: of each of the graph's values those of
 * its channels, or NULL when nobody knows, to compute in 8 bits what can be (engine_int8.c); NULL: all in floats.
 */
int ad_engine_create(const ad_graph *graph, const ad_kernels *kernels, const ad_range *const *ranges, ad_pool *pool,
		     ad_engine **out, adtool_error *err);
void ad_engine_free(ad_engine *engine); /* harmless on NULL */

/* Memory of one run: activations by lifetime, and scratch for each thread that takes part. */
size_t ad_engine_arena_bytes(const ad_engine *engine);
size_t ad_engine_weight_bytes(const ad_engine *engine); /* packed */

/*
 * Runs one picture, as ad_plan_run. seconds: NULL, or the graph's n_nodes doubles to which each node's
 * time is added (a node fused into another has none of its own).
 */
void ad_engine_run(const ad_engine *engine, void *arena, ad_pool *pool, const float *input, float *output,
		   double *seconds);

/* How a node of the graph is computed: "winograd-4x4", "pointwise", "with the next", ... */
const char *ad_engine_algorithm(const ad_engine *engine, size_t node);
/* The node with which it is computed ("with the next"), to which the time is counted; or itself. */
size_t ad_engine_doer(const ad_engine *engine, size_t node);

#endif
