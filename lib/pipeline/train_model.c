/* A model of what was fitted: exactly what a reader of its bundle will see. */
#include "trainer.h"

#include <math.h>

#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"

#define COPY_TEXT(to, from) snprintf(to, sizeof(to), "%s", (from) ? (from) : "")

static ad_npy npy_of(int item_size, const void *data, int ndim, size_t a, size_t b)
{
	ad_npy npy = {.item_size = item_size, .ndim = ndim, .shape = {a, b, 1, 1}, .count = a * b, .data = data};

	return npy;
}

/* Takes over t->basis's memory. */
static int fill_parts(adtool_model *m, struct trainer *t, const ad_calibration *calibration, adtool_error *err)
{
	const ad_detector *d = &m->trained;
	ad_bundle_parts *parts = &m->parts;
	size_t i, k = d->components, dimensions = d->dimensions;

	parts->onnx = m->onnx.data;
	parts->onnx_size = m->onnx.size;
	if (m->mask_image) {
		int code = ad_png_encode(m->mask_image, &m->mask_file, err);

		if (code)
			return code;
		parts->mask = m->mask_file.data;
		parts->mask_size = m->mask_file.size;
	}
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
	qsort(m->calibration, calibration->n, sizeof(double), ad_compare_doubles);
	parts->calibration = npy_of(8, m->calibration, 1, calibration->n, 1);
	parts->selftest = npy_of(8, &m->selftest, 1, 1, 1);
	if (m->measured.count) {
		parts->ranges = npy_of(4, m->measured.ranges, 2, m->measured.count, 2);
		parts->ranges_names = (const char *)m->measured.names.data;
		parts->ranges_names_size = m->measured.names.size;
	}
	return 0;
}

static int fill_info(adtool_model *m, const adtool_backbone *backbone, const adtool_model *from,
		     const struct trainer *t, const ad_calibration *calibration, double energy_kept, adtool_error *err)
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
	info->components_by = o->components == SIZE_MAX ? ADTOOL_COMPONENTS_BY_RULE : ADTOOL_COMPONENTS_GIVEN;
	info->components_asked = o->components == SIZE_MAX ? 0 : o->components;
	COPY_TEXT(info->adtool_version, adtool_version());
	/* A model's own backbone was cut: whose part it is, the model knows. */
	if (from) {
		b.name = from->info.backbone_name;
		b.sha256 = from->info.backbone_sha256;
		b.licence = from->info.backbone_licence;
		b.source = from->info.backbone_source;
	}
	COPY_TEXT(info->backbone_name, b.name);
	COPY_TEXT(info->backbone_sha256, b.sha256);
	COPY_TEXT(info->backbone_licence, b.licence);
	COPY_TEXT(info->backbone_source, b.source);
	info->preprocessing = b.preprocessing;
	info->width = o->width;
	info->height = o->height;
	info->geometry = o->geometry;
	if (m->mask_image) {
		info->mask_width = adtool_image_width(m->mask_image);
		info->mask_height = adtool_image_height(m->mask_image);
		info->mask_cells = m->cells.count;
	}
	COPY_TEXT(info->layer, o->layer ? o->layer : ad_backbone_default_layer(backbone));
	info->layer_channels = t->extractor.shape[0];
	info->layer_height = t->extractor.shape[1];
	info->layer_width = t->extractor.shape[2];
	info->precision = o->precision;
	info->ranges = m->measured.count;
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
	info->pictures_refused = t->refused - t->dropped_before + t->list.refused;
	info->pictures_dropped = t->dropped + t->dropped_before;
	COPY_TEXT(info->group_by, o->group_by);
	info->groups = t->groups;
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

static int decide(adtool_model *m, const ad_calibration *calibration, double alpha, adtool_error *err)
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

int ad_train_fill_model(adtool_model *m, struct trainer *t, const adtool_backbone *backbone, const adtool_model *from,
			const ad_calibration *calibration, double energy_kept, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	int code = 0;

	if (!from)
		code = ad_backbone_cut(backbone, o->layer, &m->onnx, err);
	else if (ad_buf_add(&m->onnx, from->parts.onnx, from->parts.onnx_size))
		code = ad_fail_nomem(err);
	if (!code)
		code = ad_model_set_look(m, &t->look, &t->cells, err);
	if (!code && t->extractor.look)
		t->extractor.look = &m->look;
	if (!code && t->extractor.cells)
		t->extractor.cells = &m->cells;
	if (!code)
		code = fill_info(m, backbone, from, t, calibration, energy_kept, err);
	if (!code)
		code = fill_parts(m, t, calibration, err);
	if (!code && ad_train_keeps(o))
		code = ad_train_fill_stats(m, t, err);
	if (!code)
		code = decide(m, calibration, o->alpha, err);
	return code ? code : ad_model_assemble(m, err);
}

int ad_train_selftest(adtool_model *m, const struct trainer *t, adtool_error *err)
{
	const struct ad_extractor *e = &t->extractor;
	adtool_image *image = NULL;
	struct ad_scratch s = {0};
	float *row = ad_malloc_aligned(m->detector.dimensions, sizeof(float));
	const float *rows = row;
	void *work = ad_malloc_aligned(ad_detector_scratch(&m->detector, 1), 1);
	double whole;
	int code = row && work ? ad_selftest_picture(&image, err) : ad_fail_nomem(err);

	if (!code)
		code = ad_scratch_create(&s, e, err);
	if (!code) {
		struct ad_extractor projecting = *e;

		projecting.basis = m->basis.from ? &m->basis : NULL;
		projecting.look = NULL;
		projecting.cells = m->cells.index ? &m->cells : NULL;
		code = ad_extract_image(&projecting, &s, NULL, image, row, err);
	}
	if (!code) {
		ad_detector_score(&m->detector, 1, &rows, &whole, NULL, work);
		code = ad_selftest_score(m, &m->selftest, err);
	}
	if (!code && !isfinite(m->selftest))
		code = ad_fail(err, ADTOOL_ENUMERIC, "the selftest fails: the built-in picture has no finite score");
	if (!code)
		code = ad_selftest_compare(&m->info, m->selftest, whole, err);
	ad_scratch_release(&s);
	adtool_image_free(image);
	ad_free_aligned(row);
	ad_free_aligned(work);
	return code;
}
