// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The handshake. Its essay stands in wire.h; the order of the checks is that of the cheapest and
 * most telling refusal first, and nothing of a peer changes before its proof is verified.
 */
#include "state.h"

static void encode(const struct kccm_hello *hello, uint8_t to[KCCM_HELLO_BYTES])
{
	kccm_put32(to, hello->magic);
	kccm_put16(to + 4, hello->version_min);
	kccm_put16(to + 6, hello->version_max);
	memcpy(to + 8, hello->cluster, KCCM_CLUSTER_BYTES);
	kccm_put16(to + 24, hello->node);
	kccm_put16(to + 26, hello->peer);
	to[28] = hello->lane;
	to[29] = hello->verdict;
	kccm_put16(to + 30, hello->ciphers);
	kccm_put64(to + 32, hello->incarnation);
	kccm_put64(to + 40, hello->session);
	kccm_put64(to + 48, hello->peer_session);
	kccm_put64(to + 56, hello->attempt);
	kccm_put64(to + 64, hello->next_expected);
	kccm_put64(to + 72, hello->credit_messages);
	kccm_put64(to + 80, hello->credit_bytes);
	kccm_put32(to + 88, hello->payload_max);
	kccm_put32(to + 92, hello->tolerance_ms);
	memcpy(to + 96, hello->nonce, KCCM_NONCE_BYTES);
}

static void decode(const uint8_t from[KCCM_HELLO_BYTES], struct kccm_hello *hello)
{
	hello->magic = kccm_get32(from);
	hello->version_min = kccm_get16(from + 4);
	hello->version_max = kccm_get16(from + 6);
	memcpy(hello->cluster, from + 8, KCCM_CLUSTER_BYTES);
	hello->node = kccm_get16(from + 24);
	hello->peer = kccm_get16(from + 26);
	hello->lane = from[28];
	hello->verdict = from[29];
	hello->ciphers = kccm_get16(from + 30);
	hello->incarnation = kccm_get64(from + 32);
	hello->session = kccm_get64(from + 40);
	hello->peer_session = kccm_get64(from + 48);
	hello->attempt = kccm_get64(from + 56);
	hello->next_expected = kccm_get64(from + 64);
	hello->credit_messages = kccm_get64(from + 72);
	hello->credit_bytes = kccm_get64(from + 80);
	hello->payload_max = kccm_get32(from + 88);
	hello->tolerance_ms = kccm_get32(from + 92);
	memcpy(hello->nonce, from + 96, KCCM_NONCE_BYTES);
}

/* What this node says of itself for conn->lane, under the session id `session`. */
static void describe(struct kccm_conn *conn, uint64_t session, struct kccm_hello *hello)
{
	const struct kccm_endpoint *endpoint = conn->endpoint;
	const struct kccm_config *config = &endpoint->config;
	const struct kccm_peer *peer = conn->peer;

	memset(hello, 0, sizeof(*hello));
	hello->magic = KCCM_MAGIC;
	hello->version_min = KCCM_VERSION_MIN;
	hello->version_max = KCCM_VERSION_MAX;
	memcpy(hello->cluster, config->cluster, KCCM_CLUSTER_BYTES);
	hello->node = config->node;
	hello->peer = peer->node;
	hello->lane = (uint8_t)conn->lane;
	hello->ciphers = 1;
	hello->incarnation = config->incarnation;
	hello->session = session;
	hello->peer_session = peer->remote_session;
	hello->attempt = conn->attempt;
	hello->next_expected = 1;
	hello->credit_messages = config->window_messages;
	hello->credit_bytes = config->window_bytes;
	if (session == peer->session) {
		const struct kccm_lane *lane = &peer->lanes[conn->lane];
		struct kccm_ack ack;

		kccm_lane_ack(peer, lane, &ack);
		hello->next_expected = lane->next_expected;
		hello->credit_messages = ack.credit_messages;
		hello->credit_bytes = ack.credit_bytes;
	}
	hello->payload_max = config->payload_max;
	hello->tolerance_ms = config->tolerance_ms;
	endpoint->ops->random(endpoint->ctx, hello->nonce, KCCM_NONCE_BYTES);
}

static bool prove(const struct kccm_conn *conn, char role, uint8_t proof[KCCM_PROOF_BYTES])
{
	const struct kccm_endpoint *endpoint = conn->endpoint;
	uint8_t text[1 + 2 * KCCM_HELLO_BYTES];

	text[0] = (uint8_t)role;
	memcpy(text + 1, conn->hello_bytes, KCCM_HELLO_BYTES);
	memcpy(text + 1 + KCCM_HELLO_BYTES, conn->reply_bytes, KCCM_HELLO_BYTES);
	return !endpoint->ops->mac(endpoint->ctx, endpoint->config.key, text, sizeof(text), proof);
}

/* Equal or not in a time that tells nothing of where they differ. */
static bool proof_fits(const struct kccm_conn *conn, char role, const uint8_t *given)
{
	uint8_t expected[KCCM_PROOF_BYTES];
	uint8_t differ = 0;
	unsigned i;

	if (!prove(conn, role, expected))
		return false;
	for (i = 0; i < KCCM_PROOF_BYTES; i++)
		differ |= expected[i] ^ given[i];
	return !differ;
}

static bool refuse(struct kccm_conn *conn, enum kccm_refusal reason, uint64_t now_ns)
{
	kccm_conn_drop(conn, reason, now_ns);
	return false;
}

/* What any hello must satisfy, whoever sent it; 0 or the reason to refuse it. */
static enum kccm_refusal check_common(const struct kccm_endpoint *endpoint,
				      const struct kccm_hello *hello)
{
	const struct kccm_config *config = &endpoint->config;

	if (hello->magic != KCCM_MAGIC)
		return KCCM_REFUSE_PROTOCOL;
	if (hello->version_min > hello->version_max || hello->version_min > KCCM_VERSION_MAX ||
	    hello->version_max < KCCM_VERSION_MIN || !(hello->ciphers & 1))
		return KCCM_REFUSE_VERSION;
	if (memcmp(hello->cluster, config->cluster, KCCM_CLUSTER_BYTES))
		return KCCM_REFUSE_CLUSTER;
	if (hello->peer != config->node)
		return KCCM_REFUSE_NOT_ME;
	/* Version 1 has one size limit for a whole cluster: what one may send, the other must take.
	 */
	if (hello->lane >= KCCM_LANES || !hello->incarnation || !hello->session ||
	    !hello->attempt || !hello->next_expected || hello->payload_max != config->payload_max ||
	    hello->tolerance_ms < KCCM_TOLERANCE_MIN_MS ||
	    hello->tolerance_ms > KCCM_TOLERANCE_MAX_MS)
		return KCCM_REFUSE_PROTOCOL;
	return 0;
}

/* Another incarnation while the known one still speaks is a clone; after it fell silent, a restart.
 */
static bool is_clone(const struct kccm_peer *peer, uint64_t incarnation, uint64_t now_ns)
{
	return peer->incarnation && peer->incarnation != incarnation &&
	       kccm_peer_alive(peer, now_ns);
}

/* --- the initiator ---------------------------------------------------------------------------- */

void kccm_hello_start(struct kccm_conn *conn, uint64_t now_ns)
{
	struct kccm_peer *peer = conn->peer;
	struct kccm_lane *lane = &peer->lanes[conn->lane];
	struct kccm_hello hello;

	(void)now_ns;
	conn->state = KCCM_CONN_WAIT_REPLY;
	conn->attempt = ++lane->attempt;
	conn->session = peer->session;
	describe(conn, peer->session, &hello);
	encode(&hello, conn->hello_bytes);
	kccm_conn_control(conn, KCCM_FRAME_HELLO, conn->hello_bytes, KCCM_HELLO_BYTES);
}

bool kccm_hello_reply_received(struct kccm_conn *conn, const uint8_t *body, uint32_t length,
			       uint64_t now_ns)
{
	struct kccm_endpoint *endpoint = conn->endpoint;
	struct kccm_peer *peer = conn->peer;
	struct kccm_hello *heard = &conn->heard;
	uint8_t proof[KCCM_PROOF_BYTES];
	enum kccm_refusal reason;

	if (length != KCCM_HELLO_REPLY_BYTES)
		return refuse(conn, KCCM_REFUSE_PROTOCOL, now_ns);
	memcpy(conn->reply_bytes, body, KCCM_HELLO_BYTES);
	decode(conn->reply_bytes, heard);
	reason = check_common(endpoint, heard);
	if (reason)
		return refuse(conn, reason, now_ns);
	if (heard->node != peer->node)
		return refuse(conn, KCCM_REFUSE_NOT_ME, now_ns);
	if (!proof_fits(conn, 'R', body + KCCM_HELLO_BYTES))
		return refuse(conn, KCCM_REFUSE_PROOF, now_ns);
	if (heard->lane != conn->lane || heard->attempt != conn->attempt)
		return refuse(conn, KCCM_REFUSE_PROTOCOL, now_ns);
	if (is_clone(peer, heard->incarnation, now_ns))
		return refuse(conn, KCCM_REFUSE_CLONE, now_ns);
	/* Another lane's handshake may have ended the session that this one was about. */
	if (conn->session != peer->session)
		return refuse(conn, KCCM_REFUSE_STALE, now_ns);

	conn->proven = true;
	kccm_peer_heard(peer, now_ns);
	/* Who remembers less than it has acknowledged has lost the session, whatever it says. */
	if (heard->verdict == KCCM_VERDICT_RESET ||
	    heard->next_expected < peer->lanes[conn->lane].queue.base) {
		if (!peer->remote_session)
			return refuse(conn, KCCM_REFUSE_PROTOCOL, now_ns);
		kccm_peer_reset(peer, NULL, kccm_new_session(endpoint), now_ns);
		return false; /* the reset has dropped this connection and dials again */
	}
	if (heard->verdict != KCCM_VERDICT_CONTINUE || heard->peer_session != peer->session ||
	    (peer->remote_session && peer->remote_session != heard->session))
		return refuse(conn, KCCM_REFUSE_PROTOCOL, now_ns);

	if (!prove(conn, 'I', proof))
		return refuse(conn, KCCM_REFUSE_PROOF, now_ns);
	peer->remote_session = heard->session;
	peer->incarnation = heard->incarnation;
	kccm_conn_control(conn, KCCM_FRAME_HELLO_PROOF, proof, sizeof(proof));
	return kccm_lane_attach(conn, now_ns);
}

/* --- the responder ---------------------------------------------------------------------------- */

/*
 * The session of ours that an initiator's new session is answered with, 0 if it cannot be computed.
 * Always the same one for the same session, because several connections shake hands at once, of
 * dead initiators too, and nothing may be remembered of one that has not proven itself. Another one
 * once the peer has been removed and added again: what was delivered before is forgotten.
 */
static uint64_t offer(const struct kccm_peer *peer, uint64_t initiators)
{
	const struct kccm_endpoint *endpoint = peer->endpoint;
	uint8_t text[1 + 8 + 8 + 8 + 2];
	uint8_t mac[KCCM_PROOF_BYTES];

	text[0] = 'S';
	kccm_put64(text + 1, endpoint->config.incarnation);
	kccm_put64(text + 9, peer->salt);
	kccm_put64(text + 17, initiators);
	kccm_put16(text + 25, peer->node);
	if (endpoint->ops->mac(endpoint->ctx, endpoint->config.key, text, sizeof(text), mac))
		return 0;
	return kccm_get64(mac) | 1;
}

/*
 * A session that is over must not begin again, empty, with its messages delivered twice, when an
 * initiator comes back whose place a successor had taken meanwhile.
 */
static bool is_over(const struct kccm_peer *peer, uint64_t initiators)
{
	unsigned i;

	for (i = 0; i < KCCM_SESSIONS_REMEMBERED; i++)
		if (peer->ended[i] == initiators)
			return true;
	return false;
}

/*
 * Which session of ours the HELLO is answered with: the one we hold, if the initiator holds its
 * counterpart; an offer, if it starts afresh; and a RESET, if it names one that is gone. An
 * initiator may name our offer as soon as it has heard it, while its proof is lost on the way: that
 * session is not gone, it has not begun.
 */
static uint64_t choose_session(const struct kccm_peer *peer, const struct kccm_hello *heard,
			       uint8_t *verdict)
{
	uint64_t offered;

	*verdict = KCCM_VERDICT_CONTINUE;
	if (peer->remote_session == heard->session) {
		if (heard->peer_session && heard->peer_session != peer->session)
			*verdict = KCCM_VERDICT_RESET;
		return peer->session;
	}
	offered = offer(peer, heard->session);
	if (!is_over(peer, heard->session) &&
	    (!heard->peer_session || heard->peer_session == offered))
		return offered;
	*verdict = KCCM_VERDICT_RESET;
	return peer->session;
}

static bool is_stale(const struct kccm_peer *peer, const struct kccm_hello *heard)
{
	return peer->remote_session == heard->session &&
	       heard->attempt <= peer->lanes[heard->lane].attempt;
}

bool kccm_hello_received(struct kccm_conn *conn, const uint8_t *body, uint32_t length,
			 uint64_t now_ns)
{
	struct kccm_endpoint *endpoint = conn->endpoint;
	struct kccm_hello *heard = &conn->heard;
	uint8_t reply[KCCM_HELLO_REPLY_BYTES];
	struct kccm_hello hello;
	enum kccm_refusal reason;
	struct kccm_peer *peer;
	uint8_t verdict;

	if (length != KCCM_HELLO_BYTES)
		return refuse(conn, KCCM_REFUSE_PROTOCOL, now_ns);
	memcpy(conn->hello_bytes, body, KCCM_HELLO_BYTES);
	decode(conn->hello_bytes, heard);
	reason = check_common(endpoint, heard);
	if (reason)
		return refuse(conn, reason, now_ns);
	peer = kccm_peer_find(endpoint, heard->node);
	if (!peer)
		return refuse(conn, KCCM_REFUSE_UNKNOWN, now_ns);
	if (peer->dialer)
		return refuse(conn, KCCM_REFUSE_DIRECTION, now_ns);
	if (is_clone(peer, heard->incarnation, now_ns))
		return refuse(conn, KCCM_REFUSE_CLONE, now_ns);
	if (is_stale(peer, heard))
		return refuse(conn, KCCM_REFUSE_STALE, now_ns);

	conn->peer = peer;
	peer->conns++;
	conn->lane = heard->lane;
	conn->attempt = heard->attempt;
	conn->session = choose_session(peer, heard, &verdict);
	conn->sessions = peer->sessions;
	if (!conn->session)
		return refuse(conn, KCCM_REFUSE_PROOF, now_ns);
	describe(conn, conn->session, &hello);
	hello.version_min = KCCM_VERSION_MAX;
	hello.verdict = verdict;
	hello.peer_session = heard->session;
	encode(&hello, conn->reply_bytes);
	memcpy(reply, conn->reply_bytes, KCCM_HELLO_BYTES);
	if (!prove(conn, 'R', reply + KCCM_HELLO_BYTES))
		return refuse(conn, KCCM_REFUSE_PROOF, now_ns);
	conn->state = KCCM_CONN_WAIT_PROOF;
	kccm_conn_control(conn, KCCM_FRAME_HELLO_REPLY, reply, sizeof(reply));
	return true;
}

bool kccm_hello_proof_received(struct kccm_conn *conn, const uint8_t *body, uint32_t length,
			       uint64_t now_ns)
{
	struct kccm_peer *peer = conn->peer;
	const struct kccm_hello *heard = &conn->heard;

	struct kccm_hello told;

	decode(conn->reply_bytes, &told);
	if (length != KCCM_PROOF_BYTES || told.verdict != KCCM_VERDICT_CONTINUE)
		return refuse(conn, KCCM_REFUSE_PROTOCOL, now_ns);
	if (!proof_fits(conn, 'I', body))
		return refuse(conn, KCCM_REFUSE_PROOF, now_ns);
	/* Other connections may have been proven since the HELLO was answered. */
	if (peer->removed)
		return refuse(conn, KCCM_REFUSE_UNKNOWN, now_ns);
	if (is_clone(peer, heard->incarnation, now_ns))
		return refuse(conn, KCCM_REFUSE_CLONE, now_ns);
	if (is_stale(peer, heard))
		return refuse(conn, KCCM_REFUSE_STALE, now_ns);
	if (conn->session != peer->session) {
		/* Whoever proves itself after another session began here may be dead long since. */
		if (conn->sessions != peer->sessions)
			return refuse(conn, KCCM_REFUSE_STALE, now_ns);
		if (peer->remote_session)
			kccm_peer_reset(peer, conn, conn->session, now_ns);
		else
			peer->sessions++; /* the first: nothing is over */
		peer->session = conn->session;
	}
	conn->endpoint->handshakes--;
	conn->proven = true;
	kccm_peer_heard(peer, now_ns);
	peer->remote_session = heard->session;
	peer->incarnation = heard->incarnation;
	return kccm_lane_attach(conn, now_ns);
}
