#include "config.h"

#include <string.h>

#define SOCKET_PATH_MAX 107 /* sun_path without its terminator */

G_DEFINE_QUARK(machine-config-error, machine_config_error)

void machine_config_free(struct machine_config *config)
{
	if (!config)
		return;
	for (unsigned i = 0; i < CONFIG_DISKS; i++) {
		g_free(config->disks[i].path);
		g_free(config->disks[i].serial);
	}
	for (unsigned i = 0; i < CONFIG_STICKS; i++) {
		g_free(config->sticks[i].path);
		g_free(config->sticks[i].serial);
	}
	g_free(config->folder);
	g_free(config->name);
	g_free(config->notes);
	g_free(config->system);
	g_free(config->uuid);
	g_free(config->mac);
	g_free(config->forwards);
	g_free(config->capture);
	g_free(config->tftp);
	g_free(config->boot_file);
	g_free(config->interface);
	g_free(config->usb_devices);
	g_free(config->kernel);
	g_free(config->initrd);
	g_free(config->command_line);
	g_free(config->firmware_path);
	g_free(config->vga_rom_path);
	g_key_file_unref(config->file);
	g_free(config);
}

bool machine_config_is_qcow2(const struct config_disk *disk)
{
	return disk->format == CONFIG_FORMAT_QCOW2 ||
	       (disk->format == CONFIG_FORMAT_AUTO && g_str_has_suffix(disk->path, ".qcow2"));
}

char *machine_config_path(const struct machine_config *config, const char *path)
{
	return g_canonicalize_filename(path, config->folder);
}

char *machine_config_stick_path(const struct machine_config *config, unsigned number)
{
	return config->has_stick[number] ? machine_config_path(config, config->sticks[number].path) : NULL;
}

int machine_config_find_stick(const struct machine_config *config, const char *path)
{
	for (unsigned i = 0; i < CONFIG_STICKS; i++) {
		g_autofree char *its = machine_config_stick_path(config, i);

		if (its && strcmp(its, path) == 0)
			return (int)i;
	}
	return -1;
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
