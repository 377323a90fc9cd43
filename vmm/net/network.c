#include "network.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "capture.h"

#define RING_SIZE (1u << 20)
#define DELIVER_MAX (512u << 10) /* bytes that wait for the guest */
#define BATCH 64u                /* frames handed over with the lock held once */
#define ALIGNMENT 16u

/* Before each frame, in the ring and among those that wait for the guest. */
struct header {
	uint32_t length;
	struct network_offload offload;
};

struct job {
	void (*call)(void *opaque, void *data);
	void *opaque, *data;
};

struct network {
	struct vm *vm;
	const struct network_ops *ops;
	void *outside;
	GThread *thread;
	int event_fd;
	gint quit;        /* atomic */

	/* With vm->lock. */
	const struct network_adapter_ops *adapter_ops;
	void *adapter;
	bool starved;     /* the adapter had no buffer, or stood still */
	bool paused;
	struct network_counters counters;

	/* The ring from the guest: positions with ring_lock; the bytes are whose turn it is. */
	GMutex ring_lock;
	uint8_t *ring;
	size_t written, taken; /* offsets of the producer and the consumer */
	size_t end;            /* of the part before the wrap, while written < taken */
	bool full;             /* the adapter waits for room */
	bool asleep;           /* somebody must wake the thread */
	GQueue jobs;           /* struct job * */

	/* The thread's. */
	GByteArray *waiting;   /* struct header and frame, each aligned */
	size_t delivered;      /* offset in waiting */
	struct capture *capture; /* NULL: frames are not recorded */
};

static size_t aligned(size_t size)
{
	return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

#define SLOT_MAX (aligned(sizeof(struct header)) + aligned(NETWORK_FRAME_MAX))

static void wake(struct network *network)
{
	if (eventfd_write(network->event_fd, 1) < 0)
		g_warning("network: cannot wake the thread: %s", g_strerror(errno));
}

/* --- From the guest --- */

/* Room for the largest frame in one piece, at the producer's place; with ring_lock. */
static bool make_room(struct network *network)
{
	if (network->written == network->taken)
		network->written = network->taken = 0; /* the same few pages again and again, while there is little to do */
	if (network->written < network->taken)
		return network->taken - network->written > SLOT_MAX;
	if (RING_SIZE - network->written >= SLOT_MAX)
		return true;
	if (network->taken <= SLOT_MAX)
		return false;
	network->end = network->written;
	network->written = 0;
	return true;
}

uint8_t *network_frame(struct network *network)
{
	bool room;

	g_mutex_lock(&network->ring_lock);
	room = make_room(network);
	network->full = !room;
	g_mutex_unlock(&network->ring_lock);
	return room ? network->ring + network->written + aligned(sizeof(struct header)) : NULL;
}

void network_send(struct network *network, size_t length, const struct network_offload *offload)
{
	struct header *header = (struct header *)(network->ring + network->written);
	bool asleep;

	g_return_if_fail(length > 0 && length <= NETWORK_FRAME_MAX);
	*header = (struct header){ (uint32_t)length, offload ? *offload : (struct network_offload){ 0 } };
	network->counters.sent_frames++;
	network->counters.sent_bytes += length;
	g_mutex_lock(&network->ring_lock);
	network->written += aligned(sizeof *header) + aligned(length);
	asleep = network->asleep;
	network->asleep = false;
	g_mutex_unlock(&network->ring_lock);
	if (asleep)
		wake(network);
}

/* The next frame from the guest, or NULL. */
static struct header *next_frame(struct network *network)
{
	struct header *header = NULL;

	g_mutex_lock(&network->ring_lock);
	if (network->written < network->taken && network->taken == network->end)
		network->taken = 0;
	if (network->taken != network->written)
		header = (struct header *)(network->ring + network->taken);
	g_mutex_unlock(&network->ring_lock);
	return header;
}

/* True if the adapter should hear that there is room. */
static bool frame_done(struct network *network, const struct header *header)
{
	bool tell;

	g_mutex_lock(&network->ring_lock);
	network->taken += aligned(sizeof *header) + aligned(header->length);
	tell = network->full;
	g_mutex_unlock(&network->ring_lock);
	return tell;
}

static void tell_writable(struct network *network)
{
	bool room;

	g_mutex_lock(&network->vm->lock);
	g_mutex_lock(&network->ring_lock);
	room = network->full && make_room(network);
	if (room)
		network->full = false;
	g_mutex_unlock(&network->ring_lock);
	if (room && network->adapter)
		network->adapter_ops->writable(network->adapter);
	g_mutex_unlock(&network->vm->lock);
}

static void transmit_all(struct network *network)
{
	struct header *header;
	bool tell = false;

	while ((header = next_frame(network))) {
		uint8_t *frame = (uint8_t *)header + aligned(sizeof *header);

		if (network->capture)
			capture_frame(network->capture, frame, header->length, true);
		network->ops->transmit(network->outside, frame, header->length, &header->offload);
		tell |= frame_done(network, header);
	}
	if (tell)
		tell_writable(network);
}

/* --- To the guest --- */

void network_deliver(struct network *network, const uint8_t *frame, size_t length)
{
	struct header header = { (uint32_t)length, { 0 } };
	size_t start = network->waiting->len;

	if (length < NETWORK_HEADER || length > NETWORK_FRAME_MAX)
		return;
	if (network->capture)
		capture_frame(network->capture, frame, length, false);
	if (start - network->delivered > DELIVER_MAX) {
		g_mutex_lock(&network->vm->lock);
		network->counters.dropped++;
		g_mutex_unlock(&network->vm->lock);
		return;
	}
	g_byte_array_set_size(network->waiting, (guint)(start + aligned(sizeof header) + aligned(length)));
	memcpy(network->waiting->data + start, &header, sizeof header);
	memcpy(network->waiting->data + start + aligned(sizeof header), frame, length);
}

/* With vm->lock. False: the guest has no buffer, or stands still. */
static bool hand_over(struct network *network, const struct header *header)
{
	const uint8_t *frame = (const uint8_t *)header + aligned(sizeof *header);

	if (!network->adapter)
		return true;
	if (network->paused || !network->adapter_ops->receive(network->adapter, frame, header->length))
		return false;
	network->counters.received_frames++;
	network->counters.received_bytes += header->length;
	return true;
}

static void deliver_all(struct network *network)
{
	bool taken = true;

	while (taken && network->delivered < network->waiting->len) {
		g_mutex_lock(&network->vm->lock);
		for (unsigned i = 0; i < BATCH && taken && network->delivered < network->waiting->len; i++) {
			struct header *header = (struct header *)(network->waiting->data + network->delivered);

			taken = hand_over(network, header);
			network->starved = !taken;
			if (taken)
				network->delivered += aligned(sizeof *header) + aligned(header->length);
		}
		g_mutex_unlock(&network->vm->lock);
	}
	if (network->delivered) {
		g_byte_array_remove_range(network->waiting, 0, (guint)network->delivered);
		network->delivered = 0;
	}
}

void network_resume(struct network *network)
{
	if (!network->starved)
		return;
	network->starved = false;
	wake(network);
}

void network_set_paused(struct network *network, bool paused)
{
	network->paused = paused;
	if (!paused)
		network_resume(network);
}

/* --- The thread --- */

static void run_jobs(struct network *network)
{
	struct job *job;

	do {
		g_mutex_lock(&network->ring_lock);
		job = g_queue_pop_head(&network->jobs);
		g_mutex_unlock(&network->ring_lock);
		if (job)
			job->call(job->opaque, job->data);
		g_free(job);
	} while (job);
}

/* True if there is nothing in the ring: from now on the producer wakes the thread. */
static bool may_sleep(struct network *network)
{
	bool empty;

	g_mutex_lock(&network->ring_lock);
	empty = network->taken == network->written && g_queue_is_empty(&network->jobs);
	network->asleep = empty;
	g_mutex_unlock(&network->ring_lock);
	return empty;
}

static void wait_and_dispatch(struct network *network, GArray *descriptors)
{
	struct pollfd own = { .fd = network->event_fd, .events = POLLIN };
	bool blocked = network->waiting->len > 0; /* the guest takes nothing: so do we */
	int timeout = -1;
	eventfd_t count;

	g_array_set_size(descriptors, 0);
	if (!blocked)
		network->ops->prepare(network->outside, descriptors, &timeout);
	g_array_append_val(descriptors, own);
	if (!may_sleep(network))
		timeout = 0;
	poll((struct pollfd *)descriptors->data, descriptors->len, timeout);
	g_mutex_lock(&network->ring_lock);
	network->asleep = false;
	g_mutex_unlock(&network->ring_lock);
	if (g_array_index(descriptors, struct pollfd, descriptors->len - 1).revents)
		eventfd_read(network->event_fd, &count);
	/* First, so that what the guest sent is answered by what is read now; but after the jobs that came before it. */
	run_jobs(network);
	transmit_all(network);
	if (!blocked)
		network->ops->dispatch(network->outside, (struct pollfd *)descriptors->data);
}

static gpointer network_thread(gpointer data)
{
	struct network *network = data;
	GArray *descriptors = g_array_new(FALSE, TRUE, sizeof(struct pollfd));

	while (!g_atomic_int_get(&network->quit)) {
		run_jobs(network);
		transmit_all(network);
		deliver_all(network);
		wait_and_dispatch(network, descriptors);
		deliver_all(network);
	}
	g_array_free(descriptors, TRUE);
	return NULL;
}

static void add_job(struct network *network, void (*call)(void *opaque, void *data), void *opaque, void *data)
{
	struct job *job = g_new(struct job, 1);

	*job = (struct job){ call, opaque, data };
	g_mutex_lock(&network->ring_lock);
	g_queue_push_tail(&network->jobs, job);
	g_mutex_unlock(&network->ring_lock);
	wake(network);
}

void network_call(struct network *network, void (*call)(void *outside, void *data), void *data)
{
	add_job(network, call, network->outside, data);
}

static void change_capture(void *opaque, void *data)
{
	struct network *network = opaque;

	g_clear_pointer(&network->capture, capture_close);
	network->capture = data;
}

bool network_capture(struct network *network, const char *path, GError **error)
{
	struct capture *capture = path ? capture_open(path, error) : NULL;

	if (path && !capture)
		return false;
	add_job(network, change_capture, network, capture);
	return true;
}

void network_counters(const struct network *network, struct network_counters *counters)
{
	*counters = network->counters;
}

void network_attach(struct network *network, const struct network_adapter_ops *ops, void *adapter)
{
	network->adapter_ops = ops;
	network->adapter = adapter;
	network->thread = g_thread_new("network", network_thread, network);
}

struct network *network_new(struct vm *vm, const struct network_ops *ops, void *outside)
{
	struct network *network = g_new0(struct network, 1);

	network->vm = vm;
	network->ops = ops;
	network->outside = outside;
	network->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	network->ring = g_malloc(RING_SIZE);
	network->waiting = g_byte_array_new();
	g_mutex_init(&network->ring_lock);
	g_queue_init(&network->jobs);
	return network;
}

void network_stop(struct network *network)
{
	if (network->thread) {
		g_atomic_int_set(&network->quit, 1);
		wake(network);
		g_thread_join(g_steal_pointer(&network->thread));
	}
	run_jobs(network);
}

void network_free(struct network *network)
{
	network_stop(network);
	network->ops->destroy(network->outside);
	g_clear_pointer(&network->capture, capture_close);
	g_byte_array_unref(network->waiting);
	g_mutex_clear(&network->ring_lock);
	g_free(network->ring);
	close(network->event_fd);
	g_free(network);
}

/* --- Checksums (RFC 1071) --- */

uint16_t network_checksum(const uint8_t *data, size_t length)
{
	uint64_t sum = 0, upper = 0;
	size_t i = 0;

	/* Most of it by words of 64 bits, whose halves are added up on their own, so that no carry is lost. */
	for (; i + 32 <= length; i += 32) {
		uint64_t words[4];

		memcpy(words, data + i, sizeof words);
		for (unsigned n = 0; n < 4; n++) {
			sum += words[n] & 0xFFFFFFFF;
			upper += words[n] >> 32;
		}
	}
	sum += upper;
	for (; i + 4 <= length; i += 4) {
		uint32_t word;

		memcpy(&word, data + i, sizeof word);
		sum += word;
	}
	if (i + 2 <= length) {
		uint16_t half;

		memcpy(&half, data + i, sizeof half);
		sum += half;
		i += 2;
	}
	if (i < length)
		sum += data[i]; /* little-endian host: the byte at the even place */
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

void network_complete_checksum(uint8_t *frame, size_t length, const struct network_offload *offload)
{
	size_t place = (size_t)offload->checksum_start + offload->checksum_offset;
	uint16_t sum;

	if (!offload->checksum || place + 2 > length)
		return;
	/* The field holds the pseudo header's sum, which belongs to it. */
	sum = network_checksum(frame + offload->checksum_start, length - offload->checksum_start);
	memcpy(frame + place, &sum, sizeof sum);
}
