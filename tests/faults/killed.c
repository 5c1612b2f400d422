/*
 * killed TIMES SEED FILE OLD NEW COMMAND...: runs the command that many times, each time with FILE as a copy of OLD,
 * and kills it at a random moment; then FILE must have OLD's bytes or NEW's. Prints how often each was found. Moments
 * are drawn over one and a quarter of the time that the command takes when it is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct file {
	char *data;
	size_t size;
};

static void fatal(const char *what)
{
	perror(what);
	exit(1);
}

static struct file load(const char *path)
{
	struct file f = {0};
	struct stat st;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st))
		fatal(path);
	f.size = (size_t)st.st_size;
	f.data = malloc(f.size + 1);
	if (!f.data || read(fd, f.data, f.size) != (ssize_t)f.size)
		fatal(path);
	close(fd);
	return f;
}

static void save(const char *path, struct file f)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	if (fd < 0 || write(fd, f.data, f.size) != (ssize_t)f.size || close(fd))
		fatal(path);
}

static int same(struct file a, struct file b)
{
	return a.size == b.size && !memcmp(a.data, b.data, a.size);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static pid_t start(char **command)
{
	pid_t child = fork();

	if (child < 0)
		fatal("fork");
	if (child)
		return child;
	execvp(command[0], command);
	_exit(127);
}

static void wait_for(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

int main(int argc, char **argv)
{
	int times, i, status, found[2] = {0}, killed = 0;
	struct file old, new, got;
	uint64_t state;
	double took;
	pid_t child;

	if (argc < 7) {
		fprintf(stderr, "usage: killed TIMES SEED FILE OLD NEW COMMAND...\n");
		return 129;
	}
	times = (int)strtol(argv[1], NULL, 10);
	state = strtoull(argv[2], NULL, 10);
	old = load(argv[4]);
	new = load(argv[5]);
	save(argv[3], old);
	took = now();
	child = start(argv + 6);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("# left alone, it fails\n");
		return 1;
	}
	took = now() - took;
	got = load(argv[3]);
	if (!same(got, new)) {
		printf("# left alone, it makes another file\n");
		return 1;
	}
	for (i = 0; i < times; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		free(got.data);
		save(argv[3], old);
		child = start(argv + 6);
		wait_for(took * 1.25 * ((double)(state >> 11) / 9007199254740992.0));
		kill(child, SIGKILL);
		if (waitpid(child, &status, 0) != child)
			fatal("waitpid");
		killed += WIFSIGNALED(status) != 0;
		got = load(argv[3]);
		if (!same(got, old) && !same(got, new)) {
			printf("# time %d: a file that is neither the old one nor the new one\n", i);
			return 1;
		}
		found[same(got, new)]++;
	}
	printf("%d runs, %d killed: %d times the old file, %d times the new one\n", times, killed, found[0], found[1]);
	free(old.data);
	free(new.data);
	free(got.data);
	return 0;
}
