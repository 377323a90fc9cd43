/*
 * One machine: its configuration, KVM, devices, screen and input, and its life from power on to power off.
 *
 * machine_new() and machine_free() are the main thread's; everything else is called with vm->lock (I/O thread, or a
 * vCPU where it says so).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "../display/scanout.h"
#include "../input/router.h"
#include "block/block.h"
#include "config/config.h"
#include "device.h"
#include "firmware/direct.h"
#include "firmware/firmware.h"
#include "firmware/rom.h"
#include "kvm.h"
#include "pci/pci.h"
#include "vm.h"

enum machine_state {
	MACHINE_STARTING,
	MACHINE_RUNNING,
	MACHINE_PAUSED,
	MACHINE_CRASHED, /* an error stopped the guest; kept for inspection */
	MACHINE_TROUBLE, /* paused until the user mends something on the host */
	MACHINE_STOPPED,
};

/* The word for it on the control socket. */
const char *machine_state_name(enum machine_state state);

/* Whoever wants to hear from the machine; calls on the I/O thread with vm->lock. */
struct machine_listener {
	/* message: NULL or what the user should read. */
	void (*state_changed)(void *opaque, enum machine_state state, const char *message);
	/* LEDs, or what kinds of input the guest takes: see machine->input. May be NULL. */
	void (*input_changed)(void *opaque);
	/* Somebody wants to see the machine's window; false: there can be none. May be NULL. */
	bool (*raise)(void *opaque);
	void *opaque;
};

struct ahci;
struct control;
struct e1000;
struct hda;
struct network;
struct nvme;
struct pm;
struct rtc;
struct serial_backend;
struct vga;
struct usb_lender;
struct xhci;

struct machine {
	bool built; /* KVM and everything on it exist */
	struct vm vm;
	struct kvm kvm;
	struct machine_config *config;
	struct pci_bus pci;
	struct scanout scanout;
	struct input_router input;
	struct firmware firmware;
	struct rom bios, vga_rom;
	struct direct_boot_state kernel_start;
	GPtrArray *devices;   /* struct device *, in the order of plugging in */
	/* Devices that users talk to; owned by devices. */
	struct ahci *ahci;
	struct nvme *nvme[CONFIG_DISKS]; /* by the disk's number; NULL: none */
	struct hda *hda; /* NULL: no sound */
	struct e1000 *e1000; /* NULL: no network */
	struct pm *pm;
	struct rtc *rtc;
	struct vga *vga;
	struct xhci *xhci; /* NULL: no USB */
	struct usb_lender *usb_lender; /* with xhci: the host's devices there */
	struct serial_backend *serial; /* NULL: nothing is connected */
	struct network *network; /* the other end of e1000's cable */
	GPtrArray *forwards; /* struct nat_forward *: ports of the host that lead there, see forwards.h */
	struct control *control;
	enum machine_state state;
	char *message;        /* goes with the state; may be NULL */
	GPtrArray *listeners; /* struct machine_listener * */
	struct machine_listener control_listener;
	GCond wanted;         /* the main thread: state became MACHINE_STOPPED, or woken was set; with vm->lock */
	bool woken;
	/* What vm_request() or a vCPU asked for and the I/O thread has yet to do. */
	bool reset_requested, poweroff_requested, pause_requested;
	enum machine_state pause_state;
	char *pause_message;
	GSource *room_watch; /* in trouble: looks whether the host's disk has room again */
	uint64_t triple_faults[3]; /* guest times of the latest, newest first; 0: none */
};

/* Builds the machine, powered off. Takes the configuration, also on failure. */
struct machine *machine_new(struct machine_config *config, GError **error);
/* Ends vCPUs and the I/O thread, flushes and closes disks. Without vm->lock. */
void machine_free(struct machine *machine);
/* Starts the I/O thread, which powers the machine on. Main thread, once. */
void machine_start(struct machine *machine);
/* Main thread, without vm->lock: waits for MACHINE_STOPPED; false: machine_wake() was called before. */
bool machine_wait(struct machine *machine);
void machine_wake(struct machine *machine);

void machine_add_listener(struct machine *machine, struct machine_listener *listener);
void machine_remove_listener(struct machine *machine, struct machine_listener *listener);

/* The following wait for vCPUs to leave the guest, letting go of vm->lock: I/O thread only. */
void machine_pause(struct machine *machine);
/* From paused, or from trouble, where it tries again; a crashed machine can only be reset. False: not in this state. */
bool machine_resume(struct machine *machine);
/* From trouble: the requests that waited are done again, or fail, and the guest goes on. */
void machine_mend(struct machine *machine, bool retry);
void machine_reset(struct machine *machine);
void machine_stop(struct machine *machine);
/* False: the guest does not run, or no operating system listens to the button. */
bool machine_power_button(struct machine *machine);
/* Asks the listeners for a window. False: none of them can have one. */
bool machine_raise(struct machine *machine);
/* What the user does with keyboard and mouse. */
void machine_input(struct machine *machine, const struct input_event *events, unsigned count);
/* Saves the screen as a PNG file, in a thread of its own; done may be NULL and is called there, without the lock. */
void machine_screenshot(struct machine *machine, const char *path,
			void (*done)(void *opaque, const char *path, const GError *error), void *opaque);

/* Opens the image as its group says. */
struct block *machine_open_disk(const struct machine *machine, const struct config_disk *disk, GError **error);

/* Between machine.c and lifecycle.c. */
void machine_init_lifecycle(struct machine *machine);
void machine_finish_lifecycle(struct machine *machine);
void machine_request(struct vm *vm, enum vm_request request, const char *reason);
void machine_kvm_event(void *opaque, enum kvm_event event, const char *message);
