/*
 * Drift: are the scores of a stream of pictures still those of normal ones? Compares them, in their order, with a
 * model's calibration scores.
 */
#ifndef ADTOOL_DRIFT_H
#define ADTOOL_DRIFT_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct adtool_drift_options {
	double alpha;     /* probability of an alarm while nothing drifts; default 0.01, 0 < alpha < 1 */
	double tolerance; /* share of the pictures that may differ without being drift; default 0.05, 0 <= it < 1 */
	double threshold; /* scores above it are anomalous; NaN (default): none are counted */
	uint64_t seed;    /* of the randomisation among equal scores; default 0 */
} adtool_drift_options;

ADTOOL_API void adtool_drift_options_init(adtool_drift_options *options);

#define ADTOOL_DRIFT_NEVER SIZE_MAX

/* Of one stretch of the rows. Medians are NaN when it is empty. */
typedef struct adtool_drift_part {
	size_t rows, anomalous;
	double median_score, median_p;
} adtool_drift_part;

typedef struct adtool_drift {
	int drift;     /* either alarm below */
	int direction; /* 1: scores are higher (p-values lower), -1: lower, 0: no drift */

	/*
	 * Kolmogorov-Smirnov, of p-values against uniform, which is that of the m scores against the n calibration
	 * scores: a conformal p-value takes the values 1/(n+1) .. 1 only, and all of them depend on the same n scores,
	 * so that the distribution of the distance is the two-sample one. Exact (a count of lattice paths: Hodges,
	 * 1958; equal scores make it conservative) for n m <= 4e6, else asymptotic (Smirnov, 1948).
	 */
	double ks_higher, ks_lower; /* largest excess of low, of high p-values: shares of the pictures */
	double ks;                  /* the larger */
	double ks_at;               /* the calibration's share of scores at or below the score where ks lies: 0 .. 1 */
	double ks_p;
	int ks_exact;
	/* Of the distance less the tolerance: at most 2 exp(-2 n m / (n + m) d^2) (Massart, 1990); = ks_p for tolerance
	 * 0. */
	double ks_excess_p;
	int ks_alarm; /* ks_excess_p <= alpha / 2 */

	/*
	 * Conformal test martingale: online p-values of each score among the calibration's and those before it,
	 * randomised among equal ones, which are independent and uniform as long as nothing drifts; bets of the simple
	 * jumper (Vovk et al., 2021: 1 + e (p - 1/2), e in -2, -1, 0, 1, 2; jumping rate 0.01, from row 100 on 1 /
	 * row), each divided by what `tolerance` could make of it. It begins at 1; by Ville's inequality it ever
	 * exceeds c with a probability of at most 1/c.
	 */
	double martingale, martingale_peak; /* log10: at the end, at its highest */
	size_t noticed;                     /* the row at which it reached 2 / alpha; ADTOOL_DRIFT_NEVER */
	int martingale_alarm;

	/*
	 * The row from which on it drifts: where Wilcoxon's rank-sum statistic of the rows from there on against the
	 * others and the calibration is most extreme in `direction`, which is that of the rows up to `noticed`, and not
	 * after it. ADTOOL_DRIFT_NEVER without drift.
	 */
	size_t since;
	adtool_drift_part before, after; /* since; all rows are `before` without drift */
	double calibration_median;

	/*
	 * The tail: the probability of at least as many scores above `threshold` by false alarms alone (beta-binomial,
	 * of exchangeable scores). More anomalies are no drift by themselves; NaN without a threshold.
	 */
	double anomalous_expected, anomalous_p;
} adtool_drift;

/*
 * calibration: n >= 2 scores, ascending; scores: m >= 1, in the order of time; all finite. martingale: m values (log10
 * after each row), p_values: m of the online ones; both may be NULL. Time O((n + m) log(n + m)), and n m while exact.
 */
ADTOOL_API int adtool_drift_test(const double *calibration, size_t n, const double *scores, size_t m,
				 const adtool_drift_options *options, double *martingale, double *p_values,
				 adtool_drift *out, adtool_error *err);

#ifdef __cplusplus
}
#endif
#endif
