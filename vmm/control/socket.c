#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* format: has the path and the reason */
static bool fail(GError **error, int code, const char *format, const char *path)
{
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), format, path, g_strerror(code));
	return false;
}

/* The folder, locked: of two processes that start the same machine one waits for the other. */
static int lock_folder(const char *folder, GError **error)
{
	struct stat status;
	int fd;

	if (g_mkdir_with_parents(folder, 0700) < 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    _("Cannot make the folder %s: %s. Set XDG_RUNTIME_DIR to a folder of your own"), folder,
			    g_strerror(errno));
		return -1;
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0 || flock(fd, LOCK_EX) < 0) {
		fail(error, errno, _("Cannot open the folder %s: %s"), folder);
	} else if (status.st_uid != geteuid()) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    _("The folder %s belongs to another user; set XDG_RUNTIME_DIR to one of your own"),
			    folder);
	} else if ((status.st_mode & 077) && fchmod(fd, 0700) < 0) {
		fail(error, errno, _("Cannot protect the folder %s: %s"), folder);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Nobody must be listening at the address, and nothing but a socket be in its place. */
static bool make_room(const struct sockaddr_un *address, GError **error)
{
	struct stat status;
	bool alive;
	int fd, reason;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT || fail(error, errno, _("Cannot look at %s: %s"), address->sun_path);
	if (!S_ISSOCK(status.st_mode)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, _("%s is in the way and no socket; remove it"),
			    address->sun_path);
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(error, errno, _("Cannot make a socket for %s: %s"), address->sun_path);
	alive = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
	reason = errno;
	close(fd);
	/* EAGAIN: it listens, and more clients are waiting than it lets wait. */
	if (alive || reason == EAGAIN) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
			    _("The machine is already running: somebody answers at %s"), address->sun_path);
		return false;
	}
	return unlink(address->sun_path) == 0 || fail(error, errno, _("Cannot replace %s: %s"), address->sun_path);
}

static int listen_at(const struct sockaddr_un *address, GError **error)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)address, sizeof *address) == 0 && listen(fd, 16) == 0)
		return fd;
	fail(error, errno, _("Cannot listen at %s: %s"), address->sun_path);
	if (fd >= 0)
		close(fd);
	return -1;
}

int control_socket_listen(const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int lock, fd = -1;

	if (g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path) {
		fail(error, ENAMETOOLONG, _("Cannot listen at %s: %s"), path);
		return -1;
	}
	lock = lock_folder(folder, error);
	if (lock < 0)
		return -1;
	if (make_room(&address, error))
		fd = listen_at(&address, error);
	close(lock);
	return fd;
}

void control_socket_close(int fd, const char *path)
{
	unlink(path);
	close(fd);
}
