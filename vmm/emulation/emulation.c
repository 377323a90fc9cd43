/*
 * The driver: gets the vCPU's registers, completes a run of instructions, and gives back what changed.
 *
 * With KVM_CAP_SYNC_REGS registers travel in struct kvm_run. KVM fills it at every exit, which costs, so it is asked
 * to only while failed emulations are frequent among exits. What is marked dirty there takes effect at the next
 * KVM_RUN.
 */
#include "emulation.h"

#include <errno.h>
#include <glib.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../kvm.h"
#include "../vcpu.h"
#include "../vm.h"
#include "control_bits.h"
#include "processor.h"

#define SYNCED (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)
/* How many instructions are completed before the vCPU, and interrupts, get their turn. */
#define RUN_MAX 64
#define DR6_BS (1ull << 14)

struct emulation_state {
	struct native *native;
	int vcpu_fd;
	bool asked; /* whether KVM can synchronize registers */
	bool can_sync;
	struct processor processor;
	struct kvm_vcpu_events events;
	bool events_changed;
	uint64_t last_exits;
	uint8_t refused[INSTRUCTION_MAX]; /* what could not be completed */
	unsigned refused_length;
};

bool emulation_init(struct emulation *emulation, int vcpu_fd)
{
	struct emulation_state *state = g_new0(struct emulation_state, 1);

	state->vcpu_fd = vcpu_fd;
	/* Without a runner the instructions that need it are refused, one by one. */
	state->native = native_new();
	emulation->private = state;
	return true;
}

void emulation_finish(struct emulation *emulation)
{
	struct emulation_state *state = emulation->private;

	if (!state)
		return;
	native_free(state->native);
	g_free(state);
	emulation->private = NULL;
}

static bool read_registers(struct vcpu *vcpu, struct emulation_state *state)
{
	struct processor *processor = &state->processor;
	struct kvm_sync_regs *synced = &vcpu->run->s.regs;

	if (vcpu->run->kvm_valid_regs == SYNCED) {
		processor->regs = synced->regs;
		processor->sregs = synced->sregs;
		state->events = synced->events;
		return true;
	}
	return ioctl(vcpu->fd, KVM_GET_REGS, &processor->regs) == 0 &&
	       ioctl(vcpu->fd, KVM_GET_SREGS, &processor->sregs) == 0 &&
	       ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &state->events) == 0;
}

static bool get_registers(struct vcpu *vcpu, struct emulation_state *state)
{
	if (!read_registers(vcpu, state))
		return false;
	/*
	 * KVM queues the interrupts in it when it gets it back. In struct kvm_run it only ever sets its bits, so that
	 * interrupts of long ago would be delivered once more; what is under way now is in the events.
	 */
	memset(state->processor.sregs.interrupt_bitmap, 0, sizeof state->processor.sregs.interrupt_bitmap);
	return true;
}

/* Register sets one by one, so that what did not change costs nothing. */
static bool put_registers(struct vcpu *vcpu, struct emulation_state *state)
{
	struct processor *processor = &state->processor;
	struct kvm_run *run = vcpu->run;

	if (processor->fpu_changed && ioctl(vcpu->fd, KVM_SET_XSAVE, native_image(state->native)) < 0)
		return false;
	if (run->kvm_valid_regs == SYNCED) {
		run->s.regs.regs = processor->regs;
		run->s.regs.sregs = processor->sregs;
		run->s.regs.events = state->events;
		run->kvm_dirty_regs = KVM_SYNC_X86_REGS | (processor->sregs_changed ? KVM_SYNC_X86_SREGS : 0) |
			(state->events_changed ? KVM_SYNC_X86_EVENTS : 0);
		return true;
	}
	return (!processor->sregs_changed || ioctl(vcpu->fd, KVM_SET_SREGS, &processor->sregs) == 0) &&
	       ioctl(vcpu->fd, KVM_SET_REGS, &processor->regs) == 0 &&
	       (!state->events_changed || ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &state->events) == 0);
}

static void set_mode(struct processor *processor)
{
	const struct kvm_sregs *sregs = &processor->sregs;
	bool protected = sregs->cr0 & CR0_PE && !(processor->regs.rflags & RFLAGS_VM);

	processor->bits = sregs->efer & EFER_LMA && sregs->cs.l ? 64 : protected && sregs->cs.db ? 32 : 16;
	processor->user = (sregs->cr0 & CR0_PE && sregs->cs.dpl == 3) || processor->regs.rflags & RFLAGS_VM;
	if (protected)
		processor->user = sregs->ss.dpl == 3;
}

/* How much of the page at linear there is to fetch, at most length bytes; 0: *error of a #PF. */
static size_t fetch_page(struct processor *processor, const struct paging *paging, uint64_t linear, uint8_t *bytes,
			 size_t length, uint32_t *error)
{
	size_t size = MIN(length, MEMORY_PAGE - linear % MEMORY_PAGE);
	uint64_t gpa;

	if (!walk(processor->vm, paging, linear, WALK_FETCH, &gpa, error))
		return 0;
	physical_read(processor->vm, gpa, bytes, size);
	return size;
}

/* Fetches once, so that the guest cannot change what has been looked at, and decodes. */
static enum outcome fetch(struct processor *processor, struct instruction *instruction)
{
	uint64_t linear = processor->regs.rip + (processor->bits == 64 ? 0 : processor->sregs.cs.base);
	uint8_t bytes[INSTRUCTION_MAX];
	struct paging paging;
	uint32_t error = 0;
	size_t size, more;
	enum decode_result result;

	if (!processor_paging(processor, false, &paging))
		return OUTCOME_REFUSED;
	if (processor->bits != 64)
		linear = (uint32_t)linear;
	size = fetch_page(processor, &paging, linear, bytes, sizeof bytes, &error);
	if (!size)
		return raise_page_fault(processor, linear, error);
	result = instruction_decode(instruction, bytes, size, processor->bits);
	if (result == DECODE_SHORT) {
		more = fetch_page(processor, &paging, linear + size, bytes + size, sizeof bytes - size, &error);
		if (!more)
			return raise_page_fault(processor, linear + size, error);
		result = instruction_decode(instruction, bytes, size + more, processor->bits);
	}
	if (result == DECODE_OK)
		return OUTCOME_DONE;
	if (result == DECODE_INVALID)
		return raise_exception(processor, VECTOR_UD);
	return raise_error(processor, VECTOR_GP, 0);
}

static enum outcome execute(struct processor *processor, const struct instruction *instruction,
			    const struct operation *operation)
{
	switch (operation->class) {
	case OPERATION_UNKNOWN:
		return refuse(processor, "it is none of those that can be completed");
	case OPERATION_INVALID:
		return raise_exception(processor, VECTOR_UD);
	case OPERATION_SYSTEM:
		return processor->native ? system_execute(processor, instruction, operation) :
			refuse(processor, "the host grants no executable memory");
	default:
		return processor->native ? execute_native(processor, instruction, operation) :
			refuse(processor, "the host grants no executable memory");
	}
}

/* RIP beyond the instruction; what lasts for one instruction only is over. */
static void move_on(struct emulation_state *state, const struct instruction *instruction)
{
	struct kvm_regs *regs = &state->processor.regs;

	regs->rip += instruction->length;
	if (state->processor.bits != 64)
		regs->rip = (uint32_t)regs->rip;
	regs->rflags &= ~RFLAGS_RF;
	if (state->events.interrupt.shadow) {
		state->events.interrupt.shadow = 0;
		state->events_changed = true;
	}
}

static void inject(struct emulation_state *state)
{
	const struct exception *exception = &state->processor.exception;
	struct kvm_vcpu_events *events = &state->events;

	state->events_changed = true;
	if (exception->interrupt) {
		events->interrupt.injected = 1;
		events->interrupt.nr = exception->vector;
		events->interrupt.soft = 1;
		return;
	}
	events->exception.injected = 1;
	events->exception.pending = 0;
	events->exception.nr = exception->vector;
	events->exception.has_error_code = exception->has_error;
	events->exception.error_code = exception->error;
	events->exception_has_payload = 0;
}

/* Single step: #DB after the instruction, with DR6.BS. */
static bool single_step(struct emulation_state *state)
{
	struct kvm_debugregs registers;

	if (ioctl(state->vcpu_fd, KVM_GET_DEBUGREGS, &registers) < 0)
		return false;
	registers.dr6 |= DR6_BS;
	if (ioctl(state->vcpu_fd, KVM_SET_DEBUGREGS, &registers) < 0)
		return false;
	state->processor.exception = (struct exception){ .vector = VECTOR_DB };
	inject(state);
	return true;
}

/* What is not in the table is left to KVM: it can most probably run it. */
static bool worth_going_on(const struct operation *operation)
{
	return operation->class != OPERATION_UNKNOWN && operation->class != OPERATION_INVALID;
}

/* One instruction. first: KVM gave up on it; otherwise one after it, which is left alone unless it is easy. */
static enum outcome step(struct emulation_state *state, bool first)
{
	struct processor *processor = &state->processor;
	struct instruction instruction = { 0 };
	struct operation operation;
	enum outcome outcome;

	set_mode(processor);
	outcome = fetch(processor, &instruction);
	if (outcome == OUTCOME_DONE) {
		operation = operation_find(&instruction);
		if (!first && !worth_going_on(&operation))
			return OUTCOME_REFUSED;
		outcome = execute(processor, &instruction, &operation);
	}
	if (outcome == OUTCOME_DONE || (outcome == OUTCOME_EXCEPTION && processor->exception.trap))
		move_on(state, &instruction);
	if (outcome == OUTCOME_REFUSED && first) {
		memcpy(state->refused, instruction.bytes, sizeof state->refused);
		state->refused_length = instruction.length;
	}
	return outcome;
}

/* A stale exception is one that KVM queued because it could not emulate. */
static void prepare(struct emulation_state *state)
{
	struct kvm_vcpu_events *events = &state->events;

	state->events_changed = events->exception.injected || events->exception.pending;
	events->exception.injected = 0;
	events->exception.pending = 0;
	/* The rest belongs to interrupt controllers and other vCPUs, which may change it meanwhile. */
	events->flags = KVM_VCPUEVENT_VALID_SHADOW;
}

/* False: the first instruction was refused. */
static bool complete_run(struct vcpu *vcpu, struct emulation_state *state)
{
	struct processor *processor = &state->processor;
	bool stepping = processor->regs.rflags & RFLAGS_TF;

	for (unsigned i = 0; i < RUN_MAX; i++) {
		struct kvm_regs before = processor->regs;
		enum outcome outcome = step(state, i == 0);

		if (outcome == OUTCOME_REFUSED) {
			processor->regs = before;
			return i > 0;
		}
		if (outcome == OUTCOME_EXCEPTION) {
			inject(state);
			return true;
		}
		vcpu->completed_instructions += i > 0;
		if (stepping)
			return single_step(state);
		if (__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_RELAXED))
			return true;
	}
	return true;
}

/* Among the exits since the last completion: more than this, and registers are better fetched when needed. */
#define FREQUENT 8

static void choose_sync(struct vcpu *vcpu, struct emulation_state *state)
{
	uint64_t exits = 0;

	if (!state->asked)
		state->can_sync = (kvm_check(vcpu->kvm, KVM_CAP_SYNC_REGS) & SYNCED) == SYNCED;
	state->asked = true;
	for (unsigned i = 0; i < VCPU_EXIT_REASONS; i++)
		exits += vcpu->exits[i];
	if (state->can_sync)
		vcpu->run->kvm_valid_regs = exits - state->last_exits <= FREQUENT ? SYNCED : 0;
	state->last_exits = exits;
}

/* The code may be where emulation_report() does not look: in a device. */
static void add_refused(const struct emulation_state *state, char **report)
{
	GString *text = g_string_new(*report);

	g_string_append(text, "instruction");
	for (unsigned i = 0; i < state->refused_length; i++)
		g_string_append_printf(text, " %02x", state->refused[i]);
	g_string_append_c(text, '\n');
	g_free(*report);
	*report = g_string_free(text, FALSE);
}

bool emulation_complete(struct vcpu *vcpu, char **report)
{
	struct emulation_state *state = vcpu->emulation.private;
	struct processor *processor = &state->processor;
	g_autofree char *what = NULL;

	memset(processor, 0, sizeof *processor);
	state->refused_length = 0;
	processor->vm = vcpu->vm;
	processor->fd = vcpu->fd;
	processor->native = state->native;
	if (!get_registers(vcpu, state)) {
		processor->refusal = "KVM does not give the registers";
	} else {
		prepare(state);
		choose_sync(vcpu, state);
		if (complete_run(vcpu, state) && put_registers(vcpu, state))
			return true;
		if (!processor->refusal)
			processor->refusal = "KVM does not take the registers";
	}
	if (report) {
		what = g_strdup_printf(_("An instruction that KVM cannot emulate could not be completed: %s"),
				       processor->refusal);
		*report = emulation_report(vcpu, what);
		add_refused(state, report);
	}
	return false;
}
