#include "members.h"

#include <math.h>

#include "../base/fail.h"

const char *const ad_member_names[AD_MEMBERS] = {
	"manifest.json", "backbone.onnx",  "mask.png", "ranges.txt", "channels.npy",    "channels_mean.npy", "mean.npy",
	"components.npy", "variances.npy", "calibration.npy", "selftest.npy", "ranges.npy", "stats.npy", "stats.txt",
};

int ad_member_is_npy(enum ad_member m)
{
	return m >= AD_MEMBER_FIRST_NPY && m != AD_MEMBER_STATS_NAMES;
}

ad_npy *ad_member_npy(ad_bundle_parts *parts, enum ad_member m)
{
	switch (m) {
	case AD_MEMBER_CHANNELS:
		return &parts->channels;
	case AD_MEMBER_CHANNELS_MEAN:
		return &parts->channels_mean;
	case AD_MEMBER_MEAN:
		return &parts->mean;
	case AD_MEMBER_COMPONENTS:
		return &parts->components;
	case AD_MEMBER_VARIANCES:
		return &parts->variances;
	case AD_MEMBER_CALIBRATION:
		return &parts->calibration;
	case AD_MEMBER_RANGES:
		return &parts->ranges;
	case AD_MEMBER_STATS:
		return &parts->stats;
	default:
		return &parts->selftest;
	}
}

static ad_npy shaped(int item_size, int ndim, size_t rows, size_t columns)
{
	ad_npy npy = {.item_size = item_size, .ndim = ndim, .shape = {rows, columns, 1, 1}, .count = rows * columns};

	return npy;
}

/*
 * (N, C, g, g), or (N, C, 1, cells) of a mask; N: pictures, or tiles. What no file can hold gets a count that none has.
 */
static ad_npy stats_shape(const adtool_model_info *info)
{
	size_t maps = info->geometry.tile_width ? info->tiles_kept : info->pictures_used;
	size_t rows = info->mask_cells ? 1 : info->grid, cols = info->mask_cells ? info->mask_cells : info->grid;
	ad_npy npy = {.item_size = 4, .ndim = 4, .shape = {maps, info->layer_channels, rows, cols}};

	if (__builtin_mul_overflow(maps, info->layer_channels, &npy.count) ||
	    __builtin_mul_overflow(npy.count, rows, &npy.count) ||
	    __builtin_mul_overflow(npy.count, cols, &npy.count) || npy.count > AD_BUNDLE_MAX_BYTES / 4)
		npy.count = AD_BUNDLE_MAX_BYTES;
	return npy;
}

ad_npy ad_member_expected(const adtool_model_info *info, enum ad_member m)
{
	int item = info->method == ADTOOL_PPCA ? 8 : 4;

	switch (m) {
	case AD_MEMBER_CHANNELS:
		return shaped(4, 2, info->channels, info->layer_channels);
	case AD_MEMBER_CHANNELS_MEAN:
		return shaped(4, 1, info->layer_channels, 1);
	case AD_MEMBER_MEAN:
		return shaped(item, 1, info->dimensions, 1);
	case AD_MEMBER_COMPONENTS:
		return shaped(item, 2, info->components, info->dimensions);
	case AD_MEMBER_VARIANCES:
		return shaped(item, 1, info->components, 1);
	case AD_MEMBER_CALIBRATION:
		return shaped(8, 1, info->calibration_count, 1);
	case AD_MEMBER_RANGES:
		return shaped(4, 2, info->ranges, 2);
	case AD_MEMBER_STATS:
		return stats_shape(info);
	default:
		return shaped(8, 1, 1, 1);
	}
}

int ad_member_needed(const adtool_model_info *info, enum ad_member m)
{
	if (m >= AD_MEMBER_FIRST_LAZY)
		return -1;
	if (m == AD_MEMBER_MASK)
		return info->mask_width > 0;
	if (m == AD_MEMBER_RANGES || m == AD_MEMBER_RANGES_NAMES)
		return info->precision == ADTOOL_INT8;
	if (m != AD_MEMBER_CHANNELS && m != AD_MEMBER_CHANNELS_MEAN)
		return 1;
	if (info->method == ADTOOL_PPCA)
		return 0;
	return info->channels < info->layer_channels ? 1 : -1;
}

/* Above this no size is believed, so that the bytes of a member always fit 64 bits. */
#define MAX_SIZE ((size_t)1 << 28)

#define MAX_RANGES ((size_t)1 << 24)

static int has_alpha(enum adtool_rule rule)
{
	return rule == ADTOOL_RULE_CONFORMAL || rule == ADTOOL_RULE_EXTRAPOLATED || rule == ADTOOL_RULE_TAIL;
}

int ad_info_check(const adtool_model_info *info, int code, adtool_error *err)
{
	const adtool_preprocessing *p = &info->preprocessing;
	size_t cells, dimensions;
	adtool_error why;
	int ppca = info->method == ADTOOL_PPCA, i;

#define REFUSE(...) return ad_fail(err, code, "manifest.json: " __VA_ARGS__)
	if (info->method != ADTOOL_FRE && info->method != ADTOOL_PPCA)
		REFUSE("method.name %d is not known", (int)info->method);
	if (info->precision != ADTOOL_FLOAT32 && info->precision != ADTOOL_INT8 && info->precision != ADTOOL_BF16)
		REFUSE("precision.name %d is not known", (int)info->precision);
	if (info->precision == ADTOOL_INT8 ? info->ranges < 1 || info->ranges > MAX_RANGES : info->ranges != 0)
		REFUSE("precision.ranges is %zu, where int8 has 1 to %zu and others have none", info->ranges,
		       MAX_RANGES);
	if (p->range != 1.0f && p->range != 255.0f)
		REFUSE("preprocessing.range is neither 0..255 nor 0..1");
	for (i = 0; i < 3; i++) {
		if (!isfinite(p->mean[i]) || !isfinite(p->std[i]) || !(p->std[i] > 0))
			REFUSE("preprocessing.mean or .std of channel %d is not finite, or its std is not above 0", i);
	}
	if (info->width < 1 || info->height < 1 || info->width > 65535 || info->height > 65535)
		REFUSE("input of %u x %u is not between 1 x 1 and 65535 x 65535", info->width, info->height);
	if (info->layer_channels < 1 || info->layer_height < 1 || info->layer_width < 1 ||
	    info->layer_channels > MAX_SIZE || info->layer_height > MAX_SIZE || info->layer_width > MAX_SIZE)
		REFUSE("layer of %zu x %zu x %zu is empty or too large", info->layer_channels, info->layer_height,
		       info->layer_width);
	if (ppca ? info->grid != 1
	         : info->grid < 1 || info->grid > info->layer_height || info->grid > info->layer_width)
		REFUSE("method.grid %u does not fit a layer of %zu x %zu%s", info->grid, info->layer_height,
		       info->layer_width, ppca ? " (ppca: 1)" : "");
	if (ppca ? info->channels != info->layer_channels
	         : info->channels < 1 || info->channels > info->layer_channels)
		REFUSE("method.channels %zu does not fit a layer of %zu%s", info->channels, info->layer_channels,
		       ppca ? " (ppca keeps all)" : "");
	if (adtool_geometry_check(&info->geometry, &why))
		REFUSE("geometry: %s", why.message);
	if (!info->mask_width != !info->mask_height)
		REFUSE("geometry.mask_width %u and mask_height %u do not go together", info->mask_width,
		       info->mask_height);
	if (info->mask_cells > (size_t)info->grid * info->grid ||
	    !info->mask_cells != (!info->mask_width || ppca || info->geometry.tile_width))
		REFUSE("geometry.mask_cells %zu does not fit a grid of %u x %u and a mask of %u x %u", info->mask_cells,
		       info->grid, info->grid, info->mask_width, info->mask_height);
	if (info->tiles_kept && (!info->geometry.tile_width || info->tiles_kept < info->pictures_used))
		REFUSE("trained_on.tiles_kept %zu does not fit %zu pictures %s tiles", info->tiles_kept,
		       info->pictures_used, info->geometry.tile_width ? "of" : "without");
	cells = info->mask_cells ? info->mask_cells : (size_t)info->grid * info->grid;
	if (__builtin_mul_overflow(cells, info->channels, &dimensions) || dimensions > MAX_SIZE ||
	    dimensions != info->dimensions)
		REFUSE("method.dimensions is %zu, where channels x cells is %zu x %zu", info->dimensions,
		       info->channels, cells);
	if (info->components > info->dimensions)
		REFUSE("method.components %zu is more than the %zu dimensions", info->components, info->dimensions);
	if (!(info->energy >= 0 && info->energy <= 1) || !(info->energy_kept >= 0 && info->energy_kept < 1.001))
		REFUSE("method.energy %g or energy_kept %g is not between 0 and 1", info->energy, info->energy_kept);
	if (!isfinite(info->noise_variance) || info->noise_variance < 0 || (ppca && info->noise_variance == 0))
		REFUSE("method.noise_variance %g is not %s", info->noise_variance, ppca ? "above 0" : "0 or above");
	if (!(info->top >= 0 && info->top <= 1) || (info->aggregate == ADTOOL_TOP && info->top == 0))
		REFUSE("method.top %g is not a fraction", info->top);
	if (info->calibration_count < 1 || info->calibration_count > MAX_SIZE)
		REFUSE("calibration.count %zu is not between 1 and %zu", info->calibration_count, MAX_SIZE);
	if (!isfinite(info->threshold))
		REFUSE("threshold.value is not finite");
	if (has_alpha(info->rule) ? !(info->alpha > 0 && info->alpha < 1) : info->alpha != 0)
		REFUSE("threshold.alpha %g does not go with the rule", info->alpha);
	if (info->rule == ADTOOL_RULE_TAIL &&
	    (!isfinite(info->tail_start) || !isfinite(info->tail_shape) || !isfinite(info->tail_scale) ||
	     !(info->tail_scale > 0) || info->tail_excesses < 1 || info->tail_excesses > info->calibration_count))
		REFUSE("threshold.tail_start %g, tail_shape %g, tail_scale %g, tail_excesses %zu are no tail",
		       info->tail_start, info->tail_shape, info->tail_scale, info->tail_excesses);
	if (!(info->warn_alpha >= 0 && info->warn_alpha < 1) || !isfinite(info->warn_threshold) ||
	    (info->warn_alpha > 0 && !(info->warn_threshold < info->threshold)))
		REFUSE("threshold.warn_threshold %g of warn_alpha %g is not below the threshold", info->warn_threshold,
		       info->warn_alpha);
	if (!isfinite(info->box_g) || !isfinite(info->box_h) || !isfinite(info->box_shift) ||
	    !isfinite(info->box_scale) || !(info->box_g > 0 && info->box_h > 0 && info->box_scale > 0))
		REFUSE("threshold.box_g %g, box_h %g, box_scale %g, box_shift %g are no limit", info->box_g,
		       info->box_h, info->box_scale, info->box_shift);
	if (!isfinite(info->heat_level) || info->heat_level < 0)
		REFUSE("threshold.heat_level %g is not 0 or above", info->heat_level);
#undef REFUSE
	return 0;
}

/* As many are looked at before it is asked whether one was wild. */
enum { STRETCH = 1024 };

/*
 * Whether a value is infinite or NaN: all bits of its exponent are set, so that one more carries into its sign. Four
 * words at a time: a vector that every machine has.
 */
static int any_wild32(const uint8_t *at)
{
	typedef uint32_t words __attribute__((vector_size(16)));
	words wild = {0};
	int i;

	for (i = 0; i < STRETCH; i += 4) {
		words v;

		memcpy(&v, at + 4 * i, sizeof(v));
		wild |= (v + 0x00800000u) ^ v;
	}
	return ((wild[0] | wild[1] | wild[2] | wild[3]) & 0x80000000u) != 0;
}

static int any_wild64(const uint8_t *at)
{
	typedef uint64_t words __attribute__((vector_size(16)));
	words wild = {0};
	int i;

	for (i = 0; i < STRETCH; i += 2) {
		words v;

		memcpy(&v, at + 8 * i, sizeof(v));
		wild |= (v + 0x0010000000000000u) ^ v;
	}
	return ((wild[0] | wild[1]) & 0x8000000000000000u) != 0;
}

static double value_at(const ad_npy *npy, size_t i)
{
	double wide;
	float narrow;

	if (npy->item_size == 8) {
		memcpy(&wide, (const uint8_t *)npy->data + 8 * i, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, (const uint8_t *)npy->data + 4 * i, sizeof(narrow));
	return (double)narrow;
}

/* The index of the first value that is not finite; count when all are. */
static size_t first_wild(const ad_npy *npy)
{
	const uint8_t *data = npy->data;
	size_t i = 0, item = (size_t)npy->item_size;

	while (npy->count - i >= STRETCH && !(item == 4 ? any_wild32(data + i * item) : any_wild64(data + i * item)))
		i += STRETCH;
	while (i < npy->count && isfinite(value_at(npy, i)))
		i++;
	return i;
}

int ad_ranges_names_check(const char *text, size_t size, int code, adtool_error *err)
{
	const char *name = ad_member_names[AD_MEMBER_RANGES_NAMES];
	size_t lines = 0, length = 0, i;

	for (i = 0; i < size; i++) {
		if (!text[i] || (text[i] == '\n' && !length))
			return ad_fail(err, code, "%s: line %zu %s", name, lines + 1,
				       text[i] ? "is empty" : "has a NUL");
		length = text[i] == '\n' ? 0 : length + 1;
		lines += text[i] == '\n';
	}
	return length ? ad_fail(err, code, "%s: line %zu does not end", name, lines + 1) : 0;
}

static const char *shape_text(const ad_npy *npy, char out[96])
{
	size_t at = 0;
	int i;

	out[at++] = '(';
	for (i = 0; i < npy->ndim; i++)
		at += (size_t)snprintf(out + at, 96 - at, "%s%zu", i ? ", " : "", npy->shape[i]);
	snprintf(out + at, 96 - at, ")");
	return out;
}

int ad_member_check(const adtool_model_info *info, enum ad_member m, const ad_npy *npy, int code, adtool_error *err)
{
	const char *name = ad_member_names[m];
	ad_npy want = ad_member_expected(info, m);
	char shapes[2][96];
	size_t i;

	if (npy->item_size != want.item_size)
		return ad_fail(err, code, "%s: holds float%d where a %s model has float%d", name, 8 * npy->item_size,
		               info->method == ADTOOL_PPCA ? "ppca" : "fre", 8 * want.item_size);
	if (npy->ndim != want.ndim || memcmp(npy->shape, want.shape, sizeof(want.shape)))
		return ad_fail(err, code, "%s: its shape is %s where the manifest asks for %s", name,
		               shape_text(npy, shapes[0]), shape_text(&want, shapes[1]));
	i = first_wild(npy);
	if (i < npy->count)
		return ad_fail(err, code, "%s: value %zu of %zu is %s", name, i, npy->count,
		               isnan(value_at(npy, i)) ? "not a number" : "infinite");
	if (m == AD_MEMBER_VARIANCES) {
		for (i = 0; i < npy->count; i++) {
			double v = value_at(npy, i);

			if (v < 0 || (info->method == ADTOOL_PPCA && v == 0))
				return ad_fail(err, code, "%s: value %zu of %zu is %g", name, i, npy->count, v);
		}
	}
	for (i = 0; m == AD_MEMBER_RANGES && i < npy->count; i++) {
		double v = value_at(npy, i);

		if (i % 2 ? v < 0 : v > 0)
			return ad_fail(err, code, "%s: range %zu of %zu does not hold 0: its %s is %g", name, i / 2,
			               npy->count / 2, i % 2 ? "high" : "low", v);
	}
	if (m == AD_MEMBER_CALIBRATION) {
		for (i = 1; i < npy->count; i++) {
			if (value_at(npy, i) < value_at(npy, i - 1))
				return ad_fail(err, code, "%s: not in ascending order at %zu of %zu", name, i,
				               npy->count);
		}
	}
	return 0;
}
