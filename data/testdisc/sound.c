/*
 * A tone from the first HDA controller, straight from a buffer that the controller plays again and again until the time
 * is over: 48 kHz, 16 bits, stereo. (Intel High Definition Audio Specification 1.0a, sections 3.3 and 7.3.)
 */
#include "machine.h"

#define BDL 0x1400000ull
#define BUFFER 0x1401000ull
#define RATE 48000u
#define PERIODS 64u
#define PERIOD_FRAMES 480u /* 10 ms */
#define FRAMES (PERIODS * PERIOD_FRAMES)
#define TAG 1u

#define GCAP 0x00
#define GCTL 0x08
#define WAKEEN 0x0C /* STATESTS is the upper half of its dword */
#define INTCTL 0x20
#define ICOI 0x60
#define ICII 0x64
#define ICIS 0x68
#define SD_CTL 0x00
#define SD_STS 0x03
#define SD_LPIB 0x04
#define SD_CBL 0x08
#define SD_LVI 0x0C
#define SD_FMT 0x12
#define SD_BDPL 0x18
#define SD_BDPU 0x1C

#define SD_RUN 0x02
#define SD_IOCE 0x04
#define SD_BCIS 0x04 /* of SD_STS */

static uintptr_t registers, stream;

static void store16(uintptr_t address, uint16_t value)
{
	*(volatile uint16_t *)address = value;
}

static void store8(uintptr_t address, uint8_t value)
{
	*(volatile uint8_t *)address = value;
}

static uint32_t command(uint32_t node, uint32_t verb)
{
	store(registers + ICOI, node << 20 | verb);
	store16(registers + ICIS, 3);
	for (unsigned i = 0; i < 10000 && (load(registers + ICIS) & 3) != 2; i++)
		;
	return load(registers + ICII);
}

/* The first converter and pin of this kind (section 7.3.4.6) among the nodes of the function group. */
static uint32_t find_widget(uint32_t type, uint32_t pin_capability)
{
	uint32_t nodes = command(1, 0xF0004), node = nodes >> 16;

	for (uint32_t end = node + (nodes & 0xFF); node < end; node++)
		if ((command(node, 0xF0009) >> 20 & 0xF) == type &&
		    (!pin_capability || command(node, 0xF000C) & pin_capability))
			return node;
	return 0;
}

static bool start_controller(void)
{
	uint32_t address = pci_find_class(0x0403), converter, pin;

	if (address == PCI_NONE)
		return false;
	pci_write(address, 0x04, (pci_read(address, 0x04) & 0xFFFF) | 0x6);
	pci_enable_message(address, 0);
	registers = pci_read(address, 0x10) & ~0xFu;
	store(registers + GCTL, 0);
	store(registers + GCTL, 1);
	for (unsigned i = 0; i < 10000 && !(load(registers + WAKEEN) >> 16); i++)
		;
	stream = registers + 0x80 + 0x20 * (load(registers + GCAP) >> 8 & 0xF);
	converter = find_widget(0, 0);
	pin = find_widget(4, 1u << 4);
	if (!converter || !pin)
		return false;
	command(1, 0x70500);
	command(converter, 0x70500);
	command(converter, 0x20011);
	command(converter, 0x70600 | TAG << 4);
	command(converter, 0x3B000 | (command(converter, 0xF0012) & 0x7F));
	command(pin, 0x70740);
	return true;
}

/* Bhaskara's approximation of a sine, good to 0.2 %: turn in 1/65536 of a circle. */
static int32_t sine(uint32_t turn, int32_t amplitude)
{
	int64_t x = turn & 0x7FFF, product = x * (0x8000 - x);
	int64_t value = amplitude * 16 * product / (5ll * 0x8000 * 0x8000 - 4 * product);

	return (int32_t)(turn & 0x8000 ? -value : value);
}

/* Whole waves fit into the buffer, so that it can be played around. */
static void fill(uint32_t hertz)
{
	int16_t *samples = (int16_t *)BUFFER;
	uint64_t waves = (uint64_t)hertz * FRAMES / RATE;

	for (uint32_t i = 0; i < FRAMES; i++)
		samples[i * 2] = samples[i * 2 + 1] = (int16_t)sine((uint32_t)(waves * i * 65536 / FRAMES), 16384);
}

static void prepare_stream(void)
{
	uint32_t *list = (uint32_t *)BDL;

	for (uint32_t i = 0; i < PERIODS; i++) {
		list[i * 4] = (uint32_t)BUFFER + i * PERIOD_FRAMES * 4;
		list[i * 4 + 1] = 0;
		list[i * 4 + 2] = PERIOD_FRAMES * 4;
		list[i * 4 + 3] = 1;
	}
	store8(stream + SD_CTL, 1);
	store8(stream + SD_CTL, 0);
	store(stream + SD_BDPL, (uint32_t)BDL);
	store(stream + SD_BDPU, 0);
	store(stream + SD_CBL, FRAMES * 4);
	store16(stream + SD_LVI, PERIODS - 1);
	store16(stream + SD_FMT, 0x0011);
	store8(stream + SD_CTL + 2, TAG << 4);
}

static void tell_of_periods(void)
{
	store(registers + INTCTL, 1u << 31 | 1u << (load(registers + GCAP) >> 8 & 0xF));
	store8(stream + SD_CTL, SD_RUN | SD_IOCE);
}

/* Sleeps until a period is over or the clock ticks, each twentieth of a second. */
static void wait_period(void)
{
	idle();
	pending = 0;
	if (*(volatile uint8_t *)(stream + SD_STS) & SD_BCIS)
		store8(stream + SD_STS, SD_BCIS);
}

uint64_t sound_tone(uint32_t hertz, uint32_t milliseconds)
{
	uint8_t mask = inb(0x21);
	uint64_t played = 0;
	uint32_t last = 0, start = ticks;

	if (!start_controller())
		return 0;
	fill(hertz);
	prepare_stream();
	outb(0x21, mask & 0xFE);
	while (start == ticks)
		wait_period();
	start = ticks;
	tell_of_periods();
	while (ticks - start < milliseconds / 50) {
		uint32_t now;

		wait_period();
		now = load(stream + SD_LPIB);
		played += (now + FRAMES * 4 - last) % (FRAMES * 4);
		last = now;
	}
	store8(stream + SD_CTL, 0);
	outb(0x21, mask);
	return played / 4;
}

bool sound_attend(void)
{
	return start_controller();
}
