/* Small ONNX files for the tests of the net room. All calls assert success. */
#ifndef ONNX_MAKE_H
#define ONNX_MAKE_H

#include <stddef.h>
#include <stdint.h>

#include "onnx.pb-c.h"

typedef struct om om;

#define DIMS(...) ((const int64_t[]){__VA_ARGS__, -1})
/* Two arguments: how many, and what. */
#define LIST(...) sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (const int64_t[]){__VA_ARGS__}

om *om_new(int opset);
void om_free(om *m);

/* The pictures' input "x": 1 x c x open x open. */
void om_input(om *m, int64_t c);

/* An initialiser; dims end with -1. The data are copied. Returned for changes. */
Ad__TensorProto *om_floats(om *m, const char *name, const float *data, const int64_t *dims);
Ad__TensorProto *om_ints(om *m, const char *name, const int64_t *data, const int64_t *dims);
/* As om_floats, kept as float16 (rounded as the library does it). */
Ad__TensorProto *om_halves(om *m, const char *name, const float *data, const int64_t *dims);

/* A node; inputs and outputs are names with one space between ("-" for one left out). */
Ad__NodeProto *om_node(om *m, const char *type, const char *name, const char *inputs, const char *outputs);
void om_int(om *m, Ad__NodeProto *node, const char *name, int64_t value);
void om_float(om *m, Ad__NodeProto *node, const char *name, float value);
void om_string(om *m, Ad__NodeProto *node, const char *name, const char *value);
void om_int_list(om *m, Ad__NodeProto *node, const char *name, size_t n, const int64_t *values);
void om_float_list(om *m, Ad__NodeProto *node, const char *name, size_t n, const float *values);
Ad__TensorProto *om_tensor(om *m, Ad__NodeProto *node, const char *name, const float *data, const int64_t *dims);

/* Declares a graph output. */
void om_output(om *m, const char *name);
void om_metadata(om *m, const char *key, const char *value);

/*
 * The beginning of a graph with a bit of everything: the input, and nodes from it over two convolutions to "q", 1 x 2 x
 * open x open. The initialisers "v", 1 and 2, and "shape", 1 and -1, are for what follows. w: 36 values.
 */
void om_many(om *m, const float *w);

/* For what has no call of its own. */
Ad__ModelProto *om_model(om *m);
void *om_alloc(om *m, size_t size);
char *om_text(om *m, const char *text);

/* The file's bytes; freed with m. */
const uint8_t *om_bytes(om *m, size_t *size);

#endif
