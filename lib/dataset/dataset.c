#include <adtool/dataset.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"
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
	uint64_t passed_over;
	double next_time; /* with a rate: when the next item may come; 0: at once */
};

void adtool_dataset_options_init(adtool_dataset_options *options)
{
	memset(options, 0, sizeof(*options));
	options->list_fd = STDIN_FILENO;
	options->max_file_bytes = (uint64_t)1 << 30;
	options->max_members = 1000000;
	options->max_total_bytes = (uint64_t)1 << 40;
	options->max_ratio = 1000;
	options->max_depth = 64;
	options->stop_fd = -1;
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

/* Makes path the current item, refused when d->why has a code. */
static int give(adtool_dataset *d, const char *name, const char *label, enum state state)
{
	d->state = d->why.code ? REFUSED_ITEM : state;
	d->item.name = name;
	d->item.label = label;
	return 1;
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

/* 1: an item was given; 0: a directory or an archive was opened. */
static int start(adtool_dataset *d, const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		ad_fail_errno(&d->why, errno, "cannot open");
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

/* One step towards the next item: 1: found; 0: go on; negative: failed. *over is set when there is no more. */
static int step(adtool_dataset *d, int *over, adtool_error *err)
{
	adtool_item *item = &d->item;
	const char *path;
	int r;

	item->archive = NULL;
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
		ad_list_start(&d->list, d->options.list_fd, d->options.null_separated ? '\0' : '\n', d->options.stop_fd);
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
	if (d->data.capacity > KEPT_BYTES)
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
		return ad_fail(err, ADTOOL_EINVAL, state == NO_ITEM ? "there is no current item" : "the item has been read already");
	if (state == REFUSED_ITEM)
		return ad_fail(err, d->why.code, "%s", d->why.message);
	d->state = READ_ITEM;
	ad_buf_clear(&d->data);
	if (state == MEMBER_ITEM)
		code = ad_archive_read(d->archive, &d->data, err);
	else
		code = ad_file_read(d->item.name, d->options.max_file_bytes, &d->data, err);
	/* An empty file has bytes to point to as well. */
	if (!code && ad_buf_puts(&d->data, ""))
		code = ad_fail_nomem(err);
	if (code) {
		ad_buf_release(&d->data);
		return code;
	}
	*data = d->data.data;
	*size = d->data.size;
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
	ad_free(d);
}
