// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One TCP connection: frames out of bytes, batches of frames into bytes. */
#include "state.h"

struct kccm_conn *kccm_conn_new(struct kccm_endpoint *endpoint, void *user, uint64_t now_ns)
{
	struct kccm_conn *conn = endpoint->ops->alloc(endpoint->ctx, sizeof(*conn));

	if (!conn) {
		endpoint->stats.out_of_memory++;
		return NULL;
	}
	memset(conn, 0, sizeof(*conn));
	conn->endpoint = endpoint;
	conn->user = user;
	conn->opened_ns = now_ns;
	conn->received_ns = now_ns;
	conn->written_ns = now_ns;
	conn->batch_seq = KCCM_NEVER;
	conn->next = endpoint->conns;
	conn->prev = &endpoint->conns;
	if (conn->next)
		conn->next->prev = &conn->next;
	endpoint->conns = conn;
	kccm_schedule(endpoint, now_ns + KCCM_HANDSHAKE_MS * KCCM_MS);
	return conn;
}

static void free_body(struct kccm_conn *conn)
{
	if (conn->message_body)
		conn->endpoint->ops->free(conn->endpoint->ctx, conn->message_body,
					  conn->message_body_size);
	conn->message_body = NULL;
	conn->message_body_size = 0;
}

bool kccm_conn_alive(const struct kccm_conn *conn, uint64_t tolerance_ns, uint64_t now_ns)
{
	return conn && conn->state == KCCM_CONN_ESTABLISHED &&
	       now_ns - conn->received_ns < tolerance_ns;
}

static bool waits_for_proof(const struct kccm_conn *conn)
{
	return conn->state == KCCM_CONN_WAIT_HELLO || conn->state == KCCM_CONN_WAIT_PROOF;
}

/* --- giving up ------------------------------------------------------------------------------ */

/* Whom the connection belongs to, as far as anybody has said. */
static uint16_t claimed_node(const struct kccm_conn *conn)
{
	return conn->peer ? conn->peer->node : conn->heard.node;
}

void kccm_conn_drop(struct kccm_conn *conn, enum kccm_refusal reason, uint64_t now_ns)
{
	struct kccm_endpoint *endpoint = conn->endpoint;
	enum kccm_conn_state state = conn->state;

	if (state == KCCM_CONN_CLOSING)
		return;
	if (waits_for_proof(conn))
		endpoint->handshakes--;
	conn->state = KCCM_CONN_CLOSING;
	/*
	 * Nothing that waits is worth writing any more. A refusal is, but only between two frames:
	 * a batch that has not gone out whole may end inside one.
	 */
	conn->control_used = 0;
	if (reason) {
		endpoint->stats.refused[reason]++;
		endpoint->ops->refused(endpoint->ctx, conn, claimed_node(conn), reason, false);
		if (conn->batch_first == conn->batch_end) {
			struct kccm_refuse refuse = { .reason = reason };
			uint8_t body[KCCM_REFUSE_BYTES];

			kccm_put32(body, refuse.reason);
			kccm_conn_control(conn, KCCM_FRAME_REFUSE, body, sizeof(body));
		}
	}
	if (!conn->in_flight)
		conn->batch_first = conn->batch_end;
	if (state == KCCM_CONN_ESTABLISHED)
		kccm_lane_detach(conn, now_ns);
	else if (state == KCCM_CONN_WAIT_REPLY)
		kccm_peer_redial(conn->peer, conn->lane, true, now_ns);
	endpoint->ops->close(endpoint->ctx, conn);
}

void kccm_conn_closed(struct kccm_conn *conn, uint64_t now_ns)
{
	struct kccm_endpoint *endpoint = conn->endpoint;

	conn->in_flight = false;
	if (waits_for_proof(conn))
		endpoint->handshakes--;
	if (conn->state == KCCM_CONN_ESTABLISHED)
		kccm_lane_detach(conn, now_ns);
	else if (conn->state == KCCM_CONN_WAIT_REPLY)
		kccm_peer_redial(conn->peer, conn->lane, true, now_ns);
	conn->state = KCCM_CONN_CLOSING;
	if (conn->pinning)
		kccm_lane_unpin(conn);
	*conn->prev = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	if (conn->peer)
		kccm_peer_put(conn->peer);
	free_body(conn);
	endpoint->ops->free(endpoint->ctx, conn, sizeof(*conn));
}

/* --- output --------------------------------------------------------------------------------- */

void kccm_conn_announce(struct kccm_conn *conn)
{
	if (conn->output_announced || conn->in_flight)
		return;
	conn->output_announced = true;
	conn->endpoint->ops->output_ready(conn->endpoint->ctx, conn);
}

static unsigned put_control(const struct kccm_ops *ops, uint8_t *to, uint8_t type, const void *body,
			    uint32_t length)
{
	struct kccm_frame frame = {
		.length = length,
		.type = type,
		.flags = KCCM_FLAG_PAYLOAD_CRC,
	};

	kccm_frame_encode(ops, &frame, to);
	if (length)
		memcpy(to + KCCM_FRAME_BYTES, body, length);
	kccm_put32(to + KCCM_FRAME_BYTES + length, ops->crc32c(body, length));
	return KCCM_FRAME_BYTES + length + KCCM_CRC_BYTES;
}

void kccm_conn_control(struct kccm_conn *conn, uint8_t type, const void *body, uint32_t length)
{
	conn->control_used += put_control(conn->endpoint->ops, conn->control + conn->control_used,
					  type, body, length);
	kccm_conn_announce(conn);
}

static unsigned put_ack(struct kccm_conn *conn, uint8_t *to)
{
	struct kccm_lane *lane = &conn->peer->lanes[conn->lane];
	uint8_t body[KCCM_ACK_BYTES];
	struct kccm_ack ack;

	kccm_lane_ack(conn->peer, lane, &ack);
	kccm_put64(body, ack.accepted);
	kccm_put64(body + 8, ack.credit_messages);
	kccm_put64(body + 16, ack.credit_bytes);
	kccm_lane_told(lane, &ack);
	conn->ack_now = false;
	return put_control(conn->endpoint->ops, to, KCCM_FRAME_ACK, body, sizeof(body));
}

/*
 * A batch is whole frames: the handshake's, then an acknowledgement if one is owed and company or
 * time asks for it, a probe only if there is nothing else, and the messages that credits allow.
 */
static void build_batch(struct kccm_conn *conn)
{
	bool established = conn->state == KCCM_CONN_ESTABLISHED;
	struct kccm_lane *lane = established ? &conn->peer->lanes[conn->lane] : NULL;
	unsigned used = conn->control_used;
	bool data = established && kccm_queue_sendable(&lane->queue);

	conn->batch_first = 0;
	conn->batch_end = 0;
	memcpy(conn->batch_control, conn->control, used);
	conn->control_used = 0;
	if (established && (conn->ack_now || (data && lane->ack_at_ns != KCCM_NEVER)))
		used += put_ack(conn, conn->batch_control + used);
	if (established && conn->probe_now && !used && !data)
		used += put_control(conn->endpoint->ops, conn->batch_control, KCCM_FRAME_PROBE,
				    conn->batch_control, 0);
	conn->probe_now = false;
	if (used) {
		conn->batch[0].data = conn->batch_control;
		conn->batch[0].bytes = used;
		conn->batch_end = 1;
	}
	if (data) {
		uint64_t written_end = lane->queue.sent_end;

		conn->batch_seq = lane->queue.cursor;
		conn->batch_end +=
			kccm_queue_gather(&lane->queue, conn->batch + conn->batch_end,
					  KCCM_BATCH_VECS - conn->batch_end, KCCM_BATCH_BYTES);
		if (conn->batch_seq < written_end)
			conn->peer->stats.resent +=
				(lane->queue.cursor < written_end ? lane->queue.cursor
								  : written_end) -
				conn->batch_seq;
	}
}

static bool has_output(const struct kccm_conn *conn)
{
	if (conn->batch_first < conn->batch_end || conn->control_used)
		return true;
	return conn->state == KCCM_CONN_ESTABLISHED &&
	       (conn->ack_now || conn->probe_now ||
		kccm_queue_sendable(&conn->peer->lanes[conn->lane].queue));
}

unsigned kccm_conn_output(struct kccm_conn *conn, struct kccm_vec *vecs, unsigned max,
			  uint64_t now_ns)
{
	unsigned count = 0;

	(void)now_ns;
	conn->output_announced = false;
	if (conn->in_flight)
		return 0;
	if (conn->batch_first == conn->batch_end) {
		if (!has_output(conn))
			return 0;
		build_batch(conn);
	}
	while (count < max && conn->batch_first + count < conn->batch_end) {
		vecs[count] = conn->batch[conn->batch_first + count];
		count++;
	}
	conn->in_flight = count > 0;
	return count;
}

static void batch_done(struct kccm_conn *conn, uint64_t now_ns)
{
	bool data = conn->batch_seq != KCCM_NEVER;

	conn->batch_seq = KCCM_NEVER;
	if (conn->state == KCCM_CONN_ESTABLISHED && data)
		kccm_lane_reap(conn->peer, &conn->peer->lanes[conn->lane]);
	else if (conn->state == KCCM_CONN_KNOCKING)
		kccm_conn_drop(conn, 0, now_ns);
}

void kccm_conn_sent(struct kccm_conn *conn, size_t bytes, uint64_t now_ns)
{
	conn->in_flight = false;
	if (bytes)
		conn->written_ns = now_ns;
	while (bytes && conn->batch_first < conn->batch_end) {
		struct kccm_vec *vec = &conn->batch[conn->batch_first];
		size_t step = bytes < vec->bytes ? bytes : vec->bytes;

		vec->data = (const uint8_t *)vec->data + step;
		vec->bytes -= step;
		bytes -= step;
		if (!vec->bytes)
			conn->batch_first++;
	}
	if (conn->state == KCCM_CONN_CLOSING && conn->batch_seq != KCCM_NEVER)
		conn->batch_first = conn->batch_end; /* the rest of it is nobody's business now */
	if (conn->batch_first == conn->batch_end)
		batch_done(conn, now_ns);
	if (has_output(conn))
		kccm_conn_announce(conn);
}

/* --- input ---------------------------------------------------------------------------------- */

static bool refused(struct kccm_conn *conn, const uint8_t *body, uint64_t now_ns)
{
	uint32_t reason = kccm_get32(body);

	/* Anybody between us could have written it: it is told, and the connection is over anyway.
	 */
	if (reason && reason < KCCM_REFUSALS) {
		struct kccm_endpoint *endpoint = conn->endpoint;

		endpoint->stats.refused_by[reason]++;
		endpoint->ops->refused(endpoint->ctx, conn, claimed_node(conn),
				       (enum kccm_refusal)reason, true);
	}
	kccm_conn_drop(conn, 0, now_ns);
	return false;
}

static bool knocked(struct kccm_conn *conn, const uint8_t *body, uint64_t now_ns)
{
	struct kccm_endpoint *endpoint = conn->endpoint;
	struct kccm_peer *peer = kccm_peer_find(endpoint, kccm_get16(body + KCCM_CLUSTER_BYTES));

	if (!memcmp(body, endpoint->config.cluster, KCCM_CLUSTER_BYTES) && peer)
		kccm_peer_knocked(peer, now_ns);
	kccm_conn_drop(conn, 0, now_ns);
	return false;
}

/* A whole control frame. False: the connection was dropped. */
static bool control_received(struct kccm_conn *conn, const uint8_t *body, uint64_t now_ns)
{
	uint32_t length = conn->frame.length;

	switch (conn->frame.type) {
	case KCCM_FRAME_HELLO:
		if (conn->state == KCCM_CONN_WAIT_HELLO)
			return kccm_hello_received(conn, body, length, now_ns);
		break;
	case KCCM_FRAME_HELLO_REPLY:
		if (conn->state == KCCM_CONN_WAIT_REPLY)
			return kccm_hello_reply_received(conn, body, length, now_ns);
		break;
	case KCCM_FRAME_HELLO_PROOF:
		if (conn->state == KCCM_CONN_WAIT_PROOF)
			return kccm_hello_proof_received(conn, body, length, now_ns);
		break;
	case KCCM_FRAME_KNOCK:
		if (conn->state == KCCM_CONN_WAIT_HELLO && length == KCCM_KNOCK_BYTES)
			return knocked(conn, body, now_ns);
		break;
	case KCCM_FRAME_REFUSE:
		if (length == KCCM_REFUSE_BYTES)
			return refused(conn, body, now_ns);
		break;
	case KCCM_FRAME_ACK:
		if (conn->state == KCCM_CONN_ESTABLISHED)
			return kccm_lane_acked(conn, body, length, now_ns);
		break;
	case KCCM_FRAME_PROBE:
		if (conn->state == KCCM_CONN_ESTABLISHED)
			return true;
		break;
	}
	kccm_conn_drop(conn, KCCM_REFUSE_PROTOCOL, now_ns);
	return false;
}

/* The header is complete: may what it announces be taken in? */
static bool head_received(struct kccm_conn *conn, const uint8_t *head, uint64_t now_ns)
{
	struct kccm_endpoint *endpoint = conn->endpoint;
	struct kccm_frame *frame = &conn->frame;
	bool message, fits;

	if (!kccm_frame_decode(endpoint->ops, head, frame)) {
		endpoint->stats.bad_crc++;
		kccm_conn_drop(conn, KCCM_REFUSE_PROTOCOL, now_ns);
		return false;
	}
	message = kccm_frame_is_message(frame);
	if (message)
		fits = conn->state == KCCM_CONN_ESTABLISHED &&
		       frame->length <= endpoint->config.payload_max;
	else
		fits = frame->length <= KCCM_CONTROL_BODY_MAX &&
		       (frame->flags & KCCM_FLAG_PAYLOAD_CRC);
	if (!fits || (frame->flags & ~KCCM_FLAGS_KNOWN)) {
		kccm_conn_drop(conn, KCCM_REFUSE_PROTOCOL, now_ns);
		return false;
	}
	return true;
}

static bool frame_received(struct kccm_conn *conn, const uint8_t *body, uint64_t now_ns)
{
	struct kccm_endpoint *endpoint = conn->endpoint;
	const struct kccm_frame *frame = &conn->frame;

	if ((frame->flags & KCCM_FLAG_PAYLOAD_CRC) &&
	    kccm_get32(body + frame->length) != endpoint->ops->crc32c(body, frame->length)) {
		endpoint->stats.bad_crc++;
		kccm_conn_drop(conn, KCCM_REFUSE_PROTOCOL, now_ns);
		return false;
	}
	if (kccm_frame_is_message(frame))
		return kccm_lane_received(conn, frame, body, now_ns);
	return control_received(conn, body, now_ns);
}

static uint32_t body_bytes(const struct kccm_frame *frame)
{
	return frame->length + (frame->flags & KCCM_FLAG_PAYLOAD_CRC ? KCCM_CRC_BYTES : 0);
}

/* Large messages mostly come in a row: the memory of one is kept for the next. */
static uint8_t *body_of_message(struct kccm_conn *conn, uint32_t bytes)
{
	struct kccm_endpoint *endpoint = conn->endpoint;

	if (conn->message_body_size >= bytes)
		return conn->message_body;
	free_body(conn);
	conn->message_body = endpoint->ops->alloc(endpoint->ctx, bytes);
	if (conn->message_body)
		conn->message_body_size = bytes;
	return conn->message_body;
}

/* A body that arrives in pieces needs a place to grow. */
static bool start_body(struct kccm_conn *conn, uint64_t now_ns)
{
	conn->body_size = body_bytes(&conn->frame);
	conn->body_used = 0;
	conn->body = conn->body_size <= sizeof(conn->control_body)
			     ? conn->control_body
			     : body_of_message(conn, conn->body_size);
	if (conn->body)
		return true;
	conn->endpoint->stats.out_of_memory++;
	kccm_conn_drop(conn, 0, now_ns);
	return false;
}

/* Takes bytes of a body that is incomplete; returns how many, or 0 after a drop. */
static size_t feed_body(struct kccm_conn *conn, const uint8_t *data, size_t bytes, uint64_t now_ns)
{
	size_t step = conn->body_size - conn->body_used;

	if (step > bytes)
		step = bytes;
	memcpy(conn->body + conn->body_used, data, step);
	conn->body_used += (uint32_t)step;
	if (conn->body_used < conn->body_size)
		return step;
	data = conn->body;
	conn->body = NULL;
	return frame_received(conn, data, now_ns) ? step : 0;
}

/* Takes bytes at the start of a frame; returns how many, or 0 after a drop. */
static size_t feed_frame(struct kccm_conn *conn, const uint8_t *data, size_t bytes, uint64_t now_ns)
{
	const uint8_t *head = data;
	size_t step = KCCM_FRAME_BYTES;
	uint32_t body;

	if (conn->head_used || bytes < KCCM_FRAME_BYTES) {
		step = KCCM_FRAME_BYTES - conn->head_used;
		if (step > bytes)
			step = bytes;
		memcpy(conn->head + conn->head_used, data, step);
		conn->head_used += (unsigned)step;
		if (conn->head_used < KCCM_FRAME_BYTES)
			return step;
		head = conn->head;
	}
	conn->head_used = 0;
	if (!head_received(conn, head, now_ns))
		return 0;
	body = body_bytes(&conn->frame);
	if (bytes - step >= body)
		return frame_received(conn, data + step, now_ns) ? step + body : 0;
	return start_body(conn, now_ns) ? step : 0;
}

/* Takes all the bytes, or stops after a drop. */
static bool feed(struct kccm_conn *conn, const uint8_t *data, size_t bytes, uint64_t now_ns)
{
	while (bytes) {
		size_t taken = conn->body ? feed_body(conn, data, bytes, now_ns)
					  : feed_frame(conn, data, bytes, now_ns);

		if (!taken)
			return false;
		data += taken;
		bytes -= taken;
	}
	return true;
}

int kccm_conn_input(struct kccm_conn *conn, const void *data, size_t bytes, uint64_t now_ns)
{
	bool ok;

	if (conn->state == KCCM_CONN_CLOSING)
		return -EPIPE;
	conn->received_ns = now_ns;
	conn->in_input = true;
	ok = feed(conn, data, bytes, now_ns);
	conn->in_input = false;
	if (!ok)
		return -EPIPE;
	if (conn->ack_wanted) {
		conn->ack_wanted = false;
		kccm_lane_want_ack(conn->peer, &conn->peer->lanes[conn->lane], now_ns);
	}
	if (conn->proven)
		kccm_peer_heard(conn->peer, now_ns);
	return 0;
}

/* --- opening -------------------------------------------------------------------------------- */

struct kccm_conn *kccm_conn_dialed(struct kccm_peer *peer, unsigned lane, bool knock, void *user,
				   uint64_t now_ns)
{
	struct kccm_conn *conn = NULL;

	if (!peer->removed)
		conn = kccm_conn_new(peer->endpoint, user, now_ns);
	if (!conn) {
		kccm_dial_failed(peer, lane, knock, now_ns);
		return NULL;
	}
	conn->peer = peer; /* with the reference that the dial held */
	conn->lane = lane;
	if (knock) {
		uint8_t body[KCCM_KNOCK_BYTES];

		peer->knocking = false;
		conn->state = KCCM_CONN_KNOCKING;
		memcpy(body, peer->endpoint->config.cluster, KCCM_CLUSTER_BYTES);
		kccm_put16(body + KCCM_CLUSTER_BYTES, peer->endpoint->config.node);
		kccm_put16(body + KCCM_CLUSTER_BYTES + 2, peer->node);
		kccm_conn_control(conn, KCCM_FRAME_KNOCK, body, sizeof(body));
	} else {
		kccm_hello_start(conn, now_ns);
	}
	return conn;
}

struct kccm_conn *kccm_conn_accepted(struct kccm_endpoint *endpoint, void *user, uint64_t now_ns)
{
	struct kccm_conn *conn, *oldest = NULL;

	/* An honest handshake takes milliseconds: what has waited longest is the least likely one.
	 */
	if (endpoint->handshakes >= KCCM_HANDSHAKES_PENDING) {
		for (conn = endpoint->conns; conn; conn = conn->next)
			if (waits_for_proof(conn))
				oldest = conn; /* new ones are put in front */
		if (oldest)
			kccm_conn_drop(oldest, KCCM_REFUSE_BUSY, now_ns);
	}
	conn = kccm_conn_new(endpoint, user, now_ns);
	if (!conn)
		return NULL;
	conn->state = KCCM_CONN_WAIT_HELLO;
	endpoint->handshakes++;
	endpoint->stats.accepted++;
	return conn;
}

void *kccm_conn_user(const struct kccm_conn *conn)
{
	return conn->user;
}

unsigned kccm_conn_lane(const struct kccm_conn *conn)
{
	return conn->lane;
}

struct kccm_peer *kccm_conn_peer(const struct kccm_conn *conn)
{
	return conn->proven ? conn->peer : NULL;
}
