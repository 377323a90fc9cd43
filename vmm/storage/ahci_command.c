/* A command's way: from the command list and table (AHCI 1.3.1 section 4.2) to the drive, and its end. */
#include "ahci_internal.h"

#include <string.h>

#define HEADER_SIZE 32
#define TABLE_PACKET 0x40
#define TABLE_PRDT 0x80
#define PRD_SIZE 16
#define IOV_KEPT 1024 /* elements of iov that outlive a command */

#define FIS_REGISTER_TO_DEVICE 0x27
#define FIS_REGISTER_TO_HOST 0x34
#define FIS_PIO_SETUP 0x5F
#define FIS_SET_DEVICE_BITS 0xA1
#define RECEIVED_PIO_SETUP 0x20
#define RECEIVED_REGISTER 0x40
#define RECEIVED_SET_DEVICE_BITS 0x58

#define FIS_COMMAND 0x80  /* byte 1: the command register was written, not the control register */
#define FIS_INTERRUPT 0x40
#define CONTROL_SRST 0x04

#define READ_FPDMA_QUEUED 0x60
#define WRITE_FPDMA_QUEUED 0x61

static struct memory *guest_memory(const struct ahci_port *port)
{
	return &port->ahci->pci.device.vm->memory;
}

/* --- Fetching --- */

static bool fetch_failed(struct ahci_port *port, unsigned slot, const char *what, uint64_t address)
{
	log_guest_error(&port->complaints, "ahci", "port %u slot %u: %s at 0x%" G_GINT64_MODIFIER "x is not RAM",
			port->number, slot, what, address);
	ahci_port_halt(port, PXIS_HBFS);
	return false;
}

static void decode_taskfile(struct ata_taskfile *taskfile, const uint8_t *fis)
{
	taskfile->command = fis[2];
	taskfile->features = (uint16_t)(fis[3] | fis[11] << 8);
	taskfile->lba = fis[4] | (uint64_t)fis[5] << 8 | (uint64_t)fis[6] << 16 | (uint64_t)fis[8] << 24 |
			(uint64_t)fis[9] << 32 | (uint64_t)fis[10] << 40;
	taskfile->device = fis[7];
	taskfile->count = pci_get16(fis + 12);
}

bool ahci_command_fetch(struct ahci_port *port, unsigned slot)
{
	struct ahci_command *command = &port->commands[slot];
	uint8_t header[16], packet[12];
	uint64_t table;

	command->header = port->clb + slot * HEADER_SIZE;
	if (!memory_read(guest_memory(port), command->header, header, sizeof header))
		return fetch_failed(port, slot, "command header", command->header);
	table = (pci_get32(header + 8) & ~0x7Fu) | (uint64_t)pci_get32(header + 12) << 32;
	command->table = table;
	command->prdt_length = pci_get16(header + 2);
	if (!memory_ptr(guest_memory(port), table, TABLE_PRDT + (uint64_t)command->prdt_length * PRD_SIZE) ||
	    !memory_read(guest_memory(port), table, command->fis, sizeof command->fis) ||
	    !memory_read(guest_memory(port), table + TABLE_PACKET, packet, sizeof packet))
		return fetch_failed(port, slot, "command table", table);
	memcpy(command->packet, packet, sizeof packet);
	decode_taskfile(&command->taskfile, command->fis);
	command->protocol = AHCI_NO_DATA;
	if (command->fis[1] & FIS_COMMAND && port->drive == &ata_disk_ops &&
	    (command->taskfile.command == READ_FPDMA_QUEUED || command->taskfile.command == WRITE_FPDMA_QUEUED))
		command->protocol = AHCI_NCQ;
	command->transferred = 0;
	command->prd_interrupt = false;
	command->iov_count = 0;
	return true;
}

/* SRST raised, then let go (SATA 3.1 section 11.4): the signature follows the second. */
static void control(struct ahci_port *port, unsigned slot, bool reset)
{
	port->ci &= ~(1u << slot);
	if (reset) {
		port->drive->reset(port);
		port->tfd |= ATA_BSY;
	} else if (port->in_reset) {
		ahci_port_send_signature(port);
	}
	port->in_reset = reset;
}

void ahci_command_start(struct ahci_command *command)
{
	struct ahci_port *port = command->port;
	const uint8_t *fis = command->fis;

	/* Neither another type of FIS nor one for a port multiplier gets an answer from a drive. */
	if (fis[0] != FIS_REGISTER_TO_DEVICE || fis[1] & 0xF) {
		log_guest_error(&port->complaints, "ahci", "port %u: FIS %02x %02x", port->number, fis[0], fis[1]);
		ahci_port_halt(port, PXIS_IFS);
		return;
	}
	if (!(fis[1] & FIS_COMMAND)) {
		control(port, command->slot, fis[15] & CONTROL_SRST);
		return;
	}
	command->active = true;
	port->running |= 1u << command->slot;
	if (command->protocol == AHCI_NCQ) {
		port->ci &= ~(1u << command->slot);
	} else {
		port->busy = true;
		port->tfd = (port->tfd & ~(uint32_t)ATA_ERR) | ATA_BSY;
	}
	port->drive->execute(command);
}

/* --- Guest buffers --- */

static void add_buffer(struct ahci_command *command, void *buffer, uint64_t length)
{
	struct iovec *last = command->iov_count ? &command->iov[command->iov_count - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == buffer) {
		last->iov_len += length;
		return;
	}
	if (command->iov_count == command->iov_capacity) {
		command->iov_capacity = MAX(16, command->iov_capacity * 2);
		command->iov = g_renew(struct iovec, command->iov, command->iov_capacity);
	}
	command->iov[command->iov_count++] = (struct iovec){ buffer, length };
}

static void end(struct ahci_command *command)
{
	struct ahci_port *port = command->port;

	command->active = false;
	port->running &= ~(1u << command->slot);
	if (command->protocol != AHCI_NCQ)
		port->busy = false;
	if (command->iov_capacity > IOV_KEPT) {
		g_clear_pointer(&command->iov, g_free);
		command->iov_capacity = 0;
	}
}

/* Fills iov with up to length bytes; false: a buffer is not RAM, and the port was halted. */
static bool walk_prdt(struct ahci_command *command, uint64_t length)
{
	struct ahci_port *port = command->port;
	const uint8_t *prdt = memory_ptr(guest_memory(port), command->table + TABLE_PRDT,
					 (uint64_t)command->prdt_length * PRD_SIZE);

	command->iov_count = 0;
	command->transferred = 0;
	for (unsigned i = 0; i < command->prdt_length && length; i++) {
		uint8_t entry[PRD_SIZE];
		uint64_t address, count;
		void *buffer;

		memcpy(entry, prdt + i * PRD_SIZE, sizeof entry);
		address = (pci_get32(entry) & ~1u) | (uint64_t)pci_get32(entry + 4) << 32;
		count = MIN((pci_get32(entry + 12) & 0x3FFFFF) + 1, length);
		buffer = memory_ptr(guest_memory(port), address, count);
		if (!buffer) {
			end(command);
			return fetch_failed(port, command->slot, "buffer", address);
		}
		command->prd_interrupt |= entry[15] >> 7;
		add_buffer(command, buffer, count);
		command->transferred += count;
		length -= count;
	}
	return true;
}

bool ahci_command_map(struct ahci_command *command, uint64_t length)
{
	if (!walk_prdt(command, length))
		return false;
	if (command->transferred == length)
		return true;
	log_guest_error(&command->port->complaints, "ahci", "port %u: buffers for %" G_GUINT64_FORMAT " of %"
			G_GUINT64_FORMAT " bytes", command->port->number, command->transferred, length);
	command->transferred = 0;
	command->port->is |= PXIS_OFS;
	ahci_command_failed(command, ATA_ABRT);
	return false;
}

bool ahci_command_take(struct ahci_command *command, void *data, uint64_t length)
{
	char *to = data;

	if (!ahci_command_map(command, length))
		return false;
	for (unsigned i = 0; i < command->iov_count; i++) {
		memcpy(to, command->iov[i].iov_base, command->iov[i].iov_len);
		to += command->iov[i].iov_len;
	}
	return true;
}

void ahci_command_reply(struct ahci_command *command, const void *data, uint64_t length)
{
	const char *from = data;

	if (!walk_prdt(command, length))
		return;
	for (unsigned i = 0; i < command->iov_count; i++) {
		memcpy(command->iov[i].iov_base, from, command->iov[i].iov_len);
		from += command->iov[i].iov_len;
	}
	ahci_command_done(command);
}

/* --- Host I/O --- */

static void request_done(struct block_request *request, int error)
{
	struct ahci_command *command = (struct ahci_command *)((char *)request -
							       G_STRUCT_OFFSET(struct ahci_command, request));

	if (!command->port->discarding)
		command->io_done(command, error);
}

void ahci_command_submit(struct ahci_command *command, enum block_operation operation, uint64_t offset,
			 uint64_t length, void (*done)(struct ahci_command *command, int error))
{
	struct block_request *request = &command->request;

	request->operation = operation;
	request->offset = offset;
	request->length = length;
	request->iov = command->iov;
	request->iov_count = command->iov_count;
	request->done = request_done;
	command->io_done = done;
	block_submit(command->port->block, request);
}

/* --- Ending --- */

void ahci_fill_register_fis(uint8_t fis[20], uint8_t type, const struct ata_taskfile *taskfile, uint8_t status,
			    uint8_t error, bool interrupt)
{
	memset(fis, 0, 20);
	fis[0] = type;
	fis[1] = interrupt ? FIS_INTERRUPT : 0;
	fis[2] = status;
	fis[3] = error;
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(taskfile->lba >> 8 * i);
		fis[8 + i] = (uint8_t)(taskfile->lba >> 8 * (i + 3));
	}
	fis[7] = taskfile->device;
	pci_set16(fis + 12, taskfile->count);
}

static void post_register(struct ahci_command *command, uint8_t status, uint8_t error)
{
	struct ahci_port *port = command->port;
	uint8_t fis[20];

	if (command->protocol == AHCI_PIO_IN && !error) {
		/* The last data of a PIO read comes without a register FIS; byte 15 is the status after it. */
		ahci_fill_register_fis(fis, FIS_PIO_SETUP, &command->taskfile, status | ATA_DRQ, error, true);
		fis[1] |= 1 << 5; /* to the host */
		fis[15] = status;
		pci_set16(fis + 16, (uint16_t)MIN(command->transferred, SECTOR));
		port->is |= PXIS_PSS;
		ahci_port_post_fis(port, RECEIVED_PIO_SETUP, fis, sizeof fis);
		return;
	}
	ahci_fill_register_fis(fis, FIS_REGISTER_TO_HOST, &command->taskfile, status, error, true);
	port->is |= PXIS_DHRS;
	ahci_port_post_fis(port, RECEIVED_REGISTER, fis, sizeof fis);
}

void ahci_command_done(struct ahci_command *command)
{
	struct ahci_port *port = command->port;
	uint32_t transferred = GUINT32_TO_LE((uint32_t)command->transferred);

	end(command);
	if (command->prd_interrupt)
		port->is |= PXIS_DPS;
	if (command->protocol == AHCI_NCQ) {
		/* After an error the drive forgets the queue; the guest sends the commands again. */
		if (!port->halted)
			port->finished |= 1u << command->slot;
		return;
	}
	port->tfd = ATA_DRDY | ATA_DSC;
	memory_write(guest_memory(port), command->header + 4, &transferred, sizeof transferred);
	post_register(command, ATA_DRDY | ATA_DSC, 0);
	port->ci &= ~(1u << command->slot);
}

static void queued_failed(struct ahci_command *command, uint8_t error)
{
	struct ahci_port *port = command->port;
	uint8_t fis[8] = { FIS_SET_DEVICE_BITS, FIS_INTERRUPT, ATA_DRDY | ATA_ERR, error };

	if (port->halted)
		return;
	port->tfd = (uint32_t)error << 8 | ATA_DRDY | ATA_ERR;
	ata_note_queued_error(command, error);
	/* The FIS carries what finished before the error. */
	port->sact &= ~port->finished;
	pci_set32(fis + 4, port->finished);
	port->finished = 0;
	ahci_port_post_fis(port, RECEIVED_SET_DEVICE_BITS, fis, sizeof fis);
	ahci_port_halt(port, PXIS_SDBS | PXIS_TFES);
}

/* The slot stays in PxCI, and the port stops until the guest has dealt with the error (section 6.2.2). */
void ahci_command_failed(struct ahci_command *command, uint8_t error)
{
	struct ahci_port *port = command->port;

	end(command);
	if (command->protocol == AHCI_NCQ) {
		queued_failed(command, error);
		return;
	}
	port->tfd = (uint32_t)error << 8 | ATA_DRDY | ATA_DSC | ATA_ERR;
	post_register(command, ATA_DRDY | ATA_DSC | ATA_ERR, error);
	ahci_port_halt(port, PXIS_TFES);
}
