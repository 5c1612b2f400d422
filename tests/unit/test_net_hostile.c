/* Files that are damaged, absurd or malicious: each ends in one clear error, or in a result; never anything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adtool/backbone.h>

#include "../../lib/base/rng.h"
#include "../../lib/net/net.h"
#include "../../lib/net/onnx.h"
#include "../../lib/net/wire.h"
#include "onnx_make.h"

/* A damaged file may well ask for much; what is absurd only for a test is not run. */
#define MOST_ARENA ((size_t)64 << 20)
#define MOST_WORK 100000000

/* Opens, looks at everything, runs and cuts. Returns the first code. */
static int exercise(const uint8_t *bytes, size_t size, adtool_error *err)
{
	adtool_backbone *b = NULL;
	adtool_backbone_info info;
	adtool_layer_info layer;
	adtool_layer_cost cost;
	const size_t shape[4] = {1, 2, 6, 5};
	static const float x[60];
	size_t dims[4], i;
	float *y = NULL;
	int ndim, code;

	memset(err, 0, sizeof(*err));
	code = adtool_backbone_open_memory(bytes, size, &b, err);
	if (code) {
		assert_null(b);
		goto out;
	}
	assert_int_equal(adtool_backbone_get_info(b, &info, err), 0);
	for (i = 0; i < info.layers; i++)
		assert_int_equal(adtool_backbone_layer(b, i, &layer, err), 0);
	code = adtool_backbone_cost(b, NULL, 5, 6, &cost, err);
	if (!code && cost.arena_bytes < MOST_ARENA && cost.multiply_adds < MOST_WORK) {
		code = adtool_backbone_run(b, NULL, x, shape, 1, &y, dims, &ndim, err);
		adtool_free(y);
	}
	if (!code) {
		char path[64];

		snprintf(path, sizeof(path), "/nowhere/%d.onnx", 1);
		assert_int_not_equal(adtool_backbone_cut(b, NULL, path, NULL), 0);
	}
out:
	adtool_backbone_free(b);
	if (code) {
		assert_in_range(-code, 1, 9);
		assert_int_equal(code, err->code);
		assert_true(strlen(err->message) > 0);
	}
	return code;
}

/* A file with a bit of everything. */
static om *everything(void)
{
	om *m = om_new(13);
	const float w[36] = {0.5f, -1, 0.25f, 2, 1, 1, 0, -0.5f, 3}, v[2] = {1, 2};
	Ad__NodeProto *node;

	om_many(m, w);
	node = om_node(m, "Concat", "cat", "q q", "t");
	om_int(m, node, "axis", 1);
	node = om_node(m, "Constant", "const", "", "k");
	om_tensor(m, node, "value", v, DIMS(2, 1));
	node = om_node(m, "ReduceMean", "mean", "t", "g");
	om_int_list(m, node, "axes", LIST(2, 3));
	om_node(m, "Reshape", "reshape", "g shape", "y");
	om_output(m, "y");
	om_metadata(m, "name", "everything");
	om_metadata(m, "mean", "1,2,3");
	om_metadata(m, "layers", "y:/6:4");
	return m;
}

static void test_truncated(void **state)
{
	om *m = everything();
	adtool_error err;
	size_t size, i;
	const uint8_t *bytes = om_bytes(m, &size);

	(void)state;
	if (exercise(bytes, size, &err))
		fail_msg("the whole file: %s", err.message);
	for (i = 0; i < size; i++) {
		/* A copy of its own, so that reading past the end is seen. */
		uint8_t *part = malloc(i ? i : 1);

		assert_non_null(part);
		memcpy(part, bytes, i);
		/* The metadata come last: without them the file may still be whole. */
		if (!exercise(part, i, &err) && i < size - 80)
			fail_msg("the first %zu of %zu bytes are accepted", i, size);
		free(part);
	}
	om_free(m);
}

static void test_flipped(void **state)
{
	om *m = everything();
	adtool_error err;
	size_t size, i, j, accepted = 0;
	const uint8_t *bytes = om_bytes(m, &size);
	uint8_t *copy = malloc(size);

	(void)state;
	assert_non_null(copy);
	for (i = 0; i < size; i++) {
		static const uint8_t with[] = {0x01, 0x02, 0x08, 0x40, 0x80, 0xff};

		for (j = 0; j < sizeof(with); j++) {
			memcpy(copy, bytes, size);
			copy[i] ^= with[j];
			accepted += !exercise(copy, size, &err);
		}
	}
	/* Names and weights may change unseen; most other bytes may not. */
	assert_true(accepted > 0);
	assert_true(accepted < size * 6 / 2);
	free(copy);
	om_free(m);
}

static void test_random_damage(void **state)
{
	om *m = everything();
	adtool_error err;
	size_t size, i, j;
	const uint8_t *bytes = om_bytes(m, &size);
	uint8_t *copy = malloc(2 * size);
	ad_rng r;

	(void)state;
	assert_non_null(copy);
	ad_rng_seed(&r, 21);
	for (i = 0; i < 4000; i++) {
		size_t n = size, at, length;

		memcpy(copy, bytes, size);
		for (j = ad_rng_below(&r, 4) + 1; j > 0; j--) {
			at = ad_rng_below(&r, n);
			length = ad_rng_below(&r, 12);
			switch (ad_rng_below(&r, 3)) {
			case 0: /* other bytes */
				copy[at] = (uint8_t)ad_rng_next(&r);
				break;
			case 1: /* some removed */
				length = length < n - at ? length : n - at - 1;
				memmove(copy + at, copy + at + length, n - at - length);
				n -= length;
				break;
			default: /* some twice */
				length = length < n - at ? length : n - at;
				if (n + length > 2 * size)
					break;
				memmove(copy + at + length, copy + at, n - at);
				n += length;
				break;
			}
		}
		exercise(copy, n, &err);
	}
	free(copy);
	om_free(m);
}

/* Expects this code and words in the message. Frees m. */
static void refused(om *m, int code, const char *words, int line)
{
	adtool_error err;
	size_t size;
	const uint8_t *bytes;
	int got;

	om_output(m, "y");
	bytes = om_bytes(m, &size);
	got = exercise(bytes, size, &err);
	if (got != code || !strstr(err.message, words))
		fail_msg("line %d: %d '%s' instead of %d '... %s ...'", line, got, err.message, code, words);
	om_free(m);
}
#define REFUSED(m, code, words) refused(m, code, words, __LINE__)

static om *start(int opset)
{
	om *m = om_new(opset);

	om_input(m, 2);
	return m;
}

static void test_not_onnx(void **state)
{
	adtool_error err;
	uint8_t deep[2000];
	size_t i;

	(void)state;
	assert_int_equal(exercise((const uint8_t *)"", 0, &err), ADTOOL_EFORMAT);
	assert_int_equal(exercise(NULL, 0, &err), ADTOOL_EFORMAT);
	assert_int_equal(exercise((const uint8_t *)"hello, world", 12, &err), ADTOOL_EFORMAT);
	assert_int_equal(exercise((const uint8_t *)"\x89PNG\r\n\x1a\n", 8, &err), ADTOOL_EFORMAT);
	/* A node that claims more than its graph holds, with enough in the file behind the graph. */
	{
		static const uint8_t beyond[] = {7 << 3 | 2,  10,  2 << 3 | 2, 4, 'n',        'a',
						 'm',         'e', 1 << 3 | 2, 4, 4 << 3 | 2, 2, /* the graph ends */
						 14 << 3 | 2, 2,   1 << 3 | 2, 0};

		assert_int_equal(exercise(beyond, sizeof(beyond), &err), ADTOOL_EFORMAT);
		assert_non_null(strstr(err.message, "not an ONNX file, or a damaged one"));
	}
	/* Graphs within attributes within nodes within graphs ..., as deep as it gets: nothing recurses into them. */
	for (i = 0; i + 10 <= sizeof(deep); i += 2) {
		static const uint8_t tags[] = {7 << 3 | 2, 1 << 3 | 2, 5 << 3 | 2, 6 << 3 | 2};

		deep[i] = tags[i / 2 < 3 ? i / 2 : 1 + (i / 2 - 3) % 3];
		deep[i + 1] = 0x7e;
	}
	assert_int_equal(exercise(deep, sizeof(deep), &err), ADTOOL_EFORMAT);
}

static void test_wiring(void **state)
{
	om *m;

	(void)state;
	m = start(13);
	om_node(m, "Relu", "loop", "y", "y");
	REFUSED(m, ADTOOL_EFORMAT, "Relu 'loop' reads 'y' before it is made");
	m = start(13);
	om_node(m, "Add", "first", "x b", "a");
	om_node(m, "Relu", "second", "a", "b");
	om_node(m, "Relu", "third", "a", "y");
	REFUSED(m, ADTOOL_EFORMAT, "Add 'first' reads 'b' before it is made");
	m = start(13);
	om_node(m, "Relu", "r", "nothing", "y");
	REFUSED(m, ADTOOL_EFORMAT, "reads 'nothing', which nothing makes");
	m = start(13);
	om_node(m, "Conv", "c", "x w", "y");
	REFUSED(m, ADTOOL_EFORMAT, "'w'");
	m = start(13);
	om_node(m, "Relu", "r", "x", "y");
	om_node(m, "Relu", "s", "x", "y");
	REFUSED(m, ADTOOL_EFORMAT, "two tensors are called 'y'");
	m = start(13);
	om_node(m, "Relu", "r", "x", "x");
	REFUSED(m, ADTOOL_EFORMAT, "two tensors are called 'x'");
	m = om_new(13);
	om_node(m, "Constant", "k", "", "y");
	REFUSED(m, ADTOOL_EFORMAT, "no input");
	m = start(13);
	om_float(m, om_node(m, "Constant", "k", "", "y"), "value_float", 1);
	REFUSED(m, ADTOOL_EINVAL, "does not depend on the picture");
	m = start(13);
	REFUSED(m, ADTOOL_EFORMAT, "'y'"); /* an output that nothing makes */
	m = start(13);
	om_node(m, "Relu", "r", "-", "y");
	REFUSED(m, ADTOOL_EFORMAT, "input 1 is missing");
	m = start(13);
	om_node(m, "MaxPool", "p", "x", "- y");
	REFUSED(m, ADTOOL_EFORMAT, "it has no output");
	m = start(13);
	om_int_list(m, om_node(m, "MaxPool", "p", "x", "a i"), "kernel_shape", LIST(2, 2));
	om_node(m, "Relu", "r", "i", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "output 2 of MaxPool");
}

static void test_versions(void **state)
{
	om *m;

	(void)state;
	m = start(22);
	om_node(m, "Relu", "r", "x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "operator set is 22");
	m = start(0);
	om_node(m, "Relu", "r", "x", "y");
	REFUSED(m, ADTOOL_EFORMAT, "operator set is 0");
	m = start(6);
	om_node(m, "Add", "a", "x x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "Add 'a': it is supported from operator set 7 on");
	m = start(13);
	om_node(m, "HardSwish", "h", "x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "from operator set 14 on");
	m = start(13);
	om_node(m, "Relu", "r", "x", "y")->domain = om_text(m, "com.example");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "domain 'com.example'");
	m = start(13);
	om_node(m, "Einsum", "e", "x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "Einsum 'e': this operator is not supported");
}

static void test_inputs(void **state)
{
	om *m;
	Ad__TensorTypeProto *type;

	(void)state;
	m = start(13);
	type = om_model(m)->graph->input[0]->type->tensor_type;
	type->elem_type = AD_ONNX_FLOAT16;
	om_node(m, "Relu", "r", "x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "only float32");
	m = start(13);
	type = om_model(m)->graph->input[0]->type->tensor_type;
	type->shape->n_dim = 3;
	om_node(m, "Relu", "r", "x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "3 dimensions");
	m = start(13);
	type = om_model(m)->graph->input[0]->type->tensor_type;
	type->shape->dim[0]->has_dim_value = 1;
	type->shape->dim[0]->dim_value = 8;
	om_node(m, "Relu", "r", "x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "batch of 8");
	m = start(13);
	om_model(m)->graph->n_input = 1;
	om_input(m, 2);
	om_model(m)->graph->input[1]->name = om_text(m, "other");
	om_node(m, "Add", "a", "x other", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "second input of the graph, 'other'");
}

static om *conv_with(Ad__TensorProto **w, Ad__NodeProto **node)
{
	om *m = start(13);
	static const float data[36];

	*w = om_floats(m, "w", data, DIMS(2, 2, 3, 3));
	*node = om_node(m, "Conv", "c", "x w", "y");
	return m;
}

static void test_tensors(void **state)
{
	Ad__TensorProto *w;
	Ad__NodeProto *node;
	om *m;
	static const int64_t absurd[] = {INT64_MAX, INT64_MIN, -1, 0, (int64_t)1 << 62, (int64_t)1 << 31, 4294967297};
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++)
		for (j = 0; j < 4; j++) {
			adtool_error err;
			size_t size;
			const uint8_t *bytes;

			m = conv_with(&w, &node);
			w->dims[j] = absurd[i];
			om_output(m, "y");
			bytes = om_bytes(m, &size);
			assert_int_not_equal(exercise(bytes, size, &err), 0);
			om_free(m);
		}
	m = conv_with(&w, &node);
	w->dims[0] = -5;
	REFUSED(m, ADTOOL_EFORMAT, "'w' has a dimension of -5");
	m = conv_with(&w, &node);
	w->raw_data.len -= 4;
	REFUSED(m, ADTOOL_EFORMAT, "'w' has 140 bytes of data; its shape needs 144");
	m = conv_with(&w, &node);
	w->has_raw_data = 0;
	REFUSED(m, ADTOOL_EFORMAT, "'w' has 0 elements of data; its shape needs 36");
	m = conv_with(&w, &node);
	w->data_type = 8;
	REFUSED(m, ADTOOL_EUNSUPPORTED, "'w' has elements of type 8");
	m = conv_with(&w, &node);
	w->has_data_location = 1;
	w->data_location = 1;
	REFUSED(m, ADTOOL_EUNSUPPORTED, "'w' is kept in another file");
	m = conv_with(&w, &node);
	w->data_type = AD_ONNX_INT32;
	REFUSED(m, ADTOOL_EFORMAT, "must hold floats");
	m = conv_with(&w, &node);
	w->dims = om_alloc(m, 9 * sizeof(int64_t));
	w->n_dims = 9;
	REFUSED(m, ADTOOL_EUNSUPPORTED, "9 dimensions");
	/* A claim of much memory with nothing behind it. */
	m = conv_with(&w, &node);
	w->dims[0] = (int64_t)1 << 40;
	REFUSED(m, ADTOOL_EFORMAT, "claims");
	m = conv_with(&w, &node);
	w->dims[1] = 3;
	w->dims[3] = 2;
	REFUSED(m, ADTOOL_EFORMAT, "its input has 2 channels; its weights are for 3");

	/* The places where weights are, which only the reader may set. */
	m = conv_with(&w, &node);
	w->has_raw_data = 0;
	w->has_raw_offset = w->has_raw_size = 1;
	w->raw_offset = (uint64_t)1 << 60;
	w->raw_size = 144;
	REFUSED(m, ADTOOL_EFORMAT, "0 elements");
}

static void test_attributes(void **state)
{
	Ad__TensorProto *w;
	Ad__NodeProto *node;
	om *m;

	(void)state;
	m = conv_with(&w, &node);
	om_int(m, node, "strides", 2);
	REFUSED(m, ADTOOL_EFORMAT, "Conv 'c': attribute strides is not a list of whole numbers");
	m = conv_with(&w, &node);
	om_int_list(m, node, "group", LIST(2));
	REFUSED(m, ADTOOL_EFORMAT, "group is not a whole number");
	m = conv_with(&w, &node);
	om_int(m, node, "auto_pad", 1);
	REFUSED(m, ADTOOL_EFORMAT, "auto_pad is not a string");
	m = conv_with(&w, &node);
	om_string(m, node, "auto_pad", "SAME");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "auto_pad");
	m = conv_with(&w, &node);
	om_int_list(m, node, "strides", LIST(1, 0));
	REFUSED(m, ADTOOL_EUNSUPPORTED, "strides is 0");
	m = conv_with(&w, &node);
	om_int_list(m, node, "strides", LIST(1, 1));
	om_int_list(m, node, "strides", LIST(1, 1));
	REFUSED(m, ADTOOL_EFORMAT, "strides is given twice");
	m = conv_with(&w, &node);
	om_int_list(m, node, "strides", LIST(1, 1, 1));
	REFUSED(m, ADTOOL_EUNSUPPORTED, "two-dimensional");
	m = conv_with(&w, &node);
	om_int_list(m, node, "dilations", LIST(INT64_MAX, 1));
	REFUSED(m, ADTOOL_EUNSUPPORTED, "dilations");
	m = conv_with(&w, &node);
	om_int_list(m, node, "pads", LIST(0, 0, -1, 0));
	REFUSED(m, ADTOOL_EUNSUPPORTED, "pads is -1");
	m = conv_with(&w, &node);
	om_int_list(m, node, "pads", LIST(65535, 65535, 65535, 65535));
	REFUSED(m, ADTOOL_ELIMIT, "elements");
	m = conv_with(&w, &node);
	om_int_list(m, node, "kernel_shape", LIST(3, 2));
	REFUSED(m, ADTOOL_EFORMAT, "kernel_shape is 3x2, but the weights are 3x3");
	m = conv_with(&w, &node);
	om_int_list(m, node, "dilations", LIST(9, 9));
	REFUSED(m, ADTOOL_EUNSUPPORTED, "smaller than its window");
	m = conv_with(&w, &node);
	om_int(m, node, "group", 0);
	REFUSED(m, ADTOOL_EFORMAT, "0 groups");
	m = conv_with(&w, &node);
	om_int(m, node, "group", INT64_MIN);
	REFUSED(m, ADTOOL_EFORMAT, "groups");
	m = conv_with(&w, &node);
	om_int(m, node, "group", 2);
	REFUSED(m, ADTOOL_EFORMAT, "its weights are for 2 in each of 2 groups");
}

static void test_operators(void **state)
{
	static const float v[8] = {1, 1, 1, 1, 1, 1, 1, 1}, bad[2] = {1, -1};
	Ad__NodeProto *node;
	om *m;

	(void)state;
	m = start(13);
	node = om_node(m, "MaxPool", "p", "x", "y");
	REFUSED(m, ADTOOL_EFORMAT, "MaxPool 'p': attribute kernel_shape is missing");
	m = start(13);
	node = om_node(m, "AveragePool", "p", "x", "y");
	om_int_list(m, node, "kernel_shape", LIST(2, 2));
	om_int_list(m, node, "pads", LIST(2, 0, 0, 0));
	REFUSED(m, ADTOOL_EUNSUPPORTED, "padding is as wide as its window");
	m = start(13);
	om_node(m, "ReduceMean", "m", "x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "only the mean over height and width");
	m = start(13);
	om_int_list(m, om_node(m, "ReduceMean", "m", "x", "y"), "axes", LIST(2, 5));
	REFUSED(m, ADTOOL_EFORMAT, "no axis 5");
	m = start(13);
	om_floats(m, "v", v, DIMS(3));
	om_node(m, "BatchNormalization", "b", "x v v v v", "y");
	REFUSED(m, ADTOOL_EFORMAT, "its scale has 3 elements for 2 channels");
	m = start(13);
	om_floats(m, "v", v, DIMS(2));
	om_floats(m, "bad", bad, DIMS(2));
	om_node(m, "BatchNormalization", "b", "x v v v bad", "y");
	REFUSED(m, ADTOOL_EFORMAT, "the variance of channel 1 is -1");
	m = start(14);
	om_floats(m, "v", v, DIMS(2));
	node = om_node(m, "BatchNormalization", "b", "x v v v v", "y");
	om_int(m, node, "training_mode", 1);
	REFUSED(m, ADTOOL_EUNSUPPORTED, "training_mode");
	m = start(13);
	om_floats(m, "v", v, DIMS(4));
	om_node(m, "Add", "a", "x v", "y");
	REFUSED(m, ADTOOL_EFORMAT, "do not fit");
	m = start(13);
	om_floats(m, "v", v, DIMS(1, 1, 1, 1, 1));
	om_floats(m, "u", v, DIMS(1, 1, 1, 1, 2));
	om_node(m, "Add", "a", "x u", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "5 dimensions");
	m = start(13);
	om_ints(m, "i", DIMS(1), DIMS(1));
	om_node(m, "Mul", "a", "x i", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "whole numbers");
	m = start(13);
	om_ints(m, "i", DIMS(1), DIMS(1));
	om_node(m, "Clip", "c", "x i", "y");
	REFUSED(m, ADTOOL_EFORMAT, "must hold floats");
	m = start(13);
	om_node(m, "Clip", "c", "x x", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "input 2 is computed");
	m = start(13);
	om_node(m, "Concat", "c", "x x", "y");
	REFUSED(m, ADTOOL_EFORMAT, "axis is missing");
	m = start(13);
	om_int(m, om_node(m, "Concat", "c", "x x", "y"), "axis", 4);
	REFUSED(m, ADTOOL_EFORMAT, "no axis 4");
	m = start(13);
	om_node(m, "GlobalAveragePool", "g", "x", "g");
	om_int(m, om_node(m, "Concat", "c", "x g", "y"), "axis", 1);
	REFUSED(m, ADTOOL_EFORMAT, "another shape");
	m = start(13);
	om_ints(m, "p", DIMS(0, 0, 1, 0, 0, 0, 1), DIMS(7));
	om_node(m, "Pad", "p", "x p", "y");
	REFUSED(m, ADTOOL_EFORMAT, "7 pads for 4 dimensions");
	m = start(13);
	om_ints(m, "p", DIMS(0, 0, -4, 0, 0, 0, -4, 0), DIMS(8));
	om_node(m, "Pad", "p", "x p", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "leaves nothing");
	m = start(13);
	om_ints(m, "p", DIMS(0, 0, INT64_MAX, 0, 0, 0, 0, 0), DIMS(8));
	om_node(m, "Pad", "p", "x p", "y");
	REFUSED(m, ADTOOL_ELIMIT, "a pad is larger");
	m = start(13);
	om_ints(m, "p", DIMS(0, 0, 1, 0, 0, 0, 0, 0), DIMS(8));
	om_string(m, om_node(m, "Pad", "p", "x p", "y"), "mode", "reflect");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "mode is 'reflect'");
	m = start(13);
	om_ints(m, "p", DIMS(1, 0, 0, 0, 0, 0, 0, 0), DIMS(8));
	om_floats(m, "w", v, DIMS(1, 2, 1, 1));
	om_node(m, "Pad", "p", "x p", "z");
	om_node(m, "Conv", "c", "z w", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "Conv 'c': its input is a batch of 2");
	m = start(13);
	om_ints(m, "s", DIMS(7, -1), DIMS(2));
	om_node(m, "Reshape", "r", "x s", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "60 elements do not fit");
	m = start(13);
	om_ints(m, "s", DIMS(-1, -1), DIMS(2));
	om_node(m, "Reshape", "r", "x s", "y");
	REFUSED(m, ADTOOL_EFORMAT, "dimension 1 of the new shape is -1");
	m = start(13);
	om_ints(m, "s", DIMS(INT64_MAX, INT64_MAX), DIMS(2));
	om_node(m, "Reshape", "r", "x s", "y");
	REFUSED(m, ADTOOL_EFORMAT, "new shape");
	m = start(13);
	om_ints(m, "s", DIMS(0, 0, 0, 0), DIMS(4));
	om_node(m, "Flatten", "f", "x", "f");
	om_node(m, "Reshape", "r", "f s", "y");
	REFUSED(m, ADTOOL_EFORMAT, "dimension 2 is to be copied");
	m = start(13);
	om_int(m, om_node(m, "Flatten", "f", "x", "y"), "axis", 5);
	REFUSED(m, ADTOOL_EFORMAT, "no axis 5");
	m = start(13);
	om_floats(m, "w", v, DIMS(2, 2));
	om_node(m, "Gemm", "g", "x w", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "its operands have 4 and 2 dimensions");
	m = start(13);
	om_floats(m, "w", v, DIMS(2, 2));
	om_node(m, "Flatten", "f", "x", "f");
	om_node(m, "Gemm", "g", "f w", "y");
	REFUSED(m, ADTOOL_EFORMAT, "60 columns and 2 rows");
	m = start(13);
	om_node(m, "Flatten", "f", "x", "f");
	om_node(m, "GlobalAveragePool", "g", "f", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "its input has 2 dimensions");
	m = start(13);
	om_int(m, om_node(m, "Cast", "c", "x", "y"), "to", AD_ONNX_FLOAT16);
	REFUSED(m, ADTOOL_EUNSUPPORTED, "a cast of an activation to type 10");
	m = start(13);
	om_node(m, "Constant", "k", "", "k");
	om_node(m, "Add", "a", "x k", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "neither a tensor nor numbers");
	m = start(13);
	om_ints(m, "t", DIMS(1), DIMS(1));
	om_node(m, "Dropout", "d", "x - t", "y");
	REFUSED(m, ADTOOL_EUNSUPPORTED, "training_mode");
}

/* Small files that ask for much: memory, time, nodes. */
static void test_greed(void **state)
{
	static const float column[4096];
	adtool_error err;
	om *m;
	uint8_t *bytes;
	size_t size, i;
	ad_buf file = {0};
	size_t graph;
	char from[16], to[16];

	(void)state;
	/* Each concatenation doubles. */
	m = start(13);
	for (i = 0; i < 40; i++) {
		snprintf(from, sizeof(from), i ? "t%zu t%zu" : "x x", i, i);
		snprintf(to, sizeof(to), i == 39 ? "y" : "t%zu", i + 1);
		om_int(m, om_node(m, "Concat", "double", from, to), "axis", 1);
	}
	REFUSED(m, ADTOOL_ELIMIT, "elements");

	/* The product of a column and a row is a thousand times as large as both; a sum of many. */
	m = start(13);
	om_floats(m, "a", column, DIMS(1, 1, 4096, 1));
	om_floats(m, "b", column, DIMS(1, 1, 1, 4096));
	om_node(m, "Mul", "outer", "a b", "m0");
	om_node(m, "Add", "sum", "m0 m0", "m1");
	om_node(m, "Add", "more", "x m1", "y");
	REFUSED(m, ADTOOL_ELIMIT, "Add 'sum': constants take more than 64 MiB");

	/* The same weights in many convolutions. */
	m = start(13);
	om_floats(m, "w", NULL, DIMS(1000, 1000, 1, 1));
	om_floats(m, "first", NULL, DIMS(1000, 2, 1, 1));
	om_node(m, "Conv", "", "x first", "t0");
	for (i = 0; i < 40; i++) {
		snprintf(from, sizeof(from), "t%zu w", i);
		snprintf(to, sizeof(to), i == 39 ? "y" : "t%zu", i + 1);
		om_node(m, "Conv", "", from, to);
	}
	REFUSED(m, ADTOOL_ELIMIT, "weights take more than");

	/* Much padding; a large window everywhere in it. */
	m = start(13);
	om_ints(m, "p", DIMS(0, 0, 5000, 5000, 0, 0, 0, 0), DIMS(8));
	om_node(m, "Pad", "p", "x p", "z");
	om_node(m, "Relu", "r", "z", "s");
	om_node(m, "Sigmoid", "s", "s", "y");
	REFUSED(m, ADTOOL_ELIMIT, "activations take more than 64 MiB");
	m = start(13);
	om_ints(m, "p", DIMS(0, 0, 5000, 5000, 0, 0, 0, 0), DIMS(8));
	om_node(m, "Pad", "p", "x p", "z");
	om_int_list(m, om_node(m, "MaxPool", "large", "z", "y"), "kernel_shape", LIST(2000, 2000));
	REFUSED(m, ADTOOL_ELIMIT, "MaxPool 'large': more than");

	/* Empty strings cost the file two bytes each and the parser much more. */
	graph = ad_wire_begin(&file, 7);
	{
		size_t node = ad_wire_begin(&file, 1);

		for (i = 0; i < (size_t)20 << 20; i++)
			ad_wire_put_bytes(&file, 1, "", 0);
		ad_wire_end(&file, node);
	}
	ad_wire_end(&file, graph);
	assert_int_equal(exercise(file.data, file.size, &err), ADTOOL_ELIMIT);
	assert_non_null(strstr(err.message, "memory"));
	ad_buf_clear(&file);

	/* Nodes without number. */
	graph = ad_wire_begin(&file, 7);
	for (i = 0; i < AD_ONNX_MAX_NODES + 1; i++)
		ad_wire_put_bytes(&file, 1, "", 0);
	ad_wire_end(&file, graph);
	assert_int_equal(exercise(file.data, file.size, &err), ADTOOL_ELIMIT);
	ad_buf_release(&file);

	/* The most nodes there may be, all read at the end. */
	m = start(13);
	for (i = 0; i < 5000; i++) {
		snprintf(to, sizeof(to), "r%zu", i);
		om_node(m, "Relu", "", "x", to);
	}
	{
		Ad__NodeProto *last = om_node(m, "Concat", "last", "x", "y");
		char **names = om_alloc(m, 5000 * sizeof(*names));

		for (i = 0; i < 5000; i++) {
			snprintf(to, sizeof(to), "r%zu", i);
			names[i] = om_text(m, to);
		}
		last->input = names;
		last->n_input = 5000;
		om_int(m, last, "axis", 1);
	}
	om_output(m, "y");
	bytes = (uint8_t *)(uintptr_t)om_bytes(m, &size);
	if (exercise(bytes, size, &err))
		fail_msg("%s", err.message);
	om_free(m);
}

/* What plans open at run time stays open over all tests. */
static void *held;

static int hold(void **state)
{
	adtool_backbone *b;
	ad_plan *plan;

	(void)state;
	if (adtool_backbone_open("adnet", &b, NULL) || ad_plan_create(b, NULL, 32, 32, NULL, &plan, NULL))
		return -1;
	adtool_backbone_free(b);
	held = plan;
	return 0;
}

static int release(void **state)
{
	(void)state;
	ad_plan_free(held);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_truncated), cmocka_unit_test(test_flipped), cmocka_unit_test(test_random_damage),
	    cmocka_unit_test(test_not_onnx),  cmocka_unit_test(test_wiring),  cmocka_unit_test(test_versions),
	    cmocka_unit_test(test_inputs),    cmocka_unit_test(test_tensors), cmocka_unit_test(test_attributes),
	    cmocka_unit_test(test_operators), cmocka_unit_test(test_greed),
	};

	return cmocka_run_group_tests(tests, hold, release);
}
