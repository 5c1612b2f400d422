/*
 * Scoring, without BLAS: every row goes through the same operations in the same order whatever stands beside it.
 * Rows go in blocks, so that the components are read from memory once a block.
 */
#include "room.h"

#include <math.h>

#include "../base/mem.h"

enum { BLOCK = 8, GROUP = 4, LANES = 4, CHUNK = 512 };

/* Four floats side by side, at any address; the compiler makes of it what the machine has. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

static const lanes *at(const float *p)
{
	return (const lanes *)(const void *)p;
}

/*
 * dots[j] = <v_j, a> for `count` rows v_j. Products are summed in lanes over a chunk, the chunks in double: the
 * error is that of a few hundred float additions, of values that are small beside |a|.
 */
static inline __attribute__((always_inline)) void dot_rows(const float *const *v, size_t count, const float *a,
							   size_t n, double *dots)
{
	size_t begin, i, j, lane;

	for (j = 0; j < count; j++)
		dots[j] = 0;
	for (begin = 0; begin < n; begin += CHUNK) {
		size_t end = n - begin < CHUNK ? n : begin + CHUNK, whole = begin + (end - begin) / LANES * LANES;
		lanes sums[GROUP] = {{0}};

		for (i = begin; i < whole; i += LANES)
			for (j = 0; j < count; j++)
				sums[j] += *at(v[j] + i) * *at(a + i);
		for (j = 0; j < count; j++) {
			double sum = 0;

			for (lane = 0; lane < LANES; lane++)
				sum += (double)sums[j][lane];
			for (i = whole; i < end; i++)
				sum += (double)v[j][i] * (double)a[i];
			dots[j] += sum;
		}
	}
}

/* r -= sum_j z_j v_j */
static inline __attribute__((always_inline)) void subtract_rows(const float *const *v, size_t count, const float *z,
								float *r, size_t n)
{
	size_t whole = n / LANES * LANES, i, j;

	for (i = 0; i < whole; i += LANES) {
		lanes sum = z[0] * *at(v[0] + i);

		for (j = 1; j < count; j++)
			sum += z[j] * *at(v[j] + i);
		*(lanes *)(void *)(r + i) -= sum;
	}
	for (; i < n; i++) {
		float sum = z[0] * v[0][i];

		for (j = 1; j < count; j++)
			sum += z[j] * v[j][i];
		r[i] -= sum;
	}
}

/* r -= V_g V_g^T a for the components of one group. */
static void remove_group(const float *const *v, size_t count, const float *a, float *r, size_t n)
{
	double dots[GROUP];
	float z[GROUP];
	size_t j;

	/* A constant count lets the compiler keep the sums in registers. */
	if (count == GROUP)
		dot_rows(v, GROUP, a, n, dots);
	else
		dot_rows(v, count, a, n, dots);
	for (j = 0; j < count; j++)
		z[j] = (float)dots[j];
	if (count == GROUP)
		subtract_rows(v, GROUP, z, r, n);
	else
		subtract_rows(v, count, z, r, n);
}

/* centred, residual: rows x D each; cells: as many doubles as a map has cells. */
static void score_fre(const ad_detector *d, size_t n, const float *rows, double *scores, float *maps, float *centred,
		      float *residual, double *sums, float *map)
{
	size_t dims = d->dimensions, channels = dims / d->cells, row, i, j, c;

	for (row = 0; row < n; row++)
		for (i = 0; i < dims; i++)
			centred[row * dims + i] = rows[row * dims + i] - d->mean32[i];
	memcpy(residual, centred, n * dims * sizeof(*residual));
	for (j = 0; j < d->components; j += GROUP) {
		size_t count = d->components - j < GROUP ? d->components - j : GROUP;
		const float *v[GROUP];

		for (i = 0; i < count; i++)
			v[i] = d->rows32 + (j + i) * dims;
		for (row = 0; row < n; row++)
			remove_group(v, count, centred + row * dims, residual + row * dims, dims);
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
