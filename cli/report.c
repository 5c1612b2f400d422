/* --report: what train, score and eval put on the same page. */
#include "cli.h"

int cli_report_open(enum adtool_page_kind kind, const char *dir, adtool_page **page)
{
	adtool_error err;

	return adtool_page_create(kind, dir, page, &err) ? cli_fail(dir, &err) : 0;
}

/* What other false-alarm rates would ask for. */
static int add_thresholds(adtool_page *page, const adtool_model *model, adtool_error *err)
{
	static const double alphas[] = {0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001};
	static const char *const columns[] = {"false-alarm rate", "false alarms per 1000", "threshold", "rule"};
	int code =
	    adtool_page_table(page, "Other thresholds",
			      "What the calibration gives for other false-alarm rates. Extrapolated: too few normal "
			      "pictures for that rate.",
			      columns, 4, err);

	for (size_t i = 0; !code && i < sizeof(alphas) / sizeof(*alphas); i++) {
		enum adtool_rule rule;
		double threshold;
		if (adtool_model_threshold_at(model, alphas[i], &threshold, &rule, NULL))
			continue;
		char *cells[] = {cli_text("%g", alphas[i]), cli_text("%g", 1000 * alphas[i]),
				 cli_text("%.6g", threshold), cli_text("%s", adtool_rule_name(rule))};
		code = adtool_page_table_row(page, (const char *const *)cells, err);
		for (size_t k = 0; k < 4; k++)
			free(cells[k]);
	}
	return code;
}

int cli_report_write(adtool_page *page, const char *dir, const adtool_model *model, adtool_page_facts *facts)
{
	adtool_error err;

	facts->model = adtool_model_get_info(model);
	facts->calibration = adtool_model_calibration(model, &facts->calibration_count);
	int code = add_thresholds(page, model, &err);
	if (!code)
		code = adtool_page_write(page, facts, &err);
	return code ? cli_fail(dir, &err) : 0;
}
