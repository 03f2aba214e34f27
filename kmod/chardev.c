// SPDX-License-Identifier: GPL-2.0
/* The file /dev/kccm. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "channel.h"
#include "compat.h"
#include "kccm.h"
#include "ring.h"

static void channel_release(struct kref *refs)
{
	kfree(container_of(refs, struct kccm_channel, refs));
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

static int chardev_open(struct inode *inode, struct file *file)
{
	struct kccm_channel *channel = kzalloc(sizeof(*channel), GFP_KERNEL_ACCOUNT);
	int error;

	if (!channel)
		return -ENOMEM;
	kref_init(&channel->refs);
	init_waitqueue_head(&channel->wait);
	spin_lock_init(&channel->lock);
	INIT_LIST_HEAD(&channel->commands);
	channel->news.notifier_call = hear_news;
	channel->net = get_net(current->nsproxy->net_ns);
	error = kccm_register_notifier(channel->net, &channel->news);
	if (error) {
		put_net(channel->net);
		kccm_channel_put(channel);
		return error;
	}
	file->private_data = channel;
	return nonseekable_open(inode, file);
}

/*
 * Every close(), a forked child's too. The commands of the process that closes are cancelled: on
 * kernels where io_uring does not ask for it, this is what ends them.
 */
static int chardev_flush(struct file *file, fl_owner_t owner)
{
	kccm_commands_cancel(file->private_data, owner);
	return 0;
}

/*
 * Parked commands and mappings hold the file: there are none. (1) No message comes in. (2) No news
 * come. (3) The namespace may end. (4) Messages whose outcome is not known yet keep the channel.
 */
static int chardev_release(struct inode *inode, struct file *file)
{
	struct kccm_channel *channel = file->private_data;

	kccm_ring_end(channel);
	kccm_unregister_notifier(channel->net, &channel->news);
	put_net(channel->net);
	kccm_channel_put(channel);
	return 0;
}

static __poll_t chardev_poll(struct file *file, poll_table *table)
{
	struct kccm_channel *channel = file->private_data;
	struct kccm_ring *ring;
	__poll_t events = 0;

	poll_wait(file, &channel->wait, table);
	/* Pairs with cmpxchg_release() in kccm_ring_bind(), as all that follow. */
	ring = smp_load_acquire(&channel->ring);
	if (ring)
		events |= kccm_ring_poll(ring);
	if (!READ_ONCE(channel->congested))
		events |= EPOLLOUT | EPOLLWRNORM;
	return events;
}

static int chardev_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kccm_channel *channel = file->private_data;
	/* See chardev_poll(). */
	struct kccm_ring *ring = smp_load_acquire(&channel->ring);

	return ring ? kccm_ring_mmap(ring, vma) : -ENXIO;
}

static const struct file_operations chardev_ops = {
	.owner = THIS_MODULE,
	.open = chardev_open,
	.flush = chardev_flush,
	.release = chardev_release,
	.poll = chardev_poll,
	.mmap = chardev_mmap,
	.uring_cmd = kccm_command_issue,
};

static struct miscdevice chardev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kccm",
	.fops = &chardev_ops,
	.mode = 0600,
};

int kccm_chardev_register(void)
{
	return misc_register(&chardev);
}

void kccm_chardev_unregister(void)
{
	misc_deregister(&chardev);
}
