/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What has come from a peer on a lane, in order, and the work that hands it to the services. It is
 * bounded by the window: the peer gets its credit back only when a message is given back.
 */
#ifndef KCCM_KMOD_INBOX_H
#define KCCM_KMOD_INBOX_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct kccm_message;
struct kccm_remote;

struct kccm_inbox {
	spinlock_t lock;
	struct list_head messages;
	unsigned int waiting; /* in the list */
	struct work_struct work;
};

void kccm_inbox_init(struct kccm_inbox *inbox);
/* Takes a copy; -ENOMEM. Under the node's lock. */
int kccm_inbox_put(struct kccm_remote *remote, const struct kccm_message *message);
/* How many messages wait for a handler. */
unsigned int kccm_inbox_waiting(struct kccm_inbox *inbox);
/* Waits for the handler that runs, and drops what waits. Nothing may be put any more. */
void kccm_inbox_end(struct kccm_inbox *inbox);

#endif
