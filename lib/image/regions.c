/* Connected areas of a map above a level, from its rows as they come: runs of a row, joined by union-find. */
#include <adtool/region.h>

#include "image.h"

#include "../base/fail.h"
#include "../base/mem.h"

#include <math.h>

/* A run of pixels above the level: begin .. end - 1. */
typedef struct run {
	unsigned begin, end;
	size_t region;
} run;

/* A region while it grows; parent leads to the region that it became part of. */
typedef struct part {
	size_t parent;
	unsigned left, top, right, bottom; /* inclusive */
	uint64_t area;
	float peak;
	unsigned peak_x, peak_y;
} part;

typedef struct finder {
	float level;
	unsigned width;
	run *above, *here; /* of the row before, and of this one; room for width / 2 + 1 each */
	size_t above_count, here_count;
	part *parts;
	size_t count, capacity;
	adtool_error *err;
} finder;

static size_t root_of(finder *f, size_t i)
{
	while (f->parts[i].parent != i) {
		f->parts[i].parent = f->parts[f->parts[i].parent].parent;
		i = f->parts[i].parent;
	}
	return i;
}

/* Whether a's peak goes before b's: higher, then upper, then left. */
static int peak_before(const part *a, const part *b)
{
	if (a->peak != b->peak)
		return a->peak > b->peak;
	return a->peak_y != b->peak_y ? a->peak_y < b->peak_y : a->peak_x < b->peak_x;
}

static void take_peak(part *to, const part *from)
{
	if (!peak_before(from, to))
		return;
	to->peak = from->peak;
	to->peak_x = from->peak_x;
	to->peak_y = from->peak_y;
}

static size_t join(finder *f, size_t a, size_t b)
{
	part *to, *from;

	a = root_of(f, a);
	b = root_of(f, b);
	if (a == b)
		return a;
	if (b < a) {
		size_t swap = a;

		a = b;
		b = swap;
	}
	to = &f->parts[a];
	from = &f->parts[b];
	from->parent = a;
	to->left = from->left < to->left ? from->left : to->left;
	to->top = from->top < to->top ? from->top : to->top;
	to->right = from->right > to->right ? from->right : to->right;
	to->bottom = from->bottom > to->bottom ? from->bottom : to->bottom;
	to->area += from->area;
	take_peak(to, from);
	return a;
}

static int new_part(finder *f, size_t *out)
{
	if (f->count == f->capacity) {
		size_t capacity = f->capacity ? 2 * f->capacity : 16;
		part *grown = ad_realloc_array(f->parts, capacity, sizeof(*grown));

		if (!grown)
			return ad_fail_nomem(f->err);
		f->parts = grown;
		f->capacity = capacity;
	}
	f->parts[f->count] = (part){.parent = f->count, .left = 0};
	*out = f->count++;
	return 0;
}

/* A run belongs with those above that it touches, at a corner too; first is the first that may, and moves on. */
static int add_run(finder *f, const float *row, unsigned y, unsigned begin, unsigned end, size_t *first)
{
	part p = {.left = begin, .right = end - 1, .top = y, .bottom = y, .area = end - begin, .peak = -1};
	size_t region = SIZE_MAX, i;
	unsigned x;

	for (x = begin; x < end; x++)
		if (row[x] > p.peak) {
			p.peak = row[x];
			p.peak_x = x;
			p.peak_y = y;
		}
	while (*first < f->above_count && f->above[*first].end < begin)
		++*first;
	for (i = *first; i < f->above_count && f->above[i].begin <= end; i++)
		region = region == SIZE_MAX ? root_of(f, f->above[i].region) : join(f, region, f->above[i].region);
	if (region == SIZE_MAX) {
		int code = new_part(f, &region);

		if (code)
			return code;
		p.parent = region;
		f->parts[region] = p;
	} else {
		part *to = &f->parts[region];

		to->left = p.left < to->left ? p.left : to->left;
		to->right = p.right > to->right ? p.right : to->right;
		to->bottom = y;
		to->area += p.area;
		take_peak(to, &p);
	}
	f->here[f->here_count++] = (run){begin, end, region};
	return 0;
}

static int add_row(void *context, unsigned y, const float *row)
{
	finder *f = context;
	unsigned x = 0, begin;
	size_t first = 0;
	run *swap = f->above;

	f->above = f->here;
	f->above_count = f->here_count;
	f->here = swap;
	f->here_count = 0;
	while (x < f->width) {
		if (!(row[x] > f->level)) {
			x++;
			continue;
		}
		begin = x;
		while (x < f->width && row[x] > f->level)
			x++;
		if (add_run(f, row, y, begin, x, &first))
			return ADTOOL_ENOMEM;
	}
	return 0;
}

static int compare_parts(const void *a, const void *b)
{
	return peak_before(a, b) ? -1 : peak_before(b, a) ? 1 : 0;
}

/* The roots, in order. */
static int collect(finder *f, unsigned height, adtool_region **out, size_t *count, adtool_error *err)
{
	adtool_region *regions;
	size_t i, n = 0;

	for (i = 0; i < f->count; i++)
		if (f->parts[i].parent == i)
			f->parts[n++] = f->parts[i]; /* n <= i, and parents are not needed any more */
	if (!n) {
		*out = NULL;
		*count = 0;
		return 0;
	}
	regions = ad_malloc_array(n, sizeof(*regions));
	if (!regions)
		return ad_fail_nomem(err);
	qsort(f->parts, n, sizeof(*f->parts), compare_parts);
	for (i = 0; i < n; i++) {
		const part *p = &f->parts[i];

		regions[i] = (adtool_region){
		    .x = p->left,
		    .y = p->top,
		    .width = p->right - p->left + 1,
		    .height = p->bottom - p->top + 1,
		    .area = p->area,
		    .share = (double)p->area / ((double)f->width * height),
		    .peak = (double)p->peak,
		    .peak_x = p->peak_x,
		    .peak_y = p->peak_y,
		};
	}
	*out = regions;
	*count = n;
	return 0;
}

int ad_regions_find(const ad_heat *heat, unsigned width, unsigned height, adtool_region **out, size_t *count,
		    adtool_error *err)
{
	finder f = {.level = (float)heat->level, .width = width, .err = err};
	size_t cells = (size_t)heat->rows * heat->cols, i;
	int code = 0, any = 0;

	if (!isfinite(heat->level) || heat->level < 0)
		return ad_fail(err, ADTOOL_EINVAL, "regions above a level of %g", heat->level);
	/* The upsampled map never exceeds its cells. */
	for (i = 0; i < cells; i++)
		any |= !(heat->map[i] <= f.level);
	if (any) {
		f.above = ad_malloc_array((size_t)width / 2 + 1, sizeof(run));
		f.here = ad_malloc_array((size_t)width / 2 + 1, sizeof(run));
		code = f.above && f.here ? ad_heat_rows(heat, width, height, add_row, &f, err) : ad_fail_nomem(err);
	}
	if (!code)
		code = collect(&f, height, out, count, err);
	ad_free(f.above);
	ad_free(f.here);
	ad_free(f.parts);
	return code;
}

int adtool_regions_find(const float *map, unsigned rows, unsigned cols, unsigned width, unsigned height, double level,
			adtool_region **out, size_t *count, adtool_error *err)
{
	ad_heat heat = {.map = map, .rows = rows, .cols = cols, .level = level};

	return ad_regions_find(&heat, width, height, out, count, err);
}
