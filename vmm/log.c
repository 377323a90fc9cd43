#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BURST 10

void log_guest_error(struct log_limit *limit, const char *device, const char *format, ...)
{
	g_autofree char *text = NULL;
	gint64 now = g_get_monotonic_time();
	va_list arguments;

	if (limit->burst >= BURST && now < limit->next) {
		limit->suppressed++;
		return;
	}
	limit->burst++;
	limit->next = now + G_USEC_PER_SEC;
	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	if (limit->suppressed)
		g_message("%s: guest error: %s (%u more like it were not logged)", device, text, limit->suppressed);
	else
		g_message("%s: guest error: %s", device, text);
	limit->suppressed = 0;
}

static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer data)
{
	FILE *file = data;
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *time = g_date_time_format(now, "%F %T.%f");
	g_autofree char *line = g_log_writer_format_fields(level, fields, count, FALSE);

	fprintf(file, "%s %s\n", time, line);
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING))
		g_log_writer_standard_streams(level, fields, count, NULL);
	return G_LOG_WRITER_HANDLED;
}

bool log_open(const char *path, GError **error)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "a");

	if (!file) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    _("Cannot write the machine's log %s: %s. Give yourself write permission to the "
			      "machine's folder, or copy the folder to a place that can be written"), path,
			    g_strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	setvbuf(file, NULL, _IOLBF, 0);
	g_log_set_writer_func(write_log, file, NULL);
	return true;
}
