/*
 * The ranges of tensors that plans need to compute in 8 bits where they can (ad_how, net.h).
 *
 * A range goes by the name of the ONNX tensor, so that it holds for another version's graph of the same file; a tensor
 * without one is computed in floats.
 */
#ifndef AD_RANGES_H
#define AD_RANGES_H

#include "net.h"

/*
 * ranges: low and high of each channel of one tensor after the other, low <= 0 <= high. names: for each tensor a line,
 * the number of its channels, a blank, its name. Not owned.
 */
typedef struct ad_ranges {
	const char *names;
	size_t names_size;
	const float *ranges;
	size_t count; /* channels of all tensors */
} ad_ranges;

/*
 * Measuring: a plan whose outputs are all tensors that convolutions read or write, which the caller runs on pictures,
 * handing each result to ad_observer_add. The order of pictures does not matter.
 */
typedef struct ad_observer ad_observer;

/* ADTOOL_EUNSUPPORTED: nothing in the graph can be done in 8 bits, or a tensor's name cannot be listed. */
int ad_observer_create(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height,
		       ad_pool *pool, ad_observer **out, adtool_error *err);
const ad_plan *ad_observer_plan(const ad_observer *o);
/* outputs: of a run of the plan. ADTOOL_ENUMERIC when a value is not finite. */
int ad_observer_add(ad_observer *o, const float *outputs, adtool_error *err);
/* Appends the lines; *ranges (ad_free) has *count lows and highs. */
int ad_observer_finish(const ad_observer *o, ad_buf *names, float **ranges, size_t *count, adtool_error *err);
void ad_observer_free(ad_observer *o); /* harmless on NULL */

#endif
