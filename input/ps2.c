#include "ps2.h"

#include <glib.h>
#include <string.h>

#include "../vmm/state.h"

static bool push(struct ps2_queue *queue, const uint8_t *bytes, unsigned count, unsigned limit)
{
	if (queue->count + count > limit)
		return false;
	for (unsigned i = 0; i < count; i++)
		queue->data[(queue->first + queue->count++) % PS2_EVENTS] = bytes[i];
	return true;
}

static uint8_t pop(struct ps2_queue *queue)
{
	uint8_t byte = queue->data[queue->first];

	queue->first = (uint16_t)((queue->first + 1) % PS2_EVENTS);
	queue->count--;
	return byte;
}

static void tell(struct ps2_port *port)
{
	if (port->changed)
		port->changed(port->opaque);
}

void ps2_port_respond(struct ps2_port *port, const uint8_t *bytes, unsigned count)
{
	if (push(&port->responses, bytes, count, PS2_RESPONSES))
		tell(port);
}

bool ps2_port_queue(struct ps2_port *port, const uint8_t *bytes, unsigned count, unsigned limit)
{
	if (!push(&port->events, bytes, count, MIN(limit, PS2_EVENTS)))
		return false;
	tell(port);
	return true;
}

void ps2_port_clear_events(struct ps2_port *port)
{
	port->events.first = port->events.count = 0;
}

void ps2_port_clear(struct ps2_port *port)
{
	port->responses.first = port->responses.count = 0;
	ps2_port_clear_events(port);
}

bool ps2_port_has_data(const struct ps2_port *port)
{
	return port->responses.count || port->events.count;
}

uint8_t ps2_port_take(struct ps2_port *port)
{
	port->last = pop(port->responses.count ? &port->responses : &port->events);
	return port->last;
}

static void queue_state(struct ps2_queue *queue, struct state *state, const char *prefix, const char *name,
			unsigned limit)
{
	g_autofree char *data = g_strdup_printf("%s.%s", prefix, name);
	g_autofree char *count = g_strdup_printf("%s.%s.count", prefix, name);
	uint8_t bytes[PS2_EVENTS] = { 0 };

	for (unsigned i = 0; i < queue->count; i++)
		bytes[i] = queue->data[(queue->first + i) % PS2_EVENTS];
	state_bytes(state, data, bytes, limit);
	state_u16(state, count, &queue->count);
	if (queue->count > limit) {
		state_fail(state, "%s holds %u bytes", data, queue->count);
		queue->count = 0;
	}
	memcpy(queue->data, bytes, sizeof bytes);
	queue->first = 0;
}

void ps2_port_state(struct ps2_port *port, struct state *state, const char *prefix)
{
	g_autofree char *last = g_strdup_printf("%s.last", prefix);

	queue_state(&port->responses, state, prefix, "responses", PS2_RESPONSES);
	queue_state(&port->events, state, prefix, "events", PS2_EVENTS);
	state_u8(state, last, &port->last);
}
