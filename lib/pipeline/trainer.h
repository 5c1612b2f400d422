/* Inside of training: what its files share. */
#ifndef AD_TRAINER_H
#define AD_TRAINER_H

#include "pipeline.h"

/* A picture found while listing. */
struct entry {
	char *name;
	char *archive; /* NULL: a file of its own */
	size_t place;  /* in the order found */
	size_t kept;   /* 1 + its index among those kept in the model that is updated; 0: a new one */
};

struct list {
	struct entry *entries;
	size_t count, capacity;
	size_t refused;
	uint64_t passed_over;
};

struct trainer {
	const adtool_train_options *options;
	const adtool_dataset_options *dataset_options;
	struct list list;
	unsigned char *sampled; /* per entry: its whole map is held for the channel basis */
	float **maps;           /* per entry, for the sampled */
	unsigned char *seen;    /* per entry; the reader's */
	unsigned char *used;    /* per entry */
	char (*digests)[65];    /* per entry */
	struct ad_thumbnail *thumbnails; /* per entry; NULL unless options->thumbnail */
	struct ad_extractor extractor;
	struct ad_look look;
	struct ad_cells cells;
	unsigned threads;
	int want_sampled; /* which pass this is */
	ad_channels basis;
	ad_fitter *fitter;
	float *pooled; /* per entry: its map, when stats are kept */
	struct ad_stats stats;
	size_t known;         /* new pictures that were left out: the old model has their bytes */
	size_t done, refused; /* pictures that came, and of those, or of the old model's, what could not be used */
	const char **names, **archives; /* per entry, the list's */
	size_t *group;                  /* per entry; with options->group_by */
	size_t groups;
	size_t dropped;         /* the worst, taken out of `used` */
	size_t dropped_before;  /* of `refused`: those that an earlier training dropped */
	/* With tiles: those that fits are made of, in the order of the pictures. */
	ad_fit_options tile_fit;
	size_t tile_count;
	size_t *tile_picture; /* per tile: its entry */
	float *tile_rows;     /* per tile: its features */
	struct ad_tiles *tiles; /* per entry: what fits are made of, until that is done; if held, all, to the end */
	int holds_tiles;        /* all are in memory, so that no picture is read twice */
	_Atomic uint64_t tiles_held; /* bytes of those */
	uint64_t tiles_limit;        /* the bytes that they may take */
	atomic_int tiles_too_many;   /* set by who would have exceeded it */
	struct calibrating *calibrating; /* of the pass that is under way */
};

/* Whether the maps of all pictures go into the model. */
static inline int ad_train_keeps(const adtool_train_options *o)
{
	return o->keep_stats || o->update;
}

int ad_train_progress(const adtool_train_options *o, const char *stage, uint64_t done, uint64_t total,
		      adtool_error *err);
void ad_train_refused(const adtool_train_options *o, const char *name, int code, const char *text);
/*
 * Sends the pictures whose `sampled` is `want`, and that were not yet `seen`, through a stream, in the order of names
 * (members in their archive's). stream: its callbacks; the context is the trainer.
 */
int ad_train_pass(struct trainer *t, int want, struct ad_stream *stream, adtool_error *err);
/* For such a stream: counts the picture, notes that it is used and its digest, or tells why it is not. */
int ad_train_emit(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err);

/* -- train_list.c: the pictures to learn from ----------------------------------------------------------- */

/* A copy of the item's names, at the end. */
int ad_train_list_add(struct list *l, const adtool_item *item, adtool_error *err);
/* By name; those of one name in the order they came. */
void ad_train_list_sort(struct list *l);
/* Among the first `count`, which are sorted; NULL: not there. */
struct entry *ad_train_list_find(const struct list *l, size_t count, const char *name);
void ad_train_list_release(struct list *l);
/* Fills the empty list with what the inputs hold, sorted, each name once; tells what the inputs refuse. */
int ad_train_list_fill(const char *const *inputs, size_t count, const adtool_dataset_options *dataset_options,
		       const adtool_train_options *o, struct list *l, adtool_error *err);

/* -- train_keep.c: the maps of all pictures, kept in the model ------------------------------------------ */

/* Puts the old model's pictures among the new ones, a new one in the place of an old one of its name. */
int ad_train_merge_kept(struct trainer *t, adtool_error *err);
/* Takes in the old maps, and leaves out new pictures whose bytes are known under another name. */
int ad_train_take_kept(struct trainer *t, adtool_error *err);
/* Hands all maps to the fitter, as the two passes of other trainings do, so that the fit has the same bits. */
int ad_train_add_pooled(struct trainer *t, adtool_error *err);
/* The model takes over t->pooled. */
int ad_train_fill_stats(adtool_model *m, struct trainer *t, adtool_error *err);

/* -- train_model.c: the model of what was fitted -------------------------------------------------------- */

/*
 * All of it but the selftest's score, of m->trained, m->measured and what t holds, which gives up its basis, look and
 * cells.
 * from: the model whose own backbone it is; NULL: the backbone is cut after the layer.
 */
int ad_train_fill_model(adtool_model *m, struct trainer *t, const adtool_backbone *backbone, const adtool_model *from,
			const ad_calibration *calibration, double energy_kept, adtool_error *err);
/* The bundle's graph must give what the whole backbone gives: the selftest through both. */
int ad_train_selftest(adtool_model *m, const struct trainer *t, adtool_error *err);

/* -- train_tiles.c: pictures cut into tiles ------------------------------------------------------------- */

/* The most tiles that a fit of so many pictures is made of. */
size_t ad_train_tiles_most(size_t pictures);
/* Bytes beside those of other trainings; fit->pictures tiles. */
uint64_t ad_train_tiles_memory(const struct trainer *t, const ad_fit_options *fit);
/*
 * Reads all pictures that are not known yet: features of a seeded sample of their tiles; of all where stats are kept.
 */
int ad_train_tiles_read(struct trainer *t, adtool_error *err);
/* Of what was read: the channels, and the rows of the sample. */
int ad_train_tiles_join(struct trainer *t, const ad_fit_options *fit, int with_basis, ad_pool *pool, adtool_error *err);
void ad_train_tiles_release(struct ad_tiles *tiles);
/*
 * Fits on the tiles of the pictures that are `used`; calibrates by folds of whole pictures: each picture's score is
 * that of all its tiles by a fit that saw none of them. Reads all pictures again, unless their tiles are held. May be
 * called once more, with fewer used.
 */
int ad_train_tiles_fit(struct trainer *t, ad_pool *pool, ad_detector *detector, double *kept, ad_calibration *c,
		       adtool_error *err);

#endif
