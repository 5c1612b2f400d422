/* Matrix product through OpenBLAS, opened when it is first needed and run with one thread. */
#ifndef AD_SGEMM_H
#define AD_SGEMM_H

#include <adtool/error.h>
#include <stddef.h>

typedef struct ad_sgemm ad_sgemm;

int ad_sgemm_open(ad_sgemm **out, adtool_error *err);
void ad_sgemm_close(ad_sgemm *sgemm);

/* C (m x n) = A (m x k) B (k x n), row-major; lda, ldb, ldc floats from one row to the next. All below 2^31. */
void ad_sgemm_run(const ad_sgemm *sgemm, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
		  size_t ldb, float *c, size_t ldc);

#endif
