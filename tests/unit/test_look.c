/* What of a picture is looked at, in the library: recipes, rows, and models whose mask is not what they say. */
#include "../../lib/pipeline/pipeline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <adtool/adtool.h>

static char folder[] = "/tmp/test_look.XXXXXX";
static char path[64], pictures[64];
static adtool_error err;

enum { W = 96, H = 48, COUNT = 5 };

static adtool_image *draw(unsigned seed)
{
	adtool_image *image;
	ad_rng rng;
	size_t i;

	assert_int_equal(adtool_image_create(W, H, &image, &err), 0);
	ad_rng_seed(&rng, seed);
	for (i = 0; i < 3 * W * H; i++)
		adtool_image_pixels(image)[i] = (uint8_t)(100 + i / 3 % W + ad_rng_below(&rng, 30));
	return image;
}

static adtool_image *draw_mask(unsigned width, unsigned height, unsigned white)
{
	adtool_image *mask;
	size_t i;

	assert_int_equal(adtool_image_create(width, height, &mask, &err), 0);
	for (i = 0; i < (size_t)width * height; i++)
		if (i % width < white)
			memset(adtool_image_pixels(mask) + 3 * i, 255, 3);
	return mask;
}

static int setup(void **state)
{
	char name[128];
	unsigned i;

	(void)state;
	setenv("XDG_CACHE_HOME", "/nonexistent", 1);
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/model.zip", folder);
	snprintf(pictures, sizeof(pictures), "%s/", folder);
	for (i = 0; i < COUNT; i++) {
		adtool_image *image = draw(i);

		snprintf(name, sizeof(name), "%s/%u.png", folder, i);
		assert_int_equal(adtool_image_write_png(image, name, &err), 0);
		adtool_image_free(image);
	}
	return 0;
}

static int teardown(void **state)
{
	char name[128];
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "%s/%u.png", folder, i);
		unlink(name);
	}
	unlink(path);
	return rmdir(folder);
}

static adtool_model *train(const adtool_geometry *geometry, const adtool_image *mask)
{
	const char *inputs[] = {pictures};
	adtool_dataset_options dataset_options;
	adtool_train_options o;
	adtool_backbone *backbone;
	adtool_model *model;

	adtool_dataset_options_init(&dataset_options);
	adtool_train_options_init(&o);
	o.width = o.height = 64;
	o.grid = 4;
	o.threads = 1;
	o.geometry = *geometry;
	o.mask = mask;
	assert_int_equal(adtool_backbone_open(NULL, &backbone, &err), 0);
	if (adtool_train(backbone, inputs, 1, &dataset_options, &o, &model, NULL, &err))
		fail_msg("%s", err.message);
	adtool_backbone_free(backbone);
	return model;
}

/* Writes the model with another mask in it, whose digests are right. */
static void save_with(const adtool_model *model, const void *mask, size_t size, unsigned width, unsigned height,
		      size_t cells)
{
	adtool_model_info info = model->info;
	ad_bundle_parts parts = model->parts;

	parts.mask = mask;
	parts.mask_size = size;
	info.mask_width = width;
	info.mask_height = height;
	info.mask_cells = cells;
	assert_int_equal(ad_bundle_write(path, &info, &parts, NULL, &err), 0);
}

static void refused(const char *text)
{
	adtool_model *model = NULL;
	int code = adtool_model_open(path, &model, &err);

	if (code != ADTOOL_EFORMAT || !strstr(err.message, text))
		fail_msg("code %d with '%s', where '%s' was due", code, err.message, text);
	assert_null(model);
}

static void masks_of_models_are_checked(void **state)
{
	const adtool_geometry whole = {.fit = ADTOOL_STRETCH};
	adtool_image *mask = draw_mask(8, 4, 4), *black = draw_mask(8, 4, 0), *white = draw_mask(8, 4, 8);
	adtool_model *model = train(&whole, mask), *again;
	ad_buf file = {0};

	(void)state;
	assert_int_equal(model->info.mask_cells, 8);
	save_with(model, model->parts.mask, model->parts.mask_size, 8, 4, 8);
	assert_int_equal(adtool_model_open(path, &again, &err), 0);
	adtool_model_free(again);
	save_with(model, "no picture", 10, 8, 4, 8);
	refused("mask.png: is no PNG");
	save_with(model, model->parts.mask, model->parts.mask_size - 10, 8, 4, 8);
	refused("mask.png: ");
	save_with(model, model->parts.mask, model->parts.mask_size, 9, 4, 8);
	refused("mask.png: it has 8 x 4 pixels where the manifest says 9 x 4");
	assert_int_equal(ad_png_encode(black, &file, &err), 0);
	save_with(model, file.data, file.size, 8, 4, 8);
	refused("mask.png: the mask: it has no white");
	ad_buf_clear(&file);
	assert_int_equal(ad_png_encode(white, &file, &err), 0);
	save_with(model, file.data, file.size, 8, 4, 8);
	refused("mask.png: it leaves 16 cells where the manifest says 8");
	ad_buf_release(&file);
	adtool_model_free(model);
	adtool_image_free(mask);
	adtool_image_free(black);
	adtool_image_free(white);
}

/* The recipe belongs to the model, mask and all. */
static void recipes_have_their_geometry(void **state)
{
	const adtool_geometry half = {.fit = ADTOOL_LETTERBOX, .roi_width = 50, .roi_height = 100, .roi_percent = 1};
	adtool_image *mask = draw_mask(8, 4, 3);
	adtool_model *model = train(&half, mask);
	adtool_train_options o;

	(void)state;
	adtool_image_free(mask);
	adtool_train_options_init(&o);
	assert_int_equal(adtool_train_options_from(model, &o, &err), 0);
	assert_true(ad_look_same(&o.geometry, &half));
	assert_int_equal(adtool_image_width(o.mask), 8);
	assert_int_equal(adtool_image_pixels((adtool_image *)(uintptr_t)o.mask)[3 * 2], 255);
	assert_int_equal(adtool_image_pixels((adtool_image *)(uintptr_t)o.mask)[3 * 3], 0);
	adtool_model_free(model);
}

static void maps_of_single_pictures(void **state)
{
	const adtool_geometry tiles = {.tile_width = 64, .tile_height = 64, .tile_overlap = 8},
			      whole = {.fit = ADTOOL_STRETCH};
	adtool_image *mask = draw_mask(8, 4, 4), *image = draw(99);
	adtool_model *model = train(&tiles, NULL);
	float map[16];
	ad_buf file = {0};
	double score, p;
	size_t i;

	(void)state;
	assert_int_equal(ad_png_encode(image, &file, &err), 0);
	assert_int_equal(adtool_score_image(model, file.data, file.size, &score, &p, NULL, &err), 0);
	assert_true(isfinite(score) && p > 0 && p <= 1);
	assert_int_equal(adtool_score_image(model, file.data, file.size, &score, &p, map, &err), ADTOOL_EINVAL);
	adtool_model_free(model);
	/* Of a masked model the map has all cells of the grid; those that are hidden are 0. */
	model = train(&whole, mask);
	assert_int_equal(adtool_score_image(model, file.data, file.size, &score, &p, map, &err), 0);
	for (i = 0; i < 16; i++)
		assert_true(i % 4 < 2 ? map[i] > 0 : !(map[i] > 0));
	adtool_model_free(model);
	ad_buf_release(&file);
	adtool_image_free(image);
	adtool_image_free(mask);
}

static void tiles_without_white_are_an_error_of_the_picture(void **state)
{
	const adtool_geometry tiles = {.tile_width = 32, .tile_height = 32};
	const adtool_geometry right = {
	    .tile_width = 32, .tile_height = 32, .roi_x = 80, .roi_width = 20, .roi_height = 100, .roi_percent = 1};
	const char *inputs[] = {pictures};
	adtool_image *mask = draw_mask(8, 4, 2);
	adtool_model *model = train(&tiles, mask);
	adtool_dataset_options dataset_options;
	adtool_train_options o;

	(void)state;
	adtool_dataset_options_init(&dataset_options);
	adtool_train_options_init(&o);
	assert_int_equal(adtool_train_options_from(model, &o, &err), 0);
	o.geometry = right;
	o.alpha = 0.1;
	/* All five refused. */
	assert_int_equal(adtool_train(NULL, inputs, 1, &dataset_options, &o, NULL, NULL, &err), ADTOOL_EINVAL);
	assert_non_null(strstr(err.message, "0 usable pictures"));
	adtool_model_free(model);
	adtool_image_free(mask);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(masks_of_models_are_checked),
	    cmocka_unit_test(recipes_have_their_geometry),
	    cmocka_unit_test(maps_of_single_pictures),
	    cmocka_unit_test(tiles_without_white_are_an_error_of_the_picture),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
