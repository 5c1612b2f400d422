/* Filling a caller's adtool_error. All functions accept err == NULL. */
#ifndef AD_FAIL_H
#define AD_FAIL_H

#include <adtool/error.h>

/* Sets code and message; returns code, so that `return ad_fail(...)` reads well. */
int ad_fail(adtool_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ADTOOL_EIO (or ADTOOL_ENOMEM for ENOMEM): the message, then ": " and strerror(errno_value). */
int ad_fail_errno(adtool_error *err, int errno_value, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ADTOOL_ENOMEM, "out of memory". */
int ad_fail_nomem(adtool_error *err);

/* Puts "<text>: " before a message already set; returns err's code (or `code` if err is NULL). */
int ad_fail_within(adtool_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* After a call that gave `code`: where that is ADTOOL_ELIMIT, " (<option>)" is put behind its message. Returns code. */
int ad_fail_option(adtool_error *err, int code, const char *option);

/* The code that a call whose result is a pointer has set in err; never 0. */
static inline int ad_fail_code(const adtool_error *err)
{
	return err && err->code < 0 ? err->code : ADTOOL_ENOMEM;
}

#ifdef __clang_analyzer__
/* What it cannot see, as they stand in another file: these never return 0. */
#define ad_fail(err, code, ...) ((ad_fail)(err, code, __VA_ARGS__), (code))
#define ad_fail_errno(err, ...) ((ad_fail_errno)(err, __VA_ARGS__), ADTOOL_EIO)
#define ad_fail_nomem(err) ((ad_fail_nomem)(err), ADTOOL_ENOMEM)
#endif

#endif
