#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/* -- standard output --------------------------------------------------------------------------------- */

static int output_errno;

static void output_check(bool failed)
{
	if (failed && !output_errno)
		output_errno = errno ? errno : EIO;
}

void cli_print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	errno = 0;
	output_check(vprintf(fmt, args) < 0);
	va_end(args);
}

void cli_write(const void *data, size_t size)
{
	errno = 0;
	output_check(fwrite(data, 1, size, stdout) != size);
}

int cli_write_whole(const void *data, size_t size)
{
	const char *at = data;

	cli_flush();
	while (size && !output_errno) {
		ssize_t n = write(STDOUT_FILENO, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			/* The other end made the pipe non-blocking. */
			struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
			poll(&p, 1, -1);
			continue;
		}
		output_check(n < 0);
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return output_errno;
}

int cli_flush(void)
{
	errno = 0;
	output_check(fflush(stdout) != 0);
	return output_errno;
}

int cli_output_failed(void)
{
	return output_errno;
}

/* -- messages ---------------------------------------------------------------------------------------- */

/* {"time":...,"level":...,"what":...,"path":...,"message":...}; the path as rows have it. NULL: out of memory. */
static char *json_line(const char *level, const char *what, const char *text)
{
	const char *command = cli_program.name[0] ? cli_program.name : "adtool";
	adtool_row row = {.name = what, .verdict = ADTOOL_ERROR};
	char time_text[32], *message = NULL, *path = NULL, *line = NULL, *end;
	struct timespec t;
	struct tm date;
	size_t size;

	clock_gettime(CLOCK_REALTIME, &t);
	if (!gmtime_r(&t.tv_sec, &date) || !strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%S", &date))
		time_text[0] = '\0';
	if (adtool_json_string(text, &message, NULL))
		goto done;
	if (what && strcmp(what, cli_program.name)) {
		/* {"path":"...","path_bytes":"...","verdict":... : a quote within a string would have a backslash. */
		if (adtool_row_format(&row, ADTOOL_JSONL, NULL, &path, &size, NULL))
			goto done;
		end = strstr(path, ",\"verdict\":");
		if (end)
			*end = '\0';
	}
	line = cli_text("{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"what\":\"%s\"%s%s,\"message\":%s}\n", time_text,
			t.tv_nsec / 1000000, level, command, path ? "," : "", path ? path + 1 : "", message);
done:
	adtool_free(message);
	adtool_free(path);
	return line;
}

/* In one write, so that programs that share standard error do not cut each other's lines. */
static void say(const char *level, const char *what, const char *fmt, va_list args)
{
	char text[4096], *line = NULL;

	vsnprintf(text, sizeof(text), fmt, args);
	cli_progress_erase();
	if (cli_log_json)
		line = json_line(level, what, text);
	if (!line &&
	    asprintf(&line, "adtool: %s%s%s\n", what ? cli_safe(what) : "", what ? ": " : "", cli_safe(text)) < 0)
		return;
	fwrite(line, 1, strlen(line), stderr);
	fflush(stderr);
	free(line);
}

#define SAY(level)                     \
	do {                           \
		va_list args;          \
		va_start(args, fmt);   \
		say(level, what, fmt, args); \
		va_end(args);          \
	} while (0)

void cli_message(const char *what, const char *fmt, ...)
{
	SAY("error");
}

void cli_warn(const char *what, const char *fmt, ...)
{
	SAY("warning");
}

void cli_remark(const char *what, const char *fmt, ...)
{
	SAY("info");
}

int (cli_fail)(const char *what, const adtool_error *err)
{
	/* A job that was stopped because standard output failed is reported once, at the end. */
	if (err->code != ADTOOL_ECANCELLED || !output_errno)
		cli_message(what, "%s%s", err->message, err->code == ADTOOL_ENOMEM ? cli_memory_note() : "");
	return CLI_FAILURE;
}

/* -- memory ------------------------------------------------------------------------------------------ */

void *cli_realloc(void *block, size_t count, size_t size)
{
	void *p = reallocarray(block, count ? count : 1, size);

	if (!p) {
		cli_message(NULL, "out of memory");
		exit(CLI_FAILURE);
	}
	return p;
}

void *cli_alloc(size_t count, size_t size)
{
	void *p = cli_realloc(NULL, count, size);

	memset(p, 0, count * size);
	return p;
}

char *cli_text(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	int n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0) {
		cli_message(NULL, "out of memory");
		exit(CLI_FAILURE);
	}
	return text;
}

/* -- the manual -------------------------------------------------------------------------------------- */

char *cli_program_folder(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	char *slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	return cli_text("%s", path);
}

static sigset_t ignored; /* static: empty */

void cli_ignore_signal(int number)
{
	if (signal(number, SIG_IGN) != SIG_IGN)
		sigaddset(&ignored, number);
}

const sigset_t *cli_ignored_signals(void)
{
	return &ignored;
}

void cli_default_signals(void)
{
	for (int number = 1; number < SIGRTMIN; number++)
		if (sigismember(&ignored, number) == 1)
			signal(number, SIG_DFL);
}

void cli_exec_man(const char *page)
{
	/* Seen from the program's folder: as built (build/bin, build/asan/bin), as installed (bin, libexec/adtool). */
	static const struct {
		const char *folder;
		bool sections; /* pages stand in man1, man5 */
	} places[] = {
	    {"../../man", false},      {"../../../man", false}, {"../share/man", true},
	    {"../../share/man", true}, {ADTOOL_MANDIR, true},
	};
	char *folder = cli_program_folder(), *file;

	cli_flush();
	cli_default_signals();
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		bool absolute = places[i].folder[0] == '/';
		for (int section = 1; section <= 5; section += 4) {
			char subfolder[8] = "";
			if (places[i].sections)
				snprintf(subfolder, sizeof(subfolder), "/man%d", section);
			file = cli_text("%s%s%s%s/%s.%d", absolute || !folder ? "" : folder, absolute ? "" : "/",
					places[i].folder, subfolder, page, section);
			if (!access(file, R_OK))
				execlp("man", "man", "-l", file, (char *)NULL);
			free(file);
		}
	}
	free(folder);
}

/* -- main -------------------------------------------------------------------------------------------- */

/*
 * A closed standard descriptor would be given to the next file that is opened, and that file would then
 * be printed into. It is taken by /dev/null the wrong way round, so that using it still fails.
 */
static void hold_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			exit(CLI_FAILURE);
}

/* Nothing was done unless it was also printed. */
static int finish(int status)
{
	cli_progress_erase();
	cli_flush();
	errno = 0;
	output_check(fclose(stdout) != 0);
	if (!output_errno)
		return status;
	if (output_errno == EPIPE) {
		/* The reader has had enough: end as others do, with a message if that is not to kill. */
		cli_default_signals();
		raise(SIGPIPE);
	}
	cli_message("stdout", "%s", strerror(output_errno));
	return CLI_FAILURE;
}

int main(int argc, char **argv)
{
	hold_standard_descriptors();
	/* So that writing fails with a message, and files that were begun are removed. */
	cli_ignore_signal(SIGPIPE);
	cli_ignore_signal(SIGXFSZ);
	/* adtool's own threads share the work; OpenBLAS would start some at loading, and hold buffers for each. */
	setenv("OPENBLAS_NUM_THREADS", "1", 1);
	return finish(cli_run(&cli_program, argc, argv));
}
