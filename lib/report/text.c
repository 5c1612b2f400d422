#include "text.h"

#include <math.h>

#include <adtool/report.h>

#include "../base/fail.h"
#include "../base/json.h"

void ad_text_json_number(ad_buf *out, double value)
{
	if (isfinite(value))
		ad_buf_double(out, value);
	else
		ad_buf_puts(out, "null");
}

void ad_text_base64(ad_buf *out, const void *bytes, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *s = bytes;
	size_t i;

	for (i = 0; i < size; i += 3) {
		size_t left = size - i;
		unsigned word =
		    (unsigned)s[i] << 16 | (left > 1 ? (unsigned)s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0u);
		char four[4] = {digits[word >> 18], digits[word >> 12 & 63], '=', '='};

		if (left > 1)
			four[2] = digits[word >> 6 & 63];
		if (left > 2)
			four[3] = digits[word & 63];
		ad_buf_add(out, four, sizeof(four));
	}
}

void ad_text_tsv(ad_buf *out, const char *bytes)
{
	for (;;) {
		size_t n = strcspn(bytes, "\\\t\n\r");
		char c = bytes[n];

		ad_buf_add(out, bytes, n);
		if (!c)
			return;
		ad_buf_putc(out, '\\');
		ad_buf_putc(out, c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : '\\');
		bytes += n + 1;
	}
}

void ad_text_csv(ad_buf *out, const char *bytes)
{
	if (!bytes[strcspn(bytes, ",\"\r\n")]) {
		ad_buf_puts(out, bytes);
		return;
	}
	ad_buf_putc(out, '"');
	for (;;) {
		size_t n = strcspn(bytes, "\"");

		ad_buf_add(out, bytes, n);
		if (!bytes[n])
			break;
		ad_buf_puts(out, "\"\"");
		bytes += n + 1;
	}
	ad_buf_putc(out, '"');
}

static void html(ad_buf *out, const char *bytes, int breaks)
{
	const uint8_t *s = (const uint8_t *)bytes;

	while (*s) {
		int n = ad_utf8_length(s);

		if (n < 0 || *s < 0x20 || *s == 0x7f || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0)) {
			ad_buf_puts(out, "\xef\xbf\xbd");
			s += n < 0 ? -n : n;
			continue;
		}
		switch (*s) {
		case '&':
			ad_buf_puts(out, "&amp;");
			break;
		case '<':
			ad_buf_puts(out, "&lt;");
			break;
		case '>':
			ad_buf_puts(out, "&gt;");
			break;
		case '"':
			ad_buf_puts(out, "&quot;");
			break;
		case '\'':
			ad_buf_puts(out, "&#39;");
			break;
		default:
			ad_buf_add(out, s, (size_t)n);
		}
		if (breaks && *s == '/' && s[1])
			ad_buf_puts(out, "<wbr>");
		s += n;
	}
}

void ad_text_html(ad_buf *out, const char *bytes)
{
	html(out, bytes, 0);
}

void ad_text_html_path(ad_buf *out, const char *bytes)
{
	html(out, bytes, 1);
}

/* printf's number: what is neither digit, sign nor exponent is the locale's decimal point, of whatever length. */
static void put_printed(ad_buf *out, const char *text)
{
	while (*text) {
		size_t n = strspn(text, "0123456789+-e");

		ad_buf_add(out, text, n);
		text += n;
		if (!*text)
			break;
		ad_buf_putc(out, '.');
		text += strcspn(text, "0123456789");
	}
}

void ad_text_fixed(ad_buf *out, double value, int decimals)
{
	char text[400]; /* DBL_MAX has 309 digits */

	if (!isfinite(value)) {
		ad_buf_puts(out, "\xe2\x80\x93");
		return;
	}
	snprintf(text, sizeof(text), "%.*f", decimals, value);
	put_printed(out, text);
}

void ad_text_short(ad_buf *out, double value, int digits)
{
	char text[64];

	if (!isfinite(value)) {
		ad_buf_puts(out, "\xe2\x80\x93");
		return;
	}
	snprintf(text, sizeof(text), "%.*g", digits, value);
	put_printed(out, text);
}

int adtool_json_string(const char *bytes, char **text, adtool_error *err)
{
	ad_buf b = {0};

	ad_json_string(&b, bytes);
	if (b.failed) {
		ad_buf_release(&b);
		return ad_fail_nomem(err);
	}
	*text = (char *)b.data;
	return 0;
}
