#include <stdbool.h>
#include <time.h>

#include "rtc.h"
#include "rtc_registers.h"

#define SECONDS_PER_DAY 86400

static uint8_t encode(const uint8_t *cmos, int value)
{
	return (uint8_t)(cmos[RTC_B] & RTC_B_DM ? value : value / 10 << 4 | value % 10);
}

static int decode(const uint8_t *cmos, uint8_t value)
{
	return cmos[RTC_B] & RTC_B_DM ? value : (value >> 4) * 10 + (value & 0xF);
}

/* 12-hour mode: 12, 1 ... 11 with the top bit set in the afternoon. */
static uint8_t encode_hour(const uint8_t *cmos, int hour)
{
	if (cmos[RTC_B] & RTC_B_24H)
		return encode(cmos, hour);
	return encode(cmos, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? RTC_HOUR_PM : 0);
}

static int decode_hour(const uint8_t *cmos, uint8_t value)
{
	if (cmos[RTC_B] & RTC_B_24H)
		return decode(cmos, value);
	return decode(cmos, value & (uint8_t)~RTC_HOUR_PM) % 12 + (value & RTC_HOUR_PM ? 12 : 0);
}

void rtc_encode(uint8_t *cmos, const struct rtc_fields *fields)
{
	int64_t days = rtc_fields_to_seconds(fields) / SECONDS_PER_DAY;
	/* A clock that was set to nonsense can be before the year 0. */
	int year = (fields->year % 10000 + 10000) % 10000;

	cmos[RTC_SECONDS] = encode(cmos, fields->second);
	cmos[RTC_MINUTES] = encode(cmos, fields->minute);
	cmos[RTC_HOURS] = encode_hour(cmos, fields->hour);
	/* 1970 began on a Thursday; 1 is Sunday. */
	cmos[RTC_DAY_OF_WEEK] = (uint8_t)(((days + 4) % 7 + 7) % 7 + 1);
	cmos[RTC_DAY] = encode(cmos, fields->day);
	cmos[RTC_MONTH] = encode(cmos, fields->month);
	cmos[RTC_YEAR] = encode(cmos, year % 100);
	cmos[RTC_CENTURY] = encode(cmos, year / 100);
}

void rtc_decode(const uint8_t *cmos, struct rtc_fields *fields)
{
	fields->second = decode(cmos, cmos[RTC_SECONDS]);
	fields->minute = decode(cmos, cmos[RTC_MINUTES]);
	fields->hour = decode_hour(cmos, cmos[RTC_HOURS]);
	fields->day = decode(cmos, cmos[RTC_DAY]);
	fields->month = decode(cmos, cmos[RTC_MONTH]);
	fields->year = decode(cmos, cmos[RTC_CENTURY]) * 100 + decode(cmos, cmos[RTC_YEAR]);
}

int64_t rtc_fields_to_seconds(const struct rtc_fields *fields)
{
	struct tm tm = {
		.tm_sec = fields->second, .tm_min = fields->minute, .tm_hour = fields->hour,
		.tm_mday = fields->day, .tm_mon = fields->month - 1, .tm_year = fields->year - 1900,
	};

	return timegm(&tm);
}

void rtc_fields_from_seconds(int64_t seconds, struct rtc_fields *fields)
{
	time_t time = seconds;
	struct tm tm = { 0 };

	gmtime_r(&time, &tm);
	*fields = (struct rtc_fields){
		.second = tm.tm_sec, .minute = tm.tm_min, .hour = tm.tm_hour,
		.day = tm.tm_mday, .month = tm.tm_mon + 1, .year = tm.tm_year + 1900,
	};
}

static bool matches(uint8_t alarm, int decoded, int value)
{
	return alarm >= RTC_ALARM_ANY || decoded == value;
}

static bool possible(uint8_t alarm, int decoded, int limit)
{
	return alarm >= RTC_ALARM_ANY || decoded < limit;
}

int64_t rtc_next_alarm(const uint8_t *cmos, int64_t from)
{
	const uint8_t second = cmos[RTC_SECONDS_ALARM], minute = cmos[RTC_MINUTES_ALARM];
	const uint8_t hour = cmos[RTC_HOURS_ALARM];
	int at_second = decode(cmos, second), at_minute = decode(cmos, minute), at_hour = decode_hour(cmos, hour);
	int64_t second_of_day = (from % SECONDS_PER_DAY + SECONDS_PER_DAY) % SECONDS_PER_DAY;
	int64_t midnight = from - second_of_day;

	if (!possible(second, at_second, 60) || !possible(minute, at_minute, 60) || !possible(hour, at_hour, 24))
		return INT64_MAX;
	/* By the largest unit that does not match; the day after tomorrow begins like today. */
	for (int64_t t = second_of_day; t < 2 * SECONDS_PER_DAY;) {
		if (!matches(hour, at_hour, (int)(t / 3600 % 24)))
			t += 3600 - t % 3600;
		else if (!matches(minute, at_minute, (int)(t / 60 % 60)))
			t += 60 - t % 60;
		else if (!matches(second, at_second, (int)(t % 60)))
			t++;
		else
			return midnight + t;
	}
	return INT64_MAX;
}
