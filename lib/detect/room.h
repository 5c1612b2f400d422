/* What the files of this room share. */
#ifndef AD_DETECT_ROOM_H
#define AD_DETECT_ROOM_H

#include "../kernel/kernel.h"
#include "detect.h"

/* This machine's table. */
const ad_kernels *ad_detect_kernels(void);

/* As ad_aggregate, on a map in double. */
double ad_aggregate_double(const double *map, size_t cells, enum adtool_aggregate how, double top);

/* 1/2 [sum ln lambda_i + (D - k) ln sigma^2 + D ln 2 pi] */
double ad_ppca_shift(const double *variances, size_t k, double noise, size_t dimensions);

/* Makes the component of largest magnitude positive; of equal ones the first decides. */
void ad_fix_sign(double *row, size_t n);

#endif
