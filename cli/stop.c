/* SIGINT and SIGTERM as a wish to stop, for commands that have something to finish first. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t caught;
static int stop_pipe[2] = {-1, -1};

static void handle(int number)
{
	int saved = errno;

	/* Nobody reads it: whoever waits sees from then on that it can be read. */
	if (!caught && write(stop_pipe[1], "", 1) < 0)
		errno = saved;
	caught = number;
	errno = saved;
}

int cli_catch_stop(void)
{
	/* The second one ends the program at once. */
	struct sigaction a = {.sa_handler = handle, .sa_flags = (int)SA_RESETHAND | SA_RESTART};

	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK)) {
		cli_message(cli_program.name, "%s", strerror(errno));
		return CLI_FAILURE;
	}
	sigemptyset(&a.sa_mask);
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
