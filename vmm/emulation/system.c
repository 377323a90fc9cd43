/*
 * System instructions, by hand: what the host's CPU would do to the host rather than to the guest.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "control_bits.h"
#include "processor.h"

#define IA32_TSC 0x10
#define IA32_KERNEL_GS_BASE 0xC0000102
#define IA32_TSC_AUX 0xC0000103
#define RAX 0
#define RCX 1
#define RDX 2
#define HEADER_OFFSET 512
#define IDT_ERROR 2 /* selector error code: the index is one of the IDT */

static enum outcome undefined(struct processor *processor)
{
	return raise_exception(processor, VECTOR_UD);
}

static enum outcome protection(struct processor *processor)
{
	return raise_error(processor, VECTOR_GP, 0);
}

static enum outcome trap(struct processor *processor, uint8_t vector)
{
	processor->exception = (struct exception){ .vector = vector, .trap = true };
	return OUTCOME_EXCEPTION;
}

/*
 * INT n and INT3 from ring 3 need a gate that ring 3 may use; a gate must lie within the IDT (SDM volume 3,
 * 6.12.1.2).
 */
static enum outcome check_gate(struct processor *processor, uint8_t vector)
{
	const struct kvm_dtable *idt = &processor->sregs.idt;
	unsigned gate_size = processor->sregs.efer & EFER_LMA ? 16 : 8;
	uint8_t gate[8];
	enum outcome outcome;

	if (!(processor->sregs.cr0 & CR0_PE) || processor->regs.rflags & RFLAGS_VM)
		return refuse(processor, "software interrupts of real mode are not supported");
	if (vector * gate_size + gate_size - 1 > idt->limit)
		return raise_error(processor, VECTOR_GP, vector * 8u + IDT_ERROR);
	if (!processor->user)
		return OUTCOME_DONE;
	outcome = linear_read_implicit(processor, idt->base + vector * gate_size, gate, sizeof gate);
	if (outcome == OUTCOME_DONE && (gate[5] >> 5 & 3) != 3)
		return raise_error(processor, VECTOR_GP, vector * 8u + IDT_ERROR);
	return outcome;
}

static enum outcome software_interrupt(struct processor *processor, uint8_t vector)
{
	enum outcome outcome = check_gate(processor, vector);

	if (outcome != OUTCOME_DONE)
		return outcome;
	trap(processor, vector);
	processor->exception.interrupt = vector != VECTOR_BP && vector != VECTOR_OF;
	return OUTCOME_EXCEPTION;
}

static enum outcome int3(struct processor *processor, const struct instruction *instruction)
{
	(void)instruction;
	return software_interrupt(processor, VECTOR_BP);
}

static enum outcome int_n(struct processor *processor, const struct instruction *instruction)
{
	return software_interrupt(processor, (uint8_t)instruction_immediate(instruction));
}

static enum outcome into(struct processor *processor, const struct instruction *instruction)
{
	(void)instruction;
	if (processor->bits == 64)
		return undefined(processor);
	return processor->regs.rflags & RFLAGS_OF ? software_interrupt(processor, VECTOR_OF) : OUTCOME_DONE;
}

static enum outcome icebp(struct processor *processor, const struct instruction *instruction)
{
	(void)instruction;
	return trap(processor, VECTOR_DB);
}

static enum outcome set_alignment(struct processor *processor, bool on)
{
	if (processor->user)
		return undefined(processor);
	if (on)
		processor->regs.rflags |= RFLAGS_AC;
	else
		processor->regs.rflags &= ~RFLAGS_AC;
	return OUTCOME_DONE;
}

static enum outcome clac(struct processor *processor, const struct instruction *instruction)
{
	(void)instruction;
	return set_alignment(processor, false);
}

static enum outcome stac(struct processor *processor, const struct instruction *instruction)
{
	(void)instruction;
	return set_alignment(processor, true);
}

static enum outcome swapgs(struct processor *processor, const struct instruction *instruction)
{
	uint64_t base = processor->sregs.gs.base, other;

	(void)instruction;
	if (processor->bits != 64)
		return undefined(processor);
	if (processor->user)
		return protection(processor);
	if (!processor_get_msr(processor, IA32_KERNEL_GS_BASE, &other) ||
	    !processor_set_msr(processor, IA32_KERNEL_GS_BASE, base))
		return OUTCOME_REFUSED;
	processor->sregs.gs.base = other;
	processor->sregs_changed = true;
	return OUTCOME_DONE;
}

static void set_edx_eax(struct processor *processor, uint64_t value)
{
	processor_set_register(processor, RAX, (uint32_t)value, 4);
	processor_set_register(processor, RDX, value >> 32, 4);
}

static enum outcome xgetbv(struct processor *processor, const struct instruction *instruction)
{
	uint32_t index = (uint32_t)processor->regs.rcx;
	uint64_t value, in_use;

	(void)instruction;
	if (!(processor->sregs.cr4 & CR4_OSXSAVE))
		return undefined(processor);
	if (index > 1)
		return protection(processor);
	if (!processor_need_xcr0(processor))
		return OUTCOME_REFUSED;
	value = processor->xcr0;
	if (index == 1) {
		if (!processor_need_fpu(processor))
			return OUTCOME_REFUSED;
		memcpy(&in_use, native_image(processor->native) + HEADER_OFFSET, sizeof in_use);
		value &= in_use;
	}
	set_edx_eax(processor, value);
	return OUTCOME_DONE;
}

/* KVM knows which values the guest may set. */
static enum outcome xsetbv(struct processor *processor, const struct instruction *instruction)
{
	uint64_t value = processor->regs.rdx << 32 | (uint32_t)processor->regs.rax;
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = value } } };

	(void)instruction;
	if (!(processor->sregs.cr4 & CR4_OSXSAVE))
		return undefined(processor);
	if (processor->user || (uint32_t)processor->regs.rcx != 0 || ioctl(processor->fd, KVM_SET_XCRS, &xcrs) < 0)
		return protection(processor);
	processor->have_xcr0 = false;
	return OUTCOME_DONE;
}

/*
 * KVM has no call to flush a vCPU's translations, but it does so when CR4 changes. Flushing more than asked for is
 * allowed (SDM volume 2, INVPCID).
 */
static bool flush_translations(struct processor *processor)
{
	struct kvm_sregs sregs = processor->sregs;

	sregs.cr4 ^= CR4_PGE;
	return ioctl(processor->fd, KVM_SET_SREGS, &sregs) == 0 &&
	       ioctl(processor->fd, KVM_SET_SREGS, &processor->sregs) == 0;
}

static enum outcome invpcid(struct processor *processor, const struct instruction *instruction)
{
	static const struct operation none;
	uint64_t type = *processor_register(&processor->regs, instruction->reg), descriptor[2], linear;
	enum outcome outcome;

	if (!(processor->sregs.cr0 & CR0_PE))
		return undefined(processor);
	if (processor->user)
		return protection(processor);
	if (processor->bits != 64)
		type = (uint32_t)type;
	outcome = operand_linear(processor, instruction->memory.segment,
				 operand_effective(processor, instruction, &none), sizeof descriptor, false, &linear);
	if (outcome == OUTCOME_DONE)
		outcome = linear_read(processor, linear, descriptor, sizeof descriptor);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if (type > 3 || descriptor[0] >> 12)
		return protection(processor);
	if (!flush_translations(processor))
		return refuse(processor, "KVM does not flush the translations");
	return OUTCOME_DONE;
}

static enum outcome rdtscp(struct processor *processor, const struct instruction *instruction)
{
	uint64_t tsc, aux;

	(void)instruction;
	if (processor->user && processor->sregs.cr4 & CR4_TSD)
		return protection(processor);
	if (!processor_get_msr(processor, IA32_TSC, &tsc) || !processor_get_msr(processor, IA32_TSC_AUX, &aux))
		return OUTCOME_REFUSED;
	set_edx_eax(processor, tsc);
	processor_set_register(processor, RCX, aux, 4);
	return OUTCOME_DONE;
}

static enum outcome segment_base(struct processor *processor, const struct instruction *instruction,
				 enum segment segment, bool write)
{
	unsigned size = instruction->rex & REX_W ? 8 : 4;
	struct kvm_segment *descriptor = processor_segment(processor, segment);
	uint64_t value = *processor_register(&processor->regs, instruction->rm);
	unsigned shift = processor->sregs.cr4 & CR4_LA57 ? 7 : 16;

	if (processor->bits != 64 || !(processor->sregs.cr4 & CR4_FSGSBASE) || instruction->lock)
		return undefined(processor);
	if (!write) {
		processor_set_register(processor, instruction->rm, descriptor->base, size);
		return OUTCOME_DONE;
	}
	if (size == 4)
		value = (uint32_t)value;
	if ((uint64_t)((int64_t)(value << shift) >> shift) != value)
		return protection(processor);
	descriptor->base = value;
	processor->sregs_changed = true;
	return OUTCOME_DONE;
}

static enum outcome rdfsbase(struct processor *processor, const struct instruction *instruction)
{
	return segment_base(processor, instruction, SEGMENT_FS, false);
}

static enum outcome rdgsbase(struct processor *processor, const struct instruction *instruction)
{
	return segment_base(processor, instruction, SEGMENT_GS, false);
}

static enum outcome wrfsbase(struct processor *processor, const struct instruction *instruction)
{
	return segment_base(processor, instruction, SEGMENT_FS, true);
}

static enum outcome wrgsbase(struct processor *processor, const struct instruction *instruction)
{
	return segment_base(processor, instruction, SEGMENT_GS, true);
}

static enum outcome rdpid(struct processor *processor, const struct instruction *instruction)
{
	uint64_t aux;

	if (!processor_get_msr(processor, IA32_TSC_AUX, &aux))
		return OUTCOME_REFUSED;
	processor_set_register(processor, instruction->rm, aux, 4);
	return OUTCOME_DONE;
}

static enum outcome check_keys(struct processor *processor)
{
	if (!(processor->sregs.cr4 & CR4_PKE))
		return undefined(processor);
	if ((uint32_t)processor->regs.rcx)
		return protection(processor);
	return processor_need_fpu(processor) ? OUTCOME_DONE : OUTCOME_REFUSED;
}

static enum outcome rdpkru(struct processor *processor, const struct instruction *instruction)
{
	enum outcome outcome = check_keys(processor);

	(void)instruction;
	if (outcome == OUTCOME_DONE)
		set_edx_eax(processor, processor_pkru(processor));
	return outcome;
}

static enum outcome wrpkru(struct processor *processor, const struct instruction *instruction)
{
	enum outcome outcome = check_keys(processor);

	(void)instruction;
	if (outcome != OUTCOME_DONE)
		return outcome;
	if ((uint32_t)processor->regs.rdx)
		return protection(processor);
	processor_set_pkru(processor, (uint32_t)processor->regs.rax);
	return OUTCOME_DONE;
}

/* Entering the guest again is serializing enough. */
static enum outcome serialize(struct processor *processor, const struct instruction *instruction)
{
	(void)processor;
	(void)instruction;
	return OUTCOME_DONE;
}

static enum outcome cache(struct processor *processor, const struct instruction *instruction)
{
	(void)instruction;
	return processor->user ? protection(processor) : OUTCOME_DONE;
}

typedef enum outcome (*system_function)(struct processor *processor, const struct instruction *instruction);

static const system_function functions[] = {
	[SYSTEM_INT3] = int3,
	[SYSTEM_INT] = int_n,
	[SYSTEM_INTO] = into,
	[SYSTEM_IRET] = iret_execute,
	[SYSTEM_ICEBP] = icebp,
	[SYSTEM_CLAC] = clac,
	[SYSTEM_STAC] = stac,
	[SYSTEM_SWAPGS] = swapgs,
	[SYSTEM_XGETBV] = xgetbv,
	[SYSTEM_XSETBV] = xsetbv,
	[SYSTEM_INVPCID] = invpcid,
	[SYSTEM_RDTSCP] = rdtscp,
	[SYSTEM_RDFSBASE] = rdfsbase,
	[SYSTEM_RDGSBASE] = rdgsbase,
	[SYSTEM_WRFSBASE] = wrfsbase,
	[SYSTEM_WRGSBASE] = wrgsbase,
	[SYSTEM_RDPID] = rdpid,
	[SYSTEM_RDPKRU] = rdpkru,
	[SYSTEM_WRPKRU] = wrpkru,
	[SYSTEM_SERIALIZE] = serialize,
	[SYSTEM_CACHE] = cache,
};

enum outcome system_execute(struct processor *processor, const struct instruction *instruction,
			    const struct operation *operation)
{
	if (operation->system >= SYSTEM_XSAVE)
		return xsave_execute(processor, instruction, operation);
	if (operation->system >= SYSTEM_LAR)
		return descriptor_execute(processor, instruction, operation);
	if (instruction->lock)
		return undefined(processor);
	return functions[operation->system](processor, instruction);
}
