#include <errno.h>
#include <math.h>
#include <regex.h>
#include <unistd.h>

#include "cli.h"

cli_training cli_train = {
    .size = {224, 224},
    .grid = 7,
    .channels = 128,
    .energy = 0.97,
    .components = SIZE_MAX,
    .top = 0.1,
    .alpha = 0.01,
};
cli_feeding cli_feed = {-1, -1, {NAN, NAN, NAN}, {NAN, NAN, NAN}};
uint64_t cli_refused_count;

/* Each in the order of its enum, or of what CLI_OPTIONS_FEEDING says. */
const char *const cli_precisions[] = {"float32", "int8", "bf16", NULL};
const char *const cli_methods[] = {"fre", "ppca", NULL};
const char *const cli_aggregates[] = {"top", "max", "sum", NULL};
const char *const cli_fits[] = {"stretch", "letterbox", "crop", NULL};
const char *const cli_colors[] = {"rgb", "bgr", NULL};
const char *const cli_ranges[] = {"0..255", "0..1", NULL};

/* -- the model --------------------------------------------------------------------------------------- */

const char *cli_model_path(const char *given)
{
	if (given)
		return given;
	const char *environment = getenv("ADTOOL_MODEL");
	if (environment && environment[0])
		return environment;
	if (!access("model.zip", F_OK))
		return "model.zip";
	cli_message(cli_program.name, "no model: none is named, $ADTOOL_MODEL is not set, and there is no model.zip "
				      "here ('adtool train' makes one)");
	return NULL;
}

int cli_check_model_size(const char *path)
{
	adtool_error err;

	return adtool_limits_check_model(&cli_limits, path, &err) ? cli_fail(path, &err) : 0;
}

int cli_check_no_model(const cli_list *pictures, const char *option)
{
	for (size_t i = 0; i < pictures->count; i++) {
		const char *path = pictures->items[i], *suffix = strrchr(path, '.');
		adtool_model *model = NULL;
		if (!suffix || strcmp(suffix, ".zip") || adtool_model_open(path, &model, NULL))
			continue;
		adtool_model_free(model);
		return cli_usage_error("'%s' is a model, and no pictures for --%s: name it before", cli_safe(path),
				       option);
	}
	return 0;
}

int cli_open_model(const char *given, adtool_model **model)
{
	const char *path = cli_model_path(given);
	adtool_error err;

	if (!path || cli_check_model_size(path))
		return CLI_FAILURE;
	return adtool_model_open(path, model, &err) ? cli_fail(path, &err) : 0;
}

/* -- the backbone ------------------------------------------------------------------------------------ */

static int feed_backbone(adtool_backbone *backbone, adtool_error *err)
{
	adtool_backbone_info info;
	int code = adtool_backbone_get_info(backbone, &info, err);

	if (code)
		return code;
	adtool_preprocessing p = info.preprocessing;
	if (cli_feed.color >= 0)
		p.bgr = cli_feed.color;
	if (cli_feed.range >= 0)
		p.range = cli_feed.range ? 1.0f : 255.0f;
	if (isfinite(cli_feed.mean[0]))
		memcpy(p.mean, cli_feed.mean, sizeof(p.mean));
	if (isfinite(cli_feed.std[0]))
		memcpy(p.std, cli_feed.std, sizeof(p.std));
	if (!memcmp(&p, &info.preprocessing, sizeof(p)))
		return 0;
	return adtool_backbone_set_preprocessing(backbone, &p, err);
}

/* That the graph has no more nodes than --max-nodes. */
static int check_nodes(const adtool_backbone *backbone, const char *what)
{
	adtool_backbone_info info;
	adtool_error err;

	if (adtool_backbone_get_info(backbone, &info, &err))
		return cli_fail(what, &err);
	if (info.nodes <= cli_limits.nodes)
		return 0;
	cli_message(what, "a graph of %zu nodes, more than the limit of %u (--max-nodes)", info.nodes,
		    cli_limits.nodes);
	return CLI_FAILURE;
}

static const char *name_of(const char *given)
{
	return given ? given : "adnet";
}

int cli_load_backbone(const char *name, adtool_backbone **backbone)
{
	adtool_error err;

	if (name && cli_check_model_size(name))
		return CLI_FAILURE;
	if (adtool_backbone_open(name, backbone, &err))
		return cli_fail(name_of(name), &err);
	if (!check_nodes(*backbone, name_of(name)))
		return 0;
	adtool_backbone_free(*backbone);
	*backbone = NULL;
	return CLI_FAILURE;
}

int cli_open_backbone(adtool_backbone **backbone)
{
	int status = cli_load_backbone(cli_train.backbone, backbone);
	adtool_error err;

	if (status || !feed_backbone(*backbone, &err))
		return status;
	adtool_backbone_free(*backbone);
	*backbone = NULL;
	return cli_fail(name_of(cli_train.backbone), &err);
}

/* -- pictures ---------------------------------------------------------------------------------------- */

void cli_refused(void *context, const char *name, const adtool_error *why)
{
	(void)context;
	cli_refused_count++;
	if (cli_train.refused)
		cli_train.refused(NULL, name, why);
	cli_message(name, "%s", why->message);
}

void cli_dataset_options(adtool_dataset_options *options)
{
	adtool_dataset_options_init(options);
	options->null_separated = cli_null;
	adtool_dataset_options_limit(options, &cli_limits);
}

/* -- training ---------------------------------------------------------------------------------------- */

#define TAKES(value) (!cli_train.from || cli_given(&(value)))

static void set_geometry(adtool_geometry *to)
{
	const cli_box *roi = &cli_train.roi;

	if (TAKES(cli_train.fit))
		to->fit = (enum adtool_fit)cli_train.fit;
	if (TAKES(cli_train.tiles)) {
		to->tile_width = cli_train.tiles.width;
		to->tile_height = cli_train.tiles.height;
		to->tile_overlap = cli_train.tiles.overlap;
	}
	if (TAKES(cli_train.roi)) {
		to->roi_x = roi->x;
		to->roi_y = roi->y;
		to->roi_width = roi->width;
		to->roi_height = roi->height;
		to->roi_percent = roi->percent;
	}
	if (TAKES(cli_train.background)) {
		uint8_t rgb[3] = {0, 0, 0};

		if (cli_train.background)
			adtool_color_parse(cli_train.background, rgb, NULL);
		to->background = (unsigned)rgb[0] << 16 | (unsigned)rgb[1] << 8 | rgb[2];
	}
}

int cli_geometry(adtool_geometry *geometry)
{
	adtool_error err;
	uint8_t rgb[3];

	if (cli_train.background && adtool_color_parse(cli_train.background, rgb, &err))
		return cli_usage_error("option '--background': %s", err.message);
	memset(geometry, 0, sizeof(*geometry));
	set_geometry(geometry);
	if (cli_given(&cli_train.roi) && !(cli_train.roi.width > 0))
		return cli_usage_error("option '--roi': a region without width shows nothing");
	return adtool_geometry_check(geometry, &err) ? cli_usage_error("%s", err.message) : 0;
}

int cli_check_group_by(void)
{
	const char *by = cli_train.group_by;
	char why[256];
	regex_t regex;

	if (!by || !strcmp(by, "dir"))
		return 0;
	if (strlen(by) > 127)
		return cli_usage_error(
		    "option '--group-by' wants 'dir' or an expression of at most 127 bytes, not one of %zu",
		    strlen(by));
	int code = regcomp(&regex, by, REG_EXTENDED | REG_NOSUB);
	if (code) {
		regerror(code, &regex, why, sizeof(why));
		return cli_usage_error("option '--group-by': '%s': %s", by, why);
	}
	regfree(&regex);
	return 0;
}

int cli_read_picture(const char *path, adtool_image **out, adtool_error *err)
{
	adtool_image_options o;

	adtool_image_options_init(&o);
	o.max_pixels = cli_limits.pixels;
	o.isolate = 1;
	return adtool_image_read(path, &o, out, err);
}

int cli_open_mask(adtool_image **mask)
{
	adtool_error err;

	*mask = NULL;
	if (cli_train.mask && cli_read_picture(cli_train.mask, mask, &err))
		return cli_fail(cli_train.mask, &err);
	return 0;
}

/* What was given, or, without a model to take the rest from, all. */
static void set_recipe(adtool_train_options *o, const adtool_image *mask)
{
	if (TAKES(cli_train.layer))
		o->layer = cli_train.layer;
	if (TAKES(cli_train.size)) {
		o->width = cli_train.size.width;
		o->height = cli_train.size.height;
	}
	/* A tile is looked at in its own size. */
	if (cli_given(&cli_train.tiles) && !cli_given(&cli_train.size) && !cli_train.size_chosen) {
		o->width = cli_train.tiles.width;
		o->height = cli_train.tiles.height;
	}
	set_geometry(&o->geometry);
	if (TAKES(cli_train.mask))
		o->mask = mask;
	if (TAKES(cli_train.grid))
		o->grid = cli_train.grid;
	if (TAKES(cli_train.method))
		o->method = (enum adtool_method)cli_train.method;
	if (TAKES(cli_train.channels))
		o->channels = cli_train.channels;
	if (TAKES(cli_train.energy))
		o->energy = cli_train.energy;
	/* Each takes the other's place. */
	if (TAKES(cli_train.components) || cli_given(&cli_train.energy))
		o->components = cli_train.components;
	if (TAKES(cli_train.aggregate))
		o->aggregate = (enum adtool_aggregate)cli_train.aggregate;
	if (TAKES(cli_train.top))
		o->top = cli_train.top;
	if (TAKES(cli_train.alpha))
		o->alpha = cli_train.alpha;
	if (TAKES(cli_train.seed))
		o->seed = cli_train.seed;
#undef TAKES
}

static void set_shared(adtool_train_options *o)
{
	if (cli_train.group_by)
		o->group_by = cli_train.group_by;
	o->threads = cli_jobs;
	o->memory = cli_train.memory;
	o->max_pixels = cli_limits.pixels;
	o->isolate = 1;
	o->progress = cli_progress;
	o->refused = cli_refused;
}

void cli_train_options(adtool_train_options *o, const adtool_image *mask)
{
	adtool_train_options_init(o);
	set_recipe(o, mask);
	set_shared(o);
}

int cli_train_model(const char *const *inputs, size_t count, adtool_model **model, adtool_train_report *report)
{
	adtool_backbone *backbone = NULL;
	adtool_dataset_options dataset_options;
	adtool_train_options o;
	adtool_image *mask;
	adtool_error err;

	adtool_train_options_init(&o);
	if (cli_train.from) {
		o.alpha = cli_given(&cli_train.alpha) ? cli_train.alpha : 0;
		if (adtool_train_options_from(cli_train.from, &o, &err)) {
			cli_message(cli_program.name, "%s: --alpha", err.message);
			return CLI_FAILURE;
		}
	}
	/* A model brings its own. */
	if ((!cli_train.from || cli_train.backbone) && cli_open_backbone(&backbone))
		return CLI_FAILURE;
	if (cli_open_mask(&mask)) {
		adtool_backbone_free(backbone);
		return CLI_FAILURE;
	}
	cli_dataset_options(&dataset_options);
	set_recipe(&o, mask);
	o.keep_stats = cli_train.keep_stats;
	o.tune = cli_train.tune;
	o.update = cli_train.update;
	set_shared(&o);
	if (cli_given(&cli_train.precision))
		o.precision = (enum adtool_precision)cli_train.precision;
	o.drop = cli_train.drop;
	o.finding = cli_train.finding;
	o.held_out = cli_train.held_out;
	o.held_out_most = cli_train.held_out_most;
	o.thumbnail = cli_train.thumbnail;
	int code = adtool_train(backbone, inputs, count, &dataset_options, &o, model, report, &err);
	cli_progress_erase();
	adtool_backbone_free(backbone);
	adtool_image_free(mask);
	return code ? cli_fail(cli_program.name, &err) : 0;
}
