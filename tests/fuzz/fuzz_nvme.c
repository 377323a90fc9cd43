/*
 * libFuzzer: a hostile guest at the registers, queues and buffers of an NVMe controller. Nothing may crash, leak, hang,
 * or touch what is not the guest's; and after a reset the controller has to work.
 *
 * An input is a list of steps: a byte that says what, and what it needs.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../vmm/nvme/nvme.h"
#include "../../vmm/pci/pci.h"
#include "../unit/fake_machine.h"
#include "engine.h"

#define REGISTERS 0xFEB00000u
#define MESSAGES 0xFEB10000u
#define RAM (5u << 19)
#define DISK (1u << 20)
#define QUEUES 3u
#define ADMIN_SQ 0x100000u
#define ADMIN_CQ 0x101000u
#define IO_SQ(queue) (0x110000u + (queue) * 0x2000)
#define IO_CQ(queue) (IO_SQ(queue) + 0x1000)
#define ENTRIES 16u
#define STEPS_MAX 2000

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_machine *machine;
static struct pci_bus bus;
static struct nvme *nvme;
static char *image_path;
static unsigned tails[QUEUES + 1];

struct input {
	const uint8_t *data;
	size_t left;
};

static void clean_up(void)
{
	nvme_device(nvme)->ops->destroy(nvme_device(nvme));
	pci_bus_finish(&bus);
	fake_machine_free(machine);
	g_unlink(image_path);
	g_free(image_path);
}

static void ignore_pirq(void *opaque, unsigned pirq, bool level)
{
	(void)opaque;
	(void)pirq;
	(void)level;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct nvme_options options = { .ssd = true, .queues = QUEUES, .devfn = PCI_DEVFN(16, 0) };
	struct block_options block_options = { 0 };
	struct block *block;
	int fd;

	(void)argc;
	(void)argv;
	fuzz_be_quiet();
	fd = g_file_open_tmp("oriel-fuzz-XXXXXX", &image_path, NULL);
	if (fd < 0 || ftruncate(fd, DISK) < 0)
		abort();
	close(fd);
	block_options.path = image_path;
	block_options.format = BLOCK_FORMAT_RAW;
	block = block_open(&block_options, NULL);
	if (!block)
		abort();
	machine = fake_machine_new(RAM);
	pci_bus_init(&bus, &machine->vm);
	bus.set_pirq = ignore_pirq;
	nvme = nvme_new(&machine->vm, &bus, block, &options);
	atexit(clean_up);
	return 0;
}

/* --- Input --- */

/* Zeroes where it has ended. */
static uint64_t take(struct input *input, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && input->left; i++, input->left--)
		value |= (uint64_t)*input->data++ << 8 * i;
	return value;
}

/* Mostly somewhere in RAM, on a page or near its end. */
static uint64_t take_address(struct input *input)
{
	uint16_t choice = (uint16_t)take(input, 2);
	uint64_t page = (uint64_t)(choice & 0x3FF) * 4096;

	switch (choice >> 10 & 7) {
	case 0: return page + 4096 - 16;
	case 1: return page + take(input, 2) % 4096;
	case 2: return take(input, 8);
	default: return page;
	}
}

/* --- Guest --- */

static void set(unsigned offset, uint32_t value)
{
	fake_write(machine, REGISTERS + offset, 4, value);
}

static uint8_t *entry_of(unsigned queue)
{
	return machine->vm.memory.ram + (queue ? IO_SQ(queue) : ADMIN_SQ) + tails[queue] * 64;
}

static void ring(unsigned queue)
{
	tails[queue] = (tails[queue] + 1) % ENTRIES;
	set(0x1000 + queue * 8, tails[queue]);
}

static void put(unsigned queue, uint8_t opcode, uint32_t namespace, uint64_t prp1, uint32_t word10, uint32_t word11)
{
	uint8_t *entry = entry_of(queue);

	memset(entry, 0, 64);
	entry[0] = opcode;
	pci_set32(entry + 4, namespace);
	pci_set32(entry + 24, (uint32_t)prp1);
	pci_set32(entry + 40, word10);
	pci_set32(entry + 44, word11);
	ring(queue);
}

static void start(unsigned queues)
{
	set(0x14, 0);
	set(0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	set(0x28, ADMIN_SQ);
	set(0x2C, 0);
	set(0x30, ADMIN_CQ);
	set(0x34, 0);
	memset(tails, 0, sizeof tails);
	set(0x14, 6 << 16 | 4 << 20 | 1);
	for (unsigned i = 1; i <= queues; i++) {
		put(0, 0x05, 0, IO_CQ(i), (ENTRIES - 1) << 16 | i, i << 16 | 3);
		put(0, 0x01, 0, IO_SQ(i), (ENTRIES - 1) << 16 | i, i << 16 | 1);
	}
	set(0x1004, 2 * queues % ENTRIES);
}

static void put_command(struct input *input)
{
	unsigned queue = (unsigned)take(input, 1) % (QUEUES + 1);
	uint8_t *entry = entry_of(queue);
	uint64_t prp1, prp2;

	memset(entry, 0, 64);
	entry[0] = (uint8_t)take(input, 1);
	entry[1] = (uint8_t)(take(input, 1) / 128);
	entry[2] = (uint8_t)take(input, 1);
	pci_set32(entry + 4, (uint32_t)take(input, 1) % 3);
	prp1 = take_address(input);
	prp2 = take_address(input);
	pci_set32(entry + 24, (uint32_t)prp1);
	pci_set32(entry + 28, (uint32_t)(prp1 >> 32));
	pci_set32(entry + 32, (uint32_t)prp2);
	pci_set32(entry + 36, (uint32_t)(prp2 >> 32));
	for (unsigned i = 0; i < 3; i++)
		pci_set32(entry + 40 + 4 * i, (uint32_t)take(input, 4));
	ring(queue);
}

static void configure(void)
{
	struct pci_device *pci = (struct pci_device *)nvme_device(nvme);

	pci_config_write(pci, PCI_BASE_ADDRESS_0, 4, REGISTERS);
	pci_config_write(pci, PCI_BASE_ADDRESS_4, 4, MESSAGES);
	pci_config_write(pci, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* A doorbell of any queue, a value near its size. */
static void ring_any(struct input *input)
{
	unsigned which = (unsigned)take(input, 1);

	set(0x1000 + which % 10 * 4, (uint32_t)take(input, 1) % (ENTRIES + 2));
}

static void write_register(struct input *input)
{
	static const uint8_t sizes[] = { 4, 4, 8, 1, 2, 4 };
	uint8_t choice = (uint8_t)take(input, 1);
	uint64_t offset = choice & 0x80 ? take(input, 2) % 0x2000 : choice & 0x3C;

	fake_write(machine, REGISTERS + offset, sizes[take(input, 1) % sizeof sizes], take(input, 8));
}

static void step(struct input *input)
{
	struct pci_device *pci = (struct pci_device *)nvme_device(nvme);
	uint64_t address;

	switch (take(input, 1) % 12) {
	case 0: case 1: case 2: case 3:
		put_command(input);
		break;
	case 4: case 5:
		ring_any(input);
		break;
	case 6:
		write_register(input);
		break;
	case 7:
		fake_read(machine, REGISTERS + take(input, 2) % 0x2000, 1u << take(input, 1) % 4);
		break;
	case 8:
		address = take_address(input);
		if (address < RAM - 4 && (address < 0xA0000 || address >= 0x100000))
			pci_set32(machine->vm.memory.ram + address, (uint32_t)take_address(input));
		break;
	case 9:
		clock_advance(&machine->vm.clock, 200000);
		break;
	case 10:
		pci_config_write(pci, pci->msix + 2u, 2, (uint16_t)(take(input, 1) % 2 ? PCI_MSIX_FLAGS_ENABLE : 0));
		break;
	default:
		start((unsigned)take(input, 1) % (QUEUES + 1));
	}
}

/* --- One input --- */

static void check_alive(void)
{
	const uint8_t *completion = machine->vm.memory.ram + IO_CQ(1);

	configure();
	memset(machine->vm.memory.ram + 0x100000, 0, 0x20000);
	start(1);
	put(1, 2, 1, 0x200000, 0, 0);
	if (completion[14] != 1 || completion[15])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct device *device = nvme_device(nvme);

	memset(machine->vm.memory.ram, 0, RAM);
	g_array_set_size(machine->msis, 0);
	g_array_set_size(machine->requests, 0);
	configure();
	start(QUEUES);
	for (unsigned i = 0; input.left && i < STEPS_MAX; i++)
		step(&input);
	/* It takes longer than the rest. */
	if (size && data[size - 1] % 8 == 0)
		fake_check_state_round_trip(device);
	check_alive();
	device->ops->reset(device);
	return 0;
}
