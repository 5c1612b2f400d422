/*
 * What the pictures of a HEIF file are made of (ISO/IEC 14496-12, 8.11.12: the box 'iref' in 'meta'). libheif 1.15
 * follows grids, overlays and alpha planes wherever they lead, even in a circle, until its stack is at its end.
 */
#include "internal.h"

#ifdef AD_SONAME_HEIF

#include "../base/fail.h"
#include "../base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A grid has at most 256 x 256 tiles, and an alpha plane has as many. */
enum { MOST_LEVELS = 8, MOST_PARTS = 1 << 18, MOST_REFERENCES = 1 << 20 };

/* Bytes that are read from the front. */
struct bytes {
	const uint8_t *at;
	size_t left;
};

/* Which picture needs which. */
struct edge {
	uint32_t from, to;
};

struct edges {
	struct edge *list;
	size_t n, room;
};

/* Beyond the end there are zeros, as libheif takes them. */
static uint64_t take(struct bytes *b, unsigned n)
{
	uint64_t v = 0;

	for (; n; n--) {
		v = v << 8 | (b->left ? *b->at : 0);
		b->at += b->left != 0;
		b->left -= b->left != 0;
	}
	return v;
}

/* A box's type, and the size of what is in it, or of all that is left where its own is no good. */
static uint32_t take_header(struct bytes *b, size_t *inside)
{
	size_t before = b->left, header;
	uint64_t n = take(b, 4);
	uint32_t type = (uint32_t)take(b, 4);

	if (n == 1)
		n = take(b, 8);
	if (type == 0x75756964) { /* uuid */
		take(b, 8);
		take(b, 8);
	}
	header = before - b->left;
	*inside = n < header || n - header > b->left ? b->left : (size_t)(n - header);
	return type;
}

static int add(struct edges *edges, uint32_t from, uint32_t to)
{
	if (edges->n == MOST_REFERENCES)
		return ADTOOL_ELIMIT;
	if (edges->n == edges->room) {
		size_t room = edges->room ? 2 * edges->room : 64;
		struct edge *list = ad_realloc_array(edges->list, room, sizeof(*list));

		if (!list)
			return ADTOOL_ENOMEM;
		edges->list = list;
		edges->room = room;
	}
	edges->list[edges->n++] = (struct edge){from, to};
	return 0;
}

/* The sizes of its boxes mean nothing to libheif. */
static int read_references(struct bytes b, struct edges *edges)
{
	unsigned wide = take(&b, 4) >> 24 ? 4 : 2;
	int rc = 0;

	while (!rc && b.left) {
		size_t unused;
		uint32_t type = take_header(&b, &unused), from = (uint32_t)take(&b, wide), n = (uint32_t)take(&b, 2);

		for (; !rc && n && b.left; n--) {
			uint32_t to = (uint32_t)take(&b, wide);

			if (type == 0x64696d67) /* dimg */
				rc = add(edges, from, to);
			else if (type == 0x6175786c) /* auxl: an alpha plane names what it belongs to */
				rc = add(edges, to, from);
		}
	}
	return rc;
}

static int read_boxes(struct bytes b, int level, struct edges *edges)
{
	int rc = 0;

	while (!rc && b.left) {
		size_t inside;
		uint32_t type = take_header(&b, &inside);
		struct bytes inner = {b.at, inside};

		if (!level && type == 0x6d657461) { /* meta */
			take(&inner, 4);
			rc = read_boxes(inner, 1, edges);
		} else if (level && type == 0x69726566) { /* iref */
			rc = read_references(inner, edges);
		}
		b.at += inside;
		b.left -= inside;
	}
	return rc;
}

static int by_from(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* The first edge of a picture, n if there is none. */
static size_t first_of(const struct edges *edges, uint32_t from)
{
	size_t low = 0, high = edges->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (edges->list[middle].from < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low < edges->n && edges->list[low].from == from ? low : edges->n;
}

/*
 * parts: of how many pictures the one of each edge's beginning is made, itself among them, counted
 * `level` levels deep.
 */
static int count_parts(const struct edges *edges, const size_t *next, uint32_t *parts, uint32_t *deeper,
		       adtool_error *err)
{
	size_t i, k;
	int level;

	for (i = 0; i <= edges->n; i++)
		parts[i] = 1;
	for (level = 0; level <= MOST_LEVELS; level++) {
		int changed = 0;

		for (i = 0; i < edges->n; i = k) {
			uint32_t sum = 1;

			for (k = i; k < edges->n && edges->list[k].from == edges->list[i].from; k++) {
				sum += parts[next[k]];
				if (sum > MOST_PARTS)
					return ad_fail(err, ADTOOL_ELIMIT, "HEIF: a picture of more than %d parts",
						       MOST_PARTS);
			}
			changed |= sum != parts[i];
			deeper[i] = sum;
		}
		if (!changed)
			return 0;
		for (i = 0; i < edges->n; i = k) {
			parts[i] = deeper[i];
			for (k = i; k < edges->n && edges->list[k].from == edges->list[i].from;)
				k++;
		}
	}
	return ad_fail(err, ADTOOL_EFORMAT, "damaged HEIF: a picture that is made of itself, or of more than %d levels",
		       MOST_LEVELS);
}

int ad_heif_check_references(const uint8_t *data, size_t size, adtool_error *err)
{
	struct edges edges = {NULL, 0, 0};
	uint32_t *parts = NULL, *deeper = NULL;
	size_t *next = NULL, i;
	int rc = read_boxes((struct bytes){data, size}, 0, &edges);

	if (!rc && edges.n) {
		next = ad_malloc_array(edges.n, sizeof(*next));
		parts = ad_malloc_array(edges.n + 1, sizeof(*parts));
		deeper = ad_malloc_array(edges.n + 1, sizeof(*deeper));
	}
	if (rc == ADTOOL_ELIMIT) {
		rc = ad_fail(err, rc, "HEIF: more than %d references", MOST_REFERENCES);
	} else if (rc || (edges.n && (!next || !parts || !deeper))) {
		rc = ad_fail_nomem(err);
	} else if (edges.n) {
		qsort(edges.list, edges.n, sizeof(*edges.list), by_from);
		for (i = 0; i < edges.n; i++)
			next[i] = first_of(&edges, edges.list[i].to);
		rc = count_parts(&edges, next, parts, deeper, err);
	}
	ad_free(edges.list);
	ad_free(next);
	ad_free(parts);
	ad_free(deeper);
	return rc;
}

#endif
