/*
 * The distribution's unmodified kernel up to its first process. On hosts with a PVM-based KVM this needs the
 * completion of instructions that KVM fails to emulate, and ends there: such hosts cannot run its system calls.
 */
#include "harness.h"

/* Removes what the host's CPUID shows but its KVM cannot emulate, and what takes minutes of emulated ring 0. */
#define ARGUMENTS \
	"console=ttyS0 noxsave clearcpuid=smap,smep,popcnt,cx16,umip mitigations=off cryptomgr.notests rodata=off " \
	"apparmor=0 audit=0 nowatchdog tsc=reliable no_timer_check panic=-1 initcall_blacklist=blake2s_mod_init," \
	"ftrace_check_for_weak_functions,load_system_certificate_list,load_revocation_certificate_list,ptp_kvm_init"

static void test_first_process(void)
{
	struct guest *guest = guest_new("stock");
	g_autofree char *kernel = harness_media("stock-vmlinux"), *initramfs = harness_media("initramfs");

	guest_set(guest, "machine", "memory", "512");
	guest_set(guest, "kernel", "kernel", "%s", kernel);
	guest_set(guest, "kernel", "initrd", "%s", initramfs);
	guest_set(guest, "kernel", "command-line", ARGUMENTS);
	guest_start(guest);
	guest_wait_line(guest, "Linux version 6.1", 120);
	guest_wait_line(guest, "Run /init as init process", 1500);
	g_test_message("first process after %.1f s", guest_age(guest));
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/stock-kernel/first-process", test_first_process);
	return harness_run();
}
