// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What an application asks of a peer: sends, calls, replies. */
#include "state.h"

static int push(struct kccm_peer *peer, const struct kccm_message *message, uint64_t cookie,
		bool in_place)
{
	const struct kccm_config *config = &peer->endpoint->config;
	struct kccm_lane *lane;
	int error;

	if (peer->removed)
		return -ENOTCONN;
	if (message->lane >= KCCM_LANES || (message->length && !message->payload))
		return -EINVAL;
	if (message->length > config->payload_max)
		return -EMSGSIZE;
	lane = &peer->lanes[message->lane];
	error = kccm_queue_push(&lane->queue, message, cookie, config->payload_crc, in_place);
	if (error == -EAGAIN) {
		lane->starved = true;
		lane->reply_starved |= message->type == KCCM_FRAME_REPLY;
	}
	if (error)
		return error;
	if (lane->conn && kccm_queue_sendable(&lane->queue))
		kccm_conn_announce(lane->conn);
	return 0;
}

int kccm_peer_send(struct kccm_peer *peer, const struct kccm_message *message, uint64_t cookie,
		   uint64_t now_ns)
{
	(void)now_ns;
	if (message->type != KCCM_FRAME_MESSAGE)
		return -EINVAL;
	return push(peer, message, cookie, false);
}

int kccm_peer_send_in_place(struct kccm_peer *peer, const struct kccm_message *message,
			    uint64_t cookie, uint64_t now_ns)
{
	(void)now_ns;
	if (message->type != KCCM_FRAME_MESSAGE || !cookie || !message->length)
		return -EINVAL;
	return push(peer, message, cookie, true);
}

int kccm_peer_reply(struct kccm_peer *peer, const struct kccm_message *message, uint64_t now_ns)
{
	(void)now_ns;
	if (message->type != KCCM_FRAME_REPLY)
		return -EINVAL;
	return push(peer, message, 0, false);
}

int kccm_peer_call(struct kccm_peer *peer, const struct kccm_message *message, uint64_t cookie,
		   uint64_t deadline_ns, uint64_t now_ns, uint64_t *request)
{
	struct kccm_calls *calls = &peer->calls;
	struct kccm_message numbered = *message;
	struct kccm_call_slot *slot;
	int error;

	(void)now_ns;
	if (message->type != KCCM_FRAME_REQUEST)
		return -EINVAL;
	slot = kccm_calls_take(calls, &error);
	if (!slot) {
		if (error == -ENOBUFS && message->lane < KCCM_LANES)
			calls->refused_lanes |= 1u << message->lane;
		return error;
	}
	numbered.request = slot->request;
	error = push(peer, &numbered, 0, false);
	if (error) {
		kccm_calls_release(calls, slot);
		return error;
	}
	slot->cookie = cookie;
	slot->deadline_ns = deadline_ns;
	slot->lane = message->lane;
	slot->seq = peer->lanes[message->lane].queue.next - 1;
	slot->sessions = peer->sessions;
	if (deadline_ns < calls->deadline_ns) {
		calls->deadline_ns = deadline_ns;
		kccm_schedule(peer->endpoint, deadline_ns);
	}
	*request = slot->request;
	return 0;
}

int kccm_peer_cancel(struct kccm_peer *peer, uint64_t request, uint64_t *cookie)
{
	struct kccm_call_slot *slot = kccm_calls_find(&peer->calls, request);

	if (!slot)
		return -ENOENT;
	*cookie = slot->cookie;
	kccm_calls_release(&peer->calls, slot);
	return 0;
}

/* Not at the first slot that is free, as in kccm_lane_reap(). */
void kccm_calls_writable(struct kccm_peer *peer)
{
	struct kccm_calls *calls = &peer->calls;
	unsigned lanes = calls->refused_lanes;
	unsigned i;

	if (!lanes || calls->waiting > calls->limit / 2)
		return;
	calls->refused_lanes = 0;
	for (i = 0; i < KCCM_LANES; i++)
		if (lanes & 1u << i)
			peer->endpoint->ops->writable(peer->endpoint->ctx, peer, i);
}

void kccm_call_replied(struct kccm_peer *peer, const struct kccm_message *reply)
{
	struct kccm_call_slot *slot = kccm_calls_find(&peer->calls, reply->request);
	uint64_t cookie;

	if (!slot) {
		peer->stats.replies_late++;
		return;
	}
	cookie = slot->cookie;
	kccm_calls_release(&peer->calls, slot);
	peer->endpoint->ops->called(peer->endpoint->ctx, peer, cookie, 0, reply);
	kccm_calls_writable(peer);
}

/*
 * `deadline_ns` of the table is a lower bound, so that a call that ends in time costs nothing here:
 * all slots are looked at once each time the bound passes, which then moves to the earliest left.
 */
void kccm_calls_expire(struct kccm_peer *peer, uint64_t now_ns)
{
	struct kccm_calls *calls = &peer->calls;
	uint32_t i;

	if (now_ns < calls->deadline_ns) {
		kccm_schedule(peer->endpoint, calls->deadline_ns);
		return;
	}
	calls->deadline_ns = KCCM_NEVER;
	for (i = 0; i < calls->capacity; i++) {
		struct kccm_call_slot *slot = &calls->slots[i];
		uint64_t cookie = slot->cookie;

		if (!slot->waiting)
			continue;
		if (now_ns < slot->deadline_ns) {
			if (slot->deadline_ns < calls->deadline_ns)
				calls->deadline_ns = slot->deadline_ns;
			continue;
		}
		kccm_calls_release(calls, slot);
		peer->stats.calls_timed_out++;
		peer->endpoint->ops->called(peer->endpoint->ctx, peer, cookie, -ETIMEDOUT, NULL);
	}
	kccm_schedule(peer->endpoint, calls->deadline_ns);
}
