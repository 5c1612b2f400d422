#include "lazy.h"

#include <dlfcn.h>
#include <string.h>

#include "fail.h"
#include "fork.h"

static int open_library(const char *soname, int flags, const char *const *names, size_t n, void **handle, void *table,
			adtool_error *err)
{
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL | flags), *symbol;
	size_t i;

	if (!library)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "the library %s is needed for this and cannot be opened (%s)",
		               soname, dlerror());
	for (i = 0; i < n; i++) {
		symbol = dlsym(library, names[i]);
		if (!symbol) {
			dlclose(library);
			return ad_fail(err, ADTOOL_EUNSUPPORTED, "the library %s has no function %s", soname, names[i]);
		}
		/* POSIX says that it is a function's address, too; C does not, so it is not cast. */
		memcpy((char *)table + i * sizeof(symbol), &symbol, sizeof(symbol));
	}
	*handle = library;
	return 0;
}

int ad_lazy_open(const char *soname, const char *const *names, size_t n, void **handle, void *table, adtool_error *err)
{
	return open_library(soname, 0, names, n, handle, table, err);
}

int ad_lazy_resident(const char *soname, const char *const *names, size_t n, void *table, adtool_error *err)
{
	void *library;
	int code;

	ad_fork_hold();
	code = open_library(soname, RTLD_NODELETE, names, n, &library, table, err);
	if (!code)
		dlclose(library);
	ad_fork_free();
	return code;
}

void ad_lazy_close(void *handle)
{
	if (handle)
		dlclose(handle);
}
