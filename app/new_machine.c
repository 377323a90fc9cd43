#include "new_machine.h"

#include <glib/gi18n.h>

#include "machine_actions.h"
#include "machine_store.h"
#include "places.h"

#define TEST_DISC_ID "test-disc"
#define DEFAULT_DISK (64ull << 30)

static void create_and_start(OrielWindow *window, const struct oriel_machine_description *description)
{
	OrielMachineList *machines = oriel_window_get_machines(window);
	g_autoptr(GError) error = NULL;
	OrielMachine *machine;

	if (!oriel_store_create(description, &error)) {
		oriel_window_notice(window, NULL, GTK_MESSAGE_ERROR, error->message, NULL);
		return;
	}
	oriel_machine_list_rescan(machines);
	machine = oriel_machine_list_find(machines, description->id);
	if (!machine)
		return;
	oriel_window_select(window, machine);
	oriel_machine_actions_start(window, machine);
}

void oriel_new_machine_test_disc(OrielWindow *window)
{
	OrielMachine *machine = oriel_machine_list_find(oriel_window_get_machines(window), TEST_DISC_ID);
	g_autofree char *disc = oriel_find_test_disc();
	const struct oriel_machine_description description = {
		.id = TEST_DISC_ID, .name = _("Test disc"), .iso = disc, .disk_size = 1 << 30, .memory = 256 << 20,
		.cpus = 1, .cd_first = TRUE,
	};

	if (machine) {
		oriel_window_select(window, machine);
		oriel_machine_actions_start(window, machine);
	} else if (!disc) {
		oriel_window_notice(window, NULL, GTK_MESSAGE_ERROR,
				    _("The test disc is not installed. It belongs to Oriel; install Oriel again."), NULL);
	} else {
		create_and_start(window, &description);
	}
}

void oriel_new_machine_from_file(OrielWindow *window, GFile *file)
{
	g_autofree char *path = g_file_get_path(file), *base = NULL, *id = NULL, *text = NULL;
	struct oriel_machine_description description = { .disk_size = DEFAULT_DISK, .cd_first = TRUE };
	char *end;

	if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
		g_autofree char *name = g_file_get_parse_name(file);

		text = g_strdup_printf(_("%s is not a file on this computer. Copy it here first."), name);
		oriel_window_notice(window, NULL, GTK_MESSAGE_ERROR, text, NULL);
		return;
	}
	base = g_path_get_basename(path);
	end = g_strrstr(base, ".");
	if (!end || g_ascii_strcasecmp(end, ".iso") != 0) {
		text = g_strdup_printf(_("%s is not a disc image: installers are files whose name ends in .iso."), path);
		oriel_window_notice(window, NULL, GTK_MESSAGE_ERROR, text, NULL);
		return;
	}
	*end = 0;
	id = oriel_store_free_id(base);
	description.id = id;
	description.name = id;
	description.iso = path;
	create_and_start(window, &description);
}

static void file_chosen(GtkNativeDialog *dialog, int response, gpointer window)
{
	g_autoptr(GFile) file = gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog));

	if (response == GTK_RESPONSE_ACCEPT && file)
		oriel_new_machine_from_file(window, file);
	g_object_unref(dialog);
}

void oriel_new_machine(OrielWindow *window)
{
	GtkFileChooserNative *dialog = gtk_file_chooser_native_new(_("Choose an Installer"), GTK_WINDOW(window),
								   GTK_FILE_CHOOSER_ACTION_OPEN, _("_Create"),
								   _("_Cancel"));
	GtkFileFilter *filter = gtk_file_filter_new();

	gtk_file_filter_set_name(filter, _("Disc images (*.iso)"));
	gtk_file_filter_add_pattern(filter, "*.[iI][sS][oO]");
	gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(dialog), filter);
	gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(dialog), TRUE);
	g_signal_connect_object(dialog, "response", G_CALLBACK(file_chosen), window, 0);
	gtk_native_dialog_show(GTK_NATIVE_DIALOG(dialog));
}
