// SPDX-License-Identifier: GPL-2.0
/* The life of a node, its lock and its time. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "node.h"

#include <linux/random.h>
#include <linux/slab.h>

#include "debugfs.h"
#include "link.h"
#include "netns.h"
#include "remote.h"

/* --- references ------------------------------------------------------------------------------- */

static void node_release(struct kref *refs)
{
	struct kccm_node *node = container_of(refs, struct kccm_node, refs);

	kccm_reserve_destroy(&node->reserve);
	mutex_destroy(&node->lock);
	memzero_explicit(node->config.key, sizeof(node->config.key));
	kfree_rcu(node, rcu);
}

void kccm_node_put(struct kccm_node *node)
{
	kref_put(&node->refs, node_release);
}

struct kccm_node *kccm_node_get(const struct net *net)
{
	struct kccm_node *node;

	rcu_read_lock();
	node = rcu_dereference(kccm_net_of(net)->node);
	if (node && !kref_get_unless_zero(&node->refs))
		node = NULL;
	rcu_read_unlock();
	return node;
}

/* --- the lock and the time -------------------------------------------------------------------- */

void kccm_node_lock(struct kccm_node *node)
{
	mutex_lock(&node->lock);
	node->now_ns = ktime_get_ns();
}

/* Between two ticks the session's next one only moves forward, so the timer is never too late. */
static void rearm(struct kccm_node *node)
{
	u64 due_ns;

	if (node->stopping)
		return;
	due_ns = kccm_next_tick(node->endpoint);
	if (due_ns >= node->timer_at_ns)
		return;
	node->timer_at_ns = due_ns;
	hrtimer_start(&node->timer, ns_to_ktime(due_ns), HRTIMER_MODE_ABS);
}

void kccm_node_pause(struct kccm_node *node)
{
	rearm(node);
	mutex_unlock(&node->lock);
}

void kccm_node_unlock_more(struct kccm_node *node, bool more)
{
	if (more)
		kccm_links_write_soon(node);
	else
		kccm_links_write(node);
	kccm_node_pause(node);
}

void kccm_node_unlock(struct kccm_node *node)
{
	kccm_node_unlock_more(node, false);
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct kccm_node *node = container_of(timer, struct kccm_node, timer);

	queue_work(kccm_io_wq, &node->tick_work);
	return HRTIMER_NORESTART;
}

static void tick_work(struct work_struct *work)
{
	struct kccm_node *node = container_of(work, struct kccm_node, tick_work);
	struct kccm_remote *remote;

	kccm_node_lock(node);
	if (!node->stopping) {
		list_for_each_entry(remote, &node->remotes, entry)
			kccm_remote_answer_dials(remote);
		node->timer_at_ns = KCCM_NO_TIME;
		kccm_tick(node->endpoint, node->now_ns);
	}
	kccm_node_unlock(node);
}

struct kccm_remote *kccm_node_remote(const struct kccm_node *node, u16 id)
{
	struct kccm_peer *peer;

	if (node->stopping)
		return NULL;
	peer = kccm_peer_find(node->endpoint, id);
	return peer ? kccm_peer_user(peer) : NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static struct kccm_node *node_new(struct kccm_net *home, const struct kccm_config *config,
				  const struct sockaddr_storage *address)
{
	struct kccm_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	if (!node)
		return NULL;
	if (kccm_reserve_init(&node->reserve)) {
		kfree(node);
		return NULL;
	}
	kref_init(&node->refs);
	node->net = home->net;
	node->home = home;
	node->config = *config;
	do {
		get_random_bytes(&node->config.incarnation, sizeof(node->config.incarnation));
	} while (!node->config.incarnation);
	node->address = *address;
	mutex_init(&node->lock);
	INIT_LIST_HEAD(&node->remotes);
	INIT_LIST_HEAD(&node->links);
	INIT_LIST_HEAD(&node->ready);
	init_waitqueue_head(&node->links_gone);
	init_waitqueue_head(&node->room);
	ratelimit_state_init(&node->refusals, 60 * HZ, KCCM_REFUSALS_LOGGED);
	hrtimer_init(&node->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	node->timer.function = timer_fired;
	node->timer_at_ns = KCCM_NO_TIME;
	INIT_WORK(&node->tick_work, tick_work);
	return node;
}

int kccm_node_start(struct kccm_net *home, const struct kccm_config *config,
		    const struct sockaddr_storage *address)
{
	struct kccm_node *node;
	int error;

	if (rcu_access_pointer(home->node))
		return -EEXIST;
	node = node_new(home, config, address);
	if (!node)
		return -ENOMEM;
	error = kccm_endpoint_create(&node->config, &kccm_driver_ops, node, ktime_get_ns(),
				     &node->endpoint);
	if (error)
		goto put_node;
	error = kccm_listener_start(node);
	if (error)
		goto destroy_endpoint;
	kccm_debugfs_add(node);
	rcu_assign_pointer(home->node, node);
	pr_info("node %u: listens at %pISpc\n", node->config.node, &node->address);
	return 0;

destroy_endpoint:
	kccm_endpoint_destroy(node->endpoint);
put_node:
	kccm_node_put(node);
	return error;
}

static void close_links(struct kccm_node *node)
{
	struct kccm_link *link;

	list_for_each_entry(link, &node->links, entry)
		kccm_link_close(link);
}

/*
 * (1) Nobody finds the node any more; who has found it holds a reference, and sees `stopping` under
 *     the lock before it does anything. Its files in debugfs hold none: they go.
 * (2) No connection is accepted: the listener's work has ended.
 * (3) All peers are taken out of the session, which settles what is under way and closes their
 *     connections, before any handler is waited for: a handler may wait for a call to any of them.
 *     Connections that have no peer yet, or are being dialed, are closed beside.
 * (4) Every link goes by its own work, which is queued. The last one wakes us.
 * (5) No tick runs, and none will: the timer is armed under the lock by who does not see
 *     `stopping`, and the work is queued by it and for dials, of which a session without links and
 *     peers makes none. The timer first, because it queues the work.
 * (6) Handlers that run return, and messages that wait for one are dropped. No more can come
 *     without a link.
 * (7) The `done` functions of the calls that (3) has settled return.
 * (8) The endpoint has neither peers nor connections, and nobody calls into it: who takes the lock
 *     from now on sees `stopping`.
 */
void kccm_node_stop(struct kccm_net *home)
{
	struct kccm_node *node =
		rcu_dereference_protected(home->node, lockdep_is_held(&home->config));
	struct kccm_remote *remote, *next;

	if (!node)
		return;
	RCU_INIT_POINTER(home->node, NULL);
	kccm_debugfs_remove(node);
	kccm_node_lock(node);
	node->stopping = true;
	kccm_node_unlock(node);

	kccm_listener_stop(node);

	kccm_node_lock(node);
	list_for_each_entry(remote, &node->remotes, entry)
		kccm_remote_leave(remote);
	close_links(node);
	kccm_node_unlock(node);

	wait_event(node->links_gone, !atomic_read(&node->link_count));

	hrtimer_cancel(&node->timer);
	cancel_work_sync(&node->tick_work);

	list_for_each_entry_safe(remote, next, &node->remotes, entry)
		kccm_remote_end(remote);

	flush_work(&home->finish_work);

	kccm_endpoint_destroy(node->endpoint);
	node->endpoint = NULL;
	pr_info("node %u: has stopped\n", node->config.node);
	kccm_node_put(node);
}
