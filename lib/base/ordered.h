/*
 * A bounded pipeline that keeps order: one thread produces items, several process them side by
 * side, the caller consumes them in the order they were produced, each as soon as it and all before it are done. No
 * more threads are started than there are items.
 */
#ifndef AD_ORDERED_H
#define AD_ORDERED_H

#include <adtool/error.h>
#include <stddef.h>

/* The most items that one join takes. */
enum { AD_ORDERED_COMPANY = 8 };

typedef struct ad_ordered_job {
	unsigned workers; /* >= 1 */
	size_t slots;     /* items under way at once; > workers, so that reading runs ahead */
	size_t ahead;     /* of those, the most that are filled and not yet worked on; 0: no other bound */
	/* Fills a slot, on a thread of its own: 1, 0 at the end, or a negative code. May block. */
	int (*produce)(void *context, size_t slot, adtool_error *err);
	/*
	 * Works on a filled slot; alone: nothing else was under way when this began. 0: it is done; 1: it is once join
	 * was called with it.
	 */
	int (*process)(void *context, size_t slot, unsigned worker, int alone);
	/*
	 * May be NULL if process never asks for it. Ends the work on 1 to AD_ORDERED_COMPANY slots of this worker, all
	 * that wait: when there are as many, when there is nothing else to work on, or when the first has waited for 50
	 * ms.
	 */
	void (*join)(void *context, const size_t *slots, size_t count, unsigned worker);
	/* Takes a finished slot, on the caller's thread, in order. Non-zero stops everything. */
	int (*consume)(void *context, size_t slot, adtool_error *err);
	void *context;
	/* May be NULL: on the caller's thread, once the others have begun and before it consumes. Non-zero stops. */
	int (*begin)(void *context, adtool_error *err);
} ad_ordered_job;

/* 0, or what begin, consume or produce returned; a failing produce ends the job after all before it is consumed. */
int ad_ordered_run(const ad_ordered_job *job, adtool_error *err);

#endif
