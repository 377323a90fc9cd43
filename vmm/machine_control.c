#include "machine_control.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../audio/hda.h"
#include "../display/vga.h"
#include "chipset/pm.h"
#include "chipset/serial_backend.h"
#include "control/control.h"
#include "forwards.h"
#include "machine.h"
#include "machine_usb.h"
#include "net/e1000.h"
#include "net/forward.h"
#include "net/network.h"
#include "nvme/nvme.h"
#include "storage/ahci.h"
#include "usb/usb.h"
#include "usb/xhci.h"

typedef void (*add_counter)(void *opaque, const char *name, uint64_t value);

static const char *get_state(void *opaque)
{
	return machine_state_name(((struct machine *)opaque)->state);
}

static const char *get_message(void *opaque)
{
	const char *message = ((struct machine *)opaque)->message;

	return message ? message : "";
}

static const char *get_serial_pty(void *opaque)
{
	struct machine *machine = opaque;

	return machine->config->serial == CONFIG_SERIAL_PTY ? serial_backend_path(machine->serial) : "";
}

static bool refuse(const char *message, GError **error)
{
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, message);
	return false;
}

/* For requests that depend on the machine's state: it is the reason, unless the machine runs. */
static bool refuse_now(const struct machine *machine, const char *otherwise, GError **error)
{
	switch (machine->state) {
	case MACHINE_CRASHED:
		return refuse(_("The machine has crashed: it can only be reset or stopped"), error);
	case MACHINE_PAUSED:
		return refuse(_("The machine is paused: let it go on first"), error);
	case MACHINE_TROUBLE:
		return refuse(_("The machine waits for one of its disks"), error);
	default:
		return refuse(otherwise, error);
	}
}

static bool do_pause(void *opaque, GError **error)
{
	struct machine *machine = opaque;

	machine_pause(machine);
	return machine->state == MACHINE_PAUSED || refuse_now(machine, _("The machine cannot be paused now"), error);
}

static bool do_resume(void *opaque, GError **error)
{
	return machine_resume(opaque) ||
	       refuse_now(opaque, _("The machine can only be reset or stopped now"), error);
}

static bool do_reset(void *opaque, GError **error)
{
	(void)error;
	machine_reset(opaque);
	return true;
}

static bool do_power_button(void *opaque, GError **error)
{
	return machine_power_button(opaque) ||
	       refuse_now(opaque, _("No operating system listens to the power button"), error);
}

static bool do_stop(void *opaque, GError **error)
{
	(void)error;
	machine_stop(opaque);
	return true;
}

static bool do_raise(void *opaque, GError **error)
{
	struct machine *machine = opaque;

	if (machine->state == MACHINE_STOPPED || !machine_raise(machine))
		return refuse(_("The machine has no window"), error);
	return true;
}

static bool do_retry(void *opaque, GError **error)
{
	struct machine *machine = opaque;

	if (machine->state != MACHINE_TROUBLE)
		return refuse(_("There is nothing to try again"), error);
	machine_mend(machine, true);
	return true;
}

static bool do_fail(void *opaque, GError **error)
{
	struct machine *machine = opaque;

	if (machine->state != MACHINE_TROUBLE)
		return refuse(_("No request of the guest waits"), error);
	machine_mend(machine, false);
	return true;
}

/* The drive that the caller means, or -1 with an error. */
static int find_drive(struct machine *machine, int drive, GError **error)
{
	for (int port = 0; port < AHCI_PORTS; port++)
		if ((drive == -1 || drive == port) && ahci_is_cd(machine->ahci, (unsigned)port))
			return port;
	if (drive == -1)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("The machine has no CD drive"));
	else
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("Port %d has no CD drive"), drive);
	return -1;
}

static bool do_insert(void *opaque, int drive, const char *path, GError **error)
{
	struct machine *machine = opaque;
	int port = find_drive(machine, drive, error);

	return port >= 0 && ahci_insert(machine->ahci, (unsigned)port, path, error);
}

static bool do_eject(void *opaque, int drive, bool force, GError **error)
{
	struct machine *machine = opaque;
	int port = find_drive(machine, drive, error);

	return port >= 0 && ahci_eject(machine->ahci, (unsigned)port, force, error);
}

static void list_discs(void *opaque, void (*add)(void *opaque, int drive, const char *path), void *add_opaque)
{
	struct machine *machine = opaque;

	for (unsigned port = 0; port < AHCI_PORTS; port++) {
		const char *path = ahci_disc(machine->ahci, port);

		if (ahci_is_cd(machine->ahci, port))
			add(add_opaque, (int)port, path ? path : "");
	}
}

static bool get_microphone(void *opaque)
{
	struct machine *machine = opaque;

	return machine->hda && machine->config->microphone;
}

static bool set_microphone(void *opaque, bool allowed, GError **error)
{
	struct machine *machine = opaque;

	if (!machine->hda) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _("The machine has no sound device"));
		return false;
	}
	machine->config->microphone = allowed;
	hda_set_microphone(machine->hda, allowed);
	return true;
}

static bool get_link(void *opaque)
{
	struct machine *machine = opaque;

	return machine->e1000 && e1000_link(machine->e1000);
}

static bool set_link(void *opaque, bool up, GError **error)
{
	struct machine *machine = opaque;

	if (!machine->e1000) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _("The machine has no network adapter"));
		return false;
	}
	e1000_set_link(machine->e1000, up);
	return true;
}

static void list_forwards(void *opaque, void (*add)(void *opaque, const char *forward), void *add_opaque)
{
	struct machine *machine = opaque;

	for (guint i = 0; i < machine->forwards->len; i++) {
		g_autofree char *text = nat_forward_format(machine->forwards->pdata[i]);

		add(add_opaque, text);
	}
}

static void do_forward(void *opaque, const char *forward, bool add, control_done done, void *done_opaque)
{
	machine_forward(opaque, forward, add, done, done_opaque);
}

static bool do_plug_stick(void *opaque, const char *path, bool read_only, GError **error)
{
	return machine_plug_stick(opaque, path, read_only, error);
}

static bool do_unplug_stick(void *opaque, const char *path, bool force, GError **error)
{
	return machine_unplug_stick(opaque, path, force, error);
}

static void list_sticks(void *opaque, void (*add)(void *opaque, const char *path), void *add_opaque)
{
	for (unsigned i = 0; i < XHCI_CONNECTORS; i++) {
		struct block *stick = machine_stick(opaque, i);

		if (stick)
			add(add_opaque, block_path(stick));
	}
}

static void do_host_devices(void *opaque, control_listed done, void *done_opaque)
{
	machine_list_host_devices(opaque, done, done_opaque);
}

static void do_plug_host_device(void *opaque, uint8_t bus, uint8_t address, control_done done, void *done_opaque)
{
	machine_plug_host_device(opaque, bus, address, done, done_opaque);
}

static bool do_unplug_host_device(void *opaque, uint8_t bus, uint8_t address, GError **error)
{
	return machine_unplug_host_device(opaque, bus, address, error);
}

static uint64_t resident_bytes(void)
{
	g_autofree char *text = NULL;
	guint64 pages = 0;
	char *second;

	/* statm: size, resident, shared ... in pages */
	if (g_file_get_contents("/proc/self/statm", &text, NULL, NULL) && (second = strchr(text, ' ')))
		pages = g_ascii_strtoull(second, NULL, 10);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t timeval_ns(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * NSEC_PER_SEC + (uint64_t)time->tv_usec * 1000;
}

/* All threads; the guest's own time is part of what the host calls user time. */
static void count_process(uint64_t guest, add_counter add, void *opaque)
{
	struct rusage usage;
	uint64_t user;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return;
	user = timeval_ns(&usage.ru_utime);
	add(opaque, "process.user", user - MIN(guest, user));
	add(opaque, "process.kernel", timeval_ns(&usage.ru_stime));
}

static void count_vcpus(struct machine *machine, add_counter add, void *opaque)
{
	uint64_t exits[VCPU_EXIT_REASONS] = { 0 }, completed = 0;
	struct vcpu_times sum = { 0 };

	for (guint i = 0; i < machine->kvm.vcpus->len; i++) {
		struct vcpu *vcpu = machine->kvm.vcpus->pdata[i];
		struct vcpu_times times;

		for (unsigned reason = 0; reason < VCPU_EXIT_REASONS; reason++)
			exits[reason] += vcpu->exits[reason];
		completed += vcpu->completed_instructions;
		vcpu_times(vcpu, &times);
		sum.guest += times.guest;
		sum.user += times.user;
		sum.kernel += times.kernel;
	}
	for (unsigned reason = 0; reason < VCPU_EXIT_REASONS; reason++) {
		g_autofree char *name = NULL;

		if (!exits[reason])
			continue;
		name = vcpu_exit_name(reason) ? g_strdup_printf("exits.%s", vcpu_exit_name(reason)) :
						g_strdup_printf("exits.%u", reason);
		add(opaque, name, exits[reason]);
	}
	add(opaque, "emulation.completed", completed);
	add(opaque, "time.guest", sum.guest);
	add(opaque, "time.user", sum.user);
	add(opaque, "time.kernel", sum.kernel);
	count_process(sum.guest, add, opaque);
}

static void count_disk(const char *name, unsigned port, const struct block_statistics *statistics, add_counter add,
		       void *opaque)
{
	static const char *const operations[BLOCK_OPERATIONS] = {
		[BLOCK_READ] = "read", [BLOCK_WRITE] = "write", [BLOCK_FLUSH] = "flush",
		[BLOCK_DISCARD] = "discard", [BLOCK_WRITE_ZEROES] = "zeroes",
	};

	for (unsigned i = 0; i < BLOCK_OPERATIONS; i++) {
		const struct { const char *name; uint64_t value; } counters[] = {
			{ "operations", statistics->by_operation[i].operations },
			{ "bytes", statistics->by_operation[i].bytes },
			{ "errors", statistics->by_operation[i].errors },
			{ "latency", statistics->by_operation[i].latency_total },
		};

		for (size_t n = 0; n < G_N_ELEMENTS(counters); n++) {
			g_autofree char *full = g_strdup_printf("%s%u.%s.%s", name, port, operations[i], counters[n].name);

			add(opaque, full, counters[n].value);
		}
	}
}

static void count_usb(const struct machine *machine, unsigned port, add_counter add, void *opaque)
{
	const struct usb_device *device = xhci_connected(machine->xhci, port);
	struct block *stick = machine_stick(machine, port);
	g_autofree char *name = g_strdup_printf("usb%u.transfers", port);

	if (device)
		add(opaque, name, device->transfers);
	if (stick)
		count_disk("usb", port, block_statistics(stick), add, opaque);
}

static void count_sound(const struct hda *hda, bool input, add_counter add, void *opaque)
{
	const struct audio_counters *counters = hda_counters(hda, input);
	const struct { const char *name; const uint64_t *value; } named[] = {
		{ "frames", &counters->frames }, { "underruns", &counters->underruns },
		{ "overruns", &counters->overruns }, { "latency", &counters->latency },
	};

	for (size_t n = 0; n < G_N_ELEMENTS(named); n++) {
		g_autofree char *name = g_strdup_printf("sound.%s.%s", input ? "input" : "output", named[n].name);

		add(opaque, name, __atomic_load_n(named[n].value, __ATOMIC_RELAXED));
	}
}

static void count_network(const struct machine *machine, add_counter add, void *opaque)
{
	struct network_counters counters;

	network_counters(machine->network, &counters);
	add(opaque, "network0.sent.frames", counters.sent_frames);
	add(opaque, "network0.sent.bytes", counters.sent_bytes);
	add(opaque, "network0.received.frames", counters.received_frames);
	add(opaque, "network0.received.bytes", counters.received_bytes);
	add(opaque, "network0.dropped.frames", counters.dropped);
}

static void do_statistics(void *opaque, add_counter add, void *add_opaque)
{
	struct machine *machine = opaque;

	count_vcpus(machine, add, add_opaque);
	for (unsigned port = 0; port < CONFIG_DISKS; port++) {
		const struct block_statistics *statistics = machine->nvme[port] ? nvme_statistics(machine->nvme[port]) :
							    ahci_statistics(machine->ahci, port);

		if (statistics)
			count_disk("disk", port, statistics, add, add_opaque);
	}
	for (unsigned port = 0; machine->xhci && port < XHCI_CONNECTORS; port++)
		count_usb(machine, port, add, add_opaque);
	for (int input = 0; machine->hda && input < 2; input++)
		count_sound(machine->hda, input, add, add_opaque);
	if (machine->network)
		count_network(machine, add, add_opaque);
	add(add_opaque, "memory.resident", resident_bytes());
	add(add_opaque, "memory.guest", machine->vm.memory.ram_size);
}

static void refresh_screen(void *opaque)
{
	vga_refresh_now(((struct machine *)opaque)->vga);
}

static const struct control_ops ops = {
	.state = get_state,
	.message = get_message,
	.serial_pty = get_serial_pty,
	.pause = do_pause,
	.resume = do_resume,
	.reset = do_reset,
	.power_button = do_power_button,
	.stop = do_stop,
	.raise = do_raise,
	.retry = do_retry,
	.fail = do_fail,
	.insert_disc = do_insert,
	.eject_disc = do_eject,
	.discs = list_discs,
	.microphone = get_microphone,
	.set_microphone = set_microphone,
	.link = get_link,
	.set_link = set_link,
	.forwards = list_forwards,
	.forward = do_forward,
	.plug_stick = do_plug_stick,
	.unplug_stick = do_unplug_stick,
	.sticks = list_sticks,
	.host_devices = do_host_devices,
	.plug_host_device = do_plug_host_device,
	.unplug_host_device = do_unplug_host_device,
	.statistics = do_statistics,
	.refresh_screen = refresh_screen,
};

static void state_changed(void *opaque, enum machine_state state, const char *message)
{
	(void)state;
	(void)message;
	control_state_changed(((struct machine *)opaque)->control);
}

static void input_changed(void *opaque)
{
	control_leds_changed(((struct machine *)opaque)->control);
}

bool machine_control_start(struct machine *machine, GError **error)
{
	g_autofree char *path = machine_config_socket_path(machine->config);
	g_autofree char *folder_name = g_path_get_basename(machine->config->folder);
	struct control_options options = {
		.vm = &machine->vm,
		.router = &machine->input,
		.scanout = &machine->scanout,
		.socket_path = path,
		.name = machine->config->name ? machine->config->name : folder_name,
		.folder = machine->config->folder,
		.ops = &ops,
		.machine = machine,
	};

	machine->control = control_new(&options, error);
	if (!machine->control)
		return false;
	machine->control_listener = (struct machine_listener){ state_changed, input_changed, NULL, machine };
	machine_add_listener(machine, &machine->control_listener);
	return true;
}

void machine_control_stop(struct machine *machine)
{
	/* Devices that go later still tell what changes. */
	machine_remove_listener(machine, &machine->control_listener);
	if (machine->control)
		control_free(machine->control);
	machine->control = NULL;
}

void machine_tell_trouble(void *opaque, const GError *error)
{
	struct machine *machine = opaque;

	if (!error)
		return;
	g_warning("%s", error->message);
	if (machine->control)
		control_error(machine->control, error->message);
}

void machine_disc_changed(void *opaque, unsigned port, const char *path)
{
	struct machine *machine = opaque;

	if (machine->control)
		control_disc_changed(machine->control, (int)port, path ? path : "");
}
