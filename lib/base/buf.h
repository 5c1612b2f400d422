/* A growing byte buffer; also how lib/ builds text. Zero-initialise to start. */
#ifndef AD_BUF_H
#define AD_BUF_H

#include <stddef.h>
#include <stdint.h>

typedef struct ad_buf {
	uint8_t *data;   /* NULL while empty; a NUL always follows data[size - 1] */
	size_t size;     /* bytes in use */
	size_t capacity;
	int failed;      /* set once an allocation failed; later calls do nothing */
} ad_buf;

/* Each returns 0, or ADTOOL_ENOMEM (and sets failed). */
int ad_buf_reserve(ad_buf *b, size_t more);
int ad_buf_add(ad_buf *b, const void *data, size_t size);
int ad_buf_puts(ad_buf *b, const char *text);
int ad_buf_putc(ad_buf *b, char c);
int ad_buf_printf(ad_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The shortest decimal that reads back as the same double/float; "." whatever the locale; "nan", "inf", "-inf". */
int ad_buf_double(ad_buf *b, double value);
int ad_buf_float(ad_buf *b, float value);
const char *ad_buf_text(const ad_buf *b); /* its bytes as text; "" while empty */
void ad_buf_clear(ad_buf *b);   /* size = 0, keeps the memory */
void ad_buf_release(ad_buf *b); /* frees; the buffer may be used again */

#endif
