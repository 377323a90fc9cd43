/* Both network adapters: registers, interrupts, reset and state. */
#include "e1000_guest.h"

static uint16_t read_nvm(struct guest *g, unsigned address, bool new)
{
	uint32_t value;

	put(g, EERD, address << (new ? 2 : 8) | 1);
	value = get(g, EERD);
	g_assert_cmphex(value & (new ? 2 : 0x10), !=, 0);
	return (uint16_t)(value >> 16);
}

static uint16_t read_phy(struct guest *g, unsigned index)
{
	put(g, MDIC, MDIC_OP_READ | 1u << 21 | index << 16);
	g_assert_cmphex(get(g, MDIC) & (MDIC_R | MDIC_E), ==, MDIC_R);
	return (uint16_t)get(g, MDIC);
}

static void test_identity(struct guest *g, gconstpointer model)
{
	bool new = GPOINTER_TO_UINT(model) == E1000_82574L;
	uint16_t total = 0;

	g_assert_cmphex(pci_config_read(g->pci, 0, 4), ==, new ? 0x10D38086 : 0x100E8086);
	for (unsigned i = 0; i < 64; i++)
		total = (uint16_t)(total + read_nvm(g, i, new));
	g_assert_cmphex(total, ==, 0xBABA);
	for (unsigned i = 0; i < 3; i++)
		g_assert_cmphex(read_nvm(g, i, new), ==, own_mac[2 * i] | own_mac[2 * i + 1] << 8);
	g_assert_cmphex(read_nvm(g, 200, new), ==, 0xFFFF);
	g_assert_cmphex(get(g, RAL), ==, pci_get32(own_mac));
	g_assert_cmphex(get(g, RAH), ==, RAH_AV | pci_get16(own_mac + 4));
	g_assert_cmphex(read_phy(g, 2), ==, 0x0141);
	g_assert_cmphex(read_phy(g, 1) & 0x24, ==, 0x24);
	g_assert_cmphex(get(g, STATUS) & (STATUS_LU | STATUS_FD), ==, STATUS_LU | STATUS_FD);
	put(g, MDIC, MDIC_OP_READ | 7u << 21);
	g_assert_cmphex(get(g, MDIC) & MDIC_E, ==, MDIC_E);
	/* The last byte of the registers, and what is between them. */
	g_assert_cmphex(get(g, 0x1FFFC), ==, 0);
	put(g, 0x1FFFC, 0xFFFFFFFF);
	g_assert_cmphex(get(g, 0x1FFFC), ==, 0);
}

/* The 82540EM's driver shifts its EEPROM's bits itself. */
static void test_microwire(struct guest *g, gconstpointer model)
{
	unsigned command = 6u << 6 | 2; /* start, read, address 2 */
	uint16_t word = 0;

	(void)model;
	/* Six bits of address. */
	g_assert_cmphex(get(g, EEC) & EEC_AUTO_RD, ==, 0);
	put(g, EEC, EEC_REQ);
	g_assert_cmphex(get(g, EEC) & EEC_GNT, ==, EEC_GNT);
	put(g, EEC, EEC_REQ | EEC_CS);
	for (int bit = 8; bit >= 0; bit--) {
		uint32_t data = EEC_REQ | EEC_CS | (command >> bit & 1 ? EEC_DI : 0);

		put(g, EEC, data);
		put(g, EEC, data | EEC_SK);
		put(g, EEC, data);
	}
	for (unsigned bit = 0; bit < 16; bit++) {
		put(g, EEC, EEC_REQ | EEC_CS | EEC_SK);
		word = (uint16_t)(word << 1 | (get(g, EEC) & EEC_DO ? 1 : 0));
		put(g, EEC, EEC_REQ | EEC_CS);
	}
	put(g, EEC, 0);
	g_assert_cmphex(word, ==, own_mac[4] | own_mac[5] << 8);
}

static void test_link(struct guest *g, gconstpointer model)
{
	(void)model;
	put(g, IMS, ICR_LSC);
	e1000_set_link(g->e1000, false);
	g_assert_true(any_line(g));
	g_assert_cmphex(get(g, STATUS) & STATUS_LU, ==, 0);
	g_assert_cmphex(read_phy(g, 1) & 4, ==, 0);
	g_assert_cmphex(get(g, ICR) & ICR_LSC, ==, ICR_LSC);
	g_assert_false(any_line(g));
	e1000_set_link(g->e1000, true);
	e1000_set_link(g->e1000, true);
	g_assert_true(any_line(g));
	g_assert_cmphex(get(g, STATUS) & STATUS_LU, ==, STATUS_LU);
}

static void test_interrupts(struct guest *g, gconstpointer model)
{
	(void)model;
	put(g, ICS, ICR_RXT0);
	g_assert_false(any_line(g));
	put(g, IMS, ICR_RXT0 | ICR_TXDW);
	g_assert_true(any_line(g));
	put(g, ICS, ICR_TXDW);
	/* What is left keeps the line. */
	put(g, ICR, ICR_RXT0);
	g_assert_true(any_line(g));
	put(g, IMC, ICR_TXDW);
	g_assert_false(any_line(g));
	put(g, IMS, ICR_TXDW);
	g_assert_true(any_line(g));
	g_assert_cmphex(get(g, ICR) & 0xFF, ==, ICR_TXDW);
	g_assert_false(any_line(g));
	/* At most one in 256 us. */
	put(g, ITR, 1000);
	clock_advance(&g->machine->vm.clock, 1000000);
	put(g, ICS, ICR_RXT0);
	g_assert_true(any_line(g));
	get(g, ICR);
	put(g, ICS, ICR_RXT0);
	g_assert_false(any_line(g));
	clock_advance(&g->machine->vm.clock, 255000);
	g_assert_false(any_line(g));
	clock_advance(&g->machine->vm.clock, 2000);
	g_assert_true(any_line(g));
}

static unsigned messages(struct guest *g, uint32_t data)
{
	unsigned count = 0;

	for (guint i = 0; i < g->machine->msis->len; i++)
		count += g_array_index(g->machine->msis, struct fake_msi, i).data == data;
	return count;
}

static void test_msix(struct guest *g, gconstpointer model)
{
	uint16_t control;

	(void)model;
	for (unsigned i = 0; i < 5; i++) {
		fake_write(g->machine, MSIX + i * 16, 4, 0xFEE00000);
		fake_write(g->machine, MSIX + i * 16 + 8, 4, 0x50 + i);
		fake_write(g->machine, MSIX + i * 16 + 12, 4, 0);
	}
	control = (uint16_t)pci_config_read(g->pci, g->pci->msix + PCI_MSIX_FLAGS, 2);
	pci_config_write(g->pci, g->pci->msix + PCI_MSIX_FLAGS, 2, control | PCI_MSIX_FLAGS_ENABLE);
	/* RxQ0 to vector 0, TxQ0 to vector 1, others to vector 2, as Linux has it. */
	put(g, IVAR, 8u | 9u << 8 | 10u << 16);
	put(g, CTRL_EXT, CTRL_EXT_EIAME | CTRL_EXT_PBA_CLR);
	put(g, EIAC, ICR_RXQ0 | ICR_TXQ0);
	put(g, IMS, ICR_RXQ0 | ICR_TXQ0 | ICR_OTHER | ICR_LSC);
	send_to_guest(g, own_mac, 0x88B5, 100);
	wait_received(g, 1);
	g_assert_cmpuint(messages(g, 0x50), ==, 1);
	/* Masked by its message, until the driver has looked. */
	send_to_guest(g, own_mac, 0x88B5, 100);
	wait_received(g, 2);
	g_assert_cmpuint(messages(g, 0x50), ==, 1);
	put(g, IMS, ICR_RXQ0);
	g_assert_cmpuint(messages(g, 0x50), ==, 2);
	g_assert_cmpuint(messages(g, 0x52), ==, 0);
	e1000_set_link(g->e1000, false);
	g_assert_cmpuint(messages(g, 0x52), ==, 1);
	g_assert_cmphex(get(g, ICR) & (ICR_OTHER | ICR_LSC), ==, ICR_OTHER | ICR_LSC);
	g_assert_cmphex(get(g, ICR) & (ICR_OTHER | ICR_LSC), ==, 0);
	g_assert_false(any_line(g));
}

static void test_reset(struct guest *g, gconstpointer model)
{
	(void)model;
	put(g, IMS, ICR_RXT0);
	put(g, ICS, ICR_RXT0);
	put(g, RAL, 0x11223344);
	put(g, CTRL, CTRL_RST);
	g_assert_false(any_line(g));
	g_assert_cmphex(get(g, RCTL), ==, 0);
	g_assert_cmphex(get(g, RDBAL), ==, 0);
	g_assert_cmphex(get(g, RAL), ==, pci_get32(own_mac));
	g_assert_cmphex(get(g, STATUS) & STATUS_LU, ==, STATUS_LU);
	g_assert_cmphex(get(g, CTRL) & CTRL_RST, ==, 0);
	/* In the middle of work: a frame that was begun is never sent. */
	set_up_rings(g);
	add_descriptor(g, TX_BUFFERS, 100, 0);
	put(g, TDT, g->tx_tail);
	e1000_device(g->e1000)->ops->reset(e1000_device(g->e1000));
	g_assert_cmpint(g_async_queue_length(g->outside.sent), ==, 0);
}

static void test_state(struct guest *g, gconstpointer model)
{
	(void)model;
	send_to_guest(g, own_mac, 0x88B5, 100);
	wait_received(g, 1);
	put(g, IMS, ICR_RXT0);
	add_context(g, TXD_TUCMD_TCP | TXD_TUCMD_IP, 0, 0);
	put(g, TDT, g->tx_tail);
	g_assert_true(any_line(g));
	fake_check_state_round_trip(e1000_device(g->e1000));
	g_assert_true(any_line(g));
	g_assert_cmpuint(get(g, RDH), ==, 1);
}

/* Whatever a guest writes wherever: nothing breaks, and a reset brings it back. */
static void test_nonsense(struct guest *g, gconstpointer model)
{
	(void)model;
	for (unsigned i = 0; i < 20000; i++) {
		unsigned offset = (unsigned)g_test_rand_int_range(0, i % 2 ? 0x6000 : REGISTERS_SIZE);
		unsigned size = 1u << g_test_rand_int_range(0, 4);
		uint32_t value = (uint32_t)g_test_rand_int() & (i % 3 ? 0xFFFFFFFF : 0xFFFFF);

		offset &= ~(size - 1);
		if (g_test_rand_bit())
			fake_write(g->machine, REGISTERS + offset, size, value);
		else
			fake_read(g->machine, REGISTERS + offset, size);
		if (i % 64 == 0)
			send_to_guest(g, i % 128 ? NULL : own_mac, 0x0800, 14 + (size_t)g_test_rand_int_range(0, 3000));
		if (i % 1000 == 0)
			clock_advance(&g->machine->vm.clock, 50000000);
	}
	e1000_device(g->e1000)->ops->reset(e1000_device(g->e1000));
	map_registers(g);
	g_assert_cmphex(get(g, RAL), ==, pci_get32(own_mac));
}

static const struct adapter_test tests[] = {
	{ "identity", test_identity, 3 },
	{ "microwire", test_microwire, 1 << E1000_82540EM },
	{ "link", test_link, 3 },
	{ "interrupts", test_interrupts, 3 },
	{ "msix", test_msix, 1 << E1000_82574L },
	{ "reset", test_reset, 3 },
	{ "state", test_state, 3 },
	{ "nonsense", test_nonsense, 3 },
};

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_tests(tests, G_N_ELEMENTS(tests));
	return g_test_run();
}
