#include "scsi.h"

#include <string.h>

void scsi_put_sense(struct scsi_sense sense, uint8_t data[SCSI_SENSE_SIZE])
{
	memset(data, 0, SCSI_SENSE_SIZE);
	data[0] = 0x70;
	data[2] = sense.key;
	data[7] = SCSI_SENSE_SIZE - 8;
	data[12] = sense.asc;
	data[13] = sense.ascq;
}

static void put_text(uint8_t *data, unsigned size, const char *text)
{
	memset(data, ' ', size);
	memcpy(data, text, strnlen(text, size));
}

void scsi_put_inquiry(uint8_t data[SCSI_INQUIRY_SIZE], uint8_t type, uint8_t version, uint8_t format,
		      const char *product)
{
	memset(data, 0, SCSI_INQUIRY_SIZE);
	data[0] = type;
	data[1] = 0x80; /* removable */
	data[2] = version;
	data[3] = format;
	data[4] = SCSI_INQUIRY_SIZE - 5;
	put_text(data + 8, 8, "ORIEL");
	put_text(data + 16, 16, product);
	put_text(data + 32, 4, "1.0");
}

void scsi_block_range(const uint8_t *cdb, uint64_t *lba, uint32_t *count)
{
	switch (cdb[0] >> 5) { /* the group code tells the length */
	case 0:
		*lba = get_be32(cdb) & 0x1FFFFF;
		*count = cdb[4] ? cdb[4] : 256;
		break;
	case 4:
		*lba = get_be64(cdb + 2);
		*count = get_be32(cdb + 10);
		break;
	case 5:
		*lba = get_be32(cdb + 2);
		*count = get_be32(cdb + 6);
		break;
	default:
		*lba = get_be32(cdb + 2);
		*count = get_be16(cdb + 7);
	}
}
