/*
 * Whole jobs: the only room that sees every other.
 *
 *   file --1--> pixels --2--> tensor --3--> feature map --4--> residual map, score --5--> decision
 */
#ifndef AD_PIPELINE_H
#define AD_PIPELINE_H

#include <adtool/pipeline.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../base/pool.h"
#include "../base/rng.h"
#include "../bundle/bundle.h"
#include "../detect/detect.h"
#include "../image/image.h"
#include "../net/ranges.h"

/* -- look.c: what of a picture becomes the input ------------------------------------------------------- */

struct ad_look {
	adtool_geometry geometry;
	ad_mask *mask; /* NULL: none */
};

/* Of a grid's cells those that count. */
struct ad_cells {
	uint32_t *index; /* ascending; NULL: all */
	size_t count;
};

/* mask may be NULL. */
int ad_look_create(const adtool_geometry *geometry, const adtool_image *mask, struct ad_look *out, adtool_error *err);
void ad_look_release(struct ad_look *l);
int ad_look_same(const adtool_geometry *a, const adtool_geometry *b);
/* Whether pictures are just stretched. */
int ad_look_is_plain(const struct ad_look *l);
/* The cells of a fre model: index NULL without a mask, and with tiles, each of which has its own. */
int ad_look_cells(const struct ad_look *l, unsigned width, unsigned height, unsigned grid, struct ad_cells *out,
		  adtool_error *err);
void ad_cells_release(struct ad_cells *c);
/* values: `channels` times the cells of a grid; keeps those of the cells that count. to may be from. */
void ad_cells_keep(const struct ad_cells *c, const float *from, size_t channels, unsigned grid, float *to);
/* And back: all others are 0. */
void ad_cells_spread(const struct ad_cells *c, const float *from, unsigned grid, float *to);
/*
 * The part of a picture that is looked at, whatever becomes of it; ADTOOL_EINVAL when it has none, or not the mask's
 * shape.
 */
int ad_look_region(const struct ad_look *l, unsigned width, unsigned height, ad_area *out, adtool_error *err);
/* The input for a picture without tiles; l may be NULL. */
int ad_look_tensor(const struct ad_look *l, const adtool_image *image, const adtool_preprocessing *p, unsigned width,
		   unsigned height, float *tensor, adtool_error *err);

/* A row's view: where its map lies. */
struct adtool_view {
	ad_view view;
};

/* Sets map_box, and view (which lives in *at) unless pictures are just stretched, for a row without tiles. */
int ad_row_place(const struct ad_look *l, unsigned width, unsigned height, adtool_row *row, struct adtool_view *at,
		 adtool_error *err);

/* The same for a map over a region. */
void ad_row_place_region(const struct ad_look *l, const ad_area *region, adtool_row *row, struct adtool_view *at);

/* -- extract.c: one picture, pixels -> row of features ------------------------------------------------ */

struct ad_extractor {
	const ad_plan *plan;
	adtool_preprocessing preprocessing;
	unsigned width, height;
	size_t shape[3];          /* of the (first) layer's map */
	unsigned grid;            /* 0: the whole maps of all the plan's layers; else it has one layer */
	const struct ad_look *look;   /* NULL: the whole picture, stretched */
	const struct ad_cells *cells; /* NULL: all, always with grid 0 */
	const ad_channels *basis; /* NULL: all channels, always with grid 0 */
	uint64_t max_pixels;
	uint64_t whole_pixels; /* as in adtool_image_options */
	int isolate; /* as in adtool_image_options */
	unsigned background;      /* adtool_geometry.background */
};

/* What one thread needs for one picture at a time. */
struct ad_scratch {
	void *arena; /* and what follows but the tensor */
	float *tensor, *map, *pooled;
	float *all; /* the pooled map's cells, with `cells` */
};

void ad_scratch_release(struct ad_scratch *s);
/* Cells of the row: g^2 or those of them that count, or all of the (first) map. */
size_t ad_extractor_cells(const struct ad_extractor *e);
/* Floats of the pooled map, before any projection; of all maps with grid 0. */
size_t ad_extractor_pooled(const struct ad_extractor *e);
/* What is not there yet. */
int ad_scratch_create(struct ad_scratch *s, const struct ad_extractor *e, adtool_error *err);
/* plan: NULL when it is to follow by ad_extractor_plan; till then only ad_extract_tensor may be called. */
void ad_extractor_init(struct ad_extractor *e, const ad_plan *plan, const adtool_preprocessing *preprocessing,
		       unsigned width, unsigned height, unsigned grid, uint64_t max_pixels);
void ad_extractor_plan(struct ad_extractor *e, const ad_plan *plan);
/* The two halves of ad_extract_image, the scratch's tensor being between them. The first allocates it. */
int ad_extract_tensor(const struct ad_extractor *e, struct ad_scratch *s, const adtool_image *image, adtool_error *err);
/* ad_extract_tensor of a picture file, decoded as ad_extractor_decoding says; for extractors without a look. */
int ad_extract_file(const struct ad_extractor *e, struct ad_scratch *s, const void *data, size_t size, unsigned page,
		    unsigned *width, unsigned *height, adtool_error *err);
void ad_extract_row(const struct ad_extractor *e, struct ad_scratch *s, ad_pool *pool, float *row);
/* row: the pooled map, projected when there is a basis. Never fails on a decoded picture but for memory. */
int ad_extract_image(const struct ad_extractor *e, struct ad_scratch *s, ad_pool *pool, const adtool_image *image,
		     float *row, adtool_error *err);
/* How pictures are to be decoded for it. */
adtool_image_options ad_extractor_decoding(const struct ad_extractor *e);
/* Refuses a grid that is larger than the layer's map. */
int ad_extractor_check(const struct ad_extractor *e, adtool_error *err);

/* -- tiled.c: pictures cut into tiles ------------------------------------------------------------------------ */

/* What each worker needs. Zeroed at first; the first picture makes it. */
struct ad_tile_room {
	unsigned workers;
	struct ad_scratch *scratch;
	float **rows, **maps;
	void **work;
};

void ad_tile_room_release(struct ad_tile_room *r);

/* Some of a picture's tiles: their numbers in the tiling, ascending. */
struct ad_drawn {
	size_t *tiles, count; /* ad_free */
};

/*
 * Sends the tiles of a picture in which something is seen through the network. `tile` may be called by several threads.
 */
struct ad_visitor {
	const struct ad_extractor *extractor; /* with a look that has tiles */
	const ad_detector *detector;          /* that `room` is for, too; NULL: nothing is scored */
	ad_pool *pool;                        /* tiles beside each other; NULL: on the caller's thread */
	struct ad_tile_room *room;            /* of one extractor, detector and size of the pool */
	struct ad_drawn *drawn;               /* filled by begin: only these are wanted; NULL: all */
	/* Once the size is known, before any tile. */
	int (*begin)(void *context, const ad_tiling *t, unsigned width, unsigned height, adtool_error *err);
	/* tile: its number, or with `drawn` its place among those. row: ad_extractor_row floats. */
	int (*tile)(void *context, size_t tile, const ad_fitting *fitting, const float *row, unsigned worker,
		    adtool_error *err);
	void *context;
};

/*
 * What is kept of a picture cut into tiles: the pooled maps, before any projection, of those tiles in which something
 * is seen, in the order of the tiling.
 */
struct ad_tiles {
	unsigned width, height; /* of the picture */
	size_t count;
	const float *rows; /* count of ad_extractor_pooled floats; NULL: nothing */
	float *own;        /* ad_free_aligned; NULL: they are another's */
};

/* A picture: decoded, or its file, which need not be decoded whole, or what was kept of its tiles. */
struct ad_source {
	const adtool_image *image; /* NULL: the file */
	const void *data;
	size_t size;
	unsigned page; /* of a TIFF of several, from 1 */
	const struct ad_tiles *kept; /* NULL: the picture; else nothing goes through the network */
};

int ad_visit_tiles(const struct ad_visitor *v, const struct ad_source *source, adtool_error *err);

/* Tiles of a picture in which the mask, if any, shows something. */
size_t ad_tiles_seen(const ad_tiling *t, const ad_mask *mask, unsigned width, unsigned height);
/* The tiling of a picture of this size. */
int ad_tiles_of(const struct ad_look *look, unsigned grid, unsigned width, unsigned height, ad_tiling *out,
		adtool_error *err);
/* How many tiles of each of so many pictures a fit is made of. */
size_t ad_tiles_of_each(size_t pictures);
/*
 * Which of the `seen` tiles of a picture are taken, `most` of them, drawn by the seed: their places among those seen.
 * For a smaller `most` a part of them. chosen: room for `seen`, ascending. Returns how many.
 */
size_t ad_tiles_choose(uint64_t seed, size_t picture, size_t seen, size_t most, size_t *chosen);
/* The same as numbers of the tiling. ADTOOL_EINVAL: the mask hides all. */
int ad_tiles_draw(const ad_tiling *t, const ad_mask *mask, unsigned width, unsigned height, uint64_t seed,
		  size_t picture, size_t most, struct ad_drawn *out, adtool_error *err);

/* Floats of a row as the extractor gives it. */
size_t ad_extractor_row(const struct ad_extractor *e);

/* Zeroed at first. */
struct ad_tiled_score {
	unsigned width, height; /* of the picture */
	double score;           /* the largest of the tiles' */
	double peak;            /* fre: the largest cell */
	ad_area region;
	unsigned rows, cols;    /* of the one map, over the region */
	float *map;             /* ad_free; NULL unless asked for */
};

/* The extractor has the basis, if any. Which thread does what changes no bit. */
int ad_score_tiles(const struct ad_extractor *e, const ad_detector *d, struct ad_tile_room *room, ad_pool *pool,
		   const struct ad_source *source, int with_map, struct ad_tiled_score *out, adtool_error *err);

/* -- stream.c: many pictures through all threads, in order -------------------------------------------- */

struct ad_stream;

/* A file of several pages: its bytes are kept once, however many of them are under way. */
struct ad_paged_file {
	ad_buf bytes;
	unsigned users;
	char digest[65]; /* "" until it is asked for */
	pthread_mutex_t lock;
};

struct ad_picture {
	ad_buf name, label, archive, why, bytes; /* archive: "" for a file of its own */
	struct ad_paged_file *file; /* of a page; `bytes` is empty then */
	size_t index; /* what select gave it */
	unsigned page; /* adtool_item.page */
	int code;     /* why it could not be used; `why` says it */
	unsigned width, height;
	char digest[65];
};

struct ad_stream {
	adtool_dataset *dataset;
	const struct ad_extractor *extractor;
	unsigned threads;
	int want_digest;
	/*
	 * May be NULL: caller's thread, while the first pictures are being read and decoded. Completes an extractor
	 * that has no plan yet.
	 */
	int (*prepare)(struct ad_stream *s, ad_pool *pool, adtool_error *err);
	/* May be NULL: takes all. Else: whether to take the item; the index to give it. Reader's thread. */
	int (*select)(struct ad_stream *s, const adtool_item *item, size_t *index);
	/*
	 * Worker's thread, may be NULL: more work on the row; image: the picture if whole_pictures, else it may be
	 * NULL.
	 */
	int (*work)(struct ad_stream *s, struct ad_picture *p, size_t slot, struct ad_scratch *scratch,
		    const adtool_image *image, float *row, adtool_error *err);
	/*
	 * Worker's thread, may be NULL: instead of `work` unless whole_pictures or tiled, on pictures that this worker
	 * extracted since (ordered.h). Sets the code of a picture that fails by ad_picture_fail.
	 */
	void (*together)(struct ad_stream *s, const size_t *slots, size_t count, struct ad_scratch *scratch);
	/*
	 * Worker's thread, may be NULL: with tiles, does all that decoding, extracting and `work` do for others, and
	 * sets the picture's size. source: decoded if whole_pictures; pool: NULL, or all threads are free; room: the
	 * worker's, or the pool's. What row then holds means nothing.
	 */
	int (*tiled)(struct ad_stream *s, struct ad_picture *p, size_t slot, const struct ad_source *source,
		     ad_pool *pool, struct ad_tile_room *room, adtool_error *err);
	int whole_pictures;
	/* Caller's thread, in order. row is NULL when p->code is set. */
	int (*emit)(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err);
	void *context;

	size_t slots, row_size;
	struct ad_picture *pictures;
	float *rows;
	struct ad_scratch *scratch; /* per worker; created by it */
	struct ad_tile_room *rooms; /* per worker, and one for the pool */
	struct ad_paged_file *file; /* the last that was read; its users are counted under lock */
	uint64_t file_number;       /* its ad_dataset_file */
	ad_pool *pool;              /* for preparing, and for a picture that is alone */
	pthread_mutex_t pool_lock, lock;
	pthread_cond_t prepared;
	int ready; /* under lock: 1 prepared, -1 failed */
};

/*
 * The slots a stream of so many threads has: enough that no worker waits for the reader; with `together`, others wait.
 */
size_t ad_stream_slots(unsigned threads, int together);
void ad_picture_fail(struct ad_picture *p, int code, const char *why);
int ad_stream_run(struct ad_stream *s, adtool_error *err);
unsigned ad_stream_threads(unsigned threads);
int ad_stream_check_threads(unsigned threads, adtool_error *err);

/* -- precision.c: training in 8 bits, or in bfloat16 ---------------------------------------------------- */

/*
 * The largest difference between features in 8 bits and in floats that is let pass, in units of their spread. Measured
 * on the real pictures of README: adnet 0.09 and 0.13, resnet50-conv4 0.12 and 0.14, whose AUROC stays within 0.003;
 * mobilenet_v2 0.16 and 0.17, densenet169 0.4, whose does not.
 */
#define AD_INT8_MOST_DIFFERENCE 0.15
/*
 * The same in bfloat16: adnet 0.014 and 0.017, densenet169 0.02, resnet50-conv4 0.03, mobilenet_v2's s16 0.05 and 0.07,
 * AUROC within 0.001; mobilenet_v2's s32, at 0.13 and 0.15, loses up to 0.003.
 */
#define AD_BF16_MOST_DIFFERENCE 0.1

struct ad_precision {
	enum adtool_precision precision; /* not ADTOOL_FLOAT32 */
	const adtool_backbone *backbone;
	const char *layer;
	const struct ad_extractor *extractor; /* with the plan in floats, no basis */
	const adtool_dataset_options *dataset_options;
	/* Of all pictures, in the order of names; archives: NULL where none. */
	const char *const *names, *const *archives;
	size_t count;
	uint64_t seed, memory;
	unsigned threads;
	ad_pool *pool;
	adtool_progress_fn *progress; /* may be NULL */
	void *context;
};

struct ad_measured {
	ad_buf names;
	float *ranges;
	size_t count;
	double difference;
};

ad_ranges ad_measured_ranges(const struct ad_measured *m);
/* How plans of such a precision compute, in int8 with these ranges. */
ad_how ad_precision_how(enum adtool_precision precision, const ad_ranges *ranges);
void ad_measured_release(struct ad_measured *m); /* harmless on a zeroed one */

/*
 * Plans, in 8 bits after measuring ranges on some of the pictures, and compares. In bfloat16, which needs no ranges,
 * out has the difference alone. ADTOOL_EUNSUPPORTED: it will not do.
 */
int ad_precision_measure(const struct ad_precision *p, struct ad_measured *out, ad_plan **plan, adtool_error *err);

/* -- train_options.c ----------------------------------------------------------------------------------- */

/* The channel basis comes from at most so many pictures; a fit needs at least so many. */
enum { AD_BASIS_PICTURES = 512, AD_MINIMUM_PICTURES = 3 };

int ad_train_check_options(const adtool_train_options *o, adtool_error *err);
/* Of the channels of a layer, those that a fit is made of; fewer: there is a basis. */
size_t ad_train_channels(const adtool_train_options *o, size_t channels);
/* A fit on maps of so many channels and cells. Pictures and groups are the caller's. */
ad_fit_options ad_train_fit_options(const adtool_train_options *o, size_t channels, size_t cells);
/* The bytes that a job may take: those asked for; 0: three quarters of the machine's. */
uint64_t ad_memory_limit(uint64_t asked);

/* -- gather.c: features of many pictures, held in memory ----------------------------------------------- */

struct ad_gathered {
	char *name, *label, *archive; /* archive: "" for a file of its own */
	unsigned width, height;
	float **rows; /* one for each of the gather's `pooled`: channels x cells */
	size_t tiles; /* with tiles: that many of them in each row, in the order of the tiling; else 0 */
};

/* What becomes of one of the plan's layers: pooled as scoring pools, projected when there is a basis. */
struct ad_pooled {
	size_t offset; /* floats before its map in the extractor's row */
	size_t shape[3];
	unsigned grid;
	const struct ad_cells *cells; /* NULL: all of the grid's */
	const ad_channels *basis; /* NULL: all channels are kept */
};

/* Cells of a row, and floats: of one picture, or one tile. */
size_t ad_pooled_cells(const struct ad_pooled *p);
size_t ad_pooled_floats(const struct ad_pooled *p);
/* With tiles: those of a picture, as views of p's memory. */
struct ad_tiles ad_gathered_tiles(const struct ad_gathered *p, size_t pooled);

struct ad_gather {
	const struct ad_extractor *extractor; /* of whole maps (grid 0) */
	const struct ad_pooled *pooled;
	size_t pooled_count;
	unsigned threads;
	uint64_t limit, others; /* bytes that `held` may reach together with those of other gathers */
	/*
	 * With tiles, for a fit: all pictures' names in their order, and the seed, so that of each as many tiles are
	 * taken as adtool_train takes. NULL: all tiles of all pictures.
	 */
	const char *const *names;
	size_t name_count;
	uint64_t seed;
	adtool_progress_fn *progress;
	adtool_refused_fn *refused;
	void *context;

	struct ad_gathered *pictures; /* in input order */
	size_t count, capacity;
	size_t refusals;
	_Atomic uint64_t held; /* bytes of rows */
	atomic_int too_many;
	struct ad_gathered *pending; /* per slot of the stream, with tiles */
};

/* Reads all inputs, once; may be called again for more. No picture at all is not an error. */
int ad_gather_run(struct ad_gather *g, const char *const *inputs, size_t count,
		  const adtool_dataset_options *dataset_options, adtool_error *err);
/* By name; a picture that is there twice is kept once. As adtool_train orders what it trains on. */
void ad_gather_sort(struct ad_gather *g);
void ad_gather_release(struct ad_gather *g);

/* -- deal.c: pictures to folds -------------------------------------------------------------------------- */

/* fold_of: n numbers below `folds`, as evenly as can be. */
int ad_deal(size_t n, unsigned folds, ad_rng *rng, unsigned *fold_of, adtool_error *err);
/*
 * The same of whole groups; each goes to the fold that has the fewest pictures so far. group: n numbers below `groups`.
 */
int ad_deal_groups(const size_t *group, size_t n, size_t groups, unsigned folds, ad_rng *rng, unsigned *fold_of,
		   adtool_error *err);
/* The same kind by kind: by label, else by folder. */
int ad_deal_kinds(const struct ad_gathered *pictures, size_t n, unsigned folds, ad_rng *rng, unsigned *fold_of,
		  adtool_error *err);

/* -- gather.c, again: fits of rows in memory ------------------------------------------------------------- */

/* A fit as adtool_train makes it, of rows in memory. */
struct ad_fit {
	ad_detector detector;
	double *calibration; /* n, ascending */
	size_t n;
	ad_limit limit;
	double energy_kept;
};

/* At most AD_BASIS_PICTURES of so many, drawn by the seed: taken (count, 0 before) is 1 for them. */
int ad_basis_draw(uint64_t seed, size_t count, unsigned char *taken, adtool_error *err);
/* The basis of `maps` (count of C x cells floats, in the order of names) as adtool_train chooses it. */
int ad_fit_basis(const float *const *maps, size_t count, size_t channels, size_t cells, size_t keep, uint64_t seed,
		 ad_pool *pool, ad_channels *out, adtool_error *err);
/* rows: count of fit->dimensions floats, in the order of names. fit->pictures is set here. */
int ad_fit_rows(const float *const *rows, size_t count, const ad_fit_options *fit, ad_pool *pool, struct ad_fit *out,
		adtool_error *err);
/* The detector alone, without calibration. */
int ad_fit_only(const float *const *rows, size_t count, const ad_fit_options *fit, ad_pool *pool, ad_detector *out,
		double *energy_kept, adtool_error *err);
/* The limit at alpha, from the calibration's scores. */
int ad_fit_decide(struct ad_fit *f, const ad_calibration *c, double alpha, adtool_error *err);
/*
 * A fit as adtool_train makes it of pictures whose tiles are all held: `count` of them, in the order of names. e: of
 * the pooled maps, without basis. group: count numbers below `groups`; NULL: each is its own. *basis: from is 0 where
 * all channels are kept.
 */
int ad_fit_tiled(const adtool_train_options *o, const struct ad_extractor *e, struct ad_tiles *tiles,
		 const char *const *names, size_t count, size_t *group, size_t groups, ad_pool *pool,
		 ad_channels *basis, struct ad_fit *out, adtool_error *err);
void ad_fit_release(struct ad_fit *fit);

/* -- model.c: what scoring needs, open, checked and saved --------------------------------------------- */

struct adtool_model {
	adtool_model_info info;
	ad_bundle *bundle; /* of an opened model: parts point into it */
	ad_bundle_parts parts;
	ad_buf onnx; /* of a trained model: the parts' memory */
	float *mean32, *variances32, *channels, *channels_mean;
	double *calibration; /* n, ascending */
	struct ad_measured measured; /* of a model trained in int8 */
	float *stats;        /* N x C x g x g; NULL: not kept */
	ad_buf stats_names;
	double selftest;
	ad_detector trained;  /* owns mean and rows of a trained model */
	ad_detector detector; /* what scoring uses; points into trained or bundle, and owns `variances` if opened */
	double *opened_variances;
	ad_channels basis; /* from == 0: all channels are kept */
	ad_limit limit;
	struct ad_look look;
	struct ad_cells cells;
	adtool_image *mask_image; /* NULL: none */
	ad_buf mask_file;         /* of a trained model: the parts' memory */

	pthread_mutex_t lock; /* of plan: made when first needed */
	ad_plan *plan;
};

/* The extractor of a model, without its plan; and the plan, made when it is first asked for: pool may be NULL. */
void ad_model_extractor(const adtool_model *m, uint64_t max_pixels, struct ad_extractor *e);
int ad_model_plan(const adtool_model *m, ad_pool *pool, struct ad_extractor *e, adtool_error *err);
/* The whole grid's map (fre) from the residuals of the detector's cells. */
void ad_model_spread(const adtool_model *m, const float *residuals, float *map);
int ad_model_create(adtool_model **out, adtool_error *err);
/* Takes over look and cells. */
int ad_model_set_look(adtool_model *m, struct ad_look *look, struct ad_cells *cells, adtool_error *err);
/* Fills detector, basis and limit from info, parts and calibration. */
int ad_model_assemble(adtool_model *m, adtool_error *err);
/*
 * Scores one upright picture, without tiles: the whole flow for one, on the caller's thread. map (g^2 values) may be
 * NULL.
 * plain: the whole picture is stretched, whatever the model's geometry.
 */
int ad_model_score(const adtool_model *m, const adtool_image *image, int plain, double *score, float *map,
		   adtool_error *err);
/* The built-in picture: waves, an edge and seeded noise, so that every part of a net has something to do. */
int ad_selftest_picture(adtool_image **out, adtool_error *err);
int ad_selftest_score(const adtool_model *m, double *score, adtool_error *err);
/* ADTOOL_ENUMERIC unless within 1e-3 of what is wanted; in bfloat16, which other CPUs round otherwise, 2e-2. */
int ad_selftest_compare(const adtool_model_info *info, double got, double wanted, adtool_error *err);
const double *ad_model_calibration(const adtool_model *m);

/* -- groups.c, findings.c: what is said of training pictures ------------------------------------------- */

/*
 * by: "dir", or a POSIX extended regular expression. names: n; archives: n, NULL for a file of its own. group: n,
 * numbers below *count in the order of the keys; pictures that the expression does not match are groups of their own.
 * *largest: pictures in the largest group.
 */
int ad_groups_by(const char *by, const char *const *names, const char *const *archives, size_t n, size_t *group,
		 size_t *count, size_t *largest, adtool_error *err);

/* What is kept of a training picture for a report. */
struct ad_thumbnail {
	ad_buf jpeg; /* empty: its pixels were not at hand */
	unsigned width, height; /* of the picture */
};

struct ad_findings {
	const adtool_train_options *options; /* who is told */
	const ad_calibration *calibration;
	size_t count; /* of the pictures listed */
	const char *const *names;
	const unsigned char *used;
	char (*digests)[65];
	const struct ad_thumbnail *thumbnails; /* NULL unless options->thumbnail */
};

int ad_find_copies(const struct ad_findings *f, size_t *copies, size_t *near_copies, adtool_error *err);
/* m: the model that was made, all but its selftest. */
int ad_find_worst(const struct ad_findings *f, const adtool_model *m, adtool_error *err);
/* dropped: `count` pictures, the worst first. */
int ad_drop_worst(const struct ad_findings *f, size_t count, size_t *dropped, adtool_error *err);
void ad_calibration_drop(ad_calibration *c, const size_t *dropped, size_t count);

/* -- threshold.c, batch.c: decisions ------------------------------------------------------------------ */

/* The limit that a model's info describes. */
ad_limit ad_limit_of(const adtool_model_info *info);
/* adtool_score with options->fdr: rows come when all are known. */
int ad_score_batch(const adtool_model *model, adtool_dataset *dataset, const adtool_score_options *options,
		   adtool_score_report *report, adtool_error *err);

/* -- stats.c: the pictures a model keeps --------------------------------------------------------------- */

/* One that it was trained on, or (map NULL) that could not be used then. */
struct ad_kept {
	char *name, digest[65];
	unsigned width, height; /* with tiles: the picture's; else 0 */
	const float *map;       /* C x g x g; with tiles as many times that as it has tiles that a mask leaves */
	size_t maps;
};

struct ad_stats {
	ad_bundle_stats raw;
	struct ad_kept *kept; /* in ascending order of names */
	size_t count, rows;   /* rows: maps of all */
	size_t size;          /* floats of a map */
};

/*
 * One line of stats.txt; digest NULL: the picture was refused. size: NULL, or with tiles the picture's width and
 * height.
 */
int ad_stats_line(ad_buf *out, const char *digest, const unsigned size[2], const char *name);
/* The model must outlive *out. */
int ad_stats_open(const adtool_model *m, struct ad_stats *out, adtool_error *err);
void ad_stats_release(struct ad_stats *s); /* harmless on a zeroed one */

#endif
