/* The stick's commands: a removable direct-access device (SPC-3, SBC-3). */
#include <string.h>

#include "storage_internal.h"

#define PAGE_CACHING 0x08
#define PAGE_ALL 0x3F
#define WRITE_PROTECT 0x80
#define FORCE_UNIT_ACCESS 0x08

static uint64_t sectors(const struct usb_storage *storage)
{
	return block_size(storage->block) / SECTOR;
}

void storage_fail(struct usb_storage *storage, enum scsi_key key, unsigned code)
{
	storage->status = STATUS_FAILED;
	storage->answer = ANSWER_NONE;
	storage->sense = scsi_sense(key, code);
}

static void reply(struct usb_storage *storage, const uint8_t *data, unsigned length, unsigned allocation)
{
	g_byte_array_append(storage->data, data, MIN(length, allocation));
	storage->answer = ANSWER_DATA;
}

static void nothing(struct usb_storage *storage)
{
	(void)storage;
}

static void request_sense(struct usb_storage *storage)
{
	uint8_t data[SCSI_SENSE_SIZE];

	if (!storage->sense.key) {
		storage->sense = storage->attention;
		storage->attention = (struct scsi_sense){ 0 };
	}
	scsi_put_sense(storage->sense, data);
	storage->sense = (struct scsi_sense){ 0 };
	reply(storage, data, sizeof data, storage->cdb[4]);
}

static void inquiry_page(struct usb_storage *storage, unsigned allocation)
{
	static const uint8_t pages[] = { 0, 0x00, 0, 2, 0x00, 0x80 };
	uint8_t serial[4 + sizeof storage->serial] = { 0, 0x80, 0, (uint8_t)strlen(storage->serial) };

	memcpy(serial + 4, storage->serial, serial[3]);
	if (storage->cdb[2] == 0x00)
		reply(storage, pages, sizeof pages, allocation);
	else if (storage->cdb[2] == 0x80)
		reply(storage, serial, 4u + serial[3], allocation);
	else
		storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_FIELD);
}

static void inquiry(struct usb_storage *storage)
{
	unsigned allocation = get_be16(storage->cdb + 3);
	uint8_t data[SCSI_INQUIRY_SIZE];

	if (storage->cdb[1] & 1) {
		inquiry_page(storage, allocation);
		return;
	}
	scsi_put_inquiry(data, 0, 5, 2, "USB STICK");
	reply(storage, data, sizeof data, allocation);
}

/* Header and the caching page, whose WCE says that flushes are needed. */
static void mode_sense(struct usb_storage *storage, unsigned header, unsigned allocation)
{
	static const uint8_t caching[20] = { PAGE_CACHING, 18, 0x04 };
	unsigned page = storage->cdb[2] & 0x3F, control = storage->cdb[2] >> 6, length = header;
	uint8_t data[8 + sizeof caching] = { 0 };

	if (control == 3) {
		storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_SAVING_NOT_SUPPORTED);
		return;
	}
	if (page != PAGE_CACHING && page != PAGE_ALL) {
		storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_FIELD);
		return;
	}
	memcpy(data + header, caching, sizeof caching);
	if (control == 1)
		data[header + 2] = 0; /* nothing can be changed */
	length += sizeof caching;
	data[header == 4 ? 2 : 3] = block_read_only(storage->block) ? WRITE_PROTECT : 0;
	if (header == 4)
		data[0] = (uint8_t)(length - 1);
	else
		put_be16(data, length - 2);
	reply(storage, data, length, allocation);
}

static void mode_sense_6(struct usb_storage *storage)
{
	mode_sense(storage, 4, storage->cdb[4]);
}

static void mode_sense_10(struct usb_storage *storage)
{
	mode_sense(storage, 8, get_be16(storage->cdb + 7));
}

static void prevent_removal(struct usb_storage *storage)
{
	storage->locked = storage->cdb[4] & 1;
}

static void start_stop(struct usb_storage *storage)
{
	storage->answer = ANSWER_FLUSH;
}

static void flush(struct usb_storage *storage)
{
	storage->answer = ANSWER_FLUSH;
}

static void read_format_capacities(struct usb_storage *storage)
{
	uint8_t data[12] = { 0, 0, 0, 8 };

	put_be32(data + 4, (uint32_t)MIN(sectors(storage), UINT32_MAX));
	put_be32(data + 8, 2u << 24 | SECTOR); /* formatted medium */
	reply(storage, data, sizeof data, get_be16(storage->cdb + 7));
}

static void read_capacity_10(struct usb_storage *storage)
{
	uint8_t data[8];

	put_be32(data, (uint32_t)MIN(sectors(storage) - 1, UINT32_MAX));
	put_be32(data + 4, SECTOR);
	reply(storage, data, sizeof data, sizeof data);
}

static void read_capacity_16(struct usb_storage *storage)
{
	uint8_t data[32] = { 0 };

	if ((storage->cdb[1] & 0x1F) != 0x10) {
		storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_FIELD);
		return;
	}
	put_be64(data, sectors(storage) - 1);
	put_be32(data + 8, SECTOR);
	reply(storage, data, sizeof data, get_be32(storage->cdb + 10));
}

static void report_luns(struct usb_storage *storage)
{
	static const uint8_t data[16] = { 0, 0, 0, 8 };

	reply(storage, data, sizeof data, get_be32(storage->cdb + 6));
}

static bool take_range(struct usb_storage *storage)
{
	uint32_t count;
	uint64_t lba;

	scsi_block_range(storage->cdb, &lba, &count);
	if (lba > sectors(storage) || count > sectors(storage) - lba) {
		storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_OUT_OF_RANGE);
		return false;
	}
	storage->position = lba * SECTOR;
	storage->device_left = (uint64_t)count * SECTOR;
	return true;
}

static void read_blocks(struct usb_storage *storage)
{
	if (take_range(storage) && storage->device_left)
		storage->answer = ANSWER_READ;
}

static void write_blocks(struct usb_storage *storage)
{
	if (block_read_only(storage->block)) {
		storage_fail(storage, SCSI_DATA_PROTECT, SCSI_WRITE_PROTECTED);
		return;
	}
	if (!take_range(storage) || !storage->device_left)
		return;
	storage->answer = ANSWER_WRITE;
	storage->request.force_unit_access = storage->cdb[0] != 0x0A && storage->cdb[1] & FORCE_UNIT_ACCESS;
}

/* What is written is what will be read: there is no surface to look at. */
static void verify(struct usb_storage *storage)
{
	if (storage->cdb[1] & 2)
		storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_FIELD);
	else
		take_range(storage);
	storage->device_left = 0;
}

static const struct {
	void (*run)(struct usb_storage *storage);
	bool any_time; /* although a unit attention waits (SPC-3 section 5.9) */
} commands[256] = {
	[0x00] = { nothing }, /* TEST UNIT READY */
	[0x03] = { request_sense, true },
	[0x08] = { read_blocks },
	[0x0A] = { write_blocks },
	[0x12] = { inquiry, true },
	[0x1A] = { mode_sense_6 },
	[0x1B] = { start_stop },
	[0x1E] = { prevent_removal },
	[0x23] = { read_format_capacities },
	[0x25] = { read_capacity_10 },
	[0x28] = { read_blocks },
	[0x2A] = { write_blocks },
	[0x2F] = { verify },
	[0x35] = { flush },
	[0x5A] = { mode_sense_10 },
	[0x88] = { read_blocks },
	[0x8A] = { write_blocks },
	[0x8F] = { verify },
	[0x91] = { flush },
	[0x9E] = { read_capacity_16 },
	[0xA0] = { report_luns, true },
	[0xA8] = { read_blocks },
	[0xAA] = { write_blocks },
};

void storage_execute(struct usb_storage *storage)
{
	uint8_t opcode = storage->cdb[0];

	storage->status = STATUS_PASSED;
	storage->answer = ANSWER_NONE;
	storage->request.force_unit_access = false;
	if (opcode != 0x03)
		storage->sense = (struct scsi_sense){ 0 };
	if (!commands[opcode].run) {
		storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_OPCODE);
	} else if (storage->attention.key && !commands[opcode].any_time) {
		storage->status = STATUS_FAILED;
		storage->sense = storage->attention;
		storage->attention = (struct scsi_sense){ 0 };
	} else {
		commands[opcode].run(storage);
	}
}
