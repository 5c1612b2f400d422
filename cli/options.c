/* Options: the tables that all commands have, the parser, and the words for completion. */
#include <stdarg.h>

#include "options.h"

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
    {CLI_WORD, 0, "color", "auto|always|never", "color verdicts (auto: on a terminal, unless NO_COLOR is set)",
     &cli_color, 0, 0, color_words, 0, 0},
    {CLI_FLAG, 0, "log-json", NULL, "messages as JSON, one object a line", &cli_log_json, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 'h', NULL, NULL, "this help", &want_help, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "help", NULL, "the manual page", &want_manual, 0, 0, NULL, 0, 0},
    {CLI_FLAG, 0, "version", NULL, "the version; with -v, how it was built", &want_version, 0, 0, NULL, 0, 0},
    CLI_OPTION_END,
};

/* So has every one that does something. */
adtool_limits cli_limits = ADTOOL_LIMITS_DEFAULT;

#define MOST 9007199254740992.0 /* 2^53: whole numbers that a double holds */
static const cli_option limit_options[] = {
    {CLI_HEADING, 0, NULL, NULL, "Limits, see adtool(1):", NULL, 0, 0, NULL, 0, 0},
    {CLI_WHOLE, 0, "max-pixels", "N", "of a picture (default 178956970)", &cli_limits.pixels, 1, MOST, NULL, 0, 0},
    {CLI_BYTES, 0, "max-file-size", "SIZE", "of a picture's file, or an archive's member (default 1G)",
     &cli_limits.file_bytes, 0, 0, NULL, 0, 0},
    {CLI_WHOLE, 0, "max-members", "N", "of an archive (default 1000000)", &cli_limits.members, 1, MOST, NULL, 0, 0},
    {CLI_BYTES, 0, "max-unpacked", "SIZE", "of an archive, in all (default 1T)", &cli_limits.unpacked_bytes, 0, 0, NULL,
     0, 0},
    {CLI_UNSIGNED, 0, "max-ratio", "N", "of an archive: unpacked to packed, past 64 MiB (default 1000)",
     &cli_limits.ratio, 1, 1e9, NULL, 0, 0},
    {CLI_UNSIGNED, 0, "max-depth", "N", "of folders below an input (default 64)", &cli_limits.depth, 0, 4096, NULL, 0,
     0},
    {CLI_BYTES, 0, "max-model-size", "SIZE", "of a model's or a backbone's file (default 4G)", &cli_limits.model_bytes,
     0, 0, NULL, 0, 0},
    {CLI_UNSIGNED, 0, "max-nodes", "N", "of a backbone's graph (default 65536, which is the most)", &cli_limits.nodes,
     1, ADTOOL_MAX_NODES_DEFAULT, NULL, 0, 0},
    CLI_OPTION_END,
};

static const cli_option no_options[] = {CLI_OPTION_END};

enum { GROUPS = 8 };

const cli_option *cli_options_of(const cli_command *command, int which)
{
	if (which == CLI_COMMON)
		return common_options;
	/* The front and its like only pass on. */
	if (which == CLI_LIMITS)
		return command->stop_at_operand || !command->name[0] ? no_options : limit_options;
	return command->options ? command->options : no_options;
}

int (cli_usage_error)(const char *fmt, ...)
{
	va_list args;
	char text[2048];

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cli_message(current->name[0] ? current->name : NULL, "%s", text);
	if (!cli_log_json)
		fprintf(stderr, "Try 'adtool%s%s -h'.\n", cli_space_before(current), current->name);
	return CLI_USAGE;
}

static int unknown_option(const cli_command *command, const char *typed)
{
	const char *names[128];
	size_t count = 0;

	for (int t = 0; t < CLI_TABLES; t++)
		for (const cli_option *o = cli_options_of(command, t); o->type != CLI_END; o++)
			if (o->name && o->type != CLI_HEADING && count < sizeof(names) / sizeof(*names))
				names[count++] = o->name;
	const char *near = cli_nearest(typed, names, count);
	if (near)
		return cli_usage_error("unknown option '--%s' (did you mean '--%s'?)", typed, near);
	return cli_usage_error("unknown option '--%s'", typed);
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
	const cli_option *required[CLI_TABLES * GROUPS];
	size_t required_count;
} parser;

/* Whether an option stands under a heading that the synopsis shows in place of its options. */
static bool is_conditional(const cli_command *command, const cli_option *wanted)
{
	bool conditional = false;

	for (const cli_option *o = cli_options_of(command, CLI_OWN); o->type != CLI_END; o++) {
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
	for (int t = 0; t < CLI_TABLES; t++) {
		for (const cli_option *o = cli_options_of(command, t); o->type != CLI_END; o++) {
			if (o->type == CLI_HEADING)
				continue;
			if (name ? o->name && !strncmp(o->name, name, length) && !o->name[length] : o->letter == letter)
				return o;
		}
	}
	return NULL;
}

static bool has_word(const cli_option *o, const char *value)
{
	for (size_t i = 0; o->type == CLI_WORD && o->words[i]; i++)
		if (!strcmp(o->words[i], value))
			return true;
	return false;
}

/* --color of a backbone's channels and --color of the output have one name; the value tells which of them is meant. */
static const cli_option *meant_by(const cli_option *found, const char *value)
{
	if (found->type != CLI_WORD || has_word(found, value))
		return found;
	for (const cli_option *o = common_options; o->type != CLI_END; o++)
		if (o->name && !strcmp(o->name, found->name) && has_word(o, value))
			return o;
	return found;
}

static int take(parser *p, const cli_given_option *g, const char *value, bool value_is_separate)
{
	int code = cli_store(g, value);

	if (code)
		return code;
	p->open_list = g->option->type == CLI_LIST && value_is_separate ? g->option->value : NULL;
	return note(p, g->option);
}

static int parse_long(parser *p, const char *argument)
{
	const char *name = argument + 2, *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	cli_given_option g = {find_option(p->command, name, length, 0), ""};

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
	if (!equals && p->at == p->argc)
		return cli_usage_error("option '%s' wants a value: %s", g.name, g.option->argument);
	const char *value = equals ? equals + 1 : p->argv[p->at++];
	g.option = meant_by(g.option, value);
	return take(p, &g, value, !equals);
}

static int parse_short(parser *p, const char *argument)
{
	/* Else "-model" would be "-m odel". */
	if (argument[2] && find_option(p->command, argument + 1, strlen(argument + 1), 0))
		return cli_usage_error("unknown option '%s' (did you mean '-%s'?)", argument, argument);
	for (const char *c = argument + 1; *c; c++) {
		cli_given_option g = {find_option(p->command, NULL, 0, *c), ""};
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

	for (const cli_option *o = cli_options_of(command, CLI_OWN); o->type != CLI_END; o++)
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
				cli_list_add(p->open_list, argument);
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

/* Whether the value as shown is a file, or several. */
static bool shows_file(const char *argument)
{
	static const char *const parts[] = {
	    "FILE", "MODEL", "OLD", "ROWS", "INPUT", "NORMAL", "CMD", ".npy", ".zip", ".onnx"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(argument, parts[i]))
			return true;
	return false;
}

/* What a value is completed with. */
static const char *value_kind(const cli_option *o)
{
	if (o->type == CLI_FLAG)
		return "flag";
	if (o->type == CLI_WORD)
		return "word";
	if (o->type != CLI_STRING && o->type != CLI_LIST)
		return "other";
	if (o->name && !strcmp(o->name, "backbone"))
		return "backbone";
	if (strstr(o->argument, "DIR") || !strcmp(o->argument, "D"))
		return "folder";
	return shows_file(o->argument) ? "file" : "other";
}

static void list_options(const cli_command *command)
{
	cli_print("command\t%s\t%s\t%s\n", command->name, command->operands ? command->operands : "",
		  cli_help_of(command));
	for (int t = 0; t < CLI_TABLES && !command->subcommands; t++) {
		for (const cli_option *o = cli_options_of(command, t); o->type != CLI_END; o++) {
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

