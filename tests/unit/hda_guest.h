/*
 * A guest's sound driver for the tests: one controller at 00:1b.0, structures in fake RAM, and a backend that keeps
 * what is played and gives what is to be recorded.
 */
#pragma once

#include <string.h>

#include "../../audio/backend.h"
#include "../../audio/hda.h"
#include "../../vmm/pci/pci.h"
#include "fake_machine.h"

#define REGISTERS 0xFEB00000u
#define GUEST_RAM (16u << 20)
#define CORB 0x100000u
#define RIRB 0x101000u
#define POSITIONS 0x102000u
#define BDL 0x103000u
#define BUFFER 0x200000u
#define MSI_ADDRESS 0xFEE00000u
#define MSI_DATA 0x41u

enum { GCAP = 0x00, GCTL = 0x08, WAKEEN = 0x0C, STATESTS = 0x0E, INTCTL = 0x20, INTSTS = 0x24, WALCLK = 0x30,
       SSYNC = 0x38, CORBLBASE = 0x40, CORBUBASE = 0x44, CORBWP = 0x48, CORBRP = 0x4A, CORBCTL = 0x4C, CORBSTS = 0x4D,
       CORBSIZE = 0x4E, RIRBLBASE = 0x50, RIRBUBASE = 0x54, RIRBWP = 0x58, RINTCNT = 0x5A, RIRBCTL = 0x5C,
       RIRBSTS = 0x5D, ICOI = 0x60, ICII = 0x64, ICIS = 0x68, DPLBASE = 0x70, DPUBASE = 0x74 };
enum { CTL = 0x00, STS = 0x03, LPIB = 0x04, CBL = 0x08, LVI = 0x0C, FMT = 0x12, BDPL = 0x18, BDPU = 0x1C };
enum { SRST = 1, RUN = 2, IOCE = 4, FEIE = 8, DEIE = 16 };
enum { BCIS = 4, DESE = 16, FIFORDY = 32 };

#define INPUT 0u  /* the first input and the first output stream */
#define OUTPUT 4u
#define TAG 5u
#define FORMAT_48K_STEREO_16 0x0011u

struct test_backend {
	struct audio_backend backend;
	struct audio_stream *streams[2];
	GByteArray *played;
	unsigned starts, stops, moves;
	int64_t excess;
	int32_t next; /* what is recorded counts up from here */
};

struct hda_guest {
	struct fake_machine *machine;
	struct pci_bus bus;
	struct hda *hda;
	struct device *device;
	struct pci_device *pci;
	struct test_backend *backend;
	bool pirq[8];
	unsigned pirq_rises;
	uint8_t corb_written;
};

static inline void test_backend_start(struct audio_backend *backend, struct audio_stream *stream)
{
	struct test_backend *b = (struct test_backend *)backend;

	g_assert_null(stream->host);
	stream->host = b;
	b->streams[stream->input] = stream;
	b->starts++;
}

static inline int64_t test_backend_moved(struct audio_backend *backend, struct audio_stream *stream)
{
	struct test_backend *b = (struct test_backend *)backend;
	uint32_t count = audio_stream_fill(stream);

	g_assert_true(stream->host == b);
	b->moves++;
	if (stream->input) {
		while (audio_stream_fill(stream) < stream->format.rate / 50) {
			int16_t frame[2] = { (int16_t)b->next, (int16_t)-b->next };

			audio_stream_write(stream, frame, 1);
			b->next++;
		}
	} else {
		guint before = b->played->len;

		g_byte_array_set_size(b->played, before + count * stream->frame_size);
		audio_stream_read(stream, b->played->data + before, count);
	}
	return b->excess;
}

static inline void test_backend_stop(struct audio_backend *backend, struct audio_stream *stream)
{
	struct test_backend *b = (struct test_backend *)backend;

	if (!stream->input)
		test_backend_moved(backend, stream);
	stream->host = NULL;
	b->streams[stream->input] = NULL;
	b->stops++;
}

static inline void test_backend_destroy(struct audio_backend *backend)
{
	struct test_backend *b = (struct test_backend *)backend;

	g_assert_null(b->streams[0]);
	g_assert_null(b->streams[1]);
	g_byte_array_unref(b->played);
	g_free(b);
}

static const struct audio_backend_ops test_backend_ops = {
	.start = test_backend_start,
	.stop = test_backend_stop,
	.moved = test_backend_moved,
	.destroy = test_backend_destroy,
};

static inline void guest_set_pirq(void *opaque, unsigned pirq, bool level)
{
	struct hda_guest *g = opaque;

	g->pirq_rises += level && !g->pirq[pirq];
	g->pirq[pirq] = level;
}

static inline uint32_t hda_read(struct hda_guest *g, unsigned offset, unsigned size)
{
	return (uint32_t)fake_read(g->machine, REGISTERS + offset, size);
}

static inline void hda_write(struct hda_guest *g, unsigned offset, unsigned size, uint32_t value)
{
	fake_write(g->machine, REGISTERS + offset, size, value);
}

static inline unsigned sd(unsigned stream, unsigned offset)
{
	return 0x80 + stream * 0x20 + offset;
}

static inline uint8_t *ram(struct hda_guest *g, uint64_t address)
{
	return g->machine->vm.memory.ram + address;
}

/* Time passes, also 0 for what the I/O thread does at once. */
static inline void wait_ms(struct hda_guest *g, unsigned milliseconds)
{
	clock_advance(&g->machine->vm.clock, milliseconds * 1000000ull);
}

static inline void guest_open_with(struct hda_guest *g, struct audio_backend *backend, bool microphone)
{
	struct hda_options options = { .backend = backend, .microphone = microphone };

	g->machine = fake_machine_new(GUEST_RAM);
	pci_bus_init(&g->bus, &g->machine->vm);
	g->bus.set_pirq = guest_set_pirq;
	g->bus.set_pirq_opaque = g;
	g->hda = hda_new(&g->machine->vm, &g->bus, &options);
	g->device = hda_device(g->hda);
	g->pci = (struct pci_device *)g->device;
}

static inline void guest_map(struct hda_guest *g)
{
	pci_config_write(g->pci, PCI_BASE_ADDRESS_0, 4, REGISTERS);
	pci_config_write(g->pci, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	hda_write(g, GCTL, 4, 1);
}

static inline void guest_open(struct hda_guest *g)
{
	memset(g, 0, sizeof *g);
	g->backend = g_new0(struct test_backend, 1);
	g->backend->backend.ops = &test_backend_ops;
	g->backend->played = g_byte_array_new();
	guest_open_with(g, &g->backend->backend, true);
	guest_map(g);
}

static inline void guest_close(struct hda_guest *g)
{
	g->device->ops->destroy(g->device);
	pci_bus_finish(&g->bus);
	fake_machine_free(g->machine);
}

static inline void enable_msi(struct hda_guest *g)
{
	unsigned msi = g->pci->msi;

	pci_config_write(g->pci, msi + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS);
	pci_config_write(g->pci, msi + PCI_MSI_DATA_64, 2, MSI_DATA);
	pci_config_write(g->pci, msi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
}

/* A command by the immediate registers. */
static inline uint32_t verb(struct hda_guest *g, unsigned nid, uint32_t payload)
{
	hda_write(g, ICOI, 4, nid << 20 | payload);
	hda_write(g, ICIS, 2, 3);
	g_assert_cmphex(hda_read(g, ICIS, 2), ==, 2);
	return hda_read(g, ICII, 4);
}

static inline void start_rings(struct hda_guest *g)
{
	hda_write(g, CORBLBASE, 4, CORB);
	hda_write(g, RIRBLBASE, 4, RIRB);
	hda_write(g, RIRBWP, 2, 0x8000);
	hda_write(g, RINTCNT, 2, 0);
	hda_write(g, CORBCTL, 1, 2);
	hda_write(g, RIRBCTL, 1, 3);
	g->corb_written = 0;
}

static inline void queue_command(struct hda_guest *g, uint32_t command)
{
	pci_set32(ram(g, CORB + ++g->corb_written * 4u), command);
}

static inline void set_descriptor(struct hda_guest *g, unsigned index, uint64_t address, uint32_t length, uint32_t flags)
{
	uint8_t *entry = ram(g, BDL + index * 16);

	pci_set32(entry, (uint32_t)address);
	pci_set32(entry + 4, (uint32_t)(address >> 32));
	pci_set32(entry + 8, length);
	pci_set32(entry + 12, flags);
}

/* Buffers of so many bytes one after the other, each with an interrupt, on a stream that is ready to run. */
static inline void prepare(struct hda_guest *g, unsigned stream, unsigned buffers, uint32_t bytes, uint16_t format)
{
	for (unsigned i = 0; i < buffers; i++)
		set_descriptor(g, i, BUFFER + i * bytes, bytes, 1);
	hda_write(g, sd(stream, CTL), 1, SRST);
	hda_write(g, sd(stream, CTL), 1, 0);
	hda_write(g, sd(stream, BDPL), 4, BDL);
	hda_write(g, sd(stream, BDPU), 4, 0);
	hda_write(g, sd(stream, CBL), 4, buffers * bytes);
	hda_write(g, sd(stream, LVI), 2, buffers - 1);
	hda_write(g, sd(stream, FMT), 2, format);
	hda_write(g, sd(stream, CTL) + 2, 1, TAG << 4);
	verb(g, stream >= OUTPUT ? 2 : 4, 0x706 << 8 | TAG << 4);
	verb(g, stream >= OUTPUT ? 2 : 4, 0x2u << 16 | format);
	hda_write(g, INTCTL, 4, 1u << 31 | 1u << 30 | 0xFF);
}

static inline void run(struct hda_guest *g, unsigned stream)
{
	hda_write(g, sd(stream, CTL), 1, RUN | IOCE | FEIE | DEIE);
	wait_ms(g, 0);
}
