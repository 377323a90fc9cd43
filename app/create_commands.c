/* The commands that make machines, and those that tell what a machine can be made from. */
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "command_wait.h"
#include "commands.h"
#include "disk.h"
#include "host.h"
#include "import.h"
#include "machine_store.h"
#include "media.h"
#include "packaged.h"

#define DEFAULT_DISK ((guint64)32 << 30)

/* --- create --- */

struct create {
	char *iso, *disk, *system;
	gint64 memory;
	int cpus;
	gboolean start, headless, packaged;
	OrielSystems *systems;
	OrielMedia *media;
	OrielPackaged *installer;
};

static void warn(const char *text)
{
	if (text)
		oriel_command_say("%s", text);
}

static gboolean recognise(struct create *create, const char *path, GError **error)
{
	const struct oriel_media_info *info;

	/* The store has the words for a file that is not there. */
	if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
		return TRUE;
	create->media = oriel_media_recognise(create->systems, path, NULL, error);
	if (!create->media)
		return FALSE;
	info = oriel_media_get_info(create->media);
	if (info->kind == ORIEL_MEDIA_DISK) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    _("%s is a disk image, not a disc image; \"oriel import\" makes a machine from it"), path);
		return FALSE;
	}
	warn(info->problem);
	return TRUE;
}

static gboolean find_packaged(struct create *create, GError **error)
{
	create->installer = oriel_packaged_find("/");
	if (!create->installer)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
			    _("Only Debian packages its installer. Download an ISO file, and give it with --iso"));
	else if (create->installer->command)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    _("The installer is a package that is not installed yet: %s"), create->installer->command);
	else if (!create->system && oriel_systems_find(create->systems, create->installer->system))
		create->system = g_strdup(create->installer->system);
	return create->installer && !create->installer->command;
}

/* The system that defaults are for; NULL: no idea */
static OrielSystem *find_system(struct create *create, GError **error)
{
	OrielSystem *system;

	if (!create->system)
		return create->media ? oriel_media_get_info(create->media)->system : NULL;
	system = oriel_systems_find(create->systems, create->system);
	if (!system)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    _("There is no system \"%s\"; \"oriel systems\" shows those that there are"),
			    create->system);
	return system;
}

/* What was not given gets the system's defaults, as far as the host has them. */
static gboolean fill_in(struct create *create, struct oriel_machine_description *description, GError **error)
{
	OrielSystem *system = find_system(create, error);
	struct oriel_resources resources = { .disk = DEFAULT_DISK };

	if (!system && create->system)
		return FALSE;
	if (system) {
		g_autoptr(OrielHost) host = oriel_host_new();
		const struct oriel_system_info *info = oriel_system_get_info(system);
		g_autofree char *few = NULL, *little = NULL;

		resources = oriel_host_recommend(host, info);
		if (!info->generic || create->system)
			description->system = info->id;
		description->nvme = oriel_system_wants_nvme(info);
		if (!description->cpus)
			description->cpus = resources.cpus;
		if (!description->memory)
			description->memory = resources.memory;
		few = oriel_host_check_cpus(host, info, description->cpus);
		little = oriel_host_check_memory(host, info, description->memory);
		warn(few);
		warn(little);
	}
	description->disk_size = resources.disk;
	return !create->disk || oriel_parse_size(create->disk, &description->disk_size, error);
}

static gboolean make(struct create *create, const char *name, char **id, GError **error)
{
	struct oriel_machine_description description = { .memory = (guint64)create->memory << 20,
							 .cpus = (guint)create->cpus };
	g_autofree char *path = create->iso ? g_canonicalize_filename(create->iso, NULL) : NULL;
	g_autofree char *suggested = NULL;

	if ((path && !recognise(create, path, error)) || (create->packaged && !find_packaged(create, error)) ||
	    !fill_in(create, &description, error))
		return FALSE;
	if (!name && create->media)
		suggested = oriel_media_suggest_name(create->media);
	else if (!name && create->system)
		suggested = oriel_system_suggest_name(oriel_systems_find(create->systems, create->system));
	*id = name ? g_strdup(name) : oriel_store_free_id(suggested ? suggested : "machine");
	description.id = *id;
	description.name = *id;
	description.iso = path;
	if (create->installer) {
		description.iso = create->installer->disc;
		description.tftp = create->installer->folder;
		description.boot_file = create->installer->boot_file;
	}
	if (!oriel_store_create(&description, error))
		return FALSE;
	if (!name)
		printf("%s\n", *id);
	return TRUE;
}

int oriel_command_create(const struct oriel_command *command, int argc, char **argv)
{
	struct create create = { .iso = NULL };
	g_autofree char *id = NULL;
	const GOptionEntry entries[] = {
		{ "iso", 0, 0, G_OPTION_ARG_FILENAME, &create.iso, N_("Disc image in the CD drive"), N_("FILE") },
		{ "packaged", 0, 0, G_OPTION_ARG_NONE, &create.packaged,
		  N_("With Debian's installer from this computer's packages"), NULL },
		{ "system", 0, 0, G_OPTION_ARG_STRING, &create.system,
		  N_("What will be installed, instead of what the disc has (see \"oriel systems\")"), N_("ID") },
		{ "disk", 0, 0, G_OPTION_ARG_STRING, &create.disk,
		  N_("Size of the disk, such as 20G; 0 for none (default: what the system needs, or 32G)"),
		  N_("SIZE") },
		{ "memory", 0, 0, G_OPTION_ARG_INT64, &create.memory,
		  N_("Memory in MiB (default: as the system needs)"), N_("MIB") },
		{ "cpus", 0, 0, G_OPTION_ARG_INT, &create.cpus,
		  N_("Number of processors (default: as the system needs)"), N_("COUNT") },
		{ "start", 0, 0, G_OPTION_ARG_NONE, &create.start, N_("Start it"), NULL },
		{ "headless", 0, 0, G_OPTION_ARG_NONE, &create.headless, N_("Start it without a window"), NULL },
		{ NULL },
	};
	GError *error = NULL;
	int status;
	gboolean made;

	if (!oriel_command_parse(command, entries, 0, 1, &argc, &argv, &status))
		return status;
	if (create.packaged && create.iso) {
		oriel_command_say(_("The installer is either --packaged or an --iso"));
		return ORIEL_USAGE;
	}
	if (argc < 2 && !create.iso && !create.packaged) {
		oriel_command_say(_("The machine needs a name, or a disc image to be named after"));
		return ORIEL_USAGE;
	}
	if (create.memory < 0 || create.memory > G_MAXINT64 >> 20 || create.cpus < 0) {
		oriel_command_say(_("Memory and cpus are positive numbers"));
		return ORIEL_FAILURE;
	}
	create.systems = oriel_systems_new();
	made = make(&create, argc > 1 ? argv[1] : NULL, &id, &error);
	status = made ? ORIEL_SUCCESS : oriel_command_fail(error);
	g_clear_object(&create.media);
	oriel_packaged_free(create.installer);
	g_object_unref(create.systems);
	g_free(create.iso);
	g_free(create.disk);
	g_free(create.system);
	if (made && (create.start || create.headless))
		return oriel_command_start_machine(id, create.headless);
	return status;
}

/* --- import --- */

static int run_import(struct oriel_wait *wait, const char *path, const char *name,
		      struct oriel_machine_description *description)
{
	g_autoptr(OrielImport) import = NULL;
	g_autofree char *id = NULL;
	GError *error = NULL;

	oriel_import_open_async(path, wait->cancellable, oriel_wait_finished, wait);
	import = oriel_import_open_finish(oriel_wait_run(wait), &error);
	if (!import)
		return oriel_command_fail(error);
	if (!name)
		name = oriel_import_get_info(import)->name;
	oriel_import_machine_async(import, name, description, wait->cancellable, oriel_wait_progress, wait,
				   oriel_wait_finished, wait);
	id = oriel_import_machine_finish(import, oriel_wait_run(wait), &error);
	if (!id)
		return oriel_command_fail(error);
	printf("%s\n", id);
	return ORIEL_SUCCESS;
}

int oriel_command_import(const struct oriel_command *command, int argc, char **argv)
{
	struct oriel_machine_description description = { .name = NULL };
	gint64 memory = 0;
	int cpus = 0, status;
	const GOptionEntry entries[] = {
		{ "memory", 0, 0, G_OPTION_ARG_INT64, &memory, N_("Memory in MiB (default: the appliance's)"),
		  N_("MIB") },
		{ "cpus", 0, 0, G_OPTION_ARG_INT, &cpus, N_("Number of processors (default: the appliance's)"),
		  N_("COUNT") },
		{ NULL },
	};
	g_autofree char *taken = NULL;
	struct oriel_wait wait;
	GError *error = NULL;

	if (!oriel_command_parse(command, entries, 1, 2, &argc, &argv, &status))
		return status;
	if (memory < 0 || memory > G_MAXINT64 >> 20 || cpus < 0) {
		oriel_command_say(_("Memory and cpus are positive numbers"));
		return ORIEL_FAILURE;
	}
	if (argc > 2) {
		/* Not to find out after an hour of work */
		taken = oriel_store_folder(argv[2], &error);
		if (!taken)
			return oriel_command_fail(error);
		if (g_file_test(taken, G_FILE_TEST_EXISTS)) {
			oriel_command_say(_("There is a machine named \"%s\" already"), argv[2]);
			return ORIEL_FAILURE;
		}
		description.id = argv[2];
	}
	description.memory = (guint64)memory << 20;
	description.cpus = (guint)cpus;
	oriel_wait_begin(&wait);
	status = run_import(&wait, argv[1], argc > 2 ? argv[2] : NULL, &description);
	oriel_wait_end(&wait);
	return status;
}

/* --- What is known --- */

static void print_system_json(GString *json, const struct oriel_system_info *info)
{
	oriel_disk_json_open(json, NULL, '{');
	oriel_disk_json_string(json, "id", info->id);
	oriel_disk_json_string(json, "name", info->name);
	oriel_disk_json_string(json, "version", info->version);
	oriel_disk_json_number(json, "released", (guint64)info->released);
	oriel_disk_json_number(json, "minimum-cpus", info->minimum.cpus);
	oriel_disk_json_number(json, "minimum-memory", info->minimum.memory);
	oriel_disk_json_number(json, "minimum-disk", info->minimum.disk);
	oriel_disk_json_number(json, "recommended-cpus", info->recommended.cpus);
	oriel_disk_json_number(json, "recommended-memory", info->recommended.memory);
	oriel_disk_json_number(json, "recommended-disk", info->recommended.disk);
	oriel_disk_json_boolean(json, "needs-uefi", info->needs_uefi);
	oriel_disk_json_boolean(json, "needs-tpm", info->needs_tpm);
	oriel_disk_json_close(json, '}');
}

int oriel_command_systems(const struct oriel_command *command, int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = { ORIEL_JSON_OPTION(&as_json), { NULL } };
	g_autoptr(OrielSystems) systems = NULL;
	g_autoptr(GString) json = g_string_new(NULL);
	g_autoptr(GPtrArray) all = NULL;
	g_autofree char *wanted = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 0, G_MAXINT, &argc, &argv, &status))
		return status;
	wanted = g_strjoinv(" ", argv + 1);
	systems = oriel_systems_new();
	all = oriel_systems_get_all(systems);
	oriel_disk_json_open(json, NULL, '[');
	for (guint i = 0; i < all->len; i++) {
		const struct oriel_system_info *info = oriel_system_get_info(all->pdata[i]);

		if (!oriel_system_matches(all->pdata[i], wanted))
			continue;
		if (as_json)
			print_system_json(json, info);
		else
			printf("%-24s %s\n", info->id, info->name);
	}
	oriel_disk_json_close(json, ']');
	if (as_json)
		printf("%s\n", json->str);
	return ORIEL_SUCCESS;
}

static void print_media_json(GString *json, const struct oriel_media_info *info)
{
	const struct oriel_system_info *system = oriel_system_get_info(info->system);

	oriel_disk_json_open(json, NULL, '{');
	oriel_disk_json_string(json, "path", info->path);
	oriel_disk_json_string(json, "kind", info->kind == ORIEL_MEDIA_DISC ? "disc" :
			       info->kind == ORIEL_MEDIA_DISK ? "disk" : "unknown");
	oriel_disk_json_number(json, "size", info->size);
	if (info->kind == ORIEL_MEDIA_DISK)
		oriel_disk_json_string(json, "format", oriel_disk_format_get_name(info->format));
	if (info->kind == ORIEL_MEDIA_DISC) {
		oriel_disk_json_string(json, "system", system->id);
		oriel_disk_json_string(json, "name", system->name);
		oriel_disk_json_boolean(json, "recognised", info->recognised);
		oriel_disk_json_boolean(json, "live", info->live);
		oriel_disk_json_boolean(json, "installer", info->installer);
		oriel_disk_json_string(json, "label", info->label);
		oriel_disk_json_string(json, "architecture", info->architecture);
	}
	if (info->problem)
		oriel_disk_json_string(json, "problem", info->problem);
	oriel_disk_json_close(json, '}');
}

static void print_media(const struct oriel_media_info *info)
{
	const char *name = info->kind == ORIEL_MEDIA_DISK ? oriel_disk_format_get_name(info->format) :
			   info->kind == ORIEL_MEDIA_DISC ? oriel_system_get_info(info->system)->name : "";

	printf("%s: %s%s%s\n", info->path, name, *name && info->problem ? ". " : "",
	       info->problem ? info->problem : "");
}

int oriel_command_identify(const struct oriel_command *command, int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = { ORIEL_JSON_OPTION(&as_json), { NULL } };
	g_autoptr(OrielSystems) systems = NULL;
	g_autoptr(GString) json = g_string_new(NULL);
	int status;

	if (!oriel_command_parse(command, entries, 1, G_MAXINT, &argc, &argv, &status))
		return status;
	systems = oriel_systems_new();
	oriel_disk_json_open(json, NULL, '[');
	status = ORIEL_SUCCESS;
	for (int i = 1; i < argc; i++) {
		GError *error = NULL;
		g_autoptr(OrielMedia) media = oriel_media_recognise(systems, argv[i], NULL, &error);

		if (!media)
			status = oriel_command_fail(error);
		else if (as_json)
			print_media_json(json, oriel_media_get_info(media));
		else
			print_media(oriel_media_get_info(media));
	}
	oriel_disk_json_close(json, ']');
	if (as_json)
		printf("%s\n", json->str);
	return status;
}

int oriel_command_check(const struct oriel_command *command, int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = { ORIEL_JSON_OPTION(&as_json), { NULL } };
	g_autoptr(GString) json = g_string_new(NULL);
	g_autoptr(OrielHost) host = NULL;
	const struct oriel_host_info *info;
	int status;

	if (!oriel_command_parse(command, entries, 0, 0, &argc, &argv, &status))
		return status;
	host = oriel_host_new();
	info = oriel_host_get_info(host);
	oriel_disk_json_open(json, NULL, '{');
	oriel_disk_json_number(json, "cpus", info->cpus);
	oriel_disk_json_number(json, "memory", info->memory);
	oriel_disk_json_number(json, "available", info->available);
	oriel_disk_json_open(json, "problems", '[');
	for (guint i = 0; i < info->problems->len; i++) {
		const struct oriel_problem *problem = info->problems->pdata[i];

		oriel_disk_json_open(json, NULL, '{');
		oriel_disk_json_string(json, "message", problem->message);
		if (problem->advice)
			oriel_disk_json_string(json, "advice", problem->advice);
		if (problem->command)
			oriel_disk_json_string(json, "command", problem->command);
		oriel_disk_json_close(json, '}');
		if (!as_json)
			printf("%s%s%s%s%s\n", problem->message, problem->command ? "\n  " : "",
			       problem->command ? problem->command : "", problem->advice ? "\n  " : "",
			       problem->advice ? problem->advice : "");
	}
	oriel_disk_json_close(json, ']');
	oriel_disk_json_close(json, '}');
	if (as_json)
		printf("%s\n", json->str);
	else if (!info->problems->len)
		printf("%s\n", _("This computer can run machines"));
	return info->problems->len ? ORIEL_FAILURE : ORIEL_SUCCESS;
}
