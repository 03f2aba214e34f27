/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The calls of one peer that wait for a reply. A slot is found by the low bits of the request id;
 * the high bits count the slot's uses, so that a late reply never meets another call.
 */
#ifndef KCCM_SESSION_CALL_H
#define KCCM_SESSION_CALL_H

#include "queue.h"

#define KCCM_CALL_INDEX_BITS 20
#define KCCM_CALLS_LIMIT (1u << KCCM_CALL_INDEX_BITS)
#define KCCM_CALL_NONE UINT32_MAX

struct kccm_call_slot {
	uint64_t cookie;
	uint64_t deadline_ns; /* UINT64_MAX: none */
	uint64_t request;     /* id of the call in it, or of the last one */
	uint64_t seq;	      /* of the request on its lane */
	uint32_t next_free;
	uint32_t sessions; /* kccm_peer::sessions when it was made */
	uint8_t lane;
	bool waiting;
};

struct kccm_calls {
	struct kccm_memory memory;
	struct kccm_call_slot *slots;
	uint32_t capacity;
	uint32_t limit;
	uint32_t free_head;
	uint32_t waiting;
	uint8_t refused_lanes; /* on which a call found no slot: a bit each */
	uint64_t deadline_ns;  /* no call's deadline is earlier; may be earlier than all */
};

void kccm_calls_init(struct kccm_calls *calls, struct kccm_memory memory, uint32_t limit);
void kccm_calls_free(struct kccm_calls *calls);

/* Takes a free slot and gives it a new request id. NULL: -ENOBUFS or -ENOMEM in *error. */
struct kccm_call_slot *kccm_calls_take(struct kccm_calls *calls, int *error);

/* The slot that waits for `request`; NULL: the call is over. */
struct kccm_call_slot *kccm_calls_find(struct kccm_calls *calls, uint64_t request);

void kccm_calls_release(struct kccm_calls *calls, struct kccm_call_slot *slot);

#endif
