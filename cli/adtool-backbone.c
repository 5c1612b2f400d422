#include "cli.h"

static const char *layer, *input, *output;
static bool force;
static cli_size size = {224, 224};

#define OPTION_SIZE                                                                                                    \
	{                                                                                                              \
		CLI_SIZE, 0, "size", "WxH", "of the input (default 224x224)", &size, 1, 4096, NULL, 0, 0               \
	}
#define OPTION_LAYER                                                                                                   \
	{                                                                                                              \
		CLI_STRING, 0, "layer", "L", "the layer (default: the one its metadata name)", &layer, 0, 0, NULL, 0,  \
		    0                                                                                                  \
	}

static int open_backbone(const char *name, adtool_backbone **backbone, adtool_backbone_info *info)
{
	adtool_error err;

	if (cli_load_backbone(name, backbone))
		return CLI_FAILURE;
	return adtool_backbone_get_info(*backbone, info, &err) ? cli_fail(name ? name : "adnet", &err) : 0;
}

/* -- list -------------------------------------------------------------------------------------------- */

static int print_name(const char *name, const char *where, void *context)
{
	(void)context;
	cli_print("%-24s %s\n", cli_safe(name), cli_safe(where));
	return 0;
}

static int run_list(size_t count, const char **operands)
{
	adtool_error err;

	(void)count;
	(void)operands;
	return adtool_backbone_list(print_name, NULL, &err) ? cli_fail("backbone list", &err) : CLI_OK;
}

static const cli_command list = {
    .name = "backbone list",
    .page = "adtool-backbone",
    .help = "the backbones that can be had by name, and where they are",
    .run = run_list,
};

/* -- show -------------------------------------------------------------------------------------------- */

static bool plan;

static const cli_option show_options[] = {
    OPTION_SIZE,
    OPTION_LAYER,
    {CLI_FLAG, 0, "plan", NULL, "how each node is computed, and how long it takes", &plan, 0, 0, NULL, 0, 0},
    CLI_OPTION_JOBS,
    CLI_OPTION_END,
};

static void print_metadata(const adtool_backbone_info *info)
{
	const adtool_preprocessing *p = &info->preprocessing;
	char number[CLI_NUMBER_SIZE];

	cli_print("name           %s\n", info->name[0] ? cli_safe(info->name) : "unknown");
	cli_print("licence        %s\n", info->licence[0] ? cli_safe(info->licence) : "unknown");
	cli_print("source         %s\n", info->source[0] ? cli_safe(info->source) : "unknown");
	cli_print("sha256         %s\n", info->sha256);
	cli_print("opset          %d\n", info->opset);
	cli_print("nodes          %zu\n", info->nodes);
	cli_print("parameters     %s\n", cli_big(number, (double)info->parameters));
	cli_print("input          %s, 0..%g, mean %g, %g, %g, std %g, %g, %g\n", cli_colors[p->bgr], (double)p->range,
		  (double)p->mean[0], (double)p->mean[1], (double)p->mean[2], (double)p->std[0], (double)p->std[1],
		  (double)p->std[2]);
	cli_print("default layer  %s\n", cli_safe(info->default_layer));
}

typedef struct layer_row {
	const char *name;
	int stride; /* 0: unknown */
	adtool_layer_cost cost;
} layer_row;

/* The layers that are asked for, all before the first is printed. The caller frees *rows. */
static int read_layers(const adtool_backbone *backbone, const adtool_backbone_info *info, layer_row **rows,
		       size_t *count)
{
	adtool_error err;

	*count = layer ? 1 : info->layers;
	*rows = cli_alloc(*count + 1, sizeof(**rows));
	for (size_t i = 0; i < *count; i++) {
		layer_row *row = &(*rows)[i];
		adtool_layer_info l = {.name = layer};
		if (!layer && adtool_backbone_layer(backbone, i, &l, &err))
			return cli_fail("backbone show", &err);
		row->name = l.name;
		row->stride = layer ? 0 : l.stride;
		if (adtool_backbone_cost(backbone, l.name, size.width, size.height, &row->cost, &err))
			return cli_fail(l.name, &err);
	}
	return CLI_OK;
}

static void print_layer(const layer_row *row)
{
	const adtool_layer_cost *cost = &row->cost;
	char adds[CLI_NUMBER_SIZE], parameters[CLI_NUMBER_SIZE], arena[CLI_NUMBER_SIZE], shape[64], step[16] = "-";

	snprintf(shape, sizeof(shape), "%zu x %zu x %zu", cost->channels, cost->height, cost->width);
	if (row->stride)
		snprintf(step, sizeof(step), "/%d", row->stride);
	cli_print("%-16s %6s %18s %12s %12s %6zu %10s\n", cli_safe(row->name), step, shape,
		  cli_big(adds, (double)cost->multiply_adds), cli_big(parameters, (double)cost->parameters),
		  cost->nodes, cli_bytes(arena, cost->arena_bytes));
}

static int print_layers(const adtool_backbone *backbone, const adtool_backbone_info *info)
{
	layer_row *rows;
	size_t count;

	int status = read_layers(backbone, info, &rows, &count);
	if (!status) {
		print_metadata(info);
		cli_print("\n%-16s %6s %18s %12s %12s %6s %10s\n", "layer", "stride", "shape", "mult-adds",
			  "parameters", "nodes", "arena");
		for (size_t i = 0; i < count; i++)
			print_layer(&rows[i]);
	}
	free(rows);
	return status;
}

/* The nodes come before their sum is known, and each is shown as a share of it. */
struct plan_rows {
	adtool_plan_node *nodes;
	size_t count;
};

static void keep_node(void *context, const adtool_plan_node *node)
{
	struct plan_rows *rows = context;

	rows->nodes = cli_realloc(rows->nodes, rows->count + 1, sizeof(*rows->nodes));
	rows->nodes[rows->count] = *node;
	rows->nodes[rows->count].name = cli_text("%s", node->name);
	rows->nodes[rows->count].kind = cli_text("%s", node->kind);
	rows->nodes[rows->count++].algorithm = cli_text("%s", node->algorithm);
}

static void print_node(const adtool_plan_node *n, double sum)
{
	char shape[72], speed[32] = "-";
	double gflop = 2e-9 * n->multiply_adds;

	snprintf(shape, sizeof(shape), "%zux%zux%zu", n->channels, n->height, n->width);
	if (gflop > 0 && n->seconds > 0)
		snprintf(speed, sizeof(speed), "%.1f", gflop / n->seconds);
	cli_print("%-18s %-18s %-14s %8.4f %8.3f %5.1f%% %8s  %s\n", n->algorithm, cli_safe(n->kind), shape, gflop,
		  1e3 * n->seconds, sum > 0 ? 100 * n->seconds / sum : 0.0, speed, cli_safe(n->name));
}

static int print_plan(const adtool_backbone *backbone, const char *name)
{
	struct plan_rows rows = {0};
	adtool_plan_totals t;
	char arena[CLI_NUMBER_SIZE], weights[CLI_NUMBER_SIZE];
	adtool_error err;

	int code =
	    adtool_backbone_profile(backbone, layer, size.width, size.height, cli_jobs, keep_node, &rows, &t, &err);
	if (!code) {
		cli_print("layer          %s\n", cli_safe(layer ? layer : name));
		cli_print("input          %ux%u\n", size.width, size.height);
		cli_print("kernels        %s, %u thread%s\n", t.isa, t.threads, t.threads == 1 ? "" : "s");
		cli_print("arena          %s\n", cli_bytes(arena, t.arena_bytes));
		cli_print("weights        %s, packed\n", cli_bytes(weights, t.weight_bytes));
		cli_print("planning       %.1f ms\n", 1e3 * t.planning);
		cli_print("\n%-18s %-18s %-14s %8s %8s %6s %8s  %s\n", "algorithm", "kind", "shape", "GFLOP", "ms",
			  "share", "GFLOP/s", "node");
		for (size_t i = 0; i < rows.count; i++)
			print_node(&rows.nodes[i], t.sum);
		cli_print("%-18s %-18s %-14s %8.4f %8.3f %5.1f%% %8.1f  median of %u runs\n", "total", "", "",
			  2e-9 * t.multiply_adds, 1e3 * t.seconds, 100.0,
			  t.seconds > 0 ? 2e-9 * t.multiply_adds / t.seconds : 0.0, t.runs);
	}
	for (size_t i = 0; i < rows.count; i++) {
		free((void *)(uintptr_t)rows.nodes[i].name);
		free((void *)(uintptr_t)rows.nodes[i].kind);
		free((void *)(uintptr_t)rows.nodes[i].algorithm);
	}
	free(rows.nodes);
	return code ? cli_fail(layer ? layer : name, &err) : CLI_OK;
}

static int run_show(size_t count, const char **operands)
{
	adtool_backbone *backbone = NULL;
	adtool_backbone_info info;

	int status = open_backbone(count ? operands[0] : NULL, &backbone, &info);
	if (!status && plan) {
		status = print_plan(backbone, info.default_layer);
	} else if (!status) {
		status = print_layers(backbone, &info);
	}
	adtool_backbone_free(backbone);
	return status;
}

static const cli_command show = {
    .name = "backbone show",
    .page = "adtool-backbone",
    .help = "what a backbone is, its layers, what each costs; with --plan where the time goes",
    .operands = "[NAME|FILE.onnx]",
    .options = show_options,
    .max_operands = 1,
    .run = run_show,
};

/* -- check ------------------------------------------------------------------------------------------- */

static const cli_option check_options[] = {OPTION_SIZE, OPTION_LAYER, CLI_OPTION_JOBS, CLI_OPTION_END};

static int check_layer(const adtool_backbone *backbone, const char *name)
{
	size_t input_shape[4] = {1, 3, size.height, size.width}, shape[4], n = 3 * (size_t)size.width * size.height;
	float *x = cli_alloc(n, sizeof(*x)), *y = NULL;
	adtool_error err;
	int ndim;

	/* Any picture will do: what is checked is that each node can run. */
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(i % 251) / 125.0f - 1.0f;
	int code = adtool_backbone_run(backbone, name, x, input_shape, cli_jobs, &y, shape, &ndim, &err);
	if (code) {
		cli_fail(name, &err);
	} else {
		cli_print("%s: ok,", cli_safe(name));
		for (int i = 0; i < ndim; i++)
			cli_print("%s %zu", i ? " x" : "", shape[i]);
		cli_print("\n");
	}
	adtool_free(y);
	free(x);
	return code ? CLI_FAILURE : CLI_OK;
}

static int run_check(size_t count, const char **operands)
{
	adtool_backbone *backbone = NULL;
	adtool_backbone_info info;
	adtool_error err;

	(void)count;
	int status = open_backbone(operands[0], &backbone, &info);
	if (!status && (layer || !info.layers)) {
		status = check_layer(backbone, layer ? layer : info.default_layer);
	} else {
		for (size_t i = 0; !status && i < info.layers; i++) {
			adtool_layer_info l;
			status = adtool_backbone_layer(backbone, i, &l, &err) ? cli_fail("backbone check", &err)
									      : check_layer(backbone, l.name);
		}
	}
	adtool_backbone_free(backbone);
	return status;
}

static const cli_command check = {
    .name = "backbone check",
    .page = "adtool-backbone",
    .help = "load, plan and run it; name what is not supported",
    .operands = "NAME|FILE.onnx",
    .options = check_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_check,
};

/* -- run --------------------------------------------------------------------------------------------- */

static const cli_option run_options[] = {
    {CLI_STRING, 0, "input", "X.npy", "1 x 3 x H x W float32, after mean and std", &input, 0, 0, NULL, CLI_REQUIRED, 0},
    OPTION_LAYER,
    {CLI_STRING, 'o', "output", "Y.npy", "write the layer's output here", &output, 0, 0, NULL, CLI_REQUIRED, 0},
    CLI_OPTION_FORCE("Y.npy"),
    CLI_OPTION_JOBS,
    CLI_OPTION_END,
};

static int write_npy(const float *values, const size_t *shape, int ndim)
{
	adtool_npy_writer *npy = NULL;
	size_t n = 1;
	adtool_error err;

	for (int i = 0; i < ndim; i++)
		n *= shape[i];
	if (adtool_npy_create(output, &npy, &err))
		return cli_fail(output, &err);
	if (adtool_npy_add(npy, values, n, &err)) {
		adtool_npy_abort(npy);
		return cli_fail(output, &err);
	}
	return adtool_npy_finish(npy, shape, ndim, &err) ? cli_fail(output, &err) : CLI_OK;
}

static int run_tensor(const adtool_backbone *backbone, const char *name)
{
	float *x = NULL, *y = NULL;
	size_t in[4], out[4];
	int in_ndim, out_ndim, status;
	adtool_error err;

	if (adtool_npy_load(input, 0, &x, in, &in_ndim, &err))
		return cli_fail(input, &err);
	if (in_ndim != 4) {
		cli_message(input, "the array has %d dimensions; 4 are wanted: 1 x channels x height x width", in_ndim);
		status = CLI_FAILURE;
	} else if (adtool_backbone_run(backbone, layer, x, in, cli_jobs, &y, out, &out_ndim, &err)) {
		status = cli_fail(name, &err);
	} else {
		status = write_npy(y, out, out_ndim);
	}
	adtool_free(x);
	adtool_free(y);
	return status;
}

static int run_run(size_t count, const char **operands)
{
	adtool_backbone *backbone = NULL;
	adtool_backbone_info info;

	(void)count;
	int status = cli_may_write(output, CLI_MAGIC_NPY, ".npy file", force);
	if (!status)
		status = open_backbone(operands[0], &backbone, &info);
	if (!status)
		status = run_tensor(backbone, operands[0]);
	adtool_backbone_free(backbone);
	return status;
}

static const cli_command run = {
    .name = "backbone run",
    .page = "adtool-backbone",
    .help = "send a raw tensor through, to hold it against others",
    .operands = "NAME|FILE.onnx",
    .options = run_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_run,
};

/* -- cut --------------------------------------------------------------------------------------------- */

static const cli_option cut_options[] = {
    {CLI_STRING, 0, "layer", "L", "the layer to keep", &layer, 0, 0, NULL, CLI_REQUIRED, 0},
    {CLI_STRING, 'o', "output", "CUT.onnx", "write what it needs here", &output, 0, 0, NULL, CLI_REQUIRED, 0},
    CLI_OPTION_FORCE("CUT.onnx"),
    CLI_OPTION_END,
};

static int run_cut(size_t count, const char **operands)
{
	adtool_backbone *backbone = NULL;
	adtool_backbone_info info;
	adtool_error err;

	(void)count;
	int status = cli_may_write(output, CLI_MAGIC_ONNX, "ONNX file", force);
	if (!status)
		status = open_backbone(operands[0], &backbone, &info);
	if (!status && adtool_backbone_cut(backbone, layer, output, &err))
		status = cli_fail(operands[0], &err);
	adtool_backbone_free(backbone);
	return status;
}

static const cli_command cut = {
    .name = "backbone cut",
    .page = "adtool-backbone",
    .help = "write an ONNX file with only what a layer needs",
    .operands = "NAME|FILE.onnx",
    .options = cut_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_cut,
};

static const cli_command *const subcommands[] = {&list, &show, &check, &run, &cut, NULL};

const cli_command cli_program = {
    .name = "backbone",
    .page = "adtool-backbone",
    .subcommands = subcommands,
};
