/*
 * Studies: how well will a model do, and which one is best? Each picture goes through a backbone once; its features are
 * held in memory, and all fits are made on them. Callbacks are called on the caller's thread, one at a time.
 */
#ifndef ADTOOL_STUDY_H
#define ADTOOL_STUDY_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/backbone.h>
#include <adtool/dataset.h>
#include <adtool/error.h>
#include <adtool/model.h>
#include <adtool/pipeline.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- cross-validation -------------------------------------------------------------------------------- */

/*
 * One score of one fold's model. fold: 0 .. folds-1. own: 1 for the normal pictures that this fold's model did not see,
 * and for the anomalous ones dealt to this fold, so that the rows with `own` are each picture once; 0 for the other
 * anomalous pictures, which every fold's model scores too. row->threshold is that of the fold's model. Non-zero stops.
 */
typedef int adtool_fold_fn(void *context, const adtool_row *row, unsigned fold, int anomalous, int own);

typedef struct adtool_crossval_options {
	unsigned folds;                    /* 2 .. the normal pictures; default 5 */
	/* How each model is trained; its seed deals the pictures to the folds, too. */
	const adtool_train_options *train;
	adtool_fold_fn *row;
	void *context; /* of row */
} adtool_crossval_options;

ADTOOL_API void adtool_crossval_options_init(adtool_crossval_options *options);

typedef struct adtool_crossval_report {
	size_t normals, anomalies, refused;
	size_t channels, dimensions;
} adtool_crossval_report;

/*
 * K-fold cross-validation: the normal pictures, in the order of their names, are shuffled and dealt to the folds; each
 * fold's model is what adtool_train makes of the others, its channels, components and calibration included. The
 * anomalous pictures are dealt to the folds, label by label. Rows come fold by fold, the normal pictures first, in the
 * order of names. With train->group_by whole groups of normal pictures are dealt, so there are no more folds than
 * groups, and a fold's calibration keeps groups together, too. At least 3 normal pictures must remain to train on.
 * report may be NULL. Memory: 4 C g^2 bytes a picture, with tiles a tile, and one fit; ADTOOL_ELIMIT past
 * train->memory.
 */
ADTOOL_API int adtool_cross_validate(const adtool_backbone *backbone, const char *const *normals, size_t normal_count,
                                     const char *const *anomalies, size_t anomaly_count,
                                     const adtool_dataset_options *dataset_options,
                                     const adtool_crossval_options *options, adtool_crossval_report *report,
                                     adtool_error *err);

/* -- tuning ------------------------------------------------------------------------------------------ */

enum adtool_goal { ADTOOL_GOAL_AUROC = 0, ADTOOL_GOAL_AP = 1 };

/* All combinations are tried, but for layers that a backbone lacks and grids larger than a layer's map. */
typedef struct adtool_tune_options {
	const adtool_backbone *const *backbones;
	size_t backbone_count;
	/* NULL, or layer_count 0: those that each backbone's metadata list, else its default. */
	const char *const *layers;
	size_t layer_count;
	const unsigned (*sizes)[2]; /* width, height */
	size_t size_count;
	const unsigned *grids;
	size_t grid_count;
	const double *energies;
	size_t energy_count;
	const enum adtool_aggregate *aggregates;
	size_t aggregate_count;
	enum adtool_goal goal;
	unsigned folds;             /* of the estimate; default 5, fewer when there are fewer pictures of a kind */
	unsigned repeats;           /* of dealing the pictures to the folds; default 20 */
	/* All else: channels, top, alpha, seed, geometry, mask, threads, memory, callbacks. Method fre, in float32. */
	adtool_train_options train;
} adtool_tune_options;

/* Fills in the defaults of folds, repeats, goal and train; lists are the caller's. */
ADTOOL_API void adtool_tune_options_init(adtool_tune_options *options);

typedef struct adtool_candidate {
	size_t backbone;                 /* index in the options */
	char layer[128];
	unsigned width, height, grid;
	double energy;
	enum adtool_aggregate aggregate;
	size_t channels, components;     /* c, k */
	int64_t multiply_adds;           /* of one picture through the backbone */
	double auroc, average_precision; /* on the validation pictures */
	double fpr_at_tpr_95;
	size_t chosen;                   /* in how many of the estimate's folds */
} adtool_candidate;

typedef struct adtool_tune_result {
	adtool_candidate *candidates; /* in the order tried */
	size_t count, best;
	size_t left_out;              /* layers and grids that do not fit */
	size_t train, normals, anomalies, refused;
	/*
	 * Nested: in each fold the choice is made without its pictures, and measured on them. NaN where the pictures of
	 * a kind are fewer than 4. AUROC: share of right pairs within folds; average precision: mean of the folds'.
	 */
	unsigned folds, repeats;
	double nested_auroc, nested_auroc_low, nested_auroc_high; /* mean, least and largest of the repeats */
	double nested_average_precision;
} adtool_tune_result;

/*
 * Fits every candidate on the training pictures, scores the validation pictures, and chooses: the best by `goal`, among
 * equals by the other figure, then the fewer multiply-adds, then the smaller grid, then the first. Each picture goes
 * through a backbone once for each size, whatever the number of layers. A candidate that cannot be fitted is left out.
 * *out: released with adtool_tune_result_free.
 */
ADTOOL_API int adtool_tune(const adtool_tune_options *options, const char *const *train, size_t train_count,
                           const char *const *normals, size_t normal_count, const char *const *anomalies,
                           size_t anomaly_count, const adtool_dataset_options *dataset_options,
                           adtool_tune_result **out, adtool_error *err);
ADTOOL_API void adtool_tune_result_free(adtool_tune_result *result); /* harmless on NULL */

#ifdef __cplusplus
}
#endif
#endif
