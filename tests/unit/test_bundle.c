/* model.zip: round trips, the same bytes always, and every kind of damage refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <float.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../lib/base/digest.h"
#include "../../lib/base/file.h"
#include "../../lib/base/mem.h"
#include "../../lib/base/rng.h"
#include "../../lib/bundle/bundle.h"
#include "../../lib/bundle/members.h"
#include "skip.h"

static char folder[] = "/tmp/test_bundle.XXXXXX";
static char model[64];

/* -- a small model ----------------------------------------------------------------------------------- */

enum { LAYER_CHANNELS = 5, CHANNELS = 3, GRID = 2, COMPONENTS = 4, COUNT = 21, MAX_VALUES = 128 };

struct sample {
	adtool_model_info info;
	ad_bundle_parts parts;
	char onnx[201];
	float narrow[4][MAX_VALUES];
	double wide[3][MAX_VALUES], calibration[COUNT], selftest;
};

static ad_npy npy(int item_size, int ndim, size_t rows, size_t columns, const void *data)
{
	ad_npy a = {.item_size = item_size, .ndim = ndim, .shape = {rows, columns, 1, 1}, .data = data};

	a.count = rows * columns;
	return a;
}

static void fill_info(adtool_model_info *info)
{
	memset(info, 0, sizeof(*info));
	info->format_version = AD_BUNDLE_FORMAT;
	snprintf(info->adtool_version, sizeof(info->adtool_version), "0.1.0");
	snprintf(info->backbone_name, sizeof(info->backbone_name), "test \"net\" \\ \xc3\xa9\n");
	memset(info->backbone_sha256, 'a', 64);
	snprintf(info->backbone_licence, sizeof(info->backbone_licence), "MIT");
	snprintf(info->backbone_source, sizeof(info->backbone_source), "https://example.org/net");
	info->preprocessing = (adtool_preprocessing){
		.bgr = 1, .range = 255, .mean = {123.675f, 116.28f, 103.53f}, .std = {58.395f, 57.12f, 0.1f}};
	info->width = 224;
	info->height = 64;
	snprintf(info->layer, sizeof(info->layer), "layer3");
	info->layer_channels = LAYER_CHANNELS;
	info->layer_height = 4;
	info->layer_width = 14;
	info->method = ADTOOL_FRE;
	info->grid = GRID;
	info->channels = CHANNELS;
	info->dimensions = CHANNELS * GRID * GRID;
	info->components = COMPONENTS;
	info->energy = 0.97;
	info->energy_kept = 0.1 + 0.2;
	info->aggregate = ADTOOL_TOP;
	info->top = 1.0 / 3;
	info->seed = UINT64_MAX;
	info->calibration = ADTOOL_CV_LEAVE_ONE_OUT;
	info->folds = 21;
	info->calibration_count = COUNT;
	info->rule = ADTOOL_RULE_EXTRAPOLATED;
	info->alpha = 0.01;
	info->threshold = 1234.5678901234567;
	info->normals_needed = 99;
	info->box_g = 5e-324;
	info->box_h = 1.7976931348623157e308;
	info->box_scale = 1;
	info->box_shift = -1e-5;
	info->heat_level = 2;
	info->pictures_used = 21;
	info->pictures_refused = 2;
	memset(info->pictures_digest, '0', 64);
}

/* channels: whether there is a channel PCA (fre). */
static void make_sample(struct sample *s, enum adtool_method method, int channels, size_t components)
{
	ad_rng rng;
	size_t i, k, d;

	memset(s, 0, sizeof(*s));
	fill_info(&s->info);
	ad_rng_seed(&rng, 7);
	for (i = 0; i < MAX_VALUES; i++) {
		for (k = 0; k < 4; k++)
			s->narrow[k][i] = (float)fabs(ad_rng_normal(&rng));
		for (k = 0; k < 3; k++)
			s->wide[k][i] = fabs(ad_rng_normal(&rng));
	}
	for (i = 0; i < sizeof(s->onnx); i++)
		s->onnx[i] = (char)ad_rng_next(&rng);
	for (i = 0; i < COUNT; i++)
		s->calibration[i] = (double)(i / 2) - 3.5;
	s->selftest = 0.1;
	s->info.method = method;
	s->info.components = components;
	if (method == ADTOOL_PPCA) {
		s->info.grid = 1;
		s->info.noise_variance = 0.25;
	}
	if (!channels) {
		s->info.channels = LAYER_CHANNELS;
		s->info.dimensions = (size_t)LAYER_CHANNELS * s->info.grid * s->info.grid;
	}
	d = s->info.dimensions;
	s->parts.onnx = s->onnx;
	s->parts.onnx_size = sizeof(s->onnx);
	if (channels) {
		s->parts.channels = npy(4, 2, CHANNELS, LAYER_CHANNELS, s->narrow[0]);
		s->parts.channels_mean = npy(4, 1, LAYER_CHANNELS, 1, s->narrow[1]);
	}
	if (method == ADTOOL_FRE) {
		s->parts.mean = npy(4, 1, d, 1, s->narrow[2]);
		s->parts.components = npy(4, 2, components, d, s->narrow[3]);
		s->parts.variances = npy(4, 1, components, 1, s->narrow[1]);
	} else {
		s->parts.mean = npy(8, 1, d, 1, s->wide[0]);
		s->parts.components = npy(8, 2, components, d, s->wide[1]);
		s->parts.variances = npy(8, 1, components, 1, s->wide[2]);
	}
	s->parts.calibration = npy(8, 1, COUNT, 1, s->calibration);
	s->parts.selftest = npy(8, 1, 1, 1, &s->selftest);
}

static void write_sample(const struct sample *s)
{
	adtool_error err = {0};

	if (ad_bundle_write(model, &s->info, &s->parts, NULL, &err))
		fail_msg("write: %s", err.message);
}

static void same_npy(const ad_npy *a, const ad_npy *b)
{
	assert_int_equal(!a->data, !b->data);
	if (!a->data)
		return;
	assert_int_equal(a->item_size, b->item_size);
	assert_int_equal(a->ndim, b->ndim);
	assert_memory_equal(a->shape, b->shape, sizeof(a->shape));
	assert_int_equal(a->count, b->count);
	assert_memory_equal(a->data, b->data, a->count * (size_t)a->item_size);
	assert_int_equal((uintptr_t)a->data % 64, 0);
}

static void same_parts(const ad_bundle_parts *a, const ad_bundle_parts *b)
{
	assert_int_equal(a->onnx_size, b->onnx_size);
	assert_memory_equal(a->onnx, b->onnx, a->onnx_size);
	same_npy(&a->channels, &b->channels);
	same_npy(&a->channels_mean, &b->channels_mean);
	same_npy(&a->mean, &b->mean);
	same_npy(&a->components, &b->components);
	same_npy(&a->variances, &b->variances);
	same_npy(&a->calibration, &b->calibration);
	same_npy(&a->selftest, &b->selftest);
}

#define SAME_NUMBER(f) assert_true(a->f == b->f)
#define SAME_STRING(f) assert_string_equal(a->f, b->f)

static void same_info(const adtool_model_info *a, const adtool_model_info *b)
{
	int i;

	SAME_NUMBER(format_version);
	SAME_STRING(adtool_version);
	SAME_STRING(backbone_name);
	SAME_STRING(backbone_sha256);
	SAME_STRING(backbone_licence);
	SAME_STRING(backbone_source);
	SAME_NUMBER(preprocessing.bgr);
	SAME_NUMBER(preprocessing.range);
	for (i = 0; i < 3; i++) {
		SAME_NUMBER(preprocessing.mean[i]);
		SAME_NUMBER(preprocessing.std[i]);
	}
	SAME_NUMBER(width);
	SAME_NUMBER(height);
	SAME_STRING(layer);
	SAME_NUMBER(layer_channels);
	SAME_NUMBER(layer_height);
	SAME_NUMBER(layer_width);
	SAME_NUMBER(method);
	SAME_NUMBER(grid);
	SAME_NUMBER(channels);
	SAME_NUMBER(dimensions);
	SAME_NUMBER(components);
	SAME_NUMBER(energy);
	SAME_NUMBER(energy_kept);
	SAME_NUMBER(noise_variance);
	SAME_NUMBER(aggregate);
	SAME_NUMBER(top);
	SAME_NUMBER(seed);
	SAME_NUMBER(calibration);
	SAME_NUMBER(folds);
	SAME_NUMBER(calibration_count);
	SAME_NUMBER(rule);
	SAME_NUMBER(alpha);
	SAME_NUMBER(threshold);
	SAME_NUMBER(normals_needed);
	SAME_NUMBER(box_g);
	SAME_NUMBER(box_h);
	SAME_NUMBER(box_scale);
	SAME_NUMBER(box_shift);
	SAME_NUMBER(heat_level);
	SAME_NUMBER(pictures_used);
	SAME_NUMBER(pictures_refused);
	SAME_STRING(pictures_digest);
	SAME_STRING(created);
}

/* The model opens and holds what s holds. */
static void expect_opens(const struct sample *s)
{
	ad_bundle *b = NULL;
	adtool_error err = {0};

	if (ad_bundle_open(model, &b, &err))
		fail_msg("open: %s", err.message);
	same_info(ad_bundle_info(b), &s->info);
	same_parts(ad_bundle_parts_of(b), &s->parts);
	ad_bundle_free(b);
}

/* The model is refused with this code, and the message has this text in it. */
static void expect_refused(int code, const char *text)
{
	ad_bundle *b = (ad_bundle *)&model;
	adtool_error err = {0};
	int got = ad_bundle_open(model, &b, &err);

	if (got != code || err.code != code || !strstr(err.message, text))
		fail_msg("code %d with '%s', where %d with '%s' was due", got, err.message, code, text);
	assert_ptr_equal(b, &model);
}

/* -- a zip writer for damaged zip files -------------------------------------------------------------- */

struct entry {
	char name[64], local_name[64];
	ad_buf data;
	int deflated, descriptor, skip;
	uint32_t crc_xor, local_size_xor;
	unsigned flags, method_xor;
	uint64_t claim;       /* unpacked size, when not 0 */
	uint64_t zip64_claim; /* sizes in a zip64 field */
	int32_t shift;        /* of the offset in the directory */
};

struct zip {
	struct entry entries[16];
	size_t n;
	unsigned disk;
	int32_t directory_shift, length_shift;
	unsigned count_shift;
	const char *comment;
};

static void put16(ad_buf *b, unsigned v)
{
	ad_buf_putc(b, (char)(v & 255));
	ad_buf_putc(b, (char)(v >> 8 & 255));
}

static void put32(ad_buf *b, uint32_t v)
{
	put16(b, v & 0xffff);
	put16(b, v >> 16);
}

static uint32_t crc_of(const uint8_t *p, size_t n)
{
	uint32_t crc = ~0u;

	for (; n; n--, p++) {
		crc ^= *p;
		for (int i = 0; i < 8; i++)
			crc = (crc & 1) ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
	}
	return ~crc;
}

/* Deflate's uncompressed blocks: valid for every reader, without a compressor. */
static void deflate_stored(ad_buf *out, const uint8_t *data, size_t size)
{
	do {
		size_t part = size > 50 ? 50 : size;

		ad_buf_putc(out, part == size);
		put16(out, (unsigned)part);
		put16(out, (unsigned)~part & 0xffff);
		ad_buf_add(out, data, part);
		data += part;
		size -= part;
	} while (size);
}

static void build_zip(const struct zip *z, ad_buf *out)
{
	ad_buf directory = {0};
	unsigned count = 0;
	size_t i;

	for (i = 0; i < z->n; i++) {
		const struct entry *e = &z->entries[i];
		ad_buf packed = {0};
		uint32_t crc = crc_of(e->data.data, e->data.size) ^ e->crc_xor, offset = (uint32_t)out->size;
		uint32_t size = e->claim ? (uint32_t)e->claim : (uint32_t)e->data.size, in_file;
		const char *local = e->local_name[0] ? e->local_name : e->name;
		unsigned flags = e->flags | (e->descriptor ? 8 : 0), method = (e->deflated ? 8 : 0) ^ e->method_xor;

		if (e->skip)
			continue;
		count++;
		if (e->deflated)
			deflate_stored(&packed, e->data.data, e->data.size);
		else
			ad_buf_add(&packed, e->data.data, e->data.size);
		in_file = e->claim && !e->deflated ? size : (uint32_t)packed.size;
		if (e->zip64_claim)
			in_file = size = 0xffffffffu;
		put32(out, 0x04034b50);
		put16(out, 20);
		put16(out, flags);
		put16(out, method);
		put32(out, 0x00210000);
		put32(out, e->descriptor ? 0 : crc);
		put32(out, e->descriptor ? 0 : in_file);
		put32(out, e->descriptor ? 0 : size ^ e->local_size_xor);
		put16(out, (unsigned)strlen(local));
		put16(out, 0);
		ad_buf_puts(out, local);
		ad_buf_add(out, packed.data, packed.size);
		if (e->descriptor) {
			put32(out, 0x08074b50);
			put32(out, crc);
			put32(out, in_file);
			put32(out, size);
		}
		put32(&directory, 0x02014b50);
		put16(&directory, 20);
		put16(&directory, 20);
		put16(&directory, flags);
		put16(&directory, method);
		put32(&directory, 0x00210000);
		put32(&directory, crc);
		put32(&directory, in_file);
		put32(&directory, size);
		put16(&directory, (unsigned)strlen(e->name));
		put16(&directory, e->zip64_claim ? 20 : 0);
		put16(&directory, 0);
		put16(&directory, 0);
		put16(&directory, 0);
		put32(&directory, 0);
		put32(&directory, offset + (uint32_t)e->shift);
		ad_buf_puts(&directory, e->name);
		if (e->zip64_claim) {
			put16(&directory, 1);
			put16(&directory, 16);
			for (int twice = 0; twice < 2; twice++) {
				put32(&directory, (uint32_t)e->zip64_claim);
				put32(&directory, (uint32_t)(e->zip64_claim >> 32));
			}
		}
		ad_buf_release(&packed);
	}
	i = out->size;
	ad_buf_add(out, directory.data, directory.size);
	put32(out, 0x06054b50);
	put16(out, z->disk);
	put16(out, z->disk);
	put16(out, count + z->count_shift);
	put16(out, count + z->count_shift);
	put32(out, (uint32_t)directory.size + (uint32_t)z->length_shift);
	put32(out, (uint32_t)i + (uint32_t)z->directory_shift);
	put16(out, z->comment ? (unsigned)strlen(z->comment) : 0);
	ad_buf_puts(out, z->comment ? z->comment : "");
	ad_buf_release(&directory);
}

/* Without syncing, which takes long when it is done thousands of times. */
static void save(const void *bytes, size_t size)
{
	FILE *f = fopen(model, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void save_zip(const struct zip *z)
{
	ad_buf out = {0};

	build_zip(z, &out);
	save(out.data, out.size);
	ad_buf_release(&out);
}

static struct entry *add_entry(struct zip *z, const char *name)
{
	struct entry *e = &z->entries[z->n++];

	assert_true(z->n <= 16);
	snprintf(e->name, sizeof(e->name), "%s", name);
	return e;
}

static struct entry *find_entry(struct zip *z, const char *name)
{
	size_t i;

	for (i = 0; i < z->n; i++) {
		if (!strcmp(z->entries[i].name, name))
			return &z->entries[i];
	}
	fail_msg("no entry %s", name);
	return NULL;
}

static void add_npy(struct zip *z, const char *name, const ad_npy *a)
{
	if (a->data)
		ad_npy_append(&add_entry(z, name)->data, a->item_size, a->ndim, a->shape, a->data);
}

/* The members of s, with the manifest that ad_bundle_write gives them. */
static void start_zip(struct zip *z, const struct sample *s)
{
	ad_bundle *b = NULL;

	memset(z, 0, sizeof(*z));
	write_sample(s);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	ad_buf_puts(&add_entry(z, "manifest.json")->data, ad_bundle_manifest(b));
	ad_bundle_free(b);
	ad_buf_add(&add_entry(z, "backbone.onnx")->data, s->parts.onnx, s->parts.onnx_size);
	add_npy(z, "channels.npy", &s->parts.channels);
	add_npy(z, "channels_mean.npy", &s->parts.channels_mean);
	add_npy(z, "mean.npy", &s->parts.mean);
	add_npy(z, "components.npy", &s->parts.components);
	add_npy(z, "variances.npy", &s->parts.variances);
	add_npy(z, "calibration.npy", &s->parts.calibration);
	add_npy(z, "selftest.npy", &s->parts.selftest);
}

static void release_zip(struct zip *z)
{
	size_t i;

	for (i = 0; i < z->n; i++)
		ad_buf_release(&z->entries[i].data);
	memset(z, 0, sizeof(*z));
}

static void copy_zip(struct zip *to, const struct zip *from)
{
	size_t i;

	*to = *from;
	for (i = 0; i < to->n; i++) {
		memset(&to->entries[i].data, 0, sizeof(to->entries[i].data));
		ad_buf_add(&to->entries[i].data, from->entries[i].data.data, from->entries[i].data.size);
	}
}

/* Replaces the first `from` in the manifest, which must be there. */
static void edit_manifest(struct zip *z, const char *from, const char *to)
{
	ad_buf *text = &find_entry(z, "manifest.json")->data, out = {0};
	char *at = strstr((char *)text->data, from);

	if (!at)
		fail_msg("the manifest has no %s", from);
	ad_buf_add(&out, text->data, (size_t)(at - (char *)text->data));
	ad_buf_puts(&out, to);
	ad_buf_puts(&out, at + strlen(from));
	ad_buf_release(text);
	*text = out;
}

/* Makes the manifest agree with the member as it is now; before: its bytes as they were. */
static void relist(struct zip *z, const char *name, const ad_buf *before)
{
	const ad_buf *now = &find_entry(z, name)->data;
	char from[200], to[200], a[2][65], b[2][65];

	ad_xxh3_hex(before->data, before->size, a[0]);
	ad_xxh3_hex(now->data, now->size, b[0]);
	ad_sha256_hex(before->data, before->size, a[1]);
	ad_sha256_hex(now->data, now->size, b[1]);
	snprintf(from, sizeof(from), "\"%s\": {\n      \"size\": %zu", name, before->size);
	snprintf(to, sizeof(to), "\"%s\": {\n      \"size\": %zu", name, now->size);
	edit_manifest(z, from, to);
	edit_manifest(z, a[0], b[0]);
	edit_manifest(z, a[1], b[1]);
}

/* Gives the member other bytes, listed as they are. */
static void replace_member(struct zip *z, const char *name, const ad_npy *a)
{
	struct entry *e = find_entry(z, name);
	ad_buf before = e->data;

	memset(&e->data, 0, sizeof(e->data));
	ad_npy_append(&e->data, a->item_size, a->ndim, a->shape, a->data);
	relist(z, name, &before);
	ad_buf_release(&before);
}

static void load(ad_buf *out)
{
	assert_int_equal(ad_file_read(model, UINT32_MAX, out, NULL), 0);
}

static unsigned get16(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

/* -- tests ------------------------------------------------------------------------------------------- */

static void round_trip(void **state)
{
	static struct sample s;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
	expect_opens(&s);
	make_sample(&s, ADTOOL_FRE, 0, COMPONENTS);
	s.info.rule = ADTOOL_RULE_CONFORMAL;
	s.info.aggregate = ADTOOL_MAX;
	s.info.calibration = ADTOOL_CV_HELD_OUT;
	s.info.preprocessing.range = 1;
	s.info.preprocessing.bgr = 0;
	snprintf(s.info.created, sizeof(s.info.created), "2024-02-29T12:00:00Z");
	write_sample(&s);
	expect_opens(&s);
	make_sample(&s, ADTOOL_PPCA, 0, COMPONENTS);
	s.info.rule = ADTOOL_RULE_VALUE;
	s.info.alpha = 0;
	s.info.aggregate = ADTOOL_SUM;
	s.info.calibration = ADTOOL_CV_FOLDS;
	write_sample(&s);
	expect_opens(&s);
}

/* What of pictures is looked at; the bytes of the mask are the pipeline's matter. */
static void geometry_round_trip(void **state)
{
	static struct sample s;
	static const char mask[] = "a picture";
	ad_bundle *b = NULL;
	const adtool_model_info *got;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	s.info.geometry = (adtool_geometry){.fit = ADTOOL_CROP, .roi_x = 0.1, .roi_y = 33.25, .roi_width = 1.0 / 3,
					    .roi_height = 50, .roi_percent = 1};
	s.info.mask_width = 4096;
	s.info.mask_height = 3;
	s.info.mask_cells = 3;
	s.info.dimensions = (size_t)CHANNELS * 3;
	s.parts.mean = npy(4, 1, s.info.dimensions, 1, s.narrow[2]);
	s.parts.components = npy(4, 2, COMPONENTS, s.info.dimensions, s.narrow[3]);
	s.parts.mask = mask;
	s.parts.mask_size = sizeof(mask);
	write_sample(&s);
	expect_opens(&s);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	got = ad_bundle_info(b);
	assert_memory_equal(&got->geometry, &s.info.geometry, sizeof(got->geometry));
	assert_int_equal(got->mask_width, 4096);
	assert_int_equal(got->mask_height, 3);
	assert_int_equal(got->mask_cells, 3);
	assert_int_equal(ad_bundle_parts_of(b)->mask_size, sizeof(mask));
	assert_memory_equal(ad_bundle_parts_of(b)->mask, mask, sizeof(mask));
	ad_bundle_free(b);
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	s.info.geometry = (adtool_geometry){.tile_width = 4096, .tile_height = 1};
	write_sample(&s);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	assert_memory_equal(&ad_bundle_info(b)->geometry, &s.info.geometry, sizeof(s.info.geometry));
	ad_bundle_free(b);
}

static void no_components(void **state)
{
	static struct sample s;
	ad_bundle *b = NULL;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, 0);
	write_sample(&s);
	expect_opens(&s);
	/* The caller may have nothing at all for what is empty. */
	memset(&s.parts.components, 0, sizeof(s.parts.components));
	memset(&s.parts.variances, 0, sizeof(s.parts.variances));
	write_sample(&s);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	assert_int_equal(ad_bundle_parts_of(b)->components.count, 0);
	assert_int_equal(ad_bundle_parts_of(b)->components.shape[1], s.info.dimensions);
	assert_non_null(ad_bundle_parts_of(b)->components.data);
	ad_bundle_free(b);
}

/* A channel PCA that keeps all channels is a rotation: unusual, and right. */
static void all_channels_rotated(void **state)
{
	static struct sample s;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 0, COMPONENTS);
	s.parts.channels = npy(4, 2, LAYER_CHANNELS, LAYER_CHANNELS, s.narrow[0]);
	s.parts.channels_mean = npy(4, 1, LAYER_CHANNELS, 1, s.narrow[1]);
	write_sample(&s);
	expect_opens(&s);
}

static void numbers_round_trip(void **state)
{
	static struct sample s;
	ad_rng rng;
	int i, k;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	ad_rng_seed(&rng, 3);
	for (i = 0; i < 50; i++) {
		uint64_t bits;
		double d;
		float f;

		do {
			bits = ad_rng_next(&rng);
			memcpy(&d, &bits, sizeof(d));
		} while (!isfinite(d));
		s.info.threshold = d;
		s.info.box_shift = (double)(int64_t)ad_rng_next(&rng);
		s.info.energy = ad_rng_double(&rng);
		s.info.seed = ad_rng_next(&rng);
		for (k = 0; k < 3; k++) {
			do {
				bits = ad_rng_next(&rng);
				memcpy(&f, &bits, sizeof(f));
			} while (!isfinite(f) || f == 0);
			s.info.preprocessing.mean[k] = f;
			s.info.preprocessing.std[k] = fabsf(f);
		}
		write_sample(&s);
		expect_opens(&s);
	}
}

static void manifest_text(void **state)
{
	static const char expected[] =
		"{\n"
		"  \"format\": \"adtool-model\",\n"
		"  \"format_version\": 1,\n"
		"  \"adtool_version\": \"0.1.0\",\n"
		"  \"backbone\": {\n"
		"    \"name\": \"test \\\"net\\\" \\\\ \xc3\xa9\\n\",\n"
		"    \"sha256\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\n"
		"    \"licence\": \"MIT\",\n"
		"    \"source\": \"https://example.org/net\"\n"
		"  },\n"
		"  \"preprocessing\": {\n"
		"    \"color\": \"bgr\",\n"
		"    \"range\": \"0..255\",\n"
		"    \"mean\": [123.675, 116.28, 103.53],\n"
		"    \"std\": [58.395, 57.12, 0.1]\n"
		"  },\n"
		"  \"input\": {\n"
		"    \"width\": 224,\n"
		"    \"height\": 64\n"
		"  },\n"
		"  \"layer\": {\n"
		"    \"name\": \"layer3\",\n"
		"    \"channels\": 5,\n"
		"    \"height\": 4,\n"
		"    \"width\": 14\n"
		"  },\n"
		"  \"method\": {\n"
		"    \"name\": \"fre\",\n"
		"    \"grid\": 2,\n"
		"    \"channels\": 3,\n"
		"    \"dimensions\": 12,\n"
		"    \"components\": 4,\n"
		"    \"energy\": 0.97,\n"
		"    \"energy_kept\": 0.30000000000000004,\n"
		"    \"noise_variance\": 0,\n"
		"    \"aggregate\": \"top\",\n"
		"    \"top\": 0.3333333333333333,\n"
		"    \"seed\": \"18446744073709551615\"\n"
		"  },\n"
		"  \"calibration\": {\n"
		"    \"kind\": \"leave-one-out\",\n"
		"    \"folds\": 21,\n"
		"    \"count\": 21\n"
		"  },\n"
		"  \"threshold\": {\n"
		"    \"rule\": \"extrapolated\",\n"
		"    \"alpha\": 0.01,\n"
		"    \"value\": 1234.5678901234567,\n"
		"    \"normals_needed\": 99,\n"
		"    \"box_g\": 4.94065645841247e-324,\n"
		"    \"box_h\": 1.7976931348623157e+308,\n"
		"    \"box_scale\": 1,\n"
		"    \"box_shift\": -1e-05,\n"
		"    \"heat_level\": 2\n"
		"  },\n"
		"  \"trained_on\": {\n"
		"    \"pictures\": 21,\n"
		"    \"refused\": 2,\n"
		"    \"digest\": \"0000000000000000000000000000000000000000000000000000000000000000\"\n"
		"  },\n"
		"  \"members\": {\n"
		"    \"backbone.onnx\": {\n"
		"      \"size\": 201,\n";
	static struct sample s;
	char digest[65], line[100];
	const char *text;
	ad_bundle *b = NULL;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	text = ad_bundle_manifest(b);
	assert_true(strlen(text) > sizeof(expected));
	assert_memory_equal(text, expected, sizeof(expected) - 1);
	ad_xxh3_hex(s.onnx, sizeof(s.onnx), digest);
	snprintf(line, sizeof(line), "      \"xxh3\": \"%s\",\n", digest);
	assert_non_null(strstr(text, line));
	ad_sha256_hex(s.onnx, sizeof(s.onnx), digest);
	snprintf(line, sizeof(line), "      \"sha256\": \"%s\"\n", digest);
	assert_non_null(strstr(text, line));
	ad_xxh3_hex(text, strlen(text), digest);
	assert_string_equal(ad_bundle_digest(b), digest);
	ad_bundle_free(b);
}

static void strings_not_utf8(void **state)
{
	static struct sample s;
	ad_bundle *b = NULL;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	snprintf(s.info.backbone_name, sizeof(s.info.backbone_name),
	         "a\xff z\xc3 \xed\xa0\x80 \xf0\x9f\x98\x80\x1b[0m");
	write_sample(&s);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	assert_string_equal(ad_bundle_info(b)->backbone_name,
	                    "a\xef\xbf\xbd z\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80\x1b[0m");
	assert_null(strchr(ad_bundle_manifest(b), '\x1b'));
	ad_bundle_free(b);
}

static void same_bytes(void **state)
{
	static const char *const zones[] = {"UTC0", "XXX-14", "YYY+11:30", "CET-1CEST,M3.5.0,M10.5.0/3"};
	static struct sample s;
	ad_buf first = {0}, again = {0};
	uint64_t size = 0;
	size_t i;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	assert_int_equal(ad_bundle_write(model, &s.info, &s.parts, &size, NULL), 0);
	load(&first);
	assert_int_equal(first.size, size);
	for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		setenv("TZ", zones[i], 1);
		tzset();
		write_sample(&s);
		ad_buf_clear(&again);
		load(&again);
		assert_int_equal(again.size, first.size);
		assert_memory_equal(again.data, first.data, first.size);
	}
	/* 1980-01-01 00:00:00: time 0, date 0-1-1. */
	assert_int_equal(get32(first.data + 10), 0x00210000);
	setenv("SOURCE_DATE_EPOCH", "1709210096", 1); /* 2024-02-29 12:34:56 UTC */
	write_sample(&s);
	ad_buf_clear(&again);
	load(&again);
	assert_int_equal(get16(again.data + 10), 12 << 11 | 34 << 5 | 56 / 2);
	assert_int_equal(get16(again.data + 12), 44 << 9 | 2 << 5 | 29);
	setenv("SOURCE_DATE_EPOCH", "99999999999999", 1);
	write_sample(&s);
	ad_buf_clear(&again);
	load(&again);
	assert_int_equal(get32(again.data + 10), 0xff9fbf7d); /* 2107-12-31 23:59:58 */
	setenv("SOURCE_DATE_EPOCH", "yesterday", 1);
	assert_int_equal(ad_bundle_write(model, &s.info, &s.parts, NULL, NULL), ADTOOL_EINVAL);
	unsetenv("SOURCE_DATE_EPOCH");
	unsetenv("TZ");
	tzset();
	ad_buf_release(&first);
	ad_buf_release(&again);
}

/* The local headers, in the order of the file, read apart from the library. */
struct local {
	size_t header, data, end;
	char name[64];
};

static size_t read_locals(const ad_buf *file, struct local out[16])
{
	size_t n = 0, at = 0;

	while (get32(file->data + at) == 0x04034b50) {
		struct local *l = &out[n++];

		assert_true(n <= 16);
		l->header = at;
		snprintf(l->name, sizeof(l->name), "%.*s", (int)get16(file->data + at + 26), file->data + at + 30);
		l->data = at + 30 + get16(file->data + at + 26) + get16(file->data + at + 28);
		l->end = l->data + get32(file->data + at + 18);
		at = l->end;
	}
	return n;
}

static void layout(void **state)
{
	static const char *const names[] = {"manifest.json", "backbone.onnx", "channels.npy", "channels_mean.npy",
	                                    "mean.npy", "components.npy", "variances.npy", "calibration.npy",
	                                    "selftest.npy"};
	static struct sample s;
	struct local locals[16];
	ad_buf file = {0};
	size_t i;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
	load(&file);
	assert_int_equal(read_locals(&file, locals), 9);
	for (i = 0; i < 9; i++) {
		assert_string_equal(locals[i].name, names[i]);
		assert_int_equal(get16(file.data + locals[i].header + 8), 0); /* stored */
		assert_int_equal(locals[i].data % 64, 0);
	}
	ad_buf_release(&file);
}

/* Bytes of a file as adtool writes it that no reader needs; every other byte must be vouched for. */
static void mark_harmless(const ad_buf *file, uint8_t *harmless)
{
	struct local locals[16];
	size_t n = read_locals(file, locals), i, at = locals[n - 1].end;

	for (i = 0; i < n; i++) {
		size_t h = locals[i].header, name = get16(file->data + h + 26);

		memset(harmless + h + 4, 1, 2);   /* version needed */
		memset(harmless + h + 10, 1, 4);  /* time, date */
		memset(harmless + h + 30 + name, 1, get16(file->data + h + 28)); /* padding */
		memset(harmless + at + 4, 1, 4);  /* version made by, version needed */
		memset(harmless + at + 12, 1, 4); /* time, date */
		memset(harmless + at + 36, 1, 6); /* attributes */
		at += 46 + name + get16(file->data + at + 30);
	}
	assert_int_equal(at + 22, file->size);
}

static void flip(size_t at, uint8_t value)
{
	FILE *f = fopen(model, "r+b");

	assert_non_null(f);
	fseek(f, (long)at, SEEK_SET);
	fputc(value, f);
	fclose(f);
}

static void flipped_bytes(void **state)
{
	static const enum adtool_method methods[] = {ADTOOL_FRE, ADTOOL_PPCA};
	static struct sample s;
	size_t at, harmful, opened;
	int k, m;

	(void)state;
	for (m = 0; m < 2; m++) {
		struct local locals[16];
		ad_buf file = {0};
		uint8_t *harmless;
		size_t n, i;

		make_sample(&s, methods[m], methods[m] == ADTOOL_FRE, COMPONENTS);
		write_sample(&s);
		load(&file);
		harmless = ad_calloc(file.size, 1);
		mark_harmless(&file, harmless);
		n = read_locals(&file, locals);
		for (at = harmful = opened = 0; at < file.size; at++) {
			for (k = 0; k < 2; k++) {
				adtool_error err = {0};
				ad_bundle *b = NULL;
				int code;

				flip(at, (uint8_t)(file.data[at] ^ (k ? 0xffu : 1u << at % 8)));
				code = ad_bundle_open(model, &b, &err);
				if (code == 0) {
					if (!harmless[at])
						fail_msg("byte %zu (%02x) flipped and not noticed", at, file.data[at]);
					same_info(ad_bundle_info(b), &s.info);
					same_parts(ad_bundle_parts_of(b), &s.parts);
					ad_bundle_free(b);
					opened++;
					continue;
				}
				harmful++;
				assert_true(code < 0 && err.code == code && err.message[0]);
				for (i = 0; i < n; i++) {
					if (at < locals[i].data || at >= locals[i].end)
						continue;
					if (!strstr(err.message, locals[i].name))
						fail_msg("byte %zu of %s: '%s'", at, locals[i].name, err.message);
				}
			}
			flip(at, file.data[at]);
		}
		expect_opens(&s);
		assert_true(harmful > 2 * opened);
		ad_free(harmless);
		ad_buf_release(&file);
	}
}

static void truncations(void **state)
{
	static struct sample s;
	struct stat st;
	off_t at;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
	assert_int_equal(stat(model, &st), 0);
	for (at = st.st_size - 1; at >= 0; at--) {
		ad_bundle *b = NULL;

		assert_int_equal(truncate(model, at), 0);
		assert_int_equal(ad_bundle_open(model, &b, NULL), ADTOOL_EFORMAT);
	}
	expect_refused(ADTOOL_EFORMAT, "not a model: it is no zip file");
	write_sample(&s);
	assert_int_equal(truncate(model, st.st_size - 1), 0);
	expect_refused(ADTOOL_EFORMAT, "cut short");
}

/* Whatever is done to the bytes, the answer is one result or one error. */
static void random_damage(void **state)
{
	static struct sample s;
	ad_buf file = {0};
	ad_rng rng;
	int i;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
	load(&file);
	ad_rng_seed(&rng, 11);
	for (i = 0; i < 3000; i++) {
		uint8_t *copy = ad_malloc(file.size);
		size_t size = file.size, from, to, n, k, edits = 1 + ad_rng_below(&rng, 4);
		adtool_error err = {0};
		ad_bundle *b = NULL;
		int code;

		memcpy(copy, file.data, size);
		for (k = 0; k < edits; k++) {
			n = 1 + ad_rng_below(&rng, 40);
			from = ad_rng_below(&rng, size - n);
			/* Most of the structure stands at the end. */
			to = ad_rng_below(&rng, 2) ? size - n - ad_rng_below(&rng, 700) : ad_rng_below(&rng, size - n);
			if (ad_rng_below(&rng, 2))
				memmove(copy + to, copy + from, n);
			else
				memset(copy + to, ad_rng_below(&rng, 2) ? 0xff : 0, n % 9);
		}
		save(copy, size);
		code = ad_bundle_open(model, &b, &err);
		if (code)
			assert_true(code < 0 && err.code == code && err.message[0]);
		else
			same_parts(ad_bundle_parts_of(b), &s.parts);
		ad_bundle_free(b);
		ad_bundle_is_one(model);
		ad_free(copy);
	}
	ad_buf_release(&file);
}

static void rebuilt(void **state)
{
	static struct sample s;
	struct zip z;
	size_t i;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	/* By another writer: no padding, so values do not lie aligned. */
	start_zip(&z, &s);
	save_zip(&z);
	expect_opens(&s);
	/* Any order, a comment, sizes behind the data. */
	z.comment = "a comment PK\x05\x06 of someone";
	for (i = 0; i < z.n / 2; i++) {
		struct entry e = z.entries[i];

		z.entries[i] = z.entries[z.n - 1 - i];
		z.entries[z.n - 1 - i] = e;
		z.entries[i].descriptor = 1;
	}
	save_zip(&z);
	expect_opens(&s);
	/* Deflated, all and some. */
	for (i = 0; i < z.n; i++)
		z.entries[i].deflated = 1;
	save_zip(&z);
	expect_opens(&s);
	assert_int_equal(ad_bundle_is_one(model), 1);
	for (i = 0; i < z.n; i += 2)
		z.entries[i].deflated = 0;
	save_zip(&z);
	expect_opens(&s);
	release_zip(&z);
}

static void rezipped_by_zip(void **state)
{
	static struct sample s;
	char command[600];

	(void)state;
	if (system("command -v zip >/dev/null && command -v unzip >/dev/null"))
		SKIP("no zip and unzip here");
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
	snprintf(command, sizeof(command),
	         "cd %s && unzip -tqq model.zip && mkdir x && cd x && unzip -q ../model.zip && "
	         "rm ../model.zip && zip -q9 ../model.zip * && cd .. && rm -r x", folder);
	assert_int_equal(system(command), 0);
	expect_opens(&s);
	assert_int_equal(ad_bundle_is_one(model), 1);
}

static void deflated_and_damaged(void **state)
{
	static struct sample s;
	struct zip z;
	struct entry *e;
	ad_buf file = {0};
	size_t i;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	start_zip(&z, &s);
	e = find_entry(&z, "mean.npy");
	e->deflated = 1;
	e->crc_xor = 1;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy");
	e->crc_xor = 0;
	/* It unpacks to more than it says, and the manifest says the same. */
	e->claim = e->data.size - 4;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy");
	e->claim = e->data.size + 4;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy");
	e->claim = 3000000000u;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy");
	e->claim = 0;
	e = find_entry(&z, "backbone.onnx");
	e->deflated = 1;
	e->claim = 1000000000;
	edit_manifest(&z, "\"size\": 201", "\"size\": 1000000000");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "backbone.onnx: claims 1000000000 bytes");
	e->claim = 250;
	edit_manifest(&z, "\"size\": 1000000000", "\"size\": 250");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "backbone.onnx");
	e->claim = 150;
	edit_manifest(&z, "\"size\": 250", "\"size\": 150");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "backbone.onnx");
	edit_manifest(&z, "\"size\": 150", "\"size\": 201");
	e->claim = 0;
	find_entry(&z, "manifest.json")->deflated = 1;
	save_zip(&z);
	expect_opens(&s);
	load(&file);
	for (i = 0; i < file.size; i += 3) {
		ad_bundle *b = NULL;

		flip(i, (uint8_t)~file.data[i]);
		if (!ad_bundle_open(model, &b, NULL))
			same_parts(ad_bundle_parts_of(b), &s.parts);
		ad_bundle_free(b);
		flip(i, file.data[i]);
	}
	ad_buf_release(&file);
	release_zip(&z);
}

static void wrong_members(void **state)
{
	static struct sample s;
	static const char *const strangers[] = {"../evil", "/etc/passwd", "mean.npy/", "MEAN.NPY", "extra.npy",
	                                        "a\\..\\b", "\x1b[31mred", ""};
	struct zip z;
	struct entry *e;
	size_t i, n;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	start_zip(&z, &s);
	for (i = 0; i < z.n; i++) {
		z.entries[i].skip = 1;
		save_zip(&z);
		expect_refused(ADTOOL_EFORMAT, z.entries[i].name);
		z.entries[i].skip = 0;
	}
	n = z.n;
	for (i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		e = add_entry(&z, strangers[i]);
		save_zip(&z);
		expect_refused(ADTOOL_EFORMAT, strangers[i][0] == '\x1b' ? "'\\x1b[31mred'" : strangers[i]);
		assert_ptr_equal(e, &z.entries[n]);
		memset(e, 0, sizeof(*e));
		z.n = n;
	}
	e = add_entry(&z, "mean.npy");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy: is in the zip file twice");
	memset(e, 0, sizeof(*e));
	z.n = n;
	/* The header and the directory tell two names. */
	snprintf(find_entry(&z, "mean.npy")->local_name, 64, "../a.npy");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy");
	find_entry(&z, "mean.npy")->local_name[0] = '\0';
	edit_manifest(&z, "\"mean.npy\": {", "\"../a.npy\": {");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "../a.npy");
	edit_manifest(&z, "\"../a.npy\": {", "\"mean.npy\": {");
	find_entry(&z, "channels.npy")->skip = 1;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "channels.npy: is missing");
	release_zip(&z);

	/* What ppca does not have, and what there is only in pairs. */
	make_sample(&s, ADTOOL_PPCA, 0, COMPONENTS);
	start_zip(&z, &s);
	add_npy(&z, "channels.npy", &s.parts.mean);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "channels.npy: a ppca model has no such member");
	release_zip(&z);
	make_sample(&s, ADTOOL_FRE, 0, COMPONENTS);
	start_zip(&z, &s);
	add_npy(&z, "channels_mean.npy", &s.parts.mean);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "channels_mean.npy: is not in the manifest");
	release_zip(&z);
}

static void wrong_sizes(void **state)
{
	static struct sample s;
	struct zip z;
	struct entry *e;
	ad_npy a;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	start_zip(&z, &s);
	ad_buf_putc(&find_entry(&z, "selftest.npy")->data, 0);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "selftest.npy: has 137 bytes where the manifest says 136");
	find_entry(&z, "selftest.npy")->data.size--;
	edit_manifest(&z, "\"size\": 136", "\"size\": -136");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "selftest.npy");
	edit_manifest(&z, "\"size\": -136", "\"size\": 136.0");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "selftest.npy");
	edit_manifest(&z, "\"size\": 136.0", "\"size\": 136");

	/* 10 GB: in the zip file, in the manifest, in a .npy header. */
	e = find_entry(&z, "backbone.onnx");
	e->zip64_claim = 10000000000;
	save_zip(&z);
	expect_refused(ADTOOL_ELIMIT, "backbone.onnx: claims 10000000000 bytes");
	e->zip64_claim = 0;
	e->claim = 4294967294u;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "backbone.onnx: claims 4294967294 bytes");
	e->claim = 0;
	edit_manifest(&z, "\"size\": 201", "\"size\": 10000000000");
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "backbone.onnx");
	edit_manifest(&z, "\"size\": 10000000000", "\"size\": 201");
	a = npy(4, 2, 1, 1, s.narrow[0]);
	e = find_entry(&z, "components.npy");
	replace_member(&z, "components.npy", &a);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "components.npy");
	release_zip(&z);

	/* Shapes: of the right number of values, but not the right shape; the other way round; the other type. */
	start_zip(&z, &s);
	a = npy(4, 2, s.info.dimensions, COMPONENTS, s.narrow[3]);
	replace_member(&z, "components.npy", &a);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "components.npy: its shape");
	a = npy(4, 1, s.info.dimensions * COMPONENTS, 1, s.narrow[3]);
	replace_member(&z, "components.npy", &a);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "components.npy: its shape");
	a = npy(8, 2, COMPONENTS / 2, s.info.dimensions, s.wide[0]);
	replace_member(&z, "components.npy", &a);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "components.npy: holds float64");
	release_zip(&z);
	start_zip(&z, &s);
	a = npy(4, 1, s.info.dimensions - 1, 1, s.narrow[2]);
	replace_member(&z, "mean.npy", &a);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy");
	release_zip(&z);
	/* Right in the manifest and in the zip file, and no .npy at all. */
	start_zip(&z, &s);
	e = find_entry(&z, "mean.npy");
	{
		ad_buf before = {0};

		ad_buf_add(&before, e->data.data, e->data.size);
		memset(e->data.data, 'x', e->data.size);
		relist(&z, "mean.npy", &before);
		ad_buf_release(&before);
	}
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy: not a .npy file");
	release_zip(&z);
}

/* Wherever the value stands; the largest and the smallest finite ones are none. */
static void one_wild_value_among_many(void **state)
{
	enum { MOST = 2 * 1024 + 7 };
	static const size_t counts[] = {1, 1023, 1024, 1025, MOST};
	const float finite[] = {FLT_MAX, -FLT_MAX, FLT_TRUE_MIN, -FLT_TRUE_MIN, -0.0f, 1};
	const float bad[] = {NAN, INFINITY, -INFINITY};
	static float narrow[MOST];
	static double wide[MOST];
	adtool_model_info info = {.method = ADTOOL_FRE};
	char said[64];

	(void)state;
	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		size_t n = counts[c];
		ad_npy narrows = npy(4, 1, n, 1, narrow), wides = npy(8, 2, 1, n, wide);

		for (size_t i = 0; i < n; i++) {
			narrow[i] = finite[i % 6];
			wide[i] = i % 2 ? DBL_MAX : -DBL_TRUE_MIN;
		}
		info.dimensions = n;
		info.components = 1;
		for (size_t i = 0; i <= n; i++) {
			float was_narrow = narrow[i % n];
			double was_wide = wide[i % n];
			adtool_error err = {0};

			if (i < n) {
				narrow[i] = bad[i % 3];
				wide[i] = (double)bad[i % 3];
			}
			snprintf(said, sizeof(said), ".npy: value %zu of %zu is %s", i, n,
				 i % 3 ? "infinite" : "not a number");
			info.method = ADTOOL_FRE;
			assert_int_equal(ad_member_check(&info, AD_MEMBER_MEAN, &narrows, ADTOOL_EFORMAT, &err),
					 i < n ? ADTOOL_EFORMAT : 0);
			assert_true(i == n || strstr(err.message, said));
			info.method = ADTOOL_PPCA;
			assert_int_equal(ad_member_check(&info, AD_MEMBER_COMPONENTS, &wides, ADTOOL_EFORMAT, &err),
					 i < n ? ADTOOL_EFORMAT : 0);
			assert_true(i == n || strstr(err.message, said));
			narrow[i % n] = was_narrow;
			wide[i % n] = was_wide;
		}
	}
}

static void wild_values(void **state)
{
	static const char *const names[] = {"channels.npy", "channels_mean.npy", "mean.npy", "components.npy",
	                                    "variances.npy", "calibration.npy", "selftest.npy"};
	static struct sample s;
	ad_npy *parts[] = {&s.parts.channels,  &s.parts.channels_mean, &s.parts.mean,    &s.parts.components,
	                   &s.parts.variances, &s.parts.calibration,   &s.parts.selftest};
	const double bad[] = {NAN, INFINITY, -INFINITY};
	enum adtool_method method;
	struct zip whole, z;
	size_t p, i, k;

	(void)state;
	for (method = ADTOOL_FRE; method <= ADTOOL_PPCA; method++) {
		make_sample(&s, method, method == ADTOOL_FRE, COMPONENTS);
		start_zip(&whole, &s);
		for (p = 0; p < 7; p++) {
			if (!parts[p]->data)
				continue;
			for (i = 0; i < parts[p]->count; i++) {
				for (k = 0; k < 3; k++) {
					double wide[MAX_VALUES];
					float narrow[MAX_VALUES];
					ad_npy a = *parts[p];

					if (a.item_size == 8) {
						memcpy(wide, a.data, a.count * 8);
						wide[i] = bad[k];
						a.data = wide;
					} else {
						memcpy(narrow, a.data, a.count * 4);
						narrow[i] = (float)bad[k];
						a.data = narrow;
					}
					copy_zip(&z, &whole);
					replace_member(&z, names[p], &a);
					save_zip(&z);
					expect_refused(ADTOOL_EFORMAT, names[p]);
					release_zip(&z);
				}
			}
		}
		release_zip(&whole);
	}
	/* Finite, and yet no model's. */
	start_zip(&z, &s);
	s.calibration[7] = 1e9;
	replace_member(&z, "calibration.npy", &s.parts.calibration);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "calibration.npy: not in ascending order");
	release_zip(&z);
	make_sample(&s, ADTOOL_PPCA, 0, COMPONENTS);
	start_zip(&z, &s);
	s.wide[2][3] = 0;
	replace_member(&z, "variances.npy", &s.parts.variances);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "variances.npy: value 3 of 4 is 0");
	release_zip(&z);
}

static void manifest_values(void **state)
{
	static const struct {
		const char *from, *to, *text;
		int code;
	} edits[] = {
		{"\"format_version\": 1", "\"format_version\": 2",
	         "made by a newer adtool (format 2, this one reads 1)", ADTOOL_EUNSUPPORTED},
		{"\"format_version\": 1", "\"format_version\": 0", "format_version", ADTOOL_EFORMAT},
		{"\"format_version\": 1", "\"format_version\": \"1\"", "format_version", ADTOOL_EFORMAT},
		{"\"format\": \"adtool-model\"", "\"format\": \"other\"", "not an adtool model", ADTOOL_EFORMAT},
		{"\"grid\": 2,", "\"grid\": 2, \"grid\": 2,", "duplicate object key", ADTOOL_EFORMAT},
		{"\"grid\": 2,", "", "method.grid is missing", ADTOOL_EFORMAT},
		{"\"grid\": 2,", "\"grid\": 3,", "method.dimensions", ADTOOL_EFORMAT},
		{"\"grid\": 2,", "\"grid\": 5,", "method.grid", ADTOOL_EFORMAT},
		{"\"grid\": 2,", "\"grid\": 4294967296,", "method.grid", ADTOOL_EFORMAT},
		{"\"grid\": 2,", "\"grid\": 2.0,", "method.grid", ADTOOL_EFORMAT},
		{"\"grid\": 2,", "\"grid\": 99999999999999999999,", "not valid JSON", ADTOOL_EFORMAT},
		{"\"channels\": 5,", "\"channels\": 2,", "method.channels", ADTOOL_EFORMAT},
		{"\"channels\": 5,", "\"channels\": 9223372036854775807,", "layer of", ADTOOL_EFORMAT},
		{"\"channels\": 3,", "\"channels\": 0,", "method.channels", ADTOOL_EFORMAT},
		{"\"components\": 4", "\"components\": 13", "method.components", ADTOOL_EFORMAT},
		{"\"components\": 4", "\"components\": 5", "components.npy", ADTOOL_EFORMAT},
		{"\"name\": \"fre\"", "\"name\": \"pca\"", "method.name \"pca\" is not known", ADTOOL_EUNSUPPORTED},
		{"\"color\": \"bgr\"", "\"color\": 1", "preprocessing.color", ADTOOL_EFORMAT},
		{"\"range\": \"0..255\"", "\"range\": \"0..2\"", "preprocessing.range", ADTOOL_EFORMAT},
		{"[58.395, 57.12, 0.1]", "[58.395, 57.12, 0]", "preprocessing", ADTOOL_EFORMAT},
		{"[58.395, 57.12, 0.1]", "[58.395, 57.12]", "preprocessing.std", ADTOOL_EFORMAT},
		{"[58.395, 57.12, 0.1]", "[58.395, 57.12, 1e39]", "preprocessing.std", ADTOOL_EFORMAT},
		{"\"value\": 1234.5678901234567", "\"value\": 1e999", "not valid JSON", ADTOOL_EFORMAT},
		{"\"value\": 1234.5678901234567", "\"value\": NaN", "not valid JSON", ADTOOL_EFORMAT},
		{"\"value\": 1234.5678901234567", "\"value\": null", "threshold.value", ADTOOL_EFORMAT},
		{"\"alpha\": 0.01", "\"alpha\": 0", "threshold.alpha", ADTOOL_EFORMAT},
		{"\"box_h\": 1.7976931348623157e+308", "\"box_h\": 0", "threshold.box", ADTOOL_EFORMAT},
		{"\"heat_level\": 2", "\"heat_level\": -2", "threshold.heat_level", ADTOOL_EFORMAT},
		{"\"count\": 21", "\"count\": 22", "calibration.npy", ADTOOL_EFORMAT},
		{"\"count\": 21", "\"count\": 0", "calibration.count", ADTOOL_EFORMAT},
		{"\"seed\": \"18446744073709551615\"", "\"seed\": \"18446744073709551616\"", "method.seed",
	         ADTOOL_EFORMAT},
		{"\"seed\": \"18446744073709551615\"", "\"seed\": \"\"", "method.seed", ADTOOL_EFORMAT},
		{"\"seed\": \"18446744073709551615\"", "\"seed\": 5", "method.seed", ADTOOL_EFORMAT},
		{"\"width\": 224", "\"width\": 65536", "input", ADTOOL_EFORMAT},
		{"\"input\": {", "\"input\": [{}], \"output\": {", "input.width is missing", ADTOOL_EFORMAT},
#define GEOMETRY(text) "\"input\": {", "\"geometry\": {" text "}, \"input\": {"
		{GEOMETRY("\"fit\": \"fill\""), "geometry.fit \"fill\" is not known", ADTOOL_EUNSUPPORTED},
		{GEOMETRY("\"fit\": 1"), "geometry.fit", ADTOOL_EFORMAT},
		{GEOMETRY("\"tile_width\": 8"), "geometry: tiles of 8 x 0", ADTOOL_EFORMAT},
		{GEOMETRY("\"tile_width\": 4097, \"tile_height\": 8"), "geometry: tiles of 4097 x 8", ADTOOL_EFORMAT},
		{GEOMETRY("\"tile_width\": 8, \"tile_height\": 9, \"tile_overlap\": 8"), "overlap by 8",
		 ADTOOL_EFORMAT},
		{GEOMETRY("\"tile_width\": 8, \"tile_height\": 9, \"fit\": \"crop\""), "fit crop", ADTOOL_EFORMAT},
		{GEOMETRY("\"tile_width\": -8, \"tile_height\": 9"), "geometry.tile_width", ADTOOL_EFORMAT},
		{GEOMETRY("\"roi_x\": 5"), "geometry: the region", ADTOOL_EFORMAT},
		{GEOMETRY("\"roi_width\": 5, \"roi_height\": 1e300"), "geometry: the region", ADTOOL_EFORMAT},
		{GEOMETRY("\"roi_width\": 5.5, \"roi_height\": 5"), "geometry: the region", ADTOOL_EFORMAT},
		{GEOMETRY("\"roi_width\": 101, \"roi_height\": 5, \"roi_unit\": \"percent\""), "percent",
		 ADTOOL_EFORMAT},
		{GEOMETRY("\"roi_width\": 5, \"roi_height\": 5, \"roi_unit\": \"miles\""), "roi_unit",
		 ADTOOL_EUNSUPPORTED},
		{GEOMETRY("\"mask_width\": 4"), "geometry.mask_width", ADTOOL_EFORMAT},
		{GEOMETRY("\"mask_cells\": 4"), "geometry.mask_cells", ADTOOL_EFORMAT},
		{GEOMETRY("\"mask_width\": 4, \"mask_height\": 4"), "geometry.mask_cells", ADTOOL_EFORMAT},
		{GEOMETRY("\"mask_width\": 4, \"mask_height\": 4, \"mask_cells\": 5"), "geometry.mask_cells",
		 ADTOOL_EFORMAT},
		{GEOMETRY("\"mask_width\": 4, \"mask_height\": 4, \"mask_cells\": 3"), "method.dimensions",
		 ADTOOL_EFORMAT},
		{GEOMETRY("\"mask_width\": 4, \"mask_height\": 4, \"mask_cells\": 4"), "mask.png: is missing",
		 ADTOOL_EFORMAT},
#undef GEOMETRY
		{"\"adtool_version\": \"0.1.0\"", "\"adtool_version\": \"0123456789012345678901234567890123456789\"",
	         "adtool_version", ADTOOL_EFORMAT},
		{"\"members\": {", "\"members\": [], \"m\": {", "members", ADTOOL_EFORMAT},
		{"\"size\": 201", "\"size\": 202", "backbone.onnx: has 201 bytes", ADTOOL_EFORMAT},
		{"\"xxh3\": \"", "\"xxh3\": \"Z", "backbone.onnx", ADTOOL_EFORMAT},
		{"\"sha256\": \"a", "\"sha256\": \"\\u0000", "not valid JSON", ADTOOL_EFORMAT},
		{"{", "", "not valid JSON", ADTOOL_EFORMAT},
		{"}", "\x1b", "not valid JSON", ADTOOL_EFORMAT},
	};
	static struct sample s;
	struct zip whole, z;
	size_t i;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	start_zip(&whole, &s);
	for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		copy_zip(&z, &whole);
		edit_manifest(&z, edits[i].from, edits[i].to);
		save_zip(&z);
		expect_refused(edits[i].code, edits[i].text);
		if (!strstr(edits[i].text, ".npy") && !strstr(edits[i].text, ".onnx") && !strstr(edits[i].text, ".png"))
			expect_refused(edits[i].code, "manifest.json");
		release_zip(&z);
	}
	release_zip(&whole);
	/* A newer version may have members this one does not know: it is the version that is told. */
	start_zip(&z, &s);
	edit_manifest(&z, "\"format_version\": 1", "\"format_version\": 7");
	add_entry(&z, "novelty.npy");
	save_zip(&z);
	expect_refused(ADTOOL_EUNSUPPORTED, "newer adtool (format 7");
	release_zip(&z);
	/* What a later adtool adds within the format is passed over. */
	start_zip(&z, &s);
	edit_manifest(&z, "\"grid\": 2,", "\"grid\": 2, \"novelty\": [1, {\"x\": null}],");
	edit_manifest(&z, "\"input\": {", "\"later\": {\"a\": true}, \"input\": {");
	save_zip(&z);
	expect_opens(&s);
	release_zip(&z);
	/* Nested without end. */
	start_zip(&z, &s);
	{
		ad_buf deep = {0};

		for (i = 0; i < 100000; i++)
			ad_buf_puts(&deep, "[");
		edit_manifest(&z, "\"input\"", "\"x\": [], \"input\"");
		edit_manifest(&z, "[]", (char *)deep.data);
		ad_buf_release(&deep);
	}
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "not valid JSON");
	release_zip(&z);
	start_zip(&z, &s);
	while (find_entry(&z, "manifest.json")->data.size <= 1 << 20)
		ad_buf_puts(&find_entry(&z, "manifest.json")->data, "          ");
	save_zip(&z);
	expect_refused(ADTOOL_ELIMIT, "manifest.json");
	release_zip(&z);
}

static void zip_structure(void **state)
{
	static struct sample s;
	struct zip z;
	struct entry *e;
	ad_buf out = {0};
	size_t at;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	start_zip(&z, &s);
	e = find_entry(&z, "mean.npy");

	e->flags = 1;
	save_zip(&z);
	expect_refused(ADTOOL_EUNSUPPORTED, "mean.npy: zip flags 0x0001");
	e->flags = 0;
	e->method_xor = 14;
	save_zip(&z);
	expect_refused(ADTOOL_EUNSUPPORTED, "mean.npy: packed by method 14");
	e->method_xor = 0;
	e->local_size_xor = 1;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy");
	e->local_size_xor = 0;
	e->shift = 1;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy: no zip header");
	e->shift = 0x7fffffff;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "mean.npy: its header is said to be at");
	e->shift = 0;
	z.disk = 1;
	save_zip(&z);
	expect_refused(ADTOOL_EUNSUPPORTED, "several disks");
	z.disk = 0;
	z.directory_shift = 1;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "zip directory");
	z.directory_shift = -46;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "zip directory");
	z.directory_shift = 0;
	z.length_shift = -1;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "zip directory");
	z.length_shift = 0;
	z.count_shift = 1;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "zip directory");
	z.count_shift = (unsigned)-1 & 0xffff;
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "zip directory");
	z.count_shift = (unsigned)(0xffff - z.n);
	save_zip(&z);
	expect_refused(ADTOOL_EUNSUPPORTED, "zip64");
	z.count_shift = 0;

	/* backbone.onnx is made to reach over the members behind it. */
	build_zip(&z, &out);
	for (at = 30; memcmp(out.data + at - 2, "\0\0backbone.onnx", 15); at++)
		;
	out.data[at - 30 + 18] = out.data[at - 30 + 22] = 0xff;
	out.data[at - 30 + 19] = out.data[at - 30 + 23] = 1;
	for (at++; memcmp(out.data + at, "backbone.onnx\x50\x4b\x01\x02", 17); at++)
		;
	out.data[at - 46 + 20] = out.data[at - 46 + 24] = 0xff;
	out.data[at - 46 + 21] = out.data[at - 46 + 25] = 1;
	save(out.data, out.size);
	expect_refused(ADTOOL_EFORMAT, "backbone.onnx: overlaps channels.npy");

	/* Something before it: offsets do not count from the file's beginning. */
	ad_buf_clear(&out);
	ad_buf_puts(&out, "#!/bin/sh\n");
	{
		ad_buf plain = {0};

		build_zip(&z, &plain);
		ad_buf_add(&out, plain.data, plain.size);
		ad_buf_release(&plain);
	}
	save(out.data, out.size);
	expect_refused(ADTOOL_EFORMAT, "zip directory");
	ad_buf_release(&out);
	release_zip(&z);
	save_zip(&z);
	expect_refused(ADTOOL_EFORMAT, "no manifest.json");
}

static void sha256(void **state)
{
	static struct sample s;
	struct zip z;
	ad_bundle *b = NULL;
	adtool_error err = {0};
	char digest[65], other[65];

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	start_zip(&z, &s);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	assert_int_equal(ad_bundle_check_sha256(b, &err), 0);
	ad_bundle_free(b);
	ad_sha256_hex(find_entry(&z, "mean.npy")->data.data, find_entry(&z, "mean.npy")->data.size, digest);
	memcpy(other, digest, sizeof(other));
	other[63] = other[63] == '0' ? '1' : '0';
	edit_manifest(&z, digest, other);
	save_zip(&z);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	assert_int_equal(ad_bundle_check_sha256(b, &err), ADTOOL_EFORMAT);
	assert_non_null(strstr(err.message, "mean.npy"));
	ad_bundle_free(b);
	release_zip(&z);
}

static void is_one(void **state)
{
	static struct sample s;
	struct local locals[16];
	ad_buf file = {0};
	struct zip z;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	start_zip(&z, &s);
	assert_int_equal(ad_bundle_is_one(model), 1);
	/* A damaged model is still one: train may replace it. */
	load(&file);
	read_locals(&file, locals);
	flip(locals[4].data + 70, (uint8_t)~file.data[locals[4].data + 70]);
	assert_int_equal(ad_bundle_is_one(model), 1);
	edit_manifest(&z, "\"format_version\": 1", "\"format_version\": 9");
	add_entry(&z, "novelty");
	save_zip(&z);
	assert_int_equal(ad_bundle_is_one(model), 1);
	z.n--;
	edit_manifest(&z, "adtool-model", "chrome-extension");
	save_zip(&z);
	assert_int_equal(ad_bundle_is_one(model), 0);
	find_entry(&z, "manifest.json")->skip = 1;
	save_zip(&z);
	assert_int_equal(ad_bundle_is_one(model), 0);
	release_zip(&z);
	save(file.data, file.size - 1);
	assert_int_equal(ad_bundle_is_one(model), 0);
	save("hello", 5);
	assert_int_equal(ad_bundle_is_one(model), 0);
	save("", 0);
	assert_int_equal(ad_bundle_is_one(model), 0);
	assert_int_equal(ad_bundle_is_one(folder), 0);
	assert_int_equal(unlink(model), 0);
	assert_int_equal(ad_bundle_is_one(model), 0);
	expect_refused(ADTOOL_EIO, "No such file");
	ad_buf_release(&file);
}

/* -- writing goes wrong ------------------------------------------------------------------------------ */

static void refuses_to_write(const struct sample *s, const char *text)
{
	adtool_error err = {0};
	ad_buf before = {0}, after = {0};
	uint64_t size = 77;
	int code;

	load(&before);
	code = ad_bundle_write(model, &s->info, &s->parts, &size, &err);
	if (code != ADTOOL_EINVAL || !strstr(err.message, text))
		fail_msg("code %d, '%s', where '%s' was due", code, err.message, text);
	assert_int_equal(size, 77);
	load(&after);
	assert_int_equal(after.size, before.size);
	assert_memory_equal(after.data, before.data, before.size);
	ad_buf_release(&before);
	ad_buf_release(&after);
}

static void write_checks(void **state)
{
	static struct sample s;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
#define REFUSED(change, text)                                                                                         \
	do {                                                                                                          \
		make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);                                                           \
		change;                                                                                               \
		refuses_to_write(&s, text);                                                                           \
	} while (0)
	REFUSED(s.info.threshold = NAN, "threshold.value");
	REFUSED(s.info.energy = 1.5, "method.energy");
	REFUSED(s.info.alpha = 1, "threshold.alpha");
	REFUSED(s.info.dimensions++, "method.dimensions");
	REFUSED(s.info.calibration = 7, "calibration.kind");
	REFUSED(s.info.preprocessing.mean[1] = NAN, "preprocessing.mean");
	REFUSED(s.parts.onnx = NULL, "backbone.onnx");
	REFUSED(s.parts.mean.data = NULL, "mean.npy: is missing");
	REFUSED(s.parts.mean.shape[0]--, "mean.npy: its shape");
	REFUSED(s.parts.mean.item_size = 8, "mean.npy: holds float64");
	REFUSED(s.parts.channels.data = NULL, "channels.npy: is missing");
	REFUSED(s.narrow[3][47] = NAN, "components.npy: value 47 of 48 is not a number");
	REFUSED(s.calibration[20] = -99, "calibration.npy: not in ascending order");
	REFUSED(s.selftest = INFINITY, "selftest.npy: value 0 of 1 is infinite");
	REFUSED(s.info.method = ADTOOL_PPCA, "method.grid");
	REFUSED(s.parts.mask = "x", "mask.png: 0 bytes");
	REFUSED((s.parts.mask = "x", s.parts.mask_size = 1), "mask.png: 1 bytes for a mask of 0 x 0");
	REFUSED((s.info.mask_cells = s.info.mask_width = s.info.mask_height = 4),
		"mask.png: 0 bytes for a mask of 4 x 4");
	REFUSED(s.info.geometry.tile_overlap = 1, "geometry");
#undef REFUSED
}

static size_t files_in_folder(void)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	size_t n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Runs in a child: 0 when the call gave this code and a message with this text. */
static int child_write(const struct sample *s, const char *path, rlim_t limit, uid_t user, int code, const char *text)
{
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit r = {limit, limit};
		adtool_error err = {0};
		int got;

		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &r) || (user && setuid(user)))
			_exit(2);
		got = ad_bundle_write(path, &s->info, &s->parts, NULL, &err);
		_exit(!(got == code && strstr(err.message, text)));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

static void disk_full(void **state)
{
	static struct sample s;
	ad_buf before = {0}, after = {0};
	rlim_t limit;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
	load(&before);
	s.info.threshold = 4321.5678901234567;
	for (limit = 0; limit < before.size; limit += 499) {
		if (before.size - limit < 499)
			limit = before.size - 1;
		assert_int_equal(child_write(&s, model, limit, 0, ADTOOL_EIO, "cannot write: File too large"), 0);
		ad_buf_clear(&after);
		load(&after);
		assert_int_equal(after.size, before.size);
		assert_memory_equal(after.data, before.data, before.size);
		assert_int_equal(files_in_folder(), 1);
	}
	ad_buf_release(&before);
	ad_buf_release(&after);
}

static void not_permitted(void **state)
{
	static struct sample s;
	char locked[96], inside[128];
	pid_t child;
	int status;

	(void)state;
	make_sample(&s, ADTOOL_FRE, 1, COMPONENTS);
	write_sample(&s);
	assert_int_equal(chmod(model, 0), 0);
	snprintf(locked, sizeof(locked), "%s/locked", folder);
	snprintf(inside, sizeof(inside), "%s/model.zip", locked);
	assert_int_equal(mkdir(locked, 0555), 0);
	assert_int_equal(child_write(&s, inside, RLIM_INFINITY, geteuid() == 0 ? 65534 : 0, ADTOOL_EIO,
	                             "Permission denied"), 0);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		ad_bundle *b = NULL;
		adtool_error err = {0};

		if (geteuid() == 0 && setuid(65534))
			_exit(2);
		_exit(!(ad_bundle_open(model, &b, &err) == ADTOOL_EIO && strstr(err.message, "Permission denied") &&
		        ad_bundle_is_one(model) == 0));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	rmdir(locked);
	assert_int_equal(chmod(model, 0644), 0);
	assert_int_equal(files_in_folder(), 1);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder) || chmod(folder, 0755))
		return -1;
	snprintf(model, sizeof(model), "%s/model.zip", folder);
	unsetenv("SOURCE_DATE_EPOCH");
	return 0;
}

/* -- models in 8 bits -------------------------------------------------------------------------------- */

static void make_int8(struct sample *s, float ranges[3][2], const char *names, size_t size)
{
	make_sample(s, ADTOOL_FRE, 1, COMPONENTS);
	s->info.precision = ADTOOL_INT8;
	s->info.ranges = 3;
	s->parts.ranges = npy(4, 2, 3, 2, ranges);
	s->parts.ranges_names = names;
	s->parts.ranges_names_size = size;
}

static void ranges_round_trip(void **state)
{
	static float ranges[3][2] = {{-1, 2}, {0, 0}, {-0.5f, 3e38f}};
	static const char names[] = "2 a tensor\n1 b\n";
	struct sample s;
	ad_bundle *b = NULL;

	(void)state;
	make_int8(&s, ranges, names, sizeof(names) - 1);
	write_sample(&s);
	expect_opens(&s);
	assert_int_equal(ad_bundle_open(model, &b, NULL), 0);
	assert_int_equal(ad_bundle_info(b)->precision, ADTOOL_INT8);
	assert_int_equal(ad_bundle_info(b)->ranges, 3);
	same_npy(&ad_bundle_parts_of(b)->ranges, &s.parts.ranges);
	assert_int_equal(ad_bundle_parts_of(b)->ranges_names_size, sizeof(names) - 1);
	assert_memory_equal(ad_bundle_parts_of(b)->ranges_names, names, sizeof(names) - 1);
	ad_bundle_free(b);
}

/* What opening would refuse is not written either: the same checks. */
static void hostile_ranges(void **state)
{
	static float ranges[][3][2] = {{{0.5f, 2}, {0, 0}, {0, 1}}, {{0, 1}, {-2, -1}, {0, 1}},
				       {{0, 1}, {0, NAN}, {0, 1}},
				       {{0, 1}, {0, 1}, {-INFINITY, 1}}};
	static const struct {
		const char *text;
		size_t size;
	} names[] = {{"3 a", 3}, {"2 a\n\n1 b\n", 9}, {"3 a\0b\n", 6}, {"\n", 1}};
	static float good[3][2] = {{0, 1}, {0, 1}, {0, 1}};
	struct sample s;
	adtool_error err;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		make_int8(&s, ranges[i], "3 a\n", 4);
		assert_int_equal(ad_bundle_write(model, &s.info, &s.parts, NULL, &err), ADTOOL_EINVAL);
		assert_non_null(strstr(err.message, "ranges.npy: "));
		make_int8(&s, good, names[i].text, names[i].size);
		assert_int_equal(ad_bundle_write(model, &s.info, &s.parts, NULL, &err), ADTOOL_EINVAL);
		assert_non_null(strstr(err.message, "ranges.txt: line "));
	}
	make_int8(&s, good, "3 a\n", 4);
	s.info.ranges = 2;
	assert_int_equal(ad_bundle_write(model, &s.info, &s.parts, NULL, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "its shape is (3, 2) where the manifest asks for (2, 2)"));
	s.info.ranges = 0;
	assert_int_equal(ad_bundle_write(model, &s.info, &s.parts, NULL, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "precision.ranges is 0"));
}

static int tear_down(void **state)
{
	(void)state;
	unlink(model);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(geometry_round_trip),
		cmocka_unit_test(no_components),
		cmocka_unit_test(all_channels_rotated),
		cmocka_unit_test(numbers_round_trip),
		cmocka_unit_test(manifest_text),
		cmocka_unit_test(strings_not_utf8),
		cmocka_unit_test(same_bytes),
		cmocka_unit_test(layout),
		cmocka_unit_test(flipped_bytes),
		cmocka_unit_test(truncations),
		cmocka_unit_test(random_damage),
		cmocka_unit_test(rebuilt),
		cmocka_unit_test(rezipped_by_zip),
		cmocka_unit_test(deflated_and_damaged),
		cmocka_unit_test(wrong_members),
		cmocka_unit_test(wrong_sizes),
		cmocka_unit_test(one_wild_value_among_many),
		cmocka_unit_test(wild_values),
		cmocka_unit_test(manifest_values),
		cmocka_unit_test(zip_structure),
		cmocka_unit_test(sha256),
		cmocka_unit_test(is_one),
		cmocka_unit_test(ranges_round_trip),
		cmocka_unit_test(hostile_ranges),
		cmocka_unit_test(write_checks),
		cmocka_unit_test(disk_full),
		cmocka_unit_test(not_permitted),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
