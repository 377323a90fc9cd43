/* What the parts of the control socket share: its life and signals, methods and properties. All with vm->lock. */
#pragma once

#include <gio/gio.h>

#include "control.h"

struct control {
	struct vm *vm;
	struct input_router *router;
	struct scanout *scanout;
	const struct control_ops *ops;
	void *machine;
	char *name, *folder, *socket_path;
	int fd;
	struct clients *clients;
	struct typing *typing;
	unsigned width, height; /* as last told */
	struct pictures *pictures;
};

/* methods.c: runs a method of the interface with parameters of its types, which is answered now or later. */
void control_call_method(struct control *control, const char *name, GVariant *parameters,
			 GDBusMethodInvocation *invocation);

/* properties.c: what a property of the interface says. */
GVariant *control_get_property(struct control *control, const char *name);
void control_get_mode(struct control *control, unsigned *width, unsigned *height);

/* control.c: tells everybody what these say now; NULL ends the names. */
void control_tell_properties(struct control *control, const char *const *names);
