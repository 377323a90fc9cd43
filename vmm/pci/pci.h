/*
 * PCI Local Bus 3.0 configuration space, base address registers, INTx, MSI and MSI-X of devices on bus 0.
 *
 * Registers are little-endian and at their specification's offsets. All calls need vm->lock, except
 * pci_msi_notify() and pci_msix_notify(), which any thread may call.
 */
#pragma once

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdint.h>

#include "../bus.h"
#include "../device.h"
#include "../irq.h"
#include "../log.h"
#include "../memory.h"

#define PCI_CONFIG_SIZE 4096
#define PCI_BARS 6
#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))
#define PCI_MSIX_VECTORS_MAX 64
#define PCI_BAR_UNMAPPED UINT64_MAX

struct pci_bus;
struct pci_device;

enum pci_bar_kind {
	PCI_BAR_UNUSED,
	PCI_BAR_IO,
	PCI_BAR_MEMORY32,
	PCI_BAR_MEMORY64,
};

struct pci_bar {
	enum pci_bar_kind kind;
	bool prefetchable;
	uint64_t size; /* power of two */
	/* Either registers ... */
	struct bus_region region;
	/* ... or host memory shown directly to the guest. */
	void *host;
	unsigned slot_flags;
	struct memory_slot *slot;
	uint64_t address; /* where it is mapped now, or PCI_BAR_UNMAPPED */
	/* Called after the BAR was mapped or unmapped, for devices that keep sub-regions; may be NULL. */
	void (*moved)(struct pci_device *device, unsigned bar);
};

struct pci_msix_entry {
	uint64_t address;
	uint32_t data;
	uint32_t control;
};

struct pci_device {
	struct device device;
	struct pci_bus *bus;
	uint8_t devfn;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE];       /* bits the guest can change */
	uint8_t clear_by_one[PCI_CONFIG_SIZE]; /* bits that writing one clears */
	uint8_t initial[PCI_CONFIG_SIZE];      /* config at power on, taken when plugged in */
	struct pci_bar bars[PCI_BARS];
	struct pci_bar rom;
	unsigned capabilities_end;             /* where the next capability goes */
	bool intx;                             /* the device wants its interrupt */
	bool intx_driven;                      /* the INTx pin is asserted */
	uint16_t msi;                          /* offset of the capability, 0: none */
	uint16_t msix;
	unsigned msix_vectors;
	struct pci_msix_entry *msix_table;
	uint64_t msix_pending;                 /* atomic */
	/* After a configuration write changed [offset, offset + size); may be NULL. */
	void (*config_written)(struct pci_device *device, unsigned offset, unsigned size);
};

struct pci_bus {
	struct vm *vm;
	struct pci_device *devices[256]; /* by devfn */
	/* Drives PIRQ A-H (0-7): the LPC bridge's (chipset/lpc.h). */
	void (*set_pirq)(void *opaque, unsigned pirq, bool level);
	void *set_pirq_opaque;
	unsigned pirq_high[8];
	uint32_t config_address; /* 0xCF8 */
	struct bus_region config_ports;
	struct bus_region ecam;
	struct log_limit log;
};

struct pci_identity {
	uint16_t vendor, device;
	uint16_t subsystem_vendor, subsystem;
	uint8_t revision;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t interrupt_pin; /* 0: none, 1: INTA */
};

void pci_bus_init(struct pci_bus *bus, struct vm *vm);
void pci_bus_finish(struct pci_bus *bus);
/* Maps ECAM (PCIEXBAR) of buses 0 .. buses-1 at base, or with buses 0 unmaps it. */
void pci_bus_map_ecam(struct pci_bus *bus, uint64_t base, unsigned buses);

/* Drops what a power-on does not have: the host bridge's reset calls it. */
void pci_bus_reset(struct pci_bus *bus);

/* Fills the header. Then come BARs and capabilities, then pci_plug(). */
void pci_device_init(struct pci_device *device, const struct pci_identity *identity);
void pci_bar_registers(struct pci_device *device, unsigned bar, enum pci_bar_kind kind, uint64_t size,
		       const struct bus_ops *ops, void *opaque, const char *name);
/* host: size bytes, page-aligned, the device's. slot_flags as in memory.h. */
void pci_bar_host_memory(struct pci_device *device, unsigned bar, enum pci_bar_kind kind, bool prefetchable,
			 uint64_t size, void *host, unsigned slot_flags);
/* Expansion ROM, copied and padded to a power of two. */
void pci_rom(struct pci_device *device, const void *image, size_t size);
/* Adds a capability of size bytes (header included) and returns its offset; fill config and writable there. */
unsigned pci_add_capability(struct pci_device *device, uint8_t id, unsigned size);
/* One message-signalled interrupt, 64-bit address. */
void pci_add_msi(struct pci_device *device);
/* Table and pending bits live in this BAR (4 KiB, made here), table at 0, PBA at 2048. */
void pci_add_msix(struct pci_device *device, unsigned bar, unsigned vectors);
/* What config holds now is the device's power-on state. */
void pci_plug(struct pci_bus *bus, struct pci_device *device, uint8_t devfn);
/* Unmaps everything and frees what the functions above made; the device's destroy function calls it. */
void pci_unplug(struct pci_device *device);

/* The device's reset and state functions call these first. */
void pci_device_reset(struct pci_device *device);
struct state;
/* After loading, BARs are mapped and INTx is driven as the loaded registers say. */
void pci_device_state(struct pci_device *device, struct state *state);

/* INTx level; honours the command register's interrupt disable. A device with MSI enabled uses pci_interrupt(). */
void pci_set_intx(struct pci_device *device, bool level);
bool pci_msi_enabled(const struct pci_device *device);
bool pci_msix_enabled(const struct pci_device *device);
void pci_msi_notify(struct pci_device *device);
void pci_msix_notify(struct pci_device *device, unsigned vector);
/* For devices with one interrupt: INTx level, or one message at each rise if MSI is enabled. */
void pci_interrupt(struct pci_device *device, bool level);

/* DMA may only be done while the guest has set bus master enable. */
static inline bool pci_bus_master(const struct pci_device *device)
{
	return device->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* Configuration accesses as the guest makes them (for the host bridge and tests). */
uint32_t pci_config_read(struct pci_device *device, unsigned offset, unsigned size);
void pci_config_write(struct pci_device *device, unsigned offset, unsigned size, uint32_t value);

static inline uint16_t pci_get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t pci_get32(const uint8_t *p) { return pci_get16(p) | (uint32_t)pci_get16(p + 2) << 16; }
static inline void pci_set16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static inline void pci_set32(uint8_t *p, uint32_t v) { pci_set16(p, (uint16_t)v); pci_set16(p + 2, (uint16_t)(v >> 16)); }
static inline uint64_t pci_get64(const uint8_t *p) { return pci_get32(p) | (uint64_t)pci_get32(p + 4) << 32; }
static inline void pci_set64(uint8_t *p, uint64_t v) { pci_set32(p, (uint32_t)v); pci_set32(p + 4, (uint32_t)(v >> 32)); }
