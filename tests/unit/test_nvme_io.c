/* The NVMe disk: transfers, errors of guest and host, hostile guests, and its state. */
#include "nvme_guest.h"

struct fixture {
	struct nvme_guest g;
};

static void set_up(struct fixture *f, gconstpointer data)
{
	guest_open(&f->g, data != NULL);
	guest_start(&f->g);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	guest_close(&f->g);
}

/* count page addresses from list[at] on: backwards from BUFFER + count pages, so that none joins the next. */
static void put_list(struct nvme_guest *g, uint64_t list, unsigned count, unsigned of)
{
	for (unsigned i = 0; i < count; i++) {
		pci_set32(ram(g, list + i * 8), BUFFER + 0x1000 * (of - i));
		pci_set32(ram(g, list + i * 8 + 4), 0);
	}
}

static void test_read_write(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	uint8_t sector[512];

	(void)data;
	g_assert_cmphex(io(g, 2, 100, 1, BUFFER + 512, 0), ==, 0);
	check_sector(g, BUFFER + 512, 100);
	/* two pages, the first from its middle */
	g_assert_cmphex(io(g, 2, 200, 8, BUFFER + 2048, BUFFER + 0x5000), ==, 0);
	check_sector(g, BUFFER + 2048, 200);
	check_sector(g, BUFFER + 0x5000, 204);
	check_sector(g, BUFFER + 0x5000 + 1536, 207);
	memset(ram(g, BUFFER), 0x77, 0x2000);
	g_assert_cmphex(io(g, 1, 300, 16, BUFFER, BUFFER + 0x1000), ==, 0);
	read_image(g, 315 * 512, sector, sizeof sector);
	g_assert_cmphex(sector[511], ==, 0x77);
	/* on stable storage */
	put_words(put(g, 1, 1, 1, BUFFER, 0), 320, 0, 1u << 30 | 1);
	g_assert_cmphex(run_last(g, 1).status, ==, 0);
	g_assert_cmphex(io(g, 0, 0, 1, 0, 0), ==, 0);
	put(g, 1, 0, UINT32_MAX, 0, 0);
	g_assert_cmphex(run_last(g, 1).status, ==, 0);
	g_assert_cmpuint(nvme_statistics(g->nvme)->by_operation[BLOCK_FLUSH].operations, >=, 2);
	/* the last sector, and what lies behind it */
	g_assert_cmphex(io(g, 2, SECTORS - 1, 1, BUFFER, 0), ==, 0);
	g_assert_cmphex(io(g, 2, SECTORS - 1, 2, BUFFER, 0), ==, 0x080);
	g_assert_cmphex(io(g, 1, UINT64_MAX, 1, BUFFER, 0), ==, 0x080);
	g_assert_cmphex(io(g, 2, UINT64_MAX - 7, 16, BUFFER, BUFFER + 0x1000), ==, 0x080);
}

static void test_lists(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	const unsigned pages = 512;

	(void)data;
	/* 2 MiB from the start of a page: one list */
	put_list(g, LISTS, pages - 1, pages - 1);
	g_assert_cmphex(io(g, 2, 0, pages * 8, BUFFER, LISTS), ==, 0);
	check_sector(g, BUFFER, 0);
	check_sector(g, BUFFER + 0x1000 * (pages - 1), 8);
	check_sector(g, BUFFER + 0x1000, (pages - 1) * 8);
	/* the list starts in a page's last three entries, and another one follows */
	put_list(g, LISTS + 0xFE8, 2, 20);
	pci_set32(ram(g, LISTS + 0xFF8), LISTS + 0x3000);
	pci_set32(ram(g, LISTS + 0xFFC), 0);
	put_list(g, LISTS + 0x3000, 3, 18);
	g_assert_cmphex(io(g, 2, 1000, 6 * 8, BUFFER, LISTS + 0xFE8), ==, 0);
	check_sector(g, BUFFER, 1000);
	check_sector(g, BUFFER + 20 * 0x1000, 1008);
	check_sector(g, BUFFER + 19 * 0x1000, 1016);
	check_sector(g, BUFFER + 18 * 0x1000, 1024);
	check_sector(g, BUFFER + 16 * 0x1000, 1040);
	/* exactly as many pages as the first list has room for */
	put_list(g, LISTS + 0xFE8, 3, 30);
	g_assert_cmphex(io(g, 2, 2000, 4 * 8, BUFFER, LISTS + 0xFE8), ==, 0);
	check_sector(g, BUFFER + 28 * 0x1000, 2024);
	/* more than MDTS */
	put_list(g, LISTS, pages, pages);
	g_assert_cmphex(io(g, 2, 0, pages * 8 + 1, BUFFER, LISTS), ==, 0x002);
}

static void test_bad_commands(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	struct nvme_answer answer;

	(void)data;
	/* not RAM: a device, the end of RAM, nowhere; as page, list, or entry of a list */
	g_assert_cmphex(io(g, 2, 0, 1, REGISTERS, 0), ==, 0x004);
	g_assert_cmphex(io(g, 2, 0, 2, GUEST_RAM - 512, GUEST_RAM), ==, 0x004);
	g_assert_cmphex(io(g, 2, 0, 1, UINT64_MAX & ~7ull, 0), ==, 0x004);
	g_assert_cmphex(io(g, 2, 0, 16, BUFFER, 0xFFFFFFFFFFFFF000), ==, 0x004);
	g_assert_cmphex(io(g, 2, 0, 32, BUFFER, GUEST_RAM), ==, 0x004);
	put_list(g, LISTS, 3, 3);
	pci_set32(ram(g, LISTS + 20), 0x80000000);
	g_assert_cmphex(io(g, 2, 0, 32, BUFFER, LISTS), ==, 0x004);
	/* offsets: of the first page, the others, the list, a list that follows */
	g_assert_cmphex(io(g, 2, 0, 1, BUFFER + 2, 0), ==, 0x013);
	g_assert_cmphex(io(g, 2, 0, 16, BUFFER, BUFFER + 0x1004), ==, 0x013);
	g_assert_cmphex(io(g, 2, 0, 32, BUFFER, LISTS + 4), ==, 0x013);
	put_list(g, LISTS, 3, 3);
	pci_set32(ram(g, LISTS), BUFFER + 512);
	g_assert_cmphex(io(g, 2, 0, 32, BUFFER, LISTS), ==, 0x013);
	pci_set32(ram(g, LISTS + 0xFF8), LISTS + 0xFF8); /* a list that leads to itself */
	pci_set32(ram(g, LISTS + 0xFFC), 0);
	g_assert_cmphex(io(g, 2, 0, 2048, BUFFER, LISTS + 0xFF8), ==, 0x013);
	/* namespaces, opcodes, fused and scattered */
	for (uint32_t namespace = 0; namespace <= 2; namespace += 2) {
		put_words(put(g, 1, 2, namespace, BUFFER, 0), 0, 0, 0);
		g_assert_cmphex(run_last(g, 1).status, ==, 0x00B);
	}
	put_words(put(g, 1, 2, UINT32_MAX, BUFFER, 0), 0, 0, 0);
	answer = run_last(g, 1);
	g_assert_cmphex(answer.status, ==, 0x00B);
	g_assert_true(answer.retry_useless);
	g_assert_cmphex(io(g, 0x04, 0, 1, BUFFER, 0), ==, 0x001);
	g_assert_cmphex(io(g, 0x0D, 0, 1, BUFFER, 0), ==, 0x001);
	g_assert_cmphex(io(g, 0xFF, 0, 1, BUFFER, 0), ==, 0x001);
	put(g, 1, 2, 1, BUFFER, 0)[1] = 1;
	g_assert_cmphex(run_last(g, 1).status, ==, 0x002);
	/* a buffer over the queues is only memory */
	g_assert_cmphex(io(g, 2, 50, 1, IO_SQ(1) + 0x800, 0), ==, 0);
	g_assert_cmphex(io(g, 2, 51, 1, BUFFER, 0), ==, 0);
}

static void test_zeroes_trim_compare(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	uint8_t *ranges = ram(g, BUFFER), sectors[1024];
	const uint8_t zeroes[1024] = { 0 };

	(void)data;
	g_assert_cmphex(io(g, 8, 1000, 4096, 0, 0), ==, 0);
	read_image(g, 5095 * 512, sectors, 1024);
	g_assert_cmpmem(sectors, 512, zeroes, 512);
	g_assert_cmpuint(pci_get32(sectors + 512), ==, 5096);
	g_assert_cmphex(io(g, 8, SECTORS - 1, 2, 0, 0), ==, 0x080);
	/* equal, and not */
	g_assert_cmphex(io(g, 2, 10, 16, BUFFER, BUFFER + 0x1000), ==, 0);
	g_assert_cmphex(io(g, 5, 10, 16, BUFFER, BUFFER + 0x1000), ==, 0);
	ram(g, BUFFER + 0x1FFF)[0] ^= 1;
	g_assert_cmphex(io(g, 5, 10, 16, BUFFER, BUFFER + 0x1000), ==, 0x285);
	/* two ranges that are one, and one of nothing */
	memset(ranges, 0, 4096);
	pci_set32(ranges + 4, 1024);
	pci_set32(ranges + 8, 6000);
	pci_set32(ranges + 16 + 4, 8);
	pci_set32(ranges + 16 + 8, 7024);
	put_words(put(g, 1, 9, 1, BUFFER, 0), 2, 1 << 2, 0);
	g_assert_cmphex(run_last(g, 1).status, ==, 0);
	g_assert_cmpuint(nvme_statistics(g->nvme)->by_operation[BLOCK_DISCARD].operations, ==, 1);
	read_image(g, 6500 * 512, sectors, 512);
	g_assert_cmpmem(sectors, 512, zeroes, 512);
	/* a hint without deallocation */
	pci_set32(ranges + 8, 20);
	put_words(put(g, 1, 9, 1, BUFFER, 0), 0, 1 << 1, 0);
	g_assert_cmphex(run_last(g, 1).status, ==, 0);
	/* one bad range: none takes effect */
	pci_set32(ranges + 16 + 8, SECTORS - 7);
	put_words(put(g, 1, 9, 1, BUFFER, 0), 1, 1 << 2, 0);
	g_assert_cmphex(run_last(g, 1).status, ==, 0x080);
	read_image(g, 20 * 512, sectors, 512);
	g_assert_cmpuint(pci_get32(sectors), ==, 20);
	/* all 256, which lie across pages */
	memset(ram(g, BUFFER), 0, 0x10000);
	put_words(put(g, 1, 9, 1, BUFFER + 0x800, BUFFER + 0x3000), 255, 1 << 2, 0);
	g_assert_cmphex(run_last(g, 1).status, ==, 0);
}

static void test_write_cache_off(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	const struct block_statistics *statistics = nvme_statistics(g->nvme);

	(void)data;
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x06, 0).status, ==, 0);
	g_assert_cmpuint(statistics->by_operation[BLOCK_FLUSH].operations, ==, 1);
	g_assert_cmphex(io(g, 8, 0, 1, 0, 0), ==, 0);
	g_assert_cmpuint(statistics->by_operation[BLOCK_FLUSH].operations, ==, 2);
	g_assert_cmphex(io(g, 1, 0, 1, BUFFER, 0), ==, 0);
}

static void test_read_only(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;

	(void)data;
	g_assert_cmphex(admin(g, 0x06, 1, BUFFER, 0, 0).status, ==, 0);
	g_assert_cmpuint(ram(g, BUFFER)[99], ==, 1);
	g_assert_cmphex(io(g, 2, 5, 1, BUFFER, 0), ==, 0);
	g_assert_cmphex(io(g, 1, 5, 1, BUFFER, 0), ==, 0x020);
	g_assert_cmphex(io(g, 8, 5, 1, 0, 0), ==, 0x020);
	g_assert_cmphex(io(g, 9, 0, 1, BUFFER, 0), ==, 0x020);
	g_assert_cmphex(io(g, 0, 0, 1, 0, 0), ==, 0);
	g_assert_cmphex(io(g, 5, 5, 1, BUFFER, 0), ==, 0);
}

/* More commands than completions have room: all come, in the guest's own time. */
static void test_full_queues(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	struct nvme_answer answer;
	unsigned done = 0;

	(void)data;
	enable_messages(g);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), 3 << 16 | 2, 3).status, ==, 0);
	g_assert_cmphex(admin(g, 0x01, 0, IO_SQ(2), 63 << 16 | 2, 2 << 16 | 1).status, ==, 0);
	memset(ram(g, IO_CQ(2)), 0, 0x1000);
	g->pair[2] = (struct nvme_queue_pair){ IO_SQ(2), IO_CQ(2), 64, 0, 0, true };
	for (unsigned i = 0; i < 63; i++)
		put_io(g, 2, 2, i, 1, BUFFER + i * 512, 0);
	set(g, DOORBELL + 16, g->pair[2].tail);
	g->pair[2].size = 4; /* of the completions from here on */
	while (g_main_context_iteration(g->machine->vm.loop.context, FALSE))
		;
	g_assert_cmphex(ram(g, IO_CQ(2) + 3 * 16 + 14)[0] & 1, ==, 0);
	for (; done < 63; done++) {
		answer = wait_answer(g, 2);
		g_assert_cmphex(answer.status, ==, 0);
	}
	for (unsigned i = 0; i < 63; i++)
		check_sector(g, BUFFER + i * 512, i);
	/* a head beyond the tail takes nothing that is not there */
	set(g, DOORBELL + 20, (g->pair[2].head + 1) % 4);
	g_assert_cmphex(io(g, 2, 9, 1, BUFFER, 0), ==, 0);
}

static void wait_trouble(struct nvme_guest *g, unsigned count)
{
	while (g->machine->requests->len < count)
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	g_assert_cmpuint(g_array_index(g->machine->requests, enum vm_request, count - 1), ==, VM_REQUEST_PAUSE);
}

static void test_trouble(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	struct nvme_answer answer;

	(void)data;
	g_assert_cmpint(truncate(g->path, 4096), ==, 0);
	put_io(g, 1, 2, 4000, 1, BUFFER, 0);
	set(g, DOORBELL + 8, g->pair[1].tail);
	wait_trouble(g, 1);
	g_assert_false(poll_answer(g, 1, &answer));
	/* its queue is not gone before it is */
	put_words(put(g, 0, 0x00, 0, 0, 0), 1, 0, 0);
	set(g, DOORBELL, g->pair[0].tail);
	g_assert_false(poll_answer(g, 0, &answer));
	g_assert_cmpint(truncate(g->path, SECTORS * 512), ==, 0);
	nvme_retry(g->nvme);
	g_assert_cmphex(wait_answer(g, 1).status, ==, 0);
	g_assert_cmphex(wait_answer(g, 0).status, ==, 0);
	g_assert_cmphex(admin(g, 0x00, 0, 0, 1, 0).status, ==, 0x101);
	/* the guest is told */
	g_assert_cmphex(admin(g, 0x04, 0, 0, 1, 0).status, ==, 0);
	create_pair(g, 1, DEPTH);
	g_assert_cmpint(truncate(g->path, 4096), ==, 0);
	put_io(g, 1, 2, 4000, 1, BUFFER, 0);
	set(g, DOORBELL + 8, g->pair[1].tail);
	wait_trouble(g, 2);
	nvme_fail(g->nvme);
	g_assert_cmphex(wait_answer(g, 1).status, ==, 0x281);
	g_assert_cmphex(admin(g, 0x02, 0, BUFFER, 127 << 16 | 2, 0).status, ==, 0);
	g_assert_cmpuint(ram(g, BUFFER)[160], ==, 1);
}

static void test_trouble_and_reset(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;

	(void)data;
	g_assert_cmpint(truncate(g->path, 4096), ==, 0);
	put_io(g, 1, 2, 4000, 1, BUFFER, 0);
	set(g, DOORBELL + 8, g->pair[1].tail);
	wait_trouble(g, 1);
	guest_start(g);
	g_assert_cmphex(io(g, 2, 1, 1, BUFFER, 0), ==, 0);
	check_sector(g, BUFFER, 1);
}

static void test_state(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	struct device *device = nvme_device(g->nvme);
	g_autoptr(GBytes) file = NULL;
	GError *error = NULL;
	struct nvme_answer answer;

	(void)data;
	create_pair(g, 3, 1024);
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x06, 0).status, ==, 0);
	g_assert_cmphex(io(g, 2, SECTORS, 1, BUFFER, 0), ==, 0x080);
	put(g, 0, 0x7C, 0, SHADOW, EVENT_INDEX);
	g_assert_cmphex(run_last(g, 0).status, ==, 0);
	g->shadow = true;
	put(g, 0, 0x0C, 0, 0, 0);
	set(g, DOORBELL, g->pair[0].tail);
	fake_check_state_round_trip(device);
	clock_advance(&g->machine->vm.clock, 1000);
	g_assert_cmphex(get(g, CSTS), ==, 1);
	g_assert_cmphex(io(g, 2, 77, 1, BUFFER, 0), ==, 0);
	check_sector(g, BUFFER, 77);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x06, 0).result, ==, 0);
	/* the event that was waited for still comes */
	set(g, DOORBELL + 4 * 8, 1);
	answer = wait_answer(g, 0);
	g_assert_cmphex(answer.result, ==, 0x010000);
	/* a command that waits for the user is run again by whoever loads the state */
	g_assert_cmpint(truncate(g->path, 4096), ==, 0);
	put_io(g, 1, 2, 4000, 1, BUFFER, 0);
	ring(g, 1, false, (g->pair[1].tail + DEPTH - 1) % DEPTH, g->pair[1].tail);
	wait_trouble(g, 1);
	file = fake_save(device);
	g_assert_cmpint(truncate(g->path, SECTORS * 512), ==, 0);
	g_assert_true(fake_load(device, file, &error));
	g_assert_no_error(error);
	memset(ram(g, BUFFER), 0xEE, 512);
	clock_advance(&g->machine->vm.clock, 1000);
	g_assert_cmphex(wait_answer(g, 1).status, ==, 0);
	g_assert_cmphex(*ram(g, BUFFER), ==, 0);
}

static void put_random_command(struct nvme_guest *g, unsigned queue)
{
	static const uint8_t io_opcodes[] = { 0, 1, 2, 5, 8, 9 };
	static const uint8_t admin_opcodes[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 0x7C };
	struct nvme_queue_pair *pair = &g->pair[queue];
	uint8_t *entry = put(g, queue, 0, 1, 0, 0);
	uint64_t prp1 = BUFFER + (uint64_t)g_test_rand_int_range(0, 1 << 20) * 4;
	uint64_t prp2 = LISTS + (uint64_t)g_test_rand_int_range(0, 1024) * 8;

	for (unsigned i = 0; i < 64 && g_test_rand_int_range(0, 8) == 0; i++)
		entry[i] = (uint8_t)g_test_rand_int();
	entry[0] = queue ? io_opcodes[g_test_rand_int_range(0, sizeof io_opcodes)] :
			   admin_opcodes[g_test_rand_int_range(0, sizeof admin_opcodes)];
	if (g_test_rand_int_range(0, 10) == 0)
		entry[0] = (uint8_t)g_test_rand_int();
	if (g_test_rand_int_range(0, 10) == 0)
		prp1 = (uint64_t)(uint32_t)g_test_rand_int() << g_test_rand_int_range(0, 32);
	if (g_test_rand_bit())
		prp1 &= ~0xFFFull;
	pci_set32(entry + 24, (uint32_t)prp1);
	pci_set32(entry + 28, (uint32_t)(prp1 >> 32));
	pci_set32(entry + 32, (uint32_t)(g_test_rand_bit() ? prp2 : prp2 & ~0xFFFull));
	put_words(entry, queue ? (uint32_t)g_test_rand_int_range(0, SECTORS) :
		  (uint32_t)(g_test_rand_int_range(0, 1100) << 16 | g_test_rand_int_range(0, QUEUES + 3)),
		  queue ? (uint32_t)g_test_rand_int_range(0, 12) / 8 * 4 :
		  (uint32_t)(g_test_rand_int_range(0, QUEUES + 3) << 16 | g_test_rand_int_range(0, 8)),
		  (uint32_t)g_test_rand_int_range(0, 4200));
	if (g_test_rand_int_range(0, 20) == 0)
		pci_set32(entry + 40 + (unsigned)g_test_rand_int_range(0, 6) * 4, (uint32_t)g_test_rand_int());
	set(g, DOORBELL + queue * 8, pair->tail);
}

static void fuzz_step(struct nvme_guest *g)
{
	unsigned queue = (unsigned)g_test_rand_int_range(0, QUEUES + 1);
	struct nvme_answer answer;

	if (!g->pair[queue].size)
		g->pair[queue] = (struct nvme_queue_pair){ IO_SQ(queue), IO_CQ(queue), DEPTH, 0, 0, true };
	switch (g_test_rand_int_range(0, 14)) {
	case 0: case 1: case 2: case 3: case 4: case 5:
		put_random_command(g, queue);
		break;
	case 6: case 7:
		while (poll_answer(g, queue, &answer))
			;
		break;
	case 8:
		set(g, DOORBELL + (unsigned)g_test_rand_int_range(0, 80) * 4, (uint32_t)g_test_rand_int_range(0, 80));
		break;
	case 9:
		fake_write(g->machine, REGISTERS + (unsigned)g_test_rand_int_range(0, g_test_rand_bit() ? 0x40 : 0x2000),
			   1u << g_test_rand_int_range(0, 4), (uint64_t)g_test_rand_int() * 0x10001);
		break;
	case 10:
		fake_read(g->machine, REGISTERS + (unsigned)g_test_rand_int_range(0, 0x2000),
			  1u << g_test_rand_int_range(0, 4));
		break;
	case 11:
		/* lists and shadows */
		pci_set32(ram(g, (g_test_rand_bit() ? LISTS : SHADOW) + (unsigned)g_test_rand_int_range(0, 1024) * 4),
			  g_test_rand_bit() ? BUFFER + (uint32_t)g_test_rand_int_range(0, 256) * 0x1000 :
			  (uint32_t)g_test_rand_int());
		break;
	case 12:
		while (g_main_context_iteration(g->machine->vm.loop.context, FALSE))
			;
		clock_advance(&g->machine->vm.clock, 1000);
		break;
	default:
		if (g_test_rand_int_range(0, 6) == 0) {
			guest_start(g);
			for (unsigned i = 2; i <= QUEUES && g_test_rand_bit(); i++)
				create_pair(g, i, DEPTH);
		}
	}
}

/* Anything goes, as long as nothing breaks and the controller still works after a reset. */
static void test_fuzz(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;

	(void)data;
	for (unsigned i = 0; i < 1024; i++)
		pci_set32(ram(g, LISTS + i * 8), BUFFER + (uint32_t)g_test_rand_int_range(0, 1024) * 0x1000);
	for (unsigned round = 0; round < 6000; round++)
		fuzz_step(g);
	fake_check_state_round_trip(nvme_device(g->nvme));
	pci_config_write(guest_pci(g), PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	guest_start(g);
	g_assert_cmphex(admin(g, 0x06, 0, BUFFER, 1, 0).status, ==, 0);
	g_assert_cmphex(io(g, 2, 0, 1, BUFFER, 0), ==, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*test)(struct fixture *f, gconstpointer data);
	} tests[] = {
		{ "/nvme-io/read-write", test_read_write },
		{ "/nvme-io/lists", test_lists },
		{ "/nvme-io/bad-commands", test_bad_commands },
		{ "/nvme-io/zeroes-trim-compare", test_zeroes_trim_compare },
		{ "/nvme-io/write-cache-off", test_write_cache_off },
		{ "/nvme-io/full-queues", test_full_queues },
		{ "/nvme-io/trouble", test_trouble },
		{ "/nvme-io/trouble-and-reset", test_trouble_and_reset },
		{ "/nvme-io/state", test_state },
		{ "/nvme-io/fuzz", test_fuzz },
	};

	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].test, tear_down);
	g_test_add("/nvme-io/read-only", struct fixture, "read-only", set_up, test_read_only, tear_down);
	return g_test_run();
}
