/*
 * What the engine has no blocked form for, in plain loops on the plain layout: one function for each
 * operator. A node's work is cut into `tasks`, whose number and contents depend on shapes only; any number of threads
 * may run them, in any order.
 */
#ifndef AD_OPS_H
#define AD_OPS_H

#include "graph.h"

typedef struct ad_step ad_step;

/* What a task works on. */
typedef struct ad_step_data {
	const float *const *in; /* of each input */
	float *out;
	float *scratch; /* step->scratch floats, 64-byte aligned, of this thread alone */
} ad_step_data;

typedef void ad_step_fn(const ad_step *step, const ad_step_data *data, size_t task);

struct ad_step {
	ad_node node;               /* its weights are the plan's own; `inputs` is not to be used */
	size_t (*in_dims)[AD_RANK]; /* of each input, right-aligned */
	size_t in_count, out_count; /* elements of the first input, of the output */
	size_t out_dims[AD_RANK];   /* right-aligned, 1 in front */
	int rank;                   /* of the output */
	size_t channels, inner;     /* of the output: dimension 1, and the product of those after it */
	const char *algorithm;
	ad_step_fn *fn;
	size_t tasks, block, rows; /* block and rows: how the tasks are cut; meaning is fn's */
	size_t scratch;
};

/* Sets algorithm, fn, tasks, block, rows and scratch of a step whose other members are set. */
void ad_step_choose(ad_step *step);

#endif
