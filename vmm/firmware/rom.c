#include "rom.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIOS_PATH "/usr/share/seabios/bios-256k.bin"
#define VGA_PATH "/usr/share/seabios/vgabios-stdvga.bin"
#define BIOS_GRAIN (64u << 10)
#define BIOS_MAX (16u << 20)
#define OPTION_ROM_MAX (128u << 10)
#define OPTION_ROM_UNIT 512u /* PCI Firmware Specification 3.0, section 5.2: length in units of 512 bytes */

static bool fail(const char *path, GError **error, const char *reason)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, _("%s is not usable as firmware: %s"), path, reason);
	return false;
}

static int open_rom(const char *path, bool usual, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && usual && errno == ENOENT)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			    _("The firmware %s is missing. Install the package seabios (on Debian: sudo apt install "
			      "seabios)"), path);
	else if (fd < 0)
		g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(errno),
			    _("Cannot open the firmware %s: %s. Check [firmware] in machine.conf"), path,
			    g_strerror(errno));
	return fd;
}

static bool read_rom(struct rom *rom, int fd, const char *path, GError **error)
{
	size_t done = 0;

	while (done < rom->size) {
		ssize_t got = pread(fd, rom->data + done, rom->size - done, (off_t)done);

		if (got == 0)
			return fail(path, error, _("it became shorter while it was read"));
		if (got < 0 && errno != EINTR) {
			g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(errno),
				    _("Cannot read %s: %s"), path, g_strerror(errno));
			return false;
		}
		done += got > 0 ? (size_t)got : 0;
	}
	return true;
}

/* Anonymous memory instead of a mapping of the file: that would fault when somebody truncates it. */
static bool load(struct rom *rom, int fd, const char *path, size_t minimum, size_t maximum, GError **error)
{
	struct stat status;
	void *data;

	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return fail(path, error, _("it is not a regular file"));
	if ((uint64_t)status.st_size < minimum || (uint64_t)status.st_size > maximum)
		return fail(path, error, _("its size is wrong"));
	data = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return fail(path, error, _("there is no memory for it"));
	rom->data = data;
	rom->size = (size_t)status.st_size;
	return read_rom(rom, fd, path, error);
}

static bool check_bios(const struct rom *rom, const char *path, GError **error)
{
	if (rom->size % BIOS_GRAIN)
		return fail(path, error, _("its size is not a multiple of 64 KiB"));
	/* The reset vector holds a jump; an image of zeros or ones would only hang. */
	if (rom->data[rom->size - 16] == 0x00 || rom->data[rom->size - 16] == 0xFF)
		return fail(path, error, _("there is no code at its reset vector"));
	return true;
}

static bool check_vga(const struct rom *rom, const char *path, GError **error)
{
	if (rom->data[0] != 0x55 || rom->data[1] != 0xAA)
		return fail(path, error, _("it lacks the signature of an option ROM"));
	if (rom->data[2] == 0 || rom->data[2] * OPTION_ROM_UNIT > rom->size)
		return fail(path, error, _("it is shorter than it says"));
	return true;
}

bool rom_load_bios(struct rom *rom, const char *path, GError **error)
{
	const char *name = path ? path : BIOS_PATH;
	int fd = open_rom(name, !path, error);
	bool ok;

	*rom = (struct rom){ 0 };
	if (fd < 0)
		return false;
	ok = load(rom, fd, name, BIOS_GRAIN, BIOS_MAX, error) && check_bios(rom, name, error);
	close(fd);
	if (!ok)
		rom_free(rom);
	return ok;
}

bool rom_load_vga(struct rom *rom, const char *path, GError **error)
{
	const char *name = path ? path : VGA_PATH;
	int fd = open_rom(name, !path, error);
	bool ok;

	*rom = (struct rom){ 0 };
	if (fd < 0)
		return false;
	ok = load(rom, fd, name, OPTION_ROM_UNIT, OPTION_ROM_MAX, error) && check_vga(rom, name, error);
	close(fd);
	if (!ok)
		rom_free(rom);
	return ok;
}

void rom_free(struct rom *rom)
{
	if (rom->data)
		munmap(rom->data, rom->size);
	*rom = (struct rom){ 0 };
}
