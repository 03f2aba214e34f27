// SPDX-License-Identifier: GPL-2.0
/* One TCP connection; see link.h. */
#include "link.h"

#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/sock.h>

#include "fault.h"
#include "netns.h"
#include "node.h"
#include "remote.h"
#include "socket.h"
#include "trace.h"

#define BUFFER_BYTES (32 * 1024)
/* What is taken in, or written, before other work may run. */
#define TURN_BYTES (256 * 1024)
/* How many links are written by who releases the node's lock. */
#define WRITES 4
#define WRITE_VECS 16
/* When the socket has no memory, although its queue is short: nothing would tell when it has. */
#define NO_MEMORY_MS 10

/* --- callbacks of the socket ------------------------------------------------------------------ */

/* They run in softirq context, or below the lock of the socket. */

static void link_data_ready(struct sock *sk)
{
	struct kccm_link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link)
		queue_work(kccm_io_wq, &link->rx_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void link_write_space(struct sock *sk)
{
	struct kccm_link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		mod_delayed_work(kccm_io_wq, &link->tx_work, 0);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

/* Connected, or at an end: tx_work looks for the former, rx_work finds the latter. */
static void link_state_change(struct sock *sk)
{
	struct kccm_link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link) {
		mod_delayed_work(kccm_io_wq, &link->tx_work, 0);
		queue_work(kccm_io_wq, &link->rx_work);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

/* `data_ready`: what to restore, if it is not what the socket has. */
static void attach(struct kccm_link *link, void (*data_ready)(struct sock *sk))
{
	struct sock *sk = link->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	link->data_ready = data_ready ?: sk->sk_data_ready;
	link->state_change = sk->sk_state_change;
	link->write_space = sk->sk_write_space;
	sk->sk_user_data = link;
	sk->sk_data_ready = link_data_ready;
	sk->sk_state_change = link_state_change;
	sk->sk_write_space = link_write_space;
	write_unlock_bh(&sk->sk_callback_lock);
}

static void detach(struct kccm_link *link)
{
	struct sock *sk = link->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = link->data_ready;
	sk->sk_state_change = link->state_change;
	sk->sk_write_space = link->write_space;
	sk->sk_user_data = NULL;
	write_unlock_bh(&sk->sk_callback_lock);
}

/* --- receiving -------------------------------------------------------------------------------- */

static int receive(struct kccm_link *link)
{
	struct msghdr message = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct kvec vec = { .iov_base = link->buffer, .iov_len = BUFFER_BYTES };

	return kernel_recvmsg(link->sock, &message, &vec, 1, BUFFER_BYTES, message.msg_flags);
}

/* What has come may be for us to hand over: then *remote has a reference. Under the node's lock. */
static struct kccm_inbox *inbox_to_serve(struct kccm_link *link, struct kccm_remote **remote)
{
	const struct kccm_peer *peer = kccm_conn_peer(link->conn);
	struct kccm_inbox *inbox;

	if (!peer)
		return NULL;
	*remote = kccm_peer_user(peer);
	kccm_remote_progress(*remote);
	inbox = &(*remote)->inboxes[kccm_conn_lane(link->conn)];
	if (!kccm_inbox_claim(inbox))
		return NULL;
	kref_get(&(*remote)->refs);
	return inbox;
}

/* Hands bytes, or the end of the connection, to the session. False: that was the last. */
static bool take_in(struct kccm_link *link, int bytes)
{
	struct kccm_node *node = link->node;
	struct kccm_inbox *inbox = NULL;
	struct kccm_remote *remote;
	bool more;

	kccm_node_lock(node);
	if (link->conn && !link->closing) {
		if (bytes > 0)
			kccm_conn_input(link->conn, link->buffer, bytes, node->now_ns);
		else
			kccm_link_close(link);
		inbox = inbox_to_serve(link, &remote);
	}
	more = link->conn && !link->closing;
	if (!inbox) {
		kccm_node_unlock(node);
		return more;
	}
	kccm_node_unlock_more(node, true);
	kccm_inbox_serve(inbox);
	kccm_remote_put(remote);
	return more;
}

/* Whether the end of the stream is here, or behind what is still to be read. */
static bool has_ended(struct kccm_link *link)
{
	const struct sock *sk = link->sock->sk;

	return READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN || READ_ONCE(sk->sk_err) ||
	       READ_ONCE(sk->sk_state) == TCP_CLOSE;
}

static void rx_work(struct work_struct *work)
{
	struct kccm_link *link = container_of(work, struct kccm_link, rx_work);
	unsigned int turn = 0;

	/* Before it is connected there is nothing to read; tx_work queues us when it is. */
	if (!READ_ONCE(link->conn) || READ_ONCE(link->node->fault.stall))
		return;
	while (turn < TURN_BYTES) {
		int bytes = receive(link);

		if (bytes == -EAGAIN)
			return;
		if (!take_in(link, bytes))
			return;
		/*
		 * That was all, and what comes now queues us again; but not an end that
		 * came before we began, when we were queued already.
		 */
		if (bytes < BUFFER_BYTES && !has_ended(link))
			return;
		turn += bytes;
		cond_resched();
	}
	queue_work(kccm_io_wq, &link->rx_work);
}

bool kccm_link_is_receiving(void)
{
	const struct work_struct *work = current_work();

	return work && work->func == rx_work;
}

/* --- sending ---------------------------------------------------------------------------------- */

static int transmit(struct kccm_link *link, const struct kccm_vec *vecs, unsigned int count)
{
	struct msghdr message = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct kvec out[WRITE_VECS];
	size_t bytes = 0;
	unsigned int i;

	for (i = 0; i < count; i++) {
		out[i].iov_base = (void *)vecs[i].data;
		out[i].iov_len = vecs[i].bytes;
		bytes += vecs[i].bytes;
	}
	return kernel_sendmsg(link->sock, &message, out, count, bytes);
}

static void write_later(struct kccm_link *link)
{
	mod_delayed_work(kccm_io_wq, &link->tx_work, 0);
}

/*
 * Writes one batch. Under the node's lock, which is released meanwhile: that nobody else writes is
 * held by the session, which hands nothing out before the last batch is reported. Returns what the
 * socket has taken, 0 if there was nothing to write, or an error.
 */
static int write_batch(struct kccm_link *link)
{
	struct kccm_node *node = link->node;
	struct kccm_vec vecs[WRITE_VECS];
	unsigned int count = kccm_conn_output(link->conn, vecs, WRITE_VECS, node->now_ns);
	int result;

	if (!count)
		return 0;
	count = kccm_fault_cut(node, link, vecs, count);
	WRITE_ONCE(link->writing, true);
	kccm_node_pause(node);
	result = transmit(link, vecs, count);
	kccm_node_lock(node);
	WRITE_ONCE(link->writing, false);
	if (link->closing)
		wake_up(&node->links_gone);
	if (result > 0)
		link->written += result;
	/* Before the report, which may announce more output: that is ours. */
	link->full = result == -EAGAIN;
	kccm_conn_sent(link->conn, result > 0 ? result : 0, node->now_ns);
	list_del_init(&link->ready);
	return result;
}

/* All that there is, or as much as the socket takes, or as one may write for others in one go. */
static void write_all(struct kccm_link *link)
{
	u64 enough = link->written + TURN_BYTES;
	int result = 1;

	link->full = false;
	list_del_init(&link->ready);
	while (result > 0 && link->conn && !link->closing && !link->node->fault.stall) {
		if (link->written >= enough) {
			write_later(link);
			return;
		}
		result = write_batch(link);
		if (kccm_fault_reset(link->node, link))
			result = -ECONNRESET;
	}
	if (result < 0 && result != -EAGAIN)
		kccm_link_close(link);
	else if (link->full && !link->closing && sk_stream_is_writeable(link->sock->sk))
		queue_delayed_work(kccm_io_wq, &link->tx_work, msecs_to_jiffies(NO_MEMORY_MS));
}

void kccm_link_output_ready(struct kccm_link *link)
{
	if (!link->closing && !link->full && list_empty(&link->ready))
		list_add_tail(&link->ready, &link->node->ready);
}

void kccm_links_write(struct kccm_node *node)
{
	struct kccm_link *link;
	unsigned int i;

	for (i = 0; i < WRITES && !list_empty(&node->ready); i++)
		write_all(list_first_entry(&node->ready, struct kccm_link, ready));
	list_for_each_entry(link, &node->ready, ready)
		write_later(link);
}

void kccm_links_write_soon(struct kccm_node *node)
{
	struct kccm_link *link;

	list_for_each_entry(link, &node->ready, ready)
		queue_delayed_work(kccm_io_wq, &link->tx_work, 1);
}

void kccm_link_poke(struct kccm_link *link)
{
	if (link->closing)
		return;
	write_later(link);
	queue_work(kccm_io_wq, &link->rx_work);
}

/* --- opening ---------------------------------------------------------------------------------- */

static int start_connecting(struct kccm_link *link)
{
	struct socket *sock;
	int error = kccm_socket_create(link->node, link->address.ss_family, &sock);

	if (error)
		return error;
	link->sock = sock;
	attach(link, NULL);
	error = kccm_socket_connect(link->node, sock, &link->address);
	return error == -EINPROGRESS ? 0 : error;
}

/* A new socket is allocated with GFP_KERNEL, which could write out pages over this very link. */
static int connect_without_io(struct kccm_link *link)
{
	unsigned int noio = memalloc_noio_save();
	int error = start_connecting(link);

	memalloc_noio_restore(noio);
	return error;
}

static void connected(struct kccm_link *link)
{
	struct kccm_node *node = link->node;

	kccm_socket_set_options(node, link->sock);
	kccm_node_lock(node);
	if (link->dialed && !link->closing) {
		struct kccm_peer *peer = link->dialed;

		link->dialed = NULL;
		WRITE_ONCE(link->conn,
			   kccm_conn_dialed(peer, link->lane, link->knock, link, node->now_ns));
		if (!link->conn)
			kccm_link_close(link);
		else
			queue_work(kccm_io_wq, &link->rx_work);
		trace_kccm_link_connected(link);
	}
	kccm_node_unlock(node);
}

static void dial_failed(struct kccm_link *link)
{
	kccm_node_lock(link->node);
	kccm_link_close(link);
	kccm_node_unlock(link->node);
}

static void tx_work(struct work_struct *work)
{
	struct kccm_link *link = container_of(to_delayed_work(work), struct kccm_link, tx_work);

	if (!link->sock && connect_without_io(link)) {
		dial_failed(link);
		return;
	}
	if (link->outgoing && !READ_ONCE(link->conn)) {
		switch (READ_ONCE(link->sock->sk->sk_state)) {
		case TCP_SYN_SENT:
		case TCP_SYN_RECV:
			return; /* state_change will queue us */
		case TCP_CLOSE:
			dial_failed(link);
			return;
		default:
			connected(link);
		}
	}
	kccm_node_lock(link->node);
	write_all(link);
	kccm_node_unlock(link->node);
}

/* --- life ------------------------------------------------------------------------------------- */

/* Socket, callbacks and work go; the session is still told nothing. */
static void release_socket(struct kccm_link *link)
{
	if (link->conn && link->last_word) {
		kccm_node_lock(link->node);
		write_batch(link);
		kccm_node_unlock(link->node);
	}
	sock_release(link->sock);
}

/*
 * Since `closing` is set, holders of the node's lock queue no work of the link any more. Then each
 * step leaves less that could reach it:
 * (1) If tx_work was about to make the socket, it has; nobody else does. It may be queued again,
 * but only by that socket's callbacks, or by itself. Nobody else writes: who did has reported it,
 * and leaves the link alone before it releases the lock. (2) The callbacks are the socket's own
 * again: none of them finds the link. (3) rx_work has ended; it was queued by callbacks and by
 * itself, and by tx_work before `closing`. tx_work has ended. (4) If it was the session that
 * closed, and if it can be written at once, its last word is. The socket goes. Its lock waits for a
 * callback that was running; there is no linger, so nothing of it stays behind, in the namespace or
 * elsewhere. (5) The session hears that the connection, or the dial, has ended: nothing reads its
 * memory. Out of the list, so that nobody finds the link under the node's lock. (6) Only now may
 * the node's end go on, which waits for the count; the reference keeps the node's memory until our
 * last touch.
 */
static void close_work(struct work_struct *work)
{
	struct kccm_link *link = container_of(work, struct kccm_link, close_work);
	struct kccm_node *node = link->node;

	cancel_delayed_work_sync(&link->tx_work);
	wait_event(node->links_gone, !READ_ONCE(link->writing));
	if (link->sock)
		detach(link);
	cancel_work_sync(&link->rx_work);
	cancel_delayed_work_sync(&link->tx_work);
	if (link->sock)
		release_socket(link);

	kccm_node_lock(node);
	if (link->conn)
		kccm_conn_closed(link->conn, node->now_ns);
	else if (link->dialed)
		kccm_dial_failed(link->dialed, link->lane, link->knock, node->now_ns);
	list_del(&link->entry);
	trace_kccm_link_closed(link);
	kccm_node_unlock(node);

	kvfree(link->buffer);
	kfree(link);
	if (atomic_dec_and_test(&node->link_count))
		wake_up(&node->links_gone);
	kccm_node_put(node);
}

void kccm_link_close(struct kccm_link *link)
{
	if (link->closing)
		return;
	link->closing = true;
	list_del_init(&link->ready);
	trace_kccm_link_closing(link);
	queue_work(kccm_io_wq, &link->close_work);
}

static struct kccm_link *link_new(struct kccm_node *node)
{
	struct kccm_link *link = kzalloc(sizeof(*link), KCCM_GFP);

	if (!link)
		return NULL;
	link->buffer = kvmalloc(BUFFER_BYTES, KCCM_GFP);
	if (!link->buffer) {
		kfree(link);
		return NULL;
	}
	link->node = node;
	INIT_LIST_HEAD(&link->ready);
	INIT_WORK(&link->rx_work, rx_work);
	INIT_DELAYED_WORK(&link->tx_work, tx_work);
	INIT_WORK(&link->close_work, close_work);
	return link;
}

/* From now on the link is there until close_work has run. Under the node's lock. */
static void link_add(struct kccm_link *link)
{
	struct kccm_node *node = link->node;

	kref_get(&node->refs);
	atomic_inc(&node->link_count);
	list_add(&link->entry, &node->links);
}

int kccm_link_dial(struct kccm_node *node, struct kccm_peer *peer, unsigned int lane, bool knock,
		   const struct sockaddr_storage *address)
{
	struct kccm_link *link = link_new(node);

	if (!link)
		return -ENOMEM;
	link->outgoing = true;
	link->address = *address;
	link->dialed = peer;
	link->lane = lane;
	link->knock = knock;
	link_add(link);
	trace_kccm_link_dialed(link);
	queue_delayed_work(kccm_io_wq, &link->tx_work, 0);
	return 0;
}

/* Not while the node stops: that waits for accept_work, which calls us, before it closes links. */
void kccm_link_accept(struct kccm_node *node, struct socket *sock)
{
	struct kccm_link *link = link_new(node);

	if (!link) {
		sock_release(sock);
		return;
	}
	link->sock = sock;
	kernel_getpeername(sock, (struct sockaddr *)&link->address);
	kccm_socket_set_options(node, sock);

	kccm_node_lock(node);
	link_add(link);
	trace_kccm_link_accepted(link);
	attach(link, node->listener.data_ready);
	WRITE_ONCE(link->conn, kccm_conn_accepted(node->endpoint, link, node->now_ns));
	if (!link->conn)
		kccm_link_close(link);
	else
		queue_work(kccm_io_wq, &link->rx_work); /* data may be there already */
	kccm_node_unlock(node);
}
