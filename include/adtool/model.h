/*
 * Models: what `train` learned, one zip file (adtool-bundle(5)). A handle is immutable and may be shared
 * between threads.
 */
#ifndef ADTOOL_MODEL_H
#define ADTOOL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/backbone.h>
#include <adtool/error.h>
#include <adtool/geometry.h>

#ifdef __cplusplus
extern "C" {
#endif

enum adtool_method { ADTOOL_FRE = 0, ADTOOL_PPCA = 1 };
enum adtool_aggregate { ADTOOL_TOP = 0, ADTOOL_MAX = 1, ADTOOL_SUM = 2 };
enum adtool_calibration { ADTOOL_CV_FOLDS = 0, ADTOOL_CV_LEAVE_ONE_OUT = 1, ADTOOL_CV_HELD_OUT = 2 };
/* How a backbone is computed (adtool_train_options.precision). */
enum adtool_precision { ADTOOL_FLOAT32 = 0, ADTOOL_INT8 = 1, ADTOOL_BF16 = 2 };
/* Who chose the number of components. */
enum adtool_components { ADTOOL_COMPONENTS_BY_RULE = 0, ADTOOL_COMPONENTS_GIVEN = 1 };
/* How the threshold came about. */
enum adtool_rule {
	ADTOOL_RULE_CONFORMAL = 0,    /* an order statistic of the calibration scores, at alpha */
	ADTOOL_RULE_EXTRAPOLATED = 1, /* Box's scaled chi-square, too few normals for alpha */
	ADTOOL_RULE_VALUE = 2,        /* given by hand */
	ADTOOL_RULE_QUANTILE = 3,     /* a quantile of the calibration scores, times a factor */
	ADTOOL_RULE_TAIL = 4,         /* a generalised Pareto distribution of the largest ones, at alpha */
	ADTOOL_RULE_TPR = 5,          /* labelled pictures: so that this share of the anomalies is found */
	ADTOOL_RULE_F1 = 6,           /* labelled pictures: the best F1 */
	ADTOOL_RULE_COST = 7,         /* labelled pictures: the least cost of false alarms and misses */
	ADTOOL_RULE_FDR = 8           /* rows only: a batch's false-discovery rate (adtool_score_options.fdr) */
};

/* "conformal", as the manifest, rows and commands write it. */
ADTOOL_API const char *adtool_rule_name(enum adtool_rule rule);

/* Everything of the manifest. Strings are "" when unknown. */
typedef struct adtool_model_info {
	int format_version;
	char adtool_version[32];

	char backbone_name[128];
	char backbone_sha256[65];    /* of the whole ONNX file it was cut from */
	char backbone_licence[128];
	char backbone_source[256];
	adtool_preprocessing preprocessing;
	unsigned width, height;      /* of the input, pixels */
	adtool_geometry geometry;    /* what of a picture becomes the input */
	unsigned mask_width, mask_height; /* of the mask of what is looked at; 0: none */
	size_t mask_cells;           /* fre without tiles: cells of the grid that the mask leaves; 0: all */
	char layer[128];
	size_t layer_channels, layer_height, layer_width;

	enum adtool_precision precision;
	size_t ranges;               /* int8: channels whose ranges the model keeps; else 0 */

	enum adtool_method method;
	unsigned grid;               /* g; 1 for ppca */
	size_t channels;             /* c kept by the channel PCA; equal to layer_channels when all are */
	size_t dimensions;           /* D = channels x cells, those that a mask leaves */
	size_t components;           /* k */
	enum adtool_components components_by;
	size_t components_asked;     /* the number that was given; k is less where so many cannot be had */
	double energy;               /* asked for; 0 when components were given */
	double energy_kept;
	double noise_variance;       /* ppca: sigma^2; 0 for fre */
	enum adtool_aggregate aggregate;
	double top;                  /* fraction of the cells, for ADTOOL_TOP */
	uint64_t seed;

	enum adtool_calibration calibration;
	unsigned folds;
	size_t calibration_count;    /* n */
	enum adtool_rule rule;
	double alpha;                /* of the threshold in force; 0 for a rule without one */
	double threshold;            /* anomalous when score > threshold */
	size_t normals_needed;       /* calibration pictures that would support alpha without extrapolation */
	double box_g, box_h;         /* Box's rule, for extrapolation: q is about g chi2_h */
	double box_scale, box_shift; /* score = q * scale + shift; fre: q = score, so 1 and 0 */
	double heat_level;           /* residual at which heat maps turn hot; 0 for ppca */

	/* What the rule was given and found (adtool/threshold.h); 0 where it is another rule's. */
	double quantile, factor;
	double tail_start, tail_shape, tail_scale;
	size_t tail_excesses;
	double tpr, cost_false_alarm, cost_miss;
	size_t labelled_normals, labelled_anomalies;
	char labelled_digest[65];    /* SHA-256 over the digests of the labelled pictures */
	double warn_alpha;           /* 0: no second limit */
	double warn_threshold;       /* suspect when score > it, but not above the threshold */

	/*
	 * adtool_train_options.tune: on which instruction set and CPU, and the way found for each convolution; ""
	 * without.
	 */
#define ADTOOL_TUNED_ON_SIZE 40
#define ADTOOL_TUNED_MOST 511
	char tuned_on[ADTOOL_TUNED_ON_SIZE], tuned_ways[ADTOOL_TUNED_MOST + 1];

	size_t pictures_used, pictures_refused;
	size_t pictures_dropped;     /* left out as the worst of those held out */
	size_t tiles_kept;           /* with tiles: maps in the kept stats; 0 without either */
	char group_by[128];          /* what kept pictures in one fold: "", "dir" or a regular expression */
	size_t groups;               /* how many groups that made; 0 without */
	char pictures_digest[65];    /* SHA-256 over the digests of the pictures, in order of their names */
	char created[32];            /* ISO 8601, only when SOURCE_DATE_EPOCH was set */
} adtool_model_info;

typedef struct adtool_model adtool_model;

/*
 * Opens a model and checks it (version, sizes, finiteness, digests; the selftest once per model and CPU,
 * remembered in $XDG_CACHE_HOME/adtool, else ~/.cache/adtool). A second thread helps to check a large one.
 */
ADTOOL_API int adtool_model_open(const char *path, adtool_model **out, adtool_error *err);

/* As adtool_model_open, with every check run now: SHA-256 of the members and the selftest. */
ADTOOL_API int adtool_model_check(const char *path, adtool_error *err);

ADTOOL_API const adtool_model_info *adtool_model_get_info(const adtool_model *model);

/* The manifest as it stands in the file: JSON text, owned by the model. */
ADTOOL_API const char *adtool_model_manifest(const adtool_model *model);

/* Whether it was tuned for this CPU and instruction set (adtool_train_options.tune), so that this is made use of. */
ADTOOL_API int adtool_model_is_tuned_here(const adtool_model *model);

/* Whether the model keeps the maps of its pictures (adtool_train_options.keep_stats), so that it can be updated. */
ADTOOL_API int adtool_model_keeps_stats(const adtool_model *model);

/* The n calibration scores, ascending; owned by the model. */
ADTOOL_API const double *adtool_model_calibration(const adtool_model *model, size_t *count);

/*
 * The p-value of a score: (1 + #{calibration >= score}) / (n + 1); when extrapolated P(g chi2_h >= q), though no less
 * than 2 / (n + 1) for a score that a calibration picture reached.
 */
ADTOOL_API double adtool_model_p_value(const adtool_model *model, double score);

/*
 * The threshold that `alpha` asks for on this model's calibration scores, and by which rule.
 * ADTOOL_ENUMERIC when the scores do not allow one (all the same).
 */
ADTOOL_API int adtool_model_threshold_at(const adtool_model *model, double alpha, double *threshold,
                                         enum adtool_rule *rule, adtool_error *err);

/*
 * What adtool_model_save would refuse beforehand: 0, ADTOOL_EEXIST (something that is no adtool model, and not force),
 * or ADTOOL_EIO (the folder is missing or may not be written to). So that nobody trains for an hour in vain.
 */
ADTOOL_API int adtool_model_may_save(const char *path, int force, adtool_error *err);

/* Writes the model (atomically). An existing file that is no adtool model is refused unless force. */
ADTOOL_API int adtool_model_save(const adtool_model *model, const char *path, int force, adtool_error *err);

ADTOOL_API void adtool_model_free(adtool_model *model); /* harmless on NULL */

#ifdef __cplusplus
}
#endif
#endif
