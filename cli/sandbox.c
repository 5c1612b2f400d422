#include <errno.h>
#include <sys/resource.h>

#include "cli.h"

bool cli_no_sandbox;

void cli_say_sandbox(unsigned parts)
{
	if (cli_verbose)
		cli_remark(cli_program.name, "sandbox: %s",
			   parts == (ADTOOL_SANDBOX_FILES | ADTOOL_SANDBOX_CALLS) ? "files and calls"
			   : parts & ADTOOL_SANDBOX_FILES                         ? "files only; calls stay free here"
			   : parts & ADTOOL_SANDBOX_CALLS ? "calls only; this kernel has no Landlock"
							  : "none; this kernel offers nothing");
}

int cli_sandbox(const char *const *folders, size_t count)
{
	const char *given[8];
	size_t n = 0;
	unsigned parts;
	adtool_error err;

	if (cli_no_sandbox)
		return 0;
	for (size_t i = 0; i < count && n < sizeof(given) / sizeof(given[0]); i++)
		if (folders[i])
			given[n++] = folders[i];
	if (adtool_sandbox_enter(given, n, &parts, &err))
		return cli_fail(cli_program.name, &err);
	cli_say_sandbox(parts);
	return 0;
}

static uint64_t most_memory;
uint64_t cli_whole_pixels;

const char *cli_memory_note(void)
{
	static char note[64];

	if (most_memory)
		snprintf(note, sizeof(note), "; --memory allows %.6g MiB", (double)most_memory / (1 << 20));
	return note;
}

int cli_limit_memory(uint64_t bytes, unsigned threads)
{
	/* What decoding takes at most for each pixel, the picture and what is drawn of it. */
	enum { BYTES_A_PIXEL = 18 };
	struct rlimit limit;
	uint64_t pixels = bytes / 2 / BYTES_A_PIXEL / threads;

	if (!bytes)
		return 0;
	if (getrlimit(RLIMIT_DATA, &limit)) {
		cli_message("--memory", "%s", strerror(errno));
		return CLI_FAILURE;
	}
	if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > bytes)
		limit.rlim_cur = limit.rlim_max = bytes;
	if (setrlimit(RLIMIT_DATA, &limit)) {
		cli_message("--memory", "%s", strerror(errno));
		return CLI_FAILURE;
	}
	most_memory = limit.rlim_cur;
	cli_whole_pixels = pixels ? pixels : 1;
	return 0;
}
