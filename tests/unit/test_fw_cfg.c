/* fw_cfg's ports, directory and DMA, and what it does with nonsense. */
#include "../../vmm/firmware/fw_cfg.h"

#include <string.h>

#include "fake_machine.h"

#define DESCRIPTOR 0x1000u
#define BUFFER 0x2000u

struct fixture {
	struct fake_machine *machine;
	struct fw_cfg *fw_cfg;
};

static void set_up(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	fixture->machine = fake_machine_new(4 << 20);
	fixture->fw_cfg = fw_cfg_new(&fixture->machine->vm);
}

static void tear_down(struct fixture *fixture, gconstpointer unused)
{
	struct device *device = fw_cfg_device(fixture->fw_cfg);

	(void)unused;
	device->ops->destroy(device);
	g_assert_cmphex(fake_in(fixture->machine, 0x511, 1), ==, 0xFF);
	g_assert_cmphex(fake_in(fixture->machine, 0x514, 4), ==, 0xFFFFFFFF);
	fake_machine_free(fixture->machine);
}

static void select_key(struct fixture *fixture, uint16_t key)
{
	fake_out(fixture->machine, 0x510, 2, key);
}

static uint64_t read_little(struct fixture *fixture, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)fake_in(fixture->machine, 0x511, 1) << 8 * i;
	return value;
}

static uint32_t read_big(struct fixture *fixture, unsigned size)
{
	uint32_t value = 0;

	while (size--)
		value = value << 8 | fake_in(fixture->machine, 0x511, 1);
	return value;
}

static void add_file(struct fixture *fixture, const char *name, const char *text)
{
	g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

	fw_cfg_add_file(fixture->fw_cfg, name, bytes);
}

/* Rings the doorbell for a descriptor and gives the control word that it leaves behind. */
static uint32_t dma(struct fixture *fixture, uint32_t control, uint32_t length, uint64_t address)
{
	uint8_t *descriptor = memory_ptr(&fixture->machine->vm.memory, DESCRIPTOR, 16);
	uint32_t words[4] = { GUINT32_TO_BE(control), GUINT32_TO_BE(length),
			      GUINT32_TO_BE((uint32_t)(address >> 32)), GUINT32_TO_BE((uint32_t)address) };
	uint32_t after;

	memcpy(descriptor, words, sizeof words);
	fake_out(fixture->machine, 0x514, 4, 0);
	fake_out(fixture->machine, 0x518, 4, GUINT32_SWAP_LE_BE(DESCRIPTOR));
	memcpy(&after, descriptor, sizeof after);
	g_assert_cmpint(memcmp(descriptor + 4, words + 1, 12), ==, 0);
	return GUINT32_FROM_BE(after);
}

static void test_signature(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	/* After reset the signature is selected, without asking. */
	g_assert_cmphex(read_big(fixture, 4), ==, 0x51454D55);
	select_key(fixture, FW_CFG_ID);
	g_assert_cmphex(read_little(fixture, 4), ==, 3);
	g_assert_cmphex(fake_in(fixture->machine, 0x514, 4), ==, GUINT32_SWAP_LE_BE(0x51454D55));
	g_assert_cmphex(fake_in(fixture->machine, 0x518, 4), ==, GUINT32_SWAP_LE_BE(0x20434647));
	g_assert_cmphex(fake_in(fixture->machine, 0x515, 1), ==, 'E');
}

static void test_numbers(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	fw_cfg_add_u16(fixture->fw_cfg, FW_CFG_NB_CPUS, 0x1234);
	fw_cfg_add_u32(fixture->fw_cfg, FW_CFG_E820_TABLE, 0x89ABCDEF);
	fw_cfg_add_u64(fixture->fw_cfg, FW_CFG_RAM_SIZE, 0x1122334455667788);
	fw_cfg_add_u16(fixture->fw_cfg, FW_CFG_NB_CPUS, 0x4321);
	select_key(fixture, FW_CFG_NB_CPUS);
	g_assert_cmphex(read_little(fixture, 4), ==, 0x4321);
	select_key(fixture, FW_CFG_E820_TABLE);
	g_assert_cmphex(read_little(fixture, 4), ==, 0x89ABCDEF);
	select_key(fixture, FW_CFG_RAM_SIZE);
	g_assert_cmphex(read_little(fixture, 8), ==, 0x1122334455667788);
	g_assert_cmphex(read_little(fixture, 1), ==, 0);
	select_key(fixture, FW_CFG_NB_CPUS);
	g_assert_cmphex(read_little(fixture, 1), ==, 0x21);
	select_key(fixture, FW_CFG_NUMA);
	g_assert_cmphex(read_little(fixture, 8), ==, 0);
	select_key(fixture, 0xFFFF);
	g_assert_cmphex(read_little(fixture, 8), ==, 0);
}

static void test_directory(struct fixture *fixture, gconstpointer unused)
{
	static const struct {
		const char *name, *text;
	} sorted[] = { { "bootorder", "second" }, { "etc/a", "longer text" }, { "etc/b", "" }, { "vgaroms/x", "xyz" } };

	(void)unused;
	add_file(fixture, "vgaroms/x", "xyz");
	add_file(fixture, "bootorder", "first");
	add_file(fixture, "etc/b", "");
	add_file(fixture, "etc/a", "longer text");
	add_file(fixture, "bootorder", "second");
	for (unsigned i = 0; i < G_N_ELEMENTS(sorted); i++) {
		char name[56];
		uint16_t key;

		select_key(fixture, FW_CFG_FILE_DIR);
		g_assert_cmpuint(read_big(fixture, 4), ==, G_N_ELEMENTS(sorted));
		for (unsigned skip = 0; skip < i * 64; skip++)
			fake_in(fixture->machine, 0x511, 1);
		g_assert_cmpuint(read_big(fixture, 4), ==, strlen(sorted[i].text));
		key = (uint16_t)read_big(fixture, 2);
		g_assert_cmpuint(read_big(fixture, 2), ==, 0);
		for (unsigned c = 0; c < sizeof name; c++)
			name[c] = (char)fake_in(fixture->machine, 0x511, 1);
		g_assert_cmpstr(name, ==, sorted[i].name);
		select_key(fixture, key);
		for (const char *c = sorted[i].text; *c; c++)
			g_assert_cmpint((char)fake_in(fixture->machine, 0x511, 1), ==, *c);
		g_assert_cmpuint(fake_in(fixture->machine, 0x511, 1), ==, 0);
	}
}

static void test_dma_read(struct fixture *fixture, gconstpointer unused)
{
	char *buffer = memory_ptr(&fixture->machine->vm.memory, BUFFER, 64);

	(void)unused;
	add_file(fixture, "text", "hello, world");
	memset(buffer, '#', 64);
	g_assert_cmphex(dma(fixture, FW_CFG_FILE_FIRST << 16 | 8 | 2, 5, BUFFER), ==, 0);
	g_assert_cmpmem(buffer, 6, "hello#", 6);
	g_assert_cmphex(dma(fixture, 4, 2, 0), ==, 0);
	g_assert_cmphex(dma(fixture, 2, 10, BUFFER), ==, 0);
	g_assert_cmpmem(buffer, 11, "world\0\0\0\0\0#", 11);
	/* DMA and port share the position. */
	g_assert_cmphex(dma(fixture, FW_CFG_FILE_FIRST << 16 | 8, 0, 0), ==, 0);
	g_assert_cmpint((char)fake_in(fixture->machine, 0x511, 1), ==, 'h');
	g_assert_cmphex(dma(fixture, 2, 4, BUFFER), ==, 0);
	g_assert_cmpmem(buffer, 5, "ellod", 5);
	/* No such item: zeros. */
	g_assert_cmphex(dma(fixture, 0x7777u << 16 | 8 | 2, 4, BUFFER), ==, 0);
	g_assert_cmpmem(buffer, 4, "\0\0\0\0", 4);
	/* The shadowed ROM area is RAM. */
	g_assert_cmphex(dma(fixture, FW_CFG_FILE_FIRST << 16 | 8 | 2, 12, 0xF0000), ==, 0);
	g_assert_cmpmem(memory_ptr(&fixture->machine->vm.memory, 0xF0000, 12), 12, "hello, world", 12);
	/* A read of nothing needs no buffer. */
	g_assert_cmphex(dma(fixture, 2, 0, UINT64_MAX), ==, 0);
}

static void test_dma_refused(struct fixture *fixture, gconstpointer unused)
{
	static const struct {
		uint32_t control, length;
		uint64_t address;
	} bad[] = {
		{ 2, 1, 4 << 20 },                /* past RAM */
		{ 2, 2, (4 << 20) - 1 },          /* running out of RAM */
		{ 2, 1, 0xA0000 },                /* VGA window */
		{ 2, 1, UINT64_MAX },
		{ 2, UINT32_MAX, 0 },
		{ 2, UINT32_MAX, UINT64_MAX - 3 },
		{ 2, 0x200000, 0x100000 },        /* zeros without end, even where they would fit */
		{ 16, 1, BUFFER },                /* nothing is writable */
		{ FW_CFG_FILE_FIRST << 16 | 8 | 16, 1, BUFFER },
	};
	char *buffer = memory_ptr(&fixture->machine->vm.memory, BUFFER, 1);

	(void)unused;
	g_log_set_always_fatal(0);
	add_file(fixture, "text", "hello, world");
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		*buffer = '#';
		g_assert_cmphex(dma(fixture, FW_CFG_FILE_FIRST << 16 | 8, 0, 0), ==, 0);
		g_assert_cmphex(dma(fixture, bad[i].control, bad[i].length, bad[i].address), ==, 1);
		g_assert_cmpint(*buffer, ==, '#');
		g_assert_cmpint((char)fake_in(fixture->machine, 0x511, 1), ==, 'h');
	}
	/* Skipping for ever ends at the end. */
	g_assert_cmphex(dma(fixture, 4, UINT32_MAX, 0), ==, 0);
	g_assert_cmphex(dma(fixture, 4, UINT32_MAX, 0), ==, 0);
	g_assert_cmphex(fake_in(fixture->machine, 0x511, 1), ==, 0);
	/* Descriptors outside RAM, and writes of other sizes, are dropped. */
	fake_out(fixture->machine, 0x514, 4, UINT32_MAX);
	fake_out(fixture->machine, 0x518, 4, UINT32_MAX);
	fake_out(fixture->machine, 0x518, 4, GUINT32_SWAP_LE_BE((4 << 20) - 8));
	fake_out(fixture->machine, 0x518, 2, 0x10);
	fake_out(fixture->machine, 0x51A, 4, 0);
	fake_out(fixture->machine, 0x511, 1, 0);
	fake_out(fixture->machine, 0x510, 4, 0);
	g_assert_cmphex(fake_in(fixture->machine, 0x510, 4), ==, 0);
}

static void test_high_half_is_used_once(struct fixture *fixture, gconstpointer unused)
{
	uint32_t *descriptor = memory_ptr(&fixture->machine->vm.memory, DESCRIPTOR, 16);

	(void)unused;
	g_log_set_always_fatal(0);
	descriptor[0] = GUINT32_TO_BE(4);
	fake_out(fixture->machine, 0x514, 4, GUINT32_SWAP_LE_BE(1));
	fake_out(fixture->machine, 0x518, 4, GUINT32_SWAP_LE_BE(DESCRIPTOR));
	g_assert_cmphex(descriptor[0], ==, GUINT32_TO_BE(4));
	fake_out(fixture->machine, 0x518, 4, GUINT32_SWAP_LE_BE(DESCRIPTOR));
	g_assert_cmphex(descriptor[0], ==, 0);
}

static void test_reset_and_state(struct fixture *fixture, gconstpointer unused)
{
	struct device *device = fw_cfg_device(fixture->fw_cfg);

	(void)unused;
	add_file(fixture, "text", "hello, world");
	select_key(fixture, FW_CFG_FILE_FIRST);
	read_little(fixture, 4);
	fake_out(fixture->machine, 0x514, 4, 0x12345678);
	fake_check_state_round_trip(device);
	g_assert_cmpint((char)fake_in(fixture->machine, 0x511, 1), ==, 'o');
	device->ops->reset(device);
	g_assert_cmphex(read_big(fixture, 4), ==, 0x51454D55);
}

#define ADD(name, test) g_test_add("/fw_cfg/" name, struct fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("signature", test_signature);
	ADD("numbers", test_numbers);
	ADD("directory", test_directory);
	ADD("dma/read", test_dma_read);
	ADD("dma/refused", test_dma_refused);
	ADD("dma/high-half", test_high_half_is_used_once);
	ADD("reset-and-state", test_reset_and_state);
	return g_test_run();
}
