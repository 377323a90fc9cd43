#include "settings_field.h"

#include <glib/gi18n.h>
#include <string.h>

/* How long somebody may rest while he types or drags before it is saved. */
#define SAVE_MS 500
#define FIELD "oriel-settings-field"

struct settings_field {
	OrielSettings *settings;
	GtkWidget *widget;
	GtkLabel *note;
	GtkAdjustment *adjustment; /* of a number */
	char *name, *group, *key;
	const char *method;
	char *(*get)(const struct machine_config *config);
	gboolean (*set)(struct machine_config *config, const char *text, GError **error);
	char *(*check)(const char *text);
	char *(*read)(struct settings_field *field);
	void (*show)(struct settings_field *field, const char *text);
	char *shown;   /* as machine.conf had it when it was last shown */
	char *running; /* as the running machine has it; NULL: it does not run */
	guint timer;   /* until it is saved; 0: nothing is to be saved */
	gboolean at_once, refused, showing;
};

enum { ERROR_CHANGED_ELSEWHERE };

static G_DEFINE_QUARK(oriel-settings-error, settings_error)

/* --- What machine.conf says --- */

static char *get_text(struct settings_field *field, const struct machine_config *config)
{
	return field->get ? field->get(config) : machine_config_get(config, field->group, field->key);
}

static void show_state(struct settings_field *field)
{
	if (field->refused)
		return;
	if (field->running && !field->at_once && strcmp(field->running, field->shown))
		oriel_note_tell(field->note, g_strdup(_("After the next start")));
	else
		oriel_note_tell(field->note, NULL);
}

static void show_text(struct settings_field *field, char *text)
{
	g_free(field->shown);
	field->shown = text;
	field->refused = FALSE;
	field->showing = TRUE;
	field->show(field, text);
	field->showing = FALSE;
	show_state(field);
}

static void tell_conflict(struct settings_field *field, const char *theirs)
{
	g_autofree char *text = g_strdup_printf(*theirs ?
		_("“%s” has been changed by somebody else, to “%s”. What was entered here has not been saved.") :
		_("“%s” has been removed by somebody else. What was entered here has not been saved."), field->name,
		theirs);

	oriel_settings_tell(field->settings, GTK_MESSAGE_WARNING, text, NULL, NULL, NULL);
}

static void follow_state(struct settings_field *field)
{
	if (oriel_machine_is_idle(oriel_settings_get_machine(field->settings)))
		g_clear_pointer(&field->running, g_free);
	else if (!field->running)
		field->running = g_strdup(field->shown);
}

void settings_field_update(struct settings_field *field)
{
	const struct machine_config *config = oriel_settings_get_config(field->settings);
	g_autofree char *text = config ? get_text(field, config) : NULL;
	gboolean entered = field->timer || field->refused;

	if (text && (!entered || strcmp(text, field->shown))) {
		g_clear_handle_id(&field->timer, g_source_remove);
		if (entered)
			tell_conflict(field, text);
		show_text(field, g_steal_pointer(&text));
	}
	follow_state(field);
	show_state(field);
}

/* --- What was entered --- */

struct entered {
	struct settings_field *field;
	const char *text;
};

static gboolean set_text(struct machine_config *config, gpointer data, GError **error)
{
	const struct entered *entered = data;
	struct settings_field *field = entered->field;
	g_autofree char *now = get_text(field, config);

	if (strcmp(now, field->shown)) {
		g_set_error_literal(error, settings_error_quark(), ERROR_CHANGED_ELSEWHERE, now);
		return FALSE;
	}
	return field->set ? field->set(config, entered->text, error) :
			    machine_config_set(config, field->group, field->key, entered->text, error);
}

static void describe(struct settings_field *field, const char *text)
{
	atk_object_set_description(gtk_widget_get_accessible(field->widget), text);
}

static void refuse(struct settings_field *field, const char *message)
{
	field->refused = TRUE;
	describe(field, message);
	oriel_note_warn(field->note, g_strdup(message));
	gtk_style_context_add_class(gtk_widget_get_style_context(field->widget), GTK_STYLE_CLASS_ERROR);
}

static void accept(struct settings_field *field)
{
	field->refused = FALSE;
	describe(field, "");
	gtk_style_context_remove_class(gtk_widget_get_style_context(field->widget), GTK_STYLE_CLASS_ERROR);
	show_state(field);
}

static void tell_machine(struct settings_field *field)
{
	if (field->method && oriel_machine_is_live(oriel_settings_get_machine(field->settings)))
		oriel_settings_call(field->settings, field->method,
				    g_variant_new("(b)", strcmp(field->shown, "true") == 0));
}

static void save(struct settings_field *field)
{
	g_autofree char *text = field->read(field);
	g_autofree char *wrong = field->check ? field->check(text) : NULL;
	struct entered entered = { field, text };
	g_autoptr(GError) error = NULL;

	if (wrong) {
		refuse(field, wrong);
		return;
	}
	accept(field);
	if (strcmp(text, field->shown) == 0)
		return;
	/* Tells everybody, this field too. */
	if (oriel_machine_edit(oriel_settings_get_machine(field->settings), set_text, &entered, &error)) {
		tell_machine(field);
	} else if (error->domain == settings_error_quark()) {
		tell_conflict(field, error->message);
		show_text(field, g_strdup(error->message));
	} else {
		refuse(field, error->message);
	}
}

static gboolean save_now(gpointer data)
{
	struct settings_field *field = data;

	field->timer = 0;
	save(field);
	return G_SOURCE_REMOVE;
}

void settings_field_flush(struct settings_field *field)
{
	if (!field->timer)
		return;
	g_clear_handle_id(&field->timer, g_source_remove);
	save(field);
}

static void entered_later(struct settings_field *field)
{
	if (field->showing)
		return;
	g_clear_handle_id(&field->timer, g_source_remove);
	field->timer = g_timeout_add(SAVE_MS, save_now, field);
}

static void entered_now(struct settings_field *field)
{
	if (!field->showing)
		save(field);
}

static gboolean left(GtkWidget *widget, GdkEvent *event, gpointer field)
{
	(void)widget;
	(void)event;
	settings_field_flush(field);
	return GDK_EVENT_PROPAGATE;
}

/* --- Kinds of widgets --- */

static void free_field(gpointer data)
{
	struct settings_field *field = data;

	g_clear_handle_id(&field->timer, g_source_remove);
	g_free(field->name);
	g_free(field->group);
	g_free(field->key);
	g_free(field->shown);
	g_free(field->running);
	g_free(field);
}

static void forget(GtkWidget *widget, gpointer data)
{
	struct settings_field *field = data;

	(void)widget;
	/* The note may be gone already. */
	g_clear_handle_id(&field->timer, g_source_remove);
	oriel_settings_forget_field(field->settings, field);
}

static struct settings_field *new_field(OrielSettings *settings, GtkWidget *widget, GtkLabel *note, const char *name,
					const char *group, const char *key)
{
	struct settings_field *field = g_new0(struct settings_field, 1);

	*field = (struct settings_field){
		.settings = settings, .widget = widget, .note = note, .name = oriel_without_mnemonic(name),
		.group = g_strdup(group), .key = g_strdup(key), .shown = g_strdup(""),
	};
	g_object_set_data_full(G_OBJECT(widget), FIELD, field, free_field);
	g_signal_connect(widget, "destroy", G_CALLBACK(forget), field);
	oriel_settings_add_field(settings, field);
	return field;
}

static char *read_switch(struct settings_field *field)
{
	return g_strdup(gtk_switch_get_active(GTK_SWITCH(field->widget)) ? "true" : "false");
}

static void show_switch(struct settings_field *field, const char *text)
{
	gtk_switch_set_active(GTK_SWITCH(field->widget), strcmp(text, "true") == 0);
}

struct settings_field *settings_field_add_switch(OrielSettings *settings, GtkGrid *form, const char *name,
						 const char *group, const char *key)
{
	GtkWidget *widget = oriel_form_add(form, name, gtk_switch_new());
	struct settings_field *field = new_field(settings, widget, oriel_form_add_note(form), name, group, key);

	gtk_widget_set_halign(widget, GTK_ALIGN_START);
	field->read = read_switch;
	field->show = show_switch;
	g_signal_connect_swapped(widget, "notify::active", G_CALLBACK(entered_now), field);
	return field;
}

static char *read_choice(struct settings_field *field)
{
	const char *id = gtk_combo_box_get_active_id(GTK_COMBO_BOX(field->widget));

	return g_strdup(id ? id : "");
}

/* What is none of the choices becomes one. */
static void show_choice(struct settings_field *field, const char *text)
{
	if (gtk_combo_box_set_active_id(GTK_COMBO_BOX(field->widget), text))
		return;
	gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(field->widget), text, text);
	gtk_combo_box_set_active_id(GTK_COMBO_BOX(field->widget), text);
}

struct settings_field *settings_field_add_choice(OrielSettings *settings, GtkGrid *form, const char *name,
						 const char *group, const char *key,
						 const struct settings_choice *choices)
{
	GtkWidget *widget = oriel_form_add(form, name, gtk_combo_box_text_new());
	struct settings_field *field = new_field(settings, widget, oriel_form_add_note(form), name, group, key);

	for (; choices->value; choices++)
		gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(widget), choices->value, _(choices->title));
	gtk_widget_set_halign(widget, GTK_ALIGN_START);
	field->read = read_choice;
	field->show = show_choice;
	g_signal_connect_swapped(widget, "changed", G_CALLBACK(entered_now), field);
	return field;
}

static char *read_entry(struct settings_field *field)
{
	return g_strstrip(g_strdup(gtk_entry_get_text(GTK_ENTRY(field->widget))));
}

static void show_entry(struct settings_field *field, const char *text)
{
	g_autofree char *there = read_entry(field);

	/* The cursor stays where somebody types. */
	if (strcmp(there, text))
		gtk_entry_set_text(GTK_ENTRY(field->widget), text);
	gtk_style_context_remove_class(gtk_widget_get_style_context(field->widget), GTK_STYLE_CLASS_ERROR);
}

struct settings_field *settings_field_add_entry(OrielSettings *settings, GtkGrid *form, const char *name,
						const char *group, const char *key)
{
	GtkWidget *widget = oriel_form_add(form, name, gtk_entry_new());
	struct settings_field *field = new_field(settings, widget, oriel_form_add_note(form), name, group, key);

	gtk_entry_set_width_chars(GTK_ENTRY(widget), 30);
	gtk_widget_set_hexpand(widget, TRUE);
	field->read = read_entry;
	field->show = show_entry;
	g_signal_connect_swapped(widget, "changed", G_CALLBACK(entered_later), field);
	g_signal_connect_swapped(widget, "activate", G_CALLBACK(settings_field_flush), field);
	g_signal_connect(widget, "focus-out-event", G_CALLBACK(left), field);
	return field;
}

static char *read_text(struct settings_field *field)
{
	GtkTextBuffer *buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(field->widget));
	GtkTextIter start, end;

	gtk_text_buffer_get_bounds(buffer, &start, &end);
	return g_strchomp(gtk_text_buffer_get_text(buffer, &start, &end, FALSE));
}

static void show_lines(struct settings_field *field, const char *text)
{
	g_autofree char *there = read_text(field);

	if (strcmp(there, text))
		gtk_text_buffer_set_text(gtk_text_view_get_buffer(GTK_TEXT_VIEW(field->widget)), text, -1);
}

struct settings_field *settings_field_add_text(OrielSettings *settings, GtkGrid *form, const char *name,
					       const char *group, const char *key)
{
	GtkWidget *view = gtk_text_view_new(), *frame = gtk_scrolled_window_new(NULL, NULL);
	struct settings_field *field;

	gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(view), GTK_WRAP_WORD_CHAR);
	gtk_text_view_set_accepts_tab(GTK_TEXT_VIEW(view), FALSE);
	g_object_set(view, "left-margin", 6, "right-margin", 6, "top-margin", 6, "bottom-margin", 6, NULL);
	gtk_scrolled_window_set_shadow_type(GTK_SCROLLED_WINDOW(frame), GTK_SHADOW_IN);
	gtk_scrolled_window_set_min_content_height(GTK_SCROLLED_WINDOW(frame), 72);
	gtk_container_add(GTK_CONTAINER(frame), view);
	oriel_form_add_named(form, name, frame, view);
	field = new_field(settings, view, oriel_form_add_note(form), name, group, key);
	field->read = read_text;
	field->show = show_lines;
	g_signal_connect_swapped(gtk_text_view_get_buffer(GTK_TEXT_VIEW(view)), "changed",
				 G_CALLBACK(entered_later), field);
	g_signal_connect(view, "focus-out-event", G_CALLBACK(left), field);
	return field;
}

static char *read_number(struct settings_field *field)
{
	guint64 step = (guint64)gtk_adjustment_get_step_increment(field->adjustment);

	return g_strdup_printf("%" G_GUINT64_FORMAT,
			       (guint64)gtk_adjustment_get_value(field->adjustment) / step * step);
}

static void show_number(struct settings_field *field, const char *text)
{
	double value = g_ascii_strtod(text, NULL);

	if (value > gtk_adjustment_get_upper(field->adjustment))
		gtk_adjustment_set_upper(field->adjustment, value);
	gtk_adjustment_set_value(field->adjustment, value);
}

struct settings_field *settings_field_add_number(OrielSettings *settings, GtkWidget *widget, GtkLabel *note,
						 GtkAdjustment *adjustment, const char *name, const char *group,
						 const char *key)
{
	struct settings_field *field = new_field(settings, widget, note, name, group, key);

	field->adjustment = adjustment;
	field->read = read_number;
	field->show = show_number;
	g_signal_connect_swapped(adjustment, "value-changed", G_CALLBACK(entered_later), field);
	return field;
}

void settings_field_add_beside(struct settings_field *field, GtkWidget *widget)
{
	GtkGrid *form = GTK_GRID(gtk_widget_get_parent(field->widget));

	gtk_grid_attach_next_to(form, widget, field->widget, GTK_POS_RIGHT, 1, 1);
}

GtkWidget *settings_field_get_widget(struct settings_field *field)
{
	return field->widget;
}

void settings_field_set_access(struct settings_field *field, char *(*get)(const struct machine_config *config),
			       gboolean (*set)(struct machine_config *config, const char *text, GError **error))
{
	field->get = get;
	field->set = set;
}

void settings_field_set_check(struct settings_field *field, char *(*check)(const char *text))
{
	field->check = check;
}

void settings_field_set_at_once(struct settings_field *field)
{
	field->at_once = TRUE;
}

void settings_field_set_live(struct settings_field *field, const char *method)
{
	field->method = method;
	field->at_once = TRUE;
}

void settings_field_enter(struct settings_field *field, const char *text)
{
	field->showing = TRUE;
	field->show(field, text);
	field->showing = FALSE;
	save(field);
}
