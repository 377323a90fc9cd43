/*
 * A USB 3 stick on a disk image: Mass Storage Class Bulk-Only Transport 1.0 with SCSI commands. All calls need
 * vm->lock.
 */
#pragma once

#include <stdbool.h>

#include "../block/block.h"

struct usb_device;
struct vm;

/*
 * For xhci_attach(), whose controller frees it. Takes over block. Trouble with the image pauses the machine, as with
 * other disks.
 */
struct usb_device *usb_storage_new(struct vm *vm, struct block *block);
/* The image behind the device; NULL: it is no stick. */
struct block *usb_storage_block(const struct usb_device *device);

/* After VM_REQUEST_PAUSE because of trouble: tries the held requests again, or lets the guest see the error. */
void usb_storage_mend(struct usb_device *device, bool retry);
/* The guest was told not to lose the medium, or has not written back all of it yet: pulling it out may lose data. */
bool usb_storage_in_use(const struct usb_device *device);
