#include "ports.h"

#include "../bus.h"
#include "../state.h"
#include "../vm.h"

/* ICH9 datasheet, 13.7.1: PORT92. */
#define PORT92_INIT_NOW 0x01
#define PORT92_ALT_A20 0x02
/* 13.7.5: RST_CNT. */
#define RST_CNT_SYS_RST 0x02
#define RST_CNT_RST_CPU 0x04
#define RST_CNT_FULL_RST 0x08

#define DEBUG_PRESENT 0xE9
#define DEBUG_LINE_MAX 512

struct ports {
	struct device device;
	struct bus_region post, port92, reset, debug;
	uint8_t post_code;
	uint8_t rst_cnt;
	GString *line;
};

static uint64_t post_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return ((struct ports *)opaque)->post_code | ~0xFFull;
}

static void post_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	((struct ports *)opaque)->post_code = (uint8_t)value;
}

/* A20 is never masked: no operating system in use depends on addresses wrapping at 1 MiB. */
static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	return PORT92_ALT_A20 | ~0xFFull;
}

static void port92_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct ports *ports = opaque;

	(void)offset;
	(void)size;
	if (value & PORT92_INIT_NOW)
		vm_request(ports->device.vm, VM_REQUEST_RESET, "the guest reset itself through port 0x92");
}

static uint64_t reset_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return ((struct ports *)opaque)->rst_cnt | ~0xFFull;
}

static void reset_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct ports *ports = opaque;
	bool was_set = ports->rst_cnt & RST_CNT_RST_CPU;

	(void)offset;
	(void)size;
	ports->rst_cnt = (uint8_t)value & (RST_CNT_SYS_RST | RST_CNT_RST_CPU | RST_CNT_FULL_RST);
	if (ports->rst_cnt & RST_CNT_RST_CPU && !was_set)
		vm_request(ports->device.vm, VM_REQUEST_RESET, "the guest reset itself through port 0xCF9");
}

static uint64_t debug_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	return DEBUG_PRESENT | ~0xFFull;
}

static void flush_line(struct ports *ports)
{
	if (ports->line->len)
		g_debug("firmware: %s", ports->line->str);
	g_string_truncate(ports->line, 0);
}

static void debug_character(struct ports *ports, uint8_t c)
{
	if (c == '\n' || ports->line->len >= DEBUG_LINE_MAX)
		flush_line(ports);
	if (g_ascii_isprint((char)c) || c == '\t')
		g_string_append_c(ports->line, (char)c);
}

static void debug_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	for (unsigned i = 0; i < size; i++)
		debug_character(opaque, (uint8_t)(value >> i * 8));
}

static const struct bus_ops post_ops = { post_read, post_write };
static const struct bus_ops port92_ops = { port92_read, port92_write };
static const struct bus_ops reset_ops = { reset_read, reset_write };
static const struct bus_ops debug_ops = { debug_read, debug_write };

static struct ports *from_device(struct device *device)
{
	return (struct ports *)device;
}

static void ports_reset(struct device *device)
{
	struct ports *ports = from_device(device);

	flush_line(ports);
	ports->post_code = 0;
	ports->rst_cnt = 0;
}

static void ports_state(struct device *device, struct state *state)
{
	struct ports *ports = from_device(device);

	state_u8(state, "post_code", &ports->post_code);
	state_u8(state, "rst_cnt", &ports->rst_cnt);
	ports->rst_cnt &= RST_CNT_SYS_RST | RST_CNT_RST_CPU | RST_CNT_FULL_RST;
}

static void ports_destroy(struct device *device)
{
	struct ports *ports = from_device(device);
	struct bus *pio = &device->vm->pio;

	flush_line(ports);
	bus_unmap(pio, &ports->post);
	bus_unmap(pio, &ports->port92);
	bus_unmap(pio, &ports->reset);
	bus_unmap(pio, &ports->debug);
	g_string_free(ports->line, TRUE);
	g_free(ports);
}

static const struct device_ops ports_ops = {
	.name = "ports",
	.reset = ports_reset,
	.state = ports_state,
	.destroy = ports_destroy,
};

static void add_port(struct ports *ports, struct bus_region *region, const char *name, const struct bus_ops *ops,
		     uint16_t port, bool coalesced)
{
	*region = (struct bus_region){ .name = name, .ops = ops, .device = ports, .size = 1,
				       .priority = BUS_PRIORITY_PLATFORM, .coalesced = coalesced };
	bus_map(&ports->device.vm->pio, region, port);
}

struct device *ports_new(struct vm *vm, bool debug_console)
{
	struct ports *ports = g_new0(struct ports, 1);

	ports->device = (struct device){ .ops = &ports_ops, .vm = vm };
	ports->line = g_string_new(NULL);
	/* Port 80 is what old code writes to for a pause: it need not wait for us. Nor need messages. */
	add_port(ports, &ports->post, "POST code", &post_ops, 0x80, true);
	add_port(ports, &ports->port92, "port 92", &port92_ops, 0x92, false);
	add_port(ports, &ports->reset, "reset control", &reset_ops, 0xCF9, false);
	if (debug_console)
		add_port(ports, &ports->debug, "debug console", &debug_ops, 0x402, true);
	return &ports->device;
}
