// SPDX-License-Identifier: GPL-2.0
/* Memory for messages; see memory.h. */
#include "memory.h"

#include <linux/mm.h>
#include <linux/slab.h>

#include "fault.h"
#include "lib/session/queue.h"
#include "node.h"

/* For the pools: take from the reserve instead of waiting for somebody to fill it. */
#define NO_WAITING (GFP_NOWAIT | __GFP_NOWARN)

static void *block_alloc(gfp_t gfp, void *unused)
{
	return kvmalloc(KCCM_BLOCK_BYTES, gfp);
}

static void block_free(void *block, void *unused)
{
	kvfree(block);
}

int kccm_reserve_init(struct kccm_reserve *reserve)
{
	reserve->blocks = mempool_create(KCCM_RESERVED_BLOCKS, block_alloc, block_free, NULL);
	if (!reserve->blocks)
		return -ENOMEM;
	reserve->messages =
		mempool_create_kmalloc_pool(KCCM_RESERVED_MESSAGES, KCCM_RESERVED_MESSAGE_BYTES);
	if (!reserve->messages) {
		mempool_destroy(reserve->blocks);
		return -ENOMEM;
	}
	return 0;
}

static void *take_spare(struct kccm_reserve *reserve)
{
	void *message = reserve->spare_messages;

	if (message) {
		reserve->spare_messages = *(void **)message;
		reserve->spares--;
	}
	return message;
}

void kccm_reserve_destroy(struct kccm_reserve *reserve)
{
	void *message;

	while ((message = take_spare(reserve)))
		kvfree(message);
	mempool_destroy(reserve->messages);
	mempool_destroy(reserve->blocks);
}

void *kccm_memory_alloc(void *ctx, size_t bytes)
{
	struct kccm_node *node = ctx;
	void *memory = kccm_fault_memory(node) ? NULL : kvmalloc(bytes, KCCM_GFP);

	if (memory || bytes != KCCM_BLOCK_BYTES)
		return memory;
	node->reserve.drawn++;
	return mempool_alloc(node->reserve.blocks, NO_WAITING);
}

/* Any block fills the reserve up first. */
void kccm_memory_free(void *ctx, void *memory, size_t bytes)
{
	struct kccm_node *node = ctx;

	if (bytes == KCCM_BLOCK_BYTES)
		mempool_free(memory, node->reserve.blocks);
	else
		kvfree(memory);
}

void *kccm_message_alloc(struct kccm_node *node, size_t bytes, enum kccm_message_origin *origin)
{
	bool small = bytes <= KCCM_SPARE_MESSAGE_BYTES;
	void *message = NULL;

	*origin = small ? KCCM_FROM_HEAP_SMALL : KCCM_FROM_HEAP;
	if (!kccm_fault_memory(node)) {
		message = small ? take_spare(&node->reserve) : NULL;
		if (!message)
			message = kvmalloc(small ? KCCM_SPARE_MESSAGE_BYTES : bytes, KCCM_GFP);
	}
	if (message || bytes > KCCM_RESERVED_MESSAGE_BYTES)
		return message;
	*origin = KCCM_FROM_RESERVE;
	node->reserve.drawn++;
	return mempool_alloc(node->reserve.messages, NO_WAITING);
}

void kccm_message_free(struct kccm_node *node, void *message, enum kccm_message_origin origin)
{
	if (origin == KCCM_FROM_RESERVE)
		mempool_free(message, node->reserve.messages);
	else
		kvfree(message);
}

void kccm_message_recycle(struct kccm_node *node, void *message, enum kccm_message_origin origin)
{
	struct kccm_reserve *reserve = &node->reserve;

	if (origin != KCCM_FROM_HEAP_SMALL || reserve->spares == KCCM_SPARE_MESSAGES) {
		kccm_message_free(node, message, origin);
		return;
	}
	*(void **)message = reserve->spare_messages;
	reserve->spare_messages = message;
	reserve->spares++;
}
