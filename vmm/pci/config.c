/* Configuration accesses: PCI Local Bus 3.0, 6.1 and 6.2. Any size and alignment, as PCI's byte enables allow. */
#include <glib.h>

#include "internal.h"

uint32_t pci_config_read(struct pci_device *device, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = offset + i < PCI_CONFIG_SIZE ? device->config[offset + i] : 0xFF;

		value |= (uint32_t)byte << i * 8;
	}
	return value;
}

void pci_config_write(struct pci_device *device, unsigned offset, unsigned size, uint32_t value)
{
	if (offset >= PCI_CONFIG_SIZE)
		return;
	size = MIN(size, PCI_CONFIG_SIZE - offset);
	for (unsigned i = 0; i < size; i++) {
		uint8_t *byte = &device->config[offset + i];
		uint8_t writable = device->writable[offset + i], written = (uint8_t)(value >> i * 8);

		*byte = (uint8_t)((*byte & ~writable) | (written & writable));
		*byte &= (uint8_t)~(written & device->clear_by_one[offset + i]);
	}
	if (pci_bars_affected(offset, size))
		pci_update_bars(device);
	if (pci_overlaps(offset, size, PCI_COMMAND, 2))
		pci_update_intx(device);
	pci_msi_written(device, offset, size);
	if (device->config_written)
		device->config_written(device, offset, size);
}
