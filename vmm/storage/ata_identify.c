/* What a disk says about itself: IDENTIFY DEVICE (ACS-3 section 7.12) and SMART. */
#include "ahci_internal.h"

#include <string.h>

#define MODEL "Oriel Disk"
#define FIRMWARE "1.0"

/* Words hold two characters each, the first one in the high byte. */
void ata_put_string(uint8_t *words, unsigned length, const char *text)
{
	size_t used = strlen(text);

	for (unsigned i = 0; i < length; i++)
		words[i ^ 1] = i < used ? (uint8_t)text[i] : ' ';
}

static void put(uint8_t *data, unsigned word, unsigned value)
{
	pci_set16(data + 2 * word, (uint16_t)value);
}

static void put_geometry(uint8_t *data, uint64_t sectors)
{
	uint64_t cylinders = MIN(sectors / (16 * 63), 16383);
	uint64_t addressable = cylinders * 16 * 63;
	uint64_t lba28 = MIN(sectors, 0x0FFFFFFFull);

	put(data, 1, (unsigned)cylinders);
	put(data, 3, 16);
	put(data, 6, 63);
	put(data, 54, (unsigned)cylinders);
	put(data, 55, 16);
	put(data, 56, 63);
	put(data, 57, (unsigned)(addressable & 0xFFFF));
	put(data, 58, (unsigned)(addressable >> 16));
	put(data, 60, (unsigned)(lba28 & 0xFFFF));
	put(data, 61, (unsigned)(lba28 >> 16));
	for (unsigned i = 0; i < 4; i++)
		put(data, 100 + i, (unsigned)(sectors >> 16 * i & 0xFFFF));
}

static void put_transfer_modes(uint8_t *data, const struct ata_settings *settings)
{
	unsigned mode = settings->transfer_mode;
	unsigned multiword = mode >> 3 == 4 ? 0x100u << (mode & 7) : 0;
	unsigned ultra = mode >> 3 == 8 ? 0x100u << (mode & 7) : 0;

	put(data, 53, 0x0007); /* words 54-58, 64-70 and 88 are valid */
	put(data, 63, (0x0007 | multiword) & 0x0707);
	put(data, 64, 0x0003); /* PIO 3 and 4 */
	for (unsigned word = 65; word <= 68; word++)
		put(data, word, 120); /* ns per word */
	put(data, 88, (0x007F | (multiword || ultra ? ultra : 0x4000)) & 0x7F7F);
}

static void put_features(uint8_t *data, const struct ata_settings *settings)
{
	const unsigned smart = 1 << 0, power = 1 << 3, write_cache = 1 << 5, look_ahead = 1 << 6, nop = 1 << 14;
	const unsigned lba48 = 1 << 10, flush = 1 << 12, flush_long = 1 << 13, valid = 1 << 14;
	const unsigned log = 1 << 5, fua = 1 << 6, name = 1 << 8;

	put(data, 82, smart | power | write_cache | look_ahead | nop);
	put(data, 83, lba48 | flush | flush_long | valid);
	put(data, 84, log | fua | name | valid);
	put(data, 85, (settings->smart_off ? 0 : smart) | power | (settings->write_cache ? write_cache : 0) |
	    look_ahead | nop);
	put(data, 86, lba48 | flush | flush_long);
	put(data, 87, log | fua | name | valid);
}

static void put_checksum(uint8_t *data)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < SECTOR - 1; i++)
		sum = (uint8_t)(sum + data[i]);
	data[SECTOR - 1] = (uint8_t)-sum;
}

void ata_identify(const struct ahci_port *port, uint8_t data[SECTOR])
{
	const struct ata_disk *disk = &port->disk;

	memset(data, 0, SECTOR);
	put(data, 0, 0x0040); /* fixed device */
	ata_put_string(data + 20, 20, disk->serial);
	ata_put_string(data + 46, 8, FIRMWARE);
	ata_put_string(data + 54, 40, MODEL);
	put(data, 47, 0x8010); /* 16 sectors at once in READ MULTIPLE */
	put(data, 49, 1 << 11 | 1 << 10 | 1 << 9 | 1 << 8); /* IORDY (can be off), LBA, DMA */
	put(data, 50, 0x4000);
	put(data, 59, disk->settings.multiple ? 0x0100 | disk->settings.multiple : 0);
	put_geometry(data, disk->sectors);
	put_transfer_modes(data, &disk->settings);
	put(data, 75, AHCI_SLOTS - 1);
	put(data, 76, 1 << 8 | 7 << 1); /* NCQ, SATA generations 1 to 3 */
	put(data, 77, 3 << 1);          /* now at generation 3 */
	put(data, 80, 0x07F0);          /* ATA-4 to ACS-3 */
	put_features(data, &disk->settings);
	put(data, 106, 0x6003); /* a physical sector is 8 logical ones */
	for (unsigned i = 0; i < 4; i++)
		put(data, 108 + i, (unsigned)(disk->name >> (48 - 16 * i) & 0xFFFF));
	put(data, 209, 0x4000); /* logical sector 0 begins a physical one */
	if (disk->ssd) {
		put(data, 105, 8);
		put(data, 169, 1);
		put(data, 217, 1); /* does not rotate */
	} else {
		put(data, 217, 7200);
	}
	put(data, 222, 0x1020); /* serial transport, SATA 3.0 */
	data[510] = 0xA5;
	put_checksum(data);
}

/* --- SMART (ACS-3 section 7.48): always healthy --- */

#define SMART_KEY 0xC24F /* LBA bits 23:8 */

static void smart_data(struct ahci_command *command)
{
	/* power-on hours and power cycles, as drives report them: id, flags, current, worst, raw */
	static const uint8_t attributes[][12] = {
		{ 0x09, 0x32, 0x00, 100, 100, 1 },
		{ 0x0C, 0x32, 0x00, 100, 100, 1 },
		{ 0x05, 0x33, 0x00, 100, 100, 0 }, /* reallocated sectors */
	};
	uint8_t data[SECTOR] = { 0 };

	pci_set16(data, 16);
	memcpy(data + 2, attributes, sizeof attributes);
	data[362] = 0; /* off-line data collection never started */
	data[367] = 0; /* and is not there */
	put_checksum(data);
	ahci_command_reply(command, data, sizeof data);
}

static void smart_thresholds(struct ahci_command *command)
{
	uint8_t data[SECTOR] = { 0 };
	static const uint8_t ids[] = { 0x09, 0x0C, 0x05 };

	pci_set16(data, 16);
	for (unsigned i = 0; i < sizeof ids; i++)
		data[2 + 12 * i] = ids[i];
	put_checksum(data);
	ahci_command_reply(command, data, sizeof data);
}

void ata_smart(struct ahci_command *command)
{
	struct ata_settings *settings = &command->port->disk.settings;
	unsigned feature = command->taskfile.features & 0xFF;

	command->protocol = AHCI_NO_DATA;
	if ((command->taskfile.lba >> 8 & 0xFFFF) != SMART_KEY || (settings->smart_off && feature != 0xD8)) {
		ahci_command_failed(command, ATA_ABRT);
		return;
	}
	switch (feature) {
	case 0xD0:
		command->protocol = AHCI_PIO_IN;
		smart_data(command);
		return;
	case 0xD1:
		command->protocol = AHCI_PIO_IN;
		smart_thresholds(command);
		return;
	case 0xD8:
		settings->smart_off = false;
		break;
	case 0xD9:
		settings->smart_off = true;
		break;
	case 0xD2: /* attribute autosave */
	case 0xDA: /* RETURN STATUS: the key unchanged means healthy */
		break;
	default:
		ahci_command_failed(command, ATA_ABRT);
		return;
	}
	ahci_command_done(command);
}
