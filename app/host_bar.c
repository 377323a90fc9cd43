#include "host_bar.h"

#include <glib/gi18n.h>
#include <string.h>

#include "form.h"

#define ASKER "pkexec" /* polkit's, which asks for the password in a window */
#define SUDO "sudo "

enum { RESPONSE_COPY = 1, RESPONSE_RUN, RESPONSE_CHECK };

struct _OrielHostBar {
	GtkBox parent_instance;
	GPtrArray *(*look)(void);
	char *shown; /* messages of the problems */
	GCancellable *cancellable; /* of the command that runs */
	gboolean running;
};

G_DEFINE_FINAL_TYPE(OrielHostBar, oriel_host_bar, GTK_TYPE_BOX)

enum { SIGNAL_MENDED, SIGNALS };

static guint signals[SIGNALS];

char *oriel_host_bar_privileged(const char *command)
{
	g_auto(GStrv) parts = g_strsplit(command, SUDO, -1);

	return g_strjoinv("", parts);
}

static void show_failure(GtkWidget *bar, const char *message)
{
	GtkLabel *label = g_object_get_data(G_OBJECT(bar), "failure");

	gtk_label_set_text(label, message);
	gtk_widget_set_visible(GTK_WIDGET(label), *message != 0);
}

/* The bar may be gone by then. */
struct run {
	OrielHostBar *self;
	GWeakRef bar;
};

static void command_ended(GObject *source, GAsyncResult *result, gpointer data)
{
	struct run *run = data;
	OrielHostBar *self = run->self;
	g_autoptr(GtkWidget) bar = g_weak_ref_get(&run->bar);
	g_autofree char *complaints = NULL;
	g_autoptr(GError) error = NULL;
	gboolean ended = g_subprocess_communicate_utf8_finish(G_SUBPROCESS(source), result, NULL, &complaints, &error);

	self->running = FALSE;
	if (ended && g_subprocess_get_successful(G_SUBPROCESS(source)))
		oriel_host_bar_check(self);
	else if (bar)
		show_failure(bar, !ended ? error->message : complaints && *complaints ? g_strstrip(complaints) :
				  _("The command failed."));
	g_weak_ref_clear(&run->bar);
	g_object_unref(self);
	g_free(run);
}

static void run_command(OrielHostBar *self, GtkWidget *bar, const char *command)
{
	g_autofree char *privileged = oriel_host_bar_privileged(command);
	g_autoptr(GError) error = NULL;
	g_autoptr(GSubprocess) process = NULL;
	struct run *run;

	if (self->running)
		return;
	show_failure(bar, "");
	process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDERR_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE, &error, ASKER, "sh",
				   "-c", privileged, NULL);
	if (!process) {
		show_failure(bar, error->message);
		return;
	}
	self->running = TRUE;
	run = g_new0(struct run, 1);
	run->self = g_object_ref(self);
	g_weak_ref_init(&run->bar, bar);
	g_subprocess_communicate_utf8_async(process, NULL, self->cancellable, command_ended, run);
}

static void add_problem(OrielHostBar *self, const struct oriel_problem *problem);

/* False: it is as it was. Bars that say the same stay: somebody may be about to press a button of theirs. */
static gboolean check(OrielHostBar *self)
{
	g_autoptr(GPtrArray) problems = self->look();
	gboolean mended = *self->shown && !problems->len;
	GString *messages = g_string_new(NULL);

	for (guint i = 0; i < problems->len; i++)
		g_string_append_printf(messages, "%s\n", ((struct oriel_problem *)problems->pdata[i])->message);
	if (g_strcmp0(messages->str, self->shown) == 0) {
		g_string_free(messages, TRUE);
		return FALSE;
	}
	g_free(self->shown);
	self->shown = g_string_free(messages, FALSE);
	oriel_remove_children(GTK_CONTAINER(self));
	for (guint i = 0; i < problems->len; i++)
		add_problem(self, problems->pdata[i]);
	if (mended)
		g_signal_emit(self, signals[SIGNAL_MENDED], 0);
	return TRUE;
}

static void answered(GtkInfoBar *bar, int response, gpointer data)
{
	const char *command = g_object_get_data(G_OBJECT(bar), "command");

	if (response == RESPONSE_COPY)
		gtk_clipboard_set_text(gtk_widget_get_clipboard(GTK_WIDGET(bar), GDK_SELECTION_CLIPBOARD), command, -1);
	else if (response == RESPONSE_RUN)
		run_command(data, GTK_WIDGET(bar), command);
	else if (response == RESPONSE_CHECK && !check(data))
		show_failure(GTK_WIDGET(bar), _("Nothing has changed yet."));
}

static GtkWidget *add_text(GtkWidget *box, const char *text)
{
	GtkWidget *label = gtk_label_new(text);

	gtk_label_set_line_wrap(GTK_LABEL(label), TRUE);
	gtk_label_set_line_wrap_mode(GTK_LABEL(label), PANGO_WRAP_WORD_CHAR);
	/* Else the window is made high enough for a column of single words. */
	gtk_label_set_width_chars(GTK_LABEL(label), 50);
	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_container_add(GTK_CONTAINER(box), label);
	return label;
}

static void add_problem(OrielHostBar *self, const struct oriel_problem *problem)
{
	GtkWidget *bar = gtk_info_bar_new(), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6), *label;
	g_autofree char *asker = g_find_program_in_path(ASKER);

	gtk_info_bar_set_message_type(GTK_INFO_BAR(bar), GTK_MESSAGE_ERROR);
	label = add_text(box, problem->message);
	gtk_style_context_add_class(gtk_widget_get_style_context(label), "oriel-name");
	if (problem->command) {
		label = add_text(box, problem->command);
		gtk_style_context_add_class(gtk_widget_get_style_context(label), GTK_STYLE_CLASS_MONOSPACE);
		gtk_label_set_selectable(GTK_LABEL(label), TRUE);
		/* The first focus of the window selected all of it. */
		gtk_widget_set_can_focus(label, FALSE);
		gtk_info_bar_add_button(GTK_INFO_BAR(bar), _("_Copy the Command"), RESPONSE_COPY);
		if (asker)
			gtk_info_bar_add_button(GTK_INFO_BAR(bar), _("_Do It Now"), RESPONSE_RUN);
	}
	if (problem->advice)
		add_text(box, problem->advice);
	label = add_text(box, "");
	gtk_widget_set_no_show_all(label, TRUE);
	gtk_info_bar_add_button(GTK_INFO_BAR(bar), _("Check _Again"), RESPONSE_CHECK);
	g_object_set_data(G_OBJECT(bar), "failure", label);
	g_object_set_data_full(G_OBJECT(bar), "command", g_strdup(problem->command), g_free);
	gtk_container_add(GTK_CONTAINER(gtk_info_bar_get_content_area(GTK_INFO_BAR(bar))), box);
	atk_object_set_name(gtk_widget_get_accessible(bar), problem->message);
	g_signal_connect_object(bar, "response", G_CALLBACK(answered), self, 0);
	gtk_widget_show_all(bar);
	gtk_container_add(GTK_CONTAINER(self), bar);
}

void oriel_host_bar_check(OrielHostBar *self)
{
	if (!gtk_widget_in_destruction(GTK_WIDGET(self)))
		check(self);
}

void oriel_host_bar_set_look(OrielHostBar *self, GPtrArray *(*look)(void))
{
	self->look = look;
}

/* Somebody may have mended it in a terminal. */
static void window_focused(GtkWindow *window, GParamSpec *spec, gpointer data)
{
	(void)spec;
	if (gtk_window_is_active(window) && *ORIEL_HOST_BAR(data)->shown)
		oriel_host_bar_check(data);
}

static void oriel_host_bar_realize(GtkWidget *widget)
{
	GtkWidget *window = gtk_widget_get_toplevel(widget);

	GTK_WIDGET_CLASS(oriel_host_bar_parent_class)->realize(widget);
	if (GTK_IS_WINDOW(window))
		g_signal_connect_object(window, "notify::is-active", G_CALLBACK(window_focused), widget, 0);
	oriel_host_bar_check(ORIEL_HOST_BAR(widget));
}

static void oriel_host_bar_dispose(GObject *object)
{
	g_cancellable_cancel(ORIEL_HOST_BAR(object)->cancellable);
	G_OBJECT_CLASS(oriel_host_bar_parent_class)->dispose(object);
}

static void oriel_host_bar_finalize(GObject *object)
{
	g_object_unref(ORIEL_HOST_BAR(object)->cancellable);
	g_free(ORIEL_HOST_BAR(object)->shown);
	G_OBJECT_CLASS(oriel_host_bar_parent_class)->finalize(object);
}

static void oriel_host_bar_class_init(OrielHostBarClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_host_bar_dispose;
	G_OBJECT_CLASS(class)->finalize = oriel_host_bar_finalize;
	GTK_WIDGET_CLASS(class)->realize = oriel_host_bar_realize;
	signals[SIGNAL_MENDED] = g_signal_new("mended", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
					      G_TYPE_NONE, 0);
}

static GPtrArray *look_at_host(void)
{
	g_autoptr(OrielHost) host = oriel_host_new();

	return g_ptr_array_ref((GPtrArray *)oriel_host_get_info(host)->problems);
}

static void oriel_host_bar_init(OrielHostBar *self)
{
	self->cancellable = g_cancellable_new();
	self->look = look_at_host;
	self->shown = g_strdup("");
}
