/*
 * The host's end of a guest's connections: a small HTTP server that has one file, and takes what is not a request as an
 * upload. On the host's loopback, which a guest behind the NAT finds at 10.0.2.2.
 */
#pragma once

#include <gio/gio.h>

struct file_server {
	GSocketService *service;
	guint16 port;
	guint8 *bytes; /* the file: random, but always the same */
	gsize size;
	GChecksum *received; /* SHA-256 of the latest upload */
	gsize received_size;
	gint received_all;   /* atomic */
};

void file_server_start(struct file_server *server, gsize size);
void file_server_stop(struct file_server *server);
/* SHA-256 of the first bytes of the file. Free with g_free(). */
char *file_server_hash(const struct file_server *server, gsize size);
/* Those bytes as a file of the machine's folder, which it offers by TFTP (from "[network] tftp=."). */
void file_server_offer(const struct file_server *server, const char *folder, const char *name, gsize size);
