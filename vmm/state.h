/*
 * Saving and loading the state of a machine with one function per device for both directions.
 *
 * A device's state function names its fields in any order: state_u32(state, "index", &rtc->index). When saving, the value is
 * written; when loading, it is replaced by the saved one, or left as it is where the file has none (an older version).
 * A loaded value is as untrusted as a guest's: check ranges after loading, and call state_fail() on nonsense.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct state;

/* Saving: sections and fields are collected, then state_finish_save() gives the file's bytes. */
struct state *state_new_save(void);
GBytes *state_finish_save(struct state *state);
/* Loading: checks magic, version, structure and checksum first. */
struct state *state_new_load(GBytes *file, GError **error);
/* False if any field could not be taken; frees the state in any case. */
bool state_finish_load(struct state *state, GError **error);

bool state_loading(const struct state *state);
/* Starts the section that the following fields belong to; names are unique in a file. */
void state_section(struct state *state, const char *name);
void state_fail(struct state *state, const char *format, ...) G_GNUC_PRINTF(2, 3);

void state_bool(struct state *state, const char *name, bool *value);
void state_u8(struct state *state, const char *name, uint8_t *value);
void state_u16(struct state *state, const char *name, uint16_t *value);
void state_u32(struct state *state, const char *name, uint32_t *value);
void state_u64(struct state *state, const char *name, uint64_t *value);
/* Exactly size bytes; a saved field of another size is a failure. */
void state_bytes(struct state *state, const char *name, void *data, size_t size);
