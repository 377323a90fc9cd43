/* Devices of the host: which there are, lending them, and transfers that answer for themselves. */
#include "fake_libusb.h"

#include "../../vmm/usb/host_list.h"
#include "../fake_usb.h"
#include "../remove_tree.h"

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
	struct guest_event event;
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
	set_reg(&f.g, PORTSC1, 1u << 9 | 1u << 4);
	wait_count(&f, &peer.resets, 1);
	while (next_event(&f.g, &event))
		g_assert_cmpuint(event.type, ==, PORT_CHANGE);
	recover_endpoint(&f.g, f.slot, 1);
	g_assert_cmpuint(control(&f.g, f.slot, 0x01, 11, 0, 0, 0, NULL), ==, SUCCESS);
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
