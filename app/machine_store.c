#include "machine_store.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define CONFIGURATION "machine.conf"
#define DISK "disk.img"
#define NAME_MAX_BYTES 100
#define MINIMUM_DISK (1 << 20)

/* format: has a path and the reason */
static gboolean fail_errno(GError **error, int code, const char *format, const char *path)
{
	g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(code), format, path,
		    g_strerror(code));
	return FALSE;
}

char *oriel_store_machines_folder(void)
{
	return g_build_filename(g_get_user_data_dir(), "oriel", "machines", NULL);
}

char *oriel_store_folder(const char *name, GError **error)
{
	g_autofree char *machines = oriel_store_machines_folder();

	if (!*name || *name == '.' || *name == '-' || strchr(name, '/') || strlen(name) > NAME_MAX_BYTES ||
	    !g_utf8_validate(name, -1, NULL)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_FILENAME,
			    _("\"%s\" cannot be a machine's name, which is short, without /, and starts with neither . "
			    "nor -"), name);
		return NULL;
	}
	for (const char *p = name; *p; p++) {
		if ((guchar)*p >= ' ' && *p != 127)
			continue;
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_FILENAME,
			    _("A machine's name cannot contain control characters"));
		return NULL;
	}
	return g_build_filename(machines, name, NULL);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GStrv oriel_store_list(GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	g_autofree char *machines = oriel_store_machines_folder();
	g_autoptr(GError) reason = NULL;
	g_autoptr(GDir) folder = g_dir_open(machines, 0, &reason);
	const char *name;

	if (!folder && !g_error_matches(reason, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_propagate_error(error, g_steal_pointer(&reason));
		return NULL;
	}
	while (folder && (name = g_dir_read_name(folder))) {
		g_autofree char *file = g_build_filename(machines, name, CONFIGURATION, NULL);

		/* Hidden ones are not finished yet. */
		if (*name != '.' && g_file_test(file, G_FILE_TEST_EXISTS))
			g_ptr_array_add(names, g_strdup(name));
	}
	g_ptr_array_sort(names, compare_names);
	g_ptr_array_add(names, NULL);
	return (GStrv)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

struct machine_config *oriel_store_load(const char *name, GError **error)
{
	g_autofree char *folder = oriel_store_folder(name, error);

	if (!folder)
		return NULL;
	if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    _("There is no machine named \"%s\"; \"oriel list\" shows those that there are"), name);
		return NULL;
	}
	return machine_config_load(folder, error);
}

/* If it takes no room yet, the file is a hole. */
static gboolean create_disk(const char *path, guint64 size, gboolean preallocate, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	gboolean ok;

	if (fd < 0)
		return fail_errno(error, errno, _("Cannot create the disk %s: %s"), path);
	ok = ftruncate(fd, (off_t)size) == 0 && (!preallocate || fallocate(fd, 0, 0, (off_t)size) == 0) && fsync(fd) == 0;
	if (!ok)
		fail_errno(error, errno, _("Cannot give its size to the disk %s: %s"), path);
	close(fd);
	if (!ok)
		g_unlink(path);
	return ok;
}

/* As machine.conf has it: in the machine's folder, or elsewhere. */
static char *disk_path(const struct oriel_machine_description *description, const char *id)
{
	g_autofree char *name = g_strconcat(id, ".img", NULL);

	return description->disk_folder ? g_build_filename(description->disk_folder, name, NULL) : g_strdup(DISK);
}

static gboolean create_configuration(const char *folder, const char *id,
				     const struct oriel_machine_description *description, GError **error)
{
	g_autofree char *path = g_build_filename(folder, CONFIGURATION, NULL);
	struct machine_config *config;
	gboolean ok;

	/* Of an empty file everything is the default. */
	if (!g_file_set_contents(path, "", 0, error))
		return FALSE;
	config = machine_config_load(folder, error);
	if (!config)
		return FALSE;
	config->name = g_strdup(description->name);
	config->system = g_strdup(description->system);
	g_free(config->uuid);
	config->uuid = g_uuid_string_random();
	if (description->memory)
		config->memory = description->memory;
	if (description->cpus)
		config->cpus = description->cpus;
	config->tftp = g_strdup(description->tftp);
	config->boot_file = g_strdup(description->boot_file);
	if (description->cd_first)
		config->boot = CONFIG_BOOT_CD_FIRST;
	if (description->disk_size) {
		config->has_disk[0] = true;
		config->disks[0] = (struct config_disk){ .kind = CONFIG_DISK, .path = disk_path(description, id),
							   .ssd = true,
							   .bus = description->nvme ? CONFIG_BUS_NVME : CONFIG_BUS_AHCI };
	}
	for (guint i = 0; description->disks && description->disks[i]; i++) {
		guint port = i ? i + 1 : 0; /* the CD drive is at port 1 */

		config->has_disk[port] = true;
		config->disks[port] = (struct config_disk){ .kind = CONFIG_DISK, .ssd = true,
			.path = g_path_get_basename(description->disks[i]) };
	}
	config->has_disk[1] = true;
	config->disks[1] = (struct config_disk){ .kind = CONFIG_CD, .path = g_strdup(description->iso),
						 .read_only = true };
	ok = machine_config_save(config, error);
	machine_config_free(config);
	if (!ok)
		return FALSE;
	/* What is out of range is found by reading it back, with the words of whoever knows the ranges. */
	config = machine_config_load(folder, error);
	machine_config_free(config);
	return config != NULL;
}

static void remove_machine(const char *folder)
{
	g_autofree char *configuration = g_build_filename(folder, CONFIGURATION, NULL);
	g_autofree char *disk = g_build_filename(folder, DISK, NULL);

	g_unlink(configuration);
	g_unlink(disk);
	g_rmdir(folder);
}

static gboolean fail_exists(const char *id, GError **error)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, _("There is a machine named \"%s\" already"), id);
	return FALSE;
}

char *oriel_store_free_id(const char *name)
{
	g_autofree char *machines = oriel_store_machines_folder();
	g_autofree char *base = g_strstrip(g_utf8_make_valid(name, -1));

	for (char *p = base; *p; p++)
		if (*p == '/' || (guchar)*p < ' ' || *p == 127)
			*p = ' ';
	if (*base == '.' || *base == '-')
		*base = '_';
	while (strlen(base) > NAME_MAX_BYTES - 8)
		*g_utf8_find_prev_char(base, base + strlen(base)) = 0;
	for (guint number = 1; ; number++) {
		g_autofree char *id = number > 1 ? g_strdup_printf("%s %u", base, number) :
						   g_strdup(*base ? base : "machine");
		g_autofree char *path = g_build_filename(machines, id, NULL);

		if (!g_file_test(path, G_FILE_TEST_EXISTS))
			return g_steal_pointer(&id);
	}
}

/* back: out of the building again */
static gboolean move_disks(const char *building, const char *const *disks, gboolean back, GError **error)
{
	for (guint i = 0; disks && disks[i]; i++) {
		g_autofree char *name = g_path_get_basename(disks[i]);
		g_autofree char *inside = g_build_filename(building, name, NULL);

		if (g_rename(back ? inside : disks[i], back ? disks[i] : inside) < 0 && !back)
			return fail_errno(error, errno, _("Cannot move the disk %s: %s"), disks[i]);
	}
	return TRUE;
}

/* In a folder that nobody looks at until it is renamed. */
static gboolean create_in(const char *building, const char *folder, const char *id,
			  const struct oriel_machine_description *description, GError **error)
{
	g_autofree char *relative = disk_path(description, id);
	g_autofree char *disk = g_canonicalize_filename(relative, building);
	int code;

	if (!create_configuration(building, id, description, error) ||
	    !move_disks(building, description->disks, FALSE, error) ||
	    (description->disk_size && !create_disk(disk, description->disk_size, description->preallocate, error)))
		return FALSE;
	if (renameat2(AT_FDCWD, building, AT_FDCWD, folder, RENAME_NOREPLACE) == 0)
		return TRUE;
	code = errno;
	if (description->disk_size)
		g_unlink(disk);
	if (code == EEXIST)
		return fail_exists(id, error);
	return fail_errno(error, code, _("Cannot make the folder %s: %s"), folder);
}

gboolean oriel_store_create(const struct oriel_machine_description *description, GError **error)
{
	const char *id = description->id ? description->id : description->name;
	g_autofree char *folder = oriel_store_folder(id, error);
	g_autofree char *machines = oriel_store_machines_folder();
	g_autofree char *building = g_build_filename(machines, ".new-XXXXXX", NULL);

	if (!folder)
		return FALSE;
	if (description->disk_size && (description->disk_size < MINIMUM_DISK || description->disk_size % 512)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    _("A disk must have at least 1 MiB and be a multiple of 512 bytes"));
		return FALSE;
	}
	if (description->disks && g_strv_length((char **)description->disks) > CONFIG_DISKS - 1) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, _("A machine can have %u disks"),
			    CONFIG_DISKS - 1);
		return FALSE;
	}
	if (description->iso && !g_file_test(description->iso, G_FILE_TEST_IS_REGULAR)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("There is no disc image %s"), description->iso);
		return FALSE;
	}
	if (g_mkdir_with_parents(machines, 0700) < 0)
		return fail_errno(error, errno, _("Cannot make the folder %s: %s"), machines);
	if (g_file_test(folder, G_FILE_TEST_EXISTS))
		return fail_exists(id, error);
	if (!g_mkdtemp(building))
		return fail_errno(error, errno, _("Cannot make a folder in %s: %s"), machines);
	if (create_in(building, folder, id, description, error))
		return TRUE;
	move_disks(building, description->disks, TRUE, NULL);
	remove_machine(building);
	return FALSE;
}
