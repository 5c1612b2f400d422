#include "room.h"

#include <math.h>

void ad_pool_grid(const float *map, size_t channels, size_t height, size_t width, size_t g, float *out)
{
	size_t c, i, j, y, x;

	for (c = 0; c < channels; c++, map += height * width) {
		for (i = 0; i < g; i++) {
			size_t top = i * height / g, bottom = ((i + 1) * height + g - 1) / g;

			for (j = 0; j < g; j++) {
				size_t left = j * width / g, right = ((j + 1) * width + g - 1) / g;
				double sum = 0;

				for (y = top; y < bottom; y++)
					for (x = left; x < right; x++)
						sum += (double)map[y * width + x];
				*out++ = (float)(sum / (double)((bottom - top) * (right - left)));
			}
		}
	}
}

/* A value as an integer of the same order; -0 and 0 are the same. */
static uint64_t rank_of(double value)
{
	uint64_t bits;

	value += 0.0;
	memcpy(&bits, &value, sizeof(bits));
	return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

static double value_of(uint64_t rank)
{
	uint64_t bits = rank >> 63 ? rank & ~((uint64_t)1 << 63) : ~rank;
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* values: doubles if wide, else floats. */
static double get(const void *values, int wide, size_t i)
{
	return wide ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

/* The take-th largest value, by bisection over ranks: it needs no memory and no order of its own. */
static double nth_largest(const void *values, int wide, size_t n, size_t take)
{
	uint64_t low = 0, high = UINT64_MAX; /* at least `take` values have rank >= low */

	while (low < high) {
		uint64_t middle = high - (high - low) / 2;
		size_t count = 0, i;

		for (i = 0; i < n; i++)
			count += rank_of(get(values, wide, i)) >= middle;
		if (count >= take)
			low = middle;
		else
			high = middle - 1;
	}
	return value_of(low);
}

static double aggregate(const void *map, int wide, size_t cells, enum adtool_aggregate how, double top)
{
	double sum = 0, limit;
	size_t take = 1, above = 0, i;

	for (i = 0; i < cells; i++)
		sum += get(map, wide, i);
	/* NaN cannot be ordered; it comes out as it is. */
	if (how == ADTOOL_SUM || isnan(sum))
		return sum;
	if (how == ADTOOL_TOP) {
		double wanted = ceil(top * (double)cells - 1e-9);

		take = wanted < 1 ? 1 : wanted > (double)cells ? cells : (size_t)wanted;
	}
	limit = nth_largest(map, wide, cells, take);
	for (sum = 0, i = 0; i < cells; i++) {
		double value = get(map, wide, i);

		if (value > limit) {
			sum += value;
			above++;
		}
	}
	return (sum + (double)(take - above) * limit) / (double)take;
}

double ad_aggregate(const float *map, size_t cells, enum adtool_aggregate how, double top)
{
	return aggregate(map, 0, cells, how, top);
}

double ad_aggregate_double(const double *map, size_t cells, enum adtool_aggregate how, double top)
{
	return aggregate(map, 1, cells, how, top);
}
