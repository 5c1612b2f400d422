#include "internal.h"

#include "../base/fail.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_hex(const char *digits, uint8_t rgb[3])
{
	size_t n = strlen(digits), i;

	if (n != 3 && n != 6)
		return 0;
	for (i = 0; i < n; i++)
		if (hex(digits[i]) < 0)
			return 0;
	for (i = 0; i < 3; i++)
		rgb[i] = (uint8_t)(n == 3 ? 17 * hex(digits[i]) : 16 * hex(digits[2 * i]) + hex(digits[2 * i + 1]));
	return 1;
}

int adtool_color_parse(const char *text, uint8_t rgb[3], adtool_error *err)
{
	static const struct {
		const char *name;
		uint8_t rgb[3];
	} names[] = {
	    {"black", {0, 0, 0}},  {"white", {255, 255, 255}}, {"gray", {128, 128, 128}}, {"red", {255, 0, 0}},
	    {"green", {0, 128, 0}}, {"blue", {0, 0, 255}},      {"cyan", {0, 255, 255}},   {"magenta", {255, 0, 255}},
	    {"yellow", {255, 255, 0}},
	};
	uint8_t got[3];
	size_t i;

	if (text[0] == '#' && parse_hex(text + 1, got)) {
		memcpy(rgb, got, sizeof(got));
		return 0;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(text, names[i].name)) {
			memcpy(rgb, names[i].rgb, sizeof(got));
			return 0;
		}
	return ad_fail(
	    err, ADTOOL_EINVAL,
	    "'%s' is no colour (#rrggbb, #rgb, or black, white, gray, red, green, blue, cyan, magenta, yellow)", text);
}
