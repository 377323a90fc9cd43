/* The NVMe controller: registers, admin commands, queues, interrupts and resets. */
#include "nvme_guest.h"

struct fixture {
	struct nvme_guest g;
};

static void set_up(struct fixture *f, gconstpointer data)
{
	(void)data;
	guest_open(&f->g, false);
	guest_start(&f->g);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	guest_close(&f->g);
}

static void test_registers(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;

	(void)data;
	g_assert_cmphex(pci_config_read(guest_pci(g), PCI_CLASS_REVISION, 4) >> 8, ==, 0x010802);
	g_assert_cmphex(fake_read(g->machine, REGISTERS + CAP, 8), ==, 0x00000020140103FF);
	g_assert_cmphex(get(g, CAP + 4), ==, 0x20);
	g_assert_cmphex(get(g, VS), ==, 0x00010400);
	g_assert_cmphex(fake_read(g->machine, REGISTERS + VS + 2, 1), ==, 1);
	g_assert_cmphex(get(g, 0x38), ==, 0);
	g_assert_cmphex(get(g, 0xE00), ==, 0);
	g_assert_cmphex(get(g, DOORBELL), ==, 0);
	/* while enabled, the admin queue's place is fixed */
	set(g, AQA, 0x00070007);
	set(g, ASQ, 0x5000);
	g_assert_cmphex(get(g, AQA), ==, (DEPTH - 1) << 16 | (DEPTH - 1));
	g_assert_cmphex(get(g, ASQ), ==, ADMIN_SQ);
	set(g, CC, 0);
	g_assert_cmphex(get(g, CSTS), ==, 0);
	g_assert_cmphex(get(g, ASQ), ==, ADMIN_SQ); /* outlives a controller reset */
	fake_write(g->machine, REGISTERS + ACQ, 8, 0x123456789ABCDEF0);
	g_assert_cmphex(fake_read(g->machine, REGISTERS + ACQ, 8), ==, 0x123456789ABCD000);
	set(g, AQA, UINT32_MAX);
	g_assert_cmphex(get(g, AQA), ==, 0x0FFF0FFF);
	set(g, INTMS, 5);
	set(g, INTMC, 1);
	g_assert_cmphex(get(g, INTMS), ==, 4);
	g_assert_cmphex(get(g, INTMC), ==, 4);
	/* narrow writes do nothing */
	fake_write(g->machine, REGISTERS + CC, 1, 1);
	g_assert_cmphex(get(g, CC), ==, 0);
}

/* What cannot work: CSTS.CFS, and a reset helps. */
static void test_bad_enable(struct fixture *f, gconstpointer data)
{
	static const struct { uint32_t aqa, asq, acq, cc; } bad[] = {
		{ 0x003F0000, ADMIN_SQ, ADMIN_CQ, CC_ENABLE },            /* one entry */
		{ 0x0000003F, ADMIN_SQ, ADMIN_CQ, CC_ENABLE },
		{ 0x003F003F, 0xFEB00000, ADMIN_CQ, CC_ENABLE },          /* not RAM */
		{ 0x003F003F, ADMIN_SQ, GUEST_RAM, CC_ENABLE },
		{ 0x0FFF0FFF, GUEST_RAM - 0x1000, ADMIN_CQ, CC_ENABLE },  /* across the end */
		{ 0x003F003F, ADMIN_SQ, ADMIN_CQ, CC_ENABLE | 1 << 7 },   /* 8 KiB pages */
		{ 0x003F003F, ADMIN_SQ, ADMIN_CQ, CC_ENABLE | 1 << 11 },  /* weighted round robin */
	};
	struct nvme_guest *g = &f->g;

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		set(g, CC, 0);
		set(g, AQA, bad[i].aqa);
		set(g, ASQ, bad[i].asq);
		set(g, ACQ, bad[i].acq);
		set(g, CC, bad[i].cc);
		g_assert_cmphex(get(g, CSTS), ==, 2);
		set(g, DOORBELL, 1);
	}
	guest_start(g);
	g_assert_cmphex(io(g, 2, 5, 1, BUFFER, 0), ==, 0);
	check_sector(g, BUFFER, 5);
}

static void test_identify(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	const uint8_t *id = ram(g, BUFFER);

	(void)data;
	g_assert_cmphex(admin(g, 0x06, 0, BUFFER, 1, 0).status, ==, 0);
	g_assert_cmphex(pci_get16(id), ==, 0x1B36);
	g_assert_true(memcmp(id + 4, "SERIAL-1            Oriel NVMe Disk   ", 38) == 0);
	g_assert_cmpuint(id[77], ==, 9);
	g_assert_cmphex(pci_get32(id + 80), ==, 0x00010400);
	g_assert_cmphex(id[512], ==, 0x66);
	g_assert_cmphex(id[513], ==, 0x44);
	g_assert_cmpuint(pci_get32(id + 516), ==, 1);
	g_assert_cmphex(pci_get16(id + 520) & 0xD, ==, 0xD);
	g_assert_true(id[525] & 1);
	g_assert_true(g_str_has_prefix((const char *)id + 768, "nqn.2014-08.org.nvmexpress:uuid:"));
	g_assert_cmphex(admin(g, 0x06, 1, BUFFER, 0, 0).status, ==, 0);
	g_assert_cmpuint(pci_get32(id), ==, SECTORS);
	g_assert_cmpuint(pci_get32(id + 8), ==, SECTORS);
	g_assert_cmpuint(id[130], ==, 9);
	g_assert_cmphex(id[120], ==, 0x02);
	g_assert_cmpuint(id[99], ==, 0);
	g_assert_cmphex(admin(g, 0x06, 1, BUFFER + 0x1000, 3, 0).status, ==, 0);
	g_assert_cmphex(pci_get16(ram(g, BUFFER + 0x1000)), ==, 0x0801);
	g_assert_true(memcmp(ram(g, BUFFER + 0x1004), id + 120, 8) == 0);
	g_assert_cmphex(admin(g, 0x06, 0, BUFFER, 2, 0).status, ==, 0);
	g_assert_cmpuint(pci_get32(id), ==, 1);
	g_assert_cmphex(admin(g, 0x06, 1, BUFFER, 2, 0).status, ==, 0);
	g_assert_cmpuint(pci_get32(id), ==, 0);
	/* across two pages */
	put_words(put(g, 0, 0x06, 0, BUFFER + 0xFF0, BUFFER + 0x4000), 1, 0, 0);
	g_assert_cmphex(run_last(g, 0).status, ==, 0);
	g_assert_true(memcmp(ram(g, BUFFER + 0xFF4), "SERIAL-1    ", 12) == 0);
	g_assert_true(memcmp(ram(g, BUFFER + 0x4000), "        Oriel NVMe", 18) == 0);
	/* what there is not */
	g_assert_cmphex(admin(g, 0x06, 2, BUFFER, 0, 0).status, ==, 0x00B);
	g_assert_cmphex(admin(g, 0x06, 0, BUFFER, 3, 0).status, ==, 0x00B);
	g_assert_cmphex(admin(g, 0x06, UINT32_MAX, BUFFER, 2, 0).status, ==, 0x00B);
	g_assert_cmphex(admin(g, 0x06, 1, BUFFER, 0x11, 0).status, ==, 0x002);
	g_assert_cmphex(admin(g, 0x06, 0, 0xFEB00000, 1, 0).status, ==, 0x004);
	g_assert_cmphex(admin(g, 0x7F, 0, BUFFER, 1, 0).status, ==, 0x001);
	g_assert_cmphex(admin(g, 0xC0, 0, BUFFER, 1, 0).status, ==, 0x001);
	put(g, 0, 0x06, 0, BUFFER, 0)[1] = 0x40; /* a scatter gather list */
	g_assert_cmphex(run_last(g, 0).status, ==, 0x002);
}

static void test_features(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	struct nvme_answer answer;

	(void)data;
	answer = admin(g, 0x0A, 0, 0, 0x07, 0);
	g_assert_cmphex(answer.status, ==, 0);
	g_assert_cmphex(answer.result, ==, (QUEUES - 1) << 16 | (QUEUES - 1));
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x07, 0x00070007).status, ==, 0x00C); /* a queue exists */
	guest_enable(g);
	answer = admin(g, 0x09, 0, 0, 0x07, 0x00070007);
	g_assert_cmphex(answer.status, ==, 0);
	g_assert_cmphex(answer.result, ==, (QUEUES - 1) << 16 | (QUEUES - 1));
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x07, 0xFFFF).status, ==, 0x002);
	/* the write cache */
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x06, 0).result, ==, 1);
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x06, 0).status, ==, 0);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x06, 0).result, ==, 0);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 1 << 8 | 0x06, 0).result, ==, 1);  /* default */
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 3 << 8 | 0x06, 0).result, ==, 4);  /* can be changed */
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x06, 2).status, ==, 0x002);
	g_assert_cmphex(admin(g, 0x09, 0, 0, 1u << 31 | 0x06, 1).status, ==, 0x10D);
	/* thresholds, vectors, the others */
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x04, 0).result, ==, 0xFFFF);
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x04, 1 << 20 | 280).status, ==, 0);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x04, 1 << 20).result, ==, 280);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x04, 1 << 16).status, ==, 0x002);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x09, 0).result, ==, 1 << 16);
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x09, 1 << 16 | 3).status, ==, 0);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x09, 3).result, ==, (1 << 16 | 3));
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x09, 5).status, ==, 0x002);
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x02, 1).status, ==, 0x002);
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x08, 0x0102).status, ==, 0);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x08, 0).result, ==, 0x0102);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x03, 0).status, ==, 0x002);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0xC0, 0).status, ==, 0x002);
	/* a controller reset forgets */
	guest_enable(g);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x06, 0).result, ==, 1);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x08, 0).result, ==, 0);
}

static void test_queues(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	const uint32_t size = 15 << 16;

	(void)data;
	/* completion queues: id, size, not contiguous, vector, place */
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), size | 0, 1).status, ==, 0x101);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), size | 1, 1).status, ==, 0x101);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), size | (QUEUES + 1), 1).status, ==, 0x101);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), size | 0xFFFF, 1).status, ==, 0x101);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), 0 << 16 | 2, 1).status, ==, 0x102);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), 1024 << 16 | 2, 1).status, ==, 0x102);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), size | 2, 0).status, ==, 0x002);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), size | 2, (QUEUES + 1) << 16 | 3).status, ==, 0x108);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2) + 8, size | 2, 1).status, ==, 0x013);
	g_assert_cmphex(admin(g, 0x05, 0, GUEST_RAM, size | 2, 1).status, ==, 0x002);
	/* submission queues, too, and their completion queue */
	g_assert_cmphex(admin(g, 0x01, 0, IO_SQ(2), size | 2, 2 << 16 | 1).status, ==, 0x100);
	g_assert_cmphex(admin(g, 0x01, 0, IO_SQ(2), size | 2, 0 << 16 | 1).status, ==, 0x100);
	g_assert_cmphex(admin(g, 0x01, 0, IO_SQ(2), size | 2, 0xFFFFu << 16 | 1).status, ==, 0x100);
	g_assert_cmphex(admin(g, 0x01, 0, IO_SQ(2), size | 1, 1 << 16 | 1).status, ==, 0x101);
	g_assert_cmphex(admin(g, 0x01, 0, GUEST_RAM - 64, 1023 << 16 | 2, 1 << 16 | 1).status, ==, 0x013);
	/* two submission queues share completion queue 1 */
	g_assert_cmphex(admin(g, 0x01, 0, IO_SQ(2), size | 2, 1 << 16 | 1).status, ==, 0);
	g_assert_cmphex(admin(g, 0x04, 0, 0, 1, 0).status, ==, 0x10C);
	g_assert_cmphex(admin(g, 0x00, 0, 0, 2, 0).status, ==, 0);
	g_assert_cmphex(admin(g, 0x00, 0, 0, 2, 0).status, ==, 0x101);
	g_assert_cmphex(admin(g, 0x04, 0, 0, 1, 0).status, ==, 0x10C);
	g_assert_cmphex(admin(g, 0x00, 0, 0, 1, 0).status, ==, 0);
	g_assert_cmphex(admin(g, 0x04, 0, 0, 1, 0).status, ==, 0);
	g_assert_cmphex(admin(g, 0x04, 0, 0, 1, 0).status, ==, 0x101);
	g_assert_cmphex(admin(g, 0x04, 0, 0, 0, 0).status, ==, 0x101);
	g_assert_cmphex(admin(g, 0x00, 0, 0, 0, 0).status, ==, 0x101);
	/* the greatest queues work */
	create_pair(g, QUEUES, 1024);
	for (unsigned i = 0; i < 1500; i++) {
		put_io(g, QUEUES, 2, i, 1, BUFFER, 0);
		g_assert_cmphex(run_last(g, QUEUES).status, ==, 0);
		check_sector(g, BUFFER, i);
	}
}

static void test_logs_and_events(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	const uint8_t *log = ram(g, BUFFER);
	struct nvme_answer answer;
	uint16_t id;

	(void)data;
	g_assert_cmphex(io(g, 2, 0, 8, BUFFER, 0), ==, 0);
	g_assert_cmphex(admin(g, 0x02, UINT32_MAX, BUFFER, 127 << 16 | 2, 0).status, ==, 0);
	g_assert_cmpuint(pci_get16(log + 1), ==, 310);
	g_assert_cmpuint(log[32], ==, 1);
	g_assert_cmpuint(log[64], ==, 1);
	g_assert_cmphex(admin(g, 0x02, 1, BUFFER, 127 << 16 | 2, 0).status, ==, 0x002);
	g_assert_cmphex(admin(g, 0x02, 0, BUFFER, 127 << 16 | 3, 0).status, ==, 0);
	g_assert_cmpuint(log[0], ==, 1);
	g_assert_cmphex(admin(g, 0x02, 0, BUFFER, 1023 << 16 | 5, 0).status, ==, 0);
	g_assert_cmphex(pci_get32(log + 4 * 6), ==, 1);
	g_assert_cmphex(pci_get32(log + 1024 + 4), ==, 3);
	g_assert_cmphex(admin(g, 0x02, 0, BUFFER, 127 << 16 | 0x80, 0).status, ==, 0x109);
	/* the newest error first, and from the middle */
	g_assert_cmphex(io(g, 2, SECTORS, 1, BUFFER, 0), ==, 0x080);
	g_assert_cmphex(admin(g, 0x02, 0, BUFFER, 31 << 16 | 1, 0).status, ==, 0);
	g_assert_cmpuint(pci_get32(log), >, 0);
	g_assert_cmpuint(pci_get16(log + 8), ==, 1);
	g_assert_cmpuint(pci_get32(log + 16), ==, SECTORS);
	g_assert_cmpuint(pci_get32(log + 64), ==, pci_get32(log) - 1);
	put_words(put(g, 0, 0x02, 0, BUFFER + 0x1000, 0), 15 << 16 | 1, 0, 64);
	g_assert_cmphex(run_last(g, 0).status, ==, 0);
	g_assert_true(memcmp(ram(g, BUFFER + 0x1000), log + 64, 64) == 0);
	/* four may wait for an event */
	for (unsigned i = 0; i < 4; i++)
		put(g, 0, 0x0C, 0, 0, 0);
	put(g, 0, 0x0C, 0, 0, 0);
	set(g, DOORBELL, g->pair[0].tail);
	g_assert_cmphex(wait_answer(g, 0).status, ==, 0x105);
	/* a doorbell of no queue; told once until the log is read */
	set(g, DOORBELL + 3 * 8, 1);
	answer = wait_answer(g, 0);
	g_assert_cmphex(answer.status, ==, 0);
	g_assert_cmphex(answer.result, ==, 0x010000);
	set(g, DOORBELL + 8, DEPTH);
	g_assert_false(poll_answer(g, 0, &answer));
	g_assert_cmphex(admin(g, 0x02, 0, BUFFER, 31 << 16 | 1 << 15 | 1, 0).status, ==, 0); /* keeps it */
	set(g, DOORBELL + 8, DEPTH);
	g_assert_false(poll_answer(g, 0, &answer));
	g_assert_cmphex(admin(g, 0x02, 0, BUFFER, 31 << 16 | 1, 0).status, ==, 0);
	set(g, DOORBELL + 8, DEPTH);
	g_assert_cmphex(wait_answer(g, 0).result, ==, 0x010100);
	/* health, if asked for */
	g_assert_cmphex(admin(g, 0x09, 0, 0, 0x0B, 2).status, ==, 0);
	put_words(put(g, 0, 0x09, 0, 0, 0), 0x04, 300, 0);
	set(g, DOORBELL, g->pair[0].tail);
	g_assert_cmphex(wait_answer(g, 0).status, ==, 0);
	g_assert_cmphex(wait_answer(g, 0).result, ==, 0x020101);
	/* one is left: abort it; a command that is not there */
	g_assert_cmphex(admin(g, 0x08, 0, 0, 0x7777u << 16, 0).result, ==, 1);
	id = g->next_id;
	put(g, 0, 0x0C, 0, 0, 0);
	put_words(put(g, 0, 0x08, 0, 0, 0), (uint32_t)id << 16, 0, 0);
	set(g, DOORBELL, g->pair[0].tail);
	g_assert_cmphex(wait_answer(g, 0).status, ==, 0x007);
	answer = wait_answer(g, 0);
	g_assert_cmphex(answer.status, ==, 0);
	g_assert_cmphex(answer.result, ==, 0);
}

static void test_interrupts(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	GArray *messages = g->machine->msis;

	(void)data;
	/* the pin, until all is taken */
	g_assert_false(any_pirq(g));
	put_io(g, 1, 2, 1, 1, BUFFER, 0);
	put_io(g, 1, 2, 2, 1, BUFFER + 512, 0);
	set(g, DOORBELL + 8, g->pair[1].tail);
	while (!(ram(g, IO_CQ(1) + 16 + 14)[0] & 1))
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	g_assert_true(any_pirq(g));
	set(g, INTMS, 1 << 1);
	g_assert_false(any_pirq(g));
	set(g, INTMC, 1 << 1);
	g_assert_true(any_pirq(g));
	wait_answer(g, 1);
	g_assert_true(any_pirq(g));
	wait_answer(g, 1);
	g_assert_false(any_pirq(g));
	/* messages: one for what one doorbell led to */
	enable_messages(g);
	g_assert_cmphex(io(g, 2, 1, 1, BUFFER, 0), ==, 0);
	g_array_set_size(messages, 0);
	for (unsigned i = 0; i < 8; i++)
		put_io(g, 1, 2, 1, 1, BUFFER, 0);
	set(g, DOORBELL + 8, g->pair[1].tail);
	g_assert_cmpuint(messages->len, ==, 1);
	g_assert_cmphex(g_array_index(messages, struct fake_msi, 0).data, ==, 0x41);
	for (unsigned i = 0; i < 8; i++)
		g_assert_cmphex(wait_answer(g, 1).status, ==, 0);
	g_assert_false(any_pirq(g));
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x07, 0).status, ==, 0);
	g_assert_cmphex(g_array_index(messages, struct fake_msi, 1).data, ==, 0x40);
	/* the registers go elsewhere, and with them the doorbells */
	pci_config_write(guest_pci(g), PCI_BASE_ADDRESS_0, 4, REGISTERS + 0x80000);
	g_assert_cmphex(fake_read(g->machine, REGISTERS + DOORBELL + 12, 4), ==, UINT32_MAX);
	g_assert_cmphex(fake_read(g->machine, REGISTERS + 0x80000 + DOORBELL + 12, 4), ==, 0);
	pci_config_write(guest_pci(g), PCI_BASE_ADDRESS_0, 4, REGISTERS);
	for (unsigned i = 0; i < 2 * DEPTH; i++)
		g_assert_cmphex(io(g, 2, i, 1, BUFFER, 0), ==, 0);
	/* a queue without interrupts */
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(2), 15 << 16 | 2, 2 << 16 | 1).status, ==, 0);
	g_assert_cmphex(admin(g, 0x01, 0, IO_SQ(2), 15 << 16 | 2, 2 << 16 | 1).status, ==, 0);
	g->pair[2] = (struct nvme_queue_pair){ IO_SQ(2), IO_CQ(2), 16, 0, 0, true };
	g_array_set_size(messages, 0);
	put_io(g, 2, 2, 1, 1, BUFFER, 0);
	g_assert_cmphex(run_last(g, 2).status, ==, 0);
	g_assert_cmpuint(messages->len, ==, 0);
}

static void test_shutdown_and_reset(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	struct nvme_answer answer;

	(void)data;
	set(g, CC, CC_ENABLE | 1 << 14);
	while ((get(g, CSTS) & 0xC) != 0x8)
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	g_assert_cmpuint(nvme_statistics(g->nvme)->by_operation[BLOCK_FLUSH].operations, ==, 1);
	set(g, CC, 0);
	g_assert_cmphex(get(g, CSTS), ==, 0);
	/* a reset while a lot is under way, with a buffer that may change hands after it */
	guest_start(g);
	for (unsigned i = 0; i < DEPTH - 1; i++)
		put_io(g, 1, 1, i * 16, 16, BUFFER + i * 8192, BUFFER + i * 8192 + 4096);
	set(g, DOORBELL + 8, g->pair[1].tail);
	set(g, CC, 0);
	memset(ram(g, IO_CQ(1)), 0, DEPTH * 16);
	while (g_main_context_iteration(g->machine->vm.loop.context, FALSE))
		;
	g_assert_false(poll_answer(g, 1, &answer));
	set(g, DOORBELL + 8, 5); /* of a disabled controller: nothing */
	guest_start(g);
	g_assert_cmphex(io(g, 2, SECTORS - 1, 1, BUFFER, 0), ==, 0);
	check_sector(g, BUFFER, SECTORS - 1);
	/* the machine's reset */
	nvme_device(g->nvme)->ops->reset(nvme_device(g->nvme));
	pci_config_write(guest_pci(g), PCI_BASE_ADDRESS_0, 4, REGISTERS);
	pci_config_write(guest_pci(g), PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	g_assert_cmphex(get(g, CC), ==, 0);
	g_assert_cmphex(get(g, ASQ), ==, 0);
	guest_start(g);
	g_assert_cmphex(io(g, 2, 3, 1, BUFFER, 0), ==, 0);
	/* without bus mastering commands wait */
	pci_config_write(guest_pci(g), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	put_io(g, 1, 2, 5000, 1, BUFFER, 0);
	set(g, DOORBELL + 8, g->pair[1].tail);
	g_assert_false(poll_answer(g, 1, &answer));
	pci_config_write(guest_pci(g), PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	g_assert_cmphex(wait_answer(g, 1).status, ==, 0);
	check_sector(g, BUFFER, 5000);
}

static void test_shadow_doorbells(struct fixture *f, gconstpointer data)
{
	struct nvme_guest *g = &f->g;
	unsigned rings;

	(void)data;
	put(g, 0, 0x7C, 0, SHADOW + 8, EVENT_INDEX);
	g_assert_cmphex(run_last(g, 0).status, ==, 0x013);
	put(g, 0, 0x7C, 0, SHADOW, GUEST_RAM);
	g_assert_cmphex(run_last(g, 0).status, ==, 0x002);
	enable_messages(g);
	memset(ram(g, SHADOW), 0x5A, 0x2000); /* whatever was there */
	g_assert_cmphex(io(g, 2, 0, 1, BUFFER, 0), ==, 0);
	put(g, 0, 0x7C, 0, SHADOW, EVENT_INDEX);
	g_assert_cmphex(run_last(g, 0).status, ==, 0);
	g->shadow = true;
	rings = g->rings;
	for (unsigned i = 0; i < 300; i++) {
		g_assert_cmphex(io(g, 2, i, 1, BUFFER, 0), ==, 0);
		check_sector(g, BUFFER, i);
	}
	/* a ring for each command, and one for the completions of each time around */
	g_assert_cmpuint(g->rings - rings, >=, 300);
	g_assert_cmpuint(g->rings - rings, <, 320);
	/* a full completion queue: the guest has to tell that it made room */
	for (unsigned round = 0; round < 2; round++) {
		unsigned before = g->pair[1].tail;

		for (unsigned i = 0; i < DEPTH - 1; i++)
			put_io(g, 1, 2, i, 1, BUFFER, 0);
		ring(g, 1, false, before, g->pair[1].tail);
		for (unsigned i = 0; i < DEPTH - 1; i++)
			g_assert_cmphex(wait_answer(g, 1).status, ==, 0);
	}
	/* nonsense in the shadow */
	pci_set32(ram(g, SHADOW + 8), 0xFFFFFFFF);
	pci_set32(ram(g, SHADOW + 12), 0xFFFFFFFF);
	set(g, DOORBELL + 8, g->pair[1].tail);
	g_assert_cmphex(admin(g, 0x0A, 0, 0, 0x07, 0).status, ==, 0);
	guest_start(g);
	g_assert_cmphex(io(g, 2, 7, 1, BUFFER, 0), ==, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*test)(struct fixture *f, gconstpointer data);
	} tests[] = {
		{ "/nvme/registers", test_registers },
		{ "/nvme/bad-enable", test_bad_enable },
		{ "/nvme/identify", test_identify },
		{ "/nvme/features", test_features },
		{ "/nvme/queues", test_queues },
		{ "/nvme/logs-and-events", test_logs_and_events },
		{ "/nvme/interrupts", test_interrupts },
		{ "/nvme/shutdown-and-reset", test_shutdown_and_reset },
		{ "/nvme/shadow-doorbells", test_shadow_doorbells },
	};

	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].test, tear_down);
	return g_test_run();
}
