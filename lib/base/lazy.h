/*
 * Libraries that only some jobs need (OpenBLAS and LAPACKE for fitting, libarchive for archives,
 * libzip for writing bundles) are opened when they are first needed, so that `score` starts fast.
 * Usage:
 *   #define ZIP_SYMBOLS(X) X(zip_open) X(zip_close)
 *   typedef struct { ZIP_SYMBOLS(AD_LAZY_MEMBER) } zip_api;
 *   static const char *const names[] = { ZIP_SYMBOLS(AD_LAZY_NAME) };
 *   ad_lazy_open(AD_SONAME_ZIP, names, n, &handle, &api, err)
 * AD_SONAME_<X> come from the Makefile.
 */
#ifndef AD_LAZY_H
#define AD_LAZY_H

#include <adtool/error.h>
#include <stddef.h>

#define AD_LAZY_MEMBER(name) __typeof__(&name) name;
#define AD_LAZY_NAME(name) #name,

/*
 * Opens `soname` and looks the n names up. table: nothing but n pointers to functions, in the order of the names; after
 * a failure it holds no matter what. ADTOOL_EUNSUPPORTED names what is missing.
 */
int ad_lazy_open(const char *soname, const char *const *names, size_t n, void **handle, void *table, adtool_error *err);
void ad_lazy_close(void *handle);

/*
 * The same of a library that stays until the process ends, so that nothing has to be closed, or kept: for calls that
 * have no handle of their own and come often, such as the decoder of a rare picture format. A second time it costs a
 * few microseconds.
 */
int ad_lazy_resident(const char *soname, const char *const *names, size_t n, void *table, adtool_error *err);

#endif
