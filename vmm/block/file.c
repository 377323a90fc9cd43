/* The file or host device behind an image: opening it with messages that help, and locking it. */
#include "block_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DIRECT_ALIGN 4096
#define LOCK_TRIES 20
#define LOCK_PAUSE 10000 /* us */
/* So much more room than there was, or this part of a small file system, is worth another try. */
#define ROOM_MARGIN (64ull << 20)
#define ROOM_MARGIN_PART 16

/*
 * QEMU's raw driver takes shared locks on byte 100 + p for every permission p that it uses and on byte 200 + p for
 * every permission that it does not let others use, and then looks whether somebody else's locks contradict.
 */
enum lock_permission {
	PERMISSION_READ = 0,
	PERMISSION_WRITE = 1,
	PERMISSION_RESIZE = 3,
};

#define LOCK_USED 100
#define LOCK_UNSHARED 200

static int lock_byte(int fd, unsigned byte)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? errno : 0;
}

static bool byte_locked(int fd, unsigned byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* format: has the path */
static bool lock_refused(const struct engine_file *file, const char *format, GError **error)
{
	g_autofree char *what = g_strdup_printf(format, file->path);

	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM, "%s. %s", what,
		    _("Close that first: two programs on one image destroy it"));
	return false;
}

bool engine_file_lock(const struct engine_file *file, GError **error)
{
	static const unsigned used_read_only[] = { PERMISSION_READ };
	static const unsigned used_writable[] = { PERMISSION_READ, PERMISSION_WRITE, PERMISSION_RESIZE };
	static const unsigned unshared[] = { PERMISSION_WRITE, PERMISSION_RESIZE };
	const unsigned *used = file->read_only ? used_read_only : used_writable;
	size_t used_count = file->read_only ? G_N_ELEMENTS(used_read_only) : G_N_ELEMENTS(used_writable);
	int failure = 0;

	for (size_t i = 0; i < used_count && !failure; i++)
		failure = lock_byte(file->fd, LOCK_USED + used[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(unshared) && !failure; i++)
		failure = lock_byte(file->fd, LOCK_UNSHARED + unshared[i]);
	if (failure == EAGAIN || failure == EACCES)
		return lock_refused(file, _("%s is locked by another program, perhaps another machine"), error);
	if (failure) {
		g_warning("%s cannot be locked against a second user: %s", file->path, g_strerror(failure));
		return true;
	}
	for (size_t i = 0; i < used_count; i++)
		if (byte_locked(file->fd, LOCK_UNSHARED + used[i]))
			return lock_refused(file, _("%s is in use by another program, perhaps another machine"),
					    error);
	for (size_t i = 0; i < G_N_ELEMENTS(unshared); i++)
		if (byte_locked(file->fd, LOCK_USED + unshared[i]))
			return lock_refused(file, _("%s is being written by another program, perhaps another machine"),
					    error);
	return true;
}

static bool open_failed(const struct engine_file *file, bool optical, int cause, GError **error)
{
	const char *advice;

	switch (cause) {
	case ENOENT:
	case ENOTDIR:
		advice = _("Put the file back, or choose another one in the machine's settings");
		break;
	case EACCES:
	case EPERM:
		advice = file->read_only ? _("Give yourself read permission (chmod u+r, or for a host device join "
					     "the group that owns it)") :
					   _("Give yourself write permission (chmod u+w, or for a host device join "
					     "the group that owns it), or make the disk read-only");
		break;
	case EROFS:
		advice = _("Copy it to a place that can be written, or make the disk read-only");
		break;
	case ENOMEDIUM:
		advice = _("Put a medium into the drive");
		break;
	case EINVAL:
		advice = _("If the file system has no direct I/O, switch the disk's cache mode to writeback");
		break;
	default:
		advice = _("Choose another file in the machine's settings");
	}
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(cause), optical ?
		    /* TRANSLATORS: a path, what is wrong, what to do about it */
		    _("Cannot open the disc image %s: %s. %s") : _("Cannot open the disk image %s: %s. %s"),
		    file->path, g_strerror(cause), advice);
	return false;
}

static bool check_kind(struct engine_file *file, const struct stat *status, bool optical, GError **error)
{
	if (S_ISDIR(status->st_mode))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_ISDIR, optical ?
			    _("%s is a folder, not a disc image. Choose a file in it") :
			    _("%s is a folder, not a disk image. Choose a file in it"), file->path);
	else if (S_ISBLK(status->st_mode) && ioctl(file->fd, BLKGETSIZE64, &file->length) < 0)
		return open_failed(file, optical, errno, error);
	else if (!S_ISBLK(status->st_mode) && !S_ISREG(status->st_mode))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, optical ?
			    _("%s is neither a regular file nor a host drive, so it cannot be a disc image. Choose "
			      "another file") :
			    _("%s is neither a regular file nor a host disk, so it cannot be a disk image. Choose "
			      "another file"), file->path);
	else
		return true;
	return false;
}

static void find_alignment(struct engine_file *file)
{
	struct statx status;
	int sector;

	file->memory_align = DIRECT_ALIGN;
	file->offset_align = DIRECT_ALIGN;
#ifdef STATX_DIOALIGN
	if (statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
	    status.stx_mask & STATX_DIOALIGN && status.stx_dio_offset_align) {
		file->memory_align = status.stx_dio_mem_align;
		file->offset_align = status.stx_dio_offset_align;
		return;
	}
#endif
	if (file->device && ioctl(file->fd, BLKSSZGET, &sector) == 0 && sector > 0)
		file->memory_align = file->offset_align = (unsigned)sector;
}

/* The kernel lets go of the files of an io_uring a moment after the process that had them was killed. */
static bool lock_patiently(const struct engine_file *file, GError **error)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = LOCK_USED, .l_len = 200 };

	for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
		if (engine_file_lock(file, NULL))
			return true;
		fcntl(file->fd, F_OFD_SETLK, &all);
		g_usleep(LOCK_PAUSE);
	}
	return engine_file_lock(file, error);
}

static bool inspect(struct engine_file *file, const struct block_options *options, GError **error)
{
	struct stat status;

	fcntl(file->fd, F_SETFL, fcntl(file->fd, F_GETFL) & ~O_NONBLOCK);
	if (fstat(file->fd, &status) < 0)
		return open_failed(file, options->optical, errno, error);
	file->device = S_ISBLK(status.st_mode);
	file->length = (uint64_t)status.st_size;
	if (!check_kind(file, &status, options->optical, error))
		return false;
	if (file->length == 0) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, options->optical ?
			    _("The disc image %s is empty (0 bytes). Download or copy it again") :
			    _("The disk image %s is empty (0 bytes). Create a disk of the size that you want in its "
			      "place"), file->path);
		return false;
	}
	if (file->direct)
		find_alignment(file);
	return lock_patiently(file, error);
}

bool engine_file_open(struct engine_file *file, const struct block_options *options, GError **error)
{
	bool direct = options->cache == BLOCK_CACHE_NONE;

	*file = (struct engine_file){ .path = g_strdup(options->path), .slot = -1, .direct = direct,
				      .read_only = options->read_only };
	/* O_NONBLOCK: a FIFO or an empty drive must not hang us; it means nothing to files and disks. */
	file->fd = open(options->path,
			(options->read_only ? O_RDONLY : O_RDWR) | (direct ? O_DIRECT : 0) | O_CLOEXEC |
			O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0 && errno == EISDIR && !options->read_only)
		file->fd = open(options->path, O_RDONLY | O_CLOEXEC); /* for the message of check_kind() */
	if (file->fd < 0)
		open_failed(file, options->optical, errno, error);
	else if (inspect(file, options, error))
		return true;
	engine_file_close(file);
	return false;
}

void engine_file_close(struct engine_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	g_clear_pointer(&file->path, g_free);
}

int engine_file_check(const struct engine_file *file)
{
	struct stat status, named;

	if (file->device || fstat(file->fd, &status) < 0)
		return 0;
	if (status.st_nlink == 0)
		return ENOENT;
	if ((uint64_t)status.st_size < file->length)
		return ENODATA;
	/* Where the file is now is not known to anybody who opens it by its name. */
	if (stat(file->path, &named) < 0)
		return errno == ENOENT || errno == ENOTDIR ? ENOLINK : 0;
	return named.st_dev == status.st_dev && named.st_ino == status.st_ino ? 0 : ENOLINK;
}

uint64_t engine_file_room(const struct engine_file *file, uint64_t *margin)
{
	struct statvfs status;

	if (file->device || fstatvfs(file->fd, &status) < 0)
		return 0;
	*margin = MIN(ROOM_MARGIN, (uint64_t)status.f_blocks * status.f_frsize / ROOM_MARGIN_PART);
	return (uint64_t)status.f_bavail * status.f_frsize;
}

void engine_file_recover(struct engine *engine, struct engine_file *file)
{
	g_autoptr(GError) error = NULL;
	struct block_options options = { .path = file->path, .read_only = file->read_only,
					 .cache = file->direct ? BLOCK_CACHE_NONE : BLOCK_CACHE_WRITEBACK };
	struct engine_file found;
	struct stat status;

	if (engine_file_check(file) != ENOENT || fstat(file->fd, &status) < 0)
		return;
	if (!engine_file_open(&found, &options, &error)) {
		g_message("block: %s", error->message);
		return;
	}
	if (found.length != (uint64_t)status.st_size) {
		g_message("block: %s was replaced by a file of another size, which cannot be the same disk",
			  found.path);
		engine_file_close(&found);
		return;
	}
	engine_remove_file(engine, file);
	engine_file_close(file);
	*file = found;
	engine_add_file(engine, file);
	g_message("block: %s is back", file->path);
}
