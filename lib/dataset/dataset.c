#include <adtool/dataset.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/file.h"
#include "../base/magic.h"
#include "../base/mem.h"
#include "../base/tiff.h"
#include "dataset.h"

/* Between items a buffer that one huge file has left behind is not kept. */
enum { KEPT_BYTES = 32 << 20 };

enum state {
	NO_ITEM,
	FILE_ITEM,
	MEMBER_ITEM,
	REFUSED_ITEM,
	READ_ITEM,
};

struct adtool_dataset {
	adtool_dataset_options options;
	char **inputs;
	size_t count, next;
	int listing; /* the current input is the list */
	ad_list list;
	int walking; /* the current input is a directory */
	ad_walk walk;
	ad_archive_library *library; /* NULL until an archive is met */
	ad_archive *archive;         /* the current input, or NULL */
	enum state state;
	adtool_item item;
	adtool_error why;
	ad_buf data;
	int loaded;           /* data are the current file's bytes */
	int picture_fd;       /* an input of its own: a picture on a descriptor; -1: none, or it has been read */
	unsigned page, pages; /* of the current file: the last one given, and how many; 0: it has no pages */
	ad_buf file, name;    /* of pages: their file's name, and the page's */
	uint64_t passed_over, files;
	double next_time; /* with a rate: when the next item may come; 0: at once */
};

void adtool_dataset_options_init(adtool_dataset_options *options)
{
	memset(options, 0, sizeof(*options));
	options->list_fd = STDIN_FILENO;
	options->max_file_bytes = ADTOOL_MAX_FILE_BYTES_DEFAULT;
	options->max_members = ADTOOL_MAX_MEMBERS_DEFAULT;
	options->max_total_bytes = ADTOOL_MAX_UNPACKED_BYTES_DEFAULT;
	options->max_ratio = ADTOOL_MAX_RATIO_DEFAULT;
	options->max_depth = ADTOOL_MAX_DEPTH_DEFAULT;
	options->stop_fd = -1;
}

static int is_tiff(const uint8_t *head, size_t size)
{
	const ad_magic *magic = ad_magic_of(head, size);

	return magic && !strcmp(magic->name, "TIFF");
}

static int read_from_file(void *context, uint64_t at, void *to, size_t n)
{
	int fd = *(int *)context;
	uint8_t *p = to;

	while (n) {
		ssize_t got = at <= INT64_MAX ? pread(fd, p, n, (off_t)at) : 0;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int read_from_data(void *context, uint64_t at, void *to, size_t n)
{
	const ad_buf *data = context;

	if (at > data->size || n > data->size - at)
		return -1;
	memcpy(to, data->data + at, n);
	return 0;
}

/* How many pages the file of the current item has; 0 when it is no TIFF, or cannot be read. */
static unsigned count_pages(adtool_dataset *d)
{
	uint8_t head[AD_SNIFF_BYTES];
	adtool_error why = {0};
	unsigned pages = 0;
	uint64_t size;
	size_t got;
	int fd;

	if (d->loaded)
		return is_tiff(d->data.data, d->data.size) ? ad_tiff_count(read_from_data, &d->data) : 0;
	if (d->state == MEMBER_ITEM) {
		/* What is wrong with it would not be said a second time. */
		if (ad_archive_head(d->archive, head, &got, &d->why) || !is_tiff(head, got) ||
		    ad_archive_read(d->archive, &d->data, &d->why))
			return 0;
		d->loaded = 1;
		return ad_tiff_count(read_from_data, &d->data);
	}
	fd = ad_file_open(d->item.name, &size, &why);
	if (fd < 0)
		return 0;
	if (!ad_kind_head(fd, head, sizeof(head), &got, &why) && is_tiff(head, got))
		pages = ad_tiff_count(read_from_file, &fd);
	close(fd);
	return pages;
}

/* Makes a page of d->file the current item. */
static int give_page(adtool_dataset *d, unsigned page)
{
	ad_buf_clear(&d->name);
	ad_buf_printf(&d->name, "%s#%u", ad_buf_text(&d->file), page);
	d->page = page;
	d->item.name = ad_buf_text(&d->name);
	d->item.page = page;
	if (d->name.failed || d->file.failed)
		ad_fail_nomem(&d->why);
	return 1;
}

/* The first page instead of the current item, when it has several. */
static int split_pages(adtool_dataset *d)
{
	if (d->why.code || d->item.page)
		return 1;
	d->pages = count_pages(d);
	if (d->why.code) {
		d->state = REFUSED_ITEM;
		return 1;
	}
	if (d->pages < 2) {
		d->pages = 0;
		return 1;
	}
	ad_buf_clear(&d->file);
	ad_buf_puts(&d->file, d->item.name);
	return give_page(d, 1);
}

void adtool_dataset_options_limit(adtool_dataset_options *options, const adtool_limits *limits)
{
	options->max_file_bytes = limits->file_bytes;
	options->max_members = limits->members;
	options->max_total_bytes = limits->unpacked_bytes;
	options->max_ratio = limits->ratio;
	options->max_depth = limits->depth;
}

int adtool_dataset_open(const char *const *inputs, size_t count, const adtool_dataset_options *options,
                        adtool_dataset **out, adtool_error *err)
{
	adtool_dataset_options defaults;
	adtool_dataset *d = ad_calloc(1, sizeof(*d));
	int lists = 0, code = 0;
	size_t i;

	if (!d)
		return ad_fail_nomem(err);
	adtool_dataset_options_init(&defaults);
	d->options = options ? *options : defaults;
	if (!d->options.max_file_bytes)
		d->options.max_file_bytes = defaults.max_file_bytes;
	if (!d->options.max_members)
		d->options.max_members = defaults.max_members;
	if (!d->options.max_total_bytes)
		d->options.max_total_bytes = defaults.max_total_bytes;
	if (!d->options.max_ratio)
		d->options.max_ratio = defaults.max_ratio;
	d->picture_fd = -1;
	d->inputs = ad_calloc(count, sizeof(*d->inputs));
	if (!d->inputs)
		code = ad_fail_nomem(err);
	for (i = 0; i < count && !code; i++) {
		d->inputs[i] = ad_strdup(inputs[i]);
		if (!d->inputs[i])
			code = ad_fail_nomem(err);
		else if (!d->options.plain_files && !strcmp(inputs[i], "-") && ++lists > 1)
			code = ad_fail(err, ADTOOL_EINVAL, "the list of paths, '-', can be read only once");
		d->count++;
	}
	if (code)
		adtool_dataset_free(d);
	else
		*out = d;
	return code;
}

int adtool_dataset_open_fd(int fd, const char *name, const adtool_dataset_options *options, adtool_dataset **out,
                           adtool_error *err)
{
	int code = adtool_dataset_open(&name, 1, options, out, err);

	if (!code) {
		/* Not an input to be opened: only its name. */
		(*out)->picture_fd = fd;
		(*out)->next = 1;
	}
	return code;
}

/* Makes path the current item, refused when d->why has a code. */
static int give(adtool_dataset *d, const char *name, const char *label, enum state state)
{
	d->state = d->why.code ? REFUSED_ITEM : state;
	d->item.name = name;
	d->item.label = label;
	return split_pages(d);
}

static int open_archive(adtool_dataset *d, const char *path, int fd, uint64_t size, enum ad_packing packing)
{
	if (!d->library && ad_archive_load(&d->library, &d->why)) {
		close(fd);
		return d->why.code;
	}
	return ad_archive_open(d->library, path, fd, size, packing, &d->options, &d->archive, &d->why);
}

/* A file named as an input: an item, or an archive. */
static int start_file(adtool_dataset *d, const char *path)
{
	uint8_t head[AD_HEAD_BYTES];
	enum ad_packing packing;
	uint64_t size;
	size_t got;
	int fd;

	if (d->options.plain_files || ad_kind_suffix(path)) {
		ad_kind_access(path, &d->why);
		return give(d, path, "", FILE_ITEM);
	}
	fd = ad_file_open(path, &size, &d->why);
	if (fd < 0)
		return give(d, path, "", FILE_ITEM);
	if (ad_kind_head(fd, head, sizeof(head), &got, &d->why)) {
		close(fd);
		return give(d, path, "", FILE_ITEM);
	}
	packing = ad_kind_archive(head, got, path);
	if (packing == AD_PACKING_NONE) {
		close(fd);
		return give(d, path, "", FILE_ITEM);
	}
	return open_archive(d, path, fd, size, packing) ? give(d, path, "", REFUSED_ITEM) : 0;
}

/* "f.tif#2" when f.tif is a file: 1, and its second page is the current item. */
static int start_page(adtool_dataset *d, const char *path)
{
	const char *mark = strrchr(path, '#');
	unsigned long page = 0;
	struct stat st;
	size_t n;

	if (!mark || mark == path || d->options.plain_files)
		return 0;
	n = strspn(mark + 1, "0123456789");
	if (n < 1 || n > 5 || mark[1 + n] || mark[1] == '0')
		return 0;
	page = strtoul(mark + 1, NULL, 10);
	ad_buf_clear(&d->file);
	ad_buf_add(&d->file, path, (size_t)(mark - path));
	if (d->file.failed) {
		ad_fail_nomem(&d->why);
		return 1;
	}
	if (stat(ad_buf_text(&d->file), &st) || !S_ISREG(st.st_mode))
		return 0;
	d->item.page = d->page = d->pages = (unsigned)page;
	return give(d, path, "", FILE_ITEM);
}

/* 1: an item was given; 0: a directory or an archive was opened. */
static int start(adtool_dataset *d, const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		int number = errno;

		if (number == ENOENT && start_page(d, path))
			return 1;
		ad_fail_errno(&d->why, number, "cannot open");
		return give(d, path, "", REFUSED_ITEM);
	}
	if (S_ISDIR(st.st_mode)) {
		if (ad_walk_start(&d->walk, path, d->options.max_depth, &d->why))
			return give(d, path, "", REFUSED_ITEM);
		d->walking = 1;
		return 0;
	}
	if (!S_ISREG(st.st_mode)) {
		ad_file_refuse(st.st_mode, &d->why);
		return give(d, path, "", REFUSED_ITEM);
	}
	return start_file(d, path);
}

/* d->data: what picture_fd gives until its end. 0: the caller wants no more. */
static int read_descriptor(adtool_dataset *d)
{
	struct pollfd p[2] = {{.fd = d->picture_fd, .events = POLLIN}, {.fd = d->options.stop_fd, .events = POLLIN}};
	uint64_t limit = d->options.max_file_bytes;
	ssize_t got = 1;

	d->picture_fd = -1;
	while (got && !d->why.code) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			ad_fail_errno(&d->why, errno, "cannot wait for it");
		if (p[1].revents)
			return 0;
		if (d->why.code || !p[0].revents)
			continue;
		if (ad_buf_reserve(&d->data, d->data.size + 65536)) {
			ad_fail_nomem(&d->why);
			continue;
		}
		got = read(p[0].fd, d->data.data + d->data.size, d->data.capacity - d->data.size - 1);
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			ad_fail_errno(&d->why, errno, "cannot read");
		if (got > 0)
			d->data.size += (size_t)got;
		if (d->data.size > limit)
			ad_fail(&d->why, ADTOOL_ELIMIT, "more than the limit of %llu bytes (--max-file-size)",
				(unsigned long long)limit);
	}
	d->loaded = !d->why.code;
	return 1;
}

/* One step towards the next item: 1: found; 0: go on; negative: failed. *over is set when there is no more. */
static int step(adtool_dataset *d, int *over, adtool_error *err)
{
	adtool_item *item = &d->item;
	const char *path;
	int r;

	if (d->page < d->pages) {
		d->state = FILE_ITEM;
		return give_page(d, d->page + 1);
	}
	item->archive = NULL;
	item->page = d->page = d->pages = 0;
	d->loaded = 0;
	d->files++;
	ad_buf_clear(&d->data);
	if (d->picture_fd >= 0) {
		if (!read_descriptor(d)) {
			*over = 1;
			return 0;
		}
		return give(d, d->inputs[0], "", FILE_ITEM);
	}
	if (d->archive) {
		r = ad_archive_next(d->archive, item, &d->why, &d->passed_over, err);
		if (r > 0)
			return give(d, item->name, item->label, MEMBER_ITEM);
		if (r == 0) {
			ad_archive_close(d->archive);
			d->archive = NULL;
		}
		return r;
	}
	if (d->walking) {
		r = ad_walk_next(&d->walk, item, &d->why, &d->passed_over, err);
		if (r > 0)
			return give(d, item->name, item->label, FILE_ITEM);
		if (r == 0)
			d->walking = 0;
		return r;
	}
	if (d->listing) {
		r = ad_list_next(&d->list, &path, &d->why, err);
		if (r > 0 && path)
			/* On a list it is a file, and must stay one when its name is given as an input. */
			return start(d, strcmp(path, "-") ? path : "./-");
		if (r > 0)
			return give(d, "-", "", REFUSED_ITEM);
		if (r == 0)
			d->listing = 0;
		return r;
	}
	if (d->next == d->count) {
		*over = 1;
		return 0;
	}
	path = d->inputs[d->next++];
	if (!d->options.plain_files && !strcmp(path, "-")) {
		ad_list_start(&d->list, d->options.list_fd, d->options.null_separated ? '\0' : '\n',
			      d->options.stop_fd);
		d->listing = 1;
		return 0;
	}
	return start(d, path);
}

/* Whether the caller wants no more; waits up to `seconds` for that. */
static int is_stopped(const adtool_dataset *d, double seconds)
{
	struct pollfd p = {.fd = d->options.stop_fd, .events = POLLIN};
	int ms = seconds <= 0 ? 0 : seconds > 1e6 ? 1000000000 : (int)ceil(seconds * 1e3);

	if (d->options.stop_fd < 0 && !ms)
		return 0;
	return poll(&p, 1, ms) > 0;
}

/* Keeps to the rate. Time that nobody used is not made up for. */
static int wait_for_turn(adtool_dataset *d)
{
	double now = ad_now();

	while (now < d->next_time) {
		if (is_stopped(d, d->next_time - now))
			return 1;
		now = ad_now();
	}
	d->next_time = now + 1 / d->options.rate;
	return 0;
}

int adtool_dataset_next(adtool_dataset *d, adtool_item *item, adtool_error *err)
{
	int over = 0, r = 0;

	d->state = NO_ITEM;
	if (d->data.capacity > KEPT_BYTES && d->page >= d->pages)
		ad_buf_release(&d->data);
	while (!r && !over) {
		if (is_stopped(d, 0))
			return 0;
		d->why.code = 0;
		r = step(d, &over, err);
	}
	if (r > 0 && d->why.code == ADTOOL_ENOMEM) {
		d->state = NO_ITEM;
		return ad_fail_nomem(err);
	}
	if (r > 0 && d->options.rate > 0 && wait_for_turn(d)) {
		d->state = NO_ITEM;
		return 0;
	}
	if (r > 0) {
		d->item.code = d->why.code;
		d->item.why = d->why.code ? d->why.message : NULL;
		*item = d->item;
	}
	return r;
}

int adtool_dataset_read(adtool_dataset *d, const void **data, size_t *size, adtool_error *err)
{
	enum state state = d->state;
	int code = 0;

	if (state == NO_ITEM || state == READ_ITEM)
		return ad_fail(err, ADTOOL_EINVAL,
			       state == NO_ITEM ? "there is no current item" : "the item has been read already");
	if (state == REFUSED_ITEM)
		return ad_fail(err, ad_fail_code(&d->why), "%s", d->why.message);
	d->state = READ_ITEM;
	if (!d->loaded) {
		ad_buf_clear(&d->data);
		if (state == MEMBER_ITEM)
			code = ad_archive_read(d->archive, &d->data, err);
		else
			code = ad_fail_option(err,
					      ad_file_read(d->page ? ad_buf_text(&d->file) : d->item.name,
							   d->options.max_file_bytes, &d->data, err),
					      "--max-file-size");
	}
	/* An empty file has bytes to point to as well. */
	if (!code && ad_buf_puts(&d->data, ""))
		code = ad_fail_nomem(err);
	if (code) {
		ad_buf_release(&d->data);
		return code;
	}
	d->loaded = 1;
	*data = d->data.data;
	*size = d->data.size;
	return 0;
}

int ad_dataset_take(adtool_dataset *d, ad_buf *out, adtool_error *err)
{
	const void *data;
	size_t size;
	ad_buf other = *out;
	int code = adtool_dataset_read(d, &data, &size, err);

	if (code)
		return code;
	*out = d->data;
	d->data = other;
	d->loaded = 0;
	return 0;
}

int adtool_dataset_would_list(const char *path)
{
	adtool_error why = {0};
	struct stat st;

	if (stat(path, &st))
		return 1;
	return S_ISDIR(st.st_mode) ? 0 : !S_ISREG(st.st_mode) || ad_walk_picture(path, &why);
}

uint64_t adtool_dataset_passed_over(const adtool_dataset *d)
{
	return d->passed_over;
}

uint64_t ad_dataset_file(const adtool_dataset *d)
{
	return d->files;
}

void adtool_dataset_free(adtool_dataset *d)
{
	size_t i;

	if (!d)
		return;
	ad_archive_close(d->archive);
	ad_archive_unload(d->library);
	ad_walk_release(&d->walk);
	ad_list_release(&d->list);
	for (i = 0; i < d->count; i++)
		ad_free(d->inputs[i]);
	ad_free(d->inputs);
	ad_buf_release(&d->data);
	ad_buf_release(&d->file);
	ad_buf_release(&d->name);
	ad_free(d);
}
