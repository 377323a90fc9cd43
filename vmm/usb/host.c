#include "host_internal.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

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

void host_went_away(struct usb_host *host)
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
		host_went_away(host);
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

void host_release_interfaces(struct usb_host *host)
{
	while (host->interfaces)
		libusb_release_interface(host->handle, --host->interfaces);
}

int host_claim_interfaces(struct usb_host *host)
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

/* --- The device --- */

static void submit(struct usb_device *device, struct usb_transfer *transfer)
{
	host_submit(from_usb(device), transfer);
}

static void cancel(struct usb_device *device, struct usb_transfer *transfer)
{
	host_cancel(from_usb(device), transfer);
}

static void reset(struct usb_device *device)
{
	struct usb_host *host = from_usb(device);

	if (!host->touched || host->gone)
		return;
	host->touched = false;
	host_task_reset(host);
}

void usb_host_close(struct usb_host *host)
{
	while (host->in_flight)
		if (libusb_handle_events(host->context) < 0)
			break;
	host_release_interfaces(host);
	if (host->handle)
		libusb_close(host->handle);
	libusb_exit(host->context);
	g_hash_table_unref(host->watches);
	g_ptr_array_unref(host->requests);
	g_queue_clear(&host->delayed);
	g_free(host);
}

static void destroy(struct usb_device *device)
{
	struct usb_host *host = from_usb(device);

	host->gone = true; /* no more to be told */
	if (host->has_hotplug)
		libusb_hotplug_deregister_callback(host->context, host->hotplug);
	host_cancel_all(host);
	libusb_set_pollfd_notifiers(host->context, NULL, NULL, NULL);
	g_hash_table_remove_all(host->watches);
	host->destroyed = true;
	if (g_queue_is_empty(&host->tasks))
		host->options.release(host->options.opaque, host);
}

static const struct usb_device_ops ops = {
	.name = "host's USB device",
	.reset = reset,
	.control_transfer = submit,
	.transfer = submit,
	.cancel = cancel,
	.destroy = destroy,
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
	code = host_claim_interfaces(host);
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
