#include "application.h"

#include <glib/gi18n.h>

#include "color_scheme.h"
#include "machine_actions.h"
#include "machine_list.h"
#include "new_machine.h"
#include "settings.h"
#include "window.h"

struct _OrielApplication {
	GtkApplication parent_instance;
	OrielMachineList *machines;
};

G_DEFINE_FINAL_TYPE(OrielApplication, oriel_application, GTK_TYPE_APPLICATION)

static OrielWindow *the_window(OrielApplication *self)
{
	GtkWindow *window = gtk_application_get_active_window(GTK_APPLICATION(self));

	if (!window)
		window = GTK_WINDOW(oriel_window_new(GTK_APPLICATION(self), self->machines));
	while (gtk_window_get_transient_for(window))
		window = gtk_window_get_transient_for(window);
	return ORIEL_WINDOW(window);
}

static void about(GSimpleAction *action, GVariant *parameter, gpointer self)
{
	(void)action;
	(void)parameter;
	gtk_show_about_dialog(gtk_application_get_active_window(self), "program-name", "Oriel", "version",
			      ORIEL_VERSION, "logo-icon-name", "io.github.oriel.Oriel", "comments",
			      _("Whole computers in windows"), "license-type", GTK_LICENSE_GPL_2_0,
			      "translator-credits", _("translator-credits"), NULL);
}

static void quit(GSimpleAction *action, GVariant *parameter, gpointer self)
{
	(void)action;
	(void)parameter;
	g_application_quit(self);
}

static void set_accelerators(GtkApplication *application)
{
	static const struct {
		const char *action, *keys[3];
	} accelerators[] = {
		{ "app.quit", { "<Primary>q" } },
		{ "win.new", { "<Primary>n", "<Primary>o" } },
		{ "win.search", { "<Primary>f" } },
		{ "win.view::grid", { "<Primary>1" } },
		{ "win.view::list", { "<Primary>2" } },
		{ "win.menu", { "F10" } },
		{ "win.show-help-overlay", { "<Primary>question", "<Primary>F1" } },
	};

	for (guint i = 0; i < G_N_ELEMENTS(accelerators); i++)
		gtk_application_set_accels_for_action(application, accelerators[i].action, accelerators[i].keys);
	oriel_machine_actions_set_accelerators(application);
}

static void load_style(void)
{
	g_autoptr(GtkCssProvider) style = gtk_css_provider_new();

	gtk_css_provider_load_from_resource(style, "/io/github/oriel/Oriel/style.css");
	gtk_style_context_add_provider_for_screen(gdk_screen_get_default(), GTK_STYLE_PROVIDER(style),
						  GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
}

static void oriel_application_startup(GApplication *application)
{
	static const GActionEntry actions[] = {
		{ .name = "about", .activate = about },
		{ .name = "quit", .activate = quit },
	};

	G_APPLICATION_CLASS(oriel_application_parent_class)->startup(application);
	g_action_map_add_action_entries(G_ACTION_MAP(application), actions, G_N_ELEMENTS(actions), application);
	set_accelerators(GTK_APPLICATION(application));
	load_style();
	oriel_color_scheme_follow();
	ORIEL_APPLICATION(application)->machines = oriel_machine_list_new();
}

static void oriel_application_activate(GApplication *application)
{
	gtk_window_present(GTK_WINDOW(the_window(ORIEL_APPLICATION(application))));
}

static void oriel_application_open(GApplication *application, GFile **files, int count, const char *hint)
{
	OrielWindow *window = the_window(ORIEL_APPLICATION(application));

	(void)hint;
	gtk_window_present(GTK_WINDOW(window));
	for (int i = 0; i < count; i++)
		oriel_new_machine_from_file(window, files[i]);
}

/* Quitting destroys no windows. */
static void oriel_application_shutdown(GApplication *application)
{
	for (GList *window = gtk_application_get_windows(GTK_APPLICATION(application)); window; window = window->next) {
		oriel_settings_save_last(window->data);
		if (ORIEL_IS_WINDOW(window->data))
			oriel_window_remember(window->data);
	}
	G_APPLICATION_CLASS(oriel_application_parent_class)->shutdown(application);
}

static void oriel_application_finalize(GObject *object)
{
	g_clear_object(&ORIEL_APPLICATION(object)->machines);
	G_OBJECT_CLASS(oriel_application_parent_class)->finalize(object);
}

static void oriel_application_class_init(OrielApplicationClass *class)
{
	GApplicationClass *application = G_APPLICATION_CLASS(class);

	application->startup = oriel_application_startup;
	application->activate = oriel_application_activate;
	application->open = oriel_application_open;
	application->shutdown = oriel_application_shutdown;
	G_OBJECT_CLASS(class)->finalize = oriel_application_finalize;
}

static void oriel_application_init(OrielApplication *self)
{
	(void)self;
}

int oriel_application_run(int argc, char **argv)
{
	g_autoptr(OrielApplication) application = NULL;

	/* The name by which desktops find the desktop entry of a window. */
	g_set_prgname("io.github.oriel.Oriel");
	g_set_application_name("Oriel");
	application = g_object_new(ORIEL_TYPE_APPLICATION, "application-id", "io.github.oriel.Oriel", "flags",
				   G_APPLICATION_HANDLES_OPEN, NULL);
	return g_application_run(G_APPLICATION(application), argc, argv);
}
