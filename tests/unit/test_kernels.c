/* Every kernel of every instruction set this machine can run, against the scalar one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "int8_check.h"
#include "kernel_check.h"
#include "skip.h"

struct one {
	const char *isa;
	size_t index;
};

static void kernel_matches_scalar(void **state)
{
	const struct one *one = *state;
	const ad_kernels *k = ad_kernels_isa(one->isa);
	char why[512];

	if (!k)
		SKIP("%s: not on this machine or not in this build", one->isa);
	if (check_kernel(k, one->index, why, sizeof(why)) < 0)
		fail_msg("%s: %s", one->isa, why);
}

static void int8_matches_scalar(void **state)
{
	const struct one *one = *state;
	const ad_int8_kernels *k = ad_int8_kernels_isa(one->isa);
	char why[512];

	if (!k)
		SKIP("%s: not on this machine or not in this build", one->isa);
	if (check_int8_kernel(k, one->index, why, sizeof(why)) < 0)
		fail_msg("%s: %s", one->isa, why);
}

/* The table of 8 bits never asks for more than the float kernels that were chosen do. */
static void int8_goes_with_the_isa(void **state)
{
	(void)state;
	assert_string_equal(ad_int8_kernels_for("scalar")->isa, "scalar");
	assert_string_not_equal(ad_int8_kernels_for("avx2")->isa, "avx512vnni");
	if (ad_int8_kernels_isa("avx512vnni"))
		assert_string_equal(ad_int8_kernels_for("avx512")->isa, "avx512vnni");
	if (ad_int8_kernels_isa("avxvnni"))
		assert_string_equal(ad_int8_kernels_for("avx2")->isa, "avxvnni");
	assert_null(ad_int8_kernels_isa("sse9"));
}

static void isa_is_forced_and_refused(void **state)
{
	const ad_kernels *k = NULL;
	adtool_error err = {0};
	const char *isa;

	(void)state;
	for (size_t i = 0; (isa = ad_kernels_known(i)) != NULL; i++) {
		setenv("ADTOOL_ISA", isa, 1);
		if (ad_kernels_isa(isa)) {
			assert_int_equal(ad_kernels_get(&k, &err), 0);
			assert_string_equal(k->isa, isa);
		} else {
			assert_int_equal(ad_kernels_get(&k, &err), ADTOOL_EUNSUPPORTED);
			assert_non_null(strstr(err.message, isa));
		}
	}
	setenv("ADTOOL_ISA", "sse9", 1);
	assert_int_equal(ad_kernels_get(&k, &err), ADTOOL_EUNSUPPORTED);
	assert_non_null(strstr(err.message, "sse9"));
	unsetenv("ADTOOL_ISA");
	assert_int_equal(ad_kernels_get(&k, &err), 0);
	for (size_t i = 0; (isa = ad_kernels_known(i)) != NULL && !ad_kernels_isa(isa);)
		i++;
	assert_string_equal(k->isa,
			    ad_kernels_known(0) && ad_kernels_isa(ad_kernels_known(0)) ? ad_kernels_known(0) : k->isa);
}

int main(void)
{
	struct CMUnitTest tests[128];
	static struct one ones[128];
	static char names[128][64];
	const char *isa, *kernel;
	size_t n = 0;

	for (size_t i = 0; (isa = ad_kernels_known(i)) != NULL; i++) {
		for (size_t k = 0; (kernel = ad_kernel_name(k)) != NULL && strcmp(isa, "scalar") != 0; k++, n++) {
			ones[n] = (struct one){isa, k};
			snprintf(names[n], sizeof(names[n]), "%s %s", isa, kernel);
			tests[n] = (struct CMUnitTest){names[n], kernel_matches_scalar, NULL, NULL, &ones[n]};
		}
	}
	for (size_t i = 0; (isa = ad_int8_kernels_known(i)) != NULL; i++) {
		for (size_t k = 0; (kernel = ad_int8_kernel_name(k)) != NULL && strcmp(isa, "scalar") != 0; k++, n++) {
			ones[n] = (struct one){isa, k};
			snprintf(names[n], sizeof(names[n]), "%s int8 %s", isa, kernel);
			tests[n] = (struct CMUnitTest){names[n], int8_matches_scalar, NULL, NULL, &ones[n]};
		}
	}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(int8_goes_with_the_isa);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(isa_is_forced_and_refused);
	return _cmocka_run_group_tests("kernels", tests, n, NULL, NULL);
}
