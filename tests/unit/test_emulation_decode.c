/*
 * The instruction decoder and the table of operations against two judges that share no code with them: objdump
 * (lengths, and operand sizes as it names them), and this CPU (which bytes of memory an instruction touches).
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../../vmm/emulation/decode.h"
#include "../../vmm/emulation/native.h"
#include "../../vmm/emulation/operation.h"

#define CELL 16 /* a sample and the NOPs that let objdump find the next one */
#define NOP 0x90

struct samples {
	GByteArray *bytes; /* CELL bytes each */
	GRand *rand;
	unsigned one_in; /* takes a random one in so many */
};

static void add(struct samples *samples, const uint8_t *bytes, unsigned length)
{
	uint8_t cell[CELL];

	if (g_rand_int_range(samples->rand, 0, (gint32)samples->one_in))
		return;
	memset(cell, NOP, sizeof cell);
	memcpy(cell, bytes, length);
	g_byte_array_append(samples->bytes, cell, sizeof cell);
}

/* ModRM and what follows it: registers, plain, SIB with 8 and 32 bits, absolute or RIP-relative. */
static const struct {
	uint8_t bytes[6];
	uint8_t length;
} operands[] = {
	{ { 0xC1 }, 1 }, { { 0xDA }, 1 }, { { 0xE9 }, 1 }, { { 0xF8 }, 1 },
	{ { 0x00 }, 1 }, { { 0x0E }, 1 }, { { 0x17 }, 1 }, { { 0x19 }, 1 }, { { 0x22 }, 1 }, { { 0x28 }, 1 },
	{ { 0x30 }, 1 }, { { 0x39 }, 1 },
	{ { 0x4C, 0xB1, 0x12 }, 3 }, { { 0x8C, 0x23, 1, 2, 3, 4 }, 6 }, { { 0x05, 1, 2, 3, 4 }, 5 },
	{ { 0x1C, 0x25, 1, 2, 3, 4 }, 6 }, { { 0x51, 0x80 }, 2 }, { { 0x2E, 1, 2, 3, 4 }, 5 },
};

static void add_operands(struct samples *samples, const uint8_t *head, unsigned length)
{
	uint8_t bytes[CELL] = { 0 };

	memcpy(bytes, head, length);
	for (unsigned i = 0; i < G_N_ELEMENTS(operands); i++) {
		memset(bytes + length, 0x11, sizeof bytes - length);
		memcpy(bytes + length, operands[i].bytes, operands[i].length);
		/* Enough for an immediate where there is one; at most 15. */
		add(samples, bytes, MIN(length + operands[i].length + 4, 15u));
	}
}

static void add_legacy(struct samples *samples, unsigned bits)
{
	static const uint8_t prefixes[][3] = {
		{ 0 }, { 1, 0x66 }, { 1, 0xF3 }, { 1, 0xF2 }, { 1, 0x48 }, { 2, 0x66, 0xF2 }, { 2, 0x66, 0x41 },
		{ 1, 0x67 }, { 1, 0x65 }, { 2, 0xF3, 0x48 },
	};
	static const uint8_t maps[][3] = { { 0 }, { 1, 0x0F }, { 2, 0x0F, 0x38 }, { 2, 0x0F, 0x3A } };

	for (unsigned p = 0; p < G_N_ELEMENTS(prefixes); p++) {
		for (unsigned m = 0; m < G_N_ELEMENTS(maps); m++) {
			for (unsigned opcode = 0; opcode < 256; opcode++) {
				uint8_t head[CELL];
				unsigned length = 0;

				if (bits != 64 && prefixes[p][prefixes[p][0]] >> 4 == 4)
					continue;
				memcpy(head, prefixes[p] + 1, prefixes[p][0]);
				length += prefixes[p][0];
				memcpy(head + length, maps[m] + 1, maps[m][0]);
				length += maps[m][0];
				head[length++] = (uint8_t)opcode;
				add_operands(samples, head, length);
			}
		}
	}
}

static void add_vex(struct samples *samples)
{
	for (unsigned payload = 0; payload < 16; payload++) {
		for (unsigned map = 1; map <= 3; map++) {
			for (unsigned opcode = 0; opcode < 256; opcode++) {
				/* W, vvvv = 1111 or 1101, L, pp. */
				uint8_t last = (payload & 8 ? 0x80 : 0) | (opcode & 1 ? 0x68 : 0x78) | (payload & 7);
				uint8_t three[] = { 0xC4, 0xE0 | map, last, (uint8_t)opcode };
				uint8_t two[] = { 0xC5, last | 0x80, (uint8_t)opcode };

				/* With 1111 for those where vvvv must be; then what uses it. */
				add_operands(samples, three, 4);
				three[2] |= 0x78;
				add_operands(samples, three, 4);
				if (map == 1)
					add_operands(samples, two, 3);
			}
		}
	}
}

static void add_evex(struct samples *samples)
{
	for (unsigned payload = 0; payload < 96; payload++) {
		for (unsigned map = 1; map <= 3; map++) {
			for (unsigned opcode = 0; opcode < 256; opcode++) {
				/* W vvvv 1 pp; z L'L b V' aaa. */
				uint8_t p1 = (payload & 1 ? 0x80 : 0) | 0x7C | (payload >> 1 & 3);
				uint8_t p2 = (uint8_t)((payload / 8 % 3) << 5 | (payload >= 48 ? 0x10 : 0) | 8 |
						       (payload % 24 >= 16 ? 1 : 0));
				uint8_t head[] = { 0x62, 0xF0 | map, p1, p2, (uint8_t)opcode };

				add_operands(samples, head, 5);
				/* vvvv in use. */
				head[2] &= ~0x40;
				add_operands(samples, head, 5);
			}
		}
	}
}

/* One instruction as objdump shows it. */
struct judged {
	uint64_t address;
	char text[160];
};

static bool parse_line(const char *line, struct judged *judged)
{
	const char *tab = strchr(line, '\t');
	char *end;

	judged->address = g_ascii_strtoull(line, &end, 16);
	if (!tab || end == line || *end != ':')
		return false;
	g_strlcpy(judged->text, tab + 1, sizeof judged->text);
	g_strchomp(judged->text);
	return true;
}

/* Bytes of memory that objdump says the operand has; 0: it does not say. */
static unsigned named_size(const char *text)
{
	static const struct { const char *name; unsigned size; } names[] = {
		{ "ZMMWORD PTR", 64 }, { "YMMWORD PTR", 32 }, { "XMMWORD PTR", 16 }, { "OWORD PTR", 16 },
		{ "TBYTE PTR", 10 }, { "QWORD PTR", 8 }, { "DWORD PTR", 4 }, { "QWORD BCST", 8 }, { "DWORD BCST", 4 }, { "WORD PTR", 2 },
		{ "BYTE PTR", 1 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (strstr(text, names[i].name))
			return names[i].size;
	return 0;
}

struct tally {
	unsigned lengths, sizes;
};

/* What objdump takes for invalid, and prefixes that it shows on lines of their own, tell nothing. */
static bool comparable(const char *text)
{
	static const char *const alone[] = { "data16", "addr32", "addr16", "repz", "repnz", "gs", "fs", "lock", "" };

	for (unsigned i = 0; i < G_N_ELEMENTS(alone); i++)
		if (g_str_has_suffix(text, alone[i]) && (strlen(text) == strlen(alone[i]) || *alone[i]))
			return false;
	return !strstr(text, "(bad)") && !strstr(text, "bad}") && !strstr(text, "rex");
}

static void compare(const uint8_t *cell, const struct judged *judged, uint64_t next, unsigned bits,
		    struct tally *tally)
{
	struct instruction instruction;
	struct operation operation;
	enum decode_result result = instruction_decode(&instruction, cell, CELL, bits);
	unsigned length = (unsigned)(next - judged->address), named = named_size(judged->text);
	g_autofree char *hex = g_strdup_printf("%02x %02x %02x %02x %02x %02x %02x", cell[0], cell[1], cell[2],
					       cell[3], cell[4], cell[5], cell[6]);

	if (!comparable(judged->text))
		return;
	/* objdump takes fwait and the instruction behind it for one. */
	if (instruction.map == MAP_ONE_BYTE && instruction.opcode == 0x9B)
		return;
	/* Near branches with a 66 prefix: AMD and Intel differ, objdump follows AMD. */
	if (instruction.operand_prefix && bits == 64 && instruction.encoding == ENCODING_LEGACY &&
	    ((instruction.map == MAP_ONE_BYTE && (instruction.opcode == 0xE8 || instruction.opcode == 0xE9)) ||
	     (instruction.map == MAP_0F && (instruction.opcode & 0xF0) == 0x80)))
		return;
	/* CPUs refuse these prefixes in front of VEX and EVEX. */
	if (result == DECODE_INVALID && (g_str_has_prefix(judged->text, "data") ||
					 g_str_has_prefix(judged->text, "rep")))
		return;
	if (result != DECODE_OK || instruction.length != length)
		g_error("%u bits, %s... %s: length %u (result %d), not %u", bits, hex, judged->text,
			instruction.length, result, length);
	tally->lengths++;
	operation = operation_find(&instruction);
	if (operation.class == OPERATION_UNKNOWN || operation.class == OPERATION_INVALID ||
	    operation.class == OPERATION_SYSTEM || !instruction.has_memory || !named)
		return;
	if (operation.size != named)
		g_error("%u bits, %s... %s: size %u, not %u", bits, hex, judged->text, operation.size, named);
	tally->sizes++;
}

static void judge_with_objdump(struct samples *samples, unsigned bits, struct tally *tally)
{
	static const char *const modes[] = { [1] = "i8086,intel", [2] = "i386,intel", [4] = "x86-64,intel" };
	g_autofree char *folder = g_dir_make_tmp("oriel-decode-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "code", NULL);
	g_autofree char *command = g_strdup_printf("objdump -D -b binary -m i386 -M %s -w --no-show-raw-insn %s",
						   modes[bits / 16], path);
	struct judged current = { 0 }, following;
	bool have = false;
	char line[512];
	FILE *pipe;

	g_assert_true(g_file_set_contents(path, (char *)samples->bytes->data, samples->bytes->len, NULL));
	pipe = popen(command, "r");
	g_assert_nonnull(pipe);
	while (fgets(line, sizeof line, pipe)) {
		if (!parse_line(line, &following))
			continue;
		if (have && current.address % CELL == 0)
			compare(samples->bytes->data + current.address, &current, following.address, bits, tally);
		current = following;
		have = true;
	}
	g_assert_cmpint(pclose(pipe), ==, 0);
	g_remove(path);
	g_rmdir(folder);
}

/* All of them take minutes; every run takes others, and prints its seed. */
static struct samples *samples_new(unsigned one_in)
{
	struct samples *samples = g_new0(struct samples, 1);

	samples->bytes = g_byte_array_new();
	samples->rand = g_rand_new_with_seed((guint32)g_test_rand_int());
	samples->one_in = g_getenv("ORIEL_TEST_EXHAUSTIVE") ? 1 : one_in;
	return samples;
}

static void samples_free(struct samples *samples)
{
	g_byte_array_unref(samples->bytes);
	g_rand_free(samples->rand);
	g_free(samples);
}

static void test_against_objdump(gconstpointer data)
{
	unsigned bits = GPOINTER_TO_UINT(data);
	struct samples *samples;
	struct tally tally = { 0 };
	g_autofree char *objdump = g_find_program_in_path("objdump");

	if (!objdump) {
		g_test_skip("no objdump");
		return;
	}
	samples = samples_new(bits == 64 ? 24 : 48);
	add_legacy(samples, bits);
	add_vex(samples);
	add_evex(samples);
	judge_with_objdump(samples, bits, &tally);
	g_test_message("%u lengths and %u operand sizes compared", tally.lengths, tally.sizes);
	g_assert_cmpuint(tally.lengths, >, 2000);
	g_assert_cmpuint(tally.sizes, >, 500);
	samples_free(samples);
}


static bool run_at(struct native *native, const struct instruction *instruction, const struct operation *operation,
		   void *operand, struct native_fault *fault)
{
	struct native_code code;
	struct kvm_regs regs = { .rflags = 2, .rax = 7, .rcx = 3, .rdx = 1, .rbx = 2, .rsp = 64 };

	native_encode(&code, instruction, operation);
	return native_run(native, &code, &regs, operand, operation->class != OPERATION_INTEGER, fault);
}

static bool faults_at_page(const struct native_fault *fault)
{
	return fault->trap == 14;
}

/* Of the bytes in front of the forbidden page the instruction must need exactly operation->size. */
static bool check_touch(struct native *native, const uint8_t *cell, uint8_t *pages, unsigned *checked)
{
	struct instruction instruction;
	struct operation operation;
	struct native_fault fault = { 0 };
	uint8_t *end = pages + 4096, *constant_end = pages + 3 * 4096;
	bool done;

	if (instruction_decode(&instruction, cell, CELL, 64) != DECODE_OK || !instruction.has_memory)
		return true;
	operation = operation_find(&instruction);
	if (operation.class == OPERATION_UNKNOWN || operation.class == OPERATION_INVALID ||
	    operation.class == OPERATION_SYSTEM || operation.masked || instruction.lock)
		return true;
	memset(pages, 0, 4096);
	/* Not what this CPU has, or not with these fields. */
	if (!run_at(native, &instruction, &operation, end - 1024, &fault) && fault.trap == 6)
		return true;
	if (!run_at(native, &instruction, &operation, end - operation.size, &fault) && faults_at_page(&fault))
		return false;
	/* Cache line flushes do not fault like accesses, and aligned operands complain before they look. */
	if (run_at(native, &instruction, &operation, end - operation.size + 1, &fault))
		return false;
	if (fault.trap == 13)
		return true;
	done = run_at(native, &instruction, &operation, constant_end - operation.size, &fault);
	if (!done && !faults_at_page(&fault))
		return true;
	(*checked)++;
	return done == !(operation.access & OPERATION_WRITE);
}

static void test_against_cpu(void)
{
	struct native *native = native_new();
	struct samples *samples = samples_new(24);
	uint8_t *pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned checked = 0;

	if (!native) {
		g_test_skip("no XSAVE");
		return;
	}
	g_assert_cmpint(mprotect(pages + 4096, 4096, PROT_NONE), ==, 0);
	g_assert_cmpint(mprotect(pages + 2 * 4096, 4096, PROT_READ), ==, 0);
	g_assert_cmpint(mprotect(pages + 3 * 4096, 4096, PROT_NONE), ==, 0);
	add_legacy(samples, 64);
	add_vex(samples);
	add_evex(samples);
	memset(native_image(native), 0, native_image_size(native));
	native_image(native)[24] = 0x80;
	native_image(native)[25] = 0x1F;
	for (unsigned i = 0; i < samples->bytes->len; i += CELL) {
		const uint8_t *cell = samples->bytes->data + i;

		if (!check_touch(native, cell, pages, &checked))
			g_error("%02x %02x %02x %02x %02x %02x %02x: another operand size", cell[0], cell[1], cell[2],
				cell[3], cell[4], cell[5], cell[6]);
	}
	g_test_message("%u operands checked", checked);
	g_assert_cmpuint(checked, >, 500);
	munmap(pages, 4 * 4096);
	samples_free(samples);
	native_free(native);
}

static void test_bad_input(void)
{
	static const uint8_t prefixes[CELL] = {
		0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90,
	};
	static const uint8_t add[] = { 0x48, 0x81, 0x84, 0xC8, 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint8_t vex[] = { 0x66, 0xC5, 0xF1, 0xEF, 0xC9 }, evex[] = { 0x62, 0xF9, 0x7C, 0x48, 0x10, 0 };
	struct instruction instruction;

	g_assert_cmpint(instruction_decode(&instruction, prefixes, 16, 64), ==, DECODE_TOO_LONG);
	for (unsigned i = 0; i < sizeof add; i++)
		g_assert_cmpint(instruction_decode(&instruction, add, i, 64), ==, DECODE_SHORT);
	g_assert_cmpint(instruction_decode(&instruction, add, sizeof add, 64), ==, DECODE_OK);
	g_assert_cmphex(instruction_immediate(&instruction), ==, 0x08070605);
	g_assert_cmpint(instruction.memory.displacement, ==, 0x04030201);
	g_assert_cmpint(instruction_decode(&instruction, vex, sizeof vex, 64), ==, DECODE_INVALID);
	g_assert_cmpint(instruction_decode(&instruction, evex, sizeof evex, 64), ==, DECODE_INVALID);
}

/* Whatever the bytes, decoding stays inside of them and the table gives an answer. */
static void test_random_bytes(void)
{
	GRand *rand = g_rand_new_with_seed((guint32)g_test_rand_int());

	for (unsigned i = 0; i < 200000; i++) {
		struct instruction instruction;
		struct operation operation;
		uint8_t bytes[INSTRUCTION_MAX];
		size_t available = (size_t)g_rand_int_range(rand, 0, INSTRUCTION_MAX + 1);
		g_autofree uint8_t *exact = NULL;

		for (unsigned j = 0; j < sizeof bytes; j++)
			bytes[j] = (uint8_t)g_rand_int(rand);
		exact = g_memdup2(bytes, available);
		if (instruction_decode(&instruction, exact, available, 16u << (i % 3)) != DECODE_OK)
			continue;
		g_assert_cmpuint(instruction.length, <=, available);
		operation = operation_find(&instruction);
		g_assert_cmpuint(operation.size, <=, 512);
	}
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/decode/objdump/64", GUINT_TO_POINTER(64), test_against_objdump);
	g_test_add_data_func("/decode/objdump/32", GUINT_TO_POINTER(32), test_against_objdump);
	g_test_add_data_func("/decode/objdump/16", GUINT_TO_POINTER(16), test_against_objdump);
	g_test_add_func("/decode/cpu", test_against_cpu);
	g_test_add_func("/decode/bad", test_bad_input);
	g_test_add_func("/decode/random", test_random_bytes);
	return g_test_run();
}
