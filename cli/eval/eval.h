/*
 * The parts of `adtool eval`: masks of defects (masks.c), and results as text or JSON (print.c). What they tell is
 * gathered and computed by adtool-eval.c.
 */
#ifndef EVAL_H
#define EVAL_H

#include "../cli.h"

/* One kind of defect: a folder of the anomalous pictures. */
typedef struct eval_group {
	char *name;
	size_t count, found;
} eval_group;

/* What was scored. */
typedef struct evaluation {
	const adtool_model_info *model; /* NULL with --folds */
	adtool_pixel_roc *pixels;       /* NULL without masks */
	adtool_page *page;              /* NULL without --report */
	double *scores;
	uint8_t *anomalous;
	uint8_t *called;  /* whether the score is above the threshold */
	size_t *group_of; /* anomalous pictures: index in groups */
	size_t count, capacity;
	eval_group *groups;
	size_t group_count;
	bool anomalous_now; /* which set is being read */
	double seconds[2];  /* for the normal and the anomalous */
	size_t normals, anomalies, refused;
	size_t masks_used, masks_missing;
	char *rows; /* text of --rows */
	size_t rows_size, rows_capacity;
	struct eval_folds *folds; /* NULL without --folds */
	adtool_error err;         /* of what stopped the job */
} evaluation;

/* With --folds: the scores of the fold at hand, and what the folds before it came to. */
typedef struct eval_folds {
	unsigned at;
	double *scores;
	uint8_t *anomalous;
	size_t count, capacity;
	double *auroc;
	unsigned done;
} eval_folds;

/* One of --tpr or --fpr, and what belongs to it. */
typedef struct eval_rate {
	double asked, rate, threshold;
} eval_rate;

typedef struct eval_results {
	adtool_metrics metrics;
	adtool_confusion confusion;
	double *group_auroc;
	bool has_intervals;
	adtool_interval auroc_interval, ap_interval;
	eval_rate *fpr_at_tpr, *tpr_at_fpr;
	size_t tpr_count, fpr_count;
	bool has_pixels;
	adtool_pixel_metrics pixels;
} eval_results;

/* The false-positive rate of pixels where AUPRO ends. */
#define EVAL_OVERLAP_LIMIT 0.3

/*
 * The mask of an anomalous picture, found below the folder `masks` by the picture's name: truth, one byte a pixel.
 * false: there is none that fits, and that was said.
 */
bool eval_mask_read(const char *masks, const adtool_row *row, uint8_t *truth);

void eval_print_text(const evaluation *e, const eval_results *r);
void eval_print_json(const evaluation *e, const eval_results *r);

/* --compare; names: the two models, as given. */
typedef struct eval_comparison {
	const char *const *names;
	adtool_difference auroc, precision;
} eval_comparison;

/* a: of the first model; how many pictures there were. */
void eval_print_comparison_text(const evaluation *a, const eval_comparison *c);
void eval_print_comparison_json(const evaluation *a, const eval_comparison *c);

#endif
