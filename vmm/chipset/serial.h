/*
 * 16550A serial port (National PC16550D data sheet). Bytes leave at once, whatever the baud rate; input waits outside
 * while the FIFO is full, so it is never overrun. With vm->lock.
 */
#pragma once

#include <stdint.h>

#include "../device.h"

struct serial_backend;

/* COM1 is base 0x3F8, gsi 4. backend becomes the device's; NULL: nothing is connected. */
struct device *serial_new(struct vm *vm, uint16_t base, unsigned gsi, struct serial_backend *backend);
