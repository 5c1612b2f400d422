#include <errno.h>
#include <unistd.h>

#include "eval/eval.h"

static const char *model_path, *masks_dir, *report_dir, *rows_path;
static cli_list train_inputs, normal_inputs, anomalous_inputs, compared_models, tpr_words, fpr_words;
static unsigned folds;
static size_t resamples = 2000;
static int format;

static const char *const formats[] = {"text", "json", NULL};

static const cli_option options[] = {
    {CLI_STRING, 'm', "model", "MODEL", "the model (default: $ADTOOL_MODEL, else model.zip)", &model_path, 0, 0, NULL,
     0, 2},
    {CLI_LIST, 0, "train", "NORMAL...", "train on these first, and keep no model", &train_inputs, 0, 0, NULL, 0, 2},
    {CLI_UNSIGNED, 0, "folds", "K", "cross-validate: K models, each trained on NORMAL without a K-th part", &folds, 2,
     10000, NULL, 0, 2},
    {CLI_LIST, 0, "compare", "A.zip B.zip", "two models on the same pictures: is B better?", &compared_models, 0, 0,
     NULL, 0, 2},
    {CLI_LIST, 0, "normal", "INPUT...", "pictures of normal things", &normal_inputs, 0, 0, NULL, 0, 0},
    {CLI_LIST, 0, "anomalous", "INPUT...", "pictures of anomalous things", &anomalous_inputs, 0, 0, NULL, CLI_REQUIRED,
     0},
    {CLI_STRING, 0, "masks", "DIR",
     "masks of the defects (brighter than 127), named as the pictures: pixel AUROC, AUPRO, F1", &masks_dir, 0, 0, NULL,
     0, 0},
    {CLI_STRING, 0, "report", "DIR", "write a report with curves and pictures here: index.html", &report_dir, 0, 0,
     NULL, 0, 0},
    {CLI_STRING, 0, "rows", "FILE", "write what is known of each picture here, one line each", &rows_path, 0, 0, NULL,
     0, 0},
    {CLI_LIST, 0, "tpr", "R...", "tell the least FPR with at least this TPR (default 1 0.95)", &tpr_words, 0, 0, NULL,
     0, 0},
    {CLI_LIST, 0, "fpr", "R...", "tell the greatest TPR with at most this FPR (default 0.01 0.05)", &fpr_words, 0, 0,
     NULL, 0, 0},
    {CLI_COUNT, 0, "bootstrap", "N", "resamples behind the intervals; 0: no intervals (default 2000)", &resamples, 0,
     10000000, NULL, 0, 0},
    {CLI_WORD, 0, "format", "text|json", "how the result is written (default text)", &format, 0, 0, formats, 0, 0},
    CLI_OPTION_NULL,
    CLI_OPTION_JOBS,
    {CLI_HEADING, 0, NULL, "TRAINING OPTION...", "With --train or --folds, as for adtool train:", NULL, 0, 0, NULL, 0,
     0},
    CLI_OPTIONS_TRAINING,
    CLI_OPTION_GROUP_BY,
    CLI_OPTION_END,
};

/* -- groups ------------------------------------------------------------------------------------------ */

/* The kind of defect: the folder below the input, else the folder that the picture is in. The caller frees. */
static char *group_name(const adtool_row *row)
{
	if (row->label && row->label[0])
		return cli_text("%s", row->label);
	size_t end = (size_t)(cli_basename(row->name) - row->name), start;
	while (end && row->name[end - 1] == '/')
		end--;
	for (start = end; start && row->name[start - 1] != '/'; start--)
		;
	if (start == end)
		return cli_text(".");
	return cli_text("%.*s", (int)(end - start), row->name + start);
}

static size_t find_group(evaluation *e, const adtool_row *row)
{
	char *name = group_name(row);

	for (size_t i = 0; i < e->group_count; i++) {
		if (!strcmp(e->groups[i].name, name)) {
			free(name);
			return i;
		}
	}
	e->groups = cli_realloc(e->groups, e->group_count + 1, sizeof(*e->groups));
	e->groups[e->group_count] = (eval_group){.name = name};
	return e->group_count++;
}

/* -- masks ------------------------------------------------------------------------------------------- */

static int add_pixels(evaluation *e, const adtool_row *row)
{
	size_t n = (size_t)row->width * row->height;
	uint8_t *truth = e->anomalous_now ? cli_alloc(n, 1) : NULL;
	float *map = NULL;
	int code = 0;

	if (!truth || eval_mask_read(masks_dir, row, truth)) {
		e->masks_used += e->anomalous_now;
		map = cli_alloc(n, sizeof(*map));
		code = adtool_row_upsample(row, map, &e->err);
		if (!code)
			code = adtool_pixel_roc_add_picture(e->pixels, map, truth, row->width, row->height, &e->err);
	} else {
		e->masks_missing++;
	}
	free(map);
	free(truth);
	return code;
}

/* -- rows -------------------------------------------------------------------------------------------- */

static void add_text(evaluation *e, const char *text, size_t size)
{
	while (e->rows_capacity - e->rows_size < size + 1) {
		e->rows_capacity = e->rows_capacity ? 2 * e->rows_capacity : 1 << 16;
		e->rows = cli_realloc(e->rows, e->rows_capacity, 1);
	}
	memcpy(e->rows + e->rows_size, text, size);
	e->rows_size += size;
}

/* The columns of adtool score; then what the picture is, its defect, and with --folds the fold. */
static int add_row_text(evaluation *e, const adtool_row *row, const char *defect)
{
	char *text;
	size_t size;

	int code = adtool_row_format(row, ADTOOL_TSV, NULL, &text, &size, &e->err);
	if (code)
		return code;
	add_text(e, text, size - 1);
	adtool_free(text);
	text = cli_text("\t%s\t", e->anomalous_now ? "anomalous" : "normal");
	add_text(e, text, strlen(text));
	free(text);
	for (const char *c = defect; *c; c++) {
		const char *escaped = *c == '\t'   ? "\\t"
				      : *c == '\n' ? "\\n"
				      : *c == '\r' ? "\\r"
				      : *c == '\\' ? "\\\\"
						   : NULL;
		add_text(e, escaped ? escaped : c, escaped ? 2 : 1);
	}
	if (folds) {
		text = cli_text("\t%u", e->folds->at + 1);
		add_text(e, text, strlen(text));
		free(text);
	}
	add_text(e, "\n", 1);
	return 0;
}

/* -- scoring ----------------------------------------------------------------------------------------- */

static int add_row(void *context, const adtool_row *row)
{
	evaluation *e = context;

	if (row->verdict == ADTOOL_ERROR) {
		cli_message(row->name, "%s", row->why);
		e->refused++;
		if (rows_path && add_row_text(e, row, ""))
			return 1;
		return e->page && adtool_page_add(e->page, row, ADTOOL_TRUTH_UNKNOWN, NULL, &e->err);
	}
	if (e->count == e->capacity) {
		e->capacity = e->capacity ? 2 * e->capacity : 256;
		e->scores = cli_realloc(e->scores, e->capacity, sizeof(*e->scores));
		e->anomalous = cli_realloc(e->anomalous, e->capacity, sizeof(*e->anomalous));
		e->called = cli_realloc(e->called, e->capacity, sizeof(*e->called));
		e->group_of = cli_realloc(e->group_of, e->capacity, sizeof(*e->group_of));
	}
	e->scores[e->count] = row->score;
	e->anomalous[e->count] = e->anomalous_now;
	e->called[e->count] = row->score > row->threshold;
	e->group_of[e->count] = 0;
	const char *defect = NULL;
	if (e->anomalous_now) {
		size_t g = find_group(e, row);
		e->group_of[e->count] = g;
		e->groups[g].count++;
		defect = e->groups[g].name;
		e->groups[g].found += row->verdict == ADTOOL_ANOMALOUS;
		e->anomalies++;
	} else {
		e->normals++;
	}
	e->count++;
	if (e->page && adtool_page_add(e->page, row, e->anomalous_now ? ADTOOL_TRUTH_ANOMALOUS : ADTOOL_TRUTH_NORMAL,
				       defect, &e->err))
		return 1;
	if (rows_path && add_row_text(e, row, defect ? defect : ""))
		return 1;
	if (e->pixels && row->map && add_pixels(e, row) < 0)
		return 1;
	return cli_progress(NULL, e->anomalous_now ? "anomalous" : "normal",
			    e->anomalous_now ? e->anomalies : e->normals, 0);
}

static int score_set(evaluation *e, const adtool_model *model, const cli_list *inputs, bool anomalous)
{
	adtool_dataset_options dataset_options;
	adtool_dataset *dataset = NULL;
	adtool_score_options o;
	adtool_score_report scored = {0};
	adtool_error err;

	e->anomalous_now = anomalous;
	cli_dataset_options(&dataset_options);
	adtool_score_options_init(&o);
	o.max_pixels = cli_limits.pixels;
	o.isolate = 1;
	o.threads = cli_jobs;
	o.row = add_row;
	o.context = e;
	o.thumbnail = e->page ? ADTOOL_PAGE_THUMBNAIL : 0;
	int code = adtool_dataset_open(inputs->items, inputs->count, &dataset_options, &dataset, &err);
	if (!code)
		code = adtool_score(model, dataset, &o, &scored, &err);
	e->seconds[anomalous] = scored.seconds;
	cli_progress_erase();
	adtool_dataset_free(dataset);
	if (code)
		return cli_fail("eval", e->err.code ? &e->err : &err);
	if (anomalous ? e->anomalies : e->normals)
		return 0;
	cli_message("eval", "no picture of the %s set could be scored", anomalous ? "anomalous" : "normal");
	return CLI_FAILURE;
}

/* -- folds ------------------------------------------------------------------------------------------- */

static int end_fold(evaluation *e)
{
	eval_folds *f = e->folds;
	adtool_metrics m;

	int code = adtool_metrics_compute(f->scores, f->anomalous, f->count, &m, &e->err);
	if (code)
		return code;
	f->auroc = cli_realloc(f->auroc, f->done + 1, sizeof(*f->auroc));
	f->auroc[f->done++] = m.auroc;
	f->count = 0;
	return 0;
}

static int add_fold_row(void *context, const adtool_row *row, unsigned fold, int anomalous, int own)
{
	evaluation *e = context;
	eval_folds *f = e->folds;

	if (fold != f->at && end_fold(e))
		return 1;
	f->at = fold;
	if (f->count == f->capacity) {
		f->capacity = f->capacity ? 2 * f->capacity : 256;
		f->scores = cli_realloc(f->scores, f->capacity, sizeof(*f->scores));
		f->anomalous = cli_realloc(f->anomalous, f->capacity, sizeof(*f->anomalous));
	}
	f->scores[f->count] = row->score;
	f->anomalous[f->count++] = anomalous != 0;
	e->anomalous_now = anomalous;
	return own ? add_row(e, row) : 0;
}

static int cross_validate(evaluation *e, const cli_list *normals)
{
	adtool_backbone *backbone = NULL;
	adtool_image *mask;
	adtool_dataset_options dataset_options;
	adtool_train_options train;
	adtool_crossval_options o;
	adtool_crossval_report report;
	adtool_error err;

	if (cli_open_mask(&mask))
		return CLI_FAILURE;
	if (cli_open_backbone(&backbone)) {
		adtool_image_free(mask);
		return CLI_FAILURE;
	}
	cli_dataset_options(&dataset_options);
	cli_train_options(&train, mask);
	adtool_crossval_options_init(&o);
	o.folds = folds;
	o.train = &train;
	o.row = add_fold_row;
	o.context = e;
	int code = adtool_cross_validate(backbone, normals->items, normals->count, anomalous_inputs.items,
					 anomalous_inputs.count, &dataset_options, &o, &report, &err);
	cli_progress_erase();
	adtool_backbone_free(backbone);
	adtool_image_free(mask);
	if (code)
		return cli_fail("eval", e->err.code ? &e->err : &err);
	if (!report.anomalies) {
		cli_message("eval", "no picture of the anomalous set could be scored");
		return CLI_FAILURE;
	}
	e->refused = report.refused;
	return end_fold(e) ? cli_fail("eval", &e->err) : 0;
}

/* -- results ----------------------------------------------------------------------------------------- */

/* All normals against the anomalies of one group. */
static int group_metrics(const evaluation *e, size_t g, double *auroc, adtool_error *err)
{
	double *scores = cli_alloc(e->count, sizeof(*scores));
	uint8_t *anomalous = cli_alloc(e->count, sizeof(*anomalous));
	adtool_metrics metrics;
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++) {
		if (e->anomalous[i] && e->group_of[i] != g)
			continue;
		scores[n] = e->scores[i];
		anomalous[n++] = e->anomalous[i];
	}
	int code = adtool_metrics_compute(scores, anomalous, n, &metrics, err);
	if (!code)
		*auroc = metrics.auroc;
	free(scores);
	free(anomalous);
	return code;
}

typedef int rate_fn(const double *scores, const uint8_t *anomalous, size_t count, double asked, double *rate,
		    double *threshold, adtool_error *err);

/* words: of --tpr or --fpr, checked before. */
static int compute_rates(const evaluation *e, const cli_list *words, rate_fn *rate_at, eval_rate **rates, size_t *count)
{
	adtool_error err;

	*rates = cli_alloc(words->count, sizeof(**rates));
	*count = words->count;
	for (size_t i = 0; i < words->count; i++) {
		eval_rate *r = &(*rates)[i];
		r->asked = strtod(words->items[i], NULL);
		if (rate_at(e->scores, e->anomalous, e->count, r->asked, &r->rate, &r->threshold, &err))
			return cli_fail("eval", &err);
	}
	return 0;
}

static int compute(const evaluation *e, eval_results *r)
{
	adtool_error err;

	if (adtool_metrics_compute(e->scores, e->anomalous, e->count, &r->metrics, &err))
		return cli_fail("eval", &err);
	for (size_t i = 0; i < e->count; i++) {
		r->confusion.true_positives += e->called[i] && e->anomalous[i];
		r->confusion.false_positives += e->called[i] && !e->anomalous[i];
		r->confusion.false_negatives += !e->called[i] && e->anomalous[i];
		r->confusion.true_negatives += !e->called[i] && !e->anomalous[i];
	}
	if (resamples) {
		adtool_bootstrap_options o;
		adtool_bootstrap_options_init(&o);
		o.resamples = resamples;
		o.seed = cli_train.seed;
		if (adtool_metrics_intervals(e->scores, e->anomalous, e->count, &o, &r->auroc_interval, &r->ap_interval,
		                             &err))
			return cli_fail("eval", &err);
		r->has_intervals = true;
	}
	if (compute_rates(e, &tpr_words, adtool_fpr_at_tpr, &r->fpr_at_tpr, &r->tpr_count) ||
	    compute_rates(e, &fpr_words, adtool_tpr_at_fpr, &r->tpr_at_fpr, &r->fpr_count))
		return CLI_FAILURE;
	r->group_auroc = cli_alloc(e->group_count, sizeof(*r->group_auroc));
	for (size_t g = 0; g < e->group_count; g++)
		if (group_metrics(e, g, &r->group_auroc[g], &err))
			return cli_fail("eval", &err);
	if (e->pixels && e->masks_used) {
		if (adtool_pixel_roc_compute(e->pixels, EVAL_OVERLAP_LIMIT, &r->pixels, &err))
			return cli_fail("eval: masks", &err);
		r->has_pixels = true;
	}
	return 0;
}

/* -- two models -------------------------------------------------------------------------------------- */

static void evaluation_release(evaluation *e)
{
	adtool_pixel_roc_free(e->pixels);
	adtool_page_free(e->page);
	for (size_t g = 0; g < e->group_count; g++)
		free(e->groups[g].name);
	free(e->groups);
	free(e->scores);
	free(e->anomalous);
	free(e->called);
	free(e->group_of);
	free(e->rows);
	if (e->folds) {
		free(e->folds->scores);
		free(e->folds->anomalous);
		free(e->folds->auroc);
	}
}

static int score_sets(evaluation *e, const adtool_model *model)
{
	int status = score_set(e, model, &normal_inputs, false);

	return status ? status : score_set(e, model, &anomalous_inputs, true);
}

static int print_comparison(const evaluation *a, const evaluation *b)
{
	adtool_bootstrap_options o;
	eval_comparison c = {.names = compared_models.items};
	adtool_error err;

	adtool_bootstrap_options_init(&o);
	o.resamples = resamples;
	if (a->normals != b->normals || a->count != b->count) {
		cli_message("eval", "the two models could not score the same pictures");
		return CLI_FAILURE;
	}
	if (adtool_metrics_compare(a->scores, b->scores, a->anomalous, a->count, &o, &c.auroc, &c.precision, &err))
		return cli_fail("eval", &err);
	(format ? eval_print_comparison_json : eval_print_comparison_text)(a, &c);
	return 0;
}

static int compare(void)
{
	evaluation e[2] = {{0}, {0}};
	int status = 0;

	for (size_t i = 0; !status && i < 2; i++) {
		adtool_model *model = NULL;
		status = cli_open_model(compared_models.items[i], &model);
		if (!status) {
			e[i].model = adtool_model_get_info(model);
			status = score_sets(&e[i], model);
		}
		adtool_model_free(model);
	}
	if (!status)
		status = print_comparison(&e[0], &e[1]);
	if (!status && e[0].refused)
		status = CLI_UNREADABLE;
	evaluation_release(&e[0]);
	evaluation_release(&e[1]);
	return status;
}

static int write_report(const adtool_model *model, const evaluation *e, const eval_results *r)
{
	adtool_page_facts facts = {
	    .model_path = train_inputs.count ? NULL : cli_model_path(model_path),
	    .threshold = e->model->threshold,
	    .rule = e->model->rule,
	    .alpha = e->model->alpha,
	    .metrics = &r->metrics,
	    .auroc_interval = r->has_intervals ? &r->auroc_interval : NULL,
	    .ap_interval = r->has_intervals ? &r->ap_interval : NULL,
	};
	adtool_error err;
	int code = adtool_page_timing(e->page, "normal pictures", e->seconds[0], &err);

	if (!code)
		code = adtool_page_timing(e->page, "anomalous pictures", e->seconds[1], &err);
	for (size_t g = 0; !code && g < e->group_count; g++)
		code = adtool_page_defect(e->page, e->groups[g].name, r->group_auroc[g], &err);
	if (!code && r->has_pixels) {
		char *value = cli_text("%.4f", r->pixels.auroc), *note = cli_text("%zu masks", e->masks_used);
		code = adtool_page_figure(e->page, "Pixel AUROC", value, note, &err);
		free(value);
		free(note);
	}
	if (!code && r->has_pixels) {
		char *value = cli_text("%.4f", r->pixels.aupro);
		code = adtool_page_figure(e->page, "Pixel AUPRO", value, "up to FPR 0.3", &err);
		free(value);
	}
	return code ? cli_fail(report_dir, &err) : cli_report_write(e->page, report_dir, model, &facts);
}

/* -- the job ----------------------------------------------------------------------------------------- */

static int prepare_model(adtool_model **model)
{
	if (train_inputs.count)
		return cli_train_model(train_inputs.items, train_inputs.count, model, NULL);
	return cli_open_model(model_path, model);
}

static int check_masks(int method)
{
	if (!masks_dir || method != ADTOOL_PPCA)
		return 0;
	cli_message("eval", "a ppca model has no map, so masks tell nothing about it");
	return CLI_FAILURE;
}

/* Said before a model is trained. */
static int check_masks_folder(void)
{
	/* With the dot it is nothing but a folder. */
	char *within = cli_text("%s/.", masks_dir);
	int failed = access(within, R_OK | X_OK);

	if (failed)
		cli_message(masks_dir, "%s", strerror(errno));
	free(within);
	return failed ? CLI_FAILURE : 0;
}

static int evaluate(const adtool_model *model, const cli_list *normals, evaluation *e, eval_results *r)
{
	adtool_error err;
	int status = check_masks(model ? (int)e->model->method : cli_train.method);

	if (status)
		return status;
	if (masks_dir && adtool_pixel_roc_create(&e->pixels, &err))
		return cli_fail("eval", &err);
	status = model ? score_sets(e, model) : cross_validate(e, normals);
	return status ? status : compute(e, r);
}

/* How many of the inputs are the list on standard input. */
static size_t lists_in(const cli_list *inputs)
{
	size_t lists = 0;

	for (size_t i = 0; i < inputs->count; i++)
		lists += !strcmp(inputs->items[i], "-");
	return lists;
}

static void default_rates(cli_list *list, const char *first, const char *second)
{
	if (list->count)
		return;
	list->items = cli_alloc(2, sizeof(*list->items));
	list->items[0] = first;
	list->items[1] = second;
	list->count = 2;
}

static int check_rates(const cli_list *list, const char *name, bool zero)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *word = list->items[i];
		char *end;
		double rate = strtod(word, &end);
		bool fits = zero ? rate >= 0 && rate < 1 : rate > 0 && rate <= 1;
		if (!word[0] || strchr(" \t\n", word[0]) || *end || !fits)
			return cli_usage_error("option '--%s' wants a number %s, not '%s'", name,
					       zero ? "from 0 and below 1" : "above 0 and up to 1", word);
	}
	return 0;
}

/* What the table of options cannot say. */
static int check_command(const cli_list *operands)
{
	size_t lists =
	    lists_in(&train_inputs) + lists_in(&normal_inputs) + lists_in(&anomalous_inputs) + lists_in(operands);

	if (lists > 1)
		return cli_usage_error("the list of paths, '-', can be read only once");
	if (lists && compared_models.count)
		return cli_usage_error(
		    "the list of paths, '-', can be read only once; --compare needs it for each model");
	if (cli_conditional && !train_inputs.count && !folds)
		return cli_usage_error("option '--%s' needs --train or --folds", cli_conditional);
	if (operands->count && !folds)
		return cli_usage_error("NORMAL pictures as operands need --folds; else they follow --normal");
	if (folds && normal_inputs.count)
		return cli_usage_error("with --folds the normal pictures are the operands, without --normal");
	if (folds && !operands->count)
		return cli_usage_error("missing operand: NORMAL...");
	if (!folds && !normal_inputs.count)
		return cli_usage_error("option '--normal' is missing");
	if (resamples == 1 || (compared_models.count && !resamples))
		return cli_usage_error("option '--bootstrap' wants at least 2 resamples");
	if (compared_models.count && compared_models.count != 2)
		return cli_usage_error("option '--compare' wants two models, not %zu", compared_models.count);
	if (compared_models.count && (masks_dir || rows_path))
		return cli_usage_error("option '--%s' is for one model, not for --compare",
				       masks_dir ? "masks" : "rows");
	if (report_dir && (folds || compared_models.count))
		return cli_usage_error("option '--report' is for one model, not for --%s", folds ? "folds" : "compare");
	adtool_geometry geometry;
	if (cli_geometry(&geometry) || cli_check_group_by())
		return CLI_USAGE;
	int status = check_rates(&tpr_words, "tpr", false);
	return status ? status : check_rates(&fpr_words, "fpr", true);
}

static int write_rows(const evaluation *e)
{
	adtool_error err;

	if (!rows_path || !adtool_file_write(rows_path, e->rows ? e->rows : "", e->rows_size, &err))
		return 0;
	return cli_fail(rows_path, &err);
}

static int run(size_t count, const char **operands)
{
	const cli_list normals = {operands, count};
	adtool_model *model = NULL;
	eval_folds f = {0};
	evaluation e = {.folds = folds ? &f : NULL};
	eval_results r = {0};

	int status = check_command(&normals);
	if (!status)
		status = cli_check_no_model(&normal_inputs, "normal");
	if (!status)
		status = cli_check_no_model(&anomalous_inputs, "anomalous");
	if (status)
		return status;
	default_rates(&tpr_words, "1", "0.95");
	default_rates(&fpr_words, "0.01", "0.05");
	if (compared_models.count)
		return compare();
	if (rows_path && cli_may_write(rows_path, NULL, NULL, false))
		return CLI_FAILURE;
	if (masks_dir && check_masks_folder())
		return CLI_FAILURE;
	if (report_dir && cli_report_open(ADTOOL_PAGE_EVAL, report_dir, &e.page))
		return CLI_FAILURE;
	if (!folds) {
		status = prepare_model(&model);
		if (status) {
			adtool_page_free(e.page);
			return status;
		}
		e.model = adtool_model_get_info(model);
	}
	status = evaluate(model, &normals, &e, &r);
	if (!status)
		(format ? eval_print_json : eval_print_text)(&e, &r);
	if (!status)
		status = write_rows(&e);
	if (!status && e.page)
		status = write_report(model, &e, &r);
	if (!status && (e.refused || e.masks_missing || cli_refused_count))
		status = CLI_UNREADABLE;
	evaluation_release(&e);
	free(r.group_auroc);
	free(r.fpr_at_tpr);
	free(r.tpr_at_fpr);
	adtool_model_free(model);
	return status;
}

const cli_command cli_program = {
    .name = "eval",
    .page = "adtool-eval",
    .operands = "[NORMAL...]",
    .options = options,
    .max_operands = -1,
    .run = run,
};
