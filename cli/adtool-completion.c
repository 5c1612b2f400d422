/* Completion for shells, made from the tables of all commands: each program lists its own. */
#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

typedef struct option {
	char *letter, *name, *kind, *argument, *words, *help;
	char *joined_argument, *joined_words; /* what argument and words are then; else NULL */
} option;

typedef struct command {
	char *name, *operands, *help;
	option *options;
	size_t count;
} command;

typedef struct commands {
	command *items;
	size_t count;
} commands;

/* -- reading the tables ------------------------------------------------------------------------------- */

/* Cuts the field at *at off. */
static char *take_field(char **at)
{
	char *field = *at, *tab = strchr(field, '\t');

	if (tab)
		*tab = '\0';
	*at = tab ? tab + 1 : field + strlen(field);
	return field;
}

/* Two options of one name (--color) are one to a shell, with the words of both. */
static bool join_words(const command *c)
{
	const option *last = &c->options[c->count - 1];

	for (option *o = c->options; o < last; o++) {
		if (o->name[0] && !strcmp(o->name, last->name)) {
			o->words = o->joined_words = cli_text("%s %s", o->words, last->words);
			o->argument = o->joined_argument = cli_text("%s|%s", o->argument, last->argument);
			return true;
		}
	}
	return false;
}

/* The text stays in use. */
static void take_tables(commands *all, char *text)
{
	for (char *line = text, *next; *line; line = next) {
		char *end = line + strcspn(line, "\n"), *at = line;
		next = *end ? end + 1 : end;
		*end = '\0';
		if (!strcmp(take_field(&at), "command")) {
			all->items = cli_realloc(all->items, all->count + 1, sizeof(*all->items));
			command *c = &all->items[all->count++];
			*c = (command){.name = take_field(&at)};
			c->operands = take_field(&at);
			c->help = take_field(&at);
		} else if (all->count) {
			command *c = &all->items[all->count - 1];
			c->options = cli_realloc(c->options, c->count + 1, sizeof(*c->options));
			option *o = &c->options[c->count++];
			o->joined_argument = o->joined_words = NULL;
			o->letter = take_field(&at);
			o->name = take_field(&at);
			o->kind = take_field(&at);
			o->argument = take_field(&at);
			o->words = take_field(&at);
			o->help = take_field(&at);
			c->count -= join_words(c);
		}
	}
}

/* What a program prints with --list-options; NULL and a message when it cannot. */
static char *ask(const char *program)
{
	char *argv[] = {(char *)(uintptr_t)program, "--list-options", NULL}, *text = NULL;
	posix_spawn_file_actions_t files;
	int ends[2], status = -1;
	size_t size = 0;
	pid_t pid;

	if (pipe(ends)) {
		cli_message(program, "%s", strerror(errno));
		return NULL;
	}
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&files, ends[0]);
	posix_spawn_file_actions_addclose(&files, ends[1]);
	int code = posix_spawn(&pid, program, &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	close(ends[1]);
	while (!code) {
		text = cli_realloc(text, size + 4097, 1);
		ssize_t n = read(ends[0], text + size, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		size += (size_t)n;
	}
	close(ends[0]);
	if (!code)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	if (code || status) {
		cli_message(program, "%s", code ? strerror(code) : "does not list its options");
		free(text);
		return NULL;
	}
	text[size] = '\0';
	return text;
}

static bool is_kind(const option *o, const char *kind)
{
	return !strcmp(o->kind, kind);
}

static bool takes_folders(const command *c)
{
	return !strcmp(c->operands, "DIR...");
}

static bool takes_backbone(const command *c)
{
	return strstr(c->operands, "NAME|FILE.onnx") != NULL;
}

/* The last word: "run" of "backbone run". */
static const char *last_word(const command *c)
{
	const char *blank = strrchr(c->name, ' ');

	return blank ? blank + 1 : c->name;
}

static bool is_sub_of(const command *sub, const command *c)
{
	size_t n = strlen(c->name);

	return !strncmp(sub->name, c->name, n) && sub->name[n] == ' ';
}

static bool has_subs(const commands *all, const command *c)
{
	for (size_t i = 0; i < all->count; i++)
		if (is_sub_of(&all->items[i], c))
			return true;
	return false;
}

static void print_sub_names(const commands *all, const command *c, const char *between)
{
	const char *sep = "";

	for (size_t i = 0; i < all->count; i++) {
		if (is_sub_of(&all->items[i], c)) {
			cli_print("%s%s", sep, last_word(&all->items[i]));
			sep = between;
		}
	}
}

static void print_command_names(const commands *all, const char *between)
{
	const char *sep = "";

	for (size_t i = 0; i < all->count; i++) {
		if (!strchr(all->items[i].name, ' ')) {
			cli_print("%s%s", sep, all->items[i].name);
			sep = between;
		}
	}
}

/* -- bash --------------------------------------------------------------------------------------------- */

/* The patterns of the options of a kind, as `case` takes them; returns whether there are some. */
static bool print_patterns(const command *c, const char *kind, const char *words)
{
	const char *sep = "";

	for (size_t i = 0; i < c->count; i++) {
		const option *o = &c->options[i];
		if (!is_kind(o, kind) || (words && strcmp(o->words, words)))
			continue;
		if (o->letter[0]) {
			cli_print("%s-%s", sep[0] ? sep : "\t\t", o->letter);
			sep = "|";
		}
		if (o->name[0]) {
			cli_print("%s--%s", sep[0] ? sep : "\t\t", o->name);
			sep = "|";
		}
	}
	return sep[0];
}

static void bash_command(const commands *all, const command *c)
{
	cli_print("\t'%s')\n\t\toptions='", c->name);
	for (size_t i = 0; i < c->count; i++) {
		const option *o = &c->options[i];
		if (o->name[0])
			cli_print("--%s%s ", o->name, is_kind(o, "flag") ? "" : "=");
		else
			cli_print("-%s ", o->letter);
	}
	cli_print("'\n");
	if (has_subs(all, c)) {
		cli_print("\t\toperands='");
		print_sub_names(all, c, " ");
		cli_print("'\n");
	} else {
		cli_print("\t\toperands=%s\n", takes_folders(c)     ? "folder"
							: takes_backbone(c)    ? "backbone"
							: c->operands[0] ? "file"
									 : "none");
	}
	cli_print("\t\tcase $before in\n");
	for (size_t i = 0; i < c->count; i++) {
		const option *o = &c->options[i];
		bool first = is_kind(o, "word");
		for (size_t k = 0; k < i && first; k++)
			first = strcmp(c->options[k].words, o->words);
		if (first && print_patterns(c, "word", o->words))
			cli_print(") value='%s' ;;\n", o->words);
	}
	static const char *const kinds[] = {"folder", "file", "backbone", "other"};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (print_patterns(c, kinds[i], NULL))
			cli_print(") value=%s ;;\n", kinds[i]);
	cli_print("\t\tesac\n\t\t;;\n");
}

static void bash(const commands *all)
{
	cli_print("# bash completion for adtool, made by 'adtool completion bash'.\n\n"
		  "_adtool_words() {\n"
		  "\tlocal IFS=$'\\n'\n"
		  "\tCOMPREPLY=($(compgen -W \"${1// /$'\\n'}\" -- \"$2\"))\n"
		  "\t[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
		  "}\n\n"
		  "_adtool_files() {\n"
		  "\tlocal IFS=$'\\n'\n"
		  "\tcompopt -o filenames 2>/dev/null\n"
		  "\tCOMPREPLY=($(compgen \"$1\" -- \"$2\"))\n"
		  "}\n\n"
		  "_adtool_backbones() {\n"
		  "\tlocal IFS=$'\\n'\n"
		  "\tcompopt -o filenames 2>/dev/null\n"
		  "\tCOMPREPLY=($(compgen -W \"$(command adtool backbone list 2>/dev/null | cut -d ' ' -f 1)\" "
		  "-- \"$1\")\n"
		  "\t\t$(compgen -f -- \"$1\"))\n"
		  "}\n\n"
		  "_adtool() {\n"
		  "\tlocal current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
		  "\tlocal command='' options='' operands='' value='' ended='' i\n"
		  "\tCOMPREPLY=()\n"
		  "\t# --option=value comes as three words.\n"
		  "\tif [[ $current == '=' ]]; then\n"
		  "\t\tcurrent=''\n"
		  "\telif [[ $before == '=' ]] && ((COMP_CWORD > 2)); then\n"
		  "\t\tbefore=${COMP_WORDS[COMP_CWORD-2]}\n"
		  "\tfi\n"
		  "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		  "\t\t[[ ${COMP_WORDS[i]} == -- ]] && ended=1\n"
		  "\tdone\n"
		  "\tcommand=${COMP_WORDS[1]}\n"
		  "\tif ((COMP_CWORD < 2)); then\n"
		  "\t\tlocal words='-h --help --version'\n"
		  "\t\t[[ $current == -* ]] || words='");
	print_command_names(all, " ");
	cli_print(" help'\n\t\t_adtool_words \"$words\" \"$current\"\n\t\treturn\n\tfi\n"
		  "\tif [[ $command == help ]]; then\n\t\t_adtool_words '");
	print_command_names(all, " ");
	cli_print("' \"$current\"\n\t\treturn\n\tfi\n"
		  "\tif [[ $command == completion && $current != -* ]]; then\n"
		  "\t\t_adtool_words 'bash zsh fish' \"$current\"\n\t\treturn\n\tfi\n"
		  "\tcase $command in\n");
	for (size_t i = 0; i < all->count; i++) {
		const command *c = &all->items[i];
		if (strchr(c->name, ' ') || !has_subs(all, c))
			continue;
		cli_print("\t%s)\n\t\tif ((COMP_CWORD > 2)); then\n\t\t\tcommand+=\" ${COMP_WORDS[2]}\"\n\t\tfi\n"
			  "\t\t;;\n", c->name);
	}
	cli_print("\tesac\n\tcase $command in\n");
	for (size_t i = 0; i < all->count; i++)
		bash_command(all, &all->items[i]);
	cli_print("\t*) operands=file ;;\n"
		  "\tesac\n"
		  "\tif [[ $ended || ! $value ]]; then\n"
		  "\t\tif [[ ! $ended && $current == -* ]]; then\n"
		  "\t\t\t_adtool_words \"$options\" \"$current\"\n"
		  "\t\t\treturn\n"
		  "\t\tfi\n"
		  "\t\tvalue=$operands\n"
		  "\tfi\n"
		  "\tcase $value in\n"
		  "\tother|none) ;;\n"
		  "\tfile) _adtool_files -f \"$current\" ;;\n"
		  "\tfolder) _adtool_files -d \"$current\" ;;\n"
		  "\tbackbone) _adtool_backbones \"$current\" ;;\n"
		  "\t*) _adtool_words \"$value\" \"$current\" ;;\n"
		  "\tesac\n"
		  "}\n\n"
		  "complete -F _adtool adtool\n");
}

/* -- zsh ---------------------------------------------------------------------------------------------- */

/* For use within '...[...]...': what would end one of them is escaped. */
static void print_zsh(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			cli_print("'\\''");
		else
			cli_print("%s%c", strchr("[]:\\", *text) ? "\\" : "", *text);
	}
}

/* "backbone run" as part of a function's name. */
static void print_identifier(const char *name)
{
	for (; *name; name++)
		cli_print("%c", *name == ' ' || *name == '-' ? '_' : *name);
}

static void zsh_option(const option *o)
{
	bool flag = is_kind(o, "flag");

	/* Several lists may be given; anything else once. */
	if (o->letter[0] && o->name[0])
		cli_print("\t\t'(-%s --%s)'{-%s%s,--%s%s}'[", o->letter, o->name, o->letter, flag ? "" : "+", o->name,
			  flag ? "" : "=");
	else if (o->letter[0])
		cli_print("\t\t'-%s%s[", o->letter, flag ? "" : "+");
	else
		cli_print("\t\t'--%s%s[", o->name, flag ? "" : "=");
	print_zsh(o->help);
	cli_print("]");
	if (!flag) {
		cli_print(":");
		print_zsh(o->argument);
		cli_print(":");
		if (is_kind(o, "word"))
			cli_print("(%s)", o->words);
		else
			cli_print("%s", is_kind(o, "file")       ? "_files"
					: is_kind(o, "folder")   ? "_files -/"
					: is_kind(o, "backbone") ? "_adtool_backbones"
								 : " ");
	}
	cli_print("' \\\n");
}

static void zsh_names(const commands *all, const command *of)
{
	for (size_t i = 0; i < all->count; i++) {
		const command *c = &all->items[i];
		if (of ? !is_sub_of(c, of) : strchr(c->name, ' ') != NULL)
			continue;
		cli_print("\t\t'%s:", last_word(c));
		print_zsh(c->help);
		cli_print("'\n");
	}
}

static void zsh_command(const commands *all, const command *c)
{
	cli_print("_adtool_");
	print_identifier(c->name);
	cli_print("() {\n");
	if (has_subs(all, c)) {
		cli_print("\tlocal -a names\n\tnames=(\n");
		zsh_names(all, c);
		cli_print("\t)\n\tif ((CURRENT == 2)); then\n\t\t_describe -t commands 'command' names\n\t\treturn\n"
			  "\tfi\n"
			  "\tlocal function=_adtool_");
		print_identifier(c->name);
		cli_print("_$words[2]\n\tshift words\n\t((CURRENT--))\n"
			  "\t(($+functions[$function])) && $function\n}\n\n");
		return;
	}
	cli_print("\t_arguments -s -S \\\n");
	for (size_t i = 0; i < c->count; i++)
		zsh_option(&c->options[i]);
	if (!strcmp(c->name, "completion"))
		cli_print("\t\t'1:shell:(bash zsh fish)'\n}\n\n");
	else if (c->operands[0])
		cli_print("\t\t'*:%s:%s'\n}\n\n", c->operands, takes_folders(c)      ? "_files -/"
								: takes_backbone(c) ? "_adtool_backbones"
										    : "_files");
	else
		cli_print("\t\t&& :\n}\n\n");
}

static void zsh(const commands *all)
{
	cli_print("#compdef adtool\n# zsh completion for adtool, made by 'adtool completion zsh'.\n\n"
		  "_adtool_backbones() {\n"
		  "\tlocal -a backbones\n"
		  "\tbackbones=(${(f)\"$(command adtool backbone list 2>/dev/null | cut -d ' ' -f 1)\"})\n"
		  "\t_alternative 'backbones:backbone:compadd -a backbones' 'files:file:_files'\n"
		  "}\n\n");
	for (size_t i = 0; i < all->count; i++)
		zsh_command(all, &all->items[i]);
	cli_print("_adtool() {\n\tlocal -a names\n\tnames=(\n");
	zsh_names(all, NULL);
	cli_print("\t\t'help:show the manual page of a command'\n\t)\n"
		  "\tif ((CURRENT == 2)); then\n"
		  "\t\tif [[ $words[2] == -* ]]; then\n"
		  "\t\t\tcompadd -- -h --help --version\n"
		  "\t\telse\n"
		  "\t\t\t_describe -t commands 'command' names\n"
		  "\t\tfi\n"
		  "\t\treturn\n"
		  "\tfi\n"
		  "\tlocal function=_adtool_$words[2]\n"
		  "\tshift words\n"
		  "\t((CURRENT--))\n"
		  "\tif [[ $words[1] == help ]]; then\n"
		  "\t\t_describe -t commands 'command' names\n"
		  "\telif (($+functions[$function])); then\n"
		  "\t\t$function\n"
		  "\telse\n"
		  "\t\t_files\n"
		  "\tfi\n"
		  "}\n\n"
		  "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
		  "\t_adtool \"$@\"\n"
		  "else\n"
		  "\tcompdef _adtool adtool\n"
		  "fi\n");
}

/* -- fish --------------------------------------------------------------------------------------------- */

static void print_fish(const char *text)
{
	cli_print("'");
	for (; *text; text++)
		cli_print("%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
	cli_print("'");
}

#define FISH_BACKBONES " -F -a '(command adtool backbone list 2>/dev/null | string replace -r \" .*\" \"\")'"

/* "-n CONDITION" of what stands behind this command. */
static void print_condition(const commands *all, const command *c)
{
	char *first = cli_text("%.*s", (int)strcspn(c->name, " "), c->name);

	if (strchr(c->name, ' '))
		cli_print("-n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s'", first,
			  last_word(c));
	else if (has_subs(all, c)) {
		cli_print("-n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from ", first);
		print_sub_names(all, c, " ");
		cli_print("'");
	} else
		cli_print("-n '__fish_seen_subcommand_from %s'", first);
	free(first);
}

static void fish_command(const commands *all, const command *c)
{
	if (strchr(c->name, ' ')) {
		for (size_t i = 0; i < all->count; i++)
			if (is_sub_of(c, &all->items[i])) {
				cli_print("complete -c adtool ");
				print_condition(all, &all->items[i]);
			}
	} else {
		cli_print("complete -c adtool -n __fish_use_subcommand");
	}
	cli_print(" -f -a %s -d ", last_word(c));
	print_fish(c->help);
	cli_print("\n");
	if (!has_subs(all, c)) {
		cli_print("complete -c adtool ");
		print_condition(all, c);
		if (!strcmp(c->name, "completion"))
			cli_print(" -f -a 'bash zsh fish'\n");
		else if (takes_folders(c))
			cli_print(" -f -a '(__fish_complete_directories)'\n");
		else
			cli_print("%s\n", takes_backbone(c) ? FISH_BACKBONES : c->operands[0] ? " -F" : " -f");
	}
	for (size_t i = 0; i < c->count; i++) {
		const option *o = &c->options[i];
		cli_print("complete -c adtool ");
		print_condition(all, c);
		if (o->letter[0])
			cli_print(" -s %s", o->letter);
		if (o->name[0])
			cli_print(" -l %s", o->name);
		if (is_kind(o, "word"))
			cli_print(" -x -a '%s'", o->words);
		else if (is_kind(o, "folder"))
			cli_print(" -x -a '(__fish_complete_directories)'");
		else if (is_kind(o, "file"))
			cli_print(" -r -F");
		else if (is_kind(o, "backbone"))
			cli_print(" -r" FISH_BACKBONES);
		else if (is_kind(o, "other"))
			cli_print(" -x");
		cli_print(" -d ");
		print_fish(o->help);
		cli_print("\n");
	}
}

static void fish(const commands *all)
{
	cli_print("# fish completion for adtool, made by 'adtool completion fish'.\n\n"
		  "complete -c adtool -n __fish_use_subcommand -f\n"
		  "complete -c adtool -n __fish_use_subcommand -f -a help -d 'show the manual page of a command'\n"
		  "complete -c adtool -n '__fish_seen_subcommand_from help' -f -a '");
	print_command_names(all, " ");
	cli_print("'\n");
	for (size_t i = 0; i < all->count; i++)
		fish_command(all, &all->items[i]);
}

/* -- running ------------------------------------------------------------------------------------------ */

static int run(size_t count, const char **operands)
{
	static const struct {
		const char *name;
		void (*print)(const commands *all);
	} shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
	void (*print)(const commands *all) = NULL;
	char *texts[32], *folder;
	commands all = {0};
	size_t text_count = 0;
	int status = 0;

	(void)count;
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++)
		if (!strcmp(shells[i].name, operands[0]))
			print = shells[i].print;
	if (!print)
		return cli_usage_error("no completion for '%s'; there is one for bash, zsh and fish", operands[0]);
	folder = cli_program_folder();
	for (const cli_command_row *row = cli_commands; row->name && !status; row++) {
		char *program = cli_text("%s/adtool-%s", folder ? folder : ADTOOL_LIBEXECDIR, row->name);
		char *text = text_count < sizeof(texts) / sizeof(*texts) ? ask(program) : NULL;
		if (text) {
			take_tables(&all, text);
			texts[text_count++] = text;
		} else {
			status = CLI_FAILURE;
		}
		free(program);
	}
	if (!status)
		print(&all);
	for (size_t i = 0; i < all.count; i++) {
		for (size_t k = 0; k < all.items[i].count; k++) {
			free(all.items[i].options[k].joined_argument);
			free(all.items[i].options[k].joined_words);
		}
		free(all.items[i].options);
	}
	free(all.items);
	while (text_count)
		free(texts[--text_count]);
	free(folder);
	return status;
}

const cli_command cli_program = {
    .name = "completion",
    .page = "adtool-completion",
    .operands = "SHELL",
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
