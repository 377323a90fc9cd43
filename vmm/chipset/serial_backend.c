#include "serial_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <pty.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "../vm.h"

/* Output is collected this long, or until there is this much of it. */
#define FLUSH_MILLISECONDS 10
#define FLUSH_SIZE 4096
/* More than this is not kept for a reader that is slow or not there. */
#define BUFFER_MAX 65536
#define INPUT_MAX 256

struct serial_backend {
	struct vm *vm;
	char *path;
	int fd;       /* -1: no client */
	int slave;    /* keeps a pseudo-terminal open while nobody else has it; -1: none */
	int listener; /* -1: not a socket */
	bool reads;   /* what arrives at fd is input for the guest */
	GByteArray *output;
	uint64_t dropped;
	GSource *flush_timer, *writable_watch, *readable_watch, *accept_watch;
	struct serial_receiver receiver;
};

static void clear_source(GSource **source)
{
	if (*source)
		loop_remove(*source);
	*source = NULL;
}

static void watch_clients(struct serial_backend *backend);

static void drop(struct serial_backend *backend, uint64_t bytes, const char *why)
{
	if (!backend->dropped)
		g_message("Serial port: output to %s is being dropped: %s", backend->path, why);
	backend->dropped += bytes;
}

/* Once all that was kept has gone out, so that a slow reader gives two lines in the log and not thousands. */
static void report_dropped(struct serial_backend *backend)
{
	if (backend->dropped)
		g_message("Serial port: %" G_GUINT64_FORMAT " bytes for %s were dropped", backend->dropped,
			  backend->path);
	backend->dropped = 0;
}

static void disconnect(struct serial_backend *backend)
{
	clear_source(&backend->writable_watch);
	clear_source(&backend->readable_watch);
	clear_source(&backend->flush_timer);
	close(backend->fd);
	backend->fd = -1;
	g_byte_array_set_size(backend->output, 0);
	report_dropped(backend);
	watch_clients(backend);
}

static ssize_t write_some(struct serial_backend *backend)
{
	ssize_t written;

	do {
		if (backend->listener >= 0)
			written = send(backend->fd, backend->output->data, backend->output->len, MSG_NOSIGNAL);
		else
			written = write(backend->fd, backend->output->data, backend->output->len);
	} while (written < 0 && errno == EINTR);
	return written;
}

static gboolean output_ready(gint fd, GIOCondition condition, gpointer data);

static void flush(struct serial_backend *backend)
{
	ssize_t written;

	clear_source(&backend->flush_timer);
	if (backend->fd < 0 || backend->output->len == 0)
		return;
	written = write_some(backend);
	if (written > 0) {
		g_byte_array_remove_range(backend->output, 0, (guint)written);
		if (!backend->output->len)
			report_dropped(backend);
	} else if (written < 0 && errno != EAGAIN) {
		/* A disk may be full; a client may have gone. */
		if (backend->listener < 0)
			drop(backend, backend->output->len, g_strerror(errno));
		else
			disconnect(backend);
		g_byte_array_set_size(backend->output, 0);
	}
	if (backend->output->len && !backend->writable_watch)
		backend->writable_watch = loop_watch(&backend->vm->loop, backend->fd, G_IO_OUT, output_ready, backend);
	else if (!backend->output->len)
		clear_source(&backend->writable_watch);
}

static gboolean output_ready(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	flush(data);
	return G_SOURCE_CONTINUE;
}

static gboolean flush_due(gpointer data)
{
	flush(data);
	return G_SOURCE_CONTINUE;
}

void serial_backend_write(struct serial_backend *backend, uint8_t byte)
{
	/* Without a client there is nobody to keep it for. */
	if (backend->fd < 0)
		return;
	if (backend->output->len >= BUFFER_MAX) {
		drop(backend, 1, "nobody reads it fast enough");
		return;
	}
	g_byte_array_append(backend->output, &byte, 1);
	if (backend->writable_watch)
		return;
	if (backend->output->len >= FLUSH_SIZE) {
		flush(backend);
	} else if (!backend->flush_timer) {
		backend->flush_timer = g_timeout_source_new(FLUSH_MILLISECONDS);
		g_source_set_callback(backend->flush_timer, flush_due, backend, NULL);
		g_source_attach(backend->flush_timer, backend->vm->loop.context);
	}
}

static gboolean input_ready(gint fd, GIOCondition condition, gpointer data)
{
	struct serial_backend *backend = data;
	size_t room = backend->receiver.room(backend->receiver.opaque);
	uint8_t input[INPUT_MAX];
	ssize_t size;

	(void)condition;
	if (room == 0) {
		clear_source(&backend->readable_watch);
		return G_SOURCE_REMOVE;
	}
	size = read(fd, input, MIN(room, sizeof input));
	if (size > 0) {
		backend->receiver.receive(backend->receiver.opaque, input, (size_t)size);
	} else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (backend->listener >= 0)
			disconnect(backend);
		else
			clear_source(&backend->readable_watch);
		return G_SOURCE_REMOVE;
	}
	return G_SOURCE_CONTINUE;
}

/* Input waits in the kernel while the receiver has no room for it. */
static void watch_input(struct serial_backend *backend)
{
	if (backend->fd < 0 || !backend->reads || backend->readable_watch || !backend->receiver.room)
		return;
	if (backend->receiver.room(backend->receiver.opaque))
		backend->readable_watch = loop_watch(&backend->vm->loop, backend->fd, G_IO_IN, input_ready, backend);
}

void serial_backend_resume(struct serial_backend *backend)
{
	watch_input(backend);
}

void serial_backend_set_receiver(struct serial_backend *backend, const struct serial_receiver *receiver)
{
	backend->receiver = *receiver;
	watch_input(backend);
}

const char *serial_backend_path(const struct serial_backend *backend)
{
	return backend->path;
}

static gboolean client_waits(gint fd, GIOCondition condition, gpointer data)
{
	struct serial_backend *backend = data;

	(void)condition;
	backend->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (backend->fd < 0)
		return G_SOURCE_CONTINUE;
	clear_source(&backend->accept_watch);
	watch_input(backend);
	return G_SOURCE_REMOVE;
}

/* While there is a client the next one waits in the listener's queue. */
static void watch_clients(struct serial_backend *backend)
{
	if (backend->listener >= 0 && backend->fd < 0 && !backend->accept_watch)
		backend->accept_watch = loop_watch(&backend->vm->loop, backend->listener, G_IO_IN, client_waits,
						   backend);
}

static struct serial_backend *backend_new(struct vm *vm, const char *path)
{
	struct serial_backend *backend = g_new0(struct serial_backend, 1);

	backend->vm = vm;
	backend->path = g_strdup(path);
	backend->fd = -1;
	backend->slave = -1;
	backend->listener = -1;
	backend->output = g_byte_array_new();
	return backend;
}

/* format: has the reason and the path */
static struct serial_backend *fail(struct serial_backend *backend, GError **error, const char *format)
{
	int code = errno;

	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), format, g_strerror(code), backend->path);
	serial_backend_free(backend);
	return NULL;
}

struct serial_backend *serial_backend_new_log(struct vm *vm, const char *path, GError **error)
{
	struct serial_backend *backend = backend_new(vm, path);

	backend->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (backend->fd < 0)
		return fail(backend, error, _("Cannot write the log for the serial port: %s: %s"));
	return backend;
}

struct serial_backend *serial_backend_new_pty(struct vm *vm, GError **error)
{
	struct serial_backend *backend = backend_new(vm, NULL);
	struct termios raw = { 0 };
	char name[64];

	cfmakeraw(&raw);
	raw.c_cflag |= CREAD | CLOCAL;
	if (openpty(&backend->fd, &backend->slave, NULL, &raw, NULL) < 0)
		return fail(backend, error, _("Cannot open a pseudo-terminal for the serial port: %s"));
	fcntl(backend->fd, F_SETFD, FD_CLOEXEC);
	fcntl(backend->slave, F_SETFD, FD_CLOEXEC);
	g_unix_set_fd_nonblocking(backend->fd, TRUE, NULL);
	if (ttyname_r(backend->slave, name, sizeof name))
		return fail(backend, error, _("Cannot name the serial port's pseudo-terminal: %s"));
	backend->path = g_strdup(name);
	backend->reads = true;
	return backend;
}

struct serial_backend *serial_backend_new_socket(struct vm *vm, const char *path, GError **error)
{
	struct serial_backend *backend = backend_new(vm, path);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	g_autofree char *folder = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	errno = ENAMETOOLONG;
	if (strlen(path) >= sizeof address.sun_path || fd < 0) {
		if (fd >= 0)
			close(fd);
		return fail(backend, error, _("Cannot make the socket for the serial port: %s: %s"));
	}
	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	/* The folder may be missing at the first start since the user logged in; if it cannot be made, bind() tells. */
	folder = g_path_get_dirname(path);
	g_mkdir_with_parents(folder, 0700);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0) {
		close(fd);
		return fail(backend, error, _("Cannot make the socket for the serial port: %s: %s"));
	}
	backend->listener = fd;
	backend->reads = true;
	watch_clients(backend);
	return backend;
}

void serial_backend_free(struct serial_backend *backend)
{
	if (!backend)
		return;
	flush(backend);
	report_dropped(backend);
	clear_source(&backend->flush_timer);
	clear_source(&backend->writable_watch);
	clear_source(&backend->readable_watch);
	clear_source(&backend->accept_watch);
	if (backend->listener >= 0) {
		close(backend->listener);
		unlink(backend->path);
	}
	if (backend->fd >= 0)
		close(backend->fd);
	if (backend->slave >= 0)
		close(backend->slave);
	g_byte_array_unref(backend->output);
	g_free(backend->path);
	g_free(backend);
}
