/*
 * The chi-square distribution with h degrees of freedom, h > 0 real: P(chi2_h > x) = Q(a, z), the upper regularised
 * incomplete gamma function at a = h / 2, z = x / 2 (Abramowitz & Stegun 26.4.19; series 6.5.29, continued
 * fraction 6.5.31).
 */
#include "detect.h"

#include <float.h>
#include <math.h>

/* Past this the expansion for large a is exact to double precision's reach, and the series is slow. */
#define LARGE_A 1e7

/* x - 1 - ln x, without cancellation near 1. */
static double distance(double x)
{
	double d = x - 1, power, sum = 0;
	int i;

	if (fabs(d) > 0.1)
		return d - log(x);
	/* d - ln(1 + d) = d^2/2 - d^3/3 + ... */
	for (i = 2, power = d * d; i < 40; i++, power *= -d)
		sum += power / i;
	return sum;
}

/* ln Gamma(a + 1) less Stirling's (a + 1/2) ln a - a + ln(2 pi)/2: 1/(12 a) - 1/(360 a^3) + ... (A&S 6.1.41). */
static double stirling_rest(double a)
{
	double s = 1 / (a * a);

	return (1.0 / 12 -
		s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s * (1.0 / 1188 - s * 691 / 360360))))) /
	       a;
}

/* ln(z^a e^-z / Gamma(a + 1)). */
static double log_front(double a, double z)
{
	int sign;

	if (a < 16)
		return a * log(z) - z - lgamma_r(a + 1, &sign);
	return -a * distance(z / a) - 0.5 * log(2 * 3.14159265358979323846 * a) - stirling_rest(a);
}

/* Q(a, z) for large a (Temme 1979): erfc with its first correction, relative error of order a^(-3/2). */
static double gamma_q_large(double a, double z)
{
	double lambda = z / a, root = sqrt(2 * distance(lambda)), eta = lambda < 1 ? -root : root, c0;

	if (fabs(eta) < 1e-2)
		c0 = -1.0 / 3 + eta * (1.0 / 12 - eta * (2.0 / 135 - eta * (1.0 / 864 + eta / 2835)));
	else
		c0 = 1 / (lambda - 1) - 1 / eta;
	return 0.5 * erfc(eta * sqrt(a / 2)) + exp(-0.5 * a * eta * eta) / sqrt(2 * 3.14159265358979323846 * a) * c0;
}

/* Q(a, z), a > 0, z > 0. */
static double gamma_q(double a, double z)
{
	double front, sum, term, b, c, d, n;

	if (a > LARGE_A)
		return gamma_q_large(a, z);
	front = exp(log_front(a, z));
	if (z < a + 1) {
		sum = term = 1;
		for (n = 1; n < 1e6 && term > sum * DBL_EPSILON / 4; n++) {
			term *= z / (a + n);
			sum += term;
		}
		return 1 - front * sum;
	}
	/* Lentz's method on the continued fraction. */
	b = z + 1 - a;
	c = 1 / DBL_MIN;
	d = 1 / b;
	sum = d;
	for (n = 1; n < 1e6; n++) {
		double an = -n * (n - a), step;

		b += 2;
		d = 1 / (an * d + b);
		c = b + an / c;
		step = c * d;
		sum *= step;
		if (fabs(step - 1) < DBL_EPSILON)
			break;
	}
	return front * a * sum;
}

double ad_chi2_sf(double x, double h)
{
	double q;

	if (isnan(x) || isnan(h) || h <= 0)
		return NAN;
	if (x <= 0)
		return 1;
	if (isinf(x))
		return 0;
	q = gamma_q(h / 2, x / 2);
	return q < 0 ? 0 : q > 1 ? 1 : q;
}

double ad_chi2_isf(double p, double h)
{
	double low = 0, high = h > 1 ? h : 1;
	int i;

	if (isnan(p) || isnan(h) || h <= 0 || p < 0 || p > 1)
		return NAN;
	if (p == 0)
		return INFINITY;
	if (p == 1)
		return 0;
	while (ad_chi2_sf(high, h) > p) {
		low = high;
		high *= 2;
	}
	/* Small x come from p near 1 with few degrees of freedom: halve the exponent first. */
	while (low == 0 && high > DBL_MIN && ad_chi2_sf(high / 2, h) <= p)
		high /= 2;
	if (low == 0)
		low = high / 2;
	for (i = 0; i < 200; i++) {
		double middle = low + (high - low) / 2;

		if (middle <= low || middle >= high)
			break;
		if (ad_chi2_sf(middle, h) > p)
			low = middle;
		else
			high = middle;
	}
	return high;
}
