/*
 * What one completion works on: the vCPU's registers as KVM gave them, and the exception that the instruction raised.
 * Everything here runs on the vCPU's thread without vm->lock.
 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native.h"
#include "operation.h"
#include "walk.h"

struct memory_slot;
struct vm;

enum {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_BP = 3,
	VECTOR_OF = 4,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_XM = 19,
};

/* How an instruction ended. */
enum outcome {
	OUTCOME_DONE,      /* RIP moves past it */
	OUTCOME_EXCEPTION, /* processor->exception */
	OUTCOME_REFUSED,   /* processor->refusal */
};

struct exception {
	uint8_t vector;
	bool has_error;
	uint32_t error;
	bool trap;      /* RIP moves past the instruction first */
	bool interrupt; /* int n with a vector that is no exception's */
};

struct processor {
	struct vm *vm;
	int fd;
	struct native *native;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint64_t xcr0; /* with have_xcr0 */
	unsigned bits; /* of the code segment */
	bool user;     /* CPL 3 */
	bool sregs_changed;
	bool have_xcr0;
	bool have_fpu; /* the image in native holds the guest's state */
	bool fpu_changed;
	struct exception exception;
	const char *refusal;
};

enum outcome raise_exception(struct processor *processor, uint8_t vector);
enum outcome raise_error(struct processor *processor, uint8_t vector, uint32_t error);
enum outcome raise_page_fault(struct processor *processor, uint64_t linear, uint32_t error);
enum outcome refuse(struct processor *processor, const char *reason);

/* Registers in the order in which instructions number them. */
uint64_t *processor_register(struct kvm_regs *regs, unsigned number);
/* Writes a general register of 4 or 8 bytes, as instructions do: 4 bytes clear the upper half. */
void processor_set_register(struct processor *processor, unsigned number, uint64_t value, unsigned size);
struct kvm_segment *processor_segment(struct processor *processor, enum segment segment);

/* Lazily asks KVM; false: KVM failed, refusal is set. */
bool processor_need_xcr0(struct processor *processor);
bool processor_need_fpu(struct processor *processor);
/* Protection key rights, part of the vector state; reading without need of it gives 0. */
uint32_t processor_pkru(struct processor *processor);
void processor_set_pkru(struct processor *processor, uint32_t pkru);
bool processor_get_msr(struct processor *processor, uint32_t index, uint64_t *value);
bool processor_set_msr(struct processor *processor, uint32_t index, uint64_t value);

/* Paging as the instruction (not implicit: as the CPU itself, for descriptor tables) sees it. False: refused. */
bool processor_paging(struct processor *processor, bool implicit, struct paging *paging);

/* access.c. DONE: *linear is where [segment:effective, + size) begins. */
enum outcome operand_linear(struct processor *processor, enum segment segment, uint64_t effective, unsigned size,
			    bool write, uint64_t *linear);
uint64_t operand_effective(struct processor *processor, const struct instruction *instruction,
			   const struct operation *operation);
/*
 * Copies by linear address, page by page, RAM and devices alike; nothing is written before all is known to be
 * mapped.
 */
enum outcome linear_read(struct processor *processor, uint64_t linear, void *buffer, size_t size);
enum outcome linear_write(struct processor *processor, uint64_t linear, const void *buffer, size_t size);
/* The same as the CPU itself does it, for its tables: without regard to CPL. */
enum outcome linear_read_implicit(struct processor *processor, uint64_t linear, void *buffer, size_t size);
/* Host address of plain RAM, which stays where it is; NULL for anything else. */
void *physical_ram(struct vm *vm, uint64_t gpa, size_t size);
/* The slot that holds all of it, RAM or not; with vm->lock, valid while that is held. */
struct memory_slot *physical_slot(struct vm *vm, uint64_t gpa, size_t size);
void physical_read(struct vm *vm, uint64_t gpa, void *buffer, size_t size);
void physical_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t size);

/* execute.c: runs one that operation.c lists as native. */
enum outcome execute_native(struct processor *processor, const struct instruction *instruction,
			    const struct operation *operation);

/* system.c */
enum outcome system_execute(struct processor *processor, const struct instruction *instruction,
			    const struct operation *operation);

/* descriptor.c */
enum outcome descriptor_execute(struct processor *processor, const struct instruction *instruction,
				const struct operation *operation);

/* iret.c */
enum outcome iret_execute(struct processor *processor, const struct instruction *instruction);

/* xsave.c: the XSAVE family, in software: the guest's XCR0 need not be the host's. */
enum outcome xsave_execute(struct processor *processor, const struct instruction *instruction,
			   const struct operation *operation);
/* Where a state component lies in the standard format; 0: the host does not have it. */
unsigned xsave_component_offset(unsigned number);
