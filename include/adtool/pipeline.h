/*
 * Whole jobs: train, score, features. Callbacks are called on the caller's thread, one at a time.
 */
#ifndef ADTOOL_PIPELINE_H
#define ADTOOL_PIPELINE_H

#include <stddef.h>
#include <stdint.h>

#include <adtool/backbone.h>
#include <adtool/dataset.h>
#include <adtool/error.h>
#include <adtool/geometry.h>
#include <adtool/image.h>
#include <adtool/model.h>
#include <adtool/region.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a callback is told while a job runs. total is 0 while unknown. Returning non-zero stops the job. */
typedef int adtool_progress_fn(void *context, const char *stage, uint64_t done, uint64_t total);

/* A picture that could not be used: its name and why. */
typedef void adtool_refused_fn(void *context, const char *name, const adtool_error *why);

/* -- rows ------------------------------------------------------------------------------------------- */

enum adtool_verdict {
	ADTOOL_NORMAL = 0,
	ADTOOL_ANOMALOUS = 1,
	ADTOOL_ERROR = 2,
	ADTOOL_SUSPECT = 3 /* above the model's second limit, not above the threshold */
};

/* One picture's result. Pointers live until the callback returns. */
typedef struct adtool_row {
	const char *name, *label;
	enum adtool_verdict verdict;
	double score, p, threshold;      /* NaN when verdict is ADTOOL_ERROR */
	int code;                        /* when verdict is ADTOOL_ERROR */
	const char *why;                 /* its message, else NULL */
	unsigned width, height;          /* of the upright picture; 0 for an error */
	const float *map;                /* rows x cols residuals, row-major; NULL for ppca and errors */
	unsigned map_rows, map_cols;
	/* x, y, width, height of what it covers, in pixels: it may reach beyond the picture. */
	double map_box[4];
	/* There is a map, and it need not cover the picture: rows of JSON tell the box. */
	int has_map_box;
	const struct adtool_view *view;  /* for adtool_row_upsample; NULL: the map covers the picture */
	const char *heatmap, *overlay;   /* files written, or NULL */
	const char *map_file;            /* the .npy written, or NULL */
	int has_regions;                 /* the regions were looked for */
	const adtool_region *regions;    /* of the map above the model's heat_level */
	size_t region_count;
	/* JPEGs: the picture, and with its heat over it; NULL: not asked for, none. */
	const void *thumbnail, *thumbnail_heat;
	size_t thumbnail_size, thumbnail_heat_size;
	/* SHA-256 of the file in hex, of a page that of "<hex>#<page>"; when asked for, else NULL. */
	const char *digest;
} adtool_row;

/* Rows come in input order. Returning non-zero stops the job with ADTOOL_ECANCELLED. */
typedef int adtool_row_fn(void *context, const adtool_row *row);

/* -- train ------------------------------------------------------------------------------------------- */

/* What training finds about its pictures, told before it returns. */
enum adtool_finding_kind {
	ADTOOL_FINDING_COPY = 0,      /* `name` has the same bytes as `other` */
	/* Nearly the same features; looked for while there are fewer pictures than features. */
	ADTOOL_FINDING_NEAR_COPY = 1,
	ADTOOL_FINDING_WORST = 2,     /* the largest scores of those held out, from the largest down: mislabelled? */
	ADTOOL_FINDING_DROPPED = 3    /* left out by `drop` */
};

typedef struct adtool_finding {
	enum adtool_finding_kind kind;
	const char *name, *other;     /* other: of copies, else NULL */
	double distance;              /* near copies: over that of two pictures on average */
	/* The held-out score; worst: and how likely a normal one is to reach it (Box's rule). */
	double score, p;
} adtool_finding;

typedef void adtool_finding_fn(void *context, const adtool_finding *finding);

typedef struct adtool_train_options {
	const char *layer;        /* NULL: the backbone's default */
	unsigned width, height;   /* of the input; default 224 x 224 */
	adtool_geometry geometry; /* default: whole pictures, stretched */
	/*
	 * What of a picture is looked at: white (brighter than 127). NULL: all. At most 4096 pixels a side, in the
	 * shape of the pictures, which it is laid over whole; what is black is painted in the backbone's mean, and
	 * cells of the grid without any white are left out. Pictures of another shape are refused.
	 */
	const adtool_image *mask;
	unsigned grid;            /* g; default 7 */
	/*
	 * ADTOOL_INT8: the backbone computes in 8 bits where it can, with ranges measured on some of the pictures.
	 * Refused (ADTOOL_EUNSUPPORTED) where features would differ too much from those in float32.
	 * ADTOOL_BF16: convolutions, but 3x3 ones of stride 1, multiply numbers of 8 significant bits, and add them up
	 * in float32. Refused likewise.
	 */
	enum adtool_precision precision; /* default ADTOOL_FLOAT32 */
	enum adtool_method method;
	size_t channels;          /* c; default 128; 0 keeps all */
	double energy;            /* default 0.97 */
	size_t components;        /* SIZE_MAX (default): by energy, or the method's own rule */
	enum adtool_aggregate aggregate;
	double top;               /* default 0.1 */
	double alpha;             /* default 0.01 */
	uint64_t seed;            /* default 0 */
	unsigned threads;         /* 0: one per CPU */
	uint64_t memory;          /* bytes the job may take; 0 (default): three quarters of the machine's */
	uint64_t max_pixels;      /* 0: ADTOOL_MAX_PIXELS_DEFAULT */
	int isolate;              /* as in adtool_image_options */
	/*
	 * Time the convolutions that can be computed in several ways, and let the model say which is fastest here.
	 * Scores differ in the last digits from those of a model that is not tuned; on another CPU or instruction set
	 * such a model is computed as one that is not tuned. ADTOOL_EUNSUPPORTED where a narrow precision leaves
	 * nothing to choose.
	 */
	int tune;
	/* The model keeps its pictures' maps, so that it can be updated: 4 C g^2 bytes each, or for each tile. */
	int keep_stats;
	/* May be NULL: the model whose backbone is used when none is given; must live until then. */
	const adtool_model *from;
	int update;               /* learn from the pictures kept in `from` too; implies keep_stats */
	/*
	 * Pictures of one part belong together: those of one group are left out of a calibration fit together. NULL:
	 * each is its own. "dir": those of one folder; else a POSIX extended regular expression: those whose names give
	 * the same first bracket, or match as a whole; what does not match is its own group. At most 127 bytes.
	 */
	const char *group_by;
	size_t drop;              /* leave so many of the worst held-out pictures out, and fit again without them */
	adtool_progress_fn *progress; /* may be NULL */
	adtool_refused_fn *refused;   /* may be NULL */
	adtool_finding_fn *finding;   /* may be NULL */
	/*
	 * Told of the held-out pictures before training returns, the largest score first, at most held_out_most; may be
	 * NULL. Their p is that of ADTOOL_FINDING_WORST, the verdict is by the new threshold, and the map is what a fit
	 * without the picture leaves of it. thumbnail: as in adtool_score_options; each picture then takes some 20 KB
	 * until the end, and the rows of pictures that are only known from `from` have none.
	 */
	adtool_row_fn *held_out;
	size_t held_out_most;
	unsigned thumbnail;
	void *context;            /* of all four */
} adtool_train_options;

ADTOOL_API void adtool_train_options_init(adtool_train_options *options);

/*
 * The recipe of a model, to be used again: sets layer, mask and group_by (which then belong to the model), width to
 * seed, and from. alpha stays as it is when the model's threshold is of a rule without one; ADTOOL_EINVAL when it is 0
 * then.
 */
ADTOOL_API int adtool_train_options_from(const adtool_model *model, adtool_train_options *options, adtool_error *err);

typedef struct adtool_train_report {
	size_t pictures_used, pictures_refused, pictures_dropped;
	size_t pictures_kept;     /* update: of those used, taken from the old model */
	size_t pictures_known;    /* update: left out, since the old model has a picture of the same bytes */
	size_t copies, near_copies;
	uint64_t passed_over;     /* files that are no pictures */
	double seconds_list, seconds_features, seconds_fit, seconds_selftest;
	uint64_t memory_estimate; /* bytes, by the formula of adtool-train(1) */
	size_t arena_bytes;  /* activations of one picture: each thread has its own */
	size_t weight_bytes; /* packed weights, which all threads share */
	unsigned threads;
	/* int8, bf16: of the features from those in float32, in units of their spread; 0 in an update. */
	double difference;
} adtool_train_report;

/*
 * Learns from the pictures of `inputs` (as adtool_dataset_open takes them). Names are read first, then each picture
 * once. At least 3 usable pictures are needed. backbone may be NULL when options->from is not. With options->update
 * (backbone NULL; layer, size, grid and method those of `from`) the result has the same bytes as that of training on
 * the old pictures and the new ones together (but for int8, whose ranges stay those of `from`): a new picture replaces
 * an old one of its name, and is left out when an old one has its bytes under another name; ADTOOL_EINVAL when `from`
 * keeps no stats. report may be NULL. The caller frees *out.
 */
ADTOOL_API int adtool_train(const adtool_backbone *backbone, const char *const *inputs, size_t count,
                            const adtool_dataset_options *dataset_options, const adtool_train_options *options,
                            adtool_model **out, adtool_train_report *report, adtool_error *err);

/* -- score ------------------------------------------------------------------------------------------- */

typedef struct adtool_score_options {
	unsigned threads;         /* 0: one per CPU */
	int has_threshold;        /* use `threshold` instead of the model's */
	double threshold;
	double alpha;             /* > 0: the threshold of this alpha instead of the model's */
	/*
	 * > 0: Benjamini and Hochberg's procedure over the p-values of the whole batch instead of a threshold: of the
	 * pictures called anomalous, a share of at most fdr is expected to be normal. Rows are held until the last is
	 * known, each about 300 bytes and what it points to; their threshold is the largest score that is not
	 * anomalous.
	 */
	double fdr;
	int digest;               /* rows carry digests */
	uint64_t max_pixels;
	uint64_t whole_pixels;    /* as in adtool_image_options */
	int isolate;              /* as in adtool_image_options */
	const char *heatmap_dir, *overlay_dir; /* NULL: none; made when missing */
	const char *map_dir;      /* the maps as they are (rows x cols), float32 .npy files; NULL: none */
	int regions;              /* look for regions; a model without maps has none */
	unsigned thumbnail;       /* longer side of the thumbnails in pixels; 0: none */
	adtool_row_fn *row;       /* may be NULL */
	void *context;
} adtool_score_options;

ADTOOL_API void adtool_score_options_init(adtool_score_options *options);

typedef struct adtool_score_report {
	uint64_t normal, suspect, anomalous, errors, passed_over;
	size_t arena_bytes;  /* activations of one picture: each thread has its own */
	size_t weight_bytes; /* packed weights, which all threads share */
	double seconds;
	unsigned threads;
} adtool_score_report;

/* Scores every item. report may be NULL. A bad picture is a row with ADTOOL_ERROR, not a failure. */
ADTOOL_API int adtool_score(const adtool_model *model, adtool_dataset *dataset, const adtool_score_options *options,
                            adtool_score_report *report, adtool_error *err);

/*
 * Scores one picture in memory: the simplest use. p and map (grid x grid floats) may be NULL; with tiles map must be,
 * since its size is the picture's.
 */
ADTOOL_API int adtool_score_image(const adtool_model *model, const void *data, size_t size, double *score, double *p,
                                  float *map, adtool_error *err);

/* Upsamples a row's map to width x height as the heat maps are drawn; out: width * height floats. */
ADTOOL_API int adtool_map_upsample(const float *map, unsigned rows, unsigned cols, unsigned width, unsigned height,
                                   float *out, adtool_error *err);

/*
 * The row's map in the picture's own geometry: width x height values (out), upsampled as adtool_map_upsample does it; 0
 * where the model does not look. ADTOOL_EINVAL for a row without a map.
 */
ADTOOL_API int adtool_row_upsample(const adtool_row *row, float *out, adtool_error *err);

/* -- features ---------------------------------------------------------------------------------------- */

typedef struct adtool_features_options {
	const char *layer;
	unsigned width, height;   /* default 224 x 224 */
	adtool_geometry geometry; /* default: whole pictures, stretched; without tiles */
	unsigned grid;            /* 0: the whole map; 1: global average; g: g x g; default 1 */
	unsigned threads;
	uint64_t max_pixels;
	int isolate;              /* as in adtool_image_options */
	adtool_refused_fn *refused;
	adtool_progress_fn *progress;
	/* One picture's features, in input order: channels x rows x cols floats. Non-zero stops. */
	int (*features)(void *context, const char *name, const float *values, size_t channels, size_t rows,
			size_t cols);
	void *context;
} adtool_features_options;

ADTOOL_API void adtool_features_options_init(adtool_features_options *options);

ADTOOL_API int adtool_features(const adtool_backbone *backbone, adtool_dataset *dataset,
                               const adtool_features_options *options, adtool_error *err);

#ifdef __cplusplus
}
#endif
#endif
