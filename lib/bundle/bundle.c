#include "bundle.h"

#include <errno.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"
#include "../base/pool.h"
#include "container.h"
#include "manifest.h"
#include "members.h"
#include "zipdir.h"

struct ad_bundle {
	ad_map file;
	ad_zip_member packed[AD_MEMBERS];
	const void *bytes[AD_MEMBERS]; /* unpacked: in the file, or owned[m] */
	void *owned[AD_MEMBERS];
	void *aligned[AD_MEMBERS];     /* copies of values that do not lie aligned in bytes[m] */
	char *manifest;
	char digest[17];
	char unknown[80];
	ad_container *container;       /* only while opening a file with deflated members */
	adtool_model_info info;
	ad_listed listed[AD_MEMBERS];
	ad_bundle_parts parts;
};

/* -- reading ----------------------------------------------------------------------------------------- */

/* More than this deflate cannot shrink (RFC 1951: at best 258 bytes for two bits). */
#define MAX_RATIO 1032u

static int unpack(ad_bundle *b, enum ad_member m, adtool_error *err)
{
	const ad_zip_member *z = &b->packed[m];
	int code;

	if (z->method == AD_ZIP_STORED) {
		b->bytes[m] = z->data;
		return 0;
	}
	if (z->size / MAX_RATIO > z->packed)
		return ad_fail(err, ADTOOL_EFORMAT, "%s: claims %zu bytes packed into %zu, which deflate cannot do",
		               ad_member_names[m], z->size, z->packed);
	if (!b->container) {
		code = ad_container_open(b->file.data, b->file.size, &b->container, err);
		if (code)
			return ad_fail_within(err, code, "%s", ad_member_names[m]);
	}
	b->owned[m] = ad_malloc_aligned(z->size + 1, 1);
	if (!b->owned[m])
		return ad_fail_nomem(err);
	code = ad_container_read(b->container, ad_member_names[m], b->owned[m], z->size, err);
	if (!code)
		b->bytes[m] = b->owned[m];
	return code;
}

/* Finds the members and unpacks the manifest, which nothing but its CRC-32 vouches for. */
static int open_manifest(const char *path, ad_bundle *b, adtool_error *err)
{
	const ad_zip_member *z = &b->packed[AD_MEMBER_MANIFEST];
	int code = ad_map_open(&b->file, path, AD_BUNDLE_MAX_BYTES, err);

	if (!code)
		code = ad_zip_index(b->file.data, b->file.size, ad_member_names, AD_MEMBERS, b->packed, b->unknown,
		                    err);
	if (code)
		return code;
	if (!z->data)
		return ad_fail(err, ADTOOL_EFORMAT, "not an adtool model: the zip file has no manifest.json");
	if (z->size > AD_BUNDLE_MAX_MANIFEST)
		return ad_fail(err, ADTOOL_ELIMIT, "manifest.json: claims %zu bytes; at most %u are read", z->size,
		               AD_BUNDLE_MAX_MANIFEST);
	code = unpack(b, AD_MEMBER_MANIFEST, err);
	if (code)
		return code;
	if (ad_crc32(b->bytes[AD_MEMBER_MANIFEST], z->size) != z->crc)
		return ad_fail(err, ADTOOL_EFORMAT, "manifest.json: damaged: its CRC-32 is not that of the zip file");
	return 0;
}

static int check_pair(const ad_listed listed[AD_MEMBERS], int code, adtool_error *err)
{
	if (listed[AD_MEMBER_CHANNELS].present != listed[AD_MEMBER_CHANNELS_MEAN].present)
		return ad_fail(err, code, "channels.npy and channels_mean.npy: one is there without the other");
	if (listed[AD_MEMBER_STATS].present != listed[AD_MEMBER_STATS_NAMES].present)
		return ad_fail(err, code, "stats.npy and stats.txt: one is there without the other");
	return 0;
}

static const char *not_needed(enum ad_member m)
{
	if (m == AD_MEMBER_RANGES || m == AD_MEMBER_RANGES_NAMES)
		return "only int8 models have such a member";
	return m == AD_MEMBER_MASK ? "the manifest tells of no mask" : "a ppca model has no such member";
}

/* Which members are there, and how large: all before anything of their size is allocated. */
static int check_sizes(const ad_bundle *b, adtool_error *err)
{
	enum ad_member m;

	if (b->unknown[0])
		return ad_fail(err, ADTOOL_EFORMAT, "holds '%s', which is no member of a model", b->unknown);
	for (m = AD_MEMBER_ONNX; m < AD_MEMBERS; m++) {
		const char *name = ad_member_names[m];
		const ad_zip_member *z = &b->packed[m];
		int needed = ad_member_needed(&b->info, m), listed = b->listed[m].present;
		uint64_t size = b->listed[m].size, least = 1;
		uint64_t most = m == AD_MEMBER_MASK           ? AD_BUNDLE_MAX_MASK
				: m == AD_MEMBER_RANGES_NAMES ? AD_BUNDLE_MAX_NAMES
							      : AD_BUNDLE_MAX_ONNX;

		if (needed > 0 && (!listed || !z->data))
			return ad_fail(err, ADTOOL_EFORMAT, "%s: is missing%s", name,
			               z->data ? " in the manifest" : "");
		if (needed == 0 && (listed || z->data))
			return ad_fail(err, ADTOOL_EFORMAT, "%s: %s", name, not_needed(m));
		if (listed != (z->data != NULL))
			return ad_fail(err, ADTOOL_EFORMAT, "%s: is %s the manifest and %s the zip file", name,
			               listed ? "in" : "not in", listed ? "not in" : "in");
		if (!listed)
			continue;
		if (z->size != size)
			return ad_fail(err, ADTOOL_EFORMAT, "%s: has %zu bytes where the manifest says %llu", name,
			               z->size, (unsigned long long)size);
		if (ad_member_is_npy(m)) {
			ad_npy want = ad_member_expected(&b->info, m);

			/* A .npy header of version 1 has 10 to 10 + 65535 bytes. */
			least = (uint64_t)want.count * (uint64_t)want.item_size + 10;
			most = least + 65535;
		}
		if (size < least || size > most)
			return ad_fail(err, m <= AD_MEMBER_MASK && size ? ADTOOL_ELIMIT : ADTOOL_EFORMAT,
			               "%s: has %llu bytes where %llu to %llu are possible", name,
			               (unsigned long long)size, (unsigned long long)least, (unsigned long long)most);
	}
	return check_pair(b->listed, ADTOOL_EFORMAT, err);
}

static int load_npy(ad_bundle *b, enum ad_member m, adtool_error *err)
{
	ad_npy npy;
	size_t bytes;
	int code = ad_npy_parse(b->bytes[m], b->packed[m].size, &npy, err);

	if (code)
		return ad_fail_within(err, code, "%s", ad_member_names[m]);
	code = ad_member_check(&b->info, m, &npy, ADTOOL_EFORMAT, err);
	if (code)
		return code;
	bytes = npy.count * (size_t)npy.item_size;
	if ((uintptr_t)npy.data % AD_CONTAINER_ALIGN && bytes) {
		b->aligned[m] = ad_malloc_aligned(npy.count, (size_t)npy.item_size);
		if (!b->aligned[m])
			return ad_fail_nomem(err);
		memcpy(b->aligned[m], npy.data, bytes);
		npy.data = b->aligned[m];
	}
	*ad_member_npy(&b->parts, m) = npy;
	return 0;
}

/* The members that opening checks, each apart from the others. */
struct check {
	ad_bundle *b;
	enum ad_member members[AD_MEMBER_FIRST_LAZY];
	size_t n;
	int codes[AD_MEMBER_FIRST_LAZY];
	adtool_error errors[AD_MEMBER_FIRST_LAZY];
};

static void check_member(void *context, size_t task, unsigned worker)
{
	struct check *c = context;
	ad_bundle *b = c->b;
	enum ad_member m = c->members[task];
	adtool_error *err = &c->errors[task];
	char digest[17];
	int code = 0;

	(void)worker;
	ad_xxh3_hex(b->bytes[m], b->packed[m].size, digest);
	if (strcmp(digest, b->listed[m].xxh3))
		code = ad_fail(err, ADTOOL_EFORMAT, "%s: damaged: its XXH3 is %s where the manifest says %s",
		               ad_member_names[m], digest, b->listed[m].xxh3);
	else if (m >= AD_MEMBER_FIRST_NPY)
		code = load_npy(b, m, err);
	else if (m == AD_MEMBER_RANGES_NAMES)
		code = ad_ranges_names_check(b->bytes[m], b->packed[m].size, ADTOOL_EFORMAT, err);
	c->codes[task] = code;
}

static int load_members(ad_bundle *b, adtool_error *err)
{
	/*
	 * A second thread takes some 150 microseconds to start and to end, in which 2 MB or so are read, and half of
	 * the rest.
	 */
	enum { WORTH_A_THREAD = 16 << 20 };
	struct check c = {.b = b};
	ad_pool *pool = NULL;
	size_t bytes = 0, i;
	enum ad_member m;
	int code;

	for (m = AD_MEMBER_ONNX; m < AD_MEMBER_FIRST_LAZY; m++) {
		if (!b->listed[m].present)
			continue;
		code = unpack(b, m, err);
		if (code)
			return code;
		c.members[c.n++] = m;
		bytes += b->packed[m].size;
	}
	/* Without one it takes longer, no more. */
	if (bytes >= WORTH_A_THREAD && ad_cpu_count() > 1 && ad_pool_create(2, &pool, NULL))
		pool = NULL;
	ad_pool_run(pool, check_member, &c, c.n);
	ad_pool_free(pool);
	for (i = 0; i < c.n; i++) {
		if (!c.codes[i])
			continue;
		if (err)
			*err = c.errors[i];
		return c.codes[i];
	}
	b->parts.ranges_names = b->bytes[AD_MEMBER_RANGES_NAMES];
	b->parts.ranges_names_size = b->packed[AD_MEMBER_RANGES_NAMES].size;
	b->parts.mask = b->bytes[AD_MEMBER_MASK];
	b->parts.mask_size = b->packed[AD_MEMBER_MASK].size;
	b->parts.onnx = b->bytes[AD_MEMBER_ONNX];
	b->parts.onnx_size = b->packed[AD_MEMBER_ONNX].size;
	return 0;
}

int ad_bundle_open(const char *path, ad_bundle **out, adtool_error *err)
{
	ad_bundle *b = ad_calloc(1, sizeof(*b));
	const char *text;
	size_t size;
	int code;

	if (!b)
		return ad_fail_nomem(err);
	code = open_manifest(path, b, err);
	if (code)
		goto fail;
	text = b->bytes[AD_MEMBER_MANIFEST];
	size = b->packed[AD_MEMBER_MANIFEST].size;
	code = ad_manifest_read(text, size, &b->info, b->listed, err);
	if (!code)
		code = ad_info_check(&b->info, ADTOOL_EFORMAT, err);
	if (!code)
		code = check_sizes(b, err);
	if (!code)
		code = load_members(b, err);
	if (code)
		goto fail;
	ad_xxh3_hex(text, size, b->digest);
	b->manifest = ad_strndup(text, size);
	if (!b->manifest) {
		code = ad_fail_nomem(err);
		goto fail;
	}
	ad_container_free(b->container);
	b->container = NULL;
	*out = b;
	return 0;
fail:
	ad_bundle_free(b);
	return code;
}

const adtool_model_info *ad_bundle_info(const ad_bundle *b)
{
	return &b->info;
}

const ad_bundle_parts *ad_bundle_parts_of(const ad_bundle *b)
{
	return &b->parts;
}

const char *ad_bundle_manifest(const ad_bundle *b)
{
	return b->manifest;
}

const char *ad_bundle_digest(const ad_bundle *b)
{
	return b->digest;
}

/* -- the members that are read only when asked for ---------------------------------------------------- */

/* The bytes of a member that opening left alone; *owned is their memory when they had to be unpacked. */
static int fetch(const ad_bundle *b, enum ad_member m, void **owned, const void **bytes, adtool_error *err)
{
	const ad_zip_member *z = &b->packed[m];
	ad_container *container = NULL;
	int code;

	if (z->method == AD_ZIP_STORED) {
		*bytes = z->data;
		return 0;
	}
	if (z->size / MAX_RATIO > z->packed)
		return ad_fail(err, ADTOOL_EFORMAT, "%s: claims %zu bytes packed into %zu, which deflate cannot do",
		               ad_member_names[m], z->size, z->packed);
	*owned = ad_malloc_aligned(z->size + 1, 1);
	if (!*owned)
		return ad_fail_nomem(err);
	code = ad_container_open(b->file.data, b->file.size, &container, err);
	if (!code)
		code = ad_container_read(container, ad_member_names[m], *owned, z->size, err);
	ad_container_free(container);
	*bytes = *owned;
	return code;
}

static int fetch_checked(const ad_bundle *b, enum ad_member m, void **owned, const void **bytes, adtool_error *err)
{
	char digest[17];
	int code = fetch(b, m, owned, bytes, err);

	if (code)
		return code;
	ad_xxh3_hex(*bytes, b->packed[m].size, digest);
	if (strcmp(digest, b->listed[m].xxh3))
		return ad_fail(err, ADTOOL_EFORMAT, "%s: damaged: its XXH3 is %s where the manifest says %s",
		               ad_member_names[m], digest, b->listed[m].xxh3);
	return 0;
}

int ad_bundle_has_stats(const ad_bundle *b)
{
	return b->listed[AD_MEMBER_STATS].present;
}

void ad_bundle_stats_release(ad_bundle_stats *s)
{
	size_t i;

	for (i = 0; i < sizeof(s->owned) / sizeof(s->owned[0]); i++)
		ad_free_aligned(s->owned[i]);
	memset(s, 0, sizeof(*s));
}

int ad_bundle_stats_load(const ad_bundle *b, ad_bundle_stats *out, adtool_error *err)
{
	ad_bundle_stats s = {0};
	const void *maps = NULL, *names = NULL;
	int code;

	if (!ad_bundle_has_stats(b))
		return ad_fail(err, ADTOOL_EINVAL, "keeps no stats");
	code = fetch_checked(b, AD_MEMBER_STATS, &s.owned[0], &maps, err);
	if (!code)
		code = fetch_checked(b, AD_MEMBER_STATS_NAMES, &s.owned[1], &names, err);
	if (!code) {
		code = ad_npy_parse(maps, b->packed[AD_MEMBER_STATS].size, &s.maps, err);
		if (code)
			ad_fail_within(err, code, "%s", ad_member_names[AD_MEMBER_STATS]);
	}
	if (!code)
		code = ad_member_check(&b->info, AD_MEMBER_STATS, &s.maps, ADTOOL_EFORMAT, err);
	if (!code && (uintptr_t)s.maps.data % AD_CONTAINER_ALIGN && s.maps.count) {
		s.owned[2] = ad_malloc_aligned(s.maps.count, sizeof(float));
		if (s.owned[2]) {
			memcpy(s.owned[2], s.maps.data, s.maps.count * sizeof(float));
			s.maps.data = s.owned[2];
		} else {
			code = ad_fail_nomem(err);
		}
	}
	if (code) {
		ad_bundle_stats_release(&s);
		return code;
	}
	s.names = names;
	s.names_size = b->packed[AD_MEMBER_STATS_NAMES].size;
	*out = s;
	return 0;
}

int ad_bundle_check_sha256(const ad_bundle *b, adtool_error *err)
{
	char digest[65];
	ad_bundle_stats stats;
	enum ad_member m;
	int code;

	if (ad_bundle_has_stats(b)) {
		code = ad_bundle_stats_load(b, &stats, err);
		if (code)
			return code;
		ad_bundle_stats_release(&stats);
	}
	for (m = AD_MEMBER_ONNX; m < AD_MEMBERS; m++) {
		const void *bytes = b->bytes[m];
		void *owned = NULL;

		if (!b->listed[m].present)
			continue;
		code = bytes ? 0 : fetch(b, m, &owned, &bytes, err);
		if (!code)
			ad_sha256_hex(bytes, b->packed[m].size, digest);
		ad_free_aligned(owned);
		if (code)
			return code;
		if (strcmp(digest, b->listed[m].sha256))
			return ad_fail(err, ADTOOL_EFORMAT, "%s: its SHA-256 is %s where the manifest says %s",
			               ad_member_names[m], digest, b->listed[m].sha256);
	}
	return 0;
}

void ad_bundle_free(ad_bundle *b)
{
	enum ad_member m;

	if (!b)
		return;
	ad_container_free(b->container);
	for (m = 0; m < AD_MEMBERS; m++) {
		ad_free_aligned(b->owned[m]);
		ad_free_aligned(b->aligned[m]);
	}
	ad_free(b->manifest);
	ad_map_release(&b->file);
	ad_free(b);
}

int ad_bundle_is_one(const char *path)
{
	ad_bundle *b = ad_calloc(1, sizeof(*b));
	int is;

	if (!b)
		return 0;
	is = !open_manifest(path, b, NULL) &&
	     ad_manifest_is_one(b->bytes[AD_MEMBER_MANIFEST], b->packed[AD_MEMBER_MANIFEST].size);
	ad_bundle_free(b);
	return is;
}

/* -- writing ----------------------------------------------------------------------------------------- */

/* SOURCE_DATE_EPOCH (reproducible-builds.org), or 0, which the zip file clamps to 1980-01-01. */
static int source_date(int64_t *out, adtool_error *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;
	long long value;

	*out = 0;
	if (!text || !*text)
		return 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || end == text)
		return ad_fail(err, ADTOOL_EINVAL, "SOURCE_DATE_EPOCH is '%.40s', not a number of seconds", text);
	*out = value;
	return 0;
}

/* The bytes of member m, into buf unless they are the caller's; *packed stays without data when there is none. */
static int make_member(const adtool_model_info *info, const ad_bundle_parts *parts, enum ad_member m, ad_buf *buf,
                       ad_packed *packed, adtool_error *err)
{
	ad_bundle_parts copy = *parts;
	ad_npy npy = *ad_member_npy(&copy, m), want = ad_member_expected(info, m);
	int needed = ad_member_needed(info, m), code;

	packed->name = ad_member_names[m];
	if (m == AD_MEMBER_STATS_NAMES) {
		packed->data = parts->stats_names;
		packed->size = parts->stats_names_size;
		return 0;
	}
	if (m == AD_MEMBER_RANGES_NAMES) {
		if (!needed)
			return 0;
		packed->data = parts->ranges_names;
		packed->size = parts->ranges_names_size;
		return ad_ranges_names_check(parts->ranges_names, parts->ranges_names_size, ADTOOL_EINVAL, err);
	}
	if (m == AD_MEMBER_MASK) {
		if ((parts->mask != NULL) != needed ||
		    (needed && (!parts->mask_size || parts->mask_size > AD_BUNDLE_MAX_MASK)))
			return ad_fail(err, ADTOOL_EINVAL, "%s: %zu bytes for a mask of %u x %u", packed->name,
			               parts->mask ? parts->mask_size : 0, info->mask_width, info->mask_height);
		packed->data = parts->mask;
		packed->size = parts->mask_size;
		return 0;
	}
	if (m == AD_MEMBER_ONNX) {
		packed->data = parts->onnx;
		packed->size = parts->onnx_size;
		if (!parts->onnx || !parts->onnx_size || parts->onnx_size > AD_BUNDLE_MAX_ONNX)
			return ad_fail(err, ADTOOL_EINVAL, "%s: has %zu bytes where 1 to %u are possible", packed->name,
			               parts->onnx_size, AD_BUNDLE_MAX_ONNX);
		return 0;
	}
	if (needed > 0 && want.count == 0)
		npy = want;
	else if (needed > 0 && !npy.data)
		return ad_fail(err, ADTOOL_EINVAL, "%s: is missing", packed->name);
	else if (needed == 0 && npy.data)
		return ad_fail(err, ADTOOL_EINVAL, "%s: %s", packed->name, not_needed(m));
	else if (!npy.data)
		return 0;
	code = ad_member_check(info, m, &npy, ADTOOL_EINVAL, err);
	if (code)
		return code;
	if (ad_npy_append(buf, npy.item_size, npy.ndim, npy.shape, npy.data))
		return ad_fail_nomem(err);
	packed->data = buf->data;
	packed->size = buf->size;
	return 0;
}

int ad_bundle_write(const char *path, const adtool_model_info *info, const ad_bundle_parts *parts, uint64_t *size,
                    adtool_error *err)
{
	ad_buf bufs[AD_MEMBERS] = {0};
	ad_packed made[AD_MEMBERS] = {0}, packed[AD_MEMBERS];
	ad_listed listed[AD_MEMBERS] = {0};
	ad_atomic file = {.fd = -1};
	uint64_t total = 4096;
	int64_t time, end;
	size_t n = 0;
	enum ad_member m;
	int code;

	code = ad_info_check(info, ADTOOL_EINVAL, err);
	if (!code)
		code = source_date(&time, err);
	for (m = AD_MEMBER_ONNX; m < AD_MEMBERS && !code; m++) {
		code = make_member(info, parts, m, &bufs[m], &made[m], err);
		if (code || !made[m].data)
			continue;
		listed[m].present = 1;
		listed[m].size = made[m].size;
		ad_xxh3_hex(made[m].data, made[m].size, listed[m].xxh3);
		ad_sha256_hex(made[m].data, made[m].size, listed[m].sha256);
		total += made[m].size;
	}
	if (!code)
		code = check_pair(listed, ADTOOL_EINVAL, err);
	if (!code && total > AD_BUNDLE_MAX_BYTES)
		code = ad_fail(err, ADTOOL_ELIMIT, "the model would have %llu bytes; at most %u can be written",
		               (unsigned long long)total, AD_BUNDLE_MAX_BYTES);
	if (!code)
		code = ad_manifest_write(info, listed, &bufs[AD_MEMBER_MANIFEST], err);
	if (code)
		goto out;
	made[AD_MEMBER_MANIFEST].name = ad_member_names[AD_MEMBER_MANIFEST];
	made[AD_MEMBER_MANIFEST].data = bufs[AD_MEMBER_MANIFEST].data;
	made[AD_MEMBER_MANIFEST].size = bufs[AD_MEMBER_MANIFEST].size;
	for (m = 0; m < AD_MEMBERS; m++) {
		if (made[m].data)
			packed[n++] = made[m];
	}
	code = ad_atomic_open(&file, path, err);
	if (!code)
		code = ad_container_write(file.fd, packed, n, time, err);
	if (code)
		goto out;
	end = lseek(file.fd, 0, SEEK_END);
	code = ad_atomic_commit(&file, err);
	if (!code && size)
		*size = (uint64_t)end;
out:
	ad_atomic_abort(&file);
	for (m = 0; m < AD_MEMBERS; m++)
		ad_buf_release(&bufs[m]);
	return code;
}
