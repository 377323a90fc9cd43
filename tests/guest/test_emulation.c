/*
 * The completion of instructions that KVM gives up on, under real KVM: snippets of ring 0 code whose results are
 * compared with those of the same code run in this process, exceptions, and locked operations on two vCPUs. On hosts
 * whose KVM can run all of it natively only the operands in device memory reach the completion; the results must be
 * the same.
 */
#include <cpuid.h>
#include <string.h>
#include <time.h>

#include "../../vmm/emulation/control_bits.h"
#include "emulation_guest.h"
#include "emulation_snippets.h"
#include "judge.h"

#define OPERAND 256 /* bytes that a snippet may change at (%rsi) */
#define BIG_OPERAND 4096
#define MXCSR_AT 120 /* where snippets find a value for it */
#define FLAGS (RFLAGS_ARITHMETIC)

static void random_bytes(GRand *rand, uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)g_rand_int(rand);
}

/* All state in use; the x87 stack is empty and MXCSR masks everything. */
static void random_image(GRand *rand, uint64_t components, uint8_t image[JUDGE_IMAGE])
{
	const uint32_t mxcsr = 0x1F80;
	const uint16_t fcw = 0x37F;

	memset(image, 0, JUDGE_IMAGE);
	memcpy(image, &fcw, sizeof fcw);
	memcpy(image + 24, &mxcsr, sizeof mxcsr);
	random_bytes(rand, image + 160, 256);
	memcpy(image + 512, &components, sizeof components);
	for (unsigned i = 2; i < 8; i++) {
		unsigned size, offset, ecx, edx;

		__cpuid_count(0xD, i, size, offset, ecx, edx);
		if (components >> i & 1)
			random_bytes(rand, image + offset, size);
	}
}

static void random_operand(GRand *rand, uint64_t flags, uint8_t *operand, size_t size)
{
	const uint32_t mxcsr = 0x1FA5;

	random_bytes(rand, operand, size);
	for (size_t i = 0; flags & FP && i + 8 <= size; i += 8) {
		double value = g_rand_double_range(rand, -1e6, 1e6);

		memcpy(operand + i, &value, sizeof value);
	}
	memcpy(operand + MXCSR_AT, &mxcsr, sizeof mxcsr);
	/* A header that XRSTOR accepts, where XSAVE only adds to it. */
	if (flags & BIG)
		memset(operand, 0, size);
}

static void random_regs(GRand *rand, struct kvm_regs *regs)
{
	random_bytes(rand, (uint8_t *)regs, 16 * sizeof(uint64_t));
	regs->rsp = STACK;
	regs->rip = CODE;
	regs->rflags = 2 | (g_rand_int(rand) & FLAGS);
}

/* What the header says is in its initial state counts as that, whatever the image holds. */
static void compare_images(const char *what, uint8_t *image, uint8_t *expected, uint64_t components)
{
	uint8_t *const both[] = { image, expected };

	for (unsigned which = 0; which < 2; which++) {
		uint64_t in_use;

		memcpy(&in_use, both[which] + 512, sizeof in_use);
		/* The opcode and the addresses of the last x87 instruction; then what is software's. */
		memset(both[which] + 6, 0, 18);
		memset(both[which] + 28, 0, 4);
		memset(both[which] + 416, 0, 96);
		if (!(in_use & XCR0_X87)) {
			memset(both[which], 0, 24);
			memset(both[which] + 32, 0, 128);
			both[which][0] = 0x7F;
			both[which][1] = 3;
		}
		if (!(in_use & XCR0_SSE))
			memset(both[which] + 160, 0, 256);
		for (unsigned i = 2; i < 8; i++) {
			unsigned size, offset, ecx, edx;

			__cpuid_count(0xD, i, size, offset, ecx, edx);
			if (components >> i & 1 && !(in_use >> i & 1))
				memset(both[which] + offset, 0, size);
		}
		memset(both[which] + 512, 0, 64);
	}
	for (unsigned i = 0; i < JUDGE_IMAGE; i++) {
		if (image[i] != expected[i])
			g_error("%s: byte %u of the vector state is %02x, not %02x", what, i, image[i], expected[i]);
	}
}

static void compare_regs(const char *what, const struct kvm_regs *regs, const struct kvm_regs *expected)
{
	const uint64_t *got = (const uint64_t *)regs, *want = (const uint64_t *)expected;

	for (unsigned i = 0; i < 16; i++) {
		if (i != 4 && got[i] != want[i])
			g_error("%s: register %u is %" G_GINT64_MODIFIER "x, not %" G_GINT64_MODIFIER "x", what, i,
				got[i], want[i]);
	}
	if ((regs->rflags ^ expected->rflags) & FLAGS)
		g_error("%s: flags are %llx, not %llx", what, regs->rflags, expected->rflags);
}

enum place {
	PLACE_RAM,
	PLACE_CROSSING,
	PLACE_DEVICE,
	PLACE_USER_DEVICE, /* the same at CPL 3 */
	PLACES,
};

static const char *const place_names[] = { "in RAM", "across pages", "in a device", "in a device, CPL 3" };

/* Ring 3, where IOPL lets the code say that it is done. */
static void make_user(struct guest *guest, struct kvm_regs *regs)
{
	guest->sregs.cs.selector = 0x1B;
	guest->sregs.ss.selector = 0x23;
	guest->sregs.cs.dpl = guest->sregs.ss.dpl = 3;
	regs->rflags |= 3 << 12;
}

static void run_snippet(struct guest *guest, GRand *rand, const struct snippet *snippet, enum place place)
{
	size_t size = snippet->end - snippet->code, length = snippet->flags & BIG ? BIG_OPERAND : OPERAND;
	g_autofree char *what = g_strdup_printf("%s %s", snippet->text, place_names[place]);
	g_autofree uint8_t *pages = g_malloc(4 * 4096), *operand = g_malloc(length);
	uint8_t image[JUDGE_IMAGE] __attribute__((aligned(64))), expected[JUDGE_IMAGE] __attribute__((aligned(64)));
	uint64_t offset = place == PLACE_CROSSING ? 0xFFD : 0x40, in_guest;
	uint8_t *native = (uint8_t *)(((uintptr_t)pages + 4095) & ~4095ull) + offset, *memory;
	struct kvm_regs regs = { 0 }, native_regs;
	struct kvm_sregs saved = guest->sregs;

	in_guest = place >= PLACE_DEVICE ? DEVICE_LINEAR + offset : BUFFER + offset;
	memory = place >= PLACE_DEVICE ? guest->registers + offset : ram(guest, BUFFER + offset);
	random_regs(rand, &regs);
	random_image(rand, guest->components, image);
	random_operand(rand, snippet->flags, operand, length);
	memcpy(expected, image, sizeof expected);
	memcpy(native, operand, length);
	memcpy(memory, operand, length);

	native_regs = regs;
	native_regs.rsi = (uintptr_t)native;
	judge_run(snippet->code, size, &native_regs, expected, guest->components);

	regs.rsi = in_guest;
	put_code(guest, snippet->code, size);
	if (place == PLACE_USER_DEVICE)
		make_user(guest, &regs);
	set_vcpu(guest, 0, &regs, image);
	run(guest, 1, what);
	guest->sregs = saved;
	if (record(guest)->taken)
		g_error("%s: exception %" G_GINT64_MODIFIER "u at %" G_GINT64_MODIFIER "x, error %" G_GINT64_MODIFIER
			"x, CR2 %" G_GINT64_MODIFIER "x", what, record(guest)->vector, record(guest)->rip,
			record(guest)->error, record(guest)->cr2);
	kvm_ioctl(first(guest)->fd, KVM_GET_REGS, &regs);
	kvm_ioctl(first(guest)->fd, KVM_GET_XSAVE, image);
	compare_regs(what, &regs, &native_regs);
	compare_images(what, image, expected, guest->components);
	if (memcmp(memory, native, length))
		for (size_t i = 0; i < length; i++)
			if (memory[i] != native[i])
				g_error("%s: byte %zu of the operand is %02x, not %02x", what, i, memory[i],
					native[i]);
}

static bool guest_has_movbe(const struct guest *guest)
{
	for (uint32_t i = 0; i < guest->kvm.cpuid->nent; i++) {
		if (guest->kvm.cpuid->entries[i].function == 1)
			return guest->kvm.cpuid->entries[i].ecx & bit_MOVBE;
	}
	return false;
}

static bool cpu_has(const struct guest *guest, uint64_t flags)
{
	unsigned eax, ebx = 0, ecx = 0, edx;

	if (flags & AVX && !(guest->components & XCR0_AVX))
		return false;
	if (flags & MOVBE && !guest_has_movbe(guest))
		return false;
	if (flags & AVX512 && !(guest->components & XCR0_AVX512))
		return false;
	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
	if (flags & SHA && !(ebx & bit_SHA))
		return false;
	__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx);
	return !(flags & SSE4A) || ecx & bit_SSE4a;
}

static void test_snippets(void)
{
	GRand *rand = g_rand_new_with_seed(1);
	struct guest *guest;
	unsigned count = 0;

	if (!have_kvm())
		return;
	guest = guest_new(1);
	g_mutex_lock(&guest->vm.lock);
	for (const struct snippet *snippet = guest_snippets; snippet->text; snippet++) {
		if (!cpu_has(guest, snippet->flags))
			continue;
		for (enum place place = PLACE_RAM; place < PLACES; place++) {
			if ((place == PLACE_CROSSING && !(snippet->flags & ANY)) ||
			    (place != PLACE_RAM && snippet->flags & BIG))
				continue;
			run_snippet(guest, rand, snippet, place);
			count++;
		}
	}
	g_test_message("%u snippets, %" G_GUINT64_FORMAT " instructions completed", count,
		       first(guest)->completed_instructions);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
	g_rand_free(rand);
}

struct fault {
	const char *what;
	uint8_t code[16];
	uint8_t size;
	uint64_t rsi;
	uint64_t cr0, cr4; /* bits set on top, bits taken away */
	uint64_t rflags;
	unsigned vector;
	uint64_t error;
	uint8_t rip; /* from CODE */
	uint64_t cr2;
};

static const struct fault faults[] = {
	{ "popcnt, page not present", { 0xF3, 0x0F, 0xB8, 0x06 }, 4, NOT_PRESENT + 8, .vector = 14,
	  .cr2 = NOT_PRESENT + 8 },
	{ "paddd, page not present", { 0x66, 0x0F, 0xFE, 0x1E }, 4, NOT_PRESENT + 16, .vector = 14,
	  .cr2 = NOT_PRESENT + 16 },
	{ "popcnt reaching a page not present", { 0xF3, 0x48, 0x0F, 0xB8, 0x06 }, 5, NOT_PRESENT - 3, .vector = 14,
	  .cr2 = NOT_PRESENT },
	{ "movnti, page not present", { 0x48, 0x0F, 0xC3, 0x16 }, 4, NOT_PRESENT, .vector = 14, .error = 2,
	  .cr2 = NOT_PRESENT },
	{ "movnti, read-only page", { 0x48, 0x0F, 0xC3, 0x16 }, 4, READ_ONLY, .vector = 14, .error = 3,
	  .cr2 = READ_ONLY },
	{ "fnstcw, read-only page", { 0xD9, 0x3E }, 2, READ_ONLY, .vector = 14, .error = 3, .cr2 = READ_ONLY },
	{ "cmpxchg16b, read-only page", { 0xF0, 0x48, 0x0F, 0xC7, 0x0E }, 5, READ_ONLY, .vector = 14, .error = 3,
	  .cr2 = READ_ONLY },
	{ "popcnt, address not canonical", { 0xF3, 0x0F, 0xB8, 0x06 }, 4, 0x800000000000, .vector = 13 },
	{ "paddd, misaligned", { 0x66, 0x0F, 0xFE, 0x1E }, 4, BUFFER + 8, .vector = 13 },
	{ "cmpxchg16b, misaligned", { 0xF0, 0x48, 0x0F, 0xC7, 0x0E }, 5, BUFFER + 8, .vector = 13 },
	{ "xsave, misaligned", { 0x0F, 0xAE, 0x26 }, 3, BUFFER + 32, .vector = 13 },
	{ "fldcw with CR0.TS", { 0xD9, 0x2E }, 2, BUFFER, CR0_TS, .vector = 7 },
	{ "pxor with CR0.TS", { 0x66, 0x0F, 0xEF, 0xC9 }, 4, BUFFER, CR0_TS, .vector = 7 },
	{ "xsave with CR0.TS", { 0x0F, 0xAE, 0x26 }, 3, BUFFER, CR0_TS, .vector = 7 },
	{ "vpxor without CR4.OSXSAVE", { 0xC5, 0xF1, 0xEF, 0xC9 }, 4, BUFFER, 0, CR4_OSXSAVE, .vector = 6 },
	{ "pxor without CR4.OSFXSR", { 0x66, 0x0F, 0xEF, 0xC9 }, 4, BUFFER, 0, CR4_OSFXSR, .vector = 6 },
	{ "locked popcnt", { 0xF0, 0xF3, 0x0F, 0xB8, 0x06 }, 5, BUFFER, .vector = 6 },
	{ "ud2", { 0x0F, 0x0B }, 2, .vector = 6 },
	{ "int3", { 0xCC }, 1, .vector = 3, .rip = 1 },
	{ "int 0x41", { 0xCD, 0x41 }, 2, .vector = 0x41, .rip = 2 },
	{ "int 0xFF beyond the IDT", { 0xCD, 0xFF }, 2, .vector = 13, .error = 0xFF * 8 + 2 },
	{ "popcnt, single step", { 0xF3, 0x0F, 0xB8, 0xC1 }, 4, .rflags = RFLAGS_TF, .vector = 1, .rip = 4 },
	{ "pxor, single step", { 0x66, 0x0F, 0xEF, 0xC9 }, 4, .rflags = RFLAGS_TF, .vector = 1, .rip = 4 },
};

static void run_fault(struct guest *guest, const struct fault *fault)
{
	struct kvm_sregs saved = guest->sregs;
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rsi = fault->rsi, .rflags = 2 | fault->rflags };
	const struct exception_record *got = record(guest);

	guest->sregs.cr0 |= fault->cr0;
	guest->sregs.cr4 &= ~fault->cr4;
	put_code(guest, fault->code, fault->size);
	set_vcpu(guest, 0, &regs, NULL);
	run(guest, 1, fault->what);
	guest->sregs = saved;
	g_test_message("%s: vector %" G_GINT64_MODIFIER "u", fault->what, got->vector);
	g_assert_cmpuint(got->taken, ==, 1);
	g_assert_cmpuint(got->vector, ==, fault->vector);
	g_assert_cmphex(got->error, ==, fault->error);
	g_assert_cmphex(got->rip, ==, CODE + fault->rip);
	if (fault->vector == 14)
		g_assert_cmphex(got->cr2, ==, fault->cr2);
	if (fault->vector == 1)
		g_assert_cmphex(got->dr6 & 0x4000, ==, 0x4000);
}

static void test_faults(void)
{
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(1);
	g_mutex_lock(&guest->vm.lock);
	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++)
		run_fault(guest, &faults[i]);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

/* Masked parts of an operand are not accessed: they may lie on a page that is not there. */
static void test_masks(void)
{
	/* vmovdqu32 (%rsi), %zmm3{%k1}{z}; vmovdqu32 %zmm3, (%rsi){%k1} */
	static const struct {
		uint8_t code[6];
		bool store;
	} codes[] = {
		{ { 0x62, 0xF1, 0x7E, 0xC9, 0x6F, 0x1E }, false },
		{ { 0x62, 0xF1, 0x7E, 0x49, 0x7F, 0x1E }, true },
	};
	static const struct {
		uint16_t mask;
		uint64_t rsi, cr2;
	} cases[] = {
		{ 0xC000, NOT_PRESENT + 0x1000 - 56, 0 },
		{ 0xE000, NOT_PRESENT + 0x1000 - 56, NOT_PRESENT + 0x1000 - 4 },
		{ 0x0003, NOT_PRESENT + 0x800, NOT_PRESENT + 0x800 },
		{ 0, NOT_PRESENT + 0x800, 0 },
		{ 0x0003, READ_ONLY + 0x1000 - 8, 0 },
		{ 0x0007, READ_ONLY + 0x1000 - 8, NOT_PRESENT },
	};
	uint8_t image[JUDGE_IMAGE] __attribute__((aligned(64)));
	GRand *rand = g_rand_new_with_seed(2);
	unsigned size, offset, ecx, edx;
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(1);
	if (!(guest->components & XCR0_AVX512))
		g_test_message("this CPU has no AVX-512");
	__cpuid_count(0xD, 5, size, offset, ecx, edx);
	g_mutex_lock(&guest->vm.lock);
	for (unsigned i = 0; guest->components & XCR0_AVX512 && i < 2 * G_N_ELEMENTS(cases); i++) {
		bool store = codes[i % 2].store, read_only = cases[i / 2].rsi < NOT_PRESENT;
		struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rsi = cases[i / 2].rsi, .rflags = 2 };
		const struct exception_record *got = record(guest);
		uint64_t k1 = cases[i / 2].mask, tail = 0x32000;

		if (store && read_only)
			continue;
		random_image(rand, guest->components, image);
		memcpy(image + offset + 8, &k1, sizeof k1);
		put64(guest, tail, 0x5555555555555555);
		put_code(guest, codes[i % 2].code, sizeof codes[i % 2].code);
		set_vcpu(guest, 0, &regs, image);
		run(guest, 1, "masked access");
		g_assert_cmpuint(got->taken, ==, cases[i / 2].cr2 != 0);
		if (got->taken) {
			g_assert_cmpuint(got->vector, ==, 14);
			g_assert_cmphex(got->error, ==, store ? 2 : 0);
			g_assert_cmphex(got->cr2, ==, cases[i / 2].cr2);
		} else if (k1 == 0xC000 && store) {
			/* Elements 14 and 15 of ZMM3, which are in the upper half. */
			__cpuid_count(0xD, 6, size, offset, ecx, edx);
			g_assert_cmpmem(ram(guest, tail), 8, image + offset + 3 * 32 + 24, 8);
			__cpuid_count(0xD, 5, size, offset, ecx, edx);
		}
	}
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
	g_rand_free(rand);
}

/* Stores into a slot are in its dirty log; stores into a read-only one reach the bus, loads do not. */
static void test_slots(void)
{
	/* movups (%rsi), %xmm1; paddd (%rsi), %xmm1; movntps %xmm1, (%rsi) */
	static const uint8_t code[] = { 0x0F, 0x10, 0x0E, 0x66, 0x0F, 0xFE, 0x0E, 0x0F, 0x2B, 0x0E };
	static const uint32_t number[4] = { 1, 2, 3, 4 }, twice[4] = { 2, 4, 6, 8 };
	static uint8_t video[8 * 4096] __attribute__((aligned(4096))), rom[4096] __attribute__((aligned(4096)));
	struct memory_slot *video_slot, *rom_slot;
	struct bus_region shadow;
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rflags = 2 };
	uint64_t bitmap = 0;
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(1);
	shadow = (struct bus_region){ "shadow", &device_ops, guest, .size = DEVICE_SIZE };
	g_mutex_lock(&guest->vm.lock);
	video_slot = memory_map(&guest->vm.memory, VIDEO, sizeof video, video, MEMORY_LOG_DIRTY);
	rom_slot = memory_map(&guest->vm.memory, ROM, sizeof rom, rom, MEMORY_READONLY);
	bus_map(&guest->vm.mmio, &shadow, ROM);
	memcpy(video + 3 * 4096 + 64, number, sizeof number);
	memcpy(rom + 64, number, sizeof number);
	g_assert_true(memory_sync_dirty(&guest->vm.memory, video_slot, &bitmap));
	regs.rsi = VIDEO_LINEAR + 3 * 4096 + 64;
	put_code(guest, code, sizeof code);
	set_vcpu(guest, 0, &regs, NULL);
	run(guest, 1, "store into a logged slot");
	g_assert_cmpuint(record(guest)->taken, ==, 0);
	g_assert_cmpmem(video + 3 * 4096 + 64, sizeof twice, twice, sizeof twice);
	g_assert_true(memory_sync_dirty(&guest->vm.memory, video_slot, &bitmap));
	g_assert_cmphex(bitmap, ==, 1 << 3);
	g_assert_true(memory_sync_dirty(&guest->vm.memory, video_slot, &bitmap));
	g_assert_cmphex(bitmap, ==, 0);

	regs.rsi = ROM_LINEAR + 64;
	set_vcpu(guest, 0, &regs, NULL);
	run(guest, 1, "store into a read-only slot");
	g_assert_cmpuint(record(guest)->taken, ==, 0);
	g_assert_cmpmem(rom + 64, sizeof number, number, sizeof number);
	g_assert_cmpmem(guest->registers + 64, sizeof twice, twice, sizeof twice);
	bus_unmap(&guest->vm.mmio, &shadow);
	memory_unmap(&guest->vm.memory, video_slot);
	memory_unmap(&guest->vm.memory, rom_slot);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

static void test_locked_on_two_cpus(void)
{
	const uint64_t turns = 3000;
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rsi = BUFFER, .rdi = turns, .rflags = 2 };
	uint64_t value[2];
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(2);
	g_mutex_lock(&guest->vm.lock);
	put64(guest, BUFFER, UINT64_MAX - turns);
	put_code(guest, guest_count, guest_count_end - guest_count);
	set_vcpu(guest, 0, &regs, NULL);
	regs.rsp -= 0x800;
	set_vcpu(guest, 1, &regs, NULL);
	run(guest, 2, "two CPUs");
	memcpy(value, ram(guest, BUFFER), sizeof value);
	g_assert_cmpuint(record(guest)->taken, ==, 0);
	g_assert_cmpuint(value[0], ==, turns - 1);
	g_assert_cmpuint(value[1], ==, 1);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

/* LAR, LSL, VERR and VERW on the guest's own table, which the test process does not have. */
static void test_selectors(void)
{
	/* lar %edi, %eax; setz %bl; lsl %edi, %ecx; verr %di; setz %bh; verw %di; setz %dl */
	static const uint8_t code[] = {
		0x0F, 0x02, 0xC7, 0x0F, 0x94, 0xC3, 0x0F, 0x03, 0xCF, 0x0F, 0x00, 0xE7, 0x0F, 0x94, 0xC7, 0x0F, 0x00,
		0xEF, 0x0F, 0x94, 0xC2,
	};
	static const struct {
		uint64_t selector, rights, limit, lar_verr, verw;
	} cases[] = {
		{ 8, 0x00AF9B00, 0xFFFFFFFF, 0x101, 0 },
		{ 16, 0x00CF9300, 0xFFFFFFFF, 0x101, 1 },
		{ 19, 0x5555, 0x5555, 0, 0 }, /* RPL 3 may not */
		{ 0, 0x5555, 0x5555, 0, 0 },
		{ 0x28, 0x5555, 0x5555, 0, 0 }, /* beyond the table */
		{ 0x0C, 0x5555, 0x5555, 0, 0 }, /* no local table */
	};
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(1);
	g_mutex_lock(&guest->vm.lock);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct kvm_regs regs = {
			.rip = CODE, .rsp = STACK, .rflags = 2, .rdi = cases[i].selector, .rax = 0x5555,
			.rcx = 0x5555,
		};

		put_code(guest, code, sizeof code);
		set_vcpu(guest, 0, &regs, NULL);
		run(guest, 1, "selectors");
		kvm_ioctl(first(guest)->fd, KVM_GET_REGS, &regs);
		g_assert_cmpuint(record(guest)->taken, ==, 0);
		g_assert_cmphex(regs.rax, ==, cases[i].rights);
		g_assert_cmphex(regs.rcx, ==, cases[i].limit);
		g_assert_cmphex(regs.rbx, ==, cases[i].lar_verr);
		g_assert_cmphex(regs.rdx, ==, cases[i].verw);
	}
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

/* What the vCPU's thread has used, in us: other load on the host does not count. */
static double cpu_time(struct guest *guest)
{
	struct timespec time;
	clockid_t clock;

	g_assert_cmpint(pthread_getcpuclockid(first(guest)->pthread, &clock), ==, 0);
	clock_gettime(clock, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* With -m perf: what one completion costs, exit included, in a loop that otherwise KVM runs. */
static void test_costs(void)
{
	static const struct {
		const char *what;
		uint8_t code[16];
		unsigned size, completions;
	} loops[] = {
		/* ...; dec %rdi; jnz back */
		{ "popcnt (%rsi), %eax", { 0xF3, 0x0F, 0xB8, 0x06, 0x48, 0xFF, 0xCF, 0x75, 0xF7 }, 9, 1 },
		{ "paddd (%rsi), %xmm3", { 0x66, 0x0F, 0xFE, 0x1E, 0x48, 0xFF, 0xCF, 0x75, 0xF7 }, 9, 1 },
		{ "paddd twice", { 0x66, 0x0F, 0xFE, 0x1E, 0x66, 0x0F, 0xFE, 0x1E, 0x48, 0xFF, 0xCF, 0x75, 0xF3 }, 13,
		  2 },
		{ "stac, clac", { 0x0F, 0x01, 0xCB, 0x0F, 0x01, 0xCA, 0x48, 0xFF, 0xCF, 0x75, 0xF5 }, 11, 2 },
		{ "none (add %al, (%rsi))", { 0x00, 0x06, 0x90, 0x90, 0x48, 0xFF, 0xCF, 0x75, 0xF7 }, 9, 1 },
	};
	const unsigned turns = 20000;
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(1);
	g_mutex_lock(&guest->vm.lock);
	for (size_t i = 0; i < G_N_ELEMENTS(loops); i++) {
		struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rsi = BUFFER, .rdi = turns, .rflags = 2 };
		uint64_t before = first(guest)->completed_instructions;
		double start = cpu_time(guest), each;

		put_code(guest, loops[i].code, loops[i].size);
		set_vcpu(guest, 0, &regs, NULL);
		run(guest, 1, loops[i].what);
		each = (cpu_time(guest) - start) / turns / loops[i].completions;
		g_test_message("%s: %.2f us (%" G_GUINT64_FORMAT " completed)", loops[i].what, each,
			       first(guest)->completed_instructions - before);
	}
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/emulation/snippets", test_snippets);
	g_test_add_func("/emulation/faults", test_faults);
	g_test_add_func("/emulation/masks", test_masks);
	g_test_add_func("/emulation/slots", test_slots);
	g_test_add_func("/emulation/two-cpus", test_locked_on_two_cpus);
	g_test_add_func("/emulation/selectors", test_selectors);
	if (g_test_perf())
		g_test_add_func("/emulation/costs", test_costs);
	return g_test_run();
}
