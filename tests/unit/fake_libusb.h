/*
 * libusb, played: this host may have no USB at all. One device with a control endpoint and a bulk and an isochronous one
 * in each direction, whose answers a test holds back or gives, and a guest that it is lent to. What the real library does
 * with a real bus is not tried.
 */
#pragma once

#include "xhci_guest.h"

#include <gio/gio.h>
#include <libusb.h>

#include "../../vmm/usb/host.h"
#include "../../vmm/usb/lending.h"

#define BULK_IN 3u
#define BULK_OUT 4u
#define ISOCH_IN 7u
#define ISOCH_OUT 8u
#define PORT 1u
#define IN_FLIGHT_MAX 32u

struct libusb_device {
	int unused;
};

/* The peer's side of the library. */
static struct {
	libusb_device device;
	int open_error, claim_error, reset_error;
	unsigned opened, claimed, resets, cleared, configuration, contexts;
	struct libusb_transfer *waiting; /* submitted and not answered */
	struct libusb_transfer *isoch[IN_FLIGHT_MAX]; /* likewise, in their order */
	unsigned isoch_count, isoch_refused;
	bool refuse_isoch;
	bool cancelled;
	libusb_hotplug_callback_fn left;
	void *left_opaque;
	uint8_t sent[4096];
	int sent_length;
	uint8_t setup[8];
} peer;

/* Calls that wait for the device come to this gate. */
static struct {
	GMutex lock;
	GCond opened;
	bool closed;
	unsigned arrived;
} gate;

static void pass_gate(void)
{
	g_mutex_lock(&gate.lock);
	gate.arrived++;
	while (gate.closed)
		g_cond_wait(&gate.opened, &gate.lock);
	g_mutex_unlock(&gate.lock);
}

static inline void close_gate(void)
{
	g_mutex_lock(&gate.lock);
	gate.closed = true;
	gate.arrived = 0;
	g_mutex_unlock(&gate.lock);
}

static inline unsigned gate_arrived(void)
{
	unsigned arrived;

	g_mutex_lock(&gate.lock);
	arrived = gate.arrived;
	g_mutex_unlock(&gate.lock);
	return arrived;
}

static inline void open_gate(void)
{
	g_mutex_lock(&gate.lock);
	gate.closed = false;
	g_cond_broadcast(&gate.opened);
	g_mutex_unlock(&gate.lock);
}

static const struct libusb_endpoint_descriptor endpoints[] = {
	{ .bEndpointAddress = 0x81, .bmAttributes = LIBUSB_TRANSFER_TYPE_BULK, .wMaxPacketSize = 512 },
	{ .bEndpointAddress = 0x02, .bmAttributes = LIBUSB_TRANSFER_TYPE_BULK, .wMaxPacketSize = 512 },
	{ .bEndpointAddress = 0x83, .bmAttributes = LIBUSB_TRANSFER_TYPE_ISOCHRONOUS, .wMaxPacketSize = 512 },
	{ .bEndpointAddress = 0x04, .bmAttributes = LIBUSB_TRANSFER_TYPE_ISOCHRONOUS, .wMaxPacketSize = 512 },
};
static const struct libusb_interface_descriptor setting = { .bNumEndpoints = G_N_ELEMENTS(endpoints), .endpoint = endpoints };
static const struct libusb_interface interface = { .altsetting = &setting, .num_altsetting = 1 };
static struct libusb_config_descriptor configuration = { .bNumInterfaces = 1, .interface = &interface };

int libusb_init(libusb_context **context)
{
	*context = (libusb_context *)&peer;
	g_atomic_int_inc((gint *)&peer.contexts);
	return 0;
}

void libusb_exit(libusb_context *context)
{
	(void)context;
	g_atomic_int_add((gint *)&peer.contexts, -1);
}

ssize_t libusb_get_device_list(libusb_context *context, libusb_device ***list)
{
	static libusb_device *devices[] = { &peer.device, NULL };

	(void)context;
	*list = devices;
	return 1;
}

void libusb_free_device_list(libusb_device **list, int unref)
{
	(void)list, (void)unref;
}

int libusb_get_device_descriptor(libusb_device *device, struct libusb_device_descriptor *descriptor)
{
	(void)device;
	*descriptor = (struct libusb_device_descriptor){ .idVendor = 0x1234, .idProduct = 0xABCD, .iProduct = 2 };
	return 0;
}

uint8_t libusb_get_bus_number(libusb_device *device)
{
	(void)device;
	return 3;
}

uint8_t libusb_get_device_address(libusb_device *device)
{
	(void)device;
	return 7;
}

int libusb_get_device_speed(libusb_device *device)
{
	(void)device;
	return LIBUSB_SPEED_HIGH;
}

int libusb_open(libusb_device *device, libusb_device_handle **handle)
{
	(void)device;
	if (peer.open_error)
		return peer.open_error;
	*handle = (libusb_device_handle *)&peer;
	peer.opened++;
	return 0;
}

void libusb_close(libusb_device_handle *handle)
{
	(void)handle;
	peer.opened--;
}

libusb_device *libusb_get_device(libusb_device_handle *handle)
{
	(void)handle;
	return &peer.device;
}

int libusb_set_auto_detach_kernel_driver(libusb_device_handle *handle, int enable)
{
	(void)handle;
	return enable ? 0 : LIBUSB_ERROR_OTHER;
}

int libusb_claim_interface(libusb_device_handle *handle, int number)
{
	(void)handle, (void)number;
	peer.claimed += !peer.claim_error;
	return peer.claim_error;
}

int libusb_release_interface(libusb_device_handle *handle, int number)
{
	(void)handle, (void)number;
	peer.claimed--;
	return 0;
}

int libusb_get_configuration(libusb_device_handle *handle, int *value)
{
	(void)handle;
	*value = (int)peer.configuration;
	return 0;
}

int libusb_set_configuration(libusb_device_handle *handle, int value)
{
	(void)handle;
	pass_gate();
	g_assert_cmpuint(peer.claimed, ==, 0);
	peer.configuration = value < 0 ? 0 : (unsigned)value;
	return 0;
}

int libusb_get_active_config_descriptor(libusb_device *device, struct libusb_config_descriptor **descriptor)
{
	(void)device;
	*descriptor = &configuration;
	return peer.configuration ? 0 : LIBUSB_ERROR_NOT_FOUND;
}

void libusb_free_config_descriptor(struct libusb_config_descriptor *descriptor)
{
	(void)descriptor;
}

int libusb_set_interface_alt_setting(libusb_device_handle *handle, int number, int value)
{
	(void)handle;
	pass_gate();
	return number == 0 && value == 0 ? 0 : LIBUSB_ERROR_NOT_FOUND;
}

int libusb_clear_halt(libusb_device_handle *handle, unsigned char endpoint)
{
	(void)handle, (void)endpoint;
	pass_gate();
	peer.cleared++;
	return 0;
}

int libusb_reset_device(libusb_device_handle *handle)
{
	(void)handle;
	pass_gate();
	g_atomic_int_inc((gint *)&peer.resets);
	return peer.reset_error;
}

struct libusb_transfer *libusb_alloc_transfer(int packets)
{
	return g_malloc0(sizeof(struct libusb_transfer) + (size_t)packets * sizeof(struct libusb_iso_packet_descriptor));
}

void libusb_free_transfer(struct libusb_transfer *transfer)
{
	g_free(transfer);
}

static int submit_isoch(struct libusb_transfer *transfer)
{
	peer.isoch_refused += peer.refuse_isoch;
	if (peer.refuse_isoch)
		return LIBUSB_ERROR_IO;
	g_assert_cmpuint(peer.isoch_count, <, IN_FLIGHT_MAX);
	peer.isoch[peer.isoch_count++] = transfer;
	return 0;
}

/* Takes the oldest, or any other. */
static inline struct libusb_transfer *take_isoch(unsigned index)
{
	struct libusb_transfer *transfer = peer.isoch[index];

	g_assert_cmpuint(index, <, peer.isoch_count);
	memmove(&peer.isoch[index], &peer.isoch[index + 1], (IN_FLIGHT_MAX - 1 - index) * sizeof peer.isoch[0]);
	peer.isoch_count--;
	return transfer;
}

static int submit_one(struct libusb_transfer *transfer)
{
	unsigned offset = transfer->type == LIBUSB_TRANSFER_TYPE_CONTROL ? 8 : 0;

	g_assert_null(peer.waiting);
	peer.waiting = transfer;
	peer.cancelled = false;
	peer.sent_length = transfer->length - (int)offset;
	memcpy(peer.sent, transfer->buffer + offset, (size_t)peer.sent_length);
	if (offset)
		memcpy(peer.setup, transfer->buffer, 8);
	return 0;
}

int libusb_submit_transfer(struct libusb_transfer *transfer)
{
	if (transfer->type == LIBUSB_TRANSFER_TYPE_ISOCHRONOUS)
		return submit_isoch(transfer);
	return submit_one(transfer);
}

static inline void answer(enum libusb_transfer_status status, const void *data, int length)
{
	struct libusb_transfer *transfer = g_steal_pointer(&peer.waiting);
	unsigned offset = transfer->type == LIBUSB_TRANSFER_TYPE_CONTROL ? 8 : 0;

	transfer->status = status;
	transfer->actual_length = length;
	if (data)
		memcpy(transfer->buffer + offset, data, (size_t)length);
	transfer->callback(transfer);
}

int libusb_cancel_transfer(struct libusb_transfer *transfer)
{
	if (transfer->type == LIBUSB_TRANSFER_TYPE_ISOCHRONOUS) {
		transfer->status = LIBUSB_TRANSFER_CANCELLED;
		return 0;
	}
	g_assert_true(transfer == peer.waiting);
	peer.cancelled = true;
	return 0;
}

int libusb_handle_events(libusb_context *context)
{
	(void)context;
	if (peer.waiting && peer.cancelled)
		answer(LIBUSB_TRANSFER_CANCELLED, NULL, 0);
	for (unsigned i = 0; i < peer.isoch_count;) {
		struct libusb_transfer *transfer = peer.isoch[i];

		if (transfer->status != LIBUSB_TRANSFER_CANCELLED) {
			i++;
			continue;
		}
		take_isoch(i);
		transfer->callback(transfer);
	}
	return 0;
}

int libusb_handle_events_timeout_completed(libusb_context *context, struct timeval *time, int *completed)
{
	(void)time, (void)completed;
	return libusb_handle_events(context);
}

const struct libusb_pollfd **libusb_get_pollfds(libusb_context *context)
{
	(void)context;
	return NULL;
}

void libusb_free_pollfds(const struct libusb_pollfd **fds)
{
	g_assert_null(fds);
}

void libusb_set_pollfd_notifiers(libusb_context *context, libusb_pollfd_added_cb added, libusb_pollfd_removed_cb removed,
				 void *opaque)
{
	(void)context, (void)added, (void)removed, (void)opaque;
}

int libusb_has_capability(uint32_t capability)
{
	return capability == LIBUSB_CAP_HAS_HOTPLUG;
}

int libusb_hotplug_register_callback(libusb_context *context, int events, int flags, int vendor, int product, int class,
				     libusb_hotplug_callback_fn callback, void *opaque,
				     libusb_hotplug_callback_handle *handle)
{
	(void)context, (void)flags, (void)vendor, (void)product, (void)class;
	g_assert_cmpint(events, ==, LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT);
	peer.left = callback;
	peer.left_opaque = opaque;
	*handle = 1;
	return 0;
}

void libusb_hotplug_deregister_callback(libusb_context *context, libusb_hotplug_callback_handle handle)
{
	(void)context;
	g_assert_cmpint(handle, ==, 1);
	peer.left = NULL;
}

const char *libusb_error_name(int code)
{
	return code == LIBUSB_ERROR_IO ? "LIBUSB_ERROR_IO" : "another error";
}

/* --- The guest --- */

struct fixture {
	struct xhci_guest g;
	struct usb_lender *lender;
	struct usb_device *usb;
	unsigned slot;
	unsigned answers; /* that the lender has given */
	GError *error;    /* the last one's */
	char *list;
};

static inline void answered(void *opaque, const GError *error)
{
	struct fixture *f = opaque;

	f->answers++;
	g_clear_error(&f->error);
	f->error = error ? g_error_copy(error) : NULL;
}

static inline void wait_answers(struct fixture *f, unsigned count)
{
	while (f->answers < count)
		g_main_context_iteration(f->g.machine->vm.loop.context, TRUE);
}

static inline void lend(struct fixture *f, uint8_t address)
{
	f->answers = 0;
	usb_lender_plug(f->lender, 3, address, answered, f);
	wait_answers(f, 1);
}

/* Until other threads, and the I/O thread for them, have counted so far. */
static inline void wait_count(struct fixture *f, unsigned *counter, unsigned count)
{
	while ((unsigned)g_atomic_int_get((gint *)counter) < count)
		g_main_context_iteration(f->g.machine->vm.loop.context, FALSE);
}

/* What has been given back is really back. */
static inline void wait_closed(struct fixture *f)
{
	while (g_atomic_int_get((gint *)&peer.contexts))
		g_main_context_iteration(f->g.machine->vm.loop.context, FALSE);
}

static inline void open_lender(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	memset(&peer, 0, sizeof peer);
	peer.configuration = 1;
	guest_open(&f->g);
	f->g.waits = true;
	f->lender = usb_lender_new(&f->g.machine->vm, f->g.xhci);
}

static inline void open_fixture(struct fixture *f)
{
	open_lender(f);
	lend(f, 7);
	g_assert_no_error(f->error);
	f->usb = xhci_connected(f->g.xhci, 0);
	g_assert_nonnull(f->usb);
	g_assert_cmpuint(peer.claimed, ==, 1);
	guest_start(&f->g);
	g_assert_cmpuint(reg(&f->g, PORTSC1) >> 10 & 15, ==, USB_SPEED_HIGH);
}

static inline void start_device(struct fixture *f)
{
	static const unsigned wanted[][2] = { { BULK_IN, EP_BULK_IN }, { BULK_OUT, EP_BULK_OUT },
					      { ISOCH_IN, EP_ISOCH_IN }, { ISOCH_OUT, EP_ISOCH_OUT }, { 0, 0 } };

	f->slot = address_port(&f->g, PORT);
	configure(&f->g, f->slot, wanted, 512);
}

static inline void close_fixture(struct fixture *f)
{
	f->g.device->ops->destroy(f->g.device);
	usb_lender_free(f->lender);
	pci_bus_finish(&f->g.bus);
	fake_machine_free(f->g.machine);
	g_clear_error(&f->error);
	g_clear_pointer(&f->list, g_free);
	/* It is the host's again. */
	g_assert_cmpuint(peer.claimed, ==, 0);
	g_assert_cmpuint(peer.opened, ==, 0);
	g_assert_cmpuint(peer.contexts, ==, 0);
	g_assert_null(peer.waiting);
	g_assert_cmpuint(peer.isoch_count, ==, 0);
	g_assert_null(peer.left);
}
