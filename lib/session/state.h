/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The state behind session.h, shared by the files of this folder only.
 *
 *	endpoint 1 --- n peer 1 --- 2 lane --- 0..1 conn (established)
 *	endpoint 1 --- n conn (all: dialed, accepted, established, closing)
 *
 * A conn belongs to the endpoint's list from its creation until kccm_conn_closed(). conn->peer is
 * set once a peer claims it, but before `proven` nothing of the peer may change on its account.
 */
#ifndef KCCM_SESSION_STATE_H
#define KCCM_SESSION_STATE_H

#include "call.h"
#include "frame.h"
#include "queue.h"
#include "session.h"

#define KCCM_MS 1000000ull /* nanoseconds */
#define KCCM_NEVER UINT64_MAX

/* Room for a REPLY or PROOF and a REFUSE: a connection never owes more control frames than that. */
#define KCCM_CONTROL_BYTES 512
#define KCCM_BATCH_VECS 16

/* A process that was stopped while its place was taken this often may begin its session again. */
#define KCCM_SESSIONS_REMEMBERED 64

enum kccm_conn_state {
	KCCM_CONN_KNOCKING,   /* dialed by the higher node id; closes after its one frame */
	KCCM_CONN_WAIT_REPLY, /* dialed: HELLO sent */
	KCCM_CONN_WAIT_HELLO, /* accepted: nothing heard */
	KCCM_CONN_WAIT_PROOF, /* accepted: HELLO_REPLY sent */
	KCCM_CONN_ESTABLISHED,
	KCCM_CONN_CLOSING, /* ops->close was called */
};

struct kccm_conn {
	struct kccm_conn *next, **prev;
	struct kccm_endpoint *endpoint;
	struct kccm_peer *peer;
	void *user;
	enum kccm_conn_state state;
	unsigned lane;
	bool proven;
	bool output_announced; /* ops->output_ready was called and nothing fetched since */
	bool ack_now;
	bool probe_now;
	bool in_flight; /* output was fetched and not reported sent */
	/* kccm_conn_input() runs; acknowledgements are looked at once, when it ends. */
	bool in_input;
	bool ack_wanted; /* messages came, or came again */
	bool pinning;	 /* detached with messages in flight: counted in lane->pins */
	uint64_t opened_ns;
	uint64_t received_ns; /* when anything last arrived */
	uint64_t written_ns;

	/* Input: a frame that arrives in pieces. */
	uint8_t head[KCCM_FRAME_BYTES];
	unsigned head_used;
	struct kccm_frame frame; /* decoded from `head` once that is full */
	uint8_t *body;		 /* `control_body` or `message_body`; NULL: a header is next */
	uint32_t body_size;
	uint32_t body_used;
	uint8_t *message_body; /* NULL: none has been needed */
	uint32_t message_body_size;
	uint8_t control_body[KCCM_CONTROL_BODY_MAX + KCCM_CRC_BYTES];

	/* Output: control frames that wait, and the batch being written. */
	uint8_t control[KCCM_CONTROL_BYTES];
	unsigned control_used;
	uint8_t batch_control[KCCM_CONTROL_BYTES];
	struct kccm_vec batch[KCCM_BATCH_VECS];
	unsigned batch_first;
	unsigned batch_end;
	uint64_t batch_seq; /* the oldest message in it; KCCM_NEVER: none */

	/* Handshake: what the proofs cover, and what the peer said. */
	uint8_t hello_bytes[KCCM_HELLO_BYTES];
	uint8_t reply_bytes[KCCM_HELLO_BYTES];
	struct kccm_hello heard;
	uint64_t session;  /* this node's session id as told in the handshake */
	uint32_t sessions; /* kccm_peer::sessions at that time */
	uint64_t attempt;
};

struct kccm_lane {
	struct kccm_queue queue;
	struct kccm_conn *conn; /* the established one, or NULL */
	/*
	 * Connections given up while a write of theirs reads the queue's blocks. As long as there
	 * is one, no block is freed, and those of a session that ended wait in `orphans`.
	 */
	unsigned pins;
	struct kccm_block *orphans;
	bool starved;	    /* a send was answered -EAGAIN */
	bool reply_starved; /* a reply was */

	/* Receiving. */
	uint64_t next_expected;
	uint64_t received_bytes; /* payloads of all messages before next_expected */
	uint64_t consumed_messages;
	uint64_t consumed_bytes;
	uint64_t told_accepted; /* what the peer was last told ... */
	uint64_t told_messages;
	uint64_t told_bytes;
	uint64_t ack_at_ns; /* when a delayed acknowledgement must go; KCCM_NEVER: none is owed */

	/* Dialing (the lower node id). */
	bool dialing; /* from ops->dial to the handshake's end */
	uint64_t dial_at_ns;
	unsigned failures; /* dials and handshakes in a row that failed */
	uint64_t attempt;  /* dialer: of the last dial; responder: highest one established */
};

struct kccm_peer {
	struct kccm_endpoint *endpoint;
	void *user;
	uint16_t node;
	bool removed;
	bool dialer; /* this node dials: its id is the lower one */
	enum kccm_peer_state state;
	uint64_t incarnation;	 /* 0: never heard */
	uint64_t session;	 /* this node's id of the state it keeps for the peer */
	uint64_t salt;		 /* of what it offers; see offer() */
	uint64_t remote_session; /* the peer's; 0: none established */
	/* The peer's ids of the last sessions that ended here, in a ring. */
	uint64_t ended[KCCM_SESSIONS_REMEMBERED];
	unsigned ended_next;
	uint32_t sessions; /* how often another session began */
	uint64_t tolerance_ns;
	uint64_t heard_ns; /* when anything was last received from it, or when it was added */
	bool knocking;
	uint64_t knock_at_ns;
	unsigned knocks;
	uint64_t knocked_ns; /* when its last knock was honoured */
	unsigned conns;	     /* connections whose `peer` is this, and dials that are open */
	struct kccm_lane lanes[KCCM_LANES];
	struct kccm_calls calls;
	struct kccm_peer_counters stats;
};

struct kccm_endpoint {
	struct kccm_config config;
	const struct kccm_ops *ops;
	void *ctx;
	uint64_t tolerance_ns;
	uint64_t next_tick_ns;
	unsigned handshakes; /* connections accepted and not proven */
	struct kccm_conn *conns;
	struct kccm_endpoint_counters stats;
	struct kccm_peer *peers[KCCM_NODE_MAX + 1];
};

static inline struct kccm_memory kccm_memory_of(const struct kccm_endpoint *endpoint)
{
	return (struct kccm_memory){ .ops = endpoint->ops, .ctx = endpoint->ctx };
}

/* Sees to it that kccm_tick() runs at `when_ns` or before. */
static inline void kccm_schedule(struct kccm_endpoint *endpoint, uint64_t when_ns)
{
	if (when_ns < endpoint->next_tick_ns)
		endpoint->next_tick_ns = when_ns;
}

/* conn.c */
struct kccm_conn *kccm_conn_new(struct kccm_endpoint *endpoint, void *user, uint64_t now_ns);
/* Appends a control frame to the connection's output. */
void kccm_conn_control(struct kccm_conn *conn, uint8_t type, const void *body, uint32_t length);
void kccm_conn_announce(struct kccm_conn *conn);
/* Gives the connection up. reason 0: without a word; otherwise counted and told to the peer. */
void kccm_conn_drop(struct kccm_conn *conn, enum kccm_refusal reason, uint64_t now_ns);
bool kccm_conn_alive(const struct kccm_conn *conn, uint64_t tolerance_ns, uint64_t now_ns);

/* hello.c: the handshake. Each returns false after it has dropped the connection. */
void kccm_hello_start(struct kccm_conn *conn, uint64_t now_ns);
bool kccm_hello_received(struct kccm_conn *conn, const uint8_t *body, uint32_t length,
			 uint64_t now_ns);
bool kccm_hello_reply_received(struct kccm_conn *conn, const uint8_t *body, uint32_t length,
			       uint64_t now_ns);
bool kccm_hello_proof_received(struct kccm_conn *conn, const uint8_t *body, uint32_t length,
			       uint64_t now_ns);

/* lane.c */
void kccm_lane_init(struct kccm_peer *peer, struct kccm_lane *lane);
/* The handshake has proven `conn`: it carries the lane from now on. */
bool kccm_lane_attach(struct kccm_conn *conn, uint64_t now_ns);
void kccm_lane_detach(struct kccm_conn *conn, uint64_t now_ns);
/* A connection that was detached is gone, and the blocks that its last write read are free. */
void kccm_lane_unpin(struct kccm_conn *conn);
/* Frees what no message and no write needs, and says so to a sender that waits. */
void kccm_lane_reap(struct kccm_peer *peer, struct kccm_lane *lane);
/* Drops all messages, sent or received; the caller completes what `dropped` receives. */
void kccm_lane_restart(struct kccm_peer *peer, struct kccm_lane *lane, struct kccm_queue *dropped);
void kccm_lane_discard(struct kccm_lane *lane, struct kccm_queue *dropped);
/* Sends an acknowledgement now, or lets it wait for company. */
void kccm_lane_want_ack(struct kccm_peer *peer, struct kccm_lane *lane, uint64_t now_ns);
bool kccm_lane_received(struct kccm_conn *conn, const struct kccm_frame *frame, const void *payload,
			uint64_t now_ns);
bool kccm_lane_acked(struct kccm_conn *conn, const uint8_t *body, uint32_t length, uint64_t now_ns);
/* Takes the peer's word up to where it has accepted; false if that cannot be. */
bool kccm_lane_accepted(struct kccm_peer *peer, struct kccm_lane *lane, uint64_t accepted);
/* What the peer may be told now; `told` if it is about to be. */
void kccm_lane_ack(const struct kccm_peer *peer, const struct kccm_lane *lane,
		   struct kccm_ack *ack);
void kccm_lane_told(struct kccm_lane *lane, const struct kccm_ack *ack);

/* peer.c */
void kccm_peer_heard(struct kccm_peer *peer, uint64_t now_ns);
/* The session is over: every message and call of it is completed, a new one begins. */
void kccm_peer_reset(struct kccm_peer *peer, struct kccm_conn *keep, uint64_t new_session,
		     uint64_t now_ns);
void kccm_peer_attached(struct kccm_peer *peer, uint64_t now_ns);
void kccm_peer_event(struct kccm_peer *peer, enum kccm_event event);
void kccm_peer_put(struct kccm_peer *peer);
void kccm_peer_tick(struct kccm_peer *peer, uint64_t now_ns);
void kccm_peer_redial(struct kccm_peer *peer, unsigned lane, bool failed, uint64_t now_ns);
void kccm_peer_knocked(struct kccm_peer *peer, uint64_t now_ns);
bool kccm_peer_alive(const struct kccm_peer *peer, uint64_t now_ns);
uint64_t kccm_new_session(const struct kccm_endpoint *endpoint);
void kccm_call_replied(struct kccm_peer *peer, const struct kccm_message *reply);
void kccm_calls_expire(struct kccm_peer *peer, uint64_t now_ns);
/* Tells who found too many calls outstanding once half of them are over. */
void kccm_calls_writable(struct kccm_peer *peer);

#endif
