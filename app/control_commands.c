#include <gio/gio.h>
#include <glib/gi18n.h>
#include <stdio.h>

#include "commands.h"
#include "disk.h"
#include "machine_client.h"
#include "machine_store.h"

#define STOP_SECONDS 60

static OrielMachineClient *connect_to(const char *name, GError **error)
{
	struct machine_config *config = oriel_store_load(name, error);
	g_autofree char *socket = NULL;

	if (!config)
		return NULL;
	socket = machine_config_socket_path(config);
	machine_config_free(config);
	return oriel_machine_client_new(socket, error);
}

/* Makes one call to the machine of that name. */
static int call(const char *name, const char *method, GVariant *parameters)
{
	g_autoptr(GVariant) sunk = parameters ? g_variant_ref_sink(parameters) : NULL;
	g_autoptr(OrielMachineClient) client = NULL;
	g_autoptr(GVariant) reply = NULL;
	GError *error = NULL;

	client = connect_to(name, &error);
	if (client)
		reply = oriel_machine_client_call(client, method, sunk, &error);
	return reply ? ORIEL_SUCCESS : oriel_command_fail(error);
}

/* Likewise; what the machine answers must be of this type. NULL: that was told, and *status is the command's. */
static GVariant *ask(const char *name, const char *method, const char *type, int *status)
{
	g_autoptr(OrielMachineClient) client = NULL;
	g_autoptr(GVariant) reply = NULL;
	GError *error = NULL;

	client = connect_to(name, &error);
	if (client)
		reply = oriel_machine_client_call(client, method, NULL, &error);
	if (!reply) {
		*status = oriel_command_fail(error);
		return NULL;
	}
	if (!g_variant_is_of_type(reply, G_VARIANT_TYPE(type))) {
		oriel_command_say(_("The machine answers with something else"));
		*status = ORIEL_FAILURE;
		return NULL;
	}
	return g_steal_pointer(&reply);
}

int oriel_command_simple(const struct oriel_command *command, int argc, char **argv)
{
	int status;

	if (!oriel_command_parse(command, NULL, 1, 1, &argc, &argv, &status))
		return status;
	return call(argv[1], command->method, NULL);
}

int oriel_command_stop(const struct oriel_command *command, int argc, char **argv)
{
	g_autoptr(OrielMachineClient) client = NULL;
	g_autoptr(GVariant) reply = NULL;
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, NULL, 1, 1, &argc, &argv, &status))
		return status;
	client = connect_to(argv[1], &error);
	if (client)
		reply = oriel_machine_client_call(client, "Stop", NULL, &error);
	if (!reply)
		return oriel_command_fail(error);
	if (oriel_machine_client_wait_gone(client, STOP_SECONDS))
		return ORIEL_SUCCESS;
	oriel_command_say(_("The machine is still there after %d seconds"), STOP_SECONDS);
	return ORIEL_FAILURE;
}

int oriel_command_screenshot(const struct oriel_command *command, int argc, char **argv)
{
	g_autofree char *file = NULL, *path = NULL;
	int status;

	if (!oriel_command_parse(command, NULL, 1, 2, &argc, &argv, &status))
		return status;
	if (argc > 2) {
		file = g_strdup(argv[2]);
	} else {
		g_autoptr(GDateTime) now = g_date_time_new_now_local();
		g_autofree char *time = g_date_time_format(now, "%F %H-%M-%S");

		file = g_strdup_printf("%s %s.png", argv[1], time);
	}
	path = g_canonicalize_filename(file, NULL);
	status = call(argv[1], "Screenshot", g_variant_new("(s)", path));
	if (status == ORIEL_SUCCESS)
		printf("%s\n", path);
	return status;
}

int oriel_command_insert(const struct oriel_command *command, int argc, char **argv)
{
	g_autofree char *path = NULL;
	int drive = -1, status;
	const GOptionEntry entries[] = {
		{ "drive", 0, 0, G_OPTION_ARG_INT, &drive, N_("CD drive by port (default: the first one)"),
		  N_("PORT") },
		{ NULL },
	};

	if (!oriel_command_parse(command, entries, 2, 2, &argc, &argv, &status))
		return status;
	path = g_canonicalize_filename(argv[2], NULL);
	return call(argv[1], "InsertDisc", g_variant_new("(is)", drive, path));
}

int oriel_command_eject(const struct oriel_command *command, int argc, char **argv)
{
	gboolean force = FALSE;
	int drive = -1, status;
	const GOptionEntry entries[] = {
		{ "drive", 0, 0, G_OPTION_ARG_INT, &drive, N_("CD drive by port (default: the first one)"),
		  N_("PORT") },
		{ "force", 0, 0, G_OPTION_ARG_NONE, &force, N_("Even if the guest has locked the tray"), NULL },
		{ NULL },
	};

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	return call(argv[1], "EjectDisc", g_variant_new("(ib)", drive, force));
}

/* A device of the host is given as BUS.ADDRESS. */
static int call_host_device(const char *name, const char *method, const char *place)
{
	guint64 bus, address;
	g_auto(GStrv) parts = g_strsplit(place, ".", -1);

	if (g_strv_length(parts) != 2 || !g_ascii_string_to_unsigned(parts[0], 10, 0, 255, &bus, NULL) ||
	    !g_ascii_string_to_unsigned(parts[1], 10, 0, 255, &address, NULL)) {
		oriel_command_say(_("\"%s\" is no BUS.ADDRESS such as 1.4; see oriel usb"), place);
		return ORIEL_USAGE;
	}
	return call(name, method, g_variant_new("(yy)", (guint8)bus, (guint8)address));
}

struct usb_command {
	const char *stick_method, *host_method;
	const char *flag, *flag_help;
};

static int plug_or_unplug(const struct oriel_command *command, const struct usb_command *usb, int argc, char **argv)
{
	gboolean flag = FALSE, host = FALSE;
	g_autofree char *path = NULL;
	int status;
	const GOptionEntry entries[] = {
		{ usb->flag, 0, 0, G_OPTION_ARG_NONE, &flag, usb->flag_help, NULL },
		{ "host", 0, 0, G_OPTION_ARG_NONE, &host, N_("FILE is BUS.ADDRESS of a USB device of the host"), NULL },
		{ NULL },
	};

	if (!oriel_command_parse(command, entries, 2, 2, &argc, &argv, &status))
		return status;
	if (host)
		return call_host_device(argv[1], usb->host_method, argv[2]);
	path = g_canonicalize_filename(argv[2], NULL);
	return call(argv[1], usb->stick_method, g_variant_new("(sb)", path, flag));
}

int oriel_command_plug(const struct oriel_command *command, int argc, char **argv)
{
	static const struct usb_command plug = { "PlugStick", "PlugHostDevice", "read-only",
						 N_("The guest cannot change the image") };

	return plug_or_unplug(command, &plug, argc, argv);
}

int oriel_command_unplug(const struct oriel_command *command, int argc, char **argv)
{
	static const struct usb_command unplug = { "UnplugStick", "UnplugHostDevice", "force",
						   N_("Even if the guest still writes to the stick") };

	return plug_or_unplug(command, &unplug, argc, argv);
}

int oriel_command_usb(const struct oriel_command *command, int argc, char **argv)
{
	g_autoptr(GVariant) reply = NULL;
	g_autoptr(GVariantIter) devices = NULL;
	guint8 bus, address;
	guint16 vendor, product;
	const char *name;
	gboolean plugged;
	int status;

	if (!oriel_command_parse(command, NULL, 1, 1, &argc, &argv, &status))
		return status;
	reply = ask(argv[1], "HostDevices", "(a(yyqqsb))", &status);
	if (!reply)
		return status;
	g_variant_get(reply, "(a(yyqqsb))", &devices);
	while (g_variant_iter_next(devices, "(yyqq&sb)", &bus, &address, &vendor, &product, &name, &plugged))
		printf("%u.%u %04x:%04x %s%s\n", bus, address, vendor, product, name, plugged ? _(" (plugged in)") : "");
	return ORIEL_SUCCESS;
}

int oriel_command_keys(const struct oriel_command *command, int argc, char **argv)
{
	int status;

	if (!oriel_command_parse(command, NULL, 2, G_MAXINT, &argc, &argv, &status))
		return status;
	return call(argv[1], "SendKeys", g_variant_new("(^as)", argv + 2));
}

int oriel_command_type(const struct oriel_command *command, int argc, char **argv)
{
	g_autofree char *text = NULL;
	gboolean enter = FALSE;
	int status;
	const GOptionEntry entries[] = {
		{ "enter", 0, 0, G_OPTION_ARG_NONE, &enter, N_("Press Enter after the text"), NULL },
		{ NULL },
	};

	if (!oriel_command_parse(command, entries, 2, 2, &argc, &argv, &status))
		return status;
	text = g_strconcat(argv[2], enter ? "\n" : "", NULL);
	return call(argv[1], "TypeText", g_variant_new("(s)", text));
}

static int compare_strings(gconstpointer a, gconstpointer b)
{
	return g_strcmp0(*(const char *const *)a, *(const char *const *)b);
}

static void print_counters_json(GVariant *counters)
{
	g_autoptr(GString) json = g_string_new(NULL);
	GVariantIter iterator;
	const char *name;
	guint64 value;

	oriel_disk_json_open(json, NULL, '{');
	g_variant_iter_init(&iterator, counters);
	while (g_variant_iter_next(&iterator, "{&st}", &name, &value))
		oriel_disk_json_number(json, name, value);
	oriel_disk_json_close(json, '}');
	printf("%s\n", json->str);
}

/* One "name value" a line, sorted by name. */
static void print_counters(GVariant *counters)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	GVariantIter iterator;
	const char *name;
	guint64 value;

	g_variant_iter_init(&iterator, counters);
	while (g_variant_iter_next(&iterator, "{&st}", &name, &value))
		g_ptr_array_add(lines, g_strdup_printf("%s %" G_GUINT64_FORMAT, name, value));
	g_ptr_array_sort(lines, compare_strings);
	for (guint i = 0; i < lines->len; i++)
		printf("%s\n", (const char *)lines->pdata[i]);
}

int oriel_command_statistics(const struct oriel_command *command, int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = { ORIEL_JSON_OPTION(&as_json), { NULL } };
	g_autoptr(GVariant) reply = NULL, counters = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	reply = ask(argv[1], "Statistics", "(a{st})", &status);
	if (!reply)
		return status;
	counters = g_variant_get_child_value(reply, 0);
	if (as_json)
		print_counters_json(counters);
	else
		print_counters(counters);
	return ORIEL_SUCCESS;
}
