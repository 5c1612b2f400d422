#include <adtool/metrics.h>

#include <math.h>
#include <string.h>

#include "../base/fail.h"
#include "../base/mem.h"

struct labelled {
	double score;
	size_t anomalous;
};

static int descending(const void *a, const void *b)
{
	double x = ((const struct labelled *)a)->score, y = ((const struct labelled *)b)->score;

	return (x < y) - (x > y);
}

struct curve {
	adtool_curve_point *points; /* by descending threshold, one per distinct score */
	size_t count, anomalies, normals;
};

static int curve_of(const double *scores, const uint8_t *anomalous, size_t n, struct curve *out, adtool_error *err)
{
	struct curve c = {0};
	struct labelled *sorted = NULL;
	size_t i, true_positives = 0;
	int code = 0;

	for (i = 0; i < n; i++) {
		if (isnan(scores[i]))
			return ad_fail(err, ADTOOL_EINVAL, "score %zu of %zu is not a number", i + 1, n);
		c.anomalies += anomalous[i] != 0;
	}
	c.normals = n - c.anomalies;
	if (!c.anomalies || !c.normals)
		return ad_fail(err, ADTOOL_EINVAL,
			       "%zu normal and %zu anomalous scores: at least one of each is needed", c.normals,
			       c.anomalies);
	sorted = ad_malloc_array(n, sizeof(*sorted));
	c.points = ad_malloc_array(n, sizeof(*c.points));
	if (!sorted || !c.points) {
		code = ad_fail_nomem(err);
		goto out;
	}
	for (i = 0; i < n; i++)
		sorted[i] = (struct labelled){scores[i], anomalous[i] != 0};
	qsort(sorted, n, sizeof(*sorted), descending);
	for (i = 0; i < n; i++) {
		true_positives += sorted[i].anomalous;
		if (i + 1 < n && sorted[i + 1].score == sorted[i].score)
			continue;
		c.points[c.count++] = (adtool_curve_point){sorted[i].score, true_positives, i + 1 - true_positives};
	}
	*out = c;
	c.points = NULL;
out:
	ad_free(c.points);
	ad_free(sorted);
	return code;
}

/* The first point with TPR >= tpr; always there, since the last one has TPR 1. */
static const adtool_curve_point *point_at(const struct curve *c, double tpr)
{
	double wanted = ceil(tpr * (double)c->anomalies - 1e-9);
	size_t i;

	if (wanted < 1)
		wanted = 1;
	for (i = 0; i + 1 < c->count; i++)
		if ((double)c->points[i].true_positives >= wanted)
			break;
	return &c->points[i];
}

int adtool_metrics_compute(const double *scores, const uint8_t *anomalous, size_t n, adtool_metrics *out,
			   adtool_error *err)
{
	struct curve c;
	adtool_metrics m = {0};
	double area = 0;
	size_t i, before_tp = 0, before_fp = 0;
	int code = curve_of(scores, anomalous, n, &c, err);

	if (code)
		return code;
	m.normals = c.normals;
	m.anomalies = c.anomalies;
	for (i = 0; i < c.count; i++) {
		const adtool_curve_point *p = &c.points[i];
		double tp = (double)p->true_positives, fp = (double)p->false_positives;
		double f1 = 2 * tp / (tp + fp + (double)c.anomalies);

		area += (fp - (double)before_fp) * (tp + (double)before_tp) / 2;
		m.average_precision += (tp - (double)before_tp) * (tp / (tp + fp));
		if (f1 > m.best_f1) {
			m.best_f1 = f1;
			m.best_f1_threshold = p->threshold;
		}
		before_tp = p->true_positives;
		before_fp = p->false_positives;
	}
	m.average_precision /= (double)c.anomalies;
	m.auroc = area / ((double)c.anomalies * (double)c.normals);
	m.fpr_at_tpr_100 = (double)point_at(&c, 1)->false_positives / (double)c.normals;
	m.fpr_at_tpr_95 = (double)point_at(&c, 0.95)->false_positives / (double)c.normals;
	ad_free(c.points);
	*out = m;
	return 0;
}

int adtool_fpr_at_tpr(const double *scores, const uint8_t *anomalous, size_t n, double tpr, double *fpr,
		      double *threshold, adtool_error *err)
{
	struct curve c;
	const adtool_curve_point *p;
	int code;

	if (!(tpr > 0 && tpr <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "true-positive rate %g: it must be above 0 and at most 1", tpr);
	code = curve_of(scores, anomalous, n, &c, err);
	if (code)
		return code;
	p = point_at(&c, tpr);
	*fpr = (double)p->false_positives / (double)c.normals;
	if (threshold)
		*threshold = p->threshold;
	ad_free(c.points);
	return 0;
}

int adtool_tpr_at_fpr(const double *scores, const uint8_t *anomalous, size_t n, double fpr, double *tpr,
		      double *threshold, adtool_error *err)
{
	struct curve c;
	double allowed, at = INFINITY;
	size_t i, found = 0;
	int code;

	if (!(fpr >= 0 && fpr < 1))
		return ad_fail(err, ADTOOL_EINVAL, "false-positive rate %g: it must be from 0 to below 1", fpr);
	code = curve_of(scores, anomalous, n, &c, err);
	if (code)
		return code;
	allowed = floor(fpr * (double)c.normals + 1e-9);
	for (i = 0; i < c.count && (double)c.points[i].false_positives <= allowed; i++) {
		if (c.points[i].true_positives > found) {
			found = c.points[i].true_positives;
			at = c.points[i].threshold;
		}
	}
	*tpr = (double)found / (double)c.anomalies;
	if (threshold)
		*threshold = at;
	ad_free(c.points);
	return 0;
}

int adtool_curve(const double *scores, const uint8_t *anomalous, size_t n, adtool_curve_point **points, size_t *count,
		 adtool_error *err)
{
	struct curve c;
	adtool_curve_point *all;
	int code = curve_of(scores, anomalous, n, &c, err);

	if (code)
		return code;
	all = ad_malloc_array(c.count + 1, sizeof(*all));
	if (!all) {
		ad_free(c.points);
		return ad_fail_nomem(err);
	}
	all[0] = (adtool_curve_point){INFINITY, 0, 0};
	memcpy(all + 1, c.points, c.count * sizeof(*all));
	ad_free(c.points);
	*points = all;
	*count = c.count + 1;
	return 0;
}

void adtool_confusion_at(const double *scores, const uint8_t *anomalous, size_t n, double threshold,
			 adtool_confusion *out)
{
	adtool_confusion c = {0};
	size_t i;

	for (i = 0; i < n; i++) {
		int called = scores[i] > threshold;

		c.true_positives += called && anomalous[i];
		c.false_positives += called && !anomalous[i];
		c.false_negatives += !called && anomalous[i];
		c.true_negatives += !called && !anomalous[i];
	}
	*out = c;
}
