/* default_signals CMD...: becomes CMD, with no signal ignored. A shell cannot take back what it was started with. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int number;

	if (argc < 2) {
		fprintf(stderr, "usage: default_signals CMD...\n");
		return 129;
	}
	for (number = 1; number < SIGRTMIN; number++)
		signal(number, SIG_DFL);
	execvp(argv[1], argv + 1);
	fprintf(stderr, "default_signals: %s: %s\n", argv[1], strerror(errno));
	return 127;
}
