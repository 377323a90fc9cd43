#include "host.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <libusb.h>
#include <string.h>

#include "../vm.h"
#include "usb.h"

#define ENDPOINT_NUMBERS 16
#define TRANSFER_MAX (16u << 20) /* what a guest can make us copy for one transfer */
#define SETUP_SIZE LIBUSB_CONTROL_SETUP_SIZE

struct usb_host {
	struct usb_device usb;
	struct vm *vm;
	struct usb_host_options options;
	libusb_context *context;
	libusb_device_handle *handle;
	uint8_t bus, address;
	uint8_t types[2][ENDPOINT_NUMBERS]; /* bmAttributes of the present endpoints, [1] for IN; 0: none */
	uint8_t interfaces;                 /* so many are claimed */
	GHashTable *watches;                /* fd to GSource */
	GPtrArray *requests;                /* struct request *, all that libusb has */
	libusb_hotplug_callback_handle hotplug;
	bool has_hotplug;
	bool touched;                       /* something has been transferred since the last reset */
	bool gone;
};

/* What libusb works on; its buffer is ours, as guest memory may be given to something else once this is cancelled. */
struct request {
	struct usb_host *host;
	struct usb_transfer *transfer; /* NULL: cancelled, nobody waits */
	struct libusb_transfer *usb;
	bool in;
	unsigned offset; /* of data in the buffer */
	uint8_t buffer[];
};

static struct usb_host *from_usb(struct usb_device *device)
{
	return (struct usb_host *)device;
}

/* format: has libusb's word for it */
static void fail(GError **error, int code, const char *format)
{
	g_set_error(error, G_IO_ERROR, code == LIBUSB_ERROR_NO_DEVICE ? G_IO_ERROR_NOT_FOUND : G_IO_ERROR_FAILED,
		    format, libusb_error_name(code));
}

/* --- Events of libusb on our loop --- */

static void handle_events(struct usb_host *host)
{
	struct timeval now = { 0 };

	libusb_handle_events_timeout_completed(host->context, &now, NULL);
}

static gboolean fd_ready(gint fd, GIOCondition condition, gpointer opaque)
{
	(void)fd;
	(void)condition;
	handle_events(opaque);
	return G_SOURCE_CONTINUE;
}

static void fd_added(int fd, short events, void *opaque)
{
	struct usb_host *host = opaque;

	g_hash_table_insert(host->watches, GINT_TO_POINTER(fd),
			    loop_watch(&host->vm->loop, fd, (GIOCondition)events, fd_ready, host));
}

static void fd_removed(int fd, void *opaque)
{
	g_hash_table_remove(((struct usb_host *)opaque)->watches, GINT_TO_POINTER(fd));
}

static void watch_fds(struct usb_host *host)
{
	const struct libusb_pollfd **fds = libusb_get_pollfds(host->context);

	for (unsigned i = 0; fds && fds[i]; i++)
		fd_added(fds[i]->fd, fds[i]->events, host);
	libusb_free_pollfds(fds);
	libusb_set_pollfd_notifiers(host->context, fd_added, fd_removed, host);
}

static void went_away(struct usb_host *host)
{
	if (host->gone)
		return;
	host->gone = true;
	host->options.gone(host->options.opaque);
}

static int device_left(libusb_context *context, libusb_device *device, libusb_hotplug_event event, void *opaque)
{
	struct usb_host *host = opaque;

	(void)context;
	(void)event;
	if (device == libusb_get_device(host->handle))
		went_away(host);
	return 0;
}

/* --- Interfaces and endpoints --- */

static void find_endpoints(struct usb_host *host, const struct libusb_config_descriptor *configuration)
{
	memset(host->types, 0, sizeof host->types);
	for (unsigned i = 0; i < configuration->bNumInterfaces; i++) {
		const struct libusb_interface *interface = &configuration->interface[i];

		for (int setting = 0; setting < interface->num_altsetting; setting++) {
			const struct libusb_interface_descriptor *descriptor = &interface->altsetting[setting];

			for (unsigned n = 0; n < descriptor->bNumEndpoints; n++) {
				uint8_t endpoint = descriptor->endpoint[n].bEndpointAddress;

				host->types[endpoint >> 7][endpoint & 15] = descriptor->endpoint[n].bmAttributes & 3;
			}
		}
	}
}

static void release_interfaces(struct usb_host *host)
{
	while (host->interfaces)
		libusb_release_interface(host->handle, --host->interfaces);
}

/* All interfaces of the present configuration; those of the host's drivers are taken away from them. */
static int claim_interfaces(struct usb_host *host)
{
	struct libusb_config_descriptor *configuration;
	int code = libusb_get_active_config_descriptor(libusb_get_device(host->handle), &configuration);

	memset(host->types, 0, sizeof host->types);
	if (code == LIBUSB_ERROR_NOT_FOUND) /* not configured */
		return 0;
	if (code < 0)
		return code;
	find_endpoints(host, configuration);
	while (code == 0 && host->interfaces < configuration->bNumInterfaces) {
		code = libusb_claim_interface(host->handle, host->interfaces);
		host->interfaces += code == 0;
	}
	libusb_free_config_descriptor(configuration);
	return code;
}

static bool set_configuration(struct usb_host *host, unsigned value)
{
	int present = 0;

	libusb_get_configuration(host->handle, &present);
	if (present == (int)value)
		return true;
	release_interfaces(host);
	return libusb_set_configuration(host->handle, value ? (int)value : -1) == 0 && claim_interfaces(host) == 0;
}

/* --- Transfers --- */

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
		went_away(host);
	if (transfer && request->in)
		actual = usb_put(transfer, 0, request->buffer + request->offset, actual);
	g_ptr_array_remove_fast(host->requests, request);
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
		g_ptr_array_add(host->requests, request);
		return;
	}
	if (code == LIBUSB_ERROR_NO_DEVICE)
		went_away(host);
	libusb_free_transfer(request->usb);
	g_free(request);
	usb_complete(transfer, USB_NO_RESPONSE, 0);
}

/* What libusb has to know about too, so that it cannot be just passed on. Returns false for all other requests. */
static bool special_request(struct usb_host *host, struct usb_transfer *transfer)
{
	const struct usb_setup *setup = &transfer->setup;
	bool ok;

	switch (setup->request) {
	case USB_DEVICE_OUT | USB_SET_CONFIGURATION:
		ok = set_configuration(host, setup->value & 0xFF);
		break;
	case USB_INTERFACE_OUT | USB_SET_INTERFACE:
		ok = libusb_set_interface_alt_setting(host->handle, setup->index & 0xFF, setup->value & 0xFF) == 0;
		break;
	case USB_ENDPOINT_OUT | USB_CLEAR_FEATURE:
		if (setup->value)
			return false;
		ok = libusb_clear_halt(host->handle, (uint8_t)setup->index) == 0;
		break;
	case USB_DEVICE_OUT | USB_SET_ADDRESS: /* the host's affair */
		ok = false;
		break;
	default:
		return false;
	}
	host->touched = true;
	usb_complete(transfer, ok ? USB_DONE : USB_STALL, 0);
	return true;
}

static void host_control(struct usb_device *device, struct usb_transfer *transfer)
{
	struct usb_host *host = from_usb(device);
	const struct usb_setup *setup = &transfer->setup;
	struct request *request;

	if (special_request(host, transfer))
		return;
	if (transfer->length < setup->length) {
		usb_complete(transfer, USB_STALL, 0);
		return;
	}
	request = request_new(host, transfer, setup->request & 0x8000, SETUP_SIZE);
	libusb_fill_control_setup(request->buffer, (uint8_t)(setup->request >> 8), (uint8_t)setup->request, setup->value,
				  setup->index, setup->length);
	libusb_fill_control_transfer(request->usb, host->handle, request->buffer, request_done, request, 0);
	submit(request);
}

static void host_transfer(struct usb_device *device, struct usb_transfer *transfer)
{
	struct usb_host *host = from_usb(device);
	bool in = transfer->endpoint & USB_DIRECTION_IN;
	uint8_t type = host->types[in][transfer->endpoint & 15];
	struct request *request;

	if ((type != LIBUSB_TRANSFER_TYPE_BULK && type != LIBUSB_TRANSFER_TYPE_INTERRUPT) ||
	    transfer->length > TRANSFER_MAX) {
		usb_complete(transfer, USB_STALL, 0);
		return;
	}
	request = request_new(host, transfer, in, 0);
	(type == LIBUSB_TRANSFER_TYPE_BULK ? libusb_fill_bulk_transfer : libusb_fill_interrupt_transfer)(
		request->usb, host->handle, transfer->endpoint, request->buffer, (int)transfer->length, request_done,
		request, 0);
	submit(request);
}

static void host_cancel(struct usb_device *device, struct usb_transfer *transfer)
{
	struct usb_host *host = from_usb(device);

	for (guint i = 0; i < host->requests->len; i++) {
		struct request *request = host->requests->pdata[i];

		if (request->transfer != transfer)
			continue;
		request->transfer = NULL;
		libusb_cancel_transfer(request->usb);
	}
}

/* --- The device --- */

static void host_reset(struct usb_device *device)
{
	struct usb_host *host = from_usb(device);

	if (!host->touched || host->gone)
		return;
	host->touched = false;
	/* NOT_FOUND: it came back as another device, to which somebody has to introduce us again. */
	if (libusb_reset_device(host->handle) == LIBUSB_ERROR_NOT_FOUND)
		went_away(host);
}

void usb_host_close(struct usb_host *host)
{
	release_interfaces(host);
	if (host->handle)
		libusb_close(host->handle);
	libusb_exit(host->context);
	g_hash_table_unref(host->watches);
	g_ptr_array_unref(host->requests);
	g_free(host);
}

static void host_destroy(struct usb_device *device)
{
	struct usb_host *host = from_usb(device);

	host->gone = true; /* no more to be told */
	if (host->has_hotplug)
		libusb_hotplug_deregister_callback(host->context, host->hotplug);
	for (guint i = 0; i < host->requests->len; i++) {
		struct request *request = host->requests->pdata[i];

		request->transfer = NULL;
		libusb_cancel_transfer(request->usb);
	}
	while (host->requests->len)
		if (libusb_handle_events(host->context) < 0)
			break;
	libusb_set_pollfd_notifiers(host->context, NULL, NULL, NULL);
	g_hash_table_remove_all(host->watches);
	host->options.release(host->options.opaque, host);
}

static const struct usb_device_ops ops = {
	.name = "host's USB device",
	.reset = host_reset,
	.control_transfer = host_control,
	.transfer = host_transfer,
	.cancel = host_cancel,
	.destroy = host_destroy,
};

bool usb_host_place(const struct usb_device *device, uint8_t *bus, uint8_t *address)
{
	const struct usb_host *host = (const struct usb_host *)device;

	if (!device || device->ops != &ops)
		return false;
	*bus = host->bus;
	*address = host->address;
	return true;
}

bool usb_host_gone(const struct usb_device *device)
{
	return device && device->ops == &ops && ((const struct usb_host *)device)->gone;
}

/* --- Opening --- */

static enum usb_speed speed_of(libusb_device *device)
{
	switch (libusb_get_device_speed(device)) {
	case LIBUSB_SPEED_LOW:
		return USB_SPEED_LOW;
	case LIBUSB_SPEED_HIGH:
		return USB_SPEED_HIGH;
	case LIBUSB_SPEED_SUPER:
	case LIBUSB_SPEED_SUPER_PLUS:
		return USB_SPEED_SUPER;
	default:
		return USB_SPEED_FULL;
	}
}

static bool open_failed(libusb_device *device, int code, GError **error)
{
	struct libusb_device_descriptor descriptor = { 0 };

	libusb_get_device_descriptor(device, &descriptor);
	if (code == LIBUSB_ERROR_ACCESS)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    _("You may not use the USB device %04x:%04x: only root may write to its file below "
			      "/dev/bus/usb. Put the line SUBSYSTEM==\"usb\", ATTR{idVendor}==\"%04x\", "
			      "ATTR{idProduct}==\"%04x\", TAG+=\"uaccess\" into /etc/udev/rules.d/70-oriel.rules, "
			      "and plug the device in again"), descriptor.idVendor, descriptor.idProduct,
			    descriptor.idVendor, descriptor.idProduct);
	else if (code == LIBUSB_ERROR_BUSY)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
			    _("The USB device %04x:%04x is used by another program"), descriptor.idVendor,
			    descriptor.idProduct);
	else
		fail(error, code, _("Cannot open the USB device: %s"));
	return false;
}

static bool open_device(struct usb_host *host, libusb_device *device, GError **error)
{
	int code = libusb_open(device, &host->handle);

	if (code < 0)
		return open_failed(device, code, error);
	libusb_set_auto_detach_kernel_driver(host->handle, 1);
	host->usb.speed = speed_of(device);
	code = claim_interfaces(host);
	if (code == 0)
		return true;
	return open_failed(device, code, error);
}

static bool find_and_open(struct usb_host *host, GError **error)
{
	libusb_device **list;
	ssize_t count = libusb_get_device_list(host->context, &list);
	bool found = false, ok = false;

	for (ssize_t i = 0; i < count && !found; i++) {
		found = libusb_get_bus_number(list[i]) == host->bus && libusb_get_device_address(list[i]) == host->address;
		if (found)
			ok = open_device(host, list[i], error);
	}
	if (count >= 0)
		libusb_free_device_list(list, 1);
	if (!found)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    _("There is no USB device %u on bus %u of the host"), host->address, host->bus);
	return ok;
}

struct usb_host *usb_host_open(uint8_t bus, uint8_t address, GError **error)
{
	struct usb_host *host;
	libusb_context *context;
	int code = libusb_init(&context);

	if (code < 0) {
		fail(error, code, _("Cannot use USB on this host: %s"));
		return NULL;
	}
	host = g_new0(struct usb_host, 1);
	host->usb.ops = &ops;
	host->context = context;
	host->bus = bus;
	host->address = address;
	host->watches = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)loop_remove);
	host->requests = g_ptr_array_new();
	if (find_and_open(host, error))
		return host;
	usb_host_close(host);
	return NULL;
}

struct usb_device *usb_host_start(struct usb_host *host, struct vm *vm, const struct usb_host_options *options)
{
	host->vm = vm;
	host->options = *options;
	watch_fds(host);
	host->has_hotplug = libusb_has_capability(LIBUSB_CAP_HAS_HOTPLUG) &&
			    libusb_hotplug_register_callback(host->context, LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT, 0,
							     LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY,
							     LIBUSB_HOTPLUG_MATCH_ANY, device_left, host,
							     &host->hotplug) == 0;
	return &host->usb;
}
