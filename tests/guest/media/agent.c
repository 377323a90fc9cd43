/*
 * The test agent: first process of the small Linux guest.
 *
 * It carries out commands, prints what it finds as lines that start with "agent: " on the serial port, and
 * reports every input event by itself. Commands come from the kernel's command line (agent="command;command")
 * and then, line by line, from the serial port:
 *
 *   disk DEVICE                        size, rotation, discard limit and queue depth
 *   fill DEVICE OFFSET LENGTH BYTE     writes this byte everywhere and flushes it to the medium
 *   write DEVICE OFFSET LENGTH SEED    the same with a pattern that differs everywhere
 *   check DEVICE OFFSET LENGTH SEED    reads it back past the page cache
 *   trim DEVICE OFFSET LENGTH          BLKDISCARD
 *   wait PATH                          until the file exists
 *   inputs COUNT                       until there are so many input devices
 *   log LEVEL                          kernel messages of this level and below
 *   run COMMAND...                     a shell command; its output is reported too
 *   echo TEXT..., sync, poweroff, reboot, halt
 *
 * Every command ends with a line "agent: done COMMAND STATUS"; status 0 is success, otherwise an errno.
 * One process and no shell: fork and exec cost a quarter of a second on hosts that emulate ring 0.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/input.h>
#include <linux/random.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define SERIAL "/dev/ttyS0"
#define INPUTS 16
#define ARGUMENTS 8
#define CHUNK (64 * 1024)

struct input {
	int fd;
	char name[64];
};

struct agent {
	int serial;
	struct input inputs[INPUTS];
	unsigned input_count;
	uint32_t opened; /* bit by number */
	char line[1024];
	size_t line_length;
};

struct command {
	const char *name;
	unsigned arguments; /* at least */
	/* Returns 0 or an errno. */
	int (*run)(struct agent *agent, char **arguments, const char *rest);
};

/* One write() per line, so that kernel messages do not get in between. */
static void __attribute__((format(printf, 2, 3))) report(struct agent *agent, const char *format, ...)
{
	char line[1200];
	va_list list;
	int start = snprintf(line, sizeof line, "agent: ");

	va_start(list, format);
	int length = vsnprintf(line + start, sizeof line - start - 1, format, list);
	va_end(list);
	length += start;
	if (length > (int)sizeof line - 2)
		length = sizeof line - 2;
	line[length++] = '\n';
	for (int done = 0; done < length;) {
		ssize_t n = write(agent->serial, line + done, length - done);

		if (n <= 0)
			return;
		done += n;
	}
}

/* Each 16 bytes tell their own offset, so that misplaced data is noticed too. */
static void fill_pattern(uint8_t *buffer, size_t length, uint64_t offset, uint64_t seed)
{
	for (size_t i = 0; i + 16 <= length; i += 16) {
		uint64_t words[2] = { offset + i, seed * 0x9e3779b97f4a7c15u + offset + i };

		memcpy(buffer + i, words, sizeof words);
	}
}

struct span {
	uint64_t offset, length, seed;
};

static struct span parse_span(char **arguments, bool has_seed)
{
	return (struct span){
		.offset = strtoull(arguments[1], NULL, 0),
		.length = strtoull(arguments[2], NULL, 0),
		.seed = has_seed ? strtoull(arguments[3], NULL, 0) : 0,
	};
}

typedef int (*chunk_step)(int fd, uint8_t *buffer, size_t length, off_t offset, uint64_t seed);

static int each_chunk(const char *device, int flags, struct span span, chunk_step step)
{
	static uint8_t buffer[CHUNK] __attribute__((aligned(4096)));
	int fd = open(device, flags | O_CLOEXEC), status = 0;

	if (fd < 0)
		return errno;
	for (uint64_t done = 0; done < span.length && !status; done += CHUNK) {
		size_t length = span.length - done < CHUNK ? span.length - done : CHUNK;

		status = step(fd, buffer, length, span.offset + done, span.seed);
	}
	if (!status && (flags & O_ACCMODE) != O_RDONLY && fsync(fd))
		status = errno;
	close(fd);
	return status;
}

static int write_chunk(int fd, uint8_t *buffer, size_t length, off_t offset, uint64_t seed)
{
	fill_pattern(buffer, length, offset, seed);
	ssize_t n = pwrite(fd, buffer, length, offset);
	return n < 0 ? errno : (size_t)n == length ? 0 : EIO;
}

static int check_chunk(int fd, uint8_t *buffer, size_t length, off_t offset, uint64_t seed)
{
	static uint8_t expected[CHUNK];
	ssize_t n = pread(fd, buffer, length, offset);

	if (n < 0 || (size_t)n != length)
		return n < 0 ? errno : EIO;
	fill_pattern(expected, length, offset, seed);
	return memcmp(buffer, expected, length) ? EILSEQ : 0;
}

static int fill_chunk(int fd, uint8_t *buffer, size_t length, off_t offset, uint64_t byte)
{
	memset(buffer, (int)byte, length);
	ssize_t n = pwrite(fd, buffer, length, offset);
	return n < 0 ? errno : (size_t)n == length ? 0 : EIO;
}

static int run_fill(struct agent *agent, char **arguments, const char *rest)
{
	(void)agent, (void)rest;
	return each_chunk(arguments[0], O_WRONLY, parse_span(arguments, true), fill_chunk);
}

static int run_write(struct agent *agent, char **arguments, const char *rest)
{
	(void)agent, (void)rest;
	return each_chunk(arguments[0], O_WRONLY, parse_span(arguments, true), write_chunk);
}

static int run_check(struct agent *agent, char **arguments, const char *rest)
{
	(void)agent, (void)rest;
	return each_chunk(arguments[0], O_RDONLY | O_DIRECT, parse_span(arguments, true), check_chunk);
}

static int run_trim(struct agent *agent, char **arguments, const char *rest)
{
	struct span span = parse_span(arguments, false);
	uint64_t range[2] = { span.offset, span.length };
	int fd = open(arguments[0], O_WRONLY | O_CLOEXEC), status = 0;

	(void)agent, (void)rest;
	if (fd < 0)
		return errno;
	if (ioctl(fd, BLKDISCARD, range))
		status = errno;
	close(fd);
	return status;
}

static void read_attribute(const char *device, const char *attribute, char *value, size_t size)
{
	char path[256];

	snprintf(path, sizeof path, "/sys/block/%s/%s", device, attribute);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, value, size - 1);
	value[n < 0 ? 0 : n] = '\0';
	value[strcspn(value, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

static int run_disk(struct agent *agent, char **arguments, const char *rest)
{
	static const char *const attributes[] = {
		"size", "removable", "queue/rotational", "queue/discard_max_bytes", "queue/logical_block_size",
		"queue/physical_block_size", "queue/write_cache", "device/queue_depth", "device/model",
	};
	const char *slash = strrchr(arguments[0], '/');
	const char *name = slash ? slash + 1 : arguments[0];
	char value[128];

	(void)rest;
	if (access(arguments[0], R_OK))
		return errno;
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
		read_attribute(name, attributes[i], value, sizeof value);
		report(agent, "disk %s %s %s", name, attributes[i], value);
	}
	return 0;
}

static int run_wait(struct agent *agent, char **arguments, const char *rest)
{
	(void)agent, (void)rest;
	for (int i = 0; i < 300; i++) {
		if (!access(arguments[0], F_OK))
			return 0;
		usleep(100 * 1000);
	}
	return ETIMEDOUT;
}

/* Lines of the kernel's log look like "<4>[    0.1] text". */
static int run_log(struct agent *agent, char **arguments, const char *rest)
{
	int limit = atoi(arguments[0]);
	int size = klogctl(10, NULL, 0); /* SYSLOG_ACTION_SIZE_BUFFER */
	char *log = size > 0 ? malloc(size + 1) : NULL;

	(void)rest;
	if (!log)
		return ENOMEM;
	size = klogctl(3, log, size); /* SYSLOG_ACTION_READ_ALL */
	log[size < 0 ? 0 : size] = '\0';
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		if (line[0] == '<' && (atoi(line + 1) & 7) <= limit)
			report(agent, "kernel %s", line);
	}
	free(log);
	return 0;
}

static int run_shell(struct agent *agent, char **arguments, const char *rest)
{
	char command[1024], line[1000];
	int status;

	(void)arguments;
	snprintf(command, sizeof command, "%s 2>&1", rest);
	FILE *output = popen(command, "r");

	if (!output)
		return errno;
	while (fgets(line, sizeof line, output)) {
		line[strcspn(line, "\n")] = '\0';
		report(agent, "output %s", line);
	}
	status = pclose(output);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static int run_echo(struct agent *agent, char **arguments, const char *rest)
{
	(void)arguments;
	report(agent, "%s", rest);
	return 0;
}

static int run_sync(struct agent *agent, char **arguments, const char *rest)
{
	(void)agent, (void)arguments, (void)rest;
	sync();
	return 0;
}

static int end_system(struct agent *agent, const char *what, int how)
{
	report(agent, "going to %s", what);
	tcdrain(agent->serial);
	sync();
	return reboot(how) ? errno : 0;
}

static int run_poweroff(struct agent *agent, char **arguments, const char *rest)
{
	(void)arguments, (void)rest;
	return end_system(agent, "power off", RB_POWER_OFF);
}

static int run_reboot(struct agent *agent, char **arguments, const char *rest)
{
	(void)arguments, (void)rest;
	return end_system(agent, "reboot", RB_AUTOBOOT);
}

static int run_halt(struct agent *agent, char **arguments, const char *rest)
{
	(void)arguments, (void)rest;
	return end_system(agent, "halt", RB_HALT_SYSTEM);
}

static void open_inputs(struct agent *agent)
{
	for (unsigned i = 0; i < INPUTS; i++) {
		struct input *input = &agent->inputs[agent->input_count];
		char path[32];

		if (agent->opened & 1u << i)
			continue;
		snprintf(path, sizeof path, "/dev/input/event%u", i);
		input->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (input->fd < 0)
			continue;
		if (ioctl(input->fd, EVIOCGNAME(sizeof input->name), input->name) < 0)
			snprintf(input->name, sizeof input->name, "event%u", i);
		report(agent, "found input %s", input->name);
		agent->opened |= 1u << i;
		agent->input_count++;
	}
}

/* The kernel finds some of them late, such as those of USB. */
static int run_inputs(struct agent *agent, char **arguments, const char *rest)
{
	(void)rest;
	for (int i = 0; i < 300; i++) {
		open_inputs(agent);
		if (agent->input_count >= (unsigned)atoi(arguments[0]))
			return 0;
		usleep(100 * 1000);
	}
	return ETIMEDOUT;
}

static const struct command commands[] = {
	{ "disk", 1, run_disk },
	{ "fill", 4, run_fill },
	{ "write", 4, run_write },
	{ "check", 4, run_check },
	{ "trim", 3, run_trim },
	{ "wait", 1, run_wait },
	{ "inputs", 1, run_inputs },
	{ "log", 1, run_log },
	{ "run", 1, run_shell },
	{ "echo", 0, run_echo },
	{ "sync", 0, run_sync },
	{ "poweroff", 0, run_poweroff },
	{ "reboot", 0, run_reboot },
	{ "halt", 0, run_halt },
};

static void run_command(struct agent *agent, const char *text)
{
	char copy[1024], *arguments[ARGUMENTS] = { NULL }, *place = copy;
	unsigned count = 0;

	snprintf(copy, sizeof copy, "%s", text);
	char *name = strsep(&place, " ");
	const char *rest = place ? text + (place - copy) : "";

	while (place && count < ARGUMENTS) {
		char *word = strsep(&place, " ");

		if (*word)
			arguments[count++] = word;
	}
	if (!*name)
		return;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(commands[i].name, name))
			continue;
		int status = count < commands[i].arguments ? EINVAL : commands[i].run(agent, arguments, rest);
		report(agent, "done %s %d", name, status);
		return;
	}
	report(agent, "done %s %d", name, ENOSYS);
}

static void read_input(struct agent *agent, struct input *input)
{
	struct input_event events[64];
	ssize_t n = read(input->fd, events, sizeof events);

	for (ssize_t i = 0; i * (ssize_t)sizeof *events < n; i++) {
		const struct input_event *event = &events[i];

		if (event->type == EV_KEY)
			report(agent, "input %s: key %u %d", input->name, event->code, event->value);
		else if (event->type == EV_REL)
			report(agent, "input %s: motion %u %d", input->name, event->code, event->value);
		else if (event->type == EV_ABS)
			report(agent, "input %s: position %u %d", input->name, event->code, event->value);
		if (event->type == EV_KEY && event->code == KEY_POWER && event->value == 1)
			end_system(agent, "power off", RB_POWER_OFF);
	}
}

static void read_serial(struct agent *agent)
{
	ssize_t n = read(agent->serial, agent->line + agent->line_length,
			 sizeof agent->line - 1 - agent->line_length);

	if (n <= 0)
		return;
	agent->line_length += n;
	agent->line[agent->line_length] = '\0';
	for (char *end; (end = strpbrk(agent->line, "\r\n"));) {
		char line[sizeof agent->line];

		*end = '\0';
		snprintf(line, sizeof line, "%s", agent->line);
		agent->line_length -= end + 1 - agent->line;
		memmove(agent->line, end + 1, agent->line_length + 1);
		run_command(agent, line);
	}
	if (agent->line_length == sizeof agent->line - 1)
		agent->line_length = 0;
}

/* Random numbers block until the kernel has gathered entropy, which takes long where timers are emulated. */
static void seed_random(void)
{
	struct {
		struct rand_pool_info head;
		uint8_t bytes[64];
	} seed = { .head = { .entropy_count = 512, .buf_size = 64 } };
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof seed.bytes; i++)
		seed.bytes[i] = i * 37 + getpid();
	ioctl(fd, RNDADDENTROPY, &seed);
	close(fd);
}

static void prepare_system(struct agent *agent)
{
	struct termios mode;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/mnt", 0755);
	mkdir("/tmp", 01777);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	setenv("PATH", "/bin", 1);
	seed_random();
	agent->serial = open(SERIAL, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (agent->serial >= 0 && !tcgetattr(agent->serial, &mode)) {
		cfmakeraw(&mode);
		mode.c_oflag |= OPOST | ONLCR;
		tcsetattr(agent->serial, TCSANOW, &mode);
	}
}

static void run_command_line(struct agent *agent)
{
	char *list = getenv("agent"), *place = list;

	while (place) {
		run_command(agent, strsep(&place, ";"));
	}
}

int main(void)
{
	static struct agent agent;
	struct pollfd polls[INPUTS + 1];

	prepare_system(&agent);
	open_inputs(&agent);
	report(&agent, "ready");
	run_command_line(&agent);
	for (;;) {
		for (unsigned i = 0; i < agent.input_count; i++)
			polls[i] = (struct pollfd){ .fd = agent.inputs[i].fd, .events = POLLIN };
		polls[agent.input_count] = (struct pollfd){ .fd = agent.serial, .events = POLLIN };
		if (poll(polls, agent.input_count + 1, -1) < 0)
			continue;
		for (unsigned i = 0; i < agent.input_count; i++) {
			if (polls[i].revents & POLLIN)
				read_input(&agent, &agent.inputs[i]);
		}
		if (polls[agent.input_count].revents & POLLIN)
			read_serial(&agent);
	}
}
