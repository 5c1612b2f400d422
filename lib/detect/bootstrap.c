/*
 * Bootstrap intervals of AUROC and average precision. A resample is how often each picture was drawn; with the
 * pictures sorted once, its figures are one sweep.
 */
#include <adtool/metrics.h>

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"
#include "../base/rng.h"

enum { MOST_RESAMPLES = 10000000 };

void adtool_bootstrap_options_init(adtool_bootstrap_options *o)
{
	*o = (adtool_bootstrap_options){.resamples = 2000, .level = 0.95};
}

struct entry {
	double score;
	size_t index;
	int anomalous, last; /* last: of those with this score */
};

static int descending(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return x->index < y->index ? -1 : 1;
}

static int sorted_entries(const double *scores, const uint8_t *anomalous, size_t n, struct entry **out,
			  adtool_error *err)
{
	struct entry *e = ad_malloc_array(n, sizeof(*e));
	size_t i;

	if (!e)
		return ad_fail_nomem(err);
	for (i = 0; i < n; i++)
		e[i] = (struct entry){scores[i], i, anomalous[i] != 0, 0};
	qsort(e, n, sizeof(*e), descending);
	for (i = 0; i < n; i++)
		e[i].last = i + 1 == n || e[i + 1].score != e[i].score;
	*out = e;
	return 0;
}

struct figures {
	double auroc, average_precision;
};

static struct figures sweep(const struct entry *e, size_t n, const uint32_t *drawn, double normals, double anomalies)
{
	struct figures f = {0, 0};
	double tp = 0, fp = 0, before_tp = 0, before_fp = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (e[i].anomalous)
			tp += (double)drawn[e[i].index];
		else
			fp += (double)drawn[e[i].index];
		if (!e[i].last || (tp == before_tp && fp == before_fp))
			continue;
		f.auroc += (fp - before_fp) * (tp + before_tp) / 2;
		f.average_precision += (tp - before_tp) * (tp / (tp + fp));
		before_tp = tp;
		before_fp = fp;
	}
	f.auroc /= normals * anomalies;
	f.average_precision /= anomalies;
	return f;
}

/* The pictures of each kind, and how often each was drawn. */
struct strata {
	size_t *normal, *anomalous;
	size_t normals, anomalies;
	uint32_t *drawn; /* n */
};

static void strata_release(struct strata *s)
{
	ad_free(s->normal);
	ad_free(s->anomalous);
	ad_free(s->drawn);
}

static int strata_create(const uint8_t *anomalous, size_t n, struct strata *s, adtool_error *err)
{
	size_t i;

	s->normal = ad_malloc_array(n, sizeof(*s->normal));
	s->anomalous = ad_malloc_array(n, sizeof(*s->anomalous));
	s->drawn = ad_malloc_array(n, sizeof(*s->drawn));
	if (!s->normal || !s->anomalous || !s->drawn)
		return ad_fail_nomem(err);
	for (i = 0; i < n; i++) {
		if (anomalous[i])
			s->anomalous[s->anomalies++] = i;
		else
			s->normal[s->normals++] = i;
	}
	return 0;
}

static void draw(struct strata *s, ad_rng *rng)
{
	size_t i;

	memset(s->drawn, 0, (s->normals + s->anomalies) * sizeof(*s->drawn));
	for (i = 0; i < s->normals; i++)
		s->drawn[s->normal[ad_rng_below(rng, s->normals)]]++;
	for (i = 0; i < s->anomalies; i++)
		s->drawn[s->anomalous[ad_rng_below(rng, s->anomalies)]]++;
}

static double quantile(const double *sorted, size_t n, double q)
{
	double place = q * (double)(n - 1);
	size_t i = (size_t)place;

	if (i + 1 >= n)
		return sorted[n - 1];
	return sorted[i] + (place - (double)i) * (sorted[i + 1] - sorted[i]);
}

static adtool_interval interval_of(double *values, size_t n, double level)
{
	qsort(values, n, sizeof(*values), ad_compare_doubles);
	return (adtool_interval){quantile(values, n, (1 - level) / 2), quantile(values, n, (1 + level) / 2)};
}

static int check_options(const adtool_bootstrap_options *o, adtool_error *err)
{
	if (o->resamples < 2 || o->resamples > MOST_RESAMPLES)
		return ad_fail(err, ADTOOL_EINVAL, "%zu resamples; 2 to %d make sense", o->resamples, MOST_RESAMPLES);
	if (!(o->level > 0 && o->level < 1))
		return ad_fail(err, ADTOOL_EINVAL, "level %g of an interval; it lies between 0 and 1", o->level);
	return 0;
}

int adtool_metrics_intervals(const double *scores, const uint8_t *anomalous, size_t n,
			     const adtool_bootstrap_options *o, adtool_interval *auroc,
			     adtool_interval *average_precision, adtool_error *err)
{
	struct strata s = {0};
	struct entry *sorted = NULL;
	double *values = NULL;
	adtool_metrics whole;
	ad_rng rng;
	size_t i;
	int code = check_options(o, err);

	if (!code)
		code = adtool_metrics_compute(scores, anomalous, n, &whole, err);
	if (!code)
		code = strata_create(anomalous, n, &s, err);
	if (!code)
		code = sorted_entries(scores, anomalous, n, &sorted, err);
	if (!code && !(values = ad_malloc_array(2 * o->resamples, sizeof(*values))))
		code = ad_fail_nomem(err);
	if (code)
		goto out;
	ad_rng_seed(&rng, o->seed);
	for (i = 0; i < o->resamples; i++) {
		struct figures f;

		draw(&s, &rng);
		f = sweep(sorted, n, s.drawn, (double)s.normals, (double)s.anomalies);
		values[i] = f.auroc;
		values[o->resamples + i] = f.average_precision;
	}
	if (auroc)
		*auroc = interval_of(values, o->resamples, o->level);
	if (average_precision)
		*average_precision = interval_of(values + o->resamples, o->resamples, o->level);
out:
	ad_free(values);
	ad_free(sorted);
	strata_release(&s);
	return code;
}

/* differences: of the resamples, b - a. */
static adtool_difference difference_of(double a, double b, double *differences, size_t n, double level)
{
	adtool_difference d = {.a = a, .b = b};
	size_t i, no_better = 0;

	for (i = 0; i < n; i++)
		no_better += differences[i] <= 0;
	d.p = (double)(1 + no_better) / (double)(n + 1);
	d.interval = interval_of(differences, n, level);
	return d;
}

int adtool_metrics_compare(const double *a, const double *b, const uint8_t *anomalous, size_t n,
			   const adtool_bootstrap_options *o, adtool_difference *auroc,
			   adtool_difference *average_precision, adtool_error *err)
{
	struct strata s = {0};
	struct entry *sorted_a = NULL, *sorted_b = NULL;
	double *values = NULL;
	adtool_metrics of_a, of_b;
	ad_rng rng;
	size_t i;
	int code = check_options(o, err);

	if (!code)
		code = adtool_metrics_compute(a, anomalous, n, &of_a, err);
	if (!code)
		code = adtool_metrics_compute(b, anomalous, n, &of_b, err);
	if (!code)
		code = strata_create(anomalous, n, &s, err);
	if (!code)
		code = sorted_entries(a, anomalous, n, &sorted_a, err);
	if (!code)
		code = sorted_entries(b, anomalous, n, &sorted_b, err);
	if (!code && !(values = ad_malloc_array(2 * o->resamples, sizeof(*values))))
		code = ad_fail_nomem(err);
	if (code)
		goto out;
	ad_rng_seed(&rng, o->seed);
	for (i = 0; i < o->resamples; i++) {
		struct figures f, g;

		draw(&s, &rng);
		f = sweep(sorted_a, n, s.drawn, (double)s.normals, (double)s.anomalies);
		g = sweep(sorted_b, n, s.drawn, (double)s.normals, (double)s.anomalies);
		values[i] = g.auroc - f.auroc;
		values[o->resamples + i] = g.average_precision - f.average_precision;
	}
	if (auroc)
		*auroc = difference_of(of_a.auroc, of_b.auroc, values, o->resamples, o->level);
	if (average_precision)
		*average_precision = difference_of(of_a.average_precision, of_b.average_precision,
						   values + o->resamples, o->resamples, o->level);
out:
	ad_free(values);
	ad_free(sorted_a);
	ad_free(sorted_b);
	strata_release(&s);
	return code;
}
