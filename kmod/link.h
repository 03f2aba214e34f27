/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A link: one TCP connection, between the session's kccm_conn and a socket.
 *
 *	rx_work		socket -> kccm_conn_input()
 *	tx_work		connects; kccm_conn_output() -> socket
 *	close_work	ends the link, and is the only one that frees it
 *
 * Socket calls are made without the node's mutex, and none of them waits. A link is in the node's
 * list and counted, and holds a reference to the node, from its making to the end of close_work.
 */
#ifndef KCCM_KMOD_LINK_H
#define KCCM_KMOD_LINK_H

#include <linux/list.h>
#include <linux/socket.h>
#include <linux/workqueue.h>

struct kccm_conn;
struct kccm_node;
struct kccm_peer;
struct sock;
struct socket;

struct kccm_link {
	struct list_head entry;
	struct kccm_node *node;
	struct sockaddr_storage address; /* of the other side */
	bool outgoing;
	struct socket *sock;
	void *buffer; /* of rx_work */
	struct work_struct rx_work;
	struct delayed_work tx_work; /* what the holder of the lock leaves to others */
	struct work_struct close_work;

	/* What the socket had; under its sk_callback_lock. */
	void (*data_ready)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*write_space)(struct sock *sk);

	/* Under the node's lock. */
	struct kccm_conn *conn; /* NULL: it is being dialed, or the session has refused it */
	bool closing;		/* close_work is queued; nothing else may be queued any more */
	bool last_word;		/* it is the session that closes: what it has to say may go first */
	bool full;		/* the socket takes no more; its write_space queues tx_work */
	bool writing;		/* somebody is, and has released the lock meanwhile */
	struct list_head ready; /* node->ready; or empty */
	u64 written;		/* bytes */

	/* Until the dial is answered. */
	struct kccm_peer *dialed;
	unsigned int lane;
	bool knock;
};

/* Opens a connection for the session. -ENOMEM: nothing has happened. Under the node's lock. */
int kccm_link_dial(struct kccm_node *node, struct kccm_peer *peer, unsigned int lane, bool knock,
		   const struct sockaddr_storage *address);
/* Takes over a socket that was accepted. Without the node's lock. */
void kccm_link_accept(struct kccm_node *node, struct socket *sock);

/* The session has something to write. Under the node's lock. */
void kccm_link_output_ready(struct kccm_link *link);
/* Write what is ready, now or within a tick; under the node's lock, which is released meanwhile. */
void kccm_links_write(struct kccm_node *node);
void kccm_links_write_soon(struct kccm_node *node);
/* It may go on after a standstill (fault.h). Under the node's lock. */
void kccm_link_poke(struct kccm_link *link);
/* Whether we are called by a direct handler, which may not wait. */
bool kccm_link_is_receiving(void);
/* Ends the link. Under the node's lock. */
void kccm_link_close(struct kccm_link *link);

#endif
