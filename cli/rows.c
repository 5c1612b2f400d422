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
		cli_message(cli_program.name,
			    "the limit is extrapolated: %zu calibration pictures cannot support alpha %g; %zu would",
			    info->calibration_count, cli_score.alpha, at.needed);
	return 0;
}

int cli_score_options(const adtool_model *model, adtool_score_options *o, adtool_model_info *info)
{
	*info = *adtool_model_get_info(model);
	adtool_score_options_init(o);
	o->threads = cli_jobs;
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

	return adtool_row_format(row, row_format(), model, text, size, &err) ? cli_fail(row ? row->name : NULL, &err) : 0;
}

int cli_print_row(const adtool_row *row, const adtool_model_info *model)
{
	char *text;
	size_t size;

	if (cli_row_text(row, model, &text, &size))
		return -1;
	cli_progress_erase();
	int failed = cli_write_whole(text, size);
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
		cli_message("--nice", "%s", strerror(errno));
		return CLI_FAILURE;
	}
	return 0;
}
