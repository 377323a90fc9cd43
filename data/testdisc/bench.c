/*
 * Commands over the serial port, for tests and benchmarks; each answers with one line.
 *
 *   ping                                  pong
 *   pio COUNT | mmio COUNT                cycles of so many reads of a register (PM timer; AHCI's CAP)
 *   disk read|write sequential|random BLOCK DEPTH TOTAL    cycles
 *   nvme read|write ...                   the same on an NVMe disk
 *   usb read|write ... BLOCK 1 TOTAL      the same on a stick
 *   tcp up|down|ask|echo PORT COUNT       cycles (see network_run() in machine.h)
 *   attend                                drivers of tablet, network and sound are started: how many
 *   check SECTOR COUNT                    writes, reads back and compares
 *   nvme-check SECTOR COUNT               the same on an NVMe disk
 *   high SECTOR COUNT                     the same by way of memory above 4 GiB; writes twice as many sectors
 *   flush                                 the disk's cache is written back
 *   storm FIRST                           bursts of writes and trims from this number on; one line for each flush
 *   memory                                bytes of RAM
 *   animate WIDTH HEIGHT FRAMES           cycles; every pixel of each frame changes
 *   tone HERTZ MILLISECONDS               frames played (of 48000 a second)
 *   blink                                 from now on any key turns the whole screen to another colour
 *   halt                                  the clock's interrupt is switched off: nothing happens until a key
 *   demo                                  the first screen again
 *   cf9 | keyboard | port92 | triple      starts anew; answers with the next start's line
 *   off | crash                           power off; an instruction that no KVM can run
 */
#include "machine.h"

#define PM_TIMER 0x608

static void answer(const char *what, uint64_t cycles)
{
	char text[64], *end = text_copy(text, what);

	*end++ = ' ';
	end = text_number(end, cycles);
	text_copy(end, "\n");
	serial_write(text);
}

static uint64_t time_pio(uint64_t count)
{
	uint64_t start = tsc();

	while (count--)
		inl(PM_TIMER);
	return tsc() - start;
}

static uint64_t time_mmio(uint64_t count)
{
	uint32_t ahci = pci_find_class(0x0106);
	volatile uint32_t *capabilities;
	uint64_t start;

	if (ahci == PCI_NONE)
		return 0;
	capabilities = (volatile uint32_t *)(uintptr_t)(pci_read(ahci, 0x24) & ~0xFu);
	start = tsc();
	while (count--)
		(void)*capabilities;
	return tsc() - start;
}

static uint64_t run_disk(const char *text, uint64_t (*run)(const struct disk_job *job))
{
	struct disk_job job = { 0 };

	job.write = text_starts(text, "write ");
	text += job.write ? 6 : 5;
	job.random = text_starts(text, "random ");
	text += job.random ? 7 : 11;
	job.block_size = (uint32_t)text_parse(&text);
	job.depth = (uint32_t)text_parse(&text);
	job.total = text_parse(&text);
	return run(&job);
}

/* The frame's number is the colour of its first pixels, so that an observer can count frames; bars move below. */
static uint64_t animate(unsigned width, unsigned height, uint64_t frames)
{
	uint64_t start;

	if (!screen_set_mode(width, height))
		return 0;
	start = tsc();
	for (uint64_t frame = 1; frame <= frames; frame++) {
		uint32_t colour = (uint32_t)frame * 0x010305 & 0xFFFFFF;

		for (unsigned band = 0; band < 16; band++) {
			int top = (int)(height * band / 16), bottom = (int)(height * (band + 1) / 16);

			screen_fill(0, top, (int)width, bottom - top, (colour + band * 0x0A0F14) & 0xFFFFFF);
		}
		screen_fill(0, 0, 64, 64, (uint32_t)frame & 0xFFFFFF);
	}
	return tsc() - start;
}

static void run_animate(const char *text)
{
	unsigned width = (unsigned)text_parse(&text), height = (unsigned)text_parse(&text);

	ticking = false;
	answer("animate", animate(width, height, text_parse(&text)));
}

static void stop_clock(void)
{
	ticking = false;
	outb(0x21, inb(0x21) | 1);
}

static void run_pio(const char *text)
{
	answer("pio", time_pio(text_parse(&text)));
}

static void run_mmio(const char *text)
{
	answer("mmio", time_mmio(text_parse(&text)));
}

static void run_disk_job(const char *text)
{
	answer("disk", run_disk(text, disk_run));
}

static void run_nvme_job(const char *text)
{
	answer("nvme", run_disk(text, nvme_run));
}

static void run_usb_job(const char *text)
{
	answer("usb", run_disk(text, usb_run));
}

static void run_tcp(const char *text)
{
	static const char *const names[] = { "up", "down", "ask", "echo" };
	uint64_t cycles = 0;

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (text_word(&text, names[i])) {
			uint16_t port = (uint16_t)text_parse(&text);

			cycles = network_run(port, names[i], text_parse(&text));
			break;
		}
	}
	answer("tcp", cycles);
}

static void run_attend(const char *text)
{
	(void)text;
	answer("attend", (uint64_t)usb_attend() + network_attend() + sound_attend());
}

static void run_check(const char *text)
{
	uint64_t sector = text_parse(&text);

	serial_write(disk_check(sector, (uint32_t)text_parse(&text)) ? "check good\n" : "check bad\n");
}

static void run_nvme_check(const char *text)
{
	uint64_t sector = text_parse(&text);

	serial_write(nvme_check(sector, (uint32_t)text_parse(&text)) ? "nvme-check good\n" : "nvme-check bad\n");
}

static void run_high(const char *text)
{
	uint64_t sector = text_parse(&text);

	serial_write(disk_check_high(sector, (uint32_t)text_parse(&text)) ? "high good\n" : "high bad\n");
}

static void run_flush(const char *text)
{
	(void)text;
	serial_write(disk_flush() ? "flush good\n" : "flush bad\n");
}

static void run_storm(const char *text)
{
	storm_run(text_parse(&text));
}

static void run_memory(const char *text)
{
	(void)text;
	answer("memory", ram_bytes);
}

static void run_ping(const char *text)
{
	(void)text;
	serial_write("pong\n");
}

static void run_blink(const char *text)
{
	(void)text;
	stop_clock();
	blinking = true;
	serial_write("blink\n");
}

static void run_halt(const char *text)
{
	(void)text;
	stop_clock();
	serial_write("halt\n");
}

static void run_demo(const char *text)
{
	(void)text;
	blinking = false;
	screen_set_mode(1024, 768);
	interface_draw();
	outb(0x21, inb(0x21) & 0xFE);
	ticking = true;
	serial_write("demo\n");
}

static void run_tone(const char *text)
{
	uint32_t hertz = (uint32_t)text_parse(&text);

	answer("tone", sound_tone(hertz, (uint32_t)text_parse(&text)));
}

static const struct {
	const char *name;
	void (*run)(const char *arguments);
} commands[] = {
	{ "ping", run_ping }, { "pio", run_pio }, { "mmio", run_mmio }, { "disk", run_disk_job },
	{ "check", run_check }, { "high", run_high }, { "flush", run_flush }, { "memory", run_memory },
	{ "animate", run_animate }, { "tone", run_tone }, { "blink", run_blink }, { "halt", run_halt },
	{ "usb", run_usb_job }, { "tcp", run_tcp }, { "attend", run_attend }, { "demo", run_demo }, { "storm", run_storm }, { "nvme", run_nvme_job }, { "nvme-check", run_nvme_check },
};

void bench_command(const char *line)
{
	for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		const char *rest = line;

		if (text_word(&rest, commands[i].name)) {
			commands[i].run(rest);
			return;
		}
	}
	if (!way_out(line))
		serial_write("unknown\n");
}
