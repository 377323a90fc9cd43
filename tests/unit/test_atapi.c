/* The CD drive: packet commands, discs that come and go, and who may open the tray. */
#include "ahci_guest.h"

#define SECTORS 500u
#define CD 1u /* port */

struct fixture {
	struct ahci_guest g;
};

static void disc_changed(void *opaque, unsigned port, const char *path)
{
	struct ahci_guest *g = opaque;

	g_assert_cmpuint(port, ==, CD);
	g->disc_changes++;
	g_free(g->disc);
	g->disc = g_strdup(path);
}

static void set_up_empty(struct fixture *f, gconstpointer data)
{
	struct ahci_cd_options options = { .changed = disc_changed, .opaque = &f->g };

	(void)data;
	guest_open(&f->g);
	make_image(f->g.path, SECTORS, 2048, 0xCD);
	ahci_attach_cd(f->g.ahci, CD, &options);
	port_start(&f->g, CD);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	guest_close(&f->g);
}

static bool packet(struct ahci_guest *g, const uint8_t *bytes, unsigned count, uint32_t room)
{
	put_header(g, CD, 0, 1 << 5, room ? 1 : 0);
	put_fis(g, 0, 0xA0, 1, 0, 0, 0);
	memcpy(ram(g, TABLE(0) + 0x40), bytes, count);
	if (room)
		put_prd(g, 0, 0, BUFFER, room);
	memset(ram(g, BUFFER), 0xEE, MAX(room, 64));
	return issue(g, CD, 0);
}

#define PACKET(g, room, ...) packet(g, (const uint8_t[]){ __VA_ARGS__ }, sizeof (const uint8_t[]){ __VA_ARGS__ }, room)

/* The command fails with this sense; leaves the port running. */
static void expect_sense(struct ahci_guest *g, bool ended_well, uint8_t key, unsigned code)
{
	const uint8_t *sense = ram(g, BUFFER);

	g_assert_false(ended_well);
	g_assert_cmphex(port_read(g, CD, TFD), ==, (uint32_t)key << 12 | 0x0451);
	g_assert_true(port_read(g, CD, IS) & 1 << 30);
	port_recover(g, CD);
	g_assert_true(PACKET(g, 18, 0x03, 0, 0, 0, 18));
	g_assert_cmphex(sense[0], ==, 0x70);
	g_assert_cmphex(sense[2], ==, key);
	g_assert_cmphex(sense[12] << 8 | sense[13], ==, code);
}

static bool ready(struct ahci_guest *g)
{
	return PACKET(g, 0, 0x00);
}

static void insert(struct fixture *f)
{
	GError *error = NULL;

	g_assert_true(ahci_insert(f->g.ahci, CD, f->g.path, &error));
	g_assert_no_error(error);
	expect_sense(&f->g, ready(&f->g), 6, 0x2800);
	g_assert_true(ready(&f->g));
}

static void set_up(struct fixture *f, gconstpointer data)
{
	set_up_empty(f, data);
	insert(f);
}

static void test_identity(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	const uint8_t *fis = ram(g, RECEIVED(CD) + 0x40), *buffer = ram(g, BUFFER);

	(void)data;
	g_assert_cmphex(port_read(g, CD, SIG), ==, 0xEB140101);
	g_assert_cmphex(port_read(g, CD, TFD), ==, 0x100);
	g_assert_cmphex(fis[5], ==, 0x14);
	g_assert_cmphex(fis[6], ==, 0xEB);
	g_assert_true(ata(g, CD, 0xA1, 0, 0, 0, 512, false));
	g_assert_cmphex(pci_get16(buffer), ==, 0x85C0);
	g_assert_true(memcmp(buffer + 54, "rOei lVDD", 8) == 0);
	/* as a disk it is not to be had, and says what it is */
	g_assert_false(ata(g, CD, 0xEC, 0, 0, 0, 512, false));
	g_assert_cmphex(fis[5], ==, 0x14);
	g_assert_cmphex(fis[6], ==, 0xEB);
	port_recover(g, CD);
	g_assert_false(ata(g, CD, 0x25, 0, 0, 1, 512, false));
	port_recover(g, CD);
	g_assert_true(PACKET(g, 36, 0x12, 0, 0, 0, 36));
	g_assert_cmphex(buffer[0], ==, 5);
	g_assert_cmphex(buffer[1], ==, 0x80);
	g_assert_true(memcmp(buffer + 8, "ORIEL   DVD-ROM ", 16) == 0);
	g_assert_true(PACKET(g, 64, 0x12, 1, 0x83, 0, 64));
	g_assert_cmphex(buffer[1], ==, 0x83);
	expect_sense(g, PACKET(g, 64, 0x12, 1, 0x99, 0, 64), 5, 0x2400);
	expect_sense(g, PACKET(g, 64, 0xFB), 5, 0x2000);
}

static void test_empty(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	const uint8_t *buffer = ram(g, BUFFER);

	(void)data;
	expect_sense(g, ready(g), 6, 0x2900);
	expect_sense(g, ready(g), 2, 0x3A01);
	expect_sense(g, PACKET(g, 2048, 0x28, 0, 0, 0, 0, 0, 0, 0, 1), 2, 0x3A01);
	expect_sense(g, PACKET(g, 8, 0x25), 2, 0x3A01);
	g_assert_true(PACKET(g, 8, 0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8));
	g_assert_cmphex(buffer[5], ==, 0);
	g_assert_true(PACKET(g, 64, 0x46, 0, 0, 0, 0, 0, 0, 0, 64));
	g_assert_cmphex(buffer[6] << 8 | buffer[7], ==, 0);
}

static void check_sector(struct ahci_guest *g, uint64_t address, uint32_t number)
{
	g_assert_cmphex(pci_get32(ram(g, address)), ==, number);
	g_assert_cmphex(pci_get32(ram(g, address) + 4), ==, 0xCD);
	g_assert_cmphex(ram(g, address)[2047], ==, number & 0xFF);
}

static void test_read(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	const uint8_t *buffer = ram(g, BUFFER), *fis = ram(g, RECEIVED(CD) + 0x40);

	(void)data;
	g_assert_true(PACKET(g, 8, 0x25));
	g_assert_cmphex(buffer[2] << 8 | buffer[3], ==, SECTORS - 1);
	g_assert_cmphex(buffer[6] << 8 | buffer[7], ==, 2048);
	g_assert_true(PACKET(g, 3 * 2048, 0x28, 0, 0, 0, 1, 0x10, 0, 0, 3));
	check_sector(g, BUFFER, 0x110);
	check_sector(g, BUFFER + 4096, 0x112);
	g_assert_cmphex(fis[12] & 3, ==, 3);
	g_assert_cmpuint(pci_get32(ram(g, LIST(CD) + 4)), ==, 3 * 2048);
	g_assert_true(PACKET(g, 2 * 2048, 0xA8, 0, 0, 0, 0, 7, 0, 0, 0, 2));
	check_sector(g, BUFFER + 2048, 8);
	g_assert_true(PACKET(g, 2048, 0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x10));
	check_sector(g, BUFFER, 9);
	g_assert_true(PACKET(g, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 0));
	g_assert_true(PACKET(g, 2048, 0x28, 0, 0, 0, (SECTORS - 1) >> 8, (SECTORS - 1) & 0xFF, 0, 0, 1));
	check_sector(g, BUFFER, SECTORS - 1);
	expect_sense(g, PACKET(g, 4096, 0x28, 0, 0, 0, (SECTORS - 1) >> 8, (SECTORS - 1) & 0xFF, 0, 0, 2), 5, 0x2100);
	expect_sense(g, PACKET(g, 4096, 0xA8, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), 5, 0x2100);
	expect_sense(g, PACKET(g, 2352, 0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0xF8), 5, 0x2400);
	g_assert_true(PACKET(g, 0, 0x2B, 0, 0, 0, 0, 5));
	expect_sense(g, PACKET(g, 0, 0x2B, 0, 0, 1, 0, 5), 5, 0x2100);
	/* no room for the data: an error, and nothing behind the buffer touched */
	g_assert_false(PACKET(g, 1024, 0x28, 0, 0, 0, 0, 1, 0, 0, 1));
	g_assert_true(port_read(g, CD, IS) & 1 << 24);
	g_assert_cmphex(ram(g, BUFFER)[1024], !=, 1);
	port_recover(g, CD);
}

static void test_information(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	const uint8_t *buffer = ram(g, BUFFER);

	(void)data;
	/* READ TOC: tracks, session, raw */
	g_assert_true(PACKET(g, 64, 0x43, 0, 0, 0, 0, 0, 0, 0, 64));
	g_assert_cmphex(buffer[1], ==, 18);
	g_assert_cmphex(buffer[5], ==, 0x14);
	g_assert_cmphex(buffer[14], ==, 0xAA);
	g_assert_cmpuint(buffer[18] << 8 | buffer[19], ==, SECTORS);
	g_assert_cmphex(buffer[20], ==, 0xEE);
	g_assert_true(PACKET(g, 64, 0x43, 2, 0, 0, 0, 0, 0, 0, 64));
	g_assert_cmpuint(buffer[9] * 60 * 75 + buffer[10] * 75 + buffer[11], ==, 150);
	g_assert_cmpuint(buffer[17] * 60 * 75 + buffer[18] * 75 + buffer[19], ==, 150 + SECTORS);
	g_assert_true(PACKET(g, 64, 0x43, 0, 1, 0, 0, 0, 0, 0, 64));
	g_assert_cmphex(buffer[1], ==, 10);
	g_assert_true(PACKET(g, 64, 0x43, 2, 2, 0, 0, 0, 0, 0, 64));
	g_assert_cmphex(buffer[1], ==, 46);
	g_assert_cmphex(buffer[4 + 2 * 11 + 3], ==, 0xA2);
	g_assert_true(PACKET(g, 4, 0x43, 0, 0, 0, 0, 0, 0, 0, 4));
	g_assert_cmphex(buffer[4], ==, 0xEE);
	expect_sense(g, PACKET(g, 64, 0x43, 0, 5, 0, 0, 0, 0, 0, 64), 5, 0x2400);
	/* profile CD-ROM, feature list */
	g_assert_true(PACKET(g, 256, 0x46, 0, 0, 0, 0, 0, 0, 1, 0));
	g_assert_cmphex(buffer[7], ==, 0x08);
	g_assert_cmphex(buffer[8 + 3], ==, 8);
	g_assert_true(PACKET(g, 256, 0x46, 2, 0, 3, 0, 0, 0, 1, 0));
	g_assert_cmphex(buffer[3], ==, 12);
	g_assert_cmphex(buffer[9], ==, 3);
	/* mode pages */
	g_assert_true(PACKET(g, 128, 0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 128));
	g_assert_cmphex(buffer[1], ==, 8 + 22 - 2);
	g_assert_cmphex(buffer[8], ==, 0x2A);
	g_assert_true(PACKET(g, 128, 0x1A, 0, 0x3F, 0, 128));
	g_assert_cmphex(buffer[0], ==, 4 + 12 + 16 + 22 - 1);
	g_assert_cmphex(buffer[4], ==, 0x01);
	expect_sense(g, PACKET(g, 128, 0x5A, 0, 0x33, 0, 0, 0, 0, 0, 128), 5, 0x2400);
	expect_sense(g, PACKET(g, 128, 0x5A, 0, 0xEA, 0, 0, 0, 0, 0, 128), 5, 0x3900);
	g_assert_true(PACKET(g, 34, 0x51, 0, 0, 0, 0, 0, 0, 0, 34));
	g_assert_cmphex(buffer[2], ==, 0x0E);
	g_assert_true(PACKET(g, 36, 0x52, 1, 0, 0, 0, 1, 0, 0, 36));
	g_assert_cmpuint(buffer[26] << 8 | buffer[27], ==, SECTORS);
	g_assert_true(PACKET(g, 16, 0x42, 2, 0x40, 1, 0, 0, 0, 0, 16));
	g_assert_cmphex(buffer[1], ==, 0x15);
	g_assert_true(PACKET(g, 8, 0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8));
	g_assert_cmphex(buffer[1], ==, 0);
	g_assert_true(PACKET(g, 0, 0xBB, 0, 0xFF, 0xFF));
	expect_sense(g, PACKET(g, 2052, 0xAD, 0, 0, 0, 0, 0, 0, 0, 8, 4), 5, 0x3000);
}

static void expect_event(struct ahci_guest *g, uint8_t event, uint8_t status)
{
	const uint8_t *buffer = ram(g, BUFFER);

	g_assert_true(PACKET(g, 8, 0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8));
	g_assert_cmphex(buffer[1], ==, 6);
	g_assert_cmphex(buffer[2], ==, 4);
	g_assert_cmphex(buffer[4], ==, event);
	g_assert_cmphex(buffer[5], ==, status);
}

static void test_media_change(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	GError *error = NULL;

	(void)data;
	g_assert_cmpstr(g->disc, ==, g->path);
	expect_event(g, 2, 2);
	expect_event(g, 0, 2);
	/* the guest may lock the tray; the user is told, and the guest hears that he wants the disc */
	g_assert_true(PACKET(g, 0, 0x1E, 0, 0, 0, 1));
	g_assert_false(ahci_eject(g->ahci, CD, false, &error));
	g_assert_nonnull(strstr(error->message, "locked"));
	g_clear_error(&error);
	g_assert_false(ahci_insert(g->ahci, CD, g->path, NULL));
	expect_event(g, 1, 2);
	expect_sense(g, PACKET(g, 0, 0x1B, 0, 0, 0, 2), 5, 0x5302);
	g_assert_true(ready(g));
	g_assert_true(ahci_eject(g->ahci, CD, true, &error));
	g_assert_no_error(error);
	g_assert_null(g->disc);
	g_assert_null(ahci_disc(g->ahci, CD));
	expect_event(g, 3, 1);
	expect_sense(g, ready(g), 2, 0x3A02);
	g_assert_true(PACKET(g, 8, 0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8));
	g_assert_cmphex(ram(g, BUFFER)[1], ==, 0x10);
	/* the tray closes on nothing */
	g_assert_true(PACKET(g, 0, 0x1B, 0, 0, 0, 3));
	expect_sense(g, ready(g), 2, 0x3A01);
	insert(f);
	expect_event(g, 2, 2);
	/* the guest ejects */
	g_assert_true(PACKET(g, 0, 0x1B, 0, 0, 0, 2));
	g_assert_null(g->disc);
	g_assert_cmpuint(g->disc_changes, ==, 4);
	expect_event(g, 3, 1);
	g_assert_false(ahci_insert(g->ahci, CD, "/nonexistent/disc.iso", &error));
	g_assert_nonnull(strstr(error->message, "disc image"));
	g_clear_error(&error);
	g_assert_false(ahci_eject(g->ahci, 0, false, &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	g_assert_false(ahci_insert(g->ahci, 99, g->path, NULL));
}

static void test_notification(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;

	(void)data;
	g_assert_true(ahci_eject(g->ahci, CD, false, NULL));
	g_assert_cmphex(port_read(g, CD, SNTF), ==, 0);
	g_assert_true(ata(g, CD, 0xEF, 0x10, 0, 5, 0, false));
	port_write(g, CD, IS, UINT32_MAX);
	g_assert_true(ahci_insert(g->ahci, CD, g->path, NULL));
	g_assert_cmphex(port_read(g, CD, SNTF), ==, 1);
	g_assert_true(port_read(g, CD, IS) & 1 << 3);
	g_assert_cmphex(ram(g, RECEIVED(CD) + 0x58)[0], ==, 0xA1);
	g_assert_cmphex(ram(g, RECEIVED(CD) + 0x58)[1], ==, 0xC0);
	port_write(g, CD, SNTF, 1);
	g_assert_cmphex(port_read(g, CD, SNTF), ==, 0);
}

static void test_state(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	struct device *device = ahci_device(g->ahci);

	(void)data;
	g_assert_true(PACKET(g, 0, 0x1E, 0, 0, 0, 1));
	fake_check_state_round_trip(device);
	g_assert_false(ahci_eject(g->ahci, CD, false, NULL));
	g_assert_true(ready(g));
	g_assert_true(ahci_eject(g->ahci, CD, true, NULL));
	g_assert_true(PACKET(g, 8, 0x4A, 1, 0, 0, 0x10, 0, 0, 0, 4));
	fake_check_state_round_trip(device);
	expect_event(g, 3, 1);
}

static void test_dvd(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	const uint8_t *buffer = ram(g, BUFFER);

	(void)data;
	g_assert_cmpint(truncate(g->path, 400000ll * 2048), ==, 0);
	insert(f);
	g_assert_true(PACKET(g, 64, 0x46, 0, 0, 0, 0, 0, 0, 0, 64));
	g_assert_cmphex(buffer[7], ==, 0x10);
	g_assert_true(PACKET(g, 2052, 0xAD, 0, 0, 0, 0, 0, 0, 0, 8, 4));
	g_assert_cmpuint(buffer[13] << 16 | buffer[14] << 8 | buffer[15], ==, 0x30000 + 400000 - 1);
	g_assert_true(PACKET(g, 2048, 0x28, 0, 0, 6, 0x1A, 0x7F, 0, 0, 1));
	g_assert_cmphex(buffer[0], ==, 0);
}

/* Any packet, any length of buffer; then the drive still works. */
static void test_fuzz(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	uint8_t bytes[16];

	(void)data;
	for (unsigned round = 0; round < 4000; round++) {
		for (unsigned i = 0; i < sizeof bytes; i++)
			bytes[i] = g_test_rand_bit() ? 0 : (uint8_t)g_test_rand_int();
		if (g_test_rand_int_range(0, 50) == 0)
			ahci_insert(g->ahci, CD, g->path, NULL);
		if (!packet(g, bytes, sizeof bytes, (uint32_t)g_test_rand_int_range(0, 4096) & ~1u))
			port_recover(g, CD);
	}
	ahci_eject(g->ahci, CD, true, NULL);
	insert(f);
	g_assert_true(PACKET(g, 2048, 0x28, 0, 0, 0, 0, 1, 0, 0, 1));
	check_sector(g, BUFFER, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/atapi/identity", struct fixture, NULL, set_up_empty, test_identity, tear_down);
	g_test_add("/atapi/empty", struct fixture, NULL, set_up_empty, test_empty, tear_down);
	g_test_add("/atapi/read", struct fixture, NULL, set_up, test_read, tear_down);
	g_test_add("/atapi/information", struct fixture, NULL, set_up, test_information, tear_down);
	g_test_add("/atapi/media-change", struct fixture, NULL, set_up, test_media_change, tear_down);
	g_test_add("/atapi/notification", struct fixture, NULL, set_up, test_notification, tear_down);
	g_test_add("/atapi/state", struct fixture, NULL, set_up, test_state, tear_down);
	g_test_add("/atapi/dvd", struct fixture, NULL, set_up_empty, test_dvd, tear_down);
	g_test_add("/atapi/fuzz", struct fixture, NULL, set_up, test_fuzz, tear_down);
	return g_test_run();
}
