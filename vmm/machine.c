/*
 * The only place that lists what a machine has, top to bottom, in the order of plugging in.
 */
#include "machine.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

#include "../audio/backend.h"
#include "../audio/hda.h"
#include "../display/vga.h"
#include "../input/i8042.h"
#include "chipset/host_bridge.h"
#include "chipset/lpc.h"
#include "chipset/pm.h"
#include "chipset/ports.h"
#include "chipset/rtc.h"
#include "chipset/serial.h"
#include "chipset/serial_backend.h"
#include "forwards.h"
#include "machine_control.h"
#include "machine_usb.h"
#include "net/e1000.h"
#include "net/nat.h"
#include "net/tap.h"
#include "nvme/nvme.h"
#include "storage/ahci.h"

#define VGA_DEVFN PCI_DEVFN(1, 0)
#define NETWORK_DEVFN PCI_DEVFN(2, 0)
#define COM1_PORT 0x3F8
#define COM1_GSI 4

static struct device *plug(struct machine *machine, struct device *device)
{
	g_ptr_array_add(machine->devices, device);
	return device;
}

static bool load_roms(struct machine *machine, GError **error)
{
	const struct machine_config *config = machine->config;
	g_autofree char *bios = config->firmware_path ? machine_config_path(config, config->firmware_path) : NULL;
	g_autofree char *vga = config->vga_rom_path ? machine_config_path(config, config->vga_rom_path) : NULL;

	if (config->kernel)
		return true;
	return rom_load_bios(&machine->bios, bios, error) && rom_load_vga(&machine->vga_rom, vga, error);
}

static void set_cmos(void *rtc, uint8_t index, uint8_t value)
{
	rtc_cmos_write(rtc, index, value);
}

static void plug_chipset(struct machine *machine)
{
	struct vm *vm = &machine->vm;

	plug(machine, host_bridge_new(vm, &machine->pci, &machine->bios));
	machine->pm = pm_new(vm);
	plug(machine, &machine->pm->device);
	plug(machine, lpc_new(vm, &machine->pci, machine->pm));
	machine->rtc = rtc_new(vm, 0, NULL, NULL);
	plug(machine, &machine->rtc->device);
	rtc_set_memory(machine->rtc);
	firmware_cmos(&machine->firmware.description, set_cmos, machine->rtc);
	plug(machine, ports_new(vm, machine->config->firmware_log));
}

static bool plug_serial(struct machine *machine, GError **error)
{
	struct machine_config *config = machine->config;
	g_autofree char *path = NULL;

	switch (config->serial) {
	case CONFIG_SERIAL_NONE:
		break;
	case CONFIG_SERIAL_LOG:
		path = g_build_filename(config->folder, "serial.log", NULL);
		machine->serial = serial_backend_new_log(&machine->vm, path, error);
		break;
	case CONFIG_SERIAL_PTY:
		machine->serial = serial_backend_new_pty(&machine->vm, error);
		break;
	case CONFIG_SERIAL_SOCKET:
		path = machine_config_serial_path(config);
		machine->serial = serial_backend_new_socket(&machine->vm, path, error);
		break;
	}
	if (config->serial != CONFIG_SERIAL_NONE && !machine->serial)
		return false;
	plug(machine, serial_new(&machine->vm, COM1_PORT, COM1_GSI, machine->serial));
	return true;
}

static void plug_fw_cfg(struct machine *machine)
{
	struct fw_cfg *fw_cfg = fw_cfg_new(&machine->vm);

	firmware_fill_fw_cfg(&machine->firmware, fw_cfg);
	plug(machine, fw_cfg_device(fw_cfg));
}

static bool plug_display(struct machine *machine, GError **error)
{
	struct vga_options options = {
		.vram_size = (uint32_t)machine->config->vram,
		.width = machine->config->display_width,
		.height = machine->config->display_height,
		.rom = machine->vga_rom.data,
		.rom_size = machine->vga_rom.size,
		.devfn = VGA_DEVFN,
	};
	struct device *device = vga_new(&machine->vm, &machine->pci, &machine->scanout, &options, error);

	if (!device)
		return false;
	machine->vga = vga_of(plug(machine, device));
	return true;
}

static void plug_nvme(struct machine *machine, unsigned number, struct block *block, const struct config_disk *disk)
{
	struct nvme_options options = {
		.serial = disk->serial,
		.ssd = disk->ssd,
		.queues = machine->config->cpus,
		.devfn = PCI_DEVFN(PLATFORM_NVME_SLOT + number, 0),
	};

	machine->nvme[number] = nvme_new(&machine->vm, &machine->pci, block, &options);
	plug(machine, nvme_device(machine->nvme[number]));
}

struct block *machine_open_disk(const struct machine *machine, const struct config_disk *disk, GError **error)
{
	g_autofree char *path = machine_config_path(machine->config, disk->path);
	struct block_options options = {
		.path = path,
		.format = machine_config_is_qcow2(disk) ? BLOCK_FORMAT_QCOW2 : BLOCK_FORMAT_RAW,
		.read_only = disk->read_only,
		.cache = disk->cache_none ? BLOCK_CACHE_NONE : BLOCK_CACHE_WRITEBACK,
		.report_errors = disk->report_errors,
	};

	return block_open(&options, error);
}

static bool attach_disk(struct machine *machine, unsigned port, const struct config_disk *disk, GError **error)
{
	struct ahci_disk_options drive = { .serial = disk->serial, .ssd = disk->ssd };
	struct block *block = machine_open_disk(machine, disk, error);

	if (!block)
		return false;
	if (disk->bus == CONFIG_BUS_NVME) {
		plug_nvme(machine, port, block, disk);
		return true;
	}
	if (ahci_attach_disk(machine->ahci, port, block, &drive, error))
		return true;
	block_close(block);
	return false;
}

static bool attach_cd(struct machine *machine, unsigned port, const struct config_disk *cd, GError **error)
{
	struct ahci_cd_options options = { .changed = machine_disc_changed, .opaque = machine };
	g_autofree char *path = cd->path ? machine_config_path(machine->config, cd->path) : NULL;

	ahci_attach_cd(machine->ahci, port, &options);
	return !path || ahci_insert(machine->ahci, port, path, error);
}

static bool plug_storage(struct machine *machine, GError **error)
{
	machine->ahci = ahci_new(&machine->vm, &machine->pci);
	plug(machine, ahci_device(machine->ahci));
	for (unsigned port = 0; port < CONFIG_DISKS; port++) {
		const struct config_disk *disk = &machine->config->disks[port];

		if (!machine->config->has_disk[port])
			continue;
		if (!(disk->kind == CONFIG_CD ? attach_cd : attach_disk)(machine, port, disk, error))
			return false;
	}
	return true;
}

static void plug_sound(struct machine *machine)
{
	struct machine_config *config = machine->config;
	g_autofree char *folder_name = g_path_get_basename(config->folder);
	struct hda_options options = { .microphone = config->microphone };

	if (config->sound == CONFIG_SOUND_NONE)
		return;
	options.backend = config->sound_backend == CONFIG_SOUND_NULL ? audio_backend_null_new() :
			  audio_backend_pulse_new(&machine->vm, config->name ? config->name : folder_name);
	machine->hda = hda_new(&machine->vm, &machine->pci, &options);
	plug(machine, hda_device(machine->hda));
}

static struct network *new_network(struct machine *machine, GError **error)
{
	const struct machine_config *config = machine->config;
	g_autofree char *tftp = config->tftp ? machine_config_path(config, config->tftp) : NULL;
	struct nat_options nat = { .isolated = config->network_mode == CONFIG_NETWORK_ISOLATED, .tftp = tftp,
				   .boot_file = config->boot_file };
	bool outside = config->network_mode == CONFIG_NETWORK_TAP || config->network_mode == CONFIG_NETWORK_BRIDGE;

	if (!outside)
		return nat_new(&machine->vm, &nat, error);
	if (!config->interface) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    config->network_mode == CONFIG_NETWORK_TAP ?
			    _("Which tap device is the guest's network to be connected with? Set interface of "
			      "[network] to its name") :
			    _("Which bridge is the guest's network to be connected with? Set interface of [network] "
			      "to its name"));
		return NULL;
	}
	return (config->network_mode == CONFIG_NETWORK_TAP ? tap_new : tap_new_on_bridge)(&machine->vm, config->interface,
											  error);
}

static bool plug_network(struct machine *machine, GError **error)
{
	struct machine_config *config = machine->config;
	g_autofree char *capture = config->capture ? machine_config_path(config, config->capture) : NULL;
	struct e1000_options options = {
		.model = config->network == CONFIG_NETWORK_E1000 ? E1000_82540EM : E1000_82574L,
		.devfn = NETWORK_DEVFN,
		.link = config->link,
	};

	if (config->network == CONFIG_NETWORK_NONE)
		return true;
	machine->network = new_network(machine, error);
	if (!machine->network)
		return false;
	machine_config_parse_mac(config->mac, options.mac);
	machine->e1000 = e1000_new(&machine->vm, &machine->pci, machine->network, &options);
	plug(machine, e1000_device(machine->e1000));
	if (capture && !network_capture(machine->network, capture, error))
		return false;
	return machine_forwards_start(machine, error);
}

static bool plug_everything(struct machine *machine, GError **error)
{
	plug_chipset(machine);
	if (!plug_serial(machine, error))
		return false;
	plug_fw_cfg(machine);
	plug(machine, i8042_new(&machine->vm, &machine->input));
	plug_sound(machine);
	if (!plug_network(machine, error))
		return false;
	return plug_display(machine, error) && plug_storage(machine, error) && machine_plug_usb(machine, error);
}

struct machine *machine_new(struct machine_config *config, GError **error)
{
	struct machine *machine = g_new0(struct machine, 1);
	bool ok;

	machine->config = config;
	machine->devices = g_ptr_array_new();
	machine->forwards = machine_forwards_new();
	scanout_init(&machine->scanout);
	input_router_init(&machine->input);
	machine_init_lifecycle(machine);
	if (!kvm_init(&machine->kvm, error)) {
		machine_free(machine);
		return NULL;
	}
	machine->kvm.event = machine_kvm_event;
	machine->kvm.event_opaque = machine;
	if (!vm_init(&machine->vm, &machine->kvm.hv, config->memory, error)) {
		kvm_finish(&machine->kvm);
		machine_free(machine);
		return NULL;
	}
	machine->vm.request = machine_request;
	machine->built = true;
	pci_bus_init(&machine->pci, &machine->vm);
	firmware_init(&machine->firmware, config, &machine->vm.memory);
	/* The socket first: it is what a second process of the same machine stumbles over. */
	ok = machine_control_start(machine, error) &&
	     kvm_create_vcpus(&machine->kvm, &machine->vm, config->cpus, error) && load_roms(machine, error);
	g_mutex_lock(&machine->vm.lock);
	ok = ok && plug_everything(machine, error);
	g_mutex_unlock(&machine->vm.lock);
	if (ok)
		return machine;
	machine_free(machine);
	return NULL;
}

static void unplug_everything(struct machine *machine)
{
	g_mutex_lock(&machine->vm.lock);
	while (machine->devices->len) {
		struct device *device = g_ptr_array_steal_index(machine->devices, machine->devices->len - 1);

		device->ops->destroy(device);
	}
	g_mutex_unlock(&machine->vm.lock);
}

void machine_free(struct machine *machine)
{
	if (machine->built) {
		kvm_join(&machine->kvm);
		loop_stop(&machine->vm.loop);
		machine_control_stop(machine);
		if (machine->network)
			network_stop(machine->network);
		unplug_everything(machine);
		machine_finish_usb(machine);
		g_clear_pointer(&machine->network, network_free);
		firmware_finish(&machine->firmware);
		pci_bus_finish(&machine->pci);
		vm_finish(&machine->vm);
		kvm_finish(&machine->kvm);
	}
	rom_free(&machine->bios);
	rom_free(&machine->vga_rom);
	input_router_finish(&machine->input);
	scanout_finish(&machine->scanout);
	g_ptr_array_free(machine->devices, TRUE);
	g_ptr_array_unref(machine->forwards);
	machine_finish_lifecycle(machine);
	machine_config_free(machine->config);
	g_free(machine);
}
