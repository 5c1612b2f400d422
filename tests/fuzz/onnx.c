/* onnx: a backbone opened, described, planned, run and cut. */
#include "fuzz.h"

#include <adtool/backbone.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/net/net.h"
#include "../../lib/net/onnx.h"

enum { SIDE = 16, MOST_CHANNELS = 16 };

/* What is absurd only here is not run. */
#define MOST_ARENA ((size_t)16 << 20)
#define MOST_WORK 20000000

static void run(const adtool_backbone *b)
{
	static float input[MOST_CHANNELS * SIDE * SIDE];
	adtool_layer_cost cost;
	adtool_error err = {0};
	size_t shape[4] = {1, 0, SIDE, SIDE}, dims[4], i;
	float *out = NULL;
	int ndim, code;

	code = adtool_backbone_cost(b, NULL, SIDE, SIDE, &cost, &err);
	fuzz_check(code, &err);
	if (code || cost.arena_bytes > MOST_ARENA || cost.multiply_adds > MOST_WORK)
		return;
	for (i = 0; i < sizeof(input) / sizeof(input[0]); i++)
		input[i] = (float)(i * 7 % 256) / 64.0f - 2.0f;
	for (shape[1] = 1; shape[1] <= 3; shape[1]++) {
		code = adtool_backbone_run(b, NULL, input, shape, 1, &out, dims, &ndim, &err);
		fuzz_check(code, &err);
		if (!code) {
			adtool_free(out);
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	adtool_backbone *b = NULL, *cut = NULL;
	adtool_backbone_info info;
	adtool_layer_info layer;
	adtool_error err = {0};
	ad_buf bytes = {0};
	size_t i;
	int code = adtool_backbone_open_memory(data, size, &b, &err);

	fuzz_check(code, &err);
	if (code)
		return 0;
	FUZZ_ASSERT(!adtool_backbone_get_info(b, &info, &err));
	for (i = 0; i < info.layers; i++)
		FUZZ_ASSERT(!adtool_backbone_layer(b, i, &layer, &err));
	run(b);
	code = ad_backbone_cut(b, NULL, &bytes, &err);
	fuzz_check(code, &err);
	if (!code) {
		/* What is cut is a backbone again. */
		code = adtool_backbone_open_memory(bytes.data, bytes.size, &cut, &err);
		if (code)
			fprintf(stderr, "%s\n", err.message);
		FUZZ_ASSERT(!code);
		adtool_backbone_free(cut);
	}
	ad_buf_release(&bytes);
	adtool_backbone_free(b);
	return 0;
}
