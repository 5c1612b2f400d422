/*
 * Report pages: a folder with one self-contained index.html (it asks for no network and runs no script but its own),
 * and its plots as SVG files. Opened once, fed with rows while a job runs, written at its end.
 */
#ifndef ADTOOL_PAGE_H
#define ADTOOL_PAGE_H

#include <stddef.h>

#include <adtool/error.h>
#include <adtool/metrics.h>
#include <adtool/model.h>
#include <adtool/pipeline.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longer side of the thumbnails that suit a page (adtool_score_options), in pixels. */
#define ADTOOL_PAGE_THUMBNAIL 320u
/* A page shows at most so many pictures of a kind: misses, false alarms, the others ... ; and names so many refused
 * ones. */
#define ADTOOL_PAGE_PICTURES 48u

enum adtool_page_kind {
	/* The calibration scores are shown; rows are of held-out pictures, for the gallery only. */
	ADTOOL_PAGE_TRAIN = 0,
	ADTOOL_PAGE_SCORE = 1, /* rows whose truth is not known */
	ADTOOL_PAGE_EVAL = 2   /* labelled rows */
};

enum adtool_truth { ADTOOL_TRUTH_UNKNOWN = -1, ADTOOL_TRUTH_NORMAL = 0, ADTOOL_TRUTH_ANOMALOUS = 1 };

typedef struct adtool_page adtool_page;

/* Makes the folder, so that a wrong one is known before a long job. Strings are copied everywhere. The caller frees
 * *out. */
ADTOOL_API int adtool_page_create(enum adtool_page_kind kind, const char *dir, adtool_page **out, adtool_error *err);

/*
 * A row of adtool_score, its thumbnails with it. defect: of an anomalous one, the kind of defect; NULL: not known.
 * Memory: some 24 bytes a row, and the thumbnails of those that will be shown.
 */
ADTOOL_API int adtool_page_add(adtool_page *page, const adtool_row *row, enum adtool_truth truth, const char *defect,
			       adtool_error *err);

/* The kind of defect's AUROC against all normal pictures, and pictures that could not be used in other jobs' words. */
ADTOOL_API int adtool_page_defect(adtool_page *page, const char *defect, double auroc, adtool_error *err);
ADTOOL_API int adtool_page_refused(adtool_page *page, const char *name, const char *why, adtool_error *err);

/* A key figure, shown large at the top: "AUROC", "0.9912", "95 %: 0.981 to 0.997". note may be NULL. */
ADTOOL_API int adtool_page_figure(adtool_page *page, const char *name, const char *value, const char *note,
				  adtool_error *err);

/* A table of text under a heading of its own; its rows follow. note may be NULL: a line below the heading. */
ADTOOL_API int adtool_page_table(adtool_page *page, const char *heading, const char *note, const char *const *columns,
				 size_t count, adtool_error *err);
/* As many cells as the last table has columns. */
ADTOOL_API int adtool_page_table_row(adtool_page *page, const char *const *cells, adtool_error *err);

/* How long a stage took. */
ADTOOL_API int adtool_page_timing(adtool_page *page, const char *stage, double seconds, adtool_error *err);

/* What the page is about. */
typedef struct adtool_page_facts {
	const char *model_path;         /* NULL: the model was not kept */
	const adtool_model_info *model; /* what was trained, and the limit above which pictures are suspect */
	const double *calibration;      /* its scores, ascending, or NULL */
	size_t calibration_count;
	double threshold; /* in force here; rule and alpha say how it came about */
	enum adtool_rule rule;
	double alpha;
	const adtool_metrics *metrics; /* ADTOOL_PAGE_EVAL; may be NULL */
	const adtool_interval *auroc_interval, *ap_interval; /* 95 %, of the metrics; NULL: not known */
} adtool_page_facts;

/*
 * Writes index.html, hist.svg and, when there are rows of both truths, roc.svg and pr.svg; each appears whole or not at
 * all. The page may be added to and written again.
 */
ADTOOL_API int adtool_page_write(adtool_page *page, const adtool_page_facts *facts, adtool_error *err);

ADTOOL_API void adtool_page_free(adtool_page *page); /* harmless on NULL */

#ifdef __cplusplus
}
#endif
#endif
