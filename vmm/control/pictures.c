#include "pictures.h"

#include <glib/gi18n.h>

#include "../../display/thumbnail.h"
#include "reply.h"

/* Who wants to see changes asks about once a second; so long after the last question nobody does. */
#define INTEREST_SECONDS 5

/*
 * To follow the damage makes the producer look for it many times a second: that pays where there is none. A screen that
 * has been the same so many times is taken for such a one.
 */
#define STILL_LOOKS 3

struct pictures {
	struct vm *vm;
	struct scanout *scanout;
	void (*refresh_screen)(void *machine);
	void *machine;
	/* Those being made by other threads */
	GMutex lock;
	GCond done;
	unsigned count;
	/* The thumbnail made last; while there is interest, the listener has the damage since then. With vm->lock. */
	struct scanout_listener listener;
	GSource *interest; /* NULL: the listener does not listen */
	bool fresh;        /* it has not been asked since it listens: it has all as damage */
	bool asked;
	unsigned still;    /* thumbnails that were the same as the one before */
	unsigned begun;    /* number of the one begun last */
	bool known;
	guint64 digest;
	guint32 width, height, max_width, max_height;
};

struct request {
	struct pictures *pictures;
	char *path; /* of a screenshot */
	guint32 max_width, max_height; /* of a thumbnail */
	guint64 known;
	unsigned number;
	guint64 digest;
	guint32 width, height;
	GVariant *pixels;
};

static void free_request(gpointer data)
{
	struct request *request = data;

	g_free(request->path);
	g_clear_pointer(&request->pixels, g_variant_unref);
	g_free(request);
}

static void finished(struct pictures *pictures)
{
	g_mutex_lock(&pictures->lock);
	pictures->count--;
	g_cond_signal(&pictures->done);
	g_mutex_unlock(&pictures->lock);
}

static void write_screenshot(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	struct request *request = data;
	struct pictures *pictures = request->pictures;
	GError *error = NULL;

	(void)source;
	(void)cancellable;
	if (scanout_save_png(pictures->scanout, request->path, &error))
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
	finished(pictures);
}

static void make_thumbnail(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	struct request *request = data;
	struct pictures *pictures = request->pictures;
	struct thumbnail thumbnail;
	bool same;

	(void)source;
	(void)cancellable;
	thumbnail_take(pictures->scanout, request->max_width, request->max_height, &thumbnail);
	same = thumbnail.digest == request->known;
	request->digest = thumbnail.digest;
	request->width = thumbnail.width;
	request->height = thumbnail.height;
	request->pixels = g_variant_ref_sink(g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, thumbnail.pixels,
								       same ? 0 : thumbnail.size, 1));
	thumbnail_finish(&thumbnail);
	g_task_return_boolean(task, TRUE);
	finished(pictures);
}

static void screenshot_written(GObject *source, GAsyncResult *result, gpointer invocation)
{
	g_autoptr(GError) error = NULL;

	(void)source;
	g_task_propagate_boolean(G_TASK(result), &error);
	control_reply(invocation, error);
}

static void answer_thumbnail(GDBusMethodInvocation *invocation, guint64 digest, guint32 width, guint32 height,
			     GVariant *pixels)
{
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(tuu@ay)", digest, width, height, pixels));
}

static void stop_listening(struct pictures *pictures)
{
	pictures->still = 0;
	if (!pictures->interest)
		return;
	scanout_remove_listener(pictures->scanout, &pictures->listener);
	loop_remove(pictures->interest);
	pictures->interest = NULL;
}

static gboolean look_for_interest(gpointer data)
{
	struct pictures *pictures = data;

	if (pictures->asked) {
		pictures->asked = false;
		return G_SOURCE_CONTINUE;
	}
	stop_listening(pictures);
	return G_SOURCE_REMOVE;
}

static void start_listening(struct pictures *pictures)
{
	pictures->fresh = true;
	scanout_add_listener(pictures->scanout, &pictures->listener);
	pictures->interest = loop_every(&pictures->vm->loop, INTEREST_SECONDS, look_for_interest, pictures);
}

/* Whether the screen may show something else than the last thumbnail; from now on it does not. */
static bool take_damage(struct pictures *pictures)
{
	struct scanout_picture picture;
	struct scanout_damage damage;

	pictures->asked = true;
	if (!pictures->interest)
		return true;
	scanout_take(pictures->scanout, &pictures->listener, &picture, &damage);
	scanout_memory_unref(picture.memory);
	if (damage.first >= damage.end)
		return false;
	if (!pictures->fresh)
		stop_listening(pictures);
	pictures->fresh = false;
	return true;
}

/* Whether the last thumbnail is this one, in the size that is asked for. */
static bool is_last(const struct pictures *pictures, const struct request *request, guint64 digest)
{
	return pictures->digest == digest && pictures->max_width == request->max_width &&
	       pictures->max_height == request->max_height;
}

/* On the I/O thread, where the question came. */
static void thumbnail_made(GObject *source, GAsyncResult *result, gpointer invocation)
{
	struct request *request = g_task_get_task_data(G_TASK(result));
	struct pictures *pictures = request->pictures;

	(void)source;
	/* Of an older one the damage has been forgotten. */
	if (request->number == pictures->begun) {
		pictures->still = is_last(pictures, request, request->digest) ? pictures->still + 1 : 0;
		if (pictures->still >= STILL_LOOKS && !pictures->interest)
			start_listening(pictures);
		pictures->known = true;
		pictures->digest = request->digest;
		pictures->width = request->width;
		pictures->height = request->height;
		pictures->max_width = request->max_width;
		pictures->max_height = request->max_height;
	}
	answer_thumbnail(invocation, request->digest, request->width, request->height, request->pixels);
}

/* Takes what request points to. */
static void start(struct request request, GTaskThreadFunc make, GAsyncReadyCallback made,
		  GDBusMethodInvocation *invocation)
{
	struct pictures *pictures = request.pictures;
	g_autoptr(GTask) task = g_task_new(NULL, NULL, made, invocation);

	pictures->refresh_screen(pictures->machine);
	g_task_set_task_data(task, g_memdup2(&request, sizeof request), free_request);
	g_mutex_lock(&pictures->lock);
	pictures->count++;
	g_mutex_unlock(&pictures->lock);
	g_task_run_in_thread(task, make);
}

static void refuse(GDBusMethodInvocation *invocation, const char *message)
{
	g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, message);

	control_reply(invocation, error);
}

void pictures_screenshot(struct pictures *pictures, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	struct request request = { .pictures = pictures };

	g_variant_get(parameters, "(s)", &request.path);
	if (g_path_is_absolute(request.path)) {
		start(request, write_screenshot, screenshot_written, invocation);
		return;
	}
	g_free(request.path);
	refuse(invocation, _("The path of the screenshot must be absolute"));
}

void pictures_thumbnail(struct pictures *pictures, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	struct request request = { .pictures = pictures };

	g_variant_get(parameters, "(uut)", &request.max_width, &request.max_height, &request.known);
	if (request.max_width - 1 >= THUMBNAIL_SIDE_MAX || request.max_height - 1 >= THUMBNAIL_SIDE_MAX) {
		refuse(invocation, _("A thumbnail has 1 to 1024 pixels at each side"));
		return;
	}
	if (!take_damage(pictures) && pictures->known && is_last(pictures, &request, request.known)) {
		answer_thumbnail(invocation, pictures->digest, pictures->width, pictures->height,
				 g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, NULL, 0, 1));
		return;
	}
	/* What it shows is not known before it is made. */
	pictures->known = false;
	request.number = ++pictures->begun;
	start(request, make_thumbnail, thumbnail_made, invocation);
}

struct pictures *pictures_new(struct vm *vm, struct scanout *scanout, void (*refresh_screen)(void *machine),
			      void *machine)
{
	struct pictures *pictures = g_new0(struct pictures, 1);

	pictures->vm = vm;
	pictures->scanout = scanout;
	pictures->refresh_screen = refresh_screen;
	pictures->machine = machine;
	g_mutex_init(&pictures->lock);
	g_cond_init(&pictures->done);
	return pictures;
}

void pictures_free(struct pictures *pictures)
{
	stop_listening(pictures);
	g_mutex_lock(&pictures->lock);
	while (pictures->count)
		g_cond_wait(&pictures->done, &pictures->lock);
	g_mutex_unlock(&pictures->lock);
	g_mutex_clear(&pictures->lock);
	g_cond_clear(&pictures->done);
	g_free(pictures);
}
