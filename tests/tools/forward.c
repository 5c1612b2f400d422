/*
 * Times the forward pass: forward BACKBONE LAYER SIDE BATCH THREADS SECONDS. One line: the median milliseconds of a
 * picture, over batches run in turn as the commands do: one picture over all threads when the batch is 1, else
 * a picture a thread. `forward -p` prints the plan with each node's milliseconds; `forward -g INPUT.npy
 * GOLDEN.npy` the relative difference; `forward -f` the machine's multiply-add peak.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <adtool/adtool.h>

#include "../../lib/base/mem.h"
#include "../../lib/base/pool.h"
#include "../../lib/kernel/kernel.h"
#include "../../lib/net/net.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const adtool_error *err)
{
	fprintf(stderr, "forward: %s\n", err->message);
	exit(128);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *t, size_t n)
{
	qsort(t, n, sizeof(*t), by_value);
	return t[n / 2];
}

struct batch {
	const ad_plan *plan;
	void **arenas;
	const float *input;
	float **outputs;
};

static void run_one(void *context, size_t task, unsigned worker)
{
	const struct batch *b = context;

	(void)task;
	ad_plan_run(b->plan, b->arenas[worker], NULL, b->input, b->outputs[worker]);
}

int main(int argc, char **argv)
{
	adtool_error err = {0};
	adtool_backbone *backbone = NULL;
	ad_plan *plan = NULL;
	ad_pool *pool = NULL;
	size_t shape[3], n;
	float *input;
	const char *layer;

	if (argc >= 6 && !strcmp(argv[1], "-g")) {
		size_t in_shape[4], gold_shape[4];
		float *gold, *out;
		int dims;
		double diff = 0, norm = 0;

		if (adtool_backbone_open(argv[2], &backbone, &err) ||
		    adtool_npy_load(argv[4], 0, &input, in_shape, &dims, &err) ||
		    adtool_npy_load(argv[5], 0, &gold, gold_shape, &dims, &err))
			die(&err);
		adtool_backbone_info info;
		adtool_backbone_get_info(backbone, &info, &err);
		for (size_t c = 0; c < 3; c++)
			for (size_t i = 0; i < in_shape[2] * in_shape[3]; i++) {
				float *x = &input[c * in_shape[2] * in_shape[3] + i];

				*x = (*x * (info.preprocessing.range / 255) - info.preprocessing.mean[c]) /
				     info.preprocessing.std[c];
			}
		if (ad_plan_create(backbone, argv[3], (unsigned)in_shape[3], (unsigned)in_shape[2], NULL, &plan,
				   &err) ||
		    ad_pool_create(argc > 6 ? (unsigned)strtoul(argv[6], NULL, 10) : 1, &pool, &err))
			die(&err);
		ad_plan_output_shape(plan, 0, shape);
		n = shape[0] * shape[1] * shape[2];
		out = malloc(n * sizeof(float));
		ad_plan_run(plan, ad_malloc_aligned(ad_plan_arena_bytes(plan), 1), pool, input, out);
		if (n != gold_shape[0] * gold_shape[1] * gold_shape[2] * gold_shape[3])
			printf("shape mismatch\n");
		for (size_t i = 0; i < n; i++) {
			diff += ((double)out[i] - gold[i]) * ((double)out[i] - gold[i]);
			norm += (double)gold[i] * gold[i];
		}
		printf("%s %s relative difference %.3g\n", argv[2], argv[3], sqrt(diff / norm));
		return 0;
	}
	int plan_only = argc > 1 && !strcmp(argv[1], "-p");
	argv += plan_only;
	argc -= plan_only;
	if (argc < 7)
		return 129;
	layer = argv[2];
	unsigned side = (unsigned)strtoul(argv[3], NULL, 10), batch = (unsigned)strtoul(argv[4], NULL, 10),
		 threads = (unsigned)strtoul(argv[5], NULL, 10);
	double seconds = strtod(argv[6], NULL), t;
	static double times[100000];
	size_t count = 0;
	struct batch b;

	if (ad_pool_create(threads, &pool, &err) || adtool_backbone_open(argv[1], &backbone, &err))
		die(&err);
	t = now();
	if (ad_plan_create(backbone, layer, side, side, pool, &plan, &err))
		die(&err);
	double plan_time = now() - t;
	ad_plan_output_shape(plan, 0, shape);
	n = shape[0] * shape[1] * shape[2];
	input = malloc((size_t)3 * side * side * sizeof(float));
	for (size_t i = 0; i < (size_t)3 * side * side; i++)
		input[i] = (float)(sin((double)i * 12.9898) * 100);
	b = (struct batch){plan, calloc(threads, sizeof(void *)), input, calloc(threads, sizeof(float *))};
	for (unsigned i = 0; i < threads; i++) {
		b.arenas[i] = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
		b.outputs[i] = malloc(n * sizeof(float));
	}
	double flop = 0;
	for (size_t i = 0; i < ad_plan_nodes(plan); i++) {
		ad_plan_node node;

		ad_plan_node_at(plan, i, &node);
		flop += 2 * node.multiply_adds;
	}
	if (plan_only) {
		size_t nodes = ad_plan_nodes(plan);
		double *best = malloc(nodes * sizeof(*best)), *one = malloc(nodes * sizeof(*one)), total = 0;

		for (size_t i = 0; i < nodes; i++)
			best[i] = 1e9;
		for (double start = now(); now() - start < seconds;) {
			memset(one, 0, nodes * sizeof(*one));
			ad_plan_time(plan, b.arenas[0], pool, input, b.outputs[0], one);
			for (size_t i = 0; i < nodes; i++)
				best[i] = one[i] < best[i] ? one[i] : best[i];
		}
		for (size_t i = 0; i < nodes; i++)
			total += best[i];
		for (size_t i = 0; i < nodes; i++) {
			ad_plan_node node;

			ad_plan_node_at(plan, i, &node);
			printf("%-40.40s %-12s %-16s %4zux%zux%zu %8.3f GFLOP %8.3f ms %5.1f %% %7.1f GFLOP/s\n",
			       node.name, node.kind, node.algorithm, node.shape[0], node.shape[1], node.shape[2],
			       2e-9 * node.multiply_adds, 1e3 * best[i], 100 * best[i] / total,
			       best[i] > 0 ? 2e-9 * node.multiply_adds / best[i] : 0);
		}
		printf("sum %.3f ms, arena %.1f MB, weights %.1f MB, planned in %.1f ms\n", 1e3 * total,
		       1e-6 * (double)ad_plan_arena_bytes(plan), 1e-6 * (double)ad_plan_weight_bytes(plan),
		       1e3 * plan_time);
		return 0;
	}
	for (int i = 0; i < 3; i++)
		ad_plan_run(plan, b.arenas[0], pool, input, b.outputs[0]);
	for (double start = now(); now() - start < seconds && count < 100000;) {
		t = now();
		if (batch == 1)
			ad_plan_run(plan, b.arenas[0], pool, input, b.outputs[0]);
		else
			ad_pool_run(pool, run_one, &b, batch);
		times[count++] = (now() - t) / batch;
	}
	double m = median(times, count);
	printf("%s %s side=%u batch=%u threads=%u median_ms=%.3f pictures_per_s=%.1f gflops=%.1f plan_ms=%.1f\n",
	       strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1], layer, side, batch, threads, m * 1e3, 1 / m,
	       flop / m * 1e-9, plan_time * 1e3);
	return 0;
}
