/*
 * The ONNX project's own conformance cases (Debian's libonnx-testdata) for the operators of backbones. Every one with a
 * 4-dimensional float32 input must pass. A backbone takes one picture, so inputs after the first become constants, and
 * a batch goes through one by one. The other cases of these operators are listed with the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <adtool/backbone.h>
#include <dirent.h>
#include <math.h>

#include "../../lib/base/file.h"
#include "../../lib/net/onnx.h"
#include "skip.h"

#define CASES "/usr/share/libonnx-testdata/data/node"

/* How many there are in ONNX 1.12, Debian 12's; later versions have more. */
#define LEAST 44

enum reason { RANK, TYPE, TRAINING, SEQUENCE, NO_INPUT };

static const char *const reasons[] = {
    [RANK] = "the input does not have 4 dimensions", [TYPE] = "the input is not float32", [TRAINING] = "training mode",
    [SEQUENCE] = "the input is no tensor",           [NO_INPUT] = "there is no input",
};

static const struct {
	const char *name;
	enum reason reason;
} out_of_scope[] = {
    {"test_add", RANK},
    {"test_add_bcast", RANK},
    {"test_add_uint8", TYPE},
    {"test_averagepool_1d_default", RANK},
    {"test_averagepool_3d_default", RANK},
    {"test_batchnorm_epsilon_training_mode", TRAINING},
    {"test_batchnorm_example_training_mode", TRAINING},
    {"test_cast_BFLOAT16_to_FLOAT", TYPE},
    {"test_cast_DOUBLE_to_FLOAT", TYPE},
    {"test_cast_DOUBLE_to_FLOAT16", TYPE},
    {"test_cast_FLOAT16_to_DOUBLE", TYPE},
    {"test_cast_FLOAT16_to_FLOAT", TYPE},
    {"test_cast_FLOAT_to_BFLOAT16", RANK},
    {"test_cast_FLOAT_to_DOUBLE", RANK},
    {"test_cast_FLOAT_to_FLOAT16", RANK},
    {"test_cast_FLOAT_to_STRING", RANK},
    {"test_cast_STRING_to_FLOAT", TYPE},
    {"test_castlike_BFLOAT16_to_FLOAT_expanded", TYPE},
    {"test_castlike_DOUBLE_to_FLOAT16_expanded", TYPE},
    {"test_castlike_DOUBLE_to_FLOAT_expanded", TYPE},
    {"test_castlike_FLOAT16_to_DOUBLE_expanded", TYPE},
    {"test_castlike_FLOAT16_to_FLOAT_expanded", TYPE},
    {"test_castlike_FLOAT_to_BFLOAT16_expanded", RANK},
    {"test_castlike_FLOAT_to_DOUBLE_expanded", RANK},
    {"test_castlike_FLOAT_to_FLOAT16_expanded", RANK},
    {"test_castlike_FLOAT_to_STRING_expanded", RANK},
    {"test_castlike_STRING_to_FLOAT_expanded", TYPE},
    {"test_clip", RANK},
    {"test_clip_default_inbounds", RANK},
    {"test_clip_default_int8_inbounds", TYPE},
    {"test_clip_default_int8_max", TYPE},
    {"test_clip_default_int8_min", TYPE},
    {"test_clip_default_max", RANK},
    {"test_clip_default_min", RANK},
    {"test_clip_example", RANK},
    {"test_clip_inbounds", RANK},
    {"test_clip_outbounds", RANK},
    {"test_clip_splitbounds", RANK},
    {"test_concat_1d_axis_0", RANK},
    {"test_concat_1d_axis_negative_1", RANK},
    {"test_concat_2d_axis_0", RANK},
    {"test_concat_2d_axis_1", RANK},
    {"test_concat_2d_axis_negative_1", RANK},
    {"test_concat_2d_axis_negative_2", RANK},
    {"test_concat_3d_axis_0", RANK},
    {"test_concat_3d_axis_1", RANK},
    {"test_concat_3d_axis_2", RANK},
    {"test_concat_3d_axis_negative_1", RANK},
    {"test_concat_3d_axis_negative_2", RANK},
    {"test_concat_3d_axis_negative_3", RANK},
    {"test_constant", NO_INPUT},
    {"test_div", RANK},
    {"test_div_bcast", RANK},
    {"test_div_example", RANK},
    {"test_div_uint8", TYPE},
    {"test_dropout_default", RANK},
    {"test_dropout_default_mask", RANK},
    {"test_dropout_default_mask_ratio", RANK},
    {"test_dropout_default_old", RANK},
    {"test_dropout_default_ratio", RANK},
    {"test_dropout_random_old", RANK},
    {"test_edge_pad", TYPE},
    {"test_gemm_all_attributes", RANK},
    {"test_gemm_alpha", RANK},
    {"test_gemm_beta", RANK},
    {"test_gemm_default_matrix_bias", RANK},
    {"test_gemm_default_no_bias", RANK},
    {"test_gemm_default_scalar_bias", RANK},
    {"test_gemm_default_single_elem_vector_bias", RANK},
    {"test_gemm_default_vector_bias", RANK},
    {"test_gemm_default_zero_bias", RANK},
    {"test_gemm_transposeA", RANK},
    {"test_gemm_transposeB", RANK},
    {"test_hardsigmoid", RANK},
    {"test_hardsigmoid_default", RANK},
    {"test_hardsigmoid_example", RANK},
    {"test_hardswish", RANK},
    {"test_hardswish_expanded", RANK},
    {"test_identity_opt", SEQUENCE},
    {"test_identity_sequence", SEQUENCE},
    {"test_leakyrelu", RANK},
    {"test_leakyrelu_default", RANK},
    {"test_leakyrelu_example", RANK},
    {"test_maxpool_1d_default", RANK},
    {"test_maxpool_2d_uint8", TYPE},
    {"test_maxpool_3d_default", RANK},
    {"test_mul", RANK},
    {"test_mul_bcast", RANK},
    {"test_mul_example", RANK},
    {"test_mul_uint8", TYPE},
    {"test_reduce_mean_default_axes_keepdims_example", RANK},
    {"test_reduce_mean_default_axes_keepdims_random", RANK},
    {"test_reduce_mean_do_not_keepdims_example", RANK},
    {"test_reduce_mean_do_not_keepdims_random", RANK},
    {"test_reduce_mean_keepdims_example", RANK},
    {"test_reduce_mean_keepdims_random", RANK},
    {"test_reduce_mean_negative_axes_keepdims_example", RANK},
    {"test_reduce_mean_negative_axes_keepdims_random", RANK},
    {"test_reflect_pad", TYPE},
    {"test_relu", RANK},
    {"test_reshape_allowzero_reordered", RANK},
    {"test_reshape_extended_dims", RANK},
    {"test_reshape_negative_dim", RANK},
    {"test_reshape_negative_extended_dims", RANK},
    {"test_reshape_one_dim", RANK},
    {"test_reshape_reduced_dims", RANK},
    {"test_reshape_reordered_all_dims", RANK},
    {"test_reshape_reordered_last_dims", RANK},
    {"test_reshape_zero_and_negative_dim", RANK},
    {"test_reshape_zero_dim", RANK},
    {"test_sigmoid", RANK},
    {"test_sigmoid_example", RANK},
    {"test_sub", RANK},
    {"test_sub_bcast", RANK},
    {"test_sub_example", RANK},
    {"test_sub_uint8", TYPE},
    {"test_training_dropout", TRAINING},
    {"test_training_dropout_default", TRAINING},
    {"test_training_dropout_default_mask", TRAINING},
    {"test_training_dropout_mask", TRAINING},
    {"test_training_dropout_zero_ratio", TRAINING},
    {"test_training_dropout_zero_ratio_mask", TRAINING},
};

static const char *const operators[] = {
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "Div",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Pad",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Sub",
};

static int ours(const Ad__ModelProto *model)
{
	size_t i, j;

	for (i = 0; i < model->graph->n_node; i++) {
		for (j = 0; j < sizeof(operators) / sizeof(operators[0]); j++)
			if (!strcmp(operators[j], model->graph->node[i]->op_type))
				break;
		if (j == sizeof(operators) / sizeof(operators[0]))
			return 0;
	}
	return model->graph->n_node > 0;
}

static Ad__ModelProto *read_model(const char *name)
{
	char path[512];
	ad_buf bytes = {0};
	Ad__ModelProto *model;

	snprintf(path, sizeof(path), CASES "/%s/model.onnx", name);
	if (ad_file_read(path, 1 << 24, &bytes, NULL))
		return NULL;
	model = ad__model_proto__unpack(NULL, bytes.size, bytes.data);
	ad_buf_release(&bytes);
	assert_non_null(model);
	return model;
}

static Ad__TensorProto *read_tensor(const char *name, const char *which, size_t index)
{
	char path[512];
	ad_buf bytes = {0};
	Ad__TensorProto *tensor;

	snprintf(path, sizeof(path), CASES "/%s/test_data_set_0/%s_%zu.pb", name, which, index);
	if (ad_file_read(path, 1 << 24, &bytes, NULL))
		fail_msg("%s: not there", path);
	tensor = ad__tensor_proto__unpack(NULL, bytes.size, bytes.data);
	ad_buf_release(&bytes);
	assert_non_null(tensor);
	return tensor;
}

static const float *floats_of(const Ad__TensorProto *t, size_t *count)
{
	size_t i;

	*count = 1;
	for (i = 0; i < t->n_dims; i++)
		*count *= (size_t)t->dims[i];
	assert_int_equal(t->data_type, AD_ONNX_FLOAT);
	if (t->has_raw_data) {
		assert_int_equal(t->raw_data.len, *count * 4);
		return (const float *)(const void *)t->raw_data.data;
	}
	assert_int_equal(t->n_float_data, *count);
	return t->float_data;
}

static const Ad__TensorTypeProto *input_type(const Ad__ModelProto *model)
{
	return model->graph->n_input && model->graph->input[0]->type ? model->graph->input[0]->type->tensor_type : NULL;
}

static int trains(const Ad__ModelProto *model, const char *name)
{
	size_t i, j;

	for (i = 0; i < model->graph->n_node; i++)
		for (j = 0; j < model->graph->node[i]->n_attribute; j++)
			if (!strcmp(model->graph->node[i]->attribute[j]->name, "training_mode"))
				return 1;
	return strstr(name, "training_") != NULL; /* Dropout's is an input */
}

static int in_scope(const Ad__ModelProto *model, const char *name)
{
	const Ad__TensorTypeProto *type = input_type(model);

	return type && type->elem_type == AD_ONNX_FLOAT && type->shape && type->shape->n_dim == 4 &&
	       !trains(model, name);
}

/* Whether what the list says of a case is so. */
static int is_so(const Ad__ModelProto *model, const char *name, enum reason reason)
{
	const Ad__TensorTypeProto *type = input_type(model);

	switch (reason) {
	case RANK:
		return type && type->elem_type == AD_ONNX_FLOAT && type->shape && type->shape->n_dim != 4;
	case TYPE:
		return type && type->elem_type != AD_ONNX_FLOAT;
	case TRAINING:
		return trains(model, name);
	case SEQUENCE:
		return model->graph->n_input && !type;
	default:
		return !model->graph->n_input;
	}
}

/* The case as a backbone: all inputs but the first turned into initialisers, a batch of any size. */
static uint8_t *as_backbone(Ad__ModelProto *model, const char *name, size_t *size)
{
	Ad__GraphProto *g = model->graph;
	Ad__TensorProto **longer = malloc((g->n_initializer + g->n_input) * sizeof(*longer));
	Ad__DimensionProto *batch = input_type(model)->shape->dim[0];
	uint8_t *bytes;
	size_t i;

	assert_non_null(longer);
	if (g->n_initializer)
		memcpy(longer, g->initializer, g->n_initializer * sizeof(*longer));
	free(g->initializer);
	g->initializer = longer;
	for (i = 1; i < g->n_input; i++) {
		Ad__TensorProto *tensor = read_tensor(name, "input", i);

		free(tensor->name);
		tensor->name = strdup(g->input[i]->name);
		longer[g->n_initializer++] = tensor;
	}
	batch->has_dim_value = 0;
	*size = ad__model_proto__get_packed_size(model);
	bytes = malloc(*size);
	assert_non_null(bytes);
	ad__model_proto__pack(model, bytes);
	return bytes;
}

static void run_case(Ad__ModelProto *model, const char *name)
{
	adtool_error err = {0};
	adtool_backbone *b = NULL;
	Ad__TensorProto *input = read_tensor(name, "input", 0), *output = read_tensor(name, "output", 0);
	size_t size, n_in, n_want, shape[4] = {1}, got_shape[4], i, j, n = 0, batch = (size_t)input->dims[0];
	const float *in = floats_of(input, &n_in), *want = floats_of(output, &n_want);
	uint8_t *bytes = as_backbone(model, name, &size);
	int ndim, d;

	if (adtool_backbone_open_memory(bytes, size, &b, &err))
		fail_msg("%s: open: %s", name, err.message);
	for (d = 1; d < 4; d++)
		shape[d] = (size_t)input->dims[d];
	for (i = 0; i < batch; i++) {
		size_t one = 1;
		float *got;

		if (adtool_backbone_run(b, model->graph->output[0]->name, in + i * (n_in / batch), shape, 1, &got,
					got_shape, &ndim, &err))
			fail_msg("%s: run: %s", name, err.message);
		for (d = 0; d < ndim; d++)
			one *= got_shape[d];
		if (batch == 1) {
			assert_int_equal(ndim, output->n_dims);
			for (d = 0; d < ndim; d++)
				assert_int_equal(got_shape[d], output->dims[d]);
		}
		if (n + one > n_want)
			fail_msg("%s: too many elements", name);
		/* The tolerance of ONNX's own test runner. */
		for (j = 0; j < one; j++)
			if (!(fabsf(got[j] - want[n + j]) <= 1e-7f + 1e-3f * fabsf(want[n + j])))
				fail_msg("%s: element %zu is %g instead of %g", name, n + j, (double)got[j],
					 (double)want[n + j]);
		n += one;
		adtool_free(got);
	}
	assert_int_equal(n, n_want);
	adtool_backbone_free(b);
	free(bytes);
	ad__tensor_proto__free_unpacked(input, NULL);
	ad__tensor_proto__free_unpacked(output, NULL);
}

static void test_cases(void **state)
{
	struct dirent **entries;
	int n = access(CASES, F_OK) ? -1 : scandir(CASES, &entries, NULL, alphasort), i, passed = 0;
	size_t j;

	(void)state;
	if (n < 0)
		SKIP("libonnx-testdata is not installed");
	for (i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		Ad__ModelProto *model = *name == '.' ? NULL : read_model(name);

		if (model && ours(model)) {
			for (j = 0; j < sizeof(out_of_scope) / sizeof(out_of_scope[0]); j++)
				if (!strcmp(out_of_scope[j].name, name))
					break;
			if (j < sizeof(out_of_scope) / sizeof(out_of_scope[0])) {
				if (!is_so(model, name, out_of_scope[j].reason) || in_scope(model, name))
					fail_msg("%s is listed as out of scope for a reason that is none", name);
				print_message("# out of scope: %s: %s\n", name, reasons[out_of_scope[j].reason]);
			} else if (in_scope(model, name)) {
				run_case(model, name);
				passed++;
			} else {
				print_message("# out of scope, not listed yet: %s\n", name);
			}
		}
		if (model)
			ad__model_proto__free_unpacked(model, NULL);
		free(entries[i]);
	}
	free(entries);
	print_message("# %d cases pass\n", passed);
	assert_true(passed >= LEAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
