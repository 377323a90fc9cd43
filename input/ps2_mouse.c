#include "ps2_mouse.h"

#include <string.h>

#include "../vmm/state.h"
#include "../vmm/vm.h"

/* Packets that wait for the guest: enough for the clicks of a busy moment. */
#define PACKETS 8
#define LONGEST_PACKET 4
#define BUFFER_SIZE (PACKETS * LONGEST_PACKET)

/* Motion that waits for the guest is bounded, as a real mouse's counters are. */
#define MOTION_MAX 2048
#define WHEEL_MAX 64

#define DEFAULT_RATE 100      /* reports a second */
#define DEFAULT_RESOLUTION 2  /* 2^2 counts/mm */

enum mouse_id { ID_STANDARD = 0, ID_INTELLIMOUSE = 3, ID_EXPLORER = 4 };

enum mouse_mode { MODE_STREAM, MODE_REMOTE };

/* Bits of the first byte of a packet and of the status; side and extra go to the fourth byte of an Explorer's. */
#define BUTTON_LEFT (1 << 0)
#define BUTTON_RIGHT (1 << 1)
#define BUTTON_MIDDLE (1 << 2)
#define BUTTON_SIDE (1 << 3)
#define BUTTON_EXTRA (1 << 4)
#define PACKET_ALWAYS_1 (1 << 3)
#define PACKET_X_SIGN (1 << 4)
#define PACKET_Y_SIGN (1 << 5)

#define STATUS_RIGHT (1 << 0)
#define STATUS_MIDDLE (1 << 1)
#define STATUS_LEFT (1 << 2)
#define STATUS_SCALING (1 << 4)
#define STATUS_ENABLED (1 << 5)
#define STATUS_REMOTE (1 << 6)

struct ps2_mouse {
	struct vm *vm;
	struct input_router *router;
	struct input_sink sink;
	struct ps2_port port;
	struct timer sample; /* end of the pause that the sample rate demands */
	uint8_t command;     /* that waits for its parameter, or 0 */
	uint8_t mode;
	bool wrap;    /* echoes everything */
	bool enabled; /* reports in stream mode */
	bool scaling; /* 2:1 */
	bool rejected; /* the last byte was answered with FE */
	uint8_t id;
	uint8_t resolution;
	uint8_t rate;
	uint8_t rates[2];   /* set before the present one: the knock */
	uint8_t buttons;    /* as pressed now */
	uint8_t reported;   /* as in the last packet */
	int32_t x, y, wheel; /* since the last packet; y up, wheel towards the user */
};

static struct ps2_mouse *from_sink(struct input_sink *sink)
{
	return (struct ps2_mouse *)((char *)sink - G_STRUCT_OFFSET(struct ps2_mouse, sink));
}

/* Packets */

/* IBM PS/2 technical reference, "Scaling": small motions stay, larger ones double. */
static int32_t scale(int32_t motion)
{
	static const int32_t small[] = { 0, 1, 1, 3, 6, 9 };
	int32_t size = ABS(motion);

	size = size < (int32_t)G_N_ELEMENTS(small) ? small[size] : size * 2;
	return motion < 0 ? -size : size;
}

/* Takes at most limit from what has piled up: the rest goes with the next packet, so counters never overflow. */
static int32_t take(int32_t *motion, int32_t low, int32_t high)
{
	int32_t part = CLAMP(*motion, low, high);

	*motion -= part;
	return part;
}

static unsigned make_packet(struct ps2_mouse *mouse, bool scaled, uint8_t packet[LONGEST_PACKET])
{
	/* 2:1 must stay within the 9 bits too. */
	int32_t high = scaled ? 127 : 255, low = scaled ? -128 : -256;
	int32_t x = take(&mouse->x, low, high), y = take(&mouse->y, low, high), wheel;

	if (scaled) {
		x = scale(x);
		y = scale(y);
	}
	packet[0] = (uint8_t)(PACKET_ALWAYS_1 | (mouse->buttons & (BUTTON_LEFT | BUTTON_RIGHT | BUTTON_MIDDLE)) |
			      (x < 0 ? PACKET_X_SIGN : 0) | (y < 0 ? PACKET_Y_SIGN : 0));
	packet[1] = (uint8_t)x;
	packet[2] = (uint8_t)y;
	mouse->reported = mouse->buttons;
	if (mouse->id == ID_STANDARD) {
		mouse->wheel = 0;
		return 3;
	}
	wheel = take(&mouse->wheel, -8, 7);
	packet[3] = (uint8_t)wheel;
	if (mouse->id == ID_EXPLORER)
		packet[3] = (uint8_t)((wheel & 0x0F) | (mouse->buttons & BUTTON_SIDE ? 0x10 : 0) |
				      (mouse->buttons & BUTTON_EXTRA ? 0x20 : 0));
	return 4;
}

static bool has_news(const struct ps2_mouse *mouse)
{
	return mouse->x || mouse->y || mouse->wheel || mouse->buttons != mouse->reported;
}

/*
 * Sends what there is to say: a change of buttons at once and in order, motion at the sample rate and only when the
 * guest has read the packet before, so that a slow guest gets fewer packets rather than old ones.
 */
static void report(struct ps2_mouse *mouse)
{
	uint8_t packet[LONGEST_PACKET];
	unsigned count;

	if (mouse->mode != MODE_STREAM || !mouse->enabled || mouse->wrap || !has_news(mouse))
		return;
	if (mouse->buttons == mouse->reported && (mouse->sample.pending || mouse->port.events.count))
		return;
	if (mouse->port.events.count + LONGEST_PACKET > BUFFER_SIZE)
		return;
	timer_set(&mouse->sample, clock_now(&mouse->vm->clock) + NSEC_PER_SEC / MAX(mouse->rate, 10));
	count = make_packet(mouse, mouse->scaling, packet);
	ps2_port_queue(&mouse->port, packet, count, BUFFER_SIZE);
}

static void sample_over(void *opaque)
{
	report(opaque);
}

void ps2_mouse_taken(struct ps2_mouse *mouse)
{
	report(mouse);
}

/* Events from the router */

static void move(int32_t *counter, int32_t by, int32_t limit)
{
	int64_t sum = (int64_t)*counter + by;

	*counter = (int32_t)CLAMP(sum, -limit, limit);
}

static void motion_event(struct ps2_mouse *mouse, unsigned code, int32_t value)
{
	/* evdev's y grows downwards, its wheel away from the user. */
	int32_t back = value == INT32_MIN ? INT32_MAX : -value;

	if (code == REL_X)
		move(&mouse->x, value, MOTION_MAX);
	else if (code == REL_Y)
		move(&mouse->y, back, MOTION_MAX);
	else if (code == REL_WHEEL)
		move(&mouse->wheel, back, WHEEL_MAX);
}

static unsigned button_bit(unsigned code)
{
	switch (code) {
	case BTN_LEFT:
		return BUTTON_LEFT;
	case BTN_RIGHT:
		return BUTTON_RIGHT;
	case BTN_MIDDLE:
		return BUTTON_MIDDLE;
	case BTN_SIDE:
	case BTN_BACK:
		return BUTTON_SIDE;
	case BTN_EXTRA:
	case BTN_FORWARD:
		return BUTTON_EXTRA;
	}
	return 0;
}

static void mouse_event(struct input_sink *sink, const struct input_event *event)
{
	struct ps2_mouse *mouse = from_sink(sink);

	if (event->type == EV_REL)
		motion_event(mouse, event->code, event->value);
	else if (event->type == EV_KEY && event->value)
		mouse->buttons |= (uint8_t)button_bit(event->code);
	else if (event->type == EV_KEY)
		mouse->buttons &= (uint8_t)~button_bit(event->code);
	/* A button's change is a report of its own: two within one group must not cancel each other. */
	if (event->type == EV_SYN || event->type == EV_KEY)
		report(mouse);
}

static bool mouse_ready(struct input_sink *sink)
{
	struct ps2_mouse *mouse = from_sink(sink);

	return !mouse->port.unread && !ps2_port_has_data(&mouse->port) && !has_news(mouse);
}

static void update_active(struct ps2_mouse *mouse)
{
	input_sink_set_active(mouse->router, &mouse->sink, mouse->enabled || mouse->mode == MODE_REMOTE);
}

/* Commands */

static void respond(struct ps2_mouse *mouse, uint8_t byte)
{
	ps2_port_respond(&mouse->port, &byte, 1);
}

/* Also what every command that sets something does to motion not yet reported. */
static void forget_motion(struct ps2_mouse *mouse)
{
	ps2_port_clear_events(&mouse->port);
	timer_cancel(&mouse->sample);
	mouse->x = mouse->y = mouse->wheel = 0;
	mouse->reported = mouse->buttons;
}

static void set_defaults(struct ps2_mouse *mouse)
{
	forget_motion(mouse);
	mouse->command = 0;
	mouse->mode = MODE_STREAM;
	mouse->wrap = false;
	mouse->enabled = false;
	mouse->scaling = false;
	mouse->resolution = DEFAULT_RESOLUTION;
	mouse->rate = DEFAULT_RATE;
	update_active(mouse);
}

void ps2_mouse_reset(struct ps2_mouse *mouse)
{
	ps2_port_clear(&mouse->port);
	mouse->port.last = 0;
	mouse->id = ID_STANDARD;
	mouse->rejected = false;
	memset(mouse->rates, 0, sizeof mouse->rates);
	set_defaults(mouse);
}

static void send_status(struct ps2_mouse *mouse)
{
	uint8_t status = (uint8_t)((mouse->buttons & BUTTON_LEFT ? STATUS_LEFT : 0) |
				   (mouse->buttons & BUTTON_RIGHT ? STATUS_RIGHT : 0) |
				   (mouse->buttons & BUTTON_MIDDLE ? STATUS_MIDDLE : 0) |
				   (mouse->scaling ? STATUS_SCALING : 0) | (mouse->enabled ? STATUS_ENABLED : 0) |
				   (mouse->mode == MODE_REMOTE ? STATUS_REMOTE : 0));
	const uint8_t bytes[] = { PS2_ACK, status, mouse->resolution, mouse->rate };

	ps2_port_respond(&mouse->port, bytes, sizeof bytes);
}

static void send_data(struct ps2_mouse *mouse)
{
	uint8_t bytes[1 + LONGEST_PACKET] = { PS2_ACK };
	unsigned count = make_packet(mouse, false, bytes + 1);

	ps2_port_respond(&mouse->port, bytes, 1 + count);
}

/* Microsoft's "Mouse wheel protocol": 200, 100, 80 makes an IntelliMouse, 200, 200, 80 an Explorer. */
static void set_rate(struct ps2_mouse *mouse, uint8_t rate)
{
	if (mouse->rates[0] == 200 && rate == 80) {
		if (mouse->rates[1] == 100 && mouse->id == ID_STANDARD)
			mouse->id = ID_INTELLIMOUSE;
		else if (mouse->rates[1] == 200)
			mouse->id = ID_EXPLORER;
	}
	mouse->rates[0] = mouse->rates[1];
	mouse->rates[1] = rate;
	mouse->rate = rate;
}

static bool valid_rate(uint8_t rate)
{
	static const uint8_t rates[] = { 10, 20, 40, 60, 80, 100, 200 };

	return memchr(rates, rate, sizeof rates);
}

/* FE asks the host to repeat; the second bad byte in a row is FC. */
static void reject(struct ps2_mouse *mouse)
{
	respond(mouse, mouse->rejected ? PS2_ERROR : PS2_RESEND);
	mouse->rejected = !mouse->rejected;
}

/* A bad value is asked for again; what is no value at all but a command is for write_command(). */
static bool write_parameter(struct ps2_mouse *mouse, uint8_t byte)
{
	uint8_t command = mouse->command;
	bool valid = command == 0xE8 ? byte <= 3 : valid_rate(byte);

	if (byte >= 0xE6) {
		mouse->command = 0;
		return false;
	}
	if (!valid) {
		if (mouse->rejected)
			mouse->command = 0;
		reject(mouse);
		return true;
	}
	mouse->command = 0;
	mouse->rejected = false;
	if (command == 0xE8)
		mouse->resolution = byte;
	else
		set_rate(mouse, byte);
	respond(mouse, PS2_ACK);
	return true;
}

static void set_mode(struct ps2_mouse *mouse, enum mouse_mode mode)
{
	forget_motion(mouse);
	mouse->mode = mode;
	update_active(mouse);
}

static void set_enabled(struct ps2_mouse *mouse, bool enabled)
{
	forget_motion(mouse);
	mouse->enabled = enabled;
	update_active(mouse);
}

/* Commands that do something and are acknowledged; false: there is no such command. */
static bool do_command(struct ps2_mouse *mouse, uint8_t byte)
{
	switch (byte) {
	case 0xE6:
	case 0xE7:
		mouse->scaling = byte == 0xE7;
		return true;
	case 0xE8:
	case 0xF3:
		mouse->command = byte;
		return true;
	case 0xEA:
		set_mode(mouse, MODE_STREAM);
		return true;
	case 0xEC: /* leaves wrap mode, in which we are not */
		return true;
	case 0xEE:
		forget_motion(mouse);
		mouse->wrap = true;
		return true;
	case 0xF0:
		set_mode(mouse, MODE_REMOTE);
		return true;
	case 0xF4:
	case 0xF5:
		set_enabled(mouse, byte == 0xF4);
		return true;
	case 0xF6:
		set_defaults(mouse);
		return true;
	}
	return false;
}

static void write_command(struct ps2_mouse *mouse, uint8_t byte)
{
	static const uint8_t reset[] = { PS2_ACK, PS2_SELF_TEST_PASSED, ID_STANDARD };
	const uint8_t id[] = { PS2_ACK, mouse->id };

	switch (byte) {
	case 0xE9:
		send_status(mouse);
		break;
	case 0xEB:
		send_data(mouse);
		break;
	case 0xF2:
		ps2_port_respond(&mouse->port, id, sizeof id);
		break;
	case 0xFE:
		respond(mouse, mouse->port.last);
		break;
	case 0xFF:
		ps2_mouse_reset(mouse);
		ps2_port_respond(&mouse->port, reset, sizeof reset);
		break;
	default:
		if (!do_command(mouse, byte)) {
			reject(mouse);
			return;
		}
		respond(mouse, PS2_ACK);
	}
	mouse->rejected = false;
}

void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte)
{
	if (mouse->wrap && byte != 0xFF && byte != 0xEC) {
		respond(mouse, byte);
		return;
	}
	mouse->wrap = false;
	if (!mouse->command || !write_parameter(mouse, byte))
		write_command(mouse, byte);
}

struct ps2_port *ps2_mouse_port(struct ps2_mouse *mouse)
{
	return &mouse->port;
}

static void state_i32(struct state *state, const char *name, int32_t *value, int32_t limit)
{
	uint32_t stored = (uint32_t)*value;

	state_u32(state, name, &stored);
	*value = (int32_t)stored;
	if (*value < -limit || *value > limit) {
		state_fail(state, "%s is %d", name, *value);
		*value = 0;
	}
}

void ps2_mouse_state(struct ps2_mouse *mouse, struct state *state)
{
	ps2_port_state(&mouse->port, state, "mouse");
	state_u8(state, "mouse.command", &mouse->command);
	state_u8(state, "mouse.mode", &mouse->mode);
	state_bool(state, "mouse.wrap", &mouse->wrap);
	state_bool(state, "mouse.enabled", &mouse->enabled);
	state_bool(state, "mouse.scaling", &mouse->scaling);
	state_bool(state, "mouse.rejected", &mouse->rejected);
	state_u8(state, "mouse.id", &mouse->id);
	state_u8(state, "mouse.resolution", &mouse->resolution);
	state_u8(state, "mouse.rate", &mouse->rate);
	state_bytes(state, "mouse.rates", mouse->rates, sizeof mouse->rates);
	state_u8(state, "mouse.buttons", &mouse->buttons);
	state_u8(state, "mouse.reported", &mouse->reported);
	state_i32(state, "mouse.x", &mouse->x, MOTION_MAX);
	state_i32(state, "mouse.y", &mouse->y, MOTION_MAX);
	state_i32(state, "mouse.wheel", &mouse->wheel, WHEEL_MAX);
	if (!state_loading(state))
		return;
	if (mouse->mode > MODE_REMOTE || (mouse->command && mouse->command != 0xE8 && mouse->command != 0xF3)) {
		state_fail(state, "mouse mode %u, command %#x", mouse->mode, mouse->command);
		mouse->mode = MODE_STREAM;
		mouse->command = 0;
	}
	timer_cancel(&mouse->sample);
	update_active(mouse);
}

struct ps2_mouse *ps2_mouse_new(struct vm *vm, struct input_router *router)
{
	struct ps2_mouse *mouse = g_new0(struct ps2_mouse, 1);

	mouse->vm = vm;
	mouse->router = router;
	timer_init(&mouse->sample, &vm->clock, sample_over, mouse);
	mouse->sink = (struct input_sink){
		.name = "PS/2 mouse",
		.kinds = INPUT_MOUSE,
		.event = mouse_event,
		.ready = mouse_ready,
	};
	input_router_add(router, &mouse->sink);
	ps2_mouse_reset(mouse);
	return mouse;
}

void ps2_mouse_free(struct ps2_mouse *mouse)
{
	input_router_remove(mouse->router, &mouse->sink);
	timer_cancel(&mouse->sample);
	g_free(mouse);
}
