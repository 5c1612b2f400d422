/* Fitting and calibration: rows come in, a detector and the scores of pictures that it has not seen come out. */
#include "fit.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

static int check_options(const ad_fit_options *o, adtool_error *err)
{
	size_t order = smaller(o->pictures, o->dimensions);

	if (o->pictures < 3)
		return ad_fail(err, ADTOOL_EINVAL, "%zu pictures; at least 3 are needed", o->pictures);
	if (!o->dimensions || !o->cells || o->dimensions % o->cells || (o->method == ADTOOL_PPCA && o->cells != 1))
		return ad_fail(err, ADTOOL_EINVAL, "rows of %zu values in %zu cells cannot be", o->dimensions,
			       o->cells);
	if (o->method == ADTOOL_FRE && o->components == SIZE_MAX && !(o->energy > 0 && o->energy <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "energy %g: it must be above 0 and at most 1", o->energy);
	if (o->method == ADTOOL_FRE && !(o->top > 0 && o->top <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "top fraction %g: it must be above 0 and at most 1", o->top);
	if (order > AD_LINALG_MAX)
		return ad_fail(err, ADTOOL_ELIMIT,
			       "%zu pictures of %zu dimensions: the smaller of the two may be at most %d", o->pictures,
			       o->dimensions, AD_LINALG_MAX);
	return 0;
}

int ad_fitter_create(const ad_fit_options *options, ad_fitter **out, adtool_error *err)
{
	ad_fitter *f;
	int code = check_options(options, err);

	if (code)
		return code;
	f = ad_calloc(1, sizeof(*f));
	if (!f)
		return ad_fail_nomem(err);
	f->o = *options;
	code = ad_linalg_open(&f->l, err);
	if (code)
		goto fail;
	f->came = ad_calloc(options->pictures, 1);
	if (!f->came)
		code = ad_fail_nomem(err);
	else if (options->pictures >= options->dimensions)
		code = ad_fit_covariance_create(f, err);
	else if (!(f->rows = ad_malloc_aligned(options->pictures, options->dimensions * sizeof(float))))
		code = ad_fail_nomem(err);
	if (code)
		goto fail;
	*out = f;
	return 0;
fail:
	ad_fitter_free(f);
	return code;
}

int ad_fitter_add(ad_fitter *f, size_t index, const float *row, adtool_error *err)
{
	size_t d = f->o.dimensions, i;

	if (index >= f->o.pictures)
		return ad_fail(err, ADTOOL_EINVAL, "picture %zu of %zu cannot be added", index + 1, f->o.pictures);
	if (f->came[index])
		return ad_fail(err, ADTOOL_EINVAL, "picture %zu of %zu cannot be added twice", index + 1,
			       f->o.pictures);
	for (i = 0; i < d; i++)
		if (!isfinite(row[i]))
			return ad_fail(err, ADTOOL_ENUMERIC, "feature %zu of %zu is %g, not a finite number", i + 1, d,
				       (double)row[i]);
	f->came[index] = 1;
	f->added++;
	if (f->covariance)
		ad_fit_covariance_add(f, index, row);
	else
		memcpy(f->rows + index * d, row, d * sizeof(float));
	return 0;
}

void ad_fitter_free(ad_fitter *f)
{
	if (!f)
		return;
	ad_linalg_close(f->l);
	ad_free(f->came);
	ad_free(f->index);
	ad_free(f->held);
	ad_free(f->held_index);
	ad_free_aligned(f->rows);
	ad_free_aligned(f->first);
	ad_free_aligned(f->sum);
	ad_free_aligned(f->scatter);
	ad_free_aligned(f->batch);
	ad_free(f);
}

void ad_fit_advance(struct ad_progress *p, unsigned worker)
{
	size_t done = atomic_fetch_add(&p->done, 1) + 1;

	if (p->fn && !worker)
		p->fn(p->context, done, p->total);
}

int ad_fitter_drop(ad_fitter *f, const size_t *drop, size_t count, adtool_error *err)
{
	size_t d = f->o.dimensions, i, j, n = 0;

	if (f->covariance || !f->index)
		return ad_fail(err, ADTOOL_EINVAL, "no rows are kept that could be dropped");
	for (i = 0; i < f->added; i++) {
		for (j = 0; j < count && drop[j] != f->index[i]; j++)
			;
		if (j < count)
			continue;
		if (i > n)
			memcpy(f->rows + n * d, f->rows + i * d, d * sizeof(float));
		f->index[n++] = f->index[i];
	}
	i = f->added - n;
	f->added = n;
	return i == count ? 0 : ad_fail(err, ADTOOL_EINVAL, "of %zu pictures to drop %zu were found", count, i);
}

int ad_fitter_finish(ad_fitter *f, ad_pool *pool, void (*progress)(void *context, size_t done, size_t total),
		     void *context, ad_detector *detector, double *energy_kept, ad_calibration *calibration,
		     adtool_error *err)
{
	struct ad_progress state = {.fn = progress, .context = context};
	ad_detector d = {0};
	ad_calibration c = {0};
	double kept = 0;
	int code, threads;

	if (f->added < 3)
		return ad_fail(err, ADTOOL_EINVAL, "%zu usable pictures; at least 3 are needed", f->added);
	atomic_init(&state.done, 0);
	threads = ad_linalg_begin(f->l);
	code = (f->covariance ? ad_fit_covariance : ad_fit_gram)(f, pool, &state, &d, &kept, &c, err);
	ad_linalg_end(f->l, threads);
	if (code) {
		ad_detector_release(&d);
		ad_calibration_release(&c);
		return code;
	}
	*detector = d;
	*calibration = c;
	if (energy_kept)
		*energy_kept = kept;
	return 0;
}
