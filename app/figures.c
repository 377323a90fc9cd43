#include "figures.h"

#include <string.h>

struct counted {
	gint64 time;
	guint64 guest, user, kernel;                  /* ns */
	guint64 read, written, received, sent;        /* bytes */
	guint64 resident;
};

struct _OrielFigures {
	GObject parent;
	struct counted last;
	gboolean counted;
	struct oriel_sample samples[ORIEL_FIGURES_LENGTH];
	guint first, length;
};

G_DEFINE_FINAL_TYPE(OrielFigures, oriel_figures, G_TYPE_OBJECT)

enum { SIGNAL_CHANGED, SIGNALS };

static guint signals[SIGNALS];

static void oriel_figures_class_init(OrielFiguresClass *class)
{
	signals[SIGNAL_CHANGED] = g_signal_new("changed", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
					       NULL, G_TYPE_NONE, 0);
}

static void oriel_figures_init(OrielFigures *figures)
{
	(void)figures;
}

OrielFigures *oriel_figures_new(void)
{
	return g_object_new(ORIEL_TYPE_FIGURES, NULL);
}

/* Disks and network adapters are numbered: disk0.read.bytes, network1.sent.bytes. */
static void count(struct counted *counted, const char *name, guint64 value)
{
	if (!strcmp(name, "time.guest"))
		counted->guest = value;
	else if (!strcmp(name, "process.user"))
		counted->user = value;
	else if (!strcmp(name, "process.kernel"))
		counted->kernel = value;
	else if (!strcmp(name, "memory.resident"))
		counted->resident = value;
	else if (g_str_has_prefix(name, "disk") && g_str_has_suffix(name, ".read.bytes"))
		counted->read += value;
	else if (g_str_has_prefix(name, "disk") && g_str_has_suffix(name, ".write.bytes"))
		counted->written += value;
	else if (g_str_has_prefix(name, "network") && g_str_has_suffix(name, ".received.bytes"))
		counted->received += value;
	else if (g_str_has_prefix(name, "network") && g_str_has_suffix(name, ".sent.bytes"))
		counted->sent += value;
}

static gboolean went_backwards(const struct counted *old, const struct counted *now)
{
	return now->time <= old->time || now->guest < old->guest || now->kernel < old->kernel || now->read < old->read ||
	       now->written < old->written || now->received < old->received || now->sent < old->sent;
}

static void append(OrielFigures *figures, const struct oriel_sample *sample)
{
	figures->samples[(figures->first + figures->length) % ORIEL_FIGURES_LENGTH] = *sample;
	if (figures->length < ORIEL_FIGURES_LENGTH)
		figures->length++;
	else
		figures->first = (figures->first + 1) % ORIEL_FIGURES_LENGTH;
}

void oriel_figures_add(OrielFigures *figures, GVariant *counters, guint64 memory_guest, gint64 time)
{
	struct counted now = { .time = time }, *old = &figures->last;
	struct oriel_sample sample = { .time = time };
	GVariantIter iter;
	const char *name;
	guint64 value;

	g_return_if_fail(g_variant_is_of_type(counters, G_VARIANT_TYPE("a{st}")));
	g_variant_iter_init(&iter, counters);
	while (g_variant_iter_next(&iter, "{&st}", &name, &value))
		count(&now, name, value);
	if (figures->counted && !went_backwards(old, &now)) {
		double ns = (double)(now.time - old->time) * 1000, seconds = ns / 1e9;

		sample.guest = (double)(now.guest - old->guest) / ns;
		/* The guest's time is known in ticks and taken off elsewhere: this may go back by one. */
		sample.user = now.user > old->user ? (double)(now.user - old->user) / ns : 0;
		sample.kernel = (double)(now.kernel - old->kernel) / ns;
		sample.guest_memory = (double)MIN(memory_guest, now.resident);
		sample.overhead = (double)(now.resident - MIN(memory_guest, now.resident));
		sample.disk_read = (double)(now.read - old->read) / seconds;
		sample.disk_written = (double)(now.written - old->written) / seconds;
		sample.network_received = (double)(now.received - old->received) / seconds;
		sample.network_sent = (double)(now.sent - old->sent) / seconds;
		append(figures, &sample);
	}
	figures->last = now;
	figures->counted = TRUE;
	g_signal_emit(figures, signals[SIGNAL_CHANGED], 0);
}

void oriel_figures_clear(OrielFigures *figures)
{
	figures->length = figures->first = 0;
	figures->counted = FALSE;
	g_signal_emit(figures, signals[SIGNAL_CHANGED], 0);
}

guint oriel_figures_get_length(OrielFigures *figures)
{
	return figures->length;
}

const struct oriel_sample *oriel_figures_get(OrielFigures *figures, guint index)
{
	g_return_val_if_fail(index < figures->length, NULL);
	return &figures->samples[(figures->first + index) % ORIEL_FIGURES_LENGTH];
}

/* "start-end rest" in hexadecimal digits, which no other line starts with; its length, or 0. */
static guint64 mapping_length(const char *line)
{
	char *end;
	guint64 first, last;

	if (!g_ascii_isxdigit(*line) || g_ascii_isupper(*line))
		return 0;
	first = g_ascii_strtoull(line, &end, 16);
	if (*end != '-')
		return 0;
	last = g_ascii_strtoull(end + 1, NULL, 16);
	return last > first ? last - first : 0;
}

/* proc(5): lines "start-end ..." followed by lines "Name: value kB"; some thousands of them. */
guint64 oriel_resident_memory(const char *smaps_path)
{
	static const char resident_name[] = "Rss:";
	guint64 largest = 0, resident = 0;
	g_autofree char *text = NULL;
	gboolean is_largest = FALSE;

	if (!g_file_get_contents(smaps_path, &text, NULL, NULL))
		return 0;
	for (const char *line = text; line && *line;) {
		guint64 length = mapping_length(line);

		if (length) {
			is_largest = length > largest;
			largest = MAX(largest, length);
		} else if (is_largest && strncmp(line, resident_name, strlen(resident_name)) == 0) {
			resident = g_ascii_strtoull(line + strlen(resident_name), NULL, 10) << 10;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return resident;
}
