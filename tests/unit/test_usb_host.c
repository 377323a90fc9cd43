/*
 * Devices of the host. This host may have no USB at all, so libusb is played here: one device with a control, a bulk
 * and an interrupt endpoint, whose answers a test holds back or gives. What the real library does with a real bus is
 * not tried.
 */
#include "xhci_guest.h"

#include <gio/gio.h>
#include <libusb.h>

#include "../../vmm/usb/host.h"
#include "../../vmm/usb/host_list.h"
#include "../../vmm/usb/lending.h"
#include "../fake_usb.h"
#include "../remove_tree.h"

#define BULK_IN 3u
#define BULK_OUT 4u
#define PORT 1u

struct libusb_device {
	int unused;
};

/* The peer's side of the library. */
static struct {
	libusb_device device;
	int open_error, claim_error;
	unsigned opened, claimed, resets, cleared, configuration, contexts;
	struct libusb_transfer *waiting; /* submitted and not answered */
	bool cancelled;
	libusb_hotplug_callback_fn left;
	void *left_opaque;
	uint8_t sent[4096];
	int sent_length;
	uint8_t setup[8];
} peer;

static const struct libusb_endpoint_descriptor endpoints[] = {
	{ .bEndpointAddress = 0x81, .bmAttributes = LIBUSB_TRANSFER_TYPE_BULK, .wMaxPacketSize = 512 },
	{ .bEndpointAddress = 0x02, .bmAttributes = LIBUSB_TRANSFER_TYPE_BULK, .wMaxPacketSize = 512 },
};
static const struct libusb_interface_descriptor setting = { .bNumEndpoints = 2, .endpoint = endpoints };
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
	return number == 0 && value == 0 ? 0 : LIBUSB_ERROR_NOT_FOUND;
}

int libusb_clear_halt(libusb_device_handle *handle, unsigned char endpoint)
{
	(void)handle, (void)endpoint;
	peer.cleared++;
	return 0;
}

int libusb_reset_device(libusb_device_handle *handle)
{
	(void)handle;
	peer.resets++;
	return 0;
}

struct libusb_transfer *libusb_alloc_transfer(int packets)
{
	(void)packets;
	return g_new0(struct libusb_transfer, 1);
}

void libusb_free_transfer(struct libusb_transfer *transfer)
{
	g_free(transfer);
}

int libusb_submit_transfer(struct libusb_transfer *transfer)
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

static void answer(enum libusb_transfer_status status, const void *data, int length)
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
	g_assert_true(transfer == peer.waiting);
	peer.cancelled = true;
	return 0;
}

int libusb_handle_events(libusb_context *context)
{
	(void)context;
	if (peer.waiting && peer.cancelled)
		answer(LIBUSB_TRANSFER_CANCELLED, NULL, 0);
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

/* --- The tests --- */

struct fixture {
	struct xhci_guest g;
	struct usb_lender *lender;
	struct usb_device *usb;
	unsigned slot;
	unsigned answers; /* that the lender has given */
	GError *error;    /* the last one's */
	char *list;
};

static void answered(void *opaque, const GError *error)
{
	struct fixture *f = opaque;

	f->answers++;
	g_clear_error(&f->error);
	f->error = error ? g_error_copy(error) : NULL;
}

static void wait_answers(struct fixture *f, unsigned count)
{
	while (f->answers < count)
		g_main_context_iteration(f->g.machine->vm.loop.context, TRUE);
}

static void lend(struct fixture *f, uint8_t address)
{
	f->answers = 0;
	usb_lender_plug(f->lender, 3, address, answered, f);
	wait_answers(f, 1);
}

/* What has been given back is really back. */
static void wait_closed(struct fixture *f)
{
	while (g_atomic_int_get((gint *)&peer.contexts))
		g_main_context_iteration(f->g.machine->vm.loop.context, FALSE);
}

static void open_lender(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	memset(&peer, 0, sizeof peer);
	peer.configuration = 1;
	guest_open(&f->g);
	f->lender = usb_lender_new(&f->g.machine->vm, f->g.xhci);
}

static void open_fixture(struct fixture *f)
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

static void start_device(struct fixture *f)
{
	static const unsigned wanted[][2] = { { BULK_IN, EP_BULK_IN }, { BULK_OUT, EP_BULK_OUT }, { 0, 0 } };

	f->slot = address_port(&f->g, PORT);
	configure(&f->g, f->slot, wanted, 512);
}

static void close_fixture(struct fixture *f)
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
	g_assert_null(peer.left);
}

/* --- Listing, from a folder that looks like the kernel's --- */

/* The folder, which the environment names. */
static char *make_sysfs(void)
{
	static const char *const hub[] = { "1\n", "1\n", "1d6b\n", "0002\n", "09\n", "Linux", "xHCI Host Controller" };
	static const char *const stick[] = { "3\n", "12\n", "0951\n", "1666\n", "00\n", "Kingston\n", "Data Traveler\n" };
	static const char *const mouse[] = { "3\n", "7\n", "1234\n", "abcd\n", "00\n", NULL, "Gadget\xff\n" };
	static const char *const dumb[] = { "2\n", "200\n", "0a12\n", "0001\n", "e0\n", NULL, NULL };
	static const char *const same[] = { "2\n", "3\n", "046d\n", "c077\n", "00\n", "Logitech", "Logitech Mouse" };
	char *sysfs = g_dir_make_tmp("oriel-sysfs-XXXXXX", NULL);

	fake_usb_device(sysfs, "usb1", hub);
	fake_usb_device(sysfs, "3-1", stick);
	fake_usb_device(sysfs, "3-2", mouse);
	fake_usb_device(sysfs, "2-1.4", dumb);
	fake_usb_device(sysfs, "2-2", same);
	fake_usb_attribute(sysfs, "3-1:1.0", "bInterfaceClass", "08\n");
	fake_usb_attribute(sysfs, "3-9", "busnum", "3\n");
	g_setenv("ORIEL_SYSFS", sysfs, TRUE);
	return sysfs;
}

static void remove_sysfs(const char *sysfs)
{
	g_unsetenv("ORIEL_SYSFS");
	remove_tree(sysfs);
}

static void note_list(void *opaque, const GPtrArray *entries, const GError *error)
{
	struct fixture *f = opaque;
	GString *text = g_string_new(NULL);

	for (guint i = 0; entries && i < entries->len; i++) {
		const struct usb_host_entry *entry = entries->pdata[i];

		g_string_append_printf(text, "%u.%u %04x:%04x %s%s\n", entry->bus, entry->address, entry->vendor,
				       entry->product, entry->name, entry->plugged ? " plugged" : "");
	}
	if (error)
		g_string_append(text, error->message);
	g_free(f->list);
	f->list = g_string_free(text, FALSE);
	f->answers++;
}

static void test_list(void)
{
	g_autofree char *sysfs = make_sysfs();
	struct fixture f;

	open_fixture(&f);
	f.answers = 0;
	usb_lender_list(f.lender, note_list, &f);
	wait_answers(&f, 1);
	g_assert_cmpstr(f.list, ==, "2.3 046d:c077 Logitech Mouse\n2.200 0a12:0001 USB device 0a12:0001\n"
				    "3.7 1234:abcd Gadget\357\277\275 plugged\n3.12 0951:1666 Kingston Data Traveler\n");
	close_fixture(&f);
	remove_sysfs(sysfs);
	/* A computer without USB. */
	g_setenv("ORIEL_SYSFS", "/nonexistent", TRUE);
	open_lender(&f);
	usb_lender_list(f.lender, note_list, &f);
	wait_answers(&f, 1);
	g_assert_cmpstr(f.list, ==, "");
	close_fixture(&f);
	g_unsetenv("ORIEL_SYSFS");
}

static void test_ids(void)
{
	static const char *const bad[] = { "046d", "046d:c07", "046d:c0777", "046d:xyzw", "046d:c077, 0951:1666", ":", "+46d:c077" };
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) ids = usb_ids_parse(" 046D:c077;0951:1666 ; ", &error);
	g_autoptr(GArray) none = usb_ids_parse(NULL, NULL);
	g_autofree char *text = NULL;

	g_assert_no_error(error);
	text = usb_ids_format(ids);
	g_assert_cmpstr(text, ==, "046d:c077; 0951:1666");
	g_assert_cmpint(usb_ids_find(ids, 0x0951, 0x1666), ==, 1);
	g_assert_cmpint(usb_ids_find(ids, 0x0951, 0xC077), ==, -1);
	g_assert_cmpuint(none->len, ==, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_null(usb_ids_parse(bad[i], &error));
		g_assert_nonnull(strstr(error->message, "046d:c077"));
		g_clear_error(&error);
	}
}

/* --- Lending --- */

static void expect_refusal(struct fixture *f, uint8_t address, int code, const char *text)
{
	lend(f, address);
	g_assert_error(f->error, G_IO_ERROR, code);
	g_assert_nonnull(strstr(f->error->message, text));
	g_assert_cmpuint(peer.contexts, ==, 0);
}

static void test_refusals(void)
{
	struct fixture f;

	open_lender(&f);
	peer.open_error = LIBUSB_ERROR_ACCESS;
	expect_refusal(&f, 7, G_IO_ERROR_PERMISSION_DENIED, "ATTR{idVendor}==\"1234\"");
	peer.open_error = LIBUSB_ERROR_IO;
	expect_refusal(&f, 7, G_IO_ERROR_FAILED, "LIBUSB_ERROR_IO");
	peer.open_error = 0;
	peer.claim_error = LIBUSB_ERROR_BUSY;
	expect_refusal(&f, 7, G_IO_ERROR_BUSY, "another program");
	peer.claim_error = 0;
	expect_refusal(&f, 8, G_IO_ERROR_NOT_FOUND, "no USB device 8 on bus 3");
	close_fixture(&f);
}

/* A device is lent once, also while it is being opened; and can be given back and lent again. */
static void test_twice(void)
{
	g_autoptr(GError) error = NULL;
	struct fixture f;

	open_lender(&f);
	usb_lender_plug(f.lender, 3, 7, answered, &f);
	usb_lender_plug(f.lender, 3, 7, answered, &f);
	wait_answers(&f, 2);
	g_assert_cmpuint(peer.opened, ==, 1);
	lend(&f, 7);
	g_assert_error(f.error, G_IO_ERROR, G_IO_ERROR_BUSY);
	g_assert_true(usb_lender_unplug(f.lender, 3, 7, &error));
	wait_closed(&f);
	g_assert_cmpuint(peer.claimed, ==, 0);
	g_assert_false(usb_lender_unplug(f.lender, 3, 7, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
	lend(&f, 7);
	g_assert_no_error(f.error);
	close_fixture(&f);
}

/* What machine.conf names, of which one device is there. */
static void test_kinds(void)
{
	g_autofree char *sysfs = make_sysfs();
	g_autoptr(GArray) ids = usb_ids_parse("1234:abcd; ffff:0001", NULL);
	struct fixture f;

	open_lender(&f);
	usb_lender_plug_kinds(f.lender, ids, answered, &f);
	wait_answers(&f, 1);
	g_assert_error(f.error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
	g_assert_nonnull(strstr(f.error->message, "ffff:0001"));
	wait_answers(&f, 2);
	g_assert_no_error(f.error);
	g_assert_cmpuint(peer.opened, ==, 1);
	close_fixture(&f);
	remove_sysfs(sysfs);
}

/* The machine ends while the host is still at it: everybody gets an answer, and the host its device. */
static void test_end(void)
{
	g_autofree char *sysfs = make_sysfs();
	struct fixture f;

	open_lender(&f);
	usb_lender_plug(f.lender, 3, 7, answered, &f);
	usb_lender_list(f.lender, note_list, &f);
	f.g.device->ops->destroy(f.g.device);
	usb_lender_free(f.lender);
	g_assert_cmpuint(f.answers, ==, 2);
	g_assert_error(f.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	g_assert_cmpuint(peer.opened, ==, 0);
	g_assert_cmpuint(peer.contexts, ==, 0);
	g_clear_error(&f.error);
	g_free(f.list);
	pci_bus_finish(&f.g.bus);
	fake_machine_free(f.g.machine);
	remove_sysfs(sysfs);
}

static void test_control(void)
{
	static const uint8_t descriptor[18] = { 18, 1, 0, 2, 0, 0, 0, 64, 0x34, 0x12 };
	struct fixture f;
	struct guest_ring *ring;
	uint32_t status;
	uint8_t bus, address;

	open_fixture(&f);
	g_assert_true(usb_host_place(f.usb, &bus, &address));
	g_assert_cmpuint(bus * 100 + address, ==, 307);
	start_device(&f);
	/* Its present configuration needs no word to the device. */
	g_assert_null(peer.waiting);
	ring = &f.g.transfers[f.slot][1];
	push(&f.g, ring, 18ull << 48 | 0x100ull << 16 | 6 << 8 | 0x80, 8, SETUP, IDT | 3 << 16);
	push(&f.g, ring, BUFFER, 18, DATA, ISP | 1 << 16);
	status = push(&f.g, ring, 0, 0, STATUS, IOC);
	ring_endpoint(&f.g, f.slot, 1);
	expect_no_event(&f.g);
	g_assert_cmpmem(peer.setup, 8, "\x80\x06\0\1\0\0\x12\0", 8);
	answer(LIBUSB_TRANSFER_COMPLETED, descriptor, 18);
	expect_transfer(&f.g, status, SUCCESS, 0);
	g_assert_cmpmem(ram(&f.g, BUFFER), 18, descriptor, 18);
	/* Special ones. */
	g_assert_cmpuint(control(&f.g, f.slot, 0x02, 1, 0, 0x81, 0, NULL), ==, SUCCESS);
	g_assert_cmpuint(peer.cleared, ==, 1);
	g_assert_cmpuint(control(&f.g, f.slot, 0x01, 11, 0, 0, 0, NULL), ==, SUCCESS);
	g_assert_cmpuint(control(&f.g, f.slot, 0x00, 9, 0, 0, 0, NULL), ==, SUCCESS);
	g_assert_cmpuint(peer.configuration, ==, 0);
	g_assert_cmpuint(peer.claimed, ==, 0);
	g_assert_cmpuint(control(&f.g, f.slot, 0x00, 9, 1, 0, 0, NULL), ==, SUCCESS);
	g_assert_cmpuint(peer.claimed, ==, 1);
	g_assert_cmpuint(control(&f.g, f.slot, 0x01, 11, 5, 0, 0, NULL), ==, STALL);
	/* A port reset is one for the device, if anything has happened since the last. */
	g_assert_cmpuint(peer.resets, ==, 0);
	set_reg(&f.g, PORTSC1, 1u << 9 | 1u << 4);
	g_assert_cmpuint(peer.resets, ==, 1);
	set_reg(&f.g, PORTSC1, 1u << 9 | 1u << 4);
	g_assert_cmpuint(peer.resets, ==, 1);
	close_fixture(&f);
}

static void test_bulk(void)
{
	struct fixture f;
	uint32_t trb;

	open_fixture(&f);
	start_device(&f);
	memset(ram(&f.g, BUFFER), 0x42, 1000);
	trb = transfer(&f.g, f.slot, BULK_OUT, BUFFER, 1000);
	g_assert_cmpint(peer.sent_length, ==, 1000);
	g_assert_cmphex(peer.sent[999], ==, 0x42);
	answer(LIBUSB_TRANSFER_COMPLETED, NULL, 1000);
	expect_transfer(&f.g, trb, SUCCESS, 0);
	trb = transfer(&f.g, f.slot, BULK_IN, BUFFER, 512);
	answer(LIBUSB_TRANSFER_COMPLETED, "answer", 6);
	expect_transfer(&f.g, trb, SHORT_PACKET, 506);
	g_assert_cmpmem(ram(&f.g, BUFFER), 6, "answer", 6);
	trb = transfer(&f.g, f.slot, BULK_IN, BUFFER, 512);
	answer(LIBUSB_TRANSFER_STALL, NULL, 0);
	expect_transfer(&f.g, trb, STALL, 512);
	close_fixture(&f);
}

/* What is cancelled ends later, into a buffer that nobody reads; and closing waits for that. */
static void test_cancel(void)
{
	struct fixture f;
	uint32_t trb;

	open_fixture(&f);
	start_device(&f);
	memset(ram(&f.g, BUFFER), 0x77, 512);
	trb = transfer(&f.g, f.slot, BULK_IN, BUFFER, 512);
	push(&f.g, &f.g.commands, 0, 0, STOP_ENDPOINT, f.slot << 24 | BULK_IN << 16);
	set_reg(&f.g, DOORBELL, 0);
	expect_transfer(&f.g, trb, STOPPED, 512);
	expect_event(&f.g, COMMAND_COMPLETION);
	g_assert_true(peer.cancelled);
	answer(LIBUSB_TRANSFER_COMPLETED, "late", 4);
	expect_no_event(&f.g);
	g_assert_cmphex(*ram(&f.g, BUFFER), ==, 0x77);
	ring_endpoint(&f.g, f.slot, BULK_IN);
	g_assert_nonnull(peer.waiting);
	close_fixture(&f);
}

static void test_gone(void)
{
	struct fixture f;
	uint32_t trb;

	open_fixture(&f);
	start_device(&f);
	g_assert_false(usb_host_gone(f.usb));
	trb = transfer(&f.g, f.slot, BULK_IN, BUFFER, 512);
	answer(LIBUSB_TRANSFER_NO_DEVICE, NULL, 0);
	expect_transfer(&f.g, trb, TRANSACTION_ERROR, 512);
	g_assert_true(usb_host_gone(f.usb));
	peer.left((libusb_context *)&peer, &peer.device, LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT, peer.left_opaque);
	wait_closed(&f);
	expect_event(&f.g, PORT_CHANGE);
	g_assert_null(xhci_connected(f.g.xhci, 0));
	close_fixture(&f);
	/* Also while nothing is asked of it. */
	open_fixture(&f);
	peer.left((libusb_context *)&peer, &peer.device, LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT, peer.left_opaque);
	wait_closed(&f);
	g_assert_null(xhci_connected(f.g.xhci, 0));
	close_fixture(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/usb-host/list", test_list);
	g_test_add_func("/usb-host/ids", test_ids);
	g_test_add_func("/usb-host/refusals", test_refusals);
	g_test_add_func("/usb-host/twice", test_twice);
	g_test_add_func("/usb-host/kinds", test_kinds);
	g_test_add_func("/usb-host/end", test_end);
	g_test_add_func("/usb-host/control", test_control);
	g_test_add_func("/usb-host/bulk", test_bulk);
	g_test_add_func("/usb-host/cancel", test_cancel);
	g_test_add_func("/usb-host/gone", test_gone);
	return g_test_run();
}
