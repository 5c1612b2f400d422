#include "cli.h"

char *cli_rule_text(enum adtool_rule rule, double alpha)
{
	switch (rule) {
	case ADTOOL_RULE_VALUE:
		return cli_text("given by hand");
	case ADTOOL_RULE_QUANTILE:
		return cli_text("quantile of the calibration scores");
	case ADTOOL_RULE_TPR:
		return cli_text("true-positive rate on labelled pictures");
	case ADTOOL_RULE_F1:
		return cli_text("best F1 on labelled pictures");
	case ADTOOL_RULE_COST:
		return cli_text("least cost on labelled pictures");
	case ADTOOL_RULE_FDR:
		return cli_text("false-discovery rate");
	default:
		return cli_text("%s, alpha %g", adtool_rule_name(rule), alpha);
	}
}

void cli_print_rule(const adtool_model_info *m)
{
	char *rule = cli_rule_text(m->rule, m->alpha);

	cli_print("threshold      anomalous above %.9g\n", m->threshold);
	cli_print("  rule         %s\n", rule);
	free(rule);
	switch (m->rule) {
	case ADTOOL_RULE_EXTRAPOLATED:
		cli_print("               extrapolated: %zu pictures cannot support alpha %g; %zu would\n",
			  m->calibration_count, m->alpha, m->normals_needed);
		break;
	case ADTOOL_RULE_QUANTILE:
		cli_print("  quantile     %g, times %g\n", m->quantile, m->factor);
		break;
	case ADTOOL_RULE_TAIL:
		cli_print("  tail         generalised Pareto of %zu scores above %.6g: shape %.4g, scale %.4g\n",
			  m->tail_excesses, m->tail_start, m->tail_shape, m->tail_scale);
		break;
	case ADTOOL_RULE_TPR:
		cli_print("  rate         %g\n", m->tpr);
		break;
	case ADTOOL_RULE_COST:
		cli_print("  costs        false alarm %g, miss %g\n", m->cost_false_alarm, m->cost_miss);
		break;
	default:
		break;
	}
	if (m->labelled_anomalies) {
		cli_print("  labelled     %zu normal, %zu anomalous\n", m->labelled_normals, m->labelled_anomalies);
		cli_print("  digest       %s\n", cli_safe(m->labelled_digest));
	}
	if (m->warn_alpha > 0)
		cli_print("  suspect      above %.9g (alpha %g)\n", m->warn_threshold, m->warn_alpha);
}

void cli_print_calibration(const adtool_model *model)
{
	static const char *const kinds[] = {"refits on folds", "refits, each picture left out once",
					    "pictures held out"};
	const adtool_model_info *m = adtool_model_get_info(model);
	size_t n;
	const double *scores = adtool_model_calibration(model, &n);

	cli_print("calibration    %zu scores, by %s", m->calibration_count, kinds[m->calibration]);
	if (m->calibration == ADTOOL_CV_FOLDS)
		cli_print(" (%u)", m->folds);
	cli_print("\n");
	if (m->groups)
		cli_print("  groups       %zu, by %s\n", m->groups, cli_safe(m->group_by));
	if (n)
		cli_print("  scores       %.6g .. %.6g, median %.6g\n", scores[0], scores[n - 1],
			  n % 2 ? scores[n / 2] : (scores[n / 2 - 1] + scores[n / 2]) / 2);
}

const char *cli_weakness(const adtool_model_info *m)
{
	if (m->calibration_count >= CLI_FEW)
		return NULL;
	return m->calibration_count < 10 ? "a first guess, no more" : "rough";
}
