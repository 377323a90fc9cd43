/*
 * Completes instructions that KVM gave up on (KVM_EXIT_INTERNAL_ERROR, suberror KVM_INTERNAL_ERROR_EMULATION).
 *
 * Called on the vCPU's thread, outside KVM_RUN and without vm->lock (which it takes around bus accesses).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vcpu;

/* What a vCPU keeps between completions; allocated at its creation, freed with it. */
struct emulation {
	void *private; /* the native runner's trampoline and buffers */
};

bool emulation_init(struct emulation *emulation, int vcpu_fd);
void emulation_finish(struct emulation *emulation);

/*
 * Completes the instruction at RIP, and those after it that would fail too. False: it could not be done, nothing was
 * changed, and report (if not NULL; g_free() it) tells the instruction's bytes, the registers and the reason.
 */
bool emulation_complete(struct vcpu *vcpu, char **report);

/* Text for the user and the report file: what happened, the vCPU's registers, and the bytes at RIP. g_free() it. */
char *emulation_report(struct vcpu *vcpu, const char *what);
