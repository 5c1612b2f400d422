#include "lazy.h"

#include <dlfcn.h>

#include "fail.h"

int ad_lazy_open(const char *soname, const char *const *names, size_t n, void **handle, void **slots,
                 adtool_error *err)
{
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	size_t i;

	if (!library)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "the library %s is needed for this and cannot be opened (%s)",
		               soname, dlerror());
	for (i = 0; i < n; i++) {
		slots[i] = dlsym(library, names[i]);
		if (!slots[i]) {
			dlclose(library);
			return ad_fail(err, ADTOOL_EUNSUPPORTED, "the library %s has no function %s", soname, names[i]);
		}
	}
	*handle = library;
	return 0;
}

void ad_lazy_close(void *handle)
{
	if (handle)
		dlclose(handle);
}
