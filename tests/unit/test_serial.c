/* The 16550A and what it is connected to. The I/O loop turns only when a test says so. */
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <linux/serial_reg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../vmm/chipset/serial.h"
#include "../../vmm/chipset/serial_backend.h"
#include "fake_machine.h"

#define BASE 0x3F8
#define MILLISECOND 1000000ull

struct fixture {
	struct fake_machine *machine;
	struct device *serial;
	struct serial_backend *backend;
	char *folder, *path;
};

static void set_up(struct fixture *f, gconstpointer data)
{
	const char *kind = data;
	GError *error = NULL;

	f->machine = fake_machine_new(2 << 20);
	f->folder = g_dir_make_tmp("oriel-serial-XXXXXX", NULL);
	f->path = g_build_filename(f->folder, "serial", NULL);
	if (g_str_equal(kind, "log"))
		f->backend = serial_backend_new_log(&f->machine->vm, f->path, &error);
	else if (g_str_equal(kind, "pty"))
		f->backend = serial_backend_new_pty(&f->machine->vm, &error);
	else if (g_str_equal(kind, "socket"))
		f->backend = serial_backend_new_socket(&f->machine->vm, f->path, &error);
	g_assert_no_error(error);
	f->serial = serial_new(&f->machine->vm, BASE, 4, f->backend);
}

static void destroy_serial(struct fixture *f)
{
	if (f->serial)
		f->serial->ops->destroy(f->serial);
	f->serial = NULL;
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	destroy_serial(f);
	g_assert_false(f->machine->line[4]);
	g_assert_false(g_main_context_pending(f->machine->vm.loop.context));
	g_assert_cmpuint(f->machine->vm.clock.timers->len, ==, 0);
	g_unlink(f->path);
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_free(f->folder);
	g_free(f->path);
	fake_machine_free(f->machine);
}

static uint8_t get(struct fixture *f, unsigned offset)
{
	return (uint8_t)fake_in(f->machine, (uint16_t)(BASE + offset), 1);
}

static void put(struct fixture *f, unsigned offset, uint8_t value)
{
	fake_out(f->machine, (uint16_t)(BASE + offset), 1, value);
}

static void put_text(struct fixture *f, const char *text)
{
	for (; *text; text++)
		put(f, UART_TX, (uint8_t)*text);
}

/* Turns the loop until nothing is left to do now. */
static void settle(struct fixture *f)
{
	while (g_main_context_iteration(f->machine->vm.loop.context, FALSE))
		;
}

static int connect_client(struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, f->path, sizeof address.sun_path);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	settle(f);
	return fd;
}

static void send_text(struct fixture *f, int fd, const char *text)
{
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	settle(f);
}

/* Waits for exactly this text while the loop turns. */
static void expect_text(struct fixture *f, int fd, const char *text)
{
	g_autofree char *received = g_malloc0(strlen(text) + 1);
	size_t length = 0;

	g_unix_set_fd_nonblocking(fd, TRUE, NULL);
	while (length < strlen(text)) {
		ssize_t size = read(fd, received + length, strlen(text) - length);

		if (size > 0)
			length += (size_t)size;
		else
			g_main_context_iteration(f->machine->vm.loop.context, TRUE);
	}
	g_assert_cmpstr(received, ==, text);
}

static void test_registers(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmphex(get(f, UART_IIR), ==, 0x01);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x60);
	g_assert_cmphex(get(f, UART_MSR), ==, 0);
	put(f, UART_SCR, 0xA5);
	g_assert_cmphex(get(f, UART_SCR), ==, 0xA5);
	put(f, UART_IER, 0xFF);
	g_assert_cmphex(get(f, UART_IER), ==, 0x0F);
	put(f, UART_LCR, 0x83);
	put(f, UART_DLL, 0x0C);
	put(f, UART_DLM, 0x01);
	g_assert_cmphex(get(f, UART_DLL), ==, 0x0C);
	g_assert_cmphex(get(f, UART_DLM), ==, 0x01);
	g_assert_cmphex(fake_in(f->machine, BASE, 2), ==, 0x010C);
	put(f, UART_LCR, 0x03);
	g_assert_cmphex(get(f, UART_IER), ==, 0x0F);
	put(f, UART_MCR, 0xFF);
	g_assert_cmphex(get(f, UART_MCR), ==, 0x1F);
	put(f, UART_FCR, 0x01);
	g_assert_cmphex(get(f, UART_IIR) & 0xC0, ==, 0xC0);
	/* Without the enable bit the others are not taken. */
	put(f, UART_FCR, 0xC0);
	g_assert_cmphex(get(f, UART_IIR) & 0xC0, ==, 0);
	g_assert_cmphex(fake_in(f->machine, BASE + 6, 4) >> 16, ==, 0xFFFF);
	fake_out(f->machine, BASE + 6, 4, 0xFFFFFFFF);
	fake_check_state_round_trip(f->serial);
	f->serial->ops->reset(f->serial);
	g_assert_cmphex(get(f, UART_IER), ==, 0);
	g_assert_cmphex(get(f, UART_MCR), ==, 0);
	g_assert_cmphex(get(f, UART_LCR), ==, 0);
}

static void test_transmit_interrupt(struct fixture *f, gconstpointer data)
{
	(void)data;
	put(f, UART_MCR, UART_MCR_OUT2);
	put(f, UART_TX, 'a');
	g_assert_false(f->machine->line[4]);
	put(f, UART_IER, UART_IER_THRI);
	g_assert_true(f->machine->line[4]);
	/* Reading what it was acknowledges it. */
	g_assert_cmphex(get(f, UART_IIR), ==, UART_IIR_THRI);
	g_assert_false(f->machine->line[4]);
	g_assert_cmphex(get(f, UART_IIR), ==, UART_IIR_NO_INT);
	put(f, UART_TX, 'b');
	g_assert_cmpuint(f->machine->edges[4], ==, 2);
	/* A driver that does not look still gets an edge for each byte. */
	put(f, UART_TX, 'c');
	g_assert_cmpuint(f->machine->edges[4], ==, 3);
	fake_check_state_round_trip(f->serial);
	g_assert_true(f->machine->line[4]);
	put(f, UART_MCR, 0);
	g_assert_false(f->machine->line[4]);
	put(f, UART_MCR, UART_MCR_OUT2);
	put(f, UART_IER, 0);
	g_assert_false(f->machine->line[4]);
}

static void test_loopback(struct fixture *f, gconstpointer data)
{
	(void)data;
	put(f, UART_MCR, UART_MCR_LOOP);
	get(f, UART_MSR);
	/* What Linux does to find out whether there is a port. */
	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	g_assert_cmphex(get(f, UART_MSR) & 0xF0, ==, 0x90);
	g_assert_cmphex(get(f, UART_MSR), ==, 0x90);
	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1 | UART_MCR_DTR);
	g_assert_cmphex(get(f, UART_MSR), ==, 0x60 | UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_DDCD);
	put(f, UART_MCR, UART_MCR_LOOP);
	g_assert_cmphex(get(f, UART_MSR), ==, UART_MSR_TERI | UART_MSR_DDSR);
	put(f, UART_TX, 0x55);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x61);
	g_assert_cmphex(get(f, UART_RX), ==, 0x55);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x60);
	/* One byte without FIFO, sixteen with it. */
	put(f, UART_TX, 1);
	put(f, UART_TX, 2);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x63);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x61);
	g_assert_cmphex(get(f, UART_RX), ==, 2);
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	for (unsigned i = 0; i < 17; i++)
		put(f, UART_TX, (uint8_t)i);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x63);
	for (unsigned i = 0; i < 16; i++)
		g_assert_cmphex(get(f, UART_RX), ==, i);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x60);
	put(f, UART_TX, 9);
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x60);
	put(f, UART_LCR, UART_LCR_SBC);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x61 | UART_LSR_BI);
}

static void test_interrupt_priority(struct fixture *f, gconstpointer data)
{
	(void)data;
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_4);
	put(f, UART_MCR, UART_MCR_LOOP);
	get(f, UART_MSR);
	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2);
	for (unsigned i = 0; i < 17; i++)
		put(f, UART_TX, 'x');
	put(f, UART_IER, 0x0F);
	g_assert_true(f->machine->line[4]);
	g_assert_cmphex(get(f, UART_IIR) & 0x0F, ==, UART_IIR_RLSI);
	get(f, UART_LSR);
	g_assert_cmphex(get(f, UART_IIR) & 0x0F, ==, UART_IIR_RDI);
	for (unsigned i = 0; i < 12; i++)
		get(f, UART_RX);
	g_assert_cmphex(get(f, UART_IIR) & 0x0F, ==, UART_IIR_RDI);
	get(f, UART_RX);
	g_assert_cmphex(get(f, UART_IIR) & 0x0F, ==, UART_IIR_THRI);
	g_assert_cmphex(get(f, UART_IIR) & 0x0F, ==, UART_IIR_MSI);
	get(f, UART_MSR);
	g_assert_cmphex(get(f, UART_IIR) & 0x0F, ==, UART_IIR_NO_INT);
	g_assert_false(f->machine->line[4]);
	/* Three bytes are left below the trigger level: after four characters' time they are announced. */
	clock_advance(&f->machine->vm.clock, MILLISECOND);
	g_assert_cmphex(get(f, UART_IIR) & 0x0F, ==, UART_IIR_RX_TIMEOUT);
	g_assert_true(f->machine->line[4]);
	fake_check_state_round_trip(f->serial);
	get(f, UART_RX);
	g_assert_false(f->machine->line[4]);
	clock_advance(&f->machine->vm.clock, MILLISECOND);
	g_assert_true(f->machine->line[4]);
	get(f, UART_RX);
	get(f, UART_RX);
	g_assert_cmpuint(f->machine->vm.clock.timers->len, ==, 0);
}

static void test_timeout_follows_speed(struct fixture *f, gconstpointer data)
{
	(void)data;
	put(f, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	put(f, UART_DLL, 96); /* 1200 baud: 4 * 10 bits take 33.3 ms */
	put(f, UART_LCR, UART_LCR_WLEN8);
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14);
	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2);
	put(f, UART_IER, UART_IER_RDI);
	put(f, UART_TX, 'x');
	clock_advance(&f->machine->vm.clock, 33 * MILLISECOND);
	g_assert_false(f->machine->line[4]);
	clock_advance(&f->machine->vm.clock, MILLISECOND);
	g_assert_true(f->machine->line[4]);
}

static void test_state_nonsense(struct fixture *f, gconstpointer data)
{
	struct state *state = state_new_save();
	uint8_t count = 17, fcr = 1;
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	state_section(state, "serial");
	state_u8(state, "count", &count);
	state_u8(state, "fcr", &fcr);
	file = state_finish_save(state);
	g_assert_false(fake_load(f->serial, file, &error));
	g_assert_nonnull(error);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x60);
}

static void test_log(struct fixture *f, gconstpointer data)
{
	g_autofree char *contents = NULL;
	g_autoptr(GString) expected = g_string_new("boot\r\n");

	(void)data;
	g_assert_cmpstr(serial_backend_path(f->backend), ==, f->path);
	put_text(f, "boot\r\n");
	/* Collected, and written when the loop's timer says so. */
	g_assert_true(g_file_get_contents(f->path, &contents, NULL, NULL));
	g_assert_cmpstr(contents, ==, "");
	while (!contents || !*contents) {
		g_main_context_iteration(f->machine->vm.loop.context, TRUE);
		g_clear_pointer(&contents, g_free);
		g_assert_true(g_file_get_contents(f->path, &contents, NULL, NULL));
	}
	g_assert_cmpstr(contents, ==, "boot\r\n");
	/* What is left is written at the end; a later machine appends. */
	for (unsigned i = 0; i < 10000; i++) {
		put(f, UART_TX, (uint8_t)('a' + i % 26));
		g_string_append_c(expected, (char)('a' + i % 26));
	}
	destroy_serial(f);
	f->backend = serial_backend_new_log(&f->machine->vm, f->path, NULL);
	f->serial = serial_new(&f->machine->vm, BASE, 4, f->backend);
	put(f, UART_TX, '!');
	g_string_append_c(expected, '!');
	destroy_serial(f);
	g_clear_pointer(&contents, g_free);
	g_assert_true(g_file_get_contents(f->path, &contents, NULL, NULL));
	g_assert_cmpstr(contents, ==, expected->str);
}

static void test_log_errors(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	g_assert_null(serial_backend_new_log(&f->machine->vm, "/dev/null/serial.log", &error));
	g_assert_nonnull(strstr(error->message, "/dev/null/serial.log"));
	/* A full disk: the guest runs on, and the log says so once. */
	destroy_serial(f);
	g_test_expect_message("oriel", G_LOG_LEVEL_MESSAGE, "*output to /dev/full is being dropped: *space*");
	g_test_expect_message("oriel", G_LOG_LEVEL_MESSAGE, "*10000 bytes for /dev/full were dropped*");
	f->backend = serial_backend_new_log(&f->machine->vm, "/dev/full", NULL);
	f->serial = serial_new(&f->machine->vm, BASE, 4, f->backend);
	for (unsigned i = 0; i < 10000; i++)
		put(f, UART_TX, 'x');
	destroy_serial(f);
	g_test_assert_expected_messages();
}

static void test_pty(struct fixture *f, gconstpointer data)
{
	int fd = open(serial_backend_path(f->backend), O_RDWR | O_NOCTTY | O_CLOEXEC);

	(void)data;
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmphex(get(f, UART_MSR) & 0xF0, ==, 0xB0);
	put_text(f, "login: \n");
	expect_text(f, fd, "login: \n");
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	put(f, UART_MCR, UART_MCR_OUT2);
	put(f, UART_IER, UART_IER_RDI);
	g_assert_cmpint(write(fd, "me\r", 3), ==, 3);
	while (!f->machine->line[4])
		g_main_context_iteration(f->machine->vm.loop.context, TRUE);
	for (const char *c = "me\r"; *c; c++) {
		while (!(get(f, UART_LSR) & UART_LSR_DR))
			g_main_context_iteration(f->machine->vm.loop.context, TRUE);
		g_assert_cmphex(get(f, UART_RX), ==, *c);
	}
	/* The reader goes, and another one comes. */
	close(fd);
	settle(f);
	put_text(f, "again");
	fd = open(serial_backend_path(f->backend), O_RDWR | O_NOCTTY | O_CLOEXEC);
	expect_text(f, fd, "again");
	close(fd);
}

static void test_pty_without_reader(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_test_expect_message("oriel", G_LOG_LEVEL_MESSAGE, "*is being dropped: nobody reads*");
	g_test_expect_message("oriel", G_LOG_LEVEL_MESSAGE, "*bytes for /dev/pts/* were dropped*");
	for (unsigned i = 0; i < 200000; i++)
		put(f, UART_TX, 'x');
	destroy_serial(f);
	g_test_assert_expected_messages();
}

static void test_socket(struct fixture *f, gconstpointer data)
{
	int first, second;

	(void)data;
	/* Nobody is there: nothing is kept. */
	put_text(f, "lost");
	g_assert_false(g_main_context_pending(f->machine->vm.loop.context));
	first = connect_client(f);
	put_text(f, "hello");
	expect_text(f, first, "hello");
	/* The second client waits for its turn. */
	second = connect_client(f);
	send_text(f, second, "2");
	g_assert_cmphex(get(f, UART_LSR), ==, 0x60);
	send_text(f, first, "1");
	g_assert_cmphex(get(f, UART_LSR), ==, 0x61);
	g_assert_cmphex(get(f, UART_RX), ==, '1');
	close(first);
	settle(f);
	g_assert_cmphex(get(f, UART_LSR), ==, 0x61);
	g_assert_cmphex(get(f, UART_RX), ==, '2');
	put_text(f, "welcome");
	expect_text(f, second, "welcome");
	/* Gone while output is on its way. */
	close(second);
	for (unsigned i = 0; i < 10000; i++)
		put(f, UART_TX, 'x');
	settle(f);
	first = connect_client(f);
	put_text(f, "fresh");
	expect_text(f, first, "fresh");
	close(first);
	settle(f);
}

static void test_input_flow(struct fixture *f, gconstpointer data)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog, and the guest reads it at its leisure.";
	int fd = connect_client(f);

	(void)data;
	put(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	send_text(f, fd, text);
	/* Sixteen bytes are in the FIFO, the rest waits outside without a wake-up. */
	g_assert_false(g_main_context_pending(f->machine->vm.loop.context));
	for (const char *c = text; *c; c++) {
		g_assert_cmphex(get(f, UART_LSR), ==, 0x61);
		g_assert_cmphex(get(f, UART_RX), ==, *c);
		settle(f);
	}
	g_assert_cmphex(get(f, UART_LSR), ==, 0x60);
	/* In loopback the line is cut off. */
	put(f, UART_MCR, UART_MCR_LOOP);
	send_text(f, fd, "z");
	g_assert_cmphex(get(f, UART_LSR), ==, 0x60);
	put(f, UART_MCR, 0);
	settle(f);
	g_assert_cmphex(get(f, UART_RX), ==, 'z');
	close(fd);
	settle(f);
}

static void test_slow_client(struct fixture *f, gconstpointer data)
{
	g_autofree char *buffer = g_malloc(1 << 20);
	int fd = connect_client(f);
	size_t received = 0;
	ssize_t size;

	(void)data;
	g_test_expect_message("oriel", G_LOG_LEVEL_MESSAGE, "*is being dropped: nobody reads*");
	g_test_expect_message("oriel", G_LOG_LEVEL_MESSAGE, "*bytes for * were dropped*");
	for (unsigned i = 0; i < 1000000; i++)
		put(f, UART_TX, (uint8_t)i);
	/* What was kept arrives, in order and complete up to where the guest was faster. */
	g_unix_set_fd_nonblocking(fd, TRUE, NULL);
	while (g_main_context_pending(f->machine->vm.loop.context) || received == 0) {
		while ((size = read(fd, buffer + received, 1 << 16)) > 0)
			received += (size_t)size;
		g_main_context_iteration(f->machine->vm.loop.context, FALSE);
	}
	while ((size = read(fd, buffer + received, 1 << 16)) > 0)
		received += (size_t)size;
	g_assert_cmpuint(received, >=, 65536);
	g_assert_cmpuint(received, <, 1000000);
	for (size_t i = 0; i < received; i++)
		g_assert_cmphex((uint8_t)buffer[i], ==, (uint8_t)i);
	g_test_assert_expected_messages();
	put_text(f, "on");
	expect_text(f, fd, "on");
	close(fd);
	settle(f);
}

static void test_socket_errors(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *too_long = g_strnfill(200, 'x');

	(void)data;
	g_assert_null(serial_backend_new_socket(&f->machine->vm, "/dev/null/serial.sock", &error));
	g_assert_nonnull(strstr(error->message, "/dev/null/serial.sock"));
	g_clear_error(&error);
	g_assert_null(serial_backend_new_socket(&f->machine->vm, too_long, &error));
	g_assert_nonnull(error);
	destroy_serial(f);
	g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, kind, test) g_test_add("/serial/" path, struct fixture, kind, set_up, test, tear_down)
	ADD("registers", "none", test_registers);
	ADD("transmit-interrupt", "none", test_transmit_interrupt);
	ADD("loopback", "none", test_loopback);
	ADD("interrupt-priority", "none", test_interrupt_priority);
	ADD("timeout-follows-speed", "none", test_timeout_follows_speed);
	ADD("state-nonsense", "none", test_state_nonsense);
	ADD("log", "log", test_log);
	ADD("log-errors", "none", test_log_errors);
	ADD("pty", "pty", test_pty);
	ADD("pty-without-reader", "pty", test_pty_without_reader);
	ADD("socket", "socket", test_socket);
	ADD("input-flow", "socket", test_input_flow);
	ADD("slow-client", "socket", test_slow_client);
	ADD("socket-errors", "socket", test_socket_errors);
	return g_test_run();
}
