/*
 * Blocks of memory with an inaccessible page at either end, one of which each block touches: what reads or writes
 * beyond dies.
 */
#ifndef GUARD_H
#define GUARD_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARD_MOST = 48 };

typedef struct guard {
	int side; /* which end of a block touches one: 0 the end, 1 the start */
	void *maps[GUARD_MOST];
	size_t mapped[GUARD_MOST], n;
} guard;

/* All 0; lives until guard_drop_all. */
static inline void *guard_take(guard *g, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
	char *at = mmap(NULL, room + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || g->n == GUARD_MOST || mprotect(at, page, PROT_NONE) ||
	    mprotect(at + page + room, page, PROT_NONE))
		abort();
	g->maps[g->n] = at;
	g->mapped[g->n++] = room + 2 * page;
	return at + page + (g->side ? 0 : room - bytes);
}

static inline void guard_drop_all(guard *g)
{
	while (g->n) {
		g->n--;
		munmap(g->maps[g->n], g->mapped[g->n]);
	}
}

#endif
