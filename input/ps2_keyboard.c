#include "ps2_keyboard.h"

#include <string.h>

#include "../vmm/state.h"
#include "../vmm/vm.h"
#include "ps2_keymap.h"

/* A real keyboard's buffer: what does not fit into it is lost, and an overrun code says so. */
#define BUFFER_SIZE 16
#define CODES 256 /* evdev codes that a PS/2 keyboard could have */
#define LONGEST_SEQUENCE 8

/* From here on bytes are commands; below they are parameters. */
#define FIRST_COMMAND 0xED

/* How a key behaves in set 3; in the others every key has all of it. */
#define MODE_REPEAT (1 << 0)
#define MODE_BREAK (1 << 1)
#define MODE_ALL (MODE_REPEAT | MODE_BREAK)

#define DEFAULT_TYPEMATIC 0x2B /* 500 ms, then 10.9 a second */

struct ps2_keyboard {
	struct vm *vm;
	struct input_router *router;
	struct input_sink sink;
	struct ps2_port port;
	struct timer typematic;
	uint8_t command; /* that waits for its parameter, or 0 */
	bool scanning;
	uint8_t set;
	uint8_t leds;
	uint8_t rate_delay;
	uint8_t modes[256];    /* MODE_*, by set 3 code */
	uint8_t down[CODES / 8]; /* keys whose make code was queued and whose break code was not */
	uint16_t repeating;    /* evdev code of the last key pressed, while it is down; 0: none */
};

static struct ps2_keyboard *from_sink(struct input_sink *sink)
{
	return (struct ps2_keyboard *)((char *)sink - G_STRUCT_OFFSET(struct ps2_keyboard, sink));
}

static bool is_down(const struct ps2_keyboard *keyboard, unsigned code)
{
	return keyboard->down[code / 8] & 1u << code % 8;
}

static void set_down(struct ps2_keyboard *keyboard, unsigned code, bool down)
{
	uint8_t bit = (uint8_t)(1u << code % 8);

	if (down)
		keyboard->down[code / 8] |= bit;
	else
		keyboard->down[code / 8] &= (uint8_t)~bit;
}

/* Scan code sequences, as they are in set 2. */

struct sequence {
	uint8_t bytes[LONGEST_SEQUENCE];
	unsigned count;
};

static void add(struct sequence *sequence, const uint8_t *bytes, unsigned count)
{
	memcpy(sequence->bytes + sequence->count, bytes, count);
	sequence->count += count;
}
#define ADD(sequence, ...) add(sequence, (const uint8_t[]){ __VA_ARGS__ }, sizeof(const uint8_t[]){ __VA_ARGS__ })

static bool control_down(const struct ps2_keyboard *keyboard)
{
	return is_down(keyboard, KEY_LEFTCTRL) || is_down(keyboard, KEY_RIGHTCTRL);
}

/* Pause gives everything at once; with Ctrl it is Break. */
static void pause_sequence(const struct ps2_keyboard *keyboard, bool press, struct sequence *sequence)
{
	if (!press)
		return;
	if (control_down(keyboard))
		ADD(sequence, 0xE0, 0x7E, 0xE0, 0xF0, 0x7E);
	else
		ADD(sequence, 0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77);
}

/* Print with a pretended shift; with Alt the key is SysRq. */
static void print_sequence(const struct ps2_keyboard *keyboard, bool press, struct sequence *sequence)
{
	bool shift = is_down(keyboard, KEY_LEFTSHIFT) || is_down(keyboard, KEY_RIGHTSHIFT);

	if (is_down(keyboard, KEY_LEFTALT) || is_down(keyboard, KEY_RIGHTALT)) {
		if (!press)
			ADD(sequence, 0xF0);
		ADD(sequence, 0x84);
	} else if (shift || control_down(keyboard)) {
		if (press)
			ADD(sequence, 0xE0, 0x7C);
		else
			ADD(sequence, 0xE0, 0xF0, 0x7C);
	} else {
		if (press)
			ADD(sequence, 0xE0, 0x12, 0xE0, 0x7C);
		else
			ADD(sequence, 0xE0, 0xF0, 0x7C, 0xE0, 0xF0, 0x12);
	}
}

static void set2_sequence(const struct ps2_keyboard *keyboard, unsigned code, bool press, struct sequence *sequence)
{
	const struct ps2_key *key = ps2_find_key(code);

	if (code == KEY_PAUSE) {
		pause_sequence(keyboard, press, sequence);
	} else if (code == KEY_SYSRQ) {
		print_sequence(keyboard, press, sequence);
	} else {
		if (key->extended)
			ADD(sequence, 0xE0);
		if (!press)
			ADD(sequence, 0xF0);
		ADD(sequence, key->set2);
	}
}

static void set3_sequence(const struct ps2_keyboard *keyboard, unsigned code, bool press, struct sequence *sequence)
{
	const struct ps2_key *key = ps2_find_key(code);

	if (!key->set3 || (!press && !(keyboard->modes[key->set3] & MODE_BREAK)))
		return;
	if (!press)
		ADD(sequence, 0xF0);
	ADD(sequence, key->set3);
}

/* Set 1 is what the controller's translation makes of set 2, prefixes included. */
static void translate_sequence(struct sequence *sequence)
{
	unsigned count = 0;
	bool release = false;

	for (unsigned i = 0; i < sequence->count; i++)
		count += ps2_translate(sequence->bytes[i], &release, &sequence->bytes[count]);
	sequence->count = count;
}

static void make_sequence(const struct ps2_keyboard *keyboard, unsigned code, bool press, struct sequence *sequence)
{
	sequence->count = 0;
	if (keyboard->set == 3)
		set3_sequence(keyboard, code, press, sequence);
	else
		set2_sequence(keyboard, code, press, sequence);
	if (keyboard->set == 1)
		translate_sequence(sequence);
}

/* Typematic repeat */

static uint64_t typematic_delay(const struct ps2_keyboard *keyboard)
{
	return ((keyboard->rate_delay >> 5 & 3) + 1) * 250000000ull;
}

/* (8 + A) * 2^B * 4.17 ms */
static uint64_t typematic_period(const struct ps2_keyboard *keyboard)
{
	unsigned a = keyboard->rate_delay & 7, b = keyboard->rate_delay >> 3 & 3;

	return (8ull + a) * (1u << b) * 4170000;
}

static bool key_repeats(const struct ps2_keyboard *keyboard, unsigned code)
{
	if (code == KEY_PAUSE)
		return false;
	return keyboard->set != 3 || keyboard->modes[ps2_find_key(code)->set3] & MODE_REPEAT;
}

static void stop_repeat(struct ps2_keyboard *keyboard)
{
	keyboard->repeating = 0;
	timer_cancel(&keyboard->typematic);
}

static void start_repeat(struct ps2_keyboard *keyboard, unsigned code)
{
	stop_repeat(keyboard);
	if (!key_repeats(keyboard, code))
		return;
	keyboard->repeating = (uint16_t)code;
	timer_set(&keyboard->typematic, clock_now(&keyboard->vm->clock) + typematic_delay(keyboard));
}

/* A repeat that finds no room is not an overrun: the guest misses nothing. */
static void repeat(void *opaque)
{
	struct ps2_keyboard *keyboard = opaque;
	struct sequence sequence;

	make_sequence(keyboard, keyboard->repeating, true, &sequence);
	ps2_port_queue(&keyboard->port, sequence.bytes, sequence.count, BUFFER_SIZE);
	timer_set(&keyboard->typematic, clock_now(&keyboard->vm->clock) + typematic_period(keyboard));
}

/* Keys from the router */

static void press_key(struct ps2_keyboard *keyboard, unsigned code)
{
	const uint8_t overrun = keyboard->set == 1 ? 0xFF : 0x00;
	struct sequence sequence;

	make_sequence(keyboard, code, true, &sequence);
	if (ps2_port_queue(&keyboard->port, sequence.bytes, sequence.count, BUFFER_SIZE)) {
		set_down(keyboard, code, true);
		if (sequence.count)
			start_repeat(keyboard, code);
	} else if (keyboard->port.events.count <= BUFFER_SIZE) {
		ps2_port_queue(&keyboard->port, &overrun, 1, BUFFER_SIZE + 1);
	}
}

/*
 * A break code goes beyond the buffer's size if it must, so that no key sticks: no make codes are queued meanwhile,
 * so there is never more than one for each key.
 */
static void release_key(struct ps2_keyboard *keyboard, unsigned code)
{
	struct sequence sequence;

	if (keyboard->repeating == code)
		stop_repeat(keyboard);
	if (!is_down(keyboard, code))
		return;
	make_sequence(keyboard, code, false, &sequence);
	set_down(keyboard, code, false);
	ps2_port_queue(&keyboard->port, sequence.bytes, sequence.count, PS2_EVENTS);
}

static void keyboard_event(struct input_sink *sink, const struct input_event *event)
{
	struct ps2_keyboard *keyboard = from_sink(sink);

	if (event->type != EV_KEY || event->code >= CODES || !ps2_find_key(event->code))
		return;
	if (!keyboard->scanning) {
		if (!event->value)
			set_down(keyboard, event->code, false);
		return;
	}
	if (event->value)
		press_key(keyboard, event->code);
	else
		release_key(keyboard, event->code);
}

static bool keyboard_ready(struct input_sink *sink)
{
	const struct ps2_port *port = &from_sink(sink)->port;

	return !port->unread && !ps2_port_has_data(port);
}

/* Commands */

static void respond(struct ps2_keyboard *keyboard, uint8_t byte)
{
	ps2_port_respond(&keyboard->port, &byte, 1);
}

static void set_leds(struct ps2_keyboard *keyboard, uint8_t leds)
{
	keyboard->leds = leds & 7;
	input_router_set_leds(keyboard->router, keyboard->leds);
}

static void set_all_modes(struct ps2_keyboard *keyboard, uint8_t mode)
{
	memset(keyboard->modes, mode, sizeof keyboard->modes);
}

static void set_default_modes(struct ps2_keyboard *keyboard)
{
	static const uint8_t by_class[] = {
		[PS2_KEY_TYPEMATIC] = MODE_REPEAT,
		[PS2_KEY_MAKE_BREAK] = MODE_BREAK,
		[PS2_KEY_MAKE] = 0,
	};

	set_all_modes(keyboard, MODE_REPEAT);
	for (unsigned code = 0; code < CODES; code++) {
		const struct ps2_key *key = ps2_find_key(code);

		if (key && key->set3)
			keyboard->modes[key->set3] = by_class[key->set3_class];
	}
}

static void set_defaults(struct ps2_keyboard *keyboard)
{
	stop_repeat(keyboard);
	ps2_port_clear_events(&keyboard->port);
	keyboard->command = 0;
	keyboard->set = 2;
	keyboard->rate_delay = DEFAULT_TYPEMATIC;
	set_default_modes(keyboard);
}

void ps2_keyboard_reset(struct ps2_keyboard *keyboard)
{
	ps2_port_clear(&keyboard->port);
	set_defaults(keyboard);
	keyboard->scanning = true;
	keyboard->port.last = 0;
	memset(keyboard->down, 0, sizeof keyboard->down);
	set_leds(keyboard, 0);
}

static void select_set(struct ps2_keyboard *keyboard, uint8_t set)
{
	if (set > 3) {
		respond(keyboard, PS2_RESEND);
		return;
	}
	respond(keyboard, PS2_ACK);
	if (!set) {
		respond(keyboard, keyboard->set);
		return;
	}
	stop_repeat(keyboard);
	ps2_port_clear_events(&keyboard->port);
	keyboard->set = set;
}

static void write_parameter(struct ps2_keyboard *keyboard, uint8_t command, uint8_t byte)
{
	keyboard->command = 0;
	switch (command) {
	case 0xED:
		set_leds(keyboard, byte);
		respond(keyboard, PS2_ACK);
		break;
	case 0xF0:
		select_set(keyboard, byte);
		break;
	case 0xF3:
		keyboard->rate_delay = byte & 0x7F;
		respond(keyboard, PS2_ACK);
		break;
	case 0xFB: /* a list of keys that the next command ends */
	case 0xFC:
	case 0xFD:
		keyboard->modes[byte] = command == 0xFB ? MODE_REPEAT : command == 0xFC ? MODE_BREAK : 0;
		keyboard->command = command;
		respond(keyboard, PS2_ACK);
		break;
	}
}

static void write_command(struct ps2_keyboard *keyboard, uint8_t byte)
{
	static const uint8_t id[] = { PS2_ACK, 0xAB, 0x83 };
	static const uint8_t reset[] = { PS2_ACK, PS2_SELF_TEST_PASSED };
	static const uint8_t all_modes[] = { MODE_REPEAT, MODE_BREAK, 0, MODE_ALL }; /* F7 to FA */

	keyboard->command = 0;
	switch (byte) {
	case 0xEE: /* echo, the only command without ACK but resend */
		respond(keyboard, 0xEE);
		return;
	case 0xF2:
		ps2_port_respond(&keyboard->port, id, sizeof id);
		return;
	case 0xFE:
		respond(keyboard, keyboard->port.last);
		return;
	case 0xFF:
		ps2_keyboard_reset(keyboard);
		ps2_port_respond(&keyboard->port, reset, sizeof reset);
		return;
	case 0xED:
	case 0xF0:
	case 0xF3:
		keyboard->command = byte;
		break;
	case 0xFB:
	case 0xFC:
	case 0xFD:
		keyboard->command = byte;
		stop_repeat(keyboard);
		break;
	case 0xF4:
		stop_repeat(keyboard);
		ps2_port_clear_events(&keyboard->port);
		keyboard->scanning = true;
		break;
	case 0xF5:
		set_defaults(keyboard);
		keyboard->scanning = false;
		break;
	case 0xF6:
		set_defaults(keyboard);
		break;
	case 0xF7:
	case 0xF8:
	case 0xF9:
	case 0xFA:
		set_all_modes(keyboard, all_modes[byte - 0xF7]);
		break;
	default:
		respond(keyboard, PS2_RESEND);
		return;
	}
	respond(keyboard, PS2_ACK);
}

void ps2_keyboard_write(struct ps2_keyboard *keyboard, uint8_t byte)
{
	if (keyboard->command && byte < FIRST_COMMAND)
		write_parameter(keyboard, keyboard->command, byte);
	else
		write_command(keyboard, byte);
}

struct ps2_port *ps2_keyboard_port(struct ps2_keyboard *keyboard)
{
	return &keyboard->port;
}

void ps2_keyboard_state(struct ps2_keyboard *keyboard, struct state *state)
{
	ps2_port_state(&keyboard->port, state, "keyboard");
	state_u8(state, "keyboard.command", &keyboard->command);
	state_bool(state, "keyboard.scanning", &keyboard->scanning);
	state_u8(state, "keyboard.set", &keyboard->set);
	state_u8(state, "keyboard.leds", &keyboard->leds);
	state_u8(state, "keyboard.rate_delay", &keyboard->rate_delay);
	state_bytes(state, "keyboard.modes", keyboard->modes, sizeof keyboard->modes);
	state_bytes(state, "keyboard.down", keyboard->down, sizeof keyboard->down);
	if (!state_loading(state))
		return;
	if (keyboard->set < 1 || keyboard->set > 3) {
		state_fail(state, "scan code set %u", keyboard->set);
		keyboard->set = 2;
	}
	keyboard->rate_delay &= 0x7F;
	/* Whose finger it was is gone: a key that was down is let go by the router, and repeats no more. */
	stop_repeat(keyboard);
	set_leds(keyboard, keyboard->leds);
}

struct ps2_keyboard *ps2_keyboard_new(struct vm *vm, struct input_router *router)
{
	struct ps2_keyboard *keyboard = g_new0(struct ps2_keyboard, 1);

	keyboard->vm = vm;
	keyboard->router = router;
	timer_init(&keyboard->typematic, &vm->clock, repeat, keyboard);
	keyboard->sink = (struct input_sink){
		.name = "PS/2 keyboard",
		.kinds = INPUT_KEYBOARD,
		.active = true,
		.event = keyboard_event,
		.ready = keyboard_ready,
	};
	ps2_keyboard_reset(keyboard);
	input_router_add(router, &keyboard->sink);
	return keyboard;
}

void ps2_keyboard_free(struct ps2_keyboard *keyboard)
{
	input_router_remove(keyboard->router, &keyboard->sink);
	timer_cancel(&keyboard->typematic);
	g_free(keyboard);
}
