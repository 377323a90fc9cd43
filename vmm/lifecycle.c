/* Power on, pause, reset, crash, power off. */
#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

#include "../display/vga.h"
#include "chipset/pm.h"
#include "machine.h"
#include "machine_usb.h"
#include "net/network.h"
#include "nvme/nvme.h"
#include "storage/ahci.h"

#define ROOM_SECONDS 1
#define LOW_MEMORY_CLEARED 0x10000

/* So many triple faults in so short a time are not an operating system's way to reboot. */
#define TRIPLE_FAULT_WINDOW (30 * NSEC_PER_SEC)

static const char *const state_names[] = {
	[MACHINE_STARTING] = "starting", [MACHINE_RUNNING] = "running", [MACHINE_PAUSED] = "paused",
	[MACHINE_CRASHED] = "crashed", [MACHINE_TROUBLE] = "trouble", [MACHINE_STOPPED] = "stopped",
};

const char *machine_state_name(enum machine_state state)
{
	return state_names[state];
}

void machine_add_listener(struct machine *machine, struct machine_listener *listener)
{
	g_ptr_array_add(machine->listeners, listener);
}

void machine_remove_listener(struct machine *machine, struct machine_listener *listener)
{
	g_ptr_array_remove(machine->listeners, listener);
}

static void set_state(struct machine *machine, enum machine_state state, const char *message)
{
	char *copy = g_strdup(message);

	g_free(machine->message);
	machine->message = copy;
	machine->state = state;
	if (message)
		g_message("%s: %s", state_names[state], message);
	else
		g_message("%s", state_names[state]);
	for (guint i = 0; i < machine->listeners->len; i++) {
		struct machine_listener *listener = machine->listeners->pdata[i];

		listener->state_changed(listener->opaque, state, machine->message);
	}
	if (state == MACHINE_STOPPED)
		g_cond_broadcast(&machine->wanted);
}

static bool has_room(struct machine *machine)
{
	for (unsigned i = 0; i < CONFIG_DISKS; i++)
		if (machine->nvme[i] && nvme_has_room(machine->nvme[i]))
			return true;
	return ahci_has_room(machine->ahci) || machine_usb_has_room(machine);
}

/* A full disk is the one trouble that ends without the user's word. */
static gboolean look_for_room(gpointer data)
{
	struct machine *machine = data;

	if (machine->state == MACHINE_TROUBLE && has_room(machine))
		machine_mend(machine, true);
	return G_SOURCE_CONTINUE;
}

static void halt(struct machine *machine)
{
	kvm_pause(&machine->kvm);
	/* The picture's own timer is about to stand still. */
	vga_refresh_now(machine->vga);
	clock_stop(&machine->vm.clock);
	if (machine->network)
		network_set_paused(machine->network, true);
}

static void watch_room(struct machine *machine, bool on)
{
	if (machine->room_watch)
		loop_remove(machine->room_watch);
	machine->room_watch = on ? loop_every(&machine->vm.loop, ROOM_SECONDS, look_for_room, machine) : NULL;
}

static void run(struct machine *machine)
{
	watch_room(machine, false);
	clock_start(&machine->vm.clock);
	if (machine->network)
		network_set_paused(machine->network, false);
	kvm_resume(&machine->kvm);
	set_state(machine, MACHINE_RUNNING, NULL);
}

void machine_pause(struct machine *machine)
{
	if (machine->state != MACHINE_RUNNING)
		return;
	halt(machine);
	if (machine->state == MACHINE_RUNNING)
		set_state(machine, MACHINE_PAUSED, NULL);
}

void machine_mend(struct machine *machine, bool retry)
{
	if (machine->state != MACHINE_TROUBLE)
		return;
	run(machine);
	(retry ? ahci_retry : ahci_fail)(machine->ahci);
	for (unsigned i = 0; i < CONFIG_DISKS; i++)
		if (machine->nvme[i])
			(retry ? nvme_retry : nvme_fail)(machine->nvme[i]);
	machine_usb_mend(machine, retry);
}

bool machine_resume(struct machine *machine)
{
	/* The guest would wait for ever for requests that nobody does again. */
	if (machine->state == MACHINE_TROUBLE)
		machine_mend(machine, true);
	else if (machine->state == MACHINE_PAUSED)
		run(machine);
	return machine->state == MACHINE_RUNNING;
}

bool machine_power_button(struct machine *machine)
{
	return machine->state == MACHINE_RUNNING && pm_power_button(machine->pm);
}

bool machine_raise(struct machine *machine)
{
	bool raised = false;

	for (guint i = 0; i < machine->listeners->len; i++) {
		struct machine_listener *listener = machine->listeners->pdata[i];

		raised |= listener->raise && listener->raise(listener->opaque);
	}
	return raised;
}

void machine_input(struct machine *machine, const struct input_event *events, unsigned count)
{
	input_router_send(&machine->input, events, count);
	vga_expect_change(machine->vga);
}

struct screenshot {
	struct scanout *scanout;
	char *path;
	void (*done)(void *opaque, const char *path, const GError *error);
	void *opaque;
};

static gpointer save_screenshot(gpointer data)
{
	struct screenshot *screenshot = data;
	g_autoptr(GError) error = NULL;

	scanout_save_png(screenshot->scanout, screenshot->path, &error);
	if (screenshot->done)
		screenshot->done(screenshot->opaque, screenshot->path, error);
	else if (error)
		g_warning("%s", error->message);
	g_free(screenshot->path);
	g_free(screenshot);
	return NULL;
}

void machine_screenshot(struct machine *machine, const char *path,
			void (*done)(void *opaque, const char *path, const GError *error), void *opaque)
{
	struct screenshot *screenshot = g_new(struct screenshot, 1);

	*screenshot = (struct screenshot){ &machine->scanout, g_strdup(path), done, opaque };
	vga_refresh_now(machine->vga);
	g_thread_unref(g_thread_new("screenshot", save_screenshot, screenshot));
}

/* Loads the kernel that the machine starts instead of firmware. */
static bool load_kernel(struct machine *machine, GError **error)
{
	const struct machine_config *config = machine->config;
	g_autofree char *kernel = machine_config_path(config, config->kernel);
	g_autofree char *initrd = config->initrd ? machine_config_path(config, config->initrd) : NULL;
	struct direct_boot boot = { kernel, initrd, config->command_line, &machine->firmware };

	if (!direct_boot_load(&machine->vm, &boot, &machine->kernel_start, error))
		return false;
	machine->kvm.start_regs = &machine->kernel_start.regs;
	machine->kvm.start_sregs = &machine->kernel_start.sregs;
	return true;
}

/* vCPUs halted: everything as after power on, and off it goes. */
static void power_cycle(struct machine *machine)
{
	g_autoptr(GError) error = NULL;

	/* Whatever the machine before it was asked for. */
	machine->reset_requested = machine->pause_requested = false;
	for (guint i = 0; i < machine->devices->len; i++) {
		struct device *device = machine->devices->pdata[i];

		device->ops->reset(device);
	}
	/* What an interrupted boot loader left there has confused the next one (Windows 11 rebooting). */
	memset(machine->vm.memory.ram, 0, LOW_MEMORY_CLEARED);
	if (machine->config->kernel && !load_kernel(machine, &error)) {
		set_state(machine, MACHINE_CRASHED, error->message);
		return;
	}
	kvm_reset(&machine->kvm);
	run(machine);
}

void machine_reset(struct machine *machine)
{
	if (machine->state == MACHINE_STOPPED)
		return;
	halt(machine);
	power_cycle(machine);
}

void machine_stop(struct machine *machine)
{
	if (machine->state == MACHINE_STOPPED)
		return;
	halt(machine);
	watch_room(machine, false);
	set_state(machine, MACHINE_STOPPED, NULL);
}

static void carry_out_requests(void *data)
{
	struct machine *machine = data;
	g_autofree char *message = g_steal_pointer(&machine->pause_message);

	if (machine->state == MACHINE_STOPPED)
		return;
	if (machine->poweroff_requested) {
		machine_stop(machine);
	} else if (machine->reset_requested) {
		machine_reset(machine);
	} else if (machine->pause_requested) {
		machine->pause_requested = false;
		halt(machine);
		watch_room(machine, machine->pause_state == MACHINE_TROUBLE);
		set_state(machine, machine->pause_state, message);
	}
}

/* From a vCPU or a device: nothing more runs until the I/O thread has done it. */
static void ask(struct machine *machine)
{
	kvm_stop_soon(&machine->kvm);
	loop_call(&machine->vm.loop, carry_out_requests, machine);
}

static void ask_for_pause(struct machine *machine, enum machine_state state, const char *message)
{
	if (machine->pause_requested)
		return;
	machine->pause_requested = true;
	machine->pause_state = state;
	g_free(machine->pause_message);
	machine->pause_message = g_strdup(message);
	ask(machine);
}

void machine_request(struct vm *vm, enum vm_request request, const char *reason)
{
	struct machine *machine = (struct machine *)((char *)vm - G_STRUCT_OFFSET(struct machine, vm));

	g_message("request: %s", reason);
	switch (request) {
	case VM_REQUEST_RESET:
		machine->reset_requested = true;
		ask(machine);
		break;
	case VM_REQUEST_POWEROFF:
		machine->poweroff_requested = true;
		ask(machine);
		break;
	case VM_REQUEST_PAUSE:
		ask_for_pause(machine, MACHINE_TROUBLE, reason);
		break;
	}
}

/* Keeps the report beside the machine's log; returns where, or NULL. */
static char *save_report(struct machine *machine, const char *report)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *name = g_date_time_format(now, "report-%Y%m%d-%H%M%S.txt");
	g_autofree char *path = g_build_filename(machine->config->folder, name, NULL);
	g_autoptr(GError) error = NULL;

	if (g_file_set_contents(path, report, -1, &error))
		return g_steal_pointer(&path);
	g_warning("%s", error->message);
	return NULL;
}

static void crashed(struct machine *machine, const char *report)
{
	g_autofree char *path = save_report(machine, report);
	g_autofree char *headline = g_strndup(report, strcspn(report, "\n"));
	g_autofree char *message = NULL;

	g_warning("%s", report);
	if (path)
		message = g_strdup_printf(_("%s. The report is in %s"), headline, path);
	ask_for_pause(machine, MACHINE_CRASHED, message ? message : headline);
}

static void triple_fault(struct machine *machine)
{
	uint64_t now = clock_now(&machine->vm.clock) + 1;
	uint64_t oldest = machine->triple_faults[1];

	memmove(machine->triple_faults + 1, machine->triple_faults, 2 * sizeof now);
	machine->triple_faults[0] = now;
	if (oldest && now - oldest < TRIPLE_FAULT_WINDOW) {
		memset(machine->triple_faults, 0, sizeof machine->triple_faults);
		ask_for_pause(machine, MACHINE_CRASHED,
			      _("The guest's processor failed again and again (triple fault)"));
	} else {
		vm_request(&machine->vm, VM_REQUEST_RESET, "triple fault");
	}
}

void machine_kvm_event(void *opaque, enum kvm_event event, const char *message)
{
	struct machine *machine = opaque;

	if (event == KVM_EVENT_TRIPLE_FAULT)
		triple_fault(machine);
	else
		crashed(machine, message);
}

static void input_changed(struct input_router *router, void *opaque)
{
	struct machine *machine = opaque;

	(void)router;
	for (guint i = 0; i < machine->listeners->len; i++) {
		struct machine_listener *listener = machine->listeners->pdata[i];

		if (listener->input_changed)
			listener->input_changed(listener->opaque);
	}
}

void machine_init_lifecycle(struct machine *machine)
{
	machine->listeners = g_ptr_array_new();
	g_cond_init(&machine->wanted);
	machine->input.changed = input_changed;
	machine->input.changed_opaque = machine;
}

void machine_finish_lifecycle(struct machine *machine)
{
	watch_room(machine, false);
	g_ptr_array_free(machine->listeners, TRUE);
	g_cond_clear(&machine->wanted);
	g_free(machine->message);
	g_free(machine->pause_message);
}

static void power_on(void *data)
{
	struct machine *machine = data;

	halt(machine);
	power_cycle(machine);
}

void machine_start(struct machine *machine)
{
	loop_call(&machine->vm.loop, power_on, machine);
	loop_start(&machine->vm.loop);
}

bool machine_wait(struct machine *machine)
{
	bool stopped;

	g_mutex_lock(&machine->vm.lock);
	while (machine->state != MACHINE_STOPPED && !machine->woken)
		g_cond_wait(&machine->wanted, &machine->vm.lock);
	stopped = machine->state == MACHINE_STOPPED;
	machine->woken = false;
	g_mutex_unlock(&machine->vm.lock);
	return stopped;
}

void machine_wake(struct machine *machine)
{
	machine->woken = true;
	g_cond_broadcast(&machine->wanted);
}
