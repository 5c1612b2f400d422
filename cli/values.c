/* The values of options: what their text means, checked. */
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>

#include "options.h"

void cli_list_add(cli_list *list, const char *item)
{
	list->items = cli_realloc(list->items, list->count + 1, sizeof(*list->items));
	list->items[list->count++] = item;
}

static int parse_whole(const char *text, uint64_t max, uint64_t *out, const char **end)
{
	char *stop;

	if (!isdigit((unsigned char)text[0]))
		return -1;
	errno = 0;
	unsigned long long n = strtoull(text, &stop, 10);
	if (errno || n > max)
		return -1;
	*out = n;
	*end = stop;
	return 0;
}

static int parse_real(const char *text, char terminator, double *out, const char **end)
{
	char *stop;

	if (!text[0] || isspace((unsigned char)text[0]))
		return -1;
	double x = strtod(text, &stop);
	if (stop == text || *stop != terminator || !isfinite(x))
		return -1;
	*out = x;
	*end = stop;
	return 0;
}

static int whole_value(const cli_given_option *g, const char *text, uint64_t limit, uint64_t *out)
{
	const cli_option *o = g->option;
	const char *end;
	uint64_t min = 0, max = limit;

	if (o->max > o->min) {
		min = (uint64_t)o->min;
		max = (uint64_t)o->max;
	}
	if (parse_whole(text, max, out, &end) || *end || *out < min) {
		if (max == limit)
			return cli_usage_error("option '%s' wants a whole number, not '%s'", g->name, text);
		return cli_usage_error("option '%s' wants a whole number from %llu to %llu, not '%s'", g->name,
				       (unsigned long long)min, (unsigned long long)max, text);
	}
	return 0;
}

static int bytes_value(const cli_given_option *g, const char *text)
{
	static const char suffixes[] = "KMGT";
	const char *end, *suffix;
	uint64_t n;
	unsigned shift = 0;

	if (parse_whole(text, UINT64_MAX, &n, &end))
		goto refused;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			goto refused;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (n == 0 || n > UINT64_MAX >> shift)
		goto refused;
	*(uint64_t *)g->option->value = n << shift;
	return 0;
refused:
	return cli_usage_error("option '%s' wants a size such as 800M or 2G, not '%s'", g->name, text);
}

static int double_value(const cli_given_option *g, const char *text)
{
	const cli_option *o = g->option;
	const char *end;
	double x;

	if (parse_real(text, '\0', &x, &end))
		return cli_usage_error("option '%s' wants a number, not '%s'", g->name, text);
	if (o->max > o->min) {
		bool below = o->flags & CLI_ABOVE_MIN ? x <= o->min : x < o->min;
		bool above = o->flags & CLI_BELOW_MAX ? x >= o->max : x > o->max;
		if (below || above)
			return cli_usage_error("option '%s' wants a number %s %g and %s %g, not '%s'", g->name,
					       o->flags & CLI_ABOVE_MIN ? "above" : "from", o->min,
					       o->flags & CLI_BELOW_MAX ? "below" : "up to", o->max, text);
	}
	*(double *)o->value = x;
	return 0;
}

static int word_value(const cli_given_option *g, const char *text)
{
	for (int i = 0; g->option->words[i]; i++) {
		if (!strcmp(g->option->words[i], text)) {
			*(int *)g->option->value = i;
			return 0;
		}
	}
	return cli_usage_error("option '%s' wants one of %s, not '%s'", g->name, g->option->argument, text);
}

static int size_value(const cli_given_option *g, const char *text)
{
	cli_size *size = g->option->value;
	uint64_t min = (uint64_t)g->option->min, max = (uint64_t)g->option->max, w, h;
	const char *end;

	if (parse_whole(text, max, &w, &end) || *end != 'x' || parse_whole(end + 1, max, &h, &end) || *end || w < min ||
	    h < min)
		return cli_usage_error("option '%s' wants WIDTHxHEIGHT, each from %llu to %llu, not '%s'", g->name,
				       (unsigned long long)min, (unsigned long long)max, text);
	size->width = (unsigned)w;
	size->height = (unsigned)h;
	return 0;
}

static int triple_value(const cli_given_option *g, const char *text)
{
	double x[3];
	const char *end;

	if (!parse_real(text, '\0', &x[0], &end))
		x[1] = x[2] = x[0];
	else if (parse_real(text, ',', &x[0], &end) || parse_real(end + 1, ',', &x[1], &end) ||
		 parse_real(end + 1, '\0', &x[2], &end))
		return cli_usage_error("option '%s' wants one number or three such as 123.7,116.8,103.9, not '%s'",
				       g->name, text);
	for (int i = 0; i < 3; i++)
		if (fabs(x[i]) > FLT_MAX)
			return cli_usage_error("option '%s' wants numbers of at most %g, not '%s'", g->name,
					       (double)FLT_MAX, text);
	for (int i = 0; i < 3 && g->option->flags & CLI_ABOVE_MIN; i++)
		if (!((float)x[i] > 0))
			return cli_usage_error("option '%s' wants numbers above 0, not '%s'", g->name, text);
	for (int i = 0; i < 3; i++)
		((float *)g->option->value)[i] = (float)x[i];
	return 0;
}

static int tiles_value(const cli_given_option *g, const char *text)
{
	cli_tiles *tiles = g->option->value;
	uint64_t min = (uint64_t)g->option->min, max = (uint64_t)g->option->max, w, h, overlap = 0;
	const char *end;

	if (parse_whole(text, max, &w, &end) || *end != 'x' || parse_whole(end + 1, max, &h, &end) ||
	    (*end == '+' && parse_whole(end + 1, max, &overlap, &end)) || *end || w < min || h < min)
		return cli_usage_error(
		    "option '%s' wants WIDTHxHEIGHT or WIDTHxHEIGHT+OVERLAP, each from %llu to %llu, not '%s'", g->name,
		    (unsigned long long)min, (unsigned long long)max, text);
	if (overlap >= (w < h ? w : h))
		return cli_usage_error("option '%s': tiles of %llux%llu cannot overlap by %llu", g->name,
				       (unsigned long long)w, (unsigned long long)h, (unsigned long long)overlap);
	*tiles = (cli_tiles){(unsigned)w, (unsigned)h, (unsigned)overlap};
	return 0;
}

static int box_value(const cli_given_option *g, const char *text)
{
	cli_box *box = g->option->value;
	bool percent = strchr(text, '%') != NULL;
	const char *at = text;
	double x[4];

	for (int i = 0; i < 4; i++) {
		const char *end;
		uint64_t whole;
		if (percent ? parse_real(at, '%', &x[i], &end) : parse_whole(at, 65535, &whole, &end))
			goto refused;
		if (!percent)
			x[i] = (double)whole;
		end += percent;
		if (*end != (i < 3 ? ',' : '\0'))
			goto refused;
		at = end + 1;
	}
	*box = (cli_box){x[0], x[1], x[2], x[3], percent};
	return 0;
refused:
	return cli_usage_error("option '%s' wants left,top,width,height in whole pixels, or each in percent such as "
			       "10%%,10%%,80%%,80%%, not '%s'",
			       g->name, text);
}

int cli_store(const cli_given_option *g, const char *text)
{
	const cli_option *o = g->option;
	uint64_t n;
	int code;

	switch (o->type) {
	case CLI_FLAG:
		*(bool *)o->value = true;
		return 0;
	case CLI_STRING:
		if (!text[0])
			return cli_usage_error("option '%s' wants %s, not an empty word", g->name, o->argument);
		*(const char **)o->value = text;
		return 0;
	case CLI_LIST:
		cli_list_add(o->value, text);
		return 0;
	case CLI_UNSIGNED:
		code = whole_value(g, text, UINT32_MAX, &n);
		if (!code)
			*(unsigned *)o->value = (unsigned)n;
		return code;
	case CLI_COUNT:
		code = whole_value(g, text, SIZE_MAX - 1, &n);
		if (!code)
			*(size_t *)o->value = (size_t)n;
		return code;
	case CLI_WHOLE:
		code = whole_value(g, text, UINT64_MAX, &n);
		if (!code)
			*(uint64_t *)o->value = n;
		return code;
	case CLI_BYTES:
		return bytes_value(g, text);
	case CLI_DOUBLE:
		return double_value(g, text);
	case CLI_WORD:
		return word_value(g, text);
	case CLI_TILES:
		return tiles_value(g, text);
	case CLI_BOX:
		return box_value(g, text);
	case CLI_SIZE:
		return size_value(g, text);
	case CLI_TRIPLE:
		return triple_value(g, text);
	case CLI_END:
	case CLI_HEADING:
		break;
	}
	return 0;
}
