#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "cli.h"

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
    {CLI_STRING, 0, "masks", "DIR", "masks of the defects (brighter than 127), named as the pictures: pixel AUROC, AUPRO, F1",
     &masks_dir, 0, 0, NULL, 0, 0},
    {CLI_STRING, 0, "report", "DIR", "write a report with curves and pictures here: index.html", &report_dir, 0, 0, NULL,
     0, 0},
    {CLI_STRING, 0, "rows", "FILE", "write what is known of each picture here, one line each", &rows_path, 0, 0, NULL, 0,
     0},
    {CLI_LIST, 0, "tpr", "R...", "tell the least FPR with at least this TPR (default 1 0.95)", &tpr_words, 0, 0, NULL, 0,
     0},
    {CLI_LIST, 0, "fpr", "R...", "tell the greatest TPR with at most this FPR (default 0.01 0.05)", &fpr_words, 0, 0,
     NULL, 0, 0},
    {CLI_COUNT, 0, "bootstrap", "N", "resamples behind the intervals; 0: no intervals (default 2000)", &resamples, 0,
     10000000, NULL, 0, 0},
    {CLI_WORD, 0, "format", "text|json", "how the result is written (default text)", &format, 0, 0, formats, 0, 0},
    CLI_OPTION_NULL,
    CLI_OPTION_JOBS,
    {CLI_HEADING, 0, NULL, "TRAINING OPTION...", "With --train or --folds, as for adtool train:", NULL, 0, 0, NULL, 0, 0},
    CLI_OPTIONS_TRAINING,
    CLI_OPTION_GROUP_BY,
    CLI_OPTION_END,
};

/* One kind of defect: a folder of the anomalous pictures. */
typedef struct group {
	char *name;
	size_t count, found;
} group;

/* With --folds: the scores of the fold at hand, and what the folds before it came to. */
typedef struct fold_scores {
	unsigned at;
	double *scores;
	uint8_t *anomalous;
	size_t count, capacity;
	double *auroc;
	unsigned done;
} fold_scores;

typedef struct evaluation {
	const adtool_model_info *model;
	adtool_pixel_roc *pixels; /* NULL without masks */
	adtool_page *page;        /* NULL without --report */
	double *scores;
	uint8_t *anomalous;
	uint8_t *called;  /* whether the score is above the threshold */
	size_t *group_of; /* anomalous pictures: index in groups */
	size_t count, capacity;
	group *groups;
	size_t group_count;
	bool anomalous_now; /* which set is being read */
	double seconds[2];  /* for the normal and the anomalous */
	size_t normals, anomalies, refused;
	size_t masks_used, masks_missing;
	char *rows; /* text of --rows */
	size_t rows_size, rows_capacity;
	fold_scores fold;
	adtool_error err; /* of what stopped the job */
} evaluation;

/* -- groups ------------------------------------------------------------------------------------------ */

/* Where the name of the file begins: after the last '/', or after the ':' that ends the name of an archive. */
static const char *file_part(const char *name)
{
	const char *base = cli_basename(name), *colon = strrchr(base, ':');

	return colon ? colon + 1 : base;
}

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
	e->groups[e->group_count] = (group){.name = name};
	return e->group_count++;
}

/* -- masks ------------------------------------------------------------------------------------------- */

static char *mask_file(const char *folder, size_t folder_length, const char *stem, size_t stem_length)
{
	static const char *const suffixes[] = {".png", "_mask.png", ".jpg", ".jpeg"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		char *path = cli_text("%s/%.*s%s%.*s%s", masks_dir, (int)folder_length, folder,
				      folder_length ? "/" : "", (int)stem_length, stem, suffixes[i]);
		if (!access(path, F_OK))
			return path;
		free(path);
	}
	return NULL;
}

/*
 * By the picture's path below its input; then with the folders above put before it one by one, so that
 * `--anomalous bad/crack` and `--anomalous bad` find the same mask. NULL: none. The caller frees.
 */
static char *find_mask(const adtool_row *row)
{
	const char *base = file_part(row->name), *dot = strrchr(base, '.');
	size_t stem = dot && dot != base ? (size_t)(dot - base) : strlen(base);
	size_t label = row->label ? strlen(row->label) : 0;
	size_t end = (size_t)(cli_basename(row->name) - row->name);
	size_t start;
	char *path;

	path = mask_file(row->label, label, base, stem);
	if (path)
		return path;
	while (end && row->name[end - 1] == '/')
		end--;
	start = label < end ? end - label : 0;
	while (start) {
		while (start && row->name[start - 1] == '/')
			start--;
		while (start && row->name[start - 1] != '/')
			start--;
		path = mask_file(row->name + start, end - start, base, stem);
		if (path)
			return path;
	}
	return NULL;
}

/* 1: *truth (one byte a pixel) is filled; 0: there is none that fits, and that was said; so found is never negative. */
static int read_mask(const adtool_row *row, uint8_t *truth)
{
	adtool_image *mask = NULL;
	adtool_error err;
	size_t n = (size_t)row->width * row->height;

	char *path = find_mask(row);
	if (!path) {
		cli_message(row->name, "no mask in %s", masks_dir);
		return 0;
	}
	int found = 0;
	if (adtool_image_read(path, cli_limits.pixels, &mask, &err)) {
		cli_message(path, "%s", err.message);
	} else if (adtool_image_width(mask) != row->width || adtool_image_height(mask) != row->height) {
		cli_message(path, "the mask is %ux%u, the picture %ux%u", adtool_image_width(mask),
			    adtool_image_height(mask), row->width, row->height);
	} else {
		const uint8_t *rgb = adtool_image_pixels(mask);
		unsigned brightest = 0;
		for (size_t i = 0; i < n; i++) {
			truth[i] = rgb[3 * i] > 127;
			brightest = rgb[3 * i] > brightest ? rgb[3 * i] : brightest;
		}
		found = brightest > 127;
		if (!found)
			cli_message(path, "the mask shows no defect: its brightest pixel is %u, a defect's is above 127", brightest);
	}
	adtool_image_free(mask);
	free(path);
	return found;
}

static int add_pixels(evaluation *e, const adtool_row *row)
{
	size_t n = (size_t)row->width * row->height;
	uint8_t *truth = e->anomalous_now ? cli_alloc(n, 1) : NULL;
	float *map = NULL;
	int code = truth ? read_mask(row, truth) : 1;

	if (code > 0) {
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
		const char *escaped = *c == '\t' ? "\\t" : *c == '\n' ? "\\n" : *c == '\r' ? "\\r" : *c == '\\' ? "\\\\" : NULL;
		add_text(e, escaped ? escaped : c, escaped ? 2 : 1);
	}
	if (folds) {
		text = cli_text("\t%u", e->fold.at + 1);
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
	fold_scores *f = &e->fold;
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
	fold_scores *f = &e->fold;

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

/* Mean, and the standard deviation of the folds. */
static void fold_statistics(const fold_scores *f, double *mean, double *deviation)
{
	double sum = 0, squares = 0;

	for (unsigned i = 0; i < f->done; i++)
		sum += f->auroc[i];
	*mean = sum / f->done;
	for (unsigned i = 0; i < f->done; i++)
		squares += (f->auroc[i] - *mean) * (f->auroc[i] - *mean);
	*deviation = sqrt(squares / (f->done - 1));
}

/* -- results ----------------------------------------------------------------------------------------- */

typedef struct results {
	adtool_metrics metrics;
	adtool_confusion confusion;
	double *group_auroc;
	adtool_interval auroc_interval, ap_interval; /* with --bootstrap above 0 */
	bool has_pixels;
	adtool_pixel_metrics pixels;
} results;

/* Where AUPRO ends. */
static const double overlap_limit = 0.3;

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

static int compute(const evaluation *e, results *r)
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
	}
	r->group_auroc = cli_alloc(e->group_count, sizeof(*r->group_auroc));
	for (size_t g = 0; g < e->group_count; g++)
		if (group_metrics(e, g, &r->group_auroc[g], &err))
			return cli_fail("eval", &err);
	if (e->pixels && e->masks_used) {
		if (adtool_pixel_roc_compute(e->pixels, overlap_limit, &r->pixels, &err))
			return cli_fail("eval: masks", &err);
		r->has_pixels = true;
	}
	return 0;
}

static void print_interval(double value, const adtool_interval *interval)
{
	cli_print("%.4f", value);
	if (resamples)
		cli_print(", 95 %% interval %.4f to %.4f", interval->low, interval->high);
	cli_print("\n");
}

/* The words of --tpr or --fpr, checked before. */
static double rate_of(const cli_list *words, size_t i)
{
	return strtod(words->items[i], NULL);
}

static int print_rates_text(const evaluation *e)
{
	adtool_error err;
	double rate, at;

	for (size_t i = 0; i < tpr_words.count; i++) {
		if (adtool_fpr_at_tpr(e->scores, e->anomalous, e->count, rate_of(&tpr_words, i), &rate, &at, &err))
			return cli_fail("eval", &err);
		cli_print("FPR at TPR %-9g %.4f from a score of %.6g\n", rate_of(&tpr_words, i), rate, at);
	}
	for (size_t i = 0; i < fpr_words.count; i++) {
		if (adtool_tpr_at_fpr(e->scores, e->anomalous, e->count, rate_of(&fpr_words, i), &rate, &at, &err))
			return cli_fail("eval", &err);
		cli_print("TPR at FPR %-9g %.4f", rate_of(&fpr_words, i), rate);
		if (isfinite(at))
			cli_print(" from a score of %.6g", at);
		cli_print("\n");
	}
	return 0;
}

static void print_pixels_text(const evaluation *e, const adtool_pixel_metrics *p)
{
	cli_print("pixel AUROC          %.4f, error at most %.2g, %zu masks\n", p->auroc, p->auroc_error, e->masks_used);
	cli_print("pixel AUPRO          %.4f, error at most %.2g, %llu regions, up to FPR %g\n", p->aupro, p->aupro_error,
		  (unsigned long long)p->regions, overlap_limit);
	cli_print("pixel best F1        %.4f, error at most %.2g, at a residual of %.6g\n", p->best_f1, p->best_f1_error,
		  p->best_f1_threshold);
}

static int print_text(const evaluation *e, const results *r)
{
	const adtool_metrics *m = &r->metrics;
	const adtool_confusion *c = &r->confusion;

	cli_print("pictures             %zu normal, %zu anomalous", m->normals, m->anomalies);
	if (e->refused)
		cli_print(", %zu could not be read", e->refused);
	if (folds) {
		double mean, deviation;
		fold_statistics(&e->fold, &mean, &deviation);
		cli_print("\ncross-validation     %u folds; no picture is scored by a model that saw it\n", folds);
		cli_print("AUROC within folds   %.4f, standard deviation %.4f", mean, deviation);
	}
	cli_print("\nAUROC                ");
	print_interval(m->auroc, &r->auroc_interval);
	cli_print("average precision    ");
	print_interval(m->average_precision, &r->ap_interval);
	cli_print("best F1              %.4f at a score of %.6g\n", m->best_f1, m->best_f1_threshold);
	int status = print_rates_text(e);
	if (status)
		return status;
	if (r->has_pixels)
		print_pixels_text(e, &r->pixels);
	if (folds) {
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
		return 0;
	int width = 6;
	for (size_t g = 0; g < e->group_count; g++)
		if ((int)strlen(cli_safe(e->groups[g].name)) > width)
			width = (int)strlen(cli_safe(e->groups[g].name));
	cli_print("\n%-*s   pictures   found    AUROC\n", width, "defect");
	for (size_t g = 0; g < e->group_count; g++)
		cli_print("%-*s   %8zu   %5zu   %.4f\n", width, cli_safe(e->groups[g].name), e->groups[g].count,
			  e->groups[g].found, r->group_auroc[g]);
	return 0;
}

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

static int print_rates_json(const evaluation *e)
{
	adtool_error err;
	double rate, at;

	cli_print("  \"fpr_at_tpr\": [");
	for (size_t i = 0; i < tpr_words.count; i++) {
		if (adtool_fpr_at_tpr(e->scores, e->anomalous, e->count, rate_of(&tpr_words, i), &rate, &at, &err))
			return cli_fail("eval", &err);
		cli_print("%s{", i ? ", " : "");
		print_number("tpr", rate_of(&tpr_words, i), ", ");
		print_number("fpr", rate, ", ");
		print_number("threshold", at, "}");
	}
	cli_print("],\n  \"tpr_at_fpr\": [");
	for (size_t i = 0; i < fpr_words.count; i++) {
		if (adtool_tpr_at_fpr(e->scores, e->anomalous, e->count, rate_of(&fpr_words, i), &rate, &at, &err))
			return cli_fail("eval", &err);
		cli_print("%s{", i ? ", " : "");
		print_number("fpr", rate_of(&fpr_words, i), ", ");
		print_number("tpr", rate, ", ");
		print_number("threshold", at, "}");
	}
	cli_print("],\n");
	return 0;
}

static void print_folds_json(const fold_scores *f)
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

static int print_json(const evaluation *e, const results *r)
{
	const adtool_metrics *m = &r->metrics;
	const adtool_confusion *c = &r->confusion;

	cli_print("{\n  \"normal\": %zu,\n  \"anomalous\": %zu,\n  \"errors\": %zu,\n", m->normals, m->anomalies,
		  e->refused);
	if (folds)
		print_folds_json(&e->fold);
	cli_print("  ");
	print_number("auroc", m->auroc, ",\n  ");
	if (resamples)
		print_pair("auroc_interval", r->auroc_interval.low, r->auroc_interval.high, ",\n  ");
	print_number("average_precision", m->average_precision, ",\n  ");
	if (resamples)
		print_pair("average_precision_interval", r->ap_interval.low, r->ap_interval.high, ",\n  ");
	print_number("best_f1", m->best_f1, ",\n  ");
	print_number("best_f1_threshold", m->best_f1_threshold, ",\n  ");
	print_number("fpr_at_tpr_1", m->fpr_at_tpr_100, ",\n  ");
	print_number("fpr_at_tpr_0.95", m->fpr_at_tpr_95, ",\n");
	int status = print_rates_json(e);
	if (status)
		return status;
	if (!folds) {
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
		cli_print("\"regions\": %llu, \"masks\": %zu, \"without_mask\": %zu},\n", (unsigned long long)p->regions,
			  e->masks_used, e->masks_missing);
	}
	cli_print("  \"defects\": [");
	for (size_t g = 0; g < e->group_count; g++) {
		cli_print("%s\n    {\"name\": ", g ? "," : "");
		cli_print_json_string(e->groups[g].name);
		cli_print(", \"pictures\": %zu, \"found\": %zu, ", e->groups[g].count, e->groups[g].found);
		print_number("auroc", r->group_auroc[g], "}");
	}
	cli_print("\n  ]\n}\n");
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
	free(e->fold.scores);
	free(e->fold.anomalous);
	free(e->fold.auroc);
}

static int score_sets(evaluation *e, const adtool_model *model)
{
	int status = score_set(e, model, &normal_inputs, false);

	return status ? status : score_set(e, model, &anomalous_inputs, true);
}

static void print_difference_text(const char *name, const adtool_difference *d)
{
	cli_print("%-17s   %.4f   %.4f   %+.4f   %+.4f to %+.4f   %.4f\n", name, d->a, d->b, d->b - d->a, d->interval.low,
		  d->interval.high, d->p);
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

static int print_comparison(const evaluation *a, const evaluation *b)
{
	adtool_bootstrap_options o;
	adtool_difference auroc, precision;
	adtool_error err;

	adtool_bootstrap_options_init(&o);
	o.resamples = resamples;
	if (a->normals != b->normals || a->count != b->count) {
		cli_message("eval", "the two models could not score the same pictures");
		return CLI_FAILURE;
	}
	if (adtool_metrics_compare(a->scores, b->scores, a->anomalous, a->count, &o, &auroc, &precision, &err))
		return cli_fail("eval", &err);
	if (format) {
		cli_print("{\n  \"normal\": %zu,\n  \"anomalous\": %zu,\n  \"errors\": %zu,\n  \"a\": ", a->normals, a->anomalies,
			  a->refused);
		cli_print_json_string(compared_models.items[0]);
		cli_print(",\n  \"b\": ");
		cli_print_json_string(compared_models.items[1]);
		cli_print(",\n");
		print_difference_json("auroc", &auroc, ",\n");
		print_difference_json("average_precision", &precision, "\n}\n");
		return 0;
	}
	cli_print("pictures  %zu normal, %zu anomalous", a->normals, a->anomalies);
	if (a->refused)
		cli_print(", %zu could not be read", a->refused);
	cli_print("\nA         %s\n", cli_safe(compared_models.items[0]));
	cli_print("B         %s\n\n", cli_safe(compared_models.items[1]));
	cli_print("                         A        B     B - A   95 %% interval        p\n");
	print_difference_text("AUROC", &auroc);
	print_difference_text("average precision", &precision);
	cli_print("\np: how likely such a lead is if B were no better. %s\n",
		  auroc.p <= 0.05        ? "B ranks better than A."
		  : 1 - auroc.p <= 0.05 && auroc.b < auroc.a ? "B ranks worse than A."
					 : "These pictures do not show that B is better.");
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

static int write_report(const adtool_model *model, const evaluation *e, const results *r)
{
	adtool_page_facts facts = {
	    .model_path = train_inputs.count ? NULL : cli_model_path(model_path),
	    .threshold = e->model->threshold,
	    .rule = e->model->rule,
	    .alpha = e->model->alpha,
	    .metrics = &r->metrics,
	    .auroc_interval = resamples ? &r->auroc_interval : NULL,
	    .ap_interval = resamples ? &r->ap_interval : NULL,
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
	if (!masks_dir)
		return 0;
	if (method == ADTOOL_PPCA) {
		cli_message("eval", "a ppca model has no map, so masks tell nothing about it");
		return CLI_FAILURE;
	}
	if (access(masks_dir, R_OK | X_OK)) {
		cli_message(masks_dir, "%s", strerror(errno));
		return CLI_FAILURE;
	}
	return 0;
}

static int evaluate(const adtool_model *model, const cli_list *normals, evaluation *e, results *r)
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
	size_t lists = lists_in(&train_inputs) + lists_in(&normal_inputs) + lists_in(&anomalous_inputs) + lists_in(operands);

	if (lists > 1)
		return cli_usage_error("the list of paths, '-', can be read only once");
	if (lists && compared_models.count)
		return cli_usage_error("the list of paths, '-', can be read only once; --compare needs it for each model");
	if (cli_conditional && !train_inputs.count && !folds)
		return cli_usage_error("option '--%s' needs --train or --folds", cli_conditional);
	if (operands->count && !folds)
		return cli_usage_error("NORMAL pictures as operands need --folds; else they follow --normal");
	if (folds && cli_given(&cli_train.tiles))
		return cli_usage_error("option '--tiles' does not go with '--folds'; use '--train'");
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
		return cli_usage_error("option '--%s' is for one model, not for --compare", masks_dir ? "masks" : "rows");
	if (report_dir && (folds || compared_models.count))
		return cli_usage_error("option '--report' is for one model, not for --%s", folds ? "folds" : "compare");
	adtool_geometry geometry;
	if (cli_geometry(&geometry))
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
	evaluation e = {0};
	results r = {0};

	int status = check_command(&normals);
	if (status)
		return status;
	default_rates(&tpr_words, "1", "0.95");
	default_rates(&fpr_words, "0.01", "0.05");
	if (compared_models.count)
		return compare();
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
		status = format ? print_json(&e, &r) : print_text(&e, &r);
	if (!status)
		status = write_rows(&e);
	if (!status && e.page)
		status = write_report(model, &e, &r);
	if (!status && (e.refused || e.masks_missing || cli_refused_count))
		status = CLI_UNREADABLE;
	evaluation_release(&e);
	free(r.group_auroc);
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
