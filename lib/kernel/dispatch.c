#include "kernel.h"

#include "../base/fail.h"

static const char *const known[] = {"avx512", "avx2", "neon", "scalar"};

#ifdef AD_ROOM_avx2
/* What the compiler's own library has found once, at start: CPUID, and XCR0 for the state that the system saves. */
static int x86_can(int avx512)
{
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
		return 0;
	return !avx512 || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
			   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
}
#endif

const ad_kernels *ad_kernels_isa(const char *isa)
{
#ifdef AD_ROOM_avx512
	if (!strcmp(isa, "avx512") && x86_can(1))
		return &ad_kernels_avx512;
#endif
#ifdef AD_ROOM_avx2
	if (!strcmp(isa, "avx2") && x86_can(0))
		return &ad_kernels_avx2;
#endif
#ifdef AD_ROOM_neon
	if (!strcmp(isa, "neon"))
		return &ad_kernels_neon;
#endif
	if (!strcmp(isa, "scalar"))
		return ad_kernels_scalar(4);
	return NULL;
}

const char *ad_kernels_known(size_t index)
{
	return index < sizeof(known) / sizeof(known[0]) ? known[index] : NULL;
}

int ad_kernels_get(const ad_kernels **out, adtool_error *err)
{
	const char *wanted = getenv("ADTOOL_ISA"), *isa;
	const ad_kernels *found = NULL;
	size_t i;

	if (wanted && *wanted) {
		for (i = 0; (isa = ad_kernels_known(i)) != NULL; i++)
			if (!strcmp(isa, wanted))
				break;
		if (!isa)
			return ad_fail(
			    err, ADTOOL_EUNSUPPORTED,
			    "ADTOOL_ISA=%.64s: no such instruction set; known are avx512, avx2, neon and scalar",
			    wanted);
		found = ad_kernels_isa(isa);
		if (!found)
			return ad_fail(err, ADTOOL_EUNSUPPORTED, "ADTOOL_ISA=%s: this CPU or this build cannot run it",
				       isa);
	}
	for (i = 0; !found; i++)
		found = ad_kernels_isa(ad_kernels_known(i));
	*out = found;
	return 0;
}

const char *ad_kernel_name(size_t index)
{
	static const char *const names[] = {
#define K(name, args) #name,
#include "kernels.def"
#undef K
	};

	return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}
