#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>

#include "cli.h"

unsigned cli_jobs;
bool cli_null, cli_quiet, cli_verbose, cli_log_json;
int cli_color;
const char *cli_conditional;

static const void *given_values[128];
static size_t given_count;

bool cli_given(const void *value)
{
	for (size_t i = 0; i < given_count; i++)
		if (given_values[i] == value)
			return true;
	return false;
}

static bool want_help, want_manual, want_version;
static const cli_command *current;

static const char *const color_words[] = {"auto", "always", "never", NULL};

/* Every command has these. */
static const cli_option common_options[] = {
    {CLI_HEADING, 0, NULL, NULL, "Every command:", NULL, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 'q', "quiet", NULL, "no progress, no remarks; errors only", &cli_quiet, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 'v', "verbose", NULL, "say more", &cli_verbose, 0, 0, NULL, 0, 0},
    {CLI_WORD, 0, "color", "auto|always|never", "color verdicts (auto: on a terminal, unless NO_COLOR is set)", &cli_color,
     0, 0, color_words, 0, 0},
    {CLI_FLAG, 0, "log-json", NULL, "messages as JSON, one object a line", &cli_log_json, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 'h', NULL, NULL, "this help", &want_help, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "help", NULL, "the manual page", &want_manual, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "version", NULL, "the version; with -v, how it was built", &want_version, 0, 0, NULL, 0, 0},
    CLI_OPTION_END,
};

/* So has every one that does something. */
cli_limiting cli_limits = {ADTOOL_MAX_PIXELS_DEFAULT,	ADTOOL_MAX_FILE_BYTES_DEFAULT,	ADTOOL_MAX_MEMBERS_DEFAULT,
			   ADTOOL_MAX_UNPACKED_BYTES_DEFAULT, ADTOOL_MAX_RATIO_DEFAULT,	ADTOOL_MAX_DEPTH_DEFAULT,
			   ADTOOL_MAX_MODEL_BYTES_DEFAULT, ADTOOL_MAX_NODES_DEFAULT};

#define MOST 9007199254740992.0 /* 2^53: whole numbers that a double holds */
static const cli_option limit_options[] = {
    {CLI_HEADING, 0, NULL, NULL, "Limits, see adtool(1):", NULL, 0, 0, NULL, 0, 0},
    {CLI_COUNT, 0, "max-pixels", "N", "of a picture (default 178956970)", &cli_limits.pixels, 1, MOST, NULL, 0, 0},
    {CLI_BYTES, 0, "max-file-size", "SIZE", "of a picture's file, or an archive's member (default 1G)",
     &cli_limits.file_bytes, 0, 0, NULL, 0, 0},
    {CLI_COUNT, 0, "max-members", "N", "of an archive (default 1000000)", &cli_limits.members, 1, MOST, NULL, 0, 0},
    {CLI_BYTES, 0, "max-unpacked", "SIZE", "of an archive, in all (default 1T)", &cli_limits.unpacked_bytes, 0, 0, NULL, 0,
     0},
    {CLI_UNSIGNED, 0, "max-ratio", "N", "of an archive: unpacked to packed, past 64 MiB (default 1000)",
     &cli_limits.ratio, 1, 1e9, NULL, 0, 0},
    {CLI_UNSIGNED, 0, "max-depth", "N", "of folders below an input (default 64)", &cli_limits.depth, 0, 4096, NULL, 0, 0},
    {CLI_BYTES, 0, "max-model-size", "SIZE", "of a model's or a backbone's file (default 4G)",
     &cli_limits.model_bytes, 0, 0, NULL, 0, 0},
    {CLI_UNSIGNED, 0, "max-nodes", "N", "of a backbone's graph (default 65536, which is the most)", &cli_limits.nodes, 1,
     ADTOOL_MAX_NODES_DEFAULT, NULL, 0, 0},
    CLI_OPTION_END,
};

static const cli_option no_options[] = {CLI_OPTION_END};

enum { TABLES = 3, GROUPS = 8 };

static const cli_option *table_of(const cli_command *command, int which)
{
	if (which == 1)
		return common_options;
	/* The front and its like only pass on. */
	if (which == 2)
		return command->stop_at_operand || !command->name[0] ? no_options : limit_options;
	return command->options ? command->options : no_options;
}

static const char *command_space(const cli_command *command)
{
	return command->name[0] ? " " : "";
}

int cli_usage_error(const char *fmt, ...)
{
	va_list args;
	char text[2048];

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cli_message(current->name[0] ? current->name : NULL, "%s", text);
	if (!cli_log_json)
		fprintf(stderr, "Try 'adtool%s%s -h'.\n", command_space(current), current->name);
	return CLI_USAGE;
}

static const char *help_of(const cli_command *command);

/* -- near words -------------------------------------------------------------------------------------- */

enum { NEAR_WORD = 32, NEAR_LIMIT = 7 };

static int least(int a, int b)
{
	return a < b ? a : b;
}

/*
 * Damerau's edit distance from what was typed to what could be meant. Leaving letters out is the common
 * slip and costs little; letters that have to go cost more.
 */
static int word_distance(const char *typed, const char *meant)
{
	const int insert = 1, replace = 2, delete = 3, transpose = 1;
	int rows[3][NEAR_WORD + 1];
	int *above2 = rows[0], *above = rows[1], *row = rows[2];
	size_t n = strlen(typed), m = strlen(meant);

	if (n > NEAR_WORD || m > NEAR_WORD)
		return NEAR_LIMIT;
	for (size_t j = 0; j <= m; j++)
		above[j] = (int)j * insert;
	for (size_t i = 1; i <= n; i++) {
		row[0] = (int)i * delete;
		for (size_t j = 1; j <= m; j++) {
			row[j] = above[j - 1] + (typed[i - 1] == meant[j - 1] ? 0 : replace);
			row[j] = least(row[j], above[j] + delete);
			row[j] = least(row[j], row[j - 1] + insert);
			if (i > 1 && j > 1 && typed[i - 1] == meant[j - 2] && typed[i - 2] == meant[j - 1])
				row[j] = least(row[j], above2[j - 2] + transpose);
		}
		int *spare = above2;
		above2 = above;
		above = row;
		row = spare;
	}
	return above[m];
}

const char *cli_nearest(const char *word, const char *const *words, size_t count)
{
	const char *best = NULL;
	/* What has to change in nearly every letter was not meant. */
	size_t length = strlen(word);
	int best_distance = length < NEAR_LIMIT ? (int)length + 1 : NEAR_LIMIT;

	for (size_t i = 0; i < count && word[0]; i++) {
		int d = word_distance(word, words[i]);
		if (!strncmp(word, words[i], strlen(word)))
			d = 0;
		if (d < best_distance) {
			best_distance = d;
			best = words[i];
		}
	}
	return best;
}

static int unknown_option(const cli_command *command, const char *typed)
{
	const char *names[128];
	size_t count = 0;

	for (int t = 0; t < TABLES; t++)
		for (const cli_option *o = table_of(command, t); o->type != CLI_END; o++)
			if (o->name && o->type != CLI_HEADING && count < sizeof(names) / sizeof(*names))
				names[count++] = o->name;
	const char *near = cli_nearest(typed, names, count);
	if (near)
		return cli_usage_error("unknown option '--%s' (did you mean '--%s'?)", typed, near);
	return cli_usage_error("unknown option '--%s'", typed);
}

/* -- values ------------------------------------------------------------------------------------------ */

/* How the user wrote the option, for messages. */
typedef struct given {
	const cli_option *option;
	char name[64];
} given;

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

static int whole_value(const given *g, const char *text, uint64_t limit, uint64_t *out)
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

static int bytes_value(const given *g, const char *text)
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

static int double_value(const given *g, const char *text)
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

static int word_value(const given *g, const char *text)
{
	for (int i = 0; g->option->words[i]; i++) {
		if (!strcmp(g->option->words[i], text)) {
			*(int *)g->option->value = i;
			return 0;
		}
	}
	return cli_usage_error("option '%s' wants one of %s, not '%s'", g->name, g->option->argument, text);
}

static int size_value(const given *g, const char *text)
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

static int triple_value(const given *g, const char *text)
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
	for (int i = 0; i < 3; i++)
		((float *)g->option->value)[i] = (float)x[i];
	return 0;
}

static int tiles_value(const given *g, const char *text)
{
	cli_tiles *tiles = g->option->value;
	uint64_t min = (uint64_t)g->option->min, max = (uint64_t)g->option->max, w, h, overlap = 0;
	const char *end;

	if (parse_whole(text, max, &w, &end) || *end != 'x' || parse_whole(end + 1, max, &h, &end) ||
	    (*end == '+' && parse_whole(end + 1, max, &overlap, &end)) || *end || w < min || h < min)
		return cli_usage_error("option '%s' wants WIDTHxHEIGHT or WIDTHxHEIGHT+OVERLAP, each from %llu to %llu, not '%s'",
				       g->name, (unsigned long long)min, (unsigned long long)max, text);
	if (overlap >= (w < h ? w : h))
		return cli_usage_error("option '%s': tiles of %llux%llu cannot overlap by %llu", g->name,
				       (unsigned long long)w, (unsigned long long)h, (unsigned long long)overlap);
	*tiles = (cli_tiles){(unsigned)w, (unsigned)h, (unsigned)overlap};
	return 0;
}

static int box_value(const given *g, const char *text)
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

static void add_to_list(cli_list *list, const char *item)
{
	list->items = cli_realloc(list->items, list->count + 1, sizeof(*list->items));
	list->items[list->count++] = item;
}

static int store(const given *g, const char *text)
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
		add_to_list(o->value, text);
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
	case CLI_SEED:
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

/* -- parsing ----------------------------------------------------------------------------------------- */

typedef struct parser {
	const cli_command *command;
	int argc, at;
	char **argv;
	const char **operands;
	size_t operand_count;
	cli_list *open_list;            /* what operands go to while it is not NULL */
	const cli_option *seen[GROUPS]; /* the option of each group that was given */
	const cli_option *required[TABLES * GROUPS];
	size_t required_count;
} parser;

/* Whether an option stands under a heading that the synopsis shows in place of its options. */
static bool is_conditional(const cli_command *command, const cli_option *wanted)
{
	bool conditional = false;

	for (const cli_option *o = table_of(command, 0); o->type != CLI_END; o++) {
		if (o->type == CLI_HEADING)
			conditional = o->argument != NULL;
		if (o == wanted)
			return conditional;
	}
	return false;
}

/* Remembers what excludes what, and what was given of the required. */
static int note(parser *p, const cli_option *o)
{
	if (is_conditional(p->command, o))
		cli_conditional = o->name;
	if (!cli_given(o->value) && given_count < sizeof(given_values) / sizeof(*given_values))
		given_values[given_count++] = o->value;
	if (o->group) {
		const cli_option *other = p->seen[o->group];
		if (other && other != o)
			return cli_usage_error("options '--%s' and '--%s' exclude each other", other->name, o->name);
		p->seen[o->group] = o;
	}
	for (size_t i = 0; i < p->required_count; i++)
		if (p->required[i] == o)
			p->required[i] = p->required[--p->required_count];
	return 0;
}

static const cli_option *find_option(const cli_command *command, const char *name, size_t length, char letter)
{
	for (int t = 0; t < TABLES; t++) {
		for (const cli_option *o = table_of(command, t); o->type != CLI_END; o++) {
			if (o->type == CLI_HEADING)
				continue;
			if (name ? o->name && !strncmp(o->name, name, length) && !o->name[length] : o->letter == letter)
				return o;
		}
	}
	return NULL;
}

static int take(parser *p, const given *g, const char *value, bool value_is_separate)
{
	int code = store(g, value);

	if (code)
		return code;
	p->open_list = g->option->type == CLI_LIST && value_is_separate ? g->option->value : NULL;
	return note(p, g->option);
}

static int parse_long(parser *p, const char *argument)
{
	const char *name = argument + 2, *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	given g = {find_option(p->command, name, length, 0), ""};

	if (!g.option) {
		char typed[64];
		snprintf(typed, sizeof(typed), "%.*s", (int)(length < 60 ? length : 60), name);
		return unknown_option(p->command, typed);
	}
	snprintf(g.name, sizeof(g.name), "--%s", g.option->name);
	if (g.option->type == CLI_FLAG) {
		if (equals)
			return cli_usage_error("option '%s' takes no value", g.name);
		return take(p, &g, NULL, false);
	}
	if (equals)
		return take(p, &g, equals + 1, false);
	if (p->at == p->argc)
		return cli_usage_error("option '%s' wants a value: %s", g.name, g.option->argument);
	return take(p, &g, p->argv[p->at++], true);
}

static int parse_short(parser *p, const char *argument)
{
	/* Else "-model" would be "-m odel". */
	if (argument[2] && find_option(p->command, argument + 1, strlen(argument + 1), 0))
		return cli_usage_error("unknown option '%s' (did you mean '-%s'?)", argument, argument);
	for (const char *c = argument + 1; *c; c++) {
		given g = {find_option(p->command, NULL, 0, *c), ""};
		int code;

		if (!g.option)
			return cli_usage_error("unknown option '-%c'", *c);
		snprintf(g.name, sizeof(g.name), "-%c", *c);
		if (g.option->type == CLI_FLAG) {
			code = take(p, &g, NULL, false);
			if (code)
				return code;
			continue;
		}
		if (c[1])
			return take(p, &g, c + 1, false);
		if (p->at == p->argc)
			return cli_usage_error("option '%s' wants a value: %s", g.name, g.option->argument);
		return take(p, &g, p->argv[p->at++], true);
	}
	return 0;
}

static int parse(parser *p)
{
	const cli_command *command = p->command;
	bool options_ended = false;

	for (const cli_option *o = table_of(command, 0); o->type != CLI_END; o++)
		if (o->flags & CLI_REQUIRED)
			p->required[p->required_count++] = o;
	while (p->at < p->argc) {
		char *argument = p->argv[p->at++];
		int code = 0;

		if (!options_ended && !strcmp(argument, "--")) {
			options_ended = true;
			p->open_list = NULL;
		} else if (options_ended || argument[0] != '-' || !argument[1]) {
			if (p->open_list) {
				add_to_list(p->open_list, argument);
				continue;
			}
			p->operands[p->operand_count++] = argument;
			if (command->stop_at_operand || command->subcommands) {
				while (p->at < p->argc)
					p->operands[p->operand_count++] = p->argv[p->at++];
			}
		} else {
			code = argument[1] == '-' ? parse_long(p, argument) : parse_short(p, argument);
		}
		if (code || want_help || want_manual)
			return code;
	}
	return 0;
}

static int check_operands(const parser *p)
{
	const cli_command *command = p->command;
	int count = p->operand_count > 1 << 30 ? 1 << 30 : (int)p->operand_count;

	if (count < command->min_operands)
		return cli_usage_error("missing operand: %s", command->operands);
	if (command->max_operands >= 0 && count > command->max_operands)
		return cli_usage_error("unexpected operand '%s'", p->operands[command->max_operands]);
	for (size_t i = 0; i < p->required_count; i++)
		return cli_usage_error("option '--%s' is missing", p->required[i]->name);
	for (size_t i = 0; i < p->operand_count && !command->stop_at_operand; i++)
		if (!p->operands[i][0])
			return cli_usage_error("an operand is an empty word");
	return 0;
}

static int run_subcommand(const cli_command *command, const char **operands, size_t count)
{
	const char *names[16];
	size_t n = 0;

	if (!count)
		return cli_usage_error("one of its commands is missing");
	for (; command->subcommands[n] && n < sizeof(names) / sizeof(*names); n++) {
		const char *name = strrchr(command->subcommands[n]->name, ' ') + 1;
		if (!strcmp(name, operands[0]))
			return cli_run(command->subcommands[n], (int)count, (char **)operands);
		names[n] = name;
	}
	const char *near = cli_nearest(operands[0], names, n);
	if (near)
		return cli_usage_error("unknown command '%s' (did you mean '%s'?)", operands[0], near);
	return cli_usage_error("unknown command '%s'", operands[0]);
}

/* -- for completion ---------------------------------------------------------------------------------- */

/* What a value is completed with. */
static const char *value_kind(const cli_option *o)
{
	if (o->type == CLI_FLAG)
		return "flag";
	if (o->type == CLI_WORD)
		return "word";
	if (o->type != CLI_STRING && o->type != CLI_LIST)
		return "other";
	return strstr(o->argument, "DIR") || !strcmp(o->argument, "D") ? "folder" : "file";
}

static void list_options(const cli_command *command)
{
	cli_print("command\t%s\t%s\t%s\n", command->name, command->operands ? command->operands : "",
		  help_of(command));
	for (int t = 0; t < TABLES && !command->subcommands; t++) {
		for (const cli_option *o = table_of(command, t); o->type != CLI_END; o++) {
			char letter[2] = {o->letter, '\0'};
			if (o->type == CLI_HEADING)
				continue;
			cli_print("option\t%s\t%s\t%s\t%s\t", letter, o->name ? o->name : "", value_kind(o),
				  o->argument ? o->argument : "");
			for (int i = 0; o->words && o->words[i]; i++)
				cli_print("%s%s", i ? " " : "", o->words[i]);
			cli_print("\t%s\n", o->help);
		}
	}
	for (size_t i = 0; command->subcommands && command->subcommands[i]; i++)
		list_options(command->subcommands[i]);
}

int cli_run(const cli_command *command, int argc, char **argv)
{
	parser p = {.command = command, .argc = argc, .at = 1, .argv = argv};

	current = command;
	if (argc == 2 && !strcmp(argv[1], "--list-options")) {
		list_options(command);
		return 0;
	}
	/* Also for what is wrong with the words before it. */
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		cli_log_json |= !strcmp(argv[i], "--log-json");
	p.operands = cli_alloc((size_t)argc + 1, sizeof(*p.operands));
	int code = parse(&p);
	if (code)
		goto done;
	if (want_help || want_manual) {
		if (want_manual)
			cli_exec_man(command->page);
		cli_print_help(command);
	} else if (want_version) {
		cli_print_version();
	} else if (command->subcommands) {
		code = run_subcommand(command, p.operands, p.operand_count);
	} else {
		code = check_operands(&p);
		if (!code)
			code = command->run(p.operand_count, p.operands);
	}
done:
	free(p.operands);
	return code;
}

/* -- help -------------------------------------------------------------------------------------------- */

enum { HELP_WIDTH = 80, HELP_COLUMN = 30 };

/* Prints a word after what stands on the line, or on a new line that starts at `indent`. */
static void print_wrapped(const char *word, size_t *column, size_t indent)
{
	size_t length = strlen(word);

	if (*column > indent && *column + 1 + length > HELP_WIDTH) {
		cli_print("\n%*s", (int)indent, "");
		*column = indent;
	}
	const char *space = *column > indent ? " " : "";
	cli_print("%s%s", space, word);
	*column += strlen(space) + length;
}

/* "-o FILE", "--energy E". */
static void option_synopsis(const cli_option *o, char *out, size_t size)
{
	const char *space = o->argument ? " " : "", *argument = o->argument ? o->argument : "";

	if (o->letter)
		snprintf(out, size, "-%c%s%s", o->letter, space, argument);
	else
		snprintf(out, size, "--%s%s%s", o->name, space, argument);
}

static void print_synopsis(const cli_command *command, const char *lead)
{
	char item[256], one[128];

	cli_print("%s adtool%s%s", lead, command_space(command), command->name);
	if (command->operands || command->options)
		cli_print(" ");
	size_t indent = strlen(lead) + strlen(" adtool ") + strlen(command_space(command)) + strlen(command->name);
	size_t column = indent;
	for (const cli_option *o = table_of(command, 0); o->type != CLI_END; o++) {
		size_t used = 0;
		if (o->type == CLI_HEADING) {
			if (!o->argument)
				continue;
			snprintf(item, sizeof(item), "[%s]", o->argument);
			print_wrapped(item, &column, indent);
			while (o[1].type != CLI_END && o[1].type != CLI_HEADING)
				o++;
			continue;
		}
		item[0] = '\0';
		for (;; o++) {
			option_synopsis(o, one, sizeof(one));
			used += (size_t)snprintf(item + used, sizeof(item) - used, "%s%s", used ? " | " : "", one);
			if (!o->group || o[1].group != o->group)
				break;
		}
		if (!(o->flags & CLI_REQUIRED)) {
			memmove(item + 1, item, used + 1);
			item[0] = '[';
			item[used + 1] = ']';
			item[used + 2] = '\0';
		}
		print_wrapped(item, &column, indent);
	}
	if (command->operands)
		print_wrapped(command->operands, &column, indent);
	cli_print("\n");
}

static void print_text(const char *text, size_t indent)
{
	char word[HELP_WIDTH];
	size_t column = indent;

	while (*text) {
		size_t length = strcspn(text, " ");
		snprintf(word, sizeof(word), "%.*s", (int)length, text);
		print_wrapped(word, &column, indent);
		text += length;
		text += strspn(text, " ");
	}
	cli_print("\n");
}

static void print_options(const cli_option *table)
{
	char left[128];

	for (const cli_option *o = table; o->type != CLI_END; o++) {
		if (o->type == CLI_HEADING) {
			cli_print("\n%s\n", o->help);
			continue;
		}
		int used = o->letter ? snprintf(left, sizeof(left), "  -%c%s", o->letter, o->name ? ", " : "")
				     : snprintf(left, sizeof(left), "      ");
		used += snprintf(left + used, sizeof(left) - (size_t)used, "%s%s", o->name ? "--" : "",
				 o->name ? o->name : "");
		if (o->argument)
			used += snprintf(left + used, sizeof(left) - (size_t)used, " %s", o->argument);
		cli_print("%s", left);
		if (used >= HELP_COLUMN) {
			cli_print("\n");
			used = 0;
		}
		cli_print("%*s", HELP_COLUMN - used, "");
		print_text(o->help, HELP_COLUMN);
	}
}

/* Few need them, every command has them, and the manual explains them: their names will do. */
static void print_limits(const cli_option *table)
{
	char word[HELP_WIDTH];
	size_t column = 2;

	if (table->type == CLI_END)
		return;
	cli_print("\n%s\n  ", table++->help);
	for (; table->type != CLI_END; table++) {
		snprintf(word, sizeof(word), "--%s %s%s", table->name, table->argument,
			 table[1].type == CLI_END ? "" : ",");
		print_wrapped(word, &column, 2);
	}
	cli_print("\n");
}

static const char *help_of(const cli_command *command)
{
	for (const cli_command_row *row = cli_commands; !command->help && row->name; row++)
		if (!strcmp(row->name, command->name))
			return row->help;
	return command->help ? command->help : "";
}

void cli_print_help(const cli_command *command)
{
	if (command->subcommands) {
		for (size_t i = 0; command->subcommands[i]; i++)
			print_synopsis(command->subcommands[i], i ? "      " : "usage:");
	} else {
		print_synopsis(command, "usage:");
	}
	cli_print("\n");
	print_text(help_of(command), 0);
	for (size_t i = 0; command->subcommands && command->subcommands[i]; i++) {
		const cli_command *sub = command->subcommands[i];
		cli_print("%s  %-8s %s\n", i ? "" : "\n", strrchr(sub->name, ' ') + 1, sub->help);
	}
	const cli_option *own = table_of(command, 0);
	if (own->type != CLI_END && own->type != CLI_HEADING)
		cli_print("\n");
	print_options(own);
	print_options(common_options);
	print_limits(table_of(command, 2));
	if (command->more_help)
		command->more_help();
}
