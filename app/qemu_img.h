/*
 * qemu-img as a converter of disk images: it runs, answers and is gone. Blocking; call it in a thread of its own.
 */
#pragma once

#include "task_progress.h"

G_BEGIN_DECLS

#define ORIEL_QEMU_IMG_ERROR (oriel_qemu_img_error_quark())
GQuark oriel_qemu_img_error_quark(void);

enum {
	ORIEL_QEMU_IMG_ERROR_MISSING, /* it is not installed; the message names the package */
	ORIEL_QEMU_IMG_ERROR_FAILED,  /* with its own words */
};

/*
 * Runs qemu-img with these arguments (ended by NULL) and returns what it writes. progress gets, in this thread, what -p
 * reports, from 0 to 1. A cancellation kills it, and so does the end of this program.
 */
char *oriel_qemu_img_run(const char *const *arguments, OrielProgress progress, gpointer data,
			 GCancellable *cancellable, GError **error);

G_END_DECLS
