/* The sound controller and its codec. */
#include "hda_guest.h"

static void test_reset_values(void)
{
	struct hda_guest g;

	guest_open(&g);
	g_assert_cmphex(pci_config_read(g.pci, 0, 4), ==, 0x293E8086);
	g_assert_cmphex(pci_config_read(g.pci, 8, 4) >> 8, ==, 0x040300);
	g_assert_cmphex(hda_read(&g, GCAP, 2), ==, 0x4401);
	g_assert_cmphex(hda_read(&g, 2, 2), ==, 0x0100);
	g_assert_cmphex(hda_read(&g, CORBSIZE, 1), ==, 0x42);
	g_assert_cmphex(hda_read(&g, STATESTS, 2), ==, 1);
	/* Read-only bits stay; status bits go by writing one. */
	hda_write(&g, GCAP, 4, 0xFFFFFFFF);
	g_assert_cmphex(hda_read(&g, GCAP, 4), ==, 0x01004401);
	hda_write(&g, STATESTS, 2, 0xFFFF);
	g_assert_cmphex(hda_read(&g, STATESTS, 2), ==, 0);
	hda_write(&g, CORBLBASE, 4, 0xFFFFFFFF);
	g_assert_cmphex(hda_read(&g, CORBLBASE, 4), ==, 0xFFFFFF80);
	g_assert_cmphex(hda_read(&g, CORBLBASE + 1, 1), ==, 0xFF);
	/* One access over two registers */
	fake_write(g.machine, REGISTERS + CORBLBASE, 8, 0x1122334455667788);
	g_assert_cmphex(fake_read(g.machine, REGISTERS + CORBLBASE, 8), ==, 0x1122334455667780);
	/* Reset clears; in reset nothing else can be written. */
	hda_write(&g, GCTL, 4, 0);
	g_assert_cmphex(hda_read(&g, CORBLBASE, 4), ==, 0);
	hda_write(&g, CORBLBASE, 4, 0x1000);
	g_assert_cmphex(hda_read(&g, CORBLBASE, 4), ==, 0);
	g_assert_cmphex(hda_read(&g, STATESTS, 2), ==, 0);
	hda_write(&g, GCTL, 4, 1);
	g_assert_cmphex(hda_read(&g, STATESTS, 2), ==, 1);
	g_assert_cmphex(hda_read(&g, 0x3FFC, 4), ==, 0);
	guest_close(&g);
}

static void test_wake_interrupt(void)
{
	struct hda_guest g;

	guest_open(&g);
	hda_write(&g, STATESTS, 2, 1);
	hda_write(&g, WAKEEN, 2, 1);
	hda_write(&g, GCTL, 4, 0);
	hda_write(&g, GCTL, 4, 1);
	/* INTCTL was reset; the status tells all the same. */
	g_assert_cmphex(hda_read(&g, INTSTS, 4), ==, 1u << 30);
	g_assert_false(g.pirq[0]);
	hda_write(&g, INTCTL, 4, 1u << 31 | 1u << 30);
	g_assert_true(g.pirq[0]);
	g_assert_cmphex(hda_read(&g, INTSTS, 4), ==, 3u << 30);
	hda_write(&g, STATESTS, 2, 1);
	g_assert_false(g.pirq[0]);
	guest_close(&g);
}

static void test_wall_clock(void)
{
	struct hda_guest g;

	guest_open(&g);
	hda_write(&g, GCTL, 4, 0);
	hda_write(&g, GCTL, 4, 1);
	wait_ms(&g, 10);
	g_assert_cmpuint(hda_read(&g, WALCLK, 4), ==, 240000);
	g_assert_cmpuint(hda_read(&g, 0x2000 + WALCLK, 4), ==, 240000);
	/* 2^32 / 24 MHz is 179 s. */
	wait_ms(&g, 200000 - 10);
	g_assert_cmpuint(hda_read(&g, WALCLK, 4), ==, (uint32_t)4800000000ull);
	guest_close(&g);
}

static void test_codec(void)
{
	struct hda_guest g;

	guest_open(&g);
	g_assert_cmphex(verb(&g, 0, 0xF0000), ==, 0x1AF40021);
	g_assert_cmphex(verb(&g, 0, 0xF0002), ==, 0x00100101);
	g_assert_cmphex(verb(&g, 0, 0xF0004), ==, 0x00010001);
	g_assert_cmphex(verb(&g, 1, 0xF0004), ==, 0x00020004);
	g_assert_cmphex(verb(&g, 1, 0xF0005), ==, 1);
	g_assert_cmphex(verb(&g, 2, 0xF000A), ==, 0x001E07FF);
	/* Line out: connected to the converter, and a jack. */
	g_assert_cmphex(verb(&g, 3, 0xF0009) >> 20, ==, 4);
	g_assert_cmphex(verb(&g, 3, 0xF000E), ==, 1);
	g_assert_cmphex(verb(&g, 3, 0xF0200), ==, 2);
	g_assert_cmphex(verb(&g, 4, 0xF0200), ==, 5);
	g_assert_cmphex(verb(&g, 3, 0xF1C00) >> 20 & 0xF, ==, 0);
	g_assert_cmphex(verb(&g, 5, 0xF1C00) >> 20 & 0xF, ==, 8);
	/* Amplifiers: one side, both, and no farther than there are steps; the wrong direction has none. */
	verb(&g, 2, 0x39000 | 0x2A);
	g_assert_cmphex(verb(&g, 2, 0xB8000), ==, 0x2A);
	g_assert_cmphex(verb(&g, 2, 0xBA000), ==, 0x57);
	verb(&g, 2, 0x3B000 | 0xFF);
	g_assert_cmphex(verb(&g, 2, 0xBA000), ==, 0xD7);
	g_assert_cmphex(verb(&g, 2, 0xB2000), ==, 0);
	verb(&g, 2, 0x37000 | 0x10);
	g_assert_cmphex(verb(&g, 2, 0xBA000), ==, 0xD7);
	verb(&g, 4, 0x37000 | 0x10);
	g_assert_cmphex(verb(&g, 4, 0xB0000), ==, 0x10);
	/* Format, stream and channel, pin, power, configuration */
	verb(&g, 2, 0x24011);
	g_assert_cmphex(verb(&g, 2, 0xA0000), ==, 0x4011);
	verb(&g, 2, 0x70653);
	g_assert_cmphex(verb(&g, 2, 0xF0600), ==, 0x53);
	verb(&g, 3, 0x707FF);
	g_assert_cmphex(verb(&g, 3, 0xF0700), ==, 0x40);
	verb(&g, 1, 0x70503);
	g_assert_cmphex(verb(&g, 1, 0xF0500), ==, 0x33);
	verb(&g, 3, 0x71F77);
	g_assert_cmphex(verb(&g, 3, 0xF1C00), ==, 0x77014110);
	verb(&g, 1, 0x72012);
	g_assert_cmphex(verb(&g, 1, 0xF2000), ==, 0x1AF40012);
	/* Unknown verbs and nodes answer 0. */
	g_assert_cmphex(verb(&g, 2, 0xF8100), ==, 0);
	g_assert_cmphex(verb(&g, 6, 0xF0000), ==, 0);
	g_assert_cmphex(verb(&g, 0x7F, 0xF0000), ==, 0);
	/* The function group's reset keeps what firmware configured. */
	verb(&g, 1, 0x7FF00);
	g_assert_cmphex(verb(&g, 2, 0xF0600), ==, 0);
	g_assert_cmphex(verb(&g, 3, 0xF1C00), ==, 0x77014110);
	/* No codec at address 1: no valid response. */
	hda_write(&g, ICOI, 4, 1u << 28 | 0xF0000);
	hda_write(&g, ICIS, 2, 3);
	g_assert_cmphex(hda_read(&g, ICIS, 2), ==, 0);
	guest_close(&g);
}

static void test_rings(void)
{
	struct hda_guest g;

	guest_open(&g);
	start_rings(&g);
	hda_write(&g, INTCTL, 4, 3u << 30);
	queue_command(&g, 0xF0000);
	queue_command(&g, 0xF0004);
	queue_command(&g, 1u << 28 | 0xF0000); /* nobody answers */
	hda_write(&g, CORBWP, 2, 3);
	g_assert_cmpuint(hda_read(&g, CORBRP, 2), ==, 3);
	g_assert_cmpuint(hda_read(&g, RIRBWP, 2), ==, 2);
	g_assert_cmphex(pci_get32(ram(&g, RIRB + 8)), ==, 0x1AF40021);
	g_assert_cmphex(pci_get32(ram(&g, RIRB + 12)), ==, 0);
	g_assert_cmphex(pci_get32(ram(&g, RIRB + 16)), ==, 0x00010001);
	g_assert_true(g.pirq[0]);
	g_assert_cmphex(hda_read(&g, RIRBSTS, 1), ==, 1);
	hda_write(&g, RIRBSTS, 1, 5);
	g_assert_false(g.pirq[0]);
	/* Around the end of both rings */
	for (unsigned i = 0; i < 300; i++) {
		queue_command(&g, 0xF0004);
		hda_write(&g, CORBWP, 2, g.corb_written);
	}
	g_assert_cmpuint(hda_read(&g, CORBRP, 2), ==, (3 + 300) & 0xFF);
	g_assert_cmpuint(hda_read(&g, RIRBWP, 2), ==, (2 + 300) & 0xFF);
	/* Nothing moves while one of the engines is off, and all of it once it is on. */
	hda_write(&g, RIRBCTL, 1, 0);
	queue_command(&g, 0xF0000);
	hda_write(&g, CORBWP, 2, g.corb_written);
	g_assert_cmpuint(hda_read(&g, CORBRP, 2), ==, (3 + 300) & 0xFF);
	hda_write(&g, RIRBCTL, 1, 3);
	g_assert_cmpuint(hda_read(&g, CORBRP, 2), ==, (3 + 301) & 0xFF);
	/* The read pointer's reset is acknowledged and taken back (section 3.3.21). */
	hda_write(&g, CORBCTL, 1, 0);
	hda_write(&g, CORBRP, 2, 0x8000);
	g_assert_cmphex(hda_read(&g, CORBRP, 2), ==, 0x8000);
	hda_write(&g, CORBRP, 2, 0);
	g_assert_cmphex(hda_read(&g, CORBRP, 2), ==, 0);
	hda_write(&g, RIRBWP, 2, 0x8000);
	g_assert_cmphex(hda_read(&g, RIRBWP, 2), ==, 0);
	guest_close(&g);
}

static void test_response_count(void)
{
	struct hda_guest g;

	guest_open(&g);
	enable_msi(&g);
	start_rings(&g);
	hda_write(&g, INTCTL, 4, 3u << 30);
	hda_write(&g, RINTCNT, 2, 2);
	for (unsigned i = 0; i < 4; i++)
		queue_command(&g, 0xF0000);
	hda_write(&g, CORBWP, 2, 4);
	g_assert_cmpuint(g.machine->msis->len, ==, 1);
	g_assert_cmphex(g_array_index(g.machine->msis, struct fake_msi, 0).data, ==, MSI_DATA);
	hda_write(&g, RIRBSTS, 1, 1);
	queue_command(&g, 0xF0000);
	hda_write(&g, CORBWP, 2, 5);
	g_assert_cmpuint(g.machine->msis->len, ==, 2);
	guest_close(&g);
}

static void test_bad_rings(void)
{
	struct hda_guest g;

	guest_open(&g);
	start_rings(&g);
	hda_write(&g, INTCTL, 4, 3u << 30);
	hda_write(&g, CORBCTL, 1, 3);
	hda_write(&g, CORBUBASE, 4, 0xFFFFFFFF);
	hda_write(&g, CORBLBASE, 4, 0xFFFFFF80);
	hda_write(&g, CORBWP, 2, 0x80);
	g_assert_cmphex(hda_read(&g, CORBSTS, 1), ==, 1);
	g_assert_cmphex(hda_read(&g, CORBCTL, 1), ==, 1);
	g_assert_true(g.pirq[0]);
	hda_write(&g, CORBSTS, 1, 1);
	g_assert_false(g.pirq[0]);
	hda_write(&g, CORBUBASE, 4, 0);
	hda_write(&g, CORBLBASE, 4, CORB);
	hda_write(&g, RIRBUBASE, 4, 1);
	hda_write(&g, CORBCTL, 1, 3);
	g_assert_cmphex(hda_read(&g, CORBSTS, 1), ==, 1);
	guest_close(&g);
}

/* --- Streams --- */

static void fill_counting(struct hda_guest *g, unsigned frames)
{
	int16_t *samples = (int16_t *)ram(g, BUFFER);

	for (unsigned i = 0; i < frames; i++) {
		samples[i * 2] = (int16_t)i;
		samples[i * 2 + 1] = (int16_t)-i;
	}
}

static void test_play(void)
{
	const uint32_t bytes = 480 * 4; /* 10 ms */
	struct hda_guest g;
	const int16_t *played;

	guest_open(&g);
	fill_counting(&g, 4 * 480);
	prepare(&g, OUTPUT, 4, bytes, FORMAT_48K_STEREO_16);
	g_assert_cmpuint(g.backend->starts, ==, 0);
	run(&g, OUTPUT);
	g_assert_cmpuint(g.backend->starts, ==, 1);
	g_assert_cmphex(hda_read(&g, sd(OUTPUT, STS), 1), ==, FIFORDY);
	/* Exact between two wake-ups too, also by the alias; and 10 ms are a buffer with an interrupt. */
	wait_ms(&g, 7);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 7 * 48 * 4);
	g_assert_cmpuint(hda_read(&g, 0x2000 + sd(OUTPUT, LPIB), 4), ==, 7 * 48 * 4);
	g_assert_false(g.pirq[0]);
	wait_ms(&g, 3);
	g_assert_true(g.pirq[0]);
	g_assert_cmphex(hda_read(&g, INTSTS, 4), ==, 1u << 31 | 1u << OUTPUT);
	g_assert_cmphex(hda_read(&g, sd(OUTPUT, STS), 1), ==, FIFORDY | BCIS);
	hda_write(&g, sd(OUTPUT, STS), 1, BCIS);
	g_assert_false(g.pirq[0]);
	/* Around the end: the position begins anew. */
	wait_ms(&g, 35);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 5 * 48 * 4);
	g_assert_cmpuint(g.backend->played->len, ==, 45 * 48 * 4);
	played = (const int16_t *)g.backend->played->data;
	for (unsigned i = 0; i < 45 * 48; i++) {
		g_assert_cmpint(played[i * 2], ==, i % 1920);
		g_assert_cmpint(played[i * 2 + 1], ==, -(int)(i % 1920));
	}
	/* Stopped: nothing moves, nothing wakes up. */
	hda_write(&g, sd(OUTPUT, CTL), 1, 0);
	wait_ms(&g, 0);
	g_assert_cmpuint(g.backend->stops, ==, 1);
	g_assert_cmpuint(g.machine->vm.clock.timers->len, ==, 0);
	wait_ms(&g, 100);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 5 * 48 * 4);
	/* Goes on where it stopped; a stream reset forgets. */
	run(&g, OUTPUT);
	wait_ms(&g, 1);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 6 * 48 * 4);
	hda_write(&g, sd(OUTPUT, CTL), 1, SRST);
	g_assert_cmphex(hda_read(&g, sd(OUTPUT, CTL), 4), ==, 0x00040001);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 0);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, CBL), 4), ==, 0);
	guest_close(&g);
}

static void test_positions(void)
{
	struct hda_guest g;

	guest_open(&g);
	prepare(&g, OUTPUT, 2, 9600, FORMAT_48K_STEREO_16);
	hda_write(&g, DPLBASE, 4, POSITIONS | 1);
	run(&g, OUTPUT);
	wait_ms(&g, 20);
	g_assert_cmpuint(pci_get32(ram(&g, POSITIONS + OUTPUT * 8)), ==, 20 * 192);
	g_assert_cmpuint(pci_get32(ram(&g, POSITIONS)), ==, 0);
	/* Nowhere: no harm */
	hda_write(&g, DPUBASE, 4, 0x1000);
	wait_ms(&g, 20);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 40 * 192);
	guest_close(&g);
}

static void test_sync(void)
{
	struct hda_guest g;

	guest_open(&g);
	prepare(&g, OUTPUT, 2, 9600, FORMAT_48K_STEREO_16);
	hda_write(&g, SSYNC, 4, 1u << OUTPUT);
	g_assert_cmphex(hda_read(&g, 0x34, 4), ==, 1u << OUTPUT);
	run(&g, OUTPUT);
	wait_ms(&g, 10);
	g_assert_cmphex(hda_read(&g, sd(OUTPUT, STS), 1), ==, FIFORDY);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 0);
	hda_write(&g, 0x34, 4, 0);
	wait_ms(&g, 10);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 10 * 192);
	/* Without bus mastering nothing moves either. */
	pci_config_write(g.pci, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	wait_ms(&g, 10);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 10 * 192);
	guest_close(&g);
}

static void test_formats(void)
{
	static const struct {
		uint16_t format;
		uint32_t rate, channels, size;
		bool heard;
	} formats[] = {
		{ 0x0011, 48000, 2, 2, true }, { 0x4011, 44100, 2, 2, true }, { 0x0511, 8000, 2, 2, true },
		{ 0x4311, 11025, 2, 2, true }, { 0x0A11, 32000, 2, 2, true }, { 0x0831, 96000, 2, 4, true },
		{ 0x1841, 192000, 2, 4, true }, { 0x5831, 176400, 2, 4, true }, { 0x0021, 48000, 2, 4, true },
		{ 0x0010, 48000, 1, 2, true }, { 0x0015, 48000, 6, 2, true }, { 0x004F, 48000, 16, 4, true },
		{ 0x0001, 48000, 2, 1, false }, { 0x3811, 384000, 2, 2, false }, { 0x0071, 48000, 2, 4, false },
		{ 0x0711, 6000, 2, 2, false },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
		uint32_t second = formats[i].rate * formats[i].channels * formats[i].size;
		struct hda_guest g;

		guest_open(&g);
		prepare(&g, OUTPUT, 2, second, formats[i].format);
		run(&g, OUTPUT);
		wait_ms(&g, 1000);
		g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, second);
		g_assert_cmpuint(g.backend->starts, ==, formats[i].heard);
		if (formats[i].heard) {
			g_assert_cmpuint(g.backend->streams[0]->format.rate, ==, formats[i].rate);
			g_assert_cmpuint(g.backend->played->len, ==, formats[i].rate * 2 * formats[i].size);
		}
		guest_close(&g);
	}
}

/* The converter takes its two channels of several; volume and mute; the pin's switch. */
static void test_volume(void)
{
	struct hda_guest g;
	const int16_t *played;
	int16_t *samples;

	guest_open(&g);
	samples = (int16_t *)ram(&g, BUFFER);
	for (unsigned i = 0; i < 48 * 100; i++) {
		samples[i * 4] = 11111;
		samples[i * 4 + 1] = 22222;
		samples[i * 4 + 2] = 20000;
		samples[i * 4 + 3] = -20000;
	}
	prepare(&g, OUTPUT, 2, 48 * 50 * 8, 0x0013);
	verb(&g, 2, 0x70602 | TAG << 4);
	/* -6 dB on the left, nothing on the right */
	verb(&g, 2, 0x3A000 | (0x57 - 8));
	verb(&g, 2, 0x39000 | 0x57 | 0x80);
	run(&g, OUTPUT);
	wait_ms(&g, 10);
	played = (const int16_t *)g.backend->played->data;
	for (unsigned i = 0; i < 480; i++) {
		g_assert_cmpint(played[i * 2], ==, 10023);
		g_assert_cmpint(played[i * 2 + 1], ==, 0);
	}
	verb(&g, 2, 0x3B000 | 0x57);
	wait_ms(&g, 10);
	played = (const int16_t *)g.backend->played->data;
	g_assert_cmpint(played[2 * 900], ==, 20000);
	g_assert_cmpint(played[2 * 900 + 1], ==, -20000);
	verb(&g, 3, 0x70700);
	wait_ms(&g, 10);
	played = (const int16_t *)g.backend->played->data;
	g_assert_cmpint(played[2 * 1400], ==, 0);
	verb(&g, 3, 0x70740);
	verb(&g, 2, 0x70503);
	wait_ms(&g, 10);
	played = (const int16_t *)g.backend->played->data;
	g_assert_cmpint(played[2 * 1900], ==, 0);
	guest_close(&g);
}

static void test_record(void)
{
	struct hda_guest g;
	const int16_t *samples;
	unsigned start = 0;

	guest_open(&g);
	samples = (const int16_t *)ram(&g, BUFFER);
	memset(ram(&g, BUFFER), 0xAA, 48 * 4 * 100);
	prepare(&g, INPUT, 2, 48 * 4 * 50, FORMAT_48K_STEREO_16);
	g.backend->next = 1;
	run(&g, INPUT);
	wait_ms(&g, 50);
	g_assert_cmphex(hda_read(&g, INTSTS, 4), ==, 1u << 31 | 1u << INPUT);
	/* Silence until sound arrives, then all of it. */
	while (start < 480 && samples[start * 2] == 0)
		start++;
	for (unsigned i = start; i < 48 * 50; i++) {
		g_assert_cmpint(samples[i * 2], ==, i - start + 1);
		g_assert_cmpint(samples[i * 2 + 1], ==, -(int)(i - start + 1));
	}
	/* Muted, and no longer allowed */
	verb(&g, 4, 0x37000 | 0x80);
	wait_ms(&g, 50);
	g_assert_cmpint(samples[48 * 80 * 2], ==, 0);
	verb(&g, 4, 0x37000 | 0x57);
	wait_ms(&g, 20);
	g_assert_cmpint(samples[48 * 15 * 2], !=, 0);
	hda_set_microphone(g.hda, false);
	wait_ms(&g, 50);
	g_assert_cmpuint(g.backend->stops, ==, 1);
	g_assert_cmpint(samples[48 * 60 * 2], ==, 0);
	/* For the guest, it goes on. */
	g_assert_cmpuint(hda_read(&g, sd(INPUT, LPIB), 4), ==, 70 * 192);
	guest_close(&g);
}

/* The pace follows the host: too much on its way slows the guest down, too little hurries it on, within limits. */
static void test_drift(void)
{
	static const struct { int64_t excess; double seconds; } cases[] = {
		{ 0, 10 }, { 10000000, 9.9 }, { -10000000, 10.1 }, { 1000000000, 9.75 }, { -1000000000, 10.25 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct hda_guest g;

		guest_open(&g);
		g.backend->excess = cases[i].excess;
		prepare(&g, OUTPUT, 2, 480000, FORMAT_48K_STEREO_16);
		run(&g, OUTPUT);
		wait_ms(&g, 10000);
		g_assert_cmpfloat_with_epsilon(g.backend->played->len / 192000.0, cases[i].seconds, 0.03);
		guest_close(&g);
	}
}

static void test_hostile_lists(void)
{
	static const struct { uint64_t address; uint32_t length; } first[] = {
		{ GUEST_RAM - 100, 4096 }, { 0xA0000, 4096 }, { UINT64_MAX - 7, 4096 }, { 1ull << 40, UINT32_MAX },
	};
	struct hda_guest g;

	for (unsigned i = 0; i < G_N_ELEMENTS(first); i++) {
		guest_open(&g);
		prepare(&g, OUTPUT, 2, 4096, FORMAT_48K_STEREO_16);
		set_descriptor(&g, 0, first[i].address, first[i].length, 1);
		run(&g, OUTPUT);
		wait_ms(&g, 50);
		g_assert_cmphex(hda_read(&g, sd(OUTPUT, STS), 1), ==, DESE);
		g_assert_cmphex(hda_read(&g, sd(OUTPUT, CTL), 1), ==, IOCE | FEIE | DEIE);
		g_assert_true(g.pirq[0]);
		g_assert_cmpuint(g.backend->starts, ==, g.backend->stops);
		g_assert_cmpuint(g.machine->vm.clock.timers->len, ==, 0);
		guest_close(&g);
	}
	/* Nothing but empty buffers */
	guest_open(&g);
	prepare(&g, OUTPUT, 256, 0, FORMAT_48K_STEREO_16);
	run(&g, OUTPUT);
	wait_ms(&g, 10);
	g_assert_cmphex(hda_read(&g, sd(OUTPUT, STS), 1), ==, DESE);
	/* The list itself is nowhere. */
	prepare(&g, OUTPUT, 2, 4096, FORMAT_48K_STEREO_16);
	hda_write(&g, sd(OUTPUT, BDPU), 4, 77);
	run(&g, OUTPUT);
	wait_ms(&g, 10);
	g_assert_cmphex(hda_read(&g, sd(OUTPUT, STS), 1), ==, DESE);
	guest_close(&g);
}

/* Buffers of one byte, each with an interrupt, and with a few empty ones in between: no faster than the minimum. */
static void test_tiny_buffers(void)
{
	struct hda_guest g;
	unsigned interrupts = 0;

	guest_open(&g);
	prepare(&g, OUTPUT, 255, 1, FORMAT_48K_STEREO_16);
	for (unsigned i = 0; i < 255; i += 3)
		set_descriptor(&g, i, BUFFER, 0, 1);
	run(&g, OUTPUT);
	for (unsigned i = 0; i < 1000; i++) {
		wait_ms(&g, 1);
		interrupts += hda_read(&g, sd(OUTPUT, STS), 1) & BCIS ? 1 : 0;
		hda_write(&g, sd(OUTPUT, STS), 1, BCIS);
	}
	g_assert_cmpuint(interrupts, ==, 1000);
	g_assert_cmpuint(g.backend->moves, <=, 1002);
	guest_close(&g);
}

/* The I/O thread was held up for a second: not more than the buffer is played at once. */
static void test_late(void)
{
	struct hda_guest g;

	guest_open(&g);
	prepare(&g, OUTPUT, 2, 1920, FORMAT_48K_STEREO_16);
	run(&g, OUTPUT);
	wait_ms(&g, 5);
	g_assert_cmpuint(g.machine->vm.clock.timers->len, ==, 1);
	timer_cancel(g.machine->vm.clock.timers->pdata[0]);
	wait_ms(&g, 1000);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 5 * 192 + 1920);
	guest_close(&g);
}

static void test_messages(void)
{
	struct hda_guest g;

	guest_open(&g);
	enable_msi(&g);
	prepare(&g, OUTPUT, 4, 1920, FORMAT_48K_STEREO_16);
	run(&g, OUTPUT);
	prepare(&g, INPUT, 4, 1920, FORMAT_48K_STEREO_16);
	run(&g, INPUT);
	wait_ms(&g, 10);
	/* Both streams rise; clearing one of them does not lose the next of the other. */
	g_assert_cmpuint(g.machine->msis->len, >=, 1);
	hda_write(&g, sd(OUTPUT, STS), 1, BCIS);
	g_array_set_size(g.machine->msis, 0);
	wait_ms(&g, 10);
	g_assert_cmpuint(g.machine->msis->len, ==, 1);
	g_assert_false(g.pirq[0]);
	guest_close(&g);
}

static void test_reset_while_running(void)
{
	struct hda_guest g;

	guest_open(&g);
	prepare(&g, OUTPUT, 4, 1920, FORMAT_48K_STEREO_16);
	run(&g, OUTPUT);
	prepare(&g, INPUT, 4, 1920, FORMAT_48K_STEREO_16);
	run(&g, INPUT);
	wait_ms(&g, 13);
	hda_write(&g, GCTL, 4, 0);
	wait_ms(&g, 0);
	g_assert_cmpuint(g.backend->stops, ==, 2);
	g_assert_false(g.pirq[0]);
	hda_write(&g, GCTL, 4, 1);
	wait_ms(&g, 100);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 0);
	g_assert_cmphex(verb(&g, 2, 0xF0600), ==, 0);
	prepare(&g, OUTPUT, 4, 1920, FORMAT_48K_STEREO_16);
	run(&g, OUTPUT);
	wait_ms(&g, 7);
	g.device->ops->reset(g.device);
	wait_ms(&g, 0);
	g_assert_cmpuint(g.backend->starts, ==, g.backend->stops);
	g_assert_cmpuint(g.machine->vm.clock.timers->len, ==, 0);
	guest_map(&g);
	g_assert_cmphex(hda_read(&g, STATESTS, 2), ==, 1);
	guest_close(&g);
}

/* Saved in the middle of a buffer, it goes on there. */
static void test_state(void)
{
	struct hda_guest g;
	g_autoptr(GBytes) file = NULL;
	GError *error = NULL;

	guest_open(&g);
	start_rings(&g);
	queue_command(&g, 0xF0000);
	hda_write(&g, CORBWP, 2, 1);
	fill_counting(&g, 4 * 480);
	prepare(&g, OUTPUT, 4, 1920, FORMAT_48K_STEREO_16);
	verb(&g, 2, 0x39000 | 0x2A);
	run(&g, OUTPUT);
	wait_ms(&g, 13);
	fake_check_state_round_trip(g.device);
	g_assert_cmpuint(hda_read(&g, CORBRP, 2), ==, 1);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 13 * 192);
	g_assert_cmphex(hda_read(&g, sd(OUTPUT, STS), 1), ==, FIFORDY | BCIS);
	g_assert_cmpuint(hda_read(&g, WALCLK, 4), ==, 13 * 24000);
	g_assert_true(g.pirq[0]);
	hda_write(&g, sd(OUTPUT, STS), 1, BCIS);
	wait_ms(&g, 7);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 20 * 192);
	g_assert_true(g.pirq[0]);
	g_assert_cmphex(verb(&g, 2, 0xB8000), ==, 0x2A);
	g_assert_cmpint(((const int16_t *)g.backend->played->data)[13 * 96], ==, 13 * 48);
	/* In a machine that has just been made */
	file = fake_save(g.device);
	guest_close(&g);
	guest_open(&g);
	g_assert_true(fake_load(g.device, file, &error));
	g_assert_no_error(error);
	wait_ms(&g, 0);
	g_assert_cmpuint(g.backend->starts, ==, 1);
	g_assert_cmpuint(hda_read(&g, sd(OUTPUT, LPIB), 4), ==, 20 * 192);
	guest_close(&g);
}

/* Nonsense in a file: refused, or a machine that works on and stays within its memory. */
static void test_bad_state(void)
{
	GRand *rand = g_rand_new_with_seed(3);
	struct hda_guest g;

	for (unsigned i = 0; i < 300; i++) {
		struct state *state = state_new_save();
		uint32_t position = g_rand_int(rand), length = g_rand_int(rand), entry = g_rand_int(rand) >> i % 32;
		bool fetched = true, loaded;
		uint8_t noise[0x180];
		GBytes *file;

		guest_open(&g);
		prepare(&g, OUTPUT, 4, 1920, FORMAT_48K_STEREO_16);
		run(&g, OUTPUT);
		wait_ms(&g, 3);
		for (unsigned n = 0; n < sizeof noise; n++)
			noise[n] = (uint8_t)g_rand_int(rand);
		noise[GCTL] |= 1;
		state_section(state, "hda");
		state_bytes(state, "registers", noise, sizeof noise);
		state_bool(state, "stream_4_fetched", &fetched);
		state_u32(state, "stream_4_position", &position);
		state_u32(state, "stream_4_length", &length);
		state_u32(state, "stream_4_entry", &entry);
		file = state_finish_save(state);
		loaded = fake_load(g.device, file, NULL);
		g_assert_cmpint(loaded, ==, position < length && entry <= 256);
		g_assert_cmphex(hda_read(&g, GCAP, 2), ==, 0x4401);
		wait_ms(&g, 20);
		hda_read(&g, sd(OUTPUT, LPIB), 4);
		guest_close(&g);
		g_bytes_unref(file);
	}
	g_rand_free(rand);
}

/* Any access at any time, with rings and lists of noise. */
static void test_fuzz(void)
{
	GRand *rand = g_rand_new_with_seed(7);

	for (unsigned round = 0; round < 60; round++) {
		struct hda_guest g;

		guest_open(&g);
		for (unsigned i = 0; i < 0x8000; i++)
			*ram(&g, CORB + i) = (uint8_t)g_rand_int(rand);
		if (round % 2) {
			prepare(&g, OUTPUT, 4, 1920, FORMAT_48K_STEREO_16);
			run(&g, OUTPUT);
			start_rings(&g);
		}
		for (unsigned i = 0; i < 2000; i++) {
			unsigned size = 1u << g_rand_int_range(rand, 0, 4);
			unsigned offset = (unsigned)g_rand_int_range(rand, 0, i % 8 ? 0x180 : 0x4000);
			uint64_t value = g_rand_int(rand) | (uint64_t)g_rand_int(rand) << 32;

			/* Mostly out of reset, and with addresses in RAM now and then. */
			if (i % 50 == 0)
				hda_write(&g, GCTL, 4, 1);
			if (g_rand_int_range(rand, 0, 3) == 0)
				value &= 0x00FFFFFF00FFFFFF;
			if (g_rand_boolean(rand))
				fake_write(g.machine, REGISTERS + offset, size, value);
			else
				fake_read(g.machine, REGISTERS + offset, size);
			if (g_rand_int_range(rand, 0, 10) == 0)
				clock_advance(&g.machine->vm.clock, (uint64_t)g_rand_int_range(rand, 0, 20000000));
		}
		fake_check_state_round_trip(g.device);
		guest_close(&g);
	}
	g_rand_free(rand);
}

static void quiet(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
	(void)domain;
	(void)level;
	(void)message;
	(void)data;
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_handler("oriel", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE, quiet, NULL);
	g_test_add_func("/hda/reset-values", test_reset_values);
	g_test_add_func("/hda/wake-interrupt", test_wake_interrupt);
	g_test_add_func("/hda/wall-clock", test_wall_clock);
	g_test_add_func("/hda/codec", test_codec);
	g_test_add_func("/hda/rings", test_rings);
	g_test_add_func("/hda/response-count", test_response_count);
	g_test_add_func("/hda/bad-rings", test_bad_rings);
	g_test_add_func("/hda/play", test_play);
	g_test_add_func("/hda/positions", test_positions);
	g_test_add_func("/hda/sync", test_sync);
	g_test_add_func("/hda/formats", test_formats);
	g_test_add_func("/hda/volume", test_volume);
	g_test_add_func("/hda/record", test_record);
	g_test_add_func("/hda/drift", test_drift);
	g_test_add_func("/hda/hostile-lists", test_hostile_lists);
	g_test_add_func("/hda/tiny-buffers", test_tiny_buffers);
	g_test_add_func("/hda/late", test_late);
	g_test_add_func("/hda/messages", test_messages);
	g_test_add_func("/hda/reset-while-running", test_reset_while_running);
	g_test_add_func("/hda/state", test_state);
	g_test_add_func("/hda/bad-state", test_bad_state);
	g_test_add_func("/hda/fuzz", test_fuzz);
	return g_test_run();
}
