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

/* What the block counts for against bytes_max. */
static uint64_t block_bytes(const struct kccm_block *block)
{
	return block->size + sizeof(*block) + block->in_place_bytes;
}

void kccm_block_free(struct kccm_memory memory, struct kccm_block *block)
{
	bool in_place = block->in_place;
	uint64_t cookie = block->cookie;

	memory.ops->free(memory.ctx, block, block->size + sizeof(*block));
	if (in_place)
		memory.ops->released(memory.ctx, cookie);
}

/* The block is in no list any more: the application may send from within. */
static void block_free(struct kccm_queue *queue, struct kccm_block *block)
{
	queue->block_bytes -= block_bytes(block);
	kccm_block_free(queue->memory, block);
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

static void append_block(struct kccm_queue *queue, struct kccm_block *block)
{
	block->next = NULL;
	block->used = 0;
	if (queue->tail)
		queue->tail->next = block;
	else
		queue->head = block;
	queue->tail = block;
}

/* Appends a new block of `size` bytes, for `in_place` (which may be NULL) or for frames whole. */
static int add_block(struct kccm_queue *queue, uint32_t size, const struct kccm_message *in_place,
		     uint64_t cookie, uint64_t bytes_max)
{
	struct kccm_block *block;
	uint32_t outside = in_place ? in_place->length : 0;

	if (queue->block_bytes + size + sizeof(*block) + outside > bytes_max)
		return -EAGAIN;
	block = queue->memory.ops->alloc(queue->memory.ctx, size + sizeof(*block));
	if (!block)
		return -ENOMEM;
	block->size = size;
	block->in_place = in_place ? in_place->payload : NULL;
	block->in_place_bytes = outside;
	block->cookie = cookie;
	queue->block_bytes += block_bytes(block);
	append_block(queue, block);
	return 0;
}

/* Makes the tail a block with room for a frame of `bytes`. */
static int make_room(struct kccm_queue *queue, uint32_t bytes, uint64_t bytes_max)
{
	uint32_t size = KCCM_BLOCK_BYTES - (uint32_t)sizeof(struct kccm_block);

	if (queue->tail && queue->tail->size - queue->tail->used >= bytes)
		return 0;
	if (queue->spare && queue->spare->size >= bytes) {
		append_block(queue, queue->spare);
		queue->spare = NULL;
		return 0;
	}
	return add_block(queue, bytes > size ? bytes : size, NULL, 0, bytes_max);
}

/* Writes the message to the end of the tail, and there to the end of its bytes. */
static void put_frame(struct kccm_queue *queue, const struct kccm_message *message,
		      bool payload_crc, bool in_place)
{
	const struct kccm_ops *ops = queue->memory.ops;
	struct kccm_block *tail = queue->tail;
	struct kccm_frame frame = {
		.length = message->length,
		.type = message->type,
		.flags = payload_crc ? KCCM_FLAG_PAYLOAD_CRC : 0,
		.port = message->port,
		.epoch = message->epoch,
		.seq = queue->next,
		.request = message->request,
	};

	kccm_frame_encode(ops, &frame, tail->data + tail->used);
	tail->used += KCCM_FRAME_BYTES;
	if (!in_place && message->length) {
		memcpy(tail->data + tail->used, message->payload, message->length);
		tail->used += message->length;
	}
	if (payload_crc) {
		kccm_put32(tail->data + tail->used, ops->crc32c(message->payload, message->length));
		tail->used += KCCM_CRC_BYTES;
	}
	tail->last_seq = queue->next;
}

static uint64_t bytes_max_of(const struct kccm_queue *queue, bool reply)
{
	if (!reply)
		return queue->bytes_max;
	return kccm_queue_moves(queue) ? queue->bytes_max + queue->reply_bytes_max : UINT64_MAX;
}

int kccm_queue_push(struct kccm_queue *queue, const struct kccm_message *message, uint64_t cookie,
		    bool payload_crc, bool in_place)
{
	uint32_t envelope = KCCM_FRAME_BYTES + (payload_crc ? KCCM_CRC_BYTES : 0);
	bool reply = message->type == KCCM_FRAME_REPLY;
	uint64_t bytes_max = bytes_max_of(queue, reply);
	struct kccm_entry *entry;
	int error;

	if (queue->next - queue->base >=
	    (reply ? (uint64_t)queue->messages_max + queue->replies_max : queue->messages_max))
		return -EAGAIN;
	if (queue->next - queue->base >= queue->capacity) {
		error = grow_entries(queue);
		if (error)
			return error;
	}
	error = in_place ? add_block(queue, envelope, message, cookie, bytes_max)
			 : make_room(queue, envelope + message->length, bytes_max);
	if (error)
		return error;

	entry = entry_of(queue, queue->next);
	entry->cookie = cookie;
	entry->block = queue->tail;
	entry->offset = queue->tail->used;
	entry->frame = envelope + message->length;
	entry->length = message->length;
	put_frame(queue, message, payload_crc, in_place);
	queue->next++;
	return 0;
}

void kccm_queue_rewind(struct kccm_queue *queue)
{
	queue->cursor = queue->base;
	queue->cursor_bytes = queue->base_bytes;
}

/* A frame in up to three stretches: header, payload, CRC. */
static unsigned gather_in_place(const struct kccm_entry *entry, struct kccm_vec *vecs)
{
	const struct kccm_block *block = entry->block;
	unsigned used = 0;

	vecs[used].data = block->data;
	vecs[used++].bytes = KCCM_FRAME_BYTES;
	vecs[used].data = block->in_place;
	vecs[used++].bytes = entry->length;
	if (block->used > KCCM_FRAME_BYTES) {
		vecs[used].data = block->data + KCCM_FRAME_BYTES;
		vecs[used++].bytes = block->used - KCCM_FRAME_BYTES;
	}
	return used;
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
		if (entry->block->in_place) {
			if (used + 3 > max)
				break;
			used += gather_in_place(entry, vecs + used);
			block = NULL;
		} else if (entry->block != block) {
			if (used == max)
				break;
			block = entry->block;
			vecs[used].data = block->data + entry->offset;
			vecs[used].bytes = entry->frame;
			used++;
		} else {
			vecs[used - 1].bytes += entry->frame;
		}
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

/* As most are: worth keeping for the next frames. */
static bool is_ordinary(const struct kccm_block *block)
{
	return block->size + sizeof(*block) <= KCCM_BLOCK_BYTES && !block->in_place;
}

void kccm_queue_reap(struct kccm_queue *queue, uint64_t flight)
{
	uint64_t keep = queue->base < flight ? queue->base : flight;

	while (queue->head && queue->head->last_seq < keep) {
		struct kccm_block *block = queue->head;

		if (block == queue->tail) {
			/* Everything is accepted: start the block anew, if it is ordinary. */
			if (!is_ordinary(block)) {
				queue->head = NULL;
				queue->tail = NULL;
				block_free(queue, block);
			} else {
				block->used = 0;
			}
			return;
		}
		queue->head = block->next;
		if (!queue->spare && is_ordinary(block))
			queue->spare = block;
		else
			block_free(queue, block);
	}
}
