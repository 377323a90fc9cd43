/* Drives that come and go in machine.conf. */
#include <glib/gi18n.h>
#include <string.h>

#include "settings_disks.h"

struct change {
	enum config_disk_kind kind;
	const char *path;
	enum config_format format;
	guint port;
};

int settings_free_port(const struct machine_config *config)
{
	for (int port = 0; port < CONFIG_DISKS; port++)
		if (!config->has_disk[port])
			return port;
	return -1;
}

char *settings_list_drives(const struct machine_config *config, enum config_disk_kind kind, gboolean paths)
{
	GString *list = g_string_new(NULL);

	for (guint port = 0; port < CONFIG_DISKS; port++)
		if (config->has_disk[port] && config->disks[port].kind == kind)
			g_string_append_printf(list, "%u %s\n", port, paths ? config->disks[port].path : "");
	return g_string_free(list, FALSE);
}

static gboolean attach(struct machine_config *config, gpointer data, GError **error)
{
	const struct change *change = data;
	int port = settings_free_port(config);

	if (port < 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("The machine has %d drives, and cannot have more."),
			    CONFIG_DISKS);
		return FALSE;
	}
	for (guint i = 0; change->path && i < CONFIG_DISKS; i++) {
		g_autofree char *wanted = machine_config_path(config, change->path);
		g_autofree char *there = config->has_disk[i] && config->disks[i].path ?
			machine_config_path(config, config->disks[i].path) : NULL;

		if (g_strcmp0(wanted, there) == 0) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, _("%s is in the machine already."), wanted);
			return FALSE;
		}
	}
	config->has_disk[port] = true;
	config->disks[port] = (struct config_disk){
		.kind = change->kind, .path = g_strdup(change->path), .format = change->format,
		.ssd = change->kind == CONFIG_DISK, .read_only = change->kind == CONFIG_CD,
	};
	return TRUE;
}

gboolean settings_attach(OrielSettings *settings, enum config_disk_kind kind, const char *path,
			 enum config_format format)
{
	struct change change = { kind, path, format, 0 };

	if (!oriel_settings_edit(settings, attach, &change))
		return FALSE;
	if (!oriel_machine_is_idle(oriel_settings_get_machine(settings)))
		oriel_settings_tell(settings, GTK_MESSAGE_INFO, _("The drive is there after the next start"), NULL, NULL,
				    NULL);
	return TRUE;
}

static gboolean detach(struct machine_config *config, gpointer data, GError **error)
{
	const struct change *change = data;
	const struct config_disk *disk = &config->disks[change->port];

	if (!config->has_disk[change->port] || disk->kind != change->kind || g_strcmp0(disk->path, change->path)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
			    _("Somebody else has changed that drive. Nothing was detached."));
		return FALSE;
	}
	config->has_disk[change->port] = false;
	return TRUE;
}

gboolean settings_detach(OrielSettings *settings, guint port, enum config_disk_kind kind, const char *path)
{
	struct change change = { kind, path, CONFIG_FORMAT_AUTO, port };

	return oriel_settings_edit(settings, detach, &change);
}
