/*
 * The machine's D-Bus socket (data/io.github.oriel.Machine.xml): everything that a user can do with a machine,
 * without its window.
 *
 * The socket is served on vm->loop, under vm->lock. Any number of clients may be connected.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../display/scanout.h"
#include "../../input/router.h"
#include "../vm.h"

/* The end of what takes a while; error NULL: it went well. Called once, with vm->lock, possibly at once. */
typedef void (*control_done)(void *opaque, const GError *error);
/* Likewise, with struct usb_host_entry *, which stay the caller's; NULL: error. */
typedef void (*control_listed)(void *opaque, const GPtrArray *entries, const GError *error);

/*
 * What the machine can be told. All are called on the I/O thread with vm->lock and must not wait for the guest. The
 * errors' messages are shown to the user; G_IO_ERROR_NOT_FOUND, _INVALID_ARGUMENT, _BUSY and _NOT_SUPPORTED keep
 * their meaning as D-Bus errors, everything else becomes Failed.
 */
struct control_ops {
	/* "starting", "running", "paused", "crashed", "trouble" or "stopped"; the reason, or "" */
	const char *(*state)(void *machine);
	const char *(*message)(void *machine);
	/* Brings the scanout up to date, which its producer leaves undone while nobody watches. */
	void (*refresh_screen)(void *machine);
	/* Path of the serial port's pty, or "" */
	const char *(*serial_pty)(void *machine);

	bool (*pause)(void *machine, GError **error);
	bool (*resume)(void *machine, GError **error);
	bool (*reset)(void *machine, GError **error);
	bool (*power_button)(void *machine, GError **error);
	bool (*stop)(void *machine, GError **error);
	/* Brings the machine's window to the front, or opens one. */
	bool (*raise)(void *machine, GError **error);
	/* After trouble: do the requests again, or let them fail. */
	bool (*retry)(void *machine, GError **error);
	bool (*fail)(void *machine, GError **error);
	/* drive: AHCI port, or -1 for the first CD drive. path is absolute. */
	bool (*insert_disc)(void *machine, int drive, const char *path, GError **error);
	bool (*eject_disc)(void *machine, int drive, bool force, GError **error);
	/* A disk image as a USB stick; path is absolute. force: even if the guest still writes to it. */
	bool (*plug_stick)(void *machine, const char *path, bool read_only, GError **error);
	bool (*unplug_stick)(void *machine, const char *path, bool force, GError **error);
	/* The USB devices of the host. */
	void (*host_devices)(void *machine, control_listed done, void *opaque);
	void (*plug_host_device)(void *machine, uint8_t bus, uint8_t address, control_done done, void *opaque);
	bool (*unplug_host_device)(void *machine, uint8_t bus, uint8_t address, GError **error);
	/* The images of the sticks that are plugged in. */
	void (*sticks)(void *machine, void (*add)(void *opaque, const char *path), void *opaque);
	/* Calls add(opaque, name, value) for every counter. */
	void (*statistics)(void *machine, void (*add)(void *opaque, const char *name, uint64_t value), void *opaque);
	/* For every CD drive; path "": nothing is in it. */
	void (*discs)(void *machine, void (*add)(void *opaque, int drive, const char *path), void *opaque);
	/* Whether the guest hears what the host records, and whether its network's cable is plugged in. */
	bool (*microphone)(void *machine);
	bool (*set_microphone)(void *machine, bool allowed, GError **error);
	bool (*link)(void *machine);
	bool (*set_link)(void *machine, bool up, GError **error);
	/* The host's ports that are open, as nat_forward_parse() takes them. */
	void (*forwards)(void *machine, void (*add)(void *opaque, const char *forward), void *opaque);
	/* Opens or closes one. */
	void (*forward)(void *machine, const char *forward, bool add, control_done done, void *opaque);
};

struct control_options {
	struct vm *vm;
	struct input_router *router;
	struct scanout *scanout;
	const char *socket_path; /* machine_config_socket_path() */
	const char *name;        /* for people */
	const char *folder;
	const struct control_ops *ops;
	void *machine;
};

struct control;

/*
 * Makes the socket and listens. Any thread; clients are served once vm->loop runs. Strings are copied, everything
 * else must outlive the control. Error: the machine is already running, or the socket cannot be made.
 */
struct control *control_new(const struct control_options *options, GError **error);
/* Sends what is still to be sent, hangs up, and removes the socket. With vm->loop stopped and vCPUs gone. */
void control_free(struct control *control);

/* To all clients. With vm->lock, any thread. The new values are asked from ops and from the scanout. */
void control_state_changed(struct control *control);
void control_leds_changed(struct control *control);
/* Also called by itself when the scanout's picture changes. */
void control_mode_changed(struct control *control);
/* path: "" after ejecting. */
void control_disc_changed(struct control *control, int drive, const char *path);
void control_forwards_changed(struct control *control);
/* A stick was plugged in or out. */
void control_sticks_changed(struct control *control);
/* Something went wrong that did not stop the guest. */
void control_error(struct control *control, const char *message);
/* fraction: 0 to 1 of a long operation */
void control_progress(struct control *control, const char *operation, double fraction);
