// SPDX-License-Identifier: GPL-2.0 OR MIT
/* A lane: which connection carries it, what has been received on it, what is acknowledged. */
#include "state.h"

void kccm_lane_init(struct kccm_peer *peer, struct kccm_lane *lane)
{
	const struct kccm_config *config = &peer->endpoint->config;

	kccm_queue_init(&lane->queue, kccm_memory_of(peer->endpoint), config->queue_messages,
			config->queue_bytes);
	lane->queue.replies_max = config->window_messages;
	lane->queue.reply_bytes_max = config->window_bytes;
	lane->starved = false;
	lane->reply_starved = false;
	lane->next_expected = 1;
	lane->received_bytes = 0;
	lane->consumed_messages = 0;
	lane->consumed_bytes = 0;
	lane->told_accepted = 0;
	lane->told_messages = 0;
	lane->told_bytes = 0;
	lane->ack_at_ns = KCCM_NEVER;
}

/* --- the connection --------------------------------------------------------------------------- */

bool kccm_lane_attach(struct kccm_conn *conn, uint64_t now_ns)
{
	struct kccm_peer *peer = conn->peer;
	struct kccm_lane *lane = &peer->lanes[conn->lane];
	const struct kccm_hello *heard = &conn->heard;
	uint64_t tolerance_ns = heard->tolerance_ms * KCCM_MS;

	conn->state = KCCM_CONN_ESTABLISHED;
	if (lane->conn)
		kccm_conn_drop(lane->conn, 0, now_ns);
	lane->conn = conn;
	lane->dialing = false;
	lane->attempt = conn->attempt;
	lane->failures = 0;
	peer->stats.connects++;
	peer->tolerance_ns = tolerance_ns > peer->endpoint->tolerance_ns
				     ? tolerance_ns
				     : peer->endpoint->tolerance_ns;
	if (!kccm_lane_accepted(peer, lane, heard->next_expected - 1)) {
		kccm_conn_drop(conn, KCCM_REFUSE_PROTOCOL, now_ns);
		return false;
	}
	if (lane->queue.credit_messages < heard->credit_messages)
		lane->queue.credit_messages = heard->credit_messages;
	if (lane->queue.credit_bytes < heard->credit_bytes)
		lane->queue.credit_bytes = heard->credit_bytes;
	kccm_queue_rewind(&lane->queue);
	/* The hello may be older than what came in over the last connection. */
	conn->ack_now = true;
	kccm_conn_announce(conn);
	kccm_schedule(peer->endpoint, now_ns); /* its probes and its silence count from now */
	kccm_peer_attached(peer, now_ns);
	return true;
}

void kccm_lane_detach(struct kccm_conn *conn, uint64_t now_ns)
{
	struct kccm_peer *peer = conn->peer;
	struct kccm_lane *lane = &peer->lanes[conn->lane];
	/* One that lasted a moment only has failed, or two nodes could redial for ever. */
	bool failed = now_ns - conn->opened_ns < KCCM_BACKOFF_FIRST_MS * KCCM_MS;

	if (conn->in_flight && conn->batch_seq != KCCM_NEVER) {
		conn->pinning = true;
		lane->pins++;
	}
	if (lane->conn != conn)
		return;
	lane->conn = NULL;
	peer->stats.disconnects++;
	if (peer->state == KCCM_PEER_UP) {
		peer->state = KCCM_PEER_PATH_DOWN;
		kccm_peer_event(peer, KCCM_EVENT_PATH_DOWN);
	}
	kccm_peer_redial(peer, conn->lane, failed, now_ns);
}

void kccm_lane_unpin(struct kccm_conn *conn)
{
	struct kccm_peer *peer = conn->peer;
	struct kccm_lane *lane = &peer->lanes[conn->lane];

	conn->pinning = false;
	if (--lane->pins)
		return;
	while (lane->orphans) {
		struct kccm_block *block = lane->orphans;

		lane->orphans = block->next;
		kccm_block_free(kccm_memory_of(peer->endpoint), block);
	}
	kccm_lane_reap(peer, lane);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void tell_writable(struct kccm_peer *peer, struct kccm_lane *lane)
{
	lane->starved = false;
	lane->reply_starved = false;
	peer->endpoint->ops->writable(peer->endpoint->ctx, peer, (unsigned)(lane - peer->lanes));
}

void kccm_lane_reap(struct kccm_peer *peer, struct kccm_lane *lane)
{
	struct kccm_queue *queue = &lane->queue;

	if (lane->pins)
		return;
	kccm_queue_reap(queue, lane->conn ? lane->conn->batch_seq : KCCM_NEVER);
	/* Not at the first free byte, or a sender that waits would be woken for every message. */
	if (lane->starved && queue->next - queue->base <= queue->messages_max / 2 &&
	    queue->block_bytes <= queue->bytes_max / 2)
		tell_writable(peer, lane);
}

bool kccm_lane_accepted(struct kccm_peer *peer, struct kccm_lane *lane, uint64_t accepted)
{
	const struct kccm_ops *ops = peer->endpoint->ops;
	struct kccm_queue *queue = &lane->queue;

	if (accepted >= queue->sent_end)
		return false;
	while (queue->base <= accepted) {
		uint64_t before = queue->base_bytes;
		uint64_t cookie = kccm_queue_retire(queue);

		peer->stats.messages_sent++;
		peer->stats.bytes_sent += queue->base_bytes - before;
		if (cookie)
			ops->sent(peer->endpoint->ctx, peer, cookie, 0);
	}
	kccm_lane_reap(peer, lane);
	return true;
}

bool kccm_lane_acked(struct kccm_conn *conn, const uint8_t *body, uint32_t length, uint64_t now_ns)
{
	struct kccm_lane *lane = &conn->peer->lanes[conn->lane];
	struct kccm_ack ack;

	if (length != KCCM_ACK_BYTES) {
		kccm_conn_drop(conn, KCCM_REFUSE_PROTOCOL, now_ns);
		return false;
	}
	ack.accepted = kccm_get64(body);
	ack.credit_messages = kccm_get64(body + 8);
	ack.credit_bytes = kccm_get64(body + 16);
	if (!kccm_lane_accepted(conn->peer, lane, ack.accepted)) {
		kccm_conn_drop(conn, KCCM_REFUSE_PROTOCOL, now_ns);
		return false;
	}
	if (lane->queue.credit_messages < ack.credit_messages)
		lane->queue.credit_messages = ack.credit_messages;
	if (lane->queue.credit_bytes < ack.credit_bytes)
		lane->queue.credit_bytes = ack.credit_bytes;
	if (kccm_queue_sendable(&lane->queue))
		kccm_conn_announce(conn);
	/* It may stay as full as it is until a reply has gone, for which there is room now. */
	if (lane->reply_starved && !kccm_queue_moves(&lane->queue))
		tell_writable(conn->peer, lane);
	return true;
}

void kccm_lane_restart(struct kccm_peer *peer, struct kccm_lane *lane, struct kccm_queue *dropped)
{
	*dropped = lane->queue;
	kccm_lane_init(peer, lane);
	if (!peer->dialer)
		lane->attempt = 0;
}

void kccm_lane_discard(struct kccm_lane *lane, struct kccm_queue *dropped)
{
	/* A write that is still in flight may read the blocks. */
	if (lane->pins && dropped->head) {
		dropped->tail->next = lane->orphans;
		lane->orphans = dropped->head;
		dropped->head = NULL;
	}
	kccm_queue_free(dropped);
}

/* --- receiving -------------------------------------------------------------------------------- */

void kccm_lane_ack(const struct kccm_peer *peer, const struct kccm_lane *lane, struct kccm_ack *ack)
{
	const struct kccm_config *config = &peer->endpoint->config;

	ack->accepted = lane->next_expected - 1;
	ack->credit_messages = lane->consumed_messages + config->window_messages;
	ack->credit_bytes = lane->consumed_bytes + config->window_bytes;
}

void kccm_lane_told(struct kccm_lane *lane, const struct kccm_ack *ack)
{
	lane->told_accepted = ack->accepted;
	lane->told_messages = ack->credit_messages;
	lane->told_bytes = ack->credit_bytes;
	lane->ack_at_ns = KCCM_NEVER;
}

/* At once when a good part of the window is used up or free again, or the sender would stall. */
void kccm_lane_want_ack(struct kccm_peer *peer, struct kccm_lane *lane, uint64_t now_ns)
{
	const struct kccm_config *config = &peer->endpoint->config;
	struct kccm_ack ack;

	if (!lane->conn || lane->conn->ack_now)
		return;
	if (lane->conn->in_input) {
		lane->conn->ack_wanted = true;
		return;
	}
	kccm_lane_ack(peer, lane, &ack);
	if (ack.accepted - lane->told_accepted > config->window_messages / 4 ||
	    ack.credit_messages - lane->told_messages > config->window_messages / 4 ||
	    ack.credit_bytes - lane->told_bytes > config->window_bytes / 4) {
		lane->conn->ack_now = true;
		kccm_conn_announce(lane->conn);
	} else if (lane->ack_at_ns == KCCM_NEVER) {
		lane->ack_at_ns = now_ns + KCCM_ACK_DELAY_MS * KCCM_MS;
		kccm_schedule(peer->endpoint, lane->ack_at_ns);
	}
}

/* In order, and within what was granted? A peer that breaks either is not believed any further. */
static bool may_come(const struct kccm_peer *peer, const struct kccm_lane *lane,
		     const struct kccm_frame *frame)
{
	struct kccm_ack granted;

	kccm_lane_ack(peer, lane, &granted);
	return frame->seq == lane->next_expected && frame->seq <= granted.credit_messages &&
	       lane->received_bytes + frame->length <= granted.credit_bytes;
}

bool kccm_lane_received(struct kccm_conn *conn, const struct kccm_frame *frame, const void *payload,
			uint64_t now_ns)
{
	struct kccm_peer *peer = conn->peer;
	struct kccm_lane *lane = &peer->lanes[conn->lane];
	const struct kccm_ops *ops = peer->endpoint->ops;
	struct kccm_message message = {
		.type = frame->type,
		.lane = (uint8_t)conn->lane,
		.port = frame->port,
		.epoch = frame->epoch,
		.request = frame->request,
		.payload = payload,
		.length = frame->length,
	};

	if (frame->seq && frame->seq < lane->next_expected) {
		peer->stats.duplicates++;
		conn->ack_wanted = true;
		return true;
	}
	if (!may_come(peer, lane, frame)) {
		kccm_conn_drop(conn, KCCM_REFUSE_PROTOCOL, now_ns);
		return false;
	}
	/* Before the application sees it, because it may consume the message in the callback. */
	lane->next_expected++;
	lane->received_bytes += frame->length;
	if (frame->type == KCCM_FRAME_REPLY) {
		kccm_call_replied(peer, &message);
		kccm_peer_consume(peer, conn->lane, 1, frame->length, now_ns);
	} else if (ops->deliver(peer->endpoint->ctx, peer, &message) < 0) {
		lane->next_expected--;
		lane->received_bytes -= frame->length;
		peer->endpoint->stats.out_of_memory++;
		kccm_conn_drop(conn, 0, now_ns);
		return false;
	}
	peer->stats.messages_received++;
	peer->stats.bytes_received += frame->length;
	conn->ack_wanted = true;
	return true;
}

void kccm_peer_consume(struct kccm_peer *peer, unsigned lane_index, uint32_t messages,
		       uint64_t bytes, uint64_t now_ns)
{
	struct kccm_lane *lane = &peer->lanes[lane_index];
	uint64_t held_messages = lane->next_expected - 1 - lane->consumed_messages;
	uint64_t held_bytes = lane->received_bytes - lane->consumed_bytes;

	/* Messages of a session that has ended may still be reported: they grant nothing. */
	lane->consumed_messages += messages < held_messages ? messages : held_messages;
	lane->consumed_bytes += bytes < held_bytes ? bytes : held_bytes;
	kccm_lane_want_ack(peer, lane, now_ns);
}
