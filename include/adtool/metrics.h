/*
 * Metrics of a detector on labelled scores. Higher scores mean more anomalous; ties are handled as
 * scikit-learn does. NaN scores are refused.
 */
#ifndef ADTOOL_METRICS_H
#define ADTOOL_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct adtool_metrics {
	size_t normals, anomalies;
	double auroc;             /* area under the ROC curve */
	double average_precision; /* sum over thresholds of (R_n - R_{n-1}) P_n */
	double best_f1;
	double best_f1_threshold; /* the largest score that is called anomalous with score >= it */
	double fpr_at_tpr_100;    /* false-positive rate where every anomaly is found */
	double fpr_at_tpr_95;     /* the least false-positive rate with TPR >= 0.95 */
} adtool_metrics;

/* anomalous[i] != 0 for anomalies. Needs at least one of each (ADTOOL_EINVAL). */
ADTOOL_API int adtool_metrics_compute(const double *scores, const uint8_t *anomalous, size_t n,
                                      adtool_metrics *out, adtool_error *err);

/* The least FPR among the thresholds (score >= t) whose TPR is at least tpr. */
ADTOOL_API int adtool_fpr_at_tpr(const double *scores, const uint8_t *anomalous, size_t n, double tpr, double *fpr,
                                 double *threshold, adtool_error *err);

typedef struct adtool_confusion {
	size_t true_positives, false_positives, true_negatives, false_negatives;
} adtool_confusion;

/* Anomalous when score > threshold. */
ADTOOL_API void adtool_confusion_at(const double *scores, const uint8_t *anomalous, size_t n, double threshold,
                                    adtool_confusion *out);

/*
 * Area under the ROC curve of pixels, streamed with bounded memory: scores are counted in 65,536
 * bins of their float32 bits (sign and exponent ordered, 7 mantissa bits or more), so the error is at most half the largest
 * share of tied pairs; see adtool_pixel_roc_error.
 */
typedef struct adtool_pixel_roc adtool_pixel_roc;
ADTOOL_API int adtool_pixel_roc_create(adtool_pixel_roc **out, adtool_error *err);
ADTOOL_API void adtool_pixel_roc_add(adtool_pixel_roc *roc, const float *scores, const uint8_t *anomalous, size_t n);
ADTOOL_API int adtool_pixel_roc_auroc(const adtool_pixel_roc *roc, double *auroc, double *error_bound,
                                      adtool_error *err);
ADTOOL_API void adtool_pixel_roc_free(adtool_pixel_roc *roc);

#ifdef __cplusplus
}
#endif
#endif
