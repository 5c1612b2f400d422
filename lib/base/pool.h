/*
 * Threads. A pool of n - 1 workers plus the caller. Work is cut by the caller into tasks whose
 * number and contents never depend on the pool's size, so results do not either.
 */
#ifndef AD_POOL_H
#define AD_POOL_H

#include <adtool/error.h>
#include <stddef.h>

typedef struct ad_pool ad_pool;

/* threads >= 1; 0 means the number of CPUs this process may use. */
int ad_pool_create(unsigned threads, ad_pool **out, adtool_error *err);
void ad_pool_free(ad_pool *pool);
unsigned ad_pool_size(const ad_pool *pool); /* 1 for NULL */
unsigned ad_cpu_count(void);

/*
 * Calls fn(context, task, worker) for task = 0 .. tasks-1, worker in 0 .. size-1 (the caller is 0),
 * and returns when all are done. pool may be NULL: then all run in order on the caller. Not reentrant:
 * one run at a time per pool; fn must not run the same pool.
 */
typedef void ad_task_fn(void *context, size_t task, unsigned worker);
void ad_pool_run(ad_pool *pool, ad_task_fn *fn, void *context, size_t tasks);

/*
 * The same for tasks that can fail. All are run; 0, or code and error of the first in their order that failed, whose
 * number *which is, if that is not NULL.
 */
typedef int ad_try_fn(void *context, size_t task, unsigned worker, adtool_error *err);
int ad_pool_try(ad_pool *pool, ad_try_fn *fn, void *context, size_t tasks, size_t *which, adtool_error *err);

#endif
