#include <adtool/report.h>

#include <errno.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"
#include "../base/npy.h"

enum {
	HEADER_BYTES = 192,    /* room for any float32 header of 4 dimensions */
	LENGTH_AT = 8,         /* of the header's text, 16 bits, little-endian */
	TEXT_AT = 10,
	BUFFER_BYTES = 1 << 20,
};
#define LIMIT_DEFAULT ((size_t)4 << 30)

struct adtool_npy_writer {
	ad_atomic file;
	size_t count;
	ad_buf pending;
};

static int flush(adtool_npy_writer *w, adtool_error *err)
{
	int code = ad_atomic_write(&w->file, w->pending.data, w->pending.size, err);

	ad_buf_clear(&w->pending);
	return code;
}

int adtool_npy_create(const char *path, adtool_npy_writer **out, adtool_error *err)
{
	static const uint8_t room[HEADER_BYTES];
	adtool_npy_writer *w = ad_calloc(1, sizeof(*w));
	int code;

	if (!w)
		return ad_fail_nomem(err);
	code = ad_atomic_open(&w->file, path, err);
	if (code) {
		ad_free(w);
		return code;
	}
	/* The shape is known at the end only. */
	if (ad_buf_add(&w->pending, room, sizeof(room))) {
		adtool_npy_abort(w);
		return ad_fail_nomem(err);
	}
	*out = w;
	return 0;
}

int adtool_npy_add(adtool_npy_writer *w, const float *values, size_t count, adtool_error *err)
{
	int code = 0;

	if (count > PTRDIFF_MAX / sizeof(*values) - w->count)
		return ad_fail(err, ADTOOL_ELIMIT, "too many values for a .npy file");
	if (w->pending.size && w->pending.size + count * sizeof(*values) > BUFFER_BYTES)
		code = flush(w, err);
	if (code)
		return code;
	if (count * sizeof(*values) > BUFFER_BYTES)
		code = ad_atomic_write(&w->file, values, count * sizeof(*values), err);
	else if (ad_buf_add(&w->pending, values, count * sizeof(*values)))
		code = ad_fail_nomem(err);
	if (!code)
		w->count += count;
	return code;
}

static int check_shape(const adtool_npy_writer *w, const size_t *shape, int ndim, adtool_error *err)
{
	size_t count = 1;
	int i, empty = 0;

	if (ndim < 0 || ndim > 4)
		return ad_fail(err, ADTOOL_EINVAL, "a .npy file of %d dimensions; 0 to 4 are possible", ndim);
	for (i = 0; i < ndim; i++)
		empty |= !shape[i];
	for (i = 0; i < ndim && !empty; i++) {
		if (count > w->count / shape[i])
			break;
		count *= shape[i];
	}
	if (empty ? w->count != 0 : i < ndim || count != w->count)
		return ad_fail(err, ADTOOL_EINVAL, "the shape of the .npy file does not hold its %zu values", w->count);
	return 0;
}

static int put_header(adtool_npy_writer *w, const size_t *shape, int ndim, adtool_error *err)
{
	ad_buf b = {0};
	size_t done = 0;
	int code = 0;

	if (ad_npy_header(&b, sizeof(float), ndim, shape)) {
		code = ad_fail_nomem(err);
		goto out;
	}
	/* Its text ends in a newline, before which spaces fill the room. */
	b.size--;
	while (!b.failed && b.size < HEADER_BYTES - 1)
		ad_buf_putc(&b, ' ');
	if (ad_buf_putc(&b, '\n')) {
		code = ad_fail_nomem(err);
		goto out;
	}
	b.data[LENGTH_AT] = (HEADER_BYTES - TEXT_AT) & 255;
	b.data[LENGTH_AT + 1] = (HEADER_BYTES - TEXT_AT) >> 8;
	while (done < HEADER_BYTES) {
		ssize_t n = pwrite(w->file.fd, b.data + done, HEADER_BYTES - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			code = ad_fail_errno(err, errno, "cannot write");
			goto out;
		}
		done += (size_t)n;
	}
out:
	ad_buf_release(&b);
	return code;
}

int adtool_npy_finish(adtool_npy_writer *w, const size_t *shape, int ndim, adtool_error *err)
{
	int code = check_shape(w, shape, ndim, err);

	if (!code)
		code = flush(w, err);
	if (!code)
		code = put_header(w, shape, ndim, err);
	if (!code)
		code = ad_atomic_commit(&w->file, err);
	adtool_npy_abort(w);
	return code;
}

void adtool_npy_abort(adtool_npy_writer *w)
{
	if (!w)
		return;
	ad_atomic_abort(&w->file);
	ad_buf_release(&w->pending);
	ad_free(w);
}

int adtool_npy_load(const char *path, size_t limit, float **values, size_t shape[4], int *ndim, adtool_error *err)
{
	ad_buf b = {0};
	ad_npy npy;
	float *copy = NULL;
	int code = ad_file_read(path, limit ? limit : LIMIT_DEFAULT, &b, err);

	if (!code)
		code = ad_npy_parse(b.data, b.size, &npy, err);
	if (!code && npy.item_size != sizeof(float))
		code = ad_fail(err, ADTOOL_EUNSUPPORTED, "holds float64, where float32 is needed");
	if (!code) {
		copy = ad_malloc_array(npy.count, sizeof(*copy));
		if (!copy)
			code = ad_fail_nomem(err);
	}
	if (!code) {
		if (npy.count)
			memcpy(copy, npy.data, npy.count * sizeof(*copy));
		memcpy(shape, npy.shape, sizeof(npy.shape));
		*ndim = npy.ndim;
		*values = copy;
	}
	ad_buf_release(&b);
	return code;
}
