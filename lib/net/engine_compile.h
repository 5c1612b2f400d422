/* What compiles a graph: engine_compile.c, engine_compile_int8.c (what is done in 8 bits), engine_plain.c (plain
 * loops). */
#ifndef AD_ENGINE_COMPILE_H
#define AD_ENGINE_COMPILE_H

#include "engine_internal.h"

/* What is known of a value while compiling. */
struct value {
	place plain, blocked; /* BUFFER_NONE: not there */
	place bytes, quads;   /* likewise, as in kernel/int8.h: in blocks of 16; of at most 4 channels, by pixels */
	quanta quanta;        /* without a scale: no range is known */
	int in_floats;        /* something must have it in floats */
	shape shape;          /* of its blocks; blocks 0: it has none */
	int parent;           /* the concat it lies in; -1 */
	size_t parent_block;
	size_t remaining; /* reads to come */
};

/* Of the node that ends a chain (engine_chain.c): those computed with it; -1: none; depth -1: no chain. */
struct chain {
	int expand, depth;
};

struct compiler {
	ad_engine *e;
	const ad_graph *g;
	struct value *values;
	int *pre;            /* of a CONV or AVERAGE_POOL: the SCALE or UNARY fused into it; -1 */
	int *moved;          /* of an AVERAGE_POOL: the CONV that is done after it; -1 */
	struct chain *chains;
	unsigned char *skip; /* nodes that another one does */
	const ad_range *const *ranges;
	float *scales; /* of all quanta */
};

static const place nowhere = {BUFFER_NONE, 0};

/*
 * All that can fail return ADTOOL_ENOMEM; there is no other failure. A step whose places are set is added with
 * engine_step; engine_form is for one that makes another form of a value, counted to the node that wants it.
 */

/* engine.c */
int engine_buffer(ad_engine *e, size_t floats, place *out);
/* Step `index` reads or writes what lies there. */
void engine_touch(ad_engine *e, place p, size_t index);
int engine_step(ad_engine *e, const step *s);
int engine_form(ad_engine *e, const step *s);

/* engine_compile.c */
/* Sets all but pre, moved, chains and skip of the compiler's lists, which have room; allocates scales. */
int engine_compile(struct compiler *c);
/* Gives value v room in that form, unless it has it; its blocks within its concat, if it has one. */
int engine_place_blocked(struct compiler *c, int v);
int engine_place_plain(struct compiler *c, int v);
/* Makes the form that node `node` needs of value v, unless it is there. */
int engine_need_blocked(struct compiler *c, int v, size_t node);
int engine_need_plain(struct compiler *c, int v, size_t node);

/* engine_compile_int8.c */
/* What has a range, and what must be there in floats. */
int engine_find_bytes(struct compiler *c);
/* Whether a convolution is done in bytes; its input, or the SCALE or UNARY before it, and its residual have ranges. */
int engine_takes_bytes(const struct compiler *c, size_t node);
/* Whether a pooling finds its input in bytes and leaves its output so. */
int engine_pools_bytes(const struct compiler *c, size_t node);
/* Of a value in bytes, its blocks. */
int engine_from_bytes(struct compiler *c, int v, size_t node);
int engine_visit_int8(struct compiler *c, size_t node);
int engine_visit_int8_pool(struct compiler *c, size_t node);

/* engine_chain.c */
void engine_chains(struct compiler *c);
int engine_visit_chain(struct compiler *c, size_t node);

/* engine_plain.c */
int engine_visit_plain(struct compiler *c, size_t node);
/* Constants of such nodes: the graph goes, so they are kept in the weights; once these are filled, pointers turn there.
 */
int engine_keep_constants(struct compiler *c);
void engine_turn_to_kept(ad_engine *e);

#endif
