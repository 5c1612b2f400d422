#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../base/magic.h"
#include "dataset.h"

static int ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);
	size_t i;

	if (n <= m)
		return 0;
	/* Not strcasecmp: what is a letter must not depend on the locale. */
	for (i = 0; i < m; i++) {
		char c = name[n - m + i];

		if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != suffix[i])
			return 0;
	}
	return 1;
}

int ad_kind_suffix(const char *name)
{
	static const char *const suffixes[] = {
	        ".jpg", ".jpeg", ".jpe",  ".jfif", ".png",  ".bmp", ".dib",  ".pnm",  ".pgm",  ".ppm",
	        ".pbm", ".pam", ".tif",  ".tiff", ".webp", ".gif",  ".heic", ".heif", ".avif", ".jxl",
	};
	size_t i;

	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (ends_in(name, suffixes[i]))
			return 1;
	return 0;
}

static int begins(const uint8_t *head, size_t size, size_t at, const char *bytes, size_t n)
{
	return size >= at + n && !memcmp(head + at, bytes, n);
}

#define BEGINS(at, text) begins(head, size, at, text, sizeof(text) - 1)

int ad_kind_picture(const uint8_t *head, size_t size)
{
	const ad_magic *magic = ad_magic_of(head, size);

	return magic && magic->picture;
}

/* A tar header's checksum: the sum of its 512 bytes, itself taken as spaces, in octal at 148. */
static int is_tar(const uint8_t *head, size_t size)
{
	unsigned sum = 0, stated = 0;
	size_t i;

	if (size < AD_HEAD_BYTES)
		return 0;
	if (BEGINS(257, "ustar"))
		return 1;
	for (i = 0; i < AD_HEAD_BYTES; i++)
		sum += i >= 148 && i < 156 ? ' ' : head[i];
	for (i = 148; i < 156 && head[i] == ' '; i++)
		;
	if (i == 156 || head[i] < '0' || head[i] > '7')
		return 0;
	for (; i < 156 && head[i] >= '0' && head[i] <= '7'; i++)
		stated = stated * 8 + (unsigned)(head[i] - '0');
	return stated == sum;
}

static int all_zero(const uint8_t *head, size_t size)
{
	size_t i;

	for (i = 0; i < size && !head[i]; i++)
		;
	return i == size;
}

enum ad_packing ad_kind_archive(const uint8_t *head, size_t size, const char *name)
{
	if (BEGINS(0, "PK\x03\x04") || BEGINS(0, "PK\x05\x06") || BEGINS(0, "PK\x07\x08"))
		return AD_ZIP;
	if (BEGINS(0, "\x1f\x8b"))
		return AD_TAR_GZIP;
	if (BEGINS(0, "\xfd" "7zXZ\0"))
		return AD_TAR_XZ;
	if (BEGINS(0, "\x28\xb5\x2f\xfd") || (BEGINS(1, "\x2a\x4d\x18") && (head[0] & 0xf0) == 0x50))
		return AD_TAR_ZSTD;
	/* A tar of no members is all zeros, as is a picture that a crash has cut: the name decides. */
	if (is_tar(head, size) || (size == AD_HEAD_BYTES && ends_in(name, ".tar") && all_zero(head, size)))
		return AD_TAR;
	return AD_PACKING_NONE;
}

int ad_kind_head(int fd, uint8_t *head, size_t size, size_t *got, adtool_error *err)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = pread(fd, head + have, size - have, (off_t)have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ad_fail_errno(err, errno, "cannot read");
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*got = have;
	return 0;
}

int ad_kind_access(const char *path, adtool_error *err)
{
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS))
		return ad_fail_errno(err, errno, "cannot open");
	return 0;
}

int ad_kind_label(const char *path, ad_buf *label)
{
	const char *part = path, *slash;

	ad_buf_clear(label);
	for (; (slash = strchr(part, '/')); part = slash + 1) {
		size_t n = (size_t)(slash - part);

		if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
			continue;
		if (label->size)
			ad_buf_putc(label, '/');
		ad_buf_add(label, part, n);
	}
	/* An empty label is a string too. */
	return ad_buf_puts(label, "");
}
