/* Runs an engine: every thread goes through the steps and takes tasks of each. */
#include "engine_internal.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum { SPINS = 4096 };

/* Each alone in its line. A step has one of tasks done, and one for each slot, of tasks of its range taken. */
typedef struct counter {
	_Alignas(LINE_BYTES) atomic_size_t n;
} counter;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void pause_a_little(unsigned turn)
{
	if (turn % SPINS == SPINS - 1) {
		sched_yield();
		return;
	}
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * The next task of a step for a slot, or SIZE_MAX. The tasks are cut into a range for each slot, and their order
 * follows the rows of the picture: so a slot mostly reads what it has itself written, which is still in its core's
 * cache. When its own range is empty it helps with the others'.
 */
static size_t take(counter *taken, size_t tasks, size_t slot, size_t slots)
{
	for (size_t i = 0; i < slots; i++) {
		size_t range = (slot + i) % slots, first = cut(tasks, range, slots), end = cut(tasks, range + 1, slots);
		size_t n;

		if (atomic_load_explicit(&taken[range].n, memory_order_relaxed) >= end - first)
			continue;
		n = atomic_fetch_add_explicit(&taken[range].n, 1, memory_order_relaxed);
		if (n < end - first)
			return first + n;
	}
	return SIZE_MAX;
}

/*
 * What every thread does: goes through the steps, takes tasks of each while there are any, and waits until all of them
 * are done before it goes on. However many threads come, and whenever, each task runs once.
 */
static void run_slot(void *context, size_t slot, unsigned worker)
{
	const run *r = context;
	const ad_engine *e = r->e;
	counter *counters = (counter *)(void *)(r->arena + e->counters_at);
	float *scratch = (float *)(void *)(r->arena + e->scratch_at + slot * e->scratch_bytes);
	unsigned long mode = r->k->fp_enter();
	double start = 0;

	(void)worker;
	for (size_t i = 0; i < e->n_steps; i++) {
		const step *s = &e->steps[i];
		counter *done = &counters[i * (r->slots + 1)];
		size_t mine = 0, task;

		if (r->seconds && slot == 0)
			start = now();
		for (; (task = take(done + 1, s->tasks, slot, r->slots)) != SIZE_MAX; mine++)
			s->run(s, r, task, scratch);
		if (mine)
			atomic_fetch_add_explicit(&done->n, mine, memory_order_release);
		for (unsigned turn = 0; atomic_load_explicit(&done->n, memory_order_acquire) < s->tasks; turn++)
			pause_a_little(turn);
		if (r->seconds && slot == 0 && s->node < e->n_nodes)
			r->seconds[s->node] += now() - start;
	}
	r->k->fp_leave(mode);
}

void ad_engine_run(const ad_engine *e, void *arena, ad_pool *pool, const float *input, float *output, double *seconds)
{
	run r = {.e = e, .k = e->k, .arena = arena, .input = input, .output = output, .seconds = seconds};
	counter *counters = (counter *)(void *)(r.arena + e->counters_at);
	unsigned threads = ad_pool_size(pool);

	r.slots = threads < e->slots ? threads : e->slots;
	for (size_t i = 0; i < e->n_steps * (r.slots + 1); i++)
		atomic_init(&counters[i].n, 0);
	for (size_t i = 0; i < e->n_steps; i++) {
		const struct plain_step *p = e->steps[i].u.plain;

		if (e->steps[i].run != engine_run_plain)
			continue;
		for (size_t j = 0; j < p->step.node.n_inputs; j++)
			((const float **)(void *)(r.arena + p->pointers))[j] = from(&r, p->in[j]);
	}
	ad_pool_run(r.slots > 1 ? pool : NULL, run_slot, &r, r.slots);
}
