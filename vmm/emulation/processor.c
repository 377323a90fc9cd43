#include "processor.h"

#include <glib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "control_bits.h"

#define MXCSR_OFFSET 24
#define MXCSR_DEFAULT 0x1F80
#define FCW_DEFAULT 0x037F
#define XMM_OFFSET 160
#define XMM_SIZE 256
#define HEADER_OFFSET 512
#define PKRU_COMPONENT 9

enum outcome raise_exception(struct processor *processor, uint8_t vector)
{
	processor->exception = (struct exception){ .vector = vector };
	return OUTCOME_EXCEPTION;
}

enum outcome raise_error(struct processor *processor, uint8_t vector, uint32_t error)
{
	/* Real mode has no error codes. */
	processor->exception = (struct exception){
		.vector = vector,
		.has_error = processor->sregs.cr0 & CR0_PE,
		.error = error,
	};
	return OUTCOME_EXCEPTION;
}

enum outcome raise_page_fault(struct processor *processor, uint64_t linear, uint32_t error)
{
	processor->sregs.cr2 = linear;
	processor->sregs_changed = true;
	return raise_error(processor, VECTOR_PF, error);
}

enum outcome refuse(struct processor *processor, const char *reason)
{
	processor->refusal = reason;
	return OUTCOME_REFUSED;
}

uint64_t *processor_register(struct kvm_regs *regs, unsigned number)
{
	__u64 *const registers[16] = {
		&regs->rax, &regs->rcx, &regs->rdx, &regs->rbx, &regs->rsp, &regs->rbp, &regs->rsi, &regs->rdi,
		&regs->r8, &regs->r9, &regs->r10, &regs->r11, &regs->r12, &regs->r13, &regs->r14, &regs->r15,
	};

	return (uint64_t *)registers[number & 15];
}

void processor_set_register(struct processor *processor, unsigned number, uint64_t value, unsigned size)
{
	*processor_register(&processor->regs, number) = size == 8 ? value : (uint32_t)value;
}

struct kvm_segment *processor_segment(struct processor *processor, enum segment segment)
{
	struct kvm_sregs *sregs = &processor->sregs;
	struct kvm_segment *const segments[] = {
		&sregs->es, &sregs->cs, &sregs->ss, &sregs->ds, &sregs->fs, &sregs->gs,
	};

	return segments[segment];
}

bool processor_need_xcr0(struct processor *processor)
{
	struct kvm_xcrs xcrs;

	if (processor->have_xcr0)
		return true;
	if (ioctl(processor->fd, KVM_GET_XCRS, &xcrs) < 0) {
		refuse(processor, "KVM does not tell XCR0");
		return false;
	}
	processor->xcr0 = XCR0_X87;
	for (unsigned i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++) {
		if (xcrs.xcrs[i].xcr == 0)
			processor->xcr0 = xcrs.xcrs[i].value;
	}
	processor->have_xcr0 = true;
	return true;
}

/* What the header says is in its initial state need not hold it; MXCSR least of all. */
static void fill_initial_state(uint8_t *image)
{
	uint64_t components;
	uint32_t mxcsr = MXCSR_DEFAULT;
	uint16_t fcw = FCW_DEFAULT;

	memcpy(&components, image + HEADER_OFFSET, sizeof components);
	if (!(components & XCR0_X87)) {
		memset(image, 0, MXCSR_OFFSET);
		memset(image + MXCSR_OFFSET + 8, 0, XMM_OFFSET - MXCSR_OFFSET - 8);
		memcpy(image, &fcw, sizeof fcw);
	}
	if (!(components & XCR0_SSE))
		memset(image + XMM_OFFSET, 0, XMM_SIZE);
	if (!(components & (XCR0_SSE | XCR0_AVX)))
		memcpy(image + MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
}

bool processor_need_fpu(struct processor *processor)
{
	uint8_t *image = native_image(processor->native);

	if (processor->have_fpu)
		return true;
	if (ioctl(processor->fd, KVM_GET_XSAVE2, image) < 0 && ioctl(processor->fd, KVM_GET_XSAVE, image) < 0) {
		refuse(processor, "KVM does not give the vector state");
		return false;
	}
	fill_initial_state(image);
	processor->have_fpu = true;
	return true;
}

bool processor_get_msr(struct processor *processor, uint32_t index, uint64_t *value)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { .header.nmsrs = 1, .entry.index = index };

	if (ioctl(processor->fd, KVM_GET_MSRS, &msrs) != 1) {
		refuse(processor, "KVM does not give an MSR that it needs");
		return false;
	}
	*value = msrs.entry.data;
	return true;
}

bool processor_set_msr(struct processor *processor, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { .header.nmsrs = 1, .entry = { .index = index, .data = value } };

	if (ioctl(processor->fd, KVM_SET_MSRS, &msrs) != 1) {
		refuse(processor, "KVM does not take an MSR that it needs");
		return false;
	}
	return true;
}

/* Protection key rights are a component of the XSAVE image, at the place that CPUID tells. */
static uint8_t *find_pkru(struct processor *processor)
{
	unsigned offset = xsave_component_offset(PKRU_COMPONENT);

	if (!offset || offset + sizeof(uint32_t) > native_image_size(processor->native))
		return NULL;
	return native_image(processor->native) + offset;
}

uint32_t processor_pkru(struct processor *processor)
{
	const uint8_t *place = find_pkru(processor);
	uint32_t pkru = 0;

	if (place)
		memcpy(&pkru, place, sizeof pkru);
	return pkru;
}

void processor_set_pkru(struct processor *processor, uint32_t pkru)
{
	uint8_t *place = find_pkru(processor), *header = native_image(processor->native) + HEADER_OFFSET;
	uint64_t components;

	if (!place)
		return;
	memcpy(place, &pkru, sizeof pkru);
	memcpy(&components, header, sizeof components);
	components |= XCR0_PKRU;
	memcpy(header, &components, sizeof components);
	processor->fpu_changed = true;
}

bool processor_paging(struct processor *processor, bool implicit, struct paging *paging)
{
	const struct kvm_sregs *sregs = &processor->sregs;

	*paging = (struct paging){
		.cr0 = sregs->cr0,
		.cr3 = sregs->cr3,
		.cr4 = sregs->cr4,
		.efer = sregs->efer,
		.user = processor->user && !implicit,
		/* SMAP always guards what the CPU reads on its own (4.6.1). */
		.alignment = processor->regs.rflags & RFLAGS_AC && !implicit,
	};
	if (!(sregs->cr4 & CR4_PKE))
		return true;
	if (!processor_need_fpu(processor))
		return false;
	paging->pkru = processor_pkru(processor);
	return true;
}
