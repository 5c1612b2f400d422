#include <sys/stat.h>

#include "cli.h"

static const char *output = "model.zip", *report_dir;
static const char *update_path, *from_path;
static bool force;

static const cli_option options[] = {
    {CLI_STRING, 'o', "output", "MODEL", "write the model here (default model.zip)", &output, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "keep-stats", NULL, "keep the pictures' maps in the model, so that it can be updated",
     &cli_train.keep_stats, 0, 0, NULL, 0, 0},
    {CLI_STRING, 0, "update", "OLD",
     "learn from the pictures kept in this model too; writes to it, unless -o says where", &update_path, 0, 0, NULL, 0,
     2},
    {CLI_STRING, 0, "from", "OLD", "train as this model was trained, but for the options given", &from_path, 0, 0, NULL,
     0, 2},
    {CLI_FLAG, 0, "tune", NULL, "time the ways to compute each convolution here, and keep the fastest in the model",
     &cli_train.tune, 0, 0, NULL, 0, 0},
    CLI_OPTIONS_TRAINING,
    {CLI_WORD, 0, "precision", "float32|int8|bf16", "how the backbone is computed (default float32)",
     &cli_train.precision, 0, 0, cli_precisions, 0, 0},
    CLI_OPTION_GROUP_BY,
    {CLI_COUNT, 0, "drop", "N", "leave the N worst held-out pictures out, and fit again", &cli_train.drop, 0, 1 << 20,
     NULL, 0, 0},
    CLI_OPTION_JOBS,
    CLI_OPTION_NULL,
    {CLI_STRING, 0, "report", "DIR", "write a report on the training here: index.html", &report_dir, 0, 0, NULL, 0, 0},
    CLI_OPTION_FORCE("MODEL"),
    CLI_OPTION_END,
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* -- findings ---------------------------------------------------------------------------------------- */

/* So many copies are named without -v. */
enum { NAMED = 5 };

typedef struct worst {
	char *name;
	double score, p;
} worst;

static worst *worst_pictures;
static size_t worst_count;

static void note_finding(void *context, const adtool_finding *f)
{
	static size_t copies;

	(void)context;
	switch (f->kind) {
	case ADTOOL_FINDING_COPY:
		if (!cli_quiet && (copies++ < NAMED || cli_verbose))
			cli_warn(f->name, "has the same bytes as %s", f->other);
		break;
	case ADTOOL_FINDING_NEAR_COPY:
		if (!cli_quiet && (copies++ < NAMED || cli_verbose))
			cli_warn(f->name, "is nearly the same as %s (%.2g of the usual distance)", f->other,
				 f->distance);
		break;
	case ADTOOL_FINDING_WORST:
		worst_pictures = cli_realloc(worst_pictures, worst_count + 1, sizeof(*worst_pictures));
		worst_pictures[worst_count++] = (worst){cli_text("%s", f->name), f->score, f->p};
		break;
	case ADTOOL_FINDING_DROPPED:
		if (!cli_quiet)
			cli_remark(f->name, "dropped; its score when held out was %.6g", f->score);
		break;
	}
}

static void remark_copies(const adtool_train_report *r)
{
	if (cli_quiet || !(r->copies + r->near_copies))
		return;
	cli_warn("train",
		 "%zu copies and %zu near copies: a picture is held against its own copy, which makes the threshold "
		 "too low; remove them, or keep them together with --group-by",
		 r->copies, r->near_copies);
}

/* Those of the worst whose residuals are so many times those of the next; of fewer pictures nothing can be said. */
enum { FAR = 3, FAR_FROM = 20 };

static void remark_far(const adtool_model_info *m)
{
	size_t far = 0;

	if (cli_quiet || m->method != ADTOOL_FRE || m->calibration_count < FAR_FROM)
		return;
	for (size_t i = 1; i < worst_count; i++)
		if (worst_pictures[i - 1].score > FAR * worst_pictures[i].score)
			far = i;
	if (far == 1)
		cli_warn("train",
			 "%s: its score when held out, %.6g, is far above all others, and may make the threshold too "
			 "high; if it does not belong, --drop %zu leaves it out",
			 worst_pictures[0].name, worst_pictures[0].score, cli_train.drop + far);
	else if (far)
		cli_warn("train",
			 "the %zu worst have scores far above all others, and may make the threshold too high; if they "
			 "do not belong, --drop %zu leaves them out",
			 far, cli_train.drop + far);
}

static void print_worst(void)
{
	for (size_t i = 0; i < worst_count; i++)
		cli_print("%-12s %.6g (p %.2g)  %s\n", i ? "" : "worst", worst_pictures[i].score, worst_pictures[i].p,
			  cli_safe(worst_pictures[i].name));
}

static void free_worst(void)
{
	for (size_t i = 0; i < worst_count; i++)
		free(worst_pictures[i].name);
	free(worst_pictures);
}

static void print_calibration(const adtool_model_info *m)
{
	char *rule = cli_rule_text(m->rule, m->alpha);

	switch (m->calibration) {
	case ADTOOL_CV_FOLDS:
		cli_print("calibration  %zu pictures, %u folds\n", m->calibration_count, m->folds);
		break;
	case ADTOOL_CV_LEAVE_ONE_OUT:
		cli_print("calibration  %zu pictures, each left out once\n", m->calibration_count);
		break;
	case ADTOOL_CV_HELD_OUT:
		cli_print("calibration  %zu pictures held out\n", m->calibration_count);
		break;
	}
	cli_print("threshold    anomalous above %.6g (%s)\n", m->threshold, rule);
	if (m->rule == ADTOOL_RULE_EXTRAPOLATED)
		cli_print("             extrapolated: %zu pictures cannot support alpha %g; %zu would\n",
			  m->calibration_count, m->alpha, m->normals_needed);
	if (cli_weakness(m))
		cli_print("             weak: from %zu pictures any threshold is %s\n", m->calibration_count,
			  cli_weakness(m));
	if (m->groups)
		cli_print("groups       %zu, by %s\n", m->groups, cli_safe(m->group_by));
	free(rule);
}

static void print_report(const adtool_model *model, const adtool_train_report *r, double seconds_write,
			 double seconds_total)
{
	const adtool_model_info *m = adtool_model_get_info(model);
	char number[CLI_NUMBER_SIZE];
	struct stat st;

	cli_print("pictures     %zu used, %zu refused", r->pictures_used, r->pictures_refused);
	if (update_path)
		cli_print("; %zu from the old model, %zu known before", r->pictures_kept, r->pictures_known);
	if (r->pictures_dropped)
		cli_print(", %zu dropped", r->pictures_dropped);
	if (r->passed_over)
		cli_print("; %llu files that are no pictures", (unsigned long long)r->passed_over);
	cli_print("\nbackbone     %s, layer %s: %zu x %zu x %zu from %ux%u pixels\n", cli_safe(m->backbone_name),
		  cli_safe(m->layer), m->layer_channels, m->layer_height, m->layer_width, m->width, m->height);
	/* An update does not measure how much it differs. */
	if (m->precision != ADTOOL_FLOAT32 && update_path)
		cli_print("precision    %s\n", cli_precisions[m->precision]);
	else if (m->precision != ADTOOL_FLOAT32)
		cli_print("precision    %s; features differ by %.1f %% of their spread from float32\n",
			  cli_precisions[m->precision], 100 * r->difference);
	cli_print("features     D = %zu", m->dimensions);
	if (m->method == ADTOOL_FRE)
		cli_print(" (%zu channels, %u x %u cells)", m->channels, m->grid, m->grid);
	cli_print("\ncomponents   %s, k = %zu, %.2f %% of the energy\n", cli_methods[m->method], m->components,
		  100 * m->energy_kept);
	print_calibration(m);
	print_worst();
	cli_print("model        %s", cli_safe(output));
	if (!stat(output, &st))
		cli_print(", %s", cli_bytes(number, (uint64_t)st.st_size));
	cli_print("\nseconds      %.2f: list %.2f, features %.2f, fit %.2f, self-test %.2f, write %.2f\n",
		  seconds_total, r->seconds_list, r->seconds_features, r->seconds_fit, r->seconds_selftest,
		  seconds_write);
	if (!cli_verbose)
		return;
	cli_print("threads      %u\n", r->threads);
	cli_print("memory       %s by the formula of adtool-train(1)\n", cli_bytes(number, r->memory_estimate));
	cli_print("arena        %s of activations for each thread\n", cli_bytes(number, r->arena_bytes));
	cli_print("weights      %s, packed, for all\n", cli_bytes(number, r->weight_bytes));
}

static adtool_page *page; /* NULL without --report */
static bool page_failed;

/* The model is worth more than its page, so training goes on. */
static int note_held_out(void *context, const adtool_row *row)
{
	adtool_error err;

	(void)context;
	if (!page_failed && adtool_page_add(page, row, ADTOOL_TRUTH_NORMAL, NULL, &err)) {
		cli_fail(report_dir, &err);
		page_failed = true;
	}
	return 0;
}

/* A page without it is better than none. */
static void note_refused(void *context, const char *name, const adtool_error *why)
{
	(void)context;
	adtool_page_refused(page, name, why->message, NULL);
}

static int write_report(const adtool_model *model, const adtool_train_report *r, double seconds_write)
{
	const adtool_model_info *m = adtool_model_get_info(model);
	adtool_page_facts facts = {.model_path = output, .threshold = m->threshold, .rule = m->rule, .alpha = m->alpha};
	const struct {
		const char *stage;
		double seconds;
	} stages[] = {
	    {"list", r->seconds_list},          {"features", r->seconds_features}, {"fit", r->seconds_fit},
	    {"self-test", r->seconds_selftest}, {"write", seconds_write},
	};
	adtool_error err;

	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++)
		if (adtool_page_timing(page, stages[i].stage, stages[i].seconds, &err))
			return cli_fail(report_dir, &err);
	return cli_report_write(page, report_dir, model, &facts);
}

/* What the old model has fixed: its maps with --update, its part of the backbone with --from. */
static int check_old(void)
{
	const struct {
		const char *name;
		const void *value;
		bool with_backbone; /* --from allows it together with --backbone, or always */
	} fixed[] = {
	    {"backbone", &cli_train.backbone, true}, {"size", &cli_train.size, true},   {"grid", &cli_train.grid, true},
	    {"method", &cli_train.method, true},     {"precision", &cli_train.precision, true},
	    {"layer", &cli_train.layer, false},      {"color", &cli_feed.color, false},
	    {"range", &cli_feed.range, false},       {"mean", cli_feed.mean, false},     {"std", cli_feed.std, false},
	    {"fit", &cli_train.fit, true},           {"tiles", &cli_train.tiles, true},  {"roi", &cli_train.roi, true},
	    {"mask", &cli_train.mask, true},         {"background", &cli_train.background, true},
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
		if (!cli_given(fixed[i].value))
			continue;
		if (update_path)
			return cli_usage_error(
			    "option '--%s' does not go with '--update': the maps are kept as they were made",
			    fixed[i].name);
		if (from_path && !cli_train.backbone && !fixed[i].with_backbone)
			return cli_usage_error(
			    "option '--%s' needs '--backbone': the model keeps only what its layer needs",
			    fixed[i].name);
	}
	return CLI_OK;
}

static int open_old(adtool_model **old)
{
	const char *path = update_path ? update_path : from_path;
	adtool_error err;

	if (cli_check_model_size(path))
		return CLI_FAILURE;
	if (adtool_model_open(path, old, &err))
		return cli_fail(path, &err);
	if (update_path && !adtool_model_keeps_stats(*old)) {
		cli_message(
		    path,
		    "keeps no stats, so it cannot be updated: train it again on all its pictures, with --from %s "
		    "--keep-stats",
		    path);
		return CLI_FAILURE;
	}
	cli_train.from = *old;
	cli_train.update = update_path != NULL;
	return CLI_OK;
}

static int run(size_t count, const char **inputs)
{
	adtool_model *old = NULL;
	adtool_model *model = NULL;
	adtool_train_report report = {0};
	adtool_error err;
	double start = now();
	adtool_geometry geometry;

	if (check_old() || cli_geometry(&geometry) || cli_check_group_by())
		return CLI_USAGE;
	if (update_path && !cli_given(&output))
		output = update_path;
	/* Said now, not after an hour of training. */
	bool in_place = update_path && !strcmp(output, update_path);
	if (adtool_model_may_save(output, force || in_place, &err))
		return cli_fail(output, &err);
	if (report_dir && cli_report_open(ADTOOL_PAGE_TRAIN, report_dir, &page))
		return CLI_FAILURE;
	if (page) {
		cli_train.held_out = note_held_out;
		cli_train.held_out_most = ADTOOL_PAGE_PICTURES;
		cli_train.thumbnail = ADTOOL_PAGE_THUMBNAIL;
		cli_train.refused = note_refused;
	}
	cli_train.finding = note_finding;
	if (((update_path || from_path) && open_old(&old)) || cli_train_model(inputs, count, &model, &report)) {
		adtool_page_free(page);
		adtool_model_free(old);
		free_worst();
		return CLI_FAILURE;
	}
	remark_copies(&report);
	remark_far(adtool_model_get_info(model));
	double trained = now();
	/* Not what was refused before an update: that was said then. */
	int status = cli_refused_count ? CLI_UNREADABLE : CLI_OK;
	if (adtool_model_save(model, output, force, &err))
		status = cli_fail(output, &err);
	else {
		double written = now();
		if (!cli_quiet)
			print_report(model, &report, written - trained, written - start);
		if (page && (page_failed || write_report(model, &report, written - trained)))
			status = CLI_FAILURE;
	}
	adtool_page_free(page);
	adtool_model_free(model);
	adtool_model_free(old);
	free_worst();
	return status;
}

const cli_command cli_program = {
    .name = "train",
    .page = "adtool-train",
    .operands = "NORMAL...",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};
