/* What an evaluation found, for people and for programs. */
#include <math.h>

#include "eval.h"

/* Mean, and the standard deviation of the folds. */
static void fold_statistics(const eval_folds *f, double *mean, double *deviation)
{
	double sum = 0, squares = 0;

	for (unsigned i = 0; i < f->done; i++)
		sum += f->auroc[i];
	*mean = sum / f->done;
	for (unsigned i = 0; i < f->done; i++)
		squares += (f->auroc[i] - *mean) * (f->auroc[i] - *mean);
	*deviation = sqrt(squares / (f->done - 1));
}

/* -- text -------------------------------------------------------------------------------------------- */

static void print_interval(const eval_results *r, double value, const adtool_interval *interval)
{
	cli_print("%.4f", value);
	if (r->has_intervals)
		cli_print(", 95 %% interval %.4f to %.4f", interval->low, interval->high);
	cli_print("\n");
}

static void print_rates_text(const eval_results *r)
{
	for (size_t i = 0; i < r->tpr_count; i++) {
		const eval_rate *at = &r->fpr_at_tpr[i];
		cli_print("FPR at TPR %-9g %.4f from a score of %.6g\n", at->asked, at->rate, at->threshold);
	}
	for (size_t i = 0; i < r->fpr_count; i++) {
		const eval_rate *at = &r->tpr_at_fpr[i];
		cli_print("TPR at FPR %-9g %.4f", at->asked, at->rate);
		if (isfinite(at->threshold))
			cli_print(" from a score of %.6g", at->threshold);
		cli_print("\n");
	}
}

static void print_pixels_text(const evaluation *e, const adtool_pixel_metrics *p)
{
	cli_print("pixel AUROC          %.4f, error at most %.2g, %zu masks\n", p->auroc, p->auroc_error,
		  e->masks_used);
	cli_print("pixel AUPRO          %.4f, error at most %.2g, %llu regions, up to FPR %g\n", p->aupro,
		  p->aupro_error, (unsigned long long)p->regions, EVAL_OVERLAP_LIMIT);
	cli_print("pixel best F1        %.4f, error at most %.2g, at a residual of %.6g\n", p->best_f1,
		  p->best_f1_error, p->best_f1_threshold);
}

void eval_print_text(const evaluation *e, const eval_results *r)
{
	const adtool_metrics *m = &r->metrics;
	const adtool_confusion *c = &r->confusion;

	cli_print("pictures             %zu normal, %zu anomalous", m->normals, m->anomalies);
	if (e->refused)
		cli_print(", %zu could not be read", e->refused);
	if (e->folds) {
		double mean, deviation;
		fold_statistics(e->folds, &mean, &deviation);
		cli_print("\ncross-validation     %u folds; no picture is scored by a model that saw it\n",
			  e->folds->done);
		cli_print("AUROC within folds   %.4f, standard deviation %.4f", mean, deviation);
	}
	cli_print("\nAUROC                ");
	print_interval(r, m->auroc, &r->auroc_interval);
	cli_print("average precision    ");
	print_interval(r, m->average_precision, &r->ap_interval);
	cli_print("best F1              %.4f at a score of %.6g\n", m->best_f1, m->best_f1_threshold);
	print_rates_text(r);
	if (r->has_pixels)
		print_pixels_text(e, &r->pixels);
	if (e->folds) {
		cli_print("\nat each fold's own threshold (alpha %g):\n", cli_train.alpha);
	} else {
		char *rule = cli_rule_text(e->model->rule, e->model->alpha);
		cli_print("\nat the threshold %.6g (%s):\n", e->model->threshold, rule);
		free(rule);
	}
	cli_print("                called normal   called anomalous\n");
	cli_print("normal          %13zu   %16zu\n", c->true_negatives, c->false_positives);
	cli_print("anomalous       %13zu   %16zu\n", c->false_negatives, c->true_positives);
	if (e->group_count < 2)
		return;
	int width = 6;
	for (size_t g = 0; g < e->group_count; g++)
		if ((int)strlen(cli_safe(e->groups[g].name)) > width)
			width = (int)strlen(cli_safe(e->groups[g].name));
	cli_print("\n%-*s   pictures   found    AUROC\n", width, "defect");
	for (size_t g = 0; g < e->group_count; g++)
		cli_print("%-*s   %8zu   %5zu   %.4f\n", width, cli_safe(e->groups[g].name), e->groups[g].count,
			  e->groups[g].found, r->group_auroc[g]);
}

/* -- JSON -------------------------------------------------------------------------------------------- */

static void print_number(const char *name, double value, const char *end)
{
	char number[CLI_NUMBER_SIZE];

	cli_print("\"%s\": %s%s", name, cli_number(number, value), end);
}

static void print_pair(const char *name, double low, double high, const char *end)
{
	char first[CLI_NUMBER_SIZE], second[CLI_NUMBER_SIZE];

	cli_print("\"%s\": [%s, %s]%s", name, cli_number(first, low), cli_number(second, high), end);
}

/* given, found: the names of the rate asked for and of the other one. */
static void print_rates_of(const char *given, const char *found, const eval_rate *rates, size_t count, const char *end)
{
	cli_print("\"%s_at_%s\": [", found, given);
	for (size_t i = 0; i < count; i++) {
		cli_print("%s{", i ? ", " : "");
		print_number(given, rates[i].asked, ", ");
		print_number(found, rates[i].rate, ", ");
		print_number("threshold", rates[i].threshold, "}");
	}
	cli_print("]%s", end);
}

static void print_rates_json(const eval_results *r)
{
	cli_print("  ");
	print_rates_of("tpr", "fpr", r->fpr_at_tpr, r->tpr_count, ",\n  ");
	print_rates_of("fpr", "tpr", r->tpr_at_fpr, r->fpr_count, ",\n");
}

static void print_folds_json(const eval_folds *f)
{
	char number[CLI_NUMBER_SIZE];
	double mean, deviation;

	fold_statistics(f, &mean, &deviation);
	cli_print("  \"folds\": {");
	print_number("auroc_mean", mean, ", ");
	print_number("auroc_deviation", deviation, ", \"auroc\": [");
	for (unsigned i = 0; i < f->done; i++)
		cli_print("%s%s", i ? ", " : "", cli_number(number, f->auroc[i]));
	cli_print("]},\n");
}

void eval_print_json(const evaluation *e, const eval_results *r)
{
	const adtool_metrics *m = &r->metrics;
	const adtool_confusion *c = &r->confusion;

	cli_print("{\n  \"normal\": %zu,\n  \"anomalous\": %zu,\n  \"errors\": %zu,\n", m->normals, m->anomalies,
		  e->refused);
	if (e->folds)
		print_folds_json(e->folds);
	cli_print("  ");
	print_number("auroc", m->auroc, ",\n  ");
	if (r->has_intervals)
		print_pair("auroc_interval", r->auroc_interval.low, r->auroc_interval.high, ",\n  ");
	print_number("average_precision", m->average_precision, ",\n  ");
	if (r->has_intervals)
		print_pair("average_precision_interval", r->ap_interval.low, r->ap_interval.high, ",\n  ");
	print_number("best_f1", m->best_f1, ",\n  ");
	print_number("best_f1_threshold", m->best_f1_threshold, ",\n  ");
	print_number("fpr_at_tpr_1", m->fpr_at_tpr_100, ",\n  ");
	print_number("fpr_at_tpr_0.95", m->fpr_at_tpr_95, ",\n");
	print_rates_json(r);
	if (!e->folds) {
		cli_print("  \"threshold\": {");
		print_number("value", e->model->threshold, ", ");
		cli_print("\"rule\": \"%s\", ", adtool_rule_name(e->model->rule));
		print_number("alpha", e->model->alpha > 0 ? e->model->alpha : NAN, "},\n");
	}
	cli_print("  \"confusion\": {\"true_positives\": %zu, \"false_positives\": %zu, \"true_negatives\": %zu, "
		  "\"false_negatives\": %zu},\n",
		  c->true_positives, c->false_positives, c->true_negatives, c->false_negatives);
	if (r->has_pixels) {
		const adtool_pixel_metrics *p = &r->pixels;
		cli_print("  \"pixel\": {");
		print_number("auroc", p->auroc, ", ");
		print_number("error_bound", p->auroc_error, ", ");
		print_number("aupro", p->aupro, ", ");
		print_number("aupro_error_bound", p->aupro_error, ", ");
		print_number("best_f1", p->best_f1, ", ");
		print_number("best_f1_error_bound", p->best_f1_error, ", ");
		print_number("best_f1_threshold", p->best_f1_threshold, ", ");
		cli_print("\"regions\": %llu, \"masks\": %zu, \"without_mask\": %zu},\n",
			  (unsigned long long)p->regions, e->masks_used, e->masks_missing);
	}
	cli_print("  \"defects\": [");
	for (size_t g = 0; g < e->group_count; g++) {
		cli_print("%s\n    {\"name\": ", g ? "," : "");
		cli_print_json_string(e->groups[g].name);
		cli_print(", \"pictures\": %zu, \"found\": %zu, ", e->groups[g].count, e->groups[g].found);
		print_number("auroc", r->group_auroc[g], "}");
	}
	cli_print("\n  ]\n}\n");
}

/* -- two models -------------------------------------------------------------------------------------- */

static void print_difference_text(const char *name, const adtool_difference *d)
{
	cli_print("%-17s   %.4f   %.4f   %+.4f   %+.4f to %+.4f   %.4f\n", name, d->a, d->b, d->b - d->a,
		  d->interval.low, d->interval.high, d->p);
}

static void print_difference_json(const char *name, const adtool_difference *d, const char *end)
{
	cli_print("  \"%s\": {", name);
	print_number("a", d->a, ", ");
	print_number("b", d->b, ", ");
	print_pair("interval", d->interval.low, d->interval.high, ", ");
	print_number("p", d->p, "}");
	cli_print("%s", end);
}

void eval_print_comparison_text(const evaluation *a, const eval_comparison *c)
{
	const adtool_difference *auroc = &c->auroc;

	cli_print("pictures  %zu normal, %zu anomalous", a->normals, a->anomalies);
	if (a->refused)
		cli_print(", %zu could not be read", a->refused);
	cli_print("\nA         %s\n", cli_safe(c->names[0]));
	cli_print("B         %s\n\n", cli_safe(c->names[1]));
	cli_print("                         A        B     B - A   95 %% interval        p\n");
	print_difference_text("AUROC", auroc);
	print_difference_text("average precision", &c->precision);
	cli_print("\np: how likely such a lead is if B were no better. %s\n",
		  auroc->p <= 0.05                              ? "B ranks better than A."
		  : 1 - auroc->p <= 0.05 && auroc->b < auroc->a ? "B ranks worse than A."
								: "These pictures do not show that B is better.");
}

void eval_print_comparison_json(const evaluation *a, const eval_comparison *c)
{
	cli_print("{\n  \"normal\": %zu,\n  \"anomalous\": %zu,\n  \"errors\": %zu,\n  \"a\": ", a->normals,
		  a->anomalies, a->refused);
	cli_print_json_string(c->names[0]);
	cli_print(",\n  \"b\": ");
	cli_print_json_string(c->names[1]);
	cli_print(",\n");
	print_difference_json("auroc", &c->auroc, ",\n");
	print_difference_json("average_precision", &c->precision, "\n}\n");
}
