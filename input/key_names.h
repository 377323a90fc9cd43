/*
 * Keys by name and by the character that a US keyboard gives for them.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * evdev's names in lower case without KEY_ ("leftctrl", "f12", "kp1"), and what people call them: "ctrl", "alt",
 * "shift", "meta", "del", "return" ... Case does not matter. Only keys of a keyboard (codes below 256).
 */
bool key_code_from_name(const char *name, uint16_t *code);
/* NULL for codes without a name. */
const char *key_name_from_code(uint16_t code);

#define KEY_COMBINATION_MAX 8

/* "ctrl+alt+delete" to codes in order; returns how many, or 0 with the error naming what is unknown. */
unsigned key_combination_parse(const char *text, uint16_t codes[KEY_COMBINATION_MAX], GError **error);

/* False for a character that a US keyboard cannot type. Newline, tab, backspace and escape are keys. */
bool key_for_character(gunichar character, uint16_t *code, bool *shift);
