/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A namespace's node: the session's endpoint with all that drives it. docs/LOCKING.md, "kccm.ko".
 *
 *	node 1 --- n remote 1 --- 2 inbox		another node, and what has come from it
 *	node 1 --- n link				a TCP connection
 */
#ifndef KCCM_KMOD_NODE_H
#define KCCM_KMOD_NODE_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/socket.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "fault.h"
#include "lib/session/session.h"
#include "listener.h"
#include "memory.h"

struct kccm_net;
struct kccm_remote;

struct kccm_node {
	struct kref refs;
	struct rcu_head rcu;
	struct net *net;
	struct kccm_net *home;
	struct kccm_config config;
	struct sockaddr_storage address; /* where it listens, and from where it dials */
	struct kccm_listener listener;
	struct dentry *debugfs;

	/* Guards all that follows, and every call into the session. */
	struct mutex lock;
	bool stopping;
	u64 now_ns; /* when the lock was taken: what happens under it happens at one moment */
	struct kccm_endpoint *endpoint;
	struct list_head remotes;
	struct list_head links;
	struct list_head ready; /* links with something to write that nobody has begun to write */
	struct kccm_fault fault;
	u64 refusal_logged_ns[2][KCCM_REFUSALS]; /* of nodes that are no peers; [by_peer] */
	struct ratelimit_state refusals;	 /* logged: anybody may claim to be any peer */

	struct hrtimer timer;
	u64 timer_at_ns; /* KCCM_NO_TIME: it is not armed */
	struct work_struct tick_work;

	atomic_t link_count; /* links whose work may still run; `links_gone` hears of the last */
	wait_queue_head_t links_gone;
	wait_queue_head_t room; /* for room in a queue; see remote.h */
	struct kccm_reserve reserve;
	atomic64_t no_such_port;
};

#define KCCM_NO_TIME U64_MAX
#define KCCM_REFUSALS_LOGGED 20 /* a minute */

/* Makes the namespace a node and starts it. Under home->config. */
int kccm_node_start(struct kccm_net *home, const struct kccm_config *config,
		    const struct sockaddr_storage *address);
/* Ends it, if there is one. Under home->config. Waits for handlers. */
void kccm_node_stop(struct kccm_net *home);

/* The namespace's node with a reference, or NULL. */
struct kccm_node *kccm_node_get(const struct net *net);
void kccm_node_put(struct kccm_node *node);

void kccm_node_lock(struct kccm_node *node);
/* Writes what has become ready, as far as sockets take it at once, and releases the lock. */
void kccm_node_unlock(struct kccm_node *node);
/* `more`: leaves that to the next who does; to tx_work, if nobody comes within a clock's tick. */
void kccm_node_unlock_more(struct kccm_node *node, bool more);
/* Releases the lock for a while, within something that goes on under it. */
void kccm_node_pause(struct kccm_node *node);

/* A peer of the node; NULL also if the node stops. Under the lock. */
struct kccm_remote *kccm_node_remote(const struct kccm_node *node, u16 id);

/* driver.c: how the session acts on the world. */
extern const struct kccm_ops kccm_driver_ops;

#endif
