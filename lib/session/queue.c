// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The resend queue; see queue.h. */
#include "queue.h"

#include "frame.h"

static struct kccm_entry *entry_of(const struct kccm_queue *queue, uint64_t seq)
{
	return &queue->entries[seq & (queue->capacity - 1)];
}

void kccm_queue_init(struct kccm_queue *queue, struct kccm_memory memory, uint32_t messages_max,
		     uint64_t bytes_max)
{
	memset(queue, 0, sizeof(*queue));
	queue->memory = memory;
	queue->messages_max = messages_max;
	queue->bytes_max = bytes_max;
	queue->base = 1;
	queue->next = 1;
	queue->cursor = 1;
	queue->sent_end = 1;
}

static void block_free(struct kccm_queue *queue, struct kccm_block *block)
{
	uint32_t bytes = block->size + (uint32_t)sizeof(*block);

	queue->block_bytes -= bytes;
	queue->memory.ops->free(queue->memory.ctx, block, bytes);
}

void kccm_queue_free(struct kccm_queue *queue)
{
	while (queue->head) {
		struct kccm_block *block = queue->head;

		queue->head = block->next;
		block_free(queue, block);
	}
	queue->tail = NULL;
	if (queue->spare)
		block_free(queue, queue->spare);
	queue->spare = NULL;
	if (queue->entries)
		queue->memory.ops->free(queue->memory.ctx, queue->entries,
					queue->capacity * sizeof(*queue->entries));
	queue->entries = NULL;
}

static int grow_entries(struct kccm_queue *queue)
{
	uint32_t capacity = queue->capacity ? queue->capacity * 2 : KCCM_ENTRIES_FIRST;
	struct kccm_entry *entries =
		queue->memory.ops->alloc(queue->memory.ctx, capacity * sizeof(*entries));
	uint64_t seq;

	if (!entries)
		return -ENOMEM;
	for (seq = queue->base; seq < queue->next; seq++)
		entries[seq & (capacity - 1)] = *entry_of(queue, seq);
	if (queue->entries)
		queue->memory.ops->free(queue->memory.ctx, queue->entries,
					queue->capacity * sizeof(*entries));
	queue->entries = entries;
	queue->capacity = capacity;
	return 0;
}

/* Makes the tail a block with room for a frame of `bytes`. */
static int make_room(struct kccm_queue *queue, uint32_t bytes, uint64_t bytes_max)
{
	uint32_t size = KCCM_BLOCK_BYTES - (uint32_t)sizeof(struct kccm_block);
	struct kccm_block *block = queue->spare;

	if (queue->tail && queue->tail->size - queue->tail->used >= bytes)
		return 0;
	if (bytes > size)
		size = bytes;
	if (block && block->size >= bytes) {
		queue->spare = NULL;
	} else {
		if (queue->block_bytes + size + sizeof(*block) > bytes_max)
			return -EAGAIN;
		block = queue->memory.ops->alloc(queue->memory.ctx, size + sizeof(*block));
		if (!block)
			return -ENOMEM;
		block->size = size;
		queue->block_bytes += size + sizeof(*block);
	}
	block->next = NULL;
	block->used = 0;
	if (queue->tail)
		queue->tail->next = block;
	else
		queue->head = block;
	queue->tail = block;
	return 0;
}

int kccm_queue_push(struct kccm_queue *queue, const struct kccm_message *message, uint64_t cookie,
		    bool payload_crc)
{
	const struct kccm_ops *ops = queue->memory.ops;
	uint32_t bytes = KCCM_FRAME_BYTES + message->length + (payload_crc ? KCCM_CRC_BYTES : 0);
	struct kccm_frame frame = {
		.length = message->length,
		.type = message->type,
		.flags = payload_crc ? KCCM_FLAG_PAYLOAD_CRC : 0,
		.port = message->port,
		.epoch = message->epoch,
		.seq = queue->next,
		.request = message->request,
	};
	bool reply = message->type == KCCM_FRAME_REPLY;
	struct kccm_entry *entry;
	uint8_t *to;
	int error;

	if (queue->next - queue->base >=
	    (reply ? (uint64_t)queue->messages_max + queue->replies_max : queue->messages_max))
		return -EAGAIN;
	if (queue->next - queue->base >= queue->capacity) {
		error = grow_entries(queue);
		if (error)
			return error;
	}
	error = make_room(queue, bytes, reply ? UINT64_MAX : queue->bytes_max);
	if (error)
		return error;

	entry = entry_of(queue, queue->next);
	entry->cookie = cookie;
	entry->block = queue->tail;
	entry->offset = queue->tail->used;
	entry->frame = bytes;
	entry->length = message->length;
	to = queue->tail->data + queue->tail->used;
	kccm_frame_encode(ops, &frame, to);
	if (message->length)
		memcpy(to + KCCM_FRAME_BYTES, message->payload, message->length);
	if (payload_crc)
		kccm_put32(to + KCCM_FRAME_BYTES + message->length,
			   ops->crc32c(message->payload, message->length));
	queue->tail->used += bytes;
	queue->tail->last_seq = queue->next;
	queue->next++;
	return 0;
}

void kccm_queue_rewind(struct kccm_queue *queue)
{
	queue->cursor = queue->base;
	queue->cursor_bytes = queue->base_bytes;
}

unsigned kccm_queue_gather(struct kccm_queue *queue, struct kccm_vec *vecs, unsigned max,
			   size_t bytes_max)
{
	const struct kccm_block *block = NULL;
	size_t bytes = 0;
	unsigned used = 0;

	while (kccm_queue_sendable(queue)) {
		const struct kccm_entry *entry = entry_of(queue, queue->cursor);

		if (bytes && bytes + entry->frame > bytes_max)
			break;
		if (entry->block != block) {
			if (used == max)
				break;
			block = entry->block;
			vecs[used].data = block->data + entry->offset;
			vecs[used].bytes = 0;
			used++;
		}
		vecs[used - 1].bytes += entry->frame;
		bytes += entry->frame;
		queue->cursor++;
		queue->cursor_bytes += entry->length;
	}
	if (queue->sent_end < queue->cursor)
		queue->sent_end = queue->cursor;
	return used;
}

uint64_t kccm_queue_retire(struct kccm_queue *queue)
{
	const struct kccm_entry *entry = entry_of(queue, queue->base);

	queue->base_bytes += entry->length;
	queue->base++;
	if (queue->cursor < queue->base) {
		queue->cursor = queue->base;
		queue->cursor_bytes = queue->base_bytes;
	}
	return entry->cookie;
}

void kccm_queue_reap(struct kccm_queue *queue, uint64_t flight)
{
	uint64_t keep = queue->base < flight ? queue->base : flight;

	while (queue->head && queue->head->last_seq < keep) {
		struct kccm_block *block = queue->head;

		if (block == queue->tail) {
			/* Everything is accepted: start the block anew, unless it is oversized. */
			if (block->size > KCCM_BLOCK_BYTES) {
				queue->head = NULL;
				queue->tail = NULL;
				block_free(queue, block);
			} else {
				block->used = 0;
			}
			return;
		}
		queue->head = block->next;
		if (!queue->spare && block->size <= KCCM_BLOCK_BYTES)
			queue->spare = block;
		else
			block_free(queue, block);
	}
}
