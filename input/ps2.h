/*
 * What a PS/2 keyboard and a PS/2 mouse have in common: the bytes that they have for the controller: answers to
 * the host's commands go first, what the user did follows. All calls need vm->lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state;

#define PS2_RESPONSES 16
#define PS2_EVENTS 512

#define PS2_ACK 0xFA
#define PS2_RESEND 0xFE
#define PS2_ERROR 0xFC
#define PS2_SELF_TEST_PASSED 0xAA

struct ps2_queue {
	uint8_t data[PS2_EVENTS];
	uint16_t first, count;
};

struct ps2_port {
	struct ps2_queue responses; /* holds at most PS2_RESPONSES */
	struct ps2_queue events;
	uint8_t last; /* what command FE (resend) sends again */
	bool unread;  /* the controller's: its output buffer holds a byte of this port */
	/* The controller is told when there is something to take where there was nothing. */
	void (*changed)(void *opaque);
	void *opaque;
};

/* Bytes that do not fit are dropped: the guest sends commands and does not take the answers. */
void ps2_port_respond(struct ps2_port *port, const uint8_t *bytes, unsigned count);
/* False, and nothing queued, if the events would then be more than limit bytes. */
bool ps2_port_queue(struct ps2_port *port, const uint8_t *bytes, unsigned count, unsigned limit);
void ps2_port_clear_events(struct ps2_port *port);
void ps2_port_clear(struct ps2_port *port);

bool ps2_port_has_data(const struct ps2_port *port);
/* The next byte; the port must have one. */
uint8_t ps2_port_take(struct ps2_port *port);

/* prefix names the fields: "keyboard". */
void ps2_port_state(struct ps2_port *port, struct state *state, const char *prefix);
