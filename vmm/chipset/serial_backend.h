/*
 * What a serial port is connected to: a log file, a pseudo-terminal, or a listening Unix socket with one client.
 *
 * The guest never waits: what nobody reads in time is dropped, and the log says how much. All calls need vm->lock;
 * receivers are called on the I/O thread with it.
 */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

struct serial_backend;
struct vm;

struct serial_receiver {
	/* How many bytes it can take now; asked again after serial_backend_resume(). */
	size_t (*room)(void *opaque);
	void (*receive)(void *opaque, const uint8_t *data, size_t size);
	void *opaque;
};

/* Appends to the file. */
struct serial_backend *serial_backend_new_log(struct vm *vm, const char *path, GError **error);
struct serial_backend *serial_backend_new_pty(struct vm *vm, GError **error);
/* Replaces a socket that is already at path. */
struct serial_backend *serial_backend_new_socket(struct vm *vm, const char *path, GError **error);
/* Writes out what it can without waiting. */
void serial_backend_free(struct serial_backend *backend);

/* Where a user finds the other end: the file, /dev/pts/N, or the socket. The backend's. */
const char *serial_backend_path(const struct serial_backend *backend);
void serial_backend_set_receiver(struct serial_backend *backend, const struct serial_receiver *receiver);
void serial_backend_write(struct serial_backend *backend, uint8_t byte);
/* The receiver has room again. */
void serial_backend_resume(struct serial_backend *backend);
