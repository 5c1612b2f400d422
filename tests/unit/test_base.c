#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>


#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../../lib/base/buf.h"
#include "../../lib/base/digest.h"
#include "../../lib/base/fail.h"
#include "../../lib/base/file.h"
#include "../../lib/base/fork.h"
#include "../../lib/base/lazy.h"
#include "../../lib/base/mem.h"
#include "../../lib/base/npy.h"
#include "../../lib/base/order.h"
#include "../../lib/base/ordered.h"
#include "../../lib/base/pool.h"
#include "../../lib/base/rng.h"

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/adtool-base-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static const char *in_folder(const char *name)
{
	static char path[2][512];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

/* -- errors, memory, buffers -------------------------------------------------------------------------- */

static void test_fail(void **state)
{
	adtool_error err;
	char longer[3000];

	(void)state;
	assert_int_equal(ad_fail(&err, ADTOOL_EFORMAT, "%d bytes", 7), ADTOOL_EFORMAT);
	assert_string_equal(err.message, "7 bytes");
	assert_int_equal(ad_fail_within(&err, ADTOOL_EFORMAT, "a.png"), ADTOOL_EFORMAT);
	assert_string_equal(err.message, "a.png: 7 bytes");
	assert_int_equal(ad_fail_errno(&err, ENOENT, "cannot open"), ADTOOL_EIO);
	assert_string_equal(err.message, "cannot open: No such file or directory");
	assert_int_equal(ad_fail_errno(&err, ENOMEM, "x"), ADTOOL_ENOMEM);
	assert_int_equal(ad_fail(NULL, ADTOOL_EIO, "x"), ADTOOL_EIO);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ad_fail(&err, ADTOOL_EIO, "%s", longer);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	ad_fail_within(&err, ADTOOL_EIO, "%s", longer);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

static void test_mem(void **state)
{
	void *p;

	(void)state;
	assert_null(ad_malloc_array(SIZE_MAX / 2, 4));
	assert_null(ad_calloc(SIZE_MAX, SIZE_MAX));
	assert_null(ad_malloc_aligned(SIZE_MAX / 8, 9));
	p = ad_malloc(0);
	assert_non_null(p);
	assert_null(ad_realloc_array(p, SIZE_MAX / 2, 3));
	ad_free(p);
	p = ad_malloc_aligned(1, 1);
	assert_int_equal((uintptr_t)p % 64, 0);
	ad_free_aligned(p);
}

static void test_numbers(void **state)
{
	ad_rng rng;
	ad_buf b = {0};
	int i;

	(void)state;
	ad_rng_seed(&rng, 1);
	for (i = 0; i < 20000; i++) {
		union { uint64_t u; double d; } v = {.u = ad_rng_next(&rng)};
		union { uint32_t u; float f; } w = {.u = (uint32_t)ad_rng_next(&rng)};

		if (isfinite(v.d)) {
			ad_buf_clear(&b);
			ad_buf_double(&b, v.d);
			assert_true(strtod((char *)b.data, NULL) == v.d);
		}
		if (isfinite(w.f)) {
			ad_buf_clear(&b);
			ad_buf_float(&b, w.f);
			assert_true(strtof((char *)b.data, NULL) == w.f);
		}
	}
	ad_buf_clear(&b);
	ad_buf_double(&b, 0.1);
	ad_buf_putc(&b, ' ');
	ad_buf_float(&b, 0.1f);
	ad_buf_putc(&b, ' ');
	ad_buf_double(&b, -INFINITY);
	ad_buf_putc(&b, ' ');
	ad_buf_double(&b, NAN);
	assert_string_equal((char *)b.data, "0.1 0.1 -inf nan");
	assert_int_equal(ad_buf_reserve(&b, SIZE_MAX - 3), ADTOOL_ENOMEM);
	assert_int_equal(ad_buf_puts(&b, "x"), ADTOOL_ENOMEM);
	ad_buf_release(&b);
}

static void test_digests(void **state)
{
	char sha[65], xxh[17];

	(void)state;
	ad_sha256_hex("abc", 3, sha); /* FIPS 180-2, appendix B.1 */
	assert_string_equal(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	ad_xxh3_hex("", 0, xxh); /* the value of the XXH3 specification for no input, seed 0 */
	assert_string_equal(xxh, "2d06800538d394c2");
}

/* The specification's digest (this file's copy is compiled for any machine), at lengths around all its steps. */
static void test_xxh3(void **state)
{
	static unsigned char bytes[70000];
	char got[17], want[17];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 13);
	for (size_t n = 0; n <= sizeof(bytes); n += n < 3000 ? 1 : 991) {
		snprintf(want, sizeof(want), "%016llx", (unsigned long long)XXH3_64bits(bytes + n % 7, n - n % 7));
		ad_xxh3_hex(bytes + n % 7, n - n % 7, got);
		assert_string_equal(got, want);
	}
}

static void test_lazy(void **state)
{
	static const char *const good[] = {"cos"}, *const bad[] = {"cos", "no_such_function"};
	void *handle = NULL, *slots[2];
	adtool_error err;
	double (*cosine)(double);

	(void)state;
	assert_int_equal(ad_lazy_open("libm.so.6", good, 1, &handle, slots, &err), 0);
	memcpy(&cosine, &slots[0], sizeof(cosine));
	assert_true(fabs(cosine(0) - 1) < 1e-15);
	ad_lazy_close(handle);
	assert_int_equal(ad_lazy_open("libm.so.6", bad, 2, &handle, slots, &err), ADTOOL_EUNSUPPORTED);
	assert_non_null(strstr(err.message, "no_such_function"));
	assert_int_equal(ad_lazy_open("libnothing.so.9", good, 1, &handle, slots, &err), ADTOOL_EUNSUPPORTED);
	assert_non_null(strstr(err.message, "libnothing.so.9"));
	ad_lazy_close(NULL);
}

/* -- files --------------------------------------------------------------------------------------------- */

static void test_read(void **state)
{
	const char *path = in_folder("data");
	ad_buf b = {0};
	ad_map map = {0};
	adtool_error err;

	(void)state;
	assert_int_equal(ad_file_write(path, "hello", 5, &err), 0);
	ad_buf_puts(&b, "> ");
	assert_int_equal(ad_file_read(path, 5, &b, &err), 0);
	assert_string_equal((char *)b.data, "> hello");
	assert_int_equal(ad_file_read(path, 4, &b, &err), ADTOOL_ELIMIT);
	assert_string_equal((char *)b.data, "> hello");
	assert_int_equal(ad_file_read(folder, 100, &b, &err), ADTOOL_EIO);
	assert_string_equal(err.message, "a directory, not a regular file");
	assert_int_equal(ad_file_read("/dev/null", 100, &b, &err), ADTOOL_EIO);
	assert_string_equal(err.message, "a character device, not a regular file");
	path = in_folder("fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(ad_file_read(path, 100, &b, &err), ADTOOL_EIO);
	assert_int_equal(ad_file_read(in_folder("none"), 100, &b, &err), ADTOOL_EIO);
	assert_non_null(strstr(err.message, "No such file"));
	assert_int_equal(ad_map_open(&map, in_folder("data"), 100, &err), 0);
	assert_int_equal(map.size, 5);
	assert_memory_equal(map.data, "hello", 5);
	ad_map_release(&map);
	ad_map_release(&map);
	ad_buf_release(&b);
}

static int files_in_folder(void)
{
	char command[128];
	FILE *f;
	int n = -1;

	snprintf(command, sizeof(command), "ls -A '%s' | wc -l", folder);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &n), 1);
	pclose(f);
	return n;
}

static void test_atomic(void **state)
{
	char path[512];
	ad_atomic a;
	ad_buf b = {0};
	struct stat st;
	adtool_error err;
	mode_t mask = umask(027);
	char longest[256];
	int before, status, descriptor;
	pid_t child;

	(void)state;
	snprintf(path, sizeof(path), "%s", in_folder("target"));
	assert_int_equal(ad_file_write(path, "old", 3, &err), 0);
	umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	before = files_in_folder();

	assert_int_equal(ad_atomic_open(&a, path, &err), 0);
	assert_int_equal(ad_atomic_write(&a, "newer", 5, &err), 0);
	assert_int_equal(ad_file_read(path, 100, &b, &err), 0);
	assert_string_equal((char *)b.data, "old");
	ad_atomic_abort(&a);
	ad_atomic_abort(&a);
	assert_int_equal(files_in_folder(), before);

	/* A link stays a link, the mode of what it points to is kept. */
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(symlink("target", in_folder("link")), 0);
	assert_int_equal(ad_file_write(in_folder("link"), "newer", 5, &err), 0);
	assert_int_equal(lstat(in_folder("link"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0604);
	assert_int_equal(st.st_size, 5);

	/* The longest name there is leaves no room for a longer one beside it. */
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(ad_file_write(in_folder(longest), "newer", 5, &err), 0);
	assert_int_equal(files_in_folder(), before + 2);

	/* Killed while writing: nothing is left behind, where the file system can do that. */
	before = files_in_folder();
	child = fork();
	if (!child) {
		if (!ad_atomic_open(&a, path, &err) && !ad_atomic_write(&a, "newest", 6, &err))
			raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	descriptor = open(in_folder("."), O_TMPFILE | O_RDWR, 0600);
	if (descriptor >= 0) {
		assert_int_equal(close(descriptor), 0);
		assert_int_equal(files_in_folder(), before);
	}

	/* A full disk: the old file stays, nothing is left behind. */
	before = files_in_folder();
	child = fork();
	if (!child) {
		struct rlimit limit = {8192, 8192};
		char *big = calloc(1, 100000);
		int code;

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		code = ad_file_write(path, big, 100000, &err);
		_exit(code == ADTOOL_EIO && strstr(err.message, "File too large") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(files_in_folder(), before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(ad_file_write(folder, "x", 1, &err), ADTOOL_EIO);
	assert_int_equal(ad_file_write(in_folder("none/x"), "x", 1, &err), ADTOOL_EIO);
	ad_buf_release(&b);
}

static void test_mkdirs(void **state)
{
	adtool_error err;
	struct stat st;

	(void)state;
	assert_int_equal(ad_mkdirs(in_folder("a/b//c/"), &err), 0);
	assert_int_equal(ad_mkdirs(in_folder("a/b/c"), &err), 0);
	assert_int_equal(stat(in_folder("a/b/c"), &st), 0);
	assert_int_equal(ad_file_write(in_folder("a/file"), "", 0, &err), 0);
	assert_int_equal(ad_mkdirs(in_folder("a/file/d"), &err), ADTOOL_EIO);
	assert_non_null(strstr(err.message, "Not a directory"));
}

static void test_npy(void **state)
{
	static const float values[6] = {1, 2, 3, 4, 5, 6};
	static const char *const bad[] = {
		"{'descr': '<i4', 'fortran_order': False, 'shape': (6,), }",
		"{'descr': '<f4', 'fortran_order': True, 'shape': (6,), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,6), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,99999999999,), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (-6,), }",
		"{'descr': '<f4', 'shape': (6,), }",
		"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,), }",
		"{'descr': '<f4' 'fortran_order': False, 'shape': (6,), }",
		"",
	};
	size_t shape[3] = {1, 2, 3}, i;
	ad_buf b = {0};
	ad_npy npy;
	adtool_error err;

	(void)state;
	assert_int_equal(ad_npy_append(&b, 4, 3, shape, values), 0);
	assert_int_equal((b.size - sizeof(values)) % 64, 0);
	assert_int_equal(ad_npy_parse(b.data, b.size, &npy, &err), 0);
	assert_int_equal(npy.ndim, 3);
	assert_int_equal(npy.count, 6);
	assert_int_equal(npy.shape[2], 3);
	assert_memory_equal(npy.data, values, sizeof(values));
	for (i = 0; i < b.size; i++)
		assert_int_not_equal(ad_npy_parse(b.data, i, &npy, &err), 0);
	ad_buf_clear(&b);
	assert_int_equal(ad_npy_append(&b, 8, 0, shape, (double[]){2.5}), 0);
	assert_int_equal(ad_npy_parse(b.data, b.size, &npy, &err), 0);
	assert_int_equal(npy.ndim, 0);
	assert_int_equal(npy.count, 1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ad_buf_clear(&b);
		ad_buf_add(&b, "\x93NUMPY\x01\x00", 8);
		ad_buf_putc(&b, (char)strlen(bad[i]));
		ad_buf_putc(&b, 0);
		ad_buf_puts(&b, bad[i]);
		ad_buf_add(&b, values, sizeof(values));
		assert_int_not_equal(ad_npy_parse(b.data, b.size, &npy, &err), 0);
	}
	ad_buf_release(&b);
}

/* -- random numbers and threads ------------------------------------------------------------------------ */

static void test_rng(void **state)
{
	ad_rng r;
	size_t index[100], i;
	double sum = 0, squares = 0;
	int seen[100] = {0};

	(void)state;
	ad_rng_seed(&r, 1234567); /* the published sequence of SplitMix64 for this seed */
	assert_true(ad_rng_next(&r) == 6457827717110365317u);
	assert_true(ad_rng_next(&r) == 3203168211198807973u);
	for (i = 0; i < 100; i++)
		index[i] = i;
	ad_rng_shuffle(&r, index, 100);
	for (i = 0; i < 100; i++)
		seen[index[i]]++;
	for (i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
	for (i = 0; i < 100000; i++) {
		double v = ad_rng_normal(&r);

		assert_true(ad_rng_below(&r, 7) < 7);
		sum += v;
		squares += v * v;
	}
	assert_true(fabs(sum / 100000) < 0.02);
	assert_true(fabs(squares / 100000 - 1) < 0.03);
}

struct counts {
	atomic_int per_task[1000];
	unsigned size;
	atomic_int bad_worker;
};

static void count_task(void *context, size_t task, unsigned worker)
{
	struct counts *c = context;

	atomic_fetch_add(&c->per_task[task], 1);
	if (worker >= c->size)
		atomic_store(&c->bad_worker, 1);
}

static void test_pool(void **state)
{
	unsigned size;

	(void)state;
	for (size = 1; size <= 5; size++) {
		static struct counts c;
		ad_pool *pool;
		int round, i;

		assert_int_equal(ad_pool_create(size, &pool, NULL), 0);
		assert_int_equal(ad_pool_size(pool), size);
		memset(&c, 0, sizeof(c));
		c.size = size;
		for (round = 0; round < 200; round++)
			ad_pool_run(pool, count_task, &c, 1000);
		ad_pool_run(pool, count_task, &c, 0);
		for (i = 0; i < 1000; i++)
			assert_int_equal(c.per_task[i], 200);
		assert_int_equal(c.bad_worker, 0);
		ad_pool_free(pool);
	}
	ad_pool_free(NULL);
	assert_int_equal(ad_pool_size(NULL), 1);
}

static int fail_from(void *context, size_t task, unsigned worker, adtool_error *err)
{
	const size_t *from = context;

	(void)worker;
	return task < *from ? 0 : ad_fail(err, task % 2 ? ADTOOL_EFORMAT : ADTOOL_ELIMIT, "task %zu", task);
}

/* Of all that fail the first in order is told, whatever the threads. */
static void test_pool_try(void **state)
{
	unsigned size;

	(void)state;
	for (size = 0; size <= 4; size++) {
		size_t from = 37, which = 0;
		adtool_error e = {0};
		ad_pool *pool = NULL;

		if (size)
			assert_int_equal(ad_pool_create(size, &pool, NULL), 0);
		assert_int_equal(ad_pool_try(pool, fail_from, &from, 500, &which, &e), ADTOOL_EFORMAT);
		assert_int_equal(which, 37);
		assert_string_equal(e.message, "task 37");
		assert_int_equal(ad_pool_try(pool, fail_from, &from, 500, NULL, NULL), ADTOOL_EFORMAT);
		which = 5;
		assert_int_equal(ad_pool_try(pool, fail_from, &from, 37, &which, &e), 0);
		assert_int_equal(which, 5);
		ad_pool_free(pool);
	}
}

struct line {
	size_t slots, company; /* the most that were joined at once */
	int values[64], results[64];
	int next, last, consumed;
	int fail_produce_at, stop_at;
};

static int produce(void *context, size_t slot, adtool_error *err)
{
	struct line *l = context;

	if (l->next == l->fail_produce_at)
		return ad_fail(err, ADTOOL_EIO, "produced no more");
	if (l->next == l->last)
		return 0;
	l->values[slot] = l->next++;
	return 1;
}

/* Every seventh is done at once, the others wait to be joined. */
static int process(void *context, size_t slot, unsigned worker, int alone)
{
	struct line *l = context;

	(void)alone;
	if ((l->values[slot] + (int)worker) % 3 == 0)
		usleep(200);
	l->results[slot] = l->values[slot];
	if (l->values[slot] % 7)
		return 1;
	l->results[slot] *= 2;
	return 0;
}

static void join(void *context, const size_t *slots, size_t count, unsigned worker)
{
	struct line *l = context;
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	size_t i;

	(void)worker;
	for (i = 0; i < count; i++)
		l->results[slots[i]] *= 2;
	pthread_mutex_lock(&lock);
	if (count > l->company)
		l->company = count;
	pthread_mutex_unlock(&lock);
}

static int consume(void *context, size_t slot, adtool_error *err)
{
	struct line *l = context;

	assert_int_equal(l->results[slot], l->consumed * 2);
	if (l->consumed == l->stop_at)
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	l->consumed++;
	return 0;
}

static void test_ordered(void **state)
{
	unsigned workers;

	(void)state;
	for (workers = 1; workers <= 6; workers++) {
		size_t slots = workers % 2 ? workers + 3 : 10 * workers;
		struct line l = {.slots = slots, .last = 300, .fail_produce_at = -1, .stop_at = -1};
		ad_ordered_job job = {.workers = workers,
				      .slots = slots,
				      .ahead = workers % 3 ? workers + 2 : 0,
				      .produce = produce,
				      .process = process,
				      .join = join,
				      .consume = consume,
				      .context = &l};
		adtool_error err;

		assert_int_equal(ad_ordered_run(&job, &err), 0);
		assert_int_equal(l.consumed, 300);
		assert_in_range(l.company, 1, AD_ORDERED_COMPANY);
		l.next = l.consumed = 0;
		l.stop_at = 50;
		assert_int_equal(ad_ordered_run(&job, &err), ADTOOL_ECANCELLED);
		assert_int_equal(l.consumed, 50);
		l.next = l.consumed = 0;
		l.stop_at = -1;
		l.fail_produce_at = 70;
		assert_int_equal(ad_ordered_run(&job, &err), ADTOOL_EIO);
		assert_string_equal(err.message, "produced no more");
		assert_int_equal(l.consumed, 70);
	}
}

static void doubles_are_put_in_order(void **state)
{
	double values[] = {3, -0.5, INFINITY, 1e-300, -INFINITY, 3, 0, 1e300};
	size_t i, n = sizeof(values) / sizeof(*values);

	(void)state;
	qsort(values, n, sizeof(*values), ad_compare_doubles);
	for (i = 1; i < n; i++)
		assert_true(values[i - 1] <= values[i]);
	assert_int_equal(0, ad_compare_doubles(&values[n - 4], &values[n - 3]));
}

static atomic_int holders_stop;

static void *hold_on(void *unused)
{
	(void)unused;
	while (!atomic_load(&holders_stop)) {
		ad_fork_hold();
		sched_yield();
		ad_fork_free();
	}
	return NULL;
}

/* Whatever other threads do meanwhile, the new process can do the same; and it is the pipe's only writer. */
static void test_fork(void **state)
{
	pthread_t threads[3];
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hold_on, NULL), 0);
	for (i = 0; i < 50; i++) {
		char byte = 0;
		int end, status;
		pid_t child = ad_fork(&end);

		if (!child) {
			alarm(60);
			ad_fork_hold();
			ad_fork_free();
			_exit(write(end, "x", 1) == 1 ? 7 : 8);
		}
		assert_true(child > 0);
		assert_int_equal(read(end, &byte, 1), 1);
		assert_int_equal(byte, 'x');
		assert_int_equal(read(end, &byte, 1), 0);
		close(end);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
	atomic_store(&holders_stop, 1);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_mem),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_xxh3),
		cmocka_unit_test(test_lazy),
		cmocka_unit_test_setup_teardown(test_read, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_atomic, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_mkdirs, make_folder, remove_folder),
		cmocka_unit_test(test_npy),
		cmocka_unit_test(test_rng),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_pool_try),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_ordered),
		cmocka_unit_test(doubles_are_put_in_order),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
