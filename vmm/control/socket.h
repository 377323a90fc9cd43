/*
 * The listening end of a machine's socket.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/*
 * Listens at path, whose folder is made (0700) if need be and must be the user's own. A socket that a dead process
 * left behind is replaced; one that somebody listens at is an error (G_IO_ERROR_ADDRESS_IN_USE: "... already
 * running"). -1 on error.
 */
int control_socket_listen(const char *path, GError **error);
void control_socket_close(int fd, const char *path);
