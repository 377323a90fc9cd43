/*
 * A PS/2 mouse (IBM PS/2 technical reference, "Auxiliary Device/Mouse") that becomes an IntelliMouse (wheel) or an
 * IntelliMouse Explorer (wheel, five buttons) when the guest knocks for one. All calls need vm->lock; the controller
 * owns it.
 */
#pragma once

#include "ps2.h"
#include "router.h"

struct vm;
struct state;
struct ps2_mouse;

/* It joins the router as the mouse of last resort, active while the guest has it enabled. */
struct ps2_mouse *ps2_mouse_new(struct vm *vm, struct input_router *router);
void ps2_mouse_free(struct ps2_mouse *mouse);
void ps2_mouse_reset(struct ps2_mouse *mouse);
void ps2_mouse_state(struct ps2_mouse *mouse, struct state *state);

struct ps2_port *ps2_mouse_port(struct ps2_mouse *mouse);
/* A byte from the host: a command, or a parameter of one. */
void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte);
/* The controller took a byte: there may be room for motion that waited. */
void ps2_mouse_taken(struct ps2_mouse *mouse);
