/*
 * Measures the forward pass.
 *
 *	forward time BACKBONE LAYER SIDE BATCH THREADS SECONDS   one line: the median milliseconds of a picture
 *	forward plan BACKBONE LAYER SIDE THREADS SECONDS         a line for each node: its shortest time
 *	forward golden BACKBONE LAYER INPUT.npy WANTED.npy       relative difference of the layer
 *	forward peak THREADS                                     multiply-adds that this machine can do, in GFLOP/s
 *	forward command WORD...                                  runs it: wall and CPU seconds, peak memory in MB
 *
 * "int8" before time or plan: in 8 bits, with the ranges of the very input. "bf16" before time, plan or golden: with
 * operands rounded to bfloat16.
 *
 * A batch of 1 is split over the threads; of a larger one each thread takes a picture at a time, as the commands do.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <adtool/adtool.h>

#include "../../lib/base/mem.h"
#include "../../lib/base/pool.h"
#include "../../lib/kernel/kernel.h"
#include "../../lib/net/ranges.h"

enum { MOST_TIMES = 100000 };

static adtool_error err;

static void die(const char *why)
{
	fprintf(stderr, "forward: %s\n", why);
	exit(128);
}

static void check(int code)
{
	if (code)
		die(err.message);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* -- plans ------------------------------------------------------------------------------------------- */

struct job {
	adtool_backbone *backbone;
	ad_plan *plan;
	ad_pool *pool;
	float *input;
	void **arenas;
	float **outputs;
	size_t count; /* of the output */
	double flop, planned;
};

static int in_int8, in_bf16;

/* The plan of the same in 8 bits. */
static void plan_int8(struct job *j, const char *layer, unsigned width, unsigned height)
{
	ad_observer *o = NULL;
	ad_ranges r = {0};
	ad_buf names = {0};
	float *ranges = NULL, *outputs;
	void *arena;
	double start;

	check(ad_observer_create(j->backbone, layer, width, height, j->pool, &o, &err));
	arena = ad_malloc_aligned(ad_plan_arena_bytes(ad_observer_plan(o)), 1);
	outputs = malloc(ad_plan_output_floats(ad_observer_plan(o)) * sizeof(*outputs));
	if (!arena || !outputs)
		die("out of memory");
	ad_plan_run(ad_observer_plan(o), arena, NULL, j->input, outputs);
	check(ad_observer_add(o, outputs, &err));
	check(ad_observer_finish(o, &names, &ranges, &r.count, &err));
	r.names = (const char *)names.data;
	r.names_size = names.size;
	r.ranges = ranges;
	ad_plan_free(j->plan);
	start = now();
	check(ad_plan_create_as(j->backbone, layer, width, height, &(ad_how){.ranges = &r}, j->pool, &j->plan, &err));
	j->planned = now() - start;
	ad_observer_free(o);
	ad_free_aligned(arena);
	free(outputs);
	ad_buf_release(&names);
	ad_free(ranges);
}

static void open_job(struct job *j, const char *backbone, const char *layer, unsigned width, unsigned height,
		     unsigned threads)
{
	double start;

	memset(j, 0, sizeof(*j));
	check(ad_pool_create(threads, &j->pool, &err));
	check(adtool_backbone_open(backbone, &j->backbone, &err));
	start = now();
	check(ad_plan_create(j->backbone, layer, width, height, j->pool, &j->plan, &err));
	j->planned = now() - start;
	j->input = malloc((size_t)3 * width * height * sizeof(float));
	if (!j->input)
		die("out of memory");
	for (size_t i = 0; i < (size_t)3 * width * height; i++)
		j->input[i] = (float)(sin((double)i * 12.9898) * 2);
	if (in_int8)
		plan_int8(j, layer, width, height);
	if (in_bf16) {
		ad_plan_free(j->plan);
		j->plan = NULL;
		start = now();
		check(ad_plan_create_as(j->backbone, layer, width, height, &(ad_how){.bf16 = 1}, j->pool, &j->plan,
					&err));
		j->planned = now() - start;
	}
	j->count = ad_plan_output_floats(j->plan);
	j->arenas = calloc(threads, sizeof(*j->arenas));
	j->outputs = calloc(threads, sizeof(*j->outputs));
	if (!j->arenas || !j->outputs)
		die("out of memory");
	for (unsigned i = 0; i < threads; i++) {
		j->arenas[i] = ad_malloc_aligned(ad_plan_arena_bytes(j->plan), 1);
		j->outputs[i] = malloc(j->count * sizeof(float));
		if (!j->arenas[i] || !j->outputs[i])
			die("out of memory");
	}
	for (size_t i = 0; i < ad_plan_nodes(j->plan); i++) {
		ad_plan_node node;

		ad_plan_node_at(j->plan, i, &node);
		j->flop += 2 * node.multiply_adds;
	}
}

static void run_one(void *context, size_t task, unsigned worker)
{
	struct job *j = context;

	(void)task;
	ad_plan_run(j->plan, j->arenas[worker], NULL, j->input, j->outputs[worker]);
}

static void time_layer(char **a)
{
	static double times[MOST_TIMES];
	unsigned side = number(a[2]), batch = number(a[3]), threads = number(a[4]);
	double seconds = strtod(a[5], NULL), start, median;
	size_t n = 0;
	struct job j;

	open_job(&j, a[0], a[1], side, side, threads);
	for (int i = 0; i < 3; i++)
		ad_plan_run(j.plan, j.arenas[0], j.pool, j.input, j.outputs[0]);
	for (start = now(); n < 3 || (n < MOST_TIMES && now() - start < seconds); n++) {
		double t = now();

		if (batch == 1)
			ad_plan_run(j.plan, j.arenas[0], j.pool, j.input, j.outputs[0]);
		else
			ad_pool_run(j.pool, run_one, &j, batch);
		times[n] = (now() - t) / batch;
	}
	qsort(times, n, sizeof(*times), by_value);
	median = times[n / 2];
	printf("%s %s side=%u batch=%u threads=%u median_ms=%.3f pictures_per_s=%.1f gflop=%.4f\n", last_part(a[0]),
	       a[1], side, batch, threads, median * 1e3, 1 / median, j.flop * 1e-9);
}

static void time_nodes(char **a)
{
	unsigned side = number(a[2]), threads = number(a[3]);
	double seconds = strtod(a[4], NULL), total = 0, start;
	double *best, *one;
	size_t n, i;
	struct job j;

	open_job(&j, a[0], a[1], side, side, threads);
	n = ad_plan_nodes(j.plan);
	best = malloc((n + 1) * sizeof(*best));
	one = malloc((n + 1) * sizeof(*one));
	if (!best || !one)
		die("out of memory");
	for (i = 0; i < n; i++)
		best[i] = 1e9;
	for (start = now(); now() - start < seconds;) {
		memset(one, 0, n * sizeof(*one));
		ad_plan_time(j.plan, j.arenas[0], j.pool, j.input, j.outputs[0], one);
		for (i = 0; i < n; i++)
			best[i] = one[i] < best[i] ? one[i] : best[i];
	}
	for (i = 0; i < n; i++)
		total += best[i];
	for (i = 0; i < n; i++) {
		ad_plan_node node;
		char shape[64];

		ad_plan_node_at(j.plan, i, &node);
		snprintf(shape, sizeof(shape), "%zux%zux%zu", node.shape[0], node.shape[1], node.shape[2]);
		printf("%-36.36s %-20.20s %-18s %-12s %8.4f GFLOP %8.3f ms %5.1f %% %7.1f GFLOP/s\n", node.name,
		       node.kind, node.algorithm, shape, 2e-9 * node.multiply_adds, 1e3 * best[i],
		       100 * best[i] / total, best[i] > 0 ? 2e-9 * node.multiply_adds / best[i] : 0);
	}
	printf("sum %.3f ms, arena %.1f MB, weights %.1f MB, planned in %.1f ms\n", 1e3 * total,
	       1e-6 * (double)ad_plan_arena_bytes(j.plan), 1e-6 * (double)ad_plan_weight_bytes(j.plan),
	       1e3 * j.planned);
	free(best);
	free(one);
}

static void compare(char **a)
{
	adtool_backbone_info info;
	size_t shape[4], wanted_shape[4];
	float *input, *wanted;
	double diff = 0, norm = 0;
	struct job j;
	int dims;

	check(adtool_npy_load(a[2], 0, &input, shape, &dims, &err));
	check(adtool_npy_load(a[3], 0, &wanted, wanted_shape, &dims, &err));
	open_job(&j, a[0], a[1], (unsigned)shape[3], (unsigned)shape[2], 2);
	check(adtool_backbone_get_info(j.backbone, &info, &err));
	for (size_t c = 0; c < 3; c++) {
		const adtool_preprocessing *p = &info.preprocessing;

		for (size_t i = c * shape[2] * shape[3]; i < (c + 1) * shape[2] * shape[3]; i++)
			j.input[i] = (input[i] * (p->range / 255) - p->mean[c]) / p->std[c];
	}
	ad_plan_run(j.plan, j.arenas[0], j.pool, j.input, j.outputs[0]);
	if (j.count != wanted_shape[0] * wanted_shape[1] * wanted_shape[2] * wanted_shape[3])
		die("the shapes differ");
	for (size_t i = 0; i < j.count; i++) {
		double x = (double)j.outputs[0][i], y = (double)wanted[i];

		diff += (x - y) * (x - y);
		norm += y * y;
	}
	printf("%s %s %s: relative difference %.3g\n", last_part(a[0]), a[1], last_part(a[2]), sqrt(diff / norm));
	adtool_free(input);
	adtool_free(wanted);
}

/* -- the machine ------------------------------------------------------------------------------------- */

/* Sixteen sums in registers: the multiply-adds that nothing else hinders. */
#ifdef __clang__
#define FUSED /* as it does by itself within an expression */
#else
#define FUSED , optimize("fp-contract=fast")
#endif
#define PEAK(NAME, TARGET, LANES)                                                                                      \
	typedef float NAME##_v __attribute__((vector_size(4 * LANES)));                                                \
	__attribute__((target(TARGET) FUSED)) static double NAME(void)                                                 \
	{                                                                                                              \
		NAME##_v s[12], x, y;                                                                                  \
		double t;                                                                                              \
		for (int l = 0; l < LANES; l++)                                                                        \
			x[l] = 0.5f, y[l] = 0.1f;                                                                      \
		for (int i = 0; i < 12; i++)                                                                           \
			s[i] = y;                                                                                      \
		t = now();                                                                                             \
		for (int k = 0; k < 200000; k++) {                                                                     \
			_Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) s[i] = s[i] * x + y;                     \
			__asm__ volatile("");                                                                          \
		}                                                                                                      \
		t = now() - t;                                                                                         \
		for (int i = 1; i < 12; i++)                                                                           \
			s[0] += s[i];                                                                                  \
		return s[0][0] > 1e30f ? 0 : 200000. * 12 * 2 * LANES / t;                                             \
	}
#if defined(__x86_64__)
PEAK(peak16, "avx512f", 16)
PEAK(peak8, "avx2,fma", 8)
#endif
#if defined(__aarch64__)
PEAK(peak4, "arch=armv8-a", 4)
#elif defined(__x86_64__)
PEAK(peak4, "sse2", 4)
#endif

struct peaks {
	unsigned vl;
	double *best;
};

static void find_peak(void *context, size_t task, unsigned worker)
{
	const struct peaks *p = context;

	(void)worker;
	for (int i = 0; i < 50; i++) {
		double f = 0;

#if defined(__x86_64__)
		f = p->vl == 16 ? peak16() : p->vl == 8 ? peak8() : peak4();
#elif defined(__aarch64__)
		f = peak4();
#endif
		p->best[task] = f > p->best[task] ? f : p->best[task];
	}
}

static void peak(char **a)
{
	unsigned threads = number(a[0]);
	const ad_kernels *k = NULL;
	ad_pool *pool = NULL;
	struct peaks p;
	double sum = 0;

	check(ad_kernels_get(&k, &err));
	check(ad_pool_create(threads, &pool, &err));
	p = (struct peaks){k->vl, calloc(threads, sizeof(double))};
	if (!p.best)
		die("out of memory");
	ad_pool_run(pool, find_peak, &p, threads);
	for (unsigned i = 0; i < threads; i++)
		sum += p.best[i];
	printf("%.1f\n", sum * 1e-9);
	free(p.best);
	ad_pool_free(pool);
}

static void command(char **words)
{
	struct rusage use;
	double start = now();
	int status;
	pid_t child = fork();

	if (child == 0) {
		execvp(words[0], words);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &use) != child || !WIFEXITED(status) || WEXITSTATUS(status))
		die("the command failed");
	printf("wall_s=%.4f cpu_s=%.4f peak_mb=%.1f\n", now() - start,
	       (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
		   (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6,
	       (double)use.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int words;
		void (*run)(char **words);
	} commands[] = {
	    {"time", 6, time_layer}, {"plan", 5, time_nodes}, {"golden", 4, compare},
	    {"peak", 1, peak},       {"command", 1, command},
	};

	if (argc > 1 && (!strcmp(argv[1], "int8") || !strcmp(argv[1], "bf16"))) {
		in_int8 = !strcmp(argv[1], "int8");
		in_bf16 = !in_int8;
		argc--;
		argv++;
	}
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(argv[1], commands[i].name) && argc - 2 >= commands[i].words) {
			commands[i].run(argv + 2);
			return 0;
		}
	}
	fprintf(stderr, "usage: forward time|plan|golden|peak|command ... (see its source)\n");
	return 129;
}
