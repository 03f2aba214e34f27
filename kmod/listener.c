// SPDX-License-Identifier: GPL-2.0
/* Accepting connections; see listener.h. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "listener.h"

#include <linux/net.h>
#include <net/sock.h>

#include "link.h"
#include "netns.h"
#include "node.h"
#include "socket.h"

#define RETRY_MS 100 /* when there was no memory for a connection that waits */

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

static void accept_work(struct work_struct *work)
{
	struct kccm_listener *listener =
		container_of(to_delayed_work(work), struct kccm_listener, work);
	struct kccm_node *node = container_of(listener, struct kccm_node, listener);
	struct socket *sock;
	int error;

	for (;;) {
		error = kernel_accept(listener->sock, &sock, O_NONBLOCK);
		if (error == -ECONNABORTED)
			continue;
		if (error)
			break;
		kccm_link_accept(node, sock);
		cond_resched();
	}
	if (error == -EAGAIN)
		return;
	pr_warn_ratelimited("node %u: cannot accept a connection: %d\n", node->config.node, error);
	queue_delayed_work(kccm_io_wq, &listener->work, msecs_to_jiffies(RETRY_MS));
}

int kccm_listener_start(struct kccm_node *node)
{
	struct kccm_listener *listener = &node->listener;
	struct sock *sk;
	int error = kccm_socket_listen(node, &listener->sock);

	if (error)
		return error;
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
