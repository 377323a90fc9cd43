#include "i8042.h"

#include <string.h>

#include "../vmm/device.h"
#include "../vmm/log.h"
#include "../vmm/state.h"
#include "../vmm/vm.h"
#include "ps2_keyboard.h"
#include "ps2_keymap.h"
#include "ps2_mouse.h"

/* IBM PS/2 technical reference, "Keyboard and Auxiliary Device Controller". */
#define IRQ_KEYBOARD 1
#define IRQ_AUX 12

#define STATUS_OUTPUT_FULL (1 << 0)
#define STATUS_SYSTEM_FLAG (1 << 2)
#define STATUS_COMMAND (1 << 3)  /* the last write went to port 64 */
#define STATUS_UNLOCKED (1 << 4) /* the key lock is open */
#define STATUS_AUX_DATA (1 << 5)

/* The command byte is byte 0 of the controller's RAM. */
#define COMMAND_BYTE 0
#define CTR_KEYBOARD_INTERRUPT (1 << 0)
#define CTR_AUX_INTERRUPT (1 << 1)
#define CTR_SYSTEM_FLAG (1 << 2)
#define CTR_KEYBOARD_DISABLED (1 << 4)
#define CTR_AUX_DISABLED (1 << 5)
#define CTR_TRANSLATE (1 << 6)

#define OUTPUT_PORT_RESET (1 << 0) /* active low */
#define OUTPUT_PORT_A20 (1 << 1)
#define OUTPUT_PORT_IRQ1 (1 << 4)
#define OUTPUT_PORT_IRQ12 (1 << 5)
#define OUTPUT_PORT_LINES 0xCC /* clocks and data of both devices, idle */

#define INPUT_PORT 0xA0 /* keyboard not locked, manufacturing jumper off */

/*
 * A byte takes a device a millisecond on the wire. Software that reads port 60 twice for one interrupt (a hook in
 * front of the BIOS) depends on the next byte not being there at once; a quarter of that time will do.
 */
#define BYTE_TIME 250000

enum source { SOURCE_KEYBOARD, SOURCE_AUX, SOURCE_CONTROLLER };

struct i8042 {
	struct device device;
	struct bus_region data_region, command_region;
	struct irq_source keyboard_irq, aux_irq;
	struct ps2_keyboard *keyboard;
	struct ps2_mouse *mouse;
	struct timer byte_time; /* until a device's next byte may come */
	struct log_limit log;
	uint8_t ram[32];
	uint8_t command;      /* that waits for its byte at port 60, or 0 */
	bool last_was_command;
	bool system_flag;
	bool a20;
	/* Output buffer */
	bool full;
	bool aux_data;
	uint8_t output;
	uint8_t source; /* enum source */
	/* An answer of the controller's own that waits for the output buffer. */
	bool answer_waits;
	bool answer_aux;
	uint8_t answer;
	bool translating_release; /* F0 was seen */
};

static struct i8042 *from_device(struct device *device)
{
	return (struct i8042 *)((char *)device - G_STRUCT_OFFSET(struct i8042, device));
}

/* Output buffer */

static void update_irqs(struct i8042 *i8042)
{
	uint8_t ctr = i8042->ram[COMMAND_BYTE];

	irq_set(&i8042->keyboard_irq, i8042->full && !i8042->aux_data && (ctr & CTR_KEYBOARD_INTERRUPT));
	irq_set(&i8042->aux_irq, i8042->full && i8042->aux_data && (ctr & CTR_AUX_INTERRUPT));
}

static void fill(struct i8042 *i8042, uint8_t byte, enum source source, bool aux)
{
	i8042->full = true;
	i8042->output = byte;
	i8042->source = (uint8_t)source;
	i8042->aux_data = aux;
	ps2_keyboard_port(i8042->keyboard)->unread = source == SOURCE_KEYBOARD;
	ps2_mouse_port(i8042->mouse)->unread = source == SOURCE_AUX;
	update_irqs(i8042);
}

/* Takes a byte of the keyboard; false if it was the prefix F0, which the translation swallows. */
static bool fill_from_keyboard(struct i8042 *i8042)
{
	uint8_t byte = ps2_port_take(ps2_keyboard_port(i8042->keyboard));

	if (i8042->ram[COMMAND_BYTE] & CTR_TRANSLATE) {
		if (!ps2_translate(byte, &i8042->translating_release, &byte))
			return false;
	} else {
		i8042->translating_release = false;
	}
	fill(i8042, byte, SOURCE_KEYBOARD, false);
	return true;
}

static void fill_from_mouse(struct i8042 *i8042)
{
	fill(i8042, ps2_port_take(ps2_mouse_port(i8042->mouse)), SOURCE_AUX, true);
	ps2_mouse_taken(i8042->mouse);
}

/* Puts the next byte into an empty output buffer, if there is one and the time for it has come. */
static void advance(struct i8042 *i8042)
{
	uint8_t ctr = i8042->ram[COMMAND_BYTE];

	if (i8042->full)
		return;
	if (i8042->answer_waits) {
		i8042->answer_waits = false;
		fill(i8042, i8042->answer, SOURCE_CONTROLLER, i8042->answer_aux);
		return;
	}
	if (i8042->byte_time.pending)
		return;
	while (!(ctr & CTR_KEYBOARD_DISABLED) && ps2_port_has_data(ps2_keyboard_port(i8042->keyboard)))
		if (fill_from_keyboard(i8042))
			return;
	if (!(ctr & CTR_AUX_DISABLED) && ps2_port_has_data(ps2_mouse_port(i8042->mouse)))
		fill_from_mouse(i8042);
}

static void byte_time_over(void *opaque)
{
	advance(opaque);
}

static void port_changed(void *opaque)
{
	advance(opaque);
}

static void answer(struct i8042 *i8042, uint8_t byte, bool aux)
{
	i8042->answer_waits = true;
	i8042->answer = byte;
	i8042->answer_aux = aux;
	advance(i8042);
}

static void empty(struct i8042 *i8042)
{
	i8042->full = false;
	ps2_keyboard_port(i8042->keyboard)->unread = false;
	ps2_mouse_port(i8042->mouse)->unread = false;
	update_irqs(i8042);
}

/* Port 60 keeps its last byte: reading it again without a new one gives the same. */
static uint64_t read_data(void *device, uint64_t offset, unsigned size)
{
	struct i8042 *i8042 = device;
	uint8_t byte = i8042->output;

	(void)offset;
	(void)size;
	if (!i8042->full)
		return byte;
	if (i8042->source != SOURCE_CONTROLLER)
		timer_set(&i8042->byte_time, clock_now(&i8042->device.vm->clock) + BYTE_TIME);
	empty(i8042);
	advance(i8042);
	return byte;
}

static uint64_t read_status(void *device, uint64_t offset, unsigned size)
{
	struct i8042 *i8042 = device;

	(void)offset;
	(void)size;
	return STATUS_UNLOCKED | (i8042->full ? STATUS_OUTPUT_FULL : 0u) |
	       (i8042->full && i8042->aux_data ? STATUS_AUX_DATA : 0u) |
	       (i8042->system_flag ? STATUS_SYSTEM_FLAG : 0u) | (i8042->last_was_command ? STATUS_COMMAND : 0u);
}

/* Commands */

static void set_command_byte(struct i8042 *i8042, uint8_t value)
{
	i8042->ram[COMMAND_BYTE] = value;
	i8042->system_flag = value & CTR_SYSTEM_FLAG;
	update_irqs(i8042);
	advance(i8042);
}

static void change_command_byte(struct i8042 *i8042, uint8_t clear, uint8_t set)
{
	i8042->ram[COMMAND_BYTE] = (uint8_t)((i8042->ram[COMMAND_BYTE] & ~clear) | set);
	advance(i8042);
}

static void self_test(struct i8042 *i8042)
{
	empty(i8042);
	i8042->system_flag = true;
	i8042->ram[COMMAND_BYTE] |= CTR_SYSTEM_FLAG;
	answer(i8042, 0x55, false);
}

static uint8_t output_port(const struct i8042 *i8042)
{
	return (uint8_t)(OUTPUT_PORT_LINES | OUTPUT_PORT_RESET | (i8042->a20 ? OUTPUT_PORT_A20 : 0) |
			 (i8042->full && !i8042->aux_data ? OUTPUT_PORT_IRQ1 : 0) |
			 (i8042->full && i8042->aux_data ? OUTPUT_PORT_IRQ12 : 0));
}

static void pull_reset(struct i8042 *i8042)
{
	vm_request(i8042->device.vm, VM_REQUEST_RESET, "keyboard controller");
}

/* Clock lines of keyboard and mouse: low while the interface is disabled. */
static uint8_t test_inputs(const struct i8042 *i8042)
{
	uint8_t ctr = i8042->ram[COMMAND_BYTE];

	return (uint8_t)((ctr & CTR_KEYBOARD_DISABLED ? 0 : 1) | (ctr & CTR_AUX_DISABLED ? 0 : 2));
}

static void do_command(struct i8042 *i8042, uint8_t command)
{
	switch (command) {
	case 0x60 ... 0x7F: /* write the controller's RAM */
	case 0xD1: /* write the output port */
	case 0xD2: /* put a byte into the output buffer as the keyboard's */
	case 0xD3: /* ... as the mouse's */
	case 0xD4: /* send a byte to the mouse */
		i8042->command = command;
		break;
	case 0x20 ... 0x3F:
		answer(i8042, i8042->ram[command & 0x1F], false);
		break;
	case 0xA1: /* firmware version */
		answer(i8042, 0x01, false);
		break;
	case 0xA4: /* is a password installed? */
		answer(i8042, 0xF1, false);
		break;
	case 0xA7:
		change_command_byte(i8042, 0, CTR_AUX_DISABLED);
		break;
	case 0xA8:
		change_command_byte(i8042, CTR_AUX_DISABLED, 0);
		break;
	case 0xA9: /* interface tests: no error */
	case 0xAB:
		answer(i8042, 0x00, false);
		break;
	case 0xAA:
		self_test(i8042);
		break;
	case 0xAD:
		change_command_byte(i8042, 0, CTR_KEYBOARD_DISABLED);
		break;
	case 0xAE:
		change_command_byte(i8042, CTR_KEYBOARD_DISABLED, 0);
		break;
	case 0xC0:
		answer(i8042, INPUT_PORT, false);
		break;
	case 0xD0:
		answer(i8042, output_port(i8042), false);
		break;
	case 0xDD: /* A20 off and on, of many controllers */
	case 0xDF:
		i8042->a20 = command == 0xDF;
		break;
	case 0xE0:
		answer(i8042, test_inputs(i8042), false);
		break;
	case 0xF0 ... 0xFF: /* pulses the lines of the output port whose bit is 0 */
		if (!(command & OUTPUT_PORT_RESET))
			pull_reset(i8042);
		break;
	default:
		log_guest_error(&i8042->log, "i8042", "unknown command 0x%02x", command);
	}
}

static void write_command(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8042 *i8042 = device;

	(void)offset;
	(void)size;
	i8042->last_was_command = true;
	i8042->command = 0;
	do_command(i8042, (uint8_t)value);
}

static void write_output_port(struct i8042 *i8042, uint8_t value)
{
	i8042->a20 = value & OUTPUT_PORT_A20;
	if (!(value & OUTPUT_PORT_RESET))
		pull_reset(i8042);
}

static void write_ram(struct i8042 *i8042, unsigned index, uint8_t value)
{
	if (index == COMMAND_BYTE)
		set_command_byte(i8042, value);
	else
		i8042->ram[index] = value;
}

/* Sending to a device takes its clock line, and so enables its interface. */
static void write_data(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8042 *i8042 = device;
	uint8_t command = i8042->command, byte = (uint8_t)value;

	(void)offset;
	(void)size;
	i8042->last_was_command = false;
	i8042->command = 0;
	switch (command) {
	case 0:
		change_command_byte(i8042, CTR_KEYBOARD_DISABLED, 0);
		ps2_keyboard_write(i8042->keyboard, byte);
		break;
	case 0xD1:
		write_output_port(i8042, byte);
		break;
	case 0xD2:
		answer(i8042, byte, false);
		break;
	case 0xD3:
		answer(i8042, byte, true);
		break;
	case 0xD4:
		change_command_byte(i8042, CTR_AUX_DISABLED, 0);
		ps2_mouse_write(i8042->mouse, byte);
		break;
	default:
		write_ram(i8042, command & 0x1F, byte);
	}
}

static const struct bus_ops data_ops = { read_data, write_data };
static const struct bus_ops command_ops = { read_status, write_command };

/* Device */

/* As firmware leaves it: a kernel that is booted without any finds a controller that works. */
static void i8042_reset(struct device *device)
{
	struct i8042 *i8042 = from_device(device);

	timer_cancel(&i8042->byte_time);
	ps2_keyboard_reset(i8042->keyboard);
	ps2_mouse_reset(i8042->mouse);
	memset(i8042->ram, 0, sizeof i8042->ram);
	i8042->ram[COMMAND_BYTE] = CTR_TRANSLATE | CTR_KEYBOARD_INTERRUPT | CTR_AUX_INTERRUPT;
	i8042->command = 0;
	i8042->last_was_command = true;
	i8042->system_flag = false;
	i8042->a20 = true;
	i8042->output = 0;
	i8042->source = SOURCE_CONTROLLER;
	i8042->aux_data = false;
	i8042->answer_waits = false;
	i8042->answer_aux = false;
	i8042->answer = 0;
	i8042->translating_release = false;
	empty(i8042);
}

static void check_loaded(struct i8042 *i8042, struct state *state)
{
	if (i8042->source > SOURCE_CONTROLLER) {
		state_fail(state, "output buffer from source %u", i8042->source);
		i8042->source = SOURCE_CONTROLLER;
	}
	ps2_keyboard_port(i8042->keyboard)->unread = i8042->full && i8042->source == SOURCE_KEYBOARD;
	ps2_mouse_port(i8042->mouse)->unread = i8042->full && i8042->source == SOURCE_AUX;
	update_irqs(i8042);
	/* Not now: loading must not change what has just been loaded. */
	timer_set(&i8042->byte_time, clock_now(&i8042->device.vm->clock) + BYTE_TIME);
}

static void i8042_state(struct device *device, struct state *state)
{
	struct i8042 *i8042 = from_device(device);

	state_bytes(state, "ram", i8042->ram, sizeof i8042->ram);
	state_u8(state, "command", &i8042->command);
	state_bool(state, "last_was_command", &i8042->last_was_command);
	state_bool(state, "system_flag", &i8042->system_flag);
	state_bool(state, "a20", &i8042->a20);
	state_bool(state, "full", &i8042->full);
	state_bool(state, "aux_data", &i8042->aux_data);
	state_u8(state, "output", &i8042->output);
	state_u8(state, "source", &i8042->source);
	state_bool(state, "answer_waits", &i8042->answer_waits);
	state_bool(state, "answer_aux", &i8042->answer_aux);
	state_u8(state, "answer", &i8042->answer);
	state_bool(state, "translating_release", &i8042->translating_release);
	ps2_keyboard_state(i8042->keyboard, state);
	ps2_mouse_state(i8042->mouse, state);
	if (state_loading(state))
		check_loaded(i8042, state);
}

static void i8042_destroy(struct device *device)
{
	struct i8042 *i8042 = from_device(device);
	struct bus *pio = &device->vm->pio;

	/* Leaving the router lets go of held keys: that is nobody's business any more. */
	ps2_keyboard_port(i8042->keyboard)->changed = NULL;
	ps2_mouse_port(i8042->mouse)->changed = NULL;
	timer_cancel(&i8042->byte_time);
	empty(i8042);
	bus_unmap(pio, &i8042->data_region);
	bus_unmap(pio, &i8042->command_region);
	ps2_keyboard_free(i8042->keyboard);
	ps2_mouse_free(i8042->mouse);
	g_free(i8042);
}

static const struct device_ops i8042_ops = { "i8042", i8042_reset, i8042_state, i8042_destroy };

static void watch_port(struct i8042 *i8042, struct ps2_port *port)
{
	port->changed = port_changed;
	port->opaque = i8042;
}

struct device *i8042_new(struct vm *vm, struct input_router *router)
{
	struct i8042 *i8042 = g_new0(struct i8042, 1);

	i8042->device = (struct device){ &i8042_ops, vm };
	irq_source_init(&i8042->keyboard_irq, &vm->irqs, IRQ_KEYBOARD);
	irq_source_init(&i8042->aux_irq, &vm->irqs, IRQ_AUX);
	timer_init(&i8042->byte_time, &vm->clock, byte_time_over, i8042);
	i8042->keyboard = ps2_keyboard_new(vm, router);
	i8042->mouse = ps2_mouse_new(vm, router);
	watch_port(i8042, ps2_keyboard_port(i8042->keyboard));
	watch_port(i8042, ps2_mouse_port(i8042->mouse));
	i8042->data_region = (struct bus_region){ "i8042 data", &data_ops, i8042, .size = 1,
						  .priority = BUS_PRIORITY_PLATFORM };
	i8042->command_region = (struct bus_region){ "i8042 command", &command_ops, i8042, .size = 1,
						     .priority = BUS_PRIORITY_PLATFORM };
	bus_map(&vm->pio, &i8042->data_region, 0x60);
	bus_map(&vm->pio, &i8042->command_region, 0x64);
	i8042_reset(&i8042->device);
	return &i8042->device;
}
