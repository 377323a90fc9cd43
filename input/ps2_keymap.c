#include "ps2_keymap.h"

#include <glib.h>
#include <linux/input-event-codes.h>

/*
 * The 102-key keyboard of the IBM PS/2 technical reference (sets 2 and 3), with the Japanese keys and the keys that
 * Microsoft's "Keyboard Scan Code Specification" added (set 2 only).
 */
static const struct ps2_key keys[] = {
	[KEY_ESC] = { 0x76, false, 0x08, PS2_KEY_MAKE },
	[KEY_1] = { 0x16, false, 0x16, PS2_KEY_TYPEMATIC },
	[KEY_2] = { 0x1E, false, 0x1E, PS2_KEY_TYPEMATIC },
	[KEY_3] = { 0x26, false, 0x26, PS2_KEY_TYPEMATIC },
	[KEY_4] = { 0x25, false, 0x25, PS2_KEY_TYPEMATIC },
	[KEY_5] = { 0x2E, false, 0x2E, PS2_KEY_TYPEMATIC },
	[KEY_6] = { 0x36, false, 0x36, PS2_KEY_TYPEMATIC },
	[KEY_7] = { 0x3D, false, 0x3D, PS2_KEY_TYPEMATIC },
	[KEY_8] = { 0x3E, false, 0x3E, PS2_KEY_TYPEMATIC },
	[KEY_9] = { 0x46, false, 0x46, PS2_KEY_TYPEMATIC },
	[KEY_0] = { 0x45, false, 0x45, PS2_KEY_TYPEMATIC },
	[KEY_MINUS] = { 0x4E, false, 0x4E, PS2_KEY_TYPEMATIC },
	[KEY_EQUAL] = { 0x55, false, 0x55, PS2_KEY_TYPEMATIC },
	[KEY_BACKSPACE] = { 0x66, false, 0x66, PS2_KEY_TYPEMATIC },
	[KEY_TAB] = { 0x0D, false, 0x0D, PS2_KEY_TYPEMATIC },
	[KEY_Q] = { 0x15, false, 0x15, PS2_KEY_TYPEMATIC },
	[KEY_W] = { 0x1D, false, 0x1D, PS2_KEY_TYPEMATIC },
	[KEY_E] = { 0x24, false, 0x24, PS2_KEY_TYPEMATIC },
	[KEY_R] = { 0x2D, false, 0x2D, PS2_KEY_TYPEMATIC },
	[KEY_T] = { 0x2C, false, 0x2C, PS2_KEY_TYPEMATIC },
	[KEY_Y] = { 0x35, false, 0x35, PS2_KEY_TYPEMATIC },
	[KEY_U] = { 0x3C, false, 0x3C, PS2_KEY_TYPEMATIC },
	[KEY_I] = { 0x43, false, 0x43, PS2_KEY_TYPEMATIC },
	[KEY_O] = { 0x44, false, 0x44, PS2_KEY_TYPEMATIC },
	[KEY_P] = { 0x4D, false, 0x4D, PS2_KEY_TYPEMATIC },
	[KEY_LEFTBRACE] = { 0x54, false, 0x54, PS2_KEY_TYPEMATIC },
	[KEY_RIGHTBRACE] = { 0x5B, false, 0x5B, PS2_KEY_TYPEMATIC },
	[KEY_ENTER] = { 0x5A, false, 0x5A, PS2_KEY_TYPEMATIC },
	[KEY_LEFTCTRL] = { 0x14, false, 0x11, PS2_KEY_MAKE_BREAK },
	[KEY_A] = { 0x1C, false, 0x1C, PS2_KEY_TYPEMATIC },
	[KEY_S] = { 0x1B, false, 0x1B, PS2_KEY_TYPEMATIC },
	[KEY_D] = { 0x23, false, 0x23, PS2_KEY_TYPEMATIC },
	[KEY_F] = { 0x2B, false, 0x2B, PS2_KEY_TYPEMATIC },
	[KEY_G] = { 0x34, false, 0x34, PS2_KEY_TYPEMATIC },
	[KEY_H] = { 0x33, false, 0x33, PS2_KEY_TYPEMATIC },
	[KEY_J] = { 0x3B, false, 0x3B, PS2_KEY_TYPEMATIC },
	[KEY_K] = { 0x42, false, 0x42, PS2_KEY_TYPEMATIC },
	[KEY_L] = { 0x4B, false, 0x4B, PS2_KEY_TYPEMATIC },
	[KEY_SEMICOLON] = { 0x4C, false, 0x4C, PS2_KEY_TYPEMATIC },
	[KEY_APOSTROPHE] = { 0x52, false, 0x52, PS2_KEY_TYPEMATIC },
	[KEY_GRAVE] = { 0x0E, false, 0x0E, PS2_KEY_TYPEMATIC },
	[KEY_LEFTSHIFT] = { 0x12, false, 0x12, PS2_KEY_MAKE_BREAK },
	[KEY_BACKSLASH] = { 0x5D, false, 0x5C, PS2_KEY_TYPEMATIC },
	[KEY_Z] = { 0x1A, false, 0x1A, PS2_KEY_TYPEMATIC },
	[KEY_X] = { 0x22, false, 0x22, PS2_KEY_TYPEMATIC },
	[KEY_C] = { 0x21, false, 0x21, PS2_KEY_TYPEMATIC },
	[KEY_V] = { 0x2A, false, 0x2A, PS2_KEY_TYPEMATIC },
	[KEY_B] = { 0x32, false, 0x32, PS2_KEY_TYPEMATIC },
	[KEY_N] = { 0x31, false, 0x31, PS2_KEY_TYPEMATIC },
	[KEY_M] = { 0x3A, false, 0x3A, PS2_KEY_TYPEMATIC },
	[KEY_COMMA] = { 0x41, false, 0x41, PS2_KEY_TYPEMATIC },
	[KEY_DOT] = { 0x49, false, 0x49, PS2_KEY_TYPEMATIC },
	[KEY_SLASH] = { 0x4A, false, 0x4A, PS2_KEY_TYPEMATIC },
	[KEY_RIGHTSHIFT] = { 0x59, false, 0x59, PS2_KEY_MAKE_BREAK },
	[KEY_KPASTERISK] = { 0x7C, false, 0x7E, PS2_KEY_MAKE },
	[KEY_LEFTALT] = { 0x11, false, 0x19, PS2_KEY_MAKE_BREAK },
	[KEY_SPACE] = { 0x29, false, 0x29, PS2_KEY_TYPEMATIC },
	[KEY_CAPSLOCK] = { 0x58, false, 0x14, PS2_KEY_MAKE_BREAK },
	[KEY_F1] = { 0x05, false, 0x07, PS2_KEY_MAKE },
	[KEY_F2] = { 0x06, false, 0x0F, PS2_KEY_MAKE },
	[KEY_F3] = { 0x04, false, 0x17, PS2_KEY_MAKE },
	[KEY_F4] = { 0x0C, false, 0x1F, PS2_KEY_MAKE },
	[KEY_F5] = { 0x03, false, 0x27, PS2_KEY_MAKE },
	[KEY_F6] = { 0x0B, false, 0x2F, PS2_KEY_MAKE },
	[KEY_F7] = { 0x83, false, 0x37, PS2_KEY_MAKE },
	[KEY_F8] = { 0x0A, false, 0x3F, PS2_KEY_MAKE },
	[KEY_F9] = { 0x01, false, 0x47, PS2_KEY_MAKE },
	[KEY_F10] = { 0x09, false, 0x4F, PS2_KEY_MAKE },
	[KEY_NUMLOCK] = { 0x77, false, 0x76, PS2_KEY_MAKE },
	[KEY_SCROLLLOCK] = { 0x7E, false, 0x5F, PS2_KEY_MAKE },
	[KEY_KP7] = { 0x6C, false, 0x6C, PS2_KEY_MAKE },
	[KEY_KP8] = { 0x75, false, 0x75, PS2_KEY_MAKE },
	[KEY_KP9] = { 0x7D, false, 0x7D, PS2_KEY_MAKE },
	[KEY_KPMINUS] = { 0x7B, false, 0x84, PS2_KEY_MAKE },
	[KEY_KP4] = { 0x6B, false, 0x6B, PS2_KEY_MAKE },
	[KEY_KP5] = { 0x73, false, 0x73, PS2_KEY_MAKE },
	[KEY_KP6] = { 0x74, false, 0x74, PS2_KEY_MAKE },
	[KEY_KPPLUS] = { 0x79, false, 0x7C, PS2_KEY_TYPEMATIC },
	[KEY_KP1] = { 0x69, false, 0x69, PS2_KEY_MAKE },
	[KEY_KP2] = { 0x72, false, 0x72, PS2_KEY_MAKE },
	[KEY_KP3] = { 0x7A, false, 0x7A, PS2_KEY_MAKE },
	[KEY_KP0] = { 0x70, false, 0x70, PS2_KEY_MAKE },
	[KEY_KPDOT] = { 0x71, false, 0x71, PS2_KEY_MAKE },
	[KEY_102ND] = { 0x61, false, 0x13, PS2_KEY_TYPEMATIC },
	[KEY_F11] = { 0x78, false, 0x56, PS2_KEY_MAKE },
	[KEY_F12] = { 0x07, false, 0x5E, PS2_KEY_MAKE },
	[KEY_RO] = { 0x51, false, 0x51, PS2_KEY_TYPEMATIC },
	[KEY_KATAKANAHIRAGANA] = { 0x13, false, 0x87, PS2_KEY_MAKE },
	[KEY_HENKAN] = { 0x64, false, 0x86, PS2_KEY_MAKE },
	[KEY_MUHENKAN] = { 0x67, false, 0x85, PS2_KEY_MAKE },
	[KEY_KPENTER] = { 0x5A, true, 0x79, PS2_KEY_MAKE },
	[KEY_RIGHTCTRL] = { 0x14, true, 0x58, PS2_KEY_MAKE },
	[KEY_KPSLASH] = { 0x4A, true, 0x77, PS2_KEY_MAKE },
	[KEY_SYSRQ] = { 0x7C, true, 0x57, PS2_KEY_MAKE },
	[KEY_RIGHTALT] = { 0x11, true, 0x39, PS2_KEY_MAKE },
	[KEY_HOME] = { 0x6C, true, 0x6E, PS2_KEY_MAKE },
	[KEY_UP] = { 0x75, true, 0x63, PS2_KEY_TYPEMATIC },
	[KEY_PAGEUP] = { 0x7D, true, 0x6F, PS2_KEY_MAKE },
	[KEY_LEFT] = { 0x6B, true, 0x61, PS2_KEY_TYPEMATIC },
	[KEY_RIGHT] = { 0x74, true, 0x6A, PS2_KEY_TYPEMATIC },
	[KEY_END] = { 0x69, true, 0x65, PS2_KEY_MAKE },
	[KEY_DOWN] = { 0x72, true, 0x60, PS2_KEY_TYPEMATIC },
	[KEY_PAGEDOWN] = { 0x7A, true, 0x6D, PS2_KEY_MAKE },
	[KEY_INSERT] = { 0x70, true, 0x67, PS2_KEY_MAKE },
	[KEY_DELETE] = { 0x71, true, 0x64, PS2_KEY_TYPEMATIC },
	[KEY_MUTE] = { 0x23, true },
	[KEY_VOLUMEDOWN] = { 0x21, true },
	[KEY_VOLUMEUP] = { 0x32, true },
	[KEY_POWER] = { 0x37, true },
	[KEY_KPEQUAL] = { 0x0F, false },
	[KEY_PAUSE] = { 0x77, false, 0x62, PS2_KEY_MAKE },
	[KEY_KPCOMMA] = { 0x6D, false },
	[KEY_YEN] = { 0x6A, false, 0x5D, PS2_KEY_TYPEMATIC },
	[KEY_LEFTMETA] = { 0x1F, true, 0x8B, PS2_KEY_MAKE_BREAK },
	[KEY_RIGHTMETA] = { 0x27, true, 0x8C, PS2_KEY_MAKE_BREAK },
	[KEY_COMPOSE] = { 0x2F, true, 0x8D, PS2_KEY_MAKE_BREAK },
	[KEY_MENU] = { 0x2F, true, 0x8D, PS2_KEY_MAKE_BREAK },
	[KEY_STOP] = { 0x28, true },
	[KEY_CALC] = { 0x2B, true },
	[KEY_SLEEP] = { 0x3F, true },
	[KEY_WAKEUP] = { 0x5E, true },
	[KEY_MAIL] = { 0x48, true },
	[KEY_BOOKMARKS] = { 0x18, true },
	[KEY_COMPUTER] = { 0x40, true },
	[KEY_BACK] = { 0x38, true },
	[KEY_FORWARD] = { 0x30, true },
	[KEY_NEXTSONG] = { 0x4D, true },
	[KEY_PLAYPAUSE] = { 0x34, true },
	[KEY_PREVIOUSSONG] = { 0x15, true },
	[KEY_STOPCD] = { 0x3B, true },
	[KEY_HOMEPAGE] = { 0x3A, true },
	[KEY_REFRESH] = { 0x20, true },
	[KEY_F13] = { 0x08, false },
	[KEY_F14] = { 0x10, false },
	[KEY_F15] = { 0x18, false },
	[KEY_F16] = { 0x20, false },
	[KEY_F17] = { 0x28, false },
	[KEY_F18] = { 0x30, false },
	[KEY_F19] = { 0x38, false },
	[KEY_F20] = { 0x40, false },
	[KEY_F21] = { 0x48, false },
	[KEY_F22] = { 0x50, false },
	[KEY_F23] = { 0x57, false },
	[KEY_F24] = { 0x5F, false },
	[KEY_SEARCH] = { 0x10, true },
	[KEY_MEDIA] = { 0x50, true },
};

const struct ps2_key *ps2_find_key(unsigned code)
{
	return code < G_N_ELEMENTS(keys) && keys[code].set2 ? &keys[code] : NULL;
}

/* Of the 8042's firmware; from 80 on bytes pass unchanged, but for the two keys with codes up there. */
static const uint8_t translation[128] = {
	0xFF, 0x43, 0x41, 0x3F, 0x3D, 0x3B, 0x3C, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3E, 0x0F, 0x29, 0x59,
	0x65, 0x38, 0x2A, 0x70, 0x1D, 0x10, 0x02, 0x5A, 0x66, 0x71, 0x2C, 0x1F, 0x1E, 0x11, 0x03, 0x5B,
	0x67, 0x2E, 0x2D, 0x20, 0x12, 0x05, 0x04, 0x5C, 0x68, 0x39, 0x2F, 0x21, 0x14, 0x13, 0x06, 0x5D,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5E, 0x6A, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5F,
	0x6B, 0x33, 0x25, 0x17, 0x18, 0x0B, 0x0A, 0x60, 0x6C, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0C, 0x61,
	0x6D, 0x73, 0x28, 0x74, 0x1A, 0x0D, 0x62, 0x6E, 0x3A, 0x36, 0x1C, 0x1B, 0x75, 0x2B, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7A, 0x0E, 0x7B, 0x7C, 0x4F, 0x7D, 0x4B, 0x47, 0x7E, 0x7F, 0x6F,
	0x52, 0x53, 0x50, 0x4C, 0x4D, 0x48, 0x01, 0x45, 0x57, 0x4E, 0x51, 0x4A, 0x37, 0x49, 0x46, 0x54,
};

bool ps2_translate(uint8_t byte, bool *release, uint8_t *translated)
{
	if (byte == 0xF0) {
		*release = true;
		return false;
	}
	if (byte < 0x80)
		*translated = translation[byte];
	else if (byte == 0x83 || byte == 0x84)
		*translated = byte == 0x83 ? 0x41 : 0x54;
	else
		*translated = byte;
	/* A prefix may stand between F0 and the code. */
	if (*release && byte != 0xE0 && byte != 0xE1) {
		*translated |= 0x80;
		*release = false;
	}
	return true;
}
