/*
 * A PS/2 keyboard (IBM PS/2 technical reference, "Keyboards"): scan code sets 1, 2 and 3, LEDs, typematic repeat.
 * All calls need vm->lock; the controller owns it.
 */
#pragma once

#include "ps2.h"
#include "router.h"

struct vm;
struct state;
struct ps2_keyboard;

/* It joins the router as the keyboard of last resort, always active. */
struct ps2_keyboard *ps2_keyboard_new(struct vm *vm, struct input_router *router);
void ps2_keyboard_free(struct ps2_keyboard *keyboard);
void ps2_keyboard_reset(struct ps2_keyboard *keyboard);
void ps2_keyboard_state(struct ps2_keyboard *keyboard, struct state *state);

struct ps2_port *ps2_keyboard_port(struct ps2_keyboard *keyboard);
/* A byte from the host: a command, or a parameter of one. */
void ps2_keyboard_write(struct ps2_keyboard *keyboard, uint8_t byte);
