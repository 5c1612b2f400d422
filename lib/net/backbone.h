/* Inside the net room: plans of a backbone, for what its pictures are. */
#ifndef AD_NET_BACKBONE_H
#define AD_NET_BACKBONE_H

#include "net.h"

/* C, H, W: the channels that the file declares, else 3. */
void ad_backbone_input_shape(const adtool_backbone *backbone, unsigned width, unsigned height, size_t shape[3]);
/* As ad_plan_create_layers, for inputs of shape C, H, W. */
int ad_backbone_plan(const adtool_backbone *backbone, const char *const *layers, size_t count, const size_t shape[3],
		     ad_pool *pool, ad_plan **out, adtool_error *err);

#endif
