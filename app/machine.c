#include "machine_internal.h"

#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"

/* Between the moments when a socket gets its name and when somebody listens at it. */
#define CONNECT_RETRY_MS 25
#define CONNECT_TRIES 80

G_DEFINE_FINAL_TYPE(OrielMachine, oriel_machine, G_TYPE_OBJECT)

G_DEFINE_ENUM_TYPE(OrielMachineState, oriel_machine_state,
		   G_DEFINE_ENUM_VALUE(ORIEL_MACHINE_STOPPED, "stopped"),
		   G_DEFINE_ENUM_VALUE(ORIEL_MACHINE_STARTING, "starting"),
		   G_DEFINE_ENUM_VALUE(ORIEL_MACHINE_RUNNING, "running"),
		   G_DEFINE_ENUM_VALUE(ORIEL_MACHINE_PAUSED, "paused"),
		   G_DEFINE_ENUM_VALUE(ORIEL_MACHINE_CRASHED, "crashed"),
		   G_DEFINE_ENUM_VALUE(ORIEL_MACHINE_TROUBLE, "trouble"),
		   G_DEFINE_ENUM_VALUE(ORIEL_MACHINE_STOPPING, "stopping"))

enum {
	PROPERTY_FOLDER = 1,
	PROPERTY_NAME,
	PROPERTY_STATE,
	PROPERTY_MESSAGE,
	PROPERTY_PROBLEM,
	PROPERTY_LOCKED,
	PROPERTY_THUMBNAIL,
	PROPERTIES,
};

enum {
	SIGNAL_CONFIG_CHANGED,
	SIGNAL_TROUBLE,
	SIGNAL_PROGRESS,
	SIGNAL_DISC_CHANGED,
	SIGNALS,
};

static GParamSpec *properties[PROPERTIES];
static guint signals[SIGNALS];

/* State */

static void set_text(OrielMachine *self, char **field, const char *text, int property)
{
	if (g_strcmp0(*field, text) == 0)
		return;
	g_free(*field);
	*field = g_strdup(text);
	g_object_notify_by_pspec(G_OBJECT(self), properties[property]);
}

void oriel_machine_set_thumbnail(OrielMachine *self, GdkPixbuf *thumbnail, guint64 digest)
{
	self->thumbnail_digest = digest;
	if (g_set_object(&self->thumbnail, thumbnail))
		g_object_notify_by_pspec(G_OBJECT(self), properties[PROPERTY_THUMBNAIL]);
}

static void set_state(OrielMachine *self, OrielMachineState state, const char *message)
{
	gboolean changed = self->state != state;

	self->state = state;
	set_text(self, &self->message, message, PROPERTY_MESSAGE);
	if (changed)
		g_object_notify_by_pspec(G_OBJECT(self), properties[PROPERTY_STATE]);
	if (oriel_machine_is_idle(self)) {
		oriel_machine_set_thumbnail(self, NULL, 0);
		oriel_figures_clear(self->figures);
		self->live_process = 0;
		self->memory_guest = 0;
	}
}

/* What the process says of itself. */
static void take_state(OrielMachine *self, const char *name, const char *message)
{
	g_autoptr(GEnumClass) states = g_type_class_ref(ORIEL_TYPE_MACHINE_STATE);
	GEnumValue *state = g_enum_get_value_by_nick(states, name);

	self->told_stopped = g_strcmp0(name, "stopped") == 0;
	/* The disks are not flushed yet, and the socket is still there. */
	if (self->told_stopped)
		set_state(self, ORIEL_MACHINE_STOPPING, "");
	else if (state)
		set_state(self, (OrielMachineState)state->value, message);
}

/* Configuration */

static void load_config(OrielMachine *self)
{
	struct machine_config *old = self->config;
	g_autoptr(GError) error = NULL;
	gboolean locked;

	self->config = machine_config_load(self->folder, &error);
	locked = g_error_matches(error, MACHINE_CONFIG_ERROR, MACHINE_CONFIG_ERROR_NEWER);
	if (locked != self->locked) {
		self->locked = locked;
		g_object_notify_by_pspec(G_OBJECT(self), properties[PROPERTY_LOCKED]);
	}
	if (self->config)
		set_text(self, &self->name, self->config->name ? self->config->name : self->id, PROPERTY_NAME);
	set_text(self, &self->problem, error ? error->message : NULL, PROPERTY_PROBLEM);
	g_signal_emit(self, signals[SIGNAL_CONFIG_CHANGED], 0);
	machine_config_free(old);
}

static void config_written(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
	(void)monitor;
	(void)file;
	(void)other;
	/* It is followed by a hint that the changes are done. */
	if (event != G_FILE_MONITOR_EVENT_CHANGED)
		load_config(data);
}

gboolean oriel_machine_edit(OrielMachine *self, OrielMachineEdit edit, gpointer data, GError **error)
{
	struct machine_config *config = machine_config_load(self->folder, error);
	gboolean ok;

	if (!config)
		return FALSE;
	ok = edit(config, data, error) && machine_config_save(config, error);
	machine_config_free(config);
	if (ok)
		load_config(self);
	return ok;
}

/* The process comes and goes */

static void try_to_connect(OrielMachine *self);

static void finish_start(OrielMachine *self, GError *error)
{
	g_autoptr(GTask) task = g_steal_pointer(&self->start);

	if (task && error)
		g_task_return_error(task, error);
	else if (task)
		g_task_return_boolean(task, TRUE);
	else
		g_clear_error(&error);
}

/* Neither a process of ours nor a connection is left. */
static void process_gone(OrielMachine *self)
{
	if (self->client || self->process)
		return;
	if (self->told_stopped || self->state == ORIEL_MACHINE_STOPPED)
		set_state(self, ORIEL_MACHINE_STOPPED, "");
	else
		set_state(self, ORIEL_MACHINE_CRASHED, _("The machine’s process has ended unexpectedly."));
}

static void client_closed(OrielMachineClient *client, gpointer data)
{
	OrielMachine *self = data;

	g_signal_handlers_disconnect_by_data(client, self);
	g_clear_object(&self->client);
	process_gone(self);
}

static void client_told(OrielMachineClient *client, const char *name, GVariant *parameters, gpointer data)
{
	OrielMachine *self = data;
	const char *text, *message;
	double fraction;
	int drive;

	(void)client;
	if (strcmp(name, "StateChanged") == 0 && g_variant_is_of_type(parameters, G_VARIANT_TYPE("(ss)"))) {
		g_variant_get(parameters, "(&s&s)", &text, &message);
		take_state(self, text, message);
	} else if (strcmp(name, "Error") == 0 && g_variant_is_of_type(parameters, G_VARIANT_TYPE("(s)"))) {
		g_variant_get(parameters, "(&s)", &text);
		g_signal_emit(self, signals[SIGNAL_TROUBLE], 0, text);
	} else if (strcmp(name, "Progress") == 0 && g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sd)"))) {
		g_variant_get(parameters, "(&sd)", &text, &fraction);
		g_signal_emit(self, signals[SIGNAL_PROGRESS], 0, text, fraction);
	} else if (strcmp(name, "DiscChanged") == 0 && g_variant_is_of_type(parameters, G_VARIANT_TYPE("(is)"))) {
		g_variant_get(parameters, "(i&s)", &drive, &text);
		g_signal_emit(self, signals[SIGNAL_DISC_CHANGED], 0, drive, text);
	}
}

static void properties_read(GObject *source, GAsyncResult *result, gpointer data)
{
	OrielMachine *self = data;
	g_autoptr(GVariant) reply = oriel_machine_client_call_finish(ORIEL_MACHINE_CLIENT(source), result, NULL);
	g_autoptr(GVariant) all = NULL;
	const char *state, *message = "";

	if (reply && self->client && g_variant_is_of_type(reply, G_VARIANT_TYPE("(a{sv})"))) {
		all = g_variant_get_child_value(reply, 0);
		g_variant_lookup(all, "Message", "&s", &message);
		g_variant_lookup(all, "ProcessId", "u", &self->live_process);
		if (g_variant_lookup(all, "State", "&s", &state))
			take_state(self, state, message);
		finish_start(self, NULL);
	}
	g_object_unref(self);
}

static gboolean retry_to_connect(gpointer data)
{
	OrielMachine *self = data;

	self->retry = 0;
	try_to_connect(self);
	return G_SOURCE_REMOVE;
}

static void client_connected(GObject *source, GAsyncResult *result, gpointer data)
{
	OrielMachine *self = data;
	OrielMachineClient *client = oriel_machine_client_new_finish(result, NULL);

	(void)source;
	self->connecting = FALSE;
	if (g_cancellable_is_cancelled(self->cancellable)) {
		g_clear_object(&client);
	} else if (client) {
		self->client = client;
		self->told_stopped = FALSE;
		g_signal_connect(client, "told", G_CALLBACK(client_told), self);
		g_signal_connect(client, "closed", G_CALLBACK(client_closed), self);
		if (self->state == ORIEL_MACHINE_STOPPED)
			set_state(self, ORIEL_MACHINE_STARTING, "");
		oriel_machine_client_get_all_async(client, self->cancellable, properties_read, g_object_ref(self));
	} else if (self->tries_left && g_file_test(self->socket, G_FILE_TEST_EXISTS) && !self->retry) {
		self->tries_left--;
		self->retry = g_timeout_add(CONNECT_RETRY_MS, retry_to_connect, self);
	}
	g_object_unref(self);
}

static void try_to_connect(OrielMachine *self)
{
	if (self->client || self->connecting || !g_file_test(self->socket, G_FILE_TEST_EXISTS))
		return;
	self->connecting = TRUE;
	oriel_machine_client_new_async(self->socket, self->cancellable, client_connected, g_object_ref(self));
}

static void socket_touched(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
	OrielMachine *self = data;

	(void)monitor;
	(void)file;
	(void)other;
	if (event != G_FILE_MONITOR_EVENT_CREATED)
		return;
	self->tries_left = CONNECT_TRIES;
	try_to_connect(self);
}

/* Start */

static void process_ended(GPid process, int status, gpointer data)
{
	OrielMachine *self = data;
	g_autofree char *complaints = oriel_launch_complaints(self->complaints);

	g_spawn_close_pid(process);
	self->process = 0;
	self->process_watch = 0;
	close(g_steal_fd(&self->complaints));
	if (self->start) {
		self->told_stopped = TRUE;
		process_gone(self);
		finish_start(self, g_error_new_literal(G_IO_ERROR, G_IO_ERROR_FAILED, *complaints ? complaints :
						       _("The machine’s process ended at once, without a word.")));
		return;
	}
	if (g_spawn_check_wait_status(status, NULL))
		self->told_stopped = TRUE;
	process_gone(self);
}

void oriel_machine_start_async(OrielMachine *self, GAsyncReadyCallback callback, gpointer data)
{
	g_autoptr(GTask) task = g_task_new(self, NULL, callback, data);
	GError *error = NULL;

	if (!oriel_machine_is_idle(self)) {
		g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_BUSY, _("“%s” is already running."), self->name);
		return;
	}
	if (self->problem) {
		g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", self->problem);
		return;
	}
	if (!oriel_launch(self->folder, FALSE, &self->process, &self->complaints,
			  &error)) {
		g_task_return_error(task, error);
		return;
	}
	self->start = g_steal_pointer(&task);
	self->told_stopped = FALSE;
	self->process_watch = g_child_watch_add(self->process, process_ended, self);
	set_state(self, ORIEL_MACHINE_STARTING, "");
}

gboolean oriel_machine_start_finish(OrielMachine *self, GAsyncResult *result, GError **error)
{
	(void)self;
	return g_task_propagate_boolean(G_TASK(result), error);
}

/* The object */

const char *oriel_machine_get_folder(OrielMachine *self)
{
	return self->folder;
}

const char *oriel_machine_get_id(OrielMachine *self)
{
	return self->id;
}

const char *oriel_machine_get_name(OrielMachine *self)
{
	return self->name;
}

OrielMachineState oriel_machine_get_state(OrielMachine *self)
{
	return self->state;
}

const char *oriel_machine_get_message(OrielMachine *self)
{
	return self->message;
}

const char *oriel_machine_get_problem(OrielMachine *self)
{
	return self->problem;
}

gboolean oriel_machine_get_locked(OrielMachine *self)
{
	return self->locked;
}

GdkPixbuf *oriel_machine_get_thumbnail(OrielMachine *self)
{
	return self->thumbnail;
}

OrielFigures *oriel_machine_get_figures(OrielMachine *self)
{
	return self->figures;
}

const struct machine_config *oriel_machine_get_config(OrielMachine *self)
{
	return self->config;
}

gboolean oriel_machine_is_live(OrielMachine *self)
{
	return self->client != NULL;
}

gboolean oriel_machine_is_idle(OrielMachine *self)
{
	return !self->client && !self->process;
}

static void oriel_machine_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
	OrielMachine *self = ORIEL_MACHINE(object);

	switch (id) {
	case PROPERTY_FOLDER:
		g_value_set_string(value, self->folder);
		break;
	case PROPERTY_NAME:
		g_value_set_string(value, self->name);
		break;
	case PROPERTY_STATE:
		g_value_set_enum(value, (int)self->state);
		break;
	case PROPERTY_MESSAGE:
		g_value_set_string(value, self->message);
		break;
	case PROPERTY_PROBLEM:
		g_value_set_string(value, self->problem);
		break;
	case PROPERTY_LOCKED:
		g_value_set_boolean(value, self->locked);
		break;
	case PROPERTY_THUMBNAIL:
		g_value_set_object(value, self->thumbnail);
		break;
	default:
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
	}
}

static void oriel_machine_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
	if (id == PROPERTY_FOLDER)
		ORIEL_MACHINE(object)->folder = g_canonicalize_filename(g_value_get_string(value), NULL);
	else
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static GFileMonitor *watch(const char *path, GCallback callback, OrielMachine *self)
{
	g_autoptr(GFile) file = g_file_new_for_path(path);
	GFileMonitor *monitor = g_file_monitor_file(file, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);

	if (monitor)
		g_signal_connect(monitor, "changed", callback, self);
	return monitor;
}

static void oriel_machine_constructed(GObject *object)
{
	OrielMachine *self = ORIEL_MACHINE(object);
	g_autofree char *configuration = g_build_filename(self->folder, "machine.conf", NULL);
	g_autofree char *runtime = NULL;

	G_OBJECT_CLASS(oriel_machine_parent_class)->constructed(object);
	self->id = g_path_get_basename(self->folder);
	self->name = g_strdup(self->id);
	self->socket = machine_config_socket_path_of(self->folder);
	runtime = g_path_get_dirname(self->socket);
	/* Something that is not there yet can only be watched by polling. */
	g_mkdir_with_parents(runtime, 0700);
	self->config_monitor = watch(configuration, G_CALLBACK(config_written), self);
	self->socket_monitor = watch(self->socket, G_CALLBACK(socket_touched), self);
	load_config(self);
	try_to_connect(self);
}

static void stop_monitor(GFileMonitor **monitor, gpointer self)
{
	if (!*monitor)
		return;
	g_signal_handlers_disconnect_by_data(*monitor, self);
	g_file_monitor_cancel(*monitor);
	g_clear_object(monitor);
}

static void oriel_machine_dispose(GObject *object)
{
	OrielMachine *self = ORIEL_MACHINE(object);

	g_cancellable_cancel(self->cancellable);
	g_clear_handle_id(&self->retry, g_source_remove);
	g_clear_handle_id(&self->process_watch, g_source_remove);
	stop_monitor(&self->config_monitor, self);
	stop_monitor(&self->socket_monitor, self);
	if (self->client)
		g_signal_handlers_disconnect_by_data(self->client, self);
	g_clear_object(&self->client);
	g_clear_object(&self->thumbnail);
	g_clear_object(&self->figures);
	G_OBJECT_CLASS(oriel_machine_parent_class)->dispose(object);
}

static void oriel_machine_finalize(GObject *object)
{
	OrielMachine *self = ORIEL_MACHINE(object);

	if (self->complaints >= 0)
		close(self->complaints);
	machine_config_free(self->config);
	g_object_unref(self->cancellable);
	g_free(self->folder);
	g_free(self->id);
	g_free(self->name);
	g_free(self->message);
	g_free(self->problem);
	g_free(self->socket);
	G_OBJECT_CLASS(oriel_machine_parent_class)->finalize(object);
}

static void oriel_machine_class_init(OrielMachineClass *class)
{
	const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
	GObjectClass *object = G_OBJECT_CLASS(class);
	GType type = ORIEL_TYPE_MACHINE;

	object->get_property = oriel_machine_get_property;
	object->set_property = oriel_machine_set_property;
	object->constructed = oriel_machine_constructed;
	object->dispose = oriel_machine_dispose;
	object->finalize = oriel_machine_finalize;
	properties[PROPERTY_FOLDER] = g_param_spec_string("folder", NULL, NULL, NULL, G_PARAM_READWRITE |
							  G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
	properties[PROPERTY_NAME] = g_param_spec_string("name", NULL, NULL, NULL, readable);
	properties[PROPERTY_STATE] = g_param_spec_enum("state", NULL, NULL, ORIEL_TYPE_MACHINE_STATE,
						       ORIEL_MACHINE_STOPPED, readable);
	properties[PROPERTY_MESSAGE] = g_param_spec_string("message", NULL, NULL, "", readable);
	properties[PROPERTY_PROBLEM] = g_param_spec_string("problem", NULL, NULL, NULL, readable);
	properties[PROPERTY_LOCKED] = g_param_spec_boolean("locked", NULL, NULL, FALSE, readable);
	properties[PROPERTY_THUMBNAIL] = g_param_spec_object("thumbnail", NULL, NULL, GDK_TYPE_PIXBUF, readable);
	g_object_class_install_properties(object, PROPERTIES, properties);
	signals[SIGNAL_CONFIG_CHANGED] = g_signal_new("config-changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
						      G_TYPE_NONE, 0);
	signals[SIGNAL_TROUBLE] = g_signal_new("trouble", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
					       G_TYPE_STRING);
	signals[SIGNAL_PROGRESS] = g_signal_new("progress", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
						2, G_TYPE_STRING, G_TYPE_DOUBLE);
	signals[SIGNAL_DISC_CHANGED] = g_signal_new("disc-changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
						    G_TYPE_NONE, 2, G_TYPE_INT, G_TYPE_STRING);
}

static void oriel_machine_init(OrielMachine *self)
{
	self->cancellable = g_cancellable_new();
	self->figures = oriel_figures_new();
	self->complaints = -1;
	self->message = g_strdup("");
}

OrielMachine *oriel_machine_new(const char *folder)
{
	return g_object_new(ORIEL_TYPE_MACHINE, "folder", folder, NULL);
}
