/* What SCSI devices of all kinds say alike (SCSI Primary Commands 3, SCSI Block Commands 3). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scsi_sense {
	uint8_t key, asc, ascq;
};

enum scsi_key {
	SCSI_NO_SENSE = 0,
	SCSI_NOT_READY = 2,
	SCSI_MEDIUM_ERROR = 3,
	SCSI_ILLEGAL_REQUEST = 5,
	SCSI_UNIT_ATTENTION = 6,
	SCSI_DATA_PROTECT = 7,
};

/* additional sense code and qualifier in one number */
#define SCSI_WRITE_ERROR 0x0C00
#define SCSI_READ_ERROR 0x1100
#define SCSI_INVALID_OPCODE 0x2000
#define SCSI_OUT_OF_RANGE 0x2100
#define SCSI_INVALID_FIELD 0x2400
#define SCSI_WRITE_PROTECTED 0x2700
#define SCSI_MEDIUM_CHANGED 0x2800
#define SCSI_POWER_ON 0x2900
#define SCSI_SAVING_NOT_SUPPORTED 0x3900
#define SCSI_NO_MEDIUM 0x3A01
#define SCSI_TRAY_OPEN 0x3A02
#define SCSI_REMOVAL_PREVENTED 0x5302

#define SCSI_SENSE_SIZE 18
#define SCSI_INQUIRY_SIZE 36

static inline struct scsi_sense scsi_sense(enum scsi_key key, unsigned code)
{
	return (struct scsi_sense){ (uint8_t)key, (uint8_t)(code >> 8), (uint8_t)code };
}

/* Fixed format (SPC-3 section 4.5.3). */
void scsi_put_sense(struct scsi_sense sense, uint8_t data[SCSI_SENSE_SIZE]);
/* Standard inquiry data of a removable device (SPC-3 section 6.4.2). product: at most 16 characters. */
void scsi_put_inquiry(uint8_t data[SCSI_INQUIRY_SIZE], uint8_t type, uint8_t version, uint8_t format,
		      const char *product);
/* First block and number of blocks of READ, WRITE and VERIFY with 6, 10, 12 and 16 bytes. */
void scsi_block_range(const uint8_t *cdb, uint64_t *lba, uint32_t *count);

static inline uint16_t get_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t get_be32(const uint8_t *p) { return (uint32_t)get_be16(p) << 16 | get_be16(p + 2); }
static inline uint64_t get_be64(const uint8_t *p) { return (uint64_t)get_be32(p) << 32 | get_be32(p + 4); }
static inline void put_be16(uint8_t *p, unsigned v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }
static inline void put_be32(uint8_t *p, uint32_t v) { put_be16(p, v >> 16); put_be16(p + 2, v); }
static inline void put_be64(uint8_t *p, uint64_t v) { put_be32(p, (uint32_t)(v >> 32)); put_be32(p + 4, (uint32_t)v); }
