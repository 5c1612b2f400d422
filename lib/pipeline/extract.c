/* One picture: pixels -> row of features. */
#include "pipeline.h"

#include "../base/fail.h"
#include "../base/mem.h"

void ad_scratch_release(struct ad_scratch *s)
{
	ad_free_aligned(s->arena);
	ad_free_aligned(s->tensor);
	memset(s, 0, sizeof(*s));
}

size_t ad_extractor_cells(const struct ad_extractor *e)
{
	if (e->cells)
		return e->cells->count;
	return e->grid ? (size_t)e->grid * e->grid : e->shape[1] * e->shape[2];
}

size_t ad_extractor_pooled(const struct ad_extractor *e)
{
	return e->grid ? e->shape[0] * ad_extractor_cells(e) : ad_plan_output_floats(e->plan);
}

/* In one block: less of it are small pages then. */
static void create_arena(struct ad_scratch *s, const struct ad_extractor *e)
{
	enum { LINE = 64 };
	const size_t floats[] = {ad_plan_output_floats(e->plan), ad_extractor_pooled(e),
				 e->cells ? e->shape[0] * e->grid * e->grid : 0};
	float **parts[] = {&s->map, &s->pooled, &s->all};
	size_t bytes = (ad_plan_arena_bytes(e->plan) + LINE - 1) / LINE * LINE, at = bytes, i;

	for (i = 0; i < 3; i++)
		bytes += (floats[i] * sizeof(float) + LINE - 1) / LINE * LINE;
	s->arena = ad_malloc_aligned(bytes, 1);
	for (i = 0; s->arena && i < 3; i++) {
		*parts[i] = (float *)(void *)((char *)s->arena + at);
		at += (floats[i] * sizeof(float) + LINE - 1) / LINE * LINE;
	}
}

int ad_scratch_create(struct ad_scratch *s, const struct ad_extractor *e, adtool_error *err)
{
	if (!s->arena)
		create_arena(s, e);
	if (!s->tensor)
		s->tensor = ad_malloc_aligned((size_t)3 * e->width * e->height, sizeof(float));
	if (s->arena && s->tensor)
		return 0;
	ad_scratch_release(s);
	return ad_fail_nomem(err);
}

void ad_extractor_init(struct ad_extractor *e, const ad_plan *plan, const adtool_preprocessing *preprocessing,
		       unsigned width, unsigned height, unsigned grid, uint64_t max_pixels)
{
	memset(e, 0, sizeof(*e));
	e->preprocessing = *preprocessing;
	e->width = width;
	e->height = height;
	e->grid = grid;
	e->max_pixels = max_pixels;
	if (plan)
		ad_extractor_plan(e, plan);
}

adtool_image_options ad_extractor_decoding(const struct ad_extractor *e)
{
	const adtool_image_options options = {
	    .max_pixels = e->max_pixels,
	    .whole_pixels = e->whole_pixels,
	    .isolate = e->isolate,
	    .background = {(uint8_t)(e->background >> 16), (uint8_t)(e->background >> 8), (uint8_t)e->background},
	};

	return options;
}

void ad_extractor_plan(struct ad_extractor *e, const ad_plan *plan)
{
	e->plan = plan;
	ad_plan_output_shape(plan, 0, e->shape);
}

int ad_extract_tensor(const struct ad_extractor *e, struct ad_scratch *s, const adtool_image *image, adtool_error *err)
{
	if (!s->tensor)
		s->tensor = ad_malloc_aligned((size_t)3 * e->width * e->height, sizeof(float));
	if (!s->tensor)
		return ad_fail_nomem(err);
	return ad_look_tensor(e->look, image, &e->preprocessing, e->width, e->height, s->tensor, err);
}

int ad_extract_file(const struct ad_extractor *e, struct ad_scratch *s, const void *data, size_t size, unsigned page,
		    unsigned *width, unsigned *height, adtool_error *err)
{
	adtool_image_options options = ad_extractor_decoding(e);

	options.page = page;
	if (!s->tensor)
		s->tensor = ad_malloc_aligned((size_t)3 * e->width * e->height, sizeof(float));
	if (!s->tensor)
		return ad_fail_nomem(err);
	return ad_image_file_to_tensor(data, size, &options, &e->preprocessing, e->width, e->height, s->tensor, width,
				       height, err);
}

void ad_extract_row(const struct ad_extractor *e, struct ad_scratch *s, ad_pool *pool, float *row)
{
	float *pooled = e->basis ? s->pooled : row;

	ad_plan_run(e->plan, s->arena, pool, s->tensor, s->map);
	if (e->grid)
		ad_pool_grid(s->map, e->shape[0], e->shape[1], e->shape[2], e->grid, e->cells ? s->all : pooled);
	if (e->cells)
		ad_cells_keep(e->cells, s->all, e->shape[0], e->grid, pooled);
	if (!e->grid)
		memcpy(pooled, s->map, ad_extractor_pooled(e) * sizeof(float));
	if (e->basis)
		ad_channels_apply(e->basis, pooled, ad_extractor_cells(e), row);
}

int ad_extract_image(const struct ad_extractor *e, struct ad_scratch *s, ad_pool *pool, const adtool_image *image,
		     float *row, adtool_error *err)
{
	int code = ad_extract_tensor(e, s, image, err);

	if (!code)
		ad_extract_row(e, s, pool, row);
	return code;
}

int ad_extractor_check(const struct ad_extractor *e, adtool_error *err)
{
	if (e->grid <= e->shape[1] && e->grid <= e->shape[2])
		return 0;
	return ad_fail(err, ADTOOL_EINVAL,
		       "a grid of %u x %u is larger than the feature map of %zu x %zu (height x width): take a smaller "
		       "--grid, or a larger --size or --tiles",
		       e->grid, e->grid, e->shape[1], e->shape[2]);
}
