/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another node of the cluster, as this node knows it: where it is, the session's peer for it, what
 * has come from it, and who waits for room in its queues.
 *
 * Lives by references: one of the node's, until it is removed; one of each message that has come
 * from it and is not given back; one of whoever waits for room. It holds a reference to its node.
 */
#ifndef KCCM_KMOD_REMOTE_H
#define KCCM_KMOD_REMOTE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/ratelimit_types.h>
#include <linux/socket.h>
#include <linux/wait.h>

#include "inbox.h"
#include "kccm.h"
#include "lib/session/session.h"

struct kccm_node;

struct kccm_remote {
	struct kref refs;
	struct list_head entry; /* node->remotes; changed under home->config and the node's lock */
	struct kccm_node *node;
	u16 id;
	struct sockaddr_storage address;
	struct kccm_inbox inboxes[KCCM_LANES];

	/* Under the node's lock. */
	struct kccm_peer *session; /* NULL: it has been removed */
	u32 sessions;		   /* how often another session began */
	u32 room[KCCM_LANES];	   /* counts how often a full queue has room again */
	u32 progress;		   /* counts what may have made room for an answer ... */
	wait_queue_head_t answers; /* ... which waits here */
	unsigned int failed_dials; /* not told yet: a bit for each lane, and one for knocks */
	bool logged_up;
	struct ratelimit_state log; /* of what happens to it */
	u64 refusal_logged_ns[2][KCCM_REFUSALS];
};

/* Under home->config. */
int kccm_remote_add(struct kccm_node *node, u16 id, const struct sockaddr_storage *address);
/*
 * The two halves of removal, under home->config. Leaving: everything under way is settled. Under
 * the node's lock too. Ending: waits for handlers; without the lock.
 */
void kccm_remote_leave(struct kccm_remote *remote);
void kccm_remote_end(struct kccm_remote *remote);
/* Both. -ENOENT: not known. */
int kccm_remote_del(struct kccm_node *node, u16 id);

void kccm_remote_put(struct kccm_remote *remote);

/* Something has come from it: answers that wait for room may find some. Under the node's lock. */
void kccm_remote_progress(struct kccm_remote *remote);

/* For the session's actions; under the node's lock. */
void kccm_remote_dial(struct kccm_remote *remote, unsigned int lane, bool knock);
/* Tells the session of the dials that there was no memory for. */
void kccm_remote_answer_dials(struct kccm_remote *remote);
void kccm_remote_event(struct kccm_remote *remote, enum kccm_event event);
void kccm_remote_writable(struct kccm_remote *remote, unsigned int lane);

#endif
