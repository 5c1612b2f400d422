/*
 * sandbox_probe INSIDE OUTSIDE: enters the sandbox with INSIDE writable, tries what should and what should not work,
 * and prints a line for each: "what yes" or "what no". The first line is the sum of the parts in force.
 */
#include <adtool/adtool.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *what, int worked)
{
	printf("%s %s\n", what, worked ? "yes" : "no");
	fflush(stdout);
}

static const char *in(const char *folder, const char *name)
{
	static char paths[4][4096];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(paths[turn], sizeof(paths[0]), "%s/%s", folder, name);
	return paths[turn];
}

static int creates(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0666);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void *nothing(void *argument)
{
	return argument;
}

/* A process that ends with 0 when it can neither run a program nor have a socket. */
static int forks_confined(void)
{
	char *arguments[] = {(char[]){"true"}, NULL};
	pid_t child = fork();
	int status;

	if (!child) {
		if (socket(AF_INET, SOCK_STREAM, 0) >= 0)
			_exit(1);
		execv("/bin/true", arguments);
		_exit(errno == EPERM || errno == EACCES ? 0 : 2);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
}

static int vforks(void)
{
	pid_t child = vfork();

	if (!child)
		_exit(0);
	return child > 0;
}

int main(int argc, char **argv)
{
	const char *inside, *outside;
	char byte, *arguments[] = {(char[]){"true"}, NULL};
	adtool_error err;
	pthread_t thread;
	unsigned parts;
	int fd;

	if (argc != 3)
		return 129;
	inside = argv[1];
	outside = argv[2];
	if (adtool_sandbox_enter(&inside, 1, &parts, &err)) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	printf("parts %u\n", parts);
	tell("thread", !pthread_create(&thread, NULL, nothing, NULL) && !pthread_join(thread, NULL));
	fd = open(in(outside, "there"), O_RDONLY);
	tell("read", fd >= 0 && read(fd, &byte, 1) == 1);
	tell("write-inside", creates(in(inside, "a")));
	tell("atomic-inside",
	     !adtool_file_write(in(inside, "b"), "x", 1, &err) && !adtool_file_write(in(inside, "b"), "y", 1, &err));
	tell("rename-inside", !rename(in(inside, "a"), in(inside, "c")));
	tell("remove-inside", !unlink(in(inside, "c")));
	tell("mkdir-inside", !mkdir(in(inside, "d"), 0777) && creates(in(inside, "d/e")));
	tell("create-outside", creates(in(outside, "new")));
	tell("write-outside", creates(in(outside, "there")));
	tell("truncate-outside", !truncate(in(outside, "there"), 0));
	tell("remove-outside", !unlink(in(outside, "there")));
	tell("mkdir-outside", !mkdir(in(outside, "folder"), 0777));
	tell("rename-outside", !rename(in(inside, "b"), in(outside, "b")));
	tell("link-inside", !symlink("/etc/passwd", in(inside, "link")));
	tell("socket", socket(AF_INET, SOCK_STREAM, 0) >= 0);
	tell("unix-socket", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	tell("confined-fork", forks_confined());
	tell("vfork", vforks());
	execv("/bin/true", arguments);
	tell("exec", 0);
	return 0;
}
