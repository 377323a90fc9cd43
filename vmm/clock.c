#include "clock.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

static uint64_t host_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

uint64_t clock_now(const struct clock *clock)
{
	return clock->running ? host_now() - clock->host_base : clock->now;
}

static struct timer *first_timer(const struct clock *clock)
{
	return clock->timers->len ? clock->timers->pdata[0] : NULL;
}

/* Sets the timerfd to the first deadline; with nothing to wait for it sleeps for ever. */
static void arm(struct clock *clock)
{
	struct timer *first = first_timer(clock);
	struct itimerspec when = { 0 };
	uint64_t deadline = 0;

	if (clock->fd < 0)
		return;
	/* A host deadline of 0 would disarm: 1 ns is in the past just as well. */
	if (first && clock->running)
		deadline = MAX(first->deadline + clock->host_base, 1);
	if (deadline < clock->host_base && first && clock->running)
		deadline = INT64_MAX; /* the sum wrapped: never */
	if (deadline == clock->armed)
		return;
	clock->armed = deadline;
	when.it_value.tv_sec = (time_t)(deadline / NSEC_PER_SEC);
	when.it_value.tv_nsec = (long)(deadline % NSEC_PER_SEC);
	timerfd_settime(clock->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void fire_due(struct clock *clock, uint64_t now)
{
	struct timer *timer;

	while ((timer = first_timer(clock)) && timer->deadline <= now) {
		g_ptr_array_remove_index(clock->timers, 0);
		timer->pending = false;
		timer->fire(timer->opaque);
	}
}

static gboolean timerfd_ready(gint fd, GIOCondition condition, gpointer opaque)
{
	struct clock *clock = opaque;
	uint64_t expirations;

	(void)condition;
	if (read(fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
		g_warning("timerfd: %s", g_strerror(errno));
	clock->armed = 0;
	/* Bounded by the time of entry: a timer that sets itself to now again must not keep the thread here. */
	if (clock->running)
		fire_due(clock, clock_now(clock));
	arm(clock);
	return G_SOURCE_CONTINUE;
}

void clock_init(struct clock *clock, struct loop *loop)
{
	memset(clock, 0, sizeof *clock);
	clock->timers = g_ptr_array_new();
	clock->fd = -1;
	if (!loop)
		return;
	clock->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (clock->fd < 0)
		g_error("timerfd_create: %s", g_strerror(errno));
	clock->source = loop_watch(loop, clock->fd, G_IO_IN, timerfd_ready, clock);
}

void clock_finish(struct clock *clock)
{
	if (clock->source)
		loop_remove(clock->source);
	if (clock->fd >= 0)
		close(clock->fd);
	g_ptr_array_free(clock->timers, TRUE);
}

void clock_start(struct clock *clock)
{
	if (clock->running || clock->fd < 0)
		return;
	clock->host_base = host_now() - clock->now;
	clock->running = true;
	arm(clock);
}

void clock_stop(struct clock *clock)
{
	if (!clock->running)
		return;
	clock->now = clock_now(clock);
	clock->running = false;
	arm(clock);
}

void clock_advance(struct clock *clock, uint64_t nanoseconds)
{
	uint64_t end = clock->now + nanoseconds;
	struct timer *timer;

	g_assert(clock->fd < 0);
	while ((timer = first_timer(clock)) && timer->deadline <= end) {
		clock->now = MAX(clock->now, timer->deadline);
		fire_due(clock, clock->now);
	}
	clock->now = end;
}

void timer_init(struct timer *timer, struct clock *clock, void (*fire)(void *opaque), void *opaque)
{
	*timer = (struct timer){ .clock = clock, .fire = fire, .opaque = opaque };
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	GPtrArray *timers = timer->clock->timers;
	guint place = 0;

	if (timer->pending)
		g_ptr_array_remove(timers, timer);
	while (place < timers->len && ((struct timer *)timers->pdata[place])->deadline <= deadline)
		place++;
	timer->deadline = deadline;
	timer->pending = true;
	g_ptr_array_insert(timers, (gint)place, timer);
	arm(timer->clock);
}

void timer_cancel(struct timer *timer)
{
	if (!timer->pending)
		return;
	timer->pending = false;
	g_ptr_array_remove(timer->clock->timers, timer);
	arm(timer->clock);
}

uint64_t muldiv64(uint64_t a, uint32_t b, uint32_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}
