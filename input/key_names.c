#include "key_names.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <linux/input-event-codes.h>
#include <string.h>

static const char *const names[256] = {
	[KEY_ESC] = "esc", [KEY_1] = "1", [KEY_2] = "2", [KEY_3] = "3", [KEY_4] = "4", [KEY_5] = "5",
	[KEY_6] = "6", [KEY_7] = "7", [KEY_8] = "8", [KEY_9] = "9", [KEY_0] = "0", [KEY_MINUS] = "minus",
	[KEY_EQUAL] = "equal", [KEY_BACKSPACE] = "backspace", [KEY_TAB] = "tab", [KEY_Q] = "q", [KEY_W] = "w",
	[KEY_E] = "e", [KEY_R] = "r", [KEY_T] = "t", [KEY_Y] = "y", [KEY_U] = "u", [KEY_I] = "i",
	[KEY_O] = "o", [KEY_P] = "p", [KEY_LEFTBRACE] = "leftbrace", [KEY_RIGHTBRACE] = "rightbrace",
	[KEY_ENTER] = "enter", [KEY_LEFTCTRL] = "leftctrl", [KEY_A] = "a", [KEY_S] = "s", [KEY_D] = "d",
	[KEY_F] = "f", [KEY_G] = "g", [KEY_H] = "h", [KEY_J] = "j", [KEY_K] = "k", [KEY_L] = "l",
	[KEY_SEMICOLON] = "semicolon", [KEY_APOSTROPHE] = "apostrophe", [KEY_GRAVE] = "grave",
	[KEY_LEFTSHIFT] = "leftshift", [KEY_BACKSLASH] = "backslash", [KEY_Z] = "z", [KEY_X] = "x",
	[KEY_C] = "c", [KEY_V] = "v", [KEY_B] = "b", [KEY_N] = "n", [KEY_M] = "m", [KEY_COMMA] = "comma",
	[KEY_DOT] = "dot", [KEY_SLASH] = "slash", [KEY_RIGHTSHIFT] = "rightshift",
	[KEY_KPASTERISK] = "kpasterisk", [KEY_LEFTALT] = "leftalt", [KEY_SPACE] = "space",
	[KEY_CAPSLOCK] = "capslock", [KEY_F1] = "f1", [KEY_F2] = "f2", [KEY_F3] = "f3", [KEY_F4] = "f4",
	[KEY_F5] = "f5", [KEY_F6] = "f6", [KEY_F7] = "f7", [KEY_F8] = "f8", [KEY_F9] = "f9", [KEY_F10] = "f10",
	[KEY_NUMLOCK] = "numlock", [KEY_SCROLLLOCK] = "scrolllock", [KEY_KP7] = "kp7", [KEY_KP8] = "kp8",
	[KEY_KP9] = "kp9", [KEY_KPMINUS] = "kpminus", [KEY_KP4] = "kp4", [KEY_KP5] = "kp5", [KEY_KP6] = "kp6",
	[KEY_KPPLUS] = "kpplus", [KEY_KP1] = "kp1", [KEY_KP2] = "kp2", [KEY_KP3] = "kp3", [KEY_KP0] = "kp0",
	[KEY_KPDOT] = "kpdot", [KEY_ZENKAKUHANKAKU] = "zenkakuhankaku", [KEY_102ND] = "102nd",
	[KEY_F11] = "f11", [KEY_F12] = "f12", [KEY_RO] = "ro", [KEY_KATAKANA] = "katakana",
	[KEY_HIRAGANA] = "hiragana", [KEY_HENKAN] = "henkan", [KEY_KATAKANAHIRAGANA] = "katakanahiragana",
	[KEY_MUHENKAN] = "muhenkan", [KEY_KPJPCOMMA] = "kpjpcomma", [KEY_KPENTER] = "kpenter",
	[KEY_RIGHTCTRL] = "rightctrl", [KEY_KPSLASH] = "kpslash", [KEY_SYSRQ] = "sysrq",
	[KEY_RIGHTALT] = "rightalt", [KEY_LINEFEED] = "linefeed", [KEY_HOME] = "home", [KEY_UP] = "up",
	[KEY_PAGEUP] = "pageup", [KEY_LEFT] = "left", [KEY_RIGHT] = "right", [KEY_END] = "end",
	[KEY_DOWN] = "down", [KEY_PAGEDOWN] = "pagedown", [KEY_INSERT] = "insert", [KEY_DELETE] = "delete",
	[KEY_MACRO] = "macro", [KEY_MUTE] = "mute", [KEY_VOLUMEDOWN] = "volumedown",
	[KEY_VOLUMEUP] = "volumeup", [KEY_POWER] = "power", [KEY_KPEQUAL] = "kpequal",
	[KEY_KPPLUSMINUS] = "kpplusminus", [KEY_PAUSE] = "pause", [KEY_SCALE] = "scale",
	[KEY_KPCOMMA] = "kpcomma", [KEY_HANGEUL] = "hangeul", [KEY_HANJA] = "hanja", [KEY_YEN] = "yen",
	[KEY_LEFTMETA] = "leftmeta", [KEY_RIGHTMETA] = "rightmeta", [KEY_COMPOSE] = "compose",
	[KEY_STOP] = "stop", [KEY_AGAIN] = "again", [KEY_PROPS] = "props", [KEY_UNDO] = "undo",
	[KEY_FRONT] = "front", [KEY_COPY] = "copy", [KEY_OPEN] = "open", [KEY_PASTE] = "paste",
	[KEY_FIND] = "find", [KEY_CUT] = "cut", [KEY_HELP] = "help", [KEY_MENU] = "menu", [KEY_CALC] = "calc",
	[KEY_SETUP] = "setup", [KEY_SLEEP] = "sleep", [KEY_WAKEUP] = "wakeup", [KEY_FILE] = "file",
	[KEY_SENDFILE] = "sendfile", [KEY_DELETEFILE] = "deletefile", [KEY_XFER] = "xfer",
	[KEY_PROG1] = "prog1", [KEY_PROG2] = "prog2", [KEY_WWW] = "www", [KEY_MSDOS] = "msdos",
	[KEY_COFFEE] = "coffee", [KEY_ROTATE_DISPLAY] = "rotate_display", [KEY_CYCLEWINDOWS] = "cyclewindows",
	[KEY_MAIL] = "mail", [KEY_BOOKMARKS] = "bookmarks", [KEY_COMPUTER] = "computer", [KEY_BACK] = "back",
	[KEY_FORWARD] = "forward", [KEY_CLOSECD] = "closecd", [KEY_EJECTCD] = "ejectcd",
	[KEY_EJECTCLOSECD] = "ejectclosecd", [KEY_NEXTSONG] = "nextsong", [KEY_PLAYPAUSE] = "playpause",
	[KEY_PREVIOUSSONG] = "previoussong", [KEY_STOPCD] = "stopcd", [KEY_RECORD] = "record",
	[KEY_REWIND] = "rewind", [KEY_PHONE] = "phone", [KEY_ISO] = "iso", [KEY_CONFIG] = "config",
	[KEY_HOMEPAGE] = "homepage", [KEY_REFRESH] = "refresh", [KEY_EXIT] = "exit", [KEY_MOVE] = "move",
	[KEY_EDIT] = "edit", [KEY_SCROLLUP] = "scrollup", [KEY_SCROLLDOWN] = "scrolldown",
	[KEY_KPLEFTPAREN] = "kpleftparen", [KEY_KPRIGHTPAREN] = "kprightparen", [KEY_NEW] = "new",
	[KEY_REDO] = "redo", [KEY_F13] = "f13", [KEY_F14] = "f14", [KEY_F15] = "f15", [KEY_F16] = "f16",
	[KEY_F17] = "f17", [KEY_F18] = "f18", [KEY_F19] = "f19", [KEY_F20] = "f20", [KEY_F21] = "f21",
	[KEY_F22] = "f22", [KEY_F23] = "f23", [KEY_F24] = "f24", [KEY_PLAYCD] = "playcd",
	[KEY_PAUSECD] = "pausecd", [KEY_PROG3] = "prog3", [KEY_PROG4] = "prog4",
	[KEY_ALL_APPLICATIONS] = "all_applications", [KEY_SUSPEND] = "suspend", [KEY_CLOSE] = "close",
	[KEY_PLAY] = "play", [KEY_FASTFORWARD] = "fastforward", [KEY_BASSBOOST] = "bassboost",
	[KEY_PRINT] = "print", [KEY_HP] = "hp", [KEY_CAMERA] = "camera", [KEY_SOUND] = "sound",
	[KEY_QUESTION] = "question", [KEY_EMAIL] = "email", [KEY_CHAT] = "chat", [KEY_SEARCH] = "search",
	[KEY_CONNECT] = "connect", [KEY_FINANCE] = "finance", [KEY_SPORT] = "sport", [KEY_SHOP] = "shop",
	[KEY_ALTERASE] = "alterase", [KEY_CANCEL] = "cancel", [KEY_BRIGHTNESSDOWN] = "brightnessdown",
	[KEY_BRIGHTNESSUP] = "brightnessup", [KEY_MEDIA] = "media", [KEY_SWITCHVIDEOMODE] = "switchvideomode",
	[KEY_KBDILLUMTOGGLE] = "kbdillumtoggle", [KEY_KBDILLUMDOWN] = "kbdillumdown",
	[KEY_KBDILLUMUP] = "kbdillumup", [KEY_SEND] = "send", [KEY_REPLY] = "reply",
	[KEY_FORWARDMAIL] = "forwardmail", [KEY_SAVE] = "save", [KEY_DOCUMENTS] = "documents",
	[KEY_BATTERY] = "battery", [KEY_BLUETOOTH] = "bluetooth", [KEY_WLAN] = "wlan", [KEY_UWB] = "uwb",
	[KEY_VIDEO_NEXT] = "video_next", [KEY_VIDEO_PREV] = "video_prev",
	[KEY_BRIGHTNESS_CYCLE] = "brightness_cycle", [KEY_BRIGHTNESS_AUTO] = "brightness_auto",
	[KEY_DISPLAY_OFF] = "display_off", [KEY_WWAN] = "wwan", [KEY_RFKILL] = "rfkill",
	[KEY_MICMUTE] = "micmute",
};

static const struct {
	const char *name;
	uint16_t code;
} aliases[] = {
	{ "alt", KEY_LEFTALT },
	{ "altgr", KEY_RIGHTALT },
	{ "break", KEY_PAUSE },
	{ "ctrl", KEY_LEFTCTRL },
	{ "control", KEY_LEFTCTRL },
	{ "del", KEY_DELETE },
	{ "escape", KEY_ESC },
	{ "ins", KEY_INSERT },
	{ "meta", KEY_LEFTMETA },
	{ "pgdn", KEY_PAGEDOWN },
	{ "pgup", KEY_PAGEUP },
	{ "printscreen", KEY_SYSRQ },
	{ "prtsc", KEY_SYSRQ },
	{ "return", KEY_ENTER },
	{ "shift", KEY_LEFTSHIFT },
	{ "super", KEY_LEFTMETA },
	{ "win", KEY_LEFTMETA },
};

bool key_code_from_name(const char *name, uint16_t *code)
{
	for (guint i = 0; i < G_N_ELEMENTS(aliases); i++) {
		if (g_ascii_strcasecmp(name, aliases[i].name))
			continue;
		*code = aliases[i].code;
		return true;
	}
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!names[i] || g_ascii_strcasecmp(name, names[i]))
			continue;
		*code = (uint16_t)i;
		return true;
	}
	return false;
}

const char *key_name_from_code(uint16_t code)
{
	return code < G_N_ELEMENTS(names) ? names[code] : NULL;
}

unsigned key_combination_parse(const char *text, uint16_t codes[KEY_COMBINATION_MAX], GError **error)
{
	g_auto(GStrv) parts = g_strsplit(text, "+", -1);
	guint count = g_strv_length(parts);

	if (!count || count > KEY_COMBINATION_MAX) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    _("\"%s\" is not a combination of 1 to %d keys joined by +"), text, KEY_COMBINATION_MAX);
		return 0;
	}
	for (guint i = 0; i < count; i++) {
		if (key_code_from_name(parts[i], &codes[i]))
			continue;
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    _("There is no key named \"%s\"; names are like a, f12, ctrl, leftmeta, kp1"), parts[i]);
		return 0;
	}
	return count;
}

static const struct {
	char plain, shifted;
	uint16_t code;
} us_keys[] = {
	{ '`', '~', KEY_GRAVE }, { '1', '!', KEY_1 }, { '2', '@', KEY_2 }, { '3', '#', KEY_3 },
	{ '4', '$', KEY_4 }, { '5', '%', KEY_5 }, { '6', '^', KEY_6 }, { '7', '&', KEY_7 },
	{ '8', '*', KEY_8 }, { '9', '(', KEY_9 }, { '0', ')', KEY_0 }, { '-', '_', KEY_MINUS },
	{ '=', '+', KEY_EQUAL }, { 'q', 'Q', KEY_Q }, { 'w', 'W', KEY_W }, { 'e', 'E', KEY_E },
	{ 'r', 'R', KEY_R }, { 't', 'T', KEY_T }, { 'y', 'Y', KEY_Y }, { 'u', 'U', KEY_U },
	{ 'i', 'I', KEY_I }, { 'o', 'O', KEY_O }, { 'p', 'P', KEY_P }, { '[', '{', KEY_LEFTBRACE },
	{ ']', '}', KEY_RIGHTBRACE }, { '\\', '|', KEY_BACKSLASH }, { 'a', 'A', KEY_A }, { 's', 'S', KEY_S },
	{ 'd', 'D', KEY_D }, { 'f', 'F', KEY_F }, { 'g', 'G', KEY_G }, { 'h', 'H', KEY_H },
	{ 'j', 'J', KEY_J }, { 'k', 'K', KEY_K }, { 'l', 'L', KEY_L }, { ';', ':', KEY_SEMICOLON },
	{ '\'', '"', KEY_APOSTROPHE }, { 'z', 'Z', KEY_Z }, { 'x', 'X', KEY_X }, { 'c', 'C', KEY_C },
	{ 'v', 'V', KEY_V }, { 'b', 'B', KEY_B }, { 'n', 'N', KEY_N }, { 'm', 'M', KEY_M },
	{ ',', '<', KEY_COMMA }, { '.', '>', KEY_DOT }, { '/', '?', KEY_SLASH }, { ' ', 0, KEY_SPACE },
	{ '\n', 0, KEY_ENTER }, { '\t', 0, KEY_TAB }, { '\b', 0, KEY_BACKSPACE }, { 0x1B, 0, KEY_ESC },
};

bool key_for_character(gunichar character, uint16_t *code, bool *shift)
{
	if (!character)
		return false;
	for (guint i = 0; i < G_N_ELEMENTS(us_keys); i++) {
		*shift = character == (gunichar)us_keys[i].shifted;
		*code = us_keys[i].code;
		if (*shift || character == (gunichar)us_keys[i].plain)
			return true;
	}
	return false;
}
