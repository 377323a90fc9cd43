/* What a machine's process is asked. */
#include "machine_internal.h"

#include <glib/gi18n.h>

/* Calls */

static void call_answered(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GTask) task = data;
	GError *error = NULL;
	GVariant *reply = oriel_machine_client_call_finish(ORIEL_MACHINE_CLIENT(source), result, &error);

	if (reply)
		g_task_return_pointer(task, reply, (GDestroyNotify)g_variant_unref);
	else
		g_task_return_error(task, error);
}

static void fail_not_running(OrielMachine *self, GTask *task)
{
	g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("“%s” is not running."), self->name);
	g_object_unref(task);
}

void oriel_machine_call_async(OrielMachine *self, const char *method, GVariant *parameters,
			      GAsyncReadyCallback callback, gpointer data)
{
	GTask *task = g_task_new(self, NULL, callback, data);

	if (self->client) {
		oriel_machine_client_call_async(self->client, method, parameters, NULL, call_answered, task);
		return;
	}
	if (parameters)
		g_variant_unref(g_variant_ref_sink(parameters));
	fail_not_running(self, task);
}

void oriel_machine_get_properties_async(OrielMachine *self, GAsyncReadyCallback callback, gpointer data)
{
	GTask *task = g_task_new(self, NULL, callback, data);

	if (self->client)
		oriel_machine_client_get_all_async(self->client, NULL, call_answered, task);
	else
		fail_not_running(self, task);
}

GVariant *oriel_machine_call_finish(OrielMachine *self, GAsyncResult *result, GError **error)
{
	(void)self;
	return g_task_propagate_pointer(G_TASK(result), error);
}

/* Thumbnails */

static void take_thumbnail(OrielMachine *self, GVariant *reply)
{
	g_autoptr(GVariant) pixels = NULL;
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(GdkPixbuf) thumbnail = NULL;
	guint32 width, height;
	guint64 digest;

	if (!g_variant_is_of_type(reply, G_VARIANT_TYPE("(tuuay)")))
		return;
	g_variant_get(reply, "(tuu@ay)", &digest, &width, &height, &pixels);
	if (digest == self->thumbnail_digest)
		return;
	bytes = g_variant_get_data_as_bytes(pixels);
	if (width && height && g_bytes_get_size(bytes) == (guint64)width * height * 3)
		thumbnail = gdk_pixbuf_new_from_bytes(bytes, GDK_COLORSPACE_RGB, FALSE, 8, (int)width, (int)height,
						      (int)width * 3);
	oriel_machine_set_thumbnail(self, thumbnail, digest);
}

static void thumbnail_made(GObject *source, GAsyncResult *result, gpointer data)
{
	OrielMachine *self = data;
	g_autoptr(GVariant) reply = oriel_machine_client_call_finish(ORIEL_MACHINE_CLIENT(source), result, NULL);

	self->thumbnail_asked = FALSE;
	if (reply && self->client)
		take_thumbnail(self, reply);
	g_object_unref(self);
}

void oriel_machine_update_thumbnail(OrielMachine *self, guint max_width, guint max_height)
{
	if (!self->client || self->thumbnail_asked)
		return;
	self->thumbnail_asked = TRUE;
	oriel_machine_client_call_async(self->client, "Thumbnail",
					g_variant_new("(uut)", max_width, max_height, self->thumbnail_digest),
					self->cancellable, thumbnail_made, g_object_ref(self));
}

/* Figures */

static void figures_told(GObject *source, GAsyncResult *result, gpointer data)
{
	OrielMachine *self = data;
	g_autoptr(GVariant) reply = oriel_machine_client_call_finish(ORIEL_MACHINE_CLIENT(source), result, NULL);
	g_autoptr(GVariant) counters = NULL;

	self->figures_asked = FALSE;
	if (reply && self->client && g_variant_is_of_type(reply, G_VARIANT_TYPE("(a{st})"))) {
		counters = g_variant_get_child_value(reply, 0);
		oriel_figures_add(self->figures, counters, self->memory_guest, g_get_monotonic_time());
	}
	g_object_unref(self);
}

void oriel_machine_update_figures(OrielMachine *self, gboolean count_memory)
{
	if (!self->client || self->figures_asked)
		return;
	if (self->live_process && (count_memory || !self->memory_guest)) {
		g_autofree char *path = g_strdup_printf("/proc/%u/smaps", self->live_process);

		self->memory_guest = oriel_resident_memory(path);
	}
	self->figures_asked = TRUE;
	oriel_machine_client_call_async(self->client, "Statistics", NULL, self->cancellable, figures_told,
					g_object_ref(self));
}
