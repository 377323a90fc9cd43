/*
 * MC146818 real-time clock and 256 bytes of battery-backed CMOS memory: ports 70-71, and 72-73 for the upper half.
 *
 * The time is the host's plus an offset, which setting the clock changes; it runs on while the guest is paused. All
 * with vm->lock.
 */
#pragma once

#include "../bus.h"
#include "../clock.h"
#include "../device.h"
#include "../irq.h"

#define RTC_CMOS_SIZE 256

/* The guest-visible date and time, decoded. */
struct rtc_fields {
	int second, minute, hour; /* hour: 0-23 */
	int day, month, year;     /* from 1, from 1, all digits */
};

struct rtc {
	struct device device;
	struct bus_region index_port, data_port, extended_ports;
	struct irq_source irq;
	struct timer timer; /* pending only while an enabled interrupt is still to come */
	int64_t (*wall_clock)(void *opaque);
	void *wall_clock_opaque;
	uint8_t index, extended_index;
	/*
	 * Registers A-D, alarms and plain memory. Those of the date and time are written when the guest reads them,
	 * and hold the truth only while the clock is held still (register B: SET, or the divider in reset).
	 */
	uint8_t cmos[RTC_CMOS_SIZE];
	int64_t offset;     /* seconds that the guest's clock is ahead of the host's, beyond phase */
	uint32_t phase;     /* nanoseconds, less than a second */
	/* Flags in register C are up to date as of these. */
	int64_t seen_second;
	uint64_t seen_tick; /* periods since periodic_base */
	uint64_t periodic_base; /* on the guest's clock */
};

/*
 * offset: seconds from UTC to what the clock shows at first (0, or the time zone for guests that expect local time).
 * wall_clock: nanoseconds since the epoch; NULL: the host's.
 */
struct rtc *rtc_new(struct vm *vm, int64_t offset, int64_t (*wall_clock)(void *opaque), void *opaque);
/* For firmware's settings in the memory; index below RTC_CMOS_SIZE, not that of a clock register. */
void rtc_cmos_write(struct rtc *rtc, uint8_t index, uint8_t value);
/* Tells firmware the size of RAM in the places where it looks. */
void rtc_set_memory(struct rtc *rtc);
/* The present offset from UTC in seconds, for keeping it in the machine's configuration. */
int64_t rtc_offset(const struct rtc *rtc);

/* rtc_time.c: between the registers and the calendar. */
void rtc_encode(uint8_t *cmos, const struct rtc_fields *fields);
void rtc_decode(const uint8_t *cmos, struct rtc_fields *fields);
/* Seconds since the epoch; out-of-range fields count on into the next larger unit. */
int64_t rtc_fields_to_seconds(const struct rtc_fields *fields);
void rtc_fields_from_seconds(int64_t seconds, struct rtc_fields *fields);
/* The first second at or after `from` that the alarm registers match; INT64_MAX: never. */
int64_t rtc_next_alarm(const uint8_t *cmos, int64_t from);
