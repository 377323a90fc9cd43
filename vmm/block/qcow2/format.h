/* Numbers of the qcow2 format, by the specification (docs/interop/qcow2 of QEMU), and its byte order. */
#pragma once

#include <glib.h>
#include <stdint.h>

#define QCOW2_MAGIC 0x514649fbu

#define QCOW2_DIRTY (1ull << 0) /* incompatible features */
#define QCOW2_CORRUPT (1ull << 1)
#define QCOW2_EXTERNAL_DATA (1ull << 2)
#define QCOW2_COMPRESSION_TYPE (1ull << 3)
#define QCOW2_EXTENDED_L2 (1ull << 4)
#define QCOW2_INCOMPATIBLE_KNOWN 0x1full
#define QCOW2_LAZY_REFCOUNTS (1ull << 0) /* compatible */
#define QCOW2_BITMAPS (1ull << 0)        /* autoclear */
#define QCOW2_EXTERNAL_RAW (1ull << 1)
#define QCOW2_AUTOCLEAR_KNOWN 0x3ull

#define QCOW2_EXTENSION_END 0u
#define QCOW2_EXTENSION_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXTENSION_FEATURE_NAMES 0x6803f857u
#define QCOW2_EXTENSION_BITMAPS 0x23852875u
#define QCOW2_EXTENSION_ENCRYPTION 0x0537be77u
#define QCOW2_EXTENSION_DATA_FILE 0x44415441u

#define QCOW2_OFFSET_MASK 0x00fffffffffffe00ull
#define QCOW2_REFTABLE_MASK 0xfffffffffffffe00ull
#define QCOW2_L1_RESERVED 0x7f000000000001ffull
#define QCOW2_L2_RESERVED 0x3f000000000001feull /* not of compressed clusters */
#define QCOW2_REFTABLE_RESERVED 0x1ffull
#define QCOW2_COPIED (1ull << 63)
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO 1ull
#define QCOW2_SUBCLUSTERS 32

struct qcow2_header {
	uint32_t version;
	uint64_t backing_offset;
	uint32_t backing_size;
	uint32_t cluster_bits;
	uint64_t size;
	uint32_t crypt_method;
	uint32_t l1_size;
	uint64_t l1_table_offset;
	uint64_t refcount_table_offset;
	uint32_t refcount_table_clusters;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible_features;
	uint64_t compatible_features;
	uint64_t autoclear_features;
	uint32_t refcount_order;
	uint32_t header_length;
	uint8_t compression_type;
};

/* Positions in the file of the header's fields that are written alone. */
enum {
	QCOW2_AT_SIZE = 24,
	QCOW2_AT_INCOMPATIBLE = 72,
	QCOW2_V2_LENGTH = 72,
	QCOW2_V3_LENGTH = 104,
};

struct qcow2_extension {
	uint32_t type;
	uint32_t length;
	uint8_t *data;
};

static inline uint64_t qcow2_get64(const void *from)
{
	uint64_t value;

	__builtin_memcpy(&value, from, sizeof value);
	return GUINT64_FROM_BE(value);
}

static inline uint32_t qcow2_get32(const void *from)
{
	uint32_t value;

	__builtin_memcpy(&value, from, sizeof value);
	return GUINT32_FROM_BE(value);
}

static inline uint16_t qcow2_get16(const void *from)
{
	uint16_t value;

	__builtin_memcpy(&value, from, sizeof value);
	return GUINT16_FROM_BE(value);
}

static inline void qcow2_put64(void *to, uint64_t value)
{
	value = GUINT64_TO_BE(value);
	__builtin_memcpy(to, &value, sizeof value);
}

static inline void qcow2_put32(void *to, uint32_t value)
{
	value = GUINT32_TO_BE(value);
	__builtin_memcpy(to, &value, sizeof value);
}

static inline void qcow2_put16(void *to, uint16_t value)
{
	value = GUINT16_TO_BE(value);
	__builtin_memcpy(to, &value, sizeof value);
}
