/*
 * A machine without KVM for unit tests: real RAM, buses, clock and interrupt lines, and a record of what reached the
 * interrupt controllers. Time stands still but for clock_advance().
 */
#pragma once

#include "../../vmm/device.h"
#include "../../vmm/state.h"
#include "../../vmm/vm.h"

struct fake_msi {
	uint64_t address;
	uint32_t data;
};

struct fake_machine {
	struct vm vm;
	struct hypervisor hv;
	bool line[IRQ_LINES];          /* level seen by the interrupt controllers */
	unsigned edges[IRQ_LINES]; /* how often each rose */
	GArray *msis;                  /* struct fake_msi, in order */
	GArray *requests;              /* enum vm_request, in order */
	/* Pages of slots with MEMORY_LOG_DIRTY that count as written: fake_machine_touch(). */
	GHashTable *dirty;
};

struct fake_machine *fake_machine_new(uint64_t ram_size);
void fake_machine_free(struct fake_machine *machine);

/* Marks the page at gpa dirty, as a guest's write to a logged slot would. */
void fake_machine_touch(struct fake_machine *machine, uint64_t gpa);

/* Port and memory accesses as a vCPU makes them. */
uint32_t fake_in(struct fake_machine *machine, uint16_t port, unsigned size);
void fake_out(struct fake_machine *machine, uint16_t port, unsigned size, uint32_t value);
uint64_t fake_read(struct fake_machine *machine, uint64_t gpa, unsigned size);
void fake_write(struct fake_machine *machine, uint64_t gpa, unsigned size, uint64_t value);

/* The device's state as a file; checks that saving, loading and saving again gives the same bytes. */
GBytes *fake_save(struct device *device);
bool fake_load(struct device *device, GBytes *file, GError **error);
void fake_check_state_round_trip(struct device *device);
