#include "room.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "linalg.h"

/* Samples a block of the covariance takes, about; rows of it a task computes. */
enum { SAMPLES = 1024, PANEL = 64 };

struct job {
	const ad_linalg *l;
	const float *const *maps;
	size_t n, channels, cells;
	size_t first, count;       /* the maps of this block */
	double *mean;              /* channels */
	double *block;             /* channels x (count * cells): centred samples */
	double *scatter;           /* channels x channels, lower triangle */
	unsigned char *not_finite; /* one per panel */
};

static size_t panels(const struct job *job)
{
	return (job->channels + PANEL - 1) / PANEL;
}

static size_t panel_end(const struct job *job, size_t panel)
{
	return job->channels - panel * PANEL < PANEL ? job->channels : (panel + 1) * PANEL;
}

static void mean_of_panel(void *context, size_t panel, unsigned worker)
{
	struct job *job = context;
	size_t c, m, i;

	(void)worker;
	for (c = panel * PANEL; c < panel_end(job, panel); c++) {
		double sum = 0;

		for (m = 0; m < job->n; m++)
			for (i = 0; i < job->cells; i++)
				sum += (double)job->maps[m][c * job->cells + i];
		job->mean[c] = sum / ((double)job->n * (double)job->cells);
		if (!isfinite(sum))
			job->not_finite[panel] = 1;
	}
}

static void centre_panel(void *context, size_t panel, unsigned worker)
{
	struct job *job = context;
	size_t samples = job->count * job->cells, c, m, i;

	(void)worker;
	for (c = panel * PANEL; c < panel_end(job, panel); c++)
		for (m = 0; m < job->count; m++)
			for (i = 0; i < job->cells; i++)
				job->block[c * samples + m * job->cells + i] =
				    (double)job->maps[job->first + m][c * job->cells + i] - job->mean[c];
}

static void scatter_panel(void *context, size_t panel, unsigned worker)
{
	struct job *job = context;
	size_t samples = job->count * job->cells, row = panel * PANEL, end = panel_end(job, panel);

	(void)worker;
	ad_linalg_enter(job->l);
	ad_linalg_gemm(job->l, end - row, end, samples, 1, (ad_matrix){job->block + row * samples, samples, 0},
		       (ad_matrix){job->block, samples, 1}, 1, job->scatter + row * job->channels, job->channels);
}

static size_t maps_per_block(size_t cells)
{
	return cells < SAMPLES ? SAMPLES / cells : 1;
}

uint64_t ad_channels_memory(size_t channels, size_t cells)
{
	return ad_eigen_bytes(channels) +
	       sizeof(double) * (uint64_t)channels * (channels + 1 + (uint64_t)maps_per_block(cells) * cells);
}

int ad_channels_fit(const float *const *maps, size_t n, size_t channels, size_t cells, size_t keep, ad_pool *pool,
		    ad_channels *out, adtool_error *err)
{
	struct job job = {.maps = maps, .n = n, .channels = channels, .cells = cells};
	ad_channels result = {.from = channels, .to = keep};
	ad_linalg *l = NULL;
	ad_eigen eigen = {0};
	size_t i, per_block, j;
	int code, threads = 0, info;

	if (!n || !cells || !keep || keep > channels || channels > AD_LINALG_MAX)
		return ad_fail(err, ADTOOL_EINVAL, "cannot keep %zu of %zu channels of %zu maps of %zu cells", keep,
			       channels, n, cells);
	code = ad_linalg_open(&l, err);
	if (code)
		return code;
	threads = ad_linalg_begin(l);
	per_block = maps_per_block(cells);
	job.l = l;
	job.mean = ad_malloc_aligned(channels, sizeof(double));
	job.block = ad_malloc_aligned(channels, per_block * cells * sizeof(double));
	job.scatter = ad_malloc_aligned(channels * channels, sizeof(double));
	job.not_finite = ad_calloc(panels(&job), 1);
	result.mean = ad_malloc_aligned(channels, sizeof(float));
	result.basis = ad_malloc_aligned(channels, keep * sizeof(float));
	if (!job.mean || !job.block || !job.scatter || !job.not_finite || !result.mean || !result.basis) {
		code = ad_fail_nomem(err);
		goto out;
	}
	ad_pool_run(pool, mean_of_panel, &job, panels(&job));
	for (i = 0; i < panels(&job); i++)
		if (job.not_finite[i]) {
			code = ad_fail(err, ADTOOL_ENUMERIC, "the features of some picture are not finite");
			goto out;
		}
	memset(job.scatter, 0, channels * channels * sizeof(double));
	for (job.first = 0; job.first < n; job.first += per_block) {
		job.count = n - job.first < per_block ? n - job.first : per_block;
		ad_pool_run(pool, centre_panel, &job, panels(&job));
		ad_pool_run(pool, scatter_panel, &job, panels(&job));
	}
	ad_linalg_mirror(job.scatter, channels);
	code = ad_eigen_create(channels, &eigen, err);
	if (code)
		goto out;
	info = ad_eigen_values(l, &eigen, job.scatter, channels);
	if (!info)
		info = ad_eigen_vectors(l, &eigen, keep);
	if (info) {
		code =
		    ad_fail(err, ADTOOL_ENUMERIC, "LAPACK cannot decompose the channels' covariance (info %d)", info);
		goto out;
	}
	for (i = 0; i < channels; i++)
		result.mean[i] = (float)job.mean[i];
	for (j = 0; j < keep; j++) {
		ad_fix_sign(eigen.vectors + j * channels, channels);
		for (i = 0; i < channels; i++)
			result.basis[j * channels + i] = (float)eigen.vectors[j * channels + i];
	}
	*out = result;
	result = (ad_channels){0};
out:
	ad_channels_release(&result);
	ad_eigen_release(&eigen);
	ad_free(job.not_finite);
	ad_free_aligned(job.scatter);
	ad_free_aligned(job.block);
	ad_free_aligned(job.mean);
	ad_linalg_end(l, threads);
	ad_linalg_close(l);
	return code;
}

void ad_channels_release(ad_channels *c)
{
	if (!c)
		return;
	ad_free_aligned(c->mean);
	ad_free_aligned(c->basis);
	*c = (ad_channels){0};
}

void ad_fix_sign(double *row, size_t n)
{
	size_t i, largest = 0;

	for (i = 1; i < n; i++)
		if (fabs(row[i]) > fabs(row[largest]))
			largest = i;
	if (n && row[largest] < 0)
		for (i = 0; i < n; i++)
			row[i] = -row[i];
}

enum { CHUNK = 128, ROWS = 128, BLOCKS = 2 };

/*
 * A matrix product in the shape of the convolution kernel: the rows of the basis are its pixels, a few cells of the
 * centred map its packed weights. Sums go over CHUNK channels at a time.
 */
void ad_channels_apply(const ad_channels *c, const float *map, size_t cells, float *out)
{
	const ad_kernels *k = ad_detect_kernels();
	float x[CHUNK * BLOCKS * AD_VL_MAX], sums[BLOCKS * ROWS * AD_VL_MAX];
	size_t vl = k->vl, most = BLOCKS * vl, width, rows, begin, n, i, j;

	for (size_t cell = 0; cell < cells; cell += width) {
		width = cells - cell < most ? cells - cell : most;
		for (size_t row = 0; row < c->to; row += rows) {
			ad_conv_args a = {.pixel = c->from,
					  .n = {1, 1, 1},
					  .w = x,
					  .blocks = width > vl ? BLOCKS : 1,
					  .out = sums,
					  .out_block = ROWS * vl,
					  .res_block = ROWS * vl};

			a.pixels = rows = c->to - row < ROWS ? c->to - row : ROWS;
			begin = 0;
			do {
				a.run = a.last = n = c->from - begin < CHUNK ? c->from - begin : CHUNK;
				for (i = 0; i < n; i++) {
					const float *from = map + (begin + i) * cells + cell;
					float *to = x + i * a.blocks * vl, mean = c->mean[begin + i];

					for (j = 0; j < width; j++)
						to[j] = from[j] - mean;
					for (; j < a.blocks * vl; j++)
						to[j] = 0;
				}
				a.in = c->basis + row * c->from + begin;
				k->conv(&a);
				a.res = sums;
				begin += n;
			} while (begin < c->from);
			for (i = 0; i < rows; i++)
				for (j = 0; j < width; j++)
					out[(row + i) * cells + cell + j] = sums[(j / vl * ROWS + i) * vl + j % vl];
		}
	}
}
