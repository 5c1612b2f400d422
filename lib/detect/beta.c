/*
 * The regularised incomplete beta function I_x(a, b): the continued fraction of Abramowitz & Stegun 26.5.8, by Lentz's
 * method, on the side of the mean where it converges fast.
 */
#include "decision.h"

#include <float.h>
#include <math.h>

static double log_beta(double a, double b)
{
	int sign;

	return lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
}

static double away_from_zero(double x)
{
	return fabs(x) < DBL_MIN ? DBL_MIN : x;
}

static double continued_fraction(double x, double a, double b)
{
	double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), f = d, m;

	for (m = 1; m < 1e6; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), step;

		d = 1 / away_from_zero(1 + even * d);
		c = away_from_zero(1 + even / c);
		f *= c * d;
		d = 1 / away_from_zero(1 + odd * d);
		c = away_from_zero(1 + odd / c);
		step = c * d;
		f *= step;
		if (fabs(step - 1) < DBL_EPSILON)
			break;
	}
	return f;
}

double ad_beta_cdf(double x, double a, double b)
{
	double front;

	if (!(a > 0) || !(b > 0) || isnan(x))
		return NAN;
	if (x <= 0)
		return 0;
	if (x >= 1)
		return 1;
	front = exp(a * log(x) + b * log1p(-x) - log_beta(a, b));
	if (x < (a + 1) / (a + b + 2))
		return front * continued_fraction(x, a, b) / a;
	return 1 - front * continued_fraction(1 - x, b, a) / b;
}

double ad_beta_quantile(double p, double a, double b)
{
	double low = 0, high = 1;
	int i;

	if (!(a > 0) || !(b > 0) || !(p >= 0 && p <= 1))
		return NAN;
	if (p <= 0 || p >= 1)
		return p;
	for (i = 0; i < 1100; i++) {
		/* Small quantiles are found by their exponent. */
		double middle = low > 0 ? low + (high - low) / 2 : high / 2;

		if (middle <= low || middle >= high)
			break;
		if (ad_beta_cdf(middle, a, b) < p)
			low = middle;
		else
			high = middle;
	}
	return high;
}
