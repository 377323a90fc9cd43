#include "native.h"

#include <cpuid.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "control_bits.h"
#include "processor.h"

/*
 * The runner's memory: a page of code, which is a copy of the template below with the instruction put in its slot; at
 * fixed distances from it the context, the vector state, and the bounce pages between guards. The code page is
 * mapped twice, writable elsewhere.
 */
#define CONTEXT_OFFSET 4096
#define INITIAL_OFFSET 5120 /* an XSAVE image that resets all components */
#define IMAGE_OFFSET 8192
#define IMAGE_MAX (4 * NATIVE_PAGE)
#define BOUNCE_OFFSET (IMAGE_OFFSET + IMAGE_MAX + NATIVE_PAGE)
#define AREA_SIZE (BOUNCE_OFFSET + 3 * NATIVE_PAGE)
#define SLOT_SIZE 32
#define NOP 0x90
#define MXCSR_OFFSET 24
#define MXCSR_DEFAULT 0x1F80

struct context {
	uint64_t host_rsp;  /* 0 */
	uint64_t rsp;       /* 8 */
	uint64_t flags;     /* 16 */
	uint64_t vector;    /* 24 */
	uint64_t mask;      /* 32 */
	uint64_t own_stack; /* 40: the instruction does not name RSP, so the host's stays */
	uint64_t gpr[16];   /* 48: in the order in which instructions number them */
};

_Static_assert(offsetof(struct context, gpr) == 48, "the template below knows the layout");
_Static_assert(sizeof(struct context) <= INITIAL_OFFSET - CONTEXT_OFFSET, "context and initial image overlap");

struct native {
	uint8_t *area;
	uint8_t *code; /* the code page, writable */
	struct context *context;
	size_t image_size;
	uint64_t host_components; /* of XCR0, without what a VMM's thread must not touch */
	struct native_fault fault;
	bool faulted;
	void *signal_stack;
	size_t signal_stack_size;
	pthread_t owner; /* the thread that last made sure of a stack */
	bool owned;
};

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define FIELD(offset) "(native_template_begin + " STRING(CONTEXT_OFFSET) " + " STRING(offset) ")(%rip)"
#define LOAD(register, number) "movq " FIELD(48 + 8 * number) ", %" register "\n"
#define STORE(register, number) "movq %" register ", " FIELD(48 + 8 * number) "\n"

/*
 * IRETQ enters the slot: it loads flags and stack pointer with RIP, and it is serializing, which code written through
 * another address needs (SDM volume 3, 8.1.3). After the slot nothing changes a register before it is stored.
 */
__asm__(".pushsection .text\n"
	".globl native_template_begin, native_template_slot, native_template_exit, native_template_end\n"
	".hidden native_template_begin, native_template_slot, native_template_exit, native_template_end\n"
	"native_template_begin:\n"
	"pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
	"subq $8, %rsp\n"
	"stmxcsr (%rsp)\n"
	"fnstcw 4(%rsp)\n"
	"movq %rsp, " FIELD(0) "\n"
	"cmpq $0, " FIELD(24) "\n"
	"je 1f\n"
	"movl " FIELD(32) ", %eax\n"
	"movl " FIELD(36) ", %edx\n"
	"xrstor64 (native_template_begin + " STRING(IMAGE_OFFSET) ")(%rip)\n"
	"1:\n"
	"movq %rsp, %rbx\n"
	"cmpq $0, " FIELD(40) "\n"
	"jne 2f\n"
	"movq " FIELD(8) ", %rbx\n"
	"2:\n"
	"movl %ss, %eax\n pushq %rax\n"
	"pushq %rbx\n"
	"pushq " FIELD(16) "\n"
	"movl %cs, %eax\n pushq %rax\n"
	"leaq native_template_slot(%rip), %rax\n pushq %rax\n"
	LOAD("rax", 0) LOAD("rcx", 1) LOAD("rdx", 2) LOAD("rbx", 3) LOAD("rbp", 5) LOAD("rsi", 6) LOAD("rdi", 7)
	LOAD("r8", 8) LOAD("r9", 9) LOAD("r10", 10) LOAD("r11", 11) LOAD("r12", 12) LOAD("r13", 13) LOAD("r14", 14)
	LOAD("r15", 15)
	"iretq\n"
	"native_template_slot:\n"
	".fill " STRING(SLOT_SIZE) ", 1, " STRING(NOP) "\n"
	"native_template_exit:\n"
	"movq %rsp, " FIELD(8) "\n"
	"movq " FIELD(0) ", %rsp\n"
	STORE("rax", 0) STORE("rcx", 1) STORE("rdx", 2) STORE("rbx", 3) STORE("rbp", 5) STORE("rsi", 6)
	STORE("rdi", 7) STORE("r8", 8) STORE("r9", 9) STORE("r10", 10) STORE("r11", 11) STORE("r12", 12)
	STORE("r13", 13)
	STORE("r14", 14) STORE("r15", 15)
	"pushfq\n popq " FIELD(16) "\n"
	"cld\n"
	"cmpq $0, " FIELD(24) "\n"
	"je 3f\n"
	"movl " FIELD(32) ", %eax\n"
	"movl " FIELD(36) ", %edx\n"
	"xsave64 (native_template_begin + " STRING(IMAGE_OFFSET) ")(%rip)\n"
	"xrstor64 (native_template_begin + " STRING(INITIAL_OFFSET) ")(%rip)\n"
	"ldmxcsr (%rsp)\n"
	"fldcw 4(%rsp)\n"
	"3:\n"
	"addq $8, %rsp\n"
	"popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbp\n popq %rbx\n"
	"ret\n"
	"native_template_end:\n"
	".popsection\n");

extern const uint8_t native_template_begin[], native_template_slot[], native_template_exit[], native_template_end[];

/* Faults come as signals, which belong to the process: what was installed before, and who runs an instruction now. */
static const int fault_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
static struct sigaction previous_actions[NSIG];
static _Thread_local struct native *volatile running;

static uint8_t *slot_address(const struct native *native)
{
	return native->area + (native_template_slot - native_template_begin);
}

static void pass_on(int signal, siginfo_t *info, void *opaque)
{
	const struct sigaction *previous = &previous_actions[signal];

	if (previous->sa_flags & SA_SIGINFO)
		previous->sa_sigaction(signal, info, opaque);
	else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN)
		previous->sa_handler(signal);
	else
		sigaction(signal, previous, NULL); /* the fault happens again and ends the process */
}

static void on_fault(int signal, siginfo_t *info, void *opaque)
{
	struct native *native = running;
	ucontext_t *context = opaque;
	greg_t *registers = context->uc_mcontext.gregs;
	uint64_t rip = (uint64_t)registers[REG_RIP];

	if (!native || rip < (uintptr_t)slot_address(native) || rip >= (uintptr_t)slot_address(native) + SLOT_SIZE) {
		pass_on(signal, info, opaque);
		return;
	}
	native->fault.signal = signal;
	native->fault.trap = (int)registers[REG_TRAPNO];
	native->fault.address = (uint64_t)registers[REG_CR2];
	native->faulted = true;
	registers[REG_RIP] = (greg_t)(uintptr_t)(native->area + (native_template_exit - native_template_begin));
}

static gpointer install_handlers(gpointer data)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigfillset(&action.sa_mask);
	for (unsigned i = 0; i < G_N_ELEMENTS(fault_signals); i++) {
		sigdelset(&action.sa_mask, fault_signals[i]);
		sigaction(fault_signals[i], &action, &previous_actions[fault_signals[i]]);
	}
	return data;
}

/* XCR0 without the components that must not change under a thread of ours: protection keys, and AMX's tiles. */
static uint64_t usable_components(void)
{
	uint32_t low, high;

	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);
}

static bool map_area(struct native *native)
{
	int fd = memfd_create("instruction", MFD_CLOEXEC);
	uint8_t *area, *code = MAP_FAILED;
	bool ok;

	area = mmap(NULL, AREA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	native->area = area == MAP_FAILED ? NULL : area;
	ok = native->area && fd >= 0 && ftruncate(fd, NATIVE_PAGE) == 0 &&
	     mmap(area, NATIVE_PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED &&
	     mprotect(area + CONTEXT_OFFSET, IMAGE_OFFSET + IMAGE_MAX - CONTEXT_OFFSET,
		      PROT_READ | PROT_WRITE) == 0 &&
	     mprotect(area + BOUNCE_OFFSET, 2 * NATIVE_PAGE, PROT_READ | PROT_WRITE) == 0;
	if (ok)
		code = mmap(NULL, NATIVE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	native->code = code == MAP_FAILED ? NULL : code;
	if (fd >= 0)
		close(fd);
	return native->code != NULL;
}

struct native *native_new(void)
{
	static GOnce once = G_ONCE_INIT;
	struct native *native;
	unsigned eax, ebx, ecx, edx;
	uint32_t mxcsr = MXCSR_DEFAULT;

	/* The CPU must have XSAVE, and the kernel must use it. */
	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & bit_OSXSAVE))
		return NULL;
	__cpuid_count(0xD, 0, eax, ebx, ecx, edx);
	native = g_new0(struct native, 1);
	native->image_size = ecx;
	if (native->image_size > IMAGE_MAX || !map_area(native)) {
		native_free(native);
		return NULL;
	}
	native->context = (struct context *)(native->area + CONTEXT_OFFSET);
	native->host_components = usable_components();
	memcpy(native->area + INITIAL_OFFSET + MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
	memcpy(native->code, native_template_begin, native_template_end - native_template_begin);
	native->signal_stack_size = getauxval(AT_MINSIGSTKSZ) + 64 * 1024;
	native->signal_stack = g_malloc(native->signal_stack_size);
	g_once(&once, install_handlers, NULL);
	return native;
}

void native_free(struct native *native)
{
	stack_t off = { .ss_flags = SS_DISABLE }, current;

	if (!native)
		return;
	if (sigaltstack(NULL, &current) == 0 && current.ss_sp == native->signal_stack)
		sigaltstack(&off, NULL);
	if (native->code)
		munmap(native->code, NATIVE_PAGE);
	if (native->area)
		munmap(native->area, AREA_SIZE);
	g_free(native->signal_stack);
	g_free(native);
}

uint8_t *native_image(struct native *native)
{
	return native->area + IMAGE_OFFSET;
}

size_t native_image_size(const struct native *native)
{
	return native->image_size;
}

uint8_t *native_bounce(struct native *native)
{
	return native->area + BOUNCE_OFFSET;
}

bool native_owns(const struct native *native, uint64_t address)
{
	return address - (uintptr_t)native->area < NATIVE_PAGE;
}

/* A fault while RSP is the guest's must not push its frame there. */
static void take_signal_stack(struct native *native)
{
	stack_t stack = { .ss_sp = native->signal_stack, .ss_size = native->signal_stack_size }, old;

	if (native->owned && pthread_equal(native->owner, pthread_self()))
		return;
	native->owner = pthread_self();
	native->owned = true;
	/* A thread may have one already, from a sanitizer for example. */
	if (sigaltstack(NULL, &old) < 0 || old.ss_flags & SS_DISABLE)
		sigaltstack(&stack, NULL);
}

static void enter(struct native *native)
{
	void (*function)(void);
	void *code = native->area;

	memcpy(&function, &code, sizeof function);
	running = native;
	function();
	running = NULL;
}

/* While RSP is the guest's no handler may run on it: only the four that have a stack of their own stay open. */
static void enter_without_stack(struct native *native)
{
	sigset_t all, old;

	sigfillset(&all);
	for (unsigned i = 0; i < G_N_ELEMENTS(fault_signals); i++)
		sigdelset(&all, fault_signals[i]);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	enter(native);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void write_slot(struct native *native, const uint8_t *code, size_t length)
{
	uint8_t *slot = native->code + (native_template_slot - native_template_begin);

	memcpy(slot, code, length);
	memset(slot + length, NOP, SLOT_SIZE - length);
}

bool native_run(struct native *native, const struct native_code *code, struct kvm_regs *regs, const void *pointer,
		bool vector, struct native_fault *fault)
{
	struct context *context = native->context;

	take_signal_stack(native);
	write_slot(native, code->code, code->length);
	for (unsigned i = 0; i < 16; i++)
		context->gpr[i] = *processor_register(regs, i);
	if (code->base >= 0)
		context->gpr[code->base] = (uintptr_t)pointer;
	context->flags = (regs->rflags & RFLAGS_ARITHMETIC) | 0x202;
	context->vector = vector;
	context->mask = native->host_components;
	context->own_stack = !code->stack_pointer;
	context->rsp = regs->rsp;
	native->faulted = false;
	if (code->stack_pointer)
		enter_without_stack(native);
	else
		enter(native);
	if (native->faulted) {
		*fault = native->fault;
		return false;
	}
	for (unsigned i = 0; i < 16; i++) {
		if (i != 4 && (int)i != code->base)
			*processor_register(regs, i) = context->gpr[i];
	}
	if (code->stack_pointer)
		regs->rsp = context->rsp;
	regs->rflags = (regs->rflags & ~RFLAGS_ARITHMETIC) | (context->flags & RFLAGS_ARITHMETIC);
	return true;
}
