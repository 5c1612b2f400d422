#include "fail.h"

#include <errno.h>
#include <stdarg.h>

#include <adtool/version.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *adtool_version(void)
{
	return TEXT(ADTOOL_VERSION_MAJOR) "." TEXT(ADTOOL_VERSION_MINOR) "." TEXT(ADTOOL_VERSION_PATCH);
}

const char *adtool_code_string(int code)
{
	switch (code) {
	case ADTOOL_OK:
		return "success";
	case ADTOOL_ENOMEM:
		return "out of memory";
	case ADTOOL_EIO:
		return "input/output error";
	case ADTOOL_EFORMAT:
		return "malformed data";
	case ADTOOL_ELIMIT:
		return "limit exceeded";
	case ADTOOL_EUNSUPPORTED:
		return "not supported";
	case ADTOOL_EINVAL:
		return "invalid argument";
	case ADTOOL_ENUMERIC:
		return "numerically impossible";
	case ADTOOL_EEXIST:
		return "already exists";
	case ADTOOL_ECANCELLED:
		return "cancelled";
	default:
		return "unknown error";
	}
}

int (ad_fail)(adtool_error *err, int code, const char *fmt, ...)
{
	if (err) {
		va_list args;

		err->code = code;
		va_start(args, fmt);
		vsnprintf(err->message, sizeof(err->message), fmt, args);
		va_end(args);
	}
	return code;
}

int (ad_fail_errno)(adtool_error *err, int errno_value, const char *fmt, ...)
{
	int code = errno_value == ENOMEM ? ADTOOL_ENOMEM : ADTOOL_EIO;

	if (err) {
		char reason[128];
		size_t used;
		va_list args;

		err->code = code;
		va_start(args, fmt);
		vsnprintf(err->message, sizeof(err->message), fmt, args);
		va_end(args);
		used = strlen(err->message);
		/* The GNU variant: it may return its own constant text instead of filling the array. */
		snprintf(err->message + used, sizeof(err->message) - used, "%s%s", used ? ": " : "",
		         strerror_r(errno_value, reason, sizeof(reason)));
	}
	return code;
}

int (ad_fail_nomem)(adtool_error *err)
{
	return ad_fail(err, ADTOOL_ENOMEM, "out of memory");
}

int ad_fail_within(adtool_error *err, int code, const char *fmt, ...)
{
	if (err) {
		char old[sizeof(err->message)];
		size_t used;
		va_list args;

		memcpy(old, err->message, sizeof(old));
		va_start(args, fmt);
		vsnprintf(err->message, sizeof(err->message), fmt, args);
		va_end(args);
		used = strlen(err->message);
		snprintf(err->message + used, sizeof(err->message) - used, ": %s", old);
		code = err->code;
	}
	return code;
}

int ad_fail_option(adtool_error *err, int code, const char *option)
{
	if (err && code == ADTOOL_ELIMIT) {
		size_t used = strlen(err->message);

		snprintf(err->message + used, sizeof(err->message) - used, " (%s)", option);
	}
	return code;
}
