// SPDX-License-Identifier: GPL-2.0
/* Another node of the cluster; see remote.h. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "remote.h"

#include <linux/notifier.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>

#include "genl.h"
#include "link.h"
#include "netns.h"
#include "node.h"
#include "trace.h"

#define KNOCK KCCM_LANES /* the bit of failed_dials */

static void remote_release(struct kref *refs)
{
	struct kccm_remote *remote = container_of(refs, struct kccm_remote, refs);

	kccm_node_put(remote->node);
	kfree(remote);
}

void kccm_remote_put(struct kccm_remote *remote)
{
	kref_put(&remote->refs, remote_release);
}

/* --- life ------------------------------------------------------------------------------------- */

int kccm_remote_add(struct kccm_node *node, u16 id, const struct sockaddr_storage *address)
{
	struct kccm_remote *remote = kzalloc(sizeof(*remote), GFP_KERNEL);
	unsigned int lane;
	int error;

	if (!remote)
		return -ENOMEM;
	kref_init(&remote->refs);
	kref_get(&node->refs);
	remote->node = node;
	remote->id = id;
	remote->address = *address;
	init_waitqueue_head(&remote->answers);
	ratelimit_state_init(&remote->log, 5 * HZ, 10);
	for (lane = 0; lane < KCCM_LANES; lane++)
		kccm_inbox_init(&remote->inboxes[lane], lane);

	kccm_node_lock(node);
	error = kccm_peer_add(node->endpoint, id, remote, node->now_ns, &remote->session);
	if (!error)
		list_add_tail(&remote->entry, &node->remotes);
	kccm_node_unlock(node);
	if (error)
		kccm_remote_put(remote);
	return error;
}

static void tell(struct kccm_remote *remote, enum kccm_news news, u8 lane)
{
	struct kccm_peer_news data = {
		.net = remote->node->net,
		.node = remote->id,
		.lane = lane,
	};

	blocking_notifier_call_chain(&remote->node->home->news, news, &data);
}

static void wake_senders(struct kccm_remote *remote, unsigned int lane)
{
	WRITE_ONCE(remote->room[lane], remote->room[lane] + 1);
	wake_up_all(&remote->node->room);
}

void kccm_remote_progress(struct kccm_remote *remote)
{
	unsigned int lane;

	for (lane = 0; lane < KCCM_LANES; lane++)
		kccm_inbox_answer(&remote->inboxes[lane]);
	WRITE_ONCE(remote->progress, remote->progress + 1);
	if (wq_has_sleeper(&remote->answers))
		wake_up_all(&remote->answers);
}

void kccm_remote_leave(struct kccm_remote *remote)
{
	struct kccm_peer *session = remote->session;
	unsigned int lane;

	kccm_remote_answer_dials(remote);
	remote->session = NULL;
	remote->sessions++;
	kccm_peer_remove(session, remote->node->now_ns);
	/* Who waits for room finds that there is nobody to send to. */
	for (lane = 0; lane < KCCM_LANES; lane++)
		wake_senders(remote, lane);
	kccm_remote_progress(remote);
	tell(remote, KCCM_NEWS_REMOVED, 0);
}

void kccm_remote_end(struct kccm_remote *remote)
{
	struct kccm_node *node = remote->node;
	unsigned int lane;

	kccm_node_lock(node);
	list_del(&remote->entry);
	kccm_node_unlock(node);
	for (lane = 0; lane < KCCM_LANES; lane++)
		kccm_inbox_end(&remote->inboxes[lane]);
	kccm_remote_put(remote);
}

int kccm_remote_del(struct kccm_node *node, u16 id)
{
	struct kccm_remote *remote;

	kccm_node_lock(node);
	remote = kccm_node_remote(node, id);
	if (remote)
		kccm_remote_leave(remote);
	kccm_node_unlock(node);
	if (!remote)
		return -ENOENT;
	kccm_remote_end(remote);
	return 0;
}

/* --- what the session does -------------------------------------------------------------------- */

/* The session must not hear of a failure from inside its own callback: the tick's work tells it. */
void kccm_remote_dial(struct kccm_remote *remote, unsigned int lane, bool knock)
{
	struct kccm_node *node = remote->node;

	if (!kccm_link_dial(node, remote->session, lane, knock, &remote->address))
		return;
	remote->failed_dials |= BIT(knock ? KNOCK : lane);
	queue_work(kccm_io_wq, &node->tick_work);
}

void kccm_remote_answer_dials(struct kccm_remote *remote)
{
	unsigned int failed = remote->failed_dials;
	unsigned int i;

	remote->failed_dials = 0;
	for (i = 0; i <= KNOCK; i++)
		if (failed & BIT(i))
			kccm_dial_failed(remote->session, i == KNOCK ? KCCM_LANE_CONTROL : i,
					 i == KNOCK, remote->node->now_ns);
}

/* A path that breaks and heals within the tolerance is no news: it may do so many times a second.
 */
static void log_event(struct kccm_remote *remote, enum kccm_event event)
{
	bool quiet = event == KCCM_EVENT_PATH_DOWN || (event == KCCM_EVENT_UP && remote->logged_up);

	if (quiet) {
		pr_debug("node %u: peer %u: %s\n", remote->node->config.node, remote->id,
			 kccm_event_name(event));
		return;
	}
	remote->logged_up = event == KCCM_EVENT_UP;
	if (__ratelimit(&remote->log))
		pr_info("node %u: peer %u: %s\n", remote->node->config.node, remote->id,
			kccm_event_name(event));
}

void kccm_remote_event(struct kccm_remote *remote, enum kccm_event event)
{
	static const enum kccm_news news[] = {
		[KCCM_EVENT_UP] = KCCM_NEWS_UP,
		[KCCM_EVENT_PATH_DOWN] = KCCM_NEWS_PATH_DOWN,
		[KCCM_EVENT_SUSPECT] = KCCM_NEWS_SUSPECT,
		[KCCM_EVENT_PEER_DEAD] = KCCM_NEWS_DEAD,
		[KCCM_EVENT_REBOOTED] = KCCM_NEWS_REBOOTED,
	};

	if (event == KCCM_EVENT_REBOOTED) {
		remote->sessions++;
		/* An answer that waits for room has lost whom it was for. */
		kccm_remote_progress(remote);
	}
	trace_kccm_peer(remote, event);
	log_event(remote, event);
	kccm_genl_event(remote, event);
	tell(remote, news[event], 0);
}

void kccm_remote_writable(struct kccm_remote *remote, unsigned int lane)
{
	wake_senders(remote, lane);
	tell(remote, KCCM_NEWS_WRITABLE, lane);
}
