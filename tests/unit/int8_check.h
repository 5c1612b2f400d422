/*
 * Holds every kernel of 8 bits against the scalar one: the same bits, over sizes where paths change, between guard
 * pages, with what must not be written left as it was. Needs lib/kernel alone.
 */
#ifndef TESTS_UNIT_INT8_CHECK_H
#define TESTS_UNIT_INT8_CHECK_H

#include <stddef.h>

#include "../../lib/kernel/int8.h"

/* As check_kernel: kernel `index` in the order of int8.def; the number of bytes compared, or -1 with a reason. */
long check_int8_kernel(const ad_int8_kernels *k, size_t index, char *why, size_t size);

#endif
