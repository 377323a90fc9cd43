/*
 * IRET of 16 and 32-bit protected mode to the same privilege level (SDM volume 2, IRET): what a boot loader's
 * interrupt handlers end with. KVM's emulator only knows those of real and long mode.
 */
#include <string.h>

#include "control_bits.h"
#include "processor.h"

#define SELECTOR_RPL 3u
#define SELECTOR_TI 4u
#define DESCRIPTOR_SIZE 8u

#define TYPE_CODE 8u
#define TYPE_CONFORMING 4u
#define TYPE_ACCESSED 1u

#define RFLAGS_FIXED 2ull
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_IOPL (3ull << 12)
#define RFLAGS_IOPL_SHIFT 12
#define RFLAGS_NT (1ull << 14)
#define RFLAGS_VIF_VIP (3ull << 19)
#define RFLAGS_ID (1ull << 21)

struct frame {
	uint32_t ip, cs, flags;
};

static bool wide_stack(const struct processor *processor)
{
	return processor->sregs.ss.db;
}

static enum outcome read_frame(struct processor *processor, unsigned size, struct frame *frame)
{
	uint64_t sp = wide_stack(processor) ? (uint32_t)processor->regs.rsp : (uint16_t)processor->regs.rsp;
	uint8_t bytes[3 * sizeof(uint32_t)];
	uint32_t fields[3] = { 0 };
	uint64_t linear;
	enum outcome outcome = operand_linear(processor, SEGMENT_SS, sp, 3 * size, false, &linear);

	if (outcome == OUTCOME_DONE)
		outcome = linear_read(processor, linear, bytes, 3 * size);
	if (outcome != OUTCOME_DONE)
		return outcome;
	for (unsigned i = 0; i < 3; i++)
		memcpy(&fields[i], bytes + i * size, size);
	*frame = (struct frame){ fields[0], fields[1] & 0xFFFF, fields[2] };
	return OUTCOME_DONE;
}

static enum outcome read_descriptor(struct processor *processor, uint32_t selector, uint64_t *descriptor)
{
	const struct kvm_sregs *sregs = &processor->sregs;
	bool local = selector & SELECTOR_TI;
	uint64_t base = local ? sregs->ldt.base : sregs->gdt.base;
	uint32_t limit = local ? sregs->ldt.limit : sregs->gdt.limit;
	uint32_t offset = selector & ~(SELECTOR_TI | SELECTOR_RPL);

	if (!(selector & ~SELECTOR_RPL))
		return raise_error(processor, VECTOR_GP, 0);
	if (offset + DESCRIPTOR_SIZE - 1 > limit || (local && (sregs->ldt.unusable || !sregs->ldt.present)))
		return raise_error(processor, VECTOR_GP, selector & ~SELECTOR_RPL);
	return linear_read_implicit(processor, (uint32_t)(base + offset), descriptor, sizeof *descriptor);
}

/* SDM volume 3, figure 3-8. */
static struct kvm_segment parse_descriptor(uint32_t selector, uint64_t descriptor)
{
	uint32_t low = (uint32_t)descriptor, high = (uint32_t)(descriptor >> 32);
	struct kvm_segment segment = {
		.selector = (uint16_t)selector,
		.base = low >> 16 | (high & 0xFF) << 16 | (high & 0xFF000000),
		.limit = (low & 0xFFFF) | (high & 0xF0000),
		.type = high >> 8 & 15,
		.s = high >> 12 & 1,
		.dpl = high >> 13 & 3,
		.present = high >> 15 & 1,
		.avl = high >> 20 & 1,
		.l = high >> 21 & 1,
		.db = high >> 22 & 1,
		.g = high >> 23 & 1,
	};

	if (segment.g)
		segment.limit = segment.limit << 12 | 0xFFF;
	return segment;
}

static enum outcome load_code(struct processor *processor, const struct frame *frame, unsigned cpl)
{
	uint64_t descriptor;
	enum outcome outcome = read_descriptor(processor, frame->cs, &descriptor);
	struct kvm_segment segment;

	if (outcome != OUTCOME_DONE)
		return outcome;
	segment = parse_descriptor(frame->cs, descriptor);
	if (!segment.s || !(segment.type & TYPE_CODE) ||
	    (segment.type & TYPE_CONFORMING ? segment.dpl > cpl : segment.dpl != cpl))
		return raise_error(processor, VECTOR_GP, frame->cs & ~SELECTOR_RPL);
	if (!segment.present)
		return raise_error(processor, VECTOR_NP, frame->cs & ~SELECTOR_RPL);
	if (frame->ip > segment.limit)
		return raise_error(processor, VECTOR_GP, 0);
	segment.type |= TYPE_ACCESSED;
	processor->sregs.cs = segment;
	processor->sregs_changed = true;
	return OUTCOME_DONE;
}

/* Which flags the frame may change depends on CPL and IOPL; 16-bit frames leave the upper half alone. */
static void load_flags(struct processor *processor, uint32_t flags, unsigned size, unsigned cpl)
{
	uint64_t old = processor->regs.rflags;
	uint64_t mask = RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;

	if (size == 4)
		mask |= RFLAGS_AC | RFLAGS_ID | (cpl == 0 ? RFLAGS_VIF_VIP : 0);
	if (cpl <= (old & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT)
		mask |= RFLAGS_IF;
	if (cpl == 0)
		mask |= RFLAGS_IOPL;
	processor->regs.rflags = (old & ~mask) | (flags & mask) | RFLAGS_FIXED;
}

enum outcome iret_execute(struct processor *processor, const struct instruction *instruction)
{
	unsigned size = instruction->operand_size, cpl = processor->sregs.ss.dpl;
	uint64_t rsp = processor->regs.rsp + 3 * size;
	struct frame frame;
	enum outcome outcome;

	if (!(processor->sregs.cr0 & CR0_PE) || processor->regs.rflags & RFLAGS_VM ||
	    processor->sregs.efer & EFER_LMA)
		return refuse(processor, "IRET is only completed in protected mode");
	if (processor->regs.rflags & RFLAGS_NT)
		return refuse(processor, "IRET to another task is not supported");
	outcome = read_frame(processor, size, &frame);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if ((size == 4 && cpl == 0 && frame.flags & RFLAGS_VM) || (frame.cs & SELECTOR_RPL) > cpl)
		return refuse(processor, "IRET to another privilege level is not supported");
	if ((frame.cs & SELECTOR_RPL) < cpl)
		return raise_error(processor, VECTOR_GP, frame.cs & ~SELECTOR_RPL);
	outcome = load_code(processor, &frame, cpl);
	if (outcome != OUTCOME_DONE)
		return outcome;
	load_flags(processor, frame.flags, size, cpl);
	processor->regs.rsp = wide_stack(processor) ? (uint32_t)rsp :
		(processor->regs.rsp & ~0xFFFFull) | (uint16_t)rsp;
	/* The caller moves on by the instruction's length. */
	processor->regs.rip = (uint32_t)(frame.ip - instruction->length);
	return OUTCOME_DONE;
}
