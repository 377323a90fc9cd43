/* Command and transfer rings, from the consumer's end (section 4.9.2). */
#include "xhci_internal.h"

/* Two links in a row are one more than a driver needs. */
#define LINKS_MAX 8

enum fetch_result xhci_fetch(struct xhci *xhci, struct xhci_ring *ring, struct xhci_trb *trb)
{
	for (unsigned links = 0; links < LINKS_MAX; links++) {
		uint8_t bytes[TRB_SIZE];

		if (!memory_read(xhci_memory(xhci), ring->dequeue, bytes, sizeof bytes))
			return FETCH_BAD;
		trb->parameter = pci_get64(bytes);
		trb->status = pci_get32(bytes + 8);
		trb->control = pci_get32(bytes + 12);
		trb->address = ring->dequeue;
		if ((trb->control & TRB_CYCLE) != ring->cycle)
			return FETCH_EMPTY;
		if (trb_type(trb) != TRB_LINK) {
			ring->dequeue += TRB_SIZE;
			return FETCH_TRB;
		}
		ring->dequeue = trb->parameter & ~15ull;
		if (trb->control & TRB_TOGGLE_CYCLE)
			ring->cycle = !ring->cycle;
	}
	return FETCH_BAD;
}
