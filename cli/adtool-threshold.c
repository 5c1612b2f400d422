#include <math.h>

#include "cli.h"

static const char *output, *cost;
static double alpha, value = NAN, quantile = NAN, factor = NAN, tpr, warn = NAN;
static bool tail, f1, force;
static cli_list normal_inputs, anomalous_inputs;
static int format;
static double cost_alarm, cost_miss;

static const char *const formats[] = {"text", "json", NULL};

static const cli_option options[] = {
    {CLI_DOUBLE, 0, "alpha", "A", "false-alarm rate, from the calibration scores", &alpha, 0, 1, NULL,
     CLI_ABOVE_MIN | CLI_BELOW_MAX, 1},
    {CLI_DOUBLE, 0, "value", "T", "call scores above T anomalous", &value, 0, 0, NULL, 0, 1},
    {CLI_DOUBLE, 0, "quantile", "Q", "this quantile of the calibration scores", &quantile, 0, 1, NULL, 0, 1},
    {CLI_DOUBLE, 0, "tpr", "R", "find this share of the anomalous pictures", &tpr, 0, 1, NULL, CLI_ABOVE_MIN, 1},
    {CLI_FLAG, 0, "f1", NULL, "best F1 on the labelled pictures", &f1, 0, 0, NULL, 0, 1},
    {CLI_STRING, 0, "cost", "FP:FN", "least cost, of a false alarm and of a miss", &cost, 0, 0, NULL, 0, 1},
    {CLI_FLAG, 0, "tail", NULL, "take alpha from the tail of the scores (generalised Pareto)", &tail, 0, 0, NULL, 0, 0},
    {CLI_DOUBLE, 0, "factor", "F", "times this (with --quantile; default 1)", &factor, 0, 0, NULL, 0, 0},
    {CLI_DOUBLE, 0, "warn", "A2", "call pictures above this rate's limit suspect; 0: none", &warn, 0, 1, NULL,
     CLI_BELOW_MAX, 0},
    {CLI_LIST, 0, "normal", "INPUT...", "labelled pictures of normal things", &normal_inputs, 0, 0, NULL, 0, 0},
    {CLI_LIST, 0, "anomalous", "INPUT...", "labelled pictures of anomalous things", &anomalous_inputs, 0, 0, NULL, 0,
     0},
    {CLI_STRING, 'o', "output", "MODEL", "write the changed model here (default: in place)", &output, 0, 0, NULL, 0, 0},
    {CLI_WORD, 0, "format", "text|json", "how the result is written (default text)", &format, 0, 0, formats, 0, 0},
    CLI_OPTION_NULL,
    CLI_OPTION_JOBS,
    CLI_OPTION_FORCE("MODEL"),
    CLI_OPTION_END,
};

/* -- the command line -------------------------------------------------------------------------------- */

static int parse_cost(void)
{
	char *end;

	cost_alarm = strtod(cost, &end);
	if (end != cost && *end == ':') {
		const char *second = end + 1;
		cost_miss = strtod(second, &end);
		if (end != second && !*end && cost_alarm > 0 && cost_miss > 0 && isfinite(cost_alarm) &&
		    isfinite(cost_miss))
			return 0;
	}
	return cli_usage_error("option '--cost': '%s' is not FP:FN, two numbers above 0", cost);
}

static bool labelled_rule(void)
{
	return tpr > 0 || f1 || cost;
}

/* What the options ask for; *changes tells whether anything. */
static int read_options(adtool_threshold_options *o, bool *changes)
{
	adtool_threshold_options_init(o);
	if (isfinite(factor) && !isfinite(quantile))
		return cli_usage_error("option '--factor' needs --quantile");
	if (isfinite(factor) && !(factor > 0))
		return cli_usage_error("option '--factor': it must be above 0");
	if (tail && (isfinite(value) || isfinite(quantile) || labelled_rule()))
		return cli_usage_error("option '--tail' goes with --alpha only");
	if ((normal_inputs.count || anomalous_inputs.count) && !labelled_rule())
		return cli_usage_error("labelled pictures need --tpr, --f1 or --cost");
	if (labelled_rule() && (!anomalous_inputs.count || (!normal_inputs.count && !(tpr > 0))))
		return cli_usage_error("option '--%s' needs %s", tpr > 0 ? "tpr" : f1 ? "f1" : "cost",
				       tpr > 0 ? "--anomalous" : "--normal and --anomalous");
	if (cost && parse_cost())
		return CLI_USAGE;
	if (tpr > 0)
		o->rule = ADTOOL_RULE_TPR;
	else if (f1)
		o->rule = ADTOOL_RULE_F1;
	else if (cost)
		o->rule = ADTOOL_RULE_COST;
	else if (isfinite(value))
		o->rule = ADTOOL_RULE_VALUE;
	else if (isfinite(quantile))
		o->rule = ADTOOL_RULE_QUANTILE;
	else if (tail)
		o->rule = ADTOOL_RULE_TAIL;
	else
		o->keep = !(alpha > 0);
	if (alpha > 0)
		o->alpha = alpha;
	o->value = value;
	o->quantile = quantile;
	if (isfinite(factor))
		o->factor = factor;
	o->tpr = tpr;
	o->cost_false_alarm = cost_alarm;
	o->cost_miss = cost_miss;
	o->set_warning = isfinite(warn);
	o->warn_alpha = o->set_warning ? warn : 0;
	*changes = !o->keep || o->set_warning;
	return 0;
}

/* -- labelled pictures ------------------------------------------------------------------------------- */

typedef struct labelling {
	uint64_t count, errors;
	const char *stage;
} labelling;

static int count_row(void *context, const adtool_row *row)
{
	labelling *l = context;

	if (row->verdict == ADTOOL_ERROR) {
		cli_message(row->name, "%s", row->why);
		l->errors++;
	}
	return cli_progress(NULL, l->stage, ++l->count, 0);
}

static int score_labelled(const adtool_model *model, adtool_labelled *labelled, const cli_list *inputs, bool anomalous,
			  uint64_t *errors)
{
	labelling l = {.stage = anomalous ? "anomalous" : "normal"};
	adtool_dataset_options dataset_options;
	adtool_score_options o;
	adtool_dataset *dataset = NULL;
	adtool_error err;

	if (!inputs->count)
		return 0;
	cli_dataset_options(&dataset_options);
	adtool_score_options_init(&o);
	o.max_pixels = cli_limits.pixels;
	o.isolate = 1;
	o.threads = cli_jobs;
	o.row = count_row;
	o.context = &l;
	int code = adtool_dataset_open(inputs->items, inputs->count, &dataset_options, &dataset, &err);
	if (!code)
		code = adtool_labelled_score(labelled, model, dataset, anomalous, &o, &err);
	cli_progress_erase();
	adtool_dataset_free(dataset);
	*errors += l.errors;
	return code ? cli_fail("threshold", &err) : 0;
}

/* -- what is printed --------------------------------------------------------------------------------- */

static const double alphas[] = {0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001};
enum { ALPHAS = sizeof(alphas) / sizeof(*alphas) };

static void print_table(const adtool_model *model)
{
	adtool_threshold_row row;
	adtool_error err;

	cli_print("\n%-8s  %-12s  %-9s  %-16s  %s\n", "alpha", "threshold", "per 1,000", "90 % of the time",
		  "normals needed");
	for (size_t i = 0; i < ALPHAS; i++) {
		if (adtool_threshold_at(model, alphas[i], &row, &err)) {
			cli_print("%-8g  %s\n", alphas[i], err.message);
			continue;
		}
		cli_print("%-8g  %-12.6g  %-9.3g  ", alphas[i], row.threshold, 1000 * row.rate.expected);
		if (isfinite(row.rate.low))
			cli_print("%6.3g .. %-6.3g  ", 1000 * row.rate.low, 1000 * row.rate.high);
		else
			cli_print("%-16s  ", "extrapolated");
		cli_print("%zu\n", row.needed);
	}
	cli_print("\nPer 1,000: false alarms to expect among 1,000 normal pictures like those of the calibration.\n");
}

static void print_text(const adtool_model *model, const char *path)
{
	const adtool_model_info *m = adtool_model_get_info(model);
	adtool_false_alarms rate;

	cli_print("model          %s\n", cli_safe(path));
	cli_print_rule(m);
	if (m->rule != ADTOOL_RULE_CONFORMAL) {
		adtool_threshold_false_alarms(model, m->threshold, &rate);
		cli_print(
		    "  per 1,000    %.3g false alarms among the calibration pictures; %.3g .. %.3g 90 %% of the time\n",
		    1000 * rate.expected, 1000 * rate.low, 1000 * rate.high);
	}
	cli_print_calibration(model);
	if (cli_weakness(m))
		cli_print("  weak         from %zu pictures any threshold is %s\n", m->calibration_count,
			  cli_weakness(m));
	print_table(model);
}

static void print_number(const char *name, double number, const char *end)
{
	char text[CLI_NUMBER_SIZE];

	cli_print("\"%s\": %s%s", name, cli_number(text, number), end);
}

static void print_rate(const adtool_false_alarms *rate, const char *end)
{
	print_number("expected", rate->expected, ", ");
	print_number("low", rate->low, ", ");
	print_number("high", rate->high, end);
}

static void print_json(const adtool_model *model, const char *path)
{
	const adtool_model_info *m = adtool_model_get_info(model);
	adtool_threshold_row row;
	adtool_false_alarms rate;
	adtool_error err;
	const char *separator = "";

	cli_print("{\n  \"model\": ");
	cli_print_json_string(path);
	cli_print(",\n  \"rule\": \"%s\",\n  ", adtool_rule_name(m->rule));
	print_number("threshold", m->threshold, ",\n  ");
	print_number("alpha", m->alpha > 0 ? m->alpha : NAN, ",\n  ");
	print_number("warn_alpha", m->warn_alpha > 0 ? m->warn_alpha : NAN, ",\n  ");
	print_number("warn_threshold", m->warn_alpha > 0 ? m->warn_threshold : NAN, ",\n  ");
	cli_print("\"calibration\": %zu,\n  \"among_calibration\": {", m->calibration_count);
	adtool_threshold_false_alarms(model, m->threshold, &rate);
	print_rate(&rate, "},\n  \"table\": [");
	for (size_t i = 0; i < ALPHAS; i++) {
		if (adtool_threshold_at(model, alphas[i], &row, &err))
			continue;
		cli_print("%s\n    {", separator);
		print_number("alpha", row.alpha, ", ");
		print_number("threshold", row.threshold, ", ");
		cli_print("\"rule\": \"%s\", \"false_alarms\": {", adtool_rule_name(row.rule));
		print_rate(&row.rate, "}, ");
		cli_print("\"normals_needed\": %zu}", row.needed);
		separator = ",";
	}
	cli_print("\n  ]\n}\n");
}

/* -- the job ----------------------------------------------------------------------------------------- */

static int change(adtool_model *model, adtool_threshold_options *o, const char *path, uint64_t *errors)
{
	adtool_labelled *labelled = NULL;
	adtool_error err;
	int status = 0;

	/* Said before pictures are scored in vain. */
	if (adtool_model_may_save(path, force, &err))
		return cli_fail(path, &err);
	if (adtool_labelled_create(&labelled, &err))
		return cli_fail("threshold", &err);
	status = score_labelled(model, labelled, &normal_inputs, false, errors);
	if (!status)
		status = score_labelled(model, labelled, &anomalous_inputs, true, errors);
	o->labelled = labelled;
	if (!status && adtool_threshold_set(model, o, &err))
		status = cli_fail("threshold", &err);
	if (!status && adtool_model_save(model, path, force, &err))
		status = cli_fail(path, &err);
	adtool_labelled_free(labelled);
	return status;
}

static int run(size_t count, const char **operands)
{
	adtool_threshold_options o;
	adtool_model *model = NULL;
	uint64_t errors = 0;
	bool changes = false;
	int status = read_options(&o, &changes);

	if (!status)
		status = cli_check_no_model(&normal_inputs, "normal");
	if (!status)
		status = cli_check_no_model(&anomalous_inputs, "anomalous");
	if (status)
		return status;
	if (output && !changes)
		return cli_usage_error("option '--output': nothing is to be changed");
	const char *path = cli_model_path(count ? operands[0] : NULL);
	if (!path || cli_open_model(path, &model))
		return CLI_FAILURE;
	if (changes)
		status = change(model, &o, output ? output : path, &errors);
	if (!status && format)
		print_json(model, output ? output : path);
	else if (!status && !(changes && cli_quiet))
		print_text(model, output ? output : path);
	adtool_model_free(model);
	return status ? status : errors ? CLI_UNREADABLE : CLI_OK;
}

const cli_command cli_program = {
    .name = "threshold",
    .page = "adtool-threshold",
    .operands = "[MODEL]",
    .options = options,
    .max_operands = 1,
    .run = run,
};
