/* The VGA's registers by port and by BAR 2, its PCI header, DISPI, state, and what a hostile guest can do to it. */
#include "vga_fixture.h"

static void test_pci(void)
{
	struct rig *rig = rig_new();

	g_assert_cmphex(pci_config_read(rig->pci, PCI_VENDOR_ID, 4), ==, 0x11111234);
	g_assert_cmphex(pci_config_read(rig->pci, PCI_CLASS_REVISION, 4), ==, 0x03000002);
	g_assert_cmphex(pci_config_read(rig->pci, PCI_SUBSYSTEM_VENDOR_ID, 4), ==, 0x11001AF4);
	/* BAR 0 is prefetchable memory of VRAM's size, BAR 2 has 4 KiB. */
	pci_config_write(rig->pci, PCI_COMMAND, 2, 0);
	pci_config_write(rig->pci, PCI_BASE_ADDRESS_0, 4, 0xFFFFFFFF);
	pci_config_write(rig->pci, PCI_BASE_ADDRESS_2, 4, 0xFFFFFFFF);
	g_assert_cmphex(pci_config_read(rig->pci, PCI_BASE_ADDRESS_0, 4), ==,
			(-RIG_VRAM_SIZE | PCI_BASE_ADDRESS_MEM_PREFETCH));
	g_assert_cmphex(pci_config_read(rig->pci, PCI_BASE_ADDRESS_2, 4), ==, 0xFFFFF000);
	pci_config_write(rig->pci, PCI_ROM_ADDRESS, 4, 0xFFFFFFFE);
	g_assert_cmphex(pci_config_read(rig->pci, PCI_ROM_ADDRESS, 4), ==, 0xFFFFF000);
	rig_free(rig);
}

static void test_register_bits(void)
{
	static const struct {
		uint16_t port;
		uint8_t index, bits;
	} registers[] = {
		{ 0x3C4, 0, 0x03 },    { 0x3C4, 1, 0x3D },    { 0x3C4, 2, 0x0F },    { 0x3C4, 3, 0x3F },
		{ 0x3C4, 4, 0x0E },    { 0x3C4, 7, 0x00 },    { 0x3CE, 0, 0x0F },    { 0x3CE, 4, 0x03 },
		{ 0x3CE, 5, 0x7B },    { 0x3CE, 6, 0x0F },    { 0x3CE, 8, 0xFF },    { 0x3CE, 9, 0x00 },
		{ 0x3D4, 0x0E, 0xFF }, { 0x3D4, 0x13, 0xFF }, { 0x3D4, 0x18, 0xFF }, { 0x3D4, 0x19, 0x00 },
	};
	struct rig *rig = rig_new();

	rig_out(rig, 0x3C2, 0x01);
	for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
		rig_set(rig, registers[i].port, registers[i].index, 0xFF);
		g_assert_cmphex(rig_get(rig, registers[i].port, registers[i].index), ==, registers[i].bits);
		rig_set(rig, registers[i].port, registers[i].index, 0);
		g_assert_cmphex(rig_get(rig, registers[i].port, registers[i].index), ==, 0);
	}
	rig_out(rig, 0x3C2, 0xE3);
	g_assert_cmphex(rig_in(rig, 0x3CC), ==, 0xE3);
	rig_out(rig, 0x3DA, 0x03);
	g_assert_cmphex(rig_in(rig, 0x3CA), ==, 0x03);
	rig_free(rig);
}

static void test_relocation(void)
{
	struct rig *rig = rig_new();

	rig_out(rig, 0x3C2, 0x00);
	rig_set(rig, 0x3B4, 0x0F, 0x12);
	rig_set(rig, 0x3D4, 0x0F, 0x34);
	g_assert_cmphex(rig_get(rig, 0x3B4, 0x0F), ==, 0x12);
	g_assert_cmphex(rig_in(rig, 0x3D5), ==, 0xFF);
	g_assert_cmphex(rig_in(rig, 0x3DA), ==, 0xFF);
	rig_out(rig, 0x3C2, 0x01);
	g_assert_cmphex(rig_get(rig, 0x3D4, 0x0F), ==, 0x12);
	g_assert_cmphex(rig_in(rig, 0x3B5), ==, 0xFF);
	g_assert_cmphex(rig_in(rig, 0x3BA), ==, 0xFF);
	rig_free(rig);
}

static void test_crtc_protection(void)
{
	struct rig *rig = rig_new();

	rig_out(rig, 0x3C2, 0x01);
	rig_set(rig, 0x3D4, 0x01, 0x4F);
	rig_set(rig, 0x3D4, 0x07, 0x00);
	rig_set(rig, 0x3D4, 0x11, 0x80);
	rig_set(rig, 0x3D4, 0x01, 0x27);
	rig_set(rig, 0x3D4, 0x07, 0xFF);
	rig_set(rig, 0x3D4, 0x08, 0x03);
	g_assert_cmphex(rig_get(rig, 0x3D4, 0x01), ==, 0x4F);
	g_assert_cmphex(rig_get(rig, 0x3D4, 0x07), ==, 0x10);
	g_assert_cmphex(rig_get(rig, 0x3D4, 0x08), ==, 0x03);
	rig_set(rig, 0x3D4, 0x11, 0x00);
	rig_set(rig, 0x3D4, 0x01, 0x27);
	g_assert_cmphex(rig_get(rig, 0x3D4, 0x01), ==, 0x27);
	rig_free(rig);
}

static void test_attribute_flip_flop(void)
{
	struct rig *rig = rig_new();

	rig_out(rig, 0x3C2, 0x01);
	rig_out(rig, 0x3C0, 0x05);
	rig_in(rig, 0x3DA);
	rig_out(rig, 0x3C0, 0x06);
	rig_out(rig, 0x3C0, 0x2A);
	rig_out(rig, 0x3C0, 0x07);
	rig_out(rig, 0x3C0, 0xFF);
	rig_out(rig, 0x3C0, 0x26);
	g_assert_cmphex(rig_in(rig, 0x3C0), ==, 0x26);
	g_assert_cmphex(rig_in(rig, 0x3C1), ==, 0x2A);
	rig_in(rig, 0x3DA);
	rig_out(rig, 0x3C0, 0x07);
	g_assert_cmphex(rig_in(rig, 0x3C1), ==, 0x3F);
	rig_in(rig, 0x3DA);
	rig_out(rig, 0x3C0, 0x1F);
	g_assert_cmphex(rig_in(rig, 0x3C1), ==, 0x00);
	rig_free(rig);
}

static void test_dac(void)
{
	struct rig *rig = rig_new();

	rig_set_dac(rig, 0xFF, 1, 2, 3);
	g_assert_cmphex(rig_in(rig, 0x3C8), ==, 0x00);
	/* A colour begun and not finished changes nothing. */
	rig_out(rig, 0x3C8, 0xFF);
	rig_out(rig, 0x3C9, 9);
	rig_out(rig, 0x3C7, 0xFF);
	g_assert_cmphex(rig_in(rig, 0x3C7), ==, 3);
	g_assert_cmphex(rig_in(rig, 0x3C9), ==, 1);
	g_assert_cmphex(rig_in(rig, 0x3C9), ==, 2);
	g_assert_cmphex(rig_in(rig, 0x3C9), ==, 3);
	g_assert_cmphex(rig_in(rig, 0x3C9), ==, 0);
	rig_out(rig, 0x3C8, 0);
	g_assert_cmphex(rig_in(rig, 0x3C7), ==, 0);
	rig_free(rig);
}

/* Loops that wait for either level of either bit end within a frame. */
static void test_retrace(void)
{
	struct rig *rig = rig_new();
	unsigned frames = 0;
	uint8_t seen = 0, missing = 0;
	bool before = true;

	rig_out(rig, 0x3C2, 0x01);
	for (unsigned microseconds = 0; microseconds < 1000000; microseconds += 10) {
		uint8_t status = rig_in(rig, 0x3DA);
		bool retrace = status & 8;

		seen |= status;
		missing |= (uint8_t)~status;
		/* A retrace lies where nothing is displayed. */
		g_assert_true(!retrace || status & 1);
		frames += retrace && !before;
		before = retrace;
		clock_advance(&rig->machine->vm.clock, 10000);
	}
	g_assert_cmphex(seen & 9, ==, 9);
	g_assert_cmphex(missing & 9, ==, 9);
	g_assert_cmpuint(frames, >=, 69);
	g_assert_cmpuint(frames, <=, 71);
	rig_free(rig);
}

static void test_dispi_registers(void)
{
	struct rig *rig = rig_new();

	g_assert_cmphex(rig_dispi_read(rig, DISPI_ID), ==, 0xB0C5);
	for (uint16_t id = 0xB0C0; id <= 0xB0C5; id++) {
		rig_dispi(rig, DISPI_ID, id);
		g_assert_cmphex(rig_dispi_read(rig, DISPI_ID), ==, id);
	}
	rig_dispi(rig, DISPI_ID, 0xB0C6);
	g_assert_cmphex(rig_dispi_read(rig, DISPI_ID), ==, 0xB0C5);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_VIDEO_MEMORY_64K), ==, RIG_VRAM_SIZE >> 16);

	rig_dispi(rig, DISPI_ENABLE, DISPI_GETCAPS);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_XRES), >=, 2560);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_YRES), >=, 1600);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_BPP), ==, 32);

	/* The mode, its defaults, and memory cleared unless told not to. */
	rig->vga->vram[100] = 7;
	rig_dispi_mode(rig, 1024, 768, 32);
	g_assert_cmpuint(rig->vga->vram[100], ==, 0);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_XRES), ==, 1024);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_VIRT_WIDTH), ==, 1024);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_VIRT_HEIGHT), ==, RIG_VRAM_SIZE / 4096);
	rig->vga->vram[100] = 7;
	rig_dispi(rig, DISPI_ENABLE, 0);
	rig_dispi(rig, DISPI_ENABLE, DISPI_ENABLED | DISPI_NOCLEARMEM);
	g_assert_cmpuint(rig->vga->vram[100], ==, 7);

	/* Another screenful fits below, a part of a third does not. */
	rig_dispi(rig, DISPI_Y_OFFSET, 256);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_Y_OFFSET), ==, 256);
	rig_dispi(rig, DISPI_Y_OFFSET, 257);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_Y_OFFSET), ==, 0);
	rig_dispi_mode(rig, 4000, 4000, 32);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_YRES), ==, RIG_VRAM_SIZE / 16000);
	/* A byte is no access. */
	fake_out(rig->machine, 0x1CF, 1, 3);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_YRES), ==, RIG_VRAM_SIZE / 16000);
	rig_free(rig);
}

static void test_bar2(void)
{
	struct rig *rig = rig_new();
	uint8_t edid[EDID_SIZE_MAX], sum = 0;

	for (unsigned i = 0; i < sizeof(edid); i += 4) {
		uint32_t value = (uint32_t)fake_read(rig->machine, RIG_REGISTERS_BASE + i, 4);

		memcpy(edid + i, &value, 4);
	}
	for (unsigned i = 0; i < EDID_BLOCK_SIZE; i++)
		sum += edid[i];
	g_assert_cmphex(sum, ==, 0);
	g_assert_cmphex(edid[1], ==, 0xFF);
	g_assert_cmpuint(edid[0x38] | (edid[0x3A] & 0xF0) << 4, ==, 1280);

	fake_write(rig->machine, RIG_REGISTERS_BASE + 0x402, 1, 0x67);
	g_assert_cmphex(rig_in(rig, 0x3CC), ==, 0x67);
	fake_write(rig->machine, RIG_REGISTERS_BASE + 0x404, 2, 0x0302);
	g_assert_cmphex(rig_get(rig, 0x3C4, 2), ==, 3);
	g_assert_cmphex(fake_read(rig->machine, RIG_REGISTERS_BASE + 0x404, 2), ==, 0x0302);

	fake_write(rig->machine, RIG_REGISTERS_BASE + 0x500 + 2 * DISPI_XRES, 2, 800);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_XRES), ==, 800);
	g_assert_cmphex(fake_read(rig->machine, RIG_REGISTERS_BASE + 0x500, 2), ==, 0xB0C5);
	g_assert_cmphex(fake_read(rig->machine, RIG_REGISTERS_BASE + 0x500, 4), ==, 800u << 16 | 0xB0C5);
	g_assert_cmphex(fake_read(rig->machine, RIG_REGISTERS_BASE + 0x600, 4), ==, 8);
	g_assert_cmphex(fake_read(rig->machine, RIG_REGISTERS_BASE + 0x604, 4), ==, 0x1E1E1E1E);
	g_assert_cmphex(fake_read(rig->machine, RIG_REGISTERS_BASE + 0xFFC, 8), ==, 0);
	rig_free(rig);
}

static void test_linear_frame_buffer(void)
{
	struct rig *rig = rig_new();

	g_assert_nonnull(rig->vga->vram_slot);
	g_assert_cmphex(rig->vga->vram_slot->gpa, ==, RIG_VRAM_BASE);
	g_assert_true(rig->vga->vram_slot->host == rig->vga->vram);
	/* What reaches the bus beneath the slot goes to the same place, and stays inside. */
	fake_write(rig->machine, RIG_VRAM_BASE + 4, 8, 0x1122334455667788);
	g_assert_cmphex(fake_read(rig->machine, RIG_VRAM_BASE + 8, 4), ==, 0x11223344);
	fake_write(rig->machine, RIG_VRAM_BASE + RIG_VRAM_SIZE - 2, 4, 0x55555555);
	g_assert_cmphex(fake_read(rig->machine, RIG_VRAM_BASE + RIG_VRAM_SIZE - 2, 4), ==, 0xFFFFFFFF);
	g_assert_cmphex(fake_read(rig->machine, RIG_VRAM_BASE + RIG_VRAM_SIZE - 2, 2), ==, 0);
	rig_free(rig);
}

static void random_setup(struct rig *rig, GRand *rand)
{
	for (unsigned i = 0; i < 300; i++) {
		uint16_t port = (uint16_t)g_rand_int_range(rand, 0x3B0, 0x3E0);

		rig_out(rig, port, (uint8_t)g_rand_int(rand));
	}
	for (unsigned i = 0; i < 2000; i++)
		fake_write(rig->machine, 0xA0000 + (uint32_t)g_rand_int_range(rand, 0, 0x20000), 1,
			   g_rand_int(rand) & 0xFF);
}

static void test_state(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(7);
	struct rig *rig = rig_new();
	g_autoptr(GBytes) file = NULL;
	g_autofree uint8_t *vram = NULL;
	GError *error = NULL;

	random_setup(rig, rand);
	rig_out(rig, 0x3C2, 0x67);
	rig_set(rig, 0x3C4, 1, 0x01);
	rig_dispi_mode(rig, 800, 600, 16);
	rig->vga->vram[RIG_VRAM_SIZE - 1] = 0xA5;
	fake_check_state_round_trip(rig->device);

	/* Into another machine: registers, VRAM, BARs and picture follow. */
	file = fake_save(rig->device);
	vram = g_memdup2(rig->vga->vram, RIG_VRAM_SIZE);
	rig_free(rig);
	rig = rig_new();
	pci_config_write(rig->pci, PCI_BASE_ADDRESS_0, 4, 0xE8000000);
	rig->vga->vram[50000] = 1;
	rig_watch(rig);
	g_assert_true(fake_load(rig->device, file, &error));
	g_assert_no_error(error);
	g_assert_cmpmem(vram, RIG_VRAM_SIZE, rig->vga->vram, RIG_VRAM_SIZE);
	g_assert_cmphex(rig->vga->vram_slot->gpa, ==, RIG_VRAM_BASE);
	g_assert_cmpuint(rig->scanout.picture.width, ==, 800);
	g_assert_cmpuint(rig->scanout.picture.format, ==, SCANOUT_RGB565);
	rig_unwatch(rig);
	rig_free(rig);
}

/* A file's values are no more trusted than a guest's. */
static void test_hostile_state(void)
{
	struct rig *rig = rig_new();
	g_autoptr(GBytes) file = NULL;
	GError *error = NULL;

	rig_set_mode(rig, &rig_mode_12);
	rig_dispi_mode(rig, 800, 600, 32);
	rig->vga->dispi[DISPI_XRES] = 0xFFFF;
	rig->vga->dispi[DISPI_YRES] = 0xFFFF;
	rig->vga->dispi[DISPI_BPP] = 77;
	rig->vga->dispi[DISPI_BANK] = 0xFFFF;
	rig->vga->seq_index = rig->vga->gc_index = rig->vga->crtc_index = rig->vga->atc_index = 0xFF;
	memset(rig->vga->atc, 0xFF, sizeof(rig->vga->atc));
	file = fake_save(rig->device);
	g_assert_true(fake_load(rig->device, file, &error));
	g_assert_no_error(error);
	vga_refresh_now(rig->vga);
	fake_write(rig->machine, 0xA0000, 8, 0);
	g_assert_cmpuint(rig->vga->dispi[DISPI_BPP], ==, 8);
	g_assert_cmphex(rig->vga->atc[0], ==, 0x3F);

	g_bytes_unref(file);
	rig->vga->dac_component = 3;
	file = fake_save(rig->device);
	g_assert_false(fake_load(rig->device, file, &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	g_assert_cmpuint(rig->vga->dac_component, <, 3);
	rig_free(rig);
}

static void test_reset(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(8);
	struct rig *rig = rig_new();
	g_autoptr(GBytes) fresh = NULL;
	g_autoptr(GBytes) after = NULL;

	rig->device->ops->reset(rig->device);
	fresh = fake_save(rig->device);
	random_setup(rig, rand);
	rig_dispi_mode(rig, 800, 600, 16);
	rig->device->ops->reset(rig->device);
	after = fake_save(rig->device);
	g_assert_true(g_bytes_equal(fresh, after));
	g_assert_null(rig->vga->vram_slot);
	vga_refresh_now(rig->vga);
	g_assert_cmpuint(rig->scanout.picture.width, ==, 0);
	rig_free(rig);
}

static void hostile_access(struct rig *rig, GRand *rand)
{
	static const uint16_t interesting[] = { 0, 1, 3, 4, 8, 15, 24, 32, 640, 0x7FFF, 0x8000, 0xFFFF };
	unsigned size = 1u << g_rand_int_range(rand, 0, 3);
	uint32_t value = g_rand_int(rand);

	if (g_rand_boolean(rand))
		value = interesting[g_rand_int_range(rand, 0, G_N_ELEMENTS(interesting))];
	switch (g_rand_int_range(rand, 0, 8)) {
	case 0:
		rig_dispi(rig, (unsigned)g_rand_int_range(rand, 0, DISPI_COUNT + 2), (uint16_t)value);
		break;
	case 1:
		fake_write(rig->machine, RIG_REGISTERS_BASE + (uint32_t)g_rand_int_range(rand, 0, 4096), size, value);
		break;
	case 2:
		fake_read(rig->machine, RIG_REGISTERS_BASE + (uint32_t)g_rand_int_range(rand, 0, 4096), size);
		break;
	case 3:
		fake_write(rig->machine, 0xA0000 + (value & 0x1FFFF), size * 2, value);
		break;
	case 4:
		fake_read(rig->machine, 0xA0000 + (value & 0x1FFFF), size * 2);
		break;
	case 5:
		fake_write(rig->machine, RIG_VRAM_BASE + value % (RIG_VRAM_SIZE + 16), size * 2, value);
		break;
	case 6:
		rig_in(rig, 0x3DA);
		rig_out(rig, 0x3C0, value & 0x1F);
		rig_out(rig, 0x3C0, (uint8_t)g_rand_int(rand));
		rig_out(rig, 0x3C0, 0x20 | (value & 0x10));
		break;
	default:
		fake_out(rig->machine, (uint16_t)g_rand_int_range(rand, 0x3B0, 0x3E0), size, value);
	}
}

/* Every pixel that a consumer may read is inside of memory: conversion touches them all. */
static void read_picture(struct rig *rig)
{
	struct scanout_picture picture;
	struct scanout_damage damage;
	g_autofree uint32_t *row = NULL;

	scanout_take(&rig->scanout, &rig->listener, &picture, &damage);
	if (picture.height) {
		row = g_new(uint32_t, picture.width);
		g_assert_cmpuint(picture.offset + (size_t)picture.stride * picture.height, <=, picture.memory->size);
		g_assert_cmpuint(picture.width * scanout_pixel_size(picture.format), <=, picture.stride);
		g_assert_cmpuint(damage.end, <=, picture.height);
		for (unsigned y = 0; y < picture.height; y += 1 + picture.height / 4)
			scanout_convert_row(&picture, y, row);
		scanout_convert_row(&picture, picture.height - 1, row);
	}
	scanout_memory_unref(picture.memory);
}

static void test_hostile(void)
{
	for (unsigned seed = 0; seed < 40; seed++) {
		g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
		struct rig *rig = rig_new();

		rig_set_mode(rig, seed & 1 ? &rig_mode_03 : &rig_mode_12);
		rig_watch(rig);
		for (unsigned i = 0; i < 1500; i++) {
			hostile_access(rig, rand);
			if (i % 16 == 0) {
				rig_advance(rig, (unsigned)g_rand_int_range(rand, 1, i % 5 ? 20 : 400));
				read_picture(rig);
			}
			if (i % 300 == 299) {
				vga_refresh_now(rig->vga);
				read_picture(rig);
			}
		}
		rig_unwatch(rig);
		rig_free(rig);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vga/pci", test_pci);
	g_test_add_func("/vga/register-bits", test_register_bits);
	g_test_add_func("/vga/relocation", test_relocation);
	g_test_add_func("/vga/crtc-protection", test_crtc_protection);
	g_test_add_func("/vga/attribute-flip-flop", test_attribute_flip_flop);
	g_test_add_func("/vga/dac", test_dac);
	g_test_add_func("/vga/retrace", test_retrace);
	g_test_add_func("/vga/dispi-registers", test_dispi_registers);
	g_test_add_func("/vga/bar2", test_bar2);
	g_test_add_func("/vga/linear-frame-buffer", test_linear_frame_buffer);
	g_test_add_func("/vga/state", test_state);
	g_test_add_func("/vga/hostile-state", test_hostile_state);
	g_test_add_func("/vga/reset", test_reset);
	g_test_add_func("/vga/hostile", test_hostile);
	return g_test_run();
}
