/* SPDX-License-Identifier: GPL-2.0 */
/* The socket at which a node listens, and the work that accepts. */
#ifndef KCCM_KMOD_LISTENER_H
#define KCCM_KMOD_LISTENER_H

#include <linux/workqueue.h>

struct kccm_node;
struct sock;
struct socket;

struct kccm_listener {
	struct socket *sock;
	struct delayed_work work;
	/* What a socket of TCP has by itself; an accepted one inherits the listener's instead. */
	void (*data_ready)(struct sock *sk);
};

int kccm_listener_start(struct kccm_node *node);
/* When this returns nothing is accepted any more. */
void kccm_listener_stop(struct kccm_node *node);

#endif
