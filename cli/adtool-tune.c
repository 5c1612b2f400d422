#include <ctype.h>
#include <math.h>

#include "cli.h"

static cli_list train_inputs, normal_inputs, anomalous_inputs;
static cli_list backbone_words, layer_words, size_words, grid_words, energy_words, aggregate_words;
static const char *output;
static bool force;
static int format, goal;
static size_t lines = 20;
static adtool_geometry geometry;

static const char *const formats[] = { "text", "json", NULL };
static const char *const goals[] = { "auroc", "ap", NULL };

static const cli_option options[] = {
	{ CLI_LIST, 0, "train", "NORMAL...", "pictures of normal things to learn from", &train_inputs, 0, 0, NULL,
	  CLI_REQUIRED, 0 },
	{ CLI_LIST, 0, "normal", "INPUT...", "other pictures of normal things, to choose by", &normal_inputs, 0, 0,
	  NULL, CLI_REQUIRED, 0 },
	{ CLI_LIST, 0, "anomalous", "INPUT...", "pictures of anomalous things, to choose by", &anomalous_inputs, 0, 0,
	  NULL, CLI_REQUIRED, 0 },
	{ CLI_STRING, 'o', "output", "MODEL", "train the best, and write it here (default: write none)", &output, 0, 0,
	  NULL, 0, 0 },
	{ CLI_LIST, 0, "backbone", "NAME...", "backbones to try (default: all that adtool backbone list shows)",
	  &backbone_words, 0, 0, NULL, 0, 0 },
	{ CLI_LIST, 0, "layer", "L...", "layers (default: those that a backbone's metadata name)", &layer_words, 0, 0,
	  NULL, 0, 0 },
	{ CLI_LIST, 0, "size", "WxH...", "sizes (default 224x224 320x320; with --tiles theirs)", &size_words, 0, 0,
	  NULL, 0, 0 },
	CLI_OPTION_FIT,
	CLI_OPTION_TILES,
	CLI_OPTION_ROI,
	CLI_OPTION_MASK,
	CLI_OPTION_BACKGROUND,
	{ CLI_LIST, 0, "grid", "G...", "grids (default 7 10 14)", &grid_words, 0, 0, NULL, 0, 0 },
	{ CLI_LIST, 0, "energy", "E...", "shares of the energy (default 0.97 0.9 0.99)", &energy_words, 0, 0, NULL, 0,
	  0 },
	{ CLI_LIST, 0, "aggregate", "HOW...", "of top, max and sum (default: all three)", &aggregate_words, 0, 0, NULL,
	  0, 0 },
	{ CLI_WORD, 0, "goal", "auroc|ap", "what makes one better than another (default auroc)", &goal, 0, 0, goals, 0,
	  0 },
	{ CLI_COUNT, 0, "channels", "C", "channels to keep; 0 keeps all (default 128)", &cli_train.channels, 0, 1 << 20,
	  NULL, 0, 0 },
	{ CLI_DOUBLE, 0, "top", "FRACTION", "share of the cells that top averages (default 0.1)", &cli_train.top, 0, 1,
	  NULL, CLI_ABOVE_MIN, 0 },
	{ CLI_DOUBLE, 0, "alpha", "A", "false-alarm rate of the model's threshold (default 0.01)", &cli_train.alpha, 0,
	  1, NULL, CLI_ABOVE_MIN | CLI_BELOW_MAX, 0 },
	{ CLI_WHOLE, 0, "seed", "S", "of the folds and samples drawn (default 0)", &cli_train.seed, 0, 0, NULL, 0, 0 },
	{ CLI_BYTES, 0, "memory", "SIZE", "refuse when more would be needed (default: 3/4 of the machine's)",
	  &cli_train.memory, 0, 0, NULL, 0, 0 },
	{ CLI_COUNT, 0, "lines", "N", "lines of the table; 0: all (default 20)", &lines, 0, 1 << 30, NULL, 0, 0 },
	{ CLI_WORD, 0, "format", "text|json", "how the result is written (default text)", &format, 0, 0, formats, 0,
	  0 },
	CLI_OPTION_JOBS,
	CLI_OPTION_FORCE("MODEL"),
	CLI_OPTION_END,
};

/* What the lists hold, as the library takes them. */
typedef struct plan {
	const adtool_backbone **backbones;
	adtool_backbone **opened;
	char **names;
	size_t backbone_count;
	unsigned (*sizes)[2];
	unsigned *grids;
	double *energies;
	enum adtool_aggregate *aggregates;
} plan;

/* -- lists ------------------------------------------------------------------------------------------- */

/* Each word once. */
static void drop_repeated(cli_list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		size_t j = 0;
		while (j < kept && strcmp(list->items[j], list->items[i]))
			j++;
		if (j == kept)
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
}

static void default_words(cli_list *list, const char *const *words, size_t count)
{
	if (list->count) {
		drop_repeated(list);
		return;
	}
	list->items = cli_alloc(count, sizeof(*list->items));
	memcpy(list->items, words, count * sizeof(*words));
	list->count = count;
}

static int parse_unsigned(const char *text, char end, unsigned max, unsigned *out, const char **rest)
{
	char *stop;

	if (!isdigit((unsigned char)text[0]))
		return -1;
	unsigned long n = strtoul(text, &stop, 10);
	if (*stop != end || n < 1 || n > max)
		return -1;
	*out = (unsigned)n;
	*rest = stop;
	return 0;
}

static int parse_sizes(plan *p)
{
	const char *rest;

	p->sizes = cli_alloc(size_words.count, sizeof(*p->sizes));
	for (size_t i = 0; i < size_words.count; i++) {
		const char *word = size_words.items[i];
		if (parse_unsigned(word, 'x', 4096, &p->sizes[i][0], &rest) ||
		    parse_unsigned(rest + 1, '\0', 4096, &p->sizes[i][1], &rest))
			return cli_usage_error("option '--size' wants WIDTHxHEIGHT, each from 1 to 4096, not '%s'",
					       word);
	}
	return 0;
}

static int parse_grids(plan *p)
{
	const char *rest;

	p->grids = cli_alloc(grid_words.count, sizeof(*p->grids));
	for (size_t i = 0; i < grid_words.count; i++)
		if (parse_unsigned(grid_words.items[i], '\0', 256, &p->grids[i], &rest))
			return cli_usage_error("option '--grid' wants a whole number from 1 to 256, not '%s'",
			                       grid_words.items[i]);
	return 0;
}

static int parse_energies(plan *p)
{
	p->energies = cli_alloc(energy_words.count, sizeof(*p->energies));
	for (size_t i = 0; i < energy_words.count; i++) {
		const char *word = energy_words.items[i];
		char *stop;
		p->energies[i] = strtod(word, &stop);
		if (!word[0] || isspace((unsigned char)word[0]) || *stop || !(p->energies[i] > 0 && p->energies[i] < 1))
			return cli_usage_error("option '--energy' wants a number above 0 and below 1, not '%s'", word);
	}
	return 0;
}

static int parse_aggregates(plan *p)
{
	p->aggregates = cli_alloc(aggregate_words.count, sizeof(*p->aggregates));
	for (size_t i = 0; i < aggregate_words.count; i++) {
		int how = 0;
		while (cli_aggregates[how] && strcmp(cli_aggregates[how], aggregate_words.items[i]))
			how++;
		if (!cli_aggregates[how])
			return cli_usage_error("option '--aggregate' wants top, max or sum, not '%s'",
					       aggregate_words.items[i]);
		p->aggregates[i] = (enum adtool_aggregate)how;
	}
	return 0;
}

/* One name, once. */
static int add_name(const char *name, const char *where, void *context)
{
	plan *p = context;

	(void)where;
	for (size_t i = 0; i < p->backbone_count; i++)
		if (!strcmp(p->names[i], name))
			return 0;
	p->names = cli_realloc(p->names, p->backbone_count + 1, sizeof(*p->names));
	p->names[p->backbone_count++] = cli_text("%s", name);
	return 0;
}

static int open_backbones(plan *p)
{
	adtool_error err;

	for (size_t i = 0; i < backbone_words.count; i++)
		add_name(backbone_words.items[i], NULL, p);
	if (!backbone_words.count && adtool_backbone_list(add_name, p, &err))
		return cli_fail("tune", &err);
	p->opened = cli_alloc(p->backbone_count, sizeof(*p->opened));
	p->backbones = cli_alloc(p->backbone_count, sizeof(*p->backbones));
	for (size_t i = 0; i < p->backbone_count; i++) {
		if (cli_load_backbone(p->names[i], &p->opened[i]))
			return CLI_FAILURE;
		p->backbones[i] = p->opened[i];
	}
	return 0;
}

static int make_plan(plan *p)
{
	static const char *const sizes[] = { "224x224", "320x320" }, *const grids[] = { "7", "10", "14" };
	static const char *const energies[] = { "0.97", "0.9", "0.99" };

	if (cli_train.tiles.width) {
		static char tile[CLI_NUMBER_SIZE];
		static const char *const words[] = { tile };

		snprintf(tile, sizeof(tile), "%ux%u", cli_train.tiles.width, cli_train.tiles.height);
		default_words(&size_words, words, 1);
	}
	default_words(&size_words, sizes, 2);
	default_words(&grid_words, grids, 3);
	default_words(&energy_words, energies, 3);
	default_words(&aggregate_words, cli_aggregates, 3);
	drop_repeated(&layer_words);
	int status = parse_sizes(p);
	if (!status)
		status = parse_grids(p);
	if (!status)
		status = parse_energies(p);
	if (!status)
		status = parse_aggregates(p);
	return status ? status : open_backbones(p);
}

static void plan_release(plan *p)
{
	for (size_t i = 0; i < p->backbone_count; i++) {
		if (p->opened)
			adtool_backbone_free(p->opened[i]);
		free(p->names[i]);
	}
	free(p->opened);
	free(p->backbones);
	free(p->names);
	free(p->sizes);
	free(p->grids);
	free(p->energies);
	free(p->aggregates);
}

/* -- results ----------------------------------------------------------------------------------------- */

static const adtool_tune_result *sorted_result;

static int better_first(const void *a, const void *b)
{
	size_t i = *(const size_t *)a, j = *(const size_t *)b;
	const adtool_candidate *x = &sorted_result->candidates[i], *y = &sorted_result->candidates[j];
	double dx = goal == ADTOOL_GOAL_AP ? x->average_precision : x->auroc;
	double dy = goal == ADTOOL_GOAL_AP ? y->average_precision : y->auroc;
	double ex = goal == ADTOOL_GOAL_AP ? x->auroc : x->average_precision;
	double ey = goal == ADTOOL_GOAL_AP ? y->auroc : y->average_precision;

	if (i == sorted_result->best || j == sorted_result->best)
		return i == j ? 0 : i == sorted_result->best ? -1 : 1;
	if (dx != dy)
		return dx > dy ? -1 : 1;
	if (ex != ey)
		return ex > ey ? -1 : 1;
	return i < j ? -1 : i > j;
}

static size_t *sort_candidates(const adtool_tune_result *r)
{
	size_t *order = cli_alloc(r->count, sizeof(*order));

	for (size_t i = 0; i < r->count; i++)
		order[i] = i;
	sorted_result = r;
	qsort(order, r->count, sizeof(*order), better_first);
	return order;
}

static void print_table(const plan *p, const adtool_tune_result *r)
{
	size_t *order = sort_candidates(r), shown = lines && lines < r->count ? lines : r->count;
	int names = 8, layers = 5;

	for (size_t i = 0; i < shown; i++) {
		const adtool_candidate *c = &r->candidates[order[i]];
		int name = (int)strlen(p->names[c->backbone]), layer = (int)strlen(c->layer);
		names = name > names ? name : names;
		layers = layer > layers ? layer : layers;
	}
	cli_print("\n AUROC      AP  FPR at TPR .95  %-*s  %-*s  %-9s  grid  energy  aggregate     k%s\n", names,
		  "backbone", layers, "layer", "size", r->folds ? "  chosen" : "");
	for (size_t i = 0; i < shown; i++) {
		const adtool_candidate *c = &r->candidates[order[i]];
		char size[CLI_NUMBER_SIZE];
		snprintf(size, sizeof(size), "%ux%u", c->width, c->height);
		cli_print("%.4f  %.4f          %.4f  %-*s  %-*s  %-9s  %4u  %6g  %-9s  %4zu", c->auroc,
			  c->average_precision, c->fpr_at_tpr_95, names, p->names[c->backbone], layers, c->layer, size,
			  c->grid, c->energy, cli_aggregates[c->aggregate], c->components);
		if (r->folds)
			cli_print("  %6zu", c->chosen);
		cli_print("\n");
	}
	if (shown < r->count)
		cli_print("(%zu more; --lines 0 shows all)\n", r->count - shown);
	free(order);
}

/* As a shell takes it; the caller frees. */
static char *shell_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./,:%+=@-";
	char *out, *to;

	if (word[0] && word[strspn(word, plain)] == '\0')
		return cli_text("%s", word);
	out = to = cli_alloc(4 * strlen(word) + 3, 1);
	*to++ = '\'';
	for (; *word; word++) {
		*to++ = *word;
		if (*word == '\'') {
			memcpy(to, "\\''", 3);
			to += 3;
		}
	}
	memcpy(to, "'", 2);
	return out;
}

/* Puts another option behind what there is. */
static void add_option(char **command, const char *name, const char *value)
{
	char *word = shell_word(value), *more = cli_text("%s --%s %s", *command, name, word);

	free(word);
	free(*command);
	*command = more;
}

/* What of the pictures is looked at. */
static void add_geometry(char **command)
{
	const cli_box *roi = &cli_train.roi;
	const char *sign = roi->percent ? "%" : "";
	char text[128];

	if (cli_train.fit)
		add_option(command, "fit", cli_fits[cli_train.fit]);
	snprintf(text, sizeof(text), "%ux%u+%u", cli_train.tiles.width, cli_train.tiles.height,
		 cli_train.tiles.overlap);
	if (cli_train.tiles.width)
		add_option(command, "tiles", text);
	snprintf(text, sizeof(text), "%.9g%s,%.9g%s,%.9g%s,%.9g%s", roi->x, sign, roi->y, sign, roi->width, sign,
		 roi->height, sign);
	if (roi->width > 0)
		add_option(command, "roi", text);
	if (cli_train.mask)
		add_option(command, "mask", cli_train.mask);
	if (cli_train.background)
		add_option(command, "background", cli_train.background);
}

/* The command that trains the best one; the caller frees. */
static char *best_command(const plan *p, const adtool_tune_result *r)
{
	const adtool_candidate *c = &r->candidates[r->best];
	char *name = shell_word(p->names[c->backbone]), *layer = shell_word(c->layer);
	char *command =
	    cli_text("adtool train --backbone %s --layer %s --size %ux%u --grid %u --channels %zu --energy %g "
		     "--aggregate %s --top %g --alpha %g --seed %llu",
		     name, layer, c->width, c->height, c->grid, cli_train.channels, c->energy,
		     cli_aggregates[c->aggregate], cli_train.top, cli_train.alpha, (unsigned long long)cli_train.seed);

	free(name);
	free(layer);
	add_geometry(&command);
	return command;
}

static void print_text(const plan *p, const adtool_tune_result *r)
{
	char *command = best_command(p, r);

	cli_print("pictures  %zu to train on; %zu normal and %zu anomalous to choose by", r->train, r->normals,
		  r->anomalies);
	if (r->refused)
		cli_print("; %zu could not be read", r->refused);
	size_t equals = 0;
	for (size_t i = 0; i < r->count; i++)
		equals += r->candidates[i].auroc == r->candidates[r->best].auroc &&
		          r->candidates[i].average_precision == r->candidates[r->best].average_precision;
	cli_print("\ntried     %zu combinations", r->count);
	if (equals > 1)
		cli_print("; %zu do equally well, of which the cheapest is taken", equals);
	if (r->left_out)
		cli_print("; %zu layers and grids do not fit and were left out", r->left_out);
	cli_print("\n");
	print_table(p, r);
	cli_print("\nThe figures of the table were used to choose, so the best of them flatters: the pictures that "
		  "were tuned\n"
		  "on are no test set. Measure the model on others.\n");
	if (r->folds)
		cli_print("estimate  AUROC %.4f (%.4f to %.4f), average precision %.4f: chosen without the pictures it "
			  "is then\n"
			  "          measured on, in %u folds, dealt %u times\n",
			  r->nested_auroc, r->nested_auroc_low, r->nested_auroc_high, r->nested_average_precision,
			  r->folds, r->repeats);
	else
		cli_print("estimate  none: at least 4 normal and 4 anomalous pictures are needed to choose without "
			  "those that it\n"
			  "          is then measured on\n");
	cli_print("best      %s\n", command);
	free(command);
}

static void print_number(const char *name, double value, const char *end)
{
	char number[CLI_NUMBER_SIZE];

	cli_print("\"%s\": %s%s", name, cli_number(number, value), end);
}

static void print_candidate(const plan *p, const adtool_candidate *c)
{
	cli_print("{\"backbone\": ");
	cli_print_json_string(p->names[c->backbone]);
	cli_print(", \"layer\": ");
	cli_print_json_string(c->layer);
	cli_print(", \"width\": %u, \"height\": %u, \"grid\": %u, ", c->width, c->height, c->grid);
	print_number("energy", c->energy, ", ");
	cli_print("\"aggregate\": \"%s\", \"channels\": %zu, \"components\": %zu, ", cli_aggregates[c->aggregate],
		  c->channels, c->components);
	print_number("auroc", c->auroc, ", ");
	print_number("average_precision", c->average_precision, ", ");
	print_number("fpr_at_tpr_0.95", c->fpr_at_tpr_95, ", ");
	cli_print("\"chosen\": %zu}", c->chosen);
}

static void print_json(const plan *p, const adtool_tune_result *r)
{
	size_t *order = sort_candidates(r);
	char *command = best_command(p, r);

	cli_print("{\n  \"train\": %zu,\n  \"normal\": %zu,\n  \"anomalous\": %zu,\n  \"errors\": %zu,\n  "
		  "\"left_out\": %zu,\n",
		  r->train, r->normals, r->anomalies, r->refused, r->left_out);
	cli_print("  \"goal\": \"%s\",\n  \"best\": ", goals[goal]);
	print_candidate(p, &r->candidates[r->best]);
	cli_print(",\n  \"command\": ");
	cli_print_json_string(command);
	cli_print(",\n  \"nested\": {\"folds\": %u, \"repeats\": %u, ", r->folds, r->repeats);
	print_number("auroc", r->nested_auroc, ", ");
	print_number("auroc_low", r->nested_auroc_low, ", ");
	print_number("auroc_high", r->nested_auroc_high, ", ");
	print_number("average_precision", r->nested_average_precision, "},\n");
	cli_print("  \"candidates\": [");
	for (size_t i = 0; i < r->count; i++) {
		cli_print("%s\n    ", i ? "," : "");
		print_candidate(p, &r->candidates[order[i]]);
	}
	cli_print("\n  ]\n}\n");
	free(command);
	free(order);
}

/* -- the job ----------------------------------------------------------------------------------------- */

/* Trains the best one as adtool train does, which gives the same model. */
static int save_best(const plan *p, const adtool_tune_result *r)
{
	const adtool_candidate *c = &r->candidates[r->best];
	adtool_model *model = NULL;
	adtool_error err;
	uint64_t refused = cli_refused_count;

	cli_train.backbone = p->names[c->backbone];
	cli_train.layer = c->layer;
	cli_train.size = (cli_size){ c->width, c->height };
	cli_train.size_chosen = true;
	cli_train.grid = c->grid;
	cli_train.energy = c->energy;
	cli_train.aggregate = (int)c->aggregate;
	int status = cli_train_model(train_inputs.items, train_inputs.count, &model, NULL);
	cli_refused_count = refused;
	if (!status && adtool_model_save(model, output, force, &err))
		status = cli_fail(output, &err);
	if (!status && !format)
		cli_print("model     %s\n", output);
	adtool_model_free(model);
	return status;
}

static int tune(const plan *p, adtool_tune_result **result)
{
	adtool_dataset_options dataset_options;
	adtool_tune_options o;
	adtool_image *mask;
	adtool_error err;

	if (cli_open_mask(&mask))
		return CLI_FAILURE;
	cli_dataset_options(&dataset_options);
	adtool_tune_options_init(&o);
	o.backbones = p->backbones;
	o.backbone_count = p->backbone_count;
	o.layers = layer_words.items;
	o.layer_count = layer_words.count;
	o.sizes = (const unsigned (*)[2])p->sizes;
	o.size_count = size_words.count;
	o.grids = p->grids;
	o.grid_count = grid_words.count;
	o.energies = p->energies;
	o.energy_count = energy_words.count;
	o.aggregates = p->aggregates;
	o.aggregate_count = aggregate_words.count;
	o.goal = (enum adtool_goal)goal;
	o.train.geometry = geometry;
	o.train.mask = mask;
	o.train.channels = cli_train.channels;
	o.train.top = cli_train.top;
	o.train.alpha = cli_train.alpha;
	o.train.seed = cli_train.seed;
	o.train.memory = cli_train.memory;
	o.train.max_pixels = cli_limits.pixels;
	o.train.isolate = 1;
	o.train.threads = cli_jobs;
	o.train.progress = cli_progress;
	o.train.refused = cli_refused;
	int code = adtool_tune(&o, train_inputs.items, train_inputs.count, normal_inputs.items, normal_inputs.count,
	                       anomalous_inputs.items, anomalous_inputs.count, &dataset_options, result, &err);
	cli_progress_erase();
	adtool_image_free(mask);
	return code ? cli_fail("tune", &err) : 0;
}

/* Standard input can be read once only, and each set is read once for each layer. */
static int check_inputs(void)
{
	const cli_list *const lists[] = { &train_inputs, &normal_inputs, &anomalous_inputs };

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		for (size_t j = 0; j < lists[i]->count; j++)
			if (!strcmp(lists[i]->items[j], "-"))
				return cli_usage_error(
				    "standard input cannot be read once for each backbone; name the pictures");
	return 0;
}

static int run(size_t count, const char **operands)
{
	adtool_tune_result *result = NULL;
	plan p = { 0 };
	adtool_error err;

	(void)count;
	(void)operands;
	int status = cli_geometry(&geometry) ? CLI_USAGE : check_inputs();
	if (!status && output && adtool_model_may_save(output, force, &err))
		status = cli_fail(output, &err);
	if (!status)
		status = make_plan(&p);
	if (!status)
		status = tune(&p, &result);
	if (!status) {
		if (format)
			print_json(&p, result);
		else
			print_text(&p, result);
		cli_flush();
		if (output)
			status = save_best(&p, result);
	}
	if (!status && cli_refused_count)
		status = CLI_UNREADABLE;
	adtool_tune_result_free(result);
	plan_release(&p);
	return status;
}

const cli_command cli_program = {
	.name = "tune",
	.page = "adtool-tune",
	.options = options,
	.run = run,
};
