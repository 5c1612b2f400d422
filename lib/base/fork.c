#include "fork.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

/* Many may hold it; who forks waits for them, and goes before those that come later. */
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
static pthread_rwlock_t holding = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
#else
static pthread_rwlock_t holding = PTHREAD_RWLOCK_INITIALIZER;
#endif
/* In a new process: it has one thread, and its lock has an owner that it has not. */
static int is_alone;

void ad_fork_hold(void)
{
	if (!is_alone)
		pthread_rwlock_rdlock(&holding);
}

void ad_fork_free(void)
{
	if (!is_alone)
		pthread_rwlock_unlock(&holding);
}

static pid_t fork_with(int *end)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
#ifdef F_SETPIPE_SZ
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
#endif
	child = fork();
	close(ends[child ? 1 : 0]);
	if (child < 0)
		close(ends[0]);
	else
		*end = ends[child ? 0 : 1];
	return child;
}

pid_t ad_fork(int *end)
{
	pid_t child;

	pthread_rwlock_wrlock(&holding);
	child = fork_with(end);
	if (!child)
		is_alone = 1;
	else
		pthread_rwlock_unlock(&holding);
	return child;
}
