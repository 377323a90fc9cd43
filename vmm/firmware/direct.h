/*
 * Boots a Linux kernel without firmware: an uncompressed 64-bit vmlinux, an initial RAM disk and a command line, put
 * into RAM together with the tables that firmware would have made (Documentation/arch/x86/boot.rst, 64-bit protocol).
 */
#pragma once

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>

#include "firmware.h"

struct vm;

struct direct_boot {
	const char *kernel;
	const char *initrd;       /* or NULL */
	const char *command_line; /* or NULL */
	const struct firmware *firmware;
};

/* Complete registers of the first vCPU; the others wait for their start-up interrupt as after any reset. */
struct direct_boot_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

/*
 * Loads everything, and programs the chipset as firmware would: PCIEXBAR, PAM, PMBASE, PIRQ routes. To be called
 * after devices were reset, at every reset, with vm->lock and vCPUs parked. The kernel's file is not trusted.
 */
bool direct_boot_load(struct vm *vm, const struct direct_boot *boot, struct direct_boot_state *state, GError **error);
