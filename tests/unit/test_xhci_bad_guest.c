/* Guests that the xHCI controller must survive: rings without end, contexts nowhere, and anything at random. */
#include "xhci_guest.h"

#include "../../input/router.h"
#include "../../input/usb_keyboard.h"
#include "../../input/usb_tablet.h"

#define IN_1 3u
#define OUT_2 4u
#define IN_2 5u

struct fixture {
	struct xhci_guest g;
	struct input_router router;
	unsigned slot;
};

static void open_fixture(struct fixture *f)
{
	static const unsigned endpoints[][2] = { { IN_1, EP_INTERRUPT_IN }, { OUT_2, EP_ISOCH_OUT },
						 { IN_2, EP_ISOCH_IN }, { 0, 0 } };

	memset(f, 0, sizeof *f);
	input_router_init(&f->router);
	guest_open(&f->g);
	g_assert_true(xhci_attach(f->g.xhci, usb_tablet_new(&f->g.machine->vm, &f->router), NULL));
	g_assert_true(xhci_attach(f->g.xhci, usb_keyboard_new(&f->g.machine->vm, &f->router), NULL));
	guest_start(&f->g);
	f->slot = address_port(&f->g, 1);
	configure(&f->g, f->slot, endpoints, 8);
}

static void close_fixture(struct fixture *f)
{
	guest_close(&f->g);
	input_router_finish(&f->router);
}

/* Links that lead to themselves end the ring, not the machine. */
static void test_circles(void)
{
	struct fixture f;
	uint32_t ring;

	open_fixture(&f);
	ring = TRANSFER_RING(f.slot, IN_1);
	write_trb(&f.g, ring, ring, 0, LINK << 10 | CYCLE);
	ring_endpoint(&f.g, f.slot, IN_1);
	g_assert_cmpuint(expect_event(&f.g, TRANSFER_EVENT).code, ==, TRB_ERROR);
	g_assert_cmphex(ram(&f.g, OUTPUT_CONTEXT(f.slot))[IN_1 * 32] & 7, ==, 4);
	/* The same on the command ring is more than the controller can report there. */
	write_trb(&f.g, COMMAND_RING + f.g.commands.index * 16, COMMAND_RING + f.g.commands.index * 16, 0,
		  LINK << 10 | f.g.commands.cycle);
	set_reg(&f.g, DOORBELL, 0);
	g_assert_cmphex(reg(&f.g, USBSTS) & 5, ==, 5);
	close_fixture(&f);
}

/* A descriptor that is chained for ever. */
static void test_endless_descriptor(void)
{
	struct fixture f;
	uint32_t ring;

	open_fixture(&f);
	ring = TRANSFER_RING(f.slot, IN_1);
	write_trb(&f.g, ring, BUFFER, 0x1FFFF, NORMAL << 10 | CHAIN | CYCLE);
	write_trb(&f.g, ring + 16, ring, 0, LINK << 10 | CHAIN | CYCLE);
	ring_endpoint(&f.g, f.slot, IN_1);
	g_assert_cmpuint(expect_event(&f.g, TRANSFER_EVENT).code, ==, TRB_ERROR);
	close_fixture(&f);
}

/* A ring of no-ops that never ends takes turns with the rest of the machine. */
static void test_endless_ring(void)
{
	struct fixture f;
	uint32_t ring;

	open_fixture(&f);
	ring = TRANSFER_RING(f.slot, IN_1);
	write_trb(&f.g, ring, 0, 0, NO_OP << 10 | CYCLE);
	write_trb(&f.g, ring + 16, ring, 0, LINK << 10 | CYCLE);
	ring_endpoint(&f.g, f.slot, IN_1);
	g_assert_cmpuint(f.g.machine->vm.clock.timers->len, ==, 1);
	wait_ms(&f.g, 10);
	g_assert_cmpuint(f.g.machine->vm.clock.timers->len, ==, 1);
	expect_command(&f.g, SUCCESS, STOP_ENDPOINT, 0, f.slot << 24 | IN_1 << 16);
	wait_ms(&f.g, 10);
	g_assert_cmpuint(f.g.machine->vm.clock.timers->len, ==, 0);
	close_fixture(&f);
}

static void test_nowhere(void)
{
	struct fixture f;
	uint32_t trb;

	open_fixture(&f);
	trb = transfer(&f.g, f.slot, IN_1, GUEST_RAM - 4, 8);
	expect_transfer(&f.g, trb, TRB_ERROR, 8);
	recover_endpoint(&f.g, f.slot, IN_1);
	trb = push(&f.g, &f.g.transfers[f.slot][IN_1], UINT64_MAX - 3, 8, NORMAL, IOC);
	ring_endpoint(&f.g, f.slot, IN_1);
	expect_transfer(&f.g, trb, TRB_ERROR, 8);
	recover_endpoint(&f.g, f.slot, IN_1);
	/* An output context that was moved away under the controller: nothing is written, nothing breaks. */
	expect_command(&f.g, SUCCESS, SET_TR_DEQUEUE, 0xFFFFFFFFFFFFFFF0ull, f.slot << 24 | IN_1 << 16);
	ring_endpoint(&f.g, f.slot, IN_1);
	g_assert_cmpuint(expect_event(&f.g, TRANSFER_EVENT).code, ==, TRB_ERROR);
	/* The device context base array, then the event ring, outside of RAM. */
	set_reg64(&f.g, DCBAAP, 0xFFFFFFFFFFFFFFC0ull);
	expect_command(&f.g, SUCCESS, ENABLE_SLOT, 0, 0);
	expect_command(&f.g, PARAMETER_ERROR, ADDRESS_DEVICE, INPUT_CONTEXT, 2u << 24);
	write_trb(&f.g, ERST, 0xFFFFFFFFFFFF0000ull, 64, 0);
	set_reg64(&f.g, ERSTBA, ERST);
	push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	set_reg(&f.g, DOORBELL, 0);
	g_assert_cmphex(reg(&f.g, USBSTS) & 5, ==, 5);
	/* Only a reset helps. */
	guest_start(&f.g);
	address_port(&f.g, 1);
	close_fixture(&f);
}

static void test_dead_doorbells(void)
{
	struct fixture f;

	open_fixture(&f);
	for (unsigned slot = 0; slot < 0x400; slot++)
		for (unsigned target = 0; target < 256; target += 15)
			if (slot != f.slot && slot)
				set_reg(&f.g, DOORBELL + slot * 4, target | 0xABCD0000);
	set_reg(&f.g, DOORBELL, 7);
	set_reg(&f.g, DOORBELL + f.slot * 4, 5);
	set_reg(&f.g, DOORBELL + f.slot * 4, 0xFF);
	expect_no_event(&f.g);
	pci_config_write(f.g.pci, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	set_reg(&f.g, DOORBELL, 0);
	expect_no_event(&f.g);
	close_fixture(&f);
}

/* --- At random, the same each time --- */

static uint32_t random_place(GRand *rand)
{
	static const uint32_t places[] = { COMMAND_RING, EVENT_RING, INPUT_CONTEXT, OUTPUT_CONTEXT(1), OUTPUT_CONTEXT(2),
					   TRANSFER_RING(1, 1), TRANSFER_RING(1, IN_1), TRANSFER_RING(1, OUT_2),
					   TRANSFER_RING(1, IN_2), TRANSFER_RING(2, 1), ERST, DCBAA, BUFFER, GUEST_RAM - 64 };

	return places[g_rand_int_range(rand, 0, G_N_ELEMENTS(places))] + (uint32_t)g_rand_int_range(rand, 0, 8) * 16;
}

static void random_trb(struct xhci_guest *g, GRand *rand)
{
	static const unsigned types[] = { NORMAL, SETUP, DATA, STATUS, ISOCH, LINK, EVENT_DATA, NO_OP, ENABLE_SLOT,
					  DISABLE_SLOT, ADDRESS_DEVICE, CONFIGURE_ENDPOINT, EVALUATE_CONTEXT, RESET_ENDPOINT,
					  STOP_ENDPOINT, SET_TR_DEQUEUE, RESET_DEVICE, NO_OP_COMMAND };
	uint64_t parameter = g_rand_int_range(rand, 0, 8) ? random_place(rand) | (g_rand_int(rand) & 1) :
			     (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
	uint32_t control = types[g_rand_int_range(rand, 0, G_N_ELEMENTS(types))] << 10 | (g_rand_int(rand) & 0x3FF) |
			   (uint32_t)g_rand_int_range(rand, 0, 4) << 24 | (uint32_t)g_rand_int_range(rand, 0, 6) << 16;
	uint32_t place = random_place(rand);

	if (!g_rand_int_range(rand, 0, 20))
		control = g_rand_int(rand);
	if (place <= GUEST_RAM - 16)
		write_trb(g, place, parameter, g_rand_int(rand) & 0xFFC1FFFF, control);
}

static void random_register(struct xhci_guest *g, GRand *rand)
{
	static const unsigned registers[] = { USBCMD, USBSTS, CRCR, DCBAAP, CONFIG, PORTSC1, PORTSC1 + 16, PORTSC1 + 128,
					      IMAN, IMOD, ERSTSZ, ERSTBA, ERDP, DOORBELL, DOORBELL + 4, DOORBELL + 8 };
	static const unsigned sizes[] = { 1, 2, 4, 4, 4, 8 };
	unsigned offset = registers[g_rand_int_range(rand, 0, G_N_ELEMENTS(registers))];
	uint64_t value = offset >= DOORBELL ? (unsigned)g_rand_int_range(rand, 0, 6) :
			 g_rand_boolean(rand) ? random_place(rand) | (g_rand_int(rand) & 15) : g_rand_int(rand);

	if (!g_rand_int_range(rand, 0, 10))
		offset = (unsigned)g_rand_int_range(rand, 0, 0x4000);
	if (offset == USBCMD && g_rand_int_range(rand, 0, 8))
		value = 5;
	fake_write(g->machine, REGISTERS + offset, sizes[g_rand_int_range(rand, 0, G_N_ELEMENTS(sizes))], value);
}

static void random_input(struct fixture *f, GRand *rand)
{
	const struct input_event events[] = {
		{ EV_ABS, ABS_X, g_rand_int_range(rand, -10, 40000) },
		{ EV_KEY, (uint16_t)g_rand_int_range(rand, 0, 300), g_rand_boolean(rand) },
		{ EV_SYN, SYN_REPORT, 0 },
	};

	input_router_send(&f->router, events, 3);
}

static void fuzz_once(uint32_t seed)
{
	GRand *rand = g_rand_new_with_seed(seed);
	struct fixture f;

	open_fixture(&f);
	for (unsigned i = 0; i < 400; i++) {
		switch (g_rand_int_range(rand, 0, 8)) {
		case 0:
		case 1:
		case 2:
			random_register(&f.g, rand);
			break;
		case 3:
			random_input(&f, rand);
			break;
		case 4:
			clock_advance(&f.g.machine->vm.clock, (uint64_t)g_rand_int_range(rand, 0, 2000000));
			fake_read(f.g.machine, REGISTERS + (unsigned)g_rand_int_range(rand, 0, 0x4000), 8);
			break;
		default:
			random_trb(&f.g, rand);
		}
		if (i % 100 == 99)
			fake_check_state_round_trip(f.g.device);
	}
	/* It is as good as new after a reset. */
	f.g.device->ops->reset(f.g.device);
	guest_start(&f.g);
	g_assert_cmpuint(address_port(&f.g, 1), ==, 1);
	close_fixture(&f);
	g_rand_free(rand);
}

static void test_random(void)
{
	const char *count = g_getenv("ORIEL_FUZZ_ROUNDS");
	unsigned rounds = count ? (unsigned)atoi(count) : 60;

	for (unsigned i = 0; i < rounds; i++)
		fuzz_once(1000 + i);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xhci-bad-guest/circles", test_circles);
	g_test_add_func("/xhci-bad-guest/endless-descriptor", test_endless_descriptor);
	g_test_add_func("/xhci-bad-guest/endless-ring", test_endless_ring);
	g_test_add_func("/xhci-bad-guest/nowhere", test_nowhere);
	g_test_add_func("/xhci-bad-guest/dead-doorbells", test_dead_doorbells);
	g_test_add_func("/xhci-bad-guest/random", test_random);
	return g_test_run();
}
