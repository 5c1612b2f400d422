/*
 * Inside of fitting: what its files share. With A the rows less their mean, A = U S V^T, of N pictures in D dimensions.
 * Which matrix is decomposed depends on N and D: fit_gram.c, fit_covariance.c.
 */
#ifndef AD_DETECT_FIT_H
#define AD_DETECT_FIT_H

#include <stdatomic.h>

#include "linalg.h"
#include "room.h"

enum {
	LEAVE_ONE_OUT_UP_TO = 500, /* ppca; also the most pictures held out of its fit */
	HELD_OUT_AT_MOST = 2000,
	PANEL = 128,   /* rows of a product that one task computes */
	COLUMNS = 256, /* of the rows at a time */
	BATCH = 128    /* rows that go into the covariance at a time */
};

struct ad_fitter {
	ad_fit_options o;
	ad_linalg *l;
	size_t added;
	unsigned char *came; /* N */
	size_t *index;       /* after a finish: which picture each row is */
	int covariance;      /* N >= D */
	float *rows;         /* N x D by index; covariance: those held out, as they come */
	/* covariance only */
	unsigned char *held; /* N: whether this index is held out */
	size_t *held_index;  /* which picture each held row is */
	size_t held_capacity, held_count;
	float *first;          /* D: the first row of the fit; all others go in less this one, which keeps sums small */
	double *sum, *scatter; /* D, D x D lower */
	double *batch;         /* BATCH x D */
	size_t in_batch, fitted;
	int differ; /* whether any row of the fit differs from the first */
};

static inline size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

struct ad_progress {
	void (*fn)(void *context, size_t done, size_t total);
	void *context;
	size_t total;
	atomic_size_t done;
};

/* One step is done. Worker 0 is the caller's thread, the only one that may call back. */
void ad_fit_advance(struct ad_progress *p, unsigned worker);

/* -- fit_plan.c: which pictures a fit is held against ---------------------------------------------------- */

/* How many of n pictures are held out of the only fit: a fifth, but enough to see scores vary, and two to fit on. */
size_t ad_fit_held_out(size_t n, size_t at_most);
/* 0 .. n-1, shuffled. The caller frees. */
int ad_fit_order(size_t n, uint64_t seed, size_t **out, adtool_error *err);
/* units: groups, or pictures where each is its own. 0: some are held out instead. */
size_t ad_fit_refits(const ad_fit_options *o, size_t n, size_t units);
/* How many refits run beside each other. */
size_t ad_fit_lanes(const ad_fit_options *o, size_t n, unsigned threads);
int ad_fit_fail_groups(size_t n, adtool_error *err);

/* -- fit_keep.c: what is kept ---------------------------------------------------------------------------- */

struct ad_choice {
	size_t k, n;  /* components; pictures fitted */
	double noise; /* ppca: sigma^2; 0 when nothing is left for it */
	double kept;  /* share of the energy */
};

/*
 * values: `count` squared singular values, descending, of n pictures. They carry an error of about eps times the
 * largest element of the matrix they come from, so what is below max(n, D) eps max(values[0], largest) counts as 0.
 */
struct ad_choice ad_fit_choose(const ad_fit_options *o, const double *values, size_t count, size_t n, double largest);
int ad_fit_fail_noise(const struct ad_choice *c, int refit, adtool_error *err);
int ad_fit_fail_lapack(int info, adtool_error *err);
int ad_fit_fail_same(size_t n, adtool_error *err);
/* Room for k components; the caller fills all but the options. ADTOOL_ENUMERIC: ppca has no noise left. */
int ad_fit_detector(const ad_fit_options *o, const struct ad_choice *c, ad_detector *out, adtool_error *err);
void ad_fit_set_mean(ad_detector *d, const double *mean);
int ad_fit_calibration(const ad_fit_options *o, size_t n, ad_calibration *out, adtool_error *err);
/* residual: of one picture, `cells` sums of squares; q: sum z^2 / lambda (ppca). */
void ad_fit_set_score(const ad_fit_options *o, ad_calibration *c, size_t i, const double *residual, double q,
		      double noise, double shift);

/* -- fit_gram.c: N < D ----------------------------------------------------------------------------------- */

/* As ad_fitter_finish. */
int ad_fit_gram(ad_fitter *f, ad_pool *pool, struct ad_progress *progress, ad_detector *detector, double *kept,
		ad_calibration *calibration, adtool_error *err);

/* -- fit_covariance.c: N >= D ---------------------------------------------------------------------------- */

int ad_fit_covariance_create(ad_fitter *f, adtool_error *err);
void ad_fit_covariance_add(ad_fitter *f, size_t index, const float *row);
/* As ad_fitter_finish. */
int ad_fit_covariance(ad_fitter *f, ad_pool *pool, struct ad_progress *progress, ad_detector *detector, double *kept,
		      ad_calibration *calibration, adtool_error *err);

#endif
