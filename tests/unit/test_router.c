/* Input router and key names. */
#include "fake_machine.h"

#include "../../input/key_names.h"
#include "../../input/router.h"

struct recorder {
	struct input_sink sink;
	GString *log;
	bool ready;
};

static void record(struct input_sink *sink, const struct input_event *event)
{
	struct recorder *recorder = (struct recorder *)sink;

	g_string_append_printf(recorder->log, "%u:%u:%d ", event->type, event->code, event->value);
}

static bool recorder_ready(struct input_sink *sink)
{
	return ((struct recorder *)sink)->ready;
}

static void recorder_init(struct recorder *recorder, unsigned kinds, int rank, bool active)
{
	recorder->sink = (struct input_sink){ .name = "recorder", .kinds = kinds, .rank = rank, .active = active,
					      .event = record, .ready = recorder_ready };
	recorder->log = g_string_new(NULL);
	recorder->ready = false;
}

static void expect(struct recorder *recorder, const char *text)
{
	g_assert_cmpstr(recorder->log->str, ==, text);
	g_string_truncate(recorder->log, 0);
}

static void send(struct input_router *router, uint16_t type, uint16_t code, int32_t value)
{
	const struct input_event events[] = { { type, code, value }, { EV_SYN, SYN_REPORT, 0 } };

	input_router_send(router, events, G_N_ELEMENTS(events));
}

static void test_keys_held(void)
{
	struct input_router router;
	struct recorder keyboard;

	input_router_init(&router);
	recorder_init(&keyboard, INPUT_KEYBOARD, 0, true);
	input_router_add(&router, &keyboard.sink);
	send(&router, EV_KEY, KEY_A, 0);
	expect(&keyboard, "");
	send(&router, EV_KEY, KEY_A, 1);
	expect(&keyboard, "1:30:1 0:0:0 ");
	send(&router, EV_KEY, KEY_A, 1);
	send(&router, EV_KEY, KEY_A, 2);
	send(&router, EV_KEY, BTN_LEFT, 1);
	send(&router, EV_KEY, KEY_MAX + 1, 1);
	send(&router, EV_KEY, 0xFFFF, 1);
	send(&router, 0xFFFF, KEY_A, 1);
	expect(&keyboard, "");
	send(&router, EV_KEY, KEY_LEFTCTRL, 1);
	expect(&keyboard, "1:29:1 0:0:0 ");
	input_router_release_all(&router);
	expect(&keyboard, "1:29:0 1:30:0 0:0:0 ");
	send(&router, EV_KEY, KEY_A, 0);
	expect(&keyboard, "");
	input_router_remove(&router, &keyboard.sink);
	g_string_free(keyboard.log, TRUE);
	input_router_finish(&router);
}

static void count_change(struct input_router *router, void *opaque)
{
	(void)router;
	++*(unsigned *)opaque;
}

static void test_take_over(void)
{
	struct input_router router;
	struct recorder ps2, usb;
	unsigned changes = 0;

	input_router_init(&router);
	router.changed = count_change;
	router.changed_opaque = &changes;
	recorder_init(&ps2, INPUT_KEYBOARD | INPUT_MOUSE, 0, true);
	recorder_init(&usb, INPUT_KEYBOARD | INPUT_TABLET, 10, false);
	input_router_add(&router, &ps2.sink);
	input_router_add(&router, &usb.sink);
	g_assert_cmpuint(changes, ==, 1);
	g_assert_cmpuint(input_router_kinds(&router), ==, INPUT_KEYBOARD | INPUT_MOUSE);
	send(&router, EV_KEY, KEY_B, 1);
	send(&router, EV_KEY, BTN_LEFT, 1);
	send(&router, EV_ABS, ABS_X, 100);
	expect(&ps2, "1:48:1 0:0:0 1:272:1 0:0:0 ");
	/* A key or button held on the old sink is let go there, and its release is not sent to the new one. */
	input_sink_set_active(&router, &usb.sink, true);
	expect(&ps2, "1:48:0 0:0:0 1:272:0 0:0:0 ");
	g_assert_cmpuint(changes, ==, 2);
	send(&router, EV_KEY, KEY_B, 0);
	send(&router, EV_KEY, BTN_LEFT, 0);
	expect(&usb, "");
	send(&router, EV_KEY, KEY_B, 1);
	send(&router, EV_REL, REL_WHEEL, -1);
	send(&router, EV_ABS, ABS_X, 40000);
	send(&router, EV_ABS, ABS_PRESSURE, 1);
	expect(&usb, "1:48:1 0:0:0 2:8:-1 0:0:0 3:0:32767 0:0:0 ");
	send(&router, EV_REL, REL_X, 5);
	expect(&ps2, "2:0:5 0:0:0 ");
	input_sink_set_active(&router, &usb.sink, false);
	expect(&usb, "1:48:0 0:0:0 ");
	send(&router, EV_REL, REL_WHEEL, 1);
	expect(&ps2, "2:8:1 0:0:0 ");
	input_router_remove(&router, &usb.sink);
	input_router_remove(&router, &ps2.sink);
	g_assert_cmpuint(input_router_kinds(&router), ==, 0);
	send(&router, EV_KEY, KEY_B, 1);
	expect(&ps2, "");
	g_string_free(ps2.log, TRUE);
	g_string_free(usb.log, TRUE);
	input_router_finish(&router);
}

static void test_groups(void)
{
	const struct input_event group[] = {
		{ EV_REL, REL_X, 3 }, { EV_REL, REL_Y, 0 }, { EV_REL, REL_Y, -4 }, { EV_KEY, KEY_Z, 1 },
		{ EV_SYN, SYN_REPORT, 0 },
	};
	struct input_router router;
	struct recorder keyboard, mouse;

	input_router_init(&router);
	recorder_init(&keyboard, INPUT_KEYBOARD, 0, true);
	recorder_init(&mouse, INPUT_MOUSE, 0, true);
	input_router_add(&router, &keyboard.sink);
	input_router_add(&router, &mouse.sink);
	input_router_send(&router, group, G_N_ELEMENTS(group));
	expect(&mouse, "2:0:3 2:1:-4 0:0:0 ");
	expect(&keyboard, "1:44:1 0:0:0 ");
	g_assert_false(input_router_ready(&router, INPUT_KEYBOARD));
	keyboard.ready = true;
	g_assert_true(input_router_ready(&router, INPUT_KEYBOARD));
	g_assert_false(input_router_ready(&router, INPUT_TABLET));
	input_router_remove(&router, &keyboard.sink);
	input_router_remove(&router, &mouse.sink);
	g_string_free(keyboard.log, TRUE);
	g_string_free(mouse.log, TRUE);
	input_router_finish(&router);
}

static void test_leds(void)
{
	struct input_router router;
	unsigned changes = 0;

	input_router_init(&router);
	router.changed = count_change;
	router.changed_opaque = &changes;
	input_router_set_leds(&router, INPUT_LED_CAPS);
	input_router_set_leds(&router, INPUT_LED_CAPS);
	g_assert_cmpuint(changes, ==, 1);
	g_assert_cmpuint(router.leds, ==, INPUT_LED_CAPS);
	input_router_finish(&router);
}

static void test_key_names(void)
{
	static const struct {
		const char *name;
		uint16_t code;
	} known[] = {
		{ "a", KEY_A }, { "F12", KEY_F12 }, { "ctrl", KEY_LEFTCTRL }, { "alt", KEY_LEFTALT },
		{ "delete", KEY_DELETE }, { "leftmeta", KEY_LEFTMETA }, { "kp1", KEY_KP1 }, { "102nd", KEY_102ND },
		{ "sysrq", KEY_SYSRQ }, { "enter", KEY_ENTER }, { "volumeup", KEY_VOLUMEUP },
		{ "Shift", KEY_LEFTSHIFT },
	};
	uint16_t code;

	for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
		g_assert_true(key_code_from_name(known[i].name, &code));
		g_assert_cmpuint(code, ==, known[i].code);
	}
	g_assert_false(key_code_from_name("", &code));
	g_assert_false(key_code_from_name("nosuchkey", &code));
	for (unsigned i = 1; i < 256; i++) {
		const char *name = key_name_from_code((uint16_t)i);

		if (!name)
			continue;
		g_assert_true(key_code_from_name(name, &code));
		g_assert_cmpuint(code, ==, i);
	}
	g_assert_null(key_name_from_code(0));
	g_assert_null(key_name_from_code(0xFFFF));
}

static void test_combinations(void)
{
	static const char *const bad[] = { "", "+", "a+", "ctrl+nosuch", "a+b+c+d+e+f+g+h+i" };
	uint16_t codes[KEY_COMBINATION_MAX];
	GError *error = NULL;

	g_assert_cmpuint(key_combination_parse("ctrl+alt+delete", codes, &error), ==, 3);
	g_assert_no_error(error);
	g_assert_cmpuint(codes[0], ==, KEY_LEFTCTRL);
	g_assert_cmpuint(codes[2], ==, KEY_DELETE);
	g_assert_cmpuint(key_combination_parse("kpplus", codes, &error), ==, 1);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_cmpuint(key_combination_parse(bad[i], codes, &error), ==, 0);
		g_assert_nonnull(error);
		g_clear_error(&error);
	}
}

static void test_characters(void)
{
	uint16_t code;
	bool shift;

	for (gunichar c = ' '; c < 0x7F; c++)
		g_assert_true(key_for_character(c, &code, &shift));
	g_assert_true(key_for_character('A', &code, &shift));
	g_assert_cmpuint(code, ==, KEY_A);
	g_assert_true(shift);
	g_assert_true(key_for_character('|', &code, &shift));
	g_assert_cmpuint(code, ==, KEY_BACKSLASH);
	g_assert_true(shift);
	g_assert_true(key_for_character('\n', &code, &shift));
	g_assert_cmpuint(code, ==, KEY_ENTER);
	g_assert_false(shift);
	g_assert_false(key_for_character(0, &code, &shift));
	g_assert_false(key_for_character(0xE9, &code, &shift));
	g_assert_false(key_for_character(0x161, &code, &shift));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/router/keys-held", test_keys_held);
	g_test_add_func("/router/take-over", test_take_over);
	g_test_add_func("/router/groups", test_groups);
	g_test_add_func("/router/leds", test_leds);
	g_test_add_func("/router/key-names", test_key_names);
	g_test_add_func("/router/combinations", test_combinations);
	g_test_add_func("/router/characters", test_characters);
	return g_test_run();
}
