#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fail.h"
#include "mem.h"

struct worker {
	ad_pool *pool;
	pthread_t thread;
	unsigned number;
};

struct ad_pool {
	unsigned size;    /* with the caller */
	unsigned started;
	struct worker *workers;
	pthread_mutex_t lock;
	pthread_cond_t wake, idle;
	/* Under the lock: */
	unsigned long run; /* counts runs; a worker joins each once */
	unsigned busy;
	int stop;
	ad_task_fn *fn;
	void *context;
	size_t tasks;
	atomic_size_t next;
};

unsigned ad_cpu_count(void)
{
	cpu_set_t set;
	int n = 0;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
	return n > 0 ? (unsigned)n : 1;
}

static void take_tasks(ad_pool *pool, ad_task_fn *fn, void *context, size_t tasks, unsigned worker)
{
	for (;;) {
		size_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);

		if (task >= tasks)
			return;
		fn(context, task, worker);
	}
}

static void *work(void *arg)
{
	struct worker *me = arg;
	ad_pool *pool = me->pool;
	unsigned long seen = 0;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		ad_task_fn *fn;
		void *context;
		size_t tasks;

		while (!pool->stop && pool->run == seen)
			pthread_cond_wait(&pool->wake, &pool->lock);
		if (pool->stop)
			break;
		seen = pool->run;
		fn = pool->fn;
		context = pool->context;
		tasks = pool->tasks;
		pthread_mutex_unlock(&pool->lock);
		take_tasks(pool, fn, context, tasks, me->number);
		pthread_mutex_lock(&pool->lock);
		if (--pool->busy == 0)
			pthread_cond_signal(&pool->idle);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int ad_pool_create(unsigned threads, ad_pool **out, adtool_error *err)
{
	ad_pool *pool;
	unsigned i;

	if (!threads)
		threads = ad_cpu_count();
	if (threads > 1024)
		return ad_fail(err, ADTOOL_EINVAL, "%u threads; at most 1024 make sense", threads);
	pool = ad_calloc(1, sizeof(*pool));
	if (!pool)
		return ad_fail_nomem(err);
	pool->size = threads;
	atomic_init(&pool->next, 0);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pthread_cond_init(&pool->idle, NULL);
	pool->workers = ad_calloc(threads, sizeof(*pool->workers));
	if (!pool->workers) {
		ad_pool_free(pool);
		return ad_fail_nomem(err);
	}
	for (i = 1; i < threads; i++) {
		struct worker *w = &pool->workers[i];
		int failed;

		w->pool = pool;
		w->number = i;
		failed = pthread_create(&w->thread, NULL, work, w);
		if (failed) {
			ad_pool_free(pool);
			return ad_fail(err, ADTOOL_ENOMEM,
				       "cannot start thread %u of %u: no memory for it, or too many threads", i + 1,
				       threads);
		}
		pool->started++;
	}
	*out = pool;
	return 0;
}

void ad_pool_free(ad_pool *pool)
{
	unsigned i;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = 1;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (i = 1; i <= pool->started; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	ad_free(pool->workers);
	ad_free(pool);
}

unsigned ad_pool_size(const ad_pool *pool)
{
	return pool ? pool->size : 1;
}

void ad_pool_run(ad_pool *pool, ad_task_fn *fn, void *context, size_t tasks)
{
	size_t task;

	if (!pool || pool->size == 1 || tasks <= 1) {
		for (task = 0; task < tasks; task++)
			fn(context, task, 0);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->fn = fn;
	pool->context = context;
	pool->tasks = tasks;
	pool->busy = pool->started;
	atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
	pool->run++;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	take_tasks(pool, fn, context, tasks, 0);
	pthread_mutex_lock(&pool->lock);
	while (pool->busy)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

struct attempt {
	ad_try_fn *fn;
	void *context;
	pthread_mutex_t lock; /* of what follows */
	size_t first;         /* of those that failed */
	int code;
	adtool_error error;
};

static void attempt_task(void *context, size_t task, unsigned worker)
{
	struct attempt *a = context;
	adtool_error why = {0};
	int code = a->fn(a->context, task, worker, &why);

	if (!code)
		return;
	pthread_mutex_lock(&a->lock);
	if (!a->code || task < a->first) {
		a->first = task;
		a->code = code;
		a->error = why;
	}
	pthread_mutex_unlock(&a->lock);
}

int ad_pool_try(ad_pool *pool, ad_try_fn *fn, void *context, size_t tasks, size_t *which, adtool_error *err)
{
	struct attempt a = {.fn = fn, .context = context};

	pthread_mutex_init(&a.lock, NULL);
	ad_pool_run(pool, attempt_task, &a, tasks);
	pthread_mutex_destroy(&a.lock);
	if (a.code && which)
		*which = a.first;
	if (a.code && err)
		*err = a.error;
	return a.code;
}
