/* Heat maps: the interpolation, the scale common to all pictures, the drawing's geometry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "../../lib/base/rng.h"
#include "../../lib/image/internal.h"
#include "skip.h"

enum { SIDE = 7 };

static void random_map(float *map, size_t cells, uint64_t seed)
{
	ad_rng rng;
	size_t i;

	ad_rng_seed(&rng, seed);
	for (i = 0; i < cells; i++)
		map[i] = (float)pow(ad_rng_double(&rng), 6); /* mostly calm, a few high cells */
}

static float *upsample(const float *map, unsigned rows, unsigned cols, unsigned width, unsigned height)
{
	ad_heat heat = {map, rows, cols, 1, NULL};
	float *out = malloc((size_t)width * height * sizeof(*out));
	adtool_error err;

	assert_non_null(out);
	if (ad_heat_upsample(&heat, width, height, out, &err) != 0)
		fail_msg("%s", err.message);
	return out;
}

static void upsampling_passes_through_the_cells(void **state)
{
	float map[SIDE * 5], *out;
	unsigned r, c;

	(void)state;
	random_map(map, SIDE * 5, 1);
	out = upsample(map, SIDE, 5, 5 * 9, SIDE * 11); /* odd pixels a cell: one stands at each centre */
	for (r = 0; r < SIDE; r++)
		for (c = 0; c < 5; c++)
			assert_float_equal(out[(r * 11 + 5) * 45 + c * 9 + 4], map[r * 5 + c], 1e-6);
	free(out);
	out = upsample(map, SIDE, 5, 5, SIDE);
	for (r = 0; r < SIDE * 5; r++)
		assert_float_equal(out[r], map[r], 1e-6);
	free(out);
}

static void upsampling_stays_between_neighbours(void **state)
{
	enum { W = 101, H = 67 };
	float map[SIDE * SIDE], *out;
	unsigned seed, x, y;

	(void)state;
	for (seed = 0; seed < 20; seed++) {
		random_map(map, SIDE * SIDE, seed);
		out = upsample(map, SIDE, SIDE, W, H);
		for (y = 0; y < H; y++) {
			for (x = 0; x < W; x++) {
				double u = (x + 0.5) * SIDE / W - 0.5, v = (y + 0.5) * SIDE / H - 0.5;
				int i = (int)floor(v), j = (int)floor(u), k;
				float low = INFINITY, high = 0, value = out[y * W + x];

				for (k = 0; k < 4; k++) {
					int r = i + k / 2, c = j + k % 2;

					r = r < 0 ? 0 : r >= SIDE ? SIDE - 1 : r;
					c = c < 0 ? 0 : c >= SIDE ? SIDE - 1 : c;
					low = fminf(low, map[r * SIDE + c]);
					high = fmaxf(high, map[r * SIDE + c]);
				}
				if (value < low - 1e-6f || value > high + 1e-6f)
					fail_msg("(%u, %u): %g is not in %g .. %g", x, y, value, low, high);
				/* No jump: a cubic between 0 and 1 is never steeper than 3 a cell; here 14.4 and 9.6
				 * pixels. */
				if (x)
					assert_true(fabsf(value - out[y * W + x - 1]) <= 3.0f * SIDE / W + 1e-5f);
				if (y)
					assert_true(fabsf(value - out[(y - 1) * W + x]) <= 3.0f * SIDE / H + 1e-5f);
			}
		}
		free(out);
	}
}

static void upsampling_has_no_preferred_side(void **state)
{
	enum { W = 50, H = 41 };
	float map[SIDE * SIDE], mirror[SIDE * SIDE], *out, *back;
	unsigned x, y;

	(void)state;
	random_map(map, SIDE * SIDE, 3);
	for (x = 0; x < SIDE * SIDE; x++)
		mirror[x] = map[SIDE * SIDE - 1 - x];
	out = upsample(map, SIDE, SIDE, W, H);
	back = upsample(mirror, SIDE, SIDE, W, H);
	for (y = 0; y < H; y++)
		for (x = 0; x < W; x++)
			assert_float_equal(out[y * W + x], back[(H - 1 - y) * W + W - 1 - x], 2e-6);
	free(out);
	free(back);
}

static void upsampling_of_odd_shapes(void **state)
{
	static const unsigned shapes[][4] = {{1, 1, 1, 1},  {1, 1, 30, 20}, {7, 7, 1, 1},   {1, 9, 40, 3},
					     {9, 1, 3, 40}, {2, 2, 65, 65}, {56, 56, 7, 9}, {7, 7, 65535, 1}};
	float map[56 * 56];
	size_t i, k;

	(void)state;
	for (i = 0; i < 56 * 56; i++)
		map[i] = 0.625f;
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		float *out = upsample(map, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);

		for (k = 0; k < (size_t)shapes[i][2] * shapes[i][3]; k++)
			assert_float_equal(out[k], 0.625f, 1e-6);
		free(out);
	}
}

static adtool_image *draw_map(const float *map, double level, unsigned width, unsigned height)
{
	ad_heat heat = {map, SIDE, SIDE, level, NULL};
	adtool_image *image = NULL;
	adtool_error err;

	if (ad_heat_map(&heat, width, height, &image, &err) != 0)
		fail_msg("%s", err.message);
	return image;
}

static adtool_image *draw_over(const float *map, double level, const adtool_image *picture)
{
	ad_heat heat = {map, SIDE, SIDE, level, NULL};
	adtool_image *image = NULL;
	adtool_error err;

	if (ad_heat_overlay(&heat, picture, &image, &err) != 0)
		fail_msg("%s", err.message);
	return image;
}

static const uint8_t *pixel(const adtool_image *image, unsigned x, unsigned y)
{
	return image->pixels + ((size_t)y * image->width + x) * 3;
}

/* CIE 1976 lightness of an sRGB colour seen with all cones, or by a deuteranope or protanope (Vienot 1999). */
static double lightness(const uint8_t *rgb, int without)
{
	static const double seen[3][3] = {{0.2126, 0.7152, 0.0722}, {0.29, 0.64, 0.07}, {0.11, 0.82, 0.07}};
	double y = 0;
	int c;

	for (c = 0; c < 3; c++)
		y += seen[without][c] * (rgb[c] <= 10 ? rgb[c] / 3294.6 : pow((rgb[c] + 14.025) / 269.025, 2.4));
	return y > 0.008856 ? 116 * cbrt(y) - 16 : 903.3 * y;
}

/* A map that rises from the left edge to the right one: 0 .. `top` times the level. */
static void ramp(float *map, float top)
{
	unsigned i;

	for (i = 0; i < SIDE * SIDE; i++)
		map[i] = top * (float)(i % SIDE) / (SIDE - 1);
}

static void the_scale_is_ordered_by_lightness(void **state)
{
	float map[SIDE * SIDE];
	adtool_image *image;
	unsigned x;
	int kind;

	(void)state;
	ramp(map, 8);
	image = draw_map(map, 1, 700, 20);
	for (kind = 0; kind < 3; kind++) {
		double before = 0, first = lightness(pixel(image, 0, 5), kind),
		       last = lightness(pixel(image, 699, 5), kind);

		for (x = 0; x < 700; x++) {
			double l = lightness(pixel(image, x, 5), kind);

			if (l < before - 0.7) /* less than one can see; rounding to 8 bits */
				fail_msg("vision %d: lightness falls from %g to %g at %u", kind, before, l, x);
			before = l > before ? l : before;
		}
		assert_true(first < 15 && last > 90);
	}
	adtool_image_free(image);
}

static void one_scale_for_all_pictures(void **state)
{
	float map[SIDE * SIDE], other[SIDE * SIDE];
	adtool_image *a, *b;
	unsigned i;

	(void)state;
	random_map(map, SIDE * SIDE, 5);
	for (i = 0; i < SIDE * SIDE; i++)
		other[i] = map[i] * 1024;
	a = draw_map(map, 0.125, 224, 200);
	b = draw_map(other, 128, 224, 200);
	assert_int_equal(a->height, b->height);
	assert_memory_equal(a->pixels, b->pixels, (size_t)3 * a->width * a->height);
	adtool_image_free(a);
	adtool_image_free(b);
}

static int is_line(const uint8_t *rgb)
{
	return rgb[0] > 170 && rgb[1] > 170 && rgb[2] > 170;
}

static void calm_below_the_level_hot_above(void **state)
{
	float calm[SIDE * SIDE], hot[SIDE * SIDE];
	adtool_image *picture, *over, *map;
	unsigned x, y;

	(void)state;
	assert_int_equal(adtool_image_create(224, 200, &picture, NULL), 0);
	memset(picture->pixels, 120, (size_t)3 * 224 * 200);
	for (x = 0; x < SIDE * SIDE; x++)
		calm[x] = hot[x] = 0.5f;
	hot[3 * SIDE + 3] = 8;

	/* Calm: dark and never reddish alone; over a picture, an even and nearly gray ground without any line. */
	map = draw_map(calm, 1, 224, 200);
	over = draw_over(calm, 1, picture);
	for (y = 0; y < 200; y++) {
		for (x = 0; x < 224; x++) {
			assert_true(lightness(pixel(map, x, y), 0) < 33);
			assert_true(pixel(map, x, y)[0] <= pixel(map, x, y)[2]);
			assert_memory_equal(pixel(over, x, y), pixel(over, 0, 0), 3);
		}
	}
	assert_true(abs(pixel(over, 0, 0)[0] - pixel(over, 0, 0)[2]) < 30);
	adtool_image_free(map);
	adtool_image_free(over);

	/* Hot: bright and warm in the middle, a nearly white line around, calm outside of it. */
	map = draw_map(hot, 1, 224, 200);
	over = draw_over(hot, 1, picture);
	assert_true(lightness(pixel(map, 112, 100), 0) > 85);
	assert_true(pixel(over, 112, 100)[0] > pixel(over, 112, 100)[2] + 60);
	assert_true(lightness(pixel(map, 4, 4), 0) < 33);
	for (x = 0, y = 0; x < 224; x++)
		y += (unsigned)is_line(pixel(over, x, 100));
	assert_in_range(y, 2, 8); /* the middle row crosses it twice */
	for (x = 0, y = 0; x < 224; x++)
		y += (unsigned)is_line(pixel(over, x, 4));
	assert_int_equal(y, 0);
	adtool_image_free(map);
	adtool_image_free(over);
	adtool_image_free(picture);
}

static void drawings_have_a_legend(void **state)
{
	static const unsigned sizes[][4] = {/* picture, drawing without the legend */
					    {1, 1, 160, 160},      {28, 28, 168, 168}, {100, 700, 160, 700},
					    {159, 512, 318, 1024}, {160, 90, 160, 90}, {640, 480, 640, 480},
					    {3, 2000, 160, 2000},  {2000, 3, 2000, 3}, {65535, 1, 65535, 1},
					    {1, 65535, 160, 65535}};
	float map[SIDE * SIDE];
	size_t i;

	(void)state;
	ramp(map, 3);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		adtool_image *picture, *over, *alone;
		unsigned x, inks = 0, y;

		assert_int_equal(adtool_image_create(sizes[i][0], sizes[i][1], &picture, NULL), 0);
		over = draw_over(map, 1, picture);
		alone = draw_map(map, 1, sizes[i][0], sizes[i][1]);
		assert_int_equal(over->width, sizes[i][2]);
		assert_int_equal(alone->width, over->width);
		assert_int_equal(alone->height, over->height);
		assert_true(over->height >= sizes[i][3] + 30);
		for (y = sizes[i][3]; y < over->height; y++) {
			assert_memory_equal(pixel(over, 0, y), pixel(alone, 0, y), (size_t)3 * over->width);
			for (x = 0; x < over->width; x++)
				inks += lightness(pixel(over, x, y), 0) > 80;
		}
		assert_true(inks > 40); /* the word below the level's tick, and the hot end of the bar */
		adtool_image_free(over);
		adtool_image_free(alone);
		adtool_image_free(picture);
	}
}

static void enlarged_pictures_keep_their_pixels_square(void **state)
{
	static const uint8_t colours[4][3] = {{255, 255, 255}, {0, 0, 0}, {0, 0, 0}, {255, 255, 255}};
	float map[SIDE * SIDE] = {0};
	adtool_image *picture, *over;
	unsigned x, y;

	(void)state;
	assert_int_equal(adtool_image_create(2, 2, &picture, NULL), 0);
	memcpy(picture->pixels, colours, 12);
	over = draw_over(map, 1, picture);
	for (y = 0; y < 160; y++)
		for (x = 0; x < 160; x++)
			assert_memory_equal(pixel(over, x, y), pixel(over, x / 80 * 80, y / 80 * 80), 3);
	assert_true(lightness(pixel(over, 0, 0), 0) > lightness(pixel(over, 80, 0), 0) + 40);
	adtool_image_free(over);
	adtool_image_free(picture);
}

static void what_cannot_be_drawn_is_refused(void **state)
{
	float map[SIDE * SIDE] = {0}, out[16];
	ad_heat heat = {map, SIDE, SIDE, 1, NULL};
	adtool_image *image = NULL;
	adtool_error err;

	(void)state;
	heat.level = 0;
	assert_int_equal(ad_heat_map(&heat, 200, 200, &image, &err), ADTOOL_EINVAL);
	heat.level = NAN;
	assert_int_equal(ad_heat_map(&heat, 200, 200, &image, &err), ADTOOL_EINVAL);
	heat.level = 1;
	assert_int_equal(ad_heat_map(&heat, 0, 200, &image, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_heat_map(&heat, 200, 65536, &image, &err), ADTOOL_EINVAL);
	heat.rows = 0;
	assert_int_equal(ad_heat_map(&heat, 200, 200, &image, &err), ADTOOL_EINVAL);
	assert_int_equal(ad_heat_upsample(&heat, 4, 4, out, &err), ADTOOL_EINVAL);
	heat.rows = SIDE;
	map[8] = NAN;
	assert_int_equal(ad_heat_map(&heat, 200, 200, &image, &err), ADTOOL_ENUMERIC);
	map[8] = -1;
	assert_int_equal(ad_heat_upsample(&heat, 4, 4, out, &err), ADTOOL_ENUMERIC);
	map[8] = 3e38f; /* huge, but a number */
	heat.level = 1e-300;
	assert_int_equal(ad_heat_map(&heat, 200, 200, &image, &err), ADTOOL_EINVAL);
	heat.level = 1e-35;
	assert_int_equal(ad_heat_map(&heat, 200, 200, &image, &err), 0);
	adtool_image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(upsampling_passes_through_the_cells),
	    cmocka_unit_test(upsampling_stays_between_neighbours),
	    cmocka_unit_test(upsampling_has_no_preferred_side),
	    cmocka_unit_test(upsampling_of_odd_shapes),
	    cmocka_unit_test(the_scale_is_ordered_by_lightness),
	    cmocka_unit_test(one_scale_for_all_pictures),
	    cmocka_unit_test(calm_below_the_level_hot_above),
	    cmocka_unit_test(drawings_have_a_legend),
	    cmocka_unit_test(enlarged_pictures_keep_their_pixels_square),
	    cmocka_unit_test(what_cannot_be_drawn_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
