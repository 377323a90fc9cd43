/*
 * A guest's AHCI driver for the tests of disk and CD drive: one controller at 00:1f.2, structures in fake RAM.
 */
#pragma once

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "../../vmm/pci/pci.h"
#include "../../vmm/storage/ahci.h"
#include "fake_machine.h"

#define REGISTERS 0xFEB00000u
#define IO_PORTS 0xC000u
#define GUEST_RAM (16u << 20)
#define LIST(port) (0x100000u + (port) * 0x1000)
#define RECEIVED(port) (LIST(port) + 0x400)
#define TABLE(slot) (0x110000u + (slot) * 0x1000)
#define BUFFER 0x200000u

enum { CLB = 0x00, CLBU = 0x04, FB = 0x08, FBU = 0x0C, IS = 0x10, IE = 0x14, CMD = 0x18, TFD = 0x20, SIG = 0x24,
       SSTS = 0x28, SCTL = 0x2C, SERR = 0x30, SACT = 0x34, CI = 0x38, SNTF = 0x3C };

struct ahci_guest {
	struct fake_machine *machine;
	struct pci_bus bus;
	struct ahci *ahci;
	char *folder, *path;
	bool pirq[8];
	unsigned pirq_rises;
	unsigned disc_changes;
	char *disc;
};

static inline void guest_set_pirq(void *opaque, unsigned pirq, bool level)
{
	struct ahci_guest *g = opaque;

	g->pirq_rises += level && !g->pirq[pirq];
	g->pirq[pirq] = level;
}

static inline uint32_t hba_read(struct ahci_guest *g, unsigned offset)
{
	return (uint32_t)fake_read(g->machine, REGISTERS + offset, 4);
}

static inline void hba_write(struct ahci_guest *g, unsigned offset, uint32_t value)
{
	fake_write(g->machine, REGISTERS + offset, 4, value);
}

static inline uint32_t port_read(struct ahci_guest *g, unsigned port, unsigned offset)
{
	return hba_read(g, 0x100 + port * 0x80 + offset);
}

static inline void port_write(struct ahci_guest *g, unsigned port, unsigned offset, uint32_t value)
{
	hba_write(g, 0x100 + port * 0x80 + offset, value);
}

static inline uint8_t *ram(struct ahci_guest *g, uint64_t address)
{
	return g->machine->vm.memory.ram + address;
}

static inline void guest_open(struct ahci_guest *g)
{
	struct pci_device *pci;

	g->folder = g_dir_make_tmp("ahci-test-XXXXXX", NULL);
	g_assert_nonnull(g->folder);
	g->path = g_build_filename(g->folder, "image", NULL);
	g->machine = fake_machine_new(GUEST_RAM);
	pci_bus_init(&g->bus, &g->machine->vm);
	g->bus.set_pirq = guest_set_pirq;
	g->bus.set_pirq_opaque = g;
	g->ahci = ahci_new(&g->machine->vm, &g->bus);
	pci = (struct pci_device *)ahci_device(g->ahci);
	pci_config_write(pci, PCI_BASE_ADDRESS_4, 4, IO_PORTS);
	pci_config_write(pci, PCI_BASE_ADDRESS_5, 4, REGISTERS);
	pci_config_write(pci, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static inline void guest_close(struct ahci_guest *g)
{
	struct device *device = ahci_device(g->ahci);

	device->ops->destroy(device);
	pci_bus_finish(&g->bus);
	fake_machine_free(g->machine);
	g_unlink(g->path);
	g_assert_cmpint(g_rmdir(g->folder), ==, 0);
	g_free(g->path);
	g_free(g->folder);
	g_free(g->disc);
}

/* Sectors of size bytes, each of which begins with its number and a seed. */
static inline void make_image(const char *path, unsigned sectors, unsigned size, uint32_t seed)
{
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	g_autofree uint8_t *data = g_malloc0((gsize)sectors * size);

	g_assert_cmpint(fd, >=, 0);
	for (unsigned i = 0; i < sectors; i++) {
		pci_set32(data + i * size, i);
		pci_set32(data + i * size + 4, seed);
		memset(data + i * size + 8, (int)i, size - 8);
	}
	g_assert_cmpint(write(fd, data, (gsize)sectors * size), ==, (gssize)((gsize)sectors * size));
	close(fd);
}

static inline void port_start(struct ahci_guest *g, unsigned port)
{
	port_write(g, port, CLB, LIST(port));
	port_write(g, port, CLBU, 0);
	port_write(g, port, FB, RECEIVED(port));
	port_write(g, port, FBU, 0);
	port_write(g, port, SERR, UINT32_MAX);
	port_write(g, port, IS, UINT32_MAX);
	port_write(g, port, IE, 0xFDC000FF);
	port_write(g, port, CMD, 1 << 4);
	port_write(g, port, CMD, 1 << 4 | 1);
	hba_write(g, 0x08, UINT32_MAX);
	hba_write(g, 0x04, 1u << 31 | 1 << 1);
}

/* Clears the error and starts the port anew, as section 6.2.2 says. */
static inline void port_recover(struct ahci_guest *g, unsigned port)
{
	port_write(g, port, CMD, 1 << 4);
	g_assert_cmphex(port_read(g, port, CMD) & 1 << 15, ==, 0);
	g_assert_cmphex(port_read(g, port, CI), ==, 0);
	port_write(g, port, SERR, UINT32_MAX);
	port_write(g, port, IS, UINT32_MAX);
	port_write(g, port, CMD, 1 << 4 | 1);
}

static inline void put_header(struct ahci_guest *g, unsigned port, unsigned slot, unsigned flags, unsigned prds)
{
	uint8_t *header = ram(g, LIST(port) + slot * 32);

	memset(header, 0, 32);
	pci_set32(header, 5 | flags | prds << 16);
	pci_set32(header + 8, TABLE(slot));
	memset(ram(g, TABLE(slot)), 0, 0x80);
}

static inline void put_prd(struct ahci_guest *g, unsigned slot, unsigned index, uint64_t address, uint32_t bytes)
{
	uint8_t *prd = ram(g, TABLE(slot) + 0x80 + index * 16);

	pci_set32(prd, (uint32_t)address);
	pci_set32(prd + 4, (uint32_t)(address >> 32));
	pci_set32(prd + 8, 0);
	pci_set32(prd + 12, bytes - 1);
}

static inline void put_fis(struct ahci_guest *g, unsigned slot, uint8_t command, uint16_t features, uint64_t lba,
			   uint8_t device, uint16_t count)
{
	uint8_t *fis = ram(g, TABLE(slot));

	memset(fis, 0, 20);
	fis[0] = 0x27;
	fis[1] = 0x80;
	fis[2] = command;
	fis[3] = (uint8_t)features;
	fis[11] = (uint8_t)(features >> 8);
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(lba >> 8 * i);
		fis[8 + i] = (uint8_t)(lba >> 8 * (i + 3));
	}
	fis[7] = device;
	pci_set16(fis + 12, count);
}

static inline bool wait_blocks(struct ahci_guest *g, unsigned port, uint32_t ci, uint32_t sact)
{
	for (unsigned i = 0; i < 2000; i++) {
		if (!(port_read(g, port, CI) & ci) && !(port_read(g, port, SACT) & sact))
			return true;
		if (port_read(g, port, IS) & 0x7D000000)
			return false;
		/* What the page cache did not have comes by the event loop. */
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	}
	g_assert_not_reached();
}

/* Runs what is in the slot's table; false: the port reports an error. */
static inline bool issue(struct ahci_guest *g, unsigned port, unsigned slot)
{
	port_write(g, port, IS, UINT32_MAX);
	port_write(g, port, CI, 1u << slot);
	return wait_blocks(g, port, 1u << slot, 0);
}

/* One command on slot 0 with one buffer; lba has 48 bits. */
static inline bool ata(struct ahci_guest *g, unsigned port, uint8_t command, uint16_t features, uint64_t lba,
		       uint16_t count, uint32_t bytes, bool write)
{
	put_header(g, port, 0, write ? 1 << 6 : 0, bytes ? 1 : 0);
	put_fis(g, 0, command, features, lba, 0x40, count);
	if (bytes)
		put_prd(g, 0, 0, BUFFER, bytes);
	return issue(g, port, 0);
}
