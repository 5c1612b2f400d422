#include <math.h>

#include "cli.h"

const char *cli_safe(const char *text)
{
	static char ring[8][4096];
	static unsigned next;
	char *out = ring[next++ % 8];
	size_t n = 0;

	/* An escape takes four bytes, and the NUL one more. */
	for (const unsigned char *c = (const unsigned char *)text; *c && n + 5 <= sizeof(ring[0]); c++) {
		if (*c == '\n' || *c == '\t') {
			out[n++] = '\\';
			out[n++] = *c == '\n' ? 'n' : 't';
		} else if (*c < 0x20 || *c == 0x7f) {
			n += (size_t)snprintf(out + n, 5, "\\x%02x", *c);
		} else {
			out[n++] = (char)*c;
		}
	}
	out[n] = '\0';
	return out;
}

const char *cli_number(char out[CLI_NUMBER_SIZE], double value)
{
	if (!isfinite(value)) {
		snprintf(out, CLI_NUMBER_SIZE, "null");
		return out;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, CLI_NUMBER_SIZE, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			break;
	}
	return out;
}

static const char *scaled(char out[CLI_NUMBER_SIZE], double value, const char *unit)
{
	static const char prefixes[] = " kMGTPE";
	size_t i = 0;

	while (value >= 999.5 && prefixes[i + 1]) {
		value /= 1000;
		i++;
	}
	int decimals = i == 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2;
	snprintf(out, CLI_NUMBER_SIZE, i || unit[0] ? "%.*f %.*s%s" : "%.*f%.*s%s", decimals, value, i ? 1 : 0,
		 &prefixes[i], unit);
	return out;
}

const char *cli_bytes(char out[CLI_NUMBER_SIZE], uint64_t bytes)
{
	return scaled(out, (double)bytes, "B");
}

const char *cli_big(char out[CLI_NUMBER_SIZE], double value)
{
	return scaled(out, value, "");
}

void cli_print_json_string(const char *text)
{
	char *json;
	adtool_error err;

	if (adtool_json_string(text, &json, &err)) {
		cli_message(NULL, "%s", err.message);
		exit(CLI_FAILURE);
	}
	cli_write(json, strlen(json));
	adtool_free(json);
}

const char *cli_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
