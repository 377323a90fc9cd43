#include <string.h>
#include <unistd.h>

#include "control_internal.h"

void control_get_mode(struct control *control, unsigned *width, unsigned *height)
{
	g_mutex_lock(&control->scanout->lock);
	*width = control->scanout->picture.width;
	*height = control->scanout->picture.height;
	g_mutex_unlock(&control->scanout->lock);
}

static GVariant *property_state(struct control *control)
{
	return g_variant_new_string(control->ops->state(control->machine));
}

static GVariant *property_message(struct control *control)
{
	return g_variant_new_string(control->ops->message(control->machine));
}

static GVariant *property_name(struct control *control)
{
	return g_variant_new_string(control->name);
}

static GVariant *property_folder(struct control *control)
{
	return g_variant_new_string(control->folder);
}

static GVariant *property_process_id(struct control *control)
{
	(void)control;
	return g_variant_new_uint32((guint32)getpid());
}

static GVariant *property_width(struct control *control)
{
	unsigned width, height;

	control->ops->refresh_screen(control->machine);
	control_get_mode(control, &width, &height);
	return g_variant_new_uint32(width);
}

static GVariant *property_height(struct control *control)
{
	unsigned width, height;

	control->ops->refresh_screen(control->machine);
	control_get_mode(control, &width, &height);
	return g_variant_new_uint32(height);
}

static GVariant *property_leds(struct control *control)
{
	return g_variant_new_uint32(control->router->leds);
}

static GVariant *property_serial_pty(struct control *control)
{
	return g_variant_new_string(control->ops->serial_pty(control->machine));
}

static void add_disc(void *builder, int drive, const char *path)
{
	g_variant_builder_add(builder, "{is}", drive, path);
}

static GVariant *property_discs(struct control *control)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{is}"));
	control->ops->discs(control->machine, add_disc, &builder);
	return g_variant_builder_end(&builder);
}

static GVariant *property_microphone(struct control *control)
{
	return g_variant_new_boolean(control->ops->microphone(control->machine));
}

static GVariant *property_link(struct control *control)
{
	return g_variant_new_boolean(control->ops->link(control->machine));
}

static void add_forward(void *builder, const char *forward)
{
	g_variant_builder_add(builder, "s", forward);
}

static GVariant *property_forwards(struct control *control)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	control->ops->forwards(control->machine, add_forward, &builder);
	return g_variant_builder_end(&builder);
}

static void add_path(void *builder, const char *path)
{
	g_autofree char *text = g_filename_display_name(path);

	g_variant_builder_add(builder, "s", text);
}

static GVariant *property_sticks(struct control *control)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	control->ops->sticks(control->machine, add_path, &builder);
	return g_variant_builder_end(&builder);
}

static const struct property {
	const char *name;
	GVariant *(*get)(struct control *control);
} properties[] = {
	{ "State", property_state },
	{ "Message", property_message },
	{ "Name", property_name },
	{ "Folder", property_folder },
	{ "ProcessId", property_process_id },
	{ "Width", property_width },
	{ "Height", property_height },
	{ "Leds", property_leds },
	{ "SerialPty", property_serial_pty },
	{ "Discs", property_discs },
	{ "Microphone", property_microphone },
	{ "Link", property_link },
	{ "Forwards", property_forwards },
	{ "Sticks", property_sticks },
};

GVariant *control_get_property(struct control *control, const char *name)
{
	const struct property *property = properties;

	while (strcmp(property->name, name))
		property++;
	return property->get(control);
}
