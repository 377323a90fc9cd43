#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "machine.conf"
/* A file that a person wrote is far smaller; anything else was named by mistake. */
#define FILE_SIZE_MAX (1 << 20)
#define SOCKET_PATH_MAX 107 /* sun_path without its terminator */
#define SERIAL_MAX 20 /* ATA IDENTIFY DEVICE, words 10-19 */

enum key_kind {
	KEY_STRING,
	KEY_UUID,
	KEY_SERIAL,
	KEY_VERSION, /* unsigned */
	KEY_MAC,
	KEY_NUMBER, /* unsigned */
	KEY_MIB,    /* uint64_t in bytes, MiB in the file */
	KEY_BOOL,   /* bool, by names[0] and names[1] */
	KEY_CHOICE, /* an enum, by names[] */
};

/* One key of machine.conf and the field that it fills. */
struct key {
	const char *group; /* NULL: of a drive */
	const char *name;
	enum key_kind kind;
	size_t offset;
	uint64_t minimum, maximum; /* in the file's unit */
	bool power_of_two;
	const char *const *names;
};

static const char *const false_true[] = { "false", "true", NULL };
static const char *const formats[] = { "auto", "raw", "qcow2", NULL };
static const char *const cache_modes[] = { "writeback", "none", NULL };
static const char *const boot_orders[] = { "disk", "cd", NULL };
static const char *const serial_modes[] = { "none", "log", "pty", "socket", NULL };
static const char *const sound_devices[] = { "hda", "none", NULL };
static const char *const sound_backends[] = { "pulse", "null", NULL };
static const char *const network_devices[] = { "e1000e", "e1000", "none", NULL };
static const char *const network_modes[] = { "nat", "isolated", NULL };

#define FIELD(field) G_STRUCT_OFFSET(struct machine_config, field)
#define DISK_FIELD(field) G_STRUCT_OFFSET(struct config_disk, field)

static const struct key machine_keys[] = {
	/* First: it decides whether the others mean what they meant. */
	{ "machine", "version", KEY_VERSION, FIELD(version), 1, MACHINE_CONFIG_VERSION },
	{ "machine", "name", KEY_STRING, FIELD(name) },
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
	{ "network", "mode", KEY_BOOL, FIELD(network_isolated), .names = network_modes },
	{ "network", "mac", KEY_MAC, FIELD(mac) },
	{ "network", "link", KEY_BOOL, FIELD(link), .names = false_true },
	{ "network", "forward", KEY_STRING, FIELD(forwards) },
	{ "network", "capture", KEY_STRING, FIELD(capture) },
	{ "network", "tftp", KEY_STRING, FIELD(tftp) },
	{ "network", "boot-file", KEY_STRING, FIELD(boot_file) },
	{ "firmware", "bios", KEY_STRING, FIELD(firmware_path) },
	{ "firmware", "vga-rom", KEY_STRING, FIELD(vga_rom_path) },
	{ "firmware", "log", KEY_BOOL, FIELD(firmware_log), .names = false_true },
	{ "kernel", "kernel", KEY_STRING, FIELD(kernel) },
	{ "kernel", "initrd", KEY_STRING, FIELD(initrd) },
	{ "kernel", "command-line", KEY_STRING, FIELD(command_line) },
};

static const struct key disk_keys[] = {
	{ NULL, "path", KEY_STRING, DISK_FIELD(path) },
	{ NULL, "format", KEY_CHOICE, DISK_FIELD(format), .names = formats },
	{ NULL, "read-only", KEY_BOOL, DISK_FIELD(read_only), .names = false_true },
	{ NULL, "cache", KEY_BOOL, DISK_FIELD(cache_none), .names = cache_modes },
	{ NULL, "ssd", KEY_BOOL, DISK_FIELD(ssd), .names = false_true },
	{ NULL, "serial", KEY_SERIAL, DISK_FIELD(serial) },
};

/* While reading: where to look for the line that an error is about. */
struct reader {
	struct machine_config *config;
	char *path;
	char *text;
	gsize size;
};

G_DEFINE_QUARK(machine-config-error, machine_config_error)

static void set_defaults(struct machine_config *config)
{
	config->version = MACHINE_CONFIG_VERSION;
	config->cpus = MIN(2, g_get_num_processors());
	config->memory = 1024ull << 20;
	config->display_width = 1280;
	config->display_height = 800;
	config->serial = CONFIG_SERIAL_LOG;
	config->link = true;
}

static void set_disk_defaults(struct config_disk *disk, enum config_disk_kind kind)
{
	*disk = (struct config_disk){ .kind = kind, .read_only = kind == CONFIG_CD, .ssd = kind == CONFIG_DISK };
}

/* The same for as long as the folder stays where it is: guests tie licences and addresses to it. */
static char *derive_uuid(const char *folder)
{
	g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA1, folder, -1);

	/* RFC 4122 section 4.3: version 5, variant 10. */
	return g_strdup_printf("%.8s-%.4s-5%.3s-a%.3s-%.12s", digest, digest + 8, digest + 13, digest + 17,
			       digest + 20);
}

/* An address of those that anybody may use (bit 1 of the first byte), the same for as long as the UUID is. */
static char *derive_mac(const char *uuid)
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

static char *group_name(const struct config_disk *disk, unsigned port)
{
	return g_strdup_printf("%s%u", disk->kind == CONFIG_CD ? "cd" : "disk", port);
}

/*
 * Number of the last line that sets the key (GKeyFile takes the last one too), or that opens the group if key is
 * NULL; 0 if there is none.
 */
static unsigned find_line(const struct reader *reader, const char *group, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(reader->text, "\n", -1);
	g_autofree char *header = g_strdup_printf("[%s]", group);
	unsigned found = 0;
	bool inside = false;

	for (unsigned i = 0; lines[i]; i++) {
		char *line = g_strstrip(lines[i]);
		char *equals = strchr(line, '=');

		if (*line == '[') {
			inside = strcmp(line, header) == 0;
			if (inside && !key)
				found = i + 1;
		} else if (inside && key && *line != '#' && equals) {
			*equals = 0;
			if (strcmp(g_strchomp(line), key) == 0)
				found = i + 1;
		}
	}
	return found;
}

static bool fail_key(const struct reader *reader, const char *group, const char *key, GError **error,
		     const char *format, ...) G_GNUC_PRINTF(5, 6);

/* "machine.conf, line N: [group] key: what is wrong". Always false. */
static bool fail_key(const struct reader *reader, const char *group, const char *key, GError **error,
		     const char *format, ...)
{
	unsigned line = find_line(reader, group, key);
	g_autofree char *message = NULL;
	va_list arguments;

	va_start(arguments, format);
	message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "%s, line %u: [%s]%s%s: %s",
		    reader->path, line, group, key ? " " : "", key ? key : "", message);
	return false;
}

static bool fail_line(const struct reader *reader, unsigned line, GError **error, const char *what)
{
	g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, "%s, line %u: %s", reader->path, line, what);
	return false;
}

/* GKeyFile's own messages do not tell the line. */
static bool check_syntax(const struct reader *reader, GError **error)
{
	const char *end = reader->text + reader->size;
	bool in_group = false;
	unsigned number = 1;

	for (const char *line = reader->text; line < end; number++) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t length = (size_t)((newline ? newline : end) - line);
		g_autofree char *copy = NULL;

		if (!g_utf8_validate_len(line, length, NULL))
			return fail_line(reader, number, error, "not UTF-8 text");
		copy = g_strstrip(g_strndup(line, length));
		if (*copy == '[') {
			if (copy[strlen(copy) - 1] != ']' || strlen(copy) < 3 || strcspn(copy + 1, "[]") + 2 != strlen(copy))
				return fail_line(reader, number, error, "a group is written [name]");
			in_group = true;
		} else if (*copy && *copy != '#') {
			if (!strchr(copy, '=') || *copy == '=')
				return fail_line(reader, number, error,
						 "expected key=value, a [group] or a comment starting with #");
			if (!in_group)
				return fail_line(reader, number, error,
						 "a key needs a group before it, such as [machine]");
		}
		line += length + 1;
	}
	return true;
}

static char *list_names(const char *const *names)
{
	return g_strjoinv(", ", (char **)names);
}

static bool take_number(const struct reader *reader, const char *group, const struct key *key, const char *text,
			void *field, GError **error)
{
	const char *unit = key->kind == KEY_MIB ? " MiB" : "";
	guint64 number;

	if (!g_ascii_string_to_unsigned(text, 10, key->minimum, key->maximum, &number, NULL) ||
	    (key->power_of_two && (number & (number - 1))))
		return fail_key(reader, group, key->name, error,
				"\"%s\" is not allowed; allowed is a %s from %" G_GUINT64_FORMAT " to %"
				G_GUINT64_FORMAT "%s", text, key->power_of_two ? "power of two" : "whole number",
				key->minimum, key->maximum, unit);
	if (key->kind == KEY_MIB)
		*(uint64_t *)field = number << 20;
	else
		*(unsigned *)field = (unsigned)number;
	return true;
}

static bool take_version(const struct reader *reader, const char *group, const struct key *key, const char *text,
			 void *field, GError **error)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(text, 10, key->maximum + 1, G_MAXUINT, &number, NULL))
		return take_number(reader, group, key, text, field, error);
	g_set_error(error, MACHINE_CONFIG_ERROR, MACHINE_CONFIG_ERROR_NEWER,
		    "%s, line %u: the machine was made by a newer version of Oriel (format %s; this version knows up to "
		    "%u). Update Oriel to use it", reader->path, find_line(reader, group, key->name), text,
		    MACHINE_CONFIG_VERSION);
	return false;
}

static bool take_name(const struct reader *reader, const char *group, const struct key *key, const char *text,
		      void *field, GError **error)
{
	g_autofree char *allowed = NULL;

	for (unsigned i = 0; key->names[i]; i++) {
		if (strcmp(key->names[i], text))
			continue;
		if (key->kind == KEY_BOOL)
			*(bool *)field = i;
		else
			*(unsigned *)field = i; /* GCC's enums without negative values */
		return true;
	}
	allowed = list_names(key->names);
	return fail_key(reader, group, key->name, error, "\"%s\" is not allowed; allowed are %s", text, allowed);
}

static bool take_text(const struct reader *reader, const char *group, const struct key *key, const char *text,
		      void *field, GError **error)
{
	uint8_t mac[6];

	if (!*text)
		return fail_key(reader, group, key->name, error, "the value is empty; leave the key out for the default");
	if (key->kind == KEY_UUID && !g_uuid_string_is_valid(text))
		return fail_key(reader, group, key->name, error,
				"\"%s\" is not a UUID such as 9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b", text);
	if (key->kind == KEY_MAC && !machine_config_parse_mac(text, mac))
		return fail_key(reader, group, key->name, error,
				"\"%s\" is not the address of a network adapter, such as 52:54:00:12:34:56", text);
	for (const char *p = text; *p; p++) {
		if (key->kind == KEY_SERIAL && (*p < ' ' || *p > '~' || p - text >= SERIAL_MAX))
			return fail_key(reader, group, key->name, error,
					"\"%s\" is not allowed; allowed are up to %d printable ASCII characters", text,
					SERIAL_MAX);
		if ((unsigned char)*p < ' ')
			return fail_key(reader, group, key->name, error, "control characters are not allowed");
	}
	*(char **)field = g_strdup(text);
	return true;
}

static bool take_key(const struct reader *reader, const char *group, const struct key *key, void *base,
		     GError **error)
{
	void *field = (char *)base + key->offset;
	g_autoptr(GError) reason = NULL;
	g_autofree char *text = NULL;

	if (!g_key_file_has_key(reader->config->file, group, key->name, NULL))
		return true;
	text = g_key_file_get_string(reader->config->file, group, key->name, &reason);
	if (reason)
		return fail_key(reader, group, key->name, error,
				"\\ may only be followed by s, n, t, r or another \\");
	g_strchomp(text);
	switch (key->kind) {
	case KEY_VERSION:
		return take_version(reader, group, key, text, field, error);
	case KEY_NUMBER:
	case KEY_MIB:
		return take_number(reader, group, key, text, field, error);
	case KEY_BOOL:
	case KEY_CHOICE:
		return take_name(reader, group, key, text, field, error);
	default:
		return take_text(reader, group, key, text, field, error);
	}
}

static bool take_disk(const struct reader *reader, const char *group, enum config_disk_kind kind, const char *number,
		      GError **error)
{
	struct machine_config *config = reader->config;
	struct config_disk *disk;
	guint64 port;

	if (!g_ascii_string_to_unsigned(number, 10, 0, CONFIG_DISKS - 1, &port, NULL) || strlen(number) != 1)
		return fail_key(reader, group, NULL, error, "there is no such port; allowed are %s0 to %s%d",
				kind == CONFIG_CD ? "cd" : "disk", kind == CONFIG_CD ? "cd" : "disk", CONFIG_DISKS - 1);
	disk = &config->disks[port];
	if (config->has_disk[port])
		return fail_key(reader, group, NULL, error, "port %u is already taken by [%s%u]; use another number",
				(unsigned)port, disk->kind == CONFIG_CD ? "cd" : "disk", (unsigned)port);
	config->has_disk[port] = true;
	set_disk_defaults(disk, kind);
	for (unsigned i = 0; i < G_N_ELEMENTS(disk_keys); i++)
		if (!take_key(reader, group, &disk_keys[i], disk, error))
			return false;
	if (kind == CONFIG_DISK && !disk->path)
		return fail_key(reader, group, NULL, error, "the key path is missing; it names the disk's image file");
	if (kind == CONFIG_CD && !disk->read_only)
		return fail_key(reader, group, "read-only", error, "a disc in a CD drive is always read-only");
	return true;
}

static bool take_disks(const struct reader *reader, GError **error)
{
	g_auto(GStrv) groups = g_key_file_get_groups(reader->config->file, NULL);

	for (unsigned i = 0; groups[i]; i++) {
		const char *group = groups[i];

		if (g_str_has_prefix(group, "disk") && !take_disk(reader, group, CONFIG_DISK, group + 4, error))
			return false;
		if (g_str_has_prefix(group, "cd") && !take_disk(reader, group, CONFIG_CD, group + 2, error))
			return false;
	}
	return true;
}

/* Room for the preferred mode at 32 bits a pixel. */
static uint64_t default_vram(const struct machine_config *config)
{
	uint64_t vram = 16ull << 20;

	while (vram < (uint64_t)config->display_width * config->display_height * 4)
		vram *= 2;
	return vram;
}

static bool check_together(const struct reader *reader, GError **error)
{
	struct machine_config *config = reader->config;
	uint64_t needed = default_vram(config);

	if (!config->vram)
		config->vram = needed;
	if ((uint64_t)config->display_width * config->display_height * 4 > config->vram)
		return fail_key(reader, "display", "vram", error, "%u MiB is too little for %ux%u; allowed is what holds "
				"it at 4 bytes a pixel, such as %u", (unsigned)(config->vram >> 20),
				config->display_width, config->display_height, (unsigned)(needed >> 20));
	if (config->initrd && !config->kernel)
		return fail_key(reader, "kernel", "initrd", error, "it needs the key kernel beside it");
	if (config->command_line && !config->kernel)
		return fail_key(reader, "kernel", "command-line", error, "it needs the key kernel beside it");
	return true;
}

static bool fail_read(const char *path, const char *folder, int code, GError **error)
{
	const char *advice;

	if (code == ENOENT && !g_file_test(folder, G_FILE_TEST_EXISTS))
		advice = "There is no such folder; check the name of the machine";
	else if (code == ENOTDIR)
		advice = "A machine is a folder; name the folder, not a file";
	else if (code == ENOENT)
		advice = "The folder is no machine; create the file, a line [machine] in it is enough";
	else if (code == EACCES)
		advice = "You may not read it; change its owner or permissions";
	else
		advice = "Check the file system that it is on";
	g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(code), "Cannot read %s: %s. %s", path,
		    g_strerror(code), advice);
	return false;
}

static bool read_text(struct reader *reader, GError **error)
{
	/* Not to wait for ever on a FIFO. */
	int fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	ssize_t got;

	if (fd < 0 || fstat(fd, &status) < 0) {
		int code = errno;

		if (fd >= 0)
			close(fd);
		return fail_read(reader->path, reader->config->folder, code, error);
	}
	if (!S_ISREG(status.st_mode) || status.st_size > FILE_SIZE_MAX) {
		close(fd);
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not a machine's configuration: it must be a "
			    "regular file of at most %d KiB", reader->path, FILE_SIZE_MAX >> 10);
		return false;
	}
	reader->text = g_malloc0((gsize)status.st_size + 1);
	do {
		got = read(fd, reader->text + reader->size, (gsize)status.st_size - reader->size);
		reader->size += got > 0 ? (gsize)got : 0;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		fail_read(reader->path, reader->config->folder, errno, error);
	close(fd);
	return got == 0;
}

static bool parse(struct reader *reader, GError **error)
{
	struct machine_config *config = reader->config;
	g_autoptr(GError) reason = NULL;

	if (!read_text(reader, error) || !check_syntax(reader, error))
		return false;
	if (reader->size && !g_key_file_load_from_data(config->file, reader->text, reader->size,
						       G_KEY_FILE_KEEP_COMMENTS, &reason)) {
		g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, "%s: %s", reader->path, reason->message);
		return false;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(machine_keys); i++)
		if (!take_key(reader, machine_keys[i].group, &machine_keys[i], config, error))
			return false;
	return take_disks(reader, error) && check_together(reader, error);
}

struct machine_config *machine_config_load(const char *folder, GError **error)
{
	struct machine_config *config = g_new0(struct machine_config, 1);
	struct reader reader = { .config = config };
	bool ok;

	config->folder = g_canonicalize_filename(folder, NULL);
	config->file = g_key_file_new();
	set_defaults(config);
	reader.path = g_build_filename(config->folder, FILE_NAME, NULL);
	ok = parse(&reader, error);
	g_free(reader.path);
	g_free(reader.text);
	if (!ok) {
		machine_config_free(config);
		return NULL;
	}
	if (!config->uuid)
		config->uuid = derive_uuid(config->folder);
	if (!config->mac)
		config->mac = derive_mac(config->uuid);
	return config;
}

static char *format_key(const struct key *key, const void *base)
{
	const void *field = (const char *)base + key->offset;

	switch (key->kind) {
	case KEY_VERSION:
	case KEY_NUMBER:
		return g_strdup_printf("%u", *(const unsigned *)field);
	case KEY_MIB:
		return g_strdup_printf("%" G_GUINT64_FORMAT, *(const uint64_t *)field >> 20);
	case KEY_BOOL:
		return g_strdup(key->names[*(const bool *)field]);
	case KEY_CHOICE:
		return g_strdup(key->names[*(const unsigned *)field]);
	default:
		return g_strdup(*(char *const *)field);
	}
}

/* Sets the key where the file, or its silence, says something else; other lines stay as they are. */
static void put_key(GKeyFile *file, const char *group, const struct key *key, const void *base, const void *defaults)
{
	g_autofree char *text = format_key(key, base);
	g_autofree char *usual = format_key(key, defaults);
	g_autofree char *old = g_key_file_get_string(file, group, key->name, NULL);

	if (!text)
		g_key_file_remove_key(file, group, key->name, NULL);
	else if (g_strcmp0(text, old ? g_strchomp(old) : usual))
		g_key_file_set_string(file, group, key->name, text);
}

static void put_disk(struct machine_config *config, unsigned port)
{
	struct config_disk *disk = &config->disks[port];
	struct config_disk other = { .kind = disk->kind == CONFIG_CD ? CONFIG_DISK : CONFIG_CD };
	g_autofree char *group = group_name(disk, port);
	g_autofree char *other_group = group_name(&other, port);
	struct config_disk defaults;

	g_key_file_remove_group(config->file, other_group, NULL);
	if (!config->has_disk[port]) {
		g_key_file_remove_group(config->file, group, NULL);
		return;
	}
	set_disk_defaults(&defaults, disk->kind);
	for (unsigned i = 0; i < G_N_ELEMENTS(disk_keys); i++)
		put_key(config->file, group, &disk_keys[i], disk, &defaults);
	/* An empty CD drive has nothing to say but that it is there: a group needs a key to exist. */
	if (!g_key_file_has_group(config->file, group))
		g_key_file_set_string(config->file, group, "read-only", "true");
}

static bool write_all(int fd, const char *data, gsize size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno != EINTR)
			return false;
		data += MAX(done, 0);
		size -= (gsize)MAX(done, 0);
	}
	return fsync(fd) == 0;
}

/* Until the folder itself is synced, a power cut may bring the old name back. */
static bool sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool replace_file(const char *folder, const char *path, const char *data, gsize size)
{
	g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
	int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0644);
	struct stat status;
	bool ok;
	int code;

	if (fd < 0)
		return false;
	if (stat(path, &status) == 0)
		fchmod(fd, status.st_mode & 0777);
	ok = write_all(fd, data, size);
	code = errno;
	close(fd);
	if (ok && rename(temporary, path) == 0)
		return sync_folder(folder);
	if (ok)
		code = errno;
	unlink(temporary);
	errno = code;
	return false;
}

bool machine_config_save(struct machine_config *config, GError **error)
{
	g_autofree char *path = g_build_filename(config->folder, FILE_NAME, NULL);
	g_autofree char *derived = derive_uuid(config->folder);
	g_autofree char *mac = derive_mac(config->uuid);
	struct machine_config defaults = { .uuid = derived, .mac = mac };
	g_autofree char *text = NULL;
	gsize size;

	set_defaults(&defaults);
	defaults.vram = default_vram(config);
	for (unsigned i = 0; i < G_N_ELEMENTS(machine_keys); i++)
		put_key(config->file, machine_keys[i].group, &machine_keys[i], config, &defaults);
	for (unsigned i = 0; i < CONFIG_DISKS; i++)
		put_disk(config, i);
	text = g_key_file_to_data(config->file, &size, NULL);
	if (replace_file(config->folder, path, text, size))
		return true;
	g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(errno),
		    "Cannot save %s: %s. The old file is unchanged; make room or allow writing to the folder", path,
		    g_strerror(errno));
	return false;
}

void machine_config_free(struct machine_config *config)
{
	if (!config)
		return;
	for (unsigned i = 0; i < CONFIG_DISKS; i++) {
		g_free(config->disks[i].path);
		g_free(config->disks[i].serial);
	}
	g_free(config->folder);
	g_free(config->name);
	g_free(config->uuid);
	g_free(config->mac);
	g_free(config->forwards);
	g_free(config->capture);
	g_free(config->tftp);
	g_free(config->boot_file);
	g_free(config->kernel);
	g_free(config->initrd);
	g_free(config->command_line);
	g_free(config->firmware_path);
	g_free(config->vga_rom_path);
	g_key_file_unref(config->file);
	g_free(config);
}

char *machine_config_path(const struct machine_config *config, const char *path)
{
	return g_canonicalize_filename(path, config->folder);
}

static char *runtime_path(const char *folder, const char *suffix)
{
	g_autofree char *machine = g_path_get_basename(folder);
	g_autofree char *name = g_strconcat(machine, suffix, NULL);
	g_autofree char *path = g_build_filename(g_get_user_runtime_dir(), "oriel", name, NULL);
	g_autofree char *digest = NULL;

	if (strlen(path) <= SOCKET_PATH_MAX)
		return g_steal_pointer(&path);
	digest = g_compute_checksum_for_string(G_CHECKSUM_SHA1, machine, -1);
	digest[16] = 0;
	return g_strdup_printf("%s/oriel/%s%s", g_get_user_runtime_dir(), digest, suffix);
}

char *machine_config_socket_path(const struct machine_config *config)
{
	return runtime_path(config->folder, ".sock");
}

char *machine_config_socket_path_of(const char *folder)
{
	return runtime_path(folder, ".sock");
}

char *machine_config_serial_path(const struct machine_config *config)
{
	return runtime_path(config->folder, ".serial.sock");
}
