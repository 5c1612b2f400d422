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
 * The least FPR among the thresholds (score >= t) whose TPR is at least tpr, 0 < tpr <= 1: t is the ceil(tpr * n)-th
 * largest score of the n anomalies. threshold may be NULL.
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
 * The greatest TPR among the thresholds (score >= t) whose FPR is at most fpr, 0 <= fpr < 1, and the largest of the
 * thresholds that reach it. Infinite when only calling nothing anomalous keeps to fpr: TPR 0. threshold may be NULL.
 */
ADTOOL_API int adtool_tpr_at_fpr(const double *scores, const uint8_t *anomalous, size_t n, double fpr, double *tpr,
                                 double *threshold, adtool_error *err);

/* One point of the ROC and precision-recall curves: what is called anomalous with score >= threshold. */
typedef struct adtool_curve_point {
	double threshold;
	size_t true_positives, false_positives;
} adtool_curve_point;

/*
 * The curve: nothing called (threshold infinite), then one point for each distinct score, descending; the points of
 * scikit-learn's roc_curve(drop_intermediate=False). *points: released with adtool_free.
 */
ADTOOL_API int adtool_curve(const double *scores, const uint8_t *anomalous, size_t n, adtool_curve_point **points,
                            size_t *count, adtool_error *err);

/* -- how sure ---------------------------------------------------------------------------------------- */

/*
 * The bootstrap (Efron 1979), stratified: each resample draws as many normal and as many anomalous pictures as there
 * are, with replacement. An interval lies between the quantiles (1 - level) / 2 and (1 + level) / 2 of the resamples
 * (linear between neighbours, as NumPy's). Pictures are taken to be independent: several of one part make intervals too
 * narrow. Where the two kinds do not overlap, nothing varies, and the interval is a point.
 */
typedef struct adtool_bootstrap_options {
	size_t resamples; /* 2 .. 10,000,000; default 2,000 */
	double level;     /* between 0 and 1; default 0.95 */
	uint64_t seed;    /* default 0 */
} adtool_bootstrap_options;

ADTOOL_API void adtool_bootstrap_options_init(adtool_bootstrap_options *options);

typedef struct adtool_interval {
	double low, high;
} adtool_interval;

/* Intervals of AUROC and average precision; each may be NULL. */
ADTOOL_API int adtool_metrics_intervals(const double *scores, const uint8_t *anomalous, size_t n,
                                        const adtool_bootstrap_options *options, adtool_interval *auroc,
                                        adtool_interval *average_precision, adtool_error *err);

/* One figure of two detectors on the same pictures. */
typedef struct adtool_difference {
	double a, b;
	adtool_interval interval; /* of b - a */
	double p;                 /* that b is no better: (1 + #{resamples with b <= a}) / (resamples + 1) */
} adtool_difference;

/* a[i] and b[i] are two detectors' scores of the same picture; resamples draw pictures, so pairs stay together. */
ADTOOL_API int adtool_metrics_compare(const double *a, const double *b, const uint8_t *anomalous, size_t n,
                                      const adtool_bootstrap_options *options, adtool_difference *auroc,
                                      adtool_difference *average_precision, adtool_error *err);

/* -- pixels ------------------------------------------------------------------------------------------ */

/*
 * Metrics of pixels, streamed with bounded memory (6 MiB, and 12 bytes for each run of anomalous pixels in a row of the
 * picture being added): scores are counted in 262,144 bins of their float32 bits, in order: sign, exponent and 9 bits
 * of mantissa, so that scores share a bin only within 0.2 %. At the edges between bins all counts are exact; between
 * them each figure comes with the most it can be off. NaN scores and a missing kind are refused by what computes.
 */
typedef struct adtool_pixel_roc adtool_pixel_roc;
ADTOOL_API int adtool_pixel_roc_create(adtool_pixel_roc **out, adtool_error *err);

/* n pixels that belong to no region: they count for all but AUPRO. */
ADTOOL_API void adtool_pixel_roc_add(adtool_pixel_roc *roc, const float *scores, const uint8_t *anomalous, size_t n);

/*
 * A whole picture, width x height, row-major; anomalous (non-zero where) may be NULL: all is normal. Its regions are
 * the connected components of the anomalous pixels, diagonal neighbours included.
 */
ADTOOL_API int adtool_pixel_roc_add_picture(adtool_pixel_roc *roc, const float *scores, const uint8_t *anomalous,
                                            unsigned width, unsigned height, adtool_error *err);

/* The AUROC alone. error_bound (may be NULL): half the share of pairs of a normal and an anomalous pixel in one bin. */
ADTOOL_API int adtool_pixel_roc_auroc(const adtool_pixel_roc *roc, double *auroc, double *error_bound,
                                      adtool_error *err);

typedef struct adtool_pixel_metrics {
	uint64_t normals, anomalies; /* pixels */
	uint64_t regions;
	double auroc, auroc_error;
	/*
	 * Area under the per-region overlap, the mean over the regions of the share of their pixels that is found,
	 * against the FPR of all pixels, from 0 to the limit, over the limit (Bergmann et al. 2019). NaN without
	 * regions.
	 */
	double aupro, aupro_error;
	double best_f1, best_f1_error, best_f1_threshold; /* score >= it is called anomalous */
} adtool_pixel_metrics;

/* 0 < fpr_limit <= 1: where AUPRO ends; 0.3 is customary. */
ADTOOL_API int adtool_pixel_roc_compute(const adtool_pixel_roc *roc, double fpr_limit, adtool_pixel_metrics *out,
                                        adtool_error *err);
ADTOOL_API void adtool_pixel_roc_free(adtool_pixel_roc *roc);

#ifdef __cplusplus
}
#endif
#endif
