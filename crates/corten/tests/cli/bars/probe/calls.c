/* E13: system calls that no container needs, made as they are; each line is a name and how it ended. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *name, long result)
{
	printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "worked");
	fflush(stdout);
}

#define TRY(name, ...) (errno = 0, tell(#name, syscall(SYS_##name, ##__VA_ARGS__)))

/* A child that the call has made ends at once; the parent tells. */
static void birth(const char *name, long pid)
{
	if (pid == 0)
		_exit(0);
	tell(name, pid);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

int main(void)
{
	char buffer[4096] = {0};
	unsigned long handle[32] = {sizeof(handle) - 8};
	int mount_id;
	struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = 17};

	TRY(keyctl, 0, -3, 1, 0, 0); /* the session's keyring */
	TRY(add_key, "user", "corten", "x", 1, -3);
	TRY(request_key, "user", "corten", NULL, 0);
	TRY(io_uring_setup, 8, buffer);
	TRY(io_uring_enter, 0, 0, 0, 0, NULL, 0);
	TRY(io_uring_register, 0, 0, NULL, 0);
	TRY(bpf, 0, buffer, sizeof(buffer));
	TRY(perf_event_open, buffer, 0, -1, -1, 0);
	TRY(userfaultfd, 0);
	TRY(init_module, buffer, sizeof(buffer), "");
	TRY(finit_module, 0, "", 0);
	TRY(delete_module, "loop", 0);
	TRY(kexec_load, 0, 0, NULL, 0);
	TRY(kexec_file_load, -1, -1, 0, "", 0);
	TRY(reboot, 0xfee1dead, 672274793, 0, NULL); /* Ctrl-Alt-Del off */
	TRY(open_by_handle_at, AT_FDCWD, handle, 0);
	TRY(name_to_handle_at, AT_FDCWD, "/", handle, &mount_id, 0);
	TRY(mount, "none", "/tmp", "tmpfs", 0, NULL);
	TRY(umount2, "/proc", 2);
	TRY(pivot_root, "/", "/");
	TRY(open_tree, AT_FDCWD, "/", 1);
	TRY(move_mount, -1, "", -1, "", 0);
	TRY(fsopen, "tmpfs", 0);
	TRY(fsmount, -1, 0, 0);
	TRY(mount_setattr, AT_FDCWD, "/", 0, buffer, 32);
	TRY(setns, -1, 0);
	TRY(unshare, CLONE_NEWUSER);
	TRY(unshare, CLONE_NEWNS);
	TRY(unshare, CLONE_NEWNET);
	birth("clone", syscall(SYS_clone, CLONE_NEWUSER | 17, NULL, NULL, NULL, NULL));
	birth("clone3", syscall(SYS_clone3, &arguments, sizeof(arguments)));
	TRY(acct, NULL);
	TRY(swapon, "/tmp/x", 0);
	TRY(swapoff, "/tmp/x");
	TRY(settimeofday, NULL, buffer);
	TRY(clock_settime, 0, buffer);
	TRY(syslog, 3, buffer, sizeof(buffer));
	TRY(quotactl, 0, "", 0, NULL);
	TRY(lookup_dcookie, 0, buffer, sizeof(buffer));
	TRY(process_vm_readv, 1, buffer, 1, buffer, 1, 0);
	TRY(process_vm_writev, 1, buffer, 1, buffer, 1, 0);
	TRY(ptrace, 16, 1, NULL, NULL); /* attach to pid 1 */
	TRY(pidfd_getfd, -1, 0, 0);
	TRY(kcmp, 1, 1, 0, 0, 0);
	TRY(fanotify_init, 0, 0);
	TRY(vhangup);
	TRY(personality, 0x0040000); /* ADDR_NO_RANDOMIZE */
#ifdef __x86_64__
	TRY(ioperm, 0x378, 3, 1);
	TRY(iopl, 3);
	TRY(uselib, "/bin/sh");
	TRY(ustat, 0, buffer);
	TRY(sysfs, 3);
#endif
	errno = 0;
	tell("AF_ALG", socket(38, SOCK_SEQPACKET, 0));
	tell("AF_VSOCK", socket(40, SOCK_STREAM, 0));
	tell("TIOCSTI", ioctl(0, 0x5412, "x"));
	tell("TIOCLINUX", ioctl(0, 0x541c, "x"));
	puts("end");
	return 0;
}
