/* A CD/DVD drive: the ATA side, and the packet commands that move or change something (MMC-5, SPC-3). */
#include "ahci_internal.h"

#include <string.h>

#define REASON_COMMAND 1 /* interrupt reason, in the count field (ACS-3 section 7.18) */
#define REASON_TO_HOST 2

static struct cd_drive *drive_of(struct ahci_command *command)
{
	return &command->port->cd;
}

uint32_t cd_sectors(const struct ahci_port *port)
{
	return port->block ? (uint32_t)MIN(block_size(port->block) / CD_SECTOR, UINT32_MAX) : 0;
}

/* --- Ending packet commands --- */

static void packet_done(struct ahci_command *command)
{
	command->taskfile.count = REASON_COMMAND | REASON_TO_HOST;
	ahci_command_done(command);
}

void cd_check(struct ahci_command *command, enum scsi_key key, unsigned code)
{
	drive_of(command)->sense = scsi_sense(key, code);
	command->taskfile.count = REASON_COMMAND | REASON_TO_HOST;
	ahci_command_failed(command, (uint8_t)(key << 4 | ATA_ABRT));
}

void cd_reply(struct ahci_command *command, const uint8_t *data, unsigned length, unsigned allocation)
{
	command->taskfile.count = REASON_COMMAND | REASON_TO_HOST;
	length = MIN(length, allocation);
	/* The byte count of the last burst, for drivers that do PIO. */
	command->taskfile.lba = (command->taskfile.lba & 0xFF) | (uint64_t)length << 8;
	ahci_command_reply(command, data, length);
}

static bool medium_missing(struct ahci_command *command)
{
	if (command->port->block)
		return false;
	cd_check(command, SCSI_NOT_READY, drive_of(command)->tray_open ? SCSI_TRAY_OPEN : SCSI_NO_MEDIUM);
	return true;
}

/* --- Packet commands --- */

static void test_unit_ready(struct ahci_command *command)
{
	packet_done(command);
}

static void request_sense(struct ahci_command *command)
{
	struct cd_drive *drive = drive_of(command);
	struct scsi_sense sense = drive->sense;
	uint8_t data[SCSI_SENSE_SIZE];

	if (!sense.key && drive->attention.key) {
		sense = drive->attention;
		drive->attention = (struct scsi_sense){ 0 };
	}
	scsi_put_sense(sense, data);
	drive->sense = (struct scsi_sense){ 0 };
	cd_reply(command, data, sizeof data, command->packet[4]);
}

static void read_finished(struct ahci_command *command, int error)
{
	if (error)
		cd_check(command, SCSI_MEDIUM_ERROR, SCSI_READ_ERROR);
	else
		packet_done(command);
}

static void read_sectors(struct ahci_command *command, uint64_t lba, uint64_t count)
{
	uint64_t sectors = cd_sectors(command->port);

	if (lba > sectors || count > sectors - lba)
		cd_check(command, SCSI_ILLEGAL_REQUEST, SCSI_OUT_OF_RANGE);
	else if (count == 0)
		packet_done(command);
	else if (ahci_command_map(command, count * CD_SECTOR))
		ahci_command_submit(command, BLOCK_READ, lba * CD_SECTOR, count * CD_SECTOR, read_finished);
}

static void read_blocks(struct ahci_command *command)
{
	uint64_t lba;
	uint32_t count;

	scsi_block_range(command->packet, &lba, &count);
	read_sectors(command, lba, count);
}

/* Only the user data of data sectors: an image of 2048-byte sectors has nothing else. */
static void read_cd(struct ahci_command *command)
{
	const uint8_t *packet = command->packet;
	unsigned type = packet[1] >> 2 & 7, fields = packet[9] & 0xF8, subchannel = packet[10] & 7;
	uint64_t count = get_be32(packet + 5) & 0xFFFFFF;

	if ((type != 0 && type != 2 && type != 4) || subchannel || (fields != 0x10 && fields != 0))
		cd_check(command, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_FIELD);
	else
		read_sectors(command, get_be32(packet + 2), fields ? count : 0);
}

static void read_capacity(struct ahci_command *command)
{
	uint8_t data[8];

	put_be32(data, cd_sectors(command->port) - 1);
	put_be32(data + 4, CD_SECTOR);
	cd_reply(command, data, sizeof data, sizeof data);
}

static void seek(struct ahci_command *command)
{
	if (get_be32(command->packet + 2) >= cd_sectors(command->port))
		cd_check(command, SCSI_ILLEGAL_REQUEST, SCSI_OUT_OF_RANGE);
	else
		packet_done(command);
}

static void prevent_removal(struct ahci_command *command)
{
	drive_of(command)->locked = command->packet[4] & 1;
	packet_done(command);
}

static void start_stop(struct ahci_command *command)
{
	bool start = command->packet[4] & 1, tray = command->packet[4] & 2;
	struct cd_drive *drive = drive_of(command);

	if (tray && !start && drive->locked && command->port->block) {
		cd_check(command, SCSI_ILLEGAL_REQUEST, SCSI_REMOVAL_PREVENTED);
		return;
	}
	if (tray && !start)
		cd_remove_disc(command->port);
	else if (tray)
		drive->tray_open = false;
	packet_done(command);
}

enum cd_requirement {
	CD_MEDIUM = 1 << 0,       /* NOT READY without a disc */
	CD_ANY_TIME = 1 << 1,     /* runs although a unit attention waits (SPC-3 section 5.9) */
	CD_KEEPS_SENSE = 1 << 2,
};

static const struct {
	void (*run)(struct ahci_command *command);
	unsigned requirements;
} packets[256] = {
	[0x00] = { test_unit_ready, CD_MEDIUM },
	[0x03] = { request_sense, CD_ANY_TIME | CD_KEEPS_SENSE },
	[0x12] = { cd_inquiry, CD_ANY_TIME },
	[0x1A] = { cd_mode_sense_6, 0 },
	[0x1B] = { start_stop, 0 },
	[0x1E] = { prevent_removal, 0 },
	[0x25] = { read_capacity, CD_MEDIUM },
	[0x28] = { read_blocks, CD_MEDIUM },
	[0x2B] = { seek, CD_MEDIUM },
	[0x42] = { cd_read_subchannel, CD_MEDIUM },
	[0x43] = { cd_read_toc, CD_MEDIUM },
	[0x46] = { cd_get_configuration, CD_ANY_TIME },
	[0x4A] = { cd_get_event_status, CD_ANY_TIME },
	[0x51] = { cd_read_disc_information, CD_MEDIUM },
	[0x52] = { cd_read_track_information, CD_MEDIUM },
	[0x5A] = { cd_mode_sense_10, 0 },
	[0xA8] = { read_blocks, CD_MEDIUM },
	[0xAD] = { cd_read_dvd_structure, CD_MEDIUM },
	[0xBB] = { packet_done, 0 }, /* SET CD SPEED */
	[0xBD] = { cd_mechanism_status, 0 },
	[0xBE] = { read_cd, CD_MEDIUM },
};

static void run_packet(struct ahci_command *command)
{
	struct cd_drive *drive = drive_of(command);
	unsigned operation = command->packet[0], requirements = packets[operation].requirements;

	command->protocol = AHCI_PACKET;
	if (!packets[operation].run) {
		cd_check(command, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_OPCODE);
		return;
	}
	if (drive->attention.key && !(requirements & CD_ANY_TIME)) {
		struct scsi_sense sense = drive->attention;

		drive->attention = (struct scsi_sense){ 0 };
		cd_check(command, SCSI_UNIT_ATTENTION, (unsigned)sense.asc << 8 | sense.ascq);
		return;
	}
	if (requirements & CD_MEDIUM && medium_missing(command))
		return;
	if (!(requirements & CD_KEEPS_SENSE))
		drive->sense = (struct scsi_sense){ 0 };
	packets[operation].run(command);
}

/* --- ATA commands --- */

static void identify_packet(struct ahci_command *command)
{
	uint8_t data[SECTOR] = { 0 }, sum = 0;
	char serial[20];
	static const struct { uint8_t word; uint16_t value; } words[] = {
		{ 0, 0x85C0 },   /* ATAPI, CD/DVD, removable, 12-byte packets, DRQ within 50 us */
		{ 49, 0x0F00 },  /* DMA, LBA, IORDY */
		{ 50, 0x4000 }, { 53, 0x0006 }, { 63, 0x0007 }, { 64, 0x0003 },
		{ 65, 120 }, { 66, 120 }, { 67, 120 }, { 68, 120 },
		{ 76, 0x000E },  /* SATA generations 1 to 3 */
		{ 77, 0x0006 }, { 78, 1 << 5 }, /* asynchronous notification */
		{ 80, 0x01F0 }, { 82, 0x4210 }, /* NOP, DEVICE RESET, PACKET */
		{ 83, 0x4000 }, { 84, 0x4000 }, { 85, 0x4210 }, { 87, 0x4000 }, { 88, 0x407F },
		{ 222, 0x1020 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
		pci_set16(data + 2 * words[i].word, words[i].value);
	pci_set16(data + 2 * 79, drive_of(command)->notify ? 1 << 5 : 0);
	g_snprintf(serial, sizeof serial, "OR-CD%u", command->port->number);
	ata_put_string(data + 20, 20, serial);
	ata_put_string(data + 46, 8, "1.0");
	ata_put_string(data + 54, 40, "Oriel DVD-ROM");
	data[510] = 0xA5;
	for (unsigned i = 0; i < SECTOR - 1; i++)
		sum = (uint8_t)(sum + data[i]);
	data[SECTOR - 1] = (uint8_t)-sum;
	command->protocol = AHCI_PIO_IN;
	ahci_command_reply(command, data, sizeof data);
}

static void set_features(struct ahci_command *command)
{
	unsigned feature = command->taskfile.features & 0xFF, count = command->taskfile.count & 0xFF;

	if (feature == 0x03 || feature == 0x66 || feature == 0xCC) {
		ahci_command_done(command);
	} else if ((feature == 0x10 || feature == 0x90) && count == 0x05) {
		drive_of(command)->notify = feature == 0x10;
		ahci_command_done(command);
	} else {
		ahci_command_failed(command, ATA_ABRT);
	}
}

/* Commands that tell a disk from a packet device end with the signature (ACS-3 section 7.12.4). */
static void not_a_disk(struct ahci_command *command)
{
	command->taskfile.lba = atapi_cd_ops.signature >> 8;
	command->taskfile.count = atapi_cd_ops.signature & 0xFF;
	ahci_command_failed(command, ATA_ABRT);
}

static void device_reset(struct ahci_command *command)
{
	command->taskfile.lba = atapi_cd_ops.signature >> 8;
	command->taskfile.count = atapi_cd_ops.signature & 0xFF;
	ahci_command_done(command);
}

static const struct {
	uint8_t command;
	void (*run)(struct ahci_command *command);
} commands[] = {
	{ 0xA0, run_packet },
	{ 0xA1, identify_packet },
	{ 0x08, device_reset },
	{ 0x90, device_reset }, /* EXECUTE DEVICE DIAGNOSTIC */
	{ 0xE1, ahci_command_done }, /* IDLE IMMEDIATE */
	{ 0xE0, ahci_command_done }, /* STANDBY IMMEDIATE */
	{ 0xE7, ahci_command_done }, /* FLUSH CACHE */
	{ 0xEF, set_features },
	{ 0xEC, not_a_disk },
	{ 0x20, not_a_disk },
};

static void cd_execute(struct ahci_command *command)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (commands[i].command == command->taskfile.command) {
			commands[i].run(command);
			return;
		}
	}
	ahci_command_failed(command, ATA_ABRT);
}

static void cd_reset(struct ahci_port *port)
{
	port->cd.locked = false;
	port->cd.notify = false;
	port->cd.sense = (struct scsi_sense){ 0 };
	port->cd.attention = (struct scsi_sense){ SCSI_UNIT_ATTENTION, SCSI_POWER_ON >> 8, 0 };
}

const struct ahci_drive_ops atapi_cd_ops = {
	.signature = 0xEB140101,
	.reset_status = 0,
	.execute = cd_execute,
	.reset = cd_reset,
};

/* Which disc is in the drive is for the machine's configuration to say. */
void atapi_cd_state(struct ahci_port *port, struct state *state)
{
	g_autofree char *name = g_strdup_printf("port%u_cd", port->number);
	struct cd_drive *cd = &port->cd;
	uint8_t bytes[10] = { cd->tray_open, cd->locked, cd->notify, cd->event, cd->sense.key, cd->sense.asc,
			      cd->sense.ascq, cd->attention.key, cd->attention.asc, cd->attention.ascq };

	state_bytes(state, name, bytes, sizeof bytes);
	if (bytes[0] > 1 || bytes[1] > 1 || bytes[2] > 1 || bytes[3] > CD_EVENT_REMOVED || bytes[4] > 15 ||
	    bytes[7] > 15) {
		state_fail(state, "AHCI port %u: state of the CD drive", port->number);
		return;
	}
	cd->tray_open = bytes[0] && !port->block;
	cd->locked = bytes[1];
	cd->notify = bytes[2];
	cd->event = bytes[3];
	cd->sense = (struct scsi_sense){ bytes[4], bytes[5], bytes[6] };
	cd->attention = (struct scsi_sense){ bytes[7], bytes[8], bytes[9] };
}
