#include "new_machine.h"

#include <glib/gi18n.h>

#include "machine_actions.h"
#include "machine_store.h"
#include "places.h"
#include "wizard.h"

#define TEST_DISC_ID "test-disc"

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
		.id = TEST_DISC_ID, .name = _("Test disc"), .system = "oriel-test-disc", .iso = disc,
		.disk_size = 1 << 30, .memory = 256 << 20, .cpus = 1, .cd_first = TRUE,
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
	g_autofree char *path = g_file_get_path(file), *name = NULL, *text = NULL;

	if (path) {
		oriel_wizard_show(window, path);
		return;
	}
	name = g_file_get_parse_name(file);
	text = g_strdup_printf(_("%s is not a file on this computer. Copy it here first."), name);
	oriel_window_notice(window, NULL, GTK_MESSAGE_ERROR, text, NULL);
}

void oriel_new_machine(OrielWindow *window)
{
	oriel_wizard_show(window, NULL);
}
