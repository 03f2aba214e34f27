// SPDX-License-Identifier: GPL-2.0 OR MIT
/* This node: its configuration, its peers, its time. */
#include "state.h"

/*
 * A queue must take the largest message beside an empty block, a full one and a spare; and an empty
 * block and a spare must fit in half of it, or a sender that waits for room would never be woken.
 */
#define QUEUE_BYTES_SLACK (3 * KCCM_BLOCK_BYTES + 1024)
#define QUEUE_BYTES_LEAST (4 * KCCM_BLOCK_BYTES)

static void take_default(uint32_t *value, uint32_t other)
{
	if (!*value)
		*value = other;
}

static bool config_valid(struct kccm_config *config)
{
	take_default(&config->tolerance_ms, KCCM_TOLERANCE_MS);
	take_default(&config->payload_max, KCCM_PAYLOAD_MAX);
	take_default(&config->window_messages, KCCM_WINDOW_MESSAGES);
	take_default(&config->window_bytes, KCCM_WINDOW_BYTES);
	take_default(&config->queue_messages, KCCM_QUEUE_MESSAGES);
	take_default(&config->queue_bytes, KCCM_QUEUE_BYTES);
	take_default(&config->calls, KCCM_CALLS);
	return config->node >= KCCM_NODE_MIN && config->node <= KCCM_NODE_MAX &&
	       config->incarnation && config->tolerance_ms >= KCCM_TOLERANCE_MIN_MS &&
	       config->tolerance_ms <= KCCM_TOLERANCE_MAX_MS &&
	       config->payload_max <= KCCM_PAYLOAD_MAX &&
	       config->window_messages <= KCCM_QUEUE_MESSAGES_LIMIT &&
	       config->window_bytes >= config->payload_max &&
	       config->window_bytes <= KCCM_WINDOW_BYTES_LIMIT &&
	       config->queue_messages <= KCCM_QUEUE_MESSAGES_LIMIT &&
	       config->queue_bytes <= KCCM_QUEUE_BYTES_LIMIT &&
	       config->queue_bytes >= config->payload_max + QUEUE_BYTES_SLACK &&
	       config->queue_bytes >= QUEUE_BYTES_LEAST && config->calls <= KCCM_CALLS_LIMIT;
}

static void endpoint_free(struct kccm_endpoint *endpoint)
{
	memset(endpoint->config.key, 0, KCCM_KEY_BYTES);
	endpoint->ops->free(endpoint->ctx, endpoint, sizeof(*endpoint));
}

int kccm_endpoint_create(const struct kccm_config *config, const struct kccm_ops *ops, void *ctx,
			 uint64_t now_ns, struct kccm_endpoint **out)
{
	struct kccm_endpoint *endpoint = ops->alloc(ctx, sizeof(*endpoint));

	(void)now_ns;
	if (!endpoint)
		return -ENOMEM;
	memset(endpoint, 0, sizeof(*endpoint));
	endpoint->ops = ops;
	endpoint->ctx = ctx;
	/* Checked in its place: a copy on the stack would leave the key behind. */
	endpoint->config = *config;
	if (!config_valid(&endpoint->config)) {
		endpoint_free(endpoint);
		return -EINVAL;
	}
	endpoint->tolerance_ns = endpoint->config.tolerance_ms * KCCM_MS;
	endpoint->next_tick_ns = KCCM_NEVER;
	*out = endpoint;
	return 0;
}

void kccm_endpoint_destroy(struct kccm_endpoint *endpoint)
{
	unsigned node;

	for (node = KCCM_NODE_MIN; node <= KCCM_NODE_MAX; node++) {
		struct kccm_peer *peer = endpoint->peers[node];

		if (!peer)
			continue;
		peer->conns = 0; /* dials that are open will not be answered any more */
		kccm_peer_remove(peer, 0);
	}
	endpoint_free(endpoint);
}

static void tick_handshakes(struct kccm_endpoint *endpoint, uint64_t now_ns)
{
	struct kccm_conn *conn;

	for (conn = endpoint->conns; conn; conn = conn->next) {
		uint64_t due_ns = conn->opened_ns + KCCM_HANDSHAKE_MS * KCCM_MS;

		if (conn->state == KCCM_CONN_ESTABLISHED || conn->state == KCCM_CONN_CLOSING)
			continue;
		if (now_ns >= due_ns)
			kccm_conn_drop(conn, KCCM_REFUSE_TIMEOUT, now_ns);
		else
			kccm_schedule(endpoint, due_ns);
	}
}

/*
 * This node itself did not run for a while (stopped, starved, suspended): what its peers sent
 * meanwhile may wait in the sockets, and nobody has dialed those without a connection, so their
 * silence is measured from now on.
 */
static void forgive_silence(struct kccm_endpoint *endpoint, uint64_t now_ns)
{
	struct kccm_conn *conn;
	unsigned node;

	for (conn = endpoint->conns; conn; conn = conn->next)
		conn->received_ns = now_ns;
	for (node = KCCM_NODE_MIN; node <= KCCM_NODE_MAX; node++)
		if (endpoint->peers[node])
			endpoint->peers[node]->heard_ns = now_ns;
}

void kccm_tick(struct kccm_endpoint *endpoint, uint64_t now_ns)
{
	unsigned node;

	if (now_ns < endpoint->next_tick_ns)
		return;
	if (now_ns - endpoint->next_tick_ns > endpoint->tolerance_ns / 2)
		forgive_silence(endpoint, now_ns);
	endpoint->next_tick_ns = KCCM_NEVER;
	tick_handshakes(endpoint, now_ns);
	for (node = KCCM_NODE_MIN; node <= KCCM_NODE_MAX; node++)
		if (endpoint->peers[node])
			kccm_peer_tick(endpoint->peers[node], now_ns);
}

uint64_t kccm_next_tick(const struct kccm_endpoint *endpoint)
{
	return endpoint->next_tick_ns;
}

const struct kccm_endpoint_counters *kccm_endpoint_stats(const struct kccm_endpoint *endpoint)
{
	return &endpoint->stats;
}

struct kccm_peer *kccm_peer_find(const struct kccm_endpoint *endpoint, uint16_t node)
{
	return node <= KCCM_NODE_MAX ? endpoint->peers[node] : NULL;
}

const char *kccm_refusal_name(unsigned reason)
{
	static const char *const names[KCCM_REFUSALS] = {
		"none",	 "protocol", "version", "cluster", "unknown-node", "not-me",
		"proof", "clone",    "stale",	"busy",	   "timeout",	   "direction",
	};

	return reason < KCCM_REFUSALS ? names[reason] : "?";
}

const char *kccm_event_name(enum kccm_event event)
{
	static const char *const names[] = { "up", "path-down", "suspect", "dead", "rebooted" };

	return event <= KCCM_EVENT_REBOOTED ? names[event] : "?";
}

const char *kccm_peer_state_name(enum kccm_peer_state state)
{
	static const char *const names[] = { "connecting", "up", "path-down", "suspect", "dead" };

	return state <= KCCM_PEER_DEAD ? names[state] : "?";
}
