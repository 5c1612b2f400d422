#include "manifest.h"

#include <limits.h>
#include <math.h>

#include <jansson.h>

#include "../base/fail.h"
#include "../base/json.h"
#include "../base/mem.h"
#include "zipdir.h"

#define MARK "adtool-model"

enum kind {
	STRING,   /* char[size] */
	UNSIGNED, /* unsigned */
	SIZE,     /* size_t */
	DOUBLE,
	FLOATS,   /* float[3] */
	RANGE,    /* float: 255 or 1, as a word */
	WORD,     /* an enum or int, by its index in words */
	SEED      /* uint64_t: decimal text, since many readers of JSON keep only 53 bits of a number */
};

struct field {
	const char *section, *key;
	enum kind kind;
	int optional; /* left out when empty or 0, need not be there */
	size_t offset, size;
	const char *const *words;
};

static const char *const color_words[] = {"rgb", "bgr", NULL};
static const char *const fit_words[] = {
	[ADTOOL_STRETCH] = "stretch", [ADTOOL_LETTERBOX] = "letterbox", [ADTOOL_CROP] = "crop", NULL};
static const char *const roi_words[] = {"pixels", "percent", NULL};
static const char *const precision_words[] = {[ADTOOL_FLOAT32] = "float32", [ADTOOL_INT8] = "int8",
                                              [ADTOOL_BF16] = "bf16", NULL};
static const char *const method_words[] = {[ADTOOL_FRE] = "fre", [ADTOOL_PPCA] = "ppca", NULL};
static const char *const aggregate_words[] = {
	[ADTOOL_TOP] = "top", [ADTOOL_MAX] = "max", [ADTOOL_SUM] = "sum", NULL};
static const char *const components_words[] = {
	[ADTOOL_COMPONENTS_BY_RULE] = "rule", [ADTOOL_COMPONENTS_GIVEN] = "given", NULL};
static const char *const calibration_words[] = {[ADTOOL_CV_FOLDS] = "folds",
                                                [ADTOOL_CV_LEAVE_ONE_OUT] = "leave-one-out",
                                                [ADTOOL_CV_HELD_OUT] = "held-out", NULL};

#define AT(member) offsetof(adtool_model_info, member), sizeof(((adtool_model_info *)0)->member)

/* In the order in which they are written. Fields of a section stand together. */
static const struct field fields[] = {
	{"", "adtool_version", STRING, 0, AT(adtool_version), NULL},
	{"", "created", STRING, 1, AT(created), NULL},
	{"backbone", "name", STRING, 0, AT(backbone_name), NULL},
	{"backbone", "sha256", STRING, 0, AT(backbone_sha256), NULL},
	{"backbone", "licence", STRING, 0, AT(backbone_licence), NULL},
	{"backbone", "source", STRING, 0, AT(backbone_source), NULL},
	{"preprocessing", "color", WORD, 0, AT(preprocessing.bgr), color_words},
	{"preprocessing", "range", RANGE, 0, AT(preprocessing.range), NULL},
	{"preprocessing", "mean", FLOATS, 0, AT(preprocessing.mean), NULL},
	{"preprocessing", "std", FLOATS, 0, AT(preprocessing.std), NULL},
	{"input", "width", UNSIGNED, 0, AT(width), NULL},
	{"input", "height", UNSIGNED, 0, AT(height), NULL},
	{"geometry", "fit", WORD, 1, AT(geometry.fit), fit_words},
	{"geometry", "tile_width", UNSIGNED, 1, AT(geometry.tile_width), NULL},
	{"geometry", "tile_height", UNSIGNED, 1, AT(geometry.tile_height), NULL},
	{"geometry", "tile_overlap", UNSIGNED, 1, AT(geometry.tile_overlap), NULL},
	{"geometry", "roi_x", DOUBLE, 1, AT(geometry.roi_x), NULL},
	{"geometry", "roi_y", DOUBLE, 1, AT(geometry.roi_y), NULL},
	{"geometry", "roi_width", DOUBLE, 1, AT(geometry.roi_width), NULL},
	{"geometry", "roi_height", DOUBLE, 1, AT(geometry.roi_height), NULL},
	{"geometry", "roi_unit", WORD, 1, AT(geometry.roi_percent), roi_words},
	{"geometry", "background", UNSIGNED, 1, AT(geometry.background), NULL},
	{"geometry", "mask_width", UNSIGNED, 1, AT(mask_width), NULL},
	{"geometry", "mask_height", UNSIGNED, 1, AT(mask_height), NULL},
	{"geometry", "mask_cells", SIZE, 1, AT(mask_cells), NULL},
	{"layer", "name", STRING, 0, AT(layer), NULL},
	{"layer", "channels", SIZE, 0, AT(layer_channels), NULL},
	{"layer", "height", SIZE, 0, AT(layer_height), NULL},
	{"layer", "width", SIZE, 0, AT(layer_width), NULL},
	{"tuned", "on", STRING, 1, AT(tuned_on), NULL},
	{"tuned", "ways", STRING, 1, AT(tuned_ways), NULL},
	{"precision", "name", WORD, 1, AT(precision), precision_words},
	{"precision", "ranges", SIZE, 1, AT(ranges), NULL},
	{"method", "name", WORD, 0, AT(method), method_words},
	{"method", "grid", UNSIGNED, 0, AT(grid), NULL},
	{"method", "channels", SIZE, 0, AT(channels), NULL},
	{"method", "dimensions", SIZE, 0, AT(dimensions), NULL},
	{"method", "components", SIZE, 0, AT(components), NULL},
	{"method", "components_by", WORD, 1, AT(components_by), components_words},
	{"method", "components_asked", SIZE, 1, AT(components_asked), NULL},
	{"method", "energy", DOUBLE, 0, AT(energy), NULL},
	{"method", "energy_kept", DOUBLE, 0, AT(energy_kept), NULL},
	{"method", "noise_variance", DOUBLE, 0, AT(noise_variance), NULL},
	{"method", "aggregate", WORD, 0, AT(aggregate), aggregate_words},
	{"method", "top", DOUBLE, 0, AT(top), NULL},
	{"method", "seed", SEED, 0, AT(seed), NULL},
	{"calibration", "kind", WORD, 0, AT(calibration), calibration_words},
	{"calibration", "folds", UNSIGNED, 0, AT(folds), NULL},
	{"calibration", "count", SIZE, 0, AT(calibration_count), NULL},
	{"calibration", "group_by", STRING, 1, AT(group_by), NULL},
	{"calibration", "groups", SIZE, 1, AT(groups), NULL},
	{"threshold", "rule", WORD, 0, AT(rule), ad_rule_words},
	{"threshold", "alpha", DOUBLE, 0, AT(alpha), NULL},
	{"threshold", "value", DOUBLE, 0, AT(threshold), NULL},
	{"threshold", "normals_needed", SIZE, 0, AT(normals_needed), NULL},
	{"threshold", "box_g", DOUBLE, 0, AT(box_g), NULL},
	{"threshold", "box_h", DOUBLE, 0, AT(box_h), NULL},
	{"threshold", "box_scale", DOUBLE, 0, AT(box_scale), NULL},
	{"threshold", "box_shift", DOUBLE, 0, AT(box_shift), NULL},
	{"threshold", "heat_level", DOUBLE, 0, AT(heat_level), NULL},
	{"threshold", "quantile", DOUBLE, 1, AT(quantile), NULL},
	{"threshold", "factor", DOUBLE, 1, AT(factor), NULL},
	{"threshold", "tail_start", DOUBLE, 1, AT(tail_start), NULL},
	{"threshold", "tail_shape", DOUBLE, 1, AT(tail_shape), NULL},
	{"threshold", "tail_scale", DOUBLE, 1, AT(tail_scale), NULL},
	{"threshold", "tail_excesses", SIZE, 1, AT(tail_excesses), NULL},
	{"threshold", "tpr", DOUBLE, 1, AT(tpr), NULL},
	{"threshold", "cost_false_alarm", DOUBLE, 1, AT(cost_false_alarm), NULL},
	{"threshold", "cost_miss", DOUBLE, 1, AT(cost_miss), NULL},
	{"threshold", "labelled_normals", SIZE, 1, AT(labelled_normals), NULL},
	{"threshold", "labelled_anomalies", SIZE, 1, AT(labelled_anomalies), NULL},
	{"threshold", "labelled_digest", STRING, 1, AT(labelled_digest), NULL},
	{"threshold", "warn_alpha", DOUBLE, 1, AT(warn_alpha), NULL},
	{"threshold", "warn_threshold", DOUBLE, 1, AT(warn_threshold), NULL},
	{"trained_on", "pictures", SIZE, 0, AT(pictures_used), NULL},
	{"trained_on", "refused", SIZE, 0, AT(pictures_refused), NULL},
	{"trained_on", "dropped", SIZE, 1, AT(pictures_dropped), NULL},
	{"trained_on", "tiles_kept", SIZE, 1, AT(tiles_kept), NULL},
	{"trained_on", "digest", STRING, 0, AT(pictures_digest), NULL},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* -- writing ----------------------------------------------------------------------------------------- */

/* text may fill its array without a NUL. */
static void put_string(ad_buf *out, const char *text, size_t capacity)
{
	char *copy = ad_strndup(text, capacity);

	if (copy)
		ad_json_string(out, copy);
	else
		out->failed = 1;
	ad_free(copy);
}

static void put_separator(ad_buf *out, int *first, int depth)
{
	ad_buf_printf(out, "%s\n%*s", *first ? "" : ",", 2 * depth, "");
	*first = 0;
}

static int put_value(ad_buf *out, const struct field *f, const void *value, adtool_error *err)
{
	double wide = 0;
	float narrow[3] = {0};
	size_t size = 0;
	uint64_t seed = 0;
	unsigned number = 0, i;
	int finite = 1;

	switch (f->kind) {
	case STRING:
		put_string(out, value, f->size);
		break;
	case UNSIGNED:
		memcpy(&number, value, sizeof(number));
		ad_buf_printf(out, "%u", number);
		break;
	case SIZE:
		memcpy(&size, value, sizeof(size));
		ad_buf_printf(out, "%zu", size);
		break;
	case DOUBLE:
		memcpy(&wide, value, sizeof(wide));
		finite = isfinite(wide);
		ad_buf_double(out, wide);
		break;
	case FLOATS:
		memcpy(narrow, value, sizeof(narrow));
		for (i = 0; i < 3; i++) {
			finite &= isfinite(narrow[i]);
			ad_buf_puts(out, i ? ", " : "[");
			ad_buf_float(out, narrow[i]);
		}
		ad_buf_putc(out, ']');
		break;
	case RANGE:
		memcpy(narrow, value, sizeof(narrow[0]));
		ad_buf_puts(out, narrow[0] == 1.0f ? "\"0..1\"" : "\"0..255\"");
		break;
	case WORD:
		memcpy(&number, value, sizeof(number));
		for (i = 0; f->words[i] && i < number; i++)
			;
		if (!f->words[i])
			return ad_fail(err, ADTOOL_EINVAL, "manifest.json: %s.%s has no word for %u", f->section,
			               f->key, number);
		ad_buf_printf(out, "\"%s\"", f->words[i]);
		break;
	case SEED:
		memcpy(&seed, value, sizeof(seed));
		ad_buf_printf(out, "\"%llu\"", (unsigned long long)seed);
		break;
	}
	if (!finite)
		return ad_fail(err, ADTOOL_EINVAL, "manifest.json: %s.%s is not finite", f->section, f->key);
	return 0;
}

static int is_empty(const struct field *f, const char *value)
{
	size_t i;

	for (i = 0; i < f->size && !value[i] && f->kind != STRING; i++)
		;
	return f->kind == STRING ? !*value : i == f->size;
}

int ad_manifest_write(const adtool_model_info *info, const ad_listed listed[AD_MEMBERS], ad_buf *out, adtool_error *err)
{
	const char *section = "";
	int first = 0, m, code;
	size_t i;

	ad_buf_printf(out, "{\n  \"format\": \"%s\",\n  \"format_version\": %d", MARK, AD_BUNDLE_FORMAT);
	for (i = 0; i < FIELDS; i++) {
		const struct field *f = &fields[i];
		const char *value = (const char *)info + f->offset;

		if (f->optional && is_empty(f, value))
			continue;
		if (strcmp(f->section, section)) {
			if (*section)
				ad_buf_puts(out, "\n  }");
			section = f->section;
			ad_buf_printf(out, ",\n  \"%s\": {", section);
			first = 1;
		}
		put_separator(out, &first, *section ? 2 : 1);
		ad_buf_printf(out, "\"%s\": ", f->key);
		code = put_value(out, f, value, err);
		if (code)
			return code;
	}
	ad_buf_puts(out, "\n  },\n  \"members\": {");
	first = 1;
	for (m = 0; m < AD_MEMBERS; m++) {
		if (!listed[m].present)
			continue;
		put_separator(out, &first, 2);
		ad_buf_printf(out, "\"%s\": {\n      \"size\": %llu,\n", ad_member_names[m],
		              (unsigned long long)listed[m].size);
		ad_buf_printf(out, "      \"xxh3\": \"%s\",\n      \"sha256\": \"%s\"\n    }", listed[m].xxh3,
		              listed[m].sha256);
	}
	ad_buf_puts(out, "\n  }\n}\n");
	return out->failed ? ad_fail_nomem(err) : 0;
}

/* -- reading ----------------------------------------------------------------------------------------- */

static int wrong(adtool_error *err, const struct field *f, const char *what)
{
	const char *dot = *f->section ? "." : "";

	return ad_fail(err, ADTOOL_EFORMAT, "manifest.json: %s%s%s %s", f->section, dot, f->key, what);
}

static int get_size(const json_t *json, uint64_t limit, uint64_t *out)
{
	if (!json_is_integer(json) || json_integer_value(json) < 0 || (uint64_t)json_integer_value(json) > limit)
		return 0;
	*out = (uint64_t)json_integer_value(json);
	return 1;
}

static int get_seed(const char *text, uint64_t *out)
{
	uint64_t value = 0;
	const char *p;

	for (p = text; *p; p++) {
		unsigned digit = (unsigned)*p - '0';

		if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return 0;
	}
	*out = value;
	return p != text;
}

static int get_floats(const json_t *json, float out[3])
{
	size_t i;

	if (json_array_size(json) != 3)
		return 0;
	for (i = 0; i < 3; i++) {
		const json_t *item = json_array_get(json, i);
		double value = json_number_value(item);

		if (!json_is_number(item) || fabs(value) > 3.4e38)
			return 0;
		out[i] = (float)value;
	}
	return 1;
}

static int get_value(const json_t *json, const struct field *f, void *value, adtool_error *err)
{
	const char *text = json_string_value(json);
	uint64_t whole;
	unsigned number;
	double wide;
	float narrow[3];
	char shown[80];

	if ((f->kind == STRING || f->kind == WORD || f->kind == RANGE || f->kind == SEED) && !text)
		return wrong(err, f, "is not a string");
	switch (f->kind) {
	case STRING:
		if (json_string_length(json) >= f->size)
			return ad_fail(err, ADTOOL_EFORMAT, "manifest.json: %s.%s has %zu bytes; at most %zu are read",
			               f->section, f->key, json_string_length(json), f->size - 1);
		memcpy(value, text, json_string_length(json) + 1);
		break;
	case UNSIGNED:
		if (!get_size(json, UINT_MAX, &whole))
			return wrong(err, f, "is not a whole number from 0 to 4294967295");
		number = (unsigned)whole;
		memcpy(value, &number, sizeof(number));
		break;
	case SIZE:
		if (!get_size(json, SIZE_MAX, &whole))
			return wrong(err, f, "is not a whole number from 0 on");
		memcpy(value, &(size_t){(size_t)whole}, sizeof(size_t));
		break;
	case DOUBLE:
		if (!json_is_number(json))
			return wrong(err, f, "is not a number");
		wide = json_number_value(json);
		memcpy(value, &wide, sizeof(wide));
		break;
	case FLOATS:
		if (!get_floats(json, narrow))
			return wrong(err, f, "is not an array of three numbers");
		memcpy(value, narrow, sizeof(narrow));
		break;
	case RANGE:
		narrow[0] = strcmp(text, "0..1") ? 255 : 1;
		if (narrow[0] > 1 && strcmp(text, "0..255"))
			return wrong(err, f, "is neither \"0..255\" nor \"0..1\"");
		memcpy(value, narrow, sizeof(narrow[0]));
		break;
	case WORD:
		for (number = 0; f->words[number] && strcmp(f->words[number], text); number++)
			;
		if (!f->words[number]) {
			ad_printable(text, strlen(text), shown);
			return ad_fail(err, ADTOOL_EUNSUPPORTED, "manifest.json: %s.%s \"%s\" is not known", f->section,
			               f->key, shown);
		}
		memcpy(value, &number, sizeof(number));
		break;
	case SEED:
		if (!get_seed(text, &whole))
			return wrong(err, f, "is not a whole number below 2^64 in decimal digits");
		memcpy(value, &whole, sizeof(whole));
		break;
	}
	return 0;
}

static int is_hex(const char *text, size_t digits)
{
	return text && strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

static int get_listed(const json_t *members, ad_listed listed[AD_MEMBERS], adtool_error *err)
{
	const char *name;
	const json_t *entry;
	char shown[80];
	int m;

	if (!json_is_object(members))
		return ad_fail(err, ADTOOL_EFORMAT, "manifest.json: has no object \"members\"");
	json_object_foreach((json_t *)(uintptr_t)members, name, entry) {
		const char *xxh3 = json_string_value(json_object_get(entry, "xxh3"));
		const char *sha256 = json_string_value(json_object_get(entry, "sha256"));

		for (m = AD_MEMBER_ONNX; m < AD_MEMBERS && strcmp(ad_member_names[m], name); m++)
			;
		if (m == AD_MEMBERS) {
			ad_printable(name, strlen(name), shown);
			return ad_fail(err, ADTOOL_EFORMAT, "manifest.json: lists '%s', which is no member of a model",
			               shown);
		}
		if (!get_size(json_object_get(entry, "size"), AD_BUNDLE_MAX_BYTES, &listed[m].size))
			return ad_fail(err, ADTOOL_EFORMAT, "%s: its size in the manifest is no whole number up to %u",
			               name, AD_BUNDLE_MAX_BYTES);
		if (!is_hex(xxh3, 16) || !is_hex(sha256, 64))
			return ad_fail(err, ADTOOL_EFORMAT,
			               "%s: its digests in the manifest are not 16 and 64 hex digits", name);
		memcpy(listed[m].xxh3, xxh3, 17);
		memcpy(listed[m].sha256, sha256, 65);
		listed[m].present = 1;
	}
	return 0;
}

static json_t *load(const char *text, size_t size, adtool_error *err)
{
	json_error_t why;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	const char *mark = json_string_value(json_object_get(root, "format"));
	char shown[80];

	if (!root) {
		ad_printable(why.text, strlen(why.text), shown);
		ad_fail(err, ADTOOL_EFORMAT, "manifest.json: not valid JSON: line %d: %s", why.line, shown);
	} else if (!mark || strcmp(mark, MARK)) {
		ad_fail(err, ADTOOL_EFORMAT, "manifest.json: not an adtool model's: \"format\" is not \"%s\"", MARK);
		json_decref(root);
		root = NULL;
	}
	return root;
}

int ad_manifest_is_one(const char *text, size_t size)
{
	json_t *root = load(text, size, NULL);

	json_decref(root);
	return root != NULL;
}

int ad_manifest_read(const char *text, size_t size, adtool_model_info *info, ad_listed listed[AD_MEMBERS],
                     adtool_error *err)
{
	json_t *root = load(text, size, err);
	adtool_model_info read = {0};
	uint64_t version;
	size_t i;
	int code = 0;

	if (!root)
		return ADTOOL_EFORMAT;
	memset(listed, 0, AD_MEMBERS * sizeof(*listed));
	if (!get_size(json_object_get(root, "format_version"), INT_MAX, &version) || version == 0) {
		code = ad_fail(err, ADTOOL_EFORMAT, "manifest.json: format_version is not a whole number from 1 on");
		goto out;
	}
	if (version > AD_BUNDLE_FORMAT) {
		code = ad_fail(err, ADTOOL_EUNSUPPORTED,
		               "manifest.json: made by a newer adtool (format %llu, this one reads %d)",
		               (unsigned long long)version, AD_BUNDLE_FORMAT);
		goto out;
	}
	read.format_version = (int)version;
	for (i = 0; i < FIELDS && !code; i++) {
		const struct field *f = &fields[i];
		const json_t *section = *f->section ? json_object_get(root, f->section) : root;
		const json_t *value = json_object_get(section, f->key);

		if (value)
			code = get_value(value, f, (char *)&read + f->offset, err);
		else if (!f->optional)
			code = wrong(err, f, "is missing");
	}
	if (!code)
		code = get_listed(json_object_get(root, "members"), listed, err);
	if (!code)
		*info = read;
out:
	json_decref(root);
	return code;
}
