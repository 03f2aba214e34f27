/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory for messages. Taken under the node's mutex, on which writing out dirty pages may depend:
 * never with I/O, never waiting for other messages to go. A reserve for each node lets the control
 * lane make progress when nothing is left: blocks of the resend queues, and small messages that
 * have arrived.
 */
#ifndef KCCM_KMOD_MEMORY_H
#define KCCM_KMOD_MEMORY_H

#include <linux/mempool.h>
#include <linux/types.h>

struct kccm_node;

/*
 * What an allocation may do: reclaim what needs no I/O, and then fail. Without __GFP_RETRY_MAYFAIL
 * a small one never does, but tries again for ever, since the OOM killer does nothing for GFP_NOIO.
 */
#define KCCM_GFP (GFP_NOIO | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

#define KCCM_RESERVED_BLOCKS 8
#define KCCM_RESERVED_MESSAGES 64
#define KCCM_RESERVED_MESSAGE_BYTES 1024 /* the message's own struct included */

/* So many small messages are kept for those to come: as many as one read of a socket can bring. */
#define KCCM_SPARE_MESSAGES 512
#define KCCM_SPARE_MESSAGE_BYTES 512

struct kccm_reserve {
	mempool_t *blocks;
	mempool_t *messages;
	/* Under the node's lock. */
	u64 drawn;	      /* how often it was asked */
	void *spare_messages; /* the first; each begins with a pointer to the next */
	unsigned int spares;
};

/* Where the memory of a message is from, and must go back to. */
enum kccm_message_origin {
	KCCM_FROM_HEAP,
	KCCM_FROM_HEAP_SMALL, /* KCCM_SPARE_MESSAGE_BYTES of it */
	KCCM_FROM_RESERVE,
};

int kccm_reserve_init(struct kccm_reserve *reserve);
void kccm_reserve_destroy(struct kccm_reserve *reserve);

/* For the session. NULL: no memory. Under the node's lock. */
void *kccm_memory_alloc(void *node, size_t bytes);
void kccm_memory_free(void *node, void *memory, size_t bytes);

/* For a message that has arrived. Under the node's lock. */
void *kccm_message_alloc(struct kccm_node *node, size_t bytes, enum kccm_message_origin *origin);
void kccm_message_free(struct kccm_node *node, void *message, enum kccm_message_origin origin);
/* The same, but it may be kept for another. Under the node's lock. */
void kccm_message_recycle(struct kccm_node *node, void *message, enum kccm_message_origin origin);

#endif
