/*
 * PNG, written fast: heat maps must not cost more than the scores they belong to. Every row has the Up filter; the
 * deflate stream (RFC 1951) knows literals and runs of one byte only, with Huffman codes made for each block. On
 * photographs that is as small as zlib's fast levels and several times faster; decoders see an ordinary PNG.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

enum {
	BLOCK = 1 << 16, /* bytes of filtered rows per block, or one row */
	CHUNK = 1 << 20, /* bytes after which an IDAT ends */
	END = 256,       /* the symbol that ends a block */
	SYMBOLS = 286,
	LENGTHS = 19, /* symbols of the code that codes code lengths */
	SHORTEST = 3,
	LONGEST = 258,
};

/* -- Huffman codes --------------------------------------------------------------------------------------- */

typedef struct code {
	uint8_t length[SYMBOLS];
	uint16_t bits[SYMBOLS]; /* first bit lowest, as deflate wants them */
} code;

typedef struct node {
	uint32_t weight;
	uint16_t at; /* symbol of a leaf; parent of any node once it has one */
} node;

static int by_weight(const void *a, const void *b)
{
	const node *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* Depths of the Huffman tree over `count` sorted leaves; returns the largest. */
static unsigned tree_depths(const node *leaves, unsigned count, uint8_t *depth)
{
	uint32_t weight[2 * SYMBOLS];
	uint16_t parent[2 * SYMBOLS], level[2 * SYMBOLS];
	unsigned leaf = 0, inner = count, next, i, k, deepest = 0;

	for (i = 0; i < count; i++)
		weight[i] = leaves[i].weight;
	for (next = count; next < 2 * count - 1; next++) {
		weight[next] = 0;
		for (k = 0; k < 2; k++) {
			int is_leaf = leaf < count && (inner == next || weight[leaf] <= weight[inner]);
			unsigned child = is_leaf ? leaf++ : inner++;

			weight[next] += weight[child];
			parent[child] = (uint16_t)next;
		}
	}
	level[next - 1] = 0;
	for (i = next - 1; i-- > 0;) {
		level[i] = (uint16_t)(level[parent[i]] + 1);
		if (i < count) {
			depth[leaves[i].at] = (uint8_t)level[i];
			deepest = level[i] > deepest ? level[i] : deepest;
		}
	}
	return deepest;
}

/* Canonical code of at most `limit` bits; weights are flattened until it fits. */
static void code_make(code *c, const uint32_t *weights, unsigned symbols, unsigned limit)
{
	node leaves[SYMBOLS];
	unsigned count = 0, i, bits;
	uint32_t next = 0;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < symbols; i++)
		if (weights[i])
			leaves[count++] = (node){weights[i], (uint16_t)i};
	qsort(leaves, count, sizeof(leaves[0]), by_weight);
	if (count == 1)
		c->length[leaves[0].at] = 1;
	else
		while (tree_depths(leaves, count, c->length) > limit)
			for (i = 0; i < count; i++)
				leaves[i].weight = (leaves[i].weight + 1) / 2;
	for (bits = 1; bits <= limit; bits++, next <<= 1) {
		for (i = 0; i < symbols; i++) {
			unsigned k, reversed = 0;

			if (c->length[i] != bits)
				continue;
			for (k = 0; k < bits; k++)
				reversed |= (next >> k & 1) << (bits - 1 - k);
			c->bits[i] = (uint16_t)reversed;
			next++;
		}
	}
}

/* -- the stream ------------------------------------------------------------------------------------------ */

typedef struct writer {
	ad_buf *out;
	size_t chunk;  /* where the current IDAT's length stands in out */
	uint64_t bits; /* pending, first bit lowest */
	unsigned pending;
	uint32_t sum_a, sum_b; /* Adler-32 */
	uint32_t crc[4][256];
	struct {
		uint16_t symbol, extra;
		uint8_t extra_bits;
	} run[LONGEST + 1]; /* how a run's length is coded */
} writer;

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void tables_init(writer *w)
{
	unsigned i, k, length = SHORTEST, symbol;

	for (i = 0; i < 256; i++) {
		uint32_t c = i;

		for (k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
		w->crc[0][i] = c;
	}
	for (i = 0; i < 256; i++)
		for (k = 1; k < 4; k++)
			w->crc[k][i] = w->crc[k - 1][i] >> 8 ^ w->crc[0][w->crc[k - 1][i] & 255];
	/* RFC 1951, 3.2.5: eight symbols of one length each, then four each of 2, 4, ... 32 lengths; 258 by itself. */
	for (symbol = 257; symbol < 285; symbol++) {
		unsigned extra_bits = symbol < 265 ? 0 : (symbol - 261) / 4;

		for (k = 0; k < 1u << extra_bits; k++, length++) {
			w->run[length].symbol = (uint16_t)symbol;
			w->run[length].extra_bits = (uint8_t)extra_bits;
			w->run[length].extra = (uint16_t)k;
		}
	}
	w->run[LONGEST].symbol = 285;
	w->run[LONGEST].extra_bits = 0;
	w->run[LONGEST].extra = 0;
}

static uint32_t crc_of(const writer *w, const uint8_t *p, size_t size)
{
	uint32_t c = 0xffffffffu;

	for (; size >= 4; size -= 4, p += 4) {
		c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
		c = w->crc[3][c & 255] ^ w->crc[2][c >> 8 & 255] ^ w->crc[1][c >> 16 & 255] ^ w->crc[0][c >> 24];
	}
	for (; size; size--)
		c = c >> 8 ^ w->crc[0][(c ^ *p++) & 255];
	return ~c;
}

static void chunk_begin(writer *w, const char *type)
{
	w->chunk = w->out->size;
	ad_buf_add(w->out, "\0\0\0", 4);
	ad_buf_add(w->out, type, 4);
}

static void chunk_end(writer *w)
{
	size_t length = w->out->size - w->chunk - 8;
	uint8_t crc[4];

	if (w->out->failed)
		return;
	put32(w->out->data + w->chunk, (uint32_t)length);
	put32(crc, crc_of(w, w->out->data + w->chunk + 4, length + 4));
	ad_buf_add(w->out, crc, 4);
}

/* At most 32 bits; the caller has reserved room. */
static inline void put_bits(writer *w, uint64_t bits, unsigned count)
{
	w->bits |= bits << w->pending;
	w->pending += count;
	if (w->pending >= 32) {
		uint8_t *p = w->out->data + w->out->size;

		p[0] = (uint8_t)w->bits;
		p[1] = (uint8_t)(w->bits >> 8);
		p[2] = (uint8_t)(w->bits >> 16);
		p[3] = (uint8_t)(w->bits >> 24);
		w->out->size += 4;
		w->bits >>= 32;
		w->pending -= 32;
	}
}

static void put_rest(writer *w)
{
	for (; w->pending; w->bits >>= 8, w->pending -= w->pending < 8 ? w->pending : 8)
		w->out->data[w->out->size++] = (uint8_t)w->bits;
}

/* RFC 1951, 3.2.7: the code lengths, themselves run-length and Huffman coded; one distance code, of one bit. */
static void put_codes(writer *w, const code *c, unsigned symbols)
{
	static const uint8_t order[LENGTHS] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
	uint8_t lengths[SYMBOLS + 1], item[SYMBOLS + 1], extra[SYMBOLS + 1];
	uint32_t weights[LENGTHS] = {0};
	unsigned total = symbols + 1, items = 0, i, run, last = LENGTHS;
	code l;

	memcpy(lengths, c->length, symbols);
	lengths[symbols] = 1;
	for (i = 0; i < total; i += run) {
		unsigned most = lengths[i] ? 1 : 138;

		for (run = 1; run < most && i + run < total && !lengths[i + run]; run++)
			;
		if (run < 3)
			run = 1;
		item[items] = run == 1 ? lengths[i] : run <= 10 ? 17 : 18;
		extra[items] = (uint8_t)(run == 1 ? 0 : run <= 10 ? run - 3 : run - 11);
		weights[item[items++]]++;
	}
	code_make(&l, weights, LENGTHS, 7);
	while (last > 4 && !l.length[order[last - 1]])
		last--;
	put_bits(w, symbols - 257, 5);
	put_bits(w, 0, 5);
	put_bits(w, last - 4, 4);
	for (i = 0; i < last; i++)
		put_bits(w, l.length[order[i]], 3);
	for (i = 0; i < items; i++) {
		put_bits(w, l.bits[item[i]], l.length[item[i]]);
		if (item[i] >= 17)
			put_bits(w, extra[i], item[i] == 17 ? 3 : 7);
	}
}

/* Literals are 0 .. 255, runs 256 + length; returns how many. weights must hold SYMBOLS zeros. */
static size_t tokenise(const writer *w, const uint8_t *p, size_t size, uint16_t *tokens, uint32_t *weights)
{
	uint32_t count[2][256] = {{0}}; /* by turns: counting equal neighbours in one place would wait for itself */
	size_t i = 0, n = 0;

	while (i < size) {
		uint8_t byte = p[i];
		uint32_t four, same = byte * 0x01010101u;
		size_t run = 0;

		count[i++ & 1][byte]++;
		tokens[n++] = byte;
		if (size - i < SHORTEST)
			continue;
		memcpy(&four, p + i - 1, 4);
		if (four != same)
			continue;
		while (run < size - i && p[i + run] == byte)
			run++;
		i += run;
		while (run >= SHORTEST) {
			size_t length = run < LONGEST ? run : LONGEST;

			tokens[n++] = (uint16_t)(256 + length);
			weights[w->run[length].symbol]++;
			run -= length;
		}
		i -= run;
	}
	tokens[n++] = END;
	weights[END]++;
	for (i = 0; i < 256; i++)
		weights[i] = count[0][i] + count[1][i];
	return n;
}

/* Lowest byte first. */
static inline void store64(uint8_t *p, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	memcpy(p, &v, 8);
}

/* As put_bits of each, with everything in registers. */
static void put_tokens(writer *w, const code *c, const uint16_t *tokens, size_t n)
{
	uint32_t entry[256 + LONGEST + 1]; /* bits << 8 | how many, extra bits and the distance (a single 0) included */
	uint8_t *p = w->out->data + w->out->size;
	uint64_t bits = w->bits;
	unsigned pending = w->pending, i;
	size_t k;

	for (; pending >= 8; pending -= 8, bits >>= 8)
		*p++ = (uint8_t)bits;
	for (i = 0; i <= END; i++)
		entry[i] = (uint32_t)c->bits[i] << 8 | c->length[i];
	for (i = SHORTEST; i <= LONGEST; i++) {
		unsigned symbol = w->run[i].symbol, length = c->length[symbol];
		uint32_t code_bits = c->bits[symbol] | (uint32_t)w->run[i].extra << length;

		entry[256 + i] = code_bits << 8 | (length + w->run[i].extra_bits + 1);
	}
	/* Two at a time: 7 bits left from before and twice 21 fit. Eight bytes are written, the whole ones kept. */
	for (k = 0; k < n; k += 2) {
		uint32_t e = entry[tokens[k]], f = k + 1 < n ? entry[tokens[k + 1]] : 0;

		bits |= (uint64_t)(e >> 8) << pending;
		pending += e & 255;
		bits |= (uint64_t)(f >> 8) << pending;
		pending += f & 255;
		store64(p, bits);
		p += pending / 8;
		bits >>= pending & ~7u;
		pending &= 7;
	}
	w->out->size = (size_t)(p - w->out->data);
	w->bits = bits;
	w->pending = pending;
}

static int put_block(writer *w, const uint8_t *p, size_t size, uint16_t *tokens, int last)
{
	uint32_t weights[SYMBOLS] = {0};
	unsigned symbols = SYMBOLS;
	size_t n = tokenise(w, p, size, tokens, weights);
	code c;

	/* 15 bits a literal, 15 + 5 + 1 a run, and the codes. */
	if (ad_buf_reserve(w->out, 3 * n + 1024))
		return ADTOOL_ENOMEM;
	code_make(&c, weights, SYMBOLS, 15);
	while (!c.length[symbols - 1])
		symbols--;
	put_bits(w, last ? 1 : 0, 1);
	put_bits(w, 2, 2);
	put_codes(w, &c, symbols);
	put_tokens(w, &c, tokens, n);
	return 0;
}

static void adler(writer *w, const uint8_t *p, size_t size)
{
	uint32_t a = w->sum_a, b = w->sum_b;

	while (size) {
		size_t n = size < 5552 ? size : 5552, i; /* as many as cannot overflow */

		for (i = 0; i + 8 <= n; i += 8, p += 8) {
			b += 8 * a + 8u * p[0] + 7u * p[1] + 6u * p[2] + 5u * p[3] + 4u * p[4] + 3u * p[5] + 2u * p[6] +
			     p[7];
			a += 0u + p[0] + p[1] + p[2] + p[3] + p[4] + p[5] + p[6] + p[7];
		}
		for (; i < n; i++, p++) {
			a += *p;
			b += a;
		}
		a %= 65521;
		b %= 65521;
		size -= n;
	}
	w->sum_a = a;
	w->sum_b = b;
}

static void filter_up(const uint8_t *restrict row, const uint8_t *restrict above, size_t size, uint8_t *restrict to)
{
	const uint64_t high = 0x8080808080808080u;
	size_t i = 0;

	for (; i + 8 <= size; i += 8) { /* eight differences at once: no borrow passes the bytes' high bits */
		uint64_t x, y;

		memcpy(&x, row + i, 8);
		memcpy(&y, above + i, 8);
		x = ((x | high) - (y & ~high)) ^ ((x ^ ~y) & high);
		memcpy(to + i, &x, 8);
	}
	for (; i < size; i++)
		to[i] = (uint8_t)(row[i] - above[i]);
}

static int put_picture(writer *w, const adtool_image *image, uint8_t *filtered, uint16_t *tokens, size_t rows)
{
	size_t pitch = (size_t)3 * image->width, y, n, i;
	uint8_t sum[4];

	for (y = 0; y < image->height; y += n) {
		n = image->height - y < rows ? image->height - y : rows;
		for (i = 0; i < n; i++) {
			const uint8_t *row = image->pixels + (y + i) * pitch;
			uint8_t *to = filtered + i * (pitch + 1);

			to[0] = 2;
			if (y + i)
				filter_up(row, row - pitch, pitch, to + 1);
			else
				memcpy(to + 1, row, pitch);
		}
		adler(w, filtered, n * (pitch + 1));
		if (put_block(w, filtered, n * (pitch + 1), tokens, y + n == image->height))
			return ADTOOL_ENOMEM;
		if (w->out->size - w->chunk > CHUNK) {
			chunk_end(w);
			chunk_begin(w, "IDAT");
		}
	}
	if (ad_buf_reserve(w->out, 8))
		return ADTOOL_ENOMEM;
	put_rest(w);
	put32(sum, w->sum_b << 16 | w->sum_a);
	return ad_buf_add(w->out, sum, 4);
}

int ad_png_encode(const adtool_image *image, ad_buf *out, adtool_error *err)
{
	size_t row = (size_t)3 * image->width + 1, rows = row < BLOCK ? BLOCK / row : 1, before = out->size;
	writer *w = ad_malloc(sizeof(*w));
	uint8_t *filtered = ad_malloc_array(rows, row), header[13] = {0};
	uint16_t *tokens = ad_malloc_array(rows * row + 1, sizeof(*tokens));
	int rc = ADTOOL_ENOMEM;

	if (w && filtered && tokens) {
		*w = (writer){.out = out, .sum_a = 1};
		tables_init(w);
		put32(header, image->width);
		put32(header + 4, image->height);
		header[8] = 8; /* bits a sample */
		header[9] = 2; /* RGB */
		ad_buf_add(out, "\x89PNG\r\n\x1a\n", 8);
		chunk_begin(w, "IHDR");
		ad_buf_add(out, header, sizeof(header));
		chunk_end(w);
		chunk_begin(w, "IDAT");
		ad_buf_add(out, "\x78\x01", 2); /* zlib, 32 KiB window, fast */
		rc = put_picture(w, image, filtered, tokens, rows);
		chunk_end(w);
		chunk_begin(w, "IEND");
		chunk_end(w);
		rc = out->failed ? ADTOOL_ENOMEM : rc;
	}
	ad_free(w);
	ad_free(filtered);
	ad_free(tokens);
	if (!rc)
		return 0;
	if (!out->failed)
		out->size = before;
	return ad_fail_nomem(err);
}
