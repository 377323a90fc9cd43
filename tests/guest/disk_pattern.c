#include "disk_pattern.h"

#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#define SECTOR 512u

bool disk_pattern_found(const char *image, uint64_t sector, uint32_t count)
{
	gsize bytes = (gsize)count * SECTOR;
	g_autofree uint32_t *words = g_malloc(bytes);
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && pread(fd, words, bytes, (off_t)(sector * SECTOR)) == (ssize_t)bytes;

	if (fd >= 0)
		close(fd);
	for (uint32_t i = 0; good && i < bytes / sizeof *words; i++)
		good = words[i] == (uint32_t)sector * 0x9E3779B1u + i;
	return good;
}
