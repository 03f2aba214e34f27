// SPDX-License-Identifier: GPL-2.0
/* Faults on demand; see fault.h. */
#include "fault.h"

#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "link.h"
#include "node.h"

static void start_again(struct kccm_node *node)
{
	struct kccm_link *link;

	list_for_each_entry(link, &node->links, entry)
		kccm_link_poke(link);
}

static void drop_all(struct kccm_node *node)
{
	struct kccm_link *link;

	list_for_each_entry(link, &node->links, entry) {
		kccm_link_close(link);
		node->fault.injected++;
	}
}

int kccm_fault_set(struct kccm_node *node, const char *command)
{
	struct kccm_fault *fault = &node->fault;
	bool stalled = fault->stall;
	u32 number;

	if (!strcmp(command, "none"))
		*fault = (struct kccm_fault){ .injected = fault->injected };
	else if (!strcmp(command, "stall"))
		fault->stall = true;
	else if (!strcmp(command, "drop"))
		drop_all(node);
	else if (sscanf(command, "reset %u", &number) == 1)
		fault->reset_bytes = number;
	else if (sscanf(command, "memory %u", &number) == 1)
		fault->memory_every = number;
	else if (sscanf(command, "delay %u", &number) == 1)
		WRITE_ONCE(fault->delay_ms, number);
	else
		return -EINVAL;
	fault->active = fault->stall || fault->reset_bytes || fault->memory_every;
	if (stalled && !fault->stall)
		start_again(node);
	return 0;
}

unsigned int kccm_fault_cut(struct kccm_node *node, const struct kccm_link *link,
			    struct kccm_vec *vecs, unsigned int count)
{
	u32 limit = node->fault.reset_bytes;
	size_t room;
	unsigned int i;

	if (likely(!node->fault.active) || !limit)
		return count;
	room = limit > link->written ? limit - link->written : 0;
	for (i = 0; i < count && room; i++) {
		vecs[i].bytes = min(vecs[i].bytes, room);
		room -= vecs[i].bytes;
	}
	return i;
}

bool kccm_fault_reset(struct kccm_node *node, const struct kccm_link *link)
{
	u32 limit = node->fault.reset_bytes;

	if (likely(!node->fault.active) || !limit || link->written < limit)
		return false;
	node->fault.injected++;
	return true;
}

bool kccm_fault_memory(struct kccm_node *node)
{
	struct kccm_fault *fault = &node->fault;

	if (likely(!fault->active) || !fault->memory_every)
		return false;
	if (++fault->allocations % fault->memory_every)
		return false;
	fault->injected++;
	return true;
}

void kccm_fault_delay(const struct kccm_node *node)
{
	u32 delay_ms = READ_ONCE(node->fault.delay_ms);

	if (unlikely(delay_ms))
		msleep(delay_ms);
}
