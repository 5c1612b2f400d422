/*
 * Holds every kernel of a table against the scalar one of the same vector length, over the sizes where paths change:
 * one, tile - 1, tile, tile + 1, odd; in place where that is allowed; between guard pages; with poison in
 * everything that must be neither read nor written. Needs lib/kernel alone, so that it runs under an emulator too.
 */
#ifndef TESTS_UNIT_KERNEL_CHECK_H
#define TESTS_UNIT_KERNEL_CHECK_H

#include <stddef.h>

#include "../../lib/kernel/kernel.h"

/*
 * Checks kernel `index` (the order of kernels.def). Returns the number of comparisons made, or -1 with a
 * description of the first difference in why.
 */
long check_kernel(const ad_kernels *k, size_t index, char *why, size_t size);

#endif
