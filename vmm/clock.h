/*
 * The guest's time: nanoseconds since the machine was created, standing still while it is paused, and timers on it.
 *
 * All calls need vm->lock. Timers fire on the I/O thread with vm->lock held, no more than about 50 us late. A timer
 * is a field of its device; it must be cancelled before the device goes away.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define NSEC_PER_SEC 1000000000ull

struct clock;
struct loop;

struct timer {
	struct clock *clock;
	void (*fire)(void *opaque);
	void *opaque;
	uint64_t deadline; /* on the guest's clock */
	bool pending;
};

struct clock {
	GPtrArray *timers; /* pending struct timer *, earliest first */
	uint64_t now;      /* guest time when stopped */
	uint64_t host_base; /* host time at which guest time was zero, while running */
	bool running;
	int fd;            /* timerfd; -1 in a clock that only clock_advance() moves */
	uint64_t armed;    /* host deadline the timerfd is set to, 0 if it is not */
	GSource *source;
};

/* loop NULL: a clock for tests that stands still but for clock_advance(). A new clock is stopped at 0. */
void clock_init(struct clock *clock, struct loop *loop);
void clock_finish(struct clock *clock);

void clock_start(struct clock *clock);
void clock_stop(struct clock *clock);
uint64_t clock_now(const struct clock *clock);
/* Test clocks only: moves time forward, firing what falls due at its own time, in order. */
void clock_advance(struct clock *clock, uint64_t nanoseconds);

void timer_init(struct timer *timer, struct clock *clock, void (*fire)(void *opaque), void *opaque);
void timer_set(struct timer *timer, uint64_t deadline);
void timer_cancel(struct timer *timer);

/* a * b / c without overflow of the product: for converting between clock rates. */
uint64_t muldiv64(uint64_t a, uint32_t b, uint32_t c);
