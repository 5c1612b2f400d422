#include "buf.h"

#include <math.h>
#include <stdarg.h>

#include <adtool/error.h>

#include "mem.h"

int ad_buf_reserve(ad_buf *b, size_t more)
{
	size_t wanted, capacity;
	uint8_t *data;

	if (b->failed)
		return ADTOOL_ENOMEM;
	if (more >= PTRDIFF_MAX - b->size) {
		b->failed = 1;
		return ADTOOL_ENOMEM;
	}
	wanted = b->size + more + 1;
	if (wanted <= b->capacity)
		return 0;
	capacity = b->capacity > PTRDIFF_MAX / 2 ? wanted : b->capacity * 2;
	if (capacity < wanted)
		capacity = wanted;
	if (capacity < 64)
		capacity = 64;
	data = ad_realloc_array(b->data, capacity, 1);
	if (!data) {
		b->failed = 1;
		return ADTOOL_ENOMEM;
	}
	b->data = data;
	b->capacity = capacity;
	return 0;
}

int ad_buf_add(ad_buf *b, const void *data, size_t size)
{
	if (ad_buf_reserve(b, size))
		return ADTOOL_ENOMEM;
	if (size)
		memcpy(b->data + b->size, data, size);
	b->size += size;
	b->data[b->size] = '\0';
	return 0;
}

int ad_buf_puts(ad_buf *b, const char *text)
{
	return ad_buf_add(b, text, strlen(text));
}

int ad_buf_putc(ad_buf *b, char c)
{
	return ad_buf_add(b, &c, 1);
}

int ad_buf_printf(ad_buf *b, const char *fmt, ...)
{
	va_list args;
	int length;

	va_start(args, fmt);
	length = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (length < 0 || ad_buf_reserve(b, (size_t)length)) {
		b->failed = 1;
		return ADTOOL_ENOMEM;
	}
	va_start(args, fmt);
	vsnprintf((char *)b->data + b->size, (size_t)length + 1, fmt, args);
	va_end(args);
	b->size += (size_t)length;
	return 0;
}

/* printf writes the locale's decimal separator; results must not depend on it. */
static int put_number(ad_buf *b, const char *text)
{
	char fixed[40];
	size_t i;

	for (i = 0; text[i] && i < sizeof(fixed) - 1; i++) {
		char c = text[i];

		fixed[i] = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e' ? c : '.';
	}
	return ad_buf_add(b, fixed, i);
}

static int put_special(ad_buf *b, double value)
{
	return ad_buf_puts(b, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

int ad_buf_double(ad_buf *b, double value)
{
	char text[40];
	int digits;

	if (!isfinite(value))
		return put_special(b, value);
	for (digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (digits == 17 || strtod(text, NULL) == value)
			break;
	}
	return put_number(b, text);
}

int ad_buf_float(ad_buf *b, float value)
{
	char text[40];
	int digits;

	if (!isfinite(value))
		return put_special(b, (double)value);
	for (digits = 6; digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, (double)value);
		if (digits == 9 || strtof(text, NULL) == value)
			break;
	}
	return put_number(b, text);
}

const char *ad_buf_text(const ad_buf *b)
{
	return b->data ? (const char *)b->data : "";
}

void ad_buf_clear(ad_buf *b)
{
	b->size = 0;
	if (b->data)
		b->data[0] = '\0';
}

void ad_buf_release(ad_buf *b)
{
	ad_free(b->data);
	memset(b, 0, sizeof(*b));
}
