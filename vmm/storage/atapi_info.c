/* What a CD/DVD drive tells about itself and its disc (MMC-5 section 6; pages and features from sections 5 and 7). */
#include "ahci_internal.h"

#include <string.h>

/* What fits on a CD of 80 minutes; larger images are DVDs. */
#define CD_MAX_SECTORS (80 * 60 * 75)
#define LEAD_OUT 0xAA
#define FRAMES_PER_SECOND 75

#define PROFILE_CD_ROM 0x0008
#define PROFILE_DVD_ROM 0x0010

static void invalid_field(struct ahci_command *command)
{
	cd_check(command, SCSI_ILLEGAL_REQUEST, SCSI_INVALID_FIELD);
}

static unsigned current_profile(const struct ahci_port *port)
{
	if (!port->block)
		return 0;
	return cd_sectors(port) > CD_MAX_SECTORS ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

/* --- INQUIRY --- */

static void inquiry_page(struct ahci_command *command, unsigned allocation)
{
	static const uint8_t pages[] = { 0x05, 0x00, 0, 2, 0x00, 0x83 };
	static const uint8_t identification[] = {
		0x05, 0x83, 0, 20, 2, 1, 0, 16, /* ASCII, vendor's name first */
		'O', 'R', 'I', 'E', 'L', ' ', ' ', ' ', 'D', 'V', 'D', '-', 'R', 'O', 'M', ' ',
	};

	if (command->packet[2] == 0x00)
		cd_reply(command, pages, sizeof pages, allocation);
	else if (command->packet[2] == 0x83)
		cd_reply(command, identification, sizeof identification, allocation);
	else
		invalid_field(command);
}

void cd_inquiry(struct ahci_command *command)
{
	unsigned allocation = get_be16(command->packet + 3);
	uint8_t data[SCSI_INQUIRY_SIZE];

	if (command->packet[1] & 1) {
		inquiry_page(command, allocation);
	} else if (command->packet[2]) {
		invalid_field(command);
	} else {
		scsi_put_inquiry(data, 0x05, 0x05, 0x32, "DVD-ROM");
		cd_reply(command, data, sizeof data, allocation);
	}
}

/* --- MODE SENSE --- */

#define PAGE_ERROR_RECOVERY 0x01
#define PAGE_AUDIO 0x0E
#define PAGE_CAPABILITIES 0x2A
#define PAGE_ALL 0x3F

static unsigned put_capabilities(const struct ahci_port *port, uint8_t *data)
{
	static const uint8_t page[22] = {
		PAGE_CAPABILITIES, 20, 0x3B, 0x00, /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
		0x70, 0x00, 0x29, 0x00, /* mode 2 forms 1 and 2, multisession; tray, eject, lock */
		0x15, 0xA0, 0x00, 0x00, /* 32x in kB/s */
		0x08, 0x00, 0x15, 0xA0, /* 2 MB of buffer */
	};

	memcpy(data, page, sizeof page);
	data[6] |= port->cd.locked ? 1 << 1 : 0;
	return sizeof page;
}

static unsigned put_pages(const struct ahci_port *port, unsigned page, uint8_t *data)
{
	static const uint8_t recovery[12] = { PAGE_ERROR_RECOVERY, 10, 0, 5 };
	static const uint8_t audio[16] = { PAGE_AUDIO, 14, 4, 0, 0, 0, 0, 0, 1, 0xFF, 2, 0xFF };
	unsigned length = 0;

	if (page == PAGE_ERROR_RECOVERY || page == PAGE_ALL) {
		memcpy(data, recovery, sizeof recovery);
		length += sizeof recovery;
	}
	if (page == PAGE_AUDIO || page == PAGE_ALL) {
		memcpy(data + length, audio, sizeof audio);
		length += sizeof audio;
	}
	if (page == PAGE_CAPABILITIES || page == PAGE_ALL)
		length += put_capabilities(port, data + length);
	return length;
}

static unsigned medium_type(const struct ahci_port *port)
{
	if (port->cd.tray_open)
		return 0x71;
	return port->block ? 0x01 : 0x70;
}

static void mode_sense(struct ahci_command *command, unsigned header, unsigned allocation)
{
	unsigned kind = command->packet[2] >> 6, length;
	uint8_t data[CD_REPLY_MAX] = { 0 };

	length = kind == 3 ? 0 : put_pages(command->port, command->packet[2] & 0x3F, data + header);
	if (kind == 3) {
		cd_check(command, SCSI_ILLEGAL_REQUEST, SCSI_SAVING_NOT_SUPPORTED);
		return;
	}
	if (!length) {
		invalid_field(command);
		return;
	}
	if (kind == 1) /* changeable values: none */
		for (unsigned i = header; i < header + length; i += data[i + 1] + 2u)
			memset(data + i + 2, 0, data[i + 1]);
	if (header == 4) {
		data[0] = (uint8_t)(header + length - 1);
		data[1] = (uint8_t)medium_type(command->port);
	} else {
		put_be16(data, header + length - 2);
		data[2] = (uint8_t)medium_type(command->port);
	}
	cd_reply(command, data, header + length, allocation);
}

void cd_mode_sense_6(struct ahci_command *command)
{
	mode_sense(command, 4, command->packet[4]);
}

void cd_mode_sense_10(struct ahci_command *command)
{
	mode_sense(command, 8, get_be16(command->packet + 7));
}

/* --- READ TOC: one session, one data track --- */

/* A block address as it is, or as minute, second, frame, which count from two seconds before block 0. */
static void put_address(uint8_t *data, uint32_t lba, bool msf)
{
	uint32_t frames = lba + 2 * FRAMES_PER_SECOND;

	if (!msf) {
		put_be32(data, lba);
		return;
	}
	data[0] = 0;
	data[1] = (uint8_t)MIN(frames / FRAMES_PER_SECOND / 60, 255);
	data[2] = (uint8_t)(frames / FRAMES_PER_SECOND % 60);
	data[3] = (uint8_t)(frames % FRAMES_PER_SECOND);
}

static unsigned put_track(uint8_t *data, unsigned track, uint32_t lba, bool msf)
{
	data[1] = 0x14; /* data track */
	data[2] = (uint8_t)track;
	put_address(data + 4, lba, msf);
	return 8;
}

static void toc_tracks(struct ahci_command *command, bool msf, unsigned allocation)
{
	unsigned first = command->packet[6], length = 4;
	uint8_t data[20] = { 0, 0, 1, 1 };

	if (first > 1 && first != LEAD_OUT) {
		invalid_field(command);
		return;
	}
	if (first <= 1)
		length += put_track(data + length, 1, 0, msf);
	length += put_track(data + length, LEAD_OUT, cd_sectors(command->port), msf);
	put_be16(data, length - 2);
	cd_reply(command, data, length, allocation);
}

static void toc_session(struct ahci_command *command, bool msf, unsigned allocation)
{
	uint8_t data[12] = { 0, 10, 1, 1 };

	put_track(data + 4, 1, 0, msf);
	cd_reply(command, data, sizeof data, allocation);
}

/* Points A0 and A1 name the first and last track, A2 the lead-out; addresses are in minutes always. */
static void toc_raw(struct ahci_command *command, unsigned allocation)
{
	static const uint8_t points[] = { 0xA0, 0xA1, 0xA2, 0x01 };
	uint8_t data[4 + 11 * sizeof points] = { 0, sizeof data - 2, 1, 1 };

	for (unsigned i = 0; i < sizeof points; i++) {
		uint8_t *entry = data + 4 + 11 * i, address[4];

		entry[0] = 1;
		entry[1] = 0x14;
		entry[3] = points[i];
		put_address(address, points[i] == 0xA2 ? cd_sectors(command->port) : 0, true);
		if (points[i] == 0xA0 || points[i] == 0xA1)
			entry[8] = 1;
		else
			memcpy(entry + 8, address + 1, 3);
	}
	cd_reply(command, data, sizeof data, allocation);
}

void cd_read_toc(struct ahci_command *command)
{
	unsigned format = command->packet[2] & 0xF, allocation = get_be16(command->packet + 7);
	bool msf = command->packet[1] & 2;

	/* Old drivers give the format in the last byte. */
	if (!format)
		format = command->packet[9] >> 6;
	if (format == 0)
		toc_tracks(command, msf, allocation);
	else if (format == 1)
		toc_session(command, msf, allocation);
	else if (format == 2)
		toc_raw(command, allocation);
	else
		invalid_field(command);
}

/* --- GET CONFIGURATION --- */

static unsigned put_feature(uint8_t *data, unsigned code, bool current, bool persistent, const uint8_t *body,
			    unsigned length)
{
	put_be16(data, code);
	data[2] = (uint8_t)((persistent ? 2 : 0) | (current ? 1 : 0));
	data[3] = (uint8_t)length;
	if (length)
		memcpy(data + 4, body, length);
	return 4 + length;
}

static unsigned put_features(const struct ahci_port *port, unsigned from, unsigned to, uint8_t *data)
{
	unsigned profile = current_profile(port), length = 0;
	const uint8_t profiles[] = { 0, PROFILE_DVD_ROM, profile == PROFILE_DVD_ROM, 0,
				     0, PROFILE_CD_ROM, profile == PROFILE_CD_ROM, 0 };
	static const uint8_t core[] = { 0, 0, 0, 7, 1, 0, 0, 0 };     /* SATA; device busy event */
	static const uint8_t morphing[] = { 2, 0, 0, 0 };
	static const uint8_t removable[] = { 0x29, 0, 0, 0 };         /* tray, eject, lock */
	static const uint8_t random[] = { 0, 0, 8, 0, 0, 1, 0, 0 };   /* 2048-byte blocks */
	static const uint8_t cd_read[] = { 0, 0, 0, 0 };
	static const uint8_t dvd_read[] = { 0, 0, 0, 0 };
	static const uint8_t timeout[] = { 0, 0, 0, 0 };
	const struct {
		unsigned code;
		bool current, persistent;
		const uint8_t *body;
		unsigned length;
	} features[] = {
		{ 0x0000, true, true, profiles, sizeof profiles },
		{ 0x0001, true, true, core, sizeof core },
		{ 0x0002, true, true, morphing, sizeof morphing },
		{ 0x0003, true, true, removable, sizeof removable },
		{ 0x0010, profile, false, random, sizeof random },
		{ 0x001E, profile == PROFILE_CD_ROM, false, cd_read, sizeof cd_read },
		{ 0x001F, profile == PROFILE_DVD_ROM, false, dvd_read, sizeof dvd_read },
		{ 0x0100, true, true, NULL, 0 }, /* power management */
		{ 0x0105, true, true, timeout, sizeof timeout },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(features); i++)
		if (features[i].code >= from && features[i].code <= to)
			length += put_feature(data + length, features[i].code, features[i].current,
					      features[i].persistent, features[i].body, features[i].length);
	return length;
}

void cd_get_configuration(struct ahci_command *command)
{
	unsigned type = command->packet[1] & 3, from = get_be16(command->packet + 2);
	uint8_t data[CD_REPLY_MAX] = { 0 };
	unsigned length;

	if (type == 3) {
		invalid_field(command);
		return;
	}
	length = 8 + put_features(command->port, from, type == 2 ? from : 0xFFFF, data + 8);
	put_be32(data, length - 4);
	put_be16(data + 6, current_profile(command->port));
	cd_reply(command, data, length, get_be16(command->packet + 7));
}

/* --- Events and status --- */

#define EVENT_CLASS_MEDIA 4
#define EVENT_NONE_AVAILABLE 0x80

void cd_get_event_status(struct ahci_command *command)
{
	struct cd_drive *cd = &command->port->cd;
	uint8_t data[8] = { 0, 0, EVENT_NONE_AVAILABLE, 1 << EVENT_CLASS_MEDIA };
	unsigned allocation = get_be16(command->packet + 7), length = 4;

	if (!(command->packet[1] & 1)) { /* waiting for an event needs a queue that ATAPI lacks */
		invalid_field(command);
		return;
	}
	if (command->packet[4] & 1 << EVENT_CLASS_MEDIA) {
		data[2] = EVENT_CLASS_MEDIA;
		data[4] = cd->event;
		data[5] = (uint8_t)((cd->tray_open ? 1 : 0) | (command->port->block ? 2 : 0));
		length = 8;
		if (allocation >= length)
			cd->event = CD_EVENT_NONE;
	}
	put_be16(data, length - 2);
	cd_reply(command, data, length, allocation);
}

void cd_mechanism_status(struct ahci_command *command)
{
	uint8_t data[8] = { 0, command->port->cd.tray_open ? 1 << 4 : 0, 0, 0, 0, 1 };

	cd_reply(command, data, sizeof data, get_be16(command->packet + 8));
}

void cd_read_disc_information(struct ahci_command *command)
{
	/* complete disc, last session complete; first track 1, one session, last track 1 */
	uint8_t data[34] = { 0, sizeof data - 2, 0x0E, 1, 1, 1, 1, 0x20 };

	memset(data + 16, 0xFF, 8); /* nothing can be added: no lead-in or lead-out to write */
	if (command->packet[1] & 7)
		invalid_field(command);
	else
		cd_reply(command, data, sizeof data, get_be16(command->packet + 7));
}

void cd_read_track_information(struct ahci_command *command)
{
	uint32_t sectors = cd_sectors(command->port), number = get_be32(command->packet + 2);
	unsigned type = command->packet[1] & 3;
	uint8_t data[36] = { 0, sizeof data - 2, 1, 1, 0, 4, 1 }; /* data track, mode 1 */

	if (type == 3 || (type == 0 ? number >= sectors : number != 1)) {
		invalid_field(command);
		return;
	}
	put_be32(data + 24, sectors);
	cd_reply(command, data, sizeof data, get_be16(command->packet + 7));
}

/* The position while no audio plays. */
void cd_read_subchannel(struct ahci_command *command)
{
	uint8_t data[16] = { 0, 0x15 };
	unsigned allocation = get_be16(command->packet + 7);
	bool wanted = command->packet[2] & 0x40;

	if (!wanted) {
		cd_reply(command, data, 4, allocation);
	} else if (command->packet[3] == 1) {
		data[3] = 12;
		data[4] = 1;
		data[5] = 0x14;
		data[6] = data[7] = 1;
		put_address(data + 8, 0, command->packet[1] & 2);
		put_address(data + 12, 0, command->packet[1] & 2);
		cd_reply(command, data, sizeof data, allocation);
	} else {
		invalid_field(command);
	}
}

/* READ DVD STRUCTURE, which Windows asks for large discs: the physical format, and that nothing is protected. */
void cd_read_dvd_structure(struct ahci_command *command)
{
	unsigned format = command->packet[7], allocation = get_be16(command->packet + 8);
	uint8_t data[2052] = { 0 };

	if (current_profile(command->port) != PROFILE_DVD_ROM) {
		cd_check(command, SCSI_ILLEGAL_REQUEST, 0x3000); /* incompatible medium */
	} else if (format == 0) {
		put_be16(data, 2050);
		data[4] = 1;    /* DVD-ROM, version 1 */
		data[5] = 0x0F; /* 120 mm, highest rate not specified */
		data[6] = 1;    /* one layer, embossed */
		put_be32(data + 8, 0x30000);
		put_be32(data + 12, 0x30000 + cd_sectors(command->port) - 1);
		cd_reply(command, data, sizeof data, allocation);
	} else if (format == 1) {
		put_be16(data, 6);
		cd_reply(command, data, 8, allocation);
	} else {
		invalid_field(command);
	}
}
