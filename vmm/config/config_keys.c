/* The keys of machine.conf, and what holds where there are none. */
#include "config_internal.h"

#include <string.h>

static const char *const false_true[] = { "false", "true", NULL };
static const char *const formats[] = { "auto", "raw", "qcow2", NULL };
static const char *const error_answers[] = { "pause", "report", NULL };
static const char *const cache_modes[] = { "writeback", "none", NULL };
static const char *const buses[] = { "ahci", "nvme", NULL };
static const char *const boot_orders[] = { "disk", "cd", "stick", NULL };
static const char *const serial_modes[] = { "none", "log", "pty", "socket", NULL };
static const char *const sound_devices[] = { "hda", "none", NULL };
static const char *const sound_backends[] = { "pulse", "null", NULL };
static const char *const network_devices[] = { "e1000e", "e1000", "none", NULL };
static const char *const network_modes[] = { "nat", "isolated", "tap", "bridge", NULL };
static const char *const usb_controllers[] = { "xhci", "none", NULL };

#define FIELD(field) G_STRUCT_OFFSET(struct machine_config, field)
#define DISK_FIELD(field) G_STRUCT_OFFSET(struct config_disk, field)

const struct key config_machine_keys[] = {
	/* First: it decides whether the others mean what they meant. */
	{ "machine", "version", KEY_VERSION, FIELD(version), 1, MACHINE_CONFIG_VERSION },
	{ "machine", "name", KEY_STRING, FIELD(name) },
	{ "machine", "notes", KEY_NOTES, FIELD(notes) },
	{ "machine", "system", KEY_STRING, FIELD(system) },
	{ "machine", "uuid", KEY_UUID, FIELD(uuid) },
	{ "machine", "cpus", KEY_NUMBER, FIELD(cpus), 1, 255 },
	{ "machine", "memory", KEY_MIB, FIELD(memory), 64, 4 << 20 },
	{ "machine", "boot", KEY_CHOICE, FIELD(boot), .names = boot_orders },
	{ "machine", "boot-menu", KEY_BOOL, FIELD(boot_menu), .names = false_true },
	{ "display", "vram", KEY_MIB, FIELD(vram), 1, 256, .power_of_two = true },
	/* What the detailed timing of an EDID can say. */
	{ "display", "width", KEY_NUMBER, FIELD(display_width), 640, 4095 },
	{ "display", "height", KEY_NUMBER, FIELD(display_height), 480, 4095 },
	{ "serial", "mode", KEY_CHOICE, FIELD(serial), .names = serial_modes },
	{ "sound", "device", KEY_CHOICE, FIELD(sound), .names = sound_devices },
	{ "sound", "backend", KEY_CHOICE, FIELD(sound_backend), .names = sound_backends },
	{ "sound", "microphone", KEY_BOOL, FIELD(microphone), .names = false_true },
	{ "network", "device", KEY_CHOICE, FIELD(network), .names = network_devices },
	{ "network", "mode", KEY_CHOICE, FIELD(network_mode), .names = network_modes },
	{ "network", "interface", KEY_STRING, FIELD(interface) },
	{ "network", "mac", KEY_MAC, FIELD(mac) },
	{ "network", "link", KEY_BOOL, FIELD(link), .names = false_true },
	{ "network", "forward", KEY_STRING, FIELD(forwards) },
	{ "network", "capture", KEY_STRING, FIELD(capture) },
	{ "network", "tftp", KEY_STRING, FIELD(tftp) },
	{ "network", "boot-file", KEY_STRING, FIELD(boot_file) },
	{ "usb", "controller", KEY_CHOICE, FIELD(usb), .names = usb_controllers },
	{ "usb", "tablet", KEY_BOOL, FIELD(usb_tablet), .names = false_true },
	{ "usb", "keyboard", KEY_BOOL, FIELD(usb_keyboard), .names = false_true },
	{ "usb", "devices", KEY_STRING, FIELD(usb_devices) },
	{ "firmware", "bios", KEY_STRING, FIELD(firmware_path) },
	{ "firmware", "vga-rom", KEY_STRING, FIELD(vga_rom_path) },
	{ "firmware", "log", KEY_BOOL, FIELD(firmware_log), .names = false_true },
	{ "kernel", "kernel", KEY_STRING, FIELD(kernel) },
	{ "kernel", "initrd", KEY_STRING, FIELD(initrd) },
	{ "kernel", "command-line", KEY_STRING, FIELD(command_line) },
};

const struct key config_disk_keys[] = {
	{ NULL, "path", KEY_STRING, DISK_FIELD(path) },
	{ NULL, "format", KEY_CHOICE, DISK_FIELD(format), .names = formats },
	{ NULL, "read-only", KEY_BOOL, DISK_FIELD(read_only), .names = false_true },
	{ NULL, "cache", KEY_BOOL, DISK_FIELD(cache_none), .names = cache_modes },
	{ NULL, "errors", KEY_BOOL, DISK_FIELD(report_errors), .names = error_answers },
	{ NULL, "ssd", KEY_BOOL, DISK_FIELD(ssd), .names = false_true },
	{ NULL, "serial", KEY_SERIAL, DISK_FIELD(serial) },
	{ NULL, "bus", KEY_CHOICE, DISK_FIELD(bus), .names = buses },
};

const char *const config_kind_names[] = { [CONFIG_DISK] = "disk", [CONFIG_CD] = "cd", [CONFIG_STICK] = "stick" };
const unsigned config_machine_key_count = G_N_ELEMENTS(config_machine_keys);
const unsigned config_disk_key_count = G_N_ELEMENTS(config_disk_keys);

void config_set_defaults(struct machine_config *config)
{
	config->version = MACHINE_CONFIG_VERSION;
	config->cpus = MIN(2, g_get_num_processors());
	config->memory = 1024ull << 20;
	config->display_width = 1280;
	config->display_height = 800;
	config->serial = CONFIG_SERIAL_LOG;
	config->link = true;
	config->usb_tablet = true;
}

void config_set_disk_defaults(struct config_disk *disk, enum config_disk_kind kind)
{
	*disk = (struct config_disk){ .kind = kind, .read_only = kind == CONFIG_CD, .ssd = kind == CONFIG_DISK };
}

/* The same for as long as the folder stays where it is: guests tie licences and addresses to it. */
char *config_derive_uuid(const char *folder)
{
	g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA1, folder, -1);

	/* RFC 4122 section 4.3: version 5, variant 10. */
	return g_strdup_printf("%.8s-%.4s-5%.3s-a%.3s-%.12s", digest, digest + 8, digest + 13, digest + 17,
			       digest + 20);
}

/* An address of those that anybody may use (bit 1 of the first byte), the same for as long as the UUID is. */
char *config_derive_mac(const char *uuid)
{
	g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA1, uuid, -1);

	return g_strdup_printf("52:54:00:%.2s:%.2s:%.2s", digest, digest + 2, digest + 4);
}

bool machine_config_parse_mac(const char *text, uint8_t mac[6])
{
	for (unsigned i = 0; i < 6; i++, text += 3) {
		if (!g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1]) || text[2] != (i < 5 ? ':' : 0))
			return false;
		mac[i] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
	}
	/* Neither a group's address nor nobody's. */
	return !(mac[0] & 1) && (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

char *config_group_name(const struct config_disk *disk, unsigned port)
{
	return g_strdup_printf("%s%u", config_kind_names[disk->kind], port);
}

const struct key *config_find_key(const struct machine_config *config, const char *group, const char *name, void **base)
{
	for (unsigned i = 0; i < config_machine_key_count; i++) {
		*base = (void *)config;
		if (strcmp(config_machine_keys[i].group, group) == 0 && strcmp(config_machine_keys[i].name, name) == 0)
			return &config_machine_keys[i];
	}
	for (unsigned port = 0; port < CONFIG_DISKS; port++) {
		g_autofree char *own = config_group_name(&config->disks[port], port);

		if (!config->has_disk[port] || strcmp(own, group))
			continue;
		*base = (void *)&config->disks[port];
		for (unsigned i = 0; i < config_disk_key_count; i++)
			if (strcmp(config_disk_keys[i].name, name) == 0)
				return &config_disk_keys[i];
	}
	return NULL;
}

/* Room for the preferred mode at 32 bits a pixel. */
uint64_t config_default_vram(const struct machine_config *config)
{
	uint64_t vram = 16ull << 20;

	while (vram < (uint64_t)config->display_width * config->display_height * 4)
		vram *= 2;
	return vram;
}
