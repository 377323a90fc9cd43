/*
 * IRET of protected mode without paging, as boot loaders use it, under real KVM: frames made by the guest, and those
 * of interrupts that KVM delivers, on stacks of all kinds.
 */
#include "../../vmm/emulation/control_bits.h"
#include "emulation_guest.h"

#include <string.h>

#define DATA_SELECTOR 16u
#define CODE_SELECTOR 24u
#define OUTER_CODE 35u  /* with RPL 3, as the next */
#define OUTER_STACK 43u
#define OUTER_POINTER 0x1E000u
#define TABLE_LIMIT 47
#define CODE_BASE 0x10000u
#define STACK_BASE 0x100000u
#define VECTOR 0x41u
#define GENERAL_PROTECTION 13u
#define HANDLER HANDLERS
#define WRONG (HANDLERS + 0x10) /* where nothing may return to */
#define WRONG_MARK 0xBAD

struct interrupt_return {
	const char *what;
	uint8_t code[16]; /* what is returned to follows it */
	unsigned size;    /* of the frame's fields */
	uint64_t before, flags, after;
	uint32_t stack_base;
};

static const struct interrupt_return interrupt_returns[] = {
	{ "iret of 32 bits", { 0xCF }, 4, 2, 0x200C03, 0x200C03 },
	{ "iret of 16 bits", { 0x66, 0xCF }, 2, 0x200002, 0xC03, 0x200C03 },
	{ "iret that clears flags", { 0xCF }, 4, 0x200CD7, 2, 2 },
	{ "iret on a stack with a base", { 0xCF }, 4, 2, 0x200C03, 0x200C03, STACK_BASE },
};

static void enter_protected_mode(struct guest *guest, uint32_t stack_base, bool wide)
{
	put64(guest, GDT + CODE_SELECTOR, 0x00CF9B010000FFFF);
	put64(guest, GDT + (OUTER_CODE & ~3u), 0x00CFFB010000FFFF);
	put64(guest, GDT + (OUTER_STACK & ~3u), 0x00CFF3000000FFFF);
	guest->sregs.cs.selector = CODE_SELECTOR;
	guest->sregs.cs.base = CODE_BASE;
	guest->sregs.cs.l = 0;
	guest->sregs.cs.db = 1;
	guest->sregs.ss.base = stack_base;
	guest->sregs.ss.db = wide;
	guest->sregs.gdt.limit = TABLE_LIMIT;
	guest->sregs.cr0 = CR0_PE | 0x10;
	guest->sregs.cr4 = guest->sregs.cr3 = guest->sregs.efer = 0;
}

static void run_interrupt_return(struct guest *guest, const struct interrupt_return *test)
{
	const uint32_t frame[3] = { CODE - CODE_BASE + sizeof test->code, CODE_SELECTOR, (uint32_t)test->flags };
	struct kvm_sregs saved = guest->sregs;
	struct kvm_regs regs = { .rip = CODE - CODE_BASE, .rsp = STACK, .rflags = test->before };
	struct kvm_sregs sregs;

	enter_protected_mode(guest, test->stack_base, true);
	put_code(guest, test->code, sizeof test->code);
	memset(ram(guest, STACK), 0, sizeof frame);
	for (unsigned i = 0; i < 3; i++)
		memcpy(ram(guest, test->stack_base + STACK + i * test->size), &frame[i], test->size);
	set_vcpu(guest, 0, &regs, NULL);
	run(guest, 1, test->what);
	kvm_ioctl(first(guest)->fd, KVM_GET_REGS, &regs);
	kvm_ioctl(first(guest)->fd, KVM_GET_SREGS, &sregs);
	guest->sregs = saved;
	g_assert_cmphex(regs.rsp, ==, STACK + 3 * test->size);
	g_assert_cmphex(regs.rflags, ==, test->after);
	g_assert_cmphex(sregs.cs.selector, ==, CODE_SELECTOR);
}

static void run_frames(struct guest *guest)
{
	for (size_t i = 0; i < G_N_ELEMENTS(interrupt_returns); i++)
		run_interrupt_return(guest, &interrupt_returns[i]);
}

struct interrupt {
	const char *what;
	uint32_t stack_base;
	bool wide; /* all of ESP counts */
	bool hardware;
};

static const struct interrupt interrupts[] = {
	{ "an interrupt", 0, true, true },
	{ "an interrupt on a stack with a base", STACK_BASE, true, true },
	{ "an interrupt on a stack of 16 bits", 0, false, true },
	{ "an interrupt on a stack of 16 bits with a base", STACK_BASE, false, true },
	{ "int n", 0, true, false },
	{ "int n on a stack with a base", STACK_BASE, true, false },
};

static void put_handlers(struct guest *guest)
{
	/* inc %edx; iret */
	static const uint8_t handler[] = { 0x42, 0xCF };
	/* mov $WRONG_MARK, %edx; out %al, $GUEST_PORT; jmp . */
	static const uint8_t wrong[] = {
		0xBA, WRONG_MARK & 0xFF, WRONG_MARK >> 8, 0, 0, 0xE6, GUEST_PORT, 0xEB, 0xFE,
	};

	memcpy(ram(guest, HANDLER), handler, sizeof handler);
	memcpy(ram(guest, WRONG), wrong, sizeof wrong);
	put64(guest, IDT + VECTOR * 8, (HANDLER - CODE_BASE) | CODE_SELECTOR << 16 | 0x8E00ull << 32);
}

/* The stack holds a frame that leads astray unless the interrupt's own is found; then software puts one there. */
static void run_interrupt(struct guest *guest, const struct interrupt *test)
{
	/* int $VECTOR or nops; pushf; push %cs; push $(the end); iret */
	const uint32_t next = CODE - CODE_BASE + 10;
	const uint8_t code[10] = {
		test->hardware ? 0x90 : 0xCD, test->hardware ? 0x90 : VECTOR, 0x9C, 0x0E, 0x68,
		next & 0xFF, next >> 8 & 0xFF, next >> 16 & 0xFF, next >> 24, 0xCF,
	};
	const uint32_t astray[3] = { WRONG - CODE_BASE, CODE_SELECTOR, 2 };
	const uint64_t flags = 0x202;
	uint64_t stack = test->stack_base + (test->wide ? STACK : (uint16_t)STACK);
	struct kvm_vcpu_events events = { .interrupt = { .injected = test->hardware, .nr = VECTOR } };
	struct kvm_sregs saved = guest->sregs;
	struct kvm_regs regs = { .rip = CODE - CODE_BASE, .rsp = STACK, .rflags = flags };

	enter_protected_mode(guest, test->stack_base, test->wide);
	put_code(guest, code, sizeof code);
	put_handlers(guest);
	memcpy(ram(guest, stack - sizeof astray), astray, sizeof astray);
	set_vcpu(guest, 0, &regs, NULL);
	g_assert_cmpint(kvm_ioctl(first(guest)->fd, KVM_SET_VCPU_EVENTS, &events), ==, 0);
	run(guest, 1, test->what);
	kvm_ioctl(first(guest)->fd, KVM_GET_REGS, &regs);
	guest->sregs = saved;
	g_test_message("%s: handled %" G_GINT64_MODIFIER "x", test->what, (uint64_t)regs.rdx);
	g_assert_cmphex(regs.rdx, ==, 1);
	g_assert_cmphex(regs.rsp, ==, STACK);
	g_assert_cmphex(regs.rflags & ~RFLAGS_ARITHMETIC, ==, flags);
}

static void run_interrupts(struct guest *guest)
{
	for (size_t i = 0; i < G_N_ELEMENTS(interrupts); i++)
		run_interrupt(guest, &interrupts[i]);
}

struct outer_return {
	const char *what;
	uint32_t cs, ss;
	bool fails; /* with #GP and this error code */
	uint32_t error;
};

static const struct outer_return outer_returns[] = {
	{ "to ring 3", OUTER_CODE, OUTER_STACK },
	{ "to ring 3 on no stack", OUTER_CODE, 3, true, 0 },
	{ "to ring 3 on ring 0's stack", OUTER_CODE, DATA_SELECTOR | 3, true, DATA_SELECTOR },
	{ "to ring 3 on a stack of another level", OUTER_CODE, OUTER_STACK & ~1u, true, OUTER_STACK & ~3u },
	{ "to ring 3 on code", OUTER_CODE, OUTER_CODE, true, OUTER_CODE & ~3u },
	{ "to ring 0's code in ring 3", CODE_SELECTOR | 3, OUTER_STACK, true, CODE_SELECTOR },
	{ "beyond the table", TABLE_LIMIT + 1 + 3, OUTER_STACK, true, TABLE_LIMIT + 1 },
};

static void put_exception_handler(struct guest *guest)
{
	/* pop %edx, the error code; out %al, $GUEST_PORT; jmp . */
	static const uint8_t handler[] = { 0x5A, 0xE6, GUEST_PORT, 0xEB, 0xFE };

	memcpy(ram(guest, HANDLER), handler, sizeof handler);
	put64(guest, IDT + GENERAL_PROTECTION * 8, (HANDLER - CODE_BASE) | CODE_SELECTOR << 16 | 0x8E00ull << 32);
}

static void run_outer_return(struct guest *guest, const struct outer_return *test)
{
	static const uint8_t code[] = { 0xCF };
	/* With IOPL 3, so that the code can tell that it is done. */
	const uint32_t frame[5] = { CODE - CODE_BASE + sizeof code, test->cs, 0x3002, OUTER_POINTER, test->ss };
	struct kvm_sregs saved = guest->sregs, sregs;
	struct kvm_regs regs = { .rip = CODE - CODE_BASE, .rsp = STACK, .rflags = 2 };

	enter_protected_mode(guest, 0, true);
	put_code(guest, code, sizeof code);
	put_exception_handler(guest);
	memcpy(ram(guest, STACK), frame, sizeof frame);
	set_vcpu(guest, 0, &regs, NULL);
	run(guest, 1, test->what);
	kvm_ioctl(first(guest)->fd, KVM_GET_REGS, &regs);
	kvm_ioctl(first(guest)->fd, KVM_GET_SREGS, &sregs);
	guest->sregs = saved;
	g_test_message("%s: error %" G_GINT64_MODIFIER "x", test->what, (uint64_t)regs.rdx);
	if (test->fails) {
		g_assert_cmphex(sregs.cs.selector, ==, CODE_SELECTOR);
		g_assert_cmphex(regs.rdx, ==, test->error);
		g_assert_cmphex(regs.rsp, ==, STACK - sizeof(uint32_t[3]));
		return;
	}
	g_assert_cmphex(sregs.cs.selector, ==, OUTER_CODE);
	g_assert_cmpuint(sregs.cs.dpl, ==, 3);
	g_assert_cmphex(sregs.ss.selector, ==, OUTER_STACK);
	g_assert_cmpuint(sregs.ss.dpl, ==, 3);
	g_assert_cmphex(regs.rsp, ==, OUTER_POINTER);
	g_assert_cmphex(regs.rflags, ==, 0x3002);
	/* Ring 0's, which ring 3 may not use. */
	g_assert_cmphex(sregs.ds.selector, ==, 0);
	g_assert_true(sregs.ds.unusable);
}

static void run_outer_level(struct guest *guest)
{
	for (size_t i = 0; i < G_N_ELEMENTS(outer_returns); i++)
		run_outer_return(guest, &outer_returns[i]);
}

struct cases {
	const char *path;
	void (*run)(struct guest *guest);
};

static void run_cases(gconstpointer data)
{
	const struct cases *cases = data;
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(1);
	g_mutex_lock(&guest->vm.lock);
	cases->run(guest);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	static const struct cases all[] = {
		{ "/interrupt-return/frames", run_frames },
		{ "/interrupt-return/interrupts", run_interrupts },
		{ "/interrupt-return/outer-level", run_outer_level },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		g_test_add_data_func(all[i].path, &all[i], run_cases);
	return g_test_run();
}
