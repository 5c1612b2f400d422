/*
 * The front: adtool NAME runs the program adtool-NAME. It is started with every command, so it is linked with nothing
 * of the library that needs other libraries: loading those would take longer than all that it does.
 */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "cli.h"

static void overview(void)
{
	cli_print("\nCommands:\n");
	for (const cli_command_row *row = cli_commands; row->name; row++)
		cli_print("  %-10s %s\n", row->name, row->help);
	cli_print("  %-10s %s\n", "help", "show the manual page of a command");
	cli_print("\n'adtool COMMAND -h' lists a command's options. A program adtool-NAME of your own on PATH\n"
		  "runs as 'adtool NAME'.\n\n"
		  "  adtool train normal_dir       # learns, and writes model.zip\n"
		  "  adtool score image.jpg        # one line a picture: path, score, p, verdict\n");
}

static bool is_name(const char *text)
{
	return text[0] && text[0] != '-' && !strchr(text, '/');
}

/* The folders before PATH: the program's own, the one where it is installed; NULL at the end. */
static void program_folders(char *folders[4])
{
	char *own = cli_program_folder();
	size_t n = 0;

	for (size_t i = 0; i < 4; i++)
		folders[i] = NULL;
	if (own) {
		folders[n++] = cli_text("%s", own);
		folders[n++] = cli_text("%s/../libexec/adtool", own);
	}
	folders[n] = cli_text("%s", ADTOOL_LIBEXECDIR);
	free(own);
}

/* So that a program that calls adtool, or adtool-NAME, meets the same ones. */
static void extend_path(char *const folders[4])
{
	const char *path = getenv("PATH");
	char *extended = cli_text("%s", path ? path : "");

	for (size_t i = 4; i-- > 0;) {
		if (!folders[i] || access(folders[i], X_OK))
			continue;
		char *longer = cli_text("%s%s%s", folders[i], extended[0] ? ":" : "", extended);
		free(extended);
		extended = longer;
	}
	setenv("PATH", extended, 1);
	free(extended);
}

static int unknown_command(const char *name)
{
	const char *names[32];
	size_t n = 0;

	for (const cli_command_row *row = cli_commands; row->name && n + 1 < sizeof(names) / sizeof(*names); row++)
		names[n++] = row->name;
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(names[i], name)) {
			cli_message(NULL,
				    "the program adtool-%s is missing: it is not beside adtool, in %s, or on PATH",
				    name, ADTOOL_LIBEXECDIR);
			return CLI_FAILURE;
		}
	}
	names[n++] = "help";
	const char *near = cli_nearest(name, names, n);
	if (near)
		return cli_usage_error("unknown command '%s' (did you mean '%s'?)", name, near);
	return cli_usage_error("unknown command '%s'", name);
}

static int run_command(const char **operands)
{
	char *folders[4], *program;
	int code = ENOENT;

	if (!is_name(operands[0]))
		return unknown_command(operands[0]);
	program_folders(folders);
	program = cli_text("adtool-%s", operands[0]);
	char **argv = (char **)operands;
	argv[0] = program;
	cli_default_signals();
	for (size_t i = 0; folders[i] && code == ENOENT; i++) {
		char *file = cli_text("%s/%s", folders[i], program);
		if (!access(file, F_OK)) {
			extend_path(folders);
			execv(file, argv);
			code = errno;
		}
		free(file);
	}
	if (code == ENOENT) {
		extend_path(folders);
		execvp(program, argv);
		code = errno;
	}
	int status = CLI_FAILURE;
	if (code == ENOENT)
		status = unknown_command(program + strlen("adtool-"));
	else
		cli_message(program, "%s", strerror(code));
	for (size_t i = 0; folders[i]; i++)
		free(folders[i]);
	free(program);
	return status;
}

static int help(size_t count, const char **operands)
{
	if (count > 1)
		return cli_usage_error("help: unexpected operand '%s'", operands[1]);
	if (!count || !strcmp(operands[0], "-h")) {
		cli_print_help(&cli_program);
		return CLI_OK;
	}
	bool page_of_all = !strcmp(operands[0], "--help");
	if (!page_of_all && !is_name(operands[0]))
		return unknown_command(operands[0]);
	bool whole = page_of_all || !strcmp(operands[0], "help") || !strcmp(operands[0], "adtool");
	char *page = whole ? cli_text("adtool") : cli_text("adtool-%s", operands[0]);
	cli_exec_man(page);
	free(page);
	if (whole) {
		cli_print_help(&cli_program);
		return CLI_OK;
	}
	/* No man, or a command without a page: its own -h then. */
	const char *words[] = {operands[0], "-h", NULL};
	return run_command(words);
}

/* How the library was built is known to those that have it whole. */
void cli_print_version(void)
{
	const char *words[] = {"info", "--version", "-v", NULL};

	if (cli_verbose)
		run_command(words);
	else
		cli_print("adtool %s\n", adtool_version());
}

static int run(size_t count, const char **operands)
{
	if (!count && cli_log_json)
		return cli_usage_error("a command is missing");
	if (!count) {
		fprintf(stderr, "usage: adtool COMMAND [ARGUMENT...]\n\nCommands:\n");
		for (const cli_command_row *row = cli_commands; row->name; row++)
			fprintf(stderr, "  %-10s %s\n", row->name, row->help);
		fprintf(stderr, "\n'adtool help' says more.\n");
		return CLI_USAGE;
	}
	const char *own = cli_given(&cli_quiet)     ? "-q"
			  : cli_given(&cli_verbose)  ? "-v"
			  : cli_given(&cli_color)    ? "--color"
			  : cli_given(&cli_log_json) ? "--log-json"
						     : NULL;
	if (own)
		return cli_usage_error("'%s' belongs behind the command: adtool %s %s", own, operands[0], own);
	if (!strcmp(operands[0], "help"))
		return help(count - 1, operands + 1);
	return run_command(operands);
}

const cli_command cli_program = {
    .name = "",
    .page = "adtool",
    .help = "Visual anomaly detection: learns from pictures of normal things, and tells of a new picture whether it "
	    "is normal, how sure that is, and where it differs.",
    .operands = "COMMAND [ARGUMENT...]",
    .max_operands = -1,
    .stop_at_operand = true,
    .more_help = overview,
    .run = run,
};
