/*
 * NVM Express 1.4 controller with one namespace: one disk.
 *
 * Each disk has a controller of its own, because firmware orders NVMe disks by controller, and because their queues
 * then never wait for each other. There is an I/O queue pair for each vCPU, with messages (MSI-X), and shadow
 * doorbells for guests that want them.
 *
 * All calls need vm->lock. Commands complete on the thread of the guest's doorbell as far as the host's page cache
 * goes, and otherwise on the I/O thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "../block/block.h"

struct device;
struct nvme;
struct pci_bus;
struct vm;

struct nvme_options {
	const char *serial; /* up to 20 printable ASCII characters; NULL: derived from the path */
	bool ssd;           /* passes on what the guest deallocates */
	unsigned queues;    /* I/O queue pairs: one for each vCPU */
	uint8_t devfn;
};

/* The device frees itself, and block, in device->ops->destroy. */
struct nvme *nvme_new(struct vm *vm, struct pci_bus *bus, struct block *block, const struct nvme_options *options);
struct device *nvme_device(struct nvme *nvme);

/* After VM_REQUEST_PAUSE because of the disk's trouble: try the held requests again, or let the guest see the error. */
void nvme_retry(struct nvme *nvme);
void nvme_fail(struct nvme *nvme);
/* block_has_room() */
bool nvme_has_room(struct nvme *nvme);
/* Waits until the host has done all that was asked of it: before guest RAM is saved. vCPUs parked. */
void nvme_drain(struct nvme *nvme);

const struct block_statistics *nvme_statistics(const struct nvme *nvme);
