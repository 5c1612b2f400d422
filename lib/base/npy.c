#include "npy.h"

#include <stdint.h>
#include <stdio.h>

#include "fail.h"

static const uint8_t magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* The header is a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } */
struct cursor {
	const char *at, *end;
};

static void skip_space(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\n'))
		c->at++;
}

static int take(struct cursor *c, const char *text)
{
	size_t n = strlen(text);

	skip_space(c);
	if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n))
		return 0;
	c->at += n;
	return 1;
}

static int take_key(struct cursor *c, const char *key)
{
	struct cursor start = *c;
	char quoted[2][24];
	int i;

	snprintf(quoted[0], sizeof(quoted[0]), "'%s'", key);
	snprintf(quoted[1], sizeof(quoted[1]), "\"%s\"", key);
	for (i = 0; i < 2; i++) {
		if (take(c, quoted[i]) && take(c, ":"))
			return 1;
		*c = start;
	}
	return 0;
}

static int take_size(struct cursor *c, size_t *value)
{
	size_t v = 0;
	int digits = 0;

	skip_space(c);
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, digits++) {
		if (v > (SIZE_MAX - 9) / 10)
			return 0;
		v = v * 10 + (size_t)(*c->at - '0');
	}
	*value = v;
	return digits > 0;
}

static int take_shape(struct cursor *c, ad_npy *out)
{
	if (!take(c, "("))
		return 0;
	out->ndim = 0;
	while (!take(c, ")")) {
		if (out->ndim == 4 || !take_size(c, &out->shape[out->ndim]))
			return 0;
		out->ndim++;
		if (!take(c, ",")) {
			if (!take(c, ")"))
				return 0;
			break;
		}
	}
	return 1;
}

int ad_npy_parse(const void *bytes, size_t size, ad_npy *out, adtool_error *err)
{
	const uint8_t *b = bytes;
	ad_npy npy = {.shape = {1, 1, 1, 1}, .count = 1};
	struct cursor c;
	size_t start, header, i;
	int have_descr = 0, have_order = 0, have_shape = 0;

	if (size < 10 || memcmp(b, magic, sizeof(magic)))
		return ad_fail(err, ADTOOL_EFORMAT, "not a .npy file");
	if (b[6] == 1) {
		start = 10;
		header = (size_t)b[8] | (size_t)b[9] << 8;
	} else if ((b[6] == 2 || b[6] == 3) && size >= 12) {
		start = 12;
		header = (size_t)b[8] | (size_t)b[9] << 8 | (size_t)b[10] << 16 | (size_t)b[11] << 24;
	} else {
		return ad_fail(err, ADTOOL_EUNSUPPORTED, ".npy format version %d.%d is not known", b[6], b[7]);
	}
	if (header > size - start)
		return ad_fail(err, ADTOOL_EFORMAT, ".npy header is cut short");
	c.at = (const char *)b + start;
	c.end = c.at + header;
	if (!take(&c, "{"))
		return ad_fail(err, ADTOOL_EFORMAT, ".npy header is not a dictionary");
	while (!take(&c, "}")) {
		if (!have_descr && take_key(&c, "descr")) {
			if (take(&c, "'<f4'") || take(&c, "\"<f4\""))
				npy.item_size = 4;
			else if (take(&c, "'<f8'") || take(&c, "\"<f8\""))
				npy.item_size = 8;
			else
				return ad_fail(err, ADTOOL_EUNSUPPORTED, ".npy holds neither float32 nor float64");
			have_descr = 1;
		} else if (!have_order && take_key(&c, "fortran_order")) {
			if (!take(&c, "False"))
				return ad_fail(err, ADTOOL_EUNSUPPORTED, ".npy is in Fortran order; C order is needed");
			have_order = 1;
		} else if (!have_shape && take_key(&c, "shape")) {
			if (!take_shape(&c, &npy))
				return ad_fail(err, ADTOOL_EFORMAT,
				               ".npy shape is malformed or has more than 4 dimensions");
			have_shape = 1;
		} else {
			return ad_fail(err, ADTOOL_EFORMAT, ".npy header is malformed");
		}
		if (!take(&c, ",")) {
			if (!take(&c, "}"))
				return ad_fail(err, ADTOOL_EFORMAT, ".npy header is malformed");
			break;
		}
	}
	if (!have_descr || !have_order || !have_shape)
		return ad_fail(err, ADTOOL_EFORMAT, ".npy header is incomplete");
	for (i = 0; i < 4; i++) {
		if (npy.shape[i] && npy.count > PTRDIFF_MAX / 8 / npy.shape[i])
			return ad_fail(err, ADTOOL_EFORMAT, ".npy shape is too large");
		npy.count *= npy.shape[i];
	}
	if (npy.count * (size_t)npy.item_size != size - start - header)
		return ad_fail(err, ADTOOL_EFORMAT, ".npy holds %zu bytes of data where its shape needs %zu",
		               size - start - header, npy.count * (size_t)npy.item_size);
	npy.data = b + start + header;
	*out = npy;
	return 0;
}

int ad_npy_header(ad_buf *out, int item_size, int ndim, const size_t *shape)
{
	ad_buf text = {0};
	size_t total;
	int i;

	ad_buf_printf(&text, "{'descr': '<f%d', 'fortran_order': False, 'shape': (", item_size);
	for (i = 0; i < ndim; i++)
		ad_buf_printf(&text, "%zu%s", shape[i], ndim == 1 ? "," : i + 1 < ndim ? ", " : "");
	ad_buf_puts(&text, "), }");
	total = (10 + text.size + 1 + 63) / 64 * 64;
	while (!text.failed && 10 + text.size + 1 < total)
		ad_buf_putc(&text, ' ');
	ad_buf_putc(&text, '\n');
	ad_buf_add(out, magic, sizeof(magic));
	ad_buf_add(out, "\x01\x00", 2);
	ad_buf_putc(out, (char)(text.size & 255));
	ad_buf_putc(out, (char)(text.size >> 8));
	ad_buf_add(out, text.data, text.size);
	if (text.failed)
		out->failed = 1;
	ad_buf_release(&text);
	return out->failed ? ADTOOL_ENOMEM : 0;
}

int ad_npy_append(ad_buf *out, int item_size, int ndim, const size_t *shape, const void *data)
{
	size_t count = 1;
	int i;

	for (i = 0; i < ndim; i++)
		count *= shape[i];
	ad_npy_header(out, item_size, ndim, shape);
	return ad_buf_add(out, data, count * (size_t)item_size);
}
