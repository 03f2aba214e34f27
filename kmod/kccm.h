/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages between the nodes of a Clustix cluster, for other kernel code. kmod/sample shows it.
 *
 * What is promised: between two live nodes every message is delivered exactly once, and in order
 * per peer and lane, across any number of lost connections (docs/PROTOCOL.md). The errors by which
 * a message or call can end:
 *
 *	0		accepted by the peer; of a call: answered, with a status
 *	-ECANCELED	it never reached the wire: certainly not delivered
 *	-EREMOTEIO	outcome unknown: delivered at most once, and never will be again
 *	-ETIMEDOUT	of a call: the deadline has passed; otherwise as -EREMOTEIO
 *	-ENXIO		of a call: nobody serves the port
 *	-EMSGSIZE	of a call: the answer is longer than the room for it, and cut off
 *
 * and those by which it can be refused, in which case nothing has happened:
 *
 *	-ENOTCONN	this namespace is no node, or the other node is unknown
 *	-EAGAIN		the lane's queue is full or too many calls are open (only with KCCM_NOWAIT)
 *	-ENOMEM		no memory for it (only with KCCM_NOWAIT)
 *	-EINTR		killed while it waited for room; or, in kccm_call(), for the answer: then
 *			the outcome is unknown
 *	-EMSGSIZE	longer than KCCM_PAYLOAD_MAX
 *	-EINVAL		no such lane, or no callback
 *
 * Every function here wants process context, may sleep, and takes a mutex of the node's: do not
 * hold a lock that a notifier callback takes. `net` is the namespace whose node speaks.
 *
 * Waiting. What waits for a peer waits as long as that is away and still known: a call without a
 * deadline, whatever waits for room without KCCM_NOWAIT, a kccm_reply() without it. Such a wait
 * ends when the peer is back, as itself or as another, when it or the node is removed and, but for
 * kccm_reply(), by a fatal signal. It does not end because its handler is to be unregistered: who
 * does that waits with it; and if that is the exit function of a pernet_operations, which runs
 * before the namespace's node is ended, so do the end of the namespace and of those after it. So a
 * handler calls with a deadline, and answers with KCCM_NOWAIT | KCCM_KEEP.
 *
 * No module reference is taken for handlers or callbacks, because a reference would make it
 * impossible to unload a service under traffic. Instead kccm_unregister_handler() and
 * kccm_call_cancel() wait until the code that they are about has returned.
 */
#ifndef KCCM_KMOD_KCCM_H
#define KCCM_KMOD_KCCM_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "include/uapi/kccm.h"

struct net;
struct notifier_block;
struct kccm_node;

/* Do not wait for room or memory. After -EAGAIN, KCCM_NEWS_WRITABLE follows. */
#define KCCM_NOWAIT 1u
/* More follows at once, and may leave together with this: it need not be written yet. */
#define KCCM_MORE 2u
/*
 * Of kccm_reply(), with KCCM_NOWAIT: if there is no room, a copy of the answer waits for some. Only
 * who has kept calls may be refused with -EAGAIN nevertheless, when a peer has many bytes of
 * answers waiting: as long as they are, it gets no more calls from that peer and lane.
 */
#define KCCM_KEEP 4u

struct kccm_to {
	u16 node;
	u16 port;
	u8 lane;   /* KCCM_LANE_CONTROL or KCCM_LANE_BULK */
	u32 epoch; /* carried along, and opaque */
};

/* --- sending ---------------------------------------------------------------------------------- */

/* Queues a one-way message; the payload is copied. Its outcome is not reported. */
int kccm_send(struct net *net, const struct kccm_to *to, const void *payload, u32 length,
	      unsigned int flags);

/* A message or call whose outcome is wanted. Belongs to the module from submission to `done`. */
struct kccm_call {
	/* Filled in by the caller, all else zeroed. */
	struct kccm_to to;
	const void *request; /* copied at submission */
	u32 request_length;
	/*
	 * Where the answer is put, and how much of it. NULL with room: memory for it is allocated
	 * when it comes, and is the caller's to kvfree(), whatever the outcome.
	 */
	void *reply;
	u32 reply_room;
	u32 timeout_ms; /* 0: no deadline, see "Waiting"; of a send: ignored */
	/*
	 * Called once from process context, without a lock. It may do anything but wait for another
	 * asynchronous call's `done`, and may free the call.
	 */
	void (*done)(struct kccm_call *call);

	/* The outcome. */
	int error;
	u16 status;	  /* the service's: 0 or a positive errno */
	u32 reply_length; /* of the whole answer, even if it was cut off */

	/* The module's own. */
	struct kccm_node *node;
	struct list_head entry;
	struct completion settled;
	u64 number;
	bool open;
	bool at_once; /* `done` does not wait, and is called under the node's lock: command.c's */
};

/* Calls and waits for the answer. Returns call->error, or why nothing was sent. */
int kccm_call(struct net *net, struct kccm_call *call, unsigned int flags);
/* 0: `done` will be called. */
int kccm_call_async(struct net *net, struct kccm_call *call, unsigned int flags);
/* As kccm_send(), and `done` is called once the peer has accepted it. Cannot be cancelled. */
int kccm_send_async(struct net *net, struct kccm_call *call, unsigned int flags);
/*
 * Gives up what kccm_call_async() has submitted. True: `done` will not be called. False: it was
 * called, and has returned. Not from within `done`; the call must not be freed meanwhile.
 */
bool kccm_call_cancel(struct net *net, struct kccm_call *call);

/* --- receiving -------------------------------------------------------------------------------- */

/*
 * A message that has arrived. It belongs to the handler until kccm_reply() or kccm_release(), which
 * need not be before the handler returns. Until then the peer's credit for it is held back: what a
 * peer can have waiting here is bounded by its window.
 */
struct kccm_incoming {
	struct net *net;
	u16 from;
	u16 port;
	u8 lane;
	bool wants_reply;
	u32 epoch;
	u32 length;
	const void *payload;	/* aligned to 8 bytes */
	struct list_head entry; /* for a list of whoever has the message */
};

/*
 * The handler is short and never waits: neither in kccm_call() nor without KCCM_NOWAIT, nor for a
 * lock that somebody holds who does. It is called straight from where the connection is read, which
 * stands still meanwhile, and so spares the way through a work; but if messages to other handlers
 * are before it on its lane, in its turn after them.
 */
#define KCCM_HANDLER_DIRECT 1u

struct kccm_handler {
	u16 port;
	unsigned int flags;
	/*
	 * Called from process context without a lock, and may sleep unless KCCM_HANDLER_DIRECT. The
	 * messages of one peer and lane come one after the other, in order, whatever their port;
	 * those of others come at the same time.
	 */
	void (*receive)(struct kccm_incoming *message, void *context);
	/*
	 * NULL, or called after receive(), in the same way, when for the moment there is nothing
	 * more for it from that peer and lane: after one message or many.
	 */
	void (*caught_up)(void *context);
	void *context;

	/* The module's own. */
	refcount_t users;
	struct completion unused;
};

/*
 * Serves a port of a namespace, whether it is a node already or not. -EADDRINUSE: somebody does. It
 * must be unregistered before the namespace ends: by the exit function of the caller's
 * pernet_operations if the namespace is not init_net.
 */
int kccm_register_handler(struct net *net, struct kccm_handler *handler);
/*
 * No handler runs when this returns; how long it may wait for one, see "Waiting" above. What the
 * handler has kept must still be replied to or released. Not from within the handler, and only
 * after it was registered.
 */
void kccm_unregister_handler(struct net *net, struct kccm_handler *handler);

/*
 * Answers a call and gives the message back. 0: the answer is queued. -ESTALE: nobody waits for it
 * any more. The message is gone in both cases, and after any other error still the caller's:
 * -EAGAIN or -ENOMEM (only with KCCM_NOWAIT) no room, -EMSGSIZE, -EINVAL (it wants no answer, or
 * the status is KCCM_STATUS_NO_SUCH_PORT, which is not the service's to give).
 */
int kccm_reply(struct kccm_incoming *message, u16 status, const void *payload, u32 length,
	       unsigned int flags);
/* Gives a message back; a call is answered with KCCM_STATUS_GIVEN_UP. Does not wait. */
void kccm_release(struct kccm_incoming *message);

/* --- peers ------------------------------------------------------------------------------------ */

enum kccm_news {
	KCCM_NEWS_UP,	     /* every lane is connected and proven */
	KCCM_NEWS_PATH_DOWN, /* a lane has lost its connection; reconnecting; nothing is lost */
	KCCM_NEWS_SUSPECT,   /* nothing heard for one tolerance */
	KCCM_NEWS_DEAD,	     /* nothing heard for four; reconnecting goes on */
	KCCM_NEWS_REBOOTED,  /* the peer answers under another incarnation or session */
	KCCM_NEWS_WRITABLE,  /* a lane that answered -EAGAIN has room again */
	KCCM_NEWS_REMOVED,   /* this node does not know the peer any more, or is none any more */
};

/* The notifier's data. */
struct kccm_peer_news {
	struct net *net;
	u16 node;
	u8 lane; /* of KCCM_NEWS_WRITABLE */
};

/*
 * The callback gets an enum kccm_news and a struct kccm_peer_news *. It is called with the node's
 * mutex held, in the order in which things happened, and may call no function of this header; it
 * may queue work that does.
 */
int kccm_register_notifier(struct net *net, struct notifier_block *notifier);
void kccm_unregister_notifier(struct net *net, struct notifier_block *notifier);

#endif
