/*
 * More on decisions than a threshold at alpha: how sure a false-alarm rate is, tails, labelled scores, batches.
 */
#ifndef AD_DECISION_H
#define AD_DECISION_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

#include "detect.h"

/* P(X <= x) and the x that gives p, for X of the beta distribution; a, b > 0. NaN for what cannot be. */
double ad_beta_cdf(double x, double a, double b);
double ad_beta_quantile(double p, double a, double b);

/*
 * Peaks over threshold: a generalised Pareto distribution of the excesses over the 0.9 quantile of n ascending scores,
 * P(X > start + y) = excesses / n (1 + shape y / scale)^(-1 / shape). Fitted as Zhang & Stephens (2009) do it: the mean
 * of the profile likelihood's parameter under a weak prior, which always exists and, unlike moments, never puts the end
 * of the distribution below a score that was seen. ADTOOL_ENUMERIC with fewer than AD_TAIL_EXCESSES excesses.
 */
enum { AD_TAIL_EXCESSES = 30 };
int ad_tail_fit(const double *sorted, size_t n, ad_tail *out, adtool_error *err);
/* P(X > score) for a score at or above start; NaN below it. */
double ad_tail_sf(const ad_tail *tail, double score);
/* The score with P(X > score) = alpha. ADTOOL_EINVAL when that lies below start. */
int ad_tail_limit(const ad_tail *tail, double alpha, double *threshold, adtool_error *err);

/*
 * Benjamini & Hochberg (1995): the largest p(k) of n p-values with p(k) <= q k / n; everything with a p at or below it
 * is called anomalous, and of that a share of at most q is expected to be normal. Negative when nothing is called.
 */
int ad_false_discovery(const double *p, size_t n, double q, double *cutoff, adtool_error *err);

/*
 * The limit (anomalous when score > limit) of least cost, a false alarm costing `alarm` and a miss `miss`; of equally
 * good ones the largest. Half-way between two neighbouring scores. No score may be NaN.
 */
int ad_cost_limit(const double *scores, const uint8_t *anomalous, size_t n, double alarm, double miss, double *limit,
		  adtool_error *err);
/* The same for the largest F1; needs an anomalous score. */
int ad_f1_limit(const double *scores, const uint8_t *anomalous, size_t n, double *limit, adtool_error *err);
/* Just below the ceil(tpr n)-th largest of the n anomalous scores, so that so many are found. */
int ad_tpr_limit(const double *scores, const uint8_t *anomalous, size_t n, double tpr, double *limit,
		 adtool_error *err);

#endif
