/* The small ports of the platform: POST codes (80), A20 (92), firmware's debug console (402), reset (CF9). */
#pragma once

#include <stdbool.h>

#include "../device.h"

/*
 * debug_console: firmware finds the port at 402 and writes its messages there, which go to the log at debug level;
 * without it, firmware is silent and starts faster. With vm->lock.
 */
struct device *ports_new(struct vm *vm, bool debug_console);
