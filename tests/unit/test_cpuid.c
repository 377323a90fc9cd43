/* The topology that CPUID shows, on made-up Intel and AMD processors. */
#include "../../vmm/cpuid.h"

static const struct kvm_cpuid_entry2 intel[] = {
	{ .function = 0, .eax = 0x1F },
	{ .function = 1, .ebx = 0x00400800, .ecx = 1u << 31, .edx = 1u << 28 },
	{ .function = 4, .index = 0, .flags = 1, .eax = 0x1C004121 },
	{ .function = 4, .index = 1, .flags = 1, .eax = 0x1C004122 },
	{ .function = 4, .index = 2, .flags = 1, .eax = 0x1C004143 },
	{ .function = 4, .index = 3, .flags = 1, .eax = 0x1C03C163 },
	{ .function = 0xB, .index = 0, .flags = 1 },
	{ .function = 0x80000008, .eax = 0x3030 },
};

static const struct kvm_cpuid_entry2 amd[] = {
	{ .function = 0, .eax = 0x10 },
	{ .function = 1, .ebx = 0x00400800 },
	{ .function = 0x80000001 },
	{ .function = 0x80000008, .eax = 0x302B, .ecx = 0x7001 },
	{ .function = 0x8000001D, .index = 0, .flags = 1, .eax = 0x4121 },
	{ .function = 0x8000001D, .index = 1, .flags = 1, .eax = 0x3C163 },
	{ .function = 0x8000001E },
};

static struct kvm_cpuid2 *make(const struct kvm_cpuid_entry2 *entries, unsigned count)
{
	g_autofree struct kvm_cpuid2 *plain = g_malloc0(sizeof *plain + count * sizeof *entries);

	plain->nent = count;
	for (unsigned i = 0; i < count; i++)
		plain->entries[i] = entries[i];
	return cpuid_copy(plain);
}

static unsigned field(uint32_t value, unsigned high, unsigned low)
{
	return value >> low & ((1u << (high - low + 1)) - 1);
}

static void test_intel(void)
{
	for (unsigned count = 1; count <= 9; count++) {
		g_autofree struct kvm_cpuid2 *cpuid = make(intel, G_N_ELEMENTS(intel));
		const struct kvm_cpuid_entry2 *leaf;
		unsigned shift;

		cpuid_set_topology(cpuid, count - 1, count);
		leaf = cpuid_find(cpuid, 1, 0);
		g_assert_cmpuint(field(leaf->ebx, 31, 24), ==, count - 1);
		g_assert_cmpuint(field(leaf->ebx, 23, 16), >=, count);
		g_assert_cmpuint(field(leaf->ebx, 15, 8), ==, 8);
		g_assert_cmpint(leaf->edx >> 28 & 1, ==, count > 1);
		/* Windows 7: cores by leaf 4 and logical processors by leaf 1 must agree. */
		leaf = cpuid_find(cpuid, 4, 0);
		g_assert_cmpuint(field(leaf->eax, 31, 26) + 1, ==, field(cpuid_find(cpuid, 1, 0)->ebx, 23, 16));
		g_assert_cmpuint(field(leaf->eax, 25, 14), ==, 0);
		leaf = cpuid_find(cpuid, 4, 3);
		g_assert_cmpuint(field(leaf->eax, 25, 14) + 1, >=, count);
		/* Leaf 0xB: the identifier, shifted by the core level's width, is the socket's: always 0. */
		leaf = cpuid_find(cpuid, 0xB, 0);
		g_assert_cmpuint(leaf->ebx, ==, 1);
		g_assert_cmpuint(field(leaf->ecx, 15, 8), ==, 1);
		leaf = cpuid_find(cpuid, 0xB, 1);
		shift = field(leaf->eax, 4, 0);
		g_assert_cmpuint(leaf->edx, ==, count - 1);
		g_assert_cmpuint(leaf->edx >> shift, ==, 0);
		g_assert_cmpuint(leaf->ebx, ==, count);
		g_assert_cmpuint(field(leaf->ecx, 15, 8), ==, 2);
		leaf = cpuid_find(cpuid, 0xB, 2);
		g_assert_cmpuint(field(leaf->ecx, 15, 8), ==, 0);
		g_assert_cmpuint(leaf->ebx, ==, 0);
		g_assert_nonnull(cpuid_find(cpuid, 0x1F, 1));
	}
}

static void test_amd(void)
{
	g_autofree struct kvm_cpuid2 *cpuid = make(amd, G_N_ELEMENTS(amd));
	const struct kvm_cpuid_entry2 *leaf;

	cpuid_set_topology(cpuid, 5, 6);
	leaf = cpuid_find(cpuid, 0x80000008, 0);
	g_assert_cmpuint(field(leaf->ecx, 7, 0) + 1, ==, 6);
	g_assert_cmpuint(field(leaf->ecx, 15, 12), ==, 3);
	g_assert_true(cpuid_find(cpuid, 0x80000001, 0)->ecx & 2);
	g_assert_cmpuint(field(cpuid_find(cpuid, 0x8000001D, 0)->eax, 25, 14), ==, 0);
	g_assert_cmpuint(field(cpuid_find(cpuid, 0x8000001D, 1)->eax, 25, 14) + 1, ==, 8);
	g_assert_cmpuint(cpuid_find(cpuid, 0x8000001E, 0)->eax, ==, 5);
	g_assert_null(cpuid_find(cpuid, 0x1F, 0));
	g_assert_cmpuint(cpuid_physical_bits(cpuid), ==, 43);
}

static void test_copies_are_apart(void)
{
	g_autofree struct kvm_cpuid2 *first = make(intel, G_N_ELEMENTS(intel));
	g_autofree struct kvm_cpuid2 *second = cpuid_copy(first);

	cpuid_set_topology(second, 1, 2);
	g_assert_cmphex(cpuid_find(first, 1, 0)->ebx, ==, 0x00400800);
	g_assert_cmpuint(first->nent, ==, G_N_ELEMENTS(intel));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpuid/intel", test_intel);
	g_test_add_func("/cpuid/amd", test_amd);
	g_test_add_func("/cpuid/copies-are-apart", test_copies_are_apart);
	return g_test_run();
}
