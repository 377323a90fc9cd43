#include "typing.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

#include "../../input/key_names.h"

#define STROKES_MAX 16384 /* of one call */
#define JOBS_MAX 64

/*
 * About 33 keys a second. Firmware has a buffer of 15 keys, which nobody outside the guest can see into: faster than
 * its reader is what it would lose.
 */
#define HOLD (15 * NSEC_PER_SEC / 1000)
#define PAUSE (15 * NSEC_PER_SEC / 1000)
/*
 * How often to look whether the guest has read its keyboard, and for how long: a boot loader may draw for minutes.
 * Both in the guest's time.
 */
#define POLL (2 * NSEC_PER_SEC / 1000)
#define PATIENCE (300 * NSEC_PER_SEC)

struct stroke {
	uint16_t codes[KEY_COMBINATION_MAX];
	uint8_t count;
};

struct job {
	GArray *strokes; /* struct stroke */
	guint next;
	bool pressed; /* the keys of stroke next are down */
	typing_done done;
	void *opaque;
};

struct typing {
	struct vm *vm;
	struct input_router *router;
	GQueue jobs; /* struct job *, the first one at work */
	struct timer timer;
	uint64_t waiting_since;
};

static void send_stroke(struct typing *typing, const struct stroke *stroke, bool press)
{
	for (unsigned i = 0; i < stroke->count; i++) {
		uint16_t code = stroke->codes[press ? i : stroke->count - 1u - i];
		const struct input_event events[] = { { EV_KEY, code, press }, { EV_SYN, SYN_REPORT, 0 } };

		input_router_send(typing->router, events, G_N_ELEMENTS(events));
	}
}

static const struct stroke *next_stroke(const struct job *job)
{
	return job->next < job->strokes->len ? &g_array_index(job->strokes, struct stroke, job->next) : NULL;
}

static void finish_job(struct typing *typing, const GError *error)
{
	struct job *job = g_queue_pop_head(&typing->jobs);

	if (job->pressed)
		send_stroke(typing, next_stroke(job), false);
	job->done(job->opaque, error);
	g_array_unref(job->strokes);
	g_free(job);
}

static void fail_all(struct typing *typing, GIOErrorEnum code, const char *message)
{
	g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, code, message);

	while (!g_queue_is_empty(&typing->jobs))
		finish_job(typing, error);
}

static void wait_until(struct typing *typing, uint64_t delay)
{
	timer_set(&typing->timer, clock_now(&typing->vm->clock) + delay);
}

/* Takes jobs that are through from the queue; NULL when there is none left. */
static struct job *current_job(struct typing *typing)
{
	struct job *job;

	while ((job = g_queue_peek_head(&typing->jobs)) && !next_stroke(job))
		finish_job(typing, NULL);
	return job;
}

/*
 * Keys go down when the guest has read all before, and up after a while whether it has or not: a key that it is slow
 * to notice must not repeat.
 */
static void advance(void *opaque)
{
	struct typing *typing = opaque;
	uint64_t now = clock_now(&typing->vm->clock);
	struct job *job = g_queue_peek_head(&typing->jobs);

	if (!job)
		return;
	if (job->pressed) {
		send_stroke(typing, next_stroke(job), false);
		job->pressed = false;
		job->next++;
		typing->waiting_since = now;
		wait_until(typing, PAUSE);
		return;
	}
	if (!input_router_ready(typing->router, INPUT_KEYBOARD)) {
		if (now - typing->waiting_since > PATIENCE)
			fail_all(typing, G_IO_ERROR_TIMED_OUT, _("The guest does not read its keyboard"));
		else
			wait_until(typing, POLL);
		return;
	}
	job = current_job(typing);
	if (!job)
		return;
	send_stroke(typing, next_stroke(job), true);
	job->pressed = true;
	wait_until(typing, HOLD);
}

struct typing *typing_new(struct vm *vm, struct input_router *router)
{
	struct typing *typing = g_new0(struct typing, 1);

	typing->vm = vm;
	typing->router = router;
	g_queue_init(&typing->jobs);
	timer_init(&typing->timer, &vm->clock, advance, typing);
	return typing;
}

void typing_free(struct typing *typing)
{
	fail_all(typing, G_IO_ERROR_CLOSED, _("The machine has stopped"));
	timer_cancel(&typing->timer);
	g_free(typing);
}

static bool add_job(struct typing *typing, GArray *strokes, typing_done done, void *opaque, GError **error)
{
	bool idle = g_queue_is_empty(&typing->jobs);
	struct job *job;

	if (strokes->len > STROKES_MAX) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    _("%u keys are too many for one call; at most %d"), strokes->len, STROKES_MAX);
		return false;
	}
	if (!(input_router_kinds(typing->router) & INPUT_KEYBOARD)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("The machine has no keyboard"));
		return false;
	}
	if (g_queue_get_length(&typing->jobs) >= JOBS_MAX) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, _("%d calls are waiting to type already"), JOBS_MAX);
		return false;
	}
	job = g_new0(struct job, 1);
	*job = (struct job){ .strokes = g_array_ref(strokes), .done = done, .opaque = opaque };
	g_queue_push_tail(&typing->jobs, job);
	if (idle) {
		typing->waiting_since = clock_now(&typing->vm->clock);
		/* Not before the pause after what was typed last. */
		if (!typing->timer.pending)
			advance(typing);
	}
	return true;
}

bool typing_send_keys(struct typing *typing, const char *const *combinations, typing_done done, void *opaque,
		      GError **error)
{
	g_autoptr(GArray) strokes = g_array_new(FALSE, TRUE, sizeof(struct stroke));

	for (unsigned i = 0; combinations[i]; i++) {
		struct stroke stroke = { .count = 0 };

		stroke.count = (uint8_t)key_combination_parse(combinations[i], stroke.codes, error);
		if (!stroke.count)
			return false;
		g_array_append_val(strokes, stroke);
	}
	return add_job(typing, strokes, done, opaque, error);
}

bool typing_send_text(struct typing *typing, const char *text, typing_done done, void *opaque, GError **error)
{
	g_autoptr(GArray) strokes = g_array_new(FALSE, TRUE, sizeof(struct stroke));

	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		struct stroke stroke = { .count = 0 };
		gunichar character = g_utf8_get_char(p);
		uint16_t code;
		bool shift;

		if (!key_for_character(character, &code, &shift)) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    _("A US keyboard cannot type the character U+%04X"), character);
			return false;
		}
		if (shift)
			stroke.codes[stroke.count++] = KEY_LEFTSHIFT;
		stroke.codes[stroke.count++] = code;
		g_array_append_val(strokes, stroke);
	}
	return add_job(typing, strokes, done, opaque, error);
}
