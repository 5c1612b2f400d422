#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

int watch_score(const watch_job *job, adtool_error *err)
{
	adtool_dataset *dataset;
	int code = adtool_dataset_open(job->inputs, job->count, &job->reading, &dataset, err);

	if (code)
		return code;
	code = adtool_score(job->model, dataset, &job->scoring, NULL, err);
	adtool_dataset_free(dataset);
	return code;
}

/* -- what the process that scores sends ----------------------------------------------------------------- */

/* Its size, a head, texts, each with its NUL behind a byte that says whether there is one, and regions. */
enum { ROW = 1, END, MOST_BYTES = 64 << 20 };
enum { NAME, WHY, HEATMAP, OVERLAY, MAP, DIGEST, TEXTS };

typedef struct head {
	int kind;
	int code;       /* of a row that is an error, or of the job */
	unsigned parts; /* of the sandbox, with END */
	int verdict, has_regions, has_map_box;
	double score, p, threshold, map_box[4];
	unsigned width, height;
	size_t regions;
} head;

static int write_all(int fd, const char *at, size_t size)
{
	while (size) {
		ssize_t n = write(fd, at, size);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* Non-zero when nobody takes it any more. */
static int send_message(int fd, const head *h, const char *const texts[TEXTS], const adtool_region *regions)
{
	size_t size = sizeof(size) + sizeof(*h) + h->regions * sizeof(*regions);

	for (int i = 0; i < TEXTS; i++)
		size += 1 + (texts[i] ? strlen(texts[i]) + 1 : 0);
	char *message = calloc(1, size), *at = message;
	if (!message)
		return -1;
	at = mempcpy(at, &size, sizeof(size));
	at = mempcpy(at, h, sizeof(*h));
	for (int i = 0; i < TEXTS; i++) {
		*at++ = texts[i] != NULL;
		if (texts[i])
			at = mempcpy(at, texts[i], strlen(texts[i]) + 1);
	}
	if (h->regions)
		memcpy(at, regions, h->regions * sizeof(*regions));
	int failed = write_all(fd, message, size);
	free(message);
	return failed;
}

static int send_row(void *context, const adtool_row *row)
{
	const char *const texts[TEXTS] = {[NAME] = row->name, [WHY] = row->why, [HEATMAP] = row->heatmap,
					  [OVERLAY] = row->overlay, [MAP] = row->map_file, [DIGEST] = row->digest};
	head h;

	/* Padding is sent, too. */
	memset(&h, 0, sizeof(h));
	h.kind = ROW;
	h.code = row->code;
	h.verdict = (int)row->verdict;
	h.has_regions = row->has_regions;
	h.has_map_box = row->has_map_box;
	h.score = row->score;
	h.p = row->p;
	h.threshold = row->threshold;
	memcpy(h.map_box, row->map_box, sizeof(h.map_box));
	h.width = row->width;
	h.height = row->height;
	h.regions = row->region_count;
	return send_message(*(const int *)context, &h, texts, row->regions);
}

static void send_end(int fd, int code, unsigned parts, const adtool_error *err)
{
	const char *const texts[TEXTS] = {[WHY] = code ? err->message : NULL};
	head h;

	memset(&h, 0, sizeof(h));
	h.kind = END;
	h.code = code;
	h.parts = parts;
	send_message(fd, &h, texts, NULL);
}

/* 1: whole; 0: there is no more. */
static int read_all(int fd, char *at, size_t size)
{
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

typedef struct message {
	char *bytes;
	head head;
	const char *texts[TEXTS];
	adtool_region *regions; /* to be freed */
} message;

static void release(message *m)
{
	free(m->bytes);
	free(m->regions);
	*m = (message){0};
}

/* Whether a message came that can be one: who sent it may have been taken over by a picture. */
static bool receive(int fd, message *m)
{
	size_t size, left;

	if (!read_all(fd, (char *)&size, sizeof(size)) || size < sizeof(size) + sizeof(m->head) || size > MOST_BYTES)
		return false;
	left = size - sizeof(size);
	m->bytes = cli_alloc(left, 1);
	if (!read_all(fd, m->bytes, left))
		return false;
	memcpy(&m->head, m->bytes, sizeof(m->head));
	const char *at = m->bytes + sizeof(m->head);
	left -= sizeof(m->head);
	for (int i = 0; i < TEXTS; i++) {
		bool there = left && *at;
		if (!left--)
			return false;
		at++;
		if (!there)
			continue;
		const char *end = memchr(at, '\0', left);
		if (!end)
			return false;
		m->texts[i] = at;
		left -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	if (m->head.regions != left / sizeof(*m->regions) || left % sizeof(*m->regions))
		return false;
	if (left) {
		m->regions = cli_alloc(m->head.regions, sizeof(*m->regions));
		memcpy(m->regions, at, left);
	}
	if (m->head.kind == END)
		return true;
	/* The digest will stand in the state, the name is held against what was asked for. */
	return m->head.kind == ROW && m->texts[NAME] && m->head.verdict >= ADTOOL_NORMAL &&
	       m->head.verdict <= ADTOOL_SUSPECT &&
	       (!m->texts[DIGEST] || (strlen(m->texts[DIGEST]) == WATCH_DIGEST - 1 &&
				      strspn(m->texts[DIGEST], "0123456789abcdef") == WATCH_DIGEST - 1));
}

static int take(const watch_job *job, const message *m)
{
	/* The map itself stays where it is: a row tells only where it lies. */
	const head *h = &m->head;
	adtool_row row = {.name = m->texts[NAME],
			  .verdict = (enum adtool_verdict)h->verdict,
			  .score = h->score,
			  .p = h->p,
			  .threshold = h->threshold,
			  .code = h->code,
			  .why = m->texts[WHY],
			  .width = h->width,
			  .height = h->height,
			  .heatmap = m->texts[HEATMAP],
			  .overlay = m->texts[OVERLAY],
			  .map_file = m->texts[MAP],
			  .has_map_box = h->has_map_box,
			  .has_regions = h->has_regions,
			  .regions = m->regions,
			  .region_count = h->regions,
			  .digest = m->texts[DIGEST]};

	memcpy(row.map_box, h->map_box, sizeof(row.map_box));
	if (row.verdict == ADTOOL_ERROR && !row.why)
		row.why = adtool_code_string(row.code);
	return job->scoring.row(job->scoring.context, &row);
}

/* -- two processes -------------------------------------------------------------------------------------- */

/* What else is open is none of its business: the output, what was told, the folders. */
static void close_others(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

static _Noreturn void score_apart(const watch_job *job, int out, pid_t parent)
{
	watch_job mine = *job;
	unsigned parts = 0;
	adtool_error err;
	size_t folders = 0;

	/* The wish to stop comes through the descriptor; an end that is not wished, from the kernel. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(CLI_FAILURE);
	close_others(out, job->reading.stop_fd);
	while (job->folders[folders])
		folders++;
	int code = adtool_sandbox_enter(job->folders, folders, &parts, &err);
	if (!code) {
		mine.scoring.row = send_row;
		mine.scoring.context = &out;
		code = watch_score(&mine, &err);
	}
	send_end(out, code, parts, &err);
	_exit(0);
}

static int fail(adtool_error *err, int code, const char *why)
{
	err->code = code;
	snprintf(err->message, sizeof(err->message), "%s", why);
	return code;
}

static void say_parts(unsigned parts)
{
	static bool said;

	if (!said)
		cli_say_sandbox(parts);
	said = true;
}

int watch_score_apart(const watch_job *job, int *lost, adtool_error *err)
{
	message m = {0};
	int ends[2], status, code = 0;
	pid_t self = getpid(), child, got;
	bool refused = false, ended = false;

	*lost = 0;
	if (pipe2(ends, O_CLOEXEC))
		return fail(err, ADTOOL_EIO, strerror(errno));
	child = fork();
	if (child < 0) {
		code = errno;
		close(ends[0]);
		close(ends[1]);
		return fail(err, ADTOOL_EIO, strerror(code));
	}
	if (!child)
		score_apart(job, ends[1], self);
	close(ends[1]);
	/* To the end, whatever becomes of the rows, so that it is not held up. */
	while (!ended && receive(ends[0], &m)) {
		ended = m.head.kind == END;
		if (ended) {
			say_parts(m.head.parts);
			if (m.head.code)
				code = fail(err, m.head.code,
					    m.texts[WHY] ? m.texts[WHY] : adtool_code_string(m.head.code));
		} else if (!refused) {
			refused = take(job, &m) != 0;
		}
		release(&m);
	}
	release(&m);
	close(ends[0]);
	if (!ended)
		kill(child, SIGKILL);
	do
		got = waitpid(child, &status, 0);
	while (got < 0 && errno == EINTR);
	if (refused)
		return fail(err, ADTOOL_ECANCELLED, adtool_code_string(ADTOOL_ECANCELLED));
	if (!ended)
		*lost = got == child && WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL;
	return code;
}
