#include "disk_work.h"

#include "../vmm/block/image.h"

struct work {
	gboolean (*run)(struct work *work, GError **error);
	char *path;
	guint64 size;
	gboolean option; /* preallocate, or shrink */
	OrielProgress progress;
	gpointer progress_data;
	guint told; /* per mille */
	GTask *task; /* which has this as its data */
	GCancellable *cancellable;
};

static void free_work(gpointer data)
{
	struct work *work = data;

	g_free(work->path);
	g_free(work);
}

static bool go_on(double fraction, void *opaque)
{
	struct work *work = opaque;
	guint permille = (guint)(CLAMP(fraction, 0, 1) * 1000);

	if (permille != work->told)
		oriel_task_report(work->task, work->progress, work->progress_data, permille / 1000.0);
	work->told = permille;
	return !g_cancellable_is_cancelled(work->cancellable);
}

static gboolean create(struct work *work, GError **error)
{
	gboolean raw = g_str_has_suffix(work->path, ".img") || g_str_has_suffix(work->path, ".raw");
	const struct image_create_options options = {
		.path = work->path,
		.format = raw ? BLOCK_FORMAT_RAW : BLOCK_FORMAT_QCOW2,
		.size = work->size,
		.preallocation = work->option ? IMAGE_PREALLOCATION_FALLOC : IMAGE_PREALLOCATION_OFF,
		.progress = go_on,
		.progress_opaque = work,
	};

	return image_create(&options, error);
}

static gboolean resize(struct work *work, GError **error)
{
	return image_resize(work->path, work->size, work->option, IMAGE_PREALLOCATION_OFF, go_on, work, error);
}

static gboolean compact(struct work *work, GError **error)
{
	return image_compact(work->path, go_on, work, error);
}

static void run(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	struct work *work = data;
	GError *error = NULL;

	(void)source;
	work->task = task;
	work->cancellable = cancellable;
	if (work->run(work, &error))
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

/* Takes what work points to. */
static void start(const struct work *work, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
	g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, data);

	g_task_set_task_data(task, g_memdup2(work, sizeof *work), free_work);
	/* What is finished is finished even if the user cancels at the last moment. */
	g_task_set_check_cancellable(task, FALSE);
	g_task_run_in_thread(task, run);
}

void oriel_disk_work_create(const char *path, guint64 size, gboolean preallocate, GCancellable *cancellable,
			    OrielProgress progress, gpointer progress_data, GAsyncReadyCallback callback,
			    gpointer data)
{
	const struct work work = { create, g_strdup(path), size, preallocate, progress, progress_data };

	start(&work, cancellable, callback, data);
}

void oriel_disk_work_resize(const char *path, guint64 size, gboolean shrink, GCancellable *cancellable,
			    GAsyncReadyCallback callback, gpointer data)
{
	const struct work work = { resize, g_strdup(path), size, shrink };

	start(&work, cancellable, callback, data);
}

void oriel_disk_work_compact(const char *path, GCancellable *cancellable, OrielProgress progress,
			     gpointer progress_data, GAsyncReadyCallback callback, gpointer data)
{
	const struct work work = { compact, g_strdup(path), 0, FALSE, progress, progress_data };

	start(&work, cancellable, callback, data);
}

gboolean oriel_disk_work_finish(GAsyncResult *result, GError **error)
{
	return g_task_propagate_boolean(G_TASK(result), error);
}

char *oriel_disk_work_free_path(const char *folder)
{
	for (guint number = 1; ; number++) {
		g_autofree char *name = number > 1 ? g_strdup_printf("disk%u.qcow2", number) : g_strdup("disk.qcow2");
		g_autofree char *path = g_build_filename(folder, name, NULL);

		if (!g_file_test(path, G_FILE_TEST_EXISTS))
			return g_steal_pointer(&path);
	}
}
