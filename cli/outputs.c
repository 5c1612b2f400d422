/* Files that a command writes when its work is done: whether it may is asked before. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

/* 1 or 0; -1 when it cannot be read. */
static int begins_with(const char *path, const char *magic)
{
	char head[16] = "";
	size_t size = strlen(magic);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -1;
	ssize_t got = read(fd, head, size);
	close(fd);
	return got < 0 ? -1 : (size_t)got == size && !memcmp(head, magic, size);
}

/* What is there already. */
static int check_file(const char *path, const struct stat *st, const char *magic, const char *kind, bool force)
{
	if (!S_ISREG(st->st_mode)) {
		cli_message(path, S_ISDIR(st->st_mode) ? "is a folder" : "not a regular file");
		return CLI_FAILURE;
	}
	int known = !magic || force || !st->st_size ? 1 : begins_with(path, magic);
	if (known < 0)
		cli_message(path, "exists and cannot be read; only --force replaces it: %s", strerror(errno));
	else if (!known)
		cli_message(path, "exists and is no %s; only --force replaces it", kind);
	return known == 1 ? 0 : CLI_FAILURE;
}

static int check_folder(const char *path)
{
	/* A link stays, and what it leads to is replaced. */
	char *real = realpath(path, NULL);
	const char *target = real ? real : path, *slash = strrchr(target, '/');
	char *folder = slash ? cli_text("%.*s", slash == target ? 1 : (int)(slash - target), target) : cli_text(".");
	/* With the dot it is nothing but a folder. */
	char *within = cli_text("%s/.", folder);
	int status = 0;

	if (access(within, W_OK | X_OK)) {
		cli_message(path, "cannot write to the folder %s: %s", folder, strerror(errno));
		status = CLI_FAILURE;
	}
	free(within);
	free(folder);
	free(real);
	return status;
}

int cli_may_write(const char *path, const char *magic, const char *kind, bool force)
{
	struct stat st;

	if (!stat(path, &st) && check_file(path, &st, magic, kind, force))
		return CLI_FAILURE;
	return check_folder(path);
}
