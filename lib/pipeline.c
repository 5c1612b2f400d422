/*
 * Whole jobs: the only file that sees every room.
 *
 *   file --1--> pixels --2--> tensor --3--> feature map --4--> residual map, score --5--> decision
 */
#include <adtool/pipeline.h>

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/digest.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/ordered.h"
#include "base/pool.h"
#include "base/rng.h"
#include "bundle/bundle.h"
#include "detect/detect.h"
#include "image/image.h"
#include "net/net.h"

enum { BASIS_PICTURES = 512, MINIMUM_PICTURES = 3 };

struct adtool_model {
	adtool_model_info info;
	ad_bundle *bundle;       /* of an opened model: parts point into it */
	ad_bundle_parts parts;
	ad_buf onnx;             /* of a trained model: the parts' memory */
	float *mean32, *variances32, *channels, *channels_mean;
	double *calibration;     /* n, ascending */
	double selftest;
	ad_detector trained;     /* owns mean and rows of a trained model */
	ad_detector detector;    /* what scoring uses; points into trained or bundle, and owns `variances` if opened */
	double *opened_variances;
	ad_channels basis;       /* from == 0: all channels are kept */
	ad_limit limit;

	pthread_mutex_t lock;    /* of plan: made when first needed */
	ad_plan *plan;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- one picture: bytes -> row of features ----------------------------------------------------------- */

struct extractor {
	const ad_plan *plan;
	adtool_preprocessing preprocessing;
	unsigned width, height;
	size_t shape[3];          /* of the layer's map */
	unsigned grid;            /* 0: the whole map */
	const ad_channels *basis; /* NULL: all channels */
	uint64_t max_pixels;
};

/* What one thread needs for one picture at a time. */
struct scratch {
	void *arena;
	float *tensor, *map, *pooled;
};

static void scratch_release(struct scratch *s)
{
	ad_free_aligned(s->arena);
	ad_free_aligned(s->tensor);
	ad_free_aligned(s->map);
	ad_free_aligned(s->pooled);
	memset(s, 0, sizeof(*s));
}

static size_t cells_of(const struct extractor *e)
{
	return e->grid ? (size_t)e->grid * e->grid : e->shape[1] * e->shape[2];
}

/* Floats of the pooled map, before any projection. */
static size_t pooled_size(const struct extractor *e)
{
	return e->shape[0] * cells_of(e);
}

static int scratch_create(struct scratch *s, const struct extractor *e, adtool_error *err)
{
	memset(s, 0, sizeof(*s));
	s->arena = ad_malloc_aligned(ad_plan_arena_bytes(e->plan), 1);
	s->tensor = ad_malloc_aligned((size_t)3 * e->width * e->height, sizeof(float));
	s->map = ad_malloc_aligned(e->shape[0] * e->shape[1] * e->shape[2], sizeof(float));
	s->pooled = ad_malloc_aligned(pooled_size(e), sizeof(float));
	if (s->arena && s->tensor && s->map && s->pooled)
		return 0;
	scratch_release(s);
	return ad_fail_nomem(err);
}

static void extractor_init(struct extractor *e, const ad_plan *plan, const adtool_preprocessing *preprocessing,
                           unsigned width, unsigned height, unsigned grid, uint64_t max_pixels)
{
	memset(e, 0, sizeof(*e));
	e->plan = plan;
	e->preprocessing = *preprocessing;
	e->width = width;
	e->height = height;
	e->grid = grid;
	e->max_pixels = max_pixels;
	ad_plan_output_shape(plan, e->shape);
}

/* row: the pooled map, projected when there is a basis. Never fails on a decoded picture but for memory. */
static int extract_image(const struct extractor *e, struct scratch *s, ad_pool *pool, const adtool_image *image,
                         float *row, adtool_error *err)
{
	float *pooled = e->basis ? s->pooled : row;
	int code = ad_image_to_tensor(image, &e->preprocessing, e->width, e->height, s->tensor, err);

	if (code)
		return code;
	ad_plan_run(e->plan, s->arena, pool, s->tensor, s->map);
	if (e->grid)
		ad_pool_grid(s->map, e->shape[0], e->shape[1], e->shape[2], e->grid, pooled);
	else
		memcpy(pooled, s->map, pooled_size(e) * sizeof(float));
	if (e->basis)
		ad_channels_apply(e->basis, pooled, cells_of(e), row);
	return 0;
}

static int check_grid(const struct extractor *e, adtool_error *err)
{
	if (e->grid <= e->shape[1] && e->grid <= e->shape[2])
		return 0;
	return ad_fail(err, ADTOOL_EINVAL, "a grid of %u x %u is larger than the feature map of %zu x %zu (height x width)",
	               e->grid, e->grid, e->shape[1], e->shape[2]);
}

/* -- a stream of pictures through all threads -------------------------------------------------------- */

struct stream;

struct picture {
	ad_buf name, label, why, bytes;
	size_t index;             /* what select gave it */
	int code;                 /* why it could not be used; `why` says it */
	unsigned width, height;
	char digest[65];
};

struct stream {
	adtool_dataset *dataset;
	const struct extractor *extractor;
	unsigned threads;
	int want_digest;
	/* May be NULL: takes all. Else: whether to take the item; the index to give it. Reader's thread. */
	int (*select)(struct stream *s, const adtool_item *item, size_t *index);
	/* Worker's thread, may be NULL: more work on the row, with the picture still at hand. */
	int (*work)(struct stream *s, struct picture *p, size_t slot, struct scratch *scratch, const adtool_image *image,
	            float *row, adtool_error *err);
	/* Caller's thread, in order. row is NULL when p->code is set. */
	int (*emit)(struct stream *s, struct picture *p, size_t slot, const float *row, adtool_error *err);
	void *context;

	size_t slots, row_size;
	struct picture *pictures;
	float *rows;
	struct scratch *scratch;
	ad_pool *pool;            /* for a picture that is alone */
	pthread_mutex_t pool_lock;
};

static const char *text_of(const ad_buf *b)
{
	return b->data ? (const char *)b->data : "";
}

static int refuse(struct picture *p, int code, const char *why)
{
	p->code = code;
	ad_buf_clear(&p->why);
	return ad_buf_puts(&p->why, why);
}

static int stream_produce(void *context, size_t slot, adtool_error *err)
{
	struct stream *s = context;
	struct picture *p = &s->pictures[slot];
	adtool_item item;
	adtool_error why;
	const void *data;
	size_t size;
	int got;

	do {
		got = adtool_dataset_next(s->dataset, &item, err);
		if (got <= 0)
			return got;
		p->index = 0;
	} while (s->select && !s->select(s, &item, &p->index));
	p->code = 0;
	p->width = p->height = 0;
	ad_buf_clear(&p->name);
	ad_buf_clear(&p->label);
	ad_buf_clear(&p->bytes);
	ad_buf_puts(&p->name, item.name);
	ad_buf_puts(&p->label, item.label ? item.label : "");
	if (item.code)
		refuse(p, item.code, item.why ? item.why : adtool_code_string(item.code));
	else if ((got = adtool_dataset_read(s->dataset, &data, &size, &why)) != 0)
		refuse(p, got, why.message);
	else
		ad_buf_add(&p->bytes, data, size);
	if (p->name.failed || p->label.failed || p->bytes.failed || p->why.failed)
		return ad_fail_nomem(err);
	return 1;
}

static void stream_process(void *context, size_t slot, unsigned worker, int alone)
{
	struct stream *s = context;
	struct picture *p = &s->pictures[slot];
	adtool_image *image = NULL;
	adtool_error why = {0};
	float *row = s->rows + slot * s->row_size;
	ad_pool *pool = NULL;
	int code;

	if (p->code)
		return;
	if (s->want_digest)
		ad_sha256_hex(p->bytes.data, p->bytes.size, p->digest);
	code = adtool_image_decode(p->bytes.data, p->bytes.size, s->extractor->max_pixels, &image, &why);
	if (!code) {
		p->width = adtool_image_width(image);
		p->height = adtool_image_height(image);
		if (alone && s->pool && !pthread_mutex_trylock(&s->pool_lock))
			pool = s->pool;
		code = extract_image(s->extractor, &s->scratch[worker], pool, image, row, &why);
		if (pool)
			pthread_mutex_unlock(&s->pool_lock);
	}
	if (!code && s->work)
		code = s->work(s, p, slot, &s->scratch[worker], image, row, &why);
	if (code && refuse(p, code, why.message))
		ad_buf_release(&p->why);
	adtool_image_free(image);
}

static int stream_consume(void *context, size_t slot, adtool_error *err)
{
	struct stream *s = context;
	struct picture *p = &s->pictures[slot];

	/* A picture of unusual size must not hold its memory for the rest of the job. */
	if (p->bytes.capacity > (size_t)32 << 20)
		ad_buf_release(&p->bytes);
	if (p->code == ADTOOL_ENOMEM)
		return ad_fail(err, ADTOOL_ENOMEM, "%s: out of memory", text_of(&p->name));
	return s->emit(s, p, slot, p->code ? NULL : s->rows + slot * s->row_size, err);
}

/* The slots a stream of so many threads has: enough that no worker waits for the reader. */
static size_t stream_slots(unsigned threads)
{
	return (size_t)threads * 2 + 2;
}

static int stream_run(struct stream *s, adtool_error *err)
{
	ad_ordered_job job = {
		.workers = s->threads,
		.slots = stream_slots(s->threads),
		.produce = stream_produce,
		.process = stream_process,
		.consume = stream_consume,
		.context = s,
	};
	const struct extractor *e = s->extractor;
	size_t i;
	int code = 0;

	s->slots = job.slots;
	s->row_size = e->basis ? e->basis->to * cells_of(e) : pooled_size(e);
	s->pictures = ad_calloc(s->slots, sizeof(*s->pictures));
	s->scratch = ad_calloc(s->threads, sizeof(*s->scratch));
	s->rows = ad_malloc_aligned(s->slots * s->row_size, sizeof(float));
	pthread_mutex_init(&s->pool_lock, NULL);
	if (!s->pictures || !s->scratch || !s->rows)
		code = ad_fail_nomem(err);
	if (!code && s->threads > 1)
		code = ad_pool_create(s->threads, &s->pool, err);
	for (i = 0; !code && i < s->threads; i++)
		code = scratch_create(&s->scratch[i], e, err);
	if (!code)
		code = ad_ordered_run(&job, err);
	for (i = 0; s->pictures && i < s->slots; i++) {
		ad_buf_release(&s->pictures[i].name);
		ad_buf_release(&s->pictures[i].label);
		ad_buf_release(&s->pictures[i].why);
		ad_buf_release(&s->pictures[i].bytes);
	}
	for (i = 0; s->scratch && i < s->threads; i++)
		scratch_release(&s->scratch[i]);
	ad_pool_free(s->pool);
	pthread_mutex_destroy(&s->pool_lock);
	ad_free(s->pictures);
	ad_free(s->scratch);
	ad_free_aligned(s->rows);
	return code;
}

static unsigned threads_or_default(unsigned threads)
{
	return threads ? threads : ad_cpu_count();
}

static int check_threads(unsigned threads, adtool_error *err)
{
	return threads > 1024 ? ad_fail(err, ADTOOL_EINVAL, "%u threads; at most 1024 make sense", threads) : 0;
}

/* -- the model as scoring uses it -------------------------------------------------------------------- */

/* Fills detector, basis and limit from info, parts and calibration. */
static int model_assemble(adtool_model *m, adtool_error *err)
{
	const adtool_model_info *info = &m->info;
	const ad_bundle_parts *parts = &m->parts;
	ad_detector *d = &m->detector;
	size_t i, k = info->components;

	memset(d, 0, sizeof(*d));
	d->method = info->method;
	d->dimensions = info->dimensions;
	d->cells = (size_t)info->grid * info->grid;
	d->components = k;
	d->aggregate = info->aggregate;
	d->top = info->top;
	d->noise_variance = info->noise_variance;
	m->opened_variances = ad_malloc_array(k, sizeof(double));
	if (!m->opened_variances)
		return ad_fail_nomem(err);
	d->variances = m->opened_variances;
	/* The detector only reads these; its pointers are not const because a fitted one owns them. */
	if (info->method == ADTOOL_FRE) {
		d->mean32 = (float *)(uintptr_t)parts->mean.data;
		d->rows32 = (float *)(uintptr_t)parts->components.data;
		for (i = 0; i < k; i++)
			d->variances[i] = (double)((const float *)parts->variances.data)[i];
	} else {
		d->mean = (double *)(uintptr_t)parts->mean.data;
		d->rows = (double *)(uintptr_t)parts->components.data;
		if (k)
			memcpy(d->variances, parts->variances.data, k * sizeof(double));
	}
	memset(&m->basis, 0, sizeof(m->basis));
	if (parts->channels.data) {
		m->basis.to = parts->channels.shape[0];
		m->basis.from = parts->channels.shape[1];
		m->basis.basis = (float *)(uintptr_t)parts->channels.data;
		m->basis.mean = (float *)(uintptr_t)parts->channels_mean.data;
	}
	m->limit.rule = info->rule;
	m->limit.alpha = info->alpha;
	m->limit.threshold = info->threshold;
	m->limit.needed = info->normals_needed;
	m->limit.box.g = info->box_g;
	m->limit.box.h = info->box_h;
	m->limit.box.scale = info->box_scale;
	m->limit.box.shift = info->box_shift;
	return 0;
}

static const double *model_calibration(const adtool_model *m)
{
	return m->parts.calibration.data;
}

static int plan_of_onnx(const void *onnx, size_t size, const adtool_model_info *info, ad_plan **out, adtool_error *err)
{
	adtool_backbone *backbone = NULL;
	ad_plan *plan = NULL;
	size_t shape[3];
	int code = ad_backbone_open_view(onnx, size, &backbone, err);

	if (!code)
		code = ad_plan_create(backbone, info->layer, info->width, info->height, NULL, &plan, err);
	adtool_backbone_free(backbone);
	if (!code) {
		ad_plan_output_shape(plan, shape);
		if (shape[0] != info->layer_channels || shape[1] != info->layer_height || shape[2] != info->layer_width)
			code = ad_fail(err, ADTOOL_EFORMAT, "layer %s gives %zu x %zu x %zu where the manifest says %zu x %zu x %zu",
			               info->layer, shape[0], shape[1], shape[2], info->layer_channels,
			               info->layer_height, info->layer_width);
	}
	if (code) {
		ad_plan_free(plan);
		return ad_fail_within(err, code, "backbone.onnx");
	}
	*out = plan;
	return 0;
}

/* The model is shared const between threads; its plan is made by whoever needs it first. */
static int model_plan(const adtool_model *model, const ad_plan **out, adtool_error *err)
{
	adtool_model *m = (adtool_model *)(uintptr_t)model;
	int code = 0;

	pthread_mutex_lock(&m->lock);
	if (!m->plan)
		code = plan_of_onnx(m->parts.onnx, m->parts.onnx_size, &m->info, &m->plan, err);
	*out = m->plan;
	pthread_mutex_unlock(&m->lock);
	return code;
}

static int model_extractor(const adtool_model *m, uint64_t max_pixels, struct extractor *e, adtool_error *err)
{
	const ad_plan *plan;
	int code = model_plan(m, &plan, err);

	if (code)
		return code;
	extractor_init(e, plan, &m->info.preprocessing, m->info.width, m->info.height, m->info.grid, max_pixels);
	if (m->basis.from)
		e->basis = &m->basis;
	return check_grid(e, err);
}

/* Scores one upright picture: the whole flow for one, on the caller's thread. */
static int score_upright(const adtool_model *m, const adtool_image *image, double *score, float *map, adtool_error *err)
{
	const ad_detector *d = &m->detector;
	struct extractor e;
	struct scratch s = {0};
	float *row = ad_malloc_aligned(d->dimensions, sizeof(float));
	void *work = ad_malloc_aligned(ad_detector_scratch(d, 1), 1);
	int code = row && work ? model_extractor(m, 0, &e, err) : ad_fail_nomem(err);

	if (!code)
		code = scratch_create(&s, &e, err);
	if (!code)
		code = extract_image(&e, &s, NULL, image, row, err);
	if (!code)
		ad_detector_score(d, 1, row, score, d->method == ADTOOL_FRE ? map : NULL, work);
	scratch_release(&s);
	ad_free_aligned(row);
	ad_free_aligned(work);
	return code;
}

/* The built-in picture: waves, an edge and seeded noise, so that every part of a net has something to do. */
static int selftest_picture(adtool_image **out, adtool_error *err)
{
	enum { W = 96, H = 80 };
	adtool_image *image;
	ad_rng rng;
	uint8_t *at;
	unsigned x, y, c;
	int code = adtool_image_create(W, H, &image, err);

	if (code)
		return code;
	ad_rng_seed(&rng, 20240229);
	at = adtool_image_pixels(image);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			for (c = 0; c < 3; c++) {
				/* Whole numbers only: the picture is the same everywhere. */
				unsigned wave = (x * (c + 2) + y * (5 - c)) % 64, edge = (x + 2 * y > 130 ? 90 : 20) + 10 * c;

				*at++ = (uint8_t)(edge + 2 * (wave < 32 ? wave : 63 - wave) + ad_rng_below(&rng, 24));
			}
	*out = image;
	return 0;
}

static int selftest_score(const adtool_model *m, double *score, adtool_error *err)
{
	adtool_image *image = NULL;
	int code = selftest_picture(&image, err);

	if (!code)
		code = score_upright(m, image, score, NULL, err);
	adtool_image_free(image);
	return code;
}

static int selftest_compare(double got, double wanted, adtool_error *err)
{
	if (fabs(got - wanted) <= 1e-3 * fabs(wanted))
		return 0;
	return ad_fail(err, ADTOOL_ENUMERIC,
	               "the selftest fails: the built-in picture scores %.9g where it must score %.9g", got, wanted);
}

/* -- opening and saving ------------------------------------------------------------------------------ */

static int model_create(adtool_model **out, adtool_error *err)
{
	adtool_model *m = ad_calloc(1, sizeof(*m));

	if (!m)
		return ad_fail_nomem(err);
	pthread_mutex_init(&m->lock, NULL);
	*out = m;
	return 0;
}

void adtool_model_free(adtool_model *m)
{
	if (!m)
		return;
	ad_plan_free(m->plan);
	pthread_mutex_destroy(&m->lock);
	ad_bundle_free(m->bundle);
	ad_buf_release(&m->onnx);
	ad_detector_release(&m->trained);
	ad_free(m->opened_variances);
	ad_free(m->mean32);
	ad_free(m->variances32);
	ad_free(m->channels);
	ad_free(m->channels_mean);
	ad_free(m->calibration);
	ad_free(m);
}

/* Where a passed selftest is remembered: one empty file a model and CPU. Empty when there is no such place. */
static void selftest_mark(const ad_bundle *bundle, ad_buf *out)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	ad_buf key = {0};
	char digest[17];

	if (cache && *cache == '/')
		ad_buf_printf(out, "%s/adtool", cache);
	else if (home && *home == '/')
		ad_buf_printf(out, "%s/.cache/adtool", home);
	else
		return;
	ad_buf_printf(&key, "%s %s ", adtool_version(), ad_bundle_digest(bundle));
	ad_cpu_identity(&key);
	if (key.failed || out->failed) {
		ad_buf_clear(out);
	} else {
		ad_xxh3_hex(key.data, key.size, digest);
		ad_buf_printf(out, "/selftest-%s", digest);
	}
	ad_buf_release(&key);
}

static int selftest_once(const adtool_model *m, adtool_error *err)
{
	ad_buf mark = {0};
	const char *path;
	double score;
	int code;

	selftest_mark(m->bundle, &mark);
	path = mark.failed ? "" : text_of(&mark);
	if (*path && !access(path, F_OK)) {
		ad_buf_release(&mark);
		return 0;
	}
	code = selftest_score(m, &score, err);
	if (!code)
		code = selftest_compare(score, m->selftest, err);
	if (!code && *path) {
		char *slash = (char *)mark.data + (strrchr(path, '/') - path);

		/* A cache that cannot be written only means testing again next time. */
		*slash = '\0';
		if (!ad_mkdirs(path, NULL)) {
			*slash = '/';
			ad_file_write(path, "", 0, NULL);
		}
	}
	ad_buf_release(&mark);
	return code;
}

static int model_open(const char *path, adtool_model **out, adtool_error *err)
{
	adtool_model *m = NULL;
	int code = model_create(&m, err);

	if (!code)
		code = ad_bundle_open(path, &m->bundle, err);
	if (!code) {
		m->info = *ad_bundle_info(m->bundle);
		m->parts = *ad_bundle_parts_of(m->bundle);
		m->selftest = *(const double *)m->parts.selftest.data;
		code = model_assemble(m, err);
	}
	if (code)
		adtool_model_free(m);
	else
		*out = m;
	return code;
}

int adtool_model_open(const char *path, adtool_model **out, adtool_error *err)
{
	adtool_model *m = NULL;
	int code = model_open(path, &m, err);

	if (!code)
		code = selftest_once(m, err);
	if (code)
		adtool_model_free(m);
	else
		*out = m;
	return code;
}

int adtool_model_check(const char *path, adtool_error *err)
{
	adtool_model *m = NULL;
	double score;
	int code = model_open(path, &m, err);

	if (!code)
		code = ad_bundle_check_sha256(m->bundle, err);
	if (!code)
		code = selftest_score(m, &score, err);
	if (!code)
		code = selftest_compare(score, m->selftest, err);
	adtool_model_free(m);
	return code;
}

int adtool_model_may_save(const char *path, int force, adtool_error *err)
{
	const char *slash = strrchr(path, '/');
	struct stat st;
	char *folder;
	int code = 0;

	if (!lstat(path, &st)) {
		if (S_ISDIR(st.st_mode))
			return ad_fail(err, ADTOOL_EEXIST, "is a folder");
		if (!force && st.st_size && !ad_bundle_is_one(path))
			return ad_fail(err, ADTOOL_EEXIST,
			               "exists and is no adtool model; it is not overwritten without force");
	}
	folder = slash ? ad_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : ad_strdup(".");
	if (!folder)
		return ad_fail_nomem(err);
	if (access(folder, W_OK | X_OK))
		code = ad_fail_errno(err, errno, "cannot write to the folder %s", folder);
	ad_free(folder);
	return code;
}

int adtool_model_save(const adtool_model *m, const char *path, int force, adtool_error *err)
{
	int code = adtool_model_may_save(path, force, err);

	return code ? code : ad_bundle_write(path, &m->info, &m->parts, NULL, err);
}

const adtool_model_info *adtool_model_get_info(const adtool_model *m)
{
	return &m->info;
}

const char *adtool_model_manifest(const adtool_model *m)
{
	return m->bundle ? ad_bundle_manifest(m->bundle) : NULL;
}

const double *adtool_model_calibration(const adtool_model *m, size_t *count)
{
	*count = m->info.calibration_count;
	return model_calibration(m);
}

double adtool_model_p_value(const adtool_model *m, double score)
{
	return ad_p_value(model_calibration(m), m->info.calibration_count, &m->limit, score);
}

int adtool_model_threshold_at(const adtool_model *m, double alpha, double *threshold, enum adtool_rule *rule,
                              adtool_error *err)
{
	ad_limit limit;
	int code = ad_limit_at(model_calibration(m), m->info.calibration_count, &m->limit.box, alpha, &limit, err);

	if (code)
		return code;
	*threshold = limit.threshold;
	*rule = limit.rule;
	return 0;
}

/* -- train ------------------------------------------------------------------------------------------- */

void adtool_train_options_init(adtool_train_options *o)
{
	memset(o, 0, sizeof(*o));
	o->width = o->height = 224;
	o->grid = 7;
	o->method = ADTOOL_FRE;
	o->channels = 128;
	o->energy = 0.97;
	o->components = SIZE_MAX;
	o->aggregate = ADTOOL_TOP;
	o->top = 0.1;
	o->alpha = 0.01;
}

/* A picture found while listing. */
struct entry {
	char *name;
	char *archive; /* NULL: a file of its own */
	size_t place;  /* in the order found */
};

struct list {
	struct entry *entries;
	size_t count, capacity;
	size_t refused;
	uint64_t passed_over;
};

static void list_release(struct list *l)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		ad_free(l->entries[i].name);
		ad_free(l->entries[i].archive);
	}
	ad_free(l->entries);
	memset(l, 0, sizeof(*l));
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->place < y->place ? -1 : 1;
}

static int list_add(struct list *l, const adtool_item *item, adtool_error *err)
{
	struct entry *e;

	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 256;
		struct entry *more = ad_realloc_array(l->entries, capacity, sizeof(*more));

		if (!more)
			return ad_fail_nomem(err);
		l->entries = more;
		l->capacity = capacity;
	}
	e = &l->entries[l->count];
	e->place = l->count;
	e->name = ad_strdup(item->name);
	e->archive = item->archive ? ad_strdup(item->archive) : NULL;
	l->count++;
	return e->name && (e->archive || !item->archive) ? 0 : ad_fail_nomem(err);
}

static int report_progress(const adtool_train_options *o, const char *stage, uint64_t done, uint64_t total,
                           adtool_error *err)
{
	if (o->progress && o->progress(o->context, stage, done, total))
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	return 0;
}

static void report_refused(const adtool_train_options *o, const char *name, int code, const char *text)
{
	adtool_error why;

	ad_fail(&why, code, "%s", text);
	if (o->refused)
		o->refused(o->context, name, &why);
}

/* Names first: how many pictures there are decides how to fit, and their order must not depend on the inputs'. */
static int list_pictures(const char *const *inputs, size_t count, const adtool_dataset_options *dataset_options,
                         const adtool_train_options *o, struct list *l, adtool_error *err)
{
	adtool_dataset *dataset = NULL;
	adtool_item item;
	size_t i, kept = 0;
	int code = adtool_dataset_open(inputs, count, dataset_options, &dataset, err), got = 0;

	while (!code && (got = adtool_dataset_next(dataset, &item, err)) > 0) {
		if (item.code) {
			report_refused(o, item.name, item.code, item.why);
			l->refused++;
			continue;
		}
		code = list_add(l, &item, err);
		if (!code && l->count % 256 == 0)
			code = report_progress(o, "listing", l->count, 0, err);
	}
	if (!code && got < 0)
		code = got;
	if (!code)
		l->passed_over = adtool_dataset_passed_over(dataset);
	adtool_dataset_free(dataset);
	if (code || !l->count)
		return code;
	qsort(l->entries, l->count, sizeof(*l->entries), compare_entries);
	/* The same picture given twice would calibrate on itself. */
	for (i = 0; i < l->count; i++) {
		if (kept && !strcmp(l->entries[kept - 1].name, l->entries[i].name)) {
			ad_free(l->entries[i].name);
			ad_free(l->entries[i].archive);
		} else {
			l->entries[kept++] = l->entries[i];
		}
	}
	l->count = kept;
	return 0;
}

struct trainer {
	const adtool_train_options *options;
	const adtool_dataset_options *dataset_options;
	struct list list;
	unsigned char *sampled;   /* per entry: its whole map is held for the channel basis */
	float **maps;             /* per entry, for the sampled */
	unsigned char *seen;      /* per entry; the reader's */
	unsigned char *used;      /* per entry */
	char (*digests)[65];      /* per entry */
	struct extractor extractor;
	unsigned threads;
	int want_sampled;         /* which pass this is */
	ad_channels basis;
	ad_fitter *fitter;
	size_t done, refused;
};

static int compare_name(const void *key, const void *element)
{
	return strcmp(key, ((const struct entry *)element)->name);
}

static int train_select(struct stream *s, const adtool_item *item, size_t *index)
{
	struct trainer *t = s->context;
	struct entry *e = bsearch(item->name, t->list.entries, t->list.count, sizeof(*e), compare_name);

	if (!e)
		return 0;
	*index = (size_t)(e - t->list.entries);
	if (t->sampled[*index] != t->want_sampled || t->seen[*index])
		return 0;
	t->seen[*index] = 1;
	return 1;
}

static int train_emit(struct stream *s, struct picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct trainer *t = s->context;
	int code = 0;

	(void)slot;
	t->done++;
	if (!row) {
		report_refused(t->options, text_of(&p->name), p->code, text_of(&p->why));
		t->refused++;
	} else if (t->want_sampled) {
		float *copy = ad_malloc_array(s->row_size, sizeof(float));

		if (!copy)
			return ad_fail_nomem(err);
		memcpy(copy, row, s->row_size * sizeof(float));
		t->maps[p->index] = copy;
	} else {
		code = ad_fitter_add(t->fitter, p->index, row, err);
		if (code)
			return ad_fail_within(err, code, "%s", text_of(&p->name));
	}
	if (row) {
		t->used[p->index] = 1;
		memcpy(t->digests[p->index], p->digest, sizeof(p->digest));
	}
	return report_progress(t->options, "features", t->done, t->list.count, err);
}

/* One pass over the pictures whose `sampled` is `want`, in the order of names (members in their archive's). */
static int train_pass(struct trainer *t, int want, adtool_error *err)
{
	struct stream s = {
		.extractor = &t->extractor,
		.threads = t->threads,
		.want_digest = 1,
		.select = train_select,
		.emit = train_emit,
		.context = t,
	};
	const char **inputs = ad_malloc_array(t->list.count, sizeof(*inputs));
	const char *archive = NULL;
	size_t i, n = 0;
	int code = inputs ? 0 : ad_fail_nomem(err);

	for (i = 0; !code && i < t->list.count; i++) {
		const struct entry *e = &t->list.entries[i];

		if (t->sampled[i] != want)
			continue;
		if (!e->archive)
			inputs[n++] = e->name;
		else if (!archive || strcmp(archive, e->archive))
			inputs[n++] = archive = e->archive;
	}
	t->want_sampled = want;
	if (!code && n)
		code = adtool_dataset_open(inputs, n, t->dataset_options, &s.dataset, err);
	if (!code && n)
		code = stream_run(&s, err);
	adtool_dataset_free(s.dataset);
	ad_free(inputs);
	return code;
}

/* Every picture's map is held until the basis is known, so not more than BASIS_PICTURES, chosen by the seed. */
static int choose_sample(struct trainer *t, adtool_error *err)
{
	size_t n = t->list.count, i, *order = ad_malloc_array(n, sizeof(*order));
	ad_rng rng;

	if (!order)
		return ad_fail_nomem(err);
	for (i = 0; i < n; i++)
		order[i] = i;
	ad_rng_seed(&rng, t->options->seed);
	ad_rng_shuffle(&rng, order, n);
	for (i = 0; i < n && i < BASIS_PICTURES; i++)
		t->sampled[order[i]] = 1;
	ad_free(order);
	return 0;
}

static int fit_basis(struct trainer *t, size_t keep, ad_pool *pool, adtool_error *err)
{
	const float **maps = ad_malloc_array(t->list.count, sizeof(*maps));
	size_t i, n = 0;
	int code;

	if (!maps)
		return ad_fail_nomem(err);
	for (i = 0; i < t->list.count; i++)
		if (t->maps[i])
			maps[n++] = t->maps[i];
	if (n < MINIMUM_PICTURES)
		code = ad_fail(err, ADTOOL_EINVAL, "%zu usable pictures; at least %d are needed", n, MINIMUM_PICTURES);
	else
		code = ad_channels_fit(maps, n, t->extractor.shape[0], cells_of(&t->extractor), keep, pool, &t->basis, err);
	ad_free(maps);
	return code;
}

/* Projects the held maps and hands them to the fitter. */
static int add_sampled(struct trainer *t, adtool_error *err)
{
	size_t cells = cells_of(&t->extractor), i;
	float *row = ad_malloc_array(t->basis.to * cells, sizeof(float));
	int code = row ? 0 : ad_fail_nomem(err);

	for (i = 0; !code && i < t->list.count; i++) {
		if (!t->maps[i])
			continue;
		ad_channels_apply(&t->basis, t->maps[i], cells, row);
		ad_free(t->maps[i]);
		t->maps[i] = NULL;
		code = ad_fitter_add(t->fitter, i, row, err);
		if (code)
			code = ad_fail_within(err, code, "%s", t->list.entries[i].name);
	}
	ad_free(row);
	return code;
}

static uint64_t machine_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : (uint64_t)4 << 30;
}

/*
 * The formula of adtool-train(1): per thread, the arena, the input and the map; the plan's weights; the rows of pictures
 * on their way; the maps held for the channel basis and its covariance; the fit.
 */
static uint64_t train_memory(const struct trainer *t, const ad_fit_options *fit, int with_basis)
{
	const struct extractor *e = &t->extractor;
	uint64_t channels = e->shape[0], n = t->list.count, pooled = pooled_size(e) * sizeof(float);
	uint64_t thread = ad_plan_arena_bytes(e->plan) + (uint64_t)12 * e->width * e->height +
	                  channels * e->shape[1] * e->shape[2] * 4 + pooled;
	uint64_t basis = with_basis ? (n < BASIS_PICTURES ? n : BASIS_PICTURES) * pooled +
	                                    ad_channels_memory(channels, cells_of(e))
	                              : 0;

	return t->threads * thread + ad_plan_weight_bytes(e->plan) + stream_slots(t->threads) * pooled + basis +
	       ad_fit_memory(fit, t->threads);
}

static int check_train_options(const adtool_train_options *o, adtool_error *err)
{
	if (o->width < 1 || o->height < 1 || o->width > 4096 || o->height > 4096)
		return ad_fail(err, ADTOOL_EINVAL, "input size %u x %u; each side is 1 to 4096", o->width, o->height);
	if (o->grid < 1 || o->grid > 256)
		return ad_fail(err, ADTOOL_EINVAL, "grid %u; it is 1 to 256", o->grid);
	if (!(o->energy > 0 && o->energy < 1))
		return ad_fail(err, ADTOOL_EINVAL, "energy %g; it lies between 0 and 1", o->energy);
	if (!(o->top > 0 && o->top <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "top fraction %g; it is more than 0 and at most 1", o->top);
	if (!(o->alpha > 0 && o->alpha < 1))
		return ad_fail(err, ADTOOL_EINVAL, "alpha %g; it lies between 0 and 1", o->alpha);
	return check_threads(o->threads, err);
}

#define COPY_TEXT(to, from) snprintf(to, sizeof(to), "%s", (from) ? (from) : "")

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static ad_npy npy_of(int item_size, const void *data, int ndim, size_t a, size_t b)
{
	ad_npy npy = {.item_size = item_size, .ndim = ndim, .shape = {a, b, 1, 1}, .count = a * b, .data = data};

	return npy;
}

/* Parts from what was fitted: exactly what a reader of the bundle will see. Takes over t->basis's memory. */
static int model_fill_parts(adtool_model *m, struct trainer *t, const ad_calibration *calibration, adtool_error *err)
{
	const ad_detector *d = &m->trained;
	ad_bundle_parts *parts = &m->parts;
	size_t i, k = d->components, dimensions = d->dimensions;

	parts->onnx = m->onnx.data;
	parts->onnx_size = m->onnx.size;
	if (t->basis.from) {
		m->channels = t->basis.basis;
		m->channels_mean = t->basis.mean;
		parts->channels = npy_of(4, m->channels, 2, t->basis.to, t->basis.from);
		parts->channels_mean = npy_of(4, m->channels_mean, 1, t->basis.from, 1);
		memset(&t->basis, 0, sizeof(t->basis));
	}
	if (d->method == ADTOOL_FRE) {
		m->variances32 = ad_malloc_array(k, sizeof(float));
		if (!m->variances32)
			return ad_fail_nomem(err);
		for (i = 0; i < k; i++)
			m->variances32[i] = (float)d->variances[i];
		parts->mean = npy_of(4, d->mean32, 1, dimensions, 1);
		parts->components = npy_of(4, d->rows32, 2, k, dimensions);
		parts->variances = npy_of(4, m->variances32, 1, k, 1);
	} else {
		parts->mean = npy_of(8, d->mean, 1, dimensions, 1);
		parts->components = npy_of(8, d->rows, 2, k, dimensions);
		parts->variances = npy_of(8, d->variances, 1, k, 1);
	}
	m->calibration = ad_malloc_array(calibration->n, sizeof(double));
	if (!m->calibration)
		return ad_fail_nomem(err);
	memcpy(m->calibration, calibration->scores, calibration->n * sizeof(double));
	qsort(m->calibration, calibration->n, sizeof(double), compare_doubles);
	parts->calibration = npy_of(8, m->calibration, 1, calibration->n, 1);
	parts->selftest = npy_of(8, &m->selftest, 1, 1, 1);
	return 0;
}

static int model_fill_info(adtool_model *m, const adtool_backbone *backbone, const struct trainer *t,
                           const ad_calibration *calibration, double energy_kept, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	const ad_detector *d = &m->trained;
	adtool_model_info *info = &m->info;
	adtool_backbone_info b;
	ad_buf digests = {0};
	size_t i;
	int code = adtool_backbone_get_info(backbone, &b, err);

	if (code)
		return code;
	info->format_version = AD_BUNDLE_FORMAT;
	COPY_TEXT(info->adtool_version, adtool_version());
	COPY_TEXT(info->backbone_name, b.name);
	COPY_TEXT(info->backbone_sha256, b.sha256);
	COPY_TEXT(info->backbone_licence, b.licence);
	COPY_TEXT(info->backbone_source, b.source);
	info->preprocessing = b.preprocessing;
	info->width = o->width;
	info->height = o->height;
	COPY_TEXT(info->layer, o->layer ? o->layer : ad_backbone_default_layer(backbone));
	info->layer_channels = t->extractor.shape[0];
	info->layer_height = t->extractor.shape[1];
	info->layer_width = t->extractor.shape[2];
	info->method = o->method;
	info->grid = t->extractor.grid;
	info->channels = t->basis.from ? t->basis.to : info->layer_channels;
	info->dimensions = d->dimensions;
	info->components = d->components;
	info->energy = o->method == ADTOOL_FRE && o->components == SIZE_MAX ? o->energy : 0;
	info->energy_kept = energy_kept;
	info->noise_variance = d->noise_variance;
	info->aggregate = o->aggregate;
	info->top = o->top;
	info->seed = o->seed;
	info->calibration = calibration->kind;
	info->folds = calibration->folds;
	info->calibration_count = calibration->n;
	info->pictures_refused = t->refused + t->list.refused;
	for (i = 0; i < t->list.count; i++) {
		if (!t->used[i])
			continue;
		info->pictures_used++;
		ad_buf_puts(&digests, t->digests[i]);
	}
	if (digests.failed)
		code = ad_fail_nomem(err);
	else
		ad_sha256_hex(digests.data, digests.size, info->pictures_digest);
	ad_buf_release(&digests);
	if (!code && calibration->peaks)
		code = ad_quantile(calibration->peaks, calibration->n, 1 - o->alpha, &info->heat_level, err);
	return code;
}

static int model_decide(adtool_model *m, const ad_calibration *calibration, double alpha, adtool_error *err)
{
	adtool_model_info *info = &m->info;
	const ad_detector *d = &m->trained;
	const double *q = calibration->q ? calibration->q : calibration->scores;
	ad_box box;
	ad_limit limit;
	int code = ad_box_fit(q, calibration->n, d->method == ADTOOL_PPCA ? 0.5 : 1, ad_detector_shift(d), &box, err);

	if (!code)
		code = ad_limit_at(m->calibration, calibration->n, &box, alpha, &limit, err);
	if (code)
		return code;
	info->rule = limit.rule;
	info->alpha = alpha;
	info->threshold = limit.threshold;
	info->normals_needed = limit.needed;
	info->box_g = box.g;
	info->box_h = box.h;
	info->box_scale = box.scale;
	info->box_shift = box.shift;
	return 0;
}

struct fit_progress {
	const adtool_train_options *options;
};

static void fit_progress(void *context, size_t done, size_t total)
{
	struct fit_progress *f = context;

	/* A fit is not stopped half-way; the next stage asks again. */
	if (f->options->progress)
		f->options->progress(f->options->context, "fitting", done, total);
}

/* The bundle's graph must give what the whole backbone gives: the selftest through both. */
static int train_selftest(adtool_model *m, const struct trainer *t, adtool_error *err)
{
	const struct extractor *e = &t->extractor;
	adtool_image *image = NULL;
	struct scratch s = {0};
	float *row = ad_malloc_aligned(m->detector.dimensions, sizeof(float));
	void *work = ad_malloc_aligned(ad_detector_scratch(&m->detector, 1), 1);
	double whole;
	int code = row && work ? selftest_picture(&image, err) : ad_fail_nomem(err);

	if (!code)
		code = scratch_create(&s, e, err);
	if (!code) {
		struct extractor projecting = *e;

		projecting.basis = m->basis.from ? &m->basis : NULL;
		code = extract_image(&projecting, &s, NULL, image, row, err);
	}
	if (!code) {
		ad_detector_score(&m->detector, 1, row, &whole, NULL, work);
		code = selftest_score(m, &m->selftest, err);
	}
	if (!code && !isfinite(m->selftest))
		code = ad_fail(err, ADTOOL_ENUMERIC, "the selftest fails: the built-in picture has no finite score");
	if (!code)
		code = selftest_compare(m->selftest, whole, err);
	scratch_release(&s);
	adtool_image_free(image);
	ad_free_aligned(row);
	ad_free_aligned(work);
	return code;
}

static int trainer_allocate(struct trainer *t, adtool_error *err)
{
	size_t n = t->list.count;

	t->sampled = ad_calloc(n, 1);
	t->seen = ad_calloc(n, 1);
	t->used = ad_calloc(n, 1);
	t->maps = ad_calloc(n, sizeof(*t->maps));
	t->digests = ad_calloc(n, sizeof(*t->digests));
	return t->sampled && t->seen && t->used && t->maps && t->digests ? 0 : ad_fail_nomem(err);
}

static void trainer_release(struct trainer *t)
{
	size_t i;

	for (i = 0; t->maps && i < t->list.count; i++)
		ad_free(t->maps[i]);
	ad_free(t->maps);
	ad_free(t->sampled);
	ad_free(t->seen);
	ad_free(t->used);
	ad_free(t->digests);
	ad_channels_release(&t->basis);
	ad_fitter_free(t->fitter);
	list_release(&t->list);
}

int adtool_train(const adtool_backbone *backbone, const char *const *inputs, size_t count,
                 const adtool_dataset_options *dataset_options, const adtool_train_options *o, adtool_model **out,
                 adtool_train_report *report, adtool_error *err)
{
	struct trainer t = {.options = o, .dataset_options = dataset_options};
	struct fit_progress progress = {o};
	adtool_train_report r = {0};
	ad_calibration calibration = {0};
	ad_fit_options fit = {0};
	adtool_backbone_info b;
	adtool_model *m = NULL;
	ad_plan *plan = NULL;
	ad_pool *pool = NULL;
	size_t channels = 0;
	double start = now(), energy_kept = 0;
	uint64_t limit;
	int with_basis, code = check_train_options(o, err);

	if (code)
		return code;
	t.threads = threads_or_default(o->threads);
	limit = o->memory ? o->memory : machine_memory() / 4 * 3;
	code = ad_pool_create(t.threads, &pool, err);
	if (!code)
		code = model_create(&m, err);
	if (!code)
		code = adtool_backbone_get_info(backbone, &b, err);
	if (!code)
		code = ad_plan_create(backbone, o->layer, o->width, o->height, pool, &plan, err);
	if (code)
		goto out;
	extractor_init(&t.extractor, plan, &b.preprocessing, o->width, o->height,
	               o->method == ADTOOL_PPCA ? 1 : o->grid, o->max_pixels);
	code = check_grid(&t.extractor, err);
	if (!code)
		code = list_pictures(inputs, count, dataset_options, o, &t.list, err);
	if (!code && t.list.count < MINIMUM_PICTURES)
		code = ad_fail(err, ADTOOL_EINVAL, "%zu usable picture%s; at least %d are needed", t.list.count,
		               t.list.count == 1 ? "" : "s", MINIMUM_PICTURES);
	if (!code)
		code = trainer_allocate(&t, err);
	if (code)
		goto out;
	r.seconds_list = now() - start;

	channels = t.extractor.shape[0];
	with_basis = o->method == ADTOOL_FRE && o->channels && o->channels < channels;
	if (with_basis)
		channels = o->channels;
	fit.method = o->method;
	fit.pictures = t.list.count;
	fit.cells = cells_of(&t.extractor);
	fit.dimensions = channels * fit.cells;
	fit.energy = o->energy;
	fit.components = o->components;
	fit.aggregate = o->aggregate;
	fit.top = o->top;
	fit.alpha = o->alpha;
	fit.seed = o->seed;
	r.memory_estimate = train_memory(&t, &fit, with_basis);
	if (r.memory_estimate > limit) {
		code = ad_fail(err, ADTOOL_ELIMIT,
		               "%zu pictures need about %llu MiB, more than the limit of %llu MiB; fewer channels, "
		               "a smaller grid or fewer pictures need less",
		               t.list.count, (unsigned long long)(r.memory_estimate >> 20),
		               (unsigned long long)(limit >> 20));
		goto out;
	}

	start = now();
	code = ad_fitter_create(&fit, &t.fitter, err);
	if (!code && with_basis) {
		code = choose_sample(&t, err);
		if (!code)
			code = train_pass(&t, 1, err);
		if (!code)
			code = fit_basis(&t, o->channels, pool, err);
		if (!code)
			code = add_sampled(&t, err);
		t.extractor.basis = &t.basis;
	}
	if (!code)
		code = train_pass(&t, 0, err);
	if (code)
		goto out;
	r.seconds_features = now() - start;
	if (t.list.count - t.refused < MINIMUM_PICTURES) {
		code = ad_fail(err, ADTOOL_EINVAL, "%zu usable picture%s; at least %d are needed", t.list.count - t.refused,
		               t.list.count - t.refused == 1 ? "" : "s", MINIMUM_PICTURES);
		goto out;
	}

	start = now();
	code = ad_fitter_finish(t.fitter, pool, fit_progress, &progress, &m->trained, &energy_kept, &calibration, err);
	if (!code)
		code = ad_backbone_cut(backbone, o->layer, &m->onnx, err);
	if (!code)
		code = model_fill_info(m, backbone, &t, &calibration, energy_kept, err);
	if (!code)
		code = model_fill_parts(m, &t, &calibration, err);
	if (!code)
		code = model_decide(m, &calibration, o->alpha, err);
	if (!code)
		code = model_assemble(m, err);
	if (code)
		goto out;
	r.seconds_fit = now() - start;

	start = now();
	code = train_selftest(m, &t, err);
	r.seconds_selftest = now() - start;
out:
	if (!code) {
		r.pictures_used = m->info.pictures_used;
		r.pictures_refused = m->info.pictures_refused;
		r.passed_over = t.list.passed_over;
		r.arena_bytes = ad_plan_arena_bytes(plan);
		r.threads = t.threads;
		if (report)
			*report = r;
		*out = m;
		m = NULL;
	}
	ad_calibration_release(&calibration);
	trainer_release(&t);
	ad_plan_free(plan);
	ad_pool_free(pool);
	adtool_model_free(m);
	return code;
}

/* -- score ------------------------------------------------------------------------------------------- */

void adtool_score_options_init(adtool_score_options *o)
{
	memset(o, 0, sizeof(*o));
}

struct scored {
	double score;
	ad_buf heatmap, overlay; /* files written */
	adtool_error failed;     /* why one could not be */
};

struct scorer {
	const adtool_model *model;
	const adtool_score_options *options;
	ad_limit limit;
	double threshold;
	struct scored *results; /* per slot */
	float *maps;            /* per slot: cells */
	void **work;            /* per worker */
	struct stream *stream;
	adtool_score_report report;
};

/*
 * DIR/<name>.png: a leading '/' and '.' parts are dropped, '..' parts become '_', so that whatever a list
 * or an archive calls its pictures, the file lies below DIR.
 */
static int map_path(const char *dir, const char *name, ad_buf *out)
{
	ad_buf_clear(out);
	ad_buf_puts(out, dir);
	while (*name) {
		size_t n = strcspn(name, "/");

		if (n == 2 && name[0] == '.' && name[1] == '.') {
			ad_buf_puts(out, "/_");
		} else if (n && !(n == 1 && name[0] == '.')) {
			ad_buf_putc(out, '/');
			ad_buf_add(out, name, n);
		}
		name += n + (name[n] == '/');
	}
	return ad_buf_puts(out, ".png");
}

static int write_map(const char *dir, const char *name, const adtool_image *image, ad_buf *path, adtool_error *err)
{
	char *slash;
	int code;

	if (map_path(dir, name, path))
		return ad_fail_nomem(err);
	slash = strrchr((char *)path->data, '/');
	*slash = '\0';
	code = ad_mkdirs((char *)path->data, err);
	*slash = '/';
	if (!code)
		code = adtool_image_write_png(image, (char *)path->data, err);
	return code ? ad_fail_within(err, code, "%s", text_of(path)) : 0;
}

/* Heat maps of a picture that was scored; a file that cannot be written ends the job, not the picture. */
static int draw_maps(const struct scorer *c, struct scored *result, const struct picture *p, const float *map,
                     const adtool_image *image, adtool_error *err)
{
	const adtool_model_info *info = &c->model->info;
	ad_heat heat = {.map = map, .rows = info->grid, .cols = info->grid, .level = info->heat_level};
	adtool_image *drawn = NULL;
	int code = 0;

	if (c->options->heatmap_dir) {
		code = ad_heat_map(&heat, p->width, p->height, &drawn, err);
		if (!code)
			code = write_map(c->options->heatmap_dir, text_of(&p->name), drawn, &result->heatmap, err);
		adtool_image_free(drawn);
		drawn = NULL;
	}
	if (!code && c->options->overlay_dir) {
		code = ad_heat_overlay(&heat, image, &drawn, err);
		if (!code)
			code = write_map(c->options->overlay_dir, text_of(&p->name), drawn, &result->overlay, err);
		adtool_image_free(drawn);
	}
	return code;
}

static int score_work(struct stream *s, struct picture *p, size_t slot, struct scratch *scratch,
                      const adtool_image *image, float *row, adtool_error *err)
{
	struct scorer *c = s->context;
	const ad_detector *d = &c->model->detector;
	struct scored *result = &c->results[slot];
	float *map = c->maps + slot * d->cells;

	result->failed.code = 0;
	ad_detector_score(d, 1, row, &result->score, d->method == ADTOOL_FRE ? map : NULL,
	                  c->work[scratch - s->scratch]);
	if (!isfinite(result->score))
		return ad_fail(err, ADTOOL_ENUMERIC, "its score is not finite");
	draw_maps(c, result, p, map, image, &result->failed);
	return 0;
}

static int score_emit(struct stream *s, struct picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct scorer *c = s->context;
	const adtool_model *m = c->model;
	const struct scored *result = &c->results[slot];
	adtool_row out = {
		.name = text_of(&p->name),
		.label = text_of(&p->label),
		.verdict = ADTOOL_ERROR,
		.score = NAN,
		.p = NAN,
		.threshold = c->threshold,
	};

	if (row) {
		out.score = result->score;
		out.p = ad_p_value(model_calibration(m), m->info.calibration_count, &c->limit, out.score);
		out.verdict = out.score > c->threshold ? ADTOOL_ANOMALOUS : ADTOOL_NORMAL;
		out.width = p->width;
		out.height = p->height;
		if (m->info.method == ADTOOL_FRE) {
			out.map = c->maps + slot * m->detector.cells;
			out.map_rows = out.map_cols = m->info.grid;
		}
		out.heatmap = c->options->heatmap_dir ? text_of(&result->heatmap) : NULL;
		out.overlay = c->options->overlay_dir ? text_of(&result->overlay) : NULL;
	} else {
		out.code = p->code;
		out.why = text_of(&p->why);
	}
	if (out.verdict == ADTOOL_ERROR)
		c->report.errors++;
	else if (out.verdict == ADTOOL_ANOMALOUS)
		c->report.anomalous++;
	else
		c->report.normal++;
	if (c->options->row && c->options->row(c->options->context, &out))
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	if (row && result->failed.code) {
		if (err)
			*err = result->failed;
		return result->failed.code;
	}
	return 0;
}

int adtool_score(const adtool_model *model, adtool_dataset *dataset, const adtool_score_options *o,
                 adtool_score_report *report, adtool_error *err)
{
	struct scorer c = {.model = model, .options = o, .limit = model->limit, .threshold = model->info.threshold};
	struct stream s = {.dataset = dataset, .work = score_work, .emit = score_emit, .context = &c};
	struct extractor e;
	double start = now();
	size_t slots, i;
	int code = check_threads(o->threads, err);

	if (code)
		return code;
	if (model->info.method == ADTOOL_PPCA && (o->heatmap_dir || o->overlay_dir))
		return ad_fail(err, ADTOOL_EINVAL, "the method ppca has no heat maps; train with fre for those");
	if (o->has_threshold && !isfinite(o->threshold))
		return ad_fail(err, ADTOOL_EINVAL, "the threshold must be a finite number");
	s.threads = threads_or_default(o->threads);
	slots = stream_slots(s.threads);
	if (o->alpha > 0) {
		code = ad_limit_at(model_calibration(model), model->info.calibration_count, &model->limit.box, o->alpha,
		                   &c.limit, err);
		c.threshold = c.limit.threshold;
	}
	if (o->has_threshold)
		c.threshold = o->threshold;
	if (!code)
		code = model_extractor(model, o->max_pixels, &e, err);
	if (code)
		return code;
	s.extractor = &e;
	c.results = ad_calloc(slots, sizeof(*c.results));
	c.maps = ad_calloc(slots * model->detector.cells, sizeof(float));
	c.work = ad_calloc(s.threads, sizeof(*c.work));
	if (!c.results || !c.maps || !c.work)
		code = ad_fail_nomem(err);
	for (i = 0; !code && i < s.threads; i++) {
		c.work[i] = ad_malloc_aligned(ad_detector_scratch(&model->detector, 1), 1);
		if (!c.work[i])
			code = ad_fail_nomem(err);
	}
	if (!code)
		code = stream_run(&s, err);
	c.report.passed_over = adtool_dataset_passed_over(dataset);
	c.report.arena_bytes = ad_plan_arena_bytes(e.plan);
	c.report.threads = s.threads;
	c.report.seconds = now() - start;
	if (report)
		*report = c.report;
	for (i = 0; c.results && i < slots; i++) {
		ad_buf_release(&c.results[i].heatmap);
		ad_buf_release(&c.results[i].overlay);
	}
	for (i = 0; c.work && i < s.threads; i++)
		ad_free_aligned(c.work[i]);
	ad_free(c.results);
	ad_free(c.maps);
	ad_free(c.work);
	return code;
}

int adtool_score_image(const adtool_model *model, const void *data, size_t size, double *score, double *p, float *map,
                       adtool_error *err)
{
	adtool_image *image = NULL;
	double got;
	int code = adtool_image_decode(data, size, 0, &image, err);

	if (!code)
		code = score_upright(model, image, &got, map, err);
	if (!code && !isfinite(got))
		code = ad_fail(err, ADTOOL_ENUMERIC, "its score is not finite");
	if (!code) {
		*score = got;
		if (p)
			*p = adtool_model_p_value(model, got);
	}
	adtool_image_free(image);
	return code;
}

int adtool_map_upsample(const float *map, unsigned rows, unsigned cols, unsigned width, unsigned height, float *out,
                        adtool_error *err)
{
	ad_heat heat = {.map = map, .rows = rows, .cols = cols, .level = 1};

	return ad_heat_upsample(&heat, width, height, out, err);
}

/* -- features ---------------------------------------------------------------------------------------- */

void adtool_features_options_init(adtool_features_options *o)
{
	memset(o, 0, sizeof(*o));
	o->width = o->height = 224;
	o->grid = 1;
}

struct features_job {
	const adtool_features_options *options;
	size_t shape[3];
	uint64_t done;
};

static int features_emit(struct stream *s, struct picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct features_job *job = s->context;
	const adtool_features_options *o = job->options;
	adtool_error why;

	(void)slot;
	job->done++;
	if (!row) {
		ad_fail(&why, p->code, "%s", text_of(&p->why));
		if (o->refused)
			o->refused(o->context, text_of(&p->name), &why);
	} else if (o->features &&
	           o->features(o->context, text_of(&p->name), row, job->shape[0], job->shape[1], job->shape[2])) {
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	}
	if (o->progress && o->progress(o->context, "features", job->done, 0))
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	return 0;
}

int adtool_features(const adtool_backbone *backbone, adtool_dataset *dataset, const adtool_features_options *o,
                    adtool_error *err)
{
	struct features_job job = {.options = o};
	struct stream s = {.dataset = dataset, .emit = features_emit, .context = &job};
	struct extractor e;
	ad_plan *plan = NULL;
	ad_pool *pool = NULL;
	int code = check_threads(o->threads, err);

	if (code)
		return code;
	s.threads = threads_or_default(o->threads);
	s.extractor = &e;
	code = ad_pool_create(s.threads, &pool, err);
	if (!code)
		code = ad_plan_create(backbone, o->layer, o->width, o->height, pool, &plan, err);
	ad_pool_free(pool);
	if (!code) {
		extractor_init(&e, plan, ad_backbone_preprocessing(backbone), o->width, o->height, o->grid, o->max_pixels);
		job.shape[0] = e.shape[0];
		job.shape[1] = o->grid ? o->grid : e.shape[1];
		job.shape[2] = o->grid ? o->grid : e.shape[2];
		code = check_grid(&e, err);
	}
	if (!code)
		code = stream_run(&s, err);
	ad_plan_free(plan);
	return code;
}
