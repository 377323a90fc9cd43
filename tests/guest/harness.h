/*
 * Machines under test: real oriel-vm processes without a window, watched and driven from outside.
 *
 * Each guest lives in temporary XDG folders of its own. What is waited for arrives as an event (a serial line, a
 * D-Bus signal, the end of the process); only pixels, for which there is no event, are polled. Whatever fails, or
 * does not happen in time, ends the test program with a message, after the last screenshot, the serial text and
 * oriel-vm's own messages have been put into $ORIEL_TEST_ARTEFACTS (or the build folder's meson-logs/guest).
 *
 * One thread; the default main context.
 */
#pragma once

#include "picture.h"

#include <gio/gio.h>

struct guest;

/* Initialises GLib's test framework; skips every test, saying why, where machines cannot run. */
void harness_init(int *argc, char ***argv);
/* g_test_run(), then the removal of temporary files. For main() to return. */
int harness_run(void);
/* Path of something made by tests/guest/media, for example "vmlinux"; fails the test if it is missing. */
char *harness_media(const char *name);
/* Path of the project's test disc. */
char *harness_test_disc(void);
/* The text-mode font, loaded once. */
const struct font *harness_font(void);

/* A machine folder with one vCPU and 128 MiB; name is unique in the test program. */
struct guest *guest_new(const char *name);
/* Changes machine.conf before the start. */
void guest_set(struct guest *guest, const char *group, const char *key, const char *format, ...) G_GNUC_PRINTF(4, 5);
/* A disc that lies in the CD drive at the start. */
void guest_set_disc(struct guest *guest, const char *path);
/* Loads the tests' Linux instead of firmware, and the agent unless initramfs is false. */
void guest_set_linux(struct guest *guest, bool initramfs, const char *more_arguments);
/* A file in the machine's folder, with a hard disk of this size on port 0; copied from source unless NULL. */
char *guest_add_disk(struct guest *guest, const char *source, uint64_t size);
/* The project's test disc, which is driven by guest_ask(). */
void guest_set_test_disc(struct guest *guest);
/* With a window on $DISPLAY. */
void guest_set_window(struct guest *guest);
/* A variable of the process's environment; value NULL: without it. */
void guest_set_environment(struct guest *guest, const char *name, const char *value);
/* A program and its first arguments, ..., NULL, that runs oriel-vm; its process has to become oriel-vm's. */
void guest_set_launcher(struct guest *guest, ...) G_GNUC_NULL_TERMINATED;
/* Where the control socket is if not in the machine's own runtime folder. */
void guest_set_socket(struct guest *guest, const char *path);
/* The same machine once more, for a second process. */
struct guest *guest_share(const struct guest *guest);
const char *guest_folder(const struct guest *guest);

/* Starts the process and connects to its control socket and serial port. Again, after its end: as a second start. */
void guest_start(struct guest *guest);
/*
 * Starts a process that has to end with a message, and fails the test if it does anything else; returns the message.
 * save: writes machine.conf first. Free with g_free().
 */
char *guest_start_refused(struct guest *guest, bool save);
/* Of its control socket, for other clients. Free with g_free(). */
char *guest_address(const struct guest *guest);
GPid guest_process(const struct guest *guest);
bool guest_ended(const struct guest *guest);
/* Sends a signal that ends the process, and waits for the end. */
void guest_kill(struct guest *guest, int signal);
/* Stops it at once, if it still runs, and frees everything. */
void guest_free(struct guest *guest);

/* Fails the test with all artefacts. */
G_NORETURN void guest_fail(struct guest *guest, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * Waits until a complete serial line contains the text. Only lines after the one that the previous call returned
 * are looked at. The line belongs to the guest until the next call.
 */
const char *guest_wait_line(struct guest *guest, const char *text, unsigned seconds);
/* The same, or NULL as soon as State is this. */
const char *guest_wait_line_or(struct guest *guest, const char *text, const char *state, unsigned seconds);
/* All serial text so far. */
const char *guest_serial(const struct guest *guest);
/* Writes to the serial port. */
void guest_write(struct guest *guest, const char *text);
/* Gives the agent a command and waits for its "agent: done"; fails the test unless its status is 0. */
void guest_run(struct guest *guest, unsigned seconds, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Gives the test disc a command; returns its answer, the line with the command's first word. */
const char *guest_ask(struct guest *guest, unsigned seconds, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Seconds since guest_start(). */
double guest_age(const struct guest *guest);

/* A new screenshot; belongs to the guest until the next one. NULL while the guest shows nothing. */
const struct picture *guest_look(struct guest *guest);
typedef bool (*guest_sees)(const struct picture *picture, void *data);
/* Looks twice a second until sees() is content. what completes "did not see ...". */
const struct picture *guest_wait_screen(struct guest *guest, guest_sees sees, void *data, const char *what,
					unsigned seconds);
/* Until text mode's font shows this. */
struct area guest_wait_text(struct guest *guest, const char *text, unsigned seconds);
/* Keeps the last screenshot among the artefacts. */
void guest_keep_picture(struct guest *guest, const char *name);

/* A method of io.github.oriel.Machine; takes a floating reference. Fails the test on an error. */
GVariant *guest_call(struct guest *guest, const char *method, GVariant *arguments);
/* The same, but NULL and an error if it fails. */
GVariant *guest_try_call(struct guest *guest, const char *method, GVariant *arguments, GError **error);
/* A property that is a string. Free with g_free(). */
char *guest_property(struct guest *guest, const char *name);
/* What the socket tells about itself, in XML. Free with g_free(). */
char *guest_introspect(struct guest *guest);
/* One of the statistics' counters; 0 if there is none of this name. */
uint64_t guest_counter(struct guest *guest, const char *name);
/* "ctrl+alt+delete", ..., NULL: combinations one after the other. */
void guest_keys(struct guest *guest, ...) G_GNUC_NULL_TERMINATED;
void guest_type(struct guest *guest, const char *text);
/* One relative pointer motion, or a button (BTN_LEFT ...) down or up. */
void guest_move(struct guest *guest, int dx, int dy);
void guest_button(struct guest *guest, unsigned button, bool down);
/* Until State is this; returns what Message says then. */
const char *guest_wait_state(struct guest *guest, const char *state, unsigned seconds);
/* How often State has changed since the first start, and until it has so often. */
unsigned guest_changes(const struct guest *guest);
void guest_wait_changes(struct guest *guest, unsigned changes, unsigned seconds);
/* Until the process has ended; fails unless it ended well. */
void guest_wait_end(struct guest *guest, unsigned seconds);
