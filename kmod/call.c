// SPDX-License-Identifier: GPL-2.0
/* Sending and calling, from kccm.h to the session and back. */
#include "call.h"

#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <net/net_namespace.h>

#include "kccm.h"
#include "link.h"
#include "netns.h"
#include "node.h"
#include "remote.h"
#include "trace.h"

/* --- the outcome ------------------------------------------------------------------------------ */

static void take_reply(struct kccm_call *call, const struct kccm_message *reply)
{
	u32 bytes = min(reply->length, call->reply_room);

	call->status = reply->port;
	call->reply_length = reply->length;
	if (reply->port == KCCM_STATUS_NO_SUCH_PORT)
		call->error = -ENXIO;
	else if (reply->length > call->reply_room)
		call->error = -EMSGSIZE;
	if (!bytes)
		return;
	if (!call->reply)
		call->reply = kvmalloc(bytes, KCCM_GFP); /* under the node's lock */
	if (call->reply)
		memcpy(call->reply, reply->payload, bytes);
	else
		call->error = -EREMOTEIO; /* it was answered, and nobody will know how */
}

/* Under the lock, because kccm_call_cancel() takes a reference of what it finds. */
static void set_node(struct kccm_net *home, struct kccm_call *call, struct kccm_node *node)
{
	spin_lock(&home->finished_lock);
	call->node = node;
	spin_unlock(&home->finished_lock);
}

void kccm_call_settle(struct kccm_call *call, int error, const struct kccm_message *reply)
{
	struct kccm_net *home = call->node->home;

	call->open = false;
	call->error = error;
	if (reply)
		take_reply(call, reply);
	trace_kccm_call(call);
	if (!call->done) {
		complete(&call->settled); /* and the call is not ours any more */
		return;
	}
	if (call->at_once) {
		struct kccm_node *node = call->node;

		set_node(home, call, NULL);
		call->done(call);
		kccm_node_put(node); /* whoever holds the lock has another one */
		return;
	}
	spin_lock(&home->finished_lock);
	list_add_tail(&call->entry, &home->finished);
	spin_unlock(&home->finished_lock);
	queue_work(kccm_done_wq, &home->finish_work);
}

/* The next call that is over; its reference to the node goes to the caller. */
static struct kccm_call *take_finished(struct kccm_net *home, struct kccm_node **node)
{
	struct kccm_call *call;

	spin_lock(&home->finished_lock);
	call = list_first_entry_or_null(&home->finished, struct kccm_call, entry);
	if (call) {
		list_del_init(&call->entry);
		*node = call->node;
		call->node = NULL;
	}
	spin_unlock(&home->finished_lock);
	return call;
}

static void finish_work(struct work_struct *work)
{
	struct kccm_net *home = container_of(work, struct kccm_net, finish_work);
	struct kccm_node *node;
	struct kccm_call *call;

	while ((call = take_finished(home, &node))) {
		call->done(call); /* may free it */
		kccm_node_put(node);
		cond_resched();
	}
}

void kccm_finish_init(struct kccm_net *home)
{
	spin_lock_init(&home->finished_lock);
	INIT_LIST_HEAD(&home->finished);
	INIT_WORK(&home->finish_work, finish_work);
}

/* --- the way out ------------------------------------------------------------------------------ */

static u64 deadline_of(const struct kccm_call *call, u64 now_ns)
{
	return call->timeout_ms ? now_ns + (u64)call->timeout_ms * NSEC_PER_MSEC : KCCM_NO_TIME;
}

/* `call` is NULL if nobody wants to hear of the message again. */
static int post(struct kccm_node *node, struct kccm_remote *remote,
		const struct kccm_message *message, struct kccm_call *call)
{
	u64 now_ns = node->now_ns;
	int error;

	if (message->type == KCCM_FRAME_REQUEST)
		error = kccm_peer_call(remote->session, message, (uintptr_t)call,
				       deadline_of(call, now_ns), now_ns, &call->number);
	else
		error = kccm_peer_send(remote->session, message, (uintptr_t)call, now_ns);
	if (!error && call)
		call->open = true;
	return error == -ENOBUFS ? -EAGAIN : error;
}

/* `room` is what remote->room was when the queue was full. Puts the remote. */
static int wait_for_room(struct kccm_node *node, struct kccm_remote *remote, u8 lane, u32 room)
{
	int error = wait_event_killable(node->room, READ_ONCE(remote->room[lane]) != room);

	kccm_remote_put(remote);
	return error ? -EINTR : 0;
}

static int wait_for_memory(void)
{
	memalloc_retry_wait(GFP_NOIO);
	return fatal_signal_pending(current) ? -EINTR : 0;
}

static int submit(struct kccm_node *node, u16 to, const struct kccm_message *message,
		  struct kccm_call *call, unsigned int flags)
{
	bool wait = !(flags & KCCM_NOWAIT) && !WARN_ON_ONCE(kccm_link_is_receiving());
	struct kccm_remote *remote;
	u32 room = 0;
	int error;

	if (message->lane >= KCCM_LANES)
		return -EINVAL;
	do {
		kccm_node_lock(node);
		remote = kccm_node_remote(node, to);
		error = remote ? post(node, remote, message, call) : -ENOTCONN;
		if (error == -EAGAIN && wait) {
			kref_get(&remote->refs);
			room = remote->room[message->lane];
		}
		kccm_node_unlock_more(node, flags & KCCM_MORE && !error);
		if (!wait || (error != -EAGAIN && error != -ENOMEM))
			return error;
		error = error == -EAGAIN ? wait_for_room(node, remote, message->lane, room)
					 : wait_for_memory();
	} while (!error);
	return error;
}

static struct kccm_message message_to(const struct kccm_to *to, u8 type, const void *payload,
				      u32 length)
{
	return (struct kccm_message){
		.type = type,
		.lane = to->lane,
		.port = to->port,
		.epoch = to->epoch,
		.payload = payload,
		.length = length,
	};
}

/* Submits what has an outcome. On success the node's reference is the call's. */
static int submit_for_outcome(struct net *net, struct kccm_call *call, u8 type, unsigned int flags)
{
	struct kccm_message message =
		message_to(&call->to, type, call->request, call->request_length);
	struct kccm_node *node = kccm_node_get(net);
	int error;

	if (!node)
		return -ENOTCONN;
	set_node(kccm_net_of(net), call, node);
	call->error = 0;
	call->status = 0;
	call->reply_length = 0;
	INIT_LIST_HEAD(&call->entry);
	init_completion(&call->settled);
	error = submit(node, call->to.node, &message, call, flags);
	if (error) {
		set_node(kccm_net_of(net), call, NULL);
		kccm_node_put(node);
	}
	return error;
}

int kccm_send(struct net *net, const struct kccm_to *to, const void *payload, u32 length,
	      unsigned int flags)
{
	struct kccm_message message = message_to(to, KCCM_FRAME_MESSAGE, payload, length);
	struct kccm_node *node = kccm_node_get(net);
	int error;

	if (!node)
		return -ENOTCONN;
	error = submit(node, to->node, &message, NULL, flags);
	kccm_node_put(node);
	return error;
}
EXPORT_SYMBOL_GPL(kccm_send);

int kccm_send_many(struct net *net, const struct kccm_uring_message *messages, u32 count,
		   const u8 *payloads, unsigned int flags, u32 *sent)
{
	struct kccm_node *node = kccm_node_get(net);
	int error = 0;

	*sent = 0;
	if (!node)
		return count ? -ENOTCONN : 0;
	kccm_node_lock(node);
	while (*sent < count) {
		const struct kccm_uring_message *one = &messages[*sent];
		const struct kccm_message message = {
			.type = KCCM_FRAME_MESSAGE,
			.lane = one->lane,
			.port = one->port,
			.epoch = one->epoch,
			.payload = payloads + one->offset,
			.length = one->length,
		};
		struct kccm_remote *remote = kccm_node_remote(node, one->node);

		error = remote ? post(node, remote, &message, NULL) : -ENOTCONN;
		if (error)
			break;
		++*sent;
	}
	kccm_node_unlock_more(node, flags & KCCM_MORE && !error);
	kccm_node_put(node);
	return error;
}

int kccm_send_async(struct net *net, struct kccm_call *call, unsigned int flags)
{
	if (!call->done)
		return -EINVAL;
	return submit_for_outcome(net, call, KCCM_FRAME_MESSAGE, flags);
}
EXPORT_SYMBOL_GPL(kccm_send_async);

int kccm_call_async(struct net *net, struct kccm_call *call, unsigned int flags)
{
	if (!call->done)
		return -EINVAL;
	return submit_for_outcome(net, call, KCCM_FRAME_REQUEST, flags);
}
EXPORT_SYMBOL_GPL(kccm_call_async);

/*
 * True: it was open, and will not be settled any more. False: it is settled. As long as it is open
 * its peer is there, also when the node has begun to stop.
 */
static bool give_up(struct kccm_node *node, struct kccm_call *call)
{
	bool given_up = false;
	u64 cookie;

	kccm_node_lock(node);
	if (call->open) {
		struct kccm_peer *peer = kccm_peer_find(node->endpoint, call->to.node);

		given_up = !WARN_ON_ONCE(kccm_peer_cancel(peer, call->number, &cookie));
		call->open = false;
	}
	kccm_node_unlock(node);
	return given_up;
}

int kccm_call(struct net *net, struct kccm_call *call, unsigned int flags)
{
	int error;

	if (WARN_ON_ONCE(kccm_link_is_receiving()))
		return -EDEADLK;
	call->done = NULL;
	error = submit_for_outcome(net, call, KCCM_FRAME_REQUEST, flags);
	if (error)
		return error;
	if (wait_for_completion_killable(&call->settled)) {
		if (give_up(call->node, call))
			call->error = -EINTR;
		else
			wait_for_completion(&call->settled); /* it is being settled */
	}
	kccm_node_put(call->node);
	call->node = NULL;
	return call->error;
}
EXPORT_SYMBOL_GPL(kccm_call);

bool kccm_call_cancel(struct net *net, struct kccm_call *call)
{
	struct kccm_net *home = kccm_net_of(net);
	struct kccm_node *node;
	bool given_up = false;

	/* The call's own reference is ours to take only while finish_work has not taken it. */
	spin_lock(&home->finished_lock);
	node = call->node;
	if (node)
		kref_get(&node->refs);
	spin_unlock(&home->finished_lock);
	if (node) {
		given_up = give_up(node, call);
		kccm_node_put(node);
	}
	if (!given_up) {
		/* Who wants it at once knows by itself. */
		if (!call->at_once)
			flush_work(&home->finish_work);
		return false;
	}
	kccm_node_put(node); /* the call's */
	call->node = NULL;
	return true;
}
EXPORT_SYMBOL_GPL(kccm_call_cancel);
