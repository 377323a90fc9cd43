/*
 * The bars above the machines in which the window says what went wrong, each with the ways out.
 */
#pragma once

#include "window.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_NOTICES (oriel_notices_get_type())
G_DECLARE_FINAL_TYPE(OrielNotices, oriel_notices, ORIEL, NOTICES, GtkBox)

/* See oriel_window_notice(); buttons has pairs of char * and OrielNoticeAction, and NULL. */
void oriel_notices_show(OrielNotices *notices, OrielWindow *window, OrielMachine *machine, GtkMessageType type,
			const char *text, va_list buttons);
void oriel_notices_clear(OrielNotices *notices, OrielMachine *machine);

G_END_DECLS
