/*
 * Every kernel of every instruction set that can run here against the scalar one, as TAP. Needs lib/kernel and a little
 * of lib/base only, so that it is easily built for another architecture and run under an emulator.
 */
#include <stdio.h>

#include "../unit/int8_check.h"
#include "../unit/kernel_check.h"

int main(void)
{
	const char *isa, *kernel;
	int n = 0, failed = 0;

	for (size_t i = 0; (isa = ad_kernels_known(i)) != NULL; i++) {
		const ad_kernels *k = ad_kernels_isa(isa);

		for (size_t j = 0; (kernel = ad_kernel_name(j)) != NULL && strcmp(isa, "scalar") != 0; j++) {
			char why[512] = "";
			long compared = k ? check_kernel(k, j, why, sizeof(why)) : 0;

			if (!k)
				printf("ok %d - %s %s # SKIP not for this architecture\n", ++n, isa, kernel);
			else if (compared < 0)
				printf("not ok %d - %s %s\n# %s\n", ++n, isa, kernel, why);
			else
				printf("ok %d - %s %s: %ld elements\n", ++n, isa, kernel, compared);
			failed |= compared < 0;
		}
	}
	for (size_t i = 0; (isa = ad_int8_kernels_known(i)) != NULL; i++) {
		const ad_int8_kernels *k = ad_int8_kernels_isa(isa);

		for (size_t j = 0; (kernel = ad_int8_kernel_name(j)) != NULL && strcmp(isa, "scalar") != 0; j++) {
			char why[512] = "";
			long compared = k ? check_int8_kernel(k, j, why, sizeof(why)) : 0;

			if (!k)
				printf("ok %d - %s int8 %s # SKIP not for this architecture\n", ++n, isa, kernel);
			else if (compared < 0)
				printf("not ok %d - %s int8 %s\n# %s\n", ++n, isa, kernel, why);
			else
				printf("ok %d - %s int8 %s: %ld bytes\n", ++n, isa, kernel, compared);
			failed |= compared < 0;
		}
	}
	printf("1..%d\n", n);
	return failed;
}
