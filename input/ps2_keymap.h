/*
 * Scan codes of a PS/2 keyboard: tables only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum ps2_key_class {
	PS2_KEY_TYPEMATIC,  /* in set 3 by default: make codes, repeated */
	PS2_KEY_MAKE_BREAK, /* make and break, no repeat */
	PS2_KEY_MAKE,       /* make only, no repeat */
};

struct ps2_key {
	uint8_t set2; /* 0: the keyboard has no such key */
	bool extended; /* sets 1 and 2: with the prefix E0 */
	uint8_t set3; /* 0: not in set 3 */
	enum ps2_key_class set3_class;
};

/* By evdev code; NULL if a PS/2 keyboard has no such key. Pause and PrintScreen need special treatment besides. */
const struct ps2_key *ps2_find_key(unsigned code);

/*
 * Set 2 to set 1, as the controller does it byte by byte. F0 gives nothing and turns the next byte into a break code:
 * *release keeps that in mind between calls.
 */
bool ps2_translate(uint8_t byte, bool *release, uint8_t *translated);
