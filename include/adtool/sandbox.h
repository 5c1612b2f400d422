/*
 * A sandbox for the rest of a process: what decodes pictures from strangers needs to read files and to compute, and no
 * more. Linux only, and only as far as the running kernel has the means.
 */
#ifndef ADTOOL_SANDBOX_H
#define ADTOOL_SANDBOX_H

#include <stddef.h>

#include <adtool/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum adtool_sandbox_part {
	/* Landlock: nothing is written, made or removed but below the folders given; none is executed */
	ADTOOL_SANDBOX_FILES = 1,
	/*
	 * seccomp: no sockets, no other programs, no tracing, no mounts, no io_uring;
	 * processes by fork only, and in the sandbox
	 */
	ADTOOL_SANDBOX_CALLS = 2
};

/*
 * Gives these rights up for ever, for the calling thread and what it starts from now on; so it is called before other
 * threads are started. Reading files stays possible, and what is open stays so. writable: folders below which files may
 * still be written, made when they are missing; one that cannot be made is passed over (writing to it fails, as it
 * would have anyway). *parts, if not NULL: what is in force, the sum of the parts above; 0 where the kernel offers
 * nothing, which is no error. ADTOOL_ENOMEM and ADTOOL_EIO when the kernel has the means and refuses.
 */
ADTOOL_API int adtool_sandbox_enter(const char *const *writable, size_t count, unsigned *parts, adtool_error *err);

#ifdef __cplusplus
}
#endif
#endif
