#include "container.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zip.h>

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/lazy.h"
#include "../base/mem.h"

#define SYMBOLS(X) \
	X(zip_close) X(zip_discard) X(zip_error_fini) X(zip_error_init) X(zip_error_set) X(zip_error_strerror) \
	X(zip_error_to_data) X(zip_fclose) X(zip_file_add) X(zip_file_extra_field_set) X(zip_file_set_dostime) \
	X(zip_file_set_external_attributes) X(zip_fopen) X(zip_fread) X(zip_open_from_source) \
	X(zip_set_file_compression) X(zip_source_buffer) X(zip_source_buffer_create) X(zip_source_free) \
	X(zip_source_function_create) X(zip_strerror)

struct api {
	void *handle;
	SYMBOLS(AD_LAZY_MEMBER)
};

static int open_api(struct api *api, adtool_error *err)
{
	static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};

	return ad_lazy_open(AD_SONAME_ZIP, names, sizeof(names) / sizeof(names[0]), &api->handle, &api->zip_close,
			    err);
}

/* -- writing ----------------------------------------------------------------------------------------- */

/*
 * The file that libzip writes to: a descriptor. It starts empty and is never read back. What libzip writes 8 KiB at a
 * time is gathered: file systems then hold it in larger pieces, of which a page fault maps many at once when the model
 * is opened.
 */
enum { GATHERED = 4 << 20 };
struct sink {
	const struct api *api;
	int fd;
	uint8_t *gathered;
	size_t size; /* of what is gathered; it follows what was written */
	int errno_value; /* of the first write that failed */
	zip_error_t error;
};

static zip_int64_t sink_fail(struct sink *s, int zip_code, int errno_value)
{
	if (!s->errno_value)
		s->errno_value = errno_value;
	s->api->zip_error_set(&s->error, zip_code, errno_value);
	return -1;
}

static int sink_flush(struct sink *s)
{
	size_t size = s->size;

	s->size = 0;
	return ad_write_all(s->fd, s->gathered, size) ? (int)sink_fail(s, ZIP_ER_WRITE, errno) : 0;
}

static int sink_write(struct sink *s, const uint8_t *data, size_t size)
{
	while (size) {
		size_t n = GATHERED - s->size < size ? GATHERED - s->size : size;

		memcpy(s->gathered + s->size, data, n);
		s->size += n;
		data += n;
		size -= n;
		if (s->size == GATHERED && sink_flush(s))
			return -1;
	}
	return 0;
}

static zip_int64_t sink_command(void *state, void *data, zip_uint64_t size, zip_source_cmd_t command)
{
	struct sink *s = state;
	const zip_source_args_seek_t *seek;
	off_t at;

	switch (command) {
	case ZIP_SOURCE_SUPPORTS:
		return ZIP_SOURCE_SUPPORTS_WRITABLE;
	case ZIP_SOURCE_STAT:
		/* There is no archive there yet. */
		s->api->zip_error_set(&s->error, ZIP_ER_READ, ENOENT);
		return -1;
	case ZIP_SOURCE_ERROR:
		return s->api->zip_error_to_data(&s->error, data, size);
	case ZIP_SOURCE_WRITE:
		return sink_write(s, data, (size_t)size) ? -1 : (zip_int64_t)size;
	case ZIP_SOURCE_SEEK_WRITE:
		if (size < sizeof(*seek))
			return sink_fail(s, ZIP_ER_INVAL, 0);
		seek = data;
		if (sink_flush(s))
			return -1;
		if (lseek(s->fd, seek->offset, seek->whence) < 0)
			return sink_fail(s, ZIP_ER_SEEK, errno);
		return 0;
	case ZIP_SOURCE_TELL_WRITE:
		at = lseek(s->fd, 0, SEEK_CUR);
		return at < 0 ? sink_fail(s, ZIP_ER_TELL, errno) : at + (zip_int64_t)s->size;
	case ZIP_SOURCE_COMMIT_WRITE:
		return sink_flush(s);
	case ZIP_SOURCE_BEGIN_WRITE:
	case ZIP_SOURCE_ROLLBACK_WRITE:
	case ZIP_SOURCE_FREE:
		return 0;
	default:
		return sink_fail(s, ZIP_ER_OPNOTSUPP, 0);
	}
}

static void dos_time(int64_t seconds, zip_uint16_t *time, zip_uint16_t *date)
{
	const int64_t first = 315532800, last = 4354819198; /* 1980-01-01 00:00:00, 2107-12-31 23:59:58 */
	time_t t = (time_t)(seconds < first ? first : seconds > last ? last : seconds);
	struct tm tm = {.tm_year = 80, .tm_mday = 1};

	gmtime_r(&t, &tm);
	*time = (zip_uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
	*date = (zip_uint16_t)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
}

/* Adds one member whose local header will stand at `at`; its data begin at a multiple of AD_CONTAINER_ALIGN. */
static int add_member(const struct api *api, zip_t *zip, const ad_packed *m, uint64_t *at, zip_uint16_t time,
                      zip_uint16_t date)
{
	/* The field that zipalign uses: the alignment, then zeros as far as needed. */
	enum { LOCAL_HEADER = 30, FIELD_HEADER = 4, ALIGN_ID = 0xd935 };
	uint8_t field[2 + AD_CONTAINER_ALIGN] = {AD_CONTAINER_ALIGN & 0xff, AD_CONTAINER_ALIGN >> 8};
	uint64_t start = *at + LOCAL_HEADER + strlen(m->name) + FIELD_HEADER + 2;
	uint64_t padding = (AD_CONTAINER_ALIGN - start % AD_CONTAINER_ALIGN) % AD_CONTAINER_ALIGN;
	zip_source_t *source = api->zip_source_buffer(zip, m->data, m->size, 0);
	zip_int64_t added;
	zip_uint64_t index;

	if (!source)
		return -1;
	added = api->zip_file_add(zip, m->name, source, ZIP_FL_ENC_UTF_8);
	if (added < 0) {
		api->zip_source_free(source);
		return -1;
	}
	index = (zip_uint64_t)added;
	*at = start + padding + m->size;
	return api->zip_set_file_compression(zip, index, ZIP_CM_STORE, 0) ||
	       api->zip_file_set_dostime(zip, index, time, date, 0) ||
	       api->zip_file_set_external_attributes(zip, index, 0, ZIP_OPSYS_UNIX, (zip_uint32_t)0100644 << 16) ||
	       api->zip_file_extra_field_set(zip, index, ALIGN_ID, ZIP_EXTRA_FIELD_NEW, field,
	                                     (zip_uint16_t)(2 + padding), ZIP_FL_LOCAL);
}

int ad_container_write(int fd, const ad_packed *members, size_t n, int64_t time, adtool_error *err)
{
	struct api api = {0};
	struct sink sink = {.api = &api, .fd = fd};
	zip_source_t *target = NULL;
	zip_t *zip = NULL;
	zip_error_t error;
	zip_uint16_t dos[2];
	uint64_t at = 0;
	size_t i;
	int code;

	sink.gathered = ad_malloc(GATHERED);
	if (!sink.gathered)
		return ad_fail_nomem(err);
	code = open_api(&api, err);
	if (code) {
		ad_free(sink.gathered);
		return code;
	}
	api.zip_error_init(&error);
	api.zip_error_init(&sink.error);
	target = api.zip_source_function_create(sink_command, &sink, &error);
	if (target)
		zip = api.zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &error);
	if (!zip) {
		code = ad_fail(err, ADTOOL_EIO, "cannot start a zip file: %s", api.zip_error_strerror(&error));
		if (target)
			api.zip_source_free(target);
		goto out;
	}
	dos_time(time, &dos[0], &dos[1]);
	for (i = 0; i < n && !code; i++) {
		if (add_member(&api, zip, &members[i], &at, dos[0], dos[1]))
			code = ad_fail(err, ADTOOL_EIO, "%s: cannot be added to the zip file: %s", members[i].name,
			               api.zip_strerror(zip));
	}
	if (!code && api.zip_close(zip)) {
		if (sink.errno_value)
			code = ad_fail_errno(err, sink.errno_value, "cannot write");
		else
			code = ad_fail(err, ADTOOL_EIO, "cannot write the zip file: %s", api.zip_strerror(zip));
	}
	if (code)
		api.zip_discard(zip);
out:
	api.zip_error_fini(&sink.error);
	api.zip_error_fini(&error);
	ad_lazy_close(api.handle);
	ad_free(sink.gathered);
	return code;
}

/* -- reading ----------------------------------------------------------------------------------------- */

struct ad_container {
	struct api api;
	zip_t *zip;
};

int ad_container_open(const void *file, size_t size, ad_container **out, adtool_error *err)
{
	ad_container *c = ad_calloc(1, sizeof(*c));
	zip_source_t *source;
	zip_error_t error;
	int code;

	if (!c)
		return ad_fail_nomem(err);
	code = open_api(&c->api, err);
	if (code) {
		ad_free(c);
		return code;
	}
	c->api.zip_error_init(&error);
	source = c->api.zip_source_buffer_create(file, size, 0, &error);
	if (source)
		c->zip = c->api.zip_open_from_source(source, ZIP_RDONLY, &error);
	if (!c->zip) {
		code = ad_fail(err, ADTOOL_EFORMAT, "cannot be unpacked: %s", c->api.zip_error_strerror(&error));
		if (source)
			c->api.zip_source_free(source);
	}
	c->api.zip_error_fini(&error);
	if (code)
		ad_container_free(c);
	else
		*out = c;
	return code;
}

int ad_container_read(ad_container *c, const char *name, void *data, size_t size, adtool_error *err)
{
	zip_file_t *file = c->api.zip_fopen(c->zip, name, 0);
	size_t at = 0;
	uint8_t more;
	int code = 0;

	if (!file)
		return ad_fail(err, ADTOOL_EFORMAT, "%s: cannot be unpacked: %s", name, c->api.zip_strerror(c->zip));
	while (at < size) {
		zip_int64_t got = c->api.zip_fread(file, (uint8_t *)data + at, size - at);

		if (got <= 0)
			break;
		at += (size_t)got;
	}
	/* The read at the end is also the one that finds a wrong CRC. */
	if (at < size || c->api.zip_fread(file, &more, 1) != 0)
		code = ad_fail(err, ADTOOL_EFORMAT, "%s: damaged: its packed bytes do not give the %zu bytes claimed",
		               name, size);
	if (c->api.zip_fclose(file) && !code)
		code = ad_fail(err, ADTOOL_EFORMAT, "%s: damaged: it does not unpack cleanly", name);
	return code;
}

void ad_container_free(ad_container *c)
{
	if (!c)
		return;
	if (c->zip)
		c->api.zip_discard(c->zip);
	ad_lazy_close(c->api.handle);
	ad_free(c);
}
