/*
 * Tiles from rows as they come. Tiles are told of in the upright picture; the rows are of the stored one, whose axes
 * may be swapped and run backwards. Along each stored axis the tiles are intervals in ascending order.
 */
#include "internal.h"

#include "../base/fail.h"
#include "../base/mem.h"

/* The tiles along a stored axis: each `length` long. */
typedef struct axis {
	unsigned count, length;
	unsigned *from;  /* count, ascending: where each begins */
	unsigned *place; /* count: its number along the upright axis */
} axis;

struct ad_cutter {
	ad_cutter_client client;
	ad_rows rows;
	ad_tiling tiling;
	int orientation;
	axis across, down;    /* along stored rows; from row to row */
	unsigned stored;      /* columns of the rows that come */
	unsigned left, width; /* those of them that are kept */
	uint8_t *band;        /* stored rows first .. next - 1; room for down.length */
	unsigned first, next;
	unsigned at; /* the band of tiles that is being filled */
	int begun, code;
	adtool_error error;
};

static void axis_release(axis *a)
{
	ad_free(a->from);
	ad_free(a->place);
}

/* side: of the whole picture; begin, length: of the region on it; back: the stored axis runs the other way. */
static int axis_init(axis *a, unsigned side, unsigned begin, unsigned length, unsigned tile, unsigned overlap, int back)
{
	unsigned i;

	a->count = ad_tiles_along(length, tile, overlap);
	a->length = length < tile ? length : tile;
	a->from = ad_malloc_array(a->count, sizeof(*a->from));
	a->place = ad_malloc_array(a->count, sizeof(*a->place));
	if (!a->from || !a->place)
		return ADTOOL_ENOMEM;
	for (i = 0; i < a->count; i++) {
		unsigned place = back ? a->count - 1 - i : i, at = begin + ad_tile_at(length, tile, overlap, place);

		a->place[i] = place;
		a->from[i] = back ? side - at - a->length : at;
	}
	return 0;
}

static int cutter_begin(void *context, unsigned width, unsigned height, int orientation, adtool_error *err)
{
	ad_cutter *c = context;
	/* As in ad_upright_init. */
	int swap = orientation >= 5;
	int x_back = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
	int y_back = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
	const ad_area *r = &c->tiling.region;
	ad_tiling *t = &c->tiling;
	int code = c->client.begin(c->client.context, swap ? height : width, swap ? width : height, t, err);

	if (code)
		return code;
	c->begun = 1;
	c->orientation = orientation;
	c->stored = width;
	code = axis_init(&c->across, width, swap ? r->y : r->x, swap ? r->height : r->width,
			 swap ? t->tile_height : t->tile_width, t->overlap, x_back);
	if (!code)
		code = axis_init(&c->down, height, swap ? r->x : r->y, swap ? r->width : r->height,
				 swap ? t->tile_width : t->tile_height, t->overlap, y_back);
	if (code)
		return ad_fail_nomem(err);
	c->left = c->across.from[0];
	c->width = c->across.from[c->across.count - 1] + c->across.length - c->left;
	c->first = c->next = c->down.from[0];
	c->band = ad_malloc_array((size_t)3 * c->width, c->down.length);
	return c->band ? 0 : ad_fail_nomem(err);
}

/* The band is full: its tiles, and then what the next one shares with it. */
static void cutter_flush(ad_cutter *c)
{
	size_t pitch = (size_t)3 * c->width;
	unsigned end = c->first + c->down.length, next;

	c->code = c->client.band(c->client.context, c, c->across.count, &c->error);
	if (++c->at == c->down.count)
		return;
	next = c->down.from[c->at];
	if (next < end)
		memmove(c->band, c->band + (next - c->first) * pitch, (end - next) * pitch);
	c->next = next < end ? end : next;
	c->first = next;
}

static void cutter_put(void *context, const uint8_t *rows, unsigned y, unsigned n)
{
	ad_cutter *c = context;
	size_t pitch = (size_t)3 * c->width, stored = (size_t)3 * c->stored;

	for (; n && !c->code && c->at < c->down.count; n--, y++, rows += stored) {
		if (y < c->next)
			continue;
		memcpy(c->band + (c->next - c->first) * pitch, rows + (size_t)3 * c->left, pitch);
		if (++c->next == c->first + c->down.length)
			cutter_flush(c);
	}
}

int ad_cutter_create(const ad_cutter_client *client, uint64_t max_pixels, ad_cutter **out, adtool_error *err)
{
	ad_cutter *c = ad_calloc(1, sizeof(*c));

	if (!c)
		return ad_fail_nomem(err);
	c->client = *client;
	c->rows = (ad_rows){.max_pixels = max_pixels, .begin = cutter_begin, .put = cutter_put, .context = c};
	*out = c;
	return 0;
}

const ad_rows *ad_cutter_rows(const ad_cutter *c)
{
	return &c->rows;
}

int ad_cutter_end(const ad_cutter *c, adtool_error *err)
{
	if (c->code) {
		if (err)
			*err = c->error;
		return c->code;
	}
	if (!c->begun || c->at < c->down.count)
		return ad_fail(err, ADTOOL_EFORMAT, "rows of the picture are missing");
	return 0;
}

size_t ad_cutter_index(const ad_cutter *c, size_t i)
{
	unsigned across = c->across.place[i], down = c->down.place[c->at];

	return c->orientation >= 5 ? (size_t)across * c->tiling.across + down
				   : (size_t)down * c->tiling.across + across;
}

int ad_cutter_tile(const ad_cutter *c, size_t i, adtool_image **out, adtool_error *err)
{
	unsigned width = c->across.length, height = c->down.length, y;
	size_t pitch = (size_t)3 * c->width;
	const uint8_t *from = c->band + (size_t)3 * (c->across.from[i] - c->left);
	ad_upright u = {0};
	int code = ad_upright_init(&u, width, height, c->orientation, err);

	if (code)
		return code;
	for (y = 0; y < height; y++, from += pitch)
		ad_upright_put(&u, from, y, 1);
	*out = u.image;
	return 0;
}

void ad_cutter_free(ad_cutter *c)
{
	if (!c)
		return;
	axis_release(&c->across);
	axis_release(&c->down);
	ad_free(c->band);
	ad_free(c);
}
