#include "embedded.h"

/* Where it comes from: adnet.md. */
__asm__(".section .rodata\n"
	".balign 64\n"
	".hidden ad_embedded_adnet\n"
	".hidden ad_embedded_adnet_end\n"
	".globl ad_embedded_adnet\n"
	".globl ad_embedded_adnet_end\n"
	"ad_embedded_adnet:\n"
	".incbin \"lib/net/adnet.onnx\"\n"
	"ad_embedded_adnet_end:\n"
	".byte 0\n"
	".previous\n");

extern const uint8_t ad_embedded_adnet[], ad_embedded_adnet_end[];

int ad_embedded_at(size_t index, ad_embedded *out)
{
	if (index)
		return 0;
	*out = (ad_embedded){"adnet", ad_embedded_adnet, (size_t)(ad_embedded_adnet_end - ad_embedded_adnet)};
	return 1;
}
