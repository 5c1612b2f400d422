/*
 * Backbones: ONNX files of ordinary convolution nets, whose metadata say how to feed them
 * (adtool-backbone(5)). A handle is immutable after opening (and adtool_backbone_set_preprocessing, if called) and may
 * be shared between threads.
 */
#ifndef ADTOOL_BACKBONE_H
#define ADTOOL_BACKBONE_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct adtool_backbone adtool_backbone;

/*
 * Opens by path (anything with a '/' or ending in ".onnx" that exists) or by name; a name is looked for as
 * NAME.onnx in $ADTOOL_BACKBONES (colon-separated), the user's data folder ($XDG_DATA_HOME/adtool/backbones,
 * else ~/.local/share/adtool/backbones), the installed one, and last among those embedded in the library.
 * NULL means the default, "adnet". Messages leave a path that was given to the caller; a file found by name they name.
 */
ADTOOL_API int adtool_backbone_open(const char *name_or_path, adtool_backbone **out, adtool_error *err);

/* The same from a whole ONNX file in memory. The bytes are copied. */
ADTOOL_API int adtool_backbone_open_memory(const void *onnx, size_t size, adtool_backbone **out,
                                           adtool_error *err);

ADTOOL_API void adtool_backbone_free(adtool_backbone *backbone); /* harmless on NULL */

/*
 * Calls fn(name, where, context) for each backbone that _open would find by name; "where" is a folder or "(embedded)".
 */
ADTOOL_API int adtool_backbone_list(int (*fn)(const char *name, const char *where, void *context), void *context,
                                    adtool_error *err);

/* Preprocessing: value = (sample * (range / 255) - mean[c]) / std[c], channels in the order of color. */
typedef struct adtool_preprocessing {
	int bgr;         /* 0: RGB, 1: BGR */
	float range;     /* 255 or 1 */
	float mean[3];   /* in the order of the channels */
	float std[3];
} adtool_preprocessing;

/*
 * Overrides what the metadata say of preprocessing; what is trained with the backbone keeps it. To be called before
 * the handle is shared. ADTOOL_EINVAL unless all is finite, range is 1 or 255, and each std is above 0.
 */
ADTOOL_API int adtool_backbone_set_preprocessing(adtool_backbone *backbone, const adtool_preprocessing *preprocessing,
                                                 adtool_error *err);

typedef struct adtool_backbone_info {
	const char *name, *licence, *source, *sha256; /* owned by the backbone; "" when unknown */
	adtool_preprocessing preprocessing;
	const char *default_layer;
	size_t layers;           /* how many layers adtool_backbone_layer knows */
	size_t nodes;            /* of the ONNX graph */
	int64_t parameters;      /* elements of all initialisers used */
	int opset;
} adtool_backbone_info;

ADTOOL_API int adtool_backbone_get_info(const adtool_backbone *backbone, adtool_backbone_info *info,
                                        adtool_error *err);

typedef struct adtool_layer_info {
	const char *name; /* owned by the backbone */
	int stride;       /* of the input per cell; 0 when the metadata do not say */
	int channels;     /* 0 when the metadata do not say */
} adtool_layer_info;

ADTOOL_API int adtool_backbone_layer(const adtool_backbone *backbone, size_t index, adtool_layer_info *info,
                                     adtool_error *err);

/* Shape C x H x W of a layer (NULL: the default one) for an input of width x height, and what it costs. */
typedef struct adtool_layer_cost {
	size_t channels, height, width;
	int64_t multiply_adds;
	int64_t parameters;
	size_t nodes;            /* that run for this layer */
	size_t arena_bytes;      /* activations of one picture */
} adtool_layer_cost;

ADTOOL_API int adtool_backbone_cost(const adtool_backbone *backbone, const char *layer, unsigned width,
                                    unsigned height, adtool_layer_cost *cost, adtool_error *err);

/* A node of a layer's plan, and how long it took. */
typedef struct adtool_plan_node {
	const char *name;      /* the ONNX node's, or its output's when it has none */
	const char *kind;      /* "Conv", "MaxPool", ... */
	const char *algorithm; /* "pointwise", "winograd-4x4", ...; "with the next" and "in place" take no time */
	size_t channels, height, width; /* of its output */
	double multiply_adds; /* with those of nodes computed with it */
	double seconds; /* the median of some runs */
} adtool_plan_node;

typedef struct adtool_plan_totals {
	const char *isa; /* of the kernels */
	unsigned threads, runs;
	double multiply_adds;
	double seconds;  /* of a picture: the median of whole runs */
	double sum;      /* of the nodes' seconds */
	double planning; /* seconds it took to make the plan */
	size_t arena_bytes, weight_bytes;
} adtool_plan_totals;

/*
 * Makes the plan of a layer (NULL: the default one) for an input of width x height, runs it some times on one picture
 * split over the threads (0: one per CPU), and calls fn for each node, in order; what it gets is valid until it
 * returns. totals may be NULL.
 */
ADTOOL_API int adtool_backbone_profile(const adtool_backbone *backbone, const char *layer, unsigned width,
                                       unsigned height, unsigned threads,
                                       void (*fn)(void *context, const adtool_plan_node *node), void *context,
                                       adtool_plan_totals *totals, adtool_error *err);

/*
 * Sends one raw tensor (1 x C x H x W floats, already normalised) through to `layer` (NULL: the default) and
 * gives the layer's whole output: *out (released with adtool_free) of shape[0..ndim-1], ndim at most 4.
 * threads: 0 for one per CPU.
 */
ADTOOL_API int adtool_backbone_run(const adtool_backbone *backbone, const char *layer, const float *input,
                                   const size_t input_shape[4], unsigned threads, float **out,
                                   size_t shape[4], int *ndim, adtool_error *err);

/* Writes an ONNX file with only what `layer` needs (same metadata, layers cut to this one). Atomic. */
ADTOOL_API int adtool_backbone_cut(const adtool_backbone *backbone, const char *layer, const char *path,
                                   adtool_error *err);

#ifdef __cplusplus
}
#endif
#endif
