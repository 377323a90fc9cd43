/*
 * How far a long task has come, told to whoever waits for it.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* From 0 to 1. */
typedef void (*OrielProgress)(double fraction, gpointer data);

/*
 * In the task's thread: calls progress, unless it is NULL, in the context in which the task was made, soon. After the
 * task's callback it is not called any more.
 */
void oriel_task_report(GTask *task, OrielProgress progress, gpointer data, double fraction);

G_END_DECLS
