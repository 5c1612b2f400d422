#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "../base/fail.h"
#include "dataset.h"

enum { READ_BYTES = 16384 };

void ad_list_start(ad_list *list, int fd, char separator, int stop_fd)
{
	list->fd = fd;
	list->stop_fd = stop_fd;
	list->separator = separator;
	list->ended = 0;
	list->entry = 0;
	list->at = 0;
	ad_buf_clear(&list->bytes);
}

/* Adds what is there to be read, waiting only while nothing is. */
static int fill(ad_list *list, adtool_error *err)
{
	ad_buf *b = &list->bytes;
	ssize_t n;

	if (list->at) {
		memmove(b->data, b->data + list->at, b->size - list->at);
		b->size -= list->at;
		list->at = 0;
	}
	if (ad_buf_reserve(b, READ_BYTES))
		return ad_fail_nomem(err);
	for (;;) {
		if (list->stop_fd >= 0) {
			struct pollfd p[2] = {{.fd = list->fd, .events = POLLIN},
					      {.fd = list->stop_fd, .events = POLLIN}};

			poll(p, 2, -1);
			if (p[1].revents) {
				/* What is not whole by now is not an entry. */
				b->size = 0;
				b->data[0] = '\0';
				list->ended = 1;
				return 0;
			}
			if (!p[0].revents)
				continue;
		}
		n = read(list->fd, b->data + b->size, READ_BYTES);
		if (n >= 0)
			break;
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			struct pollfd p = {.fd = list->fd, .events = POLLIN};

			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			return ad_fail_errno(err, errno, "cannot read the list of paths");
		}
	}
	b->size += (size_t)n;
	b->data[b->size] = '\0';
	list->ended = n == 0;
	return 0;
}

int ad_list_next(ad_list *list, const char **path, adtool_error *why, adtool_error *err)
{
	ad_buf *b = &list->bytes;
	size_t scanned = 0, length;
	int overlong = 0;
	uint8_t *end;

	for (;;) {
		size_t have = b->size - list->at;
		int code;

		end = have > scanned ? memchr(b->data + list->at + scanned, list->separator, have - scanned) : NULL;
		if (end || list->ended) {
			length = end ? (size_t)(end - (b->data + list->at)) : have;
			if (!end && !have && !overlong)
				return 0;
			list->entry++;
			if (length == 0 && !overlong) {
				list->at++;
				scanned = 0;
				continue;
			}
			break;
		}
		scanned = have;
		if (have > AD_LIST_LONGEST) {
			/* The rest of it need not be kept to be passed over. */
			overlong = 1;
			list->at = b->size;
			scanned = 0;
		}
		code = fill(list, err);
		if (code)
			return code;
	}
	*path = NULL;
	if (overlong || length > AD_LIST_LONGEST)
		ad_fail(why, ADTOOL_ELIMIT, "entry %llu of the list of paths is longer than %d bytes",
		        (unsigned long long)list->entry, AD_LIST_LONGEST);
	else if (memchr(b->data + list->at, '\0', length))
		ad_fail(why, ADTOOL_EINVAL, "line %llu of the list of paths holds a NUL byte",
		        (unsigned long long)list->entry);
	else
		*path = (const char *)b->data + list->at;
	b->data[list->at + length] = '\0';
	list->at += length + (end ? 1 : 0);
	return 1;
}

void ad_list_release(ad_list *list)
{
	ad_buf_release(&list->bytes);
}
