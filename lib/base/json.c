#include "json.h"

int ad_utf8_length(const uint8_t *s)
{
	uint8_t low = 0x80, high = 0xbf;
	int n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return -1;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	for (i = 1; i < n; i++) {
		if (s[i] < low || s[i] > high)
			return -i;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

static void json_escape(ad_buf *out, uint8_t c)
{
	static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	size_t i;

	for (i = 0; i + 1 < sizeof(names); i += 2)
		if (c == (uint8_t)names[i]) {
			ad_buf_putc(out, '\\');
			ad_buf_putc(out, names[i + 1]);
			return;
		}
	ad_buf_printf(out, "\\u%04x", c);
}

int ad_json_string(ad_buf *out, const char *bytes)
{
	const uint8_t *s = (const uint8_t *)bytes, *plain = s;
	int damaged = 0;

	ad_buf_putc(out, '"');
	while (*s) {
		int n = ad_utf8_length(s);

		if (n > 0 && *s >= 0x20 && *s != '"' && *s != '\\') {
			s += n;
			continue;
		}
		ad_buf_add(out, plain, (size_t)(s - plain));
		if (n < 0) {
			ad_buf_puts(out, "\xef\xbf\xbd");
			damaged = 1;
			s -= n;
		} else {
			json_escape(out, *s);
			s++;
		}
		plain = s;
	}
	ad_buf_add(out, plain, (size_t)(s - plain));
	ad_buf_putc(out, '"');
	return damaged;
}
