#include "lazy.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "fail.h"

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
	int code = open_library(soname, RTLD_NODELETE, names, n, &library, table, err);

	if (!code)
		dlclose(library);
	return code;
}

void ad_lazy_close(void *handle)
{
	if (handle)
		dlclose(handle);
}

struct place {
	uintptr_t address;
	int is_writable;
};

static int find_place(struct dl_phdr_info *info, size_t size, void *user)
{
	struct place *place = user;
	int i, loaded = 0, sealed = 0;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (place->address - (info->dlpi_addr + part->p_vaddr) < part->p_memsz) {
			loaded |= part->p_type == PT_LOAD && part->p_flags & PF_W;
			sealed |= part->p_type == PT_GNU_RELRO;
		}
	}
	place->is_writable |= loaded && !sealed;
	return 0;
}

int ad_lazy_is_writable(const void *variable)
{
	struct place place = {(uintptr_t)variable, 0};

	dl_iterate_phdr(find_place, &place);
	return place.is_writable;
}
