#include <math.h>
#include <unistd.h>

#include "cli.h"

static const char *report_dir;
static double fdr;
static bool exit_code, stdin_image;
static uint64_t memory;

static const cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTIONS_ROWS,
    {CLI_STRING, 0, "report", "DIR", "write a report on all pictures here: index.html", &report_dir, 0, 0, NULL, 0, 0},
    CLI_OPTIONS_DECISION,
    {CLI_DOUBLE, 0, "fdr", "Q", "hold this false-discovery rate over the batch; rows come at the end", &fdr, 0, 1, NULL,
     CLI_ABOVE_MIN | CLI_BELOW_MAX, 1},
    {CLI_FLAG, 0, "exit-code", NULL, "end with status 1 when something is anomalous", &exit_code, 0, 0, NULL, 0, 0},
    {CLI_FLAG, '0', "null", NULL, "paths read from standard input, and rows of tsv, end in NUL, not newline", &cli_null,
     0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "stdin-image", NULL, "standard input is a picture, called -, and the only one", &stdin_image, 0, 0,
     NULL, 0, 0},
    CLI_OPTIONS_PACE,
    {CLI_BYTES, 0, "memory", "SIZE", "take no more memory than this", &memory, 0, 0, NULL, 0, 0},
    CLI_OPTION_SANDBOX,
    CLI_OPTION_JOBS,
    CLI_OPTION_END,
};

typedef struct rows {
	adtool_model_info model; /* with the rule in force here */
	adtool_page *page;       /* NULL without --report */
	uint64_t count;
	bool stopped;
} rows;

static int print_row(void *context, const adtool_row *row)
{
	rows *r = context;
	adtool_error err;

	cli_progress_erase();
	if (row->verdict == ADTOOL_ERROR)
		cli_message(row->name, "%s", row->why);
	else if (fdr > 0)
		r->model.threshold = row->threshold;
	r->stopped = cli_print_row(row, &r->model);
	r->count++;
	if (!r->stopped && r->page && adtool_page_add(r->page, row, ADTOOL_TRUTH_UNKNOWN, NULL, &err)) {
		cli_fail(report_dir, &err);
		r->stopped = true;
	}
	/* Else a list that is still open would be waited for. */
	if (r->stopped)
		cli_request_stop();
	return r->stopped || cli_progress(NULL, "pictures", r->count, 0);
}

static int write_report(const adtool_model *model, const rows *r, const adtool_score_report *report)
{
	adtool_page_facts facts = {.model_path = cli_model_path(cli_score.model), .rule = r->model.rule};
	adtool_error err;

	facts.alpha = cli_score.alpha > 0 ? cli_score.alpha : r->model.alpha;
	facts.threshold = r->model.threshold;
	char *speed = cli_text("%.1f", report->seconds > 0 ? (double)r->count / report->seconds : 0.0);
	int code = adtool_page_figure(r->page, "Pictures a second", speed, "reading included", &err);
	free(speed);
	if (!code)
		code = adtool_page_timing(r->page, "scoring", report->seconds, &err);
	return code ? cli_fail(report_dir, &err) : cli_report_write(r->page, report_dir, model, &facts);
}

static int score(const adtool_model *model, adtool_dataset *dataset, adtool_score_report *report)
{
	rows r = {0};
	adtool_score_options o;
	adtool_error err;
	int status = cli_score_options(model, &o, &r.model);

	if (status)
		return status;
	o.fdr = fdr;
	o.row = print_row;
	o.context = &r;
	if (fdr > 0)
		r.model.rule = ADTOOL_RULE_FDR;
	/* The header of CSV; nothing for the others. */
	if (cli_print_row(NULL, &r.model))
		return CLI_FAILURE;
	if (report_dir) {
		if (cli_report_open(ADTOOL_PAGE_SCORE, report_dir, &r.page))
			return CLI_FAILURE;
		o.thumbnail = ADTOOL_PAGE_THUMBNAIL;
	}
	const char *const outputs[] = {o.heatmap_dir, o.overlay_dir, o.map_dir, report_dir};
	if (cli_sandbox(outputs, sizeof(outputs) / sizeof(outputs[0]))) {
		adtool_page_free(r.page);
		return CLI_FAILURE;
	}
	int code = adtool_score(model, dataset, &o, report, &err);
	cli_progress_erase();
	status = code || !r.page ? CLI_OK : write_report(model, &r, report);
	adtool_page_free(r.page);
	if (!code)
		return status;
	return r.stopped && code == ADTOOL_ECANCELLED ? CLI_FAILURE : cli_fail("score", &err);
}

/* Ranks among n calibration scores cannot tell one picture among very many. */
static void remark_resolution(const adtool_model_info *m, uint64_t scored)
{
	double needed = ceil((double)scored / ((double)m->calibration_count + 1) / fdr - 1e-9);

	if (m->rule == ADTOOL_RULE_EXTRAPOLATED || m->rule == ADTOOL_RULE_TAIL || needed <= 1)
		return;
	if (needed > (double)scored) {
		cli_warn("score",
			 "p-values of %zu calibration pictures end at %.3g, so none can be called anomalous at a "
			 "false-discovery rate of %g",
			 m->calibration_count, 1 / ((double)m->calibration_count + 1), fdr);
		return;
	}
	cli_warn("score",
		 "p-values of %zu calibration pictures end at %.3g: of %llu pictures %.0f must reach that before "
		 "one is called anomalous at a false-discovery rate of %g",
		 m->calibration_count, 1 / ((double)m->calibration_count + 1), (unsigned long long)scored, needed, fdr);
}

static void remarks(const adtool_score_report *r, const adtool_model_info *m)
{
	if (cli_quiet)
		return;
	uint64_t count = r->normal + r->suspect + r->anomalous + r->errors;
	if (!count && !cli_stopped())
		cli_warn("score", "no pictures found (%llu file%s passed over)", (unsigned long long)r->passed_over,
			 r->passed_over == 1 ? "" : "s");
	if (fdr > 0 && count > r->errors && !r->anomalous)
		remark_resolution(m, count - r->errors);
	if (!cli_verbose)
		return;
	char number[CLI_NUMBER_SIZE];
	cli_remark("score", "%llu normal, %llu suspect, %llu anomalous, %llu errors, %llu files passed over",
		    (unsigned long long)r->normal, (unsigned long long)r->suspect, (unsigned long long)r->anomalous,
		    (unsigned long long)r->errors, (unsigned long long)r->passed_over);
	char weights[CLI_NUMBER_SIZE];
	cli_remark("score", "%.2f s, %.1f pictures/s, %u threads, arena %s for each, weights %s", r->seconds,
		    r->seconds > 0 ? (double)count / r->seconds : 0.0, r->threads, cli_bytes(number, r->arena_bytes),
		    cli_bytes(weights, r->weight_bytes));
}

static unsigned cpu_count(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

static int run(size_t count, const char **inputs)
{
	adtool_model *model = NULL;
	adtool_dataset *dataset = NULL;
	adtool_dataset_options dataset_options;
	adtool_score_report report = {0};
	adtool_error err;

	if (stdin_image && count)
		return cli_usage_error("option '--stdin-image' leaves no room for '%s'", inputs[0]);
	if (!stdin_image && !count)
		return cli_usage_error("missing operand: %s", cli_program.operands);
	int status = cli_set_nice();
	if (!status)
		status = cli_limit_memory(memory, cli_jobs ? cli_jobs : cpu_count());
	if (!status)
		status = cli_catch_stop();
	if (!status)
		status = cli_open_model(cli_score.model, &model);
	if (status)
		return status;
	cli_dataset_options(&dataset_options);
	dataset_options.stop_fd = cli_stop_fd();
	dataset_options.rate = cli_score.rate;
	if (stdin_image ? adtool_dataset_open_fd(0, "-", &dataset_options, &dataset, &err)
			: adtool_dataset_open(inputs, count, &dataset_options, &dataset, &err))
		status = cli_fail("score", &err);
	else
		status = score(model, dataset, &report);
	if (!status) {
		remarks(&report, adtool_model_get_info(model));
		if (cli_stopped())
			status = CLI_SIGNAL + cli_stopped();
		else if (report.errors)
			status = CLI_UNREADABLE;
		else if (exit_code && report.anomalous)
			status = CLI_ANOMALOUS;
	}
	adtool_dataset_free(dataset);
	adtool_model_free(model);
	return status;
}

const cli_command cli_program = {
    .name = "score",
    .page = "adtool-score",
    .operands = "INPUT...",
    .options = options,
    .min_operands = 0, /* with --stdin-image */
    .max_operands = -1,
    .run = run,
};
