/* Inside the report room: what a page collects, and how it is written. */
#ifndef AD_REPORT_PAGE_H
#define AD_REPORT_PAGE_H

#include <adtool/page.h>

#include "../base/buf.h"

/* Why a picture is shown; the page shows them in this order. */
enum shown {
	SHOWN_MISS,
	SHOWN_FALSE_ALARM,
	SHOWN_FOUND,
	SHOWN_PASSED,
	SHOWN_ANOMALOUS,
	SHOWN_SUSPECT,
	SHOWN_NORMAL,
	SHOWN_KINDS
};

typedef struct shown_picture {
	char *name, *defect; /* defect: NULL when not known */
	double score, p;
	unsigned width, height;
	size_t index;       /* of its row: ties keep their order */
	ad_buf image, heat; /* JPEG; heat may be empty */
} shown_picture;

/* At most ADTOOL_PAGE_PICTURES, the worst first. */
typedef struct gallery {
	shown_picture pictures[ADTOOL_PAGE_PICTURES];
	size_t count, of; /* of: how many there were */
} gallery;

typedef struct page_score {
	double score;
	int truth;       /* enum adtool_truth */
	unsigned defect; /* index in defects, for anomalous ones that have a kind; else UINT_MAX */
} page_score;

typedef struct page_defect {
	char *name;
	size_t count;
	double auroc; /* NaN: not known */
} page_defect;

/* Rows of cells, as text; what they mean is up to whoever keeps them. */
typedef struct page_text {
	char **cells;
	size_t count, capacity;
} page_text;

typedef struct page_table {
	char *heading, *note;
	size_t columns;
	page_text text; /* the columns' names, then the cells row by row */
} page_table;

struct adtool_page {
	enum adtool_page_kind kind;
	char *dir;
	page_score *scores;
	size_t count, capacity;
	size_t normals, anomalies; /* by truth */
	gallery shown[SHOWN_KINDS];
	page_defect *defects;
	size_t defect_count;
	page_text refused;    /* name, why */
	size_t refused_count; /* of all */
	page_text figures;    /* name, value, note */
	page_text timings;    /* stage, seconds */
	page_table *tables;
	size_t table_count;
};

/* -- plots (plot.c) ----------------------------------------------------------------------------------- */

/* An axis of scores: linear, or logarithmic where scores span more than LOG_FROM. */
typedef struct page_axis {
	double low, high; /* low < high; both positive when logarithmic */
	int logarithmic;
} page_axis;

/* Where the plot's frame lies in its picture, in units of its viewBox. */
typedef struct page_frame {
	double width, height;            /* of the viewBox */
	double left, right, top, bottom; /* edges of the frame */
} page_frame;

extern const page_frame ad_page_wide, ad_page_square;

/* An axis that shows all scores and the threshold. */
void ad_page_axis_choose(page_axis *axis, const page_score *scores, size_t count, double threshold);

/* Mean, and half the width of its 99 % confidence interval by Student's t; NaN for fewer than two scores. */
typedef struct page_mean {
	size_t count;
	double mean, half;
} page_mean;
page_mean ad_page_mean_of(const page_score *scores, size_t count, int truth);

/*
 * The plots, as <svg> elements; `alone`: as whole SVG files with their own colours. Scores ascend.
 * Failures show in out->failed.
 */
typedef struct page_plot {
	const page_score *scores;
	size_t count, normals, anomalies, unknown;
	double threshold;
	int has_warning; /* a score above `warning`, and not above the threshold, is suspect */
	double warning;
	page_axis axis;
} page_plot;
void ad_page_histogram(ad_buf *out, const page_plot *plot, int alone);
void ad_page_roc(ad_buf *out, const page_plot *plot, double auroc, int alone);
void ad_page_pr(ad_buf *out, const page_plot *plot, double average_precision, int alone);

/* -- the page itself (html*.c) ------------------------------------------------------------------------- */

/* Everything of index.html. */
int ad_page_html(const adtool_page *page, const adtool_page_facts *facts, const page_plot *plot, ad_buf *out,
		 adtool_error *err);

#endif
