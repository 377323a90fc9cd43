/*
 * machine.conf: the description of one machine, read and written as a GKeyFile (shared with the manager).
 *
 * Every group and key may be left out; sizes are in MiB, paths are absolute or relative to the machine's folder.
 *
 *	[machine]   version=1  name  notes  system  uuid  cpus=1..255  memory=64..4194304
 *	            boot=disk|cd|stick  boot-menu=false|true
 *	[display]   vram=1..256, a power of two  width=640..4095  height=480..4095
 *	[serial]    mode=none|log|pty|socket
 *	[sound]     device=hda|none  backend=pulse|null  microphone=false|true
 *	[network]   device=e1000e|e1000|none  mode=nat|isolated|tap|bridge  interface  mac  link=true|false
 *	            forward=LIST  capture  tftp  boot-file
 *	[diskN]     path  format=auto|raw|qcow2  read-only=false|true  cache=writeback|none
 *	            errors=pause|report  ssd=true|false  serial  bus=ahci|nvme
 *	[cdN]       path (without: an empty drive)  cache  serial
 *	[usb]       controller=xhci|none  tablet=true|false  keyboard=false|true  devices=LIST
 *	[stickN]    path  format  read-only  cache  errors
 *	[firmware]  bios  vga-rom  log=false|true
 *	[kernel]    kernel  initrd  command-line
 *
 * N is a port of the AHCI controller, or with bus=nvme just a number, 0-5, that only one of diskN and cdN may take.
 * Unlike in the other groups the group itself says something: [cd1] alone is an empty drive. Sticks are numbered 0-3 on
 * their own.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum config_disk_kind {
	CONFIG_DISK, /* hard disk */
	CONFIG_CD,
	CONFIG_STICK, /* USB mass storage */
};

/*
 * Never found out from the file's contents: a guest could make its raw disk look like a qcow2 image that is backed by any
 * file of the host.
 */
enum config_format {
	CONFIG_FORMAT_AUTO, /* qcow2 if the name ends in .qcow2, otherwise raw */
	CONFIG_FORMAT_RAW,
	CONFIG_FORMAT_QCOW2,
};

enum config_bus {
	CONFIG_BUS_AHCI,
	CONFIG_BUS_NVME, /* a controller of its own; not for CD drives */
};

struct config_disk {
	enum config_disk_kind kind;
	char *path; /* absolute, or relative to the machine's folder; NULL: empty CD drive */
	enum config_format format;
	bool read_only;
	bool cache_none;
	bool report_errors; /* of I/O on the host: to the guest, instead of pausing */
	bool ssd; /* tell the guest that it does not rotate, and that it takes TRIM */
	char *serial; /* NULL: derived */
	enum config_bus bus;
};

#define CONFIG_DISKS 6 /* as many as the AHCI controller has ports */
#define CONFIG_STICKS 4

enum config_serial_kind {
	CONFIG_SERIAL_NONE,
	CONFIG_SERIAL_LOG,    /* serial.log in the machine's folder */
	CONFIG_SERIAL_PTY,
	CONFIG_SERIAL_SOCKET, /* <machine>.serial.sock beside the control socket */
};

enum config_sound {
	CONFIG_SOUND_HDA,
	CONFIG_SOUND_NONE,
};

enum config_sound_backend {
	CONFIG_SOUND_PULSE,
	CONFIG_SOUND_NULL, /* nobody listens */
};

enum config_network {
	CONFIG_NETWORK_E1000E,
	CONFIG_NETWORK_E1000, /* for guests older than Windows 8 */
	CONFIG_NETWORK_NONE,
};

enum config_network_mode {
	CONFIG_NETWORK_NAT,
	CONFIG_NETWORK_ISOLATED, /* nothing but what is forwarded to it */
	CONFIG_NETWORK_TAP,
	CONFIG_NETWORK_BRIDGE,
};

enum config_usb {
	CONFIG_USB_XHCI,
	CONFIG_USB_NONE,
};

enum config_boot {
	CONFIG_BOOT_DISK_FIRST,
	CONFIG_BOOT_CD_FIRST,
	CONFIG_BOOT_STICK_FIRST,
};

/* What machine.conf says by [machine] version, and the newest that this program understands. */
#define MACHINE_CONFIG_VERSION 1

/* The file was written for a newer Oriel (its version is too high): everything else in it may mean something else. */
#define MACHINE_CONFIG_ERROR (machine_config_error_quark())
enum machine_config_error {
	MACHINE_CONFIG_ERROR_NEWER,
};
GQuark machine_config_error_quark(void);

struct machine_config {
	unsigned version;
	char *folder; /* absolute */
	char *name;   /* for people; NULL: the folder's name */
	char *notes;  /* for people, of several lines; or NULL */
	char *system; /* which operating system it has, by libosinfo's id; NULL: not known. The guest does not see it */
	char *uuid;   /* never NULL: where the file has none, made from the folder's path */
	unsigned cpus;
	uint64_t memory; /* bytes */
	enum config_boot boot;
	bool boot_menu; /* firmware's menu waits for a key */
	uint64_t vram;  /* bytes, power of two */
	unsigned display_width, display_height; /* preferred mode (EDID) */
	enum config_serial_kind serial;
	enum config_sound sound;
	enum config_sound_backend sound_backend;
	bool microphone; /* the guest may hear what the host records */
	enum config_network network;
	enum config_network_mode network_mode;
	char *interface; /* of the host: the tap device or the bridge; or NULL */
	char *mac;      /* never NULL: where the file has none, made from the UUID */
	bool link;      /* the cable is plugged in */
	char *forwards; /* as nat_forward_parse() takes them, with semicolons between, or NULL */
	char *capture;  /* pcapng file, or NULL */
	char *tftp, *boot_file; /* folder served to the guest, and what DHCP offers of it; or NULL */
	bool has_disk[CONFIG_DISKS];
	struct config_disk disks[CONFIG_DISKS]; /* by AHCI port or number */
	enum config_usb usb;
	bool usb_tablet, usb_keyboard;
	char *usb_devices; /* of the host, as usb_ids_parse() takes them, or NULL */
	bool has_stick[CONFIG_STICKS];
	struct config_disk sticks[CONFIG_STICKS];
	/* Boots this uncompressed ELF kernel instead of firmware; for tests. NULL: firmware. */
	char *kernel, *initrd, *command_line;
	/* Optional ROM images instead of the distribution's packages. */
	char *firmware_path, *vga_rom_path;
	bool firmware_log; /* its debug messages go to the machine's log; it starts slower */
	GKeyFile *file; /* as read: unknown keys survive machine_config_save() */
};

/* Reads folder/machine.conf; the error names file, line or key, and what is allowed there. */
struct machine_config *machine_config_load(const char *folder, GError **error);
/*
 * Writes to a temporary file, syncs and renames; lines whose value did not change, comments and unknown keys stay. What
 * could not be read back is not written, with the error that reading would give.
 */
bool machine_config_save(struct machine_config *config, GError **error);
/*
 * One value by its names in the file ("machine", "cpus"; "disk0", "cache"), as it stands there or would stand: "" for what
 * is not set, or does not exist. Free with g_free().
 */
char *machine_config_get(const struct machine_config *config, const char *group, const char *name);
/* "" unsets a text. The error says what is allowed, without naming the key. */
bool machine_config_set(struct machine_config *config, const char *group, const char *name, const char *text,
			GError **error);
void machine_config_free(struct machine_config *config);
/* False for what is no address of an adapter. */
bool machine_config_parse_mac(const char *text, uint8_t mac[6]);
/* What the image is, by its format or else its name: see enum config_format. */
bool machine_config_is_qcow2(const struct config_disk *disk);
/* Absolute path of a file named in the configuration. Free with g_free(). */
char *machine_config_path(const struct machine_config *config, const char *path);
/* That of a stick's image; NULL if there is no stick of this number. Free with g_free(). */
char *machine_config_stick_path(const struct machine_config *config, unsigned number);
/* The number of the stick with this absolute path, or -1. */
int machine_config_find_stick(const struct machine_config *config, const char *path);
/*
 * $XDG_RUNTIME_DIR/oriel/<machine>.sock, where <machine> is the folder's name, or a digest of it if the path would be
 * too long for a socket. Free with g_free().
 */
char *machine_config_socket_path(const struct machine_config *config);
/* The same for a machine whose configuration cannot be read. */
char *machine_config_socket_path_of(const char *folder);
/* Where CONFIG_SERIAL_SOCKET listens. Free with g_free(). */
char *machine_config_serial_path(const struct machine_config *config);
