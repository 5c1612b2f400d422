/* What a fit keeps: how many components, the detector, the scores that calibrate it. */
#include "fit.h"

#include <float.h>
#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

struct ad_choice ad_fit_choose(const ad_fit_options *o, const double *values, size_t count, size_t n, double largest)
{
	struct ad_choice c = {.n = n, .kept = 1};
	size_t d = o->dimensions, order = smaller(smaller(n, d), count), rank = 0, i;
	double tolerance = (double)larger(n, d) * DBL_EPSILON * fmax(values[0], largest), total = 0, sum = 0;

	while (rank < order && values[rank] > tolerance)
		total += values[rank++];
	if (o->method == ADTOOL_FRE) {
		size_t limit = smaller(rank, smaller(n - 2, d - 1));

		if (o->components == SIZE_MAX)
			for (; c.k < limit && sum < o->energy * total; c.k++)
				sum += values[c.k];
		else
			c.k = smaller(o->components, limit);
	} else {
		size_t all = smaller(n, d);

		if (o->components != SIZE_MAX) {
			c.k = smaller(rank, o->components);
		} else {
			/* Ten directions are the noise's; as many as N pictures leave of ten where there are fewer. */
			c.k = all > 10 ? all - 10 : 0;
			if (c.k + 9 > rank)
				c.k = rank > 9 ? rank - 9 : 0;
		}
		for (sum = 0, i = c.k; i < rank; i++)
			sum += values[i];
		if (c.k < rank)
			c.noise = sum / (double)(all - c.k) / (double)(n - 1);
	}
	for (sum = 0, i = 0; i < c.k; i++)
		sum += values[i];
	if (total > 0)
		c.kept = sum / total;
	return c;
}

int ad_fit_fail_noise(const struct ad_choice *c, int refit, adtool_error *err)
{
	return ad_fail(err, ADTOOL_ENUMERIC,
		       "%zu pictures%s have no variance beyond %zu components, so ppca has none left "
		       "for the noise; give it fewer components, or pictures that differ more",
		       c->n, refit ? " (those of a calibration refit)" : "", c->k);
}

int ad_fit_fail_lapack(int info, adtool_error *err)
{
	return ad_fail(err, ADTOOL_ENUMERIC, "LAPACK finds no eigenvalues (info %d)", info);
}

int ad_fit_fail_same(size_t n, adtool_error *err)
{
	return ad_fail(err, ADTOOL_ENUMERIC, "all %zu pictures have the same features: there is nothing to learn from",
		       n);
}

int ad_fit_detector(const ad_fit_options *o, const struct ad_choice *c, ad_detector *out, adtool_error *err)
{
	ad_detector d = {
	    .method = o->method,
	    .dimensions = o->dimensions,
	    .cells = o->cells,
	    .components = c->k,
	    .aggregate = o->aggregate,
	    .top = o->top,
	    .noise_variance = c->noise,
	};

	if (o->method == ADTOOL_PPCA && !(c->noise > 0))
		return ad_fit_fail_noise(c, 0, err);
	d.variances = ad_malloc_aligned(c->k, sizeof(double));
	if (o->method == ADTOOL_FRE) {
		d.mean32 = ad_malloc_aligned(o->dimensions, sizeof(float));
		d.rows32 = ad_malloc_aligned(o->dimensions, c->k * sizeof(float));
	} else {
		d.mean = ad_malloc_aligned(o->dimensions, sizeof(double));
		d.rows = ad_malloc_aligned(o->dimensions, c->k * sizeof(double));
	}
	if (!d.variances || (!d.mean32 && !d.mean) || (!d.rows32 && !d.rows)) {
		ad_detector_release(&d);
		return ad_fail_nomem(err);
	}
	*out = d;
	return 0;
}

void ad_fit_set_mean(ad_detector *d, const double *mean)
{
	size_t i;

	for (i = 0; i < d->dimensions; i++) {
		if (d->mean32)
			d->mean32[i] = (float)mean[i];
		else
			d->mean[i] = mean[i];
	}
}

int ad_fit_calibration(const ad_fit_options *o, size_t n, ad_calibration *out, adtool_error *err)
{
	ad_calibration c = {.n = n, .cells = o->cells};

	c.scores = ad_malloc_array(n, sizeof(double));
	c.index = ad_malloc_array(n, sizeof(size_t));
	if (o->method == ADTOOL_PPCA)
		c.q = ad_malloc_array(n, sizeof(double));
	else
		c.peaks = ad_malloc_array(n, sizeof(double));
	if (o->keep_maps && c.peaks)
		c.maps = ad_malloc_aligned(n, o->cells * sizeof(float));
	if (!c.scores || !c.index || (!c.peaks && !c.q) || (o->keep_maps && c.peaks && !c.maps)) {
		ad_calibration_release(&c);
		return ad_fail_nomem(err);
	}
	*out = c;
	return 0;
}

void ad_calibration_release(ad_calibration *c)
{
	if (!c)
		return;
	ad_free(c->scores);
	ad_free(c->index);
	ad_free(c->peaks);
	ad_free_aligned(c->maps);
	ad_free(c->q);
	ad_free(c->picture);
	ad_free(c->near);
	ad_free(c->distance2);
	*c = (ad_calibration){0};
}

void ad_fit_set_score(const ad_fit_options *o, ad_calibration *c, size_t i, const double *residual, double q,
		      double noise, double shift)
{
	size_t cell;

	if (c->q) {
		c->q[i] = q + residual[0] / noise;
		c->scores[i] = c->q[i] / 2 + shift;
		return;
	}
	c->scores[i] = ad_aggregate_double(residual, o->cells, o->aggregate, o->top);
	c->peaks[i] = residual[0];
	for (cell = 1; cell < o->cells; cell++)
		c->peaks[i] = fmax(c->peaks[i], residual[cell]);
	for (cell = 0; c->maps && cell < o->cells; cell++)
		c->maps[i * o->cells + cell] = (float)residual[cell];
}
