/*
 * Isochronous endpoints of a device of the host. Several requests of libusb with many packets each are always under way,
 * so that the bus finds the next one when one ends; the guest's transfers take packets from those that have come, or fill
 * packets of those to be sent. Thus the device's own clock sets the pace of both.
 */
#include "host_internal.h"

#define REQUESTS 6
#define REQUEST_TIME 2000000u /* ns of packets in one request: more is latency, less is work */
#define PACKETS_MAX 16
#define FLUSH_TIME 1000000u   /* ns after which packets to be sent wait no longer for more */

struct stream_request {
	struct usb_host *host;
	struct host_stream *stream; /* NULL: cancelled */
	struct libusb_transfer *usb;
	unsigned packet; /* IN: the next to be read; OUT: how many are filled */
	size_t used;     /* bytes of the packets before */
	bool in_flight;
	uint8_t buffer[];
};

struct host_stream {
	struct usb_host *host;
	uint8_t endpoint;
	uint32_t payload;
	unsigned packets; /* in each request */
	bool broken;      /* libusb takes no more: it ends when what has come is read */
	struct stream_request *requests[REQUESTS];
	/* IN: those that have come and are not read yet, oldest first. OUT: empty ones, the first may be partly filled */
	GQueue ready;
	struct usb_transfer *waiting;
	unsigned failures; /* OUT: packets that did not get out, which later transfers answer for */
	struct timer flush;
};

static void request_free(struct stream_request *request)
{
	libusb_free_transfer(request->usb);
	g_free(request);
}

/* What libusb still has is freed when it comes back. Nobody may wait. */
static void stream_end(struct host_stream *stream)
{
	stream->host->streams[host_is_in(stream->endpoint)][stream->endpoint & 15] = NULL;
	timer_cancel(&stream->flush);
	for (unsigned i = 0; i < REQUESTS; i++) {
		struct stream_request *request = stream->requests[i];

		if (!request->in_flight) {
			request_free(request);
			continue;
		}
		request->stream = NULL;
		libusb_cancel_transfer(request->usb);
	}
	g_queue_clear(&stream->ready);
	g_free(stream);
}

static bool is_idle(const struct host_stream *stream)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if (stream->requests[i]->in_flight)
			return false;
	return true;
}

static void fly(struct stream_request *request)
{
	struct host_stream *stream = request->stream;
	struct usb_host *host = request->host;
	int code = stream->broken ? LIBUSB_ERROR_OTHER : libusb_submit_transfer(request->usb);

	host->touched = true;
	request->in_flight = code == 0;
	host->in_flight += code == 0;
	if (code == 0)
		return;
	stream->broken = true;
	if (code == LIBUSB_ERROR_NO_DEVICE)
		host_went_away(host);
}

/* --- IN --- */

static void ask(struct stream_request *request)
{
	struct host_stream *stream = request->stream;

	request->packet = 0;
	request->used = 0;
	libusb_set_iso_packet_lengths(request->usb, stream->payload);
	fly(request);
}

/* Gives the oldest packet to the transfer; false: none has come. */
static bool receive(struct host_stream *stream, struct usb_transfer *transfer)
{
	struct stream_request *request = g_queue_peek_head(&stream->ready);
	const struct libusb_iso_packet_descriptor *packet;
	enum usb_status status = USB_NO_RESPONSE;
	size_t length, offset;

	if (!request)
		return false;
	packet = &request->usb->iso_packet_desc[request->packet];
	offset = (size_t)request->packet * stream->payload;
	length = MIN(packet->actual_length, stream->payload);
	if (packet->status == LIBUSB_TRANSFER_OVERFLOW || (packet->status == LIBUSB_TRANSFER_COMPLETED &&
							   length > transfer->length))
		status = USB_BABBLE;
	else if (packet->status == LIBUSB_TRANSFER_COMPLETED)
		status = USB_DONE;
	length = usb_put(transfer, 0, request->buffer + offset, MIN(length, transfer->length));
	if (++request->packet == stream->packets) {
		g_queue_pop_head(&stream->ready);
		ask(request);
	}
	usb_complete(transfer, status, length);
	return true;
}

/* --- OUT --- */

static void send(struct host_stream *stream)
{
	struct stream_request *request = g_queue_pop_head(&stream->ready);

	timer_cancel(&stream->flush);
	request->usb->num_iso_packets = (int)request->packet;
	request->usb->length = (int)request->used;
	fly(request);
}

/* Puts the transfer into the next packet; false: no request is free. */
static bool fill(struct host_stream *stream, struct usb_transfer *transfer)
{
	struct stream_request *request = g_queue_peek_head(&stream->ready);
	enum usb_status status = stream->failures ? USB_NO_RESPONSE : USB_DONE;
	size_t length;

	if (!request)
		return false;
	length = usb_take(transfer, 0, request->buffer + request->used, MIN(transfer->length, stream->payload));
	request->usb->iso_packet_desc[request->packet++].length = (unsigned)length;
	request->used += length;
	if (request->packet == stream->packets)
		send(stream);
	else if (request->packet == 1)
		timer_set(&stream->flush, clock_now(stream->flush.clock) + FLUSH_TIME);
	stream->failures -= stream->failures > 0;
	usb_complete(transfer, status, length);
	return true;
}

static unsigned count_failures(const struct libusb_transfer *usb)
{
	unsigned failures = 0;

	for (int i = 0; i < usb->num_iso_packets; i++)
		failures += usb->iso_packet_desc[i].status != LIBUSB_TRANSFER_COMPLETED;
	return failures;
}

/* --- Both --- */

static bool move(struct host_stream *stream, struct usb_transfer *transfer)
{
	return host_is_in(stream->endpoint) ? receive(stream, transfer) : fill(stream, transfer);
}

/* IN: nobody takes what has come. OUT: there is nothing more to be sent. */
static bool is_starved(const struct host_stream *stream)
{
	const struct stream_request *first;

	if (stream->waiting || !is_idle(stream) || !stream->ready.head)
		return false;
	first = stream->ready.head->data;
	return host_is_in(stream->endpoint) || !first->packet;
}

/* The stream goes on with what is there, or ends. It may be gone afterwards. */
static void go_on(struct host_stream *stream)
{
	struct usb_host *host = stream->host;
	struct usb_transfer *transfer = g_steal_pointer(&stream->waiting);
	uint8_t endpoint = stream->endpoint;

	/* The guest's next transfer comes from within, and waits for the next packet if there is none. */
	if (transfer && !(stream->broken && !host_is_in(endpoint)) && move(stream, transfer))
		transfer = NULL;
	if (host->streams[host_is_in(endpoint)][endpoint & 15] != stream)
		return;
	if (transfer)
		stream->waiting = transfer;
	if (stream->broken && is_idle(stream)) {
		transfer = g_steal_pointer(&stream->waiting);
		stream_end(stream);
		if (transfer)
			usb_complete(transfer, USB_NO_RESPONSE, 0);
	} else if (is_starved(stream)) {
		stream_end(stream);
		if (host->usb.starved)
			host->usb.starved(&host->usb, endpoint, host->usb.controller);
	}
}

static void flush(void *opaque)
{
	struct host_stream *stream = opaque;

	send(stream);
	go_on(stream);
}

static void LIBUSB_CALL packets_done(struct libusb_transfer *usb)
{
	struct stream_request *request = usb->user_data;
	struct host_stream *stream = request->stream;
	struct usb_host *host = request->host;

	request->in_flight = false;
	host->in_flight--;
	if (usb->status == LIBUSB_TRANSFER_NO_DEVICE)
		host_went_away(host);
	if (!stream) {
		request_free(request);
		return;
	}
	/* Of a stream that works only packets fail. */
	if (usb->status != LIBUSB_TRANSFER_COMPLETED) {
		stream->broken = true;
	} else {
		if (!host_is_in(stream->endpoint)) {
			stream->failures += count_failures(usb);
			request->packet = 0;
			request->used = 0;
		}
		g_queue_push_tail(&stream->ready, request);
	}
	go_on(stream);
}

static struct host_stream *stream_new(struct usb_host *host, const struct usb_transfer *transfer)
{
	struct host_stream *stream = g_new0(struct host_stream, 1);

	stream->host = host;
	stream->endpoint = transfer->endpoint;
	stream->payload = transfer->payload;
	stream->packets = (unsigned)CLAMP(REQUEST_TIME / MAX(transfer->interval, 1), 1, PACKETS_MAX);
	timer_init(&stream->flush, &host->vm->clock, flush, stream);
	host->streams[host_is_in(stream->endpoint)][stream->endpoint & 15] = stream;
	for (unsigned i = 0; i < REQUESTS; i++) {
		size_t size = (size_t)stream->packets * stream->payload;
		struct stream_request *request = g_malloc0(sizeof *request + size);

		request->host = host;
		request->stream = stream;
		request->usb = libusb_alloc_transfer((int)stream->packets);
		libusb_fill_iso_transfer(request->usb, host->handle, stream->endpoint, request->buffer, (int)size,
					 (int)stream->packets, packets_done, request, 0);
		stream->requests[i] = request;
	}
	for (unsigned i = 0; i < REQUESTS; i++) {
		if (host_is_in(stream->endpoint))
			ask(stream->requests[i]);
		else
			g_queue_push_tail(&stream->ready, stream->requests[i]);
	}
	return stream;
}

void host_stream_submit(struct usb_host *host, struct usb_transfer *transfer)
{
	struct host_stream *stream = host->streams[host_is_in(transfer->endpoint)][transfer->endpoint & 15];

	if (stream && stream->payload != transfer->payload) {
		stream_end(stream);
		stream = NULL;
	}
	if (!stream)
		stream = stream_new(host, transfer);
	if (stream->broken && is_idle(stream) && (!host_is_in(stream->endpoint) || g_queue_is_empty(&stream->ready))) {
		stream_end(stream);
		usb_complete(transfer, USB_NO_RESPONSE, 0);
	} else if (stream->broken && !host_is_in(stream->endpoint)) {
		stream->waiting = transfer;
	} else if (!move(stream, transfer)) {
		stream->waiting = transfer;
	}
}

void host_stream_cancel(struct usb_host *host, struct usb_transfer *transfer)
{
	struct host_stream *stream = host->streams[host_is_in(transfer->endpoint)][transfer->endpoint & 15];

	if (!stream || stream->waiting != transfer)
		return;
	stream->waiting = NULL;
	/* What is to be sent goes its way; what comes now is not for whom asks next. */
	if (host_is_in(stream->endpoint))
		stream_end(stream);
}

void host_stream_end_all(struct usb_host *host)
{
	for (unsigned in = 0; in < 2; in++)
		for (unsigned i = 0; i < HOST_ENDPOINTS; i++)
			if (host->streams[in][i])
				stream_end(host->streams[in][i]);
}
