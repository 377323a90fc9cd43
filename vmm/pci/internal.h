/* Between the files of this folder. All with vm->lock. */
#pragma once

#include "pci.h"

struct state;

/* The PIRQ (0-7) that the device's interrupt pin is wired to. */
unsigned pci_device_pirq(const struct pci_device *device);
/* Drives or releases the device's INTx pin after intx, the command register or a message enable changed. */
void pci_update_intx(struct pci_device *device);

/* Maps and unmaps BARs and the expansion ROM as the configuration registers say. */
void pci_update_bars(struct pci_device *device);
void pci_unmap_bars(struct pci_device *device);
/* Whether [offset, offset + size) touches a register that decides where BARs are. */
bool pci_bars_affected(unsigned offset, unsigned size);

/* After a configuration write to [offset, offset + size). */
void pci_msi_written(struct pci_device *device, unsigned offset, unsigned size);
void pci_msix_reset(struct pci_device *device);
void pci_msix_state(struct pci_device *device, struct state *state);

static inline bool pci_overlaps(unsigned offset, unsigned size, unsigned other, unsigned other_size)
{
	return offset < other + other_size && other < offset + size;
}
