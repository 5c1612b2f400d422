#include <adtool/limits.h>

#include <string.h>
#include <sys/stat.h>

#include "../base/fail.h"

void adtool_limits_init(adtool_limits *limits)
{
	*limits = (adtool_limits){
	    .pixels = ADTOOL_MAX_PIXELS_DEFAULT,
	    .file_bytes = ADTOOL_MAX_FILE_BYTES_DEFAULT,
	    .members = ADTOOL_MAX_MEMBERS_DEFAULT,
	    .unpacked_bytes = ADTOOL_MAX_UNPACKED_BYTES_DEFAULT,
	    .ratio = ADTOOL_MAX_RATIO_DEFAULT,
	    .depth = ADTOOL_MAX_DEPTH_DEFAULT,
	    .model_bytes = ADTOOL_MAX_MODEL_BYTES_DEFAULT,
	    .nodes = ADTOOL_MAX_NODES_DEFAULT,
	};
}

int adtool_limits_check_model(const adtool_limits *limits, const char *path, adtool_error *err)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size <= limits->model_bytes)
		return 0;
	return ad_fail(err, ADTOOL_ELIMIT, "file of %llu bytes, more than the limit of %llu (--max-model-size)",
		       (unsigned long long)st.st_size, (unsigned long long)limits->model_bytes);
}
