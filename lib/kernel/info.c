/* What the library was built with and what it runs on, kernel by kernel. */
#include <adtool/version.h>

#include "bf16.h"
#include "int8.h"
#include "kernel.h"

/* The instruction set whose room filled entry `index` of a table. */
static const char *room_of(const ad_kernels *k, size_t index)
{
	const ad_kernels *scalar = ad_kernels_scalar(k->vl);
	size_t i = 0;

#define K(name, args)                                                                                                  \
	if (i++ == index)                                                                                              \
		return k->name == scalar->name ? scalar->isa : k->isa;
#include "kernels.def"
#undef K
	return "";
}

void adtool_build_info(void (*fn)(void *context, const char *name, const char *value), void *context)
{
	const ad_kernels *k;
	const ad_bf16_kernels *bf16;
	adtool_error err = {0};
	const char *name;
	char text[128];
	size_t i;

#ifdef __clang__
	fn(context, "compiler", __VERSION__);
#else
	fn(context, "compiler", "gcc " __VERSION__);
#endif
	for (i = 0; (name = ad_kernels_known(i)) != NULL; i++) {
		k = ad_kernels_isa(name);
		snprintf(text, sizeof(text), "instruction set %s", name);
		fn(context, text, k ? "can run here" : "not in this build, or not on this CPU");
	}
	if (ad_kernels_get(&k, &err)) {
		fn(context, "kernels", err.message);
		return;
	}
	fn(context, "kernels", k->isa);
	for (i = 0; (name = ad_kernel_name(i)) != NULL; i++) {
		snprintf(text, sizeof(text), "kernel %s", name);
		fn(context, text, room_of(k, i));
	}
	fn(context, "int8 kernels", ad_int8_kernels_for(k->isa)->isa);
	bf16 = ad_bf16_kernels_for(k->isa);
	fn(context, "bf16 kernels", bf16 ? bf16->isa : "none, those of floats do it");
}
