#include "forward.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

static bool parse_port(const char *text, uint16_t *port)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(text, 10, 1, UINT16_MAX, &value, NULL))
		return false;
	*port = (uint16_t)value;
	return true;
}

/* "address:port" or "port"; IPv6 addresses stand in brackets. */
static bool parse_end(const char *text, char **host, uint16_t *port)
{
	g_autofree char *address = NULL;
	const char *colon = strrchr(text, ':');
	struct in6_addr parsed;

	if (!colon)
		return parse_port(text, port);
	address = text[0] == '[' && colon > text + 1 && colon[-1] == ']' ?
		g_strndup(text + 1, (gsize)(colon - text - 2)) : g_strndup(text, (gsize)(colon - text));
	if (!*address)
		return parse_port(colon + 1, port);
	if (inet_pton(AF_INET, address, &parsed) != 1 && inet_pton(AF_INET6, address, &parsed) != 1)
		return false;
	*host = g_steal_pointer(&address);
	return parse_port(colon + 1, port);
}

/* What is left out is an IPv4 address: what a guest's IPv6 address will be, nobody knows. */
static bool is_ipv6(const char *address)
{
	return address && strchr(address, ':');
}

struct nat_forward *nat_forward_parse(const char *text, GError **error)
{
	struct nat_forward *forward = g_new0(struct nat_forward, 1);
	const char *rest = text + 4, *dash = strlen(text) > 4 ? strchr(rest, '-') : NULL;
	g_autofree char *host = dash ? g_strndup(rest, (gsize)(dash - rest)) : NULL;

	forward->udp = g_str_has_prefix(text, "udp:");
	if (dash && (forward->udp || g_str_has_prefix(text, "tcp:")) &&
	    parse_end(host, &forward->host_address, &forward->host_port) &&
	    parse_end(dash + 1, &forward->guest_address, &forward->guest_port) &&
	    is_ipv6(forward->host_address) == is_ipv6(forward->guest_address))
		return forward;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		    _("\"%s\" is no port forward. Write tcp:HOSTPORT-GUESTPORT, or "
		      "tcp:ADDRESS:HOSTPORT-ADDRESS:GUESTPORT, or udp: in the place of tcp:"), text);
	nat_forward_free(forward);
	return NULL;
}

void nat_forward_free(struct nat_forward *forward)
{
	g_free(forward->host_address);
	g_free(forward->guest_address);
	g_free(forward);
}

bool nat_forward_is_ipv6(const struct nat_forward *forward)
{
	return is_ipv6(forward->host_address);
}

static void append_end(GString *text, const char *address, uint16_t port)
{
	if (is_ipv6(address))
		g_string_append_printf(text, "[%s]:%u", address, port);
	else if (address)
		g_string_append_printf(text, "%s:%u", address, port);
	else
		g_string_append_printf(text, "%u", port);
}

char *nat_forward_format(const struct nat_forward *forward)
{
	GString *text = g_string_new(forward->udp ? "udp:" : "tcp:");

	append_end(text, forward->host_address, forward->host_port);
	g_string_append_c(text, '-');
	append_end(text, forward->guest_address, forward->guest_port);
	return g_string_free(text, FALSE);
}

bool nat_forward_same_port(const struct nat_forward *a, const struct nat_forward *b)
{
	const char *mine = a->host_address ? a->host_address : NAT_HOST_ADDRESS;

	return a->udp == b->udp && a->host_port == b->host_port &&
	       strcmp(mine, b->host_address ? b->host_address : NAT_HOST_ADDRESS) == 0;
}

GPtrArray *nat_forward_parse_list(const char *list, GError **error)
{
	g_autoptr(GPtrArray) forwards = g_ptr_array_new_with_free_func((GDestroyNotify)nat_forward_free);
	g_auto(GStrv) texts = g_strsplit(list ? list : "", ";", -1);

	for (unsigned i = 0; texts[i]; i++) {
		struct nat_forward *forward;

		if (!*g_strstrip(texts[i]))
			continue;
		forward = nat_forward_parse(texts[i], error);
		if (!forward)
			return NULL;
		g_ptr_array_add(forwards, forward);
	}
	return g_steal_pointer(&forwards);
}

char *nat_forward_format_list(const GPtrArray *forwards)
{
	GString *list = g_string_new(NULL);

	for (guint i = 0; i < forwards->len; i++) {
		g_autofree char *text = nat_forward_format(forwards->pdata[i]);

		g_string_append_printf(list, "%s%s", i ? "; " : "", text);
	}
	return g_string_free(list, FALSE);
}
