/*
 * Scoring, without BLAS: every row goes through the same operations in the same order whatever stands beside it.
 * Rows go in blocks, so that the components are read from memory once a block. A dot product's error is that of a few
 * hundred float additions, of values that are small beside |a|.
 */
#include "room.h"

#include <math.h>

#include "../base/mem.h"

enum { BLOCK = 8 };

/* r -= V_g V_g^T a for the components of one group. */
static void remove_group(const ad_kernels *k, const float *const *v, size_t count, const float *a, float *r, size_t n)
{
	double sums[AD_DOTS_MAX];
	float z[AD_DOTS_MAX];
	ad_dots_args dots = {.count = count, .a = a, .n = n, .out = sums};
	ad_subtract_args subtract = {.z = z, .count = count, .r = r, .n = n};

	memcpy(dots.v, v, count * sizeof(*v));
	memcpy(subtract.v, v, count * sizeof(*v));
	k->dots(&dots);
	for (size_t j = 0; j < count; j++)
		z[j] = (float)sums[j];
	k->subtract(&subtract);
}

/* centred, residual: rows x D each; cells: as many doubles as a map has cells. */
static void score_fre(const ad_detector *d, size_t n, const float *rows, double *scores, float *maps, float *centred,
		      float *residual, double *sums, float *map)
{
	const ad_kernels *k = ad_detect_kernels();
	size_t dims = d->dimensions, channels = dims / d->cells, row, i, j, c;

	for (row = 0; row < n; row++)
		for (i = 0; i < dims; i++)
			centred[row * dims + i] = rows[row * dims + i] - d->mean32[i];
	memcpy(residual, centred, n * dims * sizeof(*residual));
	for (j = 0; j < d->components; j += AD_DOTS_MAX) {
		size_t count = d->components - j < AD_DOTS_MAX ? d->components - j : AD_DOTS_MAX;
		const float *v[AD_DOTS_MAX];

		for (i = 0; i < count; i++)
			v[i] = d->rows32 + (j + i) * dims;
		for (row = 0; row < n; row++)
			remove_group(k, v, count, centred + row * dims, residual + row * dims, dims);
	}
	for (row = 0; row < n; row++) {
		float *to = maps ? maps + row * d->cells : map;

		for (i = 0; i < d->cells; i++)
			sums[i] = 0;
		for (c = 0; c < channels; c++)
			for (i = 0; i < d->cells; i++) {
				double r = (double)residual[row * dims + c * d->cells + i];

				sums[i] += r * r;
			}
		for (i = 0; i < d->cells; i++)
			to[i] = (float)sums[i];
		scores[row] = ad_aggregate(to, d->cells, d->aggregate, d->top);
	}
}

static double score_ppca(const ad_detector *d, const float *row, double *centred, double *residual)
{
	size_t dims = d->dimensions, i, j;
	double q = 0, squares = 0;

	for (i = 0; i < dims; i++)
		centred[i] = residual[i] = (double)row[i] - d->mean[i];
	for (j = 0; j < d->components; j++) {
		const double *v = d->rows + j * dims;
		double part[4] = {0}, z;

		for (i = 0; i + 4 <= dims; i += 4) {
			part[0] += v[i] * centred[i];
			part[1] += v[i + 1] * centred[i + 1];
			part[2] += v[i + 2] * centred[i + 2];
			part[3] += v[i + 3] * centred[i + 3];
		}
		z = (part[0] + part[1]) + (part[2] + part[3]);
		for (; i < dims; i++)
			z += v[i] * centred[i];
		for (i = 0; i < dims; i++)
			residual[i] -= z * v[i];
		q += z * z / d->variances[j];
	}
	for (i = 0; i < dims; i++)
		squares += residual[i] * residual[i];
	return (q + squares / d->noise_variance) / 2 + ad_detector_shift(d);
}

const ad_kernels *ad_detect_kernels(void)
{
	const ad_kernels *k;

	/* A name in the environment that is none was refused when the plan was made. */
	return ad_kernels_get(&k, NULL) ? ad_kernels_scalar(4) : k;
}

double ad_detector_shift(const ad_detector *d)
{
	if (d->method == ADTOOL_FRE)
		return 0;
	return ad_ppca_shift(d->variances, d->components, d->noise_variance, d->dimensions);
}

double ad_ppca_shift(const double *variances, size_t k, double noise, size_t dimensions)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < k; i++)
		sum += log(variances[i]);
	return 0.5 *
	       (sum + (double)(dimensions - k) * log(noise) + (double)dimensions * log(2 * 3.14159265358979323846));
}

size_t ad_detector_scratch(const ad_detector *d, size_t n)
{
	size_t block = n < BLOCK ? n : BLOCK;

	if (d->method == ADTOOL_PPCA)
		return 2 * d->dimensions * sizeof(double);
	return d->cells * sizeof(double) + (2 * block * d->dimensions + d->cells) * sizeof(float);
}

void ad_detector_score(const ad_detector *d, size_t n, const float *rows, double *scores, float *maps, void *scratch)
{
	size_t block = n < BLOCK ? n : BLOCK, done, dims = d->dimensions;

	if (d->method == ADTOOL_PPCA) {
		double *centred = scratch;

		for (done = 0; done < n; done++)
			scores[done] = score_ppca(d, rows + done * dims, centred, centred + dims);
		return;
	}
	for (done = 0; done < n; done += block) {
		double *sums = scratch;
		float *centred = (float *)(sums + d->cells), *residual = centred + block * dims;
		size_t count = n - done < block ? n - done : block;

		score_fre(d, count, rows + done * dims, scores + done, maps ? maps + done * d->cells : NULL, centred,
			  residual, sums, residual + block * dims);
	}
}

void ad_detector_release(ad_detector *d)
{
	if (!d)
		return;
	ad_free_aligned(d->mean);
	ad_free_aligned(d->mean32);
	ad_free_aligned(d->rows);
	ad_free_aligned(d->rows32);
	ad_free_aligned(d->variances);
	*d = (ad_detector){0};
}
