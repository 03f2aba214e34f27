// SPDX-License-Identifier: GPL-2.0
/* From the session to the services, and their answers back; see inbox.h. */
#include "inbox.h"

#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "fault.h"
#include "handler.h"
#include "kccm.h"
#include "link.h"
#include "memory.h"
#include "netns.h"
#include "node.h"
#include "remote.h"

/* Of messages that were given back, before their sender hears of it. */
#define GIVEN_BACK_MAX 64

/*
 * Of answers that wait for room. A service that answers at once is never refused: it is not called
 * with more than this waiting, and so there may be one answer more.
 */
#define UNANSWERED_BYTES_MAX KCCM_WINDOW_BYTES

struct delivery {
	struct kccm_incoming incoming;
	struct kccm_remote *remote;
	u64 request;  /* the caller's number of the call */
	u32 sessions; /* of the remote when it came: its credit and its answer belong to that one */
	enum kccm_message_origin origin;
	struct delivery *next; /* kccm_inbox::done_with */
	/* An answer that waits for room. */
	u16 status;
	u32 answer_length;
	void *answer;
	u8 payload[] __aligned(8);
};

static struct delivery *delivery_of(struct kccm_incoming *incoming)
{
	return container_of(incoming, struct delivery, incoming);
}

static void delivery_free(struct delivery *delivery)
{
	struct kccm_remote *remote = delivery->remote;

	kvfree(delivery->answer);
	kccm_message_free(remote->node, delivery, delivery->origin);
	kccm_remote_put(remote);
}

static struct delivery *first_of(struct list_head *list)
{
	return list_first_entry_or_null(list, struct delivery, incoming.entry);
}

static void drop_all(struct list_head *messages)
{
	struct delivery *delivery, *next;

	list_for_each_entry_safe(delivery, next, messages, incoming.entry)
		delivery_free(delivery);
}

static bool is_direct(const struct delivery *delivery)
{
	return kccm_handler_is_direct(delivery->remote->node->home, delivery->incoming.port);
}

/* Under inbox->lock. */
static void leave_to_work(struct kccm_inbox *inbox)
{
	inbox->state = KCCM_INBOX_AT_WORK;
	queue_work(kccm_service_wq, &inbox->work);
}

/* --- in --------------------------------------------------------------------------------------- */

int kccm_inbox_put(struct kccm_remote *remote, const struct kccm_message *message)
{
	struct kccm_inbox *inbox = &remote->inboxes[message->lane];
	enum kccm_message_origin origin;
	struct delivery *delivery;

	delivery = kccm_message_alloc(remote->node, sizeof(*delivery) + message->length, &origin);
	if (!delivery)
		return -ENOMEM;
	kref_get(&remote->refs);
	delivery->remote = remote;
	delivery->request = message->request;
	delivery->sessions = remote->sessions;
	delivery->origin = origin;
	delivery->answer = NULL;
	delivery->incoming = (struct kccm_incoming){
		.net = remote->node->net,
		.from = remote->id,
		.port = message->port,
		.lane = message->lane,
		.wants_reply = message->type == KCCM_FRAME_REQUEST,
		.epoch = message->epoch,
		.length = message->length,
		.payload = delivery->payload,
	};
	memcpy(delivery->payload, message->payload, message->length);

	spin_lock(&inbox->lock);
	list_add_tail(&delivery->incoming.entry, &inbox->messages);
	inbox->came++;
	if (inbox->state == KCCM_INBOX_EMPTY) {
		if (is_direct(delivery))
			inbox->state = KCCM_INBOX_DIRECT;
		else
			leave_to_work(inbox);
	}
	spin_unlock(&inbox->lock);
	return 0;
}

/* --- back ------------------------------------------------------------------------------------- */

static bool is_current(const struct delivery *delivery)
{
	const struct kccm_remote *remote = delivery->remote;

	return remote->session && remote->sessions == delivery->sessions;
}

static struct kccm_inbox *inbox_of(const struct delivery *delivery)
{
	return &delivery->remote->inboxes[delivery->incoming.lane];
}

/*
 * A handler that the inbox has called is followed by another, or by the end of the work: then all
 * of their answers are written together.
 */
static bool in_work(const struct kccm_inbox *inbox)
{
	return READ_ONCE(inbox->runner) == current;
}

/* Grants the peer the room again. Under the node's lock. */
static void consume(struct delivery *delivery)
{
	struct kccm_remote *remote = delivery->remote;

	kccm_peer_consume(remote->session, delivery->incoming.lane, 1, delivery->incoming.length,
			  remote->node->now_ns);
}

static int post_answer(struct delivery *delivery, u16 status, const void *payload, u32 length)
{
	struct kccm_remote *remote = delivery->remote;
	struct kccm_message reply = {
		.type = KCCM_FRAME_REPLY,
		.lane = delivery->incoming.lane,
		.port = status,
		.epoch = delivery->incoming.epoch,
		.request = delivery->request,
		.payload = payload,
		.length = length,
	};
	int error;

	if (!is_current(delivery))
		return -ESTALE;
	error = kccm_peer_reply(remote->session, &reply, remote->node->now_ns);
	if (!error)
		consume(delivery);
	return error;
}

/*
 * Posts the answer, and waits for room. Not for the queue to be writable again, which would be half
 * empty: what the peer sends next may wait for the credit that one answer gives back.
 */
static int answer_waiting(struct delivery *delivery, u16 status, const void *payload, u32 length,
			  bool more)
{
	struct kccm_remote *remote = delivery->remote;
	struct kccm_node *node = remote->node;
	u32 progress;
	int error;

	for (;;) {
		kccm_node_lock(node);
		error = post_answer(delivery, status, payload, length);
		progress = remote->progress;
		kccm_node_unlock_more(node, more && !error);
		if (error == -EAGAIN)
			wait_event_idle(remote->answers, READ_ONCE(remote->progress) != progress);
		else if (error == -ENOMEM)
			memalloc_retry_wait(GFP_NOIO);
		else
			return error;
	}
}

/* There is no room for the answer, or no memory. */
static bool is_for_later(int error)
{
	return error == -EAGAIN || error == -ENOMEM;
}

/* `answer` is from kvmalloc(), and the delivery's from now on. Under the node's lock. */
static void keep(struct delivery *delivery, u16 status, void *answer, u32 length)
{
	struct kccm_inbox *inbox = inbox_of(delivery);

	delivery->status = status;
	delivery->answer = answer;
	delivery->answer_length = length;
	list_add_tail(&delivery->incoming.entry, &inbox->unanswered);
	inbox->unanswered_bytes += length;
	if (inbox->unanswered_bytes >= UNANSWERED_BYTES_MAX)
		WRITE_ONCE(inbox->held_up, true);
}

/* The same for a copy of the answer. Whether there is room and memory for it. */
static bool keep_copy(struct delivery *delivery, u16 status, const void *payload, u32 length)
{
	void *copy = NULL;

	if (length) {
		if (kccm_reply_is_refused(&delivery->incoming))
			return false;
		copy = kvmalloc(length, KCCM_GFP);
		if (!copy)
			return false;
		memcpy(copy, payload, length);
	}
	keep(delivery, status, copy, length);
	return true;
}

bool kccm_reply_is_refused(struct kccm_incoming *incoming)
{
	struct kccm_inbox *inbox = inbox_of(delivery_of(incoming));

	if (!READ_ONCE(inbox->held_up))
		return false;
	WRITE_ONCE(inbox->refused, true);
	smp_mb(); /* pairs with go_on(): one of the two sees the other */
	return READ_ONCE(inbox->held_up);
}

int kccm_reply(struct kccm_incoming *incoming, u16 status, const void *payload, u32 length,
	       unsigned int flags)
{
	struct delivery *delivery = delivery_of(incoming);
	struct kccm_node *node = delivery->remote->node;
	bool more = flags & KCCM_MORE || in_work(inbox_of(delivery));
	bool kept = false;
	int error;

	if (!incoming->wants_reply || status == KCCM_STATUS_NO_SUCH_PORT)
		return -EINVAL;
	if (flags & KCCM_NOWAIT || WARN_ON_ONCE(kccm_link_is_receiving())) {
		kccm_node_lock(node);
		error = post_answer(delivery, status, payload, length);
		if (is_for_later(error) && flags & KCCM_KEEP)
			kept = keep_copy(delivery, status, payload, length);
		kccm_node_unlock_more(node, more);
	} else {
		error = answer_waiting(delivery, status, payload, length, more);
	}
	if (kept)
		return 0;
	if (!error || error == -ESTALE)
		delivery_free(delivery);
	return error;
}
EXPORT_SYMBOL_GPL(kccm_reply);

int kccm_reply_later(struct kccm_incoming *incoming, u16 status, void *payload, u32 length,
		     bool more)
{
	struct delivery *delivery = delivery_of(incoming);
	struct kccm_node *node = delivery->remote->node;
	int error;

	more |= in_work(inbox_of(delivery));
	kccm_node_lock(node);
	error = post_answer(delivery, status, payload, length);
	if (is_for_later(error)) {
		keep(delivery, status, payload, length);
		kccm_node_unlock_more(node, more);
		return 0;
	}
	kccm_node_unlock_more(node, more);
	delivery->answer = payload;
	delivery_free(delivery);
	return error;
}

static struct kccm_remote *remote_of(struct kccm_inbox *inbox)
{
	return container_of(inbox - inbox->lane, struct kccm_remote, inboxes[0]);
}

/* The peer has taken enough: it is served again. Under the node's lock. */
static void go_on(struct kccm_inbox *inbox)
{
	WRITE_ONCE(inbox->held_up, false);
	spin_lock(&inbox->lock);
	if (inbox->state == KCCM_INBOX_HELD_UP)
		leave_to_work(inbox);
	spin_unlock(&inbox->lock);
	smp_mb(); /* pairs with kccm_reply_is_refused() */
	if (READ_ONCE(inbox->refused)) {
		WRITE_ONCE(inbox->refused, false);
		kccm_remote_writable(remote_of(inbox), inbox->lane);
	}
}

void kccm_inbox_answer(struct kccm_inbox *inbox)
{
	struct delivery *delivery;
	int error;

	while ((delivery = first_of(&inbox->unanswered))) {
		error = post_answer(delivery, delivery->status, delivery->answer,
				    delivery->answer_length);
		if (is_for_later(error))
			break;
		list_del(&delivery->incoming.entry);
		inbox->unanswered_bytes -= delivery->answer_length;
		delivery_free(delivery);
	}
	/* Not at the first byte, or a program would be woken for every answer. */
	if (inbox->held_up && inbox->unanswered_bytes <= UNANSWERED_BYTES_MAX / 2)
		go_on(inbox);
}

/* Credit for what direct handlers have given back, and an end of it. Under the node's lock. */
static void grant(struct kccm_remote *remote, unsigned int lane)
{
	struct kccm_inbox *inbox = &remote->inboxes[lane];
	struct delivery *delivery;

	if (inbox->given_back && remote->session && remote->sessions == inbox->given_back_sessions)
		kccm_peer_consume(remote->session, lane, inbox->given_back, inbox->given_back_bytes,
				  remote->node->now_ns);
	inbox->given_back = 0;
	inbox->given_back_bytes = 0;
	while ((delivery = inbox->done_with)) {
		inbox->done_with = delivery->next;
		kccm_message_recycle(remote->node, delivery, delivery->origin);
		kccm_remote_put(remote); /* not the last: the inbox is at work */
	}
}

/*
 * By a direct handler, for the peer to hear of when all are done, or before too much comes
 * together. Not by one that may wait: it could be for an answer that the peer has no credit to
 * send. Takes the delivery.
 */
static void note_given_back(struct delivery *delivery)
{
	struct kccm_remote *remote = delivery->remote;
	struct kccm_inbox *inbox = inbox_of(delivery);

	if (inbox->given_back == GIVEN_BACK_MAX ||
	    inbox->given_back_sessions != delivery->sessions) {
		kccm_node_lock(remote->node);
		grant(remote, delivery->incoming.lane);
		kccm_node_unlock_more(remote->node, true);
		inbox->given_back_sessions = delivery->sessions;
	}
	inbox->given_back++;
	inbox->given_back_bytes += delivery->incoming.length;
	delivery->next = inbox->done_with;
	inbox->done_with = delivery;
}

static void give_back(struct delivery *delivery, u16 status)
{
	struct kccm_node *node = delivery->remote->node;

	if (delivery->incoming.wants_reply) {
		kccm_reply_later(&delivery->incoming, status, NULL, 0, false);
		return;
	}
	if (in_work(inbox_of(delivery)) && inbox_of(delivery)->direct) {
		note_given_back(delivery);
		return;
	}
	kccm_node_lock(node);
	if (is_current(delivery))
		consume(delivery);
	kccm_node_unlock(node);
	delivery_free(delivery);
}

void kccm_release(struct kccm_incoming *incoming)
{
	give_back(delivery_of(incoming), KCCM_STATUS_GIVEN_UP);
}
EXPORT_SYMBOL_GPL(kccm_release);

/* --- through ---------------------------------------------------------------------------------- */

static void leave_handler(struct kccm_handler *handler)
{
	if (!handler)
		return;
	if (handler->caught_up)
		handler->caught_up(handler->context);
	kccm_handler_put(handler);
}

/*
 * Hands over what is in the list, in order, as far as we may. A direct handler is kept from one
 * message to the next of its port; one that may wait is looked up each time, so that who
 * unregisters it waits for one.
 */
static void hand_over(struct kccm_inbox *inbox, struct list_head *messages)
{
	struct kccm_node *node = remote_of(inbox)->node;
	struct kccm_handler *handler = NULL;
	struct delivery *delivery;

	while ((delivery = first_of(messages)) && !READ_ONCE(inbox->ended) &&
	       !READ_ONCE(inbox->held_up)) {
		if (!handler || !inbox->direct || handler->port != delivery->incoming.port) {
			leave_handler(handler);
			handler = kccm_handler_get(node->home, delivery->incoming.port);
		}
		if (inbox->direct && handler && !(handler->flags & KCCM_HANDLER_DIRECT)) {
			/* It has had nothing from us. */
			kccm_handler_put(handler);
			handler = NULL;
			break;
		}
		list_del(&delivery->incoming.entry);
		WRITE_ONCE(inbox->handed_over, inbox->handed_over + 1);
		if (handler) {
			handler->receive(&delivery->incoming, handler->context);
		} else {
			atomic64_inc(&node->no_such_port);
			give_back(delivery, KCCM_STATUS_NO_SUCH_PORT);
		}
		if (!inbox->direct)
			cond_resched();
	}
	leave_handler(handler);
}

static void take_all(struct kccm_inbox *inbox, struct list_head *messages)
{
	spin_lock(&inbox->lock);
	list_splice_init(&inbox->messages, messages);
	spin_unlock(&inbox->lock);
}

/*
 * Puts back what is not for us, or drops it if the inbox has ended. False: there is more for us.
 * Otherwise somebody else may be at it from now on.
 */
static bool let_go(struct kccm_inbox *inbox, struct list_head *messages)
{
	struct delivery *first;
	bool done = true;

	spin_lock(&inbox->lock);
	if (!inbox->ended)
		list_splice_init(messages, &inbox->messages);
	first = first_of(&inbox->messages);
	if (!first)
		inbox->state = KCCM_INBOX_EMPTY;
	else if (READ_ONCE(inbox->held_up))
		inbox->state = KCCM_INBOX_HELD_UP; /* go_on() sees it, or we see what it has set */
	else if (inbox->direct && !is_direct(first))
		leave_to_work(inbox);
	else
		done = false;
	if (inbox->ended)
		wake_up(&inbox->let_go);
	spin_unlock(&inbox->lock);
	drop_all(messages);
	return done;
}

/* By who has made the inbox busy: hands over; then the peer gets its answers and credit. */
static void run(struct kccm_inbox *inbox, bool direct)
{
	struct kccm_remote *remote = remote_of(inbox);
	LIST_HEAD(messages);

	inbox->direct = direct;
	do {
		kccm_fault_delay(remote->node);
		take_all(inbox, &messages);
		WRITE_ONCE(inbox->runner, current);
		hand_over(inbox, &messages);
		WRITE_ONCE(inbox->runner, NULL);
		kccm_node_lock(remote->node);
		grant(remote, inbox->lane);
		kccm_node_unlock(remote->node);
	} while (!let_go(inbox, &messages));
}

static void inbox_work(struct work_struct *work)
{
	run(container_of(work, struct kccm_inbox, work), false);
}

bool kccm_inbox_claim(struct kccm_inbox *inbox)
{
	bool claimed;

	spin_lock(&inbox->lock);
	claimed = inbox->state == KCCM_INBOX_DIRECT;
	if (claimed)
		inbox->state = KCCM_INBOX_AT_LINK;
	spin_unlock(&inbox->lock);
	return claimed;
}

void kccm_inbox_serve(struct kccm_inbox *inbox)
{
	run(inbox, true);
}

void kccm_inbox_init(struct kccm_inbox *inbox, u8 lane)
{
	inbox->lane = lane;
	spin_lock_init(&inbox->lock);
	INIT_LIST_HEAD(&inbox->messages);
	inbox->state = KCCM_INBOX_EMPTY;
	init_waitqueue_head(&inbox->let_go);
	INIT_LIST_HEAD(&inbox->unanswered);
	INIT_WORK(&inbox->work, inbox_work);
}

unsigned int kccm_inbox_waiting(const struct kccm_inbox *inbox)
{
	return READ_ONCE(inbox->came) - READ_ONCE(inbox->handed_over);
}

static bool is_at_link(struct kccm_inbox *inbox)
{
	bool at_link;

	spin_lock(&inbox->lock);
	at_link = inbox->state == KCCM_INBOX_AT_LINK;
	spin_unlock(&inbox->lock);
	return at_link;
}

/*
 * (1) What waits is ours, and who hands over stops after the message that is with a handler: it
 * finds no more, and puts nothing back. No link can claim the inbox, which wants a message that is
 * put. (2) A link that has claimed it has let go of it. It has its own reference to the remote for
 * what it does after that. (3) The work has ended, and nobody queues it: that wants a message, too.
 */
void kccm_inbox_end(struct kccm_inbox *inbox)
{
	LIST_HEAD(messages);

	spin_lock(&inbox->lock);
	WRITE_ONCE(inbox->ended, true);
	list_splice_init(&inbox->messages, &messages);
	spin_unlock(&inbox->lock);
	wait_event(inbox->let_go, !is_at_link(inbox));
	cancel_work_sync(&inbox->work);
	drop_all(&messages);
}
