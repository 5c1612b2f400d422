/* Streams of pictures: files, directories, lists, archives; hostile ones of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <adtool/dataset.h>

#include "../../lib/base/buf.h"
#include "../../lib/base/file.h"
#include "../../lib/base/lazy.h"
#include "skip.h"

/* -- a folder to play in ----------------------------------------------------------------------------- */

static char root[4096];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int make_root(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "%s/adtool-dataset-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(root))
		return -1;
	/* User nobody looks into it as well. */
	return chmod(root, 0755) || chdir(root) || mkdir("d", 0755);
}

static int remove_root(void **state)
{
	(void)state;
	return chdir("/") || nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static void make_folder(const char *path)
{
	assert_int_equal(0, ad_mkdirs(path, NULL));
}

static void put_bytes(const char *path, const void *bytes, size_t size)
{
	const char *slash = strrchr(path, '/');
	int fd;

	if (slash && slash != path) {
		char *folder = strndup(path, (size_t)(slash - path));

		make_folder(folder);
		free(folder);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(0, ad_write_all(fd, bytes, size));
	close(fd);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static ad_buf get(const char *path)
{
	ad_buf b = {0};

	assert_int_equal(0, ad_file_read(path, SIZE_MAX, &b, NULL));
	return b;
}

/* -- what a dataset gives ---------------------------------------------------------------------------- */

struct found {
	char *name, *label, *archive, *why; /* why: of the item, or of reading it */
	int code;                           /* of the item */
	int read_code;
	void *data; /* NULL unless it was read */
	size_t size;
};

struct listing {
	struct found *items;
	size_t count, errors;
	uint64_t passed_over;
};

static void *copy_of(const void *data, size_t size)
{
	char *copy = malloc(size + 1);

	memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

static struct listing list_open(adtool_dataset *d, int reading)
{
	struct listing l = {0};
	adtool_item item;
	adtool_error err;
	int got;

	while ((got = adtool_dataset_next(d, &item, &err)) > 0) {
		struct found *f;

		l.items = realloc(l.items, (l.count + 1) * sizeof(*l.items));
		f = &l.items[l.count++];
		memset(f, 0, sizeof(*f));
		assert_non_null(item.name);
		assert_non_null(item.label);
		assert_int_equal(item.code != 0, item.why != NULL);
		f->name = strdup(item.name);
		f->label = strdup(item.label);
		f->archive = item.archive ? strdup(item.archive) : NULL;
		f->code = item.code;
		f->why = item.why ? strdup(item.why) : NULL;
		if (reading) {
			const void *data = NULL;
			size_t size = 0;

			f->read_code = adtool_dataset_read(d, &data, &size, &err);
			if (f->read_code) {
				assert_int_equal(f->read_code, err.code);
				if (f->code) {
					assert_int_equal(f->code, f->read_code);
					assert_string_equal(f->why, err.message);
				} else {
					f->why = strdup(err.message);
				}
			} else {
				f->data = copy_of(data, size);
				f->size = size;
			}
		}
		if (f->why) {
			assert_true(strlen(f->why) > 3);
			l.errors++;
		}
		/* The item outlives its reading. */
		assert_string_equal(f->name, item.name);
		assert_string_equal(f->label, item.label);
	}
	assert_int_equal(0, got);
	assert_int_equal(0, adtool_dataset_next(d, &item, &err));
	l.passed_over = adtool_dataset_passed_over(d);
	return l;
}

static struct listing list_with(const adtool_dataset_options *options, int reading, const char *const *inputs, size_t n)
{
	adtool_dataset *d = NULL;
	struct listing l;

	assert_int_equal(0, adtool_dataset_open(inputs, n, options, &d, NULL));
	l = list_open(d, reading);
	adtool_dataset_free(d);
	return l;
}

static struct listing list_one(const char *input)
{
	return list_with(NULL, 1, &input, 1);
}

static void release(struct listing *l)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		free(l->items[i].name);
		free(l->items[i].label);
		free(l->items[i].archive);
		free(l->items[i].why);
		free(l->items[i].data);
	}
	free(l->items);
	memset(l, 0, sizeof(*l));
}

static const struct found *find(const struct listing *l, const char *name)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (!strcmp(l->items[i].name, name))
			return &l->items[i];
	fail_msg("no item '%s'", name);
	return NULL;
}

static void assert_refused(const struct listing *l, const char *name, int code, const char *part)
{
	const struct found *f = find(l, name);

	assert_int_equal(code, f->code);
	if (!strstr(f->why, part))
		fail_msg("'%s' says '%s', not '%s'", name, f->why, part);
}

static void assert_names(const struct listing *l, const char *const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n && i < l->count; i++)
		assert_string_equal(names[i], l->items[i].name);
	assert_int_equal(n, l->count);
}

#define NAMES(l, ...)                                                                                                  \
	do {                                                                                                           \
		static const char *const names_[] = {__VA_ARGS__};                                                     \
		assert_names(l, names_, sizeof(names_) / sizeof(names_[0]));                                           \
	} while (0)

/* -- directories ------------------------------------------------------------------------------------- */

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *const awkward[] = {
        "d/a.jpg",          "d/a/x.jpg",        "d/a-b.jpg",      "d/a0.jpg",    "d/a/b/c.png", "d/a/b.png", "d/Z.jpg",
        "d/new\nline.jpg",  "d/t\tab.jpg",      "d/\xff\xfe.jpg", "d/a b.jpg",   "d/a!/y.jpg",  "d/a~.jpg",
        "d/\x01.jpg",
        "d/-.jpg",          "d/\xc3\xa9/e.jpg", "d/a.jpg.d/q.jpg", "d/a.jp/r.jpg", "d/\"q\".jpg", "d/a:b.jpg",
};
enum { AWKWARD = sizeof(awkward) / sizeof(awkward[0]) };

static void directory_is_in_byte_order_of_whole_paths(void **state)
{
	const char *sorted[AWKWARD];
	struct listing l;
	size_t i;

	(void)state;
	for (i = 0; i < AWKWARD; i++)
		put(awkward[i], awkward[i]);
	make_folder("d/empty/deeper");
	memcpy(sorted, awkward, sizeof(sorted));
	qsort(sorted, AWKWARD, sizeof(sorted[0]), compare_text);
	l = list_one("d");
	assert_names(&l, sorted, AWKWARD);
	for (i = 0; i < l.count; i++) {
		const char *below = sorted[i] + 2, *slash = strrchr(below, '/');

		assert_int_equal(0, l.items[i].code);
		assert_int_equal(0, l.items[i].read_code);
		assert_string_equal(sorted[i], l.items[i].data);
		assert_int_equal(slash ? slash - below : 0, strlen(l.items[i].label));
		assert_memory_equal(below, l.items[i].label, strlen(l.items[i].label));
		assert_null(l.items[i].archive);
	}
	release(&l);
	/* However the directory is spelt. */
	l = list_one("d//");
	assert_int_equal(AWKWARD, l.count);
	assert_string_equal("b", strrchr(find(&l, "d//a/b/c.png")->label, '/') + 1);
	assert_string_equal("", find(&l, "d//a.jpg")->label);
	release(&l);
	assert_int_equal(0, chdir("d"));
	l = list_one(".");
	assert_int_equal(AWKWARD, l.count);
	assert_string_equal("a", find(&l, "./a/x.jpg")->label);
	release(&l);
	assert_int_equal(0, chdir(".."));
}

static void empty_inputs_give_nothing(void **state)
{
	struct listing l;

	(void)state;
	l = list_one("d");
	assert_int_equal(0, l.count);
	release(&l);
	l = list_with(NULL, 1, NULL, 0);
	assert_int_equal(0, l.count);
	release(&l);
}

static void inputs_keep_their_order(void **state)
{
	static const char *const inputs[] = {"z.jpg", "d", "missing", "a.jpg", "z.jpg", ""};
	struct listing l;

	(void)state;
	put("z.jpg", "z");
	put("a.jpg", "");
	put("d/2.png", "2");
	put("d/10.png", "10");
	l = list_with(NULL, 1, inputs, 6);
	NAMES(&l, "z.jpg", "d/10.png", "d/2.png", "missing", "a.jpg", "z.jpg", "");
	assert_refused(&l, "missing", ADTOOL_EIO, "No such file");
	assert_refused(&l, "", ADTOOL_EIO, "No such file");
	assert_int_equal(2, l.errors);
	assert_string_equal("z", l.items[5].data);
	assert_string_equal("", l.items[4].data);
	assert_int_equal(0, l.items[4].size);
	release(&l);
}

static void directories_give_pictures_only(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int picture;
	} files[] = {
#define F(text, picture) {text, sizeof(text) - 1, picture}
	        F("\xff\xd8\xff\xe0", 1),
	        F("\x89PNG\r\n\x1a\n", 1),
	        F("\x89PNG\r\n\x1a", 0),
	        F("GIF89a12", 1),
	        F("II*\0....", 1),
	        F("MM\0*....", 1),
	        F("RIFF....WEBPVP8 ", 1),
	        F("RIFF....WAVEfmt ", 0),
	        F("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", 1),
	        F("BMW is a maker of cars", 0),
	        F("P6\n2 2\n255\n", 1),
	        F("P5 #", 1),
	        F("P7\n2 2\n", 0),
	        F("P7\nWIDTH 2\n", 1),
	        F("P5ab", 0),
	        F("\0\0\0\x20" "ftypheic\0\0\0\0", 1),
	        F("\0\0\0\x20" "ftypavif\0\0\0\0", 1),
	        F("\0\0\0\x20" "ftypisom\0\0\0\0", 0),
	        F("\xff\x0a\x00\x00", 1),
	        F("\0\0\0\x0cJXL \r\n\x87\n", 1),
	        F("", 0),
	        F("P", 0),
	        F("PK\x03\x04", 0),
	        F("text", 0),
#undef F
	};
	static const char *const suffixes[] = {"jpg", "JPEG", "jpe", "Jfif", "png", "bmp", "dib", "pnm", "pgm", "ppm",
	                                       "pbm",  "tif",  "tiff", "webp", "gif", "HEIC", "heif", "avif", "jxl"};
	size_t i, pictures = 0, others = 0;
	struct listing l;
	char name[64];

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(name, sizeof(name), "d/%02zu.bin", i);
		put_bytes(name, files[i].bytes, files[i].size);
		pictures += (size_t)files[i].picture;
		others += (size_t)!files[i].picture;
	}
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(name, sizeof(name), "d/s/x.%s", suffixes[i]);
		put(name, "no picture, but called one");
		pictures++;
	}
	put("d/notes.txt", "text");
	put("d/jpg", "text");
	put("d/x.jpg.txt", "text");
	put("d/jpeg/.jpg", "hidden");
	put("d/.hidden/x.jpg", "hidden");
	put("d/.x.jpg", "hidden");
	l = list_one("d");
	assert_int_equal(pictures, l.count);
	assert_int_equal(others + 3, l.passed_over);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(name, sizeof(name), "d/%02zu.bin", i);
		if (files[i].picture) {
			const struct found *f = find(&l, name);

			assert_int_equal(files[i].size, f->size);
			assert_memory_equal(files[i].bytes, f->data, f->size);
		}
	}
	release(&l);
	/* Named as an input, everything is an item. */
	l = list_one("d/notes.txt");
	NAMES(&l, "d/notes.txt");
	assert_string_equal("text", l.items[0].data);
	assert_int_equal(0, l.passed_over);
	release(&l);
	l = list_one("d/.hidden");
	NAMES(&l, "d/.hidden/x.jpg");
	release(&l);
}

static void what_is_no_file_is_an_error(void **state)
{
	static const char *const inputs[] = {"d", "d/fifo", "/dev/null", "d/socket", "d/self", "d/file.jpg/"};
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "d/socket"};
	struct listing l;
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	put("d/file.jpg", "x");
	assert_int_equal(0, mkfifo("d/fifo", 0644));
	assert_int_equal(0, mkfifo("d/fifo.jpg", 0644));
	assert_int_equal(0, bind(s, (struct sockaddr *)&address, sizeof(address)));
	assert_int_equal(0, symlink("self", "d/self"));
	assert_int_equal(0, symlink("nothing", "d/broken.jpg"));
	assert_int_equal(0, symlink("/dev/zero", "d/zero.png"));
	l = list_with(NULL, 1, inputs, 6);
	NAMES(&l, "d/broken.jpg", "d/fifo", "d/fifo.jpg", "d/file.jpg", "d/self", "d/socket", "d/zero.png", "d/fifo",
	      "/dev/null", "d/socket", "d/self", "d/file.jpg/");
	assert_int_equal(11, l.errors);
	assert_refused(&l, "d/fifo", ADTOOL_EIO, "FIFO");
	assert_refused(&l, "d/fifo.jpg", ADTOOL_EIO, "FIFO");
	assert_refused(&l, "d/socket", ADTOOL_EIO, "socket");
	assert_refused(&l, "d/zero.png", ADTOOL_EIO, "character device");
	assert_refused(&l, "/dev/null", ADTOOL_EIO, "character device");
	assert_refused(&l, "d/broken.jpg", ADTOOL_EIO, "link to nothing");
	assert_refused(&l, "d/self", ADTOOL_EIO, "symbolic links");
	assert_refused(&l, "d/file.jpg/", ADTOOL_EIO, "Not a directory");
	release(&l);
	close(s);
}

static void links_are_followed_but_not_in_circles(void **state)
{
	struct listing l;

	(void)state;
	put("elsewhere/far.jpg", "far");
	put("d/sub/near.jpg", "near");
	assert_int_equal(0, symlink("../elsewhere", "d/link"));
	assert_int_equal(0, symlink("../elsewhere", "d/link2"));
	assert_int_equal(0, symlink("../elsewhere/far.jpg", "d/picture.jpg"));
	assert_int_equal(0, symlink("..", "d/sub/up"));
	assert_int_equal(0, symlink(".", "d/sub/here"));
	assert_int_equal(0, symlink("../d", "elsewhere/back"));
	l = list_one("d");
	/* link2 leads to what link has brought already. */
	NAMES(&l, "d/link/back", "d/link/far.jpg", "d/picture.jpg", "d/sub/here", "d/sub/near.jpg", "d/sub/up");
	assert_int_equal(3, l.errors);
	assert_refused(&l, "d/sub/up", ADTOOL_EIO, "lies in");
	assert_refused(&l, "d/sub/here", ADTOOL_EIO, "lies in");
	assert_refused(&l, "d/link/back", ADTOOL_EIO, "lies in");
	assert_string_equal("far", find(&l, "d/link/far.jpg")->data);
	assert_string_equal("link", find(&l, "d/link/far.jpg")->label);
	assert_string_equal("far", find(&l, "d/picture.jpg")->data);
	release(&l);
}

/* n folders, each with links to all others: paths without end, n pictures. */
static void linked_folders_do_not_multiply(void **state)
{
	enum { N = 12 };
	char path[64], target[64], names[N][64];
	struct listing l;
	int i, k;

	(void)state;
	for (i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "d/%c/p.jpg", 'a' + i);
		put(names[i], "x");
	}
	for (i = 0; i < N; i++)
		for (k = 0; k < N; k++) {
			snprintf(path, sizeof(path), "d/%c/to%c", 'a' + i, 'a' + k);
			snprintf(target, sizeof(target), "../%c", 'a' + k);
			if (k != i)
				assert_int_equal(0, symlink(target, path));
		}
	/* A link that comes before the folder in byte order does not take its place. */
	assert_int_equal(0, symlink("l", "d/0first"));
	l = list_one("d");
	assert_int_equal(N, l.count);
	assert_int_equal(0, l.errors);
	for (i = 0; i < N; i++)
		assert_string_equal("x", find(&l, names[i])->data);
	release(&l);

	/* Two folders outside, linked from both sides and to each other: each once. */
	put("o/1/p.jpg", "1");
	put("o/2/p.jpg", "2");
	assert_int_equal(0, symlink("../2", "o/1/x"));
	assert_int_equal(0, symlink("../1", "o/2/y"));
	assert_int_equal(0, mkdir("e", 0777));
	assert_int_equal(0, symlink("../o/1", "e/a"));
	assert_int_equal(0, symlink("../o/2", "e/b"));
	l = list_one("e");
	NAMES(&l, "e/a/p.jpg", "e/a/x/p.jpg", "e/a/x/y");
	assert_refused(&l, "e/a/x/y", ADTOOL_EIO, "lies in");
	release(&l);
}

/* -- stopping and pacing ----------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void stops_when_asked(void **state)
{
	static const char *const folder[] = {"d"}, *const list[] = {"-"};
	adtool_dataset_options options;
	adtool_dataset *d;
	adtool_item item;
	int stop[2], paths[2];

	(void)state;
	put("d/1.jpg", "1");
	put("d/2.jpg", "2");
	assert_int_equal(0, pipe(stop));
	assert_int_equal(0, pipe(paths));
	adtool_dataset_options_init(&options);
	assert_int_equal(-1, options.stop_fd);
	options.stop_fd = stop[0];
	options.list_fd = paths[0];
	assert_int_equal(0, adtool_dataset_open(folder, 1, &options, &d, NULL));
	assert_int_equal(1, adtool_dataset_next(d, &item, NULL));
	assert_int_equal(1, write(stop[1], "", 1));
	assert_int_equal(0, adtool_dataset_next(d, &item, NULL));
	adtool_dataset_free(d);
	/* A list that has no end, and holds half a path. */
	assert_int_equal(7, write(paths[1], "d/1.jpg", 7));
	assert_int_equal(0, adtool_dataset_open(list, 1, &options, &d, NULL));
	assert_int_equal(0, adtool_dataset_next(d, &item, NULL));
	adtool_dataset_free(d);
	/* So does a wait for the rate's sake. */
	assert_int_equal(1, read(stop[0], (char[1]){0}, 1));
	options.rate = 1e-6;
	assert_int_equal(0, adtool_dataset_open(folder, 1, &options, &d, NULL));
	assert_int_equal(1, adtool_dataset_next(d, &item, NULL));
	assert_int_equal(1, write(stop[1], "", 1));
	assert_int_equal(0, adtool_dataset_next(d, &item, NULL));
	adtool_dataset_free(d);
	for (int i = 0; i < 2; i++) {
		close(stop[i]);
		close(paths[i]);
	}
}

static void keeps_to_the_rate(void **state)
{
	static const char *const folder[] = {"d"};
	adtool_dataset_options options;
	adtool_dataset *d;
	adtool_item item;
	double start = seconds();

	(void)state;
	for (int i = 0; i < 6; i++) {
		char path[16];
		snprintf(path, sizeof(path), "d/%d.jpg", i);
		put(path, "x");
	}
	adtool_dataset_options_init(&options);
	options.rate = 50;
	assert_int_equal(0, adtool_dataset_open(folder, 1, &options, &d, NULL));
	for (int i = 0; i < 6; i++)
		assert_int_equal(1, adtool_dataset_next(d, &item, NULL));
	assert_int_equal(0, adtool_dataset_next(d, &item, NULL));
	/* Six have five pauses between them; a slow machine only takes longer. */
	assert_true(seconds() - start >= 5 * 0.02);
	adtool_dataset_free(d);
}

/* Names that would be an archive, or the list, are files. */
static void files_can_be_plain(void **state)
{
	static const char *const inputs[] = {"-", "z"};
	adtool_dataset_options options;
	adtool_dataset *d;
	adtool_item item;
	const void *data;
	size_t size;

	(void)state;
	put("-", "dash");
	put("z", "PK\3\4");
	adtool_dataset_options_init(&options);
	options.plain_files = 1;
	assert_int_equal(0, adtool_dataset_open(inputs, 2, &options, &d, NULL));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(1, adtool_dataset_next(d, &item, NULL));
		assert_string_equal(inputs[i], item.name);
		assert_int_equal(0, adtool_dataset_read(d, &data, &size, NULL));
		assert_int_equal(4, size);
	}
	assert_int_equal(0, adtool_dataset_next(d, &item, NULL));
	adtool_dataset_free(d);
}

static void what_a_folder_would_list(void **state)
{
	(void)state;
	put("d/a.jpg", "x");
	put("d/text", "x");
	put("d/png", "\x89PNG\r\n\x1a\n");
	put("d/z.zip", "PK\3\4");
	assert_int_equal(0, mkfifo("d/fifo", 0644));
	assert_int_equal(1, adtool_dataset_would_list("d/a.jpg"));
	assert_int_equal(0, adtool_dataset_would_list("d/text"));
	assert_int_equal(1, adtool_dataset_would_list("d/png"));
	assert_int_equal(0, adtool_dataset_would_list("d/z.zip"));
	assert_int_equal(0, adtool_dataset_would_list("d"));
	assert_int_equal(1, adtool_dataset_would_list("d/fifo"));
	assert_int_equal(1, adtool_dataset_would_list("d/gone"));
}

static void depth_is_limited(void **state)
{
	adtool_dataset_options options;
	char path[2048] = "t";
	const char *input = "t";
	struct listing l;
	size_t i;

	(void)state;
	for (i = 0; i < 120; i++) {
		size_t n = strlen(path);

		snprintf(path + n, sizeof(path) - n, "/s");
		make_folder(path);
		n = strlen(path);
		snprintf(path + n, sizeof(path) - n, "/x.jpg");
		put(path, "x");
		path[n] = '\0';
	}
	l = list_one("t");
	assert_int_equal(65, l.count);
	assert_int_equal(1, l.errors);
	/* "s" comes before "x.jpg": the refused folder is met first. */
	assert_int_equal(ADTOOL_ELIMIT, l.items[0].code);
	assert_int_equal(1 + 2 * 65, strlen(l.items[0].name));
	release(&l);
	adtool_dataset_options_init(&options);
	options.max_depth = 1000;
	l = list_with(&options, 1, &input, 1);
	assert_int_equal(120, l.count);
	assert_int_equal(0, l.errors);
	release(&l);
	options.max_depth = 0;
	l = list_with(&options, 1, &input, 1);
	NAMES(&l, "t/s");
	assert_int_equal(ADTOOL_ELIMIT, l.items[0].code);
	release(&l);
}

static void permission_is_an_error_of_one_item(void **state)
{
	int dropped = geteuid() == 0;
	static const char *const inputs[] = {"d", "d/closed.jpg", "d/closed.txt", "d/locked"};
	struct listing l;

	(void)state;
	put("d/closed.jpg", "x");
	put("d/closed.txt", "x");
	put("d/locked/x.jpg", "x");
	put("d/open.jpg", "x");
	assert_int_equal(0, chmod("d/closed.jpg", 0));
	assert_int_equal(0, chmod("d/closed.txt", 0));
	assert_int_equal(0, chmod("d/locked", 0));
	if (dropped && seteuid(65534))
		SKIP("cannot become user nobody");
	l = list_with(NULL, 1, inputs, 4);
	if (dropped)
		assert_int_equal(0, seteuid(0));
	assert_int_equal(0, chmod("d/locked", 0755));
	NAMES(&l, "d/closed.jpg", "d/closed.txt", "d/locked", "d/open.jpg", "d/closed.jpg", "d/closed.txt", "d/locked");
	assert_int_equal(6, l.errors);
	assert_refused(&l, "d/closed.jpg", ADTOOL_EIO, "Permission denied");
	assert_refused(&l, "d/closed.txt", ADTOOL_EIO, "Permission denied");
	assert_refused(&l, "d/locked", ADTOOL_EIO, "Permission denied");
	assert_string_equal("x", find(&l, "d/open.jpg")->data);
	release(&l);
}

static void files_may_vanish_and_change(void **state)
{
	const char *input = "d";
	adtool_dataset *d = NULL;
	adtool_item item;
	adtool_error err;
	const void *data;
	size_t size;

	(void)state;
	put("d/1.jpg", "1");
	put("d/2.jpg", "2");
	put("d/3.jpg", "3");
	put("d/4/5.jpg", "5");
	put("d/6.jpg", "6");
	assert_int_equal(0, adtool_dataset_open(&input, 1, NULL, &d, NULL));
	assert_int_equal(ADTOOL_EINVAL, adtool_dataset_read(d, &data, &size, &err));
	assert_int_equal(1, adtool_dataset_next(d, &item, &err));
	assert_string_equal("d/1.jpg", item.name);
	/* Between being listed and being read; and before being listed. */
	assert_int_equal(0, unlink("d/1.jpg"));
	assert_int_equal(0, unlink("d/2.jpg"));
	assert_int_equal(0, unlink("d/4/5.jpg"));
	assert_int_equal(0, rmdir("d/4"));
	assert_int_equal(ADTOOL_EIO, adtool_dataset_read(d, &data, &size, &err));
	assert_non_null(strstr(err.message, "No such file"));
	assert_int_equal(ADTOOL_EINVAL, adtool_dataset_read(d, &data, &size, &err));
	assert_int_equal(1, adtool_dataset_next(d, &item, &err));
	assert_string_equal("d/2.jpg", item.name);
	assert_int_equal(ADTOOL_EIO, item.code);
	assert_int_equal(1, adtool_dataset_next(d, &item, &err));
	assert_string_equal("d/3.jpg", item.name);
	assert_int_equal(0, item.code);
	assert_int_equal(0, unlink("d/3.jpg"));
	assert_int_equal(0, mkfifo("d/3.jpg", 0644));
	assert_int_equal(ADTOOL_EIO, adtool_dataset_read(d, &data, &size, &err));
	assert_int_equal(1, adtool_dataset_next(d, &item, &err));
	assert_string_equal("d/4", item.name);
	assert_int_equal(ADTOOL_EIO, item.code);
	assert_int_equal(1, adtool_dataset_next(d, &item, &err));
	assert_string_equal("d/6.jpg", item.name);
	assert_int_equal(0, adtool_dataset_read(d, &data, &size, &err));
	assert_int_equal(1, size);
	assert_int_equal(0, adtool_dataset_next(d, &item, &err));
	assert_int_equal(ADTOOL_EINVAL, adtool_dataset_read(d, &data, &size, &err));
	adtool_dataset_free(d);
	adtool_dataset_free(NULL);
}

static void file_size_is_limited(void **state)
{
	const char *input = "d";
	adtool_dataset_options options;
	struct listing l;

	(void)state;
	put("d/10.jpg", "0123456789");
	put("d/11.jpg", "0123456789a");
	put("d/z.jpg", "z");
	adtool_dataset_options_init(&options);
	assert_int_equal(1u << 30, options.max_file_bytes);
	options.max_file_bytes = 10;
	l = list_with(&options, 1, &input, 1);
	assert_int_equal(3, l.count);
	assert_int_equal(0, l.items[0].read_code);
	assert_int_equal(ADTOOL_ELIMIT, l.items[1].read_code);
	assert_int_equal(0, l.items[2].read_code);
	release(&l);
	/* A limit of 0 means the default. */
	memset(&options, 0, sizeof(options));
	l = list_with(&options, 1, &input, 1);
	assert_int_equal(0, l.errors);
	release(&l);
}

/* -- lists ------------------------------------------------------------------------------------------- */

static struct listing list_text(const char *bytes, size_t size, int null_separated)
{
	const char *input = "-";
	adtool_dataset_options options;
	struct listing l;

	put_bytes("the-list", bytes, size);
	adtool_dataset_options_init(&options);
	options.null_separated = null_separated;
	options.list_fd = open("the-list", O_RDONLY | O_CLOEXEC);
	l = list_with(&options, 1, &input, 1);
	close(options.list_fd);
	return l;
}

#define LIST(text, null_separated) list_text(text, sizeof(text) - 1, null_separated)

static void lists_name_files_and_folders(void **state)
{
	struct listing l;

	(void)state;
	put("a.jpg", "a");
	put("new\nline.jpg", "n");
	put("cr.jpg\r", "c");
	put(" space .jpg", "s");
	put("-", "-");
	put("d/x.jpg", "x");
	put("d/notes.txt", "x");
	l = LIST("\n\na.jpg\n\nd\nmissing\n space .jpg\ncr.jpg\r\n-\na.jpg", 0);
	NAMES(&l, "a.jpg", "d/x.jpg", "missing", " space .jpg", "cr.jpg\r", "./-", "a.jpg");
	assert_int_equal(1, l.errors);
	assert_int_equal(1, l.passed_over);
	assert_string_equal("s", l.items[3].data);
	release(&l);
	l = LIST("new\nline.jpg\0\0a.jpg\0", 1);
	NAMES(&l, "new\nline.jpg", "a.jpg");
	assert_int_equal(0, l.errors);
	release(&l);
	l = LIST("a.jpg\nnul\0.jpg\na.jpg\n", 0);
	NAMES(&l, "a.jpg", "-", "a.jpg");
	assert_refused(&l, "-", ADTOOL_EINVAL, "line 2 ");
	release(&l);
	l = LIST("", 0);
	assert_int_equal(0, l.count);
	release(&l);
	l = LIST("\n\n\n", 0);
	assert_int_equal(0, l.count);
	release(&l);
}

static void overlong_entries_are_errors(void **state)
{
	static const size_t lengths[] = {4095, 65535, 65536, 65537, 81920, 200000};
	size_t i;

	(void)state;
	put("a.jpg", "a");
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		int last;

		/* In the middle, and at the end of the list without a newline. */
		for (last = 0; last < 2; last++) {
			size_t n = lengths[i], size = 6 + n + 7;
			char *text = malloc(size);
			struct listing l;

			memcpy(text, "a.jpg\n", 6);
			memset(text + 6, 'x', n);
			memcpy(text + 6 + n, "\na.jpg\n", 7);
			l = list_text(text, last ? 6 + n : size, 0);
			assert_int_equal(last ? 2 : 3, l.count);
			assert_int_equal(1, l.errors);
			assert_string_equal("a.jpg", l.items[last ? 0 : 2].name);
			if (n > 65536) {
				assert_int_equal(ADTOOL_ELIMIT, l.items[1].code);
				assert_non_null(strstr(l.items[1].why, "entry 2 "));
			} else {
				assert_int_equal(ADTOOL_EIO, l.items[1].code);
				assert_int_equal(n, strlen(l.items[1].name));
			}
			release(&l);
			free(text);
		}
	}
}

static void a_list_is_used_as_it_comes(void **state)
{
	const char *input = "-";
	adtool_dataset_options options;
	adtool_dataset *d = NULL;
	adtool_item item;
	int pipes[2];

	(void)state;
	put("a.jpg", "a");
	put("b.jpg", "b");
	assert_int_equal(0, pipe(pipes));
	adtool_dataset_options_init(&options);
	options.list_fd = pipes[0];
	assert_int_equal(0, adtool_dataset_open(&input, 1, &options, &d, NULL));
	/* The pipe stays open and empty behind each path: waiting for more would be for ever. */
	assert_int_equal(6, write(pipes[1], "a.jpg\n", 6));
	assert_int_equal(1, adtool_dataset_next(d, &item, NULL));
	assert_string_equal("a.jpg", item.name);
	assert_int_equal(8, write(pipes[1], "b.jpg\na.", 8));
	assert_int_equal(1, adtool_dataset_next(d, &item, NULL));
	assert_string_equal("b.jpg", item.name);
	assert_int_equal(3, write(pipes[1], "jpg", 3));
	close(pipes[1]);
	assert_int_equal(1, adtool_dataset_next(d, &item, NULL));
	assert_string_equal("a.jpg", item.name);
	assert_int_equal(0, adtool_dataset_next(d, &item, NULL));
	close(pipes[0]);
	adtool_dataset_free(d);
}

static void *write_slowly(void *context)
{
	static const char text[] = "a.jpg\nmissing\n\na.jpg\na.jpg";
	int fd = *(int *)context;
	size_t i;

	for (i = 0; i < sizeof(text) - 1; i++) {
		struct timespec t = {.tv_nsec = 1000000};

		if (write(fd, text + i, 1) != 1)
			break;
		nanosleep(&t, NULL);
	}
	close(fd);
	return NULL;
}

static void a_list_may_come_byte_by_byte(void **state)
{
	const char *input = "-";
	adtool_dataset_options options;
	pthread_t thread;
	struct listing l;
	int pipes[2], flags;

	(void)state;
	put("a.jpg", "a");
	for (flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		assert_int_equal(0, pipe(pipes));
		assert_int_equal(0, fcntl(pipes[0], F_SETFL, flags));
		assert_int_equal(0, pthread_create(&thread, NULL, write_slowly, &pipes[1]));
		adtool_dataset_options_init(&options);
		options.list_fd = pipes[0];
		l = list_with(&options, 1, &input, 1);
		pthread_join(thread, NULL);
		NAMES(&l, "a.jpg", "missing", "a.jpg", "a.jpg");
		release(&l);
		close(pipes[0]);
	}
}

static void lists_that_cannot_be_read_fail(void **state)
{
	static const char *const twice[] = {"-", "a.jpg", "-"};
	adtool_dataset_options options;
	adtool_dataset *d = NULL;
	adtool_error err;
	adtool_item item;

	(void)state;
	assert_int_equal(ADTOOL_EINVAL, adtool_dataset_open(twice, 3, NULL, &d, &err));
	assert_null(d);
	assert_non_null(strstr(err.message, "only once"));
	adtool_dataset_options_init(&options);
	options.list_fd = open(".", O_RDONLY);
	assert_int_equal(0, adtool_dataset_open(twice, 1, &options, &d, NULL));
	assert_int_equal(ADTOOL_EIO, adtool_dataset_next(d, &item, &err));
	assert_non_null(strstr(err.message, "list of paths"));
	adtool_dataset_free(d);
	close(options.list_fd);
}

/* -- archives ---------------------------------------------------------------------------------------- */

#define WRITERS(X) \
	X(archive_write_new) \
	X(archive_write_free) \
	X(archive_write_close) \
	X(archive_write_set_format_zip) \
	X(archive_write_set_format_ustar) \
	X(archive_write_set_format_pax) \
	X(archive_write_set_format_gnutar) \
	X(archive_write_set_format_v7tar) \
	X(archive_write_set_format_raw) \
	X(archive_write_set_options) \
	X(archive_write_set_passphrase) \
	X(archive_write_set_bytes_in_last_block) \
	X(archive_write_add_filter_gzip) \
	X(archive_write_add_filter_xz) \
	X(archive_write_add_filter_zstd) \
	X(archive_write_open_filename) \
	X(archive_write_header) \
	X(archive_write_data) \
	X(archive_error_string) \
	X(archive_entry_new) \
	X(archive_entry_free) \
	X(archive_entry_set_pathname) \
	X(archive_entry_set_filetype) \
	X(archive_entry_set_perm) \
	X(archive_entry_set_size) \
	X(archive_entry_set_hardlink) \
	X(archive_entry_set_symlink)

static struct {
	WRITERS(AD_LAZY_MEMBER)
} w;

static int load_writers(void **state)
{
	static const char *const names[] = {WRITERS(AD_LAZY_NAME)};
	static void *handle;

	(void)state;
	/* Held to the end, so that thousands of datasets need not load it anew. */
	return ad_lazy_open(AD_SONAME_ARCHIVE, names, sizeof(names) / sizeof(names[0]), &handle, &w,
			    NULL);
}

enum form { ZIP, USTAR, PAX, GNUTAR, V7TAR, TGZ, TXZ, TZST, FORMS };
static const char *const form_names[] = {"a.zip", "a.tar", "pax.tar", "gnu.tar", "v7", "a.tgz", "noname", "a.tar.zst"};

static struct archive *begin(const char *path, enum form form)
{
	struct archive *a = w.archive_write_new();

	if (form == ZIP)
		w.archive_write_set_format_zip(a);
	else if (form == PAX || form == TZST)
		w.archive_write_set_format_pax(a);
	else if (form == GNUTAR)
		w.archive_write_set_format_gnutar(a);
	else if (form == V7TAR)
		w.archive_write_set_format_v7tar(a);
	else
		w.archive_write_set_format_ustar(a);
	if (form == TGZ)
		w.archive_write_add_filter_gzip(a);
	if (form == TXZ)
		w.archive_write_add_filter_xz(a);
	if (form == TZST)
		w.archive_write_add_filter_zstd(a);
	w.archive_write_set_options(a, "compression-level=1");
	w.archive_write_set_bytes_in_last_block(a, 1);
	if (w.archive_write_open_filename(a, path))
		fail_msg("%s", w.archive_error_string(a));
	return a;
}

static void add_of(struct archive *a, const char *name, unsigned type, const char *link, const void *data, size_t size)
{
	struct archive_entry *e = w.archive_entry_new();

	w.archive_entry_set_pathname(e, name);
	w.archive_entry_set_filetype(e, type);
	w.archive_entry_set_perm(e, type == AE_IFDIR ? 0755 : 0644);
	if (link && type == AE_IFLNK)
		w.archive_entry_set_symlink(e, link);
	else if (link)
		w.archive_entry_set_hardlink(e, link);
	else
		w.archive_entry_set_size(e, (la_int64_t)size);
	if (w.archive_write_header(a, e) < ARCHIVE_WARN)
		fail_msg("%s: %s", name, w.archive_error_string(a));
	while (size) {
		la_ssize_t n = w.archive_write_data(a, data, size);

		assert_true(n > 0);
		data = (const char *)data + n;
		size -= (size_t)n;
	}
	w.archive_entry_free(e);
}

static void add(struct archive *a, const char *name, const char *text)
{
	add_of(a, name, AE_IFREG, NULL, text, strlen(text));
}

static void finish(struct archive *a)
{
	if (w.archive_write_close(a))
		fail_msg("%s", w.archive_error_string(a));
	w.archive_write_free(a);
}

/* Bytes that do not compress: a multiplicative congruential sequence. */
static void noise(uint8_t *bytes, size_t size, uint32_t seed)
{
	size_t i;

	for (i = 0; i < size; i++) {
		seed = seed * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(seed >> 24);
	}
}

static void archives_equal_directories(void **state)
{
	static uint8_t big[300000];
	const char *sorted[AWKWARD];
	struct listing files;
	enum form form;
	size_t i;

	(void)state;
	noise(big, sizeof(big), 1);
	for (i = 0; i < AWKWARD; i++)
		put(awkward[i], awkward[i]);
	put_bytes("d/big.png", big, sizeof(big));
	put("d/notes.txt", "text");
	put("d/a/readme", "text");
	put("d/.hidden/x.jpg", "x");
	put("d/a/.x.jpg", "x");
	put("d/sniffed", "\xff\xd8\xff and more than sixteen bytes of it");
	memcpy(sorted, awkward, sizeof(sorted));
	qsort(sorted, AWKWARD, sizeof(sorted[0]), compare_text);
	files = list_one("d");
	assert_int_equal(AWKWARD + 2, files.count);
	for (form = 0; form < FORMS; form++) {
		const char *path = form_names[form];
		struct archive *a = begin(path, form);
		struct listing l;
		char name[256];

		add_of(a, "a/", AE_IFDIR, NULL, NULL, 0);
		add(a, "notes.txt", "text");
		add(a, "a/readme", "text");
		add(a, ".hidden/x.jpg", "x");
		add(a, "a/.x.jpg", "x");
		add_of(a, ".hidden", AE_IFDIR, NULL, NULL, 0);
		for (i = 0; i < files.count; i++)
			add_of(a, files.items[i].name + 2, AE_IFREG, NULL, files.items[i].data, files.items[i].size);
		finish(a);
		l = list_one(path);
		assert_int_equal(files.count, l.count);
		assert_int_equal(files.passed_over, l.passed_over);
		for (i = 0; i < l.count; i++) {
			const struct found *x = &files.items[i], *y = &l.items[i];

			snprintf(name, sizeof(name), "%s:%s", path, x->name + 2);
			assert_string_equal(name, y->name);
			assert_string_equal(path, y->archive);
			assert_string_equal(x->label, y->label);
			assert_int_equal(0, y->code);
			assert_int_equal(0, y->read_code);
			assert_int_equal(x->size, y->size);
			assert_memory_equal(x->data, y->data, x->size);
		}
		release(&l);
		/* Listing alone finds the same. */
		l = list_with(NULL, 0, &path, 1);
		assert_int_equal(files.count, l.count);
		assert_int_equal(0, l.errors);
		release(&l);
	}
	release(&files);
}

static void archives_are_known_by_their_bytes(void **state)
{
	struct listing l;
	struct archive *a;
	static const uint8_t zeros[10240];

	(void)state;
	finish(begin("empty.zip", ZIP));
	finish(begin("empty.tgz", TGZ));
	put_bytes("empty.tar", zeros, sizeof(zeros));
	put_bytes("zeros.raw", zeros, sizeof(zeros));
	a = begin("inner.zip", ZIP);
	add(a, "x.jpg", "x");
	finish(a);
	a = begin("called.jpg", ZIP);
	add(a, "x.jpg", "x");
	finish(a);
	finish(begin("d/nested.tar", USTAR));
	l = list_one("empty.zip");
	assert_int_equal(0, l.count);
	release(&l);
	l = list_one("empty.tgz");
	assert_int_equal(0, l.count);
	release(&l);
	l = list_one("empty.tar");
	assert_int_equal(0, l.count);
	release(&l);
	l = list_one("zeros.raw");
	NAMES(&l, "zeros.raw");
	release(&l);
	l = list_one("called.jpg");
	NAMES(&l, "called.jpg");
	assert_int_equal(0, l.errors);
	release(&l);
	/* Through a link and a list. */
	assert_int_equal(0, symlink("inner.zip", "link"));
	l = LIST("link\ninner.zip\n", 0);
	NAMES(&l, "link:x.jpg", "inner.zip:x.jpg");
	release(&l);
	/* In a directory or another archive it is no picture. */
	put("d/y.jpg", "y");
	l = list_one("d");
	NAMES(&l, "d/y.jpg");
	assert_int_equal(1, l.passed_over);
	release(&l);
	a = begin("outer.tar", PAX);
	add(a, "inner.zip", "PK\x03\x04");
	add(a, "x.jpg", "x");
	finish(a);
	l = list_one("outer.tar");
	NAMES(&l, "outer.tar:x.jpg");
	assert_int_equal(1, l.passed_over);
	release(&l);
}

static void members_that_have_no_bytes_are_errors(void **state)
{
	struct listing l;
	struct archive *a;

	(void)state;
	a = begin("a.tar", GNUTAR);
	add(a, "x.jpg", "x");
	add_of(a, "hard.jpg", AE_IFREG, "x.jpg", NULL, 0);
	add_of(a, "soft.jpg", AE_IFLNK, "x.jpg", NULL, 0);
	add_of(a, "soft.txt", AE_IFLNK, "x.txt", NULL, 0);
	add_of(a, "pipe", AE_IFIFO, NULL, NULL, 0);
	add_of(a, "device", AE_IFCHR, NULL, NULL, 0);
	add(a, "y.jpg", "y");
	finish(a);
	l = list_one("a.tar");
	NAMES(&l, "a.tar:x.jpg", "a.tar:hard.jpg", "a.tar:soft.jpg", "a.tar:pipe", "a.tar:device", "a.tar:y.jpg");
	assert_refused(&l, "a.tar:hard.jpg", ADTOOL_EUNSUPPORTED, "link");
	assert_refused(&l, "a.tar:soft.jpg", ADTOOL_EUNSUPPORTED, "link");
	assert_refused(&l, "a.tar:pipe", ADTOOL_EIO, "FIFO");
	assert_refused(&l, "a.tar:device", ADTOOL_EIO, "character device");
	assert_string_equal("y", find(&l, "a.tar:y.jpg")->data);
	assert_int_equal(1, l.passed_over);
	release(&l);
}

static void member_paths_are_told_and_labels_are_safe(void **state)
{
	struct listing l;
	struct archive *a;

	(void)state;
	a = begin("a.tar", USTAR);
	add(a, "./x.jpg", "1");
	add(a, "././/good/./x.jpg", "2");
	add(a, "../../up/x.jpg", "3");
	add(a, "/abs/x.jpg", "4");
	add(a, "a//b/../c/x.jpg", "5");
	add(a, "__MACOSX/._x.jpg", "6");
	finish(a);
	l = list_one("a.tar");
	NAMES(&l, "a.tar:x.jpg", "a.tar:good/./x.jpg", "a.tar:../../up/x.jpg", "a.tar:/abs/x.jpg",
	      "a.tar:a//b/../c/x.jpg");
	assert_string_equal("", l.items[0].label);
	assert_string_equal("good", l.items[1].label);
	assert_string_equal("up", l.items[2].label);
	assert_string_equal("abs", l.items[3].label);
	assert_string_equal("a/b/c", l.items[4].label);
	release(&l);
}

static void names_do_not_depend_on_the_locale(void **state)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before;
	static const enum form forms[] = {ZIP, PAX, TZST};
	size_t i;

	(void)state;
	if (!utf8)
		SKIP("there is no locale C.UTF-8");
	for (i = 0; i < 3; i++) {
		struct archive *a;
		struct listing l;

		/* So that the archive says that its names are UTF-8. */
		before = uselocale(utf8);
		a = w.archive_write_new();
		if (forms[i] == ZIP) {
			w.archive_write_set_format_zip(a);
			w.archive_write_set_options(a, "zip:hdrcharset=UTF-8");
		} else {
			w.archive_write_set_format_pax(a);
		}
		assert_int_equal(0, w.archive_write_open_filename(a, "a.bin"));
		add(a, "gr\xc3\xbc\xc3\x9f/\xe7\x95\xb0\xe5\xb8\xb8.jpg", "x");
		finish(a);
		uselocale(before);
		l = list_one("a.bin");
		NAMES(&l, "a.bin:gr\xc3\xbc\xc3\x9f/\xe7\x95\xb0\xe5\xb8\xb8.jpg");
		assert_string_equal("gr\xc3\xbc\xc3\x9f", l.items[0].label);
		assert_string_equal("x", l.items[0].data);
		release(&l);
		assert_ptr_equal(before, uselocale((locale_t)0));
	}
	freelocale(utf8);
}

static void encrypted_members_are_errors(void **state)
{
	struct listing l;
	struct archive *a = w.archive_write_new();

	(void)state;
	w.archive_write_set_format_zip(a);
	if (w.archive_write_set_options(a, "zip:encryption=traditional") != ARCHIVE_OK) {
		w.archive_write_free(a);
		SKIP("this libarchive cannot encrypt");
	}
	w.archive_write_set_passphrase(a, "secret");
	assert_int_equal(0, w.archive_write_open_filename(a, "a.zip"));
	add(a, "x.jpg", "xxxxxxxxxxxxxxxx");
	add(a, "y", "yyyyyyyyyyyyyyyy");
	finish(a);
	l = list_one("a.zip");
	NAMES(&l, "a.zip:x.jpg", "a.zip:y");
	assert_refused(&l, "a.zip:x.jpg", ADTOOL_EUNSUPPORTED, "encrypted");
	assert_refused(&l, "a.zip:y", ADTOOL_EUNSUPPORTED, "encrypted");
	release(&l);
}

/* -- damage ------------------------------------------------------------------------------------------ */

static void make_small(const char *path, enum form form)
{
	struct archive *a = begin(path, form);
	uint8_t bytes[700];
	int i;

	for (i = 0; i < 3; i++) {
		char name[16];

		noise(bytes, sizeof(bytes), (uint32_t)i);
		snprintf(name, sizeof(name), "d/%d.jpg", i);
		add_of(a, name, AE_IFREG, NULL, bytes, i == 1 ? 3 : sizeof(bytes));
		add_of(a, i == 1 ? "notes" : "n.txt", AE_IFREG, NULL, bytes, 20);
	}
	finish(a);
}

/*
 * However the archive is damaged, what comes out whole is what was put in, the damage is told, the next input follows.
 */
static void check_damaged(const char *path, const struct listing *whole, int cut, int plain_tar, int reading)
{
	const char *inputs[2] = {path, "good.jpg"};
	struct listing l = list_with(NULL, reading, inputs, 2);
	size_t i, broken = 0;

	assert_true(l.count >= 1);
	assert_string_equal("good.jpg", l.items[l.count - 1].name);
	assert_int_equal(0, l.items[l.count - 1].code);
	for (i = 0; i + 1 < l.count; i++) {
		const struct found *f = &l.items[i];

		if (!strcmp(f->name, path)) {
			/* No archive any more (then it is an unreadable picture), or broken: said once, at the end. */
			assert_int_equal(l.count - 2, i);
			broken++;
		}
		/* Cut, it is a start of the whole. */
		if (cut && strcmp(f->name, path) && i < whole->count)
			assert_string_equal(whole->items[i].name, f->name);
		if (cut && strcmp(f->name, path) && f->data) {
			assert_int_equal(whole->items[i].size, f->size);
			assert_memory_equal(whole->items[i].data, f->data, f->size);
		}
	}
	assert_true(broken <= 1);
	if (cut)
		assert_true(l.count <= whole->count + 2);
	/* Nothing is lost silently; but a plain tar may end after any member. */
	if (cut && reading && !plain_tar && !broken && !l.errors)
		assert_int_equal(whole->count + 1, l.count);
	release(&l);
}

static void cut_archives(void **state)
{
	enum form form;

	(void)state;
	put("good.jpg", "good");
	for (form = 0; form < FORMS; form++) {
		struct listing whole;
		ad_buf b;
		int plain_tar = form == USTAR || form == PAX || form == GNUTAR || form == V7TAR;
		size_t n, step;

		make_small("cut", form);
		whole = list_one("cut");
		assert_int_equal(3, whole.count);
		assert_int_equal(0, whole.errors);
		b = get("cut");
		step = b.size > 4096 ? 61 : 7;
		for (n = 0; n < b.size; n += step) {
			put_bytes("cut", b.data, n);
			check_damaged("cut", &whole, 1, plain_tar, 1);
			check_damaged("cut", &whole, 1, plain_tar, 0);
		}
		ad_buf_release(&b);
		release(&whole);
	}
}

static void flipped_bytes_in_archives(void **state)
{
	enum form form;

	(void)state;
	put("good.jpg", "good");
	for (form = 0; form < FORMS; form++) {
		static const uint8_t masks[] = {0x01, 0x80, 0xff};
		struct listing whole;
		ad_buf b;
		size_t at, i;

		make_small(form_names[form], form);
		whole = list_one(form_names[form]);
		b = get(form_names[form]);
		for (at = 0; at < b.size; at += b.size > 4096 ? 97 : 13)
			for (i = 0; i < sizeof(masks); i++) {
				b.data[at] ^= masks[i];
				put_bytes("flipped", b.data, b.size);
				check_damaged("flipped", &whole, 0, 0, (at & 1) == 0);
				b.data[at] ^= masks[i];
			}
		ad_buf_release(&b);
		release(&whole);
	}
}

static void a_damaged_member_does_not_end_a_zip(void **state)
{
	struct listing l;
	ad_buf b;
	uint8_t *at;

	(void)state;
	make_small("a.zip", ZIP);
	b = get("a.zip");
	/* The second picture's three bytes, which are stored or deflated behind its name. */
	at = memmem(b.data, b.size, "d/0.jpg", 7);
	assert_non_null(at);
	at[300] ^= 0xff;
	put_bytes("a.zip", b.data, b.size);
	ad_buf_release(&b);
	l = list_one("a.zip");
	assert_true(l.count >= 3);
	assert_string_equal("a.zip:d/0.jpg", l.items[0].name);
	assert_int_equal(ADTOOL_EFORMAT, l.items[0].read_code);
	assert_int_equal(0, find(&l, "a.zip:d/1.jpg")->read_code);
	assert_int_equal(0, find(&l, "a.zip:d/2.jpg")->read_code);
	assert_int_equal(1, l.errors);
	release(&l);
}

static void compressed_but_no_tar(void **state)
{
	struct archive *a = w.archive_write_new();
	struct listing l;

	(void)state;
	w.archive_write_set_format_raw(a);
	w.archive_write_add_filter_gzip(a);
	assert_int_equal(0, w.archive_write_open_filename(a, "x.gz"));
	add(a, "x", "not a tar, only some text that was compressed");
	finish(a);
	l = list_one("x.gz");
	NAMES(&l, "x.gz");
	assert_refused(&l, "x.gz", ADTOOL_EFORMAT, "no tar archive");
	release(&l);
	/* gzip within gzip. */
	a = w.archive_write_new();
	w.archive_write_set_format_ustar(a);
	w.archive_write_add_filter_gzip(a);
	w.archive_write_add_filter_gzip(a);
	assert_int_equal(0, w.archive_write_open_filename(a, "twice.tgz"));
	add(a, "x.jpg", "x");
	finish(a);
	l = list_one("twice.tgz");
	NAMES(&l, "twice.tgz");
	assert_refused(&l, "twice.tgz", ADTOOL_EUNSUPPORTED, "more than once");
	release(&l);
}

/* -- limits ------------------------------------------------------------------------------------------ */

static void archive_limits(void **state)
{
	enum form form;

	(void)state;
	put("good.jpg", "good");
	for (form = 0; form < FORMS; form++) {
		const char *path = form_names[form];
		const char *inputs[] = {path, "good.jpg"};
		adtool_dataset_options options;
		struct listing l;
		struct archive *a = begin(path, form);
		uint8_t bytes[1000];
		int i;

		noise(bytes, sizeof(bytes), 7);
		for (i = 0; i < 10; i++) {
			char name[16];

			snprintf(name, sizeof(name), "%d.jpg", i);
			add_of(a, name, AE_IFREG, NULL, bytes, i == 4 ? 1000 : 500);
		}
		finish(a);

		adtool_dataset_options_init(&options);
		options.max_members = 10;
		l = list_with(&options, 1, inputs, 2);
		assert_int_equal(11, l.count);
		assert_int_equal(0, l.errors);
		release(&l);
		options.max_members = 9;
		l = list_with(&options, 1, inputs, 2);
		assert_int_equal(11, l.count);
		assert_int_equal(1, l.errors);
		assert_refused(&l, path, ADTOOL_ELIMIT, "limit of 9 members");
		assert_string_equal("good.jpg", l.items[10].name);
		release(&l);

		/* One large member is an error of its own. */
		adtool_dataset_options_init(&options);
		options.max_file_bytes = 999;
		l = list_with(&options, 1, inputs, 2);
		assert_int_equal(11, l.count);
		assert_int_equal(1, l.errors);
		assert_int_equal(ADTOOL_ELIMIT, l.items[4].code);
		assert_non_null(strstr(l.items[4].why, "1000 bytes"));
		release(&l);

		adtool_dataset_options_init(&options);
		options.max_total_bytes = 2200;
		l = list_with(&options, 1, inputs, 2);
		assert_true(l.count >= 2 && l.count < 11);
		assert_refused(&l, path, ADTOOL_ELIMIT, "2200 bytes");
		assert_string_equal(path, l.items[l.count - 2].name);
		assert_string_equal("good.jpg", l.items[l.count - 1].name);
		release(&l);
	}
}

static void bombs_are_noticed(void **state)
{
	static const enum form forms[] = {ZIP, TGZ, TXZ, TZST};
	static uint8_t zeros[1 << 20];
	size_t i;
	int reading, named;

	(void)state;
	put("good.jpg", "good");
	for (i = 0; i < 4; i++)
		for (named = 0; named < 2; named++) {
			struct archive *a = begin("bomb", forms[i]);
			struct archive_entry *e = w.archive_entry_new();
			int n;

			/* 72 MiB, as a picture or not. */
			w.archive_entry_set_pathname(e, named ? "x.jpg" : "x.txt");
			w.archive_entry_set_filetype(e, AE_IFREG);
			w.archive_entry_set_size(e, (la_int64_t)72 << 20);
			assert_int_equal(0, w.archive_write_header(a, e));
			for (n = 0; n < 72; n++)
				assert_int_equal(sizeof(zeros), w.archive_write_data(a, zeros, sizeof(zeros)));
			w.archive_entry_free(e);
			add(a, "y.jpg", "y");
			finish(a);
			for (reading = 0; reading < 2; reading++) {
				const char *inputs[] = {"bomb", "good.jpg"};
				adtool_dataset_options options;
				struct listing l;

				adtool_dataset_options_init(&options);
				options.max_ratio = 100;
				l = list_with(&options, reading, inputs, 2);
				assert_string_equal("good.jpg", l.items[l.count - 1].name);
				assert_int_equal(0, l.items[l.count - 1].code);
				if (forms[i] == ZIP && !(reading && named)) {
					/* A zip's members are skipped without being unpacked. */
					find(&l, "bomb:y.jpg");
					assert_int_equal(0, l.errors);
				} else {
					assert_refused(&l, "bomb", ADTOOL_ELIMIT, "limit of 100 times");
					assert_int_equal(named ? 3 : 2, l.count);
				}
				release(&l);
			}
		}
}

static void octal(char *field, size_t size, uint64_t value)
{
	for (field[--size] = '\0'; size--; value >>= 3)
		field[size] = (char)('0' + (value & 7));
}

/* One block of a tar: a header. */
static void tar_header(ad_buf *out, const char *name, char type, uint64_t size)
{
	char h[512] = {0};
	unsigned sum = 0, i;

	snprintf(h, 100, "%s", name);
	octal(h + 100, 8, 0644);
	octal(h + 108, 8, 0);
	octal(h + 116, 8, 0);
	octal(h + 124, 12, size);
	octal(h + 136, 12, 0);
	memset(h + 148, ' ', 8);
	h[156] = type;
	memcpy(h + 257, "ustar\00000", 8);
	for (i = 0; i < 512; i++)
		sum += (uint8_t)h[i];
	octal(h + 148, 7, sum);
	ad_buf_add(out, h, sizeof(h));
}

static void pad(ad_buf *out)
{
	while (out->size % 512)
		ad_buf_putc(out, '\0');
}

static void pax_field(ad_buf *out, const char *field)
{
	size_t n = strlen(field) + 2, digits = n + 1 < 10 ? 1 : n + 2 < 100 ? 2 : 3;

	ad_buf_printf(out, "%zu %s\n", n + digits, field);
}

/* Headers can be bombs too: a sparse file's map of millions of entries, which libarchive keeps in memory. */
static void headers_are_limited(void **state)
{
	static const int entries = 5000000;
	const char *inputs[] = {"a.tgz", "good.jpg"};
	ad_buf tar = {0}, fields = {0};
	struct archive *a;
	struct listing l;
	int i;

	(void)state;
	put("good.jpg", "good");
	pax_field(&fields, "GNU.sparse.major=1");
	pax_field(&fields, "GNU.sparse.minor=0");
	pax_field(&fields, "GNU.sparse.name=x.jpg");
	pax_field(&fields, "GNU.sparse.realsize=1000");
	tar_header(&tar, "PaxHeader/x", 'x', fields.size);
	ad_buf_add(&tar, fields.data, fields.size);
	pad(&tar);
	tar_header(&tar, "x.jpg", '0', (uint64_t)entries * 4 + 512);
	ad_buf_printf(&tar, "%d\n", entries);
	ad_buf_reserve(&tar, (size_t)entries * 4 + 4096);
	for (i = 0; i < entries; i++)
		ad_buf_add(&tar, "0\n0\n", 4);
	pad(&tar);
	assert_false(tar.failed);
	a = w.archive_write_new();
	w.archive_write_set_format_raw(a);
	w.archive_write_add_filter_gzip(a);
	assert_int_equal(0, w.archive_write_open_filename(a, "a.tgz"));
	add_of(a, "tar", AE_IFREG, NULL, tar.data, tar.size);
	finish(a);
	l = list_with(NULL, 1, inputs, 2);
	NAMES(&l, "a.tgz", "good.jpg");
	assert_refused(&l, "a.tgz", ADTOOL_ELIMIT, "headers");
	release(&l);
	/* And as it is. */
	put_bytes("a.tgz", tar.data, tar.size);
	l = list_with(NULL, 1, inputs, 2);
	NAMES(&l, "a.tgz", "good.jpg");
	assert_refused(&l, "a.tgz", ADTOOL_ELIMIT, "headers");
	release(&l);
	ad_buf_release(&tar);
	ad_buf_release(&fields);
}

static void sizes_may_lie(void **state)
{
	const char *inputs[] = {"a.tar", "good.jpg"};
	static const uint64_t sizes[] = {1000, 1ull << 29, 1ull << 31, 077777777777};
	ad_buf tar = {0};
	struct listing l;
	size_t i;

	(void)state;
	put("good.jpg", "good");
	for (i = 0; i < 4; i++) {
		ad_buf_clear(&tar);
		tar_header(&tar, "x.jpg", '0', sizes[i]);
		ad_buf_puts(&tar, "only this");
		pad(&tar);
		put_bytes("a.tar", tar.data, tar.size);
		l = list_with(NULL, 1, inputs, 2);
		NAMES(&l, "a.tar:x.jpg", "a.tar", "good.jpg");
		assert_int_equal(2, l.errors);
		assert_int_equal(i < 2 ? ADTOOL_EFORMAT : ADTOOL_ELIMIT, l.items[0].read_code);
		release(&l);
	}
	ad_buf_release(&tar);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(directory_is_in_byte_order_of_whole_paths),
	        T(empty_inputs_give_nothing),
	        T(inputs_keep_their_order),
	        T(directories_give_pictures_only),
	        T(what_is_no_file_is_an_error),
	        T(links_are_followed_but_not_in_circles),
	        T(linked_folders_do_not_multiply),
	        T(stops_when_asked),
	        T(keeps_to_the_rate),
	        T(files_can_be_plain),
	        T(what_a_folder_would_list),
	        T(depth_is_limited),
	        T(permission_is_an_error_of_one_item),
	        T(files_may_vanish_and_change),
	        T(file_size_is_limited),
	        T(lists_name_files_and_folders),
	        T(overlong_entries_are_errors),
	        T(a_list_is_used_as_it_comes),
	        T(a_list_may_come_byte_by_byte),
	        T(lists_that_cannot_be_read_fail),
	        T(archives_equal_directories),
	        T(archives_are_known_by_their_bytes),
	        T(members_that_have_no_bytes_are_errors),
	        T(member_paths_are_told_and_labels_are_safe),
	        T(names_do_not_depend_on_the_locale),
	        T(encrypted_members_are_errors),
	        T(cut_archives),
	        T(flipped_bytes_in_archives),
	        T(a_damaged_member_does_not_end_a_zip),
	        T(compressed_but_no_tar),
	        T(archive_limits),
	        T(bombs_are_noticed),
	        T(headers_are_limited),
	        T(sizes_may_lie),
	};

	return cmocka_run_group_tests(tests, load_writers, NULL);
}
