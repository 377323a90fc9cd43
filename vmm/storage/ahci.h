/*
 * AHCI 1.3.1 controller of the ICH9 (8086:2922) with six ports: disks and CD drives.
 *
 * All calls need vm->lock. Disks complete on the thread of the guest's doorbell as far as the host's page cache
 * goes, and otherwise on the I/O thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "../block/block.h"

#define AHCI_PORTS 6

struct ahci;
struct device;
struct pci_bus;
struct vm;

struct ahci_disk_options {
	const char *serial; /* up to 20 printable ASCII characters; NULL: derived from the path */
	bool ssd;           /* does not rotate and takes TRIM */
};

struct ahci_cd_options {
	bool no_io_uring;
	/*
	 * The disc in a drive changed, by the guest or by ahci_insert() and ahci_eject(); path NULL: no disc. May be
	 * NULL. With vm->lock, any thread.
	 */
	void (*changed)(void *opaque, unsigned port, const char *path);
	void *opaque;
};

/* Plugged in at 00:1f.2. The device frees itself, and the blocks given to it, in device->ops->destroy. */
struct ahci *ahci_new(struct vm *vm, struct pci_bus *bus);
struct device *ahci_device(struct ahci *ahci);

/* Before the guest runs. Takes over block, unless it fails because the image is too small or the port is taken. */
bool ahci_attach_disk(struct ahci *ahci, unsigned port, struct block *block, const struct ahci_disk_options *options,
		      GError **error);
/* An empty drive. */
void ahci_attach_cd(struct ahci *ahci, unsigned port, const struct ahci_cd_options *options);
bool ahci_is_cd(const struct ahci *ahci, unsigned port);

/* Puts a disc into the drive, in place of the one that is there. Fails like ahci_eject() without force. */
bool ahci_insert(struct ahci *ahci, unsigned port, const char *path, GError **error);
/* If the guest has locked the tray it is asked to let go, and the call fails unless force is set. */
bool ahci_eject(struct ahci *ahci, unsigned port, bool force, GError **error);
/* NULL if there is none. */
const char *ahci_disc(const struct ahci *ahci, unsigned port);

/* After VM_REQUEST_PAUSE because of a disk's trouble: try the held requests again, or let the guest see the error. */
void ahci_retry(struct ahci *ahci);
void ahci_fail(struct ahci *ahci);
/* Of all disks: block_has_room(). */
bool ahci_has_room(struct ahci *ahci);
/* Waits until the host has done all that was asked of it: before guest RAM is saved. vCPUs parked. */
void ahci_drain(struct ahci *ahci);

/* NULL if the port has no disk or disc. A disc's counters start anew with the disc. */
const struct block_statistics *ahci_statistics(const struct ahci *ahci, unsigned port);
