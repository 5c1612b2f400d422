/*
 * Thresholds: what false-alarm rate one may expect, and setting another rule on a model without training it again.
 */
#ifndef ADTOOL_THRESHOLD_H
#define ADTOOL_THRESHOLD_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/dataset.h>
#include <adtool/error.h>
#include <adtool/model.h>
#include <adtool/pipeline.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- what to expect ---------------------------------------------------------------------------------- */

/* A false-alarm rate (share of normal pictures called anomalous) and its central 90 % interval. NaN: not known. */
typedef struct adtool_false_alarms {
	double expected, low, high;
} adtool_false_alarms;

typedef struct adtool_threshold_row {
	double alpha;
	enum adtool_rule rule;     /* conformal or extrapolated */
	double threshold;
	adtool_false_alarms rate;  /* over the draw of the n calibration pictures: Beta(l, n + 1 - l) with
	                            * l = floor(alpha (n + 1)) (Vovk 2012); extrapolated: alpha, and no interval */
	size_t needed;             /* calibration pictures with which alpha needs no extrapolation */
} adtool_threshold_row;

ADTOOL_API int adtool_threshold_at(const adtool_model *model, double alpha, adtool_threshold_row *out,
                                   adtool_error *err);

/*
 * Of any threshold, from the k of n calibration scores above it: k / n, and the interval of Clopper and Pearson. Not
 * for a threshold that was chosen as one of these scores.
 */
ADTOOL_API void adtool_threshold_false_alarms(const adtool_model *model, double threshold, adtool_false_alarms *out);

/* -- labelled scores --------------------------------------------------------------------------------- */

typedef struct adtool_labelled adtool_labelled;

ADTOOL_API int adtool_labelled_create(adtool_labelled **out, adtool_error *err);
ADTOOL_API void adtool_labelled_free(adtool_labelled *labelled); /* harmless on NULL */

/*
 * Scores every picture of the dataset with the model (as adtool_score, whose options are used but for fdr; options->row
 * gets each row) and adds it as normal or anomalous. Rows with an error are passed over.
 */
ADTOOL_API int adtool_labelled_score(adtool_labelled *labelled, const adtool_model *model, adtool_dataset *dataset,
                                     int anomalous, const adtool_score_options *options, adtool_error *err);

/* Adds one score; digest: 64 hex digits, or NULL. */
ADTOOL_API int adtool_labelled_add(adtool_labelled *labelled, double score, int anomalous, const char *digest,
                                   adtool_error *err);

/* How many of each; the arrays, in the order added, live until the next call. Each output may be NULL. */
ADTOOL_API void adtool_labelled_get(const adtool_labelled *labelled, const double **scores, const uint8_t **anomalous,
                                    size_t *normals, size_t *anomalies);

/* -- setting ----------------------------------------------------------------------------------------- */

typedef struct adtool_threshold_options {
	/*
	 * ADTOOL_RULE_CONFORMAL: at alpha; extrapolated when there are too few calibration pictures for it.
	 * ADTOOL_RULE_TAIL: at alpha, by peaks over threshold: a generalised Pareto distribution of the excesses over
	 *   the 0.9 quantile of the calibration scores; at least 30 excesses are needed.
	 * ADTOOL_RULE_QUANTILE: factor times the quantile (the smallest score with such a share at or below it).
	 * ADTOOL_RULE_VALUE: value itself.
	 * ADTOOL_RULE_TPR, _F1, _COST: from `labelled`; just below the ceil(tpr n)-th largest anomalous score, or
	 *   half-way between the two scores where F1 is best or the cost is least. They need a score of each kind; _TPR
	 *   none of a normal picture.
	 */
	enum adtool_rule rule;
	int keep;                  /* leave the threshold as it is, whatever rule says */
	double alpha, value, quantile, factor, tpr, cost_false_alarm, cost_miss;
	const adtool_labelled *labelled;
	int set_warning;           /* else the second limit stays as it is */
	double warn_alpha;         /* 0 removes it */
} adtool_threshold_options;

/* rule conformal, alpha 0.01, factor 1; keep and set_warning 0. */
ADTOOL_API void adtool_threshold_options_init(adtool_threshold_options *options);

/*
 * Changes the model in memory (adtool_model_save writes it with all it held before); to be called before the handle is
 * shared. On failure the model is as it was. A second limit that would not lie below the threshold is refused
 * (ADTOOL_EINVAL). The heat maps' scale stays.
 */
ADTOOL_API int adtool_threshold_set(adtool_model *model, const adtool_threshold_options *options, adtool_error *err);

#ifdef __cplusplus
}
#endif
#endif
