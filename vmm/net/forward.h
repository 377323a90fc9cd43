/*
 * Ports of the host at which connections to a guest arrive, as people write them. Needs no network; shared with the
 * manager.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define NAT_HOST_ADDRESS "127.0.0.1" /* where nothing else is said */
#define NAT_GUEST_ADDRESS "10.0.2.15" /* the first that DHCP gives */

/* A port of the host at which connections to the guest arrive. */
struct nat_forward {
	bool udp;
	char *host_address; /* numeric; NULL: 127.0.0.1 */
	uint16_t host_port;
	char *guest_address; /* numeric; NULL: the first that DHCP gives */
	uint16_t guest_port;
};

/*
 * "tcp:127.0.0.1:2222-10.0.2.15:22", "udp:[::1]:53-[fec0::15]:53"; both IPv4 addresses may be left out:
 * "tcp:2222-22". NULL with an error.
 */
struct nat_forward *nat_forward_parse(const char *text, GError **error);
void nat_forward_free(struct nat_forward *forward);
/* As nat_forward_parse() takes it. Free with g_free(). */
char *nat_forward_format(const struct nat_forward *forward);
bool nat_forward_is_ipv6(const struct nat_forward *forward);
/* Both want the same port of the host. */
bool nat_forward_same_port(const struct nat_forward *a, const struct nat_forward *b);

/* With semicolons between them; NULL: none. An array of struct nat_forward that frees them; NULL with an error. */
GPtrArray *nat_forward_parse_list(const char *list, GError **error);
char *nat_forward_format_list(const GPtrArray *forwards);
