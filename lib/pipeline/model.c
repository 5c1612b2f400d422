/* Models: assembled, opened, tested, saved. */
#include "pipeline.h"

#include <errno.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/cpu.h"
#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"
#include "../base/rng.h"

int ad_model_assemble(adtool_model *m, adtool_error *err)
{
	const adtool_model_info *info = &m->info;
	const ad_bundle_parts *parts = &m->parts;
	ad_detector *d = &m->detector;
	size_t i, k = info->components;

	memset(d, 0, sizeof(*d));
	d->method = info->method;
	d->dimensions = info->dimensions;
	d->cells = info->mask_cells ? info->mask_cells : (size_t)info->grid * info->grid;
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
	m->limit = ad_limit_of(info);
	return 0;
}

const double *ad_model_calibration(const adtool_model *m)
{
	return m->parts.calibration.data;
}

static int is_tuned_here(const adtool_model_info *info)
{
	char here[ADTOOL_TUNED_ON_SIZE];

	return info->tuned_on[0] && !ad_tuning_here(here, NULL) && !strcmp(here, info->tuned_on);
}

int adtool_model_is_tuned_here(const adtool_model *m)
{
	return is_tuned_here(&m->info);
}

static int plan_of_parts(const ad_bundle_parts *parts, const adtool_model_info *info, ad_pool *pool, ad_plan **out,
			 adtool_error *err)
{
	ad_ranges ranges = {parts->ranges_names, parts->ranges_names_size, parts->ranges.data, info->ranges};
	adtool_backbone *backbone = NULL;
	ad_plan *plan = NULL;
	ad_tuning tuning;
	ad_how how = ad_precision_how(info->precision, &ranges);
	size_t shape[3];
	int code = ad_backbone_open_view(parts->onnx, parts->onnx_size, &backbone, err);

	if (is_tuned_here(info)) {
		memcpy(tuning.on, info->tuned_on, sizeof(tuning.on));
		memcpy(tuning.ways, info->tuned_ways, sizeof(tuning.ways));
		how.tuning = &tuning;
	}
	if (!code)
		code = ad_plan_create_as(backbone, info->layer, info->width, info->height, &how, pool, &plan, err);
	adtool_backbone_free(backbone);
	if (!code) {
		ad_plan_output_shape(plan, 0, shape);
		if (shape[0] != info->layer_channels || shape[1] != info->layer_height || shape[2] != info->layer_width)
			code = ad_fail(err, ADTOOL_EFORMAT,
				       "layer %s gives %zu x %zu x %zu where the manifest says %zu x %zu x %zu",
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

void ad_model_extractor(const adtool_model *m, uint64_t max_pixels, struct ad_extractor *e)
{
	ad_extractor_init(e, NULL, &m->info.preprocessing, m->info.width, m->info.height, m->info.grid, max_pixels);
	e->background = m->info.geometry.background;
	if (m->basis.from)
		e->basis = &m->basis;
	if (!ad_look_is_plain(&m->look))
		e->look = &m->look;
	if (m->cells.index)
		e->cells = &m->cells;
}

/* The model is shared const between threads; its plan is made by whoever needs it first. */
int ad_model_plan(const adtool_model *model, ad_pool *pool, struct ad_extractor *e, adtool_error *err)
{
	adtool_model *m = (adtool_model *)(uintptr_t)model;
	int code = 0;

	pthread_mutex_lock(&m->lock);
	if (!m->plan)
		code = plan_of_parts(&m->parts, &m->info, pool, &m->plan, err);
	pthread_mutex_unlock(&m->lock);
	if (code)
		return code;
	ad_extractor_plan(e, m->plan);
	return ad_extractor_check(e, err);
}

void ad_model_spread(const adtool_model *m, const float *residuals, float *map)
{
	if (m->cells.index)
		ad_cells_spread(&m->cells, residuals, m->info.grid, map);
	else if (m->info.method == ADTOOL_FRE)
		memcpy(map, residuals, m->detector.cells * sizeof(*map));
}

int ad_model_score(const adtool_model *m, const adtool_image *image, int plain, double *score, float *map,
		   adtool_error *err)
{
	const ad_detector *d = &m->detector;
	struct ad_extractor e;
	struct ad_scratch s = {0};
	float *row = ad_malloc_aligned(d->dimensions, sizeof(float)),
	      *kept = ad_malloc_aligned(d->cells, sizeof(float));
	const float *rows = row;
	void *work = ad_malloc_aligned(ad_detector_scratch(d, 1), 1);
	int code;

	ad_model_extractor(m, 0, &e);
	code = row && work && kept ? ad_model_plan(m, NULL, &e, err) : ad_fail_nomem(err);
	if (!code)
		code = ad_scratch_create(&s, &e, err);
	if (!code && plain)
		e.look = NULL;
	if (!code)
		code = ad_extract_image(&e, &s, NULL, image, row, err);
	if (!code)
		ad_detector_score(d, 1, &rows, score, d->method == ADTOOL_FRE ? kept : NULL, work);
	if (!code && map)
		ad_model_spread(m, kept, map);
	ad_scratch_release(&s);
	ad_free_aligned(kept);
	ad_free_aligned(row);
	ad_free_aligned(work);
	return code;
}

int ad_model_set_look(adtool_model *m, struct ad_look *look, struct ad_cells *cells, adtool_error *err)
{
	int code = look->mask ? ad_mask_image(look->mask, &m->mask_image, err) : 0;

	if (code)
		return code;
	m->look = *look;
	m->cells = *cells;
	memset(look, 0, sizeof(*look));
	memset(cells, 0, sizeof(*cells));
	return 0;
}

/* The bundle's geometry and mask. */
static int open_look(adtool_model *m, adtool_error *err)
{
	const adtool_model_info *info = &m->info;
	adtool_image *image = NULL;
	struct ad_look look = {0};
	struct ad_cells cells = {0};
	adtool_error why = {0};
	int code = 0;

	if (m->parts.mask) {
		const char *kind = ad_image_sniff(m->parts.mask, m->parts.mask_size);

		if (kind && !strcmp(kind, "PNG"))
			code = adtool_image_decode(m->parts.mask, m->parts.mask_size,
						   (uint64_t)AD_MASK_SIDE * AD_MASK_SIDE, &image, &why);
		else
			code = ad_fail(&why, ADTOOL_EFORMAT, "is no PNG");
		if (!code &&
		    (adtool_image_width(image) != info->mask_width || adtool_image_height(image) != info->mask_height))
			code = ad_fail(&why, ADTOOL_EFORMAT, "it has %u x %u pixels where the manifest says %u x %u",
				       adtool_image_width(image), adtool_image_height(image), info->mask_width,
				       info->mask_height);
	}
	if (!code)
		code = ad_look_create(&info->geometry, image, &look, &why);
	if (!code && info->method == ADTOOL_FRE)
		code = ad_look_cells(&look, info->width, info->height, info->grid, &cells, &why);
	if (!code && cells.count != info->mask_cells)
		code = ad_fail(&why, ADTOOL_EFORMAT, "it leaves %zu cells where the manifest says %zu", cells.count,
			       info->mask_cells);
	if (!code)
		code = ad_model_set_look(m, &look, &cells, &why);
	adtool_image_free(image);
	ad_look_release(&look);
	ad_cells_release(&cells);
	return code ? ad_fail(err, code == ADTOOL_ENOMEM ? code : ADTOOL_EFORMAT, "mask.png: %s", why.message) : 0;
}

int ad_selftest_picture(adtool_image **out, adtool_error *err)
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
				unsigned wave = (x * (c + 2) + y * (5 - c)) % 64,
					 edge = (x + 2 * y > 130 ? 90 : 20) + 10 * c;

				*at++ = (uint8_t)(edge + 2 * (wave < 32 ? wave : 63 - wave) + ad_rng_below(&rng, 24));
			}
	*out = image;
	return 0;
}

int ad_selftest_score(const adtool_model *m, double *score, adtool_error *err)
{
	adtool_image *image = NULL;
	int code = ad_selftest_picture(&image, err);

	if (!code)
		code = ad_model_score(m, image, 1, score, NULL, err);
	adtool_image_free(image);
	return code;
}

int ad_selftest_compare(const adtool_model_info *info, double got, double wanted, adtool_error *err)
{
	if (fabs(got - wanted) <= (info->precision == ADTOOL_BF16 ? 2e-2 : 1e-3) * fabs(wanted))
		return 0;
	return ad_fail(err, ADTOOL_ENUMERIC,
		       "the selftest fails: the built-in picture scores %.9g where it must score %.9g", got, wanted);
}

int ad_model_create(adtool_model **out, adtool_error *err)
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
	ad_look_release(&m->look);
	ad_cells_release(&m->cells);
	adtool_image_free(m->mask_image);
	ad_buf_release(&m->mask_file);
	ad_free(m->mean32);
	ad_free(m->variances32);
	ad_free(m->channels);
	ad_free(m->channels_mean);
	ad_free(m->calibration);
	ad_measured_release(&m->measured);
	ad_free_aligned(m->stats);
	ad_buf_release(&m->stats_names);
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
	char *path, *slash;
	double score;
	int code;

	selftest_mark(m->bundle, &mark);
	path = mark.size && !mark.failed ? (char *)mark.data : NULL;
	if (path && !access(path, F_OK)) {
		ad_buf_release(&mark);
		return 0;
	}
	code = ad_selftest_score(m, &score, err);
	if (!code)
		code = ad_selftest_compare(&m->info, score, m->selftest, err);
	slash = !code && path ? strrchr(path, '/') : NULL;
	if (slash) {
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
	int code = ad_model_create(&m, err);

	if (!code)
		code = ad_bundle_open(path, &m->bundle, err);
	if (!code) {
		m->info = *ad_bundle_info(m->bundle);
		m->parts = *ad_bundle_parts_of(m->bundle);
		m->selftest = *(const double *)m->parts.selftest.data;
		code = ad_model_assemble(m, err);
	}
	if (!code)
		code = open_look(m, err);
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
		code = ad_selftest_score(m, &score, err);
	if (!code)
		code = ad_selftest_compare(&m->info, score, m->selftest, err);
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
		if (!force && access(path, R_OK) && errno != ENOENT)
			return ad_fail_errno(err, errno,
					     "exists and cannot be read; it is not overwritten without force");
		if (!force && st.st_size && !ad_bundle_is_one(path))
			return ad_fail(err, ADTOOL_EEXIST,
				       "exists and is no adtool model; only --force replaces it");
	}
	folder = slash ? ad_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : ad_strdup(".");
	if (!folder)
		return ad_fail_nomem(err);
	if (!stat(folder, &st) && !S_ISDIR(st.st_mode))
		code = ad_fail_errno(err, ENOTDIR, "cannot write to the folder %s", folder);
	else if (access(folder, W_OK | X_OK))
		code = ad_fail_errno(err, errno, "cannot write to the folder %s", folder);
	ad_free(folder);
	return code;
}

int adtool_model_save(const adtool_model *m, const char *path, int force, adtool_error *err)
{
	int code = adtool_model_may_save(path, force, err);

	ad_bundle_parts parts = m->parts;
	ad_bundle_stats stats = {0};

	/* Of an opened model these are still in its file only. */
	if (!code && m->bundle && ad_bundle_has_stats(m->bundle)) {
		code = ad_bundle_stats_load(m->bundle, &stats, err);
		parts.stats = stats.maps;
		parts.stats_names = stats.names;
		parts.stats_names_size = stats.names_size;
	}
	if (!code)
		code = ad_bundle_write(path, &m->info, &parts, NULL, err);
	ad_bundle_stats_release(&stats);
	return code;
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
	return ad_model_calibration(m);
}

double adtool_model_p_value(const adtool_model *m, double score)
{
	return ad_p_value(ad_model_calibration(m), m->info.calibration_count, &m->limit, score);
}

int adtool_model_threshold_at(const adtool_model *m, double alpha, double *threshold, enum adtool_rule *rule,
			      adtool_error *err)
{
	ad_limit limit;
	int code = ad_limit_at(ad_model_calibration(m), m->info.calibration_count, &m->limit.box, alpha, &limit, err);

	if (code)
		return code;
	*threshold = limit.threshold;
	*rule = limit.rule;
	return 0;
}
