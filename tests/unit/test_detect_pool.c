#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/base/rng.h"
#include "../../lib/detect/detect.h"

/* Every cell is the mean of the rows and columns that its share of the map touches. */
static void test_pool_naive(void **unused)
{
	static const size_t sizes[][3] = {
	    {14, 14, 7}, {7, 7, 7}, {13, 17, 7},  {8, 7, 7},    {1, 1, 1},
	    {56, 56, 7}, {5, 9, 1}, {20, 11, 11}, {25, 33, 10},
	};
	enum { CHANNELS = 3 };
	ad_rng rng;
	size_t s, c, i, j, y, x;

	(void)unused;
	ad_rng_seed(&rng, 1);
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t height = sizes[s][0], width = sizes[s][1], g = sizes[s][2];
		float *map = test_malloc(CHANNELS * height * width * sizeof(float));
		float *out = test_malloc(CHANNELS * g * g * sizeof(float));

		for (i = 0; i < CHANNELS * height * width; i++)
			map[i] = (float)ad_rng_normal(&rng);
		ad_pool_grid(map, CHANNELS, height, width, g, out);
		for (c = 0; c < CHANNELS; c++)
			for (i = 0; i < g; i++)
				for (j = 0; j < g; j++) {
					double sum = 0, count = 0;

					for (y = 0; y < height; y++)
						for (x = 0; x < width; x++)
							if ((y + 1) * g > i * height && y * g < (i + 1) * height &&
							    (x + 1) * g > j * width && x * g < (j + 1) * width) {
								sum += (double)map[(c * height + y) * width + x];
								count++;
							}
					assert_true(fabs((double)out[(c * g + i) * g + j] - sum / count) <=
						    1e-7 * (1 + fabs(sum)));
				}
		test_free(map);
		test_free(out);
	}
}

/* torch.nn.functional.adaptive_avg_pool2d(torch.arange(25.).reshape(1, 1, 5, 5), 3): rows 0-1, 1-3, 3-4. */
static void test_pool_known(void **unused)
{
	static const float expected[] = {3, 4.5f, 6, 10.5f, 12, 13.5f, 18, 19.5f, 21};
	float map[25], out[9];
	size_t i;

	(void)unused;
	for (i = 0; i < 25; i++)
		map[i] = (float)i;
	ad_pool_grid(map, 1, 5, 5, 3, out);
	assert_memory_equal(out, expected, sizeof(out));
}

static int descending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x < y) - (x > y);
}

static void test_aggregate(void **unused)
{
	ad_rng rng;
	int round;

	(void)unused;
	ad_rng_seed(&rng, 2);
	for (round = 0; round < 500; round++) {
		size_t n = 1 + (size_t)ad_rng_below(&rng, 120), take, i, percent = 1 + (size_t)ad_rng_below(&rng, 100);
		float map[120], sorted[120];
		double sum = 0, all = 0;

		for (i = 0; i < n; i++)
			sorted[i] = map[i] = round % 3 == 0   ? (float)ad_rng_below(&rng, 4)
					     : round % 3 == 1 ? (float)exp(3 * ad_rng_normal(&rng))
							      : (float)ad_rng_normal(&rng);
		qsort(sorted, n, sizeof(float), descending);
		take = (percent * n + 99) / 100;
		for (i = 0; i < n; i++) {
			all += (double)sorted[i];
			sum += i < take ? (double)sorted[i] : 0;
		}
		assert_true(fabs(ad_aggregate(map, n, ADTOOL_TOP, (double)percent / 100) - sum / (double)take) <=
			    1e-12 * (fabs(all) + 100));
		assert_true(ad_aggregate(map, n, ADTOOL_MAX, 0.5) == (double)sorted[0]);
		assert_true(fabs(ad_aggregate(map, n, ADTOOL_SUM, 0.5) - all) <= 1e-12 * (fabs(all) + 100));
		map[n / 2] = NAN;
		assert_true(isnan(ad_aggregate(map, n, ADTOOL_TOP, 0.1)));
		assert_true(isnan(ad_aggregate(map, n, ADTOOL_MAX, 0.1)));
	}
	{
		/* Fractions that doubles cannot hold: 0.1 of 70 is 7 cells, 0.3 of 10 is 3. */
		float map[70];

		for (round = 0; round < 70; round++)
			map[round] = (float)round;
		assert_true(ad_aggregate(map, 70, ADTOOL_TOP, 0.1) == 66);
		assert_true(ad_aggregate(map, 10, ADTOOL_TOP, 0.3) == 8);
		assert_true(ad_aggregate(map, 49, ADTOOL_TOP, 0.1) == 46);
		map[3] = INFINITY;
		assert_true(isinf(ad_aggregate(map, 70, ADTOOL_TOP, 0.1)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pool_naive),
	    cmocka_unit_test(test_pool_known),
	    cmocka_unit_test(test_aggregate),
	};

	return cmocka_run_group_tests_name("pooling", tests, NULL, NULL);
}
