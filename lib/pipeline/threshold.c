/* Thresholds: what to expect of one, labelled scores, setting another. */
#include <adtool/threshold.h>

#include <math.h>

#include "../base/buf.h"
#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/mem.h"
#include "../detect/decision.h"
#include "pipeline.h"

/* -- what to expect ---------------------------------------------------------------------------------- */

ad_limit ad_limit_of(const adtool_model_info *info)
{
	ad_limit limit = {
	    .rule = info->rule,
	    .alpha = info->alpha,
	    .threshold = info->threshold,
	    .needed = info->normals_needed,
	    .box = {info->box_g, info->box_h, info->box_scale, info->box_shift},
	    .tail = {info->tail_start, info->tail_shape, info->tail_scale, info->tail_excesses,
		     info->calibration_count},
	};

	return limit;
}

int adtool_threshold_at(const adtool_model *model, double alpha, adtool_threshold_row *out, adtool_error *err)
{
	const adtool_model_info *info = adtool_model_get_info(model);
	size_t n;
	const double *scores = adtool_model_calibration(model, &n);
	ad_limit limit = ad_limit_of(info);
	double l, rest;
	int code = ad_limit_at(scores, n, &limit.box, alpha, &limit, err);

	if (code)
		return code;
	*out = (adtool_threshold_row){.alpha = alpha, .rule = limit.rule, .threshold = limit.threshold,
	                              .rate = {alpha, NAN, NAN}, .needed = limit.needed};
	if (limit.rule == ADTOOL_RULE_EXTRAPOLATED)
		return 0;
	l = fmin(floor(alpha * (double)(n + 1) + 1e-9), (double)n);
	rest = (double)(n + 1) - l;
	out->rate.expected = l / (double)(n + 1);
	out->rate.low = ad_beta_quantile(0.05, l, rest);
	out->rate.high = ad_beta_quantile(0.95, l, rest);
	return 0;
}

void adtool_threshold_false_alarms(const adtool_model *model, double threshold, adtool_false_alarms *out)
{
	size_t n, above = 0, i;
	const double *scores = adtool_model_calibration(model, &n);
	double k, rest;

	for (i = 0; i < n; i++)
		above += scores[i] > threshold;
	k = (double)above;
	rest = (double)(n - above);
	out->expected = k / (double)n;
	out->low = above ? ad_beta_quantile(0.05, k, rest + 1) : 0;
	out->high = above < n ? ad_beta_quantile(0.95, k + 1, rest) : 1;
}

/* -- labelled scores --------------------------------------------------------------------------------- */

struct adtool_labelled {
	double *scores;
	uint8_t *anomalous;
	char (*digests)[65];
	size_t count, capacity, anomalies;
};

int adtool_labelled_create(adtool_labelled **out, adtool_error *err)
{
	adtool_labelled *l = ad_calloc(1, sizeof(*l));

	if (!l)
		return ad_fail_nomem(err);
	*out = l;
	return 0;
}

void adtool_labelled_free(adtool_labelled *l)
{
	if (!l)
		return;
	ad_free(l->scores);
	ad_free(l->anomalous);
	ad_free(l->digests);
	ad_free(l);
}

static int grow(adtool_labelled *l, adtool_error *err)
{
	size_t capacity = l->capacity ? 2 * l->capacity : 256;
	void *more = ad_realloc_array(l->scores, capacity, sizeof(*l->scores));

	if (!more)
		return ad_fail_nomem(err);
	l->scores = more;
	more = ad_realloc_array(l->anomalous, capacity, sizeof(*l->anomalous));
	if (!more)
		return ad_fail_nomem(err);
	l->anomalous = more;
	more = ad_realloc_array(l->digests, capacity, sizeof(*l->digests));
	if (!more)
		return ad_fail_nomem(err);
	l->digests = more;
	l->capacity = capacity;
	return 0;
}

int adtool_labelled_add(adtool_labelled *l, double score, int anomalous, const char *digest, adtool_error *err)
{
	int code = 0;

	if (!isfinite(score))
		return ad_fail(err, ADTOOL_EINVAL, "a labelled score is not finite");
	if (digest && strlen(digest) != 64)
		return ad_fail(err, ADTOOL_EINVAL, "a labelled picture's digest has %zu digits, not 64",
			       strlen(digest));
	if (l->count == l->capacity)
		code = grow(l, err);
	if (code)
		return code;
	l->scores[l->count] = score;
	l->anomalous[l->count] = anomalous != 0;
	snprintf(l->digests[l->count], sizeof(*l->digests), "%s", digest ? digest : "");
	l->anomalies += anomalous != 0;
	l->count++;
	return 0;
}

void adtool_labelled_get(const adtool_labelled *l, const double **scores, const uint8_t **anomalous, size_t *normals,
                         size_t *anomalies)
{
	if (scores)
		*scores = l->scores;
	if (anomalous)
		*anomalous = l->anomalous;
	if (normals)
		*normals = l->count - l->anomalies;
	if (anomalies)
		*anomalies = l->anomalies;
}

struct labelling {
	adtool_labelled *labelled;
	const adtool_score_options *options;
	int anomalous;
	int code;
	adtool_error *err;
};

static int label_row(void *context, const adtool_row *row)
{
	struct labelling *job = context;

	if (row->verdict != ADTOOL_ERROR) {
		job->code = adtool_labelled_add(job->labelled, row->score, job->anomalous, row->digest, job->err);
		if (job->code)
			return 1;
	}
	return job->options->row ? job->options->row(job->options->context, row) : 0;
}

int adtool_labelled_score(adtool_labelled *labelled, const adtool_model *model, adtool_dataset *dataset, int anomalous,
                          const adtool_score_options *options, adtool_error *err)
{
	adtool_error why = {0}, stopped;
	struct labelling job = {.labelled = labelled, .options = options, .anomalous = anomalous, .err = &why};
	adtool_score_options o = *options;
	int code;

	o.digest = 1;
	o.fdr = 0;
	o.row = label_row;
	o.context = &job;
	code = adtool_score(model, dataset, &o, NULL, &stopped);
	if (code && err)
		*err = job.code ? why : stopped;
	return job.code ? job.code : code;
}

static int compare_digests(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* SHA-256 over the hex digests: the normal ones in ascending order, a line's end, the anomalous ones likewise. */
static int labelled_digest(const adtool_labelled *l, char out[65], adtool_error *err)
{
	char (*sorted)[65] = ad_malloc_array(l->count, sizeof(*sorted));
	ad_buf all = {0};
	size_t i, n, normals = 0, anomalous;
	int code = 0;

	if (!sorted)
		return ad_fail_nomem(err);
	for (anomalous = 0, n = 0; anomalous < 2; anomalous++) {
		for (i = 0; i < l->count; i++)
			if (l->anomalous[i] == anomalous)
				memcpy(sorted[n++], l->digests[i], sizeof(*sorted));
		if (!anomalous)
			normals = n;
	}
	qsort(sorted, normals, sizeof(*sorted), compare_digests);
	qsort(sorted + normals, l->count - normals, sizeof(*sorted), compare_digests);
	for (i = 0; i < l->count; i++) {
		if (i == normals)
			ad_buf_putc(&all, '\n');
		ad_buf_puts(&all, sorted[i]);
	}
	if (all.failed)
		code = ad_fail_nomem(err);
	else
		ad_sha256_hex(all.data, all.size, out);
	ad_buf_release(&all);
	ad_free(sorted);
	return code;
}

/* -- setting ----------------------------------------------------------------------------------------- */

void adtool_threshold_options_init(adtool_threshold_options *o)
{
	memset(o, 0, sizeof(*o));
	o->rule = ADTOOL_RULE_CONFORMAL;
	o->alpha = 0.01;
	o->factor = 1;
}

static int set_quantile(adtool_model_info *info, const double *scores, size_t n, const adtool_threshold_options *o,
                        adtool_error *err)
{
	double at;
	int code;

	if (!(o->factor > 0) || !isfinite(o->factor))
		return ad_fail(err, ADTOOL_EINVAL, "factor %g: it must be above 0", o->factor);
	code = ad_quantile(scores, n, o->quantile, &at, err);
	if (code)
		return code;
	if (at <= 0 && (o->factor < 1 || o->factor > 1))
		return ad_fail(err, ADTOOL_EINVAL,
		               "the %g quantile of the calibration scores is %g; a factor makes sense above 0 only",
		               o->quantile, at);
	info->quantile = o->quantile;
	info->factor = o->factor;
	info->threshold = o->factor * at;
	return 0;
}

static int set_tail(adtool_model_info *info, const double *scores, size_t n, double alpha, adtool_error *err)
{
	ad_tail tail;
	int code = ad_tail_fit(scores, n, &tail, err);

	if (!code)
		code = ad_tail_limit(&tail, alpha, &info->threshold, err);
	if (code)
		return code;
	info->alpha = alpha;
	info->tail_start = tail.start;
	info->tail_shape = tail.shape;
	info->tail_scale = tail.scale;
	info->tail_excesses = tail.excesses;
	return 0;
}

static int set_labelled(adtool_model_info *info, const adtool_threshold_options *o, adtool_error *err)
{
	const adtool_labelled *l = o->labelled;
	int code;

	if (!l || !l->anomalies || (o->rule != ADTOOL_RULE_TPR && l->anomalies == l->count))
		return ad_fail(err, ADTOOL_EINVAL,
			       "%zu normal and %zu anomalous pictures: at least one of each is needed",
			       l ? l->count - l->anomalies : 0, l ? l->anomalies : 0);
	if (o->rule == ADTOOL_RULE_TPR)
		code = ad_tpr_limit(l->scores, l->anomalous, l->count, info->tpr = o->tpr, &info->threshold, err);
	else if (o->rule == ADTOOL_RULE_F1)
		code = ad_f1_limit(l->scores, l->anomalous, l->count, &info->threshold, err);
	else
		code = ad_cost_limit(l->scores, l->anomalous, l->count, info->cost_false_alarm = o->cost_false_alarm,
		                     info->cost_miss = o->cost_miss, &info->threshold, err);
	info->labelled_normals = l->count - l->anomalies;
	info->labelled_anomalies = l->anomalies;
	return code ? code : labelled_digest(l, info->labelled_digest, err);
}

static int set_rule(adtool_model_info *info, const adtool_model *model, const adtool_threshold_options *o,
                    adtool_error *err)
{
	size_t n;
	const double *scores = adtool_model_calibration(model, &n);
	ad_limit limit = ad_limit_of(info);
	int code = 0;

	info->alpha = info->quantile = info->factor = 0;
	info->tail_start = info->tail_shape = info->tail_scale = 0;
	info->tail_excesses = 0;
	info->tpr = info->cost_false_alarm = info->cost_miss = 0;
	info->labelled_normals = info->labelled_anomalies = 0;
	memset(info->labelled_digest, 0, sizeof(info->labelled_digest));
	info->rule = o->rule;
	switch (o->rule) {
	case ADTOOL_RULE_CONFORMAL:
	case ADTOOL_RULE_EXTRAPOLATED:
		code = ad_limit_at(scores, n, &limit.box, o->alpha, &limit, err);
		if (code)
			break;
		info->rule = limit.rule;
		info->alpha = o->alpha;
		info->threshold = limit.threshold;
		info->normals_needed = limit.needed;
		break;
	case ADTOOL_RULE_TAIL:
		code = set_tail(info, scores, n, o->alpha, err);
		break;
	case ADTOOL_RULE_QUANTILE:
		code = set_quantile(info, scores, n, o, err);
		break;
	case ADTOOL_RULE_VALUE:
		info->threshold = o->value;
		break;
	case ADTOOL_RULE_TPR:
	case ADTOOL_RULE_F1:
	case ADTOOL_RULE_COST:
		code = set_labelled(info, o, err);
		break;
	default:
		code = ad_fail(err, ADTOOL_EINVAL, "rule %d cannot be a model's", (int)o->rule);
		break;
	}
	if (!code && !isfinite(info->threshold))
		code = ad_fail(err, ADTOOL_EINVAL, "the threshold must be a finite number");
	return code;
}

int adtool_threshold_set(adtool_model *model, const adtool_threshold_options *o, adtool_error *err)
{
	adtool_model_info info = *adtool_model_get_info(model);
	adtool_threshold_row warning;
	int code = o->keep ? 0 : set_rule(&info, model, o, err);

	if (!code && o->set_warning) {
		info.warn_alpha = info.warn_threshold = 0;
		if (o->warn_alpha > 0 || o->warn_alpha < 0 || isnan(o->warn_alpha)) {
			code = adtool_threshold_at(model, o->warn_alpha, &warning, err);
			if (!code) {
				info.warn_alpha = o->warn_alpha;
				info.warn_threshold = warning.threshold;
			}
		}
	}
	if (!code && info.warn_alpha > 0 && !(info.warn_threshold < info.threshold))
		code = ad_fail(err, ADTOOL_EINVAL,
		               "the second limit, %.6g for alpha %g, would not lie below the threshold of %.6g",
		               info.warn_threshold, info.warn_alpha, info.threshold);
	if (!code) {
		model->info = info;
		model->limit = ad_limit_of(&info);
	}
	return code;
}
