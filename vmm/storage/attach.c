/* Disks, CD drives and discs: what the user puts where. */
#include "ahci_internal.h"
#include "identity.h"

#include <glib/gi18n.h>
#include <string.h>

/* Network address authority 5, and a locally administered organisation. */
#define NAME_BASE (5ull << 60 | 0x020000ull << 36)

bool ahci_attach_disk(struct ahci *ahci, unsigned number, struct block *block, const struct ahci_disk_options *options,
		      GError **error)
{
	struct ahci_port *port;

	if (number >= AHCI_PORTS || ahci->ports[number].drive) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("There is no free SATA port %u for %s. Ports are 0 to %u, each for one drive"), number,
			    block_path(block), AHCI_PORTS - 1);
		return false;
	}
	port = &ahci->ports[number];
	port->disk.sectors = block_size(block) / SECTOR;
	if (port->disk.sectors > 1ull << 48) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("%s is larger than a SATA disk can be (128 PiB)"), block_path(block));
		return false;
	}
	port->disk.ssd = options->ssd;
	/* As many digits as the name always had: 36 bits. */
	port->disk.name = NAME_BASE | identity_derive(block_path(block), options->serial, port->disk.serial) >> 4;
	port->drive = &ata_disk_ops;
	ahci_port_set_block(port, block);
	ahci_port_reset(port, true);
	return true;
}

void ahci_attach_cd(struct ahci *ahci, unsigned number, const struct ahci_cd_options *options)
{
	struct ahci_port *port = &ahci->ports[number];

	g_assert(number < AHCI_PORTS && !port->drive);
	port->cd.options = *options;
	port->drive = &atapi_cd_ops;
	ahci_port_reset(port, true);
}

static bool find_drive(struct ahci *ahci, unsigned number, GError **error)
{
	if (ahci_is_cd(ahci, number))
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, _("SATA port %u has no CD drive"), number);
	return false;
}

static bool may_open(struct ahci_port *port, bool force, GError **error)
{
	if (!port->cd.locked || force || !port->block)
		return true;
	port->cd.event = CD_EVENT_EJECT_REQUEST;
	if (port->cd.notify)
		ahci_port_notify(port);
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
		    _("The guest has locked the disc %s and was asked to release it. Eject it in the guest, or force "
		      "it"), block_path(port->block));
	return false;
}

static void changed(struct ahci_port *port)
{
	if (port->cd.options.changed)
		port->cd.options.changed(port->cd.options.opaque, port->number,
					 port->block ? block_path(port->block) : NULL);
}

void cd_remove_disc(struct ahci_port *port)
{
	bool had = port->block != NULL;

	port->cd.locked = false;
	port->cd.tray_open = true;
	ahci_port_set_block(port, NULL);
	if (!had)
		return;
	port->cd.event = CD_EVENT_REMOVED;
	changed(port);
}

bool ahci_insert(struct ahci *ahci, unsigned number, const char *path, GError **error)
{
	struct ahci_port *port = &ahci->ports[number % AHCI_PORTS];
	struct block_options options = { .path = path, .read_only = true, .optical = true };
	struct block *block;

	if (!find_drive(ahci, number, error) || !may_open(port, false, error))
		return false;
	options.no_io_uring = port->cd.options.no_io_uring;
	block = block_open(&options, error);
	if (!block)
		return false;
	if (block_size(block) / CD_SECTOR > UINT32_MAX) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, _("%s is larger than a disc can be"), path);
		block_close(block);
		return false;
	}
	/* block_close() of the old disc ends what the guest had under way on it. */
	ahci_port_set_block(port, block);
	port->cd.tray_open = false;
	port->cd.locked = false;
	port->cd.attention = (struct scsi_sense){ SCSI_UNIT_ATTENTION, SCSI_MEDIUM_CHANGED >> 8, 0 };
	port->cd.event = CD_EVENT_NEW;
	if (port->cd.notify)
		ahci_port_notify(port);
	ahci_port_process(port);
	changed(port);
	return true;
}

bool ahci_eject(struct ahci *ahci, unsigned number, bool force, GError **error)
{
	struct ahci_port *port = &ahci->ports[number % AHCI_PORTS];

	if (!find_drive(ahci, number, error) || !may_open(port, force, error))
		return false;
	cd_remove_disc(port);
	if (port->cd.notify)
		ahci_port_notify(port);
	ahci_port_process(port);
	return true;
}
