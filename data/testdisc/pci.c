#include "machine.h"

uint32_t pci_read(uint32_t address, uint8_t offset)
{
	outl(0xCF8, 0x80000000 | address | (offset & 0xFC));
	return inl(0xCFC);
}

void pci_write(uint32_t address, uint8_t offset, uint32_t value)
{
	outl(0xCF8, 0x80000000 | address | (offset & 0xFC));
	outl(0xCFC, value);
}

static uint32_t find(uint8_t offset, uint32_t mask, uint32_t wanted)
{
	for (uint32_t slot = 0; slot < 32; slot++) {
		uint32_t functions = 1;

		if (pci_read(slot << 11, 0) == 0xFFFFFFFF)
			continue;
		if (pci_read(slot << 11, 0x0C) & 0x800000)
			functions = 8;
		for (uint32_t function = 0; function < functions; function++) {
			uint32_t address = slot << 11 | function << 8;

			if (pci_read(address, 0) != 0xFFFFFFFF && (pci_read(address, offset) & mask) == wanted)
				return address;
		}
	}
	return PCI_NONE;
}

uint8_t pci_capability(uint32_t address, uint8_t id)
{
	uint8_t capability = (uint8_t)pci_read(address, 0x34);

	for (unsigned i = 0; i < 48 && capability; i++) {
		uint32_t head = pci_read(address, capability);

		if ((head & 0xFF) == id)
			return capability;
		capability = (uint8_t)(head >> 8);
	}
	return 0;
}

uint32_t pci_enable_local_apic(void)
{
	volatile uint32_t *id = (volatile uint32_t *)0xFEE00020, *spurious = (volatile uint32_t *)0xFEE000F0;

	*spurious |= 0x1FF;
	return 0xFEE00000 | (*id >> 24) << 12;
}

static bool enable_msix(uint32_t address, unsigned message)
{
	uint8_t capability = pci_capability(address, 0x11);
	volatile uint32_t *entry;
	uint32_t place, bar;

	if (!capability)
		return false;
	place = pci_read(address, capability + 4);
	bar = pci_read(address, (uint8_t)(0x10 + (place & 7) * 4)) & ~0xFu;
	entry = (volatile uint32_t *)(uintptr_t)(bar + (place & ~7u) + message * 16);
	pci_write(address, capability, pci_read(address, capability) | 0x80000000);
	entry[0] = pci_enable_local_apic();
	entry[1] = 0;
	entry[2] = MESSAGE_VECTOR;
	entry[3] = 0;
	return true;
}

bool pci_enable_msi(uint32_t address, uint8_t vector)
{
	uint8_t capability = pci_capability(address, 0x05);
	uint32_t head;

	if (!capability)
		return false;
	head = pci_read(address, capability);
	pci_write(address, capability + 4, pci_enable_local_apic());
	if (head & 0x800000)
		pci_write(address, capability + 8, 0);
	pci_write(address, capability + (head & 0x800000 ? 12 : 8), vector);
	pci_write(address, capability, (head & ~0x700000u) | 0x10000);
	return true;
}

bool pci_enable_message(uint32_t address, unsigned message)
{
	return enable_msix(address, message) || pci_enable_msi(address, MESSAGE_VECTOR);
}

uint32_t pci_find_class(uint16_t class_and_subclass)
{
	return find(0x08, 0xFFFF0000, (uint32_t)class_and_subclass << 16);
}

uint32_t pci_find_device(uint16_t vendor, uint16_t device)
{
	return find(0x00, 0xFFFFFFFF, (uint32_t)device << 16 | vendor);
}
