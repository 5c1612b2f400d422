#include <math.h>

#include "cli.h"

static const char *scores_path;
static int format;
static double alpha = 0.01, tolerance = 0.05;
static uint64_t seed;
static size_t show = 10;
static bool exit_code;

enum { TABLE, JSON };
static const char *const formats[] = {"table", "json", NULL};

static const cli_option options[] = {
    {CLI_STRING, 0, "scores", "ROWS", "look at these rows of 'adtool score' (-: standard input)", &scores_path, 0, 0,
     NULL, 0, 0},
    {CLI_WORD, 0, "format", "table|json", "how the findings are written (default table)", &format, 0, 0, formats, 0, 0},
    {CLI_DOUBLE, 0, "alpha", "A", "probability of an alarm while nothing drifts (default 0.01)", &alpha, 0, 1, NULL,
     CLI_ABOVE_MIN | CLI_BELOW_MAX, 0},
    {CLI_DOUBLE, 0, "tolerance", "R", "share of the pictures that may differ without being drift (default 0.05)",
     &tolerance, 0, 1, NULL, CLI_BELOW_MAX, 0},
    {CLI_COUNT, 0, "show", "N", "name this many pictures (default 10)", &show, 0, 1 << 30, NULL, 0, 0},
    {CLI_WHOLE, 0, "seed", "S", "of the randomisation among equal scores (default 0)", &seed, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "exit-code", NULL, "end with status 1 when there is drift", &exit_code, 0, 0, NULL, 0, 0},
    CLI_OPTION_NULL,
    CLI_OPTION_JOBS,
    CLI_OPTION_END,
};

/* What is looked at, in its order. */
typedef struct picture {
	char *name;
	double score, p;
} picture;

static picture *pictures;
static size_t count, capacity;
static uint64_t errors;

static int take_row(void *context, const adtool_row *row)
{
	(void)context;
	if (row->verdict == ADTOOL_ERROR) {
		errors++;
		if (!scores_path)
			cli_message(row->name, "%s", row->why);
		return 0;
	}
	if (count == capacity) {
		capacity = capacity ? capacity * 2 : 256;
		pictures = cli_realloc(pictures, capacity, sizeof(*pictures));
	}
	pictures[count++] = (picture){cli_text("%s", row->name), row->score, row->p};
	return scores_path ? 0 : cli_progress(NULL, "pictures", count, 0);
}

/* -- where the scores come from ---------------------------------------------------------------------- */

/* Rows of another model would show as drift. Its own have one of two p-values, unless it was given another rule since.
 */
static bool is_of_model(const adtool_model *model, const picture *x)
{
	size_t n, low = 0, high;
	const double *calibration = adtool_model_calibration(model, &n);
	double p = adtool_model_p_value(model, x->score);

	for (high = n; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (calibration[middle] < x->score)
			low = middle + 1;
		else
			high = middle;
	}
	double conformal = (1 + (double)(n - low)) / (1 + (double)n);
	return fabs(p - x->p) <= 1e-6 * p || fabs(conformal - x->p) <= 1e-6 * conformal;
}

static int read_rows(const adtool_model *model)
{
	adtool_rows *rows;
	adtool_error err;
	const char *name = strcmp(scores_path, "-") ? scores_path : "standard input";

	if (adtool_rows_read(scores_path, &rows, &err))
		return cli_fail(name, &err);
	for (size_t i = 0; i < adtool_rows_count(rows); i++)
		take_row(NULL, adtool_rows_at(rows, i));
	adtool_rows_free(rows);
	for (size_t i = 0; i < count; i++) {
		if (is_of_model(model, &pictures[i]))
			continue;
		cli_message(
		    name,
		    "%s: p is %g where this model gives %g to its score: were these rows scored with another one?",
		    pictures[i].name, pictures[i].p, adtool_model_p_value(model, pictures[i].score));
		break;
	}
	return CLI_OK;
}

static int score_pictures(const adtool_model *model, const char **inputs, size_t n)
{
	adtool_dataset *dataset = NULL;
	adtool_dataset_options dataset_options;
	adtool_score_options o;
	adtool_error err;

	cli_dataset_options(&dataset_options);
	adtool_score_options_init(&o);
	o.max_pixels = cli_limits.pixels;
	o.isolate = 1;
	o.threads = cli_jobs;
	o.row = take_row;
	int code = adtool_dataset_open(inputs, n, &dataset_options, &dataset, &err);
	if (!code)
		code = adtool_score(model, dataset, &o, NULL, &err);
	cli_progress_erase();
	adtool_dataset_free(dataset);
	return code ? cli_fail("drift", &err) : CLI_OK;
}

/* -- findings ---------------------------------------------------------------------------------------- */

static int direction;

/* The clearest first; equal ones in their order. */
static int compare_pictures(const void *a, const void *b)
{
	const picture *x = *(const picture *const *)a, *y = *(const picture *const *)b;

	if (x->score != y->score)
		return (x->score < y->score) == (direction > 0) ? 1 : -1;
	return x < y ? -1 : x > y;
}

/* The pictures that speak most for the drift: *n of them. The caller frees. */
static const picture **clearest(const adtool_drift *d, size_t *n)
{
	size_t since = d->drift ? d->since : count;
	const picture **list = cli_alloc(count - since, sizeof(*list));

	for (size_t i = since; i < count; i++)
		list[i - since] = &pictures[i];
	direction = d->direction;
	qsort(list, count - since, sizeof(*list), compare_pictures);
	*n = count - since < show ? count - since : show;
	return list;
}

static const char *power(char out[CLI_NUMBER_SIZE], double log10_value)
{
	if (log10_value < 5)
		snprintf(out, CLI_NUMBER_SIZE, "%.3g", pow(10, log10_value));
	else
		snprintf(out, CLI_NUMBER_SIZE, "10^%.1f", log10_value);
	return out;
}

static void print_part(const char *title, const adtool_drift_part *part)
{
	if (part->rows)
		cli_print("%-14s %zu pictures, %zu anomalous; median score %.6g, median p %.3g\n", title, part->rows,
			  part->anomalous, part->median_score, part->median_p);
}

/* A name within a line. */
static void print_name(const char *name)
{
	for (const char *c = name; *c; c++) {
		if (*c == '\t' || *c == '\n' || *c == '\r' || *c == '\\')
			cli_print("\\%c", *c == '\t' ? 't' : *c == '\n' ? 'n' : *c == '\r' ? 'r' : '\\');
		else
			cli_write(c, 1);
	}
}

static void print_table(const adtool_drift *d, size_t calibrated)
{
	char peak[CLI_NUMBER_SIZE], last[CLI_NUMBER_SIZE], needed[CLI_NUMBER_SIZE];

	if (d->drift) {
		cli_print("drift          yes: scores are %s", d->direction > 0 ? "higher" : "lower");
		cli_print("\nsince          row %zu of %zu, ", d->since + 1, count);
		print_name(pictures[d->since].name);
	} else {
		cli_print("drift          no");
	}
	cli_print("\nlooked at      %zu pictures against %zu calibration scores of median %.6g", count, calibrated,
		  d->calibration_median);
	if (errors)
		cli_print("; %llu errors left out", (unsigned long long)errors);
	cli_print("\n");
	print_part(d->drift ? "before" : "all", &d->before);
	print_part("since then", &d->after);
	cli_print("uniformity     Kolmogorov-Smirnov distance %.3f, p %.2g (%s); beyond the tolerance p %.2g: %s\n",
		  d->ks, d->ks_p, d->ks_exact ? "exact" : "asymptotic", d->ks_excess_p,
		  d->ks_alarm ? "alarm" : "no alarm");
	cli_print("               low p-values too many by %.1f %% of the pictures, high ones by %.1f %%\n",
		  100 * d->ks_higher, 100 * d->ks_lower);
	cli_print("martingale     %s at its highest, %s at the end; %s takes %s", power(peak, d->martingale_peak),
		  power(last, d->martingale), "an alarm", power(needed, log10(2 / alpha)));
	if (d->martingale_alarm) {
		cli_print("\n               reached at row %zu, ", d->noticed + 1);
		print_name(pictures[d->noticed].name);
	}
	cli_print("\nanomalous      %zu; false alarms alone: %.1f expected, so many or more with probability %.2g\n",
		  d->before.anomalous + d->after.anomalous, d->anomalous_expected, d->anomalous_p);
	size_t n;
	const picture **list = clearest(d, &n);
	if (n)
		cli_print("\nThe %s scores since then:\n", d->direction > 0 ? "highest" : "lowest");
	for (size_t i = 0; i < n; i++) {
		print_name(list[i]->name);
		cli_print("\t%.6g\t%.3g\n", list[i]->score, list[i]->p);
	}
	free(list);
}

static void json_number(const char *key, double value)
{
	char number[CLI_NUMBER_SIZE];

	cli_print(",\n    \"%s\": %s", key, cli_number(number, value));
}

static void json_picture(size_t row)
{
	cli_print("{ \"row\": %zu, \"path\": ", row + 1);
	cli_print_json_string(pictures[row].name);
	char score[CLI_NUMBER_SIZE], p[CLI_NUMBER_SIZE];
	cli_print(", \"score\": %s, \"p\": %s }", cli_number(score, pictures[row].score),
		  cli_number(p, pictures[row].p));
}

static void json_part(const char *key, const adtool_drift_part *part)
{
	cli_print(",\n  \"%s\": {\n    \"pictures\": %zu,\n    \"anomalous\": %zu", key, part->rows, part->anomalous);
	json_number("median_score", part->median_score);
	json_number("median_p", part->median_p);
	cli_print("\n  }");
}

static void print_json(const adtool_drift *d, size_t calibrated)
{
	cli_print("{\n  \"drift\": %s,\n  \"direction\": %s,\n  \"since\": ", d->drift ? "true" : "false",
		  d->direction > 0   ? "\"higher\""
		  : d->direction < 0 ? "\"lower\""
				     : "null");
	if (d->drift)
		json_picture(d->since);
	else
		cli_print("null");
	cli_print(",\n  \"pictures\": %zu,\n  \"errors\": %llu", count, (unsigned long long)errors);
	json_part("before", &d->before);
	json_part("after", &d->after);
	cli_print(",\n  \"calibration\": {\n    \"count\": %zu", calibrated);
	json_number("median_score", d->calibration_median);
	cli_print("\n  },\n  \"kolmogorov_smirnov\": {\n    \"alarm\": %s,\n    \"exact\": %s",
		  d->ks_alarm ? "true" : "false", d->ks_exact ? "true" : "false");
	json_number("distance", d->ks);
	json_number("higher", d->ks_higher);
	json_number("lower", d->ks_lower);
	json_number("at", d->ks_at);
	json_number("p", d->ks_p);
	json_number("p_beyond_tolerance", d->ks_excess_p);
	cli_print("\n  },\n  \"martingale\": {\n    \"alarm\": %s,\n    \"noticed\": ",
		  d->martingale_alarm ? "true" : "false");
	if (d->martingale_alarm)
		json_picture(d->noticed);
	else
		cli_print("null");
	json_number("log10_peak", d->martingale_peak);
	json_number("log10_last", d->martingale);
	json_number("log10_needed", log10(2 / alpha));
	cli_print("\n  },\n  \"anomalous\": {\n    \"count\": %zu", d->before.anomalous + d->after.anomalous);
	json_number("expected", d->anomalous_expected);
	json_number("p", d->anomalous_p);
	size_t n;
	const picture **list = clearest(d, &n);
	cli_print("\n  },\n  \"clearest\": [");
	for (size_t i = 0; i < n; i++) {
		cli_print("%s\n    ", i ? "," : "");
		json_picture((size_t)(list[i] - pictures));
	}
	free(list);
	cli_print("%s]\n}\n", n ? "\n  " : "");
}

static int run(size_t operand_count, const char **operands)
{
	adtool_model *model = NULL;
	adtool_drift_options o;
	adtool_drift d;
	adtool_error err;
	size_t n;

	if (scores_path && operand_count > 1)
		return cli_usage_error("either --scores or pictures, not both: '%s'", operands[1]);
	if (!scores_path && operand_count < 2)
		return cli_usage_error("nothing to look at: --scores ROWS, or pictures");
	int status = cli_open_model(operands[0], &model);
	if (status)
		return status;
	status = scores_path ? read_rows(model) : score_pictures(model, operands + 1, operand_count - 1);
	if (!status && !count) {
		cli_message(scores_path ? scores_path : "drift", "no picture with a score");
		status = CLI_FAILURE;
	}
	if (!status) {
		const double *calibration = adtool_model_calibration(model, &n);
		double *scores = cli_alloc(count, sizeof(*scores));
		for (size_t i = 0; i < count; i++)
			scores[i] = pictures[i].score;
		adtool_drift_options_init(&o);
		o.alpha = alpha;
		o.tolerance = tolerance;
		o.seed = seed;
		o.threshold = adtool_model_get_info(model)->threshold;
		if (adtool_drift_test(calibration, n, scores, count, &o, NULL, NULL, &d, &err))
			status = cli_fail("drift", &err);
		free(scores);
	}
	if (!status) {
		(format == JSON ? print_json : print_table)(&d, n);
		status = errors && !scores_path ? CLI_UNREADABLE : exit_code && d.drift ? CLI_ANOMALOUS : CLI_OK;
	}
	for (size_t i = 0; i < count; i++)
		free(pictures[i].name);
	free(pictures);
	adtool_model_free(model);
	return status;
}

const cli_command cli_program = {
    .name = "drift",
    .page = "adtool-drift",
    .operands = "MODEL [INPUT...]",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};
