// SPDX-License-Identifier: GPL-2.0
/* An open /dev/kccm: its life, and what it was refused. */
#include "channel.h"

#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "kccm.h"
#include "ring.h"

static void channel_release(struct kref *refs)
{
	struct kccm_channel *channel = container_of(refs, struct kccm_channel, refs);

	kvfree(channel->batch_payloads);
	mutex_destroy(&channel->batch_lock);
	kfree(channel);
}

void kccm_channel_put(struct kccm_channel *channel)
{
	kref_put(&channel->refs, channel_release);
}

/* Under the node's lock. */
static int hear_news(struct notifier_block *notifier, unsigned long news, void *data)
{
	struct kccm_channel *channel = container_of(notifier, struct kccm_channel, news);

	if (news != KCCM_NEWS_WRITABLE && news != KCCM_NEWS_REMOVED)
		return NOTIFY_DONE;
	spin_lock(&channel->lock);
	channel->writable++;
	channel->congested = false;
	spin_unlock(&channel->lock);
	wake_up_interruptible_poll(&channel->wait, EPOLLOUT | EPOLLWRNORM);
	return NOTIFY_OK;
}

struct kccm_channel *kccm_channel_open(void)
{
	struct kccm_channel *channel = kzalloc(sizeof(*channel), GFP_KERNEL_ACCOUNT);
	int error;

	if (!channel)
		return ERR_PTR(-ENOMEM);
	kref_init(&channel->refs);
	init_waitqueue_head(&channel->wait);
	spin_lock_init(&channel->lock);
	INIT_LIST_HEAD(&channel->commands);
	mutex_init(&channel->batch_lock);
	channel->news.notifier_call = hear_news;
	channel->net = get_net(current->nsproxy->net_ns);
	error = kccm_register_notifier(channel->net, &channel->news);
	if (error) {
		put_net(channel->net);
		kccm_channel_put(channel);
		return ERR_PTR(error);
	}
	return channel;
}

void kccm_channel_close(struct kccm_channel *channel)
{
	kccm_ring_end(channel);
	kccm_unregister_notifier(channel->net, &channel->news);
	put_net(channel->net);
	kccm_channel_put(channel);
}

/* --- what is refused -------------------------------------------------------------------------- */

/* The bit of channel->refused; false: there is no such lane, and more will be said about that. */
static bool find_bit_of(u16 node, u8 lane, unsigned int *bit)
{
	*bit = node * KCCM_LANES + lane;
	return node <= KCCM_NODE_MAX && lane < KCCM_LANES;
}

bool kccm_channel_refuses(struct kccm_channel *channel, u16 node, u8 lane, u8 flags)
{
	unsigned int bit;

	if (!find_bit_of(node, lane, &bit) || !test_bit(bit, channel->refused))
		return false;
	if (!(flags & KCCM_URING_RESUME))
		return true;
	clear_bit(bit, channel->refused);
	return false;
}

void kccm_channel_note_refusal(struct kccm_channel *channel, u16 node, u8 lane)
{
	unsigned int bit;

	if (find_bit_of(node, lane, &bit))
		set_bit(bit, channel->refused);
}

/* Poll tells when to try again, unless it became possible meanwhile. */
void kccm_channel_note_congestion(struct kccm_channel *channel, u32 writable)
{
	spin_lock(&channel->lock);
	if (channel->writable == writable)
		channel->congested = true;
	spin_unlock(&channel->lock);
}
