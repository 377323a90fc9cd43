/*
 * Stream descriptors: sound between the guest's buffers and the codec's converters (sections 3.3.35 ff., 3.6, 4.5).
 *
 * One timer of the guest's clock moves what every running stream owes, in periods short enough for the latency, and
 * as soon as a buffer is complete. Thus positions and interrupts are even whatever the host's server does, a guest
 * that is paused is silent, and everything that talks to the backend happens on the I/O thread: a vCPU that starts
 * or stops a stream lets the timer fire at once.
 */
#include "hda_internal.h"

#define PERIOD (5 * NSEC_PER_SEC / 1000)
/* Completions of buffers that are shorter than this are told together. */
#define PERIOD_MIN (NSEC_PER_SEC / 1000)
/* Of what is overdue, only so much is made up for: the guest had no chance to fill more. */
#define CATCH_UP_PER_SECOND 20
/* Input: recorded before the guest hears the first of it. */
#define PRIME_PER_SECOND 100

#define DESCRIPTOR_SIZE 16
#define DESCRIPTOR_IOC 1u
#define DESCRIPTORS_MAX 256

#define CHUNK 4096
#define CHANNELS_MAX 16

static void parse_format(struct hda_format *format, uint16_t value)
{
	static const uint8_t sample_sizes[8] = { 1, 2, 4, 4, 4, 4, 4, 4 };
	unsigned multiple = (value >> 11 & 7) + 1, divisor = (value >> 8 & 7) + 1, bits = value >> 4 & 7;
	uint32_t base = value & 0x4000 ? 44100 : 48000;

	format->rate = base * multiple / divisor;
	format->channels = (value & 0xF) + 1u;
	format->sample_size = sample_sizes[bits];
	/* As the codec's PCM parameter says. */
	format->playable = multiple <= 4 && bits >= 1 && bits <= 4 && format->rate <= 192000 && format->rate >= 8000;
}

static bool is_input(const struct hda_sd *sd)
{
	return sd->index < HDA_INPUTS;
}

static uint64_t now_of(const struct hda *hda)
{
	return clock_now(&hda->pci.device.vm->clock);
}

/* --- The guest's buffers --- */

/* Section 3.3.38: a stream that cannot go on stops and says so. */
static bool descriptor_error(struct hda_sd *sd, const char *what, uint64_t address)
{
	log_guest_error(&sd->hda->log, "hda", "stream %u: %s at 0x%" G_GINT64_MODIFIER "x", sd->index, what, address);
	sd->registers[SD_STS] = (uint8_t)((sd->registers[SD_STS] | SD_STS_DESE) & ~SD_STS_FIFORDY);
	sd->registers[SD_CTL] &= (uint8_t)~SD_CTL_RUN;
	sd->active = false;
	return false;
}

static bool fetch_descriptor(struct hda_sd *sd)
{
	const struct memory *memory = &sd->hda->pci.device.vm->memory;
	uint64_t list = hda_get_address(sd->registers + SD_BDPL);

	/* Empty buffers are passed over, unless there is nothing else. */
	for (unsigned i = 0; i < DESCRIPTORS_MAX; i++) {
		uint8_t entry[DESCRIPTOR_SIZE];

		if (sd->entry > sd->registers[SD_LVI])
			sd->entry = 0;
		if (!memory_read(memory, list + sd->entry * DESCRIPTOR_SIZE, entry, sizeof entry))
			return descriptor_error(sd, "no RAM for a buffer descriptor", list);
		sd->address = hda_get_address(entry);
		sd->length = pci_get32(entry + 8);
		sd->interrupt_on_completion = pci_get32(entry + 12) & DESCRIPTOR_IOC;
		sd->position = 0;
		if (sd->length) {
			sd->fetched = true;
			return true;
		}
		sd->entry++;
	}
	return descriptor_error(sd, "nothing but empty buffers", list);
}

static void advance(struct hda_sd *sd, uint32_t bytes)
{
	uint32_t lpib = pci_get32(sd->registers + SD_LPIB) + bytes, cbl = pci_get32(sd->registers + SD_CBL);

	if (cbl && lpib >= cbl)
		lpib %= cbl;
	sd->position += bytes;
	if (sd->position == sd->length) {
		sd->fetched = false;
		if (sd->interrupt_on_completion)
			sd->registers[SD_STS] |= SD_STS_BCIS;
		if (sd->entry++ >= sd->registers[SD_LVI]) {
			sd->entry = 0;
			lpib = 0;
		}
	}
	pci_set32(sd->registers + SD_LPIB, lpib);
}

/* Moves bytes from the guest's buffers (output) or into them; false if the stream broke. */
static bool transfer(struct hda_sd *sd, uint8_t *sound, uint32_t bytes)
{
	const struct memory *memory = &sd->hda->pci.device.vm->memory;

	while (bytes) {
		uint32_t part;
		uint8_t *place;

		if (!sd->fetched && !fetch_descriptor(sd))
			return false;
		part = MIN(bytes, sd->length - sd->position);
		place = memory_ptr(memory, sd->address + sd->position, part);
		if (!place)
			return descriptor_error(sd, "no RAM for a buffer", sd->address);
		if (is_input(sd))
			memcpy(place, sound, part);
		else
			memcpy(sound, place, part);
		advance(sd, part);
		sound += part;
		bytes -= part;
	}
	return true;
}

/* --- Samples --- */

static int32_t scale(int32_t sample, int32_t gain)
{
	return (int32_t)((int64_t)sample * gain >> 16);
}

/*
 * Takes two channels of each frame to two of another layout, louder or quieter. A frame without the second channel is
 * mono: it is heard on both sides, or recorded from the left. Channels that nobody feeds are silent.
 */
struct conversion {
	uint32_t sample_size;
	uint32_t in_channels, in_first, out_channels, out_first;
	int32_t gain[2];
};

static void convert(const struct conversion *c, const uint8_t *in, uint8_t *out, uint32_t frames)
{
	uint32_t in_size = c->in_channels * c->sample_size, out_size = c->out_channels * c->sample_size;

	memset(out, 0, (size_t)frames * out_size);
	for (uint32_t i = 0; i < frames; i++, in += in_size, out += out_size) {
		for (unsigned side = 0; side < 2; side++) {
			uint32_t from = c->in_first + (c->in_channels > c->in_first + 1 ? side : 0);
			uint32_t to = c->out_first + side;

			if (from >= c->in_channels || to >= c->out_channels)
				continue;
			if (c->sample_size == 2)
				((int16_t *)out)[to] = (int16_t)scale(((const int16_t *)in)[from], c->gain[side]);
			else
				((int32_t *)out)[to] = scale(((const int32_t *)in)[from], c->gain[side]);
		}
	}
}

static bool unchanged(const struct conversion *c)
{
	return c->in_channels == 2 && c->out_channels == 2 && c->in_first == 0 && c->out_first == 0 &&
	       c->gain[0] == 65536 && c->gain[1] == 65536;
}

/* --- Moving sound --- */

static struct hda_line *line_of(struct hda_sd *sd)
{
	struct hda_line *line = &sd->hda->lines[is_input(sd)];

	return line->sd == sd && line->started ? line : NULL;
}

static void play(struct hda_sd *sd, const struct hda_converter *converter, const uint8_t *sound, uint32_t frames)
{
	const struct conversion conversion = {
		sd->format.sample_size, sd->format.channels, converter->channel, 2, 0,
		{ converter->gain[0], converter->gain[1] },
	};
	struct hda_line *line = line_of(sd);
	uint8_t stereo[CHUNK * 2] __attribute__((aligned(4)));

	if (!line)
		return;
	if (!unchanged(&conversion)) {
		convert(&conversion, sound, stereo, frames);
		sound = stereo;
	}
	audio_stream_write(&line->stream, sound, frames);
}

static void record(struct hda_sd *sd, const struct hda_converter *converter, uint8_t *sound, uint32_t frames)
{
	const struct conversion conversion = {
		sd->format.sample_size, 2, 0, sd->format.channels, converter->channel,
		{ converter->gain[0], converter->gain[1] },
	};
	struct hda_line *line = line_of(sd);
	uint8_t stereo[CHUNK * 2] __attribute__((aligned(4)));
	uint32_t got;

	memset(sound, 0, frames * sd->format.channels * sd->format.sample_size);
	if (!line)
		return;
	if (!line->primed)
		line->primed = audio_stream_fill(&line->stream) >= sd->format.rate / PRIME_PER_SECOND;
	if (!line->primed)
		return;
	got = audio_stream_read(&line->stream, stereo, frames);
	if (got < frames) {
		audio_count(&line->stream.counters.underruns, 1);
		line->primed = false;
	}
	convert(&conversion, stereo, sound, got);
}

static void run_stream(struct hda_sd *sd, uint64_t now)
{
	uint32_t frame_size = sd->format.channels * sd->format.sample_size, chunk = CHUNK / frame_size;
	uint32_t half = pci_get32(sd->registers + SD_CBL) / 2 / frame_size;
	uint32_t limit = MIN(sd->format.rate / CATCH_UP_PER_SECOND, MAX(half, 1));
	uint32_t frames = audio_pace_advance(&sd->pace, now, limit);
	uint8_t sound[CHUNK] __attribute__((aligned(4)));
	struct hda_converter converter;

	hda_codec_converter(&sd->hda->codec, is_input(sd), &converter);
	if (frames && line_of(sd))
		audio_count(&line_of(sd)->stream.counters.frames, frames);
	while (frames) {
		uint32_t part = MIN(frames, chunk);

		if (is_input(sd))
			record(sd, &converter, sound, part);
		if (!transfer(sd, sound, part * frame_size))
			return;
		if (!is_input(sd))
			play(sd, &converter, sound, part);
		frames -= part;
	}
}

/* Section 3.6.1: each stream's position, in the guest's memory. */
static void write_positions(struct hda *hda)
{
	uint64_t base = hda_get_address(hda->registers + DPLBASE);

	if (!(base & 1))
		return;
	for (unsigned i = 0; i < HDA_STREAMS; i++) {
		struct hda_sd *sd = &hda->streams[i];

		if (sd->active && !memory_write(&hda->pci.device.vm->memory, (base & ~1ull) + i * 8,
						sd->registers + SD_LPIB, 4))
			log_guest_error(&hda->log, "hda", "no RAM for positions at 0x%" G_GINT64_MODIFIER "x", base);
	}
}

void hda_streams_run(struct hda *hda)
{
	uint64_t now = now_of(hda);

	for (unsigned i = 0; i < HDA_STREAMS; i++)
		if (hda->streams[i].active)
			run_stream(&hda->streams[i], now);
	write_positions(hda);
}

/* --- The host's end --- */

static void stop_line(struct hda *hda, struct hda_line *line)
{
	if (!line->started)
		return;
	hda->backend->ops->stop(hda->backend, &line->stream);
	audio_stream_close(&line->stream);
	line->started = false;
}

static bool same_format(const struct audio_format *a, const struct audio_format *b)
{
	return a->rate == b->rate && a->sample == b->sample && a->channels == b->channels;
}

/* Gives the converter's line the stream that bears its tag. */
static void connect_line(struct hda *hda, bool input)
{
	struct hda_line *line = &hda->lines[input];
	struct hda_converter converter;
	struct audio_format format;

	hda_codec_converter(&hda->codec, input, &converter);
	line->sd = NULL;
	for (unsigned i = 0; i < HDA_STREAMS && converter.tag; i++) {
		struct hda_sd *sd = &hda->streams[i];

		if (!line->sd && is_input(sd) == input && sd->active && sd->format.playable &&
		    sd->registers[SD_CTL + 2] >> 4 == converter.tag)
			line->sd = sd;
	}
	if (!line->sd || (input && !hda->microphone)) {
		stop_line(hda, line);
		return;
	}
	format = (struct audio_format){ line->sd->format.rate, 2,
					line->sd->format.sample_size == 2 ? AUDIO_S16 : AUDIO_S32 };
	if (line->started && same_format(&line->stream.format, &format))
		return;
	stop_line(hda, line);
	audio_stream_open(&line->stream, &format);
	hda->backend->ops->start(hda->backend, &line->stream);
	line->started = true;
	line->primed = false;
}

static void exchange(struct hda *hda, struct hda_line *line)
{
	int64_t excess;

	if (!line->started)
		return;
	if (!line->sd->active) { /* it broke just now */
		stop_line(hda, line);
		return;
	}
	excess = hda->backend->ops->moved(hda->backend, &line->stream);
	audio_pace_trim(&line->sd->pace, line->stream.input, excess);
}

/* --- Time --- */

static uint64_t next_deadline(struct hda_sd *sd, uint64_t now)
{
	uint32_t frame_size = sd->format.channels * sd->format.sample_size;
	uint64_t due = now + PERIOD;

	if (sd->fetched || fetch_descriptor(sd)) {
		uint32_t left = sd->length - sd->position;

		due = audio_pace_when(&sd->pace, left / frame_size + (left % frame_size != 0));
	}
	return CLAMP(due, now + PERIOD_MIN, now + PERIOD);
}

static void schedule(struct hda *hda)
{
	uint64_t now = now_of(hda), deadline = UINT64_MAX;

	for (unsigned i = 0; i < HDA_STREAMS; i++)
		if (hda->streams[i].active)
			deadline = MIN(deadline, next_deadline(&hda->streams[i], now));
	if (deadline != UINT64_MAX)
		timer_set(&hda->timer, deadline);
}

/* On the I/O thread. */
static void tick(void *opaque)
{
	struct hda *hda = opaque;

	connect_line(hda, false);
	connect_line(hda, true);
	hda_streams_run(hda);
	exchange(hda, &hda->lines[false]);
	exchange(hda, &hda->lines[true]);
	schedule(hda);
	hda_update_interrupt(hda);
}

void hda_lines_changed(struct hda *hda)
{
	bool busy = hda->lines[false].started || hda->lines[true].started;

	for (unsigned i = 0; i < HDA_STREAMS; i++)
		busy |= hda->streams[i].active;
	if (busy)
		timer_set(&hda->timer, now_of(hda));
}

void hda_streams_changed(struct hda *hda)
{
	uint64_t now = now_of(hda);
	bool enabled = hda_get32(hda, GCTL) & GCTL_CRST && pci_bus_master(&hda->pci), changed = false;

	for (unsigned i = 0; i < HDA_STREAMS; i++) {
		struct hda_sd *sd = &hda->streams[i];
		bool run = sd->registers[SD_CTL] & SD_CTL_RUN, held = hda->registers[SSYNC] & 1u << i;
		bool active = enabled && run && !held;

		if (run)
			sd->registers[SD_STS] |= SD_STS_FIFORDY;
		else
			sd->registers[SD_STS] &= (uint8_t)~SD_STS_FIFORDY;
		if (active && !sd->active) {
			parse_format(&sd->format, pci_get16(sd->registers + SD_FMT));
			audio_pace_start(&sd->pace, sd->format.rate, now);
		}
		changed |= active != sd->active;
		sd->active = active;
	}
	if (changed)
		hda_lines_changed(hda);
}

static void forget_position(struct hda_sd *sd)
{
	sd->active = sd->fetched = sd->interrupt_on_completion = false;
	sd->entry = sd->position = sd->length = 0;
	sd->address = 0;
}

void hda_sd_written(struct hda_sd *sd, unsigned offset)
{
	if (offset >= SD_STS)
		return;
	if (sd->registers[SD_CTL] & SD_CTL_SRST) {
		hda_sd_reset_registers(sd);
		sd->registers[SD_CTL] |= SD_CTL_SRST;
		forget_position(sd);
		hda_lines_changed(sd->hda);
	} else {
		/* Up to now it has gone on as before. */
		hda_streams_run(sd->hda);
	}
	hda_streams_changed(sd->hda);
}

void hda_streams_reset(struct hda *hda)
{
	for (unsigned i = 0; i < HDA_STREAMS; i++)
		forget_position(&hda->streams[i]);
	hda_lines_changed(hda);
}

void hda_streams_init(struct hda *hda)
{
	timer_init(&hda->timer, &hda->pci.device.vm->clock, tick, hda);
	hda->lines[true].stream.input = true;
	for (unsigned i = 0; i < HDA_STREAMS; i++) {
		hda->streams[i].hda = hda;
		hda->streams[i].index = i;
		hda->streams[i].registers = hda->registers + SD_BASE + i * SD_SIZE;
	}
}

void hda_streams_stop(struct hda *hda)
{
	stop_line(hda, &hda->lines[false]);
	stop_line(hda, &hda->lines[true]);
}

static void stream_state(struct hda_sd *sd, struct state *state)
{
	char name[32];

	#define FIELD(type, field) (g_snprintf(name, sizeof name, "stream_%u_" #field, sd->index), \
				    state_##type(state, name, &sd->field))
	FIELD(bool, fetched);
	FIELD(u32, entry);
	FIELD(u32, position);
	FIELD(u64, address);
	FIELD(u32, length);
	FIELD(bool, interrupt_on_completion);
	#undef FIELD
	if (sd->entry < DESCRIPTORS_MAX + 1 && (!sd->fetched || sd->position < sd->length))
		return;
	state_fail(state, "stream %u of the sound controller is outside its buffers", sd->index);
	forget_position(sd);
}

void hda_streams_state(struct hda *hda, struct state *state)
{
	for (unsigned i = 0; i < HDA_STREAMS; i++)
		stream_state(&hda->streams[i], state);
}
