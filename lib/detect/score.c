/*
 * Scoring, without BLAS: every row goes through the same operations in the same order whatever stands beside it.
 * Rows go in blocks, so that the components are read from memory once a block. A dot product's error is that of a few
 * hundred float additions, of values that are small beside |a|.
 */
#include "room.h"

#include <math.h>

#include "../base/mem.h"

/* With fewer rows than this, memory decides: components are read once. */
enum { FEW = 4 };

/*
 * r -= V V^T a for n rows of each, r being a copy of a. z: n x k. Few rows go through a group of components at a time,
 * which is then still in the cache when it is subtracted; many go through all, cut by the kernels. Same bits.
 */
static void remove_components(const ad_detector *d, size_t n, const float *a, float *r, double *sums, float *z)
{
	const ad_kernels *k = ad_detect_kernels();
	size_t dims = d->dimensions, group = n < FEW ? AD_SUBTRACT_GROUP : d->components, count, j, i;

	for (j = 0; j < d->components; j += count) {
		ad_dots_args dots = {
		    .v = d->rows32 + j * dims, .v_step = dims, .a = a, .a_step = dims, .rows = n, .n = dims};
		ad_subtract_args subtract = {
		    .v = dots.v, .v_step = dims, .z = z, .r = r, .r_step = dims, .rows = n, .n = dims};

		count = d->components - j < group ? d->components - j : group;
		dots.count = subtract.count = subtract.z_step = count;
		dots.out = memset(sums, 0, n * count * sizeof(*sums));
		k->dots(&dots);
		for (i = 0; i < n * count; i++)
			z[i] = (float)sums[i];
		k->subtract(&subtract);
	}
}

/* What scoring up to AD_SCORE_ROWS rows needs. */
struct room {
	double *sums;              /* rows x k, or one per cell */
	float *centred, *residual; /* rows x D */
	float *z;                  /* rows x k */
	float *map;                /* one per cell */
};

static void score_fre(const ad_detector *d, size_t n, const float *const *rows, double *scores, float *maps,
		      const struct room *room)
{
	size_t dims = d->dimensions, channels = dims / d->cells, row, i, c;

	for (row = 0; row < n; row++)
		for (i = 0; i < dims; i++)
			room->centred[row * dims + i] = rows[row][i] - d->mean32[i];
	memcpy(room->residual, room->centred, n * dims * sizeof(*room->residual));
	remove_components(d, n, room->centred, room->residual, room->sums, room->z);
	for (row = 0; row < n; row++) {
		float *to = maps ? maps + row * d->cells : room->map;

		for (i = 0; i < d->cells; i++)
			room->sums[i] = 0;
		for (c = 0; c < channels; c++)
			for (i = 0; i < d->cells; i++) {
				double r = (double)room->residual[row * dims + c * d->cells + i];

				room->sums[i] += r * r;
			}
		for (i = 0; i < d->cells; i++)
			to[i] = (float)room->sums[i];
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

static size_t block_of(size_t n)
{
	return n < AD_SCORE_ROWS ? n : AD_SCORE_ROWS;
}

static size_t sums_of(const ad_detector *d, size_t block)
{
	return block * d->components > d->cells ? block * d->components : d->cells;
}

size_t ad_detector_scratch(const ad_detector *d, size_t n)
{
	size_t block = block_of(n);

	if (d->method == ADTOOL_PPCA)
		return 2 * d->dimensions * sizeof(double);
	return sums_of(d, block) * sizeof(double) +
	       (block * (2 * d->dimensions + d->components) + d->cells) * sizeof(float);
}

void ad_detector_score(const ad_detector *d, size_t n, const float *const *rows, double *scores, float *maps,
		       void *scratch)
{
	size_t block = block_of(n), done, dims = d->dimensions;
	struct room room = {.sums = scratch};

	if (d->method == ADTOOL_PPCA) {
		double *centred = scratch;

		for (done = 0; done < n; done++)
			scores[done] = score_ppca(d, rows[done], centred, centred + dims);
		return;
	}
	room.centred = (float *)(room.sums + sums_of(d, block));
	room.residual = room.centred + block * dims;
	room.z = room.residual + block * dims;
	room.map = room.z + block * d->components;
	for (done = 0; done < n; done += block)
		score_fre(d, n - done < block ? n - done : block, rows + done, scores + done,
			  maps ? maps + done * d->cells : NULL, &room);
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
