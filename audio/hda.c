/* The controller's registers, interrupts, and its creation. */
#include "hda_internal.h"

#define BAR_REGISTERS 0
#define BAR_SIZE 0x4000

/* Copies of counters that a user-mode driver may map (sections 3.3.46 and 3.3.47). */
#define ALIASES 0x2000

#define WALL_CLOCK_MHZ 24

struct register_description {
	uint8_t offset, size;
	uint32_t reset, writable, clear_by_one;
};

/* Section 3.3; 4 input and 4 output streams, 64-bit addresses, rings of 256 entries only. */
static const struct register_description registers[] = {
	{ GCAP, 2, HDA_OUTPUTS << 12 | HDA_INPUTS << 8 | 1 },
	{ VMAJ, 1, 1 },
	{ OUTPAY, 2, 0x3C },
	{ INPAY, 2, 0x1D },
	{ GCTL, 4, 0, 0x103 },
	{ WAKEEN, 2, 0, 0x0001 },
	{ STATESTS, 2, 0, 0, 0x0001 },
	{ GSTS, 2, 0, 0, 0x2 },
	{ INTCTL, 4, 0, INTCTL_GIE | INTCTL_CIE | ((1u << HDA_STREAMS) - 1) },
	{ ICH_SSYNC, 4, 0, (1u << HDA_STREAMS) - 1 },
	{ SSYNC, 4, 0, (1u << HDA_STREAMS) - 1 },
	{ CORBLBASE, 4, 0, 0xFFFFFF80 },
	{ CORBUBASE, 4, 0, 0xFFFFFFFF },
	{ CORBWP, 2, 0, 0x00FF },
	{ CORBRP, 2, 0, CORBRP_RST },
	{ CORBCTL, 1, 0, CORBCTL_RUN | CORBCTL_MEIE },
	{ CORBSTS, 1, 0, 0, CORBSTS_MEI },
	{ CORBSIZE, 1, 0x42 },
	{ RIRBLBASE, 4, 0, 0xFFFFFF80 },
	{ RIRBUBASE, 4, 0, 0xFFFFFFFF },
	{ RIRBWP, 2, 0, RIRBWP_RST },
	{ RINTCNT, 2, 0, 0x00FF },
	{ RIRBCTL, 1, 0, RIRBCTL_RINTCTL | RIRBCTL_DMAEN | RIRBCTL_OIC },
	{ RIRBSTS, 1, 0, 0, RIRBSTS_RINTFL | RIRBSTS_OIS },
	{ RIRBSIZE, 1, 0x42 },
	{ ICOI, 4, 0, 0xFFFFFFFF },
	{ ICIS, 2, 0, ICIS_ICB, ICIS_IRV },
	{ DPLBASE, 4, 0, 0xFFFFFF81 },
	{ DPUBASE, 4, 0, 0xFFFFFFFF },
};

/* Of each stream, from SD_BASE + index * SD_SIZE. */
static const struct register_description stream_registers[] = {
	{ SD_CTL, 3, 0x040000, 0xFF001F },
	{ SD_STS, 1, 0, 0, SD_STS_BCIS | SD_STS_FIFOE | SD_STS_DESE },
	{ SD_CBL, 4, 0, 0xFFFFFFFF },
	{ SD_LVI, 2, 0, 0x00FF },
	{ SD_FIFOW, 2, 4, 0x0007 },
	{ SD_FIFOS, 2, 0xBF },
	{ SD_FMT, 2, 0, 0x7F7F },
	{ SD_BDPL, 4, 0, 0xFFFFFF80 },
	{ SD_BDPU, 4, 0, 0xFFFFFFFF },
};

static struct hda *from_device(struct device *device)
{
	return (struct hda *)device;
}

struct device *hda_device(struct hda *hda)
{
	return &hda->pci.device;
}

static const struct register_description *describe(unsigned offset, unsigned *base)
{
	bool stream = offset >= SD_BASE;
	const struct register_description *table = stream ? stream_registers : registers;
	unsigned count = stream ? G_N_ELEMENTS(stream_registers) : G_N_ELEMENTS(registers);

	*base = stream ? offset - (offset - SD_BASE) % SD_SIZE : 0;
	for (unsigned i = 0; i < count; i++)
		if (offset - *base >= table[i].offset && offset - *base < (unsigned)table[i].offset + table[i].size)
			return &table[i];
	return NULL;
}

static void reset_registers(struct hda *hda, unsigned start, unsigned size)
{
	for (unsigned offset = start; offset < start + size; offset++) {
		unsigned base;
		const struct register_description *reg = describe(offset, &base);

		hda->registers[offset] = reg ? (uint8_t)(reg->reset >> (offset - base - reg->offset) * 8) : 0;
	}
}

void hda_sd_reset_registers(struct hda_sd *sd)
{
	reset_registers(sd->hda, SD_BASE + sd->index * SD_SIZE, SD_SIZE);
}

/* Section 3.3.14: status bits of streams whose enables are set, and of the rings. */
static uint32_t interrupt_status(const struct hda *hda)
{
	const uint8_t *r = hda->registers;
	uint32_t status = 0;

	for (unsigned i = 0; i < HDA_STREAMS; i++) {
		const uint8_t *sd = hda->streams[i].registers;

		/* IOCE, FEIE and DEIE stand in the order of BCIS, FIFOE and DESE. */
		if (sd[SD_STS] & sd[SD_CTL] & (SD_STS_BCIS | SD_STS_FIFOE | SD_STS_DESE))
			status |= 1u << i;
	}
	if ((r[RIRBSTS] & RIRBSTS_RINTFL && r[RIRBCTL] & RIRBCTL_RINTCTL) ||
	    (r[RIRBSTS] & RIRBSTS_OIS && r[RIRBCTL] & RIRBCTL_OIC) ||
	    (r[CORBSTS] & CORBSTS_MEI && r[CORBCTL] & CORBCTL_MEIE) ||
	    hda_get16(hda, STATESTS) & hda_get16(hda, WAKEEN))
		status |= INTCTL_CIE;
	return status;
}

/* A message goes out for every source that rises: a driver that leaves one of two pending would hear no more of it. */
void hda_update_interrupt(struct hda *hda)
{
	uint32_t control = hda_get32(hda, INTCTL), status = interrupt_status(hda), enabled = status & control;
	uint32_t risen;

	pci_set32(hda->registers + INTSTS, status | (enabled ? INTCTL_GIE : 0));
	if (!(control & INTCTL_GIE))
		enabled = 0;
	risen = enabled & ~hda->raised;
	hda->raised = enabled;
	pci_set_intx(&hda->pci, enabled);
	if (risen)
		pci_msi_notify(&hda->pci);
}

static uint32_t wall_clock(const struct hda *hda)
{
	uint64_t elapsed = clock_now(&hda->pci.device.vm->clock) - hda->wall_base;

	return (uint32_t)muldiv64(elapsed, WALL_CLOCK_MHZ, 1000);
}

/* All of the controller but what section 3.3.7 keeps: which codec woke up, and whether that interrupts. */
static void controller_reset(struct hda *hda)
{
	uint8_t kept[4];

	memcpy(kept, hda->registers + WAKEEN, sizeof kept);
	reset_registers(hda, 0, HDA_REGISTERS);
	memcpy(hda->registers + WAKEEN, kept, sizeof kept);
	hda->responses = 0;
	hda->wall_base = clock_now(&hda->pci.device.vm->clock);
	hda_codec_reset(&hda->codec);
	hda_streams_reset(hda);
}

static void gctl_written(struct hda *hda, const uint8_t *before)
{
	uint32_t now = hda_get32(hda, GCTL), was = pci_get32(before + GCTL);

	/* FCNTRL: there is nothing to flush, which is over at once (section 3.3.9). */
	if (now & 2) {
		pci_set32(hda->registers + GCTL, now & ~2u);
		pci_set16(hda->registers + GSTS, 2);
	}
	if (!(now & GCTL_CRST))
		controller_reset(hda);
	else if (!(was & GCTL_CRST))
		hda->registers[STATESTS] |= 1; /* the codec at address 0 asks for attention (section 4.3) */
}

static void ssync_written(struct hda *hda, const uint8_t *before)
{
	/* ICH9 has it at 34h, the specification at 38h. */
	unsigned changed = hda_get32(hda, SSYNC) != pci_get32(before + SSYNC) ? SSYNC : ICH_SSYNC;
	uint32_t value = hda_get32(hda, changed);

	hda_streams_run(hda);
	pci_set32(hda->registers + SSYNC, value);
	pci_set32(hda->registers + ICH_SSYNC, value);
	hda_streams_changed(hda);
}

static void corbrp_written(struct hda *hda, const uint8_t *before)
{
	(void)before;
	if (hda_get16(hda, CORBRP) & CORBRP_RST)
		hda->registers[CORBRP] = 0;
}

static void rirbwp_written(struct hda *hda, const uint8_t *before)
{
	(void)before;
	if (hda_get16(hda, RIRBWP) & RIRBWP_RST) {
		pci_set16(hda->registers + RIRBWP, 0);
		hda->responses = 0;
	}
}

static void corb_written(struct hda *hda, const uint8_t *before)
{
	(void)before;
	hda_corb_run(hda);
}

static void icis_written(struct hda *hda, const uint8_t *before)
{
	(void)before;
	if (hda->registers[ICIS] & ICIS_ICB)
		hda_immediate_command(hda);
}

static const struct {
	uint8_t offset, size;
	void (*written)(struct hda *hda, const uint8_t *before);
} hooks[] = {
	{ GCTL, 4, gctl_written },
	{ ICH_SSYNC, 8, ssync_written },
	{ CORBRP, 2, corbrp_written },
	{ RIRBWP, 2, rirbwp_written },
	/* Whatever may let waiting commands go on */
	{ CORBWP, 2, corb_written },
	{ CORBCTL, 1, corb_written },
	{ RIRBCTL, 1, corb_written },
	{ ICIS, 2, icis_written },
};

static bool overlaps(unsigned a, unsigned a_size, unsigned b, unsigned b_size)
{
	return a < b + b_size && b < a + a_size;
}

static void call_hooks(struct hda *hda, unsigned offset, unsigned size, const uint8_t *before)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(hooks); i++)
		if (overlaps(offset, size, hooks[i].offset, hooks[i].size))
			hooks[i].written(hda, before);
	for (unsigned i = 0; i < HDA_STREAMS; i++) {
		unsigned base = SD_BASE + i * SD_SIZE, start = MAX(offset, base);

		if (overlaps(offset, size, base, SD_SIZE))
			hda_sd_written(&hda->streams[i], start - base);
	}
}

static void write_byte(struct hda *hda, unsigned offset, uint8_t value)
{
	unsigned base;
	const struct register_description *reg = describe(offset, &base);
	uint8_t *byte = &hda->registers[offset];
	unsigned shift;

	if (!reg)
		return;
	shift = (offset - base - reg->offset) * 8;
	*byte = (uint8_t)((*byte & ~(reg->writable >> shift)) | (value & reg->writable >> shift));
	*byte &= (uint8_t)~(value & reg->clear_by_one >> shift);
}

static void registers_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct hda *hda = device;
	uint8_t before[HDA_REGISTERS];

	if (offset >= HDA_REGISTERS)
		return;
	size = (unsigned)MIN(size, HDA_REGISTERS - offset);
	/* Section 4.2.1: in reset, only the way out of it works. */
	if (!(hda_get32(hda, GCTL) & GCTL_CRST) && !overlaps((unsigned)offset, size, GCTL, 4))
		return;
	memcpy(before, hda->registers, sizeof before);
	for (unsigned i = 0; i < size; i++)
		write_byte(hda, (unsigned)offset + i, (uint8_t)(value >> i * 8));
	call_hooks(hda, (unsigned)offset, size, before);
	hda_update_interrupt(hda);
}

/* Where an alias leads, or the offset itself. */
static uint64_t resolve_alias(uint64_t offset)
{
	uint64_t original = offset - ALIASES;

	if (offset < ALIASES)
		return offset;
	if (original - WALCLK < 4)
		return original;
	if (original >= SD_BASE && original < HDA_REGISTERS && (original - SD_BASE) % SD_SIZE - SD_LPIB < 4)
		return original;
	return BAR_SIZE;
}

static uint64_t registers_read(void *device, uint64_t offset, unsigned size)
{
	struct hda *hda = device;
	uint64_t value = 0;

	offset = resolve_alias(offset);
	if (offset >= HDA_REGISTERS)
		return 0;
	if (overlaps((unsigned)offset, size, WALCLK, 4))
		pci_set32(hda->registers + WALCLK, wall_clock(hda));
	if (offset + size > SD_BASE) {
		unsigned within = (unsigned)(offset - SD_BASE) % SD_SIZE;

		/* A driver that reads the position or the status is told how things are right now. */
		if (offset < SD_BASE || within < SD_CBL) {
			hda_streams_run(hda);
			hda_update_interrupt(hda);
		}
	}
	for (unsigned i = 0; i < size && offset + i < HDA_REGISTERS; i++)
		value |= (uint64_t)hda->registers[offset + i] << i * 8;
	return value;
}

static const struct bus_ops registers_ops = { registers_read, registers_write };

/* --- The device --- */

static void hda_reset(struct device *device)
{
	struct hda *hda = from_device(device);

	pci_device_reset(&hda->pci);
	memset(hda->registers, 0, sizeof hda->registers);
	controller_reset(hda);
	hda->raised = 0;
}

/* A file may not set what a guest cannot: bits that are neither writable nor a status keep their value. */
static void take_registers(struct hda *hda, struct state *state)
{
	uint8_t loaded[HDA_REGISTERS];

	memcpy(loaded, hda->registers, sizeof loaded);
	state_bytes(state, "registers", loaded, sizeof loaded);
	if (!state_loading(state))
		return;
	for (unsigned offset = 0; offset < HDA_REGISTERS; offset++) {
		unsigned base;
		const struct register_description *reg = describe(offset, &base);
		unsigned shift = reg ? (offset - base - reg->offset) * 8 : 0;
		uint8_t free = reg ? (uint8_t)((reg->writable | reg->clear_by_one) >> shift) : 0;

		hda->registers[offset] = (uint8_t)((hda->registers[offset] & ~free) | (loaded[offset] & free));
	}
	/* Read-only for the guest, and what the device itself counts. */
	hda->registers[CORBRP] = loaded[CORBRP];
	hda->registers[RIRBWP] = loaded[RIRBWP];
	memcpy(hda->registers + ICII, loaded + ICII, 4);
	for (unsigned i = 0; i < HDA_STREAMS; i++)
		memcpy(hda->streams[i].registers + SD_LPIB, loaded + SD_BASE + i * SD_SIZE + SD_LPIB, 4);
}

static void hda_state(struct device *device, struct state *state)
{
	struct hda *hda = from_device(device);
	uint64_t now = clock_now(&device->vm->clock), wall = now - hda->wall_base;

	if (state_loading(state)) {
		memset(hda->registers, 0, sizeof hda->registers);
		controller_reset(hda);
	} else {
		hda_streams_run(hda);
		hda_update_interrupt(hda);
		pci_set32(hda->registers + WALCLK, wall_clock(hda));
	}
	pci_device_state(&hda->pci, state);
	take_registers(hda, state);
	state_u32(state, "responses", &hda->responses);
	state_u64(state, "wall_clock", &wall);
	hda->wall_base = now - wall;
	hda_codec_state(&hda->codec, state);
	hda_streams_state(hda, state);
	if (!state_loading(state))
		return;
	hda->responses &= 0xFF;
	pci_set32(hda->registers + WALCLK, wall_clock(hda));
	hda_streams_changed(hda);
	/* The line is high already if it was; a message has been sent if there was one. */
	hda->raised = hda_get32(hda, INTCTL) & INTCTL_GIE ? interrupt_status(hda) & hda_get32(hda, INTCTL) : 0;
	hda_update_interrupt(hda);
}

static void hda_destroy(struct device *device)
{
	struct hda *hda = from_device(device);

	timer_cancel(&hda->timer);
	hda_streams_stop(hda);
	hda->backend->ops->destroy(hda->backend);
	pci_unplug(&hda->pci);
	g_free(hda);
}

static const struct device_ops hda_ops = {
	.name = "hda",
	.reset = hda_reset,
	.state = hda_state,
	.destroy = hda_destroy,
};

/* Without bus mastering everything stands still. */
static void config_written(struct pci_device *device, unsigned offset, unsigned size)
{
	struct hda *hda = from_device(&device->device);

	(void)size;
	if (offset > PCI_COMMAND + 1)
		return;
	hda_corb_run(hda);
	hda_streams_changed(hda);
	hda_update_interrupt(hda);
}

static void codec_changed(void *opaque)
{
	hda_lines_changed(opaque);
}

void hda_set_microphone(struct hda *hda, bool allowed)
{
	hda->microphone = allowed;
	hda_lines_changed(hda);
}

void hda_set_volume(struct hda *hda, unsigned percent, bool muted)
{
	if (hda->backend->ops->set_volume)
		hda->backend->ops->set_volume(hda->backend, percent, muted);
}

const struct audio_counters *hda_counters(const struct hda *hda, bool input)
{
	return &hda->lines[input].stream.counters;
}

struct hda *hda_new(struct vm *vm, struct pci_bus *bus, const struct hda_options *options)
{
	static const struct pci_identity identity = {
		.vendor = 0x8086, .device = 0x293E, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100,
		.revision = 3, .class_code = 0x040300, .interrupt_pin = 1,
	};
	struct hda *hda = g_new0(struct hda, 1);

	pci_device_init(&hda->pci, &identity);
	hda->pci.device.ops = &hda_ops;
	hda->pci.device.vm = vm;
	hda->pci.config_written = config_written;
	hda->pci.config[0x40] = 1; /* HDCTL of ICH9: the pins are those of High Definition Audio */
	hda->pci.capabilities_end = 0x60;
	hda->backend = options->backend;
	hda->microphone = options->microphone;
	hda->codec.changed = codec_changed;
	hda->codec.opaque = hda;
	pci_bar_registers(&hda->pci, BAR_REGISTERS, PCI_BAR_MEMORY64, BAR_SIZE, &registers_ops, hda, "hda");
	pci_add_msi(&hda->pci);
	hda_streams_init(hda);
	pci_plug(bus, &hda->pci, PCI_DEVFN(27, 0));
	controller_reset(hda);
	return hda;
}
