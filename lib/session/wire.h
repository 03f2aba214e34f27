/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What travels between two nodes, byte for byte, with every limit and every timeout of the
 * protocol.
 *
 * A peer is reached over one TCP connection per lane. Each connection carries frames back to back:
 * a 32-byte header, `length` bytes of payload and, if KCCM_FLAG_PAYLOAD_CRC is set, a 4-byte CRC32C
 * of the payload. All integers are little endian. The header's CRC is verified before `length` is
 * believed, and `length` is bounded before anything is allocated.
 *
 * Handshake (the lower node id dials; I = initiator, R = responder):
 *
 *	I -> R  HELLO        who I am, whom I want, which session I know, a nonce
 *	R -> I  HELLO_REPLY  the same for R, a verdict, and R's proof
 *	I -> R  HELLO_PROOF  I's proof; messages may follow at once
 *
 * A proof is BLAKE2s-256, keyed with the cluster key, over a role byte ('R' or 'I'), the HELLO
 * body and the HELLO_REPLY body without its proof. Both bodies hold a fresh nonce and both
 * identities, so neither a recording nor a reflection of an older handshake proves anything. R
 * changes no state before it has verified I's proof.
 *
 * Sessions. Each side names the state it keeps for the other with a 64-bit session id that is
 * never used again. A HELLO carries the sender's id and the peer's id as the sender knows it
 * (0: none). Both match: the session goes on, and each side resends from the other's
 * `next_expected`. The initiator knows none: it started afresh, and the responder offers a new
 * id, computed with the cluster key from the initiator's and from how many sessions it has
 * begun. So it offers the same one on every connection, remembers nothing of an initiator that
 * has proven nothing, and knows its offer again when the initiator names it because the proof
 * was lost; with the proof, what it held before is over. The initiator names a session that the
 * responder neither has nor would offer: verdict KCCM_VERDICT_RESET, and the initiator reports
 * "outcome unknown" for what it cannot prove, then dials again with nothing known.
 */
#ifndef KCCM_SESSION_WIRE_H
#define KCCM_SESSION_WIRE_H

#include "types.h"

#define KCCM_MAGIC 0x4d43434bu /* "KCCM" */
#define KCCM_VERSION_MIN 1
#define KCCM_VERSION_MAX 1

/* Identity. Node ids are 1 to 511, so that a global pid (node * 2^22 + pid) fits a positive int. */
#define KCCM_NODE_MIN 1
#define KCCM_NODE_MAX 511
#define KCCM_LANES 2
#define KCCM_LANE_CONTROL 0 /* small and urgent: calls, replies, control */
#define KCCM_LANE_BULK 1    /* large transfers that must never delay the other lane */
#define KCCM_CLUSTER_BYTES 16
#define KCCM_KEY_BYTES 32
#define KCCM_NONCE_BYTES 32
#define KCCM_PROOF_BYTES 32

/* Limits of one message and of what either side keeps for the other. */
#define KCCM_PAYLOAD_MAX (1024 * 1024 + 4096) /* bytes: a 1 MiB object and its envelope */
#define KCCM_CONTROL_BODY_MAX 256	      /* bytes of payload of any frame that is no message */
#define KCCM_WINDOW_MESSAGES 4096	      /* credits a receiver grants per lane, by default */
#define KCCM_WINDOW_BYTES (4 * 1024 * 1024)
#define KCCM_QUEUE_MESSAGES 16384 /* unacknowledged and unsent messages a sender keeps per lane */
#define KCCM_QUEUE_BYTES (8 * 1024 * 1024)
#define KCCM_QUEUE_MESSAGES_LIMIT (1024 * 1024)
#define KCCM_QUEUE_BYTES_LIMIT (1024 * 1024 * 1024)
#define KCCM_WINDOW_BYTES_LIMIT KCCM_QUEUE_BYTES_LIMIT
#define KCCM_CALLS 16384	      /* calls outstanding to one peer */
#define KCCM_HANDSHAKES_PENDING 64    /* accepted connections that have proven nothing yet */
#define KCCM_BATCH_BYTES (256 * 1024) /* what one write carries, unless one frame is larger */

/* Timeouts, in milliseconds. */
#define KCCM_TOLERANCE_MS 1500 /* silence after which a path is given up; negotiated upwards */
#define KCCM_TOLERANCE_MIN_MS 50
#define KCCM_TOLERANCE_MAX_MS 60000
#define KCCM_PROBE_MAX_MS 500	  /* a probe every min(tolerance / 4, this) without other traffic */
#define KCCM_DEAD_FACTOR 4	  /* PEER_DEAD after this many tolerances of silence */
#define KCCM_HANDSHAKE_MS 3000	  /* from a connection's first moment to its last HELLO frame */
#define KCCM_BACKOFF_FIRST_MS 50  /* full jitter between this ... */
#define KCCM_BACKOFF_LAST_MS 2000 /* ... and this; reset only after a HELLO succeeds */
#define KCCM_ACK_DELAY_MS 2 /* how long an acknowledgement may wait for a message to ride on */
#define KCCM_KNOCK_MS 250   /* how long the higher node id waits before it knocks */

enum kccm_frame_type {
	KCCM_FRAME_HELLO = 1,
	KCCM_FRAME_HELLO_REPLY = 2,
	KCCM_FRAME_HELLO_PROOF = 3,
	KCCM_FRAME_REFUSE = 4, /* why the sender closes; believed only as a hint */
	KCCM_FRAME_KNOCK = 5,  /* "dial me now"; unauthenticated, and at most shortens a back-off */
	KCCM_FRAME_ACK = 6,
	KCCM_FRAME_PROBE = 7,	/* proof of life without a payload; needs no answer */
	KCCM_FRAME_MESSAGE = 8, /* one-way */
	KCCM_FRAME_REQUEST = 9, /* expects one REPLY with the same `request` */
	KCCM_FRAME_REPLY = 10,	/* `port` holds the status: 0, or an errno of the handler */
};

#define KCCM_FLAG_PAYLOAD_CRC 0x01 /* always set on frames that are no message */
#define KCCM_FLAGS_KNOWN 0x01

struct kccm_frame {
	uint32_t crc;	 /* CRC32C of the 28 bytes that follow */
	uint32_t length; /* payload bytes, the payload's CRC not counted */
	uint8_t type;	 /* enum kccm_frame_type */
	uint8_t flags;
	uint16_t port;	  /* of a MESSAGE or REQUEST: the handler; of a REPLY: the status */
	uint32_t epoch;	  /* the sender's view when it was queued; opaque here */
	uint64_t seq;	  /* of a message: 1, 2, 3, ... per lane and session; otherwise 0 */
	uint64_t request; /* id of a call, chosen by the caller; 0 for one-way */
};
#define KCCM_FRAME_BYTES 32
#define KCCM_CRC_BYTES 4

enum kccm_verdict {
	KCCM_VERDICT_CONTINUE =
		0, /* the responder holds the session named, or starts a fresh one */
	KCCM_VERDICT_RESET =
		1, /* the responder no longer has the session that the initiator named */
};

struct kccm_hello {
	uint32_t magic;
	uint16_t version_min; /* in a HELLO_REPLY both are the version chosen */
	uint16_t version_max;
	uint8_t cluster[KCCM_CLUSTER_BYTES];
	uint16_t node; /* the sender */
	uint16_t peer; /* whom the sender believes it speaks to */
	uint8_t lane;
	uint8_t verdict;      /* enum kccm_verdict; 0 in a HELLO */
	uint16_t ciphers;     /* bit set; bit 0 is "none", the only one of version 1 */
	uint64_t incarnation; /* random, drawn once when the node's messaging starts */
	uint64_t session;
	uint64_t peer_session;
	uint64_t attempt;	/* grows with each dial of this lane; echoed in the reply */
	uint64_t next_expected; /* first sequence number the sender has not accepted on this lane */
	uint64_t credit_messages; /* cumulative, as in struct kccm_ack */
	uint64_t credit_bytes;
	uint32_t payload_max; /* bytes of the largest message the sender accepts */
	uint32_t tolerance_ms;
	uint8_t nonce[KCCM_NONCE_BYTES];
};
#define KCCM_HELLO_BYTES 128

/* HELLO_REPLY is a kccm_hello followed by the proof; HELLO_PROOF is the proof alone. */
#define KCCM_HELLO_REPLY_BYTES (KCCM_HELLO_BYTES + KCCM_PROOF_BYTES)

struct kccm_ack {
	uint64_t accepted;	  /* all messages up to this sequence number are retired */
	uint64_t credit_messages; /* highest sequence number the receiver has granted */
	uint64_t credit_bytes; /* sum of payload bytes the receiver has granted since message 1 */
};
#define KCCM_ACK_BYTES 24

enum kccm_refusal {
	KCCM_REFUSE_PROTOCOL = 1,   /* malformed, out of order, out of bounds */
	KCCM_REFUSE_VERSION = 2,    /* no common protocol version */
	KCCM_REFUSE_CLUSTER = 3,    /* another cluster's uuid */
	KCCM_REFUSE_UNKNOWN = 4,    /* the node is not in this node's configuration */
	KCCM_REFUSE_NOT_ME = 5,	    /* the sender looked for another node at this address */
	KCCM_REFUSE_PROOF = 6,	    /* the cluster key differs */
	KCCM_REFUSE_CLONE = 7,	    /* the same node id is alive under another incarnation */
	KCCM_REFUSE_STALE = 8,	    /* an attempt older than the connection that is established */
	KCCM_REFUSE_BUSY = 9,	    /* too many unproven connections; dial again later */
	KCCM_REFUSE_TIMEOUT = 10,   /* the handshake took longer than KCCM_HANDSHAKE_MS */
	KCCM_REFUSE_DIRECTION = 11, /* the higher node id dialed */
	KCCM_REFUSALS = 12
};

struct kccm_refuse {
	uint32_t reason; /* enum kccm_refusal */
};
#define KCCM_REFUSE_BYTES 4

struct kccm_knock {
	uint8_t cluster[KCCM_CLUSTER_BYTES];
	uint16_t node; /* who wants to be dialed */
	uint16_t peer;
};
#define KCCM_KNOCK_BYTES 20

#endif
