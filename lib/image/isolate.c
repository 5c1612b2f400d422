/* Decoding in a process of its own: what becomes of it is no more than an error. */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/fork.h"
#include "../base/mem.h"
#include "../base/sanitized.h"

/* What comes through the pipe: this, and when the code is 0 the pixels. */
struct answer {
	unsigned width, height;
	adtool_error error;
};

struct job {
	const ad_image_format *format;
	const uint8_t *data;
	size_t size;
	const adtool_image_options *options;
	adtool_error *err;
};

/* -- there -------------------------------------------------------------------------------------------- */

/* Nothing is open but the pipe, nothing can be opened, and the caller's end is the end. */
static void confine(int out, pid_t parent)
{
	const struct rlimit nothing = {0, 0}, seconds = {AD_ISOLATED_SECONDS, AD_ISOLATED_SECONDS};
	sigset_t none;
	int fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A wish to stop is the caller's business. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
#ifdef __linux__
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	if (getppid() != parent)
		_exit(1);
	ad_malloc_zeros();
	setrlimit(RLIMIT_CORE, &nothing);
	setrlimit(RLIMIT_CPU, &seconds);
	/* What waits for ever takes no CPU. */
	signal(SIGALRM, SIG_DFL);
	alarm(2 * AD_ISOLATED_SECONDS);
	/* Nor does a library say anything there: libjxl 0.7 remarks on damage. */
	for (fd = 0; fd < out && fd <= STDERR_FILENO; fd++)
		close(fd);
	if (AD_SANITIZED)
		return;
#ifdef __linux__
	if (out > fd)
		close_range((unsigned)fd, (unsigned)out - 1, 0);
	close_range((unsigned)out + 1, ~0u, 0);
#endif
	setrlimit(RLIMIT_NOFILE, &nothing);
}

static _Noreturn void decode_there(const struct job *job, int out, pid_t parent)
{
	struct answer a = {0};
	adtool_image *image = NULL;

	confine(out, parent);
	a.error.code = job->format->decode(job->data, job->size, job->options, &image, &a.error);
	if (!a.error.code) {
		a.width = image->width;
		a.height = image->height;
	}
	if (!ad_write_all(out, &a, sizeof(a)) && !a.error.code)
		ad_write_all(out, image->pixels, (size_t)3 * a.width * a.height);
	_exit(0);
}

/* -- here --------------------------------------------------------------------------------------------- */

/* Whether all of it came. */
static int read_all(int fd, void *to, size_t size)
{
	uint8_t *at = to;

	while (size) {
		ssize_t n = read(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		at += n;
		size -= (size_t)n;
	}
	return 1;
}

/* 1: there was no whole answer. */
static int take(const struct job *job, int in, adtool_image **out)
{
	struct answer a;
	int rc;

	if (!read_all(in, &a, sizeof(a)))
		return 1;
	a.error.message[sizeof(a.error.message) - 1] = '\0';
	if (a.error.code)
		return ad_fail(job->err, a.error.code < 0 ? a.error.code : ADTOOL_EFORMAT, "%s", a.error.message);
	rc = ad_image_check_size(a.width, a.height, job->options, job->err);
	if (!rc)
		rc = ad_image_alloc(a.width, a.height, out, job->err);
	return rc ? rc : !read_all(in, (*out)->pixels, (size_t)3 * a.width * a.height);
}

static int say_end(const struct job *job, int ended, int status)
{
	const char *name = job->format->name;
	int number = ended && WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (number == SIGXCPU || number == SIGALRM)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged %s: decoding it took more than %u s%s", name,
			       AD_ISOLATED_SECONDS * (number == SIGALRM ? 2 : 1), number == SIGALRM ? "" : " of a CPU");
	if (number)
		return ad_fail(job->err, ADTOOL_EFORMAT, "damaged %s: its decoder was ended by signal %d (%s)", name,
			       number, strsignal(number));
	return ad_fail(job->err, ADTOOL_EFORMAT, "damaged %s: its decoder ended without a word", name);
}

int ad_image_isolate(const ad_image_format *f, const uint8_t *data, size_t size, const adtool_image_options *options,
		     adtool_image **out, adtool_error *err)
{
	const struct job job = {f, data, size, options, err};
	adtool_image *image = NULL;
	int end, status, rc = f->prepare(err);
	pid_t self = getpid(), child, got;

	if (rc)
		return rc;
	child = ad_fork(&end);
	if (!child)
		decode_there(&job, end, self);
	if (child < 0)
		return f->decode(data, size, options, out, err);
	rc = take(&job, end, &image);
	close(end);
	if (rc < 0)
		kill(child, SIGKILL);
	do
		got = waitpid(child, &status, 0);
	while (got < 0 && errno == EINTR);
	if (rc > 0)
		rc = say_end(&job, got == child, status);
	if (rc)
		adtool_image_free(image);
	else
		*out = image;
	return rc;
}
