/* How qsort orders plain numbers. */
#ifndef AD_ORDER_H
#define AD_ORDER_H

/* Doubles, ascending; none may be NaN. */
int ad_compare_doubles(const void *a, const void *b);

#endif
