/* -h: synopsis and options, from the tables. */
#include "options.h"

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

	cli_print("%s adtool%s%s", lead, cli_space_before(command), command->name);
	if (command->operands || command->options)
		cli_print(" ");
	size_t indent = strlen(lead) + strlen(" adtool ") + strlen(cli_space_before(command)) + strlen(command->name);
	size_t column = indent;
	for (const cli_option *o = cli_options_of(command, CLI_OWN); o->type != CLI_END; o++) {
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

const char *cli_help_of(const cli_command *command)
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
	print_text(cli_help_of(command), 0);
	for (size_t i = 0; command->subcommands && command->subcommands[i]; i++) {
		const cli_command *sub = command->subcommands[i];
		cli_print("%s  %-8s %s\n", i ? "" : "\n", strrchr(sub->name, ' ') + 1, sub->help);
	}
	const cli_option *own = cli_options_of(command, CLI_OWN);
	if (own->type != CLI_END && own->type != CLI_HEADING)
		cli_print("\n");
	print_options(own);
	print_options(cli_options_of(command, CLI_COMMON));
	print_limits(cli_options_of(command, CLI_LIMITS));
	if (command->more_help)
		command->more_help();
}
