/* Time for reports and for pacing; never for what a result is. */
#ifndef AD_CLOCK_H
#define AD_CLOCK_H

/* Seconds of a clock that only goes forward. */
double ad_now(void);

#endif
