/*
 * Work on disk images that takes a while: in another thread, with progress on the caller's context, and with an end that
 * the user can bring about by the cancellable, which leaves nothing half done.
 */
#pragma once

#include "task_progress.h"

G_BEGIN_DECLS

/* A new image, qcow2 or by its name raw (.img, .raw); it must not exist. */
void oriel_disk_work_create(const char *path, guint64 size, gboolean preallocate, GCancellable *cancellable,
			    OrielProgress progress, gpointer progress_data, GAsyncReadyCallback callback,
			    gpointer data);
/* shrink: what lies behind the new end may be lost. */
void oriel_disk_work_resize(const char *path, guint64 size, gboolean shrink, GCancellable *cancellable,
			    GAsyncReadyCallback callback, gpointer data);
/* Gives the host back what the image does not need. */
void oriel_disk_work_compact(const char *path, GCancellable *cancellable, OrielProgress progress,
			     gpointer progress_data, GAsyncReadyCallback callback, gpointer data);

/* Of all three. The error has the words of vmm/block/image.h, or is G_IO_ERROR_CANCELLED. */
gboolean oriel_disk_work_finish(GAsyncResult *result, GError **error);

/* A path in the folder that does not exist: disk.qcow2, disk2.qcow2 ... Free with g_free(). */
char *oriel_disk_work_free_path(const char *folder);

G_END_DECLS
