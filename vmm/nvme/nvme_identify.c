/* What controller and namespace say about themselves (NVM Express 1.4 section 5.15). */
#include "nvme_internal.h"
#include "../storage/identity.h"

#include <string.h>

#define MODEL "Oriel NVMe Disk"
#define FIRMWARE "1.0"
#define ORGANISATION 0x020000u /* a locally administered one */

#define IDENTIFY_NAMESPACE 0x00
#define IDENTIFY_CONTROLLER 0x01
#define IDENTIFY_NAMESPACES 0x02
#define IDENTIFY_NAMES 0x03

void nvme_derive_names(struct nvme *nvme, const char *serial)
{
	const char *path = block_path(nvme->block);
	uint64_t bits = identity_derive(path, serial, nvme->serial);
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA1, serial ? serial : path, -1);

	G_STATIC_ASSERT(sizeof nvme->serial == IDENTITY_SERIAL_SIZE);
	nvme->name = (uint64_t)ORGANISATION << 40 | bits;
	/* Section 7.9: a UUID makes a name. RFC 4122 section 4.3: version 5, variant 10. */
	g_snprintf(nvme->qualified_name, sizeof nvme->qualified_name,
		   "nqn.2014-08.org.nvmexpress:uuid:%.8s-%.4s-5%.3s-a%.3s-%.12s", sum, sum + 8, sum + 13, sum + 17,
		   sum + 20);
}

static void put_text(uint8_t *data, unsigned length, const char *text)
{
	memset(data, ' ', length);
	memcpy(data, text, MIN(length, strlen(text)));
}

static void put_name(const struct nvme *nvme, uint8_t *data)
{
	for (unsigned i = 0; i < 8; i++)
		data[i] = (uint8_t)(nvme->name >> (56 - 8 * i));
}

static void controller_data(const struct nvme *nvme, uint8_t *data)
{
	pci_set16(data, pci_get16(nvme->pci.config + PCI_VENDOR_ID));
	pci_set16(data + 2, pci_get16(nvme->pci.config + PCI_SUBSYSTEM_VENDOR_ID));
	put_text(data + 4, 20, nvme->serial);
	put_text(data + 24, 40, MODEL);
	put_text(data + 64, 8, FIRMWARE);
	data[72] = 4;                        /* RAB: a burst of 16 commands */
	data[73] = ORGANISATION & 0xFF;
	data[74] = ORGANISATION >> 8 & 0xFF;
	data[75] = ORGANISATION >> 16;
	data[77] = NVME_TRANSFER_SHIFT;      /* MDTS */
	pci_set32(data + 80, 0x00010400);    /* VER */
	data[111] = 1;                       /* CNTRLTYPE: I/O */
	pci_set16(data + 256, 1 << 8);       /* OACS: Doorbell Buffer Config */
	data[258] = 3;                       /* ACL */
	data[259] = NVME_EVENTS_MAX - 1;     /* AERL */
	data[260] = 1 << 1 | 1;              /* FRMW: one slot, that cannot be written */
	data[261] = 1 << 2 | 1 << 1;         /* LPA: any part of a log, commands supported and effects */
	data[262] = NVME_ERRORS_MAX - 1;     /* ELPE */
	pci_set16(data + 266, 343);          /* WCTEMP, CCTEMP: kelvin */
	pci_set16(data + 268, 373);
	data[512] = NVME_ENTRY_SHIFT << 4 | NVME_ENTRY_SHIFT;
	data[513] = NVME_COMPLETION_SHIFT << 4 | NVME_COMPLETION_SHIFT;
	pci_set32(data + 516, 1);            /* NN */
	/* ONCS: select field of features, write zeroes, dataset management, compare */
	pci_set16(data + 520, (uint16_t)(1 << 4 | 1 << 3 | (nvme->ssd ? 1 << 2 : 0) | 1 << 0));
	data[525] = 3 << 1 | 1;              /* VWC: there is one, and one flush for all namespaces */
	g_strlcpy((char *)data + 768, nvme->qualified_name, 256);
	pci_set16(data + 2048, 2500);        /* PSD0.MP: 25 W */
}

/* One LBA format; the host's pages are the granularity in which it likes to be written. */
static void namespace_data(const struct nvme *nvme, uint8_t *data)
{
	const uint16_t page = NVME_PAGE / NVME_SECTOR - 1;

	pci_set64(data, nvme->sectors);     /* NSZE, NCAP, NUSE */
	pci_set64(data + 8, nvme->sectors);
	pci_set64(data + 16, nvme->sectors);
	data[24] = 1 << 4;                   /* NSFEAT: the next fields */
	pci_set16(data + 64, page);          /* NPWG, NPWA, NPDG, NPDA, NOWS */
	pci_set16(data + 66, page);
	pci_set16(data + 68, page);
	pci_set16(data + 70, page);
	pci_set16(data + 72, page);
	data[99] = block_read_only(nvme->block); /* NSATTR: write protected */
	put_name(nvme, data + 120);          /* EUI64 */
	data[130] = 9;                       /* LBAF0: 512 bytes, no metadata */
}

/* Namespace identification descriptors. */
static void names_data(const struct nvme *nvme, uint8_t *data)
{
	data[0] = 1; /* EUI-64 */
	data[1] = 8;
	put_name(nvme, data + 4);
}

void nvme_identify(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;
	uint32_t namespace = command->entry.namespace;
	uint8_t data[NVME_PAGE] = { 0 };
	enum nvme_status status = NVME_SUCCESS;

	switch (command->entry.word[0] & 0xFF) {
	case IDENTIFY_NAMESPACE:
	case IDENTIFY_NAMES:
		if (namespace != NVME_NAMESPACE)
			status = NVME_INVALID_NAMESPACE;
		else if (command->entry.word[0] & 1)
			names_data(nvme, data);
		else
			namespace_data(nvme, data);
		break;
	case IDENTIFY_CONTROLLER:
		controller_data(nvme, data);
		break;
	case IDENTIFY_NAMESPACES:
		/* Those with greater ids than the one that is named. */
		if (namespace >= NVME_ALL_NAMESPACES - 1)
			status = NVME_INVALID_NAMESPACE;
		else if (namespace < NVME_NAMESPACE)
			pci_set32(data, NVME_NAMESPACE);
		break;
	default:
		status = NVME_INVALID_FIELD;
	}
	if (!status)
		status = nvme_give(command, data, sizeof data);
	nvme_complete(command, status, 0);
}
