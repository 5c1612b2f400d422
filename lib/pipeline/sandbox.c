#include <adtool/sandbox.h>

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/sanitized.h"

#if defined(__linux__) && __has_include(<linux/landlock.h>) && __has_include(<linux/seccomp.h>)

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -- files: Landlock (Documentation/userspace-api/landlock.rst) --------------------------------------- */

/* By the version of the interface that brought them; older headers lack some. */
#define ACCESS_1                                                                                                       \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                  \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                 \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                   \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ACCESS_REFER ((uint64_t)1 << 13)    /* 2 */
#define ACCESS_TRUNCATE ((uint64_t)1 << 14) /* 3 */
#define ACCESS_NET ((uint64_t)3)            /* 4: TCP, bind and connect */

/* What an output's folder needs: files made, written, renamed over others; folders made. */
#define ACCESS_OUTPUT                                                                                                  \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                \
	 LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_REFER | ACCESS_TRUNCATE)

struct ruleset {
	uint64_t files, net;
};

static int allow_below(int ruleset, const char *folder, uint64_t access, adtool_error *err)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access};
	long failed;

	if (ad_mkdirs(folder, NULL))
		return 0;
	rule.parent_fd = open(folder, O_PATH | O_CLOEXEC | O_DIRECTORY);
	if (rule.parent_fd < 0)
		return 0;
	failed = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	if (failed)
		ad_fail_errno(err, errno, "sandbox: %s", folder);
	close(rule.parent_fd);
	return failed ? ADTOOL_EIO : 0;
}

/* 1: in force; 0: the kernel has no such thing; or a code. */
static int restrict_files(const char *const *writable, size_t count, adtool_error *err)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset handled = {.files = ACCESS_1, .net = ACCESS_NET};
	int ruleset, code = 0;
	size_t i;

	if (version < 1)
		return 0;
	if (version >= 2)
		handled.files |= ACCESS_REFER;
	if (version >= 3)
		handled.files |= ACCESS_TRUNCATE;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled,
			       version >= 4 ? sizeof(handled) : sizeof(handled.files), 0);
	if (ruleset < 0)
		return ad_fail_errno(err, errno, "sandbox: cannot make a set of rules");
	for (i = 0; i < count && !code; i++)
		code = allow_below(ruleset, writable[i], ACCESS_OUTPUT & handled.files, err);
	if (!code && syscall(SYS_landlock_restrict_self, ruleset, 0))
		code = ad_fail_errno(err, errno, "sandbox: cannot restrict files");
	close(ruleset);
	return code ? code : 1;
}

/* -- calls: seccomp (Documentation/userspace-api/seccomp_filter.rst) ----------------------------------- */

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#if AD_SANITIZED
#undef THIS_ARCH
#endif

#ifdef THIS_ARCH

/* Each is refused with EPERM. io_uring would go round the filter. */
static const int refused[] = {
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_execve,
    SYS_execveat,
#ifdef SYS_vfork
    SYS_vfork,
#endif
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_pidfd_getfd,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
};

#define FORK (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD)

enum { REFUSED = sizeof(refused) / sizeof(refused[0]) };

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define REFUSE(error) ANSWER(SECCOMP_RET_ERRNO | (error))

static int restrict_calls(adtool_error *err)
{
	struct sock_filter program[REFUSED + 24];
	struct sock_fprog filter = {0, program};
	unsigned n = 0, i;

	/* Calls of other kinds (32 bits) have other numbers: none is allowed. */
	program[n++] = (struct sock_filter)LOAD(arch);
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0);
	program[n++] = (struct sock_filter)REFUSE(EPERM);
	program[n++] = (struct sock_filter)LOAD(nr);
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
	program[n++] = (struct sock_filter)REFUSE(EPERM);
	/* The C library goes on with clone, whose flags can be seen: threads, and what fork() asks for. */
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	program[n++] = (struct sock_filter)REFUSE(ENOSYS);
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 5);
	program[n++] = (struct sock_filter)LOAD(args[0]); /* the low half: both machines are little-endian */
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0);
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FORK, 0, 1);
	program[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	program[n++] = (struct sock_filter)REFUSE(EPERM);
	for (i = 0; i < REFUSED; i++)
		program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused[i],
							    (uint8_t)(REFUSED - i), 0);
	program[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	program[n++] = (struct sock_filter)REFUSE(EPERM);
	filter.len = (unsigned short)n;
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))
		return 1;
	/* ENOSYS: older than 3.17; EINVAL: built without. */
	if (errno == ENOSYS || errno == EINVAL)
		return 0;
	return ad_fail_errno(err, errno, "sandbox: cannot restrict calls");
}

#else

static int restrict_calls(adtool_error *err)
{
	(void)err;
	return 0;
}

#endif

int adtool_sandbox_enter(const char *const *writable, size_t count, unsigned *parts, adtool_error *err)
{
	unsigned got = 0;
	int files, calls;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		if (errno != EINVAL)
			return ad_fail_errno(err, errno, "sandbox: cannot give up new privileges");
	} else {
		files = restrict_files(writable, count, err);
		if (files < 0)
			return files;
		calls = restrict_calls(err);
		if (calls < 0)
			return calls;
		got = (files ? ADTOOL_SANDBOX_FILES : 0u) | (calls ? ADTOOL_SANDBOX_CALLS : 0u);
	}
	if (parts)
		*parts = got;
	return 0;
}

#else

int adtool_sandbox_enter(const char *const *writable, size_t count, unsigned *parts, adtool_error *err)
{
	(void)writable;
	(void)count;
	(void)err;
	if (parts)
		*parts = 0;
	return 0;
}

#endif
