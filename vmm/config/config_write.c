/* struct machine_config back to machine.conf, as a whole or not at all. */
#include "config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void put_drive_keys(struct machine_config *config, const char *group, const struct config_disk *disk)
{
	struct config_disk defaults;

	config_set_disk_defaults(&defaults, disk->kind);
	for (unsigned i = 0; i < config_disk_key_count; i++)
		put_key(config->file, group, &config_disk_keys[i], disk, &defaults);
}

static void put_stick(struct machine_config *config, unsigned number)
{
	g_autofree char *group = g_strdup_printf("%s%u", config_kind_names[CONFIG_STICK], number);

	if (config->has_stick[number])
		put_drive_keys(config, group, &config->sticks[number]);
	else
		g_key_file_remove_group(config->file, group, NULL);
}

static void put_disk(struct machine_config *config, unsigned port)
{
	struct config_disk *disk = &config->disks[port];
	struct config_disk other = { .kind = disk->kind == CONFIG_CD ? CONFIG_DISK : CONFIG_CD };
	g_autofree char *group = config_group_name(disk, port);
	g_autofree char *other_group = config_group_name(&other, port);

	g_key_file_remove_group(config->file, other_group, NULL);
	if (!config->has_disk[port]) {
		g_key_file_remove_group(config->file, group, NULL);
		return;
	}
	put_drive_keys(config, group, disk);
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

char *machine_config_get(const struct machine_config *config, const char *group, const char *name)
{
	void *base;
	const struct key *key = config_find_key(config, group, name, &base);
	char *text = key ? format_key(key, base) : NULL;

	return text ? text : g_strdup("");
}

bool machine_config_save(struct machine_config *config, GError **error)
{
	g_autofree char *path = g_build_filename(config->folder, CONFIG_FILE_NAME, NULL);
	g_autofree char *derived = config_derive_uuid(config->folder);
	g_autofree char *mac = config_derive_mac(config->uuid);
	struct machine_config defaults = { .uuid = derived, .mac = mac };
	g_autofree char *text = NULL;
	gsize size;

	config_set_defaults(&defaults);
	defaults.vram = config_default_vram(config);
	for (unsigned i = 0; i < config_machine_key_count; i++)
		put_key(config->file, config_machine_keys[i].group, &config_machine_keys[i], config, &defaults);
	for (unsigned i = 0; i < CONFIG_DISKS; i++)
		put_disk(config, i);
	for (unsigned i = 0; i < CONFIG_STICKS; i++)
		put_stick(config, i);
	text = g_key_file_to_data(config->file, &size, NULL);
	/* Nobody shall lose a machine to values that do not go together. */
	if (!config_check_text(config->folder, text, size, error))
		return false;
	if (replace_file(config->folder, path, text, size))
		return true;
	g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(errno),
		    _("Cannot save %s: %s. The old file is unchanged; make room or allow writing to the folder"),
		    path, g_strerror(errno));
	return false;
}
