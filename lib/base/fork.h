/*
 * Processes forked from one with many threads. The C library sees to its own locks; a lock of another library that some
 * thread holds meanwhile would stay locked in the new process for ever. So what calls a library that has locks, and
 * that is used in such processes too, says so.
 */
#ifndef AD_FORK_H
#define AD_FORK_H

#include <sys/types.h>

/* Between these no process is forked by ad_fork. Not to be nested, and not long. */
void ad_fork_hold(void);
void ad_fork_free(void);

/*
 * A process with one end of a pipe: its number, with the end to read in *end; 0 in the new process, with the end to
 * write. No other process that is forked here has that one. -1: none can be had.
 */
pid_t ad_fork(int *end);

#endif
