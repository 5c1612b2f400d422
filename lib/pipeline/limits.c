#include <adtool/limits.h>

#include <string.h>
#include <sys/stat.h>

#include "../base/fail.h"

void adtool_limits_init(adtool_limits *limits)
{
	*limits = (adtool_limits)ADTOOL_LIMITS_DEFAULT;
}

int adtool_limits_check_model(const adtool_limits *limits, const char *path, adtool_error *err)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size <= limits->model_bytes)
		return 0;
	return ad_fail(err, ADTOOL_ELIMIT, "file of %llu bytes, more than the limit of %llu (--max-model-size)",
		       (unsigned long long)st.st_size, (unsigned long long)limits->model_bytes);
}
