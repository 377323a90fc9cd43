/*
 * PulseAudio's asynchronous API on the I/O thread's own loop, so that a period of sound costs one wake-up: the device's
 * timer moves frames into the ring, and moved() hands them on at once.
 *
 * The stream is fed by the device's clock, not by the server's requests. How full the server's queue is then shows how
 * the two clocks differ, and trims the device's.
 */
#include <glib.h>
#include <pulse/glib-mainloop.h>
#include <pulse/pulseaudio.h>

#include "../vmm/log.h"
#include "../vmm/vm.h"
#include "backend.h"
#include "priority.h"

#define ICON "io.github.oriel"
#define MILLISECOND 1000000ll
/* Sound between the device and the loudspeaker that is asked for; half of the rest is the sink's, half the queue's. */
#define LATENCY_MS 25
#define REQUEST_MS 5
/* Every time the host was late for that, it gets more, up to a limit. */
#define LATENCY_STEP (5 * MILLISECOND)
#define LATENCY_EXTRA_MAX (75 * MILLISECOND)
/* More sound than this too much is not worked off but thrown away: a sink that stood still. */
#define EXCESS_MAX (100 * MILLISECOND)
#define QUEUE_MS 250
#define CAPTURE_FRAGMENT_MS 5
#define CAPTURE_TARGET (10 * MILLISECOND)
#define RETRY_SECONDS 2
/* With those that still play their end: a guest could stop and start without limit. */
#define STREAMS_MAX 8

struct pulse {
	struct audio_backend backend;
	struct vm *vm;
	char *name;
	pa_glib_mainloop *mainloop;
	pa_context *context; /* NULL: no connection, nor one being made */
	GPtrArray *streams;  /* struct pulse_stream * */
	GSource *retry;
	int64_t extra;       /* latency that this host needs on top, nanoseconds */
	bool complained, raised;
	bool volume_chosen;  /* by the user; otherwise the server remembers the last one */
	unsigned volume;     /* percent */
	bool muted;
};

struct pulse_stream {
	struct pulse *pulse;
	struct audio_stream *stream; /* NULL: it has been stopped, and what is left is played */
	struct audio_format format;
	uint32_t frame_size;
	bool input;
	pa_stream *host;             /* NULL: no connection */
	GBytes *rest;                /* stopped before the server was ready */
	int64_t target;              /* wanted latency without pulse->extra, nanoseconds; 0: not known yet */
	bool corked;
};

static void connect_stream(struct pulse_stream *ps);

static uint32_t bytes_of(const struct pulse_stream *ps, unsigned milliseconds)
{
	return ps->format.rate * milliseconds / 1000 * ps->frame_size;
}

static bool ready(const struct pulse_stream *ps)
{
	return ps->host && pa_stream_get_state(ps->host) == PA_STREAM_READY;
}

static void finish(pa_operation *operation)
{
	if (operation)
		pa_operation_unref(operation);
}

static void drop_host(struct pulse_stream *ps)
{
	if (!ps->host)
		return;
	pa_stream_set_state_callback(ps->host, NULL, NULL);
	pa_stream_set_read_callback(ps->host, NULL, NULL);
	pa_stream_set_underflow_callback(ps->host, NULL, NULL);
	pa_stream_disconnect(ps->host);
	pa_stream_unref(ps->host);
	ps->host = NULL;
	ps->target = 0;
	ps->corked = false;
}

static void free_stream(void *data)
{
	struct pulse_stream *ps = data;

	drop_host(ps);
	if (ps->rest)
		g_bytes_unref(ps->rest);
	g_free(ps);
}

/* Of what is on its way out: playback ends with its last frame. */
static void drained(pa_stream *host, int success, void *data)
{
	struct pulse_stream *ps = data;

	(void)host;
	(void)success;
	g_ptr_array_remove(ps->pulse->streams, ps);
}

static void drain(struct pulse_stream *ps)
{
	pa_operation *operation = pa_stream_drain(ps->host, drained, ps);

	if (operation)
		pa_operation_unref(operation);
	else
		g_ptr_array_remove(ps->pulse->streams, ps);
}

/* --- Connection --- */

static void connect_server(struct pulse *pulse);

static gboolean retry(void *data)
{
	struct pulse *pulse = data;

	g_clear_pointer(&pulse->retry, g_source_unref);
	connect_server(pulse);
	return G_SOURCE_REMOVE;
}

static void cancel_retry(struct pulse *pulse)
{
	if (pulse->retry)
		loop_remove(g_steal_pointer(&pulse->retry));
}

/* Only while somebody plays: an idle guest does not wake up for a server that is not there. */
static void retry_later(struct pulse *pulse)
{
	bool wanted = false;

	for (guint i = 0; i < pulse->streams->len; i++)
		wanted |= ((struct pulse_stream *)pulse->streams->pdata[i])->stream != NULL;
	if (!wanted || pulse->retry)
		return;
	pulse->retry = g_timeout_source_new_seconds(RETRY_SECONDS);
	g_source_set_callback(pulse->retry, retry, pulse, NULL);
	g_source_attach(pulse->retry, pulse->vm->loop.context);
}

static void complain(struct pulse *pulse, const char *what, int error)
{
	if (!pulse->complained)
		g_message("sound: %s: %s; the guest plays to nobody until there is one", what, pa_strerror(error));
	pulse->complained = true;
}

static void disconnect(struct pulse *pulse)
{
	for (guint i = pulse->streams->len; i--;) {
		struct pulse_stream *ps = pulse->streams->pdata[i];

		if (ps->stream)
			drop_host(ps);
		else
			g_ptr_array_remove_index(pulse->streams, i);
	}
	if (!pulse->context)
		return;
	pa_context_set_state_callback(pulse->context, NULL, NULL);
	pa_context_disconnect(pulse->context);
	pa_context_unref(pulse->context);
	pulse->context = NULL;
}

static void context_changed(pa_context *context, void *data)
{
	struct pulse *pulse = data;

	switch (pa_context_get_state(context)) {
	case PA_CONTEXT_READY:
		g_message("sound: connected to the server %s", pa_context_get_server(context));
		pulse->complained = false;
		for (guint i = 0; i < pulse->streams->len; i++)
			connect_stream(pulse->streams->pdata[i]);
		break;
	case PA_CONTEXT_FAILED:
	case PA_CONTEXT_TERMINATED:
		complain(pulse, "no PulseAudio server", pa_context_errno(context));
		disconnect(pulse);
		retry_later(pulse);
		break;
	default:
		break;
	}
}

static void connect_server(struct pulse *pulse)
{
	pa_proplist *properties;

	if (pulse->context)
		return;
	if (!pulse->mainloop)
		pulse->mainloop = pa_glib_mainloop_new(pulse->vm->loop.context);
	properties = pa_proplist_new();
	pa_proplist_sets(properties, PA_PROP_APPLICATION_NAME, pulse->name);
	pa_proplist_sets(properties, PA_PROP_APPLICATION_ID, "io.github.oriel");
	pa_proplist_sets(properties, PA_PROP_APPLICATION_ICON_NAME, ICON);
	pulse->context = pa_context_new_with_proplist(pa_glib_mainloop_get_api(pulse->mainloop), pulse->name,
						      properties);
	pa_proplist_free(properties);
	if (!pulse->context)
		return;
	pa_context_set_state_callback(pulse->context, context_changed, pulse);
	/* Its failure arrives in context_changed(), possibly before this returns. */
	pa_context_connect(pulse->context, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL);
}

/* --- Streams --- */

static void write_all(struct pulse_stream *ps)
{
	struct audio_stream *stream = ps->stream;
	uint32_t fill;

	while ((fill = audio_stream_fill(stream))) {
		size_t bytes = fill * ps->frame_size;
		void *place;

		/* Memory that the server shares, so this is the only copy. */
		if (pa_stream_begin_write(ps->host, &place, &bytes) < 0 || bytes < ps->frame_size) {
			audio_stream_read(stream, NULL, fill);
			return;
		}
		fill = audio_stream_read(stream, place, (uint32_t)bytes / ps->frame_size);
		pa_stream_write(ps->host, place, fill * ps->frame_size, NULL, 0, PA_SEEK_RELATIVE);
	}
}

/* The desktop's mixer shows it, too. */
static void apply_volume(struct pulse_stream *ps)
{
	const struct pulse *pulse = ps->pulse;
	uint32_t index = pa_stream_get_index(ps->host);
	pa_cvolume volume;

	pa_cvolume_set(&volume, ps->format.channels, PA_VOLUME_NORM * pulse->volume / 100);
	finish(pa_context_set_sink_input_volume(pulse->context, index, &volume, NULL, NULL));
	finish(pa_context_set_sink_input_mute(pulse->context, index, pulse->muted, NULL, NULL));
}

static void became_ready(struct pulse_stream *ps)
{
	gconstpointer data;
	gsize size;

	if (ps->input)
		return;
	if (ps->pulse->volume_chosen)
		apply_volume(ps);
	if (ps->stream) {
		write_all(ps);
		return;
	}
	data = g_bytes_get_data(ps->rest, &size);
	pa_stream_write(ps->host, data, size, NULL, 0, PA_SEEK_RELATIVE);
	drain(ps);
}

static void stream_changed(pa_stream *host, void *data)
{
	struct pulse_stream *ps = data;
	struct pulse *pulse = ps->pulse;

	switch (pa_stream_get_state(host)) {
	case PA_STREAM_READY:
		became_ready(ps);
		break;
	case PA_STREAM_FAILED:
	case PA_STREAM_TERMINATED:
		complain(pulse, "the server ended the stream", pa_context_errno(pulse->context));
		if (!ps->stream) {
			g_ptr_array_remove(pulse->streams, ps);
			break;
		}
		drop_host(ps);
		retry_later(pulse);
		break;
	default:
		break;
	}
}

/* The sink had nothing to play: nothing of ours if the guest stands still. */
static void underflow(pa_stream *host, void *data)
{
	struct pulse_stream *ps = data;
	struct pulse *pulse = ps->pulse;

	if (!ps->stream)
		return;
	if (!pulse->vm->clock.running) {
		finish(pa_stream_cork(host, 1, NULL, NULL));
		ps->corked = true;
		return;
	}
	audio_count(&ps->stream->counters.underruns, 1);
	pulse->extra = MIN(pulse->extra + LATENCY_STEP, LATENCY_EXTRA_MAX);
}

static void recorded(pa_stream *host, size_t readable, void *data)
{
	struct pulse_stream *ps = data;
	const void *sound;
	size_t bytes;

	while (readable && pa_stream_peek(host, &sound, &bytes) == 0 && bytes) {
		/* sound NULL: a hole, which the device hears as an underrun. */
		if (sound && ps->stream)
			audio_stream_write(ps->stream, sound, (uint32_t)(bytes / ps->frame_size));
		pa_stream_drop(host);
		readable -= MIN(readable, bytes);
	}
}

static void connect_stream(struct pulse_stream *ps)
{
	const pa_stream_flags_t flags = PA_STREAM_INTERPOLATE_TIMING | PA_STREAM_AUTO_TIMING_UPDATE |
					PA_STREAM_ADJUST_LATENCY;
	const pa_sample_spec spec = {
		.format = ps->format.sample == AUDIO_S16 ? PA_SAMPLE_S16LE : PA_SAMPLE_S32LE,
		.rate = ps->format.rate, .channels = ps->format.channels,
	};
	const pa_buffer_attr attributes = {
		.maxlength = bytes_of(ps, QUEUE_MS), .tlength = bytes_of(ps, LATENCY_MS),
		.prebuf = (uint32_t)-1, .minreq = bytes_of(ps, REQUEST_MS),
		.fragsize = bytes_of(ps, CAPTURE_FRAGMENT_MS),
	};
	pa_proplist *properties;

	if (ps->host)
		return;
	properties = pa_proplist_new();
	pa_proplist_sets(properties, PA_PROP_MEDIA_ICON_NAME, ICON);
	ps->host = pa_stream_new_with_proplist(ps->pulse->context, ps->input ? "Recording" : "Playback", &spec, NULL,
					       properties);
	pa_proplist_free(properties);
	if (!ps->host)
		return;
	pa_stream_set_state_callback(ps->host, stream_changed, ps);
	pa_stream_set_underflow_callback(ps->host, underflow, ps);
	pa_stream_set_read_callback(ps->host, recorded, ps);
	if (ps->input)
		pa_stream_connect_record(ps->host, NULL, &attributes, flags);
	else
		pa_stream_connect_playback(ps->host, NULL, &attributes, flags, NULL, NULL);
}

static void pulse_start(struct audio_backend *backend, struct audio_stream *stream)
{
	struct pulse *pulse = (struct pulse *)backend;
	struct pulse_stream *ps = g_new0(struct pulse_stream, 1);

	ps->pulse = pulse;
	ps->stream = stream;
	ps->format = stream->format;
	ps->frame_size = stream->frame_size;
	ps->input = stream->input;
	stream->host = ps;
	g_ptr_array_add(pulse->streams, ps);
	cancel_retry(pulse);
	if (!pulse->raised)
		audio_raise_priority();
	pulse->raised = true;
	if (!pulse->context)
		connect_server(pulse);
	else if (pa_context_get_state(pulse->context) == PA_CONTEXT_READY)
		connect_stream(ps);
}

/* What the ring still holds when the server has not got ready yet must outlive it. */
static void keep_rest(struct pulse_stream *ps)
{
	uint32_t fill = audio_stream_fill(ps->stream);
	void *rest = g_malloc(MAX(1, fill * ps->frame_size));

	audio_stream_read(ps->stream, rest, fill);
	ps->rest = g_bytes_new_take(rest, fill * ps->frame_size);
}

static void pulse_stop(struct audio_backend *backend, struct audio_stream *stream)
{
	struct pulse *pulse = (struct pulse *)backend;
	struct pulse_stream *ps = stream->host;

	stream->host = NULL;
	if (ps->input || !pulse->context || pulse->streams->len > STREAMS_MAX) {
		g_ptr_array_remove(pulse->streams, ps);
	} else if (ready(ps)) {
		write_all(ps);
		ps->stream = NULL;
		drain(ps);
	} else {
		keep_rest(ps);
		ps->stream = NULL;
	}
	if (!pulse->streams->len)
		cancel_retry(pulse);
}

/* What the server made of our wish: its queue and its sink together. */
static int64_t find_target(struct pulse_stream *ps)
{
	const pa_buffer_attr *attributes = pa_stream_get_buffer_attr(ps->host);
	const pa_timing_info *timing = pa_stream_get_timing_info(ps->host);

	if (!ps->target && attributes && timing)
		ps->target = (int64_t)audio_duration(&ps->format, attributes->tlength / ps->frame_size) +
			     (int64_t)timing->configured_sink_usec * 1000;
	return ps->target + ps->pulse->extra;
}

static int64_t moved_output(struct pulse_stream *ps)
{
	int64_t excess = 0;
	pa_usec_t latency;
	int negative;

	if (pa_stream_get_latency(ps->host, &latency, &negative) == 0 && !negative) {
		excess = (int64_t)latency * 1000 - find_target(ps);
		__atomic_store_n(&ps->stream->counters.latency, latency * 1000, __ATOMIC_RELAXED);
	}
	if (excess > EXCESS_MAX) {
		uint32_t lost = audio_stream_read(ps->stream, NULL, UINT32_MAX);

		audio_count(&ps->stream->counters.overruns, lost);
		return excess;
	}
	write_all(ps);
	if (ps->corked)
		finish(pa_stream_cork(ps->host, 0, NULL, NULL));
	ps->corked = false;
	return excess;
}

static int64_t moved_input(struct pulse_stream *ps)
{
	int64_t fill = (int64_t)audio_duration(&ps->format, audio_stream_fill(ps->stream));
	pa_usec_t latency;
	int negative;

	if (pa_stream_get_latency(ps->host, &latency, &negative) == 0 && !negative)
		__atomic_store_n(&ps->stream->counters.latency, (uint64_t)fill + latency * 1000, __ATOMIC_RELAXED);
	return fill - CAPTURE_TARGET;
}

static int64_t pulse_moved(struct audio_backend *backend, struct audio_stream *stream)
{
	struct pulse *pulse = (struct pulse *)backend;
	struct pulse_stream *ps = stream->host;

	if (ready(ps))
		return ps->input ? moved_input(ps) : moved_output(ps);
	/* While a connection is made, the ring keeps the first sounds. */
	if (!ps->input && (!pulse->context || audio_stream_fill(stream) > stream->format.rate / 1000 * QUEUE_MS / 2))
		audio_stream_read(stream, NULL, UINT32_MAX);
	return 0;
}

static void pulse_set_volume(struct audio_backend *backend, unsigned percent, bool muted)
{
	struct pulse *pulse = (struct pulse *)backend;

	pulse->volume_chosen = true;
	pulse->volume = percent;
	pulse->muted = muted;
	for (guint i = 0; i < pulse->streams->len; i++) {
		struct pulse_stream *ps = pulse->streams->pdata[i];

		if (!ps->input && ready(ps))
			apply_volume(ps);
	}
}

static void pulse_destroy(struct audio_backend *backend)
{
	struct pulse *pulse = (struct pulse *)backend;

	cancel_retry(pulse);
	disconnect(pulse);
	g_ptr_array_unref(pulse->streams);
	if (pulse->mainloop)
		pa_glib_mainloop_free(pulse->mainloop);
	g_free(pulse->name);
	g_free(pulse);
}

static const struct audio_backend_ops pulse_ops = {
	.start = pulse_start,
	.stop = pulse_stop,
	.moved = pulse_moved,
	.set_volume = pulse_set_volume,
	.destroy = pulse_destroy,
};

struct audio_backend *audio_backend_pulse_new(struct vm *vm, const char *name)
{
	struct pulse *pulse = g_new0(struct pulse, 1);

	pulse->backend.ops = &pulse_ops;
	pulse->vm = vm;
	pulse->name = g_strdup(name);
	pulse->streams = g_ptr_array_new_with_free_func(free_stream);
	return &pulse->backend;
}
