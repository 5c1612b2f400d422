/*
 * What the engine's files share: engine.c (placing, packing), engine_run.c, the steps of engine_conv.c, engine_bf16.c,
 * engine_int8.c, engine_steps.c and engine_plain.c; engine_compile.h has what makes steps of a graph.
 */
#ifndef AD_ENGINE_INTERNAL_H
#define AD_ENGINE_INTERNAL_H

#include "../kernel/bf16.h"
#include "../kernel/int8.h"
#include "engine.h"
#include "ops.h"

enum { BUFFER_INPUT = -1, BUFFER_OUTPUT = -2, BUFFER_NONE = -3, LINE_BYTES = 64 };

/* Where floats lie: in a buffer of the arena, or in the caller's input or output. */
typedef struct place {
	int buffer;
	size_t offset; /* floats */
} place;

typedef struct buffer {
	size_t floats, offset; /* offset: bytes from the arena's start */
	size_t first, last;    /* steps that touch it */
	int shared;            /* holds more than one value */
} buffer;

/* Channels, height and width of a value as blocks see it. */
typedef struct shape {
	size_t c, h, w;
	size_t blocks; /* ceil(c / vl) */
	size_t plane;  /* floats of one plane: h w vl */
} shape;

/* A group of neighbouring output blocks that one call of the convolution kernel computes. */
typedef struct out_group {
	size_t in_block, out_block, blocks;
	size_t weights, floats; /* where in the engine's weights, and how many */
	int half;               /* ad_conv_args.half */
} out_group;

struct step;
struct run;

/*
 * How the bytes of a value are read (kernel/int8.h). scale: of each channel, whole blocks of 16; NULL: it has none.
 * They live while the engine is made.
 */
typedef struct quanta {
	const float *scale;
	int zero;
} quanta;

typedef void step_fn(const struct step *s, const struct run *r, size_t task, float *scratch);

typedef struct conv_step {
	ad_window window;
	shape in, out;
	size_t in_channels; /* of one group, as the weights have it */
	size_t in_blocks;   /* of one group */
	size_t last;        /* channels in its last block */
	out_group *groups;
	size_t n_groups;
	size_t bias;         /* offset in the weights; SIZE_MAX: none */
	size_t scale, shift; /* of a SCALE done while packing; SIZE_MAX: none */
	ad_fn pre;           /* its activation */
	ad_fn fn;
	/* Cutting: task = part + parts * piece. */
	size_t pieces, parts;
	size_t line; /* pointwise: pixels of a line; lines: of them */
	size_t lines;
	int m;    /* Winograd */
	int bf16; /* engine_bf16.c */
	size_t tiles_x, tiles;
	place transformed; /* of all tiles, when a step before has done it */
} conv_step;

typedef struct window_step {
	ad_window window;
	shape in, out;
	int count_padding;
	size_t weights, bias, scale, shift;
	ad_fn pre, fn;
	size_t pieces, planes; /* pieces of rows; planes of a task */
	void (*kernel)(const ad_window_args *a);
} window_step;

typedef struct pixel_step {
	shape shape;
	size_t pieces, planes; /* pieces of pixels; planes of a task */
	size_t scale, shift;   /* affine; binary with a constant: scale holds it */
	ad_fn fn;
	enum ad_binary_kind kind;
	size_t x_step, y_step; /* binary: 0 when the operand is one pixel for all */
	int swapped;           /* constant first */
} pixel_step;

/* Steps of 8 bits (engine_int8.c). Blocks and planes of in and out are those of floats, whatever int8.h has. */
typedef struct int8_step {
	ad_window window;
	shape in, out;
	size_t pixel;         /* bytes of an input pixel */
	quanta from, to, res; /* to.scale NULL: floats, in blocks of vl */
	float low, high;
	size_t factor;     /* of the residual, or of a form: for each channel */
	float one_factor;  /* of a picture */
	out_group *groups; /* weights: in the engine's weights, as are start (then scale, shift) */
	size_t n_groups;
	size_t start, scale, shift; /* of all output channels; SIZE_MAX: none */
	size_t pieces, parts;
} int8_step;

/* A node left to plain loops. */
struct plain_step {
	ad_step step;
	place *in;
	size_t pointers; /* bytes from the arena's start, where a run keeps its inputs' addresses */
};

typedef struct step {
	step_fn *run;
	size_t tasks, scratch; /* scratch: floats of each task */
	size_t node;
	const char *algorithm;
	place in, out, res;
	union {
		conv_step conv;
		window_step window;
		pixel_step pixel;
		int8_step int8;
		struct plain_step *plain;
		struct chain_step *chain;
	} u;
} step;

/* Something to write into the weights once they are allocated. */
enum fill_kind { FILL_VECTOR, FILL_CONV, FILL_DEPTHWISE, FILL_INT8 };

typedef struct fill {
	enum fill_kind kind;
	size_t offset;
	const ad_loose *from; /* NULL, and halves too: only `rest` */
	const ad_loose_half *halves;
	size_t count, total;  /* vector: floats to copy, floats in all; depthwise: channels, taps */
	float rest;           /* vector: what follows */
	size_t step, group;   /* conv */
	int part;             /* conv: of a chain, which one; else 0 */
	const ad_node *node;  /* conv */
} fill;

struct ad_engine {
	const ad_kernels *k;
	const ad_int8_kernels *k8;
	const ad_bf16_kernels *kb; /* NULL: floats that are rounded stand in */
	step *steps;
	size_t n_steps, room_steps;
	buffer *buffers;
	size_t n_buffers, room_buffers;
	fill *fills;
	size_t n_fills, room_fills;
	float *weights;
	size_t n_weights;
	/* Bytes; scratch_bytes: of one slot. Counters: 1 + slots for each step, LINE_BYTES each (engine_run.c). */
	size_t arena_bytes, counters_at, scratch_at, scratch_bytes;
	unsigned slots;
	const char **algorithms; /* of each node of the graph, and of the outputs' own steps */
	size_t *doers;           /* the node with which each is computed, or itself */
	size_t n_nodes;
};

typedef struct run {
	const ad_engine *e;
	const ad_kernels *k;
	char *arena;
	const float *input;
	float *output;
	double *seconds;
	size_t slots; /* threads that may come */
} run;

static inline float *at(const run *r, place p)
{
	if (p.buffer == BUFFER_OUTPUT)
		return r->output + p.offset;
	return (float *)(void *)(r->arena + r->e->buffers[p.buffer].offset) + p.offset;
}

static inline const float *from(const run *r, place p)
{
	return p.buffer == BUFFER_INPUT ? r->input + p.offset : at(r, p);
}

static inline size_t div_up(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Where the i-th of n even pieces of `total` begins. */
static inline size_t cut(size_t total, size_t i, size_t n)
{
	return total / n * i + min_size(i, total % n);
}

/* How many pieces: enough for tasks of at least `task`, where the step's work is measured alike. */
static inline size_t pieces_for(double work, double task, size_t least, size_t most)
{
	double wanted = work / task;
	size_t n = wanted > 64 ? 64 : wanted < 1 ? 1 : (size_t)wanted;

	n = min_size(max_size(n > 2 ? n + n % 2 : n, least), most);
	return n ? n : 1;
}

/* Inputs along one axis that so many neighbouring outputs read, from the first to the last. */
static inline size_t span(const ad_window *w, int axis, size_t outputs)
{
	return (outputs - 1) * w->stride[axis] + (w->kernel[axis] - 1) * w->dilation[axis] + 1;
}

static inline int is_pointwise(const ad_window *w)
{
	return w->kernel[0] == 1 && w->kernel[1] == 1 && !w->pads[0] && !w->pads[1] && !w->pads[2] && !w->pads[3];
}

static inline ad_fn fn_of(ad_activation a)
{
	static const enum ad_fn_kind kinds[] = {
	    [AD_ACT_NONE] = AD_FN_NONE,           [AD_ACT_RELU] = AD_FN_RELU,
	    [AD_ACT_LEAKY] = AD_FN_LEAKY,         [AD_ACT_CLIP] = AD_FN_CLIP,
	    [AD_ACT_SIGMOID] = AD_FN_SIGMOID,     [AD_ACT_HARDSIGMOID] = AD_FN_HARDSIGMOID,
	    [AD_ACT_HARDSWISH] = AD_FN_HARDSWISH, [AD_ACT_SWISH] = AD_FN_SWISH,
	};

	return (ad_fn){kinds[a.kind], a.a, a.b};
}

/* Floats in the weights, at a multiple of 64 bytes. */
size_t engine_weights(ad_engine *e, size_t floats);
/* NULL when memory is short. */
fill *engine_fill(ad_engine *e);
/* A vector of `count` floats padded to `total` with `rest`. SIZE_MAX when memory is short. */
size_t engine_vector(ad_engine *e, const ad_loose *values, size_t count, size_t total, float rest);

/* engine_conv.c: whether blocks suit a convolution: not when tiny groups would have to be merged into much bigger ones.
 */
int engine_conv_suits(const ad_engine *e, const ad_conv *conv, size_t in, size_t out);
/* Chooses and sets everything of a convolution but its places. planar: the input is C x H x W. */
int engine_conv_plan(ad_engine *e, step *s, size_t index, const ad_node *node, shape in, shape out, int planar);
/*
 * When a planned convolution wants a step of its own before it: fills *before with it and returns how many floats the
 * two share, in a buffer that both find at u.conv.transformed. Else 0.
 */
size_t engine_conv_split(const ad_engine *e, const step *s, step *before);
void engine_conv_fill(const ad_engine *e, const fill *f);
void engine_conv_release(step *s);
/* One call of the kernel; a: what is read. last: of this group in this task. */
void engine_conv_call(const step *s, const run *r, const out_group *g, ad_conv_args *a, float *out, const float *res,
		      size_t pixel0, size_t pixels, int last);

/* engine_bf16.c: convolutions of engine_conv.c (u.conv.bf16) whose operands are rounded. */
/* Whether one is; the same on every instruction set. pre: the activation of a SCALE or UNARY done while packing. */
int engine_bf16_suits(const ad_conv *conv, size_t in, size_t out, ad_fn pre);
/* Floats in the weights of a group. */
size_t engine_bf16_floats(const ad_engine *e, size_t channels, size_t taps, size_t blocks);
/* Of a step that is otherwise planned. */
void engine_bf16_plan(const ad_engine *e, step *s);
int engine_bf16_runs(const step *s);
/*
 * With a table: writes a tap's weights of channels `channel`, which is even, and the one after it (odd: or NULL) for
 * output block `block` of a group.
 */
void engine_bf16_pair(const ad_engine *e, const conv_step *c, const out_group *g, size_t block, size_t channel,
		      size_t tap, const float *even, const float *odd);

/* engine_int8.c */
/*
 * ranges: of each channel. scale: room for the scales of the channels in whole blocks of 16, and their inverses behind
 * them. one: the same for all. Returns 0 when they are all 0.
 */
int engine_int8_quanta(const ad_range *ranges, size_t channels, int one, float *scale, int *zero);
/* Whether a convolution may be done on bytes; its input and residual must have ranges. */
int engine_int8_suits(const ad_conv *conv, ad_activation activation, size_t in, size_t out, int planar);
/* Sets everything of a convolution but its places. from, to, res: of its values. pixel: 16, or 4 for a picture. */
int engine_int8_conv(ad_engine *e, step *s, size_t index, const ad_node *node, shape in, shape out, size_t pixel,
		     quanta from, quanta to, quanta res);
void engine_int8_pool(step *s, const ad_window *window, shape in, shape out);
/* Between forms: of the whole value. scale, shift: SIZE_MAX, or of a SCALE done on the way, with its activation. */
int engine_int8_quantize(ad_engine *e, step *s, shape of, quanta to, size_t scale, size_t shift, ad_fn pre);
int engine_int8_dequantize(ad_engine *e, step *s, shape of, quanta from);
void engine_int8_pack(step *s, shape of, quanta to);
void engine_int8_fill(const ad_engine *e, const fill *f);
void engine_int8_release(step *s);
/* Bytes that a value takes. */
size_t engine_int8_bytes(shape s, size_t pixel);

/* engine_steps.c */
void engine_window_plan(const ad_engine *e, step *s);
/* The input rows i0 .. i1 - 1 that output rows y0 .. y1 - 1 read. */
void engine_window_rows(const window_step *w, size_t y0, size_t y1, size_t *i0, size_t *i1);
/* Cuts a pixel step whose shape is set into tasks; whole: not within planes. */
void engine_pixels_plan(const ad_engine *e, step *s, int whole);
step_fn engine_affine, engine_binary, engine_mean, engine_pack, engine_unpack, engine_copy;
/*
 * Copies input rows y .. y + rows - 1 (counted from the top of the padding) of one plane of h x w pixels of `size`
 * bytes to rows of `width` pixels; bytes where the padding is are `pad`.
 */
void engine_copy_band(const void *in, size_t h, size_t w, size_t size, const ad_window *win, size_t y, size_t rows,
		      size_t width, int pad, void *to);

/* engine_chain.c */
/* A convolution of a chain (fill.part); NULL: the step is no chain. */
const conv_step *engine_chain_conv(const step *s, int part);
void engine_chain_release(step *s);

/* engine_plain.c */
step_fn engine_run_plain;
void engine_plain_release(step *s);

#endif
