#include "reply.h"

#define ERROR_PREFIX "io.github.oriel.Error."

static const char *error_name(const GError *error)
{
	if (error->domain == G_FILE_ERROR && error->code == G_FILE_ERROR_NOENT)
		return ERROR_PREFIX "NotFound";
	if (error->domain != G_IO_ERROR)
		return ERROR_PREFIX "Failed";
	switch (error->code) {
	case G_IO_ERROR_NOT_FOUND:
		return ERROR_PREFIX "NotFound";
	case G_IO_ERROR_INVALID_ARGUMENT:
		return ERROR_PREFIX "InvalidArgument";
	case G_IO_ERROR_BUSY:
		return ERROR_PREFIX "Busy";
	case G_IO_ERROR_NOT_SUPPORTED:
		return ERROR_PREFIX "NotSupported";
	case G_IO_ERROR_TIMED_OUT:
		return ERROR_PREFIX "TimedOut";
	case G_IO_ERROR_CLOSED:
		return ERROR_PREFIX "Stopped";
	default:
		return ERROR_PREFIX "Failed";
	}
}

void control_reply(GDBusMethodInvocation *invocation, const GError *error)
{
	if (error)
		g_dbus_method_invocation_return_dbus_error(invocation, error_name(error), error->message);
	else
		g_dbus_method_invocation_return_value(invocation, NULL);
}
