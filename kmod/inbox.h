/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What has come from a peer on a lane, in order, and who hands it to the services: one at a time,
 * the inbox's work or, as long as all of it is for direct handlers, the link that has received it.
 * It is bounded by the window: the peer gets its credit back only when a message is given back.
 */
#ifndef KCCM_KMOD_INBOX_H
#define KCCM_KMOD_INBOX_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct delivery;
struct kccm_incoming;
struct kccm_message;
struct kccm_remote;

enum kccm_inbox_state {
	KCCM_INBOX_EMPTY,
	KCCM_INBOX_DIRECT,  /* the first is for a direct handler: kccm_inbox_claim() */
	KCCM_INBOX_AT_LINK, /* a link hands over what is in it, until it is empty */
	KCCM_INBOX_AT_WORK, /* its work does */
	KCCM_INBOX_HELD_UP, /* nobody, until the peer has taken more of its answers */
};

struct kccm_inbox {
	u8 lane;
	spinlock_t lock; /* of the next three */
	struct list_head messages;
	enum kccm_inbox_state state;
	bool ended;			/* nothing is in it, and nothing is handed over any more */
	wait_queue_head_t let_go;	/* for a link to do so, once it has ended */
	unsigned int came, handed_over; /* messages: for who looks at what is waiting */
	struct work_struct work;

	/* Of who has made it busy, for the handlers that it calls. */
	struct task_struct *runner; /* NULL: nobody is in a handler */
	bool direct;		    /* the handlers are */
	u32 given_back;		    /* messages that the peer gets its credit for at the end ... */
	u32 given_back_sessions;    /* ... if it is still the same */
	u64 given_back_bytes;
	struct delivery *done_with; /* their memory: it goes when the peer has its credit */

	/*
	 * Answers that there was no room for yet, or no memory. Under the node's lock, but for the
	 * flags, which are read, and the second one set, without it. With too many bytes of them
	 * nothing is handed over any more, and no answer kept.
	 */
	struct list_head unanswered;
	size_t unanswered_bytes;
	bool held_up;
	bool refused; /* somebody's answer was, who hears when there is room */
};

void kccm_inbox_init(struct kccm_inbox *inbox, u8 lane);
/* Takes a copy; -ENOMEM. Under the node's lock. */
int kccm_inbox_put(struct kccm_remote *remote, const struct kccm_message *message);
/*
 * Whether the caller has to call kccm_inbox_serve() once it has let go of the node's lock, under
 * which it has put what is in the inbox.
 */
bool kccm_inbox_claim(struct kccm_inbox *inbox);
/* Hands over what is for direct handlers, up to the first message that is not. */
void kccm_inbox_serve(struct kccm_inbox *inbox);
/* How many messages wait for a handler. */
unsigned int kccm_inbox_waiting(const struct kccm_inbox *inbox);
/*
 * Drops what waits, and waits for the handler that runs, whoever has called it. Nothing may be put
 * any more. Not for a link's works, nor for a handler.
 */
void kccm_inbox_end(struct kccm_inbox *inbox);

/*
 * Whether a program's answer has to wait, because the peer does not take those that it has. Then
 * KCCM_NEWS_WRITABLE follows.
 */
bool kccm_reply_is_refused(struct kccm_incoming *incoming);
/*
 * As kccm_reply(), without ever waiting: where that would, the answer is kept until there is room.
 * 0 or -ESTALE; the message is gone. `payload` is from kvmalloc() or NULL, and belongs to it.
 * `more`: as KCCM_MORE.
 */
int kccm_reply_later(struct kccm_incoming *incoming, u16 status, void *payload, u32 length,
		     bool more);
/* There may be room for some of them; or they are for nobody any more. Under the node's lock. */
void kccm_inbox_answer(struct kccm_inbox *inbox);

#endif
