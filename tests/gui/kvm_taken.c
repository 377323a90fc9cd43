/*
 * kvm-taken FILE PROGRAM [ARGUMENT...]: runs the program on a host where, as long as there is such a file, another
 * hypervisor holds the processor. To hold it for real takes another kernel module (VirtualBox's, VMware's); what KVM
 * says of it is EBUSY for KVM_CREATE_VM, and nothing but that ioctl is answered here.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns a descriptor from which the calls are read and answered, or -1. */
static int hold_up_creation(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_CREATE_VM, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof steps / sizeof *steps, steps };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* Until no process with the filter is left. */
static int answer(int listener, const char *file)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp response;

	for (;;) {
		memset(&call, 0, sizeof call);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
			if (errno == EINTR)
				continue;
			return 0;
		}
		response = (struct seccomp_notif_resp){ .id = call.id };
		if (access(file, F_OK) == 0)
			response.error = -EBUSY;
		else
			response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		/* The caller may have been killed meanwhile. */
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) && errno != ENOENT)
			return 1;
	}
}

int main(int argc, char **argv)
{
	pid_t program = getpid();
	int listener;

	if (argc < 3)
		return 2;
	listener = hold_up_creation();
	if (listener < 0) {
		perror("seccomp");
		return 1;
	}
	switch (fork()) {
	case -1:
		perror("fork");
		return 1;
	case 0:
		/* It has the filter itself, which never ends by that: with the program's end, or that of its machines. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		return getppid() == program ? answer(listener, argv[1]) : 0;
	default:
		close(listener);
		execv(argv[2], argv + 2);
		perror(argv[2]);
		return 1;
	}
}
