// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The calls that wait for a reply; see call.h. */
#include "call.h"

#include "bytes.h"

#define CALLS_FIRST 64

void kccm_calls_init(struct kccm_calls *calls, struct kccm_memory memory, uint32_t limit)
{
	memset(calls, 0, sizeof(*calls));
	calls->memory = memory;
	calls->limit = limit;
	calls->free_head = KCCM_CALL_NONE;
	calls->deadline_ns = UINT64_MAX;
}

void kccm_calls_free(struct kccm_calls *calls)
{
	if (calls->slots)
		calls->memory.ops->free(calls->memory.ctx, calls->slots,
					calls->capacity * sizeof(*calls->slots));
	calls->slots = NULL;
	calls->capacity = 0;
}

static int grow(struct kccm_calls *calls)
{
	uint32_t capacity = calls->capacity ? calls->capacity * 2 : CALLS_FIRST;
	struct kccm_call_slot *slots;
	uint32_t i;

	if (calls->capacity >= calls->limit)
		return -ENOBUFS;
	if (capacity > calls->limit)
		capacity = calls->limit;
	slots = calls->memory.ops->alloc(calls->memory.ctx, capacity * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots, 0, capacity * sizeof(*slots));
	if (calls->capacity)
		memcpy(slots, calls->slots, calls->capacity * sizeof(*slots));
	for (i = capacity; i-- > calls->capacity;) {
		slots[i].request = i; /* use 0 of index i; never handed out */
		slots[i].next_free = calls->free_head;
		calls->free_head = i;
	}
	if (calls->slots)
		calls->memory.ops->free(calls->memory.ctx, calls->slots,
					calls->capacity * sizeof(*slots));
	calls->slots = slots;
	calls->capacity = capacity;
	return 0;
}

struct kccm_call_slot *kccm_calls_take(struct kccm_calls *calls, int *error)
{
	struct kccm_call_slot *slot;

	*error = 0;
	if (calls->free_head == KCCM_CALL_NONE) {
		*error = grow(calls);
		if (*error)
			return NULL;
	}
	slot = &calls->slots[calls->free_head];
	calls->free_head = slot->next_free;
	slot->request += KCCM_CALLS_LIMIT;
	slot->waiting = true;
	calls->waiting++;
	return slot;
}

struct kccm_call_slot *kccm_calls_find(struct kccm_calls *calls, uint64_t request)
{
	uint64_t index = request & (KCCM_CALLS_LIMIT - 1);

	if (index >= calls->capacity)
		return NULL;
	if (!calls->slots[index].waiting || calls->slots[index].request != request)
		return NULL;
	return &calls->slots[index];
}

void kccm_calls_release(struct kccm_calls *calls, struct kccm_call_slot *slot)
{
	slot->waiting = false;
	slot->next_free = calls->free_head;
	calls->free_head = (uint32_t)(slot - calls->slots);
	calls->waiting--;
}
