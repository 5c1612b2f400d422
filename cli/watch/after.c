#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

/* -- a command ---------------------------------------------------------------------------------------- */

int watch_hook_parse(watch_hook *hook, const char *command)
{
	static const char blanks[] = " \t\n";

	for (const char *at = command + strspn(command, blanks); *at; at += strspn(at, blanks)) {
		size_t n = strcspn(at, blanks);
		hook->words = cli_realloc(hook->words, hook->count + 2, sizeof(*hook->words));
		hook->words[hook->count++] = cli_text("%.*s", (int)n, at);
		hook->words[hook->count] = NULL;
		at += n;
	}
	return hook->count ? 0 : cli_usage_error("option '--exec' wants a command");
}

void watch_hook_release(watch_hook *hook)
{
	for (size_t i = 0; i < hook->count; i++)
		free(hook->words[i]);
	free(hook->words);
	*hook = (watch_hook){0};
}

/* The word with each {} replaced; the caller frees. */
static char *fill_in(const char *word, const char *path)
{
	char *out = cli_text("%s", "");

	for (const char *hole; (hole = strstr(word, "{}")); word = hole + 2) {
		char *more = cli_text("%s%.*s%s", out, (int)(hole - word), word, path);
		free(out);
		out = more;
	}
	char *whole = cli_text("%s%s", out, word);
	free(out);
	return whole;
}

/* The environment and what is known of the row; the first four are the caller's to free, as is the array. */
static char **environment_of(const adtool_row *row)
{
	static const char *const verdicts[] = {[ADTOOL_NORMAL] = "normal",
					       [ADTOOL_ANOMALOUS] = "anomalous",
					       [ADTOOL_ERROR] = "error",
					       [ADTOOL_SUSPECT] = "suspect"};
	static const char *const own[] = {"ADTOOL_PATH=", "ADTOOL_SCORE=", "ADTOOL_P=", "ADTOOL_VERDICT="};
	char score[CLI_NUMBER_SIZE] = "", p[CLI_NUMBER_SIZE] = "";
	size_t count = 0, n = 0;

	while (environ[count])
		count++;
	char **e = cli_alloc(count + 5, sizeof(*e));
	if (row->verdict != ADTOOL_ERROR) {
		cli_number(score, row->score);
		cli_number(p, row->p);
	}
	e[n++] = cli_text("%s%s", own[0], row->name);
	e[n++] = cli_text("%s%s", own[1], score);
	e[n++] = cli_text("%s%s", own[2], p);
	e[n++] = cli_text("%s%s", own[3], verdicts[row->verdict]);
	for (size_t i = 0; i < count; i++) {
		bool ours = false;
		for (size_t k = 0; k < 4; k++)
			ours |= !strncmp(environ[i], own[k], strlen(own[k]));
		if (!ours)
			e[n++] = environ[i];
	}
	return e;
}

/* No input; output goes where messages go, as rows stand alone in standard output. */
static int start(pid_t *pid, char **argv, char **envp)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t set;
	int code;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attributes, &set);
	posix_spawnattr_setsigdefault(&attributes, cli_ignored_signals());
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	code = posix_spawnp(pid, argv[0], &files, &attributes, argv, envp);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return code;
}

int watch_hook_run(const watch_hook *hook, const adtool_row *row)
{
	char **argv = cli_alloc(hook->count + 1, sizeof(*argv)), **envp = environment_of(row);
	pid_t pid;
	int status = 0;

	for (size_t i = 0; i < hook->count; i++)
		argv[i] = fill_in(hook->words[i], row->name);
	int code = start(&pid, argv, envp);
	if (code) {
		cli_message(row->name, "--exec: %s: %s", argv[0], strerror(code));
	} else {
		pid_t got;
		do
			got = waitpid(pid, &status, 0);
		while (got < 0 && errno == EINTR);
		code = got < 0 || status;
		if (got < 0)
			cli_message(row->name, "--exec: %s: %s", argv[0], strerror(errno));
		else if (WIFSIGNALED(status))
			cli_message(row->name, "--exec: %s: killed by signal %d", argv[0], WTERMSIG(status));
		else if (status)
			cli_message(row->name, "--exec: %s: ended with status %d", argv[0], WEXITSTATUS(status));
	}
	for (size_t i = 0; i < hook->count; i++)
		free(argv[i]);
	for (size_t i = 0; i < 4; i++)
		free(envp[i]);
	free(argv);
	free(envp);
	return code;
}

/* -- moving ------------------------------------------------------------------------------------------- */

int watch_make_folder(const char *path)
{
	char *copy = cli_text("%s", path);
	int code = 0;

	for (char *at = copy + 1; *copy && !code; at++) {
		char c = *at;
		if (c != '/' && c)
			continue;
		*at = '\0';
		struct stat st;
		if (mkdir(copy, 0777) && (errno != EEXIST || stat(copy, &st) || !S_ISDIR(st.st_mode)))
			code = errno == EEXIST ? ENOTDIR : errno;
		*at = c;
		if (!c)
			break;
	}
	free(copy);
	if (code)
		cli_message(path, "cannot create the folder: %s", strerror(code));
	return code ? CLI_FAILURE : 0;
}

/* Gives a file another name that nothing has yet: 0, EEXIST, or why not. */
static int rename_to_new(const char *from, const char *to)
{
	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	/* Not every file system can refuse to replace. A link never replaces. */
	if (!linkat(AT_FDCWD, from, AT_FDCWD, to, 0))
		return unlink(from) ? errno : 0;
	if (errno != EPERM && errno != EOPNOTSUPP)
		return errno;
	/* Nor can every one link: then the name is taken first. */
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	if (!rename(from, to))
		return 0;
	int code = errno;
	unlink(to);
	return code;
}

static int write_all(int fd, const char *at, size_t size)
{
	while (size) {
		ssize_t n = write(fd, at, size);
		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

enum { BLOCK = 1 << 16 };

int watch_copy_bytes(int from, int to)
{
	char *block = cli_alloc(BLOCK, 1);
	int code = 0;

	for (;;) {
		ssize_t n = read(from, block, BLOCK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			code = n ? errno : 0;
			break;
		}
		code = write_all(to, block, (size_t)n);
		if (code)
			break;
	}
	free(block);
	return code;
}

static void sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Some network shares cannot. */
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* Copies into a file without a name of its own yet: `folder`/.adtool-XXXXXX, written to `copy`. */
static int copy_file(const char *path, const char *folder, char **copy)
{
	struct stat st;
	char *name = NULL;
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), to = -1, code = 0;

	if (from < 0)
		return errno;
	if (fstat(from, &st)) {
		code = errno;
	} else if (!S_ISREG(st.st_mode)) {
		code = EINVAL;
	} else {
		name = cli_text("%s/.adtool-XXXXXX", folder);
		to = mkostemp(name, O_CLOEXEC);
		code = to < 0 ? errno : watch_copy_bytes(from, to);
	}
	if (to >= 0) {
		struct timespec times[2] = {st.st_atim, st.st_mtim};
		if (!code && (fchmod(to, st.st_mode & 07777) || futimens(to, times) || fsync(to)))
			code = errno;
		if (close(to) && !code)
			code = errno;
		if (code)
			unlink(name);
	}
	close(from);
	if (code)
		free(name);
	else
		*copy = name;
	return code;
}

/* Whether both are regular files of the same bytes, as when a move was cut off before the old name went. */
static bool same_bytes(const char *a, const char *b)
{
	int fd[2] = {open(a, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
		     open(b, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
	struct stat st[2];
	char *block = cli_alloc(2, BLOCK);
	bool same = fd[0] >= 0 && fd[1] >= 0 && !fstat(fd[0], &st[0]) && !fstat(fd[1], &st[1]) &&
		    S_ISREG(st[0].st_mode) && S_ISREG(st[1].st_mode) && st[0].st_size == st[1].st_size;

	for (off_t at = 0; same && at < st[0].st_size;) {
		ssize_t n = pread(fd[0], block, BLOCK, at);
		same = n > 0 && pread(fd[1], block + BLOCK, (size_t)n, at) == n &&
		       !memcmp(block, block + BLOCK, (size_t)n);
		at += n;
	}
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	free(block);
	return same;
}

/* Under a name that is free. original: `path` is a copy of it, on another file system; else NULL. */
static int place(const char *path, const char *folder, const char *name, const char *original)
{
	int code = EEXIST;

	for (unsigned i = 0; code == EEXIST && i < 1000000; i++) {
		char *to = i ? cli_text("%s/%s.%u", folder, name, i) : cli_text("%s/%s", folder, name);
		if (original && same_bytes(original, to)) {
			unlink(path);
			code = 0;
		} else {
			code = rename_to_new(path, to);
		}
		free(to);
	}
	return code;
}

int watch_move(const char *path, const char *folder)
{
	const char *name = cli_basename(path);
	int code = place(path, folder, name, NULL);

	if (code == EXDEV) {
		char *copy = NULL;
		code = copy_file(path, folder, &copy);
		if (copy) {
			code = place(copy, folder, name, path);
			if (code)
				unlink(copy);
		}
		free(copy);
		if (!code) {
			sync_folder(folder);
			code = unlink(path) ? errno : 0;
		}
	}
	/* Somebody else, perhaps the command, has dealt with it. */
	if (code == ENOENT && access(path, F_OK))
		code = access(folder, F_OK) ? ENOENT : 0;
	if (code)
		cli_message(path, "cannot be moved to %s: %s", folder, strerror(code));
	return code;
}
