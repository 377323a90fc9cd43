/* Root hub ports (sections 4.19 and 5.4.8). A device shows at the port of its connector that fits its speed. */
#include <gio/gio.h>
#include <glib/gi18n.h>

#include "xhci_internal.h"

#define PORTSC_CCS (1u << 0)
#define PORTSC_PED (1u << 1)
#define PORTSC_PR (1u << 4)
#define PORTSC_PLS (15u << 5)
#define PORTSC_PP (1u << 9)
#define PORTSC_SPEED_SHIFT 10
#define PORTSC_LWS (1u << 16)
#define PORTSC_CSC (1u << 17)
#define PORTSC_PEC (1u << 18)
#define PORTSC_WRC (1u << 19)
#define PORTSC_PRC (1u << 21)
#define PORTSC_PLC (1u << 22)
#define PORTSC_CHANGES (0x7Fu << 17)
#define PORTSC_WRITABLE (3u << 14 | 7u << 25) /* indicator, wake enables */
#define PORTSC_WPR (1u << 31)

enum link_state {
	LINK_U0 = 0,
	LINK_U3 = 3,
	LINK_DISABLED = 4,
	LINK_RX_DETECT = 5,
	LINK_POLLING = 7,
	LINK_RESUME = 15,
};

static bool is_usb3(unsigned port)
{
	return port >= XHCI_CONNECTORS;
}

static enum link_state link_state(const struct xhci_port *port)
{
	return (enum link_state)(port->portsc >> 5 & 15);
}

static void set_link_state(struct xhci_port *port, enum link_state state)
{
	port->portsc = (port->portsc & ~PORTSC_PLS) | (uint32_t)state << 5;
}

static void post_change(struct xhci *xhci, unsigned number)
{
	struct xhci_trb event = { .parameter = (uint64_t)(number + 1) << 24, .status = (uint32_t)CC_SUCCESS << 24,
				  .control = TRB_PORT_STATUS_CHANGE << 10 };

	xhci->usbsts |= USBSTS_PCD;
	xhci_post(xhci, 0, &event, false);
}

/* Section 4.19.2: an event when the first of the change bits comes. */
static void changed(struct xhci *xhci, unsigned number, uint32_t changes)
{
	struct xhci_port *port = &xhci->ports[number];
	bool first = !(port->portsc & PORTSC_CHANGES);

	port->portsc |= changes;
	if (first && xhci_running(xhci))
		post_change(xhci, number);
}

void xhci_ports_started(struct xhci *xhci)
{
	for (unsigned i = 0; i < XHCI_PORTS; i++)
		if (xhci->ports[i].portsc & PORTSC_CHANGES)
			post_change(xhci, i);
}

/* A USB 3 link trains by itself; a USB 2 device waits for a reset (sections 4.19.1.1 and 4.19.1.2). */
static void show_device(struct xhci *xhci, unsigned number)
{
	struct xhci_port *port = &xhci->ports[number];

	port->portsc = (port->portsc & ~(15u << PORTSC_SPEED_SHIFT)) | PORTSC_CCS |
		       (uint32_t)port->device->speed << PORTSC_SPEED_SHIFT;
	if (is_usb3(number)) {
		set_link_state(port, LINK_U0);
		port->portsc |= PORTSC_PED;
	} else {
		set_link_state(port, LINK_POLLING);
	}
	usb_device_reset(port->device);
	changed(xhci, number, PORTSC_CSC);
}

static struct xhci_slot *slot_at(struct xhci *xhci, unsigned number)
{
	for (unsigned i = 1; i <= XHCI_SLOTS; i++)
		if (xhci->slots[i].enabled && xhci->slots[i].port == number + 1)
			return &xhci->slots[i];
	return NULL;
}

static void take_back_transfers(struct xhci *xhci, unsigned number, void (*take)(struct xhci_endpoint *endpoint))
{
	struct xhci_slot *slot = slot_at(xhci, number);

	for (unsigned dci = 1; slot && dci < XHCI_DCIS; dci++)
		if (slot->endpoints[dci])
			take(slot->endpoints[dci]);
}

/* Over at once. Drivers that wait for the hundredth of a second it takes on a wire find it done. */
static void reset_port(struct xhci *xhci, unsigned number, bool warm)
{
	struct xhci_port *port = &xhci->ports[number];

	if (!port->device)
		return;
	take_back_transfers(xhci, number, xhci_endpoint_unplugged);
	usb_device_reset(port->device);
	set_link_state(port, LINK_U0);
	port->portsc |= PORTSC_PED;
	changed(xhci, number, PORTSC_PRC | (warm ? PORTSC_WRC : 0));
}

/* What software may ask of the link (table 35): suspend, resume, and on USB 3 ports to look for a device. */
static void write_link_state(struct xhci *xhci, unsigned number, enum link_state wanted)
{
	struct xhci_port *port = &xhci->ports[number];
	enum link_state now = link_state(port);

	if (wanted == LINK_RX_DETECT && now == LINK_DISABLED) {
		set_link_state(port, LINK_U0);
		port->portsc |= PORTSC_PED;
		changed(xhci, number, PORTSC_PLC);
	}
	if (!(port->portsc & PORTSC_PED))
		return;
	if (wanted == LINK_U3 && now == LINK_U0) {
		set_link_state(port, LINK_U3);
		usb_suspend(port->device, true);
	} else if (wanted == LINK_RESUME && now == LINK_U3 && !is_usb3(number)) {
		set_link_state(port, LINK_RESUME);
	} else if (wanted == LINK_U0 && now != LINK_U0) {
		set_link_state(port, LINK_U0);
		usb_suspend(port->device, false);
		changed(xhci, number, PORTSC_PLC);
	}
}

/* The device asks (section 4.15.2.2): USB 3 links come up by themselves, USB 2 ports wait for software to end it. */
static void wakeup(struct usb_device *device, void *opaque)
{
	struct xhci *xhci = opaque;

	for (unsigned i = 0; i < XHCI_PORTS; i++) {
		if (xhci->ports[i].device != device || link_state(&xhci->ports[i]) != LINK_U3)
			continue;
		if (is_usb3(i)) {
			set_link_state(&xhci->ports[i], LINK_U0);
			usb_suspend(device, false);
		} else {
			set_link_state(&xhci->ports[i], LINK_RESUME);
		}
		changed(xhci, i, PORTSC_PLC);
	}
}

static void starved(struct usb_device *device, uint8_t endpoint, void *opaque)
{
	struct xhci *xhci = opaque;

	for (unsigned i = 0; i < XHCI_PORTS; i++) {
		struct xhci_slot *slot = xhci->ports[i].device == device ? slot_at(xhci, i) : NULL;

		if (slot)
			xhci_isoch_starved(slot, endpoint);
	}
}

uint32_t xhci_port_read(const struct xhci *xhci, unsigned number, unsigned offset)
{
	const struct xhci_port *port = &xhci->ports[number];

	return offset == 0 ? port->portsc : offset == 4 ? port->portpmsc : 0;
}

static void disable_port(struct xhci *xhci, unsigned number)
{
	struct xhci_port *port = &xhci->ports[number];

	take_back_transfers(xhci, number, xhci_endpoint_unplugged);
	port->portsc &= ~PORTSC_PED;
	set_link_state(port, is_usb3(number) ? LINK_DISABLED : LINK_POLLING);
}

void xhci_port_write(struct xhci *xhci, unsigned number, unsigned offset, uint32_t value, uint32_t mask)
{
	struct xhci_port *port = &xhci->ports[number];

	if (offset == 4)
		port->portpmsc = (port->portpmsc & ~mask) | (value & mask);
	if (offset)
		return;
	port->portsc &= ~(value & mask & PORTSC_CHANGES);
	port->portsc = (port->portsc & ~(mask & PORTSC_WRITABLE)) | (value & mask & PORTSC_WRITABLE);
	value &= mask;
	if (value & PORTSC_PED && port->portsc & PORTSC_PED)
		disable_port(xhci, number);
	if (value & PORTSC_LWS && port->device)
		write_link_state(xhci, number, (enum link_state)(value >> 5 & 15));
	if (value & PORTSC_PR || (value & PORTSC_WPR && is_usb3(number)))
		reset_port(xhci, number, value & PORTSC_WPR);
}

void xhci_port_reset_all(struct xhci *xhci)
{
	for (unsigned i = 0; i < XHCI_PORTS; i++) {
		struct xhci_port *port = &xhci->ports[i];

		port->portsc = PORTSC_PP;
		port->portpmsc = 0;
		set_link_state(port, LINK_RX_DETECT);
		if (port->device)
			show_device(xhci, i);
	}
}

/* --- Plugging --- */

struct usb_device *xhci_connected(const struct xhci *xhci, unsigned connector)
{
	return xhci->ports[connector].device ? xhci->ports[connector].device :
					       xhci->ports[connector + XHCI_CONNECTORS].device;
}

bool xhci_attach(struct xhci *xhci, struct usb_device *device, GError **error)
{
	for (unsigned connector = 0; connector < XHCI_CONNECTORS; connector++) {
		unsigned number = connector + (device->speed == USB_SPEED_SUPER ? XHCI_CONNECTORS : 0);

		if (xhci_connected(xhci, connector))
			continue;
		device->wakeup = wakeup;
		device->starved = starved;
		device->controller = xhci;
		xhci->ports[number].device = device;
		show_device(xhci, number);
		return true;
	}
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
		    _("All %u USB ports of the machine are taken; unplug a device first"), XHCI_CONNECTORS);
	return false;
}

void xhci_detach(struct xhci *xhci, struct usb_device *device)
{
	for (unsigned i = 0; i < XHCI_PORTS; i++) {
		struct xhci_port *port = &xhci->ports[i];

		if (port->device != device)
			continue;
		take_back_transfers(xhci, i, xhci_endpoint_unplugged);
		port->device = NULL;
		device->ops->destroy(device);
		port->portsc &= ~(PORTSC_CCS | PORTSC_PED | 15u << PORTSC_SPEED_SHIFT);
		set_link_state(port, LINK_RX_DETECT);
		changed(xhci, i, PORTSC_CSC);
		return;
	}
}
