/* Calls that have no safe use here (forced into every file of lib/ and cli/ by the Makefile). */
#ifndef AD_BANNED_H
#define AD_BANNED_H

/* The standard headers first, so that their own declarations are not poisoned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Under _FORTIFY_SOURCE some compilers get them as macros. */
#undef sprintf
#undef vsprintf
#undef strcpy
#undef strcat
#undef strncpy
#undef strncat

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok
#pragma GCC poison atoi atol atof rand srand gmtime localtime ctime asctime tmpnam mktemp

#endif
