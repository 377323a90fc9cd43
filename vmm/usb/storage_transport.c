/*
 * Bulk-Only Transport. Where host and command disagree about the amount of data (section 6.7), short packets and bytes
 * that are dropped do what stalls would: firmware that does not recover from stalls can go on, and so can everybody else.
 */
#include <string.h>

#include "../pci/pci.h"
#include "storage_internal.h"

#define CBW_SIZE 31
#define CBW_SIGNATURE 0x43425355
#define CSW_SIZE 13
#define CSW_SIGNATURE 0x53425355
#define IOV_KEPT 64

/* --- The image --- */

static void submit(struct usb_storage *storage, enum block_operation operation, uint64_t length,
		   void (*done)(struct block_request *request, int error))
{
	storage->request.operation = operation;
	storage->request.offset = storage->position;
	storage->request.length = length;
	storage->request.done = done;
	storage->request.iov = storage->iov;
	storage->io = true;
	block_submit(storage->block, &storage->request);
}

static struct usb_storage *finished(struct block_request *request)
{
	struct usb_storage *storage = (struct usb_storage *)((char *)request -
				      G_STRUCT_OFFSET(struct usb_storage, request));

	storage->io = false;
	if (storage->iov_capacity > IOV_KEPT) {
		g_clear_pointer(&storage->iov, g_free);
		storage->iov_capacity = 0;
	}
	return storage->discarding ? NULL : storage;
}

static void image_failed(struct usb_storage *storage)
{
	storage_fail(storage, SCSI_MEDIUM_ERROR, storage->request.operation == BLOCK_READ ? SCSI_READ_ERROR :
		     SCSI_WRITE_ERROR);
	storage->device_left = 0;
}

/* The first length bytes of the transfer's buffers. */
static void map(struct usb_storage *storage, const struct usb_transfer *transfer, size_t length)
{
	unsigned count = 0;

	if (storage->iov_capacity < transfer->iov_count) {
		storage->iov_capacity = transfer->iov_count;
		storage->iov = g_renew(struct iovec, storage->iov, storage->iov_capacity);
	}
	for (; length; count++) {
		storage->iov[count] = transfer->iov[count];
		storage->iov[count].iov_len = MIN(storage->iov[count].iov_len, length);
		length -= storage->iov[count].iov_len;
	}
	storage->request.iov_count = count;
}

static void map_data(struct usb_storage *storage)
{
	if (!storage->iov_capacity) {
		storage->iov_capacity = 1;
		storage->iov = g_new(struct iovec, 1);
	}
	storage->iov[0] = (struct iovec){ storage->data->data, storage->data->len };
	storage->request.iov_count = 1;
}

static void flushed(struct block_request *request, int error)
{
	struct usb_storage *storage = finished(request);

	if (!storage)
		return;
	if (error)
		image_failed(storage);
	else
		storage->dirty = false;
	storage->phase = PHASE_STATUS;
	storage_process(storage);
}

static void start_flush(struct usb_storage *storage)
{
	storage->phase = PHASE_WORKING;
	storage->position = 0;
	storage->request.iov_count = 0;
	submit(storage, BLOCK_FLUSH, 0, flushed);
}

/* --- Data stage --- */

static void moved(struct usb_storage *storage, size_t length, size_t useful)
{
	storage->begun |= length != 0;
	storage->host_left -= (uint32_t)length;
	storage->residue -= (uint32_t)useful;
	storage->device_left -= useful;
	storage->position += useful;
}

/* A host that expects less than the command moves is told that the two have lost each other (section 6.7). */
static void end_data(struct usb_storage *storage)
{
	if (storage->device_left && storage->status == STATUS_PASSED)
		storage->status = STATUS_PHASE_ERROR;
	storage->phase = PHASE_STATUS;
}

static void end_in(struct usb_storage *storage, size_t length)
{
	struct usb_transfer *transfer = storage->in;

	moved(storage, length, length);
	if (!storage->host_left || length < transfer->length)
		end_data(storage);
	storage->in = NULL;
	usb_complete(transfer, USB_DONE, length);
}

static void read_done(struct block_request *request, int error)
{
	size_t length = request->length;
	struct usb_storage *storage = finished(request);

	if (!storage)
		return;
	if (error)
		image_failed(storage);
	end_in(storage, error ? 0 : length);
	storage_process(storage);
}

static void buffer_read(struct block_request *request, int error)
{
	struct usb_storage *storage = finished(request);

	if (!storage)
		return;
	if (error)
		image_failed(storage);
	else
		storage->answer = ANSWER_DATA;
	storage_process(storage);
}

/* Whether a transfer of this length is served by whole sectors of the image, or else the whole command is buffered. */
static bool fits_sectors(struct usb_storage *storage, size_t length)
{
	if (length % SECTOR == 0)
		return true;
	if (!storage->begun && storage->device_left <= STORAGE_BUFFER_MAX) {
		storage->buffered = true;
		return false;
	}
	storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_FIELD);
	storage->status = STATUS_PHASE_ERROR;
	storage->device_left = 0;
	return false;
}

static void data_in(struct usb_storage *storage)
{
	size_t length = (size_t)MIN(MIN(storage->in->length, storage->host_left), storage->device_left);

	if (storage->answer == ANSWER_READ && length && !storage->buffered && fits_sectors(storage, length)) {
		map(storage, storage->in, length);
		submit(storage, BLOCK_READ, length, read_done);
		return;
	}
	if (storage->answer == ANSWER_READ && storage->buffered) {
		g_byte_array_set_size(storage->data, (guint)storage->device_left);
		map_data(storage);
		submit(storage, BLOCK_READ, storage->data->len, buffer_read);
		return;
	}
	if (storage->answer != ANSWER_DATA || !storage->device_left) {
		end_in(storage, 0);
		return;
	}
	length = usb_put(storage->in, 0, storage->data->data + storage->data_place, length);
	storage->data_place += (uint32_t)length;
	end_in(storage, length);
}

static void end_out(struct usb_storage *storage, size_t length, size_t useful)
{
	struct usb_transfer *transfer = storage->out;

	moved(storage, length, useful);
	if (!storage->host_left)
		end_data(storage);
	storage->out = NULL;
	usb_complete(transfer, USB_DONE, length);
}

static void write_done(struct block_request *request, int error)
{
	size_t useful = request->length, length;
	struct usb_storage *storage = finished(request);

	if (!storage)
		return;
	length = MIN(storage->out->length, storage->host_left);
	storage->dirty = true;
	if (error)
		image_failed(storage);
	end_out(storage, length, error ? 0 : useful);
	storage_process(storage);
}

/* All of the buffered command has come; its bytes have been counted. */
static void buffer_written(struct block_request *request, int error)
{
	struct usb_storage *storage = finished(request);

	if (!storage)
		return;
	storage->dirty = true;
	storage->answer = ANSWER_NONE;
	if (error)
		image_failed(storage);
	storage->phase = storage->host_left ? PHASE_DATA_OUT : PHASE_STATUS;
	storage_process(storage);
}

static void start_buffer_write(struct usb_storage *storage)
{
	storage->phase = PHASE_WORKING;
	map_data(storage);
	submit(storage, BLOCK_WRITE, storage->data->len, buffer_written);
}

static void collect(struct usb_storage *storage, size_t length, size_t useful)
{
	guint before = storage->data->len;
	uint64_t start = storage->position - before;

	g_byte_array_set_size(storage->data, before + (guint)useful);
	useful = usb_take(storage->out, 0, storage->data->data + before, useful);
	end_out(storage, length, useful);
	if (storage->device_left || storage->status != STATUS_PASSED)
		return;
	storage->position = start;
	start_buffer_write(storage);
}

static void data_out(struct usb_storage *storage)
{
	size_t length = MIN(storage->out->length, storage->host_left);
	size_t useful = (size_t)MIN(length, storage->device_left);

	if (storage->answer != ANSWER_WRITE || storage->status != STATUS_PASSED || !useful)
		end_out(storage, length, 0);
	else if (!storage->buffered && fits_sectors(storage, useful)) {
		map(storage, storage->out, useful);
		submit(storage, BLOCK_WRITE, useful, write_done);
	} else if (storage->buffered)
		collect(storage, length, useful);
	else
		end_out(storage, length, 0);
}

/* --- Command and status --- */

static void start_command(struct usb_storage *storage, const uint8_t *cbw)
{
	storage->tag = pci_get32(cbw + 4);
	storage->host_left = storage->residue = pci_get32(cbw + 8);
	storage->to_host = cbw[12] & 0x80;
	memset(storage->cdb, 0, sizeof storage->cdb);
	memcpy(storage->cdb, cbw + 15, MIN(cbw[14], sizeof storage->cdb));
	storage->device_left = storage->position = 0;
	storage->buffered = storage->begun = false;
	storage->data_place = 0;
	g_byte_array_set_size(storage->data, 0);
	storage_execute(storage);
	if (storage->answer == ANSWER_DATA)
		storage->device_left = storage->data->len;
	if (storage->answer == ANSWER_FLUSH && storage->host_left)
		storage_fail(storage, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_FIELD);
	/* Ways that do not agree (section 6.7, cases 3, 8 and 10). */
	if (storage->device_left && storage->host_left && storage->to_host == (storage->answer == ANSWER_WRITE)) {
		storage->status = STATUS_PHASE_ERROR;
		storage->answer = ANSWER_NONE;
		storage->device_left = 0;
	}
	if (storage->answer == ANSWER_FLUSH)
		start_flush(storage);
	else if (!storage->host_left)
		end_data(storage);
	else
		storage->phase = storage->to_host ? PHASE_DATA_IN : PHASE_DATA_OUT;
}

/*
 * Sections 6.2.1 and 6.2.2. A wrapper that comes before the last status was taken begins anew: its host has given up
 * on the command before.
 */
static void command_wrapper(struct usb_storage *storage)
{
	struct usb_transfer *transfer = storage->out;
	uint8_t cbw[CBW_SIZE];
	bool valid = transfer->length == CBW_SIZE && usb_take(transfer, 0, cbw, CBW_SIZE) == CBW_SIZE &&
		     pci_get32(cbw) == CBW_SIGNATURE && !(cbw[12] & 0x7F) && cbw[13] == 0 && cbw[14] >= 1 && cbw[14] <= 16;

	storage->out = NULL;
	if (!valid) {
		storage->phase = PHASE_BROKEN;
		usb_complete(transfer, USB_STALL, 0);
		return;
	}
	start_command(storage, cbw);
	usb_complete(transfer, USB_DONE, CBW_SIZE);
}

static void send_status(struct usb_storage *storage)
{
	struct usb_transfer *transfer = storage->in;
	uint8_t csw[CSW_SIZE];

	pci_set32(csw, CSW_SIGNATURE);
	pci_set32(csw + 4, storage->tag);
	pci_set32(csw + 8, storage->residue);
	csw[12] = storage->status;
	storage->phase = PHASE_COMMAND;
	storage->in = NULL;
	usb_complete(transfer, USB_DONE, usb_put(transfer, 0, csw, sizeof csw));
}

static void stall(struct usb_transfer **place)
{
	struct usb_transfer *transfer = *place;

	*place = NULL;
	usb_complete(transfer, USB_STALL, 0);
}

/* One step; false: something has to come first. */
static bool step(struct usb_storage *storage)
{
	if (storage->io)
		return false;
	if (storage->phase == PHASE_BROKEN && storage->out)
		stall(&storage->out);
	else if (storage->phase == PHASE_BROKEN && storage->in)
		stall(&storage->in);
	else if (storage->phase == PHASE_DATA_OUT && storage->out)
		data_out(storage);
	else if (storage->phase != PHASE_WORKING && storage->out)
		command_wrapper(storage);
	else if (storage->phase == PHASE_DATA_IN && storage->in)
		data_in(storage);
	else if (storage->phase == PHASE_STATUS && storage->in)
		send_status(storage);
	else
		return false;
	return true;
}

void storage_restart(struct usb_storage *storage)
{
	if (storage->phase == PHASE_WORKING && storage->answer == ANSWER_WRITE)
		start_buffer_write(storage);
	else if (storage->phase == PHASE_WORKING)
		start_flush(storage);
	storage_process(storage);
}

/* Goes on as far as it can: transfers and requests that end at once bring more of them from within. */
void storage_process(struct usb_storage *storage)
{
	bool more;

	if (storage->processing || storage->discarding)
		return;
	storage->processing = true;
	do {
		more = step(storage);
		if (storage->io) {
			block_kick(storage->block);
			more |= block_poll(storage->block) != 0;
		}
	} while (more);
	storage->processing = false;
}
