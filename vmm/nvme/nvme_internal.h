/* Inside of the NVMe controller. All with vm->lock. Sections are those of NVM Express 1.4. */
#pragma once

#include "../block/block.h"
#include "../device.h"
#include "../log.h"
#include "../pci/pci.h"
#include "../state.h"
#include "../vm.h"
#include "nvme.h"

#define NVME_PAGE 4096u
#define NVME_SECTOR 512u
#define NVME_QUEUES_MAX 32u           /* pairs for I/O */
#define NVME_QUEUE_IDS (NVME_QUEUES_MAX + 1)
#define NVME_QUEUE_ENTRIES 1024u      /* CAP.MQES + 1 */
#define NVME_IN_FLIGHT_MAX 256u       /* of one submission queue; what comes after waits in the queue */
#define NVME_TRANSFER_SHIFT 9u        /* MDTS: 2 MiB */
#define NVME_TRANSFER_MAX (NVME_PAGE << NVME_TRANSFER_SHIFT)
#define NVME_EVENTS_MAX 4u            /* AERL + 1 */
#define NVME_ERRORS_MAX 16u           /* ELPE + 1 */
#define NVME_FEATURES 0x0Cu
#define NVME_BAR_REGISTERS 0
#define NVME_DOORBELLS 0x1000u /* in these registers */
#define NVME_NAMESPACE 1u
#define NVME_ALL_NAMESPACES 0xFFFFFFFFu
#define NVME_ENTRY_SHIFT 6u           /* bytes of a submission queue's entry */
#define NVME_COMPLETION_SHIFT 4u

/* CC, CSTS (sections 3.1.5 and 3.1.6) */
#define CC_WRITABLE 0x00FFFFF1u
#define CC_EN (1u << 0)
#define CC_CSS (7u << 4)
#define CC_MPS (15u << 7)
#define CC_AMS (7u << 11)
#define CC_SHN (3u << 14)
#define CC_IOSQES_SHIFT 16
#define CC_IOCQES_SHIFT 20
#define CSTS_RDY (1u << 0)
#define CSTS_CFS (1u << 1)
#define CSTS_SHST (3u << 2)
#define CSTS_SHST_OCCURRING (1u << 2)
#define CSTS_SHST_COMPLETE (2u << 2)

/* Status code type and status code (section 4.5.1.2), with "do not retry" where trying again is no use. */
#define NVME_RETRY_USELESS 0x4000
#define NVME_MORE 0x2000
enum nvme_status {
	NVME_SUCCESS = 0,
	NVME_INVALID_OPCODE = 0x0001 | NVME_RETRY_USELESS,
	NVME_INVALID_FIELD = 0x0002 | NVME_RETRY_USELESS,
	NVME_DATA_TRANSFER_ERROR = 0x0004 | NVME_RETRY_USELESS,
	NVME_INTERNAL_ERROR = 0x0006,
	NVME_ABORT_REQUESTED = 0x0007 | NVME_RETRY_USELESS,
	NVME_INVALID_NAMESPACE = 0x000B | NVME_RETRY_USELESS,
	NVME_COMMAND_SEQUENCE = 0x000C | NVME_RETRY_USELESS,
	NVME_INVALID_PRP_OFFSET = 0x0013 | NVME_RETRY_USELESS,
	NVME_WRITE_PROTECTED = 0x0020 | NVME_RETRY_USELESS,
	NVME_LBA_OUT_OF_RANGE = 0x0080 | NVME_RETRY_USELESS,
	NVME_INVALID_COMPLETION_QUEUE = 0x0100 | NVME_RETRY_USELESS,
	NVME_INVALID_QUEUE_ID = 0x0101 | NVME_RETRY_USELESS,
	NVME_INVALID_QUEUE_SIZE = 0x0102 | NVME_RETRY_USELESS,
	NVME_EVENT_LIMIT = 0x0105 | NVME_RETRY_USELESS,
	NVME_INVALID_VECTOR = 0x0108 | NVME_RETRY_USELESS,
	NVME_INVALID_LOG_PAGE = 0x0109 | NVME_RETRY_USELESS,
	NVME_INVALID_QUEUE_DELETION = 0x010C | NVME_RETRY_USELESS,
	NVME_FEATURE_NOT_SAVEABLE = 0x010D | NVME_RETRY_USELESS,
	NVME_FEATURE_NOT_CHANGEABLE = 0x010E | NVME_RETRY_USELESS,
	NVME_WRITE_FAULT = 0x0280 | NVME_RETRY_USELESS,
	NVME_READ_ERROR = 0x0281 | NVME_RETRY_USELESS,
	NVME_COMPARE_FAILURE = 0x0285 | NVME_RETRY_USELESS,
};

struct nvme_sq;

/* The fields of a submission queue's entry (section 4.2), read once. */
struct nvme_entry {
	uint8_t opcode;
	uint8_t flags; /* FUSE, PSDT */
	uint16_t id;
	uint32_t namespace;
	uint64_t prp1, prp2;
	uint32_t word[6]; /* command dwords 10-15 */
};

/* A command between its fetching and its completion. */
struct nvme_command {
	struct nvme_sq *sq;
	struct nvme_command *next_free;
	bool active;
	bool flush_after; /* write zeroes that have to be on stable storage */
	uint8_t raw[1 << NVME_ENTRY_SHIFT];
	struct nvme_entry entry;
	struct block_request request;
	void (*io_done)(struct nvme_command *command, int error);
	struct iovec *iov; /* the guest's buffers; owned, grows */
	unsigned iov_count, iov_capacity;
	uint8_t *bounce;   /* what is on the disk, for comparing */
	struct iovec bounce_iov;
};

struct nvme_cq {
	struct nvme *nvme;
	uint16_t id, size;
	uint64_t base;
	uint8_t *entries; /* RAM never moves */
	uint16_t head, tail;
	bool phase;
	bool interrupts;
	uint16_t vector;
	uint16_t users;    /* submission queues */
	uint16_t promised; /* entries for commands under way; a command starts only if its completion has room */
	uint16_t posted;   /* since the last message */
	struct bus_region doorbell; /* over the controller's registers while writes to it may come late */
	bool eager;        /* for good: commands have waited for the guest to take completions */
};

struct nvme_sq {
	struct nvme *nvme;
	struct nvme_cq *cq;
	uint16_t id, size;
	uint64_t base;
	uint8_t *entries;
	uint16_t head, tail;
	uint16_t in_flight;
	struct nvme_command *deleting; /* the Delete I/O Submission Queue that waits until nothing is in flight */
	struct nvme_command *commands[NVME_IN_FLIGHT_MAX]; /* made when needed */
	unsigned command_count;
	struct nvme_command *free;
};

enum nvme_event {
	NVME_EVENT_ERROR,
	NVME_EVENT_HEALTH,
	NVME_EVENTS,
};

/* An entry of the error log (section 5.14.1.1). */
struct nvme_error {
	uint64_t count;
	uint64_t lba;
	uint16_t queue, command, status;
};

struct nvme {
	struct pci_device pci;
	struct device_ops ops; /* its own, because there may be several: the name is that of a section of the state */
	char device_name[8];
	struct block *block;
	GSource *watch;
	struct timer resume;  /* goes on with what was left for later, or what a loaded state has outstanding */
	struct timer message; /* sends messages that were held back */
	bool ssd;
	unsigned queues;      /* that a guest can have */
	uint64_t sectors;
	char serial[21];
	uint64_t name;        /* EUI-64 */
	char qualified_name[80];
	/* Registers (section 3.1). */
	uint32_t intms, cc, csts, aqa;
	uint64_t asq, acq;
	struct nvme_sq *sq[NVME_QUEUE_IDS];
	struct nvme_cq *cq[NVME_QUEUE_IDS];
	/* Doorbell Buffer Config: one page each, NULL without. */
	uint64_t shadow, event_index;
	uint8_t *shadow_page, *event_index_page;
	uint32_t features[NVME_FEATURES];
	uint16_t low_temperature; /* the other value of feature 4 */
	uint64_t coalescing_disabled; /* feature 9, a bit for each vector */
	struct nvme_command *event_requests[NVME_EVENTS_MAX];
	unsigned event_request_count;
	struct {
		bool pending, masked;
		uint8_t information;
	} events[NVME_EVENTS];
	struct nvme_error errors[NVME_ERRORS_MAX]; /* newest first */
	uint64_t error_count;
	uint64_t media_errors;
	struct block_request shutdown_flush;
	bool flushing;     /* shutdown_flush is under way */
	bool restart;      /* loaded commands wait for resume */
	bool processing;
	bool discarding;   /* results are of no interest: the controller is being reset */
	struct log_limit complaints;
};

static inline struct memory *nvme_memory(struct nvme *nvme)
{
	return &nvme->pci.device.vm->memory;
}

/* --- nvme.c --- */
/* Starts what can start, delivers what is done, and raises interrupts: ends every entry into the controller. */
void nvme_process(struct nvme *nvme);
void nvme_update_interrupt(struct nvme *nvme);
/* What a shutdown notification asks for (section 3.1.5); once more after a state was loaded. */
void nvme_shut_down(struct nvme *nvme);
void nvme_power_on(struct nvme *nvme);

/* --- nvme_queue.c --- */
/* base: page-aligned; NULL if the queue is not in RAM. */
struct nvme_cq *nvme_cq_new(struct nvme *nvme, uint16_t id, uint64_t base, uint16_t size);
struct nvme_sq *nvme_sq_new(struct nvme *nvme, uint16_t id, uint64_t base, uint16_t size, struct nvme_cq *cq);
void nvme_cq_free(struct nvme *nvme, struct nvme_cq *cq);
void nvme_sq_free(struct nvme *nvme, struct nvme_sq *sq);
/* Puts the head doorbells where the guest has put the registers, or away; after anything of that has changed. */
void nvme_place_doorbells(struct nvme *nvme);
/* The guest wrote a doorbell register (section 3.1.24): index counts registers of 4 bytes. */
void nvme_doorbell(struct nvme *nvme, unsigned index, uint32_t value);
/* True: commands were started. Takes from *budget what they cost: one for each, and more for much data. */
bool nvme_start_commands(struct nvme *nvme, unsigned *budget);
/* Whether a submission queue has commands that could start. */
bool nvme_has_work(struct nvme *nvme);
/* For one more completion beside those that are promised. Looks for what the guest has taken if it has to. */
bool nvme_has_completion_room(struct nvme *nvme, struct nvme_cq *cq);
/* Without messages, what the guest takes has to be known at once. */
void nvme_look_at_heads(struct nvme *nvme);
/* A free command of the queue, which counts as under way, and its completion as promised, from now on; or NULL. */
struct nvme_command *nvme_take_command(struct nvme_sq *sq);
void nvme_decode(struct nvme_command *command);
void nvme_execute(struct nvme_command *command);
/* Ends the command: posts its completion. */
void nvme_complete(struct nvme_command *command, enum nvme_status status, uint32_t result);
/* Puts the doorbells' values into the shadows, if there are any: for queues or buffers that are new. */
void nvme_shadow_start(struct nvme *nvme, unsigned id);

/* --- nvme_transfer.c: what PRPs say --- */
/* Fills iov with the command's buffers of length bytes (up to NVME_TRANSFER_MAX). */
enum nvme_status nvme_map(struct nvme_command *command, uint64_t length);
/* Copies between the guest's buffers and data. */
enum nvme_status nvme_give(struct nvme_command *command, const void *data, uint64_t length);
enum nvme_status nvme_take(struct nvme_command *command, void *data, uint64_t length);

/* --- nvme_io.c --- */
/* Submits command->request; done is called unless the controller is reset in between. */
void nvme_submit(struct nvme_command *command, enum block_operation operation,
		 void (*done)(struct nvme_command *command, int error));
void nvme_io_execute(struct nvme_command *command);
/* Sets the bits of opcodes that exist in the Commands Supported and Effects log (section 5.14.1.5). */
void nvme_io_effects(uint8_t *log);

/* --- nvme_admin.c --- */
void nvme_admin_execute(struct nvme_command *command);
void nvme_admin_effects(uint8_t *log);
/* Completes the Delete I/O Submission Queue that waits, if the queue has nothing in flight any more. */
void nvme_try_delete(struct nvme_sq *sq);

/* --- nvme_identify.c --- */
void nvme_identify(struct nvme_command *command);
void nvme_derive_names(struct nvme *nvme, const char *serial);

/* --- nvme_features.c --- */
void nvme_reset_features(struct nvme *nvme);
void nvme_get_features(struct nvme_command *command);
void nvme_set_features(struct nvme_command *command);
bool nvme_temperature_bad(const struct nvme *nvme);
#define NVME_FEATURE_WRITE_CACHE 0x06
#define NVME_FEATURE_EVENTS 0x0B

/* --- nvme_log.c --- */
#define NVME_TEMPERATURE 310u /* kelvin */
void nvme_get_log_page(struct nvme_command *command);
void nvme_note_error(struct nvme *nvme, const struct nvme_error *error);
/* An asynchronous event (section 5.2), told once the guest has asked and has read of the last one of its kind. */
void nvme_raise_event(struct nvme *nvme, enum nvme_event event, uint8_t information);
void nvme_deliver_events(struct nvme *nvme);
void nvme_async_event(struct nvme_command *command);

/* --- nvme_state.c --- */
/* Starts what a loaded state had under way. */
void nvme_restart_commands(struct nvme *nvme);
void nvme_state(struct device *device, struct state *state);
