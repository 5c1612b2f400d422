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
	double best_f1_threshold; /* score >= it is called anomalous; the largest of equally good ones */
	double fpr_at_tpr_100;    /* false-positive rate where every anomaly is found */
	double fpr_at_tpr_95;     /* the least false-positive rate with TPR >= 0.95 */
} adtool_metrics;

/* anomalous[i] != 0 for anomalies. Needs at least one of each (ADTOOL_EINVAL). */
ADTOOL_API int adtool_metrics_compute(const double *scores, const uint8_t *anomalous, size_t n,
                                      adtool_metrics *out, adtool_error *err);

/*
 * The least FPR among the thresholds (score >= t) whose TPR is at least tpr, 0 < tpr <= 1: t is the ceil(tpr * n)-th largest
 * score of the n anomalies. threshold may be NULL.
 */
ADTOOL_API int adtool_fpr_at_tpr(const double *scores, const uint8_t *anomalous, size_t n, double tpr, double *fpr,
                                 double *threshold, adtool_error *err);

typedef struct adtool_confusion {
	size_t true_positives, false_positives, true_negatives, false_negatives;
} adtool_confusion;

/* Anomalous when score > threshold. */
ADTOOL_API void adtool_confusion_at(const double *scores, const uint8_t *anomalous, size_t n, double threshold,
                                    adtool_confusion *out);

/*
 * Area under the ROC curve of pixels, streamed with bounded memory (4 MiB): scores are counted in 262,144 bins of their
 * float32 bits, in order: sign, exponent and 9 bits of mantissa, so that scores share a bin only within 0.2 %.
 * Those of a bin count as tied. error_bound (may be NULL): half the share of pairs of a normal and an anomalous pixel that
 * are tied so, which is the most the area can be off. NaN scores and a missing kind are refused by _auroc.
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
