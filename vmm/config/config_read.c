/* machine.conf from the file to struct machine_config, with messages that name the line. */
#include "config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that a person wrote is far smaller; anything else was named by mistake. */
#define FILE_SIZE_MAX (1 << 20)
#define SERIAL_MAX 20 /* ATA IDENTIFY DEVICE, words 10-19 */

/* While reading: where to look for the line that an error is about. */
struct reader {
	struct machine_config *config;
	char *path;
	char *text;
	gsize size;
};

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
	g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, _("%s, line %u: [%s]%s%s: %s"),
		    reader->path, line, group, key ? " " : "", key ? key : "", message);
	return false;
}

static bool fail_line(const struct reader *reader, unsigned line, GError **error, const char *what)
{
	g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, _("%s, line %u: %s"), reader->path, line, what);
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
			return fail_line(reader, number, error, _("not UTF-8 text"));
		copy = g_strstrip(g_strndup(line, length));
		if (*copy == '[') {
			if (copy[strlen(copy) - 1] != ']' || strlen(copy) < 3 || strcspn(copy + 1, "[]") + 2 != strlen(copy))
				return fail_line(reader, number, error, _("a group is written [name]"));
			in_group = true;
		} else if (*copy && *copy != '#') {
			if (!strchr(copy, '=') || *copy == '=')
				return fail_line(reader, number, error,
						 _("expected key=value, a [group] or a comment starting with #"));
			if (!in_group)
				return fail_line(reader, number, error,
						 _("a key needs a group before it, such as [machine]"));
		}
		line += length + 1;
	}
	return true;
}

static char *list_names(const char *const *names)
{
	return g_strjoinv(", ", (char **)names);
}

/* What is wrong with a value; where it stands, the caller knows. Always false. */
static bool fail_value(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool fail_value(GError **error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (error)
		*error = g_error_new_valist(G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, format, arguments);
	va_end(arguments);
	return false;
}

/* What is wrong with a text, and between which numbers it would be right */
static const char *number_format(const struct key *key)
{
	static const char *const formats[2][2] = {
		{ N_("\"%s\" is not allowed; allowed is a whole number from %" PRIu64 " to %" PRIu64),
		  N_("\"%s\" is not allowed; allowed is a whole number from %" PRIu64 " to %" PRIu64 " MiB") },
		{ N_("\"%s\" is not allowed; allowed is a power of two from %" PRIu64 " to %" PRIu64),
		  N_("\"%s\" is not allowed; allowed is a power of two from %" PRIu64 " to %" PRIu64 " MiB") },
	};

	return formats[key->power_of_two][key->kind == KEY_MIB];
}

static bool take_number(const struct key *key, const char *text, void *field, GError **error)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(text, 10, key->minimum, key->maximum, &number, NULL) ||
	    (key->power_of_two && (number & (number - 1))))
		return fail_value(error, _(number_format(key)), text, key->minimum, key->maximum);
	if (key->kind == KEY_MIB)
		*(uint64_t *)field = number << 20;
	else
		*(unsigned *)field = (unsigned)number;
	return true;
}

static bool take_name(const struct key *key, const char *text, void *field, GError **error)
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
	return fail_value(error, _("\"%s\" is not allowed; allowed are %s"), text, allowed);
}

static bool is_control(const struct key *key, char c)
{
	return (unsigned char)c < ' ' && !(key->kind == KEY_NOTES && (c == '\n' || c == '\t'));
}

static bool take_text(const struct key *key, const char *text, void *field, GError **error)
{
	uint8_t mac[6];

	if (!*text)
		return fail_value(error, _("the value is empty; leave the key out for the default"));
	if (key->kind == KEY_UUID && !g_uuid_string_is_valid(text))
		return fail_value(error, _("\"%s\" is not a UUID such as 9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b"), text);
	if (key->kind == KEY_MAC && !machine_config_parse_mac(text, mac))
		return fail_value(error,
				  _("\"%s\" is not the address of a network adapter, such as 52:54:00:12:34:56"),
				  text);
	for (const char *p = text; *p; p++) {
		if (key->kind == KEY_SERIAL && (*p < ' ' || *p > '~' || p - text >= SERIAL_MAX))
			return fail_value(error,
					  _("\"%s\" is not allowed; allowed are up to %d printable ASCII characters"),
					  text, SERIAL_MAX);
		if (is_control(key, *p))
			return fail_value(error, _("control characters are not allowed"));
	}
	g_free(*(char **)field);
	*(char **)field = g_strdup(text);
	return true;
}

static bool take_value(const struct key *key, const char *text, void *field, GError **error)
{
	switch (key->kind) {
	case KEY_VERSION:
	case KEY_NUMBER:
	case KEY_MIB:
		return take_number(key, text, field, error);
	case KEY_BOOL:
	case KEY_CHOICE:
		return take_name(key, text, field, error);
	default:
		return take_text(key, text, field, error);
	}
}

/* Otherwise the version is as wrong as any other value can be. */
static bool is_newer(const struct key *key, const char *text)
{
	return key->kind == KEY_VERSION && g_ascii_string_to_unsigned(text, 10, key->maximum + 1, G_MAXUINT, NULL, NULL);
}

static bool fail_newer(const struct reader *reader, const char *group, const struct key *key, const char *text,
		       GError **error)
{
	g_set_error(error, MACHINE_CONFIG_ERROR, MACHINE_CONFIG_ERROR_NEWER,
		    _("%s, line %u: the machine was made by a newer version of Oriel (format %s; this version knows "
		      "up to %u). Update Oriel to use it"), reader->path, find_line(reader, group, key->name), text,
		    MACHINE_CONFIG_VERSION);
	return false;
}

static bool take_key(const struct reader *reader, const char *group, const struct key *key, void *base,
		     GError **error)
{
	g_autoptr(GError) reason = NULL;
	g_autofree char *text = NULL;

	if (!g_key_file_has_key(reader->config->file, group, key->name, NULL))
		return true;
	text = g_key_file_get_string(reader->config->file, group, key->name, &reason);
	if (reason)
		return fail_key(reader, group, key->name, error,
				_("\\ may only be followed by s, n, t, r or another \\"));
	g_strchomp(text);
	if (is_newer(key, text))
		return fail_newer(reader, group, key, text, error);
	return take_value(key, text, (char *)base + key->offset, &reason) ||
	       fail_key(reader, group, key->name, error, "%s", reason->message);
}

static bool take_disk(const struct reader *reader, const char *group, enum config_disk_kind kind, const char *number,
		      GError **error)
{
	struct machine_config *config = reader->config;
	unsigned count = kind == CONFIG_STICK ? CONFIG_STICKS : CONFIG_DISKS;
	struct config_disk *disk;
	bool *taken;
	guint64 port;

	if (!g_ascii_string_to_unsigned(number, 10, 0, count - 1, &port, NULL) || strlen(number) != 1)
		return fail_key(reader, group, NULL, error, _("there is no such port; allowed are %s0 to %s%u"),
				config_kind_names[kind], config_kind_names[kind], count - 1);
	disk = kind == CONFIG_STICK ? &config->sticks[port] : &config->disks[port];
	taken = kind == CONFIG_STICK ? &config->has_stick[port] : &config->has_disk[port];
	if (*taken)
		return fail_key(reader, group, NULL, error,
				_("port %u is already taken by [%s%u]; use another number"), (unsigned)port,
				config_kind_names[disk->kind], (unsigned)port);
	*taken = true;
	config_set_disk_defaults(disk, kind);
	for (unsigned i = 0; i < config_disk_key_count; i++)
		if (!take_key(reader, group, &config_disk_keys[i], disk, error))
			return false;
	if (kind != CONFIG_CD && !disk->path)
		return fail_key(reader, group, NULL, error,
				_("the key path is missing; it names the %s's image file"), config_kind_names[kind]);
	if (kind == CONFIG_CD && !disk->read_only)
		return fail_key(reader, group, "read-only", error, _("a disc in a CD drive is always read-only"));
	if (kind != CONFIG_DISK && disk->bus != CONFIG_BUS_AHCI)
		return fail_key(reader, group, "bus", error, _("nvme is for disks only; allowed is ahci"));
	return true;
}

static bool take_disks(const struct reader *reader, GError **error)
{
	g_auto(GStrv) groups = g_key_file_get_groups(reader->config->file, NULL);

	for (unsigned i = 0; groups[i]; i++) {
		const char *group = groups[i];

		for (enum config_disk_kind kind = CONFIG_DISK; kind <= CONFIG_STICK; kind++) {
			const char *name = config_kind_names[kind];

			if (g_str_has_prefix(group, name) && !take_disk(reader, group, kind, group + strlen(name), error))
				return false;
		}
	}
	return true;
}

static bool check_sticks(const struct reader *reader, GError **error)
{
	struct machine_config *config = reader->config;

	for (unsigned i = 0; i < CONFIG_STICKS; i++) {
		g_autofree char *group = g_strdup_printf("stick%u", i);

		if (config->has_stick[i] && config->usb == CONFIG_USB_NONE)
			return fail_key(reader, group, NULL, error,
					_("a stick needs a USB controller; set controller of [usb] to xhci"));
	}
	return true;
}

static bool check_together(const struct reader *reader, GError **error)
{
	struct machine_config *config = reader->config;
	uint64_t needed = config_default_vram(config);

	if (!config->vram)
		config->vram = needed;
	if ((uint64_t)config->display_width * config->display_height * 4 > config->vram)
		return fail_key(reader, "display", "vram", error,
				_("%u MiB is too little for %ux%u; allowed is what holds it at 4 bytes a pixel, such "
				  "as %u"), (unsigned)(config->vram >> 20), config->display_width,
				config->display_height, (unsigned)(needed >> 20));
	if (config->initrd && !config->kernel)
		return fail_key(reader, "kernel", "initrd", error, _("it needs the key kernel beside it"));
	if (config->command_line && !config->kernel)
		return fail_key(reader, "kernel", "command-line", error, _("it needs the key kernel beside it"));
	return check_sticks(reader, error);
}

static bool fail_read(const char *path, const char *folder, int code, GError **error)
{
	const char *advice;

	if (code == ENOENT && !g_file_test(folder, G_FILE_TEST_EXISTS))
		advice = _("There is no such folder; check the name of the machine");
	else if (code == ENOTDIR)
		advice = _("A machine is a folder; name the folder, not a file");
	else if (code == ENOENT)
		advice = _("The folder is no machine; create the file, a line [machine] in it is enough");
	else if (code == EACCES)
		advice = _("You may not read it; change its owner or permissions");
	else
		advice = _("Check the file system that it is on");
	g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(code), _("Cannot read %s: %s. %s"), path,
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
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("%s is not a machine's configuration: it must be a regular file of at most %d KiB"),
			    reader->path, FILE_SIZE_MAX >> 10);
		return false;
	}
	g_free(reader->text);
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

	if (!check_syntax(reader, error))
		return false;
	if (reader->size && !g_key_file_load_from_data(config->file, reader->text, reader->size,
						       G_KEY_FILE_KEEP_COMMENTS, &reason)) {
		g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, "%s: %s", reader->path, reason->message);
		return false;
	}
	for (unsigned i = 0; i < config_machine_key_count; i++)
		if (!take_key(reader, config_machine_keys[i].group, &config_machine_keys[i], config, error))
			return false;
	return take_disks(reader, error) && check_together(reader, error);
}

/* text: what is in the file, or is to be written there (borrowed); NULL: it is read. */
static struct machine_config *load(const char *folder, const char *text, gsize size, GError **error)
{
	struct machine_config *config = g_new0(struct machine_config, 1);
	struct reader reader = { .config = config, .text = g_strndup(text ? text : "", size), .size = size };
	bool ok;

	config->folder = g_canonicalize_filename(folder, NULL);
	config->file = g_key_file_new();
	config_set_defaults(config);
	reader.path = g_build_filename(config->folder, CONFIG_FILE_NAME, NULL);
	ok = (text || read_text(&reader, error)) && parse(&reader, error);
	g_free(reader.path);
	g_free(reader.text);
	if (!ok) {
		machine_config_free(config);
		return NULL;
	}
	if (!config->uuid)
		config->uuid = config_derive_uuid(config->folder);
	if (!config->mac)
		config->mac = config_derive_mac(config->uuid);
	return config;
}

struct machine_config *machine_config_load(const char *folder, GError **error)
{
	return load(folder, NULL, 0, error);
}

bool config_check_text(const char *folder, const char *text, gsize size, GError **error)
{
	struct machine_config *config = load(folder, text, size, error);

	machine_config_free(config);
	return config != NULL;
}

/* --- Single values --- */

static bool set_value(const struct key *key, const char *text, void *field, GError **error)
{
	if (*text || key->kind >= KEY_VERSION)
		return take_value(key, text, field, error);
	if (key->kind == KEY_UUID || key->kind == KEY_MAC)
		return fail_value(error, _("the value is empty"));
	g_clear_pointer((char **)field, g_free);
	return true;
}

bool machine_config_set(struct machine_config *config, const char *group, const char *name, const char *text,
			GError **error)
{
	bool usual_vram = config->vram == config_default_vram(config);
	void *base;
	const struct key *key = config_find_key(config, group, name, &base);

	if (!key)
		return fail_value(error, _("there is no [%s] %s"), group, name);
	if (!set_value(key, text, (char *)base + key->offset, error))
		return false;
	/* It follows the mode, unless somebody wants another size. */
	if (usual_vram && strcmp(name, "vram"))
		config->vram = config_default_vram(config);
	return true;
}
