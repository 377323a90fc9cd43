/* The controller as a whole: reset, state and creation. */
#include "../firmware/description.h"
#include "xhci_internal.h"

#define BAR_REGISTERS 0
#define BAR_MSIX 2
#define BAR_SIZE 0x4000

#define DEVFN PCI_DEVFN(PLATFORM_USB_SLOT, 0)
#define PCI_SBRN 0x60 /* section 5.2.3 */
#define NAME_MAX_LENGTH 32

static struct xhci *from_device(struct device *device)
{
	return (struct xhci *)device;
}

struct device *xhci_device(struct xhci *xhci)
{
	return &xhci->pci.device;
}

void xhci_resume_later(struct xhci *xhci, uint64_t delay)
{
	uint64_t deadline = clock_now(&xhci->pci.device.vm->clock) + delay;

	if (!xhci->resume.pending || deadline < xhci->resume.deadline)
		timer_set(&xhci->resume, deadline);
}

static void resume(void *opaque)
{
	struct xhci *xhci = opaque;

	if (!xhci_running(xhci))
		return;
	if (xhci->commands_running)
		xhci_run_commands(xhci);
	for (unsigned i = 1; i <= XHCI_SLOTS; i++)
		for (unsigned dci = 1; dci < XHCI_DCIS; dci++)
			if (xhci->slots[i].endpoints[dci])
				xhci_endpoint_run(xhci->slots[i].endpoints[dci]);
}

static void frames_wrapped(void *opaque)
{
	struct xhci *xhci = opaque;
	struct xhci_trb event = { .status = (uint32_t)CC_SUCCESS << 24, .control = TRB_MFINDEX_WRAP << 10 };

	xhci_post(xhci, 0, &event, false);
	xhci_update_wrap(xhci);
}

/* All that is under way, and what interrupters know; nothing is written to the guest. */
static void forget_work(struct xhci *xhci)
{
	timer_cancel(&xhci->wrap);
	timer_cancel(&xhci->resume);
	for (unsigned i = 1; i <= XHCI_SLOTS; i++)
		xhci_slot_clear(&xhci->slots[i]);
	for (unsigned i = 0; i < XHCI_INTERRUPTERS; i++)
		xhci_interrupter_reset(&xhci->interrupters[i]);
}

void xhci_controller_reset(struct xhci *xhci)
{
	forget_work(xhci);
	xhci->usbcmd = 0;
	xhci->usbsts = USBSTS_HCH;
	xhci->dnctrl = 0;
	xhci->config = 0;
	xhci->dcbaap = 0;
	xhci->commands = (struct xhci_ring){ 0 };
	xhci->commands_running = false;
	xhci->saved = false;
	xhci->frame_base = clock_now(&xhci->pci.device.vm->clock);
	xhci_port_reset_all(xhci);
	xhci_update_interrupt(xhci);
}

static void xhci_reset(struct device *device)
{
	struct xhci *xhci = from_device(device);

	pci_device_reset(&xhci->pci);
	xhci->legacy[0] = xhci->legacy[1] = 0;
	xhci_controller_reset(xhci);
}

/* --- State --- */

static void state_port(struct xhci *xhci, unsigned number, struct state *state)
{
	struct xhci_port *port = &xhci->ports[number];
	g_autofree char *prefix = g_strdup_printf("port%u", number + 1);
	char name[NAME_MAX_LENGTH] = "", field[USB_FIELD_MAX];
	g_autofree char *device = g_strconcat(prefix, ".device", NULL);

	if (port->device)
		g_strlcpy(name, port->device->ops->name, sizeof name);
	state_bytes(state, device, name, sizeof name);
	name[sizeof name - 1] = 0;
	if (strcmp(name, port->device ? port->device->ops->name : "")) {
		state_fail(state, "USB port %u had \"%s\", and now has \"%s\"", number + 1, name,
			   port->device ? port->device->ops->name : "");
		return;
	}
	if (port->device)
		usb_device_state(port->device, state, device);
	state_u32(state, usb_field(field, prefix, "portsc"), &port->portsc);
	state_u32(state, usb_field(field, prefix, "portpmsc"), &port->portpmsc);
}

static void state_registers(struct xhci *xhci, struct state *state)
{
	uint64_t frames = clock_now(&xhci->pci.device.vm->clock) - xhci->frame_base;

	state_u32(state, "usbcmd", &xhci->usbcmd);
	state_u32(state, "usbsts", &xhci->usbsts);
	state_u32(state, "dnctrl", &xhci->dnctrl);
	state_u32(state, "config", &xhci->config);
	state_u64(state, "dcbaap", &xhci->dcbaap);
	state_u64(state, "commands.dequeue", &xhci->commands.dequeue);
	state_bool(state, "commands.cycle", &xhci->commands.cycle);
	state_bool(state, "commands.running", &xhci->commands_running);
	state_u32(state, "legacy.support", &xhci->legacy[0]);
	state_u32(state, "legacy.control", &xhci->legacy[1]);
	state_bool(state, "saved", &xhci->saved);
	state_u64(state, "frames", &frames);
	xhci->frame_base = clock_now(&xhci->pci.device.vm->clock) - frames;
}

static void xhci_state(struct device *device, struct state *state)
{
	struct xhci *xhci = from_device(device);

	if (state_loading(state))
		xhci_controller_reset(xhci);
	pci_device_state(&xhci->pci, state);
	/* First: a device that is being saved ends what the host does for it, which moves rings. */
	for (unsigned i = 0; i < XHCI_PORTS; i++)
		state_port(xhci, i, state);
	state_registers(xhci, state);
	for (unsigned i = 1; i <= XHCI_SLOTS; i++)
		xhci_slot_state(&xhci->slots[i], state);
	for (unsigned i = 0; i < XHCI_INTERRUPTERS; i++) {
		g_autofree char *prefix = g_strdup_printf("interrupter%u", i);

		xhci_interrupter_state(&xhci->interrupters[i], state, prefix);
	}
	if (!state_loading(state))
		return;
	if (!(xhci->usbcmd & USBCMD_RS))
		xhci->usbsts |= USBSTS_HCH;
	xhci_update_wrap(xhci);
	xhci_update_interrupt(xhci);
	xhci_resume_later(xhci, 0);
}

static void xhci_destroy(struct device *device)
{
	struct xhci *xhci = from_device(device);

	forget_work(xhci);
	for (unsigned i = 0; i < XHCI_PORTS; i++)
		if (xhci->ports[i].device)
			xhci->ports[i].device->ops->destroy(xhci->ports[i].device);
	pci_unplug(&xhci->pci);
	g_free(xhci);
}

static const struct device_ops xhci_ops = {
	.name = "xhci",
	.reset = xhci_reset,
	.state = xhci_state,
	.destroy = xhci_destroy,
};

/* Bus mastering lets work go on that waited for it. */
static void config_written(struct pci_device *device, unsigned offset, unsigned size)
{
	struct xhci *xhci = from_device(&device->device);

	(void)size;
	if (offset <= PCI_COMMAND + 1 && xhci_running(xhci))
		xhci_resume_later(xhci, 0);
	xhci_update_interrupt(xhci);
}

struct xhci *xhci_new(struct vm *vm, struct pci_bus *bus)
{
	static const struct pci_identity identity = {
		.vendor = 0x1B36, .device = 0x000D, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100,
		.revision = 1, .class_code = 0x0C0330, .interrupt_pin = 1,
	};
	struct xhci *xhci = g_new0(struct xhci, 1);

	pci_device_init(&xhci->pci, &identity);
	xhci->pci.device.ops = &xhci_ops;
	xhci->pci.device.vm = vm;
	xhci->pci.config_written = config_written;
	xhci->pci.config[PCI_SBRN] = 0x30;
	xhci->pci.capabilities_end = 0x70;
	pci_bar_registers(&xhci->pci, BAR_REGISTERS, PCI_BAR_MEMORY64, BAR_SIZE, &xhci_registers_ops, xhci, "xhci");
	pci_add_msi(&xhci->pci);
	pci_add_msix(&xhci->pci, BAR_MSIX, XHCI_INTERRUPTERS);
	timer_init(&xhci->wrap, &vm->clock, frames_wrapped, xhci);
	timer_init(&xhci->resume, &vm->clock, resume, xhci);
	for (unsigned i = 0; i < XHCI_INTERRUPTERS; i++)
		xhci_interrupter_init(xhci, i);
	for (unsigned i = 1; i <= XHCI_SLOTS; i++) {
		xhci->slots[i].xhci = xhci;
		xhci->slots[i].id = (uint8_t)i;
	}
	pci_plug(bus, &xhci->pci, DEVFN);
	xhci_reset(&xhci->pci.device);
	return xhci;
}
