/*
 * IRET of 16 and 32-bit protected mode to the same privilege level or an outer one (SDM volume 2, IRET): what a boot
 * loader's interrupt handlers end with. KVM's emulator only knows those of real and long mode.
 *
 * Where KVM emulates protected mode as a whole (PVM's does) it delivers interrupts as if stacks were flat: the frame
 * is written to the linear address that is ESP. A handler on a stack with a base finds in the frame's place what was
 * there before; as hardly anybody looks at it but IRET, that takes the frame from where KVM has put it.
 */
#include <string.h>

#include "control_bits.h"
#include "processor.h"

#define SELECTOR_RPL 3u
#define SELECTOR_TI 4u
#define DESCRIPTOR_SIZE 8u

#define TYPE_CODE 8u
#define TYPE_CONFORMING 4u
#define TYPE_WRITABLE 2u /* of data */
#define TYPE_ACCESSED 1u

#define RFLAGS_FIXED 2ull
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_IOPL (3ull << 12)
#define RFLAGS_IOPL_SHIFT 12
#define RFLAGS_NT (1ull << 14)
#define RFLAGS_VIF_VIP (3ull << 19)
#define RFLAGS_ID (1ull << 21)
/* In a frame of the same level: reserved ones, and that of virtual-8086 mode. */
#define FLAGS_ZERO (0xFFC08028u | (uint32_t)RFLAGS_VM)

#define FRAME_FIELDS 3u
#define OUTER_FRAME_FIELDS 5u

struct frame {
	uint32_t ip, cs, flags;
	uint32_t sp, ss; /* to an outer level only */
};

static bool wide_stack(const struct processor *processor)
{
	return processor->sregs.ss.db;
}

static uint64_t stack_pointer(const struct processor *processor)
{
	return wide_stack(processor) ? (uint32_t)processor->regs.rsp : (uint16_t)processor->regs.rsp;
}

static enum outcome read_frame(struct processor *processor, unsigned size, unsigned count, struct frame *frame)
{
	uint64_t sp = stack_pointer(processor), linear;
	uint8_t bytes[OUTER_FRAME_FIELDS * sizeof(uint32_t)];
	uint32_t fields[OUTER_FRAME_FIELDS] = { 0 };
	enum outcome outcome = operand_linear(processor, SEGMENT_SS, sp, count * size, false, &linear);

	if (outcome == OUTCOME_DONE)
		outcome = linear_read(processor, linear, bytes, count * size);
	if (outcome != OUTCOME_DONE)
		return outcome;
	for (unsigned i = 0; i < count; i++)
		memcpy(&fields[i], bytes + i * size, size);
	*frame = (struct frame){ fields[0], fields[1] & 0xFFFF, fields[2], fields[3], fields[4] & 0xFFFF };
	return OUTCOME_DONE;
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

static enum outcome read_segment(struct processor *processor, uint32_t selector, struct kvm_segment *segment)
{
	const struct kvm_sregs *sregs = &processor->sregs;
	bool local = selector & SELECTOR_TI;
	uint64_t base = local ? sregs->ldt.base : sregs->gdt.base;
	uint32_t limit = local ? sregs->ldt.limit : sregs->gdt.limit;
	uint32_t offset = selector & ~(SELECTOR_TI | SELECTOR_RPL);
	enum outcome outcome;
	uint64_t descriptor;

	if (!(selector & ~SELECTOR_RPL))
		return raise_error(processor, VECTOR_GP, 0);
	if (offset + DESCRIPTOR_SIZE - 1 > limit || (local && (sregs->ldt.unusable || !sregs->ldt.present)))
		return raise_error(processor, VECTOR_GP, selector & ~SELECTOR_RPL);
	outcome = linear_read_implicit(processor, (uint32_t)(base + offset), &descriptor, sizeof descriptor);
	if (outcome == OUTCOME_DONE)
		*segment = parse_descriptor(selector, descriptor);
	return outcome;
}

/* The code segment that the frame returns to, at the level that its selector asks for. */
static enum outcome find_code(struct processor *processor, const struct frame *frame, struct kvm_segment *segment)
{
	unsigned level = frame->cs & SELECTOR_RPL;
	enum outcome outcome = read_segment(processor, frame->cs, segment);

	if (outcome != OUTCOME_DONE)
		return outcome;
	if (!segment->s || !(segment->type & TYPE_CODE) ||
	    (segment->type & TYPE_CONFORMING ? segment->dpl > level : segment->dpl != level))
		return raise_error(processor, VECTOR_GP, frame->cs & ~SELECTOR_RPL);
	if (!segment->present)
		return raise_error(processor, VECTOR_NP, frame->cs & ~SELECTOR_RPL);
	if (frame->ip > segment->limit)
		return raise_error(processor, VECTOR_GP, 0);
	segment->type |= TYPE_ACCESSED;
	return OUTCOME_DONE;
}

/* The stack of the outer level. */
static enum outcome find_stack(struct processor *processor, const struct frame *frame, struct kvm_segment *segment)
{
	unsigned level = frame->cs & SELECTOR_RPL;
	enum outcome outcome = read_segment(processor, frame->ss, segment);

	if (outcome != OUTCOME_DONE)
		return outcome;
	if ((frame->ss & SELECTOR_RPL) != level || segment->dpl != level || !segment->s ||
	    (segment->type & (TYPE_CODE | TYPE_WRITABLE)) != TYPE_WRITABLE)
		return raise_error(processor, VECTOR_GP, frame->ss & ~SELECTOR_RPL);
	if (!segment->present)
		return raise_error(processor, VECTOR_SS, frame->ss & ~SELECTOR_RPL);
	segment->type |= TYPE_ACCESSED;
	return OUTCOME_DONE;
}

/* What the outer level has no right to does not stay loaded. */
static void drop_segments(struct processor *processor, unsigned level)
{
	struct kvm_sregs *sregs = &processor->sregs;
	struct kvm_segment *const segments[] = { &sregs->ds, &sregs->es, &sregs->fs, &sregs->gs };

	for (unsigned i = 0; i < sizeof segments / sizeof segments[0]; i++) {
		bool checked = !(segments[i]->type & TYPE_CODE) || !(segments[i]->type & TYPE_CONFORMING);

		if (checked && segments[i]->dpl < level)
			*segments[i] = (struct kvm_segment){ .unusable = 1 };
	}
}

/*
 * Only what can be nothing but a frame of KVM's is taken for one, and once: otherwise it would be found again by a
 * later IRET at the same depth of the stack.
 */
static bool take_misplaced_frame(struct processor *processor, unsigned cpl, struct frame *frame)
{
	static const uint32_t used[3];
	uint32_t linear = (uint32_t)processor->regs.rsp, fields[3];
	uint32_t right = (uint32_t)(processor->sregs.ss.base + stack_pointer(processor));
	struct kvm_segment code;

	if (linear == right || processor->sregs.cr0 & CR0_PG ||
	    !physical_ram(processor->vm, linear, sizeof fields))
		return false;
	physical_read(processor->vm, linear, fields, sizeof fields);
	if (fields[1] > UINT16_MAX || (fields[1] & SELECTOR_RPL) != cpl ||
	    (fields[2] & (FLAGS_ZERO | RFLAGS_FIXED)) != RFLAGS_FIXED)
		return false;
	*frame = (struct frame){ fields[0], fields[1], fields[2] };
	if (find_code(processor, frame, &code) != OUTCOME_DONE)
		return false;
	physical_write(processor->vm, linear, used, sizeof used);
	return true;
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

static void set_stack_pointer(struct processor *processor, uint64_t value)
{
	processor->regs.rsp = wide_stack(processor) ? (uint32_t)value :
		(processor->regs.rsp & ~0xFFFFull) | (uint16_t)value;
}

enum outcome iret_execute(struct processor *processor, const struct instruction *instruction)
{
	unsigned size = instruction->operand_size, cpl = processor->sregs.ss.dpl, level;
	struct kvm_segment code, stack;
	struct frame frame;
	enum outcome outcome;

	if (!(processor->sregs.cr0 & CR0_PE) || processor->regs.rflags & RFLAGS_VM ||
	    processor->sregs.efer & EFER_LMA)
		return refuse(processor, "IRET is only completed in protected mode");
	if (processor->regs.rflags & RFLAGS_NT)
		return refuse(processor, "IRET to another task is not supported");
	outcome = size == 4 && take_misplaced_frame(processor, cpl, &frame) ? OUTCOME_DONE :
		read_frame(processor, size, FRAME_FIELDS, &frame);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if (size == 4 && cpl == 0 && frame.flags & RFLAGS_VM)
		return refuse(processor, "IRET to virtual-8086 mode is not supported");
	level = frame.cs & SELECTOR_RPL;
	if (level < cpl)
		return raise_error(processor, VECTOR_GP, frame.cs & ~SELECTOR_RPL);
	if (level > cpl)
		outcome = read_frame(processor, size, OUTER_FRAME_FIELDS, &frame);
	if (outcome == OUTCOME_DONE)
		outcome = find_code(processor, &frame, &code);
	if (outcome == OUTCOME_DONE && level > cpl)
		outcome = find_stack(processor, &frame, &stack);
	if (outcome != OUTCOME_DONE)
		return outcome;
	processor->sregs.cs = code;
	processor->sregs_changed = true;
	load_flags(processor, frame.flags, size, cpl);
	if (level > cpl) {
		processor->sregs.ss = stack;
		set_stack_pointer(processor, frame.sp);
		drop_segments(processor, level);
	} else {
		set_stack_pointer(processor, processor->regs.rsp + FRAME_FIELDS * size);
	}
	/* The caller moves on by the instruction's length. */
	processor->regs.rip = (uint32_t)(frame.ip - instruction->length);
	return OUTCOME_DONE;
}
