/*
 * A recording of a guest's network in a file that Wireshark and tcpdump read: pcapng (draft-ietf-opsawg-pcapng).
 *
 * One thread at a time.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;

/* Replaces the file. */
struct capture *capture_open(const char *path, GError **error);
/* sent: by the guest. A full disk ends the recording with a warning; what was written stays readable. */
void capture_frame(struct capture *capture, const uint8_t *frame, size_t length, bool sent);
void capture_close(struct capture *capture);
