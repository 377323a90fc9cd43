/* Inside of the AHCI controller: ports and what hangs on them. All with vm->lock. */
#pragma once

#include "../block/block.h"
#include "../device.h"
#include "../log.h"
#include "../pci/pci.h"
#include "../state.h"
#include "../vm.h"
#include "ahci.h"
#include "scsi.h"

#define AHCI_SLOTS 32
#define SECTOR 512u
#define CD_SECTOR 2048u

/* PxIS (section 3.3.5) */
#define PXIS_DHRS (1u << 0)
#define PXIS_PSS (1u << 1)
#define PXIS_SDBS (1u << 3)
#define PXIS_DPS (1u << 5)
#define PXIS_PCS (1u << 6)
#define PXIS_PRCS (1u << 22)
#define PXIS_OFS (1u << 24)
#define PXIS_IFS (1u << 27)
#define PXIS_HBFS (1u << 29)
#define PXIS_TFES (1u << 30)

/* PxCMD (section 3.3.7) */
#define PXCMD_ST (1u << 0)
#define PXCMD_SUD (1u << 1)
#define PXCMD_POD (1u << 2)
#define PXCMD_CLO (1u << 3)
#define PXCMD_FRE (1u << 4)
#define PXCMD_FR (1u << 14)
#define PXCMD_CR (1u << 15)
#define PXCMD_ATAPI (1u << 24)
#define PXCMD_DLAE (1u << 25)

/* ATA status and error registers */
#define ATA_BSY 0x80
#define ATA_DRDY 0x40
#define ATA_DF 0x20
#define ATA_DSC 0x10
#define ATA_DRQ 0x08
#define ATA_ERR 0x01
#define ATA_ABRT 0x04
#define ATA_IDNF 0x10
#define ATA_UNC 0x40

struct ahci_port;

/* The fields of a register FIS. */
struct ata_taskfile {
	uint8_t command; /* or status */
	uint16_t features; /* or error, in the low byte */
	uint64_t lba;    /* 48 bits */
	uint8_t device;
	uint16_t count;
};

enum ahci_protocol {
	AHCI_NO_DATA,
	AHCI_PIO_IN,
	AHCI_PIO_OUT,
	AHCI_DMA,
	AHCI_NCQ,
	AHCI_PACKET,
};

/* A command that the device works on, one for each slot of the command list. */
struct ahci_command {
	struct ahci_port *port;
	unsigned slot;
	bool active;
	enum ahci_protocol protocol;
	uint64_t header;  /* guest address of the command header */
	uint64_t table;   /* and of the command table */
	unsigned prdt_length;
	bool prd_interrupt;
	uint64_t transferred; /* becomes PRDBC */
	struct ata_taskfile taskfile;
	uint8_t fis[20];
	uint8_t packet[12];
	struct block_request request;
	void (*io_done)(struct ahci_command *command, int error);
	struct iovec *iov; /* owned; grows */
	unsigned iov_count, iov_capacity;
};

struct ahci_drive_ops {
	uint32_t signature;
	uint8_t reset_status;
	void (*execute)(struct ahci_command *command);
	/* Power on, COMRESET or software reset. */
	void (*reset)(struct ahci_port *port);
};

/* Settings of a disk that the guest can change. */
struct ata_settings {
	bool write_cache;
	bool standby;
	bool smart_off;
	uint8_t multiple;
	uint8_t transfer_mode;
};

struct ata_disk {
	char serial[21];
	bool ssd;
	uint64_t sectors;
	uint64_t name;      /* World Wide Name */
	struct ata_settings settings;
	uint8_t error_log[SECTOR]; /* page 10h */
};

struct cd_drive {
	struct ahci_cd_options options;
	bool tray_open;
	bool locked;
	bool notify;        /* SET FEATURES: asynchronous notification */
	uint8_t event;      /* for GET EVENT STATUS NOTIFICATION */
	struct scsi_sense sense;
	struct scsi_sense attention; /* unit attention that waits to be told */
};

struct ahci_port {
	struct ahci *ahci;
	unsigned number;
	const struct ahci_drive_ops *drive; /* NULL: nothing is attached */
	struct block *block;                /* NULL: no disc */
	GSource *watch;
	struct ata_disk disk;
	struct cd_drive cd;
	/* Registers (section 3.3), under their names without Px. */
	uint64_t clb, fb;
	uint32_t is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci, sntf;
	uint32_t running;   /* slots with the device */
	uint32_t finished;  /* NCQ tags to be reported by the next Set Device Bits FIS */
	bool halted;        /* fatal error: nothing runs until the guest clears ST */
	bool busy;          /* a command that is not NCQ runs */
	bool discarding;    /* results are of no interest: the port is being stopped */
	bool processing;
	bool in_reset;      /* SRST is set */
	bool signature_unsent; /* the register FIS of the last reset waits for FRE */
	unsigned next_slot;
	struct ahci_command commands[AHCI_SLOTS];
	struct log_limit complaints;
};

struct ahci {
	struct pci_device pci;
	uint32_t ghc, is;
	uint32_t index;     /* of the index/data pair */
	struct ahci_port ports[AHCI_PORTS];
	struct timer restart; /* runs what a loaded state has outstanding, once time goes on */
};

/* --- ahci.c --- */
void ahci_update_interrupt(struct ahci *ahci);

/* --- ahci_port.c --- */
uint32_t ahci_port_read(struct ahci_port *port, unsigned offset);
/* Only the bits in mask are written (accesses narrower than the register). */
void ahci_port_write(struct ahci_port *port, unsigned offset, uint32_t value, uint32_t mask);
/* Starts what can start, delivers what is done, and raises the interrupt: ends every entry into the port. */
void ahci_port_process(struct ahci_port *port);
/* HBA reset and power on; drops what runs. */
void ahci_port_reset(struct ahci_port *port, bool power_on);
void ahci_port_state(struct ahci_port *port, struct state *state);
/* Connects block to the event loop. block may be NULL. */
void ahci_port_set_block(struct ahci_port *port, struct block *block);
/* Asynchronous notification (SATA 3.1 section 13.8): the drive wants to be looked at. */
void ahci_port_notify(struct ahci_port *port);
/* The drive's answer to a software reset or to EXECUTE DEVICE DIAGNOSTIC. */
void ahci_port_send_signature(struct ahci_port *port);

/* --- ahci_command.c: between a command's parsing and its end --- */
/* Reads header, FIS and packet; false: the port was halted. */
bool ahci_command_fetch(struct ahci_port *port, unsigned slot);
void ahci_command_start(struct ahci_command *command);
/* Maps the first length bytes of the PRDT; false: the command was ended with an error. */
bool ahci_command_map(struct ahci_command *command, uint64_t length);
/* Up to length bytes between the guest's buffers and data; false as above. */
bool ahci_command_take(struct ahci_command *command, void *data, uint64_t length);
/* Gives data (cut to what the PRDT has room for) and ends the command. */
void ahci_command_reply(struct ahci_command *command, const void *data, uint64_t length);
/* Submits command->request; done is called unless the port is stopped in between. */
void ahci_command_submit(struct ahci_command *command, enum block_operation operation, uint64_t offset,
			 uint64_t length, void (*done)(struct ahci_command *command, int error));
/* Ends: with status DRDY, or with an error. command->taskfile gives the other fields. */
void ahci_command_done(struct ahci_command *command);
void ahci_command_failed(struct ahci_command *command, uint8_t error);
void ahci_port_halt(struct ahci_port *port, uint32_t cause);
/* Writes a received FIS to the guest; offset in the receive area. */
void ahci_port_post_fis(struct ahci_port *port, unsigned offset, const uint8_t *fis, unsigned size);
void ahci_fill_register_fis(uint8_t fis[20], uint8_t type, const struct ata_taskfile *taskfile, uint8_t status,
			    uint8_t error, bool interrupt);

/* --- ata.c, ata_identify.c --- */
extern const struct ahci_drive_ops ata_disk_ops;
void ata_disk_state(struct ahci_port *port, struct state *state);
void ata_identify(const struct ahci_port *port, uint8_t data[SECTOR]);
void ata_smart(struct ahci_command *command);
/* Page 10h after a queued command failed. */
void ata_note_queued_error(struct ahci_command *command, uint8_t error);
void ata_put_string(uint8_t *words, unsigned length, const char *text);

/* --- atapi.c, atapi_info.c --- */
extern const struct ahci_drive_ops atapi_cd_ops;
void atapi_cd_state(struct ahci_port *port, struct state *state);

#define CD_REPLY_MAX 1024

/* Media events of GET EVENT STATUS NOTIFICATION (MMC-5 section 6.7.2.3) */
enum cd_event {
	CD_EVENT_NONE,
	CD_EVENT_EJECT_REQUEST,
	CD_EVENT_NEW,
	CD_EVENT_REMOVED,
};

/* attach.c: opens the tray; the disc is gone. */
void cd_remove_disc(struct ahci_port *port);

void cd_check(struct ahci_command *command, enum scsi_key key, unsigned code);
/* Ends with data, cut to the allocation length. */
void cd_reply(struct ahci_command *command, const uint8_t *data, unsigned length, unsigned allocation);
uint32_t cd_sectors(const struct ahci_port *port);

void cd_inquiry(struct ahci_command *command);
void cd_mode_sense_6(struct ahci_command *command);
void cd_mode_sense_10(struct ahci_command *command);
void cd_read_toc(struct ahci_command *command);
void cd_get_configuration(struct ahci_command *command);
void cd_get_event_status(struct ahci_command *command);
void cd_mechanism_status(struct ahci_command *command);
void cd_read_disc_information(struct ahci_command *command);
void cd_read_track_information(struct ahci_command *command);
void cd_read_subchannel(struct ahci_command *command);
void cd_read_dvd_structure(struct ahci_command *command);
