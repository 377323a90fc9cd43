#include "serial.h"

#include <linux/serial_reg.h>
#include <string.h>

#include "../state.h"
#include "../vm.h"
#include "serial_backend.h"

#define PORTS 8
#define FIFO_SIZE 16
#define BASE_BAUD 115200u
#define MCR_BITS 0x1F
#define MSR_OUTPUTS 0xF0
#define LSR_ERRORS (UART_LSR_OE | UART_LSR_PE | UART_LSR_FE | UART_LSR_BI)

struct serial {
	struct device device;
	struct bus_region ports;
	struct irq_source irq;
	struct serial_backend *backend;
	struct timer timeout; /* pending only while it can interrupt */
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t lsr; /* the error bits only: the others follow from the FIFOs */
	uint8_t msr;
	uint16_t divisor;
	uint8_t fifo[FIFO_SIZE];
	uint8_t count; /* of received bytes, oldest first */
	bool timed_out;
	bool transmit_pending; /* THR has become empty and the guest was not told */
};

static struct serial *from_device(struct device *device)
{
	return (struct serial *)device;
}

static unsigned capacity(const struct serial *serial)
{
	return serial->fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;
}

static unsigned trigger_level(const struct serial *serial)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return serial->fcr & UART_FCR_ENABLE_FIFO ? levels[serial->fcr >> 6] : 1;
}

/* Data sheet, table 4: which interrupt is the most urgent. */
static uint8_t interrupt_id(const struct serial *serial)
{
	if (serial->ier & UART_IER_RLSI && serial->lsr & LSR_ERRORS)
		return UART_IIR_RLSI;
	if (serial->ier & UART_IER_RDI && serial->count >= trigger_level(serial))
		return UART_IIR_RDI;
	if (serial->ier & UART_IER_RDI && serial->timed_out)
		return UART_IIR_RX_TIMEOUT;
	if (serial->ier & UART_IER_THRI && serial->transmit_pending)
		return UART_IIR_THRI;
	if (serial->ier & UART_IER_MSI && serial->msr & UART_MSR_ANY_DELTA)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

/* On a PC the OUT2 pin lets the interrupt through to the bus. */
static void update_irq(struct serial *serial)
{
	irq_set(&serial->irq, serial->mcr & UART_MCR_OUT2 && interrupt_id(serial) != UART_IIR_NO_INT);
}

/* The time of four characters, after which waiting bytes below the trigger level are announced. */
static uint64_t timeout_nanoseconds(const struct serial *serial)
{
	unsigned bits = 1 + 5 + (serial->lcr & UART_LCR_WLEN8) + (serial->lcr & UART_LCR_PARITY ? 1 : 0) +
			(serial->lcr & UART_LCR_STOP ? 2 : 1);
	unsigned divisor = MAX(serial->divisor, 1);

	return 4ull * bits * divisor * NSEC_PER_SEC / BASE_BAUD;
}

/* After a byte came or was read. */
static void restart_timeout(struct serial *serial)
{
	bool waits = serial->count && serial->count < trigger_level(serial) && serial->ier & UART_IER_RDI;

	serial->timed_out = false;
	if (waits)
		timer_set(&serial->timeout, clock_now(&serial->device.vm->clock) + timeout_nanoseconds(serial));
	else
		timer_cancel(&serial->timeout);
}

static void timeout_fired(void *opaque)
{
	struct serial *serial = opaque;

	serial->timed_out = true;
	update_irq(serial);
}

static void receive_byte(struct serial *serial, uint8_t byte)
{
	if (serial->count < capacity(serial)) {
		serial->fifo[serial->count++] = byte;
		return;
	}
	serial->lsr |= UART_LSR_OE;
	/* Without FIFOs the new character replaces the old one; with them it is lost. */
	if (!(serial->fcr & UART_FCR_ENABLE_FIFO))
		serial->fifo[0] = byte;
}

/* From the backend. */
static size_t serial_room(void *opaque)
{
	const struct serial *serial = opaque;

	/* In loopback the input pin is disconnected. */
	return serial->mcr & UART_MCR_LOOP ? 0 : capacity(serial) - MIN(serial->count, capacity(serial));
}

static void serial_receive(void *opaque, const uint8_t *data, size_t size)
{
	struct serial *serial = opaque;

	for (size_t i = 0; i < size; i++)
		receive_byte(serial, data[i]);
	restart_timeout(serial);
	update_irq(serial);
}

static void resume_input(struct serial *serial)
{
	if (serial->backend && serial_room(serial))
		serial_backend_resume(serial->backend);
}

static uint8_t read_data(struct serial *serial)
{
	uint8_t byte = serial->fifo[0];

	if (serial->count) {
		serial->count--;
		memmove(serial->fifo, serial->fifo + 1, serial->count);
	}
	restart_timeout(serial);
	update_irq(serial);
	resume_input(serial);
	return byte;
}

static void write_data(struct serial *serial, uint8_t byte)
{
	/* Full and empty again: the 8259's edge-triggered input must see a new edge. */
	serial->transmit_pending = false;
	update_irq(serial);
	if (serial->mcr & UART_MCR_LOOP) {
		receive_byte(serial, byte);
		restart_timeout(serial);
	} else if (serial->backend) {
		serial_backend_write(serial->backend, byte);
	}
	serial->transmit_pending = true;
	update_irq(serial);
}

static uint8_t modem_inputs(const struct serial *serial)
{
	uint8_t mcr = serial->mcr;

	if (!(mcr & UART_MCR_LOOP))
		return serial->backend ? UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS : 0;
	return (uint8_t)((mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

/* Data sheet, 8.8: of the ring indicator only the falling edge is noted. */
static void update_modem(struct serial *serial)
{
	uint8_t inputs = modem_inputs(serial), old = serial->msr & MSR_OUTPUTS, changed = inputs ^ old;
	uint8_t delta = changed >> 4;

	if (!(old & UART_MSR_RI))
		delta &= (uint8_t)~UART_MSR_TERI;
	serial->msr = inputs | (serial->msr & UART_MSR_ANY_DELTA) | delta;
}

static void clear_receiver(struct serial *serial)
{
	serial->count = 0;
	serial->fifo[0] = 0;
	restart_timeout(serial);
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	bool toggled = (serial->fcr ^ value) & UART_FCR_ENABLE_FIFO;

	/* The other bits count only together with the enable bit. */
	serial->fcr = value & UART_FCR_ENABLE_FIFO ? value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK) : 0;
	if (toggled || (value & UART_FCR_ENABLE_FIFO && value & UART_FCR_CLEAR_RCVR))
		clear_receiver(serial);
	restart_timeout(serial);
	update_irq(serial);
	resume_input(serial);
}

static void write_ier(struct serial *serial, uint8_t value)
{
	bool transmit_enabled = value & ~serial->ier & UART_IER_THRI;

	serial->ier = value & (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI);
	/* Enabling it while THR is empty announces that. */
	if (transmit_enabled)
		serial->transmit_pending = true;
	restart_timeout(serial);
	update_irq(serial);
}

static void write_lcr(struct serial *serial, uint8_t value)
{
	bool breaks = value & ~serial->lcr & UART_LCR_SBC;

	serial->lcr = value;
	if (breaks && serial->mcr & UART_MCR_LOOP) {
		receive_byte(serial, 0);
		serial->lsr |= UART_LSR_BI;
		restart_timeout(serial);
		update_irq(serial);
	}
}

static void write_mcr(struct serial *serial, uint8_t value)
{
	serial->mcr = value & MCR_BITS;
	update_modem(serial);
	update_irq(serial);
	resume_input(serial);
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t id = interrupt_id(serial);

	if (id == UART_IIR_THRI) {
		serial->transmit_pending = false;
		update_irq(serial);
	}
	return id | (serial->fcr & UART_FCR_ENABLE_FIFO ? 0xC0 : 0);
}

static uint8_t read_lsr(struct serial *serial)
{
	uint8_t lsr = serial->lsr | UART_LSR_THRE | UART_LSR_TEMT | (serial->count ? UART_LSR_DR : 0);

	if (serial->lsr & LSR_ERRORS) {
		serial->lsr = 0;
		update_irq(serial);
	}
	return lsr;
}

static uint8_t read_msr(struct serial *serial)
{
	uint8_t msr = serial->msr;

	serial->msr &= MSR_OUTPUTS;
	update_irq(serial);
	return msr;
}

static uint8_t read_register(struct serial *serial, unsigned offset)
{
	bool latch = serial->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_RX:
		return latch ? (uint8_t)serial->divisor : read_data(serial);
	case UART_IER:
		return latch ? (uint8_t)(serial->divisor >> 8) : serial->ier;
	case UART_IIR:
		return read_iir(serial);
	case UART_LCR:
		return serial->lcr;
	case UART_MCR:
		return serial->mcr;
	case UART_LSR:
		return read_lsr(serial);
	case UART_MSR:
		return read_msr(serial);
	case UART_SCR:
		return serial->scr;
	default:
		return 0xFF;
	}
}

static void write_register(struct serial *serial, unsigned offset, uint8_t value)
{
	bool latch = serial->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (latch)
			serial->divisor = (serial->divisor & 0xFF00) | value;
		else
			write_data(serial, value);
		break;
	case UART_IER:
		if (latch)
			serial->divisor = (uint16_t)((serial->divisor & 0xFF) | value << 8);
		else
			write_ier(serial, value);
		break;
	case UART_FCR:
		write_fcr(serial, value);
		break;
	case UART_LCR:
		write_lcr(serial, value);
		break;
	case UART_MCR:
		write_mcr(serial, value);
		break;
	case UART_SCR:
		serial->scr = value;
		break;
	}
}

static uint64_t serial_read(void *opaque, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)read_register(opaque, (unsigned)offset + i) << i * 8;
	return value;
}

static void serial_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		write_register(opaque, (unsigned)offset + i, (uint8_t)(value >> i * 8));
}

static const struct bus_ops serial_bus_ops = { serial_read, serial_write };

static void serial_reset(struct device *device)
{
	struct serial *serial = from_device(device);

	serial->ier = 0;
	serial->fcr = 0;
	serial->lcr = 0;
	serial->mcr = 0;
	serial->scr = 0;
	serial->lsr = 0;
	serial->divisor = 1;
	serial->transmit_pending = false;
	clear_receiver(serial);
	serial->msr = modem_inputs(serial);
	update_irq(serial);
	resume_input(serial);
}

static void serial_state(struct device *device, struct state *state)
{
	struct serial *serial = from_device(device);

	state_u8(state, "ier", &serial->ier);
	state_u8(state, "fcr", &serial->fcr);
	state_u8(state, "lcr", &serial->lcr);
	state_u8(state, "mcr", &serial->mcr);
	state_u8(state, "scr", &serial->scr);
	state_u8(state, "lsr", &serial->lsr);
	state_u8(state, "msr", &serial->msr);
	state_u16(state, "divisor", &serial->divisor);
	state_bytes(state, "fifo", serial->fifo, sizeof serial->fifo);
	state_u8(state, "count", &serial->count);
	state_bool(state, "transmit_pending", &serial->transmit_pending);
	if (!state_loading(state))
		return;
	serial->ier &= 0x0F;
	serial->mcr &= MCR_BITS;
	serial->lsr &= LSR_ERRORS;
	if (serial->count > capacity(serial)) {
		state_fail(state, "%u bytes are in a FIFO of %u", serial->count, capacity(serial));
		serial->count = 0;
	}
	restart_timeout(serial);
	update_irq(serial);
	resume_input(serial);
}

static void serial_destroy(struct device *device)
{
	struct serial *serial = from_device(device);

	serial_backend_free(serial->backend);
	timer_cancel(&serial->timeout);
	irq_set(&serial->irq, false);
	bus_unmap(&device->vm->pio, &serial->ports);
	g_free(serial);
}

static const struct device_ops serial_ops = {
	.name = "serial",
	.reset = serial_reset,
	.state = serial_state,
	.destroy = serial_destroy,
};

struct device *serial_new(struct vm *vm, uint16_t base, unsigned gsi, struct serial_backend *backend)
{
	struct serial *serial = g_new0(struct serial, 1);
	const struct serial_receiver receiver = { serial_room, serial_receive, serial };

	serial->device = (struct device){ .ops = &serial_ops, .vm = vm };
	serial->backend = backend;
	serial->ports = (struct bus_region){ .name = "serial port", .ops = &serial_bus_ops, .device = serial,
					     .size = PORTS, .priority = BUS_PRIORITY_PLATFORM };
	irq_source_init(&serial->irq, &vm->irqs, gsi);
	timer_init(&serial->timeout, &vm->clock, timeout_fired, serial);
	serial_reset(&serial->device);
	if (backend)
		serial_backend_set_receiver(backend, &receiver);
	bus_map(&vm->pio, &serial->ports, base);
	return &serial->device;
}
