/*
 * LAR, LSL, VERR and VERW (SDM volume 2): what may be done with a selector, told by ZF.
 */
#include "control_bits.h"
#include "processor.h"

#define SELECTOR_RPL 3u
#define SELECTOR_TI 4u
#define DESCRIPTOR_SIZE 8u

/* Bits of a descriptor's upper half (SDM volume 3, figure 3-8). */
#define HIGH_TYPE(high) ((high) >> 8 & 15)
#define HIGH_S (1u << 12)
#define HIGH_DPL(high) ((high) >> 13 & 3)
#define HIGH_G (1u << 23)
#define HIGH_RIGHTS 0x00FFFF00u

#define TYPE_CODE 8u
#define TYPE_CONFORMING 4u
#define TYPE_READABLE 2u /* of code */
#define TYPE_WRITABLE 2u /* of data */

/* System types that LAR and LSL accept, one bit each (their pages in volume 2), in IA-32e mode and without it. */
#define LAR_TYPES_LONG (1u << 0x2 | 1u << 0x9 | 1u << 0xB | 1u << 0xC)
#define LAR_TYPES (LAR_TYPES_LONG | 1u << 0x1 | 1u << 0x3 | 1u << 0x4 | 1u << 0x5)
#define LSL_TYPES_LONG (1u << 0x2 | 1u << 0x9 | 1u << 0xB)
#define LSL_TYPES (LSL_TYPES_LONG | 1u << 0x1 | 1u << 0x3)

static enum outcome read_selector(struct processor *processor, const struct instruction *instruction,
				  uint16_t *selector)
{
	static const struct operation none;
	uint64_t linear;
	enum outcome outcome;

	if (!instruction->has_memory) {
		*selector = (uint16_t)*processor_register(&processor->regs, instruction->rm);
		return OUTCOME_DONE;
	}
	outcome = operand_linear(processor, instruction->memory.segment,
				 operand_effective(processor, instruction, &none), sizeof *selector, false, &linear);
	return outcome == OUTCOME_DONE ? linear_read(processor, linear, selector, sizeof *selector) : outcome;
}

/* found: there is one in the table; no exception if not. */
static enum outcome read_descriptor(struct processor *processor, uint16_t selector, uint32_t descriptor[2],
				    bool *found)
{
	const struct kvm_sregs *sregs = &processor->sregs;
	bool local = selector & SELECTOR_TI;
	uint64_t base = local ? sregs->ldt.base : sregs->gdt.base;
	uint32_t limit = local ? sregs->ldt.limit : sregs->gdt.limit;
	uint32_t offset = selector & ~(SELECTOR_TI | SELECTOR_RPL);

	*found = (selector & ~SELECTOR_RPL) && offset + DESCRIPTOR_SIZE - 1 <= limit &&
		 !(local && sregs->ldt.unusable);
	if (!*found)
		return OUTCOME_DONE;
	return linear_read_implicit(processor, base + offset, descriptor, DESCRIPTOR_SIZE);
}

/* Conforming code may be seen from everywhere. */
static bool privileged_enough(const struct processor *processor, uint16_t selector, uint32_t high)
{
	unsigned cpl = processor->user ? 3 : processor->sregs.ss.dpl;

	if (high & HIGH_S && HIGH_TYPE(high) & TYPE_CODE && HIGH_TYPE(high) & TYPE_CONFORMING)
		return true;
	return HIGH_DPL(high) >= cpl && HIGH_DPL(high) >= (selector & SELECTOR_RPL);
}

static bool verifiable(uint32_t high, bool write)
{
	unsigned type = HIGH_TYPE(high);

	if (!(high & HIGH_S))
		return false;
	if (type & TYPE_CODE)
		return !write && type & TYPE_READABLE;
	return !write || type & TYPE_WRITABLE;
}

static uint32_t scaled_limit(const uint32_t descriptor[2])
{
	uint32_t limit = (descriptor[0] & 0xFFFF) | (descriptor[1] & 0xF0000);

	return descriptor[1] & HIGH_G ? limit << 12 | 0xFFF : limit;
}

static bool acceptable(const struct processor *processor, const struct operation *operation, uint32_t high)
{
	bool wide = processor->sregs.efer & EFER_LMA;

	switch (operation->system) {
	case SYSTEM_VERR:
		return verifiable(high, false);
	case SYSTEM_VERW:
		return verifiable(high, true);
	case SYSTEM_LAR:
		return high & HIGH_S || (wide ? LAR_TYPES_LONG : LAR_TYPES) >> HIGH_TYPE(high) & 1;
	default:
		return high & HIGH_S || (wide ? LSL_TYPES_LONG : LSL_TYPES) >> HIGH_TYPE(high) & 1;
	}
}

enum outcome descriptor_execute(struct processor *processor, const struct instruction *instruction,
				const struct operation *operation)
{
	uint32_t descriptor[2], value;
	uint64_t *to = processor_register(&processor->regs, instruction->reg);
	uint16_t selector;
	bool found;
	enum outcome outcome;

	if (!(processor->sregs.cr0 & CR0_PE) || processor->regs.rflags & RFLAGS_VM || instruction->lock)
		return raise_exception(processor, VECTOR_UD);
	outcome = read_selector(processor, instruction, &selector);
	if (outcome == OUTCOME_DONE)
		outcome = read_descriptor(processor, selector, descriptor, &found);
	if (outcome != OUTCOME_DONE)
		return outcome;
	processor->regs.rflags &= ~RFLAGS_ZF;
	if (!found || !privileged_enough(processor, selector, descriptor[1]) ||
	    !acceptable(processor, operation, descriptor[1]))
		return OUTCOME_DONE;
	processor->regs.rflags |= RFLAGS_ZF;
	if (operation->system == SYSTEM_VERR || operation->system == SYSTEM_VERW)
		return OUTCOME_DONE;
	value = operation->system == SYSTEM_LAR ? descriptor[1] & HIGH_RIGHTS : scaled_limit(descriptor);
	*to = instruction->operand_size == 2 ? (*to & ~0xFFFFull) | (uint16_t)value : value;
	return OUTCOME_DONE;
}
