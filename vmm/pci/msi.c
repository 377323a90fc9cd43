/* Message-signalled interrupts: PCI Local Bus 3.0, 6.8. */
#include <glib.h>
#include <string.h>

#include "../state.h"
#include "../vm.h"
#include "internal.h"

#define MSI_SIZE 14 /* 64-bit address, no per-vector masking */
#define MSIX_BAR_SIZE 4096
#define MSIX_PBA 2048

void pci_add_msi(struct pci_device *device)
{
	unsigned msi = pci_add_capability(device, PCI_CAP_ID_MSI, MSI_SIZE);

	device->msi = (uint16_t)msi;
	pci_set16(device->config + msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT);
	/* A software that sets Multiple Message Enable for more than it was offered gets one message all the same. */
	pci_set16(device->writable + msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	pci_set32(device->writable + msi + PCI_MSI_ADDRESS_LO, 0xFFFFFFFC);
	pci_set32(device->writable + msi + PCI_MSI_ADDRESS_HI, 0xFFFFFFFF);
	pci_set16(device->writable + msi + PCI_MSI_DATA_64, 0xFFFF);
}

bool pci_msi_enabled(const struct pci_device *device)
{
	return device->msi && device->config[device->msi + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE;
}

bool pci_msix_enabled(const struct pci_device *device)
{
	return device->msix && device->config[device->msix + PCI_MSIX_FLAGS + 1] & PCI_MSIX_FLAGS_ENABLE >> 8;
}

void pci_msi_notify(struct pci_device *device)
{
	const uint8_t *msi = device->config + device->msi;

	if (!pci_msi_enabled(device) || !pci_bus_master(device))
		return;
	msi_send(&device->bus->vm->irqs,
		 pci_get32(msi + PCI_MSI_ADDRESS_LO) | (uint64_t)pci_get32(msi + PCI_MSI_ADDRESS_HI) << 32,
		 pci_get16(msi + PCI_MSI_DATA_64));
}

static bool vector_masked(const struct pci_device *device, unsigned vector)
{
	uint8_t flags = __atomic_load_n(&device->config[device->msix + PCI_MSIX_FLAGS + 1], __ATOMIC_SEQ_CST);

	if (!(flags & PCI_MSIX_FLAGS_ENABLE >> 8) || flags & PCI_MSIX_FLAGS_MASKALL >> 8)
		return true;
	return __atomic_load_n(&device->msix_table[vector].control, __ATOMIC_SEQ_CST) & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/*
 * Whoever clears the pending bit sends the message. As the bit is set before the mask is looked at, and the mask is
 * changed before the bit is looked at, no message is lost between a device's thread and an unmasking vCPU.
 */
static void send_pending(struct pci_device *device, unsigned vector)
{
	uint64_t bit = 1ull << vector;
	const struct pci_msix_entry *entry = &device->msix_table[vector];

	if (vector_masked(device, vector))
		return;
	if (__atomic_fetch_and(&device->msix_pending, ~bit, __ATOMIC_SEQ_CST) & bit && pci_bus_master(device))
		msi_send(&device->bus->vm->irqs, entry->address, entry->data);
}

void pci_msix_notify(struct pci_device *device, unsigned vector)
{
	if (vector >= device->msix_vectors || !pci_msix_enabled(device))
		return;
	__atomic_fetch_or(&device->msix_pending, 1ull << vector, __ATOMIC_SEQ_CST);
	send_pending(device, vector);
}

static void send_all_pending(struct pci_device *device)
{
	for (unsigned vector = 0; vector < device->msix_vectors; vector++)
		if (__atomic_load_n(&device->msix_pending, __ATOMIC_SEQ_CST) & 1ull << vector)
			send_pending(device, vector);
}

static uint64_t msix_read(void *opaque, uint64_t offset, unsigned size)
{
	struct pci_device *device = opaque;
	uint64_t pending = __atomic_load_n(&device->msix_pending, __ATOMIC_SEQ_CST), value = 0;

	for (unsigned i = 0; i < size; i++) {
		uint64_t place = offset + i;
		uint8_t byte = 0;

		if (place < device->msix_vectors * sizeof(struct pci_msix_entry))
			byte = ((const uint8_t *)device->msix_table)[place];
		else if (place >= MSIX_PBA && place < MSIX_PBA + sizeof pending)
			byte = (uint8_t)(pending >> (place - MSIX_PBA) * 8);
		value |= (uint64_t)byte << i * 8;
	}
	return value;
}

/* 6.8.2: the pending bits are read-only; of Vector Control only the mask bit exists. */
static void msix_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_device *device = opaque;
	uint64_t end = MIN(offset + size, device->msix_vectors * sizeof(struct pci_msix_entry));

	if (offset >= end)
		return;
	for (uint64_t place = offset; place < end; place++)
		((uint8_t *)device->msix_table)[place] = (uint8_t)(value >> (place - offset) * 8);
	for (uint64_t vector = offset / 16; vector <= (end - 1) / 16; vector++) {
		struct pci_msix_entry *entry = &device->msix_table[vector];

		entry->address &= ~3ull;
		__atomic_and_fetch(&entry->control, PCI_MSIX_ENTRY_CTRL_MASKBIT, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&device->msix_pending, __ATOMIC_SEQ_CST) & 1ull << vector)
			send_pending(device, (unsigned)vector);
	}
}

static const struct bus_ops msix_ops = { msix_read, msix_write };

void pci_add_msix(struct pci_device *device, unsigned bar, unsigned vectors)
{
	unsigned msix = pci_add_capability(device, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);

	g_assert(vectors > 0 && vectors <= PCI_MSIX_VECTORS_MAX);
	device->msix = (uint16_t)msix;
	device->msix_vectors = vectors;
	device->msix_table = g_new0(struct pci_msix_entry, vectors);
	pci_set16(device->config + msix + PCI_MSIX_FLAGS, (uint16_t)(vectors - 1));
	pci_set16(device->writable + msix + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_set32(device->config + msix + PCI_MSIX_TABLE, bar);
	pci_set32(device->config + msix + PCI_MSIX_PBA, bar | MSIX_PBA);
	pci_bar_registers(device, bar, PCI_BAR_MEMORY32, MSIX_BAR_SIZE, &msix_ops, device, "MSI-X");
	pci_msix_reset(device);
}

void pci_msi_written(struct pci_device *device, unsigned offset, unsigned size)
{
	if (device->msi && pci_overlaps(offset, size, device->msi + PCI_MSI_FLAGS, 2))
		pci_update_intx(device);
	if (device->msix && pci_overlaps(offset, size, device->msix + PCI_MSIX_FLAGS, 2)) {
		pci_update_intx(device);
		send_all_pending(device);
	}
}

void pci_msix_reset(struct pci_device *device)
{
	for (unsigned i = 0; i < device->msix_vectors; i++)
		device->msix_table[i] = (struct pci_msix_entry){ .control = PCI_MSIX_ENTRY_CTRL_MASKBIT };
	__atomic_store_n(&device->msix_pending, 0, __ATOMIC_SEQ_CST);
}

void pci_msix_state(struct pci_device *device, struct state *state)
{
	uint64_t vectors = device->msix_vectors == 64 ? UINT64_MAX : (1ull << device->msix_vectors) - 1;

	if (!device->msix)
		return;
	state_bytes(state, "msix_table", device->msix_table, device->msix_vectors * sizeof(struct pci_msix_entry));
	state_u64(state, "msix_pending", &device->msix_pending);
	device->msix_pending &= vectors;
	for (unsigned i = 0; i < device->msix_vectors; i++) {
		device->msix_table[i].address &= ~3ull;
		device->msix_table[i].control &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
}
