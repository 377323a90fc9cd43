/* Little-endian numbers at any address. */
#pragma once

#include <glib.h>

static inline guint16 get_le16(const guint8 *bytes)
{
	return (guint16)(bytes[0] | bytes[1] << 8);
}

static inline guint32 get_le32(const guint8 *bytes)
{
	return get_le16(bytes) | (guint32)get_le16(bytes + 2) << 16;
}

static inline guint64 get_le64(const guint8 *bytes)
{
	return get_le32(bytes) | (guint64)get_le32(bytes + 4) << 32;
}
