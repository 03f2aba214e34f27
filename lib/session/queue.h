/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The resend queue of one lane: messages in order, from the oldest that the peer has not
 * accepted to the newest that the application has queued, already in wire format, so that what
 * is written once can be written again.
 *
 *	      base            cursor                sent_end        next
 *	accepted | written, not accepted | written on an older connection | never written
 *
 * Frames stand whole in blocks of KCCM_BLOCK_BYTES (or one block of their own, if larger),
 * which are freed as the peer accepts them; `entries` finds the frame of a sequence number. A
 * payload that is sent in place stands where the application keeps it, and its header in a block of
 * its own.
 * Memory is bounded by queue_bytes (blocks) and queue_messages (entries); for replies see
 * `replies_max`.
 */
#ifndef KCCM_SESSION_QUEUE_H
#define KCCM_SESSION_QUEUE_H

#include "session.h"

#define KCCM_BLOCK_BYTES                                                                           \
	(64 * 1024)	      /* with its header: one allocation size for nearly all traffic */
#define KCCM_ENTRIES_FIRST 64 /* what a queue starts with; doubles as needed */

struct kccm_memory {
	const struct kccm_ops *ops;
	void *ctx;
};

struct kccm_block {
	struct kccm_block *next;
	uint64_t last_seq; /* of the newest frame in it */
	uint32_t size;	   /* bytes of `data` */
	uint32_t used;
	/*
	 * Not NULL: the payload of the one message whose header, and CRC, `data` holds. It is the
	 * application's, which hears of `cookie` when the block is freed.
	 */
	const uint8_t *in_place;
	uint32_t in_place_bytes;
	uint64_t cookie;
	uint8_t data[];
};

struct kccm_entry {
	uint64_t cookie;
	struct kccm_block *block;
	uint32_t offset; /* of the frame in the block */
	uint32_t frame;	 /* bytes of the frame, wherever they stand */
	uint32_t length; /* bytes of its payload */
};

struct kccm_queue {
	struct kccm_memory memory;
	struct kccm_block *head; /* holds the oldest frame that may still be needed */
	struct kccm_block *tail; /* the newest; frames are appended here */
	struct kccm_block *spare;
	struct kccm_entry *entries; /* of `seq` at index seq & (capacity - 1) */
	uint32_t capacity;	    /* a power of two */
	uint32_t messages_max;
	uint64_t bytes_max;
	/*
	 * How many replies, and how many bytes with them, fit beyond messages_max and bytes_max.
	 * Only a queued reply gives the peer credit back: two nodes whose queues are full of
	 * requests to each other would wait for ever. For the same reason the bytes are not limited
	 * while the queue waits for credit, which the peer's application may be about to give for a
	 * reply. They are as long as the queue waits for the peer's session alone, which takes in
	 * what it has granted, and acknowledges it, whatever its application does.
	 */
	uint32_t replies_max;
	uint64_t reply_bytes_max;
	uint64_t block_bytes; /* in blocks, the spare included, and in payloads in place */
	uint64_t base;	      /* oldest sequence number not accepted */
	uint64_t next;	      /* the one the next message gets */
	uint64_t cursor;      /* the next to write on the current connection */
	uint64_t sent_end;    /* one past the highest ever handed to a connection */
	uint64_t base_bytes;  /* sum of the payloads of all messages before base */
	uint64_t cursor_bytes;
	uint64_t credit_messages; /* granted by the peer: highest sequence number ... */
	uint64_t credit_bytes;	  /* ... and sum of payloads */
};

void kccm_queue_init(struct kccm_queue *queue, struct kccm_memory memory, uint32_t messages_max,
		     uint64_t bytes_max);
void kccm_queue_free(struct kccm_queue *queue);
void kccm_block_free(struct kccm_memory memory, struct kccm_block *block);

/*
 * Appends a message and gives it the next sequence number. 0, -EAGAIN (full) or -ENOMEM. In place:
 * the payload is not copied, and kccm_ops::released follows when nothing reads it any more.
 */
int kccm_queue_push(struct kccm_queue *queue, const struct kccm_message *message, uint64_t cookie,
		    bool payload_crc, bool in_place);

/* A new connection: everything from `base` on is written again. */
void kccm_queue_rewind(struct kccm_queue *queue);

/* Whether the peer's credits allow the message at the cursor. */
static inline bool kccm_queue_sendable(const struct kccm_queue *queue)
{
	return queue->cursor < queue->next && queue->cursor <= queue->credit_messages &&
	       queue->cursor_bytes + queue->entries[queue->cursor & (queue->capacity - 1)].length <=
		       queue->credit_bytes;
}

/* Whether the peer's session will make room, without anything that its application has to do. */
static inline bool kccm_queue_moves(const struct kccm_queue *queue)
{
	return queue->base < queue->sent_end || kccm_queue_sendable(queue);
}

/*
 * Moves the cursor over what can be written now: whole frames, about `bytes_max` bytes, in at most
 * `max` stretches. Returns the number of stretches.
 */
unsigned kccm_queue_gather(struct kccm_queue *queue, struct kccm_vec *vecs, unsigned max,
			   size_t bytes_max);

/*
 * Retires the message `base`, which the peer has accepted; returns its cookie. The memory is kept
 * until kccm_queue_reap().
 */
uint64_t kccm_queue_retire(struct kccm_queue *queue);

/* Frees blocks all of whose frames are retired and precede `flight` (the oldest being written). */
void kccm_queue_reap(struct kccm_queue *queue, uint64_t flight);

static inline uint64_t kccm_queue_cookie(const struct kccm_queue *queue, uint64_t seq)
{
	return queue->entries[seq & (queue->capacity - 1)].cookie;
}

#endif
