/*
 * cli-COMMAND: a command line, its words separated by newlines, through the command's own table of options; what the
 * command would do is not done.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cli/cli.h"

enum { MOST_WORDS = 64, MOST_SUBCOMMANDS = 16 };

static int nothing(size_t count, const char **operands)
{
	size_t i;

	for (i = 0; i < count; i++)
		FUZZ_ASSERT(operands[i]);
	return CLI_OK;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* There is no `man` to become. */
	setenv("PATH", "/nonexistent", 1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static cli_command subcommands[MOST_SUBCOMMANDS];
	const cli_command *list[MOST_SUBCOMMANDS + 1] = {0};
	cli_command command = cli_program;
	char *text = malloc(size + 1), *words[MOST_WORDS + 2], *at = text;
	int n = 0, status;
	size_t i;

	FUZZ_ASSERT(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	words[n++] = "adtool";
	while (n <= MOST_WORDS && at <= text + strlen(text)) {
		words[n++] = at;
		at += strcspn(at, "\n");
		if (!*at)
			break;
		*at++ = '\0';
	}
	words[n] = NULL;
	command.run = nothing;
	for (i = 0; command.subcommands && command.subcommands[i]; i++) {
		FUZZ_ASSERT(i < MOST_SUBCOMMANDS);
		subcommands[i] = *command.subcommands[i];
		subcommands[i].run = nothing;
		list[i] = &subcommands[i];
	}
	if (command.subcommands)
		command.subcommands = list;
	status = cli_run(&command, n, words);
	FUZZ_ASSERT(status == CLI_OK || status == CLI_USAGE || status == CLI_FAILURE);
	free(text);
	return 0;
}
