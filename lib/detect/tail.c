#include "decision.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"

/* Below this |shape| the distribution is exponential to double precision's reach. */
#define EXPONENTIAL 1e-12

/* The mean of ln(1 - theta x): the shape that maximises the likelihood for this theta. */
static double profile_shape(const double *x, size_t n, double theta)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += log1p(-theta * x[i]);
	return sum / (double)n;
}

/* The mean log-likelihood of one excess, along the profile. */
static double profile_likelihood(const double *x, size_t n, double theta)
{
	double shape = profile_shape(x, n, theta);

	return log(-theta / shape) - shape - 1;
}

/* x: n excesses above 0, ascending. */
static int fit_pareto(const double *x, size_t n, double *shape, double *scale, adtool_error *err)
{
	size_t grid = 30 + (size_t)sqrt((double)n), i, j;
	double quartile = x[(size_t)((double)n / 4 + 0.5) - 1], theta = 0, sum = 0, mean = 0;
	double *at = ad_malloc_array(2 * grid, sizeof(*at)), *likelihood = at ? at + grid : NULL;

	if (!at)
		return ad_fail_nomem(err);
	for (i = 0; i < grid; i++) {
		at[i] = 1 / x[n - 1] + (1 - sqrt((double)grid / ((double)i + 0.5))) / (3 * quartile);
		/* At 0 the likelihood is that of the exponential distribution, which a theta beside it has as well. */
		if (fabs(at[i]) * x[n - 1] < 1e-9)
			at[i] = 1e-9 / x[n - 1];
		likelihood[i] = (double)n * profile_likelihood(x, n, at[i]);
	}
	for (i = 0; i < grid; i++) {
		double others = 0;

		for (j = 0; j < grid; j++)
			others += exp(likelihood[j] - likelihood[i]);
		theta += at[i] / others;
		sum += 1 / others;
	}
	ad_free(at);
	theta /= sum;
	for (i = 0; i < n; i++)
		mean += x[i] / (double)n;
	*shape = profile_shape(x, n, theta);
	*scale = fabs(*shape) < EXPONENTIAL ? mean : -*shape / theta;
	if (isfinite(*shape) && isfinite(*scale) && *scale > 0)
		return 0;
	return ad_fail(err, ADTOOL_ENUMERIC, "the %zu largest scores have no tail that can be fitted", n);
}

int ad_tail_fit(const double *sorted, size_t n, ad_tail *out, adtool_error *err)
{
	ad_tail tail = {.n = n};
	double *excesses;
	size_t i, first;
	int code = ad_quantile(sorted, n, 0.9, &tail.start, err);

	if (code)
		return code;
	for (first = n; first && sorted[first - 1] > tail.start; first--)
		;
	tail.excesses = n - first;
	if (tail.excesses < AD_TAIL_EXCESSES)
		return ad_fail(
		    err, ADTOOL_ENUMERIC,
		    "%zu of %zu calibration scores lie above their 0.9 quantile; a tail needs %d, which takes "
		    "about %d calibration pictures",
		    tail.excesses, n, AD_TAIL_EXCESSES, 10 * AD_TAIL_EXCESSES);
	excesses = ad_malloc_array(tail.excesses, sizeof(*excesses));
	if (!excesses)
		return ad_fail_nomem(err);
	for (i = 0; i < tail.excesses; i++)
		excesses[i] = sorted[first + i] - tail.start;
	code = fit_pareto(excesses, tail.excesses, &tail.shape, &tail.scale, err);
	ad_free(excesses);
	if (!code)
		*out = tail;
	return code;
}

double ad_tail_sf(const ad_tail *t, double score)
{
	double y = (score - t->start) / t->scale, rate = (double)t->excesses / (double)t->n;

	if (!(score >= t->start))
		return NAN;
	if (fabs(t->shape) < EXPONENTIAL)
		return rate * exp(-y);
	if (1 + t->shape * y <= 0)
		return 0;
	return rate * exp(-log1p(t->shape * y) / t->shape);
}

int ad_tail_limit(const ad_tail *t, double alpha, double *threshold, adtool_error *err)
{
	double rate = (double)t->excesses / (double)t->n, logarithm = log(alpha / rate), value;

	if (!(alpha > 0 && alpha < rate))
		return ad_fail(err, ADTOOL_EINVAL, "alpha %g lies outside the tail, which begins at %g", alpha, rate);
	if (fabs(t->shape) < EXPONENTIAL)
		value = t->start - t->scale * logarithm;
	else
		value = t->start + t->scale / t->shape * expm1(-t->shape * logarithm);
	if (!isfinite(value))
		return ad_fail(err, ADTOOL_ENUMERIC, "the tail allows no threshold for alpha %g", alpha);
	*threshold = value;
	return 0;
}
