/* Inside the parser of options: the tables and the parser (options.c), what values mean (values.c), -h (help.c). */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli.h"

/*
 * The tables of a command's options: its own, those that every command has, and the limits, which all but the front
 * have.
 */
enum { CLI_OWN, CLI_COMMON, CLI_LIMITS, CLI_TABLES };
const cli_option *cli_options_of(const cli_command *command, int which);

/* What stands between "adtool" and the command's name: nothing when it has none. */
static inline const char *cli_space_before(const cli_command *command)
{
	return command->name[0] ? " " : "";
}

/* What the command does, in a sentence. */
const char *cli_help_of(const cli_command *command);

/* An option as the user wrote it, for messages: "--jobs", "-j". */
typedef struct cli_given_option {
	const cli_option *option;
	char name[64];
} cli_given_option;

/* Checks the text (NULL for flags), and puts what it means where the option says. */
int cli_store(const cli_given_option *g, const char *text);
/* item is not copied. */
void cli_list_add(cli_list *list, const char *item);

#endif
