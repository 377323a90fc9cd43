/* The AHCI controller and its disks, driven by the registers and structures of a guest's driver. */
#include "ahci_guest.h"

#define SECTORS 8192u
#define DISK 2u /* port */

struct fixture {
	struct ahci_guest g;
};

static void set_up_with(struct fixture *f, bool ssd, bool read_only)
{
	struct block_options options = { .read_only = read_only };
	struct ahci_disk_options disk = { .serial = "SERIAL-1", .ssd = ssd };
	GError *error = NULL;
	struct block *block;

	guest_open(&f->g);
	make_image(f->g.path, SECTORS, 512, 0xABCD);
	options.path = f->g.path;
	block = block_open(&options, &error);
	g_assert_no_error(error);
	g_assert_true(ahci_attach_disk(f->g.ahci, DISK, block, &disk, &error));
	port_start(&f->g, DISK);
}

static void set_up(struct fixture *f, gconstpointer data)
{
	(void)data;
	set_up_with(f, true, false);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	guest_close(&f->g);
}

static void check_sector(struct fixture *f, uint64_t address, uint32_t number)
{
	g_assert_cmphex(pci_get32(ram(&f->g, address)), ==, number);
	g_assert_cmphex(pci_get32(ram(&f->g, address) + 4), ==, 0xABCD);
}

static void read_image(struct fixture *f, uint64_t offset, void *data, size_t size)
{
	int fd = open(f->g.path, O_RDONLY);

	g_assert_cmpint(pread(fd, data, size, (off_t)offset), ==, (gssize)size);
	close(fd);
}

static void test_registers(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;

	(void)data;
	g_assert_cmphex(hba_read(g, 0x00) & 0xC0041F1F, ==, 0xC0041F05);
	g_assert_cmphex(hba_read(g, 0x10), ==, 0x00010301);
	g_assert_cmphex(hba_read(g, 0x0C), ==, 0x3F);
	g_assert_cmphex(port_read(g, DISK, SSTS), ==, 0x133);
	g_assert_cmphex(port_read(g, DISK, SIG), ==, 0x101);
	g_assert_cmphex(port_read(g, DISK, TFD), ==, 0x150);
	g_assert_cmphex(port_read(g, 0, SSTS), ==, 0);
	g_assert_cmphex(port_read(g, 0, SIG), ==, UINT32_MAX);
	/* bytes, words and both halves of 64 bits; the unused end of the page */
	g_assert_cmphex(fake_read(g->machine, REGISTERS + 0x12, 1), ==, 0x01);
	g_assert_cmphex(fake_read(g->machine, REGISTERS + 0x11, 2), ==, 0x0103);
	g_assert_cmphex(fake_read(g->machine, REGISTERS + 0x0C, 8), ==, 0x000103010000003F);
	g_assert_cmphex(hba_read(g, 0xFFC), ==, 0);
	/* the index/data pair */
	fake_out(g->machine, IO_PORTS + 0x10, 4, 0x100 + DISK * 0x80 + SIG);
	g_assert_cmphex(fake_in(g->machine, IO_PORTS + 0x14, 4), ==, 0x101);
	g_assert_cmphex(fake_in(g->machine, IO_PORTS + 0x15, 1), ==, 0x01);
	fake_out(g->machine, IO_PORTS + 0x10, 4, UINT32_MAX);
	g_assert_cmphex(fake_in(g->machine, IO_PORTS + 0x10, 4), ==, 0xFFC);
	/* write masks */
	port_write(g, DISK, CMD, 1 << 4);
	port_write(g, DISK, CLB, UINT32_MAX);
	g_assert_cmphex(port_read(g, DISK, CLB), ==, 0xFFFFFC00);
	port_write(g, DISK, FB, UINT32_MAX);
	g_assert_cmphex(port_read(g, DISK, FB), ==, 0xFFFFFF00);
	fake_write(g->machine, REGISTERS + 0x100 + DISK * 0x80 + FB + 1, 1, 0x12);
	g_assert_cmphex(port_read(g, DISK, FB), ==, 0xFFFF1200);
	hba_write(g, 0x04, 0);
	g_assert_cmphex(hba_read(g, 0x04), ==, 1u << 31);
}

static void test_identify(struct fixture *f, gconstpointer data)
{
	uint8_t *id = ram(&f->g, BUFFER), sum = 0;
	const uint8_t *setup = ram(&f->g, RECEIVED(DISK) + 0x20);

	(void)data;
	g_assert_true(ata(&f->g, DISK, 0xEC, 0, 0, 0, 512, false));
	g_assert_cmphex(port_read(&f->g, DISK, IS) & 0x3F, ==, 1 << 1); /* PIO setup, no register FIS */
	g_assert_cmphex(setup[0], ==, 0x5F);
	g_assert_cmphex(setup[15], ==, 0x50);
	g_assert_cmpuint(pci_get16(setup + 16), ==, 512);
	g_assert_cmpuint(pci_get32(ram(&f->g, LIST(DISK) + 4)), ==, 512);
	g_assert_true(memcmp(id + 54, "rOei liDks", 10) == 0);
	g_assert_true(memcmp(id + 20, "ESIRLA1-", 8) == 0 || memcmp(id + 20, "ESIRLA-1", 8) == 0);
	g_assert_cmpuint(pci_get32(id + 200), ==, SECTORS);
	g_assert_cmpuint(pci_get32(id + 120), ==, SECTORS);
	g_assert_cmpuint(pci_get16(id + 150), ==, 31);
	g_assert_true(pci_get16(id + 152) & 1 << 8);
	g_assert_cmpuint(pci_get16(id + 434), ==, 1);
	g_assert_cmpuint(pci_get16(id + 338), ==, 1);
	g_assert_cmphex(pci_get16(id + 212), ==, 0x6003);
	g_assert_cmphex(id[216 + 1] >> 4, ==, 5);
	for (unsigned i = 0; i < 512; i++)
		sum = (uint8_t)(sum + id[i]);
	g_assert_cmphex(sum, ==, 0);
}

static void test_read_write(struct fixture *f, gconstpointer data)
{
	static const struct { uint8_t command; bool write, is_long; } commands[] = {
		{ 0x20, false, false }, { 0x24, false, true }, { 0x25, false, true }, { 0xC8, false, false },
		{ 0xC4, false, false }, { 0x29, false, true }, { 0x30, true, false }, { 0x34, true, true },
		{ 0x35, true, true }, { 0xCA, true, false }, { 0x3D, true, true }, { 0xC5, true, false },
		{ 0x39, true, true }, { 0xCE, true, true },
	};
	uint8_t sector[512];

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
		uint64_t lba = 100 + i * 10;

		memset(ram(&f->g, BUFFER), 0x80 + (int)i, 1024);
		g_assert_true(ata(&f->g, DISK, commands[i].command, 0, lba, 2, 1024, commands[i].write));
		g_assert_cmpuint(pci_get32(ram(&f->g, LIST(DISK) + 4)), ==, 1024);
		g_assert_cmphex(port_read(&f->g, DISK, TFD), ==, 0x50);
		read_image(f, (lba + 1) * 512, sector, 512);
		if (commands[i].write) {
			g_assert_cmphex(sector[0], ==, 0x80 + i);
			g_assert_cmphex(sector[511], ==, 0x80 + i);
		} else {
			check_sector(f, BUFFER, (uint32_t)lba);
			check_sector(f, BUFFER + 512, (uint32_t)lba + 1);
		}
	}
	/* a count of 0 means 256 and 65536 */
	g_assert_true(ata(&f->g, DISK, 0xC8, 0, 0, 0, 256 * 512, false));
	check_sector(f, BUFFER + 255 * 512, 255);
	g_assert_false(ata(&f->g, DISK, 0x25, 0, 0, 0, 4 << 20, false));
	g_assert_cmphex(port_read(&f->g, DISK, TFD), ==, 0x1051); /* IDNF: the disk is smaller */
	port_recover(&f->g, DISK);
	/* cylinder 1, head 2, sector 3 */
	put_header(&f->g, DISK, 0, 0, 1);
	put_fis(&f->g, 0, 0xC8, 0, 1 << 8 | 3, 2, 1);
	put_prd(&f->g, 0, 0, BUFFER, 512);
	g_assert_true(issue(&f->g, DISK, 0));
	check_sector(f, BUFFER, (1 * 16 + 2) * 63 + 3 - 1);
}

static void test_scatter(struct fixture *f, gconstpointer data)
{
	(void)data;
	put_header(&f->g, DISK, 4, 0, 4);
	put_fis(&f->g, 4, 0x25, 0, 1000, 0x40, 4);
	put_prd(&f->g, 4, 0, BUFFER + 0x3000, 512);
	put_prd(&f->g, 4, 1, BUFFER + 0x1002, 256);
	put_prd(&f->g, 4, 2, BUFFER + 0x8000, 256);
	put_prd(&f->g, 4, 3, BUFFER, 4096); /* longer than needed */
	ram(&f->g, TABLE(4) + 0x80 + 15)[0] |= 0x80; /* interrupt on the first */
	memset(ram(&f->g, BUFFER), 0xEE, 0x9000);
	g_assert_true(issue(&f->g, DISK, 4));
	check_sector(f, BUFFER + 0x3000, 1000);
	check_sector(f, BUFFER + 0x1002, 1001);
	g_assert_cmphex(*ram(&f->g, BUFFER + 0x8000), ==, 1001 & 0xFF);
	check_sector(f, BUFFER, 1002);
	check_sector(f, BUFFER + 512, 1003);
	g_assert_cmphex(*ram(&f->g, BUFFER + 1024), ==, 0xEE);
	g_assert_cmphex(*ram(&f->g, BUFFER + 0x1102), ==, 0xEE);
	g_assert_true(port_read(&f->g, DISK, IS) & 1 << 5);
}

/* The first command has been done when the doorbell's write returns, if the data is in the page cache. */
static void test_completes_in_doorbell(struct fixture *f, gconstpointer data)
{
	unsigned rises;

	(void)data;
	g_assert_true(ata(&f->g, DISK, 0x25, 0, 7, 1, 512, false));
	port_write(&f->g, DISK, IS, UINT32_MAX);
	hba_write(&f->g, 0x08, UINT32_MAX);
	rises = f->g.pirq_rises;
	for (unsigned slot = 0; slot < 8; slot++) {
		put_header(&f->g, DISK, slot, 0, 1);
		put_fis(&f->g, slot, 0x60, 1, slot * 3, 0x40, (uint16_t)(slot << 3));
		put_prd(&f->g, slot, 0, BUFFER + slot * 512, 512);
	}
	port_write(&f->g, DISK, SACT, 0xFF);
	port_write(&f->g, DISK, CI, 0xFF);
	g_assert_cmphex(port_read(&f->g, DISK, CI), ==, 0);
	g_assert_cmphex(port_read(&f->g, DISK, SACT), ==, 0);
	g_assert_cmpuint(f->g.pirq_rises, ==, rises + 1);
	g_assert_cmphex(pci_get32(ram(&f->g, RECEIVED(DISK) + 0x5C)), ==, 0xFF);
	for (unsigned slot = 0; slot < 8; slot++)
		check_sector(f, BUFFER + slot * 512, slot * 3);
}

static void test_queued(struct fixture *f, gconstpointer data)
{
	uint32_t all = UINT32_MAX;
	uint8_t sector[512];

	(void)data;
	for (unsigned slot = 0; slot < 32; slot++) {
		bool write = slot % 2;

		memset(ram(&f->g, BUFFER + slot * 4096), 0x40 + (int)slot, 4096);
		put_header(&f->g, DISK, slot, write ? 1 << 6 : 0, 1);
		put_fis(&f->g, slot, write ? 0x61 : 0x60, 8, 2000 + slot * 8, slot % 4 == 3 ? 0xC0 : 0x40,
			(uint16_t)(slot << 3));
		put_prd(&f->g, slot, 0, BUFFER + slot * 4096, 4096);
	}
	port_write(&f->g, DISK, SACT, all);
	port_write(&f->g, DISK, CI, all);
	g_assert_true(wait_blocks(&f->g, DISK, all, all));
	for (unsigned slot = 0; slot < 32; slot++) {
		read_image(f, (2000 + slot * 8 + 7) * 512, sector, 512);
		if (slot % 2)
			g_assert_cmphex(sector[100], ==, 0x40 + slot);
		else
			check_sector(f, BUFFER + slot * 4096 + 7 * 512, 2000 + slot * 8 + 7);
	}
}

static void test_queued_error(struct fixture *f, gconstpointer data)
{
	uint8_t *log = ram(&f->g, BUFFER), sum = 0;

	(void)data;
	for (unsigned slot = 0; slot < 4; slot++) {
		put_header(&f->g, DISK, slot, 0, 1);
		put_fis(&f->g, slot, 0x60, 1, slot == 2 ? SECTORS : slot, 0x40, (uint16_t)(slot << 3));
		put_prd(&f->g, slot, 0, BUFFER, 512);
	}
	port_write(&f->g, DISK, IS, UINT32_MAX);
	port_write(&f->g, DISK, SACT, 0xF);
	port_write(&f->g, DISK, CI, 0xF);
	g_assert_false(wait_blocks(&f->g, DISK, 0xF, 0xF));
	g_assert_true(port_read(&f->g, DISK, IS) & 1 << 30);
	g_assert_true(port_read(&f->g, DISK, SACT) & 1 << 2);
	g_assert_true(port_read(&f->g, DISK, CI) & 1 << 3);
	g_assert_cmphex(port_read(&f->g, DISK, TFD) & 0xFF01, ==, 0x1001);
	port_recover(&f->g, DISK);
	g_assert_cmphex(port_read(&f->g, DISK, SACT), ==, 0);
	g_assert_true(ata(&f->g, DISK, 0x2F, 0, 0x10, 1, 512, false));
	g_assert_cmphex(log[0], ==, 2);
	g_assert_cmphex(log[3], ==, 0x10);
	g_assert_cmphex(pci_get16(log + 4), ==, SECTORS & 0xFFFF);
	for (unsigned i = 0; i < 512; i++)
		sum = (uint8_t)(sum + log[i]);
	g_assert_cmphex(sum, ==, 0);
	g_assert_true(ata(&f->g, DISK, 0x2F, 0, 0, 1, 512, false));
	g_assert_cmpuint(pci_get16(log + 0x20), ==, 1);
	g_assert_false(ata(&f->g, DISK, 0x2F, 0, 0x55, 1, 512, false));
	port_recover(&f->g, DISK);
	/* a tag that is not the slot */
	put_header(&f->g, DISK, 0, 0, 1);
	put_fis(&f->g, 0, 0x60, 1, 0, 0x40, 5 << 3);
	put_prd(&f->g, 0, 0, BUFFER, 512);
	port_write(&f->g, DISK, SACT, 1);
	port_write(&f->g, DISK, CI, 1);
	g_assert_true(port_read(&f->g, DISK, IS) & 1 << 30);
	port_recover(&f->g, DISK);
}

static void test_trim(struct fixture *f, gconstpointer data)
{
	uint8_t *list = ram(&f->g, BUFFER), sector[512];

	(void)data;
	memset(list, 0, 512);
	pci_set32(list, 4096);
	pci_set16(list + 6, 1024);
	pci_set32(list + 8, 4096 + 1024);
	pci_set16(list + 14, 1024);
	g_assert_true(ata(&f->g, DISK, 0x06, 1, 0, 1, 512, true));
	read_image(f, (4096 + 1500) * 512, sector, 512);
	for (unsigned i = 0; i < 512; i++)
		g_assert_cmphex(sector[i], ==, 0);
	g_assert_cmpuint(ahci_statistics(f->g.ahci, DISK)->by_operation[BLOCK_DISCARD].operations, ==, 1);
	/* one bad entry: none may take effect */
	memset(list, 0, 512);
	pci_set32(list, 10);
	pci_set16(list + 6, 8);
	pci_set32(list + 8, SECTORS - 1);
	pci_set16(list + 14, 2);
	g_assert_false(ata(&f->g, DISK, 0x06, 1, 0, 1, 512, true));
	read_image(f, 12 * 512, sector, 512);
	g_assert_cmpuint(sector[0], ==, 12);
	port_recover(&f->g, DISK);
	g_assert_false(ata(&f->g, DISK, 0x06, 0, 0, 1, 512, true));
	port_recover(&f->g, DISK);
	g_assert_false(ata(&f->g, DISK, 0x06, 1, 0, 9, 9 * 512, true));
	port_recover(&f->g, DISK);
}

static void test_other_commands(struct fixture *f, gconstpointer data)
{
	const uint8_t *fis = ram(&f->g, RECEIVED(DISK) + 0x40);
	static const uint8_t good[] = { 0x10, 0x40, 0x42, 0x70, 0x91, 0xE7, 0xEA, 0xE0, 0xE1, 0xE2, 0xE3, 0x27, 0xF8, 0x90 };
	static const uint8_t bad[] = { 0x00, 0x01, 0x08, 0xA0, 0xA1, 0xF1, 0xF2, 0xF5, 0x92, 0xFF, 0x63 };
	uint8_t *buffer = ram(&f->g, BUFFER);

	(void)data;
	for (unsigned i = 0; i < sizeof good; i++) {
		g_assert_true(ata(&f->g, DISK, good[i], 0, 1, 1, 0, false));
		g_assert_cmphex(fis[0], ==, 0x34);
		g_assert_cmphex(fis[2], ==, 0x50);
	}
	for (unsigned i = 0; i < sizeof bad; i++) {
		g_assert_false(ata(&f->g, DISK, bad[i], 0, 1, 1, 0, false));
		g_assert_cmphex(port_read(&f->g, DISK, TFD), ==, 0x0451);
		g_assert_cmphex(fis[3], ==, 0x04);
		g_assert_cmphex(port_read(&f->g, DISK, CI), ==, 1);
		port_recover(&f->g, DISK);
	}
	g_assert_true(ata(&f->g, DISK, 0x27, 0, 0, 0, 0, false));
	g_assert_cmpuint(pci_get16(fis + 4), ==, SECTORS - 1);
	g_assert_true(ata(&f->g, DISK, 0xE0, 0, 0, 0, 0, false));
	g_assert_true(ata(&f->g, DISK, 0xE5, 0, 0, 0, 0, false));
	g_assert_cmphex(fis[12], ==, 0);
	g_assert_true(ata(&f->g, DISK, 0xE1, 0, 0, 0, 0, false));
	g_assert_true(ata(&f->g, DISK, 0xE5, 0, 0, 0, 0, false));
	g_assert_cmphex(fis[12], ==, 0xFF);
	/* SMART: data, status, and the key it wants */
	g_assert_true(ata(&f->g, DISK, 0xB0, 0xD0, 0xC24F00, 1, 512, false));
	g_assert_cmpuint(buffer[2], ==, 9);
	g_assert_true(ata(&f->g, DISK, 0xB0, 0xDA, 0xC24F00, 0, 0, false));
	g_assert_cmphex(fis[5], ==, 0x4F);
	g_assert_cmphex(fis[6], ==, 0xC2);
	g_assert_false(ata(&f->g, DISK, 0xB0, 0xDA, 0, 0, 0, false));
	port_recover(&f->g, DISK);
	/* the write cache, and IDENTIFY telling */
	g_assert_true(ata(&f->g, DISK, 0xEF, 0x82, 0, 0, 0, false));
	g_assert_true(ata(&f->g, DISK, 0xEC, 0, 0, 0, 512, false));
	g_assert_false(pci_get16(buffer + 170) & 1 << 5);
	g_assert_true(ata(&f->g, DISK, 0x35, 0, 0, 1, 512, true));
	g_assert_true(ata(&f->g, DISK, 0xEF, 0x03, 0, 0x42, 0, false));
	g_assert_true(ata(&f->g, DISK, 0xEC, 0, 0, 0, 512, false));
	g_assert_cmphex(pci_get16(buffer + 176), ==, 0x047F);
	g_assert_false(ata(&f->g, DISK, 0xEF, 0x99, 0, 0, 0, false));
	port_recover(&f->g, DISK);
	/* READ MULTIPLE only with a multiple count */
	g_assert_true(ata(&f->g, DISK, 0xC6, 0, 0, 0, 0, false));
	g_assert_false(ata(&f->g, DISK, 0xC4, 0, 0, 1, 512, false));
	port_recover(&f->g, DISK);
	g_assert_false(ata(&f->g, DISK, 0xC6, 0, 0, 3, 0, false));
	port_recover(&f->g, DISK);
}

static void test_read_only(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_true(ata(&f->g, DISK, 0x25, 0, 5, 1, 512, false));
	g_assert_false(ata(&f->g, DISK, 0x35, 0, 5, 1, 512, true));
	g_assert_cmphex(port_read(&f->g, DISK, TFD), ==, 0x0451);
	port_recover(&f->g, DISK);
	g_assert_true(ata(&f->g, DISK, 0xEA, 0, 0, 0, 0, false));
}

static void set_up_read_only(struct fixture *f, gconstpointer data)
{
	(void)data;
	set_up_with(f, false, true);
}

static void test_interrupts(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	struct pci_device *pci = (struct pci_device *)ahci_device(g->ahci);
	unsigned before;

	(void)data;
	g_assert_true(ata(g, DISK, 0xE5, 0, 0, 0, 0, false));
	g_assert_cmpuint(g->pirq_rises, >, 0);
	g_assert_cmphex(hba_read(g, 0x08), ==, 1 << DISK);
	/* cleared in the wrong order it stays */
	hba_write(g, 0x08, UINT32_MAX);
	g_assert_cmphex(hba_read(g, 0x08), ==, 1 << DISK);
	port_write(g, DISK, IS, UINT32_MAX);
	hba_write(g, 0x08, UINT32_MAX);
	g_assert_cmphex(hba_read(g, 0x08), ==, 0);
	for (unsigned i = 0; i < 8; i++)
		g_assert_false(g->pirq[i]);
	/* a masked one does not show */
	port_write(g, DISK, IE, 0);
	g_assert_true(ata(g, DISK, 0xE5, 0, 0, 0, 0, false));
	g_assert_cmphex(hba_read(g, 0x08), ==, 0);
	port_write(g, DISK, IE, 1);
	g_assert_cmphex(hba_read(g, 0x08), ==, 1 << DISK);
	port_write(g, DISK, IS, UINT32_MAX);
	hba_write(g, 0x08, UINT32_MAX);
	/* messages: one for each command, none while one is pending, and again if it was cleared too early */
	pci_config_write(pci, pci->msi + PCI_MSI_ADDRESS_LO, 4, 0xFEE00000);
	pci_config_write(pci, pci->msi + PCI_MSI_DATA_64, 2, 0x41);
	pci_config_write(pci, pci->msi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	before = g->pirq_rises;
	g_assert_true(ata(g, DISK, 0xE5, 0, 0, 0, 0, false));
	g_assert_cmpuint(g->machine->msis->len, ==, 1);
	g_assert_cmphex(g_array_index(g->machine->msis, struct fake_msi, 0).data, ==, 0x41);
	hba_write(g, 0x08, UINT32_MAX);
	g_assert_cmpuint(g->machine->msis->len, ==, 2);
	port_write(g, DISK, IS, UINT32_MAX);
	hba_write(g, 0x08, UINT32_MAX);
	g_assert_cmpuint(g->machine->msis->len, ==, 2);
	g_assert_cmpuint(g->pirq_rises, ==, before);
}

static void test_resets(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	uint8_t *fis = ram(g, RECEIVED(DISK) + 0x40);

	(void)data;
	/* software reset by two control FISes */
	memset(fis, 0, 20);
	put_header(g, DISK, 0, 1 << 8 | 1 << 10, 0);
	put_fis(g, 0, 0, 0, 0, 0, 0);
	ram(g, TABLE(0))[1] = 0;
	ram(g, TABLE(0))[15] = 4;
	port_write(g, DISK, CI, 1);
	g_assert_cmphex(port_read(g, DISK, CI), ==, 0);
	g_assert_true(port_read(g, DISK, TFD) & 0x80);
	ram(g, TABLE(0))[15] = 0;
	port_write(g, DISK, CI, 1);
	g_assert_cmphex(port_read(g, DISK, TFD), ==, 0x150);
	g_assert_cmphex(fis[0], ==, 0x34);
	g_assert_cmphex(fis[4], ==, 1);
	g_assert_cmphex(fis[12], ==, 1);
	/* COMRESET while a lot is under way */
	for (unsigned slot = 0; slot < 16; slot++) {
		put_header(g, DISK, slot, 1 << 6, 1);
		put_fis(g, slot, 0x61, 64, slot * 64, 0x40, (uint16_t)(slot << 3));
		put_prd(g, slot, 0, BUFFER + slot * 32768, 32768);
	}
	port_write(g, DISK, SACT, 0xFFFF);
	port_write(g, DISK, CI, 0xFFFF);
	port_write(g, DISK, CMD, 1 << 4);
	port_write(g, DISK, SCTL, 1);
	g_assert_cmphex(port_read(g, DISK, SSTS), ==, 0);
	g_assert_cmphex(port_read(g, DISK, TFD), ==, 0x7F);
	g_assert_cmphex(port_read(g, DISK, SACT), ==, 0);
	port_write(g, DISK, SCTL, 0);
	g_assert_cmphex(port_read(g, DISK, SSTS), ==, 0x133);
	g_assert_cmphex(port_read(g, DISK, TFD), ==, 0x150);
	g_assert_cmphex(port_read(g, DISK, SERR), ==, 1 << 26 | 1 << 16);
	g_assert_true(port_read(g, DISK, IS) & 1 << 6);
	port_write(g, DISK, SERR, UINT32_MAX);
	g_assert_false(port_read(g, DISK, IS) & 1 << 6);
	/* the signature goes to memory once FRE is set */
	port_write(g, DISK, CMD, 0);
	memset(fis, 0, 20);
	port_write(g, DISK, SCTL, 1);
	port_write(g, DISK, SCTL, 0);
	g_assert_cmphex(fis[0], ==, 0);
	port_write(g, DISK, CMD, 1 << 4);
	g_assert_cmphex(fis[0], ==, 0x34);
	/* HBA reset keeps the lists' addresses */
	hba_write(g, 0x04, 1u << 31 | 1);
	g_assert_cmphex(hba_read(g, 0x04), ==, 1u << 31);
	g_assert_cmphex(port_read(g, DISK, CLB), ==, LIST(DISK));
	g_assert_cmphex(port_read(g, DISK, IE), ==, 0);
	g_assert_cmphex(port_read(g, DISK, CMD), ==, 6);
	port_start(g, DISK);
	g_assert_true(ata(g, DISK, 0x25, 0, SECTORS - 1, 1, 512, false));
}

static void test_hostile(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	const uint32_t hbfs = 1u << 29, ofs = 1u << 24, ifs = 1u << 27;

	(void)data;
	/* buffer outside RAM, or running over its end */
	put_header(g, DISK, 0, 0, 1);
	put_fis(g, 0, 0x25, 0, 0, 0x40, 1);
	put_prd(g, 0, 0, 0xFEB00000, 512);
	g_assert_false(issue(g, DISK, 0));
	g_assert_true(port_read(g, DISK, IS) & hbfs);
	port_write(g, DISK, CI, 2);
	g_assert_cmphex(port_read(g, DISK, CI), ==, 3);
	port_recover(g, DISK);
	put_prd(g, 0, 0, GUEST_RAM - 256, 512);
	g_assert_false(issue(g, DISK, 0));
	g_assert_true(port_read(g, DISK, IS) & hbfs);
	port_recover(g, DISK);
	put_prd(g, 0, 0, UINT64_MAX - 255, 512);
	g_assert_false(issue(g, DISK, 0));
	port_recover(g, DISK);
	/* too little room */
	put_prd(g, 0, 0, BUFFER, 256);
	g_assert_false(issue(g, DISK, 0));
	g_assert_true(port_read(g, DISK, IS) & ofs);
	port_recover(g, DISK);
	/* table outside RAM, or its PRDT */
	pci_set32(ram(g, LIST(DISK)) + 8, 0xFFFFFF80);
	g_assert_false(issue(g, DISK, 0));
	g_assert_true(port_read(g, DISK, IS) & hbfs);
	port_recover(g, DISK);
	put_header(g, DISK, 0, 0, 65535);
	pci_set32(ram(g, LIST(DISK)) + 8, GUEST_RAM - 0x10000);
	g_assert_false(issue(g, DISK, 0));
	g_assert_true(port_read(g, DISK, IS) & hbfs);
	port_recover(g, DISK);
	/* not a FIS that a drive understands */
	put_header(g, DISK, 0, 0, 0);
	put_fis(g, 0, 0xE5, 0, 0, 0, 0);
	ram(g, TABLE(0))[0] = 0x46;
	g_assert_false(issue(g, DISK, 0));
	g_assert_true(port_read(g, DISK, IS) & ifs);
	port_recover(g, DISK);
	/* command list and FIS area outside RAM */
	port_write(g, DISK, CMD, 0);
	port_write(g, DISK, CLBU, 0x1234);
	port_write(g, DISK, CMD, 1 << 4 | 1);
	g_assert_false(issue(g, DISK, 0));
	g_assert_true(port_read(g, DISK, IS) & hbfs);
	port_write(g, DISK, CMD, 0);
	port_write(g, DISK, CLBU, 0);
	port_write(g, DISK, FBU, 0xFFFF);
	port_write(g, DISK, IS, UINT32_MAX);
	port_write(g, DISK, CMD, 1 << 4 | 1);
	put_fis(g, 0, 0xE5, 0, 0, 0, 0);
	port_write(g, DISK, CI, 1);
	g_assert_true(port_read(g, DISK, IS) & hbfs);
	port_write(g, DISK, CMD, 0);
	/* without bus mastering commands wait */
	port_start(g, DISK);
	pci_config_write((struct pci_device *)ahci_device(g->ahci), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	put_fis(g, 0, 0xE5, 0, 0, 0, 0);
	port_write(g, DISK, CI, 1);
	g_assert_cmphex(port_read(g, DISK, CI), ==, 1);
	pci_config_write((struct pci_device *)ahci_device(g->ahci), PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	g_assert_cmphex(port_read(g, DISK, CI), ==, 0);
	/* empty port */
	port_start(g, 0);
	port_write(g, 0, CI, UINT32_MAX);
	g_assert_cmphex(port_read(g, 0, CI), ==, UINT32_MAX);
}

static void put_random_command(struct ahci_guest *g, unsigned slot)
{
	static const uint8_t opcodes[] = { 0x06, 0x20, 0x25, 0x2F, 0x30, 0x35, 0x60, 0x61, 0xA0, 0xB0, 0xC4, 0xE7, 0xEC, 0xEF };
	unsigned prds = (unsigned)g_test_rand_int_range(0, 6);

	put_header(g, DISK, slot, (uint32_t)g_test_rand_int() & 0xFFE0, prds);
	if (g_test_rand_int_range(0, 10) == 0)
		pci_set32(ram(g, LIST(DISK) + slot * 32 + (unsigned)g_test_rand_int_range(0, 4) * 4),
			  (uint32_t)g_test_rand_int());
	for (unsigned i = 0; i < 0x80; i++)
		ram(g, TABLE(slot))[i] = (uint8_t)g_test_rand_int();
	if (g_test_rand_int_range(0, 8)) {
		uint8_t opcode = g_test_rand_int_range(0, 4) ? opcodes[g_test_rand_int_range(0, sizeof opcodes)] :
				 (uint8_t)g_test_rand_int();

		put_fis(g, slot, opcode, (uint16_t)g_test_rand_int_range(0, 9), (uint64_t)g_test_rand_int_range(0, SECTORS),
			(uint8_t)g_test_rand_int(), (uint16_t)(slot << 3 | (unsigned)g_test_rand_int_range(0, 8)));
	}
	for (unsigned i = 0; i < prds; i++)
		put_prd(g, slot, i, g_test_rand_int_range(0, 12) ? BUFFER + (uint64_t)g_test_rand_int_range(0, 1 << 20) :
			(uint64_t)(uint32_t)g_test_rand_int() << g_test_rand_int_range(0, 32),
			(uint32_t)g_test_rand_int_range(1, 1 << 16));
}

/* Anything goes, as long as nothing breaks and the port still works after a reset. */
static void test_fuzz(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;

	(void)data;
	for (unsigned round = 0; round < 3000; round++) {
		unsigned slot = (unsigned)g_test_rand_int_range(0, 32);

		switch (g_test_rand_int_range(0, 10)) {
		case 0: case 1: case 2: case 3: case 4:
			put_random_command(g, slot);
			if (g_test_rand_bit())
				port_write(g, DISK, SACT, 1u << slot);
			port_write(g, DISK, CI, 1u << slot);
			break;
		case 5:
			hba_write(g, (unsigned)g_test_rand_int_range(0x100, 0x400) & ~3u, (uint32_t)g_test_rand_int());
			break;
		case 6:
			fake_write(g->machine, REGISTERS + (unsigned)g_test_rand_int_range(0, 0x1000),
				   1u << g_test_rand_int_range(0, 4), (uint64_t)g_test_rand_int() * 0x10001);
			break;
		case 7:
			fake_read(g->machine, REGISTERS + (unsigned)g_test_rand_int_range(0, 0x1000),
				  1u << g_test_rand_int_range(0, 4));
			break;
		case 8:
			while (g_main_context_iteration(g->machine->vm.loop.context, FALSE))
				;
			break;
		default:
			port_write(g, DISK, CMD, 0);
			port_start(g, DISK);
		}
	}
	hba_write(g, 0x04, 1u << 31 | 1);
	port_write(g, DISK, SCTL, 0);
	port_start(g, DISK);
	g_assert_true(ata(g, DISK, 0xEC, 0, 0, 0, 512, false));
}

static void test_trouble(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;

	(void)data;
	g_assert_cmpint(truncate(g->path, 4096), ==, 0);
	put_header(g, DISK, 0, 0, 1);
	put_fis(g, 0, 0x25, 0, 4000, 0x40, 1);
	put_prd(g, 0, 0, BUFFER, 512);
	port_write(g, DISK, CI, 1);
	while (g->machine->requests->len == 0)
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	g_assert_cmpuint(g_array_index(g->machine->requests, enum vm_request, 0), ==, VM_REQUEST_PAUSE);
	g_assert_cmphex(port_read(g, DISK, CI), ==, 1);
	g_assert_cmpint(truncate(g->path, SECTORS * 512), ==, 0);
	ahci_retry(g->ahci);
	g_assert_true(wait_blocks(g, DISK, 1, 0));
	g_assert_cmpint(truncate(g->path, 4096), ==, 0);
	port_write(g, DISK, CI, 1);
	while (g->machine->requests->len == 1)
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	ahci_fail(g->ahci);
	g_assert_cmphex(port_read(g, DISK, TFD), ==, 0x4051);
	port_recover(g, DISK);
	g_assert_true(ata(g, DISK, 0x25, 0, 0, 1, 512, false));
}

static void test_state(struct fixture *f, gconstpointer data)
{
	struct ahci_guest *g = &f->g;
	struct device *device = ahci_device(g->ahci);
	g_autoptr(GBytes) file = NULL;
	GError *error = NULL;

	(void)data;
	g_assert_true(ata(g, DISK, 0xEF, 0x82, 0, 0, 0, false));
	g_assert_false(ata(g, DISK, 0x25, 0, SECTORS, 1, 512, false));
	fake_check_state_round_trip(device);
	g_assert_cmphex(port_read(g, DISK, TFD), ==, 0x1051);
	g_assert_true(port_read(g, DISK, IS) & 1 << 30);
	port_recover(g, DISK);
	/* a command that waits for the user is run again by whoever loads the state */
	g_assert_cmpint(truncate(g->path, 4096), ==, 0);
	put_header(g, DISK, 7, 0, 1);
	put_fis(g, 7, 0x60, 1, 4000, 0x40, 7 << 3);
	put_prd(g, 7, 0, BUFFER, 512);
	port_write(g, DISK, SACT, 1 << 7);
	port_write(g, DISK, CI, 1 << 7);
	while (g->machine->requests->len == 0)
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	file = fake_save(device);
	g_assert_cmpint(truncate(g->path, SECTORS * 512), ==, 0);
	g_assert_true(fake_load(device, file, &error));
	g_assert_no_error(error);
	g_assert_cmphex(port_read(g, DISK, SACT), ==, 1 << 7);
	memset(ram(g, BUFFER), 0xEE, 512);
	clock_advance(&g->machine->vm.clock, 1000);
	g_assert_true(wait_blocks(g, DISK, 1 << 7, 1 << 7));
	g_assert_cmphex(*ram(g, BUFFER), ==, 0);
}

static void test_attach(struct fixture *f, gconstpointer data)
{
	struct ahci_disk_options disk = { 0 };
	g_autoptr(GError) error = NULL;
	g_autofree char *other = g_build_filename(f->g.folder, "other", NULL);
	struct block_options options = { .path = other };
	struct block *block;

	(void)data;
	make_image(other, 64, 512, 1);
	block = block_open(&options, NULL);
	g_assert_false(ahci_attach_disk(f->g.ahci, DISK, block, &disk, &error));
	g_assert_nonnull(strstr(error->message, "port 2"));
	g_assert_true(ahci_attach_disk(f->g.ahci, 5, block, &disk, NULL));
	port_start(&f->g, 5);
	g_assert_true(ata(&f->g, 5, 0xEC, 0, 0, 0, 512, false));
	g_assert_cmpuint(pci_get16(ram(&f->g, BUFFER) + 434), ==, 7200);
	g_assert_false(ata(&f->g, 5, 0x06, 1, 0, 1, 512, true));
	g_unlink(other);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*test)(struct fixture *f, gconstpointer data);
	} tests[] = {
		{ "/ahci/registers", test_registers },
		{ "/ahci/identify", test_identify },
		{ "/ahci/read-write", test_read_write },
		{ "/ahci/scatter", test_scatter },
		{ "/ahci/completes-in-doorbell", test_completes_in_doorbell },
		{ "/ahci/queued", test_queued },
		{ "/ahci/queued-error", test_queued_error },
		{ "/ahci/trim", test_trim },
		{ "/ahci/other-commands", test_other_commands },
		{ "/ahci/interrupts", test_interrupts },
		{ "/ahci/resets", test_resets },
		{ "/ahci/hostile", test_hostile },
		{ "/ahci/fuzz", test_fuzz },
		{ "/ahci/trouble", test_trouble },
		{ "/ahci/state", test_state },
		{ "/ahci/attach", test_attach },
	};

	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].test, tear_down);
	g_test_add("/ahci/read-only", struct fixture, NULL, set_up_read_only, test_read_only, tear_down);
	return g_test_run();
}
