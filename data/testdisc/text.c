#include "machine.h"

char *text_copy(char *out, const char *in)
{
	while ((*out = *in++))
		out++;
	return out;
}

char *text_number(char *out, uint64_t number)
{
	char digits[20];
	unsigned count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count)
		*out++ = digits[--count];
	*out = 0;
	return out;
}

char *text_hex(char *out, uint64_t number, unsigned digits)
{
	while (digits--)
		*out++ = "0123456789abcdef"[number >> digits * 4 & 15];
	*out = 0;
	return out;
}

bool text_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool text_starts(const char *text, const char *start)
{
	while (*start)
		if (*text++ != *start++)
			return false;
	return true;
}

bool text_word(const char **text, const char *word)
{
	const char *rest = *text;

	while (*word && *rest == *word) {
		rest++;
		word++;
	}
	if (*word || (*rest && *rest != ' '))
		return false;
	*text = *rest ? rest + 1 : rest;
	return true;
}

uint64_t text_parse(const char **text)
{
	uint64_t number = 0;

	while (**text == ' ')
		(*text)++;
	while (**text >= '0' && **text <= '9')
		number = number * 10 + (uint64_t)(*(*text)++ - '0');
	return number;
}

/* The compiler calls these two on its own, too. */
void *memcpy(void *to, const void *from, size_t size)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return start;
}

void *memset(void *to, int value, size_t size)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
	return start;
}
