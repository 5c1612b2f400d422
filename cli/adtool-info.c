#include "cli.h"

static bool json, check;

static const cli_option options[] = {
    {CLI_FLAG, 0, "json", NULL, "print the manifest as it stands in the model", &json, 0, 0, NULL, 0, 1},
    {CLI_FLAG, 0, "check", NULL, "check every digest and run the self-test", &check, 0, 0, NULL, 0, 1},
    CLI_OPTION_END,
};

static const char *or_unknown(const char *text)
{
	return text[0] ? cli_safe(text) : "unknown";
}

static void print_backbone(const adtool_model_info *m)
{
	const adtool_preprocessing *p = &m->preprocessing;

	cli_print("backbone       %s\n", or_unknown(m->backbone_name));
	cli_print("  licence      %s\n", or_unknown(m->backbone_licence));
	cli_print("  source       %s\n", or_unknown(m->backbone_source));
	cli_print("  sha256       %s\n", or_unknown(m->backbone_sha256));
	cli_print("  layer        %s: %zu x %zu x %zu\n", cli_safe(m->layer), m->layer_channels, m->layer_height,
		  m->layer_width);
	if (m->precision == ADTOOL_BF16)
		cli_print("  precision    bf16\n");
	if (m->precision == ADTOOL_INT8)
		cli_print("  precision    int8, with the ranges of %zu channels\n", m->ranges);
	cli_print("input          %ux%u pixels, %s, 0..%g\n", m->width, m->height, cli_colors[p->bgr],
		  (double)p->range);
	cli_print("  mean         %g, %g, %g\n", (double)p->mean[0], (double)p->mean[1], (double)p->mean[2]);
	cli_print("  std          %g, %g, %g\n", (double)p->std[0], (double)p->std[1], (double)p->std[2]);
}

static void print_geometry(const adtool_model_info *m)
{
	const adtool_geometry *g = &m->geometry;
	const char *unit = g->roi_percent ? "%" : "";

	if (g->fit)
		cli_print("  fit          %s\n", adtool_fit_name(g->fit));
	if (g->tile_width)
		cli_print("  tiles        %ux%u pixels, overlapping by %u\n", g->tile_width, g->tile_height,
			  g->tile_overlap);
	if (g->roi_width > 0)
		cli_print("  region       %g%s,%g%s,%g%s,%g%s\n", g->roi_x, unit, g->roi_y, unit, g->roi_width, unit,
			  g->roi_height, unit);
	if (g->background)
		cli_print("  background   #%06x\n", g->background);
	if (m->mask_cells)
		cli_print("  mask         %ux%u pixels, which leave %zu of %u cells\n", m->mask_width, m->mask_height,
			  m->mask_cells, m->grid * m->grid);
	else if (m->mask_width)
		cli_print("  mask         %ux%u pixels\n", m->mask_width, m->mask_height);
}

/* The model's convolutions were timed: where, and whether that is here. */
static void print_tuning(const adtool_model *model, const adtool_model_info *m)
{
	if (!m->tuned_on[0])
		return;
	cli_print("tuned          on %s: %s\n", cli_safe(m->tuned_on),
		  adtool_model_is_tuned_here(model) ? "this CPU" : "another CPU, so it is computed as if it were not");
}

static void print_method(const adtool_model_info *m)
{
	cli_print("method         %s\n",
		  m->method == ADTOOL_PPCA ? "ppca, probabilistic PCA" : "fre, feature reconstruction error");
	if (m->method == ADTOOL_FRE) {
		cli_print("  grid         %u x %u cells\n", m->grid, m->grid);
		cli_print("  channels     %zu of %zu\n", m->channels, m->layer_channels);
	}
	cli_print("  dimensions   %zu\n", m->dimensions);
	cli_print("  components   %zu", m->components);
	if (m->energy > 0)
		cli_print(", for %g of the energy", m->energy);
	cli_print("; they keep %.4f\n", m->energy_kept);
	if (m->method == ADTOOL_PPCA)
		cli_print("  noise        %g (sigma^2)\n", m->noise_variance);
	else if (m->aggregate == ADTOOL_TOP)
		cli_print("  score        mean of the top %g of the cells\n", m->top);
	else
		cli_print("  score        %s of the cells\n", cli_aggregates[m->aggregate]);
	cli_print("  seed         %llu\n", (unsigned long long)m->seed);
}

static void print_decision(const adtool_model *model, const adtool_model_info *m)
{
	cli_print_rule(m);
	cli_print_calibration(model);
	if (m->method == ADTOOL_FRE)
		cli_print("  heat level   %.6g\n", m->heat_level);
}

static int run(size_t count, const char **operands)
{
	const char *path = cli_model_path(count ? operands[0] : NULL);
	adtool_model *model = NULL;
	adtool_error err;

	if (!path)
		return CLI_FAILURE;
	if (cli_check_model_size(path))
		return CLI_FAILURE;
	if (check) {
		if (adtool_model_check(path, &err))
			return cli_fail(path, &err);
		cli_print("%s: sound\n", cli_safe(path));
		return CLI_OK;
	}
	if (adtool_model_open(path, &model, &err))
		return cli_fail(path, &err);
	if (json) {
		const char *text = adtool_model_manifest(model);
		size_t size = strlen(text);
		cli_write(text, size);
		if (!size || text[size - 1] != '\n')
			cli_print("\n");
	} else {
		const adtool_model_info *m = adtool_model_get_info(model);
		cli_print("model          %s\n", cli_safe(path));
		cli_print("  format       %d, by adtool %s%s%s\n", m->format_version, cli_safe(m->adtool_version),
			  m->created[0] ? ", " : "", cli_safe(m->created));
		cli_print("trained on     %zu pictures; %zu were refused\n", m->pictures_used, m->pictures_refused);
		if (m->pictures_dropped)
			cli_print("  dropped      %zu, the worst of those held out\n", m->pictures_dropped);
		cli_print("  digest       %s\n", or_unknown(m->pictures_digest));
		if (adtool_model_keeps_stats(model))
			cli_print("  stats        kept: 'adtool train --update' can add pictures\n");
		print_backbone(m);
		print_geometry(m);
		print_tuning(model, m);
		print_method(m);
		print_decision(model, m);
	}
	adtool_model_free(model);
	return CLI_OK;
}

const cli_command cli_program = {
    .name = "info",
    .page = "adtool-info",
    .operands = "[MODEL]",
    .options = options,
    .max_operands = 1,
    .run = run,
};
