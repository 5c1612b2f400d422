/* SIGINT and SIGTERM as a wish to stop, for commands that have something to finish first. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t caught;
static struct timespec caught_at;
static int stop_pipe[2] = {-1, -1};

/* timeout(1) and the like signal a process and then its group: that is one wish. */
static bool again(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (caught)
		return (now.tv_sec - caught_at.tv_sec) * 1000 + (now.tv_nsec - caught_at.tv_nsec) / 1000000 >
		       CLI_ONE_WISH_MS;
	caught_at = now;
	return false;
}

static void handle(int number)
{
	int saved = errno;

	if (again()) {
		signal(number, SIG_DFL);
		raise(number);
	}

	/* Nobody reads it: whoever waits sees from then on that it can be read. */
	if (!caught && write(stop_pipe[1], "", 1) < 0)
		errno = saved;
	caught = number;
	errno = saved;
}

int cli_catch_stop(void)
{
	struct sigaction a = {.sa_handler = handle, .sa_flags = SA_RESTART};

	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK)) {
		cli_message(cli_program.name, "%s", strerror(errno));
		return CLI_FAILURE;
	}
	sigemptyset(&a.sa_mask);
	sigaddset(&a.sa_mask, SIGINT);
	sigaddset(&a.sa_mask, SIGTERM);
	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
	return 0;
}

void cli_request_stop(void)
{
	if (stop_pipe[1] >= 0 && write(stop_pipe[1], "", 1) < 0)
		cli_message(cli_program.name, "%s", strerror(errno));
}

int cli_stop_fd(void)
{
	return stop_pipe[0];
}

int cli_stopped(void)
{
	return caught;
}
