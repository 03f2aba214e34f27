/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Faults on demand, for tests: a node's file `fault` in debugfs, which is there if the module was
 * loaded with faults=1. The kernel's own fault injection is compiled out of the kernels that people
 * run; these work on any. All of it under the node's lock, and free of charge while `active` is not
 * set.
 *
 *	none		no more faults
 *	reset BYTES	every connection is reset once it has written so much, in the midst of a
 *			frame
 *	stall		connections stand still, as behind a peer or a network that does
 *	drop		every connection is reset now
 *	memory N	every Nth allocation for messages fails, but for the reserve (memory.h)
 *	delay MS	what has come is handed to its handlers so much later
 */
#ifndef KCCM_KMOD_FAULT_H
#define KCCM_KMOD_FAULT_H

#include <linux/types.h>

struct kccm_link;
struct kccm_node;
struct kccm_vec;

struct kccm_fault {
	bool active;
	bool stall;
	u32 reset_bytes;  /* 0: never */
	u32 memory_every; /* 0: never */
	u32 allocations;
	u32 delay_ms; /* read without the lock, too */
	u64 injected;
};

/* Takes a command; -EINVAL. */
int kccm_fault_set(struct kccm_node *node, const char *command);

/* Cuts what is about to be written off at the byte after which the connection is reset. */
unsigned int kccm_fault_cut(struct kccm_node *node, const struct kccm_link *link,
			    struct kccm_vec *vecs, unsigned int count);
/* Whether it is to be reset now. */
bool kccm_fault_reset(struct kccm_node *node, const struct kccm_link *link);
/* Whether there is no memory. */
bool kccm_fault_memory(struct kccm_node *node);
/* Waits. Without the lock. */
void kccm_fault_delay(const struct kccm_node *node);

#endif
