#include "machine.h"

#define BACKGROUND 0x1B2430
#define PANEL 0x263242
#define EDGE 0x3A4A5F
#define TEXT 0xE6EDF5
#define FAINT 0x93A4B8
#define ACCENT 0x4FB3FF
#define LIT 0x58C777

/* Everything is laid out for 1024x768. */
#define KEY_UNIT 12 /* a quarter of a key */
#define KEYBOARD_X 72
#define KEYBOARD_Y 420
#define MOUSE_X 780
#define MOUSE_Y 130

struct key {
	uint8_t code;   /* scan code set 1; bit 7: behind E0 */
	uint8_t x, y, width; /* quarters of a key; row */
	const char *label;
};

#define E0(code) ((code) | 0x80)

static const struct key keys[] = {
	{ 0x01, 0, 0, 4, "Esc" }, { 0x3B, 8, 0, 4, "F1" }, { 0x3C, 12, 0, 4, "F2" }, { 0x3D, 16, 0, 4, "F3" },
	{ 0x3E, 20, 0, 4, "F4" }, { 0x3F, 26, 0, 4, "F5" }, { 0x40, 30, 0, 4, "F6" }, { 0x41, 34, 0, 4, "F7" },
	{ 0x42, 38, 0, 4, "F8" }, { 0x43, 44, 0, 4, "F9" }, { 0x44, 48, 0, 4, "F10" }, { 0x57, 52, 0, 4, "F11" },
	{ 0x58, 56, 0, 4, "F12" },
	{ 0x29, 0, 1, 4, "`" }, { 0x02, 4, 1, 4, "1" }, { 0x03, 8, 1, 4, "2" }, { 0x04, 12, 1, 4, "3" },
	{ 0x05, 16, 1, 4, "4" }, { 0x06, 20, 1, 4, "5" }, { 0x07, 24, 1, 4, "6" }, { 0x08, 28, 1, 4, "7" },
	{ 0x09, 32, 1, 4, "8" }, { 0x0A, 36, 1, 4, "9" }, { 0x0B, 40, 1, 4, "0" }, { 0x0C, 44, 1, 4, "-" },
	{ 0x0D, 48, 1, 4, "=" }, { 0x0E, 52, 1, 8, "Back" },
	{ 0x0F, 0, 2, 6, "Tab" }, { 0x10, 6, 2, 4, "Q" }, { 0x11, 10, 2, 4, "W" }, { 0x12, 14, 2, 4, "E" },
	{ 0x13, 18, 2, 4, "R" }, { 0x14, 22, 2, 4, "T" }, { 0x15, 26, 2, 4, "Y" }, { 0x16, 30, 2, 4, "U" },
	{ 0x17, 34, 2, 4, "I" }, { 0x18, 38, 2, 4, "O" }, { 0x19, 42, 2, 4, "P" }, { 0x1A, 46, 2, 4, "[" },
	{ 0x1B, 50, 2, 4, "]" }, { 0x2B, 54, 2, 6, "\\" },
	{ 0x3A, 0, 3, 7, "Caps" }, { 0x1E, 7, 3, 4, "A" }, { 0x1F, 11, 3, 4, "S" }, { 0x20, 15, 3, 4, "D" },
	{ 0x21, 19, 3, 4, "F" }, { 0x22, 23, 3, 4, "G" }, { 0x23, 27, 3, 4, "H" }, { 0x24, 31, 3, 4, "J" },
	{ 0x25, 35, 3, 4, "K" }, { 0x26, 39, 3, 4, "L" }, { 0x27, 43, 3, 4, ";" }, { 0x28, 47, 3, 4, "'" },
	{ 0x1C, 51, 3, 9, "Enter" },
	{ 0x2A, 0, 4, 9, "Shift" }, { 0x2C, 9, 4, 4, "Z" }, { 0x2D, 13, 4, 4, "X" }, { 0x2E, 17, 4, 4, "C" },
	{ 0x2F, 21, 4, 4, "V" }, { 0x30, 25, 4, 4, "B" }, { 0x31, 29, 4, 4, "N" }, { 0x32, 33, 4, 4, "M" },
	{ 0x33, 37, 4, 4, "," }, { 0x34, 41, 4, 4, "." }, { 0x35, 45, 4, 4, "/" }, { 0x36, 49, 4, 11, "Shift" },
	{ 0x1D, 0, 5, 5, "Ctrl" }, { E0(0x5B), 5, 5, 5, "Win" }, { 0x38, 10, 5, 5, "Alt" }, { 0x39, 15, 5, 25, "" },
	{ E0(0x38), 40, 5, 5, "Alt" }, { E0(0x5C), 45, 5, 5, "Win" }, { E0(0x5D), 50, 5, 5, "Menu" },
	{ E0(0x1D), 55, 5, 5, "Ctrl" },
	{ E0(0x52), 62, 1, 4, "Ins" }, { E0(0x47), 66, 1, 4, "Hom" }, { E0(0x49), 70, 1, 4, "PgU" },
	{ E0(0x53), 62, 2, 4, "Del" }, { E0(0x4F), 66, 2, 4, "End" }, { E0(0x51), 70, 2, 4, "PgD" },
	{ E0(0x48), 66, 4, 4, "\x18" }, { E0(0x4B), 62, 5, 4, "\x1B" }, { E0(0x50), 66, 5, 4, "\x19" },
	{ E0(0x4D), 70, 5, 4, "\x1A" },
};

#define KEYS (sizeof keys / sizeof keys[0])

#define POINTER_WIDTH 12
#define POINTER_HEIGHT 19

static struct {
	bool extended; /* the last byte was E0 */
	bool held[KEYS];
	uint8_t packet[4];
	unsigned packet_length, packet_filled;
	int x, y, wheel;
	uint8_t buttons;
	uint32_t under[POINTER_WIDTH * POINTER_HEIGHT];
	int ball_x, ball_y, ball_dx, ball_dy;
	uint32_t seconds;
} state;

static void panel(int x, int y, int width, int height, const char *title)
{
	screen_fill(x, y, width, height, EDGE);
	screen_fill(x + 1, y + 1, width - 2, height - 2, PANEL);
	screen_text(x + 12, y + 8, title, FAINT, 1);
}

static void draw_key(const struct key *key, bool held)
{
	int x = KEYBOARD_X + key->x * KEY_UNIT, y = KEYBOARD_Y + 34 + key->y * 46 + (key->y ? 8 : 0);
	int width = key->width * KEY_UNIT - 4;

	screen_fill(x, y, width, 40, held ? LIT : EDGE);
	screen_text(x + 6, y + 12, key->label, held ? 0x10202B : TEXT, 1);
}

/* 1 where the arrow is dark, 2 where it is light. */
static unsigned pointer_pixel(int x, int y)
{
	int edge = y < 13 ? y : 12 - (y - 13) * 12;

	if (y > 12) { /* the stem */
		int left = 3 + (y - 12) / 2;

		return x < left || x > left + 3 ? 0 : x == left || x == left + 3 || y == POINTER_HEIGHT - 1 ? 1 : 2;
	}
	if (x > edge || x >= POINTER_WIDTH)
		return 0;
	return x == 0 || x == edge || y == 12 ? 1 : 2;
}

static void pointer_swap(bool show)
{
	for (int y = 0; y < POINTER_HEIGHT && state.y + y < (int)screen.height; y++) {
		for (int x = 0; x < POINTER_WIDTH && state.x + x < (int)screen.width; x++) {
			uint32_t *pixel = screen.pixels + (size_t)(state.y + y) * screen.width + state.x + x;
			uint32_t *under = &state.under[y * POINTER_WIDTH + x];

			if (!pointer_pixel(x, y))
				continue;
			if (show) {
				*under = *pixel;
				*pixel = pointer_pixel(x, y) == 1 ? 0 : 0xFFFFFF;
			} else {
				*pixel = *under;
			}
		}
	}
}

static void draw_mouse(void)
{
	static const char *const names[] = { "left", "right", "middle", "4th", "5th" };
	char text[64], *end;

	for (int i = 0; i < 5; i++) {
		bool held = state.buttons & 1 << i;

		screen_fill(MOUSE_X + 12 + (i % 3) * 66, MOUSE_Y + 32 + (i / 3) * 30, 62, 26, held ? LIT : EDGE);
		screen_text(MOUSE_X + 18 + (i % 3) * 66, MOUSE_Y + 37 + (i / 3) * 30, names[i],
			    held ? 0x10202B : TEXT, 1);
	}
	screen_fill(MOUSE_X + 12, MOUSE_Y + 98, 190, 16, PANEL);
	end = text_copy(text, "x ");
	end = text_number(end, (uint64_t)state.x);
	end = text_copy(end, "  y ");
	end = text_number(end, (uint64_t)state.y);
	end = text_copy(end, state.wheel < 0 ? "  wheel -" : "  wheel ");
	text_number(end, (uint64_t)(state.wheel < 0 ? -state.wheel : state.wheel));
	screen_text(MOUSE_X + 12, MOUSE_Y + 98, text, TEXT, 1);
}

static void draw_colours(void)
{
	static const uint32_t bars[] = { 0xFFFFFF, 0xFFFF00, 0x00FFFF, 0x00FF00, 0xFF00FF, 0xFF0000, 0x0000FF, 0 };

	panel(24, 130, 736, 180, "Colours: eight even bars, four smooth ramps");
	for (int i = 0; i < 8; i++)
		screen_fill(36 + i * 89, 158, 89, 56, bars[i]);
	for (int i = 0; i < 712; i++) {
		uint32_t level = (uint32_t)i * 255 / 711;

		screen_fill(36 + i, 222, 1, 18, level << 16);
		screen_fill(36 + i, 242, 1, 18, level << 8);
		screen_fill(36 + i, 262, 1, 18, level);
		screen_fill(36 + i, 282, 1, 18, level * 0x010101);
	}
}

static char *processor_name(char *out)
{
	uint32_t words[12];

	for (uint32_t i = 0; i < 3; i++)
		__asm__ volatile("cpuid" : "=a"(words[i * 4]), "=b"(words[i * 4 + 1]), "=c"(words[i * 4 + 2]),
				 "=d"(words[i * 4 + 3]) : "a"(0x80000002 + i), "c"(0));
	for (unsigned i = 0; i < sizeof words && (words[i / 4] >> i % 4 * 8 & 0xFF); i++)
		*out++ = (char)(words[i / 4] >> i % 4 * 8);
	*out = 0;
	return out;
}

static void draw_facts(void)
{
	const char *model = disk_init();
	char text[128], *end;

	panel(24, 322, 736, 80, "This machine");
	processor_name(text);
	screen_text(36, 350, text, TEXT, 1);
	end = text_number(text, ram_bytes >> 20);
	end = text_copy(end, " MiB of memory    screen ");
	end = text_number(end, screen.width);
	end = text_copy(end, "x");
	end = text_number(end, screen.height);
	end = text_copy(end, "    disk: ");
	if (model) {
		end = text_copy(end, model);
		end = text_copy(end, ", ");
		end = text_number(end, disk_size() >> 20);
		text_copy(end, " MiB");
	} else {
		text_copy(end, "none");
	}
	screen_text(36, 374, text, TEXT, 1);
}

void interface_draw(void)
{
	screen_fill(0, 0, (int)screen.width, (int)screen.height, BACKGROUND);
	screen_fill(0, 0, (int)screen.width, 104, 0x141B25);
	screen_fill(0, 104, (int)screen.width, 3, ACCENT);
	screen_text(24, 16, "Oriel test disc", TEXT, 3);
	screen_text(24, 74, "Screen, keyboard and mouse at work. Press keys and move the mouse: they light up below. "
		    "F2: network, USB and sound.", FAINT, 1);
	draw_colours();
	draw_facts();
	panel(24, KEYBOARD_Y - 6, 976, 334, "Keyboard");
	for (unsigned i = 0; i < KEYS; i++)
		draw_key(&keys[i], false);
	panel(MOUSE_X, MOUSE_Y, 220, 128, "Mouse");
	panel(MOUSE_X, MOUSE_Y + 140, 220, 132, "Time");
	state.packet_length = ps2_init();
	state.x = (int)screen.width / 2;
	state.y = (int)screen.height / 2;
	state.ball_x = MOUSE_X + 20;
	state.ball_y = MOUSE_Y + 200;
	state.ball_dx = 4;
	state.ball_dy = 3;
	draw_mouse();
	pointer_swap(true);
}

void interface_key(uint8_t byte)
{
	bool release = byte & 0x80;
	uint8_t code = byte & 0x7F;

	if (byte == 0xE0 || byte == 0xE1) {
		state.extended = byte == 0xE0;
		return;
	}
	code |= state.extended ? 0x80 : 0;
	state.extended = false;
	for (unsigned i = 0; i < KEYS; i++) {
		if (keys[i].code != code || state.held[i] == !release)
			continue;
		state.held[i] = !release;
		pointer_swap(false);
		draw_key(&keys[i], !release);
		pointer_swap(true);
	}
}

static int clamp(int value, int low, int high)
{
	return value < low ? low : value > high ? high : value;
}

void interface_mouse(uint8_t byte)
{
	uint8_t *packet = state.packet;

	/* Bit 3 of the first byte is always set: how to find back into step. */
	if (!state.packet_length || (state.packet_filled == 0 && !(byte & 0x08)))
		return;
	packet[state.packet_filled++] = byte;
	if (state.packet_filled < state.packet_length)
		return;
	state.packet_filled = 0;
	pointer_swap(false);
	state.x = clamp(state.x + packet[1] - (packet[0] & 0x10 ? 256 : 0), 0, (int)screen.width - 1);
	state.y = clamp(state.y - packet[2] + (packet[0] & 0x20 ? 256 : 0), 0, (int)screen.height - 1);
	state.buttons = packet[0] & 7;
	if (state.packet_length == 4) {
		state.wheel -= (packet[3] & 0x08) ? (packet[3] & 0x0F) - 16 : packet[3] & 0x07;
		state.buttons |= packet[3] >> 1 & 0x18;
	}
	draw_mouse();
	pointer_swap(true);
}

/* 20 times a second: a ball that bounces and a clock that counts, so that a standing picture is seen as one. */
void interface_tick(void)
{
	int left = MOUSE_X + 12, right = MOUSE_X + 194, top = MOUSE_Y + 170, bottom = MOUSE_Y + 230;
	uint32_t seconds = ticks / 20;
	char text[32], *end;

	pointer_swap(false);
	screen_fill(state.ball_x, state.ball_y, 14, 14, PANEL);
	if (state.ball_x + state.ball_dx < left || state.ball_x + state.ball_dx > right)
		state.ball_dx = -state.ball_dx;
	if (state.ball_y + state.ball_dy < top || state.ball_y + state.ball_dy > bottom)
		state.ball_dy = -state.ball_dy;
	state.ball_x += state.ball_dx;
	state.ball_y += state.ball_dy;
	screen_fill(state.ball_x, state.ball_y, 14, 14, ACCENT);
	if (seconds != state.seconds) {
		state.seconds = seconds;
		screen_fill(MOUSE_X + 12, MOUSE_Y + 250, 190, 16, PANEL);
		end = text_number(text, seconds / 60);
		end = text_copy(end, seconds % 60 < 10 ? ":0" : ":");
		end = text_number(end, seconds % 60);
		text_copy(end, " since the start");
		screen_text(MOUSE_X + 12, MOUSE_Y + 250, text, TEXT, 1);
	}
	pointer_swap(true);
}

/* --- The second page --- */

#define LINE 22

/* A line on the page at y, and one of the serial port. */
static void tell(int *y, const char *text)
{
	screen_text(36, *y, text, TEXT, 1);
	*y += LINE;
	serial_write(text);
	serial_write("\n");
}

static char *put_address(char *end, uint32_t address)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		end = text_number(end, address >> shift & 0xFF);
		if (shift)
			*end++ = '.';
	}
	*end = 0;
	return end;
}

static void try_network(void)
{
	struct network_facts facts;
	char text[96], *end;
	int y = 160;

	panel(24, 130, 976, 110, "Network");
	screen_text(36, y + LINE, "asking for an address", FAINT, 1);
	if (!network_look(&facts)) {
		screen_fill(36, y + LINE, 400, 16, PANEL);
		tell(&y, "network: no Intel 82574L");
		return;
	}
	screen_fill(36, y + LINE, 400, 16, PANEL);
	end = text_copy(text, "network: Intel 82574L ");
	for (unsigned i = 0; i < 6; i++) {
		end = text_hex(end, facts.mac[i], 2);
		*end++ = i < 5 ? ':' : ',';
	}
	text_copy(end, facts.link ? " link up" : " link down");
	tell(&y, text);
	if (facts.address) {
		end = put_address(text_copy(text, "network: offered "), facts.address);
		put_address(text_copy(end, " by "), facts.server);
		tell(&y, text);
	} else if (facts.link) {
		tell(&y, "network: nobody offers an address");
	}
}

static void try_usb(void)
{
	static const char *const speeds[] = { "?", "12 Mbit/s", "1.5 Mbit/s", "480 Mbit/s", "5 Gbit/s" };
	struct usb_fact facts[USB_FACTS];
	int count = usb_look(facts), y = 280;
	char text[96], *end;

	panel(24, 250, 976, 230, "USB");
	if (count <= 0)
		tell(&y, count ? "usb: no xHCI controller" : "usb: nothing is plugged in");
	for (int i = 0; i < count; i++) {
		end = text_number(text_copy(text, "usb: port "), facts[i].port);
		end = text_copy(text_copy(end, ", "), speeds[facts[i].speed]);
		text_copy(text_copy(end, ", "), facts[i].name);
		tell(&y, text);
	}
}

static void try_sound(void)
{
	uint64_t frames = sound_tone(440, 1000);
	char text[96];
	int y = 542;

	screen_fill(36, y, 600, 16, PANEL);
	if (frames)
		text_copy(text_number(text_copy(text, "sound: "), frames), " frames were played");
	else
		text_copy(text, "sound: no HD Audio controller");
	tell(&y, text);
}

void interface_devices(void)
{
	screen_fill(0, 0, (int)screen.width, (int)screen.height, BACKGROUND);
	screen_fill(0, 0, (int)screen.width, 104, 0x141B25);
	screen_fill(0, 104, (int)screen.width, 3, ACCENT);
	screen_text(24, 16, "Oriel test disc", TEXT, 3);
	screen_text(24, 74, "Network and USB as this program finds them. F2: look again. F1: screen, keyboard and mouse.", FAINT, 1);
	try_network();
	try_usb();
	panel(24, 490, 976, 90, "Sound");
	screen_text(36, 520, "T plays a tone for a second.", TEXT, 1);
	serial_write("devices\n");
}

void interface_devices_key(uint8_t scan_code)
{
	if (scan_code == 0x14)
		try_sound();
}
