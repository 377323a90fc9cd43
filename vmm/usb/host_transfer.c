/* Control, bulk and interrupt transfers of a device of the host. */
#include <string.h>

#include "host_internal.h"

#define TRANSFER_MAX (16u << 20) /* what a guest can make us copy for one transfer */
#define SETUP_SIZE LIBUSB_CONTROL_SETUP_SIZE

/* What libusb works on; its buffer is ours, as guest memory may be given to something else once this is cancelled. */
struct request {
	struct usb_host *host;
	struct usb_transfer *transfer; /* NULL: cancelled, nobody waits */
	struct libusb_transfer *usb;
	bool in;
	unsigned offset; /* of data in the buffer */
	uint8_t buffer[];
};

static enum usb_status status_of(enum libusb_transfer_status status)
{
	switch (status) {
	case LIBUSB_TRANSFER_COMPLETED:
		return USB_DONE;
	case LIBUSB_TRANSFER_STALL:
		return USB_STALL;
	case LIBUSB_TRANSFER_OVERFLOW:
		return USB_BABBLE;
	default:
		return USB_NO_RESPONSE;
	}
}

static void LIBUSB_CALL request_done(struct libusb_transfer *usb)
{
	struct request *request = usb->user_data;
	struct usb_transfer *transfer = request->transfer;
	struct usb_host *host = request->host;
	size_t actual = (size_t)usb->actual_length;
	enum usb_status status = status_of(usb->status);

	if (usb->status == LIBUSB_TRANSFER_NO_DEVICE)
		host_went_away(host);
	if (transfer && request->in)
		actual = usb_put(transfer, 0, request->buffer + request->offset, actual);
	g_ptr_array_remove_fast(host->requests, request);
	host->in_flight--;
	libusb_free_transfer(usb);
	g_free(request);
	if (transfer)
		usb_complete(transfer, status, actual);
}

static struct request *request_new(struct usb_host *host, struct usb_transfer *transfer, bool in, unsigned offset)
{
	struct request *request = g_malloc0(sizeof *request + offset + transfer->length);

	request->host = host;
	request->transfer = transfer;
	request->in = in;
	request->offset = offset;
	request->usb = libusb_alloc_transfer(0);
	if (!in)
		usb_take(transfer, 0, request->buffer + offset, transfer->length);
	return request;
}

static void submit(struct request *request)
{
	struct usb_host *host = request->host;
	struct usb_transfer *transfer = request->transfer;
	int code = libusb_submit_transfer(request->usb);

	host->touched = true;
	if (code == 0) {
		host->in_flight++;
		g_ptr_array_add(host->requests, request);
		return;
	}
	if (code == LIBUSB_ERROR_NO_DEVICE)
		host_went_away(host);
	libusb_free_transfer(request->usb);
	g_free(request);
	usb_complete(transfer, USB_NO_RESPONSE, 0);
}

static void submit_control(struct usb_host *host, struct usb_transfer *transfer)
{
	const struct usb_setup *setup = &transfer->setup;
	struct request *request;

	if (host_task_request(host, transfer))
		return;
	/* The address is the host's affair. */
	if (setup->request == (USB_DEVICE_OUT | USB_SET_ADDRESS) || transfer->length < setup->length) {
		usb_complete(transfer, USB_STALL, 0);
		return;
	}
	request = request_new(host, transfer, setup->request & 0x8000, SETUP_SIZE);
	libusb_fill_control_setup(request->buffer, (uint8_t)(setup->request >> 8), (uint8_t)setup->request, setup->value,
				  setup->index, setup->length);
	libusb_fill_control_transfer(request->usb, host->handle, request->buffer, request_done, request, 0);
	submit(request);
}

static void submit_data(struct usb_host *host, struct usb_transfer *transfer, uint8_t type)
{
	struct request *request = request_new(host, transfer, host_is_in(transfer->endpoint), 0);

	(type == LIBUSB_TRANSFER_TYPE_BULK ? libusb_fill_bulk_transfer : libusb_fill_interrupt_transfer)(
		request->usb, host->handle, transfer->endpoint, request->buffer, (int)transfer->length, request_done,
		request, 0);
	submit(request);
}

void host_submit(struct usb_host *host, struct usb_transfer *transfer)
{
	uint8_t type;

	if (!g_queue_is_empty(&host->tasks)) {
		g_queue_push_tail(&host->delayed, transfer);
		return;
	}
	if (!transfer->endpoint) {
		submit_control(host, transfer);
		return;
	}
	type = host->types[host_is_in(transfer->endpoint)][transfer->endpoint & 15];
	/* The guest's idea of the endpoint has to be the device's. */
	if (!type || (type == LIBUSB_TRANSFER_TYPE_ISOCHRONOUS) != !!transfer->payload || transfer->length > TRANSFER_MAX)
		usb_complete(transfer, USB_STALL, 0);
	else if (transfer->payload)
		host_stream_submit(host, transfer);
	else
		submit_data(host, transfer, type);
}

void host_cancel(struct usb_host *host, struct usb_transfer *transfer)
{
	g_queue_remove(&host->delayed, transfer);
	host_task_cancel(host, transfer);
	host_stream_cancel(host, transfer);
	for (guint i = 0; i < host->requests->len; i++) {
		struct request *request = host->requests->pdata[i];

		if (request->transfer != transfer)
			continue;
		request->transfer = NULL;
		libusb_cancel_transfer(request->usb);
	}
}

void host_cancel_all(struct usb_host *host)
{
	host_stream_end_all(host);
	for (guint i = 0; i < host->requests->len; i++) {
		struct request *request = host->requests->pdata[i];

		request->transfer = NULL;
		libusb_cancel_transfer(request->usb);
	}
}
