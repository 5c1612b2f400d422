#include "zipdir.h"

#include "../base/fail.h"

/* Records of the zip format (APPNOTE.TXT 4.3): signature and fixed length. */
#define LOCAL_SIGNATURE 0x04034b50u
#define LOCAL_SIZE 30u
#define CENTRAL_SIGNATURE 0x02014b50u
#define CENTRAL_SIZE 46u
#define END_SIGNATURE 0x06054b50u
#define END_SIZE 22u
#define ZIP64_EXTRA 0x0001u
#define MAX_COMMENT 65535u

/* General purpose flags a model's member may have: deflate's level, sizes after the data, UTF-8 name. */
#define FLAG_DESCRIPTOR 0x0008u
#define FLAGS_READ (0x0006u | FLAG_DESCRIPTOR | 0x0800u)

static unsigned get16(const uint8_t *p)
{
	return (unsigned)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

uint32_t ad_crc32(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint32_t crc = 0xffffffffu, of[16];
	uint32_t i;
	int bit;

	/* What four bits make of the rest. */
	for (i = 0; i < 16; i++)
		for (of[i] = i, bit = 0; bit < 4; bit++)
			of[i] = of[i] >> 1 ^ (of[i] & 1 ? 0xedb88320u : 0);
	for (; size; size--) {
		crc ^= *p++;
		crc = crc >> 4 ^ of[crc & 15];
		crc = crc >> 4 ^ of[crc & 15];
	}
	return ~crc;
}

void ad_printable(const void *text, size_t size, char out[80])
{
	const uint8_t *name = text;
	size_t i, at = 0;

	for (i = 0; i < size && at < 70; i++) {
		if (name[i] >= 0x20 && name[i] < 0x7f)
			out[at++] = (char)name[i];
		else
			at += (size_t)snprintf(out + at, 80 - at, "\\x%02x", name[i]);
	}
	snprintf(out + at, 80 - at, "%s", i < size ? "..." : "");
}

/* The end record: the last one whose comment reaches exactly to the end of the file. NULL when there is none. */
static const uint8_t *find_end(const uint8_t *file, size_t size)
{
	size_t at, back = size > END_SIZE + MAX_COMMENT ? END_SIZE + MAX_COMMENT : size;

	for (at = END_SIZE; at <= back; at++) {
		const uint8_t *p = file + (size - at);

		if (get32(p) == END_SIGNATURE && get16(p + 20) == at - END_SIZE)
			return p;
	}
	return NULL;
}

/* One record of the central directory. */
struct record {
	unsigned flags, method;
	uint32_t crc;
	uint64_t packed, size, offset;
	const uint8_t *name;
	size_t name_size;
};

/* Sizes that do not fit 32 bits stand in the zip64 extra field, in a fixed order, only those that do not fit. */
static void read_zip64(struct record *r, const uint8_t *extra, size_t size)
{
	uint64_t *const fields[] = {&r->size, &r->packed, &r->offset};
	size_t at, i;

	for (at = 0; at + 4 <= size; at += 4 + get16(extra + at + 2)) {
		const uint8_t *value = extra + at + 4;
		size_t left = get16(extra + at + 2);

		if (get16(extra + at) != ZIP64_EXTRA || left > size - at - 4)
			continue;
		for (i = 0; i < 3; i++) {
			if (*fields[i] != 0xffffffffu || left < 8)
				continue;
			*fields[i] = get64(value);
			value += 8;
			left -= 8;
		}
		return;
	}
}

static int check_local(const uint8_t *file, size_t directory, const struct record *r, const char *name,
                       ad_zip_member *out, adtool_error *err)
{
	const uint8_t *local;
	size_t start;
	int deferred;

	if (r->offset > directory || directory - r->offset < LOCAL_SIZE)
		return ad_fail(err, ADTOOL_EFORMAT, "%s: its header is said to be at %llu, beyond the file's members",
		               name, (unsigned long long)r->offset);
	local = file + r->offset;
	if (get32(local) != LOCAL_SIGNATURE)
		return ad_fail(err, ADTOOL_EFORMAT, "%s: no zip header at %llu, where the directory says", name,
		               (unsigned long long)r->offset);
	start = (size_t)r->offset + LOCAL_SIZE + get16(local + 26) + get16(local + 28);
	if (get16(local + 26) != r->name_size || start > directory ||
	    memcmp(local + LOCAL_SIZE, r->name, r->name_size))
		return ad_fail(err, ADTOOL_EFORMAT, "%s: its header and the zip directory differ in the name", name);
	if (get16(local + 6) != r->flags || get16(local + 8) != r->method)
		return ad_fail(err, ADTOOL_EFORMAT, "%s: its header and the zip directory differ in how it is packed",
		               name);
	/* With a data descriptor the header may leave the three fields to it. */
	deferred = r->flags & FLAG_DESCRIPTOR && !get32(local + 14) && !get32(local + 18) && !get32(local + 22);
	if (!deferred &&
	    (get32(local + 14) != r->crc || get32(local + 18) != r->packed || get32(local + 22) != r->size))
		return ad_fail(err, ADTOOL_EFORMAT, "%s: its header and the zip directory differ in size or CRC", name);
	if (r->packed > directory - start)
		return ad_fail(err, ADTOOL_EFORMAT, "%s: claims %llu bytes in the file, which has %zu left for it",
		               name, (unsigned long long)r->packed, directory - start);
	out->method = (int)r->method;
	out->crc = r->crc;
	out->size = (size_t)r->size;
	out->packed = (size_t)r->packed;
	out->data = file + start;
	return 0;
}

static int check_record(const struct record *r, const char *name, adtool_error *err)
{
	if (r->size > 0xfffffffeu || r->packed > 0xfffffffeu || r->offset > 0xfffffffeu)
		return ad_fail(err, ADTOOL_ELIMIT, "%s: claims %llu bytes (%llu in the file); a member has at most %u",
		               name, (unsigned long long)r->size, (unsigned long long)r->packed, 0xfffffffeu);
	if (r->method != AD_ZIP_STORED && r->method != AD_ZIP_DEFLATED)
		return ad_fail(err, ADTOOL_EUNSUPPORTED,
		               "%s: packed by method %u; only stored (0) and deflated (8) members are read", name,
		               r->method);
	if (r->flags & ~FLAGS_READ)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "%s: zip flags 0x%04x (encrypted or patched) are not read",
		               name, r->flags);
	if (r->method == AD_ZIP_STORED && r->size != r->packed)
		return ad_fail(err, ADTOOL_EFORMAT, "%s: stored, yet %llu bytes in the file stand for %llu", name,
		               (unsigned long long)r->packed, (unsigned long long)r->size);
	return 0;
}

static int damaged(adtool_error *err, size_t entry, size_t count)
{
	return ad_fail(err, ADTOOL_EFORMAT, "zip directory is damaged at entry %zu of %zu", entry + 1, count);
}

int ad_zip_index(const uint8_t *file, size_t size, const char *const *names, size_t n, ad_zip_member *members,
                 char unknown[80], adtool_error *err)
{
	const uint8_t *end = find_end(file, size), *at;
	size_t directory, length, count, i, k, first[AD_ZIP_MAX_NAMES] = {0};
	char shown[80];
	int code;

	memset(members, 0, n * sizeof(*members));
	unknown[0] = '\0';
	if (!end)
		return file && size >= 4 && get32(file) == LOCAL_SIGNATURE
		               ? ad_fail(err, ADTOOL_EFORMAT, "zip file cut short: its directory is missing")
		               : ad_fail(err, ADTOOL_EFORMAT, "not a model: it is no zip file");
	count = get16(end + 10);
	length = get32(end + 12);
	directory = get32(end + 16);
	if (get16(end + 4) || get16(end + 6) || get16(end + 8) != count)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "part of a zip file split over several disks");
	if (count == 0xffff || length == 0xffffffffu || directory == 0xffffffffu)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "zip64 file (4 GiB or more, or 65535 members): no model is");
	if (directory > (size_t)(end - file) || length > (size_t)(end - file) - directory)
		return ad_fail(err, ADTOOL_EFORMAT, "zip directory of %zu bytes at %zu does not fit the file of %zu",
		               length, directory, size);
	for (i = 0, at = file + directory; i < count; i++) {
		size_t left = directory + length - (size_t)(at - file), extra;
		struct record r;

		if (left < CENTRAL_SIZE || get32(at) != CENTRAL_SIGNATURE)
			return damaged(err, i, count);
		r.flags = get16(at + 8);
		r.method = get16(at + 10);
		r.crc = get32(at + 16);
		r.packed = get32(at + 20);
		r.size = get32(at + 24);
		r.offset = get32(at + 42);
		r.name = at + CENTRAL_SIZE;
		r.name_size = get16(at + 28);
		extra = get16(at + 30);
		if (left - CENTRAL_SIZE < r.name_size + extra + get16(at + 32) || get16(at + 34))
			return damaged(err, i, count);
		read_zip64(&r, r.name + r.name_size, extra);
		at += CENTRAL_SIZE + r.name_size + extra + get16(at + 32);
		for (k = 0; k < n; k++) {
			if (strlen(names[k]) == r.name_size && !memcmp(names[k], r.name, r.name_size))
				break;
		}
		if (k == n) {
			ad_printable(r.name, r.name_size, shown);
			if (!unknown[0])
				snprintf(unknown, 80, "%s", shown[0] ? shown : " ");
			continue;
		}
		if (members[k].data)
			return ad_fail(err, ADTOOL_EFORMAT, "%s: is in the zip file twice", names[k]);
		code = check_record(&r, names[k], err);
		if (!code)
			code = check_local(file, directory, &r, names[k], &members[k], err);
		if (code)
			return code;
		first[k] = (size_t)r.offset;
	}
	if (at != file + directory + length || at != end)
		return ad_fail(err, ADTOOL_EFORMAT, "zip directory does not end where the zip file's end record says");
	for (i = 0; i < n; i++) {
		for (k = 0; members[i].data && k < n; k++) {
			if (k != i && members[k].data && first[k] >= first[i] &&
			    file + first[k] < members[i].data + members[i].packed)
				return ad_fail(err, ADTOOL_EFORMAT, "%s: overlaps %s in the file", names[i], names[k]);
		}
	}
	return 0;
}
