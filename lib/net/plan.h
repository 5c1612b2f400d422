/* Plans from a parsed file, for any number of input channels (net.h: from a backbone, for pictures). */
#ifndef AD_PLAN_H
#define AD_PLAN_H

#include "engine.h"
#include "graph.h"
#include "net.h"

/* Limit of the activations of one picture, and of what else a plan needs to run, in floats. */
#define AD_MAX_ARENA ((size_t)2 << 30)
#define AD_FREE_ARENA ((size_t)16 << 20)  /* the activations of a small input: this and ... */
#define AD_ARENA_PER_INPUT ((size_t)1024) /* ... this for each element of the input */

/* shape: C, H, W of the input. */
int ad_plan_build(const struct ad_onnx *onnx, const char *const *layers, size_t count, const size_t shape[3],
		  ad_pool *pool, ad_plan **out, adtool_error *err);

/* The same in two steps; ranges as ad_engine_create takes them. */
int ad_backbone_graph(const adtool_backbone *backbone, const char *layer, const size_t shape[3], ad_graph **out,
		      adtool_error *err);
int ad_plan_of_graph(const ad_graph *graph, const ad_range *const *ranges, ad_pool *pool, ad_plan **out,
		     adtool_error *err);

/*
 * tune.c: gives the graph's convolutions their ways. ranges.c: *out (ad_free) has each value's ranges, which stay the
 * caller's.
 */
int ad_tuning_apply(ad_graph *graph, const ad_tuning *tuning, adtool_error *err);
int ad_ranges_match(const ad_graph *graph, const struct ad_ranges *ranges, const ad_range ***out, adtool_error *err);
/* What of `how` is the graph's: all but the ranges. */
int ad_how_apply(ad_graph *graph, const ad_how *how, adtool_error *err);

/* The whole shape of an output, as the ONNX file has it; returns the number of dimensions. */
int ad_plan_output_dims(const ad_plan *plan, size_t index, size_t dims[AD_RANK]);

double ad_plan_multiply_adds(const ad_plan *plan);
int64_t ad_plan_parameters(const ad_plan *plan);

#endif
