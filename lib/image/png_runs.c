/*
 * PNG for drawings of even colour, such as heat maps, an order of magnitude faster than zlib: each row less the one
 * above (filter "up") is all but runs, which are written with Deflate's fixed codes as repetitions of the byte before.
 * PNG: ISO/IEC 15948; Deflate: RFC 1951, 3.2.5 and 3.2.6; zlib: RFC 1950.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <zlib.h>

enum { LONGEST = 258, SHORTEST = 3, BASE = 65521, FILTER_UP = 2 };

typedef struct code {
	uint32_t bits;
	unsigned count;
} code;

typedef struct coder {
	code literal[256], repeat[LONGEST + 1];
	uint64_t waiting; /* bits, the first lowest */
	unsigned count;
	uint8_t *to;
	uint32_t sum, sums; /* Adler-32's two */
} coder;

/* Codes are sent from their highest bit on, everything else from the lowest. */
static uint32_t reversed(uint32_t value, unsigned count)
{
	uint32_t out = 0;

	for (; count; count--, value >>= 1)
		out = out << 1 | (value & 1);
	return out;
}

static code symbol(unsigned s)
{
	if (s < 144)
		return (code){reversed(0x30 + s, 8), 8};
	if (s < 256)
		return (code){reversed(0x190 + s - 144, 9), 9};
	if (s < 280)
		return (code){reversed(s - 256, 7), 7};
	return (code){reversed(0xc0 + s - 280, 8), 8};
}

static void codes_init(coder *c)
{
	unsigned length, s = 257, first = SHORTEST, extra = 0, i;

	for (i = 0; i < 256; i++)
		c->literal[i] = symbol(i);
	/* 257 .. 264 are one length each, then four symbols for each number of extra bits; 285 is the longest. */
	for (length = SHORTEST; length < LONGEST; length++) {
		if (length == first + (1u << extra)) {
			first = length;
			s++;
			extra = s < 265 ? 0 : (s - 261) / 4;
		}
		c->repeat[length] = symbol(s);
		c->repeat[length].bits |= (length - first) << c->repeat[length].count;
		c->repeat[length].count += extra + 5; /* distance 1 is code 0, of five bits */
	}
	c->repeat[LONGEST] = symbol(285);
	c->repeat[LONGEST].count += 5;
}

static inline void put(coder *c, code k)
{
	c->waiting |= (uint64_t)k.bits << c->count;
	c->count += k.count;
	for (; c->count >= 8; c->count -= 8, c->waiting >>= 8)
		*c->to++ = (uint8_t)c->waiting;
}

static void put_run(coder *c, uint8_t value, size_t n)
{
	uint64_t sums = c->sums + (uint64_t)n * c->sum + (uint64_t)value * ((uint64_t)n * (n + 1) / 2);

	c->sum = (uint32_t)((c->sum + (uint64_t)n * value) % BASE);
	c->sums = (uint32_t)(sums % BASE);
	put(c, c->literal[value]);
	for (n--; n >= SHORTEST;) {
		size_t length = n < LONGEST ? n : LONGEST;

		put(c, c->repeat[length]);
		n -= length;
	}
	for (; n; n--)
		put(c, c->literal[value]);
}

static void put_bytes(coder *c, const uint8_t *data, size_t n)
{
	for (size_t i = 0, j; i < n; i = j) {
		uint64_t eight, same = data[i] * UINT64_C(0x0101010101010101);

		for (j = i + 1; j + 8 <= n; j += 8) {
			memcpy(&eight, data + j, 8);
			if (eight != same)
				break;
		}
		while (j < n && data[j] == data[i])
			j++;
		put_run(c, data[i], j - i);
	}
}

static void subtract_row(const uint8_t *row, const uint8_t *above, size_t n, uint8_t *out)
{
	typedef uint8_t many __attribute__((vector_size(16)));
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		many x, y;

		memcpy(&x, row + i, 16);
		memcpy(&y, above + i, 16);
		x -= y;
		memcpy(out + i, &x, 16);
	}
	for (; i < n; i++)
		out[i] = (uint8_t)(row[i] - above[i]);
}

static void put_be32(uint8_t *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* A chunk that stands from `at` on: length and type, then its data; sets the length and appends the CRC. */
static void end_chunk(ad_buf *out, size_t at)
{
	uint8_t crc[4];

	if (out->failed)
		return;
	put_be32(out->data + at, (uint32_t)(out->size - at - 8));
	put_be32(crc, (uint32_t)crc32_z(0, out->data + at + 4, out->size - at - 4));
	ad_buf_add(out, crc, 4);
}

static size_t begin_chunk(ad_buf *out, const char *type)
{
	size_t at = out->size;

	ad_buf_add(out, "\0\0\0\0", 4);
	ad_buf_add(out, type, 4);
	return at;
}

int ad_png_encode_runs(const adtool_image *image, ad_buf *out, adtool_error *err)
{
	size_t before = out->size, n = (size_t)3 * image->width, at;
	/* A row at most: nine bits a byte, and what was waiting. */
	uint8_t *coded = ad_malloc(n * 9 / 8 + 32), *row = ad_malloc(n), *zero = ad_calloc(n, 1);
	uint8_t head[13] = {0}, tail[4];
	coder *c = ad_calloc(1, sizeof(*c));

	if (!coded || !row || !zero || !c)
		goto nomem;
	codes_init(c);
	c->sum = 1;
	ad_buf_add(out, "\x89PNG\r\n\x1a\n", 8);
	at = begin_chunk(out, "IHDR");
	put_be32(head, image->width);
	put_be32(head + 4, image->height);
	head[8] = 8; /* bits */
	head[9] = 2; /* RGB */
	ad_buf_add(out, head, sizeof(head));
	end_chunk(out, at);
	at = begin_chunk(out, "IDAT");
	ad_buf_add(out, "\x78\x01", 2);
	c->waiting = 3; /* the last block, fixed codes */
	c->count = 3;
	for (unsigned y = 0; y < image->height && !out->failed; y++) {
		const uint8_t *pixels = image->pixels + n * y;
		const uint8_t filter = FILTER_UP;

		subtract_row(pixels, y ? pixels - n : zero, n, row);
		c->to = coded;
		put_bytes(c, &filter, 1);
		put_bytes(c, row, n);
		ad_buf_add(out, coded, (size_t)(c->to - coded));
	}
	c->to = coded;
	put(c, symbol(256));
	put(c, (code){0, 7});
	ad_buf_add(out, coded, (size_t)(c->to - coded));
	put_be32(tail, c->sums << 16 | c->sum);
	ad_buf_add(out, tail, 4);
	end_chunk(out, at);
	end_chunk(out, begin_chunk(out, "IEND"));
	if (out->failed)
		goto nomem;
	ad_free(coded);
	ad_free(row);
	ad_free(zero);
	ad_free(c);
	return 0;
nomem:
	ad_free(coded);
	ad_free(row);
	ad_free(zero);
	ad_free(c);
	if (!out->failed)
		out->size = before;
	return ad_fail_nomem(err);
}
