#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/lazy.h"
#include "../base/mem.h"
#include "dataset.h"

#define SYMBOLS(X) \
	X(archive_read_new) \
	X(archive_read_free) \
	X(archive_read_support_filter_gzip) \
	X(archive_read_support_filter_xz) \
	X(archive_read_support_filter_zstd) \
	X(archive_read_support_format_zip) \
	X(archive_read_support_format_tar) \
	X(archive_read_support_format_raw) \
	X(archive_read_set_read_callback) \
	X(archive_read_set_skip_callback) \
	X(archive_read_set_seek_callback) \
	X(archive_read_set_callback_data) \
	X(archive_read_open1) \
	X(archive_read_next_header) \
	X(archive_read_data) \
	X(archive_read_data_block) \
	X(archive_read_data_skip) \
	X(archive_filter_count) \
	X(archive_error_string) \
	X(archive_set_error) \
	X(archive_entry_pathname) \
	X(archive_entry_pathname_utf8) \
	X(archive_entry_filetype) \
	X(archive_entry_hardlink) \
	X(archive_entry_size) \
	X(archive_entry_size_is_set) \
	X(archive_entry_is_data_encrypted)

typedef struct api {
	SYMBOLS(AD_LAZY_MEMBER)
} api;

struct ad_archive_library {
	void *handle;
	api api;
	/* Member names that an archive says are UTF-8 come out as they are only in such a locale. */
	locale_t utf8;
};

enum {
	BLOCK_BYTES = 65536,
	TAR_HEADER_BYTES = 16 << 20,  /* what one member's headers may take */
	ZIP_MEMBER_BYTES = 256,       /* what a member's entry in a zip's directory takes, with a generous name */
};
#define RATIO_FROM ((uint64_t)64 << 20)
#define READ_STEP ((size_t)16 << 20)

struct ad_archive {
	const ad_archive_library *library;
	const char *name;
	adtool_dataset_options limits;
	enum ad_packing packing;
	int fd;
	uint64_t packed;         /* bytes of the file */
	uint64_t unpacked;       /* out of the decompressor; zip and plain tar: of the members read */
	uint64_t allowance;      /* bytes that may still be read before the headers are too long */
	struct archive *outer;   /* the decompressor of a compressed tar, else NULL */
	struct archive *members;
	uint64_t seen;           /* members met */
	int open;                /* the current member still has data to be read or skipped */
	int sized;               /* its size is known */
	int dead, told;          /* nothing more can be read; end.message has been given out */
	adtool_error end;        /* why */
	uint8_t head[AD_SNIFF_BYTES];
	size_t head_size;        /* bytes of the current member already taken to see what it is */
	ad_buf member, label;
	uint8_t *block;          /* BLOCK_BYTES */
};

int ad_archive_load(ad_archive_library **out, adtool_error *err)
{
	static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};
	ad_archive_library *library = ad_calloc(1, sizeof(*library));
	int code;

	_Static_assert(sizeof(names) == sizeof(api), "the table holds function pointers only");
	if (!library)
		return ad_fail_nomem(err);
	code = ad_lazy_open(AD_SONAME_ARCHIVE, names, sizeof(names) / sizeof(names[0]), &library->handle, &library->api,
			    err);
	if (code) {
		ad_free(library);
		return code;
	}
	library->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	*out = library;
	return 0;
}

void ad_archive_unload(ad_archive_library *library)
{
	if (!library)
		return;
	if (library->utf8)
		freelocale(library->utf8);
	ad_lazy_close(library->handle);
	ad_free(library);
}

/* For the current thread; (locale_t)0 only asks. */
static locale_t enter_locale(const ad_archive *s)
{
	return uselocale(s->library->utf8);
}

static void leave_locale(locale_t before)
{
	uselocale(before);
}

/* -- limits and the end ------------------------------------------------------------------------------ */

/* Ends the archive, for the first reason met. Returns the code. */
static int end_with(ad_archive *s, int code, const char *message)
{
	if (!s->dead) {
		s->dead = 1;
		ad_fail(&s->end, code, "%s", message);
	}
	return s->end.code;
}

static int end_damaged(ad_archive *s, struct archive *a)
{
	const char *text = s->library->api.archive_error_string(a);
	char message[512];

	if (s->seen)
		snprintf(message, sizeof(message), "damaged archive, after %" PRIu64 " members: %s", s->seen,
		         text ? text : "unknown error");
	else
		snprintf(message, sizeof(message), "%s: %s",
		         s->packing == AD_ZIP   ? "damaged zip archive"
		         : s->packing == AD_TAR ? "damaged tar archive"
		                                : "no tar archive can be unpacked from it",
		         text ? text : "unknown error");
	return end_with(s, ADTOOL_EFORMAT, message);
}

static int check_unpacked(ad_archive *s, uint64_t more)
{
	char message[256];

	s->unpacked += more;
	if (s->unpacked > s->limits.max_total_bytes)
		snprintf(message, sizeof(message),
			 "archive unpacks to more than the limit of %" PRIu64 " bytes (--max-unpacked)",
			 s->limits.max_total_bytes);
	else if (s->unpacked > RATIO_FROM && s->unpacked / s->limits.max_ratio > s->packed)
		snprintf(message, sizeof(message),
			 "archive unpacks to more than the limit of %u times its %" PRIu64 " bytes (--max-ratio)",
			 s->limits.max_ratio, s->packed);
	else
		return 0;
	return end_with(s, ADTOOL_ELIMIT, message);
}

static int check_allowance(ad_archive *s, size_t more)
{
	if (more > s->allowance)
		return end_with(
		    s, ADTOOL_ELIMIT,
		    s->packing == AD_ZIP
			? "the archive's directory is larger than its limit of members needs (--max-members)"
			: "a member's headers take more than the limit of 16 MiB");
	s->allowance -= more;
	return 0;
}

/* -- where libarchive's bytes come from -------------------------------------------------------------- */

static la_ssize_t take_file(struct archive *a, void *context, const void **block)
{
	ad_archive *s = context;
	ssize_t n;

	do
		n = read(s->fd, s->block, BLOCK_BYTES);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		int number = errno;

		ad_fail_errno(&s->end, number, "cannot read the archive");
		s->dead = 1;
		s->library->api.archive_set_error(a, number, "%s", s->end.message);
		return -1;
	}
	/* Below a decompressor it is what comes out that counts. */
	if (!s->outer && check_allowance(s, (size_t)n)) {
		s->library->api.archive_set_error(a, EFBIG, "%s", s->end.message);
		return -1;
	}
	*block = s->block;
	return n;
}

static la_int64_t skip_file(struct archive *a, void *context, la_int64_t request)
{
	ad_archive *s = context;
	off_t at = lseek(s->fd, 0, SEEK_CUR);
	la_int64_t left;

	(void)a;
	if (at < 0 || request <= 0)
		return 0;
	/* Not past the end, where a cut archive would look like a whole one. */
	left = (la_int64_t)s->packed - at;
	if (request > left)
		request = left;
	if (request <= 0 || lseek(s->fd, request, SEEK_CUR) < 0)
		return 0;
	return request;
}

static la_int64_t seek_file(struct archive *a, void *context, la_int64_t offset, int whence)
{
	ad_archive *s = context;
	off_t at = lseek(s->fd, offset, whence);

	if (at >= 0)
		return at;
	s->library->api.archive_set_error(a, errno, "cannot seek");
	return ARCHIVE_FATAL;
}

static la_ssize_t take_unpacked(struct archive *a, void *context, const void **block)
{
	ad_archive *s = context;
	const api *x = &s->library->api;
	la_int64_t offset;
	size_t n = 0;
	int r = x->archive_read_data_block(s->outer, block, &n, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK) {
		if (!s->dead)
			end_damaged(s, s->outer);
	} else if (!check_unpacked(s, n) && !check_allowance(s, n)) {
		return (la_ssize_t)n;
	}
	x->archive_set_error(a, EIO, "%s", s->end.message);
	return -1;
}

/* -- opening ----------------------------------------------------------------------------------------- */

static int open_decompressor(ad_archive *s, adtool_error *err)
{
	const api *x = &s->library->api;
	struct archive_entry *entry;
	struct archive *a = s->outer = x->archive_read_new();
	int r;

	if (!a)
		return ad_fail_nomem(err);
	r = s->packing == AD_TAR_GZIP ? x->archive_read_support_filter_gzip(a)
	    : s->packing == AD_TAR_XZ ? x->archive_read_support_filter_xz(a)
	                              : x->archive_read_support_filter_zstd(a);
	/* A warning means that an external program would be started. */
	if (r != ARCHIVE_OK)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "this machine's libarchive cannot unpack %s",
		               s->packing == AD_TAR_GZIP ? "gzip" : s->packing == AD_TAR_XZ ? "xz" : "zstd");
	x->archive_read_support_format_raw(a);
	x->archive_read_set_read_callback(a, take_file);
	x->archive_read_set_callback_data(a, s);
	if (x->archive_read_open1(a) != ARCHIVE_OK || x->archive_read_next_header(a, &entry) != ARCHIVE_OK) {
		end_damaged(s, a);
		return ad_fail(err, s->end.code, "%s", s->end.message);
	}
	if (x->archive_filter_count(a) > 2)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "archive compressed more than once");
	return 0;
}

static int open_members(ad_archive *s, adtool_error *err)
{
	const api *x = &s->library->api;
	struct archive *a = s->members = x->archive_read_new();

	if (!a)
		return ad_fail_nomem(err);
	s->allowance = TAR_HEADER_BYTES;
	if (s->packing == AD_ZIP)
		x->archive_read_support_format_zip(a);
	else
		x->archive_read_support_format_tar(a);
	if (s->outer) {
		x->archive_read_set_read_callback(a, take_unpacked);
	} else {
		x->archive_read_set_read_callback(a, take_file);
		x->archive_read_set_skip_callback(a, skip_file);
		x->archive_read_set_seek_callback(a, seek_file);
	}
	x->archive_read_set_callback_data(a, s);
	if (x->archive_read_open1(a) != ARCHIVE_OK) {
		end_damaged(s, a);
		return ad_fail(err, s->end.code, "%s", s->end.message);
	}
	return 0;
}

int ad_archive_open(const ad_archive_library *library, const char *name, int fd, uint64_t size,
                    enum ad_packing packing, const adtool_dataset_options *limits, ad_archive **out,
                    adtool_error *err)
{
	ad_archive *s = ad_calloc(1, sizeof(*s));
	locale_t before;
	int code = 0;

	if (!s) {
		close(fd);
		return ad_fail_nomem(err);
	}
	s->library = library;
	s->name = name;
	s->limits = *limits;
	s->packing = packing;
	s->fd = fd;
	s->packed = size;
	before = enter_locale(s);
	s->block = ad_malloc(BLOCK_BYTES);
	if (!s->block)
		code = ad_fail_nomem(err);
	if (!code && packing != AD_ZIP && packing != AD_TAR)
		code = open_decompressor(s, err);
	if (!code)
		code = open_members(s, err);
	leave_locale(before);
	if (code)
		ad_archive_close(s);
	else
		*out = s;
	return code;
}

void ad_archive_close(ad_archive *s)
{
	if (!s)
		return;
	if (s->members)
		s->library->api.archive_read_free(s->members);
	if (s->outer)
		s->library->api.archive_read_free(s->outer);
	close(s->fd);
	ad_buf_release(&s->member);
	ad_buf_release(&s->label);
	ad_free(s->block);
	ad_free(s);
}

/* -- members ----------------------------------------------------------------------------------------- */

/* Passes over what is left of the current member, under the limits. */
static void skip_member(ad_archive *s)
{
	const api *x = &s->library->api;
	int r = ARCHIVE_OK;

	s->allowance = UINT64_MAX;
	if (s->open && s->sized && !s->outer) {
		r = x->archive_read_data_skip(s->members);
	} else if (s->open) {
		/* Piece by piece, so that a bomb is noticed before it is over. */
		while (r == ARCHIVE_OK && !s->dead) {
			const void *data;
			la_int64_t offset;
			size_t n;

			r = x->archive_read_data_block(s->members, &data, &n, &offset);
			if (r == ARCHIVE_OK && !s->outer)
				check_unpacked(s, n);
		}
	}
	s->open = 0;
	/* Damage of one member only does not matter, as nobody wants it. */
	if (r == ARCHIVE_FATAL)
		end_damaged(s, s->members);
}

/* Whether a part of the path is hidden. */
static int is_hidden(const char *path)
{
	const char *part = path;

	while (part) {
		const char *slash = strchr(part, '/');
		size_t n = slash ? (size_t)(slash - part) : strlen(part);

		if (n && part[0] == '.' && !(n == 1 || (n == 2 && part[1] == '.')))
			return 1;
		part = slash ? slash + 1 : NULL;
	}
	return 0;
}

/* Reads the current member's first bytes; a short count is the end of it. */
static int read_head(ad_archive *s, adtool_error *why)
{
	const api *x = &s->library->api;
	la_ssize_t n = x->archive_read_data(s->members, s->head, sizeof(s->head));

	if (n < 0) {
		const char *text = x->archive_error_string(s->members);

		if (n == ARCHIVE_FATAL)
			end_damaged(s, s->members);
		return ad_fail(why, s->dead ? s->end.code : ADTOOL_EFORMAT, "%s",
		               s->dead ? s->end.message : text ? text : "damaged member");
	}
	s->head_size = (size_t)n;
	return 0;
}

/* What becomes of a member. */
enum verdict { IGNORED, PASSED_OVER, GIVEN };

static enum verdict judge(ad_archive *s, struct archive_entry *entry, const char *path, adtool_error *why)
{
	const api *x = &s->library->api;
	unsigned type = x->archive_entry_filetype(entry);
	const char *link = x->archive_entry_hardlink(entry);
	int64_t size = s->sized ? x->archive_entry_size(entry) : 0;

	if (type == AE_IFDIR || is_hidden(path))
		return IGNORED;
	if ((link && size == 0) || type == AE_IFLNK) {
		if (!ad_kind_suffix(path))
			return PASSED_OVER;
		ad_fail(why, ADTOOL_EUNSUPPORTED, "a link within an archive; its bytes are not here");
	} else if (type && type != AE_IFREG) {
		ad_file_refuse(type, why);
	} else if (x->archive_entry_is_data_encrypted(entry)) {
		ad_fail(why, ADTOOL_EUNSUPPORTED, "encrypted");
	} else if (!ad_kind_suffix(path) && !read_head(s, why) && !ad_kind_picture(s->head, s->head_size)) {
		return PASSED_OVER;
	} else if (s->dead) {
		/* The archive's own error says it. */
		return IGNORED;
	} else if (!why->code && size > 0 && (uint64_t)size > s->limits.max_file_bytes) {
		ad_fail(why, ADTOOL_ELIMIT,
			"member of %" PRId64 " bytes, more than the limit of %" PRIu64 " (--max-file-size)", size,
			s->limits.max_file_bytes);
	}
	return GIVEN;
}

/* Moves to the next member. 1: it is there; 0: there is none, or the archive is dead. */
static int advance(ad_archive *s, struct archive_entry **entry)
{
	const api *x = &s->library->api;
	char message[128];
	int r;

	skip_member(s);
	s->head_size = 0;
	if (s->dead)
		return 0;
	if (s->packing == AD_ZIP && s->seen == 0)
		s->allowance = s->limits.max_members > UINT64_MAX / ZIP_MEMBER_BYTES - TAR_HEADER_BYTES
		                       ? UINT64_MAX
		                       : s->limits.max_members * ZIP_MEMBER_BYTES + TAR_HEADER_BYTES;
	else
		s->allowance = TAR_HEADER_BYTES;
	r = x->archive_read_next_header(s->members, entry);
	s->allowance = UINT64_MAX;
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
		end_damaged(s, s->members);
		return 0;
	}
	if (s->seen >= s->limits.max_members) {
		snprintf(message, sizeof(message),
			 "archive of more than the limit of %" PRIu64 " members (--max-members)",
			 s->limits.max_members);
		end_with(s, ADTOOL_ELIMIT, message);
		return 0;
	}
	s->seen++;
	s->sized = x->archive_entry_size_is_set(*entry) != 0;
	return 1;
}

static int name_member(ad_archive *s, const char *path, adtool_error *err)
{
	ad_buf_clear(&s->member);
	ad_buf_puts(&s->member, s->name);
	ad_buf_putc(&s->member, ':');
	ad_buf_puts(&s->member, path);
	if (s->member.failed || ad_kind_label(path, &s->label))
		return ad_fail_nomem(err);
	return 0;
}

static int next_member(ad_archive *s, adtool_item *item, adtool_error *why, uint64_t *passed_over, adtool_error *err)
{
	const api *x = &s->library->api;
	struct archive_entry *entry;
	char fallback[32];

	while (advance(s, &entry)) {
		const char *path = x->archive_entry_pathname(entry);
		enum verdict verdict;
		int code;

		if (!path)
			path = x->archive_entry_pathname_utf8(entry);
		if (!path) {
			snprintf(fallback, sizeof(fallback), "#%" PRIu64, s->seen);
			path = fallback;
		}
		while (path[0] == '.' && path[1] == '/')
			path += 2 + strspn(path + 2, "/");
		why->code = 0;
		verdict = judge(s, entry, path, why);
		s->open = 1;
		if (verdict == PASSED_OVER)
			(*passed_over)++;
		if (verdict != GIVEN)
			continue;
		code = name_member(s, path, err);
		if (code)
			return code;
		item->name = (const char *)s->member.data;
		item->label = (const char *)s->label.data;
		item->archive = s->name;
		return 1;
	}
	if (!s->dead || s->told)
		return 0;
	if (s->end.code == ADTOOL_ENOMEM)
		return ad_fail_nomem(err);
	s->told = 1;
	*why = s->end;
	item->name = s->name;
	item->label = "";
	item->archive = NULL;
	return 1;
}

int ad_archive_next(ad_archive *s, adtool_item *item, adtool_error *why, uint64_t *passed_over, adtool_error *err)
{
	locale_t before = enter_locale(s);
	int r = next_member(s, item, why, passed_over, err);

	leave_locale(before);
	return r;
}

static int read_member(ad_archive *s, ad_buf *out, adtool_error *err)
{
	const api *x = &s->library->api;
	size_t start = out->size;

	s->open = 1;
	s->allowance = UINT64_MAX;
	if (ad_buf_add(out, s->head, s->head_size))
		return ad_fail_nomem(err);
	if (!s->outer)
		check_unpacked(s, s->head_size);
	while (!s->dead) {
		size_t have = out->size - start;
		/* As much again as there is already: the size a member claims may be a lie. */
		size_t step = have < BLOCK_BYTES ? BLOCK_BYTES : have < READ_STEP ? have : READ_STEP;
		la_ssize_t n;

		if (have > s->limits.max_file_bytes)
			return ad_fail(err, ADTOOL_ELIMIT,
				       "member of more than the limit of %" PRIu64 " bytes (--max-file-size)",
				       s->limits.max_file_bytes);
		if (ad_buf_reserve(out, step))
			return ad_fail_nomem(err);
		n = x->archive_read_data(s->members, out->data + out->size, step);
		if (n == 0) {
			s->open = 0;
			out->data[out->size] = '\0';
			return 0;
		}
		if (n == ARCHIVE_FATAL) {
			end_damaged(s, s->members);
		} else if (n < 0) {
			const char *text = x->archive_error_string(s->members);

			return ad_fail(err, ADTOOL_EFORMAT, "damaged member: %s", text ? text : "unknown error");
		} else {
			out->size += (size_t)n;
			if (!s->outer)
				check_unpacked(s, (uint64_t)n);
		}
	}
	return ad_fail(err, s->end.code, "%s", s->end.message);
}

int ad_archive_head(ad_archive *s, uint8_t head[AD_SNIFF_BYTES], size_t *size, adtool_error *err)
{
	locale_t before = enter_locale(s);
	int code = s->head_size ? 0 : read_head(s, err);

	leave_locale(before);
	if (code)
		return code;
	memcpy(head, s->head, s->head_size);
	*size = s->head_size;
	return 0;
}

int ad_archive_read(ad_archive *s, ad_buf *out, adtool_error *err)
{
	locale_t before = enter_locale(s);
	int code = read_member(s, out, err);

	leave_locale(before);
	return code;
}
