/*
 * From the place of a key on the host's keyboard to the code of the same key for the guest. No layout takes part: what
 * the key means is the guest's affair.
 */
#pragma once

#include <stdint.h>

/* The evdev code (KEY_*) of an SDL scancode, 0 for a key that no guest knows. */
uint16_t keymap_evdev(unsigned scancode);
