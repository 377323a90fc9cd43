/* The stick as a USB device: descriptors, requests, plugging, state. */
#include <string.h>

#include "../state.h"
#include "storage_internal.h"

#define ENDPOINT_IN (USB_DIRECTION_IN | 1)
#define ENDPOINT_OUT 2
#define GET_MAX_LUN (USB_CLASS_IN | 0xFE)
#define BULK_ONLY_RESET (USB_CLASS_OUT | 0xFF)
#define SUPER_SPEED_PACKET 1024

/* Vendor and product are those that guests' databases know a virtual stick by. */
static const uint8_t device_descriptor[] = {
	18, USB_DESCRIPTOR_DEVICE, 0x00, 0x03, 0, 0, 0, 9, 0xF4, 0x46, 0x01, 0x00, 0x00, 0x01, 1, 2, 3, 1,
};

static const uint8_t configuration[] = {
	9, USB_DESCRIPTOR_CONFIGURATION, 44, 0, 1, 1, 0, 0x80, 14,
	9, USB_DESCRIPTOR_INTERFACE, 0, 0, 2, 8, 6, 0x50, 0, /* mass storage, SCSI, bulk-only */
	7, USB_DESCRIPTOR_ENDPOINT, ENDPOINT_IN, 2, SUPER_SPEED_PACKET & 0xFF, SUPER_SPEED_PACKET >> 8, 0,
	6, USB_DESCRIPTOR_COMPANION, 15, 0, 0, 0,
	7, USB_DESCRIPTOR_ENDPOINT, ENDPOINT_OUT, 2, SUPER_SPEED_PACKET & 0xFF, SUPER_SPEED_PACKET >> 8, 0,
	6, USB_DESCRIPTOR_COMPANION, 15, 0, 0, 0,
};

/* USB 2.0 extension (link power management), and a device that works at 5 Gbit/s (USB 3.0, section 9.6.2). */
static const uint8_t bos[] = {
	5, USB_DESCRIPTOR_BOS, 22, 0, 2,
	7, USB_DESCRIPTOR_CAPABILITY, 2, 0x02, 0, 0, 0,
	10, USB_DESCRIPTOR_CAPABILITY, 3, 0, 0x08, 0, 3, 0, 0, 0,
};

static struct usb_storage *from_usb(struct usb_device *device)
{
	return (struct usb_storage *)device;
}

static gboolean block_ready(gint fd, GIOCondition condition, gpointer opaque)
{
	(void)fd;
	(void)condition;
	storage_process(opaque);
	return G_SOURCE_CONTINUE;
}

static void trouble(struct block *block, int error, const char *message, void *opaque)
{
	(void)block;
	(void)error;
	vm_request(((struct usb_storage *)opaque)->vm, VM_REQUEST_PAUSE, message);
}

/* What the image works on is of no interest any more; nothing touches guest memory once this returns. */
static void stop_io(struct usb_storage *storage)
{
	if (!storage->io)
		return;
	storage->discarding = true;
	block_set_trouble_handler(storage->block, NULL, NULL);
	block_cancel(storage->block);
	block_drain(storage->block);
	block_set_trouble_handler(storage->block, trouble, storage);
	storage->discarding = false;
	storage->io = false;
}

static void begin_anew(struct usb_storage *storage)
{
	stop_io(storage);
	storage->phase = PHASE_COMMAND;
	g_byte_array_set_size(storage->data, 0);
}

static void restart(void *opaque)
{
	struct usb_storage *storage = opaque;

	if (storage->io)
		storage_process(storage);
	else
		storage_restart(storage);
}

static void storage_reset(struct usb_device *device)
{
	struct usb_storage *storage = from_usb(device);

	begin_anew(storage);
	storage->locked = false;
}

static int storage_control(struct usb_device *device, const struct usb_setup *setup, uint8_t *data)
{
	if (setup->request == GET_MAX_LUN) {
		data[0] = 0;
		return 1;
	}
	if (setup->request != BULK_ONLY_RESET)
		return -1;
	begin_anew(from_usb(device));
	return 0;
}

static void storage_transfer(struct usb_device *device, struct usb_transfer *transfer)
{
	struct usb_storage *storage = from_usb(device);

	if (!device->configuration || (transfer->endpoint != ENDPOINT_IN && transfer->endpoint != ENDPOINT_OUT)) {
		usb_complete(transfer, USB_STALL, 0);
		return;
	}
	if (transfer->endpoint == ENDPOINT_IN)
		storage->in = transfer;
	else
		storage->out = transfer;
	storage_process(storage);
}

static void storage_cancel(struct usb_device *device, struct usb_transfer *transfer)
{
	struct usb_storage *storage = from_usb(device);

	/* A flush, and what goes by way of our own buffer, do not need it. */
	if (storage->io && !storage->buffered && ((storage->phase == PHASE_DATA_IN && storage->in == transfer) ||
						  (storage->phase == PHASE_DATA_OUT && storage->out == transfer)))
		stop_io(storage);
	if (storage->in == transfer)
		storage->in = NULL;
	if (storage->out == transfer)
		storage->out = NULL;
}

static void state_data(struct usb_storage *storage, struct state *state, const char *prefix)
{
	uint32_t length = storage->data->len;
	char field[USB_FIELD_MAX];

	state_u32(state, usb_field(field, prefix, "data_length"), &length);
	if (length > STORAGE_BUFFER_MAX) {
		state_fail(state, "%s: %u bytes of data", prefix, length);
		length = 0;
	}
	g_byte_array_set_size(storage->data, length);
	if (length)
		state_bytes(state, usb_field(field, prefix, "data"), storage->data->data, length);
	state_u32(state, usb_field(field, prefix, "data_place"), &storage->data_place);
}

static void state_sense(struct scsi_sense *sense, struct state *state, const char *prefix, const char *name)
{
	uint8_t bytes[3] = { sense->key, sense->asc, sense->ascq };
	char field[USB_FIELD_MAX];

	state_bytes(state, usb_field(field, prefix, name), bytes, sizeof bytes);
	*sense = (struct scsi_sense){ bytes[0], bytes[1], bytes[2] };
}

static bool place_is_valid(const struct usb_storage *storage)
{
	uint64_t size = block_size(storage->block), position = storage->position, length = storage->device_left;

	if (storage->answer == ANSWER_DATA)
		return storage->data_place <= storage->data->len && length <= storage->data->len - storage->data_place;
	/* Of a command that is collected, position counts what has come, until all has. */
	if (storage->buffered && storage->answer == ANSWER_WRITE) {
		length += storage->data->len;
		if (storage->phase != PHASE_WORKING)
			position -= storage->data->len;
		if (length > STORAGE_BUFFER_MAX)
			return false;
	}
	if (storage->buffered && length > STORAGE_BUFFER_MAX)
		return false;
	return position <= size && length <= size - position && position % SECTOR == 0 && length % SECTOR == 0;
}

static bool loaded_is_valid(const struct usb_storage *storage)
{
	return storage->phase <= PHASE_BROKEN && storage->status <= STATUS_PHASE_ERROR &&
	       storage->answer <= ANSWER_WRITE && storage->residue >= storage->host_left && place_is_valid(storage) &&
	       (storage->phase != PHASE_WORKING || storage->answer == ANSWER_FLUSH ||
		(storage->answer == ANSWER_WRITE && storage->buffered));
}

/* What the image has under way ends; the next transfers wait until the state has been taken. */
static void drain(struct usb_storage *storage)
{
	storage->processing = true;
	block_drain(storage->block);
	storage->processing = false;
	timer_set(&storage->restart, clock_now(&storage->vm->clock));
}

static void storage_state(struct usb_device *device, struct state *state, const char *prefix)
{
	struct usb_storage *storage = from_usb(device);
	char field[USB_FIELD_MAX];

	if (state_loading(state))
		stop_io(storage);
	else
		drain(storage);
	state_u8(state, usb_field(field, prefix, "phase"), &storage->phase);
	state_u8(state, usb_field(field, prefix, "status"), &storage->status);
	state_u8(state, usb_field(field, prefix, "answer"), &storage->answer);
	state_u32(state, usb_field(field, prefix, "tag"), &storage->tag);
	state_bytes(state, usb_field(field, prefix, "cdb"), storage->cdb, sizeof storage->cdb);
	state_bool(state, usb_field(field, prefix, "to_host"), &storage->to_host);
	state_u32(state, usb_field(field, prefix, "host_left"), &storage->host_left);
	state_u32(state, usb_field(field, prefix, "residue"), &storage->residue);
	state_u64(state, usb_field(field, prefix, "device_left"), &storage->device_left);
	state_u64(state, usb_field(field, prefix, "position"), &storage->position);
	state_bool(state, usb_field(field, prefix, "buffered"), &storage->buffered);
	state_bool(state, usb_field(field, prefix, "begun"), &storage->begun);
	state_bool(state, usb_field(field, prefix, "locked"), &storage->locked);
	state_bool(state, usb_field(field, prefix, "dirty"), &storage->dirty);
	state_sense(&storage->sense, state, prefix, "sense");
	state_sense(&storage->attention, state, prefix, "attention");
	state_data(storage, state, prefix);
	if (!state_loading(state))
		return;
	if (!loaded_is_valid(storage)) {
		state_fail(state, "%s: phase %u, answer %u", prefix, storage->phase, storage->answer);
		begin_anew(storage);
	}
	timer_set(&storage->restart, clock_now(&storage->vm->clock));
}

static void storage_destroy(struct usb_device *device)
{
	struct usb_storage *storage = from_usb(device);

	timer_cancel(&storage->restart);
	stop_io(storage);
	loop_remove(storage->watch);
	block_close(storage->block);
	g_byte_array_unref(storage->data);
	g_free(storage->iov);
	g_free(storage);
}

static const struct usb_device_ops ops = {
	.name = "USB stick",
	.reset = storage_reset,
	.control = storage_control,
	.transfer = storage_transfer,
	.cancel = storage_cancel,
	.state = storage_state,
	.destroy = storage_destroy,
};

struct block *usb_storage_block(const struct usb_device *device)
{
	return device && device->ops == &ops ? ((const struct usb_storage *)device)->block : NULL;
}

void usb_storage_mend(struct usb_device *device, bool retry)
{
	struct usb_storage *storage = from_usb(device);

	(retry ? block_retry : block_fail)(storage->block);
	storage_process(storage);
}

bool usb_storage_in_use(const struct usb_device *device)
{
	const struct usb_storage *storage = (const struct usb_storage *)device;

	return storage->locked || storage->dirty || storage->io;
}

/* Section 4.1.1: at least twelve hexadecimal digits; the same for the same image. */
static void derive_serial(struct usb_storage *storage)
{
	g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, block_path(storage->block), -1);
	g_autofree char *upper = g_ascii_strup(digest, 16);

	g_strlcpy(storage->serial, upper, sizeof storage->serial);
}

struct usb_device *usb_storage_new(struct vm *vm, struct block *block)
{
	struct usb_storage *storage = g_new0(struct usb_storage, 1);

	storage->vm = vm;
	storage->block = block;
	storage->data = g_byte_array_new();
	storage->attention = scsi_sense(SCSI_UNIT_ATTENTION, SCSI_MEDIUM_CHANGED);
	derive_serial(storage);
	storage->strings[0] = "Oriel";
	storage->strings[1] = "USB Stick";
	storage->strings[2] = storage->serial;
	storage->description = (struct usb_description){ device_descriptor, configuration, bos, storage->strings };
	storage->usb.ops = &ops;
	storage->usb.description = &storage->description;
	storage->usb.speed = USB_SPEED_SUPER;
	timer_init(&storage->restart, &vm->clock, restart, storage);
	storage->watch = loop_watch(&vm->loop, block_event_fd(block), G_IO_IN, block_ready, storage);
	block_set_trouble_handler(block, trouble, storage);
	return &storage->usb;
}
