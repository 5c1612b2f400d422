#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "cli.h"

static const char *model_path, *masks_dir, *report_dir;
static cli_list train_inputs, normal_inputs, anomalous_inputs;
static int format;

static const char *const formats[] = {"text", "json", NULL};

static const cli_option options[] = {
    {CLI_STRING, 'm', "model", "MODEL", "the model (default: $ADTOOL_MODEL, else model.zip)", &model_path, 0, 0, NULL,
     0, 1},
    {CLI_LIST, 0, "train", "NORMAL...", "train on these first, and keep no model", &train_inputs, 0, 0, NULL, 0, 1},
    {CLI_LIST, 0, "normal", "INPUT...", "pictures of normal things", &normal_inputs, 0, 0, NULL, CLI_REQUIRED, 0},
    {CLI_LIST, 0, "anomalous", "INPUT...", "pictures of anomalous things", &anomalous_inputs, 0, 0, NULL, CLI_REQUIRED,
     0},
    {CLI_STRING, 0, "masks", "DIR", "masks of the defects (brighter than 127), named as the pictures: pixel AUROC too",
     &masks_dir, 0, 0, NULL, 0, 0},
    {CLI_STRING, 0, "report", "DIR", "write a report with curves and pictures here: index.html", &report_dir, 0, 0, NULL,
     0, 0},
    {CLI_WORD, 0, "format", "text|json", "how the result is written (default text)", &format, 0, 0, formats, 0, 0},
    CLI_OPTION_NULL,
    CLI_OPTION_JOBS,
    {CLI_HEADING, 0, NULL, "TRAINING OPTION...", "With --train, as for adtool train:", NULL, 0, 0, NULL, 0, 0},
    CLI_OPTIONS_TRAINING,
    CLI_OPTION_END,
};

/* One kind of defect: a folder of the anomalous pictures. */
typedef struct group {
	char *name;
	size_t count, found;
} group;

typedef struct evaluation {
	const adtool_model_info *model;
	adtool_pixel_roc *pixels; /* NULL without masks */
	adtool_page *page;        /* NULL without --report */
	double *scores;
	uint8_t *anomalous;
	size_t *group_of; /* anomalous pictures: index in groups */
	size_t count, capacity;
	group *groups;
	size_t group_count;
	bool anomalous_now; /* which set is being read */
	double seconds[2];  /* for the normal and the anomalous */
	size_t normals, anomalies, refused;
	size_t masks_used, masks_missing;
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

/* 1: *truth (one byte a pixel) is filled; 0: there is none that fits, and that was said; negative: e->err. */
static int read_mask(evaluation *e, const adtool_row *row, uint8_t *truth)
{
	adtool_image *mask = NULL;
	adtool_error err;
	size_t n = (size_t)row->width * row->height;

	if (!e->anomalous_now) {
		memset(truth, 0, n);
		return 1;
	}
	char *path = find_mask(row);
	if (!path) {
		cli_message(row->name, "no mask in %s", masks_dir);
		return 0;
	}
	int found = 0;
	if (adtool_image_read(path, 0, &mask, &err)) {
		cli_message(path, "%s", err.message);
	} else if (adtool_image_width(mask) != row->width || adtool_image_height(mask) != row->height) {
		cli_message(path, "the mask is %ux%u, the picture %ux%u", adtool_image_width(mask),
			    adtool_image_height(mask), row->width, row->height);
	} else {
		const uint8_t *rgb = adtool_image_pixels(mask);
		for (size_t i = 0; i < n; i++)
			truth[i] = rgb[3 * i] > 127;
		found = 1;
	}
	adtool_image_free(mask);
	free(path);
	return found;
}

static int add_pixels(evaluation *e, const adtool_row *row)
{
	size_t n = (size_t)row->width * row->height;
	uint8_t *truth = cli_alloc(n, 1);
	float *map = NULL;
	int code = read_mask(e, row, truth);

	if (code > 0) {
		e->masks_used += e->anomalous_now;
		map = cli_alloc(n, sizeof(*map));
		code =
		    adtool_map_upsample(row->map, row->map_rows, row->map_cols, row->width, row->height, map, &e->err);
		if (!code)
			adtool_pixel_roc_add(e->pixels, map, truth, n);
	} else {
		e->masks_missing++;
	}
	free(map);
	free(truth);
	return code;
}

/* -- scoring ----------------------------------------------------------------------------------------- */

static int add_row(void *context, const adtool_row *row)
{
	evaluation *e = context;

	if (row->verdict == ADTOOL_ERROR) {
		cli_message(row->name, "%s", row->why);
		e->refused++;
		return e->page && adtool_page_add(e->page, row, ADTOOL_TRUTH_UNKNOWN, NULL, &e->err);
	}
	if (e->count == e->capacity) {
		e->capacity = e->capacity ? 2 * e->capacity : 256;
		e->scores = cli_realloc(e->scores, e->capacity, sizeof(*e->scores));
		e->anomalous = cli_realloc(e->anomalous, e->capacity, sizeof(*e->anomalous));
		e->group_of = cli_realloc(e->group_of, e->capacity, sizeof(*e->group_of));
	}
	e->scores[e->count] = row->score;
	e->anomalous[e->count] = e->anomalous_now;
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

/* -- results ----------------------------------------------------------------------------------------- */

typedef struct results {
	adtool_metrics metrics;
	adtool_confusion confusion;
	double *group_auroc;
	bool has_pixels;
	double pixel_auroc, pixel_error;
} results;

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
	adtool_confusion_at(e->scores, e->anomalous, e->count, e->model->threshold, &r->confusion);
	r->group_auroc = cli_alloc(e->group_count, sizeof(*r->group_auroc));
	for (size_t g = 0; g < e->group_count; g++)
		if (group_metrics(e, g, &r->group_auroc[g], &err))
			return cli_fail("eval", &err);
	if (e->pixels && e->masks_used) {
		if (adtool_pixel_roc_auroc(e->pixels, &r->pixel_auroc, &r->pixel_error, &err))
			return cli_fail("eval: masks", &err);
		r->has_pixels = true;
	}
	return 0;
}

static void print_text(const evaluation *e, const results *r)
{
	const adtool_metrics *m = &r->metrics;
	const adtool_confusion *c = &r->confusion;
	char *rule = cli_rule_text(e->model->rule, e->model->alpha);

	cli_print("pictures             %zu normal, %zu anomalous", m->normals, m->anomalies);
	if (e->refused)
		cli_print(", %zu could not be read", e->refused);
	cli_print("\nAUROC                %.4f\n", m->auroc);
	cli_print("average precision    %.4f\n", m->average_precision);
	cli_print("best F1              %.4f at a score of %.6g\n", m->best_f1, m->best_f1_threshold);
	cli_print("FPR at TPR 1.00      %.4f\n", m->fpr_at_tpr_100);
	cli_print("FPR at TPR 0.95      %.4f\n", m->fpr_at_tpr_95);
	if (r->has_pixels)
		cli_print("pixel AUROC          %.4f, error at most %.2g, %zu masks\n", r->pixel_auroc, r->pixel_error,
			  e->masks_used);
	cli_print("\nat the threshold %.6g (%s):\n", e->model->threshold, rule);
	cli_print("                called normal   called anomalous\n");
	cli_print("normal          %13zu   %16zu\n", c->true_negatives, c->false_positives);
	cli_print("anomalous       %13zu   %16zu\n", c->false_negatives, c->true_positives);
	free(rule);
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

static void print_number(const char *name, double value, const char *end)
{
	char number[CLI_NUMBER_SIZE];

	cli_print("\"%s\": %s%s", name, cli_number(number, value), end);
}

static void print_json(const evaluation *e, const results *r)
{
	const adtool_metrics *m = &r->metrics;
	const adtool_confusion *c = &r->confusion;

	cli_print("{\n  \"normal\": %zu,\n  \"anomalous\": %zu,\n  \"errors\": %zu,\n  ", m->normals, m->anomalies,
		  e->refused);
	print_number("auroc", m->auroc, ",\n  ");
	print_number("average_precision", m->average_precision, ",\n  ");
	print_number("best_f1", m->best_f1, ",\n  ");
	print_number("best_f1_threshold", m->best_f1_threshold, ",\n  ");
	print_number("fpr_at_tpr_1", m->fpr_at_tpr_100, ",\n  ");
	print_number("fpr_at_tpr_0.95", m->fpr_at_tpr_95, ",\n  ");
	cli_print("\"threshold\": {");
	print_number("value", e->model->threshold, ", ");
	cli_print("\"rule\": \"%s\", ", cli_rules[e->model->rule]);
	if (!(e->model->alpha > 0))
		cli_print("\"alpha\": null},\n");
	else
		print_number("alpha", e->model->alpha, "},\n");
	cli_print("  \"confusion\": {\"true_positives\": %zu, \"false_positives\": %zu, \"true_negatives\": %zu, "
		  "\"false_negatives\": %zu},\n",
		  c->true_positives, c->false_positives, c->true_negatives, c->false_negatives);
	if (r->has_pixels) {
		cli_print("  \"pixel\": {");
		print_number("auroc", r->pixel_auroc, ", ");
		print_number("error_bound", r->pixel_error, ", ");
		cli_print("\"masks\": %zu, \"without_mask\": %zu},\n", e->masks_used, e->masks_missing);
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

static int write_report(const adtool_model *model, const evaluation *e, const results *r)
{
	adtool_page_facts facts = {
	    .model_path = train_inputs.count ? NULL : cli_model_path(model_path),
	    .threshold = e->model->threshold,
	    .rule = e->model->rule,
	    .alpha = e->model->alpha,
	    .metrics = &r->metrics,
	};
	adtool_error err;
	int code = adtool_page_timing(e->page, "normal pictures", e->seconds[0], &err);

	if (!code)
		code = adtool_page_timing(e->page, "anomalous pictures", e->seconds[1], &err);
	for (size_t g = 0; !code && g < e->group_count; g++)
		code = adtool_page_defect(e->page, e->groups[g].name, r->group_auroc[g], &err);
	if (!code && r->has_pixels) {
		char *value = cli_text("%.4f", r->pixel_auroc), *note = cli_text("%zu masks", e->masks_used);
		code = adtool_page_figure(e->page, "Pixel AUROC", value, note, &err);
		free(value);
		free(note);
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

static int check_masks(const adtool_model_info *model)
{
	if (!masks_dir)
		return 0;
	if (model->method == ADTOOL_PPCA) {
		cli_message("eval", "a ppca model has no map, so masks tell nothing about it");
		return CLI_FAILURE;
	}
	if (access(masks_dir, R_OK | X_OK)) {
		cli_message(masks_dir, "%s", strerror(errno));
		return CLI_FAILURE;
	}
	return 0;
}

static int evaluate(const adtool_model *model, evaluation *e, results *r)
{
	adtool_error err;
	int status = check_masks(e->model);

	if (status)
		return status;
	if (masks_dir && adtool_pixel_roc_create(&e->pixels, &err))
		return cli_fail("eval", &err);
	status = score_set(e, model, &normal_inputs, false);
	if (!status)
		status = score_set(e, model, &anomalous_inputs, true);
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

static int run(size_t count, const char **operands)
{
	adtool_model *model = NULL;
	evaluation e = {0};
	results r = {0};

	(void)count;
	(void)operands;
	if (lists_in(&train_inputs) + lists_in(&normal_inputs) + lists_in(&anomalous_inputs) > 1)
		return cli_usage_error("the list of paths, '-', can be read only once");
	if (cli_conditional && !train_inputs.count)
		return cli_usage_error("option '--%s' needs --train", cli_conditional);
	if (report_dir && cli_report_open(ADTOOL_PAGE_EVAL, report_dir, &e.page))
		return CLI_FAILURE;
	int status = prepare_model(&model);
	if (status) {
		adtool_page_free(e.page);
		return status;
	}
	e.model = adtool_model_get_info(model);
	status = evaluate(model, &e, &r);
	if (!status) {
		if (format)
			print_json(&e, &r);
		else
			print_text(&e, &r);
		if (e.page)
			status = write_report(model, &e, &r);
		if (!status && (e.refused || e.masks_missing || cli_refused_count))
			status = CLI_UNREADABLE;
	}
	adtool_pixel_roc_free(e.pixels);
	adtool_page_free(e.page);
	for (size_t g = 0; g < e.group_count; g++)
		free(e.groups[g].name);
	free(e.groups);
	free(e.scores);
	free(e.anomalous);
	free(e.group_of);
	free(r.group_auroc);
	adtool_model_free(model);
	return status;
}

const cli_command cli_program = {
    .name = "eval",
    .page = "adtool-eval",
    .options = options,
    .run = run,
};
