/*
 * iPXE and its own drivers on the network adapters: it boots by DHCP and TFTP, then fetches a file by HTTP and one by
 * TFTP, which lie in the guest's memory afterwards as they were sent.
 */
#include "file_server.h"
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IPXE_DISC "/usr/lib/ipxe/ipxe.iso"
#define HTTP_SIZE (256u << 10)
#define TFTP_SIZE (64u << 10)
#define MEMORY (128u << 20)

static struct guest *boot(const char *device, const struct file_server *server)
{
	struct guest *guest = guest_new(device);
	g_autofree char *script = g_build_filename(guest_folder(guest), "script", NULL);

	/* What it finds by itself, which spares the key that it waits for only shortly. */
	g_assert_true(g_file_set_contents(script, "#!ipxe\nshell\n", -1, NULL));
	guest_set(guest, "network", "boot-file", "script");
	file_server_offer(server, guest_folder(guest), "offered", TFTP_SIZE);
	guest_set(guest, "network", "device", "%s", device);
	guest_set(guest, "network", "tftp", ".");
	guest_set_disc(guest, IPXE_DISC);
	guest_start(guest);
	guest_wait_text(guest, "iPXE>", 300);
	return guest;
}

/* The command shows its words too, so iPXE puts together what is looked for. */
static void command(struct guest *guest, const char *word, unsigned seconds, const char *format, ...) G_GNUC_PRINTF(4, 5);

static void command(struct guest *guest, const char *word, unsigned seconds, const char *format, ...)
{
	g_autofree char *text = NULL, *line = NULL, *done = g_strdup_printf("%s-done", word);
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	line = g_strdup_printf("%s && echo %s-${end}\n", text, word);
	guest_type(guest, line);
	guest_wait_text(guest, done, seconds);
}

/* The largest piece of the process's memory of that size is the guest's. */
static uint64_t find_memory(struct guest *guest)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/maps", guest_process(guest)), *maps = NULL;
	g_auto(GStrv) lines = NULL;

	g_assert_true(g_file_get_contents(path, &maps, NULL, NULL));
	lines = g_strsplit(maps, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		unsigned long start, end;

		if (sscanf(lines[i], "%lx-%lx", &start, &end) == 2 && end - start >= MEMORY && end - start < 2ul * MEMORY)
			return start;
	}
	guest_fail(guest, "its memory is not in %s", path);
}

/* Whether these bytes lie somewhere in the guest's memory, judged by their hash. */
static bool is_in_memory(struct guest *guest, const struct file_server *server, gsize size)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/mem", guest_process(guest)), *wanted = file_server_hash(server, size);
	g_autofree guint8 *memory = g_malloc(MEMORY);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	bool found = false;

	g_assert_no_errno(file);
	g_assert_cmpint(pread(file, memory, MEMORY, (off_t)find_memory(guest)), ==, MEMORY);
	close(file);
	for (guint8 *at = memory; !found && (at = memmem(at, (gsize)(memory + MEMORY - at), server->bytes, 64)); at++) {
		g_autofree char *hash = at + size > memory + MEMORY ? NULL :
			g_compute_checksum_for_data(G_CHECKSUM_SHA256, at, size);

		found = g_strcmp0(hash, wanted) == 0;
	}
	return found;
}

static void test_adapter(gconstpointer device)
{
	struct file_server server;
	struct guest *guest;

	if (!g_file_test(IPXE_DISC, G_FILE_TEST_EXISTS)) {
		g_test_skip(IPXE_DISC " is missing: apt-get install ipxe");
		return;
	}
	file_server_start(&server, HTTP_SIZE);
	guest = boot(device, &server);
	guest_type(guest, "set end done\n");
	command(guest, "address", 120, "dhcp");
	guest_type(guest, "echo Address ${ip}\n");
	guest_wait_text(guest, "Address 10.0.2.15", 30);
	g_assert_false(is_in_memory(guest, &server, TFTP_SIZE));
	command(guest, "tftp", 120, "imgfetch tftp://10.0.2.2/offered");
	g_assert_true(is_in_memory(guest, &server, TFTP_SIZE));
	g_assert_false(is_in_memory(guest, &server, HTTP_SIZE));
	command(guest, "http", 120, "imgfetch http://10.0.2.2:%u/file", server.port);
	g_assert_true(is_in_memory(guest, &server, HTTP_SIZE));
	guest_keep_picture(guest, "end");
	g_test_message("%s: %.1f s", g_test_get_path(), guest_age(guest));
	guest_free(guest);
	file_server_stop(&server);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	if (argc > 1 && strcmp(argv[1], "long") == 0)
		g_test_add_data_func("/ipxe-network/e1000", "e1000", test_adapter);
	else
		g_test_add_data_func("/ipxe-network/e1000e", "e1000e", test_adapter);
	return harness_run();
}
