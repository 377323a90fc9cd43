/* A hard disk's commands (ATA/ATAPI Command Set 3). */
#include "ahci_internal.h"
#include "trim.h"

#include <errno.h>
#include <string.h>

#define HEADS 16u
#define TRACK_SECTORS 63u
#define DEVICE_LBA 0x40
#define DEVICE_FUA 0x80 /* of the queued commands */

#define MULTIPLE_MAX 16
#define TRIM_ENTRIES (SECTOR / 8)
#define TRIM_BLOCKS_MAX 8 /* IDENTIFY word 105 */

#define LOG_DIRECTORY 0x00
#define LOG_QUEUED_ERROR 0x10

static struct ata_disk *disk_of(struct ahci_command *command)
{
	return &command->port->disk;
}

/* --- Addresses --- */

/* 28-bit commands name sectors by LBA or by cylinder, head and sector. */
static uint64_t short_lba(const struct ata_taskfile *taskfile)
{
	uint64_t low = taskfile->lba & 0xFFFFFF;
	uint64_t head = taskfile->device & 0xF, sector = low & 0xFF;

	if (taskfile->device & DEVICE_LBA)
		return low | head << 24;
	/* Sectors count from 1; sector 0 wraps to an address that no disk has. */
	return ((low >> 8) * HEADS + head) * TRACK_SECTORS + sector - 1;
}

struct extent {
	uint64_t lba;
	uint64_t sectors;
};

static struct extent short_extent(const struct ata_taskfile *taskfile)
{
	return (struct extent){ short_lba(taskfile), taskfile->count & 0xFF ? taskfile->count & 0xFF : 256 };
}

static struct extent long_extent(const struct ata_taskfile *taskfile)
{
	return (struct extent){ taskfile->lba, taskfile->count ? taskfile->count : 65536 };
}

static bool outside(struct ahci_command *command, struct extent extent)
{
	uint64_t sectors = disk_of(command)->sectors;

	return extent.lba >= sectors || extent.sectors > sectors - extent.lba;
}

static void abort_command(struct ahci_command *command)
{
	ahci_command_failed(command, ATA_ABRT);
}

/* --- Transfers --- */

static void transfer_done(struct ahci_command *command, int error)
{
	if (!error) {
		command->taskfile.count = 0;
		ahci_command_done(command);
	} else if (command->request.operation == BLOCK_READ) {
		ahci_command_failed(command, ATA_UNC);
	} else {
		ahci_command_failed(command, ATA_ABRT);
	}
}

static void transfer(struct ahci_command *command, enum block_operation operation, struct extent extent, bool fua)
{
	if (outside(command, extent)) {
		ahci_command_failed(command, ATA_IDNF);
	} else if (operation == BLOCK_WRITE && block_read_only(command->port->block)) {
		abort_command(command);
	} else if (ahci_command_map(command, extent.sectors * SECTOR)) {
		command->request.force_unit_access = operation == BLOCK_WRITE &&
						     (fua || !disk_of(command)->settings.write_cache);
		ahci_command_submit(command, operation, extent.lba * SECTOR, extent.sectors * SECTOR, transfer_done);
	}
}

static void read_short(struct ahci_command *command)
{
	transfer(command, BLOCK_READ, short_extent(&command->taskfile), false);
}

static void read_long(struct ahci_command *command)
{
	transfer(command, BLOCK_READ, long_extent(&command->taskfile), false);
}

static void write_short(struct ahci_command *command)
{
	transfer(command, BLOCK_WRITE, short_extent(&command->taskfile), false);
}

static void write_long(struct ahci_command *command)
{
	transfer(command, BLOCK_WRITE, long_extent(&command->taskfile), false);
}

static void write_long_fua(struct ahci_command *command)
{
	transfer(command, BLOCK_WRITE, long_extent(&command->taskfile), true);
}

/* READ/WRITE MULTIPLE need SET MULTIPLE MODE first. */
static void multiple(struct ahci_command *command, void (*run)(struct ahci_command *command))
{
	if (disk_of(command)->settings.multiple)
		run(command);
	else
		abort_command(command);
}

static void read_multiple(struct ahci_command *command)
{
	multiple(command, read_short);
}

static void read_multiple_long(struct ahci_command *command)
{
	multiple(command, read_long);
}

static void write_multiple(struct ahci_command *command)
{
	multiple(command, write_short);
}

static void write_multiple_long(struct ahci_command *command)
{
	multiple(command, write_long);
}

static void write_multiple_long_fua(struct ahci_command *command)
{
	multiple(command, write_long_fua);
}

/* Count and features change places, and the tag must be the slot (AHCI 1.3.1 section 5.4.1). */
static void queued(struct ahci_command *command)
{
	const struct ata_taskfile *taskfile = &command->taskfile;
	struct extent extent = { taskfile->lba, taskfile->features ? taskfile->features : 65536 };

	if ((taskfile->count >> 3 & 31) != command->slot || !(command->port->sact & 1u << command->slot))
		abort_command(command);
	else
		transfer(command, taskfile->command == 0x60 ? BLOCK_READ : BLOCK_WRITE, extent,
			 taskfile->device & DEVICE_FUA);
}

static void verify(struct ahci_command *command, struct extent extent)
{
	command->taskfile.count = 0;
	if (outside(command, extent))
		ahci_command_failed(command, ATA_IDNF);
	else
		ahci_command_done(command);
}

static void verify_short(struct ahci_command *command)
{
	verify(command, short_extent(&command->taskfile));
}

static void verify_long(struct ahci_command *command)
{
	verify(command, long_extent(&command->taskfile));
}

static void flush(struct ahci_command *command)
{
	ahci_command_submit(command, BLOCK_FLUSH, 0, 0, transfer_done);
}

/* --- DATA SET MANAGEMENT: TRIM --- */

static void trim_done(void *opaque, int error)
{
	struct ahci_command *command = opaque;

	if (!command->port->discarding)
		transfer_done(command, error);
}

/* False: an entry is outside the disk, so that none may take effect. */
static bool parse_trim(struct ahci_command *command, struct trim *trim, const uint8_t *data, unsigned entries)
{
	for (unsigned i = 0; i < entries; i++) {
		uint64_t entry = pci_get32(data + i * 8) | (uint64_t)pci_get32(data + i * 8 + 4) << 32;
		struct extent extent = { entry & 0xFFFFFFFFFFFFull, entry >> 48 };

		if (!extent.sectors)
			continue;
		if (outside(command, extent))
			return false;
		trim_add(trim, extent.lba * SECTOR, extent.sectors * SECTOR);
	}
	return true;
}

static void data_set_management(struct ahci_command *command)
{
	unsigned blocks = command->taskfile.count;
	uint8_t data[TRIM_BLOCKS_MAX * SECTOR];
	struct trim *trim;

	if (!disk_of(command)->ssd || command->taskfile.features != 1 || blocks == 0 || blocks > TRIM_BLOCKS_MAX ||
	    block_read_only(command->port->block)) {
		abort_command(command);
		return;
	}
	if (!ahci_command_take(command, data, blocks * SECTOR))
		return;
	trim = trim_new(command->port->block, blocks * TRIM_ENTRIES, trim_done, command);
	if (parse_trim(command, trim, data, blocks * TRIM_ENTRIES)) {
		trim_start(trim);
	} else {
		trim_free(trim);
		ahci_command_failed(command, ATA_IDNF | ATA_ABRT);
	}
}

/* --- Information and settings --- */

static void identify(struct ahci_command *command)
{
	uint8_t data[SECTOR];

	ata_identify(command->port, data);
	ahci_command_reply(command, data, sizeof data);
}

static void set_features(struct ahci_command *command)
{
	struct ata_settings *settings = &disk_of(command)->settings;

	switch (command->taskfile.features & 0xFF) {
	case 0x02:
		settings->write_cache = true;
		break;
	case 0x82: /* what is in the cache goes to the disk first */
		settings->write_cache = false;
		flush(command);
		return;
	case 0x03:
		/* PIO 0-4, multiword DMA 0-2, ultra DMA 0-6 */
		switch (command->taskfile.count >> 3 & 31) {
		case 0: case 1: case 4: case 8:
			settings->transfer_mode = (uint8_t)command->taskfile.count;
			break;
		default:
			abort_command(command);
			return;
		}
		break;
	case 0x55: case 0xAA: /* read look-ahead off, on */
	case 0x66: case 0xCC: /* keep, revert settings at software reset */
		break;
	default:
		abort_command(command);
		return;
	}
	ahci_command_done(command);
}

static void set_multiple_mode(struct ahci_command *command)
{
	unsigned count = command->taskfile.count & 0xFF;

	if (count > MULTIPLE_MAX || count & (count - 1)) {
		abort_command(command);
		return;
	}
	disk_of(command)->settings.multiple = (uint8_t)count;
	ahci_command_done(command);
}

static void read_native_max(struct ahci_command *command)
{
	uint64_t last = disk_of(command)->sectors - 1;

	if (command->taskfile.command == 0xF8) {
		last = MIN(last, 0xFFFFFFEull);
		command->taskfile.device = (uint8_t)((command->taskfile.device & 0xF0) | last >> 24);
		last &= 0xFFFFFF;
	}
	command->taskfile.lba = last;
	ahci_command_done(command);
}

/* Page 10h is given once, to the recovery that follows the error. */
static void read_log(struct ahci_command *command)
{
	const struct ata_taskfile *taskfile = &command->taskfile;
	unsigned log = taskfile->lba & 0xFF, page = (unsigned)(taskfile->lba >> 8 & 0xFFFF);
	uint8_t data[SECTOR] = { 0 };

	if (taskfile->count != 1 || page != 0 || (log != LOG_DIRECTORY && log != LOG_QUEUED_ERROR)) {
		abort_command(command);
		return;
	}
	if (log == LOG_DIRECTORY) {
		pci_set16(data, 1); /* version */
		pci_set16(data + 2 * LOG_QUEUED_ERROR, 1);
	} else {
		memcpy(data, disk_of(command)->error_log, sizeof data);
	}
	ahci_command_reply(command, data, sizeof data);
}

void ata_note_queued_error(struct ahci_command *command, uint8_t error)
{
	const struct ata_taskfile *taskfile = &command->taskfile;
	uint8_t *log = disk_of(command)->error_log, sum = 0;

	memset(log, 0, SECTOR);
	log[0] = (uint8_t)command->slot;
	log[2] = ATA_DRDY | ATA_ERR;
	log[3] = error;
	for (unsigned i = 0; i < 3; i++) {
		log[4 + i] = (uint8_t)(taskfile->lba >> 8 * i);
		log[8 + i] = (uint8_t)(taskfile->lba >> 8 * (i + 3));
	}
	log[7] = taskfile->device;
	pci_set16(log + 12, taskfile->count);
	for (unsigned i = 0; i < SECTOR - 1; i++)
		sum = (uint8_t)(sum + log[i]);
	log[SECTOR - 1] = (uint8_t)-sum;
}

/* --- Power --- */

static void standby(struct ahci_command *command)
{
	disk_of(command)->settings.standby = true;
	flush(command);
}

static void idle(struct ahci_command *command)
{
	disk_of(command)->settings.standby = false;
	ahci_command_done(command);
}

static void check_power_mode(struct ahci_command *command)
{
	command->taskfile.count = disk_of(command)->settings.standby ? 0x00 : 0xFF;
	ahci_command_done(command);
}

static void diagnose(struct ahci_command *command)
{
	/* Ends with the signature, whose error field says that all is well. */
	command->taskfile.lba = ata_disk_ops.signature >> 8;
	command->taskfile.count = ata_disk_ops.signature & 0xFF;
	command->taskfile.device = 0;
	ahci_command_done(command);
	command->port->tfd |= 1u << 8;
}

struct ata_operation {
	void (*run)(struct ahci_command *command);
	enum ahci_protocol protocol;
	bool wakes; /* takes the disk out of standby */
};

static const struct ata_operation operations[256] = {
	[0x06] = { data_set_management, AHCI_DMA, true },
	[0x10] = { ahci_command_done, AHCI_NO_DATA, true }, /* RECALIBRATE */
	[0x20] = { read_short, AHCI_PIO_IN, true },
	[0x21] = { read_short, AHCI_PIO_IN, true },
	[0x24] = { read_long, AHCI_PIO_IN, true },
	[0x25] = { read_long, AHCI_DMA, true },
	[0x27] = { read_native_max, AHCI_NO_DATA },
	[0x29] = { read_multiple_long, AHCI_PIO_IN, true },
	[0x2F] = { read_log, AHCI_PIO_IN },
	[0x30] = { write_short, AHCI_PIO_OUT, true },
	[0x31] = { write_short, AHCI_PIO_OUT, true },
	[0x34] = { write_long, AHCI_PIO_OUT, true },
	[0x35] = { write_long, AHCI_DMA, true },
	[0x39] = { write_multiple_long, AHCI_PIO_OUT, true },
	[0x3D] = { write_long_fua, AHCI_DMA, true },
	[0x40] = { verify_short, AHCI_NO_DATA, true },
	[0x41] = { verify_short, AHCI_NO_DATA, true },
	[0x42] = { verify_long, AHCI_NO_DATA, true },
	[0x47] = { read_log, AHCI_DMA },
	[0x60] = { queued, AHCI_NCQ, true },
	[0x61] = { queued, AHCI_NCQ, true },
	[0x70] = { verify_short, AHCI_NO_DATA, true }, /* SEEK */
	[0x90] = { diagnose, AHCI_NO_DATA },
	[0x91] = { ahci_command_done, AHCI_NO_DATA }, /* INITIALIZE DEVICE PARAMETERS */
	[0xB0] = { ata_smart, AHCI_PIO_IN },
	[0xC4] = { read_multiple, AHCI_PIO_IN, true },
	[0xC5] = { write_multiple, AHCI_PIO_OUT, true },
	[0xC6] = { set_multiple_mode, AHCI_NO_DATA },
	[0xC8] = { read_short, AHCI_DMA, true },
	[0xC9] = { read_short, AHCI_DMA, true },
	[0xCA] = { write_short, AHCI_DMA, true },
	[0xCB] = { write_short, AHCI_DMA, true },
	[0xCE] = { write_multiple_long_fua, AHCI_PIO_OUT, true },
	[0xE0] = { standby, AHCI_NO_DATA },
	[0xE1] = { idle, AHCI_NO_DATA },
	[0xE2] = { standby, AHCI_NO_DATA },
	[0xE3] = { idle, AHCI_NO_DATA },
	[0xE5] = { check_power_mode, AHCI_NO_DATA },
	[0xE6] = { standby, AHCI_NO_DATA }, /* SLEEP */
	[0xE7] = { flush, AHCI_NO_DATA, true },
	[0xEA] = { flush, AHCI_NO_DATA, true },
	[0xEC] = { identify, AHCI_PIO_IN },
	[0xEF] = { set_features, AHCI_NO_DATA },
	[0xF8] = { read_native_max, AHCI_NO_DATA },
};

static void disk_execute(struct ahci_command *command)
{
	const struct ata_operation *operation = &operations[command->taskfile.command];

	if (!operation->run) {
		abort_command(command);
		return;
	}
	command->protocol = operation->protocol;
	if (operation->wakes)
		disk_of(command)->settings.standby = false;
	operation->run(command);
}

static void disk_reset(struct ahci_port *port)
{
	port->disk.settings = (struct ata_settings){ .write_cache = true, .multiple = MULTIPLE_MAX };
}

const struct ahci_drive_ops ata_disk_ops = {
	.signature = 0x00000101,
	.reset_status = ATA_DRDY | ATA_DSC,
	.execute = disk_execute,
	.reset = disk_reset,
};

void ata_disk_state(struct ahci_port *port, struct state *state)
{
	struct ata_settings *settings = &port->disk.settings;
	g_autofree char *prefix = g_strdup_printf("port%u_disk", port->number);
	uint8_t bytes[5] = { settings->write_cache, settings->standby, settings->smart_off, settings->multiple,
			     settings->transfer_mode };
	g_autofree char *log = g_strconcat(prefix, "_log", NULL);

	state_bytes(state, prefix, bytes, sizeof bytes);
	state_bytes(state, log, port->disk.error_log, sizeof port->disk.error_log);
	if (bytes[0] > 1 || bytes[1] > 1 || bytes[2] > 1 || bytes[3] > MULTIPLE_MAX)
		state_fail(state, "AHCI port %u: settings of the disk", port->number);
	else
		*settings = (struct ata_settings){ bytes[0], bytes[1], bytes[2], bytes[3], bytes[4] };
}
