// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One other node: its liveness, its dials, and what happens when its session ends. */
#include "state.h"

uint64_t kccm_new_session(const struct kccm_endpoint *endpoint)
{
	uint64_t session;

	do {
		endpoint->ops->random(endpoint->ctx, &session, sizeof(session));
	} while (!session);
	return session;
}

int kccm_peer_add(struct kccm_endpoint *endpoint, uint16_t node, void *user, uint64_t now_ns,
		  struct kccm_peer **out)
{
	struct kccm_peer *peer;
	unsigned i;

	if (node < KCCM_NODE_MIN || node > KCCM_NODE_MAX || node == endpoint->config.node)
		return -EINVAL;
	if (endpoint->peers[node])
		return -EEXIST;
	peer = endpoint->ops->alloc(endpoint->ctx, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	memset(peer, 0, sizeof(*peer));
	peer->endpoint = endpoint;
	peer->user = user;
	peer->node = node;
	peer->dialer = endpoint->config.node < node;
	peer->session = kccm_new_session(endpoint);
	endpoint->ops->random(endpoint->ctx, &peer->salt, sizeof(peer->salt));
	peer->tolerance_ns = endpoint->tolerance_ns;
	peer->heard_ns = now_ns;
	peer->knock_at_ns = now_ns + KCCM_KNOCK_MS * KCCM_MS;
	kccm_calls_init(&peer->calls, kccm_memory_of(endpoint), endpoint->config.calls);
	for (i = 0; i < KCCM_LANES; i++) {
		kccm_lane_init(peer, &peer->lanes[i]);
		peer->lanes[i].dial_at_ns = now_ns;
	}
	endpoint->peers[node] = peer;
	kccm_schedule(endpoint, now_ns);
	*out = peer;
	return 0;
}

void kccm_peer_put(struct kccm_peer *peer)
{
	unsigned i;

	peer->conns--;
	if (!peer->removed || peer->conns)
		return;
	for (i = 0; i < KCCM_LANES; i++)
		kccm_queue_free(&peer->lanes[i].queue);
	kccm_calls_free(&peer->calls);
	peer->endpoint->ops->free(peer->endpoint->ctx, peer, sizeof(*peer));
}

void kccm_peer_remove(struct kccm_peer *peer, uint64_t now_ns)
{
	peer->conns++; /* until the end of this function */
	peer->removed = true;
	peer->endpoint->peers[peer->node] = NULL;
	kccm_peer_reset(peer, NULL, peer->session, now_ns);
	kccm_peer_put(peer);
}

void kccm_peer_event(struct kccm_peer *peer, enum kccm_event event)
{
	if (peer->removed) /* nobody waits for news of it any more */
		return;
	peer->endpoint->ops->event(peer->endpoint->ctx, peer, event);
}

/* --- the end of a session --------------------------------------------------------------------- */

static int outcome_of(const struct kccm_queue *queue, uint64_t seq)
{
	return seq < queue->sent_end ? -EREMOTEIO : -ECANCELED;
}

static void settle_messages(struct kccm_peer *peer, const struct kccm_queue *queue)
{
	uint64_t seq;

	for (seq = queue->base; seq < queue->next; seq++) {
		uint64_t cookie = kccm_queue_cookie(queue, seq);
		int error = outcome_of(queue, seq);

		if (error == -EREMOTEIO)
			peer->stats.outcomes_unknown++;
		if (cookie)
			peer->endpoint->ops->sent(peer->endpoint->ctx, peer, cookie, error);
	}
}

/* Calls of the session that ended; callbacks may make new ones, which carry the new count. */
static void settle_calls(struct kccm_peer *peer, const struct kccm_queue queues[KCCM_LANES])
{
	struct kccm_calls *calls = &peer->calls;
	uint32_t i;

	for (i = 0; i < calls->capacity; i++) {
		struct kccm_call_slot *slot = &calls->slots[i];
		uint64_t cookie = slot->cookie;
		int error;

		if (!slot->waiting || slot->sessions == peer->sessions)
			continue;
		error = outcome_of(&queues[slot->lane], slot->seq);
		kccm_calls_release(calls, slot);
		peer->endpoint->ops->called(peer->endpoint->ctx, peer, cookie, error, NULL);
	}
}

/*
 * Order: (1) the connections go, so that nothing reads the queues but writes in flight, which hold
 * pins; (2) the lanes start empty under the new session id, so that a callback may send at once;
 * (3) the driver hears of it before anything else that it might take for the old session's;
 * (4) what was queued is settled; (5) its memory goes, as far as no pin holds it.
 */
void kccm_peer_reset(struct kccm_peer *peer, struct kccm_conn *keep, uint64_t new_session,
		     uint64_t now_ns)
{
	struct kccm_endpoint *endpoint = peer->endpoint;
	struct kccm_queue dropped[KCCM_LANES];
	bool starved[KCCM_LANES];
	struct kccm_conn *conn;
	unsigned i;

	for (conn = endpoint->conns; conn; conn = conn->next)
		if (conn->peer == peer && conn != keep &&
		    (peer->removed || conn->state != KCCM_CONN_WAIT_PROOF))
			kccm_conn_drop(conn, 0, now_ns);

	peer->session = new_session;
	if (peer->remote_session)
		peer->ended[peer->ended_next++ % KCCM_SESSIONS_REMEMBERED] = peer->remote_session;
	peer->remote_session = 0;
	peer->sessions++;
	if (!peer->removed)
		peer->stats.reboots++;
	for (i = 0; i < KCCM_LANES; i++) {
		starved[i] = peer->lanes[i].starved;
		kccm_lane_restart(peer, &peer->lanes[i], &dropped[i]);
		peer->lanes[i].failures = 0;
		peer->lanes[i].dial_at_ns = now_ns;
	}
	kccm_schedule(endpoint, now_ns);

	if (!peer->removed)
		kccm_peer_event(peer, KCCM_EVENT_REBOOTED);
	for (i = 0; i < KCCM_LANES; i++)
		settle_messages(peer, &dropped[i]);
	settle_calls(peer, dropped);

	for (i = 0; i < KCCM_LANES; i++) {
		kccm_lane_discard(&peer->lanes[i], &dropped[i]);
		if (starved[i] && !peer->removed)
			endpoint->ops->writable(endpoint->ctx, peer, i);
	}
	if (!peer->removed)
		kccm_calls_writable(peer);
}

/* --- liveness --------------------------------------------------------------------------------- */

void kccm_peer_heard(struct kccm_peer *peer, uint64_t now_ns)
{
	peer->heard_ns = now_ns;
}

bool kccm_peer_alive(const struct kccm_peer *peer, uint64_t now_ns)
{
	unsigned i;

	for (i = 0; i < KCCM_LANES; i++)
		if (kccm_conn_alive(peer->lanes[i].conn, peer->tolerance_ns, now_ns))
			return true;
	return false;
}

void kccm_peer_attached(struct kccm_peer *peer, uint64_t now_ns)
{
	unsigned i;

	(void)now_ns;
	for (i = 0; i < KCCM_LANES; i++)
		if (!peer->lanes[i].conn)
			return;
	peer->knocks = 0;
	if (peer->state == KCCM_PEER_UP)
		return;
	peer->state = KCCM_PEER_UP;
	kccm_peer_event(peer, KCCM_EVENT_UP);
}

static void judge_silence(struct kccm_peer *peer, uint64_t now_ns)
{
	uint64_t silence_ns = now_ns - peer->heard_ns;
	uint64_t dead_ns = peer->tolerance_ns * KCCM_DEAD_FACTOR;

	if (peer->state == KCCM_PEER_CONNECTING || peer->state == KCCM_PEER_PATH_DOWN) {
		if (silence_ns < peer->tolerance_ns) {
			kccm_schedule(peer->endpoint, peer->heard_ns + peer->tolerance_ns);
			return;
		}
		peer->state = KCCM_PEER_SUSPECT;
		kccm_peer_event(peer, KCCM_EVENT_SUSPECT);
	}
	if (peer->state == KCCM_PEER_SUSPECT) {
		if (silence_ns < dead_ns) {
			kccm_schedule(peer->endpoint, peer->heard_ns + dead_ns);
			return;
		}
		peer->state = KCCM_PEER_DEAD;
		kccm_peer_event(peer, KCCM_EVENT_PEER_DEAD);
	}
}

static uint64_t probe_interval_ns(const struct kccm_peer *peer)
{
	uint64_t quarter = peer->tolerance_ns >> 2;

	return quarter < KCCM_PROBE_MAX_MS * KCCM_MS ? quarter : KCCM_PROBE_MAX_MS * KCCM_MS;
}

static void tick_conn(struct kccm_peer *peer, struct kccm_lane *lane, uint64_t now_ns)
{
	struct kccm_conn *conn = lane->conn;
	uint64_t probe_at_ns = conn->written_ns + probe_interval_ns(peer);

	if (!kccm_conn_alive(conn, peer->tolerance_ns, now_ns)) {
		kccm_conn_drop(conn, 0, now_ns);
		return;
	}
	kccm_schedule(peer->endpoint, conn->received_ns + peer->tolerance_ns);
	if (now_ns >= probe_at_ns) {
		conn->probe_now = true;
		kccm_conn_announce(conn);
		probe_at_ns = now_ns + probe_interval_ns(peer);
	}
	kccm_schedule(peer->endpoint, probe_at_ns);
	if (now_ns >= lane->ack_at_ns) {
		lane->ack_at_ns = KCCM_NEVER;
		conn->ack_now = true;
		kccm_conn_announce(conn);
	}
	kccm_schedule(peer->endpoint, lane->ack_at_ns);
}

/* --- dialing ---------------------------------------------------------------------------------- */

/* At once the first time, then full jitter between KCCM_BACKOFF_FIRST_MS and a bound that doubles.
 */
static uint64_t backoff_ns(struct kccm_peer *peer, unsigned failures)
{
	const struct kccm_endpoint *endpoint = peer->endpoint;
	uint32_t bound_ms = KCCM_BACKOFF_LAST_MS;
	uint32_t random;

	if (!failures)
		return 0;
	if (failures < 8 && (KCCM_BACKOFF_FIRST_MS << failures) < KCCM_BACKOFF_LAST_MS)
		bound_ms = KCCM_BACKOFF_FIRST_MS << failures;
	endpoint->ops->random(endpoint->ctx, &random, sizeof(random));
	return KCCM_BACKOFF_FIRST_MS * KCCM_MS +
	       (((bound_ms - KCCM_BACKOFF_FIRST_MS) * KCCM_MS >> 16) * (random >> 16));
}

void kccm_peer_redial(struct kccm_peer *peer, unsigned lane_index, bool failed, uint64_t now_ns)
{
	struct kccm_lane *lane = &peer->lanes[lane_index];

	if (peer->removed)
		return;
	if (!peer->dialer) {
		peer->knocks = 0;
		peer->knock_at_ns = now_ns + KCCM_KNOCK_MS * KCCM_MS;
		kccm_schedule(peer->endpoint, peer->knock_at_ns);
		return;
	}
	lane->dialing = false;
	if (failed)
		lane->failures++;
	lane->dial_at_ns = now_ns + backoff_ns(peer, lane->failures);
	kccm_schedule(peer->endpoint, lane->dial_at_ns);
}

void kccm_dial_failed(struct kccm_peer *peer, unsigned lane, bool knock, uint64_t now_ns)
{
	if (knock) {
		peer->knocking = false;
	} else {
		peer->stats.dials_failed++;
		kccm_peer_redial(peer, lane, true, now_ns);
	}
	kccm_peer_put(peer);
}

void kccm_peer_knocked(struct kccm_peer *peer, uint64_t now_ns)
{
	unsigned i;

	/* Anybody may knock: it must not make this node dial faster than a first back-off would. */
	if (!peer->dialer || now_ns - peer->knocked_ns < KCCM_BACKOFF_FIRST_MS * KCCM_MS)
		return;
	peer->knocked_ns = now_ns;
	for (i = 0; i < KCCM_LANES; i++)
		if (!peer->lanes[i].conn && !peer->lanes[i].dialing)
			peer->lanes[i].dial_at_ns = now_ns;
	kccm_schedule(peer->endpoint, now_ns);
}

static void dial(struct kccm_peer *peer, unsigned lane, bool knock)
{
	peer->conns++; /* given to the connection, or back by kccm_dial_failed() */
	peer->endpoint->ops->dial(peer->endpoint->ctx, peer, lane, knock);
}

static void tick_dial(struct kccm_peer *peer, unsigned index, uint64_t now_ns)
{
	struct kccm_lane *lane = &peer->lanes[index];

	if (lane->dialing)
		return;
	if (now_ns < lane->dial_at_ns) {
		kccm_schedule(peer->endpoint, lane->dial_at_ns);
		return;
	}
	lane->dialing = true;
	dial(peer, index, false);
}

static void tick_knock(struct kccm_peer *peer, uint64_t now_ns)
{
	if (peer->knocking)
		return;
	if (now_ns < peer->knock_at_ns) {
		kccm_schedule(peer->endpoint, peer->knock_at_ns);
		return;
	}
	peer->knocking = true;
	peer->knocks++;
	peer->knock_at_ns = now_ns + KCCM_KNOCK_MS * KCCM_MS + backoff_ns(peer, peer->knocks);
	kccm_schedule(peer->endpoint, peer->knock_at_ns);
	dial(peer, KCCM_LANE_CONTROL, true);
}

void kccm_peer_tick(struct kccm_peer *peer, uint64_t now_ns)
{
	bool missing = false;
	unsigned i;

	for (i = 0; i < KCCM_LANES; i++) {
		if (peer->lanes[i].conn)
			tick_conn(peer, &peer->lanes[i], now_ns);
		if (peer->lanes[i].conn)
			continue;
		missing = true;
		if (peer->dialer)
			tick_dial(peer, i, now_ns);
	}
	if (missing && !peer->dialer)
		tick_knock(peer, now_ns);
	judge_silence(peer, now_ns);
	kccm_calls_expire(peer, now_ns);
	kccm_calls_writable(peer); /* after calls that expired, or were cancelled meanwhile */
}

/* --- questions -------------------------------------------------------------------------------- */

void *kccm_peer_user(const struct kccm_peer *peer)
{
	return peer->user;
}

uint16_t kccm_peer_node(const struct kccm_peer *peer)
{
	return peer->node;
}

uint64_t kccm_peer_incarnation(const struct kccm_peer *peer)
{
	return peer->incarnation;
}

enum kccm_peer_state kccm_peer_state(const struct kccm_peer *peer)
{
	return peer->state;
}

const struct kccm_peer_counters *kccm_peer_stats(const struct kccm_peer *peer)
{
	return &peer->stats;
}

void kccm_peer_usage(const struct kccm_peer *peer, uint64_t *messages, uint64_t *bytes)
{
	unsigned i;

	*messages = 0;
	*bytes = 0;
	for (i = 0; i < KCCM_LANES; i++) {
		*messages += peer->lanes[i].queue.next - peer->lanes[i].queue.base;
		*bytes += peer->lanes[i].queue.block_bytes;
	}
}

void kccm_peer_queue(const struct kccm_peer *peer, unsigned lane_index, struct kccm_lane_queue *out)
{
	const struct kccm_lane *lane = &peer->lanes[lane_index];

	out->connected = lane->conn;
	out->accepted = lane->queue.base - 1;
	out->written = lane->queue.sent_end - 1;
	out->queued = lane->queue.next - 1;
	out->memory_bytes = lane->queue.block_bytes;
	out->credit_messages = lane->queue.credit_messages;
	out->credit_bytes = lane->queue.credit_bytes;
	out->received = lane->next_expected - 1;
	out->consumed = lane->consumed_messages;
}
