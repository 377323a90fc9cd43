/* A USB stick on an image file: enumeration, SCSI over bulk-only transport, disagreements, trouble and state. */
#include "xhci_guest.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "../../vmm/usb/storage.h"

#define BULK_IN 3u  /* device context indexes of endpoints 81h and 02h */
#define BULK_OUT 4u
#define PORT 9u     /* first USB 3 port */
#define SECTORS 4096u
#define CBW (BUFFER - 0x1000)
#define CSW (BUFFER - 0x800)

struct fixture {
	struct xhci_guest g;
	char *folder, *path;
	struct block *block;
	struct usb_device *usb;
	unsigned slot;
	uint32_t tag;
};

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 7 + (offset >> 9) * 13 + 1);
}

static void make_image(struct fixture *f)
{
	g_autofree uint8_t *bytes = g_malloc(SECTORS * 512);

	f->folder = g_dir_make_tmp("oriel-stick-XXXXXX", NULL);
	f->path = g_build_filename(f->folder, "stick.img", NULL);
	for (unsigned i = 0; i < SECTORS * 512; i++)
		bytes[i] = pattern(i);
	g_assert_true(g_file_set_contents(f->path, (const char *)bytes, SECTORS * 512, NULL));
}

static void plug(struct fixture *f, bool read_only)
{
	struct block_options options = { .path = f->path, .format = BLOCK_FORMAT_RAW, .read_only = read_only };
	GError *error = NULL;

	f->block = block_open(&options, &error);
	g_assert_no_error(error);
	f->usb = usb_storage_new(&f->g.machine->vm, f->block);
	g_assert_true(usb_storage_block(f->usb) == f->block);
	g_assert_true(xhci_attach(f->g.xhci, f->usb, NULL));
}

static void configure_stick(struct fixture *f)
{
	static const unsigned endpoints[][2] = { { BULK_IN, EP_BULK_IN }, { BULK_OUT, EP_BULK_OUT }, { 0, 0 } };

	f->slot = address_port(&f->g, PORT);
	configure(&f->g, f->slot, endpoints, 1024);
}

static void open_with(struct fixture *f, bool read_only)
{
	memset(f, 0, sizeof *f);
	make_image(f);
	guest_open(&f->g);
	plug(f, read_only);
	guest_start(&f->g);
	configure_stick(f);
}

static void close_fixture(struct fixture *f)
{
	guest_close(&f->g);
	g_unlink(f->path);
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_free(f->path);
	g_free(f->folder);
}

/* The next event, also if the image takes its time. */
static struct guest_event wait_event(struct fixture *f)
{
	gint64 end = g_get_monotonic_time() + 10 * G_TIME_SPAN_SECOND;
	struct guest_event event = { 0 };

	while (!next_event(&f->g, &event)) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_main_context_iteration(f->g.machine->vm.loop.context, TRUE);
	}
	g_assert_cmpuint(event.type, ==, TRANSFER_EVENT);
	return event;
}

static void send_cbw(struct fixture *f, const uint8_t *cdb, unsigned cdb_size, uint32_t length, bool in)
{
	uint8_t *cbw = ram(&f->g, CBW);
	struct guest_event event;

	memset(cbw, 0, 31);
	memcpy(cbw, "USBC", 4);
	pci_set32(cbw + 4, ++f->tag);
	pci_set32(cbw + 8, length);
	cbw[12] = in ? 0x80 : 0;
	cbw[14] = (uint8_t)cdb_size;
	memcpy(cbw + 15, cdb, cdb_size);
	transfer(&f->g, f->slot, BULK_OUT, CBW, 31);
	event = wait_event(f);
	g_assert_cmpuint(event.code, ==, SUCCESS);
	g_assert_cmpuint(event.dci, ==, BULK_OUT);
}

/* Status of the command; the residue in *residue. */
static unsigned take_csw(struct fixture *f, uint32_t *residue)
{
	const uint8_t *csw = ram(&f->g, CSW);
	struct guest_event event;

	transfer(&f->g, f->slot, BULK_IN, CSW, 13);
	event = wait_event(f);
	g_assert_cmpuint(event.code, ==, SUCCESS);
	g_assert_cmpmem(csw, 4, "USBS", 4);
	g_assert_cmpuint(pci_get32(csw + 4), ==, f->tag);
	if (residue)
		*residue = pci_get32(csw + 8);
	return csw[12];
}

/* A command whose data go through one transfer at BUFFER; returns its status. */
static unsigned scsi(struct fixture *f, const uint8_t *cdb, unsigned cdb_size, uint32_t length, bool in, uint32_t *residue)
{
	send_cbw(f, cdb, cdb_size, length, in);
	if (length) {
		transfer(&f->g, f->slot, in ? BULK_IN : BULK_OUT, BUFFER, length);
		wait_event(f);
	}
	return take_csw(f, residue);
}

#define SCSI(f, length, in, residue, ...) \
	scsi(f, (const uint8_t[]){ __VA_ARGS__ }, sizeof(const uint8_t[]){ __VA_ARGS__ }, length, in, residue)

/* Past the unit attention of a new stick. */
static void open_fixture(struct fixture *f)
{
	open_with(f, false);
	g_assert_cmpuint(SCSI(f, 0, false, NULL, 0, 0, 0, 0, 0, 0), ==, 1);
	g_assert_cmpuint(SCSI(f, 0, false, NULL, 0, 0, 0, 0, 0, 0), ==, 0);
}

static void expect_sense(struct fixture *f, unsigned key, unsigned code)
{
	const uint8_t *sense = ram(&f->g, BUFFER);

	g_assert_cmpuint(SCSI(f, 18, true, NULL, 3, 0, 0, 0, 18, 0), ==, 0);
	g_assert_cmphex(sense[2], ==, key);
	g_assert_cmphex((unsigned)sense[12] << 8 | sense[13], ==, code);
}

static unsigned read_10(struct fixture *f, uint32_t lba, unsigned count, uint32_t length, uint32_t *residue)
{
	return SCSI(f, length, true, residue, 0x28, 0, (uint8_t)(lba >> 24), (uint8_t)(lba >> 16), (uint8_t)(lba >> 8),
		    (uint8_t)lba, 0, (uint8_t)(count >> 8), (uint8_t)count, 0);
}

static unsigned write_10(struct fixture *f, uint32_t lba, unsigned count, uint32_t length, uint32_t *residue)
{
	return SCSI(f, length, false, residue, 0x2A, 0, (uint8_t)(lba >> 24), (uint8_t)(lba >> 16), (uint8_t)(lba >> 8),
		    (uint8_t)lba, 0, (uint8_t)(count >> 8), (uint8_t)count, 0);
}

static void expect_pattern(struct fixture *f, uint32_t buffer, uint64_t offset, unsigned length)
{
	for (unsigned i = 0; i < length; i++)
		if (ram(&f->g, buffer)[i] != pattern(offset + i))
			g_error("byte %u differs", i);
}

static void test_descriptors(void)
{
	struct fixture f;
	const uint8_t *data;
	unsigned moved;

	open_with(&f, false);
	data = ram(&f.g, BUFFER);
	g_assert_cmpuint(reg(&f.g, PORTSC1 + (PORT - 1) * 16) >> 10 & 15, ==, USB_SPEED_SUPER);
	g_assert_cmpuint(control(&f.g, f.slot, 0x80, 6, 0x100, 0, 18, &moved), ==, SUCCESS);
	g_assert_cmphex(pci_get16(data + 2), ==, 0x0300);
	g_assert_cmpuint(data[7], ==, 9);
	g_assert_cmpuint(control(&f.g, f.slot, 0x80, 6, 0x200, 0, 255, &moved), ==, SUCCESS);
	g_assert_cmpuint(moved, ==, pci_get16(data + 2));
	for (unsigned i = 0, endpoints = 0; i < moved; i += data[i]) {
		endpoints += data[i + 1] == 5;
		g_assert_cmpuint(data[i], >, 0);
		g_assert_cmpuint(i + data[i], <=, moved);
		g_assert_cmpuint(endpoints, <=, 2);
	}
	g_assert_cmpuint(control(&f.g, f.slot, 0x80, 6, 0xF00, 0, 255, &moved), ==, SUCCESS);
	g_assert_cmpuint(moved, ==, pci_get16(data + 2));
	g_assert_cmpuint(control(&f.g, f.slot, 0x80, 6, 0x303, 0x409, 255, &moved), ==, SUCCESS);
	g_assert_cmpuint(moved, >=, 2 + 2 * 12);
	g_assert_cmpuint(control(&f.g, f.slot, 0xA1, 0xFE, 0, 0, 1, &moved), ==, SUCCESS);
	g_assert_cmpuint(data[0], ==, 0);
	close_fixture(&f);
}

static void test_inquiry(void)
{
	struct fixture f;
	const uint8_t *data;
	uint32_t residue;

	open_with(&f, false);
	data = ram(&f.g, BUFFER);
	/* INQUIRY and REPORT LUNS work before the attention is told, TEST UNIT READY tells it once. */
	g_assert_cmpuint(SCSI(&f, 36, true, &residue, 0x12, 0, 0, 0, 36, 0), ==, 0);
	g_assert_cmpuint(residue, ==, 0);
	g_assert_cmphex(data[1], ==, 0x80);
	g_assert_cmpmem(data + 8, 8, "ORIEL   ", 8);
	g_assert_cmpuint(SCSI(&f, 0, false, NULL, 0, 0, 0, 0, 0, 0), ==, 1);
	expect_sense(&f, 6, 0x2800);
	g_assert_cmpuint(SCSI(&f, 0, false, NULL, 0, 0, 0, 0, 0, 0), ==, 0);
	/* Less than was asked for: a short packet and the residue. */
	g_assert_cmpuint(SCSI(&f, 255, true, &residue, 0x12, 0, 0, 0, 255, 0), ==, 0);
	g_assert_cmpuint(residue, ==, 255 - 36);
	g_assert_cmpuint(SCSI(&f, 8, true, NULL, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	g_assert_cmpuint(GUINT32_FROM_BE(*(const uint32_t *)(const void *)data), ==, SECTORS - 1);
	g_assert_cmpuint(SCSI(&f, 32, true, NULL, 0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), ==, 0);
	g_assert_cmpuint(data[6] << 8 | data[7], ==, SECTORS - 1);
	g_assert_cmpuint(SCSI(&f, 192, true, &residue, 0x1A, 0, 0x3F, 0, 192, 0), ==, 0);
	g_assert_cmpuint(residue, ==, 192 - 24);
	g_assert_cmphex(data[2], ==, 0);
	g_assert_cmphex(data[6], ==, 4); /* the write cache is on */
	g_assert_cmpuint(SCSI(&f, 192, true, &residue, 0x1A, 0, 0x1C, 0, 192, 0), ==, 1);
	g_assert_cmpuint(residue, ==, 192);
	expect_sense(&f, 5, 0x2400);
	g_assert_cmpuint(SCSI(&f, 0, false, NULL, 0xE0, 0, 0, 0, 0, 0), ==, 1);
	expect_sense(&f, 5, 0x2000);
	close_fixture(&f);
}

static void test_read_and_write(void)
{
	struct fixture f;
	g_autofree char *bytes = NULL;
	uint32_t residue;
	gsize size;

	open_fixture(&f);
	g_assert_cmpuint(read_10(&f, 100, 128, 65536, &residue), ==, 0);
	g_assert_cmpuint(residue, ==, 0);
	expect_pattern(&f, BUFFER, 100 * 512, 65536);
	memset(ram(&f.g, BUFFER), 0xA5, 1024);
	g_assert_false(usb_storage_in_use(f.usb));
	g_assert_cmpuint(write_10(&f, 4094, 2, 1024, &residue), ==, 0);
	g_assert_cmpuint(residue, ==, 0);
	g_assert_true(usb_storage_in_use(f.usb));
	g_assert_cmpuint(SCSI(&f, 0, false, NULL, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
	g_assert_false(usb_storage_in_use(f.usb));
	g_assert_true(g_file_get_contents(f.path, &bytes, &size, NULL));
	for (unsigned i = 0; i < size; i++)
		if ((uint8_t)bytes[i] != (i < 4094 * 512 ? pattern(i) : 0xA5))
			g_error("byte %u differs", i);
	g_assert_cmpuint(read_10(&f, 4095, 2, 1024, &residue), ==, 1);
	g_assert_cmpuint(residue, ==, 1024);
	expect_sense(&f, 5, 0x2100);
	g_assert_cmpuint(write_10(&f, 4096, 1, 512, &residue), ==, 1);
	expect_sense(&f, 5, 0x2100);
	/* PREVENT ALLOW MEDIUM REMOVAL. */
	g_assert_cmpuint(SCSI(&f, 0, false, NULL, 0x1E, 0, 0, 0, 1, 0), ==, 0);
	g_assert_true(usb_storage_in_use(f.usb));
	close_fixture(&f);
}

/* A data stage of several transfers, and one of many TRBs that lie anywhere. */
static void test_scattered(void)
{
	static const uint8_t cdb[] = { 0x28, 0, 0, 0, 0, 10, 0, 0, 40, 0 };
	struct fixture f;
	struct guest_ring *ring;
	struct guest_event event;

	open_fixture(&f);
	ring = &f.g.transfers[f.slot][BULK_IN];
	send_cbw(&f, cdb, sizeof cdb, 40 * 512, true);
	for (unsigned i = 0; i < 20; i++)
		push(&f.g, ring, BUFFER + (19 - i) * 0x3000 + 7, 512, NORMAL, CHAIN);
	push(&f.g, ring, BUFFER + 0x100000, 4 * 512, NORMAL, IOC);
	ring_endpoint(&f.g, f.slot, BULK_IN);
	event = wait_event(&f);
	g_assert_cmpuint(event.code, ==, SUCCESS);
	transfer(&f.g, f.slot, BULK_IN, BUFFER + 0x200000, 16 * 512);
	event = wait_event(&f);
	g_assert_cmpuint(event.code, ==, SUCCESS);
	g_assert_cmpuint(take_csw(&f, NULL), ==, 0);
	for (unsigned i = 0; i < 20; i++)
		expect_pattern(&f, BUFFER + (19 - i) * 0x3000 + 7, (10 + i) * 512, 512);
	expect_pattern(&f, BUFFER + 0x100000, 30 * 512, 4 * 512);
	expect_pattern(&f, BUFFER + 0x200000, 34 * 512, 16 * 512);
	close_fixture(&f);
}

/* Transfers that do not fit sectors. */
static void test_crooked(void)
{
	static const uint8_t read[] = { 0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0 }, write[] = { 0x2A, 0, 0, 0, 0, 8, 0, 0, 2, 0 };
	static const unsigned parts[] = { 100, 511, 413 };
	struct fixture f;
	uint32_t place = BUFFER;

	open_fixture(&f);
	send_cbw(&f, read, sizeof read, 1024, true);
	for (unsigned i = 0; i < 3; i++, place += 1000) {
		transfer(&f.g, f.slot, BULK_IN, place, parts[i]);
		wait_event(&f);
	}
	g_assert_cmpuint(take_csw(&f, NULL), ==, 0);
	expect_pattern(&f, BUFFER, 3 * 512, 100);
	expect_pattern(&f, BUFFER + 1000, 3 * 512 + 100, 511);
	expect_pattern(&f, BUFFER + 2000, 3 * 512 + 611, 413);
	send_cbw(&f, write, sizeof write, 1024, false);
	place = BUFFER;
	for (unsigned i = 0; i < 3; i++, place += 1000) {
		memset(ram(&f.g, place), (int)i + 1, parts[i]);
		transfer(&f.g, f.slot, BULK_OUT, place, parts[i]);
		wait_event(&f);
		if (i < 2)
			fake_check_state_round_trip(f.g.device), wait_ms(&f.g, 0);
	}
	g_assert_cmpuint(take_csw(&f, NULL), ==, 0);
	g_assert_cmpuint(read_10(&f, 8, 2, 1024, NULL), ==, 0);
	for (unsigned i = 0; i < 1024; i++)
		g_assert_cmpuint(ram(&f.g, BUFFER)[i], ==, i < 100 ? 1 : i < 611 ? 2 : 3);
	close_fixture(&f);
}

/* The thirteen cases of section 6.7, where both sides do not expect the same. */
static void test_disagreements(void)
{
	struct fixture f;
	uint32_t residue;

	open_fixture(&f);
	g_assert_cmpuint(read_10(&f, 0, 1, 0, &residue), ==, 2); /* 2: Hn < Di */
	g_assert_cmpuint(write_10(&f, 0, 1, 0, &residue), ==, 2); /* 3: Hn < Do */
	g_assert_cmpuint(SCSI(&f, 512, true, &residue, 0, 0, 0, 0, 0, 0), ==, 0); /* 4: Hi > Dn */
	g_assert_cmpuint(residue, ==, 512);
	g_assert_cmpuint(read_10(&f, 0, 1, 1024, &residue), ==, 0); /* 5: Hi > Di */
	g_assert_cmpuint(residue, ==, 512);
	expect_pattern(&f, BUFFER, 0, 512);
	g_assert_cmpuint(read_10(&f, 0, 2, 512, &residue), ==, 2); /* 7: Hi < Di */
	g_assert_cmpuint(write_10(&f, 0, 0, 512, &residue), ==, 0); /* 9: Ho > Dn */
	g_assert_cmpuint(residue, ==, 512);
	memset(ram(&f.g, BUFFER), 9, 2048);
	g_assert_cmpuint(write_10(&f, 50, 2, 2048, &residue), ==, 0); /* 11: Ho > Do */
	g_assert_cmpuint(residue, ==, 1024);
	g_assert_cmpuint(write_10(&f, 60, 2, 512, &residue), ==, 2); /* 13: Ho < Do */
	/* 8 and 10: the wrong way. */
	g_assert_cmpuint(SCSI(&f, 512, true, NULL, 0x2A, 0, 0, 0, 0, 70, 0, 0, 1, 0), ==, 2);
	g_assert_cmpuint(SCSI(&f, 512, false, NULL, 0x28, 0, 0, 0, 0, 70, 0, 0, 1, 0), ==, 2);
	g_assert_cmpuint(read_10(&f, 70, 1, 512, NULL), ==, 0);
	expect_pattern(&f, BUFFER, 70 * 512, 512);
	g_assert_cmpuint(read_10(&f, 52, 1, 512, NULL), ==, 0);
	expect_pattern(&f, BUFFER, 52 * 512, 512);
	close_fixture(&f);
}

static void test_bad_wrapper(void)
{
	struct fixture f;
	uint32_t trb;

	open_fixture(&f);
	memset(ram(&f.g, CBW), 0, 64);
	trb = transfer(&f.g, f.slot, BULK_OUT, CBW, 31);
	expect_transfer(&f.g, trb, STALL, 31);
	g_assert_cmpuint(control(&f.g, f.slot, 0x21, 0xFF, 0, 0, 0, NULL), ==, SUCCESS);
	recover_endpoint(&f.g, f.slot, BULK_OUT);
	/* A host that did not wait for the status gets on with the next command. */
	send_cbw(&f, (const uint8_t[6]){ 0 }, 6, 0, false);
	g_assert_cmpuint(SCSI(&f, 36, true, NULL, 0x12, 0, 0, 0, 36, 0), ==, 0);
	/* SET_FEATURE ENDPOINT_HALT and back. */
	g_assert_cmpuint(control(&f.g, f.slot, 0x02, 3, 0, 0x81, 0, NULL), ==, SUCCESS);
	trb = transfer(&f.g, f.slot, BULK_IN, CSW, 13);
	expect_transfer(&f.g, trb, STALL, 13);
	g_assert_cmpuint(control(&f.g, f.slot, 0x02, 1, 0, 0x81, 0, NULL), ==, SUCCESS);
	recover_endpoint(&f.g, f.slot, BULK_IN);
	g_assert_cmpuint(SCSI(&f, 0, false, NULL, 0, 0, 0, 0, 0, 0), ==, 0);
	close_fixture(&f);
}

static void test_read_only(void)
{
	struct fixture f;

	open_with(&f, true);
	SCSI(&f, 0, false, NULL, 0, 0, 0, 0, 0, 0);
	g_assert_cmpuint(SCSI(&f, 24, true, NULL, 0x1A, 0, 0x3F, 0, 24, 0), ==, 0);
	g_assert_cmphex(ram(&f.g, BUFFER)[2], ==, 0x80);
	g_assert_cmpuint(write_10(&f, 0, 1, 512, NULL), ==, 1);
	expect_sense(&f, 7, 0x2700);
	close_fixture(&f);
}

/* The file is cut under a running guest: the machine pauses, and then the guest is told. */
static void test_trouble(void)
{
	static const uint8_t cdb[] = { 0x28, 0, 0, 0, 8, 0, 0, 0, 1, 0 };
	struct fixture f;
	gint64 end = g_get_monotonic_time() + 10 * G_TIME_SPAN_SECOND;

	open_fixture(&f);
	g_assert_cmpint(truncate(f.path, 4096), ==, 0);
	send_cbw(&f, cdb, sizeof cdb, 512, true);
	transfer(&f.g, f.slot, BULK_IN, BUFFER, 512);
	while (!f.g.machine->requests->len) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_main_context_iteration(f.g.machine->vm.loop.context, TRUE);
	}
	g_assert_cmpuint(g_array_index(f.g.machine->requests, enum vm_request, 0), ==, VM_REQUEST_PAUSE);
	expect_no_event(&f.g);
	usb_storage_mend(f.usb, false);
	g_assert_cmpuint(wait_event(&f).code, ==, SHORT_PACKET);
	g_assert_cmpuint(take_csw(&f, NULL), ==, 1);
	expect_sense(&f, 3, 0x1100);
	/* Held again, and then pulled out, or reset. */
	send_cbw(&f, cdb, sizeof cdb, 512, true);
	transfer(&f.g, f.slot, BULK_IN, BUFFER, 512);
	f.g.device->ops->reset(f.g.device);
	guest_start(&f.g);
	configure_stick(&f);
	xhci_detach(f.g.xhci, f.usb);
	close_fixture(&f);
}

static void test_unplug_and_replug(void)
{
	struct fixture f;

	open_fixture(&f);
	xhci_detach(f.g.xhci, f.usb);
	g_assert_cmpuint(expect_event(&f.g, PORT_CHANGE).parameter >> 24, ==, PORT);
	expect_command(&f.g, SUCCESS, DISABLE_SLOT, 0, f.slot << 24);
	plug(&f, false);
	configure_stick(&f);
	g_assert_cmpuint(SCSI(&f, 0, false, NULL, 0, 0, 0, 0, 0, 0), ==, 1);
	g_assert_cmpuint(read_10(&f, 7, 1, 512, NULL), ==, 0);
	expect_pattern(&f, BUFFER, 7 * 512, 512);
	close_fixture(&f);
}

static void test_state(void)
{
	static const uint8_t cdb[] = { 0x28, 0, 0, 0, 0, 20, 0, 0, 4, 0 };
	struct fixture f;

	open_fixture(&f);
	fake_check_state_round_trip(f.g.device);
	wait_ms(&f.g, 0);
	send_cbw(&f, cdb, sizeof cdb, 2048, true);
	fake_check_state_round_trip(f.g.device);
	wait_ms(&f.g, 0);
	transfer(&f.g, f.slot, BULK_IN, BUFFER, 1024);
	wait_event(&f);
	fake_check_state_round_trip(f.g.device);
	wait_ms(&f.g, 0);
	transfer(&f.g, f.slot, BULK_IN, BUFFER + 1024, 1024);
	wait_event(&f);
	fake_check_state_round_trip(f.g.device);
	wait_ms(&f.g, 0);
	g_assert_cmpuint(take_csw(&f, NULL), ==, 0);
	expect_pattern(&f, BUFFER, 20 * 512, 2048);
	/* An answer that has begun. */
	send_cbw(&f, (const uint8_t[]){ 0x12, 0, 0, 0, 36, 0 }, 6, 36, true);
	transfer(&f.g, f.slot, BULK_IN, BUFFER, 10);
	wait_event(&f);
	fake_check_state_round_trip(f.g.device);
	wait_ms(&f.g, 0);
	transfer(&f.g, f.slot, BULK_IN, BUFFER + 10, 26);
	wait_event(&f);
	g_assert_cmpmem(ram(&f.g, BUFFER) + 8, 8, "ORIEL   ", 8);
	g_assert_cmpuint(take_csw(&f, NULL), ==, 0);
	close_fixture(&f);
}

/* Wrappers and data at random, resets in between: nothing breaks, and a reset mends all. */
static void test_random(void)
{
	GRand *rand = g_rand_new_with_seed(77);
	struct fixture f;

	open_fixture(&f);
	for (unsigned i = 0; i < 1500; i++) {
		static const uint8_t opcodes[] = { 0x00, 0x03, 0x08, 0x0A, 0x12, 0x1A, 0x25, 0x28, 0x2A, 0x2F, 0x35, 0x5A,
						   0x88, 0x8A, 0x9E, 0xA8 };
		uint8_t *cbw = ram(&f.g, CBW);
		unsigned dci = g_rand_boolean(rand) ? BULK_IN : BULK_OUT, stalled = 0;
		bool wrapper = g_rand_int_range(rand, 0, 3) == 0;

		if (wrapper) {
			dci = BULK_OUT;
			for (unsigned n = 0; n < 31; n++)
				cbw[n] = g_rand_int_range(rand, 0, 4) ? 0 : (uint8_t)g_rand_int(rand);
			memcpy(cbw, "USBC", 4);
			pci_set32(cbw + 8, (uint32_t)g_rand_int_range(rand, 0, 5000));
			cbw[12] &= 0x80;
			cbw[13] = 0;
			cbw[14] = 16;
			cbw[15] = opcodes[g_rand_int_range(rand, 0, G_N_ELEMENTS(opcodes))];
		}
		transfer(&f.g, f.slot, dci, wrapper ? CBW : BUFFER, wrapper ? 31 : (uint32_t)g_rand_int_range(rand, 0, 5000));
		for (struct guest_event event; next_event(&f.g, &event);)
			stalled |= event.code == STALL ? 1u << event.dci : 0;
		for (dci = BULK_IN; dci <= BULK_OUT; dci++)
			if (stalled & 1u << dci)
				recover_endpoint(&f.g, f.slot, dci);
		if (i % 10 == 9) {
			f.g.device->ops->reset(f.g.device);
			guest_start(&f.g);
			configure_stick(&f);
		}
	}
	SCSI(&f, 0, false, NULL, 0, 0, 0, 0, 0, 0);
	g_assert_cmpuint(read_10(&f, 7, 1, 512, NULL), ==, 0);
	close_fixture(&f);
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/usb-storage/descriptors", test_descriptors);
	g_test_add_func("/usb-storage/inquiry", test_inquiry);
	g_test_add_func("/usb-storage/read-and-write", test_read_and_write);
	g_test_add_func("/usb-storage/scattered", test_scattered);
	g_test_add_func("/usb-storage/crooked", test_crooked);
	g_test_add_func("/usb-storage/disagreements", test_disagreements);
	g_test_add_func("/usb-storage/bad-wrapper", test_bad_wrapper);
	g_test_add_func("/usb-storage/read-only", test_read_only);
	g_test_add_func("/usb-storage/trouble", test_trouble);
	g_test_add_func("/usb-storage/unplug-and-replug", test_unplug_and_replug);
	g_test_add_func("/usb-storage/state", test_state);
	g_test_add_func("/usb-storage/random", test_random);
	return g_test_run();
}
