/*
 * The KVM side of a machine: the virtual machine's fd, its interrupt controllers and timer, memory slots, and vCPUs.
 *
 * Calls need vm->lock unless they say otherwise; those that wait for vCPUs let go of it while they wait.
 */
#pragma once

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>

#include "hypervisor.h"
#include "irq_window.h"
#include "vcpu.h"

struct vm;

/* Why vCPUs stopped on their own; message is valid during the call. With vm->lock, on a vCPU's thread. */
enum kvm_event {
	KVM_EVENT_TRIPLE_FAULT,
	KVM_EVENT_FAILED, /* KVM or the instruction completion gave up: message is a report for the user */
};

struct kvm {
	struct hypervisor hv;
	struct vm *vm;
	int device_fd;
	int fd;
	size_t run_size;
	bool x2apic_api;
	struct kvm_cpuid2 *cpuid; /* for vCPU 0; cpuid.c adapts it for the others */
	struct kvm_coalesced_mmio_ring *ring;
	unsigned ring_size;
	GPtrArray *vcpus; /* struct vcpu * */
	int stop;         /* atomic: vCPUs must park */
	bool quit;        /* vCPU threads must end */
	GCond parked;     /* a vCPU parked, with vm->lock */
	GCond resumed;
	struct kvm_clock_data clock; /* kvmclock while the vCPUs are paused */
	bool clock_stopped;
	struct kvm_irqchip initial_irqchip[3];
	struct kvm_pit_state2 initial_pit;
	struct irq_window irq_window;
	void (*event)(void *opaque, enum kvm_event event, const char *message);
	void *event_opaque;
	/* How to start vCPU 0 after a reset, if not at the reset vector; may be NULL. */
	const struct kvm_regs *start_regs;
	const struct kvm_sregs *start_sregs;
};

/*
 * Opens /dev/kvm and creates an empty virtual machine. The error tells users what to do: module, BIOS setting,
 * permission, another hypervisor, old kernel.
 */
bool kvm_init(struct kvm *kvm, GError **error);
/* After vm_init(): checks what the host can do for so many vCPUs and creates them, parked. */
bool kvm_create_vcpus(struct kvm *kvm, struct vm *vm, unsigned count, GError **error);
void kvm_finish(struct kvm *kvm);

/* Makes vCPUs leave the guest, and waits until all have. May be called on the I/O thread only. */
void kvm_pause(struct kvm *kvm);
void kvm_resume(struct kvm *kvm);
/* Any vCPU thread: no vCPU enters the guest again until kvm_resume(); does not wait. */
void kvm_stop_soon(struct kvm *kvm);
/* vCPUs paused: interrupt controllers, timer and vCPUs as after power on. */
void kvm_reset(struct kvm *kvm);
/* Parks the vCPUs for good and joins their threads; without vm->lock. */
void kvm_join(struct kvm *kvm);

/* ioctl that is repeated when a signal interrupts it. */
int kvm_ioctl(int fd, unsigned long request, void *argument);
int kvm_check(const struct kvm *kvm, int capability);
