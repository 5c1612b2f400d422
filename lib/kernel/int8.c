/* Which table of 8 bits runs here. */
#include "int8.h"

#include <string.h>

#include "kernel.h"

#if defined(AD_ROOM_avxvnni) || defined(AD_ROOM_avx512vnni)
#include <cpuid.h>
#elif defined(AD_ROOM_neondot)
#include <sys/auxv.h>
#endif

/* Best first; `with`: the float kernels it goes with, beside those of its own name. */
static const struct {
	const char *isa, *with;
} known[] = {{"avx512vnni", "avx512"}, {"avxvnni", "avx2"}, {"avx2", "avx512"}, {"neondot", "neon"}, {"neon", NULL},
	     {"scalar", NULL}};

/* What the operating system saves is looked at for the float kernels (dispatch.c). */
const ad_int8_kernels *ad_int8_kernels_isa(const char *isa)
{
#ifdef AD_ROOM_avx512vnni
	if (!strcmp(isa, "avx512vnni") && ad_kernels_isa("avx512")) {
		unsigned a, b, c, d;

		if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 11)) /* AVX512_VNNI */
			return &ad_int8_avx512vnni;
	}
#endif
#ifdef AD_ROOM_avxvnni
	if (!strcmp(isa, "avxvnni") && ad_kernels_isa("avx2")) {
		unsigned a, b, c, d;

		if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4)) /* AVX_VNNI */
			return &ad_int8_avxvnni;
	}
#endif
#ifdef AD_ROOM_avx2
	if (!strcmp(isa, "avx2") && ad_kernels_isa("avx2"))
		return &ad_int8_avx2;
#endif
#ifdef AD_ROOM_neondot
	if (!strcmp(isa, "neondot") && (getauxval(AT_HWCAP) & 1ul << 20)) /* HWCAP_ASIMDDP */
		return &ad_int8_neondot;
#endif
#ifdef AD_ROOM_neon
	if (!strcmp(isa, "neon"))
		return &ad_int8_neon;
#endif
	return strcmp(isa, "scalar") ? NULL : &ad_int8_scalar;
}

const char *ad_int8_kernels_known(size_t index)
{
	return index < sizeof(known) / sizeof(known[0]) ? known[index].isa : NULL;
}

const ad_int8_kernels *ad_int8_kernels_for(const char *isa)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const ad_int8_kernels *k;

		if (strcmp(isa, known[i].isa) && (!known[i].with || strcmp(isa, known[i].with)))
			continue;
		k = ad_int8_kernels_isa(known[i].isa);
		if (k)
			return k;
	}
	return &ad_int8_scalar;
}

const char *ad_int8_kernel_name(size_t index)
{
	static const char *const names[] = {
#define K(name, args) #name,
#include "int8.def"
#undef K
	};

	return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}
