/* Which table of bfloat16 runs here. */
#include "bf16.h"

#ifdef AD_ROOM_avx512bf16
#include <cpuid.h>
#endif

/* What the operating system saves is looked at for the float kernels (dispatch.c). */
const ad_bf16_kernels *ad_bf16_kernels_isa(const char *isa)
{
#ifdef AD_ROOM_avx512bf16
	if (!strcmp(isa, "avx512bf16") && ad_kernels_isa("avx512")) {
		unsigned a, b, c, d;

		if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5)) /* AVX512_BF16 */
			return &ad_bf16_avx512bf16;
	}
#endif
	return strcmp(isa, "scalar") ? NULL : &ad_bf16_scalar;
}

const ad_bf16_kernels *ad_bf16_kernels_for(const char *isa)
{
	return strcmp(isa, "avx512") ? NULL : ad_bf16_kernels_isa("avx512bf16");
}

const char *ad_bf16_kernel_name(size_t index)
{
	static const char *const names[] = {
#define K(name, args) #name,
#include "bf16.def"
#undef K
	};

	return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}
