/* The network's page of the settings, with the host's ports that lead to the guest. */
#include <glib/gi18n.h>
#include <string.h>

#include "../vmm/net/forward.h"
#include "settings_field.h"

struct network {
	OrielSettings *settings;
	struct settings_field *mac, *link, *mode, *interface, *capture;
	GtkWidget *new_mac, *forwards, *new_forward; /* the last two: everything about them, and the row to add one */
	GtkListBox *list;
	char *listed; /* what the list shows; NULL: nothing yet */
	GtkComboBox *protocol;
	GtkEntry *host_address, *host_port, *guest_address, *guest_port;
	GtkLabel *note;
};

/* --- Forwarded ports --- */

/* A change to the list in machine.conf: the new one takes the place of another that wants the same port. */
struct change {
	const struct nat_forward *forward;
	gboolean add;
};

static gboolean change_list(struct machine_config *config, gpointer data, GError **error)
{
	g_autoptr(GPtrArray) forwards = nat_forward_parse_list(config->forwards, error);
	const struct change *change = data;
	g_autofree char *list = NULL;

	if (!forwards)
		return FALSE;
	for (guint i = forwards->len; i--; )
		if (nat_forward_same_port(forwards->pdata[i], change->forward))
			g_ptr_array_remove_index(forwards, i);
	list = nat_forward_format_list(forwards);
	if (change->add) {
		g_autofree char *text = nat_forward_format(change->forward);
		g_autofree char *before = g_steal_pointer(&list);

		list = g_strconcat(before, *before ? "; " : "", text, NULL);
	}
	return machine_config_set(config, "network", "forward", list, error);
}

static void remove_from_list(struct network *network, const char *text)
{
	g_autoptr(GError) error = NULL;
	struct nat_forward *forward = nat_forward_parse(text, &error);

	if (forward) {
		oriel_settings_edit(network->settings, change_list, &(struct change){ forward, FALSE });
		nat_forward_free(forward);
	}
}

static void add_to_list(struct network *network, const char *text)
{
	struct nat_forward *forward = nat_forward_parse(text, NULL);

	if (oriel_settings_edit(network->settings, change_list, &(struct change){ forward, TRUE }) &&
	    !oriel_settings_is_closed(network->settings)) {
		gtk_entry_set_text(network->host_port, "");
		gtk_entry_set_text(network->guest_port, "");
		oriel_note_tell(network->note, NULL);
	}
	nat_forward_free(forward);
}

/* What a running machine is asked about a forward. */
struct request {
	OrielSettings *settings; /* keeps the page, which has network */
	struct network *network;
	char *text;
	gboolean add;
};

static void answered(GObject *source, GAsyncResult *result, gpointer data)
{
	struct request *request = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(ORIEL_MACHINE(source), result, &error);

	if (!request->add)
		remove_from_list(request->network, request->text); /* a port that could not be opened is not there */
	else if (reply)
		add_to_list(request->network, request->text);
	else if (!oriel_settings_is_closed(request->settings))
		oriel_note_warn(request->network->note, g_strdup(error->message));
	g_object_unref(request->settings);
	g_free(request->text);
	g_free(request);
}

static void request_forward(struct network *network, const char *text, gboolean add)
{
	OrielMachine *machine = oriel_settings_get_machine(network->settings);
	struct request *request;

	if (!oriel_machine_is_live(machine)) {
		(add ? add_to_list : remove_from_list)(network, text);
		return;
	}
	request = g_new(struct request, 1);
	*request = (struct request){ g_object_ref(network->settings), network, g_strdup(text), add };
	oriel_machine_call_async(machine, add ? "AddForward" : "RemoveForward", g_variant_new("(s)", text), answered,
				 request);
}

static void remove_pressed(GtkButton *button, gpointer network)
{
	request_forward(network, g_object_get_data(G_OBJECT(button), "forward"), FALSE);
}

static char *describe(const struct nat_forward *forward)
{
	return g_strdup_printf(_("%s port %u of %s leads to port %u of %s"), forward->udp ? "UDP" : "TCP",
			       forward->host_port, forward->host_address ? forward->host_address : NAT_HOST_ADDRESS,
			       forward->guest_port, forward->guest_address ? forward->guest_address : NAT_GUEST_ADDRESS);
}

static GtkWidget *new_row(struct network *network, const struct nat_forward *forward)
{
	GtkWidget *row = gtk_list_box_row_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12);
	g_autofree char *text = describe(forward);
	GtkWidget *button = oriel_remove_button_new(text);
	GtkWidget *label = gtk_label_new(text);

	gtk_label_set_xalign(GTK_LABEL(label), 0);
	g_object_set(box, "margin", 3, NULL);
	gtk_box_pack_start(GTK_BOX(box), label, TRUE, TRUE, 6);
	gtk_box_pack_end(GTK_BOX(box), button, FALSE, FALSE, 0);
	gtk_container_add(GTK_CONTAINER(row), box);
	atk_object_set_name(gtk_widget_get_accessible(row), text);
	g_object_set_data_full(G_OBJECT(button), "forward", nat_forward_format(forward), g_free);
	g_signal_connect(button, "clicked", G_CALLBACK(remove_pressed), network);
	gtk_widget_show_all(row);
	return row;
}

static void show_list(struct network *network, const char *list)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) forwards = NULL;

	if (g_strcmp0(network->listed, list ? list : "") == 0)
		return;
	g_free(network->listed);
	network->listed = g_strdup(list ? list : "");
	forwards = nat_forward_parse_list(list, &error);
	oriel_remove_children(GTK_CONTAINER(network->list));
	for (guint i = 0; forwards && i < forwards->len; i++)
		gtk_list_box_insert(network->list, new_row(network, forwards->pdata[i]), -1);
	gtk_widget_set_visible(GTK_WIDGET(network->list), forwards && forwards->len);
	if (error)
		oriel_note_warn(network->note, g_strdup(error->message));
}

static char *end_text(GtkEntry *address, GtkEntry *port)
{
	g_autofree char *host = g_strstrip(g_strdup(gtk_entry_get_text(address)));
	g_autofree char *number = g_strstrip(g_strdup(gtk_entry_get_text(port)));

	if (strchr(host, ':'))
		return g_strdup_printf("[%s]:%s", host, number);
	return *host ? g_strdup_printf("%s:%s", host, number) : g_steal_pointer(&number);
}

static gboolean is_port(GtkEntry *entry)
{
	g_autofree char *text = g_strstrip(g_strdup(gtk_entry_get_text(entry)));

	return g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, NULL, NULL);
}

static void add_pressed(struct network *network)
{
	g_autofree char *host = end_text(network->host_address, network->host_port);
	g_autofree char *guest = end_text(network->guest_address, network->guest_port);
	g_autofree char *text = g_strdup_printf("%s:%s-%s", gtk_combo_box_get_active_id(network->protocol), host, guest);
	struct nat_forward *forward = nat_forward_parse(text, NULL);

	if (!is_port(network->host_port) || !is_port(network->guest_port)) {
		oriel_note_warn(network->note, g_strdup(_("A port is a number from 1 to 65535.")));
		gtk_widget_grab_focus(GTK_WIDGET(is_port(network->host_port) ? network->guest_port : network->host_port));
	} else if (!forward) {
		oriel_note_warn(network->note, g_strdup(_("Addresses are numbers such as 127.0.0.1, or empty; with an "
							  "IPv6 address at one end the other has one too.")));
	} else {
		g_autofree char *normal = nat_forward_format(forward);

		request_forward(network, normal, TRUE);
	}
	if (forward)
		nat_forward_free(forward);
}

static GtkEntry *new_small_entry(struct network *network, const char *name, const char *placeholder, int width)
{
	GtkWidget *entry = gtk_entry_new();

	gtk_entry_set_width_chars(GTK_ENTRY(entry), width);
	gtk_entry_set_placeholder_text(GTK_ENTRY(entry), placeholder);
	gtk_widget_set_tooltip_text(entry, name);
	atk_object_set_name(gtk_widget_get_accessible(entry), name);
	g_signal_connect_swapped(entry, "activate", G_CALLBACK(add_pressed), network);
	return GTK_ENTRY(entry);
}

static GtkWidget *new_forward_row(struct network *network)
{
	GtkGrid *grid = oriel_form_new();
	GtkWidget *protocol = gtk_combo_box_text_new(), *button = gtk_button_new_with_mnemonic(_("_Add"));

	gtk_grid_set_column_spacing(grid, 6);
	gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(protocol), "tcp", "TCP");
	gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(protocol), "udp", "UDP");
	gtk_combo_box_set_active(GTK_COMBO_BOX(protocol), 0);
	atk_object_set_name(gtk_widget_get_accessible(protocol), _("Protocol"));
	network->protocol = GTK_COMBO_BOX(protocol);
	network->host_port = new_small_entry(network, _("Port of this computer"), "2222", 6);
	network->host_address = new_small_entry(network, _("Address of this computer"), NAT_HOST_ADDRESS, 11);
	network->guest_port = new_small_entry(network, _("Port of the guest"), "22", 6);
	network->guest_address = new_small_entry(network, _("Address of the guest"), NAT_GUEST_ADDRESS, 11);
	atk_object_set_name(gtk_widget_get_accessible(button), _("Add port forward"));
	g_signal_connect_swapped(button, "clicked", G_CALLBACK(add_pressed), network);
	gtk_grid_attach(grid, protocol, 0, 0, 1, 2);
	gtk_grid_attach(grid, gtk_label_new(_("This computer’s")), 1, 0, 1, 1);
	gtk_grid_attach(grid, GTK_WIDGET(network->host_port), 2, 0, 1, 1);
	gtk_grid_attach(grid, GTK_WIDGET(network->host_address), 3, 0, 1, 1);
	gtk_grid_attach(grid, gtk_label_new(_("to the guest’s")), 1, 1, 1, 1);
	gtk_grid_attach(grid, GTK_WIDGET(network->guest_port), 2, 1, 1, 1);
	gtk_grid_attach(grid, GTK_WIDGET(network->guest_address), 3, 1, 1, 1);
	gtk_grid_attach(grid, button, 4, 0, 1, 2);
	gtk_widget_set_valign(protocol, GTK_ALIGN_CENTER);
	gtk_widget_set_valign(button, GTK_ALIGN_CENTER);
	return GTK_WIDGET(grid);
}

static GtkWidget *new_forwards(struct network *network)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 9);
	GtkLabel *title = oriel_text_label_new(_("Ports of this computer that lead to the guest"));

	network->list = GTK_LIST_BOX(gtk_list_box_new());
	gtk_list_box_set_selection_mode(network->list, GTK_SELECTION_NONE);
	gtk_widget_set_no_show_all(GTK_WIDGET(network->list), TRUE);
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(network->list)), "oriel-list");
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(network->list)), gtk_label_get_text(title));
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(title)), "oriel-name");
	network->note = oriel_text_label_new(NULL);
	gtk_widget_set_no_show_all(GTK_WIDGET(network->note), TRUE);
	network->new_forward = new_forward_row(network);
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(title));
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(network->list));
	gtk_container_add(GTK_CONTAINER(box), network->new_forward);
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(network->note));
	return box;
}

/* --- The adapter --- */

static char *check_mac(const char *text)
{
	uint8_t mac[6];

	return machine_config_parse_mac(text, mac) ? NULL :
	       g_strdup(_("This is not the address of a network adapter. It is like 52:54:00:12:34:56; the second digit "
			  "is even."));
}

/* Of those that anybody may use: bit 1 of the first byte. */
static void enter_new_mac(struct network *network)
{
	guint32 random = g_random_int();
	g_autofree char *mac = g_strdup_printf("52:54:00:%02x:%02x:%02x", random >> 16 & 0xFF, random >> 8 & 0xFF,
					       random & 0xFF);

	settings_field_enter(network->mac, mac);
}

static void update_network(OrielSettings *settings, gpointer data)
{
	const struct machine_config *config = oriel_settings_get_config(settings);
	gboolean adapter = config->network != CONFIG_NETWORK_NONE;
	gboolean nat = config->network_mode == CONFIG_NETWORK_NAT || config->network_mode == CONFIG_NETWORK_ISOLATED;
	struct network *network = data;
	struct settings_field *const fields[] = { network->mode, network->mac, network->link, network->capture };

	for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
		gtk_widget_set_sensitive(settings_field_get_widget(fields[i]), adapter);
	gtk_widget_set_sensitive(network->new_mac, adapter);
	gtk_widget_set_sensitive(settings_field_get_widget(network->interface), adapter && !nat);
	gtk_widget_set_visible(network->forwards, adapter && nat);
	show_list(network, config->forwards);
}

static void free_network(gpointer data)
{
	struct network *network = data;

	g_free(network->listed);
	g_free(network);
}

void oriel_settings_add_network(OrielSettings *settings)
{
	static const struct settings_choice devices[] = {
		{ "e1000e", N_("Intel 82574L (e1000e)") }, { "e1000", N_("Intel 82540EM (e1000), for older systems") },
		{ "none", N_("None") }, { NULL, NULL },
	};
	static const struct settings_choice modes[] = {
		{ "nat", N_("All that this computer reaches") }, { "isolated", N_("Nothing but forwarded ports") },
		{ "tap", N_("The network of a tap device") }, { "bridge", N_("The network of a bridge (for root)") },
		{ NULL, NULL },
	};
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18);
	struct network *network = g_new0(struct network, 1);
	GtkGrid *form = oriel_form_new();

	network->settings = settings;
	g_object_set_data_full(G_OBJECT(settings), "network", network, free_network);
	settings_field_add_choice(settings, form, _("_Device"), "network", "device", devices);
	network->mode = settings_field_add_choice(settings, form, _("The guest _reaches"), "network", "mode", modes);
	network->interface = settings_field_add_entry(settings, form, _("_Interface of this computer"), "network", "interface");
	gtk_entry_set_placeholder_text(GTK_ENTRY(settings_field_get_widget(network->interface)),
				       _("Such as tap0 or br0"));
	network->link = settings_field_add_switch(settings, form, _("_Cable plugged in"), "network", "link");
	settings_field_set_live(network->link, "SetLink");
	network->new_mac = gtk_button_new_with_mnemonic(_("Ne_w"));
	network->mac = settings_field_add_entry(settings, form, _("_Hardware address"), "network", "mac");
	settings_field_set_check(network->mac, check_mac);
	settings_field_add_beside(network->mac, network->new_mac);
	atk_object_set_name(gtk_widget_get_accessible(network->new_mac), _("New hardware address"));
	g_signal_connect_swapped(network->new_mac, "clicked", G_CALLBACK(enter_new_mac), network);
	network->capture = settings_field_add_entry(settings, form, _("Ca_pture to"), "network", "capture");
	gtk_entry_set_placeholder_text(GTK_ENTRY(settings_field_get_widget(network->capture)),
				       _("A file for Wireshark, such as network.pcapng; empty: none"));
	network->forwards = new_forwards(network);
	gtk_container_add(GTK_CONTAINER(page), GTK_WIDGET(form));
	gtk_container_add(GTK_CONTAINER(page), network->forwards);
	oriel_settings_add_page(settings, _("Network"), page, update_network, network);
}
