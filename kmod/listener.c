// SPDX-License-Identifier: GPL-2.0
/* Accepting connections; see listener.h. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "listener.h"

#include <linux/net.h>
#include <linux/sched/mm.h>
#include <net/sock.h>

#include "link.h"
#include "netns.h"
#include "node.h"
#include "socket.h"

#define RETRY_MS                                                                                   \
	100 /* when there was no memory for a connection that waits, or too many are there */
/* What one turn of accept_work takes in before other work may run. */
#define TURN_LINKS 16
/* Those of all peers, and strangers' that have not proven themselves or are being closed. */
#define LINKS_MAX (KCCM_LANES * KCCM_NODE_MAX + 4 * KCCM_HANDSHAKES_PENDING)

/*
 * An accepted socket inherits this callback, and the listener as user data, until
 * kccm_link_accept() has given it its own: only a socket that listens may touch them.
 */
static void listener_ready(struct sock *sk)
{
	struct kccm_listener *listener;

	read_lock_bh(&sk->sk_callback_lock);
	listener = sk->sk_user_data;
	if (listener && sk->sk_state == TCP_LISTEN)
		queue_delayed_work(kccm_io_wq, &listener->work, 0);
	read_unlock_bh(&sk->sk_callback_lock);
}

/* -EAGAIN: nobody waits. */
static int accept_one(struct kccm_node *node, struct kccm_listener *listener)
{
	struct socket *sock;
	int error;

	if (atomic_read(&node->link_count) >= LINKS_MAX)
		return -EMFILE;
	error = kernel_accept(listener->sock, &sock, O_NONBLOCK);
	if (!error)
		kccm_link_accept(node, sock);
	return error == -ECONNABORTED ? 0 : error;
}

static void accept_work(struct work_struct *work)
{
	struct kccm_listener *listener =
		container_of(to_delayed_work(work), struct kccm_listener, work);
	struct kccm_node *node = container_of(listener, struct kccm_node, listener);
	unsigned int noio = memalloc_noio_save(); /* as for sockets that connect */
	unsigned long delay = 0;
	unsigned int turn;
	int error = 0;

	for (turn = 0; turn < TURN_LINKS && !error; turn++)
		error = accept_one(node, listener);
	memalloc_noio_restore(noio);
	if (error == -EAGAIN)
		return;
	if (error) {
		pr_warn_ratelimited("node %u: cannot accept a connection: %d\n", node->config.node,
				    error);
		delay = msecs_to_jiffies(RETRY_MS);
	}
	queue_delayed_work(kccm_io_wq, &listener->work, delay);
}

int kccm_listener_start(struct kccm_node *node)
{
	struct kccm_listener *listener = &node->listener;
	struct sock *sk;
	int error = kccm_socket_listen(node, &listener->sock);

	if (error)
		return error;
	/* With the port that the system has chosen, if it was to. */
	kernel_getsockname(listener->sock, (struct sockaddr *)&node->address);
	INIT_DELAYED_WORK(&listener->work, accept_work);
	sk = listener->sock->sk;
	write_lock_bh(&sk->sk_callback_lock);
	listener->data_ready = sk->sk_data_ready;
	sk->sk_user_data = listener;
	sk->sk_data_ready = listener_ready;
	write_unlock_bh(&sk->sk_callback_lock);
	/* Somebody may have connected already. */
	queue_delayed_work(kccm_io_wq, &listener->work, 0);
	return 0;
}

/*
 * (1) No callback finds the listener any more, so the work is not queued again by one.
 * (2) The work has ended, though it may queue itself; kccm_link_accept() is not running.
 * (3) The socket goes, and with it the connections that nobody has accepted. Who has read the
 *     callback from it before (1) runs in softirq context, within an RCU section, and finds (1):
 *     the module's code stays until kccm_exit() has waited for such sections.
 */
void kccm_listener_stop(struct kccm_node *node)
{
	struct kccm_listener *listener = &node->listener;
	struct sock *sk = listener->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = listener->data_ready;
	sk->sk_user_data = NULL;
	write_unlock_bh(&sk->sk_callback_lock);

	cancel_delayed_work_sync(&listener->work);

	sock_release(listener->sock);
}
