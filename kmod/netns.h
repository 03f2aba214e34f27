/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module keeps for a network namespace: its node, if it is one, and the services, which
 * may be there before the node.
 */
#ifndef KCCM_KMOD_NETNS_H
#define KCCM_KMOD_NETNS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

struct net;
struct kccm_node;

struct kccm_net {
	struct net *net;
	/* Held while the node or its peers are made or ended, which may wait for handlers. */
	struct mutex config;
	struct kccm_node __rcu *node;
	struct xarray handlers; /* by port; read under its lock */
	struct blocking_notifier_head news;
	/* Asynchronous calls that are over and whose `done` has not been called. */
	spinlock_t finished_lock;
	struct list_head finished;
	struct work_struct finish_work;
};

/*
 * For sockets, time and direct handlers: nothing on it waits for a handler that may wait, or for
 * another node; but for locks, for memory, and a link's end for its other works. Must make progress
 * when there is no memory.
 */
extern struct workqueue_struct *kccm_io_wq;
/* For handlers, which may wait, also for the next. */
extern struct workqueue_struct *kccm_service_wq;
/* For `done` functions, which may wait, but not for each other. */
extern struct workqueue_struct *kccm_done_wq;

struct kccm_net *kccm_net_of(const struct net *net);

int kccm_netns_register(void);
void kccm_netns_unregister(void);

#endif
