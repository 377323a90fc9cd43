/* oriel-vm: one machine, from its folder, in a window or without one. */
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../audio/hda.h"
#include "../display/window.h"
#include "control/control.h"
#include "machine.h"
#include "translation.h"
#include "usb_menu.h"

/* What connects the window's thread with the machine's. */
struct link {
	struct machine *machine;
	struct window *window;
	struct usb_menu usb;
	struct machine_listener listener;
};

struct input_message {
	struct machine *machine;
	unsigned count;
	struct input_event events[];
};

struct command_message {
	struct link *link;
	enum window_command command;
};

struct volume_message {
	struct machine *machine;
	unsigned percent;
	bool muted;
};

/* --- from the window to the machine --- */

static void deliver_input(void *data)
{
	struct input_message *message = data;

	machine_input(message->machine, message->events, message->count);
	g_free(message);
}

static void window_input(void *opaque, const struct input_event *events, unsigned count)
{
	struct machine *machine = ((struct link *)opaque)->machine;
	struct input_message *message = g_malloc(sizeof *message + count * sizeof *events);

	message->machine = machine;
	message->count = count;
	for (unsigned i = 0; i < count; i++)
		message->events[i] = events[i];
	loop_call(&machine->vm.loop, deliver_input, message);
}

static void deliver_release(void *data)
{
	input_router_release_all(data);
}

static void window_release_all(void *opaque)
{
	struct machine *machine = ((struct link *)opaque)->machine;

	loop_call(&machine->vm.loop, deliver_release, &machine->input);
}

static void screenshot_done(void *opaque, const char *path, const GError *error)
{
	g_autofree char *text = error ? g_strdup(error->message) : g_strdup_printf(_("Saved %s"), path);

	window_post_notice(((struct link *)opaque)->window, text);
}

static void take_screenshot(struct link *link)
{
	const char *pictures = g_get_user_special_dir(G_USER_DIRECTORY_PICTURES);
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *time = g_date_time_format(now, "%F %H-%M-%S.%f");
	g_autofree char *machine = g_path_get_basename(link->machine->config->folder);
	g_autofree char *name = g_strdup_printf("%s %s.png", machine, time);
	g_autofree char *path = g_build_filename(pictures && g_file_test(pictures, G_FILE_TEST_IS_DIR) ? pictures :
						 link->machine->config->folder, name, NULL);

	machine_screenshot(link->machine, path, screenshot_done, link);
}

static void deliver_command(void *data)
{
	struct command_message *message = data;
	struct link *link = message->link;

	switch (message->command) {
	case WINDOW_POWER_BUTTON:
		if (!machine_power_button(link->machine))
			window_post_notice(link->window, _("No operating system listens to the power button"));
		break;
	case WINDOW_POWER_OFF:
		machine_stop(link->machine);
		break;
	case WINDOW_RESET:
		machine_reset(link->machine);
		break;
	case WINDOW_PAUSE:
		machine_pause(link->machine);
		break;
	case WINDOW_RESUME:
		machine_resume(link->machine);
		break;
	case WINDOW_SCREENSHOT:
		take_screenshot(link);
		break;
	case WINDOW_DETACH:
		break;
	}
	g_free(message);
}

static void window_command(void *opaque, enum window_command command)
{
	struct link *link = opaque;
	struct command_message *message = g_new(struct command_message, 1);

	*message = (struct command_message){ link, command };
	loop_call(&link->machine->vm.loop, deliver_command, message);
}

static void deliver_volume(void *data)
{
	struct volume_message *message = data;

	hda_set_volume(message->machine->hda, message->percent, message->muted);
	g_free(message);
}

static void window_volume(void *opaque, unsigned percent, bool muted)
{
	struct machine *machine = ((struct link *)opaque)->machine;
	struct volume_message *message = g_new(struct volume_message, 1);

	*message = (struct volume_message){ machine, percent, muted };
	loop_call(&machine->vm.loop, deliver_volume, message);
}

static void window_list_usb(void *opaque)
{
	usb_menu_list(&((struct link *)opaque)->usb);
}

static void window_plug_usb(void *opaque, const struct window_usb *device, bool plug, bool force)
{
	usb_menu_plug(&((struct link *)opaque)->usb, device, plug, force);
}

/* --- from the machine to the window --- */

static void state_changed(void *opaque, enum machine_state state, const char *message)
{
	static const enum window_guest_state shown[] = {
		[MACHINE_STARTING] = WINDOW_GUEST_RUNNING, [MACHINE_RUNNING] = WINDOW_GUEST_RUNNING,
		[MACHINE_PAUSED] = WINDOW_GUEST_PAUSED, [MACHINE_CRASHED] = WINDOW_GUEST_CRASHED,
		[MACHINE_TROUBLE] = WINDOW_GUEST_TROUBLE, [MACHINE_STOPPED] = WINDOW_GUEST_RUNNING,
	};
	struct link *link = opaque;

	if (!link->window)
		return;
	if (state == MACHINE_STOPPED)
		window_post_quit(link->window);
	else
		window_post_state(link->window, shown[state], message);
}

static void input_changed(void *opaque)
{
	struct link *link = opaque;

	if (!link->window)
		return;
	window_post_leds(link->window, link->machine->input.leds);
	window_post_kinds(link->window, input_router_kinds(&link->machine->input));
}

/* Without a window the main thread opens one. */
static bool raise_window(void *opaque)
{
	struct link *link = opaque;

	if (link->window)
		window_post_raise(link->window);
	else
		machine_wake(link->machine);
	return true;
}

static bool open_window(struct link *link, GError **error)
{
	const struct machine_config *config = link->machine->config;
	g_autofree char *folder = g_path_get_basename(config->folder);
	struct window_client client = {
		.input = window_input, .release_all = window_release_all, .command = window_command,
		.volume = link->machine->hda ? window_volume : NULL, .opaque = link,
		.list_usb = link->machine->xhci ? window_list_usb : NULL, .plug_usb = window_plug_usb,
	};
	struct window *window = window_new(config->name ? config->name : folder, &link->machine->scanout, &client,
					   error);

	g_mutex_lock(&link->machine->vm.lock);
	link->window = window;
	if (window) {
		state_changed(link, link->machine->state, link->machine->message);
		input_changed(link);
	}
	g_mutex_unlock(&link->machine->vm.lock);
	return window != NULL;
}

/* For a machine that has run without one. */
static void open_window_late(struct link *link)
{
	g_autoptr(GError) error = NULL;

	if (open_window(link, &error))
		return;
	g_warning("%s", error->message);
	g_mutex_lock(&link->machine->vm.lock);
	control_error(link->machine->control, error->message);
	g_mutex_unlock(&link->machine->vm.lock);
}

static void close_window(struct link *link)
{
	struct window *window;

	g_mutex_lock(&link->machine->vm.lock);
	window = g_steal_pointer(&link->window);
	g_mutex_unlock(&link->machine->vm.lock);
	window_free(window);
}

/* --- the program --- */

static gboolean asked_to_end(gpointer machine)
{
	machine_stop(machine);
	return G_SOURCE_CONTINUE;
}

static void watch_signal(struct machine *machine, int number)
{
	g_autoptr(GSource) source = g_unix_signal_source_new(number);

	g_source_set_callback(source, asked_to_end, machine, NULL);
	g_source_attach(source, machine->vm.loop.context);
}

static int run_machine(struct machine_config *config, bool headless)
{
	g_autoptr(GError) error = NULL;
	struct link link = { .machine = machine_new(config, &error) };

	if (!link.machine || (!headless && !open_window(&link, &error))) {
		g_printerr("oriel-vm: %s\n", error->message);
		if (link.machine)
			machine_free(link.machine);
		return EXIT_FAILURE;
	}
	link.usb = (struct usb_menu){ link.machine, &link.window };
	link.listener = (struct machine_listener){ state_changed, input_changed, raise_window, &link };
	machine_add_listener(link.machine, &link.listener);
	watch_signal(link.machine, SIGTERM);
	watch_signal(link.machine, SIGINT);
	machine_start(link.machine);
	for (;;) {
		if (link.window) {
			window_run(link.window);
			close_window(&link);
		}
		if (machine_wait(link.machine))
			break;
		open_window_late(&link);
	}
	machine_free(link.machine);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	gboolean headless = FALSE, version = FALSE;
	const GOptionEntry entries[] = {
		{ "headless", 0, 0, G_OPTION_ARG_NONE, &headless, N_("Run without a window"), NULL },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &version, N_("Show the version"), NULL },
		{ NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new(N_("FOLDER"));
	g_autoptr(GError) error = NULL;
	g_autofree char *log = NULL;
	struct machine_config *config;

	translation_init();
	g_option_context_set_translation_domain(context, TRANSLATION_DOMAIN);
	g_option_context_set_summary(context, N_("Runs the machine in FOLDER, which holds a machine.conf."));
	g_option_context_add_main_entries(context, entries, TRANSLATION_DOMAIN);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		g_printerr("oriel-vm: %s\n", error->message);
		return EXIT_FAILURE;
	}
	if (version) {
		printf("oriel-vm %s\n", ORIEL_VERSION);
		return EXIT_SUCCESS;
	}
	if (argc != 2) {
		g_printerr("oriel-vm: %s\n", _("Give the machine's folder. See oriel-vm --help"));
		return EXIT_FAILURE;
	}
	config = machine_config_load(argv[1], &error);
	if (!config) {
		g_printerr("oriel-vm: %s\n", error->message);
		return EXIT_FAILURE;
	}
	log = g_build_filename(config->folder, "log", NULL);
	if (!log_open(log, &error)) {
		g_printerr("oriel-vm: %s\n", error->message);
		machine_config_free(config);
		return EXIT_FAILURE;
	}
	return run_machine(config, headless);
}
