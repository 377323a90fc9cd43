/* Inside of the stick: transport and commands. */
#pragma once

#include "../storage/scsi.h"
#include "../vm.h"
#include "storage.h"
#include "usb.h"

#define SECTOR 512u
#define STORAGE_BUFFER_MAX (1u << 20)

enum storage_phase {
	PHASE_COMMAND,  /* waits for a command block wrapper */
	PHASE_WORKING,  /* a command without data runs */
	PHASE_DATA_IN,
	PHASE_DATA_OUT,
	PHASE_STATUS,   /* a command status wrapper waits to be taken */
	PHASE_BROKEN,   /* nothing but a reset helps (section 6.6.1) */
};

enum storage_status { /* bCSWStatus */
	STATUS_PASSED,
	STATUS_FAILED,
	STATUS_PHASE_ERROR,
};

enum storage_answer {
	ANSWER_NONE,  /* over */
	ANSWER_FLUSH, /* over when the image is flushed */
	ANSWER_DATA,  /* storage->data for the host */
	ANSWER_READ,  /* storage->position and device_left */
	ANSWER_WRITE,
};

struct usb_storage {
	struct usb_device usb;
	struct usb_description description;
	const char *strings[4];
	char serial[21];
	struct vm *vm;
	struct block *block;
	GSource *watch;
	/* The command (section 5.1) */
	uint8_t phase, status, answer;
	uint32_t tag;
	uint8_t cdb[16];
	bool to_host;
	uint32_t host_left;   /* bytes of the data stage that the host expects to move yet */
	uint32_t residue;     /* of those, bytes that mean nothing */
	uint64_t device_left; /* bytes that the command has to move yet */
	uint64_t position;    /* on the image */
	GByteArray *data;     /* answers, and whole commands whose transfers do not fit sectors */
	uint32_t data_place;
	bool begun;           /* bytes have been moved */
	bool buffered;        /* ANSWER_READ and ANSWER_WRITE by way of data */
	/* Transfers that have not ended */
	struct usb_transfer *out, *in; /* in: also before there is anything to say */
	bool io;              /* the image works on request */
	bool processing, discarding;
	struct timer restart;
	struct block_request request;
	struct iovec *iov;
	unsigned iov_capacity;
	struct scsi_sense sense, attention;
	bool locked;          /* PREVENT ALLOW MEDIUM REMOVAL */
	bool dirty;           /* written to and not flushed since */
};

/* --- storage_transport.c --- */
/* Goes on with the transfers that are there. Does nothing from within itself. */
void storage_process(struct usb_storage *storage);
/* Begins again what was not finished when the state was saved. */
void storage_restart(struct usb_storage *storage);

/* --- storage_scsi.c --- */
/* Decides about the command in cdb: sets answer, and data or position and device_left, or status and sense. */
void storage_execute(struct usb_storage *storage);
void storage_fail(struct usb_storage *storage, enum scsi_key key, unsigned code);
