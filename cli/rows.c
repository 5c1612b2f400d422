/* What score and watch share: the options of a decision, and rows as they are printed. */
#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "cli.h"

cli_scoring cli_score = {.threshold = NAN};

/* In the order of enum adtool_format. */
const char *const cli_formats[] = {"tsv", "jsonl", "csv", NULL};

/* The model's rule at --alpha. Rows of JSON Lines name it; the others have no place for that. */
static int set_alpha(const adtool_model *model, adtool_model_info *info)
{
	adtool_threshold_row at;
	adtool_error err;

	if (adtool_threshold_at(model, cli_score.alpha, &at, &err))
		return cli_fail(cli_program.name, &err);
	info->threshold = at.threshold;
	info->rule = at.rule;
	if (at.rule == ADTOOL_RULE_EXTRAPOLATED && cli_score.format != ADTOOL_JSONL && !cli_quiet)
		cli_warn(cli_program.name,
			 "the limit is extrapolated: %zu calibration pictures cannot support alpha %g; %zu would",
			    info->calibration_count, cli_score.alpha, at.needed);
	return 0;
}

int cli_score_options(const adtool_model *model, adtool_score_options *o, adtool_model_info *info)
{
	*info = *adtool_model_get_info(model);
	adtool_score_options_init(o);
	o->threads = cli_jobs;
	o->max_pixels = cli_limits.pixels;
	o->whole_pixels = cli_whole_pixels;
	o->isolate = 1;
	o->has_threshold = isfinite(cli_score.threshold);
	o->threshold = o->has_threshold ? cli_score.threshold : 0;
	o->alpha = cli_score.alpha;
	o->heatmap_dir = cli_score.heatmap_dir;
	o->overlay_dir = cli_score.overlay_dir;
	o->map_dir = cli_score.map_dir;
	o->regions = cli_score.format == ADTOOL_JSONL;
	if (o->has_threshold) {
		info->rule = ADTOOL_RULE_VALUE;
		info->threshold = cli_score.threshold;
	} else if (cli_score.alpha > 0) {
		return set_alpha(model, info);
	}
	return 0;
}

static enum adtool_format row_format(void)
{
	return cli_score.format == ADTOOL_TSV && cli_null ? ADTOOL_TSV_NULL : (enum adtool_format)cli_score.format;
}

int cli_row_text(const adtool_row *row, const adtool_model_info *model, char **text, size_t *size)
{
	adtool_error err;

	return adtool_row_format(row, row_format(), model, text, size, &err) ? cli_fail(row ? row->name : NULL, &err)
									     : 0;
}

static bool is_colored(void)
{
	static int known; /* 1: yes; -1: no */

	if (!known) {
		const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
		bool wanted = !(no && no[0]) && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb");
		known = cli_color == 1 || (cli_color == 0 && wanted) ? 1 : -1;
	}
	return known > 0;
}

/* The row with its last column in color; the caller frees. */
static char *color_row(enum adtool_verdict verdict, const char *text)
{
	static const char *const colors[] = {
	    [ADTOOL_NORMAL] = "32", [ADTOOL_SUSPECT] = "33", [ADTOOL_ANOMALOUS] = "1;31", [ADTOOL_ERROR] = "35"};
	const char *word = strrchr(text, '\t') + 1;

	return cli_text("%.*s\033[%sm%.*s\033[m\n", (int)(word - text), text, colors[verdict], (int)strcspn(word, "\n"),
			word);
}

int cli_print_row(const adtool_row *row, const adtool_model_info *model)
{
	char *text, *colored = NULL;
	size_t size;

	if (cli_row_text(row, model, &text, &size))
		return -1;
	cli_progress_erase();
	if (row && row_format() == ADTOOL_TSV && is_colored())
		colored = color_row(row->verdict, text);
	int failed = colored ? cli_write_whole(colored, strlen(colored)) : cli_write_whole(text, size);
	free(colored);
	adtool_free(text);
	return failed;
}

int cli_set_nice(void)
{
	if (!cli_score.nice)
		return 0;
	/* -1 is a niceness too. */
	errno = 0;
	if (nice((int)cli_score.nice) == -1 && errno) {
		cli_message(cli_program.name, "--nice: %s", strerror(errno));
		return CLI_FAILURE;
	}
	return 0;
}
