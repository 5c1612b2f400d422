#include "assets.h"

/* What index.html carries along; the files stand beside this one. */
#define EMBED(name, file)                                                                                              \
	__asm__(".section .rodata\n"                                                                                   \
		".hidden " #name "\n"                                                                                  \
		".globl " #name "\n" #name ":\n"                                                                       \
		".incbin \"" file "\"\n"                                                                               \
		".byte 0\n"                                                                                            \
		".previous\n")

EMBED(ad_page_css, "lib/report/page.css");
EMBED(ad_page_js, "lib/report/page.js");
