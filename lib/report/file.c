#include <adtool/report.h>

#include "../base/file.h"

int adtool_file_write(const char *path, const void *data, size_t size, adtool_error *err)
{
	return ad_file_write(path, data, size, err);
}
