/*
 * The detection room: pooling, channel PCA, feature reconstruction error (fre), probabilistic PCA
 * (ppca), calibration, thresholds, metrics. Shapes: a map is C x H x W or C x cells, floats, channel-major.
 */
#ifndef AD_DETECT_H
#define AD_DETECT_H

#include <adtool/error.h>
#include <adtool/model.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/pool.h"

/* Adaptive average pooling to g x g: cell i covers rows floor(iH/g) .. ceil((i+1)H/g)-1. Needs g <= H and g <= W. */
void ad_pool_grid(const float *map, size_t channels, size_t height, size_t width, size_t g, float *out);

/* -- channel PCA ------------------------------------------------------------------------------------- */

/* Keeps c of C channels: projected[j] = sum_i basis[j * C + i] * (x[i] - mean[i]). */
typedef struct ad_channels {
	size_t from, to; /* C, c */
	float *mean;     /* C */
	float *basis;    /* c x C, orthonormal rows, signs fixed */
} ad_channels;

/*
 * maps: n pooled maps of C x cells floats; every cell of every map is one sample. 1 <= keep <= C. Opens LAPACK, and
 * sets OpenBLAS's global thread count to one until it returns (as ad_fitter_add and _finish do).
 */
int ad_channels_fit(const float *const *maps, size_t n, size_t channels, size_t cells, size_t keep, ad_pool *pool,
		    ad_channels *out, adtool_error *err);
/* Bytes that ad_channels_fit takes at its peak beside the maps: 24 C^2, and 8 C of about 1,024 samples. */
uint64_t ad_channels_memory(size_t channels, size_t cells);
void ad_channels_release(ad_channels *c);
/* map: C x cells -> out: c x cells. */
void ad_channels_apply(const ad_channels *c, const float *map, size_t cells, float *out);

/* -- the detector ------------------------------------------------------------------------------------ */

/*
 * What scoring needs. fre holds float32 exactly as the bundle does; ppca float64. A fitted one owns its arrays
 * (ad_malloc_aligned).
 */
typedef struct ad_detector {
	enum adtool_method method;
	size_t dimensions; /* D = channels * cells */
	size_t cells;      /* g^2; 1 for ppca */
	size_t components; /* k; may be 0 */
	enum adtool_aggregate aggregate;
	double top;
	double *mean;          /* ppca: D; NULL for fre */
	double *rows;          /* ppca: k x D right singular vectors; NULL for fre */
	float *rows32;         /* fre: k x D; NULL for ppca */
	float *mean32;         /* fre: D; NULL for ppca */
	double *variances;     /* k: lambda_i = S_i^2 / (N - 1) */
	double noise_variance; /* ppca: sigma^2; 0 for fre */
} ad_detector;

/* ppca: score = q / 2 + this, q = sum z_i^2 / lambda_i + |r|^2 / sigma^2; 0 for fre. */
double ad_detector_shift(const ad_detector *d);

void ad_detector_release(ad_detector *d);

/* Rows that share a pass over the components. More at once make a score no cheaper, fewer make it dearer. */
enum { AD_SCORE_ROWS = 8 };

/*
 * Scores n rows (each D floats, in the channel-major order of the map). scores: n; maps: n x cells residuals (fre), may
 * be NULL. scratch: ad_detector_scratch bytes, aligned for doubles. The result for a row does not depend on n or its
 * neighbours.
 */
size_t ad_detector_scratch(const ad_detector *d, size_t n);
void ad_detector_score(const ad_detector *d, size_t n, const float *const *rows, double *scores, float *maps,
		       void *scratch);

/* Image score of a map of `cells` residuals. ADTOOL_TOP: the mean of the largest ceil(top * cells). NaN stays NaN. */
double ad_aggregate(const float *map, size_t cells, enum adtool_aggregate how, double top);

/* -- fitting ----------------------------------------------------------------------------------------- */

typedef struct ad_fit_options {
	enum adtool_method method;
	size_t pictures; /* N, known beforehand */
	size_t dimensions, cells;
	double energy;     /* fre: share of the energy to keep, used when components == SIZE_MAX */
	size_t components; /* SIZE_MAX: by energy (fre) or max(0, min(N, D) - 10) (ppca; rank - 9 if less) */
	enum adtool_aggregate aggregate;
	double top;
	double alpha;
	uint64_t seed;
	/*
	 * Pictures of one group are left out together; NULL: each is its own. groups: N numbers below group_count, the
	 * caller's until _finish; largest_group: pictures in the largest.
	 */
	const size_t *groups;
	size_t group_count, largest_group;
	int only_fit;  /* no calibration: it stays as it was handed in, and no picture is held out */
	int keep_maps; /* fre: the calibration holds the residuals of its pictures */
} ad_fit_options;

/*
 * Bytes a fit of these options takes, N being options->pictures (the formula of adtool-train(1)).
 *   N < D: 4 N D for the rows, 8 N^2 for their Gram matrix, 8 H (N + cells) for the residuals' combinations (H pictures
 * are calibrated: all N, or those held out), 4 N D for the components (8 N D for ppca), 2 KiB (N + max(N, 128)) per
 * thread, 4 H cells for maps kept, and 24 N (N + h) for each refit that runs beside the others, h being the pictures it
 * leaves out; as many run as there are threads, but no more than 1 GiB holds (one at least). N >= D: 24 D^2 for the
 * covariance and its eigenvectors, 4 D^2 for the components (8 D^2 for ppca), 4 H D for the rows held out, 3 KiB D per
 * thread, and 1 KiB D. No term grows with N. Either way 8 MiB and 2 MiB per thread for the linear algebra libraries.
 */
uint64_t ad_fit_memory(const ad_fit_options *options, unsigned threads);

typedef struct ad_fitter ad_fitter;

int ad_fitter_create(const ad_fit_options *options, ad_fitter **out, adtool_error *err);
/*
 * Refuses what is not finite (ADTOOL_ENUMERIC).
 * index: 0 .. N-1, the picture's place in the order of names; each at most once. Refused pictures leave their index
 * out: the fit is of those that came (which of them are held out or share a fold follows from the order of those that
 * came while rows are kept, from the index where they are not). While rows are kept (N < D) the order of the calls does
 * not matter. row: D floats, copied.
 */
int ad_fitter_add(ad_fitter *f, size_t index, const float *row, adtool_error *err);

typedef struct ad_calibration {
	enum adtool_calibration kind;
	unsigned folds;
	size_t n;
	double *scores; /* n, in the order of `index` */
	size_t *index;  /* n: which picture each score is of */
	double *peaks;  /* fre: n, the largest cell of each held-out picture; NULL for ppca */
	float *maps;    /* n x cells: what the fits without them left of them; NULL unless options->keep_maps */
	size_t cells;
	double *q;      /* ppca: n, sum z^2/lambda + |r|^2/sigma^2; NULL for fre */
	/* While rows are kept; else 0 and NULL: of each picture that was added, the one whose features are nearest. */
	size_t pictures;
	size_t *picture, *near; /* pictures: their places in the order of names */
	double *distance2;      /* pictures: squared distance to it */
	double spread2;         /* mean squared distance of two pictures */
} ad_calibration;

/*
 * Fits on all that was added, and calibrates by refits. Once per fitter, unless ad_fitter_drop. progress may be NULL;
 * it is called from the caller's thread. The detector owns its arrays. energy_kept may be NULL. Outputs do not depend
 * on the pool. fre: k is the least number of components with a share >= energy of the sum of squared singular values,
 * or options->components, but at most N - 2, D - 1 and the numerical rank; it may be 0 (the distance to the mean).
 *   ppca: k is options->components or the default, at most the numerical rank; it may be 0.
 * A refit follows the same rules on its own pictures. calibration->index ascends while rows are kept;
 * calibration->folds is the number of refits (1 when pictures were held out). ADTOOL_EINVAL under 3 pictures;
 * ADTOOL_ENUMERIC when all have the same features, or ppca has no noise variance left.
 */
int ad_fitter_finish(ad_fitter *f, ad_pool *pool, void (*progress)(void *context, size_t done, size_t total),
		     void *context, ad_detector *detector, double *energy_kept, ad_calibration *calibration,
		     adtool_error *err);
/*
 * After _finish, while rows are kept (ADTOOL_EINVAL otherwise): takes out pictures that were added, so that _finish may
 * be called again, on the others.
 */
int ad_fitter_drop(ad_fitter *f, const size_t *index, size_t count, adtool_error *err);
void ad_fitter_free(ad_fitter *f);
void ad_calibration_release(ad_calibration *c);

/* -- decision ---------------------------------------------------------------------------------------- */

/*
 * Box's rule for sums of squared residuals: q is about g chi2_h with g = var/(2 mean), h = 2 mean^2/var (Box 1954).
 * The score is q * scale + shift: fre 1 and 0; ppca 1/2 and what is constant in -ll.
 */
typedef struct ad_box {
	double g, h, scale, shift;
} ad_box;

/* q: n values in any order; var with n - 1. Zero variance or mean is refused (ADTOOL_ENUMERIC): all pictures give the
 * same score. */
int ad_box_fit(const double *q, size_t n, double scale, double shift, ad_box *out, adtool_error *err);

/* The tail of the calibration scores, see decision.h. */
typedef struct ad_tail {
	double start, shape, scale;
	size_t excesses, n;
} ad_tail;

typedef struct ad_limit {
	enum adtool_rule rule;
	double alpha;
	double threshold; /* on the score; anomalous when score > threshold */
	size_t needed;    /* calibration pictures with which alpha needs no extrapolation */
	ad_box box;
	ad_tail tail; /* ADTOOL_RULE_TAIL */
} ad_limit;

/*
 * sorted: the n calibration scores, ascending. 0 < alpha < 1. With l = floor(alpha (n + 1) + 1e-9) >= 1 the threshold
 * is the (n + 1 - l)-th smallest score; else it is extrapolated, g chi2_{h,1-alpha}, but never below the largest score,
 * so that a smaller alpha never has the lower threshold. All scores the same: ADTOOL_ENUMERIC.
 */
int ad_limit_at(const double *sorted, size_t n, const ad_box *box, double alpha, ad_limit *out, adtool_error *err);
/*
 * The p-value of a score under this limit: (1 + #{sorted >= score}) / (n + 1); when limit->rule is extrapolated:
 * P(g chi2_h >= q), though no less than 2 / (n + 1) up to the largest of sorted; when it is the tail's, that of the
 * tail above its start. If the rule has an alpha, p <= limit->alpha exactly when score > limit->threshold. NaN for NaN.
 */
double ad_p_value(const double *sorted, size_t n, const ad_limit *limit, double score);

/* The q-quantile of n values (the smallest value with at least q n values at or below it). Sorts a copy. */
int ad_quantile(const double *values, size_t n, double q, double *out, adtool_error *err);

/* P(chi2_h > x), and the x that gives it. h > 0 need not be whole. */
double ad_chi2_sf(double x, double h);
double ad_chi2_isf(double p, double h);

#endif
