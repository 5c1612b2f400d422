/* Backbones: goldens, the embedded one, finding, layers, cutting, fusing, placing; the same bits however it is run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adtool/backbone.h>
#include <math.h>
#include <sys/stat.h>

#include "../../lib/base/file.h"
#include "../../lib/base/mem.h"
#include "../../lib/base/npy.h"
#include "../../lib/base/rng.h"
#include "../../lib/net/graph.h"
#include "../../lib/net/net.h"
#include "../../lib/net/onnx.h"
#include "onnx_make.h"
#include "skip.h"

static adtool_backbone *open_made(om *m)
{
	adtool_backbone *b = NULL;
	adtool_error err = {0};
	size_t size;
	const uint8_t *bytes = om_bytes(m, &size);

	if (adtool_backbone_open_memory(bytes, size, &b, &err))
		fail_msg("open: %s", err.message);
	return b;
}

static float *run(const adtool_backbone *b, const char *layer, const float *x, size_t c, size_t h, size_t w,
		  unsigned threads, size_t *count)
{
	const size_t shape[4] = {1, c, h, w};
	adtool_error err = {0};
	size_t dims[4], i;
	float *y = NULL;
	int ndim;

	if (adtool_backbone_run(b, layer, x, shape, threads, &y, dims, &ndim, &err))
		fail_msg("run: %s", err.message);
	for (i = 0, *count = 1; i < (size_t)ndim; i++)
		*count *= dims[i];
	return y;
}

static float *noise(size_t n, uint64_t seed)
{
	float *x = malloc(n * sizeof(*x));
	ad_rng r;
	size_t i;

	assert_non_null(x);
	ad_rng_seed(&r, seed);
	for (i = 0; i < n; i++)
		x[i] = (float)ad_rng_normal(&r);
	return x;
}

/* -- goldens ------------------------------------------------------------------------------------------- */

static void read_npy(const char *file, ad_buf *bytes, ad_npy *npy)
{
	char path[512];
	adtool_error err = {0};

	need_shared(file, path, sizeof(path));
	if (ad_file_read(path, 1 << 26, bytes, &err) || ad_npy_parse(bytes->data, bytes->size, npy, &err))
		fail_msg("%s: %s", path, err.message);
	assert_int_equal(npy->item_size, 4);
	assert_int_equal(npy->ndim, 4);
}

static void check_golden(const char *file, const char *name, const char *layer, const char *size)
{
	char path[512], input_name[64], output_name[128];
	ad_buf input_bytes = {0}, output_bytes = {0};
	ad_npy input, golden;
	adtool_backbone *b = NULL;
	adtool_backbone_info info;
	adtool_error err = {0};
	const float *in, *want;
	float *x, *got;
	size_t i, c, plane, count;
	double difference = 0, norm = 0;

	snprintf(input_name, sizeof(input_name), "golden/input-%s.npy", size);
	snprintf(output_name, sizeof(output_name), "golden/%s-%s-%s.npy", name, layer, size);
	read_npy(input_name, &input_bytes, &input);
	read_npy(output_name, &output_bytes, &golden);
	if (adtool_backbone_open(file ? need_shared(file, path, sizeof(path)) : name, &b, &err))
		fail_msg("%s: %s", name, err.message);
	assert_int_equal(adtool_backbone_get_info(b, &info, &err), 0);
	plane = input.shape[2] * input.shape[3];
	in = input.data;
	x = malloc(input.count * sizeof(*x));
	assert_non_null(x);
	for (c = 0; c < 3; c++)
		for (i = 0; i < plane; i++)
			x[c * plane + i] =
			    (in[(info.preprocessing.bgr ? 2 - c : c) * plane + i] * (info.preprocessing.range / 255) -
			     info.preprocessing.mean[c]) /
			    info.preprocessing.std[c];
	got = run(b, layer, x, 3, input.shape[2], input.shape[3], 2, &count);
	assert_int_equal(count, golden.count);
	want = golden.data;
	for (i = 0; i < count; i++) {
		difference += pow((double)got[i] - (double)want[i], 2);
		norm += pow((double)want[i], 2);
	}
	if (!(sqrt(difference / norm) <= 1e-4))
		fail_msg("%s %s %s: relative difference %g", name, layer, size, sqrt(difference / norm));
	free(x);
	adtool_free(got);
	adtool_backbone_free(b);
	ad_buf_release(&input_bytes);
	ad_buf_release(&output_bytes);
}

static void test_golden_adnet(void **state)
{
	(void)state;
	check_golden(NULL, "adnet", "layer8", "224");
	check_golden(NULL, "adnet", "layer8", "200x264");
	check_golden(NULL, "adnet", "layer16", "224");
	check_golden(NULL, "adnet", "layer16", "200x264");
}

static void test_golden_resnet50(void **state)
{
	(void)state;
	check_golden("backbones/resnet50-conv4.onnx", "resnet50-conv4", "layer2", "224");
	check_golden("backbones/resnet50-conv4.onnx", "resnet50-conv4", "layer3", "224");
	check_golden("backbones/resnet50-conv4.onnx", "resnet50-conv4", "layer3", "200x264");
}

static void test_golden_densenet169(void **state)
{
	(void)state;
	check_golden("backbones/densenet169.onnx", "densenet169", "conv5", "224");
	check_golden("backbones/densenet169.onnx", "densenet169", "conv5", "200x264");
}

static void test_golden_mobilenet_v2(void **state)
{
	(void)state;
	check_golden("backbones/mobilenet_v2.onnx", "mobilenet_v2", "s16", "224");
	check_golden("backbones/mobilenet_v2.onnx", "mobilenet_v2", "s16", "200x264");
	check_golden("backbones/mobilenet_v2.onnx", "mobilenet_v2", "s32", "224");
}

/* -- the embedded one ---------------------------------------------------------------------------------- */

static void test_embedded(void **state)
{
	adtool_backbone *b;
	adtool_backbone_info info;
	adtool_layer_info layer;
	adtool_layer_cost cost;
	adtool_error err;

	(void)state;
	assert_int_equal(adtool_backbone_open(NULL, &b, &err), 0);
	assert_int_equal(adtool_backbone_get_info(b, &info, &err), 0);
	assert_string_equal(info.name, "adnet");
	assert_string_equal(info.licence, "MIT");
	assert_string_equal(info.default_layer, "layer16");
	assert_int_equal(strlen(info.sha256), 64);
	assert_int_equal(info.opset, 13);
	assert_int_equal(info.nodes, 60);
	assert_int_equal(info.parameters, 1289184);
	assert_int_equal(info.layers, 2);
	assert_int_equal(info.preprocessing.bgr, 0);
	assert_float_equal(info.preprocessing.range, 255, 0);
	assert_float_equal(info.preprocessing.mean[1], 116.779f, 0);
	assert_float_equal(info.preprocessing.std[2], 57.4f, 0);
	assert_int_equal(adtool_backbone_layer(b, 0, &layer, &err), 0);
	assert_string_equal(layer.name, "layer8");
	assert_int_equal(layer.stride, 8);
	assert_int_equal(layer.channels, 128);
	assert_int_equal(adtool_backbone_layer(b, 2, &layer, &err), ADTOOL_EINVAL);

	/* The layers as adnet.md lists them: channels in x channels out x taps x cells. */
	assert_int_equal(adtool_backbone_cost(b, NULL, 224, 224, &cost, &err), 0);
	assert_int_equal(cost.channels, 384);
	assert_int_equal(cost.height, 14);
	assert_int_equal(cost.width, 14);
	assert_int_equal(cost.multiply_adds,
			 9 * (3 * 16 * 112 * 112 + (16 * 32 + 2 * 32 * 32) * 56 * 56 +
			      (32 * 64 + 4 * 64 * 64) * 28 * 28 + (64 * 128 + 6 * 128 * 128) * 14 * 14) +
			     (128 * 256 + 256 * 384) * 14 * 14);
	/* Every Relu and Add is part of a convolution: 19 of them but for layer8's own. */
	assert_int_equal(cost.nodes, 18);
	assert_int_equal(cost.parameters, info.parameters - 128 * 64 - 128);
	assert_int_equal(adtool_backbone_cost(b, "layer8", 200, 120, &cost, &err), 0);
	assert_int_equal(cost.channels, 128);
	assert_int_equal(cost.height, 15);
	assert_int_equal(cost.width, 25);
	assert_int_equal(adtool_backbone_cost(b, "layer9", 200, 120, &cost, &err), ADTOOL_EINVAL);
	assert_string_equal(err.message, "there is no layer 'layer9'; layers are layer8, layer16");
	adtool_backbone_free(b);
	adtool_backbone_free(NULL);
}

/* Whatever the threads, the pool, and whether anything ran before in the same arena. */
static void test_same_bits(void **state)
{
	static const size_t sizes[][2] = {{224, 224}, {97, 131}, {1, 1}, {33, 8}};
	static const unsigned threads[] = {2, 3, 5, 0};
	adtool_backbone *b;
	size_t i, j, count, again;

	(void)state;
	assert_int_equal(adtool_backbone_open("adnet", &b, NULL), 0);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const size_t h = sizes[i][0], w = sizes[i][1];
		float *x = noise(3 * h * w, i), *first = run(b, NULL, x, 3, h, w, 1, &count), *y;
		ad_plan *plan;
		void *arena;

		for (j = 0; j < sizeof(threads) / sizeof(threads[0]); j++) {
			y = run(b, NULL, x, 3, h, w, threads[j], &again);
			assert_int_equal(count, again);
			assert_memory_equal(first, y, count * sizeof(*y));
			adtool_free(y);
		}
		assert_int_equal(ad_plan_create(b, NULL, (unsigned)w, (unsigned)h, NULL, &plan, NULL), 0);
		arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
		y = malloc(count * sizeof(*y));
		assert_non_null(arena);
		assert_non_null(y);
		memset(arena, 0xff, ad_plan_arena_bytes(plan)); /* NaN everywhere */
		for (j = 0; j < 2; j++) {
			ad_plan_run(plan, arena, NULL, x, y);
			assert_memory_equal(first, y, count * sizeof(*y));
		}
		free(y);
		ad_free_aligned(arena);
		ad_plan_free(plan);
		free(x);
		adtool_free(first);
	}
	adtool_backbone_free(b);
}

/* -- finding ------------------------------------------------------------------------------------------- */

struct listed {
	char text[2048];
	int stop_after;
};

static int note(const char *name, const char *where, void *context)
{
	struct listed *l = context;
	size_t at = strlen(l->text);

	snprintf(l->text + at, sizeof(l->text) - at, "%s@%s\n", name, where);
	return --l->stop_after == 0;
}

static void make_file(const char *path, int channels)
{
	om *m = om_new(13);
	size_t size;
	const uint8_t *bytes;
	float *w = noise((size_t)channels * 3, 1);

	om_input(m, 3);
	om_floats(m, "w", w, DIMS(channels, 3, 1, 1));
	om_node(m, "Conv", "", "x w", "y");
	om_output(m, "y");
	bytes = om_bytes(m, &size);
	assert_int_equal(ad_file_write(path, bytes, size, NULL), 0);
	free(w);
	om_free(m);
}

static size_t channels_of(const char *name)
{
	adtool_backbone *b = NULL;
	adtool_layer_cost cost;
	adtool_error err = {0};

	if (adtool_backbone_open(name, &b, &err))
		fail_msg("%s: %s", name ? name : "(default)", err.message);
	assert_int_equal(adtool_backbone_cost(b, NULL, 8, 8, &cost, NULL), 0);
	adtool_backbone_free(b);
	return cost.channels;
}

static void test_finding(void **state)
{
	char folder[] = "/tmp/adtool-test-net-XXXXXX", a[64], b[64], c[64], path[512], list[256];
	struct listed l = {.stop_after = -1};
	adtool_backbone *backbone = NULL;
	adtool_error err = {0};
	const char *expected;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(a, sizeof(a), "%s/a", folder);
	snprintf(b, sizeof(b), "%s/b", folder);
	snprintf(c, sizeof(c), "%s/data/adtool/backbones", folder);
	assert_int_equal(ad_mkdirs(a, NULL) | ad_mkdirs(b, NULL) | ad_mkdirs(c, NULL), 0);
#define FILE_IN(dir, name, channels) (snprintf(path, sizeof(path), "%s/%s.onnx", dir, name), make_file(path, channels))
	FILE_IN(a, "one", 1);
	FILE_IN(b, "one", 2);
	FILE_IN(b, "two", 3);
	FILE_IN(c, "two", 4);
	FILE_IN(c, "three", 5);
	FILE_IN(c, "adnet", 6);
	snprintf(list, sizeof(list), "%s::%s/nowhere:%s", a, folder, b);
	setenv("ADTOOL_BACKBONES", list, 1);
	snprintf(path, sizeof(path), "%s/data", folder);
	setenv("XDG_DATA_HOME", path, 1);

	assert_int_equal(channels_of("one"), 1);
	assert_int_equal(channels_of("two"), 3);
	assert_int_equal(channels_of("three"), 5);
	assert_int_equal(channels_of("adnet"), 6); /* files come before what is embedded */
	assert_int_equal(channels_of(NULL), 6);
	snprintf(path, sizeof(path), "%s/two.onnx", c);
	assert_int_equal(channels_of(path), 4);

	assert_int_equal(adtool_backbone_list(note, &l, &err), 0);
	snprintf(path, sizeof(path), "one@%s\none@", a);
	assert_null(strstr(l.text, path));
	snprintf(path, sizeof(path), "one@%s\ntwo@%s\nadnet@%s\nthree@%s\n", a, b, c, c);
	if (strncmp(l.text, path, strlen(path)))
		fail_msg("listed:\n%sinstead of\n%s", l.text, path);
	expected = strstr(l.text, "adnet@");
	assert_null(strstr(expected + 1, "adnet@"));
	l = (struct listed){.stop_after = 2};
	assert_int_equal(adtool_backbone_list(note, &l, &err), ADTOOL_ECANCELLED);

	unsetenv("ADTOOL_BACKBONES");
	unsetenv("XDG_DATA_HOME");
	setenv("HOME", folder, 1);
	assert_int_equal(channels_of(NULL), 384);
	l = (struct listed){.stop_after = -1};
	assert_int_equal(adtool_backbone_list(note, &l, &err), 0);
	assert_non_null(strstr(l.text, "adnet@(embedded)\n"));

	assert_int_equal(adtool_backbone_open("three", &backbone, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "three"));
	assert_int_equal(adtool_backbone_open("", &backbone, &err), ADTOOL_EINVAL);
	snprintf(path, sizeof(path), "%s/none.onnx", folder);
	assert_int_equal(adtool_backbone_open(path, &backbone, &err), ADTOOL_EIO);
	assert_string_equal(err.message, "cannot open: No such file or directory");
	assert_int_equal(adtool_backbone_open(folder, &backbone, &err), ADTOOL_EIO);
	assert_null(backbone);
	snprintf(path, sizeof(path), "rm -rf %s", folder);
	assert_int_equal(system(path), 0);
}

static void test_metadata(void **state)
{
	static const struct {
		const char *key, *value; /* good ones when words is NULL */
		const char *words;
	} cases[] = {
	    {"color", "bgr", NULL},
	    {"color", "hsv", "color"},
	    {"range", "0..1", NULL},
	    {"range", "-1..1", "range"},
	    {"mean", "0.5", NULL},
	    {"mean", " 1e2 , -2.5e-1,+3. ", NULL},
	    {"mean", "1,2", "mean"},
	    {"mean", "1,2,3,4", "mean"},
	    {"mean", "", "mean"},
	    {"mean", "nan", "mean"},
	    {"mean", "1e99999999999", "mean"},
	    {"std", "0,1,1", "std"},
	    {"std", "-1", "std"},
	    {"layers", "", NULL},
	    {"layers", "y:/4:2,r", NULL},
	    {"layers", "z:/4:2", "'z'"},
	    {"layers", "y:/4:", "layers"},
	    {"layers", "y:/x", "layers"},
	    {"layers", "y:/4:2x", "layers"},
	    {"layers", "y:/99999999999:1", "layers"},
	    {"default_layer", "r", NULL},
	    {"default_layer", "q", "'q'"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		om *m = om_new(13);
		adtool_backbone *b = NULL;
		adtool_error err = {0};
		size_t size;
		const uint8_t *bytes;
		int code;

		om_input(m, 3);
		om_node(m, "Relu", "", "x", "r");
		om_node(m, "Sigmoid", "", "r", "y");
		om_output(m, "y");
		om_metadata(m, cases[i].key, cases[i].value);
		bytes = om_bytes(m, &size);
		code = adtool_backbone_open_memory(bytes, size, &b, &err);
		if (!cases[i].words != !code)
			fail_msg("%s=%s: %s", cases[i].key, cases[i].value, code ? err.message : "accepted");
		if (code && (code != ADTOOL_EFORMAT || !strstr(err.message, cases[i].words)))
			fail_msg("%s=%s: %d, %s", cases[i].key, cases[i].value, code, err.message);
		if (!strcmp(cases[i].value, "bgr"))
			assert_int_equal(ad_backbone_preprocessing(b)->bgr, 1);
		if (!strcmp(cases[i].value, "0..1"))
			assert_float_equal(ad_backbone_preprocessing(b)->range, 1, 0);
		if (!strcmp(cases[i].value, "0.5"))
			assert_float_equal(ad_backbone_preprocessing(b)->mean[2], 0.5, 0);
		if (strstr(cases[i].value, "1e2")) {
			assert_float_equal(ad_backbone_preprocessing(b)->mean[0], 100, 0);
			assert_float_equal(ad_backbone_preprocessing(b)->mean[1], -0.25, 0);
			assert_float_equal(ad_backbone_preprocessing(b)->mean[2], 3, 0);
		}
		if (!code && !strcmp(cases[i].key, "default_layer"))
			assert_string_equal(ad_backbone_default_layer(b), "r");
		if (!code && strstr(cases[i].value, ",r")) {
			adtool_layer_info layer;

			assert_int_equal(adtool_backbone_layer(b, 0, &layer, NULL), 0);
			assert_int_equal(layer.stride, 4);
			assert_int_equal(layer.channels, 2);
			assert_int_equal(adtool_backbone_layer(b, 1, &layer, NULL), 0);
			assert_string_equal(layer.name, "r");
			assert_int_equal(layer.stride, 0);
			assert_string_equal(ad_backbone_default_layer(b), "r");
		}
		adtool_backbone_free(b);
		om_free(m);
	}
}

/* -- cutting ------------------------------------------------------------------------------------------- */

/* The cut gives the same bits, keeps what describes it, and cutting again changes nothing. */
static void check_cut(const adtool_backbone *b, const char *layer, size_t *cut_size)
{
	adtool_backbone *cut = NULL;
	adtool_backbone_info before, after;
	adtool_layer_info info;
	adtool_error err = {0};
	ad_buf bytes = {0}, again = {0};
	float *x = noise(3 * 65 * 50, 5), *y, *z;
	size_t n, m;

	if (ad_backbone_cut(b, layer, &bytes, &err) || adtool_backbone_open_memory(bytes.data, bytes.size, &cut, &err))
		fail_msg("%s: %s", layer, err.message);
	assert_int_equal(adtool_backbone_get_info(b, &before, NULL), 0);
	assert_int_equal(adtool_backbone_get_info(cut, &after, NULL), 0);
	assert_string_equal(before.name, after.name);
	assert_string_equal(before.licence, after.licence);
	assert_string_equal(before.source, after.source);
	assert_memory_equal(&before.preprocessing, &after.preprocessing, sizeof(before.preprocessing));
	assert_int_equal(before.opset, after.opset);
	assert_string_equal(after.default_layer, layer);
	assert_int_equal(after.layers, 1);
	assert_int_equal(adtool_backbone_layer(cut, 0, &info, NULL), 0);
	assert_string_equal(info.name, layer);
	y = run(b, layer, x, 3, 65, 50, 1, &n);
	z = run(cut, NULL, x, 3, 65, 50, 2, &m);
	assert_int_equal(n, m);
	assert_memory_equal(y, z, n * sizeof(*y));
	assert_int_equal(ad_backbone_cut(cut, NULL, &again, NULL), 0);
	assert_int_equal(bytes.size, again.size);
	assert_memory_equal(bytes.data, again.data, again.size);
	*cut_size = bytes.size;
	adtool_free(y);
	adtool_free(z);
	free(x);
	ad_buf_release(&bytes);
	ad_buf_release(&again);
	adtool_backbone_free(cut);
}

static void test_cut(void **state)
{
	char path[] = "/tmp/adtool-test-cut-XXXXXX";
	adtool_backbone *b, *cut;
	adtool_backbone_info info;
	adtool_layer_info layer;
	adtool_error err = {0};
	struct stat st;
	size_t size;
	int fd;

	(void)state;
	assert_int_equal(adtool_backbone_open(NULL, &b, NULL), 0);
	check_cut(b, "layer16", &size);
	assert_in_range(size, 2550000, 2600000); /* still float16 */
	check_cut(b, "layer8", &size);
	assert_in_range(size, 300000, 900000);
	check_cut(b, "/m/s4/s4.1/Add_output_0", &size);

	/* To a file. */
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(adtool_backbone_cut(b, "layer8", path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(adtool_backbone_open(path, &cut, &err), 0);
	assert_int_equal(adtool_backbone_get_info(cut, &info, NULL), 0);
	assert_string_equal(info.name, "adnet");
	assert_int_equal(adtool_backbone_layer(cut, 0, &layer, NULL), 0);
	assert_int_equal(layer.stride, 8);
	assert_int_equal(layer.channels, 128);
	assert_int_equal(adtool_backbone_cut(cut, "layer16", path, &err), ADTOOL_EINVAL);
	adtool_backbone_free(cut);
	unlink(path);

	assert_int_equal(adtool_backbone_cut(b, "image", path, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_backbone_cut(b, "onnx::Conv_171", path, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_backbone_cut(b, NULL, "/nowhere/at/all.onnx", &err), ADTOOL_EIO);
	assert_non_null(strstr(err.message, "/nowhere/at/all.onnx"));
	adtool_backbone_free(b);
}

static void test_cut_shared(void **state)
{
	static const struct {
		const char *file, *layer;
	} cases[] = {
	    {"backbones/resnet50-conv4.onnx", "layer2"},
	    {"backbones/densenet169.onnx", "conv3"},
	    {"backbones/mobilenet_v2.onnx", "s16"},
	    {"backbones/mobilenet_v2.onnx", "n10_c"}, /* no output of the graph: a convolution before its Clip */
	};
	char path[512];
	size_t i, size;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		adtool_backbone *b;

		assert_int_equal(adtool_backbone_open(need_shared(cases[i].file, path, sizeof(path)), &b, NULL), 0);
		check_cut(b, cases[i].layer, &size);
		adtool_backbone_free(b);
	}
}

/* What a cut keeps: layers named with commas and colons, Constant nodes, inputs that are initialisers; not the rest. */
static void test_cut_parts(void **state)
{
	om *m = om_new(13);
	adtool_backbone *b, *cut;
	adtool_backbone_info info;
	ad_buf bytes = {0};
	Ad__NodeProto *node;
	size_t n;
	const float w[6] = {1, 2, 3, 4, 5, 6};
	float x[12], *y, *z;

	(void)state;
	for (n = 0; n < 12; n++)
		x[n] = (float)n;
	om_input(m, 3);
	om_floats(m, "w", w, DIMS(2, 3, 1, 1));
	om_floats(m, "unused", w, DIMS(6));
	node = om_node(m, "Constant", "", "", "k");
	om_tensor(m, node, "value", w, DIMS(2, 1, 1));
	om_node(m, "Conv", "", "x w", "c");
	om_node(m, "Mul", "", "c k", "odd,name:/4:5");
	om_node(m, "NoSuchOperator", "", "c unused", "z");
	om_output(m, "z");
	b = open_made(m);
	assert_int_equal(ad_backbone_cut(b, "odd,name:/4:5", &bytes, NULL), 0);
	assert_int_equal(adtool_backbone_open_memory(bytes.data, bytes.size, &cut, NULL), 0);
	assert_int_equal(adtool_backbone_get_info(cut, &info, NULL), 0);
	assert_int_equal(info.nodes, 3);
	assert_int_equal(info.parameters, 6);
	assert_string_equal(info.default_layer, "odd,name:/4:5");
	y = run(b, "odd,name:/4:5", x, 3, 2, 2, 1, &n);
	z = run(cut, NULL, x, 3, 2, 2, 1, &n);
	assert_int_equal(n, 8);
	assert_float_equal(y[0], 0 * 1 + 4 * 2 + 8 * 3, 0);
	assert_float_equal(y[4], 2 * (0 * 4 + 4 * 5 + 8 * 6), 0);
	assert_memory_equal(y, z, n * sizeof(*y));
	adtool_free(y);
	adtool_free(z);
	adtool_backbone_free(b);
	adtool_backbone_free(cut);
	ad_buf_release(&bytes);
	om_free(m);
}

/* -- folding and fusing -------------------------------------------------------------------------------- */

/* One letter a node, with what is fused: C conv, p pool, g global, u unary, b binary, s scale, c concat, P pad, G gemm,
 * r reshape; then + residual, a activation. */
static void shape_of_graph(om *m, const char *layer, char *out, size_t size)
{
	size_t bytes_size, i, at = 0;
	const uint8_t *bytes = om_bytes(m, &bytes_size);
	ad_onnx *onnx = NULL;
	ad_graph *g = NULL;
	adtool_error err = {0};

	if (ad_onnx_open(bytes, bytes_size, &onnx, &err) ||
	    ad_graph_build(onnx, &layer, 1, (const size_t[]){4, 8, 8}, &g, &err))
		fail_msg("%s", err.message);
	for (i = 0; i < g->n_nodes && at + 4 < size; i++) {
		const ad_node *node = &g->nodes[i];

		out[at++] = "CppgubscPGr"[node->op];
		if (node->op == AD_OP_CONV && node->u.conv.residual)
			out[at++] = '+';
		if (node->op != AD_OP_UNARY && node->activation.kind != AD_ACT_NONE)
			out[at++] = 'a';
	}
	out[at] = '\0';
	ad_graph_free(g);
	ad_onnx_free(onnx);
}

static void test_fusing(void **state)
{
	/* What follows x, as "Type inputs>output" one after another; the layer is y. w: a 4x4 1x1 convolution; v, k: 4
	 * numbers for batch norms and channels. */
	static const struct {
		const char *nodes[8], *want;
	} cases[] = {
	    {{"Conv x w>c", "Relu c>y"}, "Ca"},
	    {{"Conv x w>c", "BatchNormalization c v v v v>n", "Relu n>y"}, "Ca"},
	    {{"BatchNormalization x v v v v>n", "Relu n>r", "Conv r w>y"}, "saC"},
	    {{"BatchNormalization x v v v v>n", "BatchNormalization n v v v v>y"}, "s"},
	    {{"Conv x w>c", "Mul c k>d", "Add d k>e", "Relu e>y"}, "Ca"},
	    {{"Conv x w>c", "Conv x w>d", "Add c d>s", "Relu s>y"}, "CC+a"},
	    {{"Conv x w>c", "Add x c>s", "Relu s>y"}, "C+a"},
	    {{"Conv x w>c", "Relu c>r", "Add x r>s", "Relu s>y"}, "Caba"},
	    /* What is read twice stays. */
	    {{"Conv x w>c", "Relu c>r", "Add c r>y"}, "Cub"},
	    {{"Conv x w>c", "Add c c>y"}, "Cb"},
	    {{"Conv x w>c", "BatchNormalization c v v v v>n", "Add c n>y"}, "Csb"},
	    /* A residual on a residual; a batch norm behind one. */
	    {{"Conv x w>c", "Add c x>s", "Add s x>t", "Relu t>y"}, "C+ba"},
	    {{"Conv x w>c", "Add c x>s", "BatchNormalization s v v v v>y"}, "C+s"},
	    {{"Conv x w>c", "Sigmoid c>s", "Mul c s>y"}, "Ca"},
	    {{"Conv x w>c", "Sigmoid c>s", "Mul s c>m", "Relu m>y"}, "Cau"},
	    {{"Relu x>a", "Relu a>y"}, "uu"},
	    {{"GlobalAveragePool x>g", "Flatten g>f", "Gemm f q>h", "Relu h>y"}, "grGa"},
	    {{"GlobalAveragePool x>g", "Flatten g>f", "Gemm f q>h", "BatchNormalization h v v v v>y"}, "grG"},
	    {{"Pad x p>z", "Conv z w>y"}, "C"},
	    {{"Pad x p>z", "Relu z>r", "Conv r w>y"}, "PuC"},
	    {{"Pad x p>z", "Conv z w>c", "Conv z w>d", "Add c d>y"}, "PCC+"},
	    {{"Identity x>i", "Dropout i>d", "Relu d>e", "Identity e>y"}, "u"},
	    {{"Concat x x>c", "Relu c>y"}, "cu"},
	    {{"Conv x w>c", "Conv x w>unused", "Relu unused>also", "Relu c>y"}, "Ca"},
	};
	const float w[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7};
	const int64_t pads[8] = {0, 0, 1, 2, 0, 0, 0, 1};
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		om *m = om_new(13);
		char got[64];

		om_input(m, 4);
		om_floats(m, "w", w, DIMS(4, 4, 1, 1));
		om_floats(m, "q", w, DIMS(4, 4));
		om_floats(m, "v", w, DIMS(4));
		om_floats(m, "k", w, DIMS(4, 1, 1));
		om_ints(m, "p", pads, DIMS(8));
		for (j = 0; j < 8 && cases[i].nodes[j]; j++) {
			char text[128], *inputs, *output;
			Ad__NodeProto *node;

			snprintf(text, sizeof(text), "%s", cases[i].nodes[j]);
			inputs = strchr(text, ' ');
			output = strchr(text, '>');
			*inputs++ = *output++ = '\0';
			node = om_node(m, text, "", inputs, output);
			if (!strcmp(text, "Concat"))
				om_int(m, node, "axis", 1);
		}
		om_output(m, "y");
		shape_of_graph(m, "y", got, sizeof(got));
		if (strcmp(got, cases[i].want))
			fail_msg("case %zu (%s ...): %s instead of %s", i, cases[i].nodes[0], got, cases[i].want);
		om_free(m);
	}
}

/* Random graphs of tensors of many sizes, read at once and much later, against double: fusing and placing go unseen. */
enum { R_NODES = 40, R_CHANNELS = 12, R_H = 5, R_W = 7, R_PLANE = R_H * R_W };

struct tensor {
	size_t channels;
	double v[R_CHANNELS * R_PLANE];
};

/* Adds node i to the file and its value to t[i]. */
static void add_random_node(om *m, ad_rng *r, struct tensor *t, size_t i, const char *output)
{
	/* Mostly the last results, now and then something old. */
	size_t a = i - 1 - ad_rng_below(r, ad_rng_below(r, 4) ? (i < 3 ? 1 : 2) : i), b = i - 1 - ad_rng_below(r, i);
	const size_t from = t[a].channels;
	char inputs[96], name[2][32], weights[32];
	float *w;
	size_t j, k, c;

	snprintf(name[0], sizeof(name[0]), a ? "t%zu" : "x", a);
	snprintf(name[1], sizeof(name[1]), b ? "t%zu" : "x", b);
	snprintf(inputs, sizeof(inputs), "%s %s", name[0], name[1]);
	snprintf(weights, 16, "w%zu", i % 1000);
	t[i].channels = from;
	switch (ad_rng_below(r, 7)) {
	case 0:
		om_node(m, "Relu", "", name[0], output);
		for (j = 0; j < from * R_PLANE; j++)
			t[i].v[j] = fmax(t[a].v[j], 0);
		return;
	case 1:
		om_node(m, "Sigmoid", "", name[0], output);
		for (j = 0; j < from * R_PLANE; j++)
			t[i].v[j] = 1 / (1 + exp(-t[a].v[j]));
		return;
	case 2:
		if (from + t[b].channels > R_CHANNELS)
			break;
		om_int(m, om_node(m, "Concat", "", inputs, output), "axis", 1);
		t[i].channels += t[b].channels;
		memcpy(t[i].v, t[a].v, from * R_PLANE * sizeof(double));
		memcpy(t[i].v + from * R_PLANE, t[b].v, t[b].channels * R_PLANE * sizeof(double));
		return;
	case 3:
	case 4:
		if (from != t[b].channels)
			break;
		om_node(m, i % 2 ? "Add" : "Sub", "", inputs, output);
		for (j = 0; j < from * R_PLANE; j++)
			t[i].v[j] = i % 2 ? t[a].v[j] + t[b].v[j] : t[a].v[j] - t[b].v[j];
		return;
	case 5: /* the same floats twice over: no copies, so their first owner lives longer */
		om_ints(m, weights, DIMS(1, (int64_t)from, R_H, R_W), DIMS(4));
		snprintf(weights + 16, sizeof(weights) - 16, "f%zu", i % 1000);
		om_node(m, "Flatten", "", name[0], weights + 16);
		snprintf(inputs, sizeof(inputs), "%s %s", weights + 16, weights);
		om_node(m, "Reshape", "", inputs, output);
		memcpy(t[i].v, t[a].v, from * R_PLANE * sizeof(double));
		return;
	default:
		break;
	}
	t[i].channels = 1 + ad_rng_below(r, R_CHANNELS);
	w = noise(t[i].channels * from, ad_rng_next(r));
	om_floats(m, weights, w, DIMS((int64_t)t[i].channels, (int64_t)from, 1, 1));
	snprintf(inputs, sizeof(inputs), "%s %s", name[0], weights);
	om_node(m, "Conv", "", inputs, output);
	for (c = 0; c < t[i].channels; c++)
		for (j = 0; j < R_PLANE; j++) {
			double sum = 0;

			for (k = 0; k < from; k++)
				sum += (double)w[c * from + k] * t[a].v[k * R_PLANE + j];
			t[i].v[c * R_PLANE + j] = sum;
		}
	free(w);
}

static void test_random_graphs(void **state)
{
	static struct tensor t[R_NODES + 1];
	ad_rng r;
	int round;

	(void)state;
	ad_rng_seed(&r, 77);
	for (round = 0; round < 300; round++) {
		size_t nodes = 3 + ad_rng_below(&r, R_NODES - 2), count, i;
		om *m = om_new(13);
		float *x = noise(4 * R_PLANE, 1000 + (uint64_t)round), *y;
		double difference = 0, norm = 0;
		adtool_backbone *b;

		om_input(m, 4);
		t[0].channels = 4;
		for (i = 0; i < 4 * R_PLANE; i++)
			t[0].v[i] = (double)x[i];
		for (i = 1; i <= nodes; i++) {
			char output[16];

			snprintf(output, sizeof(output), i == nodes ? "y" : "t%zu", i);
			add_random_node(m, &r, t, i, output);
		}
		om_output(m, "y");
		b = open_made(m);
		y = run(b, "y", x, 4, R_H, R_W, 2, &count);
		assert_int_equal(count, t[nodes].channels * R_PLANE);
		for (i = 0; i < count; i++) {
			difference += pow((double)y[i] - t[nodes].v[i], 2);
			norm += pow(t[nodes].v[i], 2);
		}
		if (!(sqrt(difference) <= 1e-4 * sqrt(norm) + 1e-3))
			fail_msg("graph %d of %zu nodes: relative difference %g", round, nodes,
				 sqrt(difference / norm));
		adtool_free(y);
		adtool_backbone_free(b);
		free(x);
		om_free(m);
	}
}

/* Only what a layer needs is looked at. */
static void test_layers(void **state)
{
	om *m = om_new(13);
	adtool_backbone *b;
	adtool_layer_cost cost;
	adtool_error err = {0};
	const size_t shape[4] = {1, 2, 3, 3}, batch[4] = {2, 2, 3, 3}, wrong[4] = {1, 3, 3, 3};
	const float x[18] = {1};
	float *y;
	size_t dims[4];
	int ndim;

	(void)state;
	om_input(m, 2);
	om_node(m, "Relu", "", "x", "a");
	om_node(m, "LSTM", "the one", "a", "z");
	om_output(m, "z");
	om_output(m, "a");
	b = open_made(m);
	assert_int_equal(adtool_backbone_cost(b, "a", 3, 3, &cost, &err), 0);
	assert_int_equal(cost.nodes, 1);
	assert_int_equal(cost.multiply_adds, 0);
	assert_int_equal(adtool_backbone_cost(b, "z", 3, 3, &cost, &err), ADTOOL_EUNSUPPORTED);
	assert_non_null(strstr(err.message, "LSTM"));
	assert_non_null(strstr(err.message, "the one"));
	assert_non_null(strstr(err.message, "not supported"));
	assert_int_equal(adtool_backbone_run(b, "x", x, shape, 1, &y, dims, &ndim, &err), 0);
	assert_memory_equal(x, y, sizeof(x));
	adtool_free(y);
	assert_int_equal(adtool_backbone_run(b, "a", x, batch, 1, &y, dims, &ndim, &err), ADTOOL_EINVAL);
	assert_int_equal(adtool_backbone_run(b, "a", x, wrong, 1, &y, dims, &ndim, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "2 channels, not 3"));
	assert_int_equal(ad_plan_create(b, "a", 3, 3, NULL, (ad_plan **)&(void *){NULL}, &err), ADTOOL_EINVAL);
	adtool_backbone_free(b);
	om_free(m);
}

/* -- several layers in one pass ------------------------------------------------------------------------ */

static float *run_together(const adtool_backbone *b, const char *const *layers, size_t n, const float *x, size_t h,
			   size_t w, unsigned threads)
{
	ad_plan *plan = NULL;
	ad_pool *pool;
	adtool_error err;
	void *arena;
	float *y;

	if (ad_pool_create(threads, &pool, &err) ||
	    ad_plan_create_layers(b, layers, n, (unsigned)w, (unsigned)h, pool, &plan, &err))
		fail_msg("%s", err.message);
	arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
	y = malloc(ad_plan_output_floats(plan) * sizeof(*y));
	assert_non_null(arena);
	assert_non_null(y);
	memset(arena, 0xff, ad_plan_arena_bytes(plan)); /* NaN everywhere */
	ad_plan_run(plan, arena, pool, x, y);
	ad_free_aligned(arena);
	ad_plan_free(plan);
	ad_pool_free(pool);
	return y;
}

/* Against each layer's own plan: the same bits, or within `tolerance` of the largest value. */
static void check_together(const adtool_backbone *b, const char *const *layers, size_t n, size_t h, size_t w,
			   unsigned threads, double tolerance)
{
	float *x = noise(3 * h * w, n), *all = run_together(b, layers, n, x, h, w, threads);
	size_t offset = 0, count, i, j;

	for (i = 0; i < n; i++) {
		float *one = run(b, layers[i], x, 3, h, w, 1, &count);
		double largest = 0, worst = 0;

		for (j = 0; j < count; j++) {
			largest = fmax(largest, fabs((double)one[j]));
			worst = fmax(worst, fabs((double)one[j] - (double)all[offset + j]));
			if (isnan(one[j]) != isnan(all[offset + j]))
				worst = INFINITY;
		}
		if (tolerance > 0 ? !(worst <= tolerance * largest)
				  : memcmp(one, all + offset, count * sizeof(*one)) != 0)
			fail_msg("%s, %zux%zu, %u threads: differs by %g of %g", layers[i], w, h, threads, worst,
				 largest);
		offset += count;
		adtool_free(one);
	}
	free(x);
	free(all);
}

/* The layers that the metadata name, in either order, one of them twice; threads do not matter. */
static void check_layers_together(const char *name)
{
	const char *layers[8], *backward[8];
	adtool_backbone *b;
	adtool_backbone_info info;
	adtool_layer_info layer;
	adtool_error err;
	size_t i, n;

	if (adtool_backbone_open(name, &b, &err))
		fail_msg("%s", err.message);
	assert_int_equal(adtool_backbone_get_info(b, &info, &err), 0);
	n = info.layers;
	assert_in_range(n, 2, 7);
	for (i = 0; i < n; i++) {
		assert_int_equal(adtool_backbone_layer(b, i, &layer, &err), 0);
		layers[i] = backward[n - 1 - i] = layer.name;
	}
	backward[n] = layers[0];
	check_together(b, layers, n, 64, 96, 1, 0);
	check_together(b, layers, n, 131, 97, 3, 0);
	check_together(b, backward, n + 1, 224, 224, 2, 0);
	check_together(b, layers + 1, 1, 33, 64, 1, 0);
	adtool_backbone_free(b);
}

static void test_together(void **state)
{
	(void)state;
	check_layers_together("adnet");
}

static void test_together_resnet50(void **state)
{
	char path[512];

	(void)state;
	check_layers_together(need_shared("backbones/resnet50-conv4.onnx", path, sizeof(path)));
}

static void test_together_densenet169(void **state)
{
	/* A convolution that is otherwise one with its batch norm. */
	static const char *const layers[] = {"/blocks.1/blocks.1.0/c1/Conv_output_0", "conv4", "conv5"};
	char path[512];
	adtool_backbone *b;

	(void)state;
	check_layers_together(need_shared("backbones/densenet169.onnx", path, sizeof(path)));
	assert_int_equal(adtool_backbone_open(path, &b, NULL), 0);
	check_together(b, layers, 3, 64, 64, 1, 1e-5);
	adtool_backbone_free(b);
}

static void test_together_mobilenet_v2(void **state)
{
	char path[512];

	(void)state;
	check_layers_together(need_shared("backbones/mobilenet_v2.onnx", path, sizeof(path)));
}

/* Every tensor of a net at once, so that nothing may be fused away: the input, too. */
static void test_together_all(void **state)
{
	const char *layers[256];
	ad_buf bytes = {0};
	ad_onnx *onnx = NULL;
	adtool_backbone *b;
	adtool_layer_cost cost;
	adtool_error err;
	size_t i, n = 0;

	(void)state;
	if (ad_file_read("lib/net/adnet.onnx", 1 << 26, &bytes, &err) ||
	    ad_onnx_open(bytes.data, bytes.size, &onnx, &err))
		fail_msg("%s", err.message);
	assert_int_equal(adtool_backbone_open("adnet", &b, &err), 0);
	for (i = 0; i < onnx->n_tensors && n < 256; i++)
		if (!adtool_backbone_cost(b, onnx->tensors[i].name, 48, 64, &cost, NULL)) /* no constant */
			layers[n++] = onnx->tensors[i].name;
	assert_in_range(n, 40, 255);
	check_together(b, layers, n, 64, 48, 2, 1e-6);
	adtool_backbone_free(b);
	ad_onnx_free(onnx);
	ad_buf_release(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden_adnet),
	    cmocka_unit_test(test_golden_resnet50),
	    cmocka_unit_test(test_golden_densenet169),
	    cmocka_unit_test(test_golden_mobilenet_v2),
	    cmocka_unit_test(test_embedded),
	    cmocka_unit_test(test_same_bits),
	    cmocka_unit_test(test_finding),
	    cmocka_unit_test(test_metadata),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_cut_parts),
	    cmocka_unit_test(test_cut_shared),
	    cmocka_unit_test(test_fusing),
	    cmocka_unit_test(test_random_graphs),
	    cmocka_unit_test(test_layers),
	    cmocka_unit_test(test_together),
	    cmocka_unit_test(test_together_resnet50),
	    cmocka_unit_test(test_together_densenet169),
	    cmocka_unit_test(test_together_mobilenet_v2),
	    cmocka_unit_test(test_together_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
