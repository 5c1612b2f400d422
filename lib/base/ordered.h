/*
 * A bounded pipeline that keeps order: one thread produces items, several process them side by
 * side, the caller consumes them in the order they were produced, each as soon as it and all before it are done. No more
 * threads are started than there are items.
 */
#ifndef AD_ORDERED_H
#define AD_ORDERED_H

#include <adtool/error.h>
#include <stddef.h>

typedef struct ad_ordered_job {
	unsigned workers; /* >= 1 */
	size_t slots;     /* items under way at once; > workers, so that reading runs ahead */
	/* Fills a slot, on a thread of its own: 1, 0 at the end, or a negative code. May block. */
	int (*produce)(void *context, size_t slot, adtool_error *err);
	/* Works on a filled slot; alone: nothing else was under way when this began. */
	void (*process)(void *context, size_t slot, unsigned worker, int alone);
	/* Takes a finished slot, on the caller's thread, in order. Non-zero stops everything. */
	int (*consume)(void *context, size_t slot, adtool_error *err);
	void *context;
	/* May be NULL: on the caller's thread, once the others have begun and before it consumes. Non-zero stops. */
	int (*begin)(void *context, adtool_error *err);
} ad_ordered_job;

/* 0, or what begin, consume or produce returned; a failing produce ends the job after all before it is consumed. */
int ad_ordered_run(const ad_ordered_job *job, adtool_error *err);

#endif
