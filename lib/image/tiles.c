/* Cutting pictures into tiles, and making one map of theirs. */
#include "fit.h"

#include "../base/fail.h"

#define MAX_CELLS ((uint64_t)1 << 26)

unsigned ad_tiles_along(unsigned side, unsigned tile, unsigned overlap)
{
	unsigned step = tile - overlap;

	return side <= tile ? 1 : 1 + (side - tile) / step + ((side - tile) % step != 0);
}

unsigned ad_tile_at(unsigned side, unsigned tile, unsigned overlap, unsigned i)
{
	if (side <= tile)
		return 0;
	return i + 1 == ad_tiles_along(side, tile, overlap) ? side - tile : i * (tile - overlap);
}

int ad_tiling_init(ad_tiling *t, const adtool_geometry *g, const ad_area *region, unsigned grid, adtool_error *err)
{
	uint64_t rows, cols, count;

	*t = (ad_tiling){.region = *region,
			 .tile_width = g->tile_width,
			 .tile_height = g->tile_height,
			 .overlap = g->tile_overlap,
			 .across = ad_tiles_along(region->width, g->tile_width, g->tile_overlap),
			 .down = ad_tiles_along(region->height, g->tile_height, g->tile_overlap),
			 .grid = grid};
	count = (uint64_t)t->across * t->down;
	if (count > ADTOOL_MAX_TILES)
		return ad_fail(err, ADTOOL_ELIMIT, "%u x %u pixels would make %llu tiles, more than the limit of %u",
			       region->width, region->height, (unsigned long long)count, ADTOOL_MAX_TILES);
	cols = ((uint64_t)region->width * grid + g->tile_width - 1) / g->tile_width;
	rows = ((uint64_t)region->height * grid + g->tile_height - 1) / g->tile_height;
	if (rows * cols > MAX_CELLS)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "%u x %u pixels would make a map of %llu x %llu cells, more than the limit of %llu",
			       region->width, region->height, (unsigned long long)cols, (unsigned long long)rows,
			       (unsigned long long)MAX_CELLS);
	t->rows = (unsigned)rows;
	t->cols = (unsigned)cols;
	return 0;
}

size_t ad_tiling_count(const ad_tiling *t)
{
	return (size_t)t->across * t->down;
}

void ad_tiling_area(const ad_tiling *t, size_t tile, ad_area *out)
{
	const ad_area *r = &t->region;
	unsigned x = ad_tile_at(r->width, t->tile_width, t->overlap, (unsigned)(tile % t->across));
	unsigned y = ad_tile_at(r->height, t->tile_height, t->overlap, (unsigned)(tile / t->across));

	*out = (ad_area){r->x + x, r->y + y, r->width < t->tile_width ? r->width : t->tile_width,
			 r->height < t->tile_height ? r->height : t->tile_height};
}

/*
 * Cell i of `cells` over a side has its centre at (2 i + 1) side / (2 cells). The first whose centre is at or beyond x:
 * the least i with (2 i + 1) side >= 2 cells x.
 */
static unsigned first_beyond(unsigned x, unsigned side, unsigned cells)
{
	uint64_t at = (2 * (uint64_t)cells * x + side - 1) / side;

	return (unsigned)(at / 2);
}

/* The cell of a tile that begins at `from` in which the centre of cell i lies. */
static unsigned cell_of(unsigned i, unsigned side, unsigned cells, unsigned from, unsigned tile, unsigned grid)
{
	uint64_t centre = (2 * (uint64_t)i + 1) * side, begin = 2 * (uint64_t)cells * from;
	uint64_t cell = (centre - begin) * grid / (2 * (uint64_t)cells * tile);

	return cell < grid ? (unsigned)cell : grid - 1;
}

void ad_tiling_merge(const ad_tiling *t, size_t tile, const float *map, float *whole)
{
	const ad_area *r = &t->region;
	unsigned row, col, row_end, col_begin, col_end, x, y;
	ad_area a;

	ad_tiling_area(t, tile, &a);
	x = a.x - r->x;
	y = a.y - r->y;
	row_end = first_beyond(y + a.height, r->height, t->rows);
	col_begin = first_beyond(x, r->width, t->cols);
	col_end = first_beyond(x + a.width, r->width, t->cols);
	for (row = first_beyond(y, r->height, t->rows); row < row_end; row++) {
		const float *from =
		    map + (size_t)cell_of(row, r->height, t->rows, y, t->tile_height, t->grid) * t->grid;
		float *to = whole + (size_t)row * t->cols;

		for (col = col_begin; col < col_end; col++) {
			float value = from[cell_of(col, r->width, t->cols, x, t->tile_width, t->grid)];

			if (value > to[col])
				to[col] = value;
		}
	}
}
