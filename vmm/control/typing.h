/*
 * Keys that are typed by a program: one combination after the other, no faster than the guest takes them in.
 * All calls need vm->lock.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "../../input/router.h"
#include "../vm.h"

struct typing;

/* Called once, with vm->lock: the guest has taken in everything (error NULL), or never will. */
typedef void (*typing_done)(void *opaque, const GError *error);

struct typing *typing_new(struct vm *vm, struct input_router *router);
/* What is not typed yet is done with an error. */
void typing_free(struct typing *typing);

/*
 * Queue work behind what is being typed; done() may be called before they return. False with an error, and done() is
 * not called: an unknown key, a character that a US keyboard lacks, too much at once, or no keyboard.
 */
bool typing_send_keys(struct typing *typing, const char *const *combinations, typing_done done, void *opaque,
		      GError **error);
bool typing_send_text(struct typing *typing, const char *text, typing_done done, void *opaque, GError **error);
