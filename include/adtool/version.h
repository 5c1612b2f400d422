/* The version of adtool, and what this build of it is. The numbers stand here once; everything else reads them here. */
#ifndef ADTOOL_VERSION_H
#define ADTOOL_VERSION_H

#include <adtool/error.h>

#define ADTOOL_VERSION_MAJOR 0
#define ADTOOL_VERSION_MINOR 1
#define ADTOOL_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Calls fn for each thing worth knowing: the compiler; which instruction sets can run here; which one is in force
 * (the environment's ADTOOL_ISA forces one); and for each kernel, the one that it is written for.
 */
ADTOOL_API void adtool_build_info(void (*fn)(void *context, const char *name, const char *value), void *context);

#ifdef __cplusplus
}
#endif
#endif
