/* The window at A0000: all read and write modes against a model that goes plane by plane and bit by bit. */
#include "vga_fixture.h"

struct model {
	uint8_t plane[4][65536];
	uint8_t latch[4];
	uint8_t seq[5], gc[9];
};

static bool model_decode(const struct model *m, uint32_t address, uint32_t *offset)
{
	switch (m->gc[6] >> 2 & 3) {
	case 0:
		*offset = address - 0xA0000;
		return true;
	case 1:
		*offset = address - 0xA0000;
		return address < 0xB0000;
	case 2:
		*offset = address - 0xB0000;
		return address >= 0xB0000 && address < 0xB8000;
	default:
		*offset = address - 0xB8000;
		return address >= 0xB8000;
	}
}

static uint32_t model_index(const struct model *m, uint32_t offset, bool odd_even)
{
	if (m->seq[4] & 8)
		return offset / 4;
	if (odd_even)
		return (offset & 0xFFFE) + (offset >= 0x10000 ? 1 : 0);
	return offset % 0x10000;
}

static uint8_t model_read(struct model *m, uint32_t address)
{
	uint32_t offset, index;
	unsigned plane = m->gc[4] & 3;
	uint8_t result = 0;

	if (!model_decode(m, address, &offset))
		return 0xFF;
	index = model_index(m, offset, m->gc[5] & 0x10);
	for (unsigned p = 0; p < 4; p++)
		m->latch[p] = m->plane[p][index];
	if (m->gc[5] & 8) {
		for (unsigned bit = 0; bit < 8; bit++) {
			bool equal = true;

			for (unsigned p = 0; p < 4; p++)
				if (m->gc[7] >> p & 1 && (m->latch[p] >> bit & 1) != (m->gc[2] >> p & 1))
					equal = false;
			result |= (uint8_t)(equal << bit);
		}
		return result;
	}
	if (m->seq[4] & 8)
		plane = offset % 4;
	else if (m->gc[5] & 0x10)
		plane = (plane & 2) + offset % 2;
	return m->latch[plane];
}

static bool model_logic(unsigned function, bool data, bool latch)
{
	const bool results[4] = { data, data && latch, data || latch, data != latch };

	return results[function];
}

static bool model_bit(const struct model *m, unsigned p, unsigned bit, uint8_t value)
{
	unsigned rotate = m->gc[3] & 7, mode = m->gc[5] & 3;
	bool rotated = value >> ((bit + rotate) % 8) & 1, latch = m->latch[p] >> bit & 1;
	bool set_reset = m->gc[0] >> p & 1, masked = m->gc[8] >> bit & 1, data = rotated;

	if (mode == 1)
		return latch;
	if (mode == 0 && m->gc[1] >> p & 1)
		data = set_reset;
	if (mode == 2)
		data = value >> p & 1;
	if (mode == 3) {
		data = set_reset;
		masked = masked && rotated;
	}
	return masked ? model_logic(m->gc[3] >> 3 & 3, data, latch) : latch;
}

static void model_write(struct model *m, uint32_t address, uint8_t value)
{
	bool odd_even = !(m->seq[4] & 4);
	uint32_t offset, index;

	if (!model_decode(m, address, &offset))
		return;
	index = model_index(m, offset, odd_even);
	for (unsigned p = 0; p < 4; p++) {
		uint8_t byte = 0;

		if (!(m->seq[2] >> p & 1))
			continue;
		if (m->seq[4] & 8 ? p != offset % 4 : odd_even && p % 2 != offset % 2)
			continue;
		for (unsigned bit = 0; bit < 8; bit++)
			byte |= (uint8_t)(model_bit(m, p, bit, value) << bit);
		m->plane[p][index] = byte;
	}
}

static void set_both(struct rig *rig, struct model *m, bool seq, uint8_t index, uint8_t value)
{
	rig_set(rig, seq ? 0x3C4 : 0x3CE, index, value);
	if (seq)
		m->seq[index] = value;
	else
		m->gc[index] = value;
}

static void change_register(struct rig *rig, struct model *m, GRand *rand)
{
	static const struct {
		bool seq;
		uint8_t index, mask;
	} registers[] = {
		{ true, 2, 0x0F }, { true, 4, 0x0E },  { false, 0, 0x0F }, { false, 1, 0x0F }, { false, 2, 0x0F },
		{ false, 3, 0x1F }, { false, 4, 0x03 }, { false, 5, 0x1B }, { false, 6, 0x0F }, { false, 7, 0x0F },
		{ false, 8, 0xFF },
	};
	unsigned i = (unsigned)g_rand_int_range(rand, 0, G_N_ELEMENTS(registers));
	bool usual = g_rand_boolean(rand);
	uint8_t value = (uint8_t)g_rand_int(rand) & registers[i].mask;

	/* Values that leave data alone come up often enough for reads to see something. */
	if (usual && registers[i].index == 8)
		value = 0xFF;
	if (usual && registers[i].seq && registers[i].index == 2)
		value = 0x0F;
	set_both(rig, m, registers[i].seq, registers[i].index, value);
}

static void check_vram(const struct rig *rig, const struct model *m)
{
	for (unsigned i = 0; i < 65536; i++)
		for (unsigned p = 0; p < 4; p++)
			g_assert_cmphex(rig->vga->vram[i * 4 + p], ==, m->plane[p][i]);
}

static void test_random(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(20240607);
	struct rig *rig = rig_new();
	struct model *m = g_new0(struct model, 1);
	uint32_t base = 0xA0000;

	rig_out(rig, 0x3C2, 0x03);
	for (unsigned step = 0; step < 200000; step++) {
		unsigned action = (unsigned)g_rand_int_range(rand, 0, 8);
		unsigned size = 1u << g_rand_int_range(rand, 0, 4);
		uint32_t address;

		if (action == 0)
			change_register(rig, m, rand);
		if (action == 1)
			base = 0xA0000 + (uint32_t)g_rand_int_range(rand, 0, 0x20000);
		address = MIN(base + (uint32_t)g_rand_int_range(rand, 0, 32), 0xBFFFF - 7);
		if (action < 5) {
			uint64_t value = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);

			fake_write(rig->machine, address, size, value);
			for (unsigned i = 0; i < size; i++)
				model_write(m, address + i, (uint8_t)(value >> i * 8));
		} else {
			uint64_t got = fake_read(rig->machine, address, size), wanted = 0;

			for (unsigned i = 0; i < size; i++)
				wanted |= (uint64_t)model_read(m, address + i) << i * 8;
			g_assert_cmphex(got, ==, wanted);
		}
	}
	check_vram(rig, m);
	g_free(m);
	rig_free(rig);
}

static void test_ram_disabled(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_12);
	rig_out(rig, 0x3C2, 0xE1);
	fake_write(rig->machine, 0xA0000, 1, 0x55);
	g_assert_cmphex(fake_read(rig->machine, 0xA0000, 1), ==, 0xFF);
	rig_out(rig, 0x3C2, 0xE3);
	g_assert_cmphex(fake_read(rig->machine, 0xA0000, 1), ==, 0x00);
	rig_free(rig);
}

/* Scrolling as boot screens do it: write mode 1 copies all planes through the latches. */
static void test_latch_copy(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_12);
	for (uint8_t p = 0; p < 4; p++) {
		rig_set(rig, 0x3C4, 2, (uint8_t)(1 << p));
		fake_write(rig->machine, 0xA0050, 1, 0x11u * (p + 1));
	}
	rig_set(rig, 0x3C4, 2, 0x0F);
	rig_set(rig, 0x3CE, 5, 1);
	fake_read(rig->machine, 0xA0050, 1);
	fake_write(rig->machine, 0xA0000, 1, 0xAA);
	g_assert_cmpmem(rig->vga->vram, 4, "\x11\x22\x33\x44", 4);
	rig_free(rig);
}

/* Where the window is plain memory it becomes a slot after some accesses, and stops being one in time. */
static void test_plain_window(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_13);
	for (unsigned i = 0; i < 63; i++)
		fake_write(rig->machine, 0xA0000 + i, 1, i);
	g_assert_null(rig->vga->window_slot);
	fake_write(rig->machine, 0xA0000 + 63, 1, 63);
	g_assert_nonnull(rig->vga->window_slot);
	g_assert_cmphex(rig->vga->window_slot->gpa, ==, 0xA0000);
	g_assert_cmphex(rig->vga->window_slot->size, ==, 0x10000);
	g_assert_true(rig->vga->window_slot->host == rig->vga->vram);
	for (unsigned i = 0; i < 64; i++)
		g_assert_cmphex(rig->vga->vram[i], ==, i);
	rig_set(rig, 0x3CE, 8, 0x0F);
	g_assert_null(rig->vga->window_slot);
	rig_set(rig, 0x3CE, 8, 0xFF);
	rig_set(rig, 0x3C4, 4, 0x06);
	for (unsigned i = 0; i < 200; i++)
		fake_read(rig->machine, 0xA0000, 1);
	g_assert_null(rig->vga->window_slot);
	rig_free(rig);
}

static void test_banks(void)
{
	struct rig *rig = rig_new();

	rig_dispi_mode(rig, 640, 480, 8);
	rig_dispi(rig, DISPI_BANK, 3);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_BANK), ==, 3);
	fake_write(rig->machine, 0xA0010, 2, 0xBEEF);
	g_assert_cmpmem(rig->vga->vram + 0x30010, 2, "\xEF\xBE", 2);
	g_assert_cmphex(fake_read(rig->machine, 0xA0010, 2), ==, 0xBEEF);
	g_assert_cmphex(fake_read(rig->machine, RIG_VRAM_BASE + 0x30010, 2), ==, 0xBEEF);
	g_assert_cmphex(fake_read(rig->machine, 0xB0000, 1), ==, 0xFF);
	for (unsigned i = 0; i < 64; i++)
		fake_read(rig->machine, 0xA0000, 4);
	g_assert_nonnull(rig->vga->window_slot);
	g_assert_true(rig->vga->window_slot->host == rig->vga->vram + 0x30000);
	rig_dispi(rig, DISPI_BANK, 4);
	g_assert_null(rig->vga->window_slot);
	/* No bank outside of VRAM. */
	rig_dispi(rig, DISPI_BANK, 0xFFFF);
	g_assert_cmpuint(rig_dispi_read(rig, DISPI_BANK), <, RIG_VRAM_SIZE / 65536);
	rig_free(rig);
}

/* Planar modes of DISPI have banks of 64 KiB in each plane, of which VRAM holds a quarter as many. */
static void test_planar_banks(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_12);
	rig_dispi_mode(rig, 1024, 768, 4);
	rig_set(rig, 0x3C4, 2, 0x02);
	rig_dispi(rig, DISPI_BANK, 1);
	fake_write(rig->machine, 0xA0005, 1, 0x77);
	g_assert_cmphex(rig->vga->vram[0x10005 * 4 + 1], ==, 0x77);
	rig_dispi(rig, DISPI_BANK, RIG_VRAM_SIZE / 65536 - 1);
	fake_write(rig->machine, 0xA0005, 1, 0x77);
	g_assert_cmphex(fake_read(rig->machine, 0xA0005, 1), ==, 0xFF);
	rig_free(rig);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vga-memory/random", test_random);
	g_test_add_func("/vga-memory/ram-disabled", test_ram_disabled);
	g_test_add_func("/vga-memory/latch-copy", test_latch_copy);
	g_test_add_func("/vga-memory/plain-window", test_plain_window);
	g_test_add_func("/vga-memory/banks", test_banks);
	g_test_add_func("/vga-memory/planar-banks", test_planar_banks);
	return g_test_run();
}
