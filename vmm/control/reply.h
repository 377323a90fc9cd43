/* Answers to calls without a result, and errors as the interface names them (control.h). */
#pragma once

#include <gio/gio.h>

/* Takes the invocation; error NULL: it went well. */
void control_reply(GDBusMethodInvocation *invocation, const GError *error);
