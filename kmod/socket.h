/* SPDX-License-Identifier: GPL-2.0 */
/* Kernel TCP sockets, as every connection of the module wants them. */
#ifndef KCCM_KMOD_SOCKET_H
#define KCCM_KMOD_SOCKET_H

#include <linux/net.h>
#include <linux/socket.h>
#include <net/sock.h>

struct kccm_node;

/* The bytes of a struct sockaddr_in or sockaddr_in6; 0: neither. */
int kccm_address_bytes(const struct sockaddr_storage *address);

/* A socket that listens at the node's address. */
int kccm_socket_listen(struct kccm_node *node, struct socket **out);

/* A socket for a connection to `address`, from the node's own; kccm_socket_connect() opens it. */
int kccm_socket_create(struct kccm_node *node, int family, struct socket **out);
/* 0 or -EINPROGRESS: the socket's state tells; does not wait. */
int kccm_socket_connect(struct kccm_node *node, struct socket *sock,
			const struct sockaddr_storage *address);

/* Options of a socket that carries a connection, whether it was dialed or accepted. */
void kccm_socket_set_options(const struct kccm_node *node, struct socket *sock);

#endif
