/*
 * Runs an instruction natively: rewritten so that its memory operand is wherever the guest's memory is in our address
 * space, or in a bounce buffer where that is not possible (page crossings, device memory).
 */
#include <string.h>

#include "../vm.h"
#include "control_bits.h"
#include "encode.h"
#include "processor.h"

#define X87_FIP 8 /* offsets in the XSAVE image */
#define X87_FDP 16

/* The part of an operand that lies on one page. */
struct part {
	uint64_t gpa;
	unsigned offset;
	unsigned size;
	bool mapped;
	uint32_t error; /* of the #PF, where not mapped */
};

struct operand {
	uint64_t linear;
	uint64_t effective;
	struct part parts[2];
	unsigned count;
	uint8_t *host;
};

static enum outcome check_vector(struct processor *processor, enum operation_class class)
{
	uint64_t needed = class == OPERATION_AVX512 ? XCR0_SSE | XCR0_AVX | XCR0_AVX512 : XCR0_SSE | XCR0_AVX;

	if (!(processor->sregs.cr4 & CR4_OSXSAVE) || !(processor->sregs.cr0 & CR0_PE) ||
	    processor->regs.rflags & RFLAGS_VM)
		return raise_exception(processor, VECTOR_UD);
	if (!processor_need_xcr0(processor))
		return OUTCOME_REFUSED;
	if ((processor->xcr0 & needed) != needed)
		return raise_exception(processor, VECTOR_UD);
	return OUTCOME_DONE;
}

/* SDM volume 3, tables 14-1, 14-4 and 2.5: what CR0, CR4 and XCR0 must allow. */
static enum outcome check_state(struct processor *processor, enum operation_class class)
{
	uint64_t cr0 = processor->sregs.cr0;

	switch (class) {
	case OPERATION_INTEGER:
		return OUTCOME_DONE;
	case OPERATION_WAIT:
		return (cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS) ? raise_exception(processor, VECTOR_NM) :
			OUTCOME_DONE;
	case OPERATION_X87:
		return cr0 & (CR0_EM | CR0_TS) ? raise_exception(processor, VECTOR_NM) : OUTCOME_DONE;
	case OPERATION_AVX:
	case OPERATION_AVX512:
		if (check_vector(processor, class) != OUTCOME_DONE)
			return processor->refusal ? OUTCOME_REFUSED : OUTCOME_EXCEPTION;
		break;
	default:
		if (cr0 & CR0_EM || (class == OPERATION_SSE && !(processor->sregs.cr4 & CR4_OSFXSR)))
			return raise_exception(processor, VECTOR_UD);
		break;
	}
	return cr0 & CR0_TS ? raise_exception(processor, VECTOR_NM) : OUTCOME_DONE;
}

static enum outcome locate(struct processor *processor, const struct instruction *instruction,
			   const struct operation *operation, struct operand *operand)
{
	bool write = operation->access & OPERATION_WRITE;
	enum walk_access access = write ? WALK_WRITE : WALK_READ;
	unsigned first;
	struct paging paging;
	enum outcome outcome;

	operand->effective = operand_effective(processor, instruction, operation);
	outcome = operand_linear(processor, instruction->memory.segment, operand->effective, operation->size, write,
				 &operand->linear);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if (!processor_paging(processor, false, &paging))
		return OUTCOME_REFUSED;
	first = MEMORY_PAGE - operand->linear % MEMORY_PAGE;
	operand->parts[0].size = MIN(first, operation->size);
	operand->parts[1].offset = first;
	operand->parts[1].size = operation->size - operand->parts[0].size;
	operand->count = operand->parts[1].size ? 2 : 1;
	for (unsigned i = 0; i < operand->count; i++) {
		struct part *part = &operand->parts[i];
		uint64_t linear = operand->linear + part->offset;

		part->mapped = walk(processor->vm, &paging, linear, access, &part->gpa, &part->error);
		if (!part->mapped && !operation->masked)
			return raise_page_fault(processor, linear, part->error);
	}
	return OUTCOME_DONE;
}

/*
 * Where in the bounce pages the operand goes: at its offset in a page, so that alignment checks see what the guest
 * would; with the boundary between mapped and not mapped parts, if there is one, at an inaccessible page.
 */
static uint8_t *bounce_address(struct native *native, const struct operand *operand)
{
	uint8_t *bounce = native_bounce(native);
	bool first = operand->parts[0].mapped;

	if (operand->count == 1)
		return bounce + operand->linear % MEMORY_PAGE + (first ? 0 : 2 * MEMORY_PAGE);
	if (first && operand->parts[1].mapped)
		return bounce + operand->linear % MEMORY_PAGE;
	if (first)
		return bounce + 2 * MEMORY_PAGE - operand->parts[0].size;
	if (operand->parts[1].mapped)
		return bounce - operand->parts[0].size;
	return bounce + 2 * MEMORY_PAGE + operand->linear % MEMORY_PAGE;
}

static enum outcome translate_fault(struct processor *processor, const struct native_fault *fault,
				    const struct operand *operand)
{
	switch (fault->trap) {
	case VECTOR_DE:
	case VECTOR_UD:
		return raise_exception(processor, (uint8_t)fault->trap);
	case VECTOR_MF:
		processor->fpu_changed = true;
		return raise_exception(processor, VECTOR_MF);
	case VECTOR_XM:
		processor->fpu_changed = true;
		return raise_exception(processor, processor->sregs.cr4 & CR4_OSXMMEXCPT ? VECTOR_XM : VECTOR_UD);
	case VECTOR_GP:
		return raise_error(processor, VECTOR_GP, 0);
	case VECTOR_PF:
		for (unsigned i = 0; i < operand->count; i++) {
			if (!operand->parts[i].mapped)
				return raise_page_fault(processor, operand->linear +
							(fault->address - (uintptr_t)operand->host),
							operand->parts[i].error);
		}
		return refuse(processor, "the host has no memory left for the guest's");
	default:
		return refuse(processor, "the host's CPU refused it");
	}
}

/* x87 state tells where the last instruction was: that must be the guest's address, not ours. */
static void hide_host_addresses(struct processor *processor, const struct operand *operand)
{
	uint8_t *image = native_image(processor->native);
	uint64_t address;

	memcpy(&address, image + X87_FIP, sizeof address);
	if (!native_owns(processor->native, address))
		return;
	memcpy(image + X87_FIP, &processor->regs.rip, sizeof address);
	memcpy(image + X87_FDP, &operand->effective, sizeof address);
}

static enum outcome run_once(struct processor *processor, const struct native_code *code,
			     const struct operation *operation, const struct operand *operand)
{
	bool vector = operation->class != OPERATION_INTEGER;
	struct native_fault fault;

	if (!native_run(processor->native, code, &processor->regs, operand->host, vector, &fault))
		return translate_fault(processor, &fault, operand);
	if (vector)
		processor->fpu_changed = true;
	if (operation->class == OPERATION_X87)
		hide_host_addresses(processor, operand);
	return OUTCOME_DONE;
}

static void write_parts(struct processor *processor, const struct operand *operand)
{
	for (unsigned i = 0; i < operand->count; i++) {
		const struct part *part = &operand->parts[i];

		if (part->mapped)
			physical_write(processor->vm, part->gpa, operand->host + part->offset, part->size);
	}
}

/* A masked store leaves bytes alone: those that come out of two runs as they went in, zeros and ones, are such. */
static enum outcome run_masked_store(struct processor *processor, const struct native_code *code,
				     const struct operation *operation, struct operand *operand)
{
	uint8_t *bounce = native_bounce(processor->native), zeros[64];
	uint8_t *end = bounce + 2 * MEMORY_PAGE;
	uint8_t *first = MAX(operand->host, bounce), *last = MIN(operand->host + operation->size, end);
	enum outcome outcome;

	memset(bounce, 0, 2 * MEMORY_PAGE);
	outcome = run_once(processor, code, operation, operand);
	if (outcome != OUTCOME_DONE || first >= last)
		return outcome;
	memcpy(zeros, first, last - first);
	memset(bounce, 0xFF, 2 * MEMORY_PAGE);
	outcome = run_once(processor, code, operation, operand);
	if (outcome != OUTCOME_DONE)
		return outcome;
	for (unsigned i = 0; i < operand->count; i++) {
		const struct part *part = &operand->parts[i];

		for (unsigned at = part->offset; part->mapped && at < part->offset + part->size; at++) {
			const uint8_t *byte = operand->host + at;

			if (*byte == zeros[byte - first])
				physical_write(processor->vm, part->gpa + (at - part->offset), byte, 1);
		}
	}
	return outcome;
}

static enum outcome run_bounced(struct processor *processor, const struct native_code *code,
				const struct operation *operation, struct operand *operand)
{
	enum outcome outcome;

	operand->host = bounce_address(processor->native, operand);
	if (operation->access == OPERATION_WRITE && operation->masked)
		return run_masked_store(processor, code, operation, operand);
	for (unsigned i = 0; i < operand->count && operation->access & OPERATION_READ; i++) {
		const struct part *part = &operand->parts[i];

		if (part->mapped)
			physical_read(processor->vm, part->gpa, operand->host + part->offset, part->size);
	}
	outcome = run_once(processor, code, operation, operand);
	if (outcome == OUTCOME_DONE && operation->access & OPERATION_WRITE)
		write_parts(processor, operand);
	return outcome;
}

/* In a slot that is no plain RAM (VRAM, firmware): the slot stays only as long as the lock is held. */
static bool run_in_slot(struct processor *processor, const struct native_code *code,
			const struct operation *operation, struct operand *operand, enum outcome *outcome)
{
	struct vm *vm = processor->vm;
	const struct part *part = &operand->parts[0];
	bool write = operation->access & OPERATION_WRITE;
	struct memory_slot *slot;

	g_mutex_lock(&vm->lock);
	slot = physical_slot(vm, part->gpa, part->size);
	if (slot && write && slot->flags & MEMORY_READONLY)
		slot = NULL;
	if (slot) {
		operand->host = slot->host + (part->gpa - slot->gpa);
		*outcome = run_once(processor, code, operation, operand);
		if (write && *outcome == OUTCOME_DONE)
			memory_mark_dirty(&vm->memory, slot, part->gpa - slot->gpa, part->size);
	}
	g_mutex_unlock(&vm->lock);
	return slot != NULL;
}

enum outcome execute_native(struct processor *processor, const struct instruction *instruction,
			    const struct operation *operation)
{
	struct operand operand = { 0 };
	struct native_code code;
	enum outcome outcome = check_state(processor, operation->class);

	if (outcome != OUTCOME_DONE)
		return outcome;
	if (instruction->lock && !(operation->lockable && instruction->has_memory))
		return raise_exception(processor, VECTOR_UD);
	if (operation->class != OPERATION_INTEGER && !processor_need_fpu(processor))
		return OUTCOME_REFUSED;
	native_encode(&code, instruction, operation);
	if (!instruction->has_memory)
		return run_once(processor, &code, operation, &operand);
	outcome = locate(processor, instruction, operation, &operand);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if (operand.count == 1 && operand.parts[0].mapped) {
		operand.host = physical_ram(processor->vm, operand.parts[0].gpa, operation->size);
		if (operand.host)
			return run_once(processor, &code, operation, &operand);
		if (run_in_slot(processor, &code, operation, &operand, &outcome))
			return outcome;
	}
	return run_bounced(processor, &code, operation, &operand);
}
