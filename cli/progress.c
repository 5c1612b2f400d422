#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

enum { REDRAW_MS = 100, FIRST_MS = 300 };

/* The one line of this process. */
static struct {
	int terminal; /* 0: not asked yet; 1: draw; -1: do not */
	bool drawn;
	const char *stage;
	double stage_start, last_draw;
} line;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool is_drawn(void)
{
	if (!line.terminal) {
		const char *term = getenv("TERM");
		line.terminal =
		    !cli_quiet && !cli_log_json && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") ? 1 : -1;
	}
	return line.terminal > 0;
}

static unsigned terminal_width(void)
{
	struct winsize size;

	return !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col >= 20 ? size.ws_col : 80;
}

/* "1:05", "2:10:00". */
static void duration(char *out, size_t size, double seconds)
{
	unsigned long s = (unsigned long)(seconds + 0.5);

	if (s >= 3600)
		snprintf(out, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(out, size, "%lu:%02lu", s / 60, s % 60);
}

static void draw(const char *stage, uint64_t done, uint64_t total, double elapsed)
{
	char head[96], tail[96] = "", eta[32], text[256];
	double rate = elapsed > 0 ? (double)done / elapsed : 0;
	unsigned width = terminal_width() - 1;

	if (total)
		snprintf(head, sizeof(head), "%s %llu/%llu", stage, (unsigned long long)done,
			 (unsigned long long)total);
	else
		snprintf(head, sizeof(head), "%s %llu", stage, (unsigned long long)done);
	if (total && rate > 0 && done <= total) {
		duration(eta, sizeof(eta), (double)(total - done) / rate);
		snprintf(tail, sizeof(tail), "  %.3g/s  %s left", rate, eta);
	} else if (rate > 0) {
		snprintf(tail, sizeof(tail), "  %.3g/s", rate);
	}
	size_t used = strlen(head) + strlen(tail) + 4;
	if (total && width > used + 10) {
		char bar[41];
		size_t cells = width - used < sizeof(bar) - 1 ? width - used : sizeof(bar) - 1;
		size_t full = done >= total ? cells : (size_t)((double)done / (double)total * (double)cells);
		memset(bar, '.', cells);
		memset(bar, '#', full);
		bar[cells] = '\0';
		snprintf(text, sizeof(text), "%s [%s]%s", head, bar, tail);
	} else {
		snprintf(text, sizeof(text), "%s%s", head, tail);
	}
	fprintf(stderr, "\r%.*s\033[K", (int)width, text);
	fflush(stderr);
	line.drawn = true;
}

int cli_progress(void *context, const char *stage, uint64_t done, uint64_t total)
{
	(void)context;
	if (is_drawn()) {
		double t = now();
		if (!line.stage || strcmp(line.stage, stage)) {
			line.stage = stage;
			line.stage_start = t;
			line.last_draw = t - (REDRAW_MS - FIRST_MS) * 1e-3;
		}
		if (t - line.last_draw >= REDRAW_MS * 1e-3) {
			line.last_draw = t;
			draw(stage, done, total, t - line.stage_start);
		}
	}
	return cli_output_failed();
}

void cli_progress_erase(void)
{
	if (!line.drawn)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	line.drawn = false;
}
