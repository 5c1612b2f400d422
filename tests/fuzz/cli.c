/*
 * cli-COMMAND: a command line, its words separated by newlines, through the command's own table of options; what the
 * command would do is not done.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cli/options.h"

enum { MOST_WORDS = 256, MOST_SUBCOMMANDS = 16, MOST_OPTIONS = 1024 };

static union value {
	bool flag;
	const char *string;
	cli_list list;
	unsigned number;
	size_t count;
	uint64_t wide;
	double real;
	int word;
	cli_size size;
	float triple[3];
	cli_tiles tiles;
	cli_box box;
} before[MOST_OPTIONS];
static size_t options;

static size_t size_of(enum cli_type type)
{
	const union value *v = before;

	switch (type) {
	case CLI_END:
	case CLI_HEADING:
		return 0;
	case CLI_FLAG:
		return sizeof(v->flag);
	case CLI_STRING:
		return sizeof(v->string);
	case CLI_LIST:
		return sizeof(v->list);
	case CLI_UNSIGNED:
		return sizeof(v->number);
	case CLI_COUNT:
		return sizeof(v->count);
	case CLI_WHOLE:
	case CLI_BYTES:
		return sizeof(v->wide);
	case CLI_DOUBLE:
		return sizeof(v->real);
	case CLI_WORD:
		return sizeof(v->word);
	case CLI_SIZE:
		return sizeof(v->size);
	case CLI_TRIPLE:
		return sizeof(v->triple);
	case CLI_TILES:
		return sizeof(v->tiles);
	case CLI_BOX:
		return sizeof(v->box);
	}
	abort();
}

/* Every option of the command and of its own commands, in an order that stays the same. */
static void each_option(const cli_command *command, void (*visit)(const cli_option *, union value *))
{
	const cli_option *o;
	size_t i;
	int t;

	for (t = 0; t < CLI_TABLES; t++) {
		for (o = cli_options_of(command, t); o->type != CLI_END; o++) {
			FUZZ_ASSERT(options < MOST_OPTIONS);
			visit(o, &before[options++]);
		}
	}
	for (i = 0; command->subcommands && command->subcommands[i]; i++)
		each_option(command->subcommands[i], visit);
}

static void keep(const cli_option *o, union value *v)
{
	if (size_of(o->type))
		memcpy(v, o->value, size_of(o->type));
}

/* As at the start of the program: what one command line said is nothing to the next. */
static void put_back(const cli_option *o, union value *v)
{
	if (o->type == CLI_LIST && ((cli_list *)o->value)->items != v->list.items)
		free(((cli_list *)o->value)->items);
	if (size_of(o->type))
		memcpy(o->value, v, size_of(o->type));
}

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
	each_option(&cli_program, keep);
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
	options = 0;
	each_option(&cli_program, put_back);
	free(text);
	return 0;
}
