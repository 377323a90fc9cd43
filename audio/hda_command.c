/* Commands to the codec: CORB, RIRB (sections 3.3.18 ff. and 4.4) and the immediate registers (3.4). */
#include "hda_internal.h"

#define RING_ENTRIES 256
#define RESPONSE_SIZE 8 /* response, then who sent it: codec 0, solicited */

/* A ring that lies outside RAM stops, as after a master abort. */
static void corb_failed(struct hda *hda, const char *ring, uint64_t address)
{
	log_guest_error(&hda->log, "hda", "%s at 0x%" G_GINT64_MODIFIER "x is no RAM", ring, address);
	hda->registers[CORBSTS] |= CORBSTS_MEI;
	hda->registers[CORBCTL] &= (uint8_t)~CORBCTL_RUN;
}

static bool respond(struct hda *hda, uint32_t response)
{
	uint8_t *r = hda->registers, entry[RESPONSE_SIZE] = { 0 };
	uint8_t place = (uint8_t)(r[RIRBWP] + 1);
	uint64_t address = hda_get_address(r + RIRBLBASE) + place * RESPONSE_SIZE;
	unsigned count = r[RINTCNT] ? r[RINTCNT] : RING_ENTRIES;

	pci_set32(entry, response);
	if (!memory_write(&hda->pci.device.vm->memory, address, entry, sizeof entry)) {
		corb_failed(hda, "RIRB", address);
		return false;
	}
	r[RIRBWP] = place;
	if (++hda->responses >= count) {
		hda->responses = 0;
		r[RIRBSTS] |= RIRBSTS_RINTFL;
	}
	return true;
}

/* Also after the last of them, a driver that asked for more responses than it sent commands hears of them (3.3.23). */
static void commands_done(struct hda *hda)
{
	if (hda->responses) {
		hda->responses = 0;
		hda->registers[RIRBSTS] |= RIRBSTS_RINTFL;
	}
}

void hda_corb_run(struct hda *hda)
{
	uint8_t *r = hda->registers;
	bool any = false;

	/* The read pointer reaches the write pointer within one round: the guest cannot move that meanwhile. */
	while (r[CORBCTL] & CORBCTL_RUN && r[RIRBCTL] & RIRBCTL_DMAEN && pci_bus_master(&hda->pci) &&
	       !(hda_get16(hda, CORBRP) & CORBRP_RST) && r[CORBRP] != r[CORBWP]) {
		uint8_t place = (uint8_t)(r[CORBRP] + 1), entry[4];
		uint64_t address = hda_get_address(r + CORBLBASE) + place * sizeof entry;
		uint32_t response;

		if (!memory_read(&hda->pci.device.vm->memory, address, entry, sizeof entry)) {
			corb_failed(hda, "CORB", address);
			return;
		}
		r[CORBRP] = place;
		if (hda_codec_command(&hda->codec, pci_get32(entry), &response) && !respond(hda, response))
			return;
		any = true;
	}
	if (any)
		commands_done(hda);
}

void hda_immediate_command(struct hda *hda)
{
	uint8_t *r = hda->registers;
	uint32_t response;

	r[ICIS] &= (uint8_t)~(ICIS_ICB | ICIS_IRV);
	/* Nobody there: the response never becomes valid. */
	if (!hda_codec_command(&hda->codec, hda_get32(hda, ICOI), &response))
		return;
	pci_set32(r + ICII, response);
	r[ICIS] |= ICIS_IRV;
}
