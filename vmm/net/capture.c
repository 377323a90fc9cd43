#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECTION_HEADER 0x0A0D0D0Au
#define INTERFACE_DESCRIPTION 1u
#define ENHANCED_PACKET 6u
#define BYTE_ORDER_MAGIC 0x1A2B3C4Du
#define LINKTYPE_ETHERNET 1u
#define OPTION_TIME_RESOLUTION 9u
#define OPTION_PACKET_FLAGS 2u
#define DIRECTION_INBOUND 1u
#define DIRECTION_OUTBOUND 2u
#define NANOSECONDS 9

struct capture {
	FILE *file;
	char *path;
};

static void put(struct capture *capture, const void *data, size_t size)
{
	if (capture->file && fwrite(data, 1, size, capture->file) != size) {
		g_warning("network: the recording in %s ends here: %s", capture->path, g_strerror(errno));
		fclose(capture->file);
		capture->file = NULL;
	}
}

struct capture *capture_open(const char *path, GError **error)
{
	const struct {
		uint32_t type, length, magic;
		uint16_t major, minor;
		int64_t section_length;
		uint32_t length_again;
	} __attribute__((packed)) section = { SECTION_HEADER, sizeof section, BYTE_ORDER_MAGIC, 1, 0, -1, sizeof section };
	const struct {
		uint32_t type, length;
		uint16_t link, reserved;
		uint32_t snap_length;
		uint16_t option, option_length;
		uint8_t resolution, padding[3];
		uint16_t end, end_length;
		uint32_t length_again;
	} __attribute__((packed)) interface = { INTERFACE_DESCRIPTION, sizeof interface, LINKTYPE_ETHERNET, 0, 0,
						OPTION_TIME_RESOLUTION, 1, NANOSECONDS, { 0 }, 0, 0, sizeof interface };
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); /* it may hold what nobody else should read */
	struct capture *capture;

	if (fd < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    _("Cannot record the network to %s: %s"), path, g_strerror(errno));
		return NULL;
	}
	capture = g_new0(struct capture, 1);
	capture->file = fdopen(fd, "w");
	capture->path = g_strdup(path);
	put(capture, &section, sizeof section);
	put(capture, &interface, sizeof interface);
	return capture;
}

void capture_frame(struct capture *capture, const uint8_t *frame, size_t length, bool sent)
{
	static const uint8_t padding[4];
	size_t padded = (length + 3) & ~(size_t)3;
	uint64_t time = (uint64_t)g_get_real_time() * 1000;
	struct {
		uint32_t type, length, interface, time_high, time_low, captured, original;
	} header = { ENHANCED_PACKET, 0, 0, (uint32_t)(time >> 32), (uint32_t)time, (uint32_t)length, (uint32_t)length };
	struct {
		uint16_t option, option_length;
		uint32_t flags;
		uint16_t end, end_length;
		uint32_t length_again;
	} trailer = { OPTION_PACKET_FLAGS, 4, sent ? DIRECTION_OUTBOUND : DIRECTION_INBOUND, 0, 0, 0 };

	header.length = trailer.length_again = (uint32_t)(sizeof header + padded + sizeof trailer);
	put(capture, &header, sizeof header);
	put(capture, frame, length);
	put(capture, padding, padded - length);
	put(capture, &trailer, sizeof trailer);
}

void capture_close(struct capture *capture)
{
	if (capture->file && fclose(capture->file) != 0)
		g_warning("network: the end of the recording in %s is missing: %s", capture->path, g_strerror(errno));
	g_free(capture->path);
	g_free(capture);
}
