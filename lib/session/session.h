/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The session: exactly-once, in-order messaging between two live nodes over connections that fail.
 * One freestanding state machine, driven by whoever owns the sockets and the clock.
 *
 *	endpoint   this node: identity, key, limits, its peers, its unproven connections
 *	peer       one other node: two lanes, its calls, its liveness
 *	lane       an ordered stream of messages each way, with a resend queue and credits
 *	conn       one TCP connection that currently carries a lane, or is shaking hands to
 *
 * Shape: step(event) -> actions. Every function below is an event; `now_ns` is its time, from a
 * monotonic clock that never goes back. Actions leave in two ways: through the callbacks of struct
 * kccm_ops, called before the event's function returns, and as bytes that the driver fetches with
 * kccm_conn_output(). The session performs no I/O, reads no clock, and allocates only through
 * kccm_ops::alloc, within stated bounds.
 *
 * Threads: none of these functions may run at the same time as another on the same endpoint.
 *
 * Re-entrancy: a callback may call kccm_peer_send, kccm_peer_call, kccm_peer_reply,
 * kccm_peer_cancel and kccm_peer_consume, and no other function of this header.
 *
 * What is promised, between two live incarnations of two nodes: each message accepted by
 * kccm_peer_send, kccm_peer_call or kccm_peer_reply is delivered exactly once, and in order per
 * lane, across any number of lost connections. When the peer turns out to have restarted, or the
 * peer is removed, every message not known to be accepted is completed with
 *
 *	-ECANCELED   it never reached the wire: certainly not delivered
 *	-EREMOTEIO   outcome unknown: it may or may not have been delivered, and never will be again
 *
 * Memory per peer is bounded by queue_messages, queue_bytes (sender) and window_bytes plus one
 * payload_max per connection (receiver), per lane. Replies find room for another window_messages
 * and window_bytes in the queue. While that waits for credit, because the peer's application has
 * not consumed what it was sent, only their number bounds them: two nodes that wait for each
 * other's replies would wait for ever otherwise.
 */
#ifndef KCCM_SESSION_H
#define KCCM_SESSION_H

#include "types.h"
#include "wire.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kccm_endpoint;
struct kccm_peer;
struct kccm_conn;

enum kccm_event {
	KCCM_EVENT_UP,	      /* every lane is connected and proven */
	KCCM_EVENT_PATH_DOWN, /* a lane lost its connection; reconnecting; nothing is lost */
	KCCM_EVENT_SUSPECT,   /* nothing heard for one tolerance */
	KCCM_EVENT_PEER_DEAD, /* nothing heard for KCCM_DEAD_FACTOR tolerances; reconnecting goes on
			       */
	KCCM_EVENT_REBOOTED,  /* the peer answers under another incarnation or session */
};

/* What kccm_peer_state() answers: the last of the events above that still holds. */
enum kccm_peer_state {
	KCCM_PEER_CONNECTING, /* never heard since it was added */
	KCCM_PEER_UP,
	KCCM_PEER_PATH_DOWN,
	KCCM_PEER_SUSPECT,
	KCCM_PEER_DEAD,
};

/* A message as it is handed over, in either direction. */
struct kccm_message {
	uint8_t type; /* KCCM_FRAME_MESSAGE, _REQUEST or _REPLY */
	uint8_t lane;
	uint16_t port; /* MESSAGE, REQUEST: the handler; REPLY: the status, 0 or a positive errno */
	uint32_t epoch;
	uint64_t request; /* REQUEST, REPLY: the caller's id */
	const void *payload;
	uint32_t length; /* bytes, at most payload_max */
};

/* One stretch of bytes to write. */
struct kccm_vec {
	const void *data;
	size_t bytes;
};

struct kccm_ops {
	/* alloc may return NULL: the session refuses, or drops the connection, never data. */
	void *(*alloc)(void *ctx, size_t bytes);
	void (*free)(void *ctx, void *memory, size_t bytes);
	/* Unpredictable bytes (nonces, session ids, jitter). */
	void (*random)(void *ctx, void *to, size_t bytes);
	/* CRC32C (Castagnoli) as RFC 3720 defines it: initial value and final XOR are applied here.
	 */
	uint32_t (*crc32c)(const void *data, size_t bytes);
	/* Keyed BLAKE2s-256 over data. Returns 0, or a negative errno: then nothing is proven. */
	int (*mac)(void *ctx, const uint8_t key[KCCM_KEY_BYTES], const void *data, size_t bytes,
		   uint8_t mac[KCCM_PROOF_BYTES]);

	/*
	 * Open a connection to `peer` for `lane`; the driver answers once with kccm_conn_dialed()
	 * or kccm_dial_failed(), not from inside this callback. `knock`: a connection that carries
	 * one KNOCK and is then closed; lane is KCCM_LANE_CONTROL.
	 */
	void (*dial)(void *ctx, struct kccm_peer *peer, unsigned lane, bool knock);
	/*
	 * Close the connection once its remaining output, if any, has been offered to the network;
	 * the driver answers with kccm_conn_closed() when no read or write of it is in flight. No
	 * input may be given after this.
	 */
	void (*close)(void *ctx, struct kccm_conn *conn);
	/* kccm_conn_output() has something to write. May be called many times before it is fetched.
	 */
	void (*output_ready)(void *ctx, struct kccm_conn *conn);
	/*
	 * A message has arrived; it is valid during the call. Returns 0: accepted, the application
	 * will kccm_peer_consume() it. Negative: it could not be taken (no memory); the connection
	 * is dropped and the message will come again.
	 */
	int (*deliver)(void *ctx, struct kccm_peer *peer, const struct kccm_message *message);
	/* A message with a cookie is settled: 0 accepted by the peer, or an error as above. */
	void (*sent)(void *ctx, struct kccm_peer *peer, uint64_t cookie, int error);
	/*
	 * Nothing reads the payload of an in-place message any more. Follows on its `sent`; at
	 * once, or, if a write that was given up still reads it, when its connection has closed.
	 */
	void (*released)(void *ctx, uint64_t cookie);
	/*
	 * A call is over. error 0: `reply` is the answer and reply->port its status, valid during
	 * the call. -ETIMEDOUT: the deadline passed (the outcome is unknown). -ECANCELED and
	 * -EREMOTEIO as above. Otherwise `reply` is NULL.
	 */
	void (*called)(void *ctx, struct kccm_peer *peer, uint64_t cookie, int error,
		       const struct kccm_message *reply);
	/* A send was answered -EAGAIN, or a call -ENOBUFS, on this lane, and there is room again.
	 */
	void (*writable)(void *ctx, struct kccm_peer *peer, unsigned lane);
	void (*event)(void *ctx, struct kccm_peer *peer, enum kccm_event event);
	/*
	 * This node refuses `conn`, or was refused on it (`by_peer`, which anybody on the way may
	 * have written). `node` is whom it is said to belong to, 0 if nobody. For the log; already
	 * counted.
	 */
	void (*refused)(void *ctx, struct kccm_conn *conn, uint16_t node, enum kccm_refusal reason,
			bool by_peer);
};

struct kccm_config {
	uint8_t cluster[KCCM_CLUSTER_BYTES];
	uint8_t key[KCCM_KEY_BYTES];
	uint16_t node;
	uint64_t incarnation; /* random and never 0; drawn anew at each start of the node */
	/* 0 takes the default of wire.h. Out of range: kccm_endpoint_create() fails with -EINVAL.
	 */
	uint32_t tolerance_ms;
	uint32_t payload_max;	  /* bytes */
	uint32_t window_messages; /* per lane, what is granted to each peer */
	uint32_t window_bytes;	  /* at least payload_max, at most KCCM_WINDOW_BYTES_LIMIT */
	uint32_t queue_messages;  /* per lane */
	uint32_t queue_bytes;	  /* at least payload_max + 197 KiB */
	uint32_t calls;		  /* outstanding per peer */
	bool payload_crc;	  /* send a CRC32C with each message's payload */
};

/* Counters; all only grow. */
struct kccm_peer_counters {
	uint64_t messages_sent, messages_received; /* accepted ones, each once */
	uint64_t bytes_sent, bytes_received;	   /* their payloads */
	uint64_t resent;      /* messages written again on a later connection */
	uint64_t duplicates;  /* messages that came again and were dropped */
	uint64_t connects;    /* handshakes that succeeded */
	uint64_t disconnects; /* established connections lost */
	uint64_t dials_failed;
	uint64_t reboots;
	uint64_t outcomes_unknown; /* messages and requests that ended with -EREMOTEIO */
	uint64_t calls_timed_out;
	uint64_t replies_late; /* replies to calls that were over */
};

struct kccm_endpoint_counters {
	uint64_t refused[KCCM_REFUSALS]; /* connections this node refused, by enum kccm_refusal */
	uint64_t refused_by[KCCM_REFUSALS]; /* refusals received */
	uint64_t bad_crc;
	uint64_t accepted; /* connections taken in */
	uint64_t out_of_memory;
};

/* --- the endpoint ------------------------------------------------------------------------- */

/* 0, -EINVAL (a limit out of range, node or incarnation 0) or -ENOMEM. `ops` must outlive it. */
int kccm_endpoint_create(const struct kccm_config *config, const struct kccm_ops *ops, void *ctx,
			 uint64_t now_ns, struct kccm_endpoint **out);

/*
 * Ends every peer as kccm_peer_remove() does and frees the endpoint. Every connection must have
 * been closed before: the driver calls kccm_conn_closed() for each first.
 */
void kccm_endpoint_destroy(struct kccm_endpoint *endpoint);

/* Runs what is due (probes, liveness, back-off, deadlines, delayed acks). */
void kccm_tick(struct kccm_endpoint *endpoint, uint64_t now_ns);

/* When kccm_tick() is due next; UINT64_MAX: not before another event. O(1). */
uint64_t kccm_next_tick(const struct kccm_endpoint *endpoint);

const struct kccm_endpoint_counters *kccm_endpoint_stats(const struct kccm_endpoint *endpoint);

/* --- peers ---------------------------------------------------------------------------------- */

/*
 * Makes a node known, by the driver's own handle `user`. Dialing starts at the next tick (the lower
 * node id dials). Returns 0, -EINVAL (id out of range, or this node's own), -EEXIST or -ENOMEM.
 */
int kccm_peer_add(struct kccm_endpoint *endpoint, uint16_t node, void *user, uint64_t now_ns,
		  struct kccm_peer **out);

/*
 * Forgets a node: all of its messages and calls are completed, its connections closed. `peer` is
 * freed when the last of its connections is reported closed and the last of its dials is answered;
 * but for that it must not be used any more.
 */
void kccm_peer_remove(struct kccm_peer *peer, uint64_t now_ns);

struct kccm_peer *kccm_peer_find(const struct kccm_endpoint *endpoint, uint16_t node);
void *kccm_peer_user(const struct kccm_peer *peer);
uint16_t kccm_peer_node(const struct kccm_peer *peer);
uint64_t kccm_peer_incarnation(const struct kccm_peer *peer); /* 0: never heard */
enum kccm_peer_state kccm_peer_state(const struct kccm_peer *peer);
const struct kccm_peer_counters *kccm_peer_stats(const struct kccm_peer *peer);

/* What the peer holds of this node's memory now, in bytes and messages over all lanes. */
void kccm_peer_usage(const struct kccm_peer *peer, uint64_t *messages, uint64_t *bytes);

/* A lane as it stands now, for those who look for what is stuck. Sequence numbers, but for bytes.
 */
struct kccm_lane_queue {
	bool connected;
	uint64_t accepted;	  /* the newest message that the peer has accepted */
	uint64_t written;	  /* the newest one that was ever written */
	uint64_t queued;	  /* the newest one */
	uint64_t memory_bytes;	  /* of all between accepted and queued */
	uint64_t credit_messages; /* the last one that the peer grants ... */
	uint64_t credit_bytes;	  /* ... and the sum of payloads */
	uint64_t received;	  /* the newest one from the peer */
	uint64_t consumed;	  /* how many of them the application has finished with */
};
void kccm_peer_queue(const struct kccm_peer *peer, unsigned lane, struct kccm_lane_queue *out);

/* --- messages ------------------------------------------------------------------------------- */

/*
 * Queues a one-way message; the payload is copied. cookie 0: no completion is wanted, otherwise
 * kccm_ops::sent follows exactly once. Returns 0, -EAGAIN (the lane's queue is full; kccm_ops::
 * writable follows), -EMSGSIZE, -EINVAL or -ENOMEM; nothing is queued then.
 */
int kccm_peer_send(struct kccm_peer *peer, const struct kccm_message *message, uint64_t cookie,
		   uint64_t now_ns);

/*
 * As kccm_peer_send, but the payload, of at least one byte, is not copied: it must stay as it is
 * until kccm_ops::released reports the cookie, which must not be 0.
 */
int kccm_peer_send_in_place(struct kccm_peer *peer, const struct kccm_message *message,
			    uint64_t cookie, uint64_t now_ns);

/*
 * Queues a request; kccm_ops::called follows exactly once with `cookie`. deadline_ns: UINT64_MAX
 * for none. *request receives the id for kccm_peer_cancel(). Errors as kccm_peer_send, and
 * -ENOBUFS: `calls` requests are outstanding already (kccm_ops::writable follows).
 */
int kccm_peer_call(struct kccm_peer *peer, const struct kccm_message *message, uint64_t cookie,
		   uint64_t deadline_ns, uint64_t now_ns, uint64_t *request);

/*
 * Answers a request that was delivered. message->request and ->lane are the request's. As
 * kccm_peer_send, but finds room for window_messages replies and window_bytes beyond the queue's
 * limits, and for any number of bytes while the queue waits for credit; when it begins to, writable
 * follows on -EAGAIN, too. There may be room before, whenever something has come from the peer. A
 * request that was delivered before a KCCM_EVENT_REBOOTED must not be answered: its id may by now
 * be that of another request.
 */
int kccm_peer_reply(struct kccm_peer *peer, const struct kccm_message *message, uint64_t now_ns);

/*
 * Gives a call up: no kccm_ops::called follows; a reply that still comes is dropped. Returns 0 and
 * the call's cookie, or -ENOENT: the call is over already.
 */
int kccm_peer_cancel(struct kccm_peer *peer, uint64_t request, uint64_t *cookie);

/*
 * The application has finished with delivered messages: grants the sender as much again. Replies
 * are consumed by the session itself. Messages delivered before a KCCM_EVENT_REBOOTED belong to a
 * session that is over and must not be reported any more.
 */
void kccm_peer_consume(struct kccm_peer *peer, unsigned lane, uint32_t messages, uint64_t bytes,
		       uint64_t now_ns);

/* --- connections ---------------------------------------------------------------------------- */

/* A dial succeeded. NULL: no memory, or no longer wanted; the driver closes the connection. */
struct kccm_conn *kccm_conn_dialed(struct kccm_peer *peer, unsigned lane, bool knock, void *user,
				   uint64_t now_ns);
/* A dial failed; another follows after a back-off. */
void kccm_dial_failed(struct kccm_peer *peer, unsigned lane, bool knock, uint64_t now_ns);
/* Somebody connected. NULL: no memory; the driver closes the connection. */
struct kccm_conn *kccm_conn_accepted(struct kccm_endpoint *endpoint, void *user, uint64_t now_ns);

/*
 * Bytes arrived, in order; any split is fine. Returns 0, or -EPIPE: the session no longer listens
 * to this connection (kccm_ops::close was called), and nothing more may be given.
 */
int kccm_conn_input(struct kccm_conn *conn, const void *data, size_t bytes, uint64_t now_ns);

/*
 * Fetches what to write next, at most `max` stretches; returns how many, 0 for nothing now. The
 * bytes stay valid and unchanged until kccm_conn_sent() has reported them or the connection is
 * reported closed. After a fetch the driver must report with kccm_conn_sent() before it fetches
 * again.
 */
unsigned kccm_conn_output(struct kccm_conn *conn, struct kccm_vec *vecs, unsigned max,
			  uint64_t now_ns);
/* The first `bytes` of the last output were written; may be fewer than were fetched, even 0. */
void kccm_conn_sent(struct kccm_conn *conn, size_t bytes, uint64_t now_ns);

/* The connection is gone, for whatever reason, and nothing of it is in flight. Frees `conn`. */
void kccm_conn_closed(struct kccm_conn *conn, uint64_t now_ns);

void *kccm_conn_user(const struct kccm_conn *conn);
/* The peer that the connection speaks to; NULL while it has not proven itself. */
struct kccm_peer *kccm_conn_peer(const struct kccm_conn *conn);
/* The lane that it carries, once it has a peer. */
unsigned kccm_conn_lane(const struct kccm_conn *conn);

const char *kccm_refusal_name(unsigned reason);
const char *kccm_event_name(enum kccm_event event);
const char *kccm_peer_state_name(enum kccm_peer_state state);

#ifdef __cplusplus
}
#endif

#endif
